package dialect_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/dialect"
)

// The synthetic election: written in each dialect, it must read the same.

type synContest struct {
	name    string
	votes   int
	choices []string
	writeIn string // of choices
}

type synBallot struct {
	device, batch, record   string
	precinct, style, method string
	marks                   map[int][]int // contest to choices; not there: not on the ballot
	over                    map[int]bool
}

func (b synBallot) id() string { return b.device + "-" + b.batch + "-" + b.record }

var synContests = []synContest{
	{"Contest 1", 1, []string{"Candidate 1", "Candidate 2, with a comma", "Write-in"}, "Write-in"},
	{"Contest 2: a colon", 2, []string{"Candidate 3", "Candidate \"4\"", "Candidate 5: C"}, ""},
	{"Measure 1", 1, []string{"No", "Yes"}, ""},
}

// synBallots covers each way a contest can be marked, and each choice.
func synBallots() []synBallot {
	var out []synBallot
	add := func(style string, marks map[int][]int, over ...int) {
		n := len(out)
		b := synBallot{device: fmt.Sprint(1 + n%2), batch: fmt.Sprint(10 + n%3), record: fmt.Sprint(100 + n), precinct: fmt.Sprint("Precinct ", 1+n%2),
			style: style, method: []string{"Election Day", "Mail"}[n%2], marks: marks, over: map[int]bool{}}
		for _, c := range over {
			b.over[c] = true
		}
		out = append(out, b)
	}
	for k := range 12 {
		add("Style A", map[int][]int{0: {k % 3}, 1: {k % 3, (k + 1) % 3}, 2: {k % 2}})
	}
	add("Style A", map[int][]int{0: {}, 1: {}, 2: {}})   // blank
	add("Style A", map[int][]int{0: {1}, 1: {2}, 2: {}}) // undervoted
	add("Style B", map[int][]int{1: {0, 1}})             // not every contest
	add("Style B", map[int][]int{1: {1}})
	add("Style A", map[int][]int{0: {0, 1}, 1: {0, 1, 2}, 2: {0, 1}}, 0, 1, 2) // overvoted
	for i := range out {
		for c := range out[i].marks {
			slices.Sort(out[i].marks[c])
		}
	}
	return out
}

// neutral is what two dialects must agree on, by names alone.
type neutral struct {
	ID, Device, Batch, Precinct, Style, Method string
	Contests                                   map[string]neutralMarks
}

type neutralMarks struct {
	Over, Under bool
	Marks       []string
}

// can says what a dialect can express.
type can struct {
	place  bool // device and batch
	style  bool
	method bool
	seats  bool // votes allowed of every contest
	over   bool // which choices an overvoted contest had
}

func (b synBallot) neutral(c can) neutral {
	n := neutral{ID: b.id(), Precinct: b.precinct, Contests: map[string]neutralMarks{}}
	if c.place {
		n.Device, n.Batch = b.device, b.batch
	}
	if c.style {
		n.Style = b.style
	}
	if c.method {
		n.Method = b.method
	}
	for k, marks := range b.marks {
		m := neutralMarks{Over: b.over[k], Under: len(marks) < synContests[k].votes, Marks: []string{}}
		if !m.Over || c.over {
			for _, i := range marks {
				m.Marks = append(m.Marks, synContests[k].choices[i])
			}
		}
		slices.Sort(m.Marks)
		n.Contests[synContests[k].name] = m
	}
	return n
}

func toNeutral(cat *dialect.Catalogue, b *dialect.Ballot, c can) neutral {
	n := neutral{ID: b.ID, Device: b.Device, Batch: b.Batch, Precinct: b.Precinct.Name, Style: b.Style.Name, Method: b.Method.Name, Contests: map[string]neutralMarks{}}
	for _, m := range current(b).Contests {
		contest := cat.Contests[m.Contest]
		x := neutralMarks{Over: m.Overvoted, Under: m.Undervoted, Marks: []string{}}
		for _, k := range m.Marks {
			for range k.Votes {
				x.Marks = append(x.Marks, contest.Choices[k.Choice].Name)
			}
		}
		if m.Overvoted && !c.over {
			x.Marks = []string{}
		}
		slices.Sort(x.Marks)
		n.Contests[contest.Name] = x
	}
	return n
}

