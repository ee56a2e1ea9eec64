package tally

import (
	"errors"
	"fmt"

	"sallyport/internal/ems/model"
)

// Batch is the batch of a ballot: its number, and how the ballots in it were cast.
type Batch struct {
	No     int64
	Method string // "" where nobody said
}

// Counter counts ballots into [Subtotals] of one election. Its memory does not
// grow with the number of ballots, but with precincts, styles and batches.
type Counter struct {
	def  *model.Definition
	rule *model.Rule
	subs *Subtotals
	// ranked collects the rankings of ranked contests, or is nil.
	ranked func(contest int, m *model.Marks)
}

// NewCounter returns a counter at zero.
func NewCounter(d *model.Definition) *Counter {
	return &Counter{def: d, rule: model.NewRule(d), subs: NewSubtotals(d)}
}

// Continue returns a counter that goes on with subtotals, which it changes.
func Continue(d *model.Definition, s *Subtotals) *Counter {
	return &Counter{def: d, rule: model.NewRule(d), subs: s}
}

// Rankings makes the counter call each for the marks of every ballot in every
// ranked contest.
func (c *Counter) Rankings(each func(contest int, m *model.Marks)) { c.ranked = each }

// Add counts the current snapshot of one ballot. A ballot that cannot be
// counted may have been counted in part: the counter is of no use then.
func (c *Counter) Add(b *model.Ballot, batch Batch) error { return c.book(b, batch, 1) }

// Remove takes a ballot out again that was counted, for one that takes its place.
func (c *Counter) Remove(b *model.Ballot, batch Batch) error { return c.book(b, batch, -1) }

func (c *Counter) book(b *model.Ballot, batch Batch, sign int64) error {
	cell := c.subs.cell(Cell{b.Precinct, batch.Method})
	style, lot := c.subs.style(b.Style), c.subs.batch(batch.No)
	cell[0] += sign
	style[0] += sign
	lot[0] += int32(sign)
	err := c.rule.Count(b, func(n int, votes []int64, out model.Outcome) error {
		at := c.subs.block[n]
		add(cell[at:], votes, out, sign)
		add(style[at:], votes, out, sign)
		add(lot[at:], votes, out, int32(sign))
		return nil
	})
	if err != nil {
		return c.named(b, err)
	}
	if c.ranked != nil {
		c.rankings(b)
	}
	return nil
}

func (c *Counter) named(b *model.Ballot, err error) error {
	var at *model.ContestError
	if errors.As(err, &at) {
		return fmt.Errorf("cannot count ballot %q in contest %q: %w", b.ID, c.def.Contests[at.Contest].ID, err)
	}
	return fmt.Errorf("cannot count ballot %q: %w", b.ID, err)
}

func (c *Counter) rankings(b *model.Ballot) {
	marks := b.Snapshots[b.Current].Contests
	for i := range marks {
		if c.def.Contests[marks[i].Contest].Ranks > 0 {
			c.ranked(marks[i].Contest, &marks[i])
		}
	}
}

// add books one contest of one ballot.
func add[N int32 | int64](block []N, votes []int64, out model.Outcome, sign N) {
	block[slotBallots] += sign
	block[slotOver] += sign * N(out.Overvotes)
	block[slotUnder] += sign * N(out.Undervotes)
	block[slotWriteIns] += sign * N(out.WriteIns)
	block[slotUnresolved] += sign * N(out.Unresolved)
	for i, v := range votes {
		block[slotVotes+i] += sign * N(v)
	}
}

// Subtotals returns what was counted so far; it is shared with the counter.
func (c *Counter) Subtotals() *Subtotals { return c.subs }

// Result returns the tally so far after it was checked: see [Subtotals.Tally].
func (c *Counter) Result() (*Tally, error) { return c.subs.Tally() }
