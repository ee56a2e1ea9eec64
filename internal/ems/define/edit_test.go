package define_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
)

// edits parses lines of an office's script; words are separated by |.
func edits(t testing.TB, lines ...string) (out []define.Edit) {
	t.Helper()
	for _, l := range lines {
		e, err := define.ParseEdit(strings.Split(l, "|"))
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		if diff := cmp.Diff(strings.Split(l, "|"), e.Args()); diff != "" {
			t.Errorf("%s: %s", l, diff)
		}
		out = append(out, e)
	}
	return out
}

// An edit and the cell of the table that it stands for give the same definition.
func TestEditsSayWhatTheTablesSay(t *testing.T) {
	base := sample(t, general)
	for edit, cell := range map[string][3]string{
		"contest|set|commissioner|votes_allowed=3|title=County Commissioners": {"contests.csv", "County Commissioner,Vote for up to two,county,office-commissioner,,2", "County Commissioners,Vote for up to two,county,office-commissioner,,3"},
		"candidate|set|candidate-5|party=elm|incumbent=yes":                   {"candidates.csv", "Candidate 5,oak,,,", "Candidate 5,elm,,yes,"},
		"election|set|date=2026-11-10|end_date=2026-11-10":                    {"election.csv", "2026-11-03", "2026-11-10"},
		"unit|set|precinct-4|registered=431|name=Top":                         {"units.csv", "Hill,4,county house-2,430", "Top,4,county house-2,431"},
		"party|set|elm|abbreviation=":                                         {"parties.csv", "ELM", ""},
		"office|set|office-mayor|term_type=unexpired-term":                    {"offices.csv", "Mayor,city,,full-term", "Mayor,city,,unexpired-term"},
		"translation|set|measure-a-yes|text|es|Sí, de acuerdo":                {"translations.csv", "measure-a-yes,text,es,Sí", "measure-a-yes,text,es,\"Sí, de acuerdo\""},
		"translation|remove|governor|title|zh-Hans":                           {"translations.csv", "governor,title,zh-Hans,州长和副州长\n", ""},
		"option|set|measure-a-no|text=Against":                                {"options.csv", "measure-a-no,measure-a,answer,No", "measure-a-no,measure-a,answer,Against"},
	} {
		v := read(t, base)
		d, err := define.Apply(v.Definition(), edits(t, edit)...)
		if err != nil {
			t.Errorf("%s: %v", edit, err)
			continue
		}
		set := sample(t, general)
		change(t, set, cell[0], cell[1], cell[2])
		d.Elections[0].Contests[4].Base().Name = "" // follows the title only when a table is read
		want := read(t, set)
		w, err := want.Definition().Clone()
		if err != nil {
			t.Fatal(err)
		}
		w.Elections[0].Contests[4].Base().Name = ""
		if diff := cmp.Diff(w, d); diff != "" {
			t.Errorf("%s: %s", edit, diff)
		}
	}
}

// A whole election is made by edits alone, from nothing but its first unit.
func TestAnElectionIsMadeByEdits(t *testing.T) {
	d := &election.Definition{Version: "1.0.0", SequenceStart: 1, SequenceEnd: 1, Elections: []election.Election{{}}}
	d, err := define.Apply(d, edits(t,
		"unit|add|county|type=county|name=County",
		"unit|add|p1|type=precinct|name=One|number=1|part_of=county",
		"unit|add|p2|type=precinct|name=Two|number=2|part_of=county",
		"election|set|name=Election|type=general|date=2026-11-03|end_date=2026-11-03|jurisdiction=county|issuer=Office|local_id=e1",
		"party|add|oak|name=Oak Party",
		"contest|add|mayor|type=candidate|title=Mayor|district=county|write_ins=1|rotation=yes",
		"candidate|add|a|contest=mayor|name=Candidate A|party=oak",
		"candidate|add|b|contest=mayor|name=Candidate B",
		"candidate|add|c|ticket_with=b|name=Candidate C",
		"contest|add|levy|type=measure|title=Levy|district=p2|threshold=60%",
		"option|add|levy-for|contest=levy|kind=answer|text=For",
		"option|add|levy-against|contest=levy|kind=answer|text=Against",
		"contest|order|mayor|option-b|option-a",
		"translation|set|mayor|title|es|Alcalde",
	)...)
	if err != nil {
		t.Fatal(err)
	}
	d, bad := define.BuildStyles(d, define.Rules{Languages: []string{"en", "es"}})
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	v := valid(t, d)
	if diff := cmp.Diff([]string{"p1: mayor", "p2: mayor levy"}, matrix(v)); diff != "" {
		t.Error(diff)
	}
	o := v.Election().Styles[0].Content[0].(*election.OrderedContest)
	if got := strings.Join(o.Options, " "); got != "option-b option-a mayor-write-in-1" {
		t.Error(got)
	}
	if got := v.Compiled().Contests[0].Options[0].Name; got != "Candidate B / Candidate C" {
		t.Error(got)
	}
}

