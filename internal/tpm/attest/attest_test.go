package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"

	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"

	"github.com/google/go-tpm/tpm2"
)

func TestIdentityRoundTrip(t *testing.T) {
	for _, s := range []*tpmtest.Soft{tpmtest.NewSoft(t), tpmtest.NewBoundSoft(t)} {
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
		boot, err := got.Boot()
		if err != nil || (boot != nil) != (s.Boot != nil) || boot != nil && !boot.Equal(&s.Boot.PublicKey) {
			t.Errorf("Boot = %v, %v", boot, err)
		}
		if log, err := got.LogKey(); err != nil || !log.Equal(&s.Log.PublicKey) {
			t.Errorf("LogKey = %v, %v", log, err)
		}
	}
}

// Every single part of an identity is bound to the attestation key's
// statements, and keys with other attributes are refused even when certified.
func TestIdentityThatLies(t *testing.T) {
	other := tpmtest.NewBoundSoft(t)
	area := func(template tpm2.TPMTPublic, change func(*tpm2.TPMTPublic), key *ecdsa.PrivateKey) []byte {
		change(&template)
		return tpmtest.Area(t, template, &key.PublicKey)
	}
	signing := func(change func(*tpm2.TPMAObject)) func(*tpmtest.Soft) {
		return func(s *tpmtest.Soft) {
			s.Identity.SigningPublic = area(s.SigningTemplate(t), func(p *tpm2.TPMTPublic) { change(&p.ObjectAttributes) }, s.Key)
		}
	}
	for name, c := range map[string]struct {
		change    func(*tpmtest.Soft)
		recertify bool // the attestation key itself plays along
		want      string
	}{
		"version 1": {func(s *tpmtest.Soft) { s.Identity.V = 1 }, true, "version 1"},
		"version 3": {func(s *tpmtest.Soft) { s.Identity.V = 3 }, true, "version 3"},
		"another's key": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic = area(s.SigningTemplate(t), func(*tpm2.TPMTPublic) {}, other.Key)
		}, true, "key_id"},
		"another's key and id": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic, s.Identity.KeyID = area(s.SigningTemplate(t), func(*tpm2.TPMTPublic) {}, other.Key), other.Identity.KeyID
		}, false, "signing_certify: the statement was made for something else"},
		"another's log key":       {func(s *tpmtest.Soft) { s.Identity.LogPublic = other.Identity.LogPublic }, false, "something else"},
		"another's attestation":   {func(s *tpmtest.Soft) { s.Identity.AKPublic = other.Identity.AKPublic }, false, "signature"},
		"another's endorsement":   {func(s *tpmtest.Soft) { s.Identity.EKPublic = other.Identity.EKPublic }, false, "something else"},
		"another's storage root":  {func(s *tpmtest.Soft) { s.Identity.SRKPublic = other.Identity.SRKPublic }, false, "something else"},
		"another's creation data": {func(s *tpmtest.Soft) { s.Identity.SigningCreation = other.Identity.SigningCreation }, false, "another creation"},
		"another's whole certificate": {func(s *tpmtest.Soft) {
			s.Identity.SigningCertify, s.Identity.SigningCertifySig, s.Identity.AKPublic = other.Identity.SigningCertify, other.Identity.SigningCertifySig, other.Identity.AKPublic
		}, false, "something else"},
		"another's whole certificate of the log key": {func(s *tpmtest.Soft) {
			s.Identity.LogCertify, s.Identity.LogCertifySig = other.Identity.LogCertify, other.Identity.LogCertifySig
		}, false, "log_certify: cannot accept the attestation key's signature"},
		"one certificate for both": {func(s *tpmtest.Soft) {
			s.Identity.LogCertify, s.Identity.LogCertifySig = s.Identity.SigningCertify, s.Identity.SigningCertifySig
		}, false, "log_certify: the statement is of type"},
		"the log key's certificate for the signing key": {func(s *tpmtest.Soft) {
			s.Identity.SigningCertify, s.Identity.SigningCertifySig = s.Identity.LogCertify, s.Identity.LogCertifySig
		}, false, "signing_certify: the statement is of type"},
		"counter's first value": {func(s *tpmtest.Soft) { s.Identity.CounterStart = 2 }, false, "something else"},
		"counter value zero":    {func(s *tpmtest.Soft) { s.Identity.CounterStart = 0 }, true, "counter_start"},
		"counter index":         {func(s *tpmtest.Soft) { s.Identity.Counter++ }, true, "public area names"},
		"another counter": {func(s *tpmtest.Soft) {
			s.Identity.Counter++
			s.Identity.CounterPublic = tpm2.Marshal(attest.CounterTemplate(s.Identity.Counter, true))
		}, false, "something else"},
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
		"imported key":          {signing(func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false }), true, "the signing key does not have"},
		"key that may leave":    {signing(func(a *tpm2.TPMAObject) { a.FixedTPM = false }), true, "the signing key does not have"},
		"key that may be moved": {signing(func(a *tpm2.TPMAObject) { a.FixedParent = false }), true, "the signing key does not have"},
		"key that decrypts":     {signing(func(a *tpm2.TPMAObject) { a.Decrypt = true }), true, "the signing key does not have"},
		"key that locks out":    {signing(func(a *tpm2.TPMAObject) { a.NoDA = false }), true, "the signing key does not have"},
		"restricted signing key": {func(s *tpmtest.Soft) {
			s.Identity.SigningPublic = area(attest.AKTemplate(), func(*tpm2.TPMTPublic) {}, s.Key)
		}, true, "the signing key does not have"},
		"unrestricted attestation key": {func(s *tpmtest.Soft) {
			s.Identity.AKPublic = tpmtest.Area(t, attest.LogTemplate(), &s.AK.PublicKey)
		}, true, "the attestation key does not have"},
		"attestation key that may leave": {func(s *tpmtest.Soft) {
			s.Identity.AKPublic = area(attest.AKTemplate(), func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false }, s.AK)
		}, true, "the attestation key does not have"},
		"imported log key": {func(s *tpmtest.Soft) {
			s.Identity.LogPublic = area(attest.LogTemplate(), func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false }, s.Log)
		}, true, "the log key does not have"},
		"one key for packages and log": {func(s *tpmtest.Soft) {
			s.Identity.LogPublic = area(attest.LogTemplate(), func(*tpm2.TPMTPublic) {}, s.Key)
		}, true, "same key"},
		"endorsement key that signs": {func(s *tpmtest.Soft) {
			s.Identity.EKPublic = area(tpm2.ECCEKTemplate, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = true }, s.EK)
		}, true, "the endorsement key does not have"},
		"endorsement key for everybody": {func(s *tpmtest.Soft) {
			s.Identity.EKPublic = area(tpm2.ECCEKTemplate, func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = nil }, s.EK)
		}, true, "the endorsement key does not have"},
		"storage root that may leave": {func(s *tpmtest.Soft) {
			s.Identity.SRKPublic = area(tpm2.ECCSRKTemplate, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false }, s.EK)
		}, true, "the storage root does not have"},
		"boot key nobody is bound to": {func(s *tpmtest.Soft) { s.Identity.BootKey = other.Identity.BootKey }, true, "the signing key does not have"},
		"empty boot key":              {func(s *tpmtest.Soft) { s.Identity.BootKey = []byte{} }, true, "boot key"},
		"boot key with bytes behind":  {func(s *tpmtest.Soft) { s.Identity.BootKey = append(bytes.Clone(other.Identity.BootKey), 0) }, true, "boot key"},
		"endless boot key":            {func(s *tpmtest.Soft) { s.Identity.BootKey = make([]byte, 1<<20) }, true, "boot key has 1048576 bytes"},
		"bytes after an area":         {func(s *tpmtest.Soft) { s.Identity.SRKPublic = append(bytes.Clone(s.Identity.SRKPublic), 0) }, true, "point of two coordinates"},
		"endless area":                {func(s *tpmtest.Soft) { s.Identity.EKPublic = make([]byte, 1<<20) }, true, "bytes"},
		"no endorsement key":          {func(s *tpmtest.Soft) { s.Identity.EKPublic = nil }, true, "0 bytes"},
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
			refused(t, s, c.want)
		})
	}
}

