package ems

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"sallyport/internal/ems/results"
	"sallyport/internal/ems/store"
)

// StatusChange is one step in the life of an election's results.
type StatusChange struct {
	Status results.Status `json:"status"`
	// Sequence counts the steps, from 1: a report says which one it belongs to.
	Sequence int64 `json:"sequence"`
	// StateDigest is the digest of what was counted when the step was taken.
	StateDigest string `json:"state_digest"`
	// Approver is the second person that certifying and correcting need.
	Approver string `json:"approver,omitempty"`
	Who      string `json:"who"`
	Why      string `json:"why"`
	At       string `json:"at"`
}

// Errors of [Core.SetStatus].
var (
	ErrTransition = errors.New("results cannot take this step")
	ErrTwoPeople  = errors.New("this takes two different people")
)

// steps are the statuses that may follow each other (SP 1500-100, ResultsStatus):
// certified results are only ever corrected or recounted.
var steps = map[results.Status][]results.Status{
	results.PreElection:        {results.UnofficialPartial, results.UnofficialComplete},
	results.UnofficialPartial:  {results.UnofficialPartial, results.UnofficialComplete},
	results.UnofficialComplete: {results.UnofficialPartial, results.UnofficialComplete, results.Certified},
	results.Certified:          {results.Correction, results.Recount},
	results.Correction:         {results.Correction, results.Recount},
	results.Recount:            {results.Correction, results.Recount},
}

// Statuses returns the steps that an election's results have taken, oldest first.
func (c *Core) Statuses(ctx context.Context, electionID string) ([]StatusChange, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statuses(ctx, electionID)
}

func (c *Core) statuses(ctx context.Context, electionID string) ([]StatusChange, error) {
	list := []StatusChange{}
	err := c.store.Facts(ctx, electionID, factStatus, func(f store.Fact) error {
		var s StatusChange
		if err := json.Unmarshal(f.Document, &s); err != nil {
			return fmt.Errorf("%w: the status in fact %d: %w", store.ErrDamaged, f.No, err)
		}
		s.Who, s.Why, s.At = f.Who, f.Why, f.At
		list = append(list, s)
		return nil
	})
	return list, err
}

// SetStatus takes the next step. Certifying, correcting and recounting take a
// second person; certifying also that nothing is unfinished (see [Standing]). The results
// are counted anew first, and the step is bound to what was counted.
func (c *Core) SetStatus(ctx context.Context, electionID string, to results.Status, by By, approver string) (StatusChange, error) {
	if err := by.check(); err != nil {
		return StatusChange{}, err
	}
	if to.Official() && (approver == "" || approver == by.Who) {
		return StatusChange{}, fmt.Errorf("%w: name who approves %q besides %q", ErrTwoPeople, to, by.Who)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.setStatus(ctx, electionID, to, by, approver)
	if err != nil {
		return StatusChange{}, fmt.Errorf("cannot set the status: %w", err)
	}
	return s, nil
}

func (c *Core) setStatus(ctx context.Context, electionID string, to results.Status, by By, approver string) (StatusChange, error) {
	e, v, err := c.over(ctx, electionID)
	if err != nil {
		return StatusChange{}, err
	}
	from, sequence, err := c.status(ctx, electionID)
	if err != nil {
		return StatusChange{}, err
	}
	if !slices.Contains(steps[from], to) {
		return StatusChange{}, fmt.Errorf("%w: from %q to %q; possible: %q", ErrTransition, from, to, steps[from])
	}
	t, _, err := c.recount(ctx, e, v.Compiled(), nil)
	if err != nil {
		return StatusChange{}, err
	}
	if to == results.Certified {
		open, err := c.unfinished(ctx, electionID, v.Compiled(), t)
		if err != nil {
			return StatusChange{}, err
		}
		if len(open) > 0 {
			return StatusChange{}, fmt.Errorf("%w: %s", ErrTransition, strings.Join(open, "; "))
		}
	}
	votes, err := c.votes(ctx, electionID)
	if err != nil {
		return StatusChange{}, err
	}
	s := StatusChange{Status: to, Sequence: sequence + 1, StateDigest: votes, Approver: approver}
	doc, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return StatusChange{}, err
	}
	f, err := c.store.AddFact(ctx, c.fact(electionID, factStatus, "", doc, by), -1)
	s.Who, s.Why, s.At = f.Who, f.Why, f.At
	return s, err
}

// status returns the newest step; before the first, results are pre-election.
func (c *Core) status(ctx context.Context, electionID string) (results.Status, int64, error) {
	list, err := c.statuses(ctx, electionID)
	if err != nil || len(list) == 0 {
		return results.PreElection, 0, err
	}
	last := list[len(list)-1]
	return last.Status, last.Sequence, nil
}

// votes is the digest of everything that an election's results are made from:
// its packages and the facts that change counts. Steps of the status are not
// part of it, so that a step can be held against it.
func (c *Core) votes(ctx context.Context, electionID string) (string, error) {
	d, err := c.store.Counted(ctx, electionID, func(kind string) bool {
		return kind == factBallot || kind == factManual || kind == factRules
	})
	return hex.EncodeToString(d[:]), err
}
