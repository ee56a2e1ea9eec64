// Package store keeps elections, packages, packed ballots, subtotals and what
// people decided in one SQLite database. It knows nothing of file formats and
// counts nothing. What it is
// given was checked; what it reads back is checked again, because a disk can
// lie: each package has a digest of what it brought, and reading the ballots
// of an election compares them all; what people decided is a chain.
//
// The database reveals no order in which ballots were cast: they are inserted
// sorted by identifier, into a table without row numbers or times, whatever
// the order of the documents was.
package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite" // also the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sallyport/internal/durable"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks the database as one of this package ("SPRT").
const applicationID = 0x53505254

// ErrFull means that the disk has no room for what was to be stored. Nothing
// was stored.
var ErrFull = errors.New("no room on the disk of the election store")

// full adds [ErrFull] to errors that say so in SQLite's or the system's way.
func full(err error) error {
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_FULL || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// Store is an open database. It is not safe for concurrent use.
type Store struct {
	db  *sql.DB
	dir string
}

// Create makes a new database at path, which must not exist.
//
//	openat(path, O_CREAT|O_EXCL) SQLite's own writes and fsyncs fsync(dir)
func Create(path string, at Place) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot create the election store: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("cannot create the election store: %w", err)
	}
	s, err := connect(path)
	if err != nil {
		return err
	}
	err = s.migrate(true)
	if err == nil {
		_, err = s.db.Exec("UPDATE meta SET value = ? WHERE key = 'place'", string(at))
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	return durable.FS{}.SyncDir("ems.store", filepath.Dir(path))
}

// Open opens a database that [Create] made, and brings it to the newest form.
func Open(path string) (*Store, error) {
	s, err := connect(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.migrate(false), sweep(s.dir)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect opens the file and makes sure that every setting took effect. One
// connection carries them all: a pool would open others without them.
func connect(path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the election store: %w", err)
	}
	if _, err := os.Stat(abs); err != nil {
		return nil, fmt.Errorf("cannot open the election store: %w", err)
	}
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}}
	settings := []struct {
		name, set string
		want      int64
	}{
		{"busy_timeout", "5000", 5000}, {"synchronous", "FULL", 2}, {"foreign_keys", "ON", 1},
		{"secure_delete", "ON", 1}, {"trusted_schema", "OFF", 0}, {"cache_size", "-16384", -16384}, {"cell_size_check", "ON", 1},
	}
	q.Add("_pragma", "journal_mode(WAL)")
	for _, p := range settings {
		q.Add("_pragma", p.name+"("+p.set+")")
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: abs, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("cannot open the election store: %w", err)
	}
	db.SetMaxOpenConns(1)
	db.SetConnMaxLifetime(0)
	s := &Store{db: db, dir: filepath.Dir(abs)}
	for _, p := range settings {
		var have int64
		if err := db.QueryRow("PRAGMA " + p.name).Scan(&have); err != nil || have != p.want {
			return nil, errors.Join(fmt.Errorf("cannot open the election store %s: the setting %s is %d, not %d: %w", path, p.name, have, p.want, err), db.Close())
		}
	}
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		return nil, errors.Join(fmt.Errorf("cannot open the election store %s: the journal mode is %q, not wal: %w", path, mode, err), db.Close())
	}
	return s, nil
}

// migrate applies the embedded steps that the database does not have yet.
func (s *Store) migrate(fresh bool) error {
	var app, have int
	if err := s.db.QueryRow("PRAGMA application_id").Scan(&app); err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	if err := s.db.QueryRow("PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("cannot read the election store: %w", err)
	}
	if !fresh && app != applicationID {
		return errors.New("cannot open the election store: the file is not one")
	}
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		return fmt.Errorf("cannot read the embedded migrations: %w", err)
	}
	if have > len(steps) {
		return fmt.Errorf("cannot open the election store: it has form %d, this program knows up to %d: use a newer program", have, len(steps))
	}
	if have == len(steps) {
		return nil
	}
	// A step may rebuild a table that others refer to.
	if _, err := s.db.Exec("PRAGMA foreign_keys = OFF"); err != nil {
		return fmt.Errorf("cannot bring the election store to a new form: %w", err)
	}
	for n := have; n < len(steps); n++ {
		text, err := migrations.ReadFile("migrations/" + steps[n].Name())
		if err != nil {
			return fmt.Errorf("cannot read the embedded migrations: %w", err)
		}
		script := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\nCOMMIT;", text, applicationID, n+1)
		if _, err := s.db.Exec(script); err != nil {
			return fmt.Errorf("cannot bring the election store to form %d: %w", n+1, err)
		}
	}
	return s.reattach()
}

