package usbd

import (
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/uevent"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

func TestOpen(t *testing.T) {
	r := start(t, stick("1-1", "sda"))
	c := r.call()
	id := c.hello(1)[0].ID
	got := c.open(id)
	if d := got.Disk; d == nil || d.Name != "sda" || d.Seq == 0 || d.Bytes != 1<<30 || d.SectorBytes != 512 || d.Units != 1 || d.Kind != 0 {
		t.Errorf("the disk is %+v", got.Disk)
	}
	if text, err := io.ReadAll(got.file); err != nil || string(text) != "what is on sda" {
		t.Errorf("it holds %q, %v", text, err)
	}
	if got.OwnMicros <= 0 || got.KernelMicros <= 0 {
		t.Errorf("it took %d µs and the kernel %d", got.OwnMicros, got.KernelMicros)
	}
	want := []string{"deny usb1", "deny usb2", "authorise 1-1", "bind 1-1:1.0", "open sda"}
	if did := r.did(); !slices.Equal(did, want) {
		t.Errorf("usbd did %q, want %q", did, want)
	}
	c.quiet()
}

// A disk comes when it comes: the kernel's news of it, or a look from time to
// time, is enough.
func TestDiskThatComesLater(t *testing.T) {
	for name, news := range map[string]uevent.Batch{
		"with news":                   {Events: []uevent.Event{{Action: "add", Subsystem: "block", DevType: "disk"}}},
		"with news of something else": {Events: []uevent.Event{{Action: "add", Subsystem: "net"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := stick("1-1", "sda")
			p.slow = true
			r := start(t, p)
			c := r.call()
			id := c.hello(1)[0].ID
			c.send(link.Open, id)
			until(t, "the driver has it", func() bool { return r.index("bind 1-1:1.0") > 0 })
			r.mu.Lock()
			r.unit(p, 0, unit{kind: 0, nothing: true}) // half of a disk
			r.mu.Unlock()
			r.events.send(news)
			c.quiet()
			r.mu.Lock()
			r.remove(r.dir("1-1") + "/1-1:1.0/host3")
			r.unit(p, 0, p.disks[0])
			r.mu.Unlock()
			r.events.send(news)
			if got := c.expect(link.Opened); got.Disk.Name != "sda" || got.ID != id {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestWhatIsNotOpened(t *testing.T) {
	r := start(t, stick("1-1", "sda"), &plug{place: "1-6", raw: badUSB, refused: true}, stick("1-5", "sdb"), &plug{place: "1-3", raw: keyboard})
	until(t, "the keyboard is in use", func() bool { return r.index("bind 1-3:1.0") > 0 })
	c := r.call()
	for _, d := range c.hello(4)[1:] {
		want := map[string]verdict.Reason{"1-6": verdict.CompositeDevice, "1-5": verdict.PortNotAllowed, "1-3": verdict.PortNotAllowed}[d.Device.Place]
		c.refused(link.Open, d.ID, link.Failed, want)
	}
	c.refused(link.Open, 99, link.Failed, verdict.RemovedDuringRead)
	c.refused(link.Open, -1, link.Failed, verdict.RemovedDuringRead)
	c.open(1)
	c.refused(link.Open, 1, link.Failed, verdict.PortNotAllowed) // it is open
	c.quiet()
	if n := r.times("authorise 1-1"); n != 1 {
		t.Errorf("usbd did %q", r.did())
	}
}

// One device that keeps the kernel busy keeps nobody else waiting.
func TestOpenWhileAnotherIsOpening(t *testing.T) {
	r := start(t, stick("1-1", "sda"), stick("1-6", "sdb"))
	waiting, gate := r.hold("authorise 1-1")
	c := r.call()
	list := c.hello(2)
	c.send(link.Open, list[0].ID)
	soon(t, waiting)
	c.refused(link.Open, list[0].ID, link.Failed, verdict.PortNotAllowed) // it is being opened
	c.open(list[1].ID)
	c.refused(link.Check, list[1].ID, link.Checked, "")
	r.plug(&plug{place: "1-3", raw: keyboard})
	c.expect(link.Attached)
	close(gate)
	if got := c.expect(link.Opened); got.ID != list[0].ID || got.Disk.Name != "sda" {
		t.Errorf("%+v", got)
	}
}

// Whatever goes wrong on the way, the device is denied again and no disk stays
// open.
func TestOpenThatFails(t *testing.T) {
	bad := errors.New("input/output error")
	with := func(change func(*plug)) *plug {
		p := stick("1-1", "sda")
		change(p)
		return p
	}
	disk := func(change func(*unit)) *plug { return with(func(p *plug) { change(&p.disks[0]) }) }
	for name, c := range map[string]struct {
		plug *plug
		// at, if not empty, is the step at which the kernel fails, or after which
		// the test interferes.
		at     string
		fails  error
		after  func(*rig)
		reason verdict.Reason
		says   string
	}{
		"it cannot be authorised":                    {stick("1-1", "sda"), "authorise 1-1", bad, nil, verdict.Unreadable, "input/output error"},
		"authorising it has no effect":               {with(func(p *plug) { p.deaf = true }), "", nil, nil, verdict.CompositeDevice, "0 interfaces"},
		"it says other things once it is powered":    {stick("1-1", "sda"), "authorise 1-1", nil, func(r *rig) { r.change("1-1", "descriptors", string(badUSB)) }, verdict.DeviceChanged, "descriptors"},
		"it says nothing once it is powered":         {stick("1-1", "sda"), "authorise 1-1", nil, func(r *rig) { r.change("1-1", "descriptors", "") }, verdict.DeviceChanged, "descriptors"},
		"the kernel makes a keyboard of it":          {with(func(p *plug) { p.extra = []byte{3, 1, 1} }), "", nil, nil, verdict.CompositeDevice, "03/01/01"},
		"the kernel makes two disks of it":           {with(func(p *plug) { p.extra = []byte{8, 6, 0x50} }), "", nil, nil, verdict.CompositeDevice, "2 interfaces"},
		"no driver takes it":                         {stick("1-1", "sda"), "bind 1-1:1.0", bad, nil, verdict.Unreadable, "input/output error"},
		"its disk is in use":                         {stick("1-1", "sda"), "open sda", syscall.EBUSY, nil, verdict.Unreadable, "busy"},
		"it is too large":                            {disk(func(u *unit) { u.bytes = 1<<40 + 512 }), "", nil, nil, verdict.CapacityOutOfRange, "1099511628288 bytes"},
		"it is empty":                                {disk(func(u *unit) { u.bytes = 0 }), "", nil, nil, verdict.CapacityOutOfRange, "0 bytes"},
		"its sectors are odd":                        {disk(func(u *unit) { u.sectors = 520 }), "", nil, nil, verdict.CapacityOutOfRange, "520"},
		"it is a CD drive":                           {disk(func(u *unit) { u.kind = 5; u.name = "sr0" }), "", nil, nil, verdict.NotStorage, "type 5"},
		"it is a CD drive without a disk":            {disk(func(u *unit) { u.kind = 5; u.nothing = true }), "", nil, nil, verdict.NotStorage, "type 5"},
		"it has two disks":                           {with(func(p *plug) { p.disks = append(p.disks, unit{name: "sdb", bytes: 1 << 30, sectors: 512}) }), "", nil, nil, verdict.CompositeDevice, "2 logical units"},
		"it has a disk and a CD drive":               {with(func(p *plug) { p.disks = append(p.disks, unit{name: "sr0", kind: 5, bytes: 1 << 30, sectors: 2048}) }), "", nil, nil, verdict.CompositeDevice, "2 logical units"},
		"it has a disk and an enclosure":             {with(func(p *plug) { p.disks = append(p.disks, unit{kind: 13, nothing: true}) }), "", nil, nil, verdict.CompositeDevice, "2 logical units"},
		"a second disk comes when the first is open": {stick("1-1", "sda"), "open sda", nil, func(r *rig) { r.addUnit("1-1", 1, unit{name: "sdb", bytes: 1 << 30, sectors: 512}) }, verdict.CompositeDevice, "2 logical units"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.plug)
			r.before(func(step string) error {
				if step == c.at {
					return c.fails
				}
				return nil
			})
			r.afterwards(func(step string) {
				if step == c.at && c.after != nil {
					c.after(r)
				}
			})
			p := r.call()
			id := p.hello(1)[0].ID
			f := p.refused(link.Open, id, link.Failed, c.reason)
			if !strings.Contains(f.Error(), c.says) || !strings.Contains(f.Where, "1-1") {
				t.Errorf("%v; want %q", f, c.says)
			}
			if r.isAuthorised("1-1") || r.index("forbid 1-1") < 0 {
				t.Errorf("it is not denied; usbd did %q", r.did())
			}
			if n := r.openFiles(); n > 0 {
				t.Errorf("%d disks are open", n)
			}
			p.quiet()
		})
	}
}

// A failure is not for ever: the same insertion can be opened once the cause
// has gone.
func TestOpenAfterAFailure(t *testing.T) {
	r := start(t, stick("1-1", "sda"))
	r.fail("open sda", syscall.EIO)
	c := r.call()
	id := c.hello(1)[0].ID
	c.refused(link.Open, id, link.Failed, verdict.Unreadable)
	r.fail("nothing", nil)
	c.open(id)
}

// The kernel shows a disk a moment before it can be opened, and has it for itself
// while it looks for partitions.
func TestDiskThatIsNotReadyAtOnce(t *testing.T) {
	for _, not := range []error{syscall.ENXIO, syscall.ENOENT, syscall.EBUSY} {
		r := start(t, stick("1-1", "sda"))
		tries := 0
		r.before(func(step string) error {
			if step == "open sda" {
				if tries++; tries < 3 {
					return not
				}
			}
			return nil
		})
		c := r.call()
		c.open(c.hello(1)[0].ID)
		if tries != 3 {
			t.Errorf("%v: tried %d times", not, tries)
		}
	}
}

// A device that is pulled while it is being opened is told to be gone, and the
// order is answered, in whichever order the two come. What is put in at its place
// in that moment is another device, and gets nothing of what the first was given.
func TestPulledWhileOpening(t *testing.T) {
	for _, c := range []struct {
		step  string
		after bool
	}{
		{"authorise 1-1", false}, {"authorise 1-1", true}, {"bind 1-1:1.0", false}, {"bind 1-1:1.0", true}, {"open sda", false}, {"open sda", true},
	} {
		for _, again := range []bool{false, true} {
			name := map[bool]string{false: "before ", true: "after "}[c.after] + c.step + map[bool]string{true: ", and put in again"}[again]
			t.Run(name, func(t *testing.T) {
				r := start(t, stick("1-1", "sda"))
				pull := func(step string) {
					if step != c.step {
						return
					}
					r.withdraw("1-1")
					if again {
						r.later()
						r.insert(&plug{place: "1-1", raw: badUSB, refused: true})
					}
					r.announce()
					r.settle() // usbd knows it before the step is done
				}
				r.before(func(step string) error {
					if !c.after {
						pull(step)
					}
					return nil
				})
				r.afterwards(func(step string) {
					if c.after {
						pull(step)
					}
				})
				p := r.call()
				id := p.hello(1)[0].ID
				p.send(link.Open, id)
				seen := map[string]bool{}
				for len(seen) < 2 {
					got := p.next()
					if got.err != nil || got.Kind != link.Failed && got.Kind != link.Detached && !(got.Kind == link.Attached && again) {
						t.Fatalf("%+v, %v", got, got.Finding)
					}
					if got.Kind == link.Attached {
						continue
					}
					if got.ID != id || got.Kind == link.Failed && reason(got.Finding) != verdict.RemovedDuringRead {
						t.Errorf("%+v, %v", got, got.Finding)
					}
					seen[got.Kind] = true
				}
				until(t, "no disk is open", func() bool { return r.openFiles() == 0 })
				if again && r.isAuthorised("1-1") {
					t.Errorf("the next device was given to the kernel; usbd did %q", r.did())
				}
			})
		}
	}
}

func TestPulledWhileItsDiskIsAwaited(t *testing.T) {
	p := stick("1-1", "sda")
	p.slow = true
	r := start(t, p)
	c := r.call()
	id := c.hello(1)[0].ID
	c.send(link.Open, id)
	until(t, "the driver has it", func() bool { return r.index("bind 1-1:1.0") > 0 })
	began := time.Now()
	r.pull("1-1")
	if got := c.expect(link.Detached); got.ID != id {
		t.Errorf("%+v", got)
	}
	if got := c.expect(link.Failed); reason(got.Finding) != verdict.RemovedDuringRead {
		t.Errorf("%+v, %v", got, got.Finding)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	c.quiet()
}
