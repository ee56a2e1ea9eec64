package station_test

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/authority"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/testmedia"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// holder is somebody with a key of the authority, whose station is not needed.
type holder struct {
	*tpmtest.Soft
	record []byte
}

// newHolder makes a holder with a key in a TPM, or, soft, in a file.
func newHolder(t testing.TB, name string, soft bool) holder {
	t.Helper()
	h := holder{Soft: tpmtest.NewSoft(t)}
	k, err := trust.TPMRootKey(name, h.Identity)
	if soft {
		k, err = trust.SoftRootKey(name, trust.InFile, &h.Key.PublicKey)
	}
	if err == nil {
		h.record, err = trust.NewSignerRecord(t.Context(), k, h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// adds signs a draft of a bundle.
func (h holder) adds(t testing.TB, draft, root []byte) []byte {
	t.Helper()
	r, err := trust.ParseRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := authority.Sign(t.Context(), draft, r, h)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// deskOperations are all that only an authority does, but for what founds it.
func deskOperations(request, draft []byte) map[string]any {
	return map[string]any{
		station.OpAuthorityChallenge: station.ChallengeArgs{Request: request, EKSHA256: "00"},
		station.OpAuthorityDraft:     station.DraftArgs{},
		station.OpAuthorityRotate:    station.FoundArgs{Threshold: 1},
		station.OpAuthoritySign:      station.SignArgs{Draft: draft},
	}
}

func TestAnAuthorityWithoutRootSaysSo(t *testing.T) {
	o := newOffice(t)
	req := o.source.request(t)
	n := newNode(t, "authority-2", "authority")
	n.init(nil)
	n.with(func(s *station.Station) {
		if st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{}); st.Root != nil || st.Installed != 0 {
			t.Errorf("on the desk are %+v", st)
		}
		for op, args := range deskOperations(req.Body, o.bundle) {
			refuses(t, s, op, args, "usage", "no root yet", "sallyport authority init", "sallyport authority adopt")
		}
		refuses(t, s, station.OpTrustRoot, station.NoArgs{}, "not-found", "no root yet", "sallyport authority init")
		refuses(t, s, station.OpTrustInstall, delivery(o.bundle), "trust-missing", "no root yet")
		refuses(t, s, station.OpTrustShow, station.NoArgs{}, "trust-missing")
		refuses(t, s, station.OpTrustDelivery, station.NoArgs{}, "trust-missing")
		refuses(t, s, station.OpSeal, note(t), "trust-missing")
		rep, err := insert(s, testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 12}, testmedia.Files{"x": []byte("x")}))
		if err != nil || rep.Verdict != verdict.Refused || rep.ExitCode() != 5 || rep.Findings[0].Reason != verdict.TrustMissing {
			t.Errorf("a medium: %+v, %v", rep, err)
		}
	})
	t.Run("nor has any other station a desk", func(t *testing.T) {
		o.source.with(func(s *station.Station) {
			all := deskOperations(req.Body, o.bundle)
			all[station.OpAuthorityFound], all[station.OpAuthorityAdopt], all[station.OpAuthorityStatus] = station.FoundArgs{Threshold: 1}, station.AdoptArgs{Root: o.root}, station.NoArgs{}
			all[station.OpAuthorityKey] = station.NoArgs{}
			for op, args := range all {
				refuses(t, s, op, args, "usage", "this station is a source; only an authority does that")
			}
		})
	})
}

func TestARootIsMadeOnce(t *testing.T) {
	o := newDesk(t)
	other := newOffice(t)
	o.authority.with(func(s *station.Station) {
		refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{}, "usage", "lists 0 stations")
		refuses(t, s, station.OpAuthorityFound, station.FoundArgs{Threshold: 1}, "usage", "this station has one", "sallyport authority rotate")
		refuses(t, s, station.OpAuthorityAdopt, station.AdoptArgs{Root: o.root}, "usage", "this station has one")
		refuses(t, s, station.OpAuthorityAdopt, station.AdoptArgs{Root: other.root}, "usage", "is none of its keys")
		refuses(t, s, station.OpAuthorityAdopt, station.AdoptArgs{Root: []byte("{}")}, "manifest-malformed", "trust root")
		if got := asked[station.Document](t, s, station.OpTrustRoot, station.NoArgs{}); string(got.Body) != string(o.root) || got.Fingerprint != trust.Fingerprint(o.root) {
			t.Errorf("the root is now %s", got.Body)
		}
		wantSaid(t, s, audit.AuthorityRoot, "success", "refused", "refused", "refused", "refused manifest-malformed")
	})
}

