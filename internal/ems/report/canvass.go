package report

import (
	"fmt"

	"sallyport/internal/ems/page"
	"sallyport/internal/ems/results"
)

// PrecinctCanvass is the canvass by precinct, one page or more for each: all
// contests that were voted on there, by way of voting.
func PrecinctCanvass(r *results.Results, opt Options) (*Report, error) {
	v, err := look(r, opt)
	if err != nil {
		return nil, err
	}
	return v.canvass("precinct-canvass", "Precinct Canvass", v.precincts, v.linesBy(v.precincts)), nil
}

// canvass is the canvass of some precincts, whose lines are at the same places.
func (v *view) canvass(name, title string, groups []results.Group, at []map[int]*precinctLines) *Report {
	p := v.report(name, title)
	p.Table = [][]string{{"precinct_id", "precinct", "contest_id", "contest", "method", "choice_id", "choice", "votes"}}
	for i, g := range groups {
		if i > 0 {
			p.add(page.PageBreak{})
		}
		p.add(page.Heading{Level: 1, Text: g.Name}, v.precinctHead(g))
		for k := range v.r.Contests {
			if lines := at[i][k]; lines != nil {
				v.canvassContest(p, g, &v.r.Contests[k], lines)
			}
		}
	}
	return p
}

// precinctLines are a contest's counts in one precinct, by way of voting and in all.
type precinctLines struct {
	by    map[string]*results.Line
	total *results.Line
}

// linesBy sorts the lines of all contests into precincts, in one pass.
func (v *view) linesBy(groups []results.Group) []map[int]*precinctLines {
	of := map[string]int{}
	for i, g := range groups {
		for _, id := range g.Units {
			of[id] = i
		}
	}
	out := make([]map[int]*precinctLines, len(groups))
	for i := range out {
		out[i] = map[int]*precinctLines{}
	}
	for k := range v.r.Contests {
		c := &v.r.Contests[k]
		for i, l := range c.In(groups) {
			if l != nil {
				out[i][k] = &precinctLines{map[string]*results.Line{}, l}
			}
		}
		for _, list := range [][]results.Line{c.Lines, c.Manual} {
			for j := range list {
				i, ok := of[list[j].UnitID]
				if !ok {
					continue
				}
				by := out[i][k].by
				if by[list[j].Type] == nil {
					by[list[j].Type] = &results.Line{Votes: make([]int64, len(c.Options))}
				}
				by[list[j].Type].Add(&list[j])
			}
		}
	}
	return out
}

// precinctHead is the ballots of a precinct.
func (v *view) precinctHead(g results.Group) page.KeyValues {
	t := v.r.Turnout(append([]string{g.ID}, g.Units...))
	by := v.ballotsOf(g)
	var kv page.KeyValues
	add := func(key, value string) { kv.Pairs = append(kv.Pairs, page.Pair{Key: key, Value: value}) }
	if len(g.Units) > 1 {
		names := ""
		for i, id := range g.Units {
			if i > 0 {
				names += ", "
			}
			names += first(v.units[id].Name, id)
		}
		add("Splits", names)
	}
	if t.Registered > 0 {
		add("Registered Voters", count(t.Registered))
	}
	for _, m := range v.methods {
		if b, ok := by[m]; ok {
			add("Ballots, "+methodWords(m), ballots(b.Count, b.Suppressed))
		}
	}
	add("Ballots Cast", ballots(t.Ballots, t.Suppressed))
	if t.Ratio() != nil {
		add("Turnout", percent(t.Ballots, t.Registered))
	}
	return kv
}

// canvassContest adds the table of one contest: a row for each option, a column
// for each way of voting.
func (v *view) canvassContest(p *Report, g results.Group, c *results.Contest, lines *precinctLines) {
	t := &page.Table{Caption: v.title(c) + ", " + voteFor(c), HeaderColumns: 1, Columns: []page.Column{{Header: "Choice"}}}
	var columns []*results.Line
	var kinds []string
	add := func(kind, header string, l *results.Line) {
		t.Columns = append(t.Columns, page.Column{Header: header, Align: page.Right})
		columns, kinds = append(columns, l), append(kinds, kind)
	}
	for _, m := range v.methods {
		if l := lines.by[m]; l != nil {
			add(m, methodWords(m), l)
		}
	}
	if l := lines.by[results.Total]; l != nil && len(lines.by) > 1 {
		add(undivided, "Not Divided", l)
	}
	add(results.Total, "Total", lines.total)
	put := func(id, name string, last bool, n func(l *results.Line) int64, show func(int64, *results.Line, bool) string) {
		cells := []string{name}
		for i, l := range columns {
			cells = append(cells, show(n(l), l, false))
			p.Table = append(p.Table, []string{g.ID, g.Name, c.ID, v.title(c), kinds[i], id, name, show(n(l), l, true)})
		}
		t.Rows = append(t.Rows, page.Row{Cells: cells, Total: last})
	}
	for i := range c.Options {
		put(c.Options[i].ID, v.optionName(&c.Options[i]), false, func(l *results.Line) int64 { return l.Votes[i] }, cell)
	}
	put("overvotes", "Overvotes", false, func(l *results.Line) int64 { return l.Overvotes }, rest)
	put("undervotes", "Undervotes", false, func(l *results.Line) int64 { return l.Undervotes }, rest)
	put("ballots", "Ballots", true, func(l *results.Line) int64 { return l.Ballots }, rest)
	p.add(page.Heading{Level: 2, Text: v.title(c)}, t)
}

