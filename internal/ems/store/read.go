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

// Ballot returns one ballot with the number of its batch in the database; ok is
// false when there is none. Only a pass over all ballots checks their digest.
func (s *Store) Ballot(ctx context.Context, electionID, id string) (r Row, ok bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT b.batch, b.content, x.method FROM ballot b JOIN election e ON e.no = b.election
		JOIN batch x ON x.no = b.batch WHERE e.id = ? AND b.id = ?`, electionID, id).Scan(&r.Batch, &r.Content, &r.Method)
	if errors.Is(err, sql.ErrNoRows) {
		return Row{}, false, nil
	}
	if err != nil {
		return Row{}, false, fmt.Errorf("cannot read the election store: %w", err)
	}
	r.ID = []byte(id)
	return r, true, nil
}

// Batches calls each for every batch of an election, with its number.
func (s *Store) Batches(ctx context.Context, electionID string, each func(no int64, b Batch) error) error {
	rows, err := s.db.QueryContext(ctx, `SELECT b.no, b.device, b.id, b.method FROM batch b JOIN package p ON p.no = b.package
		JOIN election e ON e.no = p.election WHERE e.id = ? ORDER BY b.no`, electionID)
	if err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var no int64
		var b Batch
		if err := rows.Scan(&no, &b.Device, &b.ID, &b.Method); err != nil {
			return fmt.Errorf("cannot read the election store: %w", err)
		}
		if err := each(no, b); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
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
	rows, err := s.db.QueryContext(ctx, "SELECT no, package, device, id, method FROM batch ORDER BY no")
	if err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	t := &batchTable{byNo: map[int64]*batchRow{}}
	first := map[int64]int64{}
	for rows.Next() {
		var b batchRow
		var pkg int64
		if err := rows.Scan(&b.no, &pkg, &b.Device, &b.ID, &b.Method); err != nil {
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

// chunk is a number of rows with their bytes back to back.
type chunk struct {
	data []byte
	rows []chunkRow
}

// chunkRow is one row: its identifier is data[from:mid], its content data[mid:to].
type chunkRow struct {
	from, mid, to int
	batch         int64
}

const (
	chunkBytes = 256 << 10
	chunks     = 4
)

// scan reads the ballots in a goroutine of its own, because counting them takes
// as long as reading them.
func (s *Store) scan(ctx context.Context, election int64, batches *batchTable, each func(Row) error) error {
	ctx, stop := context.WithCancel(ctx)
	full, free := make(chan *chunk, chunks), make(chan *chunk, chunks)
	for range chunks {
		free <- &chunk{}
	}
	var failed error // written before full is closed
	go func() {
		defer close(full)
		failed = s.read(ctx, election, full, free)
	}()
	err := func() error {
		for c := range full {
			for _, r := range c.rows {
				if err := batches.row(Row{ID: c.data[r.from:r.mid], Batch: r.batch, Content: c.data[r.mid:r.to]}, each); err != nil {
					return err
				}
			}
			free <- c
		}
		return failed
	}()
	stop()
	for range full { // the goroutine has ended when this has
	}
	return err
}

// row passes one row on, after it went into its package's digest.
func (t *batchTable) row(r Row, each func(Row) error) error {
	b := t.byNo[r.Batch]
	if b == nil {
		return fmt.Errorf("%w: a ballot belongs to no package of its election", ErrDamaged)
	}
	b.content.ballot(r.ID, b.no-b.first, r.Content)
	r.Method = b.Method
	return each(r)
}

// read sends the ballots of an election in chunks.
func (s *Store) read(ctx context.Context, election int64, full chan<- *chunk, free <-chan *chunk) error {
	rows, err := s.db.QueryContext(ctx, "SELECT id, batch, content FROM ballot WHERE election = ? ORDER BY id", election)
	if err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	send := func(c *chunk) error {
		select {
		case full <- c:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var c *chunk
	var id, packed sql.RawBytes
	for rows.Next() {
		if c == nil {
			select {
			case c = <-free:
				c.data, c.rows = c.data[:0], c.rows[:0]
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var batch int64
		if err := rows.Scan(&id, &batch, &packed); err != nil {
			return fmt.Errorf("cannot read the election store: %w", err)
		}
		from := len(c.data)
		c.data = append(append(c.data, id...), packed...)
		c.rows = append(c.rows, chunkRow{from, from + len(id), len(c.data), batch})
		if len(c.data) >= chunkBytes {
			if err := send(c); err != nil {
				return err
			}
			c = nil
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	if c != nil {
		return send(c)
	}
	return nil
}
