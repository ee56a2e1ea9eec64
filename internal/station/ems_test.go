package station_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/ems"
	"sallyport/internal/ems/results"
	"sallyport/internal/station"
	"sallyport/internal/testcore"
	"sallyport/internal/translog"
)

// newCounter is a station whose core holds the elections of package testcore.
func newCounter(t testing.TB) *node {
	t.Helper()
	n := newNode(t, "authority", "authority")
	n.init(nil)
	testcore.Fill(t, filepath.Join(n.cfg.StateDir, "ems.db"))
	return n
}

func deciding(election string) station.Decides {
	return station.Decides{ElectionID: election, Who: "county clerk", Why: "canvass of November 9"}
}

func theOne(election string) station.ElectionArgs { return station.ElectionArgs{ElectionID: election} }

func standing(t testing.TB, s *station.Station, election string) ems.Standing {
	t.Helper()
	return asked[ems.Standing](t, s, station.OpEMSStatus, theOne(election))
}

// rejectAll decides about every written name: the first is a candidate's, the
// second a write-in candidate, all others are no votes.
func rejectAll(t testing.TB, s *station.Station) (list []ems.Decision) {
	t.Helper()
	names := asked[station.WriteIns](t, s, station.OpWriteIns, station.WriteInsArgs{ElectionArgs: theOne(testcore.Closed), Open: true})
	if names.Count < 3 || len(names.WriteIns) != names.Count {
		t.Fatalf("%+v", names)
	}
	for _, w := range names.WriteIns {
		list = append(list, ems.Decision{Ballot: w.Ballot, Contest: w.Contest, Position: w.Position, Reject: true})
	}
	list[0].Reject, list[0].Name = false, "SECRETNAME"
	return list
}

// TestDecisionsAboutElectionsAreLogged takes results from the closing of the polls
// to a report, and reads the log: who did what, how far the core was before and
// after, and not one vote.
func TestDecisionsAboutElectionsAreLogged(t *testing.T) {
	n := newCounter(t)
	var keys translog.VerifyOptions
	n.with(func(s *station.Station) {
		keys.Keys = publicKeys(t, s, station.KeyForLog)
		a := deciding(testcore.Closed)
		do := func(op string, args any) { asked[any](t, s, op, args) }
		do(station.OpClosePolls, a)
		do(station.OpSetStatus, station.SetStatusArgs{Decides: a, Status: results.UnofficialComplete})
		list := rejectAll(t, s)
		do(station.OpAdjudicate, station.AdjudicateArgs{Decides: a, Decisions: list})
		do(station.OpManualTally, station.ManualArgs{Decides: a, Tally: ems.ManualTally{Name: "torn ballots", Contests: []ems.ManualContest{{Contest: "contest-clerk",
			Lines: []ems.ManualLine{{Precinct: "precinct-1", Ballots: 4711, Votes: map[string]int64{"option-clerk-1": 1234}, Undervotes: 3477}}}}}})
		do(station.OpSetRules, station.RulesArgs{Decides: deciding(testcore.Open), Contest: "contest-clerk", Config: []byte(testcore.Rules)})
		step := asked[ems.StatusChange](t, s, station.OpSetStatus, station.SetStatusArgs{Decides: a, Status: results.Certified, Approver: "chair of the board"})
		r := asked[results.Results](t, s, station.OpResults, station.ResultsArgs{ElectionArgs: theOne(testcore.Closed), Form: "html"})
		if err := r.Check(); err != nil || r.Status != results.Certified || r.Sequence != 2 || len(r.LogHead) != 64 || r.Contests[0].Threshold.Den != 0 {
			t.Errorf("%v: %+v", err, r)
		}
		log := entries(t, s, "ems")
		var told []string
		for _, e := range log {
			if e.Subject.Person != fmt.Sprintf("uid %d", os.Getuid()) && e.Phase == audit.PhaseIntent {
				t.Errorf("entry %d does not name the caller: %+v", e.Seq, e.Subject)
			}
			told = append(told, strings.TrimSpace(fmt.Sprintf("%s %s", e.Event, e.Outcome)))
			text := fmt.Sprint(e)
			for _, secret := range []string{"SECRETNAME", "option-", "1234", "3477", list[0].Ballot, list[1].Ballot} {
				if strings.Contains(text, secret) {
					t.Errorf("entry %d holds %q: %s", e.Seq, secret, text)
				}
			}
		}
		if got, want := strings.Join(told, "\n"), strings.Join([]string{
			"ems.polls", "ems.polls success", "ems.status", "ems.status success", "ems.adjudicate", "ems.adjudicate success",
			"ems.manual", "ems.manual success", "ems.rules", "ems.rules success", "ems.status", "ems.status success", "ems.results", "ems.results success"}, "\n"); got != want {
			t.Errorf("the log has\n%s\nwant\n%s", got, want)
		}
		fields := func(i int, want map[string]string) {
			t.Helper()
			for k, v := range want {
				if log[i].Fields[k] != v {
					t.Errorf("%s %s: %s is %q, want %q", log[i].Event, log[i].Phase, k, log[i].Fields[k], v)
				}
			}
		}
		fields(0, map[string]string{"election_id": testcore.Closed, "who": "county clerk", "facts": "0"})
		fields(1, map[string]string{"facts": "1"})
		fields(4, map[string]string{"decisions": fmt.Sprint(len(list)), "ballots": fmt.Sprint(len(ballotsOf(list))), "facts": "2"})
		fields(6, map[string]string{"name": "torn ballots", "contests": "1", "ballots": "4711"})
		fields(8, map[string]string{"contest": "contest-clerk", "election_id": testcore.Open})
		fields(10, map[string]string{"status": "certified", "approver": "chair of the board"})
		fields(11, map[string]string{"sequence": "2", "counted_digest": step.StateDigest, "state_digest": r.StateDigest})
		fields(12, map[string]string{"form": "html", "election_id": testcore.Closed})
		fields(13, map[string]string{"status": "certified", "sequence": "2", "state_digest": r.StateDigest})
	})
	n.checkLog(keys)
}

