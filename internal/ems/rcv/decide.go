package rcv

import (
	"errors"
	"fmt"
	"slices"
)

// writeInsHold says whether undeclared write-ins have votes; then nobody is
// elected and they are eliminated.
func (t *tabulator) writeInsHold(c *count) (int, bool) {
	for i, x := range t.candidates {
		if x.UndeclaredWriteIn {
			return i, c.in[i] && c.tally[i].Sign() > 0
		}
	}
	return 0, false
}

// field of a round: those who continue, and of them those who can be elected.
func (t *tabulator) inRound(c *count) (all, able []int) {
	for i := range t.candidates {
		if !c.in[i] {
			continue
		}
		all = append(all, i)
		if !t.candidates[i].UndeclaredWriteIn {
			able = append(able, i)
		}
	}
	return all, able
}

// winners returns who is elected in this round.
func (t *tabulator) winners(c *count) ([]verdict, error) {
	if _, hold := t.writeInsHold(c); hold {
		return nil, nil
	}
	all, able := t.inRound(c)
	if t.rules.Mode == BottomsUpUsingPercentageThreshold {
		return verdicts(t.allMeet(c, all)), nil
	}
	open := t.seats - t.number(elected)
	if open == 0 {
		return nil, nil
	}
	chosen := t.reach(c, all, able, open)
	one := t.rules.Mode == MultiWinnerOnePerRound || t.rules.FirstRoundThreshold
	// With two left and one seat the tie is broken here, so that the last round
	// has two candidates.
	lastTwo := t.seats == 1 && len(chosen) == 0 && len(all) == 2 && len(able) > 0 && t.aboveMinimum(able)
	if !(len(chosen) > 1 && one) && !lastTwo {
		return verdicts(chosen), nil
	}
	return t.pick(c, true, extreme(c, able, 1))
}

// reach returns all who are elected by the threshold or because nobody
// else is left.
func (t *tabulator) reach(c *count, all, able []int, open int) []int {
	switch {
	case len(all) <= open:
		return able
	case t.rules.FirstRoundThreshold && len(all) == t.seats+1:
		return extreme(c, able, 1)
	case t.rules.Mode == BottomsUp:
		return nil
	}
	// The Hare quota of no votes is 0, which nobody reaches.
	return slices.DeleteFunc(slices.Clone(able), func(i int) bool { return c.tally[i].Sign() == 0 || c.tally[i].Cmp(c.threshold) < 0 })
}

// allMeet returns everybody, if everybody has votes and reaches the threshold.
func (t *tabulator) allMeet(c *count, all []int) []int {
	for _, i := range all {
		if c.tally[i].Sign() == 0 || c.tally[i].Cmp(c.threshold) < 0 {
			return nil
		}
	}
	return all
}

// aboveMinimum says whether the first round's minimum eliminates none of them.
func (t *tabulator) aboveMinimum(list []int) bool {
	return !slices.ContainsFunc(list, t.belowMinimum)
}

func (t *tabulator) belowMinimum(i int) bool {
	return t.counts[0].tally[i].Cmp(whole(t.rules.MinimumVotes)) < 0
}

func verdicts(list []int) []verdict {
	var all []verdict
	for _, i := range list {
		all = append(all, verdict{candidate: i})
	}
	return all
}

// extreme returns those of the list with the most votes (sign 1) or the fewest
// (sign -1).
func extreme(c *count, list []int, sign int) []int {
	var best []int
	for _, i := range list {
		d := 1
		if len(best) > 0 {
			d = sign * c.tally[i].Cmp(c.tally[best[0]])
		}
		if d > 0 {
			best = best[:0]
		}
		if d >= 0 {
			best = append(best, i)
		}
	}
	return best
}

// losers returns who is eliminated in this round: the first of five ways that
// finds somebody.
func (t *tabulator) losers(c *count) ([]verdict, error) {
	if i, hold := t.writeInsHold(c); hold {
		return verdicts([]int{i}), nil
	}
	all, able := t.inRound(c)
	if low := t.underMinimum(all); len(low) > 0 {
		if len(low) == len(all) {
			return nil, fmt.Errorf("no candidate has the minimumVoteThreshold of %d votes: %w", t.rules.MinimumVotes, ErrNoWinner)
		}
		return verdicts(low), nil
	}
	if low := t.underCutoff(c, all); len(low) > 0 {
		return verdicts(low), nil
	}
	if low := t.batch(c, all); len(low) > 1 {
		return verdicts(low), nil
	}
	if len(all) == 0 {
		return nil, errors.New("nobody is left to eliminate")
	}
	low := extreme(c, all, -1)
	if len(all) > len(able) {
		// Write-ins without votes go before any candidate with whom they are tied.
		for _, i := range low {
			if t.candidates[i].UndeclaredWriteIn {
				return verdicts([]int{i}), nil
			}
		}
	}
	return t.pick(c, false, low)
}

func (t *tabulator) underMinimum(all []int) []int {
	if t.rules.MinimumVotes == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(i int) bool { return !t.belowMinimum(i) })
}

func (t *tabulator) underCutoff(c *count, all []int) []int {
	if !t.rules.CutoffElimination {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(i int) bool { return c.tally[i].Cmp(c.threshold) >= 0 })
}

// batch returns the largest number of last candidates whose votes together are
// fewer than those of the next one: none of them can win any more.
func (t *tabulator) batch(c *count, all []int) []int {
	if !t.rules.BatchElimination {
		return nil
	}
	list := slices.Clone(all)
	slices.SortStableFunc(list, func(a, b int) int { return c.tally[a].Cmp(c.tally[b]) })
	sum, last, before := Decimal{}, 0, 0
	for n, i := range list {
		if n > 0 && sum.Cmp(c.tally[i]) < 0 {
			before, last = last, n
		}
		sum = sum.Add(c.tally[i])
	}
	if t.rules.ContinueUntilTwo && last+t.number(eliminated) == t.field()-1 {
		last = before // two have to remain
	}
	return list[:last]
}

// pick returns the one candidate of the list, by the tiebreak if there are
// several.
func (t *tabulator) pick(c *count, win bool, list []int) ([]verdict, error) {
	if len(list) == 1 {
		return verdicts(list), nil
	}
	i, err := t.breakTie(c, win, list)
	if err != nil {
		return nil, err
	}
	return []verdict{{i, true}}, nil
}
