package hotplug

import (
	"testing"

	"sallyport/internal/usb"
	"sallyport/internal/usb/link"
	"sallyport/internal/verdict"
)

var refusal = verdict.New(verdict.CompositeDevice, "port 1-1", "it is storage and keyboard")

func TestDevicesAreRecordedAndShown(t *testing.T) {
	changed := verdict.New(verdict.DeviceChanged, "port 1-1", "it came back as another one")
	for name, c := range map[string]struct {
		place     string
		role      usb.Role
		refusal   *verdict.Finding
		old, done bool
		phase     string
		removable bool
		recorded  string
	}{
		"refused":                       {"1-1", "", refusal, false, false, Refused, true, "refused 1-1#7 composite-device"},
		"another one than before":       {"1-1", "", changed, false, false, Refused, true, "refused 1-1#7 device-changed"},
		"refused where no port is":      {"2-9.1", "", refusal, true, false, Refused, true, "refused 2-9.1#7 composite-device"},
		"a keyboard":                    {"1-3", usb.Keyboard, nil, false, false, InUse, false, "attached 1-3#7 keyboard"},
		"a keyboard that was there":     {"1-3", usb.Keyboard, nil, true, true, InUse, false, "attached 1-3#7 keyboard"},
		"a security key":                {"1-3", usb.SecurityKey, nil, false, false, InUse, false, "attached 1-3#7 security-key"},
		"a medium to be written":        {"1-5", usb.Out, nil, false, false, Idle, true, "attached 1-5#7 out"},
		"one that was decided before":   {"1-1", usb.In, nil, true, true, Earlier, true, "attached 1-1#7 in"},
		"one whose turn is not yet":     {"1-1", usb.In, nil, false, false, Waiting, false, "attached 1-1#7 in"},
		"one that was there, undecided": {"1-1", usb.In, nil, true, false, Waiting, false, "attached 1-1#7 in"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.hadVerdict(c.place+"#7", c.done)
			g := r.ready()
			if c.phase == Waiting { // for another one
				g.say(stick(1, "1-6", "1"))
				r.visitor()
			}
			device := stick(2, c.place, "7").Device
			device.Role, device.Refusal, device.Old = c.role, c.refusal, c.old
			g.say(link.Report{Kind: link.Attached, ID: 2, Device: device})
			p := r.port(c.place, c.phase)
			if p.Removable != c.removable || p.Since == "" || p.Device == nil {
				t.Fatalf("%+v", p)
			}
			if d := p.Device; d.Port != c.place || d.Insertion != c.place+"#7" || d.Vendor != "0781" || d.Product != "5581" || d.Name != "Ultra" || d.Serial != "4C53" || d.Shape != device.Shape {
				t.Errorf("%+v", d)
			}
			if c.refusal != nil && (p.Verdict != verdict.Refused || len(p.Findings) != 1 || p.Findings[0] != *c.refusal) || c.refusal == nil && (p.Verdict != "" || len(p.Findings) != 0) {
				t.Errorf("%q, %+v", p.Verdict, p.Findings)
			}
			if got := r.done(c.recorded); len(got) != 1 {
				t.Errorf("recorded are %q, want %q", r.done(""), c.recorded)
			}
			if asked := len(r.done("decided " + c.place)); (asked == 1) != (c.old && c.role == usb.In) {
				t.Errorf("it was looked for in the log %d times", asked)
			}
			g.say(gone(2))
			until(t, "its going is recorded", func() bool { return len(r.done("removed "+c.place+"#7")) == 1 })
			v, _ := r.m.View()
			for _, p := range v.Ports {
				if p.Path != c.place {
					continue
				}
				if p.Role == "" {
					t.Errorf("a place that is no port is still shown: %+v", p)
				}
				if p.Phase != Empty || p.Removable || p.Device == nil || c.refusal != nil && len(p.Findings) != 1 {
					t.Errorf("what was there last is not shown: %+v", p)
				}
			}
		})
	}
}

func TestWatchersAreWoken(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	v, changed := r.m.View()
	_, same := r.m.View()
	if changed != same {
		t.Error("two watchers wait for two things")
	}
	select {
	case <-changed:
		t.Fatal("something has changed")
	default:
	}
	v.Problems, v.Ports[0].Phase = append(v.Problems, "mine"), "mine" // a copy
	g.say(stick(1, "1-1", "1"))
	soon(t, changed)
	r.visitor()
	if v, _ := r.m.View(); len(v.Problems) != 0 || v.Ports[0].Phase == "mine" {
		t.Errorf("the view is %+v", v)
	}
}

// Ports that usbd speaks of later get their role, and keep what is in them.
func TestStateThatComesAgain(t *testing.T) {
	r := newRig(t)
	g := r.ready()
	g.say(link.Report{Kind: link.Attached, ID: 2, Device: &link.Device{Place: "1-3", Insertion: "1-3#7", Role: usb.Keyboard}})
	r.port("1-3", InUse)
	g.say(link.Report{Kind: link.State, Ports: []usb.Port{{Path: "1-1", Role: usb.In}, {Path: "1-3", Role: usb.Keyboard}, {Path: "1-7", Role: usb.In}}, NotReady: []string{"not yet"}})
	r.see("the problem", func(v View) bool { return !v.Guarded && len(v.Problems) == 1 && len(v.Ports) == 5 })
	if p := r.port("1-3", InUse); p.Device == nil || p.Role != "keyboard" {
		t.Errorf("%+v", p)
	}
	if p := r.port("1-7", Empty); p.Role != "in" {
		t.Errorf("%+v", p)
	}
}
