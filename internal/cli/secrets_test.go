package cli_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testoffice"
)

// TestLogsHoldNoVotes plants a marker where votes, write-ins and file contents
// stand, in records that are good and in records that break the rules, and
// looks for it in everything that is a log.
func TestLogsHoldNoVotes(t *testing.T) {
	o := office(t)
	const marker = "MARKER4711"
	s, err := o.Join("silent", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	daemon(t, s)
	cvr, err := os.ReadFile(o.Small("cvr-precinct-3.json"))
	if err != nil {
		t.Fatal(err)
	}
	take := func(kind, file string, content []byte, want string) {
		t.Helper()
		args := []string{"--audience", "*", "--kind", kind, "--stream", "marked"}
		if kind != "media-set" {
			args = append(args, "--election", testoffice.ElectionID, "--definition", o.Small("definition.json"))
		}
		p, err := o.Source.Seal(append(args, write(t, filepath.Join(t.TempDir(), file), content))...)
		if err != nil {
			t.Fatal(err)
		}
		if r := at(t, s, "--json", "intake", fatOf(t, p)); document(t, r.out)["verdict"] != want {
			t.Errorf("%s %s: want %s\n%s", kind, file, want, r.out)
		}
	}
	definition, err := os.ReadFile(o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	take("election-definition", "definition.json", definition, "accepted")
	take("media-set", "notes.txt", []byte(marker), "accepted")
	// Broken in several places where the text of a vote stands.
	broken := 0
	for _, member := range []string{"ContestSelectionId", "NumberVotes", "ContestId", "HasIndication"} {
		at := bytes.Index(cvr, fmt.Appendf(nil, "%q:", member))
		if at < 0 {
			continue
		}
		broken++
		start := at + len(member) + 3
		end := start + bytes.IndexAny(cvr[start:], ",}")
		bad := bytes.Join([][]byte{cvr[:start], []byte(`"` + marker + `"`), cvr[end:]}, nil)
		take("cvr-export", "cvr.json", bad, "held")
	}
	if broken < 3 {
		t.Errorf("only %d places were tried", broken)
	}
	take("cvr-export", "cvr.json", []byte(marker+"{"), "held")
	scan := func(path string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(marker)); at >= 0 {
			t.Errorf("%s holds the marker: …%q…", filepath.Base(path), b[max(0, at-150):min(len(b), at+50)])
		}
	}
	n := 0
	err = filepath.WalkDir(s.File("state/log"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
			scan(path)
		}
		return err
	})
	if err != nil || n < 3 {
		t.Errorf("%d files of the log, %v", n, err)
	}
	scan(s.File("daemon.log"))
	shown := must(t, s, "--json", "log", "show")
	if strings.Contains(shown, marker) || !strings.Contains(shown, "content-invalid") {
		t.Error("'log show' holds the marker, or the broken records were not refused for their content")
	}
}
