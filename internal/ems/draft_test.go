package ems_test

import (
	"context"
	"errors"
	"testing"

	"sallyport/internal/ems"
	"sallyport/internal/ems/election"
	"sallyport/internal/testelection"
)

// Every version of a definition is kept, and nobody overwrites another's work.
func TestDraftsAreKept(t *testing.T) {
	ctx := context.Background()
	c, _ := core(t)
	d, err := election.Read(read(t, "definition.json").Data)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.SaveDraft(ctx, d, by, 0)
	if err != nil || first.Revision != 1 {
		t.Fatal(first, err)
	}
	d.Elections[0].Contests = d.Elections[0].Contests[:1] // a draft may be broken
	second, err := c.SaveDraft(ctx, d, by, first.No)
	if err != nil || second.Revision != 2 {
		t.Fatal(second, err)
	}
	if _, err := c.SaveDraft(ctx, d, by, first.No); !errors.Is(err, ems.ErrChanged) {
		t.Errorf("%v", err)
	}
	if _, err := c.SaveDraft(ctx, d, ems.By{}, second.No); !errors.Is(err, ems.ErrBy) {
		t.Errorf("%v", err)
	}
	list, err := c.Drafts(ctx, testelection.ID)
	if err != nil || len(list) != 2 || len(list[0].Definition.Elections[0].Contests) != 4 || list[0].Who != by.Who {
		t.Errorf("%+v %v", list, err)
	}
	if ids, err := c.DraftElections(ctx); err != nil || len(ids) != 1 || ids[0] != testelection.ID {
		t.Errorf("%v %v", ids, err)
	}
	if _, err := c.Drafts(ctx, "nowhere"); !errors.Is(err, ems.ErrNoDraft) {
		t.Errorf("%v", err)
	}
	d.Elections[0].ExternalIDs = nil
	if _, err := c.SaveDraft(ctx, d, by, 0); !errors.Is(err, ems.ErrDraftID) {
		t.Errorf("%v", err)
	}
	if list, err := c.Elections(ctx); err != nil || len(list) != 0 {
		t.Errorf("a draft is among the elections: %v %v", list, err)
	}
}
