package cli

import (
	"strings"
	"testing"
	"unicode"

	"sallyport/internal/audit"
	"sallyport/internal/station"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// made is an entry of any event, all of whose texts are foreign.
func made(d audit.Definition, phase audit.Phase, outcome audit.Outcome, text string) *audit.Entry {
	e := &audit.Entry{Seq: 7, Boot: "11111111-2222-3333-4444-555555555555", Wall: "2026-11-03T07:00:00.000000Z", Event: d.ID, Phase: phase, Outcome: outcome,
		Subject: audit.Subject{Medium: text, Package: text, Manifest: text, Station: text, Person: text}, Fields: map[string]string{}}
	if phase == audit.PhaseOutcome {
		e.Seq, e.Ref = 8, 7
	}
	for _, name := range d.Fields {
		e.Fields[name] = text
	}
	return e
}

// Every event of the catalogue is told in whole sentences, however it ended, and
// no text of an entry comes out as anything but text.
func TestEveryEventIsTold(t *testing.T) {
	const evil = "\x1b[31m\u202e\n\u00a0"
	for _, d := range audit.Catalogue() {
		var steps []step
		if d.Action {
			begin := made(d, audit.PhaseIntent, "", evil)
			steps = append(steps, step{at: begin})
			for _, o := range audit.Outcomes() {
				steps = append(steps, step{at: begin, end: made(d, audit.PhaseOutcome, o, evil)}, step{at: made(d, audit.PhaseOutcome, o, evil)})
			}
		} else {
			for _, o := range append(audit.Outcomes(), "") {
				steps = append(steps, step{at: made(d, audit.PhaseEvent, o, evil)})
			}
		}
		said := map[string]bool{}
		for _, s := range steps {
			text := s.tell()
			said[text] = true
			var b strings.Builder
			(&story{entries: []audit.Entry{*s.at}}).show(&b, &station.Held{})
			x := &explanation{Entry: *s.at, Text: text, Around: []audit.Entry{*s.at}}
			x.show(&b)
			b.WriteString(text + strings.Join(s.why(), "\n") + logLine(s.at) + aboutMedium(s.at))
			for _, c := range b.String() {
				if c != '\n' && c != ' ' && !unicode.IsPrint(c) {
					t.Fatalf("%s prints %U:\n%q", d.ID, c, b.String())
				}
			}
			if !strings.HasSuffix(text, ".") || strings.Contains(text, "  ") || strings.Contains(text, "%!") {
				t.Errorf("%s, %s: %q", d.ID, s.outcome(), text)
			}
		}
		if d.Action && len(said) < 2 {
			t.Errorf("%s is told alike however it ended: %v", d.ID, said)
		}
	}
}

// Entries of a device that had several packages, one of which the core refused
// and one of which there was no room for, as a station writes them.
func TestPackagesOfAStory(t *testing.T) {
	seq := int64(0)
	var st story
	add := func(id audit.EventID, phase audit.Phase, ref int64, pack string, o audit.Outcome, fields map[string]string) int64 {
		st.entries = append(st.entries, audit.Entry{Seq: seq, Event: id, Phase: phase, Ref: ref, Subject: audit.Subject{Package: pack, Station: "source"}, Outcome: o, Fields: fields})
		seq++
		return seq - 1
	}
	act := func(id audit.EventID, pack string, o audit.Outcome, before, after map[string]string) {
		add(id, audit.PhaseOutcome, add(id, audit.PhaseIntent, 0, pack, "", before), pack, o, after)
	}
	add(audit.PackageVerify, audit.PhaseEvent, 0, "a", audit.Success, map[string]string{"kind": "media-set"})
	act(audit.PackageStage, "a", audit.Success, map[string]string{"item": "m-1"}, map[string]string{"item": "m-1", "files": "3", "bytes": "99"})
	act(audit.PackageAdmit, "a", audit.Accepted, map[string]string{"item": "m-1"}, map[string]string{"item": "m-1"})
	// The same folder once more, on another volume.
	add(audit.PackageVerify, audit.PhaseEvent, 0, "a", audit.Failure, map[string]string{"reason": "replayed"})
	act(audit.PackageStage, "a", audit.Success, map[string]string{"item": "m-2"}, map[string]string{"item": "m-2", "files": "3", "bytes": "99"})
	act(audit.PackageHold, "a", audit.Held, map[string]string{"item": "m-2", "reasons": "replayed,made-up"}, map[string]string{"item": "m-2"})
	add(audit.PackageVerify, audit.PhaseEvent, 0, "b", audit.Success, map[string]string{"kind": "cvr-export"})
	act(audit.PackageStage, "b", audit.Success, map[string]string{"item": "m-3"}, map[string]string{"item": "m-3", "files": "1", "bytes": "5"})
	act(audit.PackageAdmit, "b", audit.Held, map[string]string{"item": "m-3"}, map[string]string{"item": "m-3", "reason": "content-invalid"})
	act(audit.PackageHold, "b", audit.Held, map[string]string{"item": "m-3", "reasons": "content-invalid"}, map[string]string{"item": "m-3"})
	act(audit.PackageStage, "", audit.Failure, map[string]string{"item": "m-4"}, map[string]string{"item": "m-4", "reason": "store-full"})
	got := st.packages()
	if len(got) != 4 || got[0].Verdict != verdict.Accepted || got[0].Kind != "media-set" || got[0].Files != 3 || got[0].Item != "m-1" ||
		got[1].Verdict != verdict.Held || got[1].Item != "m-2" || len(got[1].Reasons) != 1 ||
		got[2].Verdict != verdict.Held || got[2].Item != "m-3" || got[2].Bytes != 5 || got[2].Reasons[0] != verdict.ContentInvalid ||
		got[3].ID != "" || got[3].Item != "" || got[3].Verdict != verdict.Held || got[3].Reasons[0] != verdict.StoreFull {
		t.Errorf("%+v", got)
	}
	if n := len(st.steps()); n != 11 {
		t.Errorf("%d steps", n)
	}
}

// The story of a medium on USB has its device, from when it came to when it went.
func TestStoryOfADevice(t *testing.T) {
	device := func(id audit.EventID, phase audit.Phase, ref int64, o audit.Outcome, fields map[string]string) audit.Entry {
		return audit.Entry{Event: id, Phase: phase, Ref: ref, Outcome: o, Fields: fields, Wall: "2026-11-03T07:00:00.000000Z", WallTrusted: true}
	}
	st := &story{entries: []audit.Entry{
		device(audit.DeviceAttached, audit.PhaseEvent, 0, audit.Success, map[string]string{"port": "1-2", "vendor": "0951", "product": "1666", "name": "DataTraveler", "shape": "one mass storage", "role": "in"}),
		device(audit.MediumInserted, audit.PhaseEvent, 0, "", map[string]string{"port": "1-2", "vendor": "0951", "product": "1666", "serial": "E0D5"}),
		device(audit.DeviceAuthorise, audit.PhaseIntent, 0, "", nil),
		device(audit.DeviceAuthorise, audit.PhaseOutcome, 2, audit.Success, map[string]string{"disk": "sdb", "bytes": "8053063680"}),
		device(audit.MediumVerdict, audit.PhaseEvent, 0, audit.Held, map[string]string{"reasons": "filesystem-unsupported", "bytes": "0", "packages": "0"}),
		device(audit.DeviceRelease, audit.PhaseIntent, 0, "", nil),
		device(audit.DeviceRemoved, audit.PhaseEvent, 0, "", map[string]string{"port": "1-2"}),
	}, damage: []translog.Damage{{File: "x.seg", Entry: 9, Until: 10, Detail: "the checksum\x1b is wrong"}}}
	for i := range st.entries {
		st.entries[i].Seq = int64(i)
	}
	var b strings.Builder
	st.show(&b, &station.Held{})
	rest := b.String()
	for _, want := range []string{"USB device 0951:1666 (DataTraveler, one mass storage) came to port 1-2, which is for: in.", "serial number E0D5, in port 1-2",
		"the disk sdb of 7.5 GiB was opened for reading alone", "VERDICT: HELD", "could not be checked: filesystem-unsupported: ", "→ Ask the sender to use FAT32",
		"is to be denied again. How it ended is not in the log.", "taken out of port 1-2", "DAMAGED: ", `the checksum\x1b is wrong`, "missing above"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q does not come in its order in\n%s", want, b.String())
		}
		rest = after
	}
}
