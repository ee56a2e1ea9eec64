package rla

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"
)

// BatchRequest says which batches to draw for one contest.
type BatchRequest struct {
	Seed    Seed
	Contest Result
	// Pools are the jurisdictions that have the contest. Arlo orders them by
	// name, and their batches as the file of candidate totals does.
	Pools []BatchPool
	// Previous are the draws of earlier rounds, in their order. They must follow
	// from the same seed and totals.
	Previous []BatchKey
	Take     int
}

// Result is the reported outcome of a contest.
type Result struct {
	Name    string
	VoteFor int
	Winners int
	Choices []ChoiceVotes // in the order of the contest
	// Pending is the number of ballots that are not tallied yet.
	Pending int
}

// ChoiceVotes is a choice with all its reported votes.
type ChoiceVotes struct {
	Name  string
	Votes int
}

// BatchPool is a jurisdiction with its manifest and the totals of the contest.
type BatchPool struct {
	Pool
	Totals *BatchTotals
	// Several says that the columns of the totals are "Contest - Choice".
	Several bool
}

// BatchKey names a batch.
type BatchKey struct{ Jurisdiction, Batch string }

func (k BatchKey) compare(o BatchKey) int {
	if c := strings.Compare(k.Jurisdiction, o.Jurisdiction); c != 0 {
		return c
	}
	return strings.Compare(k.Batch, o.Batch)
}

// batchVotes is one batch that may be drawn.
type batchVotes struct {
	key   BatchKey
	batch Batch
	votes []int // of the contest's choices
}

// ErrFullCount says that no sample can confirm the outcome: some pair of a
// winner and a loser is so close that uncounted ballots could turn it.
var ErrFullCount = errors.New("the margin is not larger than the ballots that are not in the totals: count all ballots by hand")

// DrawBatches draws batches with replacement, each with a probability in
// proportion to how much it could overstate the margin (PPEB; Stark's MACRO),
// number for number as Arlo does. Contests that are subject to a run-off are
// not covered. When the draws of all rounds would be as many as there are
// batches, all batches that were not drawn yet are drawn once.
func DrawBatches(q BatchRequest) (*Sample, error) {
	s, err := q.draw()
	if err != nil {
		return nil, fmt.Errorf("cannot draw batches for %s: %w", quote(q.Contest.Name), err)
	}
	return s, nil
}

func (q BatchRequest) draw() (*Sample, error) {
	if err := drawable(q.Seed, q.Take, len(q.Previous)); err != nil {
		return nil, err
	}
	s := &Sample{Algorithm: ErrorBound, Seed: q.Seed, Replacement: true, Drop: len(q.Previous)}
	all, err := q.batches(s)
	if err != nil {
		return nil, err
	}
	s.Population = len(all)
	weights, err := q.Contest.weights(all)
	if err != nil {
		return nil, err
	}
	draws := choose(newPCG64(seedNumber(q.Seed)), weights, len(q.Previous)+q.Take)
	if err := q.follows(draws, all); err != nil {
		return nil, err
	}
	if len(draws) >= len(all) {
		s.Replacement = false
		draws = q.remaining(all)
	}
	q.tell(s, draws, all)
	return s, nil
}

// follows holds the earlier rounds against the draws that follow from the seed
// and the totals: they differ when either was changed since.
func (q BatchRequest) follows(draws []int, all []batchVotes) error {
	for i, k := range q.Previous {
		if all[draws[i]].key != k {
			return fmt.Errorf("draw %d of the earlier rounds does not follow from this seed and these totals: was one of them changed?", i+1)
		}
	}
	return nil
}

