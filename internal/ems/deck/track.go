package deck

import "slices"

// tracker collects what the sheets of one style and precinct exercise.
type tracker struct {
	page *page
	done map[Item]bool
	have map[*race][]int // votes that counted, by option
}

func (t *tracker) did(i Item) { t.done[i] = true }

func (t *tracker) rule(rule string, r *race, when bool) {
	if when {
		t.did(t.page.item(rule, r))
	}
}

// sheet notes what one sheet exercises.
func (t *tracker) sheet(s *Sheet) {
	t.did(Item{Rule: ruleBallot, Style: t.page.code})
	if len(s.Marks) == 0 {
		t.did(Item{Rule: ruleBlankBallot, Style: t.page.code})
	}
	for _, got := range t.page.rulings(s) {
		list := s.Marks[got.race.id]
		t.contest(&got, list)
		t.gate(&got, list)
		t.straight(&got)
	}
	for _, sp := range t.page.races {
		if sp.class == straightParty && len(s.Marks[sp.id]) > 0 {
			t.party(sp, s)
		}
	}
}

// contest notes what was done in a contest that counts.
func (t *tracker) contest(got *ruling, list []Mark) {
	r := got.race
	if !got.counts {
		return
	}
	if t.have[r] == nil {
		t.have[r] = make([]int, len(r.options))
	}
	for _, o := range got.picks() {
		t.have[r][o]++
	}
	for _, o := range got.direct { // a vote that was given shows nothing about the option's position
		t.did(t.page.option(r, o))
	}
	n := len(got.direct)
	t.rule(ruleBlank, r, len(list) == 0 && len(got.given) == 0)
	t.rule(rulePartial, r, n > 0 && n < r.allowed)
	t.rule(ruleFull, r, r.ranks == 0 && n > 0 && n == min(r.allowed, mostVotes(r)))
	t.rule(ruleOvervote, r, got.over)
	t.rule(ruleAllOnOne, r, len(list) == 1 && list[0].Votes == r.allowed && r.allowed > 1)
	t.rule(ruleSeveral, r, r.cumulative && len(list) > 1 && !got.over)
	for _, m := range list {
		if o := r.at[m.Option]; r.options[o].writeIn && slices.Contains(got.direct, o) {
			rule := ruleUnnamed
			if m.WriteIn != "" {
				rule = ruleNamed
			}
			t.did(t.page.chose(rule, r, o))
		}
	}
	if r.ranks > 0 {
		t.ranks(r, list)
	}
}

// mostVotes is how many votes one ballot can have in a contest.
func mostVotes(r *race) int {
	if r.cumulative {
		return r.allowed
	}
	return len(r.options)
}

func (t *tracker) ranks(r *race, list []Mark) {
	columns, rows := map[int]int{}, map[string]int{}
	for _, m := range list {
		columns[m.Rank]++
		rows[m.Option]++
		i := t.page.option(r, r.at[m.Option])
		i.Rule, i.Rank = ruleRank, m.Rank
		t.did(i)
	}
	twice := false
	for _, n := range rows {
		twice = twice || n > 1
	}
	later := false
	for rank, n := range columns {
		later = later || rank > 1 && n > 1 && columns[1] == 1
	}
	t.rule(ruleRankSkipped, r, columns[1] == 0 && len(list) > 0)
	t.rule(ruleRankTwice, r, twice)
	t.rule(ruleRankOvervote, r, later)
}

// gate notes what was done where a contest decides whether others count.
func (t *tracker) gate(got *ruling, list []Mark) {
	r := got.race
	if t.page.has(r.gate) {
		t.rule(ruleCounts, r, got.counts && len(got.picks()) > 0)
		t.rule(ruleCountsNot, r, !got.counts && len(list) > 0)
	}
	if t.page.gates(r) {
		t.rule(ruleNoChoice, r, len(list) == 0)
		t.rule(ruleTwo, r, got.over)
		if len(got.direct) == 1 {
			t.did(t.page.chose(ruleChoice, r, got.direct[0]))
		}
	}
}

// straight notes what a straight-party choice did in a contest.
func (t *tracker) straight(got *ruling) {
	r := got.race
	if got.party == nil || !got.counts {
		return
	}
	candidates := 0
	for i := range r.options {
		if r.options[i].party(got.party.parties) {
			candidates++
		}
	}
	direct := len(got.direct) > 0
	t.rule(ruleStraightGives, r, len(got.given) > 0 && !direct)
	t.rule(ruleStraightAdds, r, len(got.given) > 0 && direct)
	t.rule(ruleStraightRefused, r, got.refused && (!direct || got.inclusive))
	t.rule(ruleStraightExcluded, r, got.refused && direct && !got.inclusive)
	t.rule(ruleStraightOver, r, got.over && candidates > 0)
}

// party notes what was done in a straight-party contest.
func (t *tracker) party(sp *race, s *Sheet) {
	picks, over := sp.chosen(s.Marks[sp.id])
	selections := slices.ContainsFunc(sp.controls, func(r *race) bool { return len(s.Marks[r.id]) > 0 })
	t.rule(ruleStraightTwo, sp, over && selections)
	if len(picks) != 1 {
		return
	}
	rule := ruleStraight
	if selections {
		rule = ruleStraightDirect
	}
	t.did(t.page.chose(rule, sp, picks[0]))
}

// distinct notes the contests whose options have different totals, each more
// than the one before it, in runs of [Run].
func (t *tracker) distinct() {
	for _, r := range t.page.races {
		have, ok := t.have[r], true
		for i := range have {
			ok = ok && have[i] > 0 && (i%Run == 0 || have[i] > have[i-1])
		}
		t.rule(ruleDistinct, r, ok && have != nil)
	}
}
