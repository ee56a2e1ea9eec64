package model

import "errors"

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
// counts, and all the allowed votes are overvotes. m may be nil: no marks.
func (c *Contest) Count(m *Marks, votes []int64) (Outcome, error) {
	if m == nil {
		return Outcome{Undervotes: c.VotesAllowed}, nil
	}
	var out Outcome
	sum, sure := 0, 0
	for i := range m.Positions {
		p := &m.Positions[i]
		if p.Indicated == Unknown || p.Indicated == Yes && p.Allocable == Unknown {
			out.Unresolved++
		}
		if p.Indicated != Yes || p.Allocable == No {
			continue
		}
		writeIn := c.Options[p.Option].WriteIn
		if p.Allocable == Unknown && !writeIn {
			continue
		}
		votes[p.Option] += int64(p.Votes)
		sum += p.Votes
		if p.Allocable == Yes {
			sure += p.Votes
		}
		if writeIn {
			out.WriteIns += p.Votes
		} else if !c.Cumulative && votes[p.Option] > 1 {
			return Outcome{}, ErrRepeatedVote
		}
	}
	if m.Overvoted && sure > 0 && sum <= c.VotesAllowed {
		return Outcome{}, ErrNotOvervoted
	}
	if m.Overvoted || sum > c.VotesAllowed {
		clear(votes)
		return Outcome{Overvotes: c.VotesAllowed, Unresolved: out.Unresolved}, nil
	}
	out.Undervotes = c.VotesAllowed - sum
	return out, nil
}
