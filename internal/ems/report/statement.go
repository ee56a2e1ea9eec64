package report

import (
	"slices"
	"strconv"

	"sallyport/internal/ems/page"
	"sallyport/internal/ems/results"
)

// StatementOfVotes is the Statement of Votes Cast: for each contest the counts
// of every precinct for every option, with totals. Splits stand below their
// precinct, which is their sum; the CSV has them alone.
func StatementOfVotes(r *results.Results, opt Options) (*Report, error) {
	v, err := look(r, opt)
	if err != nil {
		return nil, err
	}
	p := v.report("statement-of-votes-cast", "Statement of Votes Cast")
	p.Table = append(make([][]string, 0, v.rows()), []string{"contest_id", "contest", "unit_id", "unit", "choice_id", "choice", "votes"})
	p.add(page.Heading{Level: 1, Text: "Contests"})
	for i := range r.Contests {
		c := &r.Contests[i]
		p.add(page.Heading{Level: 2, Text: v.title(c)}, page.Paragraph{Text: voteFor(c), Small: true})
		p.add(v.statement(c))
		v.statementRows(p, c)
	}
	return p, nil
}

// rows is about how many rows the CSV of a statement has.
func (v *view) rows() int {
	n := 1
	for i := range v.r.Contests {
		n += (len(v.r.Contests[i].Options) + 3) * (len(v.r.Contests[i].Lines) + 1)
	}
	return n
}

// optionColumns are the columns of a table of counts behind those that name the
// row: ballots, options, overvotes and undervotes.
func (v *view) optionColumns(c *results.Contest, lead ...page.Column) []page.Column {
	cols := append(lead, page.Column{Header: "Ballots", Align: page.Right})
	for i := range c.Options {
		cols = append(cols, page.Column{Header: v.optionName(&c.Options[i]), Align: page.Right})
	}
	return append(cols, page.Column{Header: "Overvotes", Align: page.Right}, page.Column{Header: "Undervotes", Align: page.Right})
}

// row is a row of such a table.
func row(name string, l *results.Line) page.Row {
	return page.Row{Cells: append([]string{name, rest(l.Ballots, l, false)}, cells(l, false)...)}
}

// statement is the table of one contest.
func (v *view) statement(c *results.Contest) *page.Table {
	t := &page.Table{Caption: v.title(c) + ": votes by precinct", HeaderColumns: 1, Landscape: len(c.Options) > 5,
		Columns: v.optionColumns(c, page.Column{Header: "Precinct"})}
	by := c.ByUnit()
	for i, l := range c.In(v.precincts) {
		if l == nil {
			continue
		}
		g := &v.precincts[i]
		t.Rows = append(t.Rows, row(g.Name, l))
		if len(g.Units) < 2 {
			continue
		}
		for _, id := range g.Units {
			if part, ok := by[id]; ok {
				t.Rows = append(t.Rows, row("of which "+first(v.units[id].Name, id), &part))
			}
		}
	}
	total := c.Total()
	last := row("Total", &total)
	last.Total = true
	t.Rows = append(t.Rows, last)
	return t
}

// statementRows adds one contest to the CSV: each unit in which it was voted on,
// and a row without unit for the total.
func (v *view) statementRows(p *Report, c *results.Contest) {
	title, by := v.title(c), c.ByUnit()
	names := make([]string, len(c.Options))
	for i := range c.Options {
		names[i] = v.optionName(&c.Options[i])
	}
	add := func(unit, name string, l *results.Line) {
		put := func(id, choice, n string) {
			p.Table = append(p.Table, []string{c.ID, title, unit, name, id, choice, n})
		}
		for i := range c.Options {
			put(c.Options[i].ID, names[i], cell(l.Votes[i], l, true))
		}
		put("overvotes", "Overvotes", rest(l.Overvotes, l, true))
		put("undervotes", "Undervotes", rest(l.Undervotes, l, true))
		put("ballots", "Ballots", rest(l.Ballots, l, true))
	}
	for i := range v.r.Units {
		u := &v.r.Units[i]
		if l, ok := by[u.ID]; ok {
			add(u.ID, first(u.Name, u.ID), &l)
		}
	}
	total := c.Total()
	add("", "Total", &total)
}

// ByMethod is the results by way of voting: for each contest one row for each
// way, and the total.
func ByMethod(r *results.Results, opt Options) (*Report, error) {
	v, err := look(r, opt)
	if err != nil {
		return nil, err
	}
	p := v.report("results-by-voting-method", "Results by Voting Method")
	p.Table = [][]string{{"contest_id", "contest", "method", "choice_id", "choice", "votes"}}
	p.add(page.Heading{Level: 1, Text: "Contests"})
	for i := range r.Contests {
		c := &r.Contests[i]
		p.add(page.Heading{Level: 2, Text: v.title(c)}, page.Paragraph{Text: voteFor(c), Small: true}, v.byMethod(p, c))
	}
	return p, nil
}

