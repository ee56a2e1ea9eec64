package dialect_test

import (
	"context"
	"crypto/x509"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/verdict"
)

// holds is the property of every reader: whatever the bytes are, they are
// refused with a finding, or two readings give the same ballots, which refer to
// the catalogue and have one version that counts.
func holds(t *testing.T, kind dialect.Kind, files fstest.MapFS, path string) {
	t.Helper()
	if _, _, err := dialect.Detect(files, path); err != nil {
		finding(t, err)
	}
	src, err := dialect.Open(kind, files, path)
	if err != nil {
		finding(t, err)
		return
	}
	defer src.Close()
	cat, err := src.Catalogue(context.Background())
	if err != nil {
		finding(t, err)
		return
	}
	var readings [2][]*dialect.Ballot
	for i := range readings {
		err := src.Ballots(context.Background(), func(b *dialect.Ballot) error {
			refers(t, cat, b)
			readings[i] = append(readings[i], b)
			return nil
		})
		if err != nil {
			finding(t, err)
			return
		}
	}
	if diff := cmp.Diff(readings[0], readings[1]); diff != "" {
		t.Error(diff)
	}
	for _, d := range src.Deviations() {
		if d.Consequence == "" || d.Where == "" || d.Count < 1 {
			t.Errorf("%+v", d)
		}
	}
}

func finding(t *testing.T, err error) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok || !f.Reason.Valid() || f.Where == "" {
		t.Fatalf("an error that is no finding: %v", err)
	}
}

func refers(t *testing.T, cat *dialect.Catalogue, b *dialect.Ballot) {
	t.Helper()
	n := 0
	for _, v := range b.Versions {
		if v.Current {
			n++
		}
		last := -1
		for _, m := range v.Contests {
			if m.Contest <= last || m.Contest >= len(cat.Contests) {
				t.Fatalf("contest %d after %d of %d", m.Contest, last, len(cat.Contests))
			}
			last = m.Contest
			for _, k := range m.Marks {
				if k.Choice < 0 || k.Choice >= len(cat.Contests[m.Contest].Choices) || k.Votes < 0 {
					t.Fatalf("mark %+v", k)
				}
			}
		}
	}
	if n != 1 {
		t.Fatalf("%d current versions", n)
	}
}

// Seeds are small: the fuzzer minimises what it keeps.
const (
	tinyDominion = "E,5.2\n,,,,\"C 1\n(Vote For=1)\",C 1 (Vote For=1)\n,,,,A,Write-in\nCvrNumber,TabulatorNum,BatchId,RecordId,DEM\n1,=\"2\",3,4,1,0\n2,2,3,X,,\n"
	tinyESS      = "Cast Vote Record,Precinct,Ballot Style,C,D,D\n1,p,s,A,undervote,B\n2,p,s,overvote,,\n"
	tinyList     = "Ballots,,\nx,,\nCast Vote Record,Batch,Tabulator CVR\n1,b,0001000002\n2,b,0123456789abcdef\nTotal : 2,,\n"
	tinyClear    = "RowNumber,BoxID,BallotID,Choice_1_1:C:Vote For 1:A:P,Choice_2_1:C:Vote For 1:B:P\n1,b,i,1,0\n"
	tinyHart     = `<Cvr xmlns="http://tempuri.org/CVRDesign.xsd"><Contests><Contest><Name>C</Name><Id>c</Id><Options><Option><Name>A</Name><Id>a</Id><Value>1</Value></Option></Options><Undervotes>1</Undervotes></Contest></Contests><CvrGuid>g</CvrGuid></Cvr>`
	tinyContests = `{"Version":"5","List":[{"Id":1,"Description":"C","VoteFor":1,"NumOfRanks":2}]}`
	tinyChoices  = `{"List":[{"Id":2,"Description":"A","ContestId":1,"Type":"Regular"}]}`
	tinySessions = `{"Sessions":[{"TabulatorId":1,"BatchId":2,"RecordId":"3","Original":{"IsCurrent":true,"Cards":[{"PaperIndex":0,"Contests":[{"Id":1,"Marks":[{"CandidateId":2,"Rank":2,"IsVote":true,"IsAmbiguous":true}]}]}]}}]}`
	tinyMetadata = `{"castVoteRecordRootHash":"0","castVoteRecordReportMetadata":{"GeneratedDate":"2026-11-03T20:00:00Z","Election":[{"@id":"e","Candidate":[{"@id":"a","Name":"A"}],"Contest":[{"@id":"c","VotesAllowed":1,"ContestSelection":[{"@id":"s","CandidateIds":["a"]},{"@id":"w","IsWriteIn":true}]}]}]},"batchManifest":[{"id":"1","sheetCount":1,"scannerId":"x"}]}`
	tinyReport   = `{"CVR":[{"UniqueId":"00000000-0000-4000-8000-000000000000","ElectionId":"e","CurrentSnapshotId":"x","CVRSnapshot":[{"@id":"x","Type":"modified","OtherStatus":"{\"ballotType\":\"absentee\"}","CVRContest":[{"ContestId":"c","CVRContestSelection":[{"ContestSelectionId":"w","SelectionPosition":[{"HasIndication":"yes","NumberVotes":1,"IsAllocable":"unknown","CVRWriteIn":{"Text":"n"}}]}]}]}]}]}`
)

