package define

import (
	"fmt"
	"strings"
)

// Edit is one change to a definition: [Add], [Set], [Remove], [Order] or
// [Translate].
type Edit interface {
	// Args returns the words that [ParseEdit] reads as this edit.
	Args() []string
	apply(d *draft) error
}

// Field is a value by the name of its column in a CSV set.
type Field struct{ Name, Value string }

// Add adds an object: a unit, party, office, header, contest, candidate or option.
type Add struct {
	Class  string
	ID     ID
	Fields []Field
}

// Set sets values of an object, or of the election, whose class and ID are
// "election"; an empty value clears.
type Set struct {
	Class  string
	ID     ID
	Fields []Field
}

// Remove removes an object (also a ballot style, by its code) that nothing
// refers to. A contest goes with its answers and places to write a name, a
// candidate with the option that holds nobody else.
type Remove struct {
	Class string
	ID    ID
}

// Order puts the options of a contest in an order that names all of them but
// the places to write a name, which are last.
type Order struct {
	Contest ID
	Options []ID
}

// Translate sets the text of an object's field in a language other than the
// first; an empty text takes the translation out.
type Translate struct {
	Object   ID
	Field    string
	Language string
	Text     string
}

// Args returns the words of the edit.
func (e Add) Args() []string { return append([]string{e.Class, "add", e.ID}, fieldWords(e.Fields)...) }

// Args returns the words of the edit.
func (e Set) Args() []string {
	if e.Class == electionClass {
		return append([]string{electionClass, "set"}, fieldWords(e.Fields)...)
	}
	return append([]string{e.Class, "set", e.ID}, fieldWords(e.Fields)...)
}

// Args returns the words of the edit.
func (e Remove) Args() []string { return []string{e.Class, "remove", e.ID} }

// Args returns the words of the edit.
func (e Order) Args() []string {
	return append([]string{contestClass, "order", e.Contest}, e.Options...)
}

// Args returns the words of the edit.
func (e Translate) Args() []string {
	if e.Text == "" {
		return []string{"translation", "remove", e.Object, e.Field, e.Language}
	}
	return []string{"translation", "set", e.Object, e.Field, e.Language, e.Text}
}

func fieldWords(fields []Field) (out []string) {
	for _, f := range fields {
		out = append(out, f.Name+"="+f.Value)
	}
	return out
}

// EditError is an edit that was refused; none of those before it was kept.
type EditError struct {
	N    int // from 0
	Edit Edit
	Err  error
}

func (e *EditError) Error() string {
	return fmt.Sprintf("cannot apply edit %d (%q): %s", e.N+1, strings.Join(e.Edit.Args(), " "), e.Err)
}

// Unwrap returns the reason.
func (e *EditError) Unwrap() error { return e.Err }
