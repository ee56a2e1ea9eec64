package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/results"
)

// part is the report of one county: governor, and a sheriff of its own.
func part(name, prefix string, a, b int64) Source {
	r := &results.Results{
		ElectionID: "e", Name: "General", Type: "general", Date: "2026-11-03", Issuer: name, Status: results.Certified, Sequence: 1, ScopeID: prefix,
		GeneratedAt: time.Date(2026, 11, 4, 0, 0, 0, 0, time.UTC),
		Units: []results.Unit{
			{ID: prefix, Name: name, Type: "county", OCDID: "ocd:" + prefix, Within: []string{"state"}},
			{ID: "state", Name: "New State", Type: "state", OCDID: "ocd:state"},
			{ID: "p1", Name: "Precinct 1", Type: "precinct", Within: []string{prefix}, Ballots: []results.Ballots{{Type: results.Total, Count: a + b}}},
		},
		Parties: []results.Party{{ID: "red", Name: "Red"}},
		Contests: []results.Contest{
			{ID: prefix + "-gov", Title: "Governor", DistrictID: "state", VotesAllowed: 1, Elected: 1, ExternalIDs: []string{"gov"},
				Options: []results.Option{{ID: "ann", Name: "Ann", Parties: []string{"red"}}, {ID: "bob", Name: "Bob"}},
				Lines:   []results.Line{{UnitID: "p1", Type: results.Total, Ballots: a + b, Votes: []int64{a, b}}}},
			{ID: prefix + "-sheriff", Title: "Sheriff of " + name, DistrictID: prefix, VotesAllowed: 1, Elected: 1, Options: []results.Option{{ID: prefix + "-s", Name: "Sam"}},
				Lines: []results.Line{{UnitID: "p1", Type: results.Total, Ballots: a + b, Votes: []int64{a}, Undervotes: b}}},
		},
	}
	return Source{name, r}
}

func newState() RollUpOptions {
	return RollUpOptions{AllowUnmatched: true, Whole: results.Results{ElectionID: "e", Name: "General", Type: "general", Date: "2026-11-03", Issuer: "New State", IssuerAbbreviation: "NS", Sequence: 1,
		GeneratedAt: time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC), ScopeID: "the-state", Units: []results.Unit{{ID: "the-state", Name: "New State", Type: "state", OCDID: "ocd:state"}}}}
}

func TestRollUp(t *testing.T) {
	maple, oak := part("Maple", "maple", 10, 20), part("Oak", "oak", 7, 1)
	oak.Results.Status = results.UnofficialComplete
	// Oak has the options the other way round.
	g := &oak.Results.Contests[0]
	g.Options[0], g.Options[1] = g.Options[1], g.Options[0]
	g.Lines[0].Votes = []int64{1, 7}
	r, rec, err := RollUp([]Source{maple, oak}, newState())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	total := r.Contests[0].Total()
	if diff := cmp.Diff(results.Line{Type: results.Total, Ballots: 38, Votes: []int64{17, 21}}, total); diff != "" {
		t.Error(diff)
	}
	if r.Status != results.UnofficialComplete || len(r.Contests) != 3 || r.Whole().Ballots != 38 {
		t.Errorf("%s, %d contests", r.Status, len(r.Contests))
	}
	var ids []string
	for _, u := range r.Units {
		ids = append(ids, u.ID+"<"+strings.Join(u.Within, ","))
	}
	if diff := cmp.Diff([]string{"the-state<", "maple<the-state", "p1<maple", "oak<the-state", "Oak/p1<oak"}, ids); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Match{{"Maple", "maple-gov", "maple-gov", "new"}, {"Maple", "maple-sheriff", "maple-sheriff", "new"}, {"Oak", "oak-gov", "maple-gov", "external-id"}, {"Oak", "oak-sheriff", "oak-sheriff", "new"}}, rec.Contests); diff != "" {
		t.Error(diff)
	}
	if len(rec.Unmatched) != 2 || len(rec.Parts) != 2 || rec.Parts[1].Ballots.Count != 8 {
		t.Errorf("%+v", rec)
	}
	// The roll-up can be published, and gives a county's votes back.
	if _, err := ERR(r, Options{}); err != nil {
		t.Error(err)
	}
	counties := r.Contests[0].In(r.Counties())
	if len(counties) != 2 || counties[1].Ballots != 8 {
		t.Errorf("%+v", counties)
	}
}

