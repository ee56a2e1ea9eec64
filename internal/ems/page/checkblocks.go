package page

import (
	"errors"
	"fmt"
)

func (b Heading) check(c *checker) error {
	if b.Level < 1 || b.Level > 5 || b.Level > c.level+1 {
		return at(fmt.Errorf("a heading of level %d after one of level %d: levels go from 1 to 5 and none is skipped", b.Level, c.level), "Level")
	}
	c.level = b.Level
	if err := c.required(b.Text); err != nil {
		return at(err, "Text")
	}
	return at(c.text("", b.Lang), "Lang")
}

func (b Paragraph) check(c *checker) error { return at(c.text(b.Text, b.Lang), "Text") }

func (b List) check(c *checker) error { return c.lines(b.Items, "Items") }

func (PageBreak) check(*checker) error { return nil }

func (b KeyValues) check(c *checker) error {
	if err := c.spend(len(b.Pairs)); err != nil {
		return at(err, "Pairs")
	}
	for i, p := range b.Pairs {
		if err := c.text(p.Key, ""); err != nil {
			return at(err, "Pairs", i, "Key")
		}
		if err := c.text(p.Value, ""); err != nil {
			return at(err, "Pairs", i, "Value")
		}
	}
	return nil
}

func (b *Table) check(c *checker) error {
	if b == nil {
		return errors.New("the table is missing")
	}
	if err := c.required(b.Caption); err != nil {
		return at(err, "Caption")
	}
	if err := b.checkColumns(c); err != nil {
		return err
	}
	for i := range b.Rows {
		cells := b.Rows[i].Cells
		if len(cells) != len(b.Columns) {
			return at(fmt.Errorf("%d cells in a table of %d columns", len(cells), len(b.Columns)), "Rows", i, "Cells")
		}
		if err := c.spend(len(cells)); err != nil {
			return at(err, "Rows", i)
		}
		if err := c.texts(cells, "Cells"); err != nil {
			return at(err, "Rows", i)
		}
	}
	return nil
}

// checkColumns checks the head of a table.
func (b *Table) checkColumns(c *checker) error {
	n := len(b.Columns)
	if n == 0 || n > MaxColumns {
		return at(fmt.Errorf("%d columns: a table has 1 to %d", n, MaxColumns), "Columns")
	}
	if b.HeaderColumns < 0 || b.HeaderColumns > n || b.HeaderColumns > 4 {
		return at(fmt.Errorf("%d header columns in a table of %d: at most 4", b.HeaderColumns, n), "HeaderColumns")
	}
	for i, col := range b.Columns {
		if col.Align > Center {
			return at(fmt.Errorf("alignment %d is not known", col.Align), "Columns", i, "Align")
		}
		if err := c.text(col.Header, ""); err != nil {
			return at(err, "Columns", i, "Header")
		}
	}
	return b.checkGroups(c)
}

// checkGroups checks that groups cover the columns, and none lies both in the
// header columns and behind them.
func (b *Table) checkGroups(c *checker) error {
	covered := 0
	for i, g := range b.Groups {
		if g.Columns < 1 || g.Columns > len(b.Columns)-covered {
			return at(fmt.Errorf("a group of %d columns where %d are left", g.Columns, len(b.Columns)-covered), "Groups", i)
		}
		if covered < b.HeaderColumns && covered+g.Columns > b.HeaderColumns {
			return at(errors.New("a group holds header columns together with others"), "Groups", i)
		}
		covered += g.Columns
		if err := c.text(g.Title, ""); err != nil {
			return at(err, "Groups", i, "Title")
		}
	}
	if len(b.Groups) > 0 && covered != len(b.Columns) {
		return at(fmt.Errorf("the groups cover %d of %d columns", covered, len(b.Columns)), "Groups")
	}
	return nil
}

