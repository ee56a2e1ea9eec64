package cli_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
)

// desk is an authority of a test's own, with one source and one receiver, so that
// versions and sequence numbers belong to the test alone.
type desk struct {
	t                        *testing.T
	o                        *testoffice.Office
	authority, source, other *testoffice.Station
	root, dir                string
}

func newDesk(t *testing.T, id string) *desk {
	t.Helper()
	d := &desk{t: t, o: office(t), dir: t.TempDir()}
	d.authority = newStation(t, d.o, id, "authority")
	must(t, d.authority, "init")
	d.root, _ = found(t, d.authority)
	var answer string
	d.source, answer = answered(t, d.o, d.authority, d.root, id+"-source")
	d.other = newStation(t, d.o, id+"-ems", "ems")
	must(t, d.other, "init", "--root", d.root)
	must(t, d.authority, "authority", "admit", answer+"=media-set", "--out", d.file("bundle-1"))
	d.install("bundle-1", d.source, d.other)
	return d
}

func (d *desk) file(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) install(bundle string, stations ...*testoffice.Station) {
	d.t.Helper()
	for _, s := range stations {
		must(d.t, s, "trust", "install", d.file(bundle))
	}
}

// seal seals a small text to a folder of its own.
func (d *desk) seal(s *testoffice.Station, args ...string) (report map[string]any, image string) {
	d.t.Helper()
	out, note := d.t.TempDir(), write(d.t, d.file("note.txt"), []byte("note"))
	shown := must(d.t, s, append([]string{"--json", "seal", "--kind", "media-set", "--audience", d.other.ID, "--out", out, note}, args...)...)
	return document(d.t, shown), testmedia.FATFrom(d.t, testmedia.Options{Bits: 16, SizeMiB: 12}, out)
}

// takes inserts an image and compares what is said.
func (d *desk) takes(image string, status int, says string) {
	d.t.Helper()
	if r := at(d.t, d.other, "intake", image); r.status != status || !strings.Contains(r.out, says) {
		d.t.Errorf("exit status %d, want %d and %q: %s%s", r.status, status, says, r.out, r.err)
	}
}

func TestHandoverAtTheCommandLine(t *testing.T) {
	d := newDesk(t, "changing")
	_, last := d.seal(d.source)
	next := newStation(t, d.o, d.source.ID, "source")
	must(t, next, "init", "--root", d.root)
	if r := at(t, d.source, "station", "handover", d.source.File("request.json"), "--out", d.file("h")); r.status != 2 || !strings.Contains(r.err, "another key of the same station") {
		t.Errorf("to itself: exit status %d: %s", r.status, r.err)
	}
	answer, err := d.o.Answer(d.authority, next)
	if err != nil {
		t.Fatal(err)
	}
	if r := at(t, d.authority, "authority", "admit", answer+"=media-set", "--out", d.file("x")); r.status != 2 || !strings.Contains(r.err, "--handover") || !strings.Contains(r.err, "--replace") {
		t.Errorf("without a word of the old station: exit status %d: %s", r.status, r.err)
	}
	shown := must(t, d.source, "station", "handover", next.File("request.json"), "--image", d.file("handover.img"))
	for _, says := range []string{"a medium with the file handover.dsse.json", "seals nothing any more; its last sequence number is ", "new key  ", "authority admit --handover"} {
		if !strings.Contains(shown, says) {
			t.Errorf("%q is not in %s", says, shown)
		}
	}
	write(t, d.file("handover"), onlyFile(t, d.file("handover.img"), "handover.dsse.json"))
	if r := at(t, d.source, "seal", "--kind", "media-set", "--audience", "*", "--out", t.TempDir(), d.file("note.txt")); r.status != 2 || !strings.Contains(r.err, "seals nothing any more") {
		t.Errorf("the old station seals: exit status %d: %s%s", r.status, r.out, r.err)
	}
	if r := at(t, d.source, "status"); !strings.Contains(r.out, "cannot seal: this station has handed over") {
		t.Error(r.out)
	}
	must(t, d.authority, "authority", "admit", answer+"=media-set", "--handover", d.file("handover"), "--out", d.file("bundle-2"))
	d.install("bundle-2", next, d.other)
	_, first := d.seal(next)
	d.takes(first, 0, "ACCEPTED")
	d.takes(last, 0, "ACCEPTED")
	if shown := must(t, d.other, "trust", "show"); strings.Count(shown, "REVOKED after sequence") != 2 {
		t.Errorf("the old station's two keys are not shown as revoked: %s", shown)
	}
}

