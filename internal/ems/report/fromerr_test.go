package report

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/clarity"
	"sallyport/internal/ems/results"
	"sallyport/internal/testtool"
)

// foreign is a report as others write it: a county of two precincts, with
// counts "unit type count [count…]" for options a and b, and other counts
// "unit over under" after a bar.
func foreign(counts string, extra string) string {
	list, others, _ := strings.Cut(counts, "|")
	var votes [2][]string
	for line := range strings.SplitSeq(strings.TrimSpace(list), ";") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		for i, n := range f[2:] {
			if n != "-" {
				votes[i] = append(votes[i], fmt.Sprintf(`{"@type":"ElectionResults.VoteCounts","GpUnitId":%q,"Type":%q,"Count":%s%s}`, f[0], f[1], n, extra))
			}
		}
	}
	var other []string
	for line := range strings.SplitSeq(strings.TrimSpace(others), ";") {
		if f := strings.Fields(line); len(f) == 3 {
			other = append(other, fmt.Sprintf(`{"@type":"ElectionResults.OtherCounts","GpUnitId":%q,"Overvotes":%s,"Undervotes":%s}`, f[0], f[1], f[2]))
		}
	}
	option := func(i int, id string) string {
		return fmt.Sprintf(`{"@type":"ElectionResults.BallotMeasureSelection","@id":%q,"Selection":{"@type":"ElectionResults.InternationalizedText","Text":[{"@type":"ElectionResults.LanguageString","Language":"en","Content":%q}]},"VoteCounts":[%s]}`, id, id, strings.Join(votes[i], ","))
	}
	unit := func(id, kind, parts string) string {
		return fmt.Sprintf(`{"@type":"ElectionResults.ReportingUnit","@id":%q,"Type":%q%s}`, id, kind, parts)
	}
	doc := `{"@type":"ElectionResults.ElectionReport","Format":"precinct-level","GeneratedDate":"2026-11-04T00:00:00Z","Issuer":"X","IssuerAbbreviation":"X","SequenceStart":1,"SequenceEnd":1,"Status":"unofficial-complete","VendorApplicationId":"x",
"GpUnit":[` + unit("state", "state", `,"ComposingGpUnitIds":["county"]`) + "," + unit("county", "county", `,"ComposingGpUnitIds":["p1","p2"]`) + "," + unit("city", "city", `,"ComposingGpUnitIds":["p1"]`) + "," + unit("p1", "precinct", "") + "," + unit("p2", "precinct", "") + `],
"Election":[{"@type":"ElectionResults.Election","Name":{"@type":"ElectionResults.InternationalizedText","Text":[{"@type":"ElectionResults.LanguageString","Language":"en","Content":"E"}]},"StartDate":"2026-11-03","EndDate":"2026-11-03","Type":"general","ElectionScopeId":"state",
"Contest":[{"@type":"ElectionResults.BallotMeasureContest","@id":"m","Name":"M","ElectionDistrictId":"state","ContestSelection":[` + option(0, "a") + "," + option(1, "b") + `],"OtherCounts":[` + strings.Join(other, ",") + `]}]}]}`
	for _, empty := range []string{`,"VoteCounts":[]`, `,"OtherCounts":[]`} {
		doc = strings.ReplaceAll(doc, empty, "")
	}
	return doc
}

