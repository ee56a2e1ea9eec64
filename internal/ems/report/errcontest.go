package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/results"
)

// contest writes one contest with its options and counts.
func (w *errWriter) contest(c *results.Contest) error {
	class, stands, err := classOf(c.Kind)
	if err != nil {
		return err
	}
	o := w.d.New(class).Set("@id", w.free(c.ID, "contest")).Set("Name", first(c.Title, c.ID)).Set("ElectionDistrictId", first(c.DistrictID, w.r.ScopeID))
	if c.Variation != "" {
		setEnum(o, "VoteVariation", "OtherVoteVariation", c.Variation, variations)
	}
	w.external(o, idClass, stands)
	for _, id := range c.ExternalIDs {
		w.external(o, idContest, id)
	}
	w.rules(o, c)
	if c.Kind == model.Activation {
		o.Set("Type", "other").Set("OtherType", "activation")
	}
	if c.Kind == model.Retention {
		o.Set("CandidateId", w.candidate(first(c.CandidateID, c.ID+"/candidate"), c.Title, nil, false))
	}
	counts := w.counts(c)
	for k := range c.Options {
		sel, err := w.option(c, &c.Options[k])
		if err != nil {
			return err
		}
		w.votes(sel, c, counts, k)
		o.Append("ContestSelection", sel)
	}
	w.others(o, c)
	w.reported(o, c)
	w.election.Append("Contest", o)
	return nil
}

// rules writes what decides a contest: members where the class has them,
// identifiers where it does not.
func (w *errWriter) rules(o *cdf.Object, c *results.Contest) {
	candidates := c.Kind == model.Candidates
	if candidates {
		o.Set("VotesAllowed", c.VotesAllowed)
		if c.Elected > 0 {
			o.Set("NumberElected", c.Elected)
		}
		if c.PrimaryParty != "" {
			o.Set("PrimaryPartyIds", w.parties[c.PrimaryParty])
		}
	} else {
		if c.VotesAllowed != 1 {
			w.external(o, idVotesAllowed, strconv.FormatInt(c.VotesAllowed, 10))
		}
		if c.Elected != 1 {
			w.external(o, idElected, strconv.Itoa(c.Elected))
		}
		if c.PrimaryParty != "" {
			w.external(o, idPrimary, w.parties[c.PrimaryParty])
		}
	}
	if c.Ranked != (c.Variation == "rcv") {
		w.external(o, idRanked, strconv.FormatBool(c.Ranked))
	}
	if c.Threshold.Den == 0 {
		return
	}
	if s := thresholdText(c.Threshold); c.Kind == model.Measure || c.Kind == model.Retention || c.Kind == model.Activation {
		o.Set("PassageThreshold", w.text(s))
	} else {
		w.external(o, idThreshold, s)
	}
}

// option writes one option, without counts.
func (w *errWriter) option(c *results.Contest, x *results.Option) (*cdf.Object, error) {
	id := w.free(x.ID, c.ID)
	var parties []string
	for _, p := range x.Parties {
		parties = append(parties, w.parties[p])
	}
	lists := c.Kind == model.PartyList || c.Kind == model.StraightParty || c.Kind == model.PartyPreference
	switch {
	case x.WriteIn && len(x.Candidates) == 0:
		return w.d.New("CandidateSelection").Set("@id", id).Set("IsWriteIn", true).Set("EndorsementPartyIds", parties), nil
	case lists && len(parties) > 0:
		return w.d.New("PartySelection").Set("@id", id).Set("PartyIds", parties), nil
	case lists && c.Kind == model.PartyList:
		return nil, fmt.Errorf("option %q stands for no party, which SP 1500-100 needs in a contest of parties", x.ID)
	case c.Kind != model.Candidates:
		return w.d.New("BallotMeasureSelection").Set("@id", id).Set("Selection", w.text(first(x.Name, x.ID))), nil
	}
	sel := w.d.New("CandidateSelection").Set("@id", id).Set("EndorsementPartyIds", parties)
	if x.WriteIn {
		sel.Set("IsWriteIn", true)
	}
	ids := x.Candidates
	if len(ids) == 0 {
		ids = []string{x.ID + "/candidate"}
	}
	names := w.candidateNames(ids, x.Name)
	for i, person := range ids {
		sel.Append("CandidateIds", w.candidate(person, first(names[i], x.ID), parties, x.Incumbent))
	}
	return sel, nil
}

