package corpus

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
)

// Case is one recipe: an image, what is done to it, and what has to be said
// of it. The form is described in testdata/media/README.md.
type Case struct {
	Name   string
	Place  string // file and line, for messages
	Make   string // the whole line behind the word "make"
	Damage []Step
	Expect []Expectation

	family *Family
}

// Step is one damage, ready to be done.
type Step struct {
	Line string
	args []Arg
	do   func(img *Image, args []Arg)
}

// Level is where a finding stands.
type Level string

// The levels: nothing can be said of the medium; its table; a volume; a file.
const (
	Refused Level = "refused"
	Medium  Level = "medium"
	Volume  Level = "volume"
	File    Level = "file"
)

// Expectation is one "expect" line.
type Expectation struct {
	// What is "clean", "finding", "holds", "deleted", "altered" or "missing".
	What string

	Level  Level
	Volume int    // -1 for any
	Path   string // of a file; "*" in a finding for any
	Reason verdict.Reason
	Text   string // has to occur in the finding

	Type  string // word of package medium
	Count int64
}

// Parse reads the recipes of a family. Whatever it does not know is an error.
func Parse(f *Family, file, text string) ([]Case, error) {
	var list []Case
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		fail := func(format string, args ...any) ([]Case, error) {
			return nil, fmt.Errorf("%s:%d: %s", file, i+1, fmt.Sprintf(format, args...))
		}
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		words, err := split(line)
		if err != nil {
			return fail("%v", err)
		}
		if inside := line[0] == ' '; inside == (words[0] == "case") {
			return fail("only the lines inside a case begin with a space")
		}
		if words[0] == "case" {
			switch {
			case len(words) != 2 || strings.Trim(words[1], "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
				return fail("a case has one name of small letters, digits and '-'")
			case seen[words[1]]:
				return fail("there is a case %s already", words[1])
			}
			seen[words[1]] = true
			list = append(list, Case{Name: words[1], Place: fmt.Sprintf("%s:%d", file, i+1), family: f})
			continue
		}
		if len(list) == 0 {
			return fail("a line before the first case")
		}
		if err := list[len(list)-1].add(words, strings.TrimSpace(line)); err != nil {
			return fail("%v", err)
		}
	}
	for _, c := range list {
		if c.Make == "" || len(c.Expect) == 0 {
			return nil, fmt.Errorf("%s: case %s has no image or no expectation", c.Place, c.Name)
		}
	}
	return list, nil
}

// add takes one line of a case.
func (c *Case) add(words []string, line string) error {
	switch {
	case len(words) < 2:
		return fmt.Errorf("%q says nothing", words[0])
	case words[0] == "make":
		if c.Make != "" || len(c.Damage)+len(c.Expect) > 0 {
			return fmt.Errorf("\"make\" stands once and first in a case")
		}
		if _, ok := bases()[words[1]]; !ok {
			return fmt.Errorf("there is no base image %q", words[1])
		}
		c.Make = strings.Join(words[1:], " ")
	case words[0] == "damage":
		if len(c.Expect) > 0 {
			return fmt.Errorf("a damage behind an expectation")
		}
		s, err := c.family.step(words[1:])
		if err != nil {
			return err
		}
		s.Line = line
		c.Damage = append(c.Damage, s)
	case words[0] == "expect":
		e, err := parseExpectation(words[1:])
		if err != nil {
			return err
		}
		for _, before := range c.Expect {
			if before.What == "clean" && e.What == "finding" || before.What == "finding" && e.What == "clean" || before == e {
				return fmt.Errorf("it contradicts or repeats an expectation before it")
			}
		}
		c.Expect = append(c.Expect, e)
	default:
		return fmt.Errorf("nobody knows the word %q", words[0])
	}
	return nil
}

