package cdf

import (
	"context"
	"io"
	"slices"
	"strconv"

	"sallyport/internal/ems/model"
)

// The slots of the classes and members of SP 1500-103 that are read; all else
// is checked against the schema and dropped. Those from electionOpen on belong
// to the report's own lists, those before to its records.
const (
	_ slot = iota
	cvrOpen
	cvrBatch
	cvrDevice
	cvrElection
	cvrSheet
	cvrStyle
	cvrUnit
	cvrUnique
	cvrAudit
	cvrPrePrinted
	cvrCurrent
	cvrParty
	snapOpen
	snapID
	snapType
	contestOpen
	contestID
	contestOver
	contestUnder
	contestWriteIns
	contestStatus
	optionOpen
	optionID
	optionRank
	optionFraction
	posOpen
	posIndication
	posAllocable
	posVotes
	posRank
	posFraction
	writeInOpen
	writeInText
	electionOpen
	electionID
	electionCode
	codeValue
	listContest
	listContestID
	listAllowed
	listOption
	listOptionID
	listWriteIn
	reportOtherType
)

// cvrSlots says where the slots are in the schema.
func cvrSlots() map[string]slot {
	return map[string]slot{
		"CVR": cvrOpen, "CVR.BatchId": cvrBatch, "CVR.CreatingDeviceId": cvrDevice, "CVR.ElectionId": cvrElection,
		"CVR.BallotSheetId": cvrSheet, "CVR.BallotStyleId": cvrStyle, "CVR.BallotStyleUnitId": cvrUnit,
		"CVR.UniqueId": cvrUnique, "CVR.BallotAuditId": cvrAudit, "CVR.BallotPrePrintedId": cvrPrePrinted, "CVR.CurrentSnapshotId": cvrCurrent, "CVR.PartyIds": cvrParty,
		"CVRSnapshot": snapOpen, "CVRSnapshot.@id": snapID, "CVRSnapshot.Type": snapType,
		"CVRContest": contestOpen, "CVRContest.ContestId": contestID, "CVRContest.Overvotes": contestOver,
		"CVRContest.Undervotes": contestUnder, "CVRContest.WriteIns": contestWriteIns, "CVRContest.Status": contestStatus,
		"CVRContestSelection": optionOpen, "CVRContestSelection.ContestSelectionId": optionID,
		"CVRContestSelection.Rank": optionRank, "CVRContestSelection.TotalFractionalVotes": optionFraction,
		"SelectionPosition": posOpen, "SelectionPosition.HasIndication": posIndication,
		"SelectionPosition.IsAllocable": posAllocable, "SelectionPosition.NumberVotes": posVotes,
		"SelectionPosition.Rank": posRank, "SelectionPosition.FractionalVotes": posFraction,
		"CVRWriteIn": writeInOpen, "CVRWriteIn.Text": writeInText,
		"Election": electionOpen, "Election.@id": electionID, "Election.Code": electionCode, "Code.Value": codeValue,
		"Contest": listContest, "CandidateContest": listContest, "BallotMeasureContest": listContest,
		"PartyContest": listContest, "RetentionContest": listContest,
		"Contest.@id": listContestID, "CandidateContest.@id": listContestID, "BallotMeasureContest.@id": listContestID,
		"PartyContest.@id": listContestID, "RetentionContest.@id": listContestID,
		"CandidateContest.VotesAllowed": listAllowed,
		"ContestSelection":              listOption, "CandidateSelection": listOption,
		"BallotMeasureSelection": listOption, "PartySelection": listOption,
		"ContestSelection.@id": listOptionID, "CandidateSelection.@id": listOptionID,
		"BallotMeasureSelection.@id": listOptionID, "PartySelection.@id": listOptionID,
		"CandidateSelection.IsWriteIn":         listWriteIn,
		"CastVoteRecordReport.OtherReportType": reportOtherType,
	}
}

// Want says what a report of cast vote records must belong to.
type Want struct {
	Definition *model.Definition
	ElectionID string
}

// Records reads a CastVoteRecordReport, JSON or XML, and calls each for every
// cast vote record, in the document's order. The ballot is valid only during
// the call. Memory does not grow with the document. Faults are findings:
// content-invalid, wrong-election, or over-limit; they may come after records
// that were good.
func (r *Reader) Records(ctx context.Context, file string, doc io.Reader, want Want, each func(*model.Ballot) error) error {
	_, err := r.ReadRecords(ctx, file, doc, want, ReadOptions{}, each)
	return err
}

// ReadRecords is Records with options; opt.Format is not used. A lenient reader
// returns the deviations that it accepted, also when it fails.
func (r *Reader) ReadRecords(ctx context.Context, file string, doc io.Reader, want Want, opt ReadOptions, each func(*model.Ballot) error) ([]Deviation, error) {
	var lenient *deviations
	if opt.Lenient {
		lenient = &deviations{}
	}
	b := newBudget(file, doc)
	enc, src := detect(file, b, opt.Encoding, lenient)
	c := newChecker(file, r.cvr, b)
	c.lenient, c.stream = lenient, r.cvr.classes["CVR"]
	s := newRecords(ctx, c, want, each)
	c.sink = s
	var err error
	if enc == XML {
		err = newXMLWalker(c, src).document()
	} else {
		err = newWalker(c, src).document()
	}
	if err == nil {
		err = s.finish()
	}
	return lenient.found(), err
}

