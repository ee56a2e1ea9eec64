package usbd

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/uevent"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

func TestEveryBusIsDeniedByDefault(t *testing.T) {
	r := newRig(t)
	r.run()
	r.settle()
	r.call().hello(0) // who is told of no problem can rely on it
	if r.index("deny usb1") < 0 || r.index("deny usb2") < 0 {
		t.Fatalf("usbd did %q", r.did())
	}
	r.addBus("usb3")
	r.announce()
	until(t, "a bus that came later is denied", func() bool { return r.index("deny usb3") > 0 })
	r.removeBus("usb3")
	r.announce()
	r.settle()
	r.addBus("usb3")
	r.announce()
	until(t, "a bus that came back is denied again", func() bool { return r.times("deny usb3") == 2 })
}

// The kernel may still be making a bus when usbd denies it. Its hub has to work
// all the same, since nothing is seen behind a hub that no driver has; until then
// there is no device that could be a problem.
func TestHubOfABusThatIsStillBeingMade(t *testing.T) {
	r := newRig(t)
	r.bareBus("usb3")
	r.run()
	r.settle()
	c := r.call()
	c.hello(0)
	r.mu.Lock()
	r.root0("usb3", "0\n") // as it is born on a bus that denies interfaces
	r.mu.Unlock()
	r.announce()
	until(t, "the hub works", func() bool { return r.index("bind 3-0:1.0") > r.index("deny usb3") })
	c.quiet()
	if r.index("bind 1-0:1.0") >= 0 {
		t.Errorf("a hub that works was given a driver; usbd did %q", r.did())
	}
}

// A root hub that is made anew while nobody looks has the kernel's default
// again, whatever its name: a controller that was reset or plugged in.
func TestBusReplacedBetweenTwoLooksIsDenied(t *testing.T) {
	r := start(t)
	r.removeBus("usb2")
	r.addBus("usb2")
	r.announce()
	until(t, "the new bus of the old name is denied", func() bool { return r.times("deny usb2") == 2 })
}

func TestBusThatCannotBeDenied(t *testing.T) {
	r := newRig(t)
	r.stubborn["usb2"] = errors.New("no space\nleft")
	r.run()
	r.settle()
	r.plug(stick("1-1", "sda"))
	c := r.call()
	s := c.expect(link.State)
	if len(s.NotReady) != 1 || !strings.Contains(s.NotReady[0], "usb2") || strings.Contains(s.NotReady[0], "\n") || len(s.Ports) != len(station().Ports) {
		t.Errorf("the state is %+v", s)
	}
	if status := r.status.String(); !strings.Contains(status, "NOT ready: ") || !strings.Contains(status, "usb2") {
		t.Errorf("systemd was told %q", status)
	}
	id := c.expect(link.Attached).ID
	c.refused(link.Open, id, link.Failed, verdict.PortNotAllowed)
	if r.index("authorise 1-1") >= 0 {
		t.Errorf("usbd did %q", r.did())
	}
	r.mu.Lock()
	delete(r.stubborn, "usb2")
	r.mu.Unlock()
	r.announce() // it is tried again
	if s := c.expect(link.State); len(s.NotReady) != 0 {
		t.Errorf("the state is %+v", s)
	}
	c.open(id)
	if status := r.status.String(); !strings.HasSuffix(status, "\nUSB devices are denied by default\n") {
		t.Errorf("systemd was told %q", status)
	}
}

// What was there before usbd, or was left by a former run of it, is in use
// already. It is taken back before anybody hears of it.
func TestDeviceInUseAtTheStartIsDeniedFirst(t *testing.T) {
	r := newRig(t)
	bad := &plug{place: "1-6", raw: badUSB, refused: true}
	r.insert(stick("1-1", "sda"))
	r.insert(bad)
	r.insert(&plug{place: "1-3", raw: keyboard})
	gate, waiting := make(chan struct{}), make(chan struct{}, 9)
	r.before(func(step string) error {
		if strings.HasPrefix(step, "forbid 1-") {
			waiting <- struct{}{}
			<-gate
		}
		return nil
	})
	r.run()
	c := r.call()
	for range 2 {
		soon(t, waiting)
	}
	if s := c.expect(link.State); len(s.NotReady) > 0 {
		t.Errorf("the state is %+v", s)
	}
	if k := c.expect(link.Attached); k.Device.Place != "1-3" {
		t.Errorf("%s was told while it was being denied", k.Device.Place)
	}
	close(gate)
	for _, d := range []report{c.expect(link.Attached), c.expect(link.Attached)} {
		if r.isAuthorised(d.Device.Place) || r.index("forbid "+d.Device.Place) < 0 {
			t.Errorf("%s is in use; usbd did %q", d.Device.Place, r.did())
		}
		if d.Device.Place == "1-1" {
			c.open(d.ID)
		}
	}
	if !r.isAuthorised("1-3") {
		t.Error("the keyboard was taken away")
	}
}

