package define

import (
	"bytes"
	"fmt"

	"sallyport/internal/ems/election"
)

// CannotHoldError says what of a definition a CSV set cannot hold. Such a
// definition is kept as the document that it is.
type CannotHoldError struct {
	Pointer string // the first place that would be lost
	Reason  string
}

func (e *CannotHoldError) Error() string {
	return fmt.Sprintf("a CSV set cannot hold this definition: %s: %s", e.Pointer, e.Reason)
}

// WriteSet writes a definition as a CSV set: write gets each table by name, in
// reading order, and makes it durable or not. The set reads back as the same
// definition (the order of ComposingGpUnitIds, which means nothing, aside);
// where it would not, nothing is written and the error is a [*CannotHoldError].
func WriteSet(write func(name string, data []byte) error, v *election.Valid) error {
	def, err := v.Definition().Clone()
	if err != nil {
		return fmt.Errorf("cannot copy the definition: %w", err)
	}
	files, err := tables(def)
	if err != nil {
		return err
	}
	if err := holds(files, def); err != nil {
		return err
	}
	for _, name := range setFiles() {
		if data, ok := files[name]; ok {
			if err := write(name, data); err != nil {
				return fmt.Errorf("cannot write %s: %w", name, err)
			}
		}
	}
	return nil
}

// tables formats all tables; those without rows that a set does not need are
// left out.
func tables(def *election.Definition) (map[string][]byte, error) {
	d, err := newDraft(def)
	if err != nil {
		return nil, &CannotHoldError{"/Election", err.Error()}
	}
	list := []*table{d.electionTable()}
	for _, c := range d.classes {
		if c.name != electionClass {
			list = append(list, d.table(c))
		}
	}
	list = append(list, d.contentTable(), d.translationTable())
	out := map[string][]byte{}
	for _, t := range list {
		if len(t.rows) == 0 {
			continue
		}
		if out[t.file], err = t.format(); err != nil {
			return nil, fmt.Errorf("cannot format %s: %w", t.file, err)
		}
	}
	return out, nil
}

// table writes the objects of a class; columns that are empty in all rows are
// left out, unless the table needs them.
func (d *draft) table(c *class) *table {
	t := &table{file: c.file}
	used := map[string]bool{c.key: true}
	for _, id := range c.ids(d) {
		cells := map[string]string{c.key: id}
		for i := range c.columns {
			col := &c.columns[i]
			if v := col.get(d, id); v != "" {
				cells[col.name] = v
				used[col.name] = true
			}
			used[col.name] = used[col.name] || col.need
		}
		t.add(cells)
	}
	for _, name := range c.names() {
		if used[name] {
			t.columns = append(t.columns, name)
		}
	}
	return t
}

func (d *draft) electionTable() *table {
	t := &table{file: "election.csv", columns: []string{"key", "value"}}
	for _, col := range electionTable().columns {
		if v := col.get(d, electionClass); v != "" {
			t.add(map[string]string{"key": col.name, "value": v})
		}
	}
	list := append([]string{d.base}, Languages(d.def)[1:]...)
	d.texts(func(_ *class, _ ID, _ column, text *election.Text) {
		for _, s := range text.Text {
			list = append(list, s.Language)
		}
	})
	t.add(map[string]string{"key": "languages", "value": joinWords(unique(list))})
	return t
}

func unique(list []string) (out []string) {
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			out = append(out, s)
		}
		seen[s] = true
	}
	return out
}

// holds reads the tables back and compares.
func holds(files map[string][]byte, def *election.Definition) error {
	p := newProblems()
	back := readFiles(p, files)
	if len(p.list) > 0 {
		bad := p.list[0]
		pointer := bad.Pointer
		if pointer == "" {
			pointer = bad.File
		}
		return &CannotHoldError{pointer, bad.Error()}
	}
	want, err := normal(def)
	if err != nil {
		return err
	}
	got, err := normal(back)
	if err != nil {
		return err
	}
	if bytes.Equal(want, got) {
		return nil
	}
	pointer, err := difference(want, got)
	if err != nil {
		return err
	}
	return &CannotHoldError{pointer, "no column of a CSV set says this"}
}

// normal is the document of a definition with the members sorted whose order
// means nothing.
func normal(def *election.Definition) ([]byte, error) {
	c, err := def.Clone()
	if err != nil {
		return nil, fmt.Errorf("cannot copy the definition: %w", err)
	}
	for i := range c.Units {
		sortIDs(c.Units[i].Composing)
	}
	data, err := c.JSON()
	if err != nil {
		return nil, fmt.Errorf("cannot write the definition: %w", err)
	}
	return data, nil
}
