package page

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/text/unicode/norm"
)

// Font is a font file: TrueType outlines, alone or as the first font of a
// collection (OpenType 1.9, "glyf"). Name is what errors call it.
type Font struct {
	Name string
	Data []byte
}

// Fonts are what a PDF is set in. A word is set in the first font that has all
// its characters: Regular or Bold, then Fallback in order. An empty Regular or
// Bold is the Go font, which has Latin without Vietnamese, Greek and Cyrillic.
type Fonts struct {
	Regular, Bold Font
	Fallback      []Font
}

// fontSet is the fonts of one PDF with what of them it uses.
type fontSet struct {
	chains [2][]*face // regular and bold
	faces  []*face    // each once
}

// open reads the fonts.
func (f Fonts) open() (*fontSet, error) {
	if len(f.Fallback) > MaxFonts {
		return nil, fmt.Errorf("cannot use the fonts: %d in Fonts.Fallback, and at most %d are used", len(f.Fallback), MaxFonts)
	}
	own := [2]Font{f.Regular, f.Bold}
	defaults := [2]Font{{"Go Regular", goregular.TTF}, {"Go Bold", gobold.TTF}}
	s := &fontSet{}
	for i := range own {
		if own[i].Data == nil {
			own[i] = defaults[i]
		}
		if err := s.add(own[i], i == 1, i == 0, i == 1); err != nil {
			return nil, err
		}
	}
	for _, font := range f.Fallback {
		if err := s.add(font, false, true, true); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// add opens a font and puts it into the chains.
func (s *fontSet) add(font Font, isBold, regular, bold bool) error {
	f, err := openFace(font)
	if err != nil {
		return fmt.Errorf("cannot use the font %q: %w", font.Name, err)
	}
	f.bold, f.number = isBold, len(s.faces)+1
	s.faces = append(s.faces, f)
	if regular {
		s.chains[0] = append(s.chains[0], f)
	}
	if bold {
		s.chains[1] = append(s.chains[1], f)
	}
	return nil
}

// check returns a [TextError] for the first character that no font has, or that
// is not set without shaping.
func (s *fontSet) check(text string) error {
	if err := CheckText(text); err != nil {
		return err
	}
	if ascii(text) && s.faces[0].hasASCII && s.faces[1].hasASCII {
		return nil
	}
	for _, r := range norm.NFC.String(text) {
		if r == '\n' {
			continue
		}
		if reason := unshaped(r); reason != "" {
			return &TextError{Rune: r, Reason: reason}
		}
		if s.face(r, false) == nil || s.face(r, true) == nil {
			return &TextError{Rune: r, Reason: "no font has it: give a font with the script " + script(r) + " in Fonts.Fallback"}
		}
	}
	return nil
}

// face is the first font that has a character, or nil.
func (s *fontSet) face(r rune, bold bool) *face {
	for _, f := range s.chain(bold) {
		if f.has(r) {
			return f
		}
	}
	return nil
}

// wordFace is the font for a word: the first that has all of it, or nil.
func (s *fontSet) wordFace(word string, bold bool) *face {
	chain := s.chain(bold)
	if chain[0].hasASCII && ascii(word) {
		return chain[0]
	}
next:
	for _, f := range chain {
		for _, r := range word {
			if !f.has(r) {
				continue next
			}
		}
		return f
	}
	return nil
}

func (s *fontSet) chain(bold bool) []*face {
	if bold {
		return s.chains[1]
	}
	return s.chains[0]
}

// ascii reports whether a text is ASCII alone.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// face is one font with the glyphs that are used of it. A glyph is numbered
// anew for each character it stands for, so that every number in the PDF means
// exactly one character.
type face struct {
	*trueType
	name     string
	number   int // its resource name is F and this
	bold     bool
	hasASCII bool
	low      [128]glyph
	high     map[rune]glyph
	used     []use
	full     bool // more characters than numbers
}

// glyph is a character's glyph in the file, its width, and its number in the
// PDF when it is used. No glyph in the file: the font lacks the character.
type glyph struct {
	index, code uint16
	width       int32 // in units of the font
}

// use is a glyph under its number in the PDF, which is its place, plus 1.
type use struct {
	r rune
	glyph
}

var errFontSize = errors.New("it is empty, or larger than is read")

// openFace reads a font file.
func openFace(font Font) (*face, error) {
	if len(font.Data) == 0 || len(font.Data) > MaxFont {
		return nil, errFontSize
	}
	t, err := openTrueType(font.Data)
	if err != nil {
		return nil, err
	}
	f := &face{trueType: t, name: font.Name, high: map[rune]glyph{}, hasASCII: true}
	for r := rune(' '); r < 0x7f; r++ {
		if f.low[r], err = t.find(r); err != nil {
			return nil, err
		}
		f.hasASCII = f.hasASCII && f.low[r].index != 0
	}
	return f, nil
}

// find is a character's glyph as the file has it. A space of another width that
// the font lacks is drawn as its common space.
func (t *trueType) find(r rune) (glyph, error) {
	index, err := t.index(r)
	if err == nil && index == 0 && r != ' ' && unicode.Is(unicode.Zs, r) {
		index, err = t.index(' ')
	}
	if err != nil {
		return glyph{}, err
	}
	return glyph{index: index, width: t.advance(index)}, nil
}

// get is a character's glyph. One that cannot be read is one the font lacks.
func (f *face) get(r rune) glyph {
	if r < 128 {
		return f.low[r]
	}
	g, ok := f.high[r]
	if !ok {
		g, _ = f.find(r)
		f.high[r] = g
	}
	return g
}

// has reports whether the font has a character.
func (f *face) has(r rune) bool { return f.get(r).index != 0 }

// code is the number of a character in the PDF.
func (f *face) code(r rune) uint16 {
	g := f.get(r)
	if g.code != 0 {
		return g.code
	}
	if len(f.used) >= maxCodes {
		f.full = true
		return 0
	}
	g.code = uint16(len(f.used) + 1)
	f.used = append(f.used, use{r, g})
	if r < 128 {
		f.low[r] = g
	} else {
		f.high[r] = g
	}
	return g.code
}

// width is the width of a character at a size.
func (f *face) width(r rune, size unit) unit {
	return unit(f.get(r).width) * size / unit(f.upem)
}