// records is the sink of a report. What a record refers to is checked against
// the definition at once, and against the report's own lists at the end,
// because a report may list its records first.
type records struct {
	ctx  context.Context
	c    *checker
	want Want
	each func(*model.Ballot) error

	contests map[string]int
	options  []map[string]int // for each contest
	styles   map[string]int
	units    map[string]int

	count int // records so far
	rec   record
	// unitSupplied: the current record does not name its unit itself.
	unitSupplied bool
	ballot       model.Ballot
	votes        []int64

	used usage
	list lists
}

func newRecords(ctx context.Context, c *checker, want Want, each func(*model.Ballot) error) *records {
	s := &records{ctx: ctx, c: c, want: want, each: each, contests: map[string]int{}, styles: map[string]int{}, units: map[string]int{}, used: newUsage(want.Definition)}
	most := 0
	for i := range want.Definition.Contests {
		contest := &want.Definition.Contests[i]
		s.contests[contest.ID] = i
		m := map[string]int{}
		for j := range contest.Options {
			m[contest.Options[j].ID] = j
		}
		s.options = append(s.options, m)
		most = max(most, len(contest.Options))
	}
	for i, st := range want.Definition.Styles {
		for _, id := range st.IDs {
			s.styles[id] = i
		}
	}
	for i, p := range want.Definition.Precincts {
		s.units[p.ID] = i
	}
	s.votes = make([]int64, most)
	return s
}

func (s *records) enter(at slot) error {
	switch at {
	case cvrOpen:
		if s.count%1024 == 0 {
			if err := s.ctx.Err(); err != nil {
				return err
			}
		}
		s.rec.reset()
		s.unitSupplied = false
	case snapOpen:
		s.rec.snapshot()
	case contestOpen:
		s.rec.contest()
	case optionOpen:
		s.rec.option()
	case posOpen:
		s.rec.position()
	case writeInOpen:
		s.rec.lastPosition().writeIn = true
	default:
		s.list.enter(at)
	}
	return nil
}

func (s *records) leave(at slot) error {
	if at == cvrOpen {
		err := s.record()
		s.count++
		return err
	}
	return s.list.leave(at, s)
}

func (s *records) value(at slot, text []byte) {
	if at >= electionOpen {
		s.list.value(at, text)
	} else {
		s.rec.value(at, text)
	}
}

// bad is a finding about the current record.
func (s *records) bad(pointer, rule, format string, args ...any) error {
	return s.c.brokenAt("/CVR/"+strconv.Itoa(s.count)+pointer, rule, format, args...)
}

// record checks one record that was read to its end, and hands it on.
func (s *records) record() error {
	r, b := &s.rec, &s.ballot
	b.Reset()
	if s.c.lenient != nil {
		if err := s.supply(); err != nil {
			return err
		}
	}
	if len(r.unique.b) == 0 {
		return s.bad("", "record-id", "the record must have a UniqueId, so that no ballot is counted twice")
	}
	for _, f := range []*field{&r.unique, &r.batch, &r.device, &r.sheet} {
		if len(f.b) > maxName {
			return s.bad("", "record-name", "an identifier has more than %d bytes", maxName)
		}
		if badCharacter(f.b) {
			return s.bad("", "record-name", "an identifier has control characters")
		}
	}
	var ok bool
	if b.Style, ok = s.styles[string(r.style.b)]; !ok {
		return s.bad("/BallotStyleId", "record-style", "the record must name a ballot style of the definition")
	}
	if b.Precinct, ok = s.units[string(r.unit.b)]; !ok {
		return s.bad("/BallotStyleUnitId", "record-unit", "the record must name a reporting unit in which the definition has ballots")
	}
	style := &s.want.Definition.Styles[b.Style]
	if !slices.Contains(style.Precincts, b.Precinct) {
		return s.bad("/BallotStyleUnitId", "record-style-unit", "the ballot style is not used in this reporting unit")
	}
	b.ID, b.Batch, b.Device, b.Sheet = string(r.unique.b), s.used.intern(r.batch.b), s.used.intern(r.device.b), s.used.intern(r.sheet.b)
	b.Current = -1
	for i := range r.snaps {
		if err := s.snapshot(b, style, i); err != nil {
			return err
		}
	}
	if b.Current < 0 {
		return s.bad("/CurrentSnapshotId", "record-current", "no snapshot of this record has this @id")
	}
	if err := s.counts(b); err != nil {
		return err
	}
	if err := s.used.record(s, b); err != nil {
		return err
	}
	return s.each(b)
}

