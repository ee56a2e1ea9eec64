package attest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"sallyport/internal/dsse"
	"sallyport/internal/strictjson"

	"github.com/google/go-tpm/tpm2"
)

// MaxIdentity is the most bytes of an encoded [Identity].
const MaxIdentity = 8 << 10

// Identity is the public description of a station's TPM identity, as the TPM
// made it: FORMAT.md in package tpm. Public areas are in the TPM's own
// encoding (TPMT_PUBLIC, TPMS_NV_PUBLIC), without a length in front. Nothing
// in it is secret. It is worth nothing until [Identity.Check] returns nil.
type Identity struct {
	V                 int    `json:"v"` // 1
	KeyID             string `json:"key_id"`
	EKPublic          []byte `json:"ek_public"`
	AKPublic          []byte `json:"ak_public"`
	SigningPublic     []byte `json:"signing_public"`
	Counter           uint32 `json:"counter"` // NV index
	CounterPublic     []byte `json:"counter_public"`
	CounterStart      int64  `json:"counter_start"` // value when the identity was made
	SigningCertify    []byte `json:"signing_certify"`
	SigningCertifySig []byte `json:"signing_certify_sig"`
}

// Qualifying is the extra data of the certification of the signing key: it
// binds the endorsement key, the counter and its first value to the statement,
// so that no part of an identity can be exchanged for that of another.
func (id *Identity) Qualifying() [32]byte {
	h := sha256.New()
	h.Write([]byte("sallyport tpm identity v1\x00"))
	for _, part := range [][]byte{id.EKPublic, id.AKPublic, id.SigningPublic, id.CounterPublic} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(id.CounterStart)))
	return [32]byte(h.Sum(nil))
}

// Check verifies the whole identity and returns the station's public key.
func (id *Identity) Check() (*ecdsa.PublicKey, error) {
	if id.V != 1 {
		return nil, fmt.Errorf("the TPM identity has version %d, this program knows 1", id.V)
	}
	key, err := SigningKey(id.SigningPublic)
	if err != nil {
		return nil, err
	}
	keyID, err := dsse.KeyID(key)
	if err != nil {
		return nil, err
	}
	if keyID != id.KeyID {
		return nil, fmt.Errorf("key_id is %q, but the signing key's is %s", id.KeyID, keyID)
	}
	if _, err := parse[tpm2.TPMTPublic]("endorsement key", id.EKPublic); err != nil {
		return nil, err
	}
	index, err := counter(id.CounterPublic)
	if err != nil {
		return nil, err
	}
	if index != id.Counter {
		return nil, fmt.Errorf("counter is %#08x, but its public area names %#08x", id.Counter, index)
	}
	if id.CounterStart < 1 {
		return nil, errors.New("counter_start is not positive")
	}
	if err := certified(id.AKPublic, id.SigningPublic, id.SigningCertify, id.SigningCertifySig, id.Qualifying()); err != nil {
		return nil, err
	}
	return key, nil
}

// Encode checks the identity and returns its one encoding.
func (id *Identity) Encode() ([]byte, error) {
	if _, err := id.Check(); err != nil {
		return nil, fmt.Errorf("cannot encode the TPM identity: %w", err)
	}
	return strictjson.Encode(id)
}

// DecodeIdentity reads and checks the one encoding of an identity.
func DecodeIdentity(data []byte) (*Identity, error) {
	var id Identity
	if err := strictjson.DecodeCanonical(data, &id, MaxIdentity); err != nil {
		return nil, fmt.Errorf("cannot read the TPM identity: %w", err)
	}
	if _, err := id.Check(); err != nil {
		return nil, fmt.Errorf("cannot accept the TPM identity: %w", err)
	}
	return &id, nil
}
