package eventlog

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// MaxSummary is the most bytes that a summary has.
const MaxSummary = 240

// maxText is how much of a foreign text is looked at.
const maxText = 1024

// escape makes foreign text printable ASCII of bounded length: everything else
// becomes a Go escape sequence.
func escape(s string) string {
	if len(s) > MaxSummary {
		s = s[:MaxSummary+1] // one more, so that line shows the cut
	}
	q := strconv.QuoteToASCII(s)
	return line(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`))
}

// line bounds what is printable ASCII already.
func line(s string) string {
	if len(s) > MaxSummary {
		return s[:MaxSummary-3] + "..."
	}
	return s
}

// wide reads UTF-16LE without the NULs at its end. An odd byte at the end is
// left out.
func wide(b []byte) string {
	units := make([]uint16, min(len(b), maxText)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return strings.TrimRight(string(utf16.Decode(units)), "\x00")
}

// text finds the text in data that may be ASCII (GRUB, firmware) or UTF-16
// (systemd, Windows), with NULs at the end or without. What reads as neither
// is no text; foreign letters among ASCII ones are.
func text(b []byte) (s string, isText bool) {
	s = strings.TrimRight(string(b[:min(len(b), maxText)]), "\x00")
	if mostlyASCII(s) {
		return s, true
	}
	if s = wide(b); mostlyASCII(s) {
		return s, true
	}
	return "", false
}

func mostlyASCII(s string) bool {
	all, good := 0, 0
	for _, r := range s {
		all++
		if r >= ' ' && r <= '~' || r == '\n' || r == '\t' {
			good++
		}
	}
	return all > 0 && 4*good >= 3*all
}

// guid writes a GUID as UEFI does: the first three fields are little-endian
// (UEFI specification, appendix A).
func guid(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:16])
}

// count writes a number with its noun.
func count[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func byteCount(b []byte) string { return count(len(b), "byte", "bytes") }
