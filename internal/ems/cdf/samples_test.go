package cdf

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/internal/testtool"
)

// sample reads a file of others, leniently when it is not on the standard.
func sample(t testing.TB, lenient bool, path ...string) (*Document, []Deviation) {
	t.Helper()
	data, err := os.ReadFile(testtool.Shared(t, path...))
	if err != nil {
		t.Fatal(err)
	}
	d, dev, err := reader(t).ReadDocument(context.Background(), path[len(path)-1], bytes.NewReader(data), ReadOptions{Lenient: lenient})
	if err != nil {
		t.Fatal(err)
	}
	return d, dev
}

// rules returns "rule place ×count" for each deviation.
func rulesOf(dev []Deviation) []string {
	var out []string
	for _, d := range dev {
		_, pointer, _ := strings.Cut(d.Where, "#")
		out = append(out, fmt.Sprintf("%s %s ×%d", d.Rule, pointer, d.Count))
	}
	return out
}

// strictly says why a strict reader refuses a file, or "".
func strictly(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(testtool.Shared(t, path...))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = reader(t).ReadDocument(context.Background(), path[len(path)-1], bytes.NewReader(data), ReadOptions{})
	if err == nil {
		return ""
	}
	onlyFindings(t, err)
	_, rule, _ := strings.Cut(err.Error(), "(rule ")
	return strings.TrimSuffix(rule, ")")
}

// Every sample is read, strictly when it keeps the standard, and otherwise with
// exactly the deviations that are known of it.
func TestSamplesAndTheirDeviations(t *testing.T) {
	const option = "/CVR/0/CVRSnapshot/0/CVRContest/%d/CVRContestSelection/0/ContestSelectionId ×1"
	known := map[string][]string{
		"jetsons_election_definition.json": {"reference", "person-missing /Election/0/Candidate/1/PersonId ×1"},
		"example_1.xml":                    {"value", "zone-missing /GeneratedDate ×1"},
		"example_2.xml":                    {"value", "zone-missing /CVR/1/CVRSnapshot/1/Annotation/0/TimeStamp ×1"},
	}
	for i, contest := range []int{0, 1, 0} {
		for _, ext := range []string{"json", "xml"} {
			known[fmt.Sprintf("cvrr_jetsons_precinct_%d.%s", i+1, ext)] = []string{"reference", "selection-candidate " + fmt.Sprintf(option, contest)}
		}
	}
	var files [][]string
	for _, dir := range [][]string{{"jetsons"}, {"nist", "1500-20", "samples"}, {"nist", "1500-103", "samples"}} {
		list, err := os.ReadDir(testtool.Shared(t, dir...))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if ext := filepath.Ext(f.Name()); ext == ".json" || ext == ".xml" {
				files = append(files, append(dir[:len(dir):len(dir)], f.Name()))
			}
		}
	}
	if len(files) != 25 {
		t.Errorf("%d files", len(files))
	}
	for _, path := range files {
		name := path[len(path)-1]
		want := known[name]
		if want == nil {
			want = []string{""}
		}
		if rule := strictly(t, path...); rule != want[0] {
			t.Errorf("%s: a strict reader says %q, want %q", name, rule, want[0])
		}
		d, dev := sample(t, true, path...)
		if got := strings.Join(rulesOf(dev), "; "); got != strings.Join(want[1:], "; ") {
			t.Errorf("%s: deviations %q, want %q", name, got, want[1:])
		}
		bothWays(t, name, d)
	}
}

func TestRankedChoiceReportsAreReadLeniently(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testtool.Shared(t, "rctab"), "*", "*cvr.json"))
	if err != nil || len(files) != 16 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		d, dev, err := reader(t).ReadDocument(context.Background(), filepath.Base(f), bytes.NewReader(data), ReadOptions{Format: CVR, Encoding: JSON, Lenient: true})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
			continue
		}
		records := len(d.Root.List("CVR"))
		want := []string{"type-missing /Election/0/Candidate/0 ×4", "type-short /Election/0/Contest/0/@type ×1", "type-short /Election/0/Contest/0/ContestSelection/0/@type ×4"}
		if strings.Contains(f, "cdf_cvr") {
			want = []string{fmt.Sprintf("type-short /CVR/0/@type ×%d", records), "type-short /Election/0/@type ×1", "type-missing /Election/0/Candidate/0 ×4",
				"type-short /Election/0/Contest/0/@type ×1", "type-base /Election/0/Contest/0/ContestSelection/0/@type ×4", "type-short /GpUnit/0/@type ×1"}
		}
		if diff := cmp.Diff(want, rulesOf(dev)); diff != "" {
			t.Errorf("%s: %s", filepath.Base(f), diff)
		}
		if strings.Contains(f, "set_1") {
			bothWays(t, filepath.Base(f), d)
		}
	}
}

