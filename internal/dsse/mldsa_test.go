package dsse_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"filippo.io/mldsa"

	"sallyport/internal/dsse"
)

// hybrid returns an envelope that key 1 of each algorithm signed, and the keys.
func hybrid(t testing.TB, payload string) (*dsse.Envelope, []dsse.PublicKey) {
	t.Helper()
	ml := newMLDSA(t, 1)
	e := &dsse.Envelope{Payload: []byte(payload), PayloadType: testType}
	if err := e.Sign(t.Context(), ml, newKey(t, 1)); err != nil {
		t.Fatal(err)
	}
	return e, []dsse.PublicKey{ml.PublicKey(), p256Key(t, 1)}
}

func TestBothAlgorithmsSignOneEnvelope(t *testing.T) {
	for _, payload := range []string{"", "{}", strings.Repeat("x", 100_000)} {
		e, keys := hybrid(t, payload)
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		s, err := dsse.Scan(data, testType, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := dsse.VerifyAll(s.Message(), s.Signatures, keys); err != nil {
			t.Errorf("%d bytes: %v", len(payload), err)
		}
		if pae := s.Message().PAE(); !bytes.Equal(pae, dsse.PAE(testType, []byte(payload))) {
			t.Errorf("%d bytes: what is signed is %.100q", len(payload), pae)
		}
		e.Payload = append(e.Payload, ' ')
		for i, k := range keys {
			if err := dsse.Verify(k, e.Message(), e.Signatures[i].Sig); !errors.Is(err, dsse.ErrSignature) {
				t.Errorf("%s verifies after the payload changed: %v", k.Alg(), err)
			}
		}
	}
}

func TestAnotherImplementationsSignatureVerifies(t *testing.T) {
	spki, envelope := openssl(t)
	seed := make([]byte, 32)
	for i := range seed {
		seed[i] = byte(i)
	}
	ours, err := dsse.NewMLDSASigner(seed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours.PublicKey().SPKI(), spki) {
		t.Fatal("the seed gives another key here")
	}
	key, err := dsse.ParsePublicKey(dsse.AlgMLDSA65, spki)
	if err != nil {
		t.Fatal(err)
	}
	e, err := dsse.Parse(envelope, testType, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := dsse.VerifyAll(e.Message(), e.Signatures, []dsse.PublicKey{key}); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyAnMLDSA65SignatureOfTheMessageVerifies(t *testing.T) {
	e, keys := hybrid(t, "{}")
	m := e.Message()
	good := e.Signatures[0].Sig
	seed := make([]byte, 32)
	seed[31] = 1
	by := func(params mldsa.Parameters, message []byte, opts *mldsa.Options) []byte {
		k, err := mldsa.NewPrivateKey(params, seed)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := k.Sign(nil, message, opts)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	if err := dsse.Verify(keys[0], m, by(mldsa.MLDSA65(), m.PAE(), nil)); err != nil {
		t.Fatal(err)
	}
	digest := m.Digest()
	flipped := bytes.Clone(good)
	flipped[100] ^= 1
	hints := bytes.Clone(good)
	hints[len(hints)-1] = 255 // the number of hints, which is at most 55
	for _, c := range []struct {
		name  string
		sig   []byte
		match bool // refused by the arithmetic, not for its form
	}{
		{"empty", nil, false},
		{"cut by a byte", good[:len(good)-1], false},
		{"a byte more", append(bytes.Clone(good), 0), false},
		{"ML-DSA-44", by(mldsa.MLDSA44(), m.PAE(), nil), false},
		{"ML-DSA-87", by(mldsa.MLDSA87(), m.PAE(), nil), false},
		{"ECDSA", e.Signatures[1].Sig, false},
		{"over the digest", by(mldsa.MLDSA65(), digest[:], nil), true},
		{"over the payload alone", by(mldsa.MLDSA65(), e.Payload, nil), true},
		{"with a context", by(mldsa.MLDSA65(), m.PAE(), &mldsa.Options{Context: testType}), true},
		{"a bit flipped", flipped, true},
		{"impossible hints", hints, true},
		{"zeros", make([]byte, len(good)), true},
	} {
		if err := dsse.Verify(keys[0], m, c.sig); err == nil || errors.Is(err, dsse.ErrSignature) != c.match {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if err := dsse.Verify(keys[1], m, good); err == nil || errors.Is(err, dsse.ErrSignature) {
		t.Errorf("an ML-DSA signature under an ECDSA key: %v", err)
	}
	if err := dsse.Verify(newMLDSA(t, 2).PublicKey(), m, good); !errors.Is(err, dsse.ErrSignature) {
		t.Errorf("a foreign key: %v", err)
	}
}

// TestNoSignatureIsCarriedAlong: ECDSA is judged first, wherever it stands, so
// that nobody makes us copy a payload who cannot sign one.
func TestNoSignatureIsCarriedAlong(t *testing.T) {
	for name, c := range map[string]struct {
		spoil []int
		want  int // index that is named
	}{
		"only ML-DSA is bad": {[]int{0}, 0},
		"only ECDSA is bad":  {[]int{1}, 1},
		"both are bad":       {[]int{0, 1}, 1},
	} {
		e, keys := hybrid(t, "{}")
		for _, i := range c.spoil {
			sig := bytes.Clone(e.Signatures[i].Sig)
			sig[len(sig)/2] ^= 1
			e.Signatures[i].Sig = sig
		}
		var bad *dsse.SignatureError
		if err := dsse.VerifyAll(e.Message(), e.Signatures, keys); !errors.As(err, &bad) || bad.Index != c.want || bad.KeyID != keys[c.want].KeyID() {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// messageSigner gives whatever it holds.
type messageSigner struct {
	softKey
	sig []byte
	err error
}

func (s messageSigner) SignMessage(context.Context, *dsse.Message) ([]byte, error) {
	return s.sig, s.err
}

// onlyMessage hides the digest signer that messageSigner also is.
type onlyMessage struct{ dsse.MessageSigner }

// onlyKeyID signs nothing.
type onlyKeyID struct{ dsse.Signer }

func TestMessageSignersAreHeldToTheForm(t *testing.T) {
	gone := errors.New("the key is gone")
	right := make([]byte, mldsa.MLDSA65SignatureSize)
	for name, s := range map[string]dsse.Signer{
		"a failing signer":             onlyMessage{messageSigner{newKey(t, 2), nil, gone}},
		"no signature":                 onlyMessage{messageSigner{newKey(t, 2), nil, nil}},
		"a byte too few":               onlyMessage{messageSigner{newKey(t, 2), right[1:], nil}},
		"an ECDSA signature":           onlyMessage{messageSigner{newKey(t, 2), []byte{0x30, 6, 2, 1, 1, 2, 1, 1}, nil}},
		"a signer of both kinds":       messageSigner{newKey(t, 2), right, nil},
		"a signer of neither kind":     onlyKeyID{newKey(t, 2)},
		"a signer who signed":          newMLDSA(t, 1),
		"a signer who is told to stop": stopped{newMLDSA(t, 2)},
	} {
		e := &dsse.Envelope{Payload: []byte("{}"), PayloadType: testType}
		if err := e.Sign(t.Context(), newMLDSA(t, 1)); err != nil {
			t.Fatal(err)
		}
		err := e.Sign(t.Context(), newKey(t, 1), s)
		if err == nil || len(e.Signatures) != 1 {
			t.Errorf("%s: error %v, %d signatures; want an error and the one from before", name, err, len(e.Signatures))
		}
		if name == "a failing signer" && !errors.Is(err, gone) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
}

type stopped struct{ *dsse.MLDSASigner }

func (s stopped) SignMessage(_ context.Context, m *dsse.Message) ([]byte, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.MLDSASigner.SignMessage(ctx, m)
}

func TestMLDSASignaturesAreHedged(t *testing.T) {
	s := newMLDSA(t, 1)
	m := (&dsse.Envelope{Payload: []byte("{}"), PayloadType: testType}).Message()
	first, err := s.SignMessage(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.SignMessage(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, second) {
		t.Error("two signatures of one message are equal")
	}
}
