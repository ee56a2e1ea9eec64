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
const Version = 1

// Sizes in bytes.
const (
	HeaderBytes = 8
	// MaxData is the largest payload of a data frame.
	MaxData = 1 << 20
	// MaxMessage is the largest payload of any other frame.
	MaxMessage = 64 << 10
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
	TypeData     Type = 10 // bytes of the file
	TypeEnd      Type = 11 // the file is complete
	TypeFail     Type = 12 // the file ends here, with a finding
	TypeDone     Type = 13 // all files that were asked for have been sent
)

// Frames from the parent.
const (
	TypeList Type = 32 // list the medium, under these limits
	TypeAsk  Type = 33 // files to be sent
	TypeSend Type = 34 // send the files asked for
)

// String returns the name used in messages and in FORMAT.md.
func (t Type) String() string {
	names := map[Type]string{
		TypeHello: "hello", TypeRefuse: "refuse", TypeProgress: "progress", TypeMedium: "medium",
		TypeVolume: "volume", TypeProblem: "problem", TypeEntries: "entries", TypeListed: "listed",
		TypeFile: "file", TypeData: "data", TypeEnd: "end", TypeFail: "fail", TypeDone: "done",
		TypeList: "list", TypeAsk: "ask", TypeSend: "send",
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

// parseHeader decodes a header and checks the length against the type's.
func parseHeader(b []byte) (Type, int, error) {
	n := binary.LittleEndian.Uint32(b)
	rest := binary.LittleEndian.Uint32(b[4:])
	if rest > 0xff {
		return 0, 0, malformed("bytes 5 to 7 of a header are not zero")
	}
	t := Type(rest)
	most := uint32(MaxMessage)
	if t == TypeData {
		most = MaxData
	}
	if n > most {
		return 0, 0, malformed("a frame (%s) of %d bytes, at most %d are allowed", t, n, most)
	}
	return t, int(n), nil
}

// Reader reads frames. It is not safe for concurrent use.
type Reader struct {
	src  io.Reader
	buf  []byte
	r, w int
	left int // payload of the current frame not yet taken
}

// NewReader returns a Reader of src that holds at most 256 KiB.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, buf: make([]byte, 4*MaxMessage)}
}

// Next returns the type of the next frame and the size of its payload, which
// must be taken as a whole with [Reader.Message] or [Reader.Data] before the
// next call. With bulk set it takes no more than the header from the source,
// so that a large payload can go straight to where it is wanted. The error is
// io.EOF when the source ends between frames.
func (r *Reader) Next(bulk bool) (Type, int, error) {
	if r.left != 0 {
		return 0, 0, errors.New("the frame before was not read to its end")
	}
	most := len(r.buf)
	if bulk {
		most = HeaderBytes
	}
	if err := r.fill(HeaderBytes, most); err != nil {
		return 0, 0, err
	}
	t, n, err := parseHeader(r.buf[r.r:r.w])
	if err != nil {
		return 0, 0, err
	}
	r.r += HeaderBytes
	r.left = n
	return t, n, nil
}

// Message returns the payload of a frame that is not a data frame. It is valid
// until the next call of any method.
func (r *Reader) Message() ([]byte, error) {
	n := r.left
	if n > MaxMessage {
		return nil, malformed("a data frame where a message was expected")
	}
	if err := r.fill(n, len(r.buf)); err != nil {
		return nil, noEOF(err)
	}
	r.left = 0
	r.r += n
	return r.buf[r.r-n : r.r], nil
}

// Data reads payload of the current frame into p: at least one byte when
// neither the frame nor p is at its end.
func (r *Reader) Data(p []byte) (int, error) {
	p = p[:min(len(p), r.left)]
	if len(p) == 0 {
		return 0, nil
	}
	if r.r == r.w {
		if len(p) >= MaxMessage {
			n, err := r.read(p)
			r.left -= n
			return n, err
		}
		if err := r.fill(1, len(r.buf)); err != nil {
			return 0, noEOF(err)
		}
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	r.left -= n
	return n, nil
}

// fill makes sure that n bytes are in the buffer, which holds them, and reads
// ahead until at most most are.
func (r *Reader) fill(n, most int) error {
	have := r.w - r.r
	if have >= n {
		return nil
	}
	if r.r+most > len(r.buf) {
		copy(r.buf, r.buf[r.r:r.w])
		r.r, r.w = 0, have
	}
	for r.w-r.r < n {
		got, err := r.read(r.buf[r.w : r.r+most])
		r.w += got
		if err != nil && r.w-r.r < n {
			if errors.Is(err, io.EOF) && r.w > r.r {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// read reads at least one byte, or returns an error.
func (r *Reader) read(p []byte) (int, error) {
	for range 100 {
		n, err := r.src.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
