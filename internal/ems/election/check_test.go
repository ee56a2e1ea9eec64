package election_test

import (
	"fmt"
	"slices"
	"testing"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/testelection"
)

func small(t *testing.T) *election.Definition {
	t.Helper()
	e, err := testelection.Small()
	if err != nil {
		t.Fatal(err)
	}
	d, err := election.Read(e.Definition.Data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func candidates(d *election.Definition, n int) *election.CandidateContest {
	return d.Elections[0].Contests[n].(*election.CandidateContest)
}

func measure(d *election.Definition) *election.BallotMeasureContest {
	return d.Elections[0].Contests[3].(*election.BallotMeasureContest)
}

func whole(n int64) *int64 { return &n }

// Each fault, put into a good definition, is found, at its place and by its rule.
func TestEveryFaultIsFound(t *testing.T) {
	if _, problems := small(t).Check(); len(problems) > 0 {
		t.Fatal(problems)
	}
	contest := "/Election/0/Contest/0"
	for name, c := range map[string]struct {
		change        func(d *election.Definition)
		rule, pointer string
	}{
		"version":               {func(d *election.Definition) { d.Version = "1.0" }, "value", "/Version"},
		"two elections":         {func(d *election.Definition) { d.Elections = append(d.Elections, d.Elections[0]) }, "election-count", "/Election"},
		"no election id":        {func(d *election.Definition) { d.Elections[0].ExternalIDs = nil }, "election-id", "/Election/0"},
		"no name":               {func(d *election.Definition) { d.Elections[0].Name = election.Text{} }, "member-missing", "/Election/0/Name"},
		"no day":                {func(d *election.Definition) { d.Elections[0].StartDate = "2026-02-30" }, "value", "/Election/0/StartDate"},
		"ends before it starts": {func(d *election.Definition) { d.Elections[0].EndDate = "2026-01-01" }, "election-dates", "/Election/0/EndDate"},
		"empty id":              {func(d *election.Definition) { d.Units[1].ID = "" }, "id-empty", "/GpUnit/1/@id"},
		"id twice":              {func(d *election.Definition) { d.Parties[1].ID = d.Units[0].ID }, "id-repeated", "/Party/1/@id"},
		"unit unknown":          {func(d *election.Definition) { d.Units[0].Composing[0] = "x" }, "reference", "/GpUnit/0/ComposingGpUnitIds/0"},
		"two roots":             {func(d *election.Definition) { d.Units = append(d.Units, election.Unit{ID: "x", Type: "city"}) }, "unit-root", "/GpUnit"},
		"circle":                {func(d *election.Definition) { d.Units[2].Composing = append(d.Units[2].Composing, d.Units[1].ID) }, "unit-cycle", "/GpUnit"},
		"all in a circle":       {func(d *election.Definition) { d.Units[1].Composing = append(d.Units[1].Composing, d.Units[0].ID) }, "unit-root", "/GpUnit"},
		"votes allowed":         {func(d *election.Definition) { candidates(d, 0).VotesAllowed = 0 }, "votes-allowed", contest + "/VotesAllowed"},
		"elected":               {func(d *election.Definition) { candidates(d, 0).Elected = whole(0) }, "number-elected", contest + "/NumberElected"},
		"no option":             {func(d *election.Definition) { candidates(d, 0).Options = nil }, "option-none", contest},
		"empty option":          {func(d *election.Definition) { candidates(d, 0).Options[0].(*election.CandidateOption).Candidates = nil }, "option-empty", contest + "/ContestOption/0"},
		"candidate twice": {func(d *election.Definition) {
			o := candidates(d, 0).Options
			o[1].(*election.CandidateOption).Candidates = o[0].(*election.CandidateOption).Candidates
		}, "candidate-repeated", contest + "/ContestOption/1/CandidateIds/0"},
		"borda":             {func(d *election.Definition) { candidates(d, 0).VoteVariation = election.Borda }, "variation-unsupported", contest + "/VoteVariation"},
		"rcv without ranks": {func(d *election.Definition) { candidates(d, 0).VoteVariation = election.RCV }, "ranks", contest + "/RanksAllowed"},
		"ranks without rcv": {func(d *election.Definition) { candidates(d, 0).RanksAllowed = whole(3) }, "ranks", contest + "/RanksAllowed"},
		"ranked question":   {func(d *election.Definition) { measure(d).VoteVariation = election.RCV }, "variation-unsupported", "/Election/0/Contest/3/VoteVariation"},
		"threshold":         {func(d *election.Definition) { measure(d).PassageThreshold = election.English("many") }, "passage-threshold", "/Election/0/Contest/3/PassageThreshold"},
		"no threshold":      {func(d *election.Definition) { measure(d).VoteVariation = election.SuperMajority }, "passage-threshold", "/Election/0/Contest/3/PassageThreshold"},
		"style unnamed":     {func(d *election.Definition) { d.Elections[0].Styles[1].ExternalIDs = nil }, "style-id", "/Election/0/BallotStyle/1"},
		"style nowhere":     {func(d *election.Definition) { d.Elections[0].Styles[1].Units = nil }, "list-empty", "/Election/0/BallotStyle/1/GpUnitIds"},
		"wrong precinct":    {func(d *election.Definition) { d.Elections[0].Styles[1].Units = []string{"precinct-1"} }, "style-district", "/Election/0/BallotStyle/1/OrderedContent/0/ContestId"},
		"option order": {func(d *election.Definition) {
			o := d.Elections[0].Styles[0].Content[0].(*election.OrderedContest)
			o.Options = o.Options[1:]
		}, "style-option-missing", "/Election/0/BallotStyle/0/OrderedContent/0/OrderedContestOptionIds"},
	} {
		t.Run(name, func(t *testing.T) {
			d := small(t)
			c.change(d)
			v, problems := d.Check()
			if v != nil || !slices.ContainsFunc(problems, func(p election.Problem) bool { return p.Rule == c.rule && p.Pointer == c.pointer }) {
				t.Errorf("%v", problems)
			}
		})
	}
}

// All faults are told at once, so that nobody mends a definition fault by fault.
func TestAllFaultsAreTold(t *testing.T) {
	d := small(t)
	candidates(d, 0).VotesAllowed = 0
	measure(d).PassageThreshold = election.English("many")
	d.Elections[0].Styles[1].ExternalIDs = nil
	if _, problems := d.Check(); len(problems) != 3 {
		t.Errorf("%v", problems)
	}
}

func TestThresholdsAreExact(t *testing.T) {
	for text, want := range map[string]model.Threshold{
		"60%":                     {Num: 60, Den: 100},
		"2/3 of the votes cast":   {Num: 2, Den: 3},
		"More than 50 percent":    {Num: 50, Den: 100, More: true},
		"66.67 % of those voting": {Num: 6667, Den: 10000},
		" more than 1/2":          {Num: 1, Den: 2, More: true},
	} {
		if got, ok := election.ParseThreshold(text); !ok || got != want {
			t.Errorf("%q: %+v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "a majority", "3/2", "1/0", "101%", "more than 100%", "99999999999999999999/3"} {
		if got, ok := election.ParseThreshold(text); ok {
			t.Errorf("%q: %+v", text, got)
		}
	}
	two := model.Threshold{Num: 2, Den: 3}
	if !two.Met(2, 3) || two.Met(1, 3) || two.Met(0, 0) || !two.Met(6148914691236517206, 9223372036854775807) {
		t.Error("2/3 is not counted exactly")
	}
	if half := (model.Threshold{Num: 1, Den: 2, More: true}); half.Met(1, 2) || !half.Met(2, 3) {
		t.Error("more than a half is not counted exactly")
	}
}

// Contests control others in ways that can be counted, or are refused.
func TestControlsThatCannotBeCounted(t *testing.T) {
	straight := func(id string, controls ...string) *election.StraightPartyContest {
		return &election.StraightPartyContest{ContestBase: election.ContestBase{ID: id, Name: id, DistrictID: "county-maple", Options: election.Options{
			&election.PartyOption{OptionBase: election.OptionBase{ID: id + "-oak"}, Parties: []string{"party-oak"}}}}, Controlled: controls, Ruleset: election.Exclusive}
	}
	preference := func(id string, controls ...string) *election.PartyPreferenceContest {
		return &election.PartyPreferenceContest{ContestBase: straight(id).ContestBase, Controlled: controls}
	}
	for name, c := range map[string]struct {
		add  election.Contests
		rule string
	}{
		"straight party":              {election.Contests{straight("s", "contest-clerk", "contest-commissioner")}, ""},
		"unknown contest":             {election.Contests{straight("s", "x")}, "reference"},
		"a question":                  {election.Contests{straight("s", "contest-measure-a")}, "control-kind"},
		"two straight parties":        {election.Contests{straight("s", "contest-clerk"), straight("r", "contest-clerk")}, "control-twice"},
		"itself":                      {election.Contests{straight("s", "s")}, "control-chain"},
		"a contest without the party": {election.Contests{preference("p", "contest-clerk")}, "control-never"},
		"other ruleset": {election.Contests{func() *election.StraightPartyContest {
			s := straight("s", "contest-clerk")
			s.Ruleset = "other"
			return s
		}()}, "ruleset-unsupported"},
		"an option without a party": {election.Contests{func() *election.StraightPartyContest {
			s := straight("s", "contest-clerk")
			s.Options[0].(*election.PartyOption).Parties = nil
			return s
		}()}, "option-party"},
	} {
		t.Run(name, func(t *testing.T) {
			d := small(t)
			d.Elections[0].Contests = append(d.Elections[0].Contests, c.add...)
			_, problems := d.Check()
			if c.rule == "" && len(problems) > 0 || c.rule != "" && !slices.ContainsFunc(problems, func(p election.Problem) bool { return p.Rule == c.rule }) {
				t.Errorf("%v", problems)
			}
		})
	}
}

// A unit may be part of many others by very many ways; a check walks none twice.
func TestManyWaysUpTakeNoTime(t *testing.T) {
	d := small(t)
	top := "precinct-1"
	for i := range 40 {
		left, right, up := fmt.Sprintf("left-%d", i), fmt.Sprintf("right-%d", i), fmt.Sprintf("up-%d", i)
		for _, side := range []string{left, right} {
			d.Units = append(d.Units, election.Unit{ID: side, Type: "other", Composing: []string{top}})
		}
		d.Units = append(d.Units, election.Unit{ID: up, Type: "other", Composing: []string{left, right}})
		top = up
	}
	d.Units[0].Composing = append(d.Units[0].Composing, top)
	v, problems := d.Check()
	if len(problems) > 0 || !v.Within("precinct-1", top) || v.Within("precinct-2", top) {
		t.Error(problems)
	}
}
