package cdf

import (
	"strconv"

	"sallyport/internal/ems/model"
)

// maxName is the most bytes of an identifier or written name that is kept.
const maxName = 256

// field is text of the current record; its memory is reused.
type field struct{ b []byte }

func (f *field) set(b []byte) { f.b = append(f.b[:0], b...) }

// record is one cast vote record as it stands in the document. Members may
// come in any order, so nothing is looked up before its end. Lists are flat
// and refer to ranges of each other; all memory is reused.
type record struct {
	batch, device, election, sheet, style, unit, unique, current, audit, prePrinted field

	parties   []string
	snaps     []recSnapshot
	contests  []recContest
	options   []recOption
	positions []recPosition
}

type recSnapshot struct {
	id       field
	kind     model.SnapshotType
	from, to int // of contests
}

type recContest struct {
	id                    field
	over, under, writeIns int64 // -1: not said; below: impossible
	overvoted             bool
	from, to              int // of options
}

type recOption struct {
	id       field
	rank     int64
	fraction bool
	from, to int // of positions
}

type recPosition struct {
	indicated, allocable model.Answer
	votes, rank          int64
	fraction, writeIn    bool
	text                 field
}

func (r *record) reset() {
	for _, f := range []*field{&r.batch, &r.device, &r.election, &r.sheet, &r.style, &r.unit, &r.unique, &r.current, &r.audit, &r.prePrinted} {
		f.b = f.b[:0]
	}
	r.parties, r.snaps, r.contests, r.options, r.positions = r.parties[:0], r.snaps[:0], r.contests[:0], r.options[:0], r.positions[:0]
}

// another makes s one longer and returns the new element with the memory that
// an earlier record left in it.
func another[T any](s []T) ([]T, *T) {
	if len(s) < cap(s) {
		s = s[:len(s)+1]
	} else {
		var zero T
		s = append(s, zero)
	}
	return s, &s[len(s)-1]
}

func (r *record) snapshot() {
	var x *recSnapshot
	r.snaps, x = another(r.snaps)
	*x = recSnapshot{id: field{x.id.b[:0]}, from: len(r.contests), to: len(r.contests)}
}

func (r *record) contest() {
	var x *recContest
	r.contests, x = another(r.contests)
	*x = recContest{id: field{x.id.b[:0]}, over: -1, under: -1, writeIns: -1, from: len(r.options), to: len(r.options)}
	r.snaps[len(r.snaps)-1].to++
}

func (r *record) option() {
	var x *recOption
	r.options, x = another(r.options)
	*x = recOption{id: field{x.id.b[:0]}, from: len(r.positions), to: len(r.positions)}
	r.contests[len(r.contests)-1].to++
}

func (r *record) position() {
	var x *recPosition
	r.positions, x = another(r.positions)
	*x = recPosition{allocable: model.Yes, text: field{x.text.b[:0]}} // absent IsAllocable means yes
	r.options[len(r.options)-1].to++
}

func (r *record) lastPosition() *recPosition { return &r.positions[len(r.positions)-1] }

// value takes a value of the record; its form was checked against the schema.
func (r *record) value(at slot, text []byte) {
	switch at {
	case cvrBatch:
		r.batch.set(text)
	case cvrDevice:
		r.device.set(text)
	case cvrElection:
		r.election.set(text)
	case cvrSheet:
		r.sheet.set(text)
	case cvrStyle:
		r.style.set(text)
	case cvrUnit:
		r.unit.set(text)
	case cvrUnique:
		r.unique.set(text)
	case cvrAudit:
		r.audit.set(text)
	case cvrPrePrinted:
		r.prePrinted.set(text)
	case cvrCurrent:
		r.current.set(text)
	case cvrParty:
		r.parties = append(r.parties, string(text))
	case snapID:
		r.snaps[len(r.snaps)-1].id.set(text)
	case snapType:
		r.snaps[len(r.snaps)-1].kind = snapshotType(text)
	case contestID:
		r.contests[len(r.contests)-1].id.set(text)
	case contestOver:
		r.contests[len(r.contests)-1].over = said(text)
	case contestUnder:
		r.contests[len(r.contests)-1].under = said(text)
	case contestWriteIns:
		r.contests[len(r.contests)-1].writeIns = said(text)
	case contestStatus:
		if string(text) == "overvoted" {
			r.contests[len(r.contests)-1].overvoted = true
		}
	case optionID:
		r.options[len(r.options)-1].id.set(text)
	case optionRank:
		r.options[len(r.options)-1].rank = integer(text)
	case optionFraction:
		r.options[len(r.options)-1].fraction = true
	default:
		r.lastPosition().value(at, text)
	}
}

func (p *recPosition) value(at slot, text []byte) {
	switch at {
	case posIndication:
		p.indicated = answer(text)
	case posAllocable:
		p.allocable = answer(text)
	case posVotes:
		p.votes = integer(text)
	case posRank:
		p.rank = integer(text)
	case posFraction:
		p.fraction = true
	case writeInText:
		p.text.set(text)
	}
}

func snapshotType(text []byte) model.SnapshotType {
	switch string(text) {
	case "interpreted":
		return model.Interpreted
	case "modified":
		return model.Modified
	}
	return model.Original
}

func answer(text []byte) model.Answer {
	switch string(text) {
	case "yes":
		return model.Yes
	case "unknown":
		return model.Unknown
	}
	return model.No
}

// integer parses an integer that the walker accepted as one.
func integer(text []byte) int64 {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// said is a count that the record states: -1 would mean that it says nothing,
// so every negative number becomes -2.
func said(text []byte) int64 {
	n := integer(text)
	if n < 0 {
		return -2
	}
	return n
}
