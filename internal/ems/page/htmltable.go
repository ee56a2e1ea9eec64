package page

import "strconv"

// paperColumns is how many columns a browser may still get on paper. It splits
// no table, so the page says on paper that the PDF is the form to print.
const paperColumns = 12

func (b *Table) html(h *htmlWriter) {
	id := h.id()
	if len(b.Columns) > paperColumns {
		h.element("p", `class="cut"`, h.words.Wide, "")
	}
	h.raw(`<div class="wide" role="region" tabindex="0" aria-labelledby="` + id + `">` + "\n<table>\n")
	h.element("caption", `id="`+id+`"`, b.Caption, "")
	for _, g := range b.Groups {
		h.raw(`<colgroup span="` + strconv.Itoa(g.Columns) + `"></colgroup>`)
	}
	h.raw("<thead>\n")
	b.htmlGroups(h)
	h.raw("<tr>")
	for i := range b.Columns {
		h.element("th", classOf(b.Columns[i].Align, `scope="col"`), b.Columns[i].Header, "")
	}
	h.raw("</tr>\n</thead>\n<tbody>\n")
	for i := range b.Rows {
		b.htmlRow(h, &b.Rows[i])
	}
	h.raw("</tbody>\n</table>\n</div>\n")
}

// htmlGroups appends the row of titles above the columns.
func (b *Table) htmlGroups(h *htmlWriter) {
	if len(b.Groups) == 0 {
		return
	}
	h.raw("<tr>")
	for _, g := range b.Groups {
		span := ` colspan="` + strconv.Itoa(g.Columns) + `"`
		if g.Title == "" {
			h.raw("<td" + span + "></td>")
			continue
		}
		h.element("th", `scope="colgroup"`+span, g.Title, "")
	}
	h.raw("</tr>\n")
}

// htmlRow appends one row.
func (b *Table) htmlRow(h *htmlWriter, r *Row) {
	if r.Total {
		h.raw(`<tr class="total">`)
	} else {
		h.raw("<tr>")
	}
	for i, cell := range r.Cells {
		align := b.Columns[i].Align
		if i < b.HeaderColumns {
			h.open("th", classOf(align, `scope="row"`), cell, "")
			h.text(cell)
			h.raw("</th>")
			continue
		}
		h.open("td", classOf(align, ""), cell, "")
		h.text(cell)
		h.raw("</td>")
	}
	h.raw("</tr>\n")
}

// classOf adds the class of an alignment to other attributes.
func classOf(a Align, other string) string {
	class := [...]string{Left: "", Right: `class="r"`, Center: `class="c"`}[a]
	if class != "" && other != "" {
		return class + " " + other
	}
	return class + other
}
