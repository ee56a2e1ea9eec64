package audit

import (
	"errors"
	"iter"
	"strings"
	"time"

	"sallyport/internal/translog"
)

// Filter selects entries; its zero value selects all. Members are joined by AND.
type Filter struct {
	From  int64  // first seq
	To    int64  // first seq that is not selected any more; 0: there is none
	Event string // an event id, or the part before the dot ("package")
	// About is looked for in every member of the subject, whole.
	About string
	// Subject is compared member by member; those that are empty select all.
	Subject Subject
	Outcome Outcome
	// Since selects entries whose wall time, trusted or not, is not before it,
	// and Until those whose wall time is: stretches that meet leave nothing out
	// and show nothing twice.
	Since time.Time
	Until time.Time
}

// Match says whether the filter selects e.
func (f Filter) Match(e *Entry) bool {
	family, _, _ := strings.Cut(string(e.Event), ".")
	switch {
	case e.Seq < f.From,
		f.To > 0 && e.Seq >= f.To,
		f.Event != "" && f.Event != string(e.Event) && f.Event != family,
		f.Outcome != "" && f.Outcome != e.Outcome,
		!f.Since.IsZero() && e.Time().Before(f.Since),
		!f.Until.IsZero() && !e.Time().Before(f.Until):
		return false
	}
	s := e.Subject
	for _, m := range [...][2]string{{f.Subject.Medium, s.Medium}, {f.Subject.Package, s.Package}, {f.Subject.Manifest, s.Manifest},
		{f.Subject.Station, s.Station}, {f.Subject.Person, s.Person}} {
		if m[0] != "" && m[0] != m[1] {
			return false
		}
	}
	return f.About == "" || f.About == s.Medium || f.About == s.Package || f.About == s.Manifest ||
		f.About == s.Station || f.About == s.Person
}

// Query walks the entries that the filter selects, in order. A damaged place
// from From to To is an error of the kind translog.ErrTampered, whatever else
// the filter says, after which the walk goes on; it ends after any other error.
func Query(log *translog.Log, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for raw, err := range log.Entries(f.From) {
			if f.To > 0 && raw.Index >= f.To {
				return
			}
			var e *Entry
			if err == nil {
				e, err = parseAt(raw)
			}
			if err != nil {
				if !yield(Entry{Seq: raw.Index}, err) {
					return
				}
				continue
			}
			if f.Match(e) && !yield(*e, nil) {
				return
			}
		}
	}
}

// Page is a stretch of what a filter selects.
type Page struct {
	Entries []Entry
	// Damage are the damaged places between From and To of the filter. What
	// stood there is unknown, so the rest of the filter does not hide them.
	Damage []translog.Damage
	// Next is the From of the next page; 0 when nothing was left out.
	Next int64
}

// ReadPage collects what the filter selects until it has most entries and
// damaged places, or texts of some maxBytes bytes (0: however long).
func ReadPage(log *translog.Log, f Filter, most, maxBytes int) (Page, error) {
	p := Page{Entries: []Entry{}}
	size := 0
	for e, err := range Query(log, f) {
		next := e.Seq + 1
		var d *translog.Damage
		switch {
		case errors.As(err, &d):
			p.Damage = append(p.Damage, *d)
			next = d.Until
		case err != nil:
			return p, err
		default:
			p.Entries = append(p.Entries, e)
			size += e.weight()
		}
		if len(p.Entries)+len(p.Damage) >= most || maxBytes > 0 && size >= maxBytes {
			p.Next = next
			break
		}
	}
	return p, nil
}

// weight is about what the entry takes in memory, in bytes.
func (e *Entry) weight() int {
	s := e.Subject
	n := 200 + len(s.Medium) + len(s.Package) + len(s.Manifest) + len(s.Station) + len(s.Person)
	for name, v := range e.Fields {
		n += len(name) + len(v)
	}
	return n
}
