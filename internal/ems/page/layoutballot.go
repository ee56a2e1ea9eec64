package page

// Measures of ballots.
const (
	columnGap  = 10 * point
	ovalWidth  = 20 * point
	ovalHeight = 10 * point
	ovalSide   = 7 * point  // left and right of an oval
	writeLine  = 20 * point // the height that a write-in takes
	qrSide     = 84 * point
	stripPad   = 3 * point
)

var (
	ballotTitle  = style{14 * point, true}
	contestTitle = style{10 * point, true}
	contestMore  = style{10 * point, false}
	optionName   = style{10 * point, true}
	optionOther  = style{10 * point, false}
	optionDetail = style{8 * point, false}
	howStyle     = style{9 * point, false}
)

// ballot is a ballot that is being set, in columns.
type ballot struct {
	*layout
	*BallotPage
	column int
	width  unit // of a column
	start  unit // where columns begin on this page
}

// strip is a part of a contest that is kept together where it can be: its
// title, its instructions, or an option.
type strip struct {
	lines             []stripLine
	band, oval, write bool
}

// stripLine is a line with its place in the structure.
type stripLine struct {
	line
	style
	owner elem
}

func (b *BallotPage) pdf(l *layout) {
	l.turn(l.doc.Landscape)
	if !l.fresh {
		l.newPage()
	}
	f := &ballot{layout: l, BallotPage: b}
	f.width = (l.inner()-unit(b.Columns-1)*columnGap)/unit(b.Columns) - point
	l.mark(0, b.Title[0].Text+" "+b.Code)
	l.level = 1
	f.head(true)
	for _, how := range b.Instructions {
		l.paragraph(l.tags.add(l.root, "P", langEntry(how.Lang)), l.fonts.fill(how.Text, howStyle, l.inner()), howStyle, margin)
	}
	l.y += 4 * point
	if l.bottom-l.y < max(l.body()/4, least/2) {
		l.newPage()
	}
	f.start = l.y
	l.onNew = func() { f.head(false) }
	for i := range b.Contests {
		f.contest(&b.Contests[i])
	}
	l.onNew = nil
	l.y = l.bottom // whatever follows begins a page
	l.fresh = false
}

// head draws the title with what stands beside it. On pages after the first it
// is an artifact, and shorter.
func (f *ballot) head(first bool) {
	l := f.layout
	top, page, width := l.y, l.page, l.inner()-12*point
	code := first && f.QR != ""
	if code {
		width -= qrSide
	}
	lines := f.headLines(first, width)
	if code {
		f.code(margin+width+10*point, l.y+2*point)
	}
	if !first && unit(len(lines))*ballotTitle.leading() > l.body()/4 {
		lines = nil // too long to be repeated
	}
	l.y += 4 * point
	for i := range lines {
		s := &lines[i]
		l.need(s.leading())
		l.y += s.leading()
		l.page.begin(l.tags, s.owner)
		l.page.text(margin+6*point, l.y-s.size/4, s.line, s.size)
		l.page.end()
		l.fresh = false
	}
	l.y += 4 * point
	if code && l.page == page {
		l.y = max(l.y, top+qrSide+4*point)
	}
	if l.page == page {
		l.page.begin(l.tags, none)
		l.page.frame(margin, top, l.inner(), l.y-top, 3*point/2)
		l.page.end()
	}
	l.y += 6 * point
	f.start, f.column = l.y, 0
}

// headLines is the text of the head.
func (f *ballot) headLines(first bool, width unit) []stripLine {
	var lines []stripLine
	parent := none
	if first {
		parent = f.tags.add(f.root, "H1", "")
	}
	lines = f.languages(lines, f.Title, ballotTitle, style{ballotTitle.size, false}, width, parent, "Span")
	if first {
		for _, about := range f.About {
			lines = f.languages(lines, []Line{about}, howStyle, howStyle, width, f.root, "P")
		}
	}
	if f.Code != "" {
		owner := none
		if first {
			owner = f.root
		}
		lines = f.languages(lines, []Line{{Text: f.Code}}, optionName, optionName, width, owner, "P")
	}
	return lines
}

// languages appends texts below each other, each an element of its language;
// without a parent they are artifacts.
func (f *ballot) languages(lines []stripLine, texts []Line, first, more style, width unit, parent elem, kind string) []stripLine {
	for i, text := range texts {
		st, owner := more, none
		if i == 0 {
			st = first
		}
		if parent != none {
			owner = f.tags.add(parent, kind, langEntry(text.Lang))
		}
		for _, l := range f.fonts.fill(text.Text, st, width) {
			lines = append(lines, stripLine{l, st, owner})
		}
	}
	return lines
}

// code draws the QR code as a figure.
func (f *ballot) code(x, y unit) {
	runs, size, err := qrRuns(f.QR)
	if err != nil {
		f.err = err
		return
	}
	module := qrSide / unit(size)
	p, e := f.page, f.tags.add(f.root, "Figure", "/Alt "+pdfText(f.words.BallotQR))
	box := make([]byte, 0, 64)
	for _, u := range []unit{x, p.height - y - module*unit(size), x + module*unit(size), p.height - y} {
		box = append(appendUnit(box, u), ' ')
	}
	f.tags.nodes[e].more += "/A<</O/Layout/Placement/Block/BBox[" + string(box) + "]>>"
	p.begin(f.tags, e)
	p.raw("0 g ")
	for _, r := range runs {
		p.numbers(x+unit(r.x)*module, p.height-y-unit(r.y+1)*module, unit(r.n)*module, module)
		p.raw("re ")
	}
	p.raw("f\n")
	p.end()
}

