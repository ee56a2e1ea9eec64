package tally

import (
	"fmt"

	"sallyport/internal/ems/model"
)

// Counter counts the ballots of one election into dense arrays: one block of
// numbers for each precinct and contest, and four numbers for each batch and
// contest. Its memory does not grow with the number of ballots.
type Counter struct {
	def *model.Definition
	// block[c] is where contest c's numbers start within a precinct's array.
	block  []int
	width  int
	total  []int64
	byUnit [][]int64
	// cast counts ballots for each precinct.
	cast    []int64
	ballots int64
	batches map[int64][]batchLine

	votes  []int64 // scratch
	covers []int
}

// The numbers of a block before its options' votes.
const (
	slotBallots = iota
	slotOver
	slotUnder
	slotWriteIns
	slotUnresolved
	slotVotes
)

// batchLine is the account of one contest in one batch.
type batchLine struct{ ballots, votes, over, under int64 }

// NewCounter returns a counter at zero.
func NewCounter(d *model.Definition) *Counter {
	c := &Counter{def: d, block: make([]int, len(d.Contests)), byUnit: make([][]int64, len(d.Precincts)),
		cast: make([]int64, len(d.Precincts)), batches: map[int64][]batchLine{}}
	most := 0
	for i := range d.Contests {
		c.block[i] = c.width
		c.width += slotVotes + len(d.Contests[i].Options)
		most = max(most, len(d.Contests[i].Options))
	}
	c.total = make([]int64, c.width)
	for i := range c.byUnit {
		c.byUnit[i] = make([]int64, c.width)
	}
	c.votes = make([]int64, most)
	return c
}

// Add counts the current snapshot of one ballot, in the batch of the given number.
func (c *Counter) Add(b *model.Ballot, batch int64) error {
	lines := c.batches[batch]
	if lines == nil {
		lines = make([]batchLine, len(c.def.Contests))
		c.batches[batch] = lines
	}
	c.ballots++
	c.cast[b.Precinct]++
	marks := b.Snapshots[b.Current].Contests
	c.covers = c.def.Covers(b, c.covers)
	for _, n := range c.covers {
		contest := &c.def.Contests[n]
		votes := c.votes[:len(contest.Options)]
		clear(votes)
		out, err := contest.Count(find(marks, n), votes)
		if err != nil {
			return fmt.Errorf("cannot count ballot %q in contest %q: %w", b.ID, contest.ID, err)
		}
		c.book(c.total[c.block[n]:], votes, out)
		c.book(c.byUnit[b.Precinct][c.block[n]:], votes, out)
		l := &lines[n]
		l.ballots++
		l.over += int64(out.Overvotes)
		l.under += int64(out.Undervotes)
		for _, v := range votes {
			l.votes += v
		}
	}
	return nil
}

func find(marks []model.Marks, contest int) *model.Marks {
	for i := range marks {
		if marks[i].Contest == contest {
			return &marks[i]
		}
	}
	return nil
}

func (c *Counter) book(block, votes []int64, out model.Outcome) {
	block[slotBallots]++
	block[slotOver] += int64(out.Overvotes)
	block[slotUnder] += int64(out.Undervotes)
	block[slotWriteIns] += int64(out.WriteIns)
	block[slotUnresolved] += int64(out.Unresolved)
	for i, v := range votes {
		block[slotVotes+i] += v
	}
}

// Result returns the tally so far after it was checked: see [Tally.Check], and
// the same identity for each batch. The caller fills in whose tally it is.
func (c *Counter) Result() (*Tally, error) {
	t := &Tally{Ballots: c.ballots, Batches: int64(len(c.batches)), Precincts: []Precinct{}, Contests: []Contest{}}
	for i, p := range c.def.Precincts {
		t.Precincts = append(t.Precincts, Precinct{ID: p.ID, Name: p.Name, Ballots: c.cast[i]})
	}
	for n := range c.def.Contests {
		d := &c.def.Contests[n]
		r := Contest{ID: d.ID, Title: d.Name, VotesAllowed: int64(d.VotesAllowed), Precincts: []PrecinctCounts{},
			Total: counts(c.total[c.block[n]:], len(d.Options))}
		for _, o := range d.Options {
			r.Options = append(r.Options, Option{ID: o.ID, Name: o.Name, WriteIn: o.WriteIn})
		}
		for u := range c.def.Precincts {
			if c.bears(u, n) {
				r.Precincts = append(r.Precincts, PrecinctCounts{ID: c.def.Precincts[u].ID, Counts: counts(c.byUnit[u][c.block[n]:], len(d.Options))})
			}
		}
		t.Contests = append(t.Contests, r)
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return t, c.checkBatches()
}

// bears says whether some ballot style of a precinct has the contest.
func (c *Counter) bears(precinct, contest int) bool {
	for _, s := range c.def.Styles {
		for _, p := range s.Precincts {
			if p != precinct {
				continue
			}
			for _, n := range s.Contests {
				if n == contest {
					return true
				}
			}
		}
	}
	return false
}

func counts(block []int64, options int) Counts {
	return Counts{Ballots: block[slotBallots], Overvotes: block[slotOver], Undervotes: block[slotUnder],
		WriteIns: block[slotWriteIns], Unresolved: block[slotUnresolved],
		Votes: append([]int64{}, block[slotVotes:slotVotes+options]...)}
}

func (c *Counter) checkBatches() error {
	sums := make([]batchLine, len(c.def.Contests))
	for batch, lines := range c.batches {
		for n, l := range lines {
			if int64(c.def.Contests[n].VotesAllowed)*l.ballots != l.votes+l.under+l.over {
				return fmt.Errorf("%w: contest %q, batch %d", ErrUnbalanced, c.def.Contests[n].ID, batch)
			}
			s := &sums[n]
			s.ballots, s.votes, s.over, s.under = s.ballots+l.ballots, s.votes+l.votes, s.over+l.over, s.under+l.under
		}
	}
	for n, s := range sums {
		t := counts(c.total[c.block[n]:], len(c.def.Contests[n].Options))
		if s != (batchLine{t.Ballots, t.sum(), t.Overvotes, t.Undervotes}) {
			return fmt.Errorf("%w: contest %q: the batches do not add up to the total", ErrUnbalanced, c.def.Contests[n].ID)
		}
	}
	return nil
}
