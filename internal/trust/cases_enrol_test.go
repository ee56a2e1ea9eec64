package trust_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"

	"github.com/google/go-tpm/tpm2"
)

func (tb *table) requests() {
	t, o := tb.t, tb.o
	add := func(name, comment, expect, says string, body []byte) {
		tb.add("request-"+name, &vector{format: "request", comment: comment, expect: expect, says: says, body: body})
	}
	soft := o.stations[trust.Source]
	good := mustEncode(t, request(t, trust.Source, soft, o.second[trust.Source]))
	add("good", "a station with both keys, bound to a boot key", "accepted", "", good)
	add("no-ml-dsa", "a station with one key", "accepted", "", mustEncode(t, request(t, trust.EMS, o.stations[trust.EMS], nil)))
	const invalid = "signature-invalid"
	add("altered-name", "another name under the quote", invalid, "something else", replace(t, good, "Elm County source", "Oak County source"))
	add("altered-role", "another role under the quote", invalid, "something else", replace(t, good, `"role":"source"`, `"role":"ems"`))
	add("altered-software", "a software TPM that hides it", invalid, "something else", replace(t, good, `"software_tpm":true`, `"software_tpm":false`))
	add("other-key", "the key id of another station", malformed, "key_id", replace(t, good, soft.KeyID(), o.stations[trust.EMS].KeyID()))
	add("role", "a role that is not in the list", malformed, "must be one of", replace(t, good, `"role":"source"`, `"role":"Source"`))
	add("jurisdiction", "no jurisdiction", malformed, "jurisdiction", bytes.Replace(good, []byte(county), nil, 1))
	add("v1", "format 1", malformed, "reads only 2", replace(t, good, `{"v":2,"id"`, `{"v":1,"id"`))
	add("maker", "a maker that turns the text round", malformed, "maker", replace(t, good, `"maker":"IBM"`, "\"maker\":\"IBM\u202e\""))
	add("newline", "a newline at the end", malformed, "canonical", append(bytes.Clone(good), '\n'))
	tb.tooLarge("request", "more bytes than a request may have", "over-limit", trust.MaxRequest)
	// spoilt is quoted as it stands: what is wrong with it was there before.
	spoilt := func(change func(*trust.Request)) []byte {
		q := request(t, trust.Source, soft, o.second[trust.Source])
		change(q)
		quote(t, q, soft)
		return mustJSON(t, q)
	}
	add("ml-dsa-of-another", "another station's ML-DSA key", invalid, "ml_dsa_sig", spoilt(func(q *trust.Request) { q.MLDSA = o.second[trust.EMS].PublicKey().SPKI() }))
	add("ml-dsa-unproven", "an ML-DSA key without its signature", invalid, "ml_dsa_sig", spoilt(func(q *trust.Request) { q.MLDSASig = nil }))
	add("ml-dsa-sig-alone", "a signature of no key", malformed, "without a key", spoilt(func(q *trust.Request) { q.MLDSA = nil }))
	add("ml-dsa-short", "an ML-DSA key of another size", malformed, "ml_dsa", spoilt(func(q *trust.Request) { q.MLDSA = q.MLDSA[:1000] }))
	add("quote-of-another", "another TPM's quote", invalid, "attestation key's signature", func() []byte {
		q := request(t, trust.Source, soft, nil)
		quote(t, q, o.stations[trust.EMS])
		return mustJSON(t, q)
	}())
	add("other-pcrs", "PCRs that were not quoted", invalid, "other PCR values", func() []byte {
		q := request(t, trust.Source, soft, nil)
		q.PCRs = booted(2)
		return mustJSON(t, q)
	}())
}

