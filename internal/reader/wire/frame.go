// Package wire is the protocol between the confined reader and its parent: the
// frames, the messages in them, and one encoder and one strict decoder for
// each. FORMAT.md beside package reader describes it. Both ends decode what
// the other sent: the parent must not trust the child at all, and the child
// stays simple by trusting nothing either. A length is checked before memory
// is taken for it. What a message means, and whether it is allowed now, is
// decided by its receiver, not here.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version of the protocol; parent and child are installed together.
const Version = 4

// Sizes in bytes.
const (
	HeaderBytes = 8
	MaxPayload  = 64 << 10 // of one frame

	// The ring is memory that both ends map: the child writes the content of
	// files there, in slots that it uses in turn; frames say what lies where.
	SlotBytes = 1 << 20
	Slots     = 4
	RingBytes = Slots * SlotBytes
)

// Type is the kind of a frame.
type Type uint8

// Frames from the child.
const (
	TypeHello    Type = 1  // the lockdown's proof
	TypeRefuse   Type = 2  // a finding about the medium as a whole; nothing follows
	TypeProgress Type = 3  // bytes of structures read so far
	TypeMedium   Type = 4  // size and partition table: a listing begins
	TypeVolume   Type = 5  // one volume
	TypeProblem  Type = 6  // a finding about the last volume, or the medium before the first
	TypeEntries  Type = 7  // files and folders of the last volume
	TypeListed   Type = 8  // the listing is complete
	TypeFile     Type = 9  // a file begins
	TypeData     Type = 10 // the next bytes of the file, in the current slot
	TypeTurn     Type = 11 // the next slot becomes the current one
	TypeEnd      Type = 12 // the file is complete
	TypeFail     Type = 13 // the file ends here, with a finding
	TypeDone     Type = 14 // all files that were asked for have been sent
	TypeDeleted  Type = 15 // the path of a deleted entry of the last volume
)

// Frames from the parent.
const (
	TypeList Type = 32 // list the medium, under these limits
	TypeAsk  Type = 33 // files to be sent
	TypeSend Type = 34 // send the files asked for
	TypeFree Type = 35 // a slot was read and may be used again
)

// String returns the name used in messages and in FORMAT.md.
func (t Type) String() string {
	names := map[Type]string{
		TypeHello: "hello", TypeRefuse: "refuse", TypeProgress: "progress", TypeMedium: "medium",
		TypeVolume: "volume", TypeProblem: "problem", TypeEntries: "entries", TypeListed: "listed",
		TypeFile: "file", TypeData: "data", TypeTurn: "turn", TypeEnd: "end", TypeFail: "fail", TypeDone: "done",
		TypeDeleted: "deleted",
		TypeList:    "list", TypeAsk: "ask", TypeSend: "send", TypeFree: "free",
	}
	if n, ok := names[t]; ok {
		return n
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Malformed says that the other end broke the form of the protocol.
type Malformed struct{ Problem string }

func (e *Malformed) Error() string { return "malformed frame: " + e.Problem }

func malformed(format string, args ...any) error {
	return &Malformed{Problem: fmt.Sprintf(format, args...)}
}

// PutHeader writes the header of a frame with n bytes of payload into b, which
// has [HeaderBytes] bytes.
func PutHeader(b []byte, t Type, n int) {
	binary.LittleEndian.PutUint32(b, uint32(n))
	binary.LittleEndian.PutUint32(b[4:], uint32(t))
}

// parseHeader decodes a header and checks the length.
func parseHeader(b []byte) (Type, int, error) {
	n := binary.LittleEndian.Uint32(b)
	rest := binary.LittleEndian.Uint32(b[4:])
	if rest > 0xff {
		return 0, 0, malformed("bytes 5 to 7 of a header are not zero")
	}
	if n > MaxPayload {
		return 0, 0, malformed("a frame (%s) of %d bytes, at most %d are allowed", Type(rest), n, MaxPayload)
	}
	return Type(rest), int(n), nil
}

// Reader reads frames. It is not safe for concurrent use.
type Reader struct {
	src  io.Reader
	buf  []byte
	r, w int
}

// NewReader returns a Reader of src that holds at most 256 KiB.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, buf: make([]byte, 4*MaxPayload)}
}

// Next returns the next frame. The payload is valid until the next call. The
// error is io.EOF when the source ends between frames.
func (r *Reader) Next() (Type, []byte, error) {
	if err := r.fill(HeaderBytes); err != nil {
		return 0, nil, err
	}
	t, n, err := parseHeader(r.buf[r.r:])
	if err != nil {
		return 0, nil, err
	}
	if err := r.fill(HeaderBytes + n); err != nil {
		return 0, nil, err
	}
	payload := r.buf[r.r+HeaderBytes : r.r+HeaderBytes+n]
	r.r += HeaderBytes + n
	return t, payload, nil
}

// fill makes sure that n bytes are in the buffer, which holds them.
func (r *Reader) fill(n int) error {
	if r.r+n > len(r.buf) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	for empty := 0; r.w-r.r < n; {
		got, err := r.src.Read(r.buf[r.w:])
		r.w += got
		if r.w-r.r >= n {
			return nil
		}
		if errors.Is(err, io.EOF) && r.w > r.r {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if got > 0 {
			empty = 0
		} else if empty++; empty == 100 {
			return io.ErrNoProgress
		}
	}
	return nil
}
