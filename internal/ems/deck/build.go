package deck

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// Build makes a deck that covers what [Cover] asks for. FORMAT.md describes the
// pattern. An error is [ErrOptions] or [ErrBudget].
func Build(v *election.Valid, o Options) (*Deck, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	book := readBook(v)
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
	q, marks := queue{}, 0
	for _, r := range u.page.races {
		if (r.class == straightParty) != straight {
			continue
		}
		marks += len(r.options) * (r.ranks + 2)
		if err := u.room(0, marks); err != nil {
			return err
		}
		q[r] = r.cases(u.page.has(r.gate))
	}
	return u.deal(q)
}

// votes gives the options of some contests what they still need.
func (u *unit) votes(of func(*race) bool) error {
	q, marks := queue{}, 0
	for _, r := range u.page.races {
		if !of(r) {
			continue
		}
		want, sum := wants(u.have[r], u.marked[r], u.whole)
		marks += sum
		if err := u.room(sum/r.allowed, marks); err != nil {
			return err
		}
		if sum > 0 {
			q[r] = r.ordinary(want, sum)
		}
	}
	return u.deal(q)
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
	var why []string
	for _, r := range u.page.races {
		f, ok := on[r]
		if !ok {
			continue
		}
		if f.why != "" && !slices.Contains(why, f.why) {
			why = append(why, f.why)
		}
		if len(f.marks) > 0 {
			s.Marks[r.id] = u.page.marks(r, f.marks)
		}
	}
	if purpose == "" {
		s.Purpose = strings.Join(why, "; ")
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
