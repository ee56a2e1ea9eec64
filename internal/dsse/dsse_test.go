package dsse_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"sallyport/internal/dsse"
	"sallyport/internal/limit"
	"sallyport/internal/strictjson"
)

const testType = "application/vnd.sallyport.test.v1+json"

type softKey struct{ *ecdsa.PrivateKey }

// newKey returns the key whose private scalar is n.
func newKey(t testing.TB, n byte) softKey {
	t.Helper()
	raw := make([]byte, 32)
	raw[31] = n
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return softKey{k}
}

func (k softKey) KeyID() string {
	id, err := dsse.KeyID(&k.PublicKey)
	if err != nil {
		panic(err)
	}
	return id
}

func (k softKey) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.PrivateKey, digest[:])
}

// sealed returns a valid envelope of a payload, signed by keys 1 to n.
func sealed(t testing.TB, payload string, n byte) []byte {
	t.Helper()
	e := &dsse.Envelope{Payload: []byte(payload), PayloadType: testType}
	for i := byte(1); i <= n; i++ {
		if err := e.Sign(t.Context(), newKey(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPAEIsThatOfTheSpecification(t *testing.T) {
	// The example of the DSSE v1 protocol document.
	want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
	if got := dsse.PAE("http://example.com/HelloWorld", []byte("hello world")); string(got) != want {
		t.Fatalf("PAE is %q, want %q", got, want)
	}
}

func TestASignedEnvelopeComesBack(t *testing.T) {
	for _, payload := range []string{"", "{}", "ab", "abc", strings.Repeat("x", 100_000)} {
		data := sealed(t, payload, 3)
		e, err := dsse.Parse(data, testType, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Payload) != payload || len(e.Signatures) != 3 {
			t.Fatalf("payload or signatures changed on the way")
		}
		for i, s := range e.Signatures {
			k := newKey(t, byte(i+1))
			if s.KeyID != k.KeyID() {
				t.Fatalf("signature %d carries key id %s", i, s.KeyID)
			}
			if err := dsse.VerifyP256(&k.PublicKey, e.Digest(), s.Sig); err != nil {
				t.Fatalf("signature %d: %v", i, err)
			}
			other := newKey(t, 99)
			if err := dsse.VerifyP256(&other.PublicKey, e.Digest(), s.Sig); !errors.Is(err, dsse.ErrSignature) {
				t.Fatalf("signature %d verifies with a foreign key: %v", i, err)
			}
		}
		e.Payload = append(e.Payload, ' ')
		k := newKey(t, 1)
		if err := dsse.VerifyP256(&k.PublicKey, e.Digest(), e.Signatures[0].Sig); !errors.Is(err, dsse.ErrSignature) {
			t.Fatalf("the signature verifies after the payload changed: %v", err)
		}
	}
}

func TestMalformedEnvelopesAreRefused(t *testing.T) {
	good := string(sealed(t, "{}", 2))
	if _, err := dsse.Parse([]byte(good), testType, 1<<20); err != nil {
		t.Fatal(err)
	}
	id := newKey(t, 1).KeyID()
	one := func(sig string) string {
		return `{"payload":"e30=","payloadType":"` + testType + `","signatures":[` + sig + `]}`
	}
	sig := `{"keyid":"` + id + `","sig":"AA=="}`
	if _, err := dsse.Parse([]byte(one(sig)), testType, 1<<20); err != nil {
		t.Fatal(err)
	}
	change := func(old, now string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the good envelope holds no %q", old)
		}
		return strings.Replace(good, old, now, 1)
	}
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "empty"},
		{"not JSON", "hello", "byte 0"},
		{"an array", "[]", "byte "},
		{"cut short in the payload", good[:14], "byte 14"},
		{"cut short at the end", good[:len(good)-1], "EOF"},
		{"trailing newline", good + "\n", "not the canonical encoding"},
		{"trailing byte", good + "x", "after the end"},
		{"white space", change(`":"`, `": "`), "not the canonical encoding"},
		{"two payloads", change(`{"payload":"e30="`, `{"payload":"e30=","payload":"e30="`), "duplicate"},
		{"unknown member", change(`{"payload"`, `{"alg":"none","payload"`), "unknown member"},
		{"unknown member of a signature", one(`{"keyid":"` + id + `","sig":"AA==","cert":""}`), "unknown member"},
		{"member in another case", change(`"payloadType"`, `"PayloadType"`), "unknown member"},
		{"another order of members", `{"payloadType":"` + testType + `","payload":"e30=","signatures":[` + sig + `]}`, "not the canonical encoding"},
		{"payload is null", change(`"e30="`, `null`), "null"},
		{"payload is an object", change(`"e30="`, `{}`), "payload"},
		{"no payload member", change(`"payload":"e30=",`, ``), "not the canonical encoding"},
		{"base64 without padding", change(`e30=`, `e30`), "base64"},
		{"base64 of the URL alphabet", change(`e30=`, `e_30`), "base64"},
		{"base64 with stray bits", change(`e30=`, `e31=`), "base64"},
		{"base64 with a line end", change(`e30=`, "e3\n0="), "byte 14"},
		{"base64 with an escaped line end", change(`e30=`, `e3\n0=`), "escape"},
		{"base64 with an escape", change(`e30=`, `\u00653 0=`), "byte"},
		{"base64 data after padding", change(`e30=`, `e30=e30=`), "base64"},
		{"another payload type", change(testType, "application/vnd.in-toto+json"), `must be "` + testType},
		{"payload type in another case", change(testType, strings.ToUpper(testType)), `must be "` + testType},
		{"empty payload type", change(testType, ""), "payloadType"},
		{"endless payload type", change(testType, strings.Repeat("a", 1000)), "payloadType"},
		{"no signatures", one(""), "holds 0 signatures"},
		{"signatures is null", `{"payload":"e30=","payloadType":"` + testType + `","signatures":null}`, "null"},
		{"nine signatures", one(strings.Repeat(sig+",", 8) + sig), "more than 8"},
		{"one key signs twice", one(sig + "," + sig), "signs twice"},
		{"key id too short", one(strings.Replace(sig, id, id[1:], 1)), "/signatures/0/keyid"},
		{"key id too long", one(strings.Replace(sig, id, id+"0", 1)), "escape"},
		{"key id in upper case", one(strings.Replace(sig, id, strings.ToUpper(id), 1)), "/signatures/0/keyid"},
		{"empty signature", one(strings.Replace(sig, "AA==", "", 1)), "has 0 bytes"},
		{"giant signature", one(strings.Replace(sig, "AA==", strings.Repeat("AAAA", 1366), 1)), "has 4098 bytes"},
		{"comma after the last signature", one(sig + ","), "byte"},
		{"no comma between signatures", one(sig + sig), "byte"},
		{"invalid UTF-8", change(testType, "\xff"), "byte 0xff"},
	} {
		e, err := dsse.Parse([]byte(c.in), testType, 1<<20)
		var bad *dsse.Error
		if !errors.As(err, &bad) || e != nil {
			t.Errorf("%s: got %v, %v; want a *dsse.Error", c.name, e, err)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %q and does not say %q", c.name, err, c.want)
		}
	}
	var over *limit.Exceeded
	if _, err := dsse.Parse([]byte(good), testType, int64(len(good)-1)); !errors.As(err, &over) {
		t.Errorf("one byte over the limit gives %v, want a *limit.Exceeded", err)
	}
}

type badSigner struct {
	softKey
	der []byte
	err error
}

func (b badSigner) Sign(context.Context, [32]byte) ([]byte, error) { return b.der, b.err }

func TestSigningRefusesWhatWouldNotVerify(t *testing.T) {
	e := &dsse.Envelope{Payload: []byte("{}"), PayloadType: testType}
	gone := errors.New("the TPM is gone")
	for name, s := range map[string]dsse.Signer{
		"a failing signer":           badSigner{newKey(t, 2), nil, gone},
		"no signature":               badSigner{newKey(t, 2), nil, nil},
		"a signature that is no DER": badSigner{newKey(t, 2), make([]byte, 64), nil},
		"a signer who signed":        newKey(t, 1),
	} {
		e.Signatures = nil
		if err := e.Sign(t.Context(), newKey(t, 1)); err != nil {
			t.Fatal(err)
		}
		err := e.Sign(t.Context(), newKey(t, 3), s)
		if err == nil || len(e.Signatures) != 1 {
			t.Errorf("%s: error %v, %d signatures; want an error and the one from before", name, err, len(e.Signatures))
		}
		if name == "a failing signer" && !errors.Is(err, gone) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
	for i := byte(2); i <= 8; i++ {
		if err := e.Sign(t.Context(), newKey(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Sign(t.Context(), newKey(t, 9)); err == nil {
		t.Error("a ninth signature was added")
	}
	if _, err := (&dsse.Envelope{PayloadType: testType}).Encode(); err == nil {
		t.Error("an envelope without a signature was encoded")
	}
}

// der builds DER by hand from the two content octet strings.
func der(r, s []byte) []byte {
	b := append([]byte{2, byte(len(r))}, r...)
	b = append(append(b, 2, byte(len(s))), s...)
	return append([]byte{0x30, byte(len(b))}, b...)
}

func TestOnlyOneEncodingOfASignatureIsAccepted(t *testing.T) {
	k := newKey(t, 1)
	digest := dsse.Digest(testType, []byte("{}"))
	n := elliptic.P256().Params().N
	// A signature whose r and s both need the leading zero, so that each can be
	// made longer and shorter by hand.
	var good []byte
	var sig struct{ R, S *big.Int }
	for sig.R == nil || sig.R.BitLen() != 256 || sig.S.BitLen() != 256 {
		good, _ = k.Sign(t.Context(), digest)
		if _, err := asn1.Unmarshal(good, &sig); err != nil {
			t.Fatal(err)
		}
	}
	if err := dsse.VerifyP256(&k.PublicKey, digest, good); err != nil {
		t.Fatal(err)
	}
	r, s := append([]byte{0}, sig.R.Bytes()...), append([]byte{0}, sig.S.Bytes()...)
	if !bytes.Equal(der(r, s), good) {
		t.Fatal("the hand-made encoding differs from the library's")
	}
	over := new(big.Int).Add(sig.R, n).Bytes()
	for name, bad := range map[string][]byte{
		"empty":                 {},
		"raw r and s":           append(sig.R.Bytes(), sig.S.Bytes()...),
		"trailing byte":         append(bytes.Clone(good), 0),
		"trailing byte inside":  append(append([]byte{0x30, good[1] + 1}, good[2:]...), 0),
		"cut short":             good[:len(good)-1],
		"r with a leading zero": der(append([]byte{0}, r...), s),
		"negative r":            der(r[1:], s),
		"negative s":            der(r, s[1:]),
		"r is zero":             der([]byte{0}, s),
		"s is zero":             der(r, []byte{0}),
		"empty integer":         der([]byte{}, s),
		"r is n":                der(append([]byte{0}, n.Bytes()...), s),
		"s is n":                der(r, append([]byte{0}, n.Bytes()...)),
		"r + n":                 der(over, s),
		"long form of a length": append([]byte{0x30, 0x81}, good[1:]...),
		"indefinite length":     append(append([]byte{0x30, 0x80}, good[2:]...), 0, 0),
		"a set":                 append([]byte{0x31}, good[1:]...),
		"three integers":        append(append([]byte{0x30, good[1] + 3}, good[2:]...), 2, 1, 1),
	} {
		if err := dsse.VerifyP256(&k.PublicKey, digest, bad); err == nil {
			t.Errorf("%s: accepted", name)
		} else if errors.Is(err, dsse.ErrSignature) {
			t.Errorf("%s: reached the verification: it must be refused as an encoding", name)
		}
	}
}

func TestOnlyP256KeysAreKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 no other way makes a key that is not on its curve
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for name, pub := range map[string]*ecdsa.PublicKey{"none": nil, "empty": {}, "P-384": &p384.PublicKey, "off the curve": off} {
		if _, err := dsse.KeyID(pub); err == nil {
			t.Errorf("%s: has a key id", name)
		}
		if err := dsse.VerifyP256(pub, [32]byte{}, []byte{0x30, 6, 2, 1, 1, 2, 1, 1}); err == nil || errors.Is(err, dsse.ErrSignature) {
			t.Errorf("%s: was used to verify: %v", name, err)
		}
	}
}

// FuzzParse holds the envelope's own parser against two general decoders: it
// accepts only what they read the same way, and what it accepts encodes to the
// same bytes.
func FuzzParse(f *testing.F) {
	good := sealed(f, `{"v":1}`, 2)
	_, mldsa := openssl(f)
	f.Add(good)
	f.Add(mldsa)
	f.Add(good[:len(good)/2])
	f.Add(bytes.Replace(good, []byte(`"sig"`), []byte(`"sig":"","sig"`), 1))
	f.Add(bytes.Replace(good, []byte("="), []byte("\n="), 1))
	f.Add([]byte(`{"payload":"","payloadType":"a\"b","signatures":[{"keyid":"\\","sig":""}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := dsse.Parse(in, testType, 1<<16)
		if err != nil {
			return
		}
		out, err := e.Encode()
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("accepted %q but encodes as %q (%v)", in, out, err)
		}
		type signature struct {
			KeyID string `json:"keyid"`
			Sig   string `json:"sig"`
		}
		var w struct {
			Payload     string      `json:"payload"`
			PayloadType string      `json:"payloadType"`
			Signatures  []signature `json:"signatures"`
		}
		if err := strictjson.DecodeCanonical(in, &w, 1<<16); err != nil {
			t.Fatalf("accepted %q, which the strict decoder refuses: %v", in, err)
		}
		if b, err := base64.StdEncoding.DecodeString(w.Payload); err != nil || !bytes.Equal(b, e.Payload) {
			t.Fatalf("another payload: %v", err)
		}
		w.Signatures = nil
		if err := json.Unmarshal(in, &w); err != nil || w.PayloadType != e.PayloadType || len(w.Signatures) != len(e.Signatures) {
			t.Fatalf("encoding/json reads %+v (%v)", w, err)
		}
		for i, s := range w.Signatures {
			if b, err := base64.StdEncoding.DecodeString(s.Sig); err != nil || !bytes.Equal(b, e.Signatures[i].Sig) || s.KeyID != e.Signatures[i].KeyID {
				t.Fatalf("another signature %d: %v", i, err)
			}
		}
	})
}
