package deck

import (
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
)

// book is the definition as this package reads it: from the document's classes,
// not from the compiled form that is counted with.
type book struct {
	races  []*race // in the order of the definition
	byID   map[string]*race
	pages  []*page
	byCode map[string]*page
}

// race is one contest.
type race struct {
	id, title  string
	class      class
	allowed    int
	cumulative bool
	ranks      int // 0 where options are not ranked
	inclusive  bool
	options    []choice
	at         map[string]int // option's @id to its place in options
	primaries  []string       // parties whose primary it is
	straight   []*race        // straight-party contests that control it
	gate       *race          // the contest that decides whether it counts
	controls   []*race
}

type class int

const (
	ordinary class = iota
	straightParty
	partyPreference
	activation
)

// choice is one option of a contest.
type choice struct {
	id, name  string
	writeIn   bool
	parties   []string
	activates bool
}

// page is one ballot style.
type page struct {
	code      string
	codes     []string
	precincts []string
	parties   []string
	races     []*race         // in ballot order
	order     map[*race][]int // the options in their order on this style
	place     map[*race][]int // the position of each option, from 1
}

func readBook(v *election.Valid) *book {
	b := &book{byID: map[string]*race{}, byCode: map[string]*page{}}
	for _, c := range v.Election().Contests {
		r := readRace(v, c)
		b.races = append(b.races, r)
		b.byID[r.id] = r
	}
	for i, c := range v.Election().Contests {
		r := b.races[i]
		for _, id := range election.Controls(c) {
			x := b.byID[id]
			if slices.Contains(r.controls, x) {
				continue // named twice
			}
			r.controls = append(r.controls, x)
			if r.class == straightParty {
				x.straight = append(x.straight, r)
			} else {
				x.gate = r
			}
		}
	}
	for i := range v.Election().Styles {
		p := b.readPage(&v.Election().Styles[i])
		b.pages = append(b.pages, p)
		b.byCode[p.code] = p
	}
	return b
}

func readRace(v *election.Valid, c election.Contest) *race {
	base := c.Base()
	r := &race{id: base.ID, title: base.Title().String(), allowed: 1, at: map[string]int{}}
	switch x := c.(type) {
	case *election.CandidateContest:
		r.allowed, r.primaries = int(x.VotesAllowed), x.PrimaryParties
		if base.VoteVariation == election.RCV {
			r.ranks = int(*x.RanksAllowed)
		}
	case *election.StraightPartyContest:
		r.class, r.inclusive = straightParty, x.Ruleset == election.Inclusive
	case *election.PartyPreferenceContest:
		r.class = partyPreference
	case *election.ActivationContest:
		r.class = activation
	}
	r.cumulative = base.VoteVariation == election.Cumulative
	for i, o := range base.Options {
		r.at[o.Base().ID] = i
		r.options = append(r.options, readChoice(v, o))
	}
	return r
}

func readChoice(v *election.Valid, o election.Option) choice {
	c := choice{id: o.Base().ID}
	switch o := o.(type) {
	case *election.CandidateOption:
		c.writeIn = o.WriteIn && len(o.Candidates) == 0
		c.parties = slices.Clone(o.Endorsements)
		for _, id := range o.Candidates {
			cand := v.Candidate(id)
			c.name = and(c.name, cand.BallotName.String())
			if len(o.Endorsements) == 0 && cand.PartyID != "" {
				c.parties = append(c.parties, cand.PartyID)
			}
		}
		if c.writeIn {
			c.name = "write-in"
		}
	case *election.BallotMeasureOption:
		c.name = o.Selection.String()
	case *election.ActivationOption:
		c.name, c.activates = o.Selection.String(), o.Activates
	case *election.PartyOption:
		c.parties = o.Parties
		for _, id := range o.Parties {
			c.name = and(c.name, v.Party(id).Name.String())
		}
	}
	return c
}

func and(a, b string) string {
	if a == "" {
		return b
	}
	return a + " / " + b
}

func (b *book) readPage(s *election.Style) *page {
	p := &page{code: s.Code(), parties: s.Parties, order: map[*race][]int{}, place: map[*race][]int{}}
	for _, id := range s.ExternalIDs {
		p.codes = append(p.codes, id.Value)
	}
	for _, id := range s.Units {
		if !slices.Contains(p.precincts, id) {
			p.precincts = append(p.precincts, id)
		}
	}
	s.Contests(func(o *election.OrderedContest, _ string) {
		r := b.byID[o.Contest]
		order := make([]int, 0, len(r.options))
		for _, id := range o.Options {
			order = append(order, r.at[id])
		}
		for i := len(order); i == len(order) && i < len(r.options) && len(o.Options) == 0; i++ {
			order = append(order, i) // no order given: that of the contest
		}
		place := make([]int, len(r.options))
		for i, n := range order {
			place[n] = i + 1
		}
		p.races, p.order[r], p.place[r] = append(p.races, r), order, place
	})
	return p
}

// has says whether a contest stands on the style; of nil it does not.
func (p *page) has(r *race) bool { return r != nil && p.order[r] != nil }

// party says whether an option is a candidate of one of the parties. A place to
// write a name is nobody's candidate.
func (c *choice) party(parties []string) bool {
	return !c.writeIn && shared(c.parties, parties)
}

func shared(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// opens says whether the choice of an option of its gate makes a contest count.
func (r *race) opens(o *choice) bool {
	if r.gate.class == activation {
		return o.activates
	}
	return shared(o.parties, r.primaries)
}

// fits says whether a sheet is one that this definition can have.
func (b *book) fits(s *Sheet) error {
	p := b.byCode[s.Style]
	if p == nil || !slices.Contains(p.precincts, s.Precinct) {
		return errors.New("its style is unknown, or not used in its precinct")
	}
	for id, marks := range s.Marks {
		r := b.byID[id]
		if !p.has(r) {
			return fmt.Errorf("contest %q is not on its style", id)
		}
		if err := r.fits(p, marks); err != nil {
			return fmt.Errorf("contest %q: %w", id, err)
		}
	}
	return nil
}

func (r *race) fits(p *page, marks []Mark) error {
	seen := map[[2]int]bool{}
	for _, m := range marks {
		o, ok := r.at[m.Option]
		switch {
		case !ok:
			return errors.New("an option is unknown")
		case p.place[r][o] != m.Position:
			return fmt.Errorf("option %q is not at position %d of this style", m.Option, m.Position)
		case seen[[2]int{o, m.Rank}]:
			return errors.New("one position is marked twice")
		case m.Votes < 1 || m.Votes > 1 && !r.cumulative || m.Votes > model.MaxVotes:
			return errors.New("a mark has an impossible number of votes")
		case m.Rank < 0 || m.Rank > r.ranks || r.ranks > 0 && m.Rank == 0:
			return errors.New("a mark has an impossible rank")
		case m.WriteIn != "" && !r.options[o].writeIn:
			return errors.New("a name is written at an option that is not a write-in")
		}
		seen[[2]int{o, m.Rank}] = true
	}
	return nil
}
