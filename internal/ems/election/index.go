package election

import "time"

// index finds objects by identifier.
type index struct {
	units, parties, persons, offices, headers, candidates, contests map[ID]int
	above                                                           map[ID][]int // the units directly above
}

func newIndex() *index {
	return &index{units: map[ID]int{}, parties: map[ID]int{}, persons: map[ID]int{}, offices: map[ID]int{},
		headers: map[ID]int{}, candidates: map[ID]int{}, contests: map[ID]int{}, above: map[ID][]int{}}
}

// within walks up from a unit, once to each unit above it: units may be part of
// many others, and there may be very many ways up.
func (ix *index) within(id, of ID, units []Unit) bool {
	seen, next := map[ID]bool{id: true}, []ID{id}
	for len(next) > 0 {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		if at == of {
			return true
		}
		for _, n := range ix.above[at] {
			if up := units[n].ID; !seen[up] {
				seen[up] = true
				next = append(next, up)
			}
		}
	}
	return false
}

// below returns everything that is part of a unit, and the unit itself.
func (ix *index) below(of ID, units []Unit) map[ID]bool {
	seen, next := map[ID]bool{of: true}, []ID{of}
	for len(next) > 0 {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		n, ok := ix.units[at]
		if !ok {
			continue
		}
		for _, id := range units[n].Composing {
			if !seen[id] {
				seen[id] = true
				next = append(next, id)
			}
		}
	}
	return seen
}

// ids fills the index: each identifier stands for one object in the document.
func (c *checker) ids() {
	all := map[ID]bool{}
	put := func(into map[ID]int, id ID, n int, at string) {
		switch {
		case id == "":
			c.bad(at+"/@id", "id-empty", "an @id must not be empty")
		case all[id]:
			c.bad(at+"/@id", "id-repeated", "this @id stands for another object already")
		default:
			all[id] = true
			if into != nil {
				into[id] = n
			}
		}
	}
	for i := range c.def.Units {
		put(c.ix.units, c.def.Units[i].ID, i, pointer("/GpUnit", i))
	}
	for i := range c.def.Parties {
		put(c.ix.parties, c.def.Parties[i].ID, i, pointer("/Party", i))
	}
	for i := range c.def.Persons {
		put(c.ix.persons, c.def.Persons[i].ID, i, pointer("/Person", i))
	}
	for i := range c.def.Offices {
		put(c.ix.offices, c.def.Offices[i].ID, i, pointer("/Office", i))
	}
	for i := range c.def.Headers {
		put(c.ix.headers, c.def.Headers[i].ID, i, pointer("/Header", i))
	}
	for i := range c.def.Formats {
		put(nil, c.def.Formats[i].ID, i, pointer("/BallotFormat", i))
	}
	for i := range c.def.Shapes {
		put(nil, c.def.Shapes[i].ID, i, pointer("/Shape", i))
	}
	e := &c.def.Elections[0]
	for i := range e.Candidates {
		put(c.ix.candidates, e.Candidates[i].ID, i, pointer("/Election/0/Candidate", i))
	}
	for i, contest := range e.Contests {
		at := pointer("/Election/0/Contest", i)
		put(c.ix.contests, contest.Base().ID, i, at)
		for j, o := range contest.Base().Options {
			put(nil, o.Base().ID, j, pointer(at+"/ContestOption", j))
		}
	}
}

// units checks that the reporting units make one graph: one root, no cycles.
func (c *checker) units() {
	parents := make([]int, len(c.def.Units))
	for i := range c.def.Units {
		for j, child := range c.def.Units[i].Composing {
			n, ok := c.ix.units[child]
			if !ok {
				c.bad(pointer(pointer("/GpUnit", i)+"/ComposingGpUnitIds", j), "reference", "ComposingGpUnitIds refers to an object that is not in the document")
				continue
			}
			parents[n]++
			c.ix.above[child] = append(c.ix.above[child], i)
		}
	}
	var ready []int
	for i, n := range parents {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	if len(ready) != 1 {
		c.bad("/GpUnit", "unit-root", "exactly one reporting unit must stand above all others, found %d without one above", len(ready))
		if len(ready) == 0 {
			c.ix.above = map[ID][]int{} // nothing may walk in circles
		}
	}
	done := 0
	for len(ready) > 0 {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		done++
		for _, child := range c.def.Units[i].Composing {
			if n, ok := c.ix.units[child]; ok {
				if parents[n]--; parents[n] == 0 {
					ready = append(ready, n)
				}
			}
		}
	}
	if done != len(c.def.Units) {
		c.bad("/GpUnit", "unit-cycle", "a reporting unit is composed of itself")
		c.ix.above = map[ID][]int{}
	}
}

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}
