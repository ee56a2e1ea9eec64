// Package rcv tabulates ranked-choice contests: single-winner instant runoff,
// multi-winner single transferable vote with fractional surpluses, bottoms-up
// and multi-pass instant runoff, by the rules and in the terms of RCTab
// (github.com/BrightSpots/rcv), so that anybody can hold one program's rounds
// against the other's. FORMAT.md beside it has the rules in numbered steps.
//
// It is a pure library: the same rules, candidates and ballots give the same
// result, in whatever order the ballots came; it reads no clock, no file and no
// source of chance. Every number is an exact decimal. It is not a reader of
// cast vote records, and knows nothing of precincts or batches.
//
// Ballots are trusted as far as their caller has checked that they are records
// of this contest; their shape is checked here. Configurations are foreign
// documents: [ReadConfig] refuses what it does not know, by name.
package rcv

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of what this package accepts.
const (
	MaxCandidates = 1000    // of one contest
	MaxRanks      = 1000    // of one ballot
	MaxBallots    = 1 << 40 // of one contest
	MaxName       = 1000    // bytes of a candidate's name
)

// UndeclaredWriteIns is the name RCTab gives all write-ins for people who are
// not candidates, taken together.
const UndeclaredWriteIns = "Undeclared Write-ins"

// Words of RCTab's reports that no candidate can have as a name.
const (
	toExhausted = "exhausted"
	toResidual  = "residual surplus"
)

// ErrUnbalanced means that a round's votes do not add up to the ballots. It
// is a fault of this package and never a result.
var ErrUnbalanced = errors.New("the rounds do not balance")

// ErrNoWinner means that the rules leave nobody to elect.
var ErrNoWinner = errors.New("nobody can be elected")

// Candidate is one choice of the contest. Its place in the list of candidates
// is its number on ballots, and for [UseCandidateOrder] decides ties.
type Candidate struct {
	Name string
	// Excluded candidates get no vote; ballots that rank them pass on to the
	// next rank.
	Excluded bool
	// UndeclaredWriteIn marks the one entry that stands for all undeclared
	// write-ins: it is eliminated first and is never elected.
	UndeclaredWriteIn bool
}

func checkCandidates(candidates []Candidate) error {
	if len(candidates) > MaxCandidates {
		return fmt.Errorf("the contest has %d candidates, at most %d are supported", len(candidates), MaxCandidates)
	}
	seen := map[string]bool{"uncounted": true, toExhausted: true, toResidual: true, "overvote": true}
	writeIns, able := 0, 0
	for i, c := range candidates {
		if err := checkName(c.Name); err != nil {
			return fmt.Errorf("candidate %d: %w", i+1, err)
		}
		if seen[c.Name] {
			return fmt.Errorf("candidate %d: the name %q is taken, by another candidate or by a word of the report", i+1, c.Name)
		}
		seen[c.Name] = true
		switch {
		case c.UndeclaredWriteIn:
			if writeIns++; writeIns > 1 || c.Excluded {
				return fmt.Errorf("candidate %d: only one entry can stand for undeclared write-ins, and it cannot be excluded", i+1)
			}
		case !c.Excluded:
			able++
		}
	}
	if able == 0 {
		return errors.New("the contest has no candidate that is not excluded")
	}
	return nil
}

func checkName(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return errors.New("the name is empty")
	case len(s) > MaxName:
		return fmt.Errorf("the name has %d bytes, at most %d are supported", len(s), MaxName)
	case !utf8.ValidString(s):
		return errors.New("the name is not valid UTF-8")
	}
	return nil
}
