package page

import "fmt"

// bookmark is an entry of the outline that readers show beside the pages: a
// ballot (level 0), a heading, or a table below its heading.
type bookmark struct {
	level, page int
	text        string
	y           unit // from the bottom of the page
	// Places in the outline, -1 for none.
	parent, prev, next, first, last int
	below                           int // entries below it, at all levels
}

// mark adds a bookmark at the place that is drawn next.
func (l *layout) mark(level int, text string) {
	l.bookmarks = append(l.bookmarks, bookmark{level: level, text: text, page: l.page.number, y: l.page.height - l.y, parent: -1, prev: -1, next: -1, first: -1, last: -1})
}

// link puts the bookmarks into a tree by their levels and returns its top.
func link(marks []bookmark) (top bookmark) {
	top = bookmark{first: -1, last: -1}
	at := func(i int) *bookmark {
		if i < 0 {
			return &top
		}
		return &marks[i]
	}
	for i := range marks {
		parent := i - 1
		for parent >= 0 && marks[parent].level >= marks[i].level {
			parent = marks[parent].parent
		}
		m, p := &marks[i], at(parent)
		m.parent, m.prev = parent, p.last
		if p.last >= 0 {
			marks[p.last].next = i
		} else {
			p.first = i
		}
		p.last = i
		for ; parent >= 0; parent = marks[parent].parent {
			marks[parent].below++
		}
	}
	top.below = len(marks)
	return top
}

// writeOutline writes the outline (ISO 32000-1, section 12.3.3), and returns the
// catalog's entry for it. The pages' objects are numbered from first.
func writeOutline(f *pdfFile, marks []bookmark, first int) string {
	if len(marks) == 0 {
		return ""
	}
	top := link(marks)
	root := f.reserve(1 + len(marks))
	number := func(name string, i int) string {
		if i < 0 {
			return ""
		}
		return "/" + name + " " + ref(root+1+i)
	}
	f.object(root, "<</Type/Outlines"+number("First", top.first)+number("Last", top.last)+fmt.Sprintf("/Count %d>>", top.below))
	for i := range marks {
		m := &marks[i]
		body := fmt.Sprintf("<</Title %s/Parent %s/Dest[%s/XYZ null %s null]", pdfText(m.text), ref(root+1+m.parent), ref(first+m.page), appendUnit(nil, m.y))
		body += number("Prev", m.prev) + number("Next", m.next) + number("First", m.first) + number("Last", m.last)
		if m.below > 0 {
			body += fmt.Sprintf("/Count %d", m.below)
		}
		f.object(root+1+i, body+">>")
	}
	return "/Outlines " + ref(root)
}
