package define_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/testelection"
)

const (
	general = "maple-general-csv"
	primary = "maple-primary-csv"
)

// sample returns the files of a committed set.
func sample(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	dir := os.DirFS(filepath.Join("..", "..", "..", "testdata", "elections", name))
	out := fstest.MapFS{}
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := fs.ReadFile(dir, e.Name())
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = &fstest.MapFile{Data: data}
	}
	return out
}

// read reads a set that has no problems.
func read(t testing.TB, set fs.FS) *election.Valid {
	t.Helper()
	d, bad := define.ReadSet(set)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	return valid(t, d)
}

func valid(t testing.TB, d *election.Definition) *election.Valid {
	t.Helper()
	v, bad := d.Check()
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	return v
}

// written returns a definition as a set.
func written(v *election.Valid) (fstest.MapFS, error) {
	out := fstest.MapFS{}
	err := define.WriteSet(func(name string, data []byte) error {
		out[name] = &fstest.MapFile{Data: data}
		return nil
	}, v)
	return out, err
}

// change replaces text in one file of a set; it must be there.
func change(t testing.TB, set fstest.MapFS, file, old, with string) {
	t.Helper()
	data := string(set[file].Data)
	if !strings.Contains(data, old) {
		t.Fatalf("%s has no %q", file, old)
	}
	set[file] = &fstest.MapFile{Data: []byte(strings.Replace(data, old, with, 1))}
}

// matrix is the table of a definition as text, a line for each row.
func matrix(v *election.Valid) (out []string) {
	for _, p := range define.Matrix(v).Precincts {
		out = append(out, p.ID+": "+strings.Join(define.Matrix(v).Of(p.ID), " "))
	}
	return out
}