func (b BarChart) check(c *checker) error {
	if err := c.required(b.Caption); err != nil {
		return at(err, "Caption")
	}
	if err := c.spend(len(b.Bars)); err != nil {
		return at(err, "Bars")
	}
	for i, bar := range b.Bars {
		if bar.Value < 0 {
			return at(errors.New("a bar below zero"), "Bars", i, "Value")
		}
		if err := c.text(bar.Label, ""); err != nil {
			return at(err, "Bars", i, "Label")
		}
		if err := c.text(bar.Shown, ""); err != nil {
			return at(err, "Bars", i, "Shown")
		}
	}
	return nil
}

func (b StackedBars) check(c *checker) error {
	if err := c.required(b.Caption); err != nil {
		return at(err, "Caption")
	}
	if n := len(b.Series); n == 0 || n > MaxSeries {
		return at(fmt.Errorf("%d series: a chart has 1 to %d", n, MaxSeries), "Series")
	}
	if err := c.texts(b.Series, "Series"); err != nil {
		return err
	}
	for i, bar := range b.Bars {
		if err := b.checkBar(c, bar); err != nil {
			return at(err, "Bars", i)
		}
	}
	return nil
}

// checkBar checks one bar of a stack; the sum of its parts is a length too.
func (b StackedBars) checkBar(c *checker, bar StackedBar) error {
	if len(bar.Parts) != len(b.Series) {
		return at(fmt.Errorf("%d parts for %d series", len(bar.Parts), len(b.Series)), "Parts")
	}
	if err := c.spend(len(bar.Parts)); err != nil {
		return err
	}
	if err := c.text(bar.Label, ""); err != nil {
		return at(err, "Label")
	}
	var sum int64
	for i, p := range bar.Parts {
		if p.Value < 0 || sum > 1<<62-p.Value {
			return at(errors.New("a part below zero, or parts whose sum is beyond 2^62"), "Parts", i, "Value")
		}
		sum += p.Value
		if err := c.text(p.Shown, ""); err != nil {
			return at(err, "Parts", i, "Shown")
		}
	}
	return nil
}

func (b *BallotPage) check(c *checker) error {
	if b == nil {
		return errors.New("the ballot is missing")
	}
	if len(b.Title) == 0 {
		return at(errors.New("a ballot without a title"), "Title")
	}
	if err := c.required(b.Title[0].Text); err != nil {
		return at(err, "Title", 0, "Text")
	}
	if b.Columns < 1 || b.Columns > 4 {
		return at(fmt.Errorf("%d columns: a ballot has 1 to 4", b.Columns), "Columns")
	}
	if len(b.QR) > MaxQR {
		return at(fmt.Errorf("%d bytes, and at most %d go into a QR code", len(b.QR), MaxQR), "QR")
	}
	if err := c.text(b.Code, ""); err != nil {
		return at(err, "Code")
	}
	for _, f := range []struct {
		name  string
		lines []Line
	}{{"Title", b.Title}, {"About", b.About}, {"Instructions", b.Instructions}} {
		if err := c.lines(f.lines, f.name); err != nil {
			return err
		}
	}
	c.level = 1
	for i := range b.Contests {
		if err := b.Contests[i].check(c); err != nil {
			return at(err, "Contests", i)
		}
	}
	return nil
}

func (b *BallotContest) check(c *checker) error {
	if len(b.Title) == 0 {
		return at(errors.New("a contest without a title"), "Title")
	}
	if err := c.required(b.Title[0].Text); err != nil {
		return at(err, "Title", 0, "Text")
	}
	if b.VoteFor < 1 {
		return at(fmt.Errorf("%d: a contest has at least one vote", b.VoteFor), "VoteFor")
	}
	if err := c.lines(b.Title, "Title"); err != nil {
		return err
	}
	if err := c.lines(b.Instructions, "Instructions"); err != nil {
		return err
	}
	for i, o := range b.Options {
		if len(o.Name) == 0 && !o.WriteIn {
			return at(errors.New("an option without a name"), "Options", i, "Name")
		}
		if err := c.lines(o.Name, "Name"); err != nil {
			return at(err, "Options", i)
		}
		if err := c.lines(o.Detail, "Detail"); err != nil {
			return at(err, "Options", i)
		}
	}
	return nil
}
