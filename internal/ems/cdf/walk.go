package cdf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/verdict"
)

// maxDepth is the deepest nesting of objects and arrays in any document; the
// deepest real one has fewer than 30 levels.
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

// walker reads one document against its schema and passes the wanted parts to
// a sink. Everything else is checked and dropped.
type walker struct {
	file    string
	schema  *schema
	dec     *jsontext.Decoder
	base    string // JSON pointer of what dec reads, when that is a part
	sink    sink
	budget  *budget
	depth   int
	scratch []byte

	// stream is the class whose objects may be without number: identifiers and
	// references below it are the sink's business.
	stream  *class
	streams int
	ids     map[string]object
	refs    []reference
}

// object is what an identifier stands for.
type object struct{ class *class }

type reference struct {
	id      string
	member  *member
	pointer string
}

// document reads the one document in w.dec.
func (w *walker) document() error {
	w.ids = map[string]object{}
	if err := w.object([]*class{w.schema.root}, 0); err != nil {
		return err
	}
	if _, err := w.dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			return w.broken("trailing", "there is more after the end of the document")
		}
		return w.failed(err)
	}
	for _, r := range w.refs {
		o, ok := w.ids[r.id]
		if !ok {
			return broken(w.file, r.pointer, "reference", "%s refers to an object that is not in the document", r.member.name)
		}
		if !slices.Contains(r.member.targets, o.class) {
			return broken(w.file, r.pointer, "reference", "%s refers to a %s, which it may not", r.member.name, o.class.name)
		}
	}
	return nil
}

// object reads an object of one of the given classes.
func (w *walker) object(classes []*class, at slot) error {
	if w.depth++; w.depth > maxDepth {
		return w.broken("depth", "nested deeper than %d", maxDepth)
	}
	defer func() { w.depth-- }()
	if len(classes) > 1 {
		return w.anyOf(classes, at)
	}
	c := classes[0]
	if c == w.stream {
		w.streams++
		defer func() { w.streams-- }()
		w.budget.allow(w.dec.InputOffset() + maxRecord)
	}
	if err := w.open('{', "an object"); err != nil {
		return err
	}
	if at == 0 {
		at = c.slot
	}
	if at != 0 {
		if err := w.sink.enter(at); err != nil {
			return w.failed(err)
		}
	}
	seen, err := w.members(c)
	if err != nil {
		return err
	}
	if missing := c.required &^ seen; missing != 0 {
		for _, m := range c.order {
			if missing&m.bit != 0 {
				return w.broken("member-missing", "%s must have the member %q", c.name, m.name)
			}
		}
	}
	if at != 0 {
		if err := w.sink.leave(at); err != nil {
			return w.failed(err)
		}
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return w.failed(err)
	}
	return nil
}

// members reads up to the closing brace, which it leaves.
func (w *walker) members(c *class) (seen uint64, err error) {
	for {
		if w.dec.PeekKind() == '}' {
			return seen, nil
		}
		name, err := w.dec.ReadValue()
		if err != nil {
			return 0, w.failed(err)
		}
		text, err := w.text(name)
		if err != nil {
			return 0, err
		}
		m := c.members[string(text)]
		if m == nil {
			return 0, w.broken("member-unknown", "the standard has no such member in %s", c.name)
		}
		seen |= m.bit
		if w.depth == 1 {
			w.budget.allow(w.dec.InputOffset() + maxHeader)
		}
		if m.list {
			err = w.list(c, m)
		} else {
			err = w.one(c, m)
		}
		if err != nil {
			return 0, err
		}
	}
}

func (w *walker) list(c *class, m *member) error {
	if err := w.open('[', "a list"); err != nil {
		return err
	}
	n := 0
	for ; w.dec.PeekKind() != ']'; n++ {
		if err := w.one(c, m); err != nil {
			return err
		}
	}
	if n == 0 && m.nonEmpty {
		return w.broken("list-empty", "%s must not be an empty list", m.name)
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return w.failed(err)
	}
	return nil
}

// open reads an opening token.
func (w *walker) open(k jsontext.Kind, what string) error {
	have := w.dec.PeekKind()
	if have != k && have != 0 {
		return w.broken("type", "this must be %s", what)
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return w.failed(err)
	}
	return nil
}

// one reads one value of a member.
func (w *walker) one(c *class, m *member) error {
	if m.kind == kindObject {
		return w.object(m.classes, m.slot)
	}
	raw, err := w.dec.ReadValue()
	if err != nil {
		return w.failed(err)
	}
	text := []byte(raw)
	if raw.Kind() == '"' {
		if text, err = w.text(raw); err != nil {
			return err
		}
	}
	if problem := m.check(c, raw.Kind(), text); problem != "" {
		return w.broken("value", "%s must be %s", m.name, problem)
	}
	if w.streams == 0 && (m.kind == kindID || m.kind == kindRef) {
		if err := w.note(c, m, string(text)); err != nil {
			return err
		}
	}
	if m.slot != 0 {
		w.sink.value(m.slot, text)
	}
	return nil
}

