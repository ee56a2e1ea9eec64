// Package naming is the grammar of the names that people choose and formats
// carry: stations, roles, streams, jurisdictions, elections. It judges the form
// of a text, trusts none, and knows nothing of what is named.
package naming

import "strings"

// IsName says whether s keeps the grammar of stations, roles and streams:
// [A-Za-z0-9][A-Za-z0-9._-]{0,63}. Such a name can also be the name of a file.
func IsName(s string) bool { return word(s, 64, "._-") }

// IsScope says whether s keeps the grammar of jurisdictions and elections:
// [A-Za-z0-9][A-Za-z0-9._~:/-]{0,127}, wide enough for Open Civic Data identifiers.
func IsScope(s string) bool { return word(s, 128, "._~:/-") }

func word(s string, most int, marks string) bool {
	if s == "" || len(s) > most || !alphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte(marks, s[i]) < 0 {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
