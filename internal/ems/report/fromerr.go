package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/results"
)

// Note says what of a document was not used, or was read in a way that somebody
// should know.
type Note struct {
	Where string // JSON pointer, or element and line
	Text  string
}

// maxSteps bounds the work of sorting units into each other.
const maxSteps = 1 << 26

// errReader reads one election results report.
type errReader struct {
	d       *cdf.Document
	ids     map[string]*cdf.Object
	e       *cdf.Object
	r       *results.Results
	up      map[string][]string // units directly above a unit
	devices map[string]bool     // units that are reporting devices
	notes   []Note
	noted   map[Note]bool
	steps   int
}

// FromERR reads an election results report (SP 1500-100 version 2) that was
// read, and so checked, by package cdf. Counts are never used twice: a total
// beside its parts, a unit beside what it is composed of, and counts by device
// beside counts of all are compared and left out; what contradicts itself or
// overlaps is an error. The notes say what was not used.
func FromERR(doc *cdf.Document) (*results.Results, []Note, error) {
	if doc == nil || doc.Format != cdf.ERR {
		return nil, nil, errors.New("cannot read results: the document is no election results report (SP 1500-100)")
	}
	root := doc.Root
	elections := root.List("Election")
	if len(elections) != 1 {
		return nil, nil, fmt.Errorf("cannot read results: the report has %d elections, and one is read at a time", len(elections))
	}
	if end, _ := root.Int("SequenceEnd"); end > 1 {
		return nil, nil, fmt.Errorf("cannot read results: the document is one of %d parts of a report; put them together first", end)
	}
	f := &errReader{d: doc, ids: doc.Index(), e: elections[0], r: &results.Results{}, up: map[string][]string{}, devices: map[string]bool{}, noted: map[Note]bool{}}
	for _, step := range []func() error{f.root, f.units, f.ballots, f.contests, f.r.Check} {
		if err := step(); err != nil {
			return nil, nil, fmt.Errorf("cannot read results: %w", err)
		}
	}
	return f.r, f.notes, nil
}

func (f *errReader) note(o *cdf.Object, format string, args ...any) {
	n := Note{o.Pointer(), fmt.Sprintf(format, args...)}
	if !f.noted[n] {
		f.noted[n] = true
		f.notes = append(f.notes, n)
	}
}

// unused notes members that are not read, once for each class.
func (f *errReader) unused(o *cdf.Object, used string) {
	for _, name := range o.Names() {
		n := Note{o.Class(), name + " is not used"}
		if !strings.Contains(" "+used+" ", " "+name+" ") && !f.noted[n] {
			f.noted[n] = true
			f.notes = append(f.notes, n)
		}
	}
}

// root reads what is said about the report and its election.
func (f *errReader) root() error {
	root, r := f.d.Root, f.r
	at, err := time.Parse(time.RFC3339, root.Str("GeneratedDate"))
	if err != nil {
		return errors.New("the report has no GeneratedDate, a time with zone")
	}
	r.GeneratedAt = at.UTC()
	r.Issuer, r.IssuerAbbreviation = root.Str("Issuer"), root.Str("IssuerAbbreviation")
	r.Status = results.Status(root.Str("Status"))
	r.Test, _ = root.Bool("IsTest")
	r.Provenance = root.Str("Notes")
	r.Sequence, _ = strconv.ParseInt(identifier(root, idSequence), 10, 64)
	r.DefinitionSHA256, r.StateDigest, r.LogHead = identifier(root, idDefinition), identifier(root, idState), identifier(root, idLogHead)
	if r.ElectionID = identifier(f.e, idElection); r.ElectionID == "" {
		if list := f.e.List("ExternalIdentifier"); len(list) > 0 {
			r.ElectionID = list[0].Str("Value")
		} else {
			f.note(f.e, "the election has no identifier")
		}
	}
	r.Name, r.Date, r.EndDate = f.e.Text("Name"), f.e.Str("StartDate"), f.e.Str("EndDate")
	r.Type, r.ScopeID = enum(f.e, "Type", "OtherType"), f.e.Str("ElectionScopeId")
	for _, p := range root.List("Party") {
		r.Parties = append(r.Parties, results.Party{ID: p.ID(), Name: p.Text("Name"), Abbreviation: p.Text("Abbreviation"), Color: p.Str("Color")})
	}
	f.unused(root, "Election GpUnit Party Format GeneratedDate Issuer IssuerAbbreviation IsTest Notes SequenceStart SequenceEnd Status VendorApplicationId ExternalIdentifier")
	f.unused(f.e, "BallotCounts Candidate Contest ElectionScopeId ExternalIdentifier Name StartDate EndDate Type OtherType")
	for _, p := range root.List("Party") {
		f.unused(p, "@id Name Abbreviation Color")
	}
	for _, p := range f.e.List("Candidate") {
		f.unused(p, "@id BallotName IsIncumbent PartyId PersonId")
	}
	return nil
}

