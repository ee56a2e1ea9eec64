package attest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"sallyport/internal/strictjson"
)

// MaxAnchor is the most bytes of an encoded [Anchor].
const MaxAnchor = 4 << 10

// Anchor ties a document to the counter of a station: TPM2_NV_Certify of the
// counter, for the document's SHA-256.
type Anchor struct {
	V          int    `json:"v"` // 1
	Counter    []byte `json:"counter"`
	CounterSig []byte `json:"counter_sig"`
}

// Encode returns the one encoding of an anchor.
func (a *Anchor) Encode() ([]byte, error) { return strictjson.Encode(a) }

// CheckAnchor verifies an encoded anchor of the document with this SHA-256 by
// the TPM of id, and returns the counter's value.
func (id *Identity) CheckAnchor(document [32]byte, data []byte) (counter uint64, err error) {
	var a Anchor
	if err := strictjson.DecodeCanonical(data, &a, MaxAnchor); err != nil {
		return 0, fmt.Errorf("cannot read the anchor: %w", err)
	}
	if a.V != 1 {
		return 0, fmt.Errorf("the anchor has version %d, this program knows 1", a.V)
	}
	return CheckCounter(id.AKPublic, id.CounterPublic, a.Counter, a.CounterSig, document)
}

// MaxAttestation is the most bytes of an encoded [Attestation].
const MaxAttestation = 16 << 10

// Attestation answers a live challenge: the station's last checkpoint, and the
// present value of its counter, for a number that the asker chose. A log that
// was put back stands behind the counter.
type Attestation struct {
	V          int    `json:"v"`          // 1
	Nonce      string `json:"nonce"`      // 16 to 64 bytes in lower-case hexadecimal
	Checkpoint string `json:"checkpoint"` // signed note
	Counter    []byte `json:"counter"`    // TPM2_NV_Certify for Qualifying
	CounterSig []byte `json:"counter_sig"`
}

// Qualifying is the extra data of the attestation's statement.
func (a *Attestation) Qualifying() ([32]byte, error) {
	nonce, err := hex.DecodeString(a.Nonce)
	if err != nil || len(nonce) < 16 || len(nonce) > 64 || hex.EncodeToString(nonce) != a.Nonce {
		return [32]byte{}, fmt.Errorf("the nonce %.140q is not 16 to 64 bytes in lower-case hexadecimal digits", a.Nonce)
	}
	return sha256.Sum256([]byte("sallyport log attestation v1\x00" + a.Nonce + "\x00" + base64.StdEncoding.EncodeToString([]byte(a.Checkpoint)))), nil
}

// Encode returns the one encoding of an attestation.
func (a *Attestation) Encode() ([]byte, error) { return strictjson.Encode(a) }

// DecodeAttestation reads and verifies an attestation by the TPM of id and
// returns it with the counter's value. The checkpoint's signature is for the
// caller to check.
func (id *Identity) DecodeAttestation(data []byte) (*Attestation, uint64, error) {
	var a Attestation
	if err := strictjson.DecodeCanonical(data, &a, MaxAttestation); err != nil {
		return nil, 0, fmt.Errorf("cannot read the attestation: %w", err)
	}
	if a.V != 1 {
		return nil, 0, fmt.Errorf("the attestation has version %d, this program knows 1", a.V)
	}
	q, err := a.Qualifying()
	if err != nil {
		return nil, 0, err
	}
	n, err := CheckCounter(id.AKPublic, id.CounterPublic, a.Counter, a.CounterSig, q)
	return &a, n, err
}