// A bound identity binds its boot key as well.
func TestBoundIdentityThatLies(t *testing.T) {
	other := tpmtest.NewBoundSoft(t)
	for name, c := range map[string]struct {
		change    func(*tpmtest.Soft)
		recertify bool
		want      string
	}{
		"another boot key": {func(s *tpmtest.Soft) { s.Identity.BootKey = other.Identity.BootKey }, true, "the signing key does not have"},
		"no boot key":      {func(s *tpmtest.Soft) { s.Identity.BootKey = nil }, true, "the signing key does not have"},
		"password beside the policy": {func(s *tpmtest.Soft) {
			template := s.SigningTemplate(t)
			template.ObjectAttributes.UserWithAuth = true
			s.Identity.SigningPublic = tpmtest.Area(t, template, &s.Key.PublicKey)
		}, true, "the signing key does not have"},
		"policy for administration": {func(s *tpmtest.Soft) {
			template := s.SigningTemplate(t)
			template.ObjectAttributes.AdminWithPolicy = true
			s.Identity.SigningPublic = tpmtest.Area(t, template, &s.Key.PublicKey)
		}, true, "the signing key does not have"},
		"the station approves itself": {func(s *tpmtest.Soft) {
			s.Boot = s.Log
			der, err := x509.MarshalPKIXPublicKey(&s.Log.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			s.Identity.BootKey = der
			s.Identity.SigningPublic = tpmtest.Area(t, s.SigningTemplate(t), &s.Key.PublicKey)
		}, true, "the boot key is a key of the station itself"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tpmtest.NewBoundSoft(t)
			if _, err := s.Identity.Check(); err != nil {
				t.Fatal(err)
			}
			c.change(s)
			if c.recertify {
				s.Certify(t)
			}
			refused(t, s, c.want)
		})
	}
}

