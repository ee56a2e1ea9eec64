package cdf

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/verdict"
)

const xsiNamespace = "http://www.w3.org/2001/XMLSchema-instance"

// xmlWalker reads one XML document against its schema: UTF-8, no document type,
// no entities but the five of XML, no processing instructions; comments are
// skipped. It is the counterpart of walker: the same checks, the same sink.
type xmlWalker struct {
	*checker
	dec   *xml.Decoder
	space string // the namespace of the document
	path  []step
	scope []prefix
	lineN int
}

// step is one part of the pointer: a member, and the number in its list or -1.
type step struct {
	name string
	n    int
}

// prefix is a namespace declaration in force, at a depth of elements.
type prefix struct {
	name, space string
	depth       int
}

func newXMLWalker(c *checker, r io.Reader) *xmlWalker {
	x := &xmlWalker{checker: c, dec: xml.NewDecoder(r)}
	c.at = x
	return x
}

// document reads the one document in x.dec.
func (x *xmlWalker) document() error {
	start, err := x.rootElement()
	if err != nil {
		return err
	}
	if start.Name.Local != x.schema.root.name {
		return x.broken("type", "the document must be a %s", x.schema.root.name)
	}
	x.space = start.Name.Space
	if x.space != x.schema.namespace {
		if x.lenient == nil || !slices.Contains(x.schema.drafts, x.space) {
			return x.broken("namespace", "the namespace must be %s", x.schema.namespace)
		}
		x.lenient.add(x.checker, "namespace-draft", "read as "+x.schema.namespace)
	}
	if err := x.object(nil, start); err != nil {
		return err
	}
	for {
		tok, err := x.token()
		if errors.Is(err, io.EOF) {
			return x.references()
		}
		if err != nil {
			return err
		}
		if text, ok := tok.(xml.CharData); !ok || !isSpace(text) {
			return x.broken("trailing", "there is more after the end of the document")
		}
	}
}

// rootElement returns the first element.
func (x *xmlWalker) rootElement() (xml.StartElement, error) {
	for first := true; ; first = false {
		tok, err := x.dec.Token()
		if err != nil {
			return xml.StartElement{}, x.failed(err)
		}
		x.lineN, _ = x.dec.InputPos()
		switch t := tok.(type) {
		case xml.StartElement:
			return t, nil
		case xml.ProcInst:
			if t.Target == "xml" && first {
				continue
			}
		case xml.Comment:
			continue
		case xml.CharData:
			if isSpace(t) {
				continue
			}
		}
		return xml.StartElement{}, x.unusual(tok)
	}
}

// token returns the next token that means anything.
func (x *xmlWalker) token() (xml.Token, error) {
	for {
		tok, err := x.dec.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, x.failed(err)
		}
		x.lineN, _ = x.dec.InputPos()
		switch tok.(type) {
		case xml.Comment:
			continue
		case xml.StartElement, xml.EndElement, xml.CharData:
			return tok, nil
		}
		return nil, x.unusual(tok)
	}
}

func (x *xmlWalker) unusual(tok xml.Token) error {
	switch tok.(type) {
	case xml.Directive:
		return x.broken("xml", "a document type or other declaration must not stand here")
	case xml.ProcInst:
		return x.broken("xml", "a processing instruction must not stand here")
	}
	return x.broken("xml", "there is text where an element must stand")
}

// object reads an object that begins with a start element, to its end.
func (x *xmlWalker) object(m *member, start xml.StartElement) error {
	if x.depth++; x.depth > maxDepth {
		return x.broken("depth", "nested deeper than %d", maxDepth)
	}
	x.declare(start)
	defer x.forget()
	c, err := x.classOf(m, start)
	if err != nil {
		return err
	}
	if c == x.stream {
		x.streams++
		defer func() { x.streams-- }()
		x.budget.allow(x.dec.InputOffset() + maxRecord)
	}
	at := c.slot
	if m != nil && m.slot != 0 {
		at = m.slot
	}
	if err := x.enter(m, c, at); err != nil {
		return x.failed(err)
	}
	seen, err := x.attributes(c, start)
	if err != nil {
		return err
	}
	if c.text != nil {
		seen |= c.text.bit
		err = x.textValue(c, c.text)
	} else {
		seen, err = x.elements(c, seen)
	}
	if err != nil {
		return err
	}
	if missing := c.xmlNeeded &^ seen; missing != 0 {
		return x.broken("member-missing", "%s must have the member %q in XML", c.name, c.missing(missing).name)
	}
	if err := x.leave(c, at, seen); err != nil {
		return x.failed(err)
	}
	return nil
}

