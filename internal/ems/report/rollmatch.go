package report

import (
	"errors"
	"fmt"
	"slices"

	"sallyport/internal/ems/results"
)

// addContest puts a source's contest into that of the whole, or makes it one.
func (u *roller) addContest(s *Source, c *results.Contest, names *renames) error {
	at, how, err := u.find(s, c)
	if err != nil {
		return err
	}
	if at < 0 {
		at = len(u.out.Contests)
		u.out.Contests = append(u.out.Contests, u.bare(s, c, names))
	}
	w := &u.out.Contests[at]
	u.rec.Contests = append(u.rec.Contests, Match{s.Name, c.ID, w.ID, how})
	if how != "new" {
		if err := agree(w, c); err != nil {
			return fmt.Errorf("contest %q is taken for %q of the whole: %w", c.ID, w.ID, err)
		}
		for _, id := range c.ExternalIDs {
			if !slices.Contains(w.ExternalIDs, id) {
				w.ExternalIDs = append(w.ExternalIDs, id)
			}
		}
	}
	if u.contests[s.Name+"\x00"+w.ID]++; u.contests[s.Name+"\x00"+w.ID] > 1 {
		return fmt.Errorf("%w: two contests are taken for %q of the whole", ErrOverlap, w.ID)
	}
	places, err := u.options(s, w, c, names, how == "new")
	if err != nil {
		return err
	}
	u.addCounts(w, c, places, names)
	return nil
}

// find looks for a contest in the whole: by external identifiers, then by its
// own, then by what the caller says.
func (u *roller) find(s *Source, c *results.Contest) (at int, how string, err error) {
	found := -1
	for i := range u.out.Contests {
		if slices.ContainsFunc(u.out.Contests[i].ExternalIDs, func(id string) bool { return slices.Contains(c.ExternalIDs, id) }) {
			if found >= 0 {
				return 0, "", fmt.Errorf("%w: the external identifiers of contest %q are those of %q and of %q", ErrUnmatched, c.ID, u.out.Contests[found].ID, u.out.Contests[i].ID)
			}
			found = i
		}
	}
	if found >= 0 {
		return found, "external-id", nil
	}
	place := func(id string) int {
		return slices.IndexFunc(u.out.Contests, func(x results.Contest) bool { return x.ID == id })
	}
	to, mapped := u.opt.Contests[s.Name][c.ID]
	if i := place(c.ID); i >= 0 && (!mapped || to == c.ID) {
		if !mapped && !same(u.out.Contests[i].Title, c.Title) {
			return 0, "", fmt.Errorf("%w: contest %q is %q here and %q in another report; say with a mapping whether they are one", ErrUnmatched, c.ID, c.Title, u.out.Contests[i].Title)
		}
		return i, "id", nil
	}
	if mapped {
		if i := place(to); i >= 0 {
			return i, "mapping", nil
		}
	}
	return -1, "new", nil
}

// agree checks that two contests have the same rules.
func agree(w, c *results.Contest) error {
	if w.Kind != c.Kind || w.VotesAllowed != c.VotesAllowed || w.Elected != c.Elected || w.Ranked != c.Ranked || w.Threshold != c.Threshold || w.Variation != c.Variation {
		return errors.New("their kind, votes allowed, number elected, variation or threshold differ")
	}
	return nil
}

// bare is a contest of the whole without options and counts.
func (u *roller) bare(s *Source, c *results.Contest, names *renames) results.Contest {
	w := *c
	if to, ok := u.opt.Contests[s.Name][c.ID]; ok {
		w.ID = to
	}
	w.DistrictID, w.PrimaryParty = names.units[c.DistrictID], names.parties[c.PrimaryParty]
	w.ExternalIDs = slices.Clone(c.ExternalIDs)
	w.Options, w.Lines, w.Manual, w.Sums, w.WriteIns, w.Rounds = nil, nil, nil, nil, nil, nil
	return w
}

// options finds the places of a source's options in the whole: by candidates,
// then by their own identifier, then by what the caller says.
func (u *roller) options(s *Source, w, c *results.Contest, names *renames, fresh bool) ([]int, error) {
	places := make([]int, len(c.Options))
	taken := map[int]bool{}
	for k := range c.Options {
		o := &c.Options[k]
		at, how, err := u.findOption(s, w, o)
		if err != nil {
			return nil, fmt.Errorf("contest %q: %w", c.ID, err)
		}
		if at < 0 {
			at = u.newOption(s, w, o, names)
			if !fresh {
				u.rec.Unmatched = append(u.rec.Unmatched, Match{s.Name, o.ID, w.Options[at].ID, how})
			}
		}
		if taken[at] {
			return nil, fmt.Errorf("%w: contest %q: two options are taken for %q of the whole", ErrOverlap, c.ID, w.Options[at].ID)
		}
		taken[at] = true
		places[k] = at
		u.rec.Options = append(u.rec.Options, Match{s.Name, o.ID, w.Options[at].ID, how})
	}
	if !fresh && len(c.Options) < len(w.Options) {
		for at := range w.Options {
			if !taken[at] {
				u.rec.Unmatched = append(u.rec.Unmatched, Match{s.Name, "", w.Options[at].ID, "missing"})
			}
		}
	}
	return places, nil
}

