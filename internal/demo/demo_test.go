package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sallyport/internal/ems"
	"sallyport/internal/ems/tally"
	"sallyport/internal/intake"
	"sallyport/internal/testelection"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

func TestMatchesOnlyWhatIsExpected(t *testing.T) {
	good := medium{want: verdict.Accepted}
	held := medium{want: verdict.Held, reason: verdict.Replayed, exit: 3}
	because := func(reasons ...verdict.Reason) (list []verdict.Finding) {
		for _, r := range reasons {
			list = append(list, verdict.Finding{Reason: r})
		}
		return list
	}
	for _, tc := range []struct {
		name   string
		medium medium
		report intake.Report
		exit   int
		want   bool
	}{
		{"accepted", good, intake.Report{Verdict: verdict.Accepted, Sealed: true}, 0, true},
		{"accepted, not sealed", good, intake.Report{Verdict: verdict.Accepted}, 0, false},
		{"accepted, other status", good, intake.Report{Verdict: verdict.Accepted, Sealed: true}, 5, false},
		{"accepted with a reason", good, intake.Report{Verdict: verdict.Accepted, Sealed: true, Findings: because(verdict.Fork)}, 0, false},
		{"held instead", good, intake.Report{Verdict: verdict.Held, Sealed: true}, 0, false},
		{"held", held, intake.Report{Verdict: verdict.Held, Sealed: true, Packages: []intake.PackageReport{{Findings: because(verdict.Replayed)}}}, 3, true},
		{"held twice for one reason", held, intake.Report{Verdict: verdict.Held, Sealed: true, Findings: because(verdict.Replayed, verdict.Replayed)}, 3, true},
		{"held for another reason", held, intake.Report{Verdict: verdict.Held, Sealed: true, Findings: because(verdict.Fork)}, 3, false},
		{"held for one reason more", held, intake.Report{Verdict: verdict.Held, Sealed: true, Findings: because(verdict.Replayed, verdict.Fork)}, 3, false},
		{"accepted instead", held, intake.Report{Verdict: verdict.Accepted, Sealed: true}, 0, false},
	} {
		if got := tc.medium.matches(&tc.report, tc.exit); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestDemo runs the whole demo and reads what a newcomer reads.
func TestDemo(t *testing.T) {
	for _, tool := range []string{"swtpm", "mkfs.vfat", "mkfs.exfat", "mcopy", "sfdisk", "mount.exfat-fuse"} {
		testtool.Need(t, tool)
	}
	testtool.Root(t)
	bin, remove, err := testoffice.Programs()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
	keep := t.TempDir() + "/office"
	var out bytes.Buffer
	results := t.TempDir() + "/results"
	if err := run(&out, bin, keep, results); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 100 && !strings.Contains(line, "/") { // paths are as long as they are
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	if strings.Contains(out.String(), "NO: want") || strings.Count(out.String(), "  yes\n") != 14 {
		t.Error(out.String())
	}
	// The page has what the generator counted.
	html, err := os.ReadFile(results + "/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"Maple County General Election", "UNOFFICIAL", "County Clerk", "Measure A: Library Levy", "Precincts Reporting"} {
		if !strings.Contains(string(html), words) {
			t.Errorf("the results page does not say %q", words)
		}
	}
	// The kept office lives again.
	testtool.Run(t, keep+"/start")
	defer testtool.Run(t, keep+"/stop")
	if said := string(testtool.Run(t, bin+"/sallyport", "--config", keep+"/ems-1/sallyport.toml", "status")); !strings.Contains(said, "sallyportd answers") || !strings.Contains(said, "11 held") {
		t.Error(said)
	}
}

func TestTallyComparisonNoticesOneVote(t *testing.T) {
	expected, err := os.ReadFile("../../testdata/elections/small/expected-tally.json")
	if err != nil {
		t.Fatal(err)
	}
	var want testelection.Expected
	if err := json.Unmarshal(expected, &want); err != nil {
		t.Fatal(err)
	}
	got := ems.Tally{ElectionID: want.ElectionID, Ballots: want.Ballots}
	for _, c := range want.Contests {
		n := tally.Contest{ID: c.ID, Total: tally.Counts{Ballots: c.Total.Ballots, WriteIns: c.Total.WriteIns, Overvotes: c.Total.Overvotes, Undervotes: c.Total.Undervotes}}
		for id, votes := range c.Total.Votes {
			n.Options = append(n.Options, tally.Option{ID: id})
			n.Total.Votes = append(n.Total.Votes, votes)
		}
		got.Contests = append(got.Contests, n)
	}
	if err := compareTally(&got, expected); err != nil {
		t.Fatalf("the expected tally itself: %v", err)
	}
	got.Contests[0].Total.Votes[0]++
	if err := compareTally(&got, expected); err == nil {
		t.Error("one vote more was not noticed")
	}
}
