// Package vault keeps the bytes that were read from media: one package is one
// item, an item is one folder with one pack file (all contents back to back)
// and the records beside it, and an item is staged, held or admitted by the
// folder that it stands in. Its promises are in FORMAT.md. It decides nothing:
// the caller says what is admitted and why something is held. Names and
// contents are foreign bytes and never become names on this disk; facts,
// records and outcomes are opaque to it.
package vault

import (
	"errors"
	"io"
	"io/fs"

	"sallyport/internal/durable"
	"sallyport/internal/verdict"
)

// State is where an item stands once it is decided.
type State string

// The two decided states.
const (
	Held     State = "held"
	Admitted State = "admitted"
)

// Errors that callers branch on.
var (
	ErrExists   = errors.New("the vault has an item of this id")
	ErrNotFound = errors.New("the vault has no item of this id")
	// ErrPartial is what Admit and FS say of an item that is not whole.
	ErrPartial    = errors.New("the item is not whole")
	errUnfinished = errors.New("not implemented yet")
)

// Options of an open vault.
type Options struct {
	FS durable.FS
	// Reserve is how many bytes of the file system stay free beside all open
	// stages.
	Reserve int64
}

// Stored is one file in a pack.
type Stored struct {
	Name    string
	Off     int64 // bytes from the start of the pack
	Size    int64 // bytes stored
	SHA256  [32]byte
	Partial bool // the source failed or the store was full: only the first Size bytes are here
}

// Record is what the caller wants kept with the contents at Commit; opaque JSON.
type Record struct{ Data []byte }

// Vault is an open vault. Its methods may be called concurrently.
type Vault struct{}

// Create makes a vault in dir, which must not exist or be empty.
func Create(dir string, fs durable.FS) error { return errUnfinished }

// Open opens a vault that Create made, alone (durable.ErrLocked otherwise).
func Open(dir string, opt Options) (*Vault, error) { return nil, errUnfinished }

// Close releases the vault.
func (v *Vault) Close() error { return errUnfinished }

// Stage reserves room for declared bytes of content and opens a pack. A
// store-full Finding means that it does not fit beside the reserve; ErrExists
// that id is taken in any state. Ids: [a-z0-9][a-z0-9_-]{0,127}. facts is kept
// durable in the item's folder from here on.
func (v *Vault) Stage(id string, declared int64, facts []byte) (*Stage, error) {
	return nil, errUnfinished
}

// Stage is a pack being written, by one goroutine.
type Stage struct{}

// AddFile stores what r gives until io.EOF, and returns how many bytes that
// were. It returns before they are hashed and written: see Staged.Files for
// the hashes. When r fails, its error is returned (wrapped), the bytes so far
// are kept as a partial file and the stage takes further files. Any other
// error (a store-full Finding, a failed write) is final: no more files, but
// Commit still keeps what is there. More bytes in all than were declared is an
// over-limit Finding.
func (s *Stage) AddFile(name string, r io.Reader) (size int64, err error) { return 0, errUnfinished }

// Commit makes the pack and its index durable.
func (s *Stage) Commit(rec Record) (*Staged, error) { return nil, errUnfinished }

// Abandon removes the stage with all its bytes.
func (s *Stage) Abandon() error { return errUnfinished }

// Staged is a durable item without a decision. It reads like an Item.
type Staged struct{ *Item }

// Problem returns why contents are missing although Commit succeeded: the
// store-full Finding or the write error that ended the stage; nil otherwise.
func (st *Staged) Problem() error { return errUnfinished }

// Admit moves a staged item to admitted. An item with a partial file is
// refused (ErrPartial).
func (v *Vault) Admit(st *Staged, outcome []byte) (*Item, error) { return nil, errUnfinished }

// Hold moves a staged item to held; reasons (at least one) and outcome are
// durable in its folder before it moves.
func (v *Vault) Hold(st *Staged, reasons []verdict.Finding, outcome []byte) (*Item, error) {
	return nil, errUnfinished
}

// Leftover is an item in staged/ that no open stage of this process owns: the
// process before this one stopped between Stage and the decision.
type Leftover struct {
	ID       string
	Complete bool  // Commit had finished
	Bytes    int64 // bytes of content in the pack
	Damage   error // why an index that is there does not count; nil when there is none or it is good
}

// Leftovers lists them, by id.
func (v *Vault) Leftovers() ([]Leftover, error) { return nil, errUnfinished }

// Recover makes a leftover decidable. A complete one comes back as committed
// (rec is not used). For any other all bytes in the pack become one nameless
// partial file, which can only be held.
func (v *Vault) Recover(id string, rec Record) (*Staged, error) { return nil, errUnfinished }

// List returns the ids of all items in a state, sorted.
func (v *Vault) List(s State) ([]string, error) { return nil, errUnfinished }

// Get returns a held or admitted item, or ErrNotFound.
func (v *Vault) Get(id string) (*Item, error) { return nil, errUnfinished }

// Item reads one item.
type Item struct{}

func (it *Item) ID() string       { return "" }
func (it *Item) State() State     { return "" } // "" while staged
func (it *Item) Bytes() int64     { return 0 }
func (it *Item) Count() int       { return 0 }
func (it *Item) Digest() [32]byte { return [32]byte{} } // covers facts, record and every entry

// Reasons returns why the item is held.
func (it *Item) Reasons() []verdict.Finding { return nil }

// Facts returns what was given to Stage; Record what was given to Commit;
// Outcome what was given to Admit or Hold.
func (it *Item) Facts() ([]byte, error)   { return nil, errUnfinished }
func (it *Item) Record() ([]byte, error)  { return nil, errUnfinished }
func (it *Item) Outcome() ([]byte, error) { return nil, errUnfinished }

// Files returns the index in the order of AddFile. Do not change it.
func (it *Item) Files() ([]Stored, error) { return nil, errUnfinished }

// FS serves the item's files by name. Items with partial files (ErrPartial),
// or with names that are not unique valid paths, are read with OpenEntry.
func (it *Item) FS() (fs.FS, error) { return nil, errUnfinished }

// OpenEntry opens file number i of Files.
func (it *Item) OpenEntry(i int) (*File, error) { return nil, errUnfinished }

// File reads one stored file: io.Reader, io.ReaderAt, io.Seeker.
type File struct{ *io.SectionReader }

// Verify reads everything again and names the first damaged record or file.
func (it *Item) Verify() error { return errUnfinished }

// Close releases the item's pack; files opened from it fail afterwards.
func (it *Item) Close() error { return errUnfinished }
