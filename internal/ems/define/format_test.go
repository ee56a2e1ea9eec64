package define_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/ems/define"
)

// FORMAT.md names every table, column and rule that there is.
func TestTheFormatIsWrittenDown(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	has := func(word string) bool { return strings.Contains(string(doc), "`"+word+"`") }
	for _, x := range define.Tables() {
		if !has(x.File) {
			t.Errorf("FORMAT.md does not name %s", x.File)
		}
		for _, c := range x.Columns {
			common := strings.HasSuffix(c.Name, "_id") || c.Name == "fips"
			if !has(c.Name) && !common {
				t.Errorf("FORMAT.md does not name the column %s of %s", c.Name, x.File)
			}
		}
	}
	for _, name := range []string{"local_id", "state_id", "national_id", "ocd_id", "fips"} {
		if !has(name) {
			t.Errorf("FORMAT.md does not name the column %s", name)
		}
	}
	rule := regexp.MustCompile(`(?:faultf\(|rule: +|say\((?:Error|Warning), [^"]*|same\(|, Rule: |add\([^"]*(?:"[a-z_.]+", )?\d?[^"]*(?:, "")?, )"([a-z]+-[a-z-]+)"`)
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		src, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rule.FindAllStringSubmatch(string(src), -1) {
			found[m[1]] = true
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d rules found in the source", len(found))
	}
	for r := range found {
		if !has(r) {
			t.Errorf("FORMAT.md does not name the rule %s", r)
		}
	}
}
