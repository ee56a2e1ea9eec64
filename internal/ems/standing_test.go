package ems_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/internal/ems"
	"sallyport/internal/ems/results"
	"sallyport/internal/testelection"
)

func TestStandingSaysWhatIsMissing(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	c.SetClock(func() time.Time { return time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC) })
	look := func(missing int) *ems.Standing {
		t.Helper()
		s, err := c.Standing(ctx, testelection.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Missing) != missing {
			t.Errorf("missing is %q", s.Missing)
		}
		return s
	}
	if s := look(1); s.PollsClosed || len(s.Unresolved) > 0 || s.Status != results.PreElection || s.Election.Ballots != 320 {
		t.Errorf("%+v", s)
	}
	if err := c.ClosePolls(ctx, testelection.ID, by); err != nil {
		t.Fatal(err)
	}
	waiting := len(look(4).Unresolved) // the status, and contests with names that wait
	if waiting != 3 {
		t.Errorf("names wait in %d contests", waiting)
	}
	set := func(to results.Status, approver string) {
		t.Helper()
		if _, err := c.SetStatus(ctx, testelection.ID, to, by, approver); err != nil {
			t.Fatal(err)
		}
	}
	set(results.UnofficialComplete, "")
	look(3)
	var all []ems.Decision
	for _, w := range open(t, c, true) {
		all = append(all, ems.Decision{Ballot: w.Ballot, Contest: w.Contest, Position: w.Position, Reject: true})
	}
	if err := c.Adjudicate(ctx, testelection.ID, all, by); err != nil {
		t.Fatal(err)
	}
	look(0)
	set(results.Certified, "clerk")
	if s := look(0); s.Changed || s.Sequence != 2 || len(s.History) != 2 {
		t.Errorf("%+v", s)
	}
	if err := c.Adjudicate(ctx, testelection.ID, all[:1], by); err != nil {
		t.Fatal(err)
	}
	if s := look(1); !s.Changed {
		t.Errorf("%+v", s)
	}
	if _, err := c.Standing(ctx, "nowhere"); !errors.Is(err, ems.ErrNoElection) {
		t.Error(err)
	}
}

// A mark tells whether something was decided in between.
func TestMarksCountDecisions(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	mark := func() ems.Mark {
		t.Helper()
		m, err := c.Mark(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	before := mark()
	if err := c.Adjudicate(ctx, testelection.ID, []ems.Decision{}, by); !errors.Is(err, ems.ErrDecision) {
		t.Error(err)
	}
	if _, err := c.SetStatus(ctx, testelection.ID, results.Certified, by, "clerk"); !errors.Is(err, ems.ErrTransition) {
		t.Error(err)
	}
	if got := mark(); got != before {
		t.Errorf("%+v, was %+v: what was refused left something", got, before)
	}
	if err := c.ClosePolls(ctx, testelection.ID, by); err != nil {
		t.Fatal(err)
	}
	if got := mark(); got.Facts != before.Facts+1 || got.StateDigest == before.StateDigest {
		t.Errorf("%+v, was %+v", got, before)
	}
	if desk, err := c.Desk(ctx); err != nil || desk {
		t.Errorf("a station's core is called a desk's: %v %v", desk, err)
	}
}

func TestOnlyOneElectionNeedsNoName(t *testing.T) {
	a, b := ems.Election{ID: "a"}, ems.Election{ID: "b"}
	for _, c := range []struct {
		list  []ems.Election
		named string
		want  string
		err   error
	}{
		{nil, "", "", ems.ErrWhich}, {[]ems.Election{a}, "", "a", nil}, {[]ems.Election{a, b}, "", "", ems.ErrWhich}, {[]ems.Election{a, b}, "b", "b", nil},
	} {
		if got, err := ems.Only(c.list, c.named); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%+v: %q %v", c, got, err)
		}
	}
}
