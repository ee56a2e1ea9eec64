package define

import (
	"cmp"
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// geography answers where units lie. It is made for a definition that passed
// Check, whose units make one graph without cycles.
type geography struct {
	def    *election.Definition
	units  map[ID]*election.Unit
	above  map[ID][]ID
	inside map[ID]map[ID]bool // of the districts that were asked for: all units in them, and themselves
	leaves []leaf             // where votes are cast, sorted
}

// leaf is a precinct that has no splits, or a split.
type leaf struct {
	unit     ID
	precinct ID // of which it is a split, or itself
}

func newGeography(def *election.Definition) *geography {
	g := &geography{def: def, units: map[ID]*election.Unit{}, above: map[ID][]ID{}, inside: map[ID]map[ID]bool{}}
	for i := range def.Units {
		u := &def.Units[i]
		g.units[u.ID] = u
		for _, child := range u.Composing {
			g.above[child] = append(g.above[child], u.ID)
		}
	}
	for i := range def.Units {
		if u := &def.Units[i]; casts(u.Type) && !slices.ContainsFunc(u.Composing, g.isCast) {
			g.leaves = append(g.leaves, leaf{u.ID, g.precinctOf(u)})
		}
	}
	slices.SortFunc(g.leaves, func(a, b leaf) int {
		return cmp.Or(g.compare(a.precinct, b.precinct), g.compare(a.unit, b.unit))
	})
	return g
}

// casts says whether votes are cast in units of a type.
func casts(t election.UnitType) bool {
	return t == election.Precinct || t == election.SplitPrecinct || t == "combined-precinct"
}

func (g *geography) isCast(id ID) bool { return g.units[id] != nil && casts(g.units[id].Type) }

func (g *geography) precinctOf(u *election.Unit) ID {
	if u.Type == election.SplitPrecinct {
		for _, id := range g.above[u.ID] {
			if g.units[id].Type == election.Precinct {
				return id
			}
		}
	}
	return u.ID
}

// within says whether a unit lies in a district, or is it.
func (g *geography) within(id, district ID) bool {
	set, ok := g.inside[district]
	if !ok {
		set = map[ID]bool{}
		g.each(district, func(id ID) { set[id] = true })
		g.inside[district] = set
	}
	return set[id]
}

// each visits a unit and all units in it, once each.
func (g *geography) each(id ID, visit func(ID)) {
	seen, todo := map[ID]bool{id: true}, []ID{id}
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		visit(next)
		if u := g.units[next]; u != nil {
			for _, child := range u.Composing {
				if !seen[child] {
					seen[child] = true
					todo = append(todo, child)
				}
			}
		}
	}
}

// compare orders units as people number them: by number, name, identifier.
func (g *geography) compare(a, b ID) int {
	x, y := g.units[a], g.units[b]
	if x == nil || y == nil {
		return natural(a, b)
	}
	return cmp.Or(natural(x.Number, y.Number), natural(x.Name.String(), y.Name.String()), natural(a, b))
}

// name is what people call a unit.
func (g *geography) name(id ID) string {
	if u := g.units[id]; u != nil {
		return cmp.Or(u.Name.String(), id)
	}
	return id
}

// natural compares text with the numbers in it by value: 2 before 10. It is a
// total order: texts that differ only in zeros before numbers are compared as text.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		p, q := run(x), run(y)
		var c int
		if digit(p[0]) && digit(q[0]) {
			m, n := strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
			c = cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n))
		} else {
			c = strings.Compare(p, q)
		}
		if c != 0 {
			return c
		}
		x, y = x[len(p):], y[len(q):]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// run is the longest beginning of digits, or without any.
func run(s string) string {
	n := 1
	for n < len(s) && digit(s[n]) == digit(s[0]) {
		n++
	}
	return s[:n]
}

// The budgets of a definition that is worked on: far over any real county.
const (
	maxCells = 20_000_000 // contests times units
	maxPaths = 10_000     // ways from a unit to the top
)

// tooLarge says whether working on a definition would take too long.
func tooLarge(def *election.Definition) []Problem {
	contests := 0
	if len(def.Elections) == 1 {
		contests = len(def.Elections[0].Contests)
	}
	if contests*len(def.Units) > maxCells {
		return []Problem{{Severity: Error, Pointer: "/GpUnit", Rule: "over-limit", Text: "contests times units may be 20 million"}}
	}
	if id, ok := manyPaths(def); ok {
		return []Problem{{Severity: Error, Pointer: "/GpUnit", Object: id, Rule: "over-limit",
			Text: "there are more than 10000 ways up from the unit " + quoteIfOdd(id) + ": name only the units of which it is directly a part"}}
	}
	return nil
}

// manyPaths finds a unit from which there are too many ways up; units in a
// circle have none.
func manyPaths(def *election.Definition) (ID, bool) {
	n := map[ID]int{}
	waiting, children := map[ID]int{}, map[ID][]ID{}
	for i := range def.Units {
		children[def.Units[i].ID] = def.Units[i].Composing
		for _, child := range def.Units[i].Composing {
			waiting[child]++
		}
	}
	var ready []ID
	for i := range def.Units {
		if id := def.Units[i].ID; waiting[id] == 0 {
			n[id] = 1
			ready = append(ready, id)
		}
	}
	for len(ready) > 0 {
		id := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, child := range children[id] {
			if n[child] += n[id]; n[child] > maxPaths {
				return child, true
			}
			if waiting[child]--; waiting[child] == 0 {
				ready = append(ready, child)
			}
		}
	}
	return "", false
}
