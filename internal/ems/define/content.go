package define

import (
	"cmp"
	"slices"
	"strings"

	"sallyport/internal/ems/election"
)

func styleContestsColumns() []string { return []string{"style", "header", "contest", "options"} }

// content reads what stands on ballot styles: a row for each contest, in ballot
// order; rows of one header that follow each other stand under it together.
func (s *set) content() {
	t := s.tables[styleContestsFile]
	if t == nil {
		if st := s.tables["styles.csv"]; st != nil {
			s.problems.add(styleContestsFile, 0, "", "file-missing", "styles.csv needs it beside itself; without both the ballot styles are made")
		}
		return
	}
	if s.tables["styles.csv"] == nil {
		s.problems.add("styles.csv", 0, "", "file-missing", styleContestsFile+" needs it beside itself; without both the ballot styles are made")
		return
	}
	for _, r := range t.rows {
		if column, err := s.contentRow(r.cells); err != nil {
			s.fault(t.file, r.line, column, err)
		}
	}
}

func (s *set) contentRow(cells map[string]string) (column string, err error) {
	style := s.style(cells["style"])
	if style == nil {
		return "style", missing(styleClass, cells["style"])
	}
	into := &style.Content
	if h := cells["header"]; h != "" {
		if err := s.known(headerClass, h); err != nil {
			return "header", err
		}
		into = under(into, h, cells["contest"] == "")
	} else if cells["contest"] == "" {
		return "contest", faultf("cell-missing", "the row names neither a contest nor a header")
	}
	if cells["contest"] == "" {
		return "", nil
	}
	if err := s.known(contestClass, cells["contest"]); err != nil {
		return "contest", err
	}
	o := &election.OrderedContest{Contest: cells["contest"]}
	if v := cells["options"]; v != "" {
		if o.Options, err = words(v); err != nil {
			return "options", err
		}
	}
	*into = append(*into, o)
	return "", nil
}

// under returns where contests below a header go: the last header when it is
// this one, otherwise a new one. A row without contest begins a header.
func under(list *election.Content, header ID, begin bool) *election.Content {
	if n := len(*list); n > 0 && !begin {
		if h, ok := (*list)[n-1].(*election.OrderedHeader); ok && h.Header == header {
			return &h.Content
		}
	}
	h := &election.OrderedHeader{Header: header}
	*list = append(*list, h)
	return &h.Content
}

// contentTable writes what stands on ballot styles.
func (d *draft) contentTable() *table {
	t := &table{file: styleContestsFile, columns: styleContestsColumns()}
	for i := range d.election().Styles {
		s := &d.election().Styles[i]
		var last ID // the header of the item before, when rows would join it
		for _, item := range s.Content {
			switch item := item.(type) {
			case *election.OrderedContest:
				t.add(map[string]string{"style": s.Code(), "contest": item.Contest, "options": joinWords(item.Options)})
				last = ""
			case *election.OrderedHeader:
				if len(item.Content) == 0 || item.Header == last {
					t.add(map[string]string{"style": s.Code(), "header": item.Header})
				}
				for _, below := range item.Content {
					if o, ok := below.(*election.OrderedContest); ok { // deeper headers: the set cannot hold them
						t.add(map[string]string{"style": s.Code(), "header": item.Header, "contest": o.Contest, "options": joinWords(o.Options)})
					}
				}
				last = item.Header
			}
		}
	}
	return t
}

func (t *table) add(cells map[string]string) {
	t.rows = append(t.rows, row{line: len(t.rows) + 2, cells: cells})
}

func translationsColumns() []string { return []string{"object", "field", "language", "text"} }

// translate reads the texts in other languages.
func (s *set) translate() {
	t := s.tables[translationsFile]
	if t == nil {
		return
	}
	seen := map[string]bool{}
	for _, r := range t.rows {
		key := r.cells["object"] + " " + r.cells["field"] + " " + r.cells["language"]
		column, err := s.translation(r.cells["object"], r.cells["field"], r.cells["language"], r.cells["text"])
		if err == nil && seen[key] {
			column, err = "language", faultf("translation-repeated", "this text has a translation into the language already")
		}
		seen[key] = true
		if f, ok := err.(*fault); ok && f.rule == "translation-base" && s.told(r.cells["object"]) {
			continue
		}
		if err != nil {
			s.fault(t.file, r.line, column, err)
		}
	}
}

// translation sets one text in one language; an empty text is refused.
func (d *draft) translation(object ID, field, language, text string) (column string, err error) {
	switch {
	case text == "":
		return "text", faultf("cell-missing", "the translation has no text")
	case len(d.settings.languages) > 0 && !slices.Contains(d.settings.languages, language):
		return "language", faultf("language", "%q is not one of the election's languages: %s", language, strings.Join(d.settings.languages, " "))
	case language == d.base:
		return "language", faultf("language", "the text in %q, the first language, stands in the object's own row", language)
	}
	t, column, err := d.textOf(object, field)
	if err != nil {
		return column, err
	}
	if _, ok := t.In(d.base); !ok {
		return "text", faultf("translation-base", "the text is not there in %q, the first language, of which this is a translation", d.base)
	}
	setText(t, language, text, false)
	return "", nil
}

// textOf finds a text by object and column.
func (d *draft) textOf(object ID, field string) (t *election.Text, column string, err error) {
	name := electionClass
	if object != electionClass {
		s, ok := d.at[object]
		if !ok {
			return nil, "object", missing("object", object)
		}
		name = s.class
	}
	c := d.class(name)
	col := c.column(field)
	if col == nil || col.text == nil || col.text(d, object) == nil {
		var can []string
		for _, x := range c.columns {
			if x.text != nil && x.text(d, object) != nil {
				can = append(can, x.name)
			}
		}
		return nil, "field", faultf("translation-field", "%q is no text of this %s that is translated; those are: %s", field, name, cmp.Or(strings.Join(can, ", "), "none"))
	}
	return col.text(d, object), "", nil
}

// translationTable writes the texts in other languages.
func (d *draft) translationTable() *table {
	t := &table{file: translationsFile, columns: translationsColumns()}
	d.texts(func(_ *class, id ID, col column, text *election.Text) {
		for _, s := range text.Text {
			if s.Language != d.base {
				t.add(map[string]string{"object": id, "field": col.name, "language": s.Language, "text": s.Content})
			}
		}
	})
	return t
}
