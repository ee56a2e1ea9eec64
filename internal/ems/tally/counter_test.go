package tally_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/tally"
)

// primary has a straight-party contest over a seat and a council, a party
// preference over two nominations, a recall with its replacement, and a ranked
// contest.
func controlled() *model.Definition {
	options := func(parties ...int) (out []model.Option) {
		for i, p := range parties {
			o := model.Option{ID: string(rune('a' + i))}
			if p >= 0 {
				o.Parties = []int{p}
			}
			out = append(out, o)
		}
		return out
	}
	return &model.Definition{
		Parties: []model.Party{{ID: "oak"}, {ID: "elm"}},
		Contests: []model.Contest{
			0: {ID: "straight", Kind: model.StraightParty, VotesAllowed: 1, Controls: []int{1, 2}, Options: options(0, 1)},
			1: {ID: "seat", VotesAllowed: 1, Options: options(0, 1, -1)},
			2: {ID: "council", VotesAllowed: 3, Options: options(0, 0, 1, 1, -1)},
			3: {ID: "preference", Kind: model.PartyPreference, VotesAllowed: 1, Controls: []int{4, 5}, Options: options(0, 1)},
			4: {ID: "oak nomination", VotesAllowed: 1, Parties: []int{0}, Options: options(0, 0)},
			5: {ID: "elm nomination", VotesAllowed: 1, Parties: []int{1}, Options: options(1, 1)},
			6: {ID: "recall", Kind: model.Activation, VotesAllowed: 1, Controls: []int{7}, Options: []model.Option{{ID: "yes", Activates: true}, {ID: "no"}}},
			7: {ID: "replacement", VotesAllowed: 1, Options: options(-1, -1)},
			8: {ID: "ranked", VotesAllowed: 1, Ranks: 3, Options: options(-1, -1, -1)},
		},
		Styles:    []model.Style{{IDs: []string{"s"}, Contests: []int{0, 1, 2, 3, 4, 5, 6, 7, 8}, Precincts: []int{0}}},
		Precincts: []model.Precinct{{ID: "p", Of: "p"}},
	}
}

// votes makes a ballot; marks maps contests to options, in ranked contests each
// option's place is its rank (-1 for none).
func votes(marks map[int][]int) *model.Ballot {
	b := &model.Ballot{}
	s := b.AddSnapshot(model.Original)
	for c, list := range marks {
		m := s.AddMarks(c)
		for i, o := range list {
			p := model.Position{Option: o, Indicated: model.Yes, Allocable: model.Yes, Votes: 1}
			if c == 8 {
				p.Rank = i + 1
			}
			if o >= 0 {
				m.Positions = append(m.Positions, p)
			}
		}
	}
	return b
}

func one(t *testing.T, d *model.Definition, b *model.Ballot) map[string]tally.Counts {
	t.Helper()
	c := tally.NewCounter(d)
	if err := c.Add(b, tally.Batch{}); err != nil {
		t.Fatal(err)
	}
	tl, err := c.Result()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]tally.Counts{}
	for _, x := range tl.Contests {
		out[x.ID] = x.Total
	}
	return out
}

