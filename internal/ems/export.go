package ems

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
)

// Document returns an election's definition as it was imported, byte for byte.
func (c *Core) Document(ctx context.Context, electionID string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, _, err := c.must(ctx, electionID)
	return e.Definition, err
}

// Compiled returns an election's definition as the core counts with it.
func (c *Core) Compiled(ctx context.Context, electionID string) (*model.Definition, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, v, err := c.must(ctx, electionID)
	if err != nil {
		return nil, err
	}
	return v.Compiled(), nil
}

// WriteRecords writes the cast vote records of an election (SP 1500-103), with
// every snapshot, decided ones too, sorted by identifier: their order says
// nothing of the casting. Nothing is written before the polls are closed. After
// an error what was written is no document.
func (c *Core) WriteRecords(ctx context.Context, electionID string, w io.Writer, enc cdf.Encoding) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, v, err := c.over(ctx, electionID)
	if err != nil {
		return err
	}
	source, _, err := c.docs.ReadDocument(ctx, "definition of "+electionID, bytes.NewReader(e.Definition), cdf.ReadOptions{Format: cdf.BD})
	if err != nil {
		return fmt.Errorf("cannot write records: %w", err)
	}
	h := cdf.RecordsHeader{Source: source, Definition: v.Compiled(), Generated: c.now().UTC(), Types: []string{"aggregated"}, DeviceID: "sallyport-ems", Application: "Sallyport"}
	if v.Compiled().Test {
		h.Types, h.OtherType = append(h.Types, "other"), "test"
	}
	return c.docs.WriteRecords(ctx, w, enc, h, func(yield func(*model.Ballot) error) error {
		return c.ballots(ctx, electionID, v.Compiled(), yield)
	})
}

// Ballots calls each for every ballot of an election in the order of the
// identifiers, with what people decided about it, once the polls are closed.
// The ballot is valid during the call.
func (c *Core) Ballots(ctx context.Context, electionID string, each func(*model.Ballot) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, v, err := c.over(ctx, electionID)
	if err != nil {
		return err
	}
	return c.ballots(ctx, electionID, v.Compiled(), each)
}

func (c *Core) ballots(ctx context.Context, electionID string, d *model.Definition, each func(*model.Ballot) error) error {
	batches, err := c.batches(ctx, electionID)
	if err != nil {
		return err
	}
	decided, err := c.decided(ctx, electionID)
	if err != nil {
		return err
	}
	var b model.Ballot
	return c.store.Ballots(ctx, electionID, func(r store.Row) error {
		content := r.Content
		if x, ok := decided[string(r.ID)]; ok {
			content = x
		}
		if err := d.Unpack(&b, content); err != nil {
			return err
		}
		x := batches[r.Batch]
		b.ID, b.Device, b.Batch, b.Method = string(r.ID), x.Device, x.ID, x.Method
		return each(&b)
	})
}

func (c *Core) batches(ctx context.Context, electionID string) (map[int64]store.Batch, error) {
	out := map[int64]store.Batch{}
	err := c.store.Batches(ctx, electionID, func(no int64, b store.Batch) error {
		out[no] = b
		return nil
	})
	return out, err
}

// BatchCount is what one batch came to.
type BatchCount struct {
	Device   string      `json:"device"`
	Batch    string      `json:"batch"`
	Method   string      `json:"method,omitempty"`
	Ballots  int64       `json:"ballots"`
	Contests []tally.Row `json:"contests"` // those that its ballots bear
}

// Batches returns the batches of an election with what they came to, sorted by
// device, batch and method; those of several packages are added up.
func (c *Core) Batches(ctx context.Context, electionID string) ([]BatchCount, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, v, err := c.over(ctx, electionID)
	if err != nil {
		return nil, err
	}
	subs, err := c.subtotals(ctx, electionID, v.Compiled())
	if err != nil {
		return nil, err
	}
	batches, err := c.batches(ctx, electionID)
	if err != nil {
		return nil, err
	}
	return batchCounts(subs, batches), nil
}

func batchCounts(subs *tally.Subtotals, batches map[int64]store.Batch) []BatchCount {
	const sep = "\x00" // no name of a device or batch has control characters
	key := func(no int64) string { b := batches[no]; return b.Device + sep + b.ID + sep + b.Method }
	list := []BatchCount{}
	at := map[string]int{}
	for no, b := range batches {
		if _, ok := at[key(no)]; !ok {
			at[key(no)] = len(list)
			list = append(list, BatchCount{Device: b.Device, Batch: b.ID, Method: b.Method})
		}
	}
	cast := subs.Ballots(key)
	for k, rows := range subs.Breakdown(key) {
		list[at[k]].Contests, list[at[k]].Ballots = rows, cast[k]
	}
	return sortBatches(list)
}

// sortBatches sorts, and leaves out batches whose ballots were all known before.
func sortBatches(list []BatchCount) []BatchCount {
	list = slices.DeleteFunc(list, func(b BatchCount) bool { return b.Ballots == 0 })
	slices.SortFunc(list, func(a, b BatchCount) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Method, b.Method))
	})
	return list
}
