package trust

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"sallyport/internal/dsse"
	"sallyport/internal/durable"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// Files of a store.
const (
	rootFile      = "root.json"
	installedFile = "installed.json"
	floorFile     = "floor.json"
	pastFile      = "bundle-%d.dsse.json" // a bundle that was installed before, by its version
)

// MaxRotations is the most rotations of the root that a station follows.
const MaxRotations = 100

// maxInstalled is the most bytes of installed.json: its members are base64.
const maxInstalled = 2 * (MaxEnvelope + MaxRotations*MaxRotation)

// Delivery is what the authority gives out: the current bundle, with every
// rotation of the root that led to the keys that signed it. Without a bundle
// (nil) only the root changes, and the installed bundle stays until the next one,
// which the new root's keys sign.
type Delivery struct {
	Rotations []Rotation `json:"rotations"`       // oldest first
	Bundle    []byte     `json:"bundle,omitzero"` // envelope of [Open]
}

// Rotation is the root of a version, signed as [OpenRotation] demands. The
// version says where it belongs; the envelope has to say the same.
type Rotation struct {
	Version  int64  `json:"version"`
	Envelope []byte `json:"envelope"`
}

// installed is installed.json: a root and the bundle that belongs to it are
// replaced together or not at all.
type installed struct {
	V int `json:"v"`
	Delivery
}

// floor is the lowest bundle and root that a store accepts: the last ones that
// were installed. It outlives their file.
type floor struct {
	V       int    `json:"v"`
	Version int64  `json:"version"`      // 0: none yet
	SHA256  string `json:"sha256"`       // of the payload; "" for version 0
	Root    int64  `json:"root_version"` // 0: nothing was installed yet
}

// Store keeps a station's pinned root, the rotations since and the installed
// bundle in a folder. It never goes back to an older bundle or root. It is safe
// for concurrent use in one process; one process at a time may use a folder.
type Store struct {
	dir string
	fs  durable.FS

	mu    sync.Mutex
	floor floor
	now   state
}

// state is what is installed; its pointers are never changed once they are set.
type state struct {
	pinned  *Root // nil: none yet, which only an authority's store may be
	root    *Root // that of the last rotation, or pinned
	given   Delivery
	trusted *Trusted // nil: none installed
}

// CreateStore makes the folder and pins root, an encoded [Root], for good. An
// authority that is still to be founded has none: nil, and [Store.Pin] later.
//
//	mkdir(dir) create(floor.json) [create(root.json)]
func CreateStore(dir string, root []byte, fs durable.FS) error {
	if root != nil {
		if _, err := ParseRoot(root); err != nil {
			return fmt.Errorf("cannot pin the trust root: %w", err)
		}
	}
	if err := fs.Mkdir("trust.create", dir, 0o700); err != nil {
		return err
	}
	zero, err := strictjson.Encode(&floor{V: 1})
	if err != nil {
		return err
	}
	if err := fs.CreateFile("trust.create.floor", filepath.Join(dir, floorFile), zero, 0o600); err != nil || root == nil {
		return err
	}
	return fs.CreateFile("trust.create.root", filepath.Join(dir, rootFile), root, 0o400)
}

// OpenStore opens the store and verifies the rotations and the installed bundle
// again. A bundle that is older than the floor, or another of the same version,
// is an error: a restored or changed disk, never a normal state.
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
	data, err := readFile(filepath.Join(s.dir, floorFile), MaxRoot)
	if err != nil {
		return err
	}
	if err := strictjson.DecodeCanonical(data, &s.floor, MaxRoot); err != nil {
		return fmt.Errorf("cannot read %s: %w", floorFile, err)
	}
	data, err = readFile(filepath.Join(s.dir, rootFile), MaxRoot)
	if errors.Is(err, os.ErrNotExist) && s.floor.Version == 0 {
		return nil // an authority that is still to be founded
	}
	if err != nil {
		return err
	}
	if s.now.pinned, err = ParseRoot(data); err != nil {
		return err
	}
	s.now.root = s.now.pinned
	if data, err = readFile(filepath.Join(s.dir, installedFile), maxInstalled); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	var in installed
	if err := strictjson.DecodeCanonical(data, &in, maxInstalled); err != nil {
		return fmt.Errorf("cannot read %s: %w", installedFile, err)
	}
	next, err := s.now.with(in.Delivery, true)
	if err != nil {
		return err
	}
	if err := s.above(next); err != nil {
		return err
	}
	// A crash between the two writes of Install leaves the floor behind.
	if err := s.raise(next); err != nil {
		return err
	}
	s.now = next
	return nil
}

