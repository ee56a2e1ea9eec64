package testelection

import "fmt"

// contest is one contest of the small election.
type contest struct {
	id, title string
	allowed   int
	measure   bool
	district  string
	text      string
	options   []option
}

type option struct {
	id, label, party string
	writeIn          bool
	weight           int // of a voter's choice
}

func contests() []contest {
	return []contest{
		{id: "contest-commissioner", title: "County Commissioner", allowed: 2, district: "county-maple", options: []option{
			{id: "option-commissioner-1", label: "Candidate 1 (Oak Party)", party: "party-oak", weight: 34},
			{id: "option-commissioner-2", label: "Candidate 2 (Oak Party)", party: "party-oak", weight: 27},
			{id: "option-commissioner-3", label: "Candidate 3 (Elm Party)", party: "party-elm", weight: 31},
			{id: "option-commissioner-4", label: "Candidate 4 (no party)", weight: 19},
			{id: "option-commissioner-write-in-1", writeIn: true, weight: 4},
			{id: "option-commissioner-write-in-2", writeIn: true, weight: 2},
		}},
		{id: "contest-clerk", title: "County Clerk", allowed: 1, district: "county-maple", options: []option{
			{id: "option-clerk-1", label: "Candidate 5 (Oak Party)", party: "party-oak", weight: 45},
			{id: "option-clerk-2", label: "Candidate 6 (Elm Party)", party: "party-elm", weight: 48},
			{id: "option-clerk-write-in", writeIn: true, weight: 3},
		}},
		{id: "contest-mayor", title: "Mayor of Harbor City", allowed: 1, district: "city-harbor", options: []option{
			{id: "option-mayor-1", label: "Candidate 7", weight: 50},
			{id: "option-mayor-2", label: "Candidate 8", weight: 41},
			{id: "option-mayor-write-in", writeIn: true, weight: 5},
		}},
		{id: "contest-measure-a", title: "Measure A: Library Levy", allowed: 1, measure: true, district: "county-maple",
			text: "Shall the county levy 0.1 percent for six years to keep its four libraries open on Saturdays?",
			options: []option{
				{id: "option-measure-a-yes", label: "Yes", weight: 58},
				{id: "option-measure-a-no", label: "No", weight: 42},
			}},
	}
}

// style is one ballot style.
type style struct {
	id       string
	units    []int
	contests []string
}

func styles() []style {
	return []style{
		{"style-county", []int{0, 1}, []string{"contest-commissioner", "contest-clerk", "contest-measure-a"}},
		{"style-harbor", []int{2}, []string{"contest-mayor", "contest-commissioner", "contest-clerk", "contest-measure-a"}},
	}
}

func styleOf(precinct int) style {
	if precinct == 2 {
		return styles()[1]
	}
	return styles()[0]
}

func unitID(precinct int) string { return fmt.Sprintf("precinct-%d", precinct+1) }

func unitName(precinct int) string {
	return [...]string{"Precinct 1 (North)", "Precinct 2 (River)", "Precinct 3 (Harbor)"}[precinct]
}

func bdType(class string) string { return "BallotDefinition." + class }

func text(s string) object {
	return object{"@type": bdType("InternationalizedText"), "Text": []object{
		{"@type": bdType("LanguageString"), "Language": "en", "Content": s}}}
}

func external(kind, value string) object {
	return object{"@type": bdType("ExternalIdentifier"), "Type": kind, "Value": value}
}

func unit(id, kind, name, ocd string, below ...string) object {
	u := object{"@type": bdType("ReportingUnit"), "@id": id, "Type": kind, "Name": text(name),
		"ExternalIdentifier": []object{external("local-level", id), external("ocd-id", ocd)}}
	if len(below) > 0 {
		u["ComposingGpUnitIds"] = below
	}
	return u
}

