package cli_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/audit"
	"sallyport/internal/ems"
	"sallyport/internal/testcore"
	"sallyport/internal/testoffice"
)

// counter is an election core that the commands are tried on: a station's, or a
// database.
type counter struct {
	name string
	run  func(args ...string) result // behind 'sallyport'
}

// stationCounter is the core of a new station.
func stationCounter(t *testing.T, o *testoffice.Office, id string) (*testoffice.Station, counter) {
	t.Helper()
	s, err := o.Join(id, "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	testcore.Fill(t, s.File("state/ems.db"))
	return s, counter{id, func(args ...string) result { return at(t, s, args...) }}
}

// deskCounter is a database that 'ems create' makes. Commands on it see no
// configuration, so that none can find a station.
func deskCounter(t *testing.T) counter {
	t.Helper()
	db := filepath.Join(t.TempDir(), "desk.db")
	if r := call(t, "ems", "create", db); r.status != 0 || !strings.Contains(r.out, db) {
		t.Fatalf("ems create: %+v", r)
	}
	testcore.Fill(t, db)
	return counter{"a database", func(args ...string) result {
		return call(t, append([]string{"--config", "/none", "ems", "--db", db}, args[1:]...)...)
	}}
}

// decided adds what every decision needs.
func decided(args ...string) []string {
	return append(append([]string{"ems"}, args...), "--who", "county clerk", "--why", "canvass of November 9")
}

// emsStep is one command of the course of an election.
type emsStep struct {
	args   []string
	status int
	says   string // in the text, or the code of the failure
}

func (s emsStep) code() string { return strings.Fields(s.says + " x")[0] }

// course is the whole of it: from open polls to certified results, with what
// cannot be done on the way.
func course(dir string) []emsStep {
	file := func(name string) string { return filepath.Join(dir, name) }
	closed, open := testcore.Closed, testcore.Open
	return []emsStep{
		{[]string{"ems", "elections"}, 0, closed},
		{[]string{"ems", "tally"}, 2, "usage"},
		{[]string{"ems", "status"}, 2, "usage"},
		{[]string{"ems", "status", "nowhere"}, 2, "not-found"},
		{[]string{"ems", "tally", open}, 1, "polls-open"},
		{[]string{"ems", "tally", open, "--quick"}, 1, "polls-open"},
		{[]string{"ems", "status", open}, 0, "the polls are not closed"},
		{[]string{"ems", "close-polls", open}, 2, "usage"},
		{decided("close-polls", "nowhere"), 2, "not-found"},
		{decided("close-polls", open), 0, "polls: closed"},
		{[]string{"ems", "tally", open}, 0, "2099-11-03"},
		{decided("rules", closed, "contest-clerk", file("rules.json")), 2, "usage"},
		{decided("rules", open, "contest-clerk", file("notes.txt")), 2, "usage"},
		{decided("set-status", open, "unofficial-complete"), 0, "has no rules"},
		{decided("set-status", open, "certified", "--approver", "chair of the board"), 1, "transition"},
		{decided("rules", open, "contest-clerk", file("rules.json")), 0, "nothing is missing"},
		{[]string{"ems", "tally", closed}, 0, "County Clerk"},
		{[]string{"ems", "tally", closed, "--quick"}, 0, "County Clerk"},
		{decided("set-status", closed, "finished"), 2, "usage"},
		{decided("set-status", closed, "recount", "--approver", "chair of the board"), 1, "transition"},
		{decided("set-status", closed, "unofficial-complete"), 0, "(step 1)"},
		{decided("set-status", closed, "certified"), 1, "two-people"},
		{decided("set-status", closed, "certified", "--approver", "county clerk"), 1, "two-people"},
		{decided("set-status", closed, "certified", "--approver", "chair of the board"), 1, "transition"},
		{[]string{"ems", "write-ins", closed}, 0, "contest-mayor"},
		{decided("adjudicate", closed, file("none.json")), 2, "usage"},
		{decided("adjudicate", closed, file("notes.txt")), 2, "usage"},
		{decided("adjudicate", closed, file("no-position.json")), 2, "usage"},
		{decided("adjudicate", closed, file("no-member.json")), 2, "usage"},
		{decided("adjudicate", closed, file("no-ballot.json")), 2, "usage"},
		{decided("adjudicate", closed, file("decisions.json")), 0, "nothing is missing"},
		{[]string{"ems", "write-ins", closed, "--open"}, 0, "BALLOT"},
		{decided("manual", closed, file("unbalanced.json")), 2, "usage"},
		{decided("manual", closed, file("manual.json")), 0, `manual tally "torn ballots": 3 ballots in 1 contest`},
		{decided("set-status", closed, "certified", "--approver", "chair of the board"), 0, "the results are official"},
		{decided("manual", closed, file("manual.json")), 0, "have changed since"},
		{decided("set-status", closed, "correction", "--approver", "chair of the board"), 0, "approved by chair of the board (canvass of November 9)"},
		{[]string{"ems", "status", closed}, 0, "(step 3)"},
	}
}

// courseFiles writes the documents that the course needs; the decisions come from
// the written names that a core lists.
func courseFiles(t *testing.T, c counter) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var names struct {
		WriteIns []ems.WriteIn `json:"write_ins"`
	}
	r := c.run("ems", "--json", "write-ins", testcore.Closed, "--open")
	if err := json.Unmarshal([]byte(r.out), &names); err != nil || len(names.WriteIns) < 3 {
		t.Fatalf("%v: %+v", err, r)
	}
	var list []ems.Decision
	for _, w := range names.WriteIns {
		list = append(list, ems.Decision{Ballot: w.Ballot, Contest: w.Contest, Position: w.Position, Reject: true})
	}
	decisions, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	line := `{"name": "torn ballots", "contests": [{"contest": "contest-clerk", "lines": [{"precinct": "precinct-1", "ballots": 3, "votes": {"option-clerk-1": 2}, "overvotes": 0, "undervotes": %d}]}]}`
	for name, text := range map[string]string{
		"decisions.json": string(decisions), "notes.txt": "no JSON", "rules.json": testcore.Rules,
		"no-position.json": fmt.Sprintf(`[{"ballot": %q, "contest": %q, "reject": true}]`, list[0].Ballot, list[0].Contest),
		"no-member.json":   fmt.Sprintf(`[{"ballot": %q, "contest": %q, "position": 0, "rejected": true}]`, list[0].Ballot, list[0].Contest),
		"no-ballot.json":   `[{"ballot": "none", "contest": "contest-clerk", "position": 0, "reject": true}]`,
		"manual.json":      fmt.Sprintf(line, 1), "unbalanced.json": fmt.Sprintf(line, 2),
	} {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	return dir
}

// withoutMoment removes from a document what depends on the moment.
func withoutMoment(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			if k == "at" || k == "state_digest" {
				delete(v, k)
				continue
			}
			v[k] = withoutMoment(v[k])
		}
	case []any:
		for i := range v {
			v[i] = withoutMoment(v[i])
		}
	}
	return v
}

