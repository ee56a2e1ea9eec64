package rcv

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Tabulate counts ballots by the rules. It fails with a *TieError when a tie
// needs an answer that the rules do not have, with ErrNoWinner, with
// ErrUnbalanced, or with what is wrong with its inputs.
func Tabulate(r Rules, candidates []Candidate, ballots *Collection) (*Result, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("cannot tabulate: %w", err)
	}
	if err := checkCandidates(candidates); err != nil {
		return nil, fmt.Errorf("cannot tabulate: %w", err)
	}
	if err := ballots.fits(&r, len(candidates)); err != nil {
		return nil, fmt.Errorf("cannot tabulate: %w", err)
	}
	res := &Result{Rules: r, Candidates: slices.Clone(candidates)}
	res.Rules.Lots = slices.Clone(r.Lots)
	if err := res.passes(ballots); err != nil {
		return nil, fmt.Errorf("cannot tabulate: %w", err)
	}
	return res, nil
}

// passes runs the tabulations one after the other; each pass excludes the
// winners of the earlier ones.
func (res *Result) passes(ballots *Collection) error {
	candidates := slices.Clone(res.Candidates)
	n, seats := 1, res.Rules.Winners
	if res.Rules.Mode == MultiPassIRV {
		n, seats = res.Rules.Winners, 1
	}
	ties := 0
	for seat := 1; seat <= n; seat++ {
		t := newTabulator(&res.Rules, candidates, ballots, seat, seats)
		if res.Rules.Mode == MultiPassIRV && t.able() == 0 {
			return fmt.Errorf("seat %d: no candidate is left: %w", seat, ErrNoWinner)
		}
		pass, err := t.run()
		if err != nil {
			return err
		}
		winners := pass.winners()
		if res.Rules.Mode == MultiPassIRV && len(winners) != 1 {
			return fmt.Errorf("seat %d: the tabulation stopped before it had a winner: %w", seat, ErrNoWinner)
		}
		for i := range candidates {
			candidates[i].Excluded = candidates[i].Excluded || slices.Contains(winners, candidates[i].Name)
		}
		ties += t.lotsUsed
		res.Passes = append(res.Passes, pass)
		res.Winners = append(res.Winners, winners...)
	}
	if ties != len(res.Rules.Lots) {
		return fmt.Errorf("%d lots are given and %d ties needed one: take away the lots for ties that did not happen", len(res.Rules.Lots), ties)
	}
	return nil
}

func (p *Pass) winners() []string {
	var names []string
	for i := range p.Rounds {
		for _, d := range p.Rounds[i].Elected {
			names = append(names, d.Candidate)
		}
	}
	return names
}

// standing is where a candidate stands.
type standing uint8

const (
	continuing standing = iota
	elected
	eliminated
	excluded
)

// tabulator is the state of one pass.
type tabulator struct {
	rules      *Rules
	candidates []Candidate
	seat       int // number of this pass
	seats      int // to fill; 0 with BottomsUpUsingPercentageThreshold
	stands     []standing
	since      []int // the round in which a candidate was elected or eliminated
	piles      []pile
	ballots    *Collection
	kept       []Decimal // of elected candidates: what is left after the surplus
	counts     []count
	full       bool // in the current round: what winners pass on goes to nobody
	random     *javaRandom
	order      []int // of candidates, for the tiebreak modes with an order
	lotsUsed   int
	seen       []uint32 // scratch of nextChoice: the ballot that last ranked a candidate
	ballot     uint32
}

// pile is a number of equal ballots and where they lie.
type pile struct {
	group
	holder int      // the candidate they count for, or last counted for; -1 for none
	cause  cause    // why they count for nobody
	value  *big.Int // of each ballot, at the scale of the rules; nil is 1
}

// count is what is counted in a round, by candidate.
type count struct {
	threshold Decimal
	tally     []Decimal // of those with in
	in        []bool    // continuing at the beginning of the round
	settled   []bool    // elected in an earlier round
	inactive  [causes]Decimal
	residual  Decimal
	active    Decimal     // of the continuing
	moved     []transfers // by source; into this round
	elected   []verdict
	gone      []verdict
	tie       *Tie
}

// transfers are one candidate's votes by target: a candidate, or beyond the
// last candidate exhausted and then residual surplus.
type transfers map[int]*sum

