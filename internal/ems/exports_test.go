package ems_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems"
	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/model"
	"sallyport/internal/testelection"
)

// What is exported is imported again as the same ballots, in both encodings, with
// what people decided.
func TestExportedRecordsComeBack(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	w := open(t, c, true)
	if err := c.Adjudicate(ctx, testelection.ID, []ems.Decision{{Ballot: w[0].Ballot, Contest: w[0].Contest, Position: w[0].Position, Name: "Write-in Candidate 1"}}, by); err != nil {
		t.Fatal(err)
	}
	want := count(t, c)
	for _, enc := range []cdf.Encoding{cdf.JSON, cdf.XML} {
		var doc bytes.Buffer
		if err := c.WriteRecords(ctx, testelection.ID, &doc, enc); err != nil {
			t.Fatal(err)
		}
		again, _ := core(t)
		must(t, again, definition(t))
		if r := must(t, again, records(t, testelection.File{Name: "cvr.doc", Data: doc.Bytes()})); r.Ballots != want.Ballots {
			t.Errorf("%+v", r)
		}
		got := count(t, again)
		got.StateDigest = want.StateDigest
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("encoding %v: %s", enc, diff)
		}
		if diff := cmp.Diff(ballotsOf(t, c), ballotsOf(t, again)); diff != "" {
			t.Errorf("encoding %v: %s", enc, diff)
		}
	}
	doc, err := c.Document(ctx, testelection.ID)
	if err != nil || !bytes.Equal(doc, read(t, "definition.json").Data) {
		t.Errorf("the definition is not the one that was imported: %v", err)
	}
}

func ballotsOf(t *testing.T, c *ems.Core) (list []string) {
	t.Helper()
	err := c.Ballots(context.Background(), testelection.ID, func(b *model.Ballot) error {
		list = append(list, b.ID+" "+b.Device+" "+b.Batch+" "+b.Method+" "+string(b.Pack(nil)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestBatchesComeToTheWhole(t *testing.T) {
	c := loaded(t)
	list, err := c.Batches(context.Background(), testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	tl := count(t, c)
	var ballots int64
	votes := make([]int64, len(tl.Contests))
	for _, b := range list {
		ballots += b.Ballots
		for _, r := range b.Contests {
			for _, v := range r.Votes {
				votes[r.Contest] += v
			}
		}
	}
	if ballots != tl.Ballots || int64(len(list)) != tl.Batches {
		t.Errorf("%d ballots in %d batches, the tally has %d in %d", ballots, len(list), tl.Ballots, tl.Batches)
	}
	for i, x := range tl.Contests {
		for _, v := range x.Total.Votes {
			votes[i] -= v
		}
		if votes[i] != 0 {
			t.Errorf("contest %s: the batches have %d votes more", x.ID, votes[i])
		}
	}
}

func TestNothingIsExportedBeforeThePollsAreClosed(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	c.SetClock(func() time.Time { return time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC) })
	var w bytes.Buffer
	_, err := c.Batches(ctx, testelection.ID)
	for _, err := range []error{err, c.WriteRecords(ctx, testelection.ID, &w, cdf.JSON), c.Ballots(ctx, testelection.ID, func(*model.Ballot) error { return nil })} {
		if !errors.Is(err, ems.ErrPollsOpen) {
			t.Errorf("%v", err)
		}
	}
	if w.Len() > 0 {
		t.Errorf("%d bytes were written", w.Len())
	}
}
