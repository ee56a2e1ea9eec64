package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// Conflict means that a package repeats a ballot.
type Conflict struct {
	ID     string // of the ballot
	Within bool   // twice in the package itself; otherwise an earlier package had it with other content
}

func (c *Conflict) Error() string {
	if c.Within {
		return fmt.Sprintf("the ballot %q is twice in the package", c.ID)
	}
	return fmt.Sprintf("the ballot %q was imported before with other content", c.ID)
}

// AddDefinition stores an election (when it is new) and the package that
// brought it, in one transaction, and returns the package's row. An election
// that is there must have the same definition; the caller has made sure.
func (s *Store) AddDefinition(ctx context.Context, p Package, e Election) (Package, error) {
	return s.add(ctx, p, func(tx *sql.Tx, p *Package) error {
		res, err := tx.ExecContext(ctx, "INSERT INTO election (id, sha256, definition) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", e.ID, e.SHA256[:], e.Definition)
		if err != nil {
			return err
		}
		fresh, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if fresh == 1 { // no ballot of it is without its part in the subtotals
			if _, err := tx.ExecContext(ctx, "INSERT INTO counted SELECT no FROM election WHERE id = ?", e.ID); err != nil {
				return err
			}
		}
		p.Content = newContent().sum()
		return nil
	}, nil)
}

// AddBallots stores the ballots of a load and the package that brought them,
// in one transaction, and returns the package's row with its counts. Ballots
// that an earlier package brought with the same content are counted as known.
// The counts of the others are added to the subtotals. A [Conflict] changes
// nothing.
func (s *Store) AddBallots(ctx context.Context, p Package, l *Load, by Counting) (Package, error) {
	p.Ballots = l.Count()
	return s.add(ctx, p, nil, func(tx *sql.Tx, p *Package, election int64) error {
		return s.insert(ctx, tx, p, election, l, by)
	})
}

