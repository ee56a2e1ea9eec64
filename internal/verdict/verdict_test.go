package verdict_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/verdict"
)

func TestEveryReasonTellsTheOperatorWhatToDo(t *testing.T) {
	if n := len(verdict.All()); n != 42 {
		t.Errorf("the closed list has %d reasons, want 42: change this number together with the design", n)
	}
	for _, r := range verdict.All() {
		if r.Family() == "" || r.Meaning() == "" || !strings.HasSuffix(r.NextStep(), ".") {
			t.Errorf("%s: family %q, meaning %q, next step %q", r, r.Family(), r.Meaning(), r.NextStep())
		}
		if strings.HasSuffix(r.Meaning(), ".") {
			t.Errorf("%s: meaning ends with a full stop", r)
		}
	}
	if verdict.Reason("made-up").Valid() || verdict.Reason("").Valid() {
		t.Error("a reason outside the list is valid")
	}
}

func TestFindingSurvivesWrappingAndEscapesForeignText(t *testing.T) {
	err := fmt.Errorf("cannot read: %w", verdict.New(verdict.FileExtra, "a\x1b[31m\u202egpj.exe", "size %d", 7))
	f, ok := verdict.Find(err)
	if !ok || f.Reason != verdict.FileExtra {
		t.Fatalf("Find = %v, %v", f, ok)
	}
	if got := f.Error(); strings.ContainsAny(got, "\x1b\u202e") || !strings.Contains(got, `\x1b[31m\u202egpj.exe`) {
		t.Errorf("not escaped: %q", got)
	}
	if got := verdict.Escape(strings.Repeat("x", 5000)); len(got) > 600 {
		t.Errorf("escaped text has %d bytes", len(got))
	}
}

// TestEscapeShowsWhatCannotBeSeen: names come from media, and a name must not
// look like another one or command a terminal.
func TestEscapeShowsWhatCannotBeSeen(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"plain name.txt":         "plain name.txt",
		"Müller/日本語":             "Müller/日本語",
		"a\x1b[2Jb":              `a\x1b[2Jb`,
		"gnp\u202egpj.exe":       `gnp\u202egpj.exe`,
		"zero\u200bwidth":        `zero\u200bwidth`,
		"no\u00a0break":          `no\u00a0break`,
		"line\nbreak":            `line\nbreak`,
		"\xff\xfe":               `\xff\xfe`,
		"trailing ":              `trailing\x20`,
		"  both  ":               `\x20\x20both\x20\x20`,
		"folder /file":           `folder\x20/file`,
		"folder/ file":           `folder/\x20file`,
		"   ":                    `\x20\x20\x20`,
		`back\slash and "quote"`: `back\\slash and "quote"`,
	} {
		if got := verdict.Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

// Visible shows the same of a text once and twice, and says all of it.
func TestVisibleLeavesWhatIsEscaped(t *testing.T) {
	long := strings.Repeat("x", 600)
	for in, want := range map[string]string{
		"plain": "plain", "日本語 \ufffd": "日本語 \ufffd", `a\x1b[31m`: `a\x1b[31m`, "a\x1b[31m": `a\x1b[31m`, "a\nb": `a\nb`,
		"no\u00a0break": `no\u00a0break`, "\u202egpj": `\u202egpj`, "bad\xffutf8": `bad\xffutf8`, long: long, "": "",
	} {
		got := verdict.Visible(in)
		if got != want || verdict.Visible(got) != got {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