// What the attestation key says of how the keys came to be.
func TestCreationThatLies(t *testing.T) {
	other := tpmtest.NewSoft(t)
	for name, c := range map[string]struct {
		change func(*tpm2.TPMSCreationData)
		want   string
	}{
		"below another key":        {func(d *tpm2.TPMSCreationData) { d.ParentName.Buffer = attest.Name(other.Identity.SRKPublic) }, "below another key"},
		"a parent by another hash": {func(d *tpm2.TPMSCreationData) { d.ParentNameAlg = tpm2.TPMAlgSHA384 }, "below another key"},
		"in another hierarchy": {func(d *tpm2.TPMSCreationData) {
			d.ParentQualifiedName.Buffer = attest.QualifiedName([]byte{0x40, 0, 0, 0x0b}, d.ParentName.Buffer)
		}, "owner hierarchy"},
		"with PCRs":                {func(d *tpm2.TPMSCreationData) { d.PCRSelect = attest.Selection(7) }, "PCRs"},
		"with another digest":      {func(d *tpm2.TPMSCreationData) { d.PCRDigest.Buffer = make([]byte, 32) }, "PCRs"},
		"at another locality":      {func(d *tpm2.TPMSCreationData) { d.Locality = tpm2.TPMALocality{TPMLocThree: true} }, "locality"},
		"with outside information": {func(d *tpm2.TPMSCreationData) { d.OutsideInfo.Buffer = []byte("x") }, "outside"},
	} {
		s := tpmtest.NewSoft(t)
		made := s.Creation()
		c.change(&made)
		s.CertifyCreation(t, made)
		t.Run(name, func(t *testing.T) { refused(t, s, c.want) })
	}
	s := tpmtest.NewSoft(t)
	made := s.Creation()
	made.PCRDigest.Buffer = nil // as the specification has it
	s.CertifyCreation(t, made)
	if _, err := s.Identity.Check(); err != nil {
		t.Error(err)
	}
}

