package page

import "strconv"

// full is the length of the longest bar, in units of its picture.
const full = 1000

// colours of series: each at least 3:1 on white, and told apart by white gaps
// and by the order of the legend as well (WCAG 2.2, criteria 1.4.1 and 1.4.11).
var colours = [MaxSeries][3]uint8{
	{0x1b, 0x4f, 0x8a}, {0xb3, 0x59, 0x00}, {0x2e, 0x7d, 0x32}, {0x7b, 0x1f, 0xa2},
	{0x4d, 0x4d, 0x4d}, {0x00, 0x70, 0x7a}, {0x8a, 0x15, 0x38}, {0x6b, 0x6b, 0x00},
}

// scale is value/top of length, rounded down, in whole numbers: value must not
// be above top.
func scale(value, top int64, length int64) int64 {
	if top <= 0 {
		return 0
	}
	for top > 1<<40 { // so that the product stays within 64 bits
		value, top = value>>1, top>>1
	}
	return value * length / top
}

// greatest is the greatest value of the bars.
func (b BarChart) greatest() (top int64) {
	for _, bar := range b.Bars {
		top = max(top, bar.Value)
	}
	return top
}

// greatest is the greatest sum of the bars.
func (b StackedBars) greatest() (top int64) {
	for _, bar := range b.Bars {
		top = max(top, bar.sum())
	}
	return top
}

// sum is the length of a bar.
func (b StackedBar) sum() (sum int64) {
	for _, p := range b.Parts {
		sum += p.Value
	}
	return sum
}

// The chart is a table of label, picture and value, so the text that stands for
// the picture is beside it, for everybody.
func (b BarChart) html(h *htmlWriter) {
	h.raw("<table class=\"chart\">\n")
	h.element("caption", "", b.Caption, "")
	h.raw("<tbody>\n")
	top := b.greatest()
	for _, bar := range b.Bars {
		h.raw("<tr>")
		h.element("th", `scope="row"`, bar.Label, "")
		h.svg(bar.Label + ": " + bar.Shown)
		h.rect(0, scale(bar.Value, top, full), 0)
		h.raw("</svg></td>")
		h.element("td", "", bar.Shown, "")
		h.raw("</tr>\n")
	}
	h.raw("</tbody>\n</table>\n")
}

func (b StackedBars) html(h *htmlWriter) {
	h.raw("<table class=\"chart\">\n")
	h.element("caption", "", b.Caption, "")
	h.raw("<tbody>\n")
	top := b.greatest()
	for _, bar := range b.Bars {
		h.raw("<tr>")
		h.element("th", `scope="row"`, bar.Label, "")
		h.svg(b.alternative(bar))
		var before int64
		for i, p := range bar.Parts {
			from, to := scale(before, top, full), scale(before+p.Value, top, full)
			h.rect(from, to-from, i)
			before += p.Value
		}
		h.raw(`</svg></td><td><ul class="parts">`)
		for i, p := range bar.Parts {
			h.legend(i, b.Series[i]+": "+p.Shown)
		}
		h.raw("</ul></td></tr>\n")
	}
	h.raw("</tbody>\n</table>\n")
}

// alternative is what stands for a bar where it is not seen.
func (b StackedBars) alternative(bar StackedBar) string {
	s := bar.Label + ":"
	for i, p := range bar.Parts {
		if i > 0 {
			s += ";"
		}
		s += " " + b.Series[i] + " " + p.Shown
	}
	return s
}

// svg begins the picture of a bar with its text alternative.
func (h *htmlWriter) svg(alternative string) {
	h.raw(`<td><svg viewBox="0 0 1000 10" preserveAspectRatio="none" role="img"`)
	h.attribute("aria-label", alternative)
	h.raw(">")
}

// rect appends a part of a bar, which leaves a gap to the next one.
func (h *htmlWriter) rect(x, width int64, series int) {
	if width > 4 {
		width -= 2
	}
	h.raw(`<rect x="` + strconv.FormatInt(x, 10) + `" y="1" width="` + strconv.FormatInt(width, 10) + `" height="8" fill="` + hexColour(series) + `"/>`)
}

// legend appends a line with the colour of a series.
func (h *htmlWriter) legend(series int, text string) {
	h.open("li", "", text, "")
	h.raw(`<svg class="key" viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1" fill="` + hexColour(series) + `"/></svg>`)
	h.text(text)
	h.raw("</li>")
}

// hexColour is the colour of a series in HTML.
func hexColour(series int) string {
	const digits = "0123456789abcdef"
	s := []byte{'#'}
	for _, v := range colours[series] {
		s = append(s, digits[v>>4], digits[v&15])
	}
	return string(s)
}
