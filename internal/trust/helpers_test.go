package trust_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

const (
	county   = "ocd-division/country:us/state:xx/county:elm"
	state    = "ocd-division/country:us/state:xx"
	election = "2026-11-03-general"
)

// office is an authority with its root, and one station of each role. Each
// station has an ECDSA key in a TPM and an ML-DSA key beside it.
type office struct {
	authorities []*tpmtest.Soft
	root        *trust.Root
	stations    map[trust.Role]*tpmtest.Soft
	second      map[trust.Role]*dsse.MLDSASigner
	bundle      trust.Bundle
}

func newOffice(t testing.TB, keys, threshold int) *office {
	t.Helper()
	o := &office{stations: map[trust.Role]*tpmtest.Soft{}, second: map[trust.Role]*dsse.MLDSASigner{}}
	for range keys {
		o.authorities = append(o.authorities, tpmtest.NewSoft(t))
	}
	o.root = o.newRoot(t, threshold)
	o.bundle = trust.Bundle{Version: 3, Issued: "2026-09-01T12:00:00Z"}
	for i, r := range trust.Roles() {
		o.stations[r], o.second[r] = tpmtest.NewSoft(t), mldsa(t, byte(i+1))
		var kinds []manifest.Kind
		for _, k := range manifest.Kinds() {
			if trust.Allowed(r, k) {
				kinds = append(kinds, k)
			}
		}
		s, err := request(t, r, o.stations[r], o.second[r]).Station(kinds, []string{election}, trust.ByComparison)
		if err != nil {
			t.Fatal(err)
		}
		o.bundle.Stations = append(o.bundle.Stations, s)
	}
	return o
}

func (o *office) newRoot(t testing.TB, threshold int) *trust.Root {
	t.Helper()
	return newRoot(t, 1, threshold, o.authorities...)
}

