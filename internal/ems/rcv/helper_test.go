package rcv_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/ems/rcv"
)

// parseBallots reads lines such as "3 A>B=C>->!": three ballots with A first,
// an overvote of B and C, a skipped rank, an overvote without names.
// "2" alone are two ballots without marks.
func parseBallots(t testing.TB, candidates []rcv.Candidate, text string) *rcv.Collection {
	t.Helper()
	col, err := rcv.NewCollector(len(candidates), rcv.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(text, ",") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		b := rcv.Ballot{Count: n}
		if len(f) > 1 {
			b.Ranks = parseRanks(t, candidates, f[1])
		}
		if err := col.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	return col.Collection()
}

func parseRanks(t testing.TB, candidates []rcv.Candidate, text string) [][]int {
	t.Helper()
	numbers := map[string]int{"!": rcv.Overvote}
	for i, c := range candidates {
		numbers[c.Name] = i
	}
	var ranks [][]int
	for _, rank := range strings.Split(text, ">") {
		var marks []int
		for _, name := range strings.Split(rank, "=") {
			if name == "-" {
				continue
			}
			n, ok := numbers[name]
			if !ok {
				t.Fatalf("no candidate %q", name)
			}
			marks = append(marks, n)
		}
		ranks = append(ranks, marks)
	}
	return ranks
}

// names makes candidates; "*" after a name marks the undeclared write-ins, "x"
// an excluded candidate: "A B W* Cx".
func names(text string) []rcv.Candidate {
	var all []rcv.Candidate
	for _, f := range strings.Fields(text) {
		c := rcv.Candidate{Name: strings.TrimRight(f, "*x")}
		c.UndeclaredWriteIn, c.Excluded = strings.HasSuffix(f, "*"), strings.HasSuffix(f, "x")
		all = append(all, c)
	}
	return all
}

// rules are the usual ones, changed by f.
func rules(f func(*rcv.Rules)) rcv.Rules {
	r := rcv.Rules{Mode: rcv.SingleWinnerMajority, Winners: 1, Overvote: rcv.ExhaustImmediately, MaxSkippedRanks: rcv.Unlimited, Decimals: 4, Tiebreak: rcv.UseCandidateOrder}
	if f != nil {
		f(&r)
	}
	return r
}

// story tells the rounds of a result, one a line.
func story(res *rcv.Result) string {
	var lines []string
	for _, p := range res.Passes {
		for i := range p.Rounds {
			lines = append(lines, tell(&p.Rounds[i]))
		}
		if p.Undervotes > 0 {
			lines = append(lines, fmt.Sprint("undervotes ", p.Undervotes))
		}
	}
	return strings.Join(append(lines, "winners "+strings.Join(res.Winners, " ")), "\n")
}

func tell(r *rcv.Round) string {
	s := fmt.Sprintf("%d [%v]", r.Number, r.Threshold)
	for _, c := range r.Tally {
		s += fmt.Sprintf(" %s=%v", c.Candidate, c.Votes)
	}
	for _, x := range []struct {
		name string
		d    rcv.Decimal
	}{
		{"exhausted", r.Inactive.ExhaustedChoices}, {"overvotes", r.Inactive.Overvotes}, {"repeated", r.Inactive.RepeatedRankings},
		{"skipped", r.Inactive.SkippedRankings}, {"final", r.FinalRoundSurplus}, {"residual", r.ResidualSurplus},
	} {
		if x.d.Sign() != 0 {
			s += fmt.Sprintf(" %s:%v", x.name, x.d)
		}
	}
	for word, list := range map[string][]rcv.Decision{"elect": r.Elected, "drop": r.Eliminated} {
		for _, d := range list {
			s += " | " + word + " " + d.Candidate
			if d.ByTie {
				s += "*"
			}
			for _, t := range d.Transfers {
				s += fmt.Sprintf(" %s+%v", t.To, t.Votes)
			}
		}
	}
	return s
}

func mustTabulate(t *testing.T, r rcv.Rules, candidates, ballots string) *rcv.Result {
	t.Helper()
	c := names(candidates)
	res, err := rcv.Tabulate(r, c, parseBallots(t, c, ballots))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error is %q, want it to contain %q", err, p)
		}
	}
}

func tieOf(t *testing.T, err error) rcv.Tie {
	t.Helper()
	var e *rcv.TieError
	if !errors.As(err, &e) {
		t.Fatalf("have the error %v, want a tie that waits for a lot", err)
	}
	return e.Tie
}
