package rla

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
)

// CVR is one cast vote record for an audit, of one sheet of paper.
type CVR struct {
	// ID is the random id of the record. It decides the order of an export, and
	// says nothing of when the ballot was cast only if it was drawn at random.
	ID string
	// Tabulator and Batch are spelled as in the manifest.
	Tabulator, Batch string
	// Position is the place of the sheet in its batch, from 1 on, where it is
	// known and is on the paper; 0 where it is not. All records of an export
	// have one, or none.
	Position int
	// Imprinted is what is printed on the sheet; "" when nothing is.
	Imprinted              string
	Group, Precinct, Style string // counting group, precinct, ballot style
	// Contests are the contests on the sheet, also those without a mark.
	Contests []Selection
}

// Selection is what a record has of one contest.
type Selection struct {
	Contest string
	// Choices are the choices marked, each once: more than the contest allows
	// are an overvote, none an undervote.
	Choices []string
}

// Export says what an export of cast vote records is of.
type Export struct {
	Election string
	Contests []Contest
	// Manifest, when it is not nil, must have the batch of each record, and at
	// least as many ballots in it.
	Manifest *Manifest
}

// CVRs are records in the order of an export: ascending by ID, or, where they
// have positions, by tabulator, batch and position ([Sorted] makes that order).
// Each writer refuses another order, so that no other order can leak.
type CVRs = iter.Seq2[CVR, error]

// maxSorted is the most records that [Sorted] holds.
const maxSorted = 1 << 20