// Pin gives the store of an authority its root, once.
func (s *Store) Pin(root []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := ParseRoot(root)
	if err != nil {
		return fmt.Errorf("cannot pin the trust root: %w", err)
	}
	if s.now.pinned != nil {
		return errors.New("cannot pin the trust root: this station has one, which only a rotation follows")
	}
	if err := s.fs.CreateFile("trust.create.root", filepath.Join(s.dir, rootFile), root, 0o400); err != nil {
		return err
	}
	s.now.pinned, s.now.root = r, r
	return nil
}

// Root returns the present root; nil at an authority that is still to be founded.
func (s *Store) Root() *Root {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.root
}

// Pinned returns the root that this store began with; nil as [Store.Root].
func (s *Store) Pinned() *Root {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.pinned
}

// Current returns the installed bundle, or a trust-missing finding.
func (s *Store) Current() (*Trusted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.trusted == nil {
		detail := ""
		if s.floor.Version > 0 {
			detail = fmt.Sprintf("version %d or later is needed", s.floor.Version)
		}
		return nil, &verdict.Finding{Reason: verdict.TrustMissing, Detail: detail}
	}
	return s.now.trusted, nil
}

// Policy returns what this station takes now. Without a bundle that is the
// authority's first bundle alone, and without a root nothing.
func (s *Store) Policy(self Self) Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.trusted.Policy(s.now.root, self)
}

// Installed returns the delivery that stands here, to hand it on.
func (s *Store) Installed() (Delivery, error) {
	if _, err := s.Current(); err != nil {
		return Delivery{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return Delivery{slices.Clone(s.now.given.Rotations), s.now.given.Bundle}, nil
}

// Rotations returns the rotations that were installed since the pinned root.
func (s *Store) Rotations() []Rotation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.now.given.Rotations)
}

// Install verifies a delivery and makes it the current one. An older bundle is
// superseded, another of the same version is a fork, and the same one again
// changes nothing; so it is with rotations. Errors about the delivery are
// findings; after any other error the store must be opened again, and holds the
// old bundle or the new one. The old one is kept; see [Store.Past].
//
//	[replace(bundle-VERSION.dsse.json)] replace(installed.json) replace(floor.json)
func (s *Store) Install(d Delivery) (*Trusted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := s.next(d)
	if err != nil {
		return nil, err
	}
	if next.root == s.now.root && next.trusted.Version() == s.now.trusted.Version() {
		return s.now.trusted, nil
	}
	body, err := strictjson.Encode(&installed{1, next.given})
	if err != nil {
		return nil, err
	}
	if old := s.now.trusted; old != nil && old.Version() != next.trusted.Version() {
		if err := s.fs.WriteFile("trust.install.past", s.past(old.Version()), s.now.given.Bundle, 0o400); err != nil {
			return nil, err
		}
	}
	if err := s.fs.WriteFile("trust.install.bundle", filepath.Join(s.dir, installedFile), body, 0o600); err != nil {
		return nil, err
	}
	if err := s.raise(next); err != nil {
		return nil, err
	}
	s.now = next
	return next.trusted, nil
}

func (s *Store) past(version int64) string {
	return filepath.Join(s.dir, fmt.Sprintf(pastFile, version))
}

// Past returns a bundle that was installed here before, with all rotations since
// the pinned root: what was judged by it can be judged by it again. The error is
// [os.ErrNotExist] when there is none of this version.
func (s *Store) Past(version int64) (Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := readFile(s.past(version), MaxEnvelope)
	if err != nil {
		return Delivery{}, err
	}
	d := Delivery{slices.Clone(s.now.given.Rotations), data}
	_, t, err := Follow(s.now.pinned, d)
	if err == nil && t.Version() != version {
		err = fmt.Errorf("it has version %d", t.Version())
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("cannot read %s: %w", s.past(version), err)
	}
	return d, nil
}

