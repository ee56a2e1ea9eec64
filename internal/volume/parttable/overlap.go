package parttable

import (
	"cmp"
	"slices"
)

// span is a part of the medium that belongs to one thing alone: a partition, or
// a structure of the table. Inner ones stand inside the extended partition.
type span struct {
	what     string
	off, end int64
	inner    bool
}

// span notes size bytes at off, which come from numbers that were checked.
func (r *reader) span(what string, off, size int64, inner bool) {
	if size > 0 {
		r.spans = append(r.spans, span{what, off, off + size, inner})
	}
}

// overlaps notes the first two spans that share bytes, of those inside the
// extended partition and of all others.
func (r *reader) overlaps() {
	for _, inner := range []bool{false, true} {
		list := slices.DeleteFunc(slices.Clone(r.spans), func(s span) bool { return s.inner != inner })
		slices.SortStableFunc(list, func(a, b span) int { return cmp.Compare(a.off, b.off) })
		for i, last := 1, 0; i < len(list); i++ {
			a, b := list[last], list[i]
			if a.end > b.off {
				r.problem("partition table", "%s (bytes %d to %d) and %s (bytes %d to %d) overlap: what is written to one of them changes the other",
					a.what, a.off, a.end, b.what, b.off, b.end)
				break
			}
			last = i // without an overlap so far, the last one reaches furthest
		}
	}
}
