package clarity

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"sallyport/internal/verdict"
)

// take keeps what an element says when it begins.
func (d *reader) take(parent, name string, a map[string]string) error {
	switch name {
	case "VoterTurnout", "ElectionVoterTurnout":
		return d.turnout(name, a)
	case "Contest":
		return d.contest(a)
	case "Choice":
		return d.choice(a)
	case "VoteType":
		return d.voteType(parent, a)
	case "County", "Precinct":
		return d.unit(parent, name, a)
	}
	return d.once(name)
}

// once refuses a second element where there can be one.
func (d *reader) once(name string) error {
	if len(d.stack) < 2 {
		return nil
	}
	if !d.stack[len(d.stack)-2].first(name) {
		return d.problem(RuleMissing, "the element stands twice")
	}
	return nil
}

func (d *reader) turnout(name string, a map[string]string) error {
	if d.report.Level != "" {
		return d.problem(RuleMissing, "there are two turnouts")
	}
	d.report.Level = "Precinct"
	if name == "ElectionVoterTurnout" {
		d.report.Level = "County"
	}
	var err error
	d.report.Turnout, err = d.turnoutOf(a)
	return err
}

func (d *reader) turnoutOf(a map[string]string) (Turnout, error) {
	registered, err := d.number(a, "totalVoters")
	if err != nil {
		return Turnout{}, err
	}
	cast, err := d.number(a, "ballotsCast")
	return Turnout{Registered: registered, BallotsCast: cast}, err
}

func (d *reader) contest(a map[string]string) error {
	if d.report.Level == "" {
		return d.problem(RuleMissing, "a contest stands before the turnout")
	}
	if err := d.identify(a, "key", "text"); err != nil {
		return err
	}
	n, err := d.number(a, "voteFor")
	if err != nil {
		return err
	}
	question, ok := a["isQuestion"]
	if ok && question != "true" && question != "false" {
		return d.problem(RuleNumber, "isQuestion is neither true nor false")
	}
	d.report.Contests = append(d.report.Contests, Contest{Key: a["key"], Text: a["text"], VoteFor: n, IsQuestion: question == "true"})
	return nil
}

func (d *reader) last() *Contest { return &d.report.Contests[len(d.report.Contests)-1] }

func (d *reader) choice(a map[string]string) error {
	if err := d.identify(a, "key", "text"); err != nil {
		return err
	}
	if p := a["party"]; p != "" {
		if err := d.readable("party", p); err != nil {
			return err
		}
	}
	n, err := d.number(a, "totalVotes")
	if err != nil {
		return err
	}
	c := d.last()
	c.Choices = append(c.Choices, Choice{Key: a["key"], Text: a["text"], Party: a["party"], Total: n})
	return nil
}

func (d *reader) voteType(parent string, a map[string]string) error {
	if err := d.identify(a, "name"); err != nil {
		return err
	}
	n, err := d.number(a, "votes")
	if err != nil {
		return err
	}
	list := d.voteTypes(parent)
	*list = append(*list, VoteType{Name: a["name"], Votes: n})
	return nil
}

// voteTypes is the list that a vote type below parent belongs to.
func (d *reader) voteTypes(parent string) *[]VoteType {
	c := d.last()
	if parent == "Contest" {
		return &c.Other
	}
	return &c.Choices[len(c.Choices)-1].VoteTypes
}

// unit is a county or a precinct: of the turnout, of those that take part in a
// contest, or with a count.
func (d *reader) unit(parent, name string, a map[string]string) error {
	if name != d.report.Level {
		return d.problem(RuleParticular, "the turnout is not by %s", name)
	}
	if err := d.identify(a, "name"); err != nil {
		return err
	}
	if parent == "Precincts" || parent == "Counties" {
		return d.newUnit(a)
	}
	at, ok := d.units[a["name"]]
	if !ok {
		return d.problem(RuleUnit, "the turnout does not list it")
	}
	if parent != "VoteType" {
		return nil
	}
	n, err := d.number(a, "votes")
	if err != nil {
		return err
	}
	if d.counts++; d.counts > maxCounts {
		return d.problem(RuleLimit, "more than %d counts", maxCounts)
	}
	list := *d.voteTypes(d.stack[len(d.stack)-3].name)
	v := &list[len(list)-1]
	v.Counts = append(v.Counts, Count{Unit: at, Votes: n})
	return nil
}

func (d *reader) newUnit(a map[string]string) error {
	t, err := d.turnoutOf(a)
	if err != nil {
		return err
	}
	if len(d.report.Units) == maxUnits {
		return d.problem(RuleLimit, "more than %d units", maxUnits)
	}
	d.units[a["name"]] = len(d.report.Units)
	d.report.Units = append(d.report.Units, Unit{Name: a["name"], Turnout: t})
	return nil
}

// finish keeps the text of an element that ends, and checks its sums.
func (d *reader) finish(e open) error {
	text := strings.TrimSpace(e.text.String())
	if e.form.text && text != "" {
		if err := d.readable(e.name, text); err != nil {
			return err
		}
	}
	switch e.name {
	case "Timestamp":
		d.report.Timestamp = text
	case "ElectionName":
		d.report.Name = text
	case "ElectionDate":
		d.report.Date = text
	case "Region":
		d.report.Region = text
	default:
		d.check(e.name)
	}
	return nil
}

// number reads a count.
func (d *reader) number(a map[string]string, name string) (int, error) {
	s := a[name]
	n, err := strconv.Atoi(s)
	if err != nil || strings.Trim(s, "0123456789") != "" || n > maxNumber {
		return 0, d.problem(RuleNumber, "%s is not a whole number from 0 to %d", name, maxNumber)
	}
	return n, nil
}

// identify checks the names of an element, the first of which is its identity
// among its kind.
func (d *reader) identify(a map[string]string, names ...string) error {
	for _, n := range names {
		if err := d.readable(n, a[n]); err != nil {
			return err
		}
	}
	parent, top := &d.stack[len(d.stack)-2], d.stack[len(d.stack)-1]
	id := top.name + "\x00" + a[names[0]]
	if !parent.first(id) {
		return d.problem(RuleUnique, "a second one of this name")
	}
	if d.names++; d.names > maxNames {
		return d.problem(RuleLimit, "more than %d names", maxNames)
	}
	return nil
}

func (d *reader) readable(what, s string) error {
	bad := func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }
	switch {
	case s == "":
		return d.problem(RuleText, "%s is empty", what)
	case len(s) > maxText:
		return d.problem(RuleLimit, "%s has more than %d bytes", what, maxText)
	case strings.ContainsFunc(s, bad):
		return d.problem(RuleText, "%s has characters that cannot be printed", what)
	}
	return nil
}

func quote(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return fmt.Sprintf("\"%s\"", verdict.Escape(s))
}
