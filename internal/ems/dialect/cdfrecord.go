package dialect

import (
	"strings"
)

// cdfReport is one CastVoteRecordReport as VotingWorks writes it: lists, and no
// or one record. Members of the lists that are not known are a deviation, among
// the votes they are refused.
type cdfReport struct {
	doc       *document
	lists     *cdfLists
	against   *cdfLists // what records refer to; nil when there may be none
	generated string
	ballots   []*Ballot
	marks     int
}

func (r *cdfReport) read() error {
	d := r.doc
	return d.object(func(member string) error {
		switch member {
		case "GeneratedDate":
			return d.text(&r.generated)
		case "OtherReportType":
			kind := ""
			err := d.text(&kind)
			r.lists.test = kind == "test"
			return err
		case "Party":
			return d.list(func() error { return r.lists.named(d, r.lists.parties) })
		case "GpUnit":
			return d.list(func() error { return r.lists.named(d, r.lists.units) })
		case "Election":
			return d.list(func() error { return r.lists.readElection(d) })
		case "CVR":
			return d.list(r.record)
		case "@type", "Version", "ReportType", "ReportGeneratingDeviceIds", "ReportingDevice", "Notes":
			return d.skip()
		}
		return d.ignore()
	})
}

// cdfRecord is one CVR. Members may come in any order.
type cdfRecord struct {
	unique, election, current, device, batch, sheet, style, unit string
	parties                                                      []string
	snapshots                                                    []cdfSnapshot
}

type cdfSnapshot struct {
	Version
	id, method string
}

func (r *cdfReport) record() error {
	if r.against == nil || len(r.ballots) > 0 {
		return r.doc.broken(ruleRecordID, "no record may stand here: each has a file of its own")
	}
	c := &cdfRecord{}
	if err := r.doc.object(func(member string) error { return r.member(c, member) }); err != nil {
		return err
	}
	b, err := r.ballot(c)
	r.ballots = append(r.ballots, b)
	return err
}

func (r *cdfReport) member(c *cdfRecord, name string) error {
	d := r.doc
	for _, x := range []into{{"UniqueId", &c.unique}, {"ElectionId", &c.election}, {"CurrentSnapshotId", &c.current}, {"CreatingDeviceId", &c.device},
		{"BatchId", &c.batch}, {"BallotSheetId", &c.sheet}, {"BallotStyleId", &c.style}, {"BallotStyleUnitId", &c.unit}} {
		if name == x.name {
			return d.text(x.to)
		}
	}
	switch name {
	case "PartyIds":
		return d.list(func() error {
			id := ""
			err := d.text(&id)
			c.parties = append(c.parties, id)
			return err
		})
	case "CVRSnapshot":
		return d.list(func() error { return r.snapshot(c) })
	case "@type", "BatchSequenceId", "BallotImage", "BallotAuditId", "BallotPrePrintedId":
		return d.skip()
	}
	return d.unknown()
}

// ballot resolves what a record refers to.
func (r *cdfReport) ballot(c *cdfRecord) (*Ballot, error) {
	d, l := r.doc, r.against
	if c.unique == "" || c.current == "" || len(c.snapshots) == 0 {
		return nil, d.broken(ruleMemberMissing, "a record must have UniqueId, CurrentSnapshotId and CVRSnapshot")
	}
	if c.election != l.election.ID {
		return nil, d.broken(ruleReference, "ElectionId is not the export's election")
	}
	b := &Ballot{ID: c.unique, Device: c.device, Batch: c.batch, Sheet: c.sheet, Style: Label{ID: c.style}}
	if c.unit != "" {
		name, ok := l.units[c.unit]
		if !ok {
			return nil, d.broken(ruleReference, "BallotStyleUnitId is no unit of the export")
		}
		b.Precinct = Label{Name: name, ID: c.unit}
	}
	if len(c.parties) == 1 {
		name, ok := l.parties[c.parties[0]]
		if !ok {
			return nil, d.broken(ruleReference, "PartyIds name no party of the export")
		}
		b.Party = Label{Name: name, ID: c.parties[0]}
	}
	for _, s := range c.snapshots {
		s.Current = s.id == c.current
		if s.method != "" && (s.Current || b.Method.Name == "") {
			b.Method.Name = s.method
		}
		b.Versions = append(b.Versions, s.Version)
	}
	return b, nil
}

func (r *cdfReport) snapshot(c *cdfRecord) error {
	d := r.doc
	s := cdfSnapshot{}
	err := d.object(func(member string) error {
		switch member {
		case "@id":
			return d.text(&s.id)
		case "Type":
			kind := ""
			err := d.text(&kind)
			s.Kind = VersionKind(kind)
			return err
		case "OtherStatus":
			other := ""
			if err := d.text(&other); err != nil {
				return err
			}
			var err error
			s.method, err = r.method(other)
			return err
		case "CVRContest":
			return d.list(func() error { return r.contest(&s.Version) })
		case "@type", "Status", "Annotation":
			return d.skip()
		}
		return d.unknown()
	})
	if err != nil {
		return err
	}
	if s.Kind != Original && s.Kind != Interpreted && s.Kind != Modified {
		return d.broken(ruleType, "Type must be original, interpreted or modified")
	}
	c.snapshots = append(c.snapshots, s)
	return nil
}