// Sorted reads all records into memory and gives them in the order of an
// export. Whoever has them in that order already, as a store can, streams them
// instead.
func Sorted(records CVRs) (CVRs, error) {
	var all []CVR
	for r, err := range records {
		if err != nil {
			return nil, fmt.Errorf("cannot sort the records: %w", err)
		}
		if len(all) == maxSorted {
			return nil, &Problem{File: exported, Rule: RuleLimit, Detail: fmt.Sprintf("more than %d records to sort", maxSorted)}
		}
		all = append(all, r)
	}
	slices.SortFunc(all, CVR.compare)
	return func(yield func(CVR, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}, nil
}

func (r CVR) compare(o CVR) int {
	if r.Position == 0 && o.Position == 0 {
		return cmp.Compare(r.ID, o.ID)
	}
	return cmp.Or(cmp.Compare(r.Tabulator, o.Tabulator), cmp.Compare(r.Batch, o.Batch), cmp.Compare(r.Position, o.Position))
}

// exported is the name that problems of exports carry.
const exported = "the export of cast vote records"

// marks are a checked record as the forms need it.
type marks struct {
	CVR
	number int // of the record in the export, from 1 on
	// position is the record's own, or its place among the records of its batch
	// in the order of their random ids.
	position int
	// chosen has, for each contest of the export, which choices are marked; nil
	// when the contest is not on the sheet.
	chosen [][]bool
}

// imprinted is what names the sheet: what is printed on it, else the place
// where it lies, else the random id.
func (m marks) imprinted() string {
	switch {
	case m.Imprinted != "":
		return m.Imprinted
	case m.CVR.Position > 0:
		return m.Tabulator + "-" + m.Batch + "-" + strconv.Itoa(m.position)
	}
	return m.ID
}

// exporter checks records one by one.
type exporter struct {
	Export
	contest map[string]int
	choice  []map[string]int
	last    CVR
	batches map[[2]string]int // records seen in each batch
	limits  map[[2]string]int // ballots of each batch of the manifest
	records int
}

func (e Export) exporter() (*exporter, error) {
	x := &exporter{Export: e, contest: map[string]int{}, batches: map[[2]string]int{}}
	for i, c := range e.Contests {
		names := map[string]int{}
		for j, ch := range c.Choices {
			names[ch.Name] = j
			if rule, detail := badText(ch.Name, maxCell); rule != "" {
				return nil, x.problem(rule, "a choice of the contest %s: %s", quote(c.Name), detail)
			}
		}
		x.contest[c.Name] = i
		x.choice = append(x.choice, names)
		if rule, detail := badText(c.Name, maxCell); rule != "" {
			return nil, x.problem(rule, "the name of a contest: %s", detail)
		}
		if c.VoteFor < 1 || len(names) == 0 || len(names) != len(c.Choices) {
			return nil, x.problem(RuleCVR, "the contest %s allows no vote, has no choice, or has two of one name", quote(c.Name))
		}
	}
	if len(x.contest) == 0 || len(x.contest) != len(e.Contests) {
		return nil, x.problem(RuleCVR, "there are no contests, or two of one name")
	}
	if rule, detail := badText(e.Election, maxCell); rule != "" {
		return nil, x.problem(rule, "the name of the election: %s", detail)
	}
	x.limits = e.Manifest.limits()
	return x, nil
}

func (m *Manifest) limits() map[[2]string]int {
	if m == nil {
		return nil
	}
	limits := map[[2]string]int{}
	for _, b := range m.Batches {
		limits[[2]string{b.Tabulator, b.Name}] = b.Ballots
	}
	return limits
}

func (x *exporter) problem(rule Rule, detail string, args ...any) *Problem {
	return &Problem{File: exported, Rule: rule, Detail: fmt.Sprintf(detail, args...)}
}

// each checks all records and passes them on.
func (x *exporter) each(records CVRs, write func(marks) error) error {
	for r, err := range records {
		if err != nil {
			return fmt.Errorf("cannot get a record: %w", err)
		}
		m, err := x.check(r)
		if err != nil {
			return err
		}
		if err := write(m); err != nil {
			return err
		}
	}
	if x.records == 0 {
		return x.problem(RuleCVR, "there are no records")
	}
	return nil
}

func (x *exporter) check(r CVR) (marks, error) {
	m := marks{CVR: r, number: x.records + 1, chosen: make([][]bool, len(x.Contests))}
	if err := x.inOrder(r); err != nil {
		return m, err
	}
	for _, s := range []string{r.Tabulator, r.Batch} {
		if rule, detail := badText(s, maxCell); rule != "" {
			return m, x.problem(rule, "the tabulator or batch of record %d: %s", m.number, detail)
		}
	}
	for _, s := range []string{r.ID, r.Imprinted, r.Group, r.Precinct, r.Style} {
		if rule, detail := badText(s, maxCell); s != "" && rule != "" {
			return m, x.problem(rule, "a text of record %d: %s", m.number, detail)
		}
	}
	if err := x.place(&m); err != nil {
		return m, err
	}
	for _, s := range r.Contests {
		if err := x.mark(&m, s); err != nil {
			return m, err
		}
	}
	x.records, x.last = m.number, r
	return m, nil
}

// inOrder refuses an order that could be that of casting.
func (x *exporter) inOrder(r CVR) error {
	switch {
	case r.Position < 0 || r.Position == 0 && r.ID == "":
		return x.problem(RuleCVROrder, "record %d has neither an id nor a position", x.records+1)
	case x.records > 0 && (r.Position == 0) != (x.last.Position == 0):
		return x.problem(RuleCVROrder, "some records have positions and others do not")
	case x.records > 0 && x.last.compare(r) >= 0:
		return x.problem(RuleCVROrder, "record %d does not come after the one before it", x.records+1)
	}
	return nil
}

// place finds the batch and gives the record its position.
func (x *exporter) place(m *marks) error {
	key := [2]string{m.Tabulator, m.Batch}
	x.batches[key]++
	if m.position = m.CVR.Position; m.position == 0 {
		m.position = x.batches[key]
	}
	if x.limits == nil {
		return nil
	}
	ballots, ok := x.limits[key]
	if !ok {
		return x.problem(RuleBatchUnknown, "the manifest has no batch %s of tabulator %s", quote(m.Batch), quote(m.Tabulator))
	}
	if m.position > ballots {
		return x.problem(RuleTooManyBallots, "the batch %s of tabulator %s has a record at position %d; the manifest has %d ballots", quote(m.Batch), quote(m.Tabulator), m.position, ballots)
	}
	return nil
}

// mark notes the choices of one contest. Its errors do not name them.
func (x *exporter) mark(m *marks, s Selection) error {
	i, ok := x.contest[s.Contest]
	if !ok {
		return x.problem(RuleCVR, "record %d has the contest %s, which is not exported", m.number, quote(s.Contest))
	}
	if m.chosen[i] != nil {
		return x.problem(RuleCVR, "record %d has the contest %s twice", m.number, quote(s.Contest))
	}
	m.chosen[i] = make([]bool, len(x.Contests[i].Choices))
	for _, name := range s.Choices {
		j, ok := x.choice[i][name]
		if !ok || m.chosen[i][j] {
			return x.problem(RuleCVR, "record %d has a choice of the contest %s that the contest does not have, or one choice twice", m.number, quote(s.Contest))
		}
		m.chosen[i][j] = true
	}
	return nil
}

// cells are the columns of all choices: 1 and 0, or empty where the contest is
// not on the sheet.
func (m marks) cells(contests []Contest) []string {
	var cells []string
	for i, c := range contests {
		for j := range c.Choices {
			switch {
			case m.chosen[i] == nil:
				cells = append(cells, "")
			case m.chosen[i][j]:
				cells = append(cells, "1")
			default:
				cells = append(cells, "0")
			}
		}
	}
	return cells
}

// Form is a form of export that Arlo takes.
type Form string

// The forms that are one file of comma separated values.
const (
	Dominion    Form = "dominion"
	ClearBallot Form = "clearballot"
)

// WriteCVRs writes records in one of the forms that are a single file. What was
// written before an error is worthless.
func WriteCVRs(w io.Writer, form Form, e Export, records CVRs) error {
	x, err := e.exporter()
	if err != nil {
		return err
	}
	switch form {
	case Dominion:
		return x.dominion(w, records)
	case ClearBallot:
		return x.clearBallot(w, records)
	}
	return errors.New("cannot write cast vote records: " + quote(string(form)) + " is no form of one file")
}
