package trust

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
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
	out := slices.Clone(t.bundle.Stations)
	for i := range out {
		s := &out[i]
		s.Kinds, s.Elections, s.Keys = slices.Clone(s.Kinds), slices.Clone(s.Elections), slices.Clone(s.Keys)
		for j := range s.Keys {
			if r := s.Keys[j].RevokedAfterSeq; r != nil {
				n := *r
				s.Keys[j].RevokedAfterSeq = &n
			}
		}
	}
	return out
}

// Open is the only way to a [Trusted]: it demands that every signature of the
// envelope is by a key of root and verifies, and that there are at least
// root.Threshold of them, before it looks at the bundle at all. Errors are
// findings. It knows nothing of versions seen before: see [Store].
func Open(envelope []byte, root *Root) (*Trusted, error) {
	e, signatures, err := verify(envelope, root)
	if err != nil {
		return nil, err
	}
	if signatures < root.Threshold {
		return nil, verdict.New(verdict.SignerNotPermitted, "trust bundle", "%d of the authority's keys signed, %d must", signatures, root.Threshold)
	}
	b, err := decode(e.Payload, root)
	if err != nil {
		return nil, err
	}
	t := &Trusted{bundle: b, digest: sha256.Sum256(e.Payload), keys: map[string]enrolled{}}
	for i := range b.Stations {
		s := &b.Stations[i]
		for j := range s.Keys {
			k := &s.Keys[j]
			pub, err := parseKey("trust bundle", k.ID, k.Alg, k.Public)
			if err != nil {
				return nil, err
			}
			public, err := dsse.NewP256Key(pub)
			if err != nil {
				return nil, malformed("trust bundle", "%v", err)
			}
			t.keys[k.ID] = enrolled{s, k, manifest.Key{Public: public, StationID: s.ID, Role: string(s.Role)}}
		}
	}
	return t, nil
}

// verify checks the envelope and all its signatures, and counts them.
func verify(envelope []byte, root *Root) (*dsse.Envelope, int, error) {
	keys, err := root.keys()
	if err != nil {
		return nil, 0, err
	}
	e, err := dsse.Parse(envelope, PayloadType, MaxEnvelope)
	var over *limit.Exceeded
	if errors.As(err, &over) {
		return nil, 0, verdict.New(verdict.OverLimit, "trust bundle", "has %d bytes, at most %d are allowed", over.Asked, over.Limit)
	}
	if err != nil {
		return nil, 0, malformed("trust bundle", "%v", err)
	}
	for _, s := range e.Signatures {
		if keys[s.KeyID] == nil {
			return nil, 0, verdict.New(verdict.SignerUnknown, "trust bundle", "the key %s is none of the authority's keys (root version %d)", s.KeyID, root.Version)
		}
	}
	for _, s := range e.Signatures {
		if err := dsse.VerifyP256(keys[s.KeyID], e.Digest(), s.Sig); err != nil {
			return nil, 0, verdict.New(verdict.SignatureInvalid, "trust bundle", "key %s: %v", s.KeyID, err)
		}
	}
	return e, len(e.Signatures), nil
}

func decode(payload []byte, root *Root) (*Bundle, error) {
	var b Bundle
	if err := strictjson.DecodeCanonical(payload, &b, MaxEnvelope); err != nil {
		return nil, malformed("trust bundle", "%v", err)
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	if b.RootVersion != root.Version {
		return nil, verdict.New(verdict.SignerNotPermitted, "trust bundle: root_version", "is %d, this station has pinned root version %d", b.RootVersion, root.Version)
	}
	return &b, nil
}

// Issue signs a bundle with keys of root, fewer than the threshold allowed: the
// other authorities add theirs with [AddSignature]. It sorts what must be
// sorted, sets V and RootVersion, and refuses kinds that a station's role does
// not allow, which [Open] lets pass and the policy denies.
func Issue(ctx context.Context, root *Root, b Bundle, signers ...manifest.Signer) ([]byte, error) {
	b.V, b.RootVersion = 1, root.Version
	b.Stations = slices.Clone(b.Stations)
	for i := range b.Stations {
		s := &b.Stations[i]
		s.Kinds, s.Elections, s.Keys = slices.Clone(s.Kinds), slices.Clone(s.Elections), slices.Clone(s.Keys)
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
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("cannot issue the trust bundle: %w", err)
	}
	payload, err := strictjson.Encode(&b)
	if err != nil {
		return nil, fmt.Errorf("cannot issue the trust bundle: %w", err)
	}
	return sign(ctx, root, &dsse.Envelope{Payload: payload, PayloadType: PayloadType}, signers)
}

// AddSignature adds signatures to a bundle whose present signatures verify. The
// caller shows people what they sign: the bundle is checked as in [Open].
func AddSignature(ctx context.Context, envelope []byte, root *Root, signers ...manifest.Signer) ([]byte, error) {
	e, _, err := verify(envelope, root)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the trust bundle: %w", err)
	}
	if _, err := decode(e.Payload, root); err != nil {
		return nil, fmt.Errorf("cannot sign the trust bundle: %w", err)
	}
	return sign(ctx, root, e, signers)
}

func sign(ctx context.Context, root *Root, e *dsse.Envelope, signers []manifest.Signer) ([]byte, error) {
	keys, err := root.keys()
	if err != nil {
		return nil, fmt.Errorf("cannot sign the trust bundle: %w", err)
	}
	for _, s := range signers {
		if keys[s.KeyID()] == nil {
			return nil, fmt.Errorf("cannot sign the trust bundle: the key %.64s is none of the authority's keys", s.KeyID())
		}
	}
	if err := e.Sign(ctx, signers...); err != nil {
		return nil, fmt.Errorf("cannot sign the trust bundle: %w", err)
	}
	data, err := e.Encode()
	if err != nil {
		return nil, fmt.Errorf("cannot sign the trust bundle: %w", err)
	}
	if len(data) > MaxEnvelope {
		return nil, fmt.Errorf("cannot sign the trust bundle: it has %d bytes, at most %d are allowed", len(data), MaxEnvelope)
	}
	return data, nil
}
