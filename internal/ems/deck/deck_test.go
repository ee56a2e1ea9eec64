package deck_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"testing"

	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/testelection"
)

var definitionDigest = strings.Repeat("0a", 32)

func small(t testing.TB) *election.Valid {
	t.Helper()
	e, err := testelection.Small()
	if err != nil {
		t.Fatal(err)
	}
	d, err := election.Read(e.Definition.Data)
	if err != nil {
		t.Fatal(err)
	}
	return checked(t, d)
}

func checked(t testing.TB, d *election.Definition) *election.Valid {
	t.Helper()
	v, problems := d.Check()
	if v == nil {
		t.Fatal(problems)
	}
	return v
}

func built(t testing.TB, v *election.Valid, o deck.Options) *deck.Deck {
	t.Helper()
	o.DefinitionSHA256 = definitionDigest
	d, err := deck.Build(v, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func expected(t testing.TB, v *election.Valid, d *deck.Deck) *deck.Expected {
	t.Helper()
	e, err := deck.Expect(v, d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func ballots(t testing.TB, v *election.Valid, d *deck.Deck) []model.Ballot {
	t.Helper()
	b, err := d.Ballots(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lines is a set of counts.
type lines map[deck.Key]*deck.Count

func (l lines) Lines() iter.Seq2[deck.Key, deck.Count] {
	return func(yield func(deck.Key, deck.Count) bool) {
		for k, c := range l {
			if !yield(k, *c) {
				return
			}
		}
	}
}

// counted runs the code under test over ballots: model.Rule.
func counted(t testing.TB, d *model.Definition, ballots []model.Ballot) lines {
	t.Helper()
	out := lines{}
	line := func(contest string, p, s int) *deck.Count {
		k := deck.Key{Contest: contest}
		if p >= 0 {
			k.Precinct = d.Precincts[p].ID
		}
		if s >= 0 {
			k.Style = d.Styles[s].IDs[0]
		}
		if out[k] == nil {
			out[k] = &deck.Count{Votes: map[string]int64{}}
		}
		return out[k]
	}
	each := func(p, s int, do func(p, s int)) {
		do(-1, -1)
		do(p, -1)
		do(-1, s)
		do(p, s)
	}
	zero := func(c *deck.Count, contest *model.Contest) {
		for _, o := range contest.Options {
			c.Votes[o.ID] += 0
		}
	}
	for s := range d.Styles {
		for _, p := range d.Styles[s].Precincts {
			each(p, s, func(p, s int) {
				line("", p, s)
			})
			for _, n := range d.Styles[s].Contests {
				each(p, s, func(p, s int) { zero(line(d.Contests[n].ID, p, s), &d.Contests[n]) })
			}
		}
	}
	for n := range d.Contests {
		zero(line(d.Contests[n].ID, -1, -1), &d.Contests[n])
	}
	rule := model.NewRule(d)
	for i := range ballots {
		b := &ballots[i]
		each(b.Precinct, b.Style, func(p, s int) { line("", p, s).Ballots++ })
		err := rule.Count(b, func(n int, votes []int64, got model.Outcome) error {
			each(b.Precinct, b.Style, func(p, s int) {
				c := line(d.Contests[n].ID, p, s)
				c.Ballots++
				c.Overvotes += int64(got.Overvotes)
				c.Undervotes += int64(got.Undervotes)
				c.WriteIns += int64(got.WriteIns)
				for k, x := range votes {
					c.Votes[d.Contests[n].Options[k].ID] += x
				}
			})
			return nil
		})
		if err != nil {
			t.Fatalf("ballot %d: %v", i+1, err)
		}
	}
	return out
}

func text(t testing.TB, r *deck.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The two independent ways of counting agree on every number of many elections
// with all kinds of contests, and each deck exercises all that applies.
func TestBothWaysOfCountingAgree(t *testing.T) {
	kinds := map[string]int{}
	for seed := range uint64(150) {
		v := random(t, seed)
		d, err := deck.Build(v, deck.Options{DefinitionSHA256: definitionDigest, MaxSheets: 50_000})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, c := range v.Election().Contests {
			kinds[fmt.Sprintf("%T %s", c, c.Base().VoteVariation)]++
		}
		r := deck.Compare(expected(t, v, d), counted(t, v.Compiled(), ballots(t, v, d)))
		if !r.Same() || len(r.Levels) != 8 || r.Sheets != len(d.Sheets) {
			t.Fatalf("seed %d, %d sheets: %s", seed, len(d.Sheets), text(t, r))
		}
		c, err := deck.Cover(v, d)
		if err != nil || !c.Complete() {
			t.Fatalf("seed %d: %v %+v", seed, err, c)
		}
	}
	if len(kinds) < 10 {
		t.Errorf("only these kinds of contests were tried: %v", kinds)
	}
}

func TestDeckOfTheSmallElection(t *testing.T) {
	v := small(t)
	d := built(t, v, deck.Options{Seed: "one"})
	again := built(t, v, deck.Options{Seed: "one"})
	var a, b bytes.Buffer
	if d.WriteJSON(&a) != nil || again.WriteJSON(&b) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same options give another deck")
	}
	seen := map[string]bool{}
	for i, s := range d.Sheets {
		id := d.ID(s.Number)
		if s.Number != i+1 || seen[id] || len(id) != 36 || id[14] != '8' {
			t.Errorf("sheet %d of place %d has the identifier %s", s.Number, i+1, id)
		}
		seen[id] = true
	}
	if other := built(t, v, deck.Options{Seed: "two"}); other.ID(1) == d.ID(1) {
		t.Error("decks of two seeds share identifiers")
	}
	e := expected(t, v, d)
	clerk, ok := e.Line(deck.Key{Contest: "contest-clerk", Precinct: "precinct-1"})
	if !ok || clerk.Votes["option-clerk-1"] < 1 || clerk.Votes["option-clerk-2"] <= clerk.Votes["option-clerk-1"] || clerk.Votes["option-clerk-write-in"] <= clerk.Votes["option-clerk-2"] ||
		clerk.Overvotes < 1 || clerk.Undervotes < 1 || clerk.WriteIns != clerk.Votes["option-clerk-write-in"] {
		t.Errorf("%+v", clerk)
	}
	t.Logf("%d sheets", len(d.Sheets))
}

func TestSizeAndBudget(t *testing.T) {
	v := small(t)
	minimal, complete := built(t, v, deck.Options{}), built(t, v, deck.Options{Size: deck.Complete})
	if len(complete.Sheets) <= len(minimal.Sheets) {
		t.Errorf("complete has %d sheets, minimal %d", len(complete.Sheets), len(minimal.Sheets))
	}
	padded := built(t, v, deck.Options{PerUnit: 200})
	if len(padded.Sheets) != 600 {
		t.Errorf("%d sheets for three precincts", len(padded.Sheets))
	}
	for _, d := range []*deck.Deck{minimal, complete, padded} {
		if c, err := deck.Cover(v, d); err != nil || !c.Complete() {
			t.Errorf("%v %+v", err, c)
		}
	}
	for name, c := range map[string]struct {
		o   deck.Options
		err error
	}{
		"too few sheets": {deck.Options{DefinitionSHA256: definitionDigest, MaxSheets: len(minimal.Sheets) - 1}, deck.ErrBudget},
		"no digest":      {deck.Options{}, deck.ErrOptions},
		"size":           {deck.Options{DefinitionSHA256: definitionDigest, Size: "huge"}, deck.ErrOptions},
		"over the most":  {deck.Options{DefinitionSHA256: definitionDigest, MaxSheets: deck.MostSheets + 1}, deck.ErrOptions},
		"more than all":  {deck.Options{DefinitionSHA256: definitionDigest, MaxSheets: 100, PerUnit: 101}, deck.ErrOptions},
	} {
		if _, err := deck.Build(v, c.o); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := deck.Build(v, deck.Options{DefinitionSHA256: definitionDigest, MaxSheets: len(minimal.Sheets)}); err != nil {
		t.Errorf("as many sheets as needed: %v", err)
	}
}

// Each fault of a counting definition shows in the comparison.
func TestCountingFaultsShow(t *testing.T) {
	v := small(t)
	d := built(t, v, deck.Options{})
	e := expected(t, v, d)
	for name, change := range map[string]func(*model.Definition){
		"none":                 func(*model.Definition) {},
		"options swapped":      func(m *model.Definition) { o := m.Contests[0].Options; o[0], o[1] = o[1], o[0] },
		"contest left out":     func(m *model.Definition) { m.Styles[1].Contests = m.Styles[1].Contests[1:] },
		"one vote more":        func(m *model.Definition) { m.Contests[0].VotesAllowed++ },
		"one vote fewer":       func(m *model.Definition) { m.Contests[0].VotesAllowed-- },
		"contest in addition":  func(m *model.Definition) { m.Styles[0].Contests = append(m.Styles[0].Contests, 2) },
		"write-in not known":   func(m *model.Definition) { m.Contests[1].Options[2].WriteIn = false },
		"precincts swapped":    func(m *model.Definition) { m.Precincts[0], m.Precincts[1] = m.Precincts[1], m.Precincts[0] },
		"contests swapped ids": func(m *model.Definition) { m.Contests[1].ID, m.Contests[2].ID = m.Contests[2].ID, m.Contests[1].ID },
	} {
		t.Run(name, func(t *testing.T) {
			def, err := v.Definition().Clone()
			if err != nil {
				t.Fatal(err)
			}
			m := checked(t, def).Compiled() // of its own: it is changed
			change(m)
			r := deck.Compare(e, counted(t, m, ballots(t, v, d)))
			if r.Same() != (name == "none") {
				t.Error(text(t, r))
			}
		})
	}
}

// Each pair of options, swapped in any contest of many elections, shows.
func TestAnySwappedOptionsShow(t *testing.T) {
	for seed := range uint64(12) {
		v := random(t, seed)
		d, err := deck.Build(v, deck.Options{DefinitionSHA256: definitionDigest})
		if err != nil {
			t.Fatal(err)
		}
		e := expected(t, v, d)
		for n := range v.Compiled().Contests {
			list := v.Compiled().Contests[n].Options
			for i := range list {
				for j := range i {
					got := counted(t, v.Compiled(), ballots(t, v, d))
					for k, c := range got {
						if k.Contest == v.Compiled().Contests[n].ID {
							c.Votes[list[i].ID], c.Votes[list[j].ID] = c.Votes[list[j].ID], c.Votes[list[i].ID]
						}
					}
					if deck.Compare(e, got).Same() {
						t.Fatalf("seed %d: options %d and %d of contest %d look alike", seed, i, j, n)
					}
				}
			}
		}
	}
}

// Faults that are not in the definition but in the counts themselves.
func TestFaultyCountsShow(t *testing.T) {
	v := small(t)
	d := built(t, v, deck.Options{})
	e := expected(t, v, d)
	clerk := deck.Key{Contest: "contest-clerk", Precinct: "precinct-1"}
	for name, c := range map[string]struct {
		change func(lines)
		text   string
	}{
		"overvotes counted as votes": {func(l lines) { l[clerk].Votes["option-clerk-1"] += l[clerk].Overvotes; l[clerk].Overvotes = 0 }, "contest contest-clerk, precinct precinct-1, overvotes"},
		"line missing":               {func(l lines) { delete(l, clerk) }, "contest contest-clerk, precinct precinct-1, line: expected"},
		"option missing":             {func(l lines) { delete(l[clerk].Votes, "option-clerk-1") }, "option option-clerk-1, votes: expected 1, got 0 (missing)"},
		"option too much":            {func(l lines) { l[clerk].Votes["x\n"] = 0 }, `option x\n, votes: expected 0, got 0 (unexpected)`},
		"contest too much":           {func(l lines) { l[deck.Key{Contest: "x"}] = &deck.Count{Ballots: 1} }, "contest x, line: expected 0, got 1 (unexpected)"},
		"ballots":                    {func(l lines) { l[deck.Key{Precinct: "precinct-1"}].Ballots++ }, "ballots cast, precinct precinct-1, ballots"},
	} {
		t.Run(name, func(t *testing.T) {
			got := counted(t, v.Compiled(), ballots(t, v, d))
			c.change(got)
			r := deck.Compare(e, got)
			if r.Same() || !strings.Contains(text(t, r), c.text) {
				t.Error(text(t, r))
			}
			var csv bytes.Buffer
			if err := r.WriteCSV(&csv); err != nil || bytes.Count(csv.Bytes(), []byte("\r\n")) != 1+len(r.Differences) {
				t.Errorf("%v %q", err, csv.String())
			}
		})
	}
	got := counted(t, v.Compiled(), ballots(t, v, d))
	got[deck.Key{Contest: "x"}] = &deck.Count{}
	twice := repeated{got, clerk}
	if r := deck.Compare(e, twice); r.Same() || r.Differences[0].Note != "repeated" || len(r.Differences) != 1 {
		t.Errorf("%+v", r.Differences)
	}
	maps.DeleteFunc(got, func(k deck.Key, _ *deck.Count) bool { return k.Style != "" || k.Contest == "" })
	if r := deck.Compare(e, got); !r.Same() || len(r.Levels) != 2 {
		t.Errorf("without lines by style: %s", text(t, r))
	}
}

// repeated yields one line twice.
type repeated struct {
	lines
	again deck.Key
}

func (r repeated) Lines() iter.Seq2[deck.Key, deck.Count] {
	return func(yield func(deck.Key, deck.Count) bool) {
		if yield(r.again, *r.lines[r.again]) {
			r.lines.Lines()(yield)
		}
	}
}

func TestZeroReport(t *testing.T) {
	v := small(t)
	check := func(got deck.Counts) *deck.Report {
		t.Helper()
		r, err := deck.CheckZero(v, got)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	zero := counted(t, v.Compiled(), nil)
	if r := check(zero); !r.Same() || r.Numbers == 0 {
		t.Error(text(t, r))
	}
	proof, err := deck.Zero(v)
	if err != nil {
		t.Fatal(err)
	}
	if r := check(proof); !r.Same() {
		t.Error(text(t, r))
	}
	var csv bytes.Buffer
	if err := proof.WriteCSV(&csv); err != nil || !strings.Contains(csv.String(), "TEST,contest-mayor,precinct-3,,votes,option-mayor-2,0\r\n") {
		t.Errorf("%v %s", err, csv.String())
	}
	clerk := deck.Key{Contest: "contest-clerk", Precinct: "precinct-3"}
	zero[clerk].Votes["option-clerk-2"] = 1
	if r := check(zero); len(r.Differences) != 1 {
		t.Error(text(t, r))
	}
	delete(zero, clerk)
	if r := check(zero); len(r.Differences) != 1 || r.Differences[0].Note != "missing" {
		t.Error(text(t, r))
	}
}
