// Package usbd is the program sallyport-usbd, the only privileged process of a
// station. It denies every USB device by default, looks at what the kernel
// shows of a new one while no driver has it, lets the station's policy (package
// usb) decide, and gives the disk of an allowed medium, opened for reading only
// and for nobody else, to sallyportd when that asks for it (package link). It
// reads no byte of a medium, keeps no file, starts no program and knows no
// network.
//
// What devices say of themselves is foreign. The kernel's events are hints; all
// decisions are made on what sysfs shows. sallyportd is trusted to say when, not
// what: nothing that policy denies is ever authorised, whoever asks. When
// sallyportd goes away, its media are denied; keyboards stay.
package usbd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/uevent"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// events is what [uevent.Listener] gives.
type events interface {
	Wait(ctx context.Context) (uevent.Batch, error)
}

// Daemon is sallyport-usbd. All its state belongs to the goroutine of run.
type Daemon struct {
	sys    *usb.Sysfs
	kernel kernel
	policy *usb.Policy
	events events
	calls  <-chan *link.Conn // from sallyportd, whose user was checked
	log    zerolog.Logger
	now    func() time.Time
	// alive is called at least every interval while the loop turns.
	alive    func()
	interval time.Duration
	status   func(string)

	history usb.History
	devices map[string]*device // by place
	nextID  int64
	buses   map[string]bus   // root hubs
	odd     map[string]error // places whose device could not be denied
	tasks   int              // under way
	done    chan func()      // results of tasks, to be called by the loop
	peer    *peer
	told    string // the state that sallyportd knows, as text
	shown   string // the state that systemd was told, as text
}

// run serves until ctx ends; then it denies the media and returns.
func (d *Daemon) run(ctx context.Context) error {
	d.devices, d.buses, d.odd, d.done = map[string]*device{}, map[string]bus{}, map[string]error{}, make(chan func())
	batches, failed := d.listen(ctx)
	d.scan(d.now())
	var tick <-chan time.Time
	if d.interval > 0 {
		t := time.NewTicker(d.interval)
		defer t.Stop()
		tick = t.C
	}
	for {
		d.announce()
		select {
		case <-ctx.Done():
			return d.end()
		case err := <-failed:
			return errors.Join(fmt.Errorf("cannot watch USB devices any more: %w", err), d.end())
		case b := <-batches:
			d.hints(b)
		case c := <-d.calls:
			d.take(c)
		case m := <-d.peer.messages():
			d.order(ctx, m)
		case finish := <-d.done:
			d.tasks--
			finish()
		case <-tick:
			d.alive()
		}
	}
}

// listen passes on what the kernel announces.
func (d *Daemon) listen(ctx context.Context) (<-chan uevent.Batch, <-chan error) {
	batches, failed := make(chan uevent.Batch), make(chan error, 1)
	go func() {
		for {
			b, err := d.events.Wait(ctx)
			if err != nil {
				if ctx.Err() == nil {
					failed <- err
				}
				return
			}
			select {
			case batches <- b:
			case <-ctx.Done():
				return
			}
		}
	}()
	return batches, failed
}

// hints looks again when a batch says that something of ours may have changed.
func (d *Daemon) hints(b uevent.Batch) {
	began := d.now()
	if b.Lost {
		d.log.Warn().Msg("events were lost; all devices are looked at again")
	}
	if b.Foreign > 0 {
		d.log.Warn().Int("messages", b.Foreign).Msg("messages on the kernel's socket that were not the kernel's")
	}
	of := func(subsystem string) bool {
		return slices.ContainsFunc(b.Events, func(e uevent.Event) bool { return e.Subsystem == subsystem })
	}
	switch {
	case b.Lost || of("usb"):
		d.scan(began)
	case of("block") || of("scsi"): // of a device that a task waits for
		for _, dev := range d.devices {
			dev.wake()
		}
	}
}

// scan compares sysfs with what is known: buses, devices that left, devices
// that came. It ends by waking every task.
func (d *Daemon) scan(began time.Time) {
	d.scanBuses()
	places, err := d.sys.Present()
	if err != nil {
		d.log.Error().Err(err).Msg("devices cannot be listed")
		return
	}
	for place, dev := range d.devices {
		if now, err := d.sys.Insertion(place); err != nil || now != dev.facts.Insertion {
			d.leave(dev)
		}
	}
	for _, place := range places {
		if d.devices[place] == nil {
			d.come(place, began)
		}
	}
	for _, dev := range d.devices {
		dev.wake()
	}
}

// bus is a root hub.
type bus struct {
	made    string // tells it from every other that had its name
	problem error  // why it is not denied by default
}

// scanBuses denies by default on every root hub, once.
func (d *Daemon) scanBuses() {
	names, err := d.sys.Buses()
	if err != nil {
		d.log.Error().Err(err).Msg("buses cannot be listed")
		return
	}
	for name := range d.buses {
		if !slices.Contains(names, name) {
			delete(d.buses, name)
		}
	}
	for _, name := range names {
		root, err := d.sys.Root(name)
		if was, known := d.buses[name]; err == nil && known && was.problem == nil && was.made == root.Made {
			continue
		}
		if err == nil {
			err = d.kernel.deny(name)
		}
		if err == nil {
			err = d.openRoot(name)
		}
		d.buses[name] = bus{root.Made, err}
		if err != nil && !errors.Is(err, errNoRoot) {
			d.log.Error().Err(err).Str("bus", name).Msg("devices are not denied by default")
		}
	}
}

// errNoRoot means that the kernel is still making a bus.
var errNoRoot = errors.New("the bus is not ready yet")

