package rcv

import (
	"maps"
	"math/big"
	"slices"
)

// cause says why a ballot counts for nobody.
type cause uint8

const (
	active cause = iota
	undervote
	exhaustedChoices
	overvotes
	repeatedRankings
	skippedRankings
	finalRoundSurplus
	causes
)

// countRound puts every ballot where it belongs and adds up.
func (t *tabulator) countRound() count {
	n := len(t.candidates)
	c := count{tally: make([]Decimal, n), in: make([]bool, n), settled: make([]bool, n), moved: make([]transfers, n)}
	tally := make([]sum, n)
	var inactive [causes]sum
	t.full = t.rules.stv() && t.number(elected) == t.seats
	for i := range t.piles {
		p := &t.piles[i]
		if p.cause == active && (p.holder < 0 || !t.gets(p.holder)) {
			t.move(&c, p)
		}
		if p.cause == active {
			tally[p.holder].add(p.count, p.value)
		} else {
			inactive[p.cause].add(p.count, p.value)
		}
	}
	for i := range tally {
		if c.in[i] = t.gets(i); c.in[i] {
			c.tally[i] = tally[i].decimal(t.rules.Decimals)
			c.active = c.active.Add(c.tally[i])
		}
	}
	for i := range inactive {
		c.inactive[i] = inactive[i].decimal(t.rules.Decimals)
	}
	c.threshold = t.threshold(&c)
	if t.rules.stv() {
		t.settle(&c)
	}
	return c
}

// move gives a pile to its next choice. A ballot of no value moves without a
// trace: its winner had exactly the threshold.
func (t *tabulator) move(c *count, p *pile) {
	from := p.holder
	p.holder, p.cause = t.nextChoice(p.ranks)
	if from < 0 || p.value != nil && p.value.Sign() == 0 {
		return
	}
	to := p.holder
	if p.cause != active {
		to = len(t.candidates)
	}
	c.transfer(from, to, p.count, p.value)
}

// transfer notes votes that go from one candidate to a target.
func (c *count) transfer(from, to int, n int64, value *big.Int) {
	if c.moved[from] == nil {
		c.moved[from] = transfers{}
	}
	if c.moved[from][to] == nil {
		c.moved[from][to] = new(sum)
	}
	c.moved[from][to].add(n, value)
}

// nextChoice reads a ballot from its first rank: the continuing candidate it
// counts for, or why there is none.
func (t *tabulator) nextChoice(ranks string) (int, cause) {
	switch {
	case ranks == "":
		return -1, undervote
	case t.full:
		return -1, finalRoundSurplus
	}
	t.ballot++
	if t.ballot == 0 { // the stamps have been through all values
		clear(t.seen)
		t.ballot = 1
	}
	last := 0
	for w := (walk{rest: ranks}); w.next(); last = w.rank {
		if skip := t.rules.MaxSkippedRanks; skip != Unlimited && w.rank-last-1 > skip {
			return -1, skippedRankings
		}
		if t.rules.ExhaustOnDuplicate && t.repeats(w.marks) {
			return -1, repeatedRankings
		}
		candidate, overvoted := t.choose(w.marks)
		if overvoted {
			return -1, overvotes
		}
		if candidate >= 0 {
			return candidate, active
		}
	}
	return -1, exhaustedChoices
}

// repeats says whether the ballot has ranked one of the candidates before.
func (t *tabulator) repeats(marks []int) bool {
	for _, m := range marks {
		if m == Overvote {
			continue
		}
		if t.seen[m] == t.ballot {
			return true
		}
		t.seen[m] = t.ballot
	}
	return false
}

// choose returns the continuing candidate of one rank, -1 for none, or that
// the overvote ends the ballot.
func (t *tabulator) choose(marks []int) (candidate int, overvoted bool) {
	if len(marks) > 1 || marks[0] == Overvote {
		switch t.rules.Overvote {
		case ExhaustImmediately:
			return -1, true
		case AlwaysSkipToNextRank:
			return -1, false
		}
	}
	candidate = -1
	for _, m := range marks {
		if !t.gets(m) {
			continue
		}
		if candidate >= 0 {
			return -1, true
		}
		candidate = m
	}
	return candidate, false
}

// threshold is the votes that elect in this round.
func (t *tabulator) threshold(c *count) Decimal {
	if !t.newThreshold() {
		return t.counts[len(t.counts)-1].threshold
	}
	if t.rules.Mode == BottomsUpUsingPercentageThreshold {
		return c.active.mul(t.rules.Percentage).mul(Decimal{big.NewInt(1), 2})
	}
	if t.rules.HareQuota {
		return c.active.quo(whole(int64(t.seats)), 0, true)
	}
	scale := 0
	if t.rules.NonIntegerThreshold {
		scale = t.rules.Decimals
	}
	return c.active.quo(whole(int64(t.seats)+1), scale, false).Add(Decimal{big.NewInt(1), scale})
}

