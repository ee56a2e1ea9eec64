package usbd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/testtool"
	"sallyport/internal/uevent"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

func TestDevicesAreReportedInOrder(t *testing.T) {
	r := start(t, stick("1-1", "sda"), &plug{place: "1-6", raw: badUSB, refused: true}, stick("1-5", "sdb"))
	c := r.call()
	r.plug(&plug{place: "2-7", raw: storage, refused: true, name: "no port of ours"})
	want := []struct {
		place  string
		old    bool
		role   usb.Role
		reason verdict.Reason
		shape  string
	}{
		{"1-1", true, usb.In, "", "storage 08/06/50"}, {"1-6", true, "", verdict.CompositeDevice, "storage 08/06/50 and keyboard, mouse or other input 03/01/01"},
		{"1-5", true, usb.Out, "", "storage 08/06/50"}, {"2-7", false, "", verdict.PortNotAllowed, "storage 08/06/50"},
	}
	var last int64
	for i, got := range c.hello(4) {
		w, d := want[i], got.Device
		if d.Place != w.place || d.Old != w.old || d.Role != w.role || reason(d.Refusal) != w.reason || d.Shape != w.shape {
			t.Errorf("%d is %+v (%v), want %+v", i, d, d.Refusal, w)
		}
		if d.Vendor != "0781" || d.Product != "5581" || d.Speed != "480" || len(d.SHA256) != 64 || !strings.HasPrefix(d.Insertion, d.Place+"#") || got.OwnMicros < 0 {
			t.Errorf("%d is %+v", i, d)
		}
		if got.ID <= last {
			t.Errorf("%d has the number %d after %d", i, got.ID, last)
		}
		last = got.ID
	}
	c.quiet() // and each is told once
	r.pull("1-6")
	if got := c.expect(link.Detached); got.ID != 2 {
		t.Errorf("%d has gone", got.ID)
	}
	for _, place := range []string{"1-1", "1-5", "1-6", "2-7"} {
		if r.index("authorise "+place) >= 0 {
			t.Errorf("nobody asked for %s; usbd did %q", place, r.did())
		}
	}
	c.quiet()
}

// Every conversation begins at the beginning.
func TestTheNextConversationHearsAllAgain(t *testing.T) {
	r := start(t, stick("1-1", "sda"))
	first := r.call()
	was := first.hello(1)[0]
	first.conn.Close()
	until(t, "sallyportd has gone", func() bool { return strings.Contains(r.log.String(), "sallyportd has gone") })
	r.plug(stick("1-6", "sdb"))
	r.settle()
	second := r.call()
	list := second.hello(2)
	if got := list[0]; got.ID != was.ID || !got.Device.Old || got.Device.Insertion != was.Device.Insertion || !list[1].Device.Old {
		t.Errorf("%+v, then %+v", list[0].Device, list[1].Device)
	}
	second.open(was.ID)
}

func TestOneConversationAtATime(t *testing.T) {
	r := start(t, stick("1-1", "sda"))
	first := r.call()
	id := first.hello(1)[0].ID
	first.open(id)
	for range 3 {
		r.call().gone()
	}
	first.quiet()
	first.refused(link.Check, id, link.Checked, "")
	if r.index("forbid 1-1") >= 0 {
		t.Error("the first lost its medium to a second")
	}
}

// An answer belongs to the conversation in which it was asked for: the next one
// has not heard of the device yet.
func TestAnswersDoNotReachTheNextConversation(t *testing.T) {
	for name, c := range map[string]struct {
		step   string
		before []string // orders that are answered
		last   string   // the order that is not
	}{
		"opening":       {"open sda", nil, link.Open},
		"failing":       {"authorise 1-1", nil, link.Open},
		"checking":      {"same sda", []string{link.Open}, link.Check},
		"releasing":     {"forbid 1-1", []string{link.Open}, link.Release},
		"not even open": {"forbid 1-1", nil, link.Release},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, stick("1-1", "sda"))
			gate, waiting := make(chan struct{}), make(chan struct{}, 9)
			r.before(func(step string) error {
				if step != c.step {
					return nil
				}
				waiting <- struct{}{}
				<-gate
				if name == "failing" {
					return errors.New("input/output error")
				}
				return nil
			})
			first := r.call()
			id := first.hello(1)[0].ID
			for _, order := range c.before {
				first.send(order, id)
				first.next()
			}
			first.send(c.last, id)
			soon(t, waiting)
			first.conn.Close()
			until(t, "sallyportd has gone", func() bool { return strings.Contains(r.log.String(), "sallyportd has gone") })
			second := r.call()
			second.hello(0) // the device is being worked on
			close(gate)
			if got := second.expect(link.Attached); got.ID != id || r.isAuthorised("1-1") {
				t.Errorf("%+v came", got)
			}
			second.quiet()
			r.fail("nothing", nil)
			second.open(id)
		})
	}
}

