package station_test

import (
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
)

// sealCVR seals the cast vote records of one precinct in a stream of their own.
func (n *node) sealCVR(t testing.TB, precinct, stream, supersedes string) (p parcel) {
	t.Helper()
	name := "cvr-precinct-" + precinct + ".json"
	contents := map[string][]byte{name: small(t, name)}
	a := request(t, manifest.CVRExport, contents)
	a.Stream, a.Supersedes = stream, supersedes
	n.with(func(s *station.Station) { p = sealed(t, s, a, contents) })
	return p
}

func (n *node) sealDefinition(t testing.TB) (p parcel) {
	t.Helper()
	contents := map[string][]byte{"definition.json": small(t, "definition.json")}
	n.with(func(s *station.Station) {
		p = sealed(t, s, request(t, manifest.ElectionDefinition, contents), contents)
	})
	return p
}

func signatures(t testing.TB, p parcel) int {
	t.Helper()
	e, err := manifest.ParseEnvelope(p.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	return len(e.Signatures)
}

// TestHybrid switches the second signature on for one kind and off again. What
// was sealed with one signature before is held when it arrives afterwards, since
// nothing but that signature says when it was made; sealed again, in the place
// of the first, it is taken.
func TestHybrid(t *testing.T) {
	o := newOffice(t)
	definition, late := o.source.sealDefinition(t), o.source.sealCVR(t, "1", "cvr", "")
	bundle := o.draft(t, station.DraftArgs{Hybrid: &[]string{string(manifest.CVRExport)}})
	install(t, bundle, o.ems)
	unaware := o.source.sealCVR(t, "3", "unaware", "") // its station has not heard of it
	install(t, bundle, o.source)
	two, one := o.source.sealCVR(t, "2", "two", ""), o.source.sealNote(t, "note")
	again := o.source.sealCVR(t, "1", "cvr", late.PackageID)
	for p, want := range map[*parcel]int{&definition: 1, &late: 1, &unaware: 1, &two: 2, &one: 1, &again: 2} {
		if n := signatures(t, *p); n != want {
			t.Errorf("sequence %d has %d signatures, want %d", p.Seq, n, want)
		}
	}
	stripped := one
	stripped.Envelope = withoutSecond(t, two.Envelope)
	stripped.PackageID, stripped.contents, stripped.Evidence = two.PackageID, two.contents, two.Evidence
	o.ems.with(func(s *station.Station) {
		takes(t, s, arrival{definition, "accepted"}, arrival{late, "signer-not-permitted"}, arrival{unaware, "signer-not-permitted"},
			arrival{stripped, "signer-not-permitted"}, arrival{two, "accepted"}, arrival{one, "accepted"},
			arrival{again, "accepted"}, arrival{late, "signer-not-permitted"})
		if got := ballots(t, s); got == 0 {
			t.Error("no ballot was imported")
		}
	})
	bundle = o.draft(t, station.DraftArgs{Hybrid: &[]string{}})
	install(t, bundle, o.ems)
	still := o.source.sealCVR(t, "3", "still", "") // two signatures, although one would do
	install(t, bundle, o.source)
	if n := signatures(t, o.source.sealCVR(t, "3", "off", "")); n != 1 || signatures(t, still) != 2 {
		t.Errorf("switched off, there are %d signatures", n)
	}
	o.ems.with(func(s *station.Station) { takes(t, s, arrival{still, "accepted"}) })
}

// withoutSecond takes the ML-DSA signature off an envelope.
func withoutSecond(t testing.TB, envelope []byte) []byte {
	t.Helper()
	e, err := manifest.ParseEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	e.Signatures = e.Signatures[:1]
	out, err := (&dsse.Envelope{Payload: e.Payload, PayloadType: e.PayloadType, Signatures: e.Signatures}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The seed of the second key opens in approved boot states alone, and a system
// that may not sign learns it before a sequence number is taken.
func TestHybridNeedsAnApprovedState(t *testing.T) {
	o := newOffice(t)
	install(t, o.draft(t, station.DraftArgs{Hybrid: &[]string{string(manifest.MediaSet)}}), o.source)
	before := o.source.sealNote(t, "s")
	o.source.swtpm.Extend(11)
	o.source.with(func(s *station.Station) { cannotSeal(t, s) })
	o.source.swtpm.Restart()
	if after := o.source.sealNote(t, "s"); signatures(t, after) != 2 || after.Seq <= before.Seq {
		t.Errorf("afterwards sequence %d has %d signatures", after.Seq, signatures(t, after))
	}
}
