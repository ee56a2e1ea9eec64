package ems

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"sallyport/internal/ems/election"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/results"
	"sallyport/internal/ems/store"
)

// ManualTally is a count that people made by hand, apart from cast vote
// records: of ballots that no scanner could read, for example. One of the same
// name takes the place of the one before, which stays in the store.
type ManualTally struct {
	Name     string          `json:"name"`
	Contests []ManualContest `json:"contests"`
}

// Ballots is how many ballots were counted: the most that one contest has.
func (m *ManualTally) Ballots() (most int64) {
	for i := range m.Contests {
		var n int64
		for _, l := range m.Contests[i].Lines {
			n += l.Ballots
		}
		most = max(most, n)
	}
	return most
}

// ManualContest are the counts of one contest.
type ManualContest struct {
	Contest string       `json:"contest"`
	Lines   []ManualLine `json:"lines"`
}

// ManualLine is one row: votes by option, and what is missing to the votes
// allowed on its ballots.
type ManualLine struct {
	Precinct   string           `json:"precinct"`
	Method     string           `json:"method,omitempty"` // CountItemType
	Ballots    int64            `json:"ballots"`
	Votes      map[string]int64 `json:"votes"` // by option
	Overvotes  int64            `json:"overvotes"`
	Undervotes int64            `json:"undervotes"`
}

// ErrManual means that a manual tally does not fit the election or does not balance.
var ErrManual = errors.New("the manual tally cannot be taken")

// AddManual records a manual tally, after it was checked against the
// definition and the conservation identity.
func (c *Core) AddManual(ctx context.Context, electionID string, m ManualTally, by By) error {
	if err := by.check(); err != nil {
		return err
	}
	if m.Name == "" || len(m.Name) > 256 {
		return fmt.Errorf("%w: it needs a name of at most 256 bytes", ErrManual)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, v, err := c.must(ctx, electionID)
	if err != nil {
		return err
	}
	if len(m.Contests) == 0 {
		return fmt.Errorf("%w: it has no contest", ErrManual)
	}
	for i := range m.Contests {
		if _, err := m.Contests[i].lines(v); err != nil {
			return err
		}
	}
	doc, err := json.Marshal(m, json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = c.store.AddFact(ctx, c.fact(electionID, factManual, m.Name, doc, by), -1)
	return err
}

// ManualTallies returns the manual tallies that hold, by name.
func (c *Core) ManualTallies(ctx context.Context, electionID string) ([]ManualTally, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.manual(ctx, electionID)
}

func (c *Core) manual(ctx context.Context, electionID string) ([]ManualTally, error) {
	var list []ManualTally
	err := c.store.Facts(ctx, electionID, factManual, func(f store.Fact) error {
		var m ManualTally
		if err := json.Unmarshal(f.Document, &m); err != nil {
			return fmt.Errorf("%w: the manual tally in fact %d: %w", store.ErrDamaged, f.No, err)
		}
		if i := slices.IndexFunc(list, func(x ManualTally) bool { return x.Name == m.Name }); i >= 0 {
			list[i] = m
		} else {
			list = append(list, m)
		}
		return nil
	})
	return list, err
}

// lines checks the counts and returns them as lines of the results.
func (m *ManualContest) lines(v *election.Valid) ([]results.Line, error) {
	d := v.Compiled()
	n := slices.IndexFunc(d.Contests, func(c model.Contest) bool { return c.ID == m.Contest })
	if n < 0 {
		return nil, fmt.Errorf("%w: the election has no contest %q", ErrManual, m.Contest)
	}
	contest := &d.Contests[n]
	var out []results.Line
	for _, l := range m.Lines {
		x := results.Line{UnitID: l.Precinct, Type: l.Method, Ballots: l.Ballots, Overvotes: l.Overvotes, Undervotes: l.Undervotes, Votes: make([]int64, len(contest.Options))}
		if x.Type == "" {
			x.Type = results.Total
		}
		if !slices.ContainsFunc(d.Precincts, func(p model.Precinct) bool { return p.ID == l.Precinct }) {
			return nil, fmt.Errorf("%w: contest %q: %q is no precinct of a ballot style", ErrManual, m.Contest, l.Precinct)
		}
		sum := l.Overvotes + l.Undervotes
		known := 0
		for i, o := range contest.Options {
			votes, ok := l.Votes[o.ID]
			if ok {
				known++
			}
			if votes < 0 {
				return nil, fmt.Errorf("%w: contest %q, %q: a negative number", ErrManual, m.Contest, l.Precinct)
			}
			x.Votes[i] = votes
			sum += votes
			if o.WriteIn {
				x.WriteIns += votes
			}
		}
		if known != len(l.Votes) {
			return nil, fmt.Errorf("%w: contest %q, %q: votes for an option that the contest does not have", ErrManual, m.Contest, l.Precinct)
		}
		if l.Ballots < 0 || l.Overvotes < 0 || l.Undervotes < 0 || sum != int64(contest.VotesAllowed)*l.Ballots {
			return nil, fmt.Errorf("%w: contest %q, %q: %d votes allowed on %d ballots are not the votes, overvotes and undervotes, which are %d", ErrManual, m.Contest, l.Precinct, contest.VotesAllowed, l.Ballots, sum)
		}
		out = append(out, x)
	}
	return out, nil
}
