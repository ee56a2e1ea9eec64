package attacks

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"filippo.io/mldsa"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"

	"github.com/google/go-tpm/tpm2"
)

const (
	county        = "us/maple-county"
	election      = "maple-county-general-2026-11-03"
	otherElection = "maple-county-municipal-2025-11-04"
	packageID     = "00112233445566778899aabbccddeeff"
	definition    = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
)

// signer is an ECDSA key whose private scalar is a small number. It signs as RFC
// 6979 has it, so that the table makes the same files byte for byte each time.
type signer struct{ private *ecdsa.PrivateKey }

func key(n byte) signer {
	raw := make([]byte, 32)
	raw[31] = n
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		panic(err)
	}
	return signer{k}
}

func (k signer) KeyID() string { return k.public().KeyID() }

func (k signer) public() dsse.PublicKey {
	pub, err := dsse.NewP256Key(&k.private.PublicKey)
	if err != nil {
		panic(err)
	}
	return pub
}

func (k signer) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return k.private.Sign(nil, digest[:], crypto.SHA256)
}

// over signs SHA-256 of data.
func (k signer) over(data []byte) []byte {
	sig, err := k.Sign(context.Background(), sha256.Sum256(data))
	if err != nil {
		panic(err)
	}
	return sig
}

// second is an ML-DSA-65 key whose seed is a small number.
type second struct{ private *mldsa.PrivateKey }

func secondKey(n byte) second {
	seed := make([]byte, mldsa.PrivateKeySize)
	seed[len(seed)-1] = n
	k, err := mldsa.NewPrivateKey(mldsa.MLDSA65(), seed)
	if err != nil {
		panic(err)
	}
	return second{k}
}

func (k second) public() dsse.PublicKey {
	pub, err := dsse.NewMLDSA65Key(k.private.PublicKey())
	if err != nil {
		panic(err)
	}
	return pub
}

func (k second) KeyID() string { return k.public().KeyID() }

func (k second) SignMessage(_ context.Context, m *dsse.Message) ([]byte, error) {
	return k.private.SignDeterministic(m.PAE(), nil)
}

// chip is a TPM whose five keys have the private scalars n to n+4.
type chip struct {
	*tpmtest.Soft
	ak, key, log signer
}

func newChip(t testing.TB, n byte, boot *ecdsa.PrivateKey) *chip {
	t.Helper()
	const index = 0x01805350
	c := &chip{ak: key(n), key: key(n + 1), log: key(n + 2)}
	c.Soft = &tpmtest.Soft{AK: c.ak.private, Key: c.key.private, Log: c.log.private, EK: key(n + 3).private, Boot: boot}
	c.Identity = attest.Identity{
		V: attest.Version, KeyID: c.key.KeyID(),
		EKPublic:      tpmtest.Area(t, tpm2.ECCEKTemplate, &c.EK.PublicKey),
		AKPublic:      tpmtest.Area(t, attest.AKTemplate(), &c.AK.PublicKey),
		SigningPublic: tpmtest.Area(t, c.SigningTemplate(t), &c.Key.PublicKey),
		LogPublic:     tpmtest.Area(t, attest.LogTemplate(), &c.Log.PublicKey),
		SRKPublic:     tpmtest.Area(t, tpm2.ECCSRKTemplate, &key(n+4).private.PublicKey),
		Counter:       index,
		CounterPublic: tpm2.Marshal(attest.CounterTemplate(index, true)),
		CounterStart:  1,
	}
	if boot != nil {
		der, err := x509.MarshalPKIXPublicKey(&boot.PublicKey)
		must(t, err)
		c.Identity.BootKey = der
	}
	c.certify(t)
	return c
}

// certify lets the attestation key vouch for the identity as it stands.
func (c *chip) certify(t testing.TB) {
	t.Helper()
	c.Certify(t)
	c.Identity.SigningCertifySig = c.ak.over(c.Identity.SigningCertify)
	c.Identity.LogCertifySig = c.ak.over(c.Identity.LogCertify)
}

