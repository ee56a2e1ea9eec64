package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/testoffice"
	"sallyport/internal/translog"
)

// TestLogExport exports the log of a real station in every format, with and
// without a daemon.
func TestLogExport(t *testing.T) {
	o := office(t)
	s := o.EMS
	export := func(t *testing.T, format string, args ...string) (map[string]any, []byte) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "export")
		doc := document(t, must(t, s, append([]string{"--json", "log", "export", "--format", format, "--out", file}, args...)...))
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return doc, b
	}
	each := func(t *testing.T) {
		for format, want := range map[string]string{
			"cdf-json": `"Id":"station.init","Sequence":"1"`, "cdf-xml": "<Id>station.init</Id><Sequence>1</Sequence>",
			"jsonl": `"event":"station.init"`, "csv": "\r\n1,station.init,notice,",
		} {
			doc, b := export(t, format)
			if doc["entries"] != doc["log_entries"] || doc["entries"].(float64) < 3 || doc["damaged"] != 0.0 || !bytes.Contains(b, []byte(want)) {
				t.Errorf("%s: %v\n%.1000s", format, doc, b)
			}
		}
		// The filters: each takes something away and leaves the entry.
		_, all := export(t, "jsonl")
		first, _, _ := strings.Cut(string(all), "\n")
		for _, args := range [][]string{{"--to", "0"}, {"--event", "log.opened", "--to", "1"}, {"--from", "0", "--to", "0", "--until", "2199-01-01T00:00:00Z", "--since", "2020-01-01T00:00:00Z"}} {
			if doc, b := export(t, "jsonl", args...); string(b) != first+"\n" || doc["entries"] != 1.0 {
				t.Errorf("%v: %v\n%s", args, doc, b)
			}
		}
		if _, b := export(t, "jsonl", "--until", "2020-01-01T00:00:00Z"); len(b) > 0 {
			t.Errorf("entries from before there was a station: %s", b)
		}
		if text := must(t, s, "log", "export", "--format", "csv", "--out", filepath.Join(t.TempDir(), "x"), "--to", "1"); !strings.Contains(text, "wrote 2 of ") {
			t.Error(text)
		}
	}
	t.Run("alone", each)
	if _, b := export(t, "cdf-json", "--documentation", filepath.Join(t.TempDir(), "events")); !bytes.Contains(b, []byte(`"Type":"ems"`)) {
		t.Errorf("%.500s", b)
	}
	t.Run("with a daemon", func(t *testing.T) {
		daemon(t, s)
		each(t)
	})
	// A folder is read without a station.
	file := filepath.Join(t.TempDir(), "export")
	if r := call(t, "log", "export", "--format", "csv", "--folder", s.File("state/log"), "--out", file); r.status != 0 {
		t.Errorf("a folder: exit status %d: %s%s", r.status, r.out, r.err)
	}
}