// Precincts of two counties that have the same identifier and name are two.
func TestRollUpKeepsPrecinctsApart(t *testing.T) {
	maple, oak := part("Maple", "maple", 10, 20), part("Oak", "oak", 7, 1)
	for _, s := range []Source{maple, oak} {
		s.Results.Units = append(s.Results.Units, results.Unit{ID: "p2", Name: "Precinct 2", Type: "precinct", Within: []string{s.Results.ScopeID}})
		s.Results.Units[2].Type, s.Results.Units[2].Within = "split-precinct", []string{"p2"}
	}
	r, _, err := RollUp([]Source{maple, oak}, newState())
	if err != nil {
		t.Fatal(err)
	}
	if groups := r.Precincts(); len(groups) != 2 || groups[0].ID != "p2" || groups[1].ID != "Oak/p2" {
		t.Errorf("%+v", groups)
	}
}

func TestRollUpReplaces(t *testing.T) {
	old, newer := part("Maple", "maple", 10, 20), part("Maple", "maple", 11, 20)
	newer.Results.Sequence = 2
	for _, list := range [][]Source{{old, newer}, {newer, old}} {
		opt := newState()
		opt.Expected = []string{"Maple", "Oak"}
		r, rec, err := RollUp(list, opt)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Replaced{{"Maple", 1, 2}}, rec.Replaced); diff != "" {
			t.Error(diff)
		}
		if r.Contests[0].Total().Votes[0] != 11 || r.Status != results.UnofficialPartial || len(rec.Missing) != 1 {
			t.Errorf("%+v, %s", r.Contests[0].Total(), r.Status)
		}
	}
}

// Reports of others have no number of ours: the time decides.
func TestRollUpReplacesByTime(t *testing.T) {
	old, later := part("Maple", "maple", 10, 20), part("Maple", "maple", 11, 20)
	old.Results.Sequence, later.Results.Sequence = 0, 0
	later.Results.GeneratedAt = later.Results.GeneratedAt.Add(time.Hour)
	r, rec, err := RollUp([]Source{later, old}, newState())
	if err != nil || len(rec.Replaced) != 1 || r.Contests[0].Total().Votes[0] != 11 {
		t.Errorf("%v %+v", err, rec)
	}
}

