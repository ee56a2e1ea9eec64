package usbd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// hungUp waits until usbd has noticed the end of the conversation.
func (r *rig) hungUp(n int) {
	r.t.Helper()
	until(r.t, "sallyportd has gone", func() bool { return strings.Count(r.log.String(), "sallyportd has gone") == n })
}

// denied waits until the medium is denied and nothing of it is open.
func (r *rig) deniedAgain(place string) {
	r.t.Helper()
	until(r.t, place+" is denied", func() bool { return !r.isAuthorised(place) && r.openFiles() == 0 })
}

func TestMediaAreDeniedWhenSallyportdGoes(t *testing.T) {
	p := stick("1-6", "sdb")
	p.slow = true
	r := start(t, stick("1-1", "sda"), p)
	c := r.call()
	list := c.hello(2)
	c.open(list[0].ID)
	c.send(link.Open, list[1].ID) // and its disk does not come
	until(t, "the driver has it", func() bool { return r.index("bind 1-6:1.0") > 0 })
	began := time.Now()
	c.conn.Close()
	r.deniedAgain("1-1")
	r.deniedAgain("1-6")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Whatever was under way when sallyportd went, the next one finds each medium
// denied, and can have it.
func TestTheNextSallyportdCanHaveTheMedia(t *testing.T) {
	for name, under := range map[string]func(t *testing.T, r *rig, c *client, id int64){
		"nothing":             func(*testing.T, *rig, *client, int64) {},
		"the medium was open": func(_ *testing.T, _ *rig, c *client, id int64) { c.open(id) },
		"its disk was awaited": func(t *testing.T, r *rig, c *client, id int64) {
			r.mu.Lock()
			r.plugs["1-1"].slow = true
			r.mu.Unlock()
			c.send(link.Open, id)
			until(t, "the driver has it", func() bool { return r.index("bind 1-1:1.0") > 0 })
		},
		"it was to be checked": func(t *testing.T, r *rig, c *client, id int64) {
			c.open(id)
			if err := c.conn.Send(link.Order{Kind: link.Check, ID: id, Suspect: true}, nil); err != nil {
				t.Fatal(err)
			}
			c.quiet()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, stick("1-1", "sda"))
			c := r.call()
			id := c.hello(1)[0].ID
			under(t, r, c, id)
			c.conn.Close()
			r.hungUp(1)
			r.deniedAgain("1-1")
			r.mu.Lock()
			r.plugs["1-1"].slow = false
			r.mu.Unlock()
			next := r.call()
			if got := next.hello(1)[0]; got.ID != id || got.Device.Refusal != nil {
				t.Fatalf("%+v", got.Device)
			}
			next.open(id)
			next.refused(link.Check, id, link.Checked, "")
			next.refused(link.Release, id, link.Released, "")
			next.quiet()
		})
	}
}

// The same for a device that usbd itself was denying at that time.
func TestTheNextSallyportdAfterADenialAtTheStart(t *testing.T) {
	r := newRig(t)
	r.insert(stick("1-1", "sda"))
	waiting, gate := r.hold("forbid 1-1")
	r.run()
	soon(t, waiting)
	c := r.call()
	c.hello(0)
	c.conn.Close()
	r.hungUp(1)
	close(gate)
	next := r.call()
	next.open(next.hello(1)[0].ID)
}

func TestOrdersOutOfTurnEndTheConversation(t *testing.T) {
	raw := func(body []byte) func(*client, int64) {
		return func(c *client, _ int64) {
			if _, _, err := c.raw.WriteMsgUnix(body, nil, nil); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	for name, do := range map[string]func(c *client, id int64){
		"a check of what is not open":   func(c *client, id int64) { c.send(link.Check, 2) },
		"a release of a keyboard":       func(c *client, id int64) { c.send(link.Release, 3) },
		"a check of a keyboard":         func(c *client, id int64) { c.send(link.Check, 3) },
		"no order":                      func(c *client, id int64) { c.send("", id) },
		"a report":                      func(c *client, id int64) { c.send(link.Opened, id) },
		"another order about no device": func(c *client, id int64) { c.send("format\x1b", 77) },
		"two at once": func(c *client, id int64) {
			_, gate := c.rig.hold("same sda")
			c.send(link.Check, id)
			c.send(link.Check, id)
			c.rig.hungUp(1)
			close(gate)
		},
		"a file": func(c *client, id int64) {
			f, err := os.Open(os.DevNull)
			if err != nil {
				c.t.Fatal(err)
			}
			defer f.Close()
			if err := c.conn.Send(link.Order{Kind: link.Check, ID: id}, f); err != nil {
				c.t.Fatal(err)
			}
		},
		"no JSON":          raw([]byte("open 1")),
		"too much":         raw(bytes.Repeat([]byte(" "), link.MaxMessage+1)),
		"an unknown thing": raw([]byte(`{"kind":"check","id":1,"force":true}`)),
		"two in one":       raw([]byte(`{"kind":"check","id":1}{"kind":"check","id":1}`)),
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, stick("1-1", "sda"), stick("1-6", "sdb"), &plug{place: "1-3", raw: keyboard})
			until(t, "the keyboard is in use", func() bool { return strings.Contains(r.log.String(), "device is in use") })
			c := r.call()
			id := c.hello(3)[0].ID
			c.open(id)
			do(c, id)
			c.gone()
			r.deniedAgain("1-1")
			if log := r.log.String(); strings.ContainsAny(log, "\x1b") || !strings.Contains(log, `"why":"`) {
				t.Errorf("the log holds %q", log)
			}
			next := r.call()
			next.hello(3)
			next.open(id)
		})
	}
}

