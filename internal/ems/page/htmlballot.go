package page

import (
	"fmt"
	"strconv"
	"strings"

	"rsc.io/qr"
)

// quiet is the white border that a reader of QR codes needs, in modules
// (ISO/IEC 18004, section 9.1).
const quiet = 4

func (b *BallotPage) html(h *htmlWriter) {
	h.raw("<section class=\"ballot\">\n<header>\n<div>\n<h1>")
	h.lines("span", "", b.Title)
	h.raw("</h1>\n")
	h.lines("p", "", b.About)
	if b.Code != "" {
		h.element("p", `class="strong"`, b.Code, "")
	}
	h.raw("</div>\n")
	h.qr(b.QR)
	h.raw("</header>\n<div class=\"how\">\n")
	h.lines("p", "", b.Instructions)
	h.raw("</div>\n<div class=\"cols" + strconv.Itoa(b.Columns) + "\">\n")
	for i := range b.Contests {
		b.Contests[i].html(h)
	}
	h.raw("</div>\n</section>\n")
}

// html appends a contest.
func (b *BallotContest) html(h *htmlWriter) {
	h.raw("<section class=\"contest\">\n<h2>")
	h.lines("span", "", b.Title)
	h.raw("</h2>\n")
	h.lines("p", "", b.how(h.words))
	h.raw("<ul>\n")
	for i := range b.Options {
		o := &b.Options[i]
		h.raw(`<li><svg class="oval" viewBox="0 0 32 22" aria-hidden="true"><rect x="2" y="2" width="28" height="18" rx="9" fill="none" stroke="#111" stroke-width="2"/></svg><div>`)
		h.raw(`<div class="name">`)
		h.lines("span", "", o.names(h.words))
		h.raw("</div>")
		if len(o.Detail) > 0 {
			h.raw(`<div class="more">`)
			h.lines("span", "", o.Detail)
			h.raw("</div>")
		}
		if o.WriteIn {
			h.raw(`<span class="line"></span>`)
		}
		h.raw("</div></li>\n")
	}
	h.raw("</ul>\n</section>\n")
}

// how is a contest's instructions, or the number of its votes.
func (b *BallotContest) how(w Words) []Line {
	if len(b.Instructions) > 0 {
		return b.Instructions
	}
	return []Line{{Text: strings.ReplaceAll(w.VoteFor, "{n}", strconv.Itoa(b.VoteFor))}}
}

// names is the name of an option, or the word for a write-in.
func (o *BallotOption) names(w Words) []Line {
	if len(o.Name) > 0 {
		return o.Name
	}
	return []Line{{Text: w.WriteIn}}
}

// qr appends a QR code.
func (h *htmlWriter) qr(content string) {
	if content == "" {
		return
	}
	runs, size, err := qrRuns(content)
	if err != nil {
		h.err = err
		return
	}
	h.raw(fmt.Sprintf(`<svg class="qr" viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img"`, size, size))
	h.attribute("aria-label", h.words.BallotQR)
	h.raw(`><path fill="#000" d="`)
	for _, r := range runs {
		fmt.Fprintf((*appender)(&h.out), "M%d %dh%dv1h-%dz", r.x, r.y, r.n, r.n)
	}
	h.raw("\"/></svg>\n")
}

// appender writes to the end of a slice.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

// run is a row of n dark modules.
type run struct{ x, y, n int }

// qrRuns is a QR code of level M with its quiet border, and its width.
func qrRuns(content string) ([]run, int, error) {
	c, err := qr.Encode(content, qr.M)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot make a QR code of %d bytes: %w", len(content), err)
	}
	var runs []run
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			from := x
			for x < c.Size && c.Black(x, y) {
				x++
			}
			if x > from {
				runs = append(runs, run{from + quiet, y + quiet, x - from})
			}
		}
	}
	return runs, c.Size + 2*quiet, nil
}
