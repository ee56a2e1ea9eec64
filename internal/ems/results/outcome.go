package results

import (
	"cmp"
	"slices"

	"sallyport/internal/ems/model"
)

// State says what a contest came to.
type State string

// The values of [State].
const (
	NoDecision  State = "no-decision"  // the contest elects nobody and decides nothing
	Elected     State = "elected"      // all seats
	PartElected State = "part-elected" // fewer than there are seats
	NotElected  State = "not-elected"  // nobody
	Tied        State = "tied"         // a tie that law or lot must break
	Passed      State = "passed"
	Failed      State = "failed"
	Retained    State = "retained"
	NotRetained State = "not-retained"
	Unknown     State = "unknown" // the counts alone do not say it; see Why
)

// Outcome is what a contest came to. While TooEarly it is only what would come
// of the votes that are counted: Winners are those who lead.
type Outcome struct {
	State    State
	TooEarly bool
	Why      string // why it is too early, or unknown
	// Winners by votes, then in the order of the ballot; of ranked contests in
	// the order of their election.
	Winners []Winner
	// Tied are those among whom Seats seats are not decided.
	Tied  []Winner
	Seats int
}

// Winner is an option, or a write-in candidate, that has a seat or ties for one.
type Winner struct {
	OptionID string // empty for a write-in candidate
	Name     string
	Votes    int64 // of ranked contests: first choices
}

// Outcome determines what contest c came to. Ties are named and never broken.
// Thresholds are exact: of the votes for all options where one vote is allowed,
// of the ballots that bear the contest where there are several.
func (r *Results) Outcome(c *Contest) Outcome {
	t := c.Total()
	out := c.decide(&t)
	switch {
	case out.State == NoDecision:
	case r.Status == PreElection:
		out = Outcome{State: Unknown, TooEarly: true, Why: "the election is not over"}
	case !r.Status.Complete():
		out.TooEarly, out.Why = true, cmp.Or(out.Why, "not everything is counted")
	case t.Unresolved > 0 && !r.Status.Official():
		out.TooEarly, out.Why = true, cmp.Or(out.Why, "marks wait for a decision")
	}
	return out
}

func (c *Contest) decide(t *Line) Outcome {
	switch c.Kind {
	case model.StraightParty, model.PartyPreference, model.Activation:
		return Outcome{State: NoDecision}
	}
	switch {
	case t.Suppressed:
		return unknown("the total is withheld")
	case c.Ranked || len(c.Rounds) > 0:
		return c.ranked(t)
	}
	switch c.Variation {
	case "borda", "range", "proportional", "other":
		return unknown("votes by " + c.Variation + " are not decided by the most votes")
	}
	switch {
	case (c.Kind == model.Measure || c.Kind == model.Retention) && (len(c.Options) == 2 || c.Threshold.Den > 0):
		return c.question(t)
	case c.Variation == "super-majority" && c.Threshold.Den == 0:
		return unknown("the super-majority that is needed is not said")
	case c.VotesAllowed > 1 && c.needed().Den > 0 && t.Partial:
		return unknown("from how many ballots the votes are is not known")
	}
	return c.most(t)
}

func unknown(why string) Outcome { return Outcome{State: Unknown, Why: why} }

// question decides a measure or a retention, whose first option is the
// affirmative: by its threshold, or by more votes than all others have.
func (c *Contest) question(t *Line) Outcome {
	yes, no := Passed, Failed
	if c.Kind == model.Retention {
		yes, no = Retained, NotRetained
	}
	need, all := c.needed(), t.Cast()
	switch {
	case len(t.Votes) == 0:
		return unknown("the contest has no options")
	case c.Variation == "super-majority" && need.Den == 0:
		return unknown("the super-majority that is needed is not said")
	case need.Den > 0 && need.Met(t.Votes[0], all):
		return Outcome{State: yes, Winners: []Winner{c.winner(t, 0)}}
	case need.Den == 0 && t.Votes[0] > all-t.Votes[0]:
		return Outcome{State: yes, Winners: []Winner{c.winner(t, 0)}}
	case need.Den == 0 && t.Votes[0] == all-t.Votes[0] && all > 0:
		return Outcome{State: Tied, Tied: []Winner{c.winner(t, 0), c.winner(t, 1)}, Seats: 1}
	}
	return Outcome{State: no}
}

// needed is the threshold of a contest: its own, or that of its variation.
func (c *Contest) needed() model.Threshold {
	if c.Threshold.Den == 0 && c.Variation == "majority" {
		return model.Threshold{Num: 1, Den: 2, More: true}
	}
	return c.Threshold
}

