package report

import (
	"fmt"
	"maps"
	"math/big"
	"slices"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/results"
)

// vector is one count for each option of a contest.
type vector struct {
	n      []int64
	has    []bool
	hidden bool
}

func (v *vector) add(w *vector) {
	for i, n := range w.n {
		v.n[i] += n
		v.has[i] = v.has[i] || w.has[i]
	}
	v.hidden = v.hidden || w.hidden
}

// compare says whether v has the same counts as w (0), in none fewer and in some
// more (1), or neither (-1).
func (v *vector) compare(w *vector) int {
	more := 0
	for i, n := range v.n {
		switch {
		case n < w.n[i]:
			return -1
		case n > w.n[i]:
			more = 1
		}
	}
	return more
}

// unitCounts are the counts of one unit: by way of voting, and in all.
type unitCounts struct {
	id     string
	parts  map[string]*vector
	total  *vector
	device map[string]*vector // by way of voting or total, all devices added up
}

// kinds are the ways of voting in the order of reports.
func (c *unitCounts) kinds() []string {
	order := results.CountItemTypes()
	at := func(kind string) int {
		if i := slices.Index(order, kind); i >= 0 {
			return i
		}
		return len(order)
	}
	return slices.SortedFunc(maps.Keys(c.parts), func(a, b string) int {
		if x, y := at(a), at(b); x != y {
			return x - y
		}
		if a < b {
			return -1
		}
		return 1
	})
}

func (c *unitCounts) hides() bool {
	for _, p := range c.parts {
		if p.hidden {
			return true
		}
	}
	return c.total != nil && c.total.hidden
}

// countTable sorts the counts of one contest by unit.
type countTable struct {
	f     *errReader
	at    *cdf.Object // for notes
	width int
	units map[string]*unitCounts
	order []string
}

func (f *errReader) newTable(width int, at *cdf.Object) *countTable {
	return &countTable{f: f, at: at, width: width, units: map[string]*unitCounts{}}
}

func (t *countTable) vector() *vector {
	return &vector{n: make([]int64, t.width), has: make([]bool, t.width)}
}

// whole reads a count that must be a whole number.
func wholeCount(o *cdf.Object, member string) (int64, error) {
	s := o.Str(member)
	n, ok := new(big.Rat), len(s) <= 40
	for _, r := range s {
		ok = ok && (r >= '0' && r <= '9' || r == '.')
	}
	if ok {
		_, ok = n.SetString(s)
	}
	if !ok || !n.IsInt() || n.Sign() < 0 || n.Num().Cmp(big.NewInt(results.MaxCount)) > 0 {
		return 0, fmt.Errorf("%s: %s must be a whole number from 0 to %d", o.Pointer(), member, int64(results.MaxCount))
	}
	return n.Num().Int64(), nil
}

// take takes one count of an option.
func (t *countTable) take(o *cdf.Object, member string, option int) error {
	kind, unit := enum(o, "Type", "OtherType"), o.Str("GpUnitId")
	if s := o.Str("Type"); s == "seats" || s == "write-in" {
		t.f.note(t.at, "counts of type %s are not used", s)
		return nil
	}
	if t.f.devices[unit] {
		t.f.note(t.at, "counts of reporting devices are not used")
		return nil
	}
	n, err := wholeCount(o, member)
	if err != nil {
		return err
	}
	c := t.units[unit]
	if c == nil {
		c = &unitCounts{id: unit, parts: map[string]*vector{}, device: map[string]*vector{}}
		t.units[unit] = c
		t.order = append(t.order, unit)
	}
	hidden, _ := o.Bool("IsSuppressedForPrivacy")
	if hidden {
		n = 0
	}
	if o.Has("DeviceClass") {
		return t.put(c.device, kind, option, n, hidden, true, o)
	}
	if kind != results.Total {
		return t.put(c.parts, kind, option, n, hidden, false, o)
	}
	m := map[string]*vector{}
	if c.total != nil {
		m[kind] = c.total
	}
	err = t.put(m, kind, option, n, hidden, false, o)
	c.total = m[kind]
	return err
}

