package cli

import (
	"math"
	"testing"
	"time"

	"sallyport/internal/control"
)

func TestProgressLineSaysRateAndTimeLeft(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		name        string
		done, total int64
		got         int64
		spent       time.Duration
		want        string
	}{
		{"nothing yet", 0, 10 * mib, 0, 0, "reading 0 B of 10.0 MiB"},
		{"first bytes, no time", 5 * mib, 10 * mib, 0, 0, "reading 5.0 MiB of 10.0 MiB"},
		{"bytes in no time", 5 * mib, 10 * mib, 5 * mib, 0, "reading 5.0 MiB of 10.0 MiB"},
		{"half way", 5 * mib, 10 * mib, 5 * mib, 5 * time.Second, "reading 5.0 MiB of 10.0 MiB, 1.0 MiB/s, 5s left"},
		{"rate of this stretch only", 9 * mib, 10 * mib, mib / 2, time.Second, "reading 9.0 MiB of 10.0 MiB, 512.0 KiB/s, 2s left"},
		{"done", 10 * mib, 10 * mib, 10 * mib, time.Second, "reading 10.0 MiB of 10.0 MiB, 10.0 MiB/s"},
		{"more than announced", 11 * mib, 10 * mib, 11 * mib, time.Second, "reading 11.0 MiB of 10.0 MiB, 11.0 MiB/s"},
		{"total unknown", mib, 0, mib, time.Second, "reading 1.0 MiB of 0 B, 1.0 MiB/s"},
		{"stalled", mib, 10 * mib, 0, time.Hour, "reading 1.0 MiB of 10.0 MiB"},
		{"crawling", 10, math.MaxInt64, 10, time.Second, "reading 10 B of 8388608.0 TiB, 10 B/s"},
		{"clock went back", mib, 10 * mib, mib, -time.Second, "reading 1.0 MiB of 10.0 MiB"},
		{"minutes", mib, 100 * mib, mib, 2 * time.Second, "reading 1.0 MiB of 100.0 MiB, 512.0 KiB/s, 3m18s left"},
	} {
		if got := progressLine(control.Progress{Phase: "reading", Done: tc.done, Total: tc.total}, tc.got, tc.spent); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestSizesCountsAndClips(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 30: "1.0 GiB", 5 << 40: "5.0 TiB", 5 << 50: "5120.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	if count(1, "file")+count(0, "file")+count(2, "file") != "1 file0 files2 files" {
		t.Error("nouns do not follow their numbers")
	}
	if got := clip("äöü-0123456789-0123456789-0123456789"); len([]rune(got)) != 32 {
		t.Errorf("clip gives %q", got)
	}
}