// note remembers an identifier or a reference outside the streamed class.
func (w *walker) note(c *class, m *member, id string) error {
	if len(w.ids)+len(w.refs) >= maxIDs {
		return verdict.New(verdict.OverLimit, w.where(), "more than %d identifiers and references", maxIDs)
	}
	if m.kind == kindRef {
		w.refs = append(w.refs, reference{id, m, w.pointer()})
		return nil
	}
	if id == "" {
		return w.broken("id-empty", "an @id must not be empty")
	}
	if _, ok := w.ids[id]; ok {
		return w.broken("id-repeated", "this @id stands for another object already")
	}
	w.ids[id] = object{c}
	return nil
}

// check returns what a value must be when it is not, or "".
func (m *member) check(c *class, k jsontext.Kind, text []byte) string {
	switch m.kind {
	case kindInteger:
		if k != '0' {
			return "an integer"
		}
		if _, err := strconv.ParseInt(string(text), 10, 64); err != nil {
			return "an integer without fraction or exponent, within 64 bits"
		}
		return ""
	case kindNumber:
		if k != '0' {
			return "a number"
		}
		return ""
	case kindBoolean:
		if k != 't' && k != 'f' {
			return "true or false"
		}
		return ""
	}
	if k != '"' {
		return "a string"
	}
	switch m.kind {
	case kindType:
		if string(text) != c.typeName {
			return strconv.Quote(c.typeName)
		}
	case kindEnum:
		if !m.enum[string(text)] {
			return "one of the standard's values"
		}
	case kindDate:
		if _, err := time.Parse(time.DateOnly, string(text)); err != nil {
			return "a date such as 2026-11-03"
		}
	case kindDateTime:
		if _, err := time.Parse(time.RFC3339, string(text)); err != nil {
			return "a date and time with zone such as 2026-11-03T20:00:00Z"
		}
	}
	return ""
}

// anyOf reads an object that may be of several classes: "@type", which may
// stand anywhere in it, says which.
func (w *walker) anyOf(classes []*class, at slot) error {
	if w.dec.PeekKind() != '{' {
		return w.open('{', "an object")
	}
	before := w.pointerOfNext()
	raw, err := w.dec.ReadValue()
	if err != nil {
		return w.failed(err)
	}
	raw = bytes.Clone(raw)
	part := *w
	part.base = before
	part.dec = jsontext.NewDecoder(bytes.NewReader(raw))
	name, err := typeOf(raw)
	if err != nil {
		return part.failed(err)
	}
	for _, c := range classes {
		if c.typeName == name {
			err := part.object([]*class{c}, at)
			w.ids, w.refs = part.ids, part.refs
			return err
		}
	}
	return broken(w.file, before, "type", "@type must name a class that may stand here")
}

// typeOf returns the member "@type" of an object whose syntax was checked.
func typeOf(raw []byte) (string, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if _, err := d.ReadToken(); err != nil {
		return "", err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return "", err
		}
		if name.String() != "@type" {
			if err := d.SkipValue(); err != nil {
				return "", err
			}
			continue
		}
		v, err := d.ReadToken()
		if err != nil || v.Kind() != '"' {
			return "", err
		}
		return v.String(), nil
	}
	return "", nil
}

// text unescapes a JSON string.
func (w *walker) text(raw jsontext.Value) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	var err error
	if w.scratch, err = jsontext.AppendUnquote(w.scratch[:0], raw); err != nil {
		return nil, w.failed(err)
	}
	return w.scratch, nil
}

func (w *walker) pointer() string { return w.base + string(w.dec.StackPointer()) }

// pointerOfNext is the pointer of the value that was not read yet.
func (w *walker) pointerOfNext() string {
	if k, n := w.dec.StackIndex(w.dec.StackDepth()); k == '[' {
		p := string(w.dec.StackPointer())
		if n > 0 {
			p = p[:len(p)-1-len(strconv.FormatInt(n-1, 10))]
		}
		return w.base + p + "/" + strconv.FormatInt(n, 10)
	}
	return w.pointer()
}

func (w *walker) where() string { return w.file + "#" + w.pointer() }

func (w *walker) broken(rule, format string, args ...any) error {
	return broken(w.file, w.pointer(), rule, format, args...)
}

// broken is the one form of a finding about a document's content.
func broken(file, pointer, rule, format string, args ...any) error {
	return verdict.New(verdict.ContentInvalid, file+"#"+pointer, "%s (rule %s)", fmt.Sprintf(format, args...), rule)
}

// failed turns what stopped the decoder into a finding; findings and the
// context's errors pass as they are.
func (w *walker) failed(err error) error {
	if _, ok := verdict.Find(err); ok {
		return err
	}
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) && !errors.Is(err, io.ErrUnexpectedEOF) {
		hint := ""
		if syn.ByteOffset == 0 {
			hint = "; the document must begin with '{', without a byte order mark"
		}
		return broken(w.file, w.base+string(syn.JSONPointer), "json", "at byte %d: %v%s", syn.ByteOffset, syn.Err, hint)
	}
	var sem *json.SemanticError
	if errors.As(err, &sem) {
		return broken(w.file, w.base+string(sem.JSONPointer), "type", "at byte %d: a value of the wrong type", sem.ByteOffset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return w.broken("json", "the document ends too early")
	}
	return fmt.Errorf("cannot read %q: %w", w.file, err)
}