// RankedRounds is the rounds of the contests decided by ranked choice.
func RankedRounds(r *results.Results, opt Options) (*Report, error) {
	v, err := look(r, opt)
	if err != nil {
		return nil, err
	}
	p := v.report("ranked-choice-rounds", "Ranked Choice: Round by Round")
	p.Table = [][]string{{"contest_id", "contest", "round", "choice_id", "choice", "votes", "decision"}}
	p.add(page.Heading{Level: 1, Text: "Contests"})
	any := false
	for i := range r.Contests {
		c := &r.Contests[i]
		if !c.Ranked && len(c.Rounds) == 0 {
			continue
		}
		any = true
		p.add(page.Heading{Level: 2, Text: v.title(c)})
		if len(c.Rounds) == 0 {
			p.add(page.Paragraph{Text: "The rounds are not tabulated yet."})
			continue
		}
		v.rounds(p, c)
		out := r.Outcome(c)
		p.add(page.Paragraph{Text: outcomeWords(&out), Strong: true})
	}
	if !any {
		p.add(page.Paragraph{Text: "No contest of this election is decided by ranked choice."})
	}
	return p, nil
}

// rounds adds table and chart of one contest. Votes are decimal text: the chart
// is of their whole part.
func (v *view) rounds(p *Report, c *results.Contest) {
	t := &page.Table{Caption: v.title(c) + ": rounds", HeaderColumns: 1, Columns: []page.Column{{Header: "Choice"}}, Landscape: len(c.Rounds) > 5}
	for i := range c.Rounds {
		t.Columns = append(t.Columns, page.Column{Header: fmt.Sprintf("Round %d", c.Rounds[i].Number), Align: page.Right})
	}
	for k := range c.Options {
		o := &c.Options[k]
		cells := []string{v.optionName(o)}
		for i := range c.Rounds {
			votes, decision := c.Rounds[i].Votes[k], roundMark(&c.Rounds[i], o.ID)
			shown := votes
			if decision != "" {
				shown += " " + decision
			}
			cells = append(cells, first(shown, "–"))
			p.Table = append(p.Table, []string{c.ID, v.title(c), fmt.Sprint(c.Rounds[i].Number), o.ID, v.optionName(o), votes, decision})
		}
		t.Rows = append(t.Rows, page.Row{Cells: cells})
	}
	extra := func(name string, last bool, value func(*results.Round) string) {
		cells := []string{name}
		for i := range c.Rounds {
			cells = append(cells, value(&c.Rounds[i]))
			p.Table = append(p.Table, []string{c.ID, v.title(c), fmt.Sprint(c.Rounds[i].Number), "", name, value(&c.Rounds[i]), ""})
		}
		t.Rows = append(t.Rows, page.Row{Cells: cells, Total: last})
	}
	extra("Threshold", true, func(r *results.Round) string { return r.Threshold })
	for _, cause := range causes(c) {
		extra("Inactive: "+cause, false, func(r *results.Round) string {
			for _, x := range r.Inactive {
				if x.Cause == cause {
					return x.Count
				}
			}
			return ""
		})
	}
	p.add(t)
	for i := range c.Rounds {
		p.add(v.roundChart(c, &c.Rounds[i]))
	}
}

func roundMark(r *results.Round, option string) string {
	for _, x := range r.Elected {
		if x == option {
			return "elected"
		}
	}
	for _, x := range r.Eliminated {
		if x == option {
			return "eliminated"
		}
	}
	return ""
}

// causes are the causes of inactive ballots in the order of the rounds.
func causes(c *results.Contest) (out []string) {
	seen := map[string]bool{}
	for i := range c.Rounds {
		for _, x := range c.Rounds[i].Inactive {
			if !seen[x.Cause] {
				seen[x.Cause] = true
				out = append(out, x.Cause)
			}
		}
	}
	return out
}

func (v *view) roundChart(c *results.Contest, r *results.Round) page.BarChart {
	chart := page.BarChart{Caption: fmt.Sprintf("%s: round %d", v.title(c), r.Number)}
	for k, votes := range r.Votes {
		if votes != "" {
			chart.Bars = append(chart.Bars, page.Bar{Label: v.optionName(&c.Options[k]), Value: whole(votes), Shown: votes})
		}
	}
	return chart
}

// whole is the whole part of decimal text.
func whole(s string) (n int64) {
	for _, r := range s {
		if r < '0' || r > '9' || n > 1<<55 {
			break
		}
		n = 10*n + int64(r-'0')
	}
	return n
}
