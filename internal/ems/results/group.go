package results

import (
	"cmp"
	"slices"
)

// Unit types that grouping gives a meaning (ReportingUnitType of SP 1500-100).
const (
	precinct      = "precinct"
	splitPrecinct = "split-precinct"
	combined      = "combined-precinct"
	county        = "county"
)

// Group is units in which votes are cast, taken together. Units are in the
// order of the results.
type Group struct {
	ID    string
	Name  string
	Units []string
}

// Precincts are the units in which votes are cast, the splits of a precinct
// taken together.
func (r *Results) Precincts() []Group {
	return r.group(func(u *Unit, up map[string]*Unit) *Unit {
		if u.Type == splitPrecinct {
			for _, id := range u.Within {
				if p := up[id]; p != nil && (p.Type == precinct || p.Type == combined) {
					return p
				}
			}
		}
		return u
	})
}

// Counties are the units in which votes are cast by the county they are in;
// those outside of any county stand for themselves.
func (r *Results) Counties() []Group {
	return r.group(func(u *Unit, up map[string]*Unit) *Unit {
		next, seen := []*Unit{u}, map[string]bool{}
		for len(next) > 0 {
			x := next[0]
			next = next[1:]
			if x.Type == county {
				return x
			}
			for _, id := range x.Within {
				if p := up[id]; p != nil && !seen[id] {
					seen[id] = true
					next = append(next, p)
				}
			}
		}
		return u
	})
}

// group puts the units in which votes are cast together by their key.
func (r *Results) group(key func(*Unit, map[string]*Unit) *Unit) []Group {
	units := make(map[string]*Unit, len(r.Units))
	for i := range r.Units {
		units[r.Units[i].ID] = &r.Units[i]
	}
	cast := r.cast()
	at := map[string]int{}
	var groups []Group
	for i := range r.Units {
		u := &r.Units[i]
		if !cast[u.ID] {
			continue
		}
		k := key(u, units)
		n, ok := at[k.ID]
		if !ok {
			n = len(groups)
			at[k.ID] = n
			groups = append(groups, Group{ID: k.ID, Name: cmp.Or(k.Name, k.ID)})
		}
		groups[n].Units = append(groups[n].Units, u.ID)
	}
	return groups
}

// cast is the units that have counts of their own.
func (r *Results) cast() map[string]bool {
	cast := map[string]bool{}
	for i := range r.Units {
		if len(r.Units[i].Ballots) > 0 {
			cast[r.Units[i].ID] = true
		}
	}
	for i := range r.Contests {
		r.Contests[i].each(func(l *Line) { cast[l.UnitID] = true })
	}
	return cast
}

// In is the contest's counts in each group, in their order; nil where the
// contest was not voted on.
func (c *Contest) In(groups []Group) []*Line {
	by := c.ByUnit()
	out := make([]*Line, len(groups))
	for i, g := range groups {
		for _, id := range g.Units {
			l, ok := by[id]
			if !ok {
				continue
			}
			if out[i] == nil {
				t := c.empty(g.ID, Total)
				out[i] = &t
			}
			out[i].Add(&l)
		}
	}
	return out
}

// CountItemTypes are the values of CountItemType in the order in which reports
// show ways of voting.
func CountItemTypes() []string {
	return []string{"election-day", "early", "absentee", "absentee-mail", "absentee-in-person", "absentee-fwab", "uocava", "provisional", "write-in", "seats", "other", Total}
}

// Methods are the ways of voting that the results tell apart: those of the
// standard in the order of [CountItemTypes], then others by name; none where
// all counts are totals.
func (r *Results) Methods() []string {
	seen := map[string]bool{}
	for i := range r.Units {
		for _, b := range r.Units[i].Ballots {
			seen[b.Type] = true
		}
	}
	for i := range r.Contests {
		r.Contests[i].each(func(l *Line) { seen[l.Type] = true })
	}
	delete(seen, Total)
	var out []string
	for _, t := range CountItemTypes() {
		if seen[t] {
			out = append(out, t)
			delete(seen, t)
		}
	}
	known := len(out)
	for t := range seen {
		out = append(out, t)
	}
	slices.Sort(out[known:])
	return out
}

// PartyContests are the contests of one party's primary.
type PartyContests struct {
	Party    string // its identifier; empty for contests that are nobody's primary
	Contests []int  // places in [Results.Contests]
}

// ByParty are the contests by the primary they belong to, in the order of the
// parties; those of no primary come last.
func (r *Results) ByParty() []PartyContests {
	by := map[string][]int{}
	for i := range r.Contests {
		p := r.Contests[i].PrimaryParty
		by[p] = append(by[p], i)
	}
	var out []PartyContests
	for _, p := range r.Parties {
		if p.ID != "" && len(by[p.ID]) > 0 {
			out = append(out, PartyContests{p.ID, by[p.ID]})
		}
	}
	if len(by[""]) > 0 {
		out = append(out, PartyContests{"", by[""]})
	}
	return out
}

// Counted is the CountItemStatus of a unit: what it says itself, or what
// follows from the status of the results and the ballots counted there.
func (r *Results) Counted(u *Unit) string {
	switch {
	case u.Counted != "":
		return u.Counted
	case r.Status.Complete():
		return "completed"
	case u.Total().Count > 0 || u.Total().Suppressed:
		return "in-process"
	}
	return "not-processed"
}

// Reported says of each group of units whether some ballot is counted there, or
// it is completed.
func (r *Results) Reported(groups []Group) []bool {
	units := make(map[string]*Unit, len(r.Units))
	for i := range r.Units {
		units[r.Units[i].ID] = &r.Units[i]
	}
	out := make([]bool, len(groups))
	for i, g := range groups {
		out[i] = slices.ContainsFunc(g.Units, func(id string) bool {
			s := r.Counted(units[id])
			return s == "completed" || s == "in-process"
		})
	}
	return out
}

// Reporting is how many of the precincts have reported ([Results.Reported]).
func (r *Results) Reporting() (reported, all int) {
	list := r.Reported(r.Precincts())
	for _, yes := range list {
		if yes {
			reported++
		}
	}
	return reported, len(list)
}
