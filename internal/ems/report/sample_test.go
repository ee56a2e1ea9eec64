package report

import (
	"fmt"
	"testing"
	"time"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/results"
)

func number(n int64) *int64 { return &n }

// seed makes counts that are the same in each run.
type seed uint64

func (s *seed) next(n int64) int64 {
	*s = *s*6364136223846793005 + 1442695040888963407
	return int64(uint64(*s)>>33) % n
}

// fill makes a line of ballots ballots that keeps the identity.
func (s *seed) fill(c *results.Contest, unit, kind string, ballots int64) results.Line {
	l := results.Line{UnitID: unit, Type: kind, Ballots: ballots, Votes: make([]int64, len(c.Options))}
	left := c.VotesAllowed * ballots
	for k := range l.Votes {
		l.Votes[k] = s.next(left/2 + 1)
		left -= l.Votes[k]
		if c.Options[k].WriteIn {
			l.WriteIns += l.Votes[k]
		}
	}
	l.Overvotes = s.next(left/3 + 1)
	l.Undervotes = left - l.Overvotes
	return l
}

// maple is a county with a contest of every kind.
func maple(t testing.TB) *results.Results {
	t.Helper()
	r := &results.Results{
		ElectionID: "maple-2026", Name: "Maple General <2026>", Type: "general", Date: "2026-11-03", EndDate: "2026-11-03",
		Issuer: "Maple County", IssuerAbbreviation: "MC", Status: results.UnofficialComplete, Sequence: 4, GeneratedAt: time.Date(2026, 11, 4, 5, 6, 7, 0, time.UTC),
		DefinitionSHA256: "5f2c91aa00000000000000000000000000000000000000000000000000000000", StateDigest: "77aa", LogHead: "8841 qm9x", ScopeID: "maple",
		Units: []results.Unit{
			{ID: "maple", Name: "Maple County", Type: "county", OCDID: "ocd-division/country:us/state:ny/county:maple"},
			{ID: "p1", Name: "Precinct 1", Type: "precinct", Within: []string{"maple"}, Registered: number(400)},
			{ID: "p2", Name: "Precinct 2 & 3", Type: "precinct", Within: []string{"maple"}, Registered: number(500)},
			{ID: "p2a", Name: "Precinct 2A", Type: "split-precinct", Within: []string{"p2"}},
			{ID: "p2b", Name: "Precinct 2B", Type: "split-precinct", Within: []string{"p2", "ward"}},
			{ID: "ward", Name: "Ward 9", Type: "ward"},
		},
		Parties:    []results.Party{{ID: "red", Name: "Red Party", Abbreviation: "RED", Color: "ff0000"}, {ID: "blue", Name: "Blue Party", Abbreviation: "BLU"}},
		Candidates: []results.Candidate{{ID: "pres-1", Name: "Ann Alpha"}, {ID: "vice-1", Name: "Ben Beta"}, {ID: "judge", Name: "Judge Jones"}},
	}
	kinds := []string{"election-day", "absentee", "absentee-mail", "curbside"}
	ballots := map[string]int64{"election-day": 120, "absentee": 14, "absentee-mail": 60, "curbside": 3}
	contest := func(c results.Contest, options ...results.Option) {
		c.Options = options
		if c.DistrictID == "" {
			c.DistrictID = "maple"
		}
		if c.VotesAllowed == 0 {
			c.VotesAllowed, c.Elected = 1, 1
		}
		s := seed(len(r.Contests) + 1)
		for _, u := range []string{"p1", "p2a", "p2b"} {
			if c.DistrictID == "ward" && u != "p2b" {
				continue
			}
			for _, k := range kinds {
				c.Lines = append(c.Lines, s.fill(&c, u, k, ballots[k]))
			}
		}
		r.Contests = append(r.Contests, c)
	}
	for i := range r.Units {
		if id := r.Units[i].ID; id == "p1" || id == "p2a" || id == "p2b" {
			for _, k := range kinds {
				r.Units[i].Ballots = append(r.Units[i].Ballots, results.Ballots{Type: k, Count: ballots[k]})
			}
		}
	}
	contest(results.Contest{ID: "president", Title: "President", Variation: "plurality", ExternalIDs: []string{"ny-pres"}},
		results.Option{ID: "ticket", Name: "Ann Alpha / Ben Beta", Parties: []string{"red"}, Candidates: []string{"pres-1", "vice-1"}, Incumbent: true},
		results.Option{ID: "solo", Name: "=Cy Gamma", Parties: []string{"blue", "red"}, Candidates: []string{"pres-2"}},
		results.Option{ID: "written", Name: "Write-in", WriteIn: true})
	contest(results.Contest{ID: "council", Title: "Council, Ward 9", Variation: "n-of-m", DistrictID: "ward", VotesAllowed: 2, Elected: 2, PrimaryParty: "blue"},
		results.Option{ID: "c1", Name: "Dee", Candidates: []string{"c1p"}}, results.Option{ID: "c2", Name: "Eve", Candidates: []string{"c2p"}}, results.Option{ID: "c3", Name: "Fay", Candidates: []string{"c3p"}})
	contest(results.Contest{ID: "bond", Title: "Bond", Kind: model.Measure, Variation: "super-majority", Threshold: model.Threshold{Num: 60, Den: 100}},
		results.Option{ID: "bond-yes", Name: "Yes"}, results.Option{ID: "bond-no", Name: "No"})
	contest(results.Contest{ID: "retain", Title: "Retain Judge Jones", Kind: model.Retention, CandidateID: "judge", Variation: "majority"},
		results.Option{ID: "retain-yes", Name: "Yes"}, results.Option{ID: "retain-no", Name: "No"})
	contest(results.Contest{ID: "straight", Title: "Straight Party", Kind: model.StraightParty}, results.Option{ID: "sp-red", Name: "Red Party", Parties: []string{"red"}}, results.Option{ID: "sp-blue", Name: "Blue Party", Parties: []string{"blue"}})
	contest(results.Contest{ID: "preference", Title: "Party Preference", Kind: model.PartyPreference}, results.Option{ID: "pp-red", Name: "Red Party", Parties: []string{"red"}})
	contest(results.Contest{ID: "recall", Title: "Activation", Kind: model.Activation}, results.Option{ID: "act-yes", Name: "Yes"}, results.Option{ID: "act-no", Name: "No"})
	contest(results.Contest{ID: "lists", Title: "Assembly", Kind: model.PartyList, Variation: "proportional", VotesAllowed: 3, Elected: 5},
		results.Option{ID: "l-red", Name: "Red Party", Parties: []string{"red"}}, results.Option{ID: "l-blue", Name: "Blue Party", Parties: []string{"blue"}})
	contest(results.Contest{ID: "mayor", Title: "Mayor", Variation: "rcv", Ranked: true}, results.Option{ID: "m1", Name: "Gil", Candidates: []string{"m1p"}}, results.Option{ID: "m2", Name: "Hal", Candidates: []string{"m2p"}}, results.Option{ID: "m3", Name: "Ida", Candidates: []string{"m3p"}})
	m := &r.Contests[len(r.Contests)-1]
	m.Rounds = []results.Round{{Number: 1, Threshold: "200", Votes: []string{"150", "120.5", "80.25"}, Eliminated: []string{"m3"}, Inactive: []results.Inactive{{Cause: "exhausted choices", Count: "3"}}},
		{Number: 2, Threshold: "200", Votes: []string{"151", "199.75", ""}, Elected: []string{"m2"}}}
	p := &r.Contests[0]
	written := p.Total().Votes[2]
	p.WriteIns = []results.NameVotes{{Name: "Zoe Zeta", Votes: written - 1}}
	p.Manual = []results.Line{{UnitID: "p1", Type: "election-day", Ballots: 2, Votes: []int64{1, 0, 0}, Undervotes: 1}, {UnitID: "p2a", Type: results.Total, Ballots: 1, Votes: []int64{0, 1, 0}}}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	return r
}

