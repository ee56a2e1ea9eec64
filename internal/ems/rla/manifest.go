package rla

import (
	"io"
	"slices"
	"strconv"
)

// The headers of a manifest.
const (
	headContainer = "Container"
	headTabulator = "Tabulator"
	headBatch     = "Batch Name"
	headBallots   = "Number of Ballots"
	headCVR       = "CVR"
)

// Manifest says which ballots a jurisdiction has and where they lie.
type Manifest struct {
	Audit Audit
	// Containers and Tabulators say which optional columns the file has.
	// Tabulators are required for ballot comparison and hybrid audits.
	Containers, Tabulators bool
	Batches                []Batch // in the order of the file
	// SHA256 is that of the file it was read from, in hexadecimal; "" for one
	// that was made here. [WriteManifest] does not look at it.
	SHA256 string
}

// Batch is one stack of ballots, numbered from 1 as they lie.
type Batch struct {
	Container, Tabulator, Name string
	Ballots                    int  // at least 1
	CVR                        bool // hybrid audits: there are cast vote records for it
}

// Total returns the number of ballots.
func (m *Manifest) Total() int {
	n := 0
	for _, b := range m.Batches {
		n += b.Ballots
	}
	return n
}

func manifestForm(a Audit) form {
	f := form{columns: []column{
		{name: headContainer},
		{name: headTabulator, required: a.byTabulator(), key: a.byTabulator()},
		{name: headBatch, required: true, key: true},
		{name: headBallots, kind: number, required: true},
	}}
	if a == Hybrid {
		f.columns = append(f.columns, column{name: headCVR, kind: yesNo, required: true})
	}
	return f
}

// ReadManifest reads a ballot manifest (Arlo: "Container", "Tabulator", "Batch
// Name", "Number of Ballots", "CVR", in any order and case; the third and
// fourth always, the last in hybrid audits alone). Batches are identified by
// name, in ballot comparison and hybrid audits by tabulator and name. A batch
// without ballots, a second one of the same name and a row of totals are
// refused. The name file stands in errors, which are [*Problem].
func ReadManifest(file string, r io.Reader, a Audit) (*Manifest, error) {
	if !a.valid() {
		return nil, unknownAudit(a)
	}
	m := &Manifest{Audit: a}
	ballots := 0
	sum, err := readTable(file, r, manifestForm(a), func(r *row) error {
		m.Containers, m.Tabulators = r.t.has(headContainer), r.t.has(headTabulator)
		b := Batch{Container: r.text(headContainer), Tabulator: r.text(headTabulator), Name: r.text(headBatch), Ballots: r.number(headBallots), CVR: r.yes(headCVR)}
		if b.Ballots == 0 {
			return r.problem(headBallots, RuleZeroBallots, "the batch has no ballots")
		}
		if ballots += b.Ballots; ballots > maxBallots {
			return r.problem(headBallots, RuleLimit, "more than %d ballots", maxBallots)
		}
		m.Batches = append(m.Batches, b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.SHA256 = sum
	return m, nil
}

func unknownAudit(a Audit) error {
	return &Problem{File: "the request", Rule: RuleKeepsForm, Detail: quote(string(a)) + " is no kind of audit"}
}

// WriteManifest writes a manifest that [ReadManifest] reads back as the same,
// or nothing.
func WriteManifest(w io.Writer, m *Manifest) error {
	return writeTable(w, m.rows(), func(r io.Reader) error {
		back, err := ReadManifest(written, r, m.Audit)
		if err != nil {
			return err
		}
		if back.Containers != m.Containers || back.Tabulators != m.Tabulators || !slices.Equal(back.Batches, m.Batches) {
			return notKept("a batch")
		}
		return nil
	})
}

func (m *Manifest) rows() [][]string {
	all := Batch{Container: headContainer, Tabulator: headTabulator, Name: headBatch}
	rows := [][]string{m.row(all, headBallots, headCVR)}
	for _, b := range m.Batches {
		rows = append(rows, m.row(b, strconv.Itoa(b.Ballots), yn(b.CVR)))
	}
	return rows
}

func (m *Manifest) row(b Batch, ballots, cvr string) []string {
	cells := m.place(b)
	cells = append(cells, ballots)
	if m.Audit == Hybrid {
		cells = append(cells, cvr)
	}
	return cells
}

// place is the part of a row that says where a batch lies.
func (m *Manifest) place(b Batch) []string {
	var cells []string
	if m.Containers {
		cells = append(cells, b.Container)
	}
	if m.Tabulators {
		cells = append(cells, b.Tabulator)
	}
	return append(cells, b.Name)
}
