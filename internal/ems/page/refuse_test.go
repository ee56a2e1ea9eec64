package page_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/font/gofont/goregular"

	"sallyport/internal/ems/page"
)

// What is printed in neither format, or not in PDF, with what the error names.
func TestRefusedText(t *testing.T) {
	for name, c := range map[string]struct {
		text, says string
		html       bool // HTML takes it
	}{
		"null":                {"a\x00b", `U+0000 '\x00': a control character`, false},
		"tab":                 {"a\tb", `U+0009 '\t': a control character`, false},
		"carriage return":     {"a\r\nb", `U+000D '\r': a control character`, false},
		"C1":                  {"a\u0085b", "U+0085", false},
		"override":            {"Smith\u202e 100", `U+202E '\u202e': a mark of direction`, false},
		"isolate":             {"\u2067x", "U+2067", false},
		"zero-width space":    {"Smi\u200bth", "U+200B '\\u200b': a character that cannot be seen", false},
		"byte order mark":     {"\ufeffx", "U+FEFF", false},
		"soft hyphen":         {"Smi\u00adth", "U+00AD", false},
		"joiner in Latin":     {"Smi\u200dth", "a joiner is allowed only within scripts that join letters", false},
		"filler":              {"a\u3164b", "U+3164", false},
		"line separator":      {"a\u2028b", "U+2028", false},
		"tag":                 {"a\U000e0041b", "U+E0041", false},
		"private use":         {"\ue000", "private-use", false},
		"unassigned":          {"\u0378", "not a character that Unicode assigns", false},
		"noncharacter":        {"\ufffe", "U+FFFE", false},
		"replacement":         {"Jos\ufffd", "text was lost before", false},
		"not UTF-8":           {"Jos\xe9", "the text is not valid UTF-8", false},
		"surrogate":           {"\xed\xa0\x80", "the text is not valid UTF-8", false},
		"Hebrew":              {"שלום", "U+05E9 'ש': right-to-left script Hebrew", true},
		"Arabic":              {"سلام", "right-to-left script Arabic", true},
		"Devanagari":          {"हिन्दी", "the script Devanagari needs shaping", true},
		"Thai":                {"ไทย", "the script Thai needs shaping", true},
		"mark":                {"ą\u0301", "U+0301 '\u0301': a combining mark that forms no single character", true},
		"conjoining":          {"\u11ab\u11ab", "conjoining Hangul", true},
		"no font, Chinese":    {"王小明", "U+738B '王': no font has it: give a font with the script Han in Fonts.Fallback", true},
		"no font, Vietnamese": {"Nguyễn", "U+1EC5 'ễ': no font has it: give a font with the script Latin in Fonts.Fallback", true},
		"no font, emoji":      {"🗳", "U+1F5F3", true},
	} {
		t.Run(name, func(t *testing.T) {
			d := summary()
			d.Blocks = append(d.Blocks, page.List{Items: []page.Line{{Text: "good"}, {Lang: "xx-Test", Text: c.text}}})
			for format, write := range map[string]func(io.Writer) error{"HTML": d.WriteHTML, "PDF": func(w io.Writer) error { return d.WritePDF(w, page.Fonts{}) }} {
				var out bytes.Buffer
				err := write(&out)
				if format == "HTML" && c.html {
					if err != nil {
						t.Errorf("HTML: %v", err)
					}
					continue
				}
				var text *page.TextError
				if !errors.As(err, &text) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "at /Blocks/13/Items/1/Text (language xx-Test)") {
					t.Errorf("%s: %v", format, err)
				}
				if out.Len() > 0 {
					t.Errorf("%s: %d bytes were written all the same", format, out.Len())
				}
			}
		})
	}
}

