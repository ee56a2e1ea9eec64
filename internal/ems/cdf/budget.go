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
