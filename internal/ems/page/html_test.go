package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/ems/page"
)

// elements reads HTML as a tree, in which every element that is not void is
// closed in order, and returns elements and their text.
func elements(t testing.TB, doc string) (starts []xml.StartElement, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(doc, "<!DOCTYPE html>")))
	d.Strict = false
	d.AutoClose = []string{"meta", "br"}
	var all strings.Builder
	open := []string{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is no tree: %v", err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			starts, open = append(starts, x.Copy()), append(open, x.Name.Local)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != x.Name.Local {
				t.Fatalf("%s is closed in %q", x.Name.Local, open)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			all.Write(x)
		}
	}
	if len(open) > 0 {
		t.Fatalf("%q are not closed", open)
	}
	return starts, all.String()
}

// attribute is an element's attribute.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// Nothing runs, nothing is fetched, and the policy says so: it allows the one
// style sheet by its hash.
func TestHTMLStandsAlone(t *testing.T) {
	for _, d := range []*page.Document{summary(), proof(), votes(5, 5, 5)} {
		doc := html(t, d)
		style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(doc)[1]
		sum := sha256.Sum256([]byte(style))
		policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
		starts, _ := elements(t, doc)
		found := false
		for _, e := range starts {
			found = found || attribute(e, "http-equiv") == "Content-Security-Policy" && attribute(e, "content") == policy
			for _, a := range e.Attr {
				if n := a.Name.Local; n == "src" || n == "href" || n == "style" || strings.HasPrefix(n, "on") {
					t.Errorf("<%s> has %s", e.Name.Local, n)
				}
			}
			if n := e.Name.Local; n == "script" || n == "link" || n == "img" || n == "iframe" {
				t.Errorf("the page has <%s>", n)
			}
		}
		if !found {
			t.Errorf("no policy %q", policy)
		}
		if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
			t.Error("the style sheet fetches something")
		}
	}
}

// Tables have a caption and headers with scope; headings skip no level; other
// languages are marked; pictures have text.
func TestHTMLIsAccessible(t *testing.T) {
	starts, _ := elements(t, html(t, summary()))
	count, level := map[string]int{}, 0
	for _, e := range starts {
		name := e.Name.Local
		count[name]++
		switch {
		case len(name) == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6':
			if l := int(name[1] - '0'); l > level+1 {
				t.Errorf("%s after level %d", name, level)
			} else {
				level = l
			}
		case name == "th" && attribute(e, "scope") == "":
			t.Error("a header without scope")
		case name == "svg" && attribute(e, "aria-label") == "" && attribute(e, "aria-hidden") != "true":
			t.Error("a picture without text")
		case name == "html" && attribute(e, "lang") != "en-US", name == "li" && attribute(e, "lang") == "es":
			count["lang "+attribute(e, "lang")]++
		}
	}
	if count["table"] != 3 || count["caption"] != 3 || count["lang es"] != 1 || count["lang en-US"] != 0 || count["main"] != 1 || count["h1"] != 1 {
		t.Errorf("elements: %v", count)
	}
}

func TestHTMLGroups(t *testing.T) {
	starts, _ := elements(t, html(t, votes(2, 3, 4)))
	var spans []string
	for _, e := range starts {
		if attribute(e, "scope") == "colgroup" {
			spans = append(spans, attribute(e, "colspan"))
		}
	}
	if strings.Join(spans, " ") != "4 4 4" {
		t.Errorf("groups span %q", spans)
	}
}

// hostile is a document with one text in every place that takes one.
func hostile(s string) *page.Document {
	lines := []page.Line{{Text: s}, {Lang: "es", Text: s}}
	return &page.Document{
		Title: "T" + s, Lang: "en", Author: s, Notice: s, Footer: []string{s},
		Words: page.Words{PageOf: s + "{n}{m}", PartOf: s, Continued: s, WriteIn: s, VoteFor: s, BallotQR: s, Wide: s},
		Blocks: []page.Block{
			page.Heading{Level: 1, Text: "H" + s}, page.Paragraph{Text: s}, page.List{Items: lines}, page.KeyValues{Pairs: []page.Pair{{s, s}}},
			&page.Table{Caption: "C" + s, HeaderColumns: 1, Columns: []page.Column{{Header: s}, {Header: s, Align: page.Right}},
				Groups: []page.Group{{Columns: 1}, {Title: s, Columns: 1}}, Rows: []page.Row{{Cells: []string{s, s}}, {Cells: []string{s, s}, Total: true}}},
			page.BarChart{Caption: "C" + s, Bars: []page.Bar{{s, 1, s}}},
			page.StackedBars{Caption: "C" + s, Series: []string{s, s}, Bars: []page.StackedBar{{s, []page.Part{{1, s}, {2, s}}}}},
			&page.BallotPage{Title: []page.Line{{Text: "B" + s}}, About: lines, Code: s, QR: "x", Instructions: lines, Columns: 2, Contests: []page.BallotContest{
				{Title: []page.Line{{Text: "C" + s}}, Instructions: lines, VoteFor: 1, Options: []page.BallotOption{{Name: lines, Detail: lines}, {WriteIn: true}}},
				{Title: []page.Line{{Text: "C" + s}}, VoteFor: 1},
			}},
		},
	}
}

// No text becomes markup, wherever it stands.
func TestTextIsNoMarkup(t *testing.T) {
	plain, _ := elements(t, html(t, hostile("x")))
	for _, s := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onclick='x`, `</style><b>`, `</title>`, `<!--`, `]]>`, `&lt;b&gt;`, `\"; } body { display: none } /*`, `-->`, `{n}</style>`} {
		doc := html(t, hostile(s))
		starts, text := elements(t, doc)
		if len(starts) != len(plain) {
			t.Errorf("%q: %d elements instead of %d", s, len(starts), len(plain))
			continue
		}
		for i := range starts {
			if starts[i].Name != plain[i].Name || len(starts[i].Attr) != len(plain[i].Attr) {
				t.Errorf("%q: <%s> became %v", s, plain[i].Name.Local, starts[i])
			}
		}
		if strings.Count(text, s) < 25 {
			t.Errorf("%q came back %d times", s, strings.Count(text, s))
		}
		if style := regexp.MustCompile(`(?s)<style>.*?</style>`).FindString(doc); strings.Contains(style[7:len(style)-8], s) {
			t.Errorf("%q stands in the style sheet as it is", s)
		}
	}
}

// Right-to-left text turns nothing around it.
func TestHTMLDirection(t *testing.T) {
	doc := html(t, &page.Document{Title: "T", Lang: "en", Blocks: []page.Block{page.Paragraph{Text: "שלום", Lang: "he"}, page.Paragraph{Text: "हिन्दी क्\u200dष", Lang: "hi"}}})
	if !strings.Contains(doc, `<p lang="he" dir="auto">שלום</p>`) || !strings.Contains(doc, "<p lang=\"hi\">हिन्दी क्\u200dष</p>") {
		t.Error(doc)
	}
}
