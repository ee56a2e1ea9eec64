// Package authority is the desk of an election authority: it challenges the
// stations that ask to be enrolled, keeps what it waits for, and drafts the next
// trust bundle and the next root, which as many holders as the root demands have
// to sign. It decides nothing by itself: people say what goes into a draft, and a
// draft is worth nothing before its signatures are complete. Requests, answers,
// measurements, hand-overs and drafts come by medium and are hostile until package
// trust has verified them. It opens no TPM: its signer is given to it.
package authority

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/dsse"
	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// Names in a desk's folder.
const (
	pendingDir = "pending"         // SHA-256 of the request + ".json": a challenge that was given out
	draftFile  = "draft.dsse.json" // the draft that was made last; the next one builds upon it
)

// maxPending bounds how many enrolments may be under way.
const maxPending = 1000

// Desk is the desk of one station of the role authority.
type Desk struct {
	dir    string
	fs     durable.FS
	store  *trust.Store
	signer dsse.DigestSigner // the station's signing key
	now    func() time.Time
	mu     sync.Mutex // one draft at a time
}

// Create makes the folder of a desk.
func Create(dir string, fs durable.FS) error {
	if err := fs.Mkdir("authority.create", dir, 0o700); err != nil {
		return err
	}
	return fs.Mkdir("authority.create.pending", filepath.Join(dir, pendingDir), 0o700)
}

// Open opens a desk.
func Open(dir string, fs durable.FS, store *trust.Store, signer dsse.DigestSigner, now func() time.Time) (*Desk, error) {
	for _, d := range []string{dir, filepath.Join(dir, pendingDir)} {
		if err := fs.Sweep("authority.open", d); err != nil {
			return nil, fmt.Errorf("cannot open the authority's desk: %w", err)
		}
	}
	return &Desk{dir: dir, fs: fs, store: store, signer: signer, now: now}, nil
}

// Refusal is what a desk does not do, for people to put right; other errors than
// this and findings are faults of the desk itself.
type Refusal struct{ err error }

func (r *Refusal) Error() string { return r.err.Error() }
func (r *Refusal) Unwrap() error { return r.err }

func refusef(format string, args ...any) error { return &Refusal{fmt.Errorf(format, args...)} }

// refused makes a refusal of an error about a document; findings stay what they
// are.
func refused(err error) error {
	if _, ok := verdict.Find(err); ok || err == nil {
		return err
	}
	return &Refusal{err}
}

// made makes a refusal of an error about a document that is made here: what
// breaks its rules was asked for here, and comes from no medium.
func made(what string, err error) error {
	if f, ok := verdict.Find(err); ok && f.Reason == verdict.ManifestMalformed {
		return refusef("cannot %s: %s: %s", what, f.Where, f.Detail)
	}
	return refused(err)
}

func (d *Desk) root() (*trust.Root, error) {
	if r := d.store.Root(); r != nil {
		return r, nil
	}
	return nil, refusef("this authority has no root yet: 'sallyport authority init' makes it, 'sallyport authority adopt' takes one that was made elsewhere")
}

// Found makes the first root of a new authority from the keys of its holders and
// pins it here. bootKey is the id of the key in a TPM that approves boot states,
// or "" for none.
func (d *Desk) Found(threshold int, bootKey string, keys []trust.RootKey) (*trust.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := trust.NewRoot(1, threshold, bootKey, keys...)
	if err != nil {
		return nil, made("make the root", err)
	}
	body, err := r.Encode()
	if err != nil {
		return nil, err
	}
	return r, d.adopt(body)
}

// Adopt pins a root that was made at another desk; the key of this station must
// be one of its keys.
func (d *Desk) Adopt(root []byte) (*trust.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.adopt(root); err != nil {
		return nil, err
	}
	return d.store.Root(), nil
}

func (d *Desk) adopt(root []byte) error {
	r, err := trust.ParseRoot(root)
	if err != nil {
		return err
	}
	if _, ok := r.Key(d.signer.KeyID()); !ok {
		return refusef("cannot use this root: the key of this station (%.16s…) is none of its keys", d.signer.KeyID())
	}
	if d.store.Root() != nil {
		return refusef("cannot use this root: this station has one, which only a rotation follows ('sallyport authority rotate')")
	}
	return d.store.Pin(root)
}

// Challenge checks where the endorsement key of a request comes from, makes the
// challenge and keeps what the answer is compared with. A second challenge for
// one request replaces the first.
func (d *Desk) Challenge(request []byte, ek trust.EK) (*trust.Challenge, *trust.Request, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := trust.DecodeRequest(request)
	if err != nil {
		return nil, nil, err
	}
	if root, err := d.root(); err != nil {
		return nil, nil, err
	} else if err := bound(root, r); err != nil {
		return nil, nil, err
	}
	names, err := d.pendingNames()
	if err != nil {
		return nil, nil, err
	}
	c, p, err := trust.NewChallenge(request, ek)
	if err != nil {
		return nil, nil, err
	}
	if len(names) >= maxPending && !slices.Contains(names, c.Request) {
		return nil, nil, refusef("cannot challenge: %d enrolments are under way already; 'sallyport authority status' lists them", len(names))
	}
	body, err := p.Encode()
	if err != nil {
		return nil, nil, err
	}
	return c, r, d.fs.WriteFile("authority.challenge", d.pendingPath(c.Request), body, 0o600)
}

