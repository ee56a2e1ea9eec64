package dialect_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"sallyport/internal/ems/dialect"
)

// liberties are synthetic exports with one departure that is accepted.
func liberties() []edit {
	csv, js, es, ha, cb, vx := dialect.DominionCSV, dialect.DominionJSON, dialect.ESS, dialect.Hart, dialect.ClearBallot, dialect.VotingWorks
	rule := func(r dialect.Rule) string { return string(r) }
	return []edit{
		{csv, "x.csv", "Synthetic Election", "\ufeffSynthetic Election", rule(dialect.ByteOrderMark), "x.csv"},
		{csv, "x.csv", "\r\n2,", "\r\n\r\n2,", rule(dialect.BlankLine), "x.csv line 6"},
		{csv, "x.csv", "1,1,10,100", `="1",="1",="10",="100"`, rule(dialect.ExcelCell), "x.csv line 5 column 1"},
		{csv, "x.csv", "1,1,10,100", `"=""1""",1,10,100`, rule(dialect.ExcelCell), "x.csv line 5 column 1"},
		{csv, "x.csv", "\r\n2,", ",,\r\n2,", rule(dialect.TrailingCells), "x.csv line 5 column 17"},
		{csv, "x.csv", "CvrNumber", "Sequence", rule(dialect.ColumnIgnored), "x.csv line 4 column 1"},
		{csv, "x.csv", "CountingGroup", "Group", rule(dialect.ColumnMissing), "x.csv line 4 (CountingGroup)"},
		{csv, "x.csv", "Contest 1 (Vote For=1),Contest 1 (Vote For=1)", "\"Contest 1\r\n(Vote For=1)\",\"Contest 1 \n (Vote For=1)\"", rule(dialect.LineBreak), "x.csv line 2 column 9"},
		{csv, "x.csv", "Candidate 1,", "Write-In 2,", "", ""},
		{csv, "x.csv", "Candidate 1,", "Write-in,", rule(dialect.WriteInColumns), "x.csv line 3 column 11"},
		{csv, "x.csv", ",100,1-10-100", ",X,1-10-100", rule(dialect.IDMissing), "x.csv line 5"},
		{cb, "x.csv", ",1,,,1", ",1,Fixed,,1", rule(dialect.StatusIgnored), "x.csv line 2"},
		{es, "x/records.csv", "undervote", "Undervote", rule(dialect.WordCase), "x/records.csv line"},
		{es, "x/records.csv", "Contest 2: a colon,Contest 2: a colon", "Contest 2: a colon,", rule(dialect.HeadingEmpty), "x/records.csv line 1 column 6"},
		{es, "x/records.csv", "Cast Vote Record,Precinct", "Cast Vote Record,Split", rule(dialect.ColumnMissing), "x/records.csv line 1 (Precinct)"},
		{ha, firstSheet, "<IsBlank>", "<Extra>1</Extra><IsBlank>", rule(dialect.MemberIgnored), "(/Cvr/Extra)"},
		{js, "x/ContestManifest.json", `"VoteFor"`, `"Colour":1,"VoteFor"`, rule(dialect.MemberIgnored), "x/ContestManifest.json#/List/0/Colour"},
		{js, "x/CvrExport_1.json", `"RecordId":100`, `"RecordId":"X"`, rule(dialect.IDMissing), "x/CvrExport_1.json#/Sessions/0"},
		{vx, "x/metadata.json", `"arePollsClosed"`, `"colour":1,"arePollsClosed"`, rule(dialect.MemberIgnored), "x/metadata.json#/colour"},
		{vx, "x/metadata.json", `"sheetCount":17`, `"sheetCount":18`, rule(dialect.SheetCount), "x/metadata.json#/batchManifest"},
		{vx, firstReport, `"OtherStatus":"{\"ballotType\":\"Election Day\"}",`, "", "", ""},
	}
}

