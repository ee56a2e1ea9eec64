package cdf

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// WriteJSON validates the document and writes it as JSON, two spaces for each
// level: "@type", then the members in the order of the standard.
func (d *Document) WriteJSON(w io.Writer) error {
	if err := d.Validate(); err != nil {
		return err
	}
	e := jsontext.NewEncoder(w, jsontext.WithIndent("  "))
	if err := writeJSON(e, d.Root); err != nil {
		return fmt.Errorf("cannot write %s as JSON: %w", d.Format, err)
	}
	return nil
}

func writeJSON(e *jsontext.Encoder, o *Object) error {
	if err := openJSON(e, o.class); err != nil {
		return err
	}
	for i := range o.values {
		if err := writeJSONMember(e, &o.values[i]); err != nil {
			return err
		}
	}
	return e.WriteToken(jsontext.EndObject)
}

// openJSON begins an object with its "@type".
func openJSON(e *jsontext.Encoder, c *class) error {
	for _, t := range []jsontext.Token{jsontext.BeginObject, jsontext.String("@type"), jsontext.String(c.typeName)} {
		if err := e.WriteToken(t); err != nil {
			return err
		}
	}
	return nil
}

func writeJSONMember(e *jsontext.Encoder, v *value) error {
	if len(v.text)+len(v.objects) == 0 {
		return nil
	}
	if err := e.WriteToken(jsontext.String(v.m.name)); err != nil {
		return err
	}
	if v.m.list {
		if err := e.WriteToken(jsontext.BeginArray); err != nil {
			return err
		}
	}
	for _, s := range v.text {
		if err := writeJSONText(e, v.m, s); err != nil {
			return err
		}
	}
	for _, o := range v.objects {
		if err := writeJSON(e, o); err != nil {
			return err
		}
	}
	if v.m.list {
		return e.WriteToken(jsontext.EndArray)
	}
	return nil
}

func writeJSONText(e *jsontext.Encoder, m *member, s string) error {
	switch m.kind {
	case kindInteger, kindNumber, kindBoolean:
		return e.WriteValue(jsontext.Value(s))
	}
	return e.WriteToken(jsontext.String(s))
}
