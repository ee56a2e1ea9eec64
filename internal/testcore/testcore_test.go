package testcore_test

import (
	"context"
	"errors"
	"testing"

	"sallyport/internal/ems"
	"sallyport/internal/testcore"
)

func TestTheElectionsAreWhatTheyAreCalled(t *testing.T) {
	path := t.TempDir() + "/ems.db"
	if err := ems.CreateDesk(path); err != nil {
		t.Fatal(err)
	}
	testcore.Fill(t, path)
	c, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	if x, err := c.Tally(ctx, testcore.Closed); err != nil || x.Ballots != 320 {
		t.Errorf("%+v %v", x, err)
	}
	if _, err := c.Tally(ctx, testcore.Open); !errors.Is(err, ems.ErrPollsOpen) {
		t.Error(err)
	}
	by := ems.By{Who: "county clerk", Why: "charter"}
	if err := c.SetRules(ctx, testcore.Open, "contest-clerk", []byte(testcore.Rules), by); err != nil {
		t.Error(err)
	}
	if s, err := c.Standing(ctx, testcore.Open); err != nil || len(s.WithoutRules) != 0 {
		t.Errorf("%+v %v", s, err)
	}
}
