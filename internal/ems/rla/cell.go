package rla

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// kind is what the cells of a column hold.
type kind int

const (
	text   kind = iota
	title       // text that may stand on several lines
	list        // text of several names
	number      // a whole number
	yesNo
	email
)

// parse reads a cell that is not empty; a rule says that it could not.
func (k kind) parse(s string) (cell, Rule, string) {
	switch k {
	case number:
		n, rule, detail := parseNumber(s)
		return cell{text: s, number: n}, rule, detail
	case yesNo:
		yes := strings.EqualFold(s, "y") || strings.EqualFold(s, "yes")
		if !yes && !strings.EqualFold(s, "n") && !strings.EqualFold(s, "no") {
			return cell{}, RuleYesNo, "expected Y or N, got " + quote(s)
		}
		return cell{text: s, yes: yes}, "", ""
	case email:
		if !isEmail(s) {
			return cell{}, RuleEmail, "expected an email address, got " + quote(s)
		}
	case title, list:
		s = oneLine(s)
	}
	rule, detail := badText(s, k.limit())
	return cell{text: s}, rule, detail
}

func (k kind) limit() int {
	if k == list {
		return maxList
	}
	return maxCell
}

// oneLine joins the lines of a cell, as exported contest names have them.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// badText refuses what a person cannot see or a spreadsheet would calculate.
func badText(s string, most int) (Rule, string) {
	switch {
	case s == "":
		return RuleEmpty, "the cell is empty"
	case len(s) > most:
		return RuleLimit, fmt.Sprintf("%d bytes, the limit is %d", len(s), most)
	case strings.ContainsRune("=+-@", rune(s[0])):
		return RuleFormula, fmt.Sprintf("the text begins with %q", s[:1])
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return RulePrintable, fmt.Sprintf("the text has the character U+%04X", r)
		}
	}
	return "", ""
}

func parseNumber(s string) (int, Rule, string) {
	unsigned := strings.TrimPrefix(s, "-")
	switch {
	case isDigits(s):
	case isDigits(unsigned):
		return 0, RuleNegative, "the number is negative"
	case isDigits(removeAll(unsigned, ", \u00a0\u202f'")):
		return 0, RuleThousands, "the number has separators: " + quote(s)
	case isDigits(removeAll(unsigned, ", .")):
		return 0, RuleFraction, "the number has a fraction: " + quote(s)
	default:
		return 0, RuleNotNumber, "expected a whole number, got " + quote(s)
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, RuleNotNumber, "the number begins with a zero: " + quote(s)
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > maxNumber {
		return 0, RuleTooLarge, fmt.Sprintf("the number is above %d", maxNumber)
	}
	return n, "", ""
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func removeAll(s, cut string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(cut, r) {
			return -1
		}
		return r
	}, s)
}

// isTotal finds the words total, totals, subtotal and subtotals.
func isTotal(s string) bool {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return !isLetter(r) }) {
		switch strings.ToLower(word) {
		case "total", "totals", "subtotal", "subtotals":
			return true
		}
	}
	return false
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// isEmail accepts what Arlo does: word characters, dots, plus and minus before
// the @, a domain with a dot after it.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	first, others, dot := strings.Cut(domain, ".")
	return ok && dot && len(s) <= maxCell && onlyOf(local, "_.+-") && onlyOf(first, "-") && onlyOf(others, "-.")
}

// onlyOf says that s has one or more ASCII letters, digits and marks.
func onlyOf(s, marks string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !isLetter(r) && (r < '0' || r > '9') && !strings.ContainsRune(marks, r)
	})
}
