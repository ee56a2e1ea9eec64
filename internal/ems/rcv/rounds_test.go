package rcv_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/rcv"
)

func percentage(t *testing.T, s string) rcv.Decimal {
	t.Helper()
	d, err := rcv.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// roundCase is a contest and its rounds, as [story] tells them.
type roundCase struct {
	name                string
	rules               func(*rcv.Rules)
	candidates, ballots string
	want                string
}

func checkRounds(t *testing.T, cases []roundCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, story(mustTabulate(t, rules(c.rules), c.candidates, c.ballots))); d != "" {
				t.Errorf("the rounds are others (-want +have):\n%s", d)
			}
		})
	}
}

// stv are the usual rules for two seats, changed by more.
func stv(more func(*rcv.Rules)) func(*rcv.Rules) {
	return func(r *rcv.Rules) {
		r.Mode, r.Winners = rcv.MultiWinnerMultiplePerRound, 2
		if more != nil {
			more(r)
		}
	}
}

// Surpluses, worked out by hand.
func TestTransferableVote(t *testing.T) {
	checkRounds(t, []roundCase{
		// Threshold 10/3, cut, plus 1 = 4. A's surplus 2 of 6 is 0.3333 of each
		// ballot, so A keeps 6 × 0.6667 = 4.0002: 0.0002 are residual. B's
		// surplus 0.6666 of 4.6666 is 0.1428: of four whole ballots 0.1428, of
		// two of 0.3333 0.0475 (cut from 0.04759…) go on, together 0.6662; B
		// keeps 4 × 0.8572 + 2 × 0.2858 = 4.0004.
		{"transferable vote with residual surplus", stv(nil), "A B C", "4 A>C, 2 A>B, 3 B, 1 C>B",
			`1 [4] A=6 B=3 C=1 | elect A B+0.6666 C+1.3332 residual surplus+0.0002
2 [4] A=4 B=3.6666 C=2.3332 residual:0.0002 | drop C B+1 exhausted+1.3332
3 [4] A=4 B=4.6666 exhausted:1.3332 residual:0.0002 | elect B exhausted+0.6662 residual surplus+0.0004
4 [4] A=4 B=4 exhausted:1.3332 final:0.6662 residual:0.0006
winners A B`},
		// Both reach 10/3 + 0.01, cut, = 3.34. Surplus fractions 1.66/5 = 0.33
		// and 0.66/4 = 0.16; two decimal places. All seats are filled.
		{"two winners in one round, fractional threshold", stv(func(r *rcv.Rules) { r.NonIntegerThreshold, r.Decimals = true, 2 }), "A B C", "5 A>C, 4 B>C, 1 C",
			`1 [3.34] A=5 B=4 C=1 | elect A exhausted+1.65 residual surplus+0.01 | elect B exhausted+0.64 residual surplus+0.02
2 [3.34] A=3.34 B=3.34 C=1 final:2.29 residual:0.03
winners A B`},
		// As above, but only A is elected in round 1. C has then 1 + 5 × 0.33.
		{"one winner in a round", stv(func(r *rcv.Rules) {
			r.Mode, r.NonIntegerThreshold, r.Decimals = rcv.MultiWinnerOnePerRound, true, 2
		}), "A B C", "5 A>C, 4 B>C, 1 C",
			`1 [3.34] A=5 B=4 C=1 | elect A C+1.65 residual surplus+0.01
2 [3.34] A=3.34 B=4 C=2.65 residual:0.01 | elect B exhausted+0.64 residual surplus+0.02
3 [3.34] A=3.34 B=3.34 C=2.65 final:0.64 residual:0.03
winners A B`},
		// 9/2 rounded up is 5. B reaches no quota but nobody else is left.
		{"Hare quota", stv(func(r *rcv.Rules) { r.HareQuota = true }), "A B C", "5 A, 3 B, 1 C",
			`1 [5] A=5 B=3 C=1 | elect A
2 [5] A=5.0000 B=3 C=1 | drop C exhausted+1
3 [5] A=5.0000 B=3 exhausted:1.0000 | elect B
4 [5] A=5.0000 B=3.0000 exhausted:1.0000
winners A B`},
		// A has exactly the threshold: its ballots go on without value.
		{"no surplus", stv(nil), "A B C", "3 A>C, 2 B, 2 C",
			`1 [3] A=3 B=2 C=2 | elect A
2 [3] A=3.0000 B=2 C=2.0000 | drop C* exhausted+2
3 [3] A=3.0000 B=2 exhausted:2.0000 | elect B
4 [3] A=3.0000 B=2.0000 exhausted:2.0000
winners A B`},
		{"more seats than candidates", stv(func(r *rcv.Rules) { r.Winners = 3 }), "A B", "2 A, 1 B>A",
			`1 [1] A=2 B=1 | elect A | elect B
winners A B`},
	})
}

