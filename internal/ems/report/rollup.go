package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/ems/results"
)

// Source is the report of one county, or of whoever else counts a part.
type Source struct {
	Name    string // whose report it is; a later one of the same name replaces it
	Results *results.Results
}

// RollUpOptions say how reports are put together.
type RollUpOptions struct {
	// Whole is the report without counts: its election, issuer, time, sequence
	// and ScopeID; its units, such as the state, come first.
	Whole results.Results
	// Contests and Choices give, by the name of a source and its identifier of a
	// contest or an option, the identifier in the whole. They are asked where
	// neither external nor own identifiers match, and settle what only looks
	// the same.
	Contests map[string]map[string]string
	Choices  map[string]map[string]string
	// Expected are the names of all sources; while one is missing the whole is
	// partial.
	Expected []string
	// AllowUnmatched lets contests and options stand alone that not another
	// source has: local contests do.
	AllowUnmatched bool
}

// Match says how a contest or an option of a source was found in the whole.
type Match struct {
	Source, ID, To string
	How            string // external-id, id, mapping, or new
}

// Replaced is a report that a newer one of the same source takes the place of.
type Replaced struct {
	Source            string
	Sequence, NewerBy int64 // of the older report, and of the one that is used
}

// Part is what one source gave.
type Part struct {
	Source   string
	Status   results.Status
	Sequence int64
	Ballots  results.Ballots
}

// Reconciliation says how a whole was made.
type Reconciliation struct {
	Parts     []Part
	Replaced  []Replaced
	Missing   []string // expected, and not there
	Contests  []Match
	Options   []Match
	Unmatched []Match // contests and options that only one source has
	Notes     []Note
}

// Errors of [RollUp].
var (
	ErrUnmatched = errors.New("contests or options do not match")
	ErrOverlap   = errors.New("votes would be counted twice")
)

// RollUp puts the reports of several sources together. A unit in which votes are
// counted may come from one source alone (ErrOverlap); what two sources mean the
// same must agree in its rules. The status is the least complete one. The sums
// of the whole are those of its parts, which is checked.
func RollUp(sources []Source, opt RollUpOptions) (*results.Results, *Reconciliation, error) {
	u := &roller{opt: opt, rec: &Reconciliation{}, units: map[string]int{}, districts: map[string]int{}, groups: map[group]int{}, counted: map[string]string{}, contests: map[string]int{}, parties: map[string]bool{}}
	out, err := u.roll(sources)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot put the reports together: %w", err)
	}
	return out, u.rec, nil
}

// roller puts reports together.
type roller struct {
	opt       RollUpOptions
	rec       *Reconciliation
	out       *results.Results
	units     map[string]int    // places of the whole's units, by identifier
	districts map[string]int    // the same, by OCD identifier
	groups    map[group]int     // the same, of units that only group others
	counted   map[string]string // unit in which votes are counted, by identity: its source
	contests  map[string]int    // how often a contest of the whole was found, by source
	parties   map[string]bool
}

