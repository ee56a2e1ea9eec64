package attest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"

	"github.com/google/go-tpm/tpm2"
)

// maker issues endorsement certificates, also bad ones.
type maker struct {
	t            testing.TB
	root, issuer *x509.Certificate
	rootKey, key *ecdsa.PrivateKey
}

// newMaker makes the same keys and certificates every time.
func newMaker(t testing.TB, n byte) *maker {
	t.Helper()
	m := &maker{t: t, rootKey: tpmtest.FixedKey(t, n), key: tpmtest.FixedKey(t, n+1)}
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(1e9, 0)}
	}
	m.root = m.issue(ca("TPM maker"), ca("TPM maker"), m.rootKey, m.rootKey.Public())
	m.issuer = m.issue(ca("TPM maker, line 1"), m.root, m.rootKey, m.key.Public())
	return m
}

func (m *maker) issue(template, parent *x509.Certificate, by *ecdsa.PrivateKey, public crypto.PublicKey) *x509.Certificate {
	m.t.Helper()
	der, err := x509.CreateCertificate(nil, template, parent, public, by)
	if err != nil {
		m.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// san names a TPM as the profile demands, without some of its three parts.
func san(t testing.TB, without int) []byte {
	t.Helper()
	var name pkix.RDNSequence
	for last := 1; last <= 3; last++ {
		if last != without {
			name = append(name, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, last}, Value: "id:53414C4C"}})
		}
	}
	inner, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: inner}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// template is an endorsement certificate's, with a critical name that
// crypto/x509 cannot read.
func (m *maker) template(t testing.TB) *x509.Certificate {
	t.Helper()
	return &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Unix(1.2e9, 0), NotAfter: time.Unix(1.3e9, 0),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageKeyAgreement,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
		ExtraExtensions:    []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: san(t, 0)}},
	}
}

func TestEndorsementCertificates(t *testing.T) {
	m, stranger := newMaker(t, 100), newMaker(t, 200)
	s := tpmtest.NewSoft(t)
	all := []*x509.Certificate{m.issuer, m.root, stranger.root, nil}
	good := m.issue(m.template(t), m.issuer, m.key, s.EK.Public())
	if len(good.UnhandledCriticalExtensions) == 0 {
		t.Error("this certificate would pass without a look at its name")
	}
	if err := attest.CheckEK(good.Raw, s.Identity.EKPublic, all); err != nil {
		t.Fatal(err)
	}
	made := func(change func(*x509.Certificate)) []byte {
		c := m.template(t)
		change(c)
		return m.issue(c, m.issuer, m.key, s.EK.Public()).Raw
	}
	for name, c := range map[string]struct {
		cert []byte
		with []*x509.Certificate
		want string
	}{
		"of another TPM":                    {m.issue(m.template(t), m.issuer, m.key, tpmtest.NewKey(t).Public()).Raw, all, "another endorsement key"},
		"by a stranger in the maker's name": {stranger.issue(m.template(t), stranger.issuer, stranger.key, s.EK.Public()).Raw, []*x509.Certificate{m.root, m.issuer}, "no known TPM maker"},
		"without its issuer":                {good.Raw, []*x509.Certificate{m.root}, "no known TPM maker"},
		"with the issuer alone":             {good.Raw, []*x509.Certificate{m.issuer}, "no self-signed certificate"},
		"with nobody":                       {good.Raw, nil, "no self-signed certificate"},
		"itself as authority":               {good.Raw, []*x509.Certificate{good, stranger.root}, "no known TPM maker"},
		"of an authority":                   {made(func(c *x509.Certificate) { c.IsCA = true }), all, "basicConstraints"},
		"for another purpose": {made(func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = nil
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), all, "2.23.133.8.1"},
		"without a name": {made(func(c *x509.Certificate) { c.ExtraExtensions = nil }), all, "no subject alternative name"},
		"a host's name":  {made(func(c *x509.Certificate) { c.ExtraExtensions, c.DNSNames = nil, []string{"a.example"} }), all, "maker, model and version"},
		"no maker":       {made(func(c *x509.Certificate) { c.ExtraExtensions[0].Value = san(t, 1) }), all, "maker, model and version"},
		"no version":     {made(func(c *x509.Certificate) { c.ExtraExtensions[0].Value = san(t, 3) }), all, "maker, model and version"},
		"unknown rule": {made(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}), all, "unhandled critical extension"},
		"a changed byte": {func() []byte { b := append([]byte{}, good.Raw...); b[len(b)-1] ^= 1; return b }(), all, "no known TPM maker"},
		"bytes behind":   {append(good.Raw[:len(good.Raw):len(good.Raw)], 0), all, "cannot be read"},
		"no certificate": {nil, all, "0 bytes"},
		"endless":        {make([]byte, 1<<20), all, "1048576 bytes"},
	} {
		if err := attest.CheckEK(c.cert, s.Identity.EKPublic, c.with); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
	if err := attest.CheckEK(good.Raw, s.Identity.AKPublic, all); err == nil || !strings.Contains(err.Error(), "the endorsement key does not have") {
		t.Errorf("a certificate of something else: %v", err)
	}
}

