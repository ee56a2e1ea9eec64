package usb

import (
	"fmt"
	"testing"
	"time"

	"sallyport/internal/verdict"
)

func TestDevicesThatChange(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	after := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	with := func(place string, raw []byte, serial, speed string) *Facts {
		f := facts(t, place, raw)
		f.Serial, f.Speed = serial, speed
		return f
	}
	for _, c := range []struct {
		name    string
		was, is *Facts
		empty   float64
		changed bool
	}{
		{"the same stick at once", with("1-1", stick, "A", "480"), with("1-1", stick, "A", "480"), 0.1, false},
		{"another of the same kind at once", with("1-1", stick, "A", "480"), with("1-1", stick, "B", "480"), 0.1, false},
		{"a stick that becomes a keyboard", with("1-1", stick, "A", "480"), with("1-1", keyboard, "", "480"), 0.2, true},
		{"a stick that becomes another stick", with("1-1", stick, "", "480"), with("1-1", uas, "", "480"), 2.9, true},
		{"another stick after a pause", with("1-1", stick, "", "480"), with("1-1", uas, "", "480"), 3, false},
		{"another stick in another port", with("1-1", stick, "", "480"), with("1-2", uas, "", "480"), 0.1, false},
		{"a serial number with other descriptors, much later", with("1-1", stick, "A", "480"), with("1-2", uas, "A", "480"), 9000, true},
		{"the same at another speed", with("1-1", stick, "A", "480"), with("2-1", uas, "A", "5000"), 9000, false},
		{"no serial number", with("1-1", stick, "", "480"), with("1-2", uas, "", "480"), 9000, false},
		{"descriptors that cannot be read any more", with("1-1", stick, "A", "480"), &Facts{Path: "1-1", Serial: "A"}, 1, true},
	} {
		var h History
		if f := h.Changed(c.was, start); f != nil {
			t.Errorf("%s: the first device is %v", c.name, f)
		}
		h.Left(c.was, start)
		f := h.Changed(c.is, after(c.empty))
		if (f != nil) != c.changed || f != nil && f.Reason != verdict.DeviceChanged {
			t.Errorf("%s: %v", c.name, f)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h History
	f := facts(t, "1-1", stick)
	for i := range maxKnown + 10 {
		f.Serial = fmt.Sprint(i)
		if c := h.Changed(f, time.Now()); c != nil {
			t.Fatal(c)
		}
	}
	if len(h.known) != maxKnown {
		t.Errorf("%d devices are remembered", len(h.known))
	}
}