func (u *roller) findOption(s *Source, w *results.Contest, o *results.Option) (at int, how string, err error) {
	if len(o.Candidates) > 0 {
		i := slices.IndexFunc(w.Options, func(x results.Option) bool { return slices.Equal(x.Candidates, o.Candidates) && same(x.Name, o.Name) })
		if i >= 0 {
			return i, "external-id", nil
		}
	}
	place := func(id string) int {
		return slices.IndexFunc(w.Options, func(x results.Option) bool { return x.ID == id })
	}
	to, mapped := u.opt.Choices[s.Name][o.ID]
	if i := place(o.ID); i >= 0 && (!mapped || to == o.ID) {
		if !mapped && !same(w.Options[i].Name, o.Name) {
			return 0, "", fmt.Errorf("%w: option %q is %q here and %q in another report; say with a mapping whether they are one", ErrUnmatched, o.ID, o.Name, w.Options[i].Name)
		}
		return i, "id", nil
	}
	if mapped {
		if i := place(to); i >= 0 {
			return i, "mapping", nil
		}
	}
	return -1, "new", nil
}

// newOption adds an option to a contest of the whole, whose lines get a place
// for it.
func (u *roller) newOption(s *Source, w *results.Contest, o *results.Option, names *renames) int {
	x := *o
	if to, ok := u.opt.Choices[s.Name][o.ID]; ok {
		x.ID = to
	}
	x.Parties = nil
	for _, p := range o.Parties {
		x.Parties = append(x.Parties, names.parties[p])
	}
	w.Options = append(w.Options, x)
	for _, list := range [][]results.Line{w.Lines, w.Manual, w.Sums} {
		for i := range list {
			list[i].Votes = append(list[i].Votes, 0)
		}
	}
	return len(w.Options) - 1
}

// addCounts adds a source's counts, with options and units of the whole.
func (u *roller) addCounts(w, c *results.Contest, places []int, names *renames) {
	move := func(l results.Line) results.Line {
		votes := make([]int64, len(w.Options))
		for k, n := range l.Votes {
			votes[places[k]] = n
		}
		l.UnitID, l.Votes = names.units[l.UnitID], votes
		return l
	}
	before, after := w.Total(), move(c.Total())
	after.Add(&before)
	given := len(w.Sums) > 0 || len(c.Sums) > 0
	w.Sums = slices.DeleteFunc(w.Sums, func(l results.Line) bool { return l.UnitID == "" })
	for i := range c.Lines {
		w.Lines = append(w.Lines, move(c.Lines[i]))
	}
	for i := range c.Manual {
		w.Manual = append(w.Manual, move(c.Manual[i]))
	}
	for i := range c.Sums {
		if c.Sums[i].UnitID != "" {
			w.Sums = append(w.Sums, move(c.Sums[i]))
		}
	}
	if given && !after.Suppressed {
		after.UnitID, after.Type = "", results.Total
		w.Sums = append(w.Sums, after)
	}
	for _, n := range c.WriteIns {
		i := slices.IndexFunc(w.WriteIns, func(x results.NameVotes) bool { return x.Name == n.Name })
		if i < 0 {
			w.WriteIns = append(w.WriteIns, n)
		} else {
			w.WriteIns[i].Votes += n.Votes
		}
	}
	if len(c.Rounds) > 0 {
		u.rec.Notes = append(u.rec.Notes, Note{"contest " + w.ID, "rounds of parts cannot be added up: tabulate all ballots together"})
	}
}

// unmatched lists what only one of several sources has, which is an error unless
// the caller allows it.
func (u *roller) unmatched(list []Source) error {
	if len(list) == 1 {
		return nil
	}
	for i := range u.out.Contests {
		w := &u.out.Contests[i]
		n := 0
		var only Match
		for _, m := range u.rec.Contests {
			if m.To == w.ID {
				n++
				only = m
			}
		}
		if n == 1 {
			u.rec.Unmatched = append(u.rec.Unmatched, only)
		}
	}
	if len(u.rec.Unmatched) == 0 || u.opt.AllowUnmatched {
		return nil
	}
	m := u.rec.Unmatched[0]
	return fmt.Errorf("%w: %d of them, first %q of %s (%q of the whole); map them, or allow what only one source has", ErrUnmatched, len(u.rec.Unmatched), m.ID, m.Source, m.To)
}
