package ems

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/results"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
)

// Results returns the results of an election, counted anew from its ballots
// with every check of [Core.Tally], with ranked contests tabulated, decided
// write-ins named, and manual tallies beside. Nothing is given before the polls
// are closed ([ErrPollsOpen]), and nothing that was certified is given when what
// it was made from has changed since.
func (c *Core) Results(ctx context.Context, electionID string) (*results.Results, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.results(ctx, electionID)
	if err != nil {
		return nil, fmt.Errorf("cannot make the results: %w", err)
	}
	return r, nil
}

func (c *Core) results(ctx context.Context, electionID string) (*results.Results, error) {
	e, v, err := c.over(ctx, electionID)
	if err != nil {
		return nil, err
	}
	d := v.Compiled()
	ranked, err := c.tabulations(ctx, electionID, d)
	if err != nil {
		return nil, err
	}
	t, n, err := c.recount(ctx, e, d, func(contest int, m *model.Marks) {
		if x := ranked[contest]; x != nil {
			x.add(m)
		}
	})
	if err != nil {
		return nil, err
	}
	r := c.frame(v)
	r.ElectionID, r.DefinitionSHA256, r.StateDigest = electionID, t.DefinitionSHA256, t.StateDigest
	if err := c.standing(ctx, electionID, r); err != nil {
		return nil, err
	}
	ballots(r, n.counter.Subtotals(), d)
	for i := range t.Contests {
		x := contest(v, i, &t.Contests[i])
		x.WriteIns = named(n.writeIns[i])
		if k := ranked[i]; k != nil {
			if x.Rounds, err = k.rounds(t.Contests[i].Total.Ballots); err != nil {
				return nil, err
			}
		}
		r.Contests = append(r.Contests, x)
	}
	if err := c.addManual(ctx, electionID, v, r); err != nil {
		return nil, err
	}
	return r, r.Check()
}

// frame fills in what the definition says.
func (c *Core) frame(v *election.Valid) *results.Results {
	d, e := v.Definition(), v.Election()
	r := &results.Results{Name: e.Name.String(), Type: string(e.Type), Date: e.StartDate, EndDate: e.EndDate, Issuer: d.Issuer,
		IssuerAbbreviation: d.IssuerAbbreviation, Test: d.IsTest, GeneratedAt: c.now().UTC(), ScopeID: e.ScopeID,
		Units: []results.Unit{}, Parties: []results.Party{}, Contests: []results.Contest{}}
	for i := range d.Units {
		u := &d.Units[i]
		x := results.Unit{ID: u.ID, Name: cmp.Or(u.Name.String(), u.ID), Type: string(u.Type), Registered: u.VotersRegistered}
		for _, a := range v.Above(u.ID) {
			x.Within = append(x.Within, a.ID)
		}
		for _, id := range u.ExternalIDs {
			if id.Type == "ocd-id" {
				x.OCDID = id.Value
			}
		}
		r.Units = append(r.Units, x)
	}
	for i := range d.Parties {
		p := &d.Parties[i]
		r.Parties = append(r.Parties, results.Party{ID: p.ID, Name: p.Name.String(), Abbreviation: p.Abbreviation.String(), Color: p.Color})
	}
	return r
}

// standing fills in the status, and where the store is used.
func (c *Core) standing(ctx context.Context, electionID string, r *results.Results) error {
	var err error
	if r.Status, r.Sequence, err = c.status(ctx, electionID); err != nil {
		return err
	}
	if r.Status.Official() {
		list, err := c.statuses(ctx, electionID)
		if err != nil {
			return err
		}
		now, err := c.votes(ctx, electionID)
		if err != nil {
			return err
		}
		if last := list[len(list)-1]; last.StateDigest != now {
			return fmt.Errorf("%w: what the %s results were made from has changed since %s; take the next step (correction or recount) first", ErrTransition, r.Status, last.At)
		}
	}
	place, err := c.store.Place(ctx)
	if err == nil && place == store.AtDesk {
		r.Provenance = "made from files that were given by hand, not from verified media"
	}
	return err
}

