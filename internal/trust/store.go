package trust

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// Files of a store.
const (
	rootFile   = "root.json"
	bundleFile = "bundle.dsse.json"
	floorFile  = "floor.json"
)

// floor is the lowest bundle that a store accepts: the last one that was
// installed. It outlives the bundle's file.
type floor struct {
	V       int    `json:"v"`
	Version int64  `json:"version"` // 0: none yet
	SHA256  string `json:"sha256"`  // of the payload; "" for version 0
}

// Store keeps a station's pinned root and its installed bundle in a folder. It
// never goes back to an older bundle. It is safe for concurrent use in one
// process; one process at a time may use a folder.
type Store struct {
	dir  string
	fs   durable.FS
	root *Root

	mu      sync.Mutex
	floor   floor
	trusted *Trusted // nil: none installed
}

// CreateStore makes the folder and pins root, an encoded [Root], for good.
//
//	mkdir(dir) create(floor.json) create(root.json)
func CreateStore(dir string, root []byte, fs durable.FS) error {
	if _, err := ParseRoot(root); err != nil {
		return fmt.Errorf("cannot pin the trust root: %w", err)
	}
	if err := fs.Mkdir("trust.create", dir, 0o700); err != nil {
		return err
	}
	zero, err := strictjson.Encode(&floor{V: 1})
	if err != nil {
		return err
	}
	if err := fs.CreateFile("trust.create.floor", filepath.Join(dir, floorFile), zero, 0o600); err != nil {
		return err
	}
	return fs.CreateFile("trust.create.root", filepath.Join(dir, rootFile), root, 0o400)
}

// OpenStore opens the store and verifies the installed bundle again. A bundle
// that is older than the floor, or another of the same version, is an error: a
// restored or changed disk, never a normal state.
func OpenStore(dir string, fs durable.FS) (*Store, error) {
	s := &Store{dir: dir, fs: fs}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("cannot open the trust store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) load() error {
	if err := s.fs.Sweep("trust.open", s.dir); err != nil {
		return err
	}
	data, err := readFile(filepath.Join(s.dir, rootFile), MaxRoot)
	if err != nil {
		return err
	}
	if s.root, err = ParseRoot(data); err != nil {
		return err
	}
	if data, err = readFile(filepath.Join(s.dir, floorFile), MaxRoot); err != nil {
		return err
	}
	if err := strictjson.DecodeCanonical(data, &s.floor, MaxRoot); err != nil {
		return fmt.Errorf("cannot read %s: %w", floorFile, err)
	}
	if data, err = readFile(filepath.Join(s.dir, bundleFile), MaxEnvelope); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	t, err := Open(data, s.root)
	if err != nil {
		return err
	}
	if err := s.above(t); err != nil {
		return err
	}
	// A crash between the two writes of Install leaves the floor behind.
	if err := s.raise(t); err != nil {
		return err
	}
	s.trusted = t
	return nil
}

// Root returns the pinned root.
func (s *Store) Root() *Root { return s.root }

// Current returns the installed bundle, or a trust-missing finding.
func (s *Store) Current() (*Trusted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trusted == nil {
		detail := ""
		if s.floor.Version > 0 {
			detail = fmt.Sprintf("version %d or later is needed", s.floor.Version)
		}
		return nil, &verdict.Finding{Reason: verdict.TrustMissing, Detail: detail}
	}
	return s.trusted, nil
}

// Install verifies a bundle and makes it the current one. An older one is
// superseded, another of the same version is a fork, and the same one again
// changes nothing. Errors about the bundle are findings; after any other error
// the store must be opened again, and holds the old bundle or the new one.
//
//	replace(bundle.dsse.json) replace(floor.json)
func (s *Store) Install(envelope []byte) (*Trusted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := Open(envelope, s.root)
	if err != nil {
		return nil, err
	}
	if err := s.above(t); err != nil {
		return nil, err
	}
	if s.trusted != nil && s.trusted.Version() == t.Version() {
		return s.trusted, nil
	}
	if err := s.fs.WriteFile("trust.install.bundle", filepath.Join(s.dir, bundleFile), envelope, 0o600); err != nil {
		return nil, err
	}
	if err := s.raise(t); err != nil {
		return nil, err
	}
	s.trusted = t
	return t, nil
}

// above refuses what is below the floor or beside it.
func (s *Store) above(t *Trusted) error {
	switch {
	case t.Version() < s.floor.Version:
		return verdict.New(verdict.Superseded, "trust bundle", "has version %d, this station had version %d already", t.Version(), s.floor.Version)
	case t.Version() == s.floor.Version && hexDigest(t) != s.floor.SHA256:
		return verdict.New(verdict.Fork, "trust bundle", "there are two different bundles of version %d: this one and the one that was installed here", t.Version())
	}
	return nil
}

// raise makes t the floor.
func (s *Store) raise(t *Trusted) error {
	next := floor{V: 1, Version: t.Version(), SHA256: hexDigest(t)}
	if next == s.floor {
		return nil
	}
	data, err := strictjson.Encode(&next)
	if err != nil {
		return err
	}
	if err := s.fs.WriteFile("trust.install.floor", filepath.Join(s.dir, floorFile), data, 0o600); err != nil {
		return err
	}
	s.floor = next
	return nil
}

func hexDigest(t *Trusted) string {
	d := t.Digest()
	return hex.EncodeToString(d[:])
}

// readFile reads a file of at most most bytes.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return data, nil
}
