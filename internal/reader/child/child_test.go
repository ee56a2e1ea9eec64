package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/reader/wire"
	"sallyport/internal/sandbox"
	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
	"sallyport/internal/volume"
)

// watched is a device in memory that counts how often each byte is read and
// fails where it is told to.
type watched struct {
	data  []byte
	times []uint8
	calls int
	bad   map[int64]error // by block of 4 KiB
}

func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	w.calls++
	if off >= int64(len(w.data)) {
		return 0, io.EOF
	}
	n := min(len(p), len(w.data)-int(off))
	var err error
	if n < len(p) {
		err = io.EOF
	}
	for b := off / stepBytes; b <= (off+int64(n)-1)/stepBytes; b++ {
		if w.bad[b] != nil {
			n, err = int(max(0, b*stepBytes-off)), w.bad[b]
			break
		}
	}
	copy(p, w.data[off:][:n])
	for i := range n {
		w.times[int(off)+i]++
	}
	return n, err
}

func load(t testing.TB, img string) *watched {
	t.Helper()
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	return &watched{data: b, times: make([]uint8, len(b)), bad: map[int64]error{}}
}

// parent is a plain client of Serve: it trusts the child, which is in this process.
type parent struct {
	t    *testing.T
	conn *os.File
	in   *wire.Reader
	ring []byte
	end  chan error
	list []wire.Entry
}

func serve(t *testing.T, dev *watched) *parent {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "parent"), os.NewFile(uintptr(fds[1]), "child")
	p := &parent{t: t, conn: ours, in: wire.NewReader(ours), ring: make([]byte, wire.RingBytes), end: make(chan error, 1)}
	go func() {
		err := Serve(theirs, dev, p.ring, sandbox.Proof{Landlock: 1})
		theirs.Close()
		p.end <- err
	}()
	t.Cleanup(func() { ours.Close() })
	p.want(wire.TypeHello)
	p.send(wire.TypeList, wire.AppendList(nil, wire.Request{Size: int64(len(dev.data)), Align: 1, Limits: limit.Default()}))
	for {
		ty, payload, err := p.in.Next()
		if err != nil {
			t.Fatal(err)
		}
		switch ty {
		case wire.TypeEntries:
			if err := wire.ParseEntries(payload, func(e wire.Entry) error { p.list = append(p.list, e); return nil }); err != nil {
				t.Fatal(err)
			}
		case wire.TypeListed:
			return p
		}
	}
}

func (p *parent) want(want wire.Type) {
	p.t.Helper()
	if ty, _, err := p.in.Next(); ty != want || err != nil {
		p.t.Fatalf("%s (%v) in the place of %s", ty, err, want)
	}
}

func (p *parent) send(ty wire.Type, payload []byte) {
	p.t.Helper()
	b := make([]byte, wire.HeaderBytes)
	wire.PutHeader(b, ty, len(payload))
	if _, err := p.conn.Write(append(b, payload...)); err != nil {
		p.t.Fatal(err)
	}
}

// read asks for every file and returns contents, failures and order by path.
func (p *parent) read() (map[string][]byte, map[string]*verdict.Finding, []string) {
	p.t.Helper()
	var ids []byte
	for i, e := range p.list {
		if e.Type == medium.File {
			ids = append(ids, 0, 0, 0, 0)
			wire.PutID(ids[len(ids)-4:], uint32(i))
		}
	}
	p.send(wire.TypeAsk, ids)
	p.send(wire.TypeSend, nil)
	return p.receive()
}

// receive takes what the child sends until it is done.
func (p *parent) receive() (map[string][]byte, map[string]*verdict.Finding, []string) {
	p.t.Helper()
	contents, failures := map[string][]byte{}, map[string]*verdict.Finding{}
	var order []string
	name, slot := "", 0
	for {
		ty, payload, err := p.in.Next()
		if err != nil {
			p.t.Fatal(err)
		}
		switch ty {
		case wire.TypeFile:
			if err := wire.ParseIDs(payload, func(id uint32) error { name = p.list[id].Path; return nil }); err != nil {
				p.t.Fatal(err)
			}
			order = append(order, name)
			contents[name] = []byte{}
		case wire.TypeData:
			c, err := wire.ParseChunk(payload)
			if err != nil {
				p.t.Fatal(err)
			}
			contents[name] = append(contents[name], p.ring[slot*wire.SlotBytes+int(c.Off):][:c.Len]...)
		case wire.TypeTurn:
			slot = (slot + 1) % wire.Slots
			p.send(wire.TypeFree, nil)
		case wire.TypeFail:
			if failures[name], err = wire.ParseFinding(payload); err != nil {
				p.t.Fatal(err)
			}
		case wire.TypeDone:
			return contents, failures, order
		}
	}
}

func content(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i/251*7 + i)
	}
	return b
}

func manyFiles() testmedia.Files {
	f := testmedia.Files{"empty": {}, "large": content(3, 7<<20+99), "medium": content(4, 65<<10)}
	for i := range 900 {
		f[fmt.Sprintf("d%d/file%d", i%3, i)] = content(i, 1+i*11%5000)
	}
	return f
}

