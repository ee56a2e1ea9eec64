package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/verdict"

	"github.com/google/go-tpm/tpm2"
)

// What a bound station does with sessions and loaded objects, each of its
// commands failed once before and once after it took effect: nothing may stay
// in the TPM, and the next try must work.
func TestNothingStaysLoadedAfterAFailure(t *testing.T) {
	tp, f, _ := rig(t)
	ctx := within(t, 2*time.Minute)
	boot := tpmtest.NewKey(t)
	id, err := tp.CreateIdentity(ctx, &boot.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := tp.LoadIdentity(ctx, id); err != nil {
		t.Fatal(err)
	}
	pcrs, err := tp.PCRs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := tp.Approve([]attest.Approval{tpmtest.Approve(t, boot, pcrs)}); err != nil {
		t.Fatal(err)
	}
	blob, err := tp.SealSecret(ctx, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	credential, secret, err := attest.MakeCredential(id.EKPublic, attest.Name(id.AKPublic), []byte("proof"))
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"sign":     func() error { _, err := tp.Sign(ctx, [32]byte{1}); return err },
		"unseal":   func() error { _, err := tp.UnsealSecret(ctx, blob); return err },
		"activate": func() error { _, err := tp.ActivateCredential(ctx, credential, secret); return err },
	} {
		t.Run(name, func(t *testing.T) {
			f.set(nil)
			if err := do(); err != nil {
				t.Fatal(err)
			}
			for at := range f.sent() {
				for _, tookEffect := range []bool{false, true} {
					f.set(func(n int, _ []byte, send func() ([]byte, error)) ([]byte, error) {
						if n != at {
							return send()
						}
						if tookEffect {
							if _, err := send(); err != nil {
								return nil, err
							}
						}
						return nil, errFault
					})
					err := do()
					if !errors.Is(err, errFault) {
						t.Fatalf("command %d, took effect %v: %v", at, tookEffect, err)
					}
					wantUnavailable(t, err)
					f.set(nil)
					nothingLoaded(t, tp)
				}
			}
			if err := do(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A PCR that is extended while a bound key is being used: the TPM itself
// refuses, and the operator reads why.
func TestBootStateThatChangesWhileSigning(t *testing.T) {
	tp, f, p := rig(t)
	ctx := within(t, time.Minute)
	boot := tpmtest.NewKey(t)
	id, err := tp.CreateIdentity(ctx, &boot.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range []tpm2.TPMCC{tpm2.TPMCCLoadExternal, tpm2.TPMCCPolicyAuthorize, tpm2.TPMCCSign} {
		if err := tp.LoadIdentity(ctx, id); err != nil {
			t.Fatal(err)
		}
		pcrs, err := tp.PCRs(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := tp.Approve([]attest.Approval{tpmtest.Approve(t, boot, pcrs)}); err != nil {
			t.Fatal(err)
		}
		f.set(func(_ int, command []byte, send func() ([]byte, error)) ([]byte, error) {
			if tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == before {
				p.Extend(7)
			}
			return send()
		})
		_, err = tp.Sign(ctx, [32]byte{1})
		f.set(nil)
		if f, ok := verdict.Find(err); !ok || f.Reason != verdict.BootStateMismatch {
			t.Errorf("PCR 7 extended before %v: %v, want boot-state-mismatch", before, err)
		}
		nothingLoaded(t, tp)
	}
}

// PCRs that are extended while they are read give values of one moment, or an
// error when it does not end.
func TestPCRsAreOfOneMoment(t *testing.T) {
	tp, f, p := rig(t)
	station(t, tp)
	ctx := within(t, time.Minute)
	f.set(func(n int, _ []byte, send func() ([]byte, error)) ([]byte, error) {
		if n == 1 || n == 3 { // between two parts of one reading
			p.Extend(7)
		}
		return send()
	})
	got, err := tp.PCRs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	f.set(nil)
	if now, err := tp.PCRs(ctx); err != nil || now != got {
		t.Errorf("read %x, now they are %x, %v", got, now, err)
	}
	f.set(func(_ int, command []byte, send func() ([]byte, error)) ([]byte, error) {
		if tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == tpm2.TPMCCQuote && f.sent() < 10 {
			p.Extend(2)
		}
		return send()
	})
	st, sig, pcrs, err := tp.Quote(ctx, [32]byte{5})
	if err != nil {
		t.Fatal(err)
	}
	f.set(nil)
	if now, err := tp.PCRs(ctx); err != nil || now != pcrs || len(st) == 0 || len(sig) == 0 {
		t.Errorf("quoted %x, now they are %x, %v", pcrs, now, err)
	}
	f.set(func(_ int, _ []byte, send func() ([]byte, error)) ([]byte, error) {
		p.Extend(3)
		return send()
	})
	_, err = tp.PCRs(ctx)
	wantUnavailable(t, err)
}

// Close does not wait for the clearing up on a TPM that has stopped.
func TestCloseWhileABoundStationSigns(t *testing.T) {
	p := tpmtest.New(t)
	ch, err := dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{channel: ch}
	tp := start(p.Addr, f)
	boot := tpmtest.NewKey(t)
	ctx := within(t, time.Minute)
	id, err := tp.CreateIdentity(ctx, &boot.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := tp.LoadIdentity(ctx, id); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{}, 1)
	f.set(func(n int, _ []byte, send func() ([]byte, error)) ([]byte, error) {
		if n == 1 { // the session is open
			p.Pause()
			stopped <- struct{}{}
		}
		return send()
	})
	failed := make(chan error, 1)
	go func() {
		_, err := tp.Sign(context.Background(), [32]byte{1})
		failed <- err
	}()
	<-stopped
	if err := tp.Close(); err != nil {
		t.Error(err)
	}
	wantUnavailable(t, <-failed)
}
