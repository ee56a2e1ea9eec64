package dialect

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// element is one element of a small XML document: either text or children.
type element struct {
	file         string
	line, column int
	parent       *element
	name         string
	text         strings.Builder
	children     []*element
}

// parseXML reads a document whose size was bounded before. Elements must be in
// the namespace; document types, which could define entities, are refused.
func parseXML(file string, data []byte, namespace string, n *notes) (*element, error) {
	if rest, ok := bytes.CutPrefix(data, []byte("\xef\xbb\xbf")); ok {
		n.add(file, ByteOrderMark)
		data = rest
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	var root *element
	var open []*element
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, broken(place(file, d), ruleXML, "this is not well-formed XML") // its error may quote a choice
		}
		switch t := t.(type) {
		case xml.StartElement:
			e, err := start(file, d, t, open, namespace)
			if err != nil {
				return nil, err
			}
			if len(open) == 0 {
				if root != nil {
					return nil, broken(place(file, d), ruleXML, "there is more after the end of the document")
				}
				root = e
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if err := characters(file, d, t, open); err != nil {
				return nil, err
			}
		case xml.Directive:
			return nil, broken(place(file, d), ruleXML, "document types are not read")
		}
	}
	if root == nil {
		return nil, broken(file, ruleXML, "there is no element")
	}
	return root, nil
}

func start(file string, d *xml.Decoder, t xml.StartElement, open []*element, namespace string) (*element, error) {
	if t.Name.Space != namespace {
		return nil, broken(place(file, d), ruleXML, "the elements must be in the namespace %s", namespace)
	}
	if len(open) == maxXMLDepth {
		return nil, over(place(file, d), "elements are nested deeper than %d", maxXMLDepth)
	}
	e := &element{file: file, name: t.Name.Local}
	e.line, e.column = d.InputPos()
	if len(open) > 0 {
		p := open[len(open)-1]
		if strings.TrimSpace(p.text.String()) != "" {
			return nil, broken(place(file, d), ruleXML, "an element has text and elements")
		}
		e.parent = p
		p.children = append(p.children, e)
	}
	return e, nil
}

func characters(file string, d *xml.Decoder, t xml.CharData, open []*element) error {
	if len(open) == 0 || len(open[len(open)-1].children) > 0 {
		if len(bytes.TrimSpace(t)) > 0 {
			return broken(place(file, d), ruleXML, "text stands where only elements may")
		}
		return nil
	}
	open[len(open)-1].text.Write(t)
	return nil
}

func place(file string, d *xml.Decoder) string {
	line, column := d.InputPos()
	return fmt.Sprintf("%s line %d column %d", file, line, column)
}

func (e *element) where() string {
	path := ""
	for x := e; x != nil && len(path) < maxName; x = x.parent {
		path = "/" + x.name + path
	}
	return fmt.Sprintf("%s line %d column %d (%s)", e.file, e.line, e.column, path)
}

func (e *element) broken(rule, format string, args ...any) error {
	return broken(e.where(), rule, format, args...)
}

// unknown refuses an element among the votes that this reader does not know.
func (e *element) unknown() error {
	return e.broken(ruleElementUnknown, "this reader does not know the element, which might change a vote")
}

// value is the text of an element without children.
func (e *element) value(n *notes, most int) (string, error) {
	if len(e.children) > 0 {
		return "", e.broken(ruleType, "this must be text")
	}
	s, err := n.name(e.where(), e.text.String())
	if err == nil && len(s) > most {
		return "", over(e.where(), "the text has more than %d bytes", most)
	}
	return s, err
}

func (e *element) first(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// once refuses elements that stand there twice.
func (e *element) once(names ...string) error {
	for _, name := range names {
		n := 0
		for _, c := range e.children {
			if c.name == name {
				n++
			}
		}
		if n > 1 {
			return e.broken(ruleElementRepeated, "%s stands here twice", name)
		}
	}
	return nil
}
