package audit

import (
	"strings"

	"sallyport/internal/strictjson"
	"sallyport/internal/translog"
)

// Parse decodes one entry. It accepts only what [Entry.Encode] makes, and only
// what stands in the catalogue.
func Parse(data []byte) (*Entry, error) {
	var e Entry
	if err := e.parse(data, make(map[string]string, 8)); err != nil {
		return nil, err
	}
	return &e, nil
}

// parse is [Parse] into an entry that is used again; its fields are put into the
// map spare, which is emptied first.
func (e *Entry) parse(data []byte, spare map[string]string) error {
	clear(spare)
	*e = Entry{}
	if len(data) <= translog.MaxEntry && e.parsePlain(string(data), spare) {
		return e.checkStory()
	}
	*e = Entry{}
	if err := strictjson.DecodeCanonical(data, e, translog.MaxEntry); err != nil {
		return err
	}
	return e.check()
}

// parsePlain reads the form that nearly all entries have: canonical, every text
// printable ASCII without an escape and not too long, every number of at most 15
// digits. It takes a tenth of the time of the general decoder and [Entry.check],
// which judge whatever is refused here: what this accepts, they accept, with the
// same result.
func (e *Entry) parsePlain(data string, fields map[string]string) bool {
	s := scanner{rest: data}
	s.want(`{"seq":`)
	e.Seq = s.number()
	s.want(`,"boot":`)
	e.Boot = s.text()
	s.want(`,"mono_us":`)
	e.MonoUS = s.number()
	s.want(`,"wall":`)
	e.Wall = s.text()
	s.want(`,"wall_trusted":`)
	if e.WallTrusted = s.has("true"); !e.WallTrusted {
		s.want("false")
	}
	s.want(`,"event":`)
	e.Event = EventID(s.text())
	s.want(`,"phase":`)
	e.Phase = Phase(s.text())
	if s.has(`,"ref":`) {
		e.Ref = s.number()
		s.bad = s.bad || e.Ref == 0 // a zero is left out
	}
	if s.has(`,"subject":{`) {
		s.subject(&e.Subject)
	}
	if s.has(`,"outcome":`) {
		e.Outcome = Outcome(s.text())
		s.bad = s.bad || e.Outcome == ""
	}
	if s.has(`,"fields":{`) {
		s.fields(fields)
		e.Fields = fields
	}
	s.want("}")
	return !s.bad && s.rest == ""
}

// scanner reads canonical JSON from the front of a text; once something is not
// as it was wanted, bad stays set.
type scanner struct {
	rest string
	bad  bool
}

func (s *scanner) has(prefix string) (ok bool) {
	if s.rest, ok = strings.CutPrefix(s.rest, prefix); ok {
		return !s.bad
	}
	return false
}

func (s *scanner) want(prefix string) { s.bad = !s.has(prefix) }

// text reads a string of printable ASCII without escapes, of at most maxText bytes.
func (s *scanner) text() string {
	s.want(`"`)
	for i := range min(len(s.rest), maxText+1) {
		switch c := s.rest[i]; {
		case c == '"':
			t := s.rest[:i]
			s.rest = s.rest[i+1:]
			return t
		case c < ' ' || c > '~' || c == '\\':
			s.bad = true
			return ""
		}
	}
	s.bad = true
	return ""
}

// number reads an integer from 0 on, of at most 15 digits.
func (s *scanner) number() (n int64) {
	i := 0
	for i < len(s.rest) && i < 16 && '0' <= s.rest[i] && s.rest[i] <= '9' {
		n = n*10 + int64(s.rest[i]-'0')
		i++
	}
	s.bad = s.bad || i == 0 || i == 16 || i > 1 && s.rest[0] == '0'
	s.rest = s.rest[i:]
	return n
}

// subject reads the members of a subject, of which none is empty and one is there.
func (s *scanner) subject(to *Subject) {
	first := true
	for _, m := range []struct {
		name string
		to   *string
	}{{`"medium":`, &to.Medium}, {`"package":`, &to.Package}, {`"manifest":`, &to.Manifest}, {`"station":`, &to.Station}, {`"person":`, &to.Person}} {
		at := s.rest
		if !first && !s.has(",") {
			break
		}
		if !s.has(m.name) {
			s.rest = at
			continue
		}
		*m.to, first = s.text(), false
		s.bad = s.bad || *m.to == ""
	}
	s.bad = s.bad || first
	s.want("}")
}

// fields reads an object of texts, whose names ascend and of which one is there.
func (s *scanner) fields(to map[string]string) {
	for last := ""; !s.bad; {
		name := s.text()
		s.want(":")
		to[name] = s.text()
		s.bad = s.bad || name <= last
		last = name
		if s.has("}") {
			return
		}
		s.want(",")
	}
}
