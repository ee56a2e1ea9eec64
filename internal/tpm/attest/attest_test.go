package attest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"

	"sallyport/internal/testtool"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"

	"github.com/google/go-tpm/tpm2"
)

func TestIdentityRoundTrip(t *testing.T) {
	s := tpmtest.NewSoft(t)
	data, err := s.Identity.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := attest.DecodeIdentity(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("encoding changed: %v\n%s\n%s", err, data, again)
	}
}

// Every single part of an identity is bound to the attestation key's
// statement, and keys with other attributes are refused even when certified.
func TestIdentityThatLies(t *testing.T) {
	other := tpmtest.NewSoft(t)
	area := func(template tpm2.TPMTPublic, change func(*tpm2.TPMTPublic), s *tpmtest.Soft) []byte {
		change(&template)
		return tpmtest.Area(t, template, &s.Key.PublicKey)
	}
	for name, c := range map[string]struct {
		change    func(*tpmtest.Soft)
		recertify bool // the attestation key itself plays along
		want      string
	}{
		"version":       {func(s *tpmtest.Soft) { s.Identity.V = 2 }, true, "version 2"},
		"another's key": {func(s *tpmtest.Soft) { s.Identity.SigningPublic = other.Identity.SigningPublic }, true, "key_id"},
		"another's key and id": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic, s.Identity.KeyID = other.Identity.SigningPublic, other.Identity.KeyID
		}, false, "something else"},
		"another's attestation": {func(s *tpmtest.Soft) { s.Identity.AKPublic = other.Identity.AKPublic }, false, "signature"},
		"another's endorsement": {func(s *tpmtest.Soft) { s.Identity.EKPublic = other.Identity.EKPublic }, false, "something else"},
		"another's whole certificate": {func(s *tpmtest.Soft) {
			s.Identity.SigningCertify, s.Identity.SigningCertifySig, s.Identity.AKPublic = other.Identity.SigningCertify, other.Identity.SigningCertifySig, other.Identity.AKPublic
		}, false, "something else"},
		"counter's first value": {func(s *tpmtest.Soft) { s.Identity.CounterStart = 2 }, false, "something else"},
		"counter value zero":    {func(s *tpmtest.Soft) { s.Identity.CounterStart = 0 }, true, "counter_start"},
		"counter index":         {func(s *tpmtest.Soft) { s.Identity.Counter++ }, true, "public area names"},
		"orderly counter": {func(s *tpmtest.Soft) {
			c := attest.CounterTemplate(s.Identity.Counter, true)
			c.Attributes.Orderly = true
			s.Identity.CounterPublic = tpm2.Marshal(c)
		}, true, "not a plain"},
		"plain data instead of a counter": {func(s *tpmtest.Soft) {
			c := attest.CounterTemplate(s.Identity.Counter, true)
			c.Attributes.NT = tpm2.TPMNTOrdinary
			s.Identity.CounterPublic = tpm2.Marshal(c)
		}, true, "not a plain"},
		"imported key": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic = area(attest.SigningTemplate(), func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false }, s)
		}, true, "attributes"},
		"key that may leave": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic = area(attest.SigningTemplate(), func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false }, s)
		}, true, "attributes"},
		"key that may be moved": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic = area(attest.SigningTemplate(), func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false }, s)
		}, true, "attributes"},
		"key that decrypts": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic = area(attest.SigningTemplate(), func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Decrypt = true }, s)
		}, true, "attributes"},
		"restricted signing key": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic = area(attest.AKTemplate(), func(*tpm2.TPMTPublic) {}, s)
		}, true, "attributes"},
		"unrestricted attestation key": {func(s *tpmtest.Soft) {
			s.Identity.AKPublic = tpmtest.Area(t, attest.SigningTemplate(), &s.AK.PublicKey)
		}, true, "attributes"},
		"bytes after an area": {func(s *tpmtest.Soft) { s.Identity.EKPublic = append(bytes.Clone(s.Identity.EKPublic), 0) }, true, "encoding"},
		"endless area":        {func(s *tpmtest.Soft) { s.Identity.EKPublic = make([]byte, 1<<20) }, true, "bytes"},
		"no endorsement key":  {func(s *tpmtest.Soft) { s.Identity.EKPublic = nil }, true, "0 bytes"},
		"point off the curve": {func(s *tpmtest.Soft) {
			a := bytes.Clone(s.Identity.SigningPublic)
			a[len(a)-1] ^= 1
			s.Identity.SigningPublic = a
		}, true, "not on P-256"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tpmtest.NewSoft(t)
			c.change(s)
			if c.recertify {
				s.Certify(t)
			}
			if _, err := s.Identity.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check = %v, want an error with %q", err, c.want)
			}
			if _, err := s.Identity.Encode(); err == nil {
				t.Error("Encode wrote an identity that does not verify")
			}
		})
	}
}