func parseExpectation(w []string) (e Expectation, err error) {
	e.What, e.Volume = w[0], -1
	want := func(n int) error {
		if len(w) != n+1 {
			return fmt.Errorf("%q takes %d words and has %d", w[0], n, len(w)-1)
		}
		return nil
	}
	switch w[0] {
	case "clean":
		return e, want(0)
	case "altered", "missing":
		if err := want(1); err != nil {
			return e, err
		}
		e.Path = w[1]
		return e, nil
	case "deleted", "holds":
		if w[0] == "holds" {
			if err := want(2); err != nil {
				return e, err
			}
			e.Type = w[1]
			if !knownType(e.Type) {
				return e, fmt.Errorf("there is no type %q", e.Type)
			}
		} else if err := want(1); err != nil {
			return e, err
		}
		e.Count, err = strconv.ParseInt(w[len(w)-1], 10, 64)
		return e, err
	case "refused", "medium", "volume", "file":
		e.What, e.Level = "finding", Level(w[0])
	default:
		return e, fmt.Errorf("nobody knows the expectation %q", w[0])
	}
	if e.Level == Volume && len(w) == 4 {
		if e.Volume, err = strconv.Atoi(w[1]); err != nil {
			return e, fmt.Errorf("%q is not the number of a volume", w[1])
		}
		w = append([]string{"volume"}, w[2:]...)
	}
	if e.Level == File && len(w) == 4 {
		e.Path = w[1]
		w = append([]string{"file"}, w[2:]...)
	} else if e.Level == File {
		return e, fmt.Errorf("a finding of a file needs path, reason and text")
	}
	if err := want(2); err != nil {
		return e, err
	}
	if e.Reason, e.Text = verdict.Reason(w[1]), w[2]; !e.Reason.Valid() || e.Reason == verdict.SandboxUnavailable || e.Text == "" {
		return e, fmt.Errorf("%q is no reason that a medium can give, or the text is empty", w[1])
	}
	return e, nil
}

func knownType(word string) bool {
	for t := medium.File; t.Valid(); t++ {
		if t.Word() == word {
			return true
		}
	}
	return false
}

// split cuts a line at spaces; parts in double quotes are Go strings and may
// hold any character.
func split(line string) (words []string, err error) {
	for {
		if line = strings.TrimLeft(line, " "); line == "" {
			return words, nil
		}
		word := ""
		for line != "" && line[0] != ' ' {
			if line[0] != '"' {
				n := strings.IndexAny(line, ` "`)
				if n < 0 {
					n = len(line)
				}
				word, line = word+line[:n], line[n:]
				continue
			}
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("a quotation is not closed: %s", line)
			}
			part, err := strconv.Unquote(q)
			if err != nil {
				return nil, err
			}
			word, line = word+part, line[len(q):]
		}
		words = append(words, word)
	}
}

// Kind of an argument of a damage.
type Kind int

// The kinds of arguments.
const (
	Word   Kind = iota // anything: names of files and the like
	PlaceK             // a place, see [Family.Places]
	Number             // a number of bytes or of things
	Hex                // bytes, two digits each
	ValueK             // what a field is set to
	FieldK             // the name of a field of the family
	SealK              // the name of a seal of the family
)

// Arg is one argument. Text is always there, the rest as its kind says.
type Arg struct {
	Text  string
	N     int64
	Bytes []byte

	place place
	value value
	field fieldAt
	seal  Seal
}

// step finds the damage and reads its arguments.
func (f *Family) step(w []string) (s Step, err error) {
	d, ok := generic()[w[0]]
	if !ok {
		d, ok = f.Damages[w[0]]
	}
	if !ok {
		return s, fmt.Errorf("there is no damage %q", w[0])
	}
	if len(w)-1 != len(d.Args) {
		return s, fmt.Errorf("the damage %q takes %d arguments and has %d", w[0], len(d.Args), len(w)-1)
	}
	for i, kind := range d.Args {
		a := Arg{Text: w[i+1]}
		switch kind {
		case PlaceK:
			a.place, err = f.parsePlace(a.Text)
		case Number:
			a.N, err = parseNumber(a.Text)
		case Hex:
			a.Bytes, err = hex.DecodeString(a.Text)
		case ValueK:
			a.value, err = parseValue(a.Text)
		case FieldK:
			a.field, err = f.findField(a.Text)
		case SealK:
			a.seal, a.Text, err = f.findSeal(a.Text)
		}
		if err != nil {
			return s, fmt.Errorf("%q: %w", w[0], err)
		}
		s.args = append(s.args, a)
	}
	s.do = d.Do
	return s, nil
}
