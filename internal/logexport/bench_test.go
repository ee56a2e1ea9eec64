package logexport_test

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/logexport"
)

// usual are entries as a day at a station brings them.
func usual(n int) []audit.Entry {
	out := make([]audit.Entry, n)
	for i := range out {
		out[i] = audit.Entry{Seq: int64(i), Boot: boot, MonoUS: int64(i) * 1000, Wall: "2026-11-03T07:00:00.000000Z", WallTrusted: true,
			Event: audit.PackageVerify, Phase: audit.PhaseEvent, Outcome: audit.Success,
			Subject: audit.Subject{Package: "0123456789abcdef0123456789abcdef", Medium: "7c2e2bfb0936", Station: "source-1"},
			Fields:  map[string]string{"files": "3", "bytes": "123456", "kind": "cvr-export", "stream": "cvr-export.ems-1", "package_seq": "17"}}
	}
	return out
}

// BenchmarkExport100k writes 100,000 entries in each format; x/json is the time
// beside that of a plain loop of encoding/json over the same entries in the same
// run, which checks and hashes nothing.
func BenchmarkExport100k(b *testing.B) {
	entries := usual(100_000)
	plain := time.Duration(1 << 62)
	for range 3 {
		began := time.Now()
		enc := json.NewEncoder(io.Discard)
		for i := range entries {
			if err := enc.Encode(&entries[i]); err != nil {
				b.Fatal(err)
			}
		}
		plain = min(plain, time.Since(began))
	}
	for _, format := range logexport.Formats() {
		b.Run(string(format), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x, err := logexport.New(io.Discard, format, about())
				if err == nil {
					err = x.Page(entries, nil)
				}
				if err == nil {
					err = x.Close()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(plain), "x/json")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(entries)), "ns/entry")
		})
	}
}
