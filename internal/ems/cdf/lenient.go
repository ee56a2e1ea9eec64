package cdf

import (
	"crypto/rand"
	"fmt"
	"strconv"
)

// supply gives the current record what a lenient reader may supply, and notes
// it: an identifier, and style and unit where there is only one. An identifier
// is never made of the record's content or of its place in the report, from
// which the order of casting could be recovered.
func (s *records) supply() error {
	r, lenient := &s.rec, s.c.lenient
	note := func(rule, consequence string) {
		lenient.addAt(s.c.file, "/CVR/"+strconv.Itoa(s.count), rule, consequence)
	}
	if len(r.unique.b) == 0 {
		consequence, err := s.identify()
		if err != nil {
			return err
		}
		note("unique-id-missing", consequence)
	}
	d := s.want.Definition
	if len(r.style.b) == 0 && len(d.Styles) == 1 && len(d.Styles[0].IDs) > 0 {
		r.style.set([]byte(d.Styles[0].IDs[0]))
		note("style-missing", "the definition has one ballot style, and this record is taken to be of it")
	}
	if len(r.unit.b) == 0 {
		if n, ok := s.styles[string(r.style.b)]; ok && len(d.Styles[n].Precincts) == 1 {
			r.unit.set([]byte(d.Precincts[d.Styles[n].Precincts[0]].ID))
			s.unitSupplied = true
			note("unit-missing", "the record's ballot style is used in one reporting unit, and the record is taken to be from there")
		}
	}
	return nil
}

// identify gives the record an identifier in place of its UniqueId.
func (s *records) identify() (consequence string, err error) {
	r := &s.rec
	switch {
	case len(r.audit.b) > 0:
		r.unique.set(r.audit.b)
		return "BallotAuditId stands for it; if that number counts ballots as they were scanned, so does the identifier", nil
	case len(r.prePrinted.b) > 0 && len(r.sheet.b) == 0:
		r.unique.set(r.prePrinted.b)
		return "BallotPrePrintedId stands for it; if that number counts ballots as they were cast, so does the identifier", nil
	}
	id, err := randomUUID()
	if err != nil {
		return "", err
	}
	r.unique.set([]byte(id))
	return "a random UUID stands for it; the same report read again brings other identifiers, and its ballots would count again", nil
}

// randomUUID returns a UUID of version 4 (RFC 9562).
func randomUUID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("cannot make an identifier: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
