package child

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sys/unix"

	"sallyport/internal/reader/wire"
	"sallyport/internal/verdict"
	"sallyport/internal/volume"
)

const (
	// spanBytes is the most that is read at once for small pieces.
	spanBytes = 512 << 10
	// largeBytes and more are not gathered, but read alone.
	largeBytes = 64 << 10
	// gapBytes between two pieces are read and dropped rather than cost a
	// second read.
	gapBytes = 16 << 10
	// blockBytes is the step in which a place that cannot be read is looked for.
	blockBytes = 4 << 10
)

// piece is a run of a file's content on the device. The content of an empty
// file is one piece without bytes.
type piece struct {
	id          uint32
	first, last bool // of the file
	off, n      int64
}

// send streams the files asked for in the order in which they begin on the
// device. Pieces that lie together are read together; no byte is read twice,
// but where the device fails.
func (s *server) send() {
	order := s.asked
	s.asked = nil
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(start(s.entry(a)), start(s.entry(b))), cmp.Compare(a, b))
	})
	out := sender{server: s}
	for _, id := range order {
		x := s.entry(id).Extents
		if len(x) == 0 {
			out.add(piece{id: id, first: true, last: true, off: volume.Zeros})
		}
		for i := range x {
			out.add(piece{id: id, first: i == 0, last: i == len(x)-1, off: x[i].Off, n: x[i].Len})
		}
		if s.out.err != nil {
			return
		}
	}
	out.readSpan()
	s.out.message(wire.TypeDone, nil)
}

// start returns where an entry begins on the device, -1 for an empty one.
func start(e *volume.Entry) int64 {
	if len(e.Extents) == 0 {
		return -1
	}
	return e.Extents[0].Off
}

// sender turns pieces into frames.
type sender struct {
	*server
	batch      []piece // small pieces that wait to be read together
	from, upto int64   // the span of the device they cover; empty when equal
	failed     bool    // the file at hand has ended in a finding
}

// add takes the next piece in the order of the stream.
func (s *sender) add(p piece) {
	switch {
	case p.n > largeBytes:
		s.readSpan()
		s.begin(p)
		if !s.failed {
			s.copyOut(p)
		}
		s.finish(p)
	case p.off < 0 || p.n == 0: // nothing to be read
		s.batch = append(s.batch, p)
	default:
		if s.upto > s.from && (p.off < s.upto || p.off-s.upto > gapBytes || p.off+p.n-s.from > spanBytes) {
			s.readSpan()
		}
		if s.upto == s.from {
			s.from = p.off
		}
		s.upto = p.off + p.n
		s.batch = append(s.batch, p)
	}
	if len(s.batch) >= 4096 {
		s.readSpan()
	}
}

// readSpan reads what the waiting pieces cover and sends them. When the span
// cannot be read, each piece is read alone, so that only the files that lie on
// the bad place suffer.
func (s *sender) readSpan() {
	whole := false
	var at uint32 // of the span in the slot
	if n := int(s.upto - s.from); n > 0 {
		span, off, err := s.ring.reserve(n)
		if err != nil {
			return
		}
		got, _ := s.dev.ReadAt(span, s.from)
		whole, at = got == n, off
	}
	for _, p := range s.batch {
		s.begin(p)
		switch {
		case s.failed || p.n == 0:
		case whole && p.off >= 0:
			s.ring.data(at+uint32(p.off-s.from), int(p.n))
		default:
			s.copyOut(p)
		}
		s.finish(p)
	}
	s.batch, s.from, s.upto = s.batch[:0], 0, 0
}

// begin opens the file of its first piece.
func (s *sender) begin(p piece) {
	if p.first {
		s.failed = false
		wire.PutID(s.out.frame(wire.TypeFile, 4), p.id)
	}
}

// finish closes the file of its last piece, unless it has ended before.
func (s *sender) finish(p piece) {
	if !p.last || s.failed {
		return
	}
	if problem := s.entry(p.id).Problem; problem != nil {
		s.fail(problem)
	} else {
		s.out.message(wire.TypeEnd, nil)
	}
}

func (s *sender) fail(f *verdict.Finding) {
	s.failed = true
	s.out.message(wire.TypeFail, wire.AppendFinding(nil, f))
}

// copyOut reads a piece into slots and tells of it.
func (s *sender) copyOut(p piece) {
	for p.n > 0 && s.out.err == nil {
		n := int(min(p.n, wire.SlotBytes))
		if left := s.ring.left(); left >= largeBytes && left < n {
			n = left
		}
		dst, at, err := s.ring.reserve(n)
		if err != nil {
			return
		}
		got := n
		if p.off < 0 {
			clear(dst)
		} else if got, err = s.dev.ReadAt(dst, p.off); got < n {
			got, err = s.salvage(dst, p.off)
		}
		if got > 0 {
			s.ring.data(at, got)
		}
		if got < n {
			s.fail(unread(err, p.off+int64(got)))
			return
		}
		p.n -= int64(n)
		if p.off >= 0 {
			p.off += int64(n)
		}
	}
}

// salvage reads again in small steps, up to the first place that does not
// answer: a large read fails as a whole.
func (s *sender) salvage(dst []byte, off int64) (int, error) {
	done := 0
	for done < len(dst) {
		n := int(min(int64(len(dst)-done), blockBytes-(off+int64(done))%blockBytes))
		got, err := s.dev.ReadAt(dst[done:done+n], off+int64(done))
		done += got
		if got < n {
			return done, err
		}
	}
	return done, nil
}

// unread says why the device gave no byte at off.
func unread(err error, off int64) *verdict.Finding {
	where := fmt.Sprintf("content of the file, byte %d of the medium", off)
	switch {
	case errors.Is(err, io.EOF):
		return verdict.New(verdict.Truncated, where, "the medium ends there")
	case errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOMEDIUM) || errors.Is(err, unix.ESHUTDOWN):
		return verdict.New(verdict.RemovedDuringRead, where, "%s", err.Error())
	case err != nil:
		return verdict.New(verdict.Unreadable, where, "%s", err.Error())
	}
	return verdict.New(verdict.Unreadable, where, "the device gave fewer bytes than it was asked for")
}
