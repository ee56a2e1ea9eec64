package page

import (
	"fmt"
	"strconv"
)

// elem is a structure element (ISO 32000-1, section 14.7): the place in a
// document's tree that content on pages belongs to. None is content that belongs
// to no place: an artifact, such as a page's header.
type elem int32

const none elem = -1

// tags is the structure tree of a PDF.
type tags struct {
	nodes []node
}

// node is one element with what is in it, in reading order.
type node struct {
	kind   string // a standard structure type, section 14.8.4
	more   string // further entries of its dictionary
	parent elem
	kids   []kid
}

// kid is an element (page -1) or a piece of marked content on a page.
type kid struct{ page, n int32 }

// add puts a new element at the end of another, or at the root.
func (t *tags) add(parent elem, kind, more string) elem {
	e := elem(len(t.nodes))
	t.nodes = append(t.nodes, node{kind: kind, more: more, parent: parent})
	if parent != none {
		t.nodes[parent].kids = append(t.nodes[parent].kids, kid{-1, int32(e)})
	}
	return e
}

// content puts marked content at the end of an element.
func (t *tags) content(e elem, page, mcid int) {
	t.nodes[e].kids = append(t.nodes[e].kids, kid{int32(page), int32(mcid)})
}

// language is the entry for a text's own language.
func langEntry(lang string) string {
	if lang == "" {
		return ""
	}
	return "/Lang(" + lang + ")" // of letters, digits and hyphens, which the checker saw to
}

// write writes the tree and the way back from pages to it; it returns the root's
// number. The pages' objects are numbered from first.
func (t *tags) write(f *pdfFile, pages []*sheet, first int) int {
	root, base := f.reserve(1), f.reserve(len(t.nodes))
	for i := range t.nodes {
		n := &t.nodes[i]
		f.begin(base + i)
		parent := root
		if n.parent != none {
			parent = base + int(n.parent)
		}
		b := append(append(f.open, "<</S/"...), n.kind...)
		b = append(strconv.AppendInt(append(b, "/P "...), int64(parent), 10), " 0 R"...)
		b = append(b, n.more...)
		b = n.appendKids(b, base, first)
		f.open = append(b, ">>\n"...)
	}
	nums := "/Nums["
	for i, p := range pages {
		nums += strconv.Itoa(i) + " " + ref(p.writeParents(f, base)) + " "
	}
	parents := f.add("<<" + nums + "]>>")
	f.object(root, fmt.Sprintf("<</Type/StructTreeRoot/K %s/ParentTree %s/ParentTreeNextKey %d>>", ref(base), ref(parents), len(pages)))
	return root
}

// appendKids appends the entries Pg and K of an element. Content on the page of
// the first piece is a number, content on others names its page.
func (n *node) appendKids(b []byte, base, first int) []byte {
	page := int32(-1)
	for _, k := range n.kids {
		if k.page >= 0 {
			page = k.page
			b = append(strconv.AppendInt(append(b, "/Pg "...), int64(first)+int64(page), 10), " 0 R"...)
			break
		}
	}
	b = append(b, "/K["...)
	for _, k := range n.kids {
		switch {
		case k.page < 0:
			b = append(strconv.AppendInt(b, int64(base)+int64(k.n), 10), " 0 R"...)
		case k.page == page:
			b = strconv.AppendInt(b, int64(k.n), 10)
		default:
			b = fmt.Appendf(b, "<</Type/MCR/Pg %d 0 R/MCID %d>>", first+int(k.page), k.n)
		}
		b = append(b, ' ')
	}
	return append(b, ']')
}

// writeParents writes the elements that a page's marked content belongs to.
func (p *sheet) writeParents(f *pdfFile, base int) int {
	n := f.reserve(1)
	f.begin(n)
	f.open = append(f.open, '[')
	for _, e := range p.marks {
		f.open = append(strconv.AppendInt(f.open, int64(base)+int64(e), 10), " 0 R "...)
	}
	f.open = append(f.open, "]\n"...)
	return n
}