// What people got wrong about a root is told in words about the root, and nothing
// is founded.
func TestFoundRefuses(t *testing.T) {
	n := newNode(t, "authority", "authority")
	n.init(nil)
	clerk, twin := newHolder(t, "clerk", true), newHolder(t, "clerk", false)
	elsewhere := newHolder(t, "elsewhere", false)
	n.with(func(s *station.Station) {
		for name, c := range map[string]struct {
			args station.FoundArgs
			code string
			says string
		}{
			"more signatures than keys": {station.FoundArgs{Threshold: 3, Signers: [][]byte{clerk.record}}, "usage", "threshold: is 3, must be 1 to 2"},
			"no signature":              {station.FoundArgs{}, "usage", "threshold: is 0"},
			"a record twice":            {station.FoundArgs{Threshold: 1, Signers: [][]byte{clerk.record, clerk.record}}, "usage", "hold none twice"},
			"one holder with two keys":  {station.FoundArgs{Threshold: 1, Signers: [][]byte{clerk.record, twin.record}}, "usage", "clerk holds two of them"},
			"what is no record":         {station.FoundArgs{Threshold: 1, Signers: [][]byte{[]byte("{}")}}, "manifest-malformed", "signer record"},
			"a boot key of nobody":      {station.FoundArgs{Threshold: 1, BootHolder: "nobody"}, "usage", `"nobody" holds none of these keys`},
			"a boot key in a file":      {station.FoundArgs{Threshold: 1, Signers: [][]byte{clerk.record}, BootHolder: "clerk"}, "usage", "clerk is no authority station"},
		} {
			t.Run(name, func(t *testing.T) { refuses(t, s, station.OpAuthorityFound, c.args, c.code, c.says) })
		}
		if st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{}); st.Root != nil {
			t.Errorf("a root was made: %+v", st.Root)
		}
		own := asked[station.Document](t, s, station.OpAuthorityKey, station.NoArgs{})
		d := asked[station.Document](t, s, station.OpAuthorityFound, station.FoundArgs{Threshold: 2, Signers: [][]byte{own.Body, elsewhere.record, clerk.record}, BootHolder: "elsewhere"})
		r, err := trust.ParseRoot(d.Body)
		if err != nil || len(r.Keys) != 3 || r.Threshold != 2 || r.BootKey != elsewhere.KeyID() {
			t.Errorf("the root is %+v, %v", r, err)
		}
	})
}

// TestTwoMustSign: what one holder drafted is worth nothing anywhere, and says how
// many signatures are missing.
func TestTwoMustSign(t *testing.T) {
	clerk, stranger := newHolder(t, "clerk", true), newHolder(t, "stranger", true)
	o := &office{authority: newNode(t, "authority", "authority")}
	o.found(t, station.FoundArgs{Threshold: 2, Signers: [][]byte{clerk.record, newHolder(t, "third", true).record}})
	n := o.join(t, "precinct-1", "source")
	answer := o.answer(t, n)
	var draft []byte
	o.authority.with(func(s *station.Station) {
		d := asked[station.Draft](t, s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: answer, Kinds: []string{"media-set"}}}})
		if d.Complete {
			t.Error("one of two signatures is called complete")
		}
		draft = d.Body
		refuses(t, s, station.OpTrustShow, station.NoArgs{}, "trust-missing")
		st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{})
		if st.Draft == nil || st.Draft.Version != 1 || st.Draft.Missing != 1 || !slices.Equal(st.Draft.Signed, []string{"authority"}) || len(st.Pending) != 0 {
			t.Errorf("on the desk are %+v, draft %+v", st, st.Draft)
		}
		refuses(t, s, station.OpAuthoritySign, station.SignArgs{Draft: draft}, "usage", "has signed it already")
		refuses(t, s, station.OpAuthoritySign, station.SignArgs{Draft: []byte("{}")}, "manifest-malformed", "trust bundle")
		wantSaid(t, s, audit.AuthoritySign, "refused", "refused manifest-malformed")
	})
	n.with(func(s *station.Station) {
		refuses(t, s, station.OpTrustInstall, delivery(draft), "signer-not-permitted", "1 of the authority's keys signed, 2 must")
		refuses(t, s, station.OpTrustShow, station.NoArgs{}, "trust-missing")
	})
	root, err := trust.ParseRoot(o.root)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := authority.Sign(t.Context(), draft, root, stranger); err == nil || !strings.Contains(err.Error(), "none of the authority's keys") {
		t.Errorf("a stranger signs: %v", err)
	}
	whole := clerk.adds(t, draft, o.root)
	install(t, whole, n, o.authority)
	n.sealNote(t, "s")
	// The next draft stands upon what is installed, wherever it was completed.
	o.authority.with(func(s *station.Station) {
		if st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{}); st.Draft != nil || st.Installed != 1 {
			t.Errorf("on the desk are %+v", st)
		}
		d := asked[station.Draft](t, s, station.OpAuthorityDraft, station.DraftArgs{Revoke: []station.RevokeArgs{{Station: "precinct-1", After: 0}}})
		draft = d.Body
	})
	install(t, clerk.adds(t, draft, o.root), n)
	n.with(func(s *station.Station) {
		b := asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{})
		if e := enrolled(t, b, "precinct-1"); b.Version != 2 || e.Keys[0].RevokedAfterSeq == nil {
			t.Errorf("the bundle is %+v", b)
		}
	})
}

