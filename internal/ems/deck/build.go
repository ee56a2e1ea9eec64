package deck

import (
	"fmt"
	"slices"

	"sallyport/internal/ems/election"
)

// Build makes a deck that covers what [Cover] asks for. FORMAT.md describes the
// pattern. An error is [ErrOptions], [ErrBudget] or [ErrUntestable].
func Build(v *election.Valid, o Options) (*Deck, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	book := readBook(v)
	if err := book.testable(); err != nil {
		return nil, err
	}
	b := &builder{opts: o, marksLeft: MostMarks, deck: &Deck{DefinitionSHA256: o.DefinitionSHA256, Seed: o.Seed, Size: o.Size}}
	for _, p := range book.pages {
		for i, id := range p.precincts {
			u := &unit{builder: b, page: p, precinct: id, whole: i == 0 || o.Size == Complete, have: map[*race][]int{}, marked: map[*race][]bool{}, from: len(b.deck.Sheets)}
			for _, r := range p.races {
				u.have[r], u.marked[r] = make([]int, len(r.options)), make([]bool, len(r.options))
			}
			if err := u.build(i); err != nil {
				return nil, fmt.Errorf("style %q, precinct %q: %w", p.code, id, err)
			}
		}
	}
	return b.deck, nil
}

type builder struct {
	opts      Options
	deck      *Deck
	marksLeft int
}

// room refuses what would not fit before it is made.
func (b *builder) room(sheets, marks int) error {
	if sheets > b.opts.MaxSheets-len(b.deck.Sheets) {
		return fmt.Errorf("%w: more than %d sheets: raise MaxSheets, or choose a smaller size", ErrBudget, b.opts.MaxSheets)
	}
	if marks > b.marksLeft {
		return fmt.Errorf("%w: more than %d marks: choose a smaller size", ErrBudget, MostMarks)
	}
	return nil
}

// unit is one precinct of one style, whose part of the deck is being made.
type unit struct {
	*builder
	page     *page
	precinct string
	whole    bool             // the whole pattern, or each option once
	have     map[*race][]int  // votes so far, by option
	marked   map[*race][]bool // options that got one by a mark
	from     int              // sheets of the deck before this unit
}

// queue is what is still to be put on sheets, by contest.
type queue map[*race][]fill

// build makes the sheets in this order: what changes votes in other contests
// comes before what counts on them.
func (u *unit) build(number int) error {
	// Neighbouring precincts differ in their number of blank ballots.
	for range 1 + number%3 {
		if err := u.add(map[*race]fill{}, "blank ballot"); err != nil {
			return err
		}
	}
	if u.whole {
		if err := u.straightSheets(); err != nil {
			return err
		}
		for _, straight := range []bool{true, false} {
			if err := u.caseSheets(straight); err != nil {
				return err
			}
		}
	}
	for _, kind := range []func(*race) bool{
		func(r *race) bool { return r.class == straightParty },
		func(r *race) bool { return r.class == ordinary },
		func(r *race) bool { return r.class == partyPreference || r.class == activation },
	} {
		if err := u.votes(kind); err != nil {
			return err
		}
	}
	return u.pad()
}

// caseSheets put the cases of some contests on sheets: those of straight-party
// contests stand alone, because they give votes to others.
func (u *unit) caseSheets(straight bool) error {
	q := queue{}
	for _, r := range u.page.races {
		if (r.class == straightParty) != straight {
			continue
		}
		if err := u.room(0, len(r.options)*(r.ranks+2)); err != nil {
			return err
		}
		q[r] = r.cases(u.page.has(r.gate))
	}
	return u.deal(q)
}

// votes gives the options of some contests what they still need.
func (u *unit) votes(of func(*race) bool) error {
	q := queue{}
	for _, r := range u.page.races {
		if !of(r) {
			continue
		}
		want, sum := wants(u.have[r], u.marked[r], u.whole)
		if err := u.room(sum/r.allowed, sum); err != nil {
			return err
		}
		if sum > 0 {
			q[r] = r.ordinary(want, sum)
		}
	}
	return u.deal(q)
}

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

// pop takes the first fill of a contest that is for sheets on which it counts,
// or for those on which it does not.
func (q queue) pop(r *race, off bool) (fill, bool) {
	i := slices.IndexFunc(q[r], func(f fill) bool { return f.off == off })
	if i < 0 {
		return fill{}, false
	}
	f := q[r][i]
	q[r] = slices.Delete(q[r], i, i+1)
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

func (q queue) waiting(r *race) (n int) {
	for _, f := range q[r] {
		if !f.off {
			n++
		}
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

// add puts one sheet into the deck and counts what it brings.
func (u *unit) add(on map[*race]fill, purpose string) error {
	s := Sheet{Number: len(u.deck.Sheets) + 1, Style: u.page.code, Precinct: u.precinct, Party: u.page.parties, Purpose: purpose, Marks: map[string][]Mark{}}
	if s.Party == nil {
		s.Party = []string{}
	}
	n := 0
	for _, r := range u.page.races {
		n += len(on[r].marks)
	}
	if err := u.room(1, n); err != nil {
		return err
	}
	for _, r := range u.page.races {
		f, ok := on[r]
		if !ok {
			continue
		}
		if purpose == "" && f.why != "" {
			s.Purpose = appendPurpose(s.Purpose, f.why)
		}
		if len(f.marks) > 0 {
			s.Marks[r.id] = u.page.marks(r, f.marks)
		}
	}
	u.marksLeft -= n
	u.deck.Sheets = append(u.deck.Sheets, s)
	for _, got := range u.page.rulings(&s) {
		if got.counts {
			for _, o := range got.picks() {
				u.have[got.race][o]++
			}
			for _, o := range got.direct {
				u.marked[got.race][o] = true
			}
		}
	}
	return nil
}

// marks are dots in the order of a style.
func (p *page) marks(r *race, dots []dot) []Mark {
	out := make([]Mark, 0, len(dots))
	for _, d := range dots {
		out = append(out, Mark{Option: r.options[d.option].id, Position: p.place[r][d.option], Rank: d.rank, Votes: d.votes, WriteIn: d.name})
	}
	slices.SortStableFunc(out, func(a, b Mark) int {
		if a.Position != b.Position {
			return a.Position - b.Position
		}
		return a.Rank - b.Rank
	})
	return out
}

// appendPurpose keeps a sheet's purposes short: each once, the last of them
// told by their number.
func appendPurpose(list, why string) string {
	switch {
	case list == "":
		return why
	case len(list) > 200 || containsPart(list, why):
		return list
	}
	return list + "; " + why
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
