package page_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/page"
	"sallyport/internal/testtool"
)

// What somebody hears of a ballot: head, instructions, then each contest with
// its options, and which language each text is in.
func TestBallotReadingOrder(t *testing.T) {
	var got []string
	for _, l := range structure(t, pdf(t, proof(), page.Fonts{})) {
		if strings.HasPrefix(l, `"`) {
			got = append(got, strings.Trim(l, `"`))
		}
	}
	var want []string
	want = append(want, "PROOF — NOT A BALLOT", "Official ballot, General Election", "Boleta oficial, elección general", "Lake County, 3 November 2026", "Precinct 4-2, all parties", "Style 0042-EN-ES", "") // the QR code, whose alternative text pdfinfo does not show
	for _, l := range proof().Blocks[0].(*page.BallotPage).Instructions {
		want = append(want, l.Text)
	}
	for i, n := range []int{3, 5, 2, 9, 2, 4} {
		want = append(want, fmt.Sprintf("Member of the board, seat %d", i+1), fmt.Sprintf("Miembro de la junta, puesto %d", i+1), "Vote for 1")
		if i != 2 {
			want = append(want, "Vote por 1")
		}
		for j := range n {
			want = append(want, fmt.Sprintf("Candidate Number %d-%d", i+1, j+1), "Party of the Lakes", "Partido de los Lagos")
		}
		want = append(want, "Write-in")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// pagesOf is the text of each page.
func pagesOf(t *testing.T, data []byte) []string {
	t.Helper()
	return strings.Split(strings.TrimRight(string(testtool.Run(t, "pdftotext", "-layout", file(t, data), "-")), "\f\n"), "\f")
}

// Every page says which ballot style it belongs to, and no contest is on two.
func TestContestsStayTogether(t *testing.T) {
	d := proof()
	ballot := d.Blocks[0].(*page.BallotPage)
	for i := range 20 {
		c := ballot.Contests[i%6]
		c.Title = []page.Line{{Text: fmt.Sprintf("Question %d?", i)}}
		c.Options = []page.BallotOption{{Name: []page.Line{{Text: fmt.Sprintf("Yes to %d.", i)}}}, {Name: []page.Line{{Text: fmt.Sprintf("No to %d.", i)}}}}
		ballot.Contests = append(ballot.Contests, c)
	}
	pages := pagesOf(t, pdf(t, d, page.Fonts{}))
	if len(pages) < 3 {
		t.Fatalf("%d pages", len(pages))
	}
	for i, p := range pages {
		if !strings.Contains(p, "Style 0042-EN-ES") || !strings.Contains(p, "PROOF — NOT A BALLOT") || !strings.Contains(p, fmt.Sprintf("Page %d of %d", i+1, len(pages))) {
			t.Errorf("page %d does not say what it is:\n%s", i+1, p)
		}
		if strings.Contains(p, "continued") {
			t.Errorf("a contest that fits a column is split on page %d", i+1)
		}
		for q := range 20 {
			title := strings.Contains(p, fmt.Sprintf("Question %d?", q))
			if title != strings.Contains(p, fmt.Sprintf("Yes to %d.", q)) || title != strings.Contains(p, fmt.Sprintf("No to %d.", q)) {
				t.Errorf("contest %d is not together on page %d", q, i+1)
			}
		}
	}
}

// A contest longer than a column goes on in the next, with its title, and loses
// no option; neither does an option that is longer than a column.
func TestLongContest(t *testing.T) {
	d := proof()
	ballot := d.Blocks[0].(*page.BallotPage)
	c := page.BallotContest{Title: []page.Line{{Text: "Council"}}, VoteFor: 7}
	for i := range 120 {
		c.Options = append(c.Options, page.BallotOption{Name: []page.Line{{Text: fmt.Sprintf("Option-%d.", i)}}})
	}
	essay := strings.TrimSpace(strings.Repeat("shall the county borrow ", 700))
	ballot.Contests = []page.BallotContest{c, {Title: []page.Line{{Text: "Measure"}}, VoteFor: 1, Options: []page.BallotOption{{Name: []page.Line{{Text: essay}}, WriteIn: true}}}}
	data := pdf(t, d, page.Fonts{})
	text := strings.Join(pagesOf(t, data), " ")
	for i := range 120 {
		if n := strings.Count(text, fmt.Sprintf("Option-%d.", i)); n != 1 {
			t.Errorf("option %d stands %d times", i, n)
		}
	}
	if !strings.Contains(text, "Council (continued)") || !strings.Contains(text, "Vote for 7") {
		t.Error("the next column does not say which contest goes on in it, or the instructions are missing")
	}
	heard := regexp.MustCompile(`[\s"]+`).ReplaceAllString(strings.Join(structure(t, data), " "), " ")
	if !strings.Contains(heard, essay) || strings.Contains(heard, "continued") {
		t.Error("the long option did not come back, or what is repeated is read aloud")
	}
}

// Another program reads the QR code off the printed page.
func TestBallotQR(t *testing.T) {
	zbarimg := testtool.Need(t, "zbarimg")
	d := proof()
	name := filepath.Join(t.TempDir(), "page")
	testtool.Run(t, "pdftoppm", "-r", "150", "-l", "1", "-png", "-singlefile", file(t, pdf(t, d, page.Fonts{})), name)
	out, err := exec.Command(zbarimg, "--quiet", "--nodbus", "--raw", "-Sbinary", name+".png").Output() // without its warnings
	if err != nil {
		t.Fatalf("zbarimg: %v", err)
	}
	if got := string(out); got != d.Blocks[0].(*page.BallotPage).QR {
		t.Errorf("the page's QR code says %q", got)
	}
	starts, _ := elements(t, html(t, d))
	for _, e := range starts {
		if attribute(e, "class") == "qr" && attribute(e, "aria-label") == "QR code of this ballot style" {
			return
		}
	}
	t.Error("no QR code in HTML")
}

// Each option has one oval; a write-in has a line besides.
func TestBallotMarks(t *testing.T) {
	starts, _ := elements(t, html(t, proof()))
	count := map[string]int{}
	for _, e := range starts {
		count[attribute(e, "class")]++
	}
	if count["oval"] != 31 || count["line"] != 6 {
		t.Errorf("%d ovals for 31 options, %d lines for 6 write-ins", count["oval"], count["line"])
	}
	all := string(testtool.Run(t, "qpdf", "--qdf", "--object-streams=disable", file(t, pdf(t, proof(), page.Fonts{})), "-"))
	if n := strings.Count(all, " c s\n"); n != 31 {
		t.Errorf("%d ovals in PDF for 31 options", n)
	}
}
