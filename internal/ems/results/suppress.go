package results

import (
	"errors"
	"fmt"
	"slices"
)

// ErrExposed means that counts are so few, and stand so alone, that nothing can
// be withheld around them without withholding the total.
var ErrExposed = errors.New("counts cannot be withheld")

// Suppress returns results for publication in which every count of a unit and a
// way of voting that comes from fewer than min ballots, but more than none, is
// withheld, and so is a unit's or a way of voting's total of so few ballots.
// More cells are withheld with it, those of few ballots first, until no withheld
// count follows from the published ones: whatever is shown of the table of units
// and ways of voting, with its sums, more than one table fits it. The total of
// each contest and of all ballots stays as it is.
//
// It refuses (ErrExposed) a contest whose ballots are all in one unit and one
// way of voting and are fewer than min, lines that are withheld already, and
// lines that report votes only: their ballots are not known.
func Suppress(r *Results, min int64) (*Results, error) {
	if min < 2 {
		return nil, fmt.Errorf("cannot withhold small counts: fewer than %d ballots is no limit", min)
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	out := *r
	out.Units = slices.Clone(r.Units)
	out.Contests = slices.Clone(r.Contests)
	if err := out.suppressBallots(min); err != nil {
		return nil, err
	}
	for i := range out.Contests {
		if err := out.Contests[i].suppress(min); err != nil {
			return nil, err
		}
	}
	return &out, out.Check()
}

// suppress withholds counts of one contest, in lists of its own.
func (c *Contest) suppress(min int64) error {
	table := newGrid()
	var unfit string
	c.each(func(l *Line) {
		if l.Suppressed || l.Partial {
			unfit = l.UnitID
		}
		table.add(l.UnitID, l.Type, l.Ballots)
	})
	if unfit != "" || len(c.Sums) > 0 {
		return fmt.Errorf("%w: contest %q, unit %q: the source withholds counts, or does not say from how many ballots they are", ErrExposed, c.ID, unfit)
	}
	if !table.withhold(min) {
		return fmt.Errorf("%w: contest %q has fewer than %d ballots, all in one unit and one way of voting: publish it without them, or lower the limit", ErrExposed, c.ID, min)
	}
	if !table.any() {
		return nil
	}
	total, byUnit, byMethod := c.Total(), c.ByUnit(), c.ByMethod()
	c.Sums = []Line{total}
	for _, id := range table.rows.names {
		if table.rowTouched(id) {
			c.Sums = append(c.Sums, shown(byUnit[id], table.hidesRow(id)))
		}
	}
	for _, kind := range table.cols.names {
		if kind != undivided {
			c.Sums = append(c.Sums, shown(byMethod[kind], table.hidesColumn(kind)))
		}
	}
	c.Lines, c.Manual = table.cut(c.Lines), table.cut(c.Manual)
	return nil
}

// shown is a line as it is published.
func shown(l Line, hidden bool) Line {
	if !hidden {
		return l
	}
	return Line{UnitID: l.UnitID, Type: l.Type, Votes: make([]int64, len(l.Votes)), Suppressed: true}
}

// cut is the lines as they are published.
func (g *grid) cut(lines []Line) []Line {
	out := slices.Clone(lines)
	for i := range out {
		out[i] = shown(out[i], g.hides(out[i].UnitID, out[i].Type))
	}
	return out
}

// suppressBallots withholds numbers of ballots.
func (r *Results) suppressBallots(min int64) error {
	table := newGrid()
	for i := range r.Units {
		u := &r.Units[i]
		divided := len(u.Ballots) > 1
		for _, b := range u.Ballots {
			if b.Suppressed {
				return fmt.Errorf("%w: unit %q: the source withholds ballots already", ErrExposed, u.ID)
			}
			if !divided || b.Type != Total {
				table.add(u.ID, b.Type, b.Count)
			}
		}
	}
	if !table.withhold(min) {
		return fmt.Errorf("%w: the election has fewer than %d ballots, all in one unit and one way of voting", ErrExposed, min)
	}
	if !table.any() {
		return nil
	}
	sums := r.Ballots()
	r.BallotSums = []Ballots{sums[Total]}
	for _, kind := range table.cols.names {
		if kind != undivided {
			r.BallotSums = append(r.BallotSums, shownBallots(sums[kind], table.hidesColumn(kind)))
		}
	}
	for i := range r.Units {
		r.Units[i].suppress(table)
	}
	return nil
}

// suppress withholds ballots of one unit, in a list of its own.
func (u *Unit) suppress(table *grid) {
	if len(u.Ballots) == 0 || !table.rowTouched(u.ID) {
		return
	}
	whole := shownBallots(u.Total(), table.hidesRow(u.ID))
	if len(u.Ballots) == 1 && u.Ballots[0].Type == Total {
		u.Ballots = []Ballots{whole}
		return
	}
	list := slices.DeleteFunc(slices.Clone(u.Ballots), func(b Ballots) bool { return b.Type == Total })
	for i := range list {
		list[i] = shownBallots(list[i], table.hides(u.ID, list[i].Type))
	}
	u.Ballots = append(list, whole)
}

func shownBallots(b Ballots, hidden bool) Ballots {
	if hidden {
		return Ballots{Type: b.Type, Suppressed: true}
	}
	return b
}
