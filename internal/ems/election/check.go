package election

import (
	"fmt"
	"strconv"

	"sallyport/internal/ems/model"
)

// Problem is one thing that is wrong with a definition.
type Problem struct {
	// Pointer is the JSON pointer (RFC 6901) of the place in the document.
	Pointer string `json:"pointer"`
	// Rule is one of the rules of FORMAT.md of internal/ems.
	Rule string `json:"rule"`
	// Text says what is wrong, and what to do where that is not plain.
	Text string `json:"text"`
}

func (p Problem) Error() string { return fmt.Sprintf("%s: %s (rule %s)", p.Pointer, p.Text, p.Rule) }

// Valid is a definition that keeps all rules. Only [Definition.Check] makes one.
type Valid struct {
	def      *Definition
	compiled *model.Definition
	ix       *index
}

// Definition returns the definition; it is shared and must not be changed
// (change a [Definition.Clone] and check that).
func (v *Valid) Definition() *Definition { return v.def }

// Compiled returns the definition as the core counts with it; it is shared and
// must not be changed.
func (v *Valid) Compiled() *model.Definition { return v.compiled }

// Election returns the one election.
func (v *Valid) Election() *Election { return &v.def.Elections[0] }

// Unit, Party, Candidate, Contest, Office, Person and Header return the object
// of an identifier, or nil.
func (v *Valid) Unit(id ID) *Unit { return at(v.def.Units, v.ix.units, id) }

// Party returns the party of an identifier, or nil.
func (v *Valid) Party(id ID) *Party { return at(v.def.Parties, v.ix.parties, id) }

// Candidate returns the candidate of an identifier, or nil.
func (v *Valid) Candidate(id ID) *Candidate { return at(v.Election().Candidates, v.ix.candidates, id) }

// Office returns the office of an identifier, or nil.
func (v *Valid) Office(id ID) *Office { return at(v.def.Offices, v.ix.offices, id) }

// Contest returns the contest of an identifier, or nil.
func (v *Valid) Contest(id ID) Contest {
	if n, ok := v.ix.contests[id]; ok {
		return v.Election().Contests[n]
	}
	return nil
}

// Above returns the units that a unit is directly part of.
func (v *Valid) Above(id ID) []*Unit {
	var out []*Unit
	for _, n := range v.ix.above[id] {
		out = append(out, &v.def.Units[n])
	}
	return out
}

// Within says whether a unit is part of another one, or that one itself.
func (v *Valid) Within(id, of ID) bool { return v.ix.within(id, of, v.def.Units) }

func at[T any](list []T, index map[ID]int, id ID) *T {
	if n, ok := index[id]; ok {
		return &list[n]
	}
	return nil
}

// Check returns the definition as a valid one, or everything that is wrong
// with it, in the order of the document (at most 1000 problems). It does not
// change d, which must not be changed afterwards.
//
// What it checks is the profile of FORMAT.md of internal/ems: it assumes
// nothing of what package cdf checks in documents (schema, references), so that
// a definition made by a program is judged like one that came from outside.
func (d *Definition) Check() (*Valid, []Problem) {
	c := &checker{def: d, ix: newIndex(), below: map[ID]map[ID]bool{}}
	c.head()
	if len(d.Elections) == 1 {
		c.ids()
		c.units()
		c.references()
		c.contests()
		c.styles()
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return &Valid{def: d, compiled: c.out, ix: c.ix}, nil
}

// checker collects problems, and the compiled definition on the way.
type checker struct {
	def      *Definition
	ix       *index
	out      *model.Definition
	problems []Problem
	options  map[ID]int // to the number of its contest
	parties  map[ID]int // to the number of the party
	precinct map[ID]int // to the number of the precinct
	below    map[ID]map[ID]bool
}

// maxProblems is how many are told; the rest would not help anybody.
const maxProblems = 1000

func (c *checker) bad(pointer, rule, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{pointer, rule, fmt.Sprintf(format, args...)})
	}
}

func pointer(at string, n int) string { return at + "/" + strconv.Itoa(n) }

func (c *checker) head() {
	d := c.def
	if d.Version != "1.0.0" {
		c.bad("/Version", "value", "the version must be 1.0.0")
	}
	if d.SequenceStart != 1 || d.SequenceEnd != 1 {
		c.bad("/SequenceEnd", "definition-split", "the definition must be one document, not part of a sequence")
	}
	if len(d.Elections) != 1 {
		c.bad("/Election", "election-count", "the definition must hold exactly one election, found %d", len(d.Elections))
		return
	}
	e := &d.Elections[0]
	if len(e.ExternalIDs) == 0 {
		c.bad("/Election/0", "election-id", "the election must carry an ExternalIdentifier: cast vote records name it")
	}
	for i, id := range e.ExternalIDs {
		if id.Value == "" {
			c.bad(pointer("/Election/0/ExternalIdentifier", i)+"/Value", "id-empty", "an identifier must not be empty")
		}
	}
	if e.Name.IsZero() {
		c.bad("/Election/0/Name", "member-missing", "the election needs a name")
	}
	for _, day := range []struct{ name, value string }{{"StartDate", e.StartDate}, {"EndDate", e.EndDate}} {
		if !isDate(day.value) {
			c.bad("/Election/0/"+day.name, "value", "%s must be a date such as 2026-11-03", day.name)
		}
	}
	if isDate(e.StartDate) && isDate(e.EndDate) && e.EndDate < e.StartDate {
		c.bad("/Election/0/EndDate", "election-dates", "the election ends before it starts")
	}
	if len(e.Contests) == 0 {
		c.bad("/Election/0", "contest-none", "the election has no contest")
	}
	if len(e.Styles) == 0 {
		c.bad("/Election/0", "style-none", "the election has no ballot style")
	}
}
