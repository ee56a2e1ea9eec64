package cdf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sallyport/internal/verdict"
)

// walker reads one JSON document against its schema.
type walker struct {
	*checker
	dec     *jsontext.Decoder
	base    string // JSON pointer of what dec reads, when that is a part
	scratch []byte
}

func newWalker(c *checker, r io.Reader) *walker {
	w := &walker{checker: c, dec: jsontext.NewDecoder(r)}
	c.at = w
	return w
}

// document reads the one document in w.dec.
func (w *walker) document() error {
	if err := w.object(nil, []*class{w.schema.root}, 0); err != nil {
		return err
	}
	if _, err := w.dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			return w.broken("trailing", "there is more after the end of the document")
		}
		return w.failed(err)
	}
	return w.references()
}

// object reads an object of one of the given classes; m is where it stands.
func (w *walker) object(m *member, classes []*class, at slot) error {
	if w.depth++; w.depth > maxDepth {
		return w.broken("depth", "nested deeper than %d", maxDepth)
	}
	if len(classes) > 1 {
		err := w.anyOf(m, classes, at)
		w.depth--
		return err
	}
	c := classes[0]
	if c == w.stream {
		w.streams++
		w.budget.allow(w.dec.InputOffset() + maxRecord)
	}
	if err := w.open('{', "an object"); err != nil {
		return err
	}
	if at == 0 {
		at = c.slot
	}
	if err := w.enter(m, c, at); err != nil {
		return w.failed(err)
	}
	seen, err := w.members(c)
	if err != nil {
		return err
	}
	if err := w.leave(c, at, seen); err != nil {
		return w.failed(err)
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return w.failed(err)
	}
	if c == w.stream {
		w.streams--
	}
	w.depth--
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
		return w.object(m, m.classes, m.slot)
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
	if m.kind == kindDateTime {
		text = w.zoned(m, text)
	}
	if problem := m.jsonProblem(raw.Kind(), text); problem != "" {
		return w.broken("value", "%s must be %s", m.name, problem)
	}
	if m.kind == kindType {
		if err := w.typed(c, text); err != nil {
			return err
		}
	}
	return w.value(c, m, text)
}

// jsonProblem returns what a JSON value must be when it is not, or "".
func (m *member) jsonProblem(k jsontext.Kind, text []byte) string {
	switch m.kind {
	case kindInteger:
		if k != '0' {
			return "an integer"
		}
	case kindNumber:
		if k != '0' {
			return "a number"
		}
	case kindBoolean:
		if k != 't' && k != 'f' {
			return "true or false"
		}
	default:
		if k != '"' {
			return "a string"
		}
	}
	return m.problem(text)
}

// anyOf reads an object that may be of several classes: "@type", which may
// stand anywhere in it, says which.
func (w *walker) anyOf(m *member, classes []*class, at slot) error {
	if w.dec.PeekKind() != '{' {
		return w.open('{', "an object")
	}
	before := w.pointerOfNext()
	raw, err := w.dec.ReadValue()
	if err != nil {
		return w.failed(err)
	}
	raw = bytes.Clone(raw)
	part := &walker{checker: w.checker, dec: jsontext.NewDecoder(bytes.NewReader(raw)), base: before}
	w.at = part
	defer func() { w.at = w }()
	name, names, err := shapeOf(raw)
	if err != nil {
		return part.failed(err)
	}
	if c := w.choose(classes, m.base, name, names); c != nil {
		return part.object(m, []*class{c}, at)
	}
	return broken(w.file, before, 0, "type", "@type must name a class that may stand here")
}

// choose returns the class of an object with the given "@type" and members.
// Only a lenient reader goes by a short name, or by the members: without a
// name, and where the name is that of the base class, which has other members.
func (w *walker) choose(classes []*class, base, name string, names map[string]bool) *class {
	based := false
	for _, c := range classes {
		if c.typeName == name || w.lenient != nil && c.name == name {
			if w.lenient == nil || c.name != base || c.fits(names) {
				return c
			}
			based = true
		}
	}
	based = based || base == strings.TrimPrefix(name, w.schema.prefix)
	if w.lenient == nil || names["@type"] && !based {
		return nil
	}
	var fit *class
	for _, c := range classes {
		if !c.fits(names) {
			continue
		}
		if fit != nil {
			return nil
		}
		fit = c
	}
	return fit
}

// fits reports whether an object with these members can be of class c.
func (c *class) fits(names map[string]bool) bool {
	for n := range names {
		if c.members[n] == nil {
			return false
		}
	}
	for _, m := range c.order[1:] {
		if c.required&m.bit != 0 && !names[m.name] {
			return false
		}
	}
	return true
}

// shapeOf returns the member "@type" and the names of the members of an object
// whose syntax was checked.
func shapeOf(raw []byte) (name string, names map[string]bool, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if _, err := d.ReadToken(); err != nil {
		return "", nil, err
	}
	names = map[string]bool{}
	for d.PeekKind() == '"' {
		tok, err := d.ReadToken()
		if err != nil {
			return "", nil, err
		}
		member := tok.String()
		names[member] = true
		if member != "@type" {
			if err := d.SkipValue(); err != nil {
				return "", nil, err
			}
			continue
		}
		v, err := d.ReadToken()
		if err != nil || v.Kind() != '"' {
			return "", names, err
		}
		name = v.String()
	}
	return name, names, nil
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

// ofObject takes the last member away from the pointer.
func (w *walker) ofObject(seen uint64) string {
	p := w.pointer()
	if seen == 0 {
		return p
	}
	return p[:strings.LastIndexByte(p, '/')]
}

func (w *walker) line() int { return 0 }

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
		return broken(w.file, w.base+string(syn.JSONPointer), 0, "json", "at byte %d: %v%s", syn.ByteOffset, syn.Err, hint)
	}
	var sem *json.SemanticError
	if errors.As(err, &sem) {
		return broken(w.file, w.base+string(sem.JSONPointer), 0, "type", "at byte %d: a value of the wrong type", sem.ByteOffset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return w.broken("json", "the document ends too early")
	}
	return fmt.Errorf("cannot read %q: %w", w.file, err)
}