func TestTheMapleSetsGiveTheContestsThatWereWorkedOutByHand(t *testing.T) {
	for name, want := range map[string][]string{
		general: {
			"precinct-1: straight-party governor house-1-seat commissioner mayor school-board judge measure-a",
			"precinct-2: straight-party governor house-1-seat commissioner mayor judge",
			"split-3-a: straight-party governor house-1-seat commissioner mayor judge",
			"split-3-b: straight-party governor house-2-seat commissioner school-board judge measure-a",
			"precinct-4: straight-party governor house-2-seat commissioner judge",
		},
		primary: {
			"precinct-1: governor-oak governor-elm house-1-oak mayor measure-b",
			"precinct-2: governor-oak governor-elm house-1-oak mayor",
			"split-3-a: governor-oak governor-elm house-1-oak mayor",
			"split-3-b: governor-oak governor-elm house-2-elm measure-b",
			"precinct-4: governor-oak governor-elm house-2-elm",
		},
	} {
		v := read(t, sample(t, name))
		if diff := cmp.Diff(want, matrix(v)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if bad := define.Review(v); len(bad) > 0 {
			t.Errorf("%s: %v", name, bad)
		}
	}
}

// The closed primary has a ballot for each party where it has a contest, and
// one for voters of no party where there is anything for them.
func TestTheMaplePrimaryHasTheBallotsThatWereWorkedOutByHand(t *testing.T) {
	v := read(t, sample(t, primary))
	got := map[string]string{}
	for i := range v.Election().Styles {
		s := &v.Election().Styles[i]
		var on []string
		s.Contests(func(o *election.OrderedContest, _ string) { on = append(on, o.Contest) })
		got[s.Code()] = strings.Join(s.Units, " ") + ": " + strings.Join(on, " ")
	}
	if diff := cmp.Diff(map[string]string{
		"1-OAK": "precinct-1: governor-oak house-1-oak mayor measure-b",
		"2-OAK": "precinct-2 split-3-a: governor-oak house-1-oak mayor",
		"3-OAK": "split-3-b: governor-oak measure-b",
		"4-OAK": "precinct-4: governor-oak",
		"1-ELM": "precinct-1: governor-elm mayor measure-b",
		"2-ELM": "precinct-2 split-3-a: governor-elm mayor",
		"3-ELM": "split-3-b: governor-elm house-2-elm measure-b",
		"4-ELM": "precinct-4: governor-elm house-2-elm",
		"1-NP":  "precinct-1: mayor measure-b",
		"2-NP":  "precinct-2 split-3-a: mayor",
		"3-NP":  "split-3-b: measure-b",
	}, got); diff != "" {
		t.Error(diff)
	}
}

// What spreadsheets add to a file changes nothing.
func TestSetsAreReadAsSpreadsheetsSaveThem(t *testing.T) {
	set := sample(t, general)
	want, err := read(t, set).Definition().JSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range set {
		lines := strings.Split(strings.TrimSpace(string(f.Data)), "\n")
		empty := strings.Repeat(",", strings.Count(lines[0], ","))
		set[name] = &fstest.MapFile{Data: []byte("\ufeff" + strings.Join(append(lines, empty, ""), "\r\n"))}
	}
	set["README.txt"] = &fstest.MapFile{Data: []byte("a note of the clerk")}
	got, err := read(t, set).Definition().JSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestSetsSurviveWriting(t *testing.T) {
	small, err := testelection.Small()
	if err != nil {
		t.Fatal(err)
	}
	d, err := election.Read(small.Definition.Data)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]*election.Valid{
		"general": read(t, sample(t, general)), "primary": read(t, sample(t, primary)), "small": valid(t, d),
		"county": read(t, county(closedPrimary).set()),
	} {
		set, err := written(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same(t, name, v, read(t, set))
	}
}

// same compares two definitions, the order of units in units aside.
func same(t *testing.T, name string, a, b *election.Valid) {
	t.Helper()
	var docs []string
	for _, v := range []*election.Valid{a, b} {
		d, err := v.Definition().Clone()
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Units {
			slices.Sort(d.Units[i].Composing)
		}
		data, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(data))
	}
	if diff := cmp.Diff(docs[0], docs[1]); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// What has no column is refused by its place, and nothing is written.
func TestWhatASetCannotHoldIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(d *election.Definition)
		pointer string
	}{
		"address": {func(d *election.Definition) {
			d.Units[1].Contact = &election.ContactInformation{Name: "Office"}
		}, "/GpUnit/1/ContactInformation"},
		"person":          {func(d *election.Definition) { d.Persons = []election.Person{{ID: "person"}} }, "/Person"},
		"id with a space": {func(d *election.Definition) { d.Parties = append(d.Parties, election.Party{ID: "a b"}) }, "parties.csv"},
		"formula":         {func(d *election.Definition) { d.Notes = "=1+1" }, "election.csv"},
		"two ids of one kind": {func(d *election.Definition) {
			e := &d.Elections[0]
			e.ExternalIDs = append(e.ExternalIDs, e.ExternalIDs[0])
		}, "/Election/0/ExternalIdentifier"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := read(t, sample(t, general)).Definition().Clone()
			if err != nil {
				t.Fatal(err)
			}
			c.change(d)
			set, err := written(valid(t, d))
			refused, ok := err.(*define.CannotHoldError)
			if !ok || refused.Pointer != c.pointer || len(set) > 0 {
				t.Errorf("%d files, %v", len(set), err)
			}
		})
	}
}

