package dsse_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	stdx509 "crypto/x509"
	"encoding/base64"
	"math/big"
	"os"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/x509"

	"sallyport/internal/dsse"
)

// newMLDSA returns the signer whose seed is n.
func newMLDSA(t testing.TB, n byte) *dsse.MLDSASigner {
	t.Helper()
	seed := make([]byte, 32)
	seed[31] = n
	s, err := dsse.NewMLDSASigner(seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func p256Key(t testing.TB, n byte) dsse.PublicKey {
	t.Helper()
	k, err := dsse.NewP256Key(&newKey(t, n).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func spkiOf(t testing.TB, pub any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAKeyComesBackFromItsEncoding(t *testing.T) {
	for _, k := range []dsse.PublicKey{p256Key(t, 1), newMLDSA(t, 1).PublicKey()} {
		again, err := dsse.ParsePublicKey(k.Alg(), k.SPKI())
		if err != nil {
			t.Fatal(err)
		}
		if again.KeyID() != k.KeyID() || again.Alg() != k.Alg() || !bytes.Equal(again.SPKI(), k.SPKI()) || !again.Valid() {
			t.Errorf("%s: another key came back", k.Alg())
		}
		k.SPKI()[30] ^= 1
		if !bytes.Equal(again.SPKI(), k.SPKI()) {
			t.Errorf("%s: a caller changed the key", k.Alg())
		}
	}
	soft := newKey(t, 1)
	if id := p256Key(t, 1).KeyID(); id != soft.KeyID() {
		t.Errorf("one ECDSA key has the ids %s and %s", id, soft.KeyID())
	}
	if pub, ok := p256Key(t, 1).ECDSA(); !ok || !pub.Equal(&soft.PublicKey) {
		t.Error("the ECDSA key is another one")
	}
	if pub, ok := newMLDSA(t, 1).PublicKey().ECDSA(); ok || pub != nil {
		t.Error("an ML-DSA key was given out as one of ECDSA")
	}
}

func TestTheZeroKeyIsRefused(t *testing.T) {
	var none dsse.PublicKey
	if none.Valid() || none.Alg() != "" || none.KeyID() != "" || none.SPKI() != nil {
		t.Error("the zero key says something")
	}
	if _, ok := none.ECDSA(); ok {
		t.Error("the zero key has an ECDSA key")
	}
	e, err := dsse.Parse(sealed(t, "{}", 1), testType, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m, sigs := e.Message(), e.Signatures
	if err := dsse.Verify(none, m, sigs[0].Sig); err == nil {
		t.Error("the zero key verified a signature")
	}
	for name, keys := range map[string][]dsse.PublicKey{
		"the zero key": {none}, "no key": nil, "two keys": {p256Key(t, 1), p256Key(t, 1)}, "another key": {p256Key(t, 2)},
	} {
		err := dsse.VerifyAll(m, sigs, keys)
		if _, blamed := err.(*dsse.SignatureError); err == nil || blamed {
			t.Errorf("%s: got %v, want a fault of the caller", name, err)
		}
	}
	if err := dsse.VerifyAll(m, nil, nil); err == nil {
		t.Error("no signatures at all verify")
	}
	if _, err := new(dsse.MLDSASigner).SignMessage(t.Context(), m); err == nil {
		t.Error("the zero signer signs")
	}
}

func TestOnlyOneEncodingOfAKeyIsAccepted(t *testing.T) {
	ec, ml := p256Key(t, 1).SPKI(), newMLDSA(t, 1).PublicKey().SPKI()
	edit := func(der []byte, change func([]byte)) []byte {
		der = bytes.Clone(der)
		change(der)
		return der
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other := func(params mldsa.Parameters) []byte {
		k, err := mldsa.GenerateKey(params)
		if err != nil {
			t.Fatal(err)
		}
		return spkiOf(t, k.PublicKey())
	}
	// The same key with the parameters NULL, as RSA has them: two bytes more.
	null := append([]byte{0x30, 0x82, 0x07, 0xb4, 0x30, 0x0d}, ml[6:17]...)
	null = append(append(null, 5, 0), ml[17:]...)
	// The same, in as many bytes as a key has.
	nullShort := bytes.Clone(null[:len(ml)])
	copy(nullShort[2:], []byte{0x07, 0xb2})
	copy(nullShort[21:], []byte{0x07, 0x9f})
	_, ecErr := dsse.ParsePublicKey(dsse.AlgP256, ec)
	_, mlErr := dsse.ParsePublicKey(dsse.AlgMLDSA65, ml)
	if ecErr != nil || mlErr != nil {
		t.Fatal(ecErr, mlErr)
	}
	for _, c := range []struct {
		name, alg string
		spki      []byte
	}{
		{"no algorithm", "", ec},
		{"an unknown algorithm", "none", ec},
		{"an algorithm in another case", strings.ToUpper(dsse.AlgMLDSA65), ml},
		{"an ML-DSA key called ECDSA", dsse.AlgP256, ml},
		{"an ECDSA key called ML-DSA", dsse.AlgMLDSA65, ec},
		{"empty", dsse.AlgMLDSA65, nil},
		{"P-384", dsse.AlgP256, spkiOf(t, &p384.PublicKey)},
		{"Ed25519", dsse.AlgP256, spkiOf(t, ed)},
		{"ML-DSA-44", dsse.AlgMLDSA65, other(mldsa.MLDSA44())},
		{"ML-DSA-87", dsse.AlgMLDSA65, other(mldsa.MLDSA87())},
		{"parameters NULL", dsse.AlgMLDSA65, null},
		{"parameters NULL in the right length", dsse.AlgMLDSA65, nullShort},
		{"the identifier of ML-DSA-87", dsse.AlgMLDSA65, edit(ml, func(b []byte) { b[16]++ })},
		{"an unused bit", dsse.AlgMLDSA65, edit(ml, func(b []byte) { b[21] = 1 })},
		{"an octet string", dsse.AlgMLDSA65, edit(ml, func(b []byte) { b[17] = 4 })},
		{"the raw key", dsse.AlgMLDSA65, ml[len(ml)-mldsa.MLDSA65PublicKeySize:]},
		{"cut short", dsse.AlgMLDSA65, ml[:len(ml)-1]},
		{"trailing byte", dsse.AlgMLDSA65, append(bytes.Clone(ml), 0)},
		{"ECDSA with a trailing byte", dsse.AlgP256, append(bytes.Clone(ec), 0)},
		{"ECDSA cut short", dsse.AlgP256, ec[:len(ec)-1]},
		{"a point off the curve", dsse.AlgP256, edit(ec, func(b []byte) { b[90] ^= 1 })},
		{"a hybrid point", dsse.AlgP256, edit(ec, func(b []byte) { b[26] = 6 | b[90]&1 })},
		{"another curve's name", dsse.AlgP256, edit(ec, func(b []byte) { b[22]-- })},
	} {
		if k, err := dsse.ParsePublicKey(c.alg, c.spki); err == nil || k.Valid() || k.KeyID() != "" {
			t.Errorf("%s: got the key %q, %v", c.name, k.KeyID(), err)
		}
	}
}

func TestOnlyKeysOfTheAlgorithmsAreTaken(t *testing.T) {
	//lint:ignore SA1019 no other way makes a key that is not on its curve
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for name, pub := range map[string]*ecdsa.PublicKey{"none": nil, "empty": {}, "off the curve": off} {
		if k, err := dsse.NewP256Key(pub); err == nil || k.Valid() {
			t.Errorf("ECDSA, %s: taken", name)
		}
	}
	small, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]*mldsa.PublicKey{"none": nil, "empty": {}, "ML-DSA-44": small.PublicKey()} {
		if k, err := dsse.NewMLDSA65Key(pub); err == nil || k.Valid() {
			t.Errorf("ML-DSA, %s: taken", name)
		}
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := dsse.NewMLDSASigner(make([]byte, n)); err == nil {
			t.Errorf("a seed of %d bytes was taken", n)
		}
	}
}

// openssl returns what another implementation made: a key of the seed 0 to 31,
// and an envelope that it signed.
func openssl(t testing.TB) (spki, envelope []byte) {
	t.Helper()
	data, err := os.ReadFile("testdata/ml-dsa-65-openssl")
	if err != nil {
		t.Fatal(err)
	}
	head, envelope, _ := bytes.Cut(data, []byte("\n\n"))
	_, line, _ := bytes.Cut(head, []byte("\nspki: "))
	if spki, err = base64.StdEncoding.DecodeString(string(line)); err != nil {
		t.Fatal(err)
	}
	return spki, envelope
}

// FuzzParsePublicKey: what is accepted is the one encoding of its key, and of one
// algorithm alone.
func FuzzParsePublicKey(f *testing.F) {
	ec, ml := p256Key(f, 1).SPKI(), newMLDSA(f, 1).PublicKey().SPKI()
	spki, _ := openssl(f)
	for _, seed := range [][]byte{ec, ml, spki, ec[:50], ml[:100], append(bytes.Clone(ml), 0), append(bytes.Clone(ec), 0)} {
		f.Add(true, seed)
		f.Add(false, seed)
	}
	f.Fuzz(func(t *testing.T, p256 bool, in []byte) {
		alg, other := dsse.AlgMLDSA65, dsse.AlgP256
		if p256 {
			alg, other = other, alg
		}
		k, err := dsse.ParsePublicKey(alg, in)
		if err != nil {
			if k.Valid() {
				t.Fatalf("an error and a key: %v", err)
			}
			return
		}
		if !bytes.Equal(k.SPKI(), in) || k.Alg() != alg || len(k.KeyID()) != dsse.KeyIDLen || len(in) > dsse.MaxKeyBytes {
			t.Fatalf("accepted %x as the key %s of %s", in, k.KeyID(), k.Alg())
		}
		if _, err := dsse.ParsePublicKey(other, in); err == nil {
			t.Fatalf("%x is a key of both algorithms", in)
		}
		parsed, err := x509.ParsePKIXPublicKey(in)
		if err != nil {
			t.Fatal(err)
		}
		if again := spkiOf(t, parsed); !bytes.Equal(again, in) {
			t.Fatalf("accepted %x, which encodes as %x", in, again)
		}
		if pub, ok := k.ECDSA(); ok {
			if again, err := stdx509.MarshalPKIXPublicKey(pub); err != nil || !bytes.Equal(again, in) {
				t.Fatalf("the ECDSA key is another one: %v", err)
			}
		}
	})
}
