package usbd

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/testtool"
	"sallyport/internal/usb"
)

const loopBytes = 4 << 20

// loop is a real disk over a file: what the kernel says of it, its image and
// the kernel's interface.
func loop(t *testing.T) (*sysfs, usb.Disk, string) {
	t.Helper()
	testtool.Root(t)
	img := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(img, append([]byte("what is on it"), make([]byte, loopBytes-13)...), 0o600); err != nil {
		t.Fatal(err)
	}
	dev := strings.TrimSpace(string(testtool.Run(t, "losetup", "--find", "--show", img)))
	t.Cleanup(func() {
		testtool.Run(t, "blockdev", "--setrw", dev) // the device outlives its disk, and keeps this
		until(t, dev+" is free", func() bool { return exec.Command("losetup", "--detach", dev).Run() == nil })
	})
	name := filepath.Base(dev)
	k, err := openKernel("/sys", "/dev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.root.Close() })
	text, err := os.ReadFile("/sys/class/block/" + name + "/diskseq")
	if err != nil {
		t.Fatal(err)
	}
	seq, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return k, usb.Disk{Name: name, Seq: seq, Bytes: loopBytes, SectorBytes: 512, Units: 1}, img
}

func TestRealDiskIsReadOnlyAndAlone(t *testing.T) {
	k, d, _ := loop(t)
	path := filepath.Join("/dev", d.Name)
	writer, err := os.OpenFile(path, os.O_WRONLY, 0) // before; it must not be of use any more
	if err != nil {
		t.Fatal(err)
	}
	f, err := k.open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, 13)
	if _, err := f.ReadAt(text, 0); err != nil || string(text) != "what is on it" {
		t.Errorf("it holds %q, %v", text, err)
	}
	if out := strings.TrimSpace(string(testtool.Run(t, "blockdev", "--getro", path))); out != "1" {
		t.Errorf("read-only is %q", out)
	}
	late, _ := os.OpenFile(path, os.O_WRONLY, 0) // nil if it cannot even be opened
	for name, w := range map[string]*os.File{"before": writer, "afterwards": late} {
		if w == nil {
			continue
		}
		_, werr := w.WriteAt([]byte("changed"), 0)
		if err := errors.Join(werr, w.Sync(), w.Close()); err == nil {
			t.Errorf("who opened it %s can write", name)
		}
	}
	if _, err := f.ReadAt(text, 0); err != nil || string(text) != "what is on it" {
		t.Errorf("it holds %q, %v", text, err)
	}
	if other, err := k.open(d); !errors.Is(err, syscall.EBUSY) {
		other.Close()
		t.Errorf("it was opened twice: %v", err)
	}
	if _, err := f.Seek(7, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := k.same(f, d); err != nil {
		t.Errorf("it is no longer the same: %v", err)
	}
	f.Close()
	again, err := k.open(d)
	if err != nil {
		t.Fatalf("it cannot be opened after it was closed: %v", err)
	}
	again.Close()
}

func TestRealDiskThatIsInUse(t *testing.T) {
	k, d, _ := loop(t)
	path := filepath.Join("/dev", d.Name)
	holder, err := os.OpenFile(path, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := k.open(d); !errors.Is(err, syscall.EBUSY) {
		f.Close()
		t.Errorf("a disk that somebody has for himself was opened: %v", err)
	}
	holder.Close()
	testtool.Run(t, "mkfs.ext4", "-q", path)
	mnt := t.TempDir()
	if err := unix.Mount(path, mnt, "ext4", unix.MS_RDONLY, ""); err != nil {
		testtool.Unmet(t, "nothing can be mounted: "+err.Error())
	}
	f, err := k.open(d)
	if !errors.Is(err, syscall.EBUSY) {
		f.Close()
		t.Errorf("a mounted disk was opened: %v", err)
	}
	if err := unix.Unmount(mnt, 0); err != nil {
		t.Fatal(err)
	}
	if f, err = k.open(d); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Mount(path, mnt, "ext4", unix.MS_RDONLY, ""); !errors.Is(err, syscall.EBUSY) {
		unix.Unmount(mnt, 0)
		t.Errorf("an open medium was mounted: %v", err)
	}
}

func TestRealDiskThatIsAnother(t *testing.T) {
	k, d, img := loop(t)
	for name, other := range map[string]usb.Disk{
		"another number": {Name: d.Name, Seq: d.Seq + 1, Bytes: d.Bytes}, "another size": {Name: d.Name, Seq: d.Seq, Bytes: d.Bytes - 512},
		"no disk": {Name: "sallyport-none", Seq: d.Seq, Bytes: d.Bytes}, "no block device": {Name: "null", Seq: d.Seq, Bytes: d.Bytes},
	} {
		if f, err := k.open(other); err == nil {
			f.Close()
			t.Errorf("%s: it was opened", name)
		}
	}
	f, err := k.open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := k.same(f, d); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, loopBytes/2); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "losetup", "--set-capacity", "/dev/"+d.Name)
	if err := k.same(f, d); err == nil || !strings.Contains(err.Error(), strconv.Itoa(loopBytes/2)) {
		t.Errorf("half of it is the same: %v", err)
	}
}

// The node below /dev must be the disk that sysfs speaks of.
func TestNodeOfAnotherDisk(t *testing.T) {
	real, d, _ := loop(t)
	fake, _ := files(t, map[string]string{"class/block/" + d.Name + "/dev": "8:0\n", "dev/" + "plain": "", "class/block/plain/dev": "8:0\n"})
	fake.dev = real.dev
	if f, err := fake.open(d); err == nil || !strings.Contains(err.Error(), "8:0") {
		f.Close()
		t.Errorf("%v", err)
	}
	began := time.Now()
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "plain"), 0o600); err != nil {
		t.Fatal(err)
	}
	fake.dev = dir
	if f, err := fake.open(usb.Disk{Name: "plain"}); err == nil || time.Since(began) > 5*time.Second {
		f.Close()
		t.Errorf("a pipe is no disk: %v", err)
	}
}