func (u *roller) roll(sources []Source) (*results.Results, error) {
	whole := u.opt.Whole
	whole.Units, whole.Contests = slices.Clone(whole.Units), slices.Clone(whole.Contests)
	whole.Parties, whole.Candidates = slices.Clone(whole.Parties), slices.Clone(whole.Candidates)
	u.out = &whole
	list, err := u.newest(sources)
	if err != nil {
		return nil, err
	}
	if len(whole.Contests) > 0 {
		return nil, errors.New("the whole has contests of its own: they come from the sources")
	}
	for i := range whole.Units {
		u.know(i, false)
	}
	for _, p := range whole.Parties {
		u.parties[p.ID] = true
	}
	u.status(list)
	for i := range list {
		if err := u.source(&list[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", list[i].Name, err)
		}
	}
	if err := u.unmatched(list); err != nil {
		return nil, err
	}
	u.collect(list)
	if err := u.out.Check(); err != nil {
		return nil, err
	}
	return u.out, u.sums(list)
}

// newest checks the sources and leaves out what a newer report replaces.
func (u *roller) newest(sources []Source) ([]Source, error) {
	if len(sources) == 0 {
		return nil, errors.New("there are no reports")
	}
	var list []Source
	for _, s := range sources {
		if s.Name == "" || s.Results == nil {
			return nil, errors.New("a report without the name of its source, or without results")
		}
		if err := s.Results.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		switch r := s.Results; {
		case r.Test != u.out.Test:
			return nil, fmt.Errorf("%s: test results and results do not go together", s.Name)
		case r.ElectionID != u.out.ElectionID:
			return nil, fmt.Errorf("%s: the report is of election %q, not of %q", s.Name, r.ElectionID, u.out.ElectionID)
		case r.Date != u.out.Date:
			return nil, fmt.Errorf("%s: the report is of an election on %s, not on %s", s.Name, r.Date, u.out.Date)
		}
		i := slices.IndexFunc(list, func(x Source) bool { return x.Name == s.Name })
		if i < 0 {
			list = append(list, s)
			continue
		}
		old, next := list[i], s
		order := newer(old.Results, next.Results)
		if order == 0 {
			return nil, fmt.Errorf("%w: two reports of %s have the number %d", ErrOverlap, s.Name, s.Results.Sequence)
		}
		if order < 0 {
			old, next = next, old
		}
		list[i] = next
		u.rec.Replaced = append(u.rec.Replaced, Replaced{s.Name, old.Results.Sequence, next.Results.Sequence})
	}
	for _, name := range u.opt.Expected {
		if !slices.ContainsFunc(list, func(s Source) bool { return s.Name == name }) {
			u.rec.Missing = append(u.rec.Missing, name)
		}
	}
	return list, nil
}

// newer is above 0 when b is newer than a: by number, or by time where neither
// has a number.
func newer(a, b *results.Results) int {
	if a.Sequence == 0 && b.Sequence == 0 {
		return b.GeneratedAt.Compare(a.GeneratedAt)
	}
	return cmp.Compare(b.Sequence, a.Sequence)
}

// status is the least complete status of the parts.
func (u *roller) status(list []Source) {
	order := []results.Status{results.PreElection, results.UnofficialPartial, results.UnofficialComplete, results.Recount, results.Correction, results.Certified}
	least, most := len(order), -1
	for _, s := range list {
		at := slices.Index(order, s.Results.Status)
		least, most = min(least, at), max(most, at)
	}
	u.out.Status = order[least]
	if (len(u.rec.Missing) > 0 || least == 0) && most > 0 {
		u.out.Status = results.UnofficialPartial
	}
	for _, s := range list {
		u.rec.Parts = append(u.rec.Parts, Part{s.Name, s.Results.Status, s.Results.Sequence, s.Results.Ballots()[results.Total]})
	}
}

// renames are the identifiers of a source's objects in the whole.
type renames struct {
	units, parties map[string]string
}

// source adds one report.
func (u *roller) source(s *Source) error {
	names := &renames{units: map[string]string{}, parties: map[string]string{}}
	if err := u.addUnits(s, names); err != nil {
		return err
	}
	u.addParties(s, names)
	u.addCandidates(s)
	for i := range s.Results.Contests {
		if err := u.addContest(s, &s.Results.Contests[i], names); err != nil {
			return err
		}
	}
	return nil
}

// counting are the units of a report that have counts.
func counting(r *results.Results) map[string]bool {
	out := map[string]bool{}
	for i := range r.Units {
		if len(r.Units[i].Ballots) > 0 {
			out[r.Units[i].ID] = true
		}
	}
	for i := range r.Contests {
		for _, list := range [][]results.Line{r.Contests[i].Lines, r.Contests[i].Manual} {
			for j := range list {
				out[list[j].UnitID] = true
			}
		}
	}
	return out
}

// addUnits puts a report's units into the whole. Units that only group others
// are one when they have the same OCD identifier, or, of a type that may lie in
// several counties, the same identifier, type and name. Units with counts may
// come from one source alone.
func (u *roller) addUnits(s *Source, names *renames) error {
	counts := counting(s.Results)
	scope := s.Results.ScopeID
	home := scope
	for i := range s.Results.Units {
		if x := &s.Results.Units[i]; x.ID == scope && x.OCDID != "" {
			home = x.OCDID
		}
	}
	for i := range s.Results.Units {
		x := &s.Results.Units[i]
		if counts[x.ID] {
			key := "ocd " + x.OCDID
			if x.OCDID == "" {
				key = "id " + home + "\x00" + x.ID
			}
			if by, ok := u.counted[key]; ok {
				return fmt.Errorf("%w: unit %q is in the report of %s as well", ErrOverlap, x.ID, by)
			}
			u.counted[key] = s.Name
		}
		names.units[x.ID] = u.place(s, x, counts[x.ID])
	}
	for i := range s.Results.Units {
		u.within(s, &s.Results.Units[i], scope, names)
	}
	return nil
}

// place finds or makes the unit of the whole that stands for a source's.
func (u *roller) place(s *Source, x *results.Unit, counts bool) string {
	at, ok := u.districts[x.OCDID]
	if !ok && !counts {
		at, ok = u.groups[groupOf(x)]
	}
	if ok {
		y := &u.out.Units[at]
		if len(y.Ballots) == 0 {
			y.Ballots = slices.Clone(x.Ballots)
		}
		if y.Registered == nil {
			y.Registered = x.Registered
		}
		return y.ID
	}
	y := *x
	if _, taken := u.units[y.ID]; taken {
		y.ID = s.Name + "/" + x.ID
	}
	for _, taken := u.units[y.ID]; taken; _, taken = u.units[y.ID] {
		y.ID += "'"
	}
	y.Within, y.Ballots = nil, slices.Clone(x.Ballots)
	u.out.Units = append(u.out.Units, y)
	u.know(len(u.out.Units)-1, counts)
	return y.ID
}

// group is what units have in common that are one and only group others.
type group struct{ id, ocd, kind, name string }

func groupOf(x *results.Unit) group {
	return group{x.ID, x.OCDID, x.Type, strings.ToLower(strings.Join(strings.Fields(x.Name), " "))}
}

// wider are the types of units that may lie in several counties: of others, two
// of the same name are two.
const wider = " country state congressional state-house state-senate judicial school special utility water "

// know remembers where a unit of the whole is.
func (u *roller) know(i int, counts bool) {
	x := &u.out.Units[i]
	u.units[x.ID] = i
	if x.OCDID != "" {
		u.districts[x.OCDID] = i
	}
	if !counts && strings.Contains(wider, " "+x.Type+" ") {
		u.groups[groupOf(x)] = i
	}
}

// within puts a unit below those it is within, and a source's scope below the
// whole.
func (u *roller) within(s *Source, x *results.Unit, scope string, names *renames) {
	y := &u.out.Units[u.units[names.units[x.ID]]]
	add := func(id string) {
		if id != y.ID && !slices.Contains(y.Within, id) {
			y.Within = append(slices.Clone(y.Within), id)
		}
	}
	for _, up := range x.Within {
		add(names.units[up])
	}
	if x.ID == scope && len(x.Within) == 0 && u.out.ScopeID != "" {
		add(u.out.ScopeID)
	}
}

// addParties takes over parties: one identifier of one name is one party.
func (u *roller) addParties(s *Source, names *renames) {
	for _, p := range s.Results.Parties {
		at := slices.IndexFunc(u.out.Parties, func(q results.Party) bool { return q.ID == p.ID && same(q.Name, p.Name) })
		if at < 0 {
			from := p.ID
			if u.parties[p.ID] {
				p.ID = s.Name + "/" + p.ID
			}
			u.parties[p.ID] = true
			names.parties[from] = p.ID
			u.out.Parties = append(u.out.Parties, p)
			continue
		}
		names.parties[p.ID] = p.ID
	}
}

func (u *roller) addCandidates(s *Source) {
	for _, c := range s.Results.Candidates {
		if !slices.ContainsFunc(u.out.Candidates, func(x results.Candidate) bool { return x.ID == c.ID }) {
			u.out.Candidates = append(u.out.Candidates, c)
		}
	}
}

// same compares names as people write them.
func same(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// sums checks that the whole has the votes and ballots of its parts.
func (u *roller) sums(list []Source) error {
	var votes, ballots int64
	var hidden, secret bool // ballots, votes
	for _, s := range list {
		b := s.Results.Ballots()[results.Total]
		ballots, hidden = ballots+b.Count, hidden || b.Suppressed
		for i := range s.Results.Contests {
			t := s.Results.Contests[i].Total()
			votes += t.Cast() + t.Overvotes + t.Undervotes
			secret = secret || t.Suppressed
		}
	}
	for i := range u.out.Contests {
		t := u.out.Contests[i].Total()
		votes -= t.Cast() + t.Overvotes + t.Undervotes
	}
	if b := u.out.Ballots()[results.Total]; !secret && votes != 0 || !hidden && ballots != b.Count {
		return fmt.Errorf("%w: the whole has %d ballots and its parts %d, and %d votes differ", results.ErrContradiction, b.Count, ballots, votes)
	}
	return nil
}

// collect gives the whole the ballots in all, where units of a source do not
// say them.
func (u *roller) collect(list []Source) {
	if !slices.ContainsFunc(list, func(s Source) bool { return len(s.Results.BallotSums) > 0 }) {
		return
	}
	all := results.Ballots{Type: results.Total}
	for _, p := range u.rec.Parts {
		all.Count, all.Suppressed = all.Count+p.Ballots.Count, all.Suppressed || p.Ballots.Suppressed
	}
	if !all.Suppressed {
		u.out.BallotSums = []results.Ballots{all}
	}
}

func sortLines(lines []results.Line) {
	slices.SortFunc(lines, func(a, b results.Line) int {
		return cmp.Or(cmp.Compare(a.UnitID, b.UnitID), cmp.Compare(a.Type, b.Type))
	})
}
