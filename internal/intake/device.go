package intake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/verdict"
)

// Nobody is the caller of a medium that was inserted, not handed over.
const Nobody = -1

// Device is what is known of the USB device that a medium is in, as far as it
// says the truth. It is kept with every item of the medium. Its texts are
// escaped already.
type Device struct {
	Port         string `json:"port"`      // the kernel's name of the place
	Insertion    string `json:"insertion"` // this insertion among all of one boot
	Vendor       string `json:"vendor"`
	Product      string `json:"product"`
	Serial       string `json:"serial,omitzero"`
	Manufacturer string `json:"manufacturer,omitzero"`
	Name         string `json:"name,omitzero"`
	Speed        string `json:"speed,omitzero"`  // Mbit/s
	Shape        string `json:"shape"`           // its classes, in words
	SHA256       string `json:"sha256,omitzero"` // of its descriptors
	// Known once the disk is open.
	Disk        string `json:"disk,omitzero"`
	DiskSeq     uint64 `json:"diskseq,omitzero"`
	Bytes       int64  `json:"bytes,omitzero"`
	SectorBytes int64  `json:"sector_bytes,omitzero"`
}

// Opened is an open disk.
type Opened struct {
	File        *os.File // read-only; the run closes it
	Disk        string
	DiskSeq     uint64
	Bytes       int64
	SectorBytes int64
	Own         time.Duration // taken by the process that opened it
	Kernel      time.Duration // taken by the kernel and the device
}

// Door leads to the disk of a device that is still denied. Errors that are
// findings concern the device; every other error means that whoever guards the
// devices cannot be reached any more.
type Door interface {
	// Open authorises the device and opens its disk.
	Open(ctx context.Context) (Opened, error)
	// Check returns nil when the disk is still the one that was opened. A suspect
	// device, one that could not be read well, gets a moment to be gone.
	Check(ctx context.Context, suspect bool) error
	// Release denies the device again.
	Release(ctx context.Context) error
}

func (d *Device) fields() map[string]string {
	return map[string]string{
		"port": d.Port, "insertion": d.Insertion, "vendor": d.Vendor, "product": d.Product, "serial": d.Serial,
		"manufacturer": d.Manufacturer, "name": d.Name, "speed": d.Speed, "shape": d.Shape, "sha256": d.SHA256,
	}
}

// Attached records that a device came and what was decided about it: a role, or
// the reason why it is refused, which no driver has seen then.
func (in *Intake) Attached(ctx context.Context, d *Device, role string, refusal *verdict.Finding) error {
	fields := d.fields()
	if refusal == nil {
		fields["role"] = role
		return in.cfg.Audit.Event(ctx, audit.Event{ID: audit.DeviceAttached, Outcome: audit.Success, Fields: fields})
	}
	id := audit.DeviceRefused
	if refusal.Reason == verdict.DeviceChanged {
		id = audit.DeviceChanged
	}
	fields["reason"], fields["detail"] = string(refusal.Reason), refusal.Error()
	return in.cfg.Audit.Event(ctx, audit.Event{ID: id, Outcome: audit.Refused, Fields: fields})
}

// Removed records that a device has gone.
func (in *Intake) Removed(ctx context.Context, d *Device) error {
	return in.cfg.Audit.Event(ctx, audit.Event{ID: audit.DeviceRemoved, Fields: map[string]string{"port": d.Port, "insertion": d.Insertion}})
}

// Guard records whether USB devices are guarded: by whom they are denied, and
// why they may not be, or no longer are.
func (in *Intake) Guard(ctx context.Context, problems []string) error {
	outcome, fields := audit.Success, map[string]string{}
	if len(problems) > 0 {
		outcome, fields["detail"] = audit.Failure, strings.Join(problems, "; ")
	}
	return in.cfg.Audit.Event(ctx, audit.Event{ID: audit.USBGuard, Outcome: outcome, Fields: fields})
}

// Decided says whether an insertion has had its verdict before, in this boot: a
// daemon that starts again finds the media that are still plugged in.
func (in *Intake) Decided(insertion string) (bool, error) {
	boot := in.cfg.Audit.Boot()
	verdicts := map[string]string{} // reasons by medium
	for i := in.cfg.Journal.Size() - 1; i >= 0; i-- {
		e, err := in.entry(i)
		if err != nil {
			return false, err
		}
		switch {
		case e.Boot != boot:
			return false, nil
		case e.Event == audit.MediumVerdict:
			verdicts[e.Subject.Medium] = e.Fields["reasons"]
		case e.Event == audit.MediumInserted && e.Fields["insertion"] == insertion:
			reasons, ok := verdicts[e.Subject.Medium]
			return ok && !slices.Contains(strings.Split(reasons, ","), string(verdict.Interrupted)), nil
		}
	}
	return false, nil
}

