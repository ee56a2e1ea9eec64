package station_test

import (
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// publish has the authority seal documents as a package for all stations, as
// 'sallyport authority publish' does; nil is what is installed there.
func (o *office) publish(t testing.TB, contents map[string][]byte) (p parcel) {
	t.Helper()
	o.authority.with(func(s *station.Station) {
		if contents == nil {
			d := asked[trust.Delivery](t, s, station.OpTrustDelivery, station.NoArgs{})
			contents = map[string][]byte{trust.BundleName: d.Bundle}
			for _, r := range d.Rotations {
				contents[trust.RotationName(r.Version)] = r.Envelope
			}
		}
		a := request(t, manifest.TrustBundle, contents)
		a.ElectionID, a.ElectionSHA256, a.Audience = "", "", manifest.AudienceAll
		p = sealed(t, s, a, contents)
	})
	return p
}

func trustOf(t testing.TB, s *station.Station) station.Trust {
	t.Helper()
	return asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{})
}

// TestAFreshStationLearnsFromMedia: it trusts nobody but its root, takes the
// authority's medium, and then what the bundle allows. What came too early is not
// lost.
func TestAFreshStationLearnsFromMedia(t *testing.T) {
	o := newOffice(t)
	fresh := o.join(t, "ems-2", "ems", election)
	contents := map[string][]byte{"definition.json": small(t, "definition.json")}
	a := request(t, manifest.ElectionDefinition, contents)
	a.Audience = manifest.AudienceAll
	var definition parcel
	o.source.with(func(s *station.Station) { definition = sealed(t, s, a, contents) })
	bundle, foreign := o.publish(t, nil), newOffice(t).publish(t, nil)
	fresh.with(func(s *station.Station) {
		image := medium(t, definition)
		rep, err := insert(s, image)
		fresh.must(err)
		if rep.ExitCode() != 5 || len(rep.Packages) != 1 || rep.Packages[0].Findings[0].Reason != "trust-missing" {
			t.Errorf("too early: exit status %d, %+v", rep.ExitCode(), rep)
		}
		item := asked[station.Held](t, s, station.OpQuarantineShow, station.ItemArgs{Item: rep.Packages[0].Item, Verify: true})
		if item.Intact != "yes" || item.Count != 3 {
			t.Errorf("held is %+v", item)
		}
		takes(t, s, arrival{foreign, "trust-missing"}, arrival{bundle, "accepted"})
		if got := trustOf(t, s); got.Version != 1 || len(got.Stations) != 2 {
			t.Errorf("installed is %+v", got)
		}
		takes(t, s, arrival{definition, "accepted"}, arrival{bundle, "replayed"}, arrival{foreign, "signer-unknown"})
		wantSaid(t, s, audit.TrustInstall, "success")
	})
	fresh.with(func(s *station.Station) {
		if got := trustOf(t, s); got.Version != 1 {
			t.Errorf("after a restart version %d is installed", got.Version)
		}
		if list := asked[station.Elections](t, s, station.OpElections, station.NoArgs{}).Elections; len(list) != 1 {
			t.Errorf("the core holds %+v", list)
		}
	})
	fresh.checkOwnLog(t)
}

// A medium that brings the bundle and what it allows is judged as a whole by what
// was trusted when it came: the rest of it is taken when it comes again.
func TestAMediumThatBringsTheBundleAndMore(t *testing.T) {
	o := newOffice(t)
	bundle := o.publish(t, nil)
	fresh := o.join(t, "ems-1", "ems", election)
	p := o.source.sealNote(t, "s")
	image := medium(t, bundle, p)
	fresh.with(func(s *station.Station) {
		for i, want := range []map[string]verdict.Reason{{p.PackageID: verdict.TrustMissing}, {bundle.PackageID: verdict.Replayed}} {
			rep, err := insert(s, image)
			fresh.must(err)
			for _, got := range rep.Packages {
				reason, held := want[got.Package]
				if held != (got.Verdict == verdict.Held) || held && got.Findings[0].Reason != reason {
					t.Errorf("insertion %d: %+v", i+1, got)
				}
			}
		}
		if trustOf(t, s).Version != 1 {
			t.Error("the bundle is not installed")
		}
	})
}

