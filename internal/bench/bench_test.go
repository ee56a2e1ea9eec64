package main

import (
	"testing"

	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// TestBenchRuns keeps the benchmark working; it measures nothing.
func TestBenchRuns(t *testing.T) {
	for _, tool := range []string{"swtpm", "mkfs.vfat", "mcopy", "sha256sum"} {
		testtool.Need(t, tool)
	}
	bin, remove, err := testoffice.Programs()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if err := run(bin, 8, 40, 2); err != nil {
		t.Fatal(err)
	}
}
