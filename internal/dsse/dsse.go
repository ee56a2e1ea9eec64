// Package dsse is the signed envelope of manifests and trust bundles: DSSE v1
// (Dead Simple Signing Envelope, github.com/secure-systems-lab/dsse) in one
// strict JSON encoding, and the signatures in it, ECDSA P-256 and ML-DSA-65, with
// their public keys. It knows no payload type and no key list: it says whether an
// envelope is well formed and whether signatures belong to keys, never whether
// anybody is trusted or which algorithms must sign together. Envelopes and public
// keys are foreign bytes until a caller has verified a signature.
package dsse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"

	"sallyport/internal/limit"
)

const (
	// MaxSignatures is the most signatures of one envelope.
	MaxSignatures = 8
	// MaxSignatureBytes is the longest signature; ML-DSA-65 needs 3,309 bytes.
	MaxSignatureBytes = 4096
	// KeyIDLen is the length of a key id: SHA-256 in lower-case hexadecimal.
	KeyIDLen = 2 * sha256.Size
	// maxType is the longest payload type.
	maxType = 128
)

// Envelope is a well-formed envelope. That it exists says nothing about its
// signatures.
type Envelope struct {
	Payload     []byte
	PayloadType string
	Signatures  []Signature // 1 to [MaxSignatures], no key id twice
}

// Signature is one signature over a [Message]. The algorithm belongs to the
// record of the key, never to the envelope.
type Signature struct {
	KeyID string // see [PublicKey.KeyID]
	Sig   []byte // ECDSA: ASN.1 DER; ML-DSA-65: 3,309 bytes
}

// Signer makes the signatures of one key. It is a [DigestSigner] or a
// [MessageSigner], and not both: [Envelope.Sign] refuses anything else.
type Signer interface {
	// KeyID returns the id of the signer's public key: see [PublicKey.KeyID].
	KeyID() string
}

// DigestSigner makes ECDSA P-256 signatures, usually in a TPM.
type DigestSigner interface {
	Signer
	// Sign returns the ASN.1 DER signature over a SHA-256 digest.
	Sign(ctx context.Context, digest [32]byte) (der []byte, err error)
}

// MessageSigner makes pure ML-DSA-65 signatures, such as an [MLDSASigner].
type MessageSigner interface {
	Signer
	// SignMessage returns the signature over [Message.PAE] with an empty context.
	SignMessage(ctx context.Context, m *Message) (sig []byte, err error)
}

// Error says what is wrong with an envelope, and where.
type Error struct {
	Where   string // member, JSON pointer or byte offset
	Problem string
}

func (e *Error) Error() string { return "invalid envelope: " + e.Where + ": " + e.Problem }

// Digest returns what each ECDSA signature of the envelope signs.
func (e *Envelope) Digest() [32]byte { return Digest(e.PayloadType, e.Payload) }

// Sign adds a signature of each signer. It fails, and leaves the envelope as it
// was, when a signer fails, has signed already, or gives what is no signature.
func (e *Envelope) Sign(ctx context.Context, signers ...Signer) error {
	m := e.Message()
	sigs := append([]Signature(nil), e.Signatures...)
	for _, s := range signers {
		sig, err := sign(ctx, s, m)
		if err != nil {
			return err
		}
		sigs = append(sigs, Signature{KeyID: s.KeyID(), Sig: sig})
	}
	if err := checkSignatures(sigs); err != nil {
		return err
	}
	e.Signatures = sigs
	return nil
}

// sign returns a signature of the form that the signer's algorithm has. Whether
// it verifies is for who knows the public key; signers check it themselves.
func sign(ctx context.Context, s Signer, m *Message) (sig []byte, err error) {
	byDigest, isDigest := s.(DigestSigner)
	byMessage, isMessage := s.(MessageSigner)
	if isDigest == isMessage {
		return nil, fmt.Errorf("cannot sign with key %.16s: its signer must sign either digests or messages", s.KeyID())
	}
	check := checkDER
	if isDigest {
		sig, err = byDigest.Sign(ctx, m.Digest())
	} else {
		check = checkMLDSA65Length
		sig, err = byMessage.SignMessage(ctx, m)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot sign with key %.16s: %w", s.KeyID(), err)
	}
	if err := check(sig); err != nil {
		return nil, fmt.Errorf("cannot use the signature of key %.16s: %w", s.KeyID(), err)
	}
	return sig, nil
}

