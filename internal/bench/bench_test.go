package main

import (
	"fmt"
	"os"
	"testing"

	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(openOrder); dir != "" { // by bench.opens
		if err := openLog(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if part := os.Getenv(countyOrder); part != "" { // by bench.county
		if err := countyPart(part); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestBenchRuns keeps the benchmark working; it measures nothing.
func TestBenchRuns(t *testing.T) {
	for _, tool := range []string{"swtpm", "mkfs.vfat", "mcopy", "sha256sum", "dd", "genisoimage", "mke2fs", "debugfs", "7z", "mount.exfat-fuse"} {
		testtool.Need(t, tool)
	}
	bin, remove, err := testoffice.Programs()
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if err := run(bin, sizes{mib: 8, small: 40, mediaMiB: 8, mediaFiles: 1500, entries: 3000, ballots: 2000}, 1); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkConfinedListing lists 100,000 files in a confined reader, from its
// start to the last entry in this process.
func BenchmarkConfinedListing(b *testing.B) {
	bin, remove, err := testoffice.Programs()
	if err != nil {
		b.Fatal(err)
	}
	defer remove()
	office, err := testoffice.Open(bin, "")
	if err != nil {
		b.Fatal(err)
	}
	defer office.Close()
	const files = 100_000
	for name, prepare := range map[string]func(string, int) (image, error){"fat32": manyFAT32, "exfat": manyExFAT} {
		im, err := prepare(b.TempDir(), files)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			run := bench{office: office}
			for b.Loop() {
				if _, err := run.list(im.path, files); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(files*float64(b.N)/b.Elapsed().Seconds(), "files/s")
			b.ReportMetric(float64(run.reader>>20), "peak-MiB")
		})
	}
}