// candidateNames are the names of an option's candidates: their own, or the
// option's, divided among a ticket where it is written with a slash.
func (w *errWriter) candidateNames(ids []string, name string) []string {
	parts := strings.Split(name, " / ")
	names := make([]string, len(ids))
	for i, id := range ids {
		switch {
		case w.names[id] != "":
			names[i] = w.names[id]
		case len(parts) == len(ids):
			names[i] = parts[i]
		default:
			names[i] = name
		}
	}
	return names
}

// candidate writes a candidate once, and returns its identifier in the document.
func (w *errWriter) candidate(id, name string, parties []string, incumbent bool) string {
	if at, ok := w.people[id]; ok {
		return at
	}
	at := w.free(id, "candidate")
	w.people[id] = at
	o := w.d.New("Candidate").Set("@id", at).Set("BallotName", w.text(first(w.names[id], name, id)))
	if incumbent {
		o.Set("IsIncumbent", true)
	}
	if len(parties) > 0 {
		o.Set("PartyId", parties[0])
	}
	if s := w.winners[id]; s != "" {
		o.Set("PostElectionStatus", s)
	}
	w.election.Append("Candidate", o)
	return at
}

// counts are the lines of a contest as they are written: manual tallies in the
// lines of their unit, absentee as the sum of its kinds, and the totals beside.
func (w *errWriter) counts(c *results.Contest) []results.Line {
	units, by := unitLines(c)
	var out []results.Line
	district := first(c.DistrictID, w.r.ScopeID)
	for _, id := range units {
		lines := by[id]
		if t := w.types[id]; t == "precinct" || t == "split-precinct" || t == "combined-precinct" {
			w.detailed = true
		}
		out = append(out, standardLines(lines)...)
		if s := sumOf(c, id, results.Total); s != nil && len(lines) > 1 {
			out = append(out, *s)
		}
	}
	if _, ok := by[district]; ok {
		return out
	}
	total := c.Total()
	total.UnitID = district
	var parts []results.Line
	methods := c.ByMethod()
	if l, ok := methods[results.Total]; ok { // of tallies by hand, as in unitLines
		l.Type = manualTally
		methods[manualTally] = l
	}
	if !slices.ContainsFunc(c.Lines, func(l results.Line) bool { return l.Type == results.Total }) {
		kinds := w.r.Methods()
		if !slices.Contains(kinds, manualTally) {
			kinds = append(kinds, manualTally)
		}
		for _, kind := range kinds {
			if l, ok := methods[kind]; ok {
				l.UnitID = district
				parts = append(parts, l)
			}
		}
		parts = standardLines(parts)
	}
	if !addUp(parts, &total) {
		parts = nil
	}
	return append(append(out, parts...), total)
}

// addUp says whether parts are all of a total, or some of them are withheld.
func addUp(parts []results.Line, total *results.Line) bool {
	sum := results.Line{Votes: make([]int64, len(total.Votes))}
	absentee := slices.ContainsFunc(parts, func(l results.Line) bool { return l.Type == "absentee" })
	for i := range parts {
		if !absentee || !slices.Contains(absenteeKinds(), parts[i].Type) {
			sum.Add(&parts[i])
		}
	}
	return sum.Suppressed || slices.Equal(sum.Votes, total.Votes)
}

func sumOf(c *results.Contest, unit, kind string) *results.Line {
	for i := range c.Sums {
		if c.Sums[i].UnitID == unit && c.Sums[i].Type == kind {
			return &c.Sums[i]
		}
	}
	return nil
}

// manualTally is the way of voting of a tally by hand that is of all ways, where
// the unit's other counts are divided.
const manualTally = "manual tally"