// units reads the reporting units; devices are none in which votes are cast.
func (f *errReader) units() error {
	for _, o := range f.d.Root.List("GpUnit") {
		if o.Class() == "ReportingDevice" {
			f.devices[o.ID()] = true
			continue
		}
		for _, id := range o.Refs("ComposingGpUnitIds") {
			f.up[id] = append(f.up[id], o.ID())
		}
	}
	for _, o := range f.d.Root.List("GpUnit") {
		if f.devices[o.ID()] {
			f.note(o, "the reporting device is not used")
			continue
		}
		u := results.Unit{ID: o.ID(), Name: o.Text("Name"), Type: enum(o, "Type", "OtherType"), Within: f.up[o.ID()]}
		// How many sub-units have reported follows from their counts.
		f.unused(o, "@id Name Type OtherType ComposingGpUnitIds ExternalIdentifier VotersRegistered CountStatus SubUnitsReported TotalSubUnits")
		for _, x := range o.List("ExternalIdentifier") {
			if x.Str("Type") == "ocd-id" && u.OCDID == "" {
				u.OCDID = x.Str("Value")
			} else {
				f.note(o, "an identifier of type %q is not used", x.Str("Type"))
			}
		}
		if n, ok := o.Int("VotersRegistered"); ok {
			u.Registered = &n
		}
		for _, s := range o.List("CountStatus") {
			if s.Str("Type") == results.Total {
				u.Counted = s.Str("Status")
			} else {
				f.note(o, "the CountStatus of type %q is not used", s.Str("Type"))
			}
		}
		f.r.Units = append(f.r.Units, u)
	}
	return nil
}

// ballots reads the ballots cast: they are counts of one option.
func (f *errReader) ballots() error {
	t := f.newTable(1, f.e)
	for _, o := range f.e.List("BallotCounts") {
		if !o.Has("BallotsCast") {
			f.note(o, "ballots outstanding or rejected are not used")
			continue
		}
		if round, _ := o.Int("Round"); round > 0 {
			f.note(o, "ballots by round are not used")
			continue
		}
		if err := t.take(o, "BallotsCast", 0); err != nil {
			return err
		}
	}
	used, err := t.resolve(f.r.ScopeID, f.r.ScopeID)
	if err != nil {
		return err
	}
	hidden := false
	for i := range f.r.Units {
		u := &f.r.Units[i]
		c := t.units[u.ID]
		if c == nil || !used[u.ID] {
			continue
		}
		for _, kind := range c.kinds() {
			p := c.parts[kind]
			hidden = hidden || p.hidden
			u.Ballots = append(u.Ballots, results.Ballots{Type: kind, Count: p.n[0], Suppressed: p.hidden})
		}
		if c.total != nil && (len(c.parts) == 0 || c.hides()) {
			u.Ballots = append(u.Ballots, results.Ballots{Type: results.Total, Count: c.total.n[0], Suppressed: c.total.hidden})
		}
	}
	if whole := t.units[f.r.ScopeID]; whole != nil && hidden && !used[f.r.ScopeID] {
		if whole.total != nil {
			f.r.BallotSums = append(f.r.BallotSums, results.Ballots{Type: results.Total, Count: whole.total.n[0], Suppressed: whole.total.hidden})
		}
		for _, kind := range whole.kinds() {
			f.r.BallotSums = append(f.r.BallotSums, results.Ballots{Type: kind, Count: whole.parts[kind].n[0], Suppressed: whole.parts[kind].hidden})
		}
	}
	return nil
}

func (f *errReader) contests() error {
	people := map[string]bool{}
	for _, o := range f.e.List("Contest") {
		c, err := f.contest(o, people)
		if err != nil {
			return fmt.Errorf("contest %q: %w", o.ID(), err)
		}
		f.r.Contests = append(f.r.Contests, *c)
	}
	return nil
}

