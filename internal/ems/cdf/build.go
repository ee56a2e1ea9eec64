package cdf

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"sallyport/internal/verdict"
)

// MaxObjects is the most objects of a document that is kept whole.
const MaxObjects = 1 << 20

// builder makes the tree of a document that a walker reads.
type builder struct {
	ctx     context.Context
	file    string
	root    *Object
	top     *Object
	objects int
}

func (b *builder) open(m *member, c *class, line int) error {
	if b.objects++; b.objects > MaxObjects {
		return verdict.New(verdict.OverLimit, b.file, "the document has more than %d objects", MaxObjects)
	}
	if b.objects%4096 == 0 {
		if err := b.ctx.Err(); err != nil {
			return err
		}
	}
	o := &Object{class: c, up: b.top, in: m, lineNo: line}
	if b.top == nil {
		b.root = o
	} else {
		v := b.top.slotFor(m)
		v.objects = append(v.objects, o)
	}
	b.top = o
	return nil
}

func (b *builder) close() { b.top = b.top.up }

func (b *builder) value(m *member, text string) {
	v := b.top.slotFor(m)
	v.text = append(v.text, text)
}

// NewDocument returns a document with an empty root, to be built in code:
//
//	d := r.NewDocument(cdf.ERR)
//	d.Root.Set("Issuer", "Maple County").Append("GpUnit", d.New("ReportingUnit").Set("@id", "county"))
//
// A name that the standard does not have, or a value of the wrong kind, is an
// error of [Document.Validate], which the writers call.
func (r *Reader) NewDocument(f Format) *Document {
	s := r.schemas[f]
	if s == nil {
		return &Document{Format: f, Root: &Object{fault: "there is no such format"}}
	}
	return &Document{Format: f, schema: s, file: f.String(), Root: &Object{class: s.root}}
}

// New returns an object of a class of the document's format. It belongs to the
// document when it is set or appended.
func (d *Document) New(class string) *Object {
	if d.schema == nil || d.schema.classes[class] == nil {
		return &Object{fault: fmt.Sprintf("%s has no class %q", d.Format, class)}
	}
	return &Object{class: d.schema.classes[class]}
}

// Set gives a member its value and returns o: a string, integer, bool,
// time.Time, []string or *Object. What the member held before is dropped; nil,
// "" for a reference, and empty lists leave it absent.
func (o *Object) Set(name string, v any) *Object {
	if m := o.memberFor(name); m != nil {
		o.drop(m)
		o.add(m, v)
	}
	return o
}

// Append adds to a member that is a list and returns o: a string, []string,
// *Object or []*Object.
func (o *Object) Append(name string, v any) *Object {
	m := o.memberFor(name)
	if m != nil && !m.list {
		o.misuse("%s is no list", name)
	} else if m != nil {
		o.add(m, v)
	}
	return o
}

func (o *Object) misuse(format string, args ...any) {
	if o.fault == "" {
		o.fault = fmt.Sprintf(format, args...)
	}
}

func (o *Object) memberFor(name string) *member {
	if o.class == nil {
		return nil
	}
	m := o.class.members[name]
	if m == nil || m.kind == kindType {
		o.misuse("%s has no member %q to set", o.class.name, name)
		return nil
	}
	return m
}

func (o *Object) drop(m *member) {
	for i := range o.values {
		if o.values[i].m == m {
			for _, child := range o.values[i].objects {
				child.up, child.in = nil, nil
			}
			o.values = append(o.values[:i], o.values[i+1:]...)
			return
		}
	}
}

func (o *Object) add(m *member, v any) {
	switch v := v.(type) {
	case nil:
	case *Object:
		o.addObject(m, v)
	case []*Object:
		for _, child := range v {
			o.addObject(m, child)
		}
	case []string:
		for _, s := range v {
			o.addText(m, s)
		}
	case string:
		if v != "" || m.kind != kindRef {
			o.addText(m, v)
		}
	case bool:
		o.addText(m, strconv.FormatBool(v))
	case int:
		o.addText(m, strconv.Itoa(v))
	case int64:
		o.addText(m, strconv.FormatInt(v, 10))
	case time.Time:
		if m.kind == kindDate {
			o.addText(m, v.Format(time.DateOnly))
		} else {
			o.addText(m, v.Format(time.RFC3339))
		}
	default:
		o.misuse("%s cannot be set to a %T", m.name, v)
	}
}

func (o *Object) addText(m *member, s string) {
	if m.kind == kindObject {
		o.misuse("%s must be an object", m.name)
		return
	}
	v := o.slotFor(m)
	v.text = append(v.text, s)
}

func (o *Object) addObject(m *member, child *Object) {
	switch {
	case child == nil:
		return
	case m.kind != kindObject:
		o.misuse("%s is no object", m.name)
		return
	case child.up != nil:
		o.misuse("the object for %s stands in another one already", m.name)
		return
	}
	for up := o; up != nil; up = up.up {
		if up == child {
			o.misuse("the object for %s would stand in itself", m.name)
			return
		}
	}
	child.up, child.in = o, m
	v := o.slotFor(m)
	v.objects = append(v.objects, child)
}

// copyOf returns a deep copy that stands nowhere.
func (o *Object) copyOf() *Object {
	c := &Object{class: o.class, lineNo: o.lineNo, fault: o.fault}
	for i := range o.values {
		v := value{m: o.values[i].m, text: append([]string(nil), o.values[i].text...)}
		for _, child := range o.values[i].objects {
			cc := child.copyOf()
			cc.up, cc.in = c, v.m
			v.objects = append(v.objects, cc)
		}
		c.values = append(c.values, v)
	}
	return c
}
