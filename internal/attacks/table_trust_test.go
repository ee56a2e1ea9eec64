package attacks

import (
	"bytes"
	"slices"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"

	"github.com/google/go-tpm/tpm2"
)

// bundles try to make a station believe others.
func (m *maker) bundles() {
	t := m.t
	six := m.issued(version(6))
	m.good("bundle", attack{comment: "the next bundle", via: "bundle", installed: "bundle-5.dsse.json", body: six})
	m.good("bundle-first", attack{comment: "a station's first bundle", via: "bundle", body: m.issued(same)})
	m.good("bundle-again", attack{comment: "the same bundle by other holders", via: "bundle", installed: "bundle-5.dsse.json", body: m.issuedBy(m.root, same, m.authority2.key, m.carol)})
	under2 := func(change func(*trust.Bundle), by ...manifest.Signer) []byte {
		return m.issuedBy(m.nextRoot(2), change, by...)
	}
	m.good("bundle-new-root", attack{comment: "the next bundle, under the next root", via: "bundle", rotations: "root-2.dsse.json", body: under2(version(6), m.authority2.key, m.dora())})

	next := func(name, comment string, want verdict.Reason, says string, body []byte) {
		m.bad("bundle", "bundle")("bundle-"+name, comment, want, says, body, after("bundle-5.dsse.json"))
	}
	not, malformed := verdict.SignerNotPermitted, verdict.ManifestMalformed
	// With what an attacker wants in it: his own key.
	mine := func(b *trust.Bundle) {
		b.Version = 6
		b.Stations = append(b.Stations, plain("zz-1", trust.Source, county, m.stranger.key, manifest.CVRExport))
	}
	next("one-short", "one holder alone", not, "1 of the authority's keys signed, 2 must", m.issuedBy(m.root, mine, m.authority1.key))
	alone := m.issuedBy(m.root, mine, m.authority1.key)
	sig := string(alone[bytes.Index(alone, []byte(`{"keyid"`)) : len(alone)-2])
	next("signed-twice", "one holder twice", malformed, "signs twice", replace(t, alone, sig, sig+","+sig))
	next("with-high-s", "one holder twice, the second time with the other s", malformed, "signs twice", replace(t, alone, sig, sig+","+m.otherS(alone)))
	next("with-a-station", "one holder and a station", verdict.SignerUnknown, "none of the authority's keys", m.withSignatures(m.issuedBy(m.root, mine, m.authority1.key), m.ems))
	next("with-a-stranger", "two holders, and a stranger whose signature nobody can check", verdict.SignerUnknown, "none of the authority's keys", m.withSignatures(m.issued(mine), m.stranger.key))
	next("with-the-log-key", "one holder, and the log key of his TPM", verdict.SignerUnknown, "none of the authority's keys", m.withSignatures(m.issuedBy(m.root, mine, m.authority1.key), m.authority1.log))
	borrowed := opened(t, m.issued(mine), trust.PayloadType)
	borrowed.Signatures[1] = opened(t, m.issued(same), trust.PayloadType).Signatures[1]
	next("borrowed-signature", "one holder, and another's signature of the last bundle", verdict.SignatureInvalid, "does not match", wrap(t, borrowed))
	next("altered", "a station more under the signatures of another bundle", verdict.SignatureInvalid, "does not match", func() []byte {
		e := opened(t, m.issued(mine), trust.PayloadType)
		e.Signatures = opened(t, six, trust.PayloadType).Signatures
		return wrap(t, e)
	}())
	next("stale", "the bundle before", verdict.Superseded, "had version 5 already", m.issued(version(4)))
	next("fork", "another bundle of the same version", verdict.Fork, "two different bundles of version 5", m.issued(func(b *trust.Bundle) { b.Stations = b.Stations[1:] }))
	next("manifest-as-bundle", "a package's manifest in the place of a bundle", malformed, "payloadType", m.sealed(m.payload()))
	next("rotation-as-bundle", "a root in the place of a bundle", malformed, "payloadType", m.rotation(2, m.authority1.key, m.authority2.key, m.dora()))
	next("format-1", "a bundle of format 1, which knew no second keys", malformed, "payloadType", bytes.Replace(six, []byte("trust-bundle.v2+json"), []byte("trust-bundle.v1+json"), 1))
	payload := opened(t, six, trust.PayloadType).Payload
	edit := func(name, comment string, want verdict.Reason, says, old, with string) {
		next(name, comment, want, says, m.enclosed(replace(t, payload, old, with), trust.PayloadType, m.authority1.key, m.authority2.key))
	}
	edit("unknown-member", "an end of validity that no program keeps", malformed, "unknown member", `"version":6`, `"version":6,"expires":"2027-01-01"`)
	edit("duplicate", "two versions", malformed, "duplicate", `"version":6`, `"version":6,"version":60`)
	edit("null-revocation", "a revocation that is null", malformed, "null", `"revoked_after_seq":50`, `"revoked_after_seq":null`)
	edit("version-limit", "the last version there is, and one more", malformed, "9007199254740992", `"version":6`, `"version":9007199254740992`)
	edit("other-root", "under a root that is still to come", not, "root_version", `"root_version":1`, `"root_version":2`)
	station := func(name, comment, says string, change func(*trust.Bundle)) {
		var b trust.Bundle
		must(t, strictjson.Decode(payload, &b, trust.MaxEnvelope))
		change(&b)
		next(name, comment, malformed, says, m.enclosed(encode(t, &b), trust.PayloadType, m.authority1.key, m.authority2.key))
	}
	at := func(b *trust.Bundle, id string) *trust.Station {
		return &b.Stations[slices.IndexFunc(b.Stations, func(s trust.Station) bool { return s.ID == id })]
	}
	first := func(s *trust.Station) *trust.Key {
		return &s.Keys[slices.IndexFunc(s.Keys, func(k trust.Key) bool { return k.Alg == dsse.AlgP256 })]
	}
	station("all-elections", "a station for all elections", "no wildcard", func(b *trust.Bundle) { at(b, "kiosk-1").Elections = []string{"*"} })
	station("key-of-two", "one key of two stations", "of station", func(b *trust.Bundle) { at(b, "oak-1").Keys = at(b, "kiosk-1").Keys })
	station("station-twice", "two stations of one id", "and once", func(b *trust.Bundle) { b.Stations[1].ID = b.Stations[0].ID })
	station("key-id", "a key under another's id", "but the key's is", func(b *trust.Bundle) { at(b, "oak-1").Keys[0].ID = m.kiosk.KeyID() })
	station("key-algorithm", "a key without an algorithm", "knows only", func(b *trust.Bundle) { at(b, "oak-1").Keys[0].Alg = "none" })
	station("key-confused", "an ECDSA key that says it is ML-DSA", "public key has 91 bytes", func(b *trust.Bundle) { at(b, "oak-1").Keys[0].Alg = dsse.AlgMLDSA65 })
	station("second-key-alone", "an ML-DSA key that stands beside none", "stands beside another", func(b *trust.Bundle) {
		pub := secondKey(9).public()
		at(b, "oak-1").Keys = []trust.Key{{ID: pub.KeyID(), Alg: pub.Alg(), Public: pub.SPKI()}}
	})
	station("tpm-of-another", "a key with the TPM of another", "speaks of the key", func(b *trust.Bundle) { at(b, "oak-1").Keys[0].TPM = m.precinct.Identity })
	station("proof-without-tpm", "a proof of no TPM", "there is no TPM identity", func(b *trust.Bundle) { at(b, "oak-1").Keys[0].Proof = trust.ByCertificate })
	station("boot-unapproved", "an approval that the boot key did not give", "not signed by this station's boot key", func(b *trust.Bundle) { at(b, "precinct-1").Boot[0].PCRs[8].SHA256 = strings.Repeat("ab", 32) })
	station("boot-half", "a boot state that leaves the system out", "PCR 11 is missing", func(b *trust.Bundle) { at(b, "precinct-1").Boot[0].PCRs = at(b, "precinct-1").Boot[0].PCRs[:8] })
	station("attested-nothing", "evidence of a state that nobody approved", "none is approved", func(b *trust.Bundle) { at(b, "precinct-1").Boot = nil })
	station("certificate", "a TPM identity with another's certificate", "signature", func(b *trust.Bundle) {
		first(at(b, "precinct-1")).TPM.SigningCertifySig = m.stranger.Identity.SigningCertifySig
	})

	newRoot := func(name, comment string, want verdict.Reason, says string, body []byte) {
		m.bad("bundle", "bundle-new-root")("bundle-"+name, comment, want, says, body, rotated("root-2.dsse.json"))
	}
	newRoot("old-root", "a bundle of the old holders after the rotation", verdict.SignerUnknown, "none of the authority's keys", m.issued(version(6)))
	newRoot("old-root-version", "a bundle that names the old root, by holders of the new", not, "this station has root version 2",
		m.withSignatures(m.issuedBy(m.root, version(6), m.authority2.key), m.dora()))
	newRoot("old-threshold", "one holder of the new root and one of the old", verdict.SignerUnknown, "none of the authority's keys", m.withSignatures(under2(version(6), m.authority2.key), m.carol))
}

