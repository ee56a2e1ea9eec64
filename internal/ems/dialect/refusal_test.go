package dialect_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"sallyport/internal/ems/dialect"
	"sallyport/internal/verdict"
)

// all reads an export to its end.
func all(kind dialect.Kind, files fstest.MapFS, path string) ([]dialect.Deviation, error) {
	src, err := dialect.Open(kind, files, path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	err = src.Ballots(context.Background(), func(*dialect.Ballot) error { return nil })
	return src.Deviations(), err
}

// edit is a synthetic export in which one text was replaced by another.
type edit struct {
	kind     dialect.Kind
	file     string
	from, to string
	rule     string
	where    string
}

func (s synthetic) edited(t *testing.T, file, from, to string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for name, f := range s.files {
		data := f.Data
		if name == file || strings.HasSuffix(name, file) && file[0] == '/' {
			if !bytes.Contains(data, []byte(from)) {
				t.Fatalf("%s has no %q", name, from)
			}
			data = bytes.Replace(data, []byte(from), []byte(to), 1)
		}
		out[name] = &fstest.MapFile{Data: data}
	}
	return out
}

// synth is the synthetic election in one dialect, unpacked.
func synth(t *testing.T, kind dialect.Kind) synthetic {
	t.Helper()
	s := synthetic{kind: kind, path: "x"}
	switch kind {
	case dialect.DominionCSV:
		s.files, s.path = synDominionCSV(), "x.csv"
	case dialect.DominionJSON:
		s.files = inFolder(synDominionJSON(true))
	case dialect.ESS:
		s.files = synESS()
	case dialect.Hart:
		s.files = hartFolder()
	case dialect.ClearBallot:
		s.files, s.path = synClearBallot(), "x.csv"
	case dialect.VotingWorks:
		s.files = synVotingWorks()
	}
	return s
}

// hartFolder is the Hart export as a folder of documents, for edits.
func hartFolder() fstest.MapFS {
	out := fstest.MapFS{}
	for _, b := range synBallots() {
		out["x/1_"+b.id()+".xml"] = &fstest.MapFile{Data: []byte(synHartSheet(b))}
	}
	return out
}

const (
	firstSheet  = "x/1_1-10-100.xml"
	blankReport = "x/00000000-0000-4000-8000-000000000112/cast-vote-record-report.json"
	firstReport = "x/00000000-0000-4000-8000-000000000100/cast-vote-record-report.json"
)

func edits() []edit {
	csv, js, es, ha, cb, vx := dialect.DominionCSV, dialect.DominionJSON, dialect.ESS, dialect.Hart, dialect.ClearBallot, dialect.VotingWorks
	return []edit{
		{csv, "x.csv", "Election Day", "Election \xe9", "encoding", "x.csv line 5"},
		{csv, "x.csv", "Synthetic Election", "\xff\xfeS", "encoding", ""},
		{csv, "x.csv", "Precinct 1", "Precinct \"1", "quote", "x.csv line 5 column 7"},
		{csv, "x.csv", "\"Candidate 2, with a comma\"", "\"Candidate 2\"x", "quote", "x.csv line 3 column 10"},
		{csv, "x.csv", "Style A,1", "Style A\rx,1", "quote", "x.csv line 5 column 8"},
		{csv, "x.csv", "Style A,1,0,0,", "Style A,1,", "columns", "x.csv line 5"},
		{csv, "x.csv", "\r\n2,", ",7\r\n2,", "columns", "x.csv line 5 column 17"},
		{csv, "x.csv", "TabulatorNum", "Tabulator", "header", "x.csv line 4"},
		{csv, "x.csv", "BatchId", "RecordId", "header-repeated", "x.csv line 4 column 4"},
		{csv, "x.csv", "Style A,1", "Style A,1 (97%)", "cell", "x.csv line 5 column 9"},
		{csv, "x.csv", "Style A,1,0,0", "Style A,1,,0", "contest-cells", "x.csv line 5 column 9"},
		{csv, "x.csv", "Contest 1 (Vote For=1)", "Contest 1 (Vote Fo=1)", "contest-header", "x.csv line 2 column 9"},
		{csv, "x.csv", "Contest 1 (Vote For=1)", "\"Contest 1 (Number of positions=1, Number of ranks=3)\"", "ranked", "x.csv line 2 column 9"},
		{csv, "x.csv", "Contest 1 (Vote For=1)", "Contest 1 (Vote For=0)", "votes-allowed", "x.csv line 2 column 9"},
		{csv, "x.csv", "Contest 1 (Vote For=1)", "Contest 1 (Vote For=2)", "votes-allowed", "x.csv line 2 column 10"},
		{csv, "x.csv", "\"Candidate 2, with a comma\"", "Candidate 1", "choice-repeated", "x.csv line 3 column 10"},
		{csv, "x.csv", "1,1,10,100", "1,1,10,", "record-id", "x.csv line 5 column 4"},

		{cb, "x.csv", "BallotID", "Ballot", "header", "x.csv line 1"},
		{cb, "x.csv", ":Vote For 1:", ":Votes 1:", "contest-header", "x.csv line 1 column 11"},
		{cb, "x.csv", ":Vote For 1:", ":Number of Winners 1:", "contest-header", "x.csv line 1 column 11"},
		{cb, "x.csv", "Contest 1:Vote For 1:", "Contest 1:0:Vote For 1:", "ranked", "x.csv line 1 column 11"},
		{cb, "x.csv", "Contest 1:Vote For 1:", "Contest 1:1:Vote For 1:", "votes-allowed", "x.csv line 1 column 12"},
		{cb, "x.csv", ":Vote For 1:", ":Vote For 0:", "votes-allowed", "x.csv line 1 column 11"},
		{cb, "x.csv", ",1-10-100,", ",,", "record-id", "x.csv line 2 column 4"},

		{es, "x/records.csv", "Contest 1", "Contest 1 2nd Choice", "ranked", "x/records.csv line 1 column 4"},
		{es, "x/records.csv", "Contest 1", "Contest 1 Choice 2 (45)", "ranked", "x/records.csv line 1 column 4"},
		{es, "x/records.csv", ",Contest 1", ",", "contest-header", "x/records.csv line 1 column 4"},
		{es, "x/records.csv", "Measure 1", "Contest 1", "header-repeated", "x/records.csv line 1 column 7"},
		{es, "x/records.csv", "\r\n100,", "\r\n101,", "listed", "x/records.csv line 3"},
		{es, "x/records.csv", "\r\n100,", "\r\n999,", "listed", "x/records.csv line 2"},
		{es, "x/records.csv", "\r\n100,Precinct 1,Style A,Candidate 1,Candidate 3,\"Candidate \"\"4\"\"\",No", "", "listed", "x"},
		{es, "x/list.csv", "\r\n101,", "\r\n100,", "listed", "x/list.csv line 6 column 1"},
		{es, "x/list.csv", "0001000100", "1000100", "cell", "x/list.csv line 5 column 5"},
		{es, "x/list.csv", "\r\n100,", "\r\nx,", "record-id", "x/list.csv line 5 column 1"},
		{es, "x/list.csv", "Cast Vote Record", "Record", "header", "x/list.csv"},

		{ha, firstSheet, "</Contests>", "</Contest>", "xml", firstSheet + " line 2 column"},
		{ha, firstSheet, "<Cvr ", "<!DOCTYPE Cvr [<!ENTITY a \"b\">]><Cvr ", "xml", firstSheet + " line 2"},
		{ha, firstSheet, "http://tempuri.org/CVRDesign.xsd", "http://example.com/", "xml", firstSheet},
		{ha, firstSheet, "</Cvr>", "</Cvr><Cvr xmlns=\"http://tempuri.org/CVRDesign.xsd\"/>", "xml", firstSheet},
		{ha, firstSheet, "<Options>", "<Annulled/><Options>", "element-unknown", "(/Cvr/Contests/Contest/Annulled)"},
		{ha, firstSheet, "<Name>Contest 1</Name>", "", "element-missing", "(/Cvr/Contests/Contest)"},
		{ha, firstSheet, "<Value>1</Value>", "", "element-missing", "(/Cvr/Contests/Contest/Options/Option)"},
		{ha, firstSheet, "<Value>1</Value>", "<Value>1</Value><Value>1</Value>", "element-repeated", "(/Cvr/Contests/Contest/Options/Option)"},
		{ha, firstSheet, "<Value>1</Value>", "<Value>010</Value>", "ranked", "x/1_1-10-10"},
		{ha, firstSheet, "<Options>", "<InvalidStraightPartyVote /><Options>", "straight-party", "(/Cvr/Contests/Contest/InvalidStraightPartyVote)"},
		{ha, firstSheet, "<Value>1</Value>", "<Value>1</Value><Rules />", "straight-party", "(/Cvr/Contests/Contest/Options/Option/Rules)"},
		{ha, firstSheet, "<Value>1</Value>", "<Value>-1</Value>", "type", "(/Cvr/Contests/Contest/Options/Option/Value)"},
		{ha, firstSheet, "<CvrGuid>1-10-100</CvrGuid>", "<CvrGuid/>", "record-id", firstSheet},
		{ha, firstSheet, "<Name>Contest 1</Name>", "<Name>Contest X</Name>", "id-repeated", ""},
		{ha, firstSheet, "<Id>contest-2</Id>", "<Id>contest-0</Id>", "id-repeated", firstSheet},

		{js, "x/ContestManifest.json", `"VoteFor"`, `"Votes"`, "member-missing", "x/ContestManifest.json#/List/0"},
		{js, "x/ContestManifest.json", `"VoteFor":1`, `"VoteFor":0`, "votes-allowed", "x/ContestManifest.json#/List/0"},
		{js, "x/ContestManifest.json", `"Id":2`, `"Id":1`, "id-repeated", "x/ContestManifest.json#/List/1"},
		{js, "x/CandidateManifest.json", `"ContestId":1`, `"ContestId":9`, "reference", "x/CandidateManifest.json#/List/0"},
		{js, "x/CandidateManifest.json", `"List":`, `"Lists":`, "member-missing", "x/CandidateManifest.json"},
		{js, "x/CvrExport_1.json", `"CandidateId":0`, `"CandidateId":201`, "reference", "x/CvrExport_1.json#/Sessions/0/"},
		{js, "x/CvrExport_1.json", `"IsVote":true`, `"IsVote":1`, "type", "x/CvrExport_1.json#/Sessions/0/"},
		{js, "x/CvrExport_1.json", `"IsVote":true`, `"IsVote":true,"IsVoid":true`, "member-unknown", "/IsVoid"},
		{js, "x/CvrExport_1.json", `"IsVote":true`, `"IsVote":true,"IsVote":false`, "json", "x/CvrExport_1.json#/Sessions/0/"},
		{js, "x/CvrExport_1.json", `"IsCurrent":true`, `"IsCurrent":false`, "current-version", "record 1-10-100"},
		{js, "x/CvrExport_1.json", `"TabulatorId":1`, `"TabulatorId":1.5`, "type", "/Sessions/0/TabulatorId"},
		{js, "x/CvrExport_1.json", `"RecordId":100,`, ``, "member-missing", "x/CvrExport_1.json#/Sessions/0"},
		{js, "x/CvrExport_1.json", `"CountingGroupId":1`, `"CountingGroupId":7`, "reference", "x/CvrExport_1.json#/Sessions/0"},
		{js, "x/CvrExport_1.json", `"Id":2,"ManifestationId"`, `"Id":1,"ManifestationId"`, "reference", "x/CvrExport_1.json"},
		{js, "x/CvrExport_1.json", `,"Version":"5.10.0.0"}`, `,`, "json", "x/CvrExport_1.json"},

		{vx, "x/metadata.json", `"castVoteRecordRootHash"`, `"hash"`, "member-missing", "x/metadata.json"},
		{vx, "x/metadata.json", `"VotesAllowed":2`, `"VotesAllowed":-2`, "votes-allowed", "x/metadata.json#"},
		{vx, "x/metadata.json", `"CandidateIds":["c-0-0"]`, `"CandidateIds":["c-9-0"]`, "reference", "x/metadata.json"},
		{vx, "x/metadata.json", `"@id":"contest-1"`, `"@id":"contest-0"`, "id-repeated", "x/metadata.json"},
		{vx, firstReport, `"ElectionId":"e"`, `"ElectionId":"f"`, "reference", firstReport + "#/CVR/0"},
		{vx, firstReport, `"UniqueId":"0`, `"UniqueId":"1`, "record-id", firstReport + "#/CVR/0/UniqueId"},
		{vx, firstReport, `"CurrentSnapshotId":"modified"`, `"CurrentSnapshotId":"none"`, "current-version", "record 00000000"},
		{vx, firstReport, `"IsAllocable":"yes"`, `"IsAllocable":"maybe"`, "type", firstReport},
		{vx, firstReport, `"IsAllocable":"yes"`, `"IsVoid":"yes"`, "member-unknown", "/IsVoid"},
		{vx, firstReport, `"ContestId":"contest-1"`, `"ContestId":"contest-0"`, "reference", firstReport},
		{vx, blankReport, `"ContestId":"contest-1"`, `"ContestId":"contest-0"`, "contest-repeated", "contest Contest 1"},
		{vx, firstReport, `"Type":"original"`, `"Type":"final"`, "type", firstReport},
	}
}

func TestWhatIsNotTheDialectIsRefusedByName(t *testing.T) {
	for _, e := range edits() {
		t.Run(string(e.kind)+" "+e.rule+" "+e.to, func(t *testing.T) {
			s := synth(t, e.kind)
			_, err := all(e.kind, s.edited(t, e.file, e.from, e.to), s.path)
			refused(t, err, verdict.ContentInvalid, e.rule, e.where)
		})
	}
}

func refused(t *testing.T, err error, why verdict.Reason, rule, where string) {
	t.Helper()
	f, ok := verdict.Find(err)
	if !ok || f.Reason != why || !strings.Contains(f.Where, where) || rule != "" && !strings.Contains(f.Detail, "(rule "+rule+")") {
		t.Errorf("got %v, want rule %q at %q", err, rule, where)
	}
}

// bent is a zip whose entry has a flag of encryption.
func bent() []byte {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.CreateRaw(&zip.FileHeader{Name: "1.xml", Flags: 1})
	if err != nil {
		panic(err)
	}
	_, _ = f.Write(nil)
	_ = w.Close()
	return buf.Bytes()
}

func TestWrongFilesAreRefusedByName(t *testing.T) {
	file := func(name, data string) fstest.MapFS { return fstest.MapFS{name: {Data: []byte(data)}} }
	without := func(kind dialect.Kind, name string) fstest.MapFS {
		f := synth(t, kind).files
		delete(f, name)
		return f
	}
	for name, c := range map[string]struct {
		kind  dialect.Kind
		files fstest.MapFS
		path  string
		rule  string
		where string
	}{
		"no such dialect":        {"x", file("x.csv", ""), "x.csv", "dialect", "x.csv"},
		"empty":                  {dialect.DominionCSV, file("x.csv", ""), "x.csv", "header", "x.csv"},
		"a rank is missing":      {dialect.ClearBallot, file("x.csv", "BallotID,Choice_1_1:C:1:Vote For 1:A:P,Choice_1_1:C:3:Vote For 1:A:P\n1,0,0\n"), "x.csv", "ranked", "x.csv line 1 column 2"},
		"no contests":            {dialect.ESS, file("x.csv", "Cast Vote Record,Precinct\n1,p\n"), "x.csv", "contest-none", "x.csv"},
		"spreadsheet":            {dialect.ESS, file("x.xls", ""), "x.xls", "xlsx", "x.xls"},
		"lists alone":            {dialect.ESS, without(dialect.ESS, "x/records.csv"), "x", "file-missing", "x"},
		"not a zip":              {dialect.Hart, file("x.zip", "PK"), "x.zip", "zip", "x.zip"},
		"zip in zip":             {dialect.Hart, file("x.zip", string(zipped(map[string]string{"1.zip": "PK"}))), "x.zip", "zip-nested", "x.zip!1.zip"},
		"encrypted":              {dialect.Hart, file("x.zip", string(bent())), "x.zip", "zip-encrypted", "x.zip!1.xml"},
		"no sheets":              {dialect.Hart, file("x.zip", string(zipped(map[string]string{"a.png": ""}))), "x.zip", "file-missing", "x.zip"},
		"no manifest":            {dialect.DominionJSON, without(dialect.DominionJSON, "x/ContestManifest.json"), "x", "file-missing", "x"},
		"no metadata":            {dialect.VotingWorks, without(dialect.VotingWorks, "x/metadata.json"), "x", "", "x/metadata.json"},
		"file instead of folder": {dialect.VotingWorks, file("x", ""), "x", "folder", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := all(c.kind, c.files, c.path)
			if c.rule == "" {
				refused(t, err, verdict.FileMissing, c.rule, c.where)
				return
			}
			refused(t, err, verdict.ContentInvalid, c.rule, c.where)
		})
	}
}

