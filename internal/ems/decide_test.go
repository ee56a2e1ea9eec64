package ems_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems"
	"sallyport/internal/ems/results"
	"sallyport/internal/testelection"
)

var by = ems.By{Who: "canvass board", Why: "canvass of November 9"}

// loaded is a core with the whole small election.
func loaded(t *testing.T) *ems.Core {
	t.Helper()
	c, _ := core(t)
	must(t, c, definition(t))
	must(t, c, records(t, read(t, "cvr-precinct-1.json"), read(t, "cvr-precinct-2.json"), read(t, "cvr-precinct-3.json")))
	return c
}

func open(t *testing.T, c *ems.Core, only bool) []ems.WriteIn {
	t.Helper()
	list, err := c.WriteIns(context.Background(), testelection.ID, only)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func contestOf(t *testing.T, c *ems.Core, id string) *results.Contest {
	t.Helper()
	r, err := c.Results(context.Background(), testelection.ID)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.Contests, func(x results.Contest) bool { return x.ID == id })
	if i < 0 {
		t.Fatal(r.Contests)
	}
	return &r.Contests[i]
}

// A decision changes what counts and nothing that was read.
func TestWrittenNamesAreDecidedInNewSnapshots(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	before := contestOf(t, c, "contest-clerk").Total()
	waiting := open(t, c, true)
	all := open(t, c, false)
	clerk := slices.DeleteFunc(slices.Clone(waiting), func(w ems.WriteIn) bool { return w.Contest != "contest-clerk" })
	mayor := slices.DeleteFunc(slices.Clone(waiting), func(w ems.WriteIn) bool { return w.Contest != "contest-mayor" })
	if len(clerk) < 2 || len(mayor) < 1 || len(all) < len(waiting) {
		t.Fatalf("%d names of the clerk wait, %d of the mayor, %d in all, %d written", len(clerk), len(mayor), len(waiting), len(all))
	}
	city := contestOf(t, c, "contest-mayor").Total()
	as := func(w ems.WriteIn) ems.Decision {
		return ems.Decision{Ballot: w.Ballot, Contest: w.Contest, Position: w.Position}
	}
	known, name, none := as(clerk[0]), as(clerk[1]), as(mayor[0])
	known.Candidate, name.Name, none.Reject = "option-clerk-1", "Write-in Candidate 1", true
	if err := c.Adjudicate(ctx, testelection.ID, []ems.Decision{known, name, none}, by); err != nil {
		t.Fatal(err)
	}
	after := contestOf(t, c, "contest-clerk")
	want := before
	want.Votes = slices.Clone(before.Votes)
	want.Votes[0]++
	want.Votes[2] -= 2
	want.WriteIns -= 2
	want.Unresolved -= 2
	want.WriteIns++
	want.Votes[2]++
	if diff := cmp.Diff(want, after.Total()); diff != "" {
		t.Error(diff)
	}
	rejected := city
	rejected.Votes = slices.Clone(city.Votes)
	rejected.Votes[2]--
	rejected.WriteIns--
	rejected.Unresolved--
	rejected.Undervotes++
	if diff := cmp.Diff(rejected, contestOf(t, c, "contest-mayor").Total()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]results.NameVotes{{Name: "Write-in Candidate 1", Votes: 1}}, after.WriteIns); diff != "" {
		t.Error(diff)
	}
	if n := len(open(t, c, true)); n != len(waiting)-3 {
		t.Errorf("%d names wait", n)
	}
	if n := len(open(t, c, false)); n != len(all) {
		t.Errorf("%d names are written, %d were", n, len(all))
	}
	// What was imported is what is known: the original was not touched.
	r := must(t, c, records(t, read(t, "cvr-precinct-3.json"), read(t, "cvr-precinct-2.json"), read(t, "cvr-precinct-1.json")))
	if r.Known != r.Ballots {
		t.Errorf("%+v", r)
	}
	// A decision can be changed by a later one.
	none.Reject, none.Candidate = false, "option-mayor-2"
	if err := c.Adjudicate(ctx, testelection.ID, []ems.Decision{none}, by); err != nil {
		t.Error(err)
	}
	rejected.Votes[1]++
	rejected.Undervotes--
	if diff := cmp.Diff(rejected, contestOf(t, c, "contest-mayor").Total()); diff != "" {
		t.Error(diff)
	}
}

