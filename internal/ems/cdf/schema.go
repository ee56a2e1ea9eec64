package cdf

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed cvr.classes
var cvrClasses string

//go:embed bd.classes
var bdClasses string

//go:embed err.classes
var errClasses string

// schema is one document type: its classes and its root.
type schema struct {
	format Format
	standard
	root    *class
	classes map[string]*class
}

// class is one class of a schema.
type class struct {
	name      string
	typeName  string // the value of "@type"
	abstract  bool   // in the XSD, and so in XML
	members   map[string]*member
	order     []*member // the order of the XSD
	required  uint64    // the bits of the required members
	xmlNeeded uint64    // the bits of those that only the XSD requires
	text      *member   // the member that is the text of the element
	bases     []string  // the XSD's types of the elements that hold it, other than its own
	slot      slot
}

// member is one member of a class.
type member struct {
	name      string
	bit       uint64
	list      bool
	nonEmpty  bool
	attribute bool // in XML
	kind      kind
	enum      []string
	base      string   // the type of the element in the XSD
	classes   []*class // of the objects it holds
	targets   []*class // of the objects it refers to
	slot      slot
}

// kind is what a value must be.
type kind uint8

const (
	kindType kind = iota // the member "@type" itself
	kindID               // the member "@id"
	kindString
	kindShort
	kindColor
	kindFraction
	kindEnum
	kindLanguage // from here on white space at the ends of XML text means nothing
	kindURI
	kindByte
	kindDate
	kindDateTime
	kindSecond // date and time without a fraction of a second
	kindTime
	kindInteger
	kindNumber
	kindBoolean
	kindObject
	kindRef
)

// slot names a class or member that a reader of documents wants to see; zero
// means that it is checked and dropped.
type slot uint8

// builtin maps the type names of the tables that are neither classes nor
// enumerations.
var builtin = map[string]kind{
	"string": kindString, "ShortString": kindShort, "HtmlColorString": kindColor, "FractionalNumber": kindFraction,
	"language": kindLanguage, "uri": kindURI, "byte": kindByte,
	"date": kindDate, "date-time": kindDateTime, "DateTimeWithZone": kindSecond, "TimeWithZone": kindTime,
	"integer": kindInteger, "number": kindNumber, "boolean": kindBoolean,
}

// tableParser reads a table of classes in the notation of cvr.classes.
type tableParser struct {
	s     *schema
	enums map[string][]string
	types map[*member]string // resolved once every class is known
	cur   *class
	enum  string // whose values stand on the line
}

func parseSchema(f Format, std standard) (*schema, error) {
	s := &schema{format: f, standard: std, classes: map[string]*class{}}
	p := &tableParser{s: s, enums: map[string][]string{}, types: map[*member]string{}}
	for n, line := range strings.Split(std.table, "\n") {
		if !p.line(strings.Fields(line)) {
			return nil, fmt.Errorf("table of classes, line %d: cannot read %q", n+1, line)
		}
	}
	for m, t := range p.types {
		if err := p.resolve(m, t); err != nil {
			return nil, err
		}
	}
	if s.root = s.classes[std.root]; s.root == nil {
		return nil, fmt.Errorf("table of classes: no class %s", std.root)
	}
	return s, nil
}

func (p *tableParser) line(f []string) bool {
	switch {
	case len(f) == 0 || strings.HasPrefix(f[0], "#"):
	case f[0] == "class" && (len(f) == 2 || len(f) == 3 && f[2] == "json"):
		p.cur, p.enum = &class{name: f[1], typeName: p.s.prefix + f[1], abstract: len(f) == 3, members: map[string]*member{}}, ""
		p.cur.add(&member{name: "@type", kind: kindType}, "!")
		p.s.classes[f[1]] = p.cur
	case f[0] == "enum" && len(f) == 2:
		p.cur, p.enum = nil, f[1]
	case p.enum != "":
		p.enums[p.enum] = append(p.enums[p.enum], f...)
	case p.cur != nil && (len(f) == 3 || len(f) == 4 && f[2] == "ref"):
		m := &member{name: f[0]}
		p.cur.add(m, f[1])
		p.types[m] = strings.Join(f[2:], " ")
	default:
		return false
	}
	return true
}

// add appends a member; occurrence is the second column of the table.
func (c *class) add(m *member, occurrence string) {
	m.bit = 1 << len(c.order)
	m.list = occurrence[0] == '*' || occurrence[0] == '+'
	m.nonEmpty = occurrence[0] == '+'
	if occurrence[0] == '!' || occurrence[0] == '+' {
		c.required |= m.bit
	}
	m.attribute = m.name == "@id"
	switch occurrence[1:] {
	case "@":
		m.attribute = true
	case ".":
		c.text = m
	case "!":
		c.xmlNeeded |= m.bit
	}
	c.members[m.name] = m
	c.order = append(c.order, m)
}

func (p *tableParser) resolve(m *member, t string) error {
	if k, ok := builtin[t]; ok {
		m.kind = k
		if m.name == "@id" {
			m.kind = kindID
		}
		return nil
	}
	if e, ok := p.enums[t]; ok {
		m.kind, m.enum = kindEnum, e
		return nil
	}
	names, isRef := strings.CutPrefix(t, "ref ")
	base, several, hasBase := strings.Cut(names, ":")
	if hasBase {
		names = several
	}
	m.base = base
	var classes []*class
	for _, name := range strings.Split(names, "|") {
		c := p.s.classes[name]
		if c == nil {
			return fmt.Errorf("table of classes: member %s has the unknown type %s", m.name, name)
		}
		classes = append(classes, c)
	}
	if isRef {
		m.kind, m.targets = kindRef, classes
		return nil
	}
	m.kind, m.classes = kindObject, classes
	for _, c := range classes {
		if c.name != base && !slices.Contains(c.bases, base) {
			c.bases = append(c.bases, base)
		}
	}
	return nil
}

// missing returns the first member of the bits.
func (c *class) missing(bits uint64) *member {
	for _, m := range c.order {
		if bits&m.bit != 0 {
			return m
		}
	}
	return nil
}

// want gives a slot to the class "C" or to the member "C.m".
func (s *schema) want(path string, at slot) error {
	name, mem, isMember := strings.Cut(path, ".")
	c := s.classes[name]
	if c != nil && !isMember {
		c.slot = at
		return nil
	}
	if c != nil && c.members[mem] != nil {
		c.members[mem].slot = at
		return nil
	}
	return fmt.Errorf("table of classes: no %s", path)
}
