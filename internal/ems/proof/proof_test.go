package proof_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/page"
	"sallyport/internal/ems/proof"
)

func sample(t *testing.T, set string) *election.Valid {
	t.Helper()
	d, bad := define.ReadSet(os.DirFS("../../../testdata/elections/" + set))
	if d == nil {
		t.Fatal(bad)
	}
	v, problems := d.Check()
	if v == nil {
		t.Fatal(problems)
	}
	return v
}

func ballot(p *proof.Proof) *page.BallotPage { return p.Document.Blocks[0].(*page.BallotPage) }

// Each style's proof has its contests with all options in the order of the
// style, in all its languages, and can be printed.
func TestEveryStyleIsLaidOut(t *testing.T) {
	for _, set := range []string{"maple-general-csv", "maple-primary-csv"} {
		v := sample(t, set)
		list, err := proof.Make(v, proof.Options{})
		if err != nil || len(list) != len(v.Election().Styles) {
			t.Fatal(len(list), err)
		}
		for i := range list {
			p, s := &list[i], &v.Election().Styles[i]
			if p.Style != s.Code() || p.Document.Notice != proof.Notice || !strings.Contains(ballot(p).Code, p.Hash.Code()) || !slices.Equal(p.Languages, s.Languages) {
				t.Errorf("%+v", p)
			}
			n := 0
			s.Contests(func(o *election.OrderedContest, _ string) {
				check(t, v, o, &ballot(p).Contests[n], p.Languages)
				n++
			})
			if n != len(ballot(p).Contests) {
				t.Errorf("style %s: %d contests, laid out are %d", p.Style, n, len(ballot(p).Contests))
			}
			var b bytes.Buffer
			if err := p.Document.WriteHTML(&b); err != nil {
				t.Error(err)
			}
		}
	}
}

// check compares one contest with the definition.
func check(t *testing.T, v *election.Valid, o *election.OrderedContest, got *page.BallotContest, languages []string) {
	t.Helper()
	base := v.Contest(o.Contest).Base()
	for _, l := range languages {
		if want, ok := base.Title().In(l); ok && !slices.Contains(got.Title, page.Line{Lang: l, Text: want}) {
			t.Errorf("%s: %v has no title in %s", base.ID, got.Title, l)
		}
	}
	order := o.Options
	if len(order) == 0 {
		for _, x := range base.Options {
			order = append(order, x.Base().ID)
		}
	}
	if len(got.Options) != len(order) {
		t.Fatalf("%s: %d options, laid out are %d", base.ID, len(order), len(got.Options))
	}
	for i, id := range order {
		at := slices.IndexFunc(base.Options, func(x election.Option) bool { return x.Base().ID == id })
		x, ok := base.Options[at].(*election.CandidateOption)
		switch {
		case !ok && len(got.Options[i].Name) == 0:
			t.Errorf("%s: option %s has no name", base.ID, id)
		case ok && x.WriteIn != got.Options[i].WriteIn:
			t.Errorf("%s: option %s", base.ID, id)
		case ok && len(x.Candidates) > 0 && !strings.Contains(got.Options[i].Name[0].Text, v.Candidate(x.Candidates[0]).BallotName.String()):
			t.Errorf("%s: %q stands where %s belongs", base.ID, got.Options[i].Name, id)
		}
	}
}

// Choices of style and language are obeyed, or refused by name.
func TestOptions(t *testing.T) {
	v := sample(t, "maple-general-csv")
	list, err := proof.Make(v, proof.Options{Styles: []string{"4"}, Languages: []string{"es"}})
	if err != nil || len(list) != 1 {
		t.Fatal(err)
	}
	text := list[0].Text()
	if !strings.Contains(text, "Elección general del condado de Maple") || strings.Contains(text, "Straight Party\n") || !strings.Contains(text, proof.Notice) || !strings.Contains(text, "Candidato por escrito") {
		t.Error(text)
	}
	for _, o := range []proof.Options{{Styles: []string{"99"}}, {Languages: []string{"fr"}}} {
		if _, err := proof.Make(v, o); err == nil || !strings.Contains(err.Error(), "99") && !strings.Contains(err.Error(), "fr") {
			t.Errorf("%v", err)
		}
	}
}

// Headings stand above each contest below them, and controls say how many.
func TestHeadingsAndWords(t *testing.T) {
	d, err := sample(t, "maple-primary-csv").Definition().Clone()
	if err != nil {
		t.Fatal(err)
	}
	e := &d.Elections[0]
	d.Headers = []election.Header{{ID: "county-offices", Name: election.English("County offices"), Content: election.English("Read both columns")}}
	c := e.Contests[4].(*election.CandidateContest)
	c.VotesAllowed, c.VoteVariation, c.BallotSubTitle = 2, election.NOfM, election.Text{}
	s := &e.Styles[0]
	last := len(s.Content) - 2
	s.Content = append(s.Content[:last:last], &election.OrderedHeader{Header: "county-offices", Content: s.Content[last:]})
	v, bad := d.Check()
	if v == nil {
		t.Fatal(bad)
	}
	list, err := proof.Make(v, proof.Options{Styles: []string{s.Code()}})
	if err != nil {
		t.Fatal(err)
	}
	text := list[0].Text()
	if strings.Count(text, "County offices\nRead both columns\n") != 2 || !strings.Contains(text, "Vote for up to 2") {
		t.Error(text)
	}
}
