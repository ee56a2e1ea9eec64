package tally_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/tally"
)

func definition() *model.Definition {
	return &model.Definition{
		Contests: []model.Contest{
			{ID: "c", Name: "Contest", VotesAllowed: 2, Options: []model.Option{{ID: "a", Name: "A"}, {ID: "b", Name: "B"}, {ID: "w", Name: "Write-in", WriteIn: true}}},
			{ID: "m", Name: "Measure", VotesAllowed: 1, Options: []model.Option{{ID: "y", Name: "Yes"}}},
		},
		Styles: []model.Style{
			{IDs: []string{"s1"}, Contests: []int{0, 1}, Precincts: []int{0}},
			{IDs: []string{"s2"}, Contests: []int{1}, Precincts: []int{1}},
		},
		Precincts: []model.Precinct{{ID: "p1", Name: "One"}, {ID: "p2", Name: "Two"}},
	}
}

func counted(t *testing.T) *tally.Tally {
	t.Helper()
	c := tally.NewCounter(definition())
	for i := range 10 {
		b := &model.Ballot{}
		s := b.AddSnapshot(model.Original)
		if i%2 == 1 {
			b.Style, b.Precinct = 1, 1
		} else {
			m := s.AddMarks(0)
			m.Positions = append(m.Positions, model.Position{Option: i % 3, Indicated: model.Yes, Allocable: model.Yes, Votes: 1})
		}
		if err := c.Add(b, tally.Batch{No: int64(i % 3)}); err != nil {
			t.Fatal(err)
		}
	}
	tl, err := c.Result()
	if err != nil {
		t.Fatal(err)
	}
	return tl
}

func TestContestsCountWhereTheyStandOnTheBallot(t *testing.T) {
	tl := counted(t)
	if tl.Ballots != 10 || tl.Batches != 3 || tl.Precincts[0].Ballots != 5 || tl.Precincts[1].Ballots != 5 {
		t.Errorf("%+v", tl)
	}
	c, m := tl.Contests[0], tl.Contests[1]
	if len(c.Precincts) != 1 || c.Total.Ballots != 5 || c.Total.Undervotes != 5 || c.Total.Overvotes != 0 {
		t.Errorf("%+v", c)
	}
	if len(m.Precincts) != 2 || m.Total.Ballots != 10 || m.Total.Undervotes != 10 {
		t.Errorf("%+v", m)
	}
}

// Each single number of a tally, made one larger, is noticed.
func TestATallyThatDoesNotBalanceIsNoResult(t *testing.T) {
	for name, change := range map[string]func(*tally.Tally){
		"ballots":            func(x *tally.Tally) { x.Ballots++ },
		"precinct's ballots": func(x *tally.Tally) { x.Precincts[0].Ballots++ },
		"contest's ballots":  func(x *tally.Tally) { x.Contests[0].Total.Ballots++ },
		"votes":              func(x *tally.Tally) { x.Contests[0].Total.Votes[0]++ },
		"moved votes":        func(x *tally.Tally) { x.Contests[0].Total.Votes[0]++; x.Contests[0].Total.Votes[1]-- },
		"overvotes":          func(x *tally.Tally) { x.Contests[0].Total.Overvotes++ },
		"undervotes":         func(x *tally.Tally) { x.Contests[1].Precincts[1].Undervotes++ },
		"write-ins":          func(x *tally.Tally) { x.Contests[0].Total.WriteIns++ },
		"unresolved":         func(x *tally.Tally) { x.Contests[0].Total.Unresolved++ },
		"precinct's votes":   func(x *tally.Tally) { x.Contests[0].Precincts[0].Votes[1]++ },
		"votes allowed":      func(x *tally.Tally) { x.Contests[0].VotesAllowed++ },
		"an option too few":  func(x *tally.Tally) { x.Contests[0].Total.Votes = x.Contests[0].Total.Votes[:2] },
		"a precinct too few": func(x *tally.Tally) { x.Contests[1].Precincts = x.Contests[1].Precincts[:1] },
		"balanced, but negative": func(x *tally.Tally) {
			x.Contests[0].Total.Votes[0] -= 9
			x.Contests[0].Total.Undervotes += 9
		},
	} {
		t.Run(name, func(t *testing.T) {
			tl := counted(t)
			change(tl)
			if err := tl.Check(); !errors.Is(err, tally.ErrUnbalanced) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestTestElectionsSaySo(t *testing.T) {
	tl := counted(t)
	tl.Test, tl.Name = true, "Drill\x1b[31m"
	var b strings.Builder
	if err := tl.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "TEST ELECTION") || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%q", b.String())
	}
}
