package deck

import (
	"fmt"
	"io"
	"iter"
	"strconv"

	"sallyport/internal/ems/election"
)

// Key says what a line of counts is about. An empty Contest is the ballots
// cast; an empty Precinct or Style is all of them together.
type Key struct {
	Contest  string `json:"contest"`
	Precinct string `json:"precinct"`
	Style    string `json:"style"`
}

// Count is one line: votes allowed × Ballots = the sum of Votes + Overvotes +
// Undervotes. Lines of ballots cast have Ballots alone.
type Count struct {
	Ballots    int64
	Overvotes  int64
	Undervotes int64
	WriteIns   int64            // the part of Votes that went to write-in options
	Votes      map[string]int64 // by the @id of the option
}

// Counts is what was counted, by whatever counted it. Lines yields each line
// once, in any order: those of a contest in all precincts (Precinct and Style
// empty) and in each precinct that bears it are needed; lines by style, by
// style and precinct, and of ballots cast are compared when there are any.
type Counts interface {
	Lines() iter.Seq2[Key, Count]
}

// Expected is what a deck must count to, or what a zero report must contain.
type Expected struct {
	keys   []Key // in the order of reports
	lines  map[Key]*line
	sheets int
}

// line is one line, votes in the order of the contest's options.
type line struct {
	race  *race // nil where ballots cast are counted
	count Count // without Votes
	votes []int64
}

// MostNumbers is the most numbers that an expectation or a zero report can
// have: over all contests, precincts and styles.
const MostNumbers = 20_000_000

// Lines yields the lines in the order of the definition.
func (e *Expected) Lines() iter.Seq2[Key, Count] {
	return func(yield func(Key, Count) bool) {
		for _, k := range e.keys {
			if !yield(k, e.lines[k].public()) {
				return
			}
		}
	}
}

// Line returns one line; ok is false when nothing is counted there.
func (e *Expected) Line(k Key) (c Count, ok bool) {
	if l := e.lines[k]; l != nil {
		return l.public(), true
	}
	return Count{}, false
}

func (l *line) public() Count {
	c := l.count
	if l.race != nil {
		c.Votes = make(map[string]int64, len(l.votes))
		for i, n := range l.votes {
			c.Votes[l.race.options[i].id] = n
		}
	}
	return c
}

// WriteCSV writes one row for each number (RFC 4180), with a mark that these are
// no results.
func (e *Expected) WriteCSV(w io.Writer) error {
	t := newTable(w, "test", "contest", "precinct", "style", "item", "option", "count")
	for _, k := range e.keys {
		l := e.lines[k]
		row := func(item, option string, n int64) {
			t.row("TEST", k.Contest, k.Precinct, k.Style, item, option, strconv.FormatInt(n, 10))
		}
		row("ballots", "", l.count.Ballots)
		if l.race == nil {
			continue
		}
		for i, n := range l.votes {
			row("votes", l.race.options[i].id, n)
		}
		row("overvotes", "", l.count.Overvotes)
		row("undervotes", "", l.count.Undervotes)
		row("write-ins", "", l.count.WriteIns)
	}
	return t.end()
}

// Sheets is the number of ballots that are counted.
func (e *Expected) Sheets() int { return e.sheets }

// Zero is what a zero report must contain: every contest with every option, in
// all and in every precinct and style that bears it, and the ballots cast, all
// 0. It fails with [ErrBudget] only.
func Zero(v *election.Valid) (*Expected, error) { return zero(readBook(v)) }

func zero(b *book) (*Expected, error) {
	if err := b.room(); err != nil {
		return nil, err
	}
	e := &Expected{lines: map[Key]*line{}}
	e.line(Key{}, nil)
	for _, p := range b.pages {
		e.line(Key{Style: p.code}, nil)
		for _, id := range p.precincts {
			e.line(Key{Precinct: id}, nil)
			e.line(Key{Precinct: id, Style: p.code}, nil)
		}
	}
	for _, r := range b.races {
		e.line(Key{Contest: r.id}, r)
		for _, p := range b.pages {
			if !p.has(r) {
				continue
			}
			e.line(Key{r.id, "", p.code}, r)
			for _, id := range p.precincts {
				e.line(Key{r.id, id, ""}, r)
				e.line(Key{r.id, id, p.code}, r)
			}
		}
	}
	return e, nil
}

// room counts the numbers of an expectation before it is made.
func (b *book) room() error {
	n := 0
	for _, p := range b.pages {
		for _, r := range p.races {
			n += (1 + len(p.precincts)) * 2 * (4 + len(r.options))
		}
		if n > MostNumbers {
			return fmt.Errorf("%w: contests, options and precincts make more than %d numbers", ErrBudget, MostNumbers)
		}
	}
	return nil
}

// line adds a line of zeros unless it is there.
func (e *Expected) line(k Key, r *race) {
	if e.lines[k] != nil {
		return
	}
	l := &line{race: r}
	if r != nil {
		l.votes = make([]int64, len(r.options))
	}
	e.keys = append(e.keys, k)
	e.lines[k] = l
}

// Expect says what a deck must count to, by the vote rule of FORMAT.md of
// internal/ems, 1.3, and the straight-party rulesets of SP 1500-20, applied to
// what each ballot's voter would have meant. It fails with [ErrDeck] when the
// deck is not one of this definition, and with [ErrBudget].
func Expect(v *election.Valid, d *Deck) (*Expected, error) {
	b, sheets, err := d.read(v)
	if err != nil {
		return nil, err
	}
	e, err := zero(b)
	if err != nil {
		return nil, err
	}
	for p, s := range sheets {
		e.sheets++
		for _, k := range keys("", s) {
			e.lines[k].count.Ballots++
		}
		for _, r := range p.rulings(s) {
			if !r.counts {
				continue
			}
			for _, k := range keys(r.race.id, s) {
				e.lines[k].enter(&r)
			}
		}
	}
	return e, nil
}

// keys are the lines that a ballot belongs to.
func keys(contest string, s *Sheet) []Key {
	return []Key{{contest, "", ""}, {contest, s.Precinct, ""}, {contest, "", s.Style}, {contest, s.Precinct, s.Style}}
}

// enter fills the slots that one ballot has in a contest, as many as votes are
// allowed: each is a vote, an overvote or an undervote.
func (l *line) enter(r *ruling) {
	c := &l.count
	c.Ballots++
	picks := r.picks()
	for slot := range r.race.allowed {
		switch {
		case r.over:
			c.Overvotes++
		case slot >= len(picks):
			c.Undervotes++
		default:
			l.votes[picks[slot]]++
			if r.race.options[picks[slot]].writeIn {
				c.WriteIns++
			}
		}
	}
}

// isZero says whether nothing was counted.
func (c *Count) isZero() bool {
	for _, n := range c.Votes {
		if n != 0 {
			return false
		}
	}
	return c.Ballots == 0 && c.Overvotes == 0 && c.Undervotes == 0 && c.WriteIns == 0
}
