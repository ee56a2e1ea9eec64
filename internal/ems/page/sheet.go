package page

import "strconv"

// unit is a thousandth of a point (1/72 inch). Layout is done in whole numbers,
// so that it is the same on every processor.
type unit int

const point unit = 1000

// sheet is one page that is being drawn. Places are measured from its upper left
// corner.
type sheet struct {
	number        int // from 0
	width, height unit
	out           []byte
	marks         []elem // by number of the marked content
	size          unit   // of the font that is set
	font          int
}

// appendUnit appends a length in points.
func appendUnit(b []byte, u unit) []byte {
	if u < 0 {
		b, u = append(b, '-'), -u
	}
	b = strconv.AppendInt(b, int64(u/point), 10)
	if rest := int(u % point); rest != 0 {
		b = append(b, '.', byte('0'+rest/100))
		if rest %= 100; rest != 0 {
			b = append(b, byte('0'+rest/10))
			if rest %= 10; rest != 0 {
				b = append(b, byte('0'+rest))
			}
		}
	}
	return b
}

// numbers appends lengths, each with a space behind it.
func (p *sheet) numbers(lengths ...unit) {
	for _, u := range lengths {
		p.out = append(appendUnit(p.out, u), ' ')
	}
}

func (p *sheet) raw(s string) { p.out = append(p.out, s...) }

// begin marks what is drawn next as content of an element, or as an artifact
// (ISO 32000-1, section 14.8.2.2).
func (p *sheet) begin(t *tags, e elem) {
	if e == none {
		p.raw("/Artifact BMC\n")
		return
	}
	t.content(e, p.number, len(p.marks))
	p.raw("/" + t.nodes[e].kind + "<</MCID ")
	p.out = strconv.AppendInt(p.out, int64(len(p.marks)), 10)
	p.raw(">>BDC\n")
	p.marks = append(p.marks, e)
}

// furniture begins what belongs to the page itself: its header and footer.
func (p *sheet) furniture(which string) {
	p.raw("/Artifact<</Type/Pagination/Subtype/" + which + ">>BDC\n")
}

func (p *sheet) end() { p.raw("EMC\n") }

// text draws a line whose baseline begins at a place.
func (p *sheet) text(x, y unit, l line, size unit) {
	if len(l.spans) == 0 {
		return
	}
	p.raw("BT ")
	for i := range l.spans {
		s := &l.spans[i]
		if p.font != s.face.number || p.size != size {
			p.font, p.size = s.face.number, size
			p.raw("/F")
			p.out = append(strconv.AppendInt(p.out, int64(p.font), 10), ' ')
			p.numbers(size)
			p.raw("Tf ")
		}
		if i == 0 {
			p.numbers(x, p.height-y)
			p.raw("Td")
		}
		if s.heavy {
			p.raw(" 2 Tr .3 w")
		}
		p.out = append(p.out, '<')
		for _, c := range s.codes {
			p.out = append(p.out, hex[c>>12], hex[c>>8&15], hex[c>>4&15], hex[c&15])
		}
		p.raw(">Tj")
		if s.heavy {
			p.raw(" 0 Tr")
		}
	}
	p.raw(" ET\n")
}

const hex = "0123456789abcdef"

// fill draws a rectangle in a colour, which is set back to black.
func (p *sheet) fill(x, y, width, height unit, colour [3]uint8) {
	p.colour(colour, "rg ")
	p.numbers(x, p.height-y-height, width, height)
	p.raw("re f 0 g\n")
}

// colour sets a colour: with "rg" that of areas, with "RG" that of lines.
func (p *sheet) colour(c [3]uint8, operator string) {
	for _, v := range c {
		p.numbers(unit(v) * point / 255)
	}
	p.raw(operator)
}

// frame draws the outline of a rectangle.
func (p *sheet) frame(x, y, width, height, thick unit) {
	p.numbers(thick)
	p.raw("w ")
	p.numbers(x, p.height-y-height, width, height)
	p.raw("re S\n")
}

// rule draws a horizontal line in grey.
func (p *sheet) rule(x, y, width, thick unit, grey uint8) {
	p.fill(x, y, width, thick, [3]uint8{grey, grey, grey})
}

// oval draws a lying oval: two straight lines and two half circles, each of two
// Bézier curves.
func (p *sheet) oval(x, y, width, height unit) {
	r := height / 2
	k := r * 552 / 1000 // a quarter of a circle within 0.03 % of its radius
	top, middle, bottom := p.height-y, p.height-y-r, p.height-y-height
	left, right := x+r, x+width-r
	p.raw("1 w ")
	p.numbers(left, top)
	p.raw("m ")
	p.numbers(right, top)
	p.raw("l ")
	p.numbers(right+k, top, right+r, middle+k, right+r, middle)
	p.raw("c ")
	p.numbers(right+r, middle-k, right+k, bottom, right, bottom)
	p.raw("c ")
	p.numbers(left, bottom)
	p.raw("l ")
	p.numbers(left-k, bottom, left-r, middle-k, left-r, middle)
	p.raw("c ")
	p.numbers(left-r, middle+k, left-k, top, left, top)
	p.raw("c s\n")
}
