package cli_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"sallyport/internal/eventlog"
	"sallyport/internal/testoffice"
)

// captured is a firmware's event log, and the values that the TPM had then.
func captured(t *testing.T, name string) (path string, log *eventlog.Log, pcrs map[int]string) {
	t.Helper()
	path = filepath.Join("..", "eventlog", "testdata", name)
	data, err := os.ReadFile(path + ".bin")
	if err == nil {
		log, err = eventlog.Parse(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(path + ".pcrs")
	if err != nil {
		t.Fatal(err)
	}
	pcrs = map[int]string{}
	for line := range strings.Lines(string(data)) {
		var n int
		var value string
		if _, err := fmt.Sscan(line, &n, &value); err != nil {
			t.Fatal(err)
		}
		pcrs[n] = value
	}
	return path + ".bin", log, pcrs
}

// boots starts the station's TPM anew and extends it as the firmware and then
// systemd's phases did.
func boots(t *testing.T, s *testoffice.Station, log *eventlog.Log, phases ...string) {
	t.Helper()
	s.KillTPM()
	if err := s.StartTPM(); err != nil {
		t.Fatal(err)
	}
	tr, err := linuxudstpm.Open(s.File("tpm.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	extend := func(pcr int, digest [32]byte) {
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]}}},
		}.Execute(tr)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range log.Events {
		if e.Type.String() != "EV_NO_ACTION" {
			extend(e.PCR, e.Digest)
		}
	}
	for _, p := range phases {
		extend(11, sha256.Sum256([]byte(p)))
	}
}

// registers are those that 'station measure --json' shows.
func registers(t *testing.T, doc map[string]any) map[int]map[string]any {
	t.Helper()
	all := map[int]map[string]any{}
	for _, r := range doc["pcrs"].([]any) {
		r := r.(map[string]any)
		all[int(r["pcr"].(float64))] = r
	}
	return all
}

// TestMeasureExplainsAHealthySystem: the logs of real machines explain all
// registers that are shown, also those that nothing extended, and the phases that
// systemd measures after the log has ended.
func TestMeasureExplainsAHealthySystem(t *testing.T) {
	o := office(t)
	s := newStation(t, o, "measured", "source")
	must(t, s, "init", "--root", o.Dir+"/root.json")
	for name, phases := range map[string][]string{
		"secure":  {"enter-initrd", "leave-initrd", "sysinit", "ready"},
		"grub":    nil,
		"seabios": nil,
	} {
		t.Run(name, func(t *testing.T) {
			path, log, pcrs := captured(t, name)
			boots(t, s, log)
			r := at(t, s, "--json", "station", "measure", "--event-log", path)
			doc := document(t, r.out)
			if r.status != 5 || doc["bound"] != true || len(doc["approved"].([]any)) != 0 { // nobody has enrolled it
				t.Errorf("exit status %d: %s", r.status, r.out)
			}
			shown := registers(t, doc)
			if len(shown) != 9 || shown[10] != nil {
				t.Errorf("registers %v", shown)
			}
			for n, p := range shown {
				if p["sha256"] != pcrs[n] || p["replayed"] != "equal" || p["phases"] != nil || p["holds"] == "" {
					t.Errorf("PCR %d: %v, the machine had %s", n, p, pcrs[n])
				}
			}
			if says := fmt.Sprintf("%d events, which explain 9 of these 9 registers", len(log.Events)); doc["event_log"] != says {
				t.Errorf("the log is said to have %v, want %s", doc["event_log"], says)
			}
			if len(phases) == 0 {
				return
			}
			boots(t, s, log, phases...)
			r = at(t, s, "station", "measure", "--event-log", path, "--events")
			for _, says := range []string{"with systemd's " + strings.Join(phases, ", ") + ")", "explain 9 of these 9", "EV_SEPARATOR", "NOT APPROVED", "sallyport authority approve"} {
				if !strings.Contains(r.out, says) {
					t.Errorf("%q is not in %s", says, r.out)
				}
			}
			if strings.Contains(r.out, "SOMETHING ELSE") || strings.Count(r.out, "the event log explains it") != 9 {
				t.Errorf("a healthy system is shown as %s", r.out)
			}
		})
	}
}

