package testelection_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/internal/testelection"
	"sallyport/internal/testtool"
)

// go test ./internal/testelection -update writes the committed files anew.
var update = flag.Bool("update", false, "write testdata/elections/small")

const committed = "../../testdata/elections/small"

func small(t *testing.T) *testelection.Election {
	t.Helper()
	e, err := testelection.Small()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCommittedFilesAreWhatTheGeneratorMakes(t *testing.T) {
	files, err := small(t).Files()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll(committed, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(committed, f.Name), f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range files {
		have, err := os.ReadFile(filepath.Join(committed, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, f.Data) {
			t.Errorf("%s differs from what the generator makes (go test ./internal/testelection -update writes it anew)", f.Name)
		}
	}
	dir, err := os.ReadDir(committed)
	if err != nil {
		t.Fatal(err)
	}
	if len(dir) != len(files) {
		t.Errorf("%d files are committed, the generator makes %d", len(dir), len(files))
	}
}

func TestDocumentsAreValidAgainstThePublishedSchemas(t *testing.T) {
	e := small(t)
	definition := compile(t, testtool.Shared(t, "nist", "1500-20", "NIST_V1_ballot_definition.json"))
	records := compile(t, testtool.Shared(t, "nist", "1500-103", "NIST_V0_cast_vote_records.json"))
	validate(t, definition, e.Definition)
	for _, f := range e.Records {
		validate(t, records, f)
	}
}

func compile(t *testing.T, path string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, f testelection.File) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(f.Data))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%s: %v", f.Name, err)
	}
}

// The small election is worth its name only if it has every case.
func TestSmallElectionHasEveryCase(t *testing.T) {
	e := small(t)
	if e.Expected.Ballots != 320 || len(e.Records) != 3 {
		t.Errorf("%d ballots in %d reports", e.Expected.Ballots, len(e.Records))
	}
	for _, c := range e.Expected.Contests {
		if c.Total.Overvotes == 0 || c.Total.Undervotes == 0 {
			t.Errorf("%s: %d overvotes, %d undervotes", c.ID, c.Total.Overvotes, c.Total.Undervotes)
		}
		var sum int64
		for _, v := range c.Total.Votes {
			sum += v
		}
		if sum+c.Total.Overvotes+c.Total.Undervotes != c.VotesAllowed*c.Total.Ballots {
			t.Errorf("%s: the expected result does not balance", c.ID)
		}
	}
	var all []byte
	for _, f := range e.Records {
		all = append(all, f.Data...)
	}
	for _, want := range []string{`"modified"`, `"unknown"`, `"IsAllocable": "no"`, `"overvoted"`, `"CVRContest": []`} {
		if !bytes.Contains(all, []byte(want)) {
			t.Errorf("no record has %s", want)
		}
	}
}
