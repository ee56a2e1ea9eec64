package dialect

import (
	"context"
	"errors"
	"io"
	"strings"
)

// columns finds cells by the headings of their columns.
type columns struct {
	table *table
	at    map[string]int
}

// newColumns reads headings; known ones are kept, others are a deviation.
func newColumns(t *table, headings []string, known string) (*columns, error) {
	c := &columns{table: t, at: map[string]int{}}
	for i, h := range headings {
		h = strings.TrimSpace(h)
		if !strings.Contains(known, "|"+h+"|") || h == "" {
			t.note(i+1, ColumnIgnored)
			continue
		}
		if _, ok := c.at[h]; ok {
			return nil, t.broken(i+1, ruleHeaderRepeated, "two columns are headed %q", h)
		}
		c.at[h] = i
	}
	return c, nil
}

// need refuses a header without the given headings.
func (c *columns) need(names ...string) error {
	for _, n := range names {
		if _, ok := c.at[n]; !ok {
			return c.table.broken(0, ruleHeader, "there is no column %q", n)
		}
	}
	return nil
}

// miss notes headings that are usual and not there.
func (c *columns) miss(names ...string) {
	for _, n := range names {
		if _, ok := c.at[n]; !ok {
			c.table.notes.add(c.table.where(0)+" ("+n+")", ColumnMissing)
		}
	}
}

// text returns a trimmed cell, "" where the column is not there.
func (c *columns) text(cells []string, name string) (string, error) {
	i, ok := c.at[name]
	if !ok {
		return "", nil
	}
	s := strings.TrimSpace(cells[i])
	if len(s) > maxID {
		return "", over(c.table.where(i+1), "%s has more than %d bytes", name, maxID)
	}
	return s, nil
}

// into says where a cell's text goes.
type into struct {
	name string
	to   *string
}

// texts fills several cells.
func (c *columns) texts(cells []string, all ...into) error {
	for _, x := range all {
		s, err := c.text(cells, x.name)
		if err != nil {
			return err
		}
		*x.to = s
	}
	return nil
}

// required returns a cell that must not be empty.
func (c *columns) required(cells []string, name string) (string, error) {
	s, err := c.text(cells, name)
	if err == nil && s == "" {
		return "", c.table.broken(c.at[name]+1, ruleRecordID, "%s is empty", name)
	}
	return s, err
}

// width brings a record to the width of the header: empty cells after it are
// dropped, anything else is refused.
func (t *table) width(cells []string, want int) ([]string, error) {
	if len(cells) < want {
		return nil, t.broken(len(cells), ruleColumns, "the record has %d cells, and the header %d", len(cells), want)
	}
	for i := want; i < len(cells); i++ {
		if strings.TrimSpace(cells[i]) != "" {
			return nil, t.broken(i+1, ruleColumns, "the record has more cells than the header")
		}
		t.note(i+1, TrailingCells)
	}
	return cells[:want], nil
}

// rows passes each record after the header to visit.
func (t *table) rows(ctx context.Context, width int, visit func(cells []string) error) error {
	for {
		cells, err := t.read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if cells, err = t.width(cells, width); err != nil {
			return err
		}
		if err := visit(cells); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// must is the next record of a header.
func (t *table) must(what string) ([]string, error) {
	cells, err := t.read()
	if errors.Is(err, io.EOF) {
		return nil, broken(t.file, ruleHeader, "the file ends before %s", what)
	}
	return cells, err
}