// Encode returns the one encoding of the envelope; [Parse] gives it back.
func (e *Envelope) Encode() ([]byte, error) {
	if err := checkType(e.PayloadType); err != nil {
		return nil, err
	}
	if err := checkSignatures(e.Signatures); err != nil {
		return nil, err
	}
	b64 := base64.StdEncoding
	size := b64.EncodedLen(len(e.Payload)) + 256
	for _, s := range e.Signatures {
		size += b64.EncodedLen(len(s.Sig)) + 128
	}
	b := make([]byte, 0, size)
	b = b64.AppendEncode(append(b, `{"payload":"`...), e.Payload)
	b = append(append(b, `","payloadType":"`...), e.PayloadType...)
	b = append(b, `","signatures":[`...)
	for i, s := range e.Signatures {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"keyid":"`...), s.KeyID...)
		b = b64.AppendEncode(append(b, `","sig":"`...), s.Sig)
		b = append(b, `"}`...)
	}
	return append(b, "]}"...), nil
}

// Sealed is a well-formed envelope that is not decoded: its payload is still
// base64 in the bytes that it was made of, which must not change. Large
// envelopes of senders who are not known cost no memory this way.
type Sealed struct {
	PayloadType string
	Signatures  []Signature // 1 to [MaxSignatures], no key id twice
	payload     []byte      // base64 that was checked
}

// Scan reads the one encoding that [Envelope.Encode] writes, with exactly this
// payload type. More than maxBytes bytes are a [limit.Exceeded], everything else
// that is wrong an [Error]. The payload is checked to be base64 and not looked at.
func Scan(data []byte, payloadType string, maxBytes int64) (*Sealed, error) {
	if err := limit.Check("bytes of an envelope", int64(len(data)), maxBytes); err != nil {
		return nil, err
	}
	c := &cursor{data: data}
	s, err := c.envelope()
	if err != nil {
		return nil, c.diagnose(err)
	}
	if err := checkType(s.PayloadType); err != nil {
		return nil, err
	}
	if s.PayloadType != payloadType {
		return nil, &Error{"payloadType", fmt.Sprintf("is %q, must be %q", s.PayloadType, payloadType)}
	}
	if err := checkSignatures(s.Signatures); err != nil {
		return nil, err
	}
	return s, nil
}

// Parse is [Scan] and decodes the payload.
func Parse(data []byte, payloadType string, maxBytes int64) (*Envelope, error) {
	s, err := Scan(data, payloadType, maxBytes)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(make([]byte, 0, s.size()))
	s.decode(b)
	return &Envelope{Payload: b.Bytes(), PayloadType: s.PayloadType, Signatures: s.Signatures}, nil
}

// Payload returns the payload's bytes as a string, made by one allocation.
func (s *Sealed) Payload() string {
	var b strings.Builder
	b.Grow(s.size())
	s.decode(&b)
	return b.String()
}

// size is the length of the payload in bytes.
func (s *Sealed) size() int {
	return len(s.payload)/4*3 - bytes.Count(s.payload[max(0, len(s.payload)-2):], []byte{'='})
}

// decode writes the payload in pieces to w, which is memory or a hash and does
// not fail. Neither does the decoder: [Scan] has checked what it reads.
func (s *Sealed) decode(w io.Writer) {
	const piece = 32 << 10
	var buf [piece / 4 * 3]byte
	for rest := s.payload; len(rest) > 0; {
		n, _ := base64.StdEncoding.Decode(buf[:], rest[:min(piece, len(rest))])
		_, _ = w.Write(buf[:n])
		rest = rest[min(piece, len(rest)):]
	}
}

// checkType keeps payload types to characters that JSON never escapes, so that
// the envelope has one encoding.
func checkType(t string) error {
	if t == "" || len(t) > maxType {
		return &Error{"payloadType", fmt.Sprintf("has %d characters, must have 1 to %d", len(t), maxType)}
	}
	for _, c := range []byte(t) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return &Error{"payloadType", fmt.Sprintf("holds the byte 0x%02x", c)}
		}
	}
	return nil
}

func checkSignatures(sigs []Signature) error {
	if len(sigs) < 1 || len(sigs) > MaxSignatures {
		return &Error{"signatures", fmt.Sprintf("holds %d signatures, must hold 1 to %d", len(sigs), MaxSignatures)}
	}
	seen := make(map[string]bool, len(sigs))
	for i, s := range sigs {
		where := "/signatures/" + strconv.Itoa(i)
		if !validKeyID(s.KeyID) {
			return &Error{where + "/keyid", "must be SHA-256 of the public key in 64 lower-case hexadecimal digits"}
		}
		if seen[s.KeyID] {
			return &Error{where + "/keyid", "the key " + s.KeyID + " signs twice"}
		}
		seen[s.KeyID] = true
		if len(s.Sig) < 1 || len(s.Sig) > MaxSignatureBytes {
			return &Error{where + "/sig", fmt.Sprintf("has %d bytes, must have 1 to %d", len(s.Sig), MaxSignatureBytes)}
		}
	}
	return nil
}

func validKeyID(id string) bool {
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(id) == KeyIDLen
}