// ballots fills in how many ballots were counted in each unit.
func ballots(r *results.Results, s *tally.Subtotals, d *model.Definition) {
	at := map[string]*results.Unit{}
	for i := range r.Units {
		at[r.Units[i].ID] = &r.Units[i]
	}
	methods := s.Methods()
	divided := len(methods) > 1 || len(methods) == 1 && methods[0] != ""
	for _, k := range s.Cells() {
		kind := results.Total
		if divided {
			kind = countItemType(k.Method)
		}
		u := at[d.Precincts[k.Precinct].ID]
		if i := slices.IndexFunc(u.Ballots, func(b results.Ballots) bool { return b.Type == kind }); i >= 0 {
			u.Ballots[i].Count += s.Cast(k)
			continue
		}
		u.Ballots = append(u.Ballots, results.Ballots{Type: kind, Count: s.Cast(k)})
	}
}

// countItemType is how a voting method is reported: batches without one are
// "other" where others have one.
func countItemType(method string) string { return cmp.Or(method, "other") }

// contest turns the tally of one contest into its results.
func contest(v *election.Valid, n int, t *tally.Contest) results.Contest {
	d := &v.Compiled().Contests[n]
	c := v.Election().Contests[n]
	b := c.Base()
	x := results.Contest{ID: d.ID, Title: d.Name, Kind: d.Kind, Variation: string(b.VoteVariation), DistrictID: b.DistrictID,
		VotesAllowed: int64(d.VotesAllowed), Elected: d.Elected, Ranked: d.Ranks > 0, Threshold: d.Threshold, Lines: []results.Line{}}
	for _, id := range b.ExternalIDs {
		x.ExternalIDs = append(x.ExternalIDs, id.Type+":"+id.Value)
	}
	if len(d.Parties) == 1 {
		x.PrimaryParty = v.Compiled().Parties[d.Parties[0]].ID
	}
	for i := range d.Options {
		o := results.Option{ID: d.Options[i].ID, Name: d.Options[i].Name, WriteIn: d.Options[i].WriteIn}
		for _, p := range d.Options[i].Parties {
			o.Parties = append(o.Parties, v.Compiled().Parties[p].ID)
		}
		if k, ok := b.Options[i].(*election.CandidateOption); ok {
			o.Candidates = k.Candidates
			for _, id := range k.Candidates {
				o.Incumbent = o.Incumbent || v.Candidate(id).Incumbent
			}
		}
		x.Options = append(x.Options, o)
	}
	for _, p := range t.Precincts {
		if len(p.Methods) == 0 {
			x.Lines = append(x.Lines, line(p.ID, results.Total, &p.Counts))
		}
		from := len(x.Lines)
		for i := range p.Methods {
			x.Lines = merged(x.Lines, from, line(p.ID, countItemType(p.Methods[i].Method), &p.Methods[i].Counts))
		}
	}
	return x
}

// merged appends a line of a unit whose lines begin at from, or adds it to the one
// of its type: batches that do not say a method are reported with those of "other".
func merged(list []results.Line, from int, l results.Line) []results.Line {
	for i := from; i < len(list); i++ {
		if list[i].Type == l.Type {
			list[i].Add(&l)
			return list
		}
	}
	return append(list, l)
}

func line(unit, kind string, n *tally.Counts) results.Line {
	return results.Line{UnitID: unit, Type: kind, Ballots: n.Ballots, Votes: n.Votes, Overvotes: n.Overvotes,
		Undervotes: n.Undervotes, WriteIns: n.WriteIns, Unresolved: n.Unresolved}
}

// named sorts decided names by their votes.
func named(votes map[string]int64) []results.NameVotes {
	var out []results.NameVotes
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		out = append(out, results.NameVotes{Name: name, Votes: votes[name]})
	}
	slices.SortStableFunc(out, func(a, b results.NameVotes) int { return cmp.Compare(b.Votes, a.Votes) })
	return out
}

// addManual puts the manual tallies that hold beside the counts.
func (c *Core) addManual(ctx context.Context, electionID string, v *election.Valid, r *results.Results) error {
	list, err := c.manual(ctx, electionID)
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i := range r.Contests {
		at[r.Contests[i].ID] = i
	}
	for i := range list {
		for j := range list[i].Contests {
			lines, err := list[i].Contests[j].lines(v)
			if err != nil {
				return err
			}
			x := &r.Contests[at[list[i].Contests[j].Contest]]
			x.Manual = append(x.Manual, lines...)
		}
	}
	return nil
}
