package rla

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

func open(t testing.TB, elem ...string) *os.File {
	t.Helper()
	f, err := os.Open(testtool.Shared(t, append([]string{"arlo"}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func readManifest(t testing.TB, a Audit, elem ...string) *Manifest {
	t.Helper()
	m, err := ReadManifest(elem[len(elem)-1], open(t, elem...), a)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestsOfArlo(t *testing.T) {
	for _, c := range []struct {
		file    string
		audit   Audit
		batches int
		ballots int
		first   Batch
	}{
		{"sample_ballot_manifest.csv", BallotPolling, 10, 2117, Batch{Name: "1", Ballots: 117}},
		{"sample_manifest_BC.csv", BallotComparison, 12, 1001, Batch{Container: "Box 1", Tabulator: "1", Name: "1", Ballots: 3}},
		{"sample_manifest_hybrid.csv", Hybrid, 12, 1001, Batch{Container: "Box 1", Tabulator: "1", Name: "1", Ballots: 3, CVR: true}},
		{"small-election/Siletz - ballot manifest.csv", BatchComparison, 3, 57, Batch{Tabulator: "Tabulator A", Name: "Batch 1", Ballots: 26}},
	} {
		m := readManifest(t, c.audit, c.file)
		if len(m.Batches) != c.batches || m.Total() != c.ballots || m.Batches[0] != c.first || len(m.SHA256) != 64 {
			t.Errorf("%s: %d batches, %d ballots, %+v, %q", c.file, len(m.Batches), m.Total(), m.Batches[0], m.SHA256)
		}
		var b bytes.Buffer
		if err := WriteManifest(&b, m); err != nil {
			t.Fatal(err)
		}
		back, err := ReadManifest("b", &b, c.audit)
		if err != nil {
			t.Fatal(err)
		}
		back.SHA256 = m.SHA256
		if d := cmp.Diff(m, back); d != "" {
			t.Errorf("%s: %s", c.file, d)
		}
	}
}

// In a ballot comparison sample the batches 1 and 1 of two tabulators are two;
// by name alone they are one.
func TestBatchesOfTwoTabulators(t *testing.T) {
	_, err := ReadManifest("m.csv", open(t, "sample_manifest_BC.csv"), BallotPolling)
	wantRule(t, err, RuleDuplicate, 3)
}

func wantRule(t testing.TB, err error, rule Rule, line int) {
	t.Helper()
	var p *Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v, want a problem of the rule %s", err, rule)
	}
	if p.Rule != rule || p.Line != line {
		t.Errorf("rule %s in line %d, want %s in line %d: %v", p.Rule, p.Line, rule, line, err)
	}
	if p.ToDo() == "" {
		t.Errorf("the rule %s does not say what to do", p.Rule)
	}
	if _, ok := verdict.Find(err); !ok {
		t.Errorf("%v is no finding", err)
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	const head = "Batch Name,Number of Ballots\r\n"
	for name, c := range map[string]struct {
		audit Audit
		doc   string
		rule  Rule
		line  int
	}{
		"empty":                   {BallotPolling, "", RuleNoRows, 0},
		"mark alone":              {BallotPolling, "\xef\xbb\xbf", RuleNoRows, 0},
		"headers alone":           {BallotPolling, head, RuleNoRows, 0},
		"UTF-16":                  {BallotPolling, "\xff\xfeB\x00a\x00", RuleUTF8, 1},
		"Latin-1":                 {BallotPolling, head + "caf\xe9,1\r\n", RuleUTF8, 2},
		"semicolons":              {BallotPolling, "Batch Name;Number of Ballots\n1;2\n", RuleDelimiter, 1},
		"tabs":                    {BallotPolling, "Batch Name\tNumber of Ballots\n1\t2\n", RuleDelimiter, 1},
		"bare quote":              {BallotPolling, head + "a\"b,1\n", RuleQuotes, 2},
		"open quote":              {BallotPolling, head + "\"ab,1\n", RuleQuotes, 2},
		"synonym":                 {BallotPolling, "Batch,Number of Ballots\n1,2\n", RuleUnexpected, 1},
		"header twice":            {BallotPolling, "Batch Name,batch name,Number of Ballots\n1,1,2\n", RuleHeader, 1},
		"no number":               {BallotPolling, "Batch Name\n1\n", RuleMissing, 1},
		"no tabulator":            {BallotComparison, head + "1,2\n", RuleMissing, 1},
		"no CVR":                  {Hybrid, "Tabulator," + head + "1,1,2\n", RuleMissing, 1},
		"CVR where there is none": {BallotComparison, "Tabulator,Batch Name,Number of Ballots,CVR\n1,1,2,Y\n", RuleUnexpected, 1},
		"short row":               {BallotPolling, head + "1,2\n2\n", RuleCellCount, 3},
		"value below no header":   {BallotPolling, "Batch Name,Number of Ballots,,\n1,2,,\n2,3,,x\n", RuleTrailing, 3},
		"empty cell":              {BallotPolling, head + "1,2\n2,\n", RuleEmpty, 3},
		"invisible":               {BallotPolling, head + "1\u200b,2\n", RulePrintable, 2},
		"formula":                 {BallotPolling, head + "\"=\"\"1\"\"\",2\n", RuleFormula, 2},
		"negative":                {BallotPolling, head + "1,-2\n", RuleNegative, 2},
		"fraction":                {BallotPolling, head + "1,2.0\n", RuleFraction, 2},
		"thousands":               {BallotPolling, head + "1,\"1,234\"\n", RuleThousands, 2},
		"words":                   {BallotPolling, head + "1,many\n", RuleNotNumber, 2},
		"plus":                    {BallotPolling, head + "1,+2\n", RuleNotNumber, 2},
		"leading zero":            {BallotPolling, head + "1,02\n", RuleNotNumber, 2},
		"other digits":            {BallotPolling, head + "1,٣\n", RuleNotNumber, 2},
		"huge":                    {BallotPolling, head + "1,1000000000\n", RuleTooLarge, 2},
		"over all":                {BallotPolling, head + "1,134217728\n2,1\n", RuleLimit, 3},
		"none":                    {BallotPolling, head + "1,0\n", RuleZeroBallots, 2},
		"duplicate":               {BatchComparison, head + "1,2\n2,3\n1,4\n", RuleDuplicate, 4},
		"total by word":           {BallotPolling, head + "1,2\nSub-total,2\n", RuleTotalRow, 3},
		"total by sum":            {BallotPolling, head + "1,2\n2,3\nAll,5\n", RuleTotalRow, 4},
		"maybe":                   {Hybrid, "Tabulator,Batch Name,Number of Ballots,CVR\n1,1,2,maybe\n", RuleYesNo, 2},
		"long row":                {BallotPolling, head + "1,2\n\"" + strings.Repeat("a\n", 1<<20) + "\",1\n", RuleLimit, 0},
		"no audit":                {"", head + "1,2\n", RuleKeepsForm, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ReadManifest("m.csv", strings.NewReader(c.doc), c.audit)
			if m != nil {
				t.Error("a manifest in part")
			}
			wantRule(t, err, c.rule, c.line)
		})
	}
}

// What people's spreadsheets do to a good file does not matter.
func TestManifestsAsPeopleSaveThem(t *testing.T) {
	want := []Batch{{Container: "Box", Tabulator: "T", Name: "b 1", Ballots: 3, CVR: true}, {Container: "Box", Tabulator: "T", Name: "b 2", Ballots: 4}}
	for name, doc := range map[string]string{
		"order and case": "cvr,NUMBER OF BALLOTS,batch name,Tabulator,container\nyes,3,b 1,T,Box\nNo,4,b 2,T,Box\n",
		"mark, CRLF":     "\xef\xbb\xbfContainer,Tabulator,Batch Name,Number of Ballots,CVR\r\nBox,T,b 1,3,Y\r\nBox,T,b 2,4,N\r\n",
		"quotes, spaces": "\"Container\",\" Tabulator \",\"Batch Name\",\"Number of Ballots\",\"CVR\"\n\"Box\",\"T \",\" b 1\",\" 3\",\"y\"\nBox,T,b 2,4,n",
		"empty rows":     "Container,Tabulator,Batch Name,Number of Ballots,CVR,,\n,,,,,,\nBox,T,b 1,3,Y,,\n\n,,,,,,\nBox,T,b 2,4,N,,\n,,,,,,\n",
	} {
		m, err := ReadManifest(name, strings.NewReader(doc), Hybrid)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, m.Batches); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// What a form cannot keep is not written.
func TestWritersRefuseWhatWouldBeReadAsAnother(t *testing.T) {
	type write = func(*bytes.Buffer) error
	manifest := func(m Manifest) write {
		return func(b *bytes.Buffer) error { return WriteManifest(b, &m) }
	}
	contests := func(c ...StandardContest) write {
		return func(b *bytes.Buffer) error { return WriteStandardContests(b, c) }
	}
	one := []Batch{{Name: "1", Ballots: 1}}
	for name, c := range map[string]struct {
		write write
		rule  Rule
	}{
		"space":                  {manifest(Manifest{Audit: BallotPolling, Batches: []Batch{{Name: " 1", Ballots: 1}}}), RuleKeepsForm},
		"lost container":         {manifest(Manifest{Audit: BallotPolling, Batches: []Batch{{Container: "Box", Name: "1", Ballots: 1}}}), RuleKeepsForm},
		"lost CVR":               {manifest(Manifest{Audit: BallotPolling, Batches: []Batch{{Name: "1", Ballots: 1, CVR: true}}}), RuleKeepsForm},
		"no tabulators":          {manifest(Manifest{Audit: BallotComparison, Batches: one}), RuleMissing},
		"empty container":        {manifest(Manifest{Audit: BallotPolling, Containers: true, Batches: one}), RuleEmpty},
		"formula":                {manifest(Manifest{Audit: BallotPolling, Batches: []Batch{{Name: "=1", Ballots: 1}}}), RuleFormula},
		"nothing":                {manifest(Manifest{Audit: BallotPolling}), RuleNoRows},
		"jurisdiction all":       {contests(StandardContest{Name: "c", Jurisdictions: []string{"All"}}), RuleKeepsForm},
		"comma":                  {contests(StandardContest{Name: "c", Jurisdictions: []string{"a, b"}}), RuleKeepsForm},
		"no jurisdiction":        {contests(StandardContest{Name: "c", Jurisdictions: []string{}}), RuleEmpty},
		"vote for":               {contests(StandardContest{Name: "c (Vote For=2)"}), RuleKeepsForm},
		"choices of one":         {contests(StandardContest{Name: "c"}, StandardContest{Name: "d", Choices: []string{"x"}}), RuleEmpty},
		"totals without columns": {func(b *bytes.Buffer) error { return WriteBatchTotals(b, &BatchTotals{Rows: []BatchRow{{Batch: "1"}}}) }, RuleMissing},
		"email": {func(b *bytes.Buffer) error {
			return WriteJurisdictions(b, []Jurisdiction{{Name: "a", Admin: "nobody"}})
		}, RuleEmail},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			err := c.write(&b)
			var p *Problem
			if !errors.As(err, &p) || p.Rule != c.rule || b.Len() > 0 {
				t.Errorf("%v, %d bytes", err, b.Len())
			}
		})
	}
}

func TestContestsAndJurisdictionsOfArlo(t *testing.T) {
	got, err := ReadStandardContests("c.csv", open(t, "sample_standardized_contests.csv"))
	want := []StandardContest{
		{Name: "President of the United States"},
		{Name: "Congressional District 2", Jurisdictions: []string{"Adams County", "Alamosa County", "Denver County"}},
		{Name: "State Representative - District 5", Jurisdictions: []string{"Denver County"}},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	var b bytes.Buffer
	if err := WriteStandardContests(&b, got); err != nil {
		t.Fatal(err)
	}
	back, err := ReadStandardContests("b", &b)
	if d := cmp.Diff(want, back); err != nil || d != "" {
		t.Error(err, d)
	}
	for _, file := range []string{"sample_jurisdiction_filesheet.csv", "small-election/Small Election - jurisdictions.csv"} {
		js, err := ReadJurisdictions(file, open(t, file))
		if err != nil {
			t.Fatal(err)
		}
		js[0].Expected = 7
		if err := WriteJurisdictions(&b, js); err != nil {
			t.Fatal(err)
		}
		again, err := ReadJurisdictions("b", &b)
		if d := cmp.Diff(js, again); err != nil || d != "" {
			t.Error(err, d)
		}
	}
}

func TestContestNames(t *testing.T) {
	got, err := ReadStandardContests("c.csv", strings.NewReader("Contest Name,Jurisdictions,Choice Names\n\"Mayor\nof X (Vote For=2)\",ALL,a; b;c d\n"))
	want := []StandardContest{{Name: "Mayor of X", Choices: []string{"a", "b", "c d"}}}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	for doc, rule := range map[string]Rule{
		"Contest Name,Jurisdictions\nc (Vote For=1),all\nc,all\n":    RuleDuplicate,
		"Contest Name,Jurisdictions\nb,all\nc,\"x,,y\"\n":            RuleList,
		"Contest Name,Jurisdictions\nb,all\nc,\"x,x\"\n":             RuleList,
		"Contest Name,Jurisdictions,Choice Names\nb,all,a\nc,all,\n": RuleEmpty,
	} {
		_, err := ReadStandardContests("c.csv", strings.NewReader(doc))
		wantRule(t, err, rule, 3)
	}
	err = CheckContests("c.csv", []StandardContest{{Name: "c", Jurisdictions: []string{"x"}}}, []Jurisdiction{{Name: "y"}})
	wantRule(t, err, RuleJurisdiction, 0)
}

// spec is the description that the small election was made from.
type spec struct {
	Name          string
	Jurisdictions []struct{ Name string }
	Contests      []struct {
		Name          string
		VotesAllowed  int `json:"votes_allowed"`
		Ballots       int `json:"total_ballots_cast"`
		Winners       int `json:"number_of_winners"`
		Tally         map[string]int
		Jurisdictions []string
	}
}

func readSpec(t testing.TB) spec {
	t.Helper()
	raw, err := os.ReadFile(testtool.Shared(t, "arlo", "small-election", "small-election.spec.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s spec
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// The candidate totals of all counties are those of the description, each file
// agrees with its county's manifest, and all files survive writing and reading.
func TestSmallElectionAddsUp(t *testing.T) {
	s := readSpec(t)
	for _, c := range s.Contests {
		contest := Contest{Name: c.Name, VoteFor: c.VotesAllowed}
		for name := range c.Tally {
			contest.Choices = append(contest.Choices, Choice{Name: name})
		}
		got := map[string]int{}
		for _, j := range c.Jurisdictions {
			m := readManifest(t, BatchComparison, "small-election", j+" - ballot manifest.csv")
			file := j + " - " + c.Name + " - candidate totals by batch.csv"
			totals, err := ReadBatchTotals(file, open(t, "small-election", file))
			if err != nil {
				t.Fatal(err)
			}
			if err := totals.Check(file, m, false, contest); err != nil {
				t.Error(err)
			}
			for i, n := range totals.Sums() {
				got[totals.Columns[i]] += n
			}
			sameAfterWriting(t, totals)
		}
		if d := cmp.Diff(c.Tally, got); d != "" {
			t.Errorf("%s: %s", c.Name, d)
		}
	}
}

func sameAfterWriting(t *testing.T, totals *BatchTotals) {
	t.Helper()
	var b bytes.Buffer
	if err := WriteBatchTotals(&b, totals); err != nil {
		t.Fatal(err)
	}
	back, err := ReadBatchTotals("b", &b)
	if d := cmp.Diff(totals, back); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestSampleTotalsOfArlo(t *testing.T) {
	totals, err := ReadBatchTotals("t.csv", open(t, "sample_candidate_totals_by_batch.csv"))
	if err != nil {
		t.Fatal(err)
	}
	want := []int{1587, 3529, 5}
	if d := cmp.Diff(want, totals.Sums()); d != "" {
		t.Error(d)
	}
	sameAfterWriting(t, totals)
}

func TestTotalsAgainstTheManifest(t *testing.T) {
	m := &Manifest{Audit: BatchComparison, Batches: []Batch{{Name: "1", Ballots: 10}, {Name: "2", Ballots: 5}}}
	x := Contest{Name: "X", VoteFor: 2, Choices: []Choice{{Name: "a"}, {Name: "b"}}}
	y := Contest{Name: "Y", VoteFor: 1, Choices: []Choice{{Name: "a"}}}
	for name, c := range map[string]struct {
		doc      string
		several  bool
		contests []Contest
		rule     Rule
	}{
		"exactly all":     {"Batch Name,a,b\n1,10,10\n2,4,6\n", false, []Contest{x}, ""},
		"other order":     {"a,Batch Name,b\n4,2,6\n1,1,1\n", false, []Contest{x}, ""},
		"two contests":    {"Batch Name,X - a,Y - a,X - b\n1,10,10,10\n2,0,0,0\n", true, []Contest{x, y}, ""},
		"one vote over":   {"Batch Name,a,b\n1,10,10\n2,5,6\n", false, []Contest{x}, RuleTooManyVotes},
		"batch missing":   {"Batch Name,a,b\n1,1,1\n", false, []Contest{x}, RuleBatchMissing},
		"unknown batch":   {"Batch Name,a,b\n1,1,1\n2,1,1\n3,1,0\n", false, []Contest{x}, RuleBatchUnknown},
		"unknown choice":  {"Batch Name,a,b,c\n1,1,1,0\n2,1,1,0\n", false, []Contest{x}, RuleChoiceColumns},
		"choice missing":  {"Batch Name,a\n1,1\n2,1\n", false, []Contest{x}, RuleChoiceColumns},
		"contest unnamed": {"Batch Name,a,b\n1,1,1\n2,1,1\n", true, []Contest{x}, RuleChoiceColumns},
	} {
		t.Run(name, func(t *testing.T) {
			totals, err := ReadBatchTotals("t.csv", strings.NewReader(c.doc))
			if err != nil {
				t.Fatal(err)
			}
			err = totals.Check("t.csv", m, c.several, c.contests...)
			var p *Problem
			if c.rule == "" && err != nil || c.rule != "" && (!errors.As(err, &p) || p.Rule != c.rule) {
				t.Error(err)
			}
		})
	}
	twice := &Manifest{Audit: BallotComparison, Batches: []Batch{{Tabulator: "1", Name: "1", Ballots: 10}, {Tabulator: "2", Name: "1", Ballots: 5}}}
	wantRule(t, (&BatchTotals{}).Check("t.csv", twice, false), RuleDuplicate, 0)
}

// Each rule says what to do and is in FORMAT.md.
func TestRulesAreDocumented(t *testing.T) {
	format, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(source)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[1] != "Rule" || f[2] != "=" {
			continue
		}
		n++
		rule := strings.Trim(f[3], `"`)
		if Rule(rule).advice() == "" {
			t.Errorf("%s: no advice", rule)
		}
		if !strings.Contains(string(format), "`"+rule+"`") {
			t.Errorf("%s is not in FORMAT.md", rule)
		}
	}
	if n < 30 {
		t.Errorf("%d rules found in the source", n)
	}
	if Rule("").advice() != "" {
		t.Error("no rule has advice")
	}
}

func TestProblemSaysWhereRuleAndWhatToDo(t *testing.T) {
	_, err := ReadManifest("county.csv", strings.NewReader("Batch Name,Number of Ballots\n1,\"1,234\"\n"), BallotPolling)
	want := `county.csv, line 2, column 3 (Number of Ballots): rule no-thousands-separator: the number has separators: "1,234"; write the number without separators, 1234 and not 1,234`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	f, ok := verdict.Find(err)
	if !ok || f.Reason != verdict.ContentInvalid {
		t.Error(f)
	}
}
