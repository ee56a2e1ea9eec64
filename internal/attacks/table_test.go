package attacks

import (
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// maker makes the suite.
type maker struct {
	*office
	out  files
	made map[string]bool
}

// table makes all files of the suite.
func table(t *testing.T) files {
	t.Helper()
	m := &maker{office: newOffice(t), out: files{}, made: map[string]bool{}}
	m.documents()
	m.goodPackages()
	m.envelopes()
	m.payloads()
	m.signatures()
	m.permissions()
	m.bundles()
	m.rotations()
	m.evidences()
	m.requests()
	m.exchanges()
	m.handovers()
	m.media()
	m.recipes()
	return m.out
}

func (m *maker) document(name string, data []byte) { m.out["office/"+name] = data }

// good adds an accepted case.
func (m *maker) good(name string, a attack) {
	a.expect = accepted
	m.add("good-"+name, a)
}

func (m *maker) add(name string, a attack) {
	m.t.Helper()
	if m.made[name] {
		m.t.Fatalf("two cases %s", name)
	}
	m.made[name] = true
	if err := a.check(); err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	m.out["cases/"+name] = a.encode()
}

// bad makes an attack on a door.
func (m *maker) bad(via, like string) func(name, comment string, want verdict.Reason, says string, body []byte, change ...func(*attack)) {
	return func(name, comment string, want verdict.Reason, says string, body []byte, change ...func(*attack)) {
		m.t.Helper()
		a := attack{comment: comment, via: via, expect: string(want), says: says, like: "good-" + like, body: body}
		for _, c := range change {
			c(&a)
		}
		m.add(name, a)
	}
}

func under(bundle string) func(*attack)      { return func(a *attack) { a.bundle = bundle } }
func receivedBy(self string) func(*attack)   { return func(a *attack) { a.receiver = self } }
func after(bundle string) func(*attack)      { return func(a *attack) { a.installed = bundle } }
func rotated(names string) func(*attack)     { return func(a *attack) { a.rotations = names } }
func withEvidence(name string) func(*attack) { return func(a *attack) { a.evidence = name } }

// The new keys of root version 2: authority-2 stays, dora and emil come.
func (m *maker) dora() signer { return key(31) }
func (m *maker) emil() signer { return key(32) }

// nextRoot is the root that follows, under any version.
func (m *maker) nextRoot(version int64) *trust.Root {
	m.t.Helper()
	two, err := trust.TPMRootKey("authority-2", m.authority2.Identity)
	must(m.t, err)
	dora, err := trust.SoftRootKey("dora", trust.InFile, &m.dora().private.PublicKey)
	must(m.t, err)
	emil, err := trust.SoftRootKey("emil", trust.InPKCS11, &m.emil().private.PublicKey)
	must(m.t, err)
	r, err := trust.NewRoot(version, 2, "", two, dora, emil)
	must(m.t, err)
	return r
}

// rotation is the next root, signed by any keys.
func (m *maker) rotation(version int64, keys ...manifest.Signer) []byte {
	m.t.Helper()
	return m.enclosed(encode(m.t, m.nextRoot(version)), trust.RootType, keys...)
}

// next is the TPM to which precinct-1 moves.
func (m *maker) next() *chip { return newChip(m.t, 70, m.authority1.Key) }

func (m *maker) secret() []byte {
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = 7
	}
	return secret
}

// documents are those with which the cases are judged.
func (m *maker) documents() {
	m.document("root.json", encode(m.t, m.root))
	m.document("bundle-5.dsse.json", m.issued(same))
	m.document("bundle-6-hybrid.dsse.json", m.issued(func(b *trust.Bundle) { b.Version, b.Hybrid = 6, []manifest.Kind{manifest.CVRExport} }))
	m.document("root-2.dsse.json", m.rotation(2, m.authority1.key, m.authority2.key, m.dora()))
	m.document("package.dsse.json", m.sealed(m.payload()))
	m.document("evidence.json", m.evidence(m.precinct, booted(1), 100, m.sealed(m.payload())))
	m.document("request.json", encode(m.t, m.request(m.precinct, m.precinctB)))
	m.document("request-new.json", encode(m.t, m.request(m.next(), secondKey(3))))
	m.document("pending.json", encode(m.t, &trust.Pending{V: 1, Request: m.out["office/request.json"], Proof: trust.ByComparison, SecretSHA256: sum(m.secret())}))
	m.document("bundle-7-handed-over.dsse.json", m.issued(m.handedOver))
}

