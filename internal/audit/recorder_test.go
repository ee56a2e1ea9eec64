package audit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/translog"
)

const (
	origin = "sallyport.example/ems-1"
	bootA  = "11111111-2222-3333-4444-555555555555"
	bootB  = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
)

// softKey signs like a station's TPM would.
type softKey struct{ key *ecdsa.PrivateKey }

func newSoftKey(t testing.TB) softKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return softKey{k}
}

func (s softKey) KeyID() string            { return "unused" }
func (s softKey) Public() *ecdsa.PublicKey { return &s.key.PublicKey }
func (s softKey) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, s.key, digest[:])
}

// station is one audit log in a folder, opened and closed at will.
type station struct {
	t    *testing.T
	dir  string
	key  softKey
	wall time.Time
	mono time.Duration
	boot string
	bad  bool // the station does not vouch for its clock
	log  *translog.Log
	rec  *audit.Recorder
}

func newStation(t *testing.T) *station {
	t.Helper()
	s := &station{t: t, dir: filepath.Join(t.TempDir(), "log"), key: newSoftKey(t), boot: bootA,
		wall: time.Date(2026, 11, 3, 7, 0, 0, 0, time.UTC)}
	if err := translog.Create(s.dir, origin, translog.Options{}); err != nil {
		t.Fatal(err)
	}
	s.open()
	return s
}

func (s *station) clock() audit.Reading {
	s.wall, s.mono = s.wall.Add(time.Second), s.mono+time.Second
	return audit.Reading{Wall: s.wall, Mono: s.mono, Trusted: !s.bad}
}

func (s *station) tryOpen(signer translog.Signer) error {
	s.t.Helper()
	l, err := translog.Open(s.dir, translog.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.log = l
	s.rec, err = audit.Open(s.t.Context(), l, signer, audit.Options{Clock: s.clock, Boot: s.boot})
	return err
}

func (s *station) open() {
	s.t.Helper()
	if err := s.tryOpen(s.key); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.log.Close() })
}

// restart is a stop without warning: nothing is written.
func (s *station) restart() {
	s.t.Helper()
	if err := s.log.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.open()
}

