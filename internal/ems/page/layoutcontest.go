package page

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
	broken := false
	for from := 0; ; {
		rest := s.height(from)
		if f.y+rest <= f.bottom {
			f.drawStrip(s, from, len(s.lines))
			return top
		}
		n := 0
		if broken || rest > f.bottom-f.start { // else it is kept together in the next column
			n = s.fitting(from, f.bottom-f.y)
		}
		if broken {
			n = max(n, 1) // every column takes something
		}
		if n > 0 {
			f.drawStrip(s, from, from+n)
			if from += n; from == len(s.lines) {
				return top
			}
		}
		top, broken = f.breakContest(c, top), true
	}
}

// fitting is how many lines from one on fit a height. The last one goes together
// with the line to write on.
func (s *strip) fitting(from int, height unit) (n int) {
	h := 2 * stripPad
	for from+n < len(s.lines) {
		if h += s.lines[from+n].leading(); h > height {
			return n
		}
		n++
	}
	if s.write {
		n--
	}
	return n
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
