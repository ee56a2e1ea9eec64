package dsse

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	stdx509 "crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	"filippo.io/mldsa/x509"
)

// The closed list of algorithms. One belongs to the record of an enrolled key,
// never to an envelope.
const (
	// AlgP256 is ECDSA on the curve P-256 over SHA-256 (FIPS 186-5).
	AlgP256 = "ecdsa-p256-sha256"
	// AlgMLDSA65 is pure ML-DSA-65 with an empty context (FIPS 204 section 5).
	AlgMLDSA65 = "ml-dsa-65"
)

// MaxKeyBytes is the length of the longest SubjectPublicKeyInfo, that of
// ML-DSA-65.
const MaxKeyBytes = mldsaKeyHead + mldsa.MLDSA65PublicKeySize

const (
	p256KeyBytes = 91 // RFC 5480, uncompressed point
	mldsaKeyHead = 22 // RFC 9881: all before the key's own bytes
)

// PublicKey is a key of one of the algorithms, in its one encoding. Only
// [ParsePublicKey], [NewP256Key] and [NewMLDSA65Key] make one; the zero value is
// not [PublicKey.Valid], verifies nothing and has no id.
type PublicKey struct {
	alg   string
	id    string
	spki  string // a string, so that copies of a key cannot change each other
	ecdsa *ecdsa.PublicKey
	mldsa *mldsa.PublicKey
}

// ParsePublicKey reads a SubjectPublicKeyInfo of this algorithm in its one DER
// encoding: ECDSA with the named curve P-256 and an uncompressed point (RFC
// 5480), or ML-DSA-65 without parameters (RFC 9881). The algorithm must be the
// one that the record of the key states; nothing is guessed from the bytes.
func ParsePublicKey(alg string, spki []byte) (PublicKey, error) {
	var want int
	switch alg {
	case AlgP256:
		want = p256KeyBytes
	case AlgMLDSA65:
		want = MaxKeyBytes
	default:
		return PublicKey{}, fmt.Errorf("the algorithm is %.40q, this version of Sallyport knows only %s and %s", alg, AlgP256, AlgMLDSA65)
	}
	if len(spki) != want {
		return PublicKey{}, fmt.Errorf("the public key has %d bytes, one of %s has %d", len(spki), alg, want)
	}
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return PublicKey{}, fmt.Errorf("cannot read the public key: %w", err)
	}
	k := PublicKey{alg: alg, spki: string(spki)}
	switch pub := parsed.(type) {
	case *ecdsa.PublicKey:
		k.ecdsa = pub
		err = CheckP256(pub)
	case *mldsa.PublicKey:
		k.mldsa = pub
		err = checkMLDSA65(pub)
	}
	if err != nil {
		return PublicKey{}, err
	}
	if (k.ecdsa != nil) != (alg == AlgP256) || (k.mldsa != nil) != (alg == AlgMLDSA65) {
		return PublicKey{}, fmt.Errorf("the public key is not one of %s", alg)
	}
	if again, err := x509.MarshalPKIXPublicKey(parsed); err != nil || !bytes.Equal(again, spki) {
		return PublicKey{}, errors.New("the public key is not in its one encoding")
	}
	sum := sha256.Sum256(spki)
	k.id = hex.EncodeToString(sum[:])
	return k, nil
}

// NewP256Key takes an ECDSA key, which it copies. It refuses other curves and
// points that are not on the curve.
func NewP256Key(pub *ecdsa.PublicKey) (PublicKey, error) {
	if err := CheckP256(pub); err != nil {
		return PublicKey{}, err
	}
	der, err := stdx509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return PublicKey{}, fmt.Errorf("cannot encode the public key: %w", err)
	}
	return ParsePublicKey(AlgP256, der)
}

// NewMLDSA65Key takes an ML-DSA key. It refuses other parameter sets.
func NewMLDSA65Key(pub *mldsa.PublicKey) (PublicKey, error) {
	if err := checkMLDSA65(pub); err != nil {
		return PublicKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return PublicKey{}, fmt.Errorf("cannot encode the public key: %w", err)
	}
	return ParsePublicKey(AlgMLDSA65, der)
}

// Valid says that k is a key.
func (k PublicKey) Valid() bool { return k.ecdsa != nil || k.mldsa != nil }

// Alg returns [AlgP256] or [AlgMLDSA65], or "" when k is not valid.
func (k PublicKey) Alg() string { return k.alg }

// KeyID returns the id under which the key is enrolled: SHA-256 of
// [PublicKey.SPKI] in lower-case hexadecimal, or "" when k is not valid.
func (k PublicKey) KeyID() string { return k.id }

// SPKI returns the DER SubjectPublicKeyInfo, or nil when k is not valid.
func (k PublicKey) SPKI() []byte {
	if !k.Valid() {
		return nil
	}
	return []byte(k.spki)
}

// ECDSA returns the key, which must not be changed, and true when it is one of
// [AlgP256].
func (k PublicKey) ECDSA() (*ecdsa.PublicKey, bool) { return k.ecdsa, k.ecdsa != nil }
