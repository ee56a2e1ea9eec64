package cdf

import (
	"slices"
	"strconv"
	"strings"
)

// Document is one document of a common data format, read whole or built in
// code. Both encodings of a document are the same tree: empty lists are absent
// members, and the order of members is that of the standard.
type Document struct {
	Format Format
	Root   *Object

	schema *schema
	file   string // what findings call it
}

// Object is one object of a document: members by the names of the standard's
// JSON schema. All methods that read accept a nil object, which has no members,
// so that what is optional can be read in one expression:
//
//	unit.Object("ContactInformation").Str("Name")
type Object struct {
	class  *class
	up     *Object
	in     *member // where it stands in up
	lineNo int
	values []value // in the order of the class
	fault  string  // the first wrong use by the code that builds it
}

// value is what one member holds: text in the JSON form, or objects.
type value struct {
	m       *member
	text    []string
	objects []*Object
}

// Class returns the name of the object's class, such as "CandidateContest".
func (o *Object) Class() string {
	if o == nil || o.class == nil {
		return ""
	}
	return o.class.name
}

// ID returns the member "@id".
func (o *Object) ID() string { return o.Str("@id") }

// Has reports whether the object has the member.
func (o *Object) Has(name string) bool { return o.get(name) != nil }

// Str returns a member that is one text, number, date, value of an enumeration
// or reference, as it stands in JSON without quotes; "" when it is absent.
func (o *Object) Str(name string) string {
	if v := o.get(name); v != nil && len(v.text) == 1 {
		return v.text[0]
	}
	return ""
}

// Strs returns a member that is a list of texts.
func (o *Object) Strs(name string) []string {
	if v := o.get(name); v != nil {
		return slices.Clone(v.text)
	}
	return nil
}

// Refs returns the identifiers that a member refers to, one or a list
// [Document.Index] leads to the objects.
func (o *Object) Refs(name string) []string { return o.Strs(name) }

// Int returns a member that is an integer.
func (o *Object) Int(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(o.Str(name), 10, 64)
	return n, err == nil
}

// Bool returns a member that is true or false.
func (o *Object) Bool(name string) (b, ok bool) {
	s := o.Str(name)
	return s == "true", s == "true" || s == "false"
}

// Object returns a member that is one object, or nil.
func (o *Object) Object(name string) *Object {
	if v := o.get(name); v != nil && len(v.objects) == 1 {
		return v.objects[0]
	}
	return nil
}

// List returns the objects of a member.
func (o *Object) List(name string) []*Object {
	if v := o.get(name); v != nil {
		return slices.Clone(v.objects)
	}
	return nil
}

// Text returns the English text of a member that is an InternationalizedText,
// or its first text.
func (o *Object) Text(name string) string {
	texts := o.Object(name).List("Text")
	for _, t := range texts {
		if l := strings.ToLower(t.Str("Language")); l == "en" || strings.HasPrefix(l, "en-") {
			return t.Str("Content")
		}
	}
	if len(texts) > 0 {
		return texts[0].Str("Content")
	}
	return ""
}

// Names returns the members that the object has, without "@type".
func (o *Object) Names() []string {
	var names []string
	if o != nil {
		for i := range o.values {
			names = append(names, o.values[i].m.name)
		}
	}
	return names
}

// Parent returns the object in which this one stands, or nil.
func (o *Object) Parent() *Object {
	if o == nil {
		return nil
	}
	return o.up
}

// Line returns the line of an XML document on which the object begins, or 0.
func (o *Object) Line() int {
	if o == nil {
		return 0
	}
	return o.lineNo
}

// Pointer returns the JSON pointer (RFC 6901) of the object, for findings.
func (o *Object) Pointer() string {
	var parts []string
	for ; o != nil && o.up != nil; o = o.up {
		if o.in.list {
			v := o.up.get(o.in.name)
			parts = append(parts, strconv.Itoa(slices.Index(v.objects, o)))
		}
		parts = append(parts, o.in.name)
	}
	slices.Reverse(parts)
	if len(parts) == 0 {
		return ""
	}
	return "/" + strings.Join(parts, "/")
}

// Walk calls each for o and every object below it, in the order of the
// document, until each returns an error.
func (o *Object) Walk(each func(*Object) error) error {
	if o == nil {
		return nil
	}
	if err := each(o); err != nil {
		return err
	}
	for i := range o.values {
		for _, child := range o.values[i].objects {
			if err := child.Walk(each); err != nil {
				return err
			}
		}
	}
	return nil
}

// Index returns the objects of the document by their "@id". Changes of the
// document do not change it.
func (d *Document) Index() map[string]*Object {
	index := map[string]*Object{}
	_ = d.Root.Walk(func(o *Object) error {
		if id := o.ID(); id != "" {
			index[id] = o
		}
		return nil
	})
	return index
}

func (o *Object) get(name string) *value {
	if o == nil {
		return nil
	}
	for i := range o.values {
		if o.values[i].m.name == name {
			return &o.values[i]
		}
	}
	return nil
}

// slotFor returns the place for the values of member m, new or existing.
func (o *Object) slotFor(m *member) *value {
	i, found := slices.BinarySearchFunc(o.values, m.bit, func(v value, bit uint64) int {
		switch {
		case v.m.bit < bit:
			return -1
		case v.m.bit > bit:
			return 1
		}
		return 0
	})
	if !found {
		o.values = slices.Insert(o.values, i, value{m: m})
	}
	return &o.values[i]
}