func (c *Contest) winner(t *Line, option int) Winner {
	return Winner{c.Options[option].ID, c.Options[option].Name, t.Votes[option]}
}

// most decides a contest by the most votes.
func (c *Contest) most(t *Line) Outcome {
	list := c.competitors(t)
	slices.SortStableFunc(list, func(a, b Winner) int { return cmp.Compare(b.Votes, a.Votes) })
	seats := max(c.Elected, 1)
	n := min(seats, len(list))
	var out Outcome
	if n < len(list) && list[n-1].Votes == list[n].Votes {
		cut := list[n].Votes
		first := slices.IndexFunc(list, func(w Winner) bool { return w.Votes == cut })
		last := first
		for last < len(list) && list[last].Votes == cut {
			last++
		}
		out.Tied, out.Seats, n = slices.Clone(list[first:last]), seats-first, first
	}
	out.Winners = slices.Clone(list[:n])
	base := t.Cast()
	if c.VotesAllowed > 1 {
		base = t.Ballots
	}
	met := func(w Winner) bool { return c.needed().Met(w.Votes, base) }
	if len(out.Tied) > 0 && !met(out.Tied[0]) {
		out.Tied, out.Seats = nil, 0
	}
	out.Winners = slices.DeleteFunc(out.Winners, func(w Winner) bool { return !met(w) })
	c.name(&out, seats)
	c.doubt(t, &out, seats, met)
	return out
}

// name gives an outcome its state.
func (c *Contest) name(out *Outcome, seats int) {
	switch {
	case len(out.Tied) > 0:
		out.State = Tied
	case len(out.Winners) == 0:
		out.State = NotElected
	case len(out.Winners) < seats:
		out.State = PartElected
	default:
		out.State = Elected
	}
}

// doubt makes an outcome unknown when write-in votes for names that nobody has
// decided could change it, were they all for one person.
func (c *Contest) doubt(t *Line, out *Outcome, seats int, met func(Winner) bool) {
	most := c.undecided(t)
	if most <= 0 {
		return
	}
	if most += c.mostWritten(); !met(Winner{Votes: most}) {
		return
	}
	last := int64(0) // what has to be reached for a seat
	switch n := len(out.Winners); {
	case len(out.Tied) > 0:
		last = out.Tied[0].Votes
	case n == seats:
		last = out.Winners[n-1].Votes
	}
	if most >= last {
		out.State, out.Why = Unknown, "written names that are not decided could change it"
	}
}

// mostWritten is the most votes of a write-in candidate.
func (c *Contest) mostWritten() (most int64) {
	for _, n := range c.WriteIns {
		most = max(most, n.Votes)
	}
	return most
}

// undecided is the write-in votes that are not those of a decided name.
func (c *Contest) undecided(t *Line) int64 {
	var rest int64
	for i := range c.Options {
		if c.Options[i].WriteIn {
			rest += t.Votes[i]
		}
	}
	for _, n := range c.WriteIns {
		rest -= n.Votes
	}
	return rest
}

// competitors are the options and the write-in candidates that have votes.
func (c *Contest) competitors(t *Line) []Winner {
	var list []Winner
	for i := range c.Options {
		if !c.Options[i].WriteIn && t.Votes[i] > 0 {
			list = append(list, c.winner(t, i))
		}
	}
	for _, n := range c.WriteIns {
		if n.Votes > 0 {
			list = append(list, Winner{"", n.Name, n.Votes})
		}
	}
	return list
}

// ranked takes the elected from the rounds.
func (c *Contest) ranked(t *Line) Outcome {
	if len(c.Rounds) == 0 {
		return unknown("the rounds are not tabulated")
	}
	var out Outcome
	decided := false
	for i := range c.Rounds {
		decided = decided || len(c.Rounds[i].Elected)+len(c.Rounds[i].Eliminated) > 0
		for _, who := range c.Rounds[i].Elected {
			w := Winner{Name: who}
			if k := slices.IndexFunc(c.Options, func(o Option) bool { return o.ID == who }); k >= 0 {
				w = c.winner(t, k)
			}
			if !slices.ContainsFunc(out.Winners, func(x Winner) bool { return x.OptionID == w.OptionID && x.Name == w.Name }) {
				out.Winners = append(out.Winners, w)
			}
		}
	}
	if !decided {
		return unknown("the rounds do not say who was elected")
	}
	c.name(&out, max(c.Elected, 1))
	return out
}
