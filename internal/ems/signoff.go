package ems

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/store"
)

// SignedOff is a sign-off of a logic and accuracy test that the core keeps.
type SignedOff struct {
	No      int64 // of the fact
	Who     string
	Why     string
	At      string
	SignOff *deck.SignOff
	// Void is nil when it is for the definition in force, otherwise why it does
	// not count.
	Void error
}

// SaveSignOff keeps a sign-off. It has to be for the definition in force
// (otherwise [deck.ErrVoid]): a test of another one says nothing about it.
func (c *Core) SaveSignOff(ctx context.Context, electionID string, s *deck.SignOff, by By) error {
	if err := by.check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.inForce(ctx, electionID)
	if err != nil {
		return err
	}
	if err := s.Valid(f.SHA256); err != nil {
		return err
	}
	doc, err := s.JSON()
	if err != nil {
		return fmt.Errorf("cannot keep the sign-off: %w", err)
	}
	_, err = c.store.AddFact(ctx, c.fact(electionID, factSign, s.DefinitionSHA256, doc, by), -1)
	return err
}

// SignOffs returns all sign-offs of an election, oldest first. Those for a
// definition that is not in force any more are void.
func (c *Core) SignOffs(ctx context.Context, electionID string) ([]SignedOff, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.inForce(ctx, electionID)
	if err != nil {
		return nil, err
	}
	var list []SignedOff
	err = c.store.Facts(ctx, electionID, factSign, func(x store.Fact) error {
		s, err := deck.ReadSignOff(x.Document)
		if err == nil && s.DefinitionSHA256 != x.Key {
			err = errors.New("it is kept under another definition")
		}
		if err != nil {
			return fmt.Errorf("%w: the sign-off in fact %d: %w", store.ErrDamaged, x.No, err)
		}
		list = append(list, SignedOff{No: x.No, Who: x.Who, Why: x.Why, At: x.At, SignOff: s, Void: s.Valid(f.SHA256)})
		return nil
	})
	return list, err
}