// contest reads one contest with its counts.
func (f *errReader) contest(o *cdf.Object, people map[string]bool) (*results.Contest, error) {
	c := &results.Contest{ID: o.ID(), Title: o.Str("Name"), Kind: kindOf(o), DistrictID: o.Str("ElectionDistrictId"), Variation: enum(o, "VoteVariation", "OtherVoteVariation"), VotesAllowed: 1, Elected: 1}
	f.unused(o, "@id Name ContestSelection ElectionDistrictId ExternalIdentifier VoteVariation OtherVoteVariation VotesAllowed NumberElected PrimaryPartyIds CandidateId PassageThreshold OtherCounts Type OtherType SubUnitsReported TotalSubUnits")
	if o.Class() == "CandidateContest" {
		c.VotesAllowed, _ = o.Int("VotesAllowed")
		n, ok := o.Int("NumberElected")
		if !ok {
			if n = c.VotesAllowed; n > 1 {
				f.note(o, "the number elected is not said, and taken for the votes allowed")
			}
		}
		c.Elected = int(min(n, 1<<30))
	}
	if n, err := strconv.ParseInt(identifier(o, idVotesAllowed), 10, 64); err == nil {
		c.VotesAllowed = n
	}
	if n, err := strconv.Atoi(identifier(o, idElected)); err == nil {
		c.Elected = n
	}
	c.Ranked = c.Variation == "rcv"
	if s := identifier(o, idRanked); s != "" {
		c.Ranked = s == "true"
	}
	f.threshold(c, o)
	if c.PrimaryParty = identifier(o, idPrimary); c.PrimaryParty == "" {
		if list := o.Refs("PrimaryPartyIds"); len(list) > 0 {
			c.PrimaryParty = list[0]
			if len(list) > 1 {
				f.note(o, "of %d parties of the primary one is used", len(list))
			}
		}
	}
	for _, x := range o.List("ExternalIdentifier") {
		if x.Str("Type") != "other" || !own(x.Str("OtherType")) {
			c.ExternalIDs = append(c.ExternalIDs, x.Str("Value"))
		}
	}
	if id := o.Str("CandidateId"); id != "" {
		c.CandidateID = id
		f.person(id, "", people)
	}
	for _, s := range o.List("ContestSelection") {
		c.Options = append(c.Options, f.option(s, people))
	}
	return c, f.counts(c, o)
}

func (f *errReader) threshold(c *results.Contest, o *cdf.Object) {
	text := first(o.Text("PassageThreshold"), identifier(o, idThreshold))
	if text == "" {
		return
	}
	t, ok := election.ParseThreshold(text)
	if !ok {
		f.note(o, "the threshold is not understood, and nothing is decided by it: %q", text)
		c.Variation = cmp.Or(c.Variation, "super-majority")
		return
	}
	c.Threshold = t
}

// person keeps a candidate's name where no option says it.
func (f *errReader) person(id, option string, people map[string]bool) {
	name := f.ids[id].Text("BallotName")
	if !people[id] && name != option && name != "" {
		people[id] = true
		f.r.Candidates = append(f.r.Candidates, results.Candidate{ID: id, Name: name})
	}
}

// option reads one option, without counts.
func (f *errReader) option(o *cdf.Object, people map[string]bool) results.Option {
	x := results.Option{ID: o.ID()}
	f.unused(o, "@id VoteCounts CandidateIds EndorsementPartyIds IsWriteIn PartyIds Selection")
	switch o.Class() {
	case "BallotMeasureSelection":
		x.Name = o.Text("Selection")
		return x
	case "PartySelection":
		x.Parties = o.Refs("PartyIds")
		var names []string
		for _, id := range x.Parties {
			names = append(names, f.ids[id].Text("Name"))
		}
		x.Name = strings.Join(names, " / ")
		return x
	}
	x.WriteIn, _ = o.Bool("IsWriteIn")
	x.Candidates = o.Refs("CandidateIds")
	x.Parties = o.Refs("EndorsementPartyIds")
	var names, parties []string
	for _, id := range x.Candidates {
		person := f.ids[id]
		if name := person.Text("BallotName"); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
		if p := person.Str("PartyId"); p != "" && !slices.Contains(parties, p) {
			parties = append(parties, p)
		}
		if yes, _ := person.Bool("IsIncumbent"); yes {
			x.Incumbent = true
		}
	}
	if len(x.Parties) == 0 {
		x.Parties = parties
	}
	if x.Name = strings.Join(names, " / "); x.Name == "" && x.WriteIn {
		x.Name = "Write-in"
	}
	for _, id := range x.Candidates {
		f.person(id, x.Name, people)
	}
	return x
}
