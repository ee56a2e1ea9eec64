package cli_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/ems"
	"sallyport/internal/testtool"
)

const (
	general = "maple-general-2026"
	primary = "maple-primary-2026"
)

// sets is where the sample elections are.
func sets(name string) string { return filepath.Join("../../testdata/elections", name) }

// workdesk is a database of a definition desk.
type workdesk struct {
	t   *testing.T
	dir string
	db  string
}

func newWorkdesk(t *testing.T) *workdesk {
	t.Helper()
	d := &workdesk{t: t, dir: t.TempDir()}
	d.db = d.file("desk.db")
	if r := call(t, "ems", "create", d.db); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	return d
}

// begun is a desk with a draft of a sample set.
func begun(t *testing.T, set string) *workdesk {
	d := newWorkdesk(t)
	d.do(append([]string{"new", "--from-set", sets(set)}, d.by()...)...)
	return d
}

func (d *workdesk) file(name string) string { return filepath.Join(d.dir, name) }

func (d *workdesk) by() []string { return []string{"--who", "county clerk", "--why", "test"} }

// ask runs a command of the desk with JSON, and returns the one document.
func (d *workdesk) ask(status int, args ...string) map[string]any {
	d.t.Helper()
	r := call(d.t, append([]string{"--config", "/none", "--json", "ems", "--db", d.db}, args...)...)
	if r.status != status || r.err != "" {
		d.t.Fatalf("%q: exit status %d, want %d\n%s%s", args, r.status, status, r.out, r.err)
	}
	doc := document(d.t, r.out)
	if (doc["error"] != nil) != (status != 0) {
		d.t.Fatalf("%q: exit status %d and %s", args, status, r.out)
	}
	return doc
}

func (d *workdesk) do(args ...string) map[string]any {
	d.t.Helper()
	return d.ask(0, args...)
}

// say runs a command and returns its text.
func (d *workdesk) say(status int, args ...string) string {
	d.t.Helper()
	r := call(d.t, append([]string{"--config", "/none", "ems", "--db", d.db}, args...)...)
	if r.status != status {
		d.t.Fatalf("%q: exit status %d, want %d\n%s%s", args, r.status, status, r.out, r.err)
	}
	return r.out + r.err
}

// rules are the rules of the problems of a document.
func rules(doc map[string]any) (out []string) {
	list, _ := doc["problems"].([]any)
	for _, p := range list {
		out = append(out, p.(map[string]any)["rule"].(string))
	}
	return out
}

// One whole run of the desk, from the tables to the sign-off, which a change of
// the definition makes void.
func TestDeskFromTablesToSignOff(t *testing.T) {
	for set, id := range map[string]string{"maple-general-csv": general, "maple-primary-csv": primary} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			d := begun(t, set)
			edited := d.do(append([]string{"edit", id, "contest", "set", "mayor", "votes_allowed=2", "variation=n-of-m", "ranks="}, d.by()...)...)
			if edited["revision"] != 2.0 || edited["styles"] != "kept" || len(edited["changes"].([]any)) < 1 {
				t.Errorf("%v", edited)
			}
			if c := d.do("check", "--draft", id); len(c["problems"].([]any)) != 0 {
				t.Errorf("%v", c)
			}
			before := d.do("definition", id, "--out", d.file("before.json"))
			d.do("deck", "make", id, "--out", d.file("deck"))
			d.do("deck", "run", id, d.file("deck"), "--test-db", d.file("test.db"))
			test := []string{id, d.file("deck"), "--test-db", d.file("test.db")}
			if r := d.do(append([]string{"deck", "compare"}, test...)...); r["passed"] != true || r["records"] == nil {
				t.Fatalf("%v", r)
			}
			d.ask(2, append([]string{"deck", "sign", "--who", "county clerk", "--second", "county  CLERK"}, test...)...)
			signed := d.do(append([]string{"deck", "sign", "--who", "county clerk", "--second", "deputy clerk"}, test...)...)
			if signed["definition_sha256"] != before["sha256"] || signed["ballot_hash"] != before["ballot_hash"] {
				t.Errorf("signed off is %v, the definition is %v", signed, before)
			}
			if s := d.do("deck", "status", id); s["tested"] != true {
				t.Errorf("%v", s)
			}
			if x := d.do("definition", id, "--out", d.file("definition.json")); x["tested"] != true || x["sha256"] != sum(t, d.file("definition.json")) {
				t.Errorf("%v", x)
			}
			d.do(append([]string{"edit", id, "candidate", "set", "candidate-9", "name=Candidate Nine"}, d.by()...)...)
			s := d.do("deck", "status", id)
			if list := s["sign_offs"].([]any); s["tested"] != false || len(list) != 1 || list[0].(map[string]any)["valid"] != false {
				t.Errorf("the definition changed, and the sign-off holds: %v", s)
			}
			if out := d.say(1, append([]string{"deck", "compare"}, test...)...); !strings.Contains(out, "another definition") {
				t.Error(out)
			}
			if x := d.do("definition", id, "--out", d.file("after.json")); x["tested"] != false || x["ballot_hash"] == before["ballot_hash"] {
				t.Errorf("%v", x)
			}
		})
	}
}

