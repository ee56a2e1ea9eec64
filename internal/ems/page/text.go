package page

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TextError says which character of which text cannot be printed. It quotes
// nothing else of the text.
type TextError struct {
	Where  string // JSON pointer (RFC 6901) into the Document
	Lang   string // language of the text; empty is the document's
	Rune   rune
	Reason string // why, and what to do
}

func (e *TextError) Error() string {
	where, lang := e.Where, e.Lang
	if where != "" {
		where = " at " + where
	}
	if lang != "" {
		lang = " (language " + lang + ")"
	}
	return fmt.Sprintf("cannot print the text%s%s: %U %q: %s", where, lang, e.Rune, e.Rune, e.Reason)
}

// CheckText returns a [TextError] for the first character that is printed in
// neither format: invalid UTF-8, controls other than line feed, marks of
// direction, zero-width characters, fillers, private use, characters that
// Unicode does not assign, and U+FFFD. A zero-width joiner or non-joiner after a
// letter of a script that needs them is allowed, for HTML.
func CheckText(s string) error {
	var before rune
	for i, r := range s {
		if r < utf8.RuneSelf && (r >= ' ' && r != 0x7f || r == '\n') {
			before = r
			continue
		}
		if reason := unprintable(r, before); reason != "" {
			if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
				reason = "the text is not valid UTF-8: correct it where it comes from"
			}
			return &TextError{Rune: r, Reason: reason}
		}
		before = r
	}
	return nil
}

// unprintable says why a character is never printed, or nothing.
func unprintable(r, before rune) string {
	const correct = ": correct the text where it comes from"
	switch {
	case r == utf8.RuneError:
		return "the replacement character says that text was lost before" + correct
	case r == 0x200c || r == 0x200d:
		if unicode.IsLetter(before) && !shaped(before) || unicode.Is(unicode.M, before) {
			return ""
		}
		return "a joiner is allowed only within scripts that join letters" + correct
	case unicode.Is(unicode.Bidi_Control, r):
		return "a mark of direction can make text read differently from what it is" + correct
	case unicode.IsControl(r):
		return "a control character" + correct
	case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point):
		return "a character that cannot be seen" + correct
	case unicode.Is(unicode.Co, r):
		return "a private-use character, which means something else to everybody" + correct
	case !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Zs):
		return "not a character that Unicode assigns" + correct
	}
	return ""
}

// script names the script of a character, as Unicode does.
func script(r rune) string {
	for _, name := range simple {
		if unicode.Is(unicode.Scripts[name], r) {
			return name
		}
	}
	found := "Unknown"
	for name, table := range unicode.Scripts { // the scripts are disjoint: order does not matter
		if unicode.Is(table, r) {
			found = name
		}
	}
	return found
}

// simple are the scripts whose text is set by placing one glyph for each
// character from left to right.
var simple = [...]string{"Common", "Latin", "Greek", "Cyrillic", "Han", "Hiragana", "Katakana", "Hangul",
	"Bopomofo", "Armenian", "Georgian", "Cherokee", "Canadian_Aboriginal", "Ethiopic", "Yi", "Deseret", "Osage"}

// shaped reports whether a script is set without shaping.
func shaped(r rune) bool {
	for _, name := range simple {
		if unicode.Is(unicode.Scripts[name], r) {
			return true
		}
	}
	return false
}

// unshaped says why a printable character cannot be set in PDF by any font, or
// nothing.
func unshaped(r rune) string {
	switch {
	case r < utf8.RuneSelf:
		return ""
	case r == 0x200c || r == 0x200d:
		return "joiners need shaping, which PDF is not written with here: print the HTML form"
	case unicode.Is(unicode.M, r):
		return "a combining mark that forms no single character with the letter before it needs shaping, which PDF is not written with here: print the HTML form"
	case r >= 0x1100 && r <= 0x11ff || r >= 0xa960 && r <= 0xa97f || r >= 0xd7b0 && r <= 0xd7ff:
		return "conjoining Hangul that forms no syllable needs shaping, which PDF is not written with here: print the HTML form"
	case rightToLeft(r):
		return "right-to-left script " + script(r) + ": PDF is not written with it here: print the HTML form"
	case !shaped(r):
		return "the script " + script(r) + " needs shaping, which PDF is not written with here: print the HTML form"
	}
	return ""
}

// rightToLeft reports whether a character belongs to a script that is written
// from right to left.
func rightToLeft(r rune) bool {
	return r >= 0x590 && unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko,
		unicode.Samaritan, unicode.Mandaic, unicode.Adlam, unicode.Mende_Kikakui, unicode.Hanifi_Rohingya, unicode.Yezidi)
}
