package page

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

// drawn is a line as it stands on a page: what it says, where it is from the
// lower left corner, and the element that it belongs to.
type drawn struct {
	text           string
	left, right, y unit
	at             unit // where the next glyph goes
	owner          elem
	furniture      bool // of the page's header or footer
}

// read interprets what a page draws, as far as it is text.
func (p *sheet) read(t *testing.T, fonts *fontSet) (all []drawn) {
	t.Helper()
	owner, furniture := none, false
	var font *face
	var size unit
	for op := range strings.Lines(string(p.out)) {
		f := strings.Fields(op)
		switch {
		case strings.HasSuffix(op, "BMC\n"), strings.HasSuffix(op, "BDC\n"):
			owner, furniture = none, strings.Contains(op, "/Pagination")
			if _, mark, ok := strings.Cut(op, "<</MCID "); ok {
				n, _ := strconv.Atoi(strings.TrimSuffix(mark, ">>BDC\n"))
				owner = p.marks[n]
			}
		case len(f) > 0 && f[0] == "BT":
			d := drawn{owner: owner, furniture: furniture}
			for i, word := range f {
				if word == "Tf" {
					n, _ := strconv.Atoi(f[i-2][2:])
					font, size = fonts.faces[n-1], units(t, f[i-1])
				}
				if strings.HasPrefix(word, "Td") {
					d.left, d.y = units(t, f[i-2]), units(t, f[i-1])
					d.right, d.at = d.left, d.left
				}
				if _, code, ok := strings.Cut(word, "<"); ok {
					d.show(t, font, size, strings.TrimSuffix(code, ">Tj"))
				}
			}
			all = append(all, d)
		}
	}
	return all
}

// show appends glyphs to a line.
func (d *drawn) show(t *testing.T, f *face, size unit, code string) {
	codes, err := hex.DecodeString(code)
	if err != nil || len(codes)%2 != 0 {
		t.Fatalf("%q is no string of glyphs", code)
	}
	for i := 0; i < len(codes); i += 2 {
		r := f.used[int(be16(codes, i))-1].r
		d.text += string(r)
		d.at += f.width(r, size)
		if r != ' ' && r != 0x3000 {
			d.right = d.at // a space at which a line was broken may lie beyond the margin
		}
	}
}

// units reads a length in points.
func units(t *testing.T, s string) unit {
	whole, part, _ := strings.Cut(s, ".")
	n, err := strconv.Atoi(whole + (part + "000")[:3])
	if err != nil {
		t.Fatal(err)
	}
	return unit(n)
}

// laid is a document that has been laid out but not written.
func laid(t *testing.T, d *Document) *layout {
	t.Helper()
	fonts, err := Fonts{}.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := (&checker{print: fonts.check}).document(d); err != nil {
		t.Skip(err)
	}
	l := &layout{doc: d, words: d.Words.filled(), fonts: fonts, tags: &tags{}}
	if err := l.run(); err != nil {
		t.Fatal(err)
	}
	return l
}

// inside checks that all text is between the margins, and content between header
// and footer. It returns the text of each element.
func (l *layout) inside(t *testing.T) map[elem]string {
	t.Helper()
	texts := map[elem]string{}
	for _, p := range l.pages {
		f := l.edges[p.width]
		for _, d := range p.read(t, l.fonts) {
			notice := d.text == l.doc.Notice
			foot := d.owner != none && l.tags.nodes[d.owner].kind == "P" && strings.HasPrefix(d.text, "foot") || d.text == "foot"
			if d.y < f.below() && !d.furniture && !foot || d.y > p.height-f.top() && !d.furniture && !notice {
				t.Errorf("page %d: %q is in the header or footer, at %d", p.number, d.text, d.y)
			}
			// a single character may be wider than its column
			if wide := utf8.RuneCountInString(strings.TrimSpace(d.text)) > 1; wide && (d.left < margin || d.right > p.width-margin+point) {
				t.Errorf("page %d: %q lies from %d to %d", p.number, d.text, d.left, d.right)
			}
			texts[d.owner] += d.text
		}
	}
	return texts
}