func ballotsOf(list []ems.Decision) map[string]bool {
	out := map[string]bool{}
	for _, x := range list {
		out[x.Ballot] = true
	}
	return out
}

// TestWhatTheCoreRefusesIsRefusedWithACode asks for what cannot be done: each
// answer has its code, the log has it too, and the core is as it was.
func TestWhatTheCoreRefusesIsRefusedWithACode(t *testing.T) {
	n := newCounter(t)
	n.with(func(s *station.Station) {
		a, later, nobody := deciding(testcore.Closed), deciding(testcore.Open), deciding(testcore.Closed)
		nobody.Who = ""
		unbalanced := ems.ManualTally{Name: "x", Contests: []ems.ManualContest{{Contest: "contest-clerk", Lines: []ems.ManualLine{{Precinct: "precinct-1", Ballots: 1, Votes: map[string]int64{}}}}}}
		before := standing(t, s, testcore.Closed)
		logged := 0
		for _, c := range []struct {
			name, op, code string
			args           any
			says           string
			silent         bool // it only reads
		}{
			{"no election", station.OpClosePolls, "not-found", deciding("nowhere"), "nowhere", false},
			{"nobody", station.OpClosePolls, "usage", nobody, "--who", false},
			{"which tally", station.OpTally, "usage", station.TallyArgs{}, "holds 2", true},
			{"which status", station.OpEMSStatus, "usage", station.ElectionArgs{}, "holds 2", true},
			{"no such status", station.OpEMSStatus, "not-found", theOne("nowhere"), "nowhere", true},
			{"polls open, tally", station.OpTally, "polls-open", station.TallyArgs{ElectionArgs: theOne(testcore.Open)}, "close-polls", true},
			{"polls open, subtotals", station.OpTally, "polls-open", station.TallyArgs{ElectionArgs: theOne(testcore.Open), Quick: true}, "close-polls", true},
			{"polls open, step", station.OpSetStatus, "polls-open", station.SetStatusArgs{Decides: later, Status: results.UnofficialPartial}, "close-polls", false},
			{"polls open, results", station.OpResults, "polls-open", station.ResultsArgs{ElectionArgs: theOne(testcore.Open)}, "close-polls", false},
			{"wrong step", station.OpSetStatus, "transition", station.SetStatusArgs{Decides: a, Status: results.Recount, Approver: "chair of the board"}, "unofficial-partial", false},
			{"no such step", station.OpSetStatus, "transition", station.SetStatusArgs{Decides: a, Status: "done"}, "unofficial-partial", false},
			{"alone", station.OpSetStatus, "two-people", station.SetStatusArgs{Decides: a, Status: results.Certified}, "--approver", false},
			{"twice the same", station.OpSetStatus, "two-people", station.SetStatusArgs{Decides: a, Status: results.Certified, Approver: a.Who}, "--approver", false},
			{"no ballot", station.OpAdjudicate, "usage", station.AdjudicateArgs{Decides: a, Decisions: []ems.Decision{{Ballot: "BALLOT4711", Contest: "contest-clerk", Reject: true}}}, "BALLOT4711", false},
			{"no decision", station.OpAdjudicate, "usage", station.AdjudicateArgs{Decides: a, Decisions: []ems.Decision{}}, "no decision", false},
			{"unbalanced", station.OpManualTally, "usage", station.ManualArgs{Decides: a, Tally: unbalanced}, "votes allowed", false},
			{"not ranked", station.OpSetRules, "usage", station.RulesArgs{Decides: a, Contest: "contest-clerk", Config: []byte(testcore.Rules)}, "not ranked", false},
			{"no operation", "ems.destroy", "usage", station.NoArgs{}, "no operation", true},
		} {
			refuses(t, s, c.op, c.args, c.code, c.says)
			log := entries(t, s, "ems")
			if !c.silent {
				logged += 2
			}
			if len(log) != logged {
				t.Fatalf("%s: the log has %d entries, want %d", c.name, len(log), logged)
			}
			if last := len(log) - 1; !c.silent && (log[last].Outcome != audit.Refused || log[last].Fields["reason"] != c.code || strings.Contains(fmt.Sprint(log[last-1:]), "BALLOT4711")) {
				t.Errorf("%s: the log says %+v", c.name, log[last])
			}
		}
		if after := standing(t, s, testcore.Closed); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("something was changed:\n%+v\n%+v", after, before)
		}
	})
}

