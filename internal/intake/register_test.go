package intake_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/testmedia"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// book is a register that a test steers. It objects to being asked too late, or
// told what it did not ask for.
type book struct {
	r       *rig
	id      string
	against []verdict.Finding
	look    error // instead of looking
	use     error

	seen    []intake.Facts
	used    []verdict.Verdict
	reasons []verdict.Reason
}

func (b *book) Look(_ context.Context, m intake.Facts) (string, []verdict.Finding, error) {
	if len(b.r.entries("package")) > 0 || len(b.r.entries("medium.read")) != 1 {
		b.r.t.Error("the register is asked when packages were looked at, or nothing was read")
	}
	b.seen = append(b.seen, m)
	return b.id, b.against, b.look
}

func (b *book) Used(_ context.Context, m intake.Facts, v verdict.Verdict, reasons []verdict.Reason, entry int64) error {
	e := b.r.entries(string(audit.MediumVerdict))
	if len(e) != 1 || e[0].Seq != entry || string(e[0].Outcome) != string(v) || m.Registered != b.id {
		b.r.t.Errorf("the register is told %s, entry %d, of %+v; the log has %+v", v, entry, m, e)
	}
	b.used, b.reasons = append(b.used, v), reasons
	return b.use
}

// withBook makes a station that goes by a register.
func withBook(t *testing.T, b *book) *rig {
	return newRig(t, func(r *rig) { b.r, r.cfg.Register = r, b })
}

func TestTheRegisterIsAskedBeforeAnythingIsAdmitted(t *testing.T) {
	b := &book{id: "0123456789abcdef"}
	r := withBook(t, b)
	s := r.stick(r.medium(nil, r.set()))
	rep := s.insert()
	r.wants(rep, verdict.Accepted, 0)
	if len(b.seen) != 1 || b.seen[0].Device == nil || b.seen[0].Device.Serial != "4C53" || len(b.seen[0].Volumes) != 1 || b.seen[0].Volumes[0].ID == "" {
		t.Errorf("the register saw %+v", b.seen)
	}
	if !slices.Equal(b.used, []verdict.Verdict{verdict.Accepted}) || len(b.reasons) > 0 || rep.Medium.Registered != b.id {
		t.Errorf("used %v for %v, the report says %q", b.used, b.reasons, rep.Medium.Registered)
	}
	item, err := r.vault.Get(rep.Packages[0].Item)
	r.must(err)
	defer item.Close()
	if f, err := intake.ReadFacts(item); err != nil || f.Medium.Registered != b.id {
		t.Errorf("the item says %+v, %v", f.Medium, err)
	}
}

// What the register has against a medium holds all of it: each package, and files
// that belong to none.
func TestWhatTheRegisterHasAgainstAMedium(t *testing.T) {
	for _, reason := range []verdict.Reason{verdict.MediumReused, verdict.MediumUnknown, verdict.CustodyBroken} {
		t.Run(string(reason), func(t *testing.T) {
			b := &book{against: []verdict.Finding{*verdict.New(reason, "medium", "test")}}
			if reason != verdict.MediumUnknown {
				b.id = "0123456789abcdef"
			}
			r := withBook(t, b)
			first := r.set()
			rep := r.insert(r.medium(nil, first, r.definition()))
			r.wants(rep, verdict.Held, 3, reason)
			if len(rep.Packages) != 2 || len(rep.Packages[0].Findings) != 1 || len(rep.Packages[1].Findings) != 1 || len(b.used) > 0 {
				t.Errorf("%+v, used %v", rep.Packages, b.used)
			}
			r.nothingAdmitted()
			stray := withBook(t, b)
			stray.wants(stray.insert(stray.medium(testmedia.Files{"x.txt": []byte("x")})), verdict.Held, 3, verdict.NoManifest, reason)
		})
	}
}

// A medium that is not to be found, where that is no reason, is read as ever.
func TestAMediumThatTheRegisterDoesNotKnow(t *testing.T) {
	b := &book{}
	r := withBook(t, b)
	r.wants(r.insert(r.medium(nil, r.set())), verdict.Accepted, 0)
	if len(b.used) > 0 {
		t.Error("the register is told of a medium that it does not know")
	}
}

func TestTheRegisterIsToldHowItEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	b := &book{id: "0123456789abcdef"}
	r := withBook(t, b)
	r.progress = cancel // in the middle of the reading
	rep, err := r.tryInsert(ctx, r.medium(nil, r.set()))
	r.must(err)
	if rep.Verdict != verdict.Held || !slices.Contains(b.reasons, verdict.Interrupted) {
		t.Errorf("%s, the register is told %v", rep.Verdict, b.reasons)
	}
}

// A register that fails ends the intake: nothing is decided without it.
func TestARegisterThatFails(t *testing.T) {
	broken := errors.New("the register failed")
	for name, b := range map[string]*book{"when it is asked": {look: broken}, "when it is told": {id: "0123456789abcdef", use: broken}} {
		t.Run(name, func(t *testing.T) {
			r := withBook(t, b)
			img := r.medium(nil, r.set())
			if _, err := r.tryInsert(t.Context(), img); !errors.Is(err, broken) {
				t.Fatal(err)
			}
			if _, err := r.tryInsert(t.Context(), img); err == nil {
				t.Error("the next medium was taken")
			}
			if name == "when it is asked" && len(r.items(vault.Admitted)) > 0 {
				t.Error("a package was admitted")
			}
			b.look, b.use = nil, nil
			r.reopen()
		})
	}
}

// reopen is a stop and a start.
func (r *rig) reopen() {
	r.t.Helper()
	r.close()
	r.open(durable.FS{})
}
