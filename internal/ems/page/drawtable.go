package page

import "strconv"

const (
	columnScope = "/A<</O/Table/Scope/Column>>"
	rowScope    = "/A<</O/Table/Scope/Row>>"
)

// draw draws the part of a table that was placed. Its head is repeated on each
// page as an artifact, unless it is too tall for that.
func (t *tableLayout) draw() {
	table := t.tags.add(t.root, "Table", "")
	caption := t.fonts.fill(t.caption, captionStyle, t.inner())
	groups, head := t.groupCells(), t.headCells()
	height := rowHeight(groups, headStyle) + rowHeight(head, headStyle)
	t.need(min(unit(len(caption))*captionStyle.leading()+height+3*cellStyle.leading(), t.body()))
	t.mark(t.level+1, t.caption)
	t.paragraph(t.tags.add(table, "Caption", ""), caption, captionStyle, margin)
	t.y += 3 * point
	section := t.tags.add(table, "THead", "")
	t.own(groups, section)
	t.headRow(groups)
	t.own(head, section)
	t.headRow(head)
	t.onNew = func() { t.repeat(groups, head, height) }
	section = t.tags.add(table, "TBody", "")
	for i := range t.Rows {
		t.bodyRow(&t.Rows[i], section)
	}
	t.onNew = nil
}

func rowHeight(cells []cell, st style) unit {
	if len(cells) == 0 {
		return 0
	}
	return unit(tallest(cells))*st.leading() + 2*cellPad
}

// repeat draws caption and head on a table's next page.
func (t *tableLayout) repeat(groups, head []cell, height unit) {
	caption := t.fonts.fill(t.caption+" ("+t.words.Continued+")", captionStyle, t.inner())
	if len(caption) <= 3 {
		t.paragraph(none, caption, captionStyle, margin)
		t.y += 3 * point
	}
	if height > t.body()/2 {
		return
	}
	for _, cells := range [][]cell{groups, head} {
		for i := range cells {
			cells[i].owner = none
		}
		t.headRow(cells)
	}
}

// headCells is the row of column headers, set towards the bottom.
func (t *tableLayout) headCells() []cell {
	cells := append([]cell(nil), t.cells...)
	for i := range cells {
		cells[i].lines = t.fonts.fill(t.Columns[t.column(i)].Header, headStyle, cells[i].width)
	}
	n := tallest(cells)
	for i := range cells {
		c := &cells[i]
		c.lines = append(make([]line, n-len(c.lines)), c.lines...)
	}
	return cells
}

// groupCells is the row of titles above the part's columns.
func (t *tableLayout) groupCells() (cells []cell) {
	from := 0
	for _, g := range t.Groups {
		var first, last *cell
		for i := range t.cells {
			if c := t.column(i); c >= from && c < from+g.Columns {
				if last = &t.cells[i]; first == nil {
					first = last
				}
			}
		}
		from += g.Columns
		if first == nil {
			continue
		}
		c := cell{x: first.x, width: last.x + last.width - first.x, align: Center}
		c.lines = t.fonts.fill(g.Title, headStyle, c.width)
		cells = append(cells, c)
	}
	return cells
}

// own makes the cells of a head row elements of the table.
func (t *tableLayout) own(cells []cell, section elem) {
	if len(cells) == 0 {
		return
	}
	row := t.tags.add(section, "TR", "")
	for i := range cells {
		c := &cells[i]
		span := 0
		for j := range t.cells {
			if t.cells[j].x >= c.x && t.cells[j].x < c.x+c.width {
				span++
			}
		}
		more := columnScope
		if span > 1 {
			more = "/A<</O/Table/Scope/Column/ColSpan " + strconv.Itoa(span) + ">>"
		}
		c.owner = t.tags.add(row, "TH", more)
	}
}

// right is where the part's last column ends.
func (t *tableLayout) right() unit {
	last := t.cells[len(t.cells)-1]
	return last.x + last.width + cellSide
}

// headRow draws a row of the head on its ground.
func (t *tableLayout) headRow(cells []cell) {
	if len(cells) == 0 {
		return
	}
	p := t.page
	if height := rowHeight(cells, headStyle); t.y+height <= t.bottom {
		p.begin(t.tags, none)
		p.fill(margin, t.y, t.right()-margin, height, [3]uint8{0xe8, 0xe8, 0xe8})
		if len(cells) < len(t.cells) {
			for i := range cells {
				if tallest(cells[i:i+1]) == 1 && len(cells[i].lines[0].spans) == 0 {
					continue // columns without a title above them
				}
				p.rule(cells[i].x, t.y+height-point/2, cells[i].width, point/2, 0x55)
			}
		}
		p.end()
	}
	t.row(cells, headStyle, cellPad)
}

// bodyRow draws a row of the body.
func (t *tableLayout) bodyRow(r *Row, section elem) {
	st := r.style()
	row := t.tags.add(section, "TR", "")
	for i := range t.cells {
		c := &t.cells[i]
		if i < t.HeaderColumns {
			c.owner = t.tags.add(row, "TH", rowScope)
		} else {
			c.owner = t.tags.add(row, "TD", "")
		}
		c.lines = t.fonts.fill(r.Cells[t.column(i)], st, c.width)
	}
	if r.Total {
		t.need(rowHeight(t.cells, st))
		t.line(point, 0)
	}
	t.row(t.cells, st, cellPad)
	t.line(point/4, 0x88)
}

// line draws a rule over the width of the table.
func (t *tableLayout) line(thick unit, grey uint8) {
	t.page.begin(t.tags, none)
	t.page.rule(margin, t.y-thick/2, t.right()-margin, thick, grey)
	t.page.end()
}