func TestRollUpRefuses(t *testing.T) {
	for name, x := range map[string]struct {
		change func(maple, oak *Source, opt *RollUpOptions)
		want   string
		is     error
	}{
		"a report twice": {func(_, oak *Source, _ *RollUpOptions) { *oak = part("Maple", "maple", 10, 20) }, "have the number 1", ErrOverlap},
		"a county twice": {func(_, oak *Source, _ *RollUpOptions) { *oak = part("Maple County", "maple", 10, 20) }, `unit "p1" is in the report of Maple`, ErrOverlap},
		"a unit twice": {func(m, oak *Source, _ *RollUpOptions) {
			m.Results.Units[2].OCDID, oak.Results.Units[2].OCDID = "ocd:p1", "ocd:p1"
		}, "is in the report of Maple", ErrOverlap},
		"a whole and its part": {func(_, oak *Source, _ *RollUpOptions) {
			oak.Results.Units = append(oak.Results.Units, results.Unit{ID: "maple", Name: "Maple", Type: "county", OCDID: "ocd:maple"})
			oak.Results.Contests[0].Lines[0].UnitID = "maple"
		}, "which has lines too", results.ErrContradiction},
		"another election":      {func(_, oak *Source, _ *RollUpOptions) { oak.Results.ElectionID = "f" }, `of election "f"`, nil},
		"another day":           {func(_, oak *Source, _ *RollUpOptions) { oak.Results.Date = "2026-11-04" }, "on 2026-11-04", nil},
		"a test":                {func(_, oak *Source, _ *RollUpOptions) { oak.Results.Test = true }, "test results", nil},
		"unmatched":             {func(_, _ *Source, opt *RollUpOptions) { opt.AllowUnmatched = false }, "maple-sheriff", ErrUnmatched},
		"another rule":          {func(_, oak *Source, _ *RollUpOptions) { oak.Results.Contests[0].Elected = 2 }, "number elected", nil},
		"same id, other title":  {func(_, oak *Source, _ *RollUpOptions) { oak.Results.Contests[1].ID = "maple-sheriff" }, `"Sheriff of Oak" here`, ErrUnmatched},
		"same id, other choice": {func(_, oak *Source, _ *RollUpOptions) { oak.Results.Contests[0].Options[0].Name = "Anna" }, `"Anna" here`, ErrUnmatched},
		"a contest twice": {func(_, oak *Source, _ *RollUpOptions) {
			oak.Results.Contests[1].ExternalIDs, oak.Results.Contests[1].Options = []string{"gov"}, nil
			oak.Results.Contests[1].Lines = nil
		}, "two contests", ErrOverlap},
		"a contradiction": {func(_, oak *Source, _ *RollUpOptions) { oak.Results.Contests[0].Lines[0].Ballots++ }, "do not make", results.ErrContradiction},
		"nobody's":        {func(_, oak *Source, _ *RollUpOptions) { oak.Name = "" }, "without the name", nil},
	} {
		t.Run(name, func(t *testing.T) {
			maple, oak, opt := part("Maple", "maple", 10, 20), part("Oak", "oak", 7, 1), newState()
			x.change(&maple, &oak, &opt)
			_, _, err := RollUp([]Source{maple, oak}, opt)
			if err == nil || !strings.Contains(err.Error(), x.want) || x.is != nil && !errors.Is(err, x.is) {
				t.Errorf("want %q: %v", x.want, err)
			}
		})
	}
}

func TestRollUpMaps(t *testing.T) {
	maple, oak := part("Maple", "maple", 10, 20), part("Oak", "oak", 7, 1)
	oak.Results.Contests[0].ExternalIDs, oak.Results.Contests[0].Options[0].ID, oak.Results.Contests[0].Options[0].Name = nil, "x", "Ann B."
	opt := newState()
	opt.Contests = map[string]map[string]string{"Oak": {"oak-gov": "maple-gov"}}
	opt.Choices = map[string]map[string]string{"Oak": {"x": "ann"}}
	r, rec, err := RollUp([]Source{maple, oak}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if total := r.Contests[0].Total(); total.Votes[0] != 17 || rec.Contests[2].How != "mapping" || rec.Options[3].How != "mapping" {
		t.Errorf("%+v %+v %+v", total, rec.Contests, rec.Options)
	}
}

// Parts that withhold counts give a whole whose totals are known.
func TestRollUpOfWithheldCounts(t *testing.T) {
	maple, oak := part("Maple", "maple", 10, 20), part("Oak", "oak", 7, 1)
	for i, id := range []string{"p2", "p3"} {
		oak.Results.Units = append(oak.Results.Units, results.Unit{ID: id, Type: "precinct", Within: []string{"oak"}})
		oak.Results.Contests[0].Lines = append(oak.Results.Contests[0].Lines, results.Line{UnitID: id, Type: results.Total, Ballots: int64(2 + i), Votes: []int64{2, int64(i)}})
	}
	var err error
	if oak.Results, err = results.Suppress(oak.Results, 4); err != nil {
		t.Fatal(err)
	}
	r, _, err := RollUp([]Source{maple, oak}, newState())
	if err != nil {
		t.Fatal(err)
	}
	if total := r.Contests[0].Total(); total.Suppressed || total.Votes[0] != 21 || total.Votes[1] != 22 || total.Ballots != 43 {
		t.Errorf("%+v", total)
	}
}