// No vote is used twice, whatever stands beside what.
func TestNothingIsCountedTwice(t *testing.T) {
	for name, x := range map[string]struct {
		counts, extra, total, lines, note, err string
	}{
		"units":               {counts: "p1 total 3 4; p2 total 5 6", total: "8 10", lines: "p1 total; p2 total"},
		"total beside parts":  {counts: "p1 total 7 8; p1 early 3 4; p1 election-day 4 4", total: "7 8", lines: "p1 election-day; p1 early"},
		"unit beside parts":   {counts: "state total 8 10; county total 8 10; p1 total 3 4; p2 total 5 6", total: "8 10", lines: "p1 total; p2 total"},
		"parts are behind":    {counts: "county total 9 10; p1 total 3 4; p2 total 5 6", total: "9 10", lines: "county total", note: "are not used, because they are fewer"},
		"parts are ahead":     {counts: "county total 7 10; p1 total 3 4; p2 total 5 6", err: "fewer than those of the units"},
		"absentee is a sum":   {counts: "p1 absentee 5 5; p1 absentee-mail 3 3; p1 uocava 2 2", total: "5 5", lines: "p1 absentee-mail; p1 uocava"},
		"absentee has a rest": {counts: "p1 absentee 6 5; p1 absentee-mail 3 3; p1 uocava 2 2", total: "6 5", lines: "p1 absentee; p1 absentee-mail; p1 uocava"},
		"overlap":             {counts: "county total 3 4; city total 1 1", err: `the units "county" and "city" overlap`},
		"seats":               {counts: "p1 total 3 4; p1 seats 1 0", total: "3 4", lines: "p1 total", note: "counts of type seats are not used"},
		"missing count":       {counts: "p1 total 3 -", total: "3 0", lines: "p1 total", note: "is read as 0"},
		"mixed":               {counts: "p1 total 3 4; p1 early 1 -; p1 election-day 2 -", total: "3 4", lines: "p1 total", note: "ways of voting are not used"},
		"fraction":            {counts: "p1 total 3.5 4", err: "must be a whole number"},
		"too large":           {counts: "p1 total 9999999999999 4", err: "must be a whole number"},
		"ballots follow":      {counts: "p1 total 3 4 | p1 1 2", total: "3 4", lines: "p1 total 10"},
		"by device":           {counts: "p1 total 3 4", extra: `,"DeviceClass":{"@type":"ElectionResults.DeviceClass","Type":"dre"}`, total: "3 4", lines: "p1 total"},
		"no counts":           {counts: "", total: "0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			r, notes, err := FromERR(readERR(t, []byte(foreign(x.counts, x.extra))))
			if x.err != "" {
				if err == nil || !strings.Contains(err.Error(), x.err) {
					t.Fatalf("want %q: %v", x.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := &r.Contests[0]
			total := c.Total()
			if got := fmt.Sprintf("%d %d", total.Votes[0], total.Votes[1]); got != x.total {
				t.Errorf("total %s, want %s", got, x.total)
			}
			var lines []string
			for _, l := range c.Lines {
				s := l.UnitID + " " + l.Type
				if !l.Partial {
					s += fmt.Sprint(" ", l.Ballots)
				}
				lines = append(lines, s)
			}
			if got := strings.Join(lines, "; "); got != x.lines {
				t.Errorf("lines %q, want %q", got, x.lines)
			}
			if has := slices.ContainsFunc(notes, func(n Note) bool { return strings.Contains(n.Text, x.note) }); x.note != "" && !has {
				t.Errorf("notes %v, want %q", notes, x.note)
			}
		})
	}
}

// Both kinds of suppressed counts: a total stays known when its parts are not.
func TestSuppressedCountsOfOthers(t *testing.T) {
	doc := strings.Replace(foreign("p1 total 7 8; p1 early 0 0; p1 election-day 0 0", ""), `"Type":"early","Count":0`, `"Type":"early","Count":0,"IsSuppressedForPrivacy":true`, 2)
	doc = strings.Replace(doc, `"Type":"election-day","Count":0`, `"Type":"election-day","Count":0,"IsSuppressedForPrivacy":true`, 2)
	r, _, err := FromERR(readERR(t, []byte(doc)))
	if err != nil {
		t.Fatal(err)
	}
	c := &r.Contests[0]
	if l := c.ByUnit()["p1"]; l.Suppressed || l.Votes[0] != 7 || !c.Lines[0].Suppressed || c.Lines[0].Votes[0] != 0 {
		t.Errorf("%+v", c)
	}
}

// The samples of definitions in the results format have contests and no counts.
func TestSamplesWithoutCounts(t *testing.T) {
	nOfM := ""
	for i := range 13 {
		nOfM += fmt.Sprintf(", candidate_%d", i+1)
	}
	nOfM = nOfM[2:]
	for name, options := range map[string]string{"presidential_election_example.xml": "Anthony Alpha / Betty Beta, Gloria Gamma / David Delta", "n-of-m_contest.xml": nOfM, "ballot_measure_contest.xml": ""} {
		data, err := os.ReadFile(testtool.Shared(t, "jetsons", name))
		if err != nil {
			t.Fatal(err)
		}
		reader, err := cdf.New()
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := reader.ReadDocument(context.Background(), name, bytes.NewReader(data), cdf.ReadOptions{Lenient: true})
		if err != nil {
			t.Fatal(err)
		}
		if d.Format != cdf.ERR {
			t.Fatalf("%s is of %v", name, d.Format)
		}
		r, notes, err := FromERR(d)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(r.Contests) != 1 || len(r.Contests[0].Lines) != 0 || len(notes) == 0 || r.GeneratedAt.IsZero() {
			t.Errorf("%s: %+v", name, r.Contests)
		}
		var names []string
		for _, o := range r.Contests[0].Options {
			names = append(names, o.Name)
		}
		if got := strings.Join(names, ", "); got != options {
			t.Errorf("%s: options %q", name, got)
		}
		if _, err := Summary(r, Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFromERRRefuses(t *testing.T) {
	if _, _, err := FromERR(nil); err == nil {
		t.Error("no document")
	}
	part := strings.Replace(foreign("p1 total 1 1", ""), `"SequenceEnd":1`, `"SequenceEnd":2`, 1)
	if _, _, err := FromERR(readERR(t, []byte(part))); err == nil || !strings.Contains(err.Error(), "2 parts") {
		t.Error(err)
	}
}

// The published file does not add up in one sum: the totals are the file's, the
// fault is noted, the lines say that they are not all.
func TestFromClarity(t *testing.T) {
	data, err := os.ReadFile(testtool.Shared(t, "clarity", "county.xml"))
	if err != nil {
		t.Fatal(err)
	}
	rep, problems, err := clarity.ReadWithProblems("county.xml", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r, notes, err := FromClarity(rep, problems)
	if err != nil {
		t.Fatal(err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0].Text, "477734") {
		t.Errorf("%v", notes)
	}
	if w := r.Whole(); w.Ballots != 850615 || w.Registered != 1690577 || r.Date != "2014-11-04" {
		t.Errorf("%+v %s", w, r.Date)
	}
	c := &r.Contests[0]
	total := c.Total()
	var lines int64
	for i := range c.Lines {
		if !c.Lines[i].Partial {
			t.Fatal("a line that is not partial")
		}
		lines += c.Lines[i].Votes[0]
	}
	for k, ch := range rep.Contests[0].Choices {
		if total.Votes[k] != int64(ch.Total) {
			t.Errorf("%s: %d, the file says %d", ch.Text, total.Votes[k], ch.Total)
		}
	}
	if total.Votes[0] != 477734 || lines != 462123 || len(r.Precincts()) != 75 {
		t.Errorf("%d, lines %d, %d units", total.Votes[0], lines, len(r.Precincts()))
	}
	if _, err := Summary(r, Options{}); err != nil {
		t.Error(err)
	}
	if _, err := results.Suppress(r, 5); err == nil {
		t.Error("small counts of unknown ballots are withheld")
	}
}

func FuzzFromERR(f *testing.F) {
	for _, counts := range []string{"p1 total 3 4; p2 total 5 6 | p1 1 2", "county total 9 10; p1 early 3 4; p2 total 5 6", "p1 absentee 6 5; p1 absentee-mail 3 3"} {
		f.Add([]byte(foreign(counts, "")))
	}
	small := maple(f)
	small.Contests = small.Contests[8:] // with rounds
	f.Add(encoded(f, errOf(f, small), cdf.XML))
	reader, err := cdf.New()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, _, err := reader.ReadDocument(context.Background(), "fuzz", bytes.NewReader(data), cdf.ReadOptions{Format: cdf.ERR})
		if err != nil {
			return
		}
		r, _, err := FromERR(d)
		if err != nil {
			return
		}
		// What was read can be written, unless it says too little, and read again
		// with the same totals.
		out, err := ERR(r, Options{})
		if err != nil {
			return
		}
		if out.Validate() != nil {
			t.Fatal(out.Validate())
		}
		again, _, err := FromERR(out)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Contests {
			a, b := r.Contests[i].Total(), again.Contests[i].Total()
			if a.Suppressed != b.Suppressed || !a.Suppressed && !slices.Equal(a.Votes, b.Votes) {
				t.Fatalf("%+v became %+v", a, b)
			}
		}
	})
}
