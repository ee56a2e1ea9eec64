package station_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testtool"
	"sallyport/internal/verifycmd"
)

// checker runs sallyport-verify.
func checker(t *testing.T, args ...string) (code int, says string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = verifycmd.Main(t.Context(), args, &out, &errOut)
	return code, out.String() + errOut.String()
}

// A live challenge shows that a log was put back, whole and with everything in
// it that is signed: its checkpoints and their anchors verify, and do not account
// for the TPM's counter.
func TestALiveChallengeShowsALogThatWasPutBack(t *testing.T) {
	o, dir := newOffice(t), memory(t)
	file := func(name string, body []byte) string {
		path := filepath.Join(dir, name)
		o.ems.must(os.WriteFile(path, body, 0o600))
		return path
	}
	nonce := strings.Repeat("5a", 32)
	log, old := filepath.Join(o.source.cfg.StateDir, "log"), filepath.Join(dir, "old")
	testtool.Run(t, "cp", "-a", log, old)
	var identity, answer, other string
	var early []byte
	o.source.with(func(s *station.Station) {
		identity = file("identity.json", asked[station.Document](t, s, station.OpTrustIdentity, station.NoArgs{}).Body)
		early = asked[station.Document](t, s, station.OpLogAttest, station.AttestArgs{Nonce: nonce}).Body
		asked[station.Sealed](t, s, station.OpSeal, request(t, manifest.MediaSet, map[string][]byte{"note.txt": []byte("x")}))
		answer = file("answer.json", asked[station.Document](t, s, station.OpLogAttest, station.AttestArgs{Nonce: nonce}).Body)
		for _, bad := range []string{"", "5a", "zz" + nonce, nonce[1:]} {
			if _, err := ask[station.Document](s, station.OpLogAttest, station.AttestArgs{Nonce: bad}, nil); failure(t, err).Code != "usage" {
				t.Errorf("nonce %q: %v", bad, err)
			}
		}
	})
	o.ems.with(func(s *station.Station) {
		other = file("other.json", asked[station.Document](t, s, station.OpTrustIdentity, station.NoArgs{}).Body)
	})
	forged := bytes.Replace(early, []byte(nonce), []byte(strings.Repeat("a5", 32)), 1)
	for _, c := range []struct {
		name string
		code int
		says string
		args []string
	}{
		{"the station's own log", 0, "which the log accounts for", []string{"attest", answer, "--nonce", nonce, "--identity", identity, "--dir", log}},
		{"an earlier answer to the same challenge", 0, "accounts for", []string{"attest", file("early.json", early), "--nonce", nonce, "--identity", identity, "--dir", log}},
		{"a log that was put back", 3, "the witness saw", []string{"attest", answer, "--nonce", nonce, "--identity", identity, "--dir", old}},
		{"another nonce", 3, "to another challenge", []string{"attest", answer, "--nonce", strings.Repeat("00", 32), "--identity", identity, "--dir", log}},
		{"an answer for which the nonce was changed", 3, "made for something else", []string{"attest", file("forged.json", forged), "--nonce", strings.Repeat("a5", 32), "--identity", identity, "--dir", log}},
		{"another station's identity", 3, "not this station's", []string{"attest", answer, "--nonce", nonce, "--identity", other, "--dir", log}},
		{"no identity", 2, "--identity", []string{"attest", answer, "--nonce", nonce, "--dir", log}},
		{"the log with its anchors", 0, "Anchored", []string{"log", log, "--identity", identity}},
		{"the answer as a witness", 0, "INTACT", []string{"witness", answer, "--dir", log, "--identity", identity}},
		{"the answer as a witness of the old log", 3, "the witness saw", []string{"witness", answer, "--dir", old, "--identity", identity}},
		{"the old log by itself", 0, "INTACT", []string{"log", old, "--identity", identity}},
	} {
		if code, says := checker(t, c.args...); code != c.code || !strings.Contains(says, c.says) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s", c.name, code, c.code, c.says, says)
		}
	}
	// The log's anchors alone cannot be cut, or exchanged for those of another log.
	for _, c := range []struct {
		name, says string
		change     func([]byte) []byte
	}{
		{"cut", "have no anchor", func(b []byte) []byte { return b[:64] }},
		{"one bit", "checksum", func(b []byte) []byte { b[100] ^= 1; return b }},
	} {
		copied := filepath.Join(dir, "copy-"+strings.Fields(c.name)[0])
		testtool.Run(t, "cp", "-a", log, copied)
		anchors, err := os.ReadFile(filepath.Join(copied, "anchors"))
		o.ems.must(err)
		o.ems.must(os.WriteFile(filepath.Join(copied, "anchors"), c.change(anchors), 0o600))
		if code, says := checker(t, "log", copied, "--identity", identity); code != 3 || !strings.Contains(says, c.says) {
			t.Errorf("%s: exit code %d:\n%s", c.name, code, says)
		}
	}
	// The machine's answer is for machines as well.
	code, says := checker(t, "attest", answer, "--nonce", nonce, "--identity", identity, "--dir", log, "--json")
	var doc struct {
		Result string        `json:"result"`
		Report *audit.Report `json:"report"`
	}
	if err := json.Unmarshal([]byte(says), &doc); code != 0 || err != nil || doc.Result != "intact" || doc.Report == nil {
		t.Errorf("--json: %d, %v\n%s", code, err, says)
	}
}
