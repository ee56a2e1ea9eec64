package layout

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
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

// Names finds two entries of one folder that some system takes for the same.
// It folds by Unicode's simple upper case, by canonical composition (NFC) and
// without dots and spaces at the end, which joins a few more names than any one
// system does; names that close may not stand side by side here.
type Names struct {
	seed  maphash.Seed
	fold  []byte
	seen  []nameAt
	ready bool
}

type nameAt struct {
	hash uint64
	off  int64
}

// Reset forgets the names of the folder before.
func (n *Names) Reset() {
	if !n.ready {
		n.seed, n.ready = maphash.MakeSeed(), true
	}
	n.seen = n.seen[:0]
}

// Hash returns a number that equal names share and, but for a chance of 2⁻⁶⁴
// that nobody outside can aim at, others do not.
func (n *Names) Hash(name []byte) uint64 {
	n.fold = n.fold[:0]
	if short := bytes.TrimRight(name, ". "); len(short) > 0 {
		name = short
	}
	for _, c := range name {
		if c >= utf8.RuneSelf {
			n.fold = n.fold[:0]
			// Composed, then in upper case, and composed again: some letters have
			// an upper case only together with their accent.
			for _, r := range norm.NFC.String(string(name)) {
				n.fold = utf8.AppendRune(n.fold, unicode.ToUpper(r))
			}
			n.fold = norm.NFC.AppendString(n.fold[:0:0], string(n.fold))
			break
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		n.fold = append(n.fold, c)
	}
	return maphash.Bytes(n.seed, n.fold)
}

// Add notes that the record at off has the name with this hash.
func (n *Names) Add(hash uint64, off int64) { n.seen = append(n.seen, nameAt{hash, off}) }

// Twice returns the offsets of two records with one name, if there are any.
func (n *Names) Twice() (a, b int64, found bool) {
	slices.SortFunc(n.seen, func(x, y nameAt) int {
		if x.hash == y.hash {
			return cmp.Compare(x.off, y.off)
		}
		return cmp.Compare(x.hash, y.hash)
	})
	for i := 1; i < len(n.seen); i++ {
		if n.seen[i].hash == n.seen[i-1].hash {
			return n.seen[i-1].off, n.seen[i].off, true
		}
	}
	return 0, 0, false
}
