package rla

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dominionRows reads an export as Arlo does, by position of the headers.
func dominionRows(t testing.TB, r io.Reader) (contests []Contest, records []CVR) {
	t.Helper()
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	const first = 8
	column := make([]int, len(rows[1]))
	for i := first; i < len(rows[1]); i++ {
		name, rest, ok := strings.Cut(rows[1][i], " (Vote For=")
		n, err := strconv.Atoi(strings.TrimSuffix(rest, ")"))
		if !ok || err != nil {
			t.Fatalf("contest header %q", rows[1][i])
		}
		if len(contests) == 0 || contests[len(contests)-1].Name != name {
			contests = append(contests, Contest{Name: name, VoteFor: n})
		}
		c := &contests[len(contests)-1]
		c.Choices = append(c.Choices, Choice{Name: rows[2][i]})
		column[i] = len(contests) - 1
	}
	for _, row := range rows[4:] {
		position, err := strconv.Atoi(row[3])
		if err != nil {
			t.Fatal(err)
		}
		r := CVR{Tabulator: row[1], Batch: row[2], Position: position, Imprinted: row[4], Group: row[5], Precinct: row[6], Style: row[7]}
		for i := first; i < len(row); i++ {
			name := contests[column[i]].Name
			if row[i] == "" {
				continue
			}
			if len(r.Contests) == 0 || r.Contests[len(r.Contests)-1].Contest != name {
				r.Contests = append(r.Contests, Selection{Contest: name})
			}
			if s := &r.Contests[len(r.Contests)-1]; row[i] == "1" {
				s.Choices = append(s.Choices, rows[2][i])
			}
		}
		records = append(records, r)
	}
	return contests, records
}

func smallElection(t testing.TB, county string) (Export, []CVR) {
	contests, records := dominionRows(t, open(t, "small-election", county+" - cvrs.csv"))
	return Export{Election: "Small Election", Contests: contests, Manifest: readManifest(t, BallotComparison, "small-election", county+" - ballot manifest.csv")}, records
}

