package page

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// styleSheet has text of at least 7:1 on its ground and graphics of at least 3:1
// (WCAG 2.2, criteria 1.4.3, 1.4.6 and 1.4.11). Browsers repeat a table's head
// and whatever is fixed on each printed page; the strip with the notice stands
// beside the text, so that it covers none.
const styleSheet = `
* { box-sizing: border-box }
body { font: 1rem/1.4 "Go", "DejaVu Sans", "Noto Sans", sans-serif; color: #111; background: #fff; max-width: 75rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 1rem }
h2 { font-size: 1.3rem; margin: 1.5rem 0 .5rem } h3 { font-size: 1.1rem } h4, h5, h6 { font-size: 1rem }
.notice { font-weight: bold; text-align: center; border: 3px solid #111; padding: .3rem; margin: 0 0 1rem }
.strip { display: none }
.strong { font-weight: bold } .small { font-size: .85rem }
footer { border-top: 1px solid #555; margin-top: 2rem; font-size: .85rem; color: #333 }
footer p { margin: .2rem 0 }
dl > div { display: flex; gap: 1rem } dt { flex: 0 0 35%; color: #333 } dd { margin: 0; font-weight: bold; white-space: pre-wrap }
.wide { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: bold; padding: .3rem 0 }
th, td { padding: .2rem .5rem; border-bottom: 1px solid #999; vertical-align: top; text-align: left; overflow-wrap: normal }
thead th { background: #eee; border-bottom: 2px solid #111; vertical-align: bottom }
th[scope=colgroup] { text-align: center; border-left: 1px solid #555; border-bottom: 1px solid #555 }
.total > * { font-weight: bold; border-top: 2px solid #111 }
tbody th { font-weight: normal; min-width: 8rem } .wide tbody th:first-child { position: sticky; left: 0; background: #fff }
.cut { display: none }
.r { text-align: right } .c { text-align: center }
.chart { width: 100%; margin: 1rem 0 } .chart th { width: 30% } .chart td:last-child { width: 24% } .chart th, .chart td { border: 0 }
.chart svg { display: block; width: 100%; height: 1.4em; border-left: 1px solid #111 }
.chart .key { display: inline-block; width: .9em; height: .9em; vertical-align: -.1em; border: 0; margin-right: .3em }
.chart .parts { padding: 0; margin: 0; list-style: none } .parts li { margin: 0 }
.ballot { break-before: page } .ballot:first-child { break-before: auto }
.ballot header { display: flex; justify-content: space-between; border: 2px solid #111; padding: .5rem }
.ballot h1, .ballot h2, .ballot p { margin: 0 } .ballot h1 { font-size: 1.3rem } .ballot h2 { font-size: 1rem; background: #e4e4e4; padding: .2rem .4rem }
.ballot h1 span, .ballot h2 span { display: block } .ballot h1 span + span, .ballot h2 span + span, .name span + span { font-weight: normal }
.ballot .qr { flex: 0 0 7rem; width: 7rem } .how { padding: .5rem 0 }
.cols1 { columns: 1 } .cols2 { columns: 2 } .cols3 { columns: 3 } .cols4 { columns: 4 }
.contest { break-inside: avoid; border: 1px solid #111; margin: 0 0 .6rem } .contest > p { padding: .1rem .4rem; font-style: italic }
.contest ul { list-style: none; margin: 0; padding: 0 } .contest li { display: flex; gap: .5rem; padding: .25rem .4rem; border-top: 1px solid #999 }
.oval { flex: 0 0 1.6rem; width: 1.6rem; height: 1.1rem } .name span, .more span { display: block } .name { font-weight: bold } .more { font-size: .85rem }
.line { display: block; border-bottom: 1px solid #111; height: 1.5rem } .contest li > div { flex: 1 }
@media (max-width: 40rem) { .cols2, .cols3, .cols4 { columns: 1 } }
@media print {
body { font-size: 9pt; max-width: none; padding: 0 0 0 7mm } thead { display: table-header-group } tr, .chart tr, h2, h3, h4 { break-inside: avoid } h2, h3, h4, caption { break-after: avoid }
.wide { overflow: visible } .wide tbody th:first-child { position: static } .cut { display: block; font-weight: bold } .break { break-after: page }
.strip { display: block; position: fixed; left: 0; top: 0; writing-mode: vertical-rl; height: 100%; text-align: center; font-weight: bold; font-size: 8pt }
}
`

// pageRule is the part of the style sheet that depends on the document: paper,
// and the texts in the margins of a printed page (CSS Paged Media, section 4).
func pageRule(d *Document, w Words) string {
	size := [...]string{Letter: "letter", Legal: "legal", A4: "A4"}[d.Size]
	if d.Landscape {
		size += " landscape"
	}
	return fmt.Sprintf("@page { size: %s; margin: 15mm 12mm; @top-left { content: %s; font: 8pt sans-serif } @bottom-right { content: %s; font: 8pt sans-serif } }\n",
		size, cssString(d.Title), pageCounter(w.PageOf))
}

// pageCounter is the page number as CSS content.
func pageCounter(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		i := strings.IndexByte(text, '{')
		switch {
		case strings.HasPrefix(text, "{n}"):
			b.WriteString("counter(page) ")
			text = text[3:]
		case strings.HasPrefix(text, "{m}"):
			b.WriteString("counter(pages) ")
			text = text[3:]
		default:
			if i <= 0 {
				i = len(text)
			}
			b.WriteString(cssString(text[:i]) + " ")
			text = text[i:]
		}
	}
	return b.String()
}

// cssString is foreign text as a string of CSS (CSS Syntax, section 4.3.7):
// whatever is not a letter or digit of ASCII is escaped, so that it ends neither
// the string nor the style element.
func cssString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == ' '):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\%x `, r) // the space ends the escape and is part of it
		}
	}
	b.WriteByte('"')
	return b.String()
}
