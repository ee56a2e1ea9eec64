package trust

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// Trusted is a bundle that [Open] accepted. Nothing else makes one: the zero
// value is not [Trusted.Valid] and its policy refuses everything.
type Trusted struct {
	bundle *Bundle
	digest [32]byte
	keys   map[string]enrolled
}

// enrolled is one key with its place in the bundle.
type enrolled struct {
	station *Station
	key     *Key
	parsed  manifest.Key
}

// Valid says that t comes from [Open].
func (t *Trusted) Valid() bool { return t != nil && t.bundle != nil }

// Version returns the bundle's version, the trust epoch, or 0 when t is not valid.
func (t *Trusted) Version() int64 {
	if !t.Valid() {
		return 0
	}
	return t.bundle.Version
}

// Issued returns when the bundle says that it was issued, or "".
func (t *Trusted) Issued() string {
	if !t.Valid() {
		return ""
	}
	return t.bundle.Issued
}

// Digest returns SHA-256 of the bundle's payload: two envelopes of one payload
// are one bundle. It panics when t is not valid.
func (t *Trusted) Digest() [32]byte {
	if !t.Valid() {
		panic("trust: a Trusted was used that does not come from Open")
	}
	return t.digest
}

// Stations returns a copy of the enrolled stations, none when t is not valid.
func (t *Trusted) Stations() []Station {
	if !t.Valid() {
		return nil
	}
	return cloneStations(t.bundle.Stations)
}

// Hybrid returns the kinds that need ML-DSA-65 beside ECDSA.
func (t *Trusted) Hybrid() []manifest.Kind {
	if !t.Valid() {
		return nil
	}
	return slices.Clone(t.bundle.Hybrid)
}

// Bundle returns a copy of the bundle, to make the next one of; the zero value
// when t is not valid.
func (t *Trusted) Bundle() Bundle {
	if !t.Valid() {
		return Bundle{}
	}
	b := *t.bundle
	b.Hybrid, b.Stations = t.Hybrid(), t.Stations()
	return b
}

// RootVersion returns the version of the root whose keys signed, or 0.
func (t *Trusted) RootVersion() int64 {
	if !t.Valid() {
		return 0
	}
	return t.bundle.RootVersion
}

// Approvals returns what lets the TPM of a station use the signing key of this id.
func (t *Trusted) Approvals(keyID string) []attest.Approval {
	if !t.Valid() {
		return nil
	}
	e, ok := t.keys[keyID]
	if !ok {
		return nil
	}
	var out []attest.Approval
	boot := e.key.bootKeyID()
	for i := range e.station.Boot {
		b := &e.station.Boot[i]
		policy, err := b.Policy()
		if err != nil { // cannot be: the bundle was checked
			continue
		}
		for _, a := range b.Approvals {
			if a.KeyID == boot {
				out = append(out, attest.Approval{Policy: policy, Sig: a.Sig})
			}
		}
	}
	return out
}

func cloneStations(list []Station) []Station {
	out := slices.Clone(list)
	for i := range out {
		s := &out[i]
		s.Kinds, s.Elections, s.Keys, s.Boot = slices.Clone(s.Kinds), slices.Clone(s.Elections), slices.Clone(s.Keys), slices.Clone(s.Boot)
		for j := range s.Keys {
			if r := s.Keys[j].RevokedAfterSeq; r != nil {
				n := *r
				s.Keys[j].RevokedAfterSeq = &n
			}
		}
		for j := range s.Boot {
			s.Boot[j].PCRs, s.Boot[j].Approvals = slices.Clone(s.Boot[j].PCRs), slices.Clone(s.Boot[j].Approvals)
		}
	}
	return out
}

var bundleDocument = signed{"trust bundle", PayloadType, MaxEnvelope}

// Open is the only way to a [Trusted]: it demands that every signature of the
// envelope is by a key of root and verifies, and that there are at least
// root.Threshold of them, before it looks at the bundle at all. Errors are
// findings. It knows nothing of versions seen before: see [Store].
func Open(envelope []byte, root *Root) (*Trusted, error) { return open(envelope, root, false) }