// Each fault is told with file, line, column and rule.
func TestEveryFaultOfASetIsToldWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		file, old, with string
		at, rule        string // file:line:column
	}{
		"no such column":         {"parties.csv", "id,name", "id,nmae", "parties.csv:1:nmae", "column-unknown"},
		"column not there":       {"parties.csv", "id,name", "id,slogan", "parties.csv:1:name", "column-missing"},
		"column twice":           {"parties.csv", "id,name,abbreviation", "id,name,name", "parties.csv:1:name", "column-repeated"},
		"column without a name":  {"parties.csv", "id,name,abbreviation", "id,name,", "parties.csv:1:", "column-unnamed"},
		"semicolons":             {"parties.csv", "id,name,abbreviation,local_id", "id;name;abbreviation", "parties.csv:1:", "csv-separator"},
		"UTF-16":                 {"parties.csv", "id", "\xff\xfei\x00d", "parties.csv:1:", "csv-encoding"},
		"workbook":               {"parties.csv", "id", "PK\x03\x04", "parties.csv:1:", "csv-encoding"},
		"Latin-1":                {"parties.csv", "Oak", "\xd6ak", "parties.csv:2:", "csv-encoding"},
		"quotation mark":         {"parties.csv", "Oak", "\"Oak", "parties.csv:2:", "csv-quotes"},
		"one cell too many":      {"parties.csv", "Oak Party,OAK", "Oak Party,,OAK", "parties.csv:2:", "csv-cells"},
		"space":                  {"parties.csv", "Oak Party", "Oak Party ", "parties.csv:2:name", "cell-space"},
		"formula":                {"parties.csv", "Oak Party", "=A1", "parties.csv:2:name", "formula"},
		"control character":      {"parties.csv", "Oak Party", "Oak\x07Party", "parties.csv:2:name", "cell-control"},
		"name missing":           {"parties.csv", "Oak Party", "", "parties.csv:2:name", "cell-missing"},
		"id missing":             {"parties.csv", "oak,Oak", ",Oak", "parties.csv:2:id", "id-empty"},
		"id twice":               {"parties.csv", "elm,Elm", "oak,Elm", "parties.csv:3:id", "id-repeated"},
		"id of another table":    {"parties.csv", "elm,Elm", "county,Elm", "parties.csv:3:id", "id-repeated"},
		"id with a space":        {"parties.csv", "elm,Elm", "elm tree,Elm", "parties.csv:3:id", "id-grammar"},
		"reserved id":            {"parties.csv", "elm,Elm", "election,Elm", "parties.csv:3:id", "id-reserved"},
		"unit type":              {"units.csv", "state-house", "statehouse", "units.csv:4:type", "value"},
		"part of nothing":        {"units.csv", "county house-1 city school", "county house-9", "units.csv:8:part_of", "reference"},
		"two spaces":             {"units.csv", "county house-1 city school", "county  city", "units.csv:8:part_of", "list"},
		"twice in a list":        {"units.csv", "county house-1 city school", "county county", "units.csv:8:part_of", "list-repeated"},
		"number":                 {"units.csv", "620", "6.2e2", "units.csv:8:registered", "value"},
		"second root":            {"units.csv", "county,county,Maple County,,state", "county,county,Maple County,,", "units.csv:0:", "unit-root"},
		"contest type":           {"contests.csv", "governor,candidate", "governor,person", "contests.csv:3:type", "value"},
		"column of another type": {"contests.csv", "straight-party,straight-party,Straight Party,\"Vote for one party, or leave blank\",state,,,,", "straight-party,straight-party,Straight Party,\"Vote for one party, or leave blank\",state,,,3,", "contests.csv:2:votes_allowed", "column-kind"},
		"no votes":               {"contests.csv", "office-governor,,1,1", "office-governor,,0,1", "contests.csv:3:votes_allowed", "votes-allowed"},
		"ranks":                  {"contests.csv", "rcv,3", "rcv,", "contests.csv:7:ranks", "ranks"},
		"threshold":              {"contests.csv", "60% of the votes cast", "many", "contests.csv:10:threshold", "passage-threshold"},
		"candidate of nothing":   {"candidates.csv", "candidate-5,house-1-seat", "candidate-5,house-9-seat", "candidates.csv:6:contest", "reference"},
		"ticket with nobody":     {"candidates.csv", ",candidate-1,", ",candidate-99,", "candidates.csv:3:contest", "reference"},
		"party of nobody":        {"candidates.csv", "Candidate 5,oak", "Candidate 5,ash", "candidates.csv:6:party", "reference"},
		"yes or no":              {"candidates.csv", "1,yes,yes", "1,x,yes", "candidates.csv:2:incumbent", "value"},
		"option kind":            {"options.csv", "judge-yes,judge,answer", "judge-yes,judge,reply", "options.csv:2:kind", "value"},
		"option without text":    {"options.csv", "answer,Yes", "answer,", "translations.csv:48:text", "translation-base"},
		"answer without text":    {"options.csv", "judge-yes,judge,answer,Yes", "other,judge,answer,", "options.csv:2:", "option-empty"},
		"no such key":            {"election.csv", "issuer,", "isuer,", "election.csv:7:key", "key-unknown"},
		"key twice":              {"election.csv", "issuer,", "name,", "election.csv:7:key", "key-repeated"},
		"no day":                 {"election.csv", "2026-11-03", "2026-11-31", "election.csv:4:date", "value"},
		"no name":                {"election.csv", "Maple County General Election", "", "election.csv:2:name", "cell-missing"},
		"no identifier":          {"election.csv", "local_id,maple-general-2026", ",", "election.csv:0:", "election-id"},
		"language tag":           {"election.csv", "en es zh-Hans", "en spanish!", "election.csv:6:languages", "language"},
		"rotation":               {"election.csv", "by-precinct", "by-dice", "election.csv:11:rotation_rule", "rotation"},
		"no such language":       {"translations.csv", "election,name,es", "election,name,fr", "translations.csv:2:language", "language"},
		"first language":         {"translations.csv", "election,name,es", "election,name,en", "translations.csv:2:language", "language"},
		"translated twice":       {"translations.csv", "election,name,zh-Hans", "election,name,es", "translations.csv:3:language", "translation-repeated"},
		"object":                 {"translations.csv", "oak,name,es", "ash,name,es", "translations.csv:4:object", "reference"},
		"field":                  {"translations.csv", "oak,name,es", "oak,color,es", "translations.csv:4:field", "translation-field"},
	} {
		t.Run(name, func(t *testing.T) {
			set := sample(t, general)
			change(t, set, c.file, c.old, c.with)
			d, bad := define.ReadSet(set)
			var got []string
			for _, p := range bad {
				got = append(got, fmt.Sprintf("%s:%d:%s %s", p.File, p.Line, p.Column, p.Rule))
				if p.Text == "" || p.Severity != define.Error {
					t.Errorf("%+v", p)
				}
			}
			if d != nil || !slices.Contains(got, c.at+" "+c.rule) {
				t.Errorf("want %s %s, got:\n%s", c.at, c.rule, strings.Join(got, "\n"))
			}
		})
	}
}