// Eliminations until enough, or only the strong, are left.
func TestBottomsUp(t *testing.T) {
	checkRounds(t, []roundCase{
		{"bottoms-up", func(r *rcv.Rules) { r.Mode, r.Winners = rcv.BottomsUp, 2 }, "A B C D", "6 A, 3 B, 2 C>B, 1 D>C",
			`1 [5] A=6 B=3 C=2 D=1 | drop D C+1
2 [5] A=6 B=3 C=3 | drop C* B+2 exhausted+1
3 [5] A=6 B=5 exhausted:1 | elect A | elect B
winners A B`},
		// 40 % of 10 is 4, of 8 it is 3.2.
		{"bottoms-up by percentage", func(r *rcv.Rules) {
			r.Mode, r.Winners, r.Percentage = rcv.BottomsUpUsingPercentageThreshold, 0, percentage(t, "40")
		}, "A B C D", "4 A, 2 B, 2 C>B, 2 D",
			`1 [4.00] A=4 B=2 C=2 D=2 | drop D* exhausted+2
2 [3.20] A=4 B=2 C=2 exhausted:2 | drop C* B+2
3 [3.20] A=4 B=4 exhausted:2 | elect A | elect B
winners A B`},
		// Half of the first round's 8: both have exactly that in round 2.
		{"bottoms-up, fixed percentage, met exactly", func(r *rcv.Rules) {
			r.Mode, r.Winners, r.Percentage, r.FirstRoundThreshold = rcv.BottomsUpUsingPercentageThreshold, 0, percentage(t, "50"), true
		}, "A B C", "4 A, 2 B, 2 C>B, 2",
			`1 [4.00] A=4 B=2 C=2 | drop C* B+2
2 [4.00] A=4 B=4 | elect A | elect B
undervotes 2
winners A B`},
		{"all below the cut-off go at once", func(r *rcv.Rules) {
			r.Mode, r.Winners, r.CutoffElimination, r.Percentage = rcv.BottomsUpUsingPercentageThreshold, 0, true, percentage(t, "25")
		}, "A B C D", "5 A, 3 B, 1 C>A, 1 D>B",
			`1 [2.50] A=5 B=3 C=1 D=1 | drop C A+1 | drop D B+1
2 [2.50] A=6 B=4 | elect A | elect B
winners A B`},
		{"nobody above the cut-off", func(r *rcv.Rules) {
			r.Mode, r.Winners, r.CutoffElimination, r.Percentage = rcv.BottomsUpUsingPercentageThreshold, 0, true, percentage(t, "60")
		}, "A B", "1 A, 1 B",
			`1 [1.20] A=1 B=1 | drop A | drop B
winners `},
	})
}

