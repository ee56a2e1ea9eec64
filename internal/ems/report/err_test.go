package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/results"
	"sallyport/internal/testtool"
)

func errOf(t testing.TB, r *results.Results) *cdf.Document {
	t.Helper()
	d, err := ERR(r, Options{Language: "en"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func encoded(t testing.TB, d *cdf.Document, enc cdf.Encoding) []byte {
	t.Helper()
	var b bytes.Buffer
	write := d.WriteJSON
	if enc == cdf.XML {
		write = d.WriteXML
	}
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readERR(t testing.TB, data []byte) *cdf.Document {
	t.Helper()
	reader, err := cdf.New()
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := reader.ReadDocument(context.Background(), "err", bytes.NewReader(data), cdf.ReadOptions{Format: cdf.ERR})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// withheldMaple is maple with small cells withheld.
func withheldMaple(t testing.TB) *results.Results {
	t.Helper()
	r, err := results.Suppress(maple(t), 10)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The published schemas judge what is written.
func TestERRIsValid(t *testing.T) {
	dir := []string{"nist", "1500-100-v2"}
	certified := maple(t)
	certified.Status, certified.Test = results.Certified, true
	for name, r := range map[string]*results.Results{"all": maple(t), "withheld": withheldMaple(t), "certified": certified} {
		t.Run(name, func(t *testing.T) {
			d := errOf(t, r)
			file := filepath.Join(t.TempDir(), "doc.xml")
			if err := os.WriteFile(file, encoded(t, d, cdf.XML), 0o600); err != nil {
				t.Fatal(err)
			}
			testtool.Run(t, "xmllint", "--noout", "--nonet", "--schema", testtool.Shared(t, append(dir, "NIST_V2_election_results_reporting.xsd")...), file)
			s, err := jsonschema.NewCompiler().Compile(testtool.Shared(t, append(dir, "NIST_V2_election_results_reporting.json")...))
			if err != nil {
				t.Fatal(err)
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded(t, d, cdf.JSON)))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(v); err != nil {
				t.Error(err)
			}
		})
	}
}

// expected is what FORMAT.md says comes back: manual tallies in their lines,
// rounds without decisions, write-in names and per-method overvotes gone.
func expected(r *results.Results) *results.Results {
	out := *r
	out.Units = slices.Clone(r.Units)
	for i := range out.Units {
		if len(out.Units[i].Ballots) > 0 {
			out.Units[i].Counted = "completed"
		}
	}
	return &out
}

func TestERRRoundTrip(t *testing.T) {
	for name, r := range map[string]*results.Results{"all": maple(t), "withheld": withheldMaple(t)} {
		for _, enc := range []cdf.Encoding{cdf.JSON, cdf.XML} {
			got, notes, err := FromERR(readERR(t, encoded(t, errOf(t, r), enc)))
			if err != nil {
				t.Fatal(err)
			}
			if len(notes) > 0 {
				t.Errorf("%s, %v: %v", name, enc, notes)
			}
			want := expected(r)
			a, b := *want, *got
			a.Contests, b.Contests = nil, nil
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("%s, %v: %s", name, enc, diff)
			}
			sameContests(t, want, got)
			again, _, err := FromERR(errOf(t, got))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("%s, %v, once more: %s", name, enc, diff)
			}
		}
	}
}

// sameContests compares what comes back of contests: everything but what the
// standard has no place for.
func sameContests(t *testing.T, want, got *results.Results) {
	t.Helper()
	if len(want.Contests) != len(got.Contests) {
		t.Fatalf("%d contests of %d", len(got.Contests), len(want.Contests))
	}
	for i := range want.Contests {
		a, b := want.Contests[i], got.Contests[i]
		ta, tb := a.Total(), b.Total()
		tb.Unresolved = ta.Unresolved
		if diff := cmp.Diff(ta, tb); diff != "" {
			t.Errorf("%s: total: %s", a.ID, diff)
		}
		if diff := cmp.Diff(a.ByUnit(), b.ByUnit()); diff != "" {
			t.Errorf("%s: by unit: %s", a.ID, diff)
		}
		manual := map[string]results.Line{}
		for kind, l := range a.ByMethod() {
			if kind == results.Total { // a manual tally beside lines by way of voting
				kind = "manual tally"
			}
			manual[kind] = results.Line{Votes: l.Votes, Suppressed: l.Suppressed}
		}
		methods := map[string]results.Line{}
		for kind, l := range b.ByMethod() {
			methods[kind] = results.Line{Votes: l.Votes, Suppressed: l.Suppressed}
		}
		if diff := cmp.Diff(manual, methods); diff != "" {
			t.Errorf("%s: by way of voting: %s", a.ID, diff)
		}
		for k := range a.Rounds {
			if !slices.Equal(a.Rounds[k].Votes, b.Rounds[k].Votes) || a.Rounds[k].Number != b.Rounds[k].Number {
				t.Errorf("%s: round %d: %v", a.ID, k, b.Rounds[k])
			}
		}
		for _, c := range []*results.Contest{&a, &b} {
			c.Lines, c.Sums, c.Manual, c.WriteIns, c.Rounds = nil, nil, nil, nil, nil
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s: %s", a.ID, diff)
		}
	}
}

func TestERRRefuses(t *testing.T) {
	for want, change := range map[string]func(*results.Results){
		"in which unit":        func(r *results.Results) { r.ScopeID = "" },
		"when they were made":  func(r *results.Results) { r.GeneratedAt = time.Time{} },
		"contradict":           func(r *results.Results) { r.Contests[0].Lines[0].Votes[0]++ },
		"before the polls":     func(r *results.Results) { r.Status = results.PreElection },
		"stands for no party":  func(r *results.Results) { r.Contests[7].Options[0].Parties = nil },
		"a contest of kind 99": func(r *results.Results) { r.Contests[1].Kind = 99 },
	} {
		r := maple(t)
		change(r)
		if _, err := ERR(r, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// Counties of all sorts, with small counts withheld or not, come back with the
// same totals of all, of units and of ways of voting, and the same cells withheld.
func TestRandomRoundTrip(t *testing.T) {
	rnd := seed(5)
	for n := range 150 {
		kinds := []string{"election-day", "absentee", "absentee-mail", "other", "drive-in"}
		if n%2 == 0 { // absentee is withheld with its kinds
			kinds[1] = "uocava"
		}
		r := large(int(1+rnd.next(5)), 1)
		c := &r.Contests[0]
		c.Lines = nil
		if c.VotesAllowed = 1 + rnd.next(3); rnd.next(4) == 0 {
			c.DistrictID = "p0000"
		}
		for i := range r.Units[1:] {
			u := &r.Units[i+1]
			u.Ballots = nil
			if c.DistrictID == "p0000" && u.ID != "p0000" {
				continue
			}
			for _, kind := range kinds[:1+rnd.next(int64(len(kinds)))] {
				ballots := []int64{0, rnd.next(4), rnd.next(9), rnd.next(99)}[rnd.next(4)]
				c.Lines = append(c.Lines, rnd.fill(c, u.ID, kind, ballots))
				u.Ballots = append(u.Ballots, results.Ballots{Type: kind, Count: ballots})
			}
		}
		if n%2 == 0 {
			out, err := results.Suppress(r, 5)
			if errors.Is(err, results.ErrExposed) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			r = out
			c = &r.Contests[0]
		}
		got, _, err := FromERR(readERR(t, encoded(t, errOf(t, r), cdf.JSON)))
		if err != nil {
			t.Fatalf("%v: %+v", err, c)
		}
		want, back := votesOf(c), votesOf(&got.Contests[0])
		if diff := cmp.Diff(want, back); diff != "" {
			t.Fatalf("%d: %s\n%+v", n, diff, c)
		}
		if a, b := r.Ballots(), got.Ballots(); a[results.Total] != b[results.Total] {
			t.Fatalf("%d: %v ballots became %v", n, a, b)
		}
	}
}

// votesOf is all votes of a contest that are not zero, by unit and way of voting.
func votesOf(c *results.Contest) map[string]string {
	out := map[string]string{}
	put := func(key string, l results.Line) {
		if l.Suppressed {
			out[key] = "withheld"
		} else if l.Cast() > 0 {
			out[key] = fmt.Sprint(l.Votes)
		}
	}
	for i := range c.Lines {
		put(c.Lines[i].UnitID+" "+c.Lines[i].Type, c.Lines[i])
	}
	for id, l := range c.ByUnit() {
		put(id, l)
	}
	for kind, l := range c.ByMethod() {
		put(kind, l)
	}
	total := c.Total()
	put("total", total)
	out["others"] = fmt.Sprint(total.Ballots, total.Overvotes, total.Undervotes, total.WriteIns)
	return out
}
