package rcv

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Overvote is the mark for a rank on which the record says "overvote" without
// saying which candidates. It stands alone on its rank.
const Overvote = -1

// Ballot is what one ballot, or Count equal ones, says in the contest.
type Ballot struct {
	// Ranks has the marks of rank 1, 2 …: none is a skipped rank, several are
	// an overvote. A mark is a candidate's place in the list of candidates,
	// counted from 0, or [Overvote].
	Ranks [][]int
	Count int64
}

// Budget bounds the memory of a [Collector]. The zero value is the default.
type Budget struct {
	Distinct int   // different ballots; default 4,000,000
	Bytes    int64 // their packed form; default 256 MiB
}

// Collector groups equal ballots, so that a round takes as long as there are
// different ballots.
type Collector struct {
	candidates int
	budget     Budget
	index      map[string]int
	all        Collection
	bytes      int64
	buf        []byte
	marks      []int
}

// Collection is a contest's ballots, grouped. It does not change.
type Collection struct {
	ballots    []group
	total      int64
	candidates int
	ranks      int  // the last rank with a mark
	unnamed    bool // an Overvote mark occurs
}

// group is a number of equal ballots.
type group struct {
	ranks string // packed; empty when nothing is marked
	count int64
}

// Total is the number of ballots.
func (c *Collection) Total() int64 { return c.total }

// Distinct is the number of different ballots.
func (c *Collection) Distinct() int { return len(c.ballots) }

// NewCollector makes a collector for ballots of a contest with the given
// number of candidates.
func NewCollector(candidates int, b Budget) (*Collector, error) {
	if candidates < 1 || candidates > MaxCandidates {
		return nil, fmt.Errorf("cannot collect ballots of %d candidates, only of 1 to %d", candidates, MaxCandidates)
	}
	if b.Distinct <= 0 {
		b.Distinct = 4_000_000
	}
	if b.Bytes <= 0 {
		b.Bytes = 256 << 20
	}
	return &Collector{candidates: candidates, budget: b, index: map[string]int{}, all: Collection{candidates: candidates}}, nil
}

// Add adds b.Count equal ballots. The error says which rank is wrong, and never
// what is marked on it. A ballot that was refused changes nothing.
func (c *Collector) Add(b Ballot) error {
	if b.Count < 1 || b.Count > MaxBallots-c.all.total {
		return fmt.Errorf("cannot add %d ballots to %d: the count must be at least 1, and the sum at most %d", b.Count, c.all.total, int64(MaxBallots))
	}
	ranks, unnamed, err := c.pack(b.Ranks)
	if err != nil {
		return err
	}
	i, ok := c.index[string(c.buf)]
	if !ok {
		if i, err = c.insert(); err != nil {
			return err
		}
	}
	c.all.ballots[i].count += b.Count
	c.all.total += b.Count
	c.all.ranks = max(c.all.ranks, ranks)
	c.all.unnamed = c.all.unnamed || unnamed
	return nil
}

func (c *Collector) insert() (int, error) {
	if len(c.all.ballots) >= c.budget.Distinct || c.bytes+int64(len(c.buf)) > c.budget.Bytes {
		return 0, fmt.Errorf("cannot add a ballot: there are already %d different ones of %d packed bytes, the budget is %d and %d", len(c.all.ballots), c.bytes, c.budget.Distinct, c.budget.Bytes)
	}
	s := string(c.buf)
	i := len(c.all.ballots)
	c.index[s] = i
	c.all.ballots = append(c.all.ballots, group{ranks: s})
	c.bytes += int64(len(s))
	return i, nil
}

// Collection returns what was added up to now.
func (c *Collector) Collection() *Collection {
	all := c.all
	all.ballots = slices.Clone(all.ballots)
	return &all
}

// The packed form: for each rank a number, 0 skipped, 1 an overvote whose
// count of marks and sorted marks follow, 2 an overvote without names, 3+n the
// candidate n. Skipped ranks at the end are left out. Equal ballots have equal
// forms.
const (
	packSkipped = iota
	packOvervote
	packUnnamed
	packFirst
)