func TestWhatIsNotKnownIsNotGuessed(t *testing.T) {
	two := synth(t, dialect.DominionJSON).files
	two["x/metadata.json"] = &fstest.MapFile{}
	for name, c := range map[string]struct {
		files fstest.MapFS
		path  string
		rule  string
	}{
		"csv":         {fstest.MapFS{"x.csv": {Data: []byte("a,b\n1,2\n")}}, "x.csv", "dialect"},
		"xml":         {fstest.MapFS{"x.xml": {Data: []byte("<a/>")}}, "x.xml", "dialect"},
		"folder":      {fstest.MapFS{"x/a.txt": {}}, "x", "dialect"},
		"two at once": {two, "x", "dialect"},
		"several":     {fstest.MapFS{"x/a.csv": synDominionCSV()["x.csv"]}, "x", "dialect"},
		"workbook":    {fstest.MapFS{"x.zip": {Data: zipped(map[string]string{"[Content_Types].xml": "", "xl/workbook.xml": ""})}}, "x.zip", "xlsx"},
		"zip":         {fstest.MapFS{"x.zip": {Data: zipped(map[string]string{"a.txt": ""})}}, "x.zip", "dialect"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := dialect.Detect(c.files, c.path)
			refused(t, err, verdict.ContentInvalid, c.rule, c.path)
		})
	}
}

