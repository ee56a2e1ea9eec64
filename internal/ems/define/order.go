package define

import (
	"cmp"
	"math"
	"slices"

	"sallyport/internal/ems/election"
)

// ballotOrder sorts contests as they stand on ballots: those that control the
// ballot first; then those under given headings; then those that are numbered;
// then people before questions, by the level of their district; and then as
// they were given.
func ballotOrder(list []election.Contest, g *geography, headers []HeaderGroup) []election.Contest {
	headed := map[ID]int{}
	for _, h := range headers {
		for _, id := range h.Contests {
			headed[id] = len(headed) - math.MaxInt32
		}
	}
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b election.Contest) int {
		return cmp.Or(
			cmp.Compare(control(a), control(b)),
			cmp.Compare(headed[a.Base().ID], headed[b.Base().ID]),
			cmp.Compare(sequence(a), sequence(b)),
			cmp.Compare(question(a), question(b)),
			cmp.Compare(level(g, a), level(g, b)),
		)
	})
	return out
}

// control is 0 for the contests that a voter must see first.
func control(c election.Contest) int {
	switch kindOf(c) {
	case preferenceKind:
		return 0
	case straightKind:
		return 1
	}
	return 2
}

func sequence(c election.Contest) int64 {
	if n := c.Base().SequenceOrder; n != nil {
		return *n
	}
	return math.MaxInt64
}

// question puts people before judges who stay or go, and those before measures.
func question(c election.Contest) int {
	switch kindOf(c) {
	case retentionKind:
		return 1
	case measureKind, activationKind:
		return 2
	}
	return 0
}

// level is the level of government of a contest's district: federal, state,
// courts, county, city, school, special, precinct.
func level(g *geography, c election.Contest) int {
	u := g.units[c.Base().DistrictID]
	if u == nil {
		return math.MaxInt
	}
	switch u.Type {
	case "country", "congressional":
		return 0
	case "state", "state-senate", "state-house":
		return 1
	case "judicial":
		return 2
	case "county", "county-council", "borough":
		return 3
	case "city", "city-council", "municipality", "town", "township", "village", "ward":
		return 4
	case "school":
		return 5
	case "precinct", "split-precinct", "combined-precinct":
		return 7
	}
	return 6
}
