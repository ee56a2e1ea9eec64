package ems

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
)

// Group is the part of a tally that has one thing in common.
type Group struct {
	Key     string `json:"key"` // identifier; empty where the records do not say
	Name    string `json:"name"`
	Ballots int64  `json:"ballots"`
	// Contests are those that its ballots bear, in the order of the definition.
	Contests []GroupContest `json:"contests"`
}

// GroupContest is the count of one contest in a group.
type GroupContest struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Options []string `json:"options"` // names, in the order of the votes
	tally.Counts
}

// Groups are the ways to break a tally down.
func Groups() []string {
	return []string{"precinct", "split", "style", "batch", "device", "method", "party"}
}

// ErrGroup means that there is no such way to break a tally down.
var ErrGroup = errors.New("a tally cannot be broken down by that")

// Breakdown returns the counts of an election by one of [Groups]: by precinct
// with its splits together, by precinct or split, by ballot style, batch, device,
// voting method, or the party whose ballot it is. They are those of the stored
// subtotals, add up to the tally, and are given only when the polls are closed.
func (c *Core) Breakdown(ctx context.Context, electionID, by string) ([]Group, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, v, err := c.over(ctx, electionID)
	if err != nil {
		return nil, err
	}
	d := v.Compiled()
	subs, err := c.subtotals(ctx, electionID, d)
	if err != nil {
		return nil, err
	}
	if _, err := subs.Tally(); err != nil { // checked as a whole first
		return nil, err
	}
	batches, err := c.batches(ctx, electionID)
	if err != nil {
		return nil, err
	}
	return breakdown(subs, d, batches, by)
}

func breakdown(subs *tally.Subtotals, d *model.Definition, batches map[int64]store.Batch, by string) ([]Group, error) {
	names := map[string]string{}
	named := func(key, name string) string {
		names["="+key] = name // a key may be empty, and "" would be left out
		return "=" + key
	}
	var rows map[string][]tally.Row
	var cast map[string]int64
	cell := func(of func(tally.Cell) string) { rows, cast = subs.ByPrecinct(of), subs.CastByPrecinct(of) }
	style := func(of func(int) string) { rows, cast = subs.ByStyle(of), subs.CastByStyle(of) }
	batch := func(of func(int64) string) { rows, cast = subs.Breakdown(of), subs.Ballots(of) }
	switch by {
	case "precinct":
		cell(func(k tally.Cell) string { return named(d.Precincts[k.Precinct].Of, d.Precincts[k.Precinct].OfName) })
	case "split":
		cell(func(k tally.Cell) string { return named(d.Precincts[k.Precinct].ID, d.Precincts[k.Precinct].Name) })
	case "method":
		cell(func(k tally.Cell) string { return named(k.Method, k.Method) })
	case "style":
		style(func(n int) string { return named(d.Styles[n].IDs[0], d.Styles[n].IDs[0]) })
	case "party":
		style(func(n int) string { return named(partyOf(d, n)) })
	case "device":
		batch(func(no int64) string { return named(batches[no].Device, batches[no].Device) })
	case "batch":
		batch(func(no int64) string {
			b := batches[no]
			return named(b.Device+"/"+b.ID+"/"+b.Method, b.ID)
		})
	default:
		return nil, fmt.Errorf("%w: %q; there are %q", ErrGroup, by, Groups())
	}
	list := []Group{}
	for k, r := range rows {
		if cast[k] > 0 {
			g := Group{Key: k[1:], Name: names[k], Ballots: cast[k], Contests: []GroupContest{}}
			for _, x := range r {
				g.Contests = append(g.Contests, groupContest(&d.Contests[x.Contest], x.Counts))
			}
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b Group) int { return cmp.Compare(a.Key, b.Key) })
	return list, nil
}

func groupContest(c *model.Contest, n tally.Counts) GroupContest {
	g := GroupContest{ID: c.ID, Title: c.Name, Counts: n}
	for _, o := range c.Options {
		g.Options = append(g.Options, o.Name)
	}
	return g
}

// partyOf is the party whose ballot a style is; none for ballots of no party.
func partyOf(d *model.Definition, style int) (key, name string) {
	for i, p := range d.Styles[style].Parties {
		if i > 0 {
			key, name = key+"+", name+" / "
		}
		key, name = key+d.Parties[p].ID, name+d.Parties[p].Name
	}
	return key, name
}
