package dialect

import (
	"context"
	"io/fs"
)

// csvSheet is a file of one dialect whose header was read.
type csvSheet interface {
	cells() int // in a row
	describe(*Catalogue)
	ballot(cells []string) (*Ballot, error)
}

// csvReader reads a dialect that is one CSV file.
type csvReader struct {
	fsys   fs.FS
	path   string
	notes  *notes
	header func(*table) (csvSheet, error)
}

func (c *csvReader) close() error { return nil }

func (c *csvReader) catalogue(ctx context.Context) (*Catalogue, error) {
	sv := newSurvey()
	cat := &Catalogue{}
	err := c.each(ctx, func(s csvSheet) { s.describe(cat) }, func(b *Ballot) error { return sv.add(b, c.path) })
	if err != nil {
		return nil, err
	}
	sv.into(cat)
	return cat, nil
}

func (c *csvReader) ballots(ctx context.Context, emit func(*Ballot) error) error {
	return c.each(ctx, func(csvSheet) {}, emit)
}

func (c *csvReader) each(ctx context.Context, head func(csvSheet), emit func(*Ballot) error) error {
	t, err := openTable(c.fsys, c.path, c.notes)
	if err != nil {
		return err
	}
	defer t.close()
	s, err := c.header(t)
	if err != nil {
		return err
	}
	head(s)
	return t.rows(ctx, s.cells(), func(cells []string) error {
		b, err := s.ballot(cells)
		if err != nil {
			return err
		}
		return emit(b)
	})
}
