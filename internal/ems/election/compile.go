package election

import (
	"fmt"
	"slices"

	"sallyport/internal/ems/model"
)

// contests checks the contests and compiles them.
func (c *checker) contests() {
	e := &c.def.Elections[0]
	c.out = &model.Definition{Name: e.Name.String(), Date: e.StartDate, Test: c.def.IsTest}
	for _, id := range e.ExternalIDs {
		c.out.IDs = append(c.out.IDs, id.Value)
	}
	c.parties = map[ID]int{}
	for i := range c.def.Parties {
		c.parties[c.def.Parties[i].ID] = i
		c.out.Parties = append(c.out.Parties, model.Party{ID: c.def.Parties[i].ID, Name: c.def.Parties[i].Name.String()})
	}
	c.options = map[ID]int{}
	for i, contest := range e.Contests {
		at := pointer("/Election/0/Contest", i)
		b := contest.Base()
		c.ref(c.ix.units, b.DistrictID, at+"/ElectionDistrictId")
		out := model.Contest{ID: b.ID, Name: b.Title().String(), VotesAllowed: 1, Elected: 1}
		c.class(contest, &out, at)
		c.variation(contest, &out, at)
		c.contestOptions(b, &out, at)
		c.out.Contests = append(c.out.Contests, out)
		for _, o := range b.Options {
			c.options[o.Base().ID] = i
		}
	}
	c.controls()
}

// class takes over what the class of a contest adds.
func (c *checker) class(contest Contest, out *model.Contest, at string) {
	switch x := contest.(type) {
	case *CandidateContest:
		c.candidateContest(x, out, at)
	case *BallotMeasureContest:
		out.Kind = model.Measure
		c.threshold(&x.Measure, out, at)
	case *RetentionContest:
		out.Kind = model.Retention
		c.ref(c.ix.candidates, x.CandidateID, at+"/CandidateId")
		c.optional(c.ix.offices, x.OfficeID, at+"/OfficeId")
		c.threshold(&x.Measure, out, at)
	case *PartyContest:
		out.Kind = model.PartyList
	case *StraightPartyContest:
		out.Kind, out.Inclusive = model.StraightParty, x.Ruleset == Inclusive
		if x.Ruleset != Inclusive && x.Ruleset != Exclusive {
			c.bad(at+"/StraightPartyRuleset", "ruleset-unsupported", "the ruleset must be exclusive or inclusive: another one cannot be tallied here")
		}
	case *PartyPreferenceContest:
		out.Kind = model.PartyPreference
	case *ActivationContest:
		out.Kind = model.Activation
		c.optional(c.ix.candidates, x.CandidateID, at+"/CandidateId")
	}
}

func (c *checker) candidateContest(x *CandidateContest, out *model.Contest, at string) {
	if x.VotesAllowed < 1 || x.VotesAllowed > model.MaxVotes {
		c.bad(at+"/VotesAllowed", "votes-allowed", "must be between 1 and %d", model.MaxVotes)
		return
	}
	out.VotesAllowed = int(x.VotesAllowed)
	out.Elected = out.VotesAllowed
	if x.Elected != nil {
		if *x.Elected < 1 || *x.Elected > model.MaxVotes {
			c.bad(at+"/NumberElected", "number-elected", "must be between 1 and %d", model.MaxVotes)
			return
		}
		out.Elected = int(*x.Elected)
	}
	c.refs(c.ix.offices, x.Offices, at+"/OfficeIds")
	for i, id := range x.PrimaryParties {
		if c.ref(c.ix.parties, id, pointer(at+"/PrimaryPartyIds", i)) {
			out.Parties = append(out.Parties, c.parties[id])
		}
	}
}

// variation takes over how votes are cast in a contest, if it can be tallied.
func (c *checker) variation(contest Contest, out *model.Contest, at string) {
	b := contest.Base()
	x, candidates := contest.(*CandidateContest)
	if candidates && x.RanksAllowed != nil && b.VoteVariation != RCV && *x.RanksAllowed > 1 {
		c.bad(at+"/RanksAllowed", "ranks", "only a contest whose VoteVariation is rcv is ranked")
	}
	switch b.VoteVariation {
	case "", Plurality, NOfM:
	case Majority:
		if out.Threshold.Den == 0 {
			out.Threshold = model.Threshold{Num: 1, Den: 2, More: true}
		}
	case SuperMajority:
		if out.Threshold.Den == 0 {
			c.bad(at+"/PassageThreshold", "passage-threshold", "a super-majority needs a PassageThreshold that begins with a part such as 60%% or 2/3")
		}
	case Cumulative:
		out.Cumulative = true
	case Approval:
		if candidates && int(x.VotesAllowed) != len(b.Options) {
			c.bad(at+"/VotesAllowed", "votes-allowed", "approval voting allows as many votes as there are options, which are %d", len(b.Options))
		}
	case RCV:
		c.ranked(x, out, at)
	default:
		c.bad(at+"/VoteVariation", "variation-unsupported", "%q cannot be tallied here", b.VoteVariation)
	}
}

func (c *checker) ranked(x *CandidateContest, out *model.Contest, at string) {
	switch {
	case x == nil:
		c.bad(at+"/VoteVariation", "variation-unsupported", "only candidates can be ranked here")
	case x.RanksAllowed == nil || *x.RanksAllowed < 1 || *x.RanksAllowed > model.MaxRanks:
		c.bad(at+"/RanksAllowed", "ranks", "a ranked contest needs RanksAllowed between 1 and %d", model.MaxRanks)
	case x.VotesAllowed != 1:
		c.bad(at+"/VotesAllowed", "votes-allowed", "in a ranked contest each ballot has one vote; NumberElected says how many win")
	default:
		out.Ranks = int(*x.RanksAllowed)
	}
}

