package proof

import (
	"fmt"
	"strings"

	"sallyport/internal/ems/page"
)

// Text is the proof as plain text in reading order, in the given languages of
// it: for screen readers, braille displays, and whoever records a voice.
func (p *Proof) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", Notice, p.Document.Title)
	ballot := p.Document.Blocks[0].(*page.BallotPage)
	write := func(prefix string, lines []page.Line) {
		for _, l := range lines {
			b.WriteString(prefix)
			if l.Lang != "" && l.Lang != p.Document.Lang {
				fmt.Fprintf(&b, "[%s] ", l.Lang)
			}
			b.WriteString(strings.ReplaceAll(l.Text, "\n", "\n"+prefix) + "\n")
		}
	}
	write("", ballot.Title)
	write("", ballot.About)
	b.WriteString(ballot.Code + "\n")
	write("", ballot.Instructions)
	for n, c := range ballot.Contests {
		fmt.Fprintf(&b, "\nContest %d of %d\n", n+1, len(ballot.Contests))
		write("", c.Title)
		write("", c.Instructions)
		for i, o := range c.Options {
			fmt.Fprintf(&b, "  %d of %d\n", i+1, len(c.Options))
			write("    ", o.Name)
			write("    ", o.Detail)
		}
	}
	fmt.Fprintf(&b, "\nBallot style hash %s\n", p.Hash)
	return b.String()
}
