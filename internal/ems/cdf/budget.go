package cdf

import (
	"io"

	"sallyport/internal/verdict"
)

// The most bytes that may stand between two places where memory is free again.
const (
	maxRecord = 4 << 20  // one cast vote record with its images
	maxHeader = 16 << 20 // one member of the document's root that is not streamed
	maxBuffer = 1 << 20  // what the decoder may have read ahead
)

// budget stops a document before one of its parts fills the memory: the
// decoder holds at most what lies between the last place allowed and here.
type budget struct {
	file  string
	r     io.Reader
	read  int64
	limit int64
	whole bool // the limit is that of a document that is kept whole
}

func newBudget(file string, r io.Reader) *budget {
	return &budget{file: file, r: r, limit: maxHeader + maxBuffer}
}

// allow moves the limit to a byte offset in the document.
func (b *budget) allow(offset int64) {
	if !b.whole {
		b.limit = offset + maxBuffer
	}
}

func (b *budget) Read(p []byte) (int, error) {
	if b.read >= b.limit {
		return b.over()
	}
	if most := b.limit - b.read; int64(len(p)) > most {
		p = p[:most]
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}

func (b *budget) over() (int, error) {
	if b.whole {
		var one [1]byte // a document of exactly the limit ends here
		if n, err := b.r.Read(one[:]); n == 0 && err != nil {
			return 0, err
		}
		return 0, verdict.New(verdict.OverLimit, b.file, "the document is too large: one that is read whole may have %d MiB", b.limit>>20)
	}
	return 0, verdict.New(verdict.OverLimit, b.file, "one part of the document is too large: a cast vote record may have %d MiB, anything else %d MiB", maxRecord>>20, maxHeader>>20)
}

// maxTag is the most bytes of one tag of XML: the decoder keeps all attributes
// of a tag before anybody can count them.
const maxTag = 64 << 10

// tagLimit stops a document of XML at a tag that is too long. It counts the
// bytes behind each '<' up to the next '>'; comments, declarations and CDATA
// sections, which begin with '<!', are left to the budget.
type tagLimit struct {
	file string
	r    io.Reader
	in   int // 0: not in a tag; otherwise the bytes of it so far
	skip bool
}

func (t *tagLimit) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	for _, c := range p[:n] {
		switch {
		case c == '<':
			t.in, t.skip = 1, false
		case c == '>' || t.in == 0:
			t.in = 0
		case t.in == 1 && c == '!':
			t.skip = true
			t.in++
		default:
			t.in++
		}
		if t.in > maxTag && !t.skip {
			return 0, verdict.New(verdict.OverLimit, t.file, "a tag of the document is too long: it may have %d KiB", maxTag>>10)
		}
	}
	return n, err
}