func TestEndDeniesAllMedia(t *testing.T) {
	waits := stick("1-2.4", "sdc")
	waits.slow = true
	r := start(t, stick("1-1", "sda"), stick("1-6", "sdb"), waits, &plug{place: "1-3", raw: keyboard})
	c := r.call()
	list := c.hello(4)
	c.open(list[0].ID)
	c.open(list[1].ID)
	c.send(link.Open, list[2].ID)
	until(t, "the driver has it", func() bool { return r.index("bind 1-2.4:1.0") > 0 })
	began := time.Now()
	if err := r.finish(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, place := range []string{"1-1", "1-6", "1-2.4"} {
		if r.isAuthorised(place) {
			t.Errorf("%s is still authorised", place)
		}
	}
	c.gone()
}

func TestEndSaysWhatCouldNotBeDenied(t *testing.T) {
	r, c, id := opened(t)
	r.lost("1-1")
	r.fail("forbid 1-1", errors.New("input/output error"))
	c.refused(link.Check, id, link.Checked, "")
	if err := r.finish(); err == nil || !strings.Contains(err.Error(), "cannot deny 1 device") {
		t.Errorf("it ended with %v", err)
	}
	c.gone()
}

// Who cannot hear of devices any more must not go on.
func TestEndOfTheEvents(t *testing.T) {
	r, c, _ := opened(t)
	close(r.events.queue)
	if err := r.wait(); err == nil || !strings.Contains(err.Error(), "the subscription is broken") {
		t.Errorf("it ended with %v", err)
	}
	if r.isAuthorised("1-1") {
		t.Error("the medium is still authorised")
	}
	c.gone()
}

func TestTheWatchdogIsToldWhileDevicesAreSlow(t *testing.T) {
	r := start(t, stick("1-1", "sda"))
	waiting, gate := r.hold("authorise 1-1")
	c := r.call()
	id := c.hello(1)[0].ID
	c.send(link.Open, id)
	soon(t, waiting)
	was := r.alive.Load()
	until(t, "the watchdog is told three times", func() bool { return r.alive.Load() >= was+3 })
	close(gate)
	c.expect(link.Opened)
}

// Many conversations leave nothing behind: run's own check counts goroutines at
// the end, this one descriptors.
func TestNothingIsLeftOfManyConversations(t *testing.T) {
	r := start(t, stick("1-1", "sda"))
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	var before int
	for i := range 50 {
		c := r.call()
		id := c.hello(1)[0].ID
		c.send(link.Open, id)
		if i%2 == 0 {
			got := c.expect(link.Opened)
			got.file.Close()
		}
		if i%5 == 0 {
			c.send("nonsense", id)
		}
		c.conn.Close()
		r.hungUp(i + 1)
		r.deniedAgain("1-1")
		if i == 9 {
			for drained := false; !drained; { // what came after the end
				select {
				case got := <-c.reports:
					if got.file != nil {
						got.file.Close()
					}
					drained = got.err != nil
				case <-time.After(10 * time.Second):
					t.Fatal("the conversation does not end")
				}
			}
			before = count()
		}
	}
	until(t, fmt.Sprintf("%d descriptors are open again", before), func() bool { return count() <= before+1 })
}

// A release that takes the kernel long is answered when it is done, and to no
// other order.
func TestSlowRelease(t *testing.T) {
	r, c, id := opened(t)
	waiting, gate := r.hold("forbid 1-1")
	c.send(link.Release, id)
	soon(t, waiting)
	if r.openFiles() != 0 {
		t.Error("usbd keeps the disk while it waits for the kernel")
	}
	c.refused(link.Open, id, link.Failed, verdict.PortNotAllowed)
	r.plug(&plug{place: "1-5", raw: storage, refused: true})
	c.expect(link.Attached)
	close(gate)
	if got := c.expect(link.Released); got.Finding != nil || got.KernelMicros == 0 {
		t.Errorf("%+v", got)
	}
}
