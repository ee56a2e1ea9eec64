package clarity

// check notes what does not add up in the element that ends.
func (d *reader) check(name string) {
	switch name {
	case "VoterTurnout", "ElectionVoterTurnout":
		d.checkTurnout()
	case "Choice":
		d.checkChoice()
	case "VoteType":
		list := *d.voteTypes(d.stack[len(d.stack)-2].name)
		d.checkVoteType(list[len(list)-1])
	}
}

// checkTurnout: many files have no registered voters by precinct, and write 0.
func (d *reader) checkTurnout() {
	var sum Turnout
	for _, u := range d.report.Units {
		sum.Registered += u.Registered
		sum.BallotsCast += u.BallotsCast
	}
	whole := d.report.Turnout
	if len(d.report.Units) > 0 && sum.BallotsCast != whole.BallotsCast {
		d.note(RuleTurnout, "%d ballots cast, the units have %d", whole.BallotsCast, sum.BallotsCast)
	}
	if sum.Registered > 0 && sum.Registered != whole.Registered {
		d.note(RuleTurnout, "%d registered voters, the units have %d", whole.Registered, sum.Registered)
	}
}

func (d *reader) checkChoice() {
	c := d.last()
	ch := c.Choices[len(c.Choices)-1]
	sum := 0
	for _, v := range ch.VoteTypes {
		sum += v.Votes
	}
	if len(ch.VoteTypes) > 0 && sum != ch.Total {
		d.note(RuleChoiceSum, "%d votes in total, the vote types have %d", ch.Total, sum)
	}
}

func (d *reader) checkVoteType(v VoteType) {
	sum := 0
	for _, c := range v.Counts {
		sum += c.Votes
	}
	if len(v.Counts) > 0 && sum != v.Votes {
		d.note(RuleVoteType, "%d votes, the units have %d", v.Votes, sum)
	}
}

func (d *reader) note(rule Rule, detail string, args ...any) {
	if len(d.problems) < maxProblem {
		d.problems = append(d.problems, d.problem(rule, detail, args...))
	}
}