// otherS is the one signature of an envelope once more, with the other s.
func (m *maker) otherS(env []byte) string {
	e := opened(m.t, env, trust.PayloadType)
	e.Signatures[0].Sig = negate(m.t, e.Signatures[0].Sig)
	out := wrap(m.t, e)
	return string(out[bytes.Index(out, []byte(`{"keyid"`)) : len(out)-2])
}

// withSignatures adds signatures by anybody.
func (m *maker) withSignatures(env []byte, by ...manifest.Signer) []byte {
	e := opened(m.t, env, trust.PayloadType)
	must(m.t, e.Sign(m.t.Context(), by...))
	return wrap(m.t, e)
}

// rotations try to take the authority over.
func (m *maker) rotations() {
	t := m.t
	a1, a2, dora, emil := m.authority1.key, m.authority2.key, m.dora(), m.emil()
	good := m.rotation(2, a1, a2, dora)
	m.good("rotation", attack{comment: "two old keys and two new ones, of which one is both", via: "rotation", body: good})
	m.good("rotation-again", attack{comment: "the same root by more holders", via: "rotation", rotations: "root-2.dsse.json", body: m.rotation(2, a1, a2, dora, emil, m.carol)})
	bad := func(name, comment string, want verdict.Reason, says string, body []byte, change ...func(*attack)) {
		m.bad("rotation", "rotation")("rotation-"+name, comment, want, says, body, change...)
	}
	not, malformed := verdict.SignerNotPermitted, verdict.ManifestMalformed
	bad("only-new", "the new holders alone", not, "0 keys of root version 1 signed the next root, 2 must", m.rotation(2, dora, emil))
	bad("old-short", "one old holder, and all new ones", not, "1 keys of root version 1 signed the next root, 2 must", m.rotation(2, a2, dora, emil))
	bad("only-old", "the old holders alone, for keys that nobody holds", not, "1 of the keys of the next root signed it, 2 must", m.rotation(2, a1, a2))
	bad("carol-alone", "one old holder for a root of himself", not, "1 keys of root version 1 signed", func() []byte {
		k, err := trust.SoftRootKey("carol", trust.InFile, &m.carol.private.PublicKey)
		must(t, err)
		r, err := trust.NewRoot(2, 1, "", k)
		must(t, err)
		return m.enclosed(encode(t, r), trust.RootType, m.carol)
	}())
	bad("stranger", "enough of both, and a stranger", verdict.SignerUnknown, "none of the authority's keys", m.rotation(2, a1, a2, dora, m.stranger.key))
	bad("jump", "a version is left out", verdict.SequenceGap, "version 2 must come first", m.rotation(3, a1, a2, dora), func(a *attack) { a.version = "3" })
	bad("back", "another root of the present version", verdict.Superseded, "had version 1 already", m.rotation(1, a1, a2, dora))
	bad("mislabelled", "a root that is given as another version", malformed, "given as version 7", good, func(a *attack) { a.version = "7" })
	bad("altered", "a lower threshold under the same signatures", verdict.SignatureInvalid, "does not match", repayload(t, good, trust.RootType, `"threshold":2`, `"threshold":1`))
	bad("holder-twice", "two keys of one holder", malformed, "holds two of them", m.enclosed(replace(t, encode(t, m.nextRoot(2)), `"holder":"emil"`, `"holder":"dora"`), trust.RootType, a1, a2, dora))
	bad("tpm-claimed", "a file that says it is a TPM", malformed, "tpm", m.enclosed(replace(t, encode(t, m.nextRoot(2)), `"custody":"file"`, `"custody":"tpm"`), trust.RootType, a1, a2, dora))
	bad("bundle-as-rotation", "a bundle in the place of a root", malformed, "payloadType", m.issued(version(6)))
	fork := m.bad("rotation", "rotation-again")
	other := m.nextRoot(2)
	other.Threshold = 1
	fork("rotation-fork", "another root of a version that was followed", verdict.Fork, "another root of version 2", m.enclosed(encode(t, other), trust.RootType, a1, a2, dora), rotated("root-2.dsse.json"))

	root := m.out["office/root.json"]
	m.good("root", attack{comment: "the root that stations pin", via: "root", body: root})
	pinned := m.bad("root", "root")
	pinned("root-threshold-zero", "nobody needs to sign", malformed, "threshold", replace(t, root, `"threshold":2`, `"threshold":0`))
	pinned("root-threshold-high", "nobody can sign", malformed, "threshold", replace(t, root, `"threshold":2`, `"threshold":4`))
	pinned("root-boot-key", "a boot key that no holder has", malformed, "boot_key", replace(t, root, `"boot_key":"`+m.authority1.KeyID(), `"boot_key":"`+m.ems.KeyID()))
	pinned("root-holder-twice", "one person's two keys", malformed, "holds two of them", replace(t, root, `"holder":"authority-2"`, `"holder":"authority-1"`))
	pinned("root-custody", "a key in a file that says it is in a token, and a TPM identity", malformed, "custody is pkcs11", replace(t, root, `"custody":"tpm"`, `"custody":"pkcs11"`))

	k, err := trust.SoftRootKey("carol", trust.InFile, &m.carol.private.PublicKey)
	must(t, err)
	record := m.enclosed(encode(t, &k), trust.SignerType, m.carol)
	m.good("signer", attack{comment: "carol gives her key for the root", via: "signer", body: record})
	claim := m.bad("signer", "signer")
	claim("signer-claimed", "a holder gives another's key as his own", verdict.SignerUnknown, "none of the authority's keys", m.enclosed(encode(t, &k), trust.SignerType, m.emil()))
	claim("signer-renamed", "another name under the signature", verdict.SignatureInvalid, "does not match", repayload(t, record, trust.SignerType, `"holder":"carol"`, `"holder":"eve"`))
	claim("signer-tpm-claimed", "a key in a file that says it is in a TPM", malformed, "tpm", m.enclosed(replace(t, encode(t, &k), `"custody":"file"`, `"custody":"tpm"`), trust.SignerType, m.carol))
}

