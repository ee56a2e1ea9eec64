package report

import (
	"fmt"
	"strconv"
	"strings"

	"sallyport/internal/ems/page"
	"sallyport/internal/ems/results"
)

// Summary is the summary of results: for each contest its total, percentages,
// who won or leads, over- and undervotes, and a chart.
func Summary(r *results.Results, opt Options) (*Report, error) {
	v, err := look(r, opt)
	if err != nil {
		return nil, err
	}
	p := v.report("summary", "Summary of Results")
	v.turnoutLine(p)
	p.Table = [][]string{{"contest_id", "contest", "vote_for", "choice_id", "choice", "parties", "votes", "percent", "outcome"}}
	for _, group := range r.ByParty() {
		heading := "Contests"
		if group.Party != "" {
			heading = v.parties[group.Party] + " Primary"
		}
		p.add(page.Heading{Level: 1, Text: heading})
		for _, i := range group.Contests {
			v.summarise(p, &r.Contests[i])
		}
	}
	return p, nil
}

// turnoutLine adds ballots, voters and turnout of the whole.
func (v *view) turnoutLine(p *Report) {
	t := v.r.Whole()
	pairs := []page.Pair{{Key: "Ballots Cast", Value: ballots(t.Ballots, t.Suppressed)}}
	if t.Registered > 0 {
		pairs = append(pairs, page.Pair{Key: "Registered Voters", Value: count(t.Registered)})
		if !t.Suppressed {
			pairs = append(pairs, page.Pair{Key: "Turnout", Value: percent(t.Ballots, t.Registered)})
		}
	}
	p.add(page.KeyValues{Pairs: pairs})
}

func ballots(n int64, hidden bool) string {
	if hidden {
		return withheld
	}
	return count(n)
}

// summarise adds one contest.
func (v *view) summarise(p *Report, c *results.Contest) {
	total, out := c.Total(), v.r.Outcome(c)
	cast := total.Cast()
	title := v.title(c)
	p.add(page.Heading{Level: 2, Text: title}, page.Paragraph{Text: voteFor(c) + " · " + v.reporting(c), Small: true})
	t := &page.Table{Caption: title, HeaderColumns: 1, Columns: []page.Column{{Header: "Choice"}, {Header: "Votes", Align: page.Right}, {Header: "Percent", Align: page.Right}, {Header: ""}}}
	chart := page.BarChart{Caption: title + ": votes"}
	line := func(id, name, parties string, votes int64, mark string, shown bool) {
		value, share := cell(votes, &total, false), ""
		if !total.Suppressed {
			share = percent(votes, cast)
		}
		t.Rows = append(t.Rows, page.Row{Cells: []string{name, value, share, mark}})
		p.Table = append(p.Table, []string{c.ID, title, strconv.FormatInt(c.VotesAllowed, 10), id, name, parties, cell(votes, &total, true), strings.TrimSuffix(share, " %"), mark})
		if shown && !total.Suppressed {
			chart.Bars = append(chart.Bars, page.Bar{Label: name, Value: votes, Shown: shownBar(value, share)})
		}
	}
	for i := range c.Options {
		o := &c.Options[i]
		line(o.ID, v.optionName(o), strings.Join(o.Parties, " "), total.Votes[i], mark(&out, o.ID, o.Name), true)
	}
	for _, n := range c.WriteIns {
		line("", "Write-in: "+n.Name, "", n.Votes, mark(&out, "", n.Name), false)
	}
	v.totals(p, c, t, &total)
	p.add(t)
	if len(chart.Bars) > 1 {
		p.add(chart)
	}
	p.add(page.Paragraph{Text: outcomeWords(&out), Strong: true})
}

func shownBar(value, share string) string {
	if share == "" {
		return value
	}
	return value + " (" + share + ")"
}

// reporting is how many of the precincts that vote on a contest have reported.
func (v *view) reporting(c *results.Contest) string {
	n, all := 0, 0
	for i, l := range c.In(v.precincts) {
		if l != nil {
			all++
			if v.reported[i] {
				n++
			}
		}
	}
	return fmt.Sprintf("Precincts Reporting %d of %d", n, all)
}

// totals adds the rows below the options: overvotes and undervotes are counted
// as votes (VVSG 2.0, 1.1.9).
func (v *view) totals(p *Report, c *results.Contest, t *page.Table, total *results.Line) {
	for _, x := range []struct {
		id, name string
		n        int64
		cast     bool
	}{{"votes", "Votes Cast", total.Cast(), true}, {"overvotes", "Overvotes", total.Overvotes, false}, {"undervotes", "Undervotes", total.Undervotes, false}, {"ballots", "Ballots with this Contest", total.Ballots, false}} {
		shown, plain := rest(x.n, total, false), rest(x.n, total, true)
		if x.cast {
			shown, plain = cell(x.n, total, false), cell(x.n, total, true)
		}
		t.Rows = append(t.Rows, page.Row{Cells: []string{x.name, shown, "", ""}, Total: x.cast})
		p.Table = append(p.Table, []string{c.ID, v.title(c), strconv.FormatInt(c.VotesAllowed, 10), x.id, x.name, "", plain, "", ""})
	}
	if total.Unresolved > 0 && !total.Suppressed {
		t.Rows = append(t.Rows, page.Row{Cells: []string{"Marks waiting for a decision", count(total.Unresolved), "", ""}})
	}
}

// mark is the word beside an option.
func mark(out *results.Outcome, id, name string) string {
	has := func(list []results.Winner) bool {
		for _, w := range list {
			if w.OptionID == id && (id != "" || w.Name == name) {
				return true
			}
		}
		return false
	}
	switch {
	case has(out.Tied):
		return "tied"
	case !has(out.Winners):
		return ""
	case out.TooEarly || out.State == results.Unknown:
		return "leading"
	case out.State == results.Passed:
		return "passed"
	case out.State == results.Retained:
		return "retained"
	}
	return "winner"
}

// outcomeWords says what a contest came to.
func outcomeWords(out *results.Outcome) string {
	if out.TooEarly {
		return "Too early to say: " + out.Why + "."
	}
	switch out.State {
	case results.NoDecision:
		return "This contest elects nobody."
	case results.Elected, results.PartElected:
		s := "Elected: " + people(out.Winners) + "."
		if out.State == results.PartElected {
			s += " Not all seats are filled."
		}
		return s
	case results.NotElected:
		return "Nobody is elected."
	case results.Tied:
		s := fmt.Sprintf("Tied for %d: %s. The tie is decided by law, not here.", out.Seats, people(out.Tied))
		if len(out.Winners) > 0 {
			s = "Elected: " + people(out.Winners) + ". " + s
		}
		return s
	case results.Passed:
		return "Passed."
	case results.Failed:
		return "Failed."
	case results.Retained:
		return "Retained."
	case results.NotRetained:
		return "Not retained."
	}
	return "Not determined: " + out.Why + "."
}

func people(list []results.Winner) string {
	var names []string
	for _, w := range list {
		names = append(names, first(w.Name, w.OptionID))
	}
	return strings.Join(names, ", ")
}