// method reads the ballot's type, which the vendor writes as JSON into a text.
func (r *cdfReport) method(other string) (string, error) {
	d, err := newDocument(strings.NewReader(other), r.doc.where(), r.doc.notes)
	if err != nil {
		return "", err
	}
	method := ""
	err = d.object(func(member string) error {
		if member == "ballotType" {
			return d.text(&method)
		}
		return d.ignore()
	})
	if err == nil {
		err = d.end()
	}
	return method, err
}

func (r *cdfReport) contest(v *Version) error {
	d := r.doc
	c := cdfMarks{over: -1, under: -1}
	err := d.object(func(member string) error {
		switch member {
		case "ContestId":
			return d.text(&c.id)
		case "Overvotes":
			return d.integer(&c.over)
		case "Undervotes":
			return d.integer(&c.under)
		case "Status":
			return d.list(func() error { return c.status(d) })
		case "CVRContestSelection":
			return d.list(func() error { return r.selection(&c) })
		case "@type", "WriteIns", "OtherStatus":
			return d.skip()
		}
		return d.unknown()
	})
	if err != nil {
		return err
	}
	k, ok := r.against.contestAt[c.id]
	if !ok {
		return d.broken(ruleReference, "ContestId is no contest of the export")
	}
	contest := r.against.contests[k]
	m := Marks{Contest: k, Overvoted: c.over > 0 || c.overvoted, Undervoted: c.under > 0 || c.undervoted}
	for _, s := range c.marks {
		if m.Marks, ok = s.append(m.Marks, contest); !ok {
			return d.broken(ruleReference, "a ContestSelectionId is no selection of the contest in the export")
		}
	}
	if c.over < 0 || c.under < 0 {
		m.judge(contest.Contest)
	}
	v.Contests = append(v.Contests, m)
	return nil
}

// cdfMarks is one CVRContest.
type cdfMarks struct {
	id                    string
	over, under           int
	overvoted, undervoted bool
	marks                 []cdfMark
}

type cdfMark struct {
	id string
	Mark
}

func (m cdfMark) append(to []Mark, c cdfContest) ([]Mark, bool) {
	i, ok := c.at[m.id]
	m.Choice = i
	return append(to, m.Mark), ok
}

func (c *cdfMarks) status(d *document) error {
	s := ""
	err := d.text(&s)
	c.overvoted = c.overvoted || s == "overvoted"
	c.undervoted = c.undervoted || s == "undervoted"
	return err
}

func (r *cdfReport) selection(c *cdfMarks) error {
	d := r.doc
	id, rank := "", 0
	var found []Mark
	err := d.object(func(member string) error {
		switch member {
		case "ContestSelectionId":
			return d.text(&id)
		case "Rank":
			return d.integer(&rank)
		case "SelectionPosition":
			return d.list(func() error {
				m, ok, err := r.position()
				if ok {
					found = append(found, m)
				}
				return err
			})
		case "@type", "OptionPosition", "Status", "OtherStatus", "TotalNumberVotes":
			return d.skip()
		}
		return d.unknown()
	})
	for _, m := range found {
		if m.Rank == 0 {
			m.Rank = rank
		}
		if m.Rank < 0 || m.Rank > maxVotes {
			return d.broken(ruleType, "a Rank must be 1 to %d", maxVotes)
		}
		c.marks = append(c.marks, cdfMark{id, m})
	}
	return err
}

// position reads one position, and says whether there is a mark to report: one
// that is indicated, or that somebody has to judge.
func (r *cdfReport) position() (m Mark, ok bool, err error) {
	d := r.doc
	if r.marks++; r.marks > maxMarks {
		return m, false, over(d.where(), "more than %d marks in one record", maxMarks)
	}
	indication, allocable := "", "yes" // absent IsAllocable means yes
	m.Votes = -1
	err = d.object(func(member string) error {
		switch member {
		case "HasIndication":
			return d.text(&indication)
		case "IsAllocable":
			return d.text(&allocable)
		case "NumberVotes":
			return d.integer(&m.Votes)
		case "Rank":
			return d.integer(&m.Rank)
		case "CVRWriteIn":
			return r.writeIn(&m)
		case "@type", "Status", "OtherStatus", "Position", "MarkMetricValue", "Code":
			return d.skip()
		}
		return d.unknown()
	})
	if err != nil {
		return m, false, err
	}
	for _, answer := range []string{indication, allocable} {
		if answer != "yes" && answer != "no" && answer != "unknown" {
			return m, false, d.broken(ruleType, "HasIndication and IsAllocable must be yes, no or unknown")
		}
	}
	if m.Votes < 0 || m.Votes > maxVotes {
		return m, false, d.broken(ruleType, "NumberVotes must be 0 to %d", maxVotes)
	}
	m.Ambiguous = indication == "unknown" || allocable == "unknown"
	m.NotCounted = indication != "yes" || allocable == "no"
	return m, indication != "no" || m.Ambiguous, nil
}

// writeIn reads the name that was written.
func (r *cdfReport) writeIn(m *Mark) error {
	return r.doc.object(func(member string) error {
		switch member {
		case "Text":
			return r.doc.text(&m.WriteIn)
		case "@type", "WriteInImage":
			return r.doc.skip()
		}
		return r.doc.unknown()
	})
}
