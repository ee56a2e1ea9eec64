// Package vault keeps the bytes that were read from media. One package is one
// item; an item is one folder with one pack file (all contents back to back)
// and its records, and the folder that it stands in says whether it is staged,
// held or admitted. FORMAT.md has the formats and the promises.
//
// It decides nothing: the caller says what is admitted and why something is
// held. Contents and names are foreign bytes; names are data in the index and
// never become names on this disk. Facts, records and outcomes are opaque. What
// it reads back is its own, but may have been damaged on the disk since: every
// record carries a SHA-256 that is checked before use.
package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// State is where an item stands once it is decided.
type State string

// The two decided states. An item that is staged has the state "".
const (
	Held     State = "held"
	Admitted State = "admitted"
)

// Errors that callers branch on.
var (
	// ErrExists means that the id is taken, in whatever state.
	ErrExists = errors.New("the vault has an item of this id")
	// ErrNotFound means that no decided item has the id.
	ErrNotFound = errors.New("the vault has no item of this id")
	// ErrPartial means that contents are missing from an item.
	ErrPartial = errors.New("the item is not whole")
)

// Damage says which stored bytes are not what was written. Off is in bytes from
// the start of the file named by File.
type Damage struct {
	ID      string
	File    string // a file of the item's folder
	Entry   string // the stored file concerned, if one is
	Off     int64
	Problem string
}

func (d *Damage) Error() string {
	entry := ""
	if d.Entry != "" {
		entry = " (" + verdict.Escape(d.Entry) + ")"
	}
	return fmt.Sprintf("damaged item %s: %s at byte %d%s: %s", d.ID, d.File, d.Off, entry, d.Problem)
}

// Options of an open vault.
type Options struct {
	FS durable.FS
	// Reserve is how many bytes of the file system stay free beside all open
	// stages. The records of a package are written out of it, so production
	// wants at least 128 MiB.
	Reserve int64
}

// Vault is an open vault. Its methods may be called concurrently.
type Vault struct {
	dir     string
	fs      durable.FS
	reserve int64
	lock    *durable.Lock
	mem     arenas

	mu     sync.Mutex
	owned  map[string]bool // ids in staged/ that a Stage or Staged of this process owns
	stages map[*Stage]bool // open stages
	closed bool
}

const (
	stagedDir  = "staged"
	markerFile = "vault.json"
	// Folders in staged/ that begin with a dot are being made or removed; no
	// bytes of a medium are in those being made.
	newPrefix  = ".new-"
	gonePrefix = ".gone-"
)

type marker struct {
	V      int64  `json:"v"`
	Format string `json:"format"`
}

var thisFormat = marker{V: 1, Format: "sallyport-vault"}