// states lets the TPM sign any statement, also one that no TPM would make.
func (c *chip) states(a tpm2.TPMSAttest) (statement, sig []byte) {
	statement = tpm2.Marshal(a)
	return statement, c.ak.over(statement)
}

// approves is the approval of a boot state by the chip's boot key.
func (c *chip) approves(t testing.TB, pcrs attest.PCRs) trust.BootApproval {
	t.Helper()
	boot := signer{c.Boot}
	digest := attest.ApprovalDigest(attest.PCRPolicy(pcrs))
	sig, err := boot.Sign(t.Context(), digest)
	must(t, err)
	return trust.BootApproval{KeyID: boot.KeyID(), Sig: sig}
}

// booted are the PCRs of one boot state of many.
func booted(n byte) (pcrs attest.PCRs) {
	for i := range pcrs {
		pcrs[i] = sha256.Sum256([]byte{n, byte(i)})
	}
	return pcrs
}

// office is the office of the attacks: its private keys are small numbers that
// everybody can guess, and it protects nothing.
type office struct {
	t testing.TB
	// Two of the three keys of the authority must sign: two in TPMs, of which the
	// first is the boot key, and carol's in a file.
	authority1, authority2 *chip
	carol                  signer
	root                   *trust.Root
	// precinct is a source that must bring evidence, with an ML-DSA key; the others
	// have keys outside a TPM.
	precinct  *chip
	precinctB second
	revoked   signer // precinct-2, revoked after 50
	ems       signer
	emsB      second // an ML-DSA key beside that of ems-1
	kiosk     signer
	oak       signer // source of another county
	desk      signer // authority-3, which is none of the root's holders
	stranger  *chip  // enrolled nowhere
	bundle    trust.Bundle
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{t: t, authority1: newChip(t, 10, nil), authority2: newChip(t, 20, nil), carol: key(30), stranger: newChip(t, 40, nil)}
	o.precinct, o.precinctB = newChip(t, 50, o.authority1.Key), secondKey(1)
	o.revoked, o.ems, o.emsB, o.kiosk, o.oak, o.desk = key(60), key(61), secondKey(2), key(62), key(63), key(64)
	o.root = o.newRoot(1)
	all := trust.Bundle{Version: 5, Issued: "2026-09-01T12:00:00Z"}
	entry, err := o.request(o.precinct, o.precinctB).Station(
		[]manifest.Kind{manifest.ElectionDefinition, manifest.CVRExport, manifest.ResultsReport, manifest.MediaSet}, []string{election, otherElection}, trust.ByCertificate)
	must(t, err)
	state := trust.NewBootState("release 1", booted(1), attest.Numbers()...)
	state.Approvals = []trust.BootApproval{o.precinct.approves(t, booted(1))}
	entry.Attested, entry.Boot = true, []trust.BootState{state}
	all.Stations = append(all.Stations, entry,
		plain("authority-3", trust.Authority, county, o.desk, manifest.TrustBundle),
		plain("ems-1", trust.EMS, county, o.ems, manifest.ResultsReport, manifest.LogExport),
		plain("kiosk-1", trust.Kiosk, county, o.kiosk, manifest.MediaSet),
		plain("oak-1", trust.Source, "us/oak-county", o.oak, manifest.CVRExport),
		plain("precinct-2", trust.Source, county, o.revoked, manifest.CVRExport))
	after := int64(50)
	all.Stations[5].Keys[0].RevokedAfterSeq = &after
	beside := o.emsB.public()
	all.Stations[2].Keys = append(all.Stations[2].Keys, trust.Key{ID: beside.KeyID(), Alg: beside.Alg(), Public: beside.SPKI(), Beside: o.ems.KeyID()})
	o.bundle = all
	return o
}

