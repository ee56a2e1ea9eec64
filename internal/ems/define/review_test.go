package define_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
)

// dropContest takes a contest off a ballot.
func dropContest(s *election.Style, id string) {
	s.Content = slices.DeleteFunc(s.Content, func(i election.Item) bool {
		o, ok := i.(*election.OrderedContest)
		return ok && o.Contest == id
	})
}

// Each fault that Check lets pass is found, with its object.
func TestEveryFindingOfAReview(t *testing.T) {
	number := int64(1)
	for name, c := range map[string]struct {
		set    string
		change func(d *election.Definition)
		want   string // severity object rule
		text   string
	}{
		"contest missing": {general, func(d *election.Definition) { dropContest(&d.Elections[0].Styles[0], "mayor") },
			"error precinct-1 precinct-contest-missing", `North get no ballot with "Mayor of Birch Grove"`},
		"contest missing on one ballot": {primary, func(d *election.Definition) { dropContest(&d.Elections[0].Styles[0], "mayor") },
			"error precinct-1 style-contest-missing", `1-OAK, used in North, lacks "Mayor of Birch Grove"`},
		"contest of another party": {primary, func(d *election.Definition) {
			s := &d.Elections[0].Styles[3]
			s.Content = append(s.Content, &election.OrderedContest{Contest: "house-2-elm"})
		}, "error precinct-4 style-contest-party", "which is another party's"},
		"no ballot at all": {general, func(d *election.Definition) {
			d.Elections[0].Styles = d.Elections[0].Styles[:4]
		}, "error precinct-4 precinct-contest-missing", "Hill"},
		"ballot of a precinct with splits": {general, func(d *election.Definition) {
			s := &d.Elections[0].Styles[4]
			s.Units = append(s.Units, "precinct-3")
			dropContest(s, "house-2-seat")
		}, "error precinct-3 precinct-split", "give ballot styles to the splits alone"},
		"split of nothing": {general, func(d *election.Definition) {
			d.Units[8].Composing = nil
			d.Units[1].Composing = append(d.Units[1].Composing, "split-3-a", "split-3-b")
		}, "error split-3-a split-alone", "Harbor A"},
		"contest on no ballot": {general, func(d *election.Definition) {
			for i := range d.Elections[0].Styles {
				dropContest(&d.Elections[0].Styles[i], "judge")
			}
		}, "error judge contest-unused", "stands on no ballot style"},
		"district without precincts": {general, func(d *election.Definition) {
			for i := range d.Units {
				if d.Units[i].ID == "school" {
					d.Units[i].Composing = nil
				}
			}
			for i := range d.Elections[0].Styles {
				dropContest(&d.Elections[0].Styles[i], "school-board")
				dropContest(&d.Elections[0].Styles[i], "measure-a")
			}
		}, "error school district-empty", "Lake School District"},
		"candidate of no contest": {general, func(d *election.Definition) {
			d.Elections[0].Candidates = append(d.Elections[0].Candidates, election.Candidate{ID: "extra", BallotName: election.English("Candidate 99")})
		}, "error extra candidate-unused", "Candidate 99"},
		"withdrawn": {general, func(d *election.Definition) { d.Elections[0].Candidates[0].PreElectionStatus = "withdrawn" },
			"warning candidate-1 candidate-withdrawn", "has withdrawn"},
		"party of nobody": {general, func(d *election.Definition) {
			d.Parties = append(d.Parties, election.Party{ID: "ash", Name: election.English("Ash Party")})
		}, "warning ash party-unused", "Ash Party"},
		"fewer candidates than seats": {general, func(d *election.Definition) {
			*d.Elections[0].Contests[6].(*election.CandidateContest).Elected = 2
		}, "warning school-board candidates-few", "1 candidates for 2 seats"},
		"two candidates of one name": {general, func(d *election.Definition) {
			d.Elections[0].Candidates[5].BallotName = election.English("candidate 5")
		}, "error option-candidate-6 name-repeated", "as option-candidate-5 is"},
		"two precincts of one name": {general, func(d *election.Definition) { d.Units[7].Name = election.English("North") },
			"warning precinct-2 name-repeated", "as precinct-1 is"},
		"no translation": {general, func(d *election.Definition) {
			b := d.Elections[0].Contests[1].Base()
			b.BallotTitle.Text = b.BallotTitle.Text[:2]
		}, "warning governor translation-missing", "title of the contest \"Governor and Lieutenant Governor\" is not there in zh-Hans"},
		"two identifiers": {general, func(d *election.Definition) { d.Units[6].ExternalIDs = d.Units[6].ExternalIDs[1:] },
			"warning precinct-1 identifiers", "2 kinds"},
		"three identifiers without OCD-ID": {general, func(d *election.Definition) { d.Units[6].ExternalIDs[2].Type = "fips" },
			"warning precinct-1 identifiers", "3 kinds"},
		"voters of splits": {general, func(d *election.Definition) { *d.Units[8].VotersRegistered = 541 },
			"warning precinct-3 registered-sum", "541"},
		"voters of the county": {general, func(d *election.Definition) { d.Units[1].VotersRegistered = &number },
			"warning county registered-sum", "2400"},
		"rotation": {general, func(d *election.Definition) {
			var order []string
			for i := range d.Elections[0].Styles {
				d.Elections[0].Styles[i].Contests(func(o *election.OrderedContest, _ string) {
					if o.Contest == "commissioner" {
						if order == nil {
							order = o.Options
						}
						o.Options = order
					}
				})
			}
		}, "warning commissioner rotation-unbalanced", "5 ballot styles and 4 precincts"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := read(t, sample(t, c.set)).Definition().Clone()
			if err != nil {
				t.Fatal(err)
			}
			c.change(d)
			bad := define.Review(valid(t, d))
			if !slices.ContainsFunc(bad, func(p define.Problem) bool {
				return fmt.Sprintf("%s %s %s", p.Severity, p.Object, p.Rule) == c.want && strings.Contains(p.Text, c.text)
			}) {
				t.Errorf("%v", bad)
			}
			if !slices.IsSortedFunc(bad, func(a, b define.Problem) int { return strings.Compare(string(a.Severity), string(b.Severity)) }) {
				t.Error("errors do not stand before warnings")
			}
		})
	}
}
