package layout

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

func TestNamesThatAreTheSame(t *testing.T) {
	var n Names
	n.Reset()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"a.txt", "A.TXT", true},
		{"a.txt", "a.txt. .", true},
		{"a.txt", "b.txt", false},
		{"caf\u00e9", "CAFE\u0301", true},
		{"\u1e69", "s\u0307\u0323", true},      // two marks, in either order
		{"\u0390", "\u03b9\u0308\u0301", true}, // no capital of its own
		{"\u1fb3", "\u1fbc", true},             // iota below
		{"\u212b", "\u00e5", true},             // the sign of angstrom
		{"\uac01", "\u1100\u1161\u11a8", true}, // Hangul
		{"\uac00", "\u1100\u1161", true},
		{"\uac00", "\uac01", false},
		{"e\u0301\u0300", "e\u0300\u0301", false}, // marks of one class have an order
		{"a" + strings.Repeat("\u0301", 40) + "\u0323", "a\u0323" + strings.Repeat("\u0301", 40), true},
		{"\x8e.TXT", "\x99.TXT", false}, // bytes of a code page
		{"e\xff\u0301", "e\u0301\xff", false},
		{"\ufffd", "\xff", false},
	} {
		if same := n.Hash([]byte(c.a)) == n.Hash([]byte(c.b)); same != c.same {
			t.Errorf("%q and %q: the same is %v", c.a, c.b, same)
		}
	}
}

// TestEveryCharacterIsFolded: whatever Unicode says is the same as a character
// has the same hash.
func TestEveryCharacterIsFolded(t *testing.T) {
	var n Names
	n.Reset()
	for r := rune(0x80); r <= 0x2FFFF; r++ {
		if 0xD800 <= r && r < 0xE000 {
			continue
		}
		text := string(r)
		want := n.Hash([]byte(text))
		for _, other := range []string{norm.NFC.String(text), norm.NFD.String(text), string(unicode.ToUpper(r)), norm.NFD.String(string(unicode.ToUpper(r)))} {
			if n.Hash([]byte(other)) != want {
				t.Errorf("%+q and %+q have different hashes", text, other)
			}
		}
	}
}