// evidences are forged, borrowed, or of the wrong state.
func (m *maker) evidences() {
	t := m.t
	pkg := m.out["office/package.dsse.json"]
	digest := digestOf(t, pkg)
	otherPkg := m.sealed(m.payload(func(p *manifest.Payload) { p.Seq = 99 }))
	good := func(changes ...func(*trust.Evidence)) []byte {
		return m.evidence(m.precinct, booted(1), 100, pkg, changes...)
	}
	m.good("evidence", attack{comment: "the approved state, and a counter that has come to the package's number", via: "evidence", body: good()})
	bad := func(name, comment string, want verdict.Reason, says string, body []byte) {
		m.bad("evidence", "evidence")("evidence-"+name, comment, want, says, body)
	}
	invalid, malformed := verdict.SignatureInvalid, verdict.ManifestMalformed
	m.bad("package", "package")("evidence-missing", "a station that must bring evidence brings none", verdict.BootStateMismatch, "is missing", pkg)
	bad("of-another-package", "the evidence of another package", invalid, "something else", m.evidence(m.precinct, booted(1), 100, otherPkg))
	bad("mixed", "the quote of this package and the counter of another", invalid, "counter: the statement was made for something else", good(func(e *trust.Evidence) {
		e.Counter, e.CounterSig = m.precinct.states(m.precinct.CounterStatement(100, digestOf(t, otherPkg)))
	}))
	bad("of-another-tpm", "another TPM's evidence of this package", invalid, "attestation key's signature", m.evidence(m.stranger, booted(1), 100, pkg))
	bad("quote-of-another-tpm", "another TPM was in the approved state", invalid, "quote: cannot accept", good(func(e *trust.Evidence) {
		e.Quote, e.QuoteSig = m.stranger.states(m.stranger.QuoteStatement(booted(1), digest))
	}))
	bad("signing-key", "signed with the signing key, which signs anything", invalid, "attestation key's signature", good(func(e *trust.Evidence) { e.QuoteSig = m.precinct.key.over(e.Quote) }))
	bad("other-values", "approved values beside the quote of others", invalid, "other PCR values", good(func(e *trust.Evidence) {
		e.Quote, e.QuoteSig = m.precinct.states(m.precinct.QuoteStatement(booted(2), digest))
	}))
	bad("other-state", "a state that nobody approved", verdict.BootStateMismatch, "another PCR 0", m.evidence(m.precinct, booted(2), 100, pkg))
	mostly := booted(1)
	mostly[8] = booted(2)[8]
	bad("other-kernel", "the approved firmware and another system", verdict.BootStateMismatch, "another PCR 11", m.evidence(m.precinct, mostly, 100, pkg))
	zeros := attest.PCRs{}
	bad("no-boot", "registers that nothing was measured into", verdict.BootStateMismatch, "another PCR 0", m.evidence(m.precinct, zeros, 100, pkg))
	bad("counter-behind", "a number that did not come from the counter", verdict.SignerNotPermitted, "stands at 99", m.evidence(m.precinct, booted(1), 99, pkg))
	// What no TPM would sign with that key; a forger who has the key's bytes would.
	stated := func(a tpm2.TPMSAttest, change func(*tpm2.TPMSAttest)) (statement, sig []byte) {
		change(&a)
		return m.precinct.states(a)
	}
	quoted := func(change func(*tpm2.TPMSAttest)) []byte {
		return good(func(e *trust.Evidence) {
			e.Quote, e.QuoteSig = stated(m.precinct.QuoteStatement(booted(1), digest), change)
		})
	}
	counted := func(change func(*tpm2.TPMSAttest)) []byte {
		return good(func(e *trust.Evidence) {
			e.Counter, e.CounterSig = stated(m.precinct.CounterStatement(100, digest), change)
		})
	}
	bad("not-generated", "a statement that does not begin with TPM_GENERATED", invalid, "not made by a TPM", quoted(func(a *tpm2.TPMSAttest) { a.Magic = 0x46464646 }))
	bad("counter-not-generated", "a counter that no TPM has read", invalid, "not made by a TPM", counted(func(a *tpm2.TPMSAttest) { a.Magic = 0x46464646 }))
	bad("swapped", "the two statements in each other's place", invalid, "is of type", good(func(e *trust.Evidence) {
		e.Quote, e.QuoteSig, e.Counter, e.CounterSig = e.Counter, e.CounterSig, e.Quote, e.QuoteSig
	}))
	fewer := func(numbers ...uint) func(*tpm2.TPMSAttest) {
		return func(a *tpm2.TPMSAttest) {
			q := attest.QuoteDigest(booted(1))
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{PCRSelect: attest.Selection(numbers...), PCRDigest: tpm2.TPM2BDigest{Buffer: q[:]}})
		}
	}
	bad("fewer-registers", "a quote that leaves the system out", invalid, "the quote is of the PCRs", quoted(fewer(0, 1, 2, 3, 4, 5, 6, 7)))
	bad("other-registers", "a quote of registers that anybody extends", invalid, "the quote is of the PCRs", quoted(fewer(16, 23)))
	bad("other-counter", "another counter of the same TPM", invalid, "another counter", counted(func(a *tpm2.TPMSAttest) {
		a.Attested = nvInfo(attest.Name(tpm2.Marshal(attest.CounterTemplate(0x01805351, true))), 8)
	}))
	bad("half-counter", "the lower half of the counter", invalid, "want 8 from 0", counted(func(a *tpm2.TPMSAttest) {
		a.Attested = nvInfo(attest.Name(m.precinct.Identity.CounterPublic), 4)
	}))
	bad("trailing-bytes", "bytes after the statement, signed with it", invalid, "one encoding", good(func(e *trust.Evidence) {
		e.Quote = append(bytes.Clone(e.Quote), 0)
		e.QuoteSig = m.precinct.ak.over(e.Quote)
	}))
	bad("unknown-member", "a member that nobody knows", malformed, "unknown member", replace(t, good(), `{"v":1`, `{"v":1,"trusted":true`))
	bad("duplicate", "two quotes", malformed, "duplicate", replace(t, good(), `"quote_sig":`, `"quote":"","quote_sig":`))
	bad("ten-values", "a value more", malformed, "pcrs", replace(t, good(), `"pcrs":["`, `"pcrs":["","`))
	bad("later-format", "a format of the future", malformed, "reads only 1", replace(t, good(), `{"v":1`, `{"v":2`))
	m.add("evidence-over-limit", attack{comment: "one byte over 1 MiB", via: "evidence", expect: string(verdict.OverLimit), says: "evidence", recipe: "spaces 1048577"})

	// Of a station that brings none, evidence has to hold all the same.
	simple := m.sealed(m.simple(), m.revoked)
	m.document("package-simple.dsse.json", simple)
	m.bad("evidence", "evidence")("evidence-without-tpm", "evidence of a key that is in no TPM", invalid, "not in a TPM", m.evidence(m.stranger, booted(1), 50, simple), func(a *attack) { a.pkg = "package-simple.dsse.json" })

	same := func(*trust.Measurement) {}
	measured := m.measurement(m.precinct, booted(2), same)
	m.good("measurement", attack{comment: "a state after an update", via: "measurement", body: measured})
	measure := func(name, comment string, want verdict.Reason, says string, body []byte) {
		m.bad("measurement", "measurement")("measurement-"+name, comment, want, says, body)
	}
	measure("other-tpm", "another TPM in this one's name", invalid, "attestation key's signature", m.measurement(m.stranger, booted(2), same))
	measure("other-key", "another TPM in its own name", verdict.SignerUnknown, "not enrolled for station precinct-1", m.measurement(m.stranger, booted(2), func(x *trust.Measurement) { x.KeyID = m.stranger.KeyID() }))
	measure("other-station", "another station's", verdict.SignerNotPermitted, "is of station precinct-9", m.measurement(m.precinct, booted(2), func(x *trust.Measurement) { x.StationID = "precinct-9" }))
	measure("other-values", "the values that one would like to have approved", invalid, "other PCR values", func() []byte {
		var x trust.Measurement
		must(t, strictjson.Decode(measured, &x, trust.MaxExchange))
		x.PCRs = booted(3)
		return encode(t, &x)
	}())
	measure("quote-of-a-package", "the quote of a package", invalid, "something else", func() []byte {
		var x trust.Measurement
		must(t, strictjson.Decode(measured, &x, trust.MaxExchange))
		x.Quote, x.QuoteSig = m.precinct.states(m.precinct.QuoteStatement(booted(2), digest))
		return encode(t, &x)
	}())
}

