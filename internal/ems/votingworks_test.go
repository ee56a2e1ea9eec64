package ems_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems"
	"sallyport/internal/testelection"
	"sallyport/internal/testtool"
)

type obj = map[string]any

func bd(class string, members obj) obj {
	members["@type"] = "BallotDefinition." + class
	return members
}

func bdText(s any) obj {
	return bd("InternationalizedText", obj{"Text": []any{bd("LanguageString", obj{"Content": s, "Language": "en"})}})
}

func bdCode(value any) []any {
	return []any{bd("ExternalIdentifier", obj{"Type": "local-level", "Value": value})}
}

// foreignDefinition makes a ballot definition of the lists in a report: every
// contest on every style it is used with.
func foreignDefinition(report obj, styles map[string]map[string]bool, order []string) obj {
	e := report["Election"].([]any)[0].(obj)
	var contests, candidates, units, list []any
	for _, c := range e["Candidate"].([]any) {
		c := c.(obj)
		candidates = append(candidates, bd("Candidate", obj{"@id": c["@id"], "BallotName": bdText(c["Name"])}))
	}
	for _, c := range e["Contest"].([]any) {
		c := c.(obj)
		var options []any
		for _, s := range c["ContestSelection"].([]any) {
			s := s.(obj)
			o := obj{"@id": s["@id"]}
			switch {
			case s["Selection"] != nil:
				o = bd("BallotMeasureOption", obj{"@id": s["@id"], "Selection": bdText(s["Selection"])})
			case s["IsWriteIn"] != nil:
				o = bd("CandidateOption", obj{"@id": s["@id"], "IsWriteIn": true})
			default:
				o = bd("CandidateOption", o)
				o["CandidateIds"] = s["CandidateIds"]
			}
			options = append(options, o)
		}
		x := obj{"@id": c["@id"], "Name": c["Name"], "ElectionDistrictId": "election-state", "ContestOption": options}
		if c["VotesAllowed"] != nil {
			x["VotesAllowed"] = c["VotesAllowed"]
			contests = append(contests, bd("CandidateContest", x))
		} else {
			contests = append(contests, bd("BallotMeasureContest", x))
		}
	}
	for _, id := range []string{"election-county", "precinct-1", "precinct-2"} {
		units = append(units, bd("ReportingUnit", obj{"@id": id, "Type": "other"}))
	}
	units = append(units, bd("ReportingUnit", obj{"@id": "election-state", "Type": "state", "ComposingGpUnitIds": []string{"election-county", "precinct-1", "precinct-2"}}))
	for style, used := range styles {
		var content []any
		for _, id := range order {
			if used[id] {
				content = append(content, bd("OrderedContest", obj{"ContestId": id}))
			}
		}
		list = append(list, bd("BallotStyle", obj{"GpUnitIds": []string{"precinct-1", "precinct-2"}, "ExternalIdentifier": bdCode(style), "OrderedContent": content}))
	}
	return bd("BallotDefinition", obj{"Version": "1.0.0", "GeneratedDate": "2023-12-19T00:00:00Z", "Issuer": "i", "IssuerAbbreviation": "i",
		"VendorApplicationId": "v", "SequenceStart": 1, "SequenceEnd": 1, "IsTest": true, "GpUnit": units,
		"Election": []any{bd("Election", obj{"Name": bdText(e["Name"]), "Type": "primary", "StartDate": "2023-12-19", "EndDate": "2023-12-19",
			"ElectionScopeId": "election-state", "ExternalIdentifier": bdCode(e["@id"]), "Candidate": candidates, "Contest": contests, "BallotStyle": list})}})
}

// Records of a certified vendor's system give the result that its maker states.
// The one thing changed in them is what breaks the standard: options of
// different contests, and candidates, share identifiers.
func TestRecordsOfAnotherSystemGiveItsResult(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testtool.Shared(t, "votingworks", "two-party-primary", "castVoteRecords", "generated"), "*", "cast-vote-record-report.json"))
	if err != nil || len(files) != 112 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var docs []testelection.File
	var report obj
	styles := map[string]map[string]bool{}
	var order []string
	for i, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		report = obj{}
		if err := json.Unmarshal(data, &report); err != nil {
			t.Fatal(err)
		}
		order = order[:0]
		for _, c := range report["Election"].([]any)[0].(obj)["Contest"].([]any) {
			c := c.(obj)
			order = append(order, c["@id"].(string))
			for _, s := range c["ContestSelection"].([]any) {
				s.(obj)["@id"] = fmt.Sprint(c["@id"], "/", s.(obj)["@id"])
			}
		}
		cvr := report["CVR"].([]any)[0].(obj)
		style := cvr["BallotStyleId"].(string)
		if styles[style] == nil {
			styles[style] = map[string]bool{}
		}
		for _, snap := range cvr["CVRSnapshot"].([]any) {
			for _, c := range snap.(obj)["CVRContest"].([]any) {
				c := c.(obj)
				styles[style][c["ContestId"].(string)] = true
				for _, s := range c["CVRContestSelection"].([]any) {
					s.(obj)["ContestSelectionId"] = fmt.Sprint(c["ContestId"], "/", s.(obj)["ContestSelectionId"])
				}
			}
		}
		out, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, testelection.File{Name: fmt.Sprintf("%03d.json", i), Data: out})
	}
	def, err := json.Marshal(foreignDefinition(report, styles, order))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := core(t)
	id := report["Election"].([]any)[0].(obj)["@id"].(string)
	d := testelection.File{Name: "definition.json", Data: def}
	p := pack(ems.KindDefinition, "", d)
	p.ElectionID = id
	must(t, c, p)
	p = pack(ems.KindCVRs, d.SHA256(), docs...)
	p.ElectionID = id
	if r := must(t, c, p); r.Ballots != 112 {
		t.Errorf("%+v", r)
	}
	tl, err := c.Tally(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{"precinct-1": 0}
	for _, p := range tl.Precincts {
		got[p.ID] = p.Ballots
	}
	for _, c := range tl.Contests[:2] {
		got[c.ID+" over"], got[c.ID+" under"] = c.Total.Overvotes, c.Total.Undervotes
		for i, o := range c.Options {
			got[strings.TrimPrefix(o.ID, c.ID+"/")] = c.Total.Votes[i]
		}
	}
	want := map[string]int64{"precinct-1": 56, "precinct-2": 56,
		"fox": 36, "horse": 4, "otter": 4, "best-animal-mammal over": 8, "best-animal-mammal under": 4,
		"salmon": 44, "seahorse": 4, "best-animal-fish over": 4, "best-animal-fish under": 4}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
