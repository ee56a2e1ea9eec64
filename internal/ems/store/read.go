package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrDamaged means that the store does not hold what its own record says.
// Nothing read from it may be used.
var ErrDamaged = errors.New("the election store is damaged")

// Ballots calls each for every ballot of an election, in the order of the
// identifiers. The row is valid during the call; its batch is the number in
// the database. At the end every package's content is compared with its
// digest: an error then means that nothing that was read may be used.
func (s *Store) Ballots(ctx context.Context, electionID string, each func(Row) error) error {
	e, ok, err := s.Election(ctx, electionID)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("cannot read ballots: no election %q", electionID)
	}
	all, err := s.Packages(ctx)
	if err != nil {
		return err
	}
	digests := map[int64]*content{}
	for _, p := range all {
		if p.ElectionID == electionID {
			digests[p.No] = newContent()
		}
	}
	batches, err := s.batches(ctx, digests)
	if err != nil {
		return err
	}
	if err := s.scan(ctx, e.No, batches, each); err != nil {
		return err
	}
	for _, b := range batches.order {
		b.content.batch(b.no-b.first, b.Batch)
	}
	for _, p := range all {
		if c := digests[p.No]; c != nil && c.sum() != p.Content {
			return fmt.Errorf("%w: the ballots of package %s are not those that were imported", ErrDamaged, p.ID)
		}
	}
	return nil
}

// batchRow is one batch with the digest of the package it belongs to.
type batchRow struct {
	Batch
	no, first int64
	content   *content
}

type batchTable struct {
	order []*batchRow
	byNo  map[int64]*batchRow
}

func (s *Store) batches(ctx context.Context, digests map[int64]*content) (*batchTable, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT no, package, device, id FROM batch ORDER BY no")
	if err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	t := &batchTable{byNo: map[int64]*batchRow{}}
	first := map[int64]int64{}
	for rows.Next() {
		var b batchRow
		var pkg int64
		if err := rows.Scan(&b.no, &pkg, &b.Device, &b.ID); err != nil {
			return nil, fmt.Errorf("cannot read the election store: %w", err)
		}
		if b.content = digests[pkg]; b.content == nil {
			continue // another election's
		}
		if _, ok := first[pkg]; !ok {
			first[pkg] = b.no
		}
		b.first = first[pkg]
		t.order = append(t.order, &b)
		t.byNo[b.no] = &b
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	return t, nil
}

func (s *Store) scan(ctx context.Context, election int64, batches *batchTable, each func(Row) error) error {
	rows, err := s.db.QueryContext(ctx, "SELECT id, batch, content FROM ballot WHERE election = ? ORDER BY id", election)
	if err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	var id, packed sql.RawBytes
	for rows.Next() {
		var r Row
		if err := rows.Scan(&id, &r.Batch, &packed); err != nil {
			return fmt.Errorf("cannot read the election store: %w", err)
		}
		b := batches.byNo[r.Batch]
		if b == nil {
			return fmt.Errorf("%w: a ballot belongs to no package of its election", ErrDamaged)
		}
		r.ID, r.Content = id, packed
		b.content.ballot(r.ID, b.no-b.first, r.Content)
		if err := each(r); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	return nil
}
