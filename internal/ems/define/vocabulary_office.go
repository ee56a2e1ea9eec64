package define

import (
	"time"

	"sallyport/internal/ems/election"
)

func timeColumn(name, member string, p place[string]) column {
	return valueColumn(name, member, p, func(_ *draft, v string) (string, error) {
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return "", faultf("value", "%q is no time with zone such as 2026-09-01T12:00:00Z", v)
		}
		return v, nil
	}, func(v string) string { return v })
}

func officeTable() *class {
	c := &class{name: officeClass, file: "offices.csv", key: "id",
		ids: func(d *draft) []ID { return idsOf(d.def.Offices, func(o *election.Office) ID { return o.ID }) },
		create: func(d *draft, id ID, _ map[string]string) error {
			d.def.Offices = append(d.def.Offices, election.Office{ID: id})
			return nil
		},
		remove: func(d *draft, id ID) {
			d.def.Offices = without(d.def.Offices, func(o *election.Office) bool { return o.ID == id })
		},
		columns: []column{
			textColumn("name", "Name", officePart(func(o *election.Office) *election.Text { return &o.Name })).needed(),
			textColumn("description", "Description", officePart(func(o *election.Office) *election.Text { return &o.Description })),
			refColumn("district", "ElectionDistrictId", unitClass, officePart(func(o *election.Office) *ID { return &o.DistrictID })),
			boolColumn("partisan", "IsPartisan", officePart(func(o *election.Office) *bool { return &o.Partisan })),
			dateColumn("filing_deadline", "FilingDeadline", officePart(func(o *election.Office) *string { return &o.FilingDeadline })),
			termColumn(wordColumn("term_type", "Term", termPart(func(t *election.Term) *string { return &t.Type }), "full-term", "unexpired-term")),
			termColumn(dateColumn("term_start", "Term", termPart(func(t *election.Term) *string { return &t.StartDate }))),
			termColumn(dateColumn("term_end", "Term", termPart(func(t *election.Term) *string { return &t.EndDate }))),
		}}
	c.columns = append(c.columns, identifierColumns(officePart(func(o *election.Office) *[]election.ExternalID { return &o.ExternalIDs }))...)
	return c
}

func officePart[T any](p func(*election.Office) *T) place[T] {
	return func(d *draft, id ID) *T {
		if o := d.office(id); o != nil {
			return p(o)
		}
		return nil
	}
}

func termPart(p func(*election.Term) *string) place[string] {
	return func(d *draft, id ID) *string {
		if o := d.office(id); o != nil && o.Term != nil {
			return p(o.Term)
		}
		return nil
	}
}

// termColumn makes the term when its first value is set and drops it with its last.
func termColumn(c column) column {
	set := c.set
	c.set = func(d *draft, id ID, value string) error {
		o := d.office(id)
		if o == nil || o.Term == nil && value == "" {
			return nil
		}
		if o.Term == nil {
			o.Term = &election.Term{}
		}
		err := set(d, id, value)
		if *o.Term == (election.Term{}) {
			o.Term = nil
		}
		return err
	}
	return c
}

func headerTable() *class {
	c := &class{name: headerClass, file: "headers.csv", key: "id",
		ids: func(d *draft) []ID { return idsOf(d.def.Headers, func(h *election.Header) ID { return h.ID }) },
		create: func(d *draft, id ID, _ map[string]string) error {
			d.def.Headers = append(d.def.Headers, election.Header{ID: id})
			return nil
		},
		remove: func(d *draft, id ID) {
			d.def.Headers = without(d.def.Headers, func(h *election.Header) bool { return h.ID == id })
		},
		columns: []column{
			textColumn("name", "Name", headerPart(func(h *election.Header) *election.Text { return &h.Name })).needed(),
			textColumn("text", "HeaderedContent", headerPart(func(h *election.Header) *election.Text { return &h.Content })),
		}}
	c.columns = append(c.columns, identifierColumns(headerPart(func(h *election.Header) *[]election.ExternalID { return &h.ExternalIDs }))...)
	return c
}

func headerPart[T any](p func(*election.Header) *T) place[T] {
	return func(d *draft, id ID) *T {
		if h := d.header(id); h != nil {
			return p(h)
		}
		return nil
	}
}

// styleTable holds where ballot styles are used; what stands on them is in a
// table of its own, see [styleContestsFile].
func styleTable() *class {
	return &class{name: styleClass, file: "styles.csv", key: "code",
		ids: func(d *draft) []ID { return idsOf(d.election().Styles, func(s *election.Style) ID { return s.Code() }) },
		create: func(d *draft, code ID, _ map[string]string) error {
			if d.style(code) != nil {
				return faultf("style-id", "the code %q stands for another ballot style already", code)
			}
			e := d.election()
			d.styles[code] = len(e.Styles)
			e.Styles = append(e.Styles, election.Style{ExternalIDs: []election.ExternalID{{Type: "local-level", Value: code}}})
			return nil
		},
		remove: func(d *draft, code ID) {
			d.election().Styles = without(d.election().Styles, func(s *election.Style) bool { return s.Code() == code })
		},
		columns: []column{
			refsColumn("units", "GpUnitIds", unitClass, stylePart(func(s *election.Style) *[]ID { return &s.Units })).needed(),
			refsColumn("parties", "PartyIds", partyClass, stylePart(func(s *election.Style) *[]ID { return &s.Parties })),
			valueColumn("languages", "Language", stylePart(func(s *election.Style) *[]string { return &s.Languages }), languages, joinWords),
			stringColumn("purpose", "Purpose", stylePart(func(s *election.Style) *string { return &s.Purpose })),
		}}
}

func stylePart[T any](p func(*election.Style) *T) place[T] {
	return func(d *draft, code ID) *T {
		if s := d.style(code); s != nil {
			return p(s)
		}
		return nil
	}
}
