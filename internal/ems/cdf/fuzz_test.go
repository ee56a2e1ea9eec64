package cdf

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/ems/model"
	"sallyport/internal/ems/tally"
	"sallyport/internal/testelection"
	"sallyport/internal/verdict"
)

const tiny = `{"@type":"BallotDefinition.BallotDefinition","GeneratedDate":"2026-01-01T00:00:00Z","Issuer":"i","IssuerAbbreviation":"i",
"SequenceEnd":1,"SequenceStart":1,"VendorApplicationId":"v","Version":"1.0.0","GpUnit":[{"@type":"BallotDefinition.ReportingUnit","@id":"p","Type":"precinct"}],
"Election":[{"@type":"BallotDefinition.Election","ElectionScopeId":"p","StartDate":"2026-01-01","EndDate":"2026-01-01","Type":"general",
"Name":{"@type":"BallotDefinition.InternationalizedText","Text":[{"@type":"BallotDefinition.LanguageString","Content":"n","Language":"en"}]},
"ExternalIdentifier":[{"@type":"BallotDefinition.ExternalIdentifier","Type":"other","Value":"e"}],
"Contest":[{"@type":"BallotDefinition.CandidateContest","@id":"c","Name":"c","ElectionDistrictId":"p","VotesAllowed":2,"ContestOption":[
{"@type":"BallotDefinition.CandidateOption","@id":"o","IsWriteIn":true}]}],
"BallotStyle":[{"@type":"BallotDefinition.BallotStyle","GpUnitIds":["p"],"ExternalIdentifier":[{"@type":"BallotDefinition.ExternalIdentifier","Type":"other","Value":"s"}],
"OrderedContent":[{"@type":"BallotDefinition.OrderedContest","ContestId":"c"}]}]}]}`

const tinyReport = `{"@type":"CVR.CastVoteRecordReport","Version":"1.0.0","GeneratedDate":"2026-01-01T00:00:00Z","ReportGeneratingDeviceIds":["d"],
"ReportingDevice":[{"@type":"CVR.ReportingDevice","@id":"d"}],"GpUnit":[{"@type":"CVR.GpUnit","@id":"p","Type":"precinct"}],
"Election":[{"@type":"CVR.Election","@id":"e","ElectionScopeId":"p","Contest":[{"@type":"CVR.CandidateContest","@id":"c","ContestSelection":[{"@type":"CVR.CandidateSelection","@id":"o","IsWriteIn":true}]}]}],
"CVR":[{"@type":"CVR.CVR","UniqueId":"1","ElectionId":"e","BallotStyleId":"s","BallotStyleUnitId":"p","CurrentSnapshotId":"x","CVRSnapshot":[
{"@type":"CVR.CVRSnapshot","@id":"x","Type":"original","CVRContest":[{"@type":"CVR.CVRContest","ContestId":"c","CVRContestSelection":[
{"@type":"CVR.CVRContestSelection","ContestSelectionId":"o","SelectionPosition":[{"@type":"CVR.SelectionPosition","HasIndication":"yes","NumberVotes":1,"CVRWriteIn":{"@type":"CVR.CVRWriteIn","Text":"n"}}]}]}]}]}]}`

