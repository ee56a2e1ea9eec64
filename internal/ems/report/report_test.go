package report

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/ems/results"
	"sallyport/internal/testtool"
)

type maker = func(*results.Results, Options) (*Report, error)

func all() map[string]maker {
	return map[string]maker{"Summary of Results": Summary, "Statement of Votes Cast": StatementOfVotes, "Precinct Canvass": PrecinctCanvass, "Turnout": Turnout,
		"Results by Voting Method": ByMethod, "Ranked Choice: Round by Round": RankedRounds, "Write-in Votes": WriteIns}
}

func made(t testing.TB, make maker, r *results.Results) *Report {
	t.Helper()
	p, err := make(r, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// text is a report as text: of HTML what its elements hold, of PDF what
// pdftotext reads.
func htmlOf(t testing.TB, p *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// csvOf is the rows of a report's CSV by the names of their columns.
func csvOf(t testing.TB, p *Report) (about map[string]string, rows []map[string]string) {
	t.Helper()
	var b bytes.Buffer
	if err := p.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	head, table, ok := strings.Cut(b.String(), "\r\n\r\n")
	if !ok {
		t.Fatalf("no table in %q", b.String())
	}
	about = map[string]string{}
	lines, err := csv.NewReader(strings.NewReader(head)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		about[l[0]] = l[1]
	}
	lines, err = csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = l[i]
		}
		rows = append(rows, row)
	}
	return about, rows
}

// Each page of each form says what it is of.
func TestEveryPageSaysWhatItIs(t *testing.T) {
	r := maple(t)
	r.Test, r.Provenance = true, "Files given by hand"
	for title, make := range all() {
		t.Run(title, func(t *testing.T) {
			p := made(t, make, r)
			text := htmlOf(t, p)
			for _, want := range []string{"Maple General &lt;2026&gt;", "Maple County", "UNOFFICIAL – COMPLETE", "2026-11-04 05:06:07 UTC", "TEST — NOT RESULTS", "5f2c91aa00000000…", "77aa", "8841 qm9x", "Files given by hand", "2 of 2", title} {
				if !strings.Contains(text, want) {
					t.Errorf("HTML says nothing of %q", want)
				}
			}
			var b bytes.Buffer
			if err := p.WritePDF(&b); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(t.TempDir(), "r.pdf")
			if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			pages := strings.Split(strings.TrimSuffix(string(testtool.Run(t, "pdftotext", "-layout", name, "-")), "\f"), "\f")
			for i, page := range pages {
				page = strings.Join(strings.Fields(page), " ")
				for _, want := range []string{"TEST — NOT RESULTS", "UNOFFICIAL – COMPLETE", "Report 4", "Generated 2026-11-04 05:06:07 UTC", "Definition 5f2c91aa", "Log head 8841", "Files given by hand"} {
					if !strings.Contains(page, want) {
						t.Errorf("page %d of %d says nothing of %q", i+1, len(pages), want)
					}
				}
			}
			about, rows := csvOf(t, p)
			if about["Notice"] != "TEST — NOT RESULTS" || about["Report"] != title || len(rows) == 0 && title != "Turnout" {
				t.Errorf("CSV: %v, %d rows", about, len(rows))
			}
		})
	}
}

// The numbers of the CSV files are those of the results.
func TestNumbers(t *testing.T) {
	r := maple(t)
	total := func(id, choice string) string {
		for i := range r.Contests {
			if c := &r.Contests[i]; c.ID == id {
				return of(c, c.Total(), choice)
			}
		}
		return "no contest " + id
	}
	_, rows := csvOf(t, made(t, Summary, r))
	n := 0
	for _, row := range rows {
		if row["choice_id"] != "" && row["choice_id"] != "votes" {
			n++
			if want := total(row["contest_id"], row["choice_id"]); row["votes"] != want {
				t.Errorf("summary: %v, want %s", row, want)
			}
		}
	}
	if n != 20+9*3 {
		t.Errorf("%d rows", n)
	}
	units := map[string]map[string]results.Line{}
	methods := map[string]map[string]results.Line{}
	for i := range r.Contests {
		units[r.Contests[i].ID], methods[r.Contests[i].ID] = r.Contests[i].ByUnit(), r.Contests[i].ByMethod()
	}
	contest := func(id string) *results.Contest {
		return &r.Contests[slices.IndexFunc(r.Contests, func(c results.Contest) bool { return c.ID == id })]
	}
	_, rows = csvOf(t, made(t, StatementOfVotes, r))
	sums := map[string]int64{}
	for _, row := range rows {
		want := total(row["contest_id"], row["choice_id"])
		if row["unit_id"] != "" {
			want = of(contest(row["contest_id"]), units[row["contest_id"]][row["unit_id"]], row["choice_id"])
			v, _ := strconv.ParseInt(row["votes"], 10, 64)
			sums[row["contest_id"]+row["choice_id"]] += v
		} else if got := sums[row["contest_id"]+row["choice_id"]]; fmt.Sprint(got) != row["votes"] {
			t.Errorf("statement: the units of %v have %d", row, got)
		}
		if row["votes"] != want {
			t.Errorf("statement: %v, want %s", row, want)
		}
	}
	_, rows = csvOf(t, made(t, ByMethod, r))
	for _, row := range rows {
		want := total(row["contest_id"], row["choice_id"])
		switch kind := row["method"]; kind {
		case results.Total:
		case "undivided":
			want = of(contest(row["contest_id"]), methods[row["contest_id"]][results.Total], row["choice_id"])
		default:
			want = of(contest(row["contest_id"]), methods[row["contest_id"]][kind], row["choice_id"])
		}
		if row["votes"] != want {
			t.Errorf("by method: %v, want %s", row, want)
		}
	}
	_, rows = csvOf(t, made(t, Turnout, r))
	last := rows[len(rows)-1]
	if len(rows) != 3 || last["total"] != "591" || last["registered"] != "900" || last["turnout_percent"] != "65.67" || rows[1]["unit_id"] != "p2" || rows[1]["total"] != "394" || rows[0]["absentee"] != "14" {
		t.Errorf("turnout: %v", rows)
	}
}

// The canvass of a precinct has what was cast in its units, by way of voting.
func TestCanvassNumbers(t *testing.T) {
	r := maple(t)
	units := map[string][]string{"p1": {"p1"}, "p2": {"p2a", "p2b"}}
	_, rows := csvOf(t, made(t, PrecinctCanvass, r))
	n := 0
	for _, row := range rows {
		c := &r.Contests[slices.IndexFunc(r.Contests, func(c results.Contest) bool { return c.ID == row["contest_id"] })]
		want := c.Sum(func(l *results.Line) bool {
			return slices.Contains(units[row["precinct_id"]], l.UnitID) && (row["method"] == results.Total || l.Type == row["method"] || row["method"] == "undivided" && l.Type == results.Total)
		})
		if got := of(c, want, row["choice_id"]); got != row["votes"] {
			t.Errorf("%v, want %s", row, got)
		}
		n++
	}
	if want := (20+9*3+20-3+9*3-3)*5 + 6; n != want { // options and other counts in two precincts; the council in one
		t.Errorf("%d rows, want %d", n, want)
	}
}

func TestRoundsTable(t *testing.T) {
	rows := table(t, htmlOf(t, made(t, RankedRounds, maple(t))), "Mayor: rounds")
	want := [][]string{{"Choice", "Round 1", "Round 2"}, {"Gil", "150", "151"}, {"Hal", "120.5", "199.75 elected"}, {"Ida", "80.25 eliminated", "–"}, {"Threshold", "200", "200"}, {"Inactive: exhausted choices", "3", ""}}
	if len(rows) != len(want) {
		t.Fatalf("%q", rows)
	}
	for i := range want {
		if !slices.Equal(rows[i], want[i]) {
			t.Errorf("%q, want %q", rows[i], want[i])
		}
	}
}

// Decided names and what is left of the written votes.
func TestWriteInsTable(t *testing.T) {
	r := maple(t)
	written := r.Contests[0].Total().Votes[2]
	_, rows := csvOf(t, made(t, WriteIns, r))
	want := map[string]int64{"Zoe Zeta": written - 1, "Other written votes": 1, "All written votes": written}
	if len(rows) != len(want) {
		t.Fatalf("%v", rows)
	}
	for _, row := range rows {
		if row["votes"] != fmt.Sprint(want[row["name"]]) {
			t.Errorf("%v", row)
		}
	}
}

// of is a count of a line by the word of the CSV.
func of(c *results.Contest, l results.Line, choice string) string {
	switch choice {
	case "overvotes":
		return fmt.Sprint(l.Overvotes)
	case "undervotes":
		return fmt.Sprint(l.Undervotes)
	case "ballots":
		return fmt.Sprint(l.Ballots)
	}
	for k := range c.Options {
		if c.Options[k].ID == choice {
			return fmt.Sprint(l.Votes[k])
		}
	}
	return "no choice " + choice
}

// table is the rows of the HTML table of a caption.
func table(t *testing.T, doc, caption string) (rows [][]string) {
	t.Helper()
	i := strings.Index(doc, caption+"</caption>")
	if i < 0 {
		t.Fatalf("no table %q", caption)
	}
	doc = doc[i:]
	doc = "<t>" + doc[strings.Index(doc, "</caption>")+len("</caption>"):strings.Index(doc, "</table>")] + "</t>"
	d := xml.NewDecoder(strings.NewReader(doc))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var text strings.Builder
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			if x.Name.Local == "tr" {
				rows = append(rows, nil)
			}
			text.Reset()
		case xml.CharData:
			text.Write(x)
		case xml.EndElement:
			if x.Name.Local == "td" || x.Name.Local == "th" {
				rows[len(rows)-1] = append(rows[len(rows)-1], strings.TrimSpace(text.String()))
			}
		}
	}
}

