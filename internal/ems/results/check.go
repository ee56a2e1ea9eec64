package results

import (
	"errors"
	"fmt"
	"slices"
)

// ErrContradiction means that results contradict themselves: they are never shown.
var ErrContradiction = errors.New("the results contradict themselves")

// Bounds within which no sum can overflow: 2^40 ballots in each of 2^22 lines.
const (
	MaxCount        = 1 << 40
	MaxLines        = 1 << 22 // of one contest
	MaxVotesAllowed = 1 << 20
)

func contradiction(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrContradiction}, args...)...)
}

// Check checks that results do not contradict themselves: what they refer to is
// there, lines do not overlap, each line keeps the identity, and given sums are
// those of the lines as far as these are shown. Its time is linear. Errors wrap
// [ErrContradiction].
func (r *Results) Check() error {
	if !slices.Contains([]Status{PreElection, UnofficialPartial, UnofficialComplete, Certified, Correction, Recount}, r.Status) {
		return contradiction("the status %q is not one of SP 1500-100", r.Status)
	}
	units, err := r.checkUnits()
	if err != nil {
		return err
	}
	above, err := r.above()
	if err != nil {
		return err
	}
	parties := map[string]bool{}
	for _, p := range r.Parties {
		if p.ID == "" || parties[p.ID] {
			return contradiction("the party %q is there twice, or has no identifier", p.ID)
		}
		parties[p.ID] = true
	}
	contests := map[string]bool{}
	for i := range r.Contests {
		c := &r.Contests[i]
		if c.ID == "" || contests[c.ID] {
			return contradiction("the contest %q is there twice, or has no identifier", c.ID)
		}
		contests[c.ID] = true
		if err := c.check(units, parties); err != nil {
			return err
		}
		if err := c.overlap(above); err != nil {
			return err
		}
	}
	return nil
}

// checkUnits checks the units, and returns their identifiers.
func (r *Results) checkUnits() (map[string]bool, error) {
	units := make(map[string]bool, len(r.Units))
	for i := range r.Units {
		if id := r.Units[i].ID; id == "" || units[id] {
			return nil, contradiction("the unit %q is there twice, or has no identifier", id)
		}
		units[r.Units[i].ID] = true
	}
	if r.ScopeID != "" && !units[r.ScopeID] {
		return nil, contradiction("the unit %q, in which the election is held, is unknown", r.ScopeID)
	}
	for i := range r.Units {
		u := &r.Units[i]
		for _, id := range u.Within {
			if !units[id] {
				return nil, contradiction("unit %q is within %q, which is unknown", u.ID, id)
			}
		}
		if u.Registered != nil && (*u.Registered < 0 || *u.Registered > MaxCount) {
			return nil, contradiction("unit %q has an impossible number of voters", u.ID)
		}
		if err := checkBallots(u.Ballots, fmt.Sprintf("unit %q", u.ID)); err != nil {
			return nil, err
		}
	}
	if r.cyclic() {
		return nil, contradiction("a unit is within itself")
	}
	return units, checkBallots(r.BallotSums, "all units together")
}

// cyclic says whether some unit is within itself: units whose superiors are all
// taken away are taken away in turn, and some are left.
func (r *Results) cyclic() bool {
	below := map[string][]int{}
	open := make([]int, len(r.Units))
	var free []int
	for i := range r.Units {
		for _, id := range r.Units[i].Within {
			below[id] = append(below[id], i)
		}
		if open[i] = len(r.Units[i].Within); open[i] == 0 {
			free = append(free, i)
		}
	}
	gone := 0
	for len(free) > 0 {
		i := free[len(free)-1]
		free = free[:len(free)-1]
		gone++
		for _, k := range below[r.Units[i].ID] {
			if open[k]--; open[k] == 0 {
				free = append(free, k)
			}
		}
	}
	return gone < len(r.Units)
}

// maxAbove is the most pairs of a unit and one above it.
const maxAbove = 1 << 22

// above is all units above each unit, directly or not.
func (r *Results) above() (map[string][]string, error) {
	direct := make(map[string][]string, len(r.Units))
	for i := range r.Units {
		direct[r.Units[i].ID] = r.Units[i].Within
	}
	above := make(map[string][]string, len(r.Units))
	pairs := 0
	for i := range r.Units {
		id := r.Units[i].ID
		var all []string
		seen := map[string]bool{}
		next := slices.Clone(direct[id])
		for len(next) > 0 {
			up := next[len(next)-1]
			next = next[:len(next)-1]
			if pairs++; pairs > maxAbove {
				return nil, contradiction("the units are within each other more often than %d times", maxAbove)
			}
			if !seen[up] {
				seen[up] = true
				all = append(all, up)
				next = append(next, direct[up]...)
			}
		}
		above[id] = all
	}
	return above, nil
}