// Each budget is met by something that would be over it.
func TestBudgets(t *testing.T) {
	head := string(synDominionCSV()["x.csv"].Data)
	file := func(data string) fstest.MapFS { return fstest.MapFS{"x.csv": {Data: []byte(data)}} }
	columns := "Cast Vote Record,Precinct,Ballot Style"
	for i := range 4097 {
		columns += ",c" + strconv.Itoa(i)
	}
	sheet := synHartSheet(synBallots()[0])
	deep := strings.Replace(sheet, "<Contests>", strings.Repeat("<A>", 20)+strings.Repeat("</A>", 20)+"<Contests>", 1)
	session := strings.Replace(synDominionJSON(true)["CvrExport_1.json"], `"ImageMask":"x"`, `"ImageMask":"`+strings.Repeat("x", 8<<20)+`"`, 1)
	js := synth(t, dialect.DominionJSON).files
	js["x/CvrExport_1.json"] = &fstest.MapFile{Data: []byte(session)}
	for name, c := range map[string]struct {
		kind  dialect.Kind
		files fstest.MapFS
		path  string
	}{
		"bytes of a record": {dialect.DominionCSV, file(head + `"` + strings.Repeat("a\n", 1<<20)), "x.csv"},
		"cells of a record": {dialect.DominionCSV, file(head + strings.Repeat(",", 1<<15)), "x.csv"},
		"contests":          {dialect.ESS, file(columns + "\n"), "x.csv"},
		"a name":            {dialect.ESS, file("Cast Vote Record," + strings.Repeat("x", 5000) + "\n"), "x.csv"},
		"an identifier":     {dialect.DominionCSV, file(strings.Replace(head, ",Style A,", ","+strings.Repeat("x", 300)+",", 1)), "x.csv"},
		"depth of XML":      {dialect.Hart, fstest.MapFS{"x/1.xml": {Data: []byte(deep)}}, "x"},
		"a sheet":           {dialect.Hart, fstest.MapFS{"x/1.xml": {Data: []byte(sheet + strings.Repeat(" ", 1<<20))}}, "x"},
		"a sheet in a zip":  {dialect.Hart, fstest.MapFS{"x.zip": {Data: zipped(map[string]string{"1.xml": sheet + strings.Repeat(" ", 8<<20)})}}, "x.zip"},
		"a record as JSON":  {dialect.DominionJSON, js, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := all(c.kind, c.files, c.path)
			refused(t, err, verdict.OverLimit, "", "x")
		})
	}
}