// One seat at a time, and the rules that bend it.
func TestInstantRunoff(t *testing.T) {
	checkRounds(t, []roundCase{
		{"instant runoff", nil, "A B C D", "4 A, 4 B, 3 C>B, 1 D>C>B, 2",
			`1 [7] A=4 B=4 C=3 D=1 | drop D C+1
2 [7] A=4 B=4 C=4 | drop C* B+4
3 [7] A=4 B=8 | elect B
undervotes 2
winners B`},
		{"multi-pass", func(r *rcv.Rules) { r.Mode, r.Winners = rcv.MultiPassIRV, 2 }, "A B C", "5 A>C, 3 B, 1 C",
			`1 [5] A=5 B=3 C=1 | elect A
1 [5] B=3 C=6 | elect C
winners A C`},
		// 1+1+2 < 6, and 10 is not less than 10.
		{"batch elimination", func(r *rcv.Rules) { r.BatchElimination = true }, "A B C D E", "10 A, 6 B>A, 2 C>B, 1 D>A, 1 E>D",
			`1 [11] A=10 B=6 C=2 D=1 E=1 | drop C B+2 | drop D A+1 | drop E exhausted+1
2 [10] A=11 B=8 exhausted:1 | elect A
winners A`},
		{"until two remain, threshold fixed with the winner", func(r *rcv.Rules) { r.ContinueUntilTwo = true }, "A B C D", "6 A>B, 2 B, 2 C>A, 1 D",
			`1 [6] A=6 B=2 C=2 D=1 | elect A
2 [6] A=6 B=2 C=2 D=1 | drop D exhausted+1
3 [6] A=6 B=2 C=2 exhausted:1 | drop C* A+2
4 [6] A=8 B=2 exhausted:1
winners A`},
		// All of B, C and D could go, but two have to remain: only C and D.
		{"until two remain, with batches", func(r *rcv.Rules) { r.ContinueUntilTwo, r.BatchElimination = true, true }, "A B C D", "9 A, 4 B, 2 C, 1 D",
			`1 [9] A=9 B=4 C=2 D=1 | elect A
2 [9] A=9 B=4 C=2 D=1 | drop C exhausted+2 | drop D exhausted+1
3 [9] A=9 B=4 exhausted:3
winners A`},
		{"stop early", func(r *rcv.Rules) { r.StopAfterRound = 1 }, "A B C", "3 A, 3 B, 1 C>A",
			`1 [4] A=3 B=3 C=1 | drop C
winners `},
		// The threshold stays 6 though 7 of 11 ballots are left.
		{"first round determines the threshold", func(r *rcv.Rules) { r.FirstRoundThreshold = true }, "A B C", "4 A, 3 B, 2 C, 1 C>B, 1 C>A",
			`1 [6] A=4 B=3 C=4 | drop B exhausted+3
2 [6] A=4 C=4 exhausted:3 | elect A*
winners A`},
		{"minimum votes", func(r *rcv.Rules) { r.MinimumVotes = 2 }, "A B C D", "4 A, 3 B, 1 C>B, 1 D>C>B",
			`1 [5] A=4 B=3 C=1 D=1 | drop C B+1 | drop D B+1
2 [5] A=4 B=5 | elect B
winners B`},
		{"excluded candidates", nil, "A B Cx", "2 A, 1 B, 3 C>B, 1 C",
			`1 [4] A=2 B=4 exhausted:1 | elect B
winners B`},
		{"undeclared write-ins go first and hold up the winner", nil, "A B W*", "5 A, 1 B, 1 W>B",
			`1 [4] A=5 B=1 W=1 | drop W B+1
2 [4] A=5 B=2 | elect A
winners A`},
		{"one candidate", nil, "A", "2 A, 1",
			`1 [2] A=2 | elect A
undervotes 1
winners A`},
	})
}

// Contests in which nobody, or hardly anybody, voted.
func TestNoVotes(t *testing.T) {
	checkRounds(t, []roundCase{
		{"write-ins without votes lose every tie", nil, "A B W*", "",
			`1 [1] A=0 B=0 W=0 | drop W
2 [1] A=0 B=0 | elect A*
winners A`},
		{"write-ins without votes take no seat", stv(nil), "A W*", "1 A",
			`1 [1] A=1 W=0 | elect A
winners A`},
		{"no ballots", nil, "A B C", "",
			`1 [1] A=0 B=0 C=0 | drop C*
2 [1] A=0 B=0 | elect A*
winners A`},
		{"no ballots, two seats", stv(nil), "A B C", "3",
			`1 [1] A=0 B=0 C=0 | drop C*
2 [1] A=0 B=0 | elect A | elect B
3 [1] A=0 B=0
undervotes 3
winners A B`},
		{"no ballots, Hare quota", stv(func(r *rcv.Rules) { r.HareQuota = true }), "A B C", "",
			`1 [0] A=0 B=0 C=0 | drop C*
2 [0] A=0 B=0 | elect A | elect B
3 [0] A=0 B=0
winners A B`},
		{"no ballots, percentage", func(r *rcv.Rules) {
			r.Mode, r.Winners, r.Percentage = rcv.BottomsUpUsingPercentageThreshold, 0, percentage(t, "15")
		}, "A B", "",
			`1 [0.00] A=0 B=0
winners `},
		{"one candidate without votes", nil, "A", "",
			`1 [1] A=0 | elect A
winners A`},
	})
}
