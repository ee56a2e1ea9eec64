package audit

import (
	"iter"
	"strings"
	"time"

	"sallyport/internal/translog"
)

// Filter selects entries; its zero value selects all. Members are joined by AND.
type Filter struct {
	From  int64  // first seq
	Event string // an event id, or the part before the dot ("package")
	// About is looked for in every member of the subject, whole.
	About   string
	Outcome Outcome
	// Since selects entries whose wall time, trusted or not, is not before it.
	Since time.Time
}

// Match says whether the filter selects e.
func (f Filter) Match(e *Entry) bool {
	family, _, _ := strings.Cut(string(e.Event), ".")
	switch {
	case e.Seq < f.From,
		f.Event != "" && f.Event != string(e.Event) && f.Event != family,
		f.Outcome != "" && f.Outcome != e.Outcome,
		!f.Since.IsZero() && e.Time().Before(f.Since):
		return false
	}
	s := e.Subject
	return f.About == "" || f.About == s.Medium || f.About == s.Package || f.About == s.Manifest ||
		f.About == s.Station || f.About == s.Person
}

// Query walks the entries that the filter selects, in order. A damaged place
// is an error of the kind translog.ErrTampered, after which the walk goes on;
// it ends after any other error.
func Query(log *translog.Log, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for raw, err := range log.Entries(f.From) {
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
