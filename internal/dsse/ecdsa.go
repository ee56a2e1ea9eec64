package dsse

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// maxDER is the length of the longest DER signature of P-256: two integers of
// 33 bytes, each with a header of two, and the header of the sequence.
const maxDER = 2 + 2*(2+33)

// ErrSignature is returned when a well-formed signature does not belong to the
// digest and the key.
var ErrSignature = errors.New("the signature does not match")

// KeyID returns [PublicKey.KeyID] of an ECDSA key.
func KeyID(pub *ecdsa.PublicKey) (string, error) {
	k, err := NewP256Key(pub)
	return k.KeyID(), err
}

// CheckP256 refuses a key of another curve and a point that is not on the curve.
func CheckP256(pub *ecdsa.PublicKey) error {
	if pub == nil || pub.Curve != elliptic.P256() {
		return errors.New("the key is not an ECDSA key of the curve P-256")
	}
	if _, err := pub.ECDH(); err != nil {
		return fmt.Errorf("cannot use the key: %w", err)
	}
	return nil
}

// VerifyP256 checks an ASN.1 DER signature (RFC 3279 section 2.2.3) over a
// SHA-256 digest. Exactly one encoding of each pair (r, s) is accepted; (r, n-s)
// is a second valid signature of the same digest, as FIPS 186-5 has it, so a
// signature's bytes must never be used as an identity.
func VerifyP256(pub *ecdsa.PublicKey, digest [32]byte, der []byte) error {
	if err := CheckP256(pub); err != nil {
		return err
	}
	if err := checkDER(der); err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(pub, digest[:], der) {
		return ErrSignature
	}
	return nil
}

// checkDER refuses everything but the one DER encoding of integers r and s from
// 1 to n-1. crypto/ecdsa does too; it is said here because the format demands
// it, and because its answer is only yes or no.
func checkDER(der []byte) error {
	if len(der) > maxDER {
		return fmt.Errorf("the signature has %d bytes, ECDSA P-256 has at most %d", len(der), maxDER)
	}
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil {
		return fmt.Errorf("the signature is not ASN.1 DER: %w", err)
	}
	if len(rest) > 0 {
		return fmt.Errorf("the signature is followed by %d bytes", len(rest))
	}
	n := elliptic.P256().Params().N
	for _, v := range []*big.Int{sig.R, sig.S} {
		if v.Sign() <= 0 || v.Cmp(n) >= 0 {
			return errors.New("a number in the signature is outside 1 to n-1")
		}
	}
	return nil
}
