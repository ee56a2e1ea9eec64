package page_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/page"
	"sallyport/internal/testtool"
)

// file writes a PDF where other programs can read it.
func file(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "document.pdf")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// extract is the text of a PDF as pdftotext reads it, with one space where it
// has several.
func extract(t testing.TB, data []byte) string {
	t.Helper()
	out := testtool.Run(t, "pdftotext", "-layout", file(t, data), "-")
	return strings.Join(strings.Fields(string(out)), " ")
}

// structure is what assistive technology finds in a PDF, by pdfinfo: one line
// for each element, or text, in reading order.
func structure(t testing.TB, data []byte) []string {
	t.Helper()
	var lines []string
	for l := range strings.Lines(string(testtool.Run(t, "pdfinfo", "-struct-text", file(t, data)))) {
		lines = append(lines, strings.TrimSpace(strings.Replace(l, " (block)", "", 1)))
	}
	return lines
}

func TestPDFIsSound(t *testing.T) {
	empty := &page.Document{Title: "Nothing", Lang: "en"}
	for name, d := range map[string]*page.Document{"summary": summary(), "proof": proof(), "votes": votes(40, 7, 5), "empty": empty} {
		t.Run(name, func(t *testing.T) {
			name := file(t, pdf(t, d, page.Fonts{}))
			if out := string(testtool.Run(t, "qpdf", "--check", name)); !strings.Contains(out, "No syntax or stream encoding errors") {
				t.Errorf("qpdf --check: %s", out)
			}
			info := string(testtool.Run(t, "pdfinfo", name))
			for _, want := range []string{`Title: +` + regexp.QuoteMeta(d.Title) + "\n", `Tagged: +yes\n`, `JavaScript: +no\n`, `PDF version: +1\.7\n`} {
				if !regexp.MustCompile(want).MatchString(info) {
					t.Errorf("pdfinfo says nothing of %q:\n%s", want, info)
				}
			}
			fonts := strings.Split(strings.TrimSpace(string(testtool.Run(t, "pdffonts", name))), "\n")[2:]
			for _, f := range fonts {
				if !regexp.MustCompile(`^[A-Z]{6}\+\S+ +CID TrueType +Identity-H +yes yes yes `).MatchString(f) {
					t.Errorf("a font is not embedded as a subset with its characters: %s", f)
				}
			}
		})
	}
}

func TestPDFMetadata(t *testing.T) {
	info := string(testtool.Run(t, "pdfinfo", "-rawdates", file(t, pdf(t, summary(), page.Fonts{}))))
	for _, want := range []string{"Author:          Lake County\n", "CreationDate:    D:20261103221500Z\n", "Metadata Stream: yes\n"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q in:\n%s", want, info)
		}
	}
}

// What somebody hears who listens to the report, up to its first rows.
func TestReadingOrder(t *testing.T) {
	var got []string
	for _, l := range structure(t, pdf(t, summary(), page.Fonts{})) {
		if !strings.HasPrefix(l, "/") && len(got) < 52 {
			got = append(got, strings.TrimSuffix(l, ":"))
		}
	}
	want := strings.Split(`Document|P|"UNOFFICIAL — TEST, NOT RESULTS"|H1|"Summary of results, General Election 2026"|`+
		`L|LI|Lbl|"Jurisdiction"|LBody|"Lake County"|LI|Lbl|"Precincts counted"|LBody|"12 of 12"|LI|Lbl|"Printed"|LBody|"3 November 2026, 22:15 UTC"|`+
		`H2|"Contests"|H3|"Governor"|P|"Overvotes and undervotes are counted as votes of the contest (VVSG 2.0, 1.1.9)."|`+
		`Table|Caption|"Governor, vote for 1"|THead|TR|TH|"Candidate"|TH|"Party"|TH|"Election day"|TH|"By mail"|TH|"Total"|TH|"Share"|`+
		`TBody|TR|TH|"María José Núñez-Ōkawa"|TD|"Party of the Northern Lakes"|TD|"1,204"`, "|")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Charts say their numbers in words, and parts of another language say which.
func TestAlternatives(t *testing.T) {
	data := pdf(t, summary(), page.Fonts{})
	all := string(testtool.Run(t, "qpdf", "--qdf", "--object-streams=disable", file(t, data), "-"))
	for _, want := range []string{"/Lang (en-US)", "/Lang (es)", "/DisplayDocTitle true", "/Marked true", "/Scope /Row", "/Tabs /S"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in the PDF", want)
		}
	}
	alternative := "Governor: votes; María José Núñez-Ōkawa: 2,007 (52.1 %)"
	utf16 := ""
	for _, r := range alternative {
		utf16 += fmt.Sprintf("%04x", r)
	}
	if !strings.Contains(all, "/Alt <feff"+utf16) {
		t.Error("the chart's alternative text does not give its numbers")
	}
}