func (s *station) event(id audit.EventID) {
	s.t.Helper()
	if err := s.rec.Event(s.t.Context(), audit.Event{ID: id}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *station) intent(id audit.EventID, pkg string) audit.Intent {
	s.t.Helper()
	in, err := s.rec.Intent(s.t.Context(), audit.Event{ID: id, Subject: audit.Subject{Package: pkg}})
	if err != nil {
		s.t.Fatal(err)
	}
	return in
}

func (s *station) entries() []audit.Entry {
	s.t.Helper()
	var out []audit.Entry
	for e, err := range audit.Query(s.log, audit.Filter{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func (s *station) openSeqs() []int64 {
	s.t.Helper()
	es, err := s.rec.OpenIntents()
	if err != nil {
		s.t.Fatal(err)
	}
	var seqs []int64
	for _, e := range es {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

func TestIntentsSurviveRestartsUntilTheirOutcome(t *testing.T) {
	s := newStation(t)
	a := s.intent(audit.PackageStage, "a")
	b := s.intent(audit.PackageAdmit, "b")
	if err := a.Outcome(t.Context(), audit.Success, nil); err != nil {
		t.Fatal(err)
	}
	if err := a.Outcome(t.Context(), audit.Failure, nil); err == nil {
		t.Error("an intent took a second outcome")
	}
	for range 3 {
		s.restart()
		s.event(audit.StationStart)
		es, err := s.rec.OpenIntents()
		if err != nil || len(es) != 1 || es[0].Seq != b.Seq() || es[0].Subject.Package != "b" || es[0].Event != audit.PackageAdmit {
			t.Fatalf("open intents after a restart: %+v, %v", es, err)
		}
	}
	es, _ := s.rec.OpenIntents()
	in, err := s.rec.Resume(es[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Outcome(t.Context(), audit.Interrupted, map[string]string{"detail": "found at start"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.rec.Resume(es[0]); err == nil {
		t.Error("an intent with an outcome was resumed")
	}
	s.restart()
	if seqs := s.openSeqs(); len(seqs) != 0 {
		t.Errorf("open intents after the last outcome: %v", seqs)
	}
	if err := (audit.Intent{}).Outcome(t.Context(), audit.Success, nil); err == nil {
		t.Error("the zero intent took an outcome")
	}
}

func TestMoreOpenIntentsThanOneEntrySumsUp(t *testing.T) {
	s := newStation(t)
	const n = 400
	for range n {
		s.intent(audit.PackageStage, "p")
	}
	for range 2 {
		s.restart()
		if got := len(s.openSeqs()); got != n {
			t.Fatalf("%d open intents after a restart, want %d", got, n)
		}
	}
	if _, ok := s.entries()[n+1].Fields["open_intents"]; ok {
		t.Error("log.opened sums up more intents than fit")
	}
}

func TestMisuseIsRefusedAndHarmless(t *testing.T) {
	s := newStation(t)
	ctx := t.Context()
	size := s.log.Size()
	for name, ev := range map[string]audit.Event{
		"unknown event":     {ID: "made.up"},
		"undeclared field":  {ID: audit.StationStart, Fields: map[string]string{"password": "x"}},
		"unknown outcome":   {ID: audit.MediumVerdict, Outcome: "fine"},
		"action as a fact":  {ID: audit.PackageAdmit},
		"no event":          {},
		"field of another ": {ID: audit.ConfigLoaded, Fields: map[string]string{"ballots": "3"}},
	} {
		if err := s.rec.Event(ctx, ev); err == nil {
			t.Errorf("%s was recorded", name)
		}
	}
	for name, ev := range map[string]audit.Event{
		"fact as an action":   {ID: audit.StationStart},
		"intent with outcome": {ID: audit.PackageAdmit, Outcome: audit.Success},
	} {
		if _, err := s.rec.Intent(ctx, ev); err == nil {
			t.Errorf("%s was recorded", name)
		}
	}
	in := s.intent(audit.PackageAdmit, "p")
	if err := in.Outcome(ctx, "", nil); err == nil {
		t.Error("an action ended without an outcome")
	}
	if err := in.Outcome(ctx, audit.Success, nil); err != nil {
		t.Errorf("a misuse made the recorder stop: %v", err)
	}
	if got := s.log.Size(); got != size+2 {
		t.Errorf("%d entries, want %d", got, size+2)
	}
}

func TestForeignTextCannotStopOrFoolTheLog(t *testing.T) {
	s := newStation(t)
	for _, d := range audit.Catalogue() {
		for _, evil := range []string{strings.Repeat(`"`, 100_000), strings.Repeat("\x00\xff", 50_000), strings.Repeat("\U000e0001", 20_000),
			strings.Repeat("ä", 90_000), "a\x1b[31m\u202eb\n{\"seq\":0}", strings.Repeat(`\`, 5000)} {
			ev := audit.Event{ID: d.ID, Fields: map[string]string{}, Subject: audit.Subject{Medium: evil, Package: evil, Manifest: evil, Station: evil, Person: evil}}
			for _, f := range d.Fields {
				ev.Fields[f] = evil
			}
			if d.ID == audit.LogOpened {
				continue // only the recorder itself writes it
			}
			var err error
			if d.Action {
				_, err = s.rec.Intent(t.Context(), ev)
			} else {
				err = s.rec.Event(t.Context(), ev)
			}
			if err != nil {
				t.Fatalf("%s with %.10q: %v", d.ID, evil, err)
			}
		}
	}
	for _, e := range s.entries() {
		for _, v := range e.Fields {
			if strings.ContainsAny(v, "\x00\x1b\u202e\n") {
				t.Fatalf("entry %d holds raw foreign text %q", e.Seq, v)
			}
		}
	}
}

func TestWallTimeIsTrustedOnlyForwards(t *testing.T) {
	s := newStation(t)
	noon := time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		wall    time.Time
		bad     bool
		restart bool
		want    bool
	}{
		{wall: noon, want: true},
		{wall: noon.Add(-time.Hour), want: false},
		{wall: noon.Add(-time.Minute), want: false}, // later than the last entry, but not than noon
		{wall: noon.Add(-time.Second), restart: true, want: false},
		{wall: noon.Add(time.Hour), bad: true, want: false},
		{wall: noon.Add(time.Minute), want: true}, // an untrusted time raises no floor
		{wall: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), want: false},
		{wall: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), want: false},
		{wall: noon.Add(2 * time.Hour), want: true},
	} {
		s.wall, s.bad = step.wall, step.bad
		if step.restart {
			s.restart()
			s.wall = step.wall
		}
		s.event(audit.StationStart)
		all := s.entries()
		if e := all[len(all)-1]; e.WallTrusted != step.want {
			t.Errorf("step %d: %s trusted=%v, want %v", i, e.Wall, e.WallTrusted, step.want)
		}
	}
}

func TestMonotonicTimeNeverGoesBackWithinABoot(t *testing.T) {
	s := newStation(t)
	s.mono = time.Hour
	s.event(audit.StationStart)
	s.mono = time.Minute
	s.event(audit.StationStart)
	s.boot, s.mono = bootB, 0
	s.restart()
	var last audit.Entry
	for i, e := range s.entries() {
		if i > 0 && e.Boot == last.Boot && e.MonoUS < last.MonoUS {
			t.Errorf("entry %d at %d µs after %d µs of the same boot", i, e.MonoUS, last.MonoUS)
		}
		last = e
	}
	if last.Boot != bootB || last.MonoUS > 10_000_000 {
		t.Errorf("the new boot did not start its own clock: %+v", last)
	}
}

func TestALogOfAnotherKeyIsNotContinued(t *testing.T) {
	s := newStation(t)
	s.log.Close()
	if err := s.tryOpen(newSoftKey(t)); !errors.Is(err, translog.ErrTampered) {
		t.Errorf("another station's key continued the log: %v", err)
	}
	s.log.Close()
}

// keysOf is the key list a verifier gets.
func keysOf(s translog.Signer) []*ecdsa.PublicKey { return []*ecdsa.PublicKey{s.Public()} }
