// Package results is what an election came to, as it is reported: contests with
// counts by reporting unit and way of voting, as SP 1500-100 has them. It is
// made from a tally, or read from others' reports, and is plain data; [Results.Check]
// says whether it contradicts itself. It reads no files and knows no ballots.
package results

import (
	"time"

	"sallyport/internal/ems/model"
)

// Status is the enumeration ResultsStatus of SP 1500-100.
type Status string

// The values of [Status], in the order of an election's life.
const (
	PreElection        Status = "pre-election"
	UnofficialPartial  Status = "unofficial-partial"
	UnofficialComplete Status = "unofficial-complete"
	Certified          Status = "certified"
	Correction         Status = "correction"
	Recount            Status = "recount"
)

// Official says whether results of that status are the final ones.
func (s Status) Official() bool { return s == Certified || s == Correction || s == Recount }

// Complete says whether everything that was cast is counted.
func (s Status) Complete() bool { return s == UnofficialComplete || s.Official() }

// Results is one report of an election's results.
type Results struct {
	ElectionID         string    `json:"election_id"`
	Name               string    `json:"name"`
	Type               string    `json:"type"` // ElectionType
	Date               string    `json:"date"` // YYYY-MM-DD
	EndDate            string    `json:"end_date"`
	Issuer             string    `json:"issuer"`
	IssuerAbbreviation string    `json:"issuer_abbreviation"`
	Test               bool      `json:"test"` // never results
	Status             Status    `json:"status"`
	Sequence           int64     `json:"sequence"` // of the reports of this election, from 1
	GeneratedAt        time.Time `json:"generated_at"`
	DefinitionSHA256   string    `json:"definition_sha256,omitempty"`
	StateDigest        string    `json:"state_digest,omitempty"` // of what was counted
	LogHead            string    `json:"log_head,omitempty"`     // of the station's log, when it was made
	// Provenance is said on every page where it is not empty: that files were
	// given by hand and not by verified media, for example.
	Provenance string    `json:"provenance,omitempty"`
	ScopeID    string    `json:"scope_id"` // the unit that the election is held in
	Units      []Unit    `json:"units"`
	Parties    []Party   `json:"parties"`
	Contests   []Contest `json:"contests"`
	// Candidates are the persons that options refer to, where their names are
	// not those of the options: those of a ticket, or of a retention.
	Candidates []Candidate `json:"candidates,omitempty"`
	// BallotSums are the ballots of all units by way of voting and in all
	// (type total), where the units alone do not say it because some withhold
	// theirs.
	BallotSums []Ballots `json:"ballot_sums,omitempty"`
}

// Candidate is a person that stands for election.
type Candidate struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Unit is a reporting unit.
type Unit struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Type       string   `json:"type"`             // ReportingUnitType
	Within     []string `json:"within,omitempty"` // the units directly above
	OCDID      string   `json:"ocd_id,omitempty"`
	Registered *int64   `json:"registered,omitempty"` // voters
	// Counted is the CountItemStatus of all that was cast here: completed,
	// in-process or not-processed; empty where it follows from status and
	// counts ([Results.Counted]).
	Counted string `json:"counted,omitempty"`
	// Ballots are the ballots counted here, by way of voting; none for units
	// that only group others. A total beside parts is there when parts are
	// withheld.
	Ballots []Ballots `json:"ballots,omitempty"`
}

// Ballots counts ballots by CountItemType.
type Ballots struct {
	Type       string `json:"type"`
	Count      int64  `json:"count"`
	Suppressed bool   `json:"suppressed,omitempty"`
}

// Total is the CountItemType of counts that are not divided by way of voting.
const Total = "total"

// Party is one party.
type Party struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Abbreviation string `json:"abbreviation,omitempty"`
	Color        string `json:"color,omitempty"` // RRGGBB
}

// Contest is one contest with its counts.
type Contest struct {
	ID           string          `json:"id"`
	Title        string          `json:"title"`
	Kind         model.Kind      `json:"kind"`
	Variation    string          `json:"variation,omitempty"` // VoteVariation
	DistrictID   string          `json:"district_id"`
	VotesAllowed int64           `json:"votes_allowed"`
	Elected      int             `json:"elected"`
	Ranked       bool            `json:"ranked,omitempty"` // votes are first choices; see Rounds
	Threshold    model.Threshold `json:"threshold"`
	PrimaryParty string          `json:"primary_party,omitempty"` // identifier
	CandidateID  string          `json:"candidate_id,omitempty"`  // of a retention: whom it is about
	ExternalIDs  []string        `json:"external_ids,omitempty"`
	Options      []Option        `json:"options"`
	// Lines are the counts of units in which votes are cast, one for each way
	// of voting (or one of type total); they do not overlap, so that their sum
	// is the contest's total.
	Lines []Line `json:"lines"`
	// WriteIns are the votes of write-in candidates whose names were decided;
	// they are part of the write-in options' votes.
	WriteIns []NameVotes `json:"write_ins,omitempty"`
	Rounds   []Round     `json:"rounds,omitempty"`
	// Manual are tallies made by hand, apart from the ballots in Lines: they
	// are added to the total.
	Manual []Line `json:"manual,omitempty"`
	// Sums are totals that are known although lines are withheld or Partial:
	// of a unit (type total), of a way of voting in all units (no unit), or of
	// all (no unit, type total). Where one is there, nothing is added up for it.
	Sums []Line `json:"sums,omitempty"`
}

// Option is one choice of a contest.
type Option struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Parties    []string `json:"parties,omitempty"` // identifiers
	WriteIn    bool     `json:"write_in,omitempty"`
	Incumbent  bool     `json:"incumbent,omitempty"`
	Candidates []string `json:"candidates,omitempty"` // identifiers
}

// Line is one row of counts: VotesAllowed × Ballots = the sum of Votes +
// Overvotes + Undervotes, unless it is suppressed or Partial.
type Line struct {
	UnitID     string  `json:"unit_id"`
	Type       string  `json:"type"` // CountItemType
	Ballots    int64   `json:"ballots"`
	Votes      []int64 `json:"votes"` // in the order of the options
	Overvotes  int64   `json:"overvotes"`
	Undervotes int64   `json:"undervotes"`
	WriteIns   int64   `json:"write_ins"`
	Unresolved int64   `json:"unresolved,omitempty"` // marks that wait for a decision
	// Suppressed: the counts are withheld because so few ballots would tell
	// how single people voted.
	Suppressed bool `json:"suppressed,omitempty"`
	// Partial: the source reports votes only, not ballots, over- and undervotes.
	Partial bool `json:"partial,omitempty"`
}

// NameVotes are the votes of a write-in candidate.
type NameVotes struct {
	Name  string `json:"name"`
	Votes int64  `json:"votes"`
}

// Round is one round of a ranked contest. Numbers are decimal text: transfers
// may be fractions.
type Round struct {
	Number     int        `json:"number"`
	Threshold  string     `json:"threshold"`
	Votes      []string   `json:"votes"`                // in the order of the options; empty text: out of the race
	Elected    []string   `json:"elected,omitempty"`    // identifiers of options, or names of write-in candidates
	Eliminated []string   `json:"eliminated,omitempty"` // as above
	Inactive   []Inactive `json:"inactive,omitempty"`
}

// Inactive counts ballots that have no vote in a round, by cause.
type Inactive struct {
	Cause string `json:"cause"`
	Count string `json:"count"`
}
