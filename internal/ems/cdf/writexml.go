package cdf

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// WriteXML validates the document and writes it as XML of the published XSD,
// two spaces for each level. What JSON can say and the XSD cannot is refused.
func (d *Document) WriteXML(w io.Writer) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if err := d.Root.Walk(d.xmlForm); err != nil {
		return err
	}
	x := &xmlWriter{w: bufio.NewWriter(w), schema: d.schema}
	x.text(xml.Header[:len(xml.Header)-1])
	x.object(nil, d.Root)
	x.text("\n")
	if err := x.w.Flush(); err != nil {
		return fmt.Errorf("cannot write %s as XML: %w", d.Format, err)
	}
	return nil
}

// xmlForm checks what the XSD asks for beyond the JSON schema.
func (d *Document) xmlForm(o *Object) error {
	if o.class.abstract {
		return d.bad(o, "", "xml-class", "the class %s does not exist in XML: name the kind of contest", o.class.name)
	}
	for _, m := range o.class.order {
		if o.class.xmlNeeded&m.bit != 0 && !o.Has(m.name) {
			return d.bad(o, "", "member-missing", "%s must have the member %q in XML", o.class.name, m.name)
		}
	}
	return nil
}

// xmlWriter writes elements; errors stay in w until it is flushed.
type xmlWriter struct {
	w      *bufio.Writer
	schema *schema
	depth  int
}

func (x *xmlWriter) text(s string) { _, _ = x.w.WriteString(s) }

func (x *xmlWriter) escaped(s string) { _ = xml.EscapeText(x.w, []byte(s)) }

func (x *xmlWriter) newline() { x.text("\n" + strings.Repeat("  ", x.depth)) }

// object writes an object that stands in member m, nil for the root.
func (x *xmlWriter) object(m *member, o *Object) {
	name := x.open(m, o.class)
	for i := range o.values {
		if v := &o.values[i]; v.m.attribute {
			x.attribute(v.m, v.text[0])
		}
	}
	if t := o.class.text; t != nil {
		x.text(">")
		x.escaped(o.Str(t.name))
		x.text("</" + name + ">")
		return
	}
	x.text(">")
	x.depth++
	empty := true
	for i := range o.values {
		if v := &o.values[i]; !v.m.attribute {
			x.value(v)
			empty = false
		}
	}
	x.depth--
	if !empty {
		x.newline()
	}
	x.text("</" + name + ">")
}

// open writes a start tag without its attributes and its end, and returns the
// name of the element.
func (x *xmlWriter) open(m *member, c *class) string {
	x.newline()
	if m == nil {
		x.text("<" + c.name + ` xmlns="` + x.schema.namespace + `" xmlns:xsi="` + xsiNamespace + `"`)
		return c.name
	}
	x.text("<" + m.name)
	if c.name != m.base {
		x.text(` xsi:type="` + c.name + `"`)
	}
	return m.name
}

func (x *xmlWriter) attribute(m *member, s string) {
	name := m.name
	if m.kind == kindID {
		name, s = "ObjectId", idToXML(s)
	}
	x.text(" " + name + `="`)
	x.escaped(s)
	x.text(`"`)
}

func (x *xmlWriter) value(v *value) {
	if v.m.kind == kindRef {
		ids := make([]string, len(v.text))
		for i, id := range v.text {
			ids[i] = idToXML(id)
		}
		x.leaf(v.m.name, strings.Join(ids, " "))
		return
	}
	for _, s := range v.text {
		x.leaf(v.m.name, s)
	}
	for _, o := range v.objects {
		x.object(v.m, o)
	}
}

// leaf writes an element that holds text.
func (x *xmlWriter) leaf(name, s string) {
	x.newline()
	x.text("<" + name + ">")
	x.escaped(s)
	x.text("</" + name + ">")
}
