package cdf

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/verdict"
)

// results builds a small report in code: one contest, two options, counts for
// two precincts.
func results(t testing.TB) *Document {
	t.Helper()
	d := reader(t).NewDocument(ERR)
	text := func(s string) *Object {
		return d.New("InternationalizedText").Append("Text", d.New("LanguageString").Set("Content", s).Set("Language", "en"))
	}
	votes := func(unit, kind string, n int) *Object {
		return d.New("VoteCounts").Set("GpUnitId", unit).Set("Type", kind).Set("Count", n)
	}
	d.Root.Set("Format", "precinct-level").Set("Status", "unofficial-complete").Set("GeneratedDate", time.Date(2026, 11, 4, 1, 2, 3, 0, time.UTC)).
		Set("Issuer", "Maple County").Set("IssuerAbbreviation", "MC").Set("VendorApplicationId", "test").Set("SequenceStart", 1).Set("SequenceEnd", 1).
		Append("GpUnit", d.New("ReportingUnit").Set("@id", "county").Set("Type", "county").Set("ComposingGpUnitIds", []string{"p1", "p2"})).
		Append("GpUnit", d.New("ReportingUnit").Set("@id", "p1").Set("Type", "precinct").Set("Name", text("First"))).
		Append("GpUnit", d.New("ReportingUnit").Set("@id", "p2").Set("Type", "precinct"))
	candidate := d.New("Candidate").Set("@id", "cand/1").Set("BallotName", text("A. Person"))
	one := d.New("CandidateSelection").Set("@id", "s1").Set("CandidateIds", []string{"cand/1"})
	for _, unit := range []string{"p1", "p2"} {
		one.Append("VoteCounts", votes(unit, "election-day", 10)).Append("VoteCounts", votes(unit, "absentee-mail", 4)).
			Append("VoteCounts", votes(unit, "uocava", 1)).Append("VoteCounts", votes(unit, "total", 15))
	}
	two := d.New("CandidateSelection").Set("@id", "s2").Set("IsWriteIn", true).Append("VoteCounts", votes("p1", "early", 3)).Append("VoteCounts", votes("p1", "absentee", 2)).
		Append("VoteCounts", votes("p1", "absentee-mail", 1))
	contest := d.New("CandidateContest").Set("@id", "c").Set("Name", "Clerk").Set("ElectionDistrictId", "county").Set("VotesAllowed", 1).
		Append("ContestSelection", one).Append("ContestSelection", two).
		Append("OtherCounts", d.New("OtherCounts").Set("GpUnitId", "p1").Set("Overvotes", 0).Set("Undervotes", 2))
	d.Root.Append("Election", d.New("Election").Set("Name", text("General")).Set("Type", "general").Set("StartDate", "2026-11-03").Set("EndDate", "2026-11-03").
		Set("ElectionScopeId", "county").Append("Contest", contest).Append("Candidate", candidate).
		Append("BallotCounts", d.New("BallotCounts").Set("GpUnitId", "p1").Set("Type", "total").Set("BallotsCast", 22)))
	return d
}

func TestReportBuiltInCodeIsValidInBothEncodings(t *testing.T) {
	d := results(t)
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	bothWays(t, "results", d)
	if root, err := d.OneRoot(); err != nil || root.ID() != "county" || root.Class() != "ReportingUnit" {
		t.Errorf("%v %v", root, err)
	}
	d.Root.Append("GpUnit", d.New("ReportingUnit").Set("@id", "p3").Set("Type", "precinct"))
	_, err := d.OneRoot()
	wantFinding(t, err, verdict.ContentInvalid, "#/GpUnit", "rule unit-root", "found 2")
	var none *Object
	if none.Object("Name").List("Text") != nil || none.Str("x") != "" || none.Pointer() != "" || none.Text("Name") != "" || none.Parent() != nil || none.Line() != 0 {
		t.Error("an absent object has members")
	}
}