// newRoot is the office's root under another version.
func (o *office) newRoot(version int64) *trust.Root {
	o.t.Helper()
	one, err := trust.TPMRootKey("authority-1", o.authority1.Identity)
	must(o.t, err)
	two, err := trust.TPMRootKey("authority-2", o.authority2.Identity)
	must(o.t, err)
	three, err := trust.SoftRootKey("carol", trust.InFile, &o.carol.private.PublicKey)
	must(o.t, err)
	r, err := trust.NewRoot(version, 2, one.ID, one, two, three)
	must(o.t, err)
	return r
}

// plain is a station with a key outside a TPM.
func plain(id string, role trust.Role, jurisdiction string, k signer, kinds ...manifest.Kind) trust.Station {
	pub := k.public()
	return trust.Station{ID: id, Name: "Station " + id, Role: role, Jurisdiction: jurisdiction, Kinds: kinds, Elections: []string{election, otherElection},
		Keys: []trust.Key{{ID: pub.KeyID(), Alg: pub.Alg(), Public: pub.SPKI()}}}
}

// issued is a bundle signed by the office's first two authorities.
func (o *office) issued(change func(*trust.Bundle)) []byte {
	o.t.Helper()
	return o.issuedBy(o.root, change, o.authority1.key, o.authority2.key)
}

func (o *office) issuedBy(root *trust.Root, change func(*trust.Bundle), by ...manifest.Signer) []byte {
	o.t.Helper()
	b := o.bundle
	b.Stations = slices.Clone(b.Stations)
	change(&b)
	env, err := trust.Issue(o.t.Context(), root, b, by...)
	must(o.t, err)
	return env
}

func same(*trust.Bundle) {}

func version(n int64) func(*trust.Bundle) { return func(b *trust.Bundle) { b.Version = n } }

// request is what precinct-1 asks with, its TPM being c.
func (o *office) request(c *chip, beside second) *trust.Request {
	o.t.Helper()
	q := &trust.Request{V: 2, ID: "precinct-1", Name: "Maple County precinct 1", Role: trust.Source, Jurisdiction: county,
		Maker: "IBM", Firmware: "1.2.3.4", SoftwareTPM: true, Version: "v1.0.0", TPM: c.Identity}
	said, err := trust.Possession(q.TPM)
	must(o.t, err)
	must(o.t, said.Sign(o.t.Context(), beside))
	q.MLDSA, q.MLDSASig = beside.public().SPKI(), said.Signatures[0].Sig
	o.quote(q, c)
	return q
}

// quote lets c quote a request as it stands.
func (o *office) quote(q *trust.Request, c *chip) {
	o.t.Helper()
	quoted, err := q.Quoted()
	must(o.t, err)
	q.PCRs = booted(1)
	q.Quote, q.QuoteSig = c.states(c.QuoteStatement(q.PCRs, quoted))
}

