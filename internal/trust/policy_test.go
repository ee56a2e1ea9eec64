package trust_test

import (
	"context"
	"crypto/ecdsa"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

func publics(list []*tpmtest.Soft) []*ecdsa.PublicKey {
	var out []*ecdsa.PublicKey
	for _, s := range list {
		out = append(out, &s.Key.PublicKey)
	}
	return out
}

// The table of who may seal what, as people read it in FORMAT.md.
func TestRoleTable(t *testing.T) {
	const table = `
                     source ems kiosk authority
election-definition  yes    yes -     -
ballot-package       yes    yes -     -
cvr-export           yes    -   -     -
results-report       yes    yes -     -
uocava-export        yes    -   -     -
trust-bundle         -      -   -     yes
log-export           -      yes yes   -
media-set            yes    -   yes   -`
	lines := strings.Split(strings.TrimSpace(table), "\n")
	roles := strings.Fields(lines[0])
	if len(roles) != len(trust.Roles()) || len(lines)-1 != len(manifest.Kinds()) {
		t.Fatal("the table does not cover all roles and kinds")
	}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		for i, role := range roles {
			want := cells[i+1] == "yes"
			if got := trust.Allowed(trust.Role(role), manifest.Kind(cells[0])); got != want {
				t.Errorf("Allowed(%s, %s) = %v, want %v", role, cells[0], got, want)
			}
		}
	}
	if trust.Allowed("", manifest.CVRExport) || trust.Allowed("admin", manifest.CVRExport) || trust.Allowed(trust.Source, "") {
		t.Error("something outside the table is allowed")
	}
}

