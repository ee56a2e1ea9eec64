package page

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// checker walks a document before anything of it is written, so that a document
// that cannot be printed leaves no half of one behind.
type checker struct {
	print        func(s string) error // CheckText, and for PDF the fonts too
	level        int                  // of the last heading
	cells, total int                  // spent of the budgets
}

// language is the form of a BCP 47 tag (RFC 5646, section 2.1), without a look
// at the registry.
var language = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,8}$`)

// at says where in the document an error is, in front of what it says already.
func at(err error, parts ...any) error {
	if err == nil {
		return nil
	}
	var where strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&where, "/%v", p)
	}
	var text *TextError
	if errors.As(err, &text) {
		text.Where = where.String() + text.Where
		return err
	}
	var shape *shapeError
	if errors.As(err, &shape) {
		shape.where = where.String() + shape.where
		return err
	}
	return &shapeError{where.String(), err.Error()}
}

// shapeError is about the document rather than a character.
type shapeError struct{ where, what string }

func (e *shapeError) Error() string {
	return "cannot print the document: at " + e.where + ": " + e.what
}

// document checks all of a document.
func (c *checker) document(d *Document) error {
	if d.Size > A4 {
		return at(fmt.Errorf("paper size %d is not known", d.Size), "Size")
	}
	if !language.MatchString(d.Lang) {
		return at(fmt.Errorf("%q is not a language tag (BCP 47), such as en-US", d.Lang), "Lang")
	}
	if len(d.Blocks) > MaxBlocks {
		return at(fmt.Errorf("%d blocks, and at most %d are printed", len(d.Blocks), MaxBlocks), "Blocks")
	}
	if len(d.Footer) > maxFooter {
		return at(fmt.Errorf("%d lines, and at most %d are printed", len(d.Footer), maxFooter), "Footer")
	}
	if err := c.furniture(d); err != nil {
		return err
	}
	for i, b := range d.Blocks {
		if b == nil {
			return at(errors.New("the block is missing"), "Blocks", i)
		}
		if err := b.check(c); err != nil {
			return at(err, "Blocks", i)
		}
	}
	return nil
}

// furniture checks what is not in the blocks.
func (c *checker) furniture(d *Document) error {
	if err := c.required(d.Title); err != nil {
		return at(err, "Title")
	}
	w := d.Words.filled()
	for _, part := range []struct{ name, text string }{
		{"Author", d.Author}, {"Notice", d.Notice}, {"Words/PageOf", w.PageOf}, {"Words/PartOf", w.PartOf},
		{"Words/Continued", w.Continued}, {"Words/WriteIn", w.WriteIn}, {"Words/VoteFor", w.VoteFor}, {"Words/BallotQR", w.BallotQR}, {"Words/Wide", w.Wide},
	} {
		if err := c.text(part.text, ""); err != nil {
			return at(err, part.name)
		}
	}
	return c.texts(d.Footer, "Footer")
}

// text checks one text, which may be empty.
func (c *checker) text(s, lang string) error {
	if len(s) > MaxText {
		return fmt.Errorf("a text of %d bytes, and at most %d are printed", len(s), MaxText)
	}
	if c.total += len(s); c.total > MaxTotal {
		return fmt.Errorf("more than %d bytes of text in all", MaxTotal)
	}
	if lang != "" && !language.MatchString(lang) {
		return fmt.Errorf("%q is not a language tag (BCP 47), such as en-US", lang)
	}
	err := c.print(s)
	var text *TextError
	if errors.As(err, &text) {
		text.Lang = lang
	}
	return err
}

// required checks a text that may not be empty.
func (c *checker) required(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("the text is empty")
	}
	return c.text(s, "")
}

// texts checks texts of the document's language in a field.
func (c *checker) texts(texts []string, field string) error {
	for i, s := range texts {
		if err := c.text(s, ""); err != nil {
			return at(err, field, i)
		}
	}
	return nil
}

// lines checks texts in their languages in a field.
func (c *checker) lines(lines []Line, field string) error {
	if err := c.spend(len(lines)); err != nil {
		return at(err, field)
	}
	for i, l := range lines {
		if err := c.text(l.Text, l.Lang); err != nil {
			return at(err, field, i, "Text")
		}
	}
	return nil
}

// spend takes cells off the document's budget.
func (c *checker) spend(cells int) error {
	if cells > MaxCells-c.cells {
		return fmt.Errorf("more than %d cells and lines in all", MaxCells)
	}
	c.cells += cells
	return nil
}

// filled is the words with the defaults for those that are empty.
func (w Words) filled() Words {
	for _, f := range []struct {
		word *string
		text string
	}{
		{&w.PageOf, "Page {n} of {m}"}, {&w.PartOf, "part {n} of {m}"}, {&w.Continued, "continued"},
		{&w.WriteIn, "Write-in"}, {&w.VoteFor, "Vote for {n}"}, {&w.BallotQR, "QR code of this ballot style"},
		{&w.Wide, "This table is wider than paper: print the PDF instead."},
	} {
		if *f.word == "" {
			*f.word = f.text
		}
	}
	return w
}