func nvInfo(name []byte, size int) tpm2.TPMUAttest {
	return tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV, &tpm2.TPMSNVCertifyInfo{
		IndexName: tpm2.TPM2BName{Buffer: name}, NVContents: tpm2.TPM2BData{Buffer: append(make([]byte, size-1), 100)},
	})
}

// requests are lies about a TPM.
func (m *maker) requests() {
	t := m.t
	good := m.out["office/request.json"]
	m.good("request", attack{comment: "precinct-1 asks, and people have compared its TPM's endorsement key", via: "request", body: good})
	bad := func(name, comment string, want verdict.Reason, says string, body []byte, change ...func(*attack)) {
		m.bad("request", "request")("request-"+name, comment, want, says, body, change...)
	}
	invalid, malformed := verdict.SignatureInvalid, verdict.ManifestMalformed
	edit := func(name, comment string, want verdict.Reason, says, old, with string) {
		bad(name, comment, want, says, replace(t, good, old, with))
	}
	edit("renamed", "another station's name under the quote", invalid, "something else", `"id":"precinct-1"`, `"id":"precinct-9"`)
	edit("role-raised", "another role under the quote", invalid, "something else", `"role":"source"`, `"role":"authority"`)
	edit("moved", "another county under the quote", invalid, "something else", `"jurisdiction":"us/maple-county"`, `"jurisdiction":"us"`)
	edit("software-hidden", "a software TPM that hides it", invalid, "something else", `"software_tpm":true`, `"software_tpm":false`)
	edit("name-turned", "a name that is shown turned round", malformed, "plain ASCII", `Maple County precinct 1`, "Maple\u202e County")
	edit("unknown-member", "a wish that nobody knows", malformed, "unknown member", `{"v":2,"id"`, `{"v":2,"kinds":["trust-bundle"],"id"`)
	bad("trailing", "a line end after it", malformed, "canonical", append(bytes.Clone(good), '\n'))
	who := func(ek string) func(*attack) { return func(a *attack) { a.ek = ek } }
	bad("ek-other", "another machine than the one that people looked at", verdict.SignerUnknown, "the machine's was given as", good, who(trust.EKSHA256(m.stranger.Identity.EKPublic)))
	bad("ek-unknown", "a TPM without a certificate that nobody looked at", verdict.SignerUnknown, "the TPM holds none", good, who("none"))
	bad("ek-certificate-forged", "a certificate that is none", verdict.SignerUnknown, "cannot accept the endorsement certificate", func() []byte {
		q := m.request(m.precinct, m.precinctB)
		q.EKCertificate = []byte{0x30, 0x00}
		m.quote(q, m.precinct)
		return encode(t, q)
	}(), who("none"))

	// lies has an attestation key that signs what it is told.
	lies := func(name, comment, says string, change func(*chip)) {
		c := newChip(t, 50, m.authority1.Key)
		change(c)
		c.certify(t)
		q := &trust.Request{V: 2, ID: "precinct-1", Name: "Maple County precinct 1", Role: trust.Source, Jurisdiction: county,
			Maker: "IBM", Firmware: "1.2.3.4", SoftwareTPM: true, Version: "v1.0.0", TPM: c.Identity}
		m.quote(q, c)
		bad(name, comment, malformed, says, encode(t, q))
	}
	area := func(template tpm2.TPMTPublic, k signer, change func(*tpm2.TPMTPublic)) []byte {
		change(&template)
		return tpmtest.Area(t, template, &k.private.PublicKey)
	}
	lies("ak-unrestricted", "an attestation key that signs anything", "the attestation key does not have", func(c *chip) {
		c.Identity.AKPublic = area(attest.AKTemplate(), c.ak, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = false })
	})
	lies("ak-movable", "an attestation key that may leave its TPM", "the attestation key does not have", func(c *chip) {
		c.Identity.AKPublic = area(attest.AKTemplate(), c.ak, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false })
	})
	signing := func(name, comment string, change func(*tpm2.TPMAObject)) {
		lies(name, comment, "the signing key does not have", func(c *chip) {
			c.Identity.SigningPublic = area(c.SigningTemplate(t), c.key, func(p *tpm2.TPMTPublic) { change(&p.ObjectAttributes) })
		})
	}
	signing("key-movable", "a signing key that may leave its TPM", func(a *tpm2.TPMAObject) { a.FixedTPM, a.FixedParent = false, false })
	signing("key-imported", "a signing key that was made elsewhere", func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false })
	signing("key-with-password", "a bound key that a password opens too", func(a *tpm2.TPMAObject) { a.UserWithAuth = true })
	lies("key-unbound", "a key that says it is bound and is not", "the signing key does not have", func(c *chip) { c.Identity.BootKey = encodeSPKI(m.authority2.key) })
	lies("key-approves-itself", "a station that approves its own boot states", "the boot key is a key of the station itself", func(c *chip) {
		c.Boot = c.Log
		c.Identity.BootKey = encodeSPKI(c.log)
		c.Identity.SigningPublic = tpmtest.Area(t, c.SigningTemplate(t), &c.Key.PublicKey)
	})
	lies("one-key", "one key for packages and the log", "same key", func(c *chip) {
		c.Identity.LogPublic = tpmtest.Area(t, attest.LogTemplate(), &c.Key.PublicKey)
	})
	lies("counter-orderly", "a counter that goes back", "not a plain", func(c *chip) {
		p := attest.CounterTemplate(c.Identity.Counter, true)
		p.Attributes.Orderly = true
		c.Identity.CounterPublic = tpm2.Marshal(p)
	})
	lies("counter-writable", "a counter that is no counter", "not a plain", func(c *chip) {
		p := attest.CounterTemplate(c.Identity.Counter, true)
		p.Attributes.NT = tpm2.TPMNTOrdinary
		c.Identity.CounterPublic = tpm2.Marshal(p)
	})
	lies("ek-signs", "an endorsement key that signs", "the endorsement key does not have", func(c *chip) {
		c.Identity.EKPublic = area(tpm2.ECCEKTemplate, signer{c.EK}, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = true })
	})
	// stolen puts parts of another TPM into the request, which is quoted again.
	stolen := func(name, comment string, want verdict.Reason, says string, change func(*trust.Request)) {
		q := m.request(m.precinct, m.precinctB)
		change(q)
		m.quote(q, m.precinct)
		bad(name, comment, want, says, encode(t, q))
	}
	other := m.stranger.Identity
	stolen("ek-of-another", "another TPM's endorsement key", malformed, "something else", func(q *trust.Request) { q.TPM.EKPublic = other.EKPublic })
	stolen("ak-of-another", "another TPM's attestation key", malformed, "signature", func(q *trust.Request) { q.TPM.AKPublic = other.AKPublic })
	stolen("log-key-of-another", "another TPM's log key", malformed, "something else", func(q *trust.Request) { q.TPM.LogPublic = other.LogPublic })
	stolen("key-id-of-another", "another station's key id", malformed, "key_id", func(q *trust.Request) { q.TPM.KeyID = m.ems.KeyID() })
	stolen("identity-of-another", "another TPM's whole identity", invalid, "quote: cannot accept", func(q *trust.Request) { q.TPM, q.MLDSA, q.MLDSASig = other, nil, nil })
	stolen("certify-of-another", "another TPM's word for the signing key", malformed, "signing_certify", func(q *trust.Request) {
		q.TPM.SigningCertify, q.TPM.SigningCertifySig = other.SigningCertify, other.SigningCertifySig
	})
	stolen("counter-start", "a counter that began elsewhere", malformed, "something else", func(q *trust.Request) { q.TPM.CounterStart = 1 << 40 })
	stolen("second-key-of-another", "another station's ML-DSA key", invalid, "ml_dsa_sig", func(q *trust.Request) { q.MLDSA = m.emsB.public().SPKI() })
	stolen("second-key-unproven", "an ML-DSA key that signed for another TPM", invalid, "ml_dsa_sig", func(q *trust.Request) {
		q.MLDSASig = m.request(m.stranger, m.precinctB).MLDSASig
	})
	q := m.request(m.precinct, m.precinctB)
	q.PCRs = booted(2)
	bad("other-values", "the values that one would like to have approved", invalid, "other PCR values", encode(t, q))
}

