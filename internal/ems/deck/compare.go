package deck

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/ems/election"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// Report is the comparison of what was counted with what must have been.
type Report struct {
	Sheets int `json:"sheets"` // ballots in the deck
	// Levels are the kinds of lines that were compared.
	Levels      []string     `json:"levels"`
	Numbers     int          `json:"numbers"` // that were compared
	Differences []Difference `json:"differences"`
}

// Difference is one number that is not what it must be.
type Difference struct {
	Key
	// Item is "ballots", "overvotes", "undervotes", "write-ins" or "votes"; or
	// "line" when a whole line is missing, unexpected or there twice.
	Item     string `json:"item"`
	Option   string `json:"option"` // @id; of votes
	Expected int64  `json:"expected"`
	Got      int64  `json:"got"`
	Note     string `json:"note"` // "missing", "unexpected", "repeated" or ""
}

// Same says whether there is no difference.
func (r *Report) Same() bool { return len(r.Differences) == 0 }

// The kinds of lines.
const (
	levelContest       = "contests"
	levelPrecinct      = "contests by precinct"
	levelStyle         = "contests by style"
	levelPrecinctStyle = "contests by precinct and style"
)

func (k Key) level() string {
	level := levelContest
	switch {
	case k.Precinct != "" && k.Style != "":
		level = levelPrecinctStyle
	case k.Precinct != "":
		level = levelPrecinct
	case k.Style != "":
		level = levelStyle
	}
	if k.Contest == "" {
		return "ballots cast" + strings.TrimPrefix(level, levelContest)
	}
	return level
}

// Compare lists every difference between what must have been counted and what
// was. got is not trusted: lines that are missing, repeated or unexpected (and
// not all zero) are differences.
func Compare(expected *Expected, got Counts) *Report {
	r := &Report{Sheets: expected.sheets, Levels: []string{}, Differences: []Difference{}}
	levels := map[string]bool{levelContest: true, levelPrecinct: true}
	have := map[Key]Count{}
	for k, c := range got.Lines() {
		if _, twice := have[k]; twice {
			r.add(Difference{Key: k, Item: "line", Note: "repeated"})
			continue
		}
		if expected.lines[k] == nil {
			if !c.isZero() {
				r.add(Difference{Key: k, Item: "line", Got: c.Ballots, Note: "unexpected"})
			}
			continue
		}
		have[k] = c
		levels[k.level()] = true
	}
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Contest, b.Contest), cmp.Compare(a.Precinct, b.Precinct), cmp.Compare(a.Style, b.Style))
	})
	for _, k := range expected.keys {
		if !levels[k.level()] {
			continue
		}
		if !slices.Contains(r.Levels, k.level()) {
			r.Levels = append(r.Levels, k.level())
		}
		if c, ok := have[k]; ok {
			r.line(k, expected.lines[k], &c)
		} else {
			r.add(Difference{Key: k, Item: "line", Expected: expected.lines[k].count.Ballots, Note: "missing"})
		}
	}
	return r
}

// CheckZero compares a zero report, or counts before the first ballot, with
// [Zero]: every number must be there and be 0. It fails with [ErrBudget] only.
func CheckZero(v *election.Valid, got Counts) (*Report, error) {
	zero, err := Zero(v)
	if err != nil {
		return nil, err
	}
	return Compare(zero, got), nil
}

func (r *Report) add(d Difference) { r.Differences = append(r.Differences, d) }

// line compares the numbers of one line.
func (r *Report) line(k Key, want *line, got *Count) {
	number := func(item, option string, want, got int64, note string) {
		r.Numbers++
		if want != got || note != "" {
			r.add(Difference{Key: k, Item: item, Option: option, Expected: want, Got: got, Note: note})
		}
	}
	number("ballots", "", want.count.Ballots, got.Ballots, "")
	if want.race == nil {
		return
	}
	number("overvotes", "", want.count.Overvotes, got.Overvotes, "")
	number("undervotes", "", want.count.Undervotes, got.Undervotes, "")
	number("write-ins", "", want.count.WriteIns, got.WriteIns, "")
	for i, n := range want.votes {
		id, note := want.race.options[i].id, ""
		have, ok := got.Votes[id]
		if !ok {
			note = "missing"
		}
		number("votes", id, n, have, note)
	}
	for _, id := range slices.Sorted(maps.Keys(got.Votes)) {
		if _, ok := want.race.at[id]; !ok {
			number("votes", id, 0, got.Votes[id], "unexpected")
		}
	}
}

// JSON is the canonical form of the report.
func (r *Report) JSON() ([]byte, error) { return strictjson.Encode(r) }

// WriteCSV writes one row for each difference (RFC 4180).
func (r *Report) WriteCSV(w io.Writer) error {
	t := newTable(w, "contest", "precinct", "style", "item", "option", "expected", "got", "note")
	for _, d := range r.Differences {
		t.row(d.Contest, d.Precinct, d.Style, d.Item, d.Option, strconv.FormatInt(d.Expected, 10), strconv.FormatInt(d.Got, 10), d.Note)
	}
	return t.end()
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TEST: %d ballots, %d numbers compared (%s)\n", r.Sheets, r.Numbers, strings.Join(r.Levels, ", "))
	if r.Same() {
		b.WriteString("no difference\n")
	} else {
		fmt.Fprintf(&b, "%d differences:\n", len(r.Differences))
	}
	for _, d := range r.Differences {
		b.WriteString("  " + d.String() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String says the difference in words.
func (d Difference) String() string {
	var b strings.Builder
	where := func(name, id string) {
		if id != "" {
			fmt.Fprintf(&b, "%s %s, ", name, verdict.Escape(id))
		}
	}
	if d.Contest == "" {
		b.WriteString("ballots cast, ")
	}
	where("contest", d.Contest)
	where("precinct", d.Precinct)
	where("style", d.Style)
	where("option", d.Option)
	fmt.Fprintf(&b, "%s: expected %d, got %d", d.Item, d.Expected, d.Got)
	if d.Note != "" {
		b.WriteString(" (" + d.Note + ")")
	}
	return b.String()
}

// table writes CSV with CRLF; foreign text cannot become a formula.
type table struct {
	csv *csv.Writer
	err error
}

func newTable(w io.Writer, head ...string) *table {
	t := &table{csv: csv.NewWriter(w)}
	t.csv.UseCRLF = true
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) {
	for i, s := range cells {
		cells[i] = guard(verdict.Visible(s))
	}
	if t.err == nil {
		t.err = t.csv.Write(cells)
	}
}

func (t *table) end() error {
	t.csv.Flush()
	if t.err == nil {
		t.err = t.csv.Error()
	}
	if t.err != nil {
		return fmt.Errorf("cannot write CSV: %w", t.err)
	}
	return nil
}

// guard puts an apostrophe before what a spreadsheet would take for a formula.
func guard(s string) string {
	if s != "" && strings.ContainsRune("=+-@'", rune(s[0])) {
		return "'" + s
	}
	return s
}
