package rcv

import "fmt"

// Result is a whole tabulation.
type Result struct {
	Rules      Rules
	Candidates []Candidate
	// Passes has one tabulation, and with MultiPassIRV one for each seat.
	Passes []Pass
	// Winners are the elected in the order of their election, those of one
	// round by name.
	Winners []string
}

// Pass is one tabulation, from the first count to the last seat.
type Pass struct {
	Seats      int // to be filled in this pass; 0 with BottomsUpUsingPercentageThreshold
	Candidates int // who were not excluded, undeclared write-ins included
	Ballots    int64
	Undervotes int64 // ballots without any mark
	Rounds     []Round
}

// Round is one round: the votes, then what was decided by them.
type Round struct {
	Number    int // from 1
	Threshold Decimal
	// Tally has the continuing candidates and, with surplus transfers, the
	// elected of earlier rounds with what they keep; in the order of the
	// candidates.
	Tally    []CandidateVotes
	Inactive Inactive
	// FinalRoundSurplus is what is transferred to nobody because all seats are
	// filled.
	FinalRoundSurplus Decimal
	// ResidualSurplus is what rounding has left over up to this round.
	ResidualSurplus Decimal
	Elected         []Decision
	Eliminated      []Decision
	// Tie is the tie that was broken in this round, if any.
	Tie *Tie
}

// CandidateVotes is a candidate's line in a round.
type CandidateVotes struct {
	Candidate string
	Votes     Decimal
	Elected   bool // in an earlier round
}

// Inactive are the votes that count for nobody any more, by their cause.
type Inactive struct {
	ExhaustedChoices, Overvotes, RepeatedRankings, SkippedRankings Decimal
}

// Sum returns all of them.
func (i Inactive) Sum() Decimal {
	return i.ExhaustedChoices.Add(i.Overvotes).Add(i.RepeatedRankings).Add(i.SkippedRankings)
}

// Decision is the election or elimination of one candidate and what became of
// the votes in the next round. There are no transfers in the last round.
type Decision struct {
	Candidate string
	ByTie     bool
	Transfers []Transfer
}

// Transfer is a part of a candidate's votes. To is a candidate, "exhausted" or
// "residual surplus".
type Transfer struct {
	To    string
	Votes Decimal
}

// Tie is a tie that had to be broken.
type Tie struct {
	Seat       int  // the pass of MultiPassIRV, from 1; else 1
	Round      int  // from 1
	ForWinner  bool // whether the selected candidate wins, or loses
	Votes      Decimal
	Candidates []string // sorted by name
	Selected   string
	// How is the tiebreak mode that decided: previousRoundCounts, random,
	// stopCountingAndAsk, useCandidateOrder or generatePermutation.
	How string
	// DecidedBy is the earlier round that decided, with previousRoundCounts.
	DecidedBy int
}

// TieError means that somebody has to decide a tie: the answer is a [Lot].
// Tie.Candidates are those among whom to choose.
type TieError struct{ Tie Tie }

func (e *TieError) Error() string {
	what := "loses"
	if e.Tie.ForWinner {
		what = "wins"
	}
	return fmt.Sprintf("seat %d, round %d: %d candidates are tied (%q), and no lot says who %s", e.Tie.Seat, e.Tie.Round, len(e.Tie.Candidates), e.Tie.Candidates, what)
}

// Active is the votes that count for somebody in the round, what is transferred
// to nobody at the end included, as RCTab counts them.
func (r *Round) Active() Decimal {
	d := r.FinalRoundSurplus
	for _, c := range r.Tally {
		d = d.Add(c.Votes)
	}
	return d
}

func (r *Round) votes(candidate string) (Decimal, bool) {
	for _, c := range r.Tally {
		if c.Candidate == candidate {
			return c.Votes, true
		}
	}
	return Decimal{}, false
}

// Check checks that in each round the ballots are all there, and that each
// candidate's transfers are the votes that left. The error is ErrUnbalanced.
func (p *Pass) Check() error {
	ballots := whole(p.Ballots)
	for i := range p.Rounds {
		r := &p.Rounds[i]
		all := r.Active().Add(r.Inactive.Sum()).Add(r.ResidualSurplus).Add(whole(p.Undervotes))
		if !all.Equal(ballots) {
			return fmt.Errorf("%w: round %d has %v votes of %v ballots", ErrUnbalanced, r.Number, all, ballots)
		}
		if i+1 == len(p.Rounds) {
			break
		}
		for _, list := range [][]Decision{r.Elected, r.Eliminated} {
			for _, d := range list {
				if err := checkTransfers(r, &p.Rounds[i+1], d); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkTransfers checks that what a candidate passed on is what is missing in
// the next round.
func checkTransfers(r, next *Round, d Decision) error {
	before, _ := r.votes(d.Candidate)
	after, _ := next.votes(d.Candidate)
	sum := Decimal{}
	for _, t := range d.Transfers {
		sum = sum.Add(t.Votes)
	}
	if !before.Sub(after).Equal(sum) {
		return fmt.Errorf("%w: in round %d the votes that left a candidate are not those that were transferred", ErrUnbalanced, r.Number)
	}
	return nil
}
