package report

import (
	"fmt"
	"slices"
)

// resolve settles every unit, and returns those whose counts are used so that no
// vote is used twice. The district and the scope hold all others, whether the
// document says so or not.
func (t *countTable) resolve(district, scope string) (map[string]bool, error) {
	for _, id := range t.order {
		if err := t.settle(t.units[id]); err != nil {
			return nil, err
		}
	}
	parts, top, err := t.nest(district, scope)
	if err != nil {
		return nil, err
	}
	p := &picker{t: t, parts: parts, memo: map[string][]string{}, district: district, scope: scope}
	used := map[string]bool{}
	for _, id := range top {
		list, err := p.pick(id, 0)
		if err != nil {
			return nil, err
		}
		for _, u := range list {
			used[u] = true
		}
	}
	return used, t.disjoint(used)
}

// nest sorts the units that have counts into each other: for each the next ones
// below, and those that no other holds.
func (t *countTable) nest(district, scope string) (parts map[string][]string, top []string, err error) {
	parts = map[string][]string{}
	for _, id := range t.order {
		above, err := t.above(id)
		if err != nil {
			return nil, nil, err
		}
		if len(above) == 0 {
			above, err = t.implied(id, district, scope)
			if err != nil {
				return nil, nil, err
			}
		}
		if len(above) == 0 {
			top = append(top, id)
		}
		for _, u := range above {
			parts[u] = append(parts[u], id)
		}
	}
	return parts, top, nil
}

// above are the next units above one that have counts.
func (t *countTable) above(id string) (out []string, err error) {
	err = t.climb(id, func(u string) bool {
		if t.units[u] != nil {
			out = append(out, u)
			return false
		}
		return true
	})
	return out, err
}

// climb calls visit for every unit above one, and goes on where it says so.
func (t *countTable) climb(id string, visit func(string) bool) error {
	next, seen := []string{id}, map[string]bool{id: true}
	for len(next) > 0 {
		u := next[len(next)-1]
		next = next[:len(next)-1]
		for _, up := range t.f.up[u] {
			if t.f.steps++; t.f.steps > maxSteps {
				return fmt.Errorf("the units are nested too deeply and too often to be sorted")
			}
			if !seen[up] {
				seen[up] = true
				if visit(up) {
					next = append(next, up)
				}
			}
		}
	}
	return nil
}

// implied is the district or the scope for a unit that no other holds, unless it
// holds these itself.
func (t *countTable) implied(id, district, scope string) ([]string, error) {
	for _, whole := range []string{district, scope} {
		if whole == id || t.units[whole] == nil {
			continue
		}
		within := false
		if err := t.climb(whole, func(u string) bool { within = within || u == id; return true }); err != nil {
			return nil, err
		}
		if !within && !(id == scope) {
			return []string{whole}, nil
		}
	}
	return nil, nil
}

// picker chooses between a unit and its parts.
type picker struct {
	t     *countTable
	parts map[string][]string
	memo  map[string][]string

	district, scope string
}

const maxNesting = 100

// pick returns the units whose counts stand for a unit's: its parts where they
// add up to it, and itself where they do not yet.
func (p *picker) pick(id string, depth int) ([]string, error) {
	if list, ok := p.memo[id]; ok {
		return list, nil
	}
	if depth > maxNesting {
		return nil, fmt.Errorf("units are nested more than %d times", maxNesting)
	}
	own := p.t.units[id].value()
	list := []string{id}
	if parts := p.parts[id]; len(parts) > 0 {
		seen := map[string]bool{}
		var below []string
		sum := p.t.vector()
		for _, part := range parts {
			picked, err := p.pick(part, depth+1)
			if err != nil {
				return nil, err
			}
			for _, u := range picked {
				if !seen[u] {
					seen[u] = true
					below = append(below, u)
					sum.add(p.t.units[u].value())
				}
			}
		}
		hidden := sum.hidden || own.hidden || slices.ContainsFunc(below, func(u string) bool { return p.t.units[u].hides() })
		switch c := own.compare(sum); {
		case hidden:
			list = below
			if id != p.district && id != p.scope {
				p.t.f.note(p.t.at, "the counts of unit %q are not used, because some below it are withheld", id)
			}
		case c == 0:
			list = below
		case c > 0:
			p.t.f.note(p.t.at, "the counts of %d units below %q are not used, because they are fewer than those of %q", len(below), id, id)
		default:
			return nil, fmt.Errorf("the counts of unit %q are fewer than those of the units that it is composed of", id)
		}
	}
	p.memo[id] = list
	return list, nil
}

// disjoint checks that no two units whose counts are used hold the same unit.
func (t *countTable) disjoint(used map[string]bool) error {
	owner := map[string]string{}
	for _, id := range t.order {
		if !used[id] {
			continue
		}
		next := []string{id}
		for len(next) > 0 {
			u := next[len(next)-1]
			next = next[:len(next)-1]
			if by, ok := owner[u]; ok {
				if by != id {
					return fmt.Errorf("the units %q and %q overlap: votes in %q would be counted twice", by, id, u)
				}
				continue
			}
			owner[u] = id
			below := t.f.ids[u].Refs("ComposingGpUnitIds")
			if t.f.steps += len(below); t.f.steps > maxSteps {
				return fmt.Errorf("the units are nested too deeply and too often to be sorted")
			}
			next = append(next, below...)
		}
	}
	return nil
}
