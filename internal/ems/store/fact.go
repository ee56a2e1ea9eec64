package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
)

// Fact is something that people decided or made: a draft of a definition, an
// adjudicated ballot, a manual tally, a status. Facts are only ever added; of
// those with one election, kind and key the newest holds. Each is bound to all
// before it by its chain value.
type Fact struct {
	No       int64 // from 1, without gaps
	Election string
	Kind     string
	Key      string
	Document []byte
	Who      string
	Why      string
	At       string // RFC 3339, UTC
	Chain    [32]byte
}

// link computes the chain value of a fact; FORMAT.md defines it.
func (f *Fact) link(before [32]byte) [32]byte {
	b := []byte("sallyport ems fact v1\n")
	b = append(b, before[:]...)
	b = appendNumber(b, f.No)
	for _, x := range []string{f.Election, f.Kind, f.Key, string(f.Document), f.Who, f.Why, f.At} {
		b = appendBytes(b, []byte(x))
	}
	return sha256.Sum256(b)
}

// ErrStale means that facts were added since the caller looked.
var ErrStale = errors.New("somebody else changed this in the meantime")

// AddFact adds a fact and returns it with number and chain value. When after is
// not negative, no fact of that election, kind and key may be newer than number
// after: otherwise [ErrStale], and nothing is added.
func (s *Store) AddFact(ctx context.Context, f Fact, after int64) (Fact, error) {
	err := s.write(ctx, func(tx *sql.Tx) error { return s.addFact(ctx, tx, &f, after) })
	return f, err
}

// AddFacts adds facts that belong together, and the rows of a recount that
// takes them into account (nil leaves them), in one transaction.
func (s *Store) AddFacts(ctx context.Context, list []Fact, electionID string, rows []Subtotal) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		for i := range list {
			if err := s.addFact(ctx, tx, &list[i], -1); err != nil {
				return err
			}
		}
		if rows == nil {
			return nil
		}
		var election int64
		if err := tx.QueryRowContext(ctx, "SELECT no FROM election WHERE id = ?", electionID).Scan(&election); err != nil {
			return err
		}
		return putSubtotals(ctx, tx, election, rows)
	})
}

func (s *Store) addFact(ctx context.Context, tx *sql.Tx, f *Fact, after int64) error {
	var before [32]byte
	var last []byte
	err := tx.QueryRowContext(ctx, "SELECT no, chain FROM fact ORDER BY no DESC LIMIT 1").Scan(&f.No, &last)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		f.No = 0
	case err != nil:
		return err
	}
	copy(before[:], last)
	if after >= 0 {
		var newest int64
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(no), 0) FROM fact WHERE election = ? AND kind = ? AND key = ?", f.Election, f.Kind, f.Key).Scan(&newest); err != nil {
			return err
		}
		if newest > after {
			return ErrStale
		}
	}
	f.No++
	f.Chain = f.link(before)
	_, err = tx.ExecContext(ctx, "INSERT INTO fact (no, election, kind, key, document, who, why, at, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		f.No, f.Election, f.Kind, f.Key, f.Document, f.Who, f.Why, f.At, f.Chain[:])
	return err
}

// Facts calls each for every fact of a kind (all kinds when it is empty) of an
// election, oldest first. The whole chain is checked on the way: an error means
// that nothing that was read may be used.
func (s *Store) Facts(ctx context.Context, electionID, kind string, each func(Fact) error) error {
	return facts(ctx, s.db, func(f Fact) error {
		if f.Election != electionID || kind != "" && f.Kind != kind {
			return nil
		}
		return each(f)
	})
}

// FactElections returns the elections that facts are about, in the order in
// which they appear first.
func (s *Store) FactElections(ctx context.Context) (ids []string, err error) {
	seen := map[string]bool{}
	err = facts(ctx, s.db, func(f Fact) error {
		if !seen[f.Election] {
			seen[f.Election] = true
			ids = append(ids, f.Election)
		}
		return nil
	})
	return ids, err
}

func facts(ctx context.Context, q queryer, each func(Fact) error) error {
	rows, err := q.QueryContext(ctx, "SELECT no, election, kind, key, document, who, why, at, chain FROM fact ORDER BY no")
	if err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	var before [32]byte
	for next := int64(1); rows.Next(); next++ {
		var f Fact
		var chain []byte
		if err := rows.Scan(&f.No, &f.Election, &f.Kind, &f.Key, &f.Document, &f.Who, &f.Why, &f.At, &chain); err != nil {
			return fmt.Errorf("cannot read the election store: %w", err)
		}
		copy(f.Chain[:], chain)
		if f.No != next || f.Chain != f.link(before) {
			return fmt.Errorf("%w: fact %d is not the one that was added", ErrDamaged, next)
		}
		before = f.Chain
		if err := each(f); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	return nil
}

// Last returns the number of the last fact, 0 when there is none.
func (s *Store) Last(ctx context.Context) (int64, error) {
	no, _, err := head(ctx, s.db)
	return no, err
}

// head returns the number and the chain value of the last fact.
func head(ctx context.Context, q queryer) (no int64, chain [32]byte, err error) {
	rows, err := q.QueryContext(ctx, "SELECT no, chain FROM fact ORDER BY no DESC LIMIT 1")
	if err != nil {
		return 0, chain, fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	if rows.Next() {
		var c []byte
		if err := rows.Scan(&no, &c); err != nil {
			return 0, chain, fmt.Errorf("cannot read the election store: %w", err)
		}
		copy(chain[:], c)
	}
	if err := rows.Err(); err != nil {
		return 0, chain, fmt.Errorf("cannot read the election store: %w", err)
	}
	return no, chain, nil
}

// Place says where a store is used.
type Place string

// The values of [Place]: the core of a station, which takes only what came in
// by a medium, or a desk, where files are given by hand.
const (
	AtStation Place = "station"
	AtDesk    Place = "desk"
)

// Place returns where the store is used.
func (s *Store) Place(ctx context.Context) (p Place, err error) {
	if err := s.db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'place'").Scan(&p); err != nil {
		return "", fmt.Errorf("cannot read the election store: %w", err)
	}
	if p != AtStation && p != AtDesk {
		return "", fmt.Errorf("%w: it is used at %q", ErrDamaged, p)
	}
	return p, nil
}
