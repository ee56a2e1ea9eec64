package model

import (
	"errors"
	"slices"
)

// Outcome is what the marks of one ballot in one contest come to:
// the sum of votes + Overvotes + Undervotes = VotesAllowed.
type Outcome struct {
	Overvotes  int
	Undervotes int
	WriteIns   int // the part of the votes that went to write-in options
	Unresolved int // marks that wait for a decision
}

// Errors of [Contest.Count]: the record contradicts itself.
var (
	ErrRepeatedVote = errors.New("an option gets more than one vote in a contest that is not cumulative")
	ErrNotOvervoted = errors.New("the record says overvoted, and its countable votes are not over the number allowed")
)

// Count applies the vote rule to one ballot's marks; votes must have one zero
// element for each option and receives the votes.
//
// A position counts when it is indicated and allocable (NIST SP 1500-103,
// SelectionPosition; absent IsAllocable means yes), times its number of votes.
// An indicated write-in of unknown allocability counts for the write-in option
// and is unresolved. More votes than allowed make the contest overvoted: none
// counts, and all the allowed votes are overvotes. In a ranked contest the
// first rank that has a mark is counted, and two marks there are an overvote;
// package rcv does the rounds. m may be nil: no marks.
func (c *Contest) Count(m *Marks, votes []int64) (Outcome, error) {
	if m == nil {
		return Outcome{Undervotes: c.VotesAllowed}, nil
	}
	var out Outcome
	first := 0
	if c.Ranks > 0 {
		first = c.firstRank(m)
	}
	sum, sure := 0, 0
	for i := range m.Positions {
		p := &m.Positions[i]
		if p.Rank != first && c.Ranks > 0 {
			continue
		}
		if p.Indicated == Unknown || p.Indicated == Yes && p.Allocable == Unknown {
			out.Unresolved++
		}
		if !c.counts(p) {
			continue
		}
		votes[p.Option] += int64(p.Votes)
		sum += p.Votes
		if p.Allocable == Yes {
			sure += p.Votes
		}
		if c.Options[p.Option].WriteIn {
			out.WriteIns += p.Votes
		} else if !c.Cumulative && votes[p.Option] > 1 {
			return Outcome{}, ErrRepeatedVote
		}
	}
	if m.Overvoted && sure > 0 && sum <= c.VotesAllowed && c.Ranks == 0 {
		return Outcome{}, ErrNotOvervoted
	}
	if m.Overvoted || sum > c.VotesAllowed {
		clear(votes)
		return Outcome{Overvotes: c.VotesAllowed, Unresolved: out.Unresolved}, nil
	}
	out.Undervotes = c.VotesAllowed - sum
	return out, nil
}

// counts says whether a mark is a vote, if the contest is not overvoted.
func (c *Contest) counts(p *Position) bool {
	return p.Indicated == Yes && (p.Allocable == Yes || p.Allocable == Unknown && c.Options[p.Option].WriteIn)
}

// firstRank is the lowest rank that has a mark which counts, or 0.
func (c *Contest) firstRank(m *Marks) int {
	first := 0
	for i := range m.Positions {
		if p := &m.Positions[i]; c.counts(p) && (first == 0 || p.Rank < first) {
			first = p.Rank
		}
	}
	return first
}

// Ranking calls each for every mark of a ranked contest that counts, with its
// rank (from 1) and option.
func (c *Contest) Ranking(m *Marks, each func(rank, option int)) {
	for i := range m.Positions {
		if p := &m.Positions[i]; c.counts(p) {
			each(p.Rank, p.Option)
		}
	}
}

// A Rule counts the contests of ballots with the rules of contests that control
// others. It keeps memory between ballots and is used by one goroutine.
type Rule struct {
	def      *Definition
	controls bool
	votes    []int64 // of all contests, one after another
	from     []int   // where a contest's votes begin
	covers   []int
	at       []int32 // by contest: place in the snapshot + 1, or 0
	outs     []Outcome
	off      []bool // by contest: not counted for this ballot
}

// NewRule returns the rule of a definition.
func NewRule(d *Definition) *Rule {
	r := &Rule{def: d, from: make([]int, len(d.Contests)+1), at: make([]int32, len(d.Contests)), outs: make([]Outcome, len(d.Contests)), off: make([]bool, len(d.Contests))}
	for i := range d.Contests {
		r.from[i+1] = r.from[i] + len(d.Contests[i].Options)
		r.controls = r.controls || len(d.Contests[i].Controls) > 0
	}
	r.votes = make([]int64, r.from[len(d.Contests)])
	return r
}

// ContestError is a contest of a ballot that cannot be counted.
type ContestError struct {
	Contest int
	Err     error
}

func (e *ContestError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ContestError) Unwrap() error { return e.Err }

