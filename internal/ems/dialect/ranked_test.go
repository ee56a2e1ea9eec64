package dialect_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/dialect"
)

// rankings are the marks of four ballots in one ranked contest with three
// choices and ranks: choices by rank, from rank 1.
var rankings = []struct {
	ranks       [3][]int
	over, under bool
}{
	{[3][]int{{0}, {1}, {2}}, false, false},
	{[3][]int{{2}, {}, {1}}, false, false}, // a rank left out
	{[3][]int{{0, 1}, {2}, {}}, true, false},
	{[3][]int{}, false, true},
}

func ranked(rank, choice, ballot int) bool {
	for _, c := range rankings[ballot].ranks[rank] {
		if c == choice {
			return true
		}
	}
	return false
}

func rankedHart() fstest.MapFS {
	files := fstest.MapFS{}
	for b := range rankings {
		options := ""
		for c := range 3 {
			value := ""
			for r := range 3 {
				value += map[bool]string{true: "1", false: "0"}[ranked(r, c, b)]
			}
			if value != "000" {
				options += fmt.Sprintf("<Option><Name>Candidate %d</Name><Id>c%d</Id><Value>%s</Value></Option>", c+1, c+1, value)
			}
		}
		extra := map[bool]string{true: "<Overvoted />"}[rankings[b].over] + map[bool]string{true: "<Undervotes>1</Undervotes>"}[rankings[b].under]
		files[fmt.Sprintf("x/%d.xml", b)] = &fstest.MapFile{Data: []byte(`<Cvr xmlns="http://tempuri.org/CVRDesign.xsd"><Contests><Contest><Name>Contest 1</Name><Id>k</Id><Options>` +
			options + `</Options>` + extra + `</Contest></Contests><CvrGuid>` + fmt.Sprint(b) + `</CvrGuid></Cvr>`)}
	}
	files["x/0.sig.xml"] = &fstest.MapFile{Data: []byte("<Signature/>")}
	return files
}

func rankedClearBallot(words string) fstest.MapFS {
	head := []string{"BallotID", "Status", "Remade"}
	for c := range 3 {
		for r := range 3 {
			head = append(head, fmt.Sprintf("Choice_%d_1:Contest 1:%d:%s 1:Candidate %d:P", c+1, r+1, words, c+1))
		}
	}
	s := csvLine(head...)
	for b := range rankings {
		cells := []string{fmt.Sprint(b), "0", "0"}
		for c := range 3 {
			for r := range 3 {
				cells = append(cells, map[bool]string{true: "1", false: "0"}[ranked(r, c, b)])
			}
		}
		s += csvLine(cells...)
	}
	return fstest.MapFS{"x": {Data: []byte(s)}}
}

func rankedDominion() fstest.MapFS {
	files := inFolder(synDominionJSON(true))
	delete(files, "x/CvrExport_2.json")
	files["x/ContestManifest.json"].Data = []byte(marshal(object{"List": []any{object{"Id": 1, "Description": "Contest 1", "VoteFor": 1, "NumOfRanks": 3}}}))
	var candidates, sessions []any
	for c := range 3 {
		candidates = append(candidates, object{"Id": c, "ContestId": 1, "Description": fmt.Sprint("Candidate ", c+1), "Type": "Regular"})
	}
	for b := range rankings {
		marks := []any{}
		for r := range 3 {
			for _, c := range rankings[b].ranks[r] {
				marks = append(marks, object{"CandidateId": c, "Rank": r + 1, "IsVote": true, "WriteinIndex": 0, "WriteinDensity": 10})
			}
		}
		sessions = append(sessions, object{"TabulatorId": 1, "BatchId": 1, "RecordId": b, "Original": object{"IsCurrent": true, "Contests": []any{object{"Id": 1, "Marks": marks}}}})
	}
	files["x/CandidateManifest.json"].Data = []byte(marshal(object{"List": candidates}))
	files["x/CvrExport_1.json"].Data = []byte(marshal(object{"Sessions": sessions}))
	return files
}

func TestRankedContestsReadTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		kind  dialect.Kind
		files fstest.MapFS
	}{
		"hart":               {dialect.Hart, rankedHart()},
		"clearballot":        {dialect.ClearBallot, rankedClearBallot("Vote For")},
		"clearballot, newer": {dialect.ClearBallot, rankedClearBallot("Number of Winners")},
		"dominion json":      {dialect.DominionJSON, rankedDominion()},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := dialect.Open(c.kind, c.files, "x")
			if err != nil {
				t.Fatal(err)
			}
			cat, ballots := drain(t, src)
			if len(cat.Contests) != 1 || cat.Contests[0].Ranks != 3 || cat.Contests[0].Name != "Contest 1" || len(ballots) != len(rankings) {
				t.Fatalf("%d ballots, %+v", len(ballots), cat.Contests)
			}
			for i, b := range ballots {
				m := current(b).Contests[0]
				var got [3][]int
				for _, k := range m.Marks {
					got[k.Rank-1] = append(got[k.Rank-1], int(cat.Contests[0].Choices[k.Choice].Name[len("Candidate ")]-'1'))
				}
				want := rankings[i]
				if diff := cmp.Diff(fmt.Sprint(want.ranks), fmt.Sprint(got)); diff != "" || m.Overvoted != want.over || m.Undervoted != want.under {
					t.Errorf("ballot %d: %s, over %v, under %v", i, diff, m.Overvoted, m.Undervoted)
				}
			}
			unverified := strings.Contains(fmt.Sprint(src.Deviations()), string(dialect.NotVerified))
			if unverified != (c.kind == dialect.Hart) {
				t.Errorf("deviations %+v", src.Deviations())
			}
		})
	}
}
