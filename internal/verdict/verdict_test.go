package verdict_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/verdict"
)

func TestEveryReasonTellsTheOperatorWhatToDo(t *testing.T) {
	if n := len(verdict.All()); n != 39 {
		t.Errorf("the closed list has %d reasons, want 39: change this number together with the design", n)
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
