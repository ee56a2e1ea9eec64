package evidence_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/evidence"
	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

var update = flag.Bool("update", false, "write testdata/office again, from a fresh office whose keys are thrown away")

// officeDir holds evidence that a real office handed out. Its keys exist nowhere
// any more. It must verify for ever: when it does not, the format has changed, and
// Version with it.
const officeDir = "testdata/office"

// The files of the office.
const (
	accepted = "accepted.zip" // an election definition
	two      = "two.zip"      // a medium with two packages and one file beside them
	unknown  = "unknown.zip"  // sealed by a station of another authority
	altered  = "altered.zip"  // a byte of a file was changed
	plain    = "plain.zip"    // no package at all, names that want to be more
	torn     = "torn.zip"     // damaged: the image was cut short
	later    = "later.zip"    // the evidence of accepted.zip, under a later checkpoint
	visitor  = "visitor.zip"  // of a station that the authority has not enrolled
	trustees = "trust.zip"    // the authority's medium with the next root and bundle
	kept     = "kept.zip"     // that of accepted.zip, when its sender has been revoked: the bundle of then is kept
	found    = "found.zip"    // that of rotated.zip, in the same way
	rotated  = "rotated.zip"  // after the root was rotated and a new bundle installed
	revoked  = "revoked.zip"  // as kept.zip, at a station that has lost the bundle of then
	rootFile = "root.json"
	newRoot  = "root-2.json"
	elseRoot = "elsewhere-root.json"
	identity = "visitor-identity.json"
)

func officeFiles() []string {
	return []string{accepted, two, unknown, altered, plain, torn, later, visitor, trustees, rotated, revoked, kept, found, rootFile, newRoot, elseRoot, identity}
}

// hostile are names that a page, a terminal or a parser might take for more.
func hostile() testmedia.Files {
	return testmedia.Files{
		"<script>alert(1)<\u2215script>.txt":   []byte("a"),
		"a&b'c\"d.txt":                         []byte("b"),
		"votes <b>bold<\u2215b> ]]> --> .html": []byte("c"),
		"\u202efdp.exe":                        []byte("d"),
		"line\nbreak \x1b[31m.txt":             []byte("e"),
	}
}

// made is a real office at work: what it handed out, by file.
func made(t *testing.T) map[string][]byte {
	t.Helper()
	for _, tool := range []string{"swtpm", "mkfs.vfat", "mcopy"} {
		testtool.Need(t, tool)
	}
	bin, remove, err := testoffice.Programs()
	must(t, err)
	t.Cleanup(remove)
	o, err := testoffice.Open(bin, "")
	must(t, err)
	t.Cleanup(func() { must(t, o.Close()) })
	_, err = o.Found()
	must(t, err)
	w := &work{t: t, o: o, out: map[string][]byte{}}

	definition := w.seal(o.Source, "--kind", "election-definition", "--election", testoffice.ElectionID, o.Small("definition.json"))
	first := w.take(o.EMS, testmedia.FATFrom(t, testmedia.Options{Label: "PRECINCT 7"}, definition.Dir), verdict.Accepted)
	w.bundle(o.EMS, first, accepted)

	both := testmedia.EmptyFAT(t, testmedia.Options{})
	for _, name := range []string{"one", "two"} {
		p := w.seal(o.Source, "--kind", "media-set", "--stream", name, w.file("notes-"+name+".txt", name))
		testmedia.PopulateFAT(t, both, p.Dir)
	}
	w.bundle(o.EMS, w.take(o.EMS, both, verdict.Accepted), two)

	foreign := w.seal(o.Stranger, "--kind", "media-set", w.file("notes.txt", "from elsewhere"))
	w.bundle(o.EMS, w.take(o.EMS, testmedia.FATFrom(t, testmedia.Options{}, foreign.Dir), verdict.Held, verdict.SignerUnknown), unknown)

	bad := w.seal(o.Source, "--kind", "media-set", "--stream", "bad", w.file("results.txt", strings.Repeat("x", 5000)))
	img := testmedia.FATFrom(t, testmedia.Options{}, bad.Dir)
	testmedia.Alter(t, img, "SALLYPORT/"+bad.PackageID+"/data/results.txt", 1000)
	w.bundle(o.EMS, w.take(o.EMS, img, verdict.Held, verdict.FileAltered), altered)

	w.bundle(o.EMS, w.take(o.EMS, testmedia.Ext(t, testmedia.ExtOptions{Label: "<b>&\"x"}, hostile()), verdict.Held, verdict.FilesystemInconsistent), plain)

	cut := testmedia.FATFrom(t, testmedia.Options{}, w.seal(o.Source, "--kind", "media-set", "--stream", "cut", w.file("long.bin", strings.Repeat("y", 4<<20))).Dir)
	must(t, os.Truncate(cut, 3<<20))
	w.bundle(o.EMS, w.take(o.EMS, cut, verdict.Held, verdict.Truncated), torn)

	w.bundle(o.EMS, first, later)

	guest, err := o.Join("visitor", "ems", testoffice.ElectionID)
	must(t, err)
	w.bundle(guest, w.take(guest, testmedia.FATFrom(t, testmedia.Options{}, w.seal(o.Source, "--audience", "*", "--kind", "media-set", "--stream", "guest", w.file("n.txt", "n")).Dir), verdict.Accepted), visitor)
	w.document(guest, identity, "trust", "identity")
	w.document(o.EMS, rootFile, "trust", "root")
	w.document(o.Elsewhere, elseRoot, "trust", "root")
	w.rotate(first)
	return w.out
}

