package trust_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
)

// table collects vectors. Its office has two stations: the source with all that
// an entry can hold, the EMS with the least.
type table struct {
	t   *testing.T
	o   *office
	all map[string]*vector
}

// cases makes the vectors anew, with fresh keys: run with -update.
func cases(t *testing.T) map[string]*vector {
	tb := &table{t, newOffice(t, 3, 2), map[string]*vector{}}
	tb.o.small(t)
	tb.bundles()
	tb.stations()
	tb.roots()
	tb.rotations()
	tb.signers()
	tb.requests()
	tb.exchanges()
	tb.handovers()
	tb.measurements()
	tb.evidence()
	return tb.all
}

// small leaves two stations in the office: the source, whose key is bound to a
// boot key, and the EMS.
func (o *office) small(t testing.TB) {
	o.stations[trust.Source] = tpmtest.NewBoundSoft(t)
	s, err := request(t, trust.Source, o.stations[trust.Source], o.second[trust.Source]).Station([]manifest.Kind{manifest.CVRExport, manifest.MediaSet}, []string{election}, trust.ByCertificate)
	if err != nil {
		t.Fatal(err)
	}
	s.Attested = true
	s.Boot = []trust.BootState{approved(t, "release 1", 1, o.stations[trust.Source])}
	e, err := request(t, trust.EMS, o.stations[trust.EMS], nil).Station([]manifest.Kind{manifest.ResultsReport}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	o.bundle.Stations = []trust.Station{e, s}
	o.bundle.Hybrid = []manifest.Kind{manifest.CVRExport}
	var keys []trust.RootKey
	for i, a := range o.authorities {
		k, err := trust.SoftRootKey([]string{"alice", "bob", "carol"}[i], trust.InFile, &a.Key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	if o.root, err = trust.NewRoot(1, 2, "", keys...); err != nil {
		t.Fatal(err)
	}
}

func (tb *table) add(name string, v *vector) {
	if tb.all[name] != nil {
		tb.t.Fatalf("two vectors %s", name)
	}
	tb.all[name] = v
}

// tooLarge is one byte over the limit of a format whose good vector is there.
func (tb *table) tooLarge(format, comment, expect string, most int) {
	for _, like := range tb.all {
		if like.format == format && like.expect == "accepted" {
			v := *like
			v.comment, v.expect, v.says, v.version, v.spaces, v.body = comment, expect, "at most", "", strconv.Itoa(most+1), nil
			tb.add(format+"-too-large", &v)
			return
		}
	}
	tb.t.Fatalf("no vector of the format %s is accepted", format)
}

func (tb *table) root() string { return string(mustEncode(tb.t, tb.o.root)) }

func (tb *table) bundle(name, comment, expect, says string, env []byte) {
	v := &vector{format: "bundle", comment: comment, expect: expect, says: says, body: env, root: tb.root()}
	if expect == "accepted" {
		v.version = "3"
	}
	tb.add("bundle-"+name, v)
}

// payload is that of the good bundle.
func (tb *table) payload() []byte {
	return payload(tb.t, tb.o.signed(tb.t, tb.o.bundle, 2), trust.PayloadType)
}

// byTwo signs any payload of a bundle with two authorities.
func (tb *table) byTwo(p []byte, more ...manifest.Signer) []byte {
	return enclose(tb.t, p, trust.PayloadType, append(signers(tb.o.authorities[:2]), more...)...)
}

func (tb *table) changed(old, with string) []byte {
	return tb.byTwo(replace(tb.t, tb.payload(), old, with))
}

func (tb *table) altered(change func(*trust.Bundle)) []byte {
	var b trust.Bundle
	if err := strictjson.Decode(tb.payload(), &b, trust.MaxEnvelope); err != nil {
		tb.t.Fatal(err)
	}
	change(&b)
	return tb.byTwo(mustJSON(tb.t, &b))
}

// source changes the station that has all there is.
func (tb *table) source(change func(*trust.Station)) []byte {
	return tb.altered(func(b *trust.Bundle) { change(&b.Stations[1]) })
}

const malformed = "manifest-malformed"

func (tb *table) bundles() {
	t, o, bundle := tb.t, tb.o, tb.bundle
	bundle("two-of-three", "signed by two of three, two needed", "accepted", "", o.signed(t, o.bundle, 2))
	bundle("three-of-three", "more signatures than needed", "accepted", "", o.signed(t, o.bundle, 3))
	bundle("revocations", "keys with bounds on sequence numbers", "accepted", "", tb.altered(func(b *trust.Bundle) {
		b.Stations[0].Keys[0].RevokedAfterSeq, b.Stations[1].Keys[0].RevokedAfterSeq, b.Stations[1].Keys[0].ValidFromSeq = at(0), at(7), 3
	}))
	bundle("software-key", "a key outside a TPM", "accepted", "", tb.altered(func(b *trust.Bundle) { b.Stations[0] = changeKey(t, b.Stations[0], tpmtest.NewSoft(t)) }))
	bundle("one-of-three", "one signature, two needed", "signer-not-permitted", "1 of the authority's keys signed, 2 must", o.signed(t, o.bundle, 1))
	bundle("stranger", "a third signature, by a key outside the root", "signer-unknown", "none of the authority's keys", tb.byTwo(tb.payload(), tpmtest.NewSoft(t)))
	bundle("station-signs", "a station's key instead of an authority's", "signer-unknown", "none of the authority's keys",
		enclose(t, tb.payload(), trust.PayloadType, o.authorities[0], o.stations[trust.EMS]))
	env := o.signed(t, o.bundle, 2)
	e, err := dsse.Parse(env, trust.PayloadType, trust.MaxEnvelope)
	if err != nil {
		t.Fatal(err)
	}
	e.Payload = bytes.Replace(e.Payload, []byte(`"version":3`), []byte(`"version":4`), 1)
	bundle("changed-after-signing", "version 4 under the signatures of version 3", "signature-invalid", "does not match", mustEncode(t, e))
	e.Payload, e.Signatures[0].Sig = tb.payload(), e.Signatures[1].Sig
	bundle("signature-of-the-other", "one authority's signature under the other's key id", "signature-invalid", "does not match", mustEncode(t, e))
	twice := replace(t, env, `"signatures":[`, fmt.Sprintf(`"signatures":[{"keyid":%q,"sig":"MAYCAQECAQE="},`, o.authorities[0].KeyID()))
	bundle("key-signs-twice", "one authority counted twice", malformed, "signs twice", twice)
	bundle("manifest-type", "the payload type of a manifest", malformed, "payloadType", bytes.Replace(env, []byte(trust.PayloadType), []byte(manifest.PayloadType), 1))
	bundle("v1-type", "the payload type of format 1", malformed, "payloadType", bytes.Replace(env, []byte("bundle.v2"), []byte("bundle.v1"), 1))
	bundle("empty", "no bytes", malformed, "", nil)
	bundle("cut", "the first half", malformed, "", env[:len(env)/2])
	bundle("not-json", "signed, but no JSON", malformed, "invalid JSON", tb.byTwo([]byte("version 3")))
	bundle("v1", "format 1", malformed, "reads only 2", tb.changed(`"v":2,`, `"v":1,`))
	bundle("v3", "a later format", malformed, "reads only 2", tb.changed(`"v":2,`, `"v":3,`))
	bundle("version-zero", "versions begin at 1", malformed, "version", tb.changed(`"version":3`, `"version":0`))
	bundle("version-fraction", "a fraction", malformed, "3.0", tb.changed(`"version":3`, `"version":3.0`))
	bundle("version-large", "2^53", malformed, "9007199254740992", tb.changed(`"version":3`, `"version":9007199254740992`))
	bundle("duplicate-member", "the version stands twice", malformed, "duplicate", tb.changed(`"version":3`, `"version":3,"version":4`))
	bundle("unknown-member", "a member that FORMAT.md does not know", malformed, "unknown member", tb.changed(`"version":3`, `"version":3,"expires":"2027-01-01"`))
	bundle("white-space", "one blank too many", malformed, "canonical", tb.changed(`"version":3`, `"version": 3`))
	bundle("null-revocation", "null is no number", malformed, "null", tb.changed(`"keys":[{`, `"keys":[{"revoked_after_seq":null,`))
	bundle("other-root", "issued under root version 2", "signer-not-permitted", "root_version", tb.changed(`"root_version":1`, `"root_version":2`))
	bundle("time-zone", "local time", malformed, "issued", tb.changed(`12:00:00Z`, `12:00:00+02:00`))
	bundle("no-stations", "an empty list", malformed, "0 stations", tb.altered(func(b *trust.Bundle) { b.Stations = nil }))
	bundle("stations-unsorted", "stations out of order", malformed, "sorted", tb.altered(func(b *trust.Bundle) { slices.Reverse(b.Stations) }))
	bundle("station-twice", "one id, two stations", malformed, "and once", tb.altered(func(b *trust.Bundle) { b.Stations[1].ID = b.Stations[0].ID }))
	bundle("key-of-two-stations", "one key, two stations", malformed, "of station", tb.altered(func(b *trust.Bundle) {
		b.Stations[1].Keys, b.Stations[1].Boot, b.Stations[1].Attested = b.Stations[0].Keys, nil, false
	}))
	bundle("hybrid-unsorted", "kinds of the second signature out of order", malformed, "sorted", tb.altered(func(b *trust.Bundle) {
		b.Hybrid = []manifest.Kind{manifest.ResultsReport, manifest.CVRExport}
	}))
	bundle("hybrid-bundle", "a second signature that no authority can make", malformed, "alone", tb.altered(func(b *trust.Bundle) { b.Hybrid = []manifest.Kind{manifest.TrustBundle} }))
	bundle("hybrid-unknown", "a kind that is not in the list", malformed, "no kind", tb.altered(func(b *trust.Bundle) { b.Hybrid = []manifest.Kind{"everything"} }))
}

func (tb *table) stations() {
	t, bundle := tb.t, tb.bundle
	source := func(name, comment, says string, change func(*trust.Station)) {
		bundle(name, comment, malformed, says, tb.source(change))
	}
	source("station-id", "an id with a slash", "id", func(s *trust.Station) { s.ID = "source/b" })
	source("station-name", "a name that turns the text round", "plain ASCII", func(s *trust.Station) { s.Name = "ems\u202e" })
	source("role-unknown", "a role that is not in the list", "must be one of", func(s *trust.Station) { s.Role = "root" })
	source("kind-unknown", "a kind that is not in the list", "no kind", func(s *trust.Station) { s.Kinds = []manifest.Kind{"everything"} })
	source("kinds-unsorted", "kinds out of order", "sorted", func(s *trust.Station) { s.Kinds = []manifest.Kind{manifest.ResultsReport, manifest.BallotPackage} })
	source("election-wildcard", "a star for all elections", "no wildcard", func(s *trust.Station) { s.Elections = []string{"*"} })
	source("elections-many", "257 elections", "at most 256", func(s *trust.Station) {
		s.Elections = nil
		for i := range trust.MaxElections + 1 {
			s.Elections = append(s.Elections, fmt.Sprintf("e%03d", i))
		}
	})
	source("no-keys", "a station without keys", "0 keys", func(s *trust.Station) { s.Keys = nil })
	source("keys-many", "nine keys", "holds 9 keys", func(s *trust.Station) {
		k := s.Keys[0]
		s.Keys = slices.Repeat([]trust.Key{k}, trust.MaxKeys+1)
	})
	source("keys-unsorted", "keys out of order", "sorted by id", func(s *trust.Station) { slices.Reverse(s.Keys) })
	source("key-id-of-another", "the id does not belong to the key", "but the key's is", func(s *trust.Station) { s.Keys[0].ID = strings.Repeat("0", 64) })
	source("key-algorithm", "an algorithm of the envelope's choice", "alg", func(s *trust.Station) { first(s).Alg = "none" })
	source("key-other-algorithm", "an ECDSA key that says it is ML-DSA", "public key has 91 bytes", func(s *trust.Station) { first(s).Alg = dsse.AlgMLDSA65 })
	source("key-trailing", "a byte after the key", "public key has 92 bytes", func(s *trust.Station) { first(s).Public = append(first(s).Public, 0) })
	source("revoked-negative", "a negative bound", "revoked_after_seq", func(s *trust.Station) { s.Keys[0].RevokedAfterSeq = at(-1) })
	source("tpm-certificate", "a certificate that does not verify", "signature", func(s *trust.Station) {
		first(s).TPM.SigningCertifySig = tb.o.authorities[0].Identity.SigningCertifySig
	})
	bundle("tpm-of-another", "another key's TPM identity", malformed, "speaks of the key", tb.altered(func(b *trust.Bundle) {
		b.Stations[0].Keys[0].TPM = first(&b.Stations[1]).TPM
	}))
	source("tpm-v1", "a TPM identity of format 1", "version 1", func(s *trust.Station) { first(s).TPM.V = 1 })
	source("proof-unknown", "a proof that is not in the list", "proof", func(s *trust.Station) { first(s).Proof = "believed" })
	source("proof-without-tpm", "a proof of no TPM", "there is no TPM identity", func(s *trust.Station) {
		*s = changeKey(t, *s, tpmtest.NewSoft(t))
		s.Attested, s.Boot, s.Keys[0].Proof = false, nil, trust.ByComparison
	})
	source("software-without-tpm", "a software TPM that is not there", "there is no TPM identity", func(s *trust.Station) {
		*s = changeKey(t, *s, tpmtest.NewSoft(t))
		s.Attested, s.Boot, s.Keys[0].SoftwareTPM = false, nil, true
	})
	source("beside-nothing", "an ML-DSA key that stands alone", "stands beside another", func(s *trust.Station) { beside(s).Beside = "" })
	source("beside-unknown", "an ML-DSA key beside one that is not there", "names no", func(s *trust.Station) { beside(s).Beside = tb.o.authorities[0].KeyID() })
	source("beside-itself", "an ML-DSA key beside itself", "names no", func(s *trust.Station) { beside(s).Beside = beside(s).ID })
	source("beside-ecdsa", "an ECDSA key that stands beside another", "stands at a key of", func(s *trust.Station) { first(s).Beside = first(s).ID })
	source("beside-with-tpm", "an ML-DSA key with a TPM identity", "no TPM identity of its own", func(s *trust.Station) { beside(s).TPM = first(s).TPM })
	source("attested-nothing", "evidence of a state that nobody approved", "none is approved", func(s *trust.Station) { s.Boot = nil })
	source("boot-many", "nine approved states", "at most 8", func(s *trust.Station) { s.Boot = slices.Repeat(s.Boot, trust.MaxBoot+1) })
	source("boot-label", "a state without a name", "label", func(s *trust.Station) { s.Boot[0].Label = "" })
	source("boot-no-7", "PCR 7 is not among the values", "PCR 7 is missing", func(s *trust.Station) { s.Boot[0].PCRs = slices.Delete(s.Boot[0].PCRs, 7, 8) })
	source("boot-no-11", "PCR 11 is not among the values", "PCR 11 is missing", func(s *trust.Station) { s.Boot[0].PCRs = s.Boot[0].PCRs[:8] })
	source("boot-pcr-8", "a PCR that no quote of Sallyport shows", "PCR 8", func(s *trust.Station) { s.Boot[0].PCRs[8].PCR = 8 })
	source("boot-pcr-negative", "a PCR below 0", "PCR -1", func(s *trust.Station) { s.Boot[0].PCRs[0].PCR = -1 })
	source("boot-unsorted", "PCRs out of order", "in this order", func(s *trust.Station) { slices.Reverse(s.Boot[0].PCRs) })
	source("boot-value", "a value in upper case", "no SHA-256", func(s *trust.Station) { s.Boot[0].PCRs[0].SHA256 = strings.Repeat("AB", 32) })
	source("approval-altered", "a state that the boot key did not approve", "not signed by this station's boot key", func(s *trust.Station) { s.Boot[0].PCRs[8].SHA256 = strings.Repeat("ab", 32) })
	source("approval-stranger", "an approval by a key to which nothing is bound", "boot key of none", func(s *trust.Station) { s.Boot[0].Approvals[0].KeyID = tb.o.authorities[0].KeyID() })
	source("approval-twice", "one approval twice", "hold none twice", func(s *trust.Station) { s.Boot[0].Approvals = slices.Repeat(s.Boot[0].Approvals, 2) })
	source("approvals-many", "nine approvals", "at most 8", func(s *trust.Station) { s.Boot[0].Approvals = slices.Repeat(s.Boot[0].Approvals, trust.MaxKeys+1) })
	bundle("boot-unapproved", "a state that no boot key has approved", "accepted", "", tb.source(func(s *trust.Station) { s.Boot[0].Approvals = nil }))
	bundle("not-attested", "approved states and no demand for evidence", "accepted", "", tb.source(func(s *trust.Station) { s.Attested = false }))
}

// keys are those of a root of a TPM, a token and a file.
func (tb *table) keys() []trust.RootKey {
	keys := rootKeys(tb.t, tb.o.authorities[0])
	for i, c := range []trust.Custody{trust.InPKCS11, trust.InFile} {
		k, err := trust.SoftRootKey([]string{"alice", "bob"}[i], c, &tb.o.authorities[i+1].Key.PublicKey)
		if err != nil {
			tb.t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

func (tb *table) roots() {
	t := tb.t
	root := func(name, comment, expect, says string, body []byte) {
		tb.add("root-"+name, &vector{format: "root", comment: comment, expect: expect, says: says, body: body})
	}
	r, err := trust.NewRoot(1, 2, tb.o.authorities[0].KeyID(), tb.keys()...)
	if err != nil {
		t.Fatal(err)
	}
	good := mustEncode(t, r)
	root("good", "two of three: a TPM, a token, a file", "accepted", "", good)
	root("no-boot-key", "a root that binds no station to boot states", "accepted", "", []byte(tb.root()))
	bad := func(name, comment, says string, body []byte) { root(name, comment, malformed, says, body) }
	altered := func(change func(*trust.Root)) []byte {
		var c trust.Root
		if err := strictjson.Decode(good, &c, trust.MaxRoot); err != nil {
			t.Fatal(err)
		}
		change(&c)
		return mustJSON(t, &c)
	}
	of := func(r *trust.Root, c trust.Custody) *trust.RootKey {
		return &r.Keys[slices.IndexFunc(r.Keys, func(k trust.RootKey) bool { return k.Custody == c })]
	}
	bad("v1", "format 1", "reads only 2", replace(t, good, `"v":2,`, `"v":1,`))
	bad("version-zero", "versions begin at 1", "version", replace(t, good, `"version":1`, `"version":0`))
	bad("threshold-zero", "nobody needs to sign", "threshold", replace(t, good, `"threshold":2`, `"threshold":0`))
	bad("threshold-four", "more than there are", "threshold", replace(t, good, `"threshold":2`, `"threshold":4`))
	bad("no-keys", "an empty list", "keys", []byte(`{"v":2,"version":1,"threshold":1,"keys":[]}`))
	bad("key-twice", "one key counted twice", "sorted", altered(func(r *trust.Root) { r.Keys[1] = r.Keys[0] }))
	bad("holder-twice", "one person's two keys", "holds two of them", altered(func(r *trust.Root) { of(r, trust.InFile).Holder = "alice" }))
	bad("holder-name", "a holder with a blank", "holder", altered(func(r *trust.Root) { of(r, trust.InFile).Holder = "bob b" }))
	bad("custody-unknown", "a custody that is not in the list", "custody", altered(func(r *trust.Root) { of(r, trust.InFile).Custody = "paper" }))
	bad("custody-tpm-without", "a key that says it is in a TPM", "tpm", altered(func(r *trust.Root) { of(r, trust.InFile).Custody = trust.InTPM }))
	bad("custody-file-with-tpm", "a key in a file with a TPM identity", "custody is file", altered(func(r *trust.Root) { of(r, trust.InFile).TPM = of(r, trust.InTPM).TPM }))
	bad("tpm-of-another", "the TPM identity of another key", "speaks of the key", altered(func(r *trust.Root) { of(r, trust.InTPM).TPM = tb.o.authorities[1].Identity }))
	bad("ml-dsa", "a key of ML-DSA", "signs with", altered(func(r *trust.Root) {
		pub := tb.o.second[trust.Source].PublicKey()
		r.Keys = []trust.RootKey{{ID: pub.KeyID(), Alg: pub.Alg(), Public: pub.SPKI(), Holder: "alice", Custody: trust.InFile}}
		r.Threshold, r.BootKey = 1, ""
	}))
	bad("boot-key-stranger", "a boot key that nobody holds", "boot_key", altered(func(r *trust.Root) { r.BootKey = tb.o.stations[trust.EMS].KeyID() }))
	tb.tooLarge("root", "more bytes than a root may have", malformed, trust.MaxRoot)
}

func (tb *table) rotations() {
	t, o := tb.t, tb.o
	fresh := []*tpmtest.Soft{tpmtest.NewSoft(t), tpmtest.NewSoft(t), tpmtest.NewSoft(t)}
	add := func(name, comment, expect, says string, env []byte) {
		v := &vector{format: "rotation", comment: comment, expect: expect, says: says, body: env, root: tb.root()}
		if expect == "accepted" {
			v.version = "2"
		}
		tb.add("rotation-"+name, v)
	}
	// next signs the root of three fresh keys, two of which must sign.
	next := func(version int64, by ...*tpmtest.Soft) []byte {
		return enclose(t, mustJSON(t, newRoot(t, version, 2, fresh...)), trust.RootType, signers(by)...)
	}
	a, f := o.authorities, fresh
	good := next(2, a[0], a[1], f[0], f[1])
	add("all-new", "two of the old keys and two of the new", "accepted", "", good)
	one := enclose(t, mustJSON(t, newRoot(t, 2, 2, a[0], a[1], f[0])), trust.RootType, a[0], a[1])
	add("one-new", "two keys that are old and new at once", "accepted", "", one)
	const not = "signer-not-permitted"
	add("only-old", "the new keys did not sign", not, "0 of the keys of the next root signed it, 2 must", next(2, a[0], a[1]))
	add("only-new", "the old keys did not sign", not, "0 keys of root version 1 signed the next root, 2 must", next(2, f[0], f[1]))
	add("old-short", "one old key too few", not, "1 keys of root version 1 signed", next(2, a[0], f[0], f[1]))
	add("new-short", "one new key too few", not, "1 of the keys of the next root", next(2, a[0], a[1], f[0]))
	add("stranger", "a signature by neither", "signer-unknown", "none of the authority's keys", next(2, a[0], a[1], f[0], f[1], tpmtest.NewSoft(t)))
	add("version-three", "a version is left out", "sequence-gap", "version 2 must come first", next(3, a[0], a[1], f[0], f[1]))
	add("version-one", "another root of the present version", "superseded", "version 1 already", next(1, a[0], a[1], f[0], f[1]))
	add("altered", "another threshold under the same signatures", "signature-invalid", "does not match", tb.reenclose(good, trust.RootType, `"threshold":2`, `"threshold":1`))
	add("bundle-type", "the payload type of a bundle", malformed, "payloadType", bytes.Replace(good, []byte(trust.RootType), []byte(trust.PayloadType), 1))
	add("not-a-root", "a bundle as a root", malformed, "unknown member", enclose(t, tb.payload(), trust.RootType, a[0], a[1]))
	add("empty", "no bytes", malformed, "", nil)
	tb.tooLarge("rotation", "more bytes than a rotation may have", "over-limit", trust.MaxRotation)
}

// reenclose changes the payload and leaves the signatures as they are.
func (tb *table) reenclose(env []byte, kind, old, with string) []byte {
	e, err := dsse.Parse(env, kind, trust.MaxEnvelope)
	if err != nil {
		tb.t.Fatal(err)
	}
	e.Payload = replace(tb.t, e.Payload, old, with)
	return mustEncode(tb.t, e)
}

func (tb *table) signers() {
	t := tb.t
	add := func(name, comment, expect, says string, env []byte) {
		tb.add("signer-"+name, &vector{format: "signer", comment: comment, expect: expect, says: says, body: env})
	}
	keys := tb.keys()
	record := func(i int) []byte {
		env, err := trust.NewSignerRecord(t.Context(), keys[i], tb.o.authorities[i])
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	add("tpm", "a station of the role authority", "accepted", "", record(0))
	add("file", "a key in a file", "accepted", "", record(2))
	add("by-another", "a key that its holder does not hold", "signer-unknown", "none of the authority's keys", enclose(t, mustJSON(t, &keys[2]), trust.SignerType, tb.o.authorities[1]))
	add("holder-altered", "another name under the signature", "signature-invalid", "does not match", tb.reenclose(record(2), trust.SignerType, `"holder":"bob"`, `"holder":"eve"`))
	add("custody-raised", "a file that says it is a token", "signature-invalid", "does not match", tb.reenclose(record(2), trust.SignerType, `"custody":"file"`, `"custody":"pkcs11"`))
	add("tpm-claimed", "a file that says it is a TPM", malformed, "tpm", enclose(t, replace(t, mustJSON(t, &keys[2]), `"custody":"file"`, `"custody":"tpm"`), trust.SignerType, tb.o.authorities[2]))
	add("bundle-type", "the payload type of a bundle", malformed, "payloadType", bytes.Replace(record(2), []byte(trust.SignerType), []byte(trust.PayloadType), 1))
	tb.tooLarge("signer", "more bytes than a record may have", "over-limit", trust.MaxSigner)
}
