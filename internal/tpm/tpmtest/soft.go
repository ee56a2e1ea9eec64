package tpmtest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
)

// Soft is an identity whose keys lie in memory: what a TPM would say, said by
// the test, so that a test can also make the TPM lie. It is a dsse.Signer.
type Soft struct {
	AK, Key, Log, EK *ecdsa.PrivateKey
	Boot             *ecdsa.PrivateKey // approves boot states; nil: not bound
	Identity         attest.Identity
}

// NewSoft makes fresh keys and the identity a TPM would give them, not bound to
// a boot state.
func NewSoft(t testing.TB) *Soft {
	t.Helper()
	return newSoft(t, false, func() *ecdsa.PrivateKey { return NewKey(t) })
}

// NewBoundSoft is NewSoft with a signing key bound to a fresh boot key.
func NewBoundSoft(t testing.TB) *Soft {
	t.Helper()
	return newSoft(t, true, func() *ecdsa.PrivateKey { return NewKey(t) })
}

// FixedSoft always makes the same keys, and so the same statements: for fuzz
// targets, whose seeds must be good in every process.
func FixedSoft(t testing.TB, bound bool) *Soft {
	t.Helper()
	n := byte(0)
	return newSoft(t, bound, func() *ecdsa.PrivateKey {
		n++
		return FixedKey(t, n)
	})
}

func newSoft(t testing.TB, bound bool, key func() *ecdsa.PrivateKey) *Soft {
	t.Helper()
	s := &Soft{AK: key(), Key: key(), Log: key(), EK: key()}
	srk := key()
	if bound {
		s.Boot = key()
	}
	id, err := dsse.KeyID(&s.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	const index = 0x01805350
	s.Identity = attest.Identity{
		V: attest.Version, KeyID: id,
		EKPublic:      Area(t, tpm2.ECCEKTemplate, &s.EK.PublicKey),
		AKPublic:      Area(t, attest.AKTemplate(), &s.AK.PublicKey),
		SigningPublic: Area(t, s.SigningTemplate(t), &s.Key.PublicKey),
		LogPublic:     Area(t, attest.LogTemplate(), &s.Log.PublicKey),
		SRKPublic:     Area(t, tpm2.ECCSRKTemplate, &srk.PublicKey),
		Counter:       index,
		CounterPublic: tpm2.Marshal(attest.CounterTemplate(index, true)),
		CounterStart:  1,
	}
	if bound {
		if s.Identity.BootKey, err = x509.MarshalPKIXPublicKey(&s.Boot.PublicKey); err != nil {
			t.Fatal(err)
		}
	}
	s.Certify(t)
	return s
}

// SigningTemplate is that of the identity's signing key.
func (s *Soft) SigningTemplate(t testing.TB) tpm2.TPMTPublic {
	t.Helper()
	var boot *ecdsa.PublicKey
	if s.Boot != nil {
		boot = &s.Boot.PublicKey
	}
	template, err := attest.SigningTemplate(boot)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// root is the qualified name of the identity's storage root.
func (s *Soft) root() []byte {
	owner := binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMRHOwner))
	return attest.QualifiedName(owner, attest.Name(s.Identity.SRKPublic))
}

// Certify lets the attestation key vouch for the identity as it stands.
func (s *Soft) Certify(t testing.TB) {
	t.Helper()
	s.CertifyCreation(t, s.Creation())
	s.CertifyLog(t)
}

// Creation is the creation data that a TPM gives the identity's signing key.
func (s *Soft) Creation() tpm2.TPMSCreationData {
	nothing := sha256.Sum256(nil)
	return tpm2.TPMSCreationData{
		PCRDigest:           tpm2.TPM2BDigest{Buffer: nothing[:]},
		Locality:            tpm2.TPMALocality{TPMLocZero: true},
		ParentNameAlg:       tpm2.TPMAlgSHA256,
		ParentName:          tpm2.TPM2BName{Buffer: attest.Name(s.Identity.SRKPublic)},
		ParentQualifiedName: tpm2.TPM2BName{Buffer: s.root()},
	}
}

