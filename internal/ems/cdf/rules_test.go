package cdf

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"sallyport/internal/verdict"
)

// change is one fault put into a good document: old (a string that must be
// there) is replaced once by new.
type change struct {
	name     string
	old, new string
	rule     string
	where    string // part of the finding's place
}

func apply(t *testing.T, doc []byte, c change) []byte {
	t.Helper()
	if !bytes.Contains(doc, []byte(c.old)) {
		t.Fatalf("%s: the document has no %q", c.name, c.old)
	}
	return bytes.Replace(doc, []byte(c.old), []byte(c.new), 1)
}

func TestEveryFaultOfADefinitionIsRefused(t *testing.T) {
	doc := small(t).Definition.Data
	ru := `"@type": "BallotDefinition.ReportingUnit"`
	for _, c := range []change{
		{"not json", `{`, `[`, "type", "#"},
		{"cut short", "\n}\n", "\n", "json", ""},
		{"more after the end", "\n}\n", "\n}\n{}", "trailing", ""},
		{"byte order mark", "{", "\xef\xbb\xbf{", "json", ""},
		{"invalid UTF-8", "Library Levy", "Library \xff Levy", "json", ""},
		{"duplicate member", `"Issuer":`, `"Issuer": "x", "Issuer":`, "json", "/Issuer"},
		{"unknown member", `"Issuer":`, `"Publisher": "x", "Issuer":`, "member-unknown", "#/Publisher"},
		{"member in another case", `"Issuer":`, `"issuer":`, "member-unknown", "#/issuer"},
		{"required member missing", `"IssuerAbbreviation": "MCEO",`, ``, "member-missing", ""},
		{"null", `"IssuerAbbreviation": "MCEO"`, `"IssuerAbbreviation": null`, "value", "/IssuerAbbreviation"},
		{"wrong class", ru, `"@type": "BallotDefinition.Party"`, "value", "/GpUnit/0/@type"},
		{"class of no meaning", `"BallotDefinition.BallotMeasureContest"`, `"BallotDefinition.Poll"`, "type", "/Election/0/Contest/3"},
		{"class that may not stand there", `"BallotDefinition.BallotMeasureContest"`, `"BallotDefinition.Party"`, "type", "/Election/0/Contest/3"},
		{"string for a number", `"VotesAllowed": 2`, `"VotesAllowed": "2"`, "value", "/Election/0/Contest/0/VotesAllowed"},
		{"fraction", `"VotesAllowed": 2`, `"VotesAllowed": 2.0`, "value", "VotesAllowed"},
		{"nothing allowed", `"VotesAllowed": 2`, `"VotesAllowed": 0`, "votes-allowed", "VotesAllowed"},
		{"too many allowed", `"VotesAllowed": 2`, `"VotesAllowed": 2000000000`, "votes-allowed", "VotesAllowed"},
		{"bad date", `"StartDate": "2026-11-03"`, `"StartDate": "2026-13-03"`, "value", "/Election/0/StartDate"},
		{"value outside the enumeration", `"Type": "general"`, `"Type": "General"`, "value", "/Election/0/Type"},
		{"other version", `"Version": "1.0.0"`, `"Version": "2.0.0"`, "value", "/Version"},
		{"repeated id", `"@id": "precinct-2"`, `"@id": "precinct-1"`, "id-repeated", "/@id"},
		{"dangling reference", `"ElectionScopeId": "county-maple"`, `"ElectionScopeId": "nowhere"`, "reference", "/Election/0/ElectionScopeId"},
		{"reference to another class", `"ElectionScopeId": "county-maple"`, `"ElectionScopeId": "party-oak"`, "reference", "/Election/0/ElectionScopeId"},
		{"one of several documents", `"SequenceEnd": 1`, `"SequenceEnd": 2`, "definition-split", "/SequenceEnd"},
		{"style without identifier", `"Value": "style-harbor"`, `"Value": ""`, "style-id", "/Election/0/BallotStyle/1"},
		{"two styles of one identifier", `"Value": "style-harbor"`, `"Value": "style-county"`, "style-id", "/Election/0/BallotStyle/1"},
		{"way of voting that is not tallied", `"VoteVariation": "n-of-m"`, `"VoteVariation": "borda"`, "variation-unsupported", "/Election/0/Contest/0/VoteVariation"},
		{"option of another contest", `"option-commissioner-1",`, `"option-clerk-1",`, "style-option", "/OrderedContestOptionIds/0"},
		{"contest twice on a style", `"ContestId": "contest-clerk"`, `"ContestId": "contest-measure-a"`, "style-", "/OrderedContent/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := reader(t).Definition("definition.json", apply(t, doc, c))
			wantFinding(t, err, verdict.ContentInvalid, "definition.json#", "rule "+c.rule, c.where)
		})
	}
	big := append(bytes.Clone(doc), bytes.Repeat([]byte(" "), MaxDefinition)...)
	_, err := reader(t).Definition("definition.json", big)
	wantFinding(t, err, verdict.OverLimit)
}

