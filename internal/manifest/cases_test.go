package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"filippo.io/mldsa"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
)

// vectorCount is asserted, so that a lost file is noticed.
const vectorCount = 179

// cases is the source of testdata/vectors.
func cases(t *testing.T) map[string]*vector {
	all := map[string]*vector{}
	add := func(name, comment, expect, says string, body []byte) *vector {
		if all[name] != nil {
			t.Fatalf("two cases are called %s", name)
		}
		v := &vector{comment: comment, expect: expect, says: says, folder: packageID, body: body}
		if expect == "accepted" {
			e, err := manifest.ParseEnvelope(v.envelope(t))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(e.Payload)
			v.digest = hex.EncodeToString(sum[:])
		}
		all[name] = v
		return v
	}
	acceptedCases(t, add)
	envelopeCases(t, add)
	signatureCases(t, add)
	hybridCases(t, add)
	payloadSyntaxCases(t, add)
	fieldCases(t, add)
	fileCases(t, add)
	recipeCases(all)
	return all
}

type adder func(name, comment, expect, says string, body []byte) *vector

func acceptedCases(t *testing.T, add adder) {
	ok := func(name, comment string, change func(*manifest.Payload), keys ...byte) {
		if keys == nil {
			keys = []byte{keyPrecinct}
		}
		add("ok-"+name, comment, "accepted", "", enclose(t, encode(t, base(change)), keys...))
	}
	ok("common", "the payload from which all others are made", func(*manifest.Payload) {})
	ok("first-of-stream", "no package came before", func(p *manifest.Payload) { p.PrevSHA256, p.Seq = "", 1 })
	ok("supersedes", "replaces an earlier package", func(p *manifest.Payload) { p.Supersedes = previous })
	ok("set", "second medium of three", func(p *manifest.Payload) {
		p.Set = manifest.Set{ID: packageID, Part: 2, Parts: 3, Root: previous}
	})
	ok("two-signatures", "a second station signs as well", func(*manifest.Payload) {}, keyPrecinct, keyWitness)
	ok("own-signature-second", "the order of signatures means nothing", func(*manifest.Payload) {}, keyWitness, keyPrecinct)
	ok("hybrid", "the station signs with both algorithms", func(*manifest.Payload) {}, keyPrecinct, mlPrecinct)
	ok("hybrid-mldsa-first", "the order of signatures means nothing", func(*manifest.Payload) {}, mlPrecinct, keyPrecinct)
	ok("hybrid-two-stations", "two stations sign with both algorithms", func(*manifest.Payload) {}, keyPrecinct, mlPrecinct, keyWitness, mlWitness)
	ok("no-election", "a media set belongs to no election", func(p *manifest.Payload) {
		p.Kind, p.ElectionID, p.ElectionSHA256 = manifest.MediaSet, "", ""
	})
	ok("definition", "the definition is one of the files", func(p *manifest.Payload) {
		p.Kind, p.ElectionSHA256 = manifest.ElectionDefinition, p.Files[1].SHA256
	})
	ok("audience-all", "for every station of the jurisdiction", func(p *manifest.Payload) { p.Audience = "*" })
	ok("empty-file", "a file may have no bytes", func(p *manifest.Payload) { p.Totals.Bytes -= p.Files[0].Size; p.Files[0].Size = 0 })
	ok("largest-sizes", "four files of 64 GiB are 256 GiB", func(p *manifest.Payload) {
		list(p, "1", "2", "3", "4")
		for i := range p.Files {
			p.Files[i].Size = manifest.MaxFileBytes
		}
		p.Totals.Bytes = manifest.MaxBytes
	})
	longest := strings.Repeat(strings.Repeat("a", 32)+"/", 5) + strings.Repeat("b", 35)
	ok("longest-path", "200 bytes in 6 segments", paths(longest))
	ok("longest-segment", "64 bytes", paths(strings.Repeat("a", 64)))
	ok("odd-names", "names that look dangerous and are not", paths("0-_.x", "COM10", "CONSOLE", "a..b", "a.con", "com1-x", "data/x"))
	ok("sorted-by-bytes", "'-' and '.' sort before '/'", paths("a-b", "a.b", "a/b", "a0"))
}

