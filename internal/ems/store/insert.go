package store

import (
	"bytes"
	"context"
	"database/sql"
	"strings"
)

// rowsAtOnce is how many ballots one statement inserts.
const rowsAtOnce = 64

// inserter writes the ballots of a load, which come sorted by identifier.
type inserter struct {
	ctx      context.Context
	tx       *sql.Tx
	p        *Package
	election int64
	load     *Load
	by       Counting
	batches  []int64 // numbers in the database
	first    int64   // the lowest of them
	content  *content
	one      *sql.Stmt
	many     *sql.Stmt

	rows []Row
	data []byte // of rows, whose own is valid only while they come
	args []any
	last []byte
	any  bool
}

func newInserter(ctx context.Context, tx *sql.Tx, p *Package, election int64, l *Load, by Counting) (*inserter, error) {
	batches, first, err := addBatches(ctx, tx, p.No, l.batches)
	if err != nil {
		return nil, err
	}
	x := &inserter{ctx: ctx, tx: tx, p: p, election: election, load: l, by: by, batches: batches, first: first, content: newContent()}
	const insert, values, unless = "INSERT INTO ballot (election, id, batch, content) VALUES ", "(?, ?, ?, ?)", " ON CONFLICT DO NOTHING"
	if x.one, err = tx.PrepareContext(ctx, insert+values+unless); err != nil {
		return nil, err
	}
	x.many, err = tx.PrepareContext(ctx, insert+strings.Repeat(values+", ", rowsAtOnce-1)+values+unless)
	return x, err
}

// add takes the next ballot.
func (x *inserter) add(r Row) error {
	if x.any && bytes.Equal(x.last, r.ID) {
		return &Conflict{ID: string(r.ID), Within: true}
	}
	x.last, x.any = append(x.last[:0], r.ID...), true
	from := len(x.data)
	x.data = append(append(x.data, r.ID...), r.Content...)
	mid, to := from+len(r.ID), len(x.data)
	x.rows = append(x.rows, Row{ID: x.data[from:mid:mid], Batch: r.Batch, Content: x.data[mid:to:to]})
	if len(x.rows) == rowsAtOnce {
		return x.flush()
	}
	return nil
}

// flush writes the ballots that are waiting.
func (x *inserter) flush() error {
	defer func() { x.rows, x.data = x.rows[:0], x.data[:0] }()
	if len(x.rows) < rowsAtOnce {
		for _, r := range x.rows {
			if err := x.single(r); err != nil {
				return err
			}
		}
		return nil
	}
	x.args = x.args[:0]
	for _, r := range x.rows {
		x.args = append(x.args, x.election, string(r.ID), x.batches[r.Batch], r.Content)
	}
	res, err := x.many.ExecContext(x.ctx, x.args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	for _, r := range x.rows {
		if n < rowsAtOnce {
			var batch int64
			if err := x.tx.QueryRowContext(x.ctx, "SELECT batch FROM ballot WHERE election = ? AND id = ?", x.election, string(r.ID)).Scan(&batch); err != nil {
				return err
			}
			if batch < x.first { // an earlier package's
				if err := x.known(r); err != nil {
					return err
				}
				continue
			}
		}
		x.content.ballot(r.ID, x.batches[r.Batch]-x.first, r.Content)
	}
	return nil
}

func (x *inserter) single(r Row) error {
	res, err := x.one.ExecContext(x.ctx, x.election, string(r.ID), x.batches[r.Batch], r.Content)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return x.known(r)
	}
	x.content.ballot(r.ID, x.batches[r.Batch]-x.first, r.Content)
	return nil
}

// known is a ballot that an earlier package brought.
func (x *inserter) known(r Row) error {
	x.p.Known++
	if err := same(x.ctx, x.tx, x.election, r, x.load.batches[r.Batch], x.by); err != nil {
		return err
	}
	return x.by.Known(r)
}
