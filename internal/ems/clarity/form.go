package clarity

import "strings"

// element is what may stand in one element of the form.
type element struct {
	required, optional string // attributes, separated by spaces
	text               bool   // it holds text and no elements
}

const reporting = "precinctsParticipating precinctsReported precinctsReporting precinctsReportingPercent percentReporting"

// formOf returns the element of a name below another one.
func formOf(parent, name string) (element, bool) {
	switch parent + "/" + name {
	case "/ElectionResult", "VoterTurnout/Precincts", "ElectionVoterTurnout/Counties":
		return element{}, true
	case "ElectionResult/Timestamp", "ElectionResult/ElectionName", "ElectionResult/ElectionDate", "ElectionResult/Region":
		return element{text: true}, true
	case "ElectionResult/VoterTurnout", "ElectionResult/ElectionVoterTurnout":
		return element{required: "totalVoters ballotsCast", optional: "voterTurnout"}, true
	case "Precincts/Precinct", "Counties/County":
		return element{required: "name totalVoters ballotsCast", optional: "voterTurnout " + reporting}, true
	case "ElectionResult/Contest":
		return element{required: "key text voteFor", optional: "isQuestion countiesParticipating countiesReported " + reporting}, true
	case "Contest/ParticipatingCounties":
		return element{}, true
	case "ParticipatingCounties/County":
		return element{required: "name", optional: reporting}, true
	case "Contest/Choice":
		return element{required: "key text totalVotes", optional: "party"}, true
	case "Contest/VoteType", "Choice/VoteType":
		return element{required: "name votes"}, true
	case "VoteType/Precinct", "VoteType/County":
		return element{required: "name votes"}, true
	}
	return element{}, false
}

func (e element) has(attr string) bool {
	return hasWord(e.required, attr) || hasWord(e.optional, attr)
}

func hasWord(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}
