package rcv_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/ems/rcv"
)

// One ballot beside a fixed field: where it lies in round 1, and in round 2
// when D is eliminated.
func TestWhereABallotLies(t *testing.T) {
	always := func(r *rcv.Rules) { r.Overvote = rcv.AlwaysSkipToNextRank }
	multiple := func(r *rcv.Rules) { r.Overvote = rcv.ExhaustIfMultipleContinuing }
	duplicate := func(r *rcv.Rules) { r.ExhaustOnDuplicate = true }
	skip := func(n int) func(*rcv.Rules) { return func(r *rcv.Rules) { r.MaxSkippedRanks = n } }
	for _, c := range []struct {
		rules  func(*rcv.Rules)
		ballot string
		want   string
	}{
		{nil, "A=B>C", "overvotes overvotes"},
		{nil, "D>A=B>C", "D overvotes"},
		{nil, "!>C", "overvotes overvotes"},
		{always, "A=B>C", "C C"},
		{always, "!>C", "C C"},
		{always, "D>A=B", "D exhausted"},
		{always, "D>!", "D exhausted"},
		{multiple, "A=B>C", "overvotes overvotes"},
		{multiple, "D=A>C", "overvotes overvotes"},
		{multiple, "A=X>C", "A A"},
		{multiple, "X=D>C", "D C"},
		{multiple, "X=Y>D>D=B>C", "D B"},
		{nil, "D>D>C", "D C"},
		{duplicate, "D>D>C", "D repeated"},
		{duplicate, "A>A", "A A"},
		{duplicate, "D>X>X>C", "D repeated"},
		{nil, "->->C", "C C"},
		{skip(1), "->C", "C C"},
		{skip(1), "->->C", "skipped skipped"},
		{skip(0), "->C", "skipped skipped"},
		{skip(0), "C>->D", "C C"},
		{skip(0), "D>->A", "D skipped"},
		{skip(1), "->D>->A", "D A"},
		{skip(0), "D>->-", "D exhausted"},
		{nil, "X>Y", "exhausted exhausted"},
		{nil, "->-", "undervote undervote"},
	} {
		// B and C have less than half, D is always last; X and Y are excluded.
		res := mustTabulate(t, rules(c.rules), "A B C D Xx Yx", "20 A, 19 B, 18 C, 5 D, 1 "+c.ballot)
		var have []string
		for i := range 2 {
			have = append(have, lies(&res.Passes[0].Rounds[i], res.Passes[0].Undervotes))
		}
		if h := strings.Join(have, " "); h != c.want {
			t.Errorf("%s with %s: lies at %s, want %s", c.ballot, rules(c.rules).Overvote, h, c.want)
		}
	}
}

// lies says what has one vote more than without the ballot.
func lies(r *rcv.Round, undervotes int64) string {
	base := map[string]int64{"A": 20, "B": 19, "C": 18, "D": 5, "exhausted": 0}
	if r.Number == 2 {
		base["exhausted"] = 5
	}
	more := func(name string, d rcv.Decimal) bool {
		v := d.Rat()
		return v.IsInt() && v.Num().Int64() == base[name]+1
	}
	for _, c := range r.Tally {
		if more(c.Candidate, c.Votes) {
			return c.Candidate
		}
	}
	switch {
	case more("exhausted", r.Inactive.ExhaustedChoices):
		return "exhausted"
	case r.Inactive.Overvotes.Sign() > 0:
		return "overvotes"
	case r.Inactive.RepeatedRankings.Sign() > 0:
		return "repeated"
	case r.Inactive.SkippedRankings.Sign() > 0:
		return "skipped"
	case undervotes == 1:
		return "undervote"
	}
	return "nowhere"
}

