package attacks

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// envelopes smuggle something beside what was signed.
func (m *maker) envelopes() {
	t := m.t
	good := m.sealed(m.payload(), m.precinct.key, m.precinctB)
	b64 := base64.StdEncoding.EncodeToString(encode(t, m.payload()))
	id := m.precinct.KeyID()
	bad := m.bad("package", "package-hybrid")
	// With the bundle and the evidence under which the good one is accepted.
	malformed := func(name, comment, says string, body []byte) {
		bad("envelope-"+name, comment, verdict.ManifestMalformed, says, body, under("bundle-6-hybrid.dsse.json"), withEvidence("evidence.json"))
	}
	malformed("algorithm", "the envelope chooses the algorithm", "unknown member", replace(t, good, `{"payload"`, `{"alg":"none","payload"`))
	malformed("signature-algorithm", "a signature chooses the algorithm", "unknown member", replace(t, good, `"sig":`, `"alg":"none","sig":`))
	malformed("certificate", "a key comes with its signature", "unknown member", replace(t, good, `"sig":`, `"cert":"MA==","sig":`))
	malformed("two-payloads", "the first is signed, the second wins in lax parsers", "duplicate", replace(t, good, `","payloadType"`, `","payload":"e30=","payloadType"`))
	malformed("two-signature-lists", "a second list of signatures", "duplicate", replace(t, good, `,"signatures":`, `,"signatures":[],"signatures":`))
	malformed("member-case", "PAYLOAD beside payload", "unknown member", replace(t, good, `{"payload"`, `{"PAYLOAD":"e30=","payload"`))
	malformed("base64-url", "the URL alphabet", "base64", replace(t, good, `"payload":"`, `"payload":"--__`))
	malformed("base64-unpadded", "padding left out, or too much of it", "base64", replace(t, good, b64, strings.TrimRight(b64, "=")+"===="))
	malformed("base64-stray-bits", "unused bits make a second spelling", "base64", replace(t, good, `"payload":"`+b64, `"payload":"e31=`))
	malformed("base64-line-end", "a line end within base64", "line end", replace(t, good, b64, b64[:76]+"\n"+b64[76:]))
	malformed("base64-escape", "a character written as an escape", "canonical", replace(t, good, b64, `\u00`+fmt.Sprintf("%x", b64[0])+b64[1:]))
	malformed("white-space", "a space after a colon", "canonical", replace(t, good, `":"`, `": "`))
	malformed("member-order", "signatures first", "canonical", reordered(good))
	malformed("byte-order-mark", "U+FEFF before it", "byte 0", append([]byte("\ufeff"), good...))
	malformed("trailing-newline", "a line end after it", "canonical", append(bytes.Clone(good), '\n'))
	malformed("trailing-zeros", "zeros after it", "after the end", append(bytes.Clone(good), 0, 0))
	malformed("trailing-envelope", "a second envelope after it", "after the end", append(bytes.Clone(good), good...))
	malformed("null-signatures", "null for a list", "null", []byte(`{"payload":"e30=","payloadType":"`+manifest.PayloadType+`","signatures":null}`))
	malformed("no-signatures", "nobody signed", "0 signatures", []byte(`{"payload":"`+b64+`","payloadType":"`+manifest.PayloadType+`","signatures":[]}`))
	sig := string(good[bytes.Index(good, []byte(`{"keyid"`)):bytes.Index(good, []byte(`,{"keyid"`))])
	malformed("same-key-twice", "one key counts twice", "signs twice", replace(t, good, sig, sig+","+sig))
	malformed("nine-signatures", "more than an envelope holds", "more than 8", replace(t, good, sig, strings.Repeat(sig+",", 8)+sig))
	malformed("key-id-case", "a key id in upper case", "/signatures/0/keyid", replace(t, good, id, strings.ToUpper(id)))
	malformed("key-id-short", "a key id of 16 digits", "/signatures/0/keyid", replace(t, good, id, id[:16]))
	malformed("empty-signature", "no bytes of signature", "0 bytes", replace(t, good, sig, `{"keyid":"`+id+`","sig":""}`))
	malformed("giant-signature", "as much as fits", "must have 1 to 4096", replace(t, good, sig, `{"keyid":"`+id+`","sig":"`+strings.Repeat("AAAA", 1400)+`"}`))
	malformed("other-type", "signed as another program's document", "payloadType", m.enclosed(encode(t, m.payload()), "application/vnd.in-toto+json", m.precinct.key))
	malformed("bundle-as-manifest", "a trust bundle in the place of a manifest", "payloadType", m.issued(same))
	malformed("bundle-renamed", "a trust bundle that says it is a manifest", "payloadType", bytes.Replace(m.issued(same), []byte("trust-bundle.v2+json"), []byte("manifest.v2+json"), 1))
	malformed("handover-as-manifest", "a hand-over in the place of a manifest", "payloadType", m.handover(func(*trust.Handover) {}, m.precinct.key))
	m.add("envelope-over-limit", attack{comment: "one byte over 40 MiB", via: "package", expect: string(verdict.OverLimit), says: "has 41943041 bytes, at most 41943040", recipe: "spaces 41943041"})
}