// unitLines are the lines of each unit by way of voting with the manual tallies
// in them, and the units in the order of the lines.
func unitLines(c *results.Contest) (units []string, by map[string][]results.Line) {
	by = map[string][]results.Line{}
	add := func(l results.Line) {
		list, ok := by[l.UnitID]
		if !ok {
			units = append(units, l.UnitID)
		}
		i := slices.IndexFunc(list, func(x results.Line) bool { return x.Type == l.Type })
		if i < 0 {
			l.Votes = slices.Clone(l.Votes)
			by[l.UnitID] = append(list, l)
			return
		}
		list[i].Add(&l)
	}
	for i := range c.Lines {
		add(c.Lines[i])
	}
	for i := range c.Manual {
		l := c.Manual[i]
		list := by[l.UnitID]
		switch {
		case len(list) == 1 && list[0].Type == results.Total:
			l.Type = results.Total
		case len(list) > 0 && l.Type == results.Total:
			l.Type = manualTally
		}
		add(l)
	}
	return units, by
}

// standardLines makes absentee the sum of its kinds, as the standard has it.
func standardLines(lines []results.Line) []results.Line {
	at := slices.IndexFunc(lines, func(l results.Line) bool { return l.Type == "absentee" })
	if at < 0 {
		return lines
	}
	out := slices.Clone(lines)
	out[at].Votes = slices.Clone(out[at].Votes)
	for i := range lines {
		if slices.Contains(absenteeKinds(), lines[i].Type) {
			out[at].Add(&lines[i])
		}
	}
	if out[at].Suppressed {
		clear(out[at].Votes)
	}
	return out
}

// votes writes the counts of one option, and its votes in the rounds.
func (w *errWriter) votes(sel *cdf.Object, c *results.Contest, counts []results.Line, k int) {
	list := make([]*cdf.Object, 0, len(counts)+len(c.Rounds))
	for i := range counts {
		l := &counts[i]
		o := setKind(w.d.New("VoteCounts").Set("GpUnitId", l.UnitID), l.Type).Set("Count", l.Votes[k])
		if l.Suppressed {
			o.Set("IsSuppressedForPrivacy", true)
		}
		list = append(list, o)
	}
	for i := range c.Rounds {
		if votes := c.Rounds[i].Votes[k]; votes != "" {
			list = append(list, w.d.New("VoteCounts").Set("GpUnitId", first(c.DistrictID, w.r.ScopeID)).Set("Type", results.Total).
				Set("Round", c.Rounds[i].Number).Set("Count", votes))
		}
	}
	sel.Append("VoteCounts", list)
}

// others writes overvotes, undervotes and write-ins: the standard has them by
// unit alone.
func (w *errWriter) others(o *cdf.Object, c *results.Contest) {
	put := func(unit string, l *results.Line) {
		if l.Suppressed || l.Partial && l.Overvotes+l.Undervotes+l.WriteIns == 0 {
			return
		}
		o.Append("OtherCounts", w.d.New("OtherCounts").Set("GpUnitId", unit).Set("Overvotes", l.Overvotes).Set("Undervotes", l.Undervotes).Set("WriteIns", l.WriteIns))
	}
	by := c.ByUnit()
	for i := range w.r.Units {
		if l, ok := by[w.r.Units[i].ID]; ok {
			put(w.r.Units[i].ID, &l)
		}
	}
	district := first(c.DistrictID, w.r.ScopeID)
	if _, ok := by[district]; !ok {
		total := c.Total()
		put(district, &total)
	}
}

// reported writes how many of the precincts that vote on a contest have reported.
func (w *errWriter) reported(o *cdf.Object, c *results.Contest) {
	n, all := 0, 0
	for i, l := range c.In(w.precincts) {
		if l != nil {
			all++
			if w.done[i] {
				n++
			}
		}
	}
	if all > 0 {
		o.Set("SubUnitsReported", n).Set("TotalSubUnits", all)
	}
}
