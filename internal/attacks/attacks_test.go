// Package attacks is the attack suite: what a forger, a thief, a careless office
// or a restored backup can bring to each door of Sallyport, and the exact reason
// with which it is turned away. The cases are files (testdata/attacks) and are
// judged from the files alone, as another implementation would judge them; what
// cannot be a file is made by a recipe with real TPMs. Test code only.
package attacks

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/verdict"
)

var update = flag.Bool("update", false, "write testdata/attacks again from the tables of this package")

// How many attacks there are, and how many good cases they are made from.
const (
	attackCount = 300
	goodCount   = 28
)

func TestAttacks(t *testing.T) {
	if *update {
		write(t, table(t))
	}
	all := cases(t)
	attacks, good := 0, 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := all[name]
		if a.expect == accepted {
			good++
		} else {
			attacks++
		}
		t.Run(name, func(t *testing.T) {
			// What it is made from passes at the same door, so that no case passes
			// for another fault.
			if a.like != "" {
				if g := all[a.like]; g == nil || g.expect != accepted || g.via != a.via {
					t.Fatalf("%q is no accepted case of the door %s", a.like, a.via)
				}
			}
			if a.recipe != "" && !strings.HasPrefix(a.recipe, "spaces ") {
				recipe, known := recipes()[a.recipe]
				if !known {
					t.Fatalf("unknown recipe %q", a.recipe)
				}
				judged(t, a, recipe(t))
				return
			}
			judged(t, a, doors()[a.via].judge(t, a))
		})
	}
	if attacks != attackCount || good != goodCount {
		t.Errorf("there are %d attacks and %d good cases, want %d and %d", attacks, good, attackCount, goodCount)
	}
}

// judged compares the answer with the expectation.
func judged(t *testing.T, a *attack, err error) {
	t.Helper()
	if a.expect == accepted {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if err == nil {
		t.Fatalf("accepted, want %s with %q", a.expect, a.says)
	}
	var got string
	var w *refusal
	if f, ok := verdict.Find(err); ok {
		got = string(f.Reason)
	} else if errors.As(err, &w) {
		got = w.expect
	}
	if got != a.expect || !strings.Contains(err.Error(), a.says) {
		t.Errorf("%q: %v, want %s with %q", got, err, a.expect, a.says)
	}
}

// refusal is an answer that is no finding.
type refusal struct {
	expect string
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// files are those of the suite, by their path in it.
type files map[string][]byte

// write writes the suite again; README.md stays.
func write(t *testing.T, all files) {
	t.Helper()
	for _, dir := range []string{officeDir, mediaDir, caseDir} {
		must(t, os.RemoveAll(dir))
	}
	for name, data := range all {
		path := filepath.Join(suite, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, data, 0o644))
	}
}

// The tables make the files that are committed, byte for byte.
func TestTheFilesAreThoseOfTheTables(t *testing.T) {
	all := table(t)
	must(t, filepath.WalkDir(suite, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(suite, path)
		if err != nil || name == "README.md" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if want, ok := all[filepath.ToSlash(name)]; !ok || !bytes.Equal(data, want) {
			t.Errorf("%s is not what the tables make: run the tests with -update", name)
		}
		delete(all, filepath.ToSlash(name))
		return nil
	}))
	for name := range all {
		t.Errorf("%s is missing: run the tests with -update", name)
	}
}

// Every recipe and every medium is used.
func TestNothingIsLeftOver(t *testing.T) {
	used := map[string]bool{}
	for _, a := range cases(t) {
		used[a.recipe] = true
		for _, m := range strings.Split(a.insert, " | ") {
			used["media/"+m] = true
		}
	}
	for name := range recipes() {
		if !used[name] {
			t.Errorf("no case has the recipe %q", name)
		}
	}
	media, err := os.ReadDir(mediaDir)
	must(t, err)
	for _, m := range media {
		if !used["media/"+m.Name()] {
			t.Errorf("no case inserts the medium %s", m.Name())
		}
	}
}

func TestCaseFilesAreStrict(t *testing.T) {
	good := "comment: c\nvia: package\nexpect: fork\nsays: s\nlike: good\n\nx"
	if _, err := readAttack([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"comment: c", "remark: c"}, {"comment: c\n", ""}, {"via: package", "via: window"}, {"expect: fork", "expect: spoon"}, {"expect: fork", "expect: accepted"},
		{"says: s\n", ""}, {"like: good\n", ""}, {"like: good", "like: good\nlike: good"}, {"like: good", "like: good\npending: p"}, {"like: good", "like: good\nrecipe: r"},
		{"\n\n", "\n"}, {"via: package", "via: station"}, {"comment: c", "comment:c"},
	} {
		if _, err := readAttack([]byte(strings.Replace(good, change[0], change[1], 1))); err == nil {
			t.Errorf("with %q in the place of %q a case is accepted", change[1], change[0])
		}
	}
}
