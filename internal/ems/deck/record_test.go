package deck_test

import (
	"encoding/csv"
	"errors"
	"iter"
	"strings"
	"testing"

	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
)

func records(list []model.Ballot) iter.Seq2[*model.Ballot, error] {
	return func(yield func(*model.Ballot, error) bool) {
		for i := range list {
			if !yield(&list[i], nil) {
				return
			}
		}
	}
}

func TestRecordsAreComparedWithTheirSheets(t *testing.T) {
	v := small(t)
	d := built(t, v, deck.Options{})
	compare := func(list []model.Ballot) *deck.BallotReport {
		t.Helper()
		r, err := deck.CompareBallots(v, d, records(list))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := func(list []model.Ballot) *model.Marks { // of a ballot with one mark in its first contest
		for i := range list {
			for j := range list[i].Snapshots[0].Contests {
				if m := &list[i].Snapshots[0].Contests[j]; m.Contest == 1 && len(m.Positions) == 1 && m.Positions[0].Option == 0 {
					return m
				}
			}
		}
		t.Fatal("no such ballot")
		return nil
	}
	for name, c := range map[string]struct {
		change     func(list []model.Ballot) []model.Ballot
		item, text string
	}{
		"other option":   {func(l []model.Ballot) []model.Ballot { first(l).Positions[0].Option = 1; return l }, "marks", `contest contest-clerk: marks: expected "option-clerk-1", got "option-clerk-2"`},
		"mark not read":  {func(l []model.Ballot) []model.Ballot { first(l).Positions[0].Indicated = model.No; return l }, "marks", `expected "option-clerk-1", got blank`},
		"no such option": {func(l []model.Ballot) []model.Ballot { first(l).Positions[0].Option = 9; return l }, "marks", `got "number 9"`},
		"missing":        {func(l []model.Ballot) []model.Ballot { return l[1:] }, "missing", "ballot 1 ("},
		"repeated":       {func(l []model.Ballot) []model.Ballot { return append(l, l[2]) }, "repeated", l3(d)},
		"unknown":        {func(l []model.Ballot) []model.Ballot { return append(l, model.Ballot{ID: "x"}) }, "unknown", "ballot 0 (x): unknown"},
		"precinct":       {func(l []model.Ballot) []model.Ballot { l[0].Precinct = 1; return l }, "precinct", "expected precinct-1, got precinct-2"},
		"style":          {func(l []model.Ballot) []model.Ballot { l[0].Style = 1; return l }, "style", "expected style-county, got style-harbor"},
	} {
		t.Run(name, func(t *testing.T) {
			r := compare(c.change(ballots(t, v, d)))
			var b strings.Builder
			if err := r.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			if len(r.Differences) != 1 || r.Differences[0].Item != c.item || !strings.Contains(b.String(), c.text) {
				t.Errorf("%s", b.String())
			}
		})
	}
	list := ballots(t, v, d)
	m := first(list) // what a rule generated or what was marked and not counted is no other mark
	m.Positions = append(m.Positions, model.Position{Option: 2, Indicated: model.Yes, Generated: true, Votes: 1})
	m.Positions[0].Allocable, m.Overvoted = model.No, true
	if r := compare(list); !r.Same() || r.Records != len(d.Sheets) {
		t.Errorf("%+v", r)
	}
	broken := errors.New("disk")
	if _, err := deck.CompareBallots(v, d, func(yield func(*model.Ballot, error) bool) { yield(nil, broken) }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := deck.CompareBallots(v, d, records([]model.Ballot{{ID: d.ID(1), Style: 99}})); !errors.Is(err, deck.ErrDeck) {
		t.Errorf("%v", err)
	}
}

func l3(d *deck.Deck) string { return "(" + d.ID(3) + "): repeated" }

func TestGuideSaysHowToMark(t *testing.T) {
	v := small(t)
	d := built(t, v, deck.Options{})
	var b strings.Builder
	if err := d.WriteGuide(v, &b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	marks := 0
	for _, s := range d.Sheets {
		for _, m := range s.Marks {
			marks += len(m)
		}
	}
	found := map[string]bool{}
	for _, row := range rows[1:] {
		if row[7] != "" {
			marks--
		}
		_, after, _ := strings.Cut(row[13], ": ")
		found[after] = true
	}
	if marks != 0 {
		t.Errorf("%d marks are not in the guide", marks)
	}
	for _, want := range []string{"mark the 2nd oval in County Clerk", "mark nothing in County Clerk", "mark the 3rd oval and write Test Name 3 in County Clerk", "mark the 3rd oval and write no name in County Clerk"} {
		if !found[want] {
			t.Errorf("nobody is told to %s", want)
		}
	}
	d.Sheets[0].Style = "other"
	if err := d.WriteGuide(v, &b); !errors.Is(err, deck.ErrDeck) {
		t.Errorf("%v", err)
	}
}

func TestForeignDecksAreRefused(t *testing.T) {
	v := small(t)
	mark := deck.Mark{Option: "option-clerk-1", Position: 1, Votes: 1}
	sheet := func(contest string, marks ...deck.Mark) *deck.Deck {
		return &deck.Deck{Sheets: []deck.Sheet{{Number: 1, Style: "style-county", Precinct: "precinct-1", Marks: map[string][]deck.Mark{contest: marks}}}}
	}
	with := func(change func(*deck.Mark)) deck.Mark {
		m := mark
		change(&m)
		return m
	}
	if _, err := deck.Expect(v, sheet("contest-clerk", mark)); err != nil {
		t.Fatal(err)
	}
	def, err := v.Definition().Clone()
	if err != nil {
		t.Fatal(err)
	}
	def.Elections[0].Contests[1].Base().VoteVariation = election.Cumulative
	heap := sheet("contest-clerk", with(func(m *deck.Mark) { m.Votes = 1_000_000_000 }))
	if _, err := deck.Expect(checked(t, def), heap); !errors.Is(err, deck.ErrDeck) {
		t.Errorf("%v", err)
	}
	for name, d := range map[string]*deck.Deck{
		"contest of another style": sheet("contest-mayor"),
		"unknown option":           sheet("contest-clerk", with(func(m *deck.Mark) { m.Option = "x" })),
		"wrong position":           sheet("contest-clerk", with(func(m *deck.Mark) { m.Position = 2 })),
		"twice":                    sheet("contest-clerk", mark, mark),
		"two votes":                sheet("contest-clerk", with(func(m *deck.Mark) { m.Votes = 2 })),
		"no vote":                  sheet("contest-clerk", with(func(m *deck.Mark) { m.Votes = 0 })),
		"a rank":                   sheet("contest-clerk", with(func(m *deck.Mark) { m.Rank = 1 })),
		"a name":                   sheet("contest-clerk", with(func(m *deck.Mark) { m.WriteIn = "x" })),
		"wrong precinct":           {Sheets: []deck.Sheet{{Style: "style-county", Precinct: "precinct-3"}}},
	} {
		if _, err := deck.Expect(v, d); !errors.Is(err, deck.ErrDeck) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := deck.Cover(v, d); !errors.Is(err, deck.ErrDeck) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