func TestRevokedAtTheCommandLine(t *testing.T) {
	d := newDesk(t, "revoking")
	one, last := d.seal(d.source)
	_, late := d.seal(d.source)
	seq := one["seq"].(float64)
	must(t, d.authority, "authority", "revoke", d.source.ID, "--after", strconv.FormatFloat(seq, 'f', 0, 64), "--out", d.file("bundle-2"))
	d.install("bundle-2", d.source, d.other)
	d.takes(last, 0, "ACCEPTED")
	d.takes(late, 3, "signer-revoked")
	r := at(t, d.source, "seal", "--kind", "media-set", "--audience", "*", "--out", t.TempDir(), d.file("note.txt"))
	if r.status != 1 || !strings.Contains(r.err, "signer-revoked") || !strings.Contains(r.err, "every receiver would hold the package") {
		t.Errorf("the station seals on: exit status %d: %s%s", r.status, r.out, r.err)
	}
}

func TestSupersedesAtTheCommandLine(t *testing.T) {
	d := newDesk(t, "replacing")
	_, first := d.seal(d.source)
	lost, found := d.seal(d.source)
	report, instead := d.seal(d.source, "--supersedes", lost["package_id"].(string))
	if list := report["warnings"].([]any); len(list) != 1 || !strings.Contains(list[0].(string), "knows no station") { // nobody enrolled the receiver
		t.Errorf("warnings: %v", list)
	}
	d.takes(first, 0, "ACCEPTED")
	d.takes(instead, 0, "ACCEPTED")
	d.takes(found, 3, "superseded")
	for id, says := range map[string]string{lost["package_id"].(string): "only the last one can be superseded", strings.Repeat("0", 32): "has sealed no package", "none": "is no package id"} {
		out := t.TempDir()
		r := at(t, d.source, "seal", "--kind", "media-set", "--audience", d.other.ID, "--supersedes", id, "--out", out, d.file("note.txt"))
		if r.status != 2 || !strings.Contains(r.err, says) {
			t.Errorf("exit status %d, want %q: %s", r.status, says, r.err)
		}
		nothingLeft(t, out)
	}
}

// A medium of another authority, a stale one, and the one that counts.
func TestPublishedBundles(t *testing.T) {
	d := newDesk(t, "publishing")
	must(t, d.authority, "authority", "publish", "--image", d.file("first.img"))
	must(t, d.authority, "authority", "hybrid", "cvr-export", "media-set", "--out", d.file("bundle-2"))
	d.install("bundle-2", d.other)
	d.takes(d.file("first.img"), 3, "superseded")
	must(t, d.o.Elsewhere, "authority", "publish", "--image", d.file("foreign.img"))
	d.takes(d.file("foreign.img"), 3, "signer-unknown")
	if shown := must(t, d.other, "trust", "show"); !strings.Contains(shown, "signed with ML-DSA-65 too: [cvr-export media-set]") {
		t.Error(shown)
	}
	_, late := d.seal(d.source) // which has not heard of it
	d.takes(late, 3, "must be signed with ml-dsa-65 too")
	must(t, d.authority, "authority", "publish", "--out", d.file("published"))
	if r := at(t, d.authority, "authority", "publish"); r.status != 2 || !strings.Contains(r.err, "say where") {
		t.Errorf("published nowhere: exit status %d: %s", r.status, r.err)
	}
	must(t, d.source, "intake", testmedia.FATFrom(t, testmedia.Options{Bits: 16, SizeMiB: 12}, d.file("published")))
	_, image := d.seal(d.source, "--stream", "both")
	d.takes(image, 0, "ACCEPTED")
	must(t, d.authority, "authority", "hybrid", "none", "--out", d.file("bundle-3"))
	if shown := must(t, d.authority, "trust", "show"); strings.Contains(shown, "ML-DSA-65 too") {
		t.Error(shown)
	}
}
