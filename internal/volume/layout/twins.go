package layout

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Names finds two entries of one folder that some system takes for the same.
// It folds by canonical equivalence (Unicode section 3.7), by Unicode's simple
// upper case and without dots and spaces at the end, which joins a few more
// names than any one system does; names that close may not stand side by side
// here. Bytes that are no UTF-8 stand for themselves.
type Names struct {
	seed  maphash.Seed
	fold  []byte
	marks []uint64 // class, number and character of each mark
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
	for i, c := range name {
		if c >= utf8.RuneSelf {
			n.decompose(name[i:])
			break
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		n.fold = append(n.fold, c)
	}
	return maphash.Bytes(n.seed, n.fold)
}

// decompose appends a name, every character taken apart (NFD) and its parts in
// upper case. Package norm would do it several times slower for names made to
// be slow, and not beyond thirty marks.
func (n *Names) decompose(name []byte) {
	for len(name) > 0 {
		r, size := utf8.DecodeRune(name)
		switch {
		case r == utf8.RuneError && size == 1:
			n.flush()
			n.fold = append(n.fold, name[0])
		case r < 0xC0: // the first that has parts
			n.part(r, 0)
		case r >= hangulFirst && r < hangulFirst+hangulAll:
			n.hangul(r - hangulFirst)
		default:
			p := norm.NFD.Properties(name)
			parts := p.Decomposition()
			if parts == nil {
				n.part(r, p.CCC())
			}
			for len(parts) > 0 {
				r, size := utf8.DecodeRune(parts)
				n.part(r, norm.NFD.Properties(parts).CCC())
				parts = parts[size:]
			}
		}
		name = name[size:]
	}
	n.flush()
}

// Syllables of Hangul are taken apart by arithmetic (Unicode section 3.12).
const (
	hangulFirst    = 0xAC00
	hangulVowels   = 21
	hangulTrailers = 28 // with none
	hangulAll      = 19 * hangulVowels * hangulTrailers
)

func (n *Names) hangul(i rune) {
	n.part(0x1100+i/(hangulVowels*hangulTrailers), 0)
	n.part(0x1161+i/hangulTrailers%hangulVowels, 0)
	if t := i % hangulTrailers; t > 0 {
		n.part(0x11A7+t, 0)
	}
}

// part takes a character that has no parts. A mark, which has a class, is set on
// the character before it; marks of different classes may stand in any order.
func (n *Names) part(r rune, class uint8) {
	if class != 0 {
		n.marks = append(n.marks, uint64(class)<<56|uint64(len(n.marks))<<24|uint64(r))
		return
	}
	n.flush()
	n.fold = utf8.AppendRune(n.fold, unicode.ToUpper(r))
}

// flush puts the marks that were met in order behind their character.
func (n *Names) flush() {
	if len(n.marks) == 0 {
		return
	}
	slices.Sort(n.marks)
	for _, m := range n.marks {
		n.fold = utf8.AppendRune(n.fold, unicode.ToUpper(rune(m&0xFFFFFF)))
	}
	n.marks = n.marks[:0]
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
