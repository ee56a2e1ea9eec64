// Package testmedia builds real media images for tests: file systems made by
// mkfs.vfat and mkfs.exfat, filled by mtools and exfat-fuse, partitioned by
// sfdisk; and it damages them in known ways. Test code only. It trusts its
// callers; a missing program skips the test as package testtool says.
package testmedia

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/internal/testtool"
)

// Options of a new file system. The zero value is a FAT32 (or exFAT) of 64 MiB.
type Options struct {
	Bits           int // FAT only: 12, 16 or 32
	SizeMiB        int
	Label          string
	SectorBytes    int // 512 when zero; FAT only
	ClusterSectors int // the formatter's choice when zero
}

func (o Options) size() int {
	if o.SizeMiB == 0 {
		return 64
	}
	return o.SizeMiB
}

// Files maps '/'-separated paths to contents; a path that ends in '/' is an
// empty folder.
type Files map[string][]byte

// Folder writes files below a new temporary folder and returns it.
func Folder(t testing.TB, files Files) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(p, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, os.WriteFile(p, data, 0o644))
	}
	return dir
}

// FAT makes an image without a partition table that holds files.
func FAT(t testing.TB, o Options, files Files) string {
	t.Helper()
	return FATFrom(t, o, Folder(t, files))
}

// FATFrom makes an image without a partition table that holds what is in dir.
func FATFrom(t testing.TB, o Options, dir string) string {
	t.Helper()
	img := EmptyFAT(t, o)
	PopulateFAT(t, img, dir)
	return img
}

// EmptyFAT makes an image without a partition table and without files.
func EmptyFAT(t testing.TB, o Options) string {
	t.Helper()
	if o.Bits == 0 {
		o.Bits = 32
	}
	img := filepath.Join(t.TempDir(), fmt.Sprintf("fat%d.img", o.Bits))
	args := []string{"-F", strconv.Itoa(o.Bits), "-C"}
	if o.Label != "" {
		args = append(args, "-n", o.Label)
	}
	if o.SectorBytes != 0 {
		args = append(args, "-S", strconv.Itoa(o.SectorBytes))
	}
	if o.ClusterSectors != 0 {
		args = append(args, "-s", strconv.Itoa(o.ClusterSectors))
	}
	testtool.Run(t, "mkfs.vfat", append(args, img, strconv.Itoa(o.size()<<10))...)
	return img
}

// PopulateFAT copies what is in dir to the root of the image with one mcopy.
func PopulateFAT(t testing.TB, img, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	args := []string{"-s", "-Q", "-m", "-D", "o", "-i", img}
	for _, e := range list {
		args = append(args, filepath.Join(dir, e.Name()))
	}
	if len(list) > 0 {
		Mtool(t, "mcopy", append(args, "::/")...)
	}
}

// Mtool runs a program of mtools in a fixed locale and without its sanity
// check of geometry, which refuses many good images.
func Mtool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(testtool.Need(t, name), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// ExFAT makes an image without a partition table that holds files. Needs root,
// a free loop device and FUSE.
func ExFAT(t testing.TB, o Options, files Files) string {
	t.Helper()
	return ExFATFrom(t, o, Folder(t, files))
}

// ExFATFrom makes an image without a partition table that holds what is in dir.
func ExFATFrom(t testing.TB, o Options, dir string) string {
	t.Helper()
	img := EmptyExFAT(t, o)
	PopulateExFAT(t, img, dir)
	return img
}

// EmptyExFAT makes an image without a partition table and without files; it
// needs no privileges.
func EmptyExFAT(t testing.TB, o Options) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "exfat.img")
	must(t, os.WriteFile(img, nil, 0o644))
	must(t, os.Truncate(img, int64(o.size())<<20))
	var args []string
	if o.Label != "" {
		args = append(args, "-n", o.Label)
	}
	if o.ClusterSectors != 0 {
		args = append(args, "-c", strconv.Itoa(o.ClusterSectors*512))
	}
	testtool.Run(t, "mkfs.exfat", append(args, img)...)
	return img
}

// PopulateExFAT copies what is in dir to the root of the image.
func PopulateExFAT(t testing.TB, img, dir string) {
	t.Helper()
	MountedExFAT(t, img, func(mnt string) {
		testtool.Run(t, "cp", "-r", dir+"/.", mnt)
	})
}

// MountedExFAT mounts the image with exfat-fuse on a loop device while do runs.
func MountedExFAT(t testing.TB, img string, do func(mnt string)) {
	t.Helper()
	Mounted(t, img, "mount.exfat-fuse", do)
}

// Mounted mounts the image on a loop device with a FUSE program, which is
// called with device and folder, while do runs. What was written is in the
// image when it returns. Needs root.
func Mounted(t testing.TB, img, program string, do func(mnt string)) {
	t.Helper()
	testtool.Root(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		testtool.Unmet(t, "this kernel has no FUSE")
	}
	mount := testtool.Need(t, program)
	loop := strings.TrimSpace(string(testtool.Run(t, "losetup", "--find", "--show", img)))
	defer release(t, loop, img)
	mnt := t.TempDir()
	if out, err := exec.Command(mount, loop, mnt).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", mount, err, out)
	}
	defer unmount(t, mnt)
	do(mnt)
}

// unmount waits a while for a folder that is busy: between fork and exec each
// program that a parallel test starts holds the files that are open there.
func unmount(t testing.TB, mnt string) {
	t.Helper()
	for range 100 {
		if exec.Command("umount", mnt).Run() == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	testtool.Run(t, "umount", mnt)
}

// release detaches a loop device and waits until it is gone: umount returns
// while the FUSE program may still be writing, and the kernel keeps the device
// until the program has closed it.
func release(t testing.TB, loop, img string) {
	t.Helper()
	testtool.Run(t, "losetup", "--detach", loop)
	backing := filepath.Join("/sys/block", filepath.Base(loop), "loop/backing_file")
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if file, err := os.ReadFile(backing); err != nil || strings.TrimSpace(string(file)) != img {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s still uses %s a minute after it was unmounted", loop, img)
		}
	}
}

// paste writes the non-zero megabytes of the file part into img at off.
func paste(t testing.TB, img string, off int64, part string) {
	t.Helper()
	src, err := os.Open(part)
	must(t, err)
	defer src.Close()
	dst, err := os.OpenFile(img, os.O_WRONLY, 0)
	must(t, err)
	buf := make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(src, buf)
		if strings.Trim(string(buf[:n]), "\x00") != "" {
			_, werr := dst.WriteAt(buf[:n], off)
			must(t, werr)
		}
		off += int64(n)
		if err != nil {
			break
		}
	}
	must(t, dst.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