// What changes ballots makes the styles anew by the rule that made them, and
// never those that people made.
func TestEditsKeepTheRuleOfTheStyles(t *testing.T) {
	d := begun(t, "maple-general-csv") // rotates by precinct
	edit := func(words ...string) map[string]any {
		return d.do(slices.Concat([]string{"edit", general}, words, d.by())...)
	}
	if s := edit("candidate add candidate-99 contest=commissioner name='Candidate 99'", "contest set house-1-seat title='Representative'"); s["styles"] != "made" || s["changes"] == nil {
		t.Errorf("%v", s)
	}
	var first []string // the first candidate on each style
	for _, s := range d.do("proof", general, "--out", d.file("proofs"), "--no-pdf")["proofs"].([]any) {
		text, err := os.ReadFile(filepath.Join(d.file("proofs"), s.(map[string]any)["files"].([]any)[1].(string)))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "County Commissioner")
		_, rest, _ = strings.Cut(rest, "  1 of 6\n")
		name, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		first = append(first, name)
	}
	// Both splits of the third precinct have its order.
	if want := []string{"Candidate 9", "Candidate 10", "Candidate 11", "Candidate 11", "Candidate 99"}; !slices.Equal(first, want) {
		t.Errorf("the rotation by precinct is lost: %q", first)
	}
	edit("style", "remove", "5") // now they are not what a rule makes
	if s := edit("candidate", "set", "candidate-9", "name=Candidate Nine"); s["styles"] != "to-be-made" {
		t.Errorf("%v", s)
	}
	built := d.do(append([]string{"styles", general, "--build", "--rotation", "by-style"}, d.by()...)...)
	if len(built["styles"].([]any)) != 4 { // two precincts have the same contests
		t.Errorf("%v", built["styles"])
	}
	if s := d.do("styles", general, "--diff", "1"); len(s["changes"].([]any)) == 0 {
		t.Error("no change of styles from the first draft on")
	}
	if list := d.do("drafts", general)["drafts"].([]any); len(list) != 5 {
		t.Errorf("%v", list)
	}
	if c := d.do("diff", general, "--from", "2", "--to", "2"); len(c["changes"].([]any)) != 0 {
		t.Errorf("%v", c)
	}
}

