package rcv_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"testing/quick"

	"sallyport/internal/ems/rcv"
)

// contest is what a string of bytes stands for.
type contest struct {
	rules      rcv.Rules
	candidates []rcv.Candidate
	ballots    []rcv.Ballot
}

// decode makes a contest of any bytes; the first sixteen are the rules. Rules
// that cannot go together are left for Tabulate to refuse.
func decode(data []byte) contest {
	in := slices.Concat(data, make([]byte, 16))
	at := func(i int) int { return int(in[i]) }
	modes := []rcv.Mode{rcv.SingleWinnerMajority, rcv.MultiWinnerOnePerRound, rcv.MultiWinnerMultiplePerRound, rcv.BottomsUp, rcv.BottomsUpUsingPercentageThreshold, rcv.MultiPassIRV}
	overvotes := []rcv.OvervoteRule{rcv.ExhaustImmediately, rcv.AlwaysSkipToNextRank, rcv.ExhaustIfMultipleContinuing}
	ties := []rcv.TiebreakMode{rcv.Random, rcv.StopCountingAndAsk, rcv.PreviousRoundCountsThenRandom, rcv.PreviousRoundCountsThenAsk, rcv.UseCandidateOrder, rcv.GeneratePermutation}
	c := contest{rules: rcv.Rules{Mode: modes[at(0)%len(modes)], Overvote: overvotes[at(1)%len(overvotes)], Tiebreak: ties[at(2)%len(ties)],
		Decimals: at(3)%20 + 1, MaxSkippedRanks: at(4)%4 - 1, Seed: int64(at(5)), MinimumVotes: int64(at(6) % 3)}}
	r := &c.rules
	flags, n := at(7), at(8)%7+1
	single := r.Mode == rcv.SingleWinnerMajority
	stv := r.Mode == rcv.MultiWinnerOnePerRound || r.Mode == rcv.MultiWinnerMultiplePerRound
	r.ExhaustOnDuplicate = flags&1 != 0
	r.ContinueUntilTwo = flags&2 != 0 && (single || r.Mode == rcv.MultiPassIRV)
	r.BatchElimination = flags&4 != 0 && (single || r.Mode == rcv.MultiPassIRV)
	r.FirstRoundThreshold = flags&8 != 0 && single
	r.NonIntegerThreshold, r.HareQuota = flags&16 != 0 && stv, flags&48 == 32 && stv
	if flags&192 == 192 {
		r.StopAfterRound = at(9)%4 + 1
	}
	r.Winners = at(10)%n + 2
	switch {
	case single:
		r.Winners = 1
	case r.Mode == rcv.BottomsUpUsingPercentageThreshold:
		r.Winners, r.CutoffElimination, r.FirstRoundThreshold = 0, flags&8 != 0, flags&16 != 0
		r.Percentage, _ = rcv.ParseDecimal(fmt.Sprintf("%d.%d", at(11)%60+1, at(12)))
	}
	for i := range n {
		c.candidates = append(c.candidates, rcv.Candidate{Name: string(rune('A' + i)), Excluded: at(13)>>i&1 != 0 && i > 0})
	}
	if at(14)%2 == 1 {
		c.candidates = append(c.candidates, rcv.Candidate{Name: rcv.UndeclaredWriteIns, UndeclaredWriteIn: true})
	}
	c.ballots = decodeBallots(data[min(16, len(data)):], len(c.candidates))
	return c
}

// decodeBallots reads a mark from each byte: a candidate on the next rank, or
// on the same one, a skipped rank, or the end of a ballot.
func decodeBallots(data []byte, candidates int) []rcv.Ballot {
	var all []rcv.Ballot
	b := rcv.Ballot{Count: 1}
	for _, x := range data {
		m := int(x) % candidates
		switch last := len(b.Ranks) - 1; {
		case x >= 240:
			b.Count = int64(x-239) * int64(m+1)
			all = append(all, b)
			b = rcv.Ballot{Count: 1}
		case x >= 230:
			b.Ranks = append(b.Ranks, nil)
		case x >= 180 && last >= 0 && !slices.Contains(b.Ranks[last], m):
			b.Ranks[last] = append(b.Ranks[last], m)
		default:
			b.Ranks = append(b.Ranks, []int{m})
		}
	}
	return append(all, b)
}

