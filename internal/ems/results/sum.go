package results

// Total is what a contest came to: the given sum where there is one, otherwise
// the lines with the manual tallies.
func (c *Contest) Total() Line {
	if s := c.given("", Total); s != nil {
		return s.clone()
	}
	return c.Sum(func(*Line) bool { return true })
}

// given returns the sum that the results give for a unit and a type, or nil.
func (c *Contest) given(unit, kind string) *Line {
	for i := range c.Sums {
		if c.Sums[i].UnitID == unit && c.Sums[i].Type == kind {
			return &c.Sums[i]
		}
	}
	return nil
}

// Sum adds those lines and manual tallies up that take says yes to. It is
// Suppressed when one of them is: then it is not what was cast.
func (c *Contest) Sum(take func(*Line) bool) Line {
	t := c.empty("", Total)
	c.each(func(l *Line) {
		if take(l) {
			t.Add(l)
		}
	})
	return t
}

func (c *Contest) empty(unit, kind string) Line {
	return Line{UnitID: unit, Type: kind, Votes: make([]int64, len(c.Options))}
}

// each calls do for every line and manual tally.
func (c *Contest) each(do func(*Line)) {
	for i := range c.Lines {
		do(&c.Lines[i])
	}
	for i := range c.Manual {
		do(&c.Manual[i])
	}
}

// ByUnit is the total of each unit in which votes were cast, by its identifier.
func (c *Contest) ByUnit() map[string]Line {
	sums := c.by(func(l *Line) (string, Line) { return l.UnitID, c.empty(l.UnitID, Total) })
	for i := range c.Sums {
		if s := &c.Sums[i]; s.UnitID != "" {
			sums[s.UnitID] = s.clone()
		}
	}
	return sums
}

// ByMethod is the total of each way of voting in all units.
func (c *Contest) ByMethod() map[string]Line {
	sums := c.by(func(l *Line) (string, Line) { return l.Type, c.empty("", l.Type) })
	for i := range c.Sums {
		if s := &c.Sums[i]; s.UnitID == "" && s.Type != Total {
			sums[s.Type] = s.clone()
		}
	}
	return sums
}

func (c *Contest) by(key func(*Line) (string, Line)) map[string]Line {
	sums := map[string]*Line{}
	c.each(func(l *Line) {
		k, empty := key(l)
		s := sums[k]
		if s == nil {
			s = &empty
			sums[k] = s
		}
		s.Add(l)
	})
	out := make(map[string]Line, len(sums))
	for k, s := range sums {
		out[k] = *s
	}
	return out
}

// Add adds the counts of another line. The sum is Suppressed or Partial when
// one of the two is.
func (l *Line) Add(m *Line) {
	l.Ballots += m.Ballots
	l.Overvotes += m.Overvotes
	l.Undervotes += m.Undervotes
	l.WriteIns += m.WriteIns
	l.Unresolved += m.Unresolved
	l.Partial = l.Partial || m.Partial
	l.Suppressed = l.Suppressed || m.Suppressed
	for i, v := range m.Votes {
		l.Votes[i] += v
	}
}

func (l *Line) clone() Line {
	m := *l
	m.Votes = append([]int64(nil), l.Votes...)
	return m
}

// Cast is the number of votes for all options together.
func (l *Line) Cast() int64 {
	var sum int64
	for _, v := range l.Votes {
		sum += v
	}
	return sum
}