// reordered is an envelope with its signatures first.
func reordered(env []byte) []byte {
	at := bytes.Index(env, []byte(`,"signatures":`))
	return append([]byte("{"+string(env[at+1:len(env)-1])+","), append(bytes.Clone(env[1:at]), '}')...)
}

// payloads smuggle something into what was signed: the signer is dishonest, or his
// program is.
func (m *maker) payloads() {
	t := m.t
	good := encode(t, m.simple())
	bad := m.bad("package", "package-simple")
	edit := func(name, comment, says, old, now string) {
		bad("payload-"+name, comment, verdict.ManifestMalformed, says, m.enclosed(replace(t, good, old, now), manifest.PayloadType, m.revoked))
	}
	edit("unknown-member", "a member that nobody knows", "unknown member", `"v":1,`, `"v":1,"note":"",`)
	edit("unknown-member-of-file", "a file that is to be executable", "unknown member", `"size":5`, `"size":5,"mode":493`)
	edit("duplicate", "two audiences", "duplicate", `"audience":`, `"audience":"ems-2","audience":`)
	edit("duplicate-escaped", "two audiences, one written with an escape", "duplicate", `"audience":`, `"\u0061udience":"ems-2","audience":`)
	edit("member-case", "Audience for audience", "unknown member", `"audience"`, `"Audience"`)
	edit("null", "null for a text", "null", `"audience":"ems-1"`, `"audience":null`)
	edit("fraction", "5.0 bytes", "integer", `"size":5`, `"size":5.0`)
	edit("exponent", "a size of 5e0", "integer", `"size":5`, `"size":5e0`)
	edit("large-integer", "2^53, which some decoders round", "integer", `"seq":50`, `"seq":9007199254740992`)
	edit("negative-zero", "a size of -0", "integer", `"size":5`, `"size":-0`)
	edit("text-for-number", "a number in quotes", "seq", `"seq":50`, `"seq":"50"`)
	edit("white-space", "a space", "canonical", `,"kind"`, `, "kind"`)
	edit("escape", "a needless escape", "canonical", `ems-1`, `ems\u002d1`)
	edit("member-order", "stream before audience", "canonical", `"audience":"ems-1","stream":"cvr"`, `"stream":"cvr","audience":"ems-1"`)
	edit("invalid-utf-8", "a byte that is no text", "UTF-8", `ems-1`, "ems-\xff")
	edit("later-format", "a format of the future", "this version", `"v":1,`, `"v":2,`)
	edit("unknown-kind", "a kind that is not in the list", "kind", `"cvr-export"`, `"firmware"`)
	edit("totals", "a total that is not the sum", "totals.bytes", `"bytes":5`, `"bytes":4`)
	edit("digest-case", "a digest in upper case", "sha256", `"sha256":"`, `"sha256":"ABCDEF`)
	bad("payload-trailing", "a line end after it", verdict.ManifestMalformed, "canonical", m.enclosed(append(bytes.Clone(good), '\n'), manifest.PayloadType, m.revoked))
	bad("payload-no-files", "an empty list", verdict.ManifestMalformed, "at least one file", m.sealed(m.simple(list()), m.revoked))
	bad("payload-folder", "a package under another name than its own", verdict.ManifestMalformed, "lies in the folder", m.sealed(m.simple(), m.revoked), func(a *attack) { a.folder = "ffeeddccbbaa99887766554433221100" })
	for _, c := range []struct{ name, comment, says, path string }{
		{"parent", "out of the folder", `".."`, "a/../../b"},
		{"absolute", "from the root", "empty", "/etc/passwd"},
		{"backslash", "a separator elsewhere", "0x5c", `a\..\b`},
		{"drive", "a drive, or an alternate stream", "0x3a", "c:a"},
		{"dos", "a DOS device", "DOS device", "NUL"},
		{"dos-extension", "a DOS device with an extension, in a folder", "DOS device", "a/com1.json"},
		{"trailing-dot", "a dot that Windows drops", "ends in a dot", "a.json."},
		{"hidden", "a hidden file", "0x2e", ".profile"},
		{"option", "looks like an option", "0x2d", "-rf"},
		{"short-name", "the short name of another", "0x7e", "PROGRA~1"},
		{"direction", "a text that is shown turned round", "0xe2", "gpj.\u202eexe"},
		{"long", "201 bytes", "201 bytes", strings.Repeat(strings.Repeat("a", 32)+"/", 5) + strings.Repeat("b", 36)},
		{"deep", "7 segments", "7 segments", "a/b/c/d/e/f/g"},
	} {
		bad("path-"+c.name, c.comment, verdict.ManifestMalformed, c.says, m.sealed(m.simple(list(c.path)), m.revoked))
	}
	bad("paths-case", "two files that are one where case is ignored", verdict.ManifestMalformed, "but case", m.sealed(m.simple(list("Cvr.json", "cvr.json")), m.revoked))
	bad("paths-file-and-folder", "a file that is a folder too", verdict.ManifestMalformed, "is a file of the package", m.sealed(m.simple(list("a", "a/b")), m.revoked))
	bad("paths-unsorted", "a list in another order", verdict.ManifestMalformed, "sorted", m.sealed(m.simple(list("b", "a")), m.revoked))
	bad("file-over-limit", "one byte over 64 GiB", verdict.OverLimit, "68719476736", m.sealed(m.simple(func(p *manifest.Payload) {
		p.Files[0].Size, p.Totals.Bytes = manifest.MaxFileBytes+1, manifest.MaxFileBytes+1
	}), m.revoked))
}

