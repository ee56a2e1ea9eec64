package child

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/reader/wire"
	"sallyport/internal/verdict"
)

const (
	// stepBytes is the step in which a place that cannot be read is looked for.
	stepBytes = 4 << 10
	// chunkBytes are read where a parser asks for less, and kept: it comes back
	// for the neighbours, and a stick answers 16 KiB as soon as 512 bytes.
	chunkBytes = 16 << 10
	chunks     = 64
	// bounceBytes is the most that is read at once for a parser.
	bounceBytes = 256 << 10
)

// blocks reads a device in whole blocks. Past the page cache (O_DIRECT) the
// kernel takes offsets, lengths and memory only in multiples of the device's
// logical block. An image file has blocks of one byte.
type blocks struct {
	dev   io.ReaderAt
	size  int64 // of the device in bytes; of whole blocks
	align int64 // of a block in bytes, a power of two
}

// down returns the beginning of the block that holds off.
func (b *blocks) down(off int64) int64 { return off &^ (b.align - 1) }

// up returns the end of the last block of the bytes before end.
func (b *blocks) up(end int64) int64 {
	if end > b.size-b.align { // in the last block, or behind it by a mistake
		return max(end, b.size)
	}
	return b.down(end + b.align - 1)
}

// fill reads whole blocks. A large read fails as a whole: then what did not
// come is read once more in small steps, up to the first place that does not
// answer. It returns how many bytes came from off on without a gap, and why no
// more.
func (b *blocks) fill(p []byte, off int64) (int, error) {
	n, err := b.read(p, off)
	if n == len(p) || off/stepBytes == (off+int64(len(p))-1)/stepBytes {
		return n, err // there is no smaller step
	}
	n = int(b.down(int64(n)))
	for n < len(p) {
		step := min(len(p)-n, int(max(b.align, stepBytes-(off+int64(n))%stepBytes)))
		got, err := b.read(p[n:n+step], off+int64(n))
		n += got
		if got < step {
			return n, err
		}
	}
	return n, nil
}

// read reads once; the error is nil only when all bytes came.
func (b *blocks) read(p []byte, off int64) (int, error) {
	n, err := b.dev.ReadAt(p, off)
	switch {
	case n == len(p):
		return n, nil
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// structures is the device as the parsers of package volume see it. They ask
// for any bytes, in any order and often for few; what is asked for in small
// pieces is read in chunks and kept for a while, so that most structures are
// read once. Not all are: a chunk that gave way to another is read again when
// it is asked for again, large pieces are not kept at all, and where the device
// fails the place is read again to find what still answers. Content that stands
// beside a structure comes along and is not used. The parsers rely on none of
// it: a device may give other bytes the second time.
//
// It tells the parent that a long walk is alive.
type structures struct {
	blocks
	out    *writer
	mem    []byte // of bounce and chunks
	bounce []byte
	chunk  int64 // bytes of one
	kept   [chunks]struct {
		data []byte // its room
		at   int64  // where it begins on the device; -1 for none
		n    int    // bytes that came
	}
	given int64 // bytes given to the parsers
	last  time.Time
}

// newStructures takes memory that begins with a page: O_DIRECT asks for that.
func newStructures(b blocks, out *writer) (*structures, error) {
	s := &structures{blocks: b, out: out, chunk: max(chunkBytes, b.align), last: time.Now()}
	var err error
	s.mem, err = unix.Mmap(-1, 0, bounceBytes+chunks*int(s.chunk), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("cannot get memory to read with: %w", err)
	}
	s.bounce = s.mem[:bounceBytes]
	for i := range s.kept {
		s.kept[i].at = -1
		s.kept[i].data = s.mem[bounceBytes+i*int(s.chunk):][:s.chunk]
	}
	return s, nil
}

// close gives the memory back.
func (s *structures) close() { _ = unix.Munmap(s.mem) } // the arguments are Mmap's

// ReadAt implements [io.ReaderAt]. Its errors are named as [named] says.
func (s *structures) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	var err error
	for done < len(p) && err == nil {
		var n int
		if len(p) < int(s.chunk) {
			n, err = s.little(p[done:], off+int64(done))
		} else {
			n, err = s.much(p[done:], off+int64(done))
		}
		done += n
	}
	s.given += int64(done)
	if now := time.Now(); done > 0 && now.Sub(s.last) >= time.Second {
		s.last = now
		s.out.message(wire.TypeProgress, wire.AppendNumber(nil, s.given))
		_ = s.out.flush() // the writer keeps the error
	}
	return done, named(err)
}

// little gives bytes of one chunk, at least one or an error.
func (s *structures) little(p []byte, off int64) (int, error) {
	at := off &^ (s.chunk - 1)
	k := &s.kept[at/s.chunk%chunks]
	if k.at != at {
		k.at = at
		k.n, _ = s.read(k.data[:max(0, min(s.chunk, s.size-at))], at)
	}
	in := int(off - at)
	if in < k.n {
		return copy(p, k.data[in:k.n]), nil
	}
	// The chunk did not come as far. That may be another's fault: only what is
	// asked for counts.
	return s.much(p[:min(len(p), int(s.chunk)-in)], off)
}

// much reads what is asked for and its blocks, at most as much as the bounce
// buffer holds; at least one byte or an error.
func (s *structures) much(p []byte, off int64) (int, error) {
	if s.align == 1 {
		return s.fill(p, off)
	}
	from := s.down(off)
	p = p[:min(int64(len(p)), bounceBytes-(off-from))]
	got, err := s.fill(s.bounce[:s.up(off+int64(len(p)))-from], from)
	n := copy(p, s.bounce[min(got, int(off-from)):got])
	if n == len(p) {
		err = nil // what failed lies behind it
	}
	return n, err
}

// named turns an error that says that the device is gone into a finding, whose
// reason the parsers pass on; they know nothing of system calls.
func named(err error) error {
	for _, gone := range []error{unix.ENODEV, unix.ENXIO, unix.ENOMEDIUM, unix.ESHUTDOWN} {
		if errors.Is(err, gone) {
			return verdict.New(verdict.RemovedDuringRead, "", "%s", err.Error())
		}
	}
	return err
}

// unread says why the device gave no byte at off.
func unread(err error, off int64) *verdict.Finding {
	where := fmt.Sprintf("content of the file, byte %d of the medium", off)
	if f, ok := verdict.Find(named(err)); ok {
		return verdict.New(f.Reason, where, "%s", f.Detail)
	}
	if errors.Is(err, io.EOF) {
		return verdict.New(verdict.Truncated, where, "the medium ends there")
	}
	return verdict.New(verdict.Unreadable, where, "%s", err.Error())
}
