package report

import (
	"errors"
	"fmt"
	"time"

	"sallyport/internal/ems/clarity"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/results"
)

// FromClarity makes results of a file of Clarity (detail.xml) that was read with
// its problems. The form has votes by unit and way of voting, and not from how
// many ballots they are: lines are Partial. The totals are those that the file
// states; sums that do not add up are in the notes. The caller fills in what the
// form does not have: the election's identifier and type, and the status, which
// is unofficial-partial here.
func FromClarity(rep *clarity.Report, problems []*clarity.Problem) (*results.Results, []Note, error) {
	if rep == nil {
		return nil, nil, errors.New("cannot read results: there is no report")
	}
	day, err := time.Parse("1/2/2006", rep.Date)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read results: the date %q is not month/day/year", rep.Date)
	}
	f := &clarityReader{rep: rep, parties: map[string]bool{}, r: &results.Results{
		Name: rep.Name, Date: day.Format(time.DateOnly), EndDate: day.Format(time.DateOnly), Issuer: rep.Region, Status: results.UnofficialPartial,
		ScopeID: "region", Provenance: "Read from a file of Clarity of " + rep.Timestamp}}
	f.units()
	for i := range rep.Contests {
		f.contest(&rep.Contests[i], i)
	}
	for _, p := range problems {
		f.notes = append(f.notes, Note{fmt.Sprintf("%s, line %d", p.Path, p.Line), string(p.Rule) + ": " + p.Detail})
	}
	if err := f.r.Check(); err != nil {
		return nil, nil, fmt.Errorf("cannot read results: %w", err)
	}
	return f.r, f.notes, nil
}

type clarityReader struct {
	rep     *clarity.Report
	r       *results.Results
	parties map[string]bool
	notes   []Note
}

// units makes the region with its counties or precincts.
func (f *clarityReader) units() {
	whole, kind := "county", "precinct"
	if f.rep.Level == "County" {
		whole, kind = "state", "county"
	}
	scope := results.Unit{ID: "region", Name: f.rep.Region, Type: whole}
	sum := 0
	for _, u := range f.rep.Units {
		sum += u.Registered
	}
	if n := int64(f.rep.Turnout.Registered); n > 0 {
		scope.Registered = &n
	}
	f.r.Units = append(f.r.Units, scope)
	cast := 0
	for i, u := range f.rep.Units {
		unit := results.Unit{ID: fmt.Sprintf("unit-%d", i+1), Name: u.Name, Type: kind, Within: []string{"region"},
			Ballots: []results.Ballots{{Type: results.Total, Count: int64(u.BallotsCast)}}}
		if n := int64(u.Registered); sum > 0 {
			unit.Registered = &n
		}
		cast += u.BallotsCast
		f.r.Units = append(f.r.Units, unit)
	}
	if n := f.rep.Turnout.BallotsCast; n != cast {
		f.r.BallotSums = []results.Ballots{{Type: results.Total, Count: int64(n)}}
	}
}

// contest makes one contest: identifiers are numbered, because keys of the form
// are unique only within their element.
func (f *clarityReader) contest(x *clarity.Contest, n int) {
	id := fmt.Sprintf("contest-%d", n+1)
	c := results.Contest{ID: id, Title: x.Text, DistrictID: "region", VotesAllowed: int64(max(x.VoteFor, 1)), Elected: max(x.VoteFor, 1), ExternalIDs: []string{x.Key}}
	if x.VoteFor < 1 {
		f.notes = append(f.notes, Note{x.Text, "how many votes are allowed is not said, and taken to be 1"})
	}
	if x.IsQuestion {
		c.Kind, c.Elected = model.Measure, 1
	}
	f.options(&c, x)
	at := map[[2]int]int{} // by unit and way of voting: the line
	kinds := map[string]int{}
	for k := range x.Choices {
		for _, v := range x.Choices[k].VoteTypes {
			kind, ok := kinds[v.Name]
			if !ok {
				kind = len(kinds)
				kinds[v.Name] = kind
			}
			for _, count := range v.Counts {
				i, ok := at[[2]int{count.Unit, kind}]
				if !ok {
					i = len(c.Lines)
					at[[2]int{count.Unit, kind}] = i
					c.Lines = append(c.Lines, results.Line{UnitID: fmt.Sprintf("unit-%d", count.Unit+1), Type: method(v.Name), Votes: make([]int64, len(x.Choices)), Partial: true})
				}
				c.Lines[i].Votes[k] += int64(count.Votes)
			}
		}
	}
	f.sums(&c, x)
	f.r.Contests = append(f.r.Contests, c)
}

