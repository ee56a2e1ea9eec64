package model_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport/internal/ems/model"
)

// definition has a contest for two with a write-in, a cumulative one for three,
// and a plain one for one.
func definition() *model.Definition {
	return &model.Definition{
		Contests: []model.Contest{
			{ID: "two", VotesAllowed: 2, Options: []model.Option{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "w", WriteIn: true}}},
			{ID: "three", VotesAllowed: 3, Cumulative: true, Options: []model.Option{{ID: "d"}, {ID: "e"}}},
			{ID: "one", VotesAllowed: 1, Options: []model.Option{{ID: "yes"}, {ID: "no"}}},
		},
		Styles:    []model.Style{{IDs: []string{"s"}, Contests: []int{0, 1, 2}, Precincts: []int{0}}},
		Precincts: []model.Precinct{{ID: "p"}},
	}
}

func mark(option, votes int) model.Position {
	return model.Position{Option: option, Indicated: model.Yes, Allocable: model.Yes, Votes: votes}
}

func TestVoteRule(t *testing.T) {
	undecided := model.Position{Option: 3, Indicated: model.Yes, Allocable: model.Unknown, Votes: 1, WriteIn: true}
	smudge := model.Position{Option: 0, Indicated: model.Unknown, Allocable: model.Yes, Votes: 1}
	unsure := model.Position{Option: 0, Indicated: model.Yes, Allocable: model.Unknown, Votes: 1}
	no := model.Position{Option: 0, Indicated: model.No, Allocable: model.Yes, Votes: 1}
	void := func(option int) model.Position {
		return model.Position{Option: option, Indicated: model.Yes, Allocable: model.No, Votes: 1}
	}
	for _, c := range []struct {
		name    string
		contest int
		over    bool
		marks   []model.Position
		votes   []int64
		want    model.Outcome
		err     error
	}{
		{name: "blank", votes: []int64{0, 0, 0, 0}, want: model.Outcome{Undervotes: 2}},
		{name: "full", marks: []model.Position{mark(0, 1), mark(2, 1)}, votes: []int64{1, 0, 1, 0}},
		{name: "undervote", marks: []model.Position{mark(1, 1)}, votes: []int64{0, 1, 0, 0}, want: model.Outcome{Undervotes: 1}},
		{name: "overvote", marks: []model.Position{mark(0, 1), mark(1, 1), mark(2, 1)}, votes: []int64{0, 0, 0, 0}, want: model.Outcome{Overvotes: 2}},
		{name: "overvote by the device's word", over: true, marks: []model.Position{void(0), void(1), void(2)}, votes: []int64{0, 0, 0, 0}, want: model.Outcome{Overvotes: 2}},
		{name: "overvoted, and votes count", over: true, marks: []model.Position{mark(0, 1)}, err: model.ErrNotOvervoted},
		{name: "void marks without that word", marks: []model.Position{void(0), void(1), mark(2, 1)}, votes: []int64{0, 0, 1, 0}, want: model.Outcome{Undervotes: 1}},
		{name: "write-in", marks: []model.Position{mark(3, 1), mark(0, 1)}, votes: []int64{1, 0, 0, 1}, want: model.Outcome{WriteIns: 1}},
		{name: "write-in to be decided", marks: []model.Position{undecided}, votes: []int64{0, 0, 0, 1}, want: model.Outcome{WriteIns: 1, Undervotes: 1, Unresolved: 1}},
		{name: "two names at one write-in option", marks: []model.Position{mark(3, 1), mark(3, 1)}, votes: []int64{0, 0, 0, 2}, want: model.Outcome{WriteIns: 2}},
		{name: "smudge", marks: []model.Position{smudge}, votes: []int64{0, 0, 0, 0}, want: model.Outcome{Undervotes: 2, Unresolved: 1}},
		{name: "mark of unknown worth", marks: []model.Position{unsure}, votes: []int64{0, 0, 0, 0}, want: model.Outcome{Undervotes: 2, Unresolved: 1}},
		{name: "position without a mark", marks: []model.Position{no}, votes: []int64{0, 0, 0, 0}, want: model.Outcome{Undervotes: 2}},
		{name: "one option twice", marks: []model.Position{mark(0, 1), mark(0, 1)}, err: model.ErrRepeatedVote},
		{name: "cumulative", contest: 1, marks: []model.Position{mark(0, 2), mark(1, 1)}, votes: []int64{2, 1}},
		{name: "cumulative overvote", contest: 1, marks: []model.Position{mark(0, 4)}, votes: []int64{0, 0}, want: model.Outcome{Overvotes: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			contest := &definition().Contests[c.contest]
			votes := make([]int64, len(contest.Options))
			out, err := contest.Count(&model.Marks{Contest: c.contest, Overvoted: c.over, Positions: c.marks}, votes)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(c.want, out); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.votes, votes); diff != "" {
				t.Error(diff)
			}
		})
	}
	out, err := definition().Contests[0].Count(nil, make([]int64, 4))
	if err != nil || out != (model.Outcome{Undervotes: 2}) {
		t.Errorf("a contest without marks: %+v %v", out, err)
	}
}

