package rla

import (
	"fmt"
	"io"
	"slices"
	"strconv"
)

// BatchTotals are the votes of each choice in each batch of a jurisdiction.
type BatchTotals struct {
	// Columns are the choices, headed by the choice alone when one contest is
	// audited and by "Contest - Choice" when there are several.
	Columns []string
	Rows    []BatchRow // in the order of the file
}

// BatchRow is one batch with its votes, in the order of the columns.
type BatchRow struct {
	Batch string
	Votes []int
}

// Contest is what an audit knows of a contest.
type Contest struct {
	Name    string
	VoteFor int // votes allowed to each ballot
	Choices []Choice
}

// Choice is one option of a contest, write-ins included.
type Choice struct {
	Name  string
	Party string // "" when the choice has none
}

// Sums returns the votes of each column over all batches.
func (t *BatchTotals) Sums() []int {
	sums := make([]int, len(t.Columns))
	for _, r := range t.Rows {
		for i, n := range r.Votes {
			sums[i] += n
		}
	}
	return sums
}

// ReadBatchTotals reads candidate totals by batch (Arlo: "Batch Name" and one
// column for each choice). What the columns must be is for [BatchTotals.Check].
func ReadBatchTotals(file string, r io.Reader) (*BatchTotals, error) {
	f := form{columns: []column{{name: headBatch, required: true, key: true}}, rest: &column{kind: number}}
	t := &BatchTotals{}
	_, err := readTable(file, r, f, func(r *row) error {
		if t.Columns == nil {
			if t.Columns = r.t.restNames(); len(t.Columns) == 0 {
				return r.t.atRow(RuleMissing, "there are no columns of choices")
			}
		}
		b := BatchRow{Batch: r.text(headBatch)}
		for i, c := range r.cells {
			if r.t.heads[i].kind == number {
				b.Votes = append(b.Votes, c.number)
			}
		}
		t.Rows = append(t.Rows, b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// restNames are the headers that the form itself does not name.
func (t *table) restNames() []string {
	var names []string
	for _, c := range t.heads {
		if !slices.ContainsFunc(t.form.columns, func(k column) bool { return k.name == c.name }) {
			names = append(names, c.name)
		}
	}
	return names
}

// WriteBatchTotals writes totals that [ReadBatchTotals] reads back as the
// same, or nothing.
func WriteBatchTotals(w io.Writer, t *BatchTotals) error {
	rows := [][]string{append([]string{headBatch}, t.Columns...)}
	for _, r := range t.Rows {
		cells := []string{r.Batch}
		for _, n := range r.Votes {
			cells = append(cells, strconv.Itoa(n))
		}
		rows = append(rows, cells)
	}
	return writeTable(w, rows, func(r io.Reader) error {
		back, err := ReadBatchTotals(written, r)
		if err != nil {
			return err
		}
		same := func(a, b BatchRow) bool { return a.Batch == b.Batch && slices.Equal(a.Votes, b.Votes) }
		if !slices.Equal(back.Columns, t.Columns) || !slices.EqualFunc(back.Rows, t.Rows, same) {
			return notKept("a batch or a header")
		}
		return nil
	})
}

// ColumnName is the header of a choice: the choice alone, or with its contest
// when the audit has several.
func ColumnName(contest, choice string, several bool) string {
	if several {
		return contest + " - " + choice
	}
	return choice
}

// Check holds totals against the manifest of the same jurisdiction and the
// contests that are audited in it: each batch of the manifest once and no
// other, one column for each choice and no other, and in no batch more votes
// in a contest than its ballots allow. The name file stands in errors.
func (t *BatchTotals) Check(file string, m *Manifest, several bool, contests ...Contest) error {
	ballots, err := t.checkBatches(file, m)
	if err != nil {
		return err
	}
	used := 0
	for _, c := range contests {
		at, err := t.columnsOf(file, c, several)
		if err != nil {
			return err
		}
		used += len(at)
		for _, r := range t.Rows {
			if err := r.within(file, c, at, ballots[r.Batch]); err != nil {
				return err
			}
		}
	}
	if used != len(t.Columns) {
		return &Problem{File: file, Line: 1, Rule: RuleChoiceColumns, Detail: fmt.Sprintf("%d columns of choices, the contests have %d choices", len(t.Columns), used)}
	}
	return nil
}

// checkBatches returns the ballots of each batch.
func (t *BatchTotals) checkBatches(file string, m *Manifest) (map[string]int, error) {
	ballots, seen := map[string]int{}, map[string]bool{}
	for _, b := range m.Batches {
		if _, twice := ballots[b.Name]; twice {
			return nil, &Problem{File: file, Rule: RuleDuplicate, Detail: "the manifest has two batches named " + quote(b.Name) + ", and totals name batches alone"}
		}
		ballots[b.Name] = b.Ballots
	}
	for _, r := range t.Rows {
		if _, ok := ballots[r.Batch]; !ok {
			return nil, &Problem{File: file, Rule: RuleBatchUnknown, Detail: "the manifest has no batch " + quote(r.Batch)}
		}
		seen[r.Batch] = true
	}
	for _, b := range m.Batches {
		if !seen[b.Name] {
			return nil, &Problem{File: file, Rule: RuleBatchMissing, Detail: "there are no totals of the batch " + quote(b.Name)}
		}
	}
	return ballots, nil
}

// columnsOf returns where the choices of a contest stand.
func (t *BatchTotals) columnsOf(file string, c Contest, several bool) ([]int, error) {
	var at []int
	for _, ch := range c.Choices {
		name := ColumnName(c.Name, ch.Name, several)
		i := slices.Index(t.Columns, name)
		if i < 0 {
			return nil, &Problem{File: file, Line: 1, Rule: RuleChoiceColumns, Detail: "the column " + quote(name) + " is missing"}
		}
		at = append(at, i)
	}
	return at, nil
}

func (r BatchRow) within(file string, c Contest, at []int, ballots int) error {
	votes := 0
	for _, i := range at {
		votes += r.Votes[i]
	}
	if most := ballots * c.VoteFor; votes > most {
		return &Problem{File: file, Rule: RuleTooManyVotes, Detail: fmt.Sprintf("the batch %s has %d votes in the contest %s; its %d ballots allow %d", quote(r.Batch), votes, quote(c.Name), ballots, most)}
	}
	return nil
}
