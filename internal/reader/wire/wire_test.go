package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/limit"
	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/verdict"
)

func finding() *verdict.Finding {
	return verdict.New(verdict.Truncated, "FAT, byte 512", "the medium ends there")
}

// TestParseGivesWhatWasEncoded goes through every message once.
func TestParseGivesWhatWasEncoded(t *testing.T) {
	proof := sandbox.Proof{Landlock: 7, Seccomp: true, NoNewPrivs: true, Denied: []string{"openat", "socket"}}
	if got, err := wire.ParseHello(wire.AppendHello(nil, proof)); err != nil || cmp.Diff(got, proof) != "" {
		t.Errorf("hello: %v %s", err, cmp.Diff(got, proof))
	}
	q := wire.Request{Size: 1 << 40, Limits: limit.Default()}
	want := q
	want.Limits.Stall, want.Limits.Total = 0, 0 // stay with the parent
	if got, err := wire.ParseList(wire.AppendList(nil, q)); err != nil || got != want {
		t.Errorf("list: %v %+v", err, got)
	}
	m := wire.Medium{Size: 12345, Table: "gpt"}
	if got, err := wire.ParseMedium(wire.AppendMedium(nil, m)); err != nil || got != m {
		t.Errorf("medium: %v %+v", err, got)
	}
	v := wire.Volume{Index: 3, Offset: 1 << 20, Size: 1 << 35, FS: "exfat", Label: "WAHL Ä", ID: "12AB-34CD"}
	if got, err := wire.ParseVolume(wire.AppendVolume(nil, v)); err != nil || got != v {
		t.Errorf("volume: %v %+v", err, got)
	}
	if got, err := wire.ParseFinding(wire.AppendFinding(nil, finding())); err != nil || *got != *finding() {
		t.Errorf("finding: %v %+v", err, got)
	}
	entries := []wire.Entry{
		{Path: "SALLYPORT", Dir: true},
		{Path: "SALLYPORT/x.json", Size: 77, Modified: "2026-11-03T20:00:00"},
		{Path: "b\u202egpj", Size: 1<<63 - 1, Problem: finding()},
	}
	var b []byte
	for _, e := range entries {
		b = wire.AppendEntry(b, e)
	}
	var got []wire.Entry
	if err := wire.ParseEntries(b, func(e wire.Entry) error { got = append(got, e); return nil }); err != nil || cmp.Diff(got, entries) != "" {
		t.Errorf("entries: %v %s", err, cmp.Diff(got, entries))
	}
	if n, err := wire.ParseNumber(wire.AppendNumber(nil, 1<<40)); err != nil || n != 1<<40 {
		t.Errorf("number: %v %d", err, n)
	}
}

func TestLongAndBrokenTextsAreSentShortAndValid(t *testing.T) {
	f := verdict.New(verdict.Unreadable, strings.Repeat("ä", 5000), "\xff\xfe")
	got, err := wire.ParseFinding(wire.AppendFinding(nil, f))
	if err != nil || len(got.Where) != wire.MaxText || !strings.HasPrefix(f.Where, got.Where) || got.Detail != "\uFFFD" {
		t.Errorf("%v: %d bytes, %q", err, len(got.Where), got.Detail)
	}
}

// TestReaderTakesFramesFromAnyShapeOfReads: the result may not depend on how
// the bytes arrive.
func TestReaderTakesFramesFromAnyShapeOfReads(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 50_000) // 500 kB
	var sent []byte
	frame := func(ty wire.Type, p []byte) {
		var h [wire.HeaderBytes]byte
		wire.PutHeader(h[:], ty, len(p))
		sent = append(append(sent, h[:]...), p...)
	}
	for range 40 {
		frame(wire.TypeEnd, nil)
		frame(wire.TypeFail, data[:wire.MaxMessage])
	}
	frame(wire.TypeData, data)
	frame(wire.TypeData, data[:1])
	for name, shape := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "by the byte": iotest.OneByteReader,
		"by halves": iotest.HalfReader, "end with data": iotest.DataErrReader,
	} {
		for _, bulk := range []bool{false, true} {
			r := wire.NewReader(shape(bytes.NewReader(sent)))
			for i := range 80 {
				_, n, err := r.Next(bulk)
				if err != nil || n != i%2*wire.MaxMessage {
					t.Fatalf("%s: frame %d: %d bytes, %v", name, i, n, err)
				}
				if n > 0 {
					if _, _, err := r.Next(bulk); err == nil {
						t.Fatalf("%s: a payload could be passed over", name)
					}
				}
				if p, err := r.Message(); err != nil || !bytes.Equal(p, data[:n]) {
					t.Fatalf("%s: frame %d: %v", name, i, err)
				}
			}
			for _, want := range []int{len(data), 1} {
				if ty, n, err := r.Next(bulk); ty != wire.TypeData || n != want || err != nil {
					t.Fatalf("%s: %s of %d bytes, %v", name, ty, n, err)
				}
				got := make([]byte, want)
				for at := 0; at < want; {
					n, err := r.Data(got[at:])
					if err != nil {
						t.Fatal(err)
					}
					at += n
				}
				if !bytes.Equal(got, data[:want]) {
					t.Fatalf("%s: other bytes", name)
				}
			}
			if _, _, err := r.Next(bulk); err != io.EOF {
				t.Fatalf("%s: at the end: %v", name, err)
			}
		}
	}
}

