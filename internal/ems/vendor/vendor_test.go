package vendor_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/vendor"
	"sallyport/internal/testelection"
)

func definition(t *testing.T) *election.Valid {
	t.Helper()
	e, err := testelection.Small()
	if err != nil {
		t.Fatal(err)
	}
	d, err := election.Read(e.Definition.Data)
	if err != nil {
		t.Fatal(err)
	}
	v, problems := d.Check()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return v
}

// catalogue is an export of the clerk's contest in other words.
func catalogue() *dialect.Catalogue {
	return &dialect.Catalogue{Contests: []dialect.Contest{{Name: "County Clerk", VotesAllowed: 1, Choices: []dialect.Choice{
		{Name: "Candidate 5 (Oak Party)"}, {Name: "Candidate 6 (Elm Party)"}, {Name: "WRITE-IN", WriteIn: true}}}}}
}

func ballot(marks ...dialect.Mark) *dialect.Ballot {
	return &dialect.Ballot{ID: "7-1-1", Device: "7", Batch: "1", Precinct: dialect.Label{Name: "Precinct 1 (North)"}, Style: dialect.Label{ID: "style-county"},
		Method: dialect.Label{Name: "Vote by Mail"}, Versions: []dialect.Version{{Kind: dialect.Original, Current: true, Contests: []dialect.Marks{{Marks: marks}}}}}
}

func TestBallotsBecomeTheModels(t *testing.T) {
	m, problems := vendor.Match(definition(t), catalogue(), vendor.Mapping{}, false)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var b model.Ballot
	for range 2 { // memory is reused
		if err := m.Ballot(ballot(dialect.Mark{Choice: 1, Votes: 1}, dialect.Mark{Choice: 2, Votes: 1, WriteIn: "somebody", Ambiguous: true}, dialect.Mark{Choice: 0, Votes: 1, NotCounted: true}), &b); err != nil {
			t.Fatal(err)
		}
	}
	want := model.Ballot{ID: "7-1-1", Device: "7", Batch: "1", Method: "absentee-mail", Sheet: "1", Snapshots: []model.Snapshot{{Contests: []model.Marks{{Contest: 1, Positions: []model.Position{
		{Option: 1, Indicated: model.Yes, Allocable: model.Yes, Votes: 1},
		{Option: 2, Indicated: model.Yes, Allocable: model.Unknown, Votes: 1, WriteIn: true, Text: "somebody"},
		{Option: 0, Indicated: model.Yes, Allocable: model.No, Votes: 1}}}}}}}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Error(diff)
	}
}

// Random identifiers are asked for, or are needed where the export has none;
// two ballots never share one.
func TestRandomIdentifiers(t *testing.T) {
	for _, random := range []bool{true, false} {
		m, problems := vendor.Match(definition(t), catalogue(), vendor.Mapping{}, random)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		from := ballot()
		if !random {
			from.ID = ""
		}
		var a, b model.Ballot
		if err := m.Ballot(from, &a); err != nil {
			t.Fatal(err)
		}
		if err := m.Ballot(from, &b); err != nil {
			t.Fatal(err)
		}
		if len(a.ID) != 36 || a.ID == b.ID || a.ID == "7-1-1" {
			t.Errorf("%q and %q", a.ID, b.ID)
		}
	}
}

// What is not certain is said, with the name that the export uses, and a mapping
// settles it.
func TestNothingIsGuessed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*dialect.Catalogue)
		given  vendor.Mapping
		want   []string
	}{
		"contest":           {func(c *dialect.Catalogue) { c.Contests[0].Name = "Clerk" }, vendor.Mapping{Contests: map[string]string{"Clerk": "contest-clerk"}}, []string{"contest", `"Clerk"`}},
		"choice":            {func(c *dialect.Catalogue) { c.Contests[0].Choices[0].Name = "Candidate 5" }, vendor.Mapping{Choices: map[string]map[string]string{"County Clerk": {"Candidate 5": "option-clerk-1"}}}, []string{"choice", `"Candidate 5"`, "County Clerk"}},
		"votes allowed":     {func(c *dialect.Catalogue) { c.Contests[0].VotesAllowed = 2 }, vendor.Mapping{}, []string{"votes-allowed", "2", "1"}},
		"mapped to nothing": {func(c *dialect.Catalogue) {}, vendor.Mapping{Contests: map[string]string{"County Clerk": "x"}}, []string{"contest", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			cat := catalogue()
			c.change(cat)
			given := c.given
			if name != "mapped to nothing" {
				given = vendor.Mapping{}
			}
			m, problems := vendor.Match(definition(t), cat, given, false)
			if m != nil || len(problems) != 1 {
				t.Fatalf("%v", problems)
			}
			for _, w := range c.want {
				if !strings.Contains(problems[0].Error(), w) {
					t.Errorf("%q is not in %q", w, problems[0].Error())
				}
			}
			if name == "contest" || name == "choice" {
				if _, problems := vendor.Match(definition(t), cat, c.given, false); len(problems) > 0 {
					t.Errorf("with a mapping: %v", problems)
				}
			}
		})
	}
	for name, change := range map[string]func(*dialect.Ballot){
		"precinct":    func(b *dialect.Ballot) { b.Precinct = dialect.Label{Name: "North"} },
		"no precinct": func(b *dialect.Ballot) { b.Precinct = dialect.Label{} },
		"style":       func(b *dialect.Ballot) { b.Style = dialect.Label{Name: "x"} },
		"rank":        func(b *dialect.Ballot) { b.Versions[0].Contests[0].Marks = []dialect.Mark{{Votes: 1, Rank: 1}} },
		"many votes":  func(b *dialect.Ballot) { b.Versions[0].Contests[0].Marks = []dialect.Mark{{Votes: 5000}} },
		"minus votes": func(b *dialect.Ballot) { b.Versions[0].Contests[0].Marks = []dialect.Mark{{Votes: -1}} },
	} {
		m, problems := vendor.Match(definition(t), catalogue(), vendor.Mapping{}, false)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		from := ballot()
		change(from)
		if err := m.Ballot(from, &model.Ballot{}); err == nil || !strings.Contains(err.Error(), "7-1-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
