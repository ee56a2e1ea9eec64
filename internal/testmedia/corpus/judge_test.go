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

// said collects every finding.
func (a *answer) said() (list []found) {
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

// judge fails the test where what the reader said is not what the recipe says.
func (c *Case) judge(t *testing.T, base Base, a answer) {
	t.Helper()
	j := judgement{Case: c, answer: a, all: a.said()}
	for _, why := range j.complaints(base) {
		t.Error(why)
	}
	if t.Failed() {
		t.Logf("%s: %s", c.Place, c.Name)
		for _, f := range j.all[:min(10, len(j.all))] {
			t.Logf("said: %s", f)
		}
	}
}

// judgement holds an answer against a recipe.
type judgement struct {
	*Case
	answer
	all  []found
	whys []string
}

func (j *judgement) no(format string, args ...any) {
	j.whys = append(j.whys, fmt.Sprintf(format, args...))
}

// complaints returns everything that is not as the recipe says.
func (j *judgement) complaints(base Base) []string {
	j.findings()
	if j.refused == nil {
		j.reading()
		j.numbers()
		j.contents(base)
	}
	return j.whys
}

// findings: levels and reasons are exactly those stated, and each stated text
// is there.
func (j *judgement) findings() {
	type kind struct {
		Level
		verdict.Reason
	}
	want, got := map[kind]bool{}, map[kind]bool{}
	broken := false
	for _, f := range j.all {
		got[kind{f.level, f.Reason}] = true
		broken = broken || f.level != File
	}
	named := map[string]bool{}
	for _, e := range j.Expect {
		if e.What != "finding" {
			continue
		}
		want[kind{e.Level, e.Reason}] = true
		named[e.Path] = true
		if !slices.ContainsFunc(j.all, e.fits) {
			j.no("nothing fits the expectation %s %s %s %q", e.Level, e.Path, e.Reason, e.Text)
		}
	}
	if !maps.Equal(want, got) {
		j.no("levels and reasons are %v, expected %v", got, want)
	}
	// Where nothing else is wrong, each file that is has to be named.
	for _, f := range j.all {
		if f.level == File && !broken && !named[f.path] && !named["*"] {
			j.no("nobody expected: %s", f)
		}
	}
}

func (e Expectation) fits(f found) bool {
	return f.level == e.Level && f.Reason == e.Reason && strings.Contains(f.Where+": "+f.Detail, e.Text) &&
		(e.Volume < 0 || e.Volume == f.volume) && (e.Level != File || e.Path == "*" || e.Path == f.path)
}

// reading: what has no problem was read to its end; what has one failed.
func (j *judgement) reading() {
	for i, e := range j.list.Entries {
		got := j.files[i]
		switch {
		case e.Type != medium.File:
		case e.Problem != nil && got.read && got.failed == nil:
			j.no("%s has a problem, and was read without one", e.Path)
		case e.Problem == nil && !got.read:
			j.no("%s was not read", e.Path)
		case got.failed == nil && got.read && got.size != e.Size:
			j.no("%s: %d bytes were read of %d", e.Path, got.size, e.Size)
		}
	}
}

// numbers: what is counted has the stated count.
func (j *judgement) numbers() {
	types, deleted := map[string]int64{}, int64(0)
	for _, e := range j.list.Entries {
		types[e.Type.Word()]++
	}
	for _, v := range j.list.Volumes {
		deleted += v.Deleted
	}
	for _, e := range j.Expect {
		switch {
		case e.What == "holds" && types[e.Type] != e.Count:
			j.no("it holds %d of type %s, expected %d", types[e.Type], e.Type, e.Count)
		case e.What == "deleted" && deleted != e.Count:
			j.no("%d deleted entries, expected %d", deleted, e.Count)
		}
	}
}

// contents: on a sound volume of a sound medium is what was put there,
// but for what the recipe names.
func (j *judgement) contents(base Base) {
	altered, missing := map[string]bool{}, map[string]bool{}
	for _, e := range j.Expect {
		switch e.What {
		case "altered":
			altered[e.Path] = true
		case "missing":
			missing[e.Path] = true
		}
	}
	if slices.ContainsFunc(j.all, func(f found) bool { return f.level == Medium }) {
		return
	}
	for n, v := range j.list.Volumes {
		if len(v.Problems) > 0 {
			continue
		}
		if n >= len(base.Volumes) {
			j.no("there is a volume %d, which nobody made", n)
			continue
		}
		left := maps.Clone(base.Volumes[n])
		maps.DeleteFunc(left, func(p string, _ []byte) bool { return missing[p] || altered[p] })
		for i, e := range j.list.Entries {
			if e.Volume == n && e.Type != medium.Folder {
				j.content(j.files[i], e.Path, left, altered, e.Problem == nil)
			}
		}
		for p := range left {
			if !strings.HasSuffix(p, "/") {
				j.no("%s is missing on volume %d", p, n)
			}
		}
	}
}

// content takes a file that was seen out of left.
func (j *judgement) content(got content, path string, left testmedia.Files, altered map[string]bool, good bool) {
	want, ok := left[path]
	top, _, _ := strings.Cut(path, "/")
	switch {
	case altered[path] || altered[top+"/"]:
	case !ok:
		j.no("nobody put %q there", path)
	case good && got.failed == nil && got.sum != sha256.Sum256(want):
		j.no("%s has another content", path)
	}
	delete(left, path)
}