// batches lists what may be drawn, with the votes of the contest.
func (q BatchRequest) batches(s *Sample) ([]batchVotes, error) {
	var all []batchVotes
	var others []Pool
	contest := q.Contest.contest()
	for _, p := range q.Pools {
		if err := p.check(others, AllBatches); err != nil {
			return nil, err
		}
		others = append(others, p.Pool)
		if p.Totals == nil {
			return nil, fmt.Errorf("there are no totals of %s", quote(p.Jurisdiction))
		}
		if _, err := p.Totals.checkBatches(p.Jurisdiction, p.Manifest); err != nil {
			return nil, err
		}
		at, err := p.Totals.columnsOf(p.Jurisdiction, contest, p.Several)
		if err != nil {
			return nil, err
		}
		s.Manifests = append(s.Manifests, Source{p.Jurisdiction, p.Manifest.SHA256})
		s.columns.Containers = s.columns.Containers || p.Manifest.Containers
		s.columns.Tabulators = s.columns.Tabulators || p.Manifest.Tabulators
		if all, err = p.add(all, contest, at); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (r Result) contest() Contest {
	c := Contest{Name: r.Name, VoteFor: r.VoteFor}
	for _, ch := range r.Choices {
		c.Choices = append(c.Choices, Choice{Name: ch.Name})
	}
	return c
}

// add appends the batches of a pool in the order of its totals.
func (p BatchPool) add(all []batchVotes, c Contest, at []int) ([]batchVotes, error) {
	byName := map[string]Batch{}
	for _, b := range p.Manifest.Batches {
		byName[b.Name] = b
	}
	for _, r := range p.Totals.Rows {
		b := batchVotes{key: BatchKey{p.Jurisdiction, r.Batch}, batch: byName[r.Batch]}
		if err := r.within(p.Jurisdiction, c, at, b.batch.Ballots); err != nil {
			return nil, err
		}
		for _, i := range at {
			if r.Votes[i] > b.batch.Ballots {
				return nil, &Problem{File: p.Jurisdiction, Rule: RuleTooManyVotes, Detail: "a choice has more votes than the batch " + quote(r.Batch) + " has ballots"}
			}
			b.votes = append(b.votes, r.Votes[i])
		}
		all = append(all, b)
	}
	return all, nil
}

// weights returns the probability of each batch, which sum to about 1.
func (r Result) weights(all []batchVotes) ([]float64, error) {
	missing, err := r.missing(all)
	if err != nil {
		return nil, err
	}
	winners, losers := r.outcome()
	if len(winners) == 0 || len(losers) == 0 {
		return nil, errors.New("the contest has no winner or no loser")
	}
	bounds := make([]*big.Rat, len(all))
	sum := new(big.Rat)
	for i, b := range all {
		if bounds[i], err = r.bound(b, winners, losers, missing); err != nil {
			return nil, err
		}
		sum = round28(new(big.Rat).Add(sum, bounds[i]))
	}
	if sum.Sign() == 0 {
		return nil, errors.New("no batch has ballots of the contest")
	}
	weights := make([]float64, len(all))
	for i, u := range bounds {
		weights[i], _ = round28(new(big.Rat).Quo(u, sum)).Float64()
	}
	return weights, nil
}

// missing is the number of ballots behind votes of the outcome that are in no
// batch, rounded up.
func (r Result) missing(all []batchVotes) (int, error) {
	if r.VoteFor < 1 || r.Winners < 1 || r.Pending < 0 {
		return 0, errors.New("votes allowed and winners are at least 1, pending ballots not negative")
	}
	votes := 0
	for _, c := range r.Choices {
		if c.Votes < 0 || c.Votes > maxBallots {
			return 0, errors.New("the votes of a choice are out of range")
		}
		votes += c.Votes
	}
	for _, b := range all {
		for _, n := range b.votes {
			votes -= n
		}
	}
	if votes < 0 {
		return 0, errors.New("the batches have more votes than the contest")
	}
	return (votes + r.VoteFor - 1) / r.VoteFor, nil
}

// outcome returns the indexes of winners and losers; of choices with the same
// votes the earlier one comes first.
func (r Result) outcome() (winners, losers []int) {
	order := make([]int, len(r.Choices))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return r.Choices[b].Votes - r.Choices[a].Votes })
	n := min(r.Winners, len(order))
	return order[:n], order[n:]
}

// bound is the most that a batch can overstate any margin, as a part of it.
func (r Result) bound(b batchVotes, winners, losers []int, missing int) (*big.Rat, error) {
	most := new(big.Rat)
	for _, w := range winners {
		for _, l := range losers {
			margin := r.Choices[w].Votes - r.Choices[l].Votes - r.Pending - missing
			if margin <= 0 {
				return nil, ErrFullCount
			}
			u := round28(big.NewRat(int64(b.votes[w]-b.votes[l]+b.batch.Ballots), int64(margin)))
			if u.Cmp(most) > 0 {
				most = u
			}
		}
	}
	return most, nil
}

// choose draws n batches by their weights: the running sums of the weights,
// divided by the last one, are searched for the generator's numbers.
func choose(g *pcg64, weights []float64, n int) []int {
	sums := make([]float64, len(weights))
	running := 0.0
	for i, w := range weights {
		running += w
		sums[i] = running
	}
	for i := range sums {
		sums[i] /= running
	}
	out := make([]int, n)
	for i := range out {
		x := g.float64()
		out[i] = sort.Search(len(sums), func(j int) bool { return sums[j] > x })
	}
	return out
}

// remaining are, after the previous draws, all batches that are not among
// them, by name; a previous draw is -1.
func (q BatchRequest) remaining(all []batchVotes) []int {
	drawn := map[BatchKey]bool{}
	out := make([]int, len(q.Previous))
	for i, k := range q.Previous {
		drawn[k], out[i] = true, -1
	}
	var rest []int
	for i, b := range all {
		if !drawn[b.key] {
			rest = append(rest, i)
		}
	}
	slices.SortFunc(rest, func(a, b int) int { return all[a].key.compare(all[b].key) })
	return append(out, rest...)
}

// tell gives the draws their ticket numbers: the first of a batch from seed
// and name, each further one from the one before, as it was shown.
func (q BatchRequest) tell(s *Sample, draws []int, all []batchVotes) {
	t := newTickets(q.Seed.text)
	before := map[BatchKey]bool{}
	last := map[BatchKey]string{}
	times := map[BatchKey]int{}
	for i, at := range draws {
		if i < len(q.Previous) && at < 0 {
			continue
		}
		b := all[at]
		ticket, again := last[b.key]
		if again {
			ticket = next(ticket)
		} else {
			ticket = t.first(batchID(b.key.Jurisdiction, b.key.Batch))
		}
		ticket = trim(ticket, shownDigits)
		last[b.key] = ticket
		times[b.key]++
		if i < len(q.Previous) {
			before[b.key] = true
			continue
		}
		s.Draws = append(s.Draws, Draw{Number: i + 1, Ticket: ticket, Jurisdiction: b.key.Jurisdiction, Batch: b.batch, Times: times[b.key], Before: before[b.key]})
	}
}
