package clarity

import (
	"fmt"

	"sallyport/internal/verdict"
)

// Rule names what a file has to keep.
type Rule string

// The rules.
const (
	RuleXML        Rule = "well-formed-xml" // one document, UTF-8, no document type
	RuleLimit      Rule = "limit"           // the budgets of this package
	RuleElement    Rule = "known-elements"  // no element, attribute or text that is not of the form
	RuleMissing    Rule = "required-parts"  // all attributes and elements that are needed, those that can be one once
	RuleNumber     Rule = "whole-number"    // counts are the digits 0 to 9
	RuleText       Rule = "printable-text"  // names are not empty and can be printed
	RuleUnique     Rule = "unique-names"    // no two contests, choices, vote types or units of one name
	RuleUnit       Rule = "known-unit"      // counts are of units that the turnout lists
	RuleTurnout    Rule = "turnout-sum"     // ballots cast and registered voters are the sums over the units
	RuleChoiceSum  Rule = "choice-sum"      // the total of a choice is the sum of its vote types
	RuleVoteType   Rule = "vote-type-sum"   // the votes of a vote type are the sum over its units
	RuleParticular Rule = "one-level"       // all counts are by county or all by precinct
)

// Problem is a fault in a file. It wraps a [verdict.Finding]: content-invalid,
// or over-limit for [RuleLimit].
type Problem struct {
	File   string // as the caller named it
	Path   string // of the element: /ElectionResult/Contest[100]/Choice[001]
	Line   int
	Rule   Rule
	Detail string
}

func (p *Problem) where() string { return fmt.Sprintf("%s, line %d, %s", p.File, p.Line, p.Path) }

func (p *Problem) Error() string {
	return fmt.Sprintf("%s: rule %s: %s; ask whoever published the file for a correct one", verdict.Escape(p.where()), p.Rule, p.Detail)
}

// Unwrap returns the finding behind the problem.
func (p *Problem) Unwrap() error {
	reason := verdict.ContentInvalid
	if p.Rule == RuleLimit {
		reason = verdict.OverLimit
	}
	return verdict.New(reason, p.where(), "%s", fmt.Sprintf("rule %s: %s", p.Rule, p.Detail))
}
