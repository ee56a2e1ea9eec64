package rcv_test

import (
	"math/rand"
	"testing"

	"sallyport/internal/ems/rcv"
)

const benchBallots = 1_000_000

// randomBallots are ballots of 5 ranks for 8 candidates, without duplicates.
func randomBallots() [][][]int {
	r := rand.New(rand.NewSource(1))
	all := make([][][]int, benchBallots)
	for i := range all {
		p := r.Perm(8)
		marks := make([][]int, 5)
		for k := range marks {
			marks[k] = p[k : k+1]
		}
		all[i] = marks
	}
	return all
}

func BenchmarkCollect(b *testing.B) {
	ballots := randomBallots()
	for b.Loop() {
		benchCollect(b, ballots)
	}
}

func benchCollect(b *testing.B, ballots [][][]int) *rcv.Collection {
	col, err := rcv.NewCollector(8, rcv.Budget{})
	if err != nil {
		b.Fatal(err)
	}
	for _, ranks := range ballots {
		if err := col.Add(rcv.Ballot{Ranks: ranks, Count: 1}); err != nil {
			b.Fatal(err)
		}
	}
	return col.Collection()
}

func benchTabulate(b *testing.B, r rcv.Rules) {
	col := benchCollect(b, randomBallots())
	c := names("A B C D E F G H")
	for b.Loop() {
		if _, err := rcv.Tabulate(r, c, col); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSingleWinner(b *testing.B) { benchTabulate(b, rules(nil)) }

func BenchmarkThreeSeats(b *testing.B) {
	benchTabulate(b, rules(func(r *rcv.Rules) { r.Mode, r.Winners = rcv.MultiWinnerMultiplePerRound, 3 }))
}
