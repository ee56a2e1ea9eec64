package ems

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/store"
	"sallyport/internal/ems/tally"
)

// Errors of tests of logic and accuracy.
var (
	// ErrNotTest means that the core's definition is not marked as a test: test
	// ballots are counted in a core of their own, and never in one of results.
	ErrNotTest = errors.New("the core's definition of the election is not marked as a test (IsTest)")
	// ErrOtherDefinition means that a test was not one of the definition in force.
	ErrOtherDefinition = errors.New("the definition of the test core is not the definition in force with the mark of a test")
	// ErrNotEmpty means that there is something in a core that has to have nothing.
	ErrNotEmpty = errors.New("the core is not empty")
)

// TestCopy returns a copy of a definition that is marked as a test, and the same
// otherwise. Test ballots are counted under it: a report of them is refused
// under the definition itself (rule test-votes), and results under the copy say
// that they are none.
func TestCopy(v *election.Valid) (*election.Valid, error) {
	d, err := v.Definition().Clone()
	if err != nil {
		return nil, fmt.Errorf("cannot copy the definition: %w", err)
	}
	d.IsTest = true
	out, problems := d.Check()
	if out == nil {
		return nil, fmt.Errorf("cannot copy the definition: %w", problems[0])
	}
	return out, nil
}

// isTestCopy says whether test is the copy of a definition that [TestCopy] makes.
func isTestCopy(test, of *election.Valid) error {
	want, err := TestCopy(of)
	if err != nil {
		return err
	}
	a, err := want.Definition().JSON()
	if err != nil {
		return err
	}
	b, err := test.Definition().JSON()
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return ErrOtherDefinition
	}
	return nil
}

// TestRun is what a core counted of a test deck. It is [deck.Counts].
type TestRun struct {
	tally  *Tally
	styles map[string][]tally.Row // by the code of the style
}

// Ballots is how many ballots were counted.
func (r *TestRun) Ballots() int64 { return r.tally.Ballots }

// TestRun counts the ballots of a test election anew. The core's definition has
// to be the test copy of the given one, which is the one in force elsewhere.
func (c *Core) TestRun(ctx context.Context, electionID string, of *election.Valid) (*TestRun, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, v, err := c.must(ctx, electionID)
	if err != nil {
		return nil, err
	}
	if !v.Compiled().Test {
		return nil, ErrNotTest
	}
	if err := isTestCopy(v, of); err != nil {
		return nil, err
	}
	t, n, err := c.recount(ctx, e, v.Compiled(), nil)
	if err != nil {
		return nil, err
	}
	styles := v.Election().Styles
	return &TestRun{tally: t, styles: n.counter.Subtotals().ByStyle(func(i int) string { return styles[i].Code() })}, nil
}

// errEnough ends a reading of the store that nobody wants more of.
var errEnough = errors.New("enough")

// TestBallots yields the ballots of a test election as they were read, each
// until the next. Those of an election that is no test are given to nobody:
// [ErrNotTest].
func (c *Core) TestBallots(ctx context.Context, electionID string) iter.Seq2[*model.Ballot, error] {
	return func(yield func(*model.Ballot, error) bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, v, err := c.must(ctx, electionID)
		if err == nil && !v.Compiled().Test {
			err = ErrNotTest
		}
		if err == nil {
			var b model.Ballot
			err = c.store.Ballots(ctx, electionID, func(r store.Row) error {
				if err := v.Compiled().Unpack(&b, r.Content); err != nil {
					return err
				}
				b.ID = string(r.ID)
				if !yield(&b, nil) {
					return errEnough
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

// Zero counts an election that must have nothing in it, also before the polls
// are closed: it fails with [ErrNotEmpty] as soon as there is any ballot,
// package of ballots, manual tally or decided name, and tells no number of it.
func (c *Core) Zero(ctx context.Context, electionID string) (*TestRun, *election.Valid, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, v, err := c.must(ctx, electionID)
	if err != nil {
		return nil, nil, err
	}
	if err := c.nothing(ctx, electionID); err != nil {
		return nil, nil, err
	}
	t, _, err := c.recount(ctx, e, v.Compiled(), nil)
	if err != nil {
		return nil, nil, err
	}
	if t.Ballots != 0 {
		return nil, nil, fmt.Errorf("%w: it has ballots of the election %q", ErrNotEmpty, electionID)
	}
	return &TestRun{tally: t}, v, nil
}

// nothing says what there is beside a definition.
func (c *Core) nothing(ctx context.Context, electionID string) error {
	packages, err := c.store.Packages(ctx)
	if err != nil {
		return err
	}
	for _, p := range packages {
		if p.ElectionID == electionID && p.Kind == KindCVRs {
			return fmt.Errorf("%w: it has taken a package of cast vote records of the election %q", ErrNotEmpty, electionID)
		}
	}
	for kind, what := range map[string]string{factBallot: "decisions about ballots", factManual: "a manual tally"} {
		err := c.store.Facts(ctx, electionID, kind, func(store.Fact) error {
			return fmt.Errorf("%w: it has %s of the election %q", ErrNotEmpty, what, electionID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Lines implements [deck.Counts].
func (r *TestRun) Lines() iter.Seq2[deck.Key, deck.Count] {
	return func(yield func(deck.Key, deck.Count) bool) {
		t := r.tally
		if !yield(deck.Key{}, deck.Count{Ballots: t.Ballots}) {
			return
		}
		for _, p := range t.Precincts {
			if !yield(deck.Key{Precinct: p.ID}, deck.Count{Ballots: p.Ballots}) {
				return
			}
		}
		for i := range t.Contests {
			if !contestLines(&t.Contests[i], yield) {
				return
			}
		}
		for code, rows := range r.styles {
			for i := range rows {
				x := &t.Contests[rows[i].Contest]
				if !yield(deck.Key{Contest: x.ID, Style: code}, deckCount(x, &rows[i].Counts)) {
					return
				}
			}
		}
	}
}

func contestLines(x *tally.Contest, yield func(deck.Key, deck.Count) bool) bool {
	if !yield(deck.Key{Contest: x.ID}, deckCount(x, &x.Total)) {
		return false
	}
	for i := range x.Precincts {
		p := &x.Precincts[i]
		if !yield(deck.Key{Contest: x.ID, Precinct: p.ID}, deckCount(x, &p.Counts)) {
			return false
		}
	}
	return true
}

func deckCount(x *tally.Contest, n *tally.Counts) deck.Count {
	c := deck.Count{Ballots: n.Ballots, Overvotes: n.Overvotes, Undervotes: n.Undervotes, WriteIns: n.WriteIns, Votes: make(map[string]int64, len(x.Options))}
	for i, o := range x.Options {
		c.Votes[o.ID] = n.Votes[i]
	}
	return c
}