// definition is the BallotDefinition document of the small election.
func definition() object {
	const ocd = "ocd-division/country:us/state:xx"
	units := []object{
		unit("state-example", "state", "Example State", ocd, "county-maple"),
		unit("county-maple", "county", "Maple County", ocd+"/county:maple", unitID(0), unitID(1), "city-harbor"),
		unit("city-harbor", "city", "Harbor City", ocd+"/place:harbor", unitID(2)),
	}
	for p := range smallTurnout {
		units = append(units, unit(unitID(p), "precinct", unitName(p), fmt.Sprintf("%s/county:maple/precinct:%d", ocd, p+1)))
	}
	var offices, candidates, list []object
	for _, c := range contests() {
		o, cand, con := definitionContest(c)
		offices, candidates, list = append(offices, o...), append(candidates, cand...), append(list, con)
	}
	return object{
		"@type": bdType("BallotDefinition"), "Version": "1.0.0", "GeneratedDate": "2026-09-01T12:00:00Z",
		"Issuer": "Maple County Elections Office", "IssuerAbbreviation": "MCEO", "VendorApplicationId": "sallyport-testelection",
		"SequenceStart": 1, "SequenceEnd": 1, "GpUnit": units, "Office": offices,
		"Party": []object{
			{"@type": bdType("Party"), "@id": "party-oak", "Name": text("Oak Party"), "Abbreviation": text("OAK")},
			{"@type": bdType("Party"), "@id": "party-elm", "Name": text("Elm Party"), "Abbreviation": text("ELM")},
		},
		"Election": []object{{
			"@type": bdType("Election"), "Name": text("Maple County General Election"), "Type": "general",
			"StartDate": "2026-11-03", "EndDate": "2026-11-03", "ElectionScopeId": "county-maple",
			"ExternalIdentifier": []object{external("local-level", ID), external("state-level", "XX-2026-GE-017")},
			"Candidate":          candidates, "Contest": list, "BallotStyle": definitionStyles(),
		}},
	}
}

func definitionContest(c contest) (offices, candidates []object, out object) {
	var options []object
	for i, o := range c.options {
		x := object{"@id": o.id, "SequenceOrder": i + 1}
		switch {
		case c.measure:
			x["@type"], x["Selection"] = bdType("BallotMeasureOption"), text(o.label)
		case o.writeIn:
			x["@type"], x["IsWriteIn"] = bdType("CandidateOption"), true
		default:
			id := "candidate-" + o.id
			x["@type"], x["CandidateIds"] = bdType("CandidateOption"), []string{id}
			cand := object{"@type": bdType("Candidate"), "@id": id, "BallotName": text(o.label)}
			if o.party != "" {
				cand["PartyId"] = o.party
				x["EndorsementPartyIds"] = []string{o.party}
			}
			candidates = append(candidates, cand)
		}
		options = append(options, x)
	}
	out = object{"@id": c.id, "Name": c.title, "ElectionDistrictId": c.district, "ContestOption": options,
		"ExternalIdentifier": []object{external("local-level", c.id)}}
	if c.measure {
		out["@type"], out["Type"], out["FullText"] = bdType("BallotMeasureContest"), "ballot-measure", text(c.text)
		return nil, candidates, out
	}
	office := "office-" + c.id
	out["@type"], out["OfficeIds"] = bdType("CandidateContest"), []string{office}
	out["VotesAllowed"], out["NumberElected"], out["VoteVariation"] = c.allowed, c.allowed, "plurality"
	if c.allowed > 1 {
		out["VoteVariation"] = "n-of-m"
	}
	offices = append(offices, object{"@type": bdType("Office"), "@id": office, "Name": text(c.title), "ElectionDistrictId": c.district})
	return offices, candidates, out
}

func definitionStyles() []object {
	byID := map[string]contest{}
	for _, c := range contests() {
		byID[c.id] = c
	}
	var out []object
	for _, s := range styles() {
		var units []string
		for _, p := range s.units {
			units = append(units, unitID(p))
		}
		var content []object
		for _, id := range s.contests {
			var options []string
			for _, o := range byID[id].options {
				options = append(options, o.id)
			}
			content = append(content, object{"@type": bdType("OrderedContest"), "ContestId": id, "OrderedContestOptionIds": options})
		}
		out = append(out, object{"@type": bdType("BallotStyle"), "GpUnitIds": units, "OrderedContent": content,
			"ExternalIdentifier": []object{external("local-level", s.id)}})
	}
	return out
}
