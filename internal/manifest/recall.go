package manifest

import (
	"crypto/sha256"
	"errors"
)

// Recall reads the payload of an envelope that [Verify] accepted earlier, in
// another run of the program, when its digest was kept: the same digest means
// the same bytes. It judges nothing; an envelope with another payload is an error.
func Recall(envelope []byte, digest [sha256.Size]byte) (*Payload, error) {
	e, err := scanEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	if e.Message().PayloadDigest() != digest {
		return nil, errors.New("the envelope is not the one that was verified: its payload has another digest")
	}
	return parsePayload(e.Payload())
}

// Recheck asks the policy again whether the signers may send this package: trust
// may have changed since [Verify]. The signatures stand. Errors are those of
// the policy.
func (v *Verified) Recheck(pol Policy) error {
	v.mustBeValid()
	keys := make([]Key, len(v.keyIDs))
	for i, id := range v.keyIDs {
		var err error
		if keys[i], err = pol.Key(id); err != nil {
			return err
		}
	}
	return pol.Permit(v.payload, keys)
}
