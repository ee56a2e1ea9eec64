package translog

import (
	"bufio"
	"bytes"
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
	// cut is set when the file ends inside the frame or holds only zero bytes
	// from here on: what an interrupted write leaves.
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
	next int64 // index expected next
}

// newFrames reads from offset off, where the frame with index next must start.
func newFrames(file io.ReaderAt, off, size, next int64) *frames {
	f := &frames{file: file, r: bufio.NewReaderSize(nil, 256<<10), size: size}
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
	f := &frames{file: file, r: bufio.NewReaderSize(nil, int(most)), size: size}
	f.seek(off, index)
	return f.read()
}

// clone is an independent reader at the same place.
func (f *frames) clone() *frames { return newFrames(f.file, f.off, f.size, f.next) }

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
		zero, err := f.zeroToEnd()
		if err != nil {
			return frame{}, err
		}
		if zero {
			return frame{}, f.bad(true, "the last %d bytes of the file are zero", left)
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
		return frame{}, f.bad(false, "the checksum of the frame does not match")
	}
	if index != uint64(f.next) {
		return frame{}, f.bad(false, "entry %d stands where entry %d belongs", index, f.next)
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

// zeroToEnd says whether all bytes from the current place on are zero.
func (f *frames) zeroToEnd() (bool, error) {
	r := io.NewSectionReader(f.file, f.off, f.size-f.off)
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
// it. It returns false when there is none. A chance match needs the 8 bytes of
// the index and the 4 of the checksum to fit.
func (f *frames) resync(at, limit int64) (bool, error) {
	const step = 256 << 10
	buf := make([]byte, step+frameHeaderSize)
	for base := f.off; base < f.size; base += step {
		n, err := f.file.ReadAt(buf[:min(int64(len(buf)), f.size-base)], base)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		for i := 0; i < step && i+frameHeaderSize <= n; i++ {
			length := int64(binary.BigEndian.Uint32(buf[i:]))
			index := binary.BigEndian.Uint64(buf[i+8:])
			off := base + int64(i)
			if length < 1 || length > MaxEntry || off+frameHeaderSize+length > f.size ||
				index < uint64(at) || index >= uint64(limit) {
				continue
			}
			whole := make([]byte, frameHeaderSize+length)
			if _, err := f.file.ReadAt(whole, off); err != nil && !errors.Is(err, io.EOF) {
				return false, err
			}
			if frameCRC(whole) == binary.BigEndian.Uint32(whole[4:]) {
				f.seek(off, int64(index))
				return true, nil
			}
		}
	}
	return false, nil
}
