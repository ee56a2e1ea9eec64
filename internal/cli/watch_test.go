package cli

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/hotplug"
	"sallyport/internal/intake"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

func stick() *intake.Device {
	return &intake.Device{Port: "1-1", Vendor: "0781", Product: "5581", Manufacturer: "SanDisk", Name: `Ultra\x1b[31m`, Serial: "4C53", Bytes: 32 << 30}
}

func TestWhatAPortShows(t *testing.T) {
	finding := func(r verdict.Reason, detail string) []verdict.Finding {
		return []verdict.Finding{*verdict.New(r, "", detail)}
	}
	for name, c := range map[string]struct {
		port  hotplug.Port
		has   []string
		hasNo []string
	}{
		"nothing":   {hotplug.Port{Path: "1-1", Role: "in", Phase: hotplug.Empty}, []string{"1-1      in           empty"}, []string{"SAFE", ":"}},
		"waiting":   {hotplug.Port{Path: "1-1", Role: "in", Phase: hotplug.Waiting, Device: stick()}, []string{"waiting for its turn", `SanDisk Ultra\x1b[31m, serial number 4C53, 32.0 GiB`}, []string{"SAFE", "\x1b"}},
		"reading":   {hotplug.Port{Path: "1-1", Role: "in", Phase: intake.Reading, Device: stick(), Done: 512 << 20, Total: 2 << 30}, []string{"reading 512.0 MiB of 2.0 GiB (25 %)"}, []string{"SAFE"}},
		"releasing": {hotplug.Port{Path: "1-1", Role: "in", Phase: intake.Releasing, Device: stick()}, []string{"do not pull it yet"}, []string{"SAFE"}},
		"accepted":  {hotplug.Port{Path: "1-1", Role: "in", Phase: hotplug.Decided, Verdict: verdict.Accepted, Device: stick(), Medium: "abc", Packages: 2, Accepted: 2, Sealed: true, Removable: true}, []string{"ACCEPTED", "2 packages accepted; medium abc", "SAFE TO REMOVE"}, []string{"NOT"}},
		"held": {hotplug.Port{Path: "1-1", Role: "in", Phase: hotplug.Decided, Verdict: verdict.Held, Device: stick(), Sealed: true, Removable: true, Findings: finding(verdict.FileAltered, "its SHA-256 is another")},
			[]string{"HELD", "not trusted: file-altered", "its SHA-256 is another", "→ Do not use the medium", "SAFE TO REMOVE"}, nil},
		"not sealed, not released": {hotplug.Port{Path: "1-1", Role: "in", Phase: hotplug.Decided, Verdict: verdict.Accepted, Device: stick()},
			[]string{"NOT yet sealed by the TPM", "could NOT be released"}, []string{"SAFE"}},
		"refused": {hotplug.Port{Path: "1-1", Role: "in", Phase: hotplug.Refused, Verdict: verdict.Refused, Device: stick(), Removable: true, Findings: finding(verdict.CompositeDevice, "a keyboard too")},
			[]string{"REFUSED", "refused: composite-device", "a keyboard too", "it may be an attack", "SAFE TO REMOVE"}, nil},
		"elsewhere":  {hotplug.Port{Path: "1-7", Phase: hotplug.Refused, Verdict: verdict.Refused, Device: stick(), Removable: true}, []string{"no port of this station"}, nil},
		"a keyboard": {hotplug.Port{Path: "1-4", Role: "keyboard", Phase: hotplug.InUse, Device: stick(), Removable: true}, []string{"in use"}, []string{"SAFE"}},
		"pulled":     {hotplug.Port{Path: "1-1", Role: "in", Phase: hotplug.Empty, Verdict: verdict.Held, Findings: finding(verdict.RemovedDuringRead, "")}, []string{"empty; the last was HELD", "Insert the medium again"}, []string{"SAFE"}},
		"replaced":   {hotplug.Port{Path: "1-1", Role: "in", Phase: hotplug.Waiting, Device: stick(), Before: &hotplug.Past{Medium: "abc", Verdict: verdict.Held, Findings: finding(verdict.RemovedDuringRead, "")}}, []string{"the medium before, abc, was HELD: removed-during-read"}, nil},
	} {
		shown := strings.Join(screen(&station.Watch{View: hotplug.View{Guarded: true, Ports: []hotplug.Port{c.port}}}, 300), "\n")
		for _, words := range c.has {
			if !strings.Contains(shown, words) {
				t.Errorf("%s: %q is missing in\n%s", name, words, shown)
			}
		}
		for _, words := range c.hasNo {
			if strings.Contains(strings.SplitN(shown, "\n", 3)[2], words) {
				t.Errorf("%s: %q stands in\n%s", name, words, shown)
			}
		}
	}
}

func TestScreenFitsItsTerminal(t *testing.T) {
	w := &station.Watch{Station: "ems-1", Name: "Büro\x1b[2J", Time: "2026-11-03T20:15:00Z", View: hotplug.View{
		Problems: []string{"usb1 is \x1b[2J not denied"},
		Ports:    []hotplug.Port{{Path: "1-1", Role: "in", Phase: hotplug.Waiting, Device: stick()}},
	}}
	for _, width := range []int{20, 40, 80, 400} {
		lines := screen(w, width)
		for _, line := range lines {
			if n := len([]rune(line)); n > width || strings.ContainsRune(line, 0x1b) {
				t.Errorf("width %d: a line of %d: %q", width, n, line)
			}
		}
		if all := strings.Join(lines, "\n"); width > 40 && (!strings.Contains(all, "NOT ready: usb1") || !strings.Contains(all, "Insert nothing")) {
			t.Errorf("a station that is not ready does not say so:\n%s", all)
		}
	}
}

func TestScreenFillsItsHeight(t *testing.T) {
	lines := []string{"a", "b", "c", "d"}
	if got := fill(lines, 4); !slices.Equal(got, lines) {
		t.Errorf("%q", got)
	}
	if got := fill(lines, 3); !slices.Equal(got, []string{"a", "b", "… and 2 lines more: make the window larger"}) || lines[2] != "c" {
		t.Errorf("%q", got)
	}
}

// Without a terminal there is one line for each change, and none for bytes.
func TestChangesAreLines(t *testing.T) {
	was := map[string]string{}
	w := &station.Watch{View: hotplug.View{Guarded: true, Ports: []hotplug.Port{{Path: "1-1", Role: "in", Phase: hotplug.Empty}}}}
	step := func(phase string, done int64) []string {
		w.Ports[0].Phase, w.Ports[0].Done, w.Ports[0].Total = phase, done, 100
		return changes(was, w)
	}
	if got := step(hotplug.Empty, 0); len(got) != 2 || !strings.Contains(got[0], "denied by default") {
		t.Errorf("at first %q", got)
	}
	if got := step(hotplug.Empty, 0); len(got) != 0 {
		t.Errorf("without a change %q", got)
	}
	if got := step(intake.Reading, 1); len(got) != 1 || !strings.Contains(got[0], "reading") {
		t.Errorf("reading: %q", got)
	}
	if got := step(intake.Reading, 50); len(got) != 0 {
		t.Errorf("more bytes: %q", got)
	}
	w.Guarded, w.Problems, w.Ports = false, []string{"gone"}, nil
	if got := changes(was, w); !slices.Equal(got, []string{"NOT ready: gone"}) {
		t.Errorf("the guard went away: %q", got)
	}
	if _, left := was["1-1"]; left {
		t.Error("a port that is not there any more is remembered")
	}
}
