package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/internal/control"
	"sallyport/internal/verdict"
)

// disk is a whole block device as the kernel lists it: what a person needs to
// know before it is erased. Vendor and model are the device's own words.
type disk struct {
	path   string // as the user named it
	about  string // vendor, model, size, partitions
	size   int64  // bytes; 0 without a medium
	number uint64 // of the device

	partitions []string // "sdb1 (3.7 GiB)"
	devices    []string // "8:16" and those of its partitions
}

// findDisk looks a device up by its number, and refuses one that is not a whole
// disk or that somebody uses.
func findDisk(path string) (*disk, error) {
	name := verdict.Escape(path)
	st, err := os.Stat(path)
	if err != nil {
		return nil, control.Failf(control.CodeUsage, "cannot write to the device: %v", err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || st.Mode().Type() != os.ModeDevice {
		return nil, control.Failf(control.CodeUsage, "%s is no block device: name a whole disk such as /dev/sdb, or write an image with --image", name)
	}
	d := &disk{path: path, number: sys.Rdev}
	number := fmt.Sprintf("%d:%d", unix.Major(d.number), unix.Minor(d.number))
	dir, err := filepath.EvalSymlinks(filepath.Join("/sys/dev/block", number))
	if err != nil {
		return nil, control.Failf(codeFailed, "cannot tell what %s is: %v", name, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		return nil, control.Failf(control.CodeUsage, "%s is one partition of the disk %s: the package gets a whole disk, with a partition table of its own", name, verdict.Escape(filepath.Base(filepath.Dir(dir))))
	}
	d.devices = []string{number}
	d.size = sectors(dir)
	d.list(dir)
	d.describe(dir)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	if at := d.mounted(string(mounts)); at == "/" {
		return nil, control.Failf(control.CodeUsage, "%s holds the system that runs here", name)
	} else if at != "" {
		plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`) // proc(5)
		return nil, control.Failf(control.CodeUsage, "%s is mounted at %s: unmount it first", name, verdict.Escape(plain.Replace(at)))
	}
	return d, nil
}

// word reads one value of sysfs; one that is not there is empty.
func word(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// sectors is the size of a device in bytes: sysfs counts in 512.
func sectors(dir string) int64 {
	n, err := strconv.ParseInt(word(dir, "size"), 10, 64)
	if err != nil {
		return 0
	}
	return n * 512
}

// list finds the partitions that the kernel knows.
func (d *disk) list(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the caller has seen that it is there
	}
	for _, e := range entries {
		below := filepath.Join(dir, e.Name())
		if word(below, "partition") == "" {
			continue
		}
		d.devices = append(d.devices, word(below, "dev"))
		d.partitions = append(d.partitions, fmt.Sprintf("%s (%s)", verdict.Escape(e.Name()), size(sectors(below))))
	}
}

func (d *disk) describe(dir string) {
	var facts []string
	if name := strings.TrimSpace(word(dir, "device/vendor") + " " + word(dir, "device/model")); name != "" {
		facts = append(facts, verdict.Escape(name))
	}
	if file := word(dir, "loop/backing_file"); file != "" {
		facts = append(facts, "loop device over "+verdict.Escape(file))
	}
	facts = append(facts, size(d.size))
	if word(dir, "removable") == "1" {
		facts = append(facts, "removable")
	}
	switch n := len(d.partitions); n {
	case 0:
		facts = append(facts, "without partitions")
	default:
		facts = append(facts, "with "+count(n, "partition")+": "+strings.Join(d.partitions, ", "))
	}
	d.about = strings.Join(facts, ", ")
}

// mounted returns where the disk or a partition of it is mounted, or "". The
// argument is /proc/self/mountinfo (proc(5)). Some file systems have device
// numbers of their own, so that their sources are looked at as well.
func (d *disk) mounted(mountinfo string) (at string) {
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		f, source := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 {
			continue
		}
		here := slices.Contains(d.devices, f[2])
		if len(source) > 1 && strings.HasPrefix(source[1], "/dev/") && !here {
			if st, err := os.Stat(source[1]); err == nil && st.Mode().Type() == os.ModeDevice {
				if sys, ok := st.Sys().(*syscall.Stat_t); ok {
					here = slices.Contains(d.devices, fmt.Sprintf("%d:%d", unix.Major(sys.Rdev), unix.Minor(sys.Rdev)))
				}
			}
		}
		if here && (at == "" || f[4] == "/") {
			at = f[4]
		}
	}
	return at
}

// open opens the disk for writing and for this process alone: the kernel refuses
// a disk that is mounted, swapped to or part of another one, and lets nobody
// mount it meanwhile.
func (d *disk) open() (*target, error) {
	name := verdict.Escape(d.path)
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_EXCL|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, control.Failf(control.CodeUsage, "%s is in use: it or a partition of it is mounted, swapped to, or part of a RAID, an encrypted or a logical volume; end that first", name)
	case errors.Is(err, unix.EROFS):
		return nil, control.Failf(control.CodeUsage, "%s is write-protected", name)
	case errors.Is(err, unix.ENOMEDIUM) || errors.Is(err, unix.ENXIO):
		return nil, control.Failf(control.CodeUsage, "there is no medium in %s: insert it, and try again", name)
	case err != nil:
		return nil, control.Failf(control.CodeUsage, "cannot write to the device: %v", err)
	}
	t, err := d.take(f)
	if err != nil {
		f.Close() // nothing was written
		return nil, err
	}
	return t, nil
}

// take checks the device that was opened.
func (d *disk) take(f *os.File) (*target, error) {
	name, fd := verdict.Escape(d.path), int(f.Fd())
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot write to %s: %w", name, err)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || st.Mode().Type() != os.ModeDevice || sys.Rdev != d.number {
		return nil, control.Failf(control.CodeUsage, "%s changed while it was opened", name)
	}
	if ro, err := unix.IoctlGetInt(fd, unix.BLKROGET); err != nil || ro != 0 {
		return nil, control.Failf(control.CodeUsage, "%s is write-protected", name)
	}
	sector, err := unix.IoctlGetInt(fd, unix.BLKSSZGET)
	if err != nil {
		return nil, fmt.Errorf("cannot get the size of the sectors of %s: %w", name, err)
	}
	return newTarget(f, int64(sector))
}