// A clerk finds the lines of a statement: splits are added up, totals stand last.
func TestStatementTable(t *testing.T) {
	r := maple(t)
	c := &r.Contests[0]
	rows := table(t, htmlOf(t, made(t, StatementOfVotes, r)), "President: votes by precinct")
	if len(rows) != 6 || !slices.Equal(rows[0], []string{"Precinct", "Ballots", "Ann Alpha / Ben Beta (RED)", "=Cy Gamma (BLU, RED)", "Write-in", "Overvotes", "Undervotes"}) {
		t.Fatalf("%q", rows)
	}
	in := c.In(r.Precincts())
	total := c.Total()
	by := c.ByUnit()
	a, b := by["p2a"], by["p2b"]
	for i, l := range append(in, &a, &b, &total) {
		want := []string{[]string{"Precinct 1", "Precinct 2 & 3", "of which Precinct 2A", "of which Precinct 2B", "Total"}[i]}
		for _, n := range append(append([]int64{l.Ballots}, l.Votes...), l.Overvotes, l.Undervotes) {
			want = append(want, count(n))
		}
		if !slices.Equal(rows[i+1], want) {
			t.Errorf("%q, want %q", rows[i+1], want)
		}
	}
}

// The printed summary has totals and outcomes.
func TestSummaryPDF(t *testing.T) {
	r := maple(t)
	r.Status = results.Certified
	var b bytes.Buffer
	if err := made(t, Summary, r).WritePDF(&b); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "s.pdf")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(testtool.Run(t, "pdftotext", "-layout", name, "-"))), " ")
	for i := range r.Contests {
		total := r.Contests[i].Total()
		for k, n := range total.Votes {
			want := r.Contests[i].Options[k].Name
			if !strings.Contains(text, want) || !strings.Contains(text, count(n)+" "+results.Percent(n, total.Cast(), 2)+" %") {
				t.Errorf("%s: %d votes are not there", want, n)
			}
		}
	}
	for _, want := range []string{"Precincts Reporting 2 of 2", "Vote For 2 (elects 2) · Precincts Reporting 1 of 1", "OFFICIAL – CERTIFIED", "Elected: Hal.", "Ballots Cast 591", "Turnout 65.67 %", "BLU Primary"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

func TestOutcomeWords(t *testing.T) {
	r := maple(t)
	r.Status = results.UnofficialPartial
	text := htmlOf(t, made(t, Summary, r))
	if !strings.Contains(text, "Too early to say") || !strings.Contains(text, ">leading<") || strings.Contains(text, "Elected:") || strings.Contains(text, ">winner<") {
		t.Error("a partial count says who won")
	}
}

// Formulas, markup and paths in names stay text.
func TestNamesAreText(t *testing.T) {
	r := maple(t)
	var b bytes.Buffer
	if err := made(t, Summary, r).WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "'=Cy Gamma") || regexp.MustCompile(`(^|,)=`).MatchString(b.String()) {
		t.Error("a name is a formula")
	}
}