// next is the state after a delivery.
func (s *Store) next(d Delivery) (state, error) {
	next, err := s.now.with(d, false)
	if err == nil {
		err = s.above(next)
	}
	return next, err
}

// with follows the rotations of d and opens its bundle under the last root; one
// that is installed already may be of an earlier root. Rotations that are
// installed already need not be in d, but may not be others.
func (st state) with(d Delivery, already bool) (state, error) {
	if st.pinned == nil {
		return state{}, verdict.New(verdict.TrustMissing, "trust root", "this authority has no root yet: 'sallyport authority init' makes it")
	}
	next := st
	var roots []*Root
	var err error
	if next.given.Rotations, roots, err = st.follow(d.Rotations); err != nil {
		return state{}, err
	}
	next.root = roots[len(roots)-1]
	if d.Bundle == nil {
		return next, nil
	}
	next.given.Bundle = d.Bundle
	if next.trusted, err = Open(d.Bundle, next.root); err == nil || !already {
		return next, err
	}
	for _, older := range slices.Backward(roots) {
		if next.trusted, err = Open(d.Bundle, older); err == nil {
			break
		}
	}
	return next, err
}

// follow walks the rotations and returns all that are in force then, with the
// roots that were passed, the present one first. Rotations up to the present
// root were walked before: what comes again has to be what was installed.
func (st state) follow(more []Rotation) (chain []Rotation, roots []*Root, err error) {
	chain, roots = slices.Clone(st.given.Rotations), []*Root{st.root}
	for _, r := range more {
		root := roots[len(roots)-1]
		if r.Version <= st.pinned.Version {
			continue
		}
		if r.Version <= root.Version {
			have := chain[r.Version-st.pinned.Version-1]
			if !samePayload(have.Envelope, r.Envelope) {
				return nil, nil, verdict.New(verdict.Fork, "trust root", "it is another root of version %d than the one that was installed here", r.Version)
			}
			continue
		}
		next, err := OpenRotation(r.Envelope, root)
		if err != nil {
			return nil, nil, err
		}
		if next.Version != r.Version {
			return nil, nil, malformed("trust root", "is given as version %d and has version %d", r.Version, next.Version)
		}
		// All since the pinned root count, in however many deliveries they came.
		if len(chain) == MaxRotations {
			return nil, nil, verdict.New(verdict.OverLimit, "trust root", "there are more than %d rotations since the pinned root", MaxRotations)
		}
		chain, roots = append(chain, r), append(roots, next)
	}
	if chain == nil {
		chain = []Rotation{}
	}
	return chain, roots, nil
}

// samePayload says whether two envelopes hold the same root, by whomever signed.
func samePayload(a, b []byte) bool {
	x, err := dsse.Parse(a, RootType, MaxRotation)
	if err != nil {
		return false
	}
	y, err := dsse.Parse(b, RootType, MaxRotation)
	return err == nil && bytes.Equal(x.Payload, y.Payload)
}

// above refuses what is below the floor or beside it.
func (s *Store) above(next state) error {
	t := next.trusted
	switch {
	case next.root.Version < s.floor.Root:
		return verdict.New(verdict.Superseded, "trust root", "has version %d, this station had version %d already", next.root.Version, s.floor.Root)
	case t == nil:
	case t.Version() < s.floor.Version:
		return verdict.New(verdict.Superseded, "trust bundle", "has version %d, this station had version %d already", t.Version(), s.floor.Version)
	case t.Version() == s.floor.Version && hexDigest(t) != s.floor.SHA256:
		return verdict.New(verdict.Fork, "trust bundle", "there are two different bundles of version %d: this one and the one that was installed here", t.Version())
	}
	return nil
}

// raise makes the root and the bundle of st the floor.
func (s *Store) raise(st state) error {
	next := s.floor
	next.Root = st.root.Version
	if st.trusted != nil {
		next.Version, next.SHA256 = st.trusted.Version(), hexDigest(st.trusted)
	}
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
