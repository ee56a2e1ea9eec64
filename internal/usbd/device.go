package usbd

import (
	"context"
	"os"
	"strings"
	"time"

	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// phase is how far a device has come.
type phase int

const (
	denied  phase = iota // seen and decided; the kernel may not use it
	busy                 // a task is at work on it
	granted              // a keyboard, security key or hub, in use
	open                 // a medium that sallyportd has
)

// device is one insertion. It belongs to the loop; tasks get copies of what
// they need.
type device struct {
	id      int64
	facts   *usb.Facts
	role    usb.Role
	refusal *verdict.Finding
	phase   phase
	told    bool          // sallyportd knows of it
	old     bool          // it was there before sallyportd was
	own     time.Duration // that the decision took
	disk    usb.Disk
	file    *os.File // the open disk; keeps it from others until it is released
	// kick wakes the device's task: something has happened.
	kick chan struct{}
	// gone is closed when the device is.
	gone chan struct{}
	// stop ends the device's task.
	stop context.CancelFunc
	// deny says that the device must be denied as soon as its task has ended.
	deny bool
}

func newDevice(id int64, f *usb.Facts) *device {
	return &device{id: id, facts: f, kick: make(chan struct{}, 1), gone: make(chan struct{}), stop: func() {}}
}

func (d *device) wake() {
	select {
	case d.kick <- struct{}{}:
	default: // it is awake
	}
}

func (d *device) left() bool {
	select {
	case <-d.gone:
		return true
	default:
		return false
	}
}

// medium says whether the device is for sallyportd to take.
func (d *device) medium() bool { return d.role == usb.In || d.role == usb.Out }

// close lets go of the disk.
func (d *device) close() {
	if d.file != nil {
		d.file.Close() // a file that was only read has nothing to lose
		d.file = nil
	}
}

// describe is what sallyportd is told of the device.
func (d *device) describe() *link.Device {
	f := d.facts
	return &link.Device{
		Place: f.Path, Insertion: f.Insertion, Vendor: verdict.Escape(f.Vendor), Product: verdict.Escape(f.Product),
		Serial: verdict.Escape(f.Serial), Manufacturer: verdict.Escape(f.Manufacturer), Name: verdict.Escape(f.Name), Speed: verdict.Escape(f.Speed),
		SHA256: f.Fingerprint(), Shape: f.Descriptors.Shape(), Role: d.role, Old: d.old, Refusal: sendable(d.refusal),
	}
}

// sendable makes a finding fit for a message: the details may quote a device.
// Whoever shows it escapes it.
func sendable(f *verdict.Finding) *verdict.Finding {
	if f == nil {
		return nil
	}
	const most = 4096
	return &verdict.Finding{Reason: f.Reason, Where: strings.ToValidUTF8(f.Where, "?"), Detail: strings.ToValidUTF8(f.Detail[:min(len(f.Detail), most)], "?")}
}