func TestWrongUseInCodeIsAnErrorOfValidate(t *testing.T) {
	other := reader(t).NewDocument(BD)
	for name, wrong := range map[string]func(d *Document){
		"no member":            func(d *Document) { d.Root.Set("Publisher", "x") },
		"no class":             func(d *Document) { d.Root.Append("Party", d.New("Club")) },
		"no list":              func(d *Document) { d.Root.Append("Issuer", "x") },
		"text for an object":   func(d *Document) { d.Root.Append("Party", "x") },
		"object for text":      func(d *Document) { d.Root.Set("Issuer", d.New("Party")) },
		"a type without sense": func(d *Document) { d.Root.Set("Issuer", 1.5) },
		"another format":       func(d *Document) { d.Root.Append("Party", other.New("Party").Set("@id", "x")) },
		"in two places": func(d *Document) {
			p := d.New("Header").Set("@id", "h")
			d.Root.Append("Header", p).Append("Header", p)
		},
		"in itself": func(d *Document) {
			g := d.New("OfficeGroup").Set("Name", "g")
			h := d.New("OfficeGroup").Set("Name", "h").Append("SubOfficeGroup", g)
			g.Append("SubOfficeGroup", h)
			d.Root.Append("OfficeGroup", h)
		},
		"no value":            func(d *Document) { d.Root.Set("Issuer", nil) },
		"value out of form":   func(d *Document) { d.Root.Set("GeneratedDate", "today") },
		"no such value":       func(d *Document) { d.Root.Set("Status", "done") },
		"control character":   func(d *Document) { d.Root.Set("Issuer", "a\x01") },
		"no UTF-8":            func(d *Document) { d.Root.Set("Issuer", "a\xff") },
		"class that may not":  func(d *Document) { d.Root.Append("GpUnit", d.New("Party").Set("@id", "x")) },
		"dangling reference":  func(d *Document) { d.Root.List("Election")[0].Set("ElectionScopeId", "x") },
		"reference to others": func(d *Document) { d.Root.List("Election")[0].Set("ElectionScopeId", "c") },
	} {
		d := results(t)
		wrong(d)
		if err := d.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if err := d.WriteJSON(&bytes.Buffer{}); err == nil {
			t.Errorf("%s: written as JSON", name)
		}
		if err := d.WriteXML(&bytes.Buffer{}); err == nil {
			t.Errorf("%s: written as XML", name)
		}
	}
}

func TestEveryFaultOfAReportOfResultsIsRefused(t *testing.T) {
	good := written(t, results(t), JSON)
	good = bytes.ReplaceAll(bytes.ReplaceAll(good, []byte("\n"), nil), []byte("  "), nil)
	good = bytes.ReplaceAll(good, []byte(`": `), []byte(`":`))
	const counts = "/Election/0/Contest/0/ContestSelection/0/VoteCounts/"
	for _, c := range []change{
		{"part number", `"SequenceStart":1`, `"SequenceStart":2`, "sequence", "#/SequenceStart"},
		{"part number", `"SequenceStart":1`, `"SequenceStart":0`, "sequence", "#/SequenceStart"},
		{"total that is not the sum", `"Count":10`, `"Count":11`, "count-total", counts + "0"},
		{"negative count", `"Count":10`, `"Count":-10`, "count-negative", counts + "0"},
		{"count with exponent", `"Count":10`, `"Count":1e1`, "count-value", counts + "0"},
		{"endless count", `"Count":10`, `"Count":` + strings.Repeat("9", 50), "count-value", counts + "0"},
		{"count twice", `"Type":"absentee-mail"`, `"Type":"election-day"`, "count-repeated", counts + "1"},
		{"kinds over absentee", `"Type":"absentee-mail","Count":1`, `"Type":"absentee-mail","Count":3`, "count-total", "/ContestSelection/1/VoteCounts/0"},
		{"negative undervotes", `"Undervotes":2`, `"Undervotes":-2`, "count-negative", "/OtherCounts/0/Undervotes"},
		{"negative ballots", `"BallotsCast":22`, `"BallotsCast":-22`, "count-negative", "/BallotCounts/0"},
		{"negative voters", `"Type":"county"`, `"Type":"county","VotersRegistered":-1`, "count-negative", "/GpUnit/0/VotersRegistered"},
		{"nobody's option", `"IsWriteIn":true`, `"IsWriteIn":false`, "option-empty", "/ContestSelection/1"},
		{"negative seats", `"VotesAllowed":1`, `"VotesAllowed":-1`, "count-negative", "/Contest/0/VotesAllowed"},
		{"unit of itself", `"@id":"p1",`, `"@id":"p1","ComposingGpUnitIds":["county"],`, "unit-cycle", "/GpUnit/1"},
		{"contest for a unit", `"ElectionDistrictId":"county"`, `"ElectionDistrictId":"c"`, "reference", "/Contest/0/ElectionDistrictId"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := apply(t, good, c)
			for _, lenient := range []bool{false, true} {
				_, _, err := reader(t).ReadDocument(context.Background(), "r.json", bytes.NewReader(doc), ReadOptions{Lenient: lenient})
				wantFinding(t, err, verdict.ContentInvalid, "r.json#", "(rule "+c.rule+")", c.where)
			}
		})
	}
	d := results(t)
	twin := d.Root.List("Election")[0].List("Contest")[0].copyOf().Set("@id", "c2")
	for i, s := range twin.List("ContestSelection") {
		s.Set("@id", []string{"t1", "t2"}[i])
	}
	d.Root.List("Election")[0].Append("Contest", twin)
	wantFinding(t, d.Validate(), verdict.ContentInvalid, "/Election/0/Contest/1", "rule contest-repeated")
	twin.Set("Name", "Clerk, unexpired term")
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}