// A bundle by medium never goes back, and never comes from elsewhere, whoever
// carries it.
func TestBundlesThatAreHeld(t *testing.T) {
	o := newOffice(t)
	first := o.publish(t, nil)
	second := o.draft(t, station.DraftArgs{})
	foreign := newOffice(t)
	for name, c := range map[string]struct {
		parcel
		want string
	}{
		"a stale one":                 {first, "superseded"},
		"one of another authority":    {foreign.publish(t, nil), "signer-unknown"},
		"another authority's, inside": {o.publish(t, map[string][]byte{trust.BundleName: foreign.bundle}), "signer-unknown"},
		"what is no bundle":           {o.publish(t, map[string][]byte{trust.BundleName: []byte("{}")}), "manifest-malformed"},
		"no bundle at all":            {o.publish(t, map[string][]byte{trust.RotationName(2): []byte("{}")}), "content-invalid"},
		"something beside it":         {o.publish(t, map[string][]byte{trust.BundleName: second, "readme.txt": []byte("x")}), "content-invalid"},
		"what is no rotation":         {o.publish(t, map[string][]byte{trust.BundleName: second, trust.RotationName(2): []byte("{}")}), "manifest-malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			n := o.join(t, "ems-2", "ems")
			install(t, second, n)
			n.with(func(s *station.Station) {
				takes(t, s, arrival{c.parcel, c.want})
				if got := trustOf(t, s); got.Version != 2 {
					t.Errorf("version %d is installed", got.Version)
				}
				list := asked[station.Quarantine](t, s, station.OpQuarantineList, station.NoArgs{}).Items
				if len(list) != 1 {
					t.Errorf("held are %+v", list)
				}
			})
		})
	}
	// The source is no authority, whatever it puts into the package.
	o.source.with(func(s *station.Station) {
		contents := map[string][]byte{trust.BundleName: second}
		a := request(t, manifest.TrustBundle, contents)
		a.ElectionID, a.ElectionSHA256, a.Audience = "", "", manifest.AudienceAll
		p := sealed(t, s, a, contents)
		o.ems.with(func(s *station.Station) {
			takes(t, s, arrival{p, "signer-not-permitted"})
			if got := trustOf(t, s); got.Version != 1 {
				t.Errorf("version %d is installed", got.Version)
			}
		})
	})
}

// The newest bundle by medium, after some that never came: no gap.
func TestABundleThatWasMissedIsNoGap(t *testing.T) {
	o := newOffice(t)
	first := o.publish(t, nil)
	o.draft(t, station.DraftArgs{})
	o.publish(t, nil)
	o.draft(t, station.DraftArgs{Revoke: []station.RevokeArgs{{Station: "precinct-1", After: 0}}})
	third := o.publish(t, nil)
	p := o.source.sealNote(t, "s")
	o.ems.with(func(s *station.Station) {
		takes(t, s, arrival{first, "accepted"}, arrival{third, "accepted"}, arrival{first, "replayed"}, arrival{p, "signer-revoked"})
		if got := trustOf(t, s); got.Version != 3 {
			t.Errorf("version %d is installed", got.Version)
		}
	})
}

// TestARotationByMedium: a station that has slept through two roots follows them
// with the bundle, by one medium.
func TestARotationByMedium(t *testing.T) {
	o := newOffice(t)
	rotate := func(version int64, a station.FoundArgs) {
		t.Helper()
		o.authority.with(func(s *station.Station) {
			body := asked[station.Draft](t, s, station.OpAuthorityRotate, a).Body
			asked[station.Trust](t, s, station.OpTrustInstall, trust.Delivery{Rotations: []trust.Rotation{{Version: version, Envelope: body}}})
		})
	}
	rotate(2, station.FoundArgs{Threshold: 1, Signers: [][]byte{newHolder(t, "clerk", true).record}})
	rotate(3, station.FoundArgs{Threshold: 1}) // the clerk leaves
	o.draft(t, station.DraftArgs{})
	p := o.publish(t, nil)
	if len(p.contents) != 3 {
		t.Fatalf("the package holds %d files", len(p.contents))
	}
	late := o.source.sealNote(t, "s")
	o.ems.with(func(s *station.Station) {
		takes(t, s, arrival{p, "accepted"}, arrival{late, "accepted"})
		if got := trustOf(t, s); got.Version != 2 || got.RootVersion != 3 || got.Root.Version != 3 || len(got.Root.Keys) != 1 {
			t.Errorf("installed is %+v", got)
		}
	})
	o.ems.with(func(s *station.Station) {
		if got := trustOf(t, s); got.Version != 2 || got.Root.Version != 3 {
			t.Errorf("after a restart: %+v", got)
		}
	})
}

// The authority's evidence is judged like any other.
func TestEvidenceOfTheAuthority(t *testing.T) {
	o := newOffice(t)
	p := o.publish(t, nil)
	p.Evidence = o.source.sealNote(t, "s").Evidence
	o.ems.with(func(s *station.Station) { takes(t, s, arrival{p, "signature-invalid"}) })
}