// An election can be defined by edits alone.
func TestDefineByEdits(t *testing.T) {
	d := newWorkdesk(t)
	d.do(append([]string{"new", "--id", "town", "--name", "Town Election", "--date", "2027-03-02", "--jurisdiction", "Lake Town", "--unit-type", "town"}, d.by()...)...)
	if s := d.ask(1, "definition", "town", "--out", d.file("d.json")); !slices.Contains(rules(s), "style-none") || !slices.Contains(rules(s), "contest-none") {
		t.Errorf("%v", s)
	}
	if s := d.do(append([]string{"edit", "town", "unit add p1 type=precinct name=North number=1 part_of=jurisdiction", "contest add mayor type=candidate title=Mayor district=jurisdiction",
		"candidate add c1 contest=mayor name='Jo Do'", `candidate add c2 contest=mayor name="Al Be"`}, d.by()...)...); s["styles"] != "none" {
		t.Errorf("%v", s)
	}
	d.do(append([]string{"styles", "town", "--build"}, d.by()...)...)
	for _, form := range [][]string{{"definition", "town", "--out", d.file("d.json")}, {"definition", "town", "--xml", "--out", d.file("d.xml")}} {
		d.do(form...)
		r := call(t, "ems", "check", form[len(form)-1])
		if r.status != 0 || !strings.Contains(r.out, "ballot definition (NIST SP 1500-20)") {
			t.Errorf("%+v", r)
		}
	}
	if r := call(t, "--json", "ems", "diff", d.file("d.json"), d.file("d.xml")); r.status != 0 || len(document(t, r.out)["changes"].([]any)) != 0 {
		t.Errorf("%+v", r)
	}
}

