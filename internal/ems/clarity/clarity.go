// Package clarity reads the election-night results that Clarity publishes as
// detail.xml: a state's file with counts by county, or a county's with counts
// by precinct. It is a reader alone: it knows nothing of definitions, ballots
// or audits, and publishes nothing. Files are foreign: the reader is strict
// (what it does not know is refused), memory is bounded, and each fault is a
// [Problem] with path, line and rule. Sums are checked and never repaired.
package clarity

// Report is one file.
type Report struct {
	Timestamp, Name, Date, Region string // as written in the file
	// Level is "County" or "Precinct", the kind of Units.
	Level    string
	Turnout  Turnout // of the whole
	Units    []Unit  // in the order of the file
	Contests []Contest
}

// Turnout counts voters and ballots.
type Turnout struct {
	Registered  int // 0 in many files that do not have it by precinct
	BallotsCast int
}

// Unit is a county or a precinct.
type Unit struct {
	Name string
	Turnout
}

// Contest is one contest with its choices.
type Contest struct {
	Key, Text  string
	VoteFor    int
	IsQuestion bool
	// Other are the counts that belong to no choice: overvotes and undervotes.
	Other   []VoteType
	Choices []Choice
}

// Choice is one option of a contest.
type Choice struct {
	Key, Text, Party string
	Total            int // as the file states it
	VoteTypes        []VoteType
}

// VoteType is a way of voting, or overvotes or undervotes, with its counts.
type VoteType struct {
	Name   string
	Votes  int // as the file states it
	Counts []Count
}

// Count is a count of one unit, by its index in [Report.Units].
type Count struct{ Unit, Votes int }

// Overvotes returns the overvotes of a contest, where the file has them.
func (c Contest) Overvotes() (int, bool) { return c.other("Overvotes") }

// Undervotes returns the undervotes of a contest, where the file has them.
func (c Contest) Undervotes() (int, bool) { return c.other("Undervotes") }

func (c Contest) other(name string) (int, bool) {
	for _, v := range c.Other {
		if v.Name == name {
			return v.Votes, true
		}
	}
	return 0, false
}

// The most that one file may hold.
const (
	maxFile    = 1 << 30 // bytes
	maxToken   = 1 << 20 // bytes of one tag or text
	maxText    = 1 << 10 // bytes of one name
	maxNumber  = 999_999_999
	maxUnits   = 50_000
	maxCounts  = 16 << 20 // counts of all units together
	maxNames   = 32 << 20 // elements that have a name
	maxProblem = 1000     // sums that do not add up, which are reported one by one
)