func (t *countTable) put(m map[string]*vector, kind string, option int, n int64, hidden, sum bool, o *cdf.Object) error {
	v := m[kind]
	if v == nil {
		v = t.vector()
		m[kind] = v
	}
	if v.has[option] && !sum {
		return fmt.Errorf("%s: another count is for the same unit and type", o.Pointer())
	}
	if v.n[option] += n; v.n[option] > results.MaxCount {
		return fmt.Errorf("%s: counts add up to more than %d", o.Pointer(), int64(results.MaxCount))
	}
	v.has[option], v.hidden = true, v.hidden || hidden
	return nil
}

// settle brings the counts of a unit into one form: disjoint parts, or a total.
func (t *countTable) settle(c *unitCounts) error {
	t.devices(c)
	if err := t.absentee(c); err != nil {
		return err
	}
	sum := t.vector()
	for _, p := range c.parts {
		sum.add(p)
	}
	if c.total == nil {
		t.missing(c)
		return nil
	}
	undivided := false // an option has a total alone
	for i := range c.total.n {
		if !c.total.has[i] && sum.has[i] {
			c.total.n[i], c.total.has[i] = sum.n[i], true
		}
		undivided = undivided || c.total.has[i] && !sum.has[i] && len(c.parts) > 0
	}
	if undivided {
		t.f.note(t.at, "unit %q: ways of voting are not used, because an option has a total alone", c.id)
		c.parts = map[string]*vector{}
	}
	if len(c.parts) > 0 && !sum.hidden && !c.total.hidden && sum.compare(c.total) != 0 {
		return fmt.Errorf("unit %q: the counts of type total are not the sums of the others", c.id)
	}
	t.missing(c)
	return nil
}

// devices leaves counts by class of device out where there are counts of all.
func (t *countTable) devices(c *unitCounts) {
	if len(c.device) == 0 {
		return
	}
	if len(c.parts) > 0 || c.total != nil {
		t.f.note(t.at, "unit %q: counts by class of device are not used beside counts of all", c.id)
		return
	}
	for kind, v := range c.device {
		if kind == results.Total {
			c.total = v
		} else {
			c.parts[kind] = v
		}
	}
}

// absentee takes the kinds of absentee out of absentee, which is their sum.
func (t *countTable) absentee(c *unitCounts) error {
	all := c.parts["absentee"]
	if all == nil {
		return nil
	}
	kinds := t.vector()
	found := false
	for _, kind := range absenteeKinds() {
		if p := c.parts[kind]; p != nil {
			kinds.add(p)
			found = true
		}
	}
	if !found {
		return nil
	}
	if all.hidden || kinds.hidden {
		return nil // what is withheld stays so, whatever it is the sum of
	}
	if all.compare(kinds) < 0 {
		return fmt.Errorf("unit %q: the kinds of absentee are more than absentee", c.id)
	}
	rest := t.vector()
	for i := range all.n {
		rest.n[i], rest.has[i] = all.n[i]-kinds.n[i], all.has[i]
	}
	if rest.compare(t.vector()) == 0 {
		delete(c.parts, "absentee")
	} else {
		c.parts["absentee"] = rest
	}
	return nil
}

// missing notes options that have no count where others have one.
func (t *countTable) missing(c *unitCounts) {
	v := c.value()
	if slices.Contains(v.has, false) {
		t.f.note(t.at, "unit %q: an option without count is read as 0", c.id)
	}
}

// value is what a unit has in all; hidden when that is not known.
func (c *unitCounts) value() *vector {
	if c.total != nil {
		return c.total
	}
	var sum *vector
	for _, p := range c.parts {
		if sum == nil {
			sum = &vector{n: make([]int64, len(p.n)), has: make([]bool, len(p.n))}
		}
		sum.add(p)
	}
	return sum
}
