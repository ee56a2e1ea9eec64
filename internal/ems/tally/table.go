package tally

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"

	"sallyport/internal/verdict"
)

// WriteTable prints the tally for people: one block for each contest, one line
// for each option, one column for each precinct and one for the total.
func (t *Tally) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, %s\n", verdict.Escape(t.Name), t.Date)
	if t.Test {
		fmt.Fprint(&b, "TEST ELECTION: these are not results\n")
	}
	fmt.Fprintf(&b, "%d ballots in %d precincts and %d batches\n", t.Ballots, len(t.Precincts), t.Batches)
	for i := range t.Contests {
		t.Contests[i].table(&b, t)
	}
	fmt.Fprintf(&b, "\ndefinition %s\nstate      %s\n", t.DefinitionSHA256, t.StateDigest)
	_, err := w.Write(b.Bytes())
	return err
}

func (c *Contest) table(b *bytes.Buffer, t *Tally) {
	fmt.Fprintf(b, "\n%s (vote for %d)\n", verdict.Escape(c.Title), c.VotesAllowed)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, of func(*Counts) int64) {
		fmt.Fprintf(tw, "%d\t", of(&c.Total))
		for i := range c.Precincts {
			fmt.Fprintf(tw, "%d\t", of(&c.Precincts[i].Counts))
		}
		// The name stands last: a right-aligned table keeps the digits in
		// columns, and a long name breaks none of them.
		fmt.Fprintf(tw, "   %s\n", name)
	}
	fmt.Fprint(tw, "total\t")
	for _, p := range c.Precincts {
		fmt.Fprintf(tw, "%s\t", verdict.Escape(t.unitName(p.ID)))
	}
	fmt.Fprint(tw, "\n")
	for i, o := range c.Options {
		line(verdict.Escape(o.Name), func(n *Counts) int64 { return n.Votes[i] })
	}
	line("overvotes", func(n *Counts) int64 { return n.Overvotes })
	line("undervotes", func(n *Counts) int64 { return n.Undervotes })
	line("ballots", func(n *Counts) int64 { return n.Ballots })
	if c.Total.Unresolved > 0 {
		line("marks that wait for a decision", func(n *Counts) int64 { return n.Unresolved })
	}
	tw.Flush()
}

func (t *Tally) unitName(id string) string {
	for _, p := range t.Precincts {
		if p.ID == id && p.Name != "" {
			return p.Name
		}
	}
	return id
}