// newRoot makes a root of keys in the TPMs of authority-1, authority-2, ...
func newRoot(t testing.TB, version int64, threshold int, list ...*tpmtest.Soft) *trust.Root {
	t.Helper()
	r, err := trust.NewRoot(version, threshold, "", rootKeys(t, list...)...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rootKeys(t testing.TB, list ...*tpmtest.Soft) []trust.RootKey {
	t.Helper()
	var keys []trust.RootKey
	for i, s := range list {
		k, err := trust.TPMRootKey("authority-"+string(rune('1'+i)), s.Identity)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

// mldsa is the ML-DSA-65 key of a seed of this number.
func mldsa(t testing.TB, n byte) *dsse.MLDSASigner {
	t.Helper()
	s, err := dsse.NewMLDSASigner(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// request is what a station of this role asks with; second may be nil.
func request(t testing.TB, r trust.Role, s *tpmtest.Soft, second *dsse.MLDSASigner) *trust.Request {
	t.Helper()
	q := &trust.Request{V: 2, ID: string(r) + "-1", Name: "Elm County " + string(r), Role: r, Jurisdiction: county,
		Maker: "IBM", Firmware: "1.2.3.4", SoftwareTPM: true, Version: "v1.0.0", TPM: s.Identity}
	if second != nil {
		possession(t, q, second)
	}
	quote(t, q, s)
	return q
}

// possession gives a request an ML-DSA key.
func possession(t testing.TB, q *trust.Request, second *dsse.MLDSASigner) {
	t.Helper()
	said, err := trust.Possession(q.TPM)
	if err != nil {
		t.Fatal(err)
	}
	if err := said.Sign(context.Background(), second); err != nil {
		t.Fatal(err)
	}
	q.MLDSA, q.MLDSASig = second.PublicKey().SPKI(), said.Signatures[0].Sig
}

// quote lets the TPM of s quote a request as it stands.
func quote(t testing.TB, q *trust.Request, s *tpmtest.Soft) {
	t.Helper()
	quoted, err := q.Quoted()
	if err != nil {
		t.Fatal(err)
	}
	q.PCRs = booted(1)
	q.Quote, q.QuoteSig = s.Attest(t, s.QuoteStatement(q.PCRs, quoted))
}

// booted are the PCRs of one boot state of many.
func booted(n byte) (pcrs attest.PCRs) {
	for i := range pcrs {
		pcrs[i] = sha256.Sum256([]byte{n, byte(i)})
	}
	return pcrs
}

// approved is a boot state that shows all registers, approved for s when its key
// is bound.
func approved(t testing.TB, label string, n byte, s *tpmtest.Soft) trust.BootState {
	t.Helper()
	b := trust.NewBootState(label, booted(n), attest.Numbers()...)
	if s.Boot != nil {
		a := tpmtest.Approve(t, s.Boot, booted(n))
		id, err := dsse.KeyID(&s.Boot.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		b.Approvals = []trust.BootApproval{{KeyID: id, Sig: a.Sig}}
	}
	return b
}

// signed issues b with the first n authorities.
func (o *office) signed(t testing.TB, b trust.Bundle, n int) []byte {
	t.Helper()
	return issue(t, o.root, b, o.authorities[:n]...)
}

func issue(t testing.TB, root *trust.Root, b trust.Bundle, by ...*tpmtest.Soft) []byte {
	t.Helper()
	env, err := trust.Issue(context.Background(), root, b, signers(by)...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// opened issues and opens b.
func (o *office) opened(t testing.TB, b trust.Bundle) *trust.Trusted {
	t.Helper()
	tr, err := trust.Open(o.signed(t, b, o.root.Threshold), o.root)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func signers(list []*tpmtest.Soft) []manifest.Signer {
	var out []manifest.Signer
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// with returns the bundle with one station changed.
func (o *office) with(r trust.Role, change func(*trust.Station)) trust.Bundle {
	b := o.bundle
	b.Stations = slices.Clone(b.Stations)
	for i := range b.Stations {
		if b.Stations[i].Role == r {
			b.Stations[i].Keys = slices.Clone(b.Stations[i].Keys)
			change(&b.Stations[i])
		}
	}
	return b
}

// version returns the bundle with another version.
func (o *office) version(n int64) trust.Bundle {
	b := o.bundle
	b.Version = n
	return b
}

// first and beside are the two keys of a station: they are sorted by their ids.
func first(s *trust.Station) *trust.Key { return keyOf(s, dsse.AlgP256) }

func beside(s *trust.Station) *trust.Key { return keyOf(s, dsse.AlgMLDSA65) }

func keyOf(s *trust.Station, alg string) *trust.Key {
	return &s.Keys[slices.IndexFunc(s.Keys, func(k trust.Key) bool { return k.Alg == alg })]
}

// alone takes the ML-DSA key away.
func alone(s *trust.Station) { s.Keys = []trust.Key{*first(s)} }

// changeKey exchanges all keys of a station for one outside a TPM.
func changeKey(t testing.TB, s trust.Station, to *tpmtest.Soft) trust.Station {
	t.Helper()
	s.Keys = []trust.Key{{ID: to.KeyID(), Alg: manifest.AlgP256, Public: spki(t, to)}}
	return s
}

func at(n int64) *int64 { return &n }

func wantFinding(t testing.TB, err error, want verdict.Reason, says string) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok || f.Reason != want || !strings.Contains(err.Error(), says) {
		t.Errorf("error %v, want %s with %q", err, want, says)
	}
}

func spki(t testing.TB, s *tpmtest.Soft) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&s.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func sum(data []byte) string {
	d := sha256.Sum256(data)
	return hex.EncodeToString(d[:])
}

// storeDir is a folder that does not exist, in memory where there is one: what a
// disk adds to these tests is only time.
func storeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "trust")
	if err != nil {
		return filepath.Join(t.TempDir(), "trust")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "trust")
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

// payload takes a document out of its envelope.
func payload(t testing.TB, env []byte, kind string) []byte {
	t.Helper()
	e, err := dsse.Parse(env, kind, trust.MaxEnvelope)
	if err != nil {
		t.Fatal(err)
	}
	return e.Payload
}

// enclose signs any bytes as a document of this kind.
func enclose(t testing.TB, p []byte, kind string, by ...manifest.Signer) []byte {
	t.Helper()
	e := &dsse.Envelope{Payload: p, PayloadType: kind}
	if err := e.Sign(context.Background(), by...); err != nil {
		t.Fatal(err)
	}
	return mustEncode(t, e)
}

// replace changes the first old, which must be there.
func replace(t testing.TB, data []byte, old, with string) []byte {
	t.Helper()
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%q is not in %.300q", old, data)
	}
	return bytes.Replace(data, []byte(old), []byte(with), 1)
}