// OpenDraft is [Open] for a bundle that still lacks signatures: what a holder is
// shown before he adds his. It must never be installed or asked for a policy.
func OpenDraft(envelope []byte, root *Root) (*Draft, error) {
	t, err := open(envelope, root, true)
	if err != nil {
		return nil, err
	}
	e, err := dsse.Parse(envelope, PayloadType, MaxEnvelope)
	if err != nil {
		return nil, malformed("trust bundle", "%v", err)
	}
	return &Draft{Bundle: Bundle{V: 2, Version: t.Version(), RootVersion: root.Version, Issued: t.Issued(), Hybrid: t.Hybrid(), Stations: t.Stations()}, Signed: signers(e)}, nil
}

// Draft is a bundle on its way from holder to holder.
type Draft struct {
	Bundle Bundle
	Signed []string // ids of the keys that signed
}

func signers(e *dsse.Envelope) []string {
	var ids []string
	for _, s := range e.Signatures {
		ids = append(ids, s.KeyID)
	}
	return ids
}

func open(envelope []byte, root *Root, draft bool) (*Trusted, error) {
	roots, err := root.keys()
	if err != nil {
		return nil, err
	}
	e, err := bundleDocument.verify(envelope, roots)
	if err != nil {
		return nil, err
	}
	if n := len(e.Signatures); n < root.Threshold && !draft {
		return nil, verdict.New(verdict.SignerNotPermitted, "trust bundle", "%d of the authority's keys signed, %d must", n, root.Threshold)
	}
	b, keys, err := decode(e.Payload, root)
	if err != nil {
		return nil, err
	}
	return &Trusted{bundle: b, digest: sha256.Sum256(e.Payload), keys: keys}, nil
}

func decode(payload []byte, root *Root) (*Bundle, map[string]enrolled, error) {
	var b Bundle
	if err := strictjson.DecodeCanonical(payload, &b, MaxEnvelope); err != nil {
		return nil, nil, malformed("trust bundle", "%v", err)
	}
	keys, err := b.check()
	if err != nil {
		return nil, nil, err
	}
	if b.RootVersion != root.Version {
		return nil, nil, verdict.New(verdict.SignerNotPermitted, "trust bundle: root_version", "is %d, this station has root version %d", b.RootVersion, root.Version)
	}
	return &b, keys, nil
}

// Issue signs a bundle with keys of root, fewer than the threshold allowed: the
// other authorities add theirs with [AddSignature]. It sorts what must be
// sorted, sets V and RootVersion, and refuses kinds that a station's role does
// not allow, which [Open] lets pass and the policy denies.
func Issue(ctx context.Context, root *Root, b Bundle, signers ...manifest.Signer) ([]byte, error) {
	roots, err := root.keys()
	if err != nil {
		return nil, fmt.Errorf("cannot issue the trust bundle: %w", err)
	}
	b.V, b.RootVersion = 2, root.Version
	b.Hybrid = slices.Sorted(slices.Values(b.Hybrid))
	b.Stations = cloneStations(b.Stations)
	for i := range b.Stations {
		s := &b.Stations[i]
		slices.Sort(s.Kinds)
		slices.Sort(s.Elections)
		slices.SortFunc(s.Keys, func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
		for _, k := range s.Kinds {
			if !Allowed(s.Role, k) {
				return nil, fmt.Errorf("cannot issue the trust bundle: station %s has the role %s, which never seals the kind %q", s.ID, s.Role, k)
			}
		}
	}
	slices.SortFunc(b.Stations, func(a, b Station) int { return strings.Compare(a.ID, b.ID) })
	if _, err := b.check(); err != nil {
		return nil, fmt.Errorf("cannot issue the trust bundle: %w", err)
	}
	payload, err := strictjson.Encode(&b)
	if err != nil {
		return nil, fmt.Errorf("cannot issue the trust bundle: %w", err)
	}
	return bundleDocument.sign(ctx, &dsse.Envelope{Payload: payload, PayloadType: PayloadType}, roots, signers)
}

// AddSignature adds signatures to a bundle whose present signatures verify. The
// caller shows people what they sign: the bundle is checked as in [Open].
func AddSignature(ctx context.Context, envelope []byte, root *Root, signers ...manifest.Signer) ([]byte, error) {
	roots, err := root.keys()
	if err != nil {
		return nil, fmt.Errorf("cannot sign the trust bundle: %w", err)
	}
	e, err := bundleDocument.verify(envelope, roots)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the trust bundle: %w", err)
	}
	if _, _, err := decode(e.Payload, root); err != nil {
		return nil, fmt.Errorf("cannot sign the trust bundle: %w", err)
	}
	return bundleDocument.sign(ctx, e, roots, signers)
}
