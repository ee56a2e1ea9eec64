// Package tally counts ballots into exact integers and checks that nothing was
// lost or invented on the way: votesAllowed × ballots = votes + undervotes +
// overvotes, for every contest, in every precinct and every batch. It reads no
// files and no database; the ballots it is given were checked against the
// definition before.
package tally

// Tally is the result of one election as the core holds it. Every number is
// an exact count.
type Tally struct {
	ElectionID       string `json:"election_id"`
	Name             string `json:"name"`
	Date             string `json:"date"` // YYYY-MM-DD
	Test             bool   `json:"test"` // the definition is marked as a test: never a result
	DefinitionSHA256 string `json:"definition_sha256"`
	StateDigest      string `json:"state_digest"` // of the core's content that was counted
	// Ballots counts cast vote records, one for each sheet.
	Ballots   int64      `json:"ballots"`
	Batches   int64      `json:"batches"`
	Precincts []Precinct `json:"precincts"`
	Contests  []Contest  `json:"contests"` // in the order of the definition
}

// Precinct is one reporting unit in which ballots are cast.
type Precinct struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Ballots int64  `json:"ballots"`
}

// Contest is the count of one contest.
type Contest struct {
	ID           string           `json:"id"`
	Title        string           `json:"title"`
	VotesAllowed int64            `json:"votes_allowed"`
	Options      []Option         `json:"options"` // in the order of the definition
	Total        Counts           `json:"total"`
	Precincts    []PrecinctCounts `json:"precincts"` // those whose ballots bear the contest
}

// Option is one choice of a contest.
type Option struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	WriteIn bool   `json:"write_in"`
}

// PrecinctCounts is the count of one contest in one precinct.
type PrecinctCounts struct {
	ID string `json:"id"`
	Counts
}

// Counts is one line of a tally: VotesAllowed × Ballots = the sum of Votes +
// Overvotes + Undervotes.
type Counts struct {
	Ballots    int64   `json:"ballots"`   // sheets that bear the contest
	Votes      []int64 `json:"votes"`     // for each of the contest's options, in their order
	WriteIns   int64   `json:"write_ins"` // the part of Votes that went to write-in options
	Overvotes  int64   `json:"overvotes"`
	Undervotes int64   `json:"undervotes"`
	// Unresolved counts marks that still wait for a decision: write-ins not yet
	// adjudicated (counted in WriteIns) and marks of unknown meaning (not counted).
	Unresolved int64 `json:"unresolved"`
}