// handedOver moves precinct-1 to its new TPM.
func (m *maker) handedOver(b *trust.Bundle) {
	b.Version = 7
	q := m.request(m.next(), secondKey(3))
	added, err := q.Station(nil, nil, trust.ByComparison)
	must(m.t, err)
	for i := range b.Stations {
		if s := &b.Stations[i]; s.ID == "precinct-1" {
			moved, err := s.Accept(m.handover(func(*trust.Handover) {}, m.precinct.key), q, added.Keys)
			must(m.t, err)
			*s = moved
		}
	}
}

// handover is precinct-1's hand-over to its new TPM, with a change.
func (m *maker) handover(change func(*trust.Handover), by manifest.Signer) []byte {
	m.t.Helper()
	h := &trust.Handover{V: 1, StationID: "precinct-1", OldKey: m.precinct.KeyID(), NewKey: m.next().KeyID(), Request: sum(m.out["office/request-new.json"]), LastSeq: 120}
	change(h)
	return m.enclosed(encode(m.t, h), trust.HandoverType, by)
}

// list gives a payload files of these paths.
func list(paths ...string) func(*manifest.Payload) {
	return func(p *manifest.Payload) {
		f := p.Files[0]
		p.Files, p.Totals = nil, manifest.Totals{}
		for _, path := range paths {
			f.Path = path
			p.Files = append(p.Files, f)
			p.Totals.Files++
			p.Totals.Bytes += f.Size
		}
	}
}

// From precinct-2, which brings no evidence and may seal until 50.
func (m *maker) simple(changes ...func(*manifest.Payload)) *manifest.Payload {
	return m.payload(append([]func(*manifest.Payload){by("precinct-2", trust.Source, m.revoked), func(p *manifest.Payload) { p.Seq = 50 }}, changes...)...)
}

// goodPackages are those from which the others are made.
func (m *maker) goodPackages() {
	good := func(name, comment string, body []byte, change ...func(*attack)) {
		a := attack{comment: comment, via: "package", body: body}
		for _, c := range change {
			c(&a)
		}
		m.good(name, a)
	}
	good("package", "ballots of a station that brings evidence", m.sealed(m.payload()), withEvidence("evidence.json"))
	good("package-simple", "ballots of a station without a TPM, the last before its revocation", m.sealed(m.simple(), m.revoked))
	good("package-hybrid", "signed with both algorithms, as the bundle demands", m.sealed(m.payload(), m.precinct.key, m.precinctB), under("bundle-6-hybrid.dsse.json"), withEvidence("evidence.json"))
	good("package-oak", "ballots of another county, at that county", m.sealed(m.payload(by("oak-1", trust.Source, m.oak), func(p *manifest.Payload) { p.Jurisdiction = "us/oak-county" }), m.oak), receivedBy("ems-1 us/oak-county "+election))
	good("package-election", "ballots of another election, at who takes it", m.sealed(m.simple(func(p *manifest.Payload) { p.ElectionID = otherElection }), m.revoked), receivedBy("ems-1 "+county+" "+otherElection))
	good("package-audience", "ballots for another station, there", m.sealed(m.simple(func(p *manifest.Payload) { p.Audience = "ems-2" }), m.revoked), receivedBy("ems-2 "+county+" "+election))
	good("package-kiosk", "general files of the kiosk", m.sealed(m.payload(by("kiosk-1", trust.Kiosk, m.kiosk), general(manifest.MediaSet)), m.kiosk))
	good("package-root-key", "a trust bundle that a root key sends which is in no bundle", m.sealed(m.payload(by("authority-2", trust.Authority, m.authority2.key), general(manifest.TrustBundle), func(p *manifest.Payload) { p.TrustEpoch = 9 }), m.authority2.key))
	good("package-epoch", "sealed under an older bundle", m.sealed(m.simple(func(p *manifest.Payload) { p.TrustEpoch = 1 }), m.revoked))
	good("package-high-s", "the second valid signature of the same bytes: no attack, for a signature is no identity", m.highS(), withEvidence("evidence.json"))
	good("package-before-handover", "what the old key sealed before it handed over", m.sealed(m.payload()), under("bundle-7-handed-over.dsse.json"), withEvidence("evidence.json"))
}