func (f *clarityReader) options(c *results.Contest, x *clarity.Contest) {
	for k, ch := range x.Choices {
		o := results.Option{ID: fmt.Sprintf("%s-choice-%d", c.ID, k+1), Name: ch.Text}
		if ch.Party != "" {
			o.Parties = []string{"party-" + ch.Party}
			if !f.parties[ch.Party] {
				f.parties[ch.Party] = true
				f.r.Parties = append(f.r.Parties, results.Party{ID: "party-" + ch.Party, Name: ch.Party, Abbreviation: ch.Party})
			}
		}
		c.Options = append(c.Options, o)
	}
}

// method is a way of voting of Clarity as CountItemType, where it is one.
func method(name string) string {
	switch name {
	case "Election", "Election Day", "Election Day Voting":
		return "election-day"
	case "Early", "Early Vote", "Early Voting", "Advance", "Advance in Person", "Advanced Voting":
		return "early"
	case "Absentee", "Absentee Vote":
		return "absentee"
	case "Absentee by Mail", "Absentee by Mail Votes", "By Mail":
		return "absentee-mail"
	case "Provisional", "Provisional Votes":
		return "provisional"
	}
	return name
}

// sums takes over the totals that the file states, with over- and undervotes.
func (f *clarityReader) sums(c *results.Contest, x *clarity.Contest) {
	total := results.Line{Type: results.Total, Votes: make([]int64, len(x.Choices)), Partial: true}
	for k := range x.Choices {
		total.Votes[k] = int64(x.Choices[k].Total)
	}
	over, has := x.Overvotes()
	under, also := x.Undervotes()
	total.Overvotes, total.Undervotes = int64(over), int64(under)
	if sum := total.Cast() + total.Overvotes + total.Undervotes; has && also && sum%c.VotesAllowed == 0 {
		total.Ballots, total.Partial = sum/c.VotesAllowed, false
	}
	for _, v := range x.Other {
		if v.Name != "Overvotes" && v.Name != "Undervotes" {
			f.notes = append(f.notes, Note{x.Text, fmt.Sprintf("counts of %q, which belong to no choice, are not used", v.Name)})
		}
	}
	byUnit := map[string]*results.Line{}
	for _, v := range x.Other {
		for _, n := range v.Counts {
			id := fmt.Sprintf("unit-%d", n.Unit+1)
			if byUnit[id] == nil {
				byUnit[id] = &results.Line{}
			}
			switch v.Name {
			case "Overvotes":
				byUnit[id].Overvotes += int64(n.Votes)
			case "Undervotes":
				byUnit[id].Undervotes += int64(n.Votes)
			}
		}
	}
	for id, l := range c.ByUnit() {
		if o := byUnit[id]; o != nil {
			l.Overvotes, l.Undervotes = o.Overvotes, o.Undervotes
			if sum := l.Cast() + l.Overvotes + l.Undervotes; has && also && sum%c.VotesAllowed == 0 {
				l.Ballots, l.Partial = sum/c.VotesAllowed, false
			}
			c.Sums = append(c.Sums, l)
		}
	}
	sortLines(c.Sums)
	c.Sums = append(c.Sums, total)
}
