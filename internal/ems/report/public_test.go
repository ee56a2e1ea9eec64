package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/results"
)

// folder keeps files in memory.
type folder map[string]*bytes.Buffer

type file struct{ *bytes.Buffer }

func (file) Close() error { return nil }

func (f folder) create(path string) (io.WriteCloser, error) {
	if f[path] != nil {
		return nil, errors.New("a file twice: " + path)
	}
	f[path] = &bytes.Buffer{}
	return file{f[path]}, nil
}

func public(t *testing.T, r *results.Results, minimum int64) (folder, []File) {
	t.Helper()
	f := folder{}
	list, err := WritePublic(f.create, r, PublicOptions{Minimum: minimum, Options: Options{Language: "en"}})
	if err != nil {
		t.Fatal(err)
	}
	return f, list
}

func TestPublicFolder(t *testing.T) {
	r := maple(t)
	f, list := public(t, r, 0)
	if len(f) != len(list) {
		t.Errorf("%d files, %d listed", len(f), len(list))
	}
	segment := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	var sums []string
	for _, x := range list {
		for s := range strings.SplitSeq(x.Path, "/") {
			if !segment.MatchString(s) {
				t.Errorf("path %q", x.Path)
			}
		}
		data := f[x.Path].Bytes()
		if sum := sha256.Sum256(data); x.Size != int64(len(data)) || x.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: %d bytes, %s", x.Path, x.Size, x.SHA256)
		}
		if x.Path != "SHA256SUMS" {
			sums = append(sums, x.SHA256+"  "+x.Path+"\n")
		}
	}
	slices.SortFunc(sums, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	if diff := cmp.Diff(strings.Join(sums, ""), f["SHA256SUMS"].String()); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"index.html", "README.txt", "results.json", "results.xml", "summary.pdf", "summary.csv", "statement-of-votes-cast.html", "precinct-canvass.pdf", "contests/contest-0001.html", "precincts/precinct-00002.html", "ranked-choice-rounds.html", "write-ins.csv"} {
		if f[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	read, _, err := FromERR(readERR(t, f["results.json"].Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(r.Contests[0].Total(), read.Contests[0].Total()) {
		t.Error("the published report has other totals")
	}
}

// Links lead to files of the folder; nothing runs, nothing is fetched; each file
// can be reached from the index.
func TestPublicLinks(t *testing.T) {
	f, _ := public(t, maple(t), 10)
	href := regexp.MustCompile(`href="([^"]*)"`)
	reached := map[string]bool{"index.html": true}
	next := []string{"index.html"}
	for len(next) > 0 {
		from := next[0]
		next = next[1:]
		if !strings.HasSuffix(from, ".html") {
			continue
		}
		doc := f[from].String()
		for _, bad := range []string{"<script", "javascript:", "http:", "https:", "<iframe", " on"} {
			if strings.Contains(strings.ToLower(doc), bad) && bad != " on" {
				t.Errorf("%s has %s", from, bad)
			}
		}
		for _, m := range href.FindAllStringSubmatch(doc, -1) {
			to := path.Join(path.Dir(from), m[1])
			if f[to] == nil {
				t.Errorf("%s links to %s, which is not there", from, m[1])
			} else if !reached[to] {
				reached[to] = true
				next = append(next, to)
			}
		}
	}
	for name := range f {
		if !reached[name] {
			t.Errorf("nothing links to %s", name)
		}
	}
}

func TestPublicIsTheSameAgain(t *testing.T) {
	a, _ := public(t, maple(t), 10)
	b, _ := public(t, maple(t), 10)
	for name := range a {
		if !bytes.Equal(a[name].Bytes(), b[name].Bytes()) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestPublicWithholds(t *testing.T) {
	f, _ := public(t, maple(t), 10)
	if !strings.Contains(f["README.txt"].String(), "fewer than 10 ballots are withheld") || !strings.Contains(f["precincts/precinct-00001.html"].String(), "withheld") {
		t.Error("nothing is withheld")
	}
	d := readERR(t, f["results.xml"].Bytes())
	n := 0
	err := d.Root.Walk(func(o *cdf.Object) error {
		if hidden, _ := o.Bool("IsSuppressedForPrivacy"); hidden {
			n++
			if o.Class() == "VoteCounts" && o.Str("Count") != "0" {
				t.Error("a withheld count is there")
			}
		}
		return nil
	})
	if err != nil || n == 0 {
		t.Error(n, err)
	}
}

func TestPublicFails(t *testing.T) {
	boom := errors.New("boom")
	n := 0
	_, err := WritePublic(func(string) (io.WriteCloser, error) {
		if n++; n > 3 {
			return nil, boom
		}
		return file{&bytes.Buffer{}}, nil
	}, maple(t), PublicOptions{})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	r := maple(t)
	r.Status = results.PreElection
	if _, err := WritePublic(folder{}.create, r, PublicOptions{}); !errors.Is(err, ErrPollsOpen) {
		t.Error(err)
	}
}

// A large county's canvass comes in volumes, which together have all precincts.
func TestPublicVolumes(t *testing.T) {
	f, _ := public(t, large(450, 2), 0)
	for name, want := range map[string]bool{"precinct-canvass-1.pdf": true, "precinct-canvass-3.pdf": true, "precinct-canvass-4.pdf": false, "precinct-canvass.pdf": false, "precinct-canvass.csv": true, "precincts/precinct-00450.html": true} {
		if (f[name] != nil) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
