package translog

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// MaxEntry is the largest entry in bytes; the smallest has one byte.
const MaxEntry = 64 << 10

const (
	// maxIndex bounds every index and size (integers of I-JSON, RFC 7493).
	maxIndex = 1 << 53

	headerSize      = 64
	frameHeaderSize = 16
	formatVersion   = 1

	magicSegment     = "SPLOGSEG"
	magicCheckpoints = "SPLOGCHK"
	magicAnchors     = "SPLOGANC"
)

// castagnoli is the CRC-32C table (RFC 3720, appendix B.4); it never varies.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the first block of every framed file; FORMAT.md has the table.
type header struct {
	magic  string
	first  int64 // index of the first frame
	prev   int64 // size in bytes of the file before this one, 0 for the first
	origin [32]byte
}

func originHash(origin string) [32]byte { return sha256.Sum256([]byte(origin)) }

func (h header) encode() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, h.magic...)
	b = binary.BigEndian.AppendUint32(b, formatVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(h.first))
	b = binary.BigEndian.AppendUint64(b, uint64(h.prev))
	b = append(b, h.origin[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// check compares the header found in a file with the only one that may stand
// there, and says in plain words what differs.
func (h header) check(got []byte) error {
	want := h.encode()
	if len(got) < headerSize {
		return fmt.Errorf("the file header is cut short after %d of %d bytes", len(got), headerSize)
	}
	got = got[:headerSize]
	switch {
	case bytes.Equal(got, want):
		return nil
	case crc32.Checksum(got[:headerSize-4], castagnoli) != binary.BigEndian.Uint32(got[headerSize-4:]):
		return errors.New("the checksum of the file header does not match")
	case string(got[:8]) != h.magic:
		return fmt.Errorf("the file starts with %q instead of %q", got[:8], h.magic)
	case binary.BigEndian.Uint32(got[8:]) != formatVersion:
		return fmt.Errorf("the file has format version %d, this program knows %d", binary.BigEndian.Uint32(got[8:]), formatVersion)
	case binary.BigEndian.Uint64(got[12:]) != uint64(h.first):
		return fmt.Errorf("the file header says that the first entry is %d instead of %d", binary.BigEndian.Uint64(got[12:]), h.first)
	case binary.BigEndian.Uint64(got[20:]) != uint64(h.prev):
		return fmt.Errorf("the file before this one had %d bytes when it was closed, now it has %d", binary.BigEndian.Uint64(got[20:]), h.prev)
	}
	return errors.New("the file belongs to a log of another origin")
}

// appendFrame adds one frame to dst.
func appendFrame(dst []byte, index int64, data []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(index))
	dst = append(dst, data...)
	binary.BigEndian.PutUint32(dst[start+4:], frameCRC(dst[start:]))
	return dst
}

// frameCRC is CRC-32C over the frame less the four bytes of the CRC itself.
func frameCRC(f []byte) uint32 {
	return crc32.Update(crc32.Checksum(f[:4], castagnoli), castagnoli, f[8:])
}

// frame is one entry or one checkpoint as it stands in its file.
type frame struct {
	index, off int64
	data       []byte // valid until the next read
}

// frameError says why no frame could be read at off.
type frameError struct {
	off int64
	// cut is set when the file ends inside the frame, or in zeros from there on:
	// what an interrupted write leaves.
	cut    bool
	detail string
}

func (e *frameError) Error() string { return e.detail }

// frames reads the frames of one file one after another.
type frames struct {
	file io.ReaderAt
	r    *bufio.Reader
	size int64 // bytes of the file that are looked at
	off  int64
	next int64  // index expected next
	what string // of which a frame holds one
	// tried are the bytes that resync took for frames, for nothing.
	tried int64
}

// newFrames reads entries from offset off, where the frame with index next must
// start.
func newFrames(file io.ReaderAt, off, size, next int64) *frames {
	f := &frames{file: file, r: bufio.NewReaderSize(nil, 256<<10), size: size, what: "entry"}
	f.seek(off, next)
	return f
}

// frameAt reads the one frame at off, which must have the given index. Its
// data is the caller's.
func frameAt(file io.ReaderAt, off, size, index int64) (frame, error) {
	var head [frameHeaderSize]byte
	most := int64(frameHeaderSize)
	if off+frameHeaderSize <= size {
		if _, err := file.ReadAt(head[:], off); err != nil {
			return frame{}, noEOF(err)
		}
		most += min(int64(binary.BigEndian.Uint32(head[:])), MaxEntry)
	}
	f := &frames{file: file, r: bufio.NewReaderSize(nil, int(most)), size: size, what: "entry"}
	f.seek(off, index)
	return f.read()
}

// limit is above every index that the frames of the file can have.
func (f *frames) limit() int64 { return f.next + (f.size-f.off)/(frameHeaderSize+1) + 1 }

func (f *frames) seek(off, next int64) {
	f.off, f.next = off, next
	f.r.Reset(io.NewSectionReader(f.file, off, max(0, f.size-off)))
}

// read returns the next frame, io.EOF at a clean end, a *frameError where the
// bytes are no frame with the expected index, or the error of the medium.
func (f *frames) read() (frame, error) {
	left := f.size - f.off
	if left <= 0 {
		return frame{}, io.EOF
	}
	if left < frameHeaderSize {
		return frame{}, f.bad(true, "the file ends after %d bytes of a frame header", left)
	}
	head, err := f.r.Peek(frameHeaderSize)
	if err != nil {
		return frame{}, noEOF(err)
	}
	length := int64(binary.BigEndian.Uint32(head))
	index := binary.BigEndian.Uint64(head[8:])
	if length == 0 {
		if zero, err := f.zeroFrom(f.off); zero || err != nil {
			return frame{}, cmp.Or(err, f.bad(true, "the last %d bytes of the file are zero", left))
		}
	}
	if length < 1 || length > MaxEntry {
		return frame{}, f.bad(false, "the frame claims %d bytes, 1 to %d are possible", length, MaxEntry)
	}
	if frameHeaderSize+length > left {
		return frame{}, f.bad(true, "the file ends after %d of the frame's %d bytes", left, frameHeaderSize+length)
	}
	whole, err := f.r.Peek(int(frameHeaderSize + length))
	if err != nil {
		return frame{}, noEOF(err)
	}
	if frameCRC(whole) != binary.BigEndian.Uint32(whole[4:]) {
		if whole[len(whole)-1] == 0 { // the file was made longer, and not all data came
			if zero, err := f.zeroFrom(f.off + int64(len(whole))); zero || err != nil {
				return frame{}, cmp.Or(err, f.bad(true, "the file ends in zeros inside the frame"))
			}
		}
		return frame{}, f.bad(false, "the checksum of the frame does not match")
	}
	if index != uint64(f.next) {
		return frame{}, f.bad(false, "%s %d stands where %[1]s %[3]d belongs", f.what, index, f.next)
	}
	fr := frame{index: f.next, off: f.off, data: whole[frameHeaderSize:]}
	if _, err := f.r.Discard(len(whole)); err != nil {
		return frame{}, noEOF(err)
	}
	f.off += int64(len(whole))
	f.next++
	return fr, nil
}

func (f *frames) bad(cut bool, format string, args ...any) error {
	return &frameError{off: f.off, cut: cut, detail: fmt.Sprintf(format, args...)}
}

// noEOF keeps an early end of the medium from looking like a clean end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// zeroFrom says whether all bytes from off on are zero.
func (f *frames) zeroFrom(off int64) (bool, error) {
	r := io.NewSectionReader(f.file, off, f.size-off)
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// resync moves on from a damaged place to the next intact frame: the first
// offset where length, checksum and an index from at on (and below limit)
// agree, which is the damaged place itself when a frame was taken out before
// it. A frame that stands before one with an index from at on and not above its
// own is passed over: it is in the wrong place, not the one after it. It returns
// false when there is none. A chance match needs the 8 bytes of the index and the
// 4 of the checksum to fit.
func (f *frames) resync(at, limit int64) (bool, error) {
	step := int64(4 << 10) // most often the next frame is near
	for base := f.off; base < f.size; base, step = base+step, min(2*step, 256<<10) {
		buf := make([]byte, step+frameHeaderSize)
		n, err := f.file.ReadAt(buf[:min(int64(len(buf)), f.size-base)], base)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		for i := int64(0); i < step && i+frameHeaderSize <= int64(n); i++ {
			index, end, ok, err := f.frameIn(buf[i:], base+i, at, limit)
			if ok {
				_, _, ok, err = f.frameAfter(end, at, index+1)
				if !ok && err == nil {
					f.seek(base+i, index)
					return true, nil
				}
			}
			if err != nil {
				return false, err
			}
			// Bytes made to look like the beginnings of frames must not cost more
			// than reading the file does.
			if f.tried > 4*f.size+1<<20 {
				return false, nil
			}
		}
	}
	return false, nil
}

// frameIn says whether an intact frame with an index in at ≤ index < limit begins
// at off, where head stands, and where it ends.
func (f *frames) frameIn(head []byte, off, at, limit int64) (index, end int64, ok bool, err error) {
	length := int64(binary.BigEndian.Uint32(head))
	got := binary.BigEndian.Uint64(head[8:])
	end = off + frameHeaderSize + length
	if length < 1 || length > MaxEntry || end > f.size || got < uint64(at) || got >= uint64(limit) {
		return 0, 0, false, nil
	}
	whole := make([]byte, frameHeaderSize+length)
	if _, err := f.file.ReadAt(whole, off); err != nil {
		return 0, 0, false, noEOF(err)
	}
	if frameCRC(whole) != binary.BigEndian.Uint32(whole[4:]) {
		f.tried += int64(len(whole))
		return 0, 0, false, nil
	}
	return int64(got), end, true, nil
}

// frameAfter is frameIn without the head.
func (f *frames) frameAfter(off, at, limit int64) (index, end int64, ok bool, err error) {
	var head [frameHeaderSize]byte
	if off+frameHeaderSize > f.size {
		return 0, 0, false, nil
	}
	if _, err := f.file.ReadAt(head[:], off); err != nil {
		return 0, 0, false, noEOF(err)
	}
	return f.frameIn(head[:], off, at, limit)
}