func TestTextComesBack(t *testing.T) {
	text := extract(t, pdf(t, summary(), page.Fonts{}))
	for _, want := range []string{"María José Núñez-Ōkawa Party of the Northern Lakes 1,204 803 2,007 52.1 %", "Seán O'Neill & Sons <Independent>", "3 (0.1 %)",
		"Election day: 1,055; By mail: 997", "Signed by the board: A. Member", "1. First 2. Second", "Page 1 of 2", "Page 2 of 2", "Election definition 5f2c91…, log checkpoint 8841"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q did not come back from:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "UNOFFICIAL — TEST, NOT RESULTS"); n != 2 {
		t.Errorf("the notice stands %d times on 2 pages", n)
	}
}

// systemFont reads a font of the system, which is a test's input alone.
func systemFont(t *testing.T, name string) page.Font {
	t.Helper()
	data, err := os.ReadFile("/usr/share/fonts/truetype/" + name)
	if err != nil {
		testtool.Unmet(t, "the font "+name+" is not installed")
	}
	return page.Font{Name: name, Data: data}
}

func TestLanguages(t *testing.T) {
	fonts := page.Fonts{Fallback: []page.Font{systemFont(t, "dejavu/DejaVuSans.ttf"), systemFont(t, "droid/DroidSansFallbackFull.ttf")}}
	for lang, text := range map[string]string{
		"es": "Elección del señor Ibáñez: ¿sí o no?", "vi": "Cuộc tổng tuyển cử, ghế số một: Nguyễn Thị Hằng", "zh-Hant": "正式選票，普通選舉：王小明",
		"el": "Εκλογές", "ru": "Выборы", "ja": "投票用紙と候補者", "en": "½ — “quoted” € ﬁn",
	} {
		t.Run(lang, func(t *testing.T) {
			d := &page.Document{Title: text, Lang: lang, Blocks: []page.Block{page.Paragraph{Text: text, Strong: true}}}
			data := pdf(t, d, fonts)
			lines := structure(t, data)
			if want := []string{"Document", "H1", `"` + text + `"`, "P", `"` + text + `"`}; cmp.Diff(want, lines) != "" {
				t.Error(cmp.Diff(want, lines))
			}
		})
	}
}

// Letters with separate marks are set as one character where Unicode has it.
func TestComposition(t *testing.T) {
	d := &page.Document{Title: "e\u0301n\u0303", Lang: "es"}
	if text := extract(t, pdf(t, d, page.Fonts{})); !strings.Contains(text, "éñ") {
		t.Errorf("got %q", text)
	}
}

func TestSameBytes(t *testing.T) {
	for name, make := range map[string]func() *page.Document{"summary": summary, "proof": proof, "votes": func() *page.Document { return votes(50, 5, 5) }} {
		if !bytes.Equal(pdf(t, make(), page.Fonts{}), pdf(t, make(), page.Fonts{})) {
			t.Errorf("%s: two PDFs of one document differ", name)
		}
		if html(t, make()) != html(t, make()) {
			t.Errorf("%s: two HTML files of one document differ", name)
		}
	}
}