// classOf returns the class of an element: xsi:type says it where the XSD's
// type is not meant.
func (x *xmlWalker) classOf(m *member, start xml.StartElement) (*class, error) {
	classes, base := []*class{x.schema.root}, x.schema.root.name
	if m != nil {
		classes, base = m.classes, m.base
	}
	name, given := base, false
	for _, a := range start.Attr {
		if a.Name.Space == xsiNamespace && a.Name.Local == "type" {
			space, local := x.qualified(strings.Join(strings.Fields(a.Value), " "))
			if given || space != x.space {
				return nil, x.broken("type", "xsi:type must name a class of the standard, once")
			}
			name, given = local, true
		}
	}
	for _, c := range classes {
		if c.name == name && !c.abstract {
			return c, nil
		}
	}
	if !given && x.lenient != nil && len(classes) == 1 {
		x.lenient.add(x.checker, "type-missing", "read as "+classes[0].typeName+", the only class that fits here")
		return classes[0], nil
	}
	return nil, x.broken("type", "xsi:type must name a class that may stand here")
}

// declare notes the namespace prefixes that an element declares.
func (x *xmlWalker) declare(start xml.StartElement) {
	for _, a := range start.Attr {
		if a.Name.Space == "xmlns" {
			x.scope = append(x.scope, prefix{a.Name.Local, a.Value, x.depth})
		} else if a.Name.Space == "" && a.Name.Local == "xmlns" {
			x.scope = append(x.scope, prefix{"", a.Value, x.depth})
		}
	}
}

func (x *xmlWalker) forget() {
	for len(x.scope) > 0 && x.scope[len(x.scope)-1].depth == x.depth {
		x.scope = x.scope[:len(x.scope)-1]
	}
	x.depth--
}

// qualified resolves the prefix of a name in the content of an attribute.
func (x *xmlWalker) qualified(name string) (space, local string) {
	p, local, ok := strings.Cut(name, ":")
	if !ok {
		p, local = "", name
	}
	for i := len(x.scope) - 1; i >= 0; i-- {
		if x.scope[i].name == p {
			return x.scope[i].space, local
		}
	}
	return "", local
}

// attributes reads the attributes of an element that is an object of class c.
func (x *xmlWalker) attributes(c *class, start xml.StartElement) (seen uint64, err error) {
	seen = c.order[0].bit // the class is known
	for i, a := range start.Attr {
		for _, b := range start.Attr[:i] {
			if a.Name == b.Name {
				return 0, x.broken("xml", "an attribute stands twice")
			}
		}
		switch {
		case a.Name.Space == "xmlns", a.Name.Space == "" && a.Name.Local == "xmlns", a.Name.Space == xsiNamespace && a.Name.Local == "type":
			continue
		case a.Name.Space == xsiNamespace && (a.Name.Local == "schemaLocation" || a.Name.Local == "noNamespaceSchemaLocation"):
			continue // a hint where a schema may be found; the schemas here are built in
		}
		name := a.Name.Local
		if name == "ObjectId" {
			name = "@id"
		}
		m := c.members[name]
		if a.Name.Space != "" || m == nil || !m.attribute || a.Name.Local == "@id" {
			return 0, x.broken("member-unknown", "the standard has no attribute %q in %s", a.Name.Local, c.name)
		}
		seen |= m.bit
		x.push(m, -1)
		if err := x.text(c, m, a.Value); err != nil {
			return 0, err
		}
		x.pop()
	}
	return seen, nil
}

// plain refuses attributes of an element that holds only text.
func (x *xmlWalker) plain(start xml.StartElement) error {
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
			return x.broken("member-unknown", "the standard has no attribute %q here", a.Name.Local)
		}
	}
	return nil
}

