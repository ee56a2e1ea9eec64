package logexport_test

import (
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/logexport"
	"sallyport/internal/translog"
)

// FuzzEntry makes an entry and a damaged place of any texts. Properties: every
// format stays what it is (XML is well formed, JSON valid, CSV has its rows and
// no formula), nothing in it hides or is obeyed by a terminal, and the entry
// either comes back as it was or is named as damaged.
func FuzzEntry(f *testing.F) {
	const wall = "2026-11-03T07:00:00.000000Z"
	for _, text := range []string{"", "x", hostile, "\x00\x1b[31m\u202e", "]]>", "'", ";'=", "\xff\xfe", "\ufffe\uffff\ufffd", "\r\n\t", "\U0001f5f3", "a\u00a0b", `\`, `"`} {
		f.Add(int64(1), boot, wall, "device.attached", "event", "success", "vendor", text, text)
		f.Add(int64(7), boot, wall, "medium.read", "outcome", "held", "detail", text, text)
		f.Add(int64(0), text, text, text, text, text, text, text, text)
	}
	f.Fuzz(func(t *testing.T, seq int64, bootID, wall, event, phase, outcome, field, value, text string) {
		e := audit.Entry{Seq: seq, Boot: bootID, MonoUS: 1, Wall: wall, Event: audit.EventID(event), Phase: audit.Phase(phase), Outcome: audit.Outcome(outcome),
			Subject: audit.Subject{Medium: text, Package: value, Person: text}, Fields: map[string]string{field: value}}
		if e.Phase == audit.PhaseOutcome {
			e.Ref = 1
		}
		logged, err := e.Encode()
		if seq >= 1<<53 { // no log gets that far: JSON has no such number
			t.Skip()
		}
		whose := about()
		whose.Name, whose.Role, whose.Checkpoint, whose.Filter.About = text, value, text, value
		// One above all that can be named in its place.
		d := translog.Damage{File: value, Offset: 5, Entry: -1, Until: -1, Detail: text}
		for _, format := range logexport.Formats() {
			doc := write(t, format, whose, []audit.Entry{e}, []translog.Damage{d})
			visible(t, format, doc)
			got := read(t, format, doc)
			switch {
			case err != nil && (len(got.damaged) != 2 || len(got.entries) != 0):
				t.Fatalf("%s: no valid entry (%v), but the export has %d entries and %q damaged", format, err, len(got.entries), got.damaged)
			case err == nil && (len(got.damaged) != 1 || len(got.entries) != 1 || !reflect.DeepEqual(got.entries[0], e)):
				t.Fatalf("%s: %s\ncame back as %+v", format, logged, got.entries)
			}
			if format == logexport.JSONLines && err == nil && !strings.Contains(string(doc), string(logged)+"\n") {
				t.Fatalf("not as logged: %s", doc)
			}
		}
	})
}