// What cannot be seen, and so could deceive, is refused in every form.
func TestInvisibleTextIsRefused(t *testing.T) {
	r := maple(t)
	r.Contests[0].Options[0].Name = "Ann\u202eahplA"
	p := made(t, Summary, r)
	if err := p.WriteHTML(io.Discard); err == nil {
		t.Error("HTML with a mark of direction")
	}
	if err := p.WritePDF(io.Discard); err == nil {
		t.Error("PDF with a mark of direction")
	}
}

// The shares of the ways of voting.
func TestTurnoutByMethod(t *testing.T) {
	rows := table(t, htmlOf(t, made(t, Turnout, maple(t))), "Ballots by voting method")
	if !slices.Equal(rows[1], []string{"Election Day", "360", "60.91 %", "40.00 %"}) || !slices.Equal(rows[5], []string{"Total", "591", "100.00 %", "65.67 %"}) {
		t.Errorf("%q", rows)
	}
}

func TestZeroReport(t *testing.T) {
	r := maple(t)
	if _, err := ZeroReport(r, Options{}); !errors.Is(err, ErrNotZero) {
		t.Error(err)
	}
	r.Status = results.PreElection
	for _, make := range all() {
		if _, err := make(r, Options{}); !errors.Is(err, ErrPollsOpen) {
			t.Error(err)
		}
	}
	for i := range r.Contests {
		c := &r.Contests[i]
		c.Manual, c.WriteIns, c.Rounds = nil, nil, nil
		for j := range c.Lines {
			c.Lines[j] = results.Line{UnitID: c.Lines[j].UnitID, Type: c.Lines[j].Type, Votes: make([]int64, len(c.Options))}
		}
	}
	for i := range r.Units {
		r.Units[i].Ballots = nil
	}
	p, err := ZeroReport(r, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, rows := csvOf(t, p)
	if len(rows) != 20+9*2 || slices.ContainsFunc(rows, func(row map[string]string) bool { return row["votes"] != "0" }) {
		t.Errorf("%d rows", len(rows))
	}
	if !strings.Contains(htmlOf(t, p), "PRE-ELECTION – NO RESULTS") {
		t.Error("no status")
	}
}

// Withheld counts are not in any form of any report.
func TestWithheldInReports(t *testing.T) {
	r := withheldMaple(t)
	for _, make := range []maker{PrecinctCanvass, ByMethod, Turnout} {
		if p := made(t, make, r); !strings.Contains(htmlOf(t, p), ">withheld<") {
			t.Errorf("%s: nothing is withheld", p.Name)
		}
	}
	for _, make := range []maker{Summary, StatementOfVotes} {
		if p := made(t, make, r); strings.Contains(htmlOf(t, p), ">withheld<") {
			t.Errorf("%s: totals of many ballots are withheld", p.Name)
		}
	}
	_, rows := csvOf(t, made(t, PrecinctCanvass, r))
	n := 0
	for _, row := range rows {
		if row["method"] == "curbside" {
			n++
			if row["votes"] != "withheld" {
				t.Errorf("%v", row)
			}
		}
	}
	if n == 0 {
		t.Error("no row of curbside votes")
	}
}

func BenchmarkThousandPrecincts(b *testing.B) {
	r := large(1000, 30)
	b.ResetTimer()
	for b.Loop() {
		for _, make := range []maker{Summary, StatementOfVotes} {
			if err := made(b, make, r).WriteHTML(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
		if err := errOf(b, r).WriteJSON(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
