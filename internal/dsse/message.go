package dsse

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strconv"
)

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

// Message is what every signature of one envelope signs. Both algorithms sign
// the same bytes, [PAE]: ECDSA by way of their SHA-256, ML-DSA-65 as they are.
// Each form is made when it is first asked for, and once: the payload is hashed
// once and copied at most once, however many keys sign. A Message is not safe
// for use by several goroutines.
type Message struct {
	head  []byte
	size  int               // of the payload, in bytes
	write func(w io.Writer) // the payload, to memory or a hash, which do not fail

	hashed          bool
	signed, payload [32]byte
	pae             []byte
}

// Message returns what the signatures of the envelope sign. The envelope must
// not change while it is used.
func (e *Envelope) Message() *Message {
	return &Message{
		head: pae(e.PayloadType, len(e.Payload)), size: len(e.Payload),
		write: func(w io.Writer) { _, _ = w.Write(e.Payload) },
	}
}

// Message returns what the signatures of the envelope sign, without memory for
// the payload unless [Message.PAE] is called.
func (s *Sealed) Message() *Message {
	return &Message{head: pae(s.PayloadType, s.size()), size: s.size(), write: s.decode}
}

// Digest returns SHA-256 of [Message.PAE] without building it: what ECDSA signs.
func (m *Message) Digest() [32]byte {
	m.hash()
	return m.signed
}

// PayloadDigest returns SHA-256 of the payload, which comes with the work of
// [Message.Digest].
func (m *Message) PayloadDigest() [32]byte {
	m.hash()
	return m.payload
}

func (m *Message) hash() {
	if m.hashed {
		return
	}
	outer, inner := sha256.New(), sha256.New()
	outer.Write(m.head)
	m.write(io.MultiWriter(outer, inner))
	m.signed, m.payload, m.hashed = [32]byte(outer.Sum(nil)), [32]byte(inner.Sum(nil)), true
}

// PAE returns the bytes that are signed, as the function [PAE]: a copy of the
// whole payload, which must not be changed. No part of ML-DSA's public interface
// takes a message in pieces.
func (m *Message) PAE() []byte {
	if m.pae == nil {
		b := bytes.NewBuffer(make([]byte, 0, len(m.head)+m.size))
		b.Write(m.head)
		m.write(b)
		m.pae = b.Bytes()
	}
	return m.pae
}