func each(records []CVR) CVRs {
	return func(yield func(CVR, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func sorted(t testing.TB, records []CVR) CVRs {
	t.Helper()
	s, err := Sorted(each(records))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Written again, the records of a county are those that Arlo gave out, and
// their votes are those of the candidate totals by batch.
func TestDominionExportIsThatOfTheSmallElection(t *testing.T) {
	for _, county := range []string{"Kendall Park", "Waurika", "Siletz", "Worthington Hills", "Mount Olive"} {
		e, records := smallElection(t, county)
		var b bytes.Buffer
		if err := WriteCVRs(&b, Dominion, e, sorted(t, records)); err != nil {
			t.Fatal(err)
		}
		original, err := io.ReadAll(open(t, "small-election", county+" - cvrs.csv"))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(withoutNumbers(string(original)), withoutNumbers(b.String())); d != "" {
			t.Errorf("%s: %s", county, d)
		}
		_, back := dominionRows(t, &b)
		for _, c := range e.Contests {
			totalsAgree(t, county, c, back)
		}
	}
}

// withoutNumbers gives the rows of an export in one order, without version and
// CvrNumber.
func withoutNumbers(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\r\n")
	lines[0] = strings.Replace(lines[0], "5.2.16.1", "sallyport", 1)
	for i := range lines[4:] {
		_, lines[4+i], _ = strings.Cut(lines[4+i], ",")
	}
	slices.Sort(lines[4:])
	return lines
}

func totalsAgree(t *testing.T, county string, c Contest, records []CVR) {
	t.Helper()
	got := map[string]map[string]int{}
	has := false
	for _, r := range records {
		if got[r.Batch] == nil {
			got[r.Batch] = map[string]int{}
		}
		for _, s := range r.Contests {
			has = has || s.Contest == c.Name
			if s.Contest != c.Name || len(s.Choices) > c.VoteFor {
				continue
			}
			for _, ch := range s.Choices {
				got[r.Batch][ch]++
			}
		}
	}
	if !has {
		return
	}
	file := county + " - " + c.Name + " - candidate totals by batch.csv"
	totals, err := ReadBatchTotals(file, open(t, "small-election", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range totals.Rows {
		for i, n := range r.Votes {
			if got[r.Batch][totals.Columns[i]] != n {
				t.Errorf("%s, %s, %s: %d votes, the file has %d", county, c.Name, r.Batch, got[r.Batch][totals.Columns[i]], n)
			}
		}
	}
}

var threeContests = Export{Election: "Test", Contests: []Contest{
	{Name: "Mayor", VoteFor: 1, Choices: []Choice{{"Ann", "A"}, {"Bob", ""}, {"Write-In", ""}}},
	{Name: "Measure, 1", VoteFor: 1, Choices: []Choice{{"Yes", ""}, {"No", ""}}},
}}

// someRecords have all that a contest can have on a sheet.
func someRecords() []CVR {
	return []CVR{
		{ID: "0a", Tabulator: "T1", Batch: "1", Group: "Mail", Precinct: "P", Style: "S", Contests: []Selection{{"Mayor", []string{"Bob"}}, {"Measure, 1", nil}}},
		{ID: "3f", Tabulator: "T2", Batch: "1", Precinct: "P", Style: "S", Contests: []Selection{{"Mayor", []string{"Ann", "Bob"}}, {"Measure, 1", []string{"No"}}}},
		{ID: "9c", Tabulator: "T1", Batch: "1", Precinct: "P", Style: "S", Contests: []Selection{{"Mayor", []string{"Write-In"}}}},
		{ID: "e0", Tabulator: "T1", Batch: "2", Precinct: "Q", Style: "S", Imprinted: "00000000000000ab", Contests: []Selection{{"Measure, 1", []string{"Yes"}}}},
	}
}

const dominionGolden = "Test,sallyport,,,,,,,,,,,\r\n" +
	",,,,,,,,Mayor (Vote For=1),Mayor (Vote For=1),Mayor (Vote For=1),\"Measure, 1 (Vote For=1)\",\"Measure, 1 (Vote For=1)\"\r\n" +
	",,,,,,,,Ann,Bob,Write-In,Yes,No\r\n" +
	"CvrNumber,TabulatorNum,BatchId,RecordId,ImprintedId,CountingGroup,PrecinctPortion,BallotType,A,,,,\r\n" +
	"1,T1,1,1,0a,Mail,P,S,0,1,0,0,0\r\n" +
	"2,T2,1,1,3f,,P,S,1,1,0,0,1\r\n" +
	"3,T1,1,2,9c,,P,S,0,0,1,,\r\n" +
	"4,T1,2,1,00000000000000ab,,Q,S,,,,1,0\r\n"

const clearBallotGolden = "RowNumber,BoxID,BoxPosition,BallotID,PrecinctID,BallotStyleID,PrecinctStyleName,ScanComputerName,Status,Remade," +
	"Choice_1_1:Mayor:Vote For 1:Ann:A,Choice_2_1:Mayor:Vote For 1:Bob:Non-Partisan,Choice_3_1:Mayor:Vote For 1:Write-In:Non-Partisan," +
	"\"Choice_4_1:Measure, 1:Vote For 1:Yes:Non-Partisan\",\"Choice_5_1:Measure, 1:Vote For 1:No:Non-Partisan\"\r\n" +
	"1,1,1,0a,P,S,S,T1,Complete,0,0,1,0,0,0\r\n" +
	"2,1,1,3f,P,S,S,T2,Complete,0,1,1,0,0,1\r\n" +
	"3,1,2,9c,P,S,S,T1,Complete,0,0,0,1,,\r\n" +
	"4,2,1,00000000000000ab,Q,S,S,T1,Complete,0,,,,1,0\r\n"

const essGolden = "Cast Vote Record,Precinct,Ballot Style,Mayor,\"Measure, 1\"\r\n" +
	"1,P,S,Bob,undervote\r\n2,P,S,overvote,No\r\n3,P,S,Write-In,\r\n4,Q,S,,Yes\r\n" +
	"---\r\nCast Vote Record,Batch,Ballot Status,Ballot Style,Reporting Group,Tabulator CVR,Precinct,Machine\r\n" +
	"1,1,Not Reviewed,S,Mail,0000000001,P,T1\r\n2,1,Not Reviewed,S,,0000000001,P,T2\r\n" +
	"3,1,Not Reviewed,S,,0000000002,P,T1\r\n4,2,Not Reviewed,S,,00000000000000ab,Q,T1\r\n"

const hartGolden = "#FormatVersion 1\r\n#BatchId,Workstation,UniqueIdentifier,CvrId\r\n1,T1,0a,0a\r\n1,T2,3f,3f\r\n1,T1,9c,9c\r\n2,T1,00000000000000ab,e0\r\n"

// exports are all forms, each as one text.
func exports(e Export, records CVRs) map[string]func() (string, error) {
	file := func(f Form) func() (string, error) {
		return func() (string, error) {
			var b bytes.Buffer
			err := WriteCVRs(&b, f, e, records)
			return b.String(), err
		}
	}
	return map[string]func() (string, error){
		"dominion": file(Dominion), "clearballot": file(ClearBallot),
		"ess": func() (string, error) {
			var a, b bytes.Buffer
			err := WriteESS(&a, &b, e, records)
			return a.String() + "---\r\n" + b.String(), err
		},
		"hart": func() (string, error) {
			var a, b bytes.Buffer
			err := WriteHart(&a, &b, e, records)
			return b.String(), err
		},
	}
}

// In whatever order the ballots were cast, an export is the same.
func TestExportsShowNoCastOrder(t *testing.T) {
	golden := map[string]string{"dominion": dominionGolden, "clearballot": clearBallotGolden, "ess": essGolden, "hart": hartGolden}
	for n := range uint64(5) {
		records := someRecords()
		rand.New(rand.NewPCG(n, 0)).Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		for name, write := range exports(threeContests, sorted(t, records)) {
			got, err := write()
			if err != nil {
				t.Fatal(name, err)
			}
			if d := cmp.Diff(golden[name], got); d != "" {
				t.Errorf("%s: %s", name, d)
			}
		}
	}
}

// What Arlo reads of a Hart sheet is what was on it.
func TestHartSheets(t *testing.T) {
	var a, b bytes.Buffer
	if err := WriteHart(&a, &b, threeContests, each(someRecords())); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(a.Bytes()), int64(a.Len()))
	if err != nil {
		t.Fatal(err)
	}
	type option struct{ Name, Value string }
	type sheet struct {
		XMLName  xml.Name
		Contests []struct {
			Name    string
			Options []option `xml:"Options>Option"`
		} `xml:"Contests>Contest"`
		BatchNumber, BatchSequence, CvrGuid string
	}
	var got []string
	for _, f := range z.File {
		if !f.Modified.IsZero() && f.Modified.Year() > 1980 {
			t.Errorf("%s has the time %v", f.Name, f.Modified)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		var s sheet
		if err := xml.NewDecoder(r).Decode(&s); err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprint(f.Name, " ", s.XMLName.Space, " ", s.CvrGuid, " ", s.BatchNumber, "/", s.BatchSequence)
		for _, c := range s.Contests {
			line += fmt.Sprint(" ", c.Name, c.Options)
		}
		got = append(got, line)
	}
	const ns = " http://tempuri.org/CVRDesign.xsd "
	want := []string{
		"00000001.xml" + ns + "0a 1/1 Mayor[{Bob 1}] Measure, 1[]",
		"00000002.xml" + ns + "3f 1/1 Mayor[{Ann 1} {Bob 1}] Measure, 1[{No 1}]",
		"00000003.xml" + ns + "9c 1/2 Mayor[{Write-In 1}]",
		"00000004.xml" + ns + "e0 2/1 Measure, 1[{Yes 1}]",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestExportsThatAreRefused(t *testing.T) {
	all := []string{"dominion", "clearballot", "ess", "hart"}
	for name, c := range map[string]struct {
		change func(*Export, []CVR) []CVR
		rule   Rule
		forms  []string
	}{
		"cast order":      {func(e *Export, r []CVR) []CVR { r[0], r[1] = r[1], r[0]; return r }, RuleCVROrder, all},
		"same id":         {func(e *Export, r []CVR) []CVR { r[1].ID = r[0].ID; return r }, RuleCVROrder, all},
		"no id":           {func(e *Export, r []CVR) []CVR { r[0].ID = ""; return r }, RuleCVROrder, all},
		"some positions":  {func(e *Export, r []CVR) []CVR { r[3].Position = 1; return r }, RuleCVROrder, all},
		"no records":      {func(e *Export, r []CVR) []CVR { return nil }, RuleCVR, all},
		"unknown contest": {func(e *Export, r []CVR) []CVR { r[0].Contests[0].Contest = "X"; return r }, RuleCVR, all},
		"unknown choice":  {func(e *Export, r []CVR) []CVR { r[0].Contests[0].Choices[0] = "Zoe"; return r }, RuleCVR, all},
		"choice twice":    {func(e *Export, r []CVR) []CVR { r[0].Contests[0].Choices = []string{"Bob", "Bob"}; return r }, RuleCVR, all},
		"contest twice":   {func(e *Export, r []CVR) []CVR { r[0].Contests[1] = r[0].Contests[0]; return r }, RuleCVR, all},
		"no batch":        {func(e *Export, r []CVR) []CVR { r[0].Batch = ""; return r }, RuleEmpty, all},
		"no contests":     {func(e *Export, r []CVR) []CVR { e.Contests = nil; return r }, RuleCVR, all},
		"two of one name": {func(e *Export, r []CVR) []CVR { e.Contests[1].Name = "Mayor"; return r }, RuleCVR, all},
		"formula":         {func(e *Export, r []CVR) []CVR { r[0].Precinct = "=1"; return r }, RuleFormula, all},
		"vote for two":    {func(e *Export, r []CVR) []CVR { e.Contests[0].VoteFor = 2; return r }, RuleCVRForm, []string{"ess", "hart"}},
		"colon":           {func(e *Export, r []CVR) []CVR { e.Contests[0].Choices[0].Name = "A: B"; return r }, RuleCVRForm, []string{"clearballot"}},
		"overvote":        {func(e *Export, r []CVR) []CVR { e.Contests[0].Choices[0].Name = "overvote"; return r }, RuleCVRForm, []string{"ess"}},
		"column":          {func(e *Export, r []CVR) []CVR { e.Contests[0].Name = "Precinct"; return r }, RuleCVRForm, []string{"ess"}},
		"imprinted":       {func(e *Export, r []CVR) []CVR { r[0].Imprinted = "x"; return r }, RuleCVRForm, []string{"ess"}},
		"not in manifest": {func(e *Export, r []CVR) []CVR { e.Manifest = &Manifest{}; return r }, RuleBatchUnknown, all},
		"more than ballots": {func(e *Export, r []CVR) []CVR {
			e.Manifest = &Manifest{Batches: []Batch{{Tabulator: "T1", Name: "1", Ballots: 1}, {Tabulator: "T2", Name: "1", Ballots: 1}}}
			return r
		}, RuleTooManyBallots, all},
	} {
		e := threeContests
		e.Contests = nil
		for _, c := range threeContests.Contests {
			c.Choices = slices.Clone(c.Choices)
			e.Contests = append(e.Contests, c)
		}
		records := c.change(&e, someRecords())
		writers := exports(e, each(records))
		for _, form := range c.forms {
			_, err := writers[form]()
			var p *Problem
			if !errors.As(err, &p) || p.Rule != c.rule {
				t.Errorf("%s, %s: %v, want the rule %s", name, form, err, c.rule)
				continue
			}
			for _, vote := range []string{"Bob", "Ann", "Zoe", "Yes", "No\""} {
				if strings.Contains(err.Error(), vote) {
					t.Errorf("%s, %s: the error quotes a vote: %v", name, form, err)
				}
			}
		}
	}
	failed := errors.New("disk")
	for name, write := range exports(threeContests, func(yield func(CVR, error) bool) { yield(CVR{}, failed) }) {
		if _, err := write(); !errors.Is(err, failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := WriteCVRs(io.Discard, "other", threeContests, each(someRecords())); err == nil {
		t.Error("a form that there is not")
	}
}

// Positions that are on the paper decide the order, and are what Arlo counts.
func TestPositionsOnThePaper(t *testing.T) {
	records := []CVR{
		{ID: "1", Tabulator: "T1", Batch: "1", Position: 7, Imprinted: "X7", Contests: []Selection{{"Mayor", nil}}},
		{ID: "2", Tabulator: "T1", Batch: "1", Position: 2, Contests: []Selection{{"Mayor", nil}}},
	}
	var b bytes.Buffer
	if err := WriteCVRs(&b, Dominion, threeContests, sorted(t, records)); err != nil {
		t.Fatal(err)
	}
	_, got := dominionRows(t, &b)
	if got[0].Position != 2 || got[0].Imprinted != "T1-1-2" || got[1].Position != 7 || got[1].Imprinted != "X7" {
		t.Errorf("%+v", got)
	}
}
