package verifycmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A checkpoint that went over paper, a phone and a mail is still the one: what
// they do to the ends of a text is no change of it. Anything else is.
func TestACheckpointThatWasScanned(t *testing.T) {
	f := newFixture(t)
	b, err := os.ReadFile(f.witness)
	if err != nil {
		t.Fatal(err)
	}
	note := string(b)
	report, err := json.Marshal(map[string]any{"medium": map[string]any{"checkpoint": 1}, "checkpoint": note})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		code int
	}{
		"as it was":                   {note, 0},
		"without the last line end":   {strings.TrimSuffix(note, "\n"), 0},
		"with another line end":       {note + "\n", 0},
		"with the line ends of a PC":  {strings.ReplaceAll(note, "\n", "\r\n"), 0},
		"from an editor with a mark":  {"\ufeff" + note, 0},
		"a report of intake":          {string(report), 0},
		"a report on a line":          {" " + string(report) + "\r\n", 0},
		"with another size":           {strings.Replace(note, "\n7\n", "\n8\n", 1), 5},
		"with an empty line too many": {strings.ReplaceAll(note, "\n", "\n\n"), 5},
		"half of it":                  {note[:len(note)/2], 5},
		"nothing":                     {"", 5},
		"a report without one":        {"{}", 2},
	} {
		file := filepath.Join(t.TempDir(), "note")
		write(t, file, []byte(c.text))
		if code, out, errOut := run(t, "witness", file, "--dir", f.log, "--key", f.key); code != c.code {
			t.Errorf("%s: exit code %d, want %d: %s%s", name, code, c.code, out, errOut)
		}
		if code, out, errOut := run(t, "log", f.log, "--key", f.key, "--witness", file); code != c.code {
			t.Errorf("%s, as a witness of 'log': exit code %d, want %d: %s%s", name, code, c.code, out, errOut)
		}
	}
}
