package page

import (
	"strconv"
	"strings"
)

// Measures of tables.
const (
	cellSide = 4 * point // left and right in a cell
	cellPad  = 3 * point / 2
	groupGap = 8 * point   // in front of a group's first column
	cellMost = 170 * point // of a column that could be narrower
)

var (
	cellStyle    = style{9 * point, false}
	totalStyle   = style{9 * point, true}
	headStyle    = style{8 * point, true}
	captionStyle = style{10 * point, true}
)

// columns is a range of columns, the last one not included.
type columns struct{ from, to int }

// tableLayout is a table that is being set, one part of its columns after the
// other.
type tableLayout struct {
	*layout
	*Table
	natural, narrow []unit // widths of columns: wished for, and at least
	// The part that is being set: header columns, then these.
	part    columns
	caption string
	cells   []cell // one for each of its columns
}

func (b *Table) pdf(l *layout) {
	l.turn(b.Landscape || l.doc.Landscape)
	l.space(8 * point)
	t := &tableLayout{layout: l, Table: b}
	t.measure()
	parts := t.split()
	for i, part := range parts {
		t.part, t.caption = part, b.Caption
		if len(parts) > 1 {
			t.caption += " (" + strings.NewReplacer("{n}", strconv.Itoa(i+1), "{m}", strconv.Itoa(len(parts))).Replace(l.words.PartOf) + ")"
		}
		if i > 0 && !l.fresh {
			l.newPage()
		}
		t.place(len(parts) == 1)
		t.draw()
	}
	l.y += 6 * point
}

// measure finds the widths of columns.
func (t *tableLayout) measure() {
	t.natural, t.narrow = make([]unit, len(t.Columns)), make([]unit, len(t.Columns))
	for i, c := range t.Columns {
		word := t.fonts.widest(c.Header, headStyle)
		t.natural[i] = max(word, t.fonts.natural(c.Header, headStyle)/3+10*point)
		t.narrow[i] = word
	}
	for i := range t.Rows {
		st := t.Rows[i].style()
		for j, text := range t.Rows[i].Cells {
			w := t.fonts.natural(text, st)
			if w > t.natural[j] {
				t.natural[j] = w
			}
			if w > t.narrow[j] {
				t.narrow[j] = max(t.narrow[j], t.fonts.widest(text, st))
			}
		}
	}
	for i := range t.natural {
		t.narrow[i] = min(max(t.narrow[i], 12*point)+2*cellSide+point, t.inner()/4)
		t.natural[i] = max(min(t.natural[i], cellMost)+2*cellSide+point, t.narrow[i])
	}
	t.widenGroups()
}

// widenGroups gives each group's columns the width of its title's longest word,
// and of a third of the title.
func (t *tableLayout) widenGroups() {
	from := 0
	for _, g := range t.Groups {
		wish := max(t.fonts.widest(g.Title, headStyle), t.fonts.natural(g.Title, headStyle)/3)
		wish = min(wish, cellMost) + 2*cellSide + point
		if from > 0 {
			t.natural[from] += groupGap
		}
		for _, widths := range [][]unit{t.natural, t.narrow} {
			if lack := wish - sum(widths[from:from+g.Columns]); lack > 0 {
				for i := from; i < from+g.Columns; i++ {
					widths[i] += lack/unit(g.Columns) + 1
				}
			}
		}
		from += g.Columns
	}
}

func sum(widths []unit) (total unit) {
	for _, w := range widths {
		total += w
	}
	return total
}

// style is how a row is set.
func (r *Row) style() style {
	if r.Total {
		return totalStyle
	}
	return cellStyle
}

// headers is the width of the header columns: at most two fifths of the page.
func (t *tableLayout) headers() unit {
	return min(sum(t.natural[:t.HeaderColumns]), t.inner()*2/5)
}

// split divides the columns behind the header columns into parts that fit a
// page, each with the header columns in front of it.
func (t *tableLayout) split() []columns {
	h, n := t.HeaderColumns, len(t.Columns)
	if h == n || sum(t.natural) <= t.inner() || n <= 16 && sum(t.narrow) <= t.inner() {
		return []columns{{h, n}}
	}
	room := t.inner() - t.headers()
	var parts []columns
	open, used := columns{h, h}, unit(0)
	for _, c := range t.kept(room) {
		w := sum(t.natural[c.from:c.to])
		if used > 0 && used+w > room {
			parts = append(parts, open)
			open, used = c, 0
		}
		open.to = c.to
		used += w
	}
	return append(parts, open)
}

// kept is the columns behind the header columns, those of a group together when
// they fit a page.
func (t *tableLayout) kept(room unit) (all []columns) {
	from := 0
	for _, g := range t.Groups {
		c := columns{from, from + g.Columns}
		from = c.to
		if c.from < t.HeaderColumns {
			continue
		}
		if sum(t.natural[c.from:c.to]) <= room {
			all = append(all, c)
			continue
		}
		for i := c.from; i < c.to; i++ {
			all = append(all, columns{i, i + 1})
		}
	}
	if len(t.Groups) == 0 {
		for i := t.HeaderColumns; i < len(t.Columns); i++ {
			all = append(all, columns{i, i + 1})
		}
	}
	return all
}

// place gives the part's columns their places. A table that is not split may be
// squeezed; one that is split has the widths it was split by.
func (t *tableLayout) place(single bool) {
	h := t.HeaderColumns
	var widths []unit
	if single {
		widths = squeeze(t.natural, t.narrow, t.inner())
	} else {
		widths = append(squeeze(t.natural[:h], t.narrow[:h], t.headers()), t.natural[t.part.from:t.part.to]...)
	}
	spare := t.inner() - sum(widths)
	for i, w := range widths { // headers on one line, where there is room
		lack := t.fonts.natural(t.Columns[t.column(i)].Header, headStyle) + 2*cellSide + point - w
		if lack > 0 && lack <= spare {
			widths[i], spare = w+lack, spare-lack
		}
	}
	spare = min(spare/unit(len(widths)), 10*point)
	t.cells = t.cells[:0]
	x := margin
	for i, w := range widths {
		w += spare
		t.cells = append(t.cells, cell{x: x + cellSide, width: w - 2*cellSide, align: t.Columns[t.column(i)].Align})
		x += w
	}
}

// column is the number in the table of the part's ith column.
func (t *tableLayout) column(i int) int {
	if i < t.HeaderColumns {
		return i
	}
	return t.part.from + i - t.HeaderColumns
}

// squeeze makes columns fit a width: first down to the longest words, then
// further.
func squeeze(natural, narrow []unit, room unit) []unit {
	widths := append([]unit(nil), natural...)
	wished, least := sum(natural), sum(narrow)
	if wished <= room {
		return widths
	}
	for i := range widths {
		if least <= room {
			widths[i] = narrow[i] + (natural[i]-narrow[i])*(room-least)/(wished-least)
		} else {
			widths[i] = narrow[i] * room / least
		}
	}
	return widths
}
