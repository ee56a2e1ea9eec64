package ems_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sallyport/internal/ems"
	"sallyport/internal/ems/tally"
	"sallyport/internal/testelection"
)

// However a tally is broken down, the parts add up to it.
func TestBreakdownsAddUp(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	tl := count(t, c)
	want := map[string]int{"precinct": 3, "split": 3, "style": 2, "batch": 6, "device": 3, "method": 1, "party": 1}
	for _, by := range ems.Groups() {
		list, err := c.Breakdown(ctx, testelection.ID, by)
		if err != nil || len(list) != want[by] {
			t.Errorf("%s: %d groups, %v", by, len(list), err)
		}
		var ballots int64
		over := make([]int64, len(tl.Contests))
		votes := make([][]int64, len(tl.Contests))
		for i := range votes {
			votes[i] = make([]int64, len(tl.Contests[i].Options))
		}
		for _, g := range list {
			ballots += g.Ballots
			for _, r := range g.Contests {
				n := slices.IndexFunc(tl.Contests, func(x tally.Contest) bool { return x.ID == r.ID })
				over[n] += r.Overvotes
				for i, v := range r.Votes {
					votes[n][i] += v
				}
			}
		}
		if ballots != tl.Ballots {
			t.Errorf("%s: %d ballots", by, ballots)
		}
		for n, x := range tl.Contests {
			for i, v := range x.Total.Votes {
				if votes[n][i] != v || over[n] != x.Total.Overvotes {
					t.Errorf("%s, contest %s: %d votes and %d overvotes, the tally has %d and %d", by, x.ID, votes[n][i], over[n], v, x.Total.Overvotes)
				}
			}
		}
	}
	if _, err := c.Breakdown(ctx, testelection.ID, "weather"); !errors.Is(err, ems.ErrGroup) {
		t.Errorf("%v", err)
	}
	c.SetClock(func() time.Time { return time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC) })
	if _, err := c.Breakdown(ctx, testelection.ID, "method"); !errors.Is(err, ems.ErrPollsOpen) {
		t.Errorf("%v", err)
	}
}
