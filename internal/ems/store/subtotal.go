package store

import (
	"context"
	"database/sql"
	"fmt"
)

// The kinds of [Subtotal].
const (
	ByPrecinct = "precinct"
	ByStyle    = "style"
	ByBatch    = "batch"
)

// Subtotal is one row of counts that was made when ballots were stored. What
// the bytes say is the caller's business.
type Subtotal struct {
	Kind   string
	Row    int64  // number of the precinct, style or batch
	Method string // of a precinct's row
	Counts []byte
}

// Counting is the caller's part in storing ballots.
type Counting interface {
	// Same says whether two packed ballots say the same.
	Same(stored, packed []byte) bool
	// Known is told of a ballot of the load that the store holds already.
	Known(r Row) error
	// Rows returns the rows to store: those of precincts and styles with have,
	// which is stored, added; batch gives a batch's number in the store.
	Rows(have []Subtotal, batch func(load int64) int64) ([]Subtotal, error)
}

// Subtotals returns the stored rows of an election; ok is false when its
// ballots do not all have their part in them.
func (s *Store) Subtotals(ctx context.Context, electionID string) (rows []Subtotal, ok bool, err error) {
	e, found, err := s.Election(ctx, electionID)
	if err != nil || !found {
		return nil, false, err
	}
	var n int
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM counted WHERE election = ?", e.No).Scan(&n); err != nil {
		return nil, false, fmt.Errorf("cannot read the election store: %w", err)
	}
	rows, err = subtotals(ctx, s.db, e.No, "kind <> ''")
	return rows, n == 1, err
}

// StoreSubtotals replaces the rows of an election by those of a recount.
func (s *Store) StoreSubtotals(ctx context.Context, electionID string, rows []Subtotal) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		var election int64
		if err := tx.QueryRowContext(ctx, "SELECT no FROM election WHERE id = ?", electionID).Scan(&election); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM subtotal WHERE election = ?", election); err != nil {
			return err
		}
		if err := putSubtotals(ctx, tx, election, rows); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO counted (election) VALUES (?) ON CONFLICT DO NOTHING", election)
		return err
	})
}

func subtotals(ctx context.Context, q queryer, election int64, where string) ([]Subtotal, error) {
	rows, err := q.QueryContext(ctx, "SELECT kind, row, method, counts FROM subtotal WHERE election = ? AND "+where, election)
	if err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	var out []Subtotal
	for rows.Next() {
		var x Subtotal
		if err := rows.Scan(&x.Kind, &x.Row, &x.Method, &x.Counts); err != nil {
			return nil, fmt.Errorf("cannot read the election store: %w", err)
		}
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	return out, nil
}

func putSubtotals(ctx context.Context, tx *sql.Tx, election int64, rows []Subtotal) error {
	put, err := tx.PrepareContext(ctx, `INSERT INTO subtotal (election, kind, row, method, counts) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET counts = excluded.counts`)
	if err != nil {
		return err
	}
	defer put.Close()
	for _, x := range rows {
		if _, err := put.ExecContext(ctx, election, x.Kind, x.Row, x.Method, x.Counts); err != nil {
			return err
		}
	}
	return nil
}

// count adds the counts of a load's new ballots to the stored ones.
func count(ctx context.Context, tx *sql.Tx, election int64, by Counting, batches []int64) error {
	have, err := subtotals(ctx, tx, election, "kind IN ('precinct', 'style')")
	if err != nil {
		return err
	}
	rows, err := by.Rows(have, func(load int64) int64 { return batches[load] })
	if err != nil {
		return err
	}
	return putSubtotals(ctx, tx, election, rows)
}