// CertifyCreation lets the attestation key vouch for the signing key and these
// creation data.
func (s *Soft) CertifyCreation(t testing.TB, made tpm2.TPMSCreationData) {
	t.Helper()
	s.Identity.SigningCreation = tpm2.Marshal(made)
	sum := sha256.Sum256(s.Identity.SigningCreation)
	s.Identity.SigningCertify, s.Identity.SigningCertifySig = s.Attest(t, s.statement(tpm2.TPMSTAttestCreation, s.Identity.Qualifying(),
		tpm2.NewTPMUAttest(tpm2.TPMSTAttestCreation, &tpm2.TPMSCreationInfo{
			ObjectName:   tpm2.TPM2BName{Buffer: attest.Name(s.Identity.SigningPublic)},
			CreationHash: tpm2.TPM2BDigest{Buffer: sum[:]},
		})))
}

// CertifyLog lets the attestation key vouch for the log key.
func (s *Soft) CertifyLog(t testing.TB) {
	t.Helper()
	n := attest.Name(s.Identity.LogPublic)
	s.Identity.LogCertify, s.Identity.LogCertifySig = s.Attest(t, s.statement(tpm2.TPMSTAttestCertify, s.Identity.Qualifying(),
		tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{
			Name:          tpm2.TPM2BName{Buffer: n},
			QualifiedName: tpm2.TPM2BName{Buffer: attest.QualifiedName(s.root(), n)},
		})))
}

// statement is an attestation of the identity's attestation key.
func (s *Soft) statement(kind tpm2.TPMST, qualifying [32]byte, attested tpm2.TPMUAttest) tpm2.TPMSAttest {
	return tpm2.TPMSAttest{
		Magic:           tpm2.TPMGeneratedValue,
		Type:            kind,
		QualifiedSigner: tpm2.TPM2BName{Buffer: attest.QualifiedName(s.root(), attest.Name(s.Identity.AKPublic))},
		ExtraData:       tpm2.TPM2BData{Buffer: qualifying[:]},
		Attested:        attested,
	}
}

// CounterStatement is what TPM2_NV_Certify says of the counter's value.
func (s *Soft) CounterStatement(value uint64, qualifying [32]byte) tpm2.TPMSAttest {
	return s.statement(tpm2.TPMSTAttestNV, qualifying, tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV, &tpm2.TPMSNVCertifyInfo{
		IndexName:  tpm2.TPM2BName{Buffer: attest.Name(s.Identity.CounterPublic)},
		NVContents: tpm2.TPM2BData{Buffer: binary.BigEndian.AppendUint64(nil, value)},
	}))
}

// QuoteStatement is what TPM2_Quote says of these PCRs.
func (s *Soft) QuoteStatement(pcrs attest.PCRs, qualifying [32]byte) tpm2.TPMSAttest {
	digest := attest.QuoteDigest(pcrs)
	return s.statement(tpm2.TPMSTAttestQuote, qualifying, tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
		PCRSelect: attest.Selection(attest.Numbers()...),
		PCRDigest: tpm2.TPM2BDigest{Buffer: digest[:]},
	}))
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
	return signed(t, s.AK, sha256.Sum256(statement))
}

// Approve approves a boot state with a boot key.
func Approve(t testing.TB, boot *ecdsa.PrivateKey, pcrs attest.PCRs) attest.Approval {
	t.Helper()
	policy := attest.PCRPolicy(pcrs)
	return attest.Approval{Policy: policy, Sig: signed(t, boot, attest.ApprovalDigest(policy))}
}

// signed is a deterministic signature (RFC 6979).
func signed(t testing.TB, key *ecdsa.PrivateKey, digest [32]byte) []byte {
	t.Helper()
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
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

// NewKey makes a P-256 key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// FixedKey is a P-256 key that is no secret.
func FixedKey(t testing.TB, n byte) *ecdsa.PrivateKey {
	t.Helper()
	scalar := make([]byte, 32)
	scalar[31] = n
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
