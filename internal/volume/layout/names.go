package layout

import (
	"unicode/utf16"
	"unicode/utf8"
)

// forbidden says whether a character is a control character, or one of the
// printable ones that neither FAT nor exFAT allows in a name (Microsoft FAT
// specification section 7, exFAT section 7.7.3).
func forbidden(r rune) bool {
	switch r {
	case '"', '*', '/', ':', '<', '>', '?', '\\', '|':
		return true
	}
	return r < 0x20
}

// AppendName appends a recorded UTF-16 name as UTF-8 and says whether it can
// be used. Each character that cannot stand in a path is replaced by U+FFFD:
// half a surrogate pair, control and forbidden characters, and all of a name
// that is empty, "." or "..".
func AppendName(dst []byte, name []uint16) ([]byte, bool) {
	start, ok := len(dst), len(name) > 0
	for i := 0; i < len(name); i++ {
		r := rune(name[i])
		if r < utf8.RuneSelf && !forbidden(r) {
			dst = append(dst, byte(r))
			continue
		}
		if utf16.IsSurrogate(r) {
			r = utf8.RuneError
			if i+1 < len(name) {
				r = utf16.DecodeRune(rune(name[i]), rune(name[i+1]))
			}
			if r != utf8.RuneError {
				i++
			}
		}
		if r == utf8.RuneError || forbidden(r) {
			r, ok = utf8.RuneError, false
		}
		dst = utf8.AppendRune(dst, r)
	}
	switch string(dst[start:]) {
	case "", ".", "..":
		return append(dst[:start], "\uFFFD"...), false
	}
	return dst, ok
}

// AppendText appends a name that is recorded as bytes and meant as UTF-8 (ext,
// Rock Ridge), and says whether it can be used. What cannot stand in a path is
// replaced by U+FFFD: invalid UTF-8, control characters, '/' and '\\', and all
// of a name that is empty, "." or "..".
func AppendText(dst, name []byte) ([]byte, bool) {
	start, ok := len(dst), true
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		if r == utf8.RuneError || r < 0x20 || r == 0x7F || r == '/' || r == '\\' {
			r, ok = utf8.RuneError, false
		}
		dst, name = utf8.AppendRune(dst, r), name[n:]
	}
	switch string(dst[start:]) {
	case "", ".", "..":
		return append(dst[:start], "\uFFFD"...), false
	}
	return dst, ok
}
