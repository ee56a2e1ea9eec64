package testcounty_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/internal/testcounty"
	"sallyport/internal/testtool"
)

// What is measured is what the standard's schemas allow.
func TestDocumentsAreValid(t *testing.T) {
	c := testcounty.County{Ballots: 50, Contests: 30, Precincts: 7, Batches: 11}
	def, err := c.Definition()
	if err != nil {
		t.Fatal(err)
	}
	var cvr bytes.Buffer
	if err := c.WriteRecords(&cvr); err != nil {
		t.Fatal(err)
	}
	for path, doc := range map[string][]byte{
		testtool.Shared(t, "nist", "1500-20", "NIST_V1_ballot_definition.json"):  def,
		testtool.Shared(t, "nist", "1500-103", "NIST_V0_cast_vote_records.json"): cvr.Bytes(),
	} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, err := jsonschema.UnmarshalJSON(f)
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("schema.json", s); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile("schema.json")
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