// Some makers' certificates name their RSA keys by what they are for, and Go
// knows no such key.
func TestRSAESOAEPCertificate(t *testing.T) {
	m := newMaker(t, 100)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := tpm2.RSAEKTemplate
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()})
	ek := tpm2.Marshal(template)
	all := []*x509.Certificate{m.root, m.issuer}
	plain := m.issue(m.template(t), m.issuer, m.key, key.Public())
	if err := attest.CheckEK(plain.Raw, ek, all); err != nil {
		t.Fatal(err)
	}
	// The same certificate with the other algorithm, signed again.
	var c struct {
		TBS, Alg asn1.RawValue
		Sig      asn1.BitString
	}
	if _, err := asn1.Unmarshal(plain.Raw, &c); err != nil {
		t.Fatal(err)
	}
	rsaEncryption, oaep := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07}
	tbs := []byte(strings.Replace(string(c.TBS.FullBytes), string(rsaEncryption), string(oaep), 1))
	digest := crypto.SHA256.New()
	digest.Write(tbs)
	sig, err := ecdsa.SignASN1(rand.Reader, m.key, digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	c.TBS, c.Sig = asn1.RawValue{FullBytes: tbs}, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	der, err := asn1.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := x509.ParseCertificate(der); err != nil || parsed.PublicKey != nil {
		t.Fatalf("Go reads the key by itself now: %v", err)
	}
	if err := attest.CheckEK(der, ek, all); err != nil {
		t.Error(err)
	}
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: new(big.Int).Add(key.N, big.NewInt(2)).Bytes()})
	if err := attest.CheckEK(der, tpm2.Marshal(template), all); err == nil {
		t.Error("a certificate of another modulus was accepted")
	}
}

func TestCredentialsAreForEndorsementKeys(t *testing.T) {
	s := tpmtest.NewSoft(t)
	name := attest.Name(s.Identity.AKPublic)
	for what, err := range map[string]error{
		"the storage root":   third(attest.MakeCredential(s.Identity.SRKPublic, name, []byte("x"))),
		"a signing key":      third(attest.MakeCredential(s.Identity.SigningPublic, name, []byte("x"))),
		"a short name":       third(attest.MakeCredential(s.Identity.EKPublic, name[:20], []byte("x"))),
		"a SHA-1 name":       third(attest.MakeCredential(s.Identity.EKPublic, append([]byte{0, 4}, name[2:]...), []byte("x"))),
		"no secret":          third(attest.MakeCredential(s.Identity.EKPublic, name, nil)),
		"too large a secret": third(attest.MakeCredential(s.Identity.EKPublic, name, make([]byte, 33))),
	} {
		if err == nil {
			t.Errorf("a credential was made for %s", what)
		}
	}
	if _, _, err := attest.MakeCredential(s.Identity.EKPublic, name, make([]byte, 32)); err != nil {
		t.Error(err)
	}
}

func third(_, _ []byte, err error) error { return err }