func TestLibertiesAreReported(t *testing.T) {
	for _, e := range liberties() {
		t.Run(string(e.kind)+" "+e.rule+" "+e.to, func(t *testing.T) {
			s := synth(t, e.kind)
			got, err := all(e.kind, s.edited(t, e.file, e.from, e.to), s.path)
			if err != nil {
				t.Fatal(err)
			}
			if e.rule != "" {
				reported(t, got, dialect.Rule(e.rule), e.where)
			}
		})
	}
}

func reported(t *testing.T, got []dialect.Deviation, rule dialect.Rule, where string) {
	t.Helper()
	for _, d := range got {
		if d.Rule == rule {
			if !strings.Contains(d.Where, where) || d.Consequence == "" || d.Count < 1 {
				t.Errorf("%+v, want it at %q", d, where)
			}
			return
		}
	}
	t.Errorf("%s was not reported: %+v", rule, got)
}

func TestAbsentFilesAndMembersAreReported(t *testing.T) {
	ess := synESS()
	got, err := all(dialect.ESS, fstest.MapFS{"x.csv": ess["x/records.csv"]}, "x.csv")
	if err != nil {
		t.Fatal(err)
	}
	reported(t, got, dialect.ListMissing, "x.csv")

	ess["x/readme.txt"] = &fstest.MapFile{}
	if got, err = all(dialect.ESS, ess, "x"); err != nil {
		t.Fatal(err)
	}
	reported(t, got, dialect.FileIgnored, "x/readme.txt")

	vx := synVotingWorks()
	f := vx[firstReport]
	f.Data = bytes.ReplaceAll(f.Data, []byte(`"OtherStatus":"{\"ballotType\":\"Election Day\"}",`), nil)
	if got, err = all(dialect.VotingWorks, vx, "x"); err != nil {
		t.Fatal(err)
	}
	reported(t, got, dialect.MethodMissing, firstReport)
}

// A deviation changes how something is written, and not what is read.
func TestSpreadsheetCellsReadAsTheirText(t *testing.T) {
	s := synth(t, dialect.DominionCSV)
	src, err := dialect.Open(s.kind, s.edited(t, "x.csv", "1,1,10,100", `="1",="1","=""10""",="100"`), s.path)
	if err != nil {
		t.Fatal(err)
	}
	_, ballots := drain(t, src)
	if b := ballots[0]; b.ID != "1-10-100" || b.Device != "1" || b.Batch != "10" {
		t.Errorf("%+v", b)
	}
}

// Several columns for write-ins are one choice, with as many marks.
func TestWriteInColumnsAreOneChoice(t *testing.T) {
	s := synth(t, dialect.DominionCSV)
	src, err := dialect.Open(s.kind, s.edited(t, "x.csv", "Candidate 1,", "Write-in,"), s.path)
	if err != nil {
		t.Fatal(err)
	}
	cat, ballots := drain(t, src)
	if n := len(cat.Contests[0].Choices); n != 2 {
		t.Errorf("%d choices", n)
	}
	if got := count(cat, ballots)["Contest 1/Write-in"]; got != 8 { // each of the two columns has 4
		t.Errorf("%d votes", got)
	}
}

// Every liberty of the list is taken in a test.
func TestEveryDeviationIsTested(t *testing.T) {
	src, err := os.ReadFile("deviation.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := ""
	for _, name := range []string{"deviation_test.go", "synthetic_test.go", "votingworks_test.go"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests += string(data)
	}
	rules := regexp.MustCompile(`(?m)^\t(\w+) +Rule = `).FindAllStringSubmatch(string(src), -1)
	if len(rules) != 19 {
		t.Errorf("%d deviations, want 19: change this number together with FORMAT.md", len(rules))
	}
	for _, r := range rules {
		if !strings.Contains(tests, "dialect."+r[1]) {
			t.Errorf("no test takes the liberty %s", r[1])
		}
	}
}
