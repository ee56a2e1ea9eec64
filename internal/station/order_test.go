package station_test

import (
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/station"
)

// TestRevokedAfterANumber: what a station sealed up to a number counts whenever it
// arrives, and nothing behind it.
func TestRevokedAfterANumber(t *testing.T) {
	o := newOffice(t)
	first, second, third := o.source.sealNote(t, "s"), o.source.sealNote(t, "s"), o.source.sealNote(t, "s")
	other := o.source.sealNote(t, "other")
	bundle := o.draft(t, station.DraftArgs{Revoke: []station.RevokeArgs{{Station: "precinct-1", After: second.Seq}}})
	install(t, bundle, o.ems)
	o.ems.with(func(s *station.Station) {
		takes(t, s,
			arrival{third, "signer-revoked"},
			arrival{second, "sequence-gap"}, arrival{first, "accepted"}, arrival{second, "accepted"},
			arrival{other, "signer-revoked"}, arrival{third, "signer-revoked"}, arrival{second, "replayed"})
	})
	t.Run("a bound never moves up", func(t *testing.T) {
		o.draft(t, station.DraftArgs{Revoke: []station.RevokeArgs{{Station: "precinct-1", After: third.Seq}}})
		o.authority.with(func(s *station.Station) {
			for _, k := range enrolled(t, asked[station.Trust](t, s, station.OpTrustShow, station.NoArgs{}), "precinct-1").Keys {
				if r := k.RevokedAfterSeq; r == nil || *r != second.Seq {
					t.Errorf("the key %.16s is revoked after %v", k.ID, r)
				}
			}
		})
	})
	t.Run("the station itself hears of it", func(t *testing.T) {
		install(t, bundle, o.source)
		o.source.with(func(s *station.Station) {
			refuses(t, s, station.OpSeal, note(t), "signer-revoked", "trust bundle 2", "every receiver")
			if st := asked[station.Status](t, s, station.OpStatus, station.NoArgs{}); st.CanSeal || !strings.Contains(st.SealNote, "revoked") {
				t.Errorf("the status says: can seal %v (%s)", st.CanSeal, st.SealNote)
			}
		})
	})
	t.Run("for all numbers", func(t *testing.T) {
		o := newOffice(t)
		p := o.source.sealNote(t, "s")
		install(t, o.draft(t, station.DraftArgs{Revoke: []station.RevokeArgs{{Station: "precinct-1", After: 0}}}), o.ems)
		o.ems.with(func(s *station.Station) { takes(t, s, arrival{p, "signer-revoked"}) })
	})
	t.Run("up to one that is still to come", func(t *testing.T) {
		o := newOffice(t)
		install(t, o.draft(t, station.DraftArgs{Revoke: []station.RevokeArgs{{Station: "precinct-1", After: 1000}}}), o.ems, o.source)
		p := o.source.sealNote(t, "s")
		o.ems.with(func(s *station.Station) { takes(t, s, arrival{p, "accepted"}) })
	})
}

// TestSupersedes: a package that was lost is replaced in its place, and is not
// taken when it turns up afterwards.
func TestSupersedes(t *testing.T) {
	o := newOffice(t)
	contents := map[string][]byte{"note.txt": []byte("note")}
	args := func(supersedes string) station.SealArgs {
		a := request(t, manifest.MediaSet, contents)
		a.Supersedes = supersedes
		return a
	}
	var first, lost, instead, next parcel
	o.source.with(func(s *station.Station) {
		first, lost = sealed(t, s, args(""), contents), sealed(t, s, args(""), contents)
	})
	o.source.with(func(s *station.Station) { // after a restart
		instead = sealed(t, s, args(lost.PackageID), contents)
		next = sealed(t, s, args(""), contents)
	})
	if p, _ := payload(t, instead.Envelope); p.Supersedes != lost.Digest || p.PrevSHA256 != first.Digest {
		t.Errorf("the payload says %+v", p)
	}
	o.ems.with(func(s *station.Station) {
		takes(t, s, arrival{first, "accepted"}, arrival{next, "sequence-gap"}, arrival{instead, "accepted"},
			arrival{lost, "superseded"}, arrival{next, "accepted"}, arrival{lost, "superseded"})
	})
	t.Run("what was accepted already is not replaced", func(t *testing.T) {
		var late parcel
		o.source.with(func(s *station.Station) { late = sealed(t, s, args(next.PackageID), contents) })
		o.ems.with(func(s *station.Station) { takes(t, s, arrival{late, "content-invalid"}) })
	})
	o.source.with(func(s *station.Station) {
		last := sealed(t, s, args(""), contents)
		for name, c := range map[string]struct {
			change func(*station.SealArgs)
			code   string
			says   string
		}{
			"not the last":      {func(a *station.SealArgs) { a.Supersedes = lost.PackageID }, "usage", "only the last one can be superseded"},
			"replaced before":   {func(a *station.SealArgs) { a.Supersedes = next.PackageID }, "usage", "only the last one can be superseded"},
			"another stream":    {func(a *station.SealArgs) { a.Stream = "other" }, "usage", "must be for the same"},
			"another kind":      {func(a *station.SealArgs) { a.Kind, a.Stream = manifest.CVRExport, "media-set.ems-1" }, "usage", "must be for the same"},
			"another audience":  {func(a *station.SealArgs) { a.Audience, a.Stream = "*", "media-set.ems-1" }, "usage", "must be for the same"},
			"another election":  {func(a *station.SealArgs) { a.ElectionID = "other" }, "usage", "must be for the same"},
			"never sealed here": {func(a *station.SealArgs) { a.Supersedes = strings.Repeat("0", 32) }, "not-found", "has sealed no package"},
			"no id":             {func(a *station.SealArgs) { a.Supersedes = "../streams" }, "usage", "is no package id"},
		} {
			t.Run(name, func(t *testing.T) {
				a := args(last.PackageID)
				c.change(&a)
				refuses(t, s, station.OpSeal, a, c.code, c.says)
			})
		}
	})
}