// Ballot styles stay complete while candidates come and go.
func TestStylesFollowCandidates(t *testing.T) {
	v := read(t, sample(t, general))
	d, err := define.Apply(v.Definition(), edits(t,
		"candidate|remove|candidate-10", "candidate|add|candidate-20|contest=commissioner|name=Candidate 20", "contest|set|commissioner|write_ins=1")...)
	if err != nil {
		t.Fatal(err)
	}
	after := valid(t, d)
	for i := range after.Election().Styles {
		after.Election().Styles[i].Contests(func(o *election.OrderedContest, _ string) {
			if o.Contest != "commissioner" {
				return
			}
			if len(o.Options) != 4 || o.Options[2] != "option-candidate-20" || o.Options[3] != "commissioner-write-in-1" || slices.Contains(o.Options, "option-candidate-10") {
				t.Errorf("%v", o.Options)
			}
		})
	}
}

// An edit that leaves something without what it refers to is refused and says
// what that is; the definition that was given is never changed.
func TestEditsThatAreRefused(t *testing.T) {
	v := read(t, sample(t, general))
	before, err := v.Definition().JSON()
	if err != nil {
		t.Fatal(err)
	}
	for edit, want := range map[string]string{
		"unit|remove|city":                          "contest mayor (district)",
		"unit|remove|precinct-3":                    "unit split-3-a (part_of)",
		"unit|remove|precinct-1":                    "style 1 (units)",
		"party|remove|oak":                          "candidate candidate-1 (party)",
		"office|remove|office-mayor":                "contest mayor (office)",
		"contest|remove|governor":                   "contest straight-party (controls)",
		"contest|remove|measure-a":                  "style 1",
		"contest|remove|mayor":                      "candidate candidate-12 (contest)",
		"candidate|remove|candidate-1":              "candidate candidate-2 (ticket_with)",
		"candidate|remove|candidate-16":             "contest judge (candidate)",
		"candidate|set|candidate-1|party=ash":       `there is no party with the id "ash"`,
		"candidate|set|candidate-1|contest=mayor":   "remove the candidate and add it anew",
		"candidate|set|candidate-2|order=1":         "has no order",
		"candidate|add|candidate-1|name=Again":      "another object (candidate)",
		"candidate|add|candidate-99|contest=mayor":  "name must not be empty",
		"contest|set|governor|threshold=60%":        "has no threshold",
		"contest|set|governor|write_ins=101":        "at most 100",
		"contest|order|governor|option-candidate-1": "it lacks",
		"contest|order|governor|option-candidate-1|option-candidate-3|governor-write-in-1": "last by themselves",
		"contest|order|governor|option-candidate-1|option-candidate-3|option-candidate-5":  "has no option",
		"option|remove|option-candidate-1":                                                 "no row of options.csv",
		"translation|remove|governor|title|fr":                                             "no translation",
		"translation|set|governor|title|en|x":                                              "first language",
		"translation|set|governor|office|es|x":                                             "those are: title, subtitle",
		"style|remove|9":                                                                   "no style with the id",
		"unit|set|county|part_of=county":                                                   "part of itself",
		"election|set|date=2026-02-30":                                                     "no date",
	} {
		_, err := define.Apply(v.Definition(), edits(t, "party|add|pine|name=Pine Party", edit)...)
		var refused *define.EditError
		if !errors.As(err, &refused) || refused.N != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", edit, err)
		}
	}
	after, err := v.Definition().JSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Error(diff)
	}
}

func TestRemovingInOrderWorks(t *testing.T) {
	v := read(t, sample(t, general))
	var lines []string
	for i := range v.Election().Styles {
		lines = append(lines, "style|remove|"+v.Election().Styles[i].Code())
	}
	lines = append(lines, "candidate|remove|candidate-12", "candidate|remove|candidate-13", "candidate|remove|candidate-14", "contest|remove|mayor", "office|remove|office-mayor",
		"unit|set|precinct-1|part_of=county house-1 school", "unit|set|precinct-2|part_of=county house-1", "unit|set|split-3-a|part_of=precinct-3 house-1", "unit|remove|city")
	d, err := define.Apply(v.Definition(), edits(t, lines...)...)
	if err != nil {
		t.Fatal(err)
	}
	r := define.DefaultRules(d)
	r.Rotation = define.ByPrecinct
	d, bad := define.BuildStyles(d, r)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if bad := define.Review(valid(t, d)); len(bad) > 0 {
		t.Error(bad)
	}
}

func TestWordsThatAreNoEdit(t *testing.T) {
	for _, line := range []string{
		"", "contest", "contest|set", "contest|set|mayor", "contest|set|mayor|votes_allowed", "contest|set|mayor|votes=1",
		"contest|set|mayor|title=a|title=b", "contest|set|a=b|title=c", "style|set|1|units=p", "election|add|x|name=y", "election|set",
		"contest|remove", "contest|remove|a|b", "translation|set|a|b|es", "translation|set|a|b|es|", "contest|order|mayor", "voter|add|x|name=y",
		"contest|set|mayor|title= a", "contest|set|mayor|title==1+1",
	} {
		if e, err := define.ParseEdit(strings.Split(line, "|")); err == nil {
			t.Errorf("%q is %v", line, e)
		}
	}
}

// What no column shows refers to objects too.
func TestReferencesThatNoTableShowsAreKept(t *testing.T) {
	d, err := read(t, sample(t, primary)).Definition().Clone()
	if err != nil {
		t.Fatal(err)
	}
	d.Parties = append(d.Parties, election.Party{ID: "ash", Name: election.English("Ash Party")})
	d.Persons = []election.Person{{ID: "person", PartyID: "ash"}}
	_, err = define.Apply(d, edits(t, "party|remove|ash")...)
	if err == nil || !strings.Contains(err.Error(), "refers to it") {
		t.Error(err)
	}
}
