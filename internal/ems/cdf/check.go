package cdf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/verdict"
)

// maxDepth is the deepest nesting of objects in any document; the deepest real
// one has fewer than 30 levels.
const maxDepth = 64

// maxIDs bounds the objects with an identifier, and the references, that a
// document may have outside its cast vote records.
const maxIDs = 1 << 20

// sink receives what a document says, in the document's order. Text is
// unescaped and valid only during the call.
type sink interface {
	enter(s slot) error
	leave(s slot) error
	value(s slot, text []byte)
}

// nowhere is the sink of documents that are only kept as a tree.
type nowhere struct{}

func (nowhere) enter(slot) error   { return nil }
func (nowhere) leave(slot) error   { return nil }
func (nowhere) value(slot, []byte) {}

// position says where a walker is.
type position interface {
	pointer() string             // JSON pointer, for XML that of the same document as JSON
	ofObject(seen uint64) string // the same of the object whose end was reached
	line() int                   // of XML, otherwise 0
}

// checker is what the walkers of both encodings have in common: the budgets,
// the identifiers, and whom they tell what they read. Everything that neither
// the sink nor the tree wants is checked and dropped.
type checker struct {
	file    string
	schema  *schema
	sink    sink
	tree    *builder    // nil when the document is not kept
	lenient *deviations // nil when strict
	budget  *budget
	depth   int
	at      position

	// stream is the class whose objects may be without number: identifiers and
	// references below it are the sink's business.
	stream  *class
	streams int
	ids     map[string]object
	refs    []reference
}

// object is what an identifier stands for: one object, unless a lenient reader
// let several share it.
type object struct {
	class *class
	also  []*class
}

// is reports whether the identifier stands for an object of such a class.
func (o object) is(fits func(*class) bool) bool {
	return o.class != nil && fits(o.class) || slices.ContainsFunc(o.also, fits)
}

type reference struct {
	id      string
	member  *member
	pointer string
	line    int
}

func newChecker(file string, s *schema, b *budget) *checker {
	return &checker{file: file, schema: s, sink: nowhere{}, budget: b, ids: map[string]object{}}
}

// enter begins an object of class c, which stands in member m of another.
func (c *checker) enter(m *member, cl *class, at slot) error {
	if c.tree != nil {
		if err := c.tree.open(m, cl, c.at.line()); err != nil {
			return err
		}
	}
	if at != 0 {
		return c.sink.enter(at)
	}
	return nil
}

// leave ends an object in which the members of seen were found.
func (c *checker) leave(cl *class, at slot, seen uint64) error {
	missing := cl.required &^ seen
	if missing&1 != 0 && c.lenient != nil {
		c.lenient.addAt(c.file, c.at.ofObject(seen), "type-missing", "read as "+cl.typeName+", the only class that fits here")
		missing &^= 1
	}
	if missing != 0 {
		return c.brokenAt(c.at.ofObject(seen), "member-missing", "%s must have the member %q", cl.name, cl.missing(missing).name)
	}
	if at != 0 {
		if err := c.sink.leave(at); err != nil {
			return err
		}
	}
	if c.tree != nil {
		c.tree.close()
	}
	return nil
}

// value passes on one value that has the form that its member wants.
func (c *checker) value(cl *class, m *member, text []byte) error {
	if c.tree != nil {
		if m.kind == kindType {
			return nil
		}
		s := string(text)
		if m.kind != kindID && m.kind != kindRef && badCharacter(s) {
			return c.broken("value", "%s must not have control characters, which XML cannot hold", m.name)
		}
		c.tree.value(m, s)
		return nil
	}
	if c.streams == 0 && (m.kind == kindID || m.kind == kindRef) {
		if err := c.note(cl, m, string(text)); err != nil {
			return err
		}
	}
	if m.slot != 0 {
		c.sink.value(m.slot, text)
	}
	return nil
}

// typed checks the member "@type" of an object of class cl.
func (c *checker) typed(cl *class, text []byte) error {
	if string(text) == cl.typeName {
		return nil
	}
	if c.lenient != nil && string(text) == cl.name {
		c.lenient.add(c, "type-short", "read as "+cl.typeName)
		return nil
	}
	if c.lenient != nil && slices.Contains(cl.bases, strings.TrimPrefix(string(text), c.schema.prefix)) {
		c.lenient.add(c, "type-base", "@type names the base of the class; read as "+cl.typeName+", the only class that fits here")
		return nil
	}
	return c.broken("value", "@type must be %s", strconv.Quote(cl.typeName))
}

// zoned gives a lenient reader the time zone that a date and time lacks.
func (c *checker) zoned(m *member, text []byte) []byte {
	utc := string(text) + "Z"
	if c.lenient == nil || m.problem(text) == "" || !isTime(time.RFC3339, utc) {
		return text
	}
	c.lenient.add(c, "zone-missing", "read as universal time")
	return []byte(utc)
}

// note remembers an identifier or a reference outside the streamed class.
func (c *checker) note(cl *class, m *member, id string) error {
	if len(c.ids)+len(c.refs) >= maxIDs {
		return verdict.New(verdict.OverLimit, c.where(), "more than %d identifiers and references", maxIDs)
	}
	if m.kind == kindRef {
		c.refs = append(c.refs, reference{id, m, c.at.pointer(), c.at.line()})
		return nil
	}
	if id == "" {
		return c.broken("id-empty", "an @id must not be empty")
	}
	o, ok := c.ids[id]
	switch {
	case !ok:
		c.ids[id] = object{class: cl}
		return nil
	case c.lenient != nil && sharesID(cl) && sharesID(o.class):
		c.lenient.add(c, "id-shared", idShared)
		if cl != o.class && !slices.Contains(o.also, cl) {
			o.also = append(o.also, cl)
			c.ids[id] = o
		}
		return nil
	}
	return c.broken("id-repeated", "this @id stands for another object already")
}

const idShared = "candidates and the options of different contests share an @id; an option is told by its contest and its @id"

// sharesID reports whether objects of a class may share an identifier for a
// lenient reader: the reference and its contest say which one is meant.
func sharesID(c *class) bool {
	return c.typeName == "CVR.Candidate" || strings.HasPrefix(c.typeName, "CVR.") && strings.HasSuffix(c.name, "Selection")
}

// references checks the references that were noted.
func (c *checker) references() error {
	for _, r := range c.refs {
		o, ok := c.ids[r.id]
		if !ok {
			return broken(c.file, r.pointer, r.line, "reference", "%s refers to an object that is not in the document", r.member.name)
		}
		if !o.is(func(cl *class) bool { return slices.Contains(r.member.targets, cl) }) {
			return broken(c.file, r.pointer, r.line, "reference", "%s refers to a %s, which it may not", r.member.name, o.class.name)
		}
	}
	return nil
}

func (c *checker) where() string { return c.file + "#" + c.at.pointer() }

func (c *checker) broken(rule, format string, args ...any) error {
	return broken(c.file, c.at.pointer(), c.at.line(), rule, format, args...)
}

// brokenAt is a finding about another place than the current one.
func (c *checker) brokenAt(pointer, rule, format string, args ...any) error {
	return broken(c.file, pointer, c.at.line(), rule, format, args...)
}

// broken is the one form of a finding about a document's content; line is 0
// for JSON.
func broken(file, pointer string, line int, rule, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if line > 0 {
		text += fmt.Sprintf(", line %d", line)
	}
	return verdict.New(verdict.ContentInvalid, file+"#"+pointer, "%s (rule %s)", text, rule)
}
