package authority_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/authority"
	"sallyport/internal/durable"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// A revocation never moves up.
func TestRevocation(t *testing.T) {
	d := alone(t, false)
	s, other := newStation(t, "source-1", trust.Source).hybrid(1), newStation(t, "source-2", trust.Source)
	d.drafts(admits(admit(s.asks(d)), admit(other.asks(d))))
	revoke := func(r authority.Revocation) authority.Changes {
		return authority.Changes{Revoke: []authority.Revocation{r}}
	}
	for _, c := range []struct{ after, want int64 }{{100, 100}, {200, 100}, {100, 100}, {50, 50}, {51, 50}, {0, 0}, {7, 0}} {
		tr := d.drafts(revoke(authority.Revocation{Station: "source-1", After: c.after}))
		for _, k := range entry(t, tr, "source-1").Keys {
			if k.RevokedAfterSeq == nil || *k.RevokedAfterSeq != c.want {
				t.Errorf("after %d: %+v, want %d", c.after, k.RevokedAfterSeq, c.want)
			}
		}
		wantFinding(t, s.seals(tr, c.want+1), verdict.SignerRevoked, "revoked")
		if err := other.seals(tr, 1000); err != nil {
			t.Errorf("another station: %v", err)
		}
	}
	// By the beginning of a key's id, with what stands beside it.
	d = alone(t, false)
	d.drafts(admits(admit(s.asks(d))))
	wantRefusal(t, d.refuses(revoke(authority.Revocation{Station: "source-1", Key: "zz"})), "no key")
	wantRefusal(t, d.refuses(revoke(authority.Revocation{Station: "source-3"})), "not enrolled")
	wantRefusal(t, d.refuses(revoke(authority.Revocation{Station: "source-1", After: -1})), "no sequence number")
	tr := d.drafts(revoke(authority.Revocation{Station: "source-1", Key: s.soft.KeyID()[:12], After: 9}))
	for _, k := range entry(t, tr, "source-1").Keys {
		if k.RevokedAfterSeq == nil || *k.RevokedAfterSeq != 9 {
			t.Errorf("key of %s: %v", k.Alg, k.RevokedAfterSeq)
		}
	}
}

func TestAlteration(t *testing.T) {
	d := alone(t, false)
	s := newStation(t, "source-1", trust.Source)
	a := admit(s.asks(d))
	a.Attested = true
	d.drafts(admits(a))
	alter := func(a authority.Alteration) authority.Changes {
		a.Station = "source-1"
		return authority.Changes{Alter: []authority.Alteration{a}}
	}
	no, kinds, none := false, []manifest.Kind{manifest.MediaSet}, []string{}
	got := entry(t, d.drafts(alter(authority.Alteration{Attested: &no})), "source-1")
	if got.Attested || !slices.Equal(got.Elections, []string{election}) || !slices.Equal(got.Kinds, []manifest.Kind{manifest.CVRExport}) || len(got.Boot) != 1 {
		t.Errorf("altered to %+v", got)
	}
	got = entry(t, d.drafts(alter(authority.Alteration{Kinds: &kinds, Elections: &none})), "source-1")
	if len(got.Elections) != 0 || !slices.Equal(got.Kinds, kinds) {
		t.Errorf("altered to %+v", got)
	}
	kinds[0] = manifest.LogExport
	wantRefusal(t, d.refuses(alter(authority.Alteration{Kinds: &kinds})), "never seals")
	wantRefusal(t, d.refuses(authority.Changes{Alter: []authority.Alteration{{Station: "source-9"}}}), "not enrolled")
	// Evidence cannot be demanded of a state that nobody approved.
	ems := newStation(t, "ems-1", trust.EMS)
	d.drafts(admits(authority.Admission{Answer: ems.asks(d)}))
	yes := true
	wantRefusal(t, d.refuses(authority.Changes{Alter: []authority.Alteration{{Station: "ems-1", Attested: &yes}}}), "none is approved")
}

