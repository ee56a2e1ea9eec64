package clarity

import (
	"fmt"
	"io"
)

// budget stops a file before one of its tags or texts fills the memory.
type budget struct {
	r     io.Reader
	read  int64
	limit int64
}

type overBudget struct{ what string }

func (o *overBudget) Error() string { return o.what }

// allow begins a new token.
func (b *budget) allow() { b.limit = b.read + maxToken }

func (b *budget) Read(p []byte) (int, error) {
	switch {
	case b.read >= maxFile:
		return 0, &overBudget{fmt.Sprintf("the file has more than %d MiB", maxFile>>20)}
	case b.read >= b.limit:
		return 0, &overBudget{fmt.Sprintf("one part of the file has more than %d MiB", maxToken>>20)}
	}
	if most := min(b.limit, maxFile) - b.read; int64(len(p)) > most {
		p = p[:most]
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}