// exchanges are answers to challenges that were not given.
func (m *maker) exchanges() {
	t := m.t
	good := &trust.Answer{V: 1, StationID: "precinct-1", Request: sum(m.out["office/request.json"]), Secret: m.secret()}
	m.good("answer", attack{comment: "what the TPM read out of its challenge", via: "answer", body: encode(t, good)})
	bad := func(name, comment string, want verdict.Reason, says string, change func(*trust.Answer)) {
		a := *good
		a.Secret = bytes.Clone(a.Secret)
		change(&a)
		m.bad("answer", "answer")("answer-"+name, comment, want, says, encode(t, &a))
	}
	bad("guessed", "a guess", verdict.SignatureInvalid, "does not hold the secret", func(a *trust.Answer) { a.Secret[31] ^= 1 })
	bad("other-request", "the answer to another request's challenge", verdict.SignerUnknown, "it answers for", func(a *trust.Answer) { a.Request = sum(m.out["office/request-new.json"]) })
	bad("other-station", "in the name of another station", verdict.SignerUnknown, "it answers for", func(a *trust.Answer) { a.StationID = "precinct-9" })
	bad("short", "a secret of one byte less", verdict.ManifestMalformed, "rule in FORMAT.md", func(a *trust.Answer) { a.Secret = a.Secret[1:] })
	bad("path", "a request that is a path", verdict.ManifestMalformed, "rule in FORMAT.md", func(a *trust.Answer) { a.Request = "../../../../etc/sallyport/sallyport.toml" })
}

