package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
)

// electionID is that of testdata/elections/small.
const electionID = "maple-county-general-2026-11-03"

// makeMedia seals what is needed, writes it to real file systems and damages
// copies, each in one way.
func (o *office) makeMedia() (media []medium, err error) {
	defer o.tb.recover(&err)
	files := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, filepath.Join(o.root, "testdata", "elections", "small", n))
		}
		return out
	}
	definition := files("definition.json")[0]
	cvrs := []string{"--kind", "cvr-export", "--election", electionID, "--definition", definition}
	def, err := o.source.seal(append([]string{"--kind", "election-definition", "--election", electionID}, definition)...)
	if err != nil {
		return nil, err
	}
	first, err := o.source.seal(append(cvrs, files("cvr-precinct-1.json", "cvr-precinct-2.json")...)...)
	if err != nil {
		return nil, err
	}
	second, err := o.source.seal(append(cvrs, files("cvr-precinct-3.json")...)...)
	if err != nil {
		return nil, err
	}
	foreign, err := o.stranger.seal(append(cvrs, files("cvr-precinct-3.json")...)...)
	if err != nil {
		return nil, err
	}
	other, err := o.source.seal(append([]string{"--kind", "cvr-export", "--election", otherElection, "--definition", definition, "--stream", "other"}, files("cvr-precinct-3.json")...)...)
	if err != nil {
		return nil, err
	}

	t := testing.TB(o.tb)
	fat := testmedia.Options{Bits: 32, SizeMiB: 64, Label: "BALLOTS"}
	stick := func(p sealed, change func(img string)) string {
		img := testmedia.FATFrom(t, fat, p.dir)
		if change != nil {
			change(img)
		}
		return img
	}
	data := func(p sealed, name string) string { return "SALLYPORT/" + p.PackageID + "/" + name }
	cvr := data(second, "data/cvr-precinct-3.json")
	held := func(name, img string, r verdict.Reason) medium {
		return medium{name, img, verdict.Held, r, 3}
	}
	noManifest := testmedia.FAT(t, fat, testmedia.Files{"RESULTS/cvr-precinct-3.json": []byte(`{"CVR":[]}`)})
	good3 := stick(second, nil)
	return []medium{
		{"good: election definition, FAT32", stick(def, nil), verdict.Accepted, "", 0},
		{"good: CVRs of precincts 1 and 2, exFAT", testmedia.ExFATFrom(t, testmedia.Options{SizeMiB: 64, Label: "BALLOTS"}, first.dir), verdict.Accepted, "", 0},
		held("one byte of a file altered", stick(second, func(img string) { testmedia.Alter(t, img, cvr, 1000) }), verdict.FileAltered),
		held("a listed file is missing", o.edited(second, func(dir string) error { return os.Remove(filepath.Join(dir, cvr)) }, fat), verdict.FileMissing),
		held("an extra file in the package", o.edited(second, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, data(second, "data/notes.txt")), []byte("hello\n"), 0o644)
		}, fat), verdict.FileExtra),
		{"no manifest at all", noManifest, verdict.Held, verdict.NoManifest, 3},
		held("signed by a TPM that is not enrolled", stick(foreign, nil), verdict.SignerUnknown),
		held("belongs to another election", stick(other, nil), verdict.WrongElection),
		held("replay of the first medium", stick(def, nil), verdict.Replayed),
		held("envelope cut short", o.edited(second, func(dir string) error {
			env := filepath.Join(dir, data(second, "manifest.dsse.json"))
			st, err := os.Stat(env)
			if err != nil {
				return err
			}
			return os.Truncate(env, st.Size()/2)
		}, fat), verdict.ManifestMalformed),
		held("image cut short in the middle of a file", stick(second, func(img string) { testmedia.CutInside(t, img, cvr) }), verdict.Truncated),
		held("file system contradicts itself (FAT copies differ)", stick(second, func(img string) { testmedia.DifferFATs(t, img, cvr) }), verdict.FilesystemInconsistent),
		{"good: CVRs of precinct 3, in a GPT partition", testmedia.Partitioned(t, "gpt", good3), verdict.Accepted, "", 0},
	}, nil
}

// edited writes a changed copy of a sealed package to a FAT image.
func (o *office) edited(p sealed, change func(dir string) error, fat testmedia.Options) string {
	dir := o.tb.TempDir()
	if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
		o.tb.Fatal(err)
	}
	if err := change(dir); err != nil {
		o.tb.Fatal(err)
	}
	return testmedia.FATFrom(o.tb, fat, dir)
}

// tb lets the test packages' image builders work outside 'go test'. A fatal
// problem becomes a panic that recover turns into an error.
type tb struct {
	testing.TB // for its unexported method; every method used is below
	dir        string
	n          int
}

type fatal struct{ error }

func (t *tb) Helper()                   {}
func (t *tb) Fatal(args ...any)         { panic(fatal{fmt.Errorf("%s", fmt.Sprintln(args...))}) }
func (t *tb) Fatalf(f string, a ...any) { panic(fatal{fmt.Errorf(f, a...)}) }
func (t *tb) Skip(args ...any)          { t.Fatal(args...) }
func (t *tb) Skipf(f string, a ...any)  { t.Fatalf(f, a...) }
func (t *tb) Logf(string, ...any)       {}
func (t *tb) Cleanup(func())            {}
func (t *tb) Name() string              { return "demo" }

func (t *tb) TempDir() string {
	t.n++
	dir := filepath.Join(t.dir, fmt.Sprintf("tmp%03d", t.n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (t *tb) recover(err *error) {
	switch p := recover().(type) {
	case nil:
	case fatal:
		*err = p.error
	default:
		panic(p)
	}
}
