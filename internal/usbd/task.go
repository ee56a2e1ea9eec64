package usbd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/usb"
	"sallyport/internal/verdict"
)

const (
	// diskWait is the longest wait for the disk of an authorised device: some
	// have to spin up, or to be read before they know their size.
	diskWait = 30 * time.Second
	// suspectWait is how long the news that a device is gone may come after the
	// errors of reading it.
	suspectWait = 2 * time.Second
	// look is how often a waiting task looks by itself: events are hints, and one
	// that does not come must not hold a device up.
	look = 500 * time.Millisecond
	// openWait is the longest wait for a disk that is there and cannot be opened
	// yet, openLook how often it is tried.
	openWait = 5 * time.Second
	openLook = 20 * time.Millisecond
)

// task is the work on one device outside of the loop: everything in it may
// block for as long as the device does.
type task struct {
	sys    *usb.Sysfs
	kernel kernel
	policy *usb.Policy
	facts  *usb.Facts
	role   usb.Role
	disk   usb.Disk
	file   *os.File
	kick   <-chan struct{}
	gone   <-chan struct{}

	kernelTime time.Duration // that the kernel and the device took
}

// result is what a task found. Its file, when it has one, is the receiver's.
type result struct {
	finding *verdict.Finding
	stuck   *verdict.Finding // why the device could not be denied again
	disk    usb.Disk
	file    *os.File
	own     time.Duration
	kernel  time.Duration
}

// timed runs a task and measures it.
func (t *task) timed(do func() result) result {
	began := time.Now()
	r := do()
	r.kernel = t.kernelTime
	r.own = time.Since(began) - t.kernelTime
	return r
}

// ask lets the kernel do something, and takes the time.
func (t *task) ask(do func() error) error {
	began := time.Now()
	err := do()
	t.kernelTime += time.Since(began)
	return err
}

func (t *task) where() string { return "port " + t.facts.Path }

// failed turns an error into a finding: of a device that has gone, or of one
// that cannot be used.
func (t *task) failed(err error) *verdict.Finding {
	if f, ok := verdict.Find(err); ok {
		return f
	}
	if gone := t.removed(); gone != nil {
		return gone
	}
	return verdict.New(verdict.Unreadable, t.where(), "%v", err)
}

// removed is the finding when the device is no longer there.
func (t *task) removed() *verdict.Finding {
	now, err := t.sys.Insertion(t.facts.Path)
	if err == nil && now == t.facts.Insertion {
		return nil
	}
	return verdict.New(verdict.RemovedDuringRead, t.where(), "the device has gone")
}

// authorise lets the kernel have the device and nothing but the interfaces that
// its descriptors named.
//
//	facts again, authorized=1, facts once more, interfaces, bind
func (t *task) authorise() error {
	if err := t.unchanged(); err != nil {
		return err
	}
	if err := t.ask(func() error { return t.kernel.authorise(t.facts.Path, t.facts.Insertion, true) }); err != nil {
		return err
	}
	// The kernel has asked the device for its descriptor again by now.
	if err := t.unchanged(); err != nil {
		return err
	}
	nodes, err := t.sys.Nodes(t.facts.Path)
	if err != nil {
		return err
	}
	if f := t.policy.DecideNodes(t.facts, t.role, nodes); f != nil {
		return f
	}
	for _, n := range nodes {
		if err := t.ask(func() error { return t.kernel.bind(n.Name) }); err != nil {
			return err
		}
	}
	return nil
}

// unchanged holds what the device says now against what was decided on.
func (t *task) unchanged() error {
	insertion, fingerprint, err := t.sys.Now(t.facts.Path)
	switch {
	case err != nil:
		return err
	case insertion != t.facts.Insertion:
		return fs.ErrNotExist
	case fingerprint != t.facts.Fingerprint():
		return verdict.New(verdict.DeviceChanged, t.where(), "its descriptors have changed while it was decided about")
	}
	return nil
}

// grant authorises a device that is not a medium.
func (t *task) grant() result {
	if err := t.authorise(); err != nil {
		return t.withdraw(err, usb.Disk{})
	}
	return result{}
}

// withdraw denies the device again after something went wrong, and returns what
// that was.
func (t *task) withdraw(err error, disk usb.Disk) result {
	r := result{finding: t.failed(err), disk: disk}
	if derr := t.deny(); derr != nil {
		r.stuck = verdict.New(verdict.Unreadable, t.where(), "it could not be denied again: %v", derr)
		r.finding.Detail += "; and it could not be denied again: " + derr.Error()
	}
	return r
}

// deny takes the device away from the kernel. One that has gone needs nothing.
func (t *task) deny() error {
	if t.removed() != nil {
		return nil
	}
	err := t.ask(func() error { return t.kernel.authorise(t.facts.Path, t.facts.Insertion, false) })
	if err != nil && t.removed() != nil {
		return nil
	}
	return err
}