func TestRefusals(t *testing.T) {
	abc := names("A B C")
	one := parseBallots(t, abc, "1 A")
	for name, c := range map[string]struct {
		rules      func(*rcv.Rules)
		candidates []rcv.Candidate
		ballots    *rcv.Collection
		want       string
	}{
		"mode":              {func(r *rcv.Rules) { r.Mode = "borda" }, abc, one, `winnerElectionMode has the value "borda"`},
		"overvote rule":     {func(r *rcv.Rules) { r.Overvote = "" }, abc, one, "overvoteRule"},
		"tiebreak":          {func(r *rcv.Rules) { r.Tiebreak = "coin" }, abc, one, "tiebreakMode"},
		"two seats for one": {func(r *rcv.Rules) { r.Winners = 2 }, abc, one, "numberOfWinners is 2"},
		"one seat for many": {func(r *rcv.Rules) { r.Mode = rcv.BottomsUp }, abc, one, "numberOfWinners is 1"},
		"decimals":          {func(r *rcv.Rules) { r.Decimals = 21 }, abc, one, "decimalPlacesForVoteArithmetic"},
		"Hare for one":      {func(r *rcv.Rules) { r.HareQuota = true }, abc, one, "hareQuota"},
		"two quotas": {func(r *rcv.Rules) {
			r.Mode, r.Winners, r.HareQuota, r.NonIntegerThreshold = rcv.MultiWinnerOnePerRound, 2, true, true
		}, abc, one, "hareQuota"},
		"batches for many":        {func(r *rcv.Rules) { r.Mode, r.Winners, r.BatchElimination = rcv.BottomsUp, 2, true }, abc, one, "batchElimination"},
		"cut-off for one":         {func(r *rcv.Rules) { r.CutoffElimination = true }, abc, one, "cutoffElimination"},
		"no percentage":           {func(r *rcv.Rules) { r.Mode, r.Winners = rcv.BottomsUpUsingPercentageThreshold, 0 }, abc, one, "multiSeatBottomsUpPercentageThreshold is 0"},
		"seed":                    {func(r *rcv.Rules) { r.Seed = 1 << 47 }, abc, one, "randomSeed"},
		"lots nobody asks for":    {func(r *rcv.Rules) { r.Lots = []rcv.Lot{{Seat: 1, Round: 1, Selected: "A"}} }, abc, one, "takes no lots"},
		"no candidates":           {nil, nil, one, "no candidate"},
		"all excluded":            {nil, names("Ax Bx"), parseBallots(t, names("A B"), ""), "no candidate that is not excluded"},
		"only write-ins":          {nil, names("W*"), parseBallots(t, names("W*"), ""), "no candidate"},
		"twice the same name":     {nil, names("A B A"), one, "candidate 3"},
		"two write-ins":           {nil, names("A V* W*"), one, "candidate 3"},
		"a word of the report":    {nil, []rcv.Candidate{{Name: "A"}, {Name: "residual surplus"}}, one, "candidate 2"},
		"empty name":              {nil, []rcv.Candidate{{Name: " "}}, one, "candidate 1"},
		"bad UTF-8":               {nil, []rcv.Candidate{{Name: "\xff"}}, one, "candidate 1"},
		"no ballots at all":       {nil, abc, nil, "no collection"},
		"ballots of others":       {nil, names("A B"), one, "collected for 3"},
		"too many ranks":          {func(r *rcv.Rules) { r.MaxRanks = 1 }, abc, parseBallots(t, abc, "1 A>B"), "rank 2, the rules allow 1"},
		"overvote without names":  {func(r *rcv.Rules) { r.Overvote = rcv.ExhaustIfMultipleContinuing }, abc, parseBallots(t, abc, "1 !"), "overvotes without names"},
		"overvote and duplicates": {func(r *rcv.Rules) { r.Overvote, r.ExhaustOnDuplicate = rcv.AlwaysSkipToNextRank, true }, abc, parseBallots(t, abc, "1 !"), "overvotes without names"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rcv.Tabulate(rules(c.rules), c.candidates, c.ballots)
			wantError(t, err, "cannot tabulate: ", c.want)
		})
	}
}

// A result in which votes are lost, invented or moved without a trace is no
// result.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	one, err := rcv.ParseDecimal("0.0001")
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(p *rcv.Pass){
		"a vote too many": func(p *rcv.Pass) { r := &p.Rounds[1]; r.Tally[0].Votes = r.Tally[0].Votes.Add(one) },
		"an inactive lost": func(p *rcv.Pass) {
			r := &p.Rounds[2]
			r.Inactive.ExhaustedChoices = r.Inactive.ExhaustedChoices.Sub(one)
		},
		"a residue too many": func(p *rcv.Pass) { r := &p.Rounds[3]; r.ResidualSurplus = r.ResidualSurplus.Add(one) },
		"a ballot too many":  func(p *rcv.Pass) { p.Ballots++ },
		"an undervote lost":  func(p *rcv.Pass) { p.Undervotes-- },
		"a transfer lost":    func(p *rcv.Pass) { p.Rounds[1].Eliminated[0].Transfers = nil },
		"a transfer too many": func(p *rcv.Pass) {
			d := &p.Rounds[0].Elected[0]
			d.Transfers = append(d.Transfers, rcv.Transfer{To: "B", Votes: one})
		},
	} {
		res := mustTabulate(t, rules(func(r *rcv.Rules) { r.Mode, r.Winners = rcv.MultiWinnerMultiplePerRound, 2 }), "A B C", "4 A>C, 2 A>B, 3 B, 1 C>B, 1")
		if err := res.Passes[0].Check(); err != nil {
			t.Fatal(err)
		}
		harm(&res.Passes[0])
		if err := res.Passes[0].Check(); !errors.Is(err, rcv.ErrUnbalanced) {
			t.Errorf("%s: have the error %v, want %v", name, err, rcv.ErrUnbalanced)
		}
	}
}