// handovers try to move a station to another TPM.
func (m *maker) handovers() {
	t := m.t
	same := func(*trust.Handover) {}
	old := m.precinct.key
	good := m.handover(same, old)
	m.good("handover", attack{comment: "precinct-1 hands over to its new TPM", via: "handover", body: good})
	bad := func(name, comment string, want verdict.Reason, says string, body []byte, change ...func(*attack)) {
		m.bad("handover", "handover")("handover-"+name, comment, want, says, body, change...)
	}
	not, unknown := verdict.SignerNotPermitted, verdict.SignerUnknown
	bad("by-a-stranger", "signed by a key that nobody enrolled", unknown, "none of the authority's keys", m.handover(same, m.stranger.key))
	bad("by-the-new-key", "the new key gives itself the station", unknown, "none of the authority's keys", m.handover(func(h *trust.Handover) { h.OldKey = h.NewKey }, m.next().key))
	bad("by-another-station", "another station gives it away", unknown, "none of the authority's keys", m.handover(func(h *trust.Handover) { h.OldKey = m.ems.KeyID() }, m.ems))
	bad("by-the-log-key", "the log key, which every boot state can use, gives it away", unknown, "none of the authority's keys", m.handover(func(h *trust.Handover) { h.OldKey = m.precinct.log.KeyID() }, m.precinct.log))
	bad("by-the-second-key", "the ML-DSA key, which is in no TPM, gives it away", unknown, "none of the authority's keys", m.handover(func(h *trust.Handover) { h.OldKey = m.precinctB.KeyID() }, m.precinctB))
	bad("other-request", "replayed for another request of the same station", not, "not what was asked for", good, func(a *attack) { a.request = "request-third.json" })
	m.document("request-third.json", encode(t, m.request(newChip(t, 80, m.authority1.Key), secondKey(4))))
	bad("other-request-same-key", "for another request of the same key", not, "not what was asked for", m.handover(func(h *trust.Handover) { h.Request = strings.Repeat("0", 64) }, old))
	bad("other-station", "for another station's id", not, "not what was asked for", m.handover(func(h *trust.Handover) { h.StationID = "ems-1" }, old))
	bad("again", "once more, after it was accepted", verdict.SignerRevoked, "revoked after 120 already", good, under("bundle-7-handed-over.dsse.json"))
	bad("raised", "a later end than the one that was accepted", verdict.SignerRevoked, "revoked after 120 already", m.handover(func(h *trust.Handover) { h.LastSeq = 5000 }, old), under("bundle-7-handed-over.dsse.json"))
	bad("last-seq-lowered", "an earlier end, to make good packages bad", verdict.SignatureInvalid, "does not match", repayload(t, good, trust.HandoverType, `"last_seq":120`, `"last_seq":1`))
	bad("last-seq-negative", "an end before the beginning", verdict.ManifestMalformed, "last_seq -1", m.handover(func(h *trust.Handover) { h.LastSeq = -1 }, old))
	bad("manifest-as-handover", "a package in the place of a hand-over", verdict.ManifestMalformed, "payloadType", m.sealed(m.payload()))
}
