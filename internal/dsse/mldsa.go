package dsse

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/mldsa"
)

// checkMLDSA65 refuses a key of another parameter set.
func checkMLDSA65(pub *mldsa.PublicKey) error {
	// The library panics when it is asked for the parameters of a zero key.
	if pub == nil || *pub == (mldsa.PublicKey{}) || pub.Parameters() != mldsa.MLDSA65() {
		return errors.New("the key is not an ML-DSA-65 key")
	}
	return nil
}

// checkMLDSA65Length refuses signatures of another length, such as those of the
// other parameter sets.
func checkMLDSA65Length(sig []byte) error {
	if len(sig) != mldsa.MLDSA65SignatureSize {
		return fmt.Errorf("the signature has %d bytes, ML-DSA-65 has exactly %d", len(sig), mldsa.MLDSA65SignatureSize)
	}
	return nil
}

// verifyMLDSA65 checks a pure ML-DSA-65 signature with an empty context over the
// message itself (FIPS 204 algorithm 3), as standard tools make and check them.
func verifyMLDSA65(pub *mldsa.PublicKey, m *Message, sig []byte) error {
	if err := checkMLDSA65Length(sig); err != nil {
		return err
	}
	// The key is good and the length too: what is left is a signature that does
	// not match, or hints that are not in their one encoding.
	if err := mldsa.Verify(pub, m.PAE(), sig, nil); err != nil {
		return ErrSignature
	}
	return nil
}

// MLDSASigner signs with an ML-DSA-65 key that it holds in memory: a TPM of
// today has none. It is a [MessageSigner].
type MLDSASigner struct {
	private *mldsa.PrivateKey
	public  PublicKey
}

// NewMLDSASigner makes the key of a seed of 32 bytes (FIPS 204 algorithm 1, ξ).
// The seed is the private key: the caller wipes his copy.
func NewMLDSASigner(seed []byte) (*MLDSASigner, error) {
	private, err := mldsa.NewPrivateKey(mldsa.MLDSA65(), seed)
	if err != nil {
		return nil, fmt.Errorf("cannot make an ML-DSA-65 key of a seed of %d bytes, want %d: %w", len(seed), mldsa.PrivateKeySize, err)
	}
	public, err := NewMLDSA65Key(private.PublicKey())
	if err != nil {
		return nil, fmt.Errorf("cannot make an ML-DSA-65 key: %w", err)
	}
	return &MLDSASigner{private, public}, nil
}

// PublicKey returns the public key.
func (s *MLDSASigner) PublicKey() PublicKey { return s.public }

// KeyID returns the id of the public key.
func (s *MLDSASigner) KeyID() string { return s.public.KeyID() }

// SignMessage makes a hedged signature (FIPS 204 section 3.4): fresh randomness
// goes into it, so that a fault while signing tells less of the key, and two
// signatures of one message differ. It was verified, because a fault could also
// have given one that does not match.
func (s *MLDSASigner) SignMessage(ctx context.Context, m *Message) ([]byte, error) {
	if s == nil || s.private == nil {
		return nil, errors.New("cannot sign with ML-DSA-65: there is no key")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sig, err := s.private.Sign(nil, m.PAE(), nil)
	if err != nil {
		return nil, fmt.Errorf("cannot sign with ML-DSA-65: %w", err)
	}
	if err := Verify(s.public, m, sig); err != nil {
		return nil, fmt.Errorf("cannot use the ML-DSA-65 signature that was just made: %w", err)
	}
	return sig, nil
}