// pack fills c.buf and returns the last rank with a mark.
func (c *Collector) pack(ranks [][]int) (last int, unnamed bool, err error) {
	c.buf = c.buf[:0]
	for last = len(ranks); last > 0 && len(ranks[last-1]) == 0; last-- {
	}
	if last > MaxRanks {
		return 0, false, fmt.Errorf("the ballot has marks on rank %d, at most %d are supported", last, MaxRanks)
	}
	for i, marks := range ranks[:last] {
		if err := c.check(i+1, marks); err != nil {
			return 0, false, err
		}
		switch {
		case len(marks) == 0:
			c.put(packSkipped)
		case len(marks) > 1:
			c.put(packOvervote)
			c.put(len(marks))
			for _, m := range c.marks {
				c.put(m)
			}
		case marks[0] == Overvote:
			unnamed = true
			c.put(packUnnamed)
		default:
			c.put(packFirst + marks[0])
		}
	}
	return last, unnamed, nil
}

func (c *Collector) put(n int) { c.buf = binary.AppendUvarint(c.buf, uint64(n)) }

// check checks the marks of one rank and, of an overvote, sorts them into
// c.marks.
func (c *Collector) check(rank int, marks []int) error {
	if len(marks) > c.candidates {
		return fmt.Errorf("rank %d has more marks than there are candidates", rank)
	}
	for _, m := range marks {
		if m == Overvote && len(marks) > 1 {
			return fmt.Errorf("rank %d has a mark for an overvote without names beside other marks", rank)
		}
		if m != Overvote && (m < 0 || m >= c.candidates) {
			return fmt.Errorf("rank %d has a mark for a candidate that does not exist; candidates count from 0 to %d", rank, c.candidates-1)
		}
	}
	if len(marks) < 2 {
		return nil
	}
	c.marks = append(c.marks[:0], marks...)
	slices.Sort(c.marks)
	for i, m := range c.marks[1:] {
		if m == c.marks[i] {
			return fmt.Errorf("rank %d has two marks for the same candidate", rank)
		}
	}
	return nil
}

// walk steps through the ranks of a packed ballot that bear marks.
type walk struct {
	rest  string
	rank  int
	marks []int
}

// next moves to the next rank that is not skipped.
func (w *walk) next() bool {
	for len(w.rest) > 0 {
		w.rank++
		switch n := w.take(); n {
		case packSkipped:
		case packOvervote:
			w.marks = w.marks[:0]
			for range w.take() {
				w.marks = append(w.marks, w.take())
			}
			return true
		case packUnnamed:
			w.marks = append(w.marks[:0], Overvote)
			return true
		default:
			w.marks = append(w.marks[:0], n-packFirst)
			return true
		}
	}
	return false
}

func (w *walk) take() int {
	if n := w.rest[0]; n < 0x80 {
		w.rest = w.rest[1:]
		return int(n)
	}
	// Numbers are below MaxCandidates+packFirst: two bytes.
	n := int(w.rest[0]&0x7f) | int(w.rest[1])<<7
	w.rest = w.rest[2:]
	return n
}

// fits checks ballots against the rules and candidates they are counted by.
func (c *Collection) fits(r *Rules, candidates int) error {
	limit := math.MaxInt
	if r.MaxRanks != 0 {
		limit = r.MaxRanks
	}
	switch {
	case c == nil:
		return fmt.Errorf("there is no collection of ballots")
	case c.candidates != candidates:
		return fmt.Errorf("the ballots were collected for %d candidates, the contest has %d", c.candidates, candidates)
	case c.ranks > limit:
		return fmt.Errorf("a ballot has marks on rank %d, the rules allow %d ranks", c.ranks, limit)
	case c.unnamed && r.Overvote == ExhaustIfMultipleContinuing:
		return fmt.Errorf("the overvote rule %q needs the names of overvoted candidates, and ballots have overvotes without names", r.Overvote)
	case c.unnamed && r.Overvote == AlwaysSkipToNextRank && r.ExhaustOnDuplicate:
		return fmt.Errorf("exhausting on duplicate candidates together with the overvote rule %q needs the names of overvoted candidates, and ballots have overvotes without names", r.Overvote)
	}
	return nil
}
