package cdf

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Identifiers are free text in JSON and an NCName in XML. The escape is that
// of ISO/IEC 9075-14 (SQL/XML) for names: a character that may not stand where
// it stands is _xHHHH_, its number in upper-case hexadecimal, four digits or
// more; so is an underscore that would make an escape of what follows it.

// idToXML writes an identifier as an NCName; idFromXML returns exactly id.
func idToXML(id string) string {
	var b strings.Builder
	for i, r := range id {
		switch {
		case r == '_' && looksEscaped(id[i:]), !nameChar(r), i == 0 && !nameStart(r):
			fmt.Fprintf(&b, "_x%04X_", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// looksEscaped reports whether s begins like an escape, whatever comes behind
// its digits: what is escaped there brings an underscore of its own.
func looksEscaped(s string) bool {
	return len(s) >= 6 && s[1] == 'x' && strings.Trim(s[2:6], hexDigits) == ""
}

const hexDigits = "0123456789ABCDEF"

// idFromXML returns the identifier that an NCName stands for. Every NCName
// stands for one.
func idFromXML(name string) string {
	if !strings.Contains(name, "_x") {
		return name
	}
	var b strings.Builder
	for name != "" {
		i := strings.Index(name, "_x")
		if i < 0 {
			break
		}
		b.WriteString(name[:i])
		name = name[i:]
		if r, size := escaped(name); size > 0 {
			b.WriteRune(r)
			name = name[size:]
		} else {
			b.WriteByte('_')
			name = name[1:]
		}
	}
	return b.String() + name
}

// escaped returns the character of the escape at the beginning of s, and the
// length of the escape.
func escaped(s string) (rune, int) {
	end := strings.IndexByte(s[1:], '_') + 1
	if end < 6 || end > 8 || strings.Trim(s[2:end], hexDigits) != "" {
		return 0, 0
	}
	n, err := strconv.ParseInt(s[2:end], 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) || end > 6 && s[2] == '0' {
		return 0, 0
	}
	return rune(n), end + 1
}

// nameStart and nameChar are what idToXML leaves as it is: the part of NCName
// that the fourth and the fifth edition of XML 1.0 agree on, as far as the
// Latin letters go.
func nameStart(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' ||
		r >= 0xC0 && r <= 0x131 && r != 0xD7 && r != 0xF7
}

func nameChar(r rune) bool {
	return nameStart(r) || r >= '0' && r <= '9' || r == '-' || r == '.'
}

// isNCName is the rule of Namespaces in XML 1.0 with the characters of XML 1.0,
// fifth edition.
func isNCName(s string) bool {
	for i, r := range s {
		if !ncNameStart(r) && (i == 0 || !(r >= '0' && r <= '9' || r == '-' || r == '.' || r == 0xB7 ||
			r >= 0x300 && r <= 0x36F || r == 0x203F || r == 0x2040)) {
			return false
		}
	}
	return s != ""
}

func ncNameStart(r rune) bool {
	if r < 0x80 {
		return nameStart(r)
	}
	for _, x := range [][2]rune{{0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x2FF}, {0x370, 0x37D}, {0x37F, 0x1FFF}, {0x200C, 0x200D},
		{0x2070, 0x218F}, {0x2C00, 0x2FEF}, {0x3001, 0xD7FF}, {0xF900, 0xFDCF}, {0xFDF0, 0xFFFD}, {0x10000, 0xEFFFF}} {
		if r >= x[0] && r <= x[1] {
			return true
		}
	}
	return false
}
