package tpm_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/internal/testtool"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/verdict"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// leave opens policy sessions and forgets them, as a killed process does.
func leave(t *testing.T, p *tpmtest.Process, sessions int) {
	t.Helper()
	tr, err := linuxudstpm.Open(p.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for range sessions {
		if _, _, err := tpm2.PolicySession(tr, tpm2.TPMAlgSHA256, 16); err != nil {
			t.Fatal(err)
		}
	}
}

// made returns an open TPM with a loaded identity.
func made(t *testing.T, p *tpmtest.Process) (*tpm.TPM, tpm.Identity) {
	t.Helper()
	tp := open(t, p.Addr)
	ctx := limit(t, time.Minute)
	id, err := tp.CreateIdentity(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tp.LoadIdentity(ctx, id); err != nil {
		t.Fatal(err)
	}
	return tp, id
}

// The whole enrolment, with real TPMs that their maker vouches for: the
// certificate proves the endorsement key, the credential proves that the same
// TPM holds the attestation key.
func TestEnrolmentOfRealTPMs(t *testing.T) {
	maker, stranger := tpmtest.NewMaker(t), tpmtest.NewMaker(t)
	rsa, rsaID := made(t, maker.NewTPM())
	ecc, eccID := made(t, maker.NewECCTPM())
	foreign, foreignID := made(t, stranger.NewTPM())
	ctx := limit(t, time.Minute)
	if a, b := kind(t, rsaID), kind(t, eccID); a != tpm2.TPMAlgRSA || b != tpm2.TPMAlgECC {
		t.Fatalf("endorsement keys of the kinds %v and %v: not those with a certificate", a, b)
	}
	for name, s := range map[string]struct {
		tp    *tpm.TPM
		id    tpm.Identity
		other *tpm.TPM
	}{"RSA": {rsa, rsaID, foreign}, "ECC": {ecc, eccID, rsa}} {
		t.Run(name, func(t *testing.T) {
			cert, err := s.tp.EKCertificate(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := attest.CheckEK(cert, s.id.EKPublic, maker.Authorities()); err != nil {
				t.Error(err)
			}
			if err := attest.CheckEK(cert, s.id.EKPublic, stranger.Authorities()); err == nil {
				t.Error("another maker vouches for this TPM")
			}
			if err := attest.CheckEK(cert, foreignID.EKPublic, maker.Authorities()); err == nil {
				t.Error("the certificate is good for another TPM")
			}
			secret := make([]byte, attest.MaxSecret)
			rand.Read(secret)
			blob, enc, err := attest.MakeCredential(s.id.EKPublic, attest.Name(s.id.AKPublic), secret)
			if err != nil {
				t.Fatal(err)
			}
			for range 5 { // more than the TPM has room for, if anything stayed
				if got, err := s.tp.ActivateCredential(ctx, blob, enc); err != nil || !bytes.Equal(got, secret) {
					t.Fatalf("ActivateCredential = %x, %v", got, err)
				}
				if _, err := s.other.ActivateCredential(ctx, blob, enc); !errors.Is(err, tpm.ErrCredential) {
					t.Fatalf("another TPM: %v", err)
				}
			}
			foreignName, enc2, err := attest.MakeCredential(s.id.EKPublic, attest.Name(foreignID.AKPublic), secret)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.tp.ActivateCredential(ctx, foreignName, enc2); !errors.Is(err, tpm.ErrCredential) {
				t.Errorf("another attestation key: %v", err)
			}
			for name, c := range map[string][2][]byte{
				"changed":        {flipped(blob), enc},
				"changed secret": {blob, flipped(enc)},
				"no secret":      {blob, nil},
				"nothing":        {nil, nil},
				"cut":            {blob[:len(blob)-1], enc},
			} {
				if got, err := s.tp.ActivateCredential(ctx, c[0], c[1]); !errors.Is(err, tpm.ErrCredential) {
					t.Errorf("%s: %x, %v", name, got, err)
				}
			}
			if _, err := s.tp.ActivateCredential(ctx, make([]byte, 1<<20), enc); err == nil || found(err, verdict.TPMUnavailable) {
				t.Errorf("endless: %v", err)
			}
		})
	}
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

func kind(t *testing.T, id tpm.Identity) tpm2.TPMAlgID {
	t.Helper()
	template, err := attest.EKTemplate(id.EKPublic)
	if err != nil {
		t.Fatal(err)
	}
	return template.Type
}

// Without a certificate the endorsement key is the ECC one, and can be enrolled
// by its hash.
func TestTPMWithoutCertificate(t *testing.T) {
	tp, id, _ := station(t)
	if kind(t, id) != tpm2.TPMAlgECC {
		t.Error("want an ECC endorsement key")
	}
	if cert, err := tp.EKCertificate(limit(t, time.Minute)); err != nil || cert != nil {
		t.Errorf("EKCertificate = %x, %v; want none", cert, err)
	}
}

// An endorsement key that is not the identity's any more is told apart from a
// credential for somebody else.
func TestChangedEndorsementSeed(t *testing.T) {
	tp, id, p := station(t)
	blob, enc, err := attest.MakeCredential(id.EKPublic, attest.Name(id.AKPublic), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	tr, err := linuxudstpm.Open(p.Socket)
	if err != nil {
		t.Fatal(err)
	}
	// TPM2_ChangeEPS with the platform's empty password, as the firmware's setup does.
	answer, err := tr.Send([]byte{0x80, 0x02, 0, 0, 0, 27, 0, 0, 0x01, 0x24, 0x40, 0, 0, 0x0c, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0})
	if err != nil || len(answer) < 10 || !bytes.Equal(answer[6:10], []byte{0, 0, 0, 0}) {
		t.Fatalf("TPM2_ChangeEPS: %x, %v", answer, err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tp.ActivateCredential(limit(t, time.Minute), blob, enc); !errors.Is(err, tpm.ErrChanged) {
		t.Errorf("ActivateCredential = %v, want ErrChanged", err)
	}
}

// FORMAT.md promises that what a real TPM says verifies with others' tools.
func TestStatementsVerifyWithOtherTools(t *testing.T) {
	tp, id, _, boot := bound(t)
	ctx := limit(t, time.Minute)
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pemOf := func(name string, key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return file(name, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	key, err := attest.AttestationKey(id.AKPublic)
	if err != nil {
		t.Fatal(err)
	}
	ak := pemOf("ak.pem", key)
	q := [32]byte{9, 9, 9}
	quoted, sig, pcrs, err := tp.Quote(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string][2][]byte{"signing": {id.SigningCertify, id.SigningCertifySig}, "log": {id.LogCertify, id.LogCertifySig}, "quote": {quoted, sig}} {
		testtool.Run(t, "openssl", "dgst", "-sha256", "-verify", ak, "-signature", file(name+".sig", s[1]), file(name, s[0]))
	}
	testtool.Run(t, "tpm2_checkquote", "-u", ak, "-m", filepath.Join(dir, "quote"), "-s", filepath.Join(dir, "quote.sig"), "-g", "sha256",
		"-f", file("pcrs", serialized(pcrs)), "-q", hex.EncodeToString(q[:]))

	// An approval that openssl made from the two documented parts.
	der, err := x509.MarshalECPrivateKey(boot)
	if err != nil {
		t.Fatal(err)
	}
	policy, ref := attest.PCRPolicy(pcrs), attest.PolicyRef()
	approval := filepath.Join(dir, "approval.sig")
	testtool.Run(t, "openssl", "dgst", "-sha256", "-sign", file("boot.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})),
		"-out", approval, file("approval", append(policy[:], ref[:]...)))
	made, err := os.ReadFile(approval)
	if err != nil {
		t.Fatal(err)
	}
	approve(t, tp, attest.Approval{Policy: policy, Sig: made})
	signs(t, tp, id, true)
}

// serialized writes PCR values as tpm2-tools do: the C structures
// TPML_PCR_SELECTION, a count, and that many TPML_DIGEST, little-endian.
func serialized(pcrs attest.PCRs) []byte {
	selection := make([]byte, 4+16*8)
	copy(selection, []byte{1, 0, 0, 0, 0x0b, 0, 3, 0xff, 0x08, 0})
	out := append(selection, 2, 0, 0, 0)
	for _, part := range [][][32]byte{pcrs[:8], pcrs[8:]} {
		list := make([]byte, 4+8*(2+64))
		list[0] = byte(len(part))
		for i, v := range part {
			at := 4 + i*(2+64)
			list[at] = 32
			copy(list[at+2:], v[:])
		}
		out = append(out, list...)
	}
	return out
}

// The whole bank, for display, agrees with the part that is quoted.
func TestAllPCRs(t *testing.T) {
	tp, _, p := station(t)
	p.Extend(0)
	p.Extend(11)
	p.Extend(23)
	ctx := limit(t, time.Minute)
	some, err := tp.PCRs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all, err := tp.AllPCRs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range attest.Numbers() {
		if some[i] != all[n] {
			t.Errorf("PCR %d is %x and %x", n, some[i], all[n])
		}
	}
	if all[0] == all[1] || all[23] == all[22] {
		t.Error("extended PCRs look like others")
	}
}
