package results

import (
	"errors"
	"math/big"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/model"
)

// county is two precincts, one of them split, in a county of a state.
func countyOf() *Results {
	n := func(v int64) *int64 { return &v }
	return &Results{
		ElectionID: "e1", Name: "General", Type: "general", Date: "2026-11-03", EndDate: "2026-11-03", Issuer: "Maple County", Status: UnofficialComplete, ScopeID: "county",
		Units: []Unit{
			{ID: "county", Name: "Maple County", Type: "county"},
			{ID: "p1", Name: "Precinct 1", Type: "precinct", Within: []string{"county"}, Registered: n(40), Ballots: []Ballots{{Type: "election-day", Count: 9}, {Type: "absentee", Count: 3}}},
			{ID: "p2", Name: "Precinct 2", Type: "precinct", Within: []string{"county"}, Registered: n(33)},
			{ID: "p2a", Name: "Precinct 2A", Type: "split-precinct", Within: []string{"p2"}, Ballots: []Ballots{{Type: "election-day", Count: 5}}},
			{ID: "p2b", Name: "Precinct 2B", Type: "split-precinct", Within: []string{"p2"}, Ballots: []Ballots{{Type: "election-day", Count: 4}}},
		},
		Parties: []Party{{ID: "r", Name: "Red"}},
		Contests: []Contest{{
			ID: "mayor", Title: "Mayor", VotesAllowed: 1, Elected: 1, DistrictID: "county",
			Options: []Option{{ID: "a", Name: "Ann", Parties: []string{"r"}}, {ID: "b", Name: "Bob"}, {ID: "w", Name: "Write-in", WriteIn: true}},
			Lines: []Line{
				{UnitID: "p1", Type: "election-day", Ballots: 9, Votes: []int64{5, 2, 1}, Overvotes: 1, WriteIns: 1},
				{UnitID: "p1", Type: "absentee", Ballots: 3, Votes: []int64{1, 1, 0}, Undervotes: 1},
				{UnitID: "p2a", Type: "election-day", Ballots: 5, Votes: []int64{2, 3, 0}},
				{UnitID: "p2b", Type: "election-day", Ballots: 4, Votes: []int64{1, 3, 0}},
			},
		}},
	}
}

func TestGoodResults(t *testing.T) {
	r := countyOf()
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	total := r.Contests[0].Total()
	if diff := cmp.Diff(Line{Type: Total, Ballots: 21, Votes: []int64{9, 9, 1}, Overvotes: 1, Undervotes: 1, WriteIns: 1}, total); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Group{{"p1", "Precinct 1", []string{"p1"}}, {"p2", "Precinct 2", []string{"p2a", "p2b"}}}, r.Precincts()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Group{{"county", "Maple County", []string{"p1", "p2a", "p2b"}}}, r.Counties()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"election-day", "absentee"}, r.Methods()); diff != "" {
		t.Error(diff)
	}
	if by := r.Contests[0].ByMethod(); by["absentee"].Ballots != 3 || !slices.Equal(by["election-day"].Votes, []int64{8, 8, 1}) {
		t.Errorf("%+v", by)
	}
	in := r.Contests[0].In(r.Precincts())
	if in[1].Ballots != 9 || !slices.Equal(in[1].Votes, []int64{3, 6, 0}) {
		t.Errorf("%+v", in[1])
	}
	if w := r.Whole(); w.Ballots != 21 || w.Registered != 73 || w.Ratio().Cmp(big.NewRat(21, 73)) != 0 {
		t.Errorf("%+v", w)
	}
	if n, all := r.Reporting(); n != 2 || all != 2 {
		t.Error(n, all)
	}
	r.Status, r.Units[1].Ballots = UnofficialPartial, []Ballots{{Type: Total}}
	if n, all := r.Reporting(); n != 1 || all != 2 {
		t.Error(n, all)
	}
}