// TestTwoDesks: two authority stations of one root, the second of which signs
// what the first drafted. Only the first approves boot states.
func TestTwoDesks(t *testing.T) {
	o := &office{authority: newNode(t, "authority", "authority")}
	second := newNode(t, "authority-2", "authority")
	second.init(nil)
	var record []byte
	second.with(func(s *station.Station) {
		record = asked[station.Document](t, s, station.OpAuthorityKey, station.NoArgs{}).Body
	})
	o.found(t, station.FoundArgs{Threshold: 2, Signers: [][]byte{record}})
	second.with(func(s *station.Station) {
		d := asked[station.Document](t, s, station.OpAuthorityAdopt, station.AdoptArgs{Root: o.root})
		if d.Fingerprint != trust.Fingerprint(o.root) {
			t.Errorf("adopted is %s", d.Fingerprint)
		}
	})
	n := o.join(t, "precinct-1", "source")
	other := &office{authority: second, root: o.root}
	t.Run("the one without the boot key admits nobody", func(t *testing.T) {
		answer := other.answer(t, n)
		second.with(func(s *station.Station) {
			refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: answer}}}, "usage", "is held by authority: make the draft there", "make the draft there")
			st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{})
			if st.Draft != nil || len(st.Pending) != 1 {
				t.Errorf("on the desk are %+v", st)
			}
		})
	})
	answer := o.answer(t, n)
	var draft, whole []byte
	o.authority.with(func(s *station.Station) {
		draft = asked[station.Draft](t, s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: answer}}}).Body
	})
	second.with(func(s *station.Station) {
		d := asked[station.Draft](t, s, station.OpAuthoritySign, station.SignArgs{Draft: draft})
		if whole = d.Body; !d.Complete {
			t.Error("two of two signatures are not complete")
		}
		wantSaid(t, s, audit.AuthoritySign, "success")
		wantSaid(t, s, audit.AuthorityRoot, "success")
	})
	install(t, whole, n, o.authority, second)
	// What needs no approval can be drafted at either.
	second.with(func(s *station.Station) {
		d := asked[station.Draft](t, s, station.OpAuthorityDraft, station.DraftArgs{Alter: []station.AlterArgs{{Station: "precinct-1", Kinds: &[]string{"media-set"}}}})
		draft = d.Body
	})
	o.authority.with(func(s *station.Station) {
		whole = asked[station.Draft](t, s, station.OpAuthoritySign, station.SignArgs{Draft: draft}).Body
	})
	install(t, whole, n)
	n.sealNote(t, "s")
}

