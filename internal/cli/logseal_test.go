package cli_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// The log leaves the building sealed, and another station takes it like any
// package: whole, from this station, unchanged.
func TestTheLogIsSealedForOthers(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	for format, files := range map[string][]string{"cdf-json": {"log.json", "events.json"}, "cdf-xml": {"log.xml", "events.xml"}, "jsonl": {"log.jsonl"}, "csv": {"log.csv"}} {
		img := filepath.Join(dir, format+".img")
		must(t, o.EMS, "log", "seal", "--format", format, "--image", img, "--event", "station")
		listed := call(t, "inspect", img).out
		for _, f := range files {
			if !strings.Contains(listed, "/data/"+f) {
				t.Errorf("%s: no %s in\n%s", format, f, listed)
			}
		}
		if shown := must(t, o.Source, "intake", img); !strings.Contains(shown, "ACCEPTED") || !strings.Contains(shown, "log-export from "+o.EMS.ID) {
			t.Errorf("%s: %s", format, shown)
		}
	}
	r := at(t, o.Source, "log", "seal", "--image", filepath.Join(dir, "no.img"))
	if r.status != 1 || !strings.Contains(r.err, "never seals the kind log-export") {
		t.Errorf("a source seals its log: exit status %d: %s", r.status, r.err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "no*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
