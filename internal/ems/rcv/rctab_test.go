package rcv_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/rcv"
	"sallyport/internal/testtool"
)

// cdfReport is as much of a NIST cast vote record report as RCTab's test sets
// have.
type cdfReport struct {
	CVR []struct {
		CurrentSnapshotID string `json:"CurrentSnapshotId"`
		CVRSnapshot       []struct {
			ID         string `json:"@id"`
			CVRContest []struct {
				CVRContestSelection []struct {
					ContestSelectionID string `json:"ContestSelectionId"`
					SelectionPosition  []struct {
						HasIndication string
						IsAllocable   string
						Rank          int
					}
				}
			}
		}
	}
	Election []struct {
		Candidate []struct {
			ID   string `json:"@id"`
			Name string
		}
		Contest []struct {
			ContestSelection []struct {
				ID           string   `json:"@id"`
				CandidateIDs []string `json:"CandidateIds"`
				IsWriteIn    bool
			}
		}
	}
}

// selections maps the report's contest selections to candidates' numbers.
func (r *cdfReport) selections(t *testing.T, c *rcv.Config) map[string]int {
	names := map[string]string{}
	for _, x := range r.Election[0].Candidate {
		names[x.ID] = x.Name
	}
	numbers := map[string]int{}
	for _, s := range r.Election[0].Contest[0].ContestSelection {
		name := rcv.UndeclaredWriteIns
		if !s.IsWriteIn {
			name = names[s.CandidateIDs[0]]
		}
		n, ok := c.Candidate(name)
		if !ok {
			t.Fatalf("the selection %s has no candidate in the configuration", s.ID)
		}
		numbers[s.ID] = n
	}
	return numbers
}

func collectCDF(t *testing.T, c *rcv.Config, path string, into *rcv.Collector) {
	t.Helper()
	var report cdfReport
	if err := json.Unmarshal(readFile(t, path), &report); err != nil {
		t.Fatal(err)
	}
	numbers := report.selections(t, c)
	for _, cvr := range report.CVR {
		b := rcv.Ballot{Count: 1}
		for _, s := range cvr.CVRSnapshot {
			if s.ID != cvr.CurrentSnapshotID {
				continue
			}
			for _, sel := range s.CVRContest[0].CVRContestSelection {
				for _, p := range sel.SelectionPosition {
					if p.HasIndication == "no" || p.IsAllocable == "no" {
						continue
					}
					for len(b.Ranks) < p.Rank {
						b.Ranks = append(b.Ranks, nil)
					}
					b.Ranks[p.Rank-1] = append(b.Ranks[p.Rank-1], numbers[sel.ContestSelectionID])
				}
			}
		}
		if err := into.Add(b); err != nil {
			t.Fatal(err)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// generatedBy is the one thing in which the reports may differ.
const generatedBy = "RCTab 2.0.0"

// compareReports holds the result of every pass against RCTab's own reports.
func compareReports(t *testing.T, dir string, c rcv.Config, res *rcv.Result) {
	t.Helper()
	c.Contest.GeneratedBy = generatedBy
	for seat := range res.Passes {
		stem := filepath.Join(dir, filepath.Base(dir))
		if c.Rules.Mode == rcv.MultiPassIRV {
			stem += fmt.Sprintf("_%d", seat+1)
		}
		var out bytes.Buffer
		if err := res.WriteJSON(&out, c.Contest, seat+1); err != nil {
			t.Fatal(err)
		}
		var have, want any
		for data, to := range map[string]*any{out.String(): &have, string(readFile(t, stem+"_expected_detailed_report.json")): &want} {
			if err := json.Unmarshal([]byte(data), to); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, have); d != "" {
			t.Errorf("seat %d: the report is not RCTab's (-RCTab +ours):\n%s", seat+1, d)
		}
		out.Reset()
		if err := res.WriteCSV(&out, c.Contest, seat+1); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(lines(t, readFile(t, stem+"_expected_detailed_report.csv")), lines(t, out.Bytes())); d != "" {
			t.Errorf("seat %d: the table is not RCTab's (-RCTab +ours):\n%s", seat+1, d)
		}
	}
}

// lines reads a table, sorted: candidates with equal votes have no order of
// their own in RCTab's.
func lines(t *testing.T, data []byte) []string {
	t.Helper()
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	all, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, line := range all {
		out = append(out, strings.Join(line, " | "))
	}
	slices.Sort(out)
	return out
}

func readConfig(t *testing.T, dir string) rcv.Config {
	t.Helper()
	c, err := rcv.ReadConfig(bytes.NewReader(readFile(t, filepath.Join(dir, filepath.Base(dir)+"_config.json"))))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every round of RCTab's own test sets comes out as RCTab says, in both forms.
func TestGivesTheRoundsOfRCTab(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(testtool.Shared(t, "rctab"), "test_set_*"))
	if err != nil || len(dirs) < 8 {
		t.Fatalf("%d test sets, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c := readConfig(t, dir)
			col, err := rcv.NewCollector(len(c.Candidates), rcv.Budget{})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range c.Sources {
				if s.Provider != "cdf" {
					t.Skipf("the records are of the provider %s, which this test does not read", s.Provider)
				}
				collectCDF(t, &c, filepath.Join(dir, s.FilePath), col)
			}
			res, err := rcv.Tabulate(c.Rules, c.Candidates, col.Collection())
			if err != nil {
				t.Fatal(err)
			}
			compareReports(t, dir, c, res)
		})
	}
}
