package tpm_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/internal/dsse"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/verdict"
)

// bound returns an open TPM with a loaded identity whose signing key is bound
// to the boot states that the returned key approves.
func bound(t *testing.T) (*tpm.TPM, tpm.Identity, *tpmtest.Process, *ecdsa.PrivateKey) {
	t.Helper()
	p, boot := tpmtest.New(t), tpmtest.NewKey(t)
	tp := open(t, p.Addr)
	ctx := limit(t, time.Minute)
	id, err := tp.CreateIdentity(ctx, &boot.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := tp.LoadIdentity(ctx, id); err != nil {
		t.Fatal(err)
	}
	return tp, id, p, boot
}

// approvalNow is the authority's approval of the present boot state.
func approvalNow(t *testing.T, tp *tpm.TPM, boot *ecdsa.PrivateKey) attest.Approval {
	t.Helper()
	pcrs, err := tp.PCRs(limit(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return tpmtest.Approve(t, boot, pcrs)
}

// signs checks what the two keys do: the log key always signs, the signing key
// when it may.
func signs(t *testing.T, tp *tpm.TPM, id tpm.Identity, may bool) {
	t.Helper()
	ctx := limit(t, time.Minute)
	digest := sha256.Sum256([]byte("ballots"))
	sig, err := tp.Sign(ctx, digest)
	switch {
	case !may && !found(err, verdict.BootStateMismatch):
		t.Errorf("Sign in a boot state that is not approved: %v", err)
	case !may && !strings.Contains(err.Error(), "sallyport station measure"):
		t.Errorf("%v does not say what to do", err)
	case may && err != nil:
		t.Errorf("Sign in an approved boot state: %v", err)
	case may:
		key, err := id.Check()
		if err != nil {
			t.Fatal(err)
		}
		if err := dsse.VerifyP256(key, digest, sig); err != nil {
			t.Error(err)
		}
	}
	log := tp.LogSigner()
	sig, err = log.Sign(ctx, digest)
	if err != nil {
		t.Fatalf("the log key does not sign: %v", err)
	}
	want, err := id.LogKey()
	if err != nil {
		t.Fatal(err)
	}
	keyID, err := dsse.KeyID(want)
	if err != nil || log.KeyID() != keyID || !log.Public().Equal(want) {
		t.Errorf("the log signer is %s, want %s, %v", log.KeyID(), keyID, err)
	}
	if err := dsse.VerifyP256(want, digest, sig); err != nil {
		t.Error(err)
	}
}

// The story of a station: not yet approved, approved, changed, approved again.
// An update of the system does not kill the key, and a changed system can do
// nothing but write its log.
func TestSigningFollowsTheBootState(t *testing.T) {
	for _, pcr := range []uint{7, 11} {
		tp, id, p, boot := bound(t)
		if !tp.Bound() {
			t.Error("a bound key is not called so")
		}
		signs(t, tp, id, false)
		first := approvalNow(t, tp, boot)
		approve(t, tp, first)
		signs(t, tp, id, true)

		p.Extend(pcr) // an update, or an attack
		signs(t, tp, id, false)
		second := approvalNow(t, tp, boot)
		approve(t, tp, second, first)
		signs(t, tp, id, true)

		p.Extend(3) // the machine's own settings, which decide nothing
		signs(t, tp, id, true)

		// A restart brings the PCRs back to where they began, and the first
		// approval is good for that boot state.
		p.Restart()
		if err := tp.LoadIdentity(limit(t, time.Minute), id); err != nil {
			t.Fatal(err)
		}
		signs(t, tp, id, false) // approvals are given anew
		approve(t, tp, first)
		signs(t, tp, id, true)
		approve(t, tp)
		signs(t, tp, id, false)
	}
}

func approve(t *testing.T, tp *tpm.TPM, list ...attest.Approval) {
	t.Helper()
	if err := tp.Approve(list); err != nil {
		t.Fatal(err)
	}
}

func TestApprovalsOfOthers(t *testing.T) {
	tp, id, _, boot := bound(t)
	good, bad := approvalNow(t, tp, boot), approvalNow(t, tp, tpmtest.NewKey(t))
	if err := tp.Approve([]attest.Approval{good, bad}); err == nil || !strings.Contains(err.Error(), "not signed by this station's boot key") {
		t.Errorf("an approval by another key: %v", err)
	}
	signs(t, tp, id, false) // a refused list changes nothing
	approve(t, tp, good)
	signs(t, tp, id, true)
	if err := tp.Approve([]attest.Approval{bad}); err == nil {
		t.Error("an approval by another key was taken")
	}
	signs(t, tp, id, true)

	free, _, _ := station(t)
	if free.Bound() {
		t.Error("an unbound key is called bound")
	}
	if err := free.Approve(nil); err == nil {
		t.Error("an unbound station took approvals")
	}
	if err := open(t, tpmtest.New(t).Addr).Approve(nil); !found(err, verdict.TPMUnavailable) {
		t.Errorf("Approve before LoadIdentity: %v", err)
	}
}

// A TPM has room for three sessions and three objects: a hundred refusals must
// not use them up.
func TestRefusalsUseNothingUp(t *testing.T) {
	tp, id, p, boot := bound(t)
	ctx := limit(t, time.Minute)
	approve(t, tp, approvalNow(t, tp, boot))
	blob, err := tp.SealSecret(ctx, [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	p.Extend(7)
	for range 100 {
		if _, err := tp.Sign(ctx, [32]byte{1}); !found(err, verdict.BootStateMismatch) {
			t.Fatal(err)
		}
		if _, err := tp.UnsealSecret(ctx, blob); !found(err, verdict.BootStateMismatch) {
			t.Fatal(err)
		}
	}
	approve(t, tp, approvalNow(t, tp, boot))
	signs(t, tp, id, true)
}

// Killed in the middle of signing, a station leaves a session in a TPM without
// a resource manager: the next start finds it.
func TestLeftoversOfAKilledStation(t *testing.T) {
	tp, id, p, boot := bound(t)
	leave(t, p, 3)
	if _, err := tp.Sign(limit(t, time.Minute), [32]byte{1}); err == nil {
		t.Fatal("the TPM has room for more sessions than this test takes")
	}
	if err := tp.LoadIdentity(limit(t, time.Minute), id); err != nil {
		t.Fatal(err)
	}
	approve(t, tp, approvalNow(t, tp, boot))
	signs(t, tp, id, true)
}

func TestSealedSecrets(t *testing.T) {
	secret := sha256.Sum256([]byte("seed"))
	other, _, _ := station(t)
	ctx := limit(t, time.Minute)

	t.Run("unbound", func(t *testing.T) {
		tp, _, p := station(t)
		blob := sealed(t, tp, secret)
		p.Extend(7)
		if got, err := tp.UnsealSecret(ctx, blob); err != nil || got != secret {
			t.Errorf("UnsealSecret = %x, %v", got, err)
		}
		refuseChanges(t, tp, blob)
		if _, err := other.UnsealSecret(ctx, blob); !errors.Is(err, tpm.ErrSecret) {
			t.Errorf("another TPM: %v", err)
		}
	})
	t.Run("bound", func(t *testing.T) {
		tp, _, p, boot := bound(t)
		blob := sealed(t, tp, secret) // needs no approval
		if bytes.Contains(blob, secret[:]) {
			t.Error("the blob shows the secret")
		}
		if _, err := tp.UnsealSecret(ctx, blob); !found(err, verdict.BootStateMismatch) {
			t.Errorf("without approval: %v", err)
		}
		approve(t, tp, approvalNow(t, tp, boot))
		if got, err := tp.UnsealSecret(ctx, blob); err != nil || got != secret {
			t.Errorf("UnsealSecret = %x, %v", got, err)
		}
		refuseChanges(t, tp, blob)
		p.Extend(11)
		if _, err := tp.UnsealSecret(ctx, blob); !found(err, verdict.BootStateMismatch) {
			t.Errorf("in another boot state: %v", err)
		}
		if _, err := other.UnsealSecret(ctx, blob); !errors.Is(err, tpm.ErrSecret) {
			t.Errorf("an unbound station: %v", err)
		}
		if _, err := tp.UnsealSecret(ctx, sealed(t, other, secret)); !errors.Is(err, tpm.ErrSecret) {
			t.Errorf("an unbound secret: %v", err)
		}
	})
}

func sealed(t *testing.T, tp *tpm.TPM, secret [32]byte) []byte {
	t.Helper()
	blob, err := tp.SealSecret(limit(t, time.Minute), secret)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// refuseChanges tries every byte of a blob, and its length.
func refuseChanges(t *testing.T, tp *tpm.TPM, blob []byte) {
	t.Helper()
	ctx := limit(t, time.Minute)
	for i := range blob {
		changed := bytes.Clone(blob)
		changed[i] ^= 1
		if _, err := tp.UnsealSecret(ctx, changed); !errors.Is(err, tpm.ErrSecret) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for name, b := range map[string][]byte{"nothing": nil, "cut": blob[:len(blob)-1], "with more": append(bytes.Clone(blob), 0), "endless": make([]byte, 1<<20)} {
		if _, err := tp.UnsealSecret(ctx, b); !errors.Is(err, tpm.ErrSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
