package define_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
)

func changes(t testing.TB, a, b *election.Valid) define.Changes {
	t.Helper()
	got, err := define.Diff(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEqualDefinitionsDoNotDiffer(t *testing.T) {
	for _, name := range []string{general, primary} {
		a, b := read(t, sample(t, name)), read(t, sample(t, name))
		if got := changes(t, a, b); len(got) > 0 || got.Text() != "" {
			t.Errorf("%s: %v", name, got)
		}
		if data, err := changes(t, a, b).JSON(); err != nil || strings.TrimSpace(string(data)) != "[]" {
			t.Errorf("%s %v", data, err)
		}
	}
}

// Every change is told with its object, field, and what it was and is.
func TestEveryChangeIsTold(t *testing.T) {
	for edit, want := range map[string][]string{
		"contest|set|commissioner|votes_allowed=3":       {`contest commissioner: votes_allowed: "2" became "3"`},
		"contest|set|measure-a|threshold=2/3":            {`contest measure-a: threshold: "60% of the votes cast" became "2/3"`},
		"contest|set|measure-a|summary=":                 {`contest measure-a: summary: removed "Bonds to repair school buildings."`},
		"candidate|set|candidate-5|name=Candidate 50":    {`candidate candidate-5: name: "Candidate 5" became "Candidate 50"`},
		"translation|set|oak|name|es|Roble":              {`party oak: name[es]: "Partido del Roble" became "Roble"`},
		"translation|remove|oak|name|es":                 {`party oak: name[es]: removed "Partido del Roble"`},
		"election|set|date=2026-11-02":                   {`election election: date: "2026-11-03" became "2026-11-02"`},
		"election|set|generated=2026-09-02T00:00:00Z":    {`election election: generated: "2026-09-01T12:00:00Z" became "2026-09-02T00:00:00Z"`},
		"party|add|ash|name=Ash Party":                   {`party ash: object: added "Ash Party"`},
		"contest|order|school-board|option-candidate-15": {`candidate candidate-15: order: added "1"`},
		"contest|set|governor|write_ins=": {
			`contest governor: options: "option-candidate-1 option-candidate-3 governor-write-in-1" became "option-candidate-1 option-candidate-3"`,
			`contest governor: write_ins: removed "1"`},
	} {
		a := read(t, sample(t, general))
		d, err := define.Apply(a.Definition(), edits(t, edit)...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, line := range strings.Split(strings.TrimSpace(changes(t, a, valid(t, d)).Text()), "\n") {
			if !strings.HasPrefix(line, "style ") { // orders on ballots follow the contest
				got = append(got, line)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", edit, diff)
		}
	}
}

// A precinct that moves to another district shows where it counts: in the matrix.
func TestTheMatrixShowsWhatAPrecinctGets(t *testing.T) {
	a := read(t, sample(t, general))
	set := sample(t, general)
	change(t, set, "units.csv", "Hill,4,county house-2", "Hill,4,county house-1 city")
	var got []string
	for _, c := range changes(t, a, read(t, set)) {
		if c.Class == "precinct" || c.Class == "unit" {
			got = append(got, c.ID+" "+c.Field+" "+c.Before+" > "+c.After)
		}
	}
	want := []string{
		"precinct-4 part_of county house-2 > county house-1 city",
		"precinct-4 contest  > house-1-seat", "precinct-4 contest  > mayor", "precinct-4 contest house-2-seat > ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What no table has is no secret either.
func TestChangesOutsideOfTheTablesAreTold(t *testing.T) {
	for want, edit := range map[string]func(d *election.Definition){
		"unit county ContactInformation": func(d *election.Definition) { d.Units[1].Contact = &election.ContactInformation{Name: "x"} },
		"definition definition Person":   func(d *election.Definition) { d.Persons = []election.Person{{ID: "p"}} },
		"contest measure-a InfoUri":      func(d *election.Definition) { measure(d).InfoURI = []election.AnnotatedURI{{Content: "x"}} },
		"candidate candidate-1 PersonId": func(d *election.Definition) {
			d.Persons = []election.Person{{ID: "p"}}
			d.Elections[0].Candidates[0].PersonID = "p"
		},
		"option option-candidate-1 ExternalIdentifier": func(d *election.Definition) {
			o := d.Elections[0].Contests[1].Base().Options[0].Base()
			o.ExternalIDs = []election.ExternalID{{Type: "other", Value: "x"}}
		},
		"style 1 ImageUri":                     func(d *election.Definition) { d.Elections[0].Styles[0].Image = []election.AnnotatedURI{{Content: "x"}} },
		"election election ContactInformation": func(d *election.Definition) { d.Elections[0].Contact = &election.ContactInformation{Name: "x"} },
		"election election order of contests":  func(d *election.Definition) { c := d.Elections[0].Contests; c[3], c[4] = c[4], c[3] },
		"office office-mayor OfficeHolderPersonIds": func(d *election.Definition) {
			d.Persons = []election.Person{{ID: "p"}}
			d.Offices[4].Holders = []string{"p"}
		},
	} {
		a := read(t, sample(t, general))
		d, err := a.Definition().Clone()
		if err != nil {
			t.Fatal(err)
		}
		edit(d)
		found := false
		got := changes(t, a, valid(t, d))
		for _, c := range got {
			found = found || c.Class+" "+c.ID+" "+c.Field == want && c.Before != c.After
		}
		if !found {
			t.Errorf("%s: %v", want, got)
		}
	}
}

func measure(d *election.Definition) *election.BallotMeasureContest {
	return d.Elections[0].Contests[8].(*election.BallotMeasureContest)
}

func TestChangesAsJSON(t *testing.T) {
	a := read(t, sample(t, general))
	d, err := define.Apply(a.Definition(), edits(t, "contest|set|mayor|title=Mayor")...)
	if err != nil {
		t.Fatal(err)
	}
	data, err := changes(t, a, valid(t, d)).JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{{"class": "contest", "id": "mayor", "field": "title", "before": "Mayor of Birch Grove", "after": "Mayor"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheMatrixIsPrinted(t *testing.T) {
	m := define.Matrix(read(t, sample(t, primary)))
	want := `Number  Precinct  Ballot styles     1      2      3      4      5  6
1       North     1-OAK 1-ELM 1-NP  1-OAK  1-ELM  1-OAK         X  X
2       Center    2-OAK 2-ELM 2-NP  2-OAK  2-ELM  2-OAK         X
3A      Harbor A  2-OAK 2-ELM 2-NP  2-OAK  2-ELM  2-OAK         X
3B      Harbor B  3-OAK 3-ELM 3-NP  3-OAK  3-ELM         3-ELM     X
4       Hill      4-OAK 4-ELM       4-OAK  4-ELM         4-ELM

1  Governor
2  Governor
3  State Representative, District 1
4  State Representative, District 2
5  Mayor of Birch Grove
6  Measure B: Library Hours
`
	if diff := cmp.Diff(want, m.Text()); diff != "" {
		t.Error(diff)
	}
	m.Contests[0].Title = "=cmd"
	data, err := m.CSV()
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(data), "\r\n"); lines[0] != `Number,Precinct,Ballot styles,'=cmd,Governor,"State Representative, District 1","State Representative, District 2",Mayor of Birch Grove,Measure B: Library Hours` || lines[5] != "4,Hill,4-OAK 4-ELM,4-OAK,4-ELM,,4-ELM,," {
		t.Errorf("%q", lines)
	}
}