// open brings a medium to an open disk.
func (t *task) open(ctx context.Context) result {
	if err := t.authorise(); err != nil {
		return t.withdraw(err, usb.Disk{})
	}
	disk, err := t.waitForDisk(ctx)
	if err != nil {
		return t.withdraw(err, usb.Disk{})
	}
	file, err := t.openDisk(ctx, disk)
	if err != nil {
		return t.withdraw(err, disk)
	}
	// A second logical unit may have come meanwhile.
	if err := t.sameDisk(disk); err != nil {
		file.Close() // it was only read
		return t.withdraw(err, disk)
	}
	return result{disk: disk, file: file}
}

// openDisk opens the disk. The kernel shows one a moment before it can be opened,
// and has it for itself while it looks for partitions.
func (t *task) openDisk(ctx context.Context, d usb.Disk) (file *os.File, err error) {
	late := time.NewTimer(openWait)
	defer late.Stop()
	for {
		if err := t.ask(func() (err error) { file, err = t.kernel.open(d); return err }); err == nil ||
			!errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) {
			return file, err
		} else if t.removed() != nil {
			return nil, err
		} else if !t.pause(ctx, late.C, openLook) {
			return nil, err
		}
	}
}

// pause waits until there is a reason to look again, and says whether to do so.
// The time counts as the device's.
func (t *task) pause(ctx context.Context, late <-chan time.Time, look time.Duration) bool {
	return t.ask(func() error {
		select {
		case <-t.kick:
		case <-time.After(look):
		case <-t.gone:
			return fs.ErrNotExist
		case <-late:
			return os.ErrDeadlineExceeded
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	}) == nil
}

// waitForDisk waits until the driver shows the disk, and decides about it.
func (t *task) waitForDisk(ctx context.Context) (usb.Disk, error) {
	began := time.Now()
	defer func() { t.kernelTime += time.Since(began) }()
	late := time.NewTimer(diskWait)
	defer late.Stop()
	for {
		disks, err := t.sys.Disks(t.facts.Path)
		if err == nil && len(disks) > 0 && disks[0].Name != "" {
			if f := t.policy.DecideDisk(t.facts, disks[0]); f != nil {
				return disks[0], f
			}
			return disks[0], nil
		}
		if err == nil && len(disks) > 0 && disks[0].Kind != 0 {
			return disks[0], t.policy.DecideDisk(t.facts, disks[0])
		}
		// Half of a disk may be there, so an error is no reason to end.
		select {
		case <-t.kick:
		case <-time.After(look):
		case <-t.gone:
			return usb.Disk{}, fs.ErrNotExist
		case <-late.C:
			return usb.Disk{}, errors.Join(verdict.New(verdict.Unreadable, t.where(), "no disk appeared within %s", diskWait), err)
		case <-ctx.Done():
			return usb.Disk{}, verdict.New(verdict.Interrupted, t.where(), "nobody waits for its disk any more")
		}
	}
}

// sameDisk holds the device's disks against the one that was decided on.
func (t *task) sameDisk(was usb.Disk) error {
	disks, err := t.sys.Disks(t.facts.Path)
	if err != nil {
		return err
	}
	if f := t.removed(); f != nil {
		return f
	}
	if len(disks) == 0 {
		return verdict.New(verdict.RemovedDuringRead, t.where(), "its disk has gone")
	}
	if len(disks) != 1 || disks[0].Units != 1 {
		return verdict.New(verdict.CompositeDevice, t.where(), "it has %d logical units by now, and only devices with one are read", len(disks))
	}
	now := disks[0]
	now.ReadOnly = was.ReadOnly // which usbd changed itself
	if now != was {
		return verdict.New(verdict.RemovedDuringRead, t.where(), "its disk is %s, number %d, and was %s, number %d", now.Name, now.Seq, was.Name, was.Seq)
	}
	return nil
}

// check says whether the disk that was opened is still there and the same. A
// suspect device is given time to be gone.
func (t *task) check(ctx context.Context, suspect bool) result {
	if suspect {
		select {
		case <-t.gone:
		case <-time.After(suspectWait):
		case <-ctx.Done():
		}
	}
	return result{finding: t.verify()}
}

func (t *task) verify() *verdict.Finding {
	if f := t.removed(); f != nil {
		return f
	}
	if err := t.sameDisk(t.disk); err != nil {
		return t.failed(err)
	}
	if err := t.kernel.same(t.file, t.disk); err != nil {
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
			return verdict.New(verdict.RemovedDuringRead, t.where(), "the disk has gone: %v", err)
		}
		return verdict.New(verdict.RemovedDuringRead, t.where(), "the disk is another one: %v", err)
	}
	return nil
}

// release lets go of a medium and denies it.
func (t *task) release() result {
	if t.file != nil {
		t.file.Close() // it was only read
	}
	if err := t.deny(); err != nil {
		return result{finding: verdict.New(verdict.Unreadable, t.where(), "it could not be denied again: %v", err)}
	}
	return result{}
}
