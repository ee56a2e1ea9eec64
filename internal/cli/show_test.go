package cli_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// A holder sees what he is about to sign, and that a draft is another authority's;
// the words are about the draft, not about a sealed medium.
func TestShowOfADraft(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	draft, root := filepath.Join(dir, "draft.img"), filepath.Join(dir, "root.json")
	must(t, o.Elsewhere, "authority", "reissue", "--image", draft)
	must(t, o.Elsewhere, "trust", "root", "--out", root)
	shown := must(t, o.Elsewhere, "authority", "show", "draft.dsse.json", "--medium", draft)
	for _, words := range []string{"stranger", "may seal ballot-package, cvr-export, election-definition", "signed by elsewhere; 0 signatures missing", "to be compared by the holders: "} {
		if !strings.Contains(shown, words) {
			t.Errorf("%q is not in\n%s", words, shown)
		}
	}
	if r := call(t, "authority", "show", "draft.dsse.json", "--medium", draft, "--root", root); r.status != 0 || r.out != shown {
		t.Errorf("without a station: exit status %d\n%s%s", r.status, r.out, r.err)
	}
	r := at(t, o.Authority, "authority", "show", "draft.dsse.json", "--medium", draft)
	if r.status != 1 || !strings.Contains(r.err, "none of the authority's keys (signer-unknown)") || strings.Contains(r.err, "manifest") {
		t.Errorf("another authority's draft: exit status %d: %s%s", r.status, r.out, r.err)
	}
}

// Documents are looked for on all media that are named; one that is on two is
// nobody's choice but the caller's.
func TestDocumentsOnSeveralMedia(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	image := func(name string) string { return filepath.Join(dir, name) }
	must(t, o.Source, "station", "request", "--image", image("a.img"))
	must(t, o.Source, "station", "request", "--image", image("b.img"))
	must(t, o.Source, "station", "measure", "--image", image("c.img"))
	show := func(media ...string) result {
		args := []string{"authority", "show", "request.json"}
		for _, m := range media {
			args = append(args, "--medium", image(m))
		}
		return at(t, o.Authority, args...)
	}
	if r := show("c.img", "a.img"); r.status != 1 || !strings.Contains(r.err, "trust bundle") { // found; it is no draft
		t.Errorf("on the second: exit status %d: %s", r.status, r.err)
	}
	if r := show("a.img", "b.img"); r.status != 2 || !strings.Contains(r.err, "more than one of the media") {
		t.Errorf("on both: exit status %d: %s", r.status, r.err)
	}
	if r := show("c.img"); r.status != 2 || !strings.Contains(r.err, "no file request.json") {
		t.Errorf("on none: exit status %d: %s", r.status, r.err)
	}
}
