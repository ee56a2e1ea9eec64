package rla

import (
	"fmt"
	"strings"

	"sallyport/internal/verdict"
)

// Rule names what a file has to keep. FORMAT.md lists the rules.
type Rule string

// The rules of every file.
const (
	RuleUTF8       Rule = "utf-8"
	RuleDelimiter  Rule = "comma-separated"
	RuleQuotes     Rule = "quotes"
	RuleLimit      Rule = "limit"
	RuleNoRows     Rule = "at-least-one-row"
	RuleHeader     Rule = "unique-headers"
	RuleMissing    Rule = "required-column"
	RuleUnexpected Rule = "known-columns"
	RuleCellCount  Rule = "cells-match-headers"
	RuleTrailing   Rule = "trailing-columns-empty"
	RuleEmpty      Rule = "cell-has-value"
	RulePrintable  Rule = "printable-text"
	RuleFormula    Rule = "no-formula"
	RuleNotNumber  Rule = "whole-number"
	RuleNegative   Rule = "not-negative"
	RuleFraction   Rule = "no-fraction"
	RuleThousands  Rule = "no-thousands-separator"
	RuleTooLarge   Rule = "number-limit"
	RuleYesNo      Rule = "yes-or-no"
	RuleEmail      Rule = "email-address"
	RuleDuplicate  Rule = "unique-rows"
	RuleTotalRow   Rule = "no-total-row"
)

// The rules of single kinds of files.
const (
	RuleZeroBallots    Rule = "at-least-one-ballot"
	RuleBatchMissing   Rule = "every-batch-present"
	RuleBatchUnknown   Rule = "batch-in-manifest"
	RuleTooManyVotes   Rule = "votes-within-ballots"
	RuleTooManyBallots Rule = "ballots-within-manifest"
	RuleChoiceColumns  Rule = "columns-match-choices"
	RuleList           Rule = "list-of-names"
	RuleJurisdiction   Rule = "known-jurisdiction"
	RuleKeepsForm      Rule = "form-keeps-value"
	RuleCVR            Rule = "cvr-matches-contests"
	RuleCVROrder       Rule = "cvr-order"
	RuleCVRForm        Rule = "cvr-form-can-say"
)

// advice says what to do about each rule.
func (r Rule) advice() string {
	switch r {
	case RuleUTF8:
		return "save the file as \"CSV UTF-8 (comma delimited)\""
	case RuleDelimiter:
		return "save the file as CSV with commas between the columns"
	case RuleQuotes:
		return "enclose a cell with a quote, comma or line break in quotes and double the quotes inside it"
	case RuleLimit, RuleTooLarge:
		return "check the file; split it if it is right"
	case RuleNoRows:
		return "add the rows below the headers"
	case RuleHeader:
		return "give each column its own header and remove the copy"
	case RuleMissing:
		return "add the column"
	case RuleUnexpected:
		return "remove the column or correct its header"
	case RuleCellCount:
		return "give the row as many cells as there are headers"
	case RuleTrailing:
		return "empty the cell or give its column a header"
	case RuleEmpty:
		return "fill in the cell"
	case RulePrintable:
		return "type the text again without invisible characters"
	case RuleFormula:
		return "replace the formula by its value; names must not begin with = + - @"
	case RuleNotNumber, RuleNegative, RuleFraction:
		return "write a whole number with the digits 0 to 9 alone"
	case RuleThousands:
		return "write the number without separators, 1234 and not 1,234"
	case RuleYesNo:
		return "write Y or N"
	case RuleEmail:
		return "write one email address"
	case RuleDuplicate:
		return "remove one of the two rows or correct its name"
	}
	return r.adviceOfForms()
}

func (r Rule) adviceOfForms() string {
	switch r {
	case RuleTotalRow:
		return "remove the row of totals; if it is none, rename it or do not put it last"
	case RuleZeroBallots:
		return "remove batches without ballots"
	case RuleBatchMissing:
		return "add the batches that the manifest has"
	case RuleBatchUnknown:
		return "correct the names: tabulator and batch must be spelled as in the manifest"
	case RuleTooManyVotes, RuleTooManyBallots:
		return "count the batch again and correct the manifest or the totals"
	case RuleChoiceColumns:
		return "have one column for each choice of each contest, headed by the choice or by \"Contest - Choice\""
	case RuleList:
		return "name each once, with the separator of the column between the names"
	case RuleJurisdiction:
		return "spell the jurisdiction as in the list of jurisdictions"
	case RuleKeepsForm:
		return "change the value: a reader of this form would take it for another one"
	case RuleCVR:
		return "export the records again with the definition they were cast under"
	case RuleCVROrder:
		return "pass the records in the order of their random ids, or of tabulator, batch and position"
	case RuleCVRForm:
		return "use another form of export, or change the name"
	}
	return ""
}

// Problem is a fault in a file: where, which rule, and what to do. It wraps a
// [verdict.Finding]: content-invalid, or over-limit for [RuleLimit].
type Problem struct {
	File   string // as the caller named it
	Line   int    // 1-based; 0 when the fault is of the file as a whole
	Column int    // 1-based byte in the line; 0 when the fault is of the row
	Field  string // the header of the cell, or ""
	Rule   Rule
	Detail string // what was expected and what was found
}

// Where returns file, line, column and field in one clause.
func (p *Problem) Where() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ", line %d", p.Line)
	}
	if p.Column > 0 {
		fmt.Fprintf(&b, ", column %d", p.Column)
	}
	if p.Field != "" {
		fmt.Fprintf(&b, " (%s)", verdict.Escape(p.Field))
	}
	return b.String()
}

// ToDo returns what the person who has the file should do.
func (p *Problem) ToDo() string { return p.Rule.advice() }

func (p *Problem) Error() string {
	return fmt.Sprintf("%s: rule %s: %s; %s", p.Where(), p.Rule, p.Detail, p.ToDo())
}

// Unwrap returns the finding behind the problem.
func (p *Problem) Unwrap() error {
	reason := verdict.ContentInvalid
	if p.Rule == RuleLimit {
		reason = verdict.OverLimit
	}
	return verdict.New(reason, p.Where(), "%s", fmt.Sprintf("rule %s: %s", p.Rule, p.Detail))
}

// quote shows a foreign value in an error.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return "\"" + verdict.Escape(s) + "\""
}
