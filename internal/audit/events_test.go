package audit_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/logexport"
)

var update = flag.Bool("update", false, "write the catalogue into EVENTS.md")

const (
	tableBegin = "<!-- catalogue: begin -->\n"
	tableEnd   = "<!-- catalogue: end -->\n"
)

// TestTheDocumentIsTheCatalogue keeps EVENTS.md and the table in code equal;
// 'sallyport log events --markdown' prints the same.
func TestTheDocumentIsTheCatalogue(t *testing.T) {
	b, err := os.ReadFile("EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), tableBegin)
	_, tail, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("EVENTS.md has no place for the catalogue")
	}
	want := head + tableBegin + logexport.Catalogue().Markdown() + tableEnd + tail
	if *update {
		if err := os.WriteFile("EVENTS.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Error("EVENTS.md differs from the catalogue; go test ./internal/audit -run Catalogue -update writes it")
	}
}

func TestCatalogueIsWellFormed(t *testing.T) {
	all := audit.Catalogue()
	if len(all) < 20 {
		t.Fatalf("only %d events", len(all))
	}
	for i, d := range all {
		family, rest, ok := strings.Cut(string(d.ID), ".")
		if !ok || family == "" || rest == "" || i > 0 && d.ID <= all[i-1].ID {
			t.Errorf("%q is no sorted id of two words", d.ID)
		}
		if !strings.HasSuffix(d.Meaning, ".") {
			t.Errorf("%s: the meaning is no sentence: %q", d.ID, d.Meaning)
		}
		switch d.Severity {
		case audit.Info, audit.Notice, audit.Warning, audit.Critical:
		default:
			t.Errorf("%s: severity %q", d.ID, d.Severity)
		}
		for j, f := range d.Fields {
			if f == "" || j > 0 && f == d.Fields[j-1] {
				t.Errorf("%s: field %q is empty or stands twice", d.ID, f)
			}
		}
	}
	if _, ok := audit.Define("made.up"); ok {
		t.Error("an event outside the catalogue is defined")
	}
}

// TestTheStandardsTable: the table about VVSG 2.0 names every event of the
// catalogue, and none that is not in it.
func TestTheStandardsTable(t *testing.T) {
	b, err := os.ReadFile("EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(b), "## VVSG 2.0, Table 15-1\n")
	table, _, ok2 := strings.Cut(table, "\n## ")
	if !ok || !ok2 {
		t.Fatal("EVENTS.md has no such table")
	}
	named := map[string]bool{}
	for _, id := range regexp.MustCompile("`([a-z]+\\.[a-z]+)`").FindAllStringSubmatch(table, -1) {
		if named[id[1]] = true; id[1] == "subject.person" {
			continue
		}
		if _, ok := audit.Define(audit.EventID(id[1])); !ok {
			t.Errorf("the table names %s, which is no event", id[1])
		}
	}
	for _, d := range audit.Catalogue() {
		if !named[string(d.ID)] {
			t.Errorf("the table does not name %s", d.ID)
		}
	}
}
