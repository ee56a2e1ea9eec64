package cdf

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/ems/model"
	"sallyport/internal/testelection"
	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

func reader(t testing.TB) *Reader {
	t.Helper()
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func small(t testing.TB) *testelection.Election {
	t.Helper()
	e, err := testelection.Small()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func smallDefinition(t testing.TB) *model.Definition {
	t.Helper()
	d, err := reader(t).Definition("definition.json", small(t).Definition.Data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// published is the part of a JSON schema that the class tables restate.
type published struct {
	Definitions map[string]struct {
		Enum       []string
		Type       string
		Required   []string
		Properties map[string]property
	}
}

type property struct {
	Type     string
	Ref      string `json:"$ref"`
	OneOf    []property
	RefTypes []string
	MinItems int
	Items    *property
	Format   string
}

func TestClassTablesAreThePublishedSchemas(t *testing.T) {
	r := reader(t)
	for _, c := range []struct {
		s    *schema
		path []string
	}{
		{r.cvr, []string{"nist", "1500-103", "NIST_V0_cast_vote_records.json"}},
		{r.bd, []string{"nist", "1500-20", "NIST_V1_ballot_definition.json"}},
		{r.schemas[ERR], []string{"nist", "1500-100-v2", "NIST_V2_election_results_reporting.json"}},
	} {
		data, err := os.ReadFile(testtool.Shared(t, c.path...))
		if err != nil {
			t.Fatal(err)
		}
		var pub published
		if err := json.Unmarshal(data, &pub); err != nil {
			t.Fatal(err)
		}
		classes := 0
		for full, d := range pub.Definitions {
			name, ours := strings.CutPrefix(full, c.s.prefix)
			if !ours || d.Type != "object" {
				continue
			}
			classes++
			have := c.s.classes[name]
			if have == nil {
				t.Errorf("%s is not in the table", full)
				continue
			}
			if len(have.members) != len(d.Properties) {
				t.Errorf("%s: %d members, want %d", full, len(have.members), len(d.Properties))
			}
			for m, p := range d.Properties {
				compare(t, c.s, pub, have, m, p, slices.Contains(d.Required, m))
			}
		}
		if classes != len(c.s.classes) || classes < 20 {
			t.Errorf("%s: %d classes, want %d", c.s.prefix, len(c.s.classes), classes)
		}
	}
}

func compare(t *testing.T, s *schema, pub published, have *class, name string, p property, required bool) {
	t.Helper()
	m := have.members[name]
	if m == nil {
		t.Errorf("%s.%s is not in the table", have.name, name)
		return
	}
	if (have.required&m.bit != 0) != required {
		t.Errorf("%s.%s: required is %v", have.name, name, required)
	}
	if list := p.Type == "array"; list != m.list || list && (p.MinItems > 0) != m.nonEmpty {
		t.Errorf("%s.%s: another occurrence", have.name, name)
	}
	if p.Items != nil {
		p = *p.Items
	}
	var classes, targets []string
	for _, x := range append(slices.Clone(p.OneOf), p) {
		if x.Ref == "" {
			continue
		}
		ref := strings.TrimPrefix(x.Ref, "#/definitions/")
		switch d := pub.Definitions[ref]; {
		case len(d.Enum) > 0:
			if m.kind != kindEnum || len(m.enum) != len(d.Enum) || !slices.Contains(m.enum, d.Enum[0]) {
				t.Errorf("%s.%s: another enumeration", have.name, name)
			}
		case d.Type == "object":
			classes = append(classes, ref)
		case !slices.Contains([]kind{kindString, kindShort, kindColor, kindFraction, kindSecond, kindTime}, m.kind):
			t.Errorf("%s.%s: must be text", have.name, name)
		}
	}
	targets = p.RefTypes
	names := func(list []*class) (out []string) {
		for _, c := range list {
			out = append(out, c.typeName)
		}
		slices.Sort(out)
		return out
	}
	slices.Sort(classes)
	slices.Sort(targets)
	if !slices.Equal(names(m.classes), classes) || !slices.Equal(names(m.targets), targets) {
		t.Errorf("%s.%s: holds %v refers to %v, want %v and %v", have.name, name, names(m.classes), names(m.targets), classes, targets)
	}
	want := map[string][]kind{"integer": {kindInteger}, "number": {kindNumber}, "boolean": {kindBoolean},
		"string": {kindString, kindID, kindType, kindDate, kindDateTime, kindRef, kindLanguage, kindURI, kindByte}}
	if k, ok := want[p.Type]; ok && !slices.Contains(k, m.kind) {
		t.Errorf("%s.%s: kind %d for %s", have.name, name, m.kind, p.Type)
	}
}

// The samples of NIST have the right shape; what stops them is the profile.
func TestPublishedSamplesFollowTheSchema(t *testing.T) {
	dir := testtool.Shared(t, "nist", "1500-20", "samples")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%v %v", files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = reader(t).Definition(filepath.Base(f), data)
		for _, rule := range []string{"(rule json)", "(rule member-", "(rule type)", "(rule value)"} {
			if err != nil && strings.Contains(err.Error(), rule) {
				t.Errorf("%s: %v", filepath.Base(f), err)
			}
		}
		t.Log(filepath.Base(f), err)
	}
}

func TestSamplesOfOthersAreNamedNotGuessed(t *testing.T) {
	want := Want{Definition: smallDefinition(t), ElectionID: testelection.ID}
	for i := 1; i <= 4; i++ {
		f, err := os.Open(testtool.Shared(t, "jetsons", "cvrr_jetsons_precinct_"+string(rune('0'+i))+".json"))
		if err != nil {
			t.Fatal(err)
		}
		err = reader(t).Records(context.Background(), "cvr.json", f, want, func(*model.Ballot) error { return nil })
		if fd, ok := verdict.Find(err); !ok || fd.Reason != verdict.ContentInvalid || !strings.Contains(fd.Detail, "rule record-id") {
			t.Errorf("%v", err)
		}
		f.Close()
	}
	data, err := os.ReadFile(testtool.Shared(t, "jetsons", "jetsons_election_definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	// An election report (SP 1500-100) is no ballot definition.
	_, err = reader(t).Definition("definition.json", data)
	if fd, ok := verdict.Find(err); !ok || fd.Reason != verdict.ContentInvalid {
		t.Errorf("%v", err)
	}
}

func TestDefinitionOfTheSmallElection(t *testing.T) {
	d := smallDefinition(t)
	if d.Name != "Maple County General Election" || d.Date != "2026-11-03" || d.Test || !slices.Contains(d.IDs, testelection.ID) {
		t.Errorf("%+v", d)
	}
	if len(d.Contests) != 4 || len(d.Styles) != 2 || len(d.Precincts) != 3 {
		t.Fatalf("%d contests, %d styles, %d precincts", len(d.Contests), len(d.Styles), len(d.Precincts))
	}
	c := d.Contests[0]
	if c.ID != "contest-commissioner" || c.VotesAllowed != 2 || len(c.Options) != 6 || c.Options[0].Name != "Candidate 1 (Oak Party)" ||
		c.Options[5].Name != "Write-in 2" || !c.Options[5].WriteIn || c.Options[0].WriteIn {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(d.Styles[1].Contests, []int{2, 0, 1, 3}) || !slices.Equal(d.Styles[1].Precincts, []int{2}) {
		t.Errorf("%+v", d.Styles[1])
	}
}

// read counts the records of a report.
func read(t testing.TB, doc []byte, d *model.Definition) (int, error) {
	n := 0
	err := reader(t).Records(context.Background(), "cvr.json", bytes.NewReader(doc), Want{Definition: d, ElectionID: testelection.ID}, func(*model.Ballot) error {
		n++
		return nil
	})
	return n, err
}

func TestRecordsMayComeBeforeWhatTheyReferTo(t *testing.T) {
	e, d := small(t), smallDefinition(t)
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(e.Records[0].Data, &doc); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(doc) // encoding/json sorts: CVR comes before Election
	if err != nil {
		t.Fatal(err)
	}
	if n, err := read(t, sorted, d); n != 121 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	delete(doc, "ReportingDevice")
	doc["ReportingDevice"] = json.RawMessage(`[{"@type":"CVR.ReportingDevice","@id":"another"}]`)
	doc["ReportGeneratingDeviceIds"] = json.RawMessage(`["another"]`)
	sorted, err = json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = read(t, sorted, d)
	wantFinding(t, err, verdict.ContentInvalid, "/CVR/0/CreatingDeviceId", "rule reference")
}

func wantFinding(t *testing.T, err error, reason verdict.Reason, parts ...string) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok || f.Reason != reason {
		t.Errorf("want %s %q, got: %v", reason, parts, err)
		return
	}
	for _, p := range parts {
		if !strings.Contains(f.Where+": "+f.Detail, p) {
			t.Errorf("%q is not in: %v", p, err)
		}
	}
}
