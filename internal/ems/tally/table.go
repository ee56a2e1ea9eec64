package tally

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"sallyport/internal/verdict"
)

// WriteTable prints the tally for people: one block for each contest, one line
// for each option, one column for each precinct and one for all of them.
func (t *Tally) WriteTable(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, %s\n", verdict.Escape(t.Name), t.Date)
	if t.Test {
		b.WriteString("TEST ELECTION: these are not results\n")
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
	head := []string{"", "Total"}
	for _, p := range c.Precincts {
		head = append(head, verdict.Escape(t.unitName(p.ID)))
	}
	rows := [][]string{head}
	line := func(name string, of func(*Counts) int64) {
		row := []string{"  " + name, strconv.FormatInt(of(&c.Total), 10)}
		for i := range c.Precincts {
			row = append(row, strconv.FormatInt(of(&c.Precincts[i].Counts), 10))
		}
		rows = append(rows, row)
	}
	for i, o := range c.Options {
		line(verdict.Escape(o.Name), func(n *Counts) int64 { return n.Votes[i] })
	}
	line("overvotes", func(n *Counts) int64 { return n.Overvotes })
	line("undervotes", func(n *Counts) int64 { return n.Undervotes })
	line("ballots", func(n *Counts) int64 { return n.Ballots })
	if c.Total.Unresolved > 0 {
		line("marks waiting for a decision", func(n *Counts) int64 { return n.Unresolved })
	}
	columns(b, rows)
}

// columns prints rows with the first column to the left, the others to the right.
func columns(b *bytes.Buffer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	for _, row := range rows {
		for i, s := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(s))
			if i == 0 {
				b.WriteString(s + pad)
			} else {
				b.WriteString("  " + pad + s)
			}
		}
		b.WriteByte('\n')
	}
}

func (t *Tally) unitName(id string) string {
	for _, p := range t.Precincts {
		if p.ID == id && p.Name != "" {
			return p.Name
		}
	}
	return id
}
