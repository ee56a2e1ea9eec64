package rla

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The headers of standardized contests and of lists of jurisdictions.
const (
	headContest       = "Contest Name"
	headJurisdictions = "Jurisdictions"
	headChoices       = "Choice Names"
	headJurisdiction  = "Jurisdiction"
	headAdmin         = "Admin Email"
	headExpected      = "Expected Number of Ballots"
)

// everywhere is the word for all jurisdictions.
const everywhere = "all"

// StandardContest is one contest of the audit with the jurisdictions that have
// it on their ballots.
type StandardContest struct {
	Name          string
	Jurisdictions []string // nil for all
	Choices       []string // nil when the file does not name them
}

// ReadStandardContests reads standardized contests (Arlo: "Contest Name";
// "Jurisdictions", separated by commas, or "all"; and, for all rows or none,
// "Choice Names", separated by semicolons). A name on several lines is joined
// by spaces, and Dominion's " (Vote For=N)" is taken off its end.
func ReadStandardContests(file string, r io.Reader) ([]StandardContest, error) {
	f := form{columns: []column{
		{name: headContest, kind: title, required: true, key: true},
		{name: headJurisdictions, kind: list, required: true},
		{name: headChoices, kind: list},
	}}
	var all []StandardContest
	seen := map[string]bool{}
	_, err := readTable(file, r, f, func(r *row) error {
		c := StandardContest{Name: withoutVoteFor(r.text(headContest))}
		if seen[c.Name] {
			return r.problem(headContest, RuleDuplicate, "the contest %s stands twice", quote(c.Name))
		}
		seen[c.Name] = true
		var err error
		if !strings.EqualFold(r.text(headJurisdictions), everywhere) {
			if c.Jurisdictions, err = r.names(headJurisdictions, ","); err != nil {
				return err
			}
		}
		if r.t.has(headChoices) {
			if c.Choices, err = r.names(headChoices, ";"); err != nil {
				return err
			}
		}
		all = append(all, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func withoutVoteFor(s string) string {
	if m := regexp.MustCompile(`^(.+) \(Vote For=[0-9]+\)$`).FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return s
}

// names splits a cell that is a list.
func (r *row) names(column, separator string) ([]string, error) {
	var names []string
	seen := map[string]bool{}
	for name := range strings.SplitSeq(r.text(column), separator) {
		name = strings.TrimSpace(name)
		if rule, detail := badText(name, maxCell); rule != "" {
			return nil, r.problem(column, RuleList, "a name of the list: %s", detail)
		}
		if seen[name] {
			return nil, r.problem(column, RuleList, "%s stands twice", quote(name))
		}
		seen[name] = true
		names = append(names, name)
	}
	return names, nil
}

// WriteStandardContests writes contests that [ReadStandardContests] reads back
// as the same, or nothing.
func WriteStandardContests(w io.Writer, all []StandardContest) error {
	choices := slices.ContainsFunc(all, func(c StandardContest) bool { return c.Choices != nil })
	rows := [][]string{{headContest, headJurisdictions}}
	if choices {
		rows[0] = append(rows[0], headChoices)
	}
	for _, c := range all {
		cells := []string{c.Name, everywhere}
		if c.Jurisdictions != nil {
			cells[1] = strings.Join(c.Jurisdictions, ", ")
		}
		if choices {
			cells = append(cells, strings.Join(c.Choices, ";"))
		}
		rows = append(rows, cells)
	}
	return writeTable(w, rows, func(r io.Reader) error {
		back, err := ReadStandardContests(written, r)
		if err != nil {
			return err
		}
		if !slices.EqualFunc(back, all, StandardContest.equal) {
			return notKept("a contest")
		}
		return nil
	})
}

func (c StandardContest) equal(d StandardContest) bool {
	return c.Name == d.Name && (c.Jurisdictions == nil) == (d.Jurisdictions == nil) &&
		slices.Equal(c.Jurisdictions, d.Jurisdictions) && slices.Equal(c.Choices, d.Choices)
}

// Jurisdiction is one row of the list of jurisdictions: a jurisdiction with
// several administrators has several rows.
type Jurisdiction struct {
	Name, Admin string
	Expected    int // the number of ballots its manifest should have; 0 when not stated
}

// ReadJurisdictions reads a list of jurisdictions (Arlo: "Jurisdiction",
// "Admin Email", and optionally "Expected Number of Ballots").
func ReadJurisdictions(file string, r io.Reader) ([]Jurisdiction, error) {
	f := form{columns: []column{
		{name: headJurisdiction, required: true, key: true},
		{name: headAdmin, kind: email, required: true, key: true},
		{name: headExpected, kind: number, optional: true},
	}}
	var all []Jurisdiction
	_, err := readTable(file, r, f, func(r *row) error {
		all = append(all, Jurisdiction{Name: r.text(headJurisdiction), Admin: r.text(headAdmin), Expected: r.number(headExpected)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// WriteJurisdictions writes jurisdictions that [ReadJurisdictions] reads back
// as the same, or nothing.
func WriteJurisdictions(w io.Writer, all []Jurisdiction) error {
	expected := slices.ContainsFunc(all, func(j Jurisdiction) bool { return j.Expected != 0 })
	rows := [][]string{{headJurisdiction, headAdmin}}
	if expected {
		rows[0] = append(rows[0], headExpected)
	}
	for _, j := range all {
		cells := []string{j.Name, j.Admin}
		switch {
		case expected && j.Expected != 0:
			cells = append(cells, strconv.Itoa(j.Expected))
		case expected:
			cells = append(cells, "")
		}
		rows = append(rows, cells)
	}
	return writeTable(w, rows, func(r io.Reader) error {
		back, err := ReadJurisdictions(written, r)
		if err != nil {
			return err
		}
		if !slices.Equal(back, all) {
			return notKept("a jurisdiction")
		}
		return nil
	})
}

// CheckContests holds contests against the list of jurisdictions.
func CheckContests(file string, contests []StandardContest, all []Jurisdiction) error {
	known := map[string]bool{}
	for _, j := range all {
		known[j.Name] = true
	}
	for _, c := range contests {
		for _, name := range c.Jurisdictions {
			if !known[name] {
				return &Problem{File: file, Rule: RuleJurisdiction, Detail: fmt.Sprintf("the contest %s names %s, which is not in the list of jurisdictions", quote(c.Name), quote(name))}
			}
		}
	}
	return nil
}
