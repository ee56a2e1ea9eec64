package cdf

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed cvr.classes
var cvrClasses string

//go:embed bd.classes
var bdClasses string

// schema is one document type: its classes and its root.
type schema struct {
	prefix  string // of the values of "@type", such as "CVR."
	root    *class
	classes map[string]*class
}

// class is one class of a schema.
type class struct {
	name     string
	typeName string // the value of "@type"
	members  map[string]*member
	order    []*member
	required uint64 // the bits of the required members
	slot     slot
}

// member is one member of a class.
type member struct {
	name     string
	bit      uint64
	list     bool
	nonEmpty bool
	kind     kind
	enum     map[string]bool
	classes  []*class // of the objects it holds
	targets  []*class // of the objects it refers to
	slot     slot
}

// kind is what a value must be.
type kind uint8

const (
	kindType kind = iota // the member "@type" itself
	kindID               // the member "@id"
	kindString
	kindDate
	kindDateTime
	kindInteger
	kindNumber
	kindBoolean
	kindEnum
	kindObject
	kindRef
)

// slot names a class or member that a reader of documents wants to see; zero
// means that it is checked and dropped.
type slot uint8

// builtin maps the type names of the tables that are neither classes nor
// enumerations. The text formats that matter to nothing here (uri, byte,
// colours, fractions, times of day) are checked only as strings.
var builtin = map[string]kind{
	"string": kindString, "uri": kindString, "byte": kindString, "FractionalNumber": kindString,
	"HtmlColorString": kindString, "ShortString": kindString, "TimeWithZone": kindString,
	"date": kindDate, "date-time": kindDateTime, "DateTimeWithZone": kindDateTime,
	"integer": kindInteger, "number": kindNumber, "boolean": kindBoolean,
}

// parseSchema reads a table of classes in the notation of cvr.classes.
func parseSchema(table, prefix, root string) (*schema, error) {
	s := &schema{prefix: prefix, classes: map[string]*class{}}
	enums := map[string]map[string]bool{}
	types := map[*member]string{} // resolved once every class is known
	var cur *class
	var enum map[string]bool
	for n, line := range strings.Split(table, "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case f[0] == "class" && len(f) == 2:
			cur, enum = &class{name: f[1], typeName: prefix + f[1], members: map[string]*member{}}, nil
			cur.add(&member{name: "@type", kind: kindType}, true)
			s.classes[f[1]] = cur
		case f[0] == "enum" && len(f) == 2:
			cur, enum = nil, map[string]bool{}
			enums[f[1]] = enum
		case enum != nil:
			for _, v := range f {
				enum[v] = true
			}
		case cur != nil && (len(f) == 3 || len(f) == 4 && f[2] == "ref"):
			m := &member{name: f[0], list: f[1] == "*" || f[1] == "+", nonEmpty: f[1] == "+"}
			cur.add(m, f[1] == "!" || f[1] == "+")
			types[m] = strings.Join(f[2:], " ")
		default:
			return nil, fmt.Errorf("table of classes, line %d: cannot read %q", n+1, line)
		}
	}
	for m, t := range types {
		if err := s.resolve(m, t, enums); err != nil {
			return nil, err
		}
	}
	if s.root = s.classes[root]; s.root == nil {
		return nil, fmt.Errorf("table of classes: no class %s", root)
	}
	return s, nil
}

func (c *class) add(m *member, required bool) {
	m.bit = 1 << len(c.order)
	if required {
		c.required |= m.bit
	}
	c.members[m.name] = m
	c.order = append(c.order, m)
}

func (s *schema) resolve(m *member, t string, enums map[string]map[string]bool) error {
	if k, ok := builtin[t]; ok {
		m.kind = k
		if m.name == "@id" {
			m.kind = kindID
		}
		return nil
	}
	if e, ok := enums[t]; ok {
		m.kind, m.enum = kindEnum, e
		return nil
	}
	names, isRef := strings.CutPrefix(t, "ref ")
	var classes []*class
	for _, name := range strings.Split(names, "|") {
		c := s.classes[name]
		if c == nil {
			return fmt.Errorf("table of classes: member %s has the unknown type %s", m.name, name)
		}
		classes = append(classes, c)
	}
	if isRef {
		m.kind, m.targets = kindRef, classes
	} else {
		m.kind, m.classes = kindObject, classes
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