// TestMeasureShowsWhatTheLogDoesNotExplain: a log of another machine, and what was
// measured and is not in the log.
func TestMeasureShowsWhatTheLogDoesNotExplain(t *testing.T) {
	o := office(t)
	s := newStation(t, o, "odd", "source")
	must(t, s, "init", "--root", o.Dir+"/root.json")
	path, log, _ := captured(t, "secure")
	other, _, _ := captured(t, "seabios")
	boots(t, s, log, "enter-initrd", "something else")
	doc := document(t, at(t, s, "--json", "station", "measure", "--event-log", path).out)
	for n, p := range registers(t, doc) {
		if want := map[bool]string{true: "differs", false: "equal"}[n == 11]; p["replayed"] != want || p["phases"] != nil {
			t.Errorf("PCR %d: %v, want %s", n, p, want)
		}
	}
	boots(t, s, log)
	if r := at(t, s, "station", "measure", "--event-log", other); strings.Count(r.out, "(THE EVENT LOG SAYS SOMETHING ELSE)") < 5 {
		t.Errorf("with the log of another machine: %s", r.out)
	}
	dir := t.TempDir()
	for name, c := range map[string]struct{ log, says string }{
		"no log":     {dir + "/none", "none: this system's firmware gives no event log"},
		"no log, 2":  {dir, "not a plain file"},
		"endless":    {"/dev/zero", "not a plain file"},
		"no log, 3":  {write(t, filepath.Join(dir, "x"), []byte("x")), "not understood"},
		"no SHA-256": {write(t, filepath.Join(dir, "empty"), nil), "not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			r := at(t, s, "--json", "station", "measure", "--event-log", c.log)
			doc := document(t, r.out)
			if says, _ := doc["event_log"].(string); r.status != 5 || !strings.Contains(says, c.says) {
				t.Errorf("exit status %d: %s", r.status, r.out)
			}
			for n, p := range registers(t, doc) {
				if p["replayed"] != nil {
					t.Errorf("PCR %d: %v", n, p)
				}
			}
		})
	}
}

// TestApprovalAtTheDesk: a station after an update is measured, approved, and
// seals again, by the words that the commands print.
func TestApprovalAtTheDesk(t *testing.T) {
	o := office(t)
	root := o.Dir + "/root.json"
	s, answer := answered(t, o, o.Authority, root, "updated")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	must(t, o.Authority, "authority", "admit", answer+"=media-set", "--label", "release 1", "--out", file("bundle-1"))
	must(t, s, "trust", "install", file("bundle-1"))
	note := write(t, file("note.txt"), []byte("note"))
	seal := func(to string) result {
		return at(t, s, "seal", "--kind", "media-set", "--audience", "*", "--out", file(to), note)
	}
	if r := seal("one"); r.status != 0 {
		t.Fatalf("exit status %d: %s", r.status, r.err)
	}
	if shown := must(t, s, "station", "measure"); !strings.Contains(shown, "approved by the authority as release 1") {
		t.Error(shown)
	}
	_, log, _ := captured(t, "grub")
	boots(t, s, log)
	if r := seal("two"); r.status != 1 || !strings.Contains(r.err, "boot-state-mismatch") || !strings.Contains(r.err, "sallyport station measure") {
		t.Errorf("in another state: exit status %d: %s%s", r.status, r.out, r.err)
	}
	nothingLeft(t, file("two"))
	if r := at(t, s, "status"); r.status != 0 || !strings.Contains(r.out, "cannot seal: boot-state-mismatch") || !strings.Contains(r.out, "ready to take media") {
		t.Errorf("exit status %d: %s", r.status, r.out)
	}
	if r := at(t, s, "station", "measure", "--out", file("measurement")); r.status != 5 || !strings.Contains(r.out, "NOT APPROVED") || !strings.Contains(r.out, "wrote "+file("measurement")) {
		t.Errorf("exit status %d: %s", r.status, r.out)
	}
	must(t, o.Authority, "authority", "approve", file("measurement"), "--label", "release 2", "--drop", "release 1", "--out", file("bundle-2"))
	must(t, s, "trust", "install", file("bundle-2"))
	if r := seal("three"); r.status != 0 {
		t.Errorf("approved: exit status %d: %s", r.status, r.err)
	}
	if shown := must(t, s, "trust", "show"); !strings.Contains(shown, "started as release 2") || strings.Contains(shown, "started as release 1") {
		t.Error(shown)
	}
	if r := at(t, o.Authority, "authority", "approve", file("measurement"), "--drop", "release 1", "--out", file("bundle-3")); r.status != 2 || !strings.Contains(r.err, `none that is called "release 1"`) {
		t.Errorf("dropped twice: exit status %d: %s", r.status, r.err)
	}
}