// add writes one package: before makes what the package's row refers to, after
// what refers to it.
func (s *Store) add(ctx context.Context, p Package, before func(*sql.Tx, *Package) error, after func(*sql.Tx, *Package, int64) error) (Package, error) {
	err := s.write(ctx, func(tx *sql.Tx) error {
		if before != nil {
			if err := before(tx, &p); err != nil {
				return err
			}
		}
		var election int64
		if err := tx.QueryRowContext(ctx, "SELECT no FROM election WHERE id = ?", p.ElectionID).Scan(&election); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO package (digest, package_id, kind, election, contests, ballots, known, content, state)
			VALUES (?, ?, ?, ?, ?, ?, 0, zeroblob(32), zeroblob(32))`, p.Digest[:], p.ID, p.Kind, election, p.Contests, p.Ballots)
		if err != nil {
			return err
		}
		if p.No, err = res.LastInsertId(); err != nil {
			return err
		}
		if after != nil {
			if err := after(tx, &p, election); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE package SET known = ?, content = ? WHERE no = ?", p.Known, p.Content[:], p.No); err != nil {
			return err
		}
		if p.State, err = state(ctx, tx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE package SET state = ? WHERE no = ?", p.State[:], p.No)
		return err
	})
	if err != nil {
		return Package{}, err
	}
	return p, nil
}

// write runs one transaction.
func (s *Store) write(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot write the election store: %w", err)
	}
	if err := do(tx); err != nil {
		err = full(errors.Join(err, rollback(tx)))
		s.settle(ctx)
		return fmt.Errorf("cannot write the election store: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("cannot write the election store: %w", full(err))
	}
	s.settle(ctx)
	return nil
}

// rollback ends a transaction that failed; SQLite, or the end of the context,
// may have ended it already.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// settle moves the log into the database and empties it, so that neither pages
// of earlier states nor those of a refused package lie about. It is not part
// of the import: what was committed is durable in the log already, and what
// keeps this from working shows again in the next transaction.
func (s *Store) settle(ctx context.Context) {
	_, _ = s.db.ExecContext(context.WithoutCancel(ctx), "PRAGMA wal_checkpoint(TRUNCATE)")
}

// insert writes the ballots of a load in the order of their identifiers.
func (s *Store) insert(ctx context.Context, tx *sql.Tx, p *Package, election int64, l *Load, by Counting) error {
	x, err := newInserter(ctx, tx, p, election, l, by)
	if err != nil {
		return err
	}
	if err := l.sorted(x.add); err != nil {
		return err
	}
	if err := x.flush(); err != nil {
		return err
	}
	if err := count(ctx, tx, election, by, x.batches); err != nil {
		return err
	}
	for _, i := range sortedBatches(l.batches) {
		x.content.batch(x.batches[i]-x.first, l.batches[i])
	}
	p.Content = x.content.sum()
	return nil
}

// addBatches inserts the batches of a package, sorted by name so that their
// numbers do not tell which came first, and returns their numbers in the
// database, in the order of list, and the lowest of them.
func addBatches(ctx context.Context, tx *sql.Tx, pkg int64, list []Batch) (numbers []int64, first int64, err error) {
	numbers = make([]int64, len(list))
	for n, i := range sortedBatches(list) {
		res, err := tx.ExecContext(ctx, "INSERT INTO batch (package, device, id, method) VALUES (?, ?, ?, ?)", pkg, list[i].Device, list[i].ID, list[i].Method)
		if err != nil {
			return nil, 0, err
		}
		if numbers[i], err = res.LastInsertId(); err != nil {
			return nil, 0, err
		}
		if n == 0 {
			first = numbers[i]
		}
	}
	return numbers, first, nil
}

// sortedBatches returns the indices of list in the order of the names.
func sortedBatches(list []Batch) []int {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(strings.Compare(list[a].Device, list[b].Device), strings.Compare(list[a].ID, list[b].ID), strings.Compare(list[a].Method, list[b].Method))
	})
	return order
}

// same compares a ballot with the one that is stored under its identifier.
func same(ctx context.Context, tx *sql.Tx, election int64, r Row, b Batch, by Counting) error {
	var content []byte
	var have Batch
	err := tx.QueryRowContext(ctx, `SELECT ballot.content, batch.device, batch.id, batch.method FROM ballot JOIN batch ON batch.no = ballot.batch
		WHERE ballot.election = ? AND ballot.id = ?`, election, string(r.ID)).Scan(&content, &have.Device, &have.ID, &have.Method)
	if err != nil {
		return err
	}
	if have != b || !bytes.Equal(content, r.Content) && !by.Same(content, r.Content) {
		return &Conflict{ID: string(r.ID)}
	}
	return nil
}

// content is the digest of what one package brought: its ballots in the order
// of their identifiers, then its batches.
type content struct {
	h   hash.Hash
	buf []byte
}

func newContent() *content {
	c := &content{h: sha256.New()}
	c.h.Write([]byte("sallyport ems package v1\n"))
	return c
}

func (c *content) ballot(id []byte, batch int64, packed []byte) {
	c.buf = append(c.buf[:0], 'b')
	c.buf = appendBytes(c.buf, id)
	c.buf = appendNumber(c.buf, batch)
	c.buf = appendBytes(c.buf, packed)
	c.h.Write(c.buf)
}

func (c *content) batch(n int64, b Batch) {
	c.buf = append(c.buf[:0], 'n')
	c.buf = appendNumber(c.buf, n)
	c.buf = appendBytes(c.buf, []byte(b.Device))
	c.buf = appendBytes(c.buf, []byte(b.ID))
	if b.Method != "" { // the first version of the store had none
		c.buf = appendBytes(c.buf, []byte(b.Method))
	}
	c.h.Write(c.buf)
}

func (c *content) sum() (d [32]byte) { return [32]byte(c.h.Sum(nil)) }

func appendNumber(dst []byte, n int64) []byte {
	return append(dst, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func appendBytes(dst, b []byte) []byte {
	return append(appendNumber(dst, int64(len(b))), b...)
}

// state is the digest of everything the store holds; FORMAT.md defines it. It
// does not depend on the order of imports.
func state(ctx context.Context, q queryer) ([32]byte, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, sha256 FROM election")
	if err != nil {
		return [32]byte{}, fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var id string
		var sum []byte
		if err := rows.Scan(&id, &sum); err != nil {
			return [32]byte{}, fmt.Errorf("cannot read the election store: %w", err)
		}
		lines = append(lines, fmt.Sprintf("election %x %x\n", id, sum))
	}
	if err := rows.Err(); err != nil {
		return [32]byte{}, fmt.Errorf("cannot read the election store: %w", err)
	}
	all, err := packages(ctx, q)
	if err != nil {
		return [32]byte{}, err
	}
	for _, p := range all {
		lines = append(lines, fmt.Sprintf("package %x %s %x %d %d %x\n", p.Digest, p.Kind, p.ElectionID, p.Ballots, p.Known, p.Content))
	}
	no, chain, err := head(ctx, q)
	if err != nil {
		return [32]byte{}, err
	}
	if no > 0 {
		lines = append(lines, fmt.Sprintf("facts %d %x\n", no, chain))
	}
	slices.Sort(lines)
	return sha256.Sum256([]byte("sallyport ems state v1\n" + strings.Join(lines, ""))), nil
}

// State returns the digest of everything the store holds.
func (s *Store) State(ctx context.Context) ([32]byte, error) { return state(ctx, s.db) }

// Counted is the digest of the packages of an election and of those of its
// facts whose kind take says yes to.
func (s *Store) Counted(ctx context.Context, electionID string, take func(kind string) bool) ([32]byte, error) {
	all, err := packages(ctx, s.db)
	if err != nil {
		return [32]byte{}, err
	}
	lines := []byte("sallyport ems counted v1\n")
	for _, p := range all {
		if p.ElectionID == electionID {
			lines = fmt.Appendf(lines, "package %x %x\n", p.Digest, p.Content)
		}
	}
	err = s.Facts(ctx, electionID, "", func(f Fact) error {
		if take(f.Kind) {
			lines = fmt.Appendf(lines, "fact %d %x\n", f.No, f.Chain)
		}
		return nil
	})
	return sha256.Sum256(lines), err
}
