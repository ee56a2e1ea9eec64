package trust_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sallyport/internal/manifest"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
)

// From two empty TPMs to a package that the one seals and the other accepts.
func TestRealTPMs(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	station := func() (*tpm.TPM, tpm.Identity) {
		addr, _ := tpmtest.Start(t)
		tp, err := tpm.Open(ctx, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tp.Close() })
		id, err := tp.CreateIdentity(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := tp.LoadIdentity(ctx, id); err != nil {
			t.Fatal(err)
		}
		return tp, id
	}
	authority, _ := station()
	source, id := station()
	root, err := trust.NewRoot(1, 1, authority.Public())
	if err != nil {
		t.Fatal(err)
	}
	sent := mustEncode(t, &trust.StationRecord{V: 1, ID: "source-1", Name: "Elm County polling place 1", Role: trust.Source, Jurisdiction: county, SoftwareTPM: source.Info().Software, TPM: id})
	got, err := trust.DecodeRecord(sent)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := got.Station([]manifest.Kind{manifest.CVRExport}, []string{election})
	if err != nil {
		t.Fatal(err)
	}
	env, err := trust.Issue(ctx, root, trust.Bundle{Version: 3, Issued: "2026-09-01T12:00:00Z", Stations: []trust.Station{entry}}, authority)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := trust.Open(env, root)
	if err != nil {
		t.Fatal(err)
	}
	hex := strings.Repeat("ab", 32)
	seq, err := source.CounterIncrement(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := manifest.Seal(ctx, &manifest.Payload{
		V: 1, PackageID: folder, Kind: manifest.CVRExport, Jurisdiction: county, ElectionID: election, ElectionSHA256: hex,
		Audience: "ems-1", Stream: "cvr", Seq: int64(seq), Created: manifest.Created{RTC: "2026-11-03T20:15:00Z"}, TrustEpoch: 3,
		Signer: manifest.Origin{StationID: "source-1", KeyID: source.KeyID(), Role: "source"},
		Totals: manifest.Totals{Files: 1, Bytes: 5},
		Files:  []manifest.File{{Path: "a.json", Size: 5, SHA256: hex, MediaType: "application/json"}},
	}, source)
	if err != nil {
		t.Fatal(err)
	}
	v, err := manifest.Verify(pkg, folder, trusted.Policy(trust.Self{StationID: "ems-1", Jurisdiction: county, Elections: []string{election}}))
	if err != nil || !v.Valid() {
		t.Fatal(err)
	}
}

func TestAuthoritiesSignOneAfterAnother(t *testing.T) {
	ctx := context.Background()
	o, stranger := newOffice(t, 3, 2), newOffice(t, 1, 1)
	one := o.signed(t, o.bundle, 1)
	two, err := trust.AddSignature(ctx, one, o.root, o.authorities[2])
	if err != nil {
		t.Fatal(err)
	}
	if tr, err := trust.Open(two, o.root); err != nil || tr.Version() != 3 {
		t.Errorf("Open = %d, %v", tr.Version(), err)
	}
	for name, err := range map[string]error{
		"again":             errOf(trust.AddSignature(ctx, two, o.root, o.authorities[2])),
		"a stranger":        errOf(trust.AddSignature(ctx, one, o.root, stranger.authorities[0])),
		"a stranger's":      errOf(trust.AddSignature(ctx, stranger.signed(t, stranger.bundle, 1), o.root, o.authorities[1])),
		"nothing":           errOf(trust.AddSignature(ctx, nil, o.root, o.authorities[1])),
		"no root":           errOf(trust.AddSignature(ctx, one, nil, o.authorities[1])),
		"nobody issues":     errOf(trust.Issue(ctx, o.root, o.bundle)),
		"a stranger issues": errOf(trust.Issue(ctx, o.root, o.bundle, stranger.authorities[0])),
		"forbidden kind":    errOf(trust.Issue(ctx, o.root, o.with(trust.Kiosk, func(s *trust.Station) { s.Kinds = append(s.Kinds, manifest.CVRExport) }), o.authorities[0])),
		"no version":        errOf(trust.Issue(ctx, o.root, o.version(0), o.authorities[0])),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := trust.Open(two, nil); err == nil {
		t.Error("a bundle was opened without a root")
	}
}

func errOf(_ []byte, err error) error { return err }

// The limits fit together: the most stations, one TPM key each, fit in the
// largest envelope.
func TestLimitsFitTogether(t *testing.T) {
	o := newOffice(t, 1, 1)
	s, err := record(trust.Source, o.stations[trust.Source]).Station(manifest.Kinds()[:6], []string{election})
	if err != nil {
		t.Fatal(err)
	}
	if size := int64(len(mustJSON(t, &s))); size*trust.MaxStations*4/3 > trust.MaxEnvelope {
		t.Errorf("a station takes %d bytes: %d of them do not fit in %d", size, trust.MaxStations, trust.MaxEnvelope)
	}
}

func TestFingerprintIsForPeople(t *testing.T) {
	o := newOffice(t, 2, 1)
	f, err := o.root.Fingerprint()
	if err != nil || len(f) != 64+15 {
		t.Errorf("Fingerprint = %q, %v", f, err)
	}
	if g, _ := o.newRoot(t, 2).Fingerprint(); g == f {
		t.Error("another threshold has the same fingerprint")
	}
}
