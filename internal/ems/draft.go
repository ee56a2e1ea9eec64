package ems

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/store"
)

// Draft is one version of a definition that people work on. It may still have
// problems; only a definition without any can be exported and imported.
type Draft struct {
	No         int64 // of the fact
	Revision   int   // of this election's drafts, from 1
	SHA256     string
	Who        string
	Why        string
	At         string
	Definition *election.Definition
}

// Errors of drafts.
var (
	ErrNoDraft = errors.New("the core holds no draft of that election")
	ErrDraftID = errors.New("a draft needs an election with an external identifier")
)

// SaveDraft keeps a new version of a definition; earlier ones stay. base is the
// number of the draft that it was made from, 0 for a new one: when there is a
// newer one than that, [ErrChanged], and nothing is kept.
func (c *Core) SaveDraft(ctx context.Context, d *election.Definition, by By, base int64) (Draft, error) {
	if err := by.check(); err != nil {
		return Draft{}, err
	}
	if len(d.Elections) != 1 || len(d.Elections[0].ExternalIDs) == 0 || d.Elections[0].ExternalIDs[0].Value == "" {
		return Draft{}, ErrDraftID
	}
	doc, err := d.JSON()
	if err != nil {
		return Draft{}, fmt.Errorf("cannot keep the draft: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := d.Elections[0].ExternalIDs[0].Value
	if _, err := c.store.AddFact(ctx, c.fact(id, factDraft, "", doc, by), base); err != nil {
		return Draft{}, err
	}
	list, err := c.drafts(ctx, id)
	if err != nil {
		return Draft{}, err
	}
	return list[len(list)-1], nil
}

// Drafts returns all versions of a definition, oldest first.
func (c *Core) Drafts(ctx context.Context, electionID string) ([]Draft, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, err := c.drafts(ctx, electionID)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: %q", ErrNoDraft, electionID)
	}
	return list, err
}

func (c *Core) drafts(ctx context.Context, electionID string) (list []Draft, err error) {
	err = c.store.Facts(ctx, electionID, factDraft, func(f store.Fact) error {
		d, err := election.Read(f.Document)
		if err != nil {
			return fmt.Errorf("%w: the draft in fact %d: %w", store.ErrDamaged, f.No, err)
		}
		sum := sha256.Sum256(f.Document)
		list = append(list, Draft{No: f.No, Revision: len(list) + 1, SHA256: hex.EncodeToString(sum[:]), Who: f.Who, Why: f.Why, At: f.At, Definition: d})
		return nil
	})
	return list, err
}

// DraftElections returns the elections that drafts are of.
func (c *Core) DraftElections(ctx context.Context) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids, err := c.store.FactElections(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, id := range ids {
		if _, ok, err := c.newest(ctx, id, factDraft, ""); err != nil {
			return nil, err
		} else if ok {
			out = append(out, id)
		}
	}
	return out, nil
}
