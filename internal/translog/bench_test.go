package translog_test

import (
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/translog"
)

// benchEntry is as large as a usual audit entry.
var benchEntry = make([]byte, 350)

// BenchmarkAppend is one durable entry; its peer is BenchmarkBareFdatasync.
func BenchmarkAppend(b *testing.B) {
	l := mustOpen(b, mustCreate(b, translog.Options{}), translog.Options{})
	b.SetBytes(int64(len(benchEntry)))
	for b.Loop() {
		if _, err := l.Append(benchEntry); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareFdatasync writes the same bytes with the same durability and
// nothing else.
func BenchmarkBareFdatasync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, frameSize+len(benchEntry))
	b.SetBytes(int64(len(benchEntry)))
	for b.Loop() {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
}

// benchLog is a log of 100,000 entries with a checkpoint each thousand.
func benchLog(b *testing.B) (string, softKey) {
	dir, key := mustCreate(b, translog.Options{}), newSoftKey(b)
	l := mustOpen(b, dir, translog.Options{})
	batch := make([][]byte, 1000)
	for i := range batch {
		batch[i] = benchEntry
	}
	for range 100 {
		if _, err := l.Append(batch...); err != nil {
			b.Fatal(err)
		}
		if _, err := l.Checkpoint(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
	l.Close()
	return dir, key
}

func BenchmarkVerify100k(b *testing.B) {
	dir, key := benchLog(b)
	for b.Loop() {
		r, err := translog.Verify(b.Context(), dir, translog.VerifyOptions{Keys: []*ecdsa.PublicKey{key.Public()}})
		if err != nil || !r.OK() || r.Sealed != 100_000 {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkOpen100k(b *testing.B) {
	dir, _ := benchLog(b)
	for b.Loop() {
		l, err := translog.Open(dir, translog.Options{})
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}
