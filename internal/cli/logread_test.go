package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
	"sallyport/internal/translog"
	"sallyport/internal/verifycmd"
)

// entriesOf are the entries that 'log show --json' selects.
func entriesOf(t *testing.T, s *testoffice.Station, args ...string) (all []audit.Entry) {
	t.Helper()
	var log struct{ Entries []audit.Entry }
	if err := json.Unmarshal([]byte(must(t, s, append([]string{"--json", "log", "show"}, args...)...)), &log); err != nil {
		t.Fatal(err)
	}
	return log.Entries
}

// taken takes a medium and returns its id, one of its items and what was printed.
func taken(t *testing.T, s *testoffice.Station, img string) (medium, item, receipt string) {
	t.Helper()
	r := at(t, s, "--json", "intake", img)
	var report struct {
		Medium   struct{ ID string }
		Packages []struct{ Item string }
	}
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || len(report.Packages) == 0 {
		t.Fatalf("%v: %s%s", err, r.out, r.err)
	}
	return report.Medium.ID, report.Packages[0].Item, r.out
}

// verifies runs sallyport-verify with a station's log key on its log.
func verifies(t *testing.T, s *testoffice.Station, dir string, args ...string) (code int, says string) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key.pem")
	must(t, s, "trust", "key", "--out", key)
	var out, errOut bytes.Buffer
	code = verifycmd.Main(t.Context(), append(args, "--dir", dir, "--key", key), &out, &errOut)
	return code, out.String() + errOut.String()
}

