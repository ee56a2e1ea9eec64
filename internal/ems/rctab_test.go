package ems_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems"
	"sallyport/internal/ems/election"
	"sallyport/internal/testtool"
)

// rankedDefinition is the definition of an RCTab test set: one ranked contest.
func rankedDefinition(t *testing.T, names []string) []byte {
	t.Helper()
	ranks := int64(4)
	c := &election.CandidateContest{VotesAllowed: 1, RanksAllowed: &ranks, ContestBase: election.ContestBase{ID: "contest-001", Name: "Ranked", DistrictID: "gpu-election", VoteVariation: election.RCV}}
	d := &election.Definition{Version: "1.0.0", GeneratedDate: "2019-03-01T00:00:00Z", Issuer: "x", IssuerAbbreviation: "x", VendorApplicationID: "x", SequenceStart: 1, SequenceEnd: 1,
		Units: []election.Unit{{ID: "gpu-election", Type: election.County, Name: election.English("County")}},
		Elections: []election.Election{{Name: election.English("Test"), Type: election.General, StartDate: "2019-03-06", EndDate: "2019-03-06", ScopeID: "gpu-election",
			ExternalIDs: []election.ExternalID{{Type: "local-level", Value: "election-001"}},
			Styles:      []election.Style{{Units: []election.ID{"gpu-election"}, ExternalIDs: []election.ExternalID{{Type: "local-level", Value: "1"}}, Content: election.Content{&election.OrderedContest{Contest: "contest-001"}}}}}}}
	e := &d.Elections[0]
	for i, name := range names {
		letter := string(rune('a' + i))
		e.Candidates = append(e.Candidates, election.Candidate{ID: "candidate-" + letter, BallotName: election.English(name)})
		c.Options = append(c.Options, &election.CandidateOption{OptionBase: election.OptionBase{ID: "cs-" + letter}, Candidates: []election.ID{"candidate-" + letter}})
	}
	e.Contests = election.Contests{c}
	doc, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// RCTab's test sets, through the whole core: read, stored, counted and
// tabulated, every round as RCTab has it.
func TestRCTabSetsThroughTheCore(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(testtool.Shared(t, "rctab"), "test_set_*"))
	if err != nil || len(dirs) != 8 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { rctab(t, dir) })
	}
}

func rctab(t *testing.T, dir string) {
	ctx := context.Background()
	file := func(suffix string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(dir)+suffix))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var want struct {
		Results []struct {
			Threshold       string
			Tally           map[string]string
			InactiveBallots map[string]string
			TallyResults    []struct{ Elected, Eliminated string }
		}
	}
	if err := json.Unmarshal(file("_expected_detailed_report.json"), &want); err != nil {
		t.Fatal(err)
	}
	config := file("_config.json")
	var cfg struct{ Candidates []struct{ Name string } }
	if err := json.Unmarshal(config, &cfg); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cfg.Candidates {
		names = append(names, c.Name)
	}
	path := filepath.Join(t.TempDir(), "desk.db")
	if err := ems.CreateDesk(path); err != nil {
		t.Fatal(err)
	}
	c, err := ems.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	doc := rankedDefinition(t, names)
	sum := sha256.Sum256(doc)
	must(t, c, ems.Package{Digest: sum, ID: "d", Kind: ems.KindDefinition, ElectionID: "election-001", FS: fsOf("d.json", doc),
		Files: []ems.File{{Path: "d.json", Size: int64(len(doc)), SHA256: hex.EncodeToString(sum[:])}}})
	if err := c.SetRules(ctx, "election-001", "contest-001", config, by); err != nil {
		t.Fatal(err)
	}
	_, deviations, err := c.ImportLenient(ctx, ems.LenientReport{Name: "cvr.json", ElectionID: "election-001", RandomIDs: true, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(string(file("_cvr.json")))), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]bool{}
	for _, d := range deviations {
		rules[d.Rule] = true
	}
	for _, r := range []string{"unique-id-missing", "allocable-unknown", "type-short"} {
		if !rules[r] {
			t.Errorf("the deviation %s is not told: %v", r, rules)
		}
	}
	r, err := c.Results(ctx, "election-001")
	if err != nil {
		t.Fatal(err)
	}
	got := r.Contests[0]
	if len(got.Rounds) != len(want.Results) {
		t.Fatalf("%d rounds, expected %d", len(got.Rounds), len(want.Results))
	}
	for i, round := range got.Rounds {
		w := want.Results[i]
		tally := map[string]string{}
		for k, v := range round.Votes {
			if v != "" {
				tally[got.Options[k].Name] = v
			}
		}
		if diff := cmp.Diff(w.Tally, tally); diff != "" || round.Threshold != w.Threshold {
			t.Errorf("round %d: threshold %s, expected %s: %s", i+1, round.Threshold, w.Threshold, diff)
		}
		inactive := map[string]string{}
		for _, x := range round.Inactive {
			inactive[x.Cause] = x.Count
		}
		for cause, member := range map[string]string{"exhausted choices": "exhaustedChoices", "overvotes": "overvotes", "repeated rankings": "repeatedRankings", "skipped rankings": "skippedRankings"} {
			if inactive[cause] != w.InactiveBallots[member] {
				t.Errorf("round %d: %s %s, expected %s", i+1, cause, inactive[cause], w.InactiveBallots[member])
			}
		}
		var decided, expected []string
		for _, id := range append(append([]string{}, round.Elected...), round.Eliminated...) {
			for _, o := range got.Options {
				if o.ID == id {
					decided = append(decided, o.Name)
				}
			}
		}
		for _, x := range w.TallyResults {
			expected = append(expected, x.Elected+x.Eliminated)
		}
		if fmt.Sprint(decided) != fmt.Sprint(expected) {
			t.Errorf("round %d: %v, expected %v", i+1, decided, expected)
		}
	}
}
