package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/dsse"
	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

// signed is a document of the authority as it stands in an envelope: what it is
// called, its payload type and its bounds.
type signed struct {
	what string
	kind string // payload type
	most int64  // bytes of an envelope
}

// parse reads the envelope and believes nothing in it.
func (d signed) parse(envelope []byte) (*dsse.Envelope, error) {
	e, err := dsse.Parse(envelope, d.kind, d.most)
	var over *limit.Exceeded
	if errors.As(err, &over) {
		return nil, verdict.New(verdict.OverLimit, d.what, "has %d bytes, at most %d are allowed", over.Asked, over.Limit)
	}
	if err != nil {
		return nil, malformed(d.what, "%v", err)
	}
	return e, nil
}

// verify checks the envelope and all its signatures, each by one of keys, and
// returns it. A signature that cannot be checked is never carried along.
func (d signed) verify(envelope []byte, keys map[string]dsse.PublicKey) (*dsse.Envelope, error) {
	e, err := d.parse(envelope)
	if err != nil {
		return nil, err
	}
	for _, s := range e.Signatures {
		if !keys[s.KeyID].Valid() {
			return nil, verdict.New(verdict.SignerUnknown, d.what, "the key %s is none of the authority's keys", s.KeyID)
		}
	}
	for _, s := range e.Signatures {
		if err := dsse.Verify(keys[s.KeyID], e.Message(), s.Sig); err != nil {
			return nil, verdict.New(verdict.SignatureInvalid, d.what, "key %s: %v", s.KeyID, err)
		}
	}
	return e, nil
}

// sign adds signatures by keys of the authority.
func (d signed) sign(ctx context.Context, e *dsse.Envelope, keys map[string]dsse.PublicKey, signers []manifest.Signer) ([]byte, error) {
	for _, s := range signers {
		if !keys[s.KeyID()].Valid() {
			return nil, fmt.Errorf("cannot sign the %s: the key %.64s is none of the authority's keys", d.what, s.KeyID())
		}
		if slices.ContainsFunc(e.Signatures, func(have dsse.Signature) bool { return have.KeyID == s.KeyID() }) {
			return nil, fmt.Errorf("cannot sign the %s: the key %.64s has signed it already", d.what, s.KeyID())
		}
	}
	if err := e.Sign(ctx, signers...); err != nil {
		return nil, fmt.Errorf("cannot sign the %s: %w", d.what, err)
	}
	data, err := e.Encode()
	if err != nil {
		return nil, fmt.Errorf("cannot sign the %s: %w", d.what, err)
	}
	if int64(len(data)) > d.most {
		return nil, fmt.Errorf("cannot sign the %s: it has %d bytes, at most %d are allowed", d.what, len(data), d.most)
	}
	return data, nil
}

// by counts the signatures by keys of r.
func by(e *dsse.Envelope, r *Root) int {
	n := 0
	for _, s := range e.Signatures {
		if _, ok := r.Key(s.KeyID); ok {
			n++
		}
	}
	return n
}