func ballot() *model.Ballot {
	b := &model.Ballot{Sheet: "2", Current: 1}
	b.AddSnapshot(model.Original)
	s := b.AddSnapshot(model.Modified)
	m := s.AddMarks(2)
	m.Positions = append(m.Positions, mark(1, 1))
	m = s.AddMarks(0)
	m.Overvoted = true
	m.Positions = append(m.Positions, model.Position{Option: 3, Indicated: model.Yes, Allocable: model.Unknown, Votes: 1, WriteIn: true, Text: "näme"},
		model.Position{Option: 0, Indicated: model.Unknown, Votes: 300})
	return b
}

func TestPackedBallotSaysWhatTheBallotSays(t *testing.T) {
	d, b := definition(), ballot()
	packed := b.Pack(nil)
	var got model.Ballot
	for range 3 { // memory is reused
		if err := d.Unpack(&got, packed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*b, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
	if got.Snapshots[1].Contests[0].Contest != 0 {
		t.Error("contests are not sorted")
	}
	for n := range packed {
		if err := d.Unpack(&got, packed[:n]); !errors.Is(err, model.ErrPacked) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if err := d.Unpack(&got, append(packed, 0)); !errors.Is(err, model.ErrPacked) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestOneSheetOfSeveralCoversOnlyWhatItLists(t *testing.T) {
	d, b := definition(), ballot()
	if got := d.Covers(b, nil); !cmp.Equal(got, []int{2, 0}) {
		t.Errorf("a sheet covers %v", got)
	}
	b.Sheet = ""
	if got := d.Covers(b, nil); !cmp.Equal(got, []int{0, 1, 2}) {
		t.Errorf("a ballot covers %v", got)
	}
}

// A stored ballot that is damaged is refused, or is exactly one packed form.
func FuzzUnpack(f *testing.F) {
	f.Add(ballot().Pack(nil))
	f.Add((&model.Ballot{Snapshots: []model.Snapshot{{}}}).Pack(nil))
	f.Add([]byte{1, 0, 0, 0, 0, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := definition()
		var b model.Ballot
		if err := d.Unpack(&b, data); err != nil {
			if !errors.Is(err, model.ErrPacked) {
				t.Errorf("%v", err)
			}
			return
		}
		// Ballots of the first form are packed in the second one from then on.
		packed := b.Pack(nil)
		if data[0] == 2 && !bytes.Equal(packed, data) {
			t.Errorf("%x became %x", data, packed)
		}
		if err := d.Unpack(&b, packed); err != nil || !bytes.Equal(b.Pack(nil), packed) {
			t.Errorf("%x: %v", packed, err)
		}
		for _, n := range d.Covers(&b, nil) {
			c := &d.Contests[n]
			for i := range b.Snapshots[b.Current].Contests {
				if m := &b.Snapshots[b.Current].Contests[i]; m.Contest == n {
					_, _ = c.Count(m, make([]int64, len(c.Options)))
				}
			}
		}
	})
}