// An update changes the boot state: the station measures, the authority approves.
func TestApprovalAfterAnUpdate(t *testing.T) {
	d := alone(t, true)
	s, other := newStation(t, "source-1", trust.Source).boundTo(d), newStation(t, "source-2", trust.Source).boundTo(d)
	tr := d.drafts(admits(admit(s.asks(d)), admit(other.asks(d))))
	if got := tr.Matching("source-1", booted(1)); !slices.Equal(got, []string{"enrolled with Sallyport v1.0.0"}) {
		t.Errorf("the state of the request is %v", got)
	}
	approve := func(a authority.BootApproval) authority.Changes {
		return authority.Changes{Approve: []authority.BootApproval{a}}
	}
	s.state = 2
	tr = d.drafts(approve(authority.BootApproval{Measurement: s.measures(), Label: "v1.1.0", PCRs: []uint{4}}))
	if n := len(tr.Approvals(s.soft.KeyID())); n != 2 || len(tr.Approvals(other.soft.KeyID())) != 1 {
		t.Errorf("%d approvals", n)
	}
	// The same state once more is no second one, and takes the new label.
	tr = d.drafts(approve(authority.BootApproval{Measurement: s.measures(), Label: "v1.1.0 again", PCRs: []uint{4}}))
	if got := entry(t, tr, "source-1").Boot; len(got) != 2 || got[1].Label != "v1.1.0 again" {
		t.Errorf("states %+v", got)
	}
	s.state = 3
	wantRefusal(t, d.refuses(approve(authority.BootApproval{Measurement: s.measures(), Label: "v1.1.0 again"})), "give it another label")
	wantRefusal(t, d.refuses(approve(authority.BootApproval{Measurement: s.measures(), Drop: []string{"v0"}})), "none that is called")
	tr = d.drafts(approve(authority.BootApproval{Measurement: s.measures(), Drop: []string{"v1.1.0 again", "enrolled with Sallyport v1.0.0"}}))
	if got := entry(t, tr, "source-1").Boot; len(got) != 1 || got[0].Label != "enrolled with Sallyport v1.1.0" || len(got[0].Approvals) != 1 {
		t.Errorf("states %+v", got)
	}
	for name, c := range map[string]struct {
		body []byte
		want verdict.Reason
		says string
	}{
		"nothing":                {nil, verdict.ManifestMalformed, "measurement"},
		"a request":              {s.request(), verdict.ManifestMalformed, "measurement"},
		"another TPM":            {(&station{t: t, id: "source-1", soft: other.soft, state: 3}).measures(), verdict.SignerUnknown, "not enrolled for station source-1"},
		"a forged boot":          {forged(t, s), verdict.SignatureInvalid, "other PCR values"},
		"another station's name": {renamed(t, s.measures(), "source-1", "source-2"), verdict.SignerUnknown, "not enrolled for station source-2"},
	} {
		err := d.refuses(approve(authority.BootApproval{Measurement: c.body}))
		t.Run(name, func(t *testing.T) { wantFinding(t, err, c.want, c.says) })
	}
	stranger := newStation(t, "source-7", trust.Source)
	wantRefusal(t, d.refuses(approve(authority.BootApproval{Measurement: stranger.measures()})), "not enrolled")
	// There is room for a few states, and somebody must say which may go.
	for n := byte(10); ; n++ {
		s.state = n
		c := approve(authority.BootApproval{Measurement: s.measures(), Label: fmt.Sprint("state ", n)})
		if len(entry(t, d.now(), "source-1").Boot) == trust.MaxBoot {
			wantRefusal(t, d.refuses(c), "drop one")
			break
		}
		d.drafts(c)
	}
}

// now is what is installed.
func (d *desk) now() *trust.Trusted {
	d.t.Helper()
	tr, err := d.store.Current()
	must(d.t, err)
	return tr
}

func forged(t *testing.T, s *station) []byte {
	t.Helper()
	var m trust.Measurement
	must(t, strictjson.DecodeCanonical(s.measures(), &m, trust.MaxExchange))
	m.PCRs = booted(99)
	body, err := m.Encode()
	must(t, err)
	return body
}

func renamed(t *testing.T, body []byte, from, to string) []byte {
	t.Helper()
	return []byte(strings.Replace(string(body), from, to, 1))
}

// Boot states are approved where the boot key is, and what an earlier boot key
// approved stays approved.
func TestBootKeysOfARotation(t *testing.T) {
	ctx := context.Background()
	one, two := newDesk(t), newDesk(t)
	keys := []trust.RootKey{one.key("authority-1"), two.key("authority-2")}
	root, err := one.Found(1, one.soft.KeyID(), keys)
	must(t, err)
	body, err := root.Encode()
	must(t, err)
	must(t, errOf(two.Adopt(body)))
	s := newStation(t, "source-1", trust.Source).boundTo(one)
	wantRefusal(t, two.refuses(admits(admit(s.asks(two)))), "is held by authority-1: make the draft there")
	tr := one.drafts(admits(admit(s.asks(one))))
	must(t, errOf(two.store.Install(trust.Delivery{Bundle: installed(t, one)})))

	// The second desk takes the boot key over. The station stays bound to the first.
	env, err := two.Rotate(ctx, 1, two.soft.KeyID(), keys)
	must(t, err)
	for _, d := range []*desk{one, two} {
		must(t, errOf(d.store.Install(trust.Delivery{Rotations: []trust.Rotation{{Version: 2, Envelope: env}}})))
	}
	was := tr.Approvals(s.soft.KeyID())
	tr = two.drafts(authority.Changes{Approve: []authority.BootApproval{{Measurement: s.measures(), Label: "measured again"}}})
	if got := tr.Approvals(s.soft.KeyID()); len(got) != 1 || got[0].Policy != was[0].Policy || string(got[0].Sig) != string(was[0].Sig) {
		t.Errorf("the approval of the earlier boot key is gone: %d", len(got))
	}
	// A state that the earlier key has not approved, nobody can approve for it.
	s.state = 2
	wantRefusal(t, two.refuses(authority.Changes{Approve: []authority.BootApproval{{Measurement: s.measures(), Label: "new"}}}), "which is held by authority-1")
}

