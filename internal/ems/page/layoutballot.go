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