func TestWhatADeviceSaysIsEscaped(t *testing.T) {
	hostile := "\x1b[2J\"\\\u202e\x00\xff" + strings.Repeat("A\x07", 2000)
	r := start(t, &plug{place: "1-1", raw: storage, serial: hostile, name: hostile, disks: stick("1-1", "sda").disks})
	r.policy.Rules = nil
	c := r.call()
	d := c.hello(1)[0].Device
	for _, text := range []string{d.Serial, d.Name} {
		if strings.ContainsAny(text, "\x1b\x07\x00\u202e") || !strings.HasPrefix(text, `\x1b[2J"\\\u202e\x00\xff`) || len(text) > 3000 {
			t.Errorf("it says %.60q…, %d bytes", text, len(text))
		}
	}
	if log := r.log.String(); strings.ContainsAny(log, "\x1b\x07") {
		t.Errorf("the log holds %.300q", log)
	}
	c.quiet() // and can be talked about
}

// A refusal quotes the device, which may say a lot.
func TestRefusalOfADeviceThatSaysALot(t *testing.T) {
	r := newRig(t)
	r.policy.Rules = []usb.Rule{{Vendor: "ffff"}}
	r.run()
	r.settle()
	r.plug(&plug{place: "1-1", raw: storage, serial: strings.Repeat("\x01", 4000), refused: true})
	c := r.call()
	if d := c.hello(1)[0].Device; reason(d.Refusal) != verdict.DeviceNotAllowed || !strings.Contains(d.Refusal.Error(), `\x01`) {
		t.Errorf("%+v", d)
	}
	c.quiet()
}

func TestDevicesThatCannotBeRead(t *testing.T) {
	r := start(t, &plug{place: "1-1", raw: storage[:20], refused: true}, &plug{place: "1-6", raw: storage, serial: strings.Repeat("x", 5000), refused: true})
	r.insert(&plug{place: "1-5", raw: storage, refused: true})
	r.change("1-5", "idVendor", "1234\n")
	r.announce()
	c := r.call()
	for i, got := range c.hello(3) {
		if d := got.Device; reason(d.Refusal) != verdict.NotStorage || d.Role != "" || d.Insertion == "" {
			t.Errorf("%d: %+v, %v", i, d, d.Refusal)
		}
		c.refused(link.Open, got.ID, link.Failed, verdict.NotStorage)
	}
}

// A device that comes back as another one is what an attack looks like.
func TestDevicesThatChange(t *testing.T) {
	for name, c := range map[string]struct {
		first, second *plug
		after         time.Duration
		want          verdict.Reason
	}{
		"a stick turns into a keyboard":            {stick("1-1", "sda"), &plug{place: "1-1", raw: keyboard}, time.Second, verdict.DeviceChanged},
		"a hub turns into a stick":                 {&plug{place: "1-1", raw: plainHub}, stick("1-1", "sda"), time.Second, verdict.DeviceChanged},
		"a stick comes back":                       {stick("1-1", "sda"), stick("1-1", "sda"), time.Second, ""},
		"another one, as people do it":             {&plug{place: "1-1", raw: badUSB}, stick("1-1", "sda"), 3 * time.Second, ""},
		"one that cannot be read turns into one":   {&plug{place: "1-1", raw: storage[:20]}, stick("1-1", "sda"), time.Second, verdict.DeviceChanged},
		"the same serial number, much later":       {&plug{place: "1-1", raw: badUSB, serial: "4C53"}, &plug{place: "1-6", raw: storage, serial: "4C53"}, time.Hour, verdict.DeviceChanged},
		"another serial number":                    {&plug{place: "1-1", raw: badUSB, serial: "4C53"}, &plug{place: "1-6", raw: storage, serial: "4c53"}, time.Hour, ""},
		"a stick at its port turns into a no-port": {stick("1-1", "sda"), &plug{place: "1-1", raw: storage[:19]}, time.Second, verdict.DeviceChanged},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.first)
			p := r.call()
			p.hello(1)
			r.pull(c.first.place)
			p.expect(link.Detached)
			r.clock.Add(int64(c.after))
			c.second.refused = c.want != ""
			r.plug(c.second)
			got := p.expect(link.Attached)
			if reason(got.Device.Refusal) != c.want || (got.Device.Role == "") != (c.want != "") {
				t.Fatalf("role %q, %v; want %q", got.Device.Role, got.Device.Refusal, c.want)
			}
			if c.want != "" {
				p.refused(link.Open, got.ID, link.Failed, c.want)
			}
		})
	}
}