// overlap checks that no line is of a unit above that of another line: votes
// would be counted twice.
func (c *Contest) overlap(above map[string][]string) error {
	has := make(map[string]bool, len(c.Lines))
	c.each(func(l *Line) { has[l.UnitID] = true })
	for id := range has {
		for _, up := range above[id] {
			if has[up] {
				return contradiction("contest %q: the unit %q with lines is within %q, which has lines too", c.ID, id, up)
			}
		}
	}
	return nil
}

// checkBallots: a total beside parts is their sum, unless some are withheld.
func checkBallots(list []Ballots, where string) error {
	var parts int64
	total, hidden := int64(-1), false
	for i, b := range list {
		if b.Type == "" || b.Count < 0 || b.Count > MaxCount || slices.ContainsFunc(list[:i], func(x Ballots) bool { return x.Type == b.Type }) {
			return contradiction("%s: the number of ballots %q is impossible, or there twice", where, b.Type)
		}
		hidden = hidden || b.Suppressed
		if b.Type == Total {
			total = b.Count
		} else {
			parts += b.Count
		}
	}
	if total >= 0 && len(list) > 1 && !hidden && parts != total {
		return contradiction("%s: %d ballots in all, and %d by way of voting", where, total, parts)
	}
	return nil
}

// check checks one contest.
func (c *Contest) check(units, parties map[string]bool) error {
	if c.DistrictID != "" && !units[c.DistrictID] {
		return contradiction("contest %q: its district %q is unknown", c.ID, c.DistrictID)
	}
	if c.VotesAllowed < 1 || c.VotesAllowed > MaxVotesAllowed || c.Elected < 0 || len(c.Lines)+len(c.Manual) > MaxLines {
		return contradiction("contest %q: %d votes allowed and %d to be elected in %d lines are not possible", c.ID, c.VotesAllowed, c.Elected, len(c.Lines)+len(c.Manual))
	}
	if c.PrimaryParty != "" && !parties[c.PrimaryParty] {
		return contradiction("contest %q: the party %q is unknown", c.ID, c.PrimaryParty)
	}
	if err := c.checkOptions(parties); err != nil {
		return err
	}
	if err := c.checkLines(units); err != nil {
		return err
	}
	return c.checkParts(units)
}

func (c *Contest) checkOptions(parties map[string]bool) error {
	seen := make(map[string]bool, len(c.Options))
	for i := range c.Options {
		o := &c.Options[i]
		if o.ID == "" || seen[o.ID] {
			return contradiction("contest %q: the option %q is there twice, or has no identifier", c.ID, o.ID)
		}
		seen[o.ID] = true
		for _, p := range o.Parties {
			if !parties[p] {
				return contradiction("contest %q, option %q: the party %q is unknown", c.ID, o.ID, p)
			}
		}
	}
	return nil
}

// checkLines: each line is of a known unit, none is there twice, and a total
// does not stand beside its parts.
func (c *Contest) checkLines(units map[string]bool) error {
	type key struct{ unit, kind string }
	seen := make(map[key]bool, len(c.Lines))
	divided := make(map[string]bool) // by unit: whether it has parts
	for j := range c.Lines {
		l := &c.Lines[j]
		part, there := divided[l.UnitID]
		switch {
		case l.Type == "":
			return contradiction("contest %q, unit %q: a line without way of voting", c.ID, l.UnitID)
		case seen[key{l.UnitID, l.Type}]:
			return contradiction("contest %q: two lines of unit %q and type %q", c.ID, l.UnitID, l.Type)
		case there && part != (l.Type != Total):
			return contradiction("contest %q, unit %q: a total beside its parts", c.ID, l.UnitID)
		}
		seen[key{l.UnitID, l.Type}] = true
		divided[l.UnitID] = l.Type != Total
		if err := c.checkLine(l, units); err != nil {
			return err
		}
	}
	for j := range c.Manual {
		if c.Manual[j].Type == "" {
			return contradiction("contest %q, unit %q: a manual tally without way of voting", c.ID, c.Manual[j].UnitID)
		}
		if err := c.checkLine(&c.Manual[j], units); err != nil {
			return err
		}
	}
	return nil
}

