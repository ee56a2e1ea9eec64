package define

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// Apply returns a copy of def with the edits made, in their order; def is not
// changed, and all or none of the edits are made. An edit that would leave a
// reference without its object is refused, with what refers to it. The copy
// need not be valid: ballot styles are made anew by [BuildStyles], and
// [election.Definition.Check] judges. Where ballot styles order the options of
// a contest, removed options leave that order and new ones join it before the
// places to write a name.
func Apply(def *election.Definition, edits ...Edit) (*election.Definition, error) {
	out, err := def.Clone()
	if err != nil {
		return nil, fmt.Errorf("cannot copy the definition: %w", err)
	}
	d, err := newDraft(out)
	if err != nil {
		return nil, fmt.Errorf("cannot edit the definition: %w", err)
	}
	for n, e := range edits {
		if err := d.apply(e); err != nil {
			return nil, &EditError{n, e, err}
		}
	}
	return out, nil
}

// apply makes one edit. Values that are set were looked up; only what is
// removed can leave a reference behind, also one that no column shows.
func (d *draft) apply(e Edit) error {
	var before []string
	_, removes := e.(Remove)
	if removes {
		before = dangling(d.def)
	}
	if err := e.apply(d); err != nil {
		return err
	}
	d.arrange()
	d.syncStyles()
	if large := tooLarge(d.def); len(large) > 0 {
		return faultf("over-limit", "%s", large[0].Text)
	}
	if !removes {
		return nil
	}
	for _, at := range dangling(d.def) {
		if !slices.Contains(before, at) {
			return faultf("referred-to", "%s refers to it: change or remove that first", at)
		}
	}
	return nil
}

// dangling are the places of a definition that refer to nothing.
func dangling(def *election.Definition) (out []string) {
	_, bad := def.Check()
	for _, p := range bad {
		if p.Rule == "reference" {
			class, id, member := target(def, p.Pointer)
			out = append(out, class+" "+id+" ("+member+")")
		}
	}
	return out
}

// cells checks the fields of an edit against the columns of a class.
func cells(c *class, fields []Field) (map[string]string, error) {
	out := map[string]string{}
	for _, f := range fields {
		_, twice := out[f.Name]
		switch {
		case c.column(f.Name) == nil:
			return nil, faultf("key-unknown", "%s has no %q; it has: %s", article(c.name), f.Name, strings.Join(c.names()[1:], ", "))
		case twice:
			return nil, faultf("key-repeated", "%s stands there twice", f.Name)
		}
		if f.Value != "" {
			if err := checkCell(f.Value); err != nil {
				return nil, err
			}
		}
		out[f.Name] = f.Value
	}
	return out, nil
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) && noun != unitClass {
		return "an " + noun
	}
	return "a " + noun
}

// editable are the classes whose objects are added and set.
func editable() []string {
	return []string{unitClass, partyClass, officeClass, headerClass, contestClass, candidateClass, optionClass}
}

func (e Add) apply(d *draft) error {
	if !slices.Contains(editable(), e.Class) {
		return faultf("edit", "%q cannot be added; what can: %s", e.Class, strings.Join(editable(), ", "))
	}
	c := d.class(e.Class)
	values, err := cells(c, e.Fields)
	if err != nil {
		return err
	}
	if err := d.add(c, e.ID, values); err != nil {
		return err
	}
	if c.link != nil {
		if err := c.link(d, e.ID, values); err != nil {
			return err
		}
	}
	for i := range c.columns {
		col := &c.columns[i]
		if v := values[col.name]; v != "" || col.need {
			if err := col.put(d, e.ID, v); err != nil {
				return named(col, err)
			}
		}
	}
	if x := d.contest(e.ID); x != nil {
		d.nameContest(x.Base())
	}
	return nil
}

// named puts the name of a column before a reason.
func named(col *column, err error) error {
	if f, ok := err.(*fault); ok {
		return &fault{rule: f.rule, text: col.name + ": " + f.text}
	}
	return err
}

func (e Set) apply(d *draft) error {
	if !slices.Contains(append(editable(), electionClass), e.Class) {
		return faultf("edit", "%q cannot be set; what can: election, %s", e.Class, strings.Join(editable(), ", "))
	}
	if e.Class != electionClass {
		if err := d.known(e.Class, e.ID); err != nil {
			return err
		}
	}
	c := d.class(e.Class)
	values, err := cells(c, e.Fields)
	if err != nil {
		return err
	}
	for _, f := range e.Fields {
		col := c.column(f.Name)
		if col.fixed {
			return faultf("edit-fixed", "%s cannot be changed: remove the %s and add it anew", f.Name, e.Class)
		}
		if err := col.put(d, e.ID, values[f.Name]); err != nil {
			return named(col, err)
		}
	}
	return nil
}

