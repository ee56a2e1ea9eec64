// Package vendor brings vendors' records (package dialect) into the core's
// terms: it matches the contests, choices, styles and precincts of an export to
// those of a definition, or makes a definition from an export where there is
// none, and turns the neutral ballots into those of the model. What cannot be
// matched with certainty is a problem with a name, never a guess.
package vendor

import (
	"crypto/rand"
	"fmt"
	"strings"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
)

// Mapping says what an export means where its words are not the definition's:
// from the export's name or identifier to the definition's identifier.
type Mapping struct {
	Contests  map[string]string            `json:"contests,omitempty"`
	Choices   map[string]map[string]string `json:"choices,omitempty"` // by the export's contest
	Precincts map[string]string            `json:"precincts,omitempty"`
	Styles    map[string]string            `json:"styles,omitempty"`
	// Methods maps counting groups to values of CountItemType.
	Methods map[string]string `json:"methods,omitempty"`
}

// Problem is something in an export that the definition does not have, or has
// twice.
type Problem struct {
	Kind string `json:"kind"` // contest, choice, precinct, style or votes-allowed
	Name string `json:"name"` // in the export's words
	Text string `json:"text"`
}

func (p Problem) Error() string { return fmt.Sprintf("%s %q: %s", p.Kind, p.Name, p.Text) }

// Matcher turns ballots of one export into ballots of one definition.
type Matcher struct {
	def       *model.Definition
	cat       *dialect.Catalogue
	contests  []int
	choices   [][]int // by the export's contest and choice
	writeIns  [][]int // by the definition's contest: its places to write a name
	precincts memo
	styles    memo
	methods   map[string]string
	random    bool
}

// memo remembers what labels of ballots mean.
type memo struct {
	kind  string
	in    lookup
	given map[string]string
	found map[dialect.Label]int
}

func (m *memo) find(l dialect.Label) (int, error) {
	if n, ok := m.found[l]; ok {
		return n, nil
	}
	n, p := m.in.find(m.kind, l, m.given)
	if p != nil {
		return 0, *p
	}
	m.found[l] = n
	return n, nil
}