func TestReportingUnitsMustBeOneGraph(t *testing.T) {
	doc := small(t).Definition.Data
	// The city, which is below the county, is made to hold the county.
	_, err := reader(t).Definition("d", regexp.MustCompile(`("ComposingGpUnitIds": \[)\s*("precinct-3")`).ReplaceAll(doc, []byte(`$1 "county-maple", $2`)))
	wantFinding(t, err, verdict.ContentInvalid, "#/GpUnit", "rule unit-cycle")
	// A precinct that nothing holds.
	_, err = reader(t).Definition("d", regexp.MustCompile(`(\[)\s*"precinct-1",\s*("precinct-2")`).ReplaceAll(doc, []byte("$1 $2")))
	wantFinding(t, err, verdict.ContentInvalid, "#/GpUnit", "rule unit-root")
}

const cvrHead = `{"@type":"CVR.CastVoteRecordReport","Version":"1.0.0","GeneratedDate":"2026-11-03T20:30:00Z",
"ReportGeneratingDeviceIds":["scanner"],"ReportingDevice":[{"@type":"CVR.ReportingDevice","@id":"scanner"}],
"GpUnit":[{"@type":"CVR.GpUnit","@id":"precinct-1","Type":"precinct"},{"@type":"CVR.GpUnit","@id":"precinct-3","Type":"precinct"}],
"Party":[{"@type":"CVR.Party","@id":"party-oak"}],
"Election":[{"@type":"CVR.Election","@id":"election","Code":[{"@type":"CVR.Code","Type":"local-level","Value":"maple-county-general-2026-11-03"}],
"ElectionScopeId":"precinct-1","Contest":[
{"@type":"CVR.CandidateContest","@id":"contest-commissioner","VotesAllowed":2,"ContestSelection":[
{"@type":"CVR.CandidateSelection","@id":"option-commissioner-1"},{"@type":"CVR.CandidateSelection","@id":"option-commissioner-2"},
{"@type":"CVR.CandidateSelection","@id":"option-commissioner-3"},
{"@type":"CVR.CandidateSelection","@id":"option-commissioner-write-in-1","IsWriteIn":true}]},
{"@type":"CVR.BallotMeasureContest","@id":"contest-measure-a","ContestSelection":[
{"@type":"CVR.BallotMeasureSelection","@id":"option-measure-a-yes","Selection":"Yes"}]}]}],
"CVR":[`

const cvrOne = `{"@type":"CVR.CVR","UniqueId":"one","ElectionId":"election","BallotStyleId":"style-county","BallotStyleUnitId":"precinct-1",
"CreatingDeviceId":"scanner","BatchId":"b","PartyIds":["party-oak"],"CurrentSnapshotId":"s2","CVRSnapshot":[
{"@type":"CVR.CVRSnapshot","@id":"s1","Type":"original"},
{"@type":"CVR.CVRSnapshot","@id":"s2","Type":"modified","CVRContest":[
{"@type":"CVR.CVRContest","ContestId":"contest-commissioner","Overvotes":0,"Undervotes":0,"WriteIns":1,"CVRContestSelection":[
{"@type":"CVR.CVRContestSelection","ContestSelectionId":"option-commissioner-1","SelectionPosition":[{"@type":"CVR.SelectionPosition","HasIndication":"yes","NumberVotes":1}]},
{"@type":"CVR.CVRContestSelection","ContestSelectionId":"option-commissioner-write-in-1","SelectionPosition":[{"@type":"CVR.SelectionPosition","HasIndication":"yes","NumberVotes":1,"IsAllocable":"unknown","CVRWriteIn":{"@type":"CVR.CVRWriteIn","Text":"name"}}]}]},
{"@type":"CVR.CVRContest","ContestId":"contest-measure-a","CVRContestSelection":[
{"@type":"CVR.CVRContestSelection","ContestSelectionId":"option-measure-a-yes","SelectionPosition":[{"@type":"CVR.SelectionPosition","HasIndication":"no","NumberVotes":1}]}]}
]}]}`