// TestAStopDuringADecision fails every durable step of a decision, in turn. After
// the next start it was made if and only if the log says so.
func TestAStopDuringADecision(t *testing.T) {
	n := newCounter(t)
	var keys translog.VerifyOptions
	n.with(func(s *station.Station) { keys.Keys = publicKeys(t, s, station.KeyForLog) })
	count := 0
	run := func(sab *saboteur) (name string, from int64, err error) {
		count++
		name = fmt.Sprintf("tally %d", count)
		s := n.open(durable.FS{Hook: sab.hook})
		from = asked[station.Status](t, s, station.OpStatus, station.NoArgs{}).LogEntries
		sab.arm(true)
		_, err = ask[station.NoArgs](s, station.OpManualTally, station.ManualArgs{Decides: deciding(testcore.Closed), Tally: ems.ManualTally{Name: name,
			Contests: []ems.ManualContest{{Contest: "contest-clerk", Lines: []ems.ManualLine{{Precinct: "precinct-1", Ballots: 1, Votes: map[string]int64{}, Undervotes: 1}}}}}}, nil)
		sab.arm(false)
		_ = s.Close(context.Background())
		return name, from, err
	}
	sab := &saboteur{}
	_, _, err := run(sab)
	n.must(err)
	if len(sab.steps) < 5 {
		t.Fatalf("a decision has only %d durable steps: %v", len(sab.steps), sab.steps)
	}
	outcomes := map[audit.Outcome]int{}
	for i, step := range sab.steps {
		for _, after := range []bool{false, true} {
			name, from, err := run(&saboteur{at: i + 1, after: after, do: func() error { return errDisk }})
			n.with(func(s *station.Station) {
				done := slices.ContainsFunc(standing(t, s, testcore.Closed).Manual, func(m ems.ManualSummary) bool { return m.Name == name })
				var outcome audit.Outcome
				for _, e := range entries(t, s, string(audit.EMSManual)) {
					if e.Seq >= from && e.Phase == audit.PhaseOutcome {
						outcome = e.Outcome
					}
				}
				if done != (outcome == audit.Success) || !done && outcome != audit.Interrupted && outcome != "" || err == nil && !done {
					t.Errorf("%s (after its effect: %v): %v; done %v, the log says %q", step, after, err, done, outcome)
				}
				outcomes[outcome]++
			})
		}
	}
	if outcomes[audit.Interrupted] < 1 || outcomes[audit.Success] < 3 {
		t.Errorf("the stops led to %v", outcomes)
	}
	n.checkLog(keys)
}
