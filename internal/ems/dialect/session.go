package dialect

import (
	"cmp"
	"strconv"
)

// session is one record of a Dominion JSON export. Members may come in any
// order.
type session struct {
	d     *dominionJSON
	doc   *document
	marks int

	device, batch, record, unique string
	group                         int
	hasGroup                      bool
	versions                      []sessionVersion
}

type sessionVersion struct {
	Version
	portion, kind       int
	hasPortion, hasType bool
	cards, paper        int
}

func (s *session) read() (*Ballot, error) {
	if err := s.doc.object(s.member); err != nil {
		return nil, err
	}
	if s.device == "" || s.batch == "" || s.record == "" || len(s.versions) == 0 {
		return nil, s.doc.broken(ruleMemberMissing, "a session must have TabulatorId, BatchId, RecordId and Original")
	}
	b := &Ballot{Device: s.device, Batch: s.batch, ImprintedID: s.unique}
	var rule Rule
	if b.ID, rule = dominionID(s.device, s.batch, s.record); !s.doc.notes.again(rule) {
		s.doc.notes.add(s.doc.where(), rule)
	}
	if s.hasGroup {
		var ok bool
		if b.Method, ok = s.d.groups[s.group]; !ok {
			return nil, s.doc.broken(ruleReference, "CountingGroupId is no entry of %s", groupManifest)
		}
	}
	for _, v := range s.versions {
		if v.Current {
			if err := s.place(b, v); err != nil {
				return nil, err
			}
		}
		b.Versions = append(b.Versions, v.Version)
	}
	return b, nil
}

// place takes precinct, style and sheet of the version that counts.
func (s *session) place(b *Ballot, v sessionVersion) error {
	var ok bool
	if v.hasPortion {
		if b.Precinct, ok = s.d.portions[v.portion]; !ok {
			return s.doc.broken(ruleReference, "PrecinctPortionId is no entry of %s", portionManifest)
		}
	}
	if v.hasType {
		if b.Style, ok = s.d.types[v.kind]; !ok {
			return s.doc.broken(ruleReference, "BallotTypeId is no entry of %s", typeManifest)
		}
	}
	if v.cards == 1 {
		b.Sheet = strconv.Itoa(v.paper + 1)
	}
	return nil
}

func (s *session) member(name string) error {
	switch name {
	case "TabulatorId":
		return s.doc.id(&s.device)
	case "BatchId":
		return s.doc.id(&s.batch)
	case "RecordId":
		return s.doc.id(&s.record)
	case "CountingGroupId":
		s.hasGroup = true
		return s.doc.integer(&s.group)
	case "UniqueVotingIdentifier":
		if s.doc.null() {
			return nil
		}
		return s.doc.id(&s.unique)
	case "Original":
		return s.version(Original)
	case "Modified":
		if s.doc.null() {
			return nil
		}
		return s.version(Modified)
	case "ImageMask", "SessionType", "VotingSessionIdentifier":
		return s.doc.skip()
	}
	return s.doc.unknown()
}

func (s *session) version(kind VersionKind) error {
	v := sessionVersion{Version: Version{Kind: kind}}
	said := false
	err := s.doc.object(func(name string) error {
		switch name {
		case "IsCurrent":
			said = true
			return s.doc.boolean(&v.Current)
		case "PrecinctPortionId":
			v.hasPortion = true
			return s.doc.integer(&v.portion)
		case "BallotTypeId":
			v.hasType = true
			return s.doc.integer(&v.kind)
		case "Cards":
			return s.doc.list(func() error { return s.card(&v) })
		case "Contests": // before 5.10
			return s.doc.list(func() error { return s.contest(&v) })
		}
		return s.doc.unknown()
	})
	if err != nil {
		return err
	}
	if !said {
		return s.doc.broken(ruleMemberMissing, "a version must have IsCurrent")
	}
	s.versions = append(s.versions, v)
	return nil
}

func (s *session) card(v *sessionVersion) error {
	v.cards++
	return s.doc.object(func(name string) error {
		switch name {
		case "PaperIndex":
			return s.doc.integer(&v.paper)
		case "Contests":
			return s.doc.list(func() error { return s.contest(v) })
		case "Id", "KeyInId", "OutstackConditionIds":
			return s.doc.skip()
		}
		return s.doc.unknown()
	})
}

func (s *session) contest(v *sessionVersion) error {
	id, overvotes, undervotes := 0, -1, -1
	hasID := false
	var marks []sessionMark
	err := s.doc.object(func(name string) error {
		switch name {
		case "Id":
			hasID = true
			return s.doc.integer(&id)
		case "Overvotes":
			return s.doc.integer(&overvotes)
		case "Undervotes":
			return s.doc.integer(&undervotes)
		case "Marks":
			return s.doc.list(func() error {
				m, err := s.mark()
				marks = append(marks, m)
				return err
			})
		case "ManifestationId", "OutstackConditionIds":
			return s.doc.skip()
		}
		return s.doc.unknown()
	})
	if err != nil {
		return err
	}
	if !hasID {
		return s.doc.broken(ruleMemberMissing, "a contest must have Id")
	}
	k, ok := s.d.contests[id]
	if !ok {
		return s.doc.broken(ruleReference, "Id is no contest of %s", contestManifest)
	}
	m := Marks{Contest: k, Overvoted: overvotes > 0, Undervoted: undervotes > 0}
	if m.Marks, err = s.resolve(k, marks); err != nil {
		return err
	}
	if overvotes < 0 || undervotes < 0 {
		m.judge(s.d.cat.Contests[k])
	}
	v.Contests = append(v.Contests, m)
	return nil
}

type sessionMark struct {
	candidate, rank       int
	ambiguous, vote       bool
	hasCandidate, hasVote bool
	where                 string
}

func (s *session) mark() (sessionMark, error) {
	m := sessionMark{}
	if s.marks++; s.marks > maxMarks {
		return m, over(s.doc.where(), "more than %d marks in one record", maxMarks)
	}
	err := s.doc.object(func(name string) error {
		switch name {
		case "CandidateId":
			m.hasCandidate = true
			return s.doc.integer(&m.candidate)
		case "Rank":
			return s.doc.integer(&m.rank)
		case "IsAmbiguous":
			return s.doc.boolean(&m.ambiguous)
		case "IsVote":
			m.hasVote = true
			return s.doc.boolean(&m.vote)
		case "ManifestationId", "PartyId", "MarkDensity", "WriteinIndex", "WriteinDensity", "OutstackConditionIds":
			return s.doc.skip()
		}
		return s.doc.unknown()
	})
	m.where = s.doc.where()
	if err == nil && (!m.hasCandidate || !m.hasVote || m.rank < 0 || m.rank > maxVotes) {
		err = s.doc.broken(ruleMemberMissing, "a mark must have CandidateId and IsVote, and a Rank up to %d", maxVotes)
	}
	return m, err
}

// resolve finds the choices of a contest's marks.
func (s *session) resolve(contest int, marks []sessionMark) ([]Mark, error) {
	var out []Mark
	for _, m := range marks {
		at, ok := s.d.choices[m.candidate]
		if !ok || at[0] != contest {
			return nil, broken(m.where, ruleReference, "CandidateId is no candidate of the contest in %s", candidateManifest)
		}
		k := Mark{Choice: at[1], Votes: 1, Ambiguous: m.ambiguous, NotCounted: !m.vote}
		if s.d.cat.Contests[contest].Ranks > 0 {
			k.Rank = cmp.Or(m.rank, 1)
		}
		out = append(out, k)
	}
	return out, nil
}
