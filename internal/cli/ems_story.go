package cli

import (
	"cmp"
	"fmt"

	"sallyport/internal/audit"
	"sallyport/internal/verdict"
)

// tellElection is what somebody decided about an election, in a sentence.
func (s step) tellElection() string {
	did, do := s.electionWords()
	if did == "" {
		return ""
	}
	who := cmp.Or(s.field("who"), verdict.Visible(s.at.Subject.Person), "Somebody")
	about := " of election " + s.field("election_id")
	switch o := s.outcome(); o {
	case audit.Success:
		return who + " " + did + about + "."
	case "":
		return who + " wants to " + do + about + "."
	case audit.Refused:
		return who + " wanted to " + do + about + "; it was REFUSED."
	default:
		return who + " wanted to " + do + about + ". " + outcomeWords(o)
	}
}

// electionWords are what was done, and what was to be done; empty when the event
// is none of this kind.
func (s step) electionWords() (did, do string) {
	set := ""
	switch s.at.Event {
	case audit.EMSPolls:
		set = "the polls"
		return "closed " + set, "close " + set
	case audit.EMSStatus:
		if set = "approved by nobody else"; s.field("approver") != "" {
			set = "approved by " + s.field("approver")
		}
		set = fmt.Sprintf("the status %s (%s) to the results", s.field("status"), set)
		return "gave " + set, "give " + set
	case audit.EMSAdjudicate:
		set = fmt.Sprintf("about %s on %s", s.count("decisions", "written name"), s.count("ballots", "ballot"))
		return "decided " + set, "decide " + set
	case audit.EMSManual:
		set = fmt.Sprintf("the manual tally \"%s\" of %s beside the counts", s.field("name"), s.count("ballots", "ballot"))
		return "recorded " + set, "record " + set
	case audit.EMSRules:
		set = "the rules of the ranked contest " + s.field("contest")
		return "set " + set, "set " + set
	case audit.EMSResults:
		if set = "the results"; s.field("status") != "" {
			set = fmt.Sprintf("the results (%s, step %s)", s.field("status"), s.field("sequence"))
		}
		set += " as " + cmp.Or(s.field("form"), "data")
		return "was given " + set, "have " + set
	}
	return "", ""
}
