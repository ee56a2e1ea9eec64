package dsse

import (
	"errors"
	"fmt"
)

// SignatureError says which signature of an envelope does not stand, and why.
type SignatureError struct {
	Index int // in the list of signatures, from 0
	KeyID string
	Err   error // [ErrSignature], or how the bytes are no signature of the key's algorithm
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("signature %d, key %s: %v", e.Index+1, e.KeyID, e.Err)
}

func (e *SignatureError) Unwrap() error { return e.Err }

// Verify checks one signature with one key, whose algorithm decides how.
// [VerifyAll] is for whole envelopes.
func Verify(key PublicKey, m *Message, sig []byte) error {
	switch {
	case key.ecdsa != nil:
		return VerifyP256(key.ecdsa, m.Digest(), sig)
	case key.mldsa != nil:
		return verifyMLDSA65(key.mldsa, m, sig)
	}
	return errNoKey
}

// errNoKey is a fault of the caller, never of an envelope.
var errNoKey = errors.New("cannot verify a signature: there is no public key")

// VerifyAll checks that each signature is by the key in the same place. All must
// verify: one that cannot be checked is never carried along. A signature that
// does not stand is a [SignatureError]; any other error means that the keys are
// not those of the signatures, which is the caller's fault.
//
// ECDSA comes first whatever the order of the signatures, because it needs only
// a hash of the payload. ML-DSA needs the payload in memory: nobody gets that far
// who does not hold the private keys of the ECDSA signatures, if there are any.
func VerifyAll(m *Message, sigs []Signature, keys []PublicKey) error {
	if len(sigs) == 0 || len(sigs) != len(keys) {
		return fmt.Errorf("cannot verify %d signatures with %d keys", len(sigs), len(keys))
	}
	for i, s := range sigs {
		if !keys[i].Valid() || keys[i].KeyID() != s.KeyID {
			return fmt.Errorf("cannot verify the signature of key %.64s: the key that was given is %.64s", s.KeyID, keys[i].KeyID())
		}
	}
	for _, alg := range []string{AlgP256, AlgMLDSA65} {
		for i, s := range sigs {
			if keys[i].Alg() != alg {
				continue
			}
			if err := Verify(keys[i], m, s.Sig); err != nil {
				return &SignatureError{i, s.KeyID, err}
			}
		}
	}
	return nil
}