func TestRefusedDocuments(t *testing.T) {
	ok := func() *page.Document { return &page.Document{Title: "T", Lang: "en"} }
	table := func(change func(*page.Table)) page.Block {
		b := &page.Table{Caption: "C", HeaderColumns: 1, Columns: []page.Column{{}, {}, {}}, Rows: []page.Row{{Cells: []string{"", "", ""}}}}
		change(b)
		return b
	}
	for says, block := range map[string]page.Block{
		"/Blocks/0: the block is missing":                                  nil,
		"/Blocks/0/Level: a heading of level 2 after":                      page.Heading{Level: 2, Text: "x"},
		"/Blocks/0/Text: the text is empty":                                page.Heading{Level: 1, Text: " "},
		"/Blocks/0/Caption: the text is empty":                             page.BarChart{},
		"/Blocks/0/Bars/0/Value: a bar below zero":                         page.BarChart{Caption: "C", Bars: []page.Bar{{Value: -1}}},
		"/Blocks/0/Series: 9 series":                                       page.StackedBars{Caption: "C", Series: make([]string, 9)},
		"/Blocks/0/Bars/0/Parts: 0 parts for 1":                            page.StackedBars{Caption: "C", Series: make([]string, 1), Bars: make([]page.StackedBar, 1)},
		"/Blocks/0/Bars/0/Parts/1/Value: a part":                           page.StackedBars{Caption: "C", Series: make([]string, 2), Bars: []page.StackedBar{{Parts: []page.Part{{Value: 1 << 62}, {Value: 1}}}}},
		"/Blocks/0/Rows/0/Cells: 2 cells in a table of 3 columns":          table(func(b *page.Table) { b.Rows[0].Cells = b.Rows[0].Cells[:2] }),
		"/Blocks/0/Columns: 0 columns":                                     table(func(b *page.Table) { b.Columns = nil }),
		"/Blocks/0/Columns: 5000 columns":                                  table(func(b *page.Table) { b.Columns = make([]page.Column, 5000) }),
		"/Blocks/0/HeaderColumns: 4 header columns in a table of 3":        table(func(b *page.Table) { b.HeaderColumns = 4 }),
		"/Blocks/0/Groups: the groups cover 2 of 3 columns":                table(func(b *page.Table) { b.Groups = []page.Group{{"", 1}, {"", 1}} }),
		"/Blocks/0/Groups/1: a group of 3 columns where 2 are left":        table(func(b *page.Table) { b.Groups = []page.Group{{"", 1}, {"", 3}} }),
		"/Blocks/0/Groups/0: a group holds header columns":                 table(func(b *page.Table) { b.Groups = []page.Group{{"", 3}} }),
		"/Blocks/0/Columns/1/Align: alignment 7":                           table(func(b *page.Table) { b.Columns[1].Align = 7 }),
		"/Blocks/0/Lang: \"e n\" is not a language":                        page.Heading{Level: 1, Text: "x", Lang: "e n"},
		"/Blocks/0/Text: \"x)\" is not a language":                         page.Paragraph{Text: "x", Lang: "x)"},
		"/Blocks/0/Text: a text of 70000 bytes, and at most 65536":         page.Paragraph{Text: strings.Repeat("x", 70000)},
		"/Blocks/0/Columns: 0 columns: a ballot":                           &page.BallotPage{Title: []page.Line{{Text: "x"}}},
		"/Blocks/0/Title: a ballot without a title":                        &page.BallotPage{Columns: 1},
		"/Blocks/0/Contests/0/VoteFor: 0: a contest has at least one vote": &page.BallotPage{Columns: 1, Title: []page.Line{{Text: "x"}}, Contests: []page.BallotContest{{Title: []page.Line{{Text: "x"}}}}},
		"/Blocks/0/Contests/0/Options/0/Name: an option without a name":    &page.BallotPage{Columns: 1, Title: []page.Line{{Text: "x"}}, Contests: []page.BallotContest{{VoteFor: 1, Title: []page.Line{{Text: "x"}}, Options: make([]page.BallotOption, 1)}}},
		"/Blocks/0/QR: 600 bytes, and at most 512 go into a QR code":       &page.BallotPage{Columns: 1, Title: []page.Line{{Text: "x"}}, QR: strings.Repeat("x", 600)},
		"/Blocks/0/Items: more than 2000000 cells and lines in all":        page.List{Items: make([]page.Line, 2_000_001)},
	} {
		d := ok()
		d.Blocks = []page.Block{block}
		refused(t, d, says)
	}
	for says, change := range map[string]func(*page.Document){
		"/Title: the text is empty":         func(d *page.Document) { d.Title = "" },
		"/Lang: \"\" is not a language tag": func(d *page.Document) { d.Lang = "" },
		"/Size: paper size 9":               func(d *page.Document) { d.Size = 9 },
		"/Footer: 7 lines":                  func(d *page.Document) { d.Footer = make([]string, 7) },
		"/Blocks: 100001 blocks":            func(d *page.Document) { d.Blocks = make([]page.Block, 100_001) },
	} {
		d := ok()
		change(d)
		refused(t, d, says)
	}
}

