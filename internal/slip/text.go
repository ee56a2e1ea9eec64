package slip

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"sallyport/internal/verdict"
)

// Columns is the width of a page of text.
const Columns = 80

// Dark modules on a white ground, whatever the colours of the terminal.
const (
	blackOnWhite = "\x1b[30;107m"
	asBefore     = "\x1b[0m"
)

// Text is the slip for a terminal or a printer of 80 columns. With colour the QR
// code is drawn black on white, as a terminal needs it; without, nothing but
// text comes out. It fails when the checkpoint cannot be printed.
func (s *Slip) Text(colour bool) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	p := &page{}
	p.line("SALLYPORT SLIP")
	p.line(strings.Repeat("=", Columns))
	p.row("Verdict", word(s.Verdict))
	p.row("Medium", verdict.Visible(s.Medium)+": "+verdict.Visible(s.About))
	p.row("Station", s.station())
	p.row("Time", s.when())
	p.row("Entry", fmt.Sprintf("%d of the station's audit log", s.Entry))
	for i := range s.Packages {
		pk := &s.Packages[i]
		p.row("Package", pk.name()+": "+word(pk.Verdict))
		p.row("", pk.more())
	}
	for _, r := range s.Reasons {
		p.row("Reason", fmt.Sprintf("%s: %s", verdict.Visible(string(r)), r.Meaning()))
		p.row("", "-> "+r.NextStep())
	}
	if s.Detail != "" {
		p.row("Detail", verdict.Visible(s.Detail))
	}
	for _, d := range s.Damage {
		p.row("DAMAGED", verdict.Visible(d))
	}
	p.line(strings.Repeat("-", Columns))
	if s.Checkpoint == "" {
		p.text("", notSealed)
		return p.String(), nil
	}
	p.text("", s.seals())
	p.line("")
	p.note(s.Checkpoint)
	c, err := code(s.Checkpoint)
	if err != nil {
		return "", err
	}
	p.line("")
	if lines := halfBlocks(c); c.Size+2*quiet > Columns {
		p.text("", fmt.Sprintf("The QR code is wider than %d columns: print the slip with --html.", Columns))
	} else {
		for _, line := range lines {
			if colour {
				line = blackOnWhite + line + asBefore
			}
			p.line(line)
		}
	}
	p.line("")
	p.text("", keep)
	p.text("", scan)
	p.line("  " + run)
	p.text("", where)
	p.text("", folded)
	return p.String(), nil
}

// page is text of [Columns] columns.
type page struct{ strings.Builder }

func (p *page) line(s string) { p.WriteString(s); p.WriteByte('\n') }

// row is a name and what stands beside it, on as many lines as it needs.
func (p *page) row(name, s string) { p.text(fmt.Sprintf("%-9s", name), s) }

func (p *page) text(head, s string) {
	for _, part := range wrap(s, Columns-len(head)) {
		p.line(head + part)
		head = strings.Repeat(" ", len(head))
	}
}

// note prints a signed note. A line that is too long goes on behind a mark which
// no line of a note can begin with.
func (p *page) note(note string) {
	for line := range strings.Lines(note) {
		head := "  "
		for rest := []rune(strings.TrimSuffix(line, "\n")); ; head = "  > " {
			n := min(len(rest), Columns-len(head))
			for n < len(rest) && n > 1 && rest[n-1] == ' ' {
				n-- // a space at the end of a line is lost on paper
			}
			p.line(strings.TrimRight(head+string(rest[:n]), " "))
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
		}
	}
}

// wrap breaks a text into lines of at most some columns, at spaces where it can.
func wrap(s string, columns int) (lines []string) {
	line, at := "", 0
	flush := func() { lines, line, at = append(lines, line), "", 0 }
	for _, word := range strings.Fields(s) {
		w := 0
		for _, r := range word {
			w += cells(r)
		}
		if at > 0 && at+1+w > columns {
			flush()
		}
		if at > 0 {
			line, at = line+" ", at+1
		}
		for _, r := range word {
			if at+cells(r) > columns {
				flush()
			}
			line, at = line+string(r), at+cells(r)
		}
	}
	if at > 0 || len(lines) == 0 {
		flush()
	}
	return lines
}

// cells is how many columns a character takes on a terminal.
func cells(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case width.LookupRune(r).Kind() == width.EastAsianWide, width.LookupRune(r).Kind() == width.EastAsianFullwidth:
		return 2
	}
	return 1
}
