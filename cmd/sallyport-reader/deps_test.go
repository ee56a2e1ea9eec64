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
	for _, d := range deps {
		// Third-party code that parses foreign bytes has no business here.
		if strings.Contains(d, ".") && !strings.HasPrefix(d, "golang.org/x/sys/") && !strings.HasPrefix(d, "vendor/") {
			t.Errorf("the closure of sallyport-reader holds %s", d)
		}
	}
}