// A clerk sees all faults of all tables in one go, in the order of the files.
func TestAllFaultsOfASetAreTold(t *testing.T) {
	set := sample(t, general)
	change(t, set, "election.csv", "2026-11-03", "3.11.2026")
	change(t, set, "parties.csv", "Oak Party", "")
	change(t, set, "contests.csv", "60% of the votes cast", "many")
	change(t, set, "candidates.csv", "Candidate 5,oak", "Candidate 5,ash")
	change(t, set, "candidates.csv", "Candidate 6,elm", "Candidate 6,ash")
	var got []string
	_, bad := define.ReadSet(set)
	for _, p := range bad {
		got = append(got, fmt.Sprintf("%s:%d", p.File, p.Line))
	}
	got = slices.Compact(got)
	want := []string{"election.csv:4", "parties.csv:2", "contests.csv:10", "candidates.csv:6", "candidates.csv:7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s%v", diff, bad)
	}
}

func TestFilesOfASet(t *testing.T) {
	set := sample(t, general)
	set["partys.csv"] = &fstest.MapFile{}
	delete(set, "units.csv")
	_, bad := define.ReadSet(set)
	rules := map[string]string{}
	for _, p := range bad {
		rules[p.File] = p.Rule
	}
	if diff := cmp.Diff(map[string]string{"partys.csv": "file-unknown", "units.csv": "file-missing"}, only(rules, "partys.csv", "units.csv")); diff != "" {
		t.Error(diff)
	}
	set = sample(t, general)
	set["parties.csv"] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
	if _, bad := define.ReadSet(set); !slices.ContainsFunc(bad, func(p define.Problem) bool { return p.File == "parties.csv" && p.Rule == "file" }) {
		t.Errorf("%v", bad)
	}
	set = sample(t, general)
	set["parties.csv"] = &fstest.MapFile{Data: []byte(strings.Repeat("x", define.MaxFile+1))}
	if _, bad := define.ReadSet(set); len(bad) != 1 || bad[0].Rule != "over-limit" {
		t.Errorf("%v", bad)
	}
}

