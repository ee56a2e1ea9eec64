package tpm_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"sallyport/internal/dsse"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/verdict"
)

// limit bounds every call of these tests; nothing waits for it to pass.
func limit(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, addr string) *tpm.TPM {
	t.Helper()
	tp, err := tpm.Open(limit(t, time.Minute), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tp.Close(); err != nil {
			t.Error(err)
		}
	})
	return tp
}

// station returns an open TPM with an identity that was made and loaded.
func station(t *testing.T) (*tpm.TPM, tpm.Identity, *tpmtest.Process) {
	t.Helper()
	p := tpmtest.New(t)
	tp := open(t, p.Addr)
	id, err := tp.CreateIdentity(limit(t, time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tp.LoadIdentity(limit(t, time.Minute), id); err != nil {
		t.Fatal(err)
	}
	return tp, id, p
}

func TestSoftwareTPMSaysSo(t *testing.T) {
	p := tpmtest.New(t)
	info := open(t, p.Addr).Info()
	if !info.Software || info.Manufacturer != "IBM" || info.Firmware == "" || info.Vendor == "" {
		t.Errorf("Info of swtpm = %+v", info)
	}
}

func TestSignVerifiesWithTheIdentitysKey(t *testing.T) {
	tp, id, _ := station(t)
	digest := sha256.Sum256([]byte("ballots"))
	der, err := tp.Sign(limit(t, time.Minute), digest)
	if err != nil {
		t.Fatal(err)
	}
	key, err := id.Check()
	if err != nil {
		t.Fatal(err)
	}
	if err := dsse.VerifyP256(key, digest, der); err != nil {
		t.Error(err)
	}
	if !tp.Public().Equal(key) || tp.KeyID() != id.KeyID {
		t.Error("Public and KeyID are not those of the identity")
	}
}

func TestCreateNeverTouchesAnExistingIdentity(t *testing.T) {
	tp, id, _ := station(t)
	if _, err := tp.CreateIdentity(limit(t, time.Minute), nil); !errors.Is(err, tpm.ErrExists) {
		t.Fatalf("second CreateIdentity: %v, want ErrExists", err)
	}
	if err := tp.LoadIdentity(limit(t, time.Minute), id); err != nil {
		t.Errorf("the first identity is damaged: %v", err)
	}
}

func TestCounterOnlyGoesForward(t *testing.T) {
	tp, id, p := station(t)
	ctx := limit(t, time.Minute)
	start, err := tp.CounterRead(ctx)
	if err != nil || start != uint64(id.CounterStart) {
		t.Fatalf("CounterRead = %d, %v; want %d", start, err, id.CounterStart)
	}
	last := start
	for range 3 {
		n, err := tp.CounterIncrement(ctx)
		if err != nil || n != last+1 {
			t.Fatalf("CounterIncrement = %d, %v; want %d", n, err, last+1)
		}
		last = n
	}
	q := sha256.Sum256([]byte("checkpoint"))
	st, sig, err := tp.CounterCertify(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := attest.CheckCounter(id.AKPublic, id.CounterPublic, st, sig, q); err != nil || n != last {
		t.Errorf("CheckCounter = %d, %v; want %d", n, err, last)
	}
	// Not a power cut, not removing the identity, takes it back.
	p.Restart()
	if err := tp.LoadIdentity(ctx, id); err != nil {
		t.Fatal(err)
	}
	if n, err := tp.CounterRead(ctx); err != nil || n != last {
		t.Errorf("after a power cut: %d, %v; want %d", n, err, last)
	}
	if err := tp.RemoveIdentity(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := tp.CreateIdentity(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.CounterStart <= int64(last) {
		t.Errorf("a new identity's counter begins at %d, want more than %d", again.CounterStart, last)
	}
	if again.KeyID == id.KeyID {
		t.Error("a new identity has the key of the old one")
	}
	if err := tp.LoadIdentity(ctx, id); !errors.Is(err, tpm.ErrChanged) {
		t.Errorf("the old identity loads from the new: %v", err)
	}
}

func TestLoadNeverCreates(t *testing.T) {
	_, id, _ := station(t)
	empty := open(t, tpmtest.New(t).Addr)
	ctx := limit(t, time.Minute)
	for range 2 {
		if err := empty.LoadIdentity(ctx, id); !errors.Is(err, tpm.ErrNotInitialised) {
			t.Fatalf("LoadIdentity from an empty TPM: %v", err)
		}
	}
	if empty.Public() != nil || empty.KeyID() != "" {
		t.Error("a TPM without identity has a key")
	}
	if _, err := empty.Sign(ctx, [32]byte{}); !found(err, verdict.TPMUnavailable) {
		t.Errorf("Sign without identity: %v", err)
	}
}

func found(err error, want verdict.Reason) bool {
	f, ok := verdict.Find(err)
	return ok && f.Reason == want
}
