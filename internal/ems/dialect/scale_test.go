package dialect_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sallyport/internal/ems/dialect"
)

// endless is a file system with one file that is made while it is read, and
// otherwise those of a folder.
type endless struct {
	fstest.MapFS
	name string
	head string
	row  func(i int) string
	rows int
}

func (e endless) Open(name string) (fs.File, error) {
	if name != e.name {
		return e.MapFS.Open(name)
	}
	return &endlessFile{e: e, rest: e.head}, nil
}

type endlessFile struct {
	e    endless
	rest string
	next int
}

func (f *endlessFile) Read(p []byte) (int, error) {
	for f.rest == "" {
		switch {
		case f.next < f.e.rows:
			f.rest = f.e.row(f.next)
			f.next++
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *endlessFile) Close() error               { return nil }
func (f *endlessFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *endlessFile) Name() string               { return f.e.name }
func (f *endlessFile) Size() int64                { return 1 }
func (f *endlessFile) Mode() fs.FileMode          { return 0o444 }
func (f *endlessFile) ModTime() time.Time         { return time.Time{} }
func (f *endlessFile) IsDir() bool                { return false }
func (f *endlessFile) Sys() any                   { return nil }

func longCSV(rows int) (dialect.Kind, fs.FS, string) {
	data := string(synDominionCSV()["x.csv"].Data)
	head := data[:strings.Index(data, "\r\n1,")+2]
	return dialect.DominionCSV, endless{name: "x.csv", head: head, rows: rows, row: func(i int) string {
		return fmt.Sprintf("%d,1,%d,%d,1-1-%d,Mail,Precinct %d,Style A,1,0,0,1,1,0,0,1\r\n", i, i/200, i, i, i%500)
	}}, "x.csv"
}

func longJSON(rows int) (dialect.Kind, fs.FS, string) {
	files := inFolder(synDominionJSON(true))
	delete(files, "x/CvrExport_2.json")
	return dialect.DominionJSON, endless{MapFS: files, name: "x/CvrExport_1.json", head: `{"Sessions":[`, rows: rows, row: func(i int) string {
		s := fmt.Sprintf(`{"TabulatorId":1,"BatchId":1,"RecordId":%d,"CountingGroupId":1,"Original":{"PrecinctPortionId":1,"BallotTypeId":1,"IsCurrent":true,"Cards":[{"Id":1,"PaperIndex":0,"Contests":[{"Id":1,"Marks":[{"CandidateId":1,"Rank":1,"IsVote":true}]}]}]}}`, i)
		if i == rows-1 {
			return s + `],"Version":"1"}`
		}
		return s + ","
	}}, "x"
}

type long func(rows int) (dialect.Kind, fs.FS, string)

// heapAtEnd reads an export and returns the live heap at its last record.
func heapAtEnd(t *testing.T, l long, rows int) uint64 {
	t.Helper()
	src, err := dialect.Open(l(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	n, heap := 0, uint64(0)
	err = src.Ballots(context.Background(), func(*dialect.Ballot) error {
		if n++; n == rows {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			heap = m.HeapAlloc
		}
		return nil
	})
	if err != nil || n != rows {
		t.Fatalf("%d records of %d, %v", n, rows, err)
	}
	return heap
}

func TestMemoryDoesNotGrowWithTheExport(t *testing.T) {
	for name, l := range map[string]long{"csv": longCSV, "json": longJSON} {
		t.Run(name, func(t *testing.T) {
			short, whole := heapAtEnd(t, l, 1000), heapAtEnd(t, l, 20_000)
			if whole > short+2<<20 {
				t.Errorf("%d bytes live after 20,000 records, %d after 1,000", whole, short)
			}
		})
	}
}

// BenchmarkMillion reads a million records; the CSV twice, for its catalogue.
func BenchmarkMillion(b *testing.B) {
	for name, l := range map[string]long{"csv": longCSV, "json": longJSON} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				src, err := dialect.Open(l(1_000_000))
				if err != nil {
					b.Fatal(err)
				}
				if err := src.Ballots(context.Background(), func(*dialect.Ballot) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
