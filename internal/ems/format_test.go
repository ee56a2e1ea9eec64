package ems_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The list of rules in FORMAT.md is the list of rules in the code.
func TestFormatListsEveryRule(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "### 1.5 Rules")
	if !ok {
		t.Fatal("FORMAT.md has no list of rules")
	}
	table, _, _ = strings.Cut(table, "### 1.6")
	var written []string
	for _, m := range regexp.MustCompile("`([a-z]+(?:-[a-z]+)*)`").FindAllStringSubmatch(table, -1) {
		written = append(written, m[1])
	}
	call := regexp.MustCompile(`(?:bad\(|broken\(|brokenAt\(|countError\{).*"([a-z]+(?:-[a-z]+)*)", "|\(rule ([a-z-]+)\)`)
	var used []string
	for _, glob := range []string{"*.go", "cdf/*.go", "election/*.go"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range call.FindAllStringSubmatch(string(src), -1) {
				used = append(used, m[1]+m[2])
			}
		}
	}
	slices.Sort(written)
	slices.Sort(used)
	used = slices.Compact(used)
	if len(used) < 30 || !slices.Equal(written, used) {
		t.Errorf("FORMAT.md: %v\ncode:      %v", written, used)
	}
}