// contestOptions checks the options of a contest and compiles them.
func (c *checker) contestOptions(b *ContestBase, out *model.Contest, at string) {
	if len(b.Options) == 0 {
		c.bad(at, "option-none", "the contest has no option")
	}
	writeIns, seen := 0, map[ID]bool{}
	for j, o := range b.Options {
		here := pointer(at+"/ContestOption", j)
		x := model.Option{ID: o.Base().ID}
		switch o := o.(type) {
		case *CandidateOption:
			c.candidateOption(o, &x, seen, here)
			if x.WriteIn && x.Name == "" {
				writeIns++
				x.Name = fmt.Sprintf("Write-in %d", writeIns)
			}
		case *BallotMeasureOption:
			x.Name = o.Selection.String()
		case *ActivationOption:
			x.Name, x.Activates = o.Selection.String(), o.Activates
		case *PartyOption:
			x.Parties = c.partyNumbers(o.Parties, here+"/PartyIds")
			for _, n := range x.Parties {
				x.Name = join(x.Name, c.out.Parties[n].Name)
			}
		}
		if x.Name == "" {
			c.bad(here, "option-empty", "the option is neither a candidate, a text, a party nor a write-in")
		}
		out.Options = append(out.Options, x)
	}
	if writeIns == 1 {
		for j := range out.Options {
			if out.Options[j].Name == "Write-in 1" {
				out.Options[j].Name = "Write-in"
			}
		}
	}
	c.kindOptions(out, at)
}

// kindOptions checks that the options are of the kind that the contest needs to
// be counted.
func (c *checker) kindOptions(out *model.Contest, at string) {
	for j := range out.Options {
		if (out.Kind == model.StraightParty || out.Kind == model.PartyPreference) && len(out.Options[j].Parties) == 0 {
			c.bad(pointer(at+"/ContestOption", j), "option-party", "an option of this contest must stand for a party")
		}
	}
}

func (c *checker) candidateOption(o *CandidateOption, x *model.Option, seen map[ID]bool, at string) {
	x.WriteIn = o.WriteIn && len(o.Candidates) == 0
	for i, id := range o.Candidates {
		if !c.ref(c.ix.candidates, id, pointer(at+"/CandidateIds", i)) {
			continue
		}
		if seen[id] {
			c.bad(pointer(at+"/CandidateIds", i), "candidate-repeated", "the candidate stands in another option of this contest: endorsements of several parties belong to one option")
		}
		seen[id] = true
		cand := &c.def.Elections[0].Candidates[c.ix.candidates[id]]
		x.Name = join(x.Name, cand.BallotName.String())
		if cand.PartyID != "" && len(o.Endorsements) == 0 {
			if n, ok := c.parties[cand.PartyID]; ok {
				x.Parties = append(x.Parties, n)
			}
		}
	}
	x.Parties = append(x.Parties, c.partyNumbers(o.Endorsements, at+"/EndorsementPartyIds")...)
}

func (c *checker) partyNumbers(ids []ID, at string) (out []int) {
	for i, id := range ids {
		if c.ref(c.ix.parties, id, pointer(at, i)) {
			out = append(out, c.parties[id])
		}
	}
	return out
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + " / " + b
}

// controls resolves the contests that are controlled by others: each by at most
// one straight-party contest and one that switches it on, and none that controls
// others itself.
func (c *checker) controls() {
	controlled := map[[2]int]bool{}
	for i, contest := range c.def.Elections[0].Contests {
		for j, id := range Controls(contest) {
			at := pointer(pointer("/Election/0/Contest", i)+"/ControlledContestIds", j)
			n, ok := c.ix.contests[id]
			how := [2]int{n, 0}
			if c.out.Contests[i].Kind == model.StraightParty {
				how[1] = 1
			}
			switch {
			case !ok:
				c.ref(c.ix.contests, id, at)
			case c.out.Contests[n].Kind >= model.StraightParty:
				c.bad(at, "control-chain", "a contest that controls others cannot be controlled here")
			case controlled[how]:
				c.bad(at, "control-twice", "another contest controls this one already in the same way")
			case !c.reachable(&c.out.Contests[i], &c.out.Contests[n]):
				c.bad(at, "control-never", "no option of the controlling contest can ever reach this one")
			case c.out.Contests[i].Kind == model.StraightParty && (c.out.Contests[n].Kind != model.Candidates || c.out.Contests[n].Ranks > 0 || c.out.Contests[n].Cumulative):
				c.bad(at, "control-kind", "a straight-party choice can select only candidates that are marked once")
			default:
				controlled[how] = true
				c.out.Contests[i].Controls = append(c.out.Contests[i].Controls, n)
			}
		}
	}
}

// reachable says whether some option of a controlling contest makes the
// controlled one count. A straight-party contest only adds votes.
func (c *checker) reachable(by, to *model.Contest) bool {
	for _, o := range by.Options {
		switch by.Kind {
		case model.PartyPreference:
			for _, p := range o.Parties {
				if slices.Contains(to.Parties, p) {
					return true
				}
			}
		case model.Activation:
			if o.Activates {
				return true
			}
		default:
			return true
		}
	}
	return false
}
