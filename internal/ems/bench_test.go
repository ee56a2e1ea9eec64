package ems_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"runtime"
	"testing"

	"sallyport/internal/ems/cdf"
	"sallyport/internal/ems/model"
	"sallyport/internal/testelection"
)

// benchBallots records make about 44 MB.
const benchBallots = 25_000

func benchReport(b *testing.B) []byte {
	b.Helper()
	var doc bytes.Buffer
	if _, err := testelection.WriteRecords(&doc, 7, 2, benchBallots); err != nil {
		b.Fatal(err)
	}
	return doc.Bytes()
}

func BenchmarkReadRecords(b *testing.B) {
	doc := benchReport(b)
	r, err := cdf.New()
	if err != nil {
		b.Fatal(err)
	}
	d, err := r.Definition("d", read(b, "definition.json").Data)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := r.Records(context.Background(), "c", bytes.NewReader(doc), cdf.Want{Definition: d, ElectionID: testelection.ID}, func(*model.Ballot) error {
			n++
			return nil
		})
		if err != nil || n != benchBallots {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkImport(b *testing.B) {
	dir := b.TempDir()
	f := testelection.File{Name: "cvr.json", Data: benchReport(b)}
	if err := os.WriteFile(dir+"/cvr.json", f.Data, 0o600); err != nil {
		b.Fatal(err)
	}
	p := records(b, f)
	p.FS = os.DirFS(dir)
	b.SetBytes(int64(len(f.Data)))
	for b.Loop() {
		b.StopTimer()
		c, _ := core(b)
		must(b, c, definition(b))
		b.StartTimer()
		must(b, c, p)
	}
	b.ReportMetric(float64(benchBallots)*float64(b.N)/b.Elapsed().Seconds(), "ballots/s")
}

func BenchmarkTally(b *testing.B) {
	c, _ := core(b)
	must(b, c, definition(b))
	must(b, c, records(b, testelection.File{Name: "cvr.json", Data: benchReport(b)}))
	for b.Loop() {
		if tl := count(b, c); tl.Ballots != benchBallots {
			b.Fatal(tl.Ballots)
		}
	}
	b.ReportMetric(float64(benchBallots)*float64(b.N)/b.Elapsed().Seconds(), "ballots/s")
}

// sampling is a file system that looks at the heap while it is read.
type sampling struct {
	fs.FS
	peak *uint64
}

func (s sampling) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	return &sampledFile{File: f, peak: s.peak}, err
}

type sampledFile struct {
	fs.File
	peak  *uint64
	reads int
}

func (f *sampledFile) Read(p []byte) (int, error) {
	if f.reads++; f.reads%16 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		*f.peak = max(*f.peak, m.HeapAlloc)
	}
	return f.File.Read(p)
}

func TestMemoryDoesNotGrowWithTheReport(t *testing.T) {
	peak := func(n int) (most uint64) {
		c, _ := core(t)
		must(t, c, definition(t))
		dir := t.TempDir()
		f, err := os.Create(dir + "/cvr.json")
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := testelection.WriteRecords(io.MultiWriter(f, h), 9, 0, n); err != nil {
			t.Fatal(err)
		}
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		p := records(t, testelection.File{Name: "cvr.json"})
		p.Files[0].Size, p.Files[0].SHA256 = st.Size(), hex.EncodeToString(h.Sum(nil))
		p.FS = sampling{os.DirFS(dir), &most}
		must(t, c, p)
		return most
	}
	small, large := peak(8_000), peak(32_000)
	t.Logf("live heap at its peak: %d KiB for 8,000 records, %d KiB for 32,000", small>>10, large>>10)
	// The ballots that wait to be sorted are bounded (16 MiB), packed, and far
	// smaller than their records: 24,000 more are 36 MB of JSON.
	if large > small+8<<20 {
		t.Errorf("the peak grew from %d to %d bytes", small, large)
	}
}
