package cdf

import (
	"bytes"
	"regexp"
)

var typed = regexp.MustCompile(`"@type"\s*:\s*"(BallotDefinition|ElectionResults|CVR)\.`)

// Sniff says of which format a document seems to be by its beginning, or 0. It
// decides only who reads the document: reading is as strict as ever.
func Sniff(head []byte) Format {
	head = bytes.TrimPrefix(head, []byte(bom))
	trimmed := bytes.TrimLeft(head, " \t\r\n")
	if bytes.HasPrefix(trimmed, []byte("<")) {
		for f, s := range standards() {
			if regexp.MustCompile(`<(\w+:)?` + s.root + `[\s>/]`).Match(head) {
				return f
			}
		}
		return 0
	}
	if !bytes.HasPrefix(trimmed, []byte("{")) {
		return 0
	}
	if m := typed.FindSubmatch(head); m != nil {
		for f, s := range standards() {
			if s.prefix == string(m[1])+"." {
				return f
			}
		}
	}
	if bytes.Contains(head, []byte(`"CVRSnapshot"`)) {
		return CVR
	}
	return 0
}
