package tpmtest

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
)

// Activate opens a credential as TPM2_ActivateCredential does (Part 1, 24): with
// the endorsement key, and only when it was made for the attestation key.
func (s *Soft) Activate(credential, encSecret []byte) (secret []byte, err error) {
	point, err := tpm2.Unmarshal[tpm2.TPMSECCPoint](encSecret)
	if err != nil {
		return nil, fmt.Errorf("cannot read the ephemeral point: %w", err)
	}
	ephemeral, err := ecdh.P256().NewPublicKey(slices.Concat([]byte{4}, point.X.Buffer, point.Y.Buffer))
	if err != nil {
		return nil, fmt.Errorf("cannot read the ephemeral point: %w", err)
	}
	ek, err := s.EK.ECDH()
	if err != nil {
		return nil, err
	}
	z, err := ek.ECDH(ephemeral)
	if err != nil {
		return nil, err
	}
	seed := tpm2.KDFe(crypto.SHA256, z, "IDENTITY", point.X.Buffer, ek.PublicKey().Bytes()[1:33], 256)
	mac, encrypted, ok := cut(credential)
	if !ok {
		return nil, errors.New("the credential has no integrity value")
	}
	name := attest.Name(s.Identity.AKPublic)
	h := hmac.New(sha256.New, tpm2.KDFa(crypto.SHA256, seed, "INTEGRITY", nil, nil, 256))
	h.Write(encrypted)
	h.Write(name)
	if !hmac.Equal(h.Sum(nil), mac) {
		return nil, errors.New("the credential was not made for these keys")
	}
	block, err := aes.NewCipher(tpm2.KDFa(crypto.SHA256, seed, "STORAGE", name, nil, 128))
	if err != nil {
		return nil, err
	}
	// AES-128 in CFB mode with an initial value of zeros.
	plain, feedback := []byte{}, make([]byte, aes.BlockSize)
	for part := range slices.Chunk(encrypted, aes.BlockSize) {
		block.Encrypt(feedback, feedback)
		plain = append(plain, make([]byte, len(part))...)
		subtle.XORBytes(plain[len(plain)-len(part):], part, feedback)
		copy(feedback, part)
	}
	secret, rest, ok := cut(plain)
	if !ok || len(rest) > 0 {
		return nil, errors.New("the credential holds no secret")
	}
	return secret, nil
}

// cut takes off a part with its length, 2 bytes, in front.
func cut(data []byte) (part, rest []byte, ok bool) {
	if len(data) < 2 || int(binary.BigEndian.Uint16(data)) > len(data)-2 {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(data))
	return data[2:n], data[n:], true
}
