package trust_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

func newStore(t *testing.T, o *office) (*trust.Store, string) {
	t.Helper()
	dir := storeDir(t)
	if err := trust.CreateStore(dir, mustEncode(t, o.root), durable.FS{}); err != nil {
		t.Fatal(err)
	}
	return openStore(t, dir), dir
}

func openStore(t *testing.T, dir string) *trust.Store {
	t.Helper()
	s, err := trust.OpenStore(dir, durable.FS{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// version returns the bundle with another version.
func (o *office) version(n int64) trust.Bundle {
	b := o.bundle
	b.Version = n
	return b
}

func current(t *testing.T, s *trust.Store, want int64) {
	t.Helper()
	tr, err := s.Current()
	if want == 0 {
		wantFinding(t, err, verdict.TrustMissing, "")
		return
	}
	if err != nil || tr.Version() != want {
		t.Errorf("Current = version %d, %v; want %d", tr.Version(), err, want)
	}
}

func TestStoreNeverGoesBack(t *testing.T) {
	o := newOffice(t, 2, 1)
	s, dir := newStore(t, o)
	current(t, s, 0)
	three, other3, four := o.signed(t, o.bundle, 1), o.bundle, o.signed(t, o.version(4), 1)
	other3.Issued = "2026-09-02T12:00:00Z"
	install := func(env []byte) error { _, err := s.Install(env); return err }
	for range 2 { // the second time on what was read from disk
		if err := install(three); err != nil {
			t.Fatal(err)
		}
		wantFinding(t, install(o.signed(t, o.version(2), 1)), verdict.Superseded, "version 3 already")
		wantFinding(t, install(o.signed(t, other3, 1)), verdict.Fork, "two different bundles of version 3")
		// The same bundle with more signatures is the same bundle.
		if err := install(o.signed(t, o.bundle, 2)); err != nil {
			t.Error(err)
		}
		current(t, s, 3)
		s = openStore(t, dir)
	}
	if err := install(four); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, install(three), verdict.Superseded, "version 4 already")
	current(t, openStore(t, dir), 4)

	// Removing the bundle from disk does not lower the floor.
	if err := os.Remove(filepath.Join(dir, "bundle.dsse.json")); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	_, err := s.Current()
	wantFinding(t, err, verdict.TrustMissing, "version 4 or later")
	wantFinding(t, install(three), verdict.Superseded, "version 4 already")
	if err := install(four); err != nil {
		t.Error(err)
	}
	// Putting an old one, or another one, in its place is noticed.
	for _, env := range [][]byte{three, o.signed(t, func() trust.Bundle { b := o.version(4); b.Issued = other3.Issued; return b }(), 1)} {
		if err := os.WriteFile(filepath.Join(dir, "bundle.dsse.json"), env, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.OpenStore(dir, durable.FS{}); err == nil {
			t.Error("a restored bundle was opened")
		}
	}
}

func TestStoreRefusesWhatIsNotSigned(t *testing.T) {
	o, stranger := newOffice(t, 2, 2), newOffice(t, 2, 2)
	s, dir := newStore(t, o)
	_, err := s.Install(stranger.signed(t, stranger.bundle, 2))
	wantFinding(t, err, verdict.SignerUnknown, "")
	_, err = s.Install(o.signed(t, o.bundle, 1))
	wantFinding(t, err, verdict.SignerNotPermitted, "1 of the authority's keys signed, 2 must")
	current(t, openStore(t, dir), 0)
	if err := trust.CreateStore(dir, mustEncode(t, stranger.root), durable.FS{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second root: %v", err)
	}
	if err := trust.CreateStore(storeDir(t), []byte(`{"v":1}`), durable.FS{}); err == nil {
		t.Error("a root without keys was pinned")
	}
}

// Each durable step of an installation fails, once without effect and once
// after it took effect: the store opens with the old bundle or with the new
// one, never lets the floor fall, and takes the new one at the next try.
func TestInstallCrashTable(t *testing.T) {
	o := newOffice(t, 1, 1)
	old, next := o.signed(t, o.bundle, 1), o.signed(t, o.version(4), 1)
	errCrash := errors.New("crash")
	steps := 0
	for at := 0; ; at++ {
		for _, tookEffect := range []bool{false, true} {
			s, dir := newStore(t, o)
			if _, err := s.Install(old); err != nil {
				t.Fatal(err)
			}
			n := 0
			hooked, err := trust.OpenStore(dir, durable.FS{Hook: func(step string, done bool) error {
				if done != tookEffect {
					return nil
				}
				n++
				if n-1 == at {
					return errCrash
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			n = 0
			_, err = hooked.Install(next)
			if steps = max(steps, n); n <= at {
				if err != nil {
					t.Fatal(err)
				}
				if steps < 6 {
					t.Fatalf("an installation has %d durable steps, want 6 at least", steps)
				}
				return
			}
			if !errors.Is(err, errCrash) {
				t.Fatalf("step %d: %v", at, err)
			}
			again := openStore(t, dir)
			tr, err := again.Current()
			if err != nil || (tr.Version() != 3 && tr.Version() != 4) {
				t.Fatalf("step %d, took effect %v: version %d, %v", at, tookEffect, tr.Version(), err)
			}
			if tr.Version() == 4 {
				_, err := again.Install(old)
				wantFinding(t, err, verdict.Superseded, "version 4 already")
			}
			if _, err := again.Install(next); err != nil {
				t.Fatalf("step %d, took effect %v: the next try: %v", at, tookEffect, err)
			}
			current(t, openStore(t, dir), 4)
		}
	}
}
