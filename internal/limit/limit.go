// Package limit holds the budgets under which foreign bytes are read: bytes,
// entries, depth, name and path length, and time. A parser takes from a
// [Budget] before it allocates, loops or recurses; what is over the budget is
// an [Exceeded], never a truncated result. It knows nothing of what is parsed.
package limit

import (
	"fmt"
	"time"
)

// Limits is one documented table of ceilings. The zero value allows nothing.
type Limits struct {
	Entries   int64         // directory entries of one medium, files and folders together
	FileBytes int64         // bytes of one file
	Bytes     int64         // bytes of one medium's files together
	Depth     int           // folders below each other
	NameBytes int           // bytes of one name, as UTF-8
	PathBytes int           // bytes of one path, as UTF-8
	MetaBytes int64         // bytes of file-system structures read from one medium
	Stall     time.Duration // longest wait for the next byte of a medium
	Total     time.Duration // longest time over one medium
	MinRate   int64         // bytes a second that a medium gives at least, over each minute of waiting for it
}

// Default returns the limits of design section 4 with room for the file
// system's own structures.
func Default() Limits {
	return Limits{
		Entries:   200_000,
		FileBytes: 64 << 30,
		Bytes:     256 << 30,
		Depth:     32,
		NameBytes: 1024,
		PathBytes: 4096,
		MetaBytes: 4 << 30,
		Stall:     30 * time.Second,
		Total:     6 * time.Hour,
		// An optical drive that looks for every folder gives 20 KiB a second, any
		// stick more than that.
		MinRate: 16 << 10,
	}
}

// Exceeded says which limit was passed.
type Exceeded struct {
	What  string // the limit's name in plain words
	Limit int64
	Asked int64
}

func (e *Exceeded) Error() string {
	return fmt.Sprintf("over the limit of %d %s (asked for %d)", e.Limit, e.What, e.Asked)
}

// Check returns an [Exceeded] when asked is negative or over most.
func Check(what string, asked, most int64) error {
	if asked < 0 || asked > most {
		return &Exceeded{What: what, Limit: most, Asked: asked}
	}
	return nil
}

// Budget is what is left of one ceiling. It is not safe for concurrent use.
type Budget struct {
	what string
	most int64
	used int64
}

// NewBudget returns a budget of most units of what.
func NewBudget(what string, most int64) *Budget { return &Budget{what: what, most: most} }

// Take uses n units, or returns an [Exceeded] and uses none.
func (b *Budget) Take(n int64) error {
	if n < 0 || n > b.most-b.used {
		asked := b.used + n
		if n < 0 || asked < 0 { // overflow, or a negative length from foreign bytes
			asked = n
		}
		return &Exceeded{What: b.what, Limit: b.most, Asked: asked}
	}
	b.used += n
	return nil
}

// Left returns the unused units.
func (b *Budget) Left() int64 { return b.most - b.used }
