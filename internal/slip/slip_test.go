package slip_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/internal/slip"
	"sallyport/internal/testtool"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

// note is a checkpoint as a station signs it.
func note(origin string) string {
	return origin + "\n1234\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— " + origin +
		" q83vEjBFAiEAjPYUKeVo6TVQvGyUtHePUNVG3lQ5ZSCMbLFvwcWAMBMCIGz6bCnZ1sNhXwGgbHLzhh0b7XG1r+2sBv+zyuP0vEmS\n"
}

func held(foreign string) *slip.Slip {
	return &slip.Slip{
		Station: "ems-1", StationName: "Demo " + foreign, Jurisdiction: "us/maple-county", Medium: "7c2e2bfb0936", About: "image \"" + foreign + "\"",
		Verdict: verdict.Held, Entry: 57, Time: time.Date(2026, 11, 3, 20, 15, 0, 0, time.FixedZone("", -5*3600)), ClockTrusted: true,
		Reasons: []verdict.Reason{verdict.FileAltered}, Detail: "file-altered: " + foreign,
		Packages: []slip.Package{
			{ID: foreign, Kind: foreign, Signer: foreign, Verdict: verdict.Held, Item: "7c2e2bfb0936-1", Files: 3, Bytes: 20123, Reasons: []verdict.Reason{verdict.FileAltered}},
			{Verdict: verdict.Held},
		},
		Damage:     []string{foreign},
		Checkpoint: note("sallyport/us/maple-county/ems-1"), Sealed: 60,
	}
}

// TestTheCodesHoldTheCheckpoint: what a decoder reads from the paper, and from
// the HTML page, is the note byte for byte; also for the longest origins.
func TestTheCodesHoldTheCheckpoint(t *testing.T) {
	for _, n := range []int{2, 31, 60, 90} {
		s := held("x")
		s.Checkpoint = note(strings.Repeat("o", n))
		text, err := s.Text(false)
		if err != nil {
			t.Fatal(err)
		}
		if got := testtool.QRInText(t, text); got != s.Checkpoint {
			t.Errorf("an origin of %d bytes: from the paper: %q", n, got)
		}
	}
	for _, n := range []int{31, 200} {
		s := held("x")
		s.Checkpoint = note(strings.Repeat("o", n))
		page, err := s.HTML()
		if err != nil {
			t.Fatal(err)
		}
		if got := drawn(t, page); got != s.Checkpoint {
			t.Errorf("an origin of %d bytes: from the page: %q", n, got)
		}
	}
	// A code too wide for the paper is not printed as one that nobody can read.
	s := held("x")
	s.Checkpoint = note(strings.Repeat("o", 200))
	if text, err := s.Text(false); err != nil || len(testtool.HalfBlocks(text)) > 0 || !strings.Contains(text, "--html") {
		t.Errorf("%v\n%s", err, text)
	}
}

// drawn reads the code of the page's SVG, whose path has rectangles alone.
func drawn(t *testing.T, page []byte) string {
	t.Helper()
	_, rest, _ := strings.Cut(string(page), `viewBox="0 0 `)
	side, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(side)
	_, rest, ok := strings.Cut(string(page), `<path d="M`)
	data, _, _ := strings.Cut(rest, `z"`)
	if err != nil || !ok {
		t.Fatalf("no code in the page: %v\n%s", err, page)
	}
	black := map[[2]int]bool{}
	for _, part := range strings.Split(data, "zM") {
		var x, y, right, left int
		if _, err := fmt.Sscanf(part, "%d %dh%dv1h-%d", &x, &y, &right, &left); err != nil || right != left {
			t.Fatalf("%q is no rectangle: %v", part, err)
		}
		for i := range right {
			black[[2]int{x + i, y}] = true
		}
	}
	return testtool.QR(t, n, n, func(x, y int) bool { return black[[2]int{x, y}] })
}

// The note can be put together again from the lines of the paper, and from the
// page, wherever they break.
func TestTheTextHoldsTheCheckpoint(t *testing.T) {
	for n := 1; n <= 200; n++ {
		s := held("x")
		s.Checkpoint = note(strings.Repeat("o", n))
		text, err := s.Text(false)
		if err != nil {
			t.Fatal(err)
		}
		page, err := s.HTML()
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range [][]byte{[]byte(text), page} {
			if got, err := translog.FindNote(form); err != nil || string(got) != s.Checkpoint {
				t.Errorf("an origin of %d bytes: %q, %v\n%s", n, got, err, form)
			}
		}
	}
}

