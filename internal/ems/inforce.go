package ems

import (
	"context"
	"encoding/hex"
	"fmt"

	"sallyport/internal/ems/election"
)

// InForce is the definition of an election that work goes by: the imported one,
// under which ballots are counted, or where there is none the newest draft.
type InForce struct {
	Document   []byte // JSON; XML when that was imported
	SHA256     string // of the document
	Imported   bool
	Revision   int // of the draft; 0 when it was imported
	Definition *election.Definition
	// Valid is nil when the draft has problems.
	Valid    *election.Valid
	Problems []election.Problem
}

// InForce returns the definition that is in force; [ErrNoDraft] when the core
// has neither an imported one nor a draft.
func (c *Core) InForce(ctx context.Context, electionID string) (*InForce, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inForce(ctx, electionID)
}

func (c *Core) inForce(ctx context.Context, electionID string) (*InForce, error) {
	e, v, ok, err := c.definition(ctx, electionID)
	if err != nil {
		return nil, err
	}
	if ok {
		return &InForce{Document: e.Definition, SHA256: hex.EncodeToString(e.SHA256[:]), Imported: true, Definition: v.Definition(), Valid: v}, nil
	}
	list, err := c.drafts(ctx, electionID)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: %q", ErrNoDraft, electionID)
	}
	return list[len(list)-1].InForce()
}

// InForce returns the draft as the definition to work with.
func (d *Draft) InForce() (*InForce, error) {
	doc, err := d.Definition.JSON()
	if err != nil {
		return nil, fmt.Errorf("cannot write the draft: %w", err)
	}
	f := &InForce{Document: doc, SHA256: d.SHA256, Revision: d.Revision, Definition: d.Definition}
	f.Valid, f.Problems = d.Definition.Check()
	return f, nil
}