func (in *Intake) entry(i int64) (*audit.Entry, error) {
	raw, err := in.cfg.Journal.Entry(i)
	if err != nil {
		return nil, err
	}
	e, err := audit.Parse(raw.Data)
	if err != nil {
		return nil, fmt.Errorf("cannot read entry %d of the log: %w", i, err)
	}
	return e, nil
}

// pass opens the disk of the medium's device. It returns a finding when that
// cannot be had; the error is fatal.
func (r *run) pass(ctx context.Context) (*verdict.Finding, error) {
	r.progress(Opening)
	d := r.report.Medium.Device
	intent, err := r.cfg.Audit.Intent(ctx, audit.Event{ID: audit.DeviceAuthorise, Subject: r.subject(), Fields: map[string]string{"port": d.Port, "insertion": d.Insertion}})
	if err != nil {
		return nil, err
	}
	began := r.cfg.Now()
	o, err := r.medium.Door.Open(ctx)
	waited := r.cfg.Now().Sub(began)
	r.kernel += o.Kernel
	fields := map[string]string{"own_ms": millis(waited - o.Kernel), "kernel_ms": millis(o.Kernel)}
	if o.Disk != "" {
		d.Disk, d.DiskSeq, d.Bytes, d.SectorBytes = o.Disk, o.DiskSeq, o.Bytes, o.SectorBytes
		fields["disk"], fields["diskseq"] = o.Disk, strconv.FormatUint(o.DiskSeq, 10)
		fields["bytes"], fields["sector_bytes"] = strconv.FormatInt(o.Bytes, 10), strconv.FormatInt(o.SectorBytes, 10)
	}
	if err != nil {
		f := r.guardTrouble(ctx, err)
		fields["reason"], fields["detail"] = string(f.Reason), f.Error()
		return f, intent.Outcome(context.WithoutCancel(ctx), audit.Failure, fields)
	}
	r.medium.File, r.opened = o.File, true
	r.report.Medium.Size = o.Bytes
	return nil, intent.Outcome(ctx, audit.Success, fields)
}

// guardTrouble is the finding for an error of the door.
func (r *run) guardTrouble(ctx context.Context, err error) *verdict.Finding {
	if f, ok := verdict.Find(err); ok {
		return f
	}
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	return verdict.New(verdict.Interrupted, "", "the guard of the USB devices went away: %v", err)
}

// confirm asks, before anything is decided, whether the device is still the one
// that was opened. When it is not, what looked like damage was its going.
func (r *run) confirm(ctx context.Context, fs *findings) {
	if !r.opened {
		return
	}
	if r.away == nil {
		if err := r.medium.Door.Check(ctx, fs.suspect()); err != nil {
			r.away = r.guardTrouble(ctx, err)
		}
	}
	if r.away == nil {
		return
	}
	if r.away.Reason == verdict.RemovedDuringRead {
		fs.forget(consequence)
		r.report.Findings = without(r.report.Findings, consequence)
	}
	fs.add(*r.away)
}

// consequence says whether a finding may have come of the device's going.
func consequence(f verdict.Finding) bool {
	return f.Reason.Family() == verdict.Damaged || f.Reason == verdict.SandboxUnavailable
}

// release lets go of the disk and has the device denied; only then may the
// operator take it out.
func (r *run) release(ctx context.Context) error {
	if !r.opened {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	r.progress(Releasing)
	d := r.report.Medium.Device
	intent, err := r.cfg.Audit.Intent(ctx, audit.Event{ID: audit.DeviceRelease, Subject: r.subject(), Fields: map[string]string{"port": d.Port, "insertion": d.Insertion}})
	if err != nil {
		return err
	}
	cerr := r.medium.File.Close()
	if err := errors.Join(r.medium.Door.Release(ctx), cerr); err != nil {
		return intent.Outcome(ctx, audit.Failure, map[string]string{"detail": err.Error()})
	}
	r.report.Removable = true
	return intent.Outcome(ctx, audit.Success, nil)
}

func (r *run) progress(phase string) { r.medium.Progress(phase, r.done, r.total) }

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