func TestWhatASlipSays(t *testing.T) {
	both := func(s *slip.Slip) map[string]string {
		t.Helper()
		text, err := s.Text(false)
		if err != nil {
			t.Fatal(err)
		}
		page, err := s.HTML()
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"text": strings.Join(strings.Fields(text), " "), "page": string(page)}
	}
	for form, shown := range both(held("stick.img")) {
		for _, want := range []string{"HELD", "7c2e2bfb0936", "stick.img", "ems-1", "us/maple-county", "2026-11-03 20:15:00 -05:00", "57", "file-altered", verdict.FileAltered.Meaning(),
			verdict.FileAltered.NextStep(), "files: 3, bytes: 20123", "7c2e2bfb0936-1", "files outside sealed packages", "nothing was kept", "first 60 entries", "sallyport-verify witness FILE"} {
			if !strings.Contains(shown, want) {
				t.Errorf("the %s does not say %q:\n%s", form, want, shown)
			}
		}
		if strings.Contains(shown, "NOT trusted") {
			t.Errorf("the %s doubts the clock:\n%s", form, shown)
		}
	}
	s := held("x")
	s.Checkpoint, s.Sealed, s.ClockTrusted = "", 0, false
	for form, shown := range both(s) {
		if !strings.Contains(shown, "NOT sealed") || !strings.Contains(shown, "NOT trusted") || strings.Contains(shown, "sallyport-verify") || strings.Contains(shown, "<svg") {
			t.Errorf("the %s of a verdict that is not sealed:\n%s", form, shown)
		}
	}
	for _, bad := range []string{"\x1b[31m", "a\u202eb\n", "a\xff\n", "a\r\n"} {
		s.Checkpoint = bad
		if _, err := s.Text(false); err == nil {
			t.Errorf("text with the checkpoint %q", bad)
		}
		if _, err := s.HTML(); err == nil {
			t.Errorf("a page with the checkpoint %q", bad)
		}
	}
}

// Colours are for terminals: they are asked for.
func TestColoursOnlyWhenAskedFor(t *testing.T) {
	plain, err := held("x").Text(false)
	if err != nil {
		t.Fatal(err)
	}
	coloured, err := held("x").Text(true)
	if err != nil {
		t.Fatal(err)
	}
	stripped := strings.NewReplacer("\x1b[30;107m", "", "\x1b[0m", "").Replace(coloured)
	if strings.ContainsRune(plain, 0x1b) || plain != stripped || plain == coloured {
		t.Errorf("%q", coloured)
	}
}

// harmless holds a slip with any text in it against what must be true of all.
func harmless(t *testing.T, foreign string) {
	t.Helper()
	text, err := held(foreign).Text(false)
	if err != nil {
		t.Fatal(err)
	}
	page, err := held(foreign).HTML()
	if err != nil {
		t.Fatal(err)
	}
	for form, shown := range map[string]string{"text": text, "page": string(page)} {
		for _, r := range shown {
			if r != '\n' && !strconv.IsPrint(r) {
				t.Fatalf("%q: the %s holds %q", foreign, form, r)
			}
		}
	}
	for line := range strings.Lines(text) {
		if n := len([]rune(line)) - 1; n > 2*slip.Columns || foreign == "" && n > slip.Columns {
			t.Errorf("%q: a line of %d characters: %s", foreign, n, line)
		}
	}
	plain, err := held("x").HTML()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"<", ">"} {
		if got, want := bytes.Count(page, []byte(c)), bytes.Count(plain, []byte(c)); foreign != "" && got != want {
			t.Errorf("%q: %d %s in the page, want %d:\n%s", foreign, got, c, want, page)
		}
	}
	for _, outside := range []string{"<script", "http://", "https://", "src=", "url(", "@import", "<link", "javascript:"} {
		if bytes.Contains(plain, []byte(outside)) {
			t.Errorf("the page has %q", outside)
		}
	}
}

// evil is what somebody might call a medium.
func evil() []string {
	return []string{
		"", "x", "<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "</pre></svg><b>", "\x1b[31mred", "turned\u202egpj.exe", "a\r\nb", "{{.Checkpoint}}",
		"bad\xff\xfe", "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語", strings.Repeat("long", 100), "מנשר", "e\u0301", "a&amp;b", "zero\u200bwidth", "'--", "\u0085\u2028",
	}
}

func TestForeignNamesDoNothing(t *testing.T) {
	for _, foreign := range evil() {
		harmless(t, foreign)
	}
}

func FuzzForeignNamesDoNothing(f *testing.F) {
	for _, foreign := range evil() {
		f.Add(foreign)
	}
	f.Fuzz(func(t *testing.T, foreign string) { harmless(t, foreign) })
}

// Wide characters take two columns of the paper.
func TestAPageHasItsColumns(t *testing.T) {
	for _, foreign := range []string{strings.Repeat("日本語", 100), strings.Repeat("a ", 200), strings.Repeat("x", 1000), "日" + strings.Repeat("x", 200)} {
		text, err := held(foreign).Text(false)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			n := 0
			for _, r := range strings.TrimSuffix(line, "\n") {
				if n++; r > 0x2fff {
					n++
				}
			}
			if n > slip.Columns {
				t.Errorf("a line of %d columns: %s", n, line)
			}
		}
	}
}
