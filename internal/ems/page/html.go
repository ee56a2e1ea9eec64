package page

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// WriteHTML writes the document as one static HTML file, in which nothing is
// fetched and nothing runs. It fails with a [TextError], or an error that names
// the place in the document, before it writes anything; and with the writer's
// error.
func (d *Document) WriteHTML(w io.Writer) error {
	c := checker{print: CheckText}
	if err := c.document(d); err != nil {
		return err
	}
	h := &htmlWriter{words: d.Words.filled()}
	h.head(d)
	if d.Notice != "" {
		h.element("p", `class="notice" role="note"`, d.Notice, "")
		h.raw(`<div class="strip" aria-hidden="true">`)
		h.text(d.Notice)
		h.raw("</div>\n")
	}
	h.raw("<main>\n")
	if !d.opensWithBallot() {
		h.element("h1", "", d.Title, "")
	}
	for _, b := range d.Blocks {
		b.html(h)
	}
	h.raw("</main>\n")
	h.footer(d.Footer)
	h.raw("</body>\n</html>\n")
	if h.err != nil {
		return h.err
	}
	if _, err := w.Write(h.out); err != nil {
		return fmt.Errorf("cannot write a document as HTML: %w", err)
	}
	return nil
}

// opensWithBallot reports whether the first heading is a ballot's.
func (d *Document) opensWithBallot() bool {
	if len(d.Blocks) == 0 {
		return false
	}
	_, ballot := d.Blocks[0].(*BallotPage)
	return ballot
}

// htmlWriter collects a document. Text goes in through text and attribute
// alone, which escape it.
type htmlWriter struct {
	out   []byte
	words Words
	ids   int
	err   error
}

// raw appends markup, which is ours.
func (h *htmlWriter) raw(s string) { h.out = append(h.out, s...) }

// number appends a whole number.
func (h *htmlWriter) number(n int) { h.out = strconv.AppendInt(h.out, int64(n), 10) }

// text appends foreign text; a line feed is a line break.
func (h *htmlWriter) text(s string) {
	start := 0
	for i := 0; i < len(s); i++ {
		var as string
		switch s[i] {
		case '&':
			as = "&amp;"
		case '<':
			as = "&lt;"
		case '>':
			as = "&gt;"
		case '"':
			as = "&#34;"
		case '\'':
			as = "&#39;"
		case '\n':
			as = "<br>"
		default:
			continue
		}
		h.out = append(append(h.out, s[start:i]...), as...)
		start = i + 1
	}
	h.out = append(h.out, s[start:]...)
}

// attribute appends an attribute with foreign text.
func (h *htmlWriter) attribute(name, value string) {
	h.raw(" " + name + `="`)
	h.text(strings.ReplaceAll(value, "\n", " "))
	h.raw(`"`)
}

// open begins an element; attrs are ours. The text that will stand in it
// decides about its direction.
func (h *htmlWriter) open(tag, attrs, text, lang string) {
	h.raw("<" + tag)
	if attrs != "" {
		h.raw(" " + attrs)
	}
	if lang != "" {
		h.attribute("lang", lang)
	}
	if strings.ContainsFunc(text, rightToLeft) {
		h.raw(` dir="auto"`)
	}
	h.raw(">")
}

// element appends an element of foreign text.
func (h *htmlWriter) element(tag, attrs, text, lang string) {
	h.open(tag, attrs, text, lang)
	h.text(text)
	h.raw("</" + tag + ">\n")
}

// lines appends an element for each line.
func (h *htmlWriter) lines(tag, attrs string, lines []Line) {
	for _, l := range lines {
		h.element(tag, attrs, l.Text, l.Lang)
	}
}

// id returns a new id.
func (h *htmlWriter) id() string {
	h.ids++
	return "b" + strconv.Itoa(h.ids)
}

// head appends everything in front of the content. The policy allows the one
// style sheet by its hash and nothing else (CSP level 3).
func (h *htmlWriter) head(d *Document) {
	style := styleSheet + pageRule(d, h.words)
	sum := sha256.Sum256([]byte(style))
	h.raw("<!DOCTYPE html>\n<html")
	h.attribute("lang", d.Lang)
	h.raw(">\n<head>\n<meta charset=\"utf-8\">\n")
	h.raw(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-` +
		base64.StdEncoding.EncodeToString(sum[:]) + `'; base-uri 'none'; form-action 'none'">` + "\n")
	h.raw("<meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"referrer\" content=\"no-referrer\">\n")
	h.meta("author", d.Author)
	if !d.Date.IsZero() {
		h.meta("date", d.Date.Format(time.RFC3339))
	}
	h.element("title", "", strings.ReplaceAll(d.Title, "\n", " "), "")
	h.raw("<style>" + style + "</style>\n</head>\n<body>\n")
}

// meta appends metadata, when there is any.
func (h *htmlWriter) meta(name, content string) {
	if content == "" {
		return
	}
	h.raw(`<meta name="` + name + `"`)
	h.attribute("content", content)
	h.raw(">\n")
}

// footer appends the lines at the end of the document.
func (h *htmlWriter) footer(lines []string) {
	if len(lines) == 0 {
		return
	}
	h.raw("<footer>\n")
	for _, s := range lines {
		h.element("p", "", s, "")
	}
	h.raw("</footer>\n")
}

func (b Heading) html(h *htmlWriter) {
	h.element("h"+strconv.Itoa(b.Level+1), "", b.Text, b.Lang)
}

func (b Paragraph) html(h *htmlWriter) {
	var class string
	switch {
	case b.Strong && b.Small:
		class = `class="strong small"`
	case b.Strong:
		class = `class="strong"`
	case b.Small:
		class = `class="small"`
	}
	h.element("p", class, b.Text, b.Lang)
}

func (b List) html(h *htmlWriter) {
	tag := "ul"
	if b.Ordered {
		tag = "ol"
	}
	h.raw("<" + tag + ">\n")
	h.lines("li", "", b.Items)
	h.raw("</" + tag + ">\n")
}

func (b KeyValues) html(h *htmlWriter) {
	h.raw("<dl>\n")
	for _, p := range b.Pairs {
		h.raw("<div>")
		h.element("dt", "", p.Key, "")
		h.element("dd", "", p.Value, "")
		h.raw("</div>\n")
	}
	h.raw("</dl>\n")
}

func (PageBreak) html(h *htmlWriter) { h.raw("<div class=\"break\"></div>\n") }