func only(m map[string]string, keys ...string) map[string]string {
	maps.DeleteFunc(m, func(k, _ string) bool { return !slices.Contains(keys, k) })
	return m
}

// A set that brings its ballot styles is taken at its word, and checked.
func TestStylesOfASetAreChecked(t *testing.T) {
	set, err := written(read(t, sample(t, general)))
	if err != nil {
		t.Fatal(err)
	}
	change(t, set, "style_contests.csv", "2,,mayor", "5,,mayor")
	_, bad := define.ReadSet(set)
	if len(bad) != 1 || bad[0].Rule != "style-district" || bad[0].File != "styles.csv" || bad[0].Line != 6 {
		t.Errorf("%v", bad)
	}
	delete(set, "styles.csv")
	if _, bad := define.ReadSet(set); len(bad) != 1 || bad[0].Rule != "file-missing" || bad[0].File != "styles.csv" {
		t.Errorf("%v", bad)
	}
}

func TestHeadersOfStylesSurvive(t *testing.T) {
	d, err := read(t, sample(t, general)).Definition().Clone()
	if err != nil {
		t.Fatal(err)
	}
	d, err = define.Apply(d, define.Add{Class: "header", ID: "head-state", Fields: []define.Field{{Name: "name", Value: "State"}}},
		define.Add{Class: "header", ID: "head-county", Fields: []define.Field{{Name: "name", Value: "County"}}})
	if err != nil {
		t.Fatal(err)
	}
	r := define.DefaultRules(d)
	r.Headers = []define.HeaderGroup{{Header: "head-county", Contests: []string{"judge", "commissioner"}}, {Header: "head-state", Contests: []string{"governor"}}}
	d, bad := define.BuildStyles(d, r)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	v := valid(t, d)
	var on []string
	v.Election().Styles[0].Contests(func(o *election.OrderedContest, at string) { on = append(on, o.Contest+" "+at) })
	if on[1] != "judge /OrderedContent/1/OrderedContent/0" || on[2] != "commissioner /OrderedContent/1/OrderedContent/1" || on[3] != "governor /OrderedContent/2/OrderedContent/0" {
		t.Error(on)
	}
	set, err := written(v)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "headers", v, read(t, set))
}

// The tables may be kept in any language.
func TestASetInAnotherLanguage(t *testing.T) {
	set := unpack(smallest)
	change(t, set, "election.csv", "local_id", "languages,es en\nlocal_id")
	if _, bad := define.ReadSet(set); len(bad) != 1 || bad[0].Rule != "option-none" || bad[0].File != "contests.csv" {
		t.Errorf("a question without answers in Spanish: %v", bad)
	}
	set["options.csv"] = &fstest.MapFile{Data: []byte("id,contest,kind,text\ny,m,answer,Sí\nn,m,answer,No\n")}
	set["translations.csv"] = &fstest.MapFile{Data: []byte("object,field,language,text\ny,text,en,Yes\n")}
	v := read(t, set)
	if got := v.Definition().Elections[0].Contests[0].Base().Options[0].(*election.BallotMeasureOption).Selection.Text; got[0].Language != "es" || got[0].Content != "Sí" || got[1].Content != "Yes" {
		t.Errorf("%v", got)
	}
	again, err := written(v)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "es", v, read(t, again))
}

// What comes from tables is a document of the standard, which the core takes.
func TestSetsMakeDocumentsOfTheStandard(t *testing.T) {
	reader, err := cdf.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]fs.FS{"general": sample(t, general), "primary": sample(t, primary),
		"closed": county(closedPrimary).set(), "open": county(openPrimary).set(), "smallest": unpack(smallest)} {
		v := read(t, set)
		data, err := v.Definition().JSON()
		if err != nil {
			t.Fatal(err)
		}
		back, err := reader.Election(name, data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := changes(t, v, back); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}
