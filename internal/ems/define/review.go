package define

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// Review returns what is wrong or wants a look in a valid definition: errors
// first, then warnings, each in the order of the definition. It assumes nothing
// of how the ballot styles were made.
func Review(v *election.Valid) []Problem {
	r := &review{v: v, e: v.Election(), geo: newGeography(v.Definition()), leaves: map[ID]bool{}}
	for _, l := range r.geo.leaves {
		r.leaves[l.unit] = true
	}
	r.ballots()
	r.splitsAlone()
	r.contests()
	r.candidates()
	r.parties()
	r.names()
	r.translations()
	r.identifiers()
	r.registered()
	r.rotation()
	slices.SortStableFunc(r.list, func(a, b Problem) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return r.list
}

type review struct {
	v      *election.Valid
	e      *election.Election
	geo    *geography
	leaves map[ID]bool
	list   []Problem
}

func (r *review) say(s Severity, object, rule, format string, args ...any) {
	if len(r.list) < maxProblems {
		r.list = append(r.list, Problem{Severity: s, Object: object, Rule: rule, Text: fmt.Sprintf(format, args...)})
	}
}

// ballots checks that each precinct and split gets the contests of its
// districts, on every ballot that its voters can get.
func (r *review) ballots() {
	m := Matrix(r.v)
	used := map[ID][]*election.Style{}
	for i := range r.e.Styles {
		for _, id := range r.e.Styles[i].Units {
			used[id] = append(used[id], &r.e.Styles[i])
		}
	}
	for _, p := range m.Precincts {
		styles := used[p.ID]
		byParty := slices.ContainsFunc(styles, func(s *election.Style) bool { return len(s.Parties) > 0 })
		got := map[ID]bool{}
		for _, id := range m.Of(p.ID) {
			got[id] = true
		}
		for _, c := range r.e.Contests {
			b := c.Base()
			if r.geo.within(p.ID, b.DistrictID) && !got[b.ID] {
				r.say(Error, p.ID, "precinct-contest-missing", "voters of %s get no ballot with %q, although it lies in the district %s", p.Name, b.Title().String(), r.geo.name(b.DistrictID))
			}
		}
		if r.splits(p.ID) && len(styles) > 0 {
			r.say(Error, p.ID, "precinct-split", "%s has splits and a ballot style of its own: give ballot styles to the splits alone", p.Name)
		}
		for _, s := range styles {
			r.style(p, s, byParty)
		}
	}
}

// splitsAlone finds splits of no precinct: their votes would be reported in none.
func (r *review) splitsAlone() {
	for _, l := range r.geo.leaves {
		if l.precinct == l.unit && r.geo.units[l.unit].Type == election.SplitPrecinct {
			r.say(Error, l.unit, "split-alone", "%s is a split of no precinct: make it part of one", r.geo.name(l.unit))
		}
	}
}

func (r *review) splits(id ID) bool {
	u := r.geo.units[id]
	return casts(u.Type) && slices.ContainsFunc(u.Composing, r.geo.isCast)
}

// style compares one ballot with what voters of its parties must get. A contest
// of another district is not looked for: Check refuses that.
func (r *review) style(p MatrixPrecinct, s *election.Style, byParty bool) {
	on := map[ID]bool{}
	s.Contests(func(o *election.OrderedContest, _ string) { on[o.Contest] = true })
	for _, c := range r.e.Contests {
		b, of := c.Base(), primaryOf(c)
		theirs := !byParty || len(of) == 0 || slices.ContainsFunc(of, func(id ID) bool { return slices.Contains(s.Parties, id) })
		should := r.geo.within(p.ID, b.DistrictID) && theirs
		switch {
		case should && !on[b.ID]:
			r.say(Error, p.ID, "style-contest-missing", "the ballot style %s, used in %s, lacks %q", s.Code(), p.Name, b.Title().String())
		case on[b.ID] && !theirs:
			r.say(Error, p.ID, "style-contest-party", "the ballot style %s, used in %s, has %q, which is another party's", s.Code(), p.Name, b.Title().String())
		}
	}
}

func (r *review) contests() {
	used := map[ID]bool{}
	for i := range r.e.Styles {
		r.e.Styles[i].Contests(func(o *election.OrderedContest, _ string) { used[o.Contest] = true })
	}
	empty := map[ID]bool{}
	for i, c := range r.e.Contests {
		b := c.Base()
		if !slices.ContainsFunc(r.geo.leaves, func(l leaf) bool { return r.geo.within(l.unit, b.DistrictID) }) && !empty[b.DistrictID] {
			empty[b.DistrictID] = true
			r.say(Error, b.DistrictID, "district-empty", "no precinct lies in the district %s, which has the contest %q", r.geo.name(b.DistrictID), b.Title().String())
		}
		if !used[b.ID] {
			r.say(Error, b.ID, "contest-unused", "the contest %q stands on no ballot style", b.Title().String())
		}
		if kindOf(c) != candidateKind {
			continue
		}
		seats := r.v.Compiled().Contests[i].Elected
		if n := standing(b); n < seats {
			r.say(Warning, b.ID, "candidates-few", "the contest %q has %d candidates for %d seats", b.Title().String(), n, seats)
		}
	}
}

func standing(b *election.ContestBase) (n int) {
	for _, o := range b.Options {
		if moves(o) {
			n++
		}
	}
	return n
}

func (r *review) candidates() {
	used := map[ID]bool{}
	for _, c := range r.e.Contests {
		switch c := c.(type) {
		case *election.RetentionContest:
			used[c.CandidateID] = true
		case *election.ActivationContest:
			used[c.CandidateID] = true
		}
		for _, o := range c.Base().Options {
			if o, ok := o.(*election.CandidateOption); ok {
				for _, id := range o.Candidates {
					used[id] = true
				}
			}
		}
	}
	for i := range r.e.Candidates {
		if c := &r.e.Candidates[i]; !used[c.ID] {
			r.say(Error, c.ID, "candidate-unused", "the candidate %q stands in no contest", c.BallotName.String())
		} else if c.PreElectionStatus == "withdrawn" {
			r.say(Warning, c.ID, "candidate-withdrawn", "the candidate %q has withdrawn and stands on a ballot", c.BallotName.String())
		}
	}
}

func (r *review) parties() {
	used := map[ID]bool{}
	note := func(ids ...ID) {
		for _, id := range ids {
			used[id] = true
		}
	}
	for i := range r.e.Candidates {
		note(r.e.Candidates[i].PartyID)
	}
	for _, c := range r.e.Contests {
		note(primaryOf(c)...)
		for _, o := range c.Base().Options {
			switch o := o.(type) {
			case *election.CandidateOption:
				note(o.Endorsements...)
			case *election.PartyOption:
				note(o.Parties...)
			}
		}
	}
	def := r.v.Definition()
	for i := range def.Parties {
		note(def.Parties[i].Members...)
	}
	for i := range def.Parties {
		if p := &def.Parties[i]; !used[p.ID] {
			r.say(Warning, p.ID, "party-unused", "the party %q has no candidate and no contest", p.Name.String())
		}
	}
}

// names finds objects that voters cannot tell apart.
func (r *review) names() {
	def := r.v.Definition()
	seen := map[string]ID{}
	same := func(s Severity, class, name, scope string, id ID) {
		key := class + "\x00" + strings.ToLower(name) + "\x00" + scope
		if other, ok := seen[key]; ok && name != "" {
			r.say(s, id, "name-repeated", "the %s is named %q as %s is", class, name, other)
			return
		}
		seen[key] = id
	}
	for i := range def.Units {
		same(Warning, "unit", def.Units[i].Name.String(), string(def.Units[i].Type), def.Units[i].ID)
	}
	for i := range def.Parties {
		same(Warning, "party", def.Parties[i].Name.String(), "", def.Parties[i].ID)
	}
	for i, c := range r.e.Contests {
		b := c.Base()
		same(Warning, "contest", b.Title().String()+" "+b.BallotSubTitle.String(), b.DistrictID+" "+joinWords(primaryOf(c)), b.ID)
		for _, o := range r.v.Compiled().Contests[i].Options {
			same(Error, "option", o.Name, b.ID, o.ID)
		}
	}
}

// translations finds texts on ballots that lack a language of the ballots.
func (r *review) translations() {
	d, err := newDraft(r.v.Definition())
	if err != nil {
		return
	}
	languages := Languages(r.v.Definition())
	d.texts(func(c *class, id ID, col column, t *election.Text) {
		if t.IsZero() || !onBallots(c.name, col.name) {
			return
		}
		for _, l := range languages {
			if _, ok := t.In(l); !ok {
				r.say(Warning, id, "translation-missing", "the %s of the %s %q is not there in %s", col.name, c.name, t.String(), l)
			}
		}
	})
	for _, c := range r.e.Contests {
		if c.Base().BallotTitle.IsZero() && len(languages) > 1 {
			r.say(Warning, c.Base().ID, "translation-missing", "the contest %q has no title for ballots, and so none in other languages", c.Base().Name)
		}
	}
}

// onBallots says whether a text is shown to voters and differs between
// languages: names of people do not.
func onBallots(class, column string) bool {
	switch class {
	case candidateClass, officeClass:
		return false
	case unitClass:
		return false
	case partyClass:
		return column == "name"
	}
	return true
}

// identifiers wants three cross-referenced identifiers of each district and
// precinct, one of them an OCD-ID (VVSG 2.0, 1.1.1).
func (r *review) identifiers() {
	def := r.v.Definition()
	districts := map[ID]bool{}
	for _, c := range r.e.Contests {
		districts[c.Base().DistrictID] = true
	}
	for i := range def.Units {
		u := &def.Units[i]
		if !districts[u.ID] && !casts(u.Type) {
			continue
		}
		kinds := map[string]bool{}
		for _, x := range u.ExternalIDs {
			kinds[x.Type+" "+x.OtherType] = true
		}
		if len(kinds) < 3 || !kinds["ocd-id "] {
			r.say(Warning, u.ID, "identifiers", "%s has %d kinds of external identifiers; three are wanted, one of them an OCD-ID (VVSG 2.0, 1.1.1)", r.geo.name(u.ID), len(kinds))
		}
	}
}

// registered compares the registered voters of precincts with their splits,
// and of the whole with all precincts.
func (r *review) registered() {
	def := r.v.Definition()
	for i := range def.Units {
		u := &def.Units[i]
		if u.VotersRegistered == nil {
			continue
		}
		sum, complete := r.sum(u)
		if complete && sum != *u.VotersRegistered {
			r.say(Warning, u.ID, "registered-sum", "%s has %d registered voters, and the precincts in it have %d", r.geo.name(u.ID), *u.VotersRegistered, sum)
		}
	}
}

// sum adds the voters of the precincts and splits in a unit; it is not complete
// when one has no number, or there are none.
func (r *review) sum(u *election.Unit) (sum int64, complete bool) {
	n := 0
	complete = true
	r.geo.each(u.ID, func(id ID) {
		if id == u.ID || !r.leaves[id] {
			return
		}
		x := r.geo.units[id].VotersRegistered
		if x == nil {
			complete = false
			return
		}
		sum, n = sum+*x, n+1
	})
	return sum, complete && n > 0
}

// rotation warns of candidates who are first on more ballots than others.
func (r *review) rotation() {
	for _, x := range Rotations(r.v) {
		if styles, precincts := x.Spread(); styles > 1 && precincts > 1 {
			r.say(Warning, x.Contest, "rotation-unbalanced", "the rotation is not balanced: one candidate stands first in %d ballot styles and %d precincts more than another", styles, precincts)
		}
	}
}
