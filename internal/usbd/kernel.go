package usbd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/internal/usb"
)

// kernel is what usbd does to devices: all of it, and nothing else in this
// program needs a privilege.
type kernel interface {
	// deny makes a bus unauthorised by default: devices and interfaces.
	deny(bus string) error
	// authorise lets the kernel use the device of an insertion, or forbids it. When
	// another device is at the place the error is fs.ErrNotExist.
	authorise(place, insertion string, yes bool) error
	// bind lets drivers have one interface, and looks for one.
	bind(node string) error
	// open opens a disk for reading, alone, and makes it read-only.
	open(d usb.Disk) (*os.File, error)
	// same says whether file is still the disk that was opened.
	same(file *os.File, d usb.Disk) error
}

// sysfs is the real one (Documentation/usb/authorization.rst).
type sysfs struct {
	root *os.Root // /sys
	dev  string   // /dev
}

func openKernel(sys, dev string) (*sysfs, error) {
	root, err := os.OpenRoot(sys)
	if err != nil {
		return nil, fmt.Errorf("cannot open sysfs: %w", err)
	}
	return &sysfs{root, dev}, nil
}

const devices = "bus/usb/devices"

func (k *sysfs) deny(bus string) error {
	for _, name := range []string{"authorized_default", "interface_authorized_default"} {
		if err := set(k.root, path.Join(devices, bus, name), "0"); err != nil {
			return fmt.Errorf("cannot deny devices on %s by default: %w", bus, err)
		}
	}
	return nil
}

func (k *sysfs) authorise(place, insertion string, yes bool) error {
	value, do := "0", "deny"
	if yes {
		value, do = "1", "authorise"
	}
	if err := k.setDevice(place, insertion, value); err != nil {
		return fmt.Errorf("cannot %s the device at port %s: %w", do, place, err)
	}
	return nil
}

// setDevice writes through the device's own folder, which is that of no other
// device, whatever has come to the place meanwhile.
func (k *sysfs) setDevice(place, insertion, value string) error {
	dir, err := k.root.OpenRoot(path.Join(devices, place))
	if err != nil {
		return err
	}
	defer dir.Close()
	now, err := usb.InsertionOf(dir, place)
	if err != nil {
		return err
	}
	if now != insertion {
		return fmt.Errorf("%s is there now: %w", now, fs.ErrNotExist)
	}
	return set(dir, "authorized", value)
}

func (k *sysfs) bind(node string) error {
	if err := set(k.root, path.Join(devices, node, "authorized"), "1"); err != nil {
		return fmt.Errorf("cannot authorise the interface %s: %w", node, err)
	}
	if err := write(k.root, "bus/usb/drivers_probe", node); err != nil {
		return fmt.Errorf("cannot look for a driver of the interface %s: %w", node, err)
	}
	return nil
}

// set writes a value and reads it again: the kernel's answer is the file, not
// the write.
func set(root *os.Root, name, value string) error {
	if err := write(root, name, value); err != nil {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	now, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(now)); got != value {
		return fmt.Errorf("%s is %q after %q was written", name, got, value)
	}
	return nil
}

func write(root *os.Root, name, value string) error {
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// open: O_EXCL keeps mounts, other exclusive openers and the kernel's own users
// away for as long as the file is open; BLKROSET is the kernel's promise to write
// nothing.
func (k *sysfs) open(d usb.Disk) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(k.dev, d.Name), os.O_RDONLY|unix.O_EXCL|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the disk %s: %w", d.Name, err)
	}
	if err := k.prepare(f, d); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the disk %s: %w", d.Name, err), f.Close())
	}
	return f, nil
}

func (k *sysfs) prepare(f *os.File, d usb.Disk) error {
	number, err := k.number(d.Name)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || st.Mode().Type() != os.ModeDevice || fmt.Sprintf("%d:%d", unix.Major(sys.Rdev), unix.Minor(sys.Rdev)) != number {
		return fmt.Errorf("its node is not the block device %s", number)
	}
	fd := int(f.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.BLKROSET, 1); err != nil {
		return fmt.Errorf("cannot make it read-only: %w", err)
	}
	ro, err := unix.IoctlGetInt(fd, unix.BLKROGET)
	if err == nil && ro != 1 {
		err = errors.New("the kernel says that it can be written")
	}
	if err != nil {
		return fmt.Errorf("cannot make it read-only: %w", err)
	}
	return k.same(f, d)
}

// number is a disk's "MAJOR:MINOR" as sysfs lists it.
func (k *sysfs) number(name string) (string, error) {
	f, err := k.root.Open(path.Join("class/block", name, "dev"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	return strings.TrimSpace(string(b)), err
}

// getDiskSeq is BLKGETDISKSEQ of linux/fs.h.
const getDiskSeq = 0x80081280

func (k *sysfs) same(f *os.File, d usb.Disk) error {
	seq, err := unix.IoctlGetInt(int(f.Fd()), getDiskSeq) // 64 bits, as an int is here
	if err != nil {
		return fmt.Errorf("cannot get its number: %w", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("cannot get its capacity: %w", err)
	}
	if uint64(seq) != d.Seq || size != d.Bytes {
		return fmt.Errorf("it is number %d with %d bytes, and was number %d with %d", seq, size, d.Seq, d.Bytes)
	}
	return nil
}
