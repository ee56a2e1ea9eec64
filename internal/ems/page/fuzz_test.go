package page

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/text/unicode/norm"
)

// everywhere has a text in a block of each kind.
func everywhere(s string) *Document {
	lines := []Line{{Text: s}, {Lang: "es", Text: s}}
	return &Document{Title: "T " + s, Lang: "en", Notice: s, Footer: []string{s}, Blocks: []Block{
		Heading{1, "H " + s, ""}, Paragraph{Text: s}, List{Items: lines}, KeyValues{[]Pair{{s, s}}},
		&Table{Caption: "C " + s, HeaderColumns: 1, Columns: []Column{{s, Left}, {s, Right}, {"", Center}}, Groups: []Group{{"", 1}, {s, 2}}, Rows: []Row{{Cells: []string{s, s, ""}}}},
		BarChart{"C " + s, []Bar{{s, 1, s}}}, StackedBars{"C " + s, []string{s}, []StackedBar{{s, []Part{{1, s}}}}},
		&BallotPage{Title: []Line{{Text: "B " + s}}, Code: s, Columns: 2, Contests: []BallotContest{{Title: []Line{{Text: "C " + s}}, VoteFor: 1, Options: []BallotOption{{Name: lines, WriteIn: true}}}}},
	}}
}

// FuzzText: every text is either printed, or refused by an error that names the
// character. In HTML no text changes how many elements there are; in PDF every
// character comes back from the numbers of the glyphs.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain text", "two\nlines", "<script>alert(1)</script>", `"'&<>\`, "Núñez-Ōkawa", "e\u0301", "ą\u0301", "王小明", "שלום", "\u202e", "a\x00", "\xff", "🗳", "aaaa-bbbb/cccc",
		"  spaces  everywhere ", "\n\n\n", "\u00a0\u3000\u202f", strings.Repeat("long", 200), "{n}{m}", "</style>", "ﬁ ½ №"} {
		f.Add(s)
	}
	const markup = "<" // every element of ours begins with it, and no text has it
	plain := countOf(f, everywhere("x"), markup)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 2000 {
			return
		}
		d := everywhere(s)
		var out bytes.Buffer
		err := d.WriteHTML(&out)
		named(t, s, err)
		if err == nil {
			breaks := strings.Count(out.String(), "<br>")
			if n := strings.Count(out.String(), markup) - breaks; n != plain && s != "" {
				t.Errorf("%q makes %d elements out of %d", s, n, plain)
			}
		}
		err = d.WritePDF(io.Discard, Fonts{})
		var layout *shapeError
		if errors.As(err, &layout) && (len(s) > 500 || strings.Count(s, "\n") > 4) { // a notice longer than a page
			return
		}
		named(t, s, err)
		if err == nil {
			comesBack(t, s)
		}
	})
}

// countOf is how often a string stands in a document as HTML.
func countOf(t testing.TB, d *Document, s string) int {
	var out bytes.Buffer
	if err := d.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	return strings.Count(out.String(), s)
}

// named checks that an error is nothing or names a character of the text.
func named(t *testing.T, s string, err error) {
	t.Helper()
	var text *TextError
	switch {
	case err == nil:
		if !utf8.ValidString(s) {
			t.Errorf("%q is not UTF-8 and was printed", s)
		}
	case !errors.As(err, &text):
		t.Errorf("%q: %v", s, err)
	case !strings.ContainsRune(norm.NFC.String(s)+s, text.Rune) || text.Where == "":
		t.Errorf("%q has no %U, which the error names: %v", s, text.Rune, err)
	}
}

// comesBack checks the lines that a text is broken into: all of it is there, and
// none is wider than asked for unless it is one character.
func comesBack(t *testing.T, s string) {
	t.Helper()
	fonts, err := Fonts{}.open()
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []unit{20 * point, 90 * point} {
		var got strings.Builder
		for _, l := range fonts.fill(s, style{bodyPt, true}, width) {
			n := 0
			for _, span := range l.spans {
				for _, c := range span.codes {
					got.WriteRune(span.face.used[c-1].r)
					n++
				}
			}
			if l.width > width && n > 2 {
				t.Errorf("%q: a line of %d characters is %d wide, and not %d", s, n, l.width, width)
			}
		}
		if words(got.String()) != words(norm.NFC.String(s)) {
			t.Errorf("%q came back as %q", s, got.String())
		}
	}
}

// words is a text without line feeds and spaces, where lines may be broken.
func words(s string) string {
	return strings.NewReplacer(" ", "", "\n", "", "\u3000", "").Replace(s)
}

// FuzzFont: a font file is either refused or makes a subset that is a font file
// itself, with the same tables.
func FuzzFont(f *testing.F) {
	f.Add(goregular.TTF)
	f.Add(goregular.TTF[:4000])
	f.Add([]byte("OTTO\x00\x01\x00\x00\x00\x00\x00\x00CFF \x00\x00\x00\x00\x00\x00\x00\x1c\x00\x00\x00\x00"))
	f.Add([]byte("ttcf\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x10\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		face, err := openFace(Font{"fuzz", data})
		if err != nil {
			return
		}
		for _, r := range "Héllo, ½" {
			if face.has(r) {
				face.code(r)
			}
		}
		out, err := face.subset()
		if err != nil {
			return
		}
		tables, err := tablesOf(out)
		if err != nil || tables["glyf"] == nil || len(tables["loca"]) != 4*(int(be16(tables["maxp"], 4))+1) {
			t.Errorf("the subset is no font: %v", err)
		}
	})
}
