package trust

import (
	"context"
	"fmt"
	"maps"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// RootType is the payload type of a rotation's envelope.
const RootType = "application/vnd.sallyport.trust-root.v2+json"

// MaxRotation is the most bytes of a rotation's envelope.
const MaxRotation = 2 * MaxRoot

var rotation = signed{"trust root", RootType, MaxRotation}

// Rotate signs the root that follows old, with keys of either; others add theirs
// with [AddRotationSignature]. It sets the version and refuses a rotation that
// could never be complete: an envelope holds at most [dsse.MaxSignatures].
func Rotate(ctx context.Context, old *Root, next Root, signers ...manifest.Signer) ([]byte, error) {
	if _, err := old.keys(); err != nil {
		return nil, fmt.Errorf("cannot rotate the root: %w", err)
	}
	made, err := NewRoot(old.Version+1, next.Threshold, next.BootKey, next.Keys...)
	if err != nil {
		return nil, err
	}
	keys, err := bothKeys(old, made)
	if err != nil {
		return nil, err
	}
	shared := 0
	for _, k := range made.Keys {
		if _, ok := old.Key(k.ID); ok {
			shared++
		}
	}
	// At best every shared key counts for both.
	if need := old.Threshold + made.Threshold - min(shared, old.Threshold, made.Threshold); need > dsse.MaxSignatures {
		return nil, fmt.Errorf("cannot rotate the root: %d signatures would be needed and %d fit: change fewer keys at a time", need, dsse.MaxSignatures)
	}
	payload, err := strictjson.Encode(made)
	if err != nil {
		return nil, fmt.Errorf("cannot rotate the root: %w", err)
	}
	return rotation.sign(ctx, &dsse.Envelope{Payload: payload, PayloadType: RootType}, keys, signers)
}

// AddRotationSignature adds signatures to a rotation whose present ones verify.
func AddRotationSignature(ctx context.Context, envelope []byte, old *Root, signers ...manifest.Signer) ([]byte, error) {
	next, e, err := readRotation(envelope, old, true)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the trust root: %w", err)
	}
	keys, err := bothKeys(old, next)
	if err != nil {
		return nil, err
	}
	return rotation.sign(ctx, e, keys, signers)
}

// OpenRotation verifies the root that follows old: signed by old.Threshold keys
// of old and by enough keys of itself, as The Update Framework has it
// (specification 1.0, 5.3). Errors are findings.
func OpenRotation(envelope []byte, old *Root) (*Root, error) {
	next, e, err := readRotation(envelope, old, false)
	if err != nil {
		return nil, err
	}
	if n := by(e, next); n < next.Threshold {
		return nil, verdict.New(verdict.SignerNotPermitted, "trust root", "%d of the keys of the next root signed it, %d must", n, next.Threshold)
	}
	return next, nil
}

// OpenRotationDraft is [OpenRotation] for a root that still lacks signatures:
// what a holder is shown before he adds his, with the ids of the keys that
// signed. It must never be installed.
func OpenRotationDraft(envelope []byte, old *Root) (*Root, []string, error) {
	next, e, err := readRotation(envelope, old, true)
	if err != nil {
		return nil, nil, err
	}
	return next, signers(e), nil
}

// readRotation verifies the signatures that are there, at least old.Threshold of
// them by keys of old, or one in a draft: only then is the payload read, in which
// the other half of the keys stands.
func readRotation(envelope []byte, old *Root, draft bool) (*Root, *dsse.Envelope, error) {
	keys, err := old.keys()
	if err != nil {
		return nil, nil, err
	}
	e, err := rotation.parse(envelope)
	if err != nil {
		return nil, nil, err
	}
	need := old.Threshold
	if draft {
		need = 1
	}
	if n := by(e, old); n < need {
		return nil, nil, verdict.New(verdict.SignerNotPermitted, "trust root", "%d keys of root version %d signed the next root, %d must", n, old.Version, need)
	}
	for _, s := range e.Signatures {
		if _, ok := old.Key(s.KeyID); !ok {
			continue
		}
		if err := dsse.Verify(keys[s.KeyID], e.Message(), s.Sig); err != nil {
			return nil, nil, verdict.New(verdict.SignatureInvalid, "trust root", "key %s: %v", s.KeyID, err)
		}
	}
	next, err := ParseRoot(e.Payload)
	if err != nil {
		return nil, nil, err
	}
	if keys, err = bothKeys(old, next); err != nil {
		return nil, nil, err
	}
	if e, err = rotation.verify(envelope, keys); err != nil {
		return nil, nil, err
	}
	switch {
	case next.Version <= old.Version:
		return nil, nil, verdict.New(verdict.Superseded, "trust root", "has version %d, this station had version %d already", next.Version, old.Version)
	case next.Version > old.Version+1:
		return nil, nil, verdict.New(verdict.SequenceGap, "trust root", "has version %d; version %d must come first", next.Version, old.Version+1)
	}
	return next, e, nil
}

func bothKeys(old, next *Root) (map[string]dsse.PublicKey, error) {
	keys, err := old.keys()
	if err != nil {
		return nil, err
	}
	more, err := next.keys()
	if err != nil {
		return nil, err
	}
	maps.Copy(keys, more)
	return keys, nil
}

// SignerType is the payload type of a signer record.
const SignerType = "application/vnd.sallyport.authority-signer.v1+json"

// MaxSigner is the most bytes of a signer record.
const MaxSigner = 32 << 10

var signerRecord = signed{"signer record", SignerType, MaxSigner}

// NewSignerRecord is what a holder gives to whoever makes the root: the key,
// signed by itself, so that nobody can claim a key that is not his.
func NewSignerRecord(ctx context.Context, k RootKey, s manifest.Signer) ([]byte, error) {
	pub, err := k.check("signer record")
	if err != nil {
		return nil, fmt.Errorf("cannot make the signer record: %w", err)
	}
	payload, err := strictjson.Encode(&k)
	if err != nil {
		return nil, fmt.Errorf("cannot make the signer record: %w", err)
	}
	return signerRecord.sign(ctx, &dsse.Envelope{Payload: payload, PayloadType: SignerType}, map[string]dsse.PublicKey{k.ID: pub}, []manifest.Signer{s})
}

// DecodeSignerRecord verifies a signer record. Errors are findings.
func DecodeSignerRecord(envelope []byte) (RootKey, error) {
	var k RootKey
	e, err := signerRecord.parse(envelope)
	if err != nil {
		return k, err
	}
	if err := strictjson.DecodeCanonical(e.Payload, &k, MaxSigner); err != nil {
		return k, malformed("signer record", "%v", err)
	}
	pub, err := k.check("signer record")
	if err != nil {
		return RootKey{}, err
	}
	if _, err := signerRecord.verify(envelope, map[string]dsse.PublicKey{k.ID: pub}); err != nil {
		return RootKey{}, err
	}
	return k, nil
}