// openRoot lets the kernel's own root hub work: on a bus that was denied before
// its hub had an interface, no port would ever see a device.
func (d *Daemon) openRoot(name string) error {
	root, err := d.sys.Root(name)
	switch {
	case err != nil:
		return fmt.Errorf("cannot look at the root hub of %s: %w", name, err)
	case root.Node == "":
		return errNoRoot
	case root.Authorised:
		return nil
	}
	return d.kernel.bind(root.Node)
}

// leave ends what is known of a device that has gone.
func (d *Daemon) leave(dev *device) {
	place := dev.facts.Path
	delete(d.devices, place)
	delete(d.odd, place)
	d.history.Left(dev.facts, d.now())
	close(dev.gone)
	dev.close()
	d.log.Info().Str("port", place).Msg("device has gone")
	if dev.told {
		d.tell(link.Report{Kind: link.Detached, ID: dev.id}, nil)
	}
}

// come decides about a device.
func (d *Daemon) come(place string, began time.Time) {
	facts, odd, err := d.sys.Facts(place)
	if errors.Is(err, fs.ErrNotExist) {
		return // gone again; the event says so
	}
	var refusal *verdict.Finding
	var role usb.Role
	switch {
	case err != nil:
		facts = &usb.Facts{Path: place}
		if facts.Insertion, err = d.sys.Insertion(place); err != nil {
			return
		}
		refusal = verdict.New(verdict.NotStorage, "port "+place, "what the device says of itself cannot be read")
	case odd != nil:
		refusal = verdict.New(verdict.NotStorage, "port "+place, "its descriptors cannot be read: %v", odd)
	default:
		role, refusal = d.policy.Decide(facts)
	}
	if changed := d.history.Changed(facts, d.now()); changed != nil {
		role, refusal = "", changed
	}
	d.nextID++
	dev := newDevice(d.nextID, facts)
	dev.role, dev.refusal = role, refusal
	d.devices[place] = dev
	say := dev.describe()
	entry := d.log.Info()
	if refusal != nil {
		entry = d.log.Warn().Str("reason", string(refusal.Reason)).Str("detail", verdict.Escape(refusal.Error()))
	}
	entry.Str("port", place).Str("device", say.Vendor+":"+say.Product).Str("serial", say.Serial).Str("shape", say.Shape).Str("role", string(role)).Msg("device came")
	on, err := d.sys.Authorised(place)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		d.log.Error().Err(err).Str("port", place).Msg("whether the device is denied is not known")
		d.start(dev, (*task).denyAgain, d.afterDenial)
	case role == usb.Hub || role == usb.Keyboard || role == usb.SecurityKey:
		d.start(dev, (*task).grant, d.afterGrant)
	case on:
		// It came before the bus was denied, or a former run of this program had it.
		d.start(dev, (*task).denyAgain, d.afterDenial)
	}
	dev.own = d.now().Sub(began)
}

// start lets a task work on the device; then is called by the loop with what it
// found.
func (d *Daemon) start(dev *device, do func(*task) result, then func(*device, result)) {
	t := &task{sys: d.sys, kernel: d.kernel, policy: d.policy, facts: dev.facts, role: dev.role, disk: dev.disk, file: dev.file, kick: dev.kick, gone: dev.gone}
	dev.phase, dev.deny = busy, false
	d.tasks++
	go func() {
		r := t.timed(func() result { return do(t) })
		d.done <- func() { then(dev, r) }
	}()
}

func (t *task) denyAgain() result {
	if err := t.deny(); err != nil {
		return result{finding: t.failed(err)}
	}
	return result{}
}

// afterDenial notes whether the device is denied now.
func (d *Daemon) afterDenial(dev *device, r result) {
	dev.phase = denied
	d.noteDenial(dev, r.finding)
}

func (d *Daemon) noteDenial(dev *device, problem *verdict.Finding) {
	place := dev.facts.Path
	if d.devices[place] != dev {
		return
	}
	if problem == nil {
		delete(d.odd, place)
		return
	}
	d.odd[place] = problem
	d.log.Error().Str("port", place).Str("detail", verdict.Escape(problem.Error())).Msg("device cannot be denied")
}

// afterGrant notes that a keyboard, security key or hub is in use, or why not.
func (d *Daemon) afterGrant(dev *device, r result) {
	if dev.left() {
		return
	}
	if r.finding != nil {
		dev.phase, dev.role, dev.refusal = denied, "", r.finding
		d.noteDenial(dev, r.stuck)
		d.log.Error().Str("port", dev.facts.Path).Str("detail", verdict.Escape(r.finding.Error())).Msg("device cannot be used")
		return
	}
	dev.phase = granted
	d.log.Info().Str("port", dev.facts.Path).Str("role", string(dev.role)).Msg("device is in use")
}

// endTime bounds the denial of all media at the end.
const endTime = 10 * time.Second

// end denies all media and waits for the tasks.
func (d *Daemon) end() error {
	d.hangUp("sallyport-usbd ends")
	d.dropMedia()
	late := time.After(endTime)
	for d.tasks > 0 {
		select {
		case finish := <-d.done:
			d.tasks--
			finish()
		case <-late:
			return fmt.Errorf("cannot end in order: %d devices do not answer", d.tasks)
		}
	}
	if len(d.odd) > 0 {
		return fmt.Errorf("cannot deny %d devices", len(d.odd))
	}
	return nil
}

// dropMedia denies whatever sallyportd had.
func (d *Daemon) dropMedia() {
	for _, dev := range d.devices {
		switch {
		case !dev.medium():
		case dev.phase == busy:
			dev.deny = true
			dev.stop()
		case dev.phase == open, d.odd[dev.facts.Path] != nil: // or one that could not be denied before
			d.startRelease(dev, nil)
		}
	}
}
