package cdf

import (
	"errors"
	"slices"
	"strconv"
)

// Assemble puts together the parts of one report that was split over several
// documents (SP 1500-100 and SP 1500-20, SequenceStart and SequenceEnd). Every
// part from 1 to SequenceEnd must be there once, and what the parts say about
// the report as a whole must be the same, GeneratedDate included: a part of
// another issue of the report must not slip in. Lists are united: objects of
// one @id must say the same, except for lists of counts, contests, options and
// the like, which are united in turn; elections, which have no @id, are one
// when everything but those lists is the same. The outcome is a document of its
// own, which keeps the rules; the parts are not changed.
func Assemble(parts []*Document) (*Document, error) {
	if len(parts) == 0 {
		return nil, errors.New("cannot assemble a report of no parts")
	}
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b *Document) int {
		x, _ := a.Root.Int("SequenceStart")
		y, _ := b.Root.Int("SequenceStart")
		return int(x - y)
	})
	if err := complete(parts); err != nil {
		return nil, err
	}
	first := parts[0]
	out := &Document{Format: first.Format, Root: first.Root.copyOf(), schema: first.schema, file: first.file}
	for _, p := range parts[1:] {
		if err := p.mergeInto(out.Root, p.Root); err != nil {
			return nil, err
		}
	}
	if out.Format != CVR {
		out.Root.Set("SequenceStart", 1).Set("SequenceEnd", 1)
	}
	if err := out.Validate(); err != nil {
		return nil, err
	}
	return out, nil
}

// complete checks that the sorted parts are those of one sequence.
func complete(parts []*Document) error {
	for i, p := range parts {
		if p.schema != parts[0].schema || p.Format == CVR && len(parts) > 1 {
			return p.bad(p.Root, "", "sequence", "the documents are not the parts of one report")
		}
		if p.Format == CVR {
			return nil
		}
		start, _ := p.Root.Int("SequenceStart")
		end, _ := p.Root.Int("SequenceEnd")
		if start != int64(i+1) || end != int64(len(parts)) {
			return p.bad(p.Root, "SequenceStart", "sequence", "part %d of %d stands where part %d of %d must stand: a part is missing, or there twice", start, end, i+1, len(parts))
		}
	}
	return nil
}

// mergeInto unites what the part's object says with what o says.
func (d *Document) mergeInto(o, part *Object) error {
	for _, m := range o.class.order {
		switch {
		case m.kind == kindType, m.name == "SequenceStart":
		case unites(m):
			if err := d.mergeList(o, part, m); err != nil {
				return err
			}
		case !sameMember(o, part, m):
			return d.bad(part, m.name, "sequence-conflict", "another part of the report says something else about %s", m.name)
		}
	}
	return nil
}

// unites reports whether the parts of a report may each have some of a list.
func unites(m *member) bool {
	if m.kind != kindObject || !m.list {
		return false
	}
	switch m.name {
	case "Election", "VoteCounts", "OtherCounts", "BallotCounts", "CountStatus", "BallotStyle", "OfficeGroup":
		return true
	}
	return m.classes[0].members["@id"] != nil
}

// mergeKey is what two objects have in common that are the same one.
func mergeKey(o *Object) string {
	switch {
	case o.ID() != "":
		return strconv.Quote(o.ID())
	case o.Class() == "Election":
		return o.signature(unites)
	}
	return o.signature(nil)
}

func (d *Document) mergeList(o, part *Object, m *member) error {
	have := map[string]*Object{}
	for _, child := range o.List(m.name) {
		have[mergeKey(child)] = child
	}
	for _, child := range part.List(m.name) {
		same := have[mergeKey(child)]
		if same == nil {
			o.Append(m.name, child.copyOf())
			continue
		}
		if same.class != child.class {
			return d.bad(child, "", "sequence-conflict", "another part of the report has a %s of this @id", same.class.name)
		}
		if err := d.mergeInto(same, child); err != nil {
			return err
		}
	}
	return nil
}

func sameMember(a, b *Object, m *member) bool {
	x, y := a.get(m.name), b.get(m.name)
	if x == nil || y == nil {
		return x == y
	}
	return slices.Equal(x.text, y.text) && slices.EqualFunc(x.objects, y.objects, func(a, b *Object) bool {
		return a.signature(nil) == b.signature(nil)
	})
}