func TestContradictions(t *testing.T) {
	for want, change := range map[string]func(r *Results){
		"a total beside its parts":     func(r *Results) { r.Contests[0].Lines[1].Type = Total },
		"two lines of unit":            func(r *Results) { r.Contests[0].Lines[1].Type = "election-day" },
		"do not make":                  func(r *Results) { r.Contests[0].Lines[0].Overvotes = 2 },
		`the unit "p9" is unknown`:     func(r *Results) { r.Contests[0].Lines[0].UnitID = "p9" },
		"has 3 options, unit":          func(r *Results) { r.Contests[0].Lines[0].Votes = []int64{1} },
		"a negative count":             func(r *Results) { r.Contests[0].Lines[0].Votes = []int64{10, -1, -1} },
		"which has lines too":          func(r *Results) { r.Contests[0].Lines[0].UnitID = "county" },
		"within itself":                func(r *Results) { r.Units[0].Within = []string{"p2a"} },
		"21 ballots in all":            func(r *Results) { r.BallotSums = []Ballots{{Type: Total, Count: 21}, {Type: "early", Count: 1}} },
		"the status":                   func(r *Results) { r.Status = "final" },
		`the party "g" is unknown`:     func(r *Results) { r.Contests[0].Options[0].Parties = []string{"g"} },
		"more votes than the write-in": func(r *Results) { r.Contests[0].WriteIns = []NameVotes{{"Zoe", 2}} },
		"is not that of its lines": func(r *Results) {
			r.Contests[0].Sums = []Line{{Type: Total, Votes: []int64{9, 9, 2}, Ballots: 21, Overvotes: 1, Undervotes: 1, WriteIns: 1}}
		},
		`the contest "mayor" is there`:   func(r *Results) { r.Contests = append(r.Contests, r.Contests[0]) },
		`the option "a" is there twice`:  func(r *Results) { r.Contests[0].Options[1].ID = "a" },
		`its district "x" is unknown`:    func(r *Results) { r.Contests[0].DistrictID = "x" },
		"a line without way of voting":   func(r *Results) { r.Contests[0].Lines[0].Type = "" },
		"has an impossible number of vo": func(r *Results) { *r.Units[1].Registered = -1 },
	} {
		r := countyOf()
		change(r)
		if err := r.Check(); !errors.Is(err, ErrContradiction) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, x := range []struct {
		part, all int64
		places    int
		want      string
	}{{1, 3, 2, "33.33"}, {2, 3, 2, "66.67"}, {1, 8, 1, "12.5"}, {1, 800, 1, "0.1"}, {1, 2000, 1, "0.0"}, {3, 2000, 1, "0.2"}, {1, 1, 2, "100.00"}, {0, 5, 2, "0.00"}, {1, 0, 2, ""}, {5, 1000, 0, "0"}, {15, 1000, 0, "2"}, {1 << 40, 1 << 41, 2, "50.00"}} {
		if got := Percent(x.part, x.all, x.places); got != x.want {
			t.Errorf("%d of %d: %q, want %q", x.part, x.all, got, x.want)
		}
	}
}

// contest is one with votes for candidates c0, c1, … in one unit.
func contest(elected int, votes ...int64) Contest {
	c := Contest{ID: "c", Title: "C", VotesAllowed: 1, Elected: elected}
	l := Line{UnitID: "u", Type: Total, Votes: votes}
	for i, v := range votes {
		c.Options = append(c.Options, Option{ID: string(rune('a' + i)), Name: string(rune('A' + i))})
		l.Ballots += v
	}
	c.Lines = []Line{l}
	return c
}

func outcome(t *testing.T, s Status, c Contest) Outcome {
	t.Helper()
	r := &Results{Status: s, Units: []Unit{{ID: "u"}}, Contests: []Contest{c}}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	return r.Outcome(&r.Contests[0])
}

func winners(list []Winner) string {
	var out []string
	for _, w := range list {
		out = append(out, w.Name)
	}
	return strings.Join(out, " ")
}

func TestOutcomes(t *testing.T) {
	with := func(c Contest, change func(*Contest)) Contest { change(&c); return c }
	threshold := func(c Contest, num, den int64, more bool) Contest {
		c.Threshold = model.Threshold{Num: num, Den: den, More: more}
		return c
	}
	kind := func(c Contest, k model.Kind) Contest { c.Kind = k; return c }
	writeIn := func(c Contest, names ...NameVotes) Contest {
		c.Options[len(c.Options)-1].WriteIn = true
		c.WriteIns = names
		return c
	}
	for name, x := range map[string]struct {
		c             Contest
		state         State
		winners, tied string
		seats         int
	}{
		"most votes":              {contest(1, 3, 5, 1), Elected, "B", "", 0},
		"two seats":               {contest(2, 3, 5, 1), Elected, "B A", "", 0},
		"tie for the seat":        {contest(1, 5, 5, 1), Tied, "", "A B", 1},
		"tie for the second seat": {contest(2, 3, 5, 3, 1), Tied, "B", "A C", 1},
		"three tie for two":       {contest(2, 4, 4, 4), Tied, "", "A B C", 2},
		"tie that fits":           {contest(2, 4, 4, 1), Elected, "A B", "", 0},
		"no votes":                {contest(1, 0, 0), NotElected, "", "", 0},
		"fewer than seats":        {contest(3, 4, 0, 1), PartElected, "A C", "", 0},
		"majority":                {with(contest(1, 5, 4, 1), func(c *Contest) { c.Variation = "majority" }), NotElected, "", "", 0},
		"majority reached":        {with(contest(1, 6, 4, 1), func(c *Contest) { c.Variation = "majority" }), Elected, "A", "", 0},
		"at least half":           {threshold(contest(1, 5, 4, 1), 1, 2, false), Elected, "A", "", 0},
		"two thirds missed by 1":  {threshold(kind(contest(1, 199, 101), model.Measure), 2, 3, false), Failed, "", "", 0},
		"two thirds exactly":      {threshold(kind(contest(1, 200, 100), model.Measure), 2, 3, false), Passed, "A", "", 0},
		"more than two thirds":    {threshold(kind(contest(1, 200, 100), model.Measure), 2, 3, true), Failed, "", "", 0},
		"measure":                 {kind(contest(1, 8, 7), model.Measure), Passed, "A", "", 0},
		"measure fails":           {kind(contest(1, 7, 8), model.Measure), Failed, "", "", 0},
		"measure ties":            {kind(contest(1, 8, 8), model.Measure), Tied, "", "A B", 1},
		"retained":                {kind(contest(1, 8, 7), model.Retention), Retained, "A", "", 0},
		"not retained":            {kind(contest(1, 6, 7), model.Retention), NotRetained, "", "", 0},
		"super-majority unsaid":   {with(contest(1, 8, 7), func(c *Contest) { c.Variation = "super-majority" }), Unknown, "", "", 0},
		"share of how many":       {with(threshold(contest(2, 8, 7), 1, 4, false), func(c *Contest) { c.VotesAllowed, c.Lines[0].Partial, c.Lines[0].Ballots = 2, true, 0 }), Unknown, "", "", 0},
		"borda":                   {with(contest(1, 8, 7), func(c *Contest) { c.Variation = "borda" }), Unknown, "", "", 0},
		"straight party":          {kind(contest(1, 8, 7), model.StraightParty), NoDecision, "", "", 0},
		"write-in wins":           {writeIn(contest(1, 5, 3, 9), NameVotes{"Zoe", 7}, NameVotes{"Max", 1}), Unknown, "Zoe", "", 0},
		"write-in wins for sure":  {writeIn(contest(1, 5, 3, 9), NameVotes{"Zoe", 8}, NameVotes{"Max", 1}), Elected, "Zoe", "", 0},
		"write-in ties":           {writeIn(contest(1, 5, 3, 5), NameVotes{"Zoe", 5}), Tied, "", "A Zoe", 1},
		"undecided names matter":  {writeIn(contest(1, 5, 3, 5)), Unknown, "A", "", 0},
		"undecided names do not":  {writeIn(contest(1, 5, 3, 4)), Elected, "A", "", 0},
		"rounds missing":          {with(contest(1, 5, 4), func(c *Contest) { c.Ranked = true }), Unknown, "", "", 0},
		"rounds": {with(contest(1, 5, 4, 4), func(c *Contest) {
			c.Ranked = true
			c.Rounds = []Round{{Number: 1, Votes: []string{"5", "4", "4"}, Eliminated: []string{"c"}}, {Number: 2, Votes: []string{"5", "8", ""}, Elected: []string{"b"}}}
		}), Elected, "B", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := outcome(t, Certified, x.c)
			if o.State != x.state || winners(o.Winners) != x.winners || winners(o.Tied) != x.tied || o.Seats != x.seats {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestTooEarly(t *testing.T) {
	for s, early := range map[Status]bool{PreElection: true, UnofficialPartial: true, UnofficialComplete: false, Certified: false} {
		if o := outcome(t, s, contest(1, 5, 3)); o.TooEarly != early {
			t.Errorf("%s: %+v", s, o)
		}
	}
	c := contest(1, 5, 3)
	c.Lines[0].Unresolved = 1
	if o := outcome(t, UnofficialComplete, c); !o.TooEarly || winners(o.Winners) != "A" {
		t.Errorf("%+v", o)
	}
}

// random is results of a few units and ways of voting with many small cells.
func random(rnd *rand.Rand) *Results {
	r := &Results{Status: Certified}
	kinds := []string{"election-day", "early", "absentee", "provisional"}[:1+rnd.Intn(4)]
	c := Contest{ID: "c", VotesAllowed: 1 + int64(rnd.Intn(2)), Options: []Option{{ID: "a"}, {ID: "b"}}}
	for u := range 1 + rnd.Intn(6) {
		unit := Unit{ID: string(rune('a' + u))}
		for _, k := range kinds {
			if rnd.Intn(6) == 0 {
				continue
			}
			l := Line{UnitID: unit.ID, Type: k, Votes: make([]int64, 2)}
			l.Ballots = []int64{0, 1, 2, 3, int64(rnd.Intn(12)), int64(rnd.Intn(60))}[rnd.Intn(6)]
			for range l.Ballots * c.VotesAllowed {
				switch n := rnd.Intn(4); n {
				case 0, 1:
					l.Votes[n]++
				case 2:
					l.Overvotes++
				default:
					l.Undervotes++
				}
			}
			if c.Lines = append(c.Lines, l); rnd.Intn(5) == 0 {
				l.Type, l.Votes = []string{k, Total}[rnd.Intn(2)], slices.Clone(l.Votes)
				c.Manual = append(c.Manual, l)
			}
			unit.Ballots = append(unit.Ballots, Ballots{Type: k, Count: l.Ballots})
		}
		r.Units = append(r.Units, unit)
	}
	r.Contests = []Contest{c}
	return r
}

// equations are what a reader of the published results can write down about
// the withheld lines: one for each published sum.
func equations(c *Contest) (unknowns int, rows [][]*big.Rat) {
	lines := slices.Concat(c.Lines, c.Manual)
	at := map[int]int{}
	for i := range lines {
		if lines[i].Suppressed {
			at[i] = len(at)
		}
	}
	for _, s := range c.Sums {
		if s.Suppressed {
			continue
		}
		row := make([]*big.Rat, len(at))
		for i := range row {
			row[i] = new(big.Rat)
		}
		for i, l := range lines {
			if n, ok := at[i]; ok && (s.UnitID == "" || s.UnitID == l.UnitID) && (s.Type == Total || s.Type == l.Type) {
				row[n].SetInt64(1)
			}
		}
		rows = append(rows, row)
	}
	return len(at), rows
}

// determined is the unknowns that have one value in all solutions: after
// elimination, those whose row has no other unknown.
func determined(n int, rows [][]*big.Rat) (out []int) {
	rank := 0
	var pivots []int
	for col := 0; col < n; col++ {
		p := slices.IndexFunc(rows[rank:], func(r []*big.Rat) bool { return r[col].Sign() != 0 })
		if p < 0 {
			continue
		}
		rows[rank], rows[rank+p] = rows[rank+p], rows[rank]
		lead := new(big.Rat).Inv(rows[rank][col])
		for k := range rows[rank] {
			rows[rank][k].Mul(rows[rank][k], lead)
		}
		for i := range rows {
			if f := new(big.Rat).Set(rows[i][col]); i != rank && f.Sign() != 0 {
				for k := range rows[i] {
					rows[i][k].Sub(rows[i][k], new(big.Rat).Mul(f, rows[rank][k]))
				}
			}
		}
		pivots = append(pivots, col)
		if rank++; rank == len(rows) {
			break
		}
	}
	for i, col := range pivots {
		alone := true
		for k, v := range rows[i] {
			alone = alone && (k == col || v.Sign() == 0)
		}
		if alone {
			out = append(out, col)
		}
	}
	return out
}

func TestDetermined(t *testing.T) {
	row := func(v ...int64) (out []*big.Rat) {
		for _, x := range v {
			out = append(out, big.NewRat(x, 1))
		}
		return out
	}
	if got := determined(3, [][]*big.Rat{row(1, 1, 0), row(1, 1, 1)}); !slices.Equal(got, []int{2}) {
		t.Error(got)
	}
}

// Whoever solves the equations of everything that is published learns no
// withheld count; small cells are withheld; totals stay.
func TestWithheldCountsCannotBeComputed(t *testing.T) {
	rnd := rand.New(rand.NewSource(7))
	withheld, refused := 0, 0
	for range 4000 {
		r := random(rnd)
		const least = 5
		out, err := Suppress(r, least)
		if err != nil {
			cells := map[string]int64{}
			for _, l := range slices.Concat(r.Contests[0].Lines, r.Contests[0].Manual) {
				if l.Ballots > 0 {
					cells[l.UnitID+l.Type] = l.Ballots
				}
			}
			units := map[string]bool{} // cells of the table of ballots, which has no manual tallies
			for _, l := range r.Contests[0].Lines {
				if l.Ballots > 0 {
					units[l.UnitID+l.Type] = true
				}
			}
			if !errors.Is(err, ErrExposed) || len(cells) > 1 && len(units) > 1 {
				t.Fatalf("%v: %+v", err, r.Contests[0].Lines)
			}
			refused++
			continue
		}
		c := &out.Contests[0]
		if diff := cmp.Diff(r.Contests[0].Total(), c.Total()); diff != "" {
			t.Fatal(diff)
		}
		for i, l := range c.Lines {
			was := r.Contests[0].Lines[i]
			manual := slices.ContainsFunc(c.Manual, func(m Line) bool { return m.UnitID == l.UnitID && m.Type == l.Type })
			if was.Ballots > 0 && was.Ballots < least && !l.Suppressed && !manual {
				t.Fatalf("%d ballots are shown: %+v", was.Ballots, c.Lines)
			}
			if l.Suppressed && (l.Ballots != 0 || l.sum() != 0) || !l.Suppressed && !cmp.Equal(l, was) {
				t.Fatalf("%+v was %+v", l, was)
			}
		}
		for id, l := range c.ByUnit() {
			if was := r.Contests[0].ByUnit()[id]; !l.Suppressed && was.Ballots > 0 && was.Ballots < least && len(r.Units) > 1 && was.Ballots != c.Total().Ballots {
				t.Fatalf("the total of %q with %d ballots is shown", id, was.Ballots)
			}
		}
		n, rows := equations(c)
		if got := determined(n, rows); len(got) > 0 {
			t.Fatalf("withheld lines %v follow from the sums: %+v", got, c)
		}
		withheld += n
		var ballots int64
		for _, u := range r.Units {
			ballots += u.Total().Count
		}
		if out.Whole().Ballots != ballots {
			t.Fatalf("%d ballots, and %d are published", ballots, out.Whole().Ballots)
		}
	}
	if withheld < 4000 || refused > 400 {
		t.Errorf("%d lines withheld, %d refused", withheld, refused)
	}
}

func TestSuppressRefuses(t *testing.T) {
	r := countyOf()
	r.Contests[0].Lines[0].Partial = true
	if _, err := Suppress(r, 5); !errors.Is(err, ErrExposed) {
		t.Error(err)
	}
	if _, err := Suppress(countyOf(), 1); err == nil {
		t.Error("a limit of one ballot")
	}
	out, err := Suppress(countyOf(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Suppress(out, 4); !errors.Is(err, ErrExposed) {
		t.Error(err)
	}
}
