package deck

import "slices"

// ruling is what one ballot says in one contest, when the rule of FORMAT.md of
// internal/ems, 1.3, is applied.
type ruling struct {
	race *race
	// counts is false when another contest keeps this one from counting.
	counts bool
	// over: too many were chosen. Then picks is empty.
	over bool
	// direct is what the voter chose in the contest itself, one entry a vote.
	direct []int
	// given is what a straight-party choice adds.
	given []int
	// refused: a straight-party choice has candidates here and gives nothing.
	refused   bool
	party     *choice // the straight-party choice that reaches this contest
	inclusive bool    // by which ruleset
}

// picks are the votes that count, one entry each.
func (r *ruling) picks() []int {
	return append(slices.Clone(r.direct), r.given...)
}

// rulings applies the rule to a sheet: one ruling for each contest of the page,
// in ballot order.
func (p *page) rulings(s *Sheet) []ruling {
	out := make([]ruling, len(p.races))
	for i, r := range p.races {
		out[i] = ruling{race: r, counts: true}
		out[i].direct, out[i].over = r.chosen(s.Marks[r.id])
	}
	for i, r := range p.races {
		if p.has(r.gate) {
			o := p.sole(r.gate, s)
			out[i].counts = o != nil && r.opens(o)
		}
		for _, sp := range r.straight {
			if p.has(sp) {
				out[i].straighten(p.sole(sp, s), sp.inclusive)
			}
		}
	}
	return out
}

// chosen is what the voter chose: a set of options, or a list with repetitions
// in a cumulative contest. What is more than allowed is no choice at all.
func (r *race) chosen(marks []Mark) (picks []int, over bool) {
	if r.ranks > 0 {
		marks = topRank(marks)
	}
	for _, m := range marks {
		if len(picks)+m.Votes > r.allowed {
			return nil, true
		}
		for range m.Votes {
			picks = append(picks, r.at[m.Option])
		}
	}
	return picks, false
}

// topRank is what stands in the first column that has a mark: columns left
// empty are passed over.
func topRank(marks []Mark) (top []Mark) {
	for _, m := range marks {
		switch {
		case len(top) == 0 || m.Rank < top[0].Rank:
			top = []Mark{m}
		case m.Rank == top[0].Rank:
			top = append(top, m)
		}
	}
	return top
}

// sole is the one option chosen in a contest that controls others, or nil.
func (p *page) sole(r *race, s *Sheet) *choice {
	picks, _ := r.chosen(s.Marks[r.id])
	if len(picks) != 1 {
		return nil
	}
	return &r.options[picks[0]]
}

// straighten applies a straight-party choice (SP 1500-20, StraightPartyRuleset).
// Exclusive: a directly selected candidate excludes the party's in the contest.
// Inclusive: the party's candidates join the directly selected ones. Either way
// the whole set must not exceed what the contest allows; otherwise the party
// gives none.
func (r *ruling) straighten(party *choice, inclusive bool) {
	if party == nil {
		return
	}
	r.party, r.inclusive = party, inclusive
	if r.over {
		return
	}
	union := slices.Clone(r.direct)
	for i := range r.race.options {
		if r.race.options[i].party(party.parties) && !slices.Contains(union, i) {
			union = append(union, i)
		}
	}
	added := union[len(r.direct):]
	switch {
	case len(added) == 0:
	case len(r.direct) > 0 && !inclusive, len(union) > r.race.allowed:
		r.refused = true
	default:
		r.given = added
	}
}