func TestDeviceThatCannotBeDenied(t *testing.T) {
	r := newRig(t)
	r.insert(&plug{place: "2-1", raw: badUSB, refused: true})
	r.insert(stick("1-1", "sda"))
	r.fail("forbid 2-1", errors.New("input/output error"))
	r.run()
	r.settle()
	var c *client
	until(t, "usbd is not ready", func() bool { return strings.Contains(r.status.String(), "2-1") })
	c = r.call()
	if s := c.expect(link.State); len(s.NotReady) != 1 || !strings.Contains(s.NotReady[0], "2-1") {
		t.Errorf("the state is %+v", s)
	}
	for _, d := range []report{c.expect(link.Attached), c.expect(link.Attached)} {
		if d.Device.Place == "1-1" {
			c.refused(link.Open, d.ID, link.Failed, verdict.PortNotAllowed)
		}
	}
	r.pull("2-1")
	c.expect(link.Detached)
	if s := c.expect(link.State); len(s.NotReady) != 0 {
		t.Errorf("the state is %+v", s)
	}
}

// The end of a device that has gone says nothing about the one that is there
// now, even if the kernel needed long for it.
func TestLateDenialDoesNotExcuseTheNext(t *testing.T) {
	r := newRig(t)
	gates := map[int]chan struct{}{1: make(chan struct{}), 2: make(chan struct{})}
	nth := make(chan int, 2)
	nth <- 1
	r.before(func(step string) error {
		if step != "forbid 2-1" {
			return nil
		}
		n := <-nth
		nth <- n + 1
		<-gates[n]
		return errors.New("input/output error")
	})
	r.stubborn["usb2"] = errors.New("never") // so that each device is in use when it comes
	r.insert(&plug{place: "2-1", raw: badUSB, refused: true})
	r.run()
	r.settle()
	until(t, "the first is being denied", func() bool { return len(nth) == 1 && peek(nth) == 2 })
	r.withdraw("2-1")
	r.insert(&plug{place: "2-1", raw: badUSB, refused: true})
	r.announce()
	until(t, "the second is being denied", func() bool { return len(nth) == 1 && peek(nth) == 3 })
	c := r.call()
	problems := func(n int) {
		t.Helper()
		if s := c.expect(link.State); len(s.NotReady) != n {
			t.Errorf("%d problems were expected: %q", n, s.NotReady)
		}
	}
	problems(1)
	close(gates[2])
	problems(2)
	c.expect(link.Attached)
	close(gates[1])
	until(t, "both tasks end", func() bool { return strings.Count(r.log.String(), "device cannot be denied") > 0 })
	c.quiet() // nothing has become better
	c.quiet()
}

// peek looks at the one value of a channel that serves as a counter.
func peek(c chan int) int {
	n := <-c
	c <- n
	return n
}

// When a device that was given to the kernel cannot be taken back, the station
// is not ready, no matter on which way it came to that.
func TestDeviceThatIsNotTakenBackStopsEverything(t *testing.T) {
	for name, c := range map[string]struct {
		fails string // the step
		use   func(c *client, id int64)
	}{
		"after it was read": {"", func(c *client, id int64) {
			c.open(id)
			if f := c.refused(link.Release, id, link.Released, verdict.Unreadable); !strings.Contains(f.Detail, "denied again") {
				t.Errorf("%v", f)
			}
		}},
		"after it could not be opened": {"open sda", func(c *client, id int64) {
			if f := c.refused(link.Open, id, link.Failed, verdict.Unreadable); !strings.Contains(f.Detail, "denied again") {
				t.Errorf("%v", f)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, stick("1-1", "sda"), stick("1-6", "sdb"))
			bad := errors.New("input/output error")
			r.before(func(step string) error {
				if step == "forbid 1-1" || step == c.fails {
					return bad
				}
				return nil
			})
			p := r.call()
			list := p.hello(2)
			c.use(p, list[0].ID)
			if s := p.expect(link.State); len(s.NotReady) != 1 || !strings.Contains(s.NotReady[0], "1-1") {
				t.Errorf("the state is %+v", s)
			}
			p.refused(link.Open, list[1].ID, link.Failed, verdict.PortNotAllowed)
			r.pull("1-1") // which the test needs to end in order
			p.expect(link.Detached)
		})
	}
}

func TestKeyboardThatIsNotTakenBackStopsEverything(t *testing.T) {
	r := newRig(t)
	r.before(func(step string) error {
		if step == "bind 1-3:1.0" || step == "forbid 1-3" {
			return errors.New("input/output error")
		}
		return nil
	})
	r.run()
	r.settle()
	r.plug(&plug{place: "1-3", raw: keyboard})
	until(t, "the keyboard is given up", func() bool { return strings.Contains(r.log.String(), "device cannot be used") })
	if s := r.call().expect(link.State); len(s.NotReady) != 1 || !strings.Contains(s.NotReady[0], "1-3") {
		t.Errorf("the state is %+v", s)
	}
}