// newThreshold says whether the threshold is computed anew in this round.
func (t *tabulator) newThreshold() bool {
	switch {
	case len(t.counts) == 0:
		return true
	case t.seats > 1 || t.rules.FirstRoundThreshold:
		return false
	case t.rules.ContinueUntilTwo:
		return t.number(elected) == 0
	}
	return true
}

// transferSurplus reduces the value of an elected candidate's ballots to the
// part that is surplus, rounded down, so that the winner never keeps less than
// the threshold.
func (t *tabulator) transferSurplus(c *count, winner int) {
	scale := t.rules.Decimals
	fraction := Decimal{}
	if extra := c.tally[winner].Sub(c.threshold); extra.Sign() > 0 {
		fraction = extra.quo(c.tally[winner], scale, false)
	}
	one := pow10(scale)
	after := map[*big.Int]*big.Int{} // values are few and shared
	var kept sum
	for i := range t.piles {
		p := &t.piles[i]
		if p.holder != winner || p.cause != active {
			continue
		}
		next, ok := after[p.value]
		if !ok {
			next = Decimal{valueOr(p.value, one), scale}.mul(fraction).quo(whole(1), scale, false).n
			after[p.value] = next
		}
		kept.add(p.count, new(big.Int).Sub(valueOr(p.value, one), next))
		p.value = next
	}
	t.kept[winner] = kept.decimal(scale)
}

func valueOr(value, one *big.Int) *big.Int {
	if value == nil {
		return one
	}
	return value
}

// settle adds the elected of earlier rounds to the tally. What a winner keeps
// above the threshold, because fractions were rounded, is residual surplus.
func (t *tabulator) settle(c *count) {
	var before *count
	if len(t.counts) > 0 {
		before = &t.counts[len(t.counts)-1]
		c.residual = before.residual
	}
	for i, s := range t.stands {
		if s != elected {
			continue
		}
		c.settled[i] = true
		if t.since[i] < t.round() {
			c.tally[i] = before.tally[i]
			continue
		}
		c.tally[i] = t.kept[i]
		if rest := t.kept[i].Sub(c.threshold); rest.Sign() > 0 {
			c.tally[i] = c.threshold
			c.residual = c.residual.Add(rest)
			c.transfer(i, len(t.candidates)+1, 1, rest.at(t.rules.Decimals))
		}
	}
}

// report turns the counts into the words of the result.
func (t *tabulator) report() Pass {
	p := Pass{Seats: t.seats, Candidates: t.field(), Ballots: t.ballots.total}
	for i := range t.piles {
		if t.piles[i].cause == undervote {
			p.Undervotes += t.piles[i].count
		}
	}
	for i := range t.counts {
		c := &t.counts[i]
		r := Round{Number: i + 1, Threshold: c.threshold, ResidualSurplus: c.residual, FinalRoundSurplus: c.inactive[finalRoundSurplus], Tie: c.tie,
			Inactive: Inactive{ExhaustedChoices: c.inactive[exhaustedChoices], Overvotes: c.inactive[overvotes], RepeatedRankings: c.inactive[repeatedRankings], SkippedRankings: c.inactive[skippedRankings]}}
		for k := range t.candidates {
			if c.in[k] || c.settled[k] {
				r.Tally = append(r.Tally, CandidateVotes{t.candidates[k].Name, c.tally[k], c.settled[k]})
			}
		}
		var next *count
		if i+1 < len(t.counts) {
			next = &t.counts[i+1]
		}
		r.Elected, r.Eliminated = t.decisions(c.elected, next), t.decisions(c.gone, next)
		p.Rounds = append(p.Rounds, r)
	}
	return p
}

// decisions names the candidates, sorted, with their transfers into the next
// round.
func (t *tabulator) decisions(list []verdict, next *count) []Decision {
	var all []Decision
	for _, v := range list {
		d := Decision{Candidate: t.candidates[v.candidate].Name, ByTie: v.byTie}
		if next != nil {
			d.Transfers = t.transfers(next.moved[v.candidate])
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Decision) int { return javaCompare(a.Candidate, b.Candidate) })
	return all
}

// transfers names the targets, in the order of the candidates.
func (t *tabulator) transfers(moved transfers) []Transfer {
	var all []Transfer
	for _, to := range slices.Sorted(maps.Keys(moved)) {
		name := toExhausted
		switch {
		case to < len(t.candidates):
			name = t.candidates[to].Name
		case to > len(t.candidates):
			name = toResidual
		}
		all = append(all, Transfer{name, moved[to].decimal(t.rules.Decimals)})
	}
	return all
}
