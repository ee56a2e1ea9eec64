package verifycmd_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/tpm/attest"
)

// attestation is the station's answer to a live challenge, at a value of its
// counter.
func (p *tape) attestation(nonce string, counter uint64) []byte {
	p.t.Helper()
	a := attest.Attestation{V: 1, Nonce: nonce, Checkpoint: string(p.notes[len(p.notes)-1])}
	q, err := a.Qualifying()
	p.must(err)
	a.Counter, a.CounterSig = p.tpm.soft.Attest(p.t, p.tpm.soft.CounterStatement(counter, q))
	b, err := a.Encode()
	p.must(err)
	return b
}

// rollback is an older or unfinished state of the log.
type rollback struct {
	name string
	do   func(p *tape)
	// What is said of the log alone, with the last checkpoint as a witness, and with
	// the station's answer.
	log, witness, attest string
}

const fine = "INTACT"

func rollbacks(honest, twin *tape) []rollback {
	return append([]rollback{
		{"nothing", func(*tape) {}, "INTACT: all 38 sealed", fine, fine},
		{"the log with checkpoints and anchors as they were", func(p *tape) {
			p.sealWith("checkpoints", p.notes[:3]...)
			p.sealWith("anchors", p.anchors[:3]...)
			p.back(27)
		}, "INTACT: all 27 sealed", fmt.Sprintf("one or more of the entries 27 to 37 (from %s, byte %d): the log ends after 27 entries, the witness saw 38", honest.at[26].File, honest.end(26)), "the witness saw 38"},
		{"the same, with some entries that were not sealed", func(p *tape) {
			p.sealWith("checkpoints", p.notes[:3]...)
			p.sealWith("anchors", p.anchors[:3]...)
			p.back(31)
		}, "INTACT: all 27 sealed", "the log ends after 31 entries, the witness saw 38", "the witness saw 38"},
		{"the log as it was made", func(p *tape) {
			p.sealWith("checkpoints", p.notes[:1]...)
			p.sealWith("anchors", p.anchors[:1]...)
			p.back(1)
		}, "INTACT: all 1 sealed", "the log ends after 1 entries, the witness saw 38", "the witness saw 38"},
		{"another log of the same station", func(p *tape) {
			p.must(os.RemoveAll(p.dir))
			p.must(os.CopyFS(p.dir, os.DirFS(twin.dir)))
		}, "INTACT: all 38 sealed", "one or more of the entries 0 to 37 (from 00000000000000000000.seg, byte 64): the log is not the one of which the witness saw 38 entries", "the log is not the one of which the witness saw 38 entries"},
		{"the last checkpoint and its anchor cut off", func(p *tape) {
			p.sealWith("checkpoints", p.notes[:3]...)
			p.sealWith("anchors", p.anchors[:3]...)
		}, "INTACT: all 27 sealed", fine, "the TPM's counter stood at 11 when the station answered, the log's last anchor has 10"},
		{"the last anchor cut off", func(p *tape) { p.sealWith("anchors", p.anchors[:3]...) },
			"Note            the last checkpoint has no anchor", fine, "the TPM's counter stood at 11 when the station answered, the log's last anchor has 10"},
		// What is not sealed yet, nothing speaks for; what stands between two seals
		// the later one speaks for.
		{"entries that are not sealed cut off", func(p *tape) { p.back(39) }, "Not yet sealed  1", fine, fine},
		{"an entry that is not sealed changed, with its checksum", func(p *tape) { p.put(40, 41, frameOf(40, p.other(40))) }, "INTACT: all 38 sealed", fine, fine},
		{"a checkpoint and its anchor taken out", func(p *tape) {
			p.sealWith("checkpoints", slices.Delete(slices.Clone(p.notes), 1, 2)...)
			p.sealWith("anchors", slices.Delete(slices.Clone(p.anchors), 1, 2)...)
		}, "INTACT: all 38 sealed", fine, fine},
		{"another party's signature added to the last checkpoint", func(p *tape) {
			// The anchor is over the note as it was written: only without one.
			line := bytes.SplitAfter(twin.notes[3], []byte("\n\n"))[1]
			p.sealWith("checkpoints", replaced(p.notes, 3, slices.Concat(p.notes[3], bytes.Replace(line, []byte(honest.origin), []byte("witness.example"), 1)))...)
			p.sealWith("anchors", p.anchors[:3]...)
		}, "INTACT: all 38 sealed", fine, "the log's last anchor has 10"},
	}, torn()...)
}

