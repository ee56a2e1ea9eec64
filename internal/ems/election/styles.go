package election

import (
	"slices"

	"sallyport/internal/ems/model"
)

// styles checks the ballot styles and compiles them.
func (c *checker) styles() {
	c.precinct = map[ID]int{}
	used := map[string]bool{}
	for i := range c.def.Elections[0].Styles {
		s := &c.def.Elections[0].Styles[i]
		at := pointer("/Election/0/BallotStyle", i)
		var out model.Style
		for _, id := range s.ExternalIDs {
			if id.Value == "" || used[id.Value] {
				c.bad(at+"/ExternalIdentifier", "style-id", "the identifier of a ballot style must not be empty and must stand for one style only")
				continue
			}
			used[id.Value] = true
			out.IDs = append(out.IDs, id.Value)
		}
		if len(s.ExternalIDs) == 0 {
			c.bad(at, "style-id", "the ballot style must carry an ExternalIdentifier: cast vote records name it")
		}
		if len(s.Units) == 0 {
			c.bad(at+"/GpUnitIds", "list-empty", "the ballot style needs at least one reporting unit")
		}
		for j, id := range s.Units {
			if c.ref(c.ix.units, id, pointer(at+"/GpUnitIds", j)) {
				out.Precincts = append(out.Precincts, c.precinctNumber(id))
			}
		}
		out.Parties = c.partyNumbers(s.Parties, at+"/PartyIds")
		c.content(s, &out, at)
		if len(out.Contests) == 0 {
			c.bad(at, "style-empty", "the ballot style has no contest")
		}
		c.out.Styles = append(c.out.Styles, out)
	}
}

// content collects the contests of a ballot style.
func (c *checker) content(s *Style, out *model.Style, at string) {
	seen := map[int]bool{}
	headers(s.Content, "/OrderedContent", func(h *OrderedHeader, here string) {
		c.ref(c.ix.headers, h.Header, at+here+"/HeaderId")
	})
	s.Contests(func(o *OrderedContest, here string) {
		here = at + here
		n, ok := c.ix.contests[o.Contest]
		if !ok {
			c.ref(c.ix.contests, o.Contest, here+"/ContestId")
			return
		}
		if seen[n] {
			c.bad(here+"/ContestId", "style-contest-repeated", "the contest stands on this ballot style already")
			return
		}
		seen[n] = true
		out.Contests = append(out.Contests, n)
		c.order(o, n, here)
		c.district(s, c.def.Elections[0].Contests[n].Base(), here)
	})
}

// district checks that each unit of a style lies in the district of a contest
// on it: ballots with contests of another district are the named danger of
// ballot building.
func (c *checker) district(s *Style, contest *ContestBase, at string) {
	if _, ok := c.ix.units[contest.DistrictID]; !ok {
		return // said already
	}
	part := c.below[contest.DistrictID]
	if part == nil {
		part = c.ix.below(contest.DistrictID, c.def.Units)
		c.below[contest.DistrictID] = part
	}
	for _, id := range s.Units {
		if _, ok := c.ix.units[id]; ok && !part[id] {
			c.bad(at+"/ContestId", "style-district", "the ballot style is used in %q, which is not part of the contest's district %q", id, contest.DistrictID)
		}
	}
}

// order checks the order of a contest's options on a style: all of them, each once.
func (c *checker) order(o *OrderedContest, contest int, at string) {
	if len(o.Options) == 0 {
		return
	}
	seen := map[ID]bool{}
	for j, id := range o.Options {
		n, ok := c.options[id]
		switch {
		case !ok || n != contest:
			c.bad(pointer(at+"/OrderedContestOptionIds", j), "style-option", "this is an option of another contest")
			return
		case seen[id]:
			c.bad(pointer(at+"/OrderedContestOptionIds", j), "style-option-repeated", "the option stands in the order already")
			return
		}
		seen[id] = true
	}
	if len(seen) != len(c.out.Contests[contest].Options) {
		c.bad(at+"/OrderedContestOptionIds", "style-option-missing", "the order must name all options of the contest")
	}
}

func headers(list Content, at string, each func(*OrderedHeader, string)) {
	for n, i := range list {
		if h, ok := i.(*OrderedHeader); ok {
			here := pointer(at, n)
			each(h, here)
			headers(h.Content, here+"/OrderedContent", each)
		}
	}
}

// precinctNumber numbers the reporting units in which ballots are cast.
func (c *checker) precinctNumber(id ID) int {
	n, ok := c.precinct[id]
	if !ok {
		n = len(c.out.Precincts)
		c.precinct[id] = n
		p := model.Precinct{ID: id, Name: c.unitName(id)}
		p.Of, p.OfName = p.ID, p.Name
		if c.def.Units[c.ix.units[id]].Type == SplitPrecinct {
			above := c.ix.above[id]
			if i := slices.IndexFunc(above, func(u int) bool { return c.def.Units[u].Type == Precinct }); i >= 0 {
				p.Of = c.def.Units[above[i]].ID
				p.OfName = c.unitName(p.Of)
			}
		}
		c.out.Precincts = append(c.out.Precincts, p)
	}
	return n
}

func (c *checker) unitName(id ID) string {
	if s := c.def.Units[c.ix.units[id]].Name.String(); s != "" {
		return s
	}
	return id
}
