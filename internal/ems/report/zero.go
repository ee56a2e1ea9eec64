package report

import (
	"errors"
	"fmt"
	"strconv"

	"sallyport/internal/ems/page"
	"sallyport/internal/ems/results"
)

// ErrNotZero means that a zero report was asked for, and something is counted.
var ErrNotZero = errors.New("there are counts that are not zero")

// ZeroReport says before the count that nothing is counted (VVSG 2.0, 1.1.2): it
// is refused with ErrNotZero when something is.
func ZeroReport(r *results.Results, opt Options) (*Report, error) {
	v, err := look(r, opt)
	if err != nil {
		return nil, err
	}
	if where := notZero(r); where != "" {
		return nil, fmt.Errorf("cannot make a zero report: %w: %s", ErrNotZero, where)
	}
	p := v.report("zero-report", "Zero Report")
	p.Table = [][]string{{"contest_id", "contest", "choice_id", "choice", "votes"}}
	p.add(page.Paragraph{Text: "All counts are zero: no ballot is counted, in no precinct and in no contest.", Strong: true})
	t := &page.Table{Caption: "Counts before the first ballot", HeaderColumns: 2, Columns: []page.Column{{Header: "Contest"}, {Header: "Choice"}, {Header: "Votes", Align: page.Right}}}
	for i := range r.Contests {
		c := &r.Contests[i]
		add := func(id, name string) {
			t.Rows = append(t.Rows, page.Row{Cells: []string{v.title(c), name, "0"}})
			p.Table = append(p.Table, []string{c.ID, v.title(c), id, name, "0"})
		}
		for k := range c.Options {
			add(c.Options[k].ID, v.optionName(&c.Options[k]))
		}
		add("overvotes", "Overvotes")
		add("undervotes", "Undervotes")
	}
	p.add(page.Heading{Level: 1, Text: "Contests"}, t, page.Heading{Level: 1, Text: "Precincts"})
	list := &page.Table{Caption: "Ballots before the first one", HeaderColumns: 1, Columns: []page.Column{{Header: "Precinct"}, {Header: "Ballots", Align: page.Right}}}
	for _, g := range v.precincts {
		list.Rows = append(list.Rows, page.Row{Cells: []string{g.Name, "0"}})
	}
	p.add(list, page.Paragraph{Text: "Signed:\n\n______________________________\n\n______________________________"})
	return p, nil
}

// notZero names the first place that has a count.
func notZero(r *results.Results) string {
	for i := range r.Units {
		if t := r.Units[i].Total(); t.Count != 0 || t.Suppressed {
			return fmt.Sprintf("ballots of unit %q", r.Units[i].ID)
		}
	}
	for i := range r.Contests {
		c := &r.Contests[i]
		t := c.Total()
		if t.Suppressed || t.Ballots != 0 || t.Cast()+t.Overvotes+t.Undervotes+t.WriteIns+t.Unresolved != 0 || len(c.WriteIns)+len(c.Rounds) > 0 {
			return fmt.Sprintf("contest %q", c.ID)
		}
		for _, list := range [][]results.Line{c.Lines, c.Manual} {
			for j := range list {
				if l := &list[j]; l.Suppressed || l.Ballots+l.Cast()+l.Overvotes+l.Undervotes != 0 {
					return fmt.Sprintf("contest %q in unit %q", c.ID, l.UnitID)
				}
			}
		}
	}
	return ""
}

// WriteIns is the votes of write-in candidates whose names were decided, and how
// many written votes are not decided or are for nobody who qualifies.
func WriteIns(r *results.Results, opt Options) (*Report, error) {
	v, err := look(r, opt)
	if err != nil {
		return nil, err
	}
	p := v.report("write-ins", "Write-in Votes")
	p.Table = [][]string{{"contest_id", "contest", "name", "votes"}}
	p.add(page.Heading{Level: 1, Text: "Contests"})
	any := false
	for i := range r.Contests {
		c := &r.Contests[i]
		t := c.Total()
		written, has := int64(0), false
		for k := range c.Options {
			if c.Options[k].WriteIn {
				written, has = written+t.Votes[k], true
			}
		}
		if has {
			any = true
			v.writeIns(p, c, &t, written)
		}
	}
	if !any {
		p.add(page.Paragraph{Text: "No contest of this election has write-in votes."})
	}
	return p, nil
}

// writeIns adds one contest.
func (v *view) writeIns(p *Report, c *results.Contest, total *results.Line, written int64) {
	t := &page.Table{Caption: v.title(c) + ": write-in votes", HeaderColumns: 1, Columns: []page.Column{{Header: "Name"}, {Header: "Votes", Align: page.Right}}}
	add := func(name string, n int64, last bool) {
		shown, plain := count(n), strconv.FormatInt(n, 10)
		if total.Suppressed {
			shown, plain = withheld, withheld
		}
		t.Rows = append(t.Rows, page.Row{Cells: []string{name, shown}, Total: last})
		p.Table = append(p.Table, []string{c.ID, v.title(c), name, plain})
	}
	rest := written
	for _, n := range c.WriteIns {
		add(n.Name, n.Votes, false)
		rest -= n.Votes
	}
	add("Other written votes", max(rest, 0), false)
	add("All written votes", written, true)
	p.add(page.Heading{Level: 2, Text: v.title(c)}, t)
}
