package manifest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"strings"
	"testing"

	"filippo.io/mldsa"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

const (
	packageID  = "00112233445566778899aabbccddeeff"
	definition = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
	previous   = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafa0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
)

// The keys of the vectors; FORMAT.md repeats the table. The private scalar of an
// ECDSA key is its number, the seed of an ML-DSA-65 key is 31 zeros and its number.
const (
	keyPrecinct = 1 // enrolled: precinct-1, source
	keyWitness  = 2 // enrolled: office-1, ems
	keyRevoked  = 3 // precinct-3, revoked
	keyUnknown  = 5 // not enrolled

	mlPrecinct = 11 // ML-DSA-65, the others as above
	mlWitness  = 12
	mlRevoked  = 13
	mlUnknown  = 15
)

// testKey signs with RFC 6979, so that vectors can be made again byte for byte.
type testKey struct{ private *ecdsa.PrivateKey }

func key(n byte) testKey {
	raw := make([]byte, 32)
	raw[31] = n
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		panic(err)
	}
	return testKey{k}
}

func (k testKey) KeyID() string {
	id, err := dsse.KeyID(&k.private.PublicKey)
	if err != nil {
		panic(err)
	}
	return id
}

func (k testKey) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return k.private.Sign(nil, digest[:], crypto.SHA256)
}

func (k testKey) public() dsse.PublicKey {
	pub, err := dsse.NewP256Key(&k.private.PublicKey)
	if err != nil {
		panic(err)
	}
	return pub
}

// mlKey signs deterministically, for the same reason.
type mlKey struct{ private *mldsa.PrivateKey }

func mlKeyOf(params mldsa.Parameters, n byte) mlKey {
	seed := make([]byte, mldsa.PrivateKeySize)
	seed[len(seed)-1] = n
	k, err := mldsa.NewPrivateKey(params, seed)
	if err != nil {
		panic(err)
	}
	return mlKey{k}
}

func ml(n byte) mlKey { return mlKeyOf(mldsa.MLDSA65(), n) }

func (k mlKey) public() dsse.PublicKey {
	pub, err := dsse.NewMLDSA65Key(k.private.PublicKey())
	if err != nil {
		panic(err)
	}
	return pub
}

func (k mlKey) KeyID() string { return k.public().KeyID() }

func (k mlKey) SignMessage(_ context.Context, m *dsse.Message) ([]byte, error) {
	return k.private.SignDeterministic(m.PAE(), nil)
}

// signer returns the key of this number, of whichever algorithm.
func signer(n byte) interface {
	manifest.Signer
	public() dsse.PublicKey
} {
	if n >= mlPrecinct {
		return ml(n)
	}
	return key(n)
}

// testPolicy objects when it is asked in another order than the specification's.
type testPolicy struct {
	tb     testing.TB
	asked  map[string]bool
	permit int
}

func newPolicy(tb testing.TB) *testPolicy { return &testPolicy{tb: tb, asked: map[string]bool{}} }

func (p *testPolicy) Key(id string) (manifest.Key, error) {
	if p.permit > 0 {
		p.tb.Error("a key was asked for after Permit")
	}
	p.asked[id] = true
	for _, n := range []byte{keyPrecinct, keyWitness, keyRevoked, mlPrecinct, mlWitness, mlRevoked} {
		k := manifest.Key{Public: signer(n).public()}
		if k.Public.KeyID() != id {
			continue
		}
		switch n {
		case keyPrecinct, mlPrecinct:
			k.StationID, k.Role = "precinct-1", "source"
		case keyWitness, mlWitness:
			k.StationID, k.Role = "office-1", "ems"
		default:
			return manifest.Key{}, verdict.New(verdict.SignerRevoked, "precinct-3", "revoked in epoch 2")
		}
		return k, nil
	}
	return manifest.Key{}, verdict.New(verdict.SignerUnknown, "key "+id, "")
}

func (p *testPolicy) Permit(m *manifest.Payload, keys []manifest.Key) error {
	if p.permit++; p.permit > 1 {
		p.tb.Error("Permit was asked twice")
	}
	if len(keys) != len(p.asked) {
		p.tb.Errorf("Permit got %d keys, %d signed", len(keys), len(p.asked))
	}
	if id := keys[0].Public.KeyID(); id != m.Signer.KeyID || keys[0].StationID != m.Signer.StationID {
		p.tb.Errorf("the first key is %s of %s, not the payload's own signer", id, keys[0].StationID)
	}
	if _, ok := keys[0].Public.ECDSA(); !ok {
		p.tb.Errorf("the payload's own signer is a key of %s", keys[0].Public.Alg())
	}
	if m.Jurisdiction != "ocd-division/country:us/state:xx" {
		return verdict.New(verdict.WrongJurisdiction, "jurisdiction", "%s", m.Jurisdiction)
	}
	return nil
}

// base returns a payload that Verify accepts, with changes.
func base(changes ...func(*manifest.Payload)) *manifest.Payload {
	p := &manifest.Payload{
		V: 1, PackageID: packageID, Kind: manifest.CVRExport,
		Jurisdiction: "ocd-division/country:us/state:xx",
		ElectionID:   "2026-11-03-general", ElectionSHA256: definition,
		Audience: "office-1", Stream: "cvr", Seq: 7, PrevSHA256: previous,
		Created:    manifest.Created{RTC: "2026-11-03T20:15:00Z", Clock: 86400123, Reset: 12, Restart: 3, Safe: true},
		TrustEpoch: 4,
		Signer:     manifest.Origin{StationID: "precinct-1", KeyID: key(keyPrecinct).KeyID(), Role: "source"},
	}
	list(p, "batch-1/cvr.json", "batch-1/readme.txt", "batch-2/cvr.json")
	for _, change := range changes {
		change(p)
	}
	return p
}

// list gives the payload files of 1000, 1001, … bytes.
func list(p *manifest.Payload, paths ...string) {
	p.Files = make([]manifest.File, len(paths))
	p.Totals = manifest.Totals{Files: int64(len(paths))}
	for i, path := range paths {
		p.Files[i] = manifest.File{Path: path, Size: 1000 + int64(i), SHA256: fmt.Sprintf("%064x", i+1), MediaType: "application/json"}
		p.Totals.Bytes += p.Files[i].Size
	}
}

func paths(paths ...string) func(*manifest.Payload) {
	return func(p *manifest.Payload) { list(p, paths...) }
}

func numbered(n int) func(*manifest.Payload) {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("folder-%04d/ballot-%06d.json", i/100, i)
	}
	return paths(all...)
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := strictjson.Encode(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// enclose signs any bytes as a payload, valid or not.
func enclose(tb testing.TB, payload []byte, keys ...byte) []byte {
	tb.Helper()
	e := &dsse.Envelope{Payload: payload, PayloadType: manifest.PayloadType}
	for _, n := range keys {
		if err := e.Sign(tb.Context(), signer(n)); err != nil {
			tb.Fatal(err)
		}
	}
	b, err := e.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func replace(tb testing.TB, s []byte, old, now string) []byte {
	tb.Helper()
	if !strings.Contains(string(s), old) {
		tb.Fatalf("nothing to replace: %.200q holds no %q", s, old)
	}
	return []byte(strings.Replace(string(s), old, now, 1))
}
