package corpus

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
)

// found is a finding with its place.
type found struct {
	level  Level
	volume int
	path   string
	*verdict.Finding
}

func (f found) String() string {
	return fmt.Sprintf("%s %d %q: %s", f.level, f.volume, f.path, f.Error())
}

// findings collects everything that was said.
func (a *answer) findings() (list []found) {
	if a.refused != nil {
		return []found{{Refused, -1, "", a.refused}}
	}
	for _, p := range a.list.Problems {
		list = append(list, found{Medium, -1, "", &p})
	}
	for i, v := range a.list.Volumes {
		for _, p := range v.Problems {
			list = append(list, found{Volume, i, "", &p})
		}
	}
	for i, e := range a.list.Entries {
		f := e.Problem
		if f == nil {
			f = a.files[i].failed
		}
		if f != nil {
			list = append(list, found{File, e.Volume, e.Path, f})
		}
	}
	return list
}

// judge holds what the reader said against the recipe.
func (c *Case) judge(t *testing.T, base Base, a answer) {
	t.Helper()
	all := a.findings()
	c.judgeFindings(t, all)
	if a.refused == nil {
		c.judgeFiles(t, a)
		c.judgeNumbers(t, a)
		c.judgeContents(t, base, a, all)
	}
	if t.Failed() {
		t.Logf("%s: %s", c.Place, c.Name)
		for _, f := range all[:min(10, len(all))] {
			t.Logf("said: %s", f)
		}
	}
}

// judgeFindings: levels and reasons are exactly those stated, and each stated
// text is there.
func (c *Case) judgeFindings(t *testing.T, all []found) {
	t.Helper()
	type kind struct {
		Level
		verdict.Reason
	}
	want, got := map[kind]bool{}, map[kind]bool{}
	broken := false
	for _, f := range all {
		got[kind{f.level, f.Reason}] = true
		broken = broken || f.level != File
	}
	named := map[string]bool{}
	for _, e := range c.Expect {
		if e.What != "finding" {
			continue
		}
		want[kind{e.Level, e.Reason}] = true
		named[e.Path] = true
		if !slices.ContainsFunc(all, e.fits) {
			t.Errorf("nothing fits the expectation %s %s %s %q", e.Level, e.Path, e.Reason, e.Text)
		}
	}
	if !maps.Equal(want, got) {
		t.Errorf("levels and reasons are %v, expected %v", got, want)
	}
	// Where nothing else is wrong, each file that is has to be named.
	for _, f := range all {
		if f.level == File && !broken && !named[f.path] && !named["*"] {
			t.Errorf("nobody expected: %s", f)
		}
	}
}

func (e Expectation) fits(f found) bool {
	return f.level == e.Level && f.Reason == e.Reason && strings.Contains(f.Where+": "+f.Detail, e.Text) &&
		(e.Volume < 0 || e.Volume == f.volume) && (e.Level != File || e.Path == "*" || e.Path == f.path)
}

// judgeFiles: what has no problem was read to its end; what has one failed.
func (c *Case) judgeFiles(t *testing.T, a answer) {
	t.Helper()
	for i, e := range a.list.Entries {
		got := a.files[i]
		switch {
		case e.Type != medium.File:
		case e.Problem != nil && got.read && got.failed == nil:
			t.Errorf("%s has a problem, and was read without one", e.Path)
		case e.Problem == nil && !got.read:
			t.Errorf("%s was not read", e.Path)
		case got.failed == nil && got.read && got.size != e.Size:
			t.Errorf("%s: %d bytes were read of %d", e.Path, got.size, e.Size)
		}
	}
}

func (c *Case) judgeNumbers(t *testing.T, a answer) {
	t.Helper()
	types, deleted := map[string]int64{}, int64(0)
	for _, e := range a.list.Entries {
		types[e.Type.Word()]++
	}
	for _, v := range a.list.Volumes {
		deleted += v.Deleted
	}
	for _, e := range c.Expect {
		switch {
		case e.What == "holds" && types[e.Type] != e.Count:
			t.Errorf("it holds %d of type %s, expected %d", types[e.Type], e.Type, e.Count)
		case e.What == "deleted" && deleted != e.Count:
			t.Errorf("%d deleted entries, expected %d", deleted, e.Count)
		}
	}
}

// judgeContents: on a sound volume of a sound medium is what was put there,
// but for what the recipe names.
func (c *Case) judgeContents(t *testing.T, base Base, a answer, all []found) {
	t.Helper()
	altered, missing := map[string]bool{}, map[string]bool{}
	for _, e := range c.Expect {
		switch e.What {
		case "altered":
			altered[e.Path] = true
		case "missing":
			missing[e.Path] = true
		}
	}
	if slices.ContainsFunc(all, func(f found) bool { return f.level == Medium }) {
		return
	}
	for n, v := range a.list.Volumes {
		if len(v.Problems) > 0 {
			continue
		}
		if n >= len(base.Volumes) {
			t.Errorf("there is a volume %d, which nobody made", n)
			continue
		}
		left := maps.Clone(base.Volumes[n])
		maps.DeleteFunc(left, func(p string, _ []byte) bool { return missing[p] || altered[p] })
		for i, e := range a.list.Entries {
			if e.Volume == n && e.Type != medium.Folder {
				c.judgeContent(t, a.files[i], e.Path, left, altered, e.Problem == nil)
			}
		}
		for p := range left {
			if !strings.HasSuffix(p, "/") {
				t.Errorf("%s is missing on volume %d", p, n)
			}
		}
	}
}

// judgeContent takes a file that was seen out of left.
func (c *Case) judgeContent(t *testing.T, got content, path string, left testmedia.Files, altered map[string]bool, good bool) {
	t.Helper()
	want, ok := left[path]
	top, _, _ := strings.Cut(path, "/")
	switch {
	case altered[path] || altered[top+"/"]:
	case !ok:
		t.Errorf("nobody put %q there", path)
	case good && got.failed == nil && got.sum != sha256.Sum256(want):
		t.Errorf("%s has another content", path)
	}
	delete(left, path)
}