func envelopeCases(t *testing.T, add adder) {
	good := enclose(t, encode(t, base()), keyPrecinct, keyWitness)
	bad := func(name, comment, says string, body []byte) {
		add("envelope-"+name, comment, "manifest-malformed", says, body)
	}
	b64 := base64.StdEncoding.EncodeToString(encode(t, base()))
	if !strings.HasSuffix(b64, "=") {
		t.Fatal("the common payload must need padding, for the cases about it")
	}
	bad("cut-in-payload", "half of the file", "EOF", good[:len(good)/2])
	bad("cut-in-signatures", "the last ten bytes are missing", "EOF", good[:len(good)-10])
	bad("cut-by-one", "the last byte is missing", "EOF", good[:len(good)-1])
	bad("trailing-newline", "an editor added a line end", "canonical", append(bytes.Clone(good), '\n'))
	bad("trailing-bytes", "something follows the envelope", "after the end", append(bytes.Clone(good), "{}"...))
	bad("trailing-zeros", "the file system padded the file", "after the end", append(bytes.Clone(good), 0, 0))
	bad("byte-order-mark", "an editor added U+FEFF", "byte 0", append([]byte("\ufeff"), good...))
	bad("not-json", "a text", "byte 0", []byte("This medium was left empty intentionally.\n"))
	bad("array", "a JSON array", "byte ", append(append([]byte{'['}, good...), ']'))
	bad("duplicate-payload", "two payloads: the first is signed, the second wins in lax parsers", "duplicate", replace(t, good, `","payloadType"`, `","payload":"e30=","payloadType"`))
	bad("unknown-member", "an algorithm chosen by the envelope", "unknown member", replace(t, good, `{"payload"`, `{"alg":"none","payload"`))
	bad("unknown-signature-member", "a certificate beside the signature", "unknown member", replace(t, good, `"sig":`, `"cert":"","sig":`))
	bad("member-case", "PAYLOAD for payload", "unknown member", replace(t, good, `"payload"`, `"PAYLOAD"`))
	bad("member-order", "payloadType before payload", "canonical", replace(t, replace(t, good, `{"payload":"`+b64+`",`, `{`), `"signatures"`, `"payload":"`+b64+`","signatures"`))
	bad("white-space", "a space after a colon", "canonical", replace(t, good, `":"`, `": "`))
	bad("null-signatures", "null for a list", "null", []byte(`{"payload":"e30=","payloadType":"`+manifest.PayloadType+`","signatures":null}`))
	bad("no-signatures", "an empty list", "0 signatures", []byte(`{"payload":"e30=","payloadType":"`+manifest.PayloadType+`","signatures":[]}`))
	bad("payload-type", "another payload type, with valid signatures over it", "payloadType", otherType(t, "application/vnd.in-toto+json"))
	bad("payload-type-bundle", "a trust bundle is not a manifest", "payloadType", otherType(t, "application/vnd.sallyport.trust-bundle.v1+json"))
	bad("base64-url", "the URL alphabet", "base64", replace(t, good, `"payload":"`, `"payload":"--__`))
	bad("base64-no-padding", "padding left out", "base64", replace(t, good, b64, strings.TrimRight(b64, "=")))
	bad("base64-stray-bits", "unused bits are not zero: a second encoding of the same bytes", "base64", replace(t, good, `"payload":"`+b64, `"payload":"e31=`))
	bad("base64-line-end", "a raw line end", "line end", replace(t, good, b64, b64[:76]+"\n"+b64[76:]))
	bad("base64-escaped-line-end", "a line end as an escape", "canonical", replace(t, good, b64, b64[:76]+`\u000a`+b64[76:]))
	sig := string(good[bytes.Index(good, []byte(`{"keyid"`)):bytes.Index(good, []byte(`,{"keyid"`))])
	bad("nine-signatures", "more than eight", "more than 8", replace(t, good, sig, strings.Repeat(sig+",", 7)+sig))
	bad("same-key-twice", "one key cannot count twice", "signs twice", replace(t, good, sig, sig+","+sig))
	bad("key-id-case", "a key id in upper case", "/signatures/0/keyid", replace(t, good, key(keyPrecinct).KeyID(), strings.ToUpper(key(keyPrecinct).KeyID())))
	bad("key-id-short", "a key id cut to 16 digits", "/signatures/0/keyid", replace(t, good, key(keyPrecinct).KeyID(), key(keyPrecinct).KeyID()[:16]))
	bad("empty-signature", "no bytes of signature", "0 bytes", replace(t, good, sig, `{"keyid":"`+key(keyPrecinct).KeyID()+`","sig":""}`))
}