// torn are what is derived, and what a power failure leaves.
func torn() []rollback {
	return []rollback{
		{"a stored hash changed", func(p *tape) { p.flip("hashes", 32*tlog.StoredHashIndex(0, 5)) }, "Note            the stored hashes of 1 entries are wrong", fine, fine},
		{"stored hashes cut off", func(p *tape) { p.cut("hashes", 500) }, fine, fine, fine},
		{"stored hashes removed", func(p *tape) { p.remove("hashes") }, "Note            the stored hashes are missing", fine, fine},
		{"an entry torn", func(p *tape) { p.cut(p.at[41].File, p.end(41)-3) }, "Warning         unfinished write at the end of 00000000000000000034.seg", fine, fine},
		{"an entry torn, and zeros in its place", func(p *tape) {
			p.cut(p.at[41].File, p.end(41)-30)
			p.cut(p.at[41].File, p.end(41))
		}, "the file ends in zeros inside the frame", fine, fine},
		{"an entry of zeros", func(p *tape) { p.cut(p.at[41].File, p.end(41)+300) }, "300 bytes): the last 300 bytes of the file are zero", fine, fine},
		{"a checkpoint torn", func(p *tape) { p.write("checkpoints", append(p.read("checkpoints"), frameOf(4, p.notes[3])[:99]...)) }, "Warning         unfinished write at the end of checkpoints", fine, fine},
		{"an anchor torn", func(p *tape) { p.cut("anchors", frameAt(p.anchors, 3)+90) }, "Warning         unfinished write at the end of anchors", fine, "the log's last anchor has 10"},
		{"an anchor torn, and zeros in its place", func(p *tape) {
			p.cut("anchors", frameAt(p.anchors, 3)+90)
			p.cut("anchors", frameAt(p.anchors, 4))
		}, "Warning         unfinished write at the end of anchors", fine, "the log's last anchor has 10"},
		{"leftovers of a crash", func(p *tape) { p.write("anchors.tmp", []byte("x")) }, fine, fine, fine},
	}
}

// TestWhatTheFilesAloneDoNotShow has what sallyport-verify finds nothing wrong
// with when it has the folder alone: older states of the log, which a checkpoint
// kept elsewhere and a live challenge show; and what is no damage.
func TestWhatTheFilesAloneDoNotShow(t *testing.T) {
	const origin = "sallyport/us/maple-county/ems-1"
	tpm := newSoftTPM(t)
	honest := record(t, tpm, origin, "s-1")
	twin := record(t, tpm, origin, "t-1")
	nonce := strings.Repeat("5a", 16)
	witness, answer := filepath.Join(t.TempDir(), "slip"), filepath.Join(t.TempDir(), "answer")
	honest.must(os.WriteFile(witness, honest.notes[3], 0o600))
	honest.must(os.WriteFile(answer, honest.attestation(nonce, 11), 0o600))
	for _, c := range rollbacks(honest, twin) {
		t.Run(c.name, func(t *testing.T) {
			p := honest.copyTo(t)
			c.do(p)
			if _, err := second(p.dir, p.id); err != nil {
				t.Errorf("the second implementation says %v", err)
			}
			for _, by := range []struct {
				says string
				args []string
			}{
				{c.log, []string{"log", p.dir, "--identity", p.id}},
				{c.witness, []string{"log", p.dir, "--identity", p.id, "--witness", witness}},
				{c.witness, []string{"witness", witness, "--dir", p.dir, "--identity", p.id}},
				{c.attest, []string{"attest", answer, "--nonce", nonce, "--dir", p.dir, "--identity", p.id}},
			} {
				code, stdout, stderr := run(t, by.args...)
				want := 0
				if strings.Contains(by.says, "the witness saw") || strings.Contains(by.says, "the log's last anchor") {
					want = 3
				}
				if code != want || !strings.Contains(stdout, by.says) {
					t.Errorf("%s: exit code %d, want %d with %q\n%s%s", by.args[0], code, want, by.says, stdout, stderr)
				}
			}
			if says := p.start(); says != "" {
				t.Errorf("the start says %s", says)
			}
		})
	}
}
