package tpmtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
)

// Soft is an identity whose keys lie in memory: what a TPM would say, said by
// the test, so that a test can also make the TPM lie. It is a dsse.Signer.
type Soft struct {
	AK, Key  *ecdsa.PrivateKey
	Identity attest.Identity
}

// NewSoft makes fresh keys and the identity a TPM would give them.
func NewSoft(t testing.TB) *Soft {
	t.Helper()
	s := &Soft{AK: newKey(t), Key: newKey(t)}
	id, err := dsse.KeyID(&s.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	const index = 0x01805350
	s.Identity = attest.Identity{
		V: 1, KeyID: id,
		EKPublic:      Area(t, attest.SigningTemplate(), &newKey(t).PublicKey),
		AKPublic:      Area(t, attest.AKTemplate(), &s.AK.PublicKey),
		SigningPublic: Area(t, attest.SigningTemplate(), &s.Key.PublicKey),
		Counter:       index,
		CounterPublic: tpm2.Marshal(attest.CounterTemplate(index, true)),
		CounterStart:  1,
	}
	s.Certify(t)
	return s
}

// Certify lets the attestation key vouch for the identity as it stands.
func (s *Soft) Certify(t testing.TB) {
	t.Helper()
	q := s.Identity.Qualifying()
	n := tpm2.TPM2BName{Buffer: attest.Name(s.Identity.SigningPublic)}
	s.Identity.SigningCertify, s.Identity.SigningCertifySig = s.Attest(t, tpm2.TPMSAttest{
		Magic:     tpm2.TPMGeneratedValue,
		Type:      tpm2.TPMSTAttestCertify,
		ExtraData: tpm2.TPM2BData{Buffer: q[:]},
		Attested:  tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: n, QualifiedName: n}),
	})
}

// Attest signs any statement with the attestation key.
func (s *Soft) Attest(t testing.TB, a tpm2.TPMSAttest) (statement, sig []byte) {
	t.Helper()
	statement = tpm2.Marshal(a)
	return statement, s.SignStatement(t, statement)
}

// SignStatement signs any bytes with the attestation key, which a TPM would not do.
func (s *Soft) SignStatement(t testing.TB, statement []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(statement)
	sig, err := ecdsa.SignASN1(rand.Reader, s.AK, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// KeyID returns the id of the signing key.
func (s *Soft) KeyID() string { return s.Identity.KeyID }

// Sign signs as the TPM would.
func (s *Soft) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, s.Key, digest[:])
}

// Area returns the TPMT_PUBLIC of a key with the attributes of template.
func Area(t testing.TB, template tpm2.TPMTPublic, key *ecdsa.PublicKey) []byte {
	t.Helper()
	raw, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: raw[1:33]},
		Y: tpm2.TPM2BECCParameter{Buffer: raw[33:]},
	})
	return tpm2.Marshal(template)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