// large is a county of precincts × contests × 3 ways of voting.
func large(precincts, contests int) *results.Results {
	r := &results.Results{ElectionID: "large", Name: "Large", Type: "general", Date: "2026-11-03", Issuer: "Large County", IssuerAbbreviation: "LC", Status: results.UnofficialPartial,
		Sequence: 1, GeneratedAt: time.Date(2026, 11, 4, 0, 0, 0, 0, time.UTC), ScopeID: "county", Units: []results.Unit{{ID: "county", Name: "Large County", Type: "county"}}}
	kinds := []string{"election-day", "early", "absentee-mail"}
	for i := range precincts {
		u := results.Unit{ID: fmt.Sprintf("p%04d", i), Name: fmt.Sprintf("Precinct %04d", i), Type: "precinct", Within: []string{"county"}, Registered: number(1500)}
		for _, k := range kinds {
			u.Ballots = append(u.Ballots, results.Ballots{Type: k, Count: 300})
		}
		r.Units = append(r.Units, u)
	}
	for n := range contests {
		c := results.Contest{ID: fmt.Sprintf("c%02d", n), Title: fmt.Sprintf("Contest %d", n), VotesAllowed: 1, Elected: 1, DistrictID: "county"}
		for k := range 4 {
			c.Options = append(c.Options, results.Option{ID: fmt.Sprintf("c%02d-%d", n, k), Name: fmt.Sprintf("Candidate %d-%d", n, k), WriteIn: k == 3})
		}
		s := seed(n)
		for i := range precincts {
			for _, k := range kinds {
				c.Lines = append(c.Lines, s.fill(&c, fmt.Sprintf("p%04d", i), k, 300))
			}
		}
		r.Contests = append(r.Contests, c)
	}
	return r
}