// What people got wrong about a bundle is told in words about the bundle, and
// nothing is drafted.
func TestDraftRefuses(t *testing.T) {
	o := newOffice(t)
	n := o.join(t, "precinct-2", "source")
	answer := o.answer(t, n)
	o.authority.with(func(s *station.Station) {
		admit := func(change func(*station.AdmitArgs)) station.DraftArgs {
			a := station.AdmitArgs{Answer: answer, Kinds: []string{"media-set"}, Elections: []string{election}}
			change(&a)
			return station.DraftArgs{Admit: []station.AdmitArgs{a}}
		}
		alter := func(a station.AlterArgs) station.DraftArgs {
			return station.DraftArgs{Alter: []station.AlterArgs{a}}
		}
		yes := true
		for name, c := range map[string]struct {
			args station.DraftArgs
			says []string
		}{
			"a kind that does not exist":         {admit(func(a *station.AdmitArgs) { a.Kinds = []string{"votes"} }), []string{"votes", "cvr-export"}},
			"a kind that the role never seals":   {admit(func(a *station.AdmitArgs) { a.Kinds = []string{"log-export"} }), []string{"precinct-2", "role source", "log-export"}},
			"a kind twice":                       {admit(func(a *station.AdmitArgs) { a.Kinds = []string{"media-set", "media-set"} }), []string{"kinds: must be sorted and hold nothing twice"}},
			"an election that is none":           {admit(func(a *station.AdmitArgs) { a.Elections = []string{"*"} }), []string{"no wildcard"}},
			"a label that no screen shows":       {admit(func(a *station.AdmitArgs) { a.Label = "\x1b[2J" }), []string{"label"}},
			"the follower of nobody":             {admit(func(a *station.AdmitArgs) { a.Replace = true }), []string{"precinct-2", "not enrolled"}},
			"a station that is not there":        {alter(station.AlterArgs{Station: "nobody", Attested: &yes}), []string{`"nobody" is not enrolled`}},
			"a key that is not there":            {station.DraftArgs{Revoke: []station.RevokeArgs{{Station: "precinct-1", Key: "xyz"}}}, []string{"precinct-1", `no key "xyz"`}},
			"no sequence number":                 {station.DraftArgs{Revoke: []station.RevokeArgs{{Station: "precinct-1", After: -1}}}, []string{"-1 is no sequence number"}},
			"a kind that is never signed hybrid": {station.DraftArgs{Hybrid: &[]string{"trust-bundle"}}, []string{"hybrid", "trust-bundle"}},
			"a kind of hybrid that is none":      {station.DraftArgs{Hybrid: &[]string{"votes"}}, []string{"votes"}},
		} {
			t.Run(name, func(t *testing.T) { refuses(t, s, station.OpAuthorityDraft, c.args, "usage", c.says...) })
		}
		refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{Approve: []station.ApproveArgs{{Measurement: []byte("{}")}}}, "manifest-malformed", "measurement")
		if st := asked[authority.Status](t, s, station.OpAuthorityStatus, station.NoArgs{}); st.Draft != nil || st.Installed != 1 || len(st.Pending) != 1 {
			t.Errorf("on the desk are %+v", st)
		}
	})
}

// A station that is enrolled with another key follows it on purpose alone.
func TestAnotherKeyOfAStationFollowsOnPurposeAlone(t *testing.T) {
	o := newOffice(t)
	late := o.source.sealNote(t, "old")
	next := o.join(t, "precinct-1", "source")
	answer := o.answer(t, next)
	admit := station.AdmitArgs{Answer: answer, Kinds: []string{"media-set"}, Elections: []string{election}}
	wrongRole := o.join(t, "ems-1", "source")
	o.authority.with(func(s *station.Station) {
		refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{admit}}, "usage", "precinct-1", "--handover", "--replace")
	})
	role := o.answer(t, wrongRole)
	o.authority.with(func(s *station.Station) {
		refuses(t, s, station.OpAuthorityDraft, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: role, Replace: true}}}, "usage", "enrolled as ems of "+county)
	})
	// The old one is lost, and what it sealed up to a number still counts.
	lost := o.source.sealNote(t, "lost")
	admit.Replace, admit.RevokeAfter = true, late.Seq
	bundle := o.draft(t, station.DraftArgs{Admit: []station.AdmitArgs{admit}})
	install(t, bundle, next, o.ems)
	first := next.sealNote(t, "old")
	o.ems.with(func(s *station.Station) {
		takes(t, s, arrival{first, "accepted"}, arrival{late, "accepted"}, arrival{lost, "signer-revoked"})
	})
}