func TestNobodyCanBeElected(t *testing.T) {
	c := names("A B C")
	for name, r := range map[string]rcv.Rules{
		"minimum votes":          rules(func(r *rcv.Rules) { r.MinimumVotes = 9 }),
		"pass without winner":    rules(func(r *rcv.Rules) { r.Mode, r.Winners, r.StopAfterRound = rcv.MultiPassIRV, 2, 1 }),
		"more passes than names": rules(func(r *rcv.Rules) { r.Mode, r.Winners = rcv.MultiPassIRV, 4 }),
	} {
		if _, err := rcv.Tabulate(r, c, parseBallots(t, c, "2 A, 2 B, 1 C")); !errors.Is(err, rcv.ErrNoWinner) {
			t.Errorf("%s: have the error %v, want %v", name, err, rcv.ErrNoWinner)
		}
	}
}

func TestCollectorRefusesWithoutQuotingAVote(t *testing.T) {
	for name, b := range map[string]rcv.Ballot{
		"no count":               {Count: 0},
		"negative count":         {Count: -1},
		"too many ballots":       {Count: rcv.MaxBallots + 1},
		"too many ranks":         {Count: 1, Ranks: append(make([][]int, rcv.MaxRanks), []int{1})},
		"unknown candidate":      {Count: 1, Ranks: [][]int{{888}}},
		"below the candidates":   {Count: 1, Ranks: [][]int{{-2}}},
		"twice on a rank":        {Count: 1, Ranks: [][]int{{1, 0, 1}}},
		"overvote beside a name": {Count: 1, Ranks: [][]int{{0, rcv.Overvote}}},
		"more marks than names":  {Count: 1, Ranks: [][]int{{0, 1, 2, 3, 4}}},
	} {
		col, err := rcv.NewCollector(4, rcv.Budget{})
		if err != nil {
			t.Fatal(err)
		}
		err = col.Add(b)
		wantError(t, err)
		if err != nil && strings.Contains(err.Error(), "888") {
			t.Errorf("%s: the error quotes a vote: %v", name, err)
		}
		if c := col.Collection(); c.Total() != 0 || c.Distinct() != 0 {
			t.Errorf("%s: the refused ballot was counted", name)
		}
	}
}

func TestCollectorKeepsItsBudget(t *testing.T) {
	for name, b := range map[string]rcv.Budget{"distinct": {Distinct: 2}, "bytes": {Bytes: 2}} {
		col, err := rcv.NewCollector(3, b)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			for i := range 2 {
				if err := col.Add(rcv.Ballot{Ranks: [][]int{{i}}, Count: 1}); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantError(t, col.Add(rcv.Ballot{Ranks: [][]int{{2}}, Count: 1}), "budget")
		if c := col.Collection(); c.Total() != 10 || c.Distinct() != 2 {
			t.Errorf("%s: %d ballots, %d different ones", name, c.Total(), c.Distinct())
		}
	}
	if _, err := rcv.NewCollector(rcv.MaxCandidates+1, rcv.Budget{}); err == nil {
		t.Error("a collector for too many candidates was made")
	}
}

// Equal ballots are one, however their marks were ordered and however many
// skipped ranks follow.
func TestEqualBallotsAreOne(t *testing.T) {
	c := names("A B C")
	col := parseBallots(t, c, "1 A=B>C, 2 B=A>C>-, 3 A=B>C>->-")
	if col.Distinct() != 1 || col.Total() != 6 {
		t.Errorf("%d ballots, %d different ones", col.Total(), col.Distinct())
	}
}
