package ems

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/rcv"
	"sallyport/internal/ems/results"
)

// ErrRules means that a ranked contest's rules do not fit it, or are not there.
var ErrRules = errors.New("the rules of the ranked contest cannot be used")

// SetRules records the rules by which a ranked contest is tabulated: a contest
// configuration of RCTab, of which the rules are used. Its candidates must be
// those of the contest.
func (c *Core) SetRules(ctx context.Context, electionID, contestID string, config []byte, by By) error {
	if err := by.check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, v, err := c.must(ctx, electionID)
	if err != nil {
		return err
	}
	for i := range v.Compiled().Contests {
		if x := &v.Compiled().Contests[i]; x.ID == contestID {
			if _, _, err := rules(x, config); err != nil {
				return err
			}
			_, err := c.store.AddFact(ctx, c.fact(electionID, factRules, contestID, config, by), -1)
			return err
		}
	}
	return fmt.Errorf("%w: the election has no contest %q", ErrRules, contestID)
}

// rules reads the rules of a contest, and where each option goes: the number of
// its candidate. All places to write a name are one candidate, an undeclared
// write-in.
func rules(c *model.Contest, config []byte) (rcv.Rules, *race, error) {
	if c.Ranks == 0 {
		return rcv.Rules{}, nil, fmt.Errorf("%w: contest %q is not ranked", ErrRules, c.ID)
	}
	cfg, err := rcv.ReadConfig(bytes.NewReader(config))
	if err != nil {
		return rcv.Rules{}, nil, fmt.Errorf("%w: contest %q: %w", ErrRules, c.ID, err)
	}
	r := &race{of: make([]int, len(c.Options)), option: map[string]int{}}
	writeIn := -1
	for i, o := range c.Options {
		if o.WriteIn && writeIn >= 0 {
			r.of[i] = writeIn
			continue
		}
		r.of[i] = len(r.candidates)
		x := rcv.Candidate{Name: o.Name, UndeclaredWriteIn: o.WriteIn}
		if o.WriteIn {
			writeIn = r.of[i]
		} else {
			n, ok := cfg.Candidate(o.Name)
			if !ok {
				return rcv.Rules{}, nil, fmt.Errorf("%w: contest %q: the rules do not name the candidate %q", ErrRules, c.ID, o.Name)
			}
			x.Excluded = cfg.Candidates[n].Excluded
		}
		r.candidates = append(r.candidates, x)
		r.option[x.Name] = i
	}
	return cfg.Rules, r, nil
}

// race maps the options of a ranked contest to candidates, and back.
type race struct {
	candidates []rcv.Candidate
	of         []int          // by option
	option     map[string]int // by the candidate's name
}

// ballot turns marks into ranks.
func (r *race) ballot(c *model.Contest, m *model.Marks, into [][]int) [][]int {
	if into == nil {
		into = make([][]int, c.Ranks)
	}
	for i := range into {
		into[i] = into[i][:0]
	}
	c.Ranking(m, func(rank, option int) {
		if rank >= 1 && rank <= c.Ranks {
			into[rank-1] = append(into[rank-1], r.of[option])
		}
	})
	return into
}

// tabulation collects the rankings of one contest.
type tabulation struct {
	contest   *model.Contest
	rules     rcv.Rules
	race      *race
	collector *rcv.Collector
	seen      int64
	ranks     [][]int
	err       error
}

// tabulations prepares the ranked contests that have rules.
func (c *Core) tabulations(ctx context.Context, electionID string, d *model.Definition) (map[int]*tabulation, error) {
	out := map[int]*tabulation{}
	for n := range d.Contests {
		x := &d.Contests[n]
		if x.Ranks == 0 {
			continue
		}
		f, ok, err := c.newest(ctx, electionID, factRules, x.ID)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // the report says that there are no rules
		}
		t := &tabulation{contest: x}
		if t.rules, t.race, err = rules(x, f.Document); err != nil {
			return nil, err
		}
		if t.collector, err = rcv.NewCollector(len(t.race.candidates), rcv.Budget{}); err != nil {
			return nil, err
		}
		out[n] = t
	}
	return out, nil
}

func (t *tabulation) add(m *model.Marks) {
	if t.err != nil {
		return
	}
	t.ranks = t.race.ballot(t.contest, m, t.ranks)
	t.seen++
	t.err = t.collector.Add(rcv.Ballot{Ranks: t.ranks, Count: 1})
}

// rounds tabulates; ballots is how many bear the contest.
func (t *tabulation) rounds(ballots int64) ([]results.Round, error) {
	if t.err == nil && ballots > t.seen { // they do not list the contest: blank
		t.err = t.collector.Add(rcv.Ballot{Ranks: make([][]int, t.contest.Ranks), Count: ballots - t.seen})
	}
	if t.err != nil {
		return nil, fmt.Errorf("cannot tabulate contest %q: %w", t.contest.ID, t.err)
	}
	res, err := rcv.Tabulate(t.rules, t.race.candidates, t.collector.Collection())
	if err != nil {
		return nil, fmt.Errorf("cannot tabulate contest %q: %w", t.contest.ID, err)
	}
	var out []results.Round
	for i := range res.Passes {
		for j := range res.Passes[i].Rounds {
			out = append(out, t.round(&res.Passes[i].Rounds[j], len(out)+1))
		}
	}
	return out, nil
}

func (t *tabulation) round(r *rcv.Round, number int) results.Round {
	x := results.Round{Number: number, Threshold: r.Threshold.String(), Votes: make([]string, len(t.contest.Options))}
	for _, v := range r.Tally {
		x.Votes[t.race.option[v.Candidate]] = v.Votes.String()
	}
	name := func(list []rcv.Decision) (ids []string) {
		for _, d := range list {
			ids = append(ids, t.contest.Options[t.race.option[d.Candidate]].ID)
		}
		return ids
	}
	x.Elected, x.Eliminated = name(r.Elected), name(r.Eliminated)
	for _, n := range []struct {
		cause string
		count rcv.Decimal
	}{{"exhausted choices", r.Inactive.ExhaustedChoices}, {"overvotes", r.Inactive.Overvotes},
		{"repeated rankings", r.Inactive.RepeatedRankings}, {"skipped rankings", r.Inactive.SkippedRankings}} {
		x.Inactive = append(x.Inactive, results.Inactive{Cause: n.cause, Count: n.count.String()})
	}
	return x
}