// work is the office's clerk.
type work struct {
	t   *testing.T
	o   *testoffice.Office
	out map[string][]byte
}

func (w *work) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	must(w.t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func (w *work) seal(s *testoffice.Station, args ...string) testoffice.Sealed {
	w.t.Helper()
	p, err := s.Seal(args...)
	must(w.t, err)
	return p
}

// take has a station take a medium and returns the medium's id.
func (w *work) take(s *testoffice.Station, image string, want verdict.Verdict, reasons ...verdict.Reason) string {
	w.t.Helper()
	rep, status, err := s.Intake(image)
	must(w.t, err)
	if rep.Verdict != want {
		w.t.Fatalf("%s, exit status %d, want %s: %+v", rep.Verdict, status, want, rep)
	}
	for _, r := range reasons {
		if !strings.Contains(strings.Join(words(rep.Findings, rep.Packages[0].Findings), ","), string(r)) {
			w.t.Fatalf("the reasons are %+v %+v, want %s", rep.Findings, rep.Packages, r)
		}
	}
	return rep.Medium.ID
}

func words(lists ...[]verdict.Finding) (out []string) {
	for _, l := range lists {
		for _, f := range l {
			out = append(out, string(f.Reason))
		}
	}
	return out
}

// bundle has a station hand out the evidence about a medium.
func (w *work) bundle(s *testoffice.Station, medium, name string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	_, err := s.Sallyport("log", "bundle", medium, "--out", path)
	must(w.t, err)
	w.out[name], err = os.ReadFile(path)
	must(w.t, err)
}

func (w *work) document(s *testoffice.Station, name string, command ...string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	_, err := s.Sallyport(append(command, "--out", path)...)
	must(w.t, err)
	w.out[name], err = os.ReadFile(path)
	must(w.t, err)
}

// rotate gives the authority its next root and bundle, takes a medium under them,
// and then revokes the sender of the first one.
func (w *work) rotate(first string) {
	w.t.Helper()
	path := func(name string) string { return filepath.Join(w.o.Dir, name) }
	run := func(s *testoffice.Station, args ...string) {
		w.t.Helper()
		_, err := s.Sallyport(args...)
		must(w.t, err)
	}
	a, ems := w.o.Authority, w.o.EMS
	run(a, "authority", "rotate", "--out", path("root-2.dsse.json"))
	run(a, "trust", "install", path("root-2.dsse.json"))
	run(a, "authority", "reissue", "--out", path("trust-2.json"))
	run(a, "trust", "install", path("trust-2.json"))
	run(a, "authority", "publish", "--image", path("trust-2.img"))
	brought := w.take(ems, path("trust-2.img"), verdict.Accepted)
	w.document(ems, newRoot, "trust", "root")
	p := w.seal(w.o.Source, "--kind", "media-set", "--stream", "rotated", w.file("r.txt", "r"))
	second := w.take(ems, testmedia.FATFrom(w.t, testmedia.Options{}, p.Dir), verdict.Accepted)
	w.bundle(ems, second, rotated)
	run(a, "authority", "revoke", w.o.Source.ID, "--after", "0", "--out", path("trust-3.json"))
	run(ems, "trust", "install", path("trust-3.json"))
	w.bundle(ems, first, kept)
	w.bundle(ems, second, found)
	must(w.t, os.Remove(ems.File("state/trust/bundle-1.dsse.json")))
	w.bundle(ems, first, revoked)
	w.bundle(ems, brought, trustees)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options are those of a user with the root of a file, and an identity if named.
func options(t testing.TB, files map[string][]byte, root, id string) (opt evidence.Options) {
	t.Helper()
	var err error
	opt.Root, err = trust.ParseRoot(files[root])
	must(t, err)
	if id != "" {
		opt.Identity, err = attest.DecodeIdentity(files[id])
		must(t, err)
	}
	return opt
}

// expected says how each file of the office is judged, with the root that its user
// has, and an identity where the authority has not enrolled the station.
func expected() []struct {
	file, root, id string
	result         evidence.Result
	verdict        verdict.Verdict
	says           string // in the reason, or in a step
} {
	return []struct {
		file, root, id string
		result         evidence.Result
		verdict        verdict.Verdict
		says           string
	}{
		{accepted, rootFile, "", evidence.Intact, verdict.Accepted, "whose TPM the authority has enrolled"},
		{two, rootFile, "", evidence.Intact, verdict.Accepted, "2 accepted, 0 held"},
		{unknown, rootFile, "", evidence.Intact, verdict.Held, "0 accepted, 1 held"},
		{altered, rootFile, "", evidence.Intact, verdict.Held, "0 accepted, 1 held"},
		{plain, rootFile, "", evidence.Intact, verdict.Held, "0 accepted, 1 held"},
		{torn, rootFile, "", evidence.Intact, verdict.Held, "0 accepted, 1 held"},
		{later, rootFile, "", evidence.Intact, verdict.Accepted, "1 accepted, 0 held"},
		{visitor, rootFile, identity, evidence.Intact, verdict.Accepted, "with the TPM identity that you gave"},
		{visitor, rootFile, "", evidence.Unchecked, verdict.Accepted, "give its TPM identity"},
		{rotated, rootFile, "", evidence.Intact, verdict.Accepted, "bundle 2 with 2 stations, signed under root 2"},
		{rotated, newRoot, "", evidence.Intact, verdict.Accepted, "version 2, the one that you gave"},
		{trustees, rootFile, "", evidence.Intact, verdict.Accepted, "by bundle 3, in this file, the result is the same"},
		{found, rootFile, "", evidence.Intact, verdict.Accepted, "bundle 2 with 2 stations, signed under root 2"},
		{kept, rootFile, "", evidence.Intact, verdict.Accepted, "bundle 1 with 2 stations, signed under root 1"},
		{kept, newRoot, "", evidence.Unchecked, verdict.Accepted, "older than the one that you gave"},
		{revoked, rootFile, "", evidence.Unchecked, verdict.Accepted, "the station judged it by trust bundle 1, which it does not have any more"},
		{accepted, elseRoot, "", evidence.Damaged, "", "the file stands under the root"},
		{accepted, newRoot, "", evidence.Damaged, "", "the file stands under the root"},
		{accepted, rootFile, identity, evidence.Damaged, "", "not the one that you gave"},
	}
}

func judge(t *testing.T, files map[string][]byte) {
	t.Helper()
	for _, want := range expected() {
		rep := evidence.Check(files[want.file], options(t, files, want.root, want.id))
		text := rep.Why
		for _, s := range rep.Steps {
			text += "\n" + s.Name + " " + string(s.Result) + ": " + s.Says
		}
		text += "\n" + strings.Join(rep.Notes, "\n")
		if rep.Result != want.result || rep.Verdict != want.verdict || !strings.Contains(text, want.says) {
			t.Errorf("%s under %s: %s, %q\n%s\nwant %s, %q, and the words %q", want.file, want.root, rep.Result, rep.Verdict, text, want.result, want.verdict, want.says)
		}
		if rep.Result == evidence.Intact && len(rep.Steps) != 10 {
			t.Errorf("%s is called intact after %d steps", want.file, len(rep.Steps))
		}
	}
}

// committed are the files in the source tree.
func committed(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range officeFiles() {
		data, err := os.ReadFile(filepath.Join(officeDir, name))
		must(t, err)
		files[name] = data
	}
	return files
}

// TestARealOffice has stations with TPMs take media and hand out the evidence, and
// judges it as its receiver does: with the authority's root alone.
func TestARealOffice(t *testing.T) {
	files := made(t)
	judge(t, files)
	if *update {
		must(t, os.MkdirAll(officeDir, 0o755))
		for name, data := range files {
			must(t, os.WriteFile(filepath.Join(officeDir, name), data, 0o644))
		}
	}
}

// TestOldEvidenceStaysGood: what was handed out once is judged the same by every
// later version.
func TestOldEvidenceStaysGood(t *testing.T) { judge(t, committed(t)) }