// refused checks that a document is printed in neither format, and why.
func refused(t *testing.T, d *page.Document, says string) {
	t.Helper()
	var out bytes.Buffer
	for _, err := range []error{d.WriteHTML(&out), d.WritePDF(&out, page.Fonts{})} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, and not %q", err, says)
		}
	}
	if out.Len() > 0 {
		t.Errorf("%q: %d bytes were written all the same", says, out.Len())
	}
}

// A header and footer that fill the page are refused; content that fills too
// many pages as well.
func TestRefusedPages(t *testing.T) {
	d := &page.Document{Title: "T", Lang: "en", Notice: strings.Repeat("TEST ", 1000)}
	if err := d.WritePDF(io.Discard, page.Fonts{}); err == nil || !strings.Contains(err.Error(), "shorten them") {
		t.Errorf("a notice longer than a page: %v", err)
	}
	d = &page.Document{Title: "T", Lang: "en"}
	for range page.MaxPages {
		d.Blocks = append(d.Blocks, page.PageBreak{}, page.Paragraph{Text: "x"})
	}
	if err := d.WritePDF(io.Discard, page.Fonts{}); err == nil || !strings.Contains(err.Error(), "more than 20000 pages") {
		t.Errorf("too many pages: %v", err)
	}
}

// patched is the Go font with a change to one table.
func patched(table string, change func([]byte)) []byte {
	data := bytes.Clone(goregular.TTF)
	for i := range int(binary.BigEndian.Uint16(data[4:])) {
		if e := data[12+16*i:]; string(e[:4]) == table {
			at := binary.BigEndian.Uint32(e[8:])
			change(data[at : at+binary.BigEndian.Uint32(e[12:])])
		}
	}
	return data
}

func TestRefusedFonts(t *testing.T) {
	cff := bytes.Clone(goregular.TTF)
	copy(cff[bytes.Index(cff, []byte("glyf")):], "CFF ")
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"empty":     {[]byte{}, "it is empty"},
		"no font":   {[]byte("<html>not a font at all</html>"), "the file is damaged"},
		"cut":       {goregular.TTF[:5000], "the file is damaged"},
		"CFF":       {cff, "its outlines are CFF (PostScript), which is not supported: give a font file with TrueType outlines"},
		"forbidden": {patched("OS/2", func(b []byte) { b[9] = 2 }), "its licence forbids to embed it"},
		"glyphs":    {patched("loca", func(b []byte) { copy(b, bytes.Repeat([]byte{0xff, 0}, len(b)/2)) }), "the file is damaged"},
	} {
		f := page.Font{Name: "Mine.ttf", Data: c.data}
		err := summary().WritePDF(io.Discard, page.Fonts{Regular: f})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), `"Mine.ttf"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := summary().WritePDF(io.Discard, page.Fonts{Fallback: make([]page.Font, 99)}); err == nil {
		t.Error("99 fonts are taken")
	}
}

// failing is a writer that fails.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errDisk }

var errDisk = errors.New("the disk is full")

func TestWriterFails(t *testing.T) {
	d := &page.Document{Title: "T", Lang: "en", Date: time.Unix(0, 0)}
	if err := d.WriteHTML(failing{}); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if err := d.WritePDF(failing{}, page.Fonts{}); !errors.Is(err, errDisk) {
		t.Error(err)
	}
}

func TestCheckText(t *testing.T) {
	for _, good := range []string{"", "O'Neill\nline two", "Núñez-Ōkawa", "שלום", "क्\u200dष", "王小明", "a\u00a0b", "½ № €"} {
		if err := page.CheckText(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if err := page.CheckText("a\u202eb"); err == nil || err.Error() != `cannot print the text: U+202E '\u202e': a mark of direction can make text read differently from what it is: correct the text where it comes from` {
		t.Error(err)
	}
}