// The fuzz targets begin at documents that are accepted.
func TestSeedsAreGoodDocuments(t *testing.T) {
	d, err := reader(t).Definition("tiny.json", []byte(tiny))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = reader(t).Records(context.Background(), "c.json", bytes.NewReader([]byte(tinyReport)), Want{Definition: d, ElectionID: "e"}, func(*model.Ballot) error {
		n++
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
	for _, doc := range []string{tiny, tinyReport, tinyResults, tinyXML} {
		if _, _, err := reader(t).ReadDocument(context.Background(), "d", strings.NewReader(doc), ReadOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// Whatever the bytes are, a definition is refused with a finding or can be
// counted under.
func FuzzDefinition(f *testing.F) {
	f.Add([]byte(tiny)) // the fuzzer minimises what it keeps: large seeds would stop it
	f.Add([]byte(`{"@type":"BallotDefinition.BallotDefinition"}`))
	f.Add([]byte(`{"Election":[{"Contest":[{"@type":"BallotDefinition.PartyContest"}]}]}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	r := reader(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := r.Definition("d.json", doc)
		if err != nil {
			onlyFindings(t, err)
			return
		}
		for _, s := range d.Styles {
			for _, c := range s.Contests {
				if n := d.Contests[c].VotesAllowed; n < 1 || n > model.MaxVotes {
					t.Errorf("%d votes allowed", n)
				}
			}
			for _, p := range s.Precincts {
				_ = d.Precincts[p]
			}
		}
		if _, err := tally.NewCounter(d).Result(); err != nil {
			t.Error(err)
		}
	})
}

func onlyFindings(t *testing.T, err error) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok {
		t.Fatalf("an error that is no finding: %v", err)
	}
	if !f.Reason.Valid() {
		t.Errorf("the reason %q does not exist", f.Reason)
	}
}

// Whatever the bytes are, a report is refused with a finding, or its records
// can be packed, unpacked to the same, and counted into a tally that balances.
func FuzzRecords(f *testing.F) {
	d, err := reader(f).Definition("tiny.json", []byte(tiny))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(tinyReport))
	f.Add([]byte(tinyReport[:len(tinyReport)-40]))
	f.Add(report(cvrOne))
	f.Add([]byte(`{"CVR":[{"CVRSnapshot":[{"CVRContest":[{"CVRContestSelection":[{"SelectionPosition":[{}]}]}]}]}]}`))
	r := reader(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		counter := tally.NewCounter(d)
		n := int64(0)
		err := r.Records(context.Background(), "c.json", bytes.NewReader(doc), Want{Definition: d, ElectionID: "e"}, func(b *model.Ballot) error {
			n++
			packed := b.Pack(nil)
			var again model.Ballot
			if err := d.Unpack(&again, packed); err != nil {
				t.Fatalf("%v: %x", err, packed)
			}
			if !bytes.Equal(again.Pack(nil), packed) {
				t.Fatalf("packed again it differs: %x", packed)
			}
			return counter.Add(&again, tally.Batch{})
		})
		if err != nil {
			onlyFindings(t, err)
			return
		}
		tl, err := counter.Result()
		if err != nil || tl.Ballots != n {
			t.Errorf("%d records, tally %+v, %v", n, tl, err)
		}
	})
}

// Whatever the bytes are, a document is refused with a finding, or both
// encodings can be written and read again as the same document.
func fuzzDocument(t *testing.T, r *Reader, doc []byte, opt ReadOptions) {
	d, dev, err := r.ReadDocument(context.Background(), "d", bytes.NewReader(doc), opt)
	if err != nil {
		onlyFindings(t, err)
		return
	}
	for _, x := range dev {
		if !slices.Contains(lenientRules, x.Rule) || x.Count < 1 || x.Consequence == "" {
			t.Errorf("%+v", x)
		}
	}
	var want bytes.Buffer
	if err := d.WriteJSON(&want); err != nil {
		t.Fatal(err)
	}
	var asXML bytes.Buffer
	encodings := map[Encoding][]byte{JSON: want.Bytes()}
	if err := d.WriteXML(&asXML); err == nil {
		encodings[XML] = asXML.Bytes()
	} else { // what JSON alone can say
		onlyFindings(t, err)
	}
	for enc, doc := range encodings {
		again, _, err := r.ReadDocument(context.Background(), "d", bytes.NewReader(doc), ReadOptions{Format: d.Format, Encoding: enc})
		if err != nil {
			t.Fatalf("%v: %v\n%s", enc, err, doc)
		}
		var out bytes.Buffer
		if err := again.WriteJSON(&out); err != nil || !bytes.Equal(out.Bytes(), want.Bytes()) {
			t.Fatalf("%v: %v\n%s\n%s", enc, err, want.Bytes(), out.Bytes())
		}
	}
}

var lenientRules = []string{"bom", "type-missing", "type-short", "type-base", "namespace-draft", "zone-missing", "id-shared", "selection-candidate",
	"person-missing", "unique-id-missing", "style-missing", "unit-missing", "allocable-unknown"}

// The closed list of deviations is that of FORMAT.md and of the code.
func TestFormatListsEveryDeviation(t *testing.T) {
	doc, err := os.ReadFile("../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "### 1.7 Lenient")
	table, _, _ = strings.Cut(table, "### 1.8")
	var listed, used []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:lenient\.add|lenient\.addAt|note)\(.*?"([a-z]+(?:-[a-z]+)*)", `).FindAllStringSubmatch(string(src), -1) {
			used = append(used, m[1])
		}
	}
	slices.Sort(used)
	slices.Sort(listed)
	want := slices.Sorted(slices.Values(lenientRules))
	if !slices.Equal(listed, want) || !slices.Equal(slices.Compact(used), want) {
		t.Errorf("FORMAT.md: %v\ncode: %v\ntest: %v", listed, slices.Compact(used), want)
	}
}

const tinyResults = `{"@type":"ElectionResults.ElectionReport","Format":"summary-contest","GeneratedDate":"2026-11-04T00:00:00Z","Issuer":"i","IssuerAbbreviation":"i",
"SequenceStart":1,"SequenceEnd":1,"Status":"certified","VendorApplicationId":"v","GpUnit":[{"@type":"ElectionResults.ReportingUnit","@id":"p 1","Type":"precinct"}],
"Election":[{"@type":"ElectionResults.Election","ElectionScopeId":"p 1","StartDate":"2026-01-01","EndDate":"2026-01-01","Type":"general",
"Name":{"@type":"ElectionResults.InternationalizedText","Label":"a\nb","Text":[{"@type":"ElectionResults.LanguageString","Content":"n\r","Language":"en"}]},
"Contest":[{"@type":"ElectionResults.CandidateContest","@id":"c","Name":"c","ElectionDistrictId":"p 1","VotesAllowed":2,"ContestSelection":[
{"@type":"ElectionResults.CandidateSelection","@id":"o","IsWriteIn":true,"VoteCounts":[{"@type":"ElectionResults.VoteCounts","GpUnitId":"p 1","Type":"total","Count":1.5}]}]}]}]}`

func FuzzDocumentJSON(f *testing.F) {
	for _, seed := range []string{tiny, tinyReport, tinyResults, strings.ReplaceAll(tinyReport, `"@type":"CVR.`, `"@type":"`)} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Add([]byte(`{"@type":"ElectionResults.ElectionReport"}`), true)
	f.Add([]byte("\xef\xbb\xbf{}"), true)
	r := reader(f)
	f.Fuzz(func(t *testing.T, doc []byte, lenient bool) {
		fuzzDocument(t, r, doc, ReadOptions{Encoding: JSON, Lenient: lenient})
	})
}

func FuzzDocumentXML(f *testing.F) {
	r := reader(f)
	f.Add([]byte(tinyXML), false)
	for _, seed := range []string{tiny, tinyReport, tinyResults} {
		d, _, err := r.ReadDocument(context.Background(), "d", strings.NewReader(seed), ReadOptions{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(written(f, d, XML), true)
		f.Add(written(f, d, XML), false)
	}
	f.Add([]byte(`<a xmlns="NIST_V0_cast_vote_records.xsd"><![CDATA[]]><!----></a>`), true)
	f.Fuzz(func(t *testing.T, doc []byte, lenient bool) {
		fuzzDocument(t, r, doc, ReadOptions{Encoding: XML, Lenient: lenient})
	})
}

// Whatever the bytes are, a report in XML is refused with a finding, or each of
// its records can be packed, and counted into a tally that balances.
func FuzzRecordsXML(f *testing.F) {
	r := reader(f)
	d, err := r.Definition("tiny.json", []byte(tiny))
	if err != nil {
		f.Fatal(err)
	}
	good := written(f, tinyCVR(f), XML)
	f.Add(good, false)
	f.Add(bytes.Replace(good, []byte("<UniqueId>1</UniqueId>"), nil, 1), true)
	f.Add(good[:len(good)-60], false)
	f.Fuzz(func(t *testing.T, doc []byte, lenient bool) {
		counter := tally.NewCounter(d)
		n := int64(0)
		_, err := r.ReadRecords(context.Background(), "c.xml", bytes.NewReader(doc), Want{Definition: d, ElectionID: "e"}, ReadOptions{Encoding: XML, Lenient: lenient}, func(b *model.Ballot) error {
			n++
			if b.ID == "" {
				t.Error("a ballot without identifier")
			}
			return counter.Add(b, tally.Batch{})
		})
		if err != nil {
			onlyFindings(t, err)
			return
		}
		tl, err := counter.Result()
		if err != nil || tl.Ballots != n {
			t.Errorf("%d records, tally %+v, %v", n, tl, err)
		}
	})
}

// An error of the caller comes back as it is: it says nothing about the document.
func TestErrorsOfTheCallerPass(t *testing.T) {
	mine := errors.New("no room")
	err := reader(t).Records(context.Background(), "c.json", bytes.NewReader(report(cvrOne)), Want{Definition: smallDefinition(t), ElectionID: testelection.ID},
		func(*model.Ballot) error { return mine })
	if !errors.Is(err, mine) {
		t.Error(err)
	}
	if _, ok := verdict.Find(err); ok {
		t.Error("the document is blamed")
	}
}
