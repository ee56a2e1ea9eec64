package vendor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/election"
)

// Infer says what an inferred definition is of.
type Infer struct {
	ID           string // the election's identifier
	Name         string // as the export says when it is empty
	Date         string // YYYY-MM-DD
	Jurisdiction string
	Issuer       string
	Generated    string // RFC 3339
	// VotesAllowed is needed for contests of which the export does not say it,
	// by the export's contest name.
	VotesAllowed map[string]int
}

// Definition makes a definition from an export that comes without one: its
// contests and choices, a precinct for each name, and for each style what its
// ballots have. It is what was seen, and no more: choices that nobody marked are
// missing where the vendor lists only marked ones. All problems are returned.
func (in Infer) Definition(ctx context.Context, s *dialect.Source) (*election.Definition, []Problem, error) {
	cat, err := s.Catalogue(ctx)
	if err != nil {
		return nil, nil, err
	}
	seen, err := survey(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	b := builder{in: in, cat: cat}
	d := b.frame()
	b.contests(d)
	b.styles(d, seen)
	return d, b.problems, nil
}

// used is which contests and precincts ballots of a style have.
type used struct {
	contests map[int]bool
	units    map[dialect.Label]bool
	party    dialect.Label
}

func survey(ctx context.Context, s *dialect.Source) (map[dialect.Label]*used, error) {
	out := map[dialect.Label]*used{}
	err := s.Ballots(ctx, func(b *dialect.Ballot) error {
		u := out[b.Style]
		if u == nil {
			u = &used{contests: map[int]bool{}, units: map[dialect.Label]bool{}, party: b.Party}
			out[b.Style] = u
		}
		u.units[b.Precinct] = true
		for i := range b.Versions {
			for _, c := range b.Versions[i].Contests {
				u.contests[c.Contest] = true
			}
		}
		return nil
	})
	return out, err
}

type builder struct {
	in       Infer
	cat      *dialect.Catalogue
	problems []Problem
}

const root = "jurisdiction"

func (b *builder) frame() *election.Definition {
	name := cmp.Or(b.in.Name, b.cat.Election.Name, b.in.ID)
	return &election.Definition{Version: "1.0.0", GeneratedDate: b.in.Generated, Issuer: cmp.Or(b.in.Issuer, "not known"), IssuerAbbreviation: "–",
		VendorApplicationID: "sallyport", SequenceStart: 1, SequenceEnd: 1, IsTest: b.cat.Test,
		Notes: "Made from an export of cast vote records: only what its ballots have.",
		Units: []election.Unit{{ID: root, Type: "other", OtherType: "jurisdiction", Name: election.English(cmp.Or(b.in.Jurisdiction, name))}},
		Elections: []election.Election{{Name: election.English(name), Type: election.OtherElection, StartDate: b.in.Date, EndDate: b.in.Date, ScopeID: root,
			ExternalIDs: []election.ExternalID{{Type: "local-level", Value: b.in.ID}}}}}
}

func (b *builder) contests(d *election.Definition) {
	e := &d.Elections[0]
	for i := range b.cat.Contests {
		c := &b.cat.Contests[i]
		allowed := cmp.Or(c.VotesAllowed, b.in.VotesAllowed[c.Name])
		ranks := int64(c.Ranks)
		if ranks > 0 {
			allowed = 1
		}
		if allowed == 0 {
			b.problems = append(b.problems, Problem{"votes-allowed", c.Name, "the export does not say how many votes are allowed: give it"})
			allowed = 1
		}
		id := cmp.Or(c.ID, fmt.Sprintf("contest-%d", i+1))
		x := &election.CandidateContest{VotesAllowed: int64(allowed), ContestBase: election.ContestBase{ID: id, Name: cmp.Or(c.Name, id), DistrictID: root, VoteVariation: variation(allowed, c.Ranks)}}
		if ranks > 0 {
			x.RanksAllowed = &ranks
		}
		for k := range c.Choices {
			o := &c.Choices[k]
			option := &election.CandidateOption{OptionBase: election.OptionBase{ID: fmt.Sprintf("%s-option-%d", id, k+1)}, WriteIn: o.WriteIn}
			if o.ID != "" {
				option.ExternalIDs = []election.ExternalID{{Type: "other", OtherType: "vendor", Value: o.ID}}
			}
			if !o.WriteIn {
				candidate := fmt.Sprintf("%s-candidate-%d", id, k+1)
				e.Candidates = append(e.Candidates, election.Candidate{ID: candidate, BallotName: election.English(cmp.Or(o.Name, o.ID))})
				option.Candidates = []election.ID{candidate}
			}
			x.Options = append(x.Options, option)
		}
		e.Contests = append(e.Contests, x)
	}
}

func variation(allowed, ranks int) election.VoteVariation {
	switch {
	case ranks > 0:
		return election.RCV
	case allowed > 1:
		return election.NOfM
	}
	return election.Plurality
}

func (b *builder) styles(d *election.Definition, seen map[dialect.Label]*used) {
	units := map[dialect.Label]election.ID{}
	byLabel := func(x, y dialect.Label) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID)) }
	unit := func(l dialect.Label) election.ID {
		if id, ok := units[l]; ok {
			return id
		}
		id := cmp.Or(l.ID, fmt.Sprintf("precinct-%d", len(units)+1))
		units[l] = id
		d.Units[0].Composing = append(d.Units[0].Composing, id)
		d.Units = append(d.Units, election.Unit{ID: id, Type: election.Precinct, Name: election.English(cmp.Or(l.Name, l.ID, "all precincts"))})
		return id
	}
	e := &d.Elections[0]
	for n, l := range slices.SortedFunc(maps.Keys(seen), byLabel) {
		u := seen[l]
		s := election.Style{ExternalIDs: []election.ExternalID{{Type: "local-level", Value: cmp.Or(l.ID, l.Name, fmt.Sprintf("style-%d", n+1))}}}
		for _, p := range slices.SortedFunc(maps.Keys(u.units), byLabel) {
			s.Units = append(s.Units, unit(p))
		}
		for _, c := range slices.Sorted(maps.Keys(u.contests)) {
			s.Content = append(s.Content, &election.OrderedContest{Contest: e.Contests[c].Base().ID})
		}
		e.Styles = append(e.Styles, s)
	}
}
