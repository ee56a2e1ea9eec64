package evidence_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/evidence"
	"sallyport/internal/trust"
)

// seeds are the real files of evidence.
func seeds(f *testing.F) (files map[string][]byte, root *trust.Root) {
	f.Helper()
	files = committed(f)
	root, err := trust.ParseRoot(files[rootFile])
	must(f, err)
	return files, root
}

// FuzzFile: a ZIP that is read has one encoding, and no other bytes than those that
// a station handed out are called intact.
func FuzzFile(f *testing.F) {
	files, root := seeds(f)
	var real [][]byte
	for name, data := range files {
		if strings.HasSuffix(name, ".zip") {
			f.Add(data)
			real = append(real, data)
		}
	}
	if len(real) < 9 {
		f.Fatalf("only %d seeds", len(real))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if names, contents, err := evidence.ReadZIP(data); err == nil && !bytes.Equal(evidence.WriteZIP(names, contents), data) {
			t.Fatal("a ZIP was read that is written otherwise")
		}
		rep := evidence.Check(data, evidence.Options{Root: root})
		if rep.Result == evidence.Intact && !slices.ContainsFunc(real, func(r []byte) bool { return bytes.Equal(r, data) }) {
			t.Fatal("forged evidence is called intact")
		}
		if (rep.Why == "") || len(rep.Steps) == 0 {
			t.Fatalf("a report that says nothing: %+v", rep)
		}
	})
}

// FuzzMember: what the fuzzer puts in the place of one member, listed as it should
// be, is never called intact, unless it is what was there.
func FuzzMember(f *testing.F) {
	files, root := seeds(f)
	for _, file := range []string{two, altered} {
		names, contents, err := evidence.ReadZIP(files[file])
		must(f, err)
		for i, data := range contents {
			f.Add(file == two, names[i], data)
		}
	}
	f.Fuzz(func(t *testing.T, first bool, name string, data []byte) {
		file := altered
		if first {
			file = two
		}
		names, contents, err := evidence.ReadZIP(files[file])
		must(t, err)
		at := slices.Index(names, name)
		if at < 0 {
			return
		}
		was := bytes.Equal(contents[at], data)
		var forged []byte
		if name == evidence.DocumentName {
			contents[at] = data
			forged = evidence.WriteZIP(names, contents)
		} else {
			fo := evidence.NewForger(t, files[file])
			fo.KeepPage = true
			fo.Members[name] = data
			forged = fo.File()
		}
		rep := evidence.Check(forged, evidence.Options{Root: root})
		if (rep.Result == evidence.Intact) != was {
			t.Fatalf("%s: %s", rep.Result, rep.Why)
		}
	})
}
