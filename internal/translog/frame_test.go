package translog

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// FuzzFrames reads any bytes as frames, moving on past damage. Properties: it
// terminates; what it returns stands in the input, at the stated offset, in
// the one encoding of that frame; indexes rise; nothing is read twice.
func FuzzFrames(f *testing.F) {
	a, b, c := appendFrame(nil, 0, []byte("a")), appendFrame(nil, 1, []byte("bb")), appendFrame(nil, 2, []byte("ccc"))
	f.Add([]byte{})
	f.Add(slices.Concat(a, b, c))
	f.Add(slices.Concat(a, c))
	f.Add(slices.Concat(c, b, a))
	f.Add(slices.Concat(a, []byte("junk"), c[:10], b, c))
	f.Add(slices.Concat(a, make([]byte, 100), b))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 1}, 20))
	f.Fuzz(func(t *testing.T, in []byte) {
		fs := newFrames(bytes.NewReader(in), 0, int64(len(in)), 0)
		end, next := int64(0), int64(0)
		for {
			fr, err := fs.read()
			if errors.Is(err, io.EOF) {
				return
			}
			var fe *frameError
			if errors.As(err, &fe) {
				found, err := fs.resync(fs.next, maxIndex)
				if err != nil {
					t.Fatal(err)
				}
				if !found {
					return
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			whole := appendFrame(nil, fr.index, fr.data)
			if fr.off < end || fr.index < next || !bytes.HasPrefix(in[fr.off:], whole) {
				t.Fatalf("frame %d at %d, after entry %d up to %d", fr.index, fr.off, next-1, end)
			}
			end, next = fr.off+int64(len(whole)), fr.index+1
		}
	})
}

func TestResyncAcrossItsWindows(t *testing.T) {
	// The intact frame lies around the edges of the windows in which resync looks,
	// which are of 4, 8, 16 KiB and so on.
	for _, gap := range []int{1, frameHeaderSize, 4<<10 - frameHeaderSize - 1, 4<<10 - frameHeaderSize, 4<<10 - 1, 4 << 10, 4<<10 + 1, 12<<10 - 1, 12 << 10, 12<<10 + 1, 256<<10 - frameHeaderSize - 1, 256<<10 - frameHeaderSize, 256<<10 - 1, 256 << 10, 256<<10 + 1, 600_000} {
		in := append(bytes.Repeat([]byte{0xee}, gap), appendFrame(nil, 5, []byte("found"))...)
		fs := newFrames(bytes.NewReader(in), 0, int64(len(in)), 2)
		if found, err := fs.resync(2, maxIndex); err != nil || !found {
			t.Fatalf("gap %d: %v, %v", gap, found, err)
		}
		if fr, err := fs.read(); err != nil || fr.index != 5 || fr.off != int64(gap) {
			t.Errorf("gap %d: %+v, %v", gap, fr, err)
		}
		fs = newFrames(bytes.NewReader(in), 0, int64(len(in)), 2)
		if found, _ := fs.resync(6, maxIndex); found {
			t.Errorf("gap %d: a frame before the one wanted was found", gap)
		}
	}
}

func TestAMediumThatEndsEarlyIsNoCleanEnd(t *testing.T) {
	in := appendFrame(nil, 0, bytes.Repeat([]byte("x"), 100))
	fs := newFrames(bytes.NewReader(in[:50]), 0, int64(len(in)), 0)
	if _, err := fs.read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read = %v, want an unexpected end", err)
	}
}

func TestResyncPassesOverAFrameInTheWrongPlace(t *testing.T) {
	f := func(i int64) []byte { return appendFrame(nil, i, []byte{byte(i)}) }
	for name, c := range map[string]struct {
		in   [][]byte
		want int64
	}{
		"the next one":             {[][]byte{f(5)}, 5},
		"two swapped":              {[][]byte{f(6), f(5), f(7)}, 5},
		"one with a huge index":    {[][]byte{f(1 << 40), f(6), f(7)}, 6},
		"one twice":                {[][]byte{f(6), f(6), f(7)}, 6},
		"all in the wrong order":   {[][]byte{f(9), f(8), f(7), f(6), f(5)}, 5},
		"one cut out":              {[][]byte{f(6), f(7)}, 6},
		"an earlier one, then one": {[][]byte{f(3), f(6)}, 6},
	} {
		in := slices.Concat(c.in...)
		fs := newFrames(bytes.NewReader(in), 0, int64(len(in)), 5)
		if found, err := fs.resync(5, maxIndex); err != nil || !found || fs.next != c.want {
			t.Errorf("%s: %v, %v, at %d instead of %d", name, found, err, fs.next, c.want)
		}
	}
}

// counted counts the bytes that are read.
type counted struct {
	io.ReaderAt
	n int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// A file full of beginnings of large frames must not make a checker read each of
// them whole.
func TestResyncCannotBeMadeToReadForLong(t *testing.T) {
	trap := appendFrame(nil, 1, make([]byte, MaxEntry))[:frameHeaderSize]
	in := &counted{ReaderAt: bytes.NewReader(bytes.Repeat(trap, 1<<16))}
	const size = frameHeaderSize << 16
	fs := newFrames(in, 0, size, 0)
	if found, err := fs.resync(0, maxIndex); err != nil || found {
		t.Fatalf("%v, %v", found, err)
	}
	if in.n > 8*size {
		t.Errorf("%d bytes of a file of %d were read", in.n, size)
	}
}
