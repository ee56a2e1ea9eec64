package deck_test

import (
	"maps"
	"os"
	"strings"
	"testing"

	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/testtool"
)

// The published samples of contests that control others, with the style and the
// identifier that they leave out, are covered and counted alike both ways.
func TestPublishedSamples(t *testing.T) {
	for name, rules := range map[string][]string{
		"controlling_contest_activation":          {"activation"},
		"controlling_contest_partisan_preference": {"preference"},
		"controlling_contest_straight_party":      {"straight party"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(testtool.Shared(t, "nist", "1500-20", "samples", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			def, err := election.Read(data)
			if err != nil {
				t.Fatal(err)
			}
			e := &def.Elections[0]
			e.ExternalIDs = []election.ExternalID{{Type: "local-level", Value: "e"}}
			style := election.Style{Units: []string{def.Units[0].ID}, ExternalIDs: []election.ExternalID{{Type: "local-level", Value: "s"}}}
			for _, c := range e.Contests {
				style.Content = append(style.Content, &election.OrderedContest{Contest: c.Base().ID})
			}
			e.Styles = append(e.Styles, style)
			v := checked(t, def)
			d := built(t, v, deck.Options{})
			if r := deck.Compare(expected(t, v, d), counted(t, v.Compiled(), ballots(t, v, d))); !r.Same() {
				t.Error(text(t, r))
			}
			if c, err := deck.Cover(v, d); err != nil || !c.Complete() {
				t.Errorf("%s: %v %+v", rules, err, c)
			}
		})
	}
}

// partisan is an election with one straight-party contest, which names the
// contest that it controls twice, and one contest for two, with two candidates
// of party A and one of party B.
func partisan(t *testing.T, rule election.StraightPartyRuleset, change func(*election.Definition)) *election.Valid {
	t.Helper()
	g := &election.Definition{Version: "1.0.0", SequenceStart: 1, SequenceEnd: 1, Units: []election.Unit{{ID: "p", Type: election.Precinct}},
		Parties: []election.Party{{ID: "A", Name: election.English("A")}, {ID: "B", Name: election.English("B")}}}
	c := &election.CandidateContest{ContestBase: election.ContestBase{ID: "c", Name: "C", DistrictID: "p", VoteVariation: election.NOfM}, VotesAllowed: 2}
	e := election.Election{Name: election.English("E"), StartDate: "2026-11-03", EndDate: "2026-11-03", ScopeID: "p", ExternalIDs: []election.ExternalID{{Value: "e"}}}
	for _, o := range [][2]string{{"a1", "A"}, {"a2", "A"}, {"b1", "B"}} {
		e.Candidates = append(e.Candidates, election.Candidate{ID: "x" + o[0], BallotName: election.English(o[0]), PartyID: o[1]})
		c.Options = append(c.Options, &election.CandidateOption{OptionBase: election.OptionBase{ID: o[0]}, Candidates: []string{"x" + o[0]}})
	}
	c.Options = append(c.Options, &election.CandidateOption{OptionBase: election.OptionBase{ID: "w"}, WriteIn: true})
	e.Contests = election.Contests{straightContest("sp", rule, "c"), c}
	e.Styles = []election.Style{{Units: []string{"p"}, ExternalIDs: []election.ExternalID{{Value: "s"}},
		Content: election.Content{&election.OrderedContest{Contest: "sp"}, &election.OrderedContest{Contest: "c"}}}}
	g.Elections = []election.Election{e}
	if change != nil {
		change(g)
	}
	return checked(t, g)
}

func straightContest(id string, rule election.StraightPartyRuleset, controls ...string) *election.StraightPartyContest {
	return &election.StraightPartyContest{ContestBase: election.ContestBase{ID: id, Name: id, DistrictID: "p", Options: election.Options{
		&election.PartyOption{OptionBase: election.OptionBase{ID: id + "A"}, Parties: []string{"A"}},
		&election.PartyOption{OptionBase: election.OptionBase{ID: id + "B"}, Parties: []string{"B"}}}}, Controlled: controls, Ruleset: rule}
}

// position is where options stand in the contest of [partisan].
var position = map[string]int{"spA": 1, "spB": 2, "a1": 1, "a2": 2, "b1": 3, "w": 4}

// What a straight-party choice gives, ballot by ballot.
func TestStraightPartyRulesets(t *testing.T) {
	for _, c := range []struct {
		rule          election.StraightPartyRuleset
		party, direct string
		votes         string // options with a vote
		over, under   int64
	}{
		{election.Exclusive, "spA", "", "a1 a2", 0, 0},
		{election.Exclusive, "spB", "", "b1", 0, 1},
		{election.Exclusive, "spA", "b1", "b1", 0, 1},
		{election.Exclusive, "spB", "a1", "a1", 0, 1},
		{election.Exclusive, "spA", "w", "w", 0, 1},
		{election.Exclusive, "spA spB", "b1", "b1", 0, 1},
		{election.Exclusive, "spA spB", "", "", 0, 2},
		{election.Inclusive, "spA", "", "a1 a2", 0, 0},
		{election.Inclusive, "spA", "a2", "a1 a2", 0, 0},
		{election.Inclusive, "spA", "b1", "b1", 0, 1}, // three would be too many
		{election.Inclusive, "spB", "a1", "a1 b1", 0, 0},
		{election.Inclusive, "spB", "a1 w", "a1 w", 0, 0},
		{election.Inclusive, "spB", "a1 a2 b1", "", 2, 0},
	} {
		v := partisan(t, c.rule, nil)
		s := deck.Sheet{Number: 1, Style: "s", Precinct: "p", Marks: map[string][]deck.Mark{}}
		for contest, list := range map[string]string{"sp": c.party, "c": c.direct} {
			for _, o := range strings.Fields(list) {
				s.Marks[contest] = append(s.Marks[contest], deck.Mark{Option: o, Position: position[o], Votes: 1})
			}
		}
		e := expected(t, v, &deck.Deck{DefinitionSHA256: definitionDigest, Sheets: []deck.Sheet{s}})
		got, _ := e.Line(deck.Key{Contest: "c", Precinct: "p"})
		want := map[string]int64{"a1": 0, "a2": 0, "b1": 0, "w": 0}
		for _, o := range strings.Fields(c.votes) {
			want[o] = 1
		}
		if !maps.Equal(got.Votes, want) || got.Overvotes != c.over || got.Undervotes != c.under {
			t.Errorf("%s, party %q, direct %q: %+v", c.rule, c.party, c.direct, got)
		}
	}
}

// A place to write a name is no party's candidate, even where the definition
// gives it a party: a straight-party choice writes no name.
func TestStraightPartyGivesNoWriteIns(t *testing.T) {
	v := partisan(t, election.Inclusive, func(d *election.Definition) {
		d.Elections[0].Contests[1].Base().Options[3].(*election.CandidateOption).Endorsements = []string{"B"}
	})
	s := deck.Sheet{Number: 1, Style: "s", Precinct: "p", Marks: map[string][]deck.Mark{"sp": {{Option: "spB", Position: 2, Votes: 1}}}}
	e := expected(t, v, &deck.Deck{DefinitionSHA256: definitionDigest, Sheets: []deck.Sheet{s}})
	if got, _ := e.Line(deck.Key{Contest: "c"}); got.Votes["w"] != 0 || got.WriteIns != 0 || got.Votes["b1"] != 1 || got.Undervotes != 1 {
		t.Errorf("%+v", got)
	}
}

// A count that forgets what one contest does to others, or goes by the other
// ruleset, differs from what is expected.
func TestForgottenControlsShow(t *testing.T) {
	tried := map[string]int{}
	for seed := range uint64(60) {
		v := random(t, seed)
		d, err := deck.Build(v, deck.Options{DefinitionSHA256: definitionDigest})
		if err != nil {
			t.Fatal(err)
		}
		c, err := deck.Cover(v, &deck.Deck{DefinitionSHA256: definitionDigest})
		if err != nil {
			t.Fatal(err)
		}
		applies := map[string]bool{} // rules that this election can exercise
		for _, i := range c.Uncovered {
			applies[i.Rule] = true
		}
		e, list := expected(t, v, d), ballots(t, v, d)
		for n, contest := range v.Compiled().Contests {
			try := func(what string, change func(*model.Contest)) {
				t.Helper()
				def, err := v.Definition().Clone()
				if err != nil {
					t.Fatal(err)
				}
				m := checked(t, def).Compiled()
				change(&m.Contests[n])
				tried[what]++
				if r := deck.Compare(e, counted(t, m, list)); r.Same() {
					t.Errorf("seed %d, contest %s: %s does not show", seed, contest.ID, what)
				}
			}
			forget := func(c *model.Contest) { c.Controls = nil }
			switch {
			case len(contest.Controls) == 0:
			case contest.Kind == model.StraightParty && applies["straight-party-gives"]:
				try("straight party forgotten", forget)
				if applies["straight-party-adds"] {
					try("other ruleset", func(c *model.Contest) { c.Inclusive = !c.Inclusive })
				}
			case contest.Kind == model.PartyPreference:
				try("preference forgotten", forget)
			case contest.Kind == model.Activation:
				try("activation forgotten", forget)
				try("activation the other way", func(c *model.Contest) {
					for i := range c.Options {
						c.Options[i].Activates = !c.Options[i].Activates
					}
				})
			}
		}
	}
	if len(tried) != 5 {
		t.Errorf("only these were tried: %v", tried)
	}
}