func (tb *table) exchanges() {
	t, o := tb.t, tb.o
	add := func(format, name, comment, expect, says string, body []byte) {
		tb.add(format+"-"+name, &vector{format: format, comment: comment, expect: expect, says: says, body: body})
	}
	q := mustEncode(t, request(t, trust.EMS, o.stations[trust.EMS], nil))
	c, p, err := trust.NewChallenge(q, trust.EK{SHA256: trust.EKSHA256(o.stations[trust.EMS].Identity.EKPublic)})
	if err != nil {
		t.Fatal(err)
	}
	a := &trust.Answer{V: 1, StationID: c.StationID, Request: c.Request, Secret: bytes.Repeat([]byte{7}, sha256.Size)}
	challenge, answer := mustEncode(t, c), mustEncode(t, a)
	add("pending", "good", "what the authority keeps", "accepted", "", mustEncode(t, p))
	for _, x := range []struct {
		format string
		good   []byte
	}{{"challenge", challenge}, {"answer", answer}} {
		bad := func(name, comment, says string, body []byte) {
			add(x.format, name, comment, malformed, says, body)
		}
		add(x.format, "good", "what goes between the authority and a station", "accepted", "", x.good)
		bad("v2", "a later format", "rule in FORMAT.md", replace(t, x.good, `"v":1`, `"v":2`))
		bad("station", "a station id with a slash", "rule in FORMAT.md", replace(t, x.good, `"ems-1"`, `"ems/1"`))
		bad("request", "a request's digest that is a path", "rule in FORMAT.md", replace(t, x.good, c.Request, "../../../etc/passwd"))
		bad("request-upper-case", "a second spelling of one digest", "rule in FORMAT.md", replace(t, x.good, c.Request, strings.ToUpper(c.Request)))
		bad("unknown-member", "a member that FORMAT.md does not know", "unknown member", replace(t, x.good, `{"v":1`, `{"v":1,"note":""`))
		tb.tooLarge(x.format, "more bytes than are allowed", "over-limit", trust.MaxExchange)
	}
	add("challenge", "no-credential", "nothing to be read", malformed, "rule in FORMAT.md", mustJSON(t, &trust.Challenge{V: 1, StationID: "ems-1", Request: c.Request, Credential: []byte{}, Secret: c.Secret}))
	add("challenge", "no-secret", "nothing to read it with", malformed, "rule in FORMAT.md", mustJSON(t, &trust.Challenge{V: 1, StationID: "ems-1", Request: c.Request, Credential: c.Credential, Secret: []byte{}}))
	add("answer", "short", "31 bytes of secret", malformed, "rule in FORMAT.md", mustJSON(t, &trust.Answer{V: 1, StationID: "ems-1", Request: c.Request, Secret: a.Secret[1:]}))
}