func FuzzDominionCSV(f *testing.F) {
	f.Add([]byte(tinyDominion))
	f.Add([]byte("\xef\xbb\xbf" + tinyDominion[:60]))
	f.Add([]byte("\"a\"\"b\",=\"c\",\r\n\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		holds(t, dialect.DominionCSV, fstest.MapFS{"x.csv": {Data: data}}, "x.csv")
	})
}

func FuzzClearBallot(f *testing.F) {
	f.Add([]byte(tinyClear))
	f.Add([]byte("BallotID,Choice_1:C:D:Vote For 2:A:B:P\ni,0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		holds(t, dialect.ClearBallot, fstest.MapFS{"x.csv": {Data: data}}, "x.csv")
	})
}

func FuzzESS(f *testing.F) {
	f.Add([]byte(tinyESS), []byte(tinyList))
	f.Add([]byte(tinyESS), []byte{})
	f.Fuzz(func(t *testing.T, records, list []byte) {
		files := fstest.MapFS{"x/a.csv": {Data: records}}
		if len(list) > 0 {
			files["x/b.csv"] = &fstest.MapFile{Data: list}
		}
		holds(t, dialect.ESS, files, "x")
	})
}

func FuzzHart(f *testing.F) {
	f.Add([]byte(tinyHart), false)
	f.Add([]byte("<!DOCTYPE x>"), false)
	f.Add(zipped(map[string]string{"1.xml": tinyHart, "i.png": ""}), true)
	f.Fuzz(func(t *testing.T, data []byte, zip bool) {
		files, path := fstest.MapFS{"x/1.xml": {Data: data}, "x/2.xml": {Data: []byte(tinyHart)}}, "x"
		if zip {
			files, path = fstest.MapFS{"x.zip": {Data: data}}, "x.zip"
		}
		holds(t, dialect.Hart, files, path)
	})
}

func FuzzDominionJSON(f *testing.F) {
	f.Add([]byte(tinyContests), []byte(tinyChoices), []byte(tinySessions))
	f.Add([]byte("\xef\xbb\xbf"+tinyContests), []byte(tinyChoices), []byte(`{"Sessions":[{"Original":{"Contests":[]},"Modified":null}]}`))
	f.Fuzz(func(t *testing.T, contests, choices, sessions []byte) {
		empty := []byte(`{"List":[]}`)
		holds(t, dialect.DominionJSON, fstest.MapFS{"x/ContestManifest.json": {Data: contests}, "x/CandidateManifest.json": {Data: choices}, "x/CvrExport.json": {Data: sessions},
			"x/PrecinctPortionManifest.json": {Data: empty}, "x/BallotTypeManifest.json": {Data: empty}, "x/CountingGroupManifest.json": {Data: empty}}, "x")
	})
}

// Nothing that a fuzzer makes is verified: it has no key that anybody trusts.
func FuzzVotingWorks(f *testing.F) {
	f.Add([]byte(tinyMetadata), []byte(tinyReport), []byte{})
	f.Add([]byte(`{"castVoteRecordReportMetadata":{"CVR":[{}]}}`), []byte(`{}`), []byte("\x02ab-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	trust := dialect.Trust{Roots: x509.NewCertPool(), Now: time.Date(2026, 11, 4, 0, 0, 0, 0, time.UTC)}
	f.Fuzz(func(t *testing.T, metadata, report, sig []byte) {
		files := fstest.MapFS{"x/metadata.json": {Data: metadata}, "x/00000000-0000-4000-8000-000000000000/cast-vote-record-report.json": {Data: report}}
		holds(t, dialect.VotingWorks, files, "x")
		_, err := dialect.VerifyVotingWorks(context.Background(), files, "x", sig, trust)
		if err == nil {
			t.Fatal("verified without a trusted certificate")
		}
		finding(t, err)
	})
}

// The fuzz targets begin at exports that are read to the end.
func TestSeedsAreGoodExports(t *testing.T) {
	empty := &fstest.MapFile{Data: []byte(`{"List":[]}`)}
	for kind, files := range map[dialect.Kind]fstest.MapFS{
		dialect.DominionCSV: {"x": {Data: []byte(tinyDominion)}},
		dialect.ClearBallot: {"x": {Data: []byte(tinyClear)}},
		dialect.ESS:         {"x/a.csv": {Data: []byte(tinyESS)}, "x/b.csv": {Data: []byte(tinyList)}},
		dialect.Hart:        {"x": {Data: zipped(map[string]string{"1.xml": tinyHart})}},
		dialect.DominionJSON: {"x/ContestManifest.json": {Data: []byte(tinyContests)}, "x/CandidateManifest.json": {Data: []byte(tinyChoices)}, "x/CvrExport.json": {Data: []byte(tinySessions)},
			"x/PrecinctPortionManifest.json": empty, "x/BallotTypeManifest.json": empty, "x/CountingGroupManifest.json": empty},
		dialect.VotingWorks: {"x/metadata.json": {Data: []byte(tinyMetadata)}, "x/00000000-0000-4000-8000-000000000000/cast-vote-record-report.json": {Data: []byte(tinyReport)}},
	} {
		if _, err := all(kind, files, "x"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		holds(t, kind, files, "x")
	}
}
