package deck_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/election"
)

func document(t testing.TB, d *deck.Deck) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := d.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDeckDocument(t *testing.T) {
	d := built(t, small(t), deck.Options{Seed: "one"})
	data := document(t, d)
	got, err := deck.ReadDeck(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	join := func(l ...[]byte) []byte { return bytes.Join(l, nil) }
	for name, c := range map[string]struct {
		data []byte
		text string
	}{
		"empty":          {nil, "line 1 is missing"},
		"cut":            {data[:len(data)-1], "the last line does not end"},
		"a line less":    {join(lines[:5]...), "line 6 is missing"},
		"a line more":    {join(data, lines[1]), "there is more after the 37 sheets"},
		"other order":    {join(lines[0], lines[2]), "line 2: sheet 2 stands at place 1"},
		"carriage":       {bytes.Replace(data, []byte("\n"), []byte("\r\n"), 1), "line 1: invalid JSON"},
		"unknown member": {bytes.Replace(data, []byte(`{"type"`), []byte(`{"x":1,"type"`), 1), "line 1: invalid JSON"},
		"no test":        {bytes.Replace(data, []byte(`"test":true`), []byte(`"test":false`), 1), "test must be true"},
		"size":           {bytes.Replace(data, []byte(`"minimal"`), []byte(`"tiny"`), 1), "line 1: definition_sha256"},
	} {
		if _, err := deck.ReadDeck(bytes.NewReader(c.data)); !errors.Is(err, deck.ErrDeck) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := bytes.Replace(data, []byte(`"sheets":37`), []byte(`"sheets":250001`), 1)
	if _, err := deck.ReadDeck(bytes.NewReader(many)); !errors.Is(err, deck.ErrBudget) {
		t.Errorf("%v", err)
	}
}

func FuzzReadDeck(f *testing.F) {
	f.Add(document(f, built(f, small(f), deck.Options{})))
	f.Add(document(f, &deck.Deck{DefinitionSHA256: definitionDigest, Size: deck.Complete}))
	f.Add([]byte("{}\n{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := deck.ReadDeck(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, deck.ErrDeck) && !errors.Is(err, deck.ErrBudget) {
				t.Errorf("%v", err)
			}
			return
		}
		if again := document(t, d); !bytes.Equal(again, data) {
			t.Errorf("%q became %q", data, again)
		}
	})
}

// large is the small election with one contest of many candidates.
func large(t *testing.T, candidates int, allowed int64) *election.Valid {
	t.Helper()
	def, err := small(t).Definition().Clone()
	if err != nil {
		t.Fatal(err)
	}
	g := &generator{d: def}
	c := def.Elections[0].Contests[1].(*election.CandidateContest)
	c.Options, c.VotesAllowed, c.VoteVariation = g.candidates(candidates, false), allowed, election.NOfM
	for i := range def.Elections[0].Styles {
		def.Elections[0].Styles[i].Contests(func(o *election.OrderedContest, _ string) {
			if o.Contest == c.ID {
				o.Options = nil
				for k := range c.Options { // another order on each style
					o.Options = append(o.Options, c.Options[(k+5*i)%len(c.Options)].Base().ID)
				}
			}
		})
	}
	return checked(t, def)
}

// In contests with many options, those that stand near each other differ, and
// the deck does not grow with the square of their number.
func TestManyOptions(t *testing.T) {
	v := large(t, 100, 3)
	start := time.Now()
	d := built(t, v, deck.Options{})
	e := expected(t, v, d)
	c, _ := e.Line(deck.Key{Contest: "contest-clerk", Precinct: "precinct-1"})
	var counts []int64
	for _, o := range v.Contest("contest-clerk").Base().Options {
		counts = append(counts, c.Votes[o.Base().ID])
	}
	for i := range counts {
		if near := counts[i-i%deck.Run : i]; slices.Contains(near, counts[i]) {
			t.Errorf("option %d has as many votes as one near it: %v", i, counts)
		}
	}
	if c, err := deck.Cover(v, d); err != nil || !c.Complete() {
		t.Errorf("%v %+v", err, c)
	}
	if r := deck.Compare(e, counted(t, v.Compiled(), ballots(t, v, d))); !r.Same() {
		t.Error(text(t, r))
	}
	t.Logf("%d sheets in %v", len(d.Sheets), time.Since(start))
	if len(d.Sheets) > 1500 {
		t.Errorf("%d sheets", len(d.Sheets))
	}
	// More than can be marked is refused before it is made.
	if _, err := deck.Build(large(t, 20_000, 1), deck.Options{DefinitionSHA256: definitionDigest, MaxSheets: deck.MostSheets}); !errors.Is(err, deck.ErrBudget) {
		t.Errorf("%v", err)
	}
}
