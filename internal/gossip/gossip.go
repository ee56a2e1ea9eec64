// Package gossip keeps the highest checkpoint that each other station's audit log
// has shown here, and finds a log that was forked or put back: a station cannot
// show one history to one receiver and another to the next without somebody
// holding both. It verifies no signature (its callers did) and decides nothing
// about packages. Its files are its own disk's: whoever changes them can make it
// forget, which the floor does not cover.
package gossip

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// Peer is the highest checkpoint of one log key.
type Peer struct {
	V      int    `json:"v"` // 1
	Origin string `json:"origin"`
	KeyID  string `json:"key_id"` // of the log key
	Size   int64  `json:"size"`   // entries
	Root   string `json:"root"`   // base64, as it stands in the checkpoint
	// Seq is the sequence number of the package that brought it: numbers and
	// checkpoints of one station come from one TPM, in one order.
	Seq  int64  `json:"seq"`
	Note string `json:"note"` // the signed checkpoint itself: a witness
}

// maxFile bounds the file of a peer, in bytes.
const maxFile = 16 << 10

// Book is a folder of peers, one file for each log key. It is safe for concurrent
// use in one process.
type Book struct {
	dir string
	fs  durable.FS
	mu  sync.Mutex
}

// Create makes an empty book.
func Create(dir string, fs durable.FS) error { return fs.Mkdir("gossip.create", dir, 0o700) }

// Open opens a book.
func Open(dir string, fs durable.FS) (*Book, error) {
	if err := fs.Sweep("gossip.open", dir); err != nil {
		return nil, fmt.Errorf("cannot open what is known of other stations' logs: %w", err)
	}
	return &Book{dir: dir, fs: fs}, nil
}

var keyID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// See notes a checkpoint and says whether it contradicts what was kept, with a
// fork finding: two roots for one size, or a log that was shorter at a later
// sequence number. What contradicts is not kept; before is what it contradicts.
//
//	replace(KEY.json)
func (b *Book) See(_ context.Context, s *translog.Sighting, seq int64) (before *Peer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !keyID.MatchString(s.KeyID) {
		return nil, fmt.Errorf("cannot keep a checkpoint: %q is no key id", s.KeyID)
	}
	now := Peer{V: 1, Origin: s.Origin, KeyID: s.KeyID, Size: s.Size, Root: s.Root.String(), Seq: seq, Note: string(s.Note)}
	kept, err := b.read(s.KeyID + ".json")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		switch {
		case now.Size == kept.Size && now.Root != kept.Root:
			return &kept, verdict.New(verdict.Fork, kept.Origin, "its log showed two different states of %d entries: somebody keeps two logs with one key", now.Size)
		case now.Size < kept.Size && now.Seq > kept.Seq, now.Size > kept.Size && now.Seq < kept.Seq:
			return &kept, verdict.New(verdict.Fork, kept.Origin, "its log had %d entries at sequence %d and %d at sequence %d: it was put back", kept.Size, kept.Seq, now.Size, now.Seq)
		case now.Size <= kept.Size:
			return nil, nil // an older package, or the same state once more
		}
	}
	body, err := strictjson.Encode(&now)
	if err != nil {
		return nil, err
	}
	return nil, b.fs.WriteFile("gossip.see", filepath.Join(b.dir, s.KeyID+".json"), body, 0o600)
}

func (b *Book) read(name string) (p Peer, err error) {
	data, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		return p, err
	}
	if err := strictjson.DecodeCanonical(data, &p, maxFile); err != nil {
		return p, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if p.V != 1 || p.KeyID+".json" != name {
		return p, fmt.Errorf("cannot read %s: it is of key %.64q, version %d", name, p.KeyID, p.V)
	}
	return p, nil
}

// Peers lists what is kept, by origin.
func (b *Book) Peers() ([]Peer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	list := []Peer{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		p, err := b.read(e.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Peer) int { return strings.Compare(a.Origin+a.KeyID, b.Origin+b.KeyID) })
	return list, nil
}
