package deck

import "slices"

// The rules that are exercised; FORMAT.md explains each.
const (
	ruleBallot      = "ballot"
	ruleBlankBallot = "blank-ballot"
	ruleOption      = "option"
	ruleDistinct    = "distinct"

	ruleBlank        = "blank"
	rulePartial      = "fewer-than-allowed"
	ruleFull         = "as-many-as-allowed"
	ruleOvervote     = "overvote"
	ruleNamed        = "write-in-named"
	ruleUnnamed      = "write-in-unnamed"
	ruleAllOnOne     = "cumulative-one"
	ruleSeveral      = "cumulative-several"
	ruleRank         = "rank"
	ruleRankSkipped  = "rank-skipped"
	ruleRankTwice    = "rank-repeated"
	ruleRankOvervote = "rank-overvoted"

	ruleCounts    = "counts"
	ruleCountsNot = "counts-not"
	ruleNoChoice  = "no-choice"
	ruleTwo       = "two-choices"
	ruleChoice    = "choice"

	ruleStraight         = "straight-party"
	ruleStraightDirect   = "straight-party-direct"
	ruleStraightTwo      = "straight-party-overvoted"
	ruleStraightGives    = "straight-party-gives"
	ruleStraightAdds     = "straight-party-adds"
	ruleStraightRefused  = "straight-party-too-many"
	ruleStraightExcluded = "straight-party-excluded"
	ruleStraightOver     = "straight-party-contest-overvoted"
)

// perPrecinct are the items that every precinct of a style needs.
func (p *page) perPrecinct() []Item {
	list := []Item{{Rule: ruleBallot, Style: p.code}, {Rule: ruleBlankBallot, Style: p.code}}
	for _, r := range p.races {
		for _, o := range p.order[r] {
			list = append(list, p.option(r, o))
		}
	}
	return list
}

func (p *page) item(rule string, r *race) Item { return Item{Rule: rule, Style: p.code, Contest: r.id} }

func (p *page) option(r *race, o int) Item {
	i := p.item(ruleOption, r)
	i.Option, i.Position = r.options[o].id, p.place[r][o]
	return i
}

func (p *page) chose(rule string, r *race, o int) Item {
	i := p.item(rule, r)
	i.Option = r.options[o].id
	return i
}

// perStyle are the items that a precinct of each style needs: every rule that
// can apply on it.
func (p *page) perStyle() (list []Item) {
	for _, r := range p.races {
		add := func(rule string, when bool) {
			if when {
				list = append(list, p.item(rule, r))
			}
		}
		m, k := len(r.options), r.allowed
		add(ruleDistinct, true)
		add(ruleBlank, true)
		add(rulePartial, k > 1 && (m > 1 || r.cumulative))
		add(ruleFull, r.ranks == 0)
		add(ruleOvervote, r.ranks == 0 && r.canOvervote() || r.ranks > 0 && m > 1)
		add(ruleAllOnOne, r.cumulative && k > 1)
		add(ruleSeveral, r.cumulative && k > 1 && m > 1)
		add(ruleRankSkipped, r.ranks > 1)
		add(ruleRankTwice, r.ranks > 1)
		add(ruleRankOvervote, r.ranks > 1 && m > 2)
		gated := p.has(r.gate)
		add(ruleCounts, gated)
		add(ruleCountsNot, gated)
		gate := p.gates(r)
		add(ruleNoChoice, gate)
		add(ruleTwo, gate && m > 1)
		list = append(list, p.perOption(r)...)
		list = append(list, p.perStraight(r)...)
	}
	return list
}

// perOption are the items of single options.
func (p *page) perOption(r *race) (list []Item) {
	for o := range r.options {
		if r.options[o].writeIn {
			list = append(list, p.chose(ruleNamed, r, o), p.chose(ruleUnnamed, r, o))
		}
		for rank := 1; rank <= r.ranks; rank++ {
			i := p.option(r, o)
			i.Rule, i.Rank = ruleRank, rank
			list = append(list, i)
		}
		if p.gates(r) {
			list = append(list, p.chose(ruleChoice, r, o))
		}
	}
	return list
}

// perStraight are the items of a straight-party contest, or of a contest that
// one controls here.
func (p *page) perStraight(r *race) (list []Item) {
	if r.class == straightParty {
		if !slices.ContainsFunc(r.controls, p.has) {
			return nil
		}
		for o := range r.options {
			list = append(list, p.chose(ruleStraight, r, o), p.chose(ruleStraightDirect, r, o))
		}
		if len(r.options) > 1 {
			list = append(list, p.item(ruleStraightTwo, r))
		}
		return list
	}
	for _, sp := range r.straight {
		if p.has(sp) {
			for _, rule := range r.straightRules(sp) {
				list = append(list, p.item(rule, r))
			}
		}
	}
	return list
}

// straightRules are the rules that some party's choice can bring about in a
// contest: what they depend on is how many candidates the party has there.
func (r *race) straightRules(sp *race) (list []string) {
	can := map[string]bool{}
	for i := range sp.options {
		n := 0
		for j := range r.options {
			if r.options[j].party(sp.options[i].parties) {
				n++
			}
		}
		if n == 0 {
			continue
		}
		others := n < len(r.options)
		can[ruleStraightGives] = can[ruleStraightGives] || n <= r.allowed
		can[ruleStraightOver] = can[ruleStraightOver] || r.canOvervote()
		can[ruleStraightRefused] = can[ruleStraightRefused] || n > r.allowed || sp.inclusive && others && n+1 > r.allowed
		if sp.inclusive {
			can[ruleStraightAdds] = can[ruleStraightAdds] || others && n+1 <= r.allowed || n > 1 && n <= r.allowed
		} else {
			can[ruleStraightExcluded] = can[ruleStraightExcluded] || others || n > 1
		}
	}
	for _, rule := range []string{ruleStraightGives, ruleStraightAdds, ruleStraightRefused, ruleStraightExcluded, ruleStraightOver} {
		if can[rule] {
			list = append(list, rule)
		}
	}
	return list
}
