package vendor

import (
	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/election"
)

// names finds the objects of a definition by what exports may call them.
type names struct {
	contests, precincts, styles lookup
	options                     []lookup
}

// lookup finds a number by identifier or by name; -1 stands for several.
type lookup struct{ ids, names map[string]int }

func newLookup() lookup { return lookup{map[string]int{}, map[string]int{}} }

func (l lookup) put(into map[string]int, key string, n int) {
	if key == "" {
		return
	}
	if have, ok := into[key]; ok && have != n {
		n = -1
	}
	into[key] = n
}

// find returns what a label means: as given, or by its identifier, or by its
// name as an identifier, or by its name.
func (l lookup) find(kind string, x dialect.Label, given map[string]string) (int, *Problem) {
	for _, key := range []string{x.ID, x.Name} {
		if id, ok := given[key]; ok && key != "" {
			if n, ok := l.ids[id]; ok && n >= 0 {
				return n, nil
			}
			return 0, &Problem{kind, key, "it is mapped to " + id + ", which the definition does not have"}
		}
	}
	several := false
	for _, at := range []struct {
		in  map[string]int
		key string
	}{{l.ids, x.ID}, {l.names, x.Name}, {l.ids, x.Name}} {
		n, ok := at.in[at.key]
		if ok && at.key != "" && n >= 0 {
			return n, nil
		}
		several = several || ok && n < 0
	}
	name := x.Name
	if name == "" {
		name = x.ID
	}
	if several {
		return 0, &Problem{kind, name, "the definition has several of that name: give a mapping"}
	}
	return 0, &Problem{kind, name, "the definition has none of that identifier or name: give a mapping"}
}

func newNames(v *election.Valid) *names {
	d := v.Compiled()
	x := &names{contests: newLookup(), precincts: newLookup(), styles: newLookup()}
	for n, c := range v.Election().Contests {
		b := c.Base()
		x.contests.put(x.contests.ids, b.ID, n)
		x.contests.put(x.contests.names, b.Name, n)
		x.contests.put(x.contests.names, d.Contests[n].Name, n)
		for _, id := range b.ExternalIDs {
			x.contests.put(x.contests.ids, id.Value, n)
		}
		o := newLookup()
		for k, option := range b.Options {
			o.put(o.ids, option.Base().ID, k)
			o.put(o.names, d.Contests[n].Options[k].Name, k)
			for _, id := range option.Base().ExternalIDs {
				o.put(o.ids, id.Value, k)
			}
			if c, ok := option.(*election.CandidateOption); ok && len(c.Candidates) == 1 {
				o.put(o.ids, c.Candidates[0], k)
				for _, id := range v.Candidate(c.Candidates[0]).ExternalIDs {
					o.put(o.ids, id.Value, k)
				}
			}
		}
		x.options = append(x.options, o)
	}
	for n, p := range d.Precincts {
		x.precincts.put(x.precincts.ids, p.ID, n)
		x.precincts.put(x.precincts.names, p.Name, n)
		u := v.Unit(p.ID)
		x.precincts.put(x.precincts.ids, u.Number, n)
		for _, id := range u.ExternalIDs {
			x.precincts.put(x.precincts.ids, id.Value, n)
		}
	}
	for n, s := range d.Styles {
		for _, id := range s.IDs {
			x.styles.put(x.styles.ids, id, n)
		}
	}
	return x
}