// TestElectionCommandsWorkOnStationsAndDatabases takes one election through all
// commands: at a station that a daemon serves, at one that the commands open
// themselves, and on a database. The JSON documents are the same everywhere.
func TestElectionCommandsWorkOnStationsAndDatabases(t *testing.T) {
	o := office(t)
	served, first := stationCounter(t, o, "canvass-1")
	_, second := stationCounter(t, o, "canvass-2")
	third := deskCounter(t)
	daemon(t, served)
	var docs [3][]any
	for i, c := range []counter{first, second, third} {
		for _, step := range course(courseFiles(t, c)) {
			r := c.run(append([]string{"ems", "--json"}, step.args[1:]...)...)
			if r.status != step.status || r.err != "" {
				t.Fatalf("%s: %q: exit status %d, want %d\n%s%s", c.name, step.args, r.status, step.status, r.out, r.err)
			}
			doc := document(t, r.out)
			if e, failed := doc["error"].(map[string]any); failed != (step.status != 0) || failed && e["code"] != step.code() {
				t.Errorf("%s: %q: %s", c.name, step.args, r.out)
			} else if failed { // the words say the rest
				doc = map[string]any{"code": e["code"]}
			}
			docs[i] = append(docs[i], withoutMoment(doc))
		}
	}
	if diff := cmp.Diff(docs[0], docs[1]) + cmp.Diff(docs[0], docs[2]); diff != "" {
		t.Errorf("the answers differ:\n%s", diff)
	}
	steps := logged(t, served, "ems.status")
	if want := []string{"success", "refused", "refused", "success", "refused", "refused", "refused", "success", "success"}; !slices.Equal(steps, want) {
		t.Errorf("the log of the station tells of the steps %v", steps)
	}
	var told []string
	for _, e := range entriesOf(t, served, "--event", "ems") {
		if e.Outcome != "" {
			x := document(t, must(t, served, "--json", "log", "explain", fmt.Sprint(e.Seq)))
			told = append(told, x["text"].(string))
			if why := x["why"].([]any); (len(why) > 0) != (e.Outcome == audit.Refused) {
				t.Errorf("entry %d: %v", e.Seq, why)
			}
		}
	}
	for _, want := range []string{
		"county clerk closed the polls of election " + testcore.Open + ".",
		"county clerk wanted to close the polls of election nowhere; it was REFUSED.",
		"county clerk gave the status certified (approved by chair of the board) to the results of election " + testcore.Closed + ".",
		"county clerk recorded the manual tally \"torn ballots\" of 3 ballots beside the counts of election " + testcore.Closed + ".",
		"county clerk set the rules of the ranked contest contest-clerk of election " + testcore.Open + ".",
	} {
		if !slices.Contains(told, want) {
			t.Errorf("no entry is told as %q: %q", want, told)
		}
	}
}