func report(records ...string) []byte {
	return []byte(cvrHead + strings.Join(records, ",") + "]}")
}

func TestEveryFaultOfARecordIsRefused(t *testing.T) {
	d := smallDefinition(t)
	if n, err := read(t, report(cvrOne), d); n != 1 || err != nil {
		t.Fatalf("the good record: %d, %v", n, err)
	}
	const snap = "#/CVR/0/CVRSnapshot/1/CVRContest/0"
	for _, c := range []change{
		{"duplicate member", `"BatchId":"b"`, `"BatchId":"b","BatchId":"b"`, "json", "#/CVR/0/BatchId"},
		{"duplicate member by escape", `"BatchId":"b"`, `"BatchId":"b","Batch\u0049d":"b"`, "json", "#/CVR/0/BatchId"},
		{"unknown member", `"BatchId":"b"`, `"Batch":"b"`, "member-unknown", "#/CVR/0/Batch"},
		{"no class", `{"@type":"CVR.CVR",`, `{`, "member-missing", "#/CVR/0"},
		{"class of a dialect", `"CVR.CVR",`, `"CVR",`, "value", "#/CVR/0/@type"},
		{"no identifier", `"UniqueId":"one",`, ``, "record-id", "#/CVR/0"},
		{"empty identifier", `"UniqueId":"one",`, `"UniqueId":"",`, "record-id", "#/CVR/0"},
		{"endless identifier", `"UniqueId":"one"`, `"UniqueId":"` + strings.Repeat("x", 257) + `"`, "record-name", "#/CVR/0"},
		{"unknown style", `"style-county"`, `"style-x"`, "record-style", "#/CVR/0/BallotStyleId"},
		{"no style", `"BallotStyleId":"style-county",`, ``, "record-style", "#/CVR/0/BallotStyleId"},
		{"unknown precinct", `"BallotStyleUnitId":"precinct-1"`, `"BallotStyleUnitId":"precinct-9"`, "record-unit", "#/CVR/0/BallotStyleUnitId"},
		{"style of another precinct", `"BallotStyleUnitId":"precinct-1"`, `"BallotStyleUnitId":"precinct-3"`, "record-style-unit", "#/CVR/0/BallotStyleUnitId"},
		{"unknown device", `"CreatingDeviceId":"scanner"`, `"CreatingDeviceId":"x"`, "reference", "#/CVR/0/CreatingDeviceId"},
		{"party for a device", `"CreatingDeviceId":"scanner"`, `"CreatingDeviceId":"party-oak"`, "reference", "#/CVR/0/CreatingDeviceId"},
		{"unknown party", `"PartyIds":["party-oak"]`, `"PartyIds":["party-x"]`, "reference", "#/CVR/0/PartyIds"},
		{"dangling snapshot pointer", `"CurrentSnapshotId":"s2"`, `"CurrentSnapshotId":"s3"`, "record-current", "#/CVR/0/CurrentSnapshotId"},
		{"two snapshots of one id", `"@id":"s1"`, `"@id":"s2"`, "snapshot-repeated", "#/CVR/0/CVRSnapshot/1/@id"},
		{"no snapshot", `"CVRSnapshot":[`, `"CVRSnapshot":[],"BallotImage":[`, "list-empty", "#/CVR/0/CVRSnapshot"},
		{"unknown contest", `"ContestId":"contest-commissioner"`, `"ContestId":"contest-x"`, "record-contest", snap + "/ContestId"},
		{"contest of another style", `"ContestId":"contest-commissioner"`, `"ContestId":"contest-mayor"`, "record-style-contest", snap + "/ContestId"},
		{"contest twice", `"ContestId":"contest-measure-a"`, `"ContestId":"contest-commissioner"`, "record-contest-repeated", "/CVRContest/1/ContestId"},
		{"contest that the report does not list", `"ContestId":"contest-measure-a"`, `"ContestId":"contest-clerk"`, "record-option", "/CVRContest/1"},
		{"unknown option", `"ContestSelectionId":"option-commissioner-1"`, `"ContestSelectionId":"x"`, "record-option", snap + "/CVRContestSelection/0/ContestSelectionId"},
		{"option of another contest", `"ContestSelectionId":"option-commissioner-1"`, `"ContestSelectionId":"option-measure-a-yes"`, "record-option", snap},
		{"candidate for an option", `"ContestSelectionId":"option-commissioner-1"`, `"ContestSelectionId":"candidate-option-commissioner-1"`, "record-option", snap},
		{"option that the report does not list", `"ContestSelectionId":"option-commissioner-1"`, `"ContestSelectionId":"option-commissioner-4"`, "reference", ""},
		{"option twice", `"ContestSelectionId":"option-commissioner-write-in-1"`, `"ContestSelectionId":"option-commissioner-1"`, "record-option-repeated", snap + "/CVRContestSelection/1"},
		{"negative votes", `"NumberVotes":1,`, `"NumberVotes":-1,`, "record-votes", "/SelectionPosition/0/NumberVotes"},
		{"absurd votes", `"NumberVotes":1,`, `"NumberVotes":4294967297,`, "record-votes", "/NumberVotes"},
		{"number beyond 64 bits", `"NumberVotes":1,`, `"NumberVotes":9223372036854775808,`, "value", "/NumberVotes"},
		{"fractional votes", `"NumberVotes":1,`, `"NumberVotes":0.5,`, "value", "/NumberVotes"},
		{"fractional votes in words", `"NumberVotes":1,`, `"NumberVotes":1,"FractionalVotes":"1/2",`, "variation-unsupported", "/SelectionPosition/0"},
		{"second rank", `"NumberVotes":1,`, `"NumberVotes":1,"Rank":2,`, "variation-unsupported", "/SelectionPosition/0"},
		{"two votes for one option", `"NumberVotes":1}]},`, `"NumberVotes":2}]},`, "record-marks", snap},
		{"unknown indication", `"HasIndication":"yes"`, `"HasIndication":"maybe"`, "value", "/HasIndication"},
		{"name written in at a candidate", `"HasIndication":"no","NumberVotes":1`, `"HasIndication":"no","NumberVotes":1,"CVRWriteIn":{"@type":"CVR.CVRWriteIn"}`, "record-write-in", "/CVRWriteIn"},
		{"wrong undervotes", `"Undervotes":0`, `"Undervotes":1`, "record-counts", snap},
		{"wrong write-ins", `"WriteIns":1`, `"WriteIns":2`, "record-counts", snap},
		{"negative overvotes", `"Overvotes":0`, `"Overvotes":-1`, "record-counts", snap},
		{"overvoted without overvotes", `"Overvotes":0`, `"Overvotes":0,"Status":["overvoted"]`, "record-counts", snap},
		{"overvoted with votes that count", `"Overvotes":0`, `"Overvotes":2`, "record-marks", snap},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := read(t, report(string(apply(t, []byte(cvrOne), c))), d)
			wantFinding(t, err, verdict.ContentInvalid, "cvr.json#", "rule "+c.rule, c.where)
			if n != 0 && !strings.Contains(c.rule, "reference") {
				t.Error("the bad record was handed on")
			}
		})
	}
}

