// Package model is the election core's own picture of an election: contests,
// options, ballot styles, precincts, and ballots with their marks. It knows no
// file format and no database. Contests, options, styles and precincts are
// numbered by their place in the definition, so that a ballot is a few small
// numbers; the numbers mean nothing without the definition they belong to.
package model

import "math/big"

// Definition is what the core needs of a checked election definition to read
// and count ballots.
type Definition struct {
	IDs       []string // the values of the election's external identifiers
	Name      string
	Date      string // YYYY-MM-DD
	Test      bool   // marked as a test: its votes are never a result
	Parties   []Party
	Contests  []Contest
	Styles    []Style
	Precincts []Precinct
}

// Party is one party or coalition.
type Party struct {
	ID   string
	Name string
}

// Kind says what a contest decides.
type Kind uint8

// The values of [Kind].
const (
	Candidates Kind = iota
	Measure
	Retention
	PartyList
	StraightParty   // selects a party's candidates in the contests it controls
	PartyPreference // of the contests it controls, those of the chosen party count
	Activation      // the contests it controls count if an activating option is chosen
)

// Contest is one contest with its options.
type Contest struct {
	ID           string
	Name         string
	Kind         Kind
	VotesAllowed int
	Elected      int // how many options win; 1 for questions
	// Cumulative allows more than one vote for the same option.
	Cumulative bool
	// Ranks is how many ranks a ballot has for the contest; 0 where options
	// are marked and not ranked.
	Ranks     int
	Threshold Threshold // what the first option, or the winner, needs
	Parties   []int     // numbers of the parties whose primary this is
	Controls  []int     // numbers of the contests that this one controls
	Inclusive bool      // of a straight party contest: its ruleset
	Options   []Option
}

// Threshold is the part of the votes that is needed, exactly: at least Num/Den,
// or more than that. Den is 0 where the most votes are enough.
type Threshold struct {
	Num, Den int64
	More     bool
}

// Met says whether votes out of all are enough.
func (t Threshold) Met(votes, all int64) bool {
	if t.Den == 0 {
		return true
	}
	var have, need big.Int
	have.Mul(big.NewInt(votes), big.NewInt(t.Den))
	need.Mul(big.NewInt(all), big.NewInt(t.Num))
	if t.More {
		return have.Cmp(&need) > 0
	}
	return all > 0 && have.Cmp(&need) >= 0
}

// Option is one choice of a contest.
type Option struct {
	ID        string
	Name      string
	WriteIn   bool
	Parties   []int // numbers of the parties that it stands for
	Activates bool  // of an activation contest
}

// Style is one ballot style: which contests stand on the ballot, and where it
// is used.
type Style struct {
	IDs       []string // the values of its external identifiers
	Contests  []int    // numbers of contests, in ballot order
	Precincts []int    // numbers of precincts
	Parties   []int    // numbers of parties; none where it is not a party's ballot
}

// Precinct is one reporting unit that a ballot style names: a precinct, or a
// split of one.
type Precinct struct {
	ID   string
	Name string
	// Of is the identifier of the precinct that a split belongs to, or its own.
	Of     string
	OfName string
}

// Answer is a three-valued fact about a mark.
type Answer uint8

// The values of [Answer]. The zero value is No.
const (
	No Answer = iota
	Yes
	Unknown
)

// SnapshotType is the type of one version of a cast vote record
// (NIST SP 1500-103, CVRType).
type SnapshotType uint8

// The values of [SnapshotType].
const (
	Original SnapshotType = iota
	Interpreted
	Modified
)

// Ballot is one cast vote record: one sheet, with every version of how its
// marks were read. Deliberately absent is whatever could tell when or in which
// order it was cast.
type Ballot struct {
	ID        string
	Device    string // the device that created the record; may be empty
	Batch     string // the batch it names; may be empty
	Method    string // how it was cast (NIST CountItemType, as far as known); may be empty
	Sheet     string // set when the record covers one sheet of several
	Style     int
	Precinct  int
	Current   int // index of the snapshot that counts
	Snapshots []Snapshot
}

// Snapshot is one version of a ballot's marks, contests sorted by number.
type Snapshot struct {
	Type     SnapshotType
	Contests []Marks
}

// Marks are the marks in one contest.
type Marks struct {
	Contest   int
	Overvoted bool // the device declared the contest overvoted
	Positions []Position
}

// Position is one place on the ballot that can be marked.
type Position struct {
	Option    int
	Indicated Answer
	Allocable Answer
	Votes     int
	Rank      int    // in a ranked contest, beginning at 1; otherwise 0
	Generated bool   // not marked by the voter but made by a rule, such as straight party
	WriteIn   bool   // a name was written
	Text      string // the name as read; may be empty
}

// Reset empties b and keeps its memory for the next ballot.
func (b *Ballot) Reset() {
	*b = Ballot{Snapshots: b.Snapshots[:0]}
}

// AddSnapshot appends an empty snapshot.
func (b *Ballot) AddSnapshot(t SnapshotType) *Snapshot {
	var s *Snapshot
	b.Snapshots, s = extend(b.Snapshots)
	*s = Snapshot{Type: t, Contests: s.Contests[:0]}
	return s
}

// AddMarks appends a contest without marks.
func (s *Snapshot) AddMarks(contest int) *Marks {
	var m *Marks
	s.Contests, m = extend(s.Contests)
	*m = Marks{Contest: contest, Positions: m.Positions[:0]}
	return m
}

// extend makes s one longer; memory behind a reused element is kept.
func extend[T any](s []T) ([]T, *T) {
	if len(s) < cap(s) {
		s = s[:len(s)+1]
	} else {
		var zero T
		s = append(s, zero)
	}
	return s, &s[len(s)-1]
}

// Covers returns the numbers of the contests that b counts for: all of its
// style when the record is the whole ballot, those it lists when it is one
// sheet of several. NIST SP 1500-103 lets a record leave out contests without
// marks, which is why the style decides for whole ballots.
func (d *Definition) Covers(b *Ballot, into []int) []int {
	into = into[:0]
	if b.Sheet == "" {
		return append(into, d.Styles[b.Style].Contests...)
	}
	for i := range b.Snapshots[b.Current].Contests {
		into = append(into, b.Snapshots[b.Current].Contests[i].Contest)
	}
	return into
}