func TestFramesOverTheirLimitAreRefusedBeforeTheyAreRead(t *testing.T) {
	for _, tc := range []struct {
		t  wire.Type
		n  int
		ok bool
	}{
		{wire.TypeData, wire.MaxData, true}, {wire.TypeData, wire.MaxData + 1, false},
		{wire.TypeEntries, wire.MaxMessage, true}, {wire.TypeEntries, wire.MaxMessage + 1, false},
		{200, wire.MaxMessage + 1, false}, {wire.TypeData, 1<<32 - 1, false},
	} {
		var h [wire.HeaderBytes]byte
		wire.PutHeader(h[:], tc.t, tc.n)
		_, n, err := wire.NewReader(bytes.NewReader(h[:])).Next(false)
		var bad *wire.Malformed
		if tc.ok && (err != nil || n != tc.n) || !tc.ok && !errors.As(err, &bad) {
			t.Errorf("%s of %d bytes: %v", tc.t, tc.n, err)
		}
	}
}

// FuzzMessages: what a parser takes, its encoder gives back byte for byte.
func FuzzMessages(f *testing.F) {
	f.Add(wire.AppendHello(nil, sandbox.Proof{Landlock: 1, Denied: []string{"x"}}))
	f.Add(wire.AppendList(nil, wire.Request{Size: 5, Limits: limit.Default()}))
	f.Add(wire.AppendMedium(nil, wire.Medium{Size: 5, Table: "mbr"}))
	f.Add(wire.AppendVolume(nil, wire.Volume{FS: "fat12"}))
	f.Add(wire.AppendFinding(nil, finding()))
	f.Add(wire.AppendEntry(wire.AppendEntry(nil, wire.Entry{Path: "a", Dir: true}), wire.Entry{Path: "b", Problem: finding()}))
	f.Add(wire.AppendNumber(nil, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(what string, again []byte) {
			if !bytes.Equal(b, again) {
				t.Errorf("%s: %x became %x", what, b, again)
			}
		}
		if p, err := wire.ParseHello(b); err == nil {
			same("hello", wire.AppendHello(nil, p))
		}
		if q, err := wire.ParseList(b); err == nil {
			same("list", wire.AppendList(nil, q))
		}
		if m, err := wire.ParseMedium(b); err == nil {
			same("medium", wire.AppendMedium(nil, m))
		}
		if v, err := wire.ParseVolume(b); err == nil {
			same("volume", wire.AppendVolume(nil, v))
		}
		if x, err := wire.ParseFinding(b); err == nil {
			same("finding", wire.AppendFinding(nil, x))
		}
		if n, err := wire.ParseNumber(b); err == nil {
			same("number", wire.AppendNumber(nil, n))
		}
		var entries []byte
		if wire.ParseEntries(b, func(e wire.Entry) error { entries = wire.AppendEntry(entries, e); return nil }) == nil {
			same("entries", entries)
		}
		var ids []byte
		if wire.ParseIDs(b, func(id uint32) error {
			ids = append(ids, 0, 0, 0, 0)
			wire.PutID(ids[len(ids)-4:], id)
			return nil
		}) == nil {
			same("ids", ids)
		}
	})
}

// FuzzReader: frames come out as they went in, whatever the source holds.
func FuzzReader(f *testing.F) {
	var h [wire.HeaderBytes]byte
	wire.PutHeader(h[:], wire.TypeData, 3)
	f.Add(append(h[:], 1, 2, 3), true)
	wire.PutHeader(h[:], wire.TypeFail, 2)
	f.Add(append(h[:], 1, 2), false)
	f.Fuzz(func(t *testing.T, src []byte, bulk bool) {
		r := wire.NewReader(iotest.HalfReader(bytes.NewReader(src)))
		var seen []byte
		for {
			ty, n, err := r.Next(bulk)
			if err != nil {
				if !bytes.HasPrefix(src, seen) {
					t.Fatalf("%x came out of %x", seen, src)
				}
				return
			}
			var head [wire.HeaderBytes]byte
			wire.PutHeader(head[:], ty, n)
			seen = append(seen, head[:]...)
			if ty == wire.TypeData {
				p := make([]byte, 5)
				for n > 0 {
					got, err := r.Data(p)
					seen = append(seen, p[:got]...)
					n -= got
					if err != nil && n > 0 {
						break
					}
				}
				if n > 0 {
					return
				}
				continue
			}
			p, err := r.Message()
			if err != nil {
				return
			}
			seen = append(seen, p...)
		}
	})
}