func installed(t *testing.T, d *desk) []byte {
	t.Helper()
	given, err := d.store.Installed()
	must(t, err)
	return given.Bundle
}

func TestHybridKinds(t *testing.T) {
	d := alone(t, false)
	s, plain := newStation(t, "source-1", trust.Source).hybrid(1), newStation(t, "source-2", trust.Source)
	both := []manifest.Kind{manifest.ResultsReport, manifest.CVRExport}
	c := admits(admit(s.asks(d)), admit(plain.asks(d)))
	c.Hybrid = &both
	tr := d.drafts(c)
	if got := tr.Hybrid(); !slices.Equal(got, []manifest.Kind{manifest.CVRExport, manifest.ResultsReport}) {
		t.Errorf("hybrid are %v", got)
	}
	must(t, s.seals(tr, 7))
	wantFinding(t, plain.seals(tr, 7), verdict.SignerNotPermitted, "must be signed with ml-dsa-65 too")
	tr = d.drafts(authority.Changes{}) // stays as it is
	wantFinding(t, plain.seals(tr, 7), verdict.SignerNotPermitted, "must be signed with ml-dsa-65 too")
	bad := []manifest.Kind{manifest.TrustBundle}
	wantRefusal(t, d.refuses(authority.Changes{Hybrid: &bad}), "alone")
	none := []manifest.Kind{}
	must(t, plain.seals(d.drafts(authority.Changes{Hybrid: &none}), 7))
}

// A draft builds upon the last draft, until a newer bundle is installed.
func TestDraftsBuildOnDrafts(t *testing.T) {
	ctx := context.Background()
	one, two := newDesk(t), newDesk(t)
	root, err := one.Found(2, "", []trust.RootKey{one.key("authority-1"), two.key("authority-2")})
	must(t, err)
	body, err := root.Encode()
	must(t, err)
	must(t, errOf(two.Adopt(body)))
	var last []byte
	for i := range 3 {
		s := newStation(t, fmt.Sprintf("source-%d", i+1), trust.Source)
		last, _, err = one.Draft(ctx, admits(admit(s.asks(one))))
		must(t, err)
		draft, err := trust.OpenDraft(last, root)
		must(t, err)
		if draft.Bundle.Version != int64(i+1) || len(draft.Bundle.Stations) != i+1 {
			t.Errorf("draft %d has version %d and %d stations", i, draft.Bundle.Version, len(draft.Bundle.Stations))
		}
		one.open(durable.FS{}) // the draft is on disk
	}
	whole, _, err := two.Sign(ctx, last, nil)
	must(t, err)
	must(t, errOf(two.store.Install(trust.Delivery{Bundle: whole})))
	// The second desk, which never made a draft, builds upon the bundle, and the
	// first upon what is newer: its own draft, or the bundle.
	theirs, _, err := two.Draft(ctx, authority.Changes{Revoke: []authority.Revocation{{Station: "source-1"}}})
	must(t, err)
	whole, _, err = one.Sign(ctx, theirs, nil)
	must(t, err)
	tr, err := one.store.Install(trust.Delivery{Bundle: whole})
	must(t, err)
	if tr.Version() != 4 || len(tr.Stations()) != 3 {
		t.Errorf("version %d, %d stations", tr.Version(), len(tr.Stations()))
	}
	next, _, err := one.Draft(ctx, authority.Changes{})
	must(t, err)
	draft, err := trust.OpenDraft(next, root)
	must(t, err)
	if draft.Bundle.Version != 5 || *draft.Bundle.Stations[0].Keys[0].RevokedAfterSeq != 0 {
		t.Errorf("the next draft has version %d", draft.Bundle.Version)
	}
	// A draft that somebody spoilt on disk costs the draft, and no more.
	must(t, os.WriteFile(one.path("desk/draft.dsse.json"), []byte("{}"), 0o600))
	next, _, err = one.Draft(ctx, authority.Changes{})
	must(t, err)
	if draft, err = trust.OpenDraft(next, root); err != nil || draft.Bundle.Version != 5 {
		t.Errorf("after a spoilt draft: %v", err)
	}
}