func (c *Contest) checkLine(l *Line, units map[string]bool) error {
	if !units[l.UnitID] {
		return contradiction("contest %q: the unit %q is unknown", c.ID, l.UnitID)
	}
	if err := c.possible(l); err != nil {
		return err
	}
	if sum := l.sum(); !l.Suppressed && !l.Partial && sum != c.VotesAllowed*l.Ballots {
		return contradiction("contest %q, unit %q, %s: %d votes allowed on %d ballots do not make %d", c.ID, l.UnitID, l.Type, c.VotesAllowed, l.Ballots, sum)
	}
	return nil
}

// possible checks that a line has a count for each option, and that counts are
// within bounds.
func (c *Contest) possible(l *Line) error {
	if len(l.Votes) != len(c.Options) {
		return contradiction("contest %q has %d options, unit %q has %d counts", c.ID, len(c.Options), l.UnitID, len(l.Votes))
	}
	bad := false
	for _, n := range [...]int64{l.Ballots, l.Overvotes, l.Undervotes, l.WriteIns, l.Unresolved} {
		bad = bad || n < 0 || n > MaxCount
	}
	for _, v := range l.Votes {
		bad = bad || v < 0 || v > MaxCount
	}
	if bad {
		return contradiction("contest %q, unit %q: a negative count, or one above %d", c.ID, l.UnitID, int64(MaxCount))
	}
	return nil
}

func (l *Line) sum() int64 {
	sum := l.Overvotes + l.Undervotes
	for _, v := range l.Votes {
		sum += v
	}
	return sum
}

// checkParts checks what stands beside the lines.
func (c *Contest) checkParts(units map[string]bool) error {
	for _, n := range c.WriteIns {
		if n.Name == "" || n.Votes < 0 || n.Votes > MaxCount {
			return contradiction("contest %q: a write-in candidate has no name, or an impossible number of votes", c.ID)
		}
	}
	if total := c.Total(); !total.Suppressed && !total.Partial && c.undecided(&total) < 0 {
		return contradiction("contest %q: write-in candidates have more votes than the write-in options", c.ID)
	}
	for i := range c.Rounds {
		if len(c.Rounds[i].Votes) != len(c.Options) {
			return contradiction("contest %q has %d options, round %d has %d counts", c.ID, len(c.Options), c.Rounds[i].Number, len(c.Rounds[i].Votes))
		}
	}
	return c.checkSums(units)
}

// checkSums compares given sums with the lines.
func (c *Contest) checkSums(units map[string]bool) error {
	if len(c.Sums) == 0 {
		return nil
	}
	bare := Contest{VotesAllowed: c.VotesAllowed, Options: c.Options, Lines: c.Lines, Manual: c.Manual}
	byUnit, byMethod, all := bare.ByUnit(), bare.ByMethod(), bare.Total()
	seen := map[[2]string]bool{}
	for i := range c.Sums {
		s := &c.Sums[i]
		key := [2]string{s.UnitID, s.Type}
		if s.UnitID != "" && (!units[s.UnitID] || s.Type != Total) || s.Type == "" || seen[key] {
			return contradiction("contest %q: the sum of unit %q and type %q is of nothing, or there twice", c.ID, s.UnitID, s.Type)
		}
		seen[key] = true
		if err := c.possible(s); err != nil {
			return err
		}
		have := all
		if s.UnitID != "" {
			have = byUnit[s.UnitID]
		} else if s.Type != Total {
			have = byMethod[s.Type]
		}
		if s.Suppressed || s.Partial || have.Partial {
			continue
		}
		if differ(s, &have) {
			return contradiction("contest %q: the sum of unit %q and type %q is not that of its lines", c.ID, s.UnitID, s.Type)
		}
	}
	return nil
}

// differ says whether a sum cannot be that of what is shown.
func differ(sum, shown *Line) bool {
	if len(shown.Votes) == 0 {
		shown = &Line{Votes: make([]int64, len(sum.Votes))}
	}
	a := append([]int64{sum.Ballots, sum.Overvotes, sum.Undervotes, sum.WriteIns}, sum.Votes...)
	b := append([]int64{shown.Ballots, shown.Overvotes, shown.Undervotes, shown.WriteIns}, shown.Votes...)
	for i := range a {
		if a[i] < b[i] || a[i] > b[i] && !shown.Suppressed {
			return true
		}
	}
	return false
}