// Options of different contests, and candidates, share identifiers in a
// certified system's records; read leniently they are told apart.
func TestSharedIdentifiersAreToldApart(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testtool.Shared(t, "votingworks", "two-party-primary", "castVoteRecords", "generated"), "*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	d, dev, err := reader(t).ReadDocument(context.Background(), "r.json", bytes.NewReader(data), ReadOptions{Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"id-shared /Election/0/Contest/0/ContestSelection/0/@id ×1"}, rulesOf(dev)); diff != "" {
		t.Error(diff)
	}
	if o := d.Index()["zoo-council-mammal/write-in-0"]; o.Class() != "CandidateSelection" || o.Parent().ID() != "zoo-council-mammal" {
		t.Errorf("%v", o)
	}
	bothWays(t, "votingworks", d)
}

// bothWays writes a document in both encodings, has the published schemas judge
// them, and reads both again as the same document.
func bothWays(t *testing.T, name string, d *Document) {
	t.Helper()
	var first []byte
	for _, enc := range []Encoding{JSON, XML} {
		doc := written(t, d, enc)
		judge(t, name, d.Format, enc, doc)
		again, _, err := reader(t).ReadDocument(context.Background(), name, bytes.NewReader(doc), ReadOptions{Format: d.Format})
		if err != nil {
			t.Errorf("%s written as %s: %v", name, enc, err)
			continue
		}
		out := written(t, again, JSON)
		if first == nil {
			first = written(t, d, JSON)
		}
		if diff := cmp.Diff(string(first), string(out)); diff != "" {
			t.Errorf("%s written as %s and read again differs: %s", name, enc, diff)
		}
	}
}

func written(t testing.TB, d *Document, enc Encoding) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if enc == XML {
		err = d.WriteXML(&b)
	} else {
		err = d.WriteJSON(&b)
	}
	if err != nil {
		t.Fatalf("%v: %v", enc, err)
	}
	return b.Bytes()
}

// judge validates against the published schema of the encoding.
func judge(t *testing.T, name string, f Format, enc Encoding, doc []byte) {
	t.Helper()
	path := xsdFiles()[f]
	if enc == XML {
		file := filepath.Join(t.TempDir(), "doc.xml")
		if err := os.WriteFile(file, doc, 0o600); err != nil {
			t.Fatal(err)
		}
		testtool.Run(t, "xmllint", "--noout", "--nonet", "--schema", testtool.Shared(t, path...), file)
		return
	}
	path[len(path)-1] = strings.TrimSuffix(path[len(path)-1], ".xsd") + ".json"
	s, err := jsonschema.NewCompiler().Compile(testtool.Shared(t, path...))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%s as JSON: %v", name, err)
	}
}

// flat returns every value of a document by its path, objects by their @id.
func flat(t *testing.T, d *Document) map[string]string {
	t.Helper()
	out := map[string]string{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(at+"/"+k, x)
			}
		case []any:
			for i, x := range v {
				key := fmt.Sprint(i)
				if o, ok := x.(map[string]any); ok && o["@id"] != nil {
					key = fmt.Sprint(o["@id"])
				}
				walk(at+"/"+key, x)
			}
		default:
			out[at] = strings.Join(strings.Fields(fmt.Sprint(v)), " ")
		}
	}
	var v any
	if err := json.Unmarshal(written(t, d, JSON), &v); err != nil {
		t.Fatal(err)
	}
	walk("", v)
	return out
}

// The samples that exist in both encodings say the same in both.
func TestBothEncodingsOfASampleAreTheSameDocument(t *testing.T) {
	pairs := map[string][]string{}
	for i := 1; i <= 4; i++ {
		pairs[fmt.Sprintf("cvrr_jetsons_precinct_%d", i)] = []string{"jetsons"}
	}
	for _, name := range []string{"controlling_contest_activation", "controlling_contest_partisan_preference", "controlling_contest_straight_party", "physical_ballot_def_1", "physical_ballot_def_2"} {
		pairs[name] = []string{"nist", "1500-20", "samples"}
	}
	for name, dir := range pairs {
		a, _ := sample(t, true, append(dir[:len(dir):len(dir)], name+".json")...)
		b, _ := sample(t, true, append(dir[:len(dir):len(dir)], name+".xml")...)
		if diff := cmp.Diff(flat(t, a), flat(t, b)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The two files of the Jetsons' definition were edited apart: persons, two
// capitals, a type of measure and whether an office is partisan. All else,
// contests, options, styles and units among it, is the same.
func TestJetsonsDefinitionInBothEncodings(t *testing.T) {
	a, _ := sample(t, true, "jetsons", "jetsons_election_definition.json")
	b, _ := sample(t, true, "jetsons", "jetsons_election_definition.xml")
	apart := func(path string) bool {
		switch path {
		case "/Election/0/Contest/ballotmeasure-1/Type", "/GpUnit/precinct_3_spaceport/Name/Text/0/Content", "/GpUnit/precinct_4_bedrock/Name/Text/0/Content", "/Office/office_mayor/IsPartisan":
			return true
		}
		return strings.HasPrefix(path, "/Person/") || strings.HasSuffix(path, "/PersonId")
	}
	x, y := flat(t, a), flat(t, b)
	for _, m := range []map[string]string{x, y} {
		for path := range m {
			if apart(path) {
				delete(m, path)
			}
		}
	}
	if diff := cmp.Diff(x, y); diff != "" || len(x) < 250 {
		t.Errorf("%d values: %s", len(x), diff)
	}
}