func TestEveryFaultOfAReportIsRefused(t *testing.T) {
	d := smallDefinition(t)
	for _, c := range []change{
		{"cut short", "]}]}]}", "", "json", ""},
		{"test report", `"Version":`, `"ReportType":["other"],"OtherReportType":"Test","Version":`, "test-votes", "#/OtherReportType"},
		{"more votes allowed", `"VotesAllowed":2`, `"VotesAllowed":3`, "list-votes-allowed", "#/Election/0/Contest/0/VotesAllowed"},
		{"contest that is not defined", `"@id":"contest-measure-a"`, `"@id":"contest-measure-b"`, "list-contest", "#/Election/0/Contest/1"},
		{"option that is not defined", `"@id":"option-commissioner-2"`, `"@id":"option-x"`, "list-option", "#/Election/0/Contest/0/ContestSelection/1"},
		{"write-in that is none", `"@id":"option-commissioner-2"`, `"@id":"option-commissioner-2","IsWriteIn":true`, "list-write-in", "#/Election/0/Contest/0/ContestSelection/1"},
		{"two elections", `"Election":[`, `"Election":[{"@type":"CVR.Election","@id":"maple-county-general-2026-11-03","ElectionScopeId":"precinct-1","Contest":[{"@type":"CVR.Contest","@id":"contest-clerk","ContestSelection":[{"@type":"CVR.ContestSelection","@id":"option-clerk-1"}]}]},`, "election-count", "#/Election"},
		{"scope that dangles", `"ElectionScopeId":"precinct-1"`, `"ElectionScopeId":"x"`, "reference", "#/Election/0/ElectionScopeId"},
		{"id of two things", `"@id":"party-oak"`, `"@id":"scanner"`, "id-repeated", "#/Party/0/@id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(t, apply(t, report(cvrOne), c), d)
			wantFinding(t, err, verdict.ContentInvalid, "cvr.json", "rule "+c.rule, c.where)
		})
	}
}

