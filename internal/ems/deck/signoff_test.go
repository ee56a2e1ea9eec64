package deck_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/ems/deck"
	"sallyport/internal/ems/election"
)

var (
	people     = [2]deck.Signer{{Name: "A. Clerk", Role: "election manager"}, {Name: "B. Witness", Role: "observer"}}
	at         = time.Date(2026, 10, 1, 9, 30, 0, 0, time.UTC)
	ballotHash = strings.Repeat("b0", 32)
)

func tested(t testing.TB, v *election.Valid, d *deck.Deck, change func(lines)) *deck.Findings {
	t.Helper()
	list := ballots(t, v, d)
	got := counted(t, v.Compiled(), list)
	if change != nil {
		change(got)
	}
	f, err := deck.Test(v, d, got, records(list))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSignOff(t *testing.T) {
	v := small(t)
	d := built(t, v, deck.Options{})
	f := tested(t, v, d, nil)
	s, err := f.SignOff(ballotHash, people, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Valid(definitionDigest); err != nil {
		t.Error(err)
	}
	if err := s.Valid(strings.Repeat("1", 64)); !errors.Is(err, deck.ErrVoid) {
		t.Errorf("another definition: %v", err)
	}
	data, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := deck.ReadSignOff(data)
	if err != nil || *again != *s {
		t.Errorf("%v %+v", err, again)
	}
	if sum, err := d.SHA256(); err != nil || s.DeckSHA256 != sum {
		t.Errorf("%v %s", err, s.DeckSHA256)
	}
	for name, by := range map[string][2]deck.Signer{
		"one person":       {people[0], people[0]},
		"the same, hidden": {people[0], {Name: " a.  CLERK", Role: "observer"}},
		"no name":          {people[0], {Role: "observer"}},
		"no role":          {people[0], {Name: "C"}},
	} {
		if _, err := f.SignOff(ballotHash, by, at); !errors.Is(err, deck.ErrPeople) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.SignOff("", people, at); !errors.Is(err, deck.ErrSignOff) {
		t.Errorf("no ballot hash: %v", err)
	}
}

func TestNoSignOffWithoutAPassedTest(t *testing.T) {
	v := small(t)
	d := built(t, v, deck.Options{})
	partial := *d
	partial.Sheets = d.Sheets[:len(d.Sheets)-5]
	list := ballots(t, v, d)
	got := counted(t, v.Compiled(), list)
	missing, err := deck.Test(v, d, got, records(list[1:]))
	if err != nil {
		t.Fatal(err)
	}
	washed := tested(t, v, d, func(l lines) { l[deck.Key{Contest: "contest-clerk"}].Ballots++ })
	washed.Report().Differences = nil
	for name, f := range map[string]*deck.Findings{
		"washed":         washed,
		"no test":        {},
		"a difference":   tested(t, v, d, func(l lines) { l[deck.Key{Contest: "contest-clerk"}].Undervotes++ }),
		"not covered":    tested(t, v, &partial, nil),
		"record missing": missing,
	} {
		if _, err := f.SignOff(ballotHash, people, at); !errors.Is(err, deck.ErrNotPassed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := deck.Test(v, &deck.Deck{}, got, nil); !errors.Is(err, deck.ErrDeck) {
		t.Errorf("a deck without a definition: %v", err)
	}
}

// Whatever a deck loses, the coverage names: blank ballots, the marks of any
// contest, everything. The rules that it names are those of FORMAT.md.
func TestCoverageMissesNothing(t *testing.T) {
	rules := map[string]bool{}
	for seed := range uint64(40) {
		v := random(t, seed)
		d, err := deck.Build(v, deck.Options{DefinitionSHA256: definitionDigest, Size: deck.Complete, MaxSheets: 50_000})
		if err != nil {
			t.Fatal(err)
		}
		lost := func(change func(s *deck.Sheet) bool) *deck.Coverage {
			t.Helper()
			part := *d
			part.Sheets = nil
			for _, s := range d.Sheets {
				s.Marks = maps.Clone(s.Marks)
				if change(&s) {
					part.Sheets = append(part.Sheets, s)
				}
			}
			c, err := deck.Cover(v, &part)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		whole := lost(func(*deck.Sheet) bool { return true })
		if !whole.Complete() {
			t.Fatalf("seed %d: %+v", seed, whole)
		}
		if c := lost(func(s *deck.Sheet) bool { return len(s.Marks) > 0 }); c.Complete() || c.Uncovered[0].Rule != "blank-ballot" {
			t.Errorf("seed %d: no blank ballots: %+v", seed, c)
		}
		for _, x := range v.Election().Contests {
			id := x.Base().ID
			c := lost(func(s *deck.Sheet) bool { delete(s.Marks, id); return true })
			if !slices.ContainsFunc(c.Uncovered, func(i deck.Item) bool { return i.Contest == id && i.Rule == "option" }) {
				t.Errorf("seed %d: no marks in %s: %+v", seed, id, c)
			}
		}
		none := lost(func(*deck.Sheet) bool { return false })
		if none.Covered != 0 || none.Required != whole.Required {
			t.Errorf("seed %d: %+v", seed, none)
		}
		for _, i := range none.Uncovered {
			rules[i.Rule] = true
		}
	}
	format, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(format), "## 3. Coverage")
	table, _, _ = strings.Cut(table, "## 4.")
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*`) \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range strings.Split(row[1], ", ") {
			documented[strings.Trim(name, "`")] = true
		}
	}
	if !maps.Equal(rules, documented) {
		t.Errorf("rules %v\ndocumented %v", slices.Sorted(maps.Keys(rules)), slices.Sorted(maps.Keys(documented)))
	}
}

// One contest marked alike on all sheets is noticed, whatever the others do.
func TestCoverageOfEachRule(t *testing.T) {
	v := small(t)
	d := built(t, v, deck.Options{})
	for rule, drop := range map[string]func(*deck.Sheet) bool{
		"overvote":           func(s *deck.Sheet) bool { return len(s.Marks["contest-clerk"]) > 1 },
		"blank":              func(s *deck.Sheet) bool { return len(s.Marks["contest-clerk"]) == 0 },
		"fewer-than-allowed": func(s *deck.Sheet) bool { return len(s.Marks["contest-commissioner"]) == 1 },
		"as-many-as-allowed": func(s *deck.Sheet) bool { return len(s.Marks["contest-commissioner"]) == 2 },
		"write-in-named": func(s *deck.Sheet) bool {
			return slices.ContainsFunc(s.Marks["contest-clerk"], func(m deck.Mark) bool { return m.WriteIn != "" })
		},
		"option": func(s *deck.Sheet) bool {
			return slices.ContainsFunc(s.Marks["contest-measure-a"], func(m deck.Mark) bool { return m.Position == 1 })
		},
		"ballot": func(s *deck.Sheet) bool { return s.Precinct == "precinct-2" },
	} {
		part := *d
		part.Sheets = slices.DeleteFunc(slices.Clone(d.Sheets), func(s deck.Sheet) bool { return drop(&s) })
		c, err := deck.Cover(v, &part)
		if err != nil || !slices.ContainsFunc(c.Uncovered, func(i deck.Item) bool { return i.Rule == rule }) {
			t.Errorf("%s: %v %+v", rule, err, c)
		}
		var b bytes.Buffer
		if err := c.WriteText(&b); err != nil || !strings.Contains(b.String(), "not exercised: ") {
			t.Errorf("%v %s", err, b.String())
		}
	}
}

func FuzzReadSignOff(f *testing.F) {
	v := small(f)
	s, err := tested(f, v, built(f, v, deck.Options{}), nil).SignOff(ballotHash, people, at)
	if err != nil {
		f.Fatal(err)
	}
	data, err := s.JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"type":"sallyport-la-signoff-v1"}`))
	f.Add(bytes.Replace(data, []byte("Z"), []byte("+00:00"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := deck.ReadSignOff(data)
		if err != nil {
			if !errors.Is(err, deck.ErrSignOff) && !errors.Is(err, deck.ErrPeople) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := s.JSON()
		if err != nil || !bytes.Equal(again, data) || s.Valid(s.DefinitionSHA256) != nil {
			t.Errorf("%q became %q: %v", data, again, err)
		}
	})
}

// Decks of small elections keep their budget and cover everything, and both
// ways of counting agree; what cannot be is refused by name.
func FuzzBuild(f *testing.F) {
	f.Add(uint64(1), uint16(0), uint16(0), false)
	f.Add(uint64(2), uint16(300), uint16(40), true)
	f.Add(uint64(3), uint16(20), uint16(0), true)
	f.Fuzz(func(t *testing.T, seed uint64, sheets, per uint16, complete bool) {
		v := random(t, seed)
		o := deck.Options{DefinitionSHA256: definitionDigest, MaxSheets: int(sheets) % 5000, PerUnit: int(per) % 100}
		if complete {
			o.Size = deck.Complete
		}
		d, err := deck.Build(v, o)
		if err != nil {
			if !errors.Is(err, deck.ErrBudget) && !errors.Is(err, deck.ErrOptions) {
				t.Fatal(err)
			}
			return
		}
		if o.MaxSheets > 0 && len(d.Sheets) > o.MaxSheets {
			t.Errorf("%d sheets", len(d.Sheets))
		}
		if f := tested(t, v, d, nil); f.Passed() != nil {
			t.Errorf("seed %d: %v\n%+v\n%s", seed, f.Passed(), f.Coverage(), text(t, f.Report()))
		}
	})
}