// sealed returns an envelope of a package as the source station makes it.
func sealed(t *testing.T, o *office, role trust.Role, change func(*manifest.Payload), more ...manifest.Signer) []byte {
	t.Helper()
	hex := strings.Repeat("ab", 32)
	p := &manifest.Payload{
		V: 1, PackageID: folder, Kind: manifest.CVRExport, Jurisdiction: county,
		ElectionID: election, ElectionSHA256: hex, Audience: "ems-1", Stream: "cvr", Seq: 100,
		Created:    manifest.Created{RTC: "2026-11-03T20:15:00Z"},
		TrustEpoch: 3,
		Signer:     manifest.Origin{StationID: string(role) + "-1", KeyID: o.stations[role].KeyID(), Role: string(role)},
		Totals:     manifest.Totals{Files: 1, Bytes: 5},
		Files:      []manifest.File{{Path: "a.json", Size: 5, SHA256: hex, MediaType: "application/json"}},
	}
	change(p)
	env, err := manifest.Seal(context.Background(), p, append([]manifest.Signer{o.stations[role]}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

const folder = "00112233445566778899aabbccddeeff"

func at(n int64) *int64 { return &n }

// Each rule of the policy refuses by itself what all the others allow.
func TestPolicy(t *testing.T) {
	o := newOffice(t, 1, 1)
	me := trust.Self{StationID: "ems-1", Jurisdiction: county, Elections: []string{election}}
	same := func(*trust.Station) {}
	good := func(*manifest.Payload) {}
	noElection := func(p *manifest.Payload, k manifest.Kind) { p.Kind, p.ElectionID, p.ElectionSHA256 = k, "", "" }
	stranger := tpmtest.NewSoft(t)
	for name, c := range map[string]struct {
		role    trust.Role
		station func(*trust.Station)
		payload func(*manifest.Payload)
		self    func(*trust.Self)
		more    []manifest.Signer
		want    verdict.Reason // "" means accepted
		says    string
	}{
		"allowed":                      {payload: good},
		"audience everybody":           {payload: func(p *manifest.Payload) { p.Audience = "*" }},
		"sealed under an older bundle": {payload: func(p *manifest.Payload) { p.TrustEpoch = 1 }},
		"sealed under a newer bundle": {payload: func(p *manifest.Payload) { p.TrustEpoch = 4; p.Kind = manifest.ResultsReport; p.Audience = "x" },
			want: verdict.TrustOutdated, says: "bundle 4, this station has 3"},
		"role never seals the kind": {role: trust.EMS, payload: good, want: verdict.SignerNotPermitted, says: "never seals"},
		"authority seals a report":  {role: trust.Authority, payload: func(p *manifest.Payload) { p.Kind = manifest.ResultsReport }, want: verdict.SignerNotPermitted, says: "never seals"},
		"authority sends a bundle":  {role: trust.Authority, payload: func(p *manifest.Payload) { noElection(p, manifest.TrustBundle) }},
		"source sends a bundle":     {payload: func(p *manifest.Payload) { noElection(p, manifest.TrustBundle) }, want: verdict.SignerNotPermitted, says: "never seals"},
		"station not enrolled for the kind": {station: func(s *trust.Station) { s.Kinds = []manifest.Kind{manifest.MediaSet} },
			payload: good, want: verdict.SignerNotPermitted, says: "not enrolled for the kind"},
		"station without kinds": {station: func(s *trust.Station) { s.Kinds = nil }, payload: good, want: verdict.SignerNotPermitted, says: "not enrolled for the kind"},
		"station of another county": {station: func(s *trust.Station) { s.Jurisdiction = state + "/county:oak" },
			payload: good, want: verdict.SignerNotPermitted, says: "is enrolled for"},
		"station whose county only begins alike": {station: func(s *trust.Station) { s.Jurisdiction = county[:len(county)-1] },
			payload: good, want: verdict.SignerNotPermitted, says: "is enrolled for"},
		"state office sends to its county":      {station: func(s *trust.Station) { s.Jurisdiction = state }, payload: good},
		"county sends to its state":             {payload: good, self: func(s *trust.Self) { s.Jurisdiction = state }},
		"county sends in the name of its state": {payload: func(p *manifest.Payload) { p.Jurisdiction = state }, want: verdict.SignerNotPermitted, says: "is enrolled for"},
		"package of another county":             {station: func(s *trust.Station) { s.Jurisdiction = state }, payload: func(p *manifest.Payload) { p.Jurisdiction = state + "/county:oak" }, want: verdict.WrongJurisdiction, says: "this station belongs to"},
		"receiver without jurisdiction":         {payload: good, self: func(s *trust.Self) { s.Jurisdiction = "" }, want: verdict.WrongJurisdiction},
		"station not enrolled for the election": {station: func(s *trust.Station) { s.Elections = []string{"2026-06-02-primary"} }, payload: good, want: verdict.SignerNotPermitted, says: "not enrolled for the election"},
		"station enrolled for no election":      {station: func(s *trust.Station) { s.Elections = nil }, payload: good, want: verdict.SignerNotPermitted, says: "not enrolled for the election"},
		"no election named, none needed":        {station: func(s *trust.Station) { s.Elections = nil }, payload: func(p *manifest.Payload) { noElection(p, manifest.MediaSet) }, self: func(s *trust.Self) { s.Elections = nil }},
		"election this station does not take":   {payload: good, self: func(s *trust.Self) { s.Elections = []string{"2026-06-02-primary"} }, want: verdict.WrongElection, says: "2026-06-02-primary"},
		"receiver without election":             {payload: good, self: func(s *trust.Self) { s.Elections = nil }, want: verdict.WrongElection, says: "no election"},
		"addressed to another station":          {payload: func(p *manifest.Payload) { p.Audience = "ems-2" }, want: verdict.WrongAudience, says: "ems-2, this is ems-1"},
		"key not enrolled":                      {station: func(s *trust.Station) { *s = changeKey(t, *s, stranger) }, payload: good, want: verdict.SignerUnknown, says: "not in trust bundle 3"},
		"key revoked for all":                   {station: func(s *trust.Station) { s.Keys[0].RevokedAfterSeq = at(0) }, payload: good, want: verdict.SignerRevoked, says: "is revoked"},
		"key revoked before this package":       {station: func(s *trust.Station) { s.Keys[0].RevokedAfterSeq = at(99) }, payload: good, want: verdict.SignerRevoked, says: "revoked after 99"},
		"key revoked after this package":        {station: func(s *trust.Station) { s.Keys[0].RevokedAfterSeq = at(100) }, payload: good},
		"key enrolled from a later package":     {station: func(s *trust.Station) { s.Keys[0].ValidFromSeq = 101 }, payload: good, want: verdict.SignerNotPermitted, says: "from 101 on"},
		"key enrolled from this package":        {station: func(s *trust.Station) { s.Keys[0].ValidFromSeq = 100 }, payload: good},
		"second signer may not seal the kind":   {payload: good, more: signers([]*tpmtest.Soft{o.stations[trust.EMS]}), want: verdict.SignerNotPermitted, says: "ems-1 has the role ems"},
		"second signer may seal the kind too":   {payload: func(p *manifest.Payload) { p.Kind = manifest.ResultsReport }, more: signers([]*tpmtest.Soft{o.stations[trust.EMS]})},
		"second signer is a stranger":           {payload: good, more: signers([]*tpmtest.Soft{stranger}), want: verdict.SignerUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			if c.role == "" {
				c.role = trust.Source
			}
			if c.station == nil {
				c.station = same
			}
			trusted, err := trust.Open(o.signed(t, o.with(c.role, c.station), 1), o.root)
			if err != nil {
				t.Fatal(err)
			}
			self := me
			if c.self != nil {
				c.self(&self)
			}
			v, err := manifest.Verify(sealed(t, o, c.role, c.payload, c.more...), folder, trusted.Policy(self))
			if c.want == "" {
				if err != nil || !v.Valid() {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantFinding(t, err, c.want, c.says)
		})
	}
}

// A second signer whose key has a revocation is refused whatever the numbers:
// they count the first signer's packages.
func TestRevokedSecondSigner(t *testing.T) {
	o := newOffice(t, 1, 1)
	b := o.with(trust.EMS, func(s *trust.Station) { s.Keys[0].RevokedAfterSeq = at(1 << 40) })
	trusted, err := trust.Open(o.signed(t, b, 1), o.root)
	if err != nil {
		t.Fatal(err)
	}
	pol := trusted.Policy(trust.Self{StationID: "ems-1", Jurisdiction: county, Elections: []string{election}})
	report := func(p *manifest.Payload) { p.Kind = manifest.ResultsReport }
	_, err = manifest.Verify(sealed(t, o, trust.Source, report, o.stations[trust.EMS]), folder, pol)
	wantFinding(t, err, verdict.SignerRevoked, "revoked after")
}

func changeKey(t *testing.T, s trust.Station, to *tpmtest.Soft) trust.Station {
	t.Helper()
	s.Keys = []trust.Key{{ID: to.KeyID(), Alg: manifest.AlgP256, Public: spki(t, to)}}
	return s
}

func TestNothingIsTrustedWithoutABundle(t *testing.T) {
	var none trust.Trusted
	for _, tr := range []*trust.Trusted{nil, &none} {
		if tr.Valid() || tr.Version() != 0 || tr.Stations() != nil {
			t.Error("an empty Trusted says something")
		}
		pol := tr.Policy(trust.Self{StationID: "ems-1", Jurisdiction: county})
		_, err := pol.Key(strings.Repeat("0", 64))
		wantFinding(t, err, verdict.TrustMissing, "")
		wantFinding(t, pol.Permit(&manifest.Payload{}, nil), verdict.TrustMissing, "")
	}
}

// Whoever changes what Stations returned does not change what is trusted.
func TestStationsIsACopy(t *testing.T) {
	o := newOffice(t, 1, 1)
	b := o.with(trust.Source, func(s *trust.Station) { s.Keys[0].RevokedAfterSeq = at(5) })
	trusted, err := trust.Open(o.signed(t, b, 1), o.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range trusted.Stations() {
		for i := range s.Kinds {
			s.Kinds[i] = "x"
		}
		for i := range s.Elections {
			s.Elections[i] = "x"
		}
		for i := range s.Keys {
			if r := s.Keys[i].RevokedAfterSeq; r != nil {
				*r = 1 << 40
			}
			s.Keys[i].ID = "x"
		}
	}
	_, err = manifest.Verify(sealed(t, o, trust.Source, func(*manifest.Payload) {}), folder,
		trusted.Policy(trust.Self{StationID: "ems-1", Jurisdiction: county, Elections: []string{election}}))
	wantFinding(t, err, verdict.SignerRevoked, "revoked after 5")
}
