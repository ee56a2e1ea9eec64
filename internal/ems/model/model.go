// Package model is the election core's own picture of an election: contests,
// options, ballot styles, precincts, and ballots with their marks. It knows no
// file format and no database. Contests, options, styles and precincts are
// numbered by their place in the definition, so that a ballot is a few small
// numbers; the numbers mean nothing without the definition they belong to.
package model

// Definition is what the core needs of a checked election definition.
type Definition struct {
	IDs       []string // the values of the election's external identifiers
	Name      string
	Date      string // YYYY-MM-DD
	Test      bool   // marked as a test: its votes are never a result
	Contests  []Contest
	Styles    []Style
	Precincts []Precinct
}

// Contest is one contest with its options.
type Contest struct {
	ID           string
	Name         string
	VotesAllowed int
	// Cumulative allows more than one vote for the same option.
	Cumulative bool
	Options    []Option
}

// Option is one choice of a contest.
type Option struct {
	ID      string
	Name    string
	WriteIn bool
}

// Style is one ballot style: which contests stand on the ballot, and where it
// is used.
type Style struct {
	IDs       []string // the values of its external identifiers
	Contests  []int    // numbers of contests, in ballot order
	Precincts []int    // numbers of precincts
}

// Precinct is one reporting unit that a ballot style names.
type Precinct struct {
	ID   string
	Name string
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