// Each part of a statement has every precinct, and all parts together have
// every cell once.
func TestSplitTable(t *testing.T) {
	const precincts, contests, options = 20, 7, 5
	d := votes(precincts, contests, options)
	data := pdf(t, d, page.Fonts{})
	text, heard := extract(t, data), structure(t, data)
	parts := strings.Count(strings.Join(heard, "\n"), "Statement of votes cast (part ")
	if parts < 2 {
		t.Fatalf("a table of %d columns has %d parts", contests*options, parts)
	}
	for _, precinct := range []string{"Precinct 0001", "Precinct 0020"} {
		if n := strings.Count(text, precinct); n != parts {
			t.Errorf("%s stands in %d of %d parts", precinct, n, parts)
		}
	}
	cells := map[string]int{}
	for _, l := range heard {
		if len(l) > 2 && l[0] == '"' && l[1] >= '0' && l[1] <= '9' {
			cells[strings.Trim(l, `"`)]++
		}
	}
	want := map[string]int{}
	for _, r := range d.Blocks[0].(*page.Table).Rows {
		for _, c := range r.Cells[1:] {
			want[c]++
		}
	}
	if diff := cmp.Diff(want, cells); diff != "" {
		t.Error(diff)
	}
}

// The head is repeated on a table's later pages, but heard once.
func TestRepeatedHead(t *testing.T) {
	table := &page.Table{Caption: "Long", HeaderColumns: 1, Columns: []page.Column{{Header: "Precinct"}, {Header: "Ballots cast"}}}
	for i := range 120 {
		table.Rows = append(table.Rows, page.Row{Cells: []string{fmt.Sprint("P", i), fmt.Sprint(i)}})
	}
	data := pdf(t, &page.Document{Title: "T", Lang: "en", Blocks: []page.Block{table}}, page.Fonts{})
	pages := strings.Split(strings.TrimRight(string(testtool.Run(t, "pdftotext", "-layout", file(t, data), "-")), "\f\n"), "\f")
	if len(pages) != 3 { // 120 rows of 15 points
		t.Fatalf("%d pages", len(pages))
	}
	for i, p := range pages {
		if !strings.Contains(p, "Ballots cast") || i > 0 && !strings.Contains(p, "Long (continued)") {
			t.Errorf("page %d has no head:\n%s", i+1, p)
		}
	}
	heard := strings.Join(structure(t, data), "\n")
	if strings.Count(heard, "Ballots cast") != 1 || strings.Contains(heard, "continued") {
		t.Error("what is repeated on pages is read aloud again")
	}
}

// A cell that is longer than a page, and a word longer than a line, lose nothing.
func TestLongText(t *testing.T) {
	var words strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&words, "w%d ", i)
	}
	long := strings.TrimSpace(words.String())
	word := strings.Repeat("Llanfairpwll", 300)
	d := &page.Document{Title: "T", Lang: "en", Blocks: []page.Block{
		&page.Table{Caption: "C", HeaderColumns: 1, Columns: []page.Column{{Header: "A"}, {Header: "B"}}, Rows: []page.Row{{Cells: []string{"a", long}}}},
		page.Paragraph{Text: word}, page.KeyValues{Pairs: []page.Pair{{"key", long}}}, page.List{Items: []page.Line{{Text: long}}},
	}}
	heard := strings.Join(structure(t, pdf(t, d, page.Fonts{})), "\n")
	// pdfinfo begins a new line of its own where the text goes on on another page
	heard = regexp.MustCompile(`\s+`).ReplaceAllString(strings.ReplaceAll(heard, `"`, ""), " ")
	if n := strings.Count(heard, long); n != 3 {
		t.Errorf("the long text came back %d times of 3", n)
	}
	if !strings.Contains(strings.ReplaceAll(heard, " ", ""), word) {
		t.Error("the long word did not come back")
	}
}
