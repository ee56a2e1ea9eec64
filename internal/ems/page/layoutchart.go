package page

import "fmt"

// chart is a chart that is being set: a figure whose text is in it, and said
// once more by its alternative text.
type chart struct {
	*layout
	figure       elem
	label        unit // width of the labels
	x, width     unit // of the bars
	page0        int
	top0         unit
	labels, text style
}

const (
	barHeight = 10 * point
	shownMost = 5 // the share of the width that values may take, one in so many
)

// startChart sets the caption and makes room for labels.
func (l *layout) startChart(caption, alternative string, labels []string) *chart {
	l.turn(l.doc.Landscape)
	c := &chart{layout: l, labels: style{9 * point, false}, text: style{9 * point, true}}
	for _, s := range labels {
		c.label = max(c.label, l.fonts.natural(s, c.labels))
	}
	c.label = min(c.label+point, l.inner()*3/10)
	c.x = margin + c.label + 6*point
	c.width = margin + l.inner() - c.x
	lines := l.fonts.fill(caption, captionStyle, l.inner())
	l.space(8 * point)
	l.need(min(unit(len(lines))*captionStyle.leading()+60*point, l.body()))
	l.paragraph(l.tags.add(l.root, "P", ""), lines, captionStyle, margin)
	l.y += 3 * point
	c.figure = l.tags.add(l.root, "Figure", "/Alt "+pdfText(alternative))
	c.page0, c.top0 = l.page.number, l.y
	return c
}

// done says where on the page the figure is, when it is on one page.
func (c *chart) done() {
	c.y += 6 * point
	if c.page.number != c.page0 {
		return
	}
	c.tags.nodes[c.figure].more += fmt.Sprintf("/A<</O/Layout/Placement/Block/BBox[%s %s %s %s]>>", appendUnit(nil, margin), appendUnit(nil, c.page.height-c.y),
		appendUnit(nil, margin+c.inner()), appendUnit(nil, c.page.height-c.top0))
}

func (b BarChart) pdf(l *layout) {
	alternative, labels, shown := b.Caption, []string(nil), unit(0)
	for _, bar := range b.Bars {
		alternative += "; " + bar.Label + ": " + bar.Shown
		labels = append(labels, bar.Label)
	}
	c := l.startChart(b.Caption, alternative, labels)
	for _, bar := range b.Bars {
		shown = max(shown, l.fonts.natural(bar.Shown, c.text))
	}
	shown = min(shown+point, c.width/2)
	top := b.greatest()
	for _, bar := range b.Bars {
		length := unit(scale(bar.Value, top, int64(c.width-shown-6*point)))
		c.bar(bar.Label, []unit{length}, []cell{{x: c.x + length + 4*point, width: shown, lines: l.fonts.fill(bar.Shown, c.text, shown)}})
	}
	c.done()
}

// bar draws one bar, with its label at the left and text behind or below it.
func (c *chart) bar(label string, parts []unit, text []cell) {
	cells := append([]cell{{x: margin, width: c.label, align: Right, lines: c.fonts.fill(label, c.labels, c.label), owner: c.figure}}, text...)
	for i := range cells {
		cells[i].owner = c.figure
	}
	height := unit(tallest(cells))*c.text.leading() + 4*point
	c.need(min(height, c.body()))
	c.page.begin(c.tags, c.figure)
	x := c.x
	for i, w := range parts {
		c.page.fill(x, c.y+3*point, max(w-point/2, 0), barHeight, colours[i])
		x += w
	}
	c.page.rule(c.x-point/2, c.y, point/2, min(height, c.bottom-c.y), 0)
	c.page.end()
	c.row(cells, c.text, 2*point)
}

func (b StackedBars) pdf(l *layout) {
	alternative, labels := b.Caption, []string(nil)
	for _, bar := range b.Bars {
		alternative += "; " + b.alternative(bar)
		labels = append(labels, bar.Label)
	}
	c := l.startChart(b.Caption, alternative, labels)
	c.legend(b.Series)
	top := b.greatest()
	for _, bar := range b.Bars {
		var parts []unit
		var before int64
		from, text := unit(0), ""
		for i, p := range bar.Parts {
			before += p.Value
			to := unit(scale(before, top, int64(c.width)))
			parts, from = append(parts, to-from), to
			if i > 0 {
				text += "; "
			}
			text += b.Series[i] + ": " + p.Shown
		}
		lines := l.fonts.fill(text, c.text, c.width)
		c.bar(bar.Label, parts, []cell{{x: c.x, width: c.width, lines: append([]line{{}}, lines...)}})
	}
	c.done()
}

// legend draws the colours of the series with their names.
func (c *chart) legend(series []string) {
	for i, name := range series {
		lines := c.fonts.fill(name, c.labels, c.width-14*point)
		c.need(min(unit(len(lines))*c.labels.leading(), c.body()))
		c.page.begin(c.tags, c.figure)
		c.page.fill(c.x, c.y+2*point, 8*point, 8*point, colours[i])
		c.page.end()
		c.row([]cell{{x: c.x + 14*point, lines: lines, owner: c.figure}}, c.labels, 0)
	}
	c.y += 3 * point
}
