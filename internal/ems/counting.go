package ems

import (
	"bytes"
	"context"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
)

// intake takes the ballots of one package: into the load that will be stored,
// and into the count of what is new in it. It is the store's [store.Counting].
type intake struct {
	def     *model.Definition
	counter *tally.Counter
	load    *store.Load
	packed  []byte
	scratch model.Ballot
}

// add takes one ballot.
func (in *intake) add(b *model.Ballot) error {
	batch := in.load.Batch(store.Batch{Device: b.Device, ID: b.Batch, Method: b.Method})
	if err := in.counter.Add(b, tally.Batch{No: batch, Method: b.Method}); err != nil {
		return err
	}
	in.packed = b.Pack(in.packed[:0])
	return in.load.Add(store.Row{ID: []byte(b.ID), Batch: batch, Content: in.packed})
}

// Same compares two packed ballots by what they say: the store may hold one
// that an earlier version packed.
func (in *intake) Same(stored, packed []byte) bool {
	again := func(data []byte) []byte {
		if in.def.Unpack(&in.scratch, data) != nil {
			return nil
		}
		return in.scratch.Pack(nil)
	}
	a := again(stored)
	return a != nil && bytes.Equal(a, again(packed))
}

// Known takes a ballot out of the count that an earlier package had brought.
func (in *intake) Known(r store.Row) error {
	if err := in.def.Unpack(&in.scratch, r.Content); err != nil {
		return err
	}
	return in.counter.Remove(&in.scratch, tally.Batch{No: r.Batch, Method: in.load.Named(r.Batch).Method})
}

// Rows returns the stored subtotals with those of the new ballots added.
func (in *intake) Rows(have []store.Subtotal, batch func(int64) int64) ([]store.Subtotal, error) {
	subs, err := decode(in.def, have)
	if err != nil {
		return nil, err
	}
	subs.Merge(in.counter.Subtotals(), batch)
	return encode(subs)
}

// decode reads stored subtotals.
func decode(d *model.Definition, rows []store.Subtotal) (*tally.Subtotals, error) {
	subs := tally.NewSubtotals(d)
	for _, r := range rows {
		var err error
		switch r.Kind {
		case store.ByPrecinct:
			err = subs.AddCell(tally.Cell{Precinct: int(r.Row), Method: r.Method}, r.Counts)
		case store.ByStyle:
			err = subs.AddStyle(int(r.Row), r.Counts)
		default:
			err = subs.AddBatch(r.Row, r.Counts)
		}
		if err != nil {
			return nil, err
		}
	}
	return subs, nil
}

func encode(subs *tally.Subtotals) (rows []store.Subtotal, err error) {
	put := func(kind string, row int64, method string, counts []byte) error {
		rows = append(rows, store.Subtotal{Kind: kind, Row: row, Method: method, Counts: counts})
		return nil
	}
	err = subs.Each(
		func(c tally.Cell, b []byte) error { return put(store.ByPrecinct, int64(c.Precinct), c.Method, b) },
		func(n int, b []byte) error { return put(store.ByStyle, int64(n), "", b) },
		func(no int64, b []byte) error { return put(store.ByBatch, no, "", b) })
	return rows, err
}

// complete makes sure that the ballots of an election have their part in the
// subtotals: a store of the first version had none.
func (c *Core) complete(ctx context.Context, electionID string, d *model.Definition) error {
	_, ok, err := c.store.Subtotals(ctx, electionID)
	if err != nil || ok {
		return err
	}
	n, err := c.stream(ctx, electionID, d, nil)
	if err != nil {
		return err
	}
	rows, err := encode(n.counter.Subtotals())
	if err != nil {
		return err
	}
	return c.store.StoreSubtotals(ctx, electionID, rows)
}
