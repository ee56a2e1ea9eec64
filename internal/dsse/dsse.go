// Package dsse is the signed envelope of manifests and trust bundles: DSSE v1
// (Dead Simple Signing Envelope, github.com/secure-systems-lab/dsse) in one
// strict JSON encoding, and the ECDSA P-256 signatures in it. It knows no
// payload type and no key list: it says whether an envelope is well formed and
// whether one signature belongs to one key, never whether anybody is trusted.
// Envelopes are foreign bytes until a caller has verified a signature.
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

// Signature is one signature over [Digest]. The algorithm belongs to the
// record of the key, never to the envelope.
type Signature struct {
	KeyID string // see [KeyID]
	Sig   []byte // for ECDSA: ASN.1 DER
}

// Signer makes ECDSA P-256 signatures, usually in a TPM.
type Signer interface {
	// KeyID returns [KeyID] of the signer's public key.
	KeyID() string
	// Sign returns the ASN.1 DER signature over a SHA-256 digest.
	Sign(ctx context.Context, digest [32]byte) (der []byte, err error)
}

// Error says what is wrong with an envelope, and where.
type Error struct {
	Where   string // member, JSON pointer or byte offset
	Problem string
}

func (e *Error) Error() string { return "invalid envelope: " + e.Where + ": " + e.Problem }

// pae returns the head of the pre-authentication encoding; the payload follows.
func pae(payloadType string, size int) []byte {
	b := append([]byte("DSSEv1 "), strconv.Itoa(len(payloadType))...)
	b = append(append(b, ' '), payloadType...)
	return append(append(append(b, ' '), strconv.Itoa(size)...), ' ')
}

// PAE returns the bytes that are signed (DSSE v1, pre-authentication encoding).
func PAE(payloadType string, payload []byte) []byte {
	return append(pae(payloadType, len(payload)), payload...)
}

// Digest returns SHA-256 of [PAE] without building it.
func Digest(payloadType string, payload []byte) [32]byte {
	h := sha256.New()
	h.Write(pae(payloadType, len(payload)))
	h.Write(payload)
	return [32]byte(h.Sum(nil))
}

// Digest returns what each signature of the envelope signs.
func (e *Envelope) Digest() [32]byte { return Digest(e.PayloadType, e.Payload) }

// Sign adds a signature of each signer. It fails, and leaves the envelope as it
// was, when a signer fails, has signed already, or gives what is no signature.
func (e *Envelope) Sign(ctx context.Context, signers ...Signer) error {
	digest := e.Digest()
	sigs := append([]Signature(nil), e.Signatures...)
	for _, s := range signers {
		der, err := s.Sign(ctx, digest)
		if err != nil {
			return fmt.Errorf("cannot sign with key %.16s: %w", s.KeyID(), err)
		}
		if err := checkDER(der); err != nil {
			return fmt.Errorf("cannot use the signature of key %.16s: %w", s.KeyID(), err)
		}
		sigs = append(sigs, Signature{KeyID: s.KeyID(), Sig: der})
	}
	if err := checkSignatures(sigs); err != nil {
		return err
	}
	e.Signatures = sigs
	return nil
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
	b := make([]byte, 0, b64.EncodedLen(len(e.Payload))+256+len(e.Signatures)*256)
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

// Digests returns what each signature signs, as [Digest], and SHA-256 of the
// payload.
func (s *Sealed) Digests() (signed, payload [32]byte) {
	outer, inner := sha256.New(), sha256.New()
	outer.Write(pae(s.PayloadType, s.size()))
	s.decode(io.MultiWriter(outer, inner))
	return [32]byte(outer.Sum(nil)), [32]byte(inner.Sum(nil))
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