// verdict is one candidate's election or elimination.
type verdict struct {
	candidate int
	byTie     bool
}

func newTabulator(r *Rules, candidates []Candidate, ballots *Collection, seat, seats int) *tabulator {
	n := len(candidates)
	t := &tabulator{rules: r, candidates: candidates, seat: seat, seats: seats, ballots: ballots,
		stands: make([]standing, n), since: make([]int, n), kept: make([]Decimal, n), seen: make([]uint32, n),
		piles: make([]pile, len(ballots.ballots)), random: newJavaRandom(r.Seed)}
	for i, c := range candidates {
		if c.Excluded {
			t.stands[i] = excluded
		}
	}
	for i, b := range ballots.ballots {
		t.piles[i] = pile{group: b, holder: -1}
	}
	t.order = t.candidateOrder()
	return t
}

// run counts round after round until the rules say that it is enough.
func (t *tabulator) run() (Pass, error) {
	for len(t.counts) == 0 || t.goOn() {
		// Each round but the last one or two decides about a candidate.
		if len(t.counts) > 2*len(t.candidates)+2 {
			return Pass{}, errors.New("the tabulation does not end")
		}
		c := t.countRound()
		t.counts = append(t.counts, c)
		if err := t.decide(&t.counts[len(t.counts)-1]); err != nil {
			return Pass{}, err
		}
	}
	p := t.report()
	return p, p.Check()
}

// round is the number of the current round.
func (t *tabulator) round() int { return len(t.counts) }

// decide elects or, if nobody is elected and somebody still has to go,
// eliminates.
func (t *tabulator) decide(c *count) error {
	var err error
	if c.elected, err = t.winners(c); err != nil {
		return err
	}
	for _, v := range c.elected {
		t.stands[v.candidate], t.since[v.candidate] = elected, t.round()
		if t.rules.stv() {
			t.transferSurplus(c, v.candidate)
		}
	}
	if len(c.elected) > 0 || !t.mustEliminate(c) {
		return nil
	}
	if c.gone, err = t.losers(c); err != nil {
		return err
	}
	for _, v := range c.gone {
		t.stands[v.candidate], t.since[v.candidate] = eliminated, t.round()
	}
	return nil
}

func (t *tabulator) mustEliminate(c *count) bool {
	switch {
	case t.rules.Mode == BottomsUpUsingPercentageThreshold:
		return c.active.Sign() > 0
	case t.number(elected) < t.seats:
		return t.able() > 0
	}
	return t.rules.ContinueUntilTwo && t.number(eliminated) < t.field()-2
}

// goOn says whether another round is needed.
func (t *tabulator) goOn() bool {
	last := &t.counts[len(t.counts)-1]
	winners := t.number(elected)
	switch {
	case t.rules.StopAfterRound > 0 && t.round() >= t.rules.StopAfterRound:
		return false
	case t.rules.Mode == BottomsUpUsingPercentageThreshold:
		return winners == 0 && t.able() > 0 && last.active.Sign() > 0
	case winners < t.seats && t.able() == 0:
		return false // more seats than candidates
	case t.rules.ContinueUntilTwo:
		// One more round shows the effect of the last elimination.
		return t.number(eliminated)+winners+1 < t.field() || len(last.gone) > 0
	}
	// One more round shows the effect of the last surpluses.
	return winners < t.seats || t.rules.stv() && len(last.elected) > 0
}

// number counts the candidates that stand so.
func (t *tabulator) number(s standing) int {
	n := 0
	for _, have := range t.stands {
		if have == s {
			n++
		}
	}
	return n
}

// field is the number of candidates that were not excluded.
func (t *tabulator) field() int { return len(t.candidates) - t.number(excluded) }

// able is the number of candidates that can still be elected.
func (t *tabulator) able() int {
	n := 0
	for i, s := range t.stands {
		if s == continuing && !t.candidates[i].UndeclaredWriteIn {
			n++
		}
	}
	return n
}

// gets says whether a candidate can get votes: with ContinueUntilTwo a winner
// goes on.
func (t *tabulator) gets(candidate int) bool {
	s := t.stands[candidate]
	return s == continuing || s == elected && t.rules.ContinueUntilTwo
}
