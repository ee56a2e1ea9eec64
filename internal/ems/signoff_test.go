package ems_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/internal/ems"
	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/election"
	"sallyport/internal/testelection"
)

var two = [2]deck.Signer{{Name: "county clerk", Role: "conductor"}, {Name: "deputy clerk", Role: "witness"}}

// tested makes a sign-off of a definition: its deck counted by what it must
// count to.
func tested(t *testing.T, v *election.Valid, sha string) *deck.SignOff {
	t.Helper()
	d, err := deck.Build(v, deck.Options{DefinitionSHA256: sha})
	if err != nil {
		t.Fatal(err)
	}
	want, err := deck.Expect(v, d)
	if err != nil {
		t.Fatal(err)
	}
	f, err := deck.Test(v, d, want, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.SignOff(sha, two, time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A sign-off is kept for the definition in force, and void when it changes.
func TestSignOffs(t *testing.T) {
	ctx := context.Background()
	c, _ := core(t)
	d, err := election.Read(read(t, "definition.json").Data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignOffs(ctx, testelection.ID); !errors.Is(err, ems.ErrNoDraft) {
		t.Errorf("%v", err)
	}
	first, err := c.SaveDraft(ctx, d, by, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.InForce(ctx, testelection.ID)
	if err != nil || f.SHA256 != first.SHA256 || f.Imported || f.Revision != 1 || f.Valid == nil {
		t.Fatalf("%+v %v", f, err)
	}
	s := tested(t, f.Valid, f.SHA256)
	if err := c.SaveSignOff(ctx, testelection.ID, s, ems.By{}); !errors.Is(err, ems.ErrBy) {
		t.Errorf("%v", err)
	}
	if err := c.SaveSignOff(ctx, testelection.ID, s, by); err != nil {
		t.Fatal(err)
	}
	if list, err := c.SignOffs(ctx, testelection.ID); err != nil || len(list) != 1 || list[0].Void != nil || *list[0].SignOff != *s {
		t.Errorf("%+v %v", list, err)
	}
	d.Notes = "another word"
	if _, err := c.SaveDraft(ctx, d, by, first.No); err != nil {
		t.Fatal(err)
	}
	if list, err := c.SignOffs(ctx, testelection.ID); err != nil || len(list) != 1 || !errors.Is(list[0].Void, deck.ErrVoid) {
		t.Errorf("%+v %v", list, err)
	}
	if err := c.SaveSignOff(ctx, testelection.ID, s, by); !errors.Is(err, deck.ErrVoid) {
		t.Errorf("a void sign-off was kept: %v", err)
	}
	// The definition under which ballots are counted is in force, whatever is drafted.
	r := must(t, c, definition(t))
	f, err = c.InForce(ctx, testelection.ID)
	if err != nil || !f.Imported || f.SHA256 != read(t, "definition.json").SHA256() || r.ElectionID != testelection.ID {
		t.Errorf("%+v %v", f, err)
	}
}

// Only a core that has nothing has a zero report, also before the polls are closed.
func TestZero(t *testing.T) {
	ctx := context.Background()
	c, _ := core(t)
	if _, _, err := c.Zero(ctx, testelection.ID); !errors.Is(err, ems.ErrNoElection) {
		t.Errorf("%v", err)
	}
	must(t, c, definition(t))
	run, v, err := c.Zero(ctx, testelection.ID)
	if err != nil || run.Ballots() != 0 {
		t.Fatal(err)
	}
	r, err := deck.CheckZero(v, run)
	if err != nil || !r.Same() || r.Numbers < 20 {
		t.Errorf("%+v %v", r, err)
	}
	if err := c.AddManual(ctx, testelection.ID, ems.ManualTally{Name: "torn", Contests: []ems.ManualContest{{Contest: "contest-clerk",
		Lines: []ems.ManualLine{{Precinct: "precinct-1", Ballots: 1, Votes: map[string]int64{"option-clerk-1": 1}}}}}}, by); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Zero(ctx, testelection.ID); !errors.Is(err, ems.ErrNotEmpty) {
		t.Errorf("a manual tally is not nothing: %v", err)
	}
	other, _ := core(t)
	must(t, other, definition(t))
	must(t, other, records(t, read(t, "cvr-precinct-1.json")))
	if _, _, err := other.Zero(ctx, testelection.ID); !errors.Is(err, ems.ErrNotEmpty) {
		t.Errorf("%v", err)
	}
}

// A core of results is no test core: its ballots are given to nobody.
func TestBallotsOfResultsAreNotRead(t *testing.T) {
	ctx := context.Background()
	c, _ := core(t)
	must(t, c, definition(t))
	must(t, c, records(t, read(t, "cvr-precinct-1.json")))
	f, err := c.InForce(ctx, testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	if f.Definition.IsTest {
		t.Skip("the small election is a test")
	}
	if _, err := c.TestRun(ctx, testelection.ID, f.Valid); !errors.Is(err, ems.ErrNotTest) {
		t.Errorf("%v", err)
	}
	n := 0
	for b, err := range c.TestBallots(ctx, testelection.ID) {
		if n++; b != nil || !errors.Is(err, ems.ErrNotTest) {
			t.Errorf("a ballot was given: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d answers", n)
	}
}
