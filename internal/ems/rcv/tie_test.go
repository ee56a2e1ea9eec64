package rcv_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/rcv"
)

// A tie for the last place, broken in each way. Permutations and chance were
// worked out from the numbers of java.util.Random.
func TestTiebreakModes(t *testing.T) {
	for _, c := range []struct {
		name                string
		mode                rcv.TiebreakMode
		seed                int64
		candidates, ballots string
		round               int
		selected, how       string
		decidedBy           int
	}{
		{"the latest of the candidates", rcv.UseCandidateOrder, 0, "C A B", "4 A, 2 B, 2 C", 1, "B", "useCandidateOrder", 0},
		// Random(42) gives the 31 bits 1562431130 and 117392763: the first mod
		// 3 is 2, the second is below the half. The sorted A, B, C is shuffled:
		// place 2 with itself, then place 1 with place 0: B, A, C.
		{"the latest of the permutation", rcv.GeneratePermutation, 42, "C A B", "4 A, 2 B, 2 C", 1, "C", "generatePermutation", 0},
		// nextDouble of Random(42) is 0.7275…: the second of the sorted B, C.
		{"chance", rcv.Random, 42, "C A B", "4 A, 2 B, 2 C", 1, "C", "random", 0},
		// nextDouble of Random(-7) is below the half.
		{"other chance", rcv.Random, -7, "C A B", "4 A, 2 B, 2 C", 1, "B", "random", 0},
		{"no earlier round, so chance", rcv.PreviousRoundCountsThenRandom, -7, "C A B", "4 A, 2 B, 2 C", 1, "B", "random", 0},
		// In round 2 C has 3 + 1 votes; in round 1 it had the fewest.
		{"the earlier round", rcv.PreviousRoundCountsThenRandom, -7, "A B C D", "5 A, 4 B, 3 C, 1 D>C", 2, "C", "previousRoundCounts", 1},
		{"the earlier round, nobody to ask", rcv.PreviousRoundCountsThenAsk, 0, "A B C D", "5 A, 4 B, 3 C, 1 D>C", 2, "C", "previousRoundCounts", 1},
		// Tied in round 3 and in round 2; in round 1 B had the fewest.
		{"the earliest round", rcv.PreviousRoundCountsThenAsk, 0, "A B C D E", "7 A, 3 B, 4 C, 1 D>B, 2 E", 3, "B", "previousRoundCounts", 1},
		{"no difference, so chance", rcv.PreviousRoundCountsThenRandom, 42, "A B C D", "5 A, 3 B, 3 C, 1 D", 2, "C", "random", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := mustTabulate(t, rules(func(r *rcv.Rules) { r.Tiebreak, r.Seed = c.mode, c.seed }), c.candidates, c.ballots)
			if len(res.Passes[0].Rounds) < c.round || res.Passes[0].Rounds[c.round-1].Tie == nil {
				t.Fatalf("no tie in round %d:\n%s", c.round, story(res))
			}
			tie := res.Passes[0].Rounds[c.round-1].Tie
			want := rcv.Tie{Seat: 1, Round: c.round, Votes: tie.Votes, Candidates: []string{"B", "C"}, Selected: c.selected, How: c.how, DecidedBy: c.decidedBy}
			if d := cmp.Diff(want, *tie); d != "" {
				t.Errorf("(-want +have):\n%s", d)
			}
			if d := res.Passes[0].Rounds[c.round-1].Eliminated; len(d) != 1 || d[0].Candidate != c.selected || !d[0].ByTie {
				t.Errorf("%s was not eliminated by the tie: %+v", c.selected, d)
			}
		})
	}
}

// Where lots decide, the count stops until there is one, and the result says
// what was asked and answered.
func TestLots(t *testing.T) {
	c := names("A B C")
	ballots := parseBallots(t, c, "2 A, 2 B, 1 C>A, 1 C>B")
	r := rules(func(r *rcv.Rules) { r.Tiebreak = rcv.StopCountingAndAsk })
	_, err := rcv.Tabulate(r, c, ballots)
	tie := tieOf(t, err)
	if d := cmp.Diff([]string{"A", "B", "C"}, tie.Candidates); d != "" || tie.Round != 1 || tie.Seat != 1 || tie.ForWinner {
		t.Fatalf("another tie: %+v", tie)
	}
	r.Lots = append(r.Lots, rcv.Lot{Seat: 1, Round: 1, Selected: "C"})
	_, err = rcv.Tabulate(r, c, ballots)
	if tie = tieOf(t, err); tie.Round != 2 || !tie.ForWinner {
		t.Fatalf("another tie: %+v", tie)
	}
	r.Lots = append(r.Lots, rcv.Lot{Seat: 1, Round: 2, Selected: "B"})
	res, err := rcv.Tabulate(r, c, ballots)
	if err != nil {
		t.Fatal(err)
	}
	want := `1 [4] A=2 B=2 C=2 | drop C* A+1 B+1
2 [4] A=3 B=3 | elect B*
winners B`
	if d := cmp.Diff(want, story(res)); d != "" {
		t.Errorf("(-want +have):\n%s", d)
	}
	if tie := res.Passes[0].Rounds[1].Tie; tie == nil || tie.Selected != "B" || tie.How != "stopCountingAndAsk" {
		t.Errorf("the result does not say how the tie was broken: %+v", tie)
	}
	for name, lots := range map[string][]rcv.Lot{
		"a lot that nobody needs":   append(r.Lots[:2:2], rcv.Lot{Seat: 1, Round: 3, Selected: "A"}),
		"a lot for who is not tied": {{Seat: 1, Round: 1, Selected: "C"}, {Seat: 1, Round: 2, Selected: "C"}},
		"two lots for one tie":      append(r.Lots[:2:2], rcv.Lot{Seat: 1, Round: 2, Selected: "A"}),
	} {
		r.Lots = lots
		if _, err := rcv.Tabulate(r, c, ballots); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// Each seat of a multi-pass contest has its own ties.
func TestLotsOfASecondSeat(t *testing.T) {
	c := names("A B C")
	r := rules(func(r *rcv.Rules) {
		r.Mode, r.Winners, r.Tiebreak = rcv.MultiPassIRV, 2, rcv.PreviousRoundCountsThenAsk
	})
	ballots := parseBallots(t, c, "3 A>B, 3 A>C")
	_, err := rcv.Tabulate(r, c, ballots)
	if tie := tieOf(t, err); tie.Seat != 2 || tie.Round != 1 || !tie.ForWinner {
		t.Fatalf("another tie: %+v", tie)
	}
	r.Lots = []rcv.Lot{{Seat: 2, Round: 1, Selected: "C"}}
	res, err := rcv.Tabulate(r, c, ballots)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"A", "C"}, res.Winners); d != "" {
		t.Errorf("(-want +have):\n%s", d)
	}
}

// Of two who reach the threshold in one round with equal votes, the tie says
// who is elected first; the other follows.
func TestTieForTheFirstSeat(t *testing.T) {
	res := mustTabulate(t, rules(func(r *rcv.Rules) {
		r.Mode, r.Winners, r.Tiebreak, r.Seed = rcv.MultiWinnerOnePerRound, 2, rcv.Random, 42
	}), "A B C", "4 A, 4 B, 1 C")
	want := `1 [4] A=4 B=4 C=1 | elect B*
2 [4] A=4 B=4.0000 C=1 | elect A
3 [4] A=4.0000 B=4.0000 C=1
winners B A`
	if d := cmp.Diff(want, story(res)); d != "" {
		t.Errorf("(-want +have):\n%s", d)
	}
}