// contest sets a contest into the open column or the next, and over several only
// when it is longer than one.
func (f *ballot) contest(c *BallotContest) {
	section := f.tags.add(f.root, "Sect", "")
	strips := f.strips(c, section)
	var height unit
	for i := range strips {
		height += strips[i].height(0)
	}
	if f.y+height > f.bottom && f.y > f.start && height <= f.bottom-f.start {
		f.nextColumn()
	}
	top := f.y
	for i := range strips {
		top = f.strip(&strips[i], c, top)
	}
	f.outline(top)
	f.y += 7 * point
	f.fresh = false
}

// strips is a contest's parts.
func (f *ballot) strips(c *BallotContest, section elem) []strip {
	inner := f.width - 10*point
	title := strip{band: true, lines: f.languages(nil, c.Title, contestTitle, contestMore, inner, f.tags.add(section, "H2", ""), "Span")}
	var how strip
	for _, text := range c.how(f.words) {
		how.lines = f.languages(how.lines, []Line{text}, howStyle, howStyle, inner, section, "P")
	}
	strips := []strip{title, how}
	list := f.tags.add(section, "L", "/A<</O/List/ListNumbering/None>>")
	inner = f.width - ovalWidth - 2*ovalSide - 4*point
	for i := range c.Options {
		o := &c.Options[i]
		body := f.tags.add(f.tags.add(list, "LI", ""), "LBody", "")
		s := strip{oval: true, write: o.WriteIn}
		s.lines = f.languages(nil, o.names(f.words), optionName, optionOther, inner, body, "Span")
		s.lines = f.languages(s.lines, o.Detail, optionDetail, optionDetail, inner, body, "Span")
		strips = append(strips, s)
	}
	return strips
}

// height is what a strip takes from a line on.
func (s *strip) height(from int) unit {
	h := 2 * stripPad
	for i := range s.lines[from:] {
		h += s.lines[from+i].leading()
	}
	if s.write {
		h += writeLine
	}
	return h
}

// strip draws a part of a contest; top is where the contest's outline begins in
// this column. It returns where it begins in the column that it ends in.
func (f *ballot) strip(s *strip, c *BallotContest, top unit) unit {
	for from := 0; ; {
		rest := s.height(from)
		fits := f.y+rest <= f.bottom
		if !fits && f.y > f.start && rest <= f.bottom-f.start {
			top = f.breakContest(c, top)
			fits = f.y+rest <= f.bottom
		}
		if fits {
			f.drawStrip(s, from, len(s.lines))
			return top
		}
		to := from
		for h := 2*stripPad + s.lines[from].leading(); to < len(s.lines) && (f.y+h <= f.bottom || to == from && f.y <= f.start+100*point); {
			h += s.lines[to].leading()
			to++
		}
		if to == len(s.lines) { // all but the line to write on, which goes with the last one
			to--
		}
		f.drawStrip(s, from, max(to, from+1))
		if from = max(to, from+1); from == len(s.lines) {
			return top
		}
		top = f.breakContest(c, top)
	}
}

// breakContest goes on in the next column with the title, as an artifact.
func (f *ballot) breakContest(c *BallotContest, top unit) unit {
	f.outline(top)
	f.nextColumn()
	top = f.y
	title := []Line{{Text: c.Title[0].Text + " (" + f.words.Continued + ")"}}
	s := strip{band: true, lines: f.languages(nil, title, contestTitle, contestMore, f.width-10*point, none, "")}
	if len(s.lines) <= 4 {
		f.drawStrip(&s, 0, len(s.lines))
	}
	return top
}

// outline draws the frame of what of a contest is in this column.
func (f *ballot) outline(top unit) {
	f.page.begin(f.tags, none)
	f.page.frame(f.left(), top, f.width, f.y-top, point*3/4)
	f.page.end()
}

// left is where the open column begins.
func (f *ballot) left() unit { return margin + unit(f.column)*(f.width+columnGap) }

// nextColumn goes to the next column or the first of a new page.
func (f *ballot) nextColumn() {
	if f.column+1 < f.Columns {
		f.column++
		f.y = f.start
		return
	}
	f.newPage()
	if f.err != nil {
		f.start, f.column = f.y, 0
	}
}

// drawStrip draws lines of a strip, and with its first ones what stands beside
// or behind them.
func (f *ballot) drawStrip(s *strip, from, to int) {
	x := f.left() + 5*point
	part := strip{lines: s.lines[from:to], write: s.write && to == len(s.lines)}
	height := part.height(0)
	f.page.begin(f.tags, none)
	if s.band {
		f.page.fill(f.left(), f.y, f.width, height, [3]uint8{0xe4, 0xe4, 0xe4})
	}
	if s.oval {
		f.page.rule(f.left(), f.y, f.width, point/4, 0x55)
		x = f.left() + ovalWidth + 2*ovalSide
		if from == 0 {
			f.page.oval(f.left()+ovalSide, f.y+stripPad+2*point, ovalWidth, ovalHeight)
		}
	}
	if part.write {
		f.page.rule(x, f.y+height-stripPad-2*point, f.left()+f.width-6*point-x, point/2, 0)
	}
	f.page.end()
	y := f.y + stripPad
	for i := range part.lines {
		t := &part.lines[i]
		y += t.leading()
		f.page.begin(f.tags, t.owner)
		f.page.text(x, y-t.size/4, t.line, t.size)
		f.page.end()
	}
	f.y += height
	f.fresh = false
}
