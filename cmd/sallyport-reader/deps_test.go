package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestClosureHoldsNothingThatReachesOut: what is not in the program cannot be
// turned against the station, whatever a medium does to it.
func TestClosureHoldsNothingThatReachesOut(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	have := map[string]bool{}
	for _, d := range deps {
		have[d] = true
	}
	if !have["sallyport/internal/volume"] || !have["sallyport/internal/sandbox"] {
		t.Fatalf("the list of %d packages is not that of the reader", len(deps))
	}
	for pkg, why := range map[string]string{
		"net":                    "it opens no connections",
		"net/http":               "it opens no connections",
		"os/exec":                "it starts no programs",
		"plugin":                 "it loads no code",
		"runtime/cgo":            "all threads must be Go's, for the lockdown to reach them",
		"database/sql":           "it keeps nothing",
		"encoding/gob":           "its one protocol is package wire",
		"crypto/tls":             "it holds no keys",
		"sallyport/internal/tpm": "it holds no keys",
	} {
		if have[pkg] {
			t.Errorf("the closure of sallyport-reader holds %s: %s", pkg, why)
		}
	}
	// Third-party code that parses foreign bytes has no business here.
	allowed := map[string]string{
		"golang.org/x/sys/":              "system calls",
		"golang.org/x/text/unicode/norm": "one function over the characters of a name: which names differ by normalisation alone",
		"golang.org/x/text/transform":    "types that norm needs",
		"vendor/":                        "the standard library's own",
	}
	for _, d := range deps {
		if !strings.Contains(d, ".") {
			continue
		}
		ok := false
		for prefix := range allowed {
			ok = ok || strings.HasPrefix(d, prefix)
		}
		if !ok {
			t.Errorf("the closure of sallyport-reader holds %s", d)
		}
	}
}