// forged is the good package with any signature in the place of precinct-1's.
func (m *maker) forged(payload, sig []byte) []byte {
	return wrap(m.t, &dsse.Envelope{Payload: payload, PayloadType: manifest.PayloadType, Signatures: []dsse.Signature{{KeyID: m.precinct.KeyID(), Sig: sig}}})
}

// numbers are r and s of precinct-1's signature of the good package.
func (m *maker) numbers() (r, s, n *big.Int) {
	m.t.Helper()
	var sig struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(m.precinct.key.over(dsse.PAE(manifest.PayloadType, encode(m.t, m.payload()))), &sig)
	must(m.t, err)
	return sig.R, sig.S, elliptic.P256().Params().N
}

func der(r, s *big.Int) []byte {
	b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(err)
	}
	return b
}

// highS is the good package with the greater of the two s that verify.
func (m *maker) highS() []byte {
	r, s, n := m.numbers()
	if other := new(big.Int).Sub(n, s); other.Cmp(s) > 0 {
		s = other
	}
	return m.forged(encode(m.t, m.payload()), der(r, s))
}

// signatures are forged, mistaken for others, or encoded in another way.
func (m *maker) signatures() {
	t := m.t
	payload := encode(t, m.payload())
	r, s, n := m.numbers()
	good := der(r, s)
	bad := m.bad("package", "package")
	forged := func(name, comment, says string, sig []byte) {
		bad("signature-"+name, comment, verdict.SignatureInvalid, says, m.forged(payload, sig), withEvidence("evidence.json"))
	}
	zero := new(big.Int)
	forged("r-zero", "r is 0", "outside 1 to n-1", der(zero, s))
	forged("s-zero", "s is 0", "outside 1 to n-1", der(r, zero))
	forged("both-zero", "the signature of everything, in some programs", "outside 1 to n-1", der(zero, zero))
	forged("r-n", "r is the order of the group", "outside 1 to n-1", der(n, s))
	forged("s-n", "s is the order of the group", "outside 1 to n-1", der(r, n))
	forged("r-plus-n", "r and the order of the group: 0 more to whoever reduces first", "outside 1 to n-1", der(new(big.Int).Add(r, n), s))
	forged("s-plus-n", "s and the order of the group", "outside 1 to n-1", der(r, new(big.Int).Add(s, n)))
	forged("negative", "a number below 0", "outside 1 to n-1", der(new(big.Int).Neg(r), s))
	forged("trailing-byte", "a byte after the signature", "followed by 1 bytes", append(bytes.Clone(good), 0))
	forged("long-length", "a length in two bytes where one is enough", "ASN.1 DER", append([]byte{0x30, 0x81}, good[1:]...))
	forged("raw", "r and s without an encoding", "ASN.1 DER", append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	forged("cut", "the last byte is missing", "ASN.1 DER", good[:len(good)-1])
	forged("no-pae", "over the payload alone", "does not match", m.precinct.key.over(payload))
	forged("other-document", "over the same bytes as another document", "does not match", m.precinct.key.over(dsse.PAE(trust.HandoverType, payload)))
	forged("attestation-key", "by the TPM's attestation key", "does not match", m.precinct.ak.over(dsse.PAE(manifest.PayloadType, payload)))
	forged("other-key", "another station's signature under this one's key id", "does not match", m.ems.over(dsse.PAE(manifest.PayloadType, payload)))
	pq, err := m.precinctB.SignMessage(t.Context(), (&dsse.Envelope{Payload: payload, PayloadType: manifest.PayloadType}).Message())
	must(t, err)
	forged("ml-dsa-for-ecdsa", "an ML-DSA signature under an ECDSA key", "at most 72", pq)

	bad("signature-payload-altered", "a county that changes one vote after the signature", verdict.SignatureInvalid, "does not match",
		repayload(t, m.sealed(m.payload()), manifest.PayloadType, `"seq":100`, `"seq":101`), withEvidence("evidence.json"))
	bad("signature-log-key", "signed with the key of the audit log, which every boot state can use", verdict.SignerUnknown, "not in trust bundle 5", m.sealed(m.payload(by("precinct-1", trust.Source, m.precinct.log)), m.precinct.log))
	bad("signature-boot-unbound", "signed with the attestation key as a station's", verdict.SignerUnknown, "not in trust bundle 5", m.sealed(m.payload(by("precinct-1", trust.Source, m.precinct.ak)), m.precinct.ak))
	bad("signature-stranger", "a station that nobody enrolled", verdict.SignerUnknown, "not in trust bundle 5", m.sealed(m.payload(by("precinct-9", trust.Source, m.stranger.key)), m.stranger.key))
	bad("signature-stranger-garbage", "a stranger's payload is never looked at", verdict.SignerUnknown, "not in trust bundle 5", m.enclosed([]byte("{{{{"), manifest.PayloadType, m.stranger.key))
	bad("signature-second-stranger", "a stranger beside a good signature", verdict.SignerUnknown, "not in trust bundle 5", m.sealed(m.payload(), m.precinct.key, m.stranger.key), withEvidence("evidence.json"))
	second := opened(t, m.sealed(m.payload(), m.precinct.key, m.ems), manifest.PayloadType)
	second.Signatures[1].Sig = second.Signatures[0].Sig
	bad("signature-second-bad", "a bad signature beside a good one", verdict.SignatureInvalid, "signature 2 of 2", wrap(t, second), withEvidence("evidence.json"))
	bad("signature-not-own", "the station in whose name it is did not sign", verdict.SignerNotPermitted, "did not sign", m.sealed(m.payload(), m.ems), withEvidence("evidence.json"))
	bad("signature-other-name", "in the name of another station", verdict.SignerNotPermitted, "says station ems-1", m.sealed(m.payload(by("ems-1", trust.Source, m.precinct.key))), withEvidence("evidence.json"))
	bad("signature-other-role", "in a role that the key does not have", verdict.SignerNotPermitted, "in the role authority", m.sealed(m.payload(by("precinct-1", trust.Authority, m.precinct.key))), withEvidence("evidence.json"))

	hybrid := m.bad("package", "package-hybrid")
	both := func(name, comment string, want verdict.Reason, says string, body []byte) {
		hybrid("hybrid-"+name, comment, want, says, body, under("bundle-6-hybrid.dsse.json"), withEvidence("evidence.json"))
	}
	both("ecdsa-alone", "the second signature was taken away", verdict.SignerNotPermitted, "must be signed with ml-dsa-65 too", m.sealed(m.payload()))
	both("ml-dsa-alone", "the first signature was taken away", verdict.SignerNotPermitted, "only stands beside", m.sealed(m.payload(), m.precinctB))
	both("ml-dsa-own", "the second key as the station's own", verdict.SignerNotPermitted, "names a key of ml-dsa-65", m.sealed(m.payload(by("precinct-1", trust.Source, m.precinctB)), m.precinct.key, m.precinctB))
	both("ml-dsa-of-another", "another station's second signature", verdict.SignerNotPermitted, "without the key beside which it stands", m.sealed(m.payload(), m.precinct.key, m.emsB))
	spoilt := opened(t, m.sealed(m.payload(), m.precinct.key, m.precinctB), manifest.PayloadType)
	spoilt.Signatures[1].Sig[1000] ^= 1
	both("ml-dsa-bad", "a second signature that does not match", verdict.SignatureInvalid, "signature 2 of 2", wrap(t, spoilt))
	swapped := opened(t, m.sealed(m.payload(), m.precinct.key, m.precinctB), manifest.PayloadType)
	swapped.Signatures[0].Sig, swapped.Signatures[1].Sig = swapped.Signatures[1].Sig, swapped.Signatures[0].Sig
	both("swapped", "each signature under the other's key", verdict.SignatureInvalid, "signature 1 of 2", wrap(t, swapped))
	digest := sha256.Sum256(dsse.PAE(manifest.PayloadType, payload))
	prehashed := opened(t, m.sealed(m.payload(), m.precinct.key, m.precinctB), manifest.PayloadType)
	prehashed.Signatures[1].Sig, err = m.precinctB.private.SignDeterministic(digest[:], nil)
	must(t, err)
	both("ml-dsa-digest", "a second signature over a digest, which is cheaper to collide", verdict.SignatureInvalid, "signature 2 of 2", wrap(t, prehashed))
}

// permissions: everything is signed well, and not for this place or by this one.
func (m *maker) permissions() {
	kind := func(k manifest.Kind) func(*manifest.Payload) {
		return func(p *manifest.Payload) {
			if p.Kind = k; k == manifest.ElectionDefinition {
				p.ElectionSHA256 = p.Files[0].SHA256
			}
		}
	}
	not := verdict.SignerNotPermitted
	simple, kiosk, fromRoot := m.bad("package", "package-simple"), m.bad("package", "package-kiosk"), m.bad("package", "package-root-key")
	simple("role-ems-ballots", "the EMS sends ballots to itself", not, "has the role ems, which never seals the kind cvr-export", m.sealed(m.payload(by("ems-1", trust.EMS, m.ems)), m.ems))
	simple("role-source-bundle", "a precinct sends a trust bundle", not, "has the role source, which never seals the kind trust-bundle", m.sealed(m.simple(general(manifest.TrustBundle)), m.revoked))
	kiosk("role-kiosk-definition", "the kiosk sends an election's definition", not, "has the role kiosk, which never seals", m.sealed(m.payload(by("kiosk-1", trust.Kiosk, m.kiosk), kind(manifest.ElectionDefinition)), m.kiosk))
	kiosk("role-kiosk-ballots", "the kiosk sends ballots", not, "has the role kiosk, which never seals", m.sealed(m.payload(by("kiosk-1", trust.Kiosk, m.kiosk)), m.kiosk))
	kiosk("role-authority-ballots", "an authority sends ballots", not, "has the role authority, which never seals", m.sealed(m.payload(by("authority-3", trust.Authority, m.desk)), m.desk))
	kiosk("kind-not-enrolled", "a kind that the role may seal and the station may not", not, "not enrolled for the kind log-export", m.sealed(m.payload(by("kiosk-1", trust.Kiosk, m.kiosk), general(manifest.LogExport)), m.kiosk))
	fromRoot("root-key-ballots", "a root key sends ballots", not, "which seal the kind trust-bundle alone", m.sealed(m.payload(by("authority-2", trust.Authority, m.authority2.key)), m.authority2.key))
	fromRoot("root-key-files", "a root key sends general files", not, "which seal the kind trust-bundle alone", m.sealed(m.payload(by("authority-2", trust.Authority, m.authority2.key), general(manifest.MediaSet)), m.authority2.key))
	fromRoot("root-key-in-a-file", "a root key outside a TPM sends a trust bundle", verdict.SignerUnknown, "not in trust bundle 5", m.sealed(m.payload(by("carol", trust.Authority, m.carol), general(manifest.TrustBundle)), m.carol))
	fromRoot("root-key-as-another", "a root key in the name of another holder", not, "says station authority-1", m.sealed(m.payload(by("authority-1", trust.Authority, m.authority2.key), general(manifest.TrustBundle)), m.authority2.key))
	fromRoot("root-key-elsewhere", "a trust bundle for another county", verdict.WrongJurisdiction, "us/oak-county", m.sealed(m.payload(by("authority-2", trust.Authority, m.authority2.key), general(manifest.TrustBundle), func(p *manifest.Payload) { p.Jurisdiction = "us/oak-county" }), m.authority2.key))
	simple("revoked", "sealed after the key's revocation", verdict.SignerRevoked, "revoked after 50", m.sealed(m.simple(func(p *manifest.Payload) { p.Seq = 51 }), m.revoked))
	simple("epoch-newer", "sealed under a bundle that is not here yet", verdict.TrustOutdated, "bundle 6, this station has 5", m.sealed(m.simple(func(p *manifest.Payload) { p.TrustEpoch = 6 }), m.revoked))
	m.bad("package", "package-before-handover")("handover-after", "sealed with the old key after it handed over", verdict.SignerRevoked, "revoked after 120",
		m.sealed(m.payload(func(p *manifest.Payload) { p.Seq = 121 })), under("bundle-7-handed-over.dsse.json"), withEvidence("evidence.json"))

	oak, other, audience := m.bad("package", "package-oak"), m.bad("package", "package-election"), m.bad("package", "package-audience")
	at := func(j string) func(*manifest.Payload) { return func(p *manifest.Payload) { p.Jurisdiction = j } }
	oak("replay-county", "another county's ballots", verdict.WrongJurisdiction, "this station belongs to us/maple-county", m.sealed(m.payload(by("oak-1", trust.Source, m.oak), at("us/oak-county")), m.oak))
	oak("replay-county-claimed", "another county's station in this one's name", not, "enrolled for us/oak-county, not for us/maple-county", m.sealed(m.payload(by("oak-1", trust.Source, m.oak)), m.oak))
	oak("county-prefix", "a county whose name begins alike", not, "is enrolled for us/oak-county", m.sealed(m.payload(by("oak-1", trust.Source, m.oak), at("us/oak-county-2")), m.oak))
	oak("county-above", "a county that speaks for the state", not, "is enrolled for us/oak-county", m.sealed(m.payload(by("oak-1", trust.Source, m.oak), at("us")), m.oak))
	other("replay-election", "another election's ballots", verdict.WrongElection, "this station takes "+election, m.sealed(m.simple(func(p *manifest.Payload) { p.ElectionID = otherElection }), m.revoked))
	other("election-not-enrolled", "an election for which the station is not enrolled", not, "not enrolled for the election", m.sealed(m.simple(func(p *manifest.Payload) { p.ElectionID = "mock-election" }), m.revoked), receivedBy("ems-1 "+county+" mock-election"))
	audience("replay-audience", "another station's ballots", verdict.WrongAudience, "ems-2, this is ems-1", m.sealed(m.simple(func(p *manifest.Payload) { p.Audience = "ems-2" }), m.revoked))
}