func TestDecisionsThatDoNotFitChangeNothing(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	w := open(t, c, true)[0]
	good := ems.Decision{Ballot: w.Ballot, Contest: w.Contest, Position: w.Position, Reject: true}
	before := count(t, c)
	for name, c2 := range map[string]struct {
		change func(*ems.Decision)
		by     ems.By
		want   error
	}{
		"nobody":               {func(*ems.Decision) {}, ems.By{Why: "x"}, ems.ErrBy},
		"no reason":            {func(*ems.Decision) {}, ems.By{Who: "x"}, ems.ErrBy},
		"unknown ballot":       {func(d *ems.Decision) { d.Ballot = "x" }, by, ems.ErrDecision},
		"unknown contest":      {func(d *ems.Decision) { d.Contest = "x" }, by, ems.ErrDecision},
		"unknown position":     {func(d *ems.Decision) { d.Position = 99 }, by, ems.ErrDecision},
		"not a position":       {func(d *ems.Decision) { d.Position = -1 }, by, ems.ErrDecision},
		"two answers":          {func(d *ems.Decision) { d.Name = "x" }, by, ems.ErrDecision},
		"no answer":            {func(d *ems.Decision) { d.Reject = false }, by, ems.ErrDecision},
		"candidate of another": {func(d *ems.Decision) { d.Reject, d.Candidate = false, "option-measure-a-yes" }, by, ems.ErrDecision},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			c2.change(&bad)
			if err := c.Adjudicate(ctx, testelection.ID, []ems.Decision{good, bad}, c2.by); !errors.Is(err, c2.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if diff := cmp.Diff(before, count(t, c)); diff != "" {
		t.Error(diff)
	}
	if err := c.Adjudicate(ctx, "nowhere", []ems.Decision{good}, by); !errors.Is(err, ems.ErrNoElection) {
		t.Errorf("%v", err)
	}
}

func TestNoTotalsBeforeThePollsAreClosed(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	for _, now := range []string{"2026-10-01T12:00:00Z", "2026-11-03T23:59:00Z", "2026-11-05T11:00:00Z"} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		c.SetClock(func() time.Time { return at })
		_, err = c.Tally(ctx, testelection.ID)
		_, err2 := c.Totals(ctx, testelection.ID)
		_, err3 := c.Results(ctx, testelection.ID)
		_, err4 := c.SetStatus(ctx, testelection.ID, results.UnofficialPartial, by, "")
		for _, err := range []error{err, err2, err3, err4} {
			if !errors.Is(err, ems.ErrPollsOpen) {
				t.Errorf("%s: %v", now, err)
			}
		}
	}
	if err := c.ClosePolls(ctx, testelection.ID, by); err != nil {
		t.Fatal(err)
	}
	count(t, c)
}

func TestTheLifeOfResults(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	step := func(to results.Status, approver string, want error) {
		t.Helper()
		if _, err := c.SetStatus(ctx, testelection.ID, to, by, approver); !errors.Is(err, want) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	step(results.Certified, "clerk", ems.ErrTransition)
	step(results.UnofficialPartial, "", nil)
	step(results.UnofficialComplete, "", nil)
	step(results.Certified, "", ems.ErrTwoPeople)
	step(results.Certified, by.Who, ems.ErrTwoPeople)
	step(results.Certified, "clerk", ems.ErrTransition) // names wait for a decision
	var all []ems.Decision
	for _, w := range open(t, c, true) {
		all = append(all, ems.Decision{Ballot: w.Ballot, Contest: w.Contest, Position: w.Position, Reject: true})
	}
	if err := c.Adjudicate(ctx, testelection.ID, all, by); err != nil {
		t.Fatal(err)
	}
	if n := contestOf(t, c, "contest-measure-a").Total().Unresolved; n > 0 {
		t.Fatalf("%d marks of the measure wait, which nobody can decide here", n)
	}
	step(results.Certified, "clerk", nil)
	r, err := c.Results(ctx, testelection.ID)
	if err != nil || r.Status != results.Certified || r.Sequence != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	// What changes after certification is not given out as certified.
	if err := c.Adjudicate(ctx, testelection.ID, []ems.Decision{{Ballot: all[0].Ballot, Contest: all[0].Contest, Position: all[0].Position, Name: "Write-in Candidate 1"}}, by); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Results(ctx, testelection.ID); !errors.Is(err, ems.ErrTransition) {
		t.Errorf("%v", err)
	}
	step(results.UnofficialComplete, "", ems.ErrTransition)
	step(results.Correction, "clerk", nil)
	if r, err = c.Results(ctx, testelection.ID); err != nil || r.Status != results.Correction || r.Sequence != 4 {
		t.Errorf("%+v %v", r, err)
	}
	list, err := c.Statuses(ctx, testelection.ID)
	if err != nil || len(list) != 4 || list[2].Approver != "clerk" || list[2].Who != by.Who {
		t.Errorf("%+v %v", list, err)
	}
}

func TestManualTalliesStandBeside(t *testing.T) {
	ctx := context.Background()
	c := loaded(t)
	before := contestOf(t, c, "contest-clerk").Total()
	m := ems.ManualTally{Name: "unreadable ballots", Contests: []ems.ManualContest{{Contest: "contest-clerk", Lines: []ems.ManualLine{
		{Precinct: "precinct-1", Ballots: 3, Votes: map[string]int64{"option-clerk-1": 2}, Undervotes: 1}}}}}
	if err := c.AddManual(ctx, testelection.ID, m, by); err != nil {
		t.Fatal(err)
	}
	x := contestOf(t, c, "contest-clerk")
	if got := x.Total(); got.Ballots != before.Ballots+3 || got.Votes[0] != before.Votes[0]+2 || got.Undervotes != before.Undervotes+1 {
		t.Errorf("%+v", got)
	}
	if tl := count(t, c); tl.Contests[1].Total.Ballots != before.Ballots {
		t.Error("a manual tally is among the ballots")
	}
	m.Contests[0].Lines[0] = ems.ManualLine{Precinct: "precinct-1", Ballots: 1, Votes: map[string]int64{"option-clerk-2": 1}}
	if err := c.AddManual(ctx, testelection.ID, m, by); err != nil {
		t.Fatal(err)
	}
	x = contestOf(t, c, "contest-clerk")
	if got := x.Total(); got.Ballots != before.Ballots+1 || got.Votes[1] != before.Votes[1]+1 {
		t.Errorf("the newer one does not take the older one's place: %+v", got)
	}
	for name, l := range map[string]ems.ManualLine{
		"does not balance": {Precinct: "precinct-1", Ballots: 2, Votes: map[string]int64{"option-clerk-1": 1}},
		"unknown option":   {Precinct: "precinct-1", Ballots: 1, Votes: map[string]int64{"x": 1}},
		"unknown precinct": {Precinct: "x", Ballots: 1, Undervotes: 1},
		"negative":         {Precinct: "precinct-1", Ballots: 1, Votes: map[string]int64{"option-clerk-1": 2, "option-clerk-2": -1}},
	} {
		bad := ems.ManualTally{Name: "x", Contests: []ems.ManualContest{{Contest: "contest-clerk", Lines: []ems.ManualLine{l}}}}
		if err := c.AddManual(ctx, testelection.ID, bad, by); !errors.Is(err, ems.ErrManual) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A desk's results say that they are not from verified media.
func TestResultsSayWhereTheyComeFrom(t *testing.T) {
	r, err := loaded(t).Results(context.Background(), testelection.ID)
	if err != nil || r.Provenance != "" {
		t.Errorf("%q %v", r.Provenance, err)
	}
	path := t.TempDir() + "/desk.db"
	if err := ems.CreateDesk(path); err != nil {
		t.Fatal(err)
	}
	c, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must(t, c, definition(t))
	if r, err = c.Results(context.Background(), testelection.ID); err != nil || r.Provenance == "" {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
