package tally

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"sallyport/internal/ems/model"
)

// Cell is a precinct (or split) and a voting method.
type Cell struct {
	Precinct int
	Method   string
}

// Subtotals are the counts of one election three times over: by precinct and
// voting method, by ballot style, and by batch. Each is counted by itself, so
// that they check each other; every other breakdown is a sum of these.
//
// A block is one row: the number of ballots, then for each contest its slots.
type Subtotals struct {
	def     *model.Definition
	block   []int // where a contest's numbers begin in a block
	width   int
	cells   map[Cell][]int64
	styles  map[int][]int64
	batches map[int64][]int32

	// The row that was asked for last: ballots of one batch come together.
	lastCell  Cell
	cellBlock []int64
	lastBatch int64
	lot       []int32
}

// The numbers of a contest before its options' votes.
const (
	slotBallots = iota
	slotOver
	slotUnder
	slotWriteIns
	slotUnresolved
	slotVotes
)

// NewSubtotals returns subtotals that are all zero.
func NewSubtotals(d *model.Definition) *Subtotals {
	s := &Subtotals{def: d, block: make([]int, len(d.Contests)), width: 1,
		cells: map[Cell][]int64{}, styles: map[int][]int64{}, batches: map[int64][]int32{}}
	for i := range d.Contests {
		s.block[i] = s.width
		s.width += slotVotes + len(d.Contests[i].Options)
	}
	return s
}

func (s *Subtotals) cell(c Cell) []int64 {
	if s.cellBlock == nil || s.lastCell != c {
		s.lastCell, s.cellBlock = c, row(s.cells, c, s.width)
	}
	return s.cellBlock
}

func (s *Subtotals) style(n int) []int64 { return row(s.styles, n, s.width) }

func (s *Subtotals) batch(no int64) []int32 {
	if s.lot == nil || s.lastBatch != no {
		s.lastBatch, s.lot = no, row(s.batches, no, s.width)
	}
	return s.lot
}

func row[K comparable, N int32 | int64](rows map[K][]N, k K, width int) []N {
	r := rows[k]
	if r == nil {
		r = make([]N, width)
		rows[k] = r
	}
	return r
}

// Merge adds the counts of o, which is of the same definition; batch gives the
// numbers of o's batches in s, or is nil where they are the same.
func (s *Subtotals) Merge(o *Subtotals, batch func(int64) int64) {
	for c, r := range o.cells {
		plus(row(s.cells, c, s.width), r)
	}
	for n, r := range o.styles {
		plus(row(s.styles, n, s.width), r)
	}
	for no, r := range o.batches {
		if batch != nil {
			no = batch(no)
		}
		plus(row(s.batches, no, s.width), r)
	}
}

func plus[N int32 | int64](into, from []N) {
	for i, v := range from {
		into[i] += v
	}
}

// Batches returns the numbers of the batches that have ballots, sorted.
func (s *Subtotals) Batches() []int64 { return slices.Sorted(used(s.batches)) }

// used is the keys of the rows that are not all zero: a package of ballots that
// were known leaves batches without any.
func used[K comparable, N int32 | int64](rows map[K][]N) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k, r := range rows {
			if !zero(r) && !yield(k) {
				return
			}
		}
	}
}

// Cells returns the cells that have ballots, sorted.
func (s *Subtotals) Cells() []Cell {
	return slices.SortedFunc(used(s.cells), func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Precinct, b.Precinct), cmp.Compare(a.Method, b.Method))
	})
}

// Styles returns the numbers of the styles that have ballots, sorted.
func (s *Subtotals) Styles() []int { return slices.Sorted(used(s.styles)) }

// Methods returns the voting methods that have ballots, sorted.
func (s *Subtotals) Methods() []string {
	seen := map[string]bool{}
	for c := range used(s.cells) {
		seen[c.Method] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Equal returns an error that says in which row s and o differ, or nil.
func (s *Subtotals) Equal(o *Subtotals) error {
	if err := sameRows(s.cells, o.cells, func(c Cell) string {
		return fmt.Sprintf("precinct %q, voting method %q", s.def.Precincts[c.Precinct].ID, c.Method)
	}); err != nil {
		return err
	}
	if err := sameRows(s.styles, o.styles, func(n int) string { return fmt.Sprintf("ballot style %d", n) }); err != nil {
		return err
	}
	return sameRows(s.batches, o.batches, func(n int64) string { return fmt.Sprintf("batch %d", n) })
}

// sameRows compares rows; one that is all zero is the same as none.
func sameRows[K comparable, N int32 | int64](a, b map[K][]N, name func(K) string) error {
	for k, r := range a {
		if !slices.Equal(r, b[k]) && !(b[k] == nil && zero(r)) {
			return fmt.Errorf("the counts of %s are not the same", name(k))
		}
	}
	for k, r := range b {
		if a[k] == nil && !zero(r) {
			return fmt.Errorf("the counts of %s are not the same", name(k))
		}
	}
	return nil
}

func zero[N int32 | int64](r []N) bool {
	return !slices.ContainsFunc(r, func(v N) bool { return v != 0 })
}

// total adds rows up.
func total[K comparable, N int32 | int64](rows map[K][]N, width int) []int64 {
	out := make([]int64, width)
	for _, r := range rows {
		for i, v := range r {
			out[i] += int64(v)
		}
	}
	return out
}
