package cdf

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// Validate checks a document that was built or changed in code: classes and
// members, references, rules. Its errors are findings, like those of a document
// that was read; a wrong use of [Object.Set] and the like is an error of its own.
func (d *Document) Validate() error {
	if err := d.Root.Walk(d.form); err != nil {
		return err
	}
	return d.check()
}

// bad is a finding about a member of an object, or about the object.
func (d *Document) bad(o *Object, member, rule, format string, args ...any) error {
	at := o.Pointer()
	if member != "" {
		at += "/" + member
	}
	return broken(d.file, at, o.Line(), rule, format, args...)
}

// form checks one object against its class.
func (d *Document) form(o *Object) error {
	if o.fault != "" {
		return fmt.Errorf("cannot use the document that was built: %s: %s", o.Pointer(), o.fault)
	}
	if o.class == nil || d.schema.classes[o.class.name] != o.class {
		return fmt.Errorf("cannot use the document that was built: %s: an object of another format", o.Pointer())
	}
	var seen uint64 = 1
	for i := range o.values {
		if err := d.formOf(o, &o.values[i]); err != nil {
			return err
		}
		if len(o.values[i].text)+len(o.values[i].objects) > 0 {
			seen |= o.values[i].m.bit
		}
	}
	if missing := o.class.required &^ seen; missing != 0 {
		return d.bad(o, "", "member-missing", "%s must have the member %q", o.class.name, o.class.missing(missing).name)
	}
	return nil
}

func (d *Document) formOf(o *Object, v *value) error {
	m := v.m
	if !m.list && len(v.text)+len(v.objects) > 1 {
		return d.bad(o, m.name, "type", "%s must be one value", m.name)
	}
	for _, s := range v.text {
		if !utf8.ValidString(s) {
			return d.bad(o, m.name, "value", "%s must be UTF-8", m.name)
		}
		if m.kind != kindID && m.kind != kindRef && badCharacter(s) {
			return d.bad(o, m.name, "value", "%s must not have control characters, which XML cannot hold", m.name)
		}
		if problem := m.problem([]byte(s)); problem != "" {
			return d.bad(o, m.name, "value", "%s must be %s", m.name, problem)
		}
	}
	for _, child := range v.objects {
		if child.class != nil && !slices.Contains(m.classes, child.class) {
			return d.bad(child, "", "type", "a %s may not stand here", child.class.name)
		}
	}
	return nil
}

// check checks identifiers and references, and the rules of the format.
func (d *Document) check() error {
	ids := map[string]*Object{}
	err := d.Root.Walk(func(o *Object) error {
		if o.class.members["@id"] == nil {
			return nil
		}
		id := o.ID()
		if id == "" {
			return d.bad(o, "@id", "id-empty", "an @id must not be empty")
		}
		if ids[id] != nil {
			return d.bad(o, "@id", "id-repeated", "this @id stands for another object already")
		}
		ids[id] = o
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.Root.Walk(func(o *Object) error { return d.references(o, ids) }); err != nil {
		return err
	}
	return d.rules(ids)
}

func (d *Document) references(o *Object, ids map[string]*Object) error {
	for i := range o.values {
		v := &o.values[i]
		if v.m.kind != kindRef {
			continue
		}
		for n, id := range v.text {
			at := v.m.name
			if v.m.list {
				at = fmt.Sprintf("%s/%d", at, n)
			}
			to := ids[id]
			if to == nil {
				return d.bad(o, at, "reference", "%s refers to an object that is not in the document", v.m.name)
			}
			if !slices.Contains(v.m.targets, to.class) {
				return d.bad(o, at, "reference", "%s refers to a %s, which it may not", v.m.name, to.class.name)
			}
		}
	}
	return nil
}
