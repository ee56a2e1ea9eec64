package page

import (
	"fmt"
	"strconv"
	"strings"
)

// Measures of a page.
const (
	margin  = 42 * point  // at the left and right
	edge    = 30 * point  // above the header and below the footer
	least   = 220 * point // of a page's body, in height
	bodyPt  = 10 * point
	smallPt = 8 * point
)

// layout puts blocks on pages.
type layout struct {
	doc   *Document
	words Words
	fonts *fontSet
	tags  *tags
	root  elem
	// Where the next block goes: the page, and the rest of its body.
	page       *sheet
	y, bottom  unit
	fresh      bool // nothing is on the page yet
	wide       bool // pages are landscape
	pages      []*sheet
	err        error
	bookmarks  []bookmark
	level      int    // of the last heading
	onNew      func() // draws what a block repeats on its next page
	titleLines map[unit]furniture
}

// furniture is header and footer for a width of paper.
type furniture struct {
	title, notice []line
	footer        [][]line
}

var (
	noticeStyle = style{11 * point, true}
	smallStyle  = style{smallPt, false}
)

// paper is the size of a page.
func (d *Document) paper(landscape bool) (width, height unit) {
	sizes := [...][2]unit{Letter: {612 * point, 792 * point}, Legal: {612 * point, 1008 * point}, A4: {595276, 841890}}
	width, height = sizes[d.Size][0], sizes[d.Size][1]
	if landscape {
		return height, width
	}
	return width, height
}

// prepare sets header and footer for both ways to turn the paper, and sees that
// they leave room for content.
func (l *layout) prepare() error {
	l.titleLines = map[unit]furniture{}
	for _, landscape := range []bool{false, true} {
		width, height := l.doc.paper(landscape)
		inner := width - 2*margin
		f := furniture{title: l.fonts.fill(strings.ReplaceAll(l.doc.Title, "\n", " "), smallStyle, inner)}
		if l.doc.Notice != "" {
			f.notice = l.fonts.fill(l.doc.Notice, noticeStyle, inner-8*point)
		}
		for _, s := range l.doc.Footer {
			f.footer = append(f.footer, l.fonts.fill(s, smallStyle, inner))
		}
		l.titleLines[width] = f
		if height-f.top()-f.below() < least {
			return &shapeError{"/Title, /Notice and /Footer", "together they leave no room for content on a page: shorten them"}
		}
	}
	return nil
}

// top is the height of the edge and the header.
func (f *furniture) top() unit {
	h := edge + unit(len(f.title))*smallStyle.leading() + 4*point
	if len(f.notice) > 0 {
		h += unit(len(f.notice))*noticeStyle.leading() + 10*point
	}
	return h + 6*point
}

// below is the height of the footer and the edge.
func (f *furniture) below() unit {
	n := 1
	for _, lines := range f.footer {
		n += len(lines)
	}
	return edge + unit(n)*smallStyle.leading() + 6*point
}

// newPage begins a page.
func (l *layout) newPage() {
	if len(l.pages) >= MaxPages && l.err == nil {
		l.err = fmt.Errorf("cannot print the document: more than %d pages", MaxPages)
	}
	if l.err != nil { // goes on over the last page, to the end: nothing of it is written
		l.y, l.fresh, l.page.out = l.top(), true, l.page.out[:0]
		return
	}
	width, height := l.doc.paper(l.wide)
	l.page = &sheet{number: len(l.pages), width: width, height: height}
	l.pages = append(l.pages, l.page)
	f := l.titleLines[width]
	l.drawHeader(&f)
	l.y, l.bottom, l.fresh = f.top(), height-f.below(), true
	if l.onNew != nil {
		l.onNew()
		l.fresh = true
	}
}

func (l *layout) top() unit {
	f := l.titleLines[l.page.width]
	return f.top()
}

// inner is the width between the margins.
func (l *layout) inner() unit { return l.page.width - 2*margin }

// body is the height of an empty page's body.
func (l *layout) body() unit { return l.bottom - l.top() }

