package audit_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/translog"
)

var errInjected = errors.New("injected")

// failAt makes the n-th durable step fail, before or after its effect, and all
// later ones without effect.
func failAt(n int, after bool) durable.FS {
	seen, dead := 0, false
	return durable.FS{Hook: func(_ string, done bool) error {
		if !done {
			seen++
		}
		if dead || seen-1 == n && done == after {
			dead = true
			return errInjected
		}
		return nil
	}}
}

// TestACrashLosesNoIntent fails each durable step of two actions and starts
// again: what was acknowledged must be known, and an action that was announced
// must be open or ended.
func TestACrashLosesNoIntent(t *testing.T) {
	for n, finished := 0, false; !finished; n++ {
		for _, after := range []bool{false, true} {
			s := newStation(t)
			s.log.Close()
			begun, ended, ok := twoActions(t, s, failAt(n, after))
			finished = ok
			s.open()
			var open []string
			es, err := s.rec.OpenIntents()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range es {
				open = append(open, e.Subject.Package)
			}
			for _, p := range begun {
				if slices.Contains(ended, p) == slices.Contains(open, p) && !closedUnacknowledged(s, p) {
					t.Errorf("step %d after=%v: begun %v, ended %v, open %v", n, after, begun, ended, open)
				}
			}
			for _, p := range open {
				if slices.Contains(ended, p) {
					t.Errorf("step %d after=%v: %s ended and is open again", n, after, p)
				}
			}
			if r := s.verify(); !r.OK() || r.Unsealed != 0 {
				t.Errorf("step %d after=%v: %+v", n, after, r)
			}
			s.log.Close()
		}
	}
}

// closedUnacknowledged says whether the outcome of p's action is in the log
// although its writer was told that it failed.
func closedUnacknowledged(s *station, p string) bool {
	for e, err := range audit.Query(s.log, audit.Filter{About: p, Outcome: audit.Success}) {
		if err == nil && e.Phase == audit.PhaseOutcome {
			return true
		}
	}
	return false
}

// twoActions returns the packages whose intents and whose outcomes were acknowledged.
func twoActions(t *testing.T, s *station, fs durable.FS) (begun, ended []string, ok bool) {
	t.Helper()
	l, err := translog.Open(s.dir, translog.Options{FS: fs, SegmentBytes: 600})
	if err != nil {
		return nil, nil, false
	}
	defer l.Close()
	rec, err := audit.Open(t.Context(), l, s.key, audit.Options{Clock: s.clock, Boot: s.boot})
	if err != nil {
		return nil, nil, false
	}
	for _, p := range []string{"p1", "p2"} {
		in, err := rec.Intent(t.Context(), audit.Event{ID: audit.PackageStage, Subject: audit.Subject{Package: p}})
		if err != nil {
			if err := rec.Event(t.Context(), audit.Event{ID: audit.StationStop}); !errors.Is(err, errInjected) {
				t.Errorf("the recorder went on after a failure: %v", err)
			}
			return begun, ended, false
		}
		begun = append(begun, p)
		if err := in.Outcome(t.Context(), audit.Success, nil); err != nil {
			return begun, ended, false
		}
		ended = append(ended, p)
		if err := rec.Checkpoint(t.Context()); err != nil {
			return begun, ended, false
		}
	}
	return begun, ended, true
}

// TestSealedByATPM seals with a real swtpm and verifies without one.
func TestSealedByATPM(t *testing.T) {
	addr, _ := tpmtest.Start(t)
	dev, err := tpm.Open(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	id, err := dev.CreateIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.LoadIdentity(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var signer translog.Signer = dev.LogSigner()
	if want, err := translog.KeyID(signer.Public()); err != nil || signer.KeyID() != want {
		t.Errorf("the TPM's key id is %s, the log's is %s, %v", signer.KeyID(), want, err)
	}
	s := &station{t: t, dir: filepath.Join(t.TempDir(), "log"), boot: bootA, wall: time.Date(2026, 11, 3, 7, 0, 0, 0, time.UTC)}
	if err := translog.Create(s.dir, origin, translog.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.tryOpen(signer); err != nil {
		t.Fatal(err)
	}
	defer s.log.Close()
	s.event(audit.StationStart)
	if err := s.rec.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := audit.Verify(t.Context(), s.dir, translog.VerifyOptions{Keys: keysOf(signer)})
	if err != nil || !r.OK() || r.Checkpoints != 2 || r.Sealed != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if !strings.HasPrefix(string(s.rec.LastCheckpoint()), origin+"\n2\n") {
		t.Errorf("last checkpoint %q", s.rec.LastCheckpoint())
	}
}
