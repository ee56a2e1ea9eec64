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
}

func newBudget(file string, r io.Reader) *budget {
	return &budget{file: file, r: r, limit: maxHeader + maxBuffer}
}

// allow moves the limit to a byte offset in the document.
func (b *budget) allow(offset int64) { b.limit = offset + maxBuffer }

func (b *budget) Read(p []byte) (int, error) {
	if b.read >= b.limit {
		return 0, verdict.New(verdict.OverLimit, b.file, "one part of the document is too large: a cast vote record may have %d MiB, anything else %d MiB", maxRecord>>20, maxHeader>>20)
	}
	if most := b.limit - b.read; int64(len(p)) > most {
		p = p[:most]
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}
