package audit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/translog"
)

// state is what the recorder must know of all earlier entries.
type state struct {
	open  map[int64]Entry // intents without outcome; only Seq and Event are set
	floor string          // latest trusted wall time, "" when there is none
	boot  string          // of the last entry
	mono  int64           // of the last entry
}

// none stands for an empty list in log.opened.
const none = "none"

// stamp sets the times of the next entry and moves the state on.
func (s *state) stamp(e *Entry, now Reading) {
	e.MonoUS = max(0, now.Mono.Microseconds())
	if s.boot == e.Boot {
		e.MonoUS = max(e.MonoUS, s.mono)
	}
	wall := now.Wall.UTC()
	if y := wall.Year(); y < 1970 || y > 9999 {
		wall, now.Trusted = time.Unix(0, 0).UTC(), false
	}
	e.Wall = wall.Format(wallFormat)
	e.WallTrusted = now.Trusted && e.Wall >= s.floor
	if e.WallTrusted {
		s.floor = e.Wall
	}
	s.boot, s.mono = e.Boot, e.MonoUS
}

// summary adds what a later start must know to the fields of log.opened. With
// more open intents than one field can hold it says nothing, and the later
// start reads on to the log.opened before.
func (s *state) summary(fields map[string]string) {
	list, ok := joinSeqs(slices.Sorted(maps.Keys(s.open)))
	if !ok {
		return
	}
	fields["open_intents"] = list
	fields["wall_floor"] = none
	if s.floor != "" {
		fields["wall_floor"] = s.floor
	}
}

func joinSeqs(seqs []int64) (string, bool) {
	if len(seqs) == 0 {
		return none, true
	}
	texts := make([]string, len(seqs))
	for i, n := range seqs {
		texts[i] = strconv.FormatInt(n, 10)
	}
	list := strings.Join(texts, ",")
	return list, len(list) <= cutText
}

func splitSeqs(list string) ([]int64, error) {
	if list == none {
		return nil, nil
	}
	var out []int64
	for _, t := range strings.Split(list, ",") {
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil || n < 0 || strconv.FormatInt(n, 10) != t {
			return nil, fmt.Errorf("%q is no list of entries", list)
		}
		out = append(out, n)
	}
	return out, nil
}

// readState reads back from the end to the last log.opened that sums up what
// was before it.
func readState(log *translog.Log) (state, error) {
	s := state{open: map[int64]Entry{}}
	closed := map[int64]bool{}
	for i := log.Size() - 1; i >= 0; i-- {
		e, err := read(log, i)
		if err != nil {
			return s, err
		}
		if i == log.Size()-1 {
			s.boot, s.mono = e.Boot, e.MonoUS
		}
		if e.WallTrusted {
			s.floor = max(s.floor, e.Wall)
		}
		switch e.Phase {
		case PhaseOutcome:
			closed[e.Ref] = true
		case PhaseIntent:
			if !closed[i] {
				s.open[i] = Entry{Seq: i, Event: EventID(strings.Clone(string(e.Event)))}
			}
		}
		list, ok := e.Fields["open_intents"]
		if e.Event != LogOpened || !ok {
			continue
		}
		seqs, err := splitSeqs(list)
		if err != nil {
			return s, fmt.Errorf("cannot use entry %d: %w", i, err)
		}
		for _, n := range seqs {
			if closed[n] {
				continue
			}
			in, err := read(log, n)
			if err == nil && in.Phase != PhaseIntent {
				err = fmt.Errorf("entry %d is no intent, but entry %d calls it one", n, i)
			}
			if err != nil {
				return s, err
			}
			s.open[n] = Entry{Seq: n, Event: EventID(strings.Clone(string(in.Event)))}
		}
		if f := e.Fields["wall_floor"]; f != none {
			if _, err := time.Parse(wallFormat, f); err != nil {
				return s, fmt.Errorf("cannot use entry %d: its wall_floor is no time", i)
			}
			s.floor = max(s.floor, f)
		}
		break
	}
	return s, nil
}

// read reads one entry of the audit log.
func read(log *translog.Log, i int64) (*Entry, error) {
	raw, err := log.Entry(i)
	if err != nil {
		return nil, err
	}
	return parseAt(raw)
}

// parseAt parses an entry and compares its seq with its place.
func parseAt(raw translog.Entry) (*Entry, error) {
	e, err := Parse(raw.Data)
	if err == nil && e.Seq != raw.Index {
		err = fmt.Errorf("it calls itself entry %d", e.Seq)
	}
	if err != nil {
		return nil, &translog.Damage{File: raw.File, Offset: raw.Offset, Entry: raw.Index, Until: raw.Index + 1, Detail: "not a valid audit entry: " + err.Error()}
	}
	return e, nil
}