// Count calls each for every contest that counts on a ballot, in ballot order,
// with its votes (valid during the call) and outcome. Errors are a
// [*ContestError], or of each.
func (r *Rule) Count(b *Ballot, each func(contest int, votes []int64, out Outcome) error) error {
	s := &b.Snapshots[b.Current]
	r.covers = r.def.Covers(b, r.covers)
	for i := range s.Contests {
		r.at[s.Contests[i].Contest] = int32(i + 1)
	}
	for _, n := range r.covers {
		votes := r.of(n)
		clear(votes)
		var m *Marks
		if i := r.at[n]; i > 0 {
			m = &s.Contests[i-1]
		}
		var err error
		if r.outs[n], err = r.def.Contests[n].Count(m, votes); err != nil {
			clear(r.at)
			return &ContestError{n, err}
		}
	}
	for i := range s.Contests {
		r.at[s.Contests[i].Contest] = 0
	}
	if r.controls {
		if err := r.together(b); err != nil {
			return err
		}
		r.control(s)
	}
	var err error
	for _, n := range r.covers {
		if !r.off[n] && err == nil {
			err = each(n, r.of(n), r.outs[n])
		}
		r.off[n] = false
	}
	return err
}

func (r *Rule) of(contest int) []int64 { return r.votes[r.from[contest]:r.from[contest+1]] }

// ErrOtherSheet means that a record of one sheet has a contest whose count
// depends on one that stands on another sheet of the ballot.
var ErrOtherSheet = errors.New("whether this contest counts depends on a contest on another sheet: records of whole ballots are needed")

// together checks that a record of one sheet has the contests that control
// those on it.
func (r *Rule) together(b *Ballot) error {
	if b.Sheet == "" {
		return nil
	}
	for _, n := range r.def.Styles[b.Style].Contests {
		if slices.Contains(r.covers, n) {
			continue
		}
		for _, k := range r.def.Contests[n].Controls {
			if slices.Contains(r.covers, k) {
				return &ContestError{k, ErrOtherSheet}
			}
		}
	}
	return nil
}

// control applies the contests of the ballot that control others.
func (r *Rule) control(s *Snapshot) {
	applied := s.generated()
	for _, n := range r.covers {
		c := &r.def.Contests[n]
		switch c.Kind {
		case StraightParty:
			if o := r.chosen(n); o != nil && !applied {
				for _, k := range c.Controls {
					r.straight(k, o.Parties, c.Inclusive)
				}
			}
		case PartyPreference:
			o := r.chosen(n)
			for _, k := range c.Controls {
				r.off[k] = r.off[k] || o == nil || !shares(r.def.Contests[k].Parties, o.Parties)
			}
		case Activation:
			o := r.chosen(n)
			for _, k := range c.Controls {
				r.off[k] = r.off[k] || o == nil || !o.Activates
			}
		}
	}
	for n := range r.off { // only contests of this ballot are asked for
		if r.off[n] && !slices.Contains(r.covers, n) {
			r.off[n] = false
		}
	}
}

// generated says whether the device has applied the straight-party rule itself.
func (s *Snapshot) generated() bool {
	for i := range s.Contests {
		for j := range s.Contests[i].Positions {
			if s.Contests[i].Positions[j].Generated {
				return true
			}
		}
	}
	return false
}

// chosen returns the one option that has a vote, or nil.
func (r *Rule) chosen(contest int) *Option {
	var o *Option
	for k, v := range r.of(contest) {
		if v == 0 {
			continue
		}
		if o != nil {
			return nil
		}
		o = &r.def.Contests[contest].Options[k]
	}
	return o
}

// straight gives the votes of a straight-party choice to a controlled contest
// (SP 1500-20, StraightPartyRuleset): exclusive, none where there is a direct
// selection; inclusive, those of the party in addition. In both, only if all of
// them together are not more than the contest allows.
func (r *Rule) straight(contest int, parties []int, inclusive bool) {
	c, votes, out := &r.def.Contests[contest], r.of(contest), &r.outs[contest]
	if !slices.Contains(r.covers, contest) || out.Overvotes > 0 {
		return
	}
	direct := c.VotesAllowed - out.Undervotes
	if direct > 0 && !inclusive {
		return
	}
	add := 0
	for k := range c.Options {
		if votes[k] == 0 && c.Options[k].stands(parties) {
			add++
		}
	}
	if direct+add > c.VotesAllowed {
		return
	}
	for k := range c.Options {
		if votes[k] == 0 && c.Options[k].stands(parties) {
			votes[k] = 1
		}
	}
	out.Undervotes -= add
}

// stands says whether an option is a candidate of one of the parties: a place to
// write a name is nobody's.
func (o *Option) stands(parties []int) bool { return !o.WriteIn && shares(o.Parties, parties) }

func shares(a, b []int) bool {
	for _, x := range a {
		if slices.Contains(b, x) {
			return true
		}
	}
	return false
}
