package trust_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

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
func sealed(t testing.TB, o *office, role trust.Role, change func(*manifest.Payload), more ...manifest.Signer) []byte {
	t.Helper()
	p := common(o, role)
	change(p)
	env, err := manifest.Seal(context.Background(), p, append([]manifest.Signer{o.stations[role]}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// common is the payload from which the others are made.
func common(o *office, role trust.Role) *manifest.Payload {
	hex := strings.Repeat("ab", 32)
	return &manifest.Payload{
		V: 1, PackageID: folder, Kind: manifest.CVRExport, Jurisdiction: county,
		ElectionID: election, ElectionSHA256: hex, Audience: "ems-1", Stream: "cvr", Seq: 100,
		Created:    manifest.Created{RTC: "2026-11-03T20:15:00Z"},
		TrustEpoch: 3,
		Signer:     manifest.Origin{StationID: string(role) + "-1", KeyID: o.stations[role].KeyID(), Role: string(role)},
		Totals:     manifest.Totals{Files: 1, Bytes: 5},
		Files:      []manifest.File{{Path: "a.json", Size: 5, SHA256: hex, MediaType: "application/json"}},
	}
}

const folder = "00112233445566778899aabbccddeeff"

// ems is the receiver of most packages here.
func ems() trust.Self {
	return trust.Self{StationID: "ems-1", Jurisdiction: county, Elections: []string{election}}
}

// noElection makes the payload one of a kind without an election.
func noElection(k manifest.Kind) func(*manifest.Payload) {
	return func(p *manifest.Payload) { p.Kind, p.ElectionID, p.ElectionSHA256 = k, "", "" }
}

// Each rule of the policy refuses by itself what all the others allow.
func TestPolicy(t *testing.T) {
	o := newOffice(t, 1, 1)
	same := func(*trust.Station) {}
	good := func(*manifest.Payload) {}
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
		"bundle sealed under a newer bundle": {role: trust.Authority, payload: func(p *manifest.Payload) { noElection(manifest.TrustBundle)(p); p.TrustEpoch = 4 }},
		"bundle for another station": {role: trust.Authority, payload: func(p *manifest.Payload) { noElection(manifest.TrustBundle)(p); p.Audience = "ems-2" },
			want: verdict.WrongAudience, says: "ems-2, this is ems-1"},
		"bundle of the state for its county": {role: trust.Authority, station: func(s *trust.Station) { s.Jurisdiction = state },
			payload: func(p *manifest.Payload) { noElection(manifest.TrustBundle)(p); p.Jurisdiction = state }},
		"bundle of another county": {role: trust.Authority, station: func(s *trust.Station) { s.Jurisdiction = state },
			payload: func(p *manifest.Payload) { noElection(manifest.TrustBundle)(p); p.Jurisdiction = state + "/county:oak" }, want: verdict.WrongJurisdiction, says: "this station belongs to"},
		"report of the state for its county": {station: func(s *trust.Station) { s.Jurisdiction = state },
			payload: func(p *manifest.Payload) { p.Jurisdiction = state }, want: verdict.WrongJurisdiction, says: "this station belongs to"},
		"role never seals the kind": {role: trust.EMS, payload: good, want: verdict.SignerNotPermitted, says: "never seals"},
		"authority seals a report":  {role: trust.Authority, payload: func(p *manifest.Payload) { p.Kind = manifest.ResultsReport }, want: verdict.SignerNotPermitted, says: "never seals"},
		"authority sends a bundle":  {role: trust.Authority, payload: noElection(manifest.TrustBundle)},
		"source sends a bundle":     {payload: noElection(manifest.TrustBundle), want: verdict.SignerNotPermitted, says: "never seals"},
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
		"no election named, none needed":        {station: func(s *trust.Station) { s.Elections = nil }, payload: noElection(manifest.MediaSet), self: func(s *trust.Self) { s.Elections = nil }},
		"election this station does not take":   {payload: good, self: func(s *trust.Self) { s.Elections = []string{"2026-06-02-primary"} }, want: verdict.WrongElection, says: "2026-06-02-primary"},
		"receiver without election":             {payload: good, self: func(s *trust.Self) { s.Elections = nil }, want: verdict.WrongElection, says: "no election"},
		"addressed to another station":          {payload: func(p *manifest.Payload) { p.Audience = "ems-2" }, want: verdict.WrongAudience, says: "ems-2, this is ems-1"},
		"key not enrolled":                      {station: func(s *trust.Station) { *s = changeKey(t, *s, stranger) }, payload: good, want: verdict.SignerUnknown, says: "not in trust bundle 3"},
		"key revoked for all":                   {station: func(s *trust.Station) { first(s).RevokedAfterSeq = at(0) }, payload: good, want: verdict.SignerRevoked, says: "is revoked"},
		"key revoked before this package":       {station: func(s *trust.Station) { first(s).RevokedAfterSeq = at(99) }, payload: good, want: verdict.SignerRevoked, says: "revoked after 99"},
		"key revoked after this package":        {station: func(s *trust.Station) { first(s).RevokedAfterSeq = at(100) }, payload: good},
		"key enrolled from a later package":     {station: func(s *trust.Station) { first(s).ValidFromSeq = 101 }, payload: good, want: verdict.SignerNotPermitted, says: "from 101 on"},
		"key enrolled from this package":        {station: func(s *trust.Station) { first(s).ValidFromSeq = 100 }, payload: good},
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
			trusted := o.opened(t, o.with(c.role, c.station))
			self := ems()
			if c.self != nil {
				c.self(&self)
			}
			v, err := manifest.Verify(sealed(t, o, c.role, c.payload, c.more...), folder, trusted.Policy(nil, self))
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
	b := o.with(trust.EMS, func(s *trust.Station) { first(s).RevokedAfterSeq = at(1 << 40) })
	pol := o.opened(t, b).Policy(nil, ems())
	report := func(p *manifest.Payload) { p.Kind = manifest.ResultsReport }
	_, err := manifest.Verify(sealed(t, o, trust.Source, report, o.stations[trust.EMS]), folder, pol)
	wantFinding(t, err, verdict.SignerRevoked, "revoked after")
}

func TestNothingIsTrustedWithoutABundle(t *testing.T) {
	var none trust.Trusted
	for _, tr := range []*trust.Trusted{nil, &none} {
		if tr.Valid() || tr.Version() != 0 || tr.Stations() != nil {
			t.Error("an empty Trusted says something")
		}
		pol := tr.Policy(nil, ems())
		_, err := pol.Key(strings.Repeat("0", 64))
		wantFinding(t, err, verdict.TrustMissing, "")
		wantFinding(t, pol.Permit(&manifest.Payload{}, nil), verdict.TrustMissing, "")
		wantFinding(t, pol.Permit(&manifest.Payload{Kind: manifest.TrustBundle}, nil), verdict.SignerUnknown, "no enrolled key")
		if tr.Issued() != "" || tr.Hybrid() != nil || tr.RootVersion() != 0 || tr.Approvals("x") != nil || tr.Matching("ems-1", booted(1)) != nil || tr.Bundle().Version != 0 {
			t.Error("an empty Trusted says something")
		}
	}
}

// Whoever changes what Stations and Bundle returned does not change what is trusted.
func TestStationsIsACopy(t *testing.T) {
	o := newOffice(t, 1, 1)
	b := o.with(trust.Source, func(s *trust.Station) {
		first(s).RevokedAfterSeq, s.Boot = at(5), []trust.BootState{approved(t, "one", 1, o.stations[trust.Source])}
	})
	b.Hybrid = []manifest.Kind{manifest.UOCAVAExport}
	trusted := o.opened(t, b)
	spoil := func(b trust.Bundle) {
		for i := range b.Hybrid {
			b.Hybrid[i] = "x"
		}
		for _, s := range b.Stations {
			for i := range s.Kinds {
				s.Kinds[i] = "x"
			}
			for i := range s.Elections {
				s.Elections[i] = "x"
			}
			for i := range s.Boot {
				s.Boot[i].PCRs[0].SHA256 = "x"
			}
			for i := range s.Keys {
				if r := s.Keys[i].RevokedAfterSeq; r != nil {
					*r = 1 << 40
				}
				s.Keys[i].ID = "x"
			}
		}
	}
	spoil(trusted.Bundle())
	spoil(trust.Bundle{Hybrid: trusted.Hybrid(), Stations: trusted.Stations()})
	_, err := manifest.Verify(sealed(t, o, trust.Source, func(*manifest.Payload) {}), folder, trusted.Policy(nil, ems()))
	wantFinding(t, err, verdict.SignerRevoked, "revoked after 5")
	if got := trusted.Matching("source-1", booted(1)); !slices.Equal(got, []string{"one"}) || trusted.Hybrid()[0] != manifest.UOCAVAExport {
		t.Errorf("Matching = %v", got)
	}
}

// A root key in a TPM sends trust bundles and nothing else, also to a station
// that has no bundle yet. What the bundle says of a key goes before the root.
func TestRootKeysSendBundlesAlone(t *testing.T) {
	o := newOffice(t, 2, 1)
	byRoot := func(change func(*manifest.Payload)) []byte {
		p := common(o, trust.Source)
		p.Signer = manifest.Origin{StationID: "authority-1", KeyID: o.authorities[0].KeyID(), Role: "authority"}
		change(p)
		env, err := manifest.Seal(context.Background(), p, o.authorities[0])
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	judge := func(tr *trust.Trusted, root *trust.Root, self trust.Self, env []byte) error {
		_, err := manifest.Verify(env, folder, tr.Policy(root, self))
		return err
	}
	ok := func(name string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	trusted := o.opened(t, o.bundle)
	above := func(p *manifest.Payload) { noElection(manifest.TrustBundle)(p); p.Jurisdiction = state }
	for name, tr := range map[string]*trust.Trusted{"without a bundle": nil, "with a bundle": trusted} {
		ok(name, judge(tr, o.root, ems(), byRoot(noElection(manifest.TrustBundle))))
		ok(name+", from above", judge(tr, o.root, ems(), byRoot(above)))
		ok(name+", of a newer epoch", judge(tr, o.root, ems(), byRoot(func(p *manifest.Payload) { above(p); p.TrustEpoch = 99 })))
		wantFinding(t, judge(tr, o.root, ems(), byRoot(func(p *manifest.Payload) { above(p); p.Jurisdiction = state + "/county:oak" })), verdict.WrongJurisdiction, "county:oak")
		wantFinding(t, judge(tr, o.root, ems(), byRoot(func(p *manifest.Payload) { above(p); p.Audience = "ems-2" })), verdict.WrongAudience, "ems-2")
		wantFinding(t, judge(tr, o.root, ems(), byRoot(func(p *manifest.Payload) { above(p); p.Signer.Role = "ems" })), verdict.SignerNotPermitted, "in the role ems")
		wantFinding(t, judge(tr, o.root, ems(), byRoot(func(p *manifest.Payload) { above(p); p.Signer.StationID = "authority-2" })), verdict.SignerNotPermitted, "authority-2")
	}
	for _, k := range manifest.Kinds() {
		env := byRoot(func(p *manifest.Payload) {
			if must, _ := k.Election(); !must {
				noElection(k)(p)
			}
			p.Kind = k
			p.ElectionSHA256 = map[bool]string{true: p.Files[0].SHA256}[p.ElectionID != ""]
		})
		if k == manifest.TrustBundle {
			continue
		}
		wantFinding(t, judge(trusted, o.root, ems(), env), verdict.SignerNotPermitted, "which seal the kind trust-bundle alone")
		wantFinding(t, judge(nil, o.root, ems(), env), verdict.TrustMissing, "")
	}
	bundle := byRoot(above)
	wantFinding(t, judge(nil, nil, ems(), bundle), verdict.TrustMissing, "")
	wantFinding(t, judge(trusted, nil, ems(), bundle), verdict.SignerUnknown, "")
	wantFinding(t, judge(trusted, newOffice(t, 1, 1).root, ems(), bundle), verdict.SignerUnknown, "not in trust bundle 3")
	wantFinding(t, judge(nil, o.root, ems(), sealed(t, o, trust.Source, noElection(manifest.TrustBundle))), verdict.TrustMissing, "")

	// The key of a holder without a TPM signs bundles, and sends none.
	soft, err := trust.SoftRootKey("alice", trust.InFile, &o.authorities[0].Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.NewRoot(1, 1, "", soft)
	if err != nil {
		t.Fatal(err)
	}
	wantFinding(t, judge(trusted, root, ems(), bundle), verdict.SignerUnknown, "not in trust bundle 3")

	// Revoked in the bundle, the key sends nothing, root or not.
	authority := *o
	authority.stations = map[trust.Role]*tpmtest.Soft{trust.Authority: o.authorities[0]}
	entry, err := request(t, trust.Authority, o.authorities[0], nil).Station([]manifest.Kind{manifest.TrustBundle}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	mine := sealed(t, &authority, trust.Authority, noElection(manifest.TrustBundle))
	for _, c := range []struct {
		after *int64
		want  verdict.Reason
		says  string
	}{{nil, "", ""}, {at(100), "", ""}, {at(99), verdict.SignerRevoked, "revoked after 99"}, {at(0), verdict.SignerRevoked, "of station authority-1 is revoked"}} {
		b := o.with(trust.Authority, func(s *trust.Station) { *s = entry; s.Keys = slices.Clone(s.Keys); s.Keys[0].RevokedAfterSeq = c.after })
		if err := judge(o.opened(t, b), o.root, ems(), mine); c.want == "" {
			ok(fmt.Sprint(c), err)
		} else {
			wantFinding(t, err, c.want, c.says)
		}
	}
	// Enrolled for nothing, it may send nothing: the bundle narrows the root.
	b := o.with(trust.Authority, func(s *trust.Station) { *s = entry; s.Kinds = nil })
	wantFinding(t, judge(o.opened(t, b), o.root, ems(), mine), verdict.SignerNotPermitted, "not enrolled for the kind")
}

// The two algorithms are joined by AND, never by OR.
func TestHybrid(t *testing.T) {
	o := newOffice(t, 1, 1)
	report := func(p *manifest.Payload) { p.Kind = manifest.ResultsReport }
	second := o.second[trust.Source]
	other, otherSecond := o.stations[trust.EMS], o.second[trust.EMS]
	unknown := mldsa(t, 99)
	both := []manifest.Kind{manifest.CVRExport, manifest.ResultsReport}
	for name, c := range map[string]struct {
		hybrid  []manifest.Kind
		station func(*trust.Station)
		more    []manifest.Signer
		payload func(*manifest.Payload)
		want    verdict.Reason
		says    string
	}{
		"demanded, both sign":                  {hybrid: both, more: []manifest.Signer{second}},
		"demanded, both and another station":   {hybrid: both, more: []manifest.Signer{second, other}, payload: report},
		"demanded, both of both stations":      {hybrid: both, more: []manifest.Signer{otherSecond, other, second}, payload: report},
		"demanded, ECDSA alone":                {hybrid: both, want: verdict.SignerNotPermitted, says: "must be signed with ml-dsa-65 too"},
		"demanded of other kinds, ECDSA alone": {hybrid: []manifest.Kind{manifest.UOCAVAExport}},
		"not demanded, both sign":              {more: []manifest.Signer{second}},
		"demanded, the second key of another":  {hybrid: both, more: []manifest.Signer{otherSecond}, want: verdict.SignerNotPermitted, says: "without the key beside which it stands"},
		"demanded, both of another and ECDSA":  {hybrid: both, more: []manifest.Signer{other, otherSecond}, payload: report, want: verdict.SignerNotPermitted, says: "must be signed with ml-dsa-65 too"},
		"not demanded, the second of another":  {more: []manifest.Signer{otherSecond}, want: verdict.SignerNotPermitted, says: "without the key beside which it stands"},
		"an unknown second key":                {hybrid: both, more: []manifest.Signer{unknown}, want: verdict.SignerUnknown, says: unknown.KeyID()},
		"the second key is revoked": {hybrid: both, more: []manifest.Signer{second}, station: func(s *trust.Station) { beside(s).RevokedAfterSeq = at(0) },
			want: verdict.SignerRevoked, says: "is revoked"},
		"the second key is revoked before": {hybrid: both, more: []manifest.Signer{second}, station: func(s *trust.Station) { beside(s).RevokedAfterSeq = at(99) },
			want: verdict.SignerRevoked, says: "revoked after 99"},
		"the second key is revoked after": {hybrid: both, more: []manifest.Signer{second}, station: func(s *trust.Station) { beside(s).RevokedAfterSeq = at(100) }},
		"the second key is enrolled later": {hybrid: both, more: []manifest.Signer{second}, station: func(s *trust.Station) { beside(s).ValidFromSeq = 101 },
			want: verdict.SignerNotPermitted, says: "from 101 on"},
		"the first key is revoked, the second not": {hybrid: both, more: []manifest.Signer{second}, station: func(s *trust.Station) { first(s).RevokedAfterSeq = at(99) },
			want: verdict.SignerRevoked, says: "revoked after 99"},
		"the station has no second key": {hybrid: both, station: alone, want: verdict.SignerNotPermitted, says: "must be signed with ml-dsa-65 too"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.station == nil {
				c.station = func(*trust.Station) {}
			}
			if c.payload == nil {
				c.payload = func(*manifest.Payload) {}
			}
			b := o.with(trust.Source, c.station)
			b.Hybrid = c.hybrid
			_, err := manifest.Verify(sealed(t, o, trust.Source, c.payload, c.more...), folder, o.opened(t, b).Policy(nil, ems()))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFinding(t, err, c.want, c.says)
		})
	}
	// ML-DSA-65 alone proves nothing, whatever is demanded.
	p := common(o, trust.Source)
	env := enclose(t, mustJSON(t, p), manifest.PayloadType, second)
	_, err := manifest.Verify(env, folder, o.opened(t, o.bundle).Policy(nil, ems()))
	wantFinding(t, err, verdict.SignerNotPermitted, "only stands beside")
}

// A station that handed over has two ECDSA keys: what stands beside the old one
// does not sign with the new one.
func TestSecondKeyOfTheOldKey(t *testing.T) {
	o := newOffice(t, 1, 1)
	next := tpmtest.NewSoft(t)
	b := o.with(trust.Source, func(s *trust.Station) {
		k := changeKey(t, *s, next).Keys[0]
		s.Keys = append(s.Keys, k)
	})
	o.stations[trust.Source] = next
	_, err := manifest.Verify(sealed(t, o, trust.Source, func(*manifest.Payload) {}, o.second[trust.Source]), folder, o.opened(t, b).Policy(nil, ems()))
	wantFinding(t, err, verdict.SignerNotPermitted, "without the key beside which it stands")
}