// reattach makes sure that every row still has what it refers to.
func (s *Store) reattach() error {
	var on, broken int
	err := s.db.QueryRow("SELECT count(*) FROM pragma_foreign_key_check").Scan(&broken)
	if err == nil && broken > 0 {
		err = fmt.Errorf("%w: %d rows refer to nothing", ErrDamaged, broken)
	}
	if err == nil {
		_, err = s.db.Exec("PRAGMA foreign_keys = ON")
	}
	if err == nil {
		err = s.db.QueryRow("PRAGMA foreign_keys").Scan(&on)
	}
	if err == nil && on != 1 {
		err = errors.New("foreign keys cannot be switched on again")
	}
	if err != nil {
		return fmt.Errorf("cannot bring the election store to a new form: %w", err)
	}
	return nil
}

// Close closes the database.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("cannot close the election store: %w", err)
	}
	return nil
}

// Election is one stored definition.
type Election struct {
	No         int64
	ID         string
	SHA256     [32]byte
	Definition []byte // the document, byte for byte
}

// Election returns an election by its identifier; ok is false when there is none.
func (s *Store) Election(ctx context.Context, id string) (e Election, ok bool, err error) {
	var sum []byte
	err = s.db.QueryRowContext(ctx, "SELECT no, id, sha256, definition FROM election WHERE id = ?", id).Scan(&e.No, &e.ID, &sum, &e.Definition)
	if errors.Is(err, sql.ErrNoRows) {
		return Election{}, false, nil
	}
	if err != nil {
		return Election{}, false, fmt.Errorf("cannot read the election store: %w", err)
	}
	copy(e.SHA256[:], sum)
	return e, true, nil
}

// Check compares the definition with its digest.
func (e *Election) Check() error {
	if sha256.Sum256(e.Definition) != e.SHA256 {
		return fmt.Errorf("%w: the definition of %q is not the one that was imported", ErrDamaged, e.ID)
	}
	return nil
}

// ElectionIDs returns the identifiers of all elections, sorted.
func (s *Store) ElectionIDs(ctx context.Context) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id FROM election")
	if err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("cannot read the election store: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	slices.Sort(ids)
	return ids, nil
}

// Package is the row of one imported package.
type Package struct {
	No         int64
	Digest     [32]byte
	ID         string
	Kind       string
	ElectionID string
	Contests   int64
	Ballots    int64 // in the package
	Known      int64 // of these, held before
	Content    [32]byte
	State      [32]byte
}

const packageColumns = `SELECT p.no, p.digest, p.package_id, p.kind, e.id, p.contests, p.ballots, p.known, p.content, p.state
	FROM package p JOIN election e ON e.no = p.election`

func scanPackage(scan func(...any) error) (p Package, err error) {
	var digest, content, state []byte
	err = scan(&p.No, &digest, &p.ID, &p.Kind, &p.ElectionID, &p.Contests, &p.Ballots, &p.Known, &content, &state)
	copy(p.Digest[:], digest)
	copy(p.Content[:], content)
	copy(p.State[:], state)
	return p, err
}

// Package returns the package with a digest; ok is false when there is none.
func (s *Store) Package(ctx context.Context, digest [32]byte) (p Package, ok bool, err error) {
	p, err = scanPackage(s.db.QueryRowContext(ctx, packageColumns+" WHERE p.digest = ?", digest[:]).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Package{}, false, nil
	}
	if err != nil {
		return Package{}, false, fmt.Errorf("cannot read the election store: %w", err)
	}
	return p, true, nil
}

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func packages(ctx context.Context, q queryer) ([]Package, error) {
	rows, err := q.QueryContext(ctx, packageColumns+" ORDER BY p.digest")
	if err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	defer rows.Close()
	var all []Package
	for rows.Next() {
		p, err := scanPackage(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("cannot read the election store: %w", err)
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the election store: %w", err)
	}
	return all, nil
}

// Packages returns all packages, sorted by digest.
func (s *Store) Packages(ctx context.Context) ([]Package, error) { return packages(ctx, s.db) }
