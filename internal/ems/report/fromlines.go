package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/results"
)

// otherCounts are the counts of a unit that belong to no option.
type otherCounts struct {
	over, under, writeIns int64
	complete              bool // over- and undervotes are both there
	device                bool
}

// counts reads the counts of a contest: its lines, and its sums where the lines
// do not say all.
func (f *errReader) counts(c *results.Contest, o *cdf.Object) error {
	t := f.newTable(len(c.Options), o)
	for k, s := range o.List("ContestSelection") {
		for _, v := range s.List("VoteCounts") {
			if round, _ := v.Int("Round"); round > 0 {
				if err := f.round(c, k, v, int(min(round, 1<<30))); err != nil {
					return err
				}
				continue
			}
			if err := t.take(v, "Count", k); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(c.Rounds, func(a, b results.Round) int { return cmp.Compare(a.Number, b.Number) })
	others, err := f.others(o)
	if err != nil {
		return err
	}
	used, err := t.resolve(c.DistrictID, f.r.ScopeID)
	if err != nil {
		return err
	}
	for _, id := range t.order {
		if used[id] {
			t.lines(c, t.units[id], others[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(others)) {
		if t.units[id] == nil {
			f.note(o, "overvotes and undervotes of unit %q are not used: it has no votes", id)
		}
	}
	t.whole(c, used, others)
	return nil
}

// maxRounds is the most rounds of a contest.
const maxRounds = 10_000

// round reads one count of a round. Votes may be fractions there.
func (f *errReader) round(c *results.Contest, option int, v *cdf.Object, n int) error {
	if v.Str("Type") != results.Total || v.Has("DeviceClass") || v.Str("GpUnitId") != c.DistrictID && v.Str("GpUnitId") != f.r.ScopeID {
		f.note(v.Parent().Parent(), "rounds by unit, way of voting or device are not used")
		return nil
	}
	at := slices.IndexFunc(c.Rounds, func(r results.Round) bool { return r.Number == n })
	if at < 0 {
		if len(c.Rounds) == maxRounds {
			return fmt.Errorf("more than %d rounds", maxRounds)
		}
		at = len(c.Rounds)
		c.Rounds = append(c.Rounds, results.Round{Number: n, Votes: make([]string, len(c.Options))})
	}
	if c.Rounds[at].Votes[option] != "" {
		return fmt.Errorf("%s: another count is for the same option and round", v.Pointer())
	}
	c.Rounds[at].Votes[option] = v.Str("Count")
	return nil
}

// others reads overvotes, undervotes and write-ins by unit.
func (f *errReader) others(o *cdf.Object) (map[string]*otherCounts, error) {
	out := map[string]*otherCounts{}
	for _, x := range o.List("OtherCounts") {
		id, device := x.Str("GpUnitId"), x.Has("DeviceClass")
		c := out[id]
		switch {
		case f.devices[id]:
			f.note(o, "counts of reporting devices are not used")
			continue
		case c == nil || c.device && !device:
			c = &otherCounts{complete: true, device: device}
			out[id] = c
		case !device:
			return nil, fmt.Errorf("%s: other counts of this unit are there already", x.Pointer())
		case !c.device:
			continue // by class of device, beside those of all
		}
		c.complete = c.complete && x.Has("Overvotes") && x.Has("Undervotes")
		for _, m := range []struct {
			name string
			n    *int64
		}{{"Overvotes", &c.over}, {"Undervotes", &c.under}, {"WriteIns", &c.writeIns}} {
			if !x.Has(m.name) {
				continue
			}
			n, err := wholeCount(x, m.name)
			if err != nil {
				return nil, err
			}
			if *m.n += n; *m.n > results.MaxCount {
				return nil, fmt.Errorf("%s: counts add up to more than %d", x.Pointer(), int64(results.MaxCount))
			}
		}
	}
	return out, nil
}

// line is a line of votes alone, or of all when the other counts are known and
// make whole ballots.
func line(c *results.Contest, unit, kind string, v *vector, others *otherCounts) results.Line {
	l := results.Line{UnitID: unit, Type: kind, Votes: slices.Clone(v.n), Suppressed: v.hidden, Partial: !v.hidden}
	if v.hidden {
		clear(l.Votes)
		return l
	}
	if others == nil {
		return l
	}
	l.Overvotes, l.Undervotes, l.WriteIns = others.over, others.under, others.writeIns
	if sum := l.Cast() + l.Overvotes + l.Undervotes; others.complete && c.VotesAllowed > 0 && sum%c.VotesAllowed == 0 {
		l.Ballots, l.Partial = sum/c.VotesAllowed, false
	}
	return l
}

// lines adds the lines of one unit.
func (t *countTable) lines(c *results.Contest, u *unitCounts, others *otherCounts) {
	kinds := u.kinds()
	if len(kinds) == 0 {
		c.Lines = append(c.Lines, line(c, u.id, results.Total, u.total, others))
		return
	}
	if len(kinds) == 1 {
		c.Lines = append(c.Lines, line(c, u.id, kinds[0], u.parts[kinds[0]], others))
		return
	}
	for _, kind := range kinds {
		c.Lines = append(c.Lines, line(c, u.id, kind, u.parts[kind], nil))
	}
	if others != nil || u.hides() && u.total != nil {
		c.Sums = append(c.Sums, line(c, u.id, results.Total, u.value(), others))
	}
}

// whole adds the sums of all units where the lines do not say all: those of the
// district's own counts, or of the units' sums.
func (t *countTable) whole(c *results.Contest, used map[string]bool, others map[string]*otherCounts) {
	partial, hidden := false, false
	for i := range c.Lines {
		partial, hidden = partial || c.Lines[i].Partial, hidden || c.Lines[i].Suppressed
	}
	if !partial && !hidden {
		return
	}
	for _, id := range []string{c.DistrictID, t.f.r.ScopeID} {
		u := t.units[id]
		if u == nil || used[id] {
			continue
		}
		if u.total != nil || !u.hides() {
			c.Sums = append(c.Sums, line(c, "", results.Total, u.value(), others[id]))
		}
		if hidden {
			for _, kind := range u.kinds() {
				c.Sums = append(c.Sums, line(c, "", kind, u.parts[kind], nil))
			}
		}
		return
	}
	if len(c.Sums) == 0 {
		return
	}
	total := results.Line{Type: results.Total, Votes: make([]int64, len(c.Options))}
	by := c.ByUnit()
	for _, id := range t.order {
		if l, ok := by[id]; ok {
			total.Add(&l)
		}
	}
	if !total.Suppressed {
		c.Sums = append(c.Sums, total)
	}
}
