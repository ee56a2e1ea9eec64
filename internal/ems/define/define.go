// Package define is the desk at which an election is defined: it reads the
// tables that an office keeps in spreadsheets (a CSV set) into an
// [election.Definition] and writes them back, changes a definition by named
// edits, makes its ballot styles, reviews it, and says what differs between two
// versions and by which hash a ballot is known. FORMAT.md describes each.
//
// It is no store and no user interface: it keeps nothing, prints nothing and
// asks nobody. CSV sets and the words of edits are foreign bytes and are
// trusted in nothing; every problem is told with its place. Definitions are
// judged by [election.Definition.Check] alone.
package define

import (
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/ems/election"
)

// ID is an object identifier of a definition.
type ID = election.ID

// Severity says whether a problem stops the work.
type Severity string

// The values of [Severity].
const (
	// Error: the definition must not be used.
	Error Severity = "error"
	// Warning: somebody has to look at it and may go on.
	Warning Severity = "warning"
)

// Problem is one thing that is wrong, with its place as far as it is known: in
// a CSV set file, line and column; in a definition object or JSON pointer.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitzero"`
	Line     int      `json:"line,omitzero"` // from 1; 0 for the whole file
	Column   string   `json:"column,omitzero"`
	Object   string   `json:"object,omitzero"`
	Pointer  string   `json:"pointer,omitzero"`
	Rule     string   `json:"rule"` // one of the rules of FORMAT.md, here or of internal/ems
	Text     string   `json:"text"` // what is wrong, and what to do
}

// Error returns the problem in one line; foreign text is quoted.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(quoteIfOdd(p.File))
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Column != "" {
		fmt.Fprintf(&b, "column %s: ", quoteIfOdd(p.Column))
	}
	if p.File == "" && p.Object != "" {
		fmt.Fprintf(&b, "%s: ", quoteIfOdd(p.Object))
	}
	if p.File == "" && p.Object == "" && p.Pointer != "" {
		fmt.Fprintf(&b, "%s: ", quoteIfOdd(p.Pointer))
	}
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	fmt.Fprintf(&b, "%s (rule %s)", p.Text, p.Rule)
	return b.String()
}

// quoteIfOdd quotes text that has anything but plain characters.
func quoteIfOdd(s string) string {
	if q := fmt.Sprintf("%q", s); q != `"`+s+`"` {
		return q
	}
	return s
}

// maxProblems is how many are told; the rest would not help anybody.
const maxProblems = 1000

// fault is a value that cannot be taken, before its place is known.
type fault struct {
	rule, text string
	class      string // of a reference: where it should have led
	id         ID
}

func (f *fault) Error() string { return f.text }

// RuleOf returns the rule that an edit or a value breaks; empty when err, or
// what it wraps, is no such error.
func RuleOf(err error) string {
	var f *fault
	if errors.As(err, &f) {
		return f.rule
	}
	return ""
}

func faultf(rule, format string, args ...any) error {
	return &fault{rule: rule, text: fmt.Sprintf(format, args...)}
}

// missing is a reference to an object that is not there.
func missing(class string, id ID) error {
	return &fault{rule: "reference", text: fmt.Sprintf("there is no %s with the id %q", class, id), class: class, id: id}
}

// fromCheck takes over a problem of a definition.
func fromCheck(p election.Problem) Problem {
	return Problem{Severity: Error, Pointer: p.Pointer, Rule: p.Rule, Text: p.Text}
}