// Whether a device is denied has to be known; a device of which it is not is
// denied once more.
func TestDeviceOfUnknownStateIsDenied(t *testing.T) {
	r := start(t)
	r.insert(stick("1-1", "sda"))
	r.change("1-1", "authorized", strings.Repeat("0", 5000))
	r.announce()
	until(t, "it is denied", func() bool { return r.index("forbid 1-1") > 0 })
}

func TestRolesThatNeedNobody(t *testing.T) {
	r := start(t, &plug{place: "1-2", raw: plainHub}, &plug{place: "1-3", raw: keyboard}, &plug{place: "1-4", raw: token})
	for _, place := range []string{"1-2", "1-3", "1-4"} {
		until(t, place+" is in use", func() bool { return r.index("bind "+place+":1.0") > 0 })
	}
	r.plug(stick("1-2.4", "sda"))
	r.settle()
	r.plug(&plug{place: "1-2.3", raw: keyboard, refused: true}) // behind the hub, at no configured port
	r.settle()
	c := r.call()
	for i, d := range c.hello(4) {
		want := []struct {
			place string
			role  usb.Role
		}{{"1-3", usb.Keyboard}, {"1-4", usb.SecurityKey}, {"1-2.4", usb.In}, {"1-2.3", ""}}[i]
		if d.Device.Place != want.place || d.Device.Role != want.role || (d.Device.Refusal == nil) != (want.role != "") {
			t.Errorf("%+v, want %+v", d.Device, want)
		}
	}
	r.pull("1-2.4")
	r.pull("1-2.3")
	r.pull("1-2") // of which nobody has heard
	c.expect(link.Detached)
	c.expect(link.Detached)
	c.quiet()
	c.refused(link.Open, 2, link.Failed, verdict.PortNotAllowed) // a keyboard is no medium
	c.conn.Close()
	until(t, "sallyportd has gone", func() bool { return strings.Contains(r.log.String(), "sallyportd has gone") })
	if !r.isAuthorised("1-3") || !r.isAuthorised("1-4") {
		t.Error("the keyboard went with sallyportd")
	}
	if err := r.finish(); err != nil {
		t.Error(err)
	}
	if !r.isAuthorised("1-3") || !r.isAuthorised("1-4") {
		t.Error("the keyboard went with usbd")
	}
}

func TestKeyboardThatCannotBeUsed(t *testing.T) {
	r := newRig(t)
	r.fail("bind 1-3:1.0", errors.New("input/output error"))
	r.run()
	r.settle()
	r.plug(&plug{place: "1-3", raw: keyboard})
	r.plug(&plug{place: "1-4", raw: token, extra: []byte{8, 6, 0x50}}) // storage, once it is authorised
	c := r.call()
	c.expect(link.State)
	for range 2 {
		d := c.expect(link.Attached)
		want := map[string]verdict.Reason{"1-3": verdict.Unreadable, "1-4": verdict.CompositeDevice}[d.Device.Place]
		if d.Device.Role != "" || reason(d.Device.Refusal) != want {
			t.Errorf("%s: role %q, %v", d.Device.Place, d.Device.Role, d.Device.Refusal)
		}
		if r.isAuthorised(d.Device.Place) {
			t.Errorf("%s is still authorised", d.Device.Place)
		}
	}
	if r.index("bind 1-4:1.0") >= 0 {
		t.Error("a driver got an interface of a device that changed")
	}
}

// Only devices are looked at, and no event is needed for what a batch tells to
// look at.
func TestHintsThatAreNotOurs(t *testing.T) {
	r := start(t)
	c := r.call()
	c.hello(0)
	r.insert(stick("1-1", "sda"))
	r.events.send(uevent.Batch{Events: []uevent.Event{{Action: "add", Subsystem: "net"}, {Action: "add", Subsystem: "mem"}}, Foreign: 3})
	c.quiet()
	if !strings.Contains(r.log.String(), `"messages":3`) {
		t.Error("forged events are not in the log")
	}
	r.events.send(uevent.Batch{Lost: true})
	c.expect(link.Attached)
	r.withdraw("1-1")
	r.events.send(uevent.Batch{Events: []uevent.Event{{Subsystem: "block"}, {Subsystem: "scsi"}}}) // of disks
	c.quiet()
	r.events.send(uevent.Batch{Events: []uevent.Event{{Subsystem: "net"}, {Subsystem: "usb"}, {Subsystem: "block"}}})
	c.expect(link.Detached)
}