func (tb *table) handovers() {
	t, o := tb.t, tb.o
	old, next := o.stations[trust.Source], tpmtest.NewSoft(t)
	q := mustEncode(t, request(t, trust.Source, next, nil))
	other := mustEncode(t, request(t, trust.Source, tpmtest.NewSoft(t), nil))
	entry := o.bundle.Stations[1]
	with := func(s trust.Station, name, comment, expect, says string, env []byte) {
		tb.add("handover-"+name, &vector{format: "handover", comment: comment, expect: expect, says: says, body: env, station: string(mustJSON(t, &s)), request: string(q)})
	}
	add := func(name, comment, expect, says string, env []byte) { with(entry, name, comment, expect, says, env) }
	made := func(request []byte, last int64) []byte {
		env, err := trust.NewHandover(t.Context(), request, last, "source-1", old)
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	good := made(q, 100)
	add("good", "the old key gives over to the new one", "accepted", "", good)
	revoked := func(n int64) trust.Station {
		s := entry
		s.Keys = append([]trust.Key(nil), s.Keys...)
		first(&s).RevokedAfterSeq = at(n)
		return s
	}
	with(revoked(200), "lowers", "an old key that is revoked later than it stopped", "accepted", "", good)
	with(revoked(100), "again", "a second time", "signer-revoked", "revoked after 100 already", good)
	with(revoked(50), "raises", "an old key that was revoked before", "signer-revoked", "revoked after 50 already", good)
	const not = "signer-not-permitted"
	add("other-request", "a hand-over to another key", not, "not what was asked for", made(other, 100))
	// signed is any hand-over, signed by whomever.
	signed := func(change func(*trust.Handover), by ...manifest.Signer) []byte {
		var h trust.Handover
		if err := strictjson.Decode(payload(t, good, trust.HandoverType), &h, trust.MaxExchange); err != nil {
			t.Fatal(err)
		}
		change(&h)
		return enclose(t, mustJSON(t, &h), trust.HandoverType, by...)
	}
	same := func(*trust.Handover) {}
	add("other-station", "the hand-over of another station", not, "not what was asked for", signed(func(h *trust.Handover) { h.StationID = "source-2" }, old))
	add("other-old-key", "another old key than the one that signs", not, "not what was asked for", signed(func(h *trust.Handover) { h.OldKey = o.stations[trust.EMS].KeyID() }, old))
	add("by-another", "signed by another station", "signer-unknown", "none of the authority's keys", signed(same, o.stations[trust.EMS]))
	add("by-the-new-key", "signed by the new key itself", "signer-unknown", "none of the authority's keys", signed(func(h *trust.Handover) { h.OldKey = h.NewKey }, next))
	add("by-ml-dsa", "signed by the key that stands beside", "signer-unknown", "none of the authority's keys", signed(func(h *trust.Handover) { h.OldKey = o.second[trust.Source].KeyID() }, o.second[trust.Source]))
	add("last-seq-lowered", "an earlier end under the signature", "signature-invalid", "does not match", tb.reenclose(good, trust.HandoverType, `"last_seq":100`, `"last_seq":10`))
	add("last-seq-negative", "an end below 0", malformed, "last_seq -1", signed(func(h *trust.Handover) { h.LastSeq = -1 }, old))
	add("v2", "a later format", malformed, "version 2", signed(func(h *trust.Handover) { h.V = 2 }, old))
	add("manifest-type", "the payload type of a manifest", malformed, "payloadType", bytes.Replace(good, []byte(trust.HandoverType), []byte(manifest.PayloadType), 1))
	tb.tooLarge("handover", "more bytes than are allowed", "over-limit", trust.MaxExchange)
}

// measurement is the boot state of a station as its TPM signs it.
func measurement(t testing.TB, s *tpmtest.Soft, n byte, change func(*trust.Measurement)) *trust.Measurement {
	t.Helper()
	m := &trust.Measurement{V: 1, StationID: "source-1", KeyID: s.KeyID(), Version: "v1.1.0"}
	change(m)
	quoted, err := m.Quoted()
	if err != nil {
		t.Fatal(err)
	}
	m.PCRs = booted(n)
	m.Quote, m.QuoteSig = s.Attest(t, s.QuoteStatement(m.PCRs, quoted))
	return m
}

func (tb *table) measurements() {
	t, o := tb.t, tb.o
	soft := o.stations[trust.Source]
	add := func(name, comment, expect, says string, body []byte) {
		tb.add("measurement-"+name, &vector{format: "measurement", comment: comment, expect: expect, says: says, body: body, station: string(mustJSON(t, &o.bundle.Stations[1]))})
	}
	same := func(*trust.Measurement) {}
	good := mustEncode(t, measurement(t, soft, 2, same))
	add("good", "a state that is not approved yet", "accepted", "", good)
	add("other-station", "the state of another station", "signer-not-permitted", "is of station ems-1", mustEncode(t, measurement(t, soft, 2, func(m *trust.Measurement) { m.StationID = "ems-1" })))
	add("other-key", "a key that is not enrolled", "signer-unknown", "not enrolled", mustEncode(t, measurement(t, soft, 2, func(m *trust.Measurement) { m.KeyID = o.stations[trust.EMS].KeyID() })))
	add("ml-dsa-key", "a key without a TPM", "signer-unknown", "not enrolled", mustEncode(t, measurement(t, soft, 2, func(m *trust.Measurement) { m.KeyID = o.second[trust.Source].KeyID() })))
	m := measurement(t, soft, 2, same)
	m.PCRs = booted(1)
	add("other-pcrs", "PCRs that were not quoted", "signature-invalid", "other PCR values", mustEncode(t, m))
	add("version-altered", "another version of Sallyport under the quote", "signature-invalid", "something else", replace(t, good, "v1.1.0", "v1.2.0"))
	m = measurement(t, o.stations[trust.EMS], 2, func(m *trust.Measurement) { m.KeyID = soft.KeyID() })
	add("other-tpm", "another TPM's quote", "signature-invalid", "attestation key's signature", mustEncode(t, m))
	add("v2", "a later format", malformed, "rule in FORMAT.md", replace(t, good, `{"v":1`, `{"v":2`))
	tb.tooLarge("measurement", "more bytes than are allowed", "over-limit", trust.MaxExchange)
}

// evident is the evidence of a package, with a counter of this value.
func evident(t testing.TB, s *tpmtest.Soft, pcrs attest.PCRs, counter uint64, digest [32]byte) *trust.Evidence {
	t.Helper()
	e := &trust.Evidence{V: 1, PCRs: pcrs}
	e.Quote, e.QuoteSig = s.Attest(t, s.QuoteStatement(pcrs, digest))
	e.Counter, e.CounterSig = s.Attest(t, s.CounterStatement(counter, digest))
	return e
}

func (tb *table) evidence() {
	t, o := tb.t, tb.o
	soft := o.stations[trust.Source]
	bundle := o.signed(t, o.bundle, 2)
	pkg := sealed(t, o, trust.Source, func(*manifest.Payload) {}, o.second[trust.Source])
	add := func(name, comment, expect, says string, e *trust.Evidence) {
		v := &vector{format: "evidence", comment: comment, expect: expect, says: says, root: tb.root(), bundle: string(bundle), pkg: string(pkg)}
		v.body = mustEncode(t, e)
		tb.add("evidence-"+name, v)
	}
	digest := sha256.Sum256(payload(t, pkg, manifest.PayloadType))
	good := evident(t, soft, booted(1), 100, digest)
	add("good", "the approved state, a counter that has just come to the package's number", "accepted", "", good)
	add("counter-ahead", "a counter that has gone on", "accepted", "", evident(t, soft, booted(1), 5000, digest))
	add("counter-behind", "a number that did not come from the counter", "signer-not-permitted", "stands at 99; sequence number 100", evident(t, soft, booted(1), 99, digest))
	add("other-state", "a state that is not approved", "boot-state-mismatch", "release 1 has another PCR 0", evident(t, soft, booted(2), 100, digest))
	const invalid = "signature-invalid"
	add("other-package", "a quote of another package", invalid, "quote", evident(t, soft, booted(1), 100, sha256.Sum256([]byte("other"))))
	with := func(change func(*trust.Evidence)) *trust.Evidence {
		e := *good
		change(&e)
		return &e
	}
	old := evident(t, soft, booted(1), 100, sha256.Sum256([]byte("other")))
	add("other-counter", "a counter that was certified for another package", invalid, "counter", with(func(e *trust.Evidence) { e.Counter, e.CounterSig = old.Counter, old.CounterSig }))
	add("other-pcrs", "PCRs that were not quoted", invalid, "other PCR values", with(func(e *trust.Evidence) { e.PCRs = booted(2) }))
	add("other-tpm", "another TPM's word", invalid, "attestation key's signature", evident(t, o.stations[trust.EMS], booted(1), 100, digest))
	add("swapped", "the two statements in each other's place", invalid, "is of type", with(func(e *trust.Evidence) {
		e.Quote, e.QuoteSig, e.Counter, e.CounterSig = e.Counter, e.CounterSig, e.Quote, e.QuoteSig
	}))
	add("not-a-tpm", "a statement that does not begin as a TPM's", invalid, "not made by a TPM", with(func(e *trust.Evidence) {
		a := soft.QuoteStatement(booted(1), digest)
		a.Magic = tpm2.TPMGenerated(0x46464646)
		e.Quote, e.QuoteSig = soft.Attest(t, a)
	}))
	add("v2", "a later format", malformed, "reads only 1", with(func(e *trust.Evidence) { e.V = 2 }))
	tb.add("evidence-blank", &vector{format: "evidence", comment: "a blank", expect: malformed, says: "invalid JSON", root: tb.root(), bundle: string(bundle), pkg: string(pkg), body: []byte(" ")})
}

// The limit of evidence is too large for a vector.
func TestEvidenceIsBounded(t *testing.T) {
	o := newOffice(t, 1, 1)
	pol := o.opened(t, o.bundle).Policy(nil, ems())
	v, err := manifest.Verify(sealed(t, o, trust.Source, func(*manifest.Payload) {}), folder, pol)
	if err != nil {
		t.Fatal(err)
	}
	wantFinding(t, judged(pol, v, make([]byte, limit.EvidenceBytes+1)), "over-limit", "evidence")
}

// digestOf is the identity of a sealed package.
func digestOf(t testing.TB, env []byte) [32]byte {
	return sha256.Sum256(payload(t, env, manifest.PayloadType))
}

// bootKeyID is the id of the key to which s is bound.
func bootKeyID(t testing.TB, s *tpmtest.Soft) string {
	t.Helper()
	id, err := dsse.KeyID(&s.Boot.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
