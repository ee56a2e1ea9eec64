package ems

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/results"
	"sallyport/internal/ems/store"
)

// Standing is where an election stands: what is there, what was decided, and
// what is missing. It has no votes.
type Standing struct {
	Election Election       `json:"election"`
	Status   results.Status `json:"status"`
	Sequence int64          `json:"sequence"` // of the newest step, 0 before the first
	History  []StatusChange `json:"history"`  // oldest first
	// Changed: what official results were made from has changed since they were;
	// none are given before the next step is taken.
	Changed bool `json:"changed"`
	// PollsClosed: totals may be given, also because the day is long over or the
	// election is a test.
	PollsClosed bool `json:"polls_closed"`
	// Unresolved are the marks that wait for a decision, by contest; empty before
	// the polls are closed, when nobody is told.
	Unresolved   []Unresolved    `json:"unresolved"`
	Manual       []ManualSummary `json:"manual"`
	WithoutRules []string        `json:"without_rules"` // ranked contests
	// Missing says in one sentence each what stands between now and certified
	// results; empty also when they are certified already.
	Missing []string `json:"missing"`
}

// Unresolved counts marks that wait for a decision.
type Unresolved struct {
	Contest string `json:"contest"`
	Marks   int64  `json:"marks"`
}

// ManualSummary is a manual tally without its counts.
type ManualSummary struct {
	Name     string `json:"name"`
	Contests int    `json:"contests"`
	Ballots  int64  `json:"ballots"`
}

// Standing says where an election stands. Nothing is counted anew: the numbers
// are those of the stored subtotals.
func (c *Core) Standing(ctx context.Context, electionID string) (*Standing, error) {
	list, err := c.Elections(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &Standing{Unresolved: []Unresolved{}, Manual: []ManualSummary{}, WithoutRules: []string{}, Missing: []string{}}
	for _, e := range list {
		if e.ID == electionID {
			s.Election = e
		}
	}
	if err := c.stand(ctx, electionID, s); err != nil {
		return nil, fmt.Errorf("cannot say where the election stands: %w", err)
	}
	return s, nil
}

func (c *Core) stand(ctx context.Context, electionID string, s *Standing) error {
	_, v, err := c.must(ctx, electionID)
	if err != nil {
		return err
	}
	d := v.Compiled()
	if s.WithoutRules, err = c.withoutRules(ctx, electionID, d); err != nil {
		return err
	}
	if err := c.decisions(ctx, electionID, s); err != nil {
		return err
	}
	if err := c.closed(ctx, v, electionID); errors.Is(err, ErrPollsOpen) {
		s.Missing = append(s.Missing, "the polls are not closed")
		return nil
	} else if err != nil {
		return err
	}
	s.PollsClosed = true
	t, err := c.totals(ctx, electionID)
	if err != nil {
		return err
	}
	for _, x := range t.Contests {
		if x.Total.Unresolved > 0 {
			s.Unresolved = append(s.Unresolved, Unresolved{Contest: x.ID, Marks: x.Total.Unresolved})
		}
	}
	if s.Status.Official() {
		if s.Changed {
			s.Missing = append(s.Missing, fmt.Sprintf("the counts have changed since the %s results: take the next step (%s or %s)", s.Status, results.Correction, results.Recount))
		}
		return nil
	}
	if s.Status != results.UnofficialComplete {
		s.Missing = append(s.Missing, fmt.Sprintf("the results are %s: they have to be %s first", s.Status, results.UnofficialComplete))
	}
	open, err := c.unfinished(ctx, electionID, d, t)
	s.Missing = append(s.Missing, open...)
	return err
}

// decisions fills in what people decided.
func (c *Core) decisions(ctx context.Context, electionID string, s *Standing) error {
	var err error
	if s.History, err = c.statuses(ctx, electionID); err != nil {
		return err
	}
	s.Status = results.PreElection
	if n := len(s.History); n > 0 {
		last := s.History[n-1]
		s.Status, s.Sequence = last.Status, last.Sequence
		now, err := c.votes(ctx, electionID)
		if err != nil {
			return err
		}
		s.Changed = s.Status.Official() && last.StateDigest != now
	}
	manual, err := c.manual(ctx, electionID)
	for i := range manual {
		s.Manual = append(s.Manual, ManualSummary{Name: manual[i].Name, Contests: len(manual[i].Contests), Ballots: manual[i].Ballots()})
	}
	return err
}

// unfinished says in one sentence each what has to be done before the results
// can be certified.
func (c *Core) unfinished(ctx context.Context, electionID string, d *model.Definition, t *Tally) (open []string, err error) {
	for _, x := range t.Contests {
		if x.Total.Unresolved > 0 {
			open = append(open, fmt.Sprintf("in contest %q %d marks wait for a decision", x.ID, x.Total.Unresolved))
		}
	}
	without, err := c.withoutRules(ctx, electionID, d)
	for _, id := range without {
		open = append(open, fmt.Sprintf("contest %q is ranked, and nobody has set the rules by which it is tabulated", id))
	}
	return open, err
}

// withoutRules returns the ranked contests that nobody has set rules for.
func (c *Core) withoutRules(ctx context.Context, electionID string, d *model.Definition) ([]string, error) {
	list := []string{}
	for i := range d.Contests {
		if d.Contests[i].Ranks == 0 {
			continue
		}
		_, ok, err := c.newest(ctx, electionID, factRules, d.Contests[i].ID)
		if err != nil {
			return nil, err
		}
		if !ok {
			list = append(list, d.Contests[i].ID)
		}
	}
	return list, nil
}

// ErrWhich means that no election was named, and that the core does not hold
// exactly one.
var ErrWhich = errors.New("say which election")

// Only returns the election that is meant: the one that is named, or the only
// one in the list.
func Only(list []Election, named string) (string, error) {
	switch {
	case named != "":
		return named, nil
	case len(list) != 1:
		return "", fmt.Errorf("%w: the core holds %d", ErrWhich, len(list))
	}
	return list[0].ID, nil
}

// Mark is how far a core has come.
type Mark struct {
	// Facts numbers what people decided, from 1; each decision makes it greater,
	// and nothing makes it smaller.
	Facts       int64
	StateDigest string // lower-case hex, over everything
}

// Mark returns how far the core has come.
func (c *Core) Mark(ctx context.Context) (Mark, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	no, err := c.store.Last(ctx)
	if err != nil {
		return Mark{}, err
	}
	state, err := c.store.State(ctx)
	return Mark{Facts: no, StateDigest: hex.EncodeToString(state[:])}, err
}

// Desk says whether the core is one to which files are given by hand, and not a
// station's, where everything that changes it is logged.
func (c *Core) Desk(ctx context.Context) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, err := c.store.Place(ctx)
	return at == store.AtDesk, err
}
