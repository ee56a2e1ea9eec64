package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// newStation is one more station of the office, which nobody has initialised.
func newStation(t *testing.T, o *testoffice.Office, id, role string) *testoffice.Station {
	t.Helper()
	s, err := o.NewStation(id, role, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// endorsementKey is what people would read off a station's screen.
func endorsementKey(t *testing.T, shown string) string {
	t.Helper()
	digest := testoffice.EndorsementKey(shown)
	if len(digest) != 64 {
		t.Fatalf("no endorsement key is shown:\n%s", shown)
	}
	return digest
}

// onlyFile is the one file of an image, which real tools read.
func onlyFile(t *testing.T, image, name string) []byte {
	t.Helper()
	out := document(t, call(t, "--json", "inspect", image).out)
	entries, _ := out["files"].([]any)
	if len(entries) != 1 || entries[0].(map[string]any)["path"] != name {
		t.Errorf("the medium holds %v, want only %s", entries, name)
	}
	return testtool.Run(t, "mcopy", "-i", image+"@@1M", "::"+name, "-")
}

// TestEnrolmentByMedia: each document travels on a medium of its own, which only
// the confined reader looks at, and the station takes its bundle the same way.
func TestEnrolmentByMedia(t *testing.T) {
	o := office(t)
	s := newStation(t, o, "by-media", "source")
	must(t, s, "init", "--root", o.Dir+"/root.json")
	dir := t.TempDir()
	image := func(name string) string { return filepath.Join(dir, name+".img") }
	shown := must(t, s, "station", "request", "--image", image("request"))
	for _, says := range []string{"a medium with the file request.json", "print this page", "sallyport authority challenge"} {
		if !strings.Contains(shown, says) {
			t.Errorf("%q is not in %s", says, shown)
		}
	}
	ek := endorsementKey(t, shown)
	if body := onlyFile(t, image("request"), "request.json"); !bytes.Contains(body, []byte(`"id":"by-media"`)) {
		t.Errorf("the request is %.300s", body)
	}
	shown = must(t, o.Authority, "authority", "challenge", "--medium", image("request"), "request.json", "--ek-sha256", ek, "--image", image("challenge"))
	for _, says := range []string{"by-media (Demo by-media)", "source of us/maple-county", ek, "the digest that people compared", "SOFTWARE", "Compare the signing key"} {
		if !strings.Contains(shown, says) {
			t.Errorf("%q is not in %s", says, shown)
		}
	}
	if r := at(t, o.Source, "station", "activate", "--medium", image("challenge"), "challenge.json", "--out", image("x")); r.status != 2 || !strings.Contains(r.err, "for station by-media, this is "+o.Source.ID) {
		t.Errorf("another station's challenge: exit status %d: %s", r.status, r.err)
	}
	must(t, s, "station", "activate", "--medium", image("challenge"), "challenge.json", "--image", image("answer"))
	shown = must(t, o.Authority, "authority", "admit", "--medium", image("answer"), "answer.json=media-set", "--image", image("draft"))
	if !strings.Contains(shown, "all the signatures that it needs") || !strings.Contains(shown, "sallyport authority publish") {
		t.Error(shown)
	}
	if !json.Valid(onlyFile(t, image("draft"), "draft.dsse.json")) {
		t.Error("the draft is no JSON")
	}
	must(t, o.Authority, "authority", "publish", "--image", image("bundle"))
	if shown = must(t, s, "intake", image("bundle")); !strings.Contains(shown, "ACCEPTED") || !strings.Contains(shown, "trust-bundle from authority") {
		t.Error(shown)
	}
	shown = must(t, s, "trust", "show")
	for _, says := range []string{"by-media", "may seal media-set", "in a TPM, whose endorsement key people compared", "(SOFTWARE", "ML-DSA-65, beside", "started as enrolled with Sallyport", "root version 1", "in a TPM; approves boot states"} {
		if !strings.Contains(shown, says) {
			t.Errorf("%q is not in %s", says, shown)
		}
	}
	out := t.TempDir()
	must(t, s, "seal", "--kind", "media-set", "--audience", "*", "--out", out, write(t, filepath.Join(dir, "a.txt"), []byte("a")))
	// The draft on its medium is the bundle, too.
	if r := at(t, o.Stranger, "trust", "install", "--medium", image("draft"), "draft.dsse.json"); r.status != 1 || !strings.Contains(r.err, "signer-unknown") {
		t.Errorf("another authority's bundle by medium: exit status %d: %s", r.status, r.err)
	}
	must(t, s, "trust", "install", "--medium", image("draft"), "draft.dsse.json")
}

func TestDocumentsOnBadMedia(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	request := filepath.Join(dir, "request.json")
	must(t, o.Source, "station", "request", "--out", request)
	body, err := os.ReadFile(request)
	if err != nil {
		t.Fatal(err)
	}
	good := testmedia.FAT(t, testmedia.Options{}, testmedia.Files{"request.json": body, "Letters/request.json": []byte("{}")})
	cut, looped := testmedia.Copy(t, good), testmedia.FAT(t, testmedia.Options{}, testmedia.Files{"request.json": bytes.Repeat(body, 10), "other.txt": []byte("x")})
	testmedia.CutInside(t, cut, "request.json")
	testmedia.LoopChain(t, looped, "request.json")
	twice := testmedia.Partitioned(t, "gpt", testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 16}, testmedia.Files{"request.json": body}), testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 16}, testmedia.Files{"request.json": body}))
	nothing := write(t, filepath.Join(dir, "zeros"), make([]byte, 1<<20))
	out := filepath.Join(dir, "challenge.json")
	for _, c := range []struct {
		name, image, document string
		status                int
		says                  string
	}{
		{"cut off", cut, "request.json", 1, "truncated"},
		{"a chain of clusters in a circle", looped, "request.json", 1, "filesystem-inconsistent"},
		{"two of that name", twice, "request.json", 2, "two files request.json"},
		{"none of that name", good, "answer.json", 2, "no file answer.json on the medium; 'sallyport inspect'"},
		{"a folder", good, "Letters", 2, "no file Letters"},
		{"no such path", good, "../request.json", 2, "no file ../request.json"},
		{"no file system", nothing, "request.json", 5, "filesystem-unsupported"},
		{"no medium", dir + "/none.img", "request.json", 2, "cannot open the medium"},
		{"a document, not a medium", request, "request.json", 5, "filesystem-unsupported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := at(t, o.Authority, "authority", "challenge", "--medium", c.image, c.document, "--ek-sha256", strings.Repeat("ab", 32), "--out", out)
			if r.status != c.status || !strings.Contains(r.err, c.says) || strings.Contains(r.err, "panic") {
				t.Errorf("exit status %d, want %d and %q: %s", r.status, c.status, c.says, r.err)
			}
			if _, err := os.Lstat(out); err == nil {
				t.Error("a challenge was written")
			}
		})
	}
	t.Run("the good one", func(t *testing.T) { // in a folder of the medium as well
		r := at(t, o.Authority, "authority", "challenge", "--medium", good, "request.json", "--ek-sha256", strings.Repeat("ab", 32), "--out", out)
		if r.status != 1 || !strings.Contains(r.err, "signer-unknown") {
			t.Errorf("exit status %d: %s", r.status, r.err)
		}
		if r := at(t, o.Authority, "authority", "challenge", "--medium", good, "Letters/request.json", "--ek-sha256", strings.Repeat("ab", 32), "--out", out); r.status != 1 || !strings.Contains(r.err, "manifest-malformed") {
			t.Errorf("exit status %d: %s", r.status, r.err)
		}
	})
}

// Where a document goes is asked before anything is done.
func TestWhereDocumentsGo(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	taken := write(t, filepath.Join(dir, "taken"), []byte("mine"))
	before := len(document(t, must(t, o.Source, "--json", "log", "show", "--event", "enrol.request"))["entries"].([]any))
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"nowhere", nil, "--image IMAGE for a medium with the file request.json"},
		{"to two places", []string{"--out", dir + "/a", "--image", dir + "/b"}, "say where"},
		{"over a file", []string{"--out", taken}, "exists already"},
		{"over an image", []string{"--image", taken}, "exists already"},
		{"into no folder", []string{"--image", dir + "/none/b"}, "no folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := at(t, o.Source, append([]string{"station", "request"}, c.args...)...)
			if r.status != 2 || r.out != "" || !strings.Contains(r.err, c.says) {
				t.Errorf("exit status %d: %s%s", r.status, r.out, r.err)
			}
		})
	}
	if after := len(document(t, must(t, o.Source, "--json", "log", "show", "--event", "enrol.request"))["entries"].([]any)); after != before {
		t.Errorf("%d requests were made all the same", after-before)
	}
	left, err := filepath.Glob(dir + "/*")
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
