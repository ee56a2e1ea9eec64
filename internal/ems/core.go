package ems

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/election"
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
	now   func() time.Time
}

// Create makes the database of a new core; it fails when path exists.
func Create(path string) error { return store.Create(path, store.AtStation) }

// CreateDesk makes the database of a core that is not a station's: files are
// given to it by hand, and its reports say so.
func CreateDesk(path string) error { return store.Create(path, store.AtDesk) }

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
	return &Core{store: s, docs: docs, now: time.Now}, nil
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
func (c *Core) definition(ctx context.Context, id string) (store.Election, *election.Valid, bool, error) {
	e, ok, err := c.store.Election(ctx, id)
	if err != nil || !ok {
		return store.Election{}, nil, false, err
	}
	if err := e.Check(); err != nil {
		return store.Election{}, nil, false, err
	}
	v, err := c.docs.Election("definition of "+id, e.Definition)
	if err != nil {
		// What a stored document breaks is no finding about the package at hand.
		return store.Election{}, nil, false, fmt.Errorf("cannot read the stored definition of %q: %v", id, err)
	}
	return e, v, true, nil
}

// must returns an election that the caller names; none is an error.
func (c *Core) must(ctx context.Context, id string) (store.Election, *election.Valid, error) {
	e, v, ok, err := c.definition(ctx, id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %q", ErrNoElection, id)
	}
	return e, v, err
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
		e, v, err := c.must(ctx, id)
		if err != nil {
			return nil, err
		}
		d := v.Compiled()
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

// Tally counts one election anew from its ballots and checks the count: every
// package's ballots against their digest, the conservation identity for every
// contest in every precinct, voting method, style and batch, and the whole
// against the subtotals that were made when the ballots came in. A tally that
// does not pass is an error, never a result.
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
	e, v, err := c.over(ctx, electionID)
	if err != nil {
		return nil, err
	}
	t, _, err := c.recount(ctx, e, v.Compiled(), nil)
	return t, err
}

// recount counts every ballot anew and makes all comparisons; ranked may be nil.
func (c *Core) recount(ctx context.Context, e store.Election, d *model.Definition, ranked func(int, *model.Marks)) (*Tally, *counted, error) {
	n, err := c.stream(ctx, e.ID, d, ranked)
	if err != nil {
		return nil, nil, err
	}
	if err := c.compare(ctx, e.ID, d, n.counter.Subtotals()); err != nil {
		return nil, nil, err
	}
	t, err := n.counter.Result()
	if err != nil {
		return nil, nil, err
	}
	return t, n, c.sign(ctx, t, e, d)
}

// sign fills in whose tally it is, and of what state.
func (c *Core) sign(ctx context.Context, t *Tally, e store.Election, d *model.Definition) error {
	state, err := c.store.State(ctx)
	if err != nil {
		return err
	}
	t.ElectionID, t.Name, t.Date, t.Test = e.ID, d.Name, d.Date, d.Test
	t.DefinitionSHA256, t.StateDigest = hex.EncodeToString(e.SHA256[:]), hex.EncodeToString(state[:])
	return nil
}

// counted is what a pass over all ballots gives.
type counted struct {
	counter  *tally.Counter
	writeIns map[int]map[string]int64 // votes by contest and decided name
}

// stream counts every ballot of an election; ranked may be nil.
func (c *Core) stream(ctx context.Context, electionID string, d *model.Definition, ranked func(int, *model.Marks)) (*counted, error) {
	n := &counted{counter: tally.NewCounter(d), writeIns: map[int]map[string]int64{}}
	if ranked != nil {
		n.counter.Rankings(ranked)
	}
	decided, err := c.decided(ctx, electionID)
	if err != nil {
		return nil, err
	}
	rule := model.NewRule(d)
	used := 0
	var b model.Ballot
	err = c.store.Ballots(ctx, electionID, func(r store.Row) error {
		content, adjudicated := r.Content, false
		if len(decided) > 0 {
			if x, ok := decided[string(r.ID)]; ok {
				content, adjudicated = x, true
				used++
			}
		}
		if err := d.Unpack(&b, content); err != nil {
			return err
		}
		if err := n.counter.Add(&b, tally.Batch{No: r.Batch, Method: r.Method}); err != nil {
			return fmt.Errorf("%w (ballot %q)", err, r.ID)
		}
		if adjudicated {
			return n.names(rule, d, &b)
		}
		return nil
	})
	if err == nil && used != len(decided) {
		err = fmt.Errorf("%w: people decided about ballots that are not there", store.ErrDamaged)
	}
	return n, err
}

// names books the decided names of a ballot that count.
func (n *counted) names(rule *model.Rule, d *model.Definition, b *model.Ballot) error {
	s := &b.Snapshots[b.Current]
	return rule.Count(b, func(contest int, votes []int64, _ model.Outcome) error {
		for i := range s.Contests {
			if s.Contests[i].Contest != contest {
				continue
			}
			for _, p := range s.Contests[i].Positions {
				if p.WriteIn && p.Allocable == model.Yes && d.Contests[contest].Options[p.Option].WriteIn && votes[p.Option] > 0 {
					if n.writeIns[contest] == nil {
						n.writeIns[contest] = map[string]int64{}
					}
					n.writeIns[contest][p.Text] += int64(p.Votes)
				}
			}
		}
		return nil
	})
}

// compare compares a recount with the subtotals that were stored.
func (c *Core) compare(ctx context.Context, electionID string, d *model.Definition, recount *tally.Subtotals) error {
	rows, ok, err := c.store.Subtotals(ctx, electionID)
	if err != nil || !ok {
		return err // a store of the first version has none before its next import
	}
	stored, err := decode(d, rows)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	if err := stored.Equal(recount); err != nil {
		return fmt.Errorf("%w: the ballots do not come to the subtotals that were made when they were imported: %w", store.ErrDamaged, err)
	}
	return nil
}

// Totals returns the tally that the stored subtotals come to, checked in
// itself, without reading the ballots again; [Core.Tally] does that.
func (c *Core) Totals(ctx context.Context, electionID string) (*Tally, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.totals(ctx, electionID)
	if err != nil {
		return nil, fmt.Errorf("cannot add up: %w", err)
	}
	return t, nil
}

func (c *Core) totals(ctx context.Context, electionID string) (*Tally, error) {
	e, v, err := c.over(ctx, electionID)
	if err != nil {
		return nil, err
	}
	d := v.Compiled()
	subs, err := c.subtotals(ctx, electionID, d)
	if err != nil {
		return nil, err
	}
	t, err := subs.Tally()
	if err != nil {
		return nil, err
	}
	return t, c.sign(ctx, t, e, d)
}

// subtotals returns the stored subtotals, which are made first in a store that
// has none.
func (c *Core) subtotals(ctx context.Context, electionID string, d *model.Definition) (*tally.Subtotals, error) {
	if err := c.complete(ctx, electionID, d); err != nil {
		return nil, err
	}
	rows, _, err := c.store.Subtotals(ctx, electionID)
	if err != nil {
		return nil, err
	}
	subs, err := decode(d, rows)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return subs, nil
}
