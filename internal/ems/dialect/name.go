package dialect

import (
	"strconv"
	"strings"
)

// name is the one normalisation of names: white space at the ends is removed,
// and white space that contains a line break becomes one space (a deviation).
// Nothing else is changed: case, punctuation and inner spaces stay.
func (n *notes) name(where, s string) (string, error) {
	s = strings.TrimSpace(s)
	if strings.ContainsAny(s, "\r\n") {
		n.add(where, LineBreak)
		s = joinLines(s)
	}
	if len(s) > maxName {
		return "", over(where, "a name has more than %d bytes", maxName)
	}
	return s, nil
}

func joinLines(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\r' || r == '\n' })
	kept := lines[:0]
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, " ")
}

// isWriteIn recognises the names of write-in choices in dialects that have no
// field for it: "Write-in", in any case, with or without hyphen, number or colon.
func isWriteIn(name string) bool {
	s := strings.ToLower(strings.TrimRight(name, " 0123456789#:()"))
	switch strings.ReplaceAll(strings.ReplaceAll(s, " ", ""), "-", "") {
	case "writein", "writeins":
		return true
	}
	return false
}

// number reads a decimal number without sign, up to most.
func number(s string, most int) (int, bool) {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= most
}
