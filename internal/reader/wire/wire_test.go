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
	"sallyport/internal/medium"
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
	q := wire.Request{Size: 1 << 40, Align: 512, Limits: limit.Default()}
	want := q
	want.Limits.Stall, want.Limits.Total, want.Limits.MinRate = 0, 0, 0 // stay with the parent
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
		{Path: "SALLYPORT", Type: medium.Folder},
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
	if err != nil || len(got.Where) != wire.MaxFinding || !strings.HasPrefix(f.Where, got.Where) || got.Detail != "\uFFFD" {
		t.Errorf("%v: %d bytes, %q", err, len(got.Where), got.Detail)
	}
}

// TestReaderTakesFramesFromAnyShapeOfReads: the result may not depend on how
// the bytes arrive.
func TestReaderTakesFramesFromAnyShapeOfReads(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), wire.MaxPayload/10+1)[:wire.MaxPayload]
	var sent []byte
	frame := func(ty wire.Type, p []byte) {
		var h [wire.HeaderBytes]byte
		wire.PutHeader(h[:], ty, len(p))
		sent = append(append(sent, h[:]...), p...)
	}
	sizes := []int{0, len(data), 1, 8, 0, 30_000}
	for i := range 60 {
		frame(wire.Type(i), data[:sizes[i%len(sizes)]])
	}
	for name, shape := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "by the byte": iotest.OneByteReader,
		"by halves": iotest.HalfReader, "end with data": iotest.DataErrReader,
	} {
		r := wire.NewReader(shape(bytes.NewReader(sent)))
		for i := range 60 {
			ty, p, err := r.Next()
			if err != nil || ty != wire.Type(i) || !bytes.Equal(p, data[:sizes[i%len(sizes)]]) {
				t.Fatalf("%s: frame %d: %s of %d bytes, %v", name, i, ty, len(p), err)
			}
		}
		if _, _, err := r.Next(); err != io.EOF {
			t.Fatalf("%s: at the end: %v", name, err)
		}
		for _, cut := range []int{1, 7, 8, 9, len(sent) - 1} {
			r := wire.NewReader(shape(bytes.NewReader(sent[:cut])))
			var err error
			for err == nil {
				_, _, err = r.Next()
			}
			if want := io.ErrUnexpectedEOF; cut != 8 && err != want {
				t.Errorf("%s, cut after %d: %v", name, cut, err)
			}
		}
	}
}

func TestFramesOverTheLimitAreRefusedBeforeTheyAreRead(t *testing.T) {
	for _, n := range []int{wire.MaxPayload + 1, 1 << 20, 1<<32 - 1} {
		var h [wire.HeaderBytes]byte
		wire.PutHeader(h[:], wire.TypeEntries, n)
		_, _, err := wire.NewReader(bytes.NewReader(h[:])).Next()
		var bad *wire.Malformed
		if !errors.As(err, &bad) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// FuzzMessages: what a parser takes, its encoder gives back byte for byte.
func FuzzMessages(f *testing.F) {
	f.Add(wire.AppendHello(nil, sandbox.Proof{Landlock: 1, Denied: []string{"x"}}))
	f.Add(wire.AppendList(nil, wire.Request{Size: 5, Align: 1, Limits: limit.Default()}))
	f.Add(wire.AppendMedium(nil, wire.Medium{Size: 5, Table: "mbr"}))
	f.Add(wire.AppendVolume(nil, wire.Volume{FS: "fat12"}))
	f.Add(wire.AppendFinding(nil, finding()))
	f.Add(wire.AppendEntry(wire.AppendEntry(nil, wire.Entry{Path: "a", Type: medium.Folder}), wire.Entry{Path: "b", Problem: finding()}))
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
		if c, err := wire.ParseChunk(b); err == nil {
			again := make([]byte, 8)
			wire.PutChunk(again, c)
			same("chunk", again)
			if c.Len == 0 || int(c.Off)+int(c.Len) > wire.SlotBytes {
				t.Errorf("chunk %+v is not within a slot", c)
			}
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
	wire.PutHeader(h[:], wire.TypeFail, 3)
	f.Add(append(h[:], 1, 2, 3))
	wire.PutHeader(h[:], wire.TypeFail, wire.MaxPayload)
	f.Add(append(h[:], make([]byte, wire.MaxPayload)...))
	f.Fuzz(func(t *testing.T, src []byte) {
		r := wire.NewReader(iotest.HalfReader(bytes.NewReader(src)))
		var seen []byte
		for {
			ty, p, err := r.Next()
			if err != nil {
				if !bytes.HasPrefix(src, seen) || err == io.EOF && len(seen) != len(src) {
					t.Fatalf("%x came out of %x, then %v", seen, src, err)
				}
				return
			}
			var head [wire.HeaderBytes]byte
			wire.PutHeader(head[:], ty, len(p))
			seen = append(append(seen, head[:]...), p...)
		}
	})
}
