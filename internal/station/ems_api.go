package station

import (
	"errors"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/results"
	"sallyport/internal/verdict"
)

// Elections lists what the EMS core holds.
type Elections struct {
	Elections []ems.Election `json:"elections"`
}

// ElectionArgs name an election; empty means the only one.
type ElectionArgs struct {
	ElectionID string `json:"election_id"`
}

// TallyArgs ask for a tally.
type TallyArgs struct {
	ElectionArgs
	// Quick adds up the stored subtotals instead of counting the ballots anew.
	Quick bool `json:"quick,omitzero"`
}

// BreakdownArgs ask for the parts of a tally, by one of [ems.Groups].
type BreakdownArgs struct {
	ElectionArgs
	By string `json:"by"`
}

// Breakdown are the parts of a tally.
type Breakdown struct {
	By     string      `json:"by"`
	Groups []ems.Group `json:"groups"`
}

// WriteInsArgs ask for the written names of an election.
type WriteInsArgs struct {
	ElectionArgs
	Open bool `json:"open,omitzero"` // only those that wait for a decision
	// From is the first name of the answer, which has at most MaxWriteInsAnswer.
	From int `json:"from,omitzero"`
}

// MaxWriteInsAnswer bounds the names of one answer; a caller asks again from
// where it stopped.
const MaxWriteInsAnswer = 25_000

// WriteIns is a stretch of the written names.
type WriteIns struct {
	Count    int           `json:"count"` // in all
	WriteIns []ems.WriteIn `json:"write_ins"`
}

// Decides says about which election somebody decides something, who and why.
// The log names the caller as well, as the kernel knows him.
type Decides struct {
	ElectionID string `json:"election_id"`
	Who        string `json:"who"`
	Why        string `json:"why"`
}

func (d *Decides) by() ems.By { return ems.By{Who: d.Who, Why: d.Why} }

// SetStatusArgs take the next step in the life of an election's results.
type SetStatusArgs struct {
	Decides
	Status   results.Status `json:"status"`
	Approver string         `json:"approver,omitzero"`
}

// AdjudicateArgs decide about written names.
type AdjudicateArgs struct {
	Decides
	Decisions []ems.Decision `json:"decisions"`
}

// ManualArgs record a manual tally.
type ManualArgs struct {
	Decides
	Tally ems.ManualTally `json:"tally"`
}

// RulesArgs set the rules of a ranked contest.
type RulesArgs struct {
	Decides
	Contest string `json:"contest"`
	Config  []byte `json:"config"` // a contest configuration of RCTab
}

// ResultsArgs ask for the results, which is recorded: they are given out.
type ResultsArgs struct {
	ElectionArgs
	Form string `json:"form"` // what is made of them, for the log
}

// Codes of what the EMS core refuses, beside those of package control.
const (
	CodePollsOpen  = "polls-open"
	CodeTransition = "transition"
	CodeTwoPeople  = "two-people"
	CodeStale      = "stale"
)

// emsRefusals are the errors of the EMS core that are no fault of the station:
// the code, and what to do.
var emsRefusals = [...]struct {
	err        error
	code, next string
}{
	{ems.ErrNoElection, control.CodeNotFound, "'sallyport ems elections' lists them"},
	{ems.ErrWhich, control.CodeUsage, "'sallyport ems elections' lists them"},
	{ems.ErrNoDraft, control.CodeNotFound, ""},
	{ems.ErrDraftID, control.CodeUsage, ""},
	{ems.ErrBy, control.CodeUsage, "with --who and --why"},
	{ems.ErrDecision, control.CodeUsage, "nothing was changed"},
	{ems.ErrManual, control.CodeUsage, "nothing was recorded"},
	{ems.ErrRules, control.CodeUsage, "nothing was changed"},
	{ems.ErrPollsOpen, CodePollsOpen, "'sallyport ems close-polls' says that they are closed"},
	{ems.ErrTransition, CodeTransition, "'sallyport ems status' says what is missing"},
	{ems.ErrTwoPeople, CodeTwoPeople, "with --who and --approver"},
	{ems.ErrChanged, CodeStale, "look at what holds now, and decide again"},
}

// EMSRefusal is what the EMS core does not do, as a caller sees it; nil for any
// other error.
func EMSRefusal(err error) *control.Failure {
	for _, r := range emsRefusals {
		switch {
		case !errors.Is(err, r.err):
			continue
		case r.next == "":
			return control.Failf(r.code, "%v", err)
		}
		return control.Failf(r.code, "%v (%s)", err, r.next)
	}
	return nil
}

// loggedRefusal is what the audit log says of a refusal: code and kind, and not
// the words, which may name a ballot.
func loggedRefusal(err error) map[string]string {
	for _, r := range emsRefusals {
		if errors.Is(err, r.err) {
			return map[string]string{"reason": r.code, "detail": r.err.Error()}
		}
	}
	if f, ok := verdict.Find(err); ok {
		return map[string]string{"reason": string(f.Reason)}
	}
	return nil
}
