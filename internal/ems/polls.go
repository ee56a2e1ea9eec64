package ems

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/store"
)

// ErrPollsOpen means that the polls may still be open: no totals are given
// (VVSG 2.0, 1.1.9-K).
var ErrPollsOpen = errors.New("the polls are not closed: there are no totals before")

// pollsOver is how long after the election's last day the polls are certainly
// closed, wherever in the world it was held.
const pollsOver = 36 * time.Hour

// ClosePolls records that the polls of an election are closed: from then on
// totals are given. Nothing opens them again.
func (c *Core) ClosePolls(ctx context.Context, electionID string, by By) error {
	if err := by.check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, _, err := c.must(ctx, electionID); err != nil {
		return err
	}
	_, err := c.store.AddFact(ctx, c.fact(electionID, factPolls, "", []byte(`{"closed":true}`), by), -1)
	return err
}

// over is must for whoever is going to be told votes: [ErrPollsOpen] while the
// polls may be open.
func (c *Core) over(ctx context.Context, electionID string) (store.Election, *election.Valid, error) {
	e, v, err := c.must(ctx, electionID)
	if err == nil {
		err = c.closed(ctx, v, electionID)
	}
	return e, v, err
}

// closed returns [ErrPollsOpen] unless totals may be given: the polls were said
// to be closed, the election's last day is over everywhere, or it is a test,
// whose votes are never results.
func (c *Core) closed(ctx context.Context, v *election.Valid, electionID string) error {
	if v.Compiled().Test {
		return nil
	}
	end, err := time.Parse(time.DateOnly, v.Election().EndDate)
	if err != nil {
		return fmt.Errorf("cannot read the election's last day: %w", err)
	}
	if c.now().After(end.Add(24*time.Hour + pollsOver)) {
		return nil
	}
	_, ok, err := c.newest(ctx, electionID, factPolls, "")
	if err == nil && !ok {
		err = fmt.Errorf("%w (election %q, last day %s)", ErrPollsOpen, electionID, v.Election().EndDate)
	}
	return err
}
