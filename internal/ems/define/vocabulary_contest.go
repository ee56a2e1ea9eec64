package define

import (
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

// The words for the classes of contests.
const (
	candidateKind  = "candidate"
	measureKind    = "measure"
	retentionKind  = "retention"
	partyKind      = "party"
	straightKind   = "straight-party"
	preferenceKind = "party-preference"
	activationKind = "activation"
)

func kindOf(c election.Contest) string {
	switch c.(type) {
	case *election.CandidateContest:
		return candidateKind
	case *election.BallotMeasureContest:
		return measureKind
	case *election.RetentionContest:
		return retentionKind
	case *election.PartyContest:
		return partyKind
	case *election.StraightPartyContest:
		return straightKind
	case *election.PartyPreferenceContest:
		return preferenceKind
	case *election.ActivationContest:
		return activationKind
	}
	return ""
}

func newContest(kind string) (election.Contest, error) {
	switch kind {
	case candidateKind:
		return &election.CandidateContest{VotesAllowed: 1}, nil
	case measureKind:
		return &election.BallotMeasureContest{}, nil
	case retentionKind:
		return &election.RetentionContest{}, nil
	case partyKind:
		return &election.PartyContest{}, nil
	case straightKind:
		return &election.StraightPartyContest{Ruleset: election.Exclusive}, nil
	case preferenceKind:
		return &election.PartyPreferenceContest{}, nil
	case activationKind:
		return &election.ActivationContest{}, nil
	}
	return nil, faultf("value", "the type %q of a contest is none of: candidate, measure, retention, party, straight-party, party-preference, activation", kind)
}

func contestTable() *class {
	return &class{name: contestClass, file: "contests.csv", key: "id", must: true,
		ids: func(d *draft) []ID {
			return idsOf(d.election().Contests, func(c *election.Contest) ID { return (*c).Base().ID })
		},
		create: func(d *draft, id ID, cells map[string]string) error {
			c, err := newContest(cells["type"])
			if err != nil {
				return err
			}
			c.Base().ID = id
			d.election().Contests = append(d.election().Contests, c)
			d.touched[id] = true
			return nil
		},
		remove: func(d *draft, id ID) {
			d.election().Contests = without(d.election().Contests, func(c *election.Contest) bool { return (*c).Base().ID == id })
		},
		columns: slices.Concat(contestColumns(), candidateContestColumns(), measureColumns(),
			identifierColumns(basePart(func(b *election.ContestBase) *[]election.ExternalID { return &b.ExternalIDs }))),
	}
}

// contestColumns are those of all contests.
func contestColumns() []column {
	return []column{
		{name: "type", member: "@type", need: true, fixed: true,
			get: func(d *draft, id ID) string { return kindOf(d.contest(id)) },
			set: func(*draft, ID, string) error { return nil }},
		textColumn("title", "BallotTitle", basePart(func(b *election.ContestBase) *election.Text { return &b.BallotTitle })),
		textColumn("subtitle", "BallotSubTitle", basePart(func(b *election.ContestBase) *election.Text { return &b.BallotSubTitle })),
		stringColumn("name", "Name", basePart(func(b *election.ContestBase) *string { return &b.Name })),
		stringColumn("abbreviation", "Abbreviation", basePart(func(b *election.ContestBase) *string { return &b.Abbreviation })),
		refColumn("district", "ElectionDistrictId", unitClass, basePart(func(b *election.ContestBase) *ID { return &b.DistrictID })).needed(),
		numberColumn("order", "SequenceOrder", basePart(func(b *election.ContestBase) **int64 { return &b.SequenceOrder })),
		wordColumn("variation", "VoteVariation", basePart(func(b *election.ContestBase) *election.VoteVariation { return &b.VoteVariation }),
			"approval", "borda", "cumulative", "majority", "n-of-m", "other", "plurality", "proportional", "range", "rcv", "super-majority"),
		stringColumn("other_variation", "OtherVoteVariation", basePart(func(b *election.ContestBase) *string { return &b.OtherVoteVariation })),
		boolColumn("rotation", "HasRotation", basePart(func(b *election.ContestBase) *bool { return &b.HasRotation })),
		numberColumn("sub_units", "TotalSubUnits", basePart(func(b *election.ContestBase) **int64 { return &b.TotalSubUnits })),
		refsColumn("controls", "ControlledContestIds", contestClass, controlled),
		wordColumn("ruleset", "StraightPartyRuleset", rules(func(c *election.StraightPartyContest) *election.StraightPartyRuleset { return &c.Ruleset }), "exclusive", "inclusive", "other"),
		stringColumn("other_ruleset", "OtherStraightPartyRuleset", rules(func(c *election.StraightPartyContest) *string { return &c.OtherRuleset })),
		refColumn("candidate", "CandidateId", candidateClass, subject),
		writeInsColumn(),
	}
}

func basePart[T any](p func(*election.ContestBase) *T) place[T] {
	return func(d *draft, id ID) *T {
		if c := d.contest(id); c != nil {
			return p(c.Base())
		}
		return nil
	}
}

// classPart is a value of one class of contests.
func classPart[C election.Contest, T any](p func(C) *T) place[T] {
	return func(d *draft, id ID) *T {
		if c, ok := d.contest(id).(C); ok {
			return p(c)
		}
		return nil
	}
}

func rules[T any](p func(*election.StraightPartyContest) *T) place[T] { return classPart(p) }

func controlled(d *draft, id ID) *[]ID { return controlledBy(d.contest(id)) }

func controlledBy(c election.Contest) *[]ID {
	switch c := c.(type) {
	case *election.StraightPartyContest:
		return &c.Controlled
	case *election.PartyPreferenceContest:
		return &c.Controlled
	case *election.ActivationContest:
		return &c.Controlled
	}
	return nil
}

// subject is the candidate that a contest is about.
func subject(d *draft, id ID) *ID { return subjectOf(d.contest(id)) }

func subjectOf(c election.Contest) *ID {
	switch c := c.(type) {
	case *election.RetentionContest:
		return &c.CandidateID
	case *election.ActivationContest:
		return &c.CandidateID
	}
	return nil
}

func candidateContestColumns() []column {
	of := func(p func(*election.CandidateContest) **int64) place[*int64] { return classPart(p) }
	return []column{
		votesColumn(),
		numberColumn("elected", "NumberElected", of(func(c *election.CandidateContest) **int64 { return &c.Elected })),
		numberColumn("runoff", "NumberRunoff", of(func(c *election.CandidateContest) **int64 { return &c.Runoff })),
		numberColumn("ranks", "RanksAllowed", of(func(c *election.CandidateContest) **int64 { return &c.RanksAllowed })),
		officeColumn(),
		refsColumn("primary_party", "PrimaryPartyIds", partyClass, classPart(func(c *election.CandidateContest) *[]ID { return &c.PrimaryParties })),
	}
}

// officeColumn is a list where candidates stand, and one office where somebody
// stays in it.
func officeColumn() column {
	many := refsColumn("office", "OfficeIds OfficeId", officeClass, classPart(func(c *election.CandidateContest) *[]ID { return &c.Offices }))
	one := refColumn("office", "OfficeId", officeClass, classPart(func(c *election.RetentionContest) *ID { return &c.OfficeID }))
	out := many
	out.get = func(d *draft, id ID) string { return many.get(d, id) + one.get(d, id) }
	out.set = func(d *draft, id ID, value string) error {
		if _, ok := d.contest(id).(*election.RetentionContest); ok {
			return one.set(d, id, value)
		}
		return many.set(d, id, value)
	}
	return out
}

// votesColumn is 1 where the cell is empty.
func votesColumn() column {
	c := countColumn("votes_allowed", "VotesAllowed", classPart(func(c *election.CandidateContest) *int64 { return &c.VotesAllowed }))
	set := c.set
	c.set = func(d *draft, id ID, value string) error {
		if _, ok := d.contest(id).(*election.CandidateContest); ok && value == "" {
			value = "1"
		}
		return set(d, id, value)
	}
	return c
}

func measureColumns() []column {
	text := func(p func(*election.Measure) *election.Text) place[election.Text] { return measurePart(p) }
	word := func(p func(*election.Measure) *string) place[string] { return measurePart(p) }
	return []column{
		wordColumn("measure_type", "Type", word(func(m *election.Measure) *string { return &m.Type }), "ballot-measure", "initiative", "other", "recall", "referendum"),
		stringColumn("measure_other_type", "OtherType", word(func(m *election.Measure) *string { return &m.OtherType })),
		textColumn("threshold", "PassageThreshold", text(func(m *election.Measure) *election.Text { return &m.PassageThreshold })),
		textColumn("text", "FullText", text(func(m *election.Measure) *election.Text { return &m.FullText })),
		textColumn("summary", "SummaryText", summary),
		textColumn("pro", "ProStatement", text(func(m *election.Measure) *election.Text { return &m.ProStatement })),
		textColumn("con", "ConStatement", text(func(m *election.Measure) *election.Text { return &m.ConStatement })),
		textColumn("abstaining", "EffectOfAbstain", text(func(m *election.Measure) *election.Text { return &m.EffectOfAbstain })),
	}
}

func measureOf(c election.Contest) *election.Measure {
	switch c := c.(type) {
	case *election.BallotMeasureContest:
		return &c.Measure
	case *election.RetentionContest:
		return &c.Measure
	}
	return nil
}

func measurePart[T any](p func(*election.Measure) *T) place[T] {
	return func(d *draft, id ID) *T {
		if m := measureOf(d.contest(id)); m != nil {
			return p(m)
		}
		return nil
	}
}

func summary(d *draft, id ID) *election.Text {
	if c, ok := d.contest(id).(*election.ActivationContest); ok {
		return &c.SummaryText
	}
	if m := measureOf(d.contest(id)); m != nil {
		return &m.SummaryText
	}
	return nil
}

func joinWords(list []string) string { return strings.Join(list, " ") }
