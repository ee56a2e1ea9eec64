package trust_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
)

// cases makes the vectors anew, with fresh keys: run with -update.
func cases(t *testing.T) map[string]*vector {
	o := newOffice(t, 3, 2)
	root := mustEncode(t, o.root)
	out := map[string]*vector{}
	add := func(name string, v *vector) {
		if out[name] != nil {
			t.Fatalf("two vectors %s", name)
		}
		if v.format == "bundle" && v.root == "" {
			v.root = string(root)
		}
		out[name] = v
	}
	goodPayload := payload(t, o.signed(t, o.bundle, 2))
	bundle := func(name, comment, expect, says string, env []byte) {
		v := &vector{format: "bundle", comment: comment, expect: expect, says: says, body: env}
		if expect == "accepted" {
			v.version = "3"
		}
		add("bundle-"+name, v)
	}
	// signRaw signs any payload with n authorities.
	signRaw := func(p []byte, n int, more ...manifest.Signer) []byte {
		e := &dsse.Envelope{Payload: p, PayloadType: trust.PayloadType}
		if err := e.Sign(context.Background(), append(signers(o.authorities[:n]), more...)...); err != nil {
			t.Fatal(err)
		}
		return mustEncode(t, e)
	}
	changed := func(old, with string) []byte {
		p := bytes.Replace(goodPayload, []byte(old), []byte(with), 1)
		if bytes.Equal(p, goodPayload) {
			t.Fatalf("%q is not in the payload", old)
		}
		return signRaw(p, 2)
	}
	altered := func(change func(*trust.Bundle)) []byte {
		var b trust.Bundle
		if err := strictjson.Decode(goodPayload, &b, trust.MaxEnvelope); err != nil {
			t.Fatal(err)
		}
		change(&b)
		return signRaw(mustJSON(t, &b), 2)
	}

	bundle("two-of-three", "signed by two of three, two needed", "accepted", "", o.signed(t, o.bundle, 2))
	bundle("three-of-three", "more signatures than needed", "accepted", "", o.signed(t, o.bundle, 3))
	bundle("revocations", "keys with bounds on sequence numbers", "accepted", "", altered(func(b *trust.Bundle) {
		b.Stations[0].Keys[0].RevokedAfterSeq, b.Stations[1].Keys[0].RevokedAfterSeq, b.Stations[1].Keys[0].ValidFromSeq = at(0), at(7), 3
	}))
	bundle("software-key", "a key outside a TPM", "accepted", "", altered(func(b *trust.Bundle) { b.Stations[0] = changeKey(t, b.Stations[0], tpmtest.NewSoft(t)) }))
	bundle("one-of-three", "one signature, two needed", "signer-not-permitted", "1 of the authority's keys signed, 2 must", o.signed(t, o.bundle, 1))
	bundle("stranger", "a third signature, by a key outside the root", "signer-unknown", "none of the authority's keys", signRaw(goodPayload, 2, tpmtest.NewSoft(t)))
	bundle("station-signs", "a station's key instead of an authority's", "signer-unknown", "none of the authority's keys", signRaw(goodPayload, 1, o.stations[trust.EMS]))
	env := o.signed(t, o.bundle, 2)
	e, err := dsse.Parse(env, trust.PayloadType, trust.MaxEnvelope)
	if err != nil {
		t.Fatal(err)
	}
	e.Payload = bytes.Replace(e.Payload, []byte(`"version":3`), []byte(`"version":4`), 1)
	bundle("changed-after-signing", "version 4 under the signatures of version 3", "signature-invalid", "does not match", mustEncode(t, e))
	e.Payload, e.Signatures[0].Sig = goodPayload, e.Signatures[1].Sig
	bundle("signature-of-the-other", "one authority's signature under the other's key id", "signature-invalid", "does not match", mustEncode(t, e))
	twice := bytes.Replace(env, []byte(`"signatures":[`), []byte(fmt.Sprintf(`"signatures":[{"keyid":%q,"sig":"MAYCAQECAQE="},`, o.authorities[0].KeyID())), 1)
	bundle("key-signs-twice", "one authority counted twice", "manifest-malformed", "signs twice", twice)
	bundle("manifest-type", "the payload type of a manifest", "manifest-malformed", "payloadType", bytes.Replace(env, []byte(trust.PayloadType), []byte(manifest.PayloadType), 1))
	bundle("empty", "no bytes", "manifest-malformed", "", nil)
	bundle("cut", "the first half", "manifest-malformed", "", env[:len(env)/2])
	bundle("not-json", "signed, but no JSON", "manifest-malformed", "invalid JSON", signRaw([]byte("version 3"), 2))
	bundle("v2", "a later format", "manifest-malformed", "reads only 1", changed(`"v":1,`, `"v":2,`))
	bundle("version-zero", "versions begin at 1", "manifest-malformed", "version", changed(`"version":3`, `"version":0`))
	bundle("version-fraction", "a fraction", "manifest-malformed", "3.0", changed(`"version":3`, `"version":3.0`))
	bundle("version-large", "2^53", "manifest-malformed", "9007199254740992", changed(`"version":3`, `"version":9007199254740992`))
	bundle("duplicate-member", "the version stands twice", "manifest-malformed", "duplicate", changed(`"version":3`, `"version":3,"version":4`))
	bundle("unknown-member", "a member that FORMAT.md does not know", "manifest-malformed", "unknown member", changed(`"version":3`, `"version":3,"expires":"2027-01-01"`))
	bundle("white-space", "one blank too many", "manifest-malformed", "canonical", changed(`"version":3`, `"version": 3`))
	bundle("null-revocation", "null is no number", "manifest-malformed", "null", changed(`"keys":[{`, `"keys":[{"revoked_after_seq":null,`))
	bundle("other-root", "issued under root version 2", "signer-not-permitted", "root_version", changed(`"root_version":1`, `"root_version":2`))
	bundle("time-zone", "local time", "manifest-malformed", "issued", changed(`12:00:00Z`, `12:00:00+02:00`))
	bundle("no-stations", "an empty list", "manifest-malformed", "0 stations", altered(func(b *trust.Bundle) { b.Stations = nil }))
	bundle("stations-unsorted", "stations out of order", "manifest-malformed", "sorted", altered(func(b *trust.Bundle) { b.Stations[0], b.Stations[1] = b.Stations[1], b.Stations[0] }))
	bundle("station-twice", "one id, two stations", "manifest-malformed", "and once", altered(func(b *trust.Bundle) { b.Stations[1].ID = b.Stations[0].ID }))
	bundle("key-of-two-stations", "one key, two stations", "manifest-malformed", "of station", altered(func(b *trust.Bundle) { b.Stations[1].Keys = b.Stations[0].Keys }))
	bundle("station-id", "an id with a slash", "manifest-malformed", "id", altered(func(b *trust.Bundle) { b.Stations[0].ID = "a/b" }))
	bundle("station-name", "a name that turns the text round", "manifest-malformed", "plain ASCII", altered(func(b *trust.Bundle) { b.Stations[0].Name = "ems\u202e" }))
	bundle("role-unknown", "a role that is not in the list", "manifest-malformed", "must be one of", altered(func(b *trust.Bundle) { b.Stations[0].Role = "root" }))
	bundle("kind-unknown", "a kind that is not in the list", "manifest-malformed", "no kind", altered(func(b *trust.Bundle) { b.Stations[0].Kinds = []manifest.Kind{"everything"} }))
	bundle("kinds-unsorted", "kinds out of order", "manifest-malformed", "sorted", altered(func(b *trust.Bundle) {
		b.Stations[1].Kinds = []manifest.Kind{manifest.ResultsReport, manifest.BallotPackage}
	}))
	bundle("election-wildcard", "a star for all elections", "manifest-malformed", "no wildcard", altered(func(b *trust.Bundle) { b.Stations[0].Elections = []string{"*"} }))
	bundle("elections-many", "257 elections", "manifest-malformed", "at most 256", altered(func(b *trust.Bundle) {
		b.Stations[0].Elections = nil
		for i := range 257 {
			b.Stations[0].Elections = append(b.Stations[0].Elections, fmt.Sprintf("e%03d", i))
		}
	}))
	bundle("no-keys", "a station without keys", "manifest-malformed", "0 keys", altered(func(b *trust.Bundle) { b.Stations[0].Keys = nil }))
	bundle("key-id-of-another", "the id does not belong to the key", "manifest-malformed", "but the key's is", altered(func(b *trust.Bundle) { b.Stations[0].Keys[0].ID = b.Stations[1].Keys[0].ID }))
	bundle("key-algorithm", "an algorithm of the envelope's choice", "manifest-malformed", "alg", altered(func(b *trust.Bundle) { b.Stations[0].Keys[0].Alg = "none" }))
	bundle("key-trailing", "a byte after the key", "manifest-malformed", "no public key", altered(func(b *trust.Bundle) { b.Stations[0].Keys[0].Public = append(b.Stations[0].Keys[0].Public, 0) }))
	bundle("tpm-of-another", "another key's TPM identity", "manifest-malformed", "speaks of the key", altered(func(b *trust.Bundle) { b.Stations[0].Keys[0].TPM = b.Stations[1].Keys[0].TPM }))
	bundle("tpm-certificate", "a certificate that does not verify", "manifest-malformed", "signature", altered(func(b *trust.Bundle) {
		k := &b.Stations[0].Keys[0]
		k.TPM.SigningCertifySig = b.Stations[1].Keys[0].TPM.SigningCertifySig
	}))
	bundle("revoked-negative", "a negative bound", "manifest-malformed", "revoked_after_seq", altered(func(b *trust.Bundle) { b.Stations[0].Keys[0].RevokedAfterSeq = at(-1) }))

	rec := mustEncode(t, record(trust.Source, o.stations[trust.Source]))
	recCase := func(name, comment, expect, says string, body []byte) {
		add("record-"+name, &vector{format: "record", comment: comment, expect: expect, says: says, body: body})
	}
	recCase("good", "what a station writes", "accepted", "", rec)
	recCase("other-key", "the key id of another station", "manifest-malformed", "key_id", bytes.Replace(rec, []byte(o.stations[trust.Source].KeyID()), []byte(o.stations[trust.EMS].KeyID()), 1))
	recCase("role", "a role that is not in the list", "manifest-malformed", "must be one of", bytes.Replace(rec, []byte(`"role":"source"`), []byte(`"role":"Source"`), 1))
	recCase("jurisdiction", "no jurisdiction", "manifest-malformed", "jurisdiction", bytes.Replace(rec, []byte(county), nil, 1))
	recCase("no-tpm", "no TPM identity", "manifest-malformed", "canonical", []byte(`{"v":1,"id":"a","name":"a","role":"ems","jurisdiction":"x","software_tpm":true,"tpm":{}}`))
	recCase("newline", "a newline at the end", "manifest-malformed", "canonical", append(bytes.Clone(rec), '\n'))
	recCase("too-large", "more bytes than a record may have", "over-limit", "at most", bytes.Repeat([]byte(" "), trust.MaxRecord+1))

	rootCase := func(name, comment, expect, says string, body []byte) {
		add("root-"+name, &vector{format: "root", comment: comment, expect: expect, says: says, body: body})
	}
	rootCase("good", "two of three", "accepted", "", root)
	rootCase("threshold-zero", "nobody needs to sign", "manifest-malformed", "threshold", bytes.Replace(root, []byte(`"threshold":2`), []byte(`"threshold":0`), 1))
	rootCase("threshold-four", "more than there are", "manifest-malformed", "threshold", bytes.Replace(root, []byte(`"threshold":2`), []byte(`"threshold":4`), 1))
	rootCase("no-keys", "an empty list", "manifest-malformed", "keys", []byte(`{"v":1,"version":1,"threshold":1,"keys":[]}`))
	dup := *o.root
	dup.Keys = []trust.RootKey{dup.Keys[0], dup.Keys[0]}
	rootCase("key-twice", "one key counted twice", "manifest-malformed", "sorted", mustJSON(t, &dup))
	rootCase("too-large", "more bytes than a root may have", "manifest-malformed", "at most", []byte(strings.Repeat(" ", trust.MaxRoot+1)))
	return out
}

type encoder interface{ Encode() ([]byte, error) }

func mustEncode(t testing.TB, e encoder) []byte {
	t.Helper()
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := strictjson.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func payload(t testing.TB, env []byte) []byte {
	t.Helper()
	e, err := dsse.Parse(env, trust.PayloadType, trust.MaxEnvelope)
	if err != nil {
		t.Fatal(err)
	}
	return e.Payload
}
