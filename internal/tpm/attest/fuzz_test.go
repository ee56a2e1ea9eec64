package attest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
)

// An identity that is accepted is canonical and every byte of it is bound.
func FuzzIdentity(f *testing.F) {
	for _, s := range []*tpmtest.Soft{tpmtest.FixedSoft(f, false), tpmtest.FixedSoft(f, true)} {
		data, err := s.Identity.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(bytes.Replace(data, []byte(`"v":2`), []byte(`"v":2,"v":2`), 1))
		f.Add(bytes.Replace(data, []byte(`"v":2`), []byte(`"v":1`), 1))
		f.Add(bytes.Replace(data, []byte(`"srk_public"`), []byte(`"boot_key":"","srk_public"`), 1))
	}
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := attest.DecodeIdentity(data)
		if err != nil {
			return
		}
		again, err := id.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("accepted, but encodes as %s (%v)", again, err)
		}
	})
}

// The TPM structures behind the JSON: no bytes make the checks panic, and a
// statement about anything else than this identity is refused.
func FuzzStatement(f *testing.F) {
	s, b := tpmtest.FixedSoft(f, false), tpmtest.FixedSoft(f, true)
	f.Add(s.Identity.EKPublic, s.Identity.SigningCertify, s.Identity.SigningCreation, []byte(nil))
	f.Add(s.Identity.SigningPublic, s.Identity.LogCertify, s.Identity.SigningCreation, []byte(nil))
	f.Add(s.Identity.CounterPublic, s.Identity.SigningCertify, []byte{0, 0, 0, 0}, b.Identity.BootKey)
	f.Add([]byte{0, 0x01, 0, 0x0b}, []byte{0xff, 'T', 'C', 'G', 0x80, 0x1a}, []byte{0, 0, 0, 1, 0, 0x0b, 3}, []byte{0x30})
	f.Fuzz(func(t *testing.T, area, statement, creation, boot []byte) {
		id := s.Identity
		id.EKPublic, id.SigningCertify, id.SigningCreation = area, statement, creation
		if len(boot) > 0 {
			id.BootKey = boot
		}
		same := bytes.Equal(area, s.Identity.EKPublic) && bytes.Equal(creation, s.Identity.SigningCreation) && len(boot) == 0
		soft := tpmtest.Soft{AK: s.Log, Identity: id}
		soft.Identity.SigningCertifySig = soft.SignStatement(t, statement) // by the wrong key
		if _, err := soft.Identity.Check(); err == nil {
			t.Fatal("a statement that the attestation key did not sign was accepted")
		}
		soft.AK = s.AK
		soft.Identity.SigningCertifySig = soft.SignStatement(t, statement)
		if _, err := soft.Identity.Check(); err == nil && !same {
			t.Fatal("a statement about another identity was accepted")
		}
		soft.Identity.LogCertify, soft.Identity.LogCertifySig = statement, soft.Identity.SigningCertifySig
		soft.Identity.SigningCertify, soft.Identity.SigningCertifySig = s.Identity.SigningCertify, s.Identity.SigningCertifySig
		if _, err := soft.Identity.Check(); err == nil && !same {
			t.Fatal("a statement about another log key was accepted")
		}
		attest.CheckCounter(id.AKPublic, area, statement, soft.Identity.LogCertifySig, [32]byte{})
		if blob, _, err := attest.MakeCredential(area, attest.Name(id.AKPublic), []byte("x")); err == nil && len(blob) == 0 {
			t.Fatal("an empty credential")
		}
	})
}

// A quote that is accepted is of exactly the values that were given.
func FuzzQuote(f *testing.F) {
	s := tpmtest.FixedSoft(f, false)
	st, _ := s.Attest(f, s.QuoteStatement(someBoot(), [32]byte{1}))
	var values []byte
	for _, v := range someBoot() {
		values = append(values, v[:]...)
	}
	f.Add(st, values)
	f.Add(st, []byte{})
	f.Add(s.Identity.SigningCertify, values)
	f.Fuzz(func(t *testing.T, statement, values []byte) {
		var pcrs attest.PCRs
		for i := range pcrs {
			if len(values) >= 32 {
				pcrs[i], values = [32]byte(values), values[32:]
			}
		}
		if attest.CheckQuote(s.Identity.AKPublic, statement, s.SignStatement(t, statement), pcrs, [32]byte{1}) != nil {
			return
		}
		if digest := attest.QuoteDigest(pcrs); !bytes.Contains(statement, digest[:]) {
			t.Fatal("a quote of other values was accepted")
		}
	})
}

// No bytes make the certificate's checks panic; what is accepted was signed by
// the maker, and names a TPM.
func FuzzEKCertificate(f *testing.F) {
	m := newMaker(f, 100)
	s := tpmtest.FixedSoft(f, false)
	all := []*x509.Certificate{m.root, m.issuer}
	good := m.issue(m.template(f), m.issuer, m.key, s.EK.Public())
	tbs := sha256.Sum256(good.RawTBSCertificate)
	f.Add(good.Raw, san(f, 0))
	f.Add(m.issuer.Raw, san(f, 2))
	f.Add([]byte{0x30, 0x80}, []byte{0x30, 0x02, 0xa4, 0x00})
	f.Fuzz(func(t *testing.T, der, name []byte) {
		if attest.CheckEK(der, s.Identity.EKPublic, all) == nil {
			c, err := x509.ParseCertificate(der)
			if err != nil || sha256.Sum256(c.RawTBSCertificate) != tbs {
				t.Fatal("a certificate that the maker did not sign was accepted")
			}
		}
		template := m.template(t)
		template.ExtraExtensions[0].Value = name
		issued, err := x509.CreateCertificate(nil, template, m.issuer, s.EK.Public(), m.key)
		if err != nil {
			return
		}
		maker := []byte{0x67, 0x81, 0x05, 0x02, 0x01} // 2.23.133.2.1
		if err := attest.CheckEK(issued, s.Identity.EKPublic, all); err == nil && !bytes.Contains(name, maker) {
			t.Fatal("a certificate that names no TPM was accepted")
		}
	})
}