// Whatever is refused is refused with every problem and its place, and nothing
// is kept.
func TestDeskRefusesWithEveryProblem(t *testing.T) {
	d := begun(t, "maple-primary-csv")
	broken := d.file("broken")
	if err := os.CopyFS(broken, os.DirFS(sets("maple-primary-csv"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(broken, "candidates.csv")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(strings.Replace(string(data), "governor-oak,Candidate 2", "governor-ash,Candidate 2", 1), "Candidate 4,elm", ",elm", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{append([]string{"set", primary, broken}, d.by()...), {"check", broken}, {"diff", broken, broken}} {
		doc := d.ask(1, args...)
		if list := rules(doc); !slices.Contains(list, "reference") || !slices.Contains(list, "cell-missing") {
			t.Errorf("%q: %v", args, doc)
		}
		if args[0] == "set" {
			if out := d.say(1, args...); !strings.Contains(out, "candidates.csv:3: ") || !strings.Contains(out, "candidates.csv:5: ") {
				t.Errorf("no line is named:\n%s", out)
			}
		}
	}
	for name, c := range map[string]struct {
		status int
		code   string
		args   []string
	}{
		"a second new one":     {2, "usage", append([]string{"new", "--from-set", sets("maple-primary-csv")}, d.by()...)},
		"nothing to begin":     {2, "usage", append([]string{"new"}, d.by()...)},
		"nobody answers":       {2, "usage", []string{"edit", primary, "contest", "set", "mayor", "votes_allowed=1"}},
		"no edit":              {1, "content-invalid", append([]string{"edit", primary, "frobnicate"}, d.by()...)},
		"an open quote":        {1, "content-invalid", append([]string{"edit", primary, "contest set mayor title='x"}, d.by()...)},
		"no such object":       {1, "content-invalid", append([]string{"edit", primary, "contest", "set", "nothing", "title=x"}, d.by()...)},
		"another id":           {2, "usage", append([]string{"edit", primary, "election", "set", "local_id=other"}, d.by()...)},
		"another set":          {2, "usage", append([]string{"set", primary, sets("maple-general-csv")}, d.by()...)},
		"no draft":             {2, "not-found", []string{"styles", "nowhere"}},
		"no such revision":     {2, "not-found", []string{"diff", primary, "--from", "7"}},
		"no such style":        {2, "usage", []string{"proof", primary, "--out", d.file("p"), "--style", "9"}},
		"no such language":     {2, "usage", []string{"proof", primary, "--out", d.file("p"), "--language", "fr"}},
		"build without a name": {2, "usage", []string{"styles", primary, "--build"}},
		"a folder is there":    {2, "usage", []string{"proof", primary, "--out", d.dir}},
		"no device":            {2, "usage", []string{"programming", primary, "--out", d.file("p"), "--device", "../x"}},
		"no deck":              {2, "usage", []string{"deck", "compare", primary, d.dir, "--test-db", d.db}},
		"nothing imported":     {2, "not-found", []string{"zero", primary}},
		"no vendor's file":     {1, "content-invalid", []string{"check", write(t, d.file("x.csv"), []byte("a,b\n1,2\n"))}},
		"an empty file":        {1, "content-invalid", []string{"check", write(t, d.file("empty"), nil)}},
		"nothing to check":     {2, "usage", []string{"check"}},
	} {
		if got := d.ask(c.status, c.args...)["error"].(map[string]any)["code"]; got != c.code {
			t.Errorf("%s: code %q, want %q", name, got, c.code)
		}
	}
	if out := d.say(1, append([]string{"edit", primary, "--base", "1", "contest", "set", "mayor", "title=x", "subtitle"}, d.by()...)...); !strings.Contains(out, "COLUMN=VALUE") {
		t.Error(out)
	}
	d.do(append([]string{"edit", primary, "contest", "set", "mayor", "title=Mayor"}, d.by()...)...)
	if e := d.ask(1, append([]string{"edit", primary, "--base", "1", "contest", "set", "mayor", "title=x"}, d.by()...)...); e["error"].(map[string]any)["code"] != "stale" {
		t.Errorf("%v", e)
	}
	if list := d.do("drafts", primary)["drafts"].([]any); len(list) != 2 {
		t.Errorf("something that was refused was kept: %v", list)
	}
	if r := call(t, "--json", "--config", "/none", "ems", "drafts"); r.status != 2 || !strings.Contains(r.out, "--db") {
		t.Errorf("%+v", r)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, ".sallyport-*")); len(left) != 0 || len(d.do("drafts")["elections"].([]any)) != 1 {
		t.Errorf("%v", left)
	}
}

// Files of other systems are known for what they are.
func TestCheckKnowsFiles(t *testing.T) {
	small := sets("small")
	for name, c := range map[string]struct {
		args []string
		is   string
	}{
		"definition": {[]string{filepath.Join(small, "definition.json")}, "ballot definition (NIST SP 1500-20)"},
		"records":    {[]string{filepath.Join(small, "cvr-precinct-1.json")}, "cast vote records (NIST SP 1500-103)"},
		"streamed":   {[]string{filepath.Join(small, "cvr-precinct-1.json"), "--definition", filepath.Join(small, "definition.json")}, "cast vote records (NIST SP 1500-103)"},
		"set":        {[]string{sets("maple-general-csv")}, "a CSV set"},
	} {
		r := call(t, append([]string{"--json", "ems", "check"}, c.args...)...)
		if doc := document(t, r.out); r.status != 0 || doc["is"] != c.is || strings.HasPrefix(name, "rec") && doc["ballots"] != 121.0 || name == "streamed" && doc["ballots"] != 121.0 {
			t.Errorf("%s: exit status %d\n%s", name, r.status, r.out)
		}
	}
}

// Cast vote records of other systems are read whole, and what departs from a
// standard or dialect is told.
func TestCheckKnowsOtherSystems(t *testing.T) {
	for name, c := range map[string]struct {
		args    []string
		status  int
		is      string
		records float64
		says    string
	}{
		"a vendor's table":  {[]string{testtool.Shared(t, "arlo", "small-election", "Siletz - cvrs.csv")}, 0, "dialect dominion-csv", 57, "order-in-id"},
		"near the standard": {[]string{testtool.Shared(t, "nist", "1500-103", "samples", "example_1.xml"), "--lenient"}, 0, "cast vote records (NIST SP 1500-103)", 6, "zone-missing"},
		"and strictly":      {[]string{testtool.Shared(t, "nist", "1500-103", "samples", "example_1.xml")}, 1, "a document of a common data format", 0, `"line": 245`},
	} {
		r := call(t, append([]string{"--json", "ems", "check"}, c.args...)...)
		doc := document(t, r.out)
		records, _ := doc["ballots"].(float64)
		if r.status != c.status || !strings.Contains(doc["is"].(string), c.is) || records != c.records || !strings.Contains(r.out, c.says) || (doc["error"] != nil) != (c.status != 0) {
			t.Errorf("%s: exit status %d\n%s", name, r.status, r.out)
		}
	}
}

// sum is the SHA-256 of a file.
func sum(t *testing.T, file string) string {
	t.Helper()
	return strings.Fields(string(testtool.Run(t, "sha256sum", file)))[0]
}

// changeRecords changes the records of a deck's folder.
func changeRecords(t *testing.T, dir string, change func(list []any) []any) {
	t.Helper()
	file := filepath.Join(dir, "test-records.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	doc["CVR"] = change(doc["CVR"].([]any))
	if data, err = json.Marshal(doc); err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A count that is not what the deck says is found, and cannot be signed off.
func TestComparisonFindsWhatWasMiscounted(t *testing.T) {
	d := begun(t, "maple-primary-csv")
	for name, change := range map[string]func(list []any) []any{
		"one ballot less": func(list []any) []any { return list[1:] },
		"another precinct": func(list []any) []any {
			for _, x := range list {
				if r := x.(map[string]any); r["BallotStyleId"] == "2-OAK" {
					r["BallotStyleUnitId"] = map[any]string{"precinct-2": "split-3-a", "split-3-a": "precinct-2"}[r["BallotStyleUnitId"]]
					return list
				}
			}
			t.Fatal("no such ballot")
			return nil
		},
	} {
		dir, db := d.file(name), d.file(name+".db")
		d.do("deck", "make", primary, "--out", dir)
		changeRecords(t, dir, change)
		d.do("deck", "run", primary, dir, "--test-db", db)
		r := d.ask(1, "deck", "compare", primary, dir, "--test-db", db)
		totals, records := r["totals"].(map[string]any)["differences"].([]any), r["records"].(map[string]any)["differences"].([]any)
		if r["passed"] != false || len(totals) == 0 || len(records) != 1 {
			t.Errorf("%s: %d differences of totals, %d of records", name, len(totals), len(records))
		}
		d.ask(1, "deck", "sign", primary, dir, "--test-db", db, "--who", "county clerk", "--second", "deputy clerk")
		if out := d.say(1, "deck", "compare", primary, dir, "--test-db", db); !strings.Contains(out, "NOT PASSED") {
			t.Error(out)
		}
	}
	// Scanners give ballots identifiers of their own: then the totals are the test.
	dir, db := d.file("scanned"), d.file("scanned.db")
	d.do("deck", "make", primary, "--out", dir)
	changeRecords(t, dir, func(list []any) []any {
		for i, x := range list {
			x.(map[string]any)["UniqueId"] = fmt.Sprintf("scanned-%04d", i)
		}
		return list
	})
	d.do("deck", "run", primary, dir, "--test-db", db)
	d.ask(1, "deck", "compare", primary, dir, "--test-db", db)
	if r := d.do("deck", "compare", primary, dir, "--test-db", db, "--totals"); r["passed"] != true || r["records"] != nil {
		t.Errorf("%v", r)
	}
	if out := d.say(0, "deck", "compare", primary, dir, "--test-db", db, "--totals"); !strings.Contains(out, "PASSED") {
		t.Error(out)
	}
	if s := d.do("deck", "status", primary); len(s["sign_offs"].([]any)) != 0 {
		t.Errorf("%v", s)
	}
}

// Test ballots and votes never come into one count, whoever confuses them.
func TestTestsAndVotesNeverMix(t *testing.T) {
	d := begun(t, "maple-primary-csv")
	d.do("deck", "make", primary, "--out", d.file("deck"))
	d.do("deck", "run", primary, d.file("deck"), "--test-db", d.file("test.db"))
	d.do("definition", primary, "--out", d.file("deck/definition.json"))

	// The core of results, before the polls are open.
	official := d.file("official.db")
	if r := call(t, "ems", "create", official); r.status != 0 {
		t.Fatalf("%+v", r)
	}
	importFile(t, official, d.file("deck/definition.json"), "election-definition", primary, "")
	zero := func() result { return call(t, "--json", "ems", "--db", official, "zero", primary) }
	if z := document(t, zero().out); z["zero"] != true || z["test"] != false || z["numbers"].(float64) < 20 {
		t.Errorf("%v", z)
	}

	// It does not take the records of the deck, whichever definition they are said to be of.
	for _, definition := range []string{"deck/definition.json", "deck/test-definition.json"} {
		err := tryImport(t, official, d.file("deck/test-records.json"), "cvr-export", primary, sum(t, d.file(definition)))
		if err == nil || !strings.Contains(err.Error(), "test-votes") && !strings.Contains(err.Error(), "another definition") {
			t.Errorf("the core of results took test ballots: %v", err)
		}
	}
	// Nor is it a test core, nor the test definition another version of its own.
	if out := d.say(1, "deck", "compare", primary, d.file("deck"), "--test-db", official); !strings.Contains(out, "not marked as a test") {
		t.Error(out)
	}
	if err := tryImport(t, official, d.file("deck/test-definition.json"), "election-definition", primary, ""); err == nil {
		t.Error("the core of results took the test definition")
	}
	// What the test core counted says so, and is no zero report.
	if r := call(t, "--json", "ems", "--db", d.file("test.db"), "tally"); document(t, r.out)["test"] != true {
		t.Errorf("%+v", r)
	}
	if r := call(t, "ems", "--db", d.file("test.db"), "zero", primary); r.status != 1 || !strings.Contains(r.err, "not empty") || strings.Contains(r.err, "126") {
		t.Errorf("%+v", r)
	}
	// After the test core is gone, the core of results has nothing.
	if err := os.Remove(d.file("test.db")); err != nil {
		t.Fatal(err)
	}
	csv := d.file("zero.csv")
	if r := call(t, "ems", "--db", official, "zero", primary, "--out", csv); r.status != 0 || !strings.Contains(r.out, "ZERO") {
		t.Errorf("%+v", r)
	}
	if data, err := os.ReadFile(csv); err != nil || strings.Count(string(data), "\n") < 50 {
		t.Errorf("%v", err)
	}
}

// A test of a definition that differs in anything is no test of this one.
func TestAnotherDefinitionIsNoTest(t *testing.T) {
	d := begun(t, "maple-primary-csv")
	d.do("deck", "make", primary, "--out", d.file("deck"))
	file := d.file("deck/test-definition.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, []byte(strings.Replace(string(data), `"Candidate 1"`, `"Candidate One"`, 1)))
	d.do("deck", "run", primary, d.file("deck"), "--test-db", d.file("test.db"))
	if out := d.say(1, "deck", "compare", primary, d.file("deck"), "--test-db", d.file("test.db")); !strings.Contains(out, "not the definition in force") {
		t.Error(out)
	}
}

// Where a definition was imported it is in force, whatever is drafted since.
func TestImportedDefinitionIsTested(t *testing.T) {
	d := begun(t, "maple-primary-csv")
	first := d.do("definition", primary, "--out", d.file("definition.json"))
	importFile(t, d.db, d.file("definition.json"), "election-definition", primary, "")
	if m := d.do("deck", "make", primary, "--out", d.file("same")); m["newer_draft"] != 0.0 {
		t.Errorf("%v", m)
	}
	d.do(append([]string{"edit", primary, "contest", "set", "mayor", "title=Mayor"}, d.by()...)...)
	if m := d.do("deck", "make", primary, "--out", d.file("deck")); m["definition_sha256"] != first["sha256"] || m["newer_draft"] != 2.0 {
		t.Errorf("%v", m)
	}
	if s := d.say(0, "deck", "status", primary); !strings.Contains(s, "draft 2 is another definition") {
		t.Error(s)
	}
}

func importFile(t *testing.T, db, file, kind, electionID, definition string) {
	t.Helper()
	if err := tryImport(t, db, file, kind, electionID, definition); err != nil {
		t.Fatal(err)
	}
}

// tryImport gives a core a file as a package.
func tryImport(t *testing.T, db, file, kind, electionID, definition string) error {
	t.Helper()
	k, err := ems.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	sha := sum(t, file)
	p := ems.Package{ID: "test", Kind: kind, ElectionID: electionID, ElectionSHA256: definition, FS: os.DirFS(filepath.Dir(file)),
		Files: []ems.File{{Path: filepath.Base(file), Size: st.Size(), SHA256: sha, MediaType: "application/json"}}}
	if _, err := hex.Decode(p.Digest[:], []byte(sha)); err != nil {
		t.Fatal(err)
	}
	_, err = k.Import(t.Context(), p)
	return err
}