func TestCounterStatements(t *testing.T) {
	s := tpmtest.NewSoft(t)
	q := sha256.Sum256([]byte("checkpoint"))
	good := func() tpm2.TPMSAttest {
		return tpm2.TPMSAttest{
			Magic:     tpm2.TPMGeneratedValue,
			Type:      tpm2.TPMSTAttestNV,
			ExtraData: tpm2.TPM2BData{Buffer: q[:]},
			Attested:  nvInfo(attest.Name(s.Identity.CounterPublic), 0, []byte{0, 0, 0, 0, 0, 0, 1, 2}),
		}
	}
	check := func(a tpm2.TPMSAttest) (uint64, error) {
		st, sig := s.Attest(t, a)
		return attest.CheckCounter(s.Identity.AKPublic, s.Identity.CounterPublic, st, sig, q)
	}
	if n, err := check(good()); err != nil || n != 0x102 {
		t.Fatalf("CheckCounter = %d, %v; want 258", n, err)
	}
	for name, change := range map[string]func(*tpm2.TPMSAttest){
		"not made by a TPM": func(a *tpm2.TPMSAttest) { a.Magic = 1 },
		"other purpose":     func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = []byte("x") },
		"other counter": func(a *tpm2.TPMSAttest) {
			a.Attested = nvInfo(attest.Name(s.Identity.AKPublic), 0, make([]byte, 8))
		},
		"part of the counter": func(a *tpm2.TPMSAttest) {
			a.Attested = nvInfo(attest.Name(s.Identity.CounterPublic), 0, make([]byte, 4))
		},
		"offset": func(a *tpm2.TPMSAttest) {
			a.Attested = nvInfo(attest.Name(s.Identity.CounterPublic), 4, make([]byte, 8))
		},
		"a certified key": func(a *tpm2.TPMSAttest) {
			a.Type = tpm2.TPMSTAttestCertify
			n := tpm2.TPM2BName{Buffer: attest.Name(s.Identity.CounterPublic)}
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: n})
		},
	} {
		a := good()
		change(&a)
		if n, err := check(a); err == nil {
			t.Errorf("%s: accepted with value %d", name, n)
		}
	}
}

func nvInfo(name []byte, offset uint16, content []byte) tpm2.TPMUAttest {
	return tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV, &tpm2.TPMSNVCertifyInfo{
		IndexName:  tpm2.TPM2BName{Buffer: name},
		Offset:     offset,
		NVContents: tpm2.TPM2BData{Buffer: content},
	})
}

// FORMAT.md promises that the statement of a real TPM verifies with openssl.
func TestOpenSSLVerifiesTheCertificate(t *testing.T) {
	openssl := testtool.Need(t, "openssl")
	addr, _ := tpmtest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tp, err := tpm.Open(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tp.Close()
	id, err := tp.CreateIdentity(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ak, err := attest.AttestationKey(id.AKPublic)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(ak)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"ak.pem":    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"statement": id.SigningCertify,
		"sig":       id.SigningCertifySig,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(openssl, "dgst", "-sha256", "-verify", "ak.pem", "-signature", "sig", "statement")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

// An identity that is accepted is canonical and every byte of it is bound.
func FuzzIdentity(f *testing.F) {
	data, err := tpmtest.NewSoft(f).Identity.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"v":1}`))
	f.Add(bytes.Replace(data, []byte(`"v":1`), []byte(`"v":1,"v":1`), 1))
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

// The TPM structures behind the JSON: no bytes make the checks panic.
func FuzzStatement(f *testing.F) {
	s := tpmtest.NewSoft(f)
	f.Add(s.Identity.SigningPublic, s.Identity.SigningCertify)
	f.Add(s.Identity.CounterPublic, s.Identity.SigningCertify)
	f.Add([]byte{0, 0x23}, []byte{0xff, 'T', 'C', 'G', 0x80, 0x14})
	f.Fuzz(func(t *testing.T, area, statement []byte) {
		id := s.Identity
		id.EKPublic, id.SigningCertify = area, statement
		digest := sha256.Sum256(statement)
		sig, err := s.Sign(context.Background(), digest)
		if err != nil {
			t.Fatal(err)
		}
		id.SigningCertifySig = sig // by the wrong key
		if _, err := id.Check(); err == nil {
			t.Fatal("a statement that the attestation key did not sign was accepted")
		}
		soft := tpmtest.Soft{AK: s.AK, Identity: id}
		soft.Identity.SigningCertifySig = soft.SignStatement(t, statement)
		if _, err := soft.Identity.Check(); err == nil && !bytes.Equal(area, s.Identity.EKPublic) {
			t.Fatal("a statement about another identity was accepted")
		}
		attest.CheckCounter(id.AKPublic, area, statement, soft.Identity.SigningCertifySig, [32]byte{})
	})
}
