package hotplug

import (
	"bytes"
	"errors"
	"runtime/debug"
	"testing"

	"sallyport/internal/testtool"
	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

// A sallyport-usbd that says what it cannot mean is not talked to any more, and
// nothing of what it passed stays open.
func TestWhatUsbdCannotMeanEndsTheConversation(t *testing.T) {
	with := func(r link.Report) func(g *guard) {
		return func(g *guard) {
			f := testtool.File(g.t, "x")
			defer f.Close()
			if err := g.conn.Send(r, f); err != nil {
				g.t.Fatal(err)
			}
		}
	}
	raw := func(body string) func(g *guard) {
		return func(g *guard) {
			if _, _, err := g.raw.WriteMsgUnix([]byte(body), nil, nil); err != nil {
				g.t.Fatal(err)
			}
		}
	}
	say := func(list ...link.Report) func(g *guard) {
		return func(g *guard) {
			for _, r := range list {
				g.conn.Send(r, nil) // it may have hung up already
			}
		}
	}
	for name, do := range map[string]func(g *guard){
		"a file beside the state":           with(link.Report{Kind: link.State}),
		"a file beside a device":            with(stick(9, "1-1", "9")),
		"a file beside a check":             with(link.Report{Kind: link.Checked, ID: 1}),
		"a file beside a device's going":    with(gone(1)),
		"a device without its facts":        say(link.Report{Kind: link.Attached, ID: 9}),
		"an unknown device is open":         with(link.Report{Kind: link.Opened, ID: 9, Disk: &usb.Disk{Name: "sda"}}),
		"an unknown device is not open":     say(link.Report{Kind: link.Failed, ID: 9, Finding: verdict.New(verdict.Unreadable, "", "")}),
		"an unknown device is the same":     say(link.Report{Kind: link.Checked, ID: 9}),
		"an unknown device is denied":       say(link.Report{Kind: link.Released, ID: -1}),
		"an unknown device has gone":        say(gone(9)),
		"a device that has gone went again": say(gone(2), gone(2)),
		"the one that is read, too":         say(gone(1), gone(1)),
		"a device that has gone is open":    say(gone(2), link.Report{Kind: link.Opened, ID: 2}),
		"unasked answers without an end":    say(link.Report{Kind: link.Checked, ID: 2}, link.Report{Kind: link.Checked, ID: 2}, link.Report{Kind: link.Checked, ID: 2}, link.Report{Kind: link.Checked, ID: 2}, link.Report{Kind: link.Checked, ID: 2}),
		"an order":                          raw(`{"kind":"open","id":1,"suspect":true}`),
		"no kind":                           raw(`{}`),
		"an unknown kind":                   say(link.Report{Kind: "formatted", ID: 1}),
		"no JSON":                           raw("attached 1-1"),
		"too much":                          raw(string(bytes.Repeat([]byte(" "), link.MaxMessage+1))),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			g := r.ready()
			g.say(stick(1, "1-1", "1"))
			g.say(stick(2, "1-6", "2"))
			r.port("1-6", Waiting)
			v := r.visitor()
			before := testtool.Descriptors(t)
			do(g)
			soon(t, v.ctx.Done())
			v.finish(verdict.Held) // until then the conversation is there for the release
			g.hungUp()
			r.see("the problem", func(v View) bool { return !v.Guarded && len(v.Problems) == 1 })
			until(t, "nothing stays open", func() bool { return testtool.Descriptors(t) <= before })
		})
	}
}

// An answer without what it is about is an error of usbd, not of the device.
func TestOpenedWithoutADisk(t *testing.T) {
	for name, send := range map[string]func(g *guard) error{
		"without a file": func(g *guard) error {
			return g.conn.Send(link.Report{Kind: link.Opened, ID: 1, Disk: &usb.Disk{Name: "sda"}}, nil)
		},
		"without its facts": func(g *guard) error {
			f := testtool.File(g.t, "x")
			defer f.Close()
			return g.conn.Send(link.Report{Kind: link.Opened, ID: 1}, f)
		},
		"with a file and a finding": func(g *guard) error {
			f := testtool.File(g.t, "x")
			defer f.Close()
			return g.conn.Send(link.Report{Kind: link.Opened, ID: 1, Disk: &usb.Disk{Name: "sda"}, Finding: verdict.New(verdict.Unreadable, "", "")}, f)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			g := r.ready()
			g.say(stick(1, "1-1", "1"))
			v := r.visitor()
			before := testtool.Descriptors(t)
			o := asked(g, func() opening { o, err := v.Door.Open(v.ctx); return opening{o, err} }, link.Open, 1, func() {
				if err := send(g); err != nil {
					t.Fatal(err)
				}
			})
			if o.err == nil || o.File != nil {
				t.Errorf("%+v", o)
			}
			if now := testtool.Descriptors(t); now > before {
				t.Errorf("%d descriptors are open, %d were before", now, before)
			}
		})
	}
}

// There cannot be more media than sockets, whatever usbd says.
func TestMediaWithoutAnEnd(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range int64(maxQueue + 10) {
			if g.conn.Send(stick(i+1, "1-1", "1"), nil) != nil {
				return // it has hung up, as it should
			}
		}
	}()
	v := r.visitor()
	soon(t, v.ctx.Done())
	v.finish(verdict.Held)
	g.hungUp()
	soon(t, sent)
}

// An answer that nobody waits for any more is closed with the visit at the latest.
func TestAnswerThatNobodyTakes(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close it too
	r := newRig(t)
	g := r.ready()
	g.say(stick(1, "1-1", "1"))
	v := r.visitor()
	before := testtool.Descriptors(t)
	f := testtool.File(t, "x")
	if err := errors.Join(g.conn.Send(link.Report{Kind: link.Opened, ID: 1, Disk: &usb.Disk{Name: "sda"}}, f), f.Close()); err != nil {
		t.Fatal(err)
	}
	g.say(stick(2, "1-6", "2")) // which is read after it
	r.port("1-6", Waiting)
	if now := testtool.Descriptors(t); now != before+1 {
		t.Fatalf("%d descriptors are open, %d were before: nothing is shown", now, before)
	}
	v.finish(verdict.Held)
	r.visitor()
	if now := testtool.Descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d were before", now, before)
	}
}