func TestStraightParty(t *testing.T) {
	for _, c := range []struct {
		name      string
		inclusive bool
		marks     map[int][]int
		seat      []int64
		council   []int64
	}{
		{"party alone", false, map[int][]int{0: {0}}, []int64{1, 0, 0}, []int64{1, 1, 0, 0, 0}},
		{"no party", false, map[int][]int{1: {1}}, []int64{0, 1, 0}, []int64{0, 0, 0, 0, 0}},
		{"two parties", false, map[int][]int{0: {0, 1}}, []int64{0, 0, 0}, []int64{0, 0, 0, 0, 0}},
		{"a direct vote excludes the party there", false, map[int][]int{0: {0}, 1: {1}, 2: {4}}, []int64{0, 1, 0}, []int64{0, 0, 0, 0, 1}},
		{"a direct vote is added to the party's", true, map[int][]int{0: {0}, 1: {1}, 2: {4}}, []int64{0, 1, 0}, []int64{1, 1, 0, 0, 1}},
		{"together too many", true, map[int][]int{0: {0}, 2: {2, 3}}, []int64{1, 0, 0}, []int64{0, 0, 1, 1, 0}},
		{"a direct vote for one of the party's", true, map[int][]int{0: {0}, 2: {0, 4}}, []int64{1, 0, 0}, []int64{1, 1, 0, 0, 1}},
		{"an overvote stays one", true, map[int][]int{0: {0}, 1: {1, 2}}, []int64{0, 0, 0}, []int64{1, 1, 0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := controlled()
			d.Contests[0].Inclusive = c.inclusive
			got := one(t, d, votes(c.marks))
			if diff := cmp.Diff([][]int64{c.seat, c.council}, [][]int64{got["seat"].Votes, got["council"].Votes}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the device has applied itself is not applied again.
func TestStraightPartyByTheDevice(t *testing.T) {
	b := votes(map[int][]int{0: {0}, 1: {0}})
	for i := range b.Snapshots[0].Contests {
		if m := &b.Snapshots[0].Contests[i]; m.Contest == 1 {
			m.Positions[0].Generated = true
		}
	}
	got := one(t, controlled(), b)
	if diff := cmp.Diff([][]int64{{1, 0, 0}, {0, 0, 0, 0, 0}}, [][]int64{got["seat"].Votes, got["council"].Votes}); diff != "" {
		t.Error(diff)
	}
}

// A contest that is switched off is not on the ballot: neither votes nor
// undervotes.
func TestContestsThatOthersSwitch(t *testing.T) {
	for _, c := range []struct {
		name  string
		marks map[int][]int
		want  map[string]int64 // ballots
		votes int64            // of the three together
	}{
		{"nothing chosen", map[int][]int{4: {0}, 5: {0}, 7: {0}}, map[string]int64{"oak nomination": 0, "elm nomination": 0, "replacement": 0}, 0},
		{"a party", map[int][]int{3: {1}, 4: {0}, 5: {0}}, map[string]int64{"oak nomination": 0, "elm nomination": 1, "replacement": 0}, 1},
		{"two parties", map[int][]int{3: {0, 1}, 4: {0}, 5: {0}}, map[string]int64{"oak nomination": 0, "elm nomination": 0, "replacement": 0}, 0},
		{"for the recall", map[int][]int{6: {0}, 7: {1}}, map[string]int64{"oak nomination": 0, "elm nomination": 0, "replacement": 1}, 1},
		{"against the recall", map[int][]int{6: {1}, 7: {1}}, map[string]int64{"oak nomination": 0, "elm nomination": 0, "replacement": 0}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := one(t, controlled(), votes(c.marks))
			var sum int64
			for id, ballots := range c.want {
				if got[id].Ballots != ballots {
					t.Errorf("%s: %d ballots", id, got[id].Ballots)
				}
				for _, v := range got[id].Votes {
					sum += v
				}
			}
			if sum != c.votes {
				t.Errorf("%d votes", sum)
			}
		})
	}
}

func TestFirstChoices(t *testing.T) {
	for _, c := range []struct {
		name  string
		marks []int
		want  tally.Counts
	}{
		{"ranked", []int{2, 0, 1}, tally.Counts{Ballots: 1, Votes: []int64{0, 0, 1}}},
		{"first rank left out", []int{-1, 1}, tally.Counts{Ballots: 1, Votes: []int64{0, 1, 0}}},
		{"one option at every rank", []int{1, 1, 1}, tally.Counts{Ballots: 1, Votes: []int64{0, 1, 0}}},
		{"blank", nil, tally.Counts{Ballots: 1, Votes: []int64{0, 0, 0}, Undervotes: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, one(t, controlled(), votes(map[int][]int{8: c.marks}))["ranked"]); diff != "" {
				t.Error(diff)
			}
		})
	}
	b := votes(map[int][]int{8: {0, 1}})
	b.Snapshots[0].Contests[0].Positions[1].Rank = 1
	if diff := cmp.Diff(tally.Counts{Ballots: 1, Votes: []int64{0, 0, 0}, Overvotes: 1}, one(t, controlled(), b)["ranked"]); diff != "" {
		t.Error("two options at the first rank:", diff)
	}
}

// What is stored is what was counted, and adding it up again gives the same.
func TestSubtotalsSurviveTheirEncoding(t *testing.T) {
	d := definition()
	c := tally.NewCounter(d)
	for i := range 60 {
		b := &model.Ballot{Style: i % 2, Precinct: i % 2}
		s := b.AddSnapshot(model.Original)
		if i%2 == 0 {
			m := s.AddMarks(0)
			m.Positions = append(m.Positions, model.Position{Option: i % 3, Indicated: model.Yes, Allocable: model.Yes, Votes: 1})
		}
		if err := c.Add(b, tally.Batch{No: int64(i % 7), Method: []string{"absentee", "election-day"}[i%5%2]}); err != nil {
			t.Fatal(err)
		}
	}
	again := tally.NewSubtotals(d)
	rows := 0
	err := c.Subtotals().Each(
		func(k tally.Cell, b []byte) error { rows++; return again.AddCell(k, b) },
		func(n int, b []byte) error { rows++; return again.AddStyle(n, b) },
		func(no int64, b []byte) error { rows++; return again.AddBatch(no, b) })
	if err != nil || rows != 4+2+7 {
		t.Fatal(rows, err)
	}
	if err := again.Equal(c.Subtotals()); err != nil {
		t.Error(err)
	}
	first, err := c.Result()
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Tally()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	if len(first.Methods) != 2 || first.Contests[0].Methods[0].Ballots+first.Contests[0].Methods[1].Ballots != 30 {
		t.Errorf("%+v", first.Contests[0].Methods)
	}
	b := &model.Ballot{}
	b.AddSnapshot(model.Original)
	if err := c.Add(b, tally.Batch{No: 1, Method: "absentee"}); err != nil {
		t.Fatal(err)
	}
	if err := again.Equal(c.Subtotals()); err == nil {
		t.Error("one more ballot is not noticed")
	}
	if err := c.Remove(b, tally.Batch{No: 1, Method: "absentee"}); err != nil {
		t.Fatal(err)
	}
	if err := again.Equal(c.Subtotals()); err != nil {
		t.Error(err)
	}
}

// Stored subtotals are only a claim.
func FuzzSubtotals(f *testing.F) {
	c := tally.NewCounter(definition())
	b := &model.Ballot{}
	b.AddSnapshot(model.Original)
	if err := c.Add(b, tally.Batch{}); err != nil {
		f.Fatal(err)
	}
	ignore := func(int, []byte) error { return nil }
	if err := c.Subtotals().Each(func(_ tally.Cell, b []byte) error { f.Add(b); return nil }, ignore, func(int64, []byte) error { return nil }); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := tally.NewSubtotals(definition())
		if s.AddStyle(0, data) != nil || s.AddBatch(4, data) != nil || s.AddCell(tally.Cell{}, data) != nil {
			return
		}
		_, _ = s.Tally()
	})
}

// A place to write a name is no party's, even if a definition says so.
func TestStraightPartyGivesNoWriteIns(t *testing.T) {
	d := controlled()
	d.Contests[0].Inclusive = true
	d.Contests[2].Options[4] = model.Option{ID: "w", WriteIn: true, Parties: []int{1}}
	got := one(t, d, votes(map[int][]int{0: {1}}))["council"]
	if diff := cmp.Diff(tally.Counts{Ballots: 1, Votes: []int64{0, 0, 1, 1, 0}, Undervotes: 1}, got); diff != "" {
		t.Error(diff)
	}
}

// One sheet of a ballot cannot be counted where another one decides.
func TestASheetWithoutWhatControlsItIsRefused(t *testing.T) {
	b := votes(map[int][]int{4: {0}})
	b.Sheet = "2"
	c := tally.NewCounter(controlled())
	if err := c.Add(b, tally.Batch{}); !errors.Is(err, model.ErrOtherSheet) {
		t.Errorf("%v", err)
	}
	b = votes(map[int][]int{3: {0}, 4: {0}})
	b.Sheet = "1"
	if got := one(t, controlled(), b)["oak nomination"]; got.Votes[0] != 1 {
		t.Errorf("%+v", got)
	}
}

// What one ballot switches off is on again for the next, also after an error.
func TestARuleForgetsTheLastBallot(t *testing.T) {
	r := model.NewRule(controlled())
	failed := errors.New("failed")
	if err := r.Count(votes(map[int][]int{3: {0}}), func(int, []int64, model.Outcome) error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	counted := map[int]bool{}
	if err := r.Count(votes(map[int][]int{3: {1}, 5: {0}}), func(n int, _ []int64, _ model.Outcome) error { counted[n] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if !counted[5] || counted[4] || !counted[0] {
		t.Errorf("%v", counted)
	}
}
