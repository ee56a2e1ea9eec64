package page

import "strconv"

// cell is a part of a row: lines in a column.
type cell struct {
	x, width unit
	lines    []line
	align    Align
	owner    elem
}

// put is where a line of the cell begins.
func (c *cell) put(l line) unit {
	switch c.align {
	case Right:
		return c.x + c.width - l.width
	case Center:
		return c.x + (c.width-l.width)/2
	}
	return c.x
}

// tallest is the number of lines of the longest cell.
func tallest(cells []cell) (n int) {
	for i := range cells {
		n = max(n, len(cells[i].lines))
	}
	return n
}

// row sets cells side by side. A row is kept on one page unless it is longer
// than one.
func (l *layout) row(cells []cell, st style, pad unit) {
	n, lead := tallest(cells), st.leading()
	whole := unit(n)*lead + 2*pad
	for from := 0; from < n; {
		fit := int((l.bottom - l.y - 2*pad) / lead)
		if fit < n-from && !l.fresh && (fit < 1 || from > 0 || whole <= l.body()) {
			l.newPage()
			continue
		}
		to := min(n, from+max(1, fit))
		for i := range cells {
			c := &cells[i]
			l.cell(c, c.lines[min(from, len(c.lines)):min(to, len(c.lines))], st, pad)
		}
		l.y += unit(to-from)*lead + 2*pad
		l.fresh = false
		from = to
	}
}

// cell draws lines of a cell. What has no text has no content to mark.
func (l *layout) cell(c *cell, lines []line, st style, pad unit) {
	if len(lines) == 0 || len(lines) == 1 && len(lines[0].spans) == 0 {
		return
	}
	l.page.begin(l.tags, c.owner)
	y := l.y + pad - st.size/4
	for _, text := range lines {
		y += st.leading()
		l.page.text(c.put(text), y, text, st.size)
	}
	l.page.end()
}

func (PageBreak) pdf(l *layout) {
	if !l.fresh {
		l.newPage()
	}
}

func (b Heading) pdf(l *layout) {
	l.turn(l.doc.Landscape)
	sizes := [...]unit{14 * point, 12 * point, 11 * point, 10 * point, 10 * point}
	st := style{sizes[b.Level-1], true}
	lines := l.fonts.fill(b.Text, st, l.inner())
	l.space(st.size)
	l.need(min(unit(len(lines))*st.leading()+60*point, l.body())) // with what follows
	l.mark(b.Level, b.Text)
	l.level = b.Level
	l.paragraph(l.tags.add(l.root, "H"+strconv.Itoa(b.Level+1), langEntry(b.Lang)), lines, st, margin)
	l.y += 3 * point
}

func (b Paragraph) pdf(l *layout) {
	l.turn(l.doc.Landscape)
	st := style{bodyPt, b.Strong}
	if b.Small {
		st.size = smallPt
	}
	l.space(3 * point)
	l.paragraph(l.tags.add(l.root, "P", langEntry(b.Lang)), l.fonts.fill(b.Text, st, l.inner()), st, margin)
	l.y += 3 * point
}

func (b List) pdf(l *layout) {
	l.turn(l.doc.Landscape)
	st := style{bodyPt, false}
	numbering, indent := "Disc", 16*point
	if b.Ordered {
		numbering = "Decimal"
		indent = l.fonts.width(strconv.Itoa(len(b.Items))+". ", st) + 6*point
	}
	list := l.tags.add(l.root, "L", "/A<</O/List/ListNumbering/"+numbering+">>")
	for i, item := range b.Items {
		label := "-" // in every font, which a bullet is not
		if b.Ordered {
			label = strconv.Itoa(i+1) + "."
		}
		li := l.tags.add(list, "LI", langEntry(item.Lang))
		l.row([]cell{
			{x: margin + 4*point, width: indent, lines: l.fonts.fill(label, st, indent), owner: l.tags.add(li, "Lbl", "")},
			{x: margin + 4*point + indent, lines: l.fonts.fill(item.Text, st, l.inner()-indent-4*point), owner: l.tags.add(li, "LBody", "")},
		}, st, point)
	}
	l.y += 3 * point
}

func (b KeyValues) pdf(l *layout) {
	l.turn(l.doc.Landscape)
	key, value := style{bodyPt, false}, style{bodyPt, true}
	var width unit
	for _, p := range b.Pairs {
		width = max(width, l.fonts.natural(p.Key, key))
	}
	width = min(width+point, l.inner()*2/5)
	gap := 14 * point
	list := l.tags.add(l.root, "L", "/A<</O/List/ListNumbering/None>>")
	for _, p := range b.Pairs {
		li := l.tags.add(list, "LI", "")
		l.row([]cell{
			{x: margin, width: width, lines: l.fonts.fill(p.Key, key, width), owner: l.tags.add(li, "Lbl", "")},
			{x: margin + width + gap, lines: l.fonts.fill(p.Value, value, l.inner()-width-gap), owner: l.tags.add(li, "LBody", "")},
		}, value, point)
	}
	l.y += 3 * point
}
