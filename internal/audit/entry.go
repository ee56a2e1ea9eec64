package audit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// Phase says which half of an action an entry is, if any.
type Phase string

// The phases.
const (
	PhaseEvent   Phase = "event"   // a single fact
	PhaseIntent  Phase = "intent"  // written before an action
	PhaseOutcome Phase = "outcome" // written after it
)

// Subject says what an entry is about; every member may be empty.
type Subject struct {
	Medium   string `json:"medium,omitzero"`   // the intake's id of this insertion; in media.* the register's of the medium
	Package  string `json:"package,omitzero"`  // package_id, as claimed until verified
	Manifest string `json:"manifest,omitzero"` // SHA-256 of the manifest's payload, hex
	Station  string `json:"station,omitzero"`  // station that sealed the package
	Person   string `json:"person,omitzero"`   // who asked: account or uid
}

// Entry is one line of the audit log.
type Entry struct {
	// Seq is the entry's index in the log.
	Seq int64 `json:"seq"`
	// Boot is the kernel's boot id and MonoUS the microseconds since that boot
	// (CLOCK_BOOTTIME): within one boot it never goes back.
	Boot   string `json:"boot"`
	MonoUS int64  `json:"mono_us"`
	// Wall is the wall clock, UTC with microseconds. WallTrusted is false when
	// the station does not vouch for it or it lies before a time that was
	// trusted earlier; the order of entries never depends on it.
	Wall        string            `json:"wall"`
	WallTrusted bool              `json:"wall_trusted"`
	Event       EventID           `json:"event"`
	Phase       Phase             `json:"phase"`
	Ref         int64             `json:"ref,omitzero"` // of an outcome: seq of its intent
	Subject     Subject           `json:"subject,omitzero"`
	Outcome     Outcome           `json:"outcome,omitzero"`
	Fields      map[string]string `json:"fields,omitempty"`
}

const (
	wallFormat = "2006-01-02T15:04:05.000000Z"
	// bootForm is that of /proc/sys/kernel/random/boot_id.
	bootForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	// maxText bounds each text of an entry in bytes. With every field of the
	// largest event at this size, quoted, an entry stays under
	// translog.MaxEntry.
	maxText = 2100
	// cutText is where the recorder cuts a printable text.
	cutText = 1024
)

// hasForm says whether s is written as form, in which 0 stands for a digit, x for
// a lower-case hexadecimal digit and everything else for itself.
func hasForm(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		c, digit := s[i], '0' <= s[i] && s[i] <= '9'
		switch form[i] {
		case '0':
			if !digit {
				return false
			}
		case 'x':
			if !digit && (c < 'a' || c > 'f') {
				return false
			}
		default:
			if c != form[i] {
				return false
			}
		}
	}
	return true
}

// Encode returns the canonical JSON of e, or says why it is no valid entry.
func (e *Entry) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return strictjson.Encode(e)
}

// Time is the wall clock of the entry.
func (e *Entry) Time() time.Time {
	t, err := time.Parse(wallFormat, e.Wall)
	if err != nil {
		return time.Time{}
	}
	return t
}

// check holds every rule that one entry alone can keep or break.
func (e *Entry) check() error {
	if err := e.checkStory(); err != nil {
		return err
	}
	for _, s := range []string{e.Subject.Medium, e.Subject.Package, e.Subject.Manifest, e.Subject.Station, e.Subject.Person} {
		if !plain(s) {
			return errors.New("a subject holds text that is too long or not printable")
		}
	}
	for name, s := range e.Fields {
		if !plain(s) {
			return fmt.Errorf("the field %s holds text that is too long or not printable", name)
		}
	}
	return nil
}

// checkStory is check for an entry whose texts are known to be plain.
func (e *Entry) checkStory() error {
	if e.Seq < 0 || e.MonoUS < 0 {
		return errors.New("a negative seq or mono_us")
	}
	if !hasForm(e.Boot, bootForm) {
		return fmt.Errorf("%q is no boot id", verdict.Escape(e.Boot))
	}
	if !isWall(e.Wall) {
		return fmt.Errorf("%q is no time of the form %s", verdict.Escape(e.Wall), wallFormat)
	}
	if err := e.Event.allows(e.Phase, e.Outcome, e.Fields); err != nil {
		return err
	}
	switch {
	case e.Phase != PhaseEvent && e.Phase != PhaseIntent && e.Phase != PhaseOutcome:
		return fmt.Errorf("%q is no phase", verdict.Escape(string(e.Phase)))
	case e.Phase == PhaseOutcome && (e.Ref <= 0 || e.Ref >= e.Seq):
		return fmt.Errorf("the outcome refers to entry %d, which cannot be its intent", e.Ref)
	case e.Phase != PhaseOutcome && e.Ref != 0:
		return errors.New("only an outcome refers to another entry")
	}
	return nil
}

// isWall says whether s is a time as wallFormat writes it: time.Parse takes other
// spellings too, and is slow for something that is done for each entry read.
func isWall(s string) bool {
	if !hasForm(s, "0000-00-00T00:00:00.000000Z") {
		return false
	}
	two := func(at int) int { return int(s[at]-'0')*10 + int(s[at+1]-'0') }
	year, month, day := two(0)*100+two(2), time.Month(two(5)), two(8)
	y, m, d := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Date()
	return y == year && m == month && d == day && two(11) < 24 && two(14) < 60 && two(17) < 60
}

// plain says whether s may stand in an entry.
func plain(s string) bool {
	if len(s) > maxText || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if (r < ' ' || r > '~') && !strconv.IsGraphic(r) {
			return false
		}
	}
	return true
}

// clean makes any text, foreign or not, fit to stand in an entry: what is not
// printable is escaped, what is too long is cut and ends in "…".
func clean(s string) string {
	head := s
	if len(s) > cutText {
		n := cutText
		for n > cutText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		head = s[:n]
	}
	switch {
	case !plain(head):
		return verdict.Escape(s)
	case len(head) < len(s):
		return head + "…"
	}
	return s
}

func (s Subject) cleaned() Subject {
	return Subject{clean(s.Medium), clean(s.Package), clean(s.Manifest), clean(s.Station), clean(s.Person)}
}

// clone is a copy that holds no memory but its own: texts that were parsed are
// pieces of their whole entry.
func (s Subject) clone() Subject {
	return Subject{strings.Clone(s.Medium), strings.Clone(s.Package), strings.Clone(s.Manifest), strings.Clone(s.Station), strings.Clone(s.Person)}
}

func cleanFields(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[k] = clean(v)
	}
	return out
}
