// Package tally counts ballots into exact integers and checks that nothing was
// lost or invented on the way: votesAllowed × ballots = votes + undervotes +
// overvotes, for every contest, in every precinct with every voting method, in
// every ballot style and every batch, each counted by itself. It reads no
// files and no database; the ballots it is given were checked against the
// definition before.
package tally

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

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
	Methods   []string   `json:"methods"`   // voting methods; none where no batch says one
	Precincts []Precinct `json:"precincts"` // and splits
	Contests  []Contest  `json:"contests"`  // in the order of the definition
}

// Precinct is one reporting unit in which ballots are cast.
type Precinct struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	SplitOf string          `json:"split_of,omitempty"` // the precinct that a split belongs to
	Ballots int64           `json:"ballots"`
	Methods []MethodBallots `json:"methods,omitempty"`
}

// MethodBallots counts the ballots of one voting method.
type MethodBallots struct {
	Method  string `json:"method"`
	Ballots int64  `json:"ballots"`
}

// Contest is the count of one contest.
type Contest struct {
	ID           string           `json:"id"`
	Title        string           `json:"title"`
	VotesAllowed int64            `json:"votes_allowed"`
	Elected      int              `json:"elected"`          // how many options win
	Ranked       bool             `json:"ranked,omitempty"` // Votes are first choices
	Options      []Option         `json:"options"`          // in the order of the definition
	Total        Counts           `json:"total"`
	Methods      []MethodCounts   `json:"methods,omitempty"`
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
	Methods []MethodCounts `json:"methods,omitempty"`
}

// MethodCounts is the count of one contest by one voting method.
type MethodCounts struct {
	Method string `json:"method"`
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

// ErrUnbalanced means that a tally contradicts itself. It is never shown as a
// result.
var ErrUnbalanced = errors.New("the tally does not balance")

// Check checks the identity votesAllowed × ballots = votes + undervotes +
// overvotes for every contest in every precinct and in all, and that the
// precincts add up to the totals.
func (t *Tally) Check() error {
	var cast int64
	for _, p := range t.Precincts {
		cast += p.Ballots
	}
	if cast != t.Ballots {
		return fmt.Errorf("%w: the precincts have %d ballots, the total is %d", ErrUnbalanced, cast, t.Ballots)
	}
	for i := range t.Contests {
		if err := t.Contests[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Contest) check() error {
	sum := Counts{Votes: make([]int64, len(c.Options))}
	for i := range c.Precincts {
		p := &c.Precincts[i].Counts
		if err := c.balance(p, "precinct "+strconv.Quote(c.Precincts[i].ID)); err != nil {
			return err
		}
		sum.add(p)
		if err := c.methods(c.Precincts[i].Methods, p, "precinct "+strconv.Quote(c.Precincts[i].ID)); err != nil {
			return err
		}
	}
	if err := c.methods(c.Methods, &c.Total, "all precincts"); err != nil {
		return err
	}
	if err := c.balance(&c.Total, "all precincts"); err != nil {
		return err
	}
	if !sum.equal(&c.Total) {
		return fmt.Errorf("%w: contest %q: the precincts do not add up to the total", ErrUnbalanced, c.ID)
	}
	return nil
}

// methods checks that the voting methods, where there are any, add up.
func (c *Contest) methods(list []MethodCounts, total *Counts, where string) error {
	if len(list) == 0 {
		return nil
	}
	sum := Counts{Votes: make([]int64, len(c.Options))}
	for i := range list {
		if err := c.balance(&list[i].Counts, where+", "+list[i].Method); err != nil {
			return err
		}
		sum.add(&list[i].Counts)
	}
	if !sum.equal(total) {
		return fmt.Errorf("%w: contest %q, %s: the voting methods do not add up", ErrUnbalanced, c.ID, where)
	}
	return nil
}

func (c *Contest) balance(n *Counts, where string) error {
	if len(n.Votes) != len(c.Options) {
		return fmt.Errorf("%w: contest %q, %s: %d options, %d counts", ErrUnbalanced, c.ID, where, len(c.Options), len(n.Votes))
	}
	var writeIns int64
	for i, v := range n.Votes {
		if v < 0 {
			return fmt.Errorf("%w: contest %q, %s: a negative count", ErrUnbalanced, c.ID, where)
		}
		if c.Options[i].WriteIn {
			writeIns += v
		}
	}
	if writeIns != n.WriteIns {
		return fmt.Errorf("%w: contest %q, %s: the write-in options have %d votes, %d write-ins were counted", ErrUnbalanced, c.ID, where, writeIns, n.WriteIns)
	}
	if want, have := c.VotesAllowed*n.Ballots, n.sum()+n.Overvotes+n.Undervotes; want != have {
		return fmt.Errorf("%w: contest %q, %s: %d votes allowed on %d ballots make %d, counted were %d", ErrUnbalanced, c.ID, where, c.VotesAllowed, n.Ballots, want, have)
	}
	return nil
}

func (n *Counts) sum() int64 {
	var s int64
	for _, v := range n.Votes {
		s += v
	}
	return s
}

func (n *Counts) add(m *Counts) {
	n.Ballots += m.Ballots
	n.Overvotes += m.Overvotes
	n.Undervotes += m.Undervotes
	n.WriteIns += m.WriteIns
	n.Unresolved += m.Unresolved
	for i, v := range m.Votes {
		n.Votes[i] += v
	}
}

func (n *Counts) equal(m *Counts) bool {
	return n.Ballots == m.Ballots && n.Overvotes == m.Overvotes && n.Undervotes == m.Undervotes &&
		n.WriteIns == m.WriteIns && n.Unresolved == m.Unresolved && slices.Equal(n.Votes, m.Votes)
}