// Match matches an export to a definition. Contests and choices go by
// identifier, external identifier, then by name, exactly; so do precincts (also
// by number) and styles. random gives every ballot a random identifier, for
// exports whose own reveal the order of casting.
func Match(v *election.Valid, cat *dialect.Catalogue, m Mapping, random bool) (*Matcher, []Problem) {
	names := newNames(v)
	x := &Matcher{def: v.Compiled(), cat: cat, random: random, methods: m.Methods,
		precincts: memo{"precinct", names.precincts, m.Precincts, map[dialect.Label]int{}},
		styles:    memo{"style", names.styles, m.Styles, map[dialect.Label]int{}}}
	var problems []Problem
	x.writeIns = make([][]int, len(x.def.Contests))
	for n := range x.def.Contests {
		for k, o := range x.def.Contests[n].Options {
			if o.WriteIn {
				x.writeIns[n] = append(x.writeIns[n], k)
			}
		}
	}
	for i := range cat.Contests {
		n, p := names.contests.find("contest", label(cat.Contests[i].ID, cat.Contests[i].Name), m.Contests)
		if p == nil && cat.Contests[i].VotesAllowed > 0 && cat.Contests[i].VotesAllowed != x.def.Contests[n].VotesAllowed && x.def.Contests[n].Ranks == 0 {
			p = &Problem{"votes-allowed", cat.Contests[i].Name, fmt.Sprintf("the export allows %d votes, the definition %d", cat.Contests[i].VotesAllowed, x.def.Contests[n].VotesAllowed)}
		}
		if p != nil {
			problems = append(problems, *p)
			x.contests, x.choices = append(x.contests, -1), append(x.choices, nil)
			continue
		}
		x.contests = append(x.contests, n)
		x.choices = append(x.choices, x.matchChoices(&cat.Contests[i], n, names, m, &problems))
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return x, nil
}

func label(id, name string) dialect.Label { return dialect.Label{ID: id, Name: name} }

// writeIn stands for whichever place to write a name is free.
const writeIn = -2

func (x *Matcher) matchChoices(c *dialect.Contest, n int, names *names, m Mapping, problems *[]Problem) []int {
	given := m.Choices[c.Name]
	if given == nil {
		given = m.Choices[c.ID]
	}
	var out []int
	for _, o := range c.Choices {
		k, p := names.options[n].find("choice", label(o.ID, o.Name), given)
		switch {
		case p == nil:
			out = append(out, k)
		case o.WriteIn && len(x.writeIns[n]) > 0:
			out = append(out, writeIn)
		default:
			p.Text += fmt.Sprintf(" (contest %q)", c.Name)
			*problems = append(*problems, *p)
			out = append(out, -1)
		}
	}
	return out
}

// Ballot turns one ballot into the model's, in b, whose memory is reused. A
// vendor's record lists the contests that were on it, so it counts for those
// alone, as one sheet does.
func (x *Matcher) Ballot(from *dialect.Ballot, b *model.Ballot) error {
	b.Reset()
	b.ID, b.Device, b.Batch, b.Method = from.ID, from.Device, from.Batch, x.method(from.Method)
	if x.random || from.ID == "" {
		b.ID = NewID()
	}
	if b.Sheet = from.Sheet; b.Sheet == "" {
		b.Sheet = "1"
	}
	var err error
	if b.Precinct, err = x.precinct(from); err != nil {
		return err
	}
	if b.Style, err = x.style(from, b.Precinct); err != nil {
		return err
	}
	for i := range from.Versions {
		v := &from.Versions[i]
		if v.Current {
			b.Current = i
		}
		s := b.AddSnapshot(map[dialect.VersionKind]model.SnapshotType{dialect.Interpreted: model.Interpreted, dialect.Modified: model.Modified}[v.Kind])
		for j := range v.Contests {
			if err := x.marks(&v.Contests[j], s.AddMarks(x.contests[v.Contests[j].Contest])); err != nil {
				return fmt.Errorf("record %q, contest %q: %w", from.ID, x.cat.Contests[v.Contests[j].Contest].Name, err)
			}
		}
	}
	return nil
}

func (x *Matcher) marks(from *dialect.Marks, m *model.Marks) error {
	n := x.contests[from.Contest]
	m.Overvoted = from.Overvoted
	free := 0
	for _, k := range from.Marks {
		p := model.Position{Option: x.choices[from.Contest][k.Choice], Indicated: model.Yes, Allocable: model.Yes, Votes: k.Votes, Rank: k.Rank}
		switch {
		case k.NotCounted:
			p.Allocable = model.No
		case k.Ambiguous:
			p.Allocable = model.Unknown
		}
		if p.Option == writeIn {
			places := x.writeIns[n]
			p.Option = places[min(free, len(places)-1)]
			free++
		}
		if x.def.Contests[n].Options[p.Option].WriteIn {
			p.WriteIn, p.Text = true, k.WriteIn
		}
		if p.Rank > x.def.Contests[n].Ranks {
			return fmt.Errorf("a mark has rank %d, and the contest has %d ranks in the definition", p.Rank, x.def.Contests[n].Ranks)
		}
		if p.Rank == 0 && x.def.Contests[n].Ranks > 0 {
			return fmt.Errorf("a mark has no rank, and the contest is ranked")
		}
		if p.Votes < 0 || p.Votes > model.MaxVotes {
			return fmt.Errorf("a mark is worth %d votes", p.Votes)
		}
		m.Positions = append(m.Positions, p)
	}
	return nil
}

func (x *Matcher) precinct(from *dialect.Ballot) (int, error) {
	if from.Precinct != (dialect.Label{}) {
		n, err := x.precincts.find(from.Precinct)
		if err != nil {
			return 0, fmt.Errorf("record %q: %w", from.ID, err)
		}
		return n, nil
	}
	if len(x.def.Precincts) == 1 {
		return 0, nil
	}
	return 0, fmt.Errorf("record %q does not say its precinct, and the definition has %d", from.ID, len(x.def.Precincts))
}

// style returns the style that the record names; where it names none, the one
// that its precinct has.
func (x *Matcher) style(from *dialect.Ballot, precinct int) (int, error) {
	if from.Style != (dialect.Label{}) {
		n, err := x.styles.find(from.Style)
		if err != nil {
			return 0, fmt.Errorf("record %q: %w", from.ID, err)
		}
		return n, nil
	}
	found := -1
	for n := range x.def.Styles {
		for _, p := range x.def.Styles[n].Precincts {
			if p != precinct {
				continue
			}
			if found >= 0 {
				return 0, fmt.Errorf("record %q does not say its ballot style, and its precinct has several", from.ID)
			}
			found = n
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("record %q does not say its ballot style", from.ID)
	}
	return found, nil
}

func (x *Matcher) method(l dialect.Label) string {
	name := l.Name
	if name == "" {
		name = l.ID
	}
	if m, ok := x.methods[name]; ok && model.IsMethod(m) {
		return m
	}
	return Method(name)
}

// Method returns the CountItemType (SP 1500-100) of a counting group that is
// known by one of its usual names, and "other" for others; "" stays "".
func Method(group string) string {
	switch strings.ToLower(strings.TrimSpace(group)) {
	case "election day", "election-day", "precinct", "polling place", "in person":
		return "election-day"
	case "mail", "vote by mail", "by mail", "absentee by mail", "absentee mail", "mail ballots":
		return "absentee-mail"
	case "absentee":
		return "absentee"
	case "absentee in person", "in-person absentee":
		return "absentee-in-person"
	case "early", "early voting", "early vote", "advance voting":
		return "early"
	case "provisional":
		return "provisional"
	case "uocava":
		return "uocava"
	case "":
		return ""
	}
	return "other"
}

// NewID returns a random UUID (version 4, RFC 9562).
func NewID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails (crypto/rand)
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
