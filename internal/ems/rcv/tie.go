package rcv

import (
	"fmt"
	"slices"
)

// previousRoundCounts is how a tie was decided when an earlier round did it.
const previousRoundCounts = "previousRoundCounts"

// breakTie selects the candidate of the list that wins, or loses.
func (t *tabulator) breakTie(c *count, win bool, list []int) (int, error) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b int) int { return javaCompare(t.candidates[a].Name, t.candidates[b].Name) })
	tie := &Tie{Seat: t.seat, Round: t.round(), ForWinner: win, Votes: c.tally[list[0]], Candidates: t.names(list)}
	var i int
	var err error
	switch t.rules.Tiebreak {
	case Random:
		i = t.draw(tie, list)
	case UseCandidateOrder, GeneratePermutation:
		i = t.inOrder(tie, list)
	case StopCountingAndAsk:
		i, err = t.ask(tie, list)
	default:
		i, err = t.earlierRounds(tie, list)
	}
	if err != nil {
		return 0, err
	}
	tie.Selected = t.candidates[i].Name
	c.tie = tie
	return i, nil
}

func (t *tabulator) names(list []int) []string {
	var all []string
	for _, i := range list {
		all = append(all, t.candidates[i].Name)
	}
	return all
}

// draw selects by chance from the seed.
func (t *tabulator) draw(tie *Tie, list []int) int {
	tie.How = string(Random)
	return list[t.random.index(len(list))]
}

// ask takes the answer from the rules' lots.
func (t *tabulator) ask(tie *Tie, list []int) (int, error) {
	tie.How = string(StopCountingAndAsk)
	found := -1
	for _, l := range t.rules.Lots {
		if l.Seat != tie.Seat || l.Round != tie.Round {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("two lots are given for seat %d, round %d", l.Seat, l.Round)
		}
		found = slices.IndexFunc(list, func(i int) bool { return t.candidates[i].Name == l.Selected })
		if found < 0 {
			return 0, fmt.Errorf("the lot for seat %d, round %d names somebody who is not tied there", l.Seat, l.Round)
		}
	}
	if found < 0 {
		missing := *tie
		missing.Candidates = t.names(list)
		return 0, &TieError{missing}
	}
	t.lotsUsed++
	return list[found], nil
}

// candidateOrder is the order that decides ties, where the rules have one.
func (t *tabulator) candidateOrder() []int {
	var order []int
	for i, c := range t.candidates {
		if !c.UndeclaredWriteIn {
			order = append(order, i)
		}
	}
	if t.rules.Tiebreak == GeneratePermutation {
		slices.SortFunc(order, func(a, b int) int { return javaCompare(t.candidates[a].Name, t.candidates[b].Name) })
		newJavaRandom(t.rules.Seed).shuffle(order)
	}
	return order
}

// inOrder lets the earliest win and the latest lose.
func (t *tabulator) inOrder(tie *Tie, list []int) int {
	tie.How = string(t.rules.Tiebreak)
	selected := -1
	for _, i := range t.order {
		if slices.Contains(list, i) && (selected < 0 || !tie.ForWinner) {
			selected = i
		}
	}
	return selected
}

// earlierRounds goes back through the rounds until one of them has only one
// with the most votes, or the fewest.
func (t *tabulator) earlierRounds(tie *Tie, list []int) (int, error) {
	sign := -1
	if tie.ForWinner {
		sign = 1
	}
	for k := t.round() - 2; k >= 0; k-- {
		list = extreme(&t.counts[k], t.hashOrder(list), sign)
		if len(list) == 1 {
			tie.How, tie.DecidedBy = previousRoundCounts, k+1
			return list[0], nil
		}
	}
	if t.rules.Tiebreak == PreviousRoundCountsThenAsk {
		return t.ask(tie, list)
	}
	return t.draw(tie, list), nil
}

// hashOrder puts candidates in the order in which RCTab's set of their names
// hands them out, which is by the hash of the name and not, as its documentation
// says, by the alphabet: with chance to follow, the order matters.
func (t *tabulator) hashOrder(list []int) []int {
	size := 16
	for size < len(list)*4/3+1 {
		size *= 2
	}
	list = slices.Clone(list)
	bucket := func(i int) int32 {
		h := javaHash(t.candidates[i].Name)
		return (h ^ int32(uint32(h)>>16)) & int32(size-1)
	}
	slices.SortStableFunc(list, func(a, b int) int { return int(bucket(a)) - int(bucket(b)) })
	return list
}