// Nobody has to look between a device's going and the coming of the next.
func TestReplacedBetweenTwoLooks(t *testing.T) {
	r := start(t, stick("1-1", "sda"))
	c := r.call()
	first := c.hello(1)[0]
	c.open(first.ID)
	r.withdraw("1-1")
	r.insert(stick("1-1", "sdb"))
	r.announce()
	if got := c.expect(link.Detached); got.ID != first.ID {
		t.Errorf("%d has gone", got.ID)
	}
	second := c.expect(link.Attached)
	if second.ID == first.ID || second.Device.Insertion == first.Device.Insertion || second.Device.Old {
		t.Errorf("%+v after %+v", second.Device, first.Device)
	}
	c.refused(link.Check, first.ID, link.Checked, verdict.RemovedDuringRead)
	c.refused(link.Release, first.ID, link.Released, "")
	if got := c.open(second.ID); got.Disk.Name != "sdb" {
		t.Errorf("%+v is open", got.Disk)
	}
}

// However many events there are, and whatever of them is lost, in the end usbd
// knows what is there.
func TestTenThousandEvents(t *testing.T) {
	r := start(t)
	c := r.call()
	c.hello(0)
	there, moves, sent := map[string]bool{}, 0, 0
	for sent < 10_000 {
		for range 3 { // devices come and go between two batches
			place := fmt.Sprintf("2-%d", 1+moves*7%40)
			if there[place] {
				r.withdraw(place)
			} else {
				r.later()
				r.insert(&plug{place: place, raw: keyboard, refused: true})
			}
			there[place] = !there[place]
			moves++
		}
		var b uevent.Batch
		for i := range 200 {
			b.Events = append(b.Events, uevent.Event{Action: "add", Subsystem: []string{"block", "net", "usb", "scsi"}[i%4], DevType: "usb_device"})
		}
		if sent%1000 == 0 {
			b = uevent.Batch{Lost: true, Foreign: 1}
			sent += 200
		}
		sent += len(b.Events)
		r.events.send(b)
	}
	r.settle()
	known := map[int64]string{}
	c.send(link.Check, 1<<40)
	for {
		got := c.next()
		if got.err != nil {
			t.Fatal(got.err)
		}
		if got.Kind == link.Checked {
			break
		}
		if got.Kind == link.Attached {
			known[got.ID] = got.Device.Place
		} else if got.Kind == link.Detached {
			if known[got.ID] == "" {
				t.Errorf("%d went before it came", got.ID)
			}
			delete(known, got.ID)
		}
	}
	var says, is []string
	for _, place := range known {
		says = append(says, place)
	}
	for place, yes := range there {
		if yes {
			is = append(is, place)
		}
	}
	slices.Sort(says)
	slices.Sort(is)
	if !slices.Equal(says, is) || len(is) == 0 {
		t.Errorf("usbd knows of %q, there are %q", says, is)
	}
}

// A sallyportd that does not listen must not keep usbd from its work: nothing
// may wait for it for long.
func TestWhoDoesNotListenHoldsNothingUp(t *testing.T) {
	r := start(t)
	mine, its := testtool.Sockets(t)
	defer mine.Close()
	r.calls <- link.New(its)
	until(t, "sallyportd is here", func() bool { return strings.Contains(r.log.String(), "sallyportd is here") })
	for i := range 800 { // more than a socket holds
		if i%2 == 0 {
			r.later()
			r.insert(stick("1-1", "sda"))
		} else {
			r.withdraw("1-1")
		}
		r.announce()
		for end := time.Now().Add(time.Second); !r.events.taken() && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // until it is taken or the loop is stuck
		}
		if !r.events.taken() {
			break
		}
	}
	r.settle()
	r.addBus("usb3")
	r.announce()
	until(t, "a new bus is denied", func() bool { return r.index("deny usb3") > 0 })
	was := r.alive.Load()
	until(t, "the watchdog is told", func() bool { return r.alive.Load() > was })
}