// csvLine writes one record.
func csvLine(cells ...string) string {
	for i, c := range cells {
		if strings.ContainsAny(c, "\",\n") {
			cells[i] = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
	}
	return strings.Join(cells, ",") + "\r\n"
}

// synCells writes the marks of a ballot as 0 and 1, choice by choice.
func synCells(b synBallot) []string {
	var out []string
	for k, c := range synContests {
		marks, on := b.marks[k]
		for i := range c.choices {
			switch {
			case !on:
				out = append(out, "")
			case slices.Contains(marks, i):
				out = append(out, "1")
			default:
				out = append(out, "0")
			}
		}
	}
	return out
}

func synDominionCSV() fstest.MapFS {
	lead := 8
	one, two, three := make([]string, lead), make([]string, lead), make([]string, lead)
	one[0], one[1] = "Synthetic Election", "5.10.0.0"
	four := strings.Split("CvrNumber,TabulatorNum,BatchId,RecordId,ImprintedId,CountingGroup,PrecinctPortion,BallotType", ",")
	for _, c := range synContests {
		for _, choice := range c.choices {
			one, four = append(one, ""), append(four, "")
			two, three = append(two, fmt.Sprintf("%s (Vote For=%d)", c.name, c.votes)), append(three, choice)
		}
	}
	s := csvLine(one...) + csvLine(two...) + csvLine(three...) + csvLine(four...)
	for i, b := range synBallots() {
		s += csvLine(append([]string{fmt.Sprint(i + 1), b.device, b.batch, b.record, b.id(), b.method, b.precinct, b.style}, synCells(b)...)...)
	}
	return fstest.MapFS{"x.csv": {Data: []byte(s)}}
}

func synClearBallot() fstest.MapFS {
	head := strings.Split("RowNumber,BoxID,BoxPosition,BallotID,PrecinctID,BallotStyleID,PrecinctStyleName,ScanComputerName,Status,Remade", ",")
	n := 0
	for _, c := range synContests {
		for _, choice := range c.choices {
			n++
			head = append(head, fmt.Sprintf("Choice_%d_1:%s:Vote For %d:%s:Non-Partisan", n, c.name, c.votes, choice))
		}
	}
	s := csvLine(head...)
	for i, b := range synBallots() {
		s += csvLine(append([]string{fmt.Sprint(i + 1), b.batch, b.record, b.id(), b.precinct, b.style, "", b.device, "", ""}, synCells(b)...)...)
	}
	return fstest.MapFS{"x.csv": {Data: []byte(s)}}
}

// synESS writes a file of records and a list of ballots. Records have numbers.
func synESS() fstest.MapFS {
	head := []string{"Cast Vote Record", "Precinct", "Ballot Style"}
	for _, c := range synContests {
		for range c.votes {
			head = append(head, c.name)
		}
	}
	s := csvLine(head...)
	list := csvLine("Ballots", "", "", "", "") + csvLine("GEN", "", "", "", "") + csvLine("", "", "", "", "") +
		csvLine("Cast Vote Record", "Batch", "Machine", "Reporting Group", "Tabulator CVR")
	for _, b := range synBallots() {
		cells := []string{b.record, b.precinct, b.style}
		for k, c := range synContests {
			marks, on := b.marks[k]
			for seat := range c.votes {
				cell := ""
				switch {
				case on && b.over[k]:
					cell = "overvote"
				case on && seat < len(marks):
					cell = c.choices[marks[seat]]
				case on:
					cell = "undervote"
				}
				cells = append(cells, cell)
			}
		}
		s += csvLine(cells...)
		list += csvLine(b.record, b.batch, b.device, b.method, "0001000"+b.record)
	}
	list += csvLine("Total : 17", "", "", "", "")
	return fstest.MapFS{"x/records.csv": {Data: []byte(s)}, "x/list.csv": {Data: []byte(list)}}
}

func synHartSheet(b synBallot) string {
	var s strings.Builder
	s.WriteString("\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Cvr xmlns=\"http://tempuri.org/CVRDesign.xsd\"><Contests>")
	for k, c := range synContests {
		marks, on := b.marks[k]
		if !on {
			continue
		}
		fmt.Fprintf(&s, "<Contest><Name>%s</Name><Id>contest-%d</Id><Options>", escape(c.name), k)
		for _, i := range marks {
			if c.choices[i] == c.writeIn {
				fmt.Fprintf(&s, "<Option><WriteInData><Text /><ImageId>i</ImageId><WriteInDataStatus>Unresolved</WriteInDataStatus></WriteInData><Id>choice-%d-%d</Id><Value>1</Value></Option>", k, i)
				continue
			}
			fmt.Fprintf(&s, "<Option><Name>%s</Name><Id>choice-%d-%d</Id><Value>1</Value></Option>", escape(c.choices[i]), k, i)
		}
		s.WriteString("</Options>")
		if n := c.votes - len(marks); n > 0 {
			fmt.Fprintf(&s, "<Undervotes>%d</Undervotes>", n)
		}
		if b.over[k] {
			s.WriteString("<Overvoted />")
		}
		s.WriteString("</Contest>")
	}
	fmt.Fprintf(&s, "</Contests><BatchSequence>1</BatchSequence><SheetNumber>1</SheetNumber><PrecinctSplit><Name>%s</Name><Id>p</Id></PrecinctSplit><BatchNumber>%s</BatchNumber><CvrGuid>%s</CvrGuid><IsBlank>false</IsBlank></Cvr>",
		b.precinct, b.batch, b.id())
	return s.String()
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;").Replace(s)
}

func zipped(files map[string]string) []byte {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	names := []string{}
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(files[name]))
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// synHart writes one zip for each device.
func synHart() fstest.MapFS {
	zips := map[string]map[string]string{"1": {}, "2": {}}
	for _, b := range synBallots() {
		zips[b.device]["1_"+b.id()+".xml"] = synHartSheet(b)
	}
	return fstest.MapFS{"x/1.zip": {Data: zipped(zips["1"])}, "x/2.zip": {Data: zipped(zips["2"])}}
}

type object = map[string]any

func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// synDominionJSON writes the records over two files, each record with an
// original that was replaced, with a mark too few.
func synDominionJSON(cards bool) map[string]string {
	list := func(items ...any) string { return "\ufeff" + marshal(object{"Version": "5.10.0.0", "List": items}) }
	var contests, candidates []any
	for k, c := range synContests {
		contests = append(contests, object{"Description": c.name, "Id": k + 1, "DistrictId": 1, "VoteFor": c.votes, "NumOfRanks": 0, "Disabled": 0})
		for i, choice := range c.choices {
			kind := "Regular"
			if choice == c.writeIn {
				kind = "WriteIn"
			}
			candidates = append(candidates, object{"Description": choice, "Id": 100*k + i, "ContestId": k + 1, "Type": kind, "Disabled": 0})
		}
	}
	named := func(names ...string) string {
		var items []any
		for i, n := range names {
			items = append(items, object{"Description": n, "Id": i + 1})
		}
		return list(items...)
	}
	files := map[string]string{"ContestManifest.json": list(contests...), "CandidateManifest.json": list(candidates...),
		"PrecinctPortionManifest.json": named("Precinct 1", "Precinct 2"), "BallotTypeManifest.json": named("Style A", "Style B"),
		"CountingGroupManifest.json": named("Election Day", "Mail"), "ElectionEventManifest.json": named("Synthetic Election"), "TabulatorManifest.json": list()}
	var sessions [2][]any
	for i, b := range synBallots() {
		sessions[i%2] = append(sessions[i%2], synSession(b, cards))
	}
	for i, s := range sessions {
		files[fmt.Sprintf("CvrExport_%d.json", i+1)] = marshal(object{"Version": "5.10.0.0", "ElectionId": "e", "Sessions": s})
	}
	return files
}

func synSession(b synBallot, cards bool) object {
	version := func(current bool, take int) object {
		contests := []any{}
		for k, c := range synContests {
			marks, on := b.marks[k]
			if !on {
				continue
			}
			list := []any{}
			for _, i := range marks[:max(0, len(marks)-take)] {
				list = append(list, object{"CandidateId": 100*k + i, "ManifestationId": 1, "PartyId": 0, "Rank": 1, "MarkDensity": 90, "IsAmbiguous": false, "IsVote": !b.over[k], "OutstackConditionIds": []int{}})
			}
			contests = append(contests, object{"Id": k + 1, "ManifestationId": 1, "Undervotes": max(0, c.votes-len(marks)), "Overvotes": max(0, len(marks)-c.votes), "OutstackConditionIds": []int{}, "Marks": list})
		}
		v := object{"PrecinctPortionId": int(b.precinct[len(b.precinct)-1] - '0'), "BallotTypeId": 1 + strings.Index("AB", b.style[6:]), "IsCurrent": current}
		if cards {
			v["Cards"] = []any{object{"Id": 1, "KeyInId": 1, "PaperIndex": 0, "Contests": contests, "OutstackConditionIds": []int{}}}
		} else {
			v["Contests"] = contests
		}
		return v
	}
	group := 1
	if b.method == "Mail" {
		group = 2
	}
	return object{"TabulatorId": json.Number(b.device), "BatchId": json.Number(b.batch), "RecordId": json.Number(b.record), "CountingGroupId": group, "ImageMask": "x", "SessionType": "ScannedVote",
		"VotingSessionIdentifier": "", "UniqueVotingIdentifier": "", "Original": version(false, 1), "Modified": version(true, 0)}
}

func inFolder(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, data := range files {
		out["x/"+name] = &fstest.MapFile{Data: []byte(data)}
	}
	return out
}

// synUUID is the folder of a record.
func synUUID(b synBallot) string { return "00000000-0000-4000-8000-000000000" + b.record }

// synVotingWorks writes an export whose records have their own lists, as older
// ones do. Its signature is not the matter here.
func synVotingWorks() fstest.MapFS {
	typed := func(class string, o object) object { o["@type"] = "CVR." + class; return o }
	var contests, candidates []any
	for k, c := range synContests {
		var selections []any
		for i, choice := range c.choices {
			id := fmt.Sprintf("c-%d-%d", k, i)
			candidates = append(candidates, typed("Candidate", object{"@id": id, "Name": choice}))
			s := typed("CandidateSelection", object{"@id": id, "CandidateIds": []string{id}})
			if choice == c.writeIn {
				s["IsWriteIn"] = true
			}
			selections = append(selections, s)
		}
		contests = append(contests, typed("CandidateContest", object{"@id": fmt.Sprint("contest-", k), "Name": c.name, "VotesAllowed": c.votes, "ContestSelection": selections}))
	}
	report := func() object {
		return typed("CastVoteRecordReport", object{"Version": "1.0.0", "GeneratedDate": "2026-11-03T20:00:00Z", "ReportGeneratingDeviceIds": []string{"1"},
			"GpUnit":   []any{typed("GpUnit", object{"@id": "p1", "Name": "Precinct 1"}), typed("GpUnit", object{"@id": "p2", "Name": "Precinct 2"})},
			"Election": []any{typed("Election", object{"@id": "e", "Name": "Synthetic Election", "Candidate": candidates, "Contest": contests, "ElectionScopeId": "p1"})}})
	}
	files := fstest.MapFS{}
	for _, b := range synBallots() {
		snapshot := func(kind string, take int) object {
			list := []any{}
			for k := range synContests {
				marks, on := b.marks[k]
				if !on {
					continue
				}
				selections := []any{}
				for _, i := range marks[:max(0, len(marks)-take)] {
					allocable := "yes"
					if b.over[k] {
						allocable = "no"
					}
					selections = append(selections, typed("CVRContestSelection", object{"ContestSelectionId": fmt.Sprintf("c-%d-%d", k, i), "OptionPosition": i,
						"SelectionPosition": []any{typed("SelectionPosition", object{"HasIndication": "yes", "NumberVotes": 1, "IsAllocable": allocable})}}))
				}
				list = append(list, typed("CVRContest", object{"ContestId": fmt.Sprint("contest-", k), "CVRContestSelection": selections,
					"Overvotes": max(0, len(marks)-synContests[k].votes), "Undervotes": max(0, synContests[k].votes-len(marks))}))
			}
			return typed("CVRSnapshot", object{"@id": kind, "Type": kind, "CVRContest": list, "Status": []string{"other"}, "OtherStatus": marshal(object{"ballotType": b.method})})
		}
		r := report()
		r["CVR"] = []any{typed("CVR", object{"UniqueId": synUUID(b), "ElectionId": "e", "BallotStyleId": b.style, "BallotStyleUnitId": "p" + b.precinct[9:],
			"CreatingDeviceId": b.device, "BatchId": b.batch, "CurrentSnapshotId": "modified", "CVRSnapshot": []any{snapshot("original", 1), snapshot("modified", 0)}})}
		files["x/"+synUUID(b)+"/cast-vote-record-report.json"] = &fstest.MapFile{Data: []byte(marshal(r))}
	}
	meta := object{"arePollsClosed": true, "castVoteRecordRootHash": "00", "castVoteRecordReportMetadata": report(),
		"batchManifest": []any{object{"id": "10", "label": "10", "batchNumber": 1, "startTime": "x", "sheetCount": len(synBallots()), "scannerId": "1"}}}
	files["x/metadata.json"] = &fstest.MapFile{Data: []byte(marshal(meta))}
	return files
}

// synthetic is the election in every dialect.
type synthetic struct {
	name  string
	kind  dialect.Kind
	files fstest.MapFS
	path  string
	can   can
	id    func(synBallot) string // where the dialect has its own
	style bool                   // the style is an identifier, not a name
	rules []dialect.Rule
}

func synthetics() []synthetic {
	all := can{place: true, style: true, method: true, seats: true, over: true}
	zip := fstest.MapFS{"x.zip": {Data: zipped(synDominionJSON(true))}}
	return []synthetic{
		{"dominion csv", dialect.DominionCSV, synDominionCSV(), "x.csv", all, nil, false, []dialect.Rule{dialect.OrderInID}},
		{"dominion json, folder", dialect.DominionJSON, inFolder(synDominionJSON(true)), "x", all, nil, false, []dialect.Rule{dialect.ByteOrderMark, dialect.OrderInID}},
		{"dominion json, zip", dialect.DominionJSON, zip, "x.zip", all, nil, false, []dialect.Rule{dialect.ByteOrderMark, dialect.OrderInID}},
		{"dominion json, before 5.10", dialect.DominionJSON, inFolder(synDominionJSON(false)), "x", all, nil, false, []dialect.Rule{dialect.ByteOrderMark, dialect.OrderInID}},
		{"es&s", dialect.ESS, synESS(), "x", can{place: true, style: true, method: true}, func(b synBallot) string { return b.record }, false, []dialect.Rule{dialect.OrderInID}},
		{"es&s, workbook", dialect.ESS, synWorkbook(), "x", can{place: true, style: true, method: true}, func(b synBallot) string { return b.record }, false, []dialect.Rule{dialect.OrderInID}},
		{"hart", dialect.Hart, synHart(), "x", can{place: true, over: true}, nil, false, []dialect.Rule{dialect.ByteOrderMark}},
		{"clearballot", dialect.ClearBallot, synClearBallot(), "x.csv", can{place: true, style: true, seats: true, over: true}, nil, false, []dialect.Rule{dialect.OrderInID}},
		{"votingworks", dialect.VotingWorks, synVotingWorks(), "x", all, synUUID, true, []dialect.Rule{dialect.NotVerified}},
	}
}

func TestOneElectionReadsTheSameInEveryDialect(t *testing.T) {
	for _, s := range synthetics() {
		t.Run(s.name, func(t *testing.T) {
			kind, why, err := dialect.Detect(s.files, s.path)
			if err != nil || kind != s.kind || why == "" {
				t.Fatalf("detected %q by %q, %v", kind, why, err)
			}
			src, err := dialect.Open(kind, s.files, s.path)
			if err != nil {
				t.Fatal(err)
			}
			cat, ballots := drain(t, src)
			got, want := map[string]neutral{}, map[string]neutral{}
			for _, b := range synBallots() {
				n := b.neutral(s.can)
				if s.id != nil {
					n.ID = s.id(b)
				}
				want[n.ID] = n
			}
			for _, b := range ballots {
				if s.style {
					b.Style.Name = b.Style.ID
				}
				n := toNeutral(cat, b, s.can)
				if _, ok := got[n.ID]; ok {
					t.Errorf("%s came twice", n.ID)
				}
				got[n.ID] = n
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			checkCatalogue(t, cat, s.can)
			var rules []dialect.Rule
			for _, d := range src.Deviations() {
				rules = append(rules, d.Rule)
			}
			if diff := cmp.Diff(s.rules, rules); diff != "" {
				t.Error("deviations", diff)
			}
		})
	}
}

// checkCatalogue: every contest with every choice, all of which somebody marked.
func checkCatalogue(t *testing.T, cat *dialect.Catalogue, c can) {
	t.Helper()
	type entry struct {
		Votes   int
		Choices map[string]bool
	}
	got, want := map[string]entry{}, map[string]entry{}
	for _, x := range synContests {
		e := entry{Choices: map[string]bool{}}
		if c.seats {
			e.Votes = x.votes
		}
		for _, choice := range x.choices {
			e.Choices[choice] = choice == x.writeIn
		}
		want[x.name] = e
	}
	for _, x := range cat.Contests {
		e := entry{Choices: map[string]bool{}}
		if c.seats {
			e.Votes = x.VotesAllowed
		}
		for _, choice := range x.Choices {
			e.Choices[choice.Name] = choice.WriteIn
		}
		got[x.Name] = e
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("catalogue", diff)
	}
	if len(cat.Precincts) != 2 {
		t.Errorf("precincts %+v", cat.Precincts)
	}
}

// Versions that were replaced are kept, and the pointer says which one counts.
func TestReplacedVersionsAreKept(t *testing.T) {
	for _, s := range synthetics() {
		if s.kind != dialect.DominionJSON && s.kind != dialect.VotingWorks {
			continue
		}
		src, err := dialect.Open(s.kind, s.files, s.path)
		if err != nil {
			t.Fatal(err)
		}
		_, ballots := drain(t, src)
		for _, b := range ballots {
			if len(b.Versions) != 2 || b.Versions[0].Kind != dialect.Original || b.Versions[0].Current || b.Versions[1].Kind != dialect.Modified || !b.Versions[1].Current {
				t.Errorf("%s: versions %+v", s.name, b.Versions)
			}
		}
	}
}

// Two readings of one source give the same, and one finding says so otherwise.
func TestSourceCanBeReadTwice(t *testing.T) {
	for _, s := range synthetics() {
		src, err := dialect.Open(s.kind, s.files, s.path)
		if err != nil {
			t.Fatal(err)
		}
		_, one := drain(t, src)
		count := src.Deviations()
		src2, err := dialect.Open(s.kind, s.files, s.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src2.Catalogue(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var two []*dialect.Ballot
			if err := src2.Ballots(t.Context(), func(b *dialect.Ballot) error { two = append(two, b); return nil }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(one, two); diff != "" {
				t.Error(s.name, diff)
			}
			if diff := cmp.Diff(count, src2.Deviations()); diff != "" {
				t.Error(s.name, diff)
			}
		}
	}
}
