package dialect_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/testtool"
)

// spec is what a published election of five counties states as its result.
type spec struct {
	Contests []struct {
		Name          string
		Tally         map[string]int
		Jurisdictions []string
	}
	Jurisdictions []struct{ Name string }
}

func arlo(t *testing.T) (string, spec) {
	t.Helper()
	dir := testtool.Shared(t, "arlo", "small-election")
	var s spec
	if err := json.Unmarshal(read(t, filepath.Join(dir, "small-election.spec.json")), &s); err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func county(t *testing.T, dir, name string) (*dialect.Catalogue, []*dialect.Ballot) {
	t.Helper()
	file := name + " - cvrs.csv"
	kind, _, err := dialect.Detect(os.DirFS(dir), file)
	if err != nil || kind != dialect.DominionCSV {
		t.Fatal(kind, err)
	}
	src, err := dialect.Open(kind, os.DirFS(dir), file)
	if err != nil {
		t.Fatal(err)
	}
	cat, ballots := drain(t, src)
	if d := src.Deviations(); len(d) != 1 || d[0].Rule != dialect.OrderInID || d[0].Count != len(ballots) {
		t.Errorf("%s: %+v", name, d)
	}
	return cat, ballots
}

func TestCountiesGiveTheElectionsTotals(t *testing.T) {
	dir, s := arlo(t)
	got, want := map[string]int{}, map[string]int{}
	for _, j := range s.Jurisdictions {
		cat, ballots := county(t, dir, j.Name)
		for k, n := range count(cat, ballots) {
			got[k] += n
		}
	}
	for _, c := range s.Contests {
		for name, n := range c.Tally {
			key := c.Name + "/" + name
			want[key] = n
			if n == 0 && got[key] == 0 {
				got[key] = 0
			}
		}
	}
	for k := range got {
		if !strings.Contains(k, "/") {
			delete(got, k)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func table(t *testing.T, name string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(read(t, name))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestBatchesGiveManifestAndTotals(t *testing.T) {
	dir, s := arlo(t)
	for _, j := range s.Jurisdictions {
		cat, ballots := county(t, dir, j.Name)
		batches := map[string][]*dialect.Ballot{}
		for _, b := range ballots {
			batches[b.Device+"|"+b.Batch] = append(batches[b.Device+"|"+b.Batch], b)
		}
		manifest := table(t, filepath.Join(dir, j.Name+" - ballot manifest.csv"))[1:]
		device := map[string]string{}
		for _, row := range manifest {
			device[row[1]] = row[0]
			if n := len(batches[row[0]+"|"+row[1]]); strconv.Itoa(n) != row[2] {
				t.Errorf("%s, %s: %d ballots, want %s", j.Name, row[1], n, row[2])
			}
		}
		if len(batches) != len(manifest) {
			t.Errorf("%s: %d batches, want %d", j.Name, len(batches), len(manifest))
		}
		totals, err := filepath.Glob(filepath.Join(dir, j.Name+" - * - candidate totals by batch.csv"))
		if err != nil || len(totals) == 0 {
			t.Fatal(err)
		}
		for _, name := range totals {
			contest := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), j.Name+" - "), " - candidate totals by batch.csv")
			rows := table(t, name)
			for _, row := range rows[1:] {
				sum := count(cat, batches[device[row[0]]+"|"+row[0]])
				for i, want := range row[1:] {
					if got := sum[contest+"/"+rows[0][i+1]]; strconv.Itoa(got) != want {
						t.Errorf("%s, %s, %s, %s: %d, want %s", j.Name, contest, row[0], rows[0][i+1], got, want)
					}
				}
			}
		}
	}
}
