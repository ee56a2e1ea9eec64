package deck

// straightSheets exercise the straight-party contests: each party alone, with
// direct selections of others' and of its own candidates, with overvoted
// contests, and the straight-party contest overvoted itself.
func (u *unit) straightSheets() error {
	for _, sp := range u.page.races {
		if sp.class != straightParty {
			continue
		}
		for turn := range u.page.contexts(sp) {
			for o := range sp.options {
				if err := u.partySheets(sp, o, turn); err != nil {
					return err
				}
			}
			if len(sp.options) > 1 {
				on := u.context(turn)
				on[sp] = fill{marks: sp.tail(2)}
				u.each(sp, func(r *race) []dot { return r.tail(1) }, on)
				if err := u.add(on, "straight party overvoted, with direct selections"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// partySheets are the sheets of one party in one context.
func (u *unit) partySheets(sp *race, party, turn int) error {
	chosen := &sp.options[party]
	for _, c := range []struct {
		why   string
		marks func(*race) []dot
	}{
		{"straight party alone", func(*race) []dot { return nil }},
		{"straight party, with direct selections of other candidates", func(r *race) []dot { return r.direct(chosen, false) }},
		{"straight party, with direct selections of its candidates", func(r *race) []dot { return r.direct(chosen, true) }},
		{"straight party, with overvoted contests", func(r *race) []dot {
			if r.canOvervote() {
				return r.tail(r.allowed + 1)
			}
			return nil
		}},
	} {
		on := u.context(turn)
		on[sp] = fill{marks: []dot{sp.dot(party)}}
		u.each(sp, c.marks, on)
		if err := u.add(on, c.why); err != nil {
			return err
		}
	}
	return nil
}

// each marks the contests that a straight-party contest controls here.
func (u *unit) each(sp *race, marks func(*race) []dot, on map[*race]fill) {
	for _, r := range sp.controls {
		if u.page.has(r) {
			if list := marks(r); len(list) > 0 {
				on[r] = fill{marks: list}
			}
		}
	}
}

// direct is a vote for the last option that is the party's, or is not; for the
// last one where there is none.
func (r *race) direct(party *choice, own bool) []dot {
	for n := range r.options {
		if o := r.last(n); r.options[o].party(party.parties) == own {
			return []dot{r.dot(o)}
		}
	}
	return r.tail(1)
}

// contexts is how many sheets of a kind are needed so that each contest that a
// straight-party contest controls counts on one of them.
func (p *page) contexts(sp *race) int {
	n := 1
	for _, r := range sp.controls {
		if p.has(r) && p.has(r.gate) {
			n = max(n, len(r.gate.options))
		}
	}
	return n
}

// context chooses the options of the contests that decide whether others count.
func (u *unit) context(turn int) map[*race]fill {
	on := map[*race]fill{}
	for _, g := range u.page.races {
		if u.page.gates(g) {
			on[g] = fill{marks: []dot{g.dot(turn % len(g.options))}}
		}
	}
	return on
}
