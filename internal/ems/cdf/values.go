package cdf

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// problem returns what a value must be when it is not, or "". The text is that
// of the JSON form: the same text is valid in both encodings.
func (m *member) problem(text []byte) string {
	switch m.kind {
	case kindInteger:
		if _, err := strconv.ParseInt(string(text), 10, 64); err != nil {
			return "an integer without fraction or exponent, within 64 bits"
		}
	case kindNumber:
		if !isNumber(string(text)) {
			return "a number"
		}
	case kindBoolean:
		if string(text) != "true" && string(text) != "false" {
			return "true or false"
		}
	case kindEnum:
		for _, v := range m.enum {
			if v == string(text) {
				return ""
			}
		}
		return "one of the standard's values"
	case kindShort:
		if utf8.RuneCount(text) > 32 {
			return "text of at most 32 characters"
		}
	case kindColor:
		if len(text) != 6 || strings.Trim(string(text), "0123456789abcdef") != "" {
			return "six digits of a colour such as 00ff7f"
		}
	case kindFraction:
		if !isFraction(string(text)) {
			return "a fraction such as 1/2 or .5"
		}
	case kindLanguage:
		if !isLanguage(string(text)) {
			return "a language such as en or es-MX"
		}
	case kindURI:
		if strings.Join(strings.Fields(string(text)), " ") != string(text) {
			return "a URI without white space around it"
		}
	case kindByte:
		if !isBase64(text) {
			return "base64"
		}
	default:
		return m.timeProblem(text)
	}
	return ""
}

func (m *member) timeProblem(text []byte) string {
	switch m.kind {
	case kindDate:
		if !isTime(time.DateOnly, string(text)) {
			return "a date such as 2026-11-03"
		}
	case kindDateTime:
		if !isTime(time.RFC3339, string(text)) {
			return "a date and time with zone such as 2026-11-03T20:00:00Z"
		}
	case kindSecond:
		if strings.ContainsAny(string(text), ".") || !isTime(time.RFC3339, string(text)) {
			return "a date and time with zone and without fractions of a second, such as 2026-11-03T20:00:00Z"
		}
	case kindTime:
		if strings.ContainsAny(string(text), ".") || !isTime(time.RFC3339, "2000-01-01T"+string(text)) {
			return "a time of day with zone such as 20:00:00Z"
		}
	}
	return ""
}

// isTime is time.Parse without what it allows beyond the standards: years of
// four zeros, one-digit hours, a comma, zones farther than fourteen hours.
func isTime(layout, text string) bool {
	t, err := time.Parse(layout, text)
	if err != nil || t.Year() == 0 || strings.ContainsRune(text, ',') {
		return false
	}
	if layout == time.DateOnly {
		return true
	}
	if len(text) < len("2026-11-03T20:00:00Z") || text[13] != ':' {
		return false
	}
	_, zone := t.Zone()
	return zone >= -14*3600 && zone <= 14*3600
}

// isFraction is the pattern ([0-9]+/[1-9]+[0-9]*)|(\.[0-9]+).
func isFraction(s string) bool {
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if tail, ok := strings.CutPrefix(s, "."); ok {
		return digits(tail)
	}
	n, d, ok := strings.Cut(s, "/")
	return ok && digits(n) && digits(d) && d[0] != '0'
}

// isLanguage is the pattern of xsd:language (RFC 3066).
func isLanguage(s string) bool {
	for i, part := range strings.Split(s, "-") {
		if part == "" || len(part) > 8 {
			return false
		}
		for _, r := range part {
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
			if !letter && (i == 0 || r < '0' || r > '9') {
				return false
			}
		}
	}
	return true
}

// isBase64 wants the standard alphabet with padding and without white space.
func isBase64(b []byte) bool {
	if len(b)%4 != 0 {
		return false
	}
	end := len(b)
	for end > 0 && len(b)-end < 2 && b[end-1] == '=' {
		end--
	}
	for _, c := range b[:end] {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '/' {
			return false
		}
	}
	switch len(b) - end { // the bits that no byte uses must be zero
	case 1:
		return strings.IndexByte("AEIMQUYcgkosw048", b[end-1]) >= 0
	case 2:
		return strings.IndexByte("AQgw", b[end-1]) >= 0
	}
	return true
}

// badCharacter reports whether text, which is UTF-8, has a character that XML
// 1.0 cannot hold.
func badCharacter[T string | []byte](text T) bool {
	for i := range len(text) {
		c := text[i]
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' ||
			c == 0xEF && i+2 < len(text) && text[i+1] == 0xBF && text[i+2] >= 0xBE { // U+FFFE, U+FFFF
			return true
		}
	}
	return false
}

// fromXML turns the text of an element or attribute into the JSON form: what
// white space and spellings XML allows beyond it is taken away.
func (m *member) fromXML(text string) string {
	if m.kind < kindLanguage {
		return text
	}
	fields := strings.Fields(text)
	if m.kind == kindByte {
		return strings.Join(fields, "")
	}
	text = strings.Join(fields, " ")
	switch m.kind {
	case kindBoolean:
		switch text {
		case "1":
			return "true"
		case "0":
			return "false"
		}
	case kindInteger:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
	case kindNumber:
		return numberFromXML(text)
	}
	return text
}

// numberFromXML writes a number of xsd:double as JSON writes numbers: no plus
// sign, no leading zeros, a digit on each side of the point.
func numberFromXML(s string) string {
	sign := ""
	if t, ok := strings.CutPrefix(s, "+"); ok {
		s = t
	} else if t, ok := strings.CutPrefix(s, "-"); ok {
		s, sign = t, "-"
	}
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		return "" // two signs
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i:]
	}
	whole, fraction, point := strings.Cut(mantissa, ".")
	if whole == "" && fraction == "" {
		return s
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if point && fraction != "" {
		whole += "." + fraction
	}
	return sign + whole + exponent
}

// isNumber is the grammar of JSON numbers.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() int {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n
	}
	n := digits()
	if n == 0 || n > 1 && s[0] == '0' {
		return false
	}
	if s = s[n:]; strings.HasPrefix(s, ".") {
		s = s[1:]
		if n = digits(); n == 0 {
			return false
		}
		s = s[n:]
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if n = digits(); n == 0 {
			return false
		}
		s = s[n:]
	}
	return s == ""
}