// Each filter leaves what it names and takes away the rest, with and without a
// daemon; 'log export' has the same ones.
func TestLogShowFilters(t *testing.T) {
	o := office(t)
	s, err := o.Join("filters", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Source.Seal("--audience", "*", "--kind", "media-set", o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := taken(t, s, fatOf(t, p))
	second, _, _ := taken(t, s, unknown(t))
	uid := strconv.Itoa(os.Getuid())
	each := func(t *testing.T) {
		all := entriesOf(t, s)
		at := all[3].Wall
		for name, c := range map[string]struct {
			args []string
			want func(e *audit.Entry) bool
		}{
			"medium":     {[]string{"--medium", first}, func(e *audit.Entry) bool { return e.Subject.Medium == first }},
			"package":    {[]string{"--package", p.PackageID}, func(e *audit.Entry) bool { return e.Subject.Package == p.PackageID }},
			"station":    {[]string{"--station", o.Source.ID}, func(e *audit.Entry) bool { return e.Subject.Station == o.Source.ID }},
			"person":     {[]string{"--person", uid}, func(e *audit.Entry) bool { return e.Subject.Person == "uid "+uid }},
			"from, to":   {[]string{"--from", "2", "--to", "4"}, func(e *audit.Entry) bool { return e.Seq >= 2 && e.Seq <= 4 }},
			"until":      {[]string{"--until", at}, func(e *audit.Entry) bool { return e.Wall < at }},
			"since":      {[]string{"--since", at, "--to", "9"}, func(e *audit.Entry) bool { return e.Wall >= at && e.Seq <= 9 }},
			"two":        {[]string{"--medium", second, "--outcome", "held"}, func(e *audit.Entry) bool { return e.Subject.Medium == second && e.Outcome == audit.Held }},
			"no such":    {[]string{"--medium", "nothing"}, func(*audit.Entry) bool { return false }},
			"a package?": {[]string{"--medium", p.PackageID}, func(*audit.Entry) bool { return false }},
		} {
			var want []int64
			for i := range all {
				if c.want(&all[i]) {
					want = append(want, all[i].Seq)
				}
			}
			var got []int64
			for _, e := range entriesOf(t, s, c.args...) {
				if e.Seq < int64(len(all)) { // each call and each export adds some
					got = append(got, e.Seq)
				}
			}
			if !slices.Equal(got, want) || len(want) == 0 && name != "no such" && name != "a package?" {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
			text := must(t, s, append([]string{"log", "show"}, c.args...)...)
			if len(want) == 0 && !strings.Contains(text, "entries matches") || len(want) > 0 && !strings.HasPrefix(text, fmt.Sprintf("%6d  ", want[0])) {
				t.Errorf("%s: %s", name, text)
			}
			file := filepath.Join(t.TempDir(), "export")
			doc := document(t, must(t, s, append([]string{"--json", "log", "export", "--format", "jsonl", "--out", file}, c.args...)...))
			exported, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for line := range bytes.Lines(exported) {
				var e audit.Entry
				if err := json.Unmarshal(line, &e); err != nil {
					t.Fatal(err)
				}
				if e.Seq < int64(len(all)) { // each call and each export adds some
					got = append(got, e.Seq)
				}
			}
			if n := int(doc["entries"].(float64)); !slices.Equal(got, want) || n != bytes.Count(exported, []byte("\n")) {
				t.Errorf("%s: %v are exported, %d are said to be, want %v", name, got, n, want)
			}
		}
		for _, bad := range [][]string{{"--from", "5", "--to", "4"}, {"--since", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"}, {"--event", "vote"}} {
			if r := call(t, append([]string{"--config", s.File("sallyport.toml"), "log", "show"}, bad...)...); r.status != 2 {
				t.Errorf("%v: exit status %d: %s", bad, r.status, r.out)
			}
		}
	}
	t.Run("alone", each)
	t.Run("with a daemon", func(t *testing.T) {
		daemon(t, s)
		each(t)
	})
}

// TestLogShowFollow: new entries are printed as they come, older ones only when
// asked for; Ctrl-C ends it well.
func TestLogShowFollow(t *testing.T) {
	o := office(t)
	s, err := o.Join("follow", "ems", "")
	if err != nil {
		t.Fatal(err)
	}
	if r := at(t, s, "log", "show", "--follow"); r.status != 5 || !strings.Contains(r.err, "systemctl start sallyportd") {
		t.Errorf("without a daemon: exit status %d: %s%s", r.status, r.out, r.err)
	}
	if r := at(t, s, "--json", "log", "show", "--follow"); r.status != 5 || strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, `"code":"unavailable"`) {
		t.Errorf("without a daemon: exit status %d: %s%s", r.status, r.out, r.err)
	}
	daemon(t, s)
	if got, want := must(t, s, "log", "show", "--follow", "--from", "0", "--to", "3"), must(t, s, "log", "show", "--to", "3"); got != want {
		t.Errorf("what is there already:\n%s\nwant\n%s", got, want)
	}
	before := len(entriesOf(t, s))
	for _, form := range [][]string{{}, {"--json"}} {
		cmd := command(append(append([]string{"--config", s.File("sallyport.toml")}, form...), "log", "show", "-f", "--event", "medium")...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := make(chan string)
		go func() {
			defer close(lines)
			for in := bufio.NewScanner(out); in.Scan(); {
				lines <- in.Text()
			}
		}()
		// Nothing tells when the command has looked for the end of the log: media
		// are taken until it shows one.
		var id string
		var got []string
		for deadline := time.Now().Add(30 * time.Second); len(got) == 0; {
			id, _, _ = taken(t, s, unknown(t))
			select {
			case line := <-lines:
				got = append(got, line)
			case <-time.After(3 * time.Second):
			}
			if time.Now().After(deadline) {
				t.Fatal("nothing came")
			}
		}
		last := func(line string) bool {
			return strings.Contains(line, id) && strings.Contains(line, "medium.read") && strings.Contains(line, "outcome")
		}
		for !last(got[len(got)-1]) {
			select {
			case line := <-lines:
				got = append(got, line)
			case <-time.After(30 * time.Second):
				t.Fatalf("the end of %s does not come after\n%s", id, strings.Join(got, "\n"))
			}
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		for line := range lines {
			got = append(got, line)
		}
		if status := wait(t, cmd); status != 0 {
			t.Errorf("%v: exit status %d after Ctrl-C", form, status)
		}
		for _, line := range got {
			seq, err := strconv.Atoi(strings.Fields(line)[0])
			if len(form) > 0 {
				var e audit.Entry
				err = json.Unmarshal([]byte(line), &e)
				seq = int(e.Seq)
			}
			if err != nil || seq < before || !strings.Contains(line, "medium.") {
				t.Errorf("%v: entry %d of a log that had %d, %v: %s", form, seq, before, err, line)
			}
		}
	}
}

// A log of several answers is shown whole, in order, and with its damage named.
func TestLogShowOfALongDamagedLog(t *testing.T) {
	o := office(t)
	s, err := o.Join("long", "ems", "")
	if err != nil {
		t.Fatal(err)
	}
	const n = 12_000
	l, err := translog.Open(s.File("state/log"), translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	entries := make([][]byte, n)
	first := l.Size()
	for i := range entries {
		e := audit.Entry{Seq: first + int64(i), Boot: "11111111-2222-3333-4444-555555555555", Wall: "2026-11-03T07:00:00.000000Z", Event: audit.StationStart, Phase: audit.PhaseEvent,
			Fields: map[string]string{"version": strings.Repeat("v", 1000)}}
		if entries[i], err = e.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(entries...); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	numbers := func(text string) (seqs []int64) {
		for line := range strings.Lines(text) {
			if seq, err := strconv.ParseInt(strings.TrimSpace(line[:6]), 10, 64); err == nil {
				seqs = append(seqs, seq)
			}
		}
		return seqs
	}
	daemon(t, s)
	seqs := numbers(must(t, s, "log", "show"))
	for i, seq := range seqs {
		if seq != int64(i) {
			t.Fatalf("entry %d stands where %d belongs", seq, i)
		}
	}
	if len(seqs) < n+int(first) || len(entriesOf(t, s)) != len(seqs) {
		t.Errorf("%d entries are shown, %d were written", len(seqs), n+int(first))
	}
	// A pager that is left early is no error.
	cmd := command("--config", s.File("sallyport.toml"), "log", "show")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if status := wait(t, cmd); status != 0 {
		t.Errorf("a pager was left: exit status %d", status)
	}
	// Damage is named in its place, and what is around it is shown.
	seg := s.File("state/log/00000000000000000000.seg")
	data, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	bad := int64(bytes.Index(data, []byte(`{"seq":1,`)))
	flip(t, seg, bad)
	defer flip(t, seg, bad) // so that the daemon can stop in order
	r := at(t, s, "log", "show", "--to", "4")
	if got := numbers(r.out); r.status != 3 || !slices.Equal(got, []int64{0, 2, 3, 4}) || strings.Count(r.out, "DAMAGED: ") != 1 || !strings.Contains(r.out, "entry 1 (") {
		t.Errorf("exit status %d: %v\n%s%s", r.status, got, r.out, r.err)
	}
	if doc := document(t, at(t, s, "--json", "log", "show", "--to", "4", "--event", "station.init").out); len(doc["damage"].([]any)) != 1 {
		t.Errorf("%v", doc)
	}
	if r := at(t, s, "log", "show", "--follow", "--from", "1", "--to", "2"); r.status != 0 || !strings.HasPrefix(r.out, "DAMAGED: ") || !slices.Equal(numbers(r.out), []int64{2}) {
		t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
	}
	for _, form := range [][]string{{}, {"--json"}} {
		if r := at(t, s, append(form, "log", "explain", "1")...); r.status != 3 || !strings.Contains(r.out, "00000000000000000000.seg") {
			t.Errorf("%v: exit status %d: %s%s", form, r.status, r.out, r.err)
		}
	}
}

// TestLogExplain: an entry is told with its other half, its medium's story and
// what seals it; the answer in JSON is a witness.
func TestLogExplain(t *testing.T) {
	o := office(t)
	s, err := o.Join("explain", "ems", "")
	if err != nil {
		t.Fatal(err)
	}
	id, item, _ := taken(t, s, unknown(t))
	about := entriesOf(t, s, "--medium", id)
	find := func(event audit.EventID, phase audit.Phase) string {
		for _, e := range about {
			if e.Event == event && e.Phase == phase {
				return strconv.FormatInt(e.Seq, 10)
			}
		}
		t.Fatalf("no %s %s", event, phase)
		return ""
	}
	intent, outcome, judged := find(audit.PackageHold, audit.PhaseIntent), find(audit.PackageHold, audit.PhaseOutcome), find(audit.MediumVerdict, audit.PhaseEvent)
	each := func(t *testing.T) {
		for seq, wants := range map[string][]string{
			intent:  {"is to go into quarantine", "no-manifest", "the medium carries no sealed package", "→ Ask the sender for a sealed package", "its end", "entry " + outcome + ": HELD", "item: " + item},
			outcome: {"went into QUARANTINE as item " + item, "HELD", "its begin", "entry " + intent, "s before"},
			judged:  {"VERDICT: HELD", "uid " + strconv.Itoa(os.Getuid()), "the station vouches for its clock", "medium.verdict", "medium     " + id, "→ Ask the sender"},
			"0":     {"The audit log was opened", "nobody asked for it"},
			"1":     {"The station was set up", "explain"},
		} {
			out := must(t, s, "log", "explain", seq)
			for _, want := range append(wants, "entry "+seq+": ", "sealed: the station's TPM has signed", "sallyport/us/maple-county/explain", "sallyport-verify witness") {
				if !strings.Contains(out, want) {
					t.Errorf("entry %s: %q is missing in\n%s", seq, want, out)
				}
			}
			doc := must(t, s, "--json", "log", "explain", seq)
			file := write(t, filepath.Join(t.TempDir(), "entry.json"), []byte(doc))
			if code, says := verifies(t, s, s.File("state/log"), "witness", file); code != 0 || !strings.Contains(says, "INTACT") {
				t.Errorf("entry %s as a witness: exit code %d: %s", seq, code, says)
			}
			if sealed := document(t, doc)["sealed"].(float64); sealed <= document(t, doc)["entry"].(map[string]any)["seq"].(float64) {
				t.Errorf("entry %s: sealed by a checkpoint over %v entries", seq, sealed)
			}
		}
		out := must(t, s, "log", "explain", judged)
		if !strings.Contains(out, "\n> "+fmt.Sprintf("%6s", judged)) || strings.Count(out, "medium="+id) != 6 && strings.Count(out, "medium="+id) != 9 {
			t.Errorf("the entries around:\n%s", out)
		}
		for _, args := range [][]string{{"999999"}, {"--", "-1"}} {
			if r := at(t, s, append([]string{"log", "explain"}, args...)...); r.status != 2 || !strings.Contains(r.err, "has no entry") {
				t.Errorf("%v: exit status %d: %s", args, r.status, r.err)
			}
		}
	}
	t.Run("alone", each)
	t.Run("with a daemon", func(t *testing.T) {
		daemon(t, s)
		// What came after the last checkpoint says so.
		size := len(entriesOf(t, s))
		if out := must(t, s, "log", "explain", strconv.Itoa(size-1)); !strings.Contains(out, "not sealed yet") {
			t.Error(out)
		}
		each(t)
	})
}

// TestQuarantineStory: the story of a medium goes from its insertion to what is
// kept, in order.
func TestQuarantineStory(t *testing.T) {
	o := office(t)
	s, err := o.Join("story", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Source.Seal("--audience", s.ID, "--kind", "election-definition", "--election", testoffice.ElectionID, o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	img := fatOf(t, p)
	taken(t, s, img)
	id, item, _ := taken(t, s, img) // again: a replay
	each := func(t *testing.T) {
		out := must(t, s, "quarantine", "show", item)
		rest := out
		for _, want := range []string{
			"item " + item + ", of medium " + id, "Medium " + id + " came in: image \"", "handed over by uid", "read in the confined reader (fat32): 3 files",
			"Package " + p.PackageID + " (election-definition from station " + o.Source.ID, "the manifest did NOT pass", "not trusted: replayed: ",
			"stored and hashed as item " + item, "went into QUARANTINE as item " + item, "not trusted: replayed: ", "VERDICT: HELD", "→ Nothing is lost: it was counted once",
			"held now as item " + item + ": 3 files", "data/definition.json",
		} {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Fatalf("%q does not come in its order in\n%s", want, out)
			}
			rest = after
		}
		doc := document(t, must(t, s, "--json", "quarantine", "show", item))
		if story := doc["story"].([]any); len(story) < 6 || doc["facts"] == nil || doc["damage"] != nil {
			t.Errorf("%v", doc)
		}
	}
	t.Run("alone", each)
	t.Run("with a daemon", func(t *testing.T) {
		daemon(t, s)
		each(t)
	})
}

// TestSlip: a slip says what became of the medium, and what a decoder reads from
// it contradicts a log that was cut back. So does the report of an intake.
func TestSlip(t *testing.T) {
	o := office(t)
	s, err := o.Join("slips", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Source.Seal("--audience", s.ID, "--kind", "election-definition", "--election", testoffice.ElectionID, o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	if r := at(t, s, "slip"); r.status != 2 || !strings.Contains(r.err, "no medium has had its verdict") {
		t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
	}
	old := filepath.Join(t.TempDir(), "old")
	testtool.Run(t, "cp", "-a", s.File("state/log"), old)
	accepted, acceptedItem, receipt := taken(t, s, fatOf(t, p))
	witness := func(t *testing.T, name string, body string) {
		t.Helper()
		file := write(t, filepath.Join(t.TempDir(), "witness"), []byte(body))
		if code, says := verifies(t, s, s.File("state/log"), "witness", file); code != 0 {
			t.Errorf("%s: exit code %d: %s", name, code, says)
		}
		if code, says := verifies(t, s, old, "witness", file); code != 3 || !strings.Contains(says, "the witness saw") {
			t.Errorf("%s against a log that was cut back: exit code %d: %s", name, code, says)
		}
	}
	witness(t, "the report", receipt)
	evil := unknown(t)
	name := filepath.Join(t.TempDir(), "\x1b[31m<script>alert(1)<"+"\u202e")
	if err := os.Rename(evil, name); err != nil {
		t.Fatal(err)
	}
	held, item, _ := taken(t, s, name)
	each := func(t *testing.T) {
		last := must(t, s, "slip")
		if got := must(t, s, "slip", held); withoutCheckpoint(got) != withoutCheckpoint(last) {
			t.Errorf("the last medium:\n%s\nby its id:\n%s", last, got)
		}
		for medium, wants := range map[string][]string{
			accepted: {"Verdict  ACCEPTED", p.PackageID, "election-definition from " + o.Source.ID, "files: 3", acceptedItem, "Station  slips", "us/maple-county"},
			item:     {"Verdict  HELD", held, `\x1b[31m<script>alert(1)<\u202e`, "no-manifest", "-> Ask the sender", "files outside sealed packages", item},
		} {
			text := must(t, s, "slip", medium)
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("%s: %q is missing in\n%s", medium, want, text)
				}
			}
			if strings.ContainsAny(text, "\x1b\u202e") {
				t.Errorf("%s: foreign characters in\n%q", medium, text)
			}
			witness(t, "the QR code", testtool.QRInText(t, text))
			witness(t, "the text", text)
			witness(t, "the text in another editor", "\ufeff"+strings.ReplaceAll(text, "\n", "\r\n"))
			witness(t, "the JSON form", must(t, s, "--json", "slip", medium))
		}
		page := filepath.Join(t.TempDir(), "slip.html")
		if out := must(t, s, "slip", held, "--html", page); !strings.Contains(out, page) {
			t.Error(out)
		}
		body, err := os.ReadFile(page)
		if err != nil || !bytes.Contains(body, []byte("&lt;script&gt;")) || bytes.Contains(body, []byte("<script")) || !bytes.Contains(body, []byte("<svg ")) {
			t.Errorf("%v\n%s", err, body)
		}
		witness(t, "the page", string(body))
		if r := at(t, s, "slip", held, "--html", page); r.status != 2 || !strings.Contains(r.err, "exists already") {
			t.Errorf("exit status %d: %s", r.status, r.err)
		}
	}
	t.Run("alone", each)
	t.Run("with a daemon", func(t *testing.T) {
		daemon(t, s)
		each(t)
	})
}

// withoutCheckpoint is what two slips of one medium have in common.
func withoutCheckpoint(text string) string {
	head, _, _ := strings.Cut(text, "Checkpoint: ")
	return head
}
