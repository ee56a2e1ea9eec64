package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/translog"
)

// maxOpen bounds the open intents that a verification remembers.
const maxOpen = 10_000

// Report is the result of [Verify].
type Report struct {
	translog.Report
	// First and Last are the wall times of the first and last entry; Untrusted
	// counts the entries whose wall time was not trusted.
	First     string `json:"first,omitzero"`
	Last      string `json:"last,omitzero"`
	Untrusted int64  `json:"untrusted_times"`
	// Boots counts how often the boot id changed, plus one.
	Boots int64 `json:"boots"`
	// Recovered counts the interrupted writes that the station itself found
	// and recorded.
	Recovered int64 `json:"recovered"`
	// Open are the intents without outcome. They are no damage: the action
	// was under way when the log ended.
	Open []OpenIntent `json:"open_intents,omitempty"`
}

// OpenIntent is an action of which the log does not tell the end.
type OpenIntent struct {
	Seq     int64   `json:"seq"`
	Event   EventID `json:"event"`
	Subject Subject `json:"subject,omitzero"`
}

// verifier checks what entries say about each other.
type verifier struct {
	rep   *Report
	open  map[int64]OpenIntent
	more  bool // more open intents than maxOpen: pairs are not checked further
	gap   bool // an entry is missing or damaged: what it said is unknown
	next  int64
	boot  string
	mono  int64
	floor string

	entry  Entry             // the one at hand
	fields map[string]string // where its fields are
}

// Verify checks an audit log in a folder with nothing but public keys: all of
// translog.Verify, and that each entry is canonical, stands in its place, fits
// the catalogue, and agrees with the entries before it (clocks, intents and
// outcomes, what log.opened sums up). opt.Visit must be nil.
func Verify(ctx context.Context, dir string, opt translog.VerifyOptions) (*Report, error) {
	if opt.Visit != nil {
		return nil, errors.New("cannot verify the audit log: Visit is taken")
	}
	v := &verifier{rep: &Report{}, open: map[int64]OpenIntent{}, fields: map[string]string{}}
	opt.Visit = v.visit
	tr, err := translog.Verify(ctx, dir, opt)
	if err != nil {
		return nil, err
	}
	v.rep.Report = *tr
	for _, seq := range slices.Sorted(maps.Keys(v.open)) {
		v.rep.Open = append(v.rep.Open, v.open[seq])
	}
	if v.more {
		v.rep.Notes = append(v.rep.Notes, fmt.Sprintf("more than %d intents are open at once: pairs were not checked from there on", maxOpen))
	}
	if v.gap {
		v.rep.Notes = append(v.rep.Notes, "because entries are damaged, intents and outcomes could not be compared throughout")
	}
	return v.rep, nil
}

func (v *verifier) visit(raw translog.Entry) error {
	if raw.Index != v.next {
		v.gap = true
	}
	v.next = raw.Index + 1
	e := &v.entry
	if err := e.parse(raw.Data, v.fields); err != nil {
		v.gap = true
		return fmt.Errorf("not a valid audit entry: %w", err)
	}
	if e.Seq != raw.Index {
		return fmt.Errorf("the entry calls itself %d", e.Seq)
	}
	return errors.Join(v.times(e), v.pairs(e))
}

// times checks the clocks against the entries before.
func (v *verifier) times(e *Entry) error {
	var errs []error
	if v.boot != e.Boot {
		v.rep.Boots++
	} else if e.MonoUS < v.mono {
		errs = append(errs, fmt.Errorf("mono_us goes back from %d to %d within one boot", v.mono, e.MonoUS))
	}
	v.boot, v.mono = e.Boot, e.MonoUS
	if v.rep.First == "" {
		v.rep.First = e.Wall
	}
	v.rep.Last = e.Wall
	if !e.WallTrusted {
		v.rep.Untrusted++
	} else if e.Wall < v.floor {
		errs = append(errs, fmt.Errorf("the wall time is called trusted but lies before %s, which was trusted earlier", v.floor))
	} else {
		v.floor = e.Wall
	}
	return errors.Join(errs...)
}

// pairs checks that each outcome has its intent and log.opened tells the truth.
func (v *verifier) pairs(e *Entry) error {
	if e.Seq == 0 && e.Event != LogOpened {
		return fmt.Errorf("the log begins with %s instead of %s", e.Event, LogOpened)
	}
	if e.Event == LogRecovered {
		v.rep.Recovered++
	}
	if v.more {
		return nil
	}
	switch e.Phase {
	case PhaseIntent:
		if len(v.open) == maxOpen {
			v.more, v.open = true, nil
			return nil
		}
		v.open[e.Seq] = OpenIntent{e.Seq, EventID(strings.Clone(string(e.Event))), e.Subject.clone()}
	case PhaseOutcome:
		in, ok := v.open[e.Ref]
		if !ok && v.gap {
			return nil
		}
		if !ok {
			return fmt.Errorf("the outcome refers to entry %d, which is no open intent", e.Ref)
		}
		delete(v.open, e.Ref)
		if in.Event != e.Event || in.Subject != e.Subject {
			return fmt.Errorf("the outcome differs from its intent, entry %d, in event or subject", e.Ref)
		}
	}
	if e.Event == LogOpened && !v.gap {
		return v.opened(e)
	}
	return nil
}

// opened compares what log.opened says with what the entries before it say.
func (v *verifier) opened(e *Entry) error {
	if got := e.Fields["entries"]; got != strconv.FormatInt(e.Seq, 10) {
		return fmt.Errorf("log.opened counts %s entries before itself, there are %d", got, e.Seq)
	}
	list, ok := joinSeqs(slices.Sorted(maps.Keys(v.open)))
	if got, has := e.Fields["open_intents"]; has != ok || ok && got != list {
		return fmt.Errorf("log.opened names the open intents %q, the log has %q", got, list)
	}
	return nil
}
