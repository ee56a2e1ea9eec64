package deck_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sallyport/internal/ems/election"
)

// generator makes small elections with every kind of contest.
type generator struct {
	rng     *rand.Rand
	d       *election.Definition
	options int // so far
}

// random makes a valid election; the same seed gives the same one.
func random(t testing.TB, seed uint64) *election.Valid {
	t.Helper()
	g := &generator{rng: rand.New(rand.NewPCG(seed, 17))}
	g.d = &election.Definition{Version: "1.0.0", GeneratedDate: "2026-09-01T12:00:00Z", Issuer: "Office", IssuerAbbreviation: "O",
		VendorApplicationID: "test", SequenceStart: 1, SequenceEnd: 1, IsTest: true, Elections: []election.Election{{
			Name: election.English("Random"), Type: election.General, StartDate: "2026-11-03", EndDate: "2026-11-03", ScopeID: "county",
			ExternalIDs: []election.ExternalID{{Type: "local-level", Value: "e"}}}}}
	g.units()
	for i := range 1 + g.rng.IntN(4) {
		g.d.Parties = append(g.d.Parties, election.Party{ID: fmt.Sprintf("party-%d", i), Name: election.English(fmt.Sprintf("Party %d", i))})
	}
	g.contests()
	g.styles()
	v, problems := g.d.Check()
	if v == nil {
		t.Fatalf("seed %d: %v", seed, problems)
	}
	return v
}

func (g *generator) election() *election.Election { return &g.d.Elections[0] }

func (g *generator) one(of int) bool { return g.rng.IntN(of) == 0 }

func (g *generator) units() {
	county := election.Unit{ID: "county", Type: election.County}
	for i := range 1 + g.rng.IntN(3) {
		p := election.Unit{ID: fmt.Sprintf("precinct-%d", i), Type: election.Precinct}
		county.Composing = append(county.Composing, p.ID)
		if g.one(3) {
			for j := range 2 {
				s := election.Unit{ID: fmt.Sprintf("split-%d-%d", i, j), Type: election.SplitPrecinct}
				p.Composing = append(p.Composing, s.ID)
				g.d.Units = append(g.d.Units, s)
			}
		}
		g.d.Units = append(g.d.Units, p)
	}
	g.d.Units = append(g.d.Units, county)
}

// places are the units in which ballots are cast.
func (g *generator) places() (out []string) {
	for _, u := range g.d.Units {
		if u.Type != election.County && len(u.Composing) == 0 {
			out = append(out, u.ID)
		}
	}
	return out
}

func (g *generator) party() string { return g.d.Parties[g.rng.IntN(len(g.d.Parties))].ID }

func (g *generator) base(name string) election.ContestBase {
	id := fmt.Sprintf("contest-%d", len(g.election().Contests))
	return election.ContestBase{ID: id, Name: name + " " + id, DistrictID: "county"}
}

func (g *generator) optionBase() election.OptionBase {
	g.options++
	return election.OptionBase{ID: fmt.Sprintf("option-%d", g.options)}
}

func (g *generator) candidates(n int, parties bool) (out election.Options) {
	for range n {
		id := fmt.Sprintf("candidate-%d", len(g.election().Candidates))
		c := election.Candidate{ID: id, BallotName: election.English(strings.ToUpper(id))}
		o := &election.CandidateOption{OptionBase: g.optionBase(), Candidates: []string{id}}
		switch {
		case !parties || g.one(5):
		case g.one(3):
			c.PartyID = g.party()
		default:
			o.Endorsements = []string{g.party()}
			if p := g.party(); g.one(4) && p != o.Endorsements[0] {
				o.Endorsements = append(o.Endorsements, p)
			}
		}
		g.election().Candidates = append(g.election().Candidates, c)
		out = append(out, o)
	}
	return out
}

func (g *generator) writeIns(o election.Options) election.Options {
	for range g.rng.IntN(3) {
		o = append(o, &election.CandidateOption{OptionBase: g.optionBase(), WriteIn: true})
	}
	return o
}

func (g *generator) answers(n int) (out election.Options) {
	for i := range n {
		out = append(out, &election.BallotMeasureOption{OptionBase: g.optionBase(), Selection: election.English(fmt.Sprintf("Answer %d", i))})
	}
	return out
}

func (g *generator) partyOptions() (out election.Options) {
	for _, p := range g.d.Parties {
		out = append(out, &election.PartyOption{OptionBase: g.optionBase(), Parties: []string{p.ID}})
	}
	return out
}

func (g *generator) add(c election.Contest) {
	g.election().Contests = append(g.election().Contests, c)
}

