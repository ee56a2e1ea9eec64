package report

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/results"
)

// errWriter makes one election results report.
type errWriter struct {
	r        *results.Results
	opt      Options
	d        *cdf.Document
	election *cdf.Object
	used     map[string]bool   // identifiers of the document
	parties  map[string]string // identifiers of parties in the document
	people   map[string]string // of candidates
	names    map[string]string // names of candidates that options do not say
	winners  map[string]string // PostElectionStatus by candidate
	types    map[string]string // of units
	detailed bool              // there are counts by precinct

	precincts []results.Group
	done      []bool // by precinct: it has reported
}

// ERR makes the election results report (NIST SP 1500-100 version 2) of results:
// FORMAT.md says what becomes what. The document is written as JSON or XML by
// its own methods, which check it once more.
func ERR(r *results.Results, opt Options) (*cdf.Document, error) {
	if err := presentable(r); err != nil {
		return nil, err
	}
	switch {
	case r.ScopeID == "":
		return nil, errors.New("cannot make a results report: the results do not say in which unit the election is held")
	case r.GeneratedAt.IsZero():
		return nil, errors.New("cannot make a results report: the results do not say when they were made")
	}
	reader, err := cdf.New()
	if err != nil {
		return nil, fmt.Errorf("cannot make a results report: %w", err)
	}
	w := &errWriter{r: r, opt: opt, d: reader.NewDocument(cdf.ERR), used: map[string]bool{}, parties: map[string]string{},
		people: map[string]string{}, names: map[string]string{}, types: map[string]string{}, winners: map[string]string{}}
	if err := w.make(); err != nil {
		return nil, fmt.Errorf("cannot make a results report: %w", err)
	}
	return w.d, nil
}

func (w *errWriter) make() error {
	for i := range w.r.Units {
		w.used[w.r.Units[i].ID] = true
		w.types[w.r.Units[i].ID] = w.r.Units[i].Type
	}
	for _, p := range w.r.Parties {
		w.parties[p.ID] = w.free(p.ID, "party")
	}
	for _, c := range w.r.Candidates {
		w.names[c.ID] = c.Name
	}
	w.precincts = w.r.Precincts()
	w.done = w.r.Reported(w.precincts)
	w.status()
	w.election = w.d.New("Election")
	for i := range w.r.Contests {
		if err := w.contest(&w.r.Contests[i]); err != nil {
			return fmt.Errorf("contest %q: %w", w.r.Contests[i].ID, err)
		}
	}
	w.root()
	w.units()
	w.partyList()
	w.ballots()
	w.d.Root.Append("Election", w.election)
	return nil
}

// free returns an identifier that the document has not used: the wished one, or
// one with something in front.
func (w *errWriter) free(id, prefix string) string {
	for n := 1; w.used[id]; n++ {
		if n == 1 {
			id = prefix + "/" + id
		} else {
			id = strings.TrimSuffix(id, "/"+strconv.Itoa(n-1)) + "/" + strconv.Itoa(n)
		}
	}
	w.used[id] = true
	return id
}

func (w *errWriter) external(o *cdf.Object, kind, value string) {
	if value != "" {
		o.Append("ExternalIdentifier", w.d.New("ExternalIdentifier").Set("Type", "other").Set("OtherType", kind).Set("Value", value))
	}
}

func (w *errWriter) text(s string) *cdf.Object { return text(w.d, w.opt.language(), s) }

// root fills in what is said about the report and its election.
func (w *errWriter) root() {
	r, root := w.r, w.d.Root
	format := "summary-contest"
	if w.detailed {
		format = "precinct-level"
	}
	// A report is one part of one: SequenceStart and SequenceEnd number the parts
	// of a report that was split. Which report it is of an election is an
	// identifier.
	root.Set("Format", format).Set("GeneratedDate", r.GeneratedAt.Truncate(time.Second)).Set("Issuer", r.Issuer).Set("IssuerAbbreviation", r.IssuerAbbreviation).
		Set("SequenceStart", 1).Set("SequenceEnd", 1).Set("Status", string(r.Status)).Set("VendorApplicationId", first(w.opt.Application, "Sallyport"))
	if r.Test {
		root.Set("IsTest", true)
	}
	if r.Provenance != "" {
		root.Set("Notes", r.Provenance)
	}
	w.external(root, idSequence, strconv.FormatInt(r.Sequence, 10))
	w.external(root, idDefinition, r.DefinitionSHA256)
	w.external(root, idState, r.StateDigest)
	w.external(root, idLogHead, r.LogHead)
	w.external(w.election, idElection, r.ElectionID)
	w.election.Set("Name", w.text(r.Name)).Set("StartDate", r.Date).Set("EndDate", first(r.EndDate, r.Date)).Set("ElectionScopeId", r.ScopeID)
	setEnum(w.election, "Type", "OtherType", r.Type, electionTypes)
}

