package child

import (
	"cmp"
	"slices"
	"time"

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
	// A read takes as many bytes as come soon: the parent hears of none before
	// all of them came, and takes a long silence for the end of the medium.
	firstBytes, leastBytes = 256 << 10, 64 << 10
	soon, late             = 100 * time.Millisecond, 2 * time.Second
)

// piece is a run of a file's content on the device. The content of an empty
// file is one piece without bytes.
type piece struct {
	id          uint32
	first, last bool // of the file
	off, n      int64
}

// send streams the files asked for in the order in which they begin on the
// device. Pieces that lie together are read together, and no block is read
// twice, with three exceptions: small gaps between the pieces of one file, which
// are dropped and read again for the file that they belong to; a block that
// files share which do not follow each other in that order (no file system that
// is read here puts two files in one block of the device, but for contents that
// stand inside its structures); and the place where the device fails.
func (s *server) send() {
	order := s.asked
	s.asked = nil
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(start(s.entry(a)), start(s.entry(b))), cmp.Compare(a, b))
	})
	out := sender{server: s, most: firstBytes}
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
	most       int64   // bytes of one read, for now
	tail       []byte  // the last block that was read; the next file may begin in it
	tailAt     int64
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
		if s.upto > s.from && (p.off < s.upto || p.off-s.upto > gapBytes || p.off+p.n-s.from > min(spanBytes, s.most)) {
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

// readSpan reads what the waiting pieces cover and sends them. When not all of
// the span can be read, each piece behind the bad place is read alone, so that
// only the files that lie on it suffer.
func (s *sender) readSpan() {
	var at uint32   // of the span in the slot
	var from int64  // of the span on the device
	var until int64 // what came of it
	if s.upto > s.from {
		from = s.dev.down(s.from)
		span, off, err := s.ring.reserve(int(s.dev.up(s.upto) - from))
		if err != nil {
			return
		}
		got, _ := s.read(span, from)
		at, until = off, from+int64(got)
	}
	for _, p := range s.batch {
		s.begin(p)
		switch {
		case s.failed || p.n == 0:
		case p.off >= 0 && p.off+p.n <= until:
			s.ring.data(at+uint32(p.off-from), int(p.n))
		default:
			s.copyOut(p)
		}
		s.finish(p)
	}
	s.batch, s.from, s.upto = s.batch[:0], 0, 0
	s.out.tell()
}

// read fills dst with whole blocks from off on; see [blocks.fill]. The block
// that was read last comes from memory.
func (s *sender) read(dst []byte, off int64) (int, error) {
	kept := 0
	if s.tailAt == off {
		kept = copy(dst, s.tail)
	}
	began := time.Now()
	n, err := s.dev.fill(dst[kept:], off+int64(kept))
	n += kept
	switch took := time.Since(began); {
	case took > late:
		s.most = leastBytes
	case took < soon:
		s.most = min(2*s.most, wire.SlotBytes)
	}
	if align := int(s.dev.align); align > 1 && n == len(dst) && n >= align {
		s.tail = append(s.tail[:0], dst[n-align:]...)
		s.tailAt = off + int64(n-align)
	}
	return n, err
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
	s.out.tell()
}

// copyOut reads a piece into slots and tells of it.
func (s *sender) copyOut(p piece) {
	for p.n > 0 && s.out.err == nil {
		var lead int64 // bytes of the piece's first block that are not its own
		n := min(p.n, wire.SlotBytes)
		if p.off >= 0 {
			lead = p.off - s.dev.down(p.off)
			n = min(s.dev.up(p.off+p.n)-(p.off-lead), s.most)
		}
		if left := int64(s.ring.left()); left >= largeBytes && left < n {
			n = s.dev.down(left)
		}
		dst, at, err := s.ring.reserve(int(n))
		if err != nil {
			return
		}
		want := min(p.n, n-lead)
		have := want
		if p.off < 0 {
			clear(dst)
		} else {
			var got int
			got, err = s.read(dst, p.off-lead)
			have = max(0, min(want, int64(got)-lead))
		}
		if have > 0 {
			s.ring.data(at+uint32(lead), int(have))
		}
		if have < want {
			s.fail(unread(err, p.off+have))
			return
		}
		p.n -= have
		if p.off >= 0 {
			p.off += have
		}
		s.out.tell()
	}
}