// The text says the same to people.
func TestElectionCommandsInWords(t *testing.T) {
	c := deskCounter(t)
	for _, step := range course(courseFiles(t, c)) {
		r := c.run(step.args...)
		if r.status != step.status || step.status == 0 && !strings.Contains(r.out, step.says) || step.status != 0 && (r.out != "" || len(r.err) < 20) {
			t.Errorf("%q: exit status %d, want %d and %q\n%s%s", step.args, r.status, step.status, step.says, r.out, r.err)
		}
	}
}

// logged are the outcomes of an event in a station's log.
func logged(t *testing.T, s *testoffice.Station, event string) (out []string) {
	t.Helper()
	list, _ := document(t, must(t, s, "--json", "log", "show", "--event", event))["entries"].([]any)
	for _, e := range list {
		if x := e.(map[string]any); x["outcome"] != nil {
			out = append(out, x["outcome"].(string))
		}
	}
	return out
}

// TestADatabaseOfAStationIsOnlyRead: what changes a station's core stands in its
// log, so that no command changes the file beside it.
func TestADatabaseOfAStationIsOnlyRead(t *testing.T) {
	o := office(t)
	s, c := stationCounter(t, o, "bypassed")
	dir := courseFiles(t, c)
	before := must(t, s, "--json", "ems", "status", testcore.Closed)
	for _, step := range course(dir) {
		if step.status == 0 && len(step.args) > 6 { // it changes something
			args := append([]string{"--json", "ems", "--db", s.File("state/ems.db")}, step.args[1:]...)
			r := call(t, args...)
			if e, _ := document(t, r.out)["error"].(map[string]any); r.status != 1 || e["code"] != "denied" {
				t.Errorf("%q: exit status %d: %s", args, r.status, r.out)
			}
		}
	}
	if r := call(t, "--json", "ems", "--db", s.File("state/ems.db"), "status", testcore.Closed); r.status != 0 || r.out != before {
		t.Errorf("exit status %d: the status is\n%s\nwas\n%s", r.status, r.out, before)
	}
	if got := logged(t, s, "ems"); len(got) != 0 {
		t.Errorf("the log tells of %v", got)
	}
}

// What is no database is refused by name, and nothing is overwritten.
func TestWhatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	notes := write(t, filepath.Join(dir, "notes.txt"), []byte(strings.Repeat("no database ", 1000)))
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"ems", "--db", dir + "/none.db", "elections"}, 2, "ems create"},
		{[]string{"ems", "--db", notes, "elections"}, 1, "election store"},
		{[]string{"ems", "create", notes}, 2, "exists already"},
		{[]string{"ems", "create", dir + "/no/desk.db"}, 2, "no folder"},
		{[]string{"ems", "--db", notes, "create", dir + "/desk.db"}, 2, "leave --db out"},
	} {
		if r := call(t, c.args...); r.status != c.status || !strings.Contains(r.err, c.says) || r.out != "" {
			t.Errorf("%q: exit status %d, want %d and %q: %s%s", c.args, r.status, c.status, c.says, r.out, r.err)
		}
	}
}