// units writes the units with what of them is counted.
func (w *errWriter) units() {
	parts := map[string][]string{}
	for i := range w.r.Units {
		for _, up := range w.r.Units[i].Within {
			parts[up] = append(parts[up], w.r.Units[i].ID)
		}
	}
	reported, all := w.r.Reporting()
	for i := range w.r.Units {
		u := &w.r.Units[i]
		o := w.d.New("ReportingUnit").Set("@id", u.ID).Set("ComposingGpUnitIds", parts[u.ID])
		setEnum(o, "Type", "OtherType", u.Type, unitTypes)
		if u.Name != "" {
			o.Set("Name", w.text(u.Name))
		}
		if u.OCDID != "" {
			o.Append("ExternalIdentifier", w.d.New("ExternalIdentifier").Set("Type", "ocd-id").Set("Value", u.OCDID))
		}
		if u.Registered != nil {
			o.Set("VotersRegistered", *u.Registered)
		}
		if len(u.Ballots) > 0 || u.Counted != "" {
			o.Append("CountStatus", w.d.New("CountStatus").Set("Type", results.Total).Set("Status", w.r.Counted(u)))
		}
		if u.ID == w.r.ScopeID && all > 0 {
			o.Set("SubUnitsReported", reported).Set("TotalSubUnits", all)
		}
		w.d.Root.Append("GpUnit", o)
	}
}

func (w *errWriter) partyList() {
	for _, p := range w.r.Parties {
		o := w.d.New("Party").Set("@id", w.parties[p.ID]).Set("Name", w.text(first(p.Name, p.ID)))
		if p.Abbreviation != "" {
			o.Set("Abbreviation", w.text(p.Abbreviation))
		}
		if p.Color != "" {
			o.Set("Color", strings.ToLower(p.Color))
		}
		w.d.Root.Append("Party", o)
	}
}

// ballots writes the ballots of every unit, and those of all beside them.
func (w *errWriter) ballots() {
	scope := false // it has ballots of its own
	put := func(unit string, b results.Ballots) {
		o := setKind(w.d.New("BallotCounts").Set("GpUnitId", unit).Set("BallotsCast", b.Count), b.Type)
		if b.Suppressed {
			o.Set("IsSuppressedForPrivacy", true)
		}
		w.election.Append("BallotCounts", o)
	}
	for i := range w.r.Units {
		u := &w.r.Units[i]
		scope = scope || u.ID == w.r.ScopeID && len(u.Ballots) > 0
		for _, b := range standardBallots(u.Ballots) {
			put(u.ID, b)
		}
	}
	if scope {
		return
	}
	sums := w.r.Ballots()
	var list []results.Ballots
	for _, kind := range append(w.r.Methods(), results.Total) {
		if b, ok := sums[kind]; ok {
			list = append(list, b)
		}
	}
	for _, b := range standardBallots(mixed(list)) {
		put(w.r.ScopeID, b)
	}
}

// mixed takes the parts away where they are not the total: some units do not
// divide their ballots by way of voting.
func mixed(list []results.Ballots) []results.Ballots {
	var parts, all int64
	hidden := false
	for _, b := range list {
		hidden = hidden || b.Suppressed
		if b.Type == results.Total {
			all = b.Count
		} else {
			parts += b.Count
		}
	}
	if hidden || parts == all {
		return list
	}
	return slices.DeleteFunc(list, func(b results.Ballots) bool { return b.Type != results.Total })
}

// standardBallots makes absentee what it is in the standard: the sum of its kinds.
func standardBallots(list []results.Ballots) []results.Ballots {
	at := slices.IndexFunc(list, func(b results.Ballots) bool { return b.Type == "absentee" })
	if at < 0 {
		return list
	}
	out := slices.Clone(list)
	for _, b := range list {
		if slices.Contains(absenteeKinds(), b.Type) {
			out[at].Count += b.Count
			out[at].Suppressed = out[at].Suppressed || b.Suppressed
		}
	}
	if out[at].Suppressed {
		out[at].Count = 0
	}
	return out
}

// status finds out which candidates are elected, when that is official.
func (w *errWriter) status() {
	if !w.r.Status.Official() {
		return
	}
	for i := range w.r.Contests {
		c := &w.r.Contests[i]
		out := w.r.Outcome(c)
		if out.TooEarly || out.State != results.Elected && out.State != results.PartElected {
			continue
		}
		for k := range c.Options {
			o := &c.Options[k]
			won := slices.ContainsFunc(out.Winners, func(x results.Winner) bool { return x.OptionID == o.ID })
			for _, id := range o.Candidates {
				if won {
					w.winners[id] = "winner"
				} else if w.winners[id] == "" {
					w.winners[id] = "defeated"
				}
			}
		}
	}
}
