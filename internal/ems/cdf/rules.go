package cdf

import (
	"strconv"
	"strings"
)

// rules checks what the schemas and the references leave open. The tree is
// known to be of the right form, and every reference to lead somewhere.
func (d *Document) rules(ids map[string]*Object) error {
	if err := d.sequence(); err != nil {
		return err
	}
	if err := d.units(ids); err != nil {
		return err
	}
	for _, e := range d.Root.List("Election") {
		if err := d.contests(e); err != nil {
			return err
		}
	}
	if d.Format == ERR {
		return d.Root.Walk(d.counts)
	}
	return nil
}

// sequence checks that a part of a report says which one it is.
func (d *Document) sequence() error {
	if d.Root.class.members["SequenceStart"] == nil {
		return nil
	}
	start, _ := d.Root.Int("SequenceStart")
	end, _ := d.Root.Int("SequenceEnd")
	if start < 1 || end < start {
		return d.bad(d.Root, "SequenceStart", "sequence", "the document must be one of a sequence from 1 to SequenceEnd")
	}
	return nil
}

// units checks that no reporting unit is composed of itself.
func (d *Document) units(ids map[string]*Object) error {
	const open, done = 1, 2
	state := map[*Object]int{}
	type frame struct {
		unit     *Object
		children []string
	}
	for _, u := range d.Root.List("GpUnit") {
		stack := []frame{{u, u.Refs("ComposingGpUnitIds")}}
		if state[u] == done {
			continue
		}
		state[u] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.children) == 0 {
				state[top.unit] = done
				stack = stack[:len(stack)-1]
				continue
			}
			child := ids[top.children[0]]
			top.children = top.children[1:]
			switch state[child] {
			case open:
				return d.bad(top.unit, "ComposingGpUnitIds", "unit-cycle", "a reporting unit is composed of itself")
			case 0:
				state[child] = open
				stack = append(stack, frame{child, child.Refs("ComposingGpUnitIds")})
			}
		}
	}
	return nil
}

// Roots returns the reporting units that no other is composed of. A definition
// for [Reader.Definition] must have exactly one (rule unit-root); the standards
// do not ask for that.
func (d *Document) Roots() []*Object {
	below := map[string]bool{}
	units := d.Root.List("GpUnit")
	for _, u := range units {
		for _, id := range u.Refs("ComposingGpUnitIds") {
			below[id] = true
		}
	}
	var roots []*Object
	for _, u := range units {
		if !below[u.ID()] {
			roots = append(roots, u)
		}
	}
	return roots
}

// contests checks the contests of one election.
func (d *Document) contests(e *Object) error {
	seen := map[string]bool{}
	for _, c := range e.List("Contest") {
		if d.Format != CVR { // its contests need not say anything but their @id
			key := contestKey(c)
			if seen[key] {
				return d.bad(c, "", "contest-repeated", "the election has this contest twice: another one says the same in every member")
			}
			seen[key] = true
		}
		for _, member := range []string{"VotesAllowed", "NumberElected", "NumberRunoff", "RanksAllowed"} {
			if n, ok := c.Int(member); ok && n < 0 {
				return d.bad(c, member, "count-negative", "%s must not be negative", member)
			}
		}
		for _, o := range append(c.List("ContestSelection"), c.List("ContestOption")...) {
			writeIn, _ := o.Bool("IsWriteIn")
			candidates := o.Class() == "CandidateSelection" || o.Class() == "CandidateOption"
			if d.Format != CVR && candidates && !writeIn && len(o.Refs("CandidateIds")) == 0 {
				return d.bad(o, "", "option-empty", "the option is neither a candidate nor a write-in")
			}
		}
	}
	return nil
}

// contestKey is what no two contests of an election may have in common: all
// that they say, without identifiers, order and counts.
func contestKey(c *Object) string {
	return c.signature(func(m *member) bool {
		switch m.name {
		case "@id", "SequenceOrder", "VoteCounts", "OtherCounts", "CountStatus", "ExternalIdentifier":
			return true
		}
		return false
	})
}

// signature is one text for all that an object says, but for the members that
// skip names.
func (o *Object) signature(skip func(*member) bool) string {
	var b strings.Builder
	o.sign(&b, skip)
	return b.String()
}

func (o *Object) sign(b *strings.Builder, skip func(*member) bool) {
	b.WriteString(o.class.name + "{")
	for i := range o.values {
		v := &o.values[i]
		if skip != nil && skip(v.m) {
			continue
		}
		b.WriteString(v.m.name + ":")
		for _, s := range v.text {
			b.WriteString(strconv.Quote(s) + ",")
		}
		for _, child := range v.objects {
			child.sign(b, skip)
		}
	}
	b.WriteString("}")
}
