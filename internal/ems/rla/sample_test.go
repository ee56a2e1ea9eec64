package rla

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// arloSeed is the seed of the snapshots that Arlo tests its sampler with.
const arloSeed = "12345678901234567890abcdefghijklmnopqrstuvwxyz😊"

func seed(t testing.TB, s string) Seed {
	t.Helper()
	got, err := ParseSeed(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// The examples in the documentation of consistent_sampler (Rivest).
func TestTicketsOfRivest(t *testing.T) {
	if got := "0." + uniform("abc"); got != "0.56998071861792858926477341561059638840106636224182943832566300809078486324348" {
		t.Error(got)
	}
	const first = "0.26299714122838008416507544297546663599715395525154425586041245287750224561854"
	if got := newTickets("01382438112797316654").first("AB-130"); got != first {
		t.Error(got)
	}
	for x, want := range map[string]string{
		first:     "0.8232357229934205790595761924514048157652891124687533667363938813600770093316",
		"0.25471": "0.642853261655004694691182528114375607701032283189922170593838029306715548381901",
		"0.234":   "0.547830802749402616364646686795722512609112766306951592422621788875312684400211",
	} {
		if got := next(x); got != want {
			t.Errorf("after %s comes %s", x, got)
		}
	}
	if got := trim("0.9991234567890", 4); got != "0.9991234" {
		t.Error(got)
	}
}

// The digits are those of the number that the hash is, also where that is short.
func TestDigitsAreThoseOfTheNumber(t *testing.T) {
	for i := range 2000 {
		s := fmt.Sprint("x", i)
		n, _ := new(big.Int).SetString(hexSum(s), 16)
		want := []byte(fmt.Sprintf("%064d", n))
		slices.Reverse(want)
		if got := uniform(s); got != string(want) {
			t.Fatalf("%s: %s, want %s", s, got, want)
		}
	}
}

// basketOf draws from plain ids, as the examples of consistent_sampler do.
func basketOf(seed string, ids []string, n int, replace bool) []drawn {
	s := &smallest{n: n}
	for i, id := range ids {
		s.offer(drawn{newTickets(seed).first(id), item{batch: i}, 1})
	}
	b := basket(s.held)
	return b.take(n, replace)
}

func TestSamplesOfRivest(t *testing.T) {
	var got []string
	for _, d := range basketOf("314159", []string{"A-1", "A-2", "A-3", "B-1", "B-2", "B-3"}, 4, false) {
		got = append(got, []string{"A-1", "A-2", "A-3", "B-1", "B-2", "B-3"}[d.item.batch])
	}
	if d := cmp.Diff([]string{"B-2", "B-3", "A-3", "A-2"}, got); d != "" {
		t.Error(d)
	}
	ids := []string{"a1", "b2", "c3", "d4", "e5", "f6"}
	got = nil
	for _, d := range basketOf("19283746", ids, 10, true) {
		got = append(got, fmt.Sprintf("%s %s %d", trim(d.ticket, 9), ids[d.item.batch], d.generation))
	}
	want := []string{
		"0.303241347 e5 1", "0.432145156 b2 1", "0.487135586 c3 1", "0.581779914 b2 2", "0.680782907 b2 3",
		"0.700258702 c3 2", "0.816686725 b2 4", "0.841870265 a1 1", "0.857737141 a1 2", "0.866227993 f6 1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var numbers []string
	for i := range 100 {
		numbers = append(numbers, fmt.Sprint(i))
	}
	got = nil
	for _, d := range basketOf("41", numbers, 5, false) {
		got = append(got, trim(d.ticket, 9)+" "+numbers[d.item.batch])
	}
	if d := cmp.Diff([]string{"0.000508333 73", "0.003446232 51", "0.004419823 17", "0.020115273 58", "0.023482375 38"}, got); d != "" {
		t.Error(d)
	}
}

// The sample that Arlo's own tests keep: there the ids are ('pct 1', 3).
func TestBallotSnapshotOfArlo(t *testing.T) {
	var ids []string
	for b := 1; b <= 4; b++ {
		for k := 1; k <= 25; k++ {
			ids = append(ids, fmt.Sprintf("('pct %d', %d)", b, k))
		}
	}
	var got []string
	for _, d := range basketOf(arloSeed, ids, 20, true) {
		got = append(got, fmt.Sprintf("%s %s %d", trim(d.ticket, 18), ids[d.item.batch], d.generation))
	}
	want := []string{
		"0.000617786129909912 ('pct 2', 3) 1", "0.002991631653037245 ('pct 3', 24) 1", "0.012057030610635061 ('pct 1', 25) 1",
		"0.017930028930651931 ('pct 4', 19) 1", "0.025599454926985137 ('pct 3', 15) 1", "0.045351055354441163 ('pct 1', 7) 1",
		"0.063913979803461405 ('pct 1', 8) 1", "0.064553852798863609 ('pct 1', 22) 1", "0.078998835671540970 ('pct 1', 20) 1",
		"0.090240829778172783 ('pct 3', 12) 1", "0.096136506157297637 ('pct 1', 20) 2", "0.104280162683637014 ('pct 4', 17) 1",
		"0.108948480696023984 ('pct 1', 25) 2", "0.111195681310332785 ('pct 1', 4) 1", "0.114438612046531251 ('pct 4', 3) 1",
		"0.130457464320709301 ('pct 2', 1) 1", "0.133484785501449819 ('pct 1', 12) 1", "0.134519219670087860 ('pct 3', 20) 1",
		"0.135840440920085144 ('pct 3', 10) 1", "0.138772253094235762 ('pct 4', 20) 1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestIDsAreWrittenAsPythonWritesTuples(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{batchID("Jx 1", "pct 8"), `('Jx 1', 'pct 8')`},
		{ballotPrefix("O'Brien", &Manifest{}, Batch{Name: `a\b`}), `(("O'Brien", None, 'a\\b'), `},
		{ballotPrefix("é", &Manifest{Tabulators: true}, Batch{Tabulator: `"1"'`, Name: `"x"`}), `(('é', '"1"\'', '"x"'), `},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

func pool(t testing.TB, jurisdiction, doc string, a Audit) Pool {
	t.Helper()
	m, err := ReadManifest("m.csv", strings.NewReader(doc), a)
	if err != nil {
		t.Fatal(err)
	}
	return Pool{jurisdiction, m}
}

// A ballot's tickets follow from its name alone: drawn by hand from all of
// them, sorted, the sample is the same.
func TestBallotsAreThoseWithTheSmallestTickets(t *testing.T) {
	q := BallotRequest{Algorithm: ConsistentSampler, Seed: seed(t, "01382438112797316654"), Take: 15, Drop: 5, Pools: []Pool{
		pool(t, "A", "Tabulator,Batch Name,Number of Ballots\n1,x,4\n1,y,1\n", BallotComparison),
		pool(t, "B", "Tabulator,Batch Name,Number of Ballots\n2,x,3\n", BallotComparison),
	}}
	s, err := DrawBallots(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, b := range []string{"'A', '1', 'x'), 1", "'A', '1', 'x'), 2", "'A', '1', 'x'), 3", "'A', '1', 'x'), 4", "'A', '1', 'y'), 1", "'B', '2', 'x'), 1", "'B', '2', 'x'), 2", "'B', '2', 'x'), 3"} {
		ticket := newTickets("01382438112797316654").first("((" + b + ")")
		for range 30 {
			all = append(all, ticket+"/"+b)
			ticket = next(ticket)
		}
	}
	slices.Sort(all)
	var want, got []string
	for _, line := range all[5:20] {
		ticket, b, _ := strings.Cut(line, "/")
		want = append(want, trim(ticket, 18)+"/"+b)
	}
	for _, d := range s.Draws {
		got = append(got, fmt.Sprintf("%s/'%s', '%s', '%s'), %d", d.Ticket, d.Jurisdiction, d.Batch.Tabulator, d.Batch.Name, d.Position))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s.Draws[0].Number != 6 || s.Population != 8 || s.Manifests[1].Jurisdiction != "B" || len(s.Manifests[1].SHA256) != 64 {
		t.Errorf("%+v", s)
	}
}

// A longer sample begins with the shorter one, and a part of the pools has the
// same draws as the whole, without the others.
func TestSamplesAreConsistent(t *testing.T) {
	m := readManifest(t, BallotComparison, "sample_manifest_BC.csv")
	other := readManifest(t, BallotComparison, "small-election", "Siletz - ballot manifest.csv")
	draw := func(take, drop int, pools ...Pool) []Draw {
		s, err := DrawBallots(context.Background(), BallotRequest{Algorithm: ConsistentSampler, Seed: seed(t, "31415926535897932384"), Pools: pools, Take: take, Drop: drop})
		if err != nil {
			t.Fatal(err)
		}
		return s.Draws
	}
	a, b := Pool{"A", m}, Pool{"B", other}
	long := draw(300, 0, a, b)
	if d := cmp.Diff(long[:100], draw(100, 0, a, b)); d != "" {
		t.Error(d)
	}
	var ofA []Draw
	for _, d := range long {
		if d.Jurisdiction == "A" {
			d.Number = len(ofA) + 1
			ofA = append(ofA, d)
		}
	}
	if d := cmp.Diff(ofA, draw(len(ofA), 0, a)); d != "" {
		t.Error(d)
	}
	rest := draw(200, 100, a, b)
	seen := map[string]bool{}
	key := func(d Draw) string { return fmt.Sprint(d.Jurisdiction, d.Batch, d.Position) }
	for _, d := range long[:100] {
		seen[key(d)] = true
	}
	before := 0
	for i, d := range rest {
		if d.Before != seen[key(d)] {
			t.Errorf("draw %d: %+v", d.Number, d)
		}
		if d.Before {
			before++
		}
		d.Before = false
		if d != long[100+i] {
			t.Errorf("draw %d: %+v, want %+v", d.Number, d, long[100+i])
		}
	}
	if before == 0 {
		t.Error("no ballot was drawn again: the test shows nothing")
	}
}

func TestStrata(t *testing.T) {
	m := readManifest(t, Hybrid, "sample_manifest_hybrid.csv")
	q := BallotRequest{Algorithm: ConsistentSampler, Seed: seed(t, "1"), Pools: []Pool{{"A", m}}, Stratum: WithoutCVRs, Take: 458, WithoutReplacement: true}
	s, err := DrawBallots(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range s.Draws {
		seen[fmt.Sprint(d.Batch, d.Position)] = true
		if d.Batch.CVR || d.Times != 1 {
			t.Errorf("%+v", d)
		}
	}
	if len(seen) != 458 || s.Population != 2+5+5+103+119+224 {
		t.Errorf("%d of %d ballots", len(seen), s.Population)
	}
}

// Published vectors of Rivest's sampler of 2011 (repository
// rivest-sampler-tests): the numbers 1 to n, with duplicates.
func TestSeedAndNumberVectors(t *testing.T) {
	for _, c := range []struct {
		seed string
		n    int
		want []int
	}{
		{"1", 1000, []int{97, 89, 163}},
		{"0", 2, []int{1, 1, 2}},
		{"0", 1000, []int{905, 573, 160}},
		{"0000000000", 1000, []int{978, 359, 132}},
		{"999999999999999999999999", 1000, []int{544, 800, 654}},
		{"3546311556112163624615351222", 876, []int{740, 180, 264, 789, 238}},
		{"abcde", 1000, []int{247, 427, 157}},
		{"abc123", 1000, []int{455, 764, 629}},
		{"snowman: ☃", 1000, []int{634, 56, 46}},
		{"😀", 1000, []int{596, 415, 303, 11, 141}},
	} {
		var got []int
		for i := range c.want {
			k, _ := pick(seed(t, c.seed), i+1, c.n)
			got = append(got, k)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.seed, d)
		}
	}
}

// The numbers become ballots along the manifests: 876 ballots in three batches.
func TestSeedAndNumberBallots(t *testing.T) {
	q := BallotRequest{Algorithm: SeedAndNumber, Seed: seed(t, "3546311556112163624615351222"), Take: 4, Drop: 1, Pools: []Pool{
		pool(t, "A", "Batch Name,Number of Ballots\nx,180\ny,84\n", BallotPolling),
		pool(t, "B", "Batch Name,Number of Ballots\nz,612\n", BallotPolling),
	}}
	s, err := DrawBallots(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range s.Draws {
		got = append(got, fmt.Sprint(d.Number, " ", d.Jurisdiction, d.Batch.Name, d.Position))
	}
	if d := cmp.Diff([]string{"2 Ax180", "3 Ay84", "4 Bz525", "5 Ay58"}, got); d != "" {
		t.Error(d) // 180, 264, 789, 238
	}
}

func TestBallotRequestsThatAreRefused(t *testing.T) {
	good := func() BallotRequest {
		return BallotRequest{Algorithm: ConsistentSampler, Seed: seed(t, "1"), Take: 2, Pools: []Pool{pool(t, "A", "Batch Name,Number of Ballots\nx,3\n", BallotPolling)}}
	}
	if _, err := DrawBallots(context.Background(), good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*BallotRequest){
		"no seed":             func(q *BallotRequest) { q.Seed = Seed{} },
		"no draws":            func(q *BallotRequest) { q.Take = 0 },
		"negative":            func(q *BallotRequest) { q.Drop = -1 },
		"too many":            func(q *BallotRequest) { q.Take = maxDraws + 1 },
		"no pool":             func(q *BallotRequest) { q.Pools = nil },
		"two of one name":     func(q *BallotRequest) { q.Pools = append(q.Pools, q.Pools[0]) },
		"no name":             func(q *BallotRequest) { q.Pools[0].Jurisdiction = "" },
		"made here":           func(q *BallotRequest) { q.Pools[0].Manifest.SHA256 = "" },
		"no manifest":         func(q *BallotRequest) { q.Pools[0].Manifest = nil },
		"stratum":             func(q *BallotRequest) { q.Stratum = WithCVRs },
		"more than there are": func(q *BallotRequest) { q.WithoutReplacement, q.Take = true, 4 },
		"batches":             func(q *BallotRequest) { q.Algorithm = ErrorBound },
		"number, no return":   func(q *BallotRequest) { q.Algorithm, q.WithoutReplacement = SeedAndNumber, true },
	} {
		q := good()
		change(&q)
		if s, err := DrawBallots(context.Background(), q); err == nil || s != nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := DrawBallots(ctx, good()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSeeds(t *testing.T) {
	for _, s := range []string{"", " 1", "1 ", "a\nb", "\xff", "a\u200bb", strings.Repeat("1", 257)} {
		if got, err := ParseSeed(s); err == nil || got != (Seed{}) {
			t.Errorf("%q is a seed", s)
		}
	}
	if !seed(t, "01234567890123456789").Dice() || seed(t, "0123456789012345678x").Dice() || seed(t, "1").Dice() {
		t.Error("dice")
	}
}

// Published first numbers of NumPy's default_rng with the seeds 0, 42 and
// 12345 (documentation of NumPy).
func TestGeneratorOfNumPy(t *testing.T) {
	for n, want := range map[int64]float64{0: 0.6369616873214543, 42: 0.7739560485559633, 12345: 0.22733602246716966} {
		if got := newPCG64(big.NewInt(n)).float64(); got != want {
			t.Errorf("seed %d: %v, want %v", n, got, want)
		}
	}
}

func TestRoundingToTwentyEightDigits(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"1/3", "0.3333333333333333333333333333"},
		{"2/3", "0.6666666666666666666666666667"},
		{"1/8", "0.125"},
		{"80/3", "26.66666666666666666666666667"},
		{"20000000000000000000000000005/10", "2000000000000000000000000000"},
		{"20000000000000000000000000015/10", "2000000000000000000000000002"},
		{"99999999999999999999999999999/10", "10000000000000000000000000000"},
		{"0", "0"},
	} {
		in, _ := new(big.Rat).SetString(c.in)
		want, _ := new(big.Rat).SetString(c.want)
		if got := round28(in); got.Cmp(want) != 0 {
			t.Errorf("%s: %s", c.in, got.RatString())
		}
	}
}

// macro makes the jurisdiction of Arlo's snapshots of batch draws.
func macro(t testing.TB) BatchRequest {
	manifest, totals := "Batch Name,Number of Ballots\n", "Batch Name,cand1,cand2\n"
	for i := range 20 {
		if i == 10 {
			continue
		}
		votes := "40,10"
		if i > 10 {
			votes = "20,30"
		}
		manifest += fmt.Sprintf("pct %d,50\n", i)
		totals += fmt.Sprintf("pct %d,%s\n", i, votes)
	}
	return BatchRequest{
		Seed:    seed(t, arloSeed),
		Contest: Result{Name: "Contest", VoteFor: 1, Winners: 1, Choices: []ChoiceVotes{{"cand1", 600}, {"cand2", 400}}},
		Pools:   []BatchPool{{Pool: pool(t, "Jx 1", manifest, BatchComparison), Totals: batchTotals(t, totals)}},
		Take:    10,
	}
}

func batchTotals(t testing.TB, doc string) *BatchTotals {
	t.Helper()
	totals, err := ReadBatchTotals("t.csv", strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

func drawBatches(t testing.TB, q BatchRequest) []string {
	t.Helper()
	s, err := DrawBatches(q)
	if err != nil {
		t.Fatal(err)
	}
	return told(s)
}

func told(s *Sample) []string {
	var got []string
	for _, d := range s.Draws {
		got = append(got, d.Ticket+" "+d.Batch.Name)
	}
	return got
}

var macroDraws = [...]string{
	"0.642074320588256264 pct 8", "0.634903028357318938 pct 6", "0.697435332323894639 pct 8", "0.096486566275573723 pct 0",
	"0.835553892011720777 pct 9", "0.9722586520568512638 pct 14", "0.030338217960461852 pct 18", "0.546393063883135848 pct 17",
	"0.878526714305113154 pct 8", "0.847430249189970028 pct 2",
}

// The batch draws that Arlo's own tests keep: ours are the same, number for
// number, although Arlo draws with NumPy.
func TestBatchSnapshotsOfArlo(t *testing.T) {
	q := macro(t)
	if d := cmp.Diff(macroDraws[:], drawBatches(t, q)); d != "" {
		t.Error(d)
	}
	q.Take = 5
	for _, name := range []string{"pct 8", "pct 6", "pct 8", "pct 0", "pct 9"} {
		q.Previous = append(q.Previous, BatchKey{"Jx 1", name})
	}
	if d := cmp.Diff(macroDraws[5:], drawBatches(t, q)); d != "" {
		t.Error(d)
	}
	q.Previous[1].Batch = "pct 7"
	if _, err := DrawBatches(q); err == nil {
		t.Error("earlier draws that do not follow were taken")
	}
}

// In Arlo's snapshot of two contests, ten of the batches have the other one.
func TestBatchSnapshotOfAnotherContest(t *testing.T) {
	weights := make([]float64, 10)
	for i := range weights {
		weights[i] = 0.1
	}
	draws := choose(newPCG64(seedNumber(seed(t, arloSeed))), weights, 10)
	if d := cmp.Diff([]int{5, 4, 5, 0, 6, 8, 9, 8, 5, 2}, draws); d != "" {
		t.Error(d)
	}
}

func TestBatchSnapshotsOfAFullCount(t *testing.T) {
	q := BatchRequest{
		Seed:    seed(t, arloSeed),
		Contest: Result{Name: "Close Contest", VoteFor: 1, Winners: 1, Choices: []ChoiceVotes{{"cand1", 200}, {"cand2", 198}}},
		Pools: []BatchPool{{
			Pool:   pool(t, "Jx 1", "Batch Name,Number of Ballots\npct 1,100\npct 2,100\npct 3,100\npct 4,98\n", BatchComparison),
			Totals: batchTotals(t, "Batch Name,cand1,cand2\npct 4,0,98\npct 1,100,0\npct 2,100,0\npct 3,0,100\n"),
		}},
		Take: 4,
	}
	want := []string{"0.370405751560609643 pct 1", "0.847430249189970028 pct 2", "0.851346057402501613 pct 3", "0.328034953571610594 pct 4"}
	if d := cmp.Diff(want, drawBatches(t, q)); d != "" {
		t.Error(d)
	}
	q.Take = 1
	one, err := DrawBatches(q)
	if err != nil {
		t.Fatal(err)
	}
	first := one.Draws[0].Batch.Name
	q.Previous, q.Take = []BatchKey{{"Jx 1", first}}, 3
	rest := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return strings.HasSuffix(s, first) })
	if d := cmp.Diff(rest, drawBatches(t, q)); d != "" {
		t.Error(d)
	}
	q.Contest.Pending = 2
	if _, err := DrawBatches(q); !errors.Is(err, ErrFullCount) {
		t.Error(err)
	}
}

func TestBatchRequestsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*BatchRequest){
		"no seed":             func(q *BatchRequest) { q.Seed = Seed{} },
		"votes appear":        func(q *BatchRequest) { q.Contest.Choices[0].Votes = 500 },
		"no loser":            func(q *BatchRequest) { q.Contest.Winners = 2 },
		"no winner":           func(q *BatchRequest) { q.Contest.Winners = 0 },
		"unknown choice":      func(q *BatchRequest) { q.Contest.Choices[0].Name = "cand3" },
		"no totals":           func(q *BatchRequest) { q.Pools[0].Totals = nil },
		"batch without total": func(q *BatchRequest) { q.Pools[0].Totals.Rows = q.Pools[0].Totals.Rows[1:] },
		"votes over ballots":  func(q *BatchRequest) { q.Pools[0].Totals.Rows[0].Votes[0] = 51 },
		"same pool twice":     func(q *BatchRequest) { q.Pools = append(q.Pools, q.Pools[0]) },
		"nothing":             func(q *BatchRequest) { q.Pools = nil },
	} {
		q := macro(t)
		change(&q)
		if s, err := DrawBatches(q); err == nil || s != nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// The list of the small election's county: each ballot once, in the order of
// the shelves, with all its tickets.
func TestRetrievalList(t *testing.T) {
	m := readManifest(t, BallotComparison, "small-election", "Kendall Park - ballot manifest.csv")
	s, err := DrawBallots(context.Background(), BallotRequest{Algorithm: ConsistentSampler, Seed: seed(t, "31415926535897932384"), Pools: []Pool{{"Kendall Park", m}}, Take: 200})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteRetrievalList(&b, "Kendall Park"); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Tabulator", "Batch Name", "Ballot Number", "Ticket Numbers", "Already Audited"}, rows[0]); d != "" {
		t.Error(d)
	}
	tickets := 0
	for i, r := range rows[1:] {
		tickets += 1 + strings.Count(r[3], ",")
		if i == 0 {
			continue
		}
		last := rows[i]
		if c := natural(last[0], r[0]); c > 0 || c == 0 && (natural(last[1], r[1]) > 0 || last[1] == r[1] && compareDigits(last[2], r[2]) >= 0) {
			t.Errorf("%v stands before %v", last, r)
		}
	}
	if tickets != 200 || len(rows) >= 201 {
		t.Errorf("%d tickets in %d rows", tickets, len(rows)-1)
	}
	if err := s.WriteRetrievalList(&b, "elsewhere"); err == nil {
		t.Error("a list for a county that was not drawn from")
	}
}

func TestNaturalOrder(t *testing.T) {
	want := []string{"", "10", "Batch", "Batch 2", "Batch 02", "Batch 2a", "Batch 10", "Box 1", "box 1"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, natural)
	want[3], want[4] = "Batch 02", "Batch 2"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRecordHasWhatARepetitionNeeds(t *testing.T) {
	q := macro(t)
	s, err := DrawBatches(q)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteRecord(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Algorithm,ppeb-pcg64\r\n", "Seed," + arloSeed, "Manifest SHA-256," + q.Pools[0].Manifest.SHA256 + ",Jx 1\r\n", "\r\n1,0.642074320588256264,Jx 1,,,pct 8,,1\r\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in the record:\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := s.WriteRetrievalList(&b, "Jx 1"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "Batch Name,Ticket Numbers,Already Audited\r\npct 0,0.096486566275573723,N\r\n") {
		t.Error(b.String())
	}
}