// The same station with the same key is admitted anew with other rights.
func TestTheSameKeyIsAdmittedAnew(t *testing.T) {
	o := newOffice(t)
	bundle := o.draft(t, station.DraftArgs{Admit: []station.AdmitArgs{{Answer: o.answer(t, o.source), Kinds: []string{"media-set"}}}})
	install(t, bundle, o.source, o.ems)
	o.source.with(func(s *station.Station) {
		e := enrolled(t, asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{}), "precinct-1")
		if !slices.Equal(e.Kinds, []manifest.Kind{manifest.MediaSet}) || len(e.Elections) != 0 || len(e.Boot) != 1 || len(e.Keys) != 2 {
			t.Errorf("it is enrolled as %+v", e)
		}
	})
	p := o.source.sealNote(t, "s") // of an election for which it is not enrolled any more
	o.ems.with(func(s *station.Station) { takes(t, s, arrival{p, "signer-not-permitted"}) })
}

// TestRotation: the next root has another holder; stations follow it with their
// next bundle, and keep what approves their boot states.
func TestRotation(t *testing.T) {
	o := newOffice(t)
	clerk := newHolder(t, "clerk", true)
	var rotated station.Draft
	o.authority.with(func(s *station.Station) {
		refuses(t, s, station.OpAuthorityRotate, station.FoundArgs{Threshold: 3, Signers: [][]byte{clerk.record}}, "usage", "threshold: is 3")
		refuses(t, s, station.OpAuthorityRotate, station.FoundArgs{Threshold: 1, Signers: [][]byte{clerk.record}, Leave: true}, "usage", "--boot-holder")
		rotated = asked[station.Draft](t, s, station.OpAuthorityRotate, station.FoundArgs{Threshold: 2, Signers: [][]byte{clerk.record}})
		if rotated.Complete {
			t.Error("a root that two must sign is complete with one signature")
		}
		refuses(t, s, station.OpTrustInstall, trust.Delivery{Rotations: []trust.Rotation{{Version: 2, Envelope: rotated.Body}}}, "signer-not-permitted", "1 of the keys of the next root signed it, 2 must")
		wantSaid(t, s, audit.AuthorityRotate, "refused", "success")
	})
	rotation := []trust.Rotation{{Version: 2, Envelope: clerk.adds(t, rotated.Body, o.root)}}
	var draft, root []byte
	o.authority.with(func(s *station.Station) {
		got := asked[station.Trust](t, s, station.OpTrustInstall, trust.Delivery{Rotations: rotation})
		own, _ := trust.ParseRoot(o.root)
		if got.Version != 1 || got.RootVersion != 1 || got.Root.Version != 2 || got.Root.Threshold != 2 || got.Root.BootKey != own.BootKey {
			t.Errorf("after the rotation: version %d under root %d, the root is %+v", got.Version, got.RootVersion, got.Root)
		}
		root = asked[station.Document](t, s, station.OpTrustRoot, station.NoArgs{}).Body
		draft = asked[station.Draft](t, s, station.OpAuthorityDraft, station.DraftArgs{}).Body
	})
	whole := clerk.adds(t, draft, root)
	o.ems.with(func(s *station.Station) {
		refuses(t, s, station.OpTrustInstall, delivery(whole), "signer-unknown")
		got := asked[station.Trust](t, s, station.OpTrustInstall, trust.Delivery{Rotations: rotation, Bundle: whole})
		if got.Version != 2 || got.RootVersion != 2 {
			t.Errorf("installed is %+v", got)
		}
		refuses(t, s, station.OpTrustInstall, delivery(o.bundle), "signer-not-permitted")
	})
	o.ems.with(func(s *station.Station) { // what was followed is followed after a restart
		if got := asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{}); got.Version != 2 || got.Root.Version != 2 {
			t.Errorf("after a restart: %+v", got)
		}
	})
	p := o.source.sealNote(t, "s") // under the first bundle
	o.ems.with(func(s *station.Station) { takes(t, s, arrival{p, "accepted"}) })
	// The root alone, to a station that has no bundle yet.
	fresh := o.join(t, "ems-2", "ems")
	fresh.with(func(s *station.Station) {
		got := asked[station.Trust](t, s, station.OpTrustInstall, trust.Delivery{Rotations: rotation})
		if got.Version != 0 || got.Root.Version != 2 {
			t.Errorf("installed is %+v", got)
		}
		refuses(t, s, station.OpTrustShow, station.NoArgs{}, "trust-missing")
		refuses(t, s, station.OpTrustInstall, delivery(o.bundle), "signer-not-permitted")
		asked[station.Trust](t, s, station.OpTrustInstall, delivery(whole))
	})
}
