package page

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// line is one line of text, ready to be drawn. The space at which it was broken
// is part of it, for whoever reads the text rather than the picture, but not of
// its width.
type line struct {
	spans []span
	width unit
}

// span is a part of a line in one font. Heavy is a font without bold in bold
// text.
type span struct {
	face  *face
	codes []uint16
	heavy bool
}

// style is how text is set.
type style struct {
	size unit
	bold bool
}

// leading is the distance of two baselines.
func (s style) leading() unit { return s.size * 5 / 4 }

// width is the width of a text on one line.
func (s *fontSet) width(text string, st style) (w unit) {
	if f := s.wordFace(text, st.bold); f != nil {
		for _, r := range text {
			w += f.width(r, st.size)
		}
		return w
	}
	for _, r := range text {
		w += s.face(r, st.bold).width(r, st.size)
	}
	return w
}

// widest is the width of the widest part of a text that is not broken.
func (s *fontSet) widest(text string, st style) (w unit) {
	for text = norm.NFC.String(text); text != ""; {
		var p piece
		p, text = next(text)
		w = max(w, s.width(p.word, st))
	}
	return w
}

// natural is the width of a text that is broken only where it says so.
func (s *fontSet) natural(text string, st style) (w unit) {
	for l := range strings.SplitSeq(norm.NFC.String(text), "\n") {
		w = max(w, s.width(l, st))
	}
	return w
}

// piece is a part of a text that is kept together, with the spaces behind it.
type piece struct {
	word, space string
	hard        bool // a line feed behind it
}

// next cuts the first piece off a text: up to spaces, behind a hyphen or slash
// within a word, and between ideographs, except where a bracket or mark would
// begin or end a line.
func next(text string) (piece, string) {
	var before rune
	for i, r := range text {
		if r == ' ' || r == '\n' || r == 0x3000 {
			return space(text, i)
		}
		if i > 0 && breaks(before, r) {
			return piece{word: text[:i]}, text[i:]
		}
		before = r
	}
	return piece{word: text}, ""
}

// space cuts a piece that ends before the spaces at i.
func space(text string, i int) (piece, string) {
	p, j := piece{word: text[:i]}, i
	for j < len(text) && text[j] == ' ' || strings.HasPrefix(text[j:], "\u3000") {
		_, n := utf8.DecodeRuneInString(text[j:])
		j += n
	}
	p.space = text[i:j]
	if j < len(text) && text[j] == '\n' {
		p.hard = true
		j++
	}
	return p, text[j:]
}

// breaks reports whether a line may end between two characters that are no
// spaces. These are the common cases of UAX #14, not all of it.
func breaks(before, after rune) bool {
	if before < utf8.RuneSelf && after < utf8.RuneSelf {
		return (before == '-' || before == '/') && (after >= 'A' && after <= 'Z' || after >= 'a' && after <= 'z')
	}
	if strings.ContainsRune("、。，．！？：；）」』】〉》〕…ー,.!?:;)]}", after) || strings.ContainsRune("（「『【〈《〔([{", before) {
		return false
	}
	return ideograph(before) || ideograph(after) || before == '–' || before == '—'
}

// ideograph reports whether lines may be broken next to a character.
func ideograph(r rune) bool {
	return r >= 0x2e80 && (unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Yi) || r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xff65)
}

// filler fills lines of a width.
type filler struct {
	fonts *fontSet
	style style
	width unit
	lines []line
	open  line
	used  unit // of the open line, with spaces
}

// fill breaks a text into lines. There is always one, also of no text.
func (s *fontSet) fill(text string, st style, width unit) []line {
	f := filler{fonts: s, style: st, width: width}
	for text = norm.NFC.String(text); text != ""; {
		var p piece
		p, text = next(text)
		f.add(p)
	}
	return append(f.lines, f.open)
}

// add puts a piece into the open line or a new one.
func (f *filler) add(p piece) {
	w := f.fonts.width(p.word, f.style)
	if f.used+w > f.width && f.used > 0 {
		f.feed()
	}
	if w > f.width {
		f.split(p.word)
	} else {
		f.put(p.word)
		f.used += w
	}
	f.open.width = f.used
	if p.hard && p.space == "" {
		p.space = " "
	}
	if p.space != "" {
		f.put(p.space)
		f.used += f.fonts.width(p.space, f.style)
	}
	if p.hard {
		f.feed()
	}
}

// feed ends the open line.
func (f *filler) feed() {
	f.lines = append(f.lines, f.open)
	f.open, f.used = line{}, 0
}

// split breaks a word that is longer than a line, at least one character on
// each.
func (f *filler) split(word string) {
	start := 0
	for i, r := range word {
		w := f.fonts.width(word[i:i+utf8.RuneLen(r)], f.style)
		if i > start && f.used+w > f.width {
			f.put(word[start:i])
			f.open.width = f.used
			f.feed()
			start = i
		}
		f.used += w
	}
	f.put(word[start:])
}

// put appends a text to the open line in the fonts that have it.
func (f *filler) put(text string) {
	whole := f.fonts.wordFace(text, f.style.bold)
	for _, r := range text {
		face := whole
		if face == nil {
			face = f.fonts.face(r, f.style.bold)
		}
		n := len(f.open.spans)
		if n == 0 || f.open.spans[n-1].face != face {
			f.open.spans = append(f.open.spans, span{face: face, heavy: f.style.bold && !face.bold, codes: make([]uint16, 0, len(text))})
			n++
		}
		s := &f.open.spans[n-1]
		s.codes = append(s.codes, face.code(r))
	}
}
