package cdf

import (
	"bytes"
	"context"
	"runtime"
	"testing"

	"sallyport/internal/ems/model"
	"sallyport/internal/testelection"
)

func BenchmarkReadRecordsXML(b *testing.B) {
	doc, err := exported(b, XML, header(b), all(b))
	if err != nil {
		b.Fatal(err)
	}
	d := smallDefinition(b)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		err := reader(b).Records(context.Background(), "c", bytes.NewReader(doc), Want{Definition: d, ElectionID: testelection.ID}, func(*model.Ballot) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteRecords(b *testing.B) {
	h, list := header(b), all(b)
	for enc := JSON; enc <= XML; enc++ {
		b.Run(enc.String(), func(b *testing.B) {
			for b.Loop() {
				doc, err := exported(b, enc, h, list)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(doc)))
			}
		})
	}
}

// endless is a report of n records in XML, made while it is read.
type endless struct {
	record, tail []byte
	n            int
	buf          bytes.Buffer
	sample       func()
}

func (e *endless) Read(p []byte) (int, error) {
	for e.buf.Len() == 0 && e.n >= 0 {
		if e.n--; e.n%500 == 0 {
			e.sample()
		}
		if e.n < 0 {
			e.buf.Write(e.tail)
			break
		}
		e.buf.Write(e.record)
	}
	return e.buf.Read(p)
}

func TestMemoryDoesNotGrowWithTheReportInXML(t *testing.T) {
	good := written(t, tinyCVR(t), XML)
	from, to := bytes.Index(good, []byte("<CVR>")), bytes.Index(good, []byte("</CVR>"))+6
	d, err := reader(t).Definition("tiny.json", []byte(tiny))
	if err != nil {
		t.Fatal(err)
	}
	peak := func(n int) (most uint64) {
		e := &endless{record: good[from:to], tail: good[to:], n: n, sample: func() {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}}
		e.buf.Write(good[:from])
		read := 0
		err := reader(t).Records(context.Background(), "c", e, Want{Definition: d, ElectionID: "e"}, func(*model.Ballot) error { read++; return nil })
		if err != nil || read != n {
			t.Fatal(read, err)
		}
		return most
	}
	small, large := peak(1_000), peak(8_000)
	if large > small+1<<20 {
		t.Errorf("the peak grew from %d to %d bytes", small, large)
	}
}