// Create makes a vault in dir, which must not exist, be empty, or be what an
// earlier Create that was cut off has left. A vault that is there gives
// os.ErrExist.
//
//	mkdir(dir) mkdir(dir/staged) mkdir(dir/held) mkdir(dir/admitted), each with
//	fsync(parent), then the marker vault.json: without it nothing opens dir.
func Create(dir string, fs durable.FS) error {
	if err := mkdirIfMissing(fs, dir); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, markerFile)); err == nil {
		return fmt.Errorf("cannot create the vault %s: %w", dir, os.ErrExist)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot create the vault: %w", err)
	}
	for _, e := range there {
		switch name := e.Name(); name {
		case stagedDir, string(Held), string(Admitted), markerFile + ".tmp":
		default:
			return fmt.Errorf("cannot create the vault: the folder %s holds %q", dir, name)
		}
	}
	for _, sub := range []string{stagedDir, string(Held), string(Admitted)} {
		if err := mkdirIfMissing(fs, filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	b, err := strictjson.Encode(thisFormat)
	if err != nil {
		return err
	}
	return fs.CreateFile("vault.marker", filepath.Join(dir, markerFile), b, 0o600)
}

func mkdirIfMissing(fs durable.FS, dir string) error {
	err := fs.Mkdir("vault.create", dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return fs.SyncDir("vault.create", filepath.Dir(dir))
	}
	return err
}

// Open opens a vault that Create made, for this process alone
// (durable.ErrLocked otherwise). It makes every move that the process before
// it saw durable, and removes what was never more than a beginning or had been
// given up; see Leftovers for the rest.
func Open(dir string, opt Options) (*Vault, error) {
	b, err := os.ReadFile(filepath.Join(dir, markerFile))
	if err != nil {
		return nil, fmt.Errorf("cannot open the vault: %w", err)
	}
	var m marker
	if err := strictjson.DecodeCanonical(b, &m, 1<<10); err != nil {
		return nil, fmt.Errorf("cannot open the vault %s: %s: %w", dir, markerFile, err)
	}
	if m != thisFormat {
		return nil, fmt.Errorf("cannot open the vault %s: format %q version %d is not %q version %d", dir, m.Format, m.V, thisFormat.Format, thisFormat.V)
	}
	if opt.Reserve < 0 {
		return nil, fmt.Errorf("cannot open the vault %s: a reserve of %d bytes", dir, opt.Reserve)
	}
	lock, err := durable.LockDir(dir)
	if err != nil {
		return nil, err
	}
	v := &Vault{dir: dir, fs: opt.FS, reserve: opt.Reserve, lock: lock, owned: map[string]bool{}, stages: map[*Stage]bool{}}
	if err := v.settle(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return v, nil
}

func (v *Vault) settle() error {
	staged := filepath.Join(v.dir, stagedDir)
	there, err := os.ReadDir(staged)
	if err != nil {
		return fmt.Errorf("cannot open the vault: %w", err)
	}
	for _, e := range there {
		if strings.HasPrefix(e.Name(), newPrefix) || strings.HasPrefix(e.Name(), gonePrefix) {
			if err := v.fs.RemoveAll("vault.open.sweep", filepath.Join(staged, e.Name())); err != nil {
				return err
			}
		}
	}
	for _, sub := range []string{stagedDir, string(Held), string(Admitted)} {
		if err := v.fs.SyncDir("vault.open", filepath.Join(v.dir, sub)); err != nil {
			return err
		}
	}
	return nil
}

// Close releases the vault. It fails while a stage is open.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.stages); n > 0 {
		return fmt.Errorf("cannot close the vault: %d stages are open", n)
	}
	if v.closed {
		return nil
	}
	v.closed = true
	return errors.Join(v.mem.close(), v.lock.Close())
}

// Dir returns the folder of the vault.
func (v *Vault) Dir() string { return v.dir }

// List returns the ids of all items in a state, sorted.
func (v *Vault) List(s State) ([]string, error) {
	if s != Held && s != Admitted {
		return nil, fmt.Errorf("cannot list the vault: no state %q", s)
	}
	return v.ids(string(s))
}

func (v *Vault) ids(sub string) ([]string, error) {
	there, err := os.ReadDir(filepath.Join(v.dir, sub))
	if err != nil {
		return nil, fmt.Errorf("cannot list the vault: %w", err)
	}
	var ids []string
	for _, e := range there {
		if e.IsDir() && CheckID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// Get returns a held or admitted item, ErrNotFound, or a *Damage.
func (v *Vault) Get(id string) (*Item, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	for _, s := range []State{Admitted, Held} {
		dir := filepath.Join(v.dir, string(s), id)
		if _, err := os.Lstat(dir); err == nil {
			return loadItem(dir, id, s)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("cannot look for item %s: %w", id, err)
		}
	}
	return nil, fmt.Errorf("cannot get item %s: %w", id, ErrNotFound)
}

// taken says whether id stands anywhere in the vault.
func (v *Vault) taken(id string) error {
	for _, sub := range []string{stagedDir, string(Held), string(Admitted)} {
		_, err := os.Lstat(filepath.Join(v.dir, sub, id))
		if err == nil {
			return fmt.Errorf("%w (%s, %s)", ErrExists, id, sub)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// maxID is in bytes; the fixed field of pack and index has this size.
const maxID = 128

// CheckID checks the grammar of ids: [a-z0-9][a-z0-9_-]{0,127}.
func CheckID(id string) error {
	ok := id != "" && len(id) <= maxID && id[0] != '-' && id[0] != '_'
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	if !ok {
		return fmt.Errorf("%.140q is not an item id: want 1 to %d of a-z, 0-9, - and _, beginning with a letter or digit", id, maxID)
	}
	return nil
}

// full turns "no space" into the store-full Finding that intake acts on.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", verdict.New(verdict.StoreFull, "", "the disk of the store is full"), err)
	}
	return err
}
