package ems

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
)

// Core is one open election core. It is safe for concurrent use; imports and
// tallies run one after another.
type Core struct {
	mu    sync.Mutex
	store *store.Store
	docs  *cdf.Reader
}

// Create makes the database of a new core; it fails when path exists.
func Create(path string) error { return store.Create(path) }

// Open opens the database of a core that [Create] made; it never creates one.
func Open(path string) (*Core, error) {
	docs, err := cdf.New()
	if err != nil {
		return nil, fmt.Errorf("cannot open the election core: %w", err)
	}
	s, err := store.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the election core: %w", err)
	}
	return &Core{store: s, docs: docs}, nil
}

// Close closes the database.
func (c *Core) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.Close()
}

// Receipt returns the receipt of a package that was imported before.
func (c *Core) Receipt(digest [32]byte) (Receipt, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok, err := c.store.Package(context.Background(), digest)
	if err != nil || !ok {
		return Receipt{}, false, err
	}
	return receipt(p), true, nil
}

func receipt(p store.Package) Receipt {
	return Receipt{Digest: hex.EncodeToString(p.Digest[:]), Kind: p.Kind, ElectionID: p.ElectionID,
		Contests: p.Contests, Ballots: p.Ballots, Known: p.Known, StateDigest: hex.EncodeToString(p.State[:])}
}

// definition returns a stored election and its definition. The document was
// checked when it was imported; it is read again rather than kept in a second
// form that could differ from it.
func (c *Core) definition(ctx context.Context, id string) (store.Election, *model.Definition, bool, error) {
	e, ok, err := c.store.Election(ctx, id)
	if err != nil || !ok {
		return store.Election{}, nil, false, err
	}
	if err := e.Check(); err != nil {
		return store.Election{}, nil, false, err
	}
	d, err := c.docs.Definition("definition of "+id, e.Definition)
	if err != nil {
		// What a stored document breaks is no finding about the package at hand.
		return store.Election{}, nil, false, fmt.Errorf("cannot read the stored definition of %q: %v", id, err)
	}
	return e, d, true, nil
}

// Elections lists what the core holds, sorted by identifier.
func (c *Core) Elections(ctx context.Context) ([]Election, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids, err := c.store.ElectionIDs(ctx)
	if err != nil {
		return nil, err
	}
	packages, err := c.store.Packages(ctx)
	if err != nil {
		return nil, err
	}
	list := []Election{}
	for _, id := range ids {
		e, d, _, err := c.definition(ctx, id)
		if err != nil {
			return nil, err
		}
		x := Election{ID: id, Name: d.Name, Date: d.Date, Test: d.Test, DefinitionSHA256: hex.EncodeToString(e.SHA256[:]),
			Contests: len(d.Contests), Precincts: len(d.Precincts)}
		for _, p := range packages {
			if p.ElectionID == id {
				x.Packages++
				x.Ballots += p.Ballots - p.Known
			}
		}
		list = append(list, x)
	}
	return list, nil
}

// Tally counts one election from its ballots and checks the count: every
// package's ballots against their digest, and the conservation identity for
// every contest in every precinct and batch. A tally that does not pass is an
// error, never a result.
func (c *Core) Tally(ctx context.Context, electionID string) (*Tally, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.tally(ctx, electionID)
	if err != nil {
		return nil, fmt.Errorf("cannot tally: %w", err)
	}
	return t, nil
}

func (c *Core) tally(ctx context.Context, electionID string) (*Tally, error) {
	e, d, ok, err := c.definition(ctx, electionID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoElection, electionID)
	}
	counter := tally.NewCounter(d)
	var b model.Ballot
	err = c.store.Ballots(ctx, electionID, func(r store.Row) error {
		if err := d.Unpack(&b, r.Content); err != nil {
			return err
		}
		b.ID = string(r.ID)
		return counter.Add(&b, r.Batch)
	})
	if err != nil {
		return nil, err
	}
	t, err := counter.Result()
	if err != nil {
		return nil, err
	}
	state, err := c.store.State(ctx)
	if err != nil {
		return nil, err
	}
	t.ElectionID, t.Name, t.Date, t.Test = electionID, d.Name, d.Date, d.Test
	t.DefinitionSHA256, t.StateDigest = hex.EncodeToString(e.SHA256[:]), hex.EncodeToString(state[:])
	return t, nil
}
