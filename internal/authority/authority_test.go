package authority_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/authority"
	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// file is a holder without a TPM.
func file(t *testing.T, holder string) (*tpmtest.Soft, trust.RootKey) {
	t.Helper()
	soft := tpmtest.NewSoft(t)
	k, err := trust.SoftRootKey(holder, trust.InFile, &soft.Key.PublicKey)
	must(t, err)
	return soft, k
}

// The whole ceremony of an authority of three, of whom two must sign: two desks
// with TPMs and a key in a file.
func TestCeremonyOfTwoOfThree(t *testing.T) {
	ctx := context.Background()
	one, two := newDesk(t), newDesk(t)
	carol, carolKey := file(t, "carol")
	keys := []trust.RootKey{one.key("authority-1"), two.key("authority-2"), carolKey}
	if _, _, err := one.Draft(ctx, authority.Changes{}); err == nil || !strings.Contains(err.Error(), "authority init") {
		t.Errorf("a draft without a root: %v", err)
	}
	root, err := one.Found(2, one.soft.KeyID(), keys)
	must(t, err)
	body, err := root.Encode()
	must(t, err)
	adopted, err := two.Adopt(body)
	must(t, err)
	a, err := root.Fingerprint()
	must(t, err)
	if b, err := adopted.Fingerprint(); err != nil || a != b {
		t.Errorf("the desks have the roots %s and %s, %v", a, b, err)
	}

	source := newStation(t, "source-1", trust.Source).boundTo(one).hybrid(1)
	answer := source.asks(one)
	draft, complete, err := one.Draft(ctx, admits(admit(answer)))
	must(t, err)
	if complete {
		t.Error("one of two signatures is enough")
	}
	if _, err := trust.Open(draft, root); err == nil {
		t.Error("a draft is a bundle")
	}
	s, err := one.Status()
	must(t, err)
	if s.Draft == nil || s.Draft.Version != 1 || s.Draft.Missing != 1 || !slices.Equal(s.Draft.Signed, []string{"authority-1"}) || len(s.Pending) != 0 || s.Fingerprint != a {
		t.Errorf("status %+v, draft %+v", s, s.Draft)
	}
	if _, _, err := one.Sign(ctx, draft, nil); err == nil {
		t.Error("a desk signed twice")
	}
	// Either of the others makes it whole.
	byTwo, complete, err := two.Sign(ctx, draft, nil)
	must(t, err)
	if !complete {
		t.Error("two of two signatures are not enough")
	}
	byCarol, complete, err := authority.Sign(ctx, draft, root, carol)
	must(t, err)
	if !complete {
		t.Error("the signature of a key in a file does not count")
	}
	for i, env := range [][]byte{byTwo, byCarol} {
		tr, err := []*desk{one, two}[i].store.Install(trust.Delivery{Bundle: env})
		must(t, err)
		if err := source.seals(tr, 7); err != nil {
			t.Error(err)
		}
		if got := tr.Approvals(source.soft.KeyID()); len(got) != 1 {
			t.Errorf("%d approvals of the boot state, want one", len(got))
		}
	}
	s, err = one.Status()
	must(t, err)
	if s.Installed != 1 || s.Draft != nil {
		t.Errorf("after the installation: %+v", s)
	}
	for name, err := range map[string]error{
		"founding again":    errOf(one.Found(1, "", keys[:1])),
		"adopting again":    errOf(two.Adopt(body)),
		"signing nothing":   second(two.Sign(ctx, nil, nil)),
		"signing a request": second(two.Sign(ctx, answer, nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	stranger := newDesk(t)
	_, err = stranger.Adopt(body)
	wantRefusal(t, err, "is none of its keys")
	_, err = stranger.Found(1, "", keys[1:])
	wantRefusal(t, err, "is none of its keys")
	if stranger.store.Root() != nil {
		t.Error("a root that was refused was pinned")
	}
}

func errOf[T any](_ T, err error) error          { return err }
func second[T, U any](_ T, _ U, err error) error { return err }

// The root goes from one desk to another and to new keys; the next draft is
// made under it.
func TestCeremonyOfARotation(t *testing.T) {
	ctx := context.Background()
	one, two := alone(t, false), newDesk(t)
	source := newStation(t, "source-1", trust.Source)
	one.drafts(admits(admit(source.asks(one))))
	first := one.store.Root()
	draft, err := one.Rotate(ctx, 2, "", []trust.RootKey{one.key("authority-1"), two.key("authority-2")})
	must(t, err)
	_, err = trust.OpenRotation(draft, first)
	wantFinding(t, err, verdict.SignerNotPermitted, "1 of the keys of the next root signed it, 2 must")
	_, complete, err := authority.Sign(ctx, draft, first, two.soft)
	must(t, err)
	if !complete {
		t.Error("both signed and the rotation is not complete")
	}
	signed, _, err := authority.Sign(ctx, draft, first, two.soft)
	must(t, err)
	rotation := trust.Rotation{Version: 2, Envelope: signed}
	_, err = one.store.Install(trust.Delivery{Rotations: []trust.Rotation{rotation}})
	must(t, err)
	// A desk that begins now adopts the present root.
	body, err := one.store.Root().Encode()
	must(t, err)
	_, err = two.Adopt(body)
	must(t, err)

	// What was drafted before is of the root before, and is not built upon.
	env, complete, err := one.Draft(ctx, authority.Changes{})
	must(t, err)
	if complete {
		t.Error("the new root needs two")
	}
	env, complete, err = two.Sign(ctx, env, nil)
	must(t, err)
	if !complete {
		t.Error("two signed")
	}
	// Both old and new stations follow.
	fresh := filepath.Join(memory(t), "trust")
	old, err := first.Encode()
	must(t, err)
	must(t, trust.CreateStore(fresh, old, durable.FS{}))
	late, err := trust.OpenStore(fresh, durable.FS{})
	must(t, err)
	for _, s := range []*trust.Store{one.store, late} {
		tr, err := s.Install(trust.Delivery{Rotations: []trust.Rotation{rotation}, Bundle: env})
		must(t, err)
		if tr.Version() != 2 || tr.RootVersion() != 2 {
			t.Errorf("bundle %d of root %d", tr.Version(), tr.RootVersion())
		}
		if err := source.seals(tr, 7); err != nil {
			t.Error(err)
		}
	}
	if _, err := newDesk(t).Rotate(ctx, 1, "", nil); err == nil {
		t.Error("a desk without a root rotated it")
	}
}

// People say what a station may do; its own wish says who it is.
func TestAdmission(t *testing.T) {
	d := alone(t, false)
	source, ems := newStation(t, "source-1", trust.Source).hybrid(1), newStation(t, "ems-1", trust.EMS)
	a := admit(source.asks(d))
	a.Kinds = []manifest.Kind{manifest.MediaSet, manifest.CVRExport}
	a.Elections = []string{"z", election}
	a.Attested, a.Label, a.PCRs = true, "as delivered", []uint{0, 2}
	tr := d.drafts(admits(a, authority.Admission{Answer: ems.asks(d)}))
	got := entry(t, tr, "source-1")
	if got.Role != trust.Source || got.Jurisdiction != county || got.Name != "Maple County source-1" || !got.Attested ||
		!slices.Equal(got.Kinds, []manifest.Kind{manifest.CVRExport, manifest.MediaSet}) || !slices.Equal(got.Elections, []string{election, "z"}) || len(got.Keys) != 2 {
		t.Errorf("admitted as %+v", got)
	}
	if k := keyOf(t, got, source.soft.KeyID()); k.Proof != trust.ByComparison || !k.SoftwareTPM {
		t.Errorf("the key's proof is %q", k.Proof)
	}
	if k := keyOf(t, got, source.second.KeyID()); k.Beside != source.soft.KeyID() {
		t.Errorf("the second key stands beside %q", k.Beside)
	}
	if len(got.Boot) != 1 || got.Boot[0].Label != "as delivered" || len(got.Boot[0].PCRs) != 4 || len(got.Boot[0].Approvals) != 0 {
		t.Errorf("boot states %+v", got.Boot)
	}
	if e := entry(t, tr, "ems-1"); len(e.Kinds) != 0 || len(e.Boot) != 0 || e.Attested {
		t.Errorf("a station that was given nothing is %+v", e)
	}
	if err := source.seals(tr, 7); err != nil {
		t.Error(err)
	}
	// A kind that the role never seals is nothing that people can give.
	kiosk := newStation(t, "kiosk-1", trust.Kiosk)
	wantRefusal(t, d.refuses(admits(admit(kiosk.asks(d)))), "never seals the kind")
	// What could not be drafted can be drafted still.
	d.drafts(admits(authority.Admission{Answer: kiosk.asks(d), Kinds: []manifest.Kind{manifest.MediaSet}}))
}

func TestAnswersThatAreWrong(t *testing.T) {
	d := alone(t, false)
	source, other := newStation(t, "source-1", trust.Source), newStation(t, "source-2", trust.Source)
	request := source.request()
	good := source.answers(d, request)
	change := func(f func(*trust.Answer)) []byte {
		a, err := trust.DecodeAnswer(good)
		must(t, err)
		f(a)
		body, err := a.Encode()
		must(t, err)
		return body
	}
	wantFinding(t, d.refuses(admits(admit(change(func(a *trust.Answer) { a.Secret[0] ^= 1 })))), verdict.SignatureInvalid, "does not hold the secret")
	wantFinding(t, d.refuses(admits(admit(change(func(a *trust.Answer) { a.StationID = "source-2" })))), verdict.SignerUnknown, "it answers for station source-2")
	wantFinding(t, d.refuses(admits(admit(change(func(a *trust.Answer) { a.Request = strings.Repeat("0", 64) })))), verdict.SignerUnknown, "no challenge for request")
	wantFinding(t, d.refuses(admits(admit(nil))), verdict.ManifestMalformed, "enrolment answer")
	// The answer of another station to another challenge.
	theirs, err := trust.DecodeAnswer(other.asks(d))
	must(t, err)
	wantFinding(t, d.refuses(admits(admit(change(func(a *trust.Answer) { a.Secret = theirs.Secret })))), verdict.SignatureInvalid, "does not hold the secret")
	// One answer that is wrong spoils the draft, and none is used up.
	wantFinding(t, d.refuses(admits(admit(good), admit(change(func(a *trust.Answer) { a.Secret[0] ^= 1 })))), verdict.SignatureInvalid, "does not hold the secret")
	// A second challenge takes the place of the first.
	again := source.answers(d, request)
	wantFinding(t, d.refuses(admits(admit(good))), verdict.SignatureInvalid, "does not hold the secret")
	s, err := d.Status()
	must(t, err)
	if len(s.Pending) != 2 || s.Pending[0].Proof != trust.ByComparison {
		t.Errorf("under way are %+v", s.Pending)
	}
	d.drafts(admits(admit(again)))
	// And it counts once.
	wantFinding(t, d.refuses(admits(admit(again))), verdict.SignerUnknown, "or has admitted it already")

	// Nobody is challenged whose endorsement key is not known.
	_, _, err = d.Challenge(request, other.ek())
	wantFinding(t, err, verdict.SignerUnknown, "the machine's was given as")
	_, _, err = d.Challenge(request[1:], source.ek())
	wantFinding(t, err, verdict.ManifestMalformed, "enrolment request")
}

// A station whose key this authority could never release is not challenged.
func TestStationsOfAnotherBootKey(t *testing.T) {
	d, other, free := alone(t, true), alone(t, true), alone(t, false)
	for name, s := range map[string]*station{
		"bound to another": newStation(t, "source-1", trust.Source).boundTo(other), "not bound": newStation(t, "source-2", trust.Source),
	} {
		_, _, err := d.Challenge(s.request(), s.ek())
		t.Run(name, func(t *testing.T) { wantFinding(t, err, verdict.SignerNotPermitted, "bound to another boot key") })
	}
	s := newStation(t, "source-1", trust.Source).boundTo(d)
	_, _, err := free.Challenge(s.request(), s.ek())
	wantFinding(t, err, verdict.SignerNotPermitted, "bound to another boot key")
	// An authority's own key is bound to nothing.
	a := newStation(t, "authority-2", trust.Authority)
	must(t, second(d.Challenge(a.request(), a.ek())))
	must(t, second(d.Challenge(s.request(), s.ek())))
}

// A station gets a new TPM: its old one hands over, or is lost.
func TestReplacement(t *testing.T) {
	enrolled := func(t *testing.T) (*desk, *station, *station) {
		d := alone(t, false)
		old := newStation(t, "source-1", trust.Source).hybrid(1)
		d.drafts(admits(admit(old.asks(d))))
		return d, old, newStation(t, "source-1", trust.Source).hybrid(2)
	}
	check := func(t *testing.T, tr *trust.Trusted, old, next *station, last int64) {
		t.Helper()
		if last > 0 {
			if err := old.seals(tr, last); err != nil {
				t.Errorf("what the old key sealed up to %d: %v", last, err)
			}
		}
		wantFinding(t, old.seals(tr, last+1), verdict.SignerRevoked, "revoked")
		if err := next.seals(tr, 1); err != nil {
			t.Errorf("what the new key seals: %v", err)
		}
		if s := entry(t, tr, "source-1"); len(s.Keys) != 4 || *keyOf(t, s, old.second.KeyID()).RevokedAfterSeq != last {
			t.Errorf("keys %+v", s.Keys)
		}
	}
	t.Run("handed over", func(t *testing.T) {
		d, old, next := enrolled(t)
		request := next.request()
		handover, err := trust.NewHandover(t.Context(), request, 40, "source-1", old.soft)
		must(t, err)
		a := admit(next.answers(d, request))
		wantRefusal(t, d.refuses(admits(a)), "give the old station's hand-over")
		a.Handover = handover[1:]
		wantFinding(t, d.refuses(admits(a)), verdict.ManifestMalformed, "hand-over")
		stolen, err := trust.NewHandover(t.Context(), request, 40, "source-1", tpmtest.NewSoft(t))
		must(t, err)
		a.Handover = stolen
		wantFinding(t, d.refuses(admits(a)), verdict.SignerUnknown, "hand-over")
		a.Handover = handover
		tr := d.drafts(admits(a))
		check(t, tr, old, next, 40)
		// Once more it is worth nothing, and neither is it for another request.
		third := newStation(t, "source-1", trust.Source)
		b := admit(third.asks(d))
		b.Handover = handover
		wantFinding(t, d.refuses(admits(b)), verdict.SignerNotPermitted, "not what was asked for")
	})
	t.Run("lost", func(t *testing.T) {
		d, old, next := enrolled(t)
		a := admit(next.asks(d))
		a.Replace, a.RevokeAfter = true, 30
		check(t, d.drafts(admits(a)), old, next, 30)
	})
	t.Run("lost and never trusted", func(t *testing.T) {
		d, old, next := enrolled(t)
		a := admit(next.asks(d))
		a.Replace = true
		check(t, d.drafts(admits(a)), old, next, 0)
	})
	t.Run("nobody was there", func(t *testing.T) {
		d := alone(t, false)
		a := admit(newStation(t, "source-9", trust.Source).asks(d))
		a.Replace = true
		wantRefusal(t, d.refuses(admits(a)), "as the follower of another")
		a.Replace, a.Handover = false, []byte("{}")
		wantRefusal(t, d.refuses(admits(a)), "as the follower of another")
	})
	t.Run("as something else", func(t *testing.T) {
		d, old, next := enrolled(t)
		next.role = trust.Kiosk
		a := authority.Admission{Answer: next.asks(d), Replace: true}
		wantRefusal(t, d.refuses(admits(a)), "a key never changes that")
		// Nor does the old key itself come back as something else.
		old.role = trust.Kiosk
		wantRefusal(t, d.refuses(admits(authority.Admission{Answer: old.asks(d)})), "a key never changes that")
		old.role = trust.Source
		a.Answer = old.asks(d, func(r *trust.Request) { r.Jurisdiction = "us" })
		wantRefusal(t, d.refuses(admits(a)), "a key never changes that")
	})
	t.Run("the same key again", func(t *testing.T) {
		d, old, _ := enrolled(t)
		d.drafts(authority.Changes{Revoke: []authority.Revocation{{Station: "source-1", After: 20}}})
		a := admit(old.asks(d))
		a.Elections = nil
		tr := d.drafts(admits(a))
		if s := entry(t, tr, "source-1"); len(s.Keys) != 2 || len(s.Elections) != 0 || *keyOf(t, s, old.soft.KeyID()).RevokedAfterSeq != 20 {
			t.Errorf("asking again gave %+v", s)
		}
	})
}

// A key that is enrolled for one station never comes to another.
func TestAKeyOfTwoStations(t *testing.T) {
	d := alone(t, false)
	s := newStation(t, "source-1", trust.Source)
	d.drafts(admits(admit(s.asks(d))))
	s.id = "source-2"
	wantRefusal(t, d.refuses(admits(admit(s.asks(d)))), "of station source-1")
}

// A draft that the others refuse is forgotten; what it changed is not in the next.
// A holder signs nothing that would stand beside what is installed.
func TestDiscardedDrafts(t *testing.T) {
	ctx := context.Background()
	d := alone(t, false)
	wantRefusal(t, d.Discard(), "no draft")
	s, other := newStation(t, "source-1", trust.Source), newStation(t, "source-2", trust.Source)
	d.drafts(admits(admit(s.asks(d))))
	first, _, err := d.Draft(ctx, admits(admit(other.asks(d)))) // not installed
	must(t, err)
	if st, err := d.Status(); err != nil || st.Draft == nil || st.Draft.Version != 2 {
		t.Errorf("on the desk is %+v, %v", st, err)
	}
	must(t, d.Discard())
	d.open(durable.FS{})
	if st, err := d.Status(); err != nil || st.Draft != nil {
		t.Errorf("on the desk is still %+v, %v", st, err)
	}
	if tr := d.drafts(authority.Changes{}); tr.Version() != 2 || len(tr.Stations()) != 1 {
		t.Errorf("version %d with %d stations, want 2 with 1", tr.Version(), len(tr.Stations()))
	}
	_, _, err = d.Sign(ctx, first, nil)
	wantFinding(t, err, verdict.Superseded, "version 2 is installed")
}
