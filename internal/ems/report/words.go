package report

import (
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/results"
)

// What results have and SP 1500-100 has no member for is an ExternalIdentifier
// of type other, whose OtherType is one of these.
const (
	idElection     = "election-id"
	idSequence     = "report-sequence"
	idDefinition   = "definition-sha256"
	idState        = "state-digest"
	idLogHead      = "log-head"
	idClass        = "contest-class" // of SP 1500-20, for classes that SP 1500-100 lacks
	idVotesAllowed = "votes-allowed"
	idElected      = "number-elected"
	idRanked       = "ranked"
	idThreshold    = "threshold"
	idPrimary      = "primary-party"
	idContest      = "contest-id" // an identifier of others
)

// own says whether an ExternalIdentifier is one of ours.
func own(otherType string) bool {
	switch otherType {
	case idElection, idSequence, idDefinition, idState, idLogHead, idClass, idVotesAllowed, idElected, idRanked, idThreshold, idPrimary:
		return true
	}
	return false
}

// identifier returns the value of an ExternalIdentifier of type other.
func identifier(o *cdf.Object, otherType string) string {
	for _, x := range o.List("ExternalIdentifier") {
		if x.Str("Type") == "other" && x.Str("OtherType") == otherType {
			return x.Str("Value")
		}
	}
	return ""
}

// classOf is the class of SP 1500-100 that a kind of contest is written as, and
// the class of SP 1500-20 that it stands for, where that is another.
func classOf(k model.Kind) (class, stands string, err error) {
	switch k {
	case model.Candidates:
		return "CandidateContest", "", nil
	case model.Measure:
		return "BallotMeasureContest", "", nil
	case model.Retention:
		return "RetentionContest", "", nil
	case model.PartyList:
		return "PartyContest", "", nil
	case model.StraightParty:
		return "PartyContest", "StraightPartyContest", nil
	case model.PartyPreference:
		return "PartyContest", "PartyPreferenceContest", nil
	case model.Activation:
		return "BallotMeasureContest", "ActivationContest", nil
	}
	return "", "", fmt.Errorf("a contest of kind %d is not known", k)
}

// kindOf is the reverse of classOf.
func kindOf(o *cdf.Object) model.Kind {
	switch class := o.Class(); identifier(o, idClass) + " " + class {
	case "StraightPartyContest PartyContest":
		return model.StraightParty
	case "PartyPreferenceContest PartyContest":
		return model.PartyPreference
	case "ActivationContest BallotMeasureContest":
		return model.Activation
	default:
		switch class {
		case "BallotMeasureContest":
			return model.Measure
		case "RetentionContest":
			return model.Retention
		case "PartyContest":
			return model.PartyList
		}
	}
	return model.Candidates
}

// enumerations of SP 1500-100 whose other values are "other" and a text.
const (
	unitTypes     = " ballot-batch ballot-style-area borough city city-council combined-precinct congressional country county county-council drop-box judicial municipality polling-place precinct school special split-precinct state state-house state-senate town township utility village vote-center ward water "
	electionTypes = " general partisan-primary-closed partisan-primary-open primary runoff special "
	variations    = " approval borda cumulative majority n-of-m plurality proportional range rcv super-majority "
)

// setEnum sets a member that is an enumeration, and the text beside it when it
// has no such value.
func setEnum(o *cdf.Object, member, other, value, values string) {
	switch {
	case strings.Contains(values, " "+value+" ") && value != "":
		o.Set(member, value)
	case value == "other" || value == "":
		o.Set(member, "other")
	default:
		o.Set(member, "other").Set(other, value)
	}
}

// enum is the reverse of setEnum.
func enum(o *cdf.Object, member, other string) string {
	if s := o.Str(member); s != "other" {
		return s
	}
	return first(o.Str(other), "other")
}

// setKind sets the CountItemType of a count. The types seats and write-in say
// something else than a way of voting, so that ways of these names are "other".
func setKind(o *cdf.Object, kind string) *cdf.Object {
	if kind == "seats" || kind == "write-in" || !slices.Contains(results.CountItemTypes(), kind) {
		return o.Set("Type", "other").Set("OtherType", kind)
	}
	return o.Set("Type", kind)
}

// absenteeKinds are what CountItemType absentee is the sum of, when it stands
// beside them.
func absenteeKinds() []string {
	return []string{"absentee-fwab", "absentee-in-person", "absentee-mail", "uocava"}
}

// text makes an InternationalizedText.
func text(d *cdf.Document, language, s string) *cdf.Object {
	return d.New("InternationalizedText").Append("Text", d.New("LanguageString").Set("Language", language).Set("Content", s))
}

// thresholdText is a threshold as PassageThreshold has it here, exactly.
func thresholdText(t model.Threshold) string {
	s := fmt.Sprintf("%d/%d", t.Num, t.Den)
	if t.More {
		return "more than " + s
	}
	return s
}