func TestOvervotesAreCountedAndNoFault(t *testing.T) {
	d := smallDefinition(t)
	over := strings.Replace(cvrOne, `"Overvotes":0,"Undervotes":0,"WriteIns":1,"CVRContestSelection":[`, `"CVRContestSelection":[
{"@type":"CVR.CVRContestSelection","ContestSelectionId":"option-commissioner-3","SelectionPosition":[{"@type":"CVR.SelectionPosition","HasIndication":"yes","NumberVotes":1}]},`, 1)
	if n, err := read(t, report(over), d); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A record that fills the memory is stopped by its size, before it is read.
func TestOneEndlessRecordIsOverTheLimit(t *testing.T) {
	d := smallDefinition(t)
	image := `"BallotImage":[{"@type":"CVR.ImageData","Image":{"@type":"CVR.Image","Data":"` + strings.Repeat("A", 8<<20) + `"}}],"BatchId":`
	_, err := read(t, report(strings.Replace(cvrOne, `"BatchId":`, image, 1)), d)
	wantFinding(t, err, verdict.OverLimit, "cvr.json", "4 MiB")
	// As many records as one likes may be large in all.
	var many []string
	for i := range 40 {
		r := strings.Replace(cvrOne, `"one"`, fmt.Sprintf(`"r%d"`, i), 1)
		many = append(many, strings.Replace(r, `"BatchId":`, strings.Replace(image, strings.Repeat("A", 8<<20), strings.Repeat("A", 1<<20), 1), 1))
	}
	if n, err := read(t, report(many...), d); n != 40 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	open := `{"@type":"BallotDefinition.OfficeGroup","Name":"x","SubOfficeGroup":[`
	doc := bytes.Replace(small(t).Definition.Data, []byte(`"Issuer":`), []byte(`"OfficeGroup":[`+strings.Repeat(open, 5000)+strings.Repeat("]}", 5000)+`],"Issuer":`), 1)
	_, err := reader(t).Definition("d", doc)
	wantFinding(t, err, verdict.ContentInvalid, "rule depth")
}

func TestFindingsNeverQuoteMarks(t *testing.T) {
	d := smallDefinition(t)
	bad := strings.Replace(cvrOne, `"ContestSelectionId":"option-commissioner-1"`, `"ContestSelectionId":"option-secret"`, 1)
	_, err := read(t, report(bad), d)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// The walker lets nothing of the kind pass that is known. It would be the
// content's fault and not the station's.
func TestAValueThatTheModelCannotHoldIsAFinding(t *testing.T) {
	var into struct{ N int64 }
	err := json.Unmarshal([]byte(`{"N":"text"}`), &into)
	w := newWalker(newChecker("a.json", nil, nil), strings.NewReader(""))
	wantFinding(t, w.failed(err), verdict.ContentInvalid, "a.json#/N", "rule type")
}