// otherType is validly signed, but as another payload type.
func otherType(t *testing.T, payloadType string) []byte {
	e := &dsse.Envelope{Payload: encode(t, base()), PayloadType: payloadType}
	if err := e.Sign(t.Context(), key(keyPrecinct)); err != nil {
		t.Fatal(err)
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signatureCases(t *testing.T, add adder) {
	payload := encode(t, base())
	good := enclose(t, payload, keyPrecinct, keyWitness)
	// forge puts these bytes in the place of the first signature.
	forge := func(payload, sig []byte) []byte {
		e := dsse.Envelope{Payload: payload, PayloadType: manifest.PayloadType, Signatures: []dsse.Signature{{KeyID: key(keyPrecinct).KeyID(), Sig: sig}}}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	over := func(data []byte) []byte {
		der, err := key(keyPrecinct).Sign(t.Context(), sha256.Sum256(data))
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	der := over(dsse.PAE(manifest.PayloadType, payload))
	bad := func(name, comment, says string, body []byte) {
		add("signature-"+name, comment, "signature-invalid", says, body)
	}
	b64 := base64.StdEncoding.EncodeToString
	bad("payload-altered", "one digit of a size was changed after signing", "does not match",
		replace(t, good, b64(payload), b64(replace(t, payload, `"size":1001`, `"size":1002`))))
	bad("second-altered", "the first signature is good, the second is the first's bytes", "signature 2 of 2",
		replace(t, good, signatureOf(t, good, 1), signatureOf(t, good, 0)))
	bad("not-pae", "signed without the pre-authentication encoding", "does not match", forge(payload, over(payload)))
	bad("other-type", "signed as a trust bundle", "does not match", forge(payload, over(dsse.PAE("application/vnd.sallyport.trust-bundle.v1+json", payload))))
	bad("not-der", "r and s as 64 raw bytes", "DER", forge(payload, make([]byte, 64)))
	bad("der-trailing-byte", "a byte after the signature", "followed by", forge(payload, append(bytes.Clone(der), 0)))
	bad("der-zero", "r and s are zero", "outside", forge(payload, []byte{0x30, 6, 2, 1, 0, 2, 1, 0}))
	bad("der-long-length", "a length in two bytes where one is enough", "DER", forge(payload, append([]byte{0x30, 0x81}, der[1:]...)))
	bad("garbage-not-parsed", "the payload is no JSON, but that is not looked at", "does not match", forge([]byte("{{{{"), der))

	add("signer-unknown", "a station that is not enrolled", "signer-unknown", key(keyUnknown).KeyID(), enclose(t, payload, keyUnknown))
	add("signer-unknown-garbage", "the payload of a stranger is never parsed", "signer-unknown", key(keyUnknown).KeyID(), enclose(t, []byte("{{{{"), keyUnknown))
	add("signer-unknown-second", "a good signature does not carry an unknown one along", "signer-unknown", key(keyUnknown).KeyID(), enclose(t, payload, keyPrecinct, keyUnknown))
	add("signer-revoked", "a revoked key", "signer-revoked", "precinct-3", enclose(t, payload, keyRevoked))
	add("signer-not-own", "the station that the payload names did not sign", "signer-not-permitted", "did not sign", enclose(t, payload, keyWitness))
	station := base(func(p *manifest.Payload) { p.Signer.StationID = "precinct-2" })
	add("signer-other-station", "signed with precinct-1's key in the name of precinct-2", "signer-not-permitted", "precinct-2", enclose(t, encode(t, station), keyPrecinct))
	role := base(func(p *manifest.Payload) { p.Signer.Role = "authority" })
	add("signer-other-role", "a source says that it is an authority", "signer-not-permitted", "authority", enclose(t, encode(t, role), keyPrecinct))
	elsewhere := base(func(p *manifest.Payload) { p.Jurisdiction = "elsewhere" })
	add("policy-refuses", "the manifest is valid, the policy refuses it", "wrong-jurisdiction", "elsewhere", enclose(t, encode(t, elsewhere), keyPrecinct))
}

// hybridCases combine good and bad signatures of the two algorithms. The names
// say what each of the two is.
func hybridCases(t *testing.T, add adder) {
	payload := encode(t, base())
	m := (&dsse.Envelope{Payload: payload, PayloadType: manifest.PayloadType}).Message()
	ec, err := key(keyPrecinct).Sign(t.Context(), m.Digest())
	if err != nil {
		t.Fatal(err)
	}
	pqBy := func(k mlKey, message []byte, opts *mldsa.Options) []byte {
		sig, err := k.private.SignDeterministic(message, opts)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	digest, pae := m.Digest(), m.PAE()
	pq := pqBy(ml(mlPrecinct), pae, nil)
	spoilt := func(sig []byte) []byte {
		sig = bytes.Clone(sig)
		sig[len(sig)/2] ^= 1
		return sig
	}
	// forge puts these bytes in the places of the precinct's two signatures.
	forge := func(ec, pq []byte) []byte {
		e := dsse.Envelope{Payload: payload, PayloadType: manifest.PayloadType, Signatures: []dsse.Signature{
			{KeyID: key(keyPrecinct).KeyID(), Sig: ec}, {KeyID: ml(mlPrecinct).KeyID(), Sig: pq},
		}}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const first, second, form = "signature 1 of 2", "signature 2 of 2", "has exactly 3309"
	bad := func(name, comment, says string, ec, pq []byte) {
		add("hybrid-"+name, comment, "signature-invalid", says, forge(ec, pq))
	}
	bad("mldsa-bad", "ECDSA is good, ML-DSA is not", second, ec, spoilt(pq))
	bad("ecdsa-bad", "ML-DSA is good, ECDSA is not", first, spoilt(ec), pq)
	bad("both-bad", "neither is good; ECDSA is judged first", first, spoilt(ec), spoilt(pq))
	bad("swapped", "each signature under the id of the other key", first, pq, ec)
	bad("mldsa-under-ecdsa", "an ML-DSA signature under an ECDSA key's id", "at most 72", pq, pq)
	bad("ecdsa-under-mldsa", "an ECDSA signature under an ML-DSA key's id", form, ec, ec)
	bad("mldsa-cut", "one byte is missing", form, ec, pq[:len(pq)-1])
	bad("mldsa-long", "one byte too many", form, ec, append(bytes.Clone(pq), 0))
	bad("mldsa-44", "a signature of ML-DSA-44 with the same seed", form, ec, pqBy(mlKeyOf(mldsa.MLDSA44(), mlPrecinct), pae, nil))
	bad("mldsa-87-cut", "the longest signature allowed, the head of one of ML-DSA-87", form, ec, pqBy(mlKeyOf(mldsa.MLDSA87(), mlPrecinct), pae, nil)[:dsse.MaxSignatureBytes])
	bad("mldsa-digest", "ML-DSA over SHA-256 of what is to be signed", "does not match", ec, pqBy(ml(mlPrecinct), digest[:], nil))
	bad("mldsa-not-pae", "ML-DSA over the payload alone", "does not match", ec, pqBy(ml(mlPrecinct), payload, nil))
	bad("mldsa-context", "ML-DSA with a context", "does not match", ec, pqBy(ml(mlPrecinct), pae, &mldsa.Options{Context: manifest.PayloadType}))
	bad("mldsa-other-key", "the witness's ML-DSA signature under the precinct's id", "does not match", ec, pqBy(ml(mlWitness), pae, nil))
	bad("mldsa-zeros", "as many zeros", "does not match", ec, make([]byte, len(pq)))

	const b64 = `"payload":"`
	e := base64.StdEncoding.EncodeToString
	add("hybrid-payload-altered", "one digit of a size was changed after both signed", "signature-invalid", first,
		replace(t, forge(ec, pq), b64+e(payload), b64+e(replace(t, payload, `"size":1001`, `"size":1002`))))
	add("hybrid-mldsa-87", "a signature of ML-DSA-87 is longer than any may be", "manifest-malformed", "4627 bytes",
		replace(t, forge(ec, pq), e(pq), e(pqBy(mlKeyOf(mldsa.MLDSA87(), mlPrecinct), pae, nil))))

	const refused = "signer-not-permitted"
	own := encode(t, base(func(p *manifest.Payload) { p.Signer.KeyID = ml(mlPrecinct).KeyID() }))
	add("hybrid-mldsa-alone", "an ML-DSA key never stands alone", refused, "only stands beside", enclose(t, payload, mlPrecinct))
	add("hybrid-mldsa-alone-own", "nor when the payload names it", refused, "only stands beside", enclose(t, own, mlPrecinct))
	add("hybrid-mldsa-two-alone", "nor do two of them", refused, "only stands beside", enclose(t, payload, mlPrecinct, mlWitness))
	add("hybrid-mldsa-alone-garbage", "the payload of ML-DSA keys alone is not looked at, nor their signatures", refused, "only stands beside",
		replace(t, enclose(t, []byte("{{{{"), mlPrecinct), `"sig":"`, `"sig":"AAAA`))
	add("hybrid-mldsa-own", "both sign, but the payload names the ML-DSA key", refused, "names a key of ml-dsa-65", enclose(t, own, keyPrecinct, mlPrecinct))
	add("hybrid-ecdsa-of-other", "the ECDSA signature is by another station than the payload names", refused, "did not sign", enclose(t, payload, keyWitness, mlPrecinct))
	add("hybrid-mldsa-unknown", "an ML-DSA key that is not enrolled beside a good ECDSA key", "signer-unknown", ml(mlUnknown).KeyID(), enclose(t, payload, keyPrecinct, mlUnknown))
	add("hybrid-mldsa-revoked", "a revoked ML-DSA key beside a good ECDSA key", "signer-revoked", "precinct-3", enclose(t, payload, keyPrecinct, mlRevoked))
	add("hybrid-ecdsa-revoked", "a revoked ECDSA key beside a good ML-DSA key", "signer-revoked", "precinct-3", enclose(t, payload, mlPrecinct, keyRevoked))
}

// signatureOf returns the base64 of one signature.
func signatureOf(t *testing.T, envelope []byte, i int) string {
	e, err := manifest.ParseEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(e.Signatures[i].Sig)
}

func payloadSyntaxCases(t *testing.T, add adder) {
	good := encode(t, base())
	bad := func(name, comment, says string, payload []byte) {
		add("payload-"+name, comment, "manifest-malformed", says, enclose(t, payload, keyPrecinct))
	}
	edit := func(name, comment, says, old, now string) { bad(name, comment, says, replace(t, good, old, now)) }
	bad("empty", "no bytes", "empty", nil)
	bad("garbage", "signed, but no JSON", "JSON", []byte("{{{{"))
	bad("trailing-newline", "a line end after the object", "canonical", append(bytes.Clone(good), '\n'))
	edit("duplicate-key", "audience twice", "duplicate", `"audience":`, `"audience":"precinct-1","audience":`)
	edit("duplicate-key-in-file", "sha256 twice", "duplicate", `"sha256":`, `"sha256":"","sha256":`)
	edit("duplicate-key-escaped", "audience twice, once written with an escape", "duplicate", `"audience":`, `"\u0061udience":"precinct-1","audience":`)
	edit("unknown-key", "a member of a later version", "unknown member", `"v":1,`, `"v":1,"note":"",`)
	edit("unknown-key-in-file", "a file mode", "unknown member", `"size":1001`, `"size":1001,"mode":420`)
	edit("key-case", "Audience for audience", "unknown member", `"audience"`, `"Audience"`)
	edit("null", "null for a text", "null", `"audience":"office-1"`, `"audience":null`)
	edit("fraction", "a size of 1001.0", "integer", `"size":1001`, `"size":1001.0`)
	edit("exponent", "a size of 1e3", "integer", `"size":1000`, `"size":1e3`)
	edit("too-large-integer", "2^53", "integer", `"seq":7`, `"seq":9007199254740992`)
	edit("number-as-text", "a text for a number", "seq", `"seq":7`, `"seq":"7"`)
	edit("missing-member", "no audience", "canonical", `"audience":"office-1",`, ``)
	edit("empty-member", "an optional member that is there and empty", "canonical", `"created"`, `"supersedes":"","created"`)
	edit("white-space", "a space", "canonical", `,"kind"`, `, "kind"`)
	edit("escape", "an escape that is not needed", "canonical", `office-1`, `office\u002d1`)
	edit("member-order", "stream before audience", "canonical", `"audience":"office-1","stream":"cvr"`, `"stream":"cvr","audience":"office-1"`)
	edit("invalid-utf-8", "a byte 0xff in a text", "UTF-8", `office-1`, "office-\xff")
}

func fieldCases(t *testing.T, add adder) {
	bad := func(name, comment, says string, change func(*manifest.Payload)) {
		add("field-"+name, comment, "manifest-malformed", says, enclose(t, encode(t, base(change)), keyPrecinct))
	}
	bad("version", "a later version", "this version", func(p *manifest.Payload) { p.V = 2 })
	v := add("field-folder", "the package lies in a folder of another name", "manifest-malformed", "folder", enclose(t, encode(t, base()), keyPrecinct))
	v.folder = "ffeeddccbbaa99887766554433221100"
	bad("package-id", "upper case", "package_id", func(p *manifest.Payload) { p.PackageID = strings.ToUpper(packageID) })
	bad("kind", "not in the list", "kind", func(p *manifest.Payload) { p.Kind = "firmware" })
	bad("jurisdiction-empty", "none", "jurisdiction", func(p *manifest.Payload) { p.Jurisdiction = "" })
	bad("jurisdiction-control", "a terminal escape sequence", "jurisdiction", func(p *manifest.Payload) { p.Jurisdiction = "xx\x1b[2J" })
	bad("audience", "two stations", "audience", func(p *manifest.Payload) { p.Audience = "ems-1,ems-2" })
	bad("stream", "a stream that is a path", "stream", func(p *manifest.Payload) { p.Stream = "../cvr" })
	bad("seq-zero", "counters start at one", "seq", func(p *manifest.Payload) { p.Seq = 0 })
	bad("seq-negative", "below zero", "seq", func(p *manifest.Payload) { p.Seq = -7 })
	bad("previous", "not a digest", "prev_sha256", func(p *manifest.Payload) { p.PrevSHA256 = "none" })
	bad("supersedes", "a package id where a digest belongs", "supersedes", func(p *manifest.Payload) { p.Supersedes = packageID })
	bad("election-missing", "CVRs of no election", "election_id", func(p *manifest.Payload) { p.ElectionID, p.ElectionSHA256 = "", "" })
	bad("election-half", "an election without its definition", "together", func(p *manifest.Payload) { p.ElectionSHA256 = "" })
	bad("election-of-bundle", "a trust bundle belongs to no election", "not allowed", func(p *manifest.Payload) { p.Kind = manifest.TrustBundle })
	bad("election-definition", "a definition that is not among the files", "one of the files", func(p *manifest.Payload) { p.Kind = manifest.ElectionDefinition })
	bad("rtc-zone", "a time zone", "created.rtc", func(p *manifest.Payload) { p.Created.RTC = "2026-11-03T20:15:00+01:00" })
	bad("rtc-fraction", "parts of a second", "created.rtc", func(p *manifest.Payload) { p.Created.RTC = "2026-11-03T20:15:00.5Z" })
	bad("rtc-no-date", "the 31st of November", "created.rtc", func(p *manifest.Payload) { p.Created.RTC = "2026-11-31T20:15:00Z" })
	bad("clock", "before the TPM was made", "created.clock", func(p *manifest.Payload) { p.Created.Clock = -1 })
	bad("reset", "over 32 bits", "created.reset", func(p *manifest.Payload) { p.Created.Reset = 1 << 32 })
	bad("trust-epoch", "zero", "trust_epoch", func(p *manifest.Payload) { p.TrustEpoch = 0 })
	bad("set-part", "part 4 of 3", "set.part", func(p *manifest.Payload) {
		p.Set = manifest.Set{ID: packageID, Part: 4, Parts: 3, Root: previous}
	})
	bad("set-root", "no root", "set.root", func(p *manifest.Payload) { p.Set = manifest.Set{ID: packageID, Part: 1, Parts: 3} })
	bad("totals-files", "one too many", "totals.files", func(p *manifest.Payload) { p.Totals.Files++ })
	bad("totals-bytes", "one too few", "totals.bytes", func(p *manifest.Payload) { p.Totals.Bytes-- })
}

func fileCases(t *testing.T, add adder) {
	file := func(name, comment, expect, says string, change func(*manifest.Payload)) {
		add("file-"+name, comment, expect, says, enclose(t, encode(t, base(change)), keyPrecinct))
	}
	const malformed = "manifest-malformed"
	file("none", "an empty list", malformed, "at least one file", paths())
	file("order", "not sorted", malformed, "sorted", paths("b", "a"))
	file("twice", "one path twice", malformed, "once", paths("a", "a"))
	file("sha256-case", "upper case", malformed, "sha256", func(p *manifest.Payload) { p.Files[0].SHA256 = strings.ToUpper(definition) })
	file("sha256-short", "31 bytes", malformed, "sha256", func(p *manifest.Payload) { p.Files[0].SHA256 = definition[2:] })
	file("media-type", "with a parameter", malformed, "media_type", func(p *manifest.Payload) { p.Files[0].MediaType = "text/plain; charset=utf-8" })
	file("size-negative", "below zero", malformed, "the size is -1", func(p *manifest.Payload) { p.Files[0].Size = -1 })
	file("size-over", "one byte over 64 GiB", "over-limit", "68719476736", func(p *manifest.Payload) { p.Files[0].Size = manifest.MaxFileBytes + 1 })
	file("sizes-over", "five files of 64 GiB", "over-limit", "274877906944", func(p *manifest.Payload) {
		list(p, "1", "2", "3", "4", "5")
		for i := range p.Files {
			p.Files[i].Size = manifest.MaxFileBytes
		}
	})
	for _, c := range []struct{ name, comment, says, path string }{
		{"empty", "no characters", "empty", ""},
		{"parent", "out of the folder", `".."`, "a/../../b"},
		{"here", "the folder itself", `"."`, "./a"},
		{"absolute", "from the root", "empty", "/etc/passwd"},
		{"folder", "ends in a slash", "empty", "a/"},
		{"double-slash", "an empty name", "empty", "a//b"},
		{"backslash", "a separator elsewhere", "0x5c", `a\b`},
		{"drive", "a drive letter, or an alternate data stream", "0x3a", "c:a"},
		{"dos", "a DOS device", "DOS device", "NUL"},
		{"dos-case", "a DOS device in lower case, in a folder", "DOS device", "a/lpt1"},
		{"dos-extension", "a DOS device with extensions", "DOS device", "com9.tar.gz"},
		{"dos-folder", "a folder that is a DOS device", "DOS device", "aux/a"},
		{"trailing-dot", "Windows drops the dot", "ends in a dot", "a."},
		{"leading-dot", "hidden", "0x2e", ".profile"},
		{"leading-dash", "looks like an option", "0x2d", "-rf"},
		{"tilde", "a short name", "0x7e", "PROGRA~1"},
		{"space", "a space", "0x20", "a b"},
		{"control", "a line end", "0x0a", "a\nb"},
		{"zero", "U+0000", "0x00", "a\x00b"},
		{"non-ascii", "ä", "0xc3", "ä"},
		{"direction", "a bidirectional override", "0xe2", "gpj.\u202eexe"},
		{"long", "201 bytes", "201 bytes", strings.Repeat(strings.Repeat("a", 32)+"/", 5) + strings.Repeat("b", 36)},
		{"long-name", "65 bytes", "65 bytes", strings.Repeat("a", 65)},
		{"deep", "7 segments", "7 segments", "a/b/c/d/e/f/g"},
	} {
		file("path-"+c.name, c.comment, malformed, c.says, paths(c.path))
	}
	file("paths-case", "two files equal but for case", malformed, "but case", paths("Cvr.json", "cvr.json"))
	file("paths-folder-case", "one folder in two spellings", malformed, "another case", paths("A/x", "a/y"))
	file("paths-inner-folder-case", "one inner folder in two spellings", malformed, "another case", paths("a/B/x", "a/b/y"))
	file("paths-file-and-folder", "a is a file and a folder", malformed, "is a file of the package", paths("a", "a/b"))
	file("paths-folder-and-file", "A is a folder, a is a file", malformed, "a folder of other files", paths("A/b", "a"))
}

// recipeCases are too large to keep: the reader of the vectors makes them.
func recipeCases(all map[string]*vector) {
	add := func(name, comment, expect, says, recipe string) {
		all[name] = &vector{comment: comment, expect: expect, says: says, folder: packageID, recipe: recipe}
	}
	add("limit-100001-files", "one file too many", "over-limit", "lists 100001 files, at most 100000", "files 100001")
	add("limit-objects", "half a million objects, refused before any of them is made", "manifest-malformed", "objects", "objects 500000")
	add("limit-envelope", "one byte over 40 MiB", "over-limit", "has 41943041 bytes, at most 41943040", "spaces 41943041")
	add("limit-envelope-not", "40 MiB are looked at", "manifest-malformed", "manifest.dsse.json", "spaces 41943040")
	all["limit-100000-files"] = &vector{
		comment: "as many files as are allowed", expect: "accepted", folder: packageID, recipe: "files 100000",
		digest: "95b2bcfb8e64e1625f58efff606476cedfa997c9db0aac6a33a4ddf8585b3601",
	}
}