// snapshot checks one snapshot and adds it to b.
func (s *records) snapshot(b *model.Ballot, style *model.Style, i int) error {
	r := &s.rec
	snap := &r.snaps[i]
	at := "/CVRSnapshot/" + strconv.Itoa(i)
	for j := range i {
		if string(r.snaps[j].id.b) == string(snap.id.b) {
			return s.bad(at+"/@id", "snapshot-repeated", "another snapshot of this record has the same @id")
		}
	}
	if string(snap.id.b) == string(r.current.b) {
		b.Current = i
	}
	out := b.AddSnapshot(snap.kind)
	for j := snap.from; j < snap.to; j++ {
		c := &r.contests[j]
		n, ok := s.contests[string(c.id.b)]
		here := func() string { return at + "/CVRContest/" + strconv.Itoa(j-snap.from) }
		if !ok {
			return s.bad(here()+"/ContestId", "record-contest", "the definition has no such contest")
		}
		if !slices.Contains(style.Contests, n) {
			return s.bad(here()+"/ContestId", "record-style-contest", "this contest does not stand on the record's ballot style")
		}
		for k := range out.Contests {
			if out.Contests[k].Contest == n {
				return s.bad(here()+"/ContestId", "record-contest-repeated", "this snapshot lists the contest already")
			}
		}
		if c.over == 0 && c.overvoted || c.over < -1 || c.under < -1 || c.writeIns < -1 {
			return s.bad(here(), "record-counts", "the record's own counts of this contest are impossible")
		}
		m := out.AddMarks(n)
		m.Overvoted = c.over > 0 || c.overvoted
		if err := s.marks(m, c, here); err != nil {
			return err
		}
	}
	return nil
}

// marks checks the positions of one contest and adds them to m.
func (s *records) marks(m *model.Marks, c *recContest, here func() string) error {
	for k := c.from; k < c.to; k++ {
		o := &s.rec.options[k]
		at := func() string { return here() + "/CVRContestSelection/" + strconv.Itoa(k-c.from) }
		n, ok := s.option(m.Contest, o.id.b)
		if !ok {
			return s.bad(at()+"/ContestSelectionId", "record-option", "this must name an option of this contest")
		}
		for l := c.from; l < k; l++ {
			if string(s.rec.options[l].id.b) == string(o.id.b) {
				return s.bad(at()+"/ContestSelectionId", "record-option-repeated", "this contest lists the option already")
			}
		}
		if o.fraction || o.rank > 1 || o.rank < 0 {
			return s.bad(at(), "variation-unsupported", "ranked and fractional votes cannot be tallied here")
		}
		for l := o.from; l < o.to; l++ {
			p := &s.rec.positions[l]
			here := func() string { return at() + "/SelectionPosition/" + strconv.Itoa(l-o.from) }
			if p.votes < 0 || p.votes > model.MaxVotes {
				return s.bad(here()+"/NumberVotes", "record-votes", "the number of votes must be between 0 and %d", model.MaxVotes)
			}
			if p.fraction || p.rank > 1 || p.rank < 0 {
				return s.bad(here(), "variation-unsupported", "ranked and fractional votes cannot be tallied here")
			}
			if p.writeIn && !s.want.Definition.Contests[m.Contest].Options[n].WriteIn {
				return s.bad(here()+"/CVRWriteIn", "record-write-in", "a name is written in at an option that is not a write-in")
			}
			if len(p.text.b) > maxName || badCharacter(p.text.b) {
				return s.bad(here()+"/CVRWriteIn/Text", "record-name", "a written name has more than %d bytes, or control characters", maxName)
			}
			m.Positions = append(m.Positions, model.Position{Option: n, Indicated: p.indicated, Allocable: p.allocable,
				Votes: int(p.votes), WriteIn: p.writeIn, Text: string(p.text.b)})
		}
	}
	return nil
}

// option returns the number of an option of a contest. Where options share
// identifiers, the definition may tell them apart as a lenient document does.
func (s *records) option(contest int, id []byte) (int, bool) {
	n, ok := s.options[contest][string(id)]
	if !ok && s.c.lenient != nil {
		n, ok = s.options[contest][s.want.Definition.Contests[contest].ID+"/"+string(id)]
	}
	return n, ok
}

// counts applies the vote rule to the current snapshot and compares the
// outcome with what the record itself says.
func (s *records) counts(b *model.Ballot) error {
	snap := &s.rec.snaps[b.Current]
	marks := b.Snapshots[b.Current].Contests
	for j := range marks {
		c := &s.want.Definition.Contests[marks[j].Contest]
		votes := s.votes[:len(c.Options)]
		clear(votes)
		out, err := c.Count(&marks[j], votes)
		at := "/CVRSnapshot/" + strconv.Itoa(b.Current) + "/CVRContest/" + strconv.Itoa(j)
		if err != nil {
			return s.bad(at, "record-marks", "%v", err)
		}
		said := &s.rec.contests[snap.from+j]
		over := out.Overvotes > 0
		if said.over == 0 && over ||
			said.under >= 0 && said.under != int64(out.Undervotes) ||
			said.writeIns >= 0 && !over && said.writeIns != int64(out.WriteIns) {
			return s.bad(at, "record-counts", "the record's own counts of over-, undervotes or write-ins do not follow from its marks")
		}
	}
	return nil
}