// The attestation key signs statements that are true, but of something else.
func TestStatementsOfSomethingElse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *tpmtest.Soft)
		want   string
	}{
		"creation of the log key": {func(t *testing.T, s *tpmtest.Soft) {
			sum := sha256.Sum256(s.Identity.SigningCreation)
			s.Identity.SigningCertify, s.Identity.SigningCertifySig = restated(t, s, s.Identity.SigningCertify, func(a *tpm2.TPMSAttest) {
				a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCreation, &tpm2.TPMSCreationInfo{
					ObjectName: tpm2.TPM2BName{Buffer: attest.Name(s.Identity.LogPublic)}, CreationHash: tpm2.TPM2BDigest{Buffer: sum[:]}})
			})
		}, "creation of another key"},
		"the signing key as log key": {func(t *testing.T, s *tpmtest.Soft) {
			n := attest.Name(s.Identity.SigningPublic)
			s.Identity.LogCertify, s.Identity.LogCertifySig = restated(t, s, s.Identity.LogCertify, func(a *tpm2.TPMSAttest) {
				a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: tpm2.TPM2BName{Buffer: n}, QualifiedName: tpm2.TPM2BName{Buffer: n}})
			})
		}, "another key than the log key"},
		"a log key elsewhere": {func(t *testing.T, s *tpmtest.Soft) {
			n := attest.Name(s.Identity.LogPublic)
			s.Identity.LogCertify, s.Identity.LogCertifySig = restated(t, s, s.Identity.LogCertify, func(a *tpm2.TPMSAttest) {
				a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: tpm2.TPM2BName{Buffer: n}, QualifiedName: tpm2.TPM2BName{Buffer: n}})
			})
		}, "the log key does not lie below"},
		"an attestation key elsewhere": {func(t *testing.T, s *tpmtest.Soft) {
			s.Identity.LogCertify, s.Identity.LogCertifySig = restated(t, s, s.Identity.LogCertify, func(a *tpm2.TPMSAttest) {
				a.QualifiedSigner.Buffer = attest.Name(s.Identity.AKPublic)
			})
		}, "the attestation key does not lie below"},
		"not by a TPM": {func(t *testing.T, s *tpmtest.Soft) {
			s.Identity.SigningCertify, s.Identity.SigningCertifySig = restated(t, s, s.Identity.SigningCertify, func(a *tpm2.TPMSAttest) { a.Magic = 1 })
		}, "not made by a TPM"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tpmtest.NewSoft(t)
			c.change(t, s)
			refused(t, s, c.want)
		})
	}
}

// restated is a statement with a change, signed again.
func restated(t *testing.T, s *tpmtest.Soft, statement []byte, change func(*tpm2.TPMSAttest)) (changed, sig []byte) {
	t.Helper()
	a, err := tpm2.Unmarshal[tpm2.TPMSAttest](statement)
	if err != nil {
		t.Fatal(err)
	}
	change(a)
	return s.Attest(t, *a)
}

func refused(t *testing.T, s *tpmtest.Soft, want string) {
	t.Helper()
	if _, err := s.Identity.Check(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Check = %v, want an error with %q", err, want)
	}
	if _, err := s.Identity.Encode(); err == nil {
		t.Error("Encode wrote an identity that does not verify")
	}
}

func TestCounterStatements(t *testing.T) {
	s := tpmtest.NewSoft(t)
	q := sha256.Sum256([]byte("checkpoint"))
	good := func() tpm2.TPMSAttest { return s.CounterStatement(0x102, q) }
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