func (v *view) byMethod(p *Report, c *results.Contest) *page.Table {
	t := &page.Table{Caption: v.title(c) + ": votes by voting method", HeaderColumns: 1, Landscape: len(c.Options) > 5,
		Columns: v.optionColumns(c, page.Column{Header: "Voting Method"})}
	add := func(kind, name string, l *results.Line, last bool) {
		line := row(name, l)
		line.Total = last
		t.Rows = append(t.Rows, line)
		v.methodRows(p, c, kind, l)
	}
	by := c.ByMethod()
	for _, kind := range v.methods {
		if l, ok := by[kind]; ok {
			add(kind, methodWords(kind), &l, false)
		}
	}
	if l, ok := by[results.Total]; ok && len(by) > 1 {
		add(undivided, "Not divided by voting method", &l, false)
	}
	total := c.Total()
	add(results.Total, "Total", &total, true)
	return t
}

// methodRows adds the counts of one way of voting to the CSV.
func (v *view) methodRows(p *Report, c *results.Contest, kind string, l *results.Line) {
	for i := range c.Options {
		p.Table = append(p.Table, []string{c.ID, v.title(c), kind, c.Options[i].ID, v.optionName(&c.Options[i]), cell(l.Votes[i], l, true)})
	}
	for _, x := range []struct {
		id, name string
		n        int64
	}{{"overvotes", "Overvotes", l.Overvotes}, {"undervotes", "Undervotes", l.Undervotes}, {"ballots", "Ballots", l.Ballots}} {
		p.Table = append(p.Table, []string{c.ID, v.title(c), kind, x.id, x.name, rest(x.n, l, true)})
	}
}

// Turnout is registered voters, ballots and turnout by precinct and by way of
// voting.
func Turnout(r *results.Results, opt Options) (*Report, error) {
	v, err := look(r, opt)
	if err != nil {
		return nil, err
	}
	p := v.report("turnout", "Turnout")
	v.turnoutLine(p)
	header := []string{"unit_id", "unit", "registered"}
	t := &page.Table{Caption: "Ballots by precinct and voting method", HeaderColumns: 1, Columns: []page.Column{{Header: "Precinct"}, {Header: "Registered Voters", Align: page.Right}}, Landscape: len(v.methods) > 4}
	for _, m := range v.methods {
		header = append(header, m)
		t.Columns = append(t.Columns, page.Column{Header: methodWords(m), Align: page.Right})
	}
	t.Columns = append(t.Columns, page.Column{Header: "Ballots Cast", Align: page.Right}, page.Column{Header: "Turnout", Align: page.Right})
	p.Table = [][]string{append(header, results.Total, "turnout_percent")}
	add := func(id, name string, by map[string]results.Ballots, turnout results.Turnout, last bool) {
		line, plain := v.turnoutRow(by, turnout)
		t.Rows = append(t.Rows, page.Row{Cells: append([]string{name}, line...), Total: last})
		p.Table = append(p.Table, append([]string{id, name}, plain...))
	}
	for _, g := range v.precincts {
		turnout := r.Turnout(append([]string{g.ID}, g.Units...))
		add(g.ID, g.Name, v.ballotsOf(g), turnout, false)
	}
	add("", "Total", r.Ballots(), r.Whole(), true)
	p.add(page.Heading{Level: 1, Text: "Precincts"}, t)
	if len(v.methods) > 0 {
		p.add(page.Heading{Level: 1, Text: "Voting methods"}, v.turnoutByMethod())
	}
	return p, nil
}

// turnoutByMethod is each way of voting as a share of ballots and of voters.
func (v *view) turnoutByMethod() *page.Table {
	t := &page.Table{Caption: "Ballots by voting method", HeaderColumns: 1, Columns: []page.Column{{Header: "Voting Method"}, {Header: "Ballots", Align: page.Right},
		{Header: "Percent of Ballots", Align: page.Right}, {Header: "Percent of Registered Voters", Align: page.Right}}}
	by, whole := v.r.Ballots(), v.r.Whole()
	for _, kind := range append(slices.Clone(v.methods), results.Total) {
		b, shares := by[kind], []string{"", ""}
		if !b.Suppressed && !whole.Suppressed {
			shares = []string{percent(b.Count, whole.Ballots), percent(b.Count, whole.Registered)}
		}
		t.Rows = append(t.Rows, page.Row{Cells: append([]string{methodWords(kind), ballots(b.Count, b.Suppressed)}, shares...), Total: kind == results.Total})
	}
	return t
}

// ballotsOf is the ballots of a precinct by way of voting.
func (v *view) ballotsOf(g results.Group) map[string]results.Ballots {
	one := results.Results{}
	for _, id := range g.Units {
		one.Units = append(one.Units, *v.units[id])
	}
	return one.Ballots()
}

// turnoutRow is a row as people and as programs read it.
func (v *view) turnoutRow(by map[string]results.Ballots, t results.Turnout) (shown, plain []string) {
	add := func(s, p string) { shown, plain = append(shown, s), append(plain, p) }
	number := func(n int64, hidden bool) {
		if hidden {
			add(withheld, withheld)
			return
		}
		add(count(n), strconv.FormatInt(n, 10))
	}
	if t.Registered > 0 {
		number(t.Registered, false)
	} else {
		add("–", "")
	}
	for _, m := range v.methods {
		number(by[m].Count, by[m].Suppressed)
	}
	number(t.Ballots, t.Suppressed)
	if t.Ratio() == nil {
		add("–", "")
	} else {
		add(percent(t.Ballots, t.Registered), results.Percent(t.Ballots, t.Registered, 2))
	}
	return shown, plain
}
