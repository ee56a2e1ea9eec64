package rla

import (
	"fmt"
	"io"
)

// budget stops a file before one of its rows fills the memory.
type budget struct {
	file  string
	r     io.Reader
	read  int64
	limit int64
}

// allow begins a new row.
func (b *budget) allow() { b.limit = b.read + maxRecord }

func (b *budget) Read(p []byte) (int, error) {
	if b.limit == 0 {
		b.allow() // the byte order mark comes before the first row
	}
	switch {
	case b.read >= maxFile:
		return 0, b.over("the file has more than %d MiB", maxFile>>20)
	case b.read >= b.limit:
		return 0, b.over("one row has more than %d MiB", maxRecord>>20)
	}
	if most := min(b.limit, maxFile) - b.read; int64(len(p)) > most {
		p = p[:most]
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}

func (b *budget) over(detail string, most int) error {
	return &Problem{File: b.file, Rule: RuleLimit, Detail: fmt.Sprintf(detail, most)}
}
