package deck

// queue is what is still to be put on sheets, by contest.
type queue map[*race][]fill

// deal puts fills on sheets, one for each contest, until none is left.
func (u *unit) deal(q queue) error {
	for !q.empty() {
		on := map[*race]fill{}
		open := map[*race]*choice{}
		for _, g := range u.page.races {
			if u.page.gates(g) {
				if f, ok := q.pop(g, false); ok {
					on[g] = f
				} else if f, ok := u.openFor(g, q); ok {
					on[g] = f
				}
				open[g] = g.soleDot(on[g].marks)
			}
		}
		for _, r := range u.page.races {
			if u.page.gates(r) {
				continue
			}
			counts := true
			if u.page.has(r.gate) {
				counts = open[r.gate] != nil && r.opens(open[r.gate])
			}
			if f, ok := q.pop(r, !counts); ok {
				on[r] = f
			}
		}
		if err := u.add(on, ""); err != nil {
			return err
		}
	}
	return nil
}

func (q queue) empty() bool {
	for _, list := range q {
		if len(list) > 0 {
			return false
		}
	}
	return true
}

// pop takes the next fill of a contest that is for sheets on which it counts,
// or the one for a sheet on which it does not, which stands at the end.
func (q queue) pop(r *race, off bool) (f fill, ok bool) {
	list := q[r]
	switch n := len(list) - 1; {
	case n < 0:
		return fill{}, false
	case off && list[n].off:
		f, q[r] = list[n], list[:n]
	case !off && !list[0].off:
		f, q[r] = list[0], list[1:]
	default:
		return fill{}, false
	}
	return f, true
}

// gates says whether a contest decides here whether others count.
func (p *page) gates(r *race) bool {
	return (r.class == partyPreference || r.class == activation) && len(r.controls) > 0
}

// openFor is the choice that makes the most waiting fills count.
func (u *unit) openFor(g *race, q queue) (fill, bool) {
	best, most := -1, 0
	for i := range g.options {
		n := 0
		for _, r := range g.controls {
			if u.page.has(r) && r.gate == g && r.opens(&g.options[i]) {
				n += q.waiting(r)
			}
		}
		if n > most {
			best, most = i, n
		}
	}
	if best < 0 {
		return fill{}, false
	}
	return fill{marks: []dot{g.dot(best)}, why: "to make other contests count"}, true
}

// waiting is how many fills of a contest are for sheets on which it counts.
func (q queue) waiting(r *race) int {
	n := len(q[r])
	if n > 0 && q[r][n-1].off {
		n--
	}
	return n
}

// soleDot is the one option that a contest with one vote was marked for, or nil.
func (r *race) soleDot(list []dot) *choice {
	if len(list) != 1 || list[0].votes != 1 {
		return nil
	}
	return &r.options[list[0].option]
}

// pad adds ballots until the unit has as many as were asked for. Votes go to
// the options in turn from the last to the first, which keeps every total above
// the one before it.
func (u *unit) pad() error {
	turn := map[*race]int{}
	for len(u.deck.Sheets)-u.from < u.opts.PerUnit {
		on := map[*race]fill{}
		next := func(r *race) {
			n := 1
			if !r.cumulative && r.ranks == 0 {
				n = min(r.allowed, len(r.options))
			}
			var f fill
			for range n {
				f.marks = append(f.marks, r.dot(r.last(turn[r]%len(r.options))))
				turn[r]++
			}
			on[r] = f
		}
		for _, r := range u.page.races {
			if u.page.gates(r) {
				next(r)
			}
		}
		for _, r := range u.page.races {
			if u.page.gates(r) || r.class == straightParty {
				continue
			}
			if u.page.has(r.gate) {
				if o := r.gate.soleDot(on[r.gate].marks); o == nil || !r.opens(o) {
					continue
				}
			}
			next(r)
		}
		if err := u.add(on, "further votes"); err != nil {
			return err
		}
	}
	return nil
}