func (g *generator) contests() {
	var marked, other []string // contests that can be controlled
	for range 1 + g.rng.IntN(5) {
		c := g.candidateContest()
		g.add(c)
		if c.VoteVariation != election.Cumulative && c.VoteVariation != election.RCV {
			marked = append(marked, c.ID)
		} else {
			other = append(other, c.ID)
		}
	}
	if g.one(2) {
		b := g.base("Measure")
		b.Options = g.answers(2 + g.rng.IntN(2))
		g.add(&election.BallotMeasureContest{ContestBase: b})
		other = append(other, b.ID)
	}
	if g.one(3) {
		b := g.base("Retention")
		b.Options = g.answers(2)
		g.candidates(1, false)
		g.add(&election.RetentionContest{ContestBase: b, CandidateID: g.election().Candidates[0].ID})
	}
	if g.one(3) {
		b := g.base("Party list")
		b.Options = g.partyOptions()
		g.add(&election.PartyContest{ContestBase: b})
	}
	g.controls(marked, other)
}

func (g *generator) candidateContest() *election.CandidateContest {
	c := &election.CandidateContest{ContestBase: g.base("Office"), VotesAllowed: 1}
	n := 1 + g.rng.IntN(6)
	c.Options = g.writeIns(g.candidates(n, true))
	switch g.rng.IntN(6) {
	case 0:
		c.VoteVariation, c.VotesAllowed = election.NOfM, int64(2+g.rng.IntN(3))
	case 1:
		c.VoteVariation, c.VotesAllowed = election.Cumulative, int64(1+g.rng.IntN(4))
	case 2:
		c.VoteVariation, c.VotesAllowed = election.Approval, int64(len(c.Options))
	case 3:
		ranks := int64(1 + g.rng.IntN(8))
		c.VoteVariation, c.RanksAllowed = election.RCV, &ranks
	}
	return c
}

func (g *generator) controls(marked, other []string) {
	some := func(from []string) (out []string) {
		for _, id := range from {
			if g.one(2) {
				out = append(out, id)
			}
		}
		return out
	}
	if g.one(2) && len(marked) > 0 {
		b := g.base("Straight party")
		b.Options = g.partyOptions()
		rule := election.Exclusive
		if g.one(2) {
			rule = election.Inclusive
		}
		g.add(&election.StraightPartyContest{ContestBase: b, Controlled: some(marked), Ruleset: rule})
	}
	var primaries, free []string
	for _, id := range some(append(marked, other...)) {
		if c, ok := g.contest(id).(*election.CandidateContest); ok && g.one(2) {
			c.PrimaryParties = []string{g.party()}
			primaries = append(primaries, id)
		} else {
			free = append(free, id)
		}
	}
	if len(primaries) > 0 && g.one(2) {
		b := g.base("Preference")
		b.Options = g.partyOptions()
		g.add(&election.PartyPreferenceContest{ContestBase: b, Controlled: primaries})
	}
	if len(free) > 0 && g.one(3) {
		b := g.base("Recall")
		for i := range 2 {
			b.Options = append(b.Options, &election.ActivationOption{OptionBase: g.optionBase(), Activates: i == 0, Selection: election.English("Yes")})
		}
		g.add(&election.ActivationContest{ContestBase: b, Controlled: free})
	}
}

func (g *generator) contest(id string) election.Contest {
	for _, c := range g.election().Contests {
		if c.Base().ID == id {
			return c
		}
	}
	return nil
}

// styles use all places; each contest stands on the first one.
func (g *generator) styles() {
	for i := range 1 + g.rng.IntN(3) {
		s := election.Style{ExternalIDs: []election.ExternalID{{Type: "local-level", Value: fmt.Sprintf("style-%d", i)}}}
		for _, id := range g.places() {
			if i == 0 || g.one(2) {
				s.Units = append(s.Units, id)
			}
		}
		if len(s.Units) == 0 {
			s.Units = g.places()[:1]
		}
		for _, n := range g.rng.Perm(len(g.election().Contests)) {
			c := g.election().Contests[n]
			if i > 0 && g.one(4) && len(s.Content) > 0 {
				continue
			}
			o := &election.OrderedContest{Contest: c.Base().ID}
			if g.one(2) {
				for _, k := range g.rng.Perm(len(c.Base().Options)) {
					o.Options = append(o.Options, c.Base().Options[k].Base().ID)
				}
			}
			s.Content = append(s.Content, o)
		}
		g.election().Styles = append(g.election().Styles, s)
	}
}
