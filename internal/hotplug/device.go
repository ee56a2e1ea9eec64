package hotplug

import (
	"context"
	"fmt"
	"os"
	"time"

	"sallyport/internal/intake"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// device is one insertion; for the intake it is the door to its disk.
type device struct {
	session *session
	id      int64
	facts   *intake.Device
	own     time.Duration
	answers chan answer   // to the one order that may be under way
	gone    chan struct{} // closed when the device is
	taken   bool          // by the worker; belongs to session.mu
}

func (d *device) left() bool {
	select {
	case <-d.gone:
		return true
	default:
		return false
	}
}

// answer is a report that was asked for.
type answer struct {
	link.Report
	file *os.File
}

func (a *answer) close() {
	if a.file != nil {
		a.file.Close() // nothing was read from it
		a.file = nil
	}
}

// maxAnswers is how many answers to questions that were given up may lie there.
const maxAnswers = 4

// answerTime bounds the wait for sallyport-usbd, whose own limits are shorter.
const answerTime = 90 * time.Second

// ask sends an order and waits for its answer, which is of the kind want, or
// says why not. Only the worker asks, one thing at a time.
func (d *device) ask(ctx context.Context, o link.Order, want string) (answer, error) {
	o.ID = d.id
	d.forget()
	if err := d.session.conn.Send(o, nil); err != nil {
		return answer{}, fmt.Errorf("%w: %w", errGuard, err)
	}
	late := time.NewTimer(answerTime)
	defer late.Stop()
	for {
		select {
		case a := <-d.answers:
			if a.Kind != want && (a.Kind != link.Failed || want != link.Opened) {
				a.close() // to an earlier question, which was given up
				continue
			}
			if a.Finding != nil {
				return a, a.Finding
			}
			return a, nil
		case <-d.session.ended:
			return answer{}, errGuard
		case <-ctx.Done():
			return answer{}, context.Cause(ctx)
		case <-late.C:
			d.session.conn.Close() // with it sallyport-usbd denies what it may still have opened
			return answer{}, fmt.Errorf("%w within %s", errGuard, answerTime)
		}
	}
}

// forget drops answers that nobody waits for.
func (d *device) forget() {
	for {
		select {
		case a := <-d.answers:
			a.close()
		default:
			return
		}
	}
}

// Open is part of [intake.Door].
func (d *device) Open(ctx context.Context) (intake.Opened, error) {
	a, err := d.ask(ctx, link.Order{Kind: link.Open}, link.Opened)
	o := intake.Opened{File: a.file, Own: time.Duration(a.OwnMicros) * time.Microsecond, Kernel: time.Duration(a.KernelMicros) * time.Microsecond}
	if a.Disk != nil {
		o.Disk, o.DiskSeq, o.Bytes, o.SectorBytes = a.Disk.Name, a.Disk.Seq, a.Disk.Bytes, a.Disk.SectorBytes
	}
	if err == nil && (a.file == nil || a.Disk == nil) {
		err = fmt.Errorf("%w: it opened a disk and did not pass it", errGuard)
	}
	if err != nil {
		a.close()
		o.File = nil
	}
	return o, err
}

// Check is part of [intake.Door].
func (d *device) Check(ctx context.Context, suspect bool) error {
	if d.left() {
		return verdict.New(verdict.RemovedDuringRead, "port "+d.facts.Port, "the device has gone")
	}
	_, err := d.ask(ctx, link.Order{Kind: link.Check, Suspect: suspect}, link.Checked)
	return err
}

// Release is part of [intake.Door].
func (d *device) Release(ctx context.Context) error {
	_, err := d.ask(ctx, link.Order{Kind: link.Release}, link.Released)
	return err
}
