package cdf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testtool"
)

// Every sample is taken for what it is by its beginning.
func TestSniff(t *testing.T) {
	for folder, want := range map[string]Format{"nist/1500-20/samples": BD, "nist/1500-103/samples": CVR, "jetsons": 0} {
		files, err := filepath.Glob(filepath.Join(testtool.Shared(t, strings.Split(folder, "/")...), "*.*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			want := want
			if want == 0 {
				want = ERR
				if strings.Contains(f, "cvrr") {
					want = CVR
				}
			}
			if got := Sniff(data[:min(len(data), 64<<10)]); got != want {
				t.Errorf("%s: %v", filepath.Base(f), got)
			}
		}
	}
	for _, other := range []string{"", "a,b\n", "{}", "<ElectionResult>", "\xef\xbb\xbf{", `{"@type":"Other.X"}`} {
		if got := Sniff([]byte(other)); got != 0 {
			t.Errorf("%q: %v", other, got)
		}
	}
}