// The findings about marks never repeat what was marked.
func TestFindingsDoNotQuoteVotes(t *testing.T) {
	const secret = "ZEBRA"
	hart := fstest.MapFS{"x/1.xml": {Data: []byte(strings.Replace(synHartSheet(synBallots()[0]), "<Name>Candidate 1</Name>", "<Name>&"+secret+"; "+secret+"</Name>", 1))}}
	csv := synDominionCSV()
	csv["x.csv"].Data = bytes.Replace(csv["x.csv"].Data, []byte("Style A,1"), []byte("Style A,"+secret), 1)
	ess := synESS()
	ess["x/records.csv"].Data = bytes.Replace(ess["x/records.csv"].Data, []byte("Style A,Candidate 1"), []byte("Style A,"+secret+`"`), 1)
	js := synth(t, dialect.DominionJSON)
	for kind, files := range map[dialect.Kind]fstest.MapFS{dialect.Hart: hart, dialect.DominionCSV: csv, dialect.ESS: ess,
		dialect.DominionJSON: js.edited(t, "x/CvrExport_1.json", `"CandidateId":0`, `"CandidateId":"`+secret+`"`)} {
		path := "x"
		if kind == dialect.DominionCSV {
			path = "x.csv"
		}
		_, err := all(kind, files, path)
		if _, ok := verdict.Find(err); !ok || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// FORMAT.md is the list of what is refused and what is not; both are closed.
func TestFormatListsEveryRule(t *testing.T) {
	format, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"refusal.go", "deviation.go"} {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rules := regexp.MustCompile(`(?m)^\t\w+ +(?:Rule )?= "([a-z-]+)"$`).FindAllStringSubmatch(string(src), -1)
		if len(rules) < 15 {
			t.Fatalf("%s: %d rules", name, len(rules))
		}
		for _, r := range rules {
			if !strings.Contains(string(format), "`"+r[1]+"`") {
				t.Errorf("FORMAT.md does not name %s", r[1])
			}
		}
	}
}

var testedElsewhere = "signature certificate root-hash unsigned-file"

// Every rule of refusal has a test.
func TestEveryRefusalIsTested(t *testing.T) {
	src, err := os.ReadFile("refusal.go")
	if err != nil {
		t.Fatal(err)
	}
	this, err := os.ReadFile("refusal_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range regexp.MustCompile(`(?m)^\trule\w+ += "([a-z-]+)"$`).FindAllStringSubmatch(string(src), -1) {
		if !strings.Contains(string(this), `"`+r[1]+`"`) && !strings.Contains(" "+testedElsewhere+" ", " "+r[1]+" ") {
			t.Errorf("no test breaks the rule %s", r[1])
		}
	}
}

// What is not the export's fault is no finding.
func TestErrorsOfOthersPass(t *testing.T) {
	for _, kind := range dialect.Kinds() {
		_, err := all(kind, fstest.MapFS{}, "nowhere")
		if _, ok := verdict.Find(err); ok || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	mine := errors.New("no room")
	for _, s := range synthetics() {
		src, err := dialect.Open(s.kind, s.files, s.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := src.Ballots(t.Context(), func(*dialect.Ballot) error { return mine }); !errors.Is(err, mine) {
			t.Errorf("%s: %v", s.name, err)
		}
		stopped, stop := context.WithCancel(t.Context())
		n := 0
		err = src.Ballots(stopped, func(*dialect.Ballot) error { n++; stop(); return nil })
		if !errors.Is(err, context.Canceled) || n != 1 {
			t.Errorf("%s: %v after %d ballots", s.name, err, n)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}