// payload is that of the good package, with changes.
func (o *office) payload(changes ...func(*manifest.Payload)) *manifest.Payload {
	hash := sha256.Sum256([]byte("votes"))
	p := &manifest.Payload{
		V: 1, PackageID: packageID, Kind: manifest.CVRExport, Jurisdiction: county, ElectionID: election, ElectionSHA256: definition,
		Audience: "ems-1", Stream: "cvr", Seq: 100, Created: manifest.Created{RTC: "2026-11-03T20:15:00Z", Clock: 86400123, Reset: 12, Restart: 3, Safe: true},
		TrustEpoch: 5, Signer: manifest.Origin{StationID: "precinct-1", KeyID: o.precinct.KeyID(), Role: "source"},
		Totals: manifest.Totals{Files: 1, Bytes: 5},
		Files:  []manifest.File{{Path: "cvr.json", Size: 5, SHA256: hex.EncodeToString(hash[:]), MediaType: "application/json"}},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

// by makes the package one of another station.
func by(station string, role trust.Role, k manifest.Signer) func(*manifest.Payload) {
	return func(p *manifest.Payload) {
		p.Signer = manifest.Origin{StationID: station, KeyID: k.KeyID(), Role: string(role)}
	}
}

// general makes the package one of a kind without an election.
func general(k manifest.Kind) func(*manifest.Payload) {
	return func(p *manifest.Payload) { p.Kind, p.ElectionID, p.ElectionSHA256 = k, "", "" }
}

// sealed signs a payload with these keys, precinct-1's when there are none.
func (o *office) sealed(p *manifest.Payload, keys ...manifest.Signer) []byte {
	o.t.Helper()
	if keys == nil {
		keys = []manifest.Signer{o.precinct.key}
	}
	return o.enclosed(encode(o.t, p), manifest.PayloadType, keys...)
}

// enclosed signs any bytes as a document of this type.
func (o *office) enclosed(payload []byte, kind string, keys ...manifest.Signer) []byte {
	o.t.Helper()
	e := &dsse.Envelope{Payload: payload, PayloadType: kind}
	must(o.t, e.Sign(o.t.Context(), keys...))
	return wrap(o.t, e)
}

// evidence is that of a package, with a counter of this value.
func (o *office) evidence(c *chip, pcrs attest.PCRs, counter uint64, pkg []byte, changes ...func(*trust.Evidence)) []byte {
	o.t.Helper()
	digest := digestOf(o.t, pkg)
	e := &trust.Evidence{V: 1, PCRs: pcrs}
	e.Quote, e.QuoteSig = c.states(c.QuoteStatement(pcrs, digest))
	e.Counter, e.CounterSig = c.states(c.CounterStatement(counter, digest))
	for _, change := range changes {
		change(e)
	}
	return encode(o.t, e)
}

// measurement is precinct-1's boot state as c signs it.
func (o *office) measurement(c *chip, pcrs attest.PCRs, change func(*trust.Measurement)) []byte {
	o.t.Helper()
	m := &trust.Measurement{V: 1, StationID: "precinct-1", KeyID: o.precinct.KeyID(), Version: "v1.1.0"}
	change(m)
	quoted, err := m.Quoted()
	must(o.t, err)
	m.PCRs = pcrs
	m.Quote, m.QuoteSig = c.states(c.QuoteStatement(pcrs, quoted))
	return encode(o.t, m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := strictjson.Encode(v)
	must(t, err)
	return data
}

func wrap(t testing.TB, e *dsse.Envelope) []byte {
	t.Helper()
	data, err := e.Encode()
	must(t, err)
	return data
}

// opened reads an envelope of any type.
func opened(t testing.TB, env []byte, kind string) *dsse.Envelope {
	t.Helper()
	e, err := dsse.Parse(env, kind, trust.MaxEnvelope)
	must(t, err)
	return e
}

// digestOf is the identity of a sealed package.
func digestOf(t testing.TB, pkg []byte) [32]byte {
	return sha256.Sum256(opened(t, pkg, manifest.PayloadType).Payload)
}

func sum(data []byte) string {
	d := sha256.Sum256(data)
	return hex.EncodeToString(d[:])
}

// replace changes the first old, which must be there.
func replace(t testing.TB, data []byte, old, with string) []byte {
	t.Helper()
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%q is not in %.300q", old, data)
	}
	return bytes.Replace(data, []byte(old), []byte(with), 1)
}

// repayload changes the payload and leaves the signatures as they are.
func repayload(t testing.TB, env []byte, kind, old, with string) []byte {
	t.Helper()
	e := opened(t, env, kind)
	e.Payload = replace(t, e.Payload, old, with)
	return wrap(t, e)
}

// encodeSPKI is a public key as identities hold a boot key.
func encodeSPKI(k signer) []byte { return k.public().SPKI() }

// negate gives a signature the other s.
func negate(t testing.TB, sig []byte) []byte {
	t.Helper()
	var x struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(sig, &x)
	must(t, err)
	x.S.Sub(elliptic.P256().Params().N, x.S)
	out, err := asn1.Marshal(x)
	must(t, err)
	return out
}