// TestEachByteIsReadOnceInFewReads: content is read once, in the order of the
// device, and small files together.
func TestEachByteIsReadOnceInFewReads(t *testing.T) {
	files := manyFiles()
	dev := load(t, testmedia.FAT(t, testmedia.Options{Bits: 32}, files))
	p := serve(t, dev)
	clear(dev.times)
	dev.calls = 0
	got, failed, order := p.read()
	if len(failed) != 0 || len(got) != len(files) {
		t.Fatalf("%d files of %d, failures %v", len(got), len(files), failed)
	}
	for name, want := range files {
		if !bytes.Equal(got[name], want) {
			t.Errorf("%s differs", name)
		}
	}
	for at, n := range dev.times {
		if n > 1 {
			t.Fatalf("byte %d was read %d times", at, n)
		}
	}
	if dev.calls > 60 {
		t.Errorf("%d reads for %d files of 12 MB", dev.calls, len(files))
	}
	m, err := volume.Open(bytes.NewReader(dev.data), int64(len(dev.data)), volume.Options{Limits: limit.Default()})
	if err != nil {
		t.Fatal(err)
	}
	begins := map[string]int64{}
	for i := range m.Volumes[0].Entries {
		e := &m.Volumes[0].Entries[i]
		begins[e.Path] = start(e)
	}
	for i := 1; i < len(order); i++ {
		if begins[order[i]] < begins[order[i-1]] {
			t.Errorf("%s at byte %d comes after byte %d", order[i], begins[order[i]], begins[order[i-1]])
		}
	}
	p.conn.Close()
	if err := <-p.end; err != nil {
		t.Errorf("the end of the connection is an error: %v", err)
	}
}

// TestBadPlaceCostsOnlyItsFiles: a block that cannot be read fails the files
// that lie on it, at the block, and no other, and none of its bytes is made up.
func TestBadPlaceCostsOnlyItsFiles(t *testing.T) {
	files := manyFiles()
	img := testmedia.FAT(t, testmedia.Options{Bits: 32}, files)
	for name, tc := range map[string]struct {
		victim string
		at     int64
		err    error
		want   verdict.Reason
	}{
		"large file":      {"large", 3 << 20, unix.EIO, verdict.Unreadable},
		"small file":      {"d1/file400", 0, unix.EIO, verdict.Unreadable},
		"unplugged":       {"medium", 40 << 10, unix.ENODEV, verdict.RemovedDuringRead},
		"ends there":      {"large", 1 << 20, io.EOF, verdict.Truncated},
		"an odd answer":   {"large", 5 << 20, errors.New("odd"), verdict.Unreadable},
		"the first block": {"large", 0, unix.EIO, verdict.Unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			dev := load(t, img)
			p := serve(t, dev)
			block := (testmedia.Where(t, img, tc.victim, tc.at)) / stepBytes
			dev.bad[block] = tc.err
			got, failed, _ := p.read()
			if f := failed[tc.victim]; f == nil || f.Reason != tc.want {
				t.Fatalf("the victim's finding is %v", f)
			}
			for path, want := range files {
				if f := failed[path]; f == nil && !bytes.Equal(got[path], want) {
					t.Errorf("%s differs without a finding", path)
				} else if f != nil {
					if !bytes.HasPrefix(want, got[path]) {
						t.Errorf("%s: bytes before the damage are not its own", path)
					}
					first := testmedia.Where(t, img, path, 0)
					if end := first + int64(len(want)); end <= block*stepBytes || first >= (block+1)*stepBytes {
						t.Errorf("%s lies elsewhere and failed: %v", path, f)
					}
				}
			}
			start := testmedia.Where(t, img, tc.victim, 0)
			if want := max(0, block*stepBytes-start); int64(len(got[tc.victim])) != want {
				t.Errorf("%d bytes before the bad block, want %d", len(got[tc.victim]), want)
			}
		})
	}
}

// FuzzServe sends the child anything: it answers or ends with an error, and
// never hangs. Its parent is trusted, but a simple child has no reason to crash.
func FuzzServe(f *testing.F) {
	dev, ring := make([]byte, 1<<16), make([]byte, wire.RingBytes)
	frame := func(b []byte, ty wire.Type, payload []byte) []byte {
		var h [wire.HeaderBytes]byte
		wire.PutHeader(h[:], ty, len(payload))
		return append(append(b, h[:]...), payload...)
	}
	list := frame(nil, wire.TypeList, wire.AppendList(nil, wire.Request{Size: 1 << 16, Align: 1, Limits: limit.Default()}))
	f.Add(list)
	f.Add(frame(frame(list, wire.TypeAsk, make([]byte, 4)), wire.TypeSend, nil))
	f.Add(frame(nil, wire.TypeSend, nil))
	f.Add(frame(list, wire.TypeFree, nil))
	f.Fuzz(func(t *testing.T, said []byte) {
		conn := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(said), io.Discard}
		_ = Serve(conn, bytes.NewReader(dev), ring, sandbox.Proof{}) // an error or none: both are an end
	})
}