func TestWhatADocumentIsMustBeSaid(t *testing.T) {
	r := reader(t)
	for doc, rule := range map[string]string{`{}`: "format", `{"@type":"Ballot"}`: "format", ``: "json", `[]`: "type", `{"@type":1}`: "format", `<a/>`: "format", `<`: "xml", `{"a":1,"a":2}`: "json"} {
		_, _, err := r.ReadDocument(context.Background(), "d", strings.NewReader(doc), ReadOptions{})
		wantFinding(t, err, verdict.ContentInvalid, "d#", "rule "+rule)
	}
	_, _, err := r.ReadDocument(context.Background(), "d", strings.NewReader(tinyReport), ReadOptions{Format: ERR})
	wantFinding(t, err, verdict.ContentInvalid, "rule format", "SP 1500-103", "SP 1500-100")
	_, _, err = r.ReadDocument(context.Background(), "d", bytes.NewReader(bytes.Repeat([]byte(" "), MaxDocument+1)), ReadOptions{})
	wantFinding(t, err, verdict.OverLimit, "128 MiB")
	mine := errors.New("no cable")
	if _, _, err = r.ReadDocument(context.Background(), "d", failing{mine}, ReadOptions{}); !errors.Is(err, mine) {
		t.Error(err)
	}
	_, _, err = r.ReadDocument(context.Background(), "d", strings.NewReader(bom+tinyReport), ReadOptions{})
	wantFinding(t, err, verdict.ContentInvalid, "rule json", "byte order mark")
	_, dev, err := r.ReadDocument(context.Background(), "d", strings.NewReader(bom+tinyReport), ReadOptions{Lenient: true})
	if err != nil || !cmp.Equal(rulesOf(dev), []string{"bom  ×1"}) {
		t.Error(err, dev)
	}
}

// Without a class, the members decide; where they fit two classes, nothing does.
func TestMissingClassIsToldByTheMembersAlone(t *testing.T) {
	read := func(old, new string) ([]string, error) {
		doc := strings.Replace(tinyReport, old, new, 1)
		if doc == tinyReport {
			t.Fatalf("no %q", old)
		}
		_, dev, err := reader(t).ReadDocument(context.Background(), "d", strings.NewReader(doc), ReadOptions{Format: CVR, Lenient: true})
		return rulesOf(dev), err
	}
	got, err := read(`{"@type":"CVR.CandidateSelection",`, `{`)
	if err != nil || !cmp.Equal(got, []string{"type-missing /Election/0/Contest/0/ContestSelection/0 ×1"}) {
		t.Error(got, err)
	}
	got, err = read(`{"@type":"CVR.CastVoteRecordReport",`, `{`)
	if err != nil || !cmp.Equal(got, []string{"type-missing  ×1"}) {
		t.Error(got, err)
	}
	_, err = read(`{"@type":"CVR.CandidateContest",`, `{`)
	wantFinding(t, err, verdict.ContentInvalid, "d#/Election/0/Contest/0", "rule type")
}

func TestTotalsCountNothingTwice(t *testing.T) {
	d := results(t)
	options := d.Root.List("Election")[0].List("Contest")[0].List("ContestSelection")
	counts := func(o *Object) []*Object { return o.List("VoteCounts") }
	want := func(o *Object, unit string, n int64) {
		t.Helper()
		got, err := VoteTotal(counts(o), unit, 0)
		if err != nil || got.Cmp(new(big.Rat).SetInt64(n)) != 0 {
			t.Errorf("%v, %v, want %d", got, err, n)
		}
	}
	want(options[0], "p1", 15) // the total, not the total and its parts
	want(options[1], "p1", 5)  // absentee by mail is a part of absentee
	if _, err := VoteTotal(counts(options[1]), "p2", 0); !errors.Is(err, ErrNoCount) {
		t.Error(err)
	}
	scanner := func(kind string, n any) *Object {
		return d.New("VoteCounts").Set("GpUnitId", "p2").Set("Type", "total").Set("Count", n).Set("DeviceClass", d.New("DeviceClass").Set("Type", kind))
	}
	options[1].Append("VoteCounts", scanner("bmd", 3)).Append("VoteCounts", scanner("opscan-central", "4.5"))
	if got, err := VoteTotal(counts(options[1]), "p2", 0); err != nil || got.RatString() != "15/2" {
		t.Error(got, err) // by class of device, added up
	}
	options[1].Append("VoteCounts", d.New("VoteCounts").Set("GpUnitId", "p2").Set("Type", "early").Set("Count", 8))
	want(options[1], "p2", 8) // a count for all devices stands before them
	options[1].Append("VoteCounts", d.New("VoteCounts").Set("GpUnitId", "p2").Set("Type", "provisional").Set("Count", 0).Set("IsSuppressedForPrivacy", true))
	if _, err := VoteTotal(counts(options[1]), "p2", 0); !errors.Is(err, ErrSuppressed) {
		t.Error(err)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	if n, err := BallotTotal(d.Root.List("Election")[0].List("BallotCounts"), "p1", 0); err != nil || n.RatString() != "22" {
		t.Error(n, err)
	}
}