// elements reads the child elements of an object, up to its end.
func (x *xmlWalker) elements(c *class, seen uint64) (uint64, error) {
	var last *member
	for n := 0; ; n++ {
		start, err := x.nextElement()
		if err != nil || start == nil {
			return seen, err
		}
		m := c.members[start.Name.Local]
		if start.Name.Space != x.space || m == nil || m.attribute || m.kind == kindType {
			return 0, x.broken("member-unknown", "the standard has no element %q in %s", start.Name.Local, c.name)
		}
		switch {
		case last != nil && m.bit < last.bit:
			return 0, x.broken("member-order", "in %s, %s must stand before %s", c.name, m.name, last.name)
		case m != last:
			n = 0
		case !m.list || m.kind == kindRef:
			return 0, x.broken("member-repeated", "%s stands twice", m.name)
		}
		last = m
		seen |= m.bit
		if x.depth == 1 {
			x.budget.allow(x.dec.InputOffset() + maxHeader)
		}
		if err := x.element(c, m, n, *start); err != nil {
			return 0, err
		}
	}
}

// nextElement returns the next child element, or nil at the end of its parent.
func (x *xmlWalker) nextElement() (*xml.StartElement, error) {
	for {
		tok, err := x.token()
		if err != nil {
			return nil, x.failed(err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if !isSpace(t) {
				return nil, x.broken("xml", "there is text between the elements")
			}
		}
	}
}

// element reads the n-th element of a member.
func (x *xmlWalker) element(c *class, m *member, n int, start xml.StartElement) error {
	if !m.list || m.kind == kindRef {
		n = -1
	}
	x.push(m, n)
	defer x.pop()
	if m.kind == kindObject {
		return x.object(m, start)
	}
	if err := x.plain(start); err != nil {
		return err
	}
	return x.textValue(c, m)
}

// textValue reads text up to the end of its element.
func (x *xmlWalker) textValue(c *class, m *member) error {
	var text strings.Builder
	for {
		tok, err := x.token()
		if err != nil {
			return x.failed(err)
		}
		switch t := tok.(type) {
		case xml.CharData:
			text.Write(t)
			continue
		case xml.StartElement:
			return x.broken("xml", "%s must hold text alone", m.name)
		}
		return x.text(c, m, text.String())
	}
}

// text checks the text of a member and passes it on.
func (x *xmlWalker) text(c *class, m *member, text string) error {
	switch {
	case m.kind == kindRef && m.list:
		return x.idrefs(c, m, text)
	case m.kind == kindID || m.kind == kindRef:
		return x.ncname(c, m, strings.TrimSpace(text))
	}
	text = m.fromXML(text)
	if m.kind == kindDateTime {
		text = string(x.zoned(m, []byte(text)))
	}
	if problem := m.problem([]byte(text)); problem != "" {
		return x.broken("value", "%s must be %s", m.name, problem)
	}
	return x.value(c, m, []byte(text))
}

func (x *xmlWalker) idrefs(c *class, m *member, text string) error {
	names := strings.Fields(text)
	if len(names) == 0 {
		return x.broken("list-empty", "%s must not be an empty list", m.name)
	}
	for i, name := range names {
		x.path[len(x.path)-1].n = i
		if err := x.ncname(c, m, name); err != nil {
			return err
		}
	}
	return nil
}

func (x *xmlWalker) ncname(c *class, m *member, name string) error {
	if !isNCName(name) {
		return x.broken("value", "%s must be a name of XML without a colon", m.name)
	}
	return x.value(c, m, []byte(idFromXML(name)))
}

func (x *xmlWalker) push(m *member, n int) { x.path = append(x.path, step{m.name, n}) }
func (x *xmlWalker) pop()                  { x.path = x.path[:len(x.path)-1] }

func (x *xmlWalker) pointer() string {
	var b strings.Builder
	for _, s := range x.path {
		b.WriteString("/" + s.name)
		if s.n >= 0 {
			b.WriteString("/" + strconv.Itoa(s.n))
		}
	}
	return b.String()
}

func (x *xmlWalker) ofObject(uint64) string { return x.pointer() }

func (x *xmlWalker) line() int { return x.lineN }

func isSpace(text []byte) bool { return strings.Trim(string(text), " \t\r\n") == "" }

// failed turns what stopped the decoder into a finding; findings and the
// context's errors pass as they are.
func (x *xmlWalker) failed(err error) error {
	if _, ok := verdict.Find(err); ok {
		return err
	}
	var syn *xml.SyntaxError
	if errors.As(err, &syn) {
		return broken(x.file, x.pointer(), syn.Line, "xml", "%s", syn.Msg)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return x.broken("xml", "the document ends too early")
	}
	if strings.HasPrefix(err.Error(), "xml: ") {
		return x.broken("xml", "the document must be XML 1.0 in UTF-8")
	}
	return fmt.Errorf("cannot read %q: %w", x.file, err)
}
