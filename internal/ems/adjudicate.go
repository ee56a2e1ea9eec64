package ems

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
)

// WriteIn is one written name on a ballot, as it waits for a decision or got one.
type WriteIn struct {
	Ballot  string `json:"ballot"`
	Contest string `json:"contest"`
	// Position numbers the contest's positions in the ballot's current snapshot, from 0.
	Position int    `json:"position"`
	Text     string `json:"text"` // the name as it was read; may be empty
	Decided  bool   `json:"decided"`
}

// Decision says whom a written name is a vote for: exactly one of Candidate,
// Name and Reject is set.
type Decision struct {
	Ballot   string `json:"ballot"`
	Contest  string `json:"contest"`
	Position int    `json:"position"`
	// Candidate is the option of a candidate who is on the ballot.
	Candidate string `json:"candidate,omitempty"`
	// Name is a write-in candidate's name, spelled as it is to be reported.
	Name string `json:"name,omitempty"`
	// Reject: the name is no vote.
	Reject bool `json:"reject,omitempty"`
}

// ErrDecision means that a decision does not fit what it is about.
var ErrDecision = errors.New("the decision does not fit the ballot")

// WriteIns lists the written names of an election, sorted by ballot; with open
// only those that wait for a decision.
func (c *Core) WriteIns(ctx context.Context, electionID string, open bool) ([]WriteIn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, v, err := c.must(ctx, electionID)
	if err != nil {
		return nil, err
	}
	d := v.Compiled()
	decided, err := c.decided(ctx, electionID)
	if err != nil {
		return nil, err
	}
	list := []WriteIn{}
	var b model.Ballot
	err = c.store.Ballots(ctx, electionID, func(r store.Row) error {
		content := r.Content
		if x, ok := decided[string(r.ID)]; ok {
			content = x
		}
		if err := d.Unpack(&b, content); err != nil {
			return err
		}
		for _, m := range b.Snapshots[b.Current].Contests {
			for i, p := range m.Positions {
				waits := p.Indicated == model.Yes && p.Allocable == model.Unknown
				if p.WriteIn && (waits || !open) {
					list = append(list, WriteIn{Ballot: string(r.ID), Contest: d.Contests[m.Contest].ID, Position: i, Text: p.Text, Decided: !waits})
				}
			}
		}
		return nil
	})
	return list, err
}

// Adjudicate decides about written names. Nothing is overwritten: a ballot gets
// one more snapshot of type modified, which becomes the current one, and what
// was read stays. All decisions take effect together, or none.
func (c *Core) Adjudicate(ctx context.Context, electionID string, list []Decision, by By) error {
	if err := by.check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.adjudicate(ctx, electionID, list, by); err != nil {
		return fmt.Errorf("cannot adjudicate: %w", err)
	}
	return nil
}

func (c *Core) adjudicate(ctx context.Context, electionID string, list []Decision, by By) error {
	_, v, err := c.must(ctx, electionID)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%w: there is no decision", ErrDecision)
	}
	d := v.Compiled()
	subs, err := c.subtotals(ctx, electionID, d)
	if err != nil {
		return err
	}
	decided, err := c.decided(ctx, electionID)
	if err != nil {
		return err
	}
	byBallot := map[string][]Decision{}
	for _, x := range list {
		byBallot[x.Ballot] = append(byBallot[x.Ballot], x)
	}
	counter := tally.Continue(d, subs)
	var facts []store.Fact
	for _, id := range slices.Sorted(maps.Keys(byBallot)) {
		packed, err := c.decide(ctx, electionID, d, decided[id], byBallot[id], counter)
		if err != nil {
			return err
		}
		facts = append(facts, c.fact(electionID, factBallot, id, packed, by))
	}
	if _, err := subs.Tally(); err != nil {
		return err
	}
	rows, err := encode(subs)
	if err != nil {
		return err
	}
	return c.store.AddFacts(ctx, facts, electionID, rows)
}

// decide applies the decisions about one ballot, recounts it, and returns its
// new packed form. earlier is its form after earlier decisions, or nil.
func (c *Core) decide(ctx context.Context, electionID string, d *model.Definition, earlier []byte, list []Decision, counter *tally.Counter) ([]byte, error) {
	r, ok, err := c.store.Ballot(ctx, electionID, list[0].Ballot)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: no ballot %q", ErrDecision, list[0].Ballot)
	}
	content := r.Content
	if earlier != nil {
		content = earlier
	}
	var b, next model.Ballot
	if err := errors.Join(d.Unpack(&b, content), d.Unpack(&next, content)); err != nil {
		return nil, err
	}
	s := next.AddSnapshot(model.Modified)
	next.Current = len(next.Snapshots) - 1
	copyMarks(s, &b.Snapshots[b.Current])
	for _, x := range list {
		if err := x.apply(d, s); err != nil {
			return nil, err
		}
	}
	batch := tally.Batch{No: r.Batch, Method: r.Method}
	if err := errors.Join(counter.Remove(&b, batch), counter.Add(&next, batch)); err != nil {
		return nil, err
	}
	return next.Pack(nil), nil
}

func copyMarks(into, from *model.Snapshot) {
	for _, m := range from.Contests {
		x := into.AddMarks(m.Contest)
		x.Overvoted, x.Positions = m.Overvoted, slices.Clone(m.Positions)
	}
}

// apply changes one position of a snapshot.
func (x *Decision) apply(d *model.Definition, s *model.Snapshot) error {
	n := slices.IndexFunc(d.Contests, func(c model.Contest) bool { return c.ID == x.Contest })
	i := slices.IndexFunc(s.Contests, func(m model.Marks) bool { return m.Contest == n })
	if n < 0 || i < 0 || x.Position < 0 || x.Position >= len(s.Contests[i].Positions) {
		return fmt.Errorf("%w: ballot %q has no position %d in contest %q", ErrDecision, x.Ballot, x.Position, x.Contest)
	}
	positions := s.Contests[i].Positions
	p := &positions[x.Position]
	if !p.WriteIn || p.Indicated != model.Yes {
		return fmt.Errorf("%w: ballot %q, contest %q, position %d is not a written name", ErrDecision, x.Ballot, x.Contest, x.Position)
	}
	switch {
	case x.Candidate != "" && x.Name == "" && !x.Reject:
		o := slices.IndexFunc(d.Contests[n].Options, func(o model.Option) bool { return o.ID == x.Candidate && !o.WriteIn })
		if o < 0 {
			return fmt.Errorf("%w: %q is no candidate of contest %q", ErrDecision, x.Candidate, x.Contest)
		}
		// Whoever marks a candidate and writes the name as well has voted once.
		twice := slices.ContainsFunc(positions, func(q model.Position) bool {
			return q.Option == o && q.Indicated == model.Yes && q.Allocable != model.No && d.Contests[n].Ranks == 0
		})
		p.Option, p.Allocable = o, model.Yes
		if twice {
			p.Allocable = model.No
		}
	case x.Name != "" && x.Candidate == "" && !x.Reject && len(x.Name) <= 256:
		p.Text, p.Allocable = x.Name, model.Yes
	case x.Reject && x.Name == "" && x.Candidate == "":
		p.Allocable = model.No
	default:
		return fmt.Errorf("%w: say one of a candidate, a name of at most 256 bytes, or that the name is rejected", ErrDecision)
	}
	return nil
}

// decided returns the packed form of every ballot that people decided about.
func (c *Core) decided(ctx context.Context, electionID string) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := c.store.Facts(ctx, electionID, factBallot, func(f store.Fact) error {
		out[f.Key] = f.Document
		return nil
	})
	return out, err
}