func (e Remove) apply(d *draft) error {
	c := d.class(e.Class)
	switch {
	case c == nil || e.Class == electionClass:
		return faultf("edit", "%q cannot be removed; what can: %s, style", e.Class, strings.Join(editable(), ", "))
	case e.Class == styleClass:
		if d.style(e.ID) == nil {
			return missing(styleClass, e.ID)
		}
	default:
		if err := d.known(e.Class, e.ID); err != nil {
			return err
		}
		if e.Class == optionClass && !slices.Contains(optionIDs(d), e.ID) {
			return faultf("edit", "%q is no row of options.csv: remove the candidate, or set write_ins of the contest", e.ID)
		}
	}
	if by := d.referrers(e.Class, e.ID); len(by) > 0 {
		return faultf("referred-to", "the %s %q is referred to by %s: change or remove that first", e.Class, e.ID, strings.Join(by, ", "))
	}
	c.remove(d, e.ID)
	return d.index()
}

// referrers says what refers to an object, at most ten of them.
func (d *draft) referrers(class string, id ID) (out []string) {
	add := func(s string) {
		switch {
		case len(out) < 10:
			out = append(out, s)
		case len(out) == 10:
			out = append(out, "and more")
		}
	}
	for _, c := range d.classes {
		if class == contestClass && c.name == optionClass || class == styleClass {
			continue // answers go with their contest
		}
		for _, col := range c.columns {
			if col.refs != class {
				continue
			}
			for _, from := range c.ids(d) {
				if slices.Contains(strings.Fields(col.get(d, from)), id) {
					add(c.name + " " + from + " (" + col.name + ")")
				}
			}
		}
	}
	for i := range d.election().Styles {
		s := &d.election().Styles[i]
		s.Contests(func(o *election.OrderedContest, _ string) {
			if class == contestClass && o.Contest == id {
				add("style " + s.Code())
			}
		})
		n := &names{headers: map[ID]bool{}}
		if markHeaders(s.Content, n); class == headerClass && n.headers[id] {
			add("style " + s.Code())
		}
	}
	return out
}

func (e Order) apply(d *draft) error {
	if err := d.known(contestClass, e.Contest); err != nil {
		return err
	}
	given := map[ID]int64{}
	for i, id := range e.Options {
		if _, twice := given[id]; twice {
			return faultf("list-repeated", "%q stands in the order twice", id)
		}
		given[id] = int64(i + 1)
	}
	for _, o := range d.contest(e.Contest).Base().Options {
		id := o.Base().ID
		n, ok := given[id]
		switch {
		case isWriteIn(o) && ok:
			return faultf("order-write-in", "%q is a place to write a name: those are last by themselves", id)
		case !isWriteIn(o) && !ok:
			return faultf("order-missing", "the order must name all options; it lacks %q", id)
		case ok:
			o.Base().SequenceOrder = &n
			delete(given, id)
		}
	}
	for _, id := range e.Options {
		if _, ok := given[id]; ok {
			return faultf("reference", "the contest %q has no option %q", e.Contest, id)
		}
	}
	d.touched[e.Contest] = true
	return nil
}

func (e Translate) apply(d *draft) error {
	if !languageTag.MatchString(e.Language) {
		return faultf("language", "%q is no language tag such as en, es or zh-Hans (BCP 47)", e.Language)
	}
	if e.Text != "" {
		if err := checkCell(e.Text); err != nil {
			return err
		}
		_, err := d.translation(e.Object, e.Field, e.Language, e.Text)
		return err
	}
	t, _, err := d.textOf(e.Object, e.Field)
	if err != nil {
		return err
	}
	if _, ok := t.In(e.Language); !ok || e.Language == d.base {
		return faultf("translation-missing", "there is no translation into %q", e.Language)
	}
	setText(t, e.Language, "", false)
	return nil
}

// syncStyles keeps the orders of options on ballot styles complete, for the
// contests that were touched.
func (d *draft) syncStyles() {
	for i := range d.election().Styles {
		d.election().Styles[i].Contests(func(o *election.OrderedContest, _ string) {
			if c := d.contest(o.Contest); c != nil && d.touched[o.Contest] && len(o.Options) > 0 {
				o.Options = completed(o.Options, c.Base().Options)
			}
		})
	}
	clear(d.touched)
}

// completed returns an order without what is gone and with what is new.
func completed(order []ID, options election.Options) []ID {
	byID := map[ID]election.Option{}
	for _, o := range options {
		byID[o.Base().ID] = o
	}
	var out, last []ID
	had := map[ID]bool{}
	put := func(id ID) {
		if o := byID[id]; o != nil && !had[id] {
			had[id] = true
			if isWriteIn(o) {
				last = append(last, id)
			} else {
				out = append(out, id)
			}
		}
	}
	for _, id := range order {
		put(id)
	}
	for _, o := range options {
		put(o.Base().ID)
	}
	return append(out, last...)
}