func collect(t *testing.T, candidates int, ballots []rcv.Ballot) *rcv.Collection {
	col, err := rcv.NewCollector(candidates, rcv.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range ballots {
		if err := col.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	return col.Collection()
}

// tabulate answers every tie with the last of the tied.
func (c *contest) tabulate(t *testing.T, ballots *rcv.Collection) (*rcv.Result, error) {
	for range 20 * rcv.MaxCandidates {
		res, err := rcv.Tabulate(c.rules, c.candidates, ballots)
		var tie *rcv.TieError
		if !errors.As(err, &tie) {
			return res, err
		}
		names := tie.Tie.Candidates
		c.rules.Lots = append(c.rules.Lots, rcv.Lot{Seat: tie.Tie.Seat, Round: tie.Tie.Round, Selected: names[len(names)-1]})
	}
	t.Fatal("ties without end")
	return nil, nil
}

// holds checks what is true of every contest.
func holds(t *testing.T, data []byte) {
	c := decode(data)
	res, err := c.tabulate(t, collect(t, len(c.candidates), c.ballots))
	var rule *rcv.RuleError
	if errors.As(err, &rule) {
		t.Fatalf("the rules are refused: %v", err)
	}
	if err != nil && !errors.Is(err, rcv.ErrNoWinner) {
		t.Fatal(err)
	}
	again := slices.Clone(c.ballots)
	slices.Reverse(again)
	res2, err2 := c.tabulate(t, collect(t, len(c.candidates), split(again)))
	if fmt.Sprint(err) != fmt.Sprint(err2) {
		t.Fatalf("in another order of ballots the error is %v, not %v", err2, err)
	}
	if err != nil {
		return
	}
	if a, b := reports(t, res), reports(t, res2); !bytes.Equal(a, b) {
		t.Fatalf("another order of ballots has another result:\n%s\n%s", a, b)
	}
	c.checkWinners(t, res)
	for i := range res.Passes {
		checkPass(t, &res.Passes[i], len(c.candidates))
	}
}

// split adds equal ballots one after the other.
func split(ballots []rcv.Ballot) []rcv.Ballot {
	var all []rcv.Ballot
	for _, b := range ballots {
		if b.Count > 1 {
			all = append(all, rcv.Ballot{Ranks: b.Ranks, Count: b.Count - 1})
		}
		all = append(all, rcv.Ballot{Ranks: b.Ranks, Count: 1})
	}
	return all
}

func reports(t *testing.T, res *rcv.Result) []byte {
	var out bytes.Buffer
	for seat := range res.Passes {
		if err := res.WriteJSON(&out, rcv.Contest{}, seat+1); err != nil {
			t.Fatal(err)
		}
		if err := res.WriteCSV(&out, rcv.Contest{}, seat+1); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// checkWinners checks that as many are elected as there are seats, or
// candidates, and that nobody is who cannot be.
func (c *contest) checkWinners(t *testing.T, res *rcv.Result) {
	able := map[string]bool{}
	for _, x := range c.candidates {
		if !x.Excluded && !x.UndeclaredWriteIn {
			able[x.Name] = true
		}
	}
	want := min(c.rules.Winners, len(able))
	fewer := c.rules.StopAfterRound > 0 || c.rules.MinimumVotes > 0 && c.rules.Winners > 1
	if n := len(res.Winners); c.rules.Mode != rcv.BottomsUpUsingPercentageThreshold && (n > want || n < want && !fewer) {
		t.Fatalf("%d are elected, want %d:\n%s", len(res.Winners), want, story(res))
	}
	for _, name := range res.Winners {
		if !able[name] {
			t.Fatalf("%s cannot be elected, or is elected twice:\n%s", name, story(res))
		}
		able[name] = false
	}
}

func checkPass(t *testing.T, p *rcv.Pass, candidates int) {
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	if len(p.Rounds) == 0 || len(p.Rounds) > 2*candidates+2 {
		t.Fatalf("%d rounds of %d candidates", len(p.Rounds), candidates)
	}
	decided := map[string]bool{}
	for _, r := range p.Rounds {
		for _, c := range r.Tally {
			if c.Votes.Sign() < 0 || decided[c.Candidate] && !c.Elected && len(r.Elected) == 0 && p.Seats > 1 {
				t.Fatalf("round %d has votes below zero, or for somebody who is out", r.Number)
			}
		}
		for _, d := range slices.Concat(r.Elected, r.Eliminated) {
			if decided[d.Candidate] {
				t.Fatalf("%s is elected or eliminated twice", d.Candidate)
			}
			decided[d.Candidate] = true
		}
	}
}

func TestWhatHoldsForEveryContest(t *testing.T) {
	config := &quick.Config{MaxCount: 1500, Rand: rand.New(rand.NewSource(1))}
	if testing.Short() {
		config.MaxCount = 300
	}
	if err := quick.Check(func(head [16]byte, ballots []byte) bool {
		holds(t, append(head[:], ballots...))
		return true
	}, config); err != nil {
		t.Error(err)
	}
}

func FuzzTabulate(f *testing.F) {
	for mode := range 6 {
		f.Add([]byte{byte(mode), 1, 2, 3, 2, 42, 0, byte(mode * 37), 4, 0, 1, 20, 5, 0, 1, 0, 1, 2, 3, 240, 2, 231, 1, 241, 0, 190, 3, 250, 255})
	}
	f.Add([]byte{2, 2, 4, 19, 0, 0, 0, 16, 6, 0, 2, 0, 0, 4, 0, 0, 0, 1, 250, 0, 2, 245, 1, 2, 244, 3, 1, 243, 4, 0, 1, 242})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > rcv.MaxRanks {
			t.Skip("one ballot could have too many ranks")
		}
		holds(t, data)
	})
}