// FuzzTable: whatever the shape of a table, every cell is on the pages once,
// header columns once in each part, and all of it between the margins.
func FuzzTable(f *testing.F) {
	f.Add("cell", uint8(5), uint8(1), uint8(3), uint16(40), false, uint8(1))
	f.Add("a longer text of several words", uint8(60), uint8(2), uint8(5), uint16(3), true, uint8(3))
	f.Add("Donaudampfschifffahrtsgesellschaft", uint8(17), uint8(4), uint8(1), uint16(9), false, uint8(9))
	f.Add("x", uint8(1), uint8(1), uint8(0), uint16(400), false, uint8(200))
	f.Add("two\nlines", uint8(30), uint8(0), uint8(29), uint16(60), true, uint8(4))
	f.Fuzz(func(t *testing.T, s string, columns, headers, group uint8, rows uint16, landscape bool, repeat uint8) {
		if columns == 0 || columns > 80 || int(columns)*int(rows)*(len(s)+1)*(int(repeat)/8+1) > 100_000 {
			return
		}
		b := grid(s, int(columns), min(int(headers), int(columns), 4), int(group), int(rows), int(repeat))
		b.Landscape = landscape
		l := laid(t, &Document{Title: "T", Lang: "en", Footer: []string{"foot"}, Blocks: []Block{b, Paragraph{Text: "the end"}}})
		texts := l.inside(t)
		got, want, parts := map[string]int{}, map[string]int{}, 0
		for i, n := range l.tags.nodes {
			switch n.kind {
			case "Table":
				parts++
			case "TD":
				got[words(texts[elem(i)])]++
			case "TH":
				if n.more == rowScope {
					got["header "+words(texts[elem(i)])]++
				}
			}
		}
		for _, r := range b.Rows {
			for i, c := range r.Cells {
				if c = words(norm.NFC.String(c)); i < b.HeaderColumns {
					want["header "+c] += parts
				} else {
					want[c]++
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d parts: %s", parts, diff)
		}
	})
}

// grid is a table of a shape.
func grid(s string, columns, headers, group, rows, repeat int) *Table {
	b := &Table{Caption: "Caption", HeaderColumns: headers}
	for i := range columns {
		b.Columns = append(b.Columns, Column{fmt.Sprint("c", i), Align(i % 3)})
	}
	if group > 0 {
		if headers > 0 {
			b.Groups = append(b.Groups, Group{"", headers})
		}
		for left := columns - headers; left > 0; left -= group {
			b.Groups = append(b.Groups, Group{"group", min(group, left)})
		}
	}
	for i := range rows {
		r := Row{Total: i%7 == 6}
		for j := range columns {
			cell := s
			if (i+j)%11 == 0 {
				cell = strings.Repeat(s+" ", repeat)
			}
			r.Cells = append(r.Cells, cell)
		}
		b.Rows = append(b.Rows, r)
	}
	return b
}

// FuzzBallot: whatever the shape of a ballot, every option is on the pages, in
// order and between the margins.
func FuzzBallot(f *testing.F) {
	f.Add("Name", uint8(3), uint8(6), uint8(5), uint8(1))
	f.Add("A question that takes several lines?", uint8(4), uint8(2), uint8(3), uint8(40))
	f.Add("Longlonglonglonglonglonglonglong", uint8(4), uint8(1), uint8(90), uint8(2))
	f.Add("one\ntwo", uint8(1), uint8(30), uint8(1), uint8(200))
	f.Fuzz(func(t *testing.T, s string, columns, contests, options, repeat uint8) {
		if columns < 1 || columns > 4 || int(contests)*int(options)*(len(s)+1)*(int(repeat)/4+1) > 50_000 {
			return
		}
		b := &BallotPage{Title: []Line{{Text: "Election"}}, Code: "S1", QR: "S1", Columns: int(columns), Instructions: []Line{{Text: strings.Repeat(s+" ", int(repeat))}}}
		var want []string
		for i := range int(contests) {
			c := BallotContest{Title: []Line{{Text: "C " + s}}, VoteFor: 1}
			for j := range int(options) {
				name := fmt.Sprintf("%d-%d ", i, j) + s
				if (i+j)%5 == 0 {
					name += strings.Repeat(" "+s, int(repeat))
				}
				c.Options = append(c.Options, BallotOption{Name: []Line{{Text: name}}, Detail: []Line{{Lang: "es", Text: s}}, WriteIn: j%4 == 0})
				want = append(want, words(norm.NFC.String(name))+"|"+words(norm.NFC.String(s)))
			}
			b.Contests = append(b.Contests, c)
		}
		l := laid(t, &Document{Title: "T", Lang: "en", Footer: []string{"foot"}, Blocks: []Block{b}})
		texts := l.inside(t)
		var got []string
		for _, n := range l.tags.nodes {
			if n.kind == "LBody" {
				got = append(got, words(texts[elem(n.kids[0].n)])+"|"+words(texts[elem(n.kids[1].n)]))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// The sample of every block stays on its pages too.
func TestBlocksStayInside(t *testing.T) {
	for _, landscape := range []bool{false, true} {
		for _, size := range []Size{Letter, Legal, A4} {
			d := everywhere(strings.Repeat("several words of text ", 30))
			d.Notice, d.Footer, d.Landscape, d.Size = "TEST", []string{"foot"}, landscape, size
			texts := laid(t, d).inside(t)
			if len(texts) < 28 {
				t.Errorf("%d elements have text", len(texts))
			}
		}
	}
}
