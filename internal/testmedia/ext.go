package testmedia

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/testtool"
)

// ExtOptions of a new ext2, ext3 or ext4. The zero value is an ext4 of 64 MiB.
type ExtOptions struct {
	Type     string // "ext2", "ext3", or "ext4" when empty
	SizeMiB  int
	SizeKiB  int // in place of SizeMiB
	Block    int // bytes; mke2fs's choice when zero
	Inode    int // bytes; as above
	Inodes   int // how many; as above
	Features string
	Label    string
	More     []string // further arguments of mke2fs
}

// Ext makes an image without a partition table that holds files.
func Ext(t testing.TB, o ExtOptions, files Files) string {
	t.Helper()
	return ExtFrom(t, o, Folder(t, files))
}

// EmptyExt makes an image without a partition table and without files.
func EmptyExt(t testing.TB, o ExtOptions) string {
	t.Helper()
	return ExtFrom(t, o, "")
}

// ExtFrom makes an image without a partition table that holds what is in dir:
// links, devices, FIFOs and sockets as well as files.
func ExtFrom(t testing.TB, o ExtOptions, dir string) string {
	t.Helper()
	if o.Type == "" {
		o.Type = "ext4"
	}
	img := filepath.Join(t.TempDir(), o.Type+".img")
	must(t, os.WriteFile(img, nil, 0o644))
	size := int64(o.SizeKiB) << 10
	if size == 0 {
		size = int64(Options{SizeMiB: o.SizeMiB}.size()) << 20
	}
	must(t, os.Truncate(img, size))
	// Identities and times are given, so that one recipe makes one image.
	args := []string{"-q", "-F", "-t", o.Type, "-U", "5a11704e-7000-4000-8000-0000000000e4", "-E", "hash_seed=5a11704e-7000-4000-8000-0000000000e5"}
	for _, c := range []struct {
		flag string
		n    int
	}{{"-b", o.Block}, {"-I", o.Inode}, {"-N", o.Inodes}} {
		if c.n != 0 {
			args = append(args, c.flag, strconv.Itoa(c.n))
		}
	}
	if o.Features != "" {
		args = append(args, "-O", o.Features)
	}
	if o.Label != "" {
		args = append(args, "-L", o.Label)
	}
	if dir != "" {
		args = append(args, "-d", dir)
	}
	cmd := exec.Command(testtool.Need(t, "mke2fs"), append(append(args, o.More...), img)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "E2FSPROGS_FAKE_TIME=1793736000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mke2fs %q: %v\n%s", cmd.Args[1:], err, out)
	}
	return img
}

// MountedExt mounts the image with the kernel's own driver while do runs. Needs
// root and a free loop device.
func MountedExt(t testing.TB, img string, do func(mnt string)) {
	t.Helper()
	Mounted(t, img, "mount", do)
}

// DebugFS runs commands of debugfs on the image and returns what they print; it
// writes when it is told to.
func DebugFS(t testing.TB, img string, write bool, commands ...string) string {
	t.Helper()
	args := []string{"-f", "-", img}
	if write {
		args = append([]string{"-w"}, args...)
	}
	cmd := exec.Command(testtool.Need(t, "debugfs"), args...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBUGFS_PAGER=cat", "E2FSPROGS_FAKE_TIME=1793736000")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("debugfs %q: %v\n%s", commands, err, out)
	}
	return string(out)
}

// Specials makes what is no plain file in the folder dir, each under a name that
// says what it is: symbolic links short and long, a further name of the file
// that is given, device nodes, a FIFO and a socket. Needs root.
func Specials(t testing.TB, dir, file string) {
	t.Helper()
	testtool.Root(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Symlink("nowhere", at("symlink short")))
	must(t, os.Symlink(strings.Repeat("far away/", 30), at("symlink long")))
	must(t, os.Link(at(file), at("zz hard link")))
	must(t, unix.Mkfifo(at("fifo"), 0o644))
	must(t, unix.Mknod(at("socket"), unix.S_IFSOCK|0o644, 0))
	must(t, unix.Mknod(at("chardevice"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(at("blockdevice"), unix.S_IFBLK|0o644, int(unix.Mkdev(7, 0))))
}