func TestLogExportNeverOverwritesAndLeavesNothingBehind(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	there := write(t, filepath.Join(dir, "there"), []byte("kept"))
	out := filepath.Join(dir, "out")
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a file that exists":          {[]string{"--format", "csv", "--out", there}, "exists already"},
		"documentation that exists":   {[]string{"--format", "cdf-xml", "--out", out, "--documentation", there}, "exists already"},
		"no folder":                   {[]string{"--format", "csv", "--out", filepath.Join(out, "x")}, "no folder"},
		"nothing to write":            {[]string{"--format", "csv"}, "--out"},
		"both to one file":            {[]string{"--format", "cdf-json", "--out", out, "--documentation", dir + "/./out"}, "same file"},
		"documentation as CSV":        {[]string{"--format", "csv", "--out", out, "--documentation", out + "2"}, "cdf-json"},
		"no such format":              {[]string{"--format", "pdf", "--out", out}, "cdf-json"},
		"no such event":               {[]string{"--format", "csv", "--out", out, "--event", "vote"}, "no event"},
		"no such outcome":             {[]string{"--format", "csv", "--out", out, "--outcome", "fine"}, "no outcome"},
		"an end before the beginning": {[]string{"--format", "csv", "--out", out, "--from", "5", "--to", "4"}, "no entry"},
		"a time that never is":        {[]string{"--format", "csv", "--out", out, "--since", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"}, "no time"},
		"a folder that is no log":     {[]string{"--format", "csv", "--out", out, "--folder", dir}, "cannot"},
	} {
		r := at(t, o.EMS, append([]string{"log", "export"}, c.args...)...)
		if r.status != 2 || !strings.Contains(r.err, c.says) {
			t.Errorf("%s: exit status %d: %s", name, r.status, r.err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(there); err != nil || string(b) != "kept" || len(left) != 1 {
		t.Errorf("%v: %q, %v", left, b, err)
	}
	// The documentation alone needs no entries.
	if text := must(t, o.EMS, "log", "export", "--format", "cdf-xml", "--documentation", out); !strings.Contains(text, "meaning of the events") || strings.Contains(text, "entries") {
		t.Error(text)
	}
}

// A log that is damaged under a running daemon is exported with the damage
// named, and the command says so; one that the station refuses to open is
// exported from its folder.
func TestLogExportNamesDamage(t *testing.T) {
	o := office(t)
	s, err := o.Join("rotten", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	daemon(t, s)
	seg := s.File("state/log/00000000000000000000.seg")
	data, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	at1 := int64(bytes.Index(data, []byte(`{"seq":1,`)))
	flip(t, seg, at1)
	check := func(args ...string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "export")
		args = append([]string{"log", "export", "--format", "csv", "--event", "station.init"}, args...)
		r := at(t, s, append(args, "--json", "--out", file)...)
		doc := document(t, r.out)
		b, err := os.ReadFile(file)
		if r.status != 3 || err != nil || doc["damaged"] != 1.0 || !strings.Contains(r.out, "entry 1 (") || !bytes.Contains(b, []byte("\r\n1,export.damaged,critical,")) {
			t.Errorf("exit status %d: %s%s\n%s, %v", r.status, r.out, r.err, b, err)
		}
		r = at(t, s, append(args, "--out", file+"2")...)
		if r.status != 3 || !strings.Contains(r.out, "DAMAGED: ") || !strings.Contains(r.out, "sallyport-verify log") {
			t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
		}
	}
	check()
	check("--folder", s.File("state/log"))
	flip(t, seg, at1) // so that the daemon can stop in order
}

// flip inverts one bit of a file in its place.
func flip(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

// A log of several answers comes out whole and in order.
func TestLogExportOfALongLog(t *testing.T) {
	const n = 25_001
	dir := filepath.Join(t.TempDir(), "log")
	if err := translog.Create(dir, "sallyport/us/maple-county/ems-1", translog.Options{}); err != nil {
		t.Fatal(err)
	}
	l, err := translog.Open(dir, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want := make([][]byte, n)
	for i := range want {
		e := audit.Entry{Seq: int64(i), Boot: "11111111-2222-3333-4444-555555555555", Wall: "2026-11-03T07:00:00.000000Z", Event: audit.StationStart, Phase: audit.PhaseEvent}
		if want[i], err = e.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(want...); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "export")
	r := call(t, "log", "export", "--format", "jsonl", "--folder", dir, "--out", file)
	got, err := os.ReadFile(file)
	if r.status != 0 || err != nil || !bytes.Equal(got, append(bytes.Join(want, []byte("\n")), '\n')) {
		t.Errorf("exit status %d: %s%s\n%d bytes, %v", r.status, r.out, r.err, len(got), err)
	}
}

// The catalogue is the same in the terminal, in JSON and in the document that
// stands in the source.
func TestLogEvents(t *testing.T) {
	doc := document(t, call(t, "--json", "log", "events").out)
	events := doc["events"].([]any)
	table := call(t, "log", "events")
	markdown := call(t, "log", "events", "--markdown")
	if len(events) < 20 || strings.Count(table.out, "\n") != len(events)+1 || strings.Count(markdown.out, "\n") != len(events)+2 {
		t.Errorf("%d events\n%s\n%s", len(events), table.out, markdown.out)
	}
	written, err := os.ReadFile(filepath.Join("..", "audit", "EVENTS.md"))
	if err != nil || !bytes.Contains(written, []byte(markdown.out)) || table.status+markdown.status != 0 {
		t.Errorf("EVENTS.md is not what 'log events --markdown' prints (%v):\n%s", err, markdown.out)
	}
	if r := call(t, "--json", "log", "events", "--markdown"); r.status != 2 {
		t.Errorf("two forms at once: exit status %d", r.status)
	}
}