// drawHeader draws a page's header.
func (l *layout) drawHeader(f *furniture) {
	p := l.page
	p.furniture("Header")
	y := edge
	for _, text := range f.title {
		y += smallStyle.leading()
		p.text(margin, y, text, smallPt)
	}
	p.rule(margin, y+3*point, l.inner(), point/2, 0x55)
	y += 4 * point
	p.end()
	if len(f.notice) > 0 {
		l.drawNotice(f.notice, y)
	}
}

// drawNotice draws the notice in its frame. On the first page it is content:
// somebody who listens hears it once, before all else.
func (l *layout) drawNotice(notice []line, y unit) {
	p, owner := l.page, none
	if p.number == 0 {
		owner = l.tags.add(l.root, "P", "")
	}
	height := unit(len(notice))*noticeStyle.leading() + 6*point
	p.begin(l.tags, owner)
	p.frame(margin, y+3*point, l.inner(), height, 3*point/2)
	y += 4 * point
	for _, text := range notice {
		y += noticeStyle.leading()
		p.text(margin+(l.inner()-text.width)/2, y, text, noticeStyle.size)
	}
	p.end()
}

// finishPages draws the footers, now that the number of pages is known. On the
// last page the footer's lines are content: somebody who listens hears them
// once.
func (l *layout) finishPages() {
	for i, p := range l.pages {
		l.page = p
		f := l.titleLines[p.width]
		y := p.height - f.below() + 6*point
		p.furniture("Footer")
		p.rule(margin, y-3*point, l.inner(), point/2, 0x55)
		number := l.fonts.fill(l.pageOf(i+1), smallStyle, l.inner())[0]
		p.text(p.width-margin-number.width, p.height-edge, number, smallPt)
		p.end()
		for _, lines := range f.footer {
			owner := none
			if i == len(l.pages)-1 {
				owner = l.tags.add(l.root, "P", "")
			}
			p.begin(l.tags, owner)
			for _, text := range lines {
				y += smallStyle.leading()
				p.text(margin, y, text, smallPt)
			}
			p.end()
		}
	}
}

// pageOf is the text of a page's number.
func (l *layout) pageOf(n int) string {
	return strings.NewReplacer("{n}", strconv.Itoa(n), "{m}", strconv.Itoa(len(l.pages))).Replace(l.words.PageOf)
}

// need begins a page when a height does not fit the rest of this one.
func (l *layout) need(height unit) {
	if l.y+height > l.bottom && !l.fresh {
		l.newPage()
	}
}

// space leaves room between blocks, but not at the top of a page.
func (l *layout) space(height unit) {
	if !l.fresh {
		l.y += height
	}
}

// turn goes to a new page of the given direction, unless it is there already.
func (l *layout) turn(landscape bool) {
	if l.wide != landscape {
		l.wide = landscape
		l.newPage()
	}
}

// paragraph sets lines below each other over as many pages as it takes.
func (l *layout) paragraph(e elem, lines []line, st style, x unit) {
	for len(lines) > 0 {
		l.need(st.leading())
		n := min(len(lines), max(1, int((l.bottom-l.y)/st.leading())))
		l.page.begin(l.tags, e)
		for _, text := range lines[:n] {
			l.y += st.leading()
			l.page.text(x, l.y-st.size/4, text, st.size)
		}
		l.page.end()
		l.fresh = false
		lines = lines[n:]
	}
}

// run lays out the whole document.
func (l *layout) run() error {
	if err := l.prepare(); err != nil {
		return err
	}
	l.root = l.tags.add(none, "Document", "")
	l.wide = l.doc.Landscape
	if len(l.doc.Blocks) > 0 {
		t, ok := l.doc.Blocks[0].(*Table)
		l.wide = l.wide || ok && t.Landscape // with the title
	}
	l.newPage()
	if !l.doc.opensWithBallot() {
		st := style{18 * point, true}
		l.paragraph(l.tags.add(l.root, "H1", ""), l.fonts.fill(l.doc.Title, st, l.inner()), st, margin)
		l.y += 6 * point
	}
	for _, b := range l.doc.Blocks {
		b.pdf(l)
	}
	l.finishPages()
	return l.err
}