// bound refuses a station whose signing key this authority could never release
// for use, or that left it unbound although the root has a boot key.
func bound(root *trust.Root, r *trust.Request) error {
	boot, err := root.BootPublic()
	if err != nil {
		return err
	}
	own, err := r.TPM.Boot()
	if err != nil {
		return err
	}
	if r.Role == trust.Authority || boot == nil && own == nil || boot != nil && own != nil && own.Equal(boot) {
		return nil
	}
	return verdict.New(verdict.SignerNotPermitted, "enrolment request: tpm", "its signing key is bound to another boot key than root version %d names: initialise the station with the present root", root.Version)
}

func (d *Desk) pendingPath(request string) string {
	return filepath.Join(d.dir, pendingDir, request+".json")
}

func (d *Desk) pendingNames() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.dir, pendingDir))
	if err != nil {
		return nil, fmt.Errorf("cannot list the enrolments under way: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// pending returns what was kept for an answer.
func (d *Desk) pending(a *trust.Answer) (*trust.Pending, error) {
	data, err := os.ReadFile(d.pendingPath(a.Request)) // 64 digits: trust.DecodeAnswer
	if errors.Is(err, fs.ErrNotExist) {
		return nil, verdict.New(verdict.SignerUnknown, "enrolment answer", "this authority has given out no challenge for request %.16s…, or has admitted it already", a.Request)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read a pending enrolment: %w", err)
	}
	return trust.DecodePending(data)
}

// Admission enrols one station.
type Admission struct {
	Answer    []byte
	Kinds     []manifest.Kind
	Elections []string
	Attested  bool
	// Handover, when it is there, lets the key of the request follow the old one.
	Handover []byte
	// Replace lets the keys of the request take the place of all keys of a station
	// that is enrolled already and cannot hand over; they are revoked from the
	// sequence numbers on that RevokeAfter gives.
	Replace     bool
	RevokeAfter int64
	// Label is what people call the boot state of the request.
	Label string
	// PCRs are the registers of the boot state that evidence must show, besides 7
	// and 11.
	PCRs []uint
}

// Revocation ends a key or a station.
type Revocation struct {
	Station string
	Key     string // id or its beginning; "" for all keys of the station
	After   int64  // the last sequence number that still counts; 0 for none
}

// Alteration changes what a station may do; nil leaves a member as it is.
type Alteration struct {
	Station   string
	Kinds     *[]manifest.Kind
	Elections *[]string
	Attested  *bool
}

// BootApproval approves a boot state in addition to those there are.
type BootApproval struct {
	Measurement []byte
	Label       string
	PCRs        []uint
	// Drop removes older states of the station, such as that of a release with a
	// known hole.
	Drop []string // labels
}

// Changes are what the next bundle changes.
type Changes struct {
	Admit   []Admission
	Revoke  []Revocation
	Alter   []Alteration
	Approve []BootApproval
	Hybrid  *[]manifest.Kind
}

// Draft makes the next bundle, from the last draft or, when that is newer, from
// the installed bundle, and signs it with this station's key. It is complete when
// the root demands no other signature.
func (d *Desk) Draft(ctx context.Context, c Changes) (envelope []byte, complete bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	root, err := d.root()
	if err != nil {
		return nil, false, err
	}
	base, err := d.base(root)
	if err != nil {
		return nil, false, err
	}
	var done []string
	for _, a := range c.Admit {
		request, err := d.admit(ctx, root, &base, a)
		if err != nil {
			return nil, false, err
		}
		done = append(done, request)
	}
	for _, r := range c.Revoke {
		if err := revoke(&base, r); err != nil {
			return nil, false, err
		}
	}
	for _, a := range c.Alter {
		if err := alter(&base, a); err != nil {
			return nil, false, err
		}
	}
	for _, a := range c.Approve {
		if err := d.approve(ctx, root, &base, a); err != nil {
			return nil, false, err
		}
	}
	if c.Hybrid != nil {
		base.Hybrid = *c.Hybrid
	}
	base.Version++
	base.Issued = d.now().UTC().Format(time.RFC3339)
	if envelope, err = trust.Issue(ctx, root, base, d.signer); err != nil {
		return nil, false, made("issue the trust bundle", err)
	}
	if err := d.fs.WriteFile("authority.draft", filepath.Join(d.dir, draftFile), envelope, 0o600); err != nil {
		return nil, false, err
	}
	for _, request := range done { // what was drafted needs no second answer
		if err := d.fs.RemoveAll("authority.admit.pending", d.pendingPath(request)); err != nil {
			return nil, false, err
		}
	}
	return envelope, root.Threshold == 1, nil
}

// base is the bundle to build upon.
func (d *Desk) base(root *trust.Root) (trust.Bundle, error) {
	installed, err := d.store.Current()
	if f, ok := verdict.Find(err); err != nil && (!ok || f.Reason != verdict.TrustMissing) {
		return trust.Bundle{}, err
	}
	b := installed.Bundle()
	data, err := os.ReadFile(filepath.Join(d.dir, draftFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("cannot read the last draft: %w", err)
	}
	draft, err := trust.OpenDraft(data, root)
	if err != nil { // of a root before the last rotation; or damaged, which costs a draft and no more
		return b, nil
	}
	if draft.Bundle.Version > b.Version {
		return draft.Bundle, nil
	}
	return b, nil
}

// Sign adds this station's signature to a draft of a bundle or of a root. A
// station that is to become a holder has no root yet; it is given the present one,
// as people compared it, to sign the next.
func (d *Desk) Sign(ctx context.Context, envelope, present []byte) (signed []byte, complete bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	root, err := d.root()
	if err != nil && present != nil {
		root, err = trust.ParseRoot(present)
	}
	if err != nil {
		return nil, false, err
	}
	// Whoever signs two bundles of one version makes a fork of them possible.
	if draft, derr := trust.OpenDraft(envelope, root); derr == nil {
		if t, terr := d.store.Current(); terr == nil && draft.Bundle.Version <= t.Version() {
			return nil, false, verdict.New(verdict.Superseded, "draft", "is of version %d, and version %d is installed here", draft.Bundle.Version, t.Version())
		}
	}
	return Sign(ctx, envelope, root, d.signer)
}

// Discard forgets the last draft, so that the next one builds upon the installed
// bundle. Stations that it admitted have to answer a challenge again.
func (d *Desk) Discard() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(d.dir, draftFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return refusef("there is no draft on this desk")
	}
	return d.fs.RemoveAll("authority.discard", path)
}

// Sign adds a holder's signature to a draft of a bundle or of a root, and says
// whether it is complete now.
func Sign(ctx context.Context, envelope []byte, root *trust.Root, signer manifest.Signer) (signed []byte, complete bool, err error) {
	if _, notRoot := dsse.Scan(envelope, trust.RootType, trust.MaxRotation); notRoot == nil {
		if signed, err = trust.AddRotationSignature(ctx, envelope, root, signer); err == nil {
			_, err = trust.OpenRotation(signed, root)
		}
	} else if signed, err = trust.AddSignature(ctx, envelope, root, signer); err == nil {
		_, err = trust.Open(signed, root)
	}
	if err != nil && signed == nil {
		return nil, false, refused(err)
	}
	if f, ok := verdict.Find(err); ok && f.Reason == verdict.SignerNotPermitted {
		return signed, false, nil // signatures are still missing
	}
	return signed, err == nil, err
}

// Rotate drafts the next root and signs it with this station's key.
func (d *Desk) Rotate(ctx context.Context, threshold int, bootKey string, keys []trust.RootKey) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	envelope, err := trust.Rotate(ctx, root, trust.Root{Threshold: threshold, BootKey: bootKey, Keys: keys}, d.signer)
	return envelope, made("rotate the root", err)
}

// sign makes the approvals of a boot state for the keys of a station that are
// bound to this station's key, and refuses when there is none though some key is
// bound: the state would let nothing seal.
func (d *Desk) sign(ctx context.Context, root *trust.Root, s *trust.Station, b *trust.BootState) error {
	policy, err := b.Policy()
	if err != nil {
		return err
	}
	keys := s.BootKeys()
	if len(keys) == 0 {
		return nil
	}
	if !slices.Contains(keys, d.signer.KeyID()) {
		where := "nobody in the present root: hand over to a key that is made under it"
		if h := holder(root, keys[0]); h != "" {
			where = h + ": make the draft there, for a new station after a challenge there"
		}
		return refusef("cannot approve a boot state of station %s: its signing key is bound to the boot key %.16s…, which is held by %s", s.ID, keys[0], where)
	}
	sig, err := d.signer.Sign(ctx, attest.ApprovalDigest(policy))
	if err != nil {
		return fmt.Errorf("cannot approve a boot state: %w", err)
	}
	b.Approvals = []trust.BootApproval{{KeyID: d.signer.KeyID(), Sig: sig}}
	return nil
}

func holder(root *trust.Root, id string) string {
	k, _ := root.Key(id)
	return k.Holder
}

func at(b *trust.Bundle, station string) (*trust.Station, error) {
	i := slices.IndexFunc(b.Stations, func(s trust.Station) bool { return s.ID == station })
	if i < 0 {
		return nil, refusef("station %.64q is not enrolled", station)
	}
	return &b.Stations[i], nil
}
