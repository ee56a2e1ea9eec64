package eventlog

import (
	"maps"
	"reflect"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, name := range realNames() {
		data, _ := realLog(f, name)
		f.Add(data)
	}
	f.Add(write(startup(3), entry{0, crtmVersion, utf("1.0"), nil}, entry{4, separator, "\x01\x00\x00\x00", nil}))
	f.Add(oldEvent(0, crtmVersion, [20]byte{}, "1.0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		log, err := Parse(data)
		if err != nil {
			if log != nil {
				t.Error("a log and an error")
			}
			return
		}
		last := 0
		for _, e := range log.Events {
			printable(t, e.Summary)
			printable(t, e.Type.String())
			if e.Offset <= last || e.Offset >= len(data) || e.PCR >= pcrs && e.Type != noAction {
				t.Errorf("%+v", e)
			}
			last = e.Offset
		}
		again, err := Parse(data)
		if err != nil || !reflect.DeepEqual(log, again) || !maps.Equal(log.Replay(), again.Replay()) {
			t.Errorf("read twice, the log is not the same: %v", err)
		}
		if c := Diff(log, again); len(c) != 0 {
			t.Errorf("it differs from itself: %+v", c)
		}
		// Each event is measured or not by its type alone: dropping the last one
		// changes the values if, and only if, it is one that counts.
		if n := len(log.Events); n > 0 {
			short := Log{log.Events[:n-1], log.locality}
			if maps.Equal(short.Replay(), log.Replay()) == (log.Events[n-1].Type != noAction) {
				t.Error("the last event counts wrongly")
			}
		}
	})
}

// FuzzSummary brings the foreign part of an event to every type without the
// frame around it.
func FuzzSummary(f *testing.F) {
	for _, name := range realNames() {
		data, _ := realLog(f, name)
		log, err := Parse(data)
		if err != nil {
			f.Fatal(err)
		}
		for i, e := range log.Events {
			end := len(data)
			if i+1 < len(log.Events) {
				end = log.Events[i+1].Offset
			}
			const frame = 12 + 22 + 34 + 4
			f.Add(uint32(e.Type), data[e.Offset+frame:end])
		}
	}
	f.Fuzz(func(t *testing.T, typ uint32, data []byte) {
		printable(t, summary(Type(typ), data))
		covered(Type(typ), zeros, data)
	})
}

func printable(t *testing.T, s string) {
	t.Helper()
	if s == "" || len(s) > MaxSummary {
		t.Errorf("%d bytes: %q", len(s), s)
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			t.Errorf("not printable: %q", s)
		}
	}
}
