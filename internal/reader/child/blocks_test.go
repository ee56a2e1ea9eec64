package child

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sallyport/internal/reader/wire"
	"sallyport/internal/verdict"
	"sallyport/internal/volume"
)

// strict is a device that takes what O_DIRECT takes and fails as a whole read
// where one of its blocks is bad.
type strict struct {
	t     *testing.T
	data  []byte
	align int64
	bad   map[int64]bool // by block of stepBytes, or of align when that is more
}

func (d *strict) block() int64 { return max(stepBytes, d.align) }

func (d *strict) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	at := int64(uintptr(unsafe.Pointer(&p[0])))
	if off%d.align != 0 || int64(len(p))%d.align != 0 || at%min(d.align, 512) != 0 {
		d.t.Errorf("a read of %d bytes at %d to %#x, in blocks of %d", len(p), off, at, d.align)
		return 0, unix.EINVAL
	}
	if off >= int64(len(d.data)) {
		return 0, io.EOF
	}
	n := min(len(p), len(d.data)-int(off))
	for b := off / d.block(); b <= (off+int64(n)-1)/d.block(); b++ {
		if d.bad[b] {
			return 0, unix.EIO
		}
	}
	copy(p, d.data[off:][:n])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// until returns how many bytes of an extent come before its first bad block.
func (d *strict) until(x volume.Extent) int64 {
	for b := x.Off / d.block(); x.Off >= 0 && x.Len > 0 && b <= (x.Off+x.Len-1)/d.block(); b++ {
		if d.bad[b] {
			return max(0, b*d.block()-x.Off)
		}
	}
	return x.Len
}

// pages is memory as Main gets it.
func pages(t *testing.T, n int) []byte {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	return mem
}

// TestAnyExtentsFromAnyBlocks: whatever lies where on a device with blocks of
// any size, each file comes as it is, or up to its first bad block.
func TestAnyExtentsFromAnyBlocks(t *testing.T) {
	ring := pages(t, wire.RingBytes)
	for seed := range uint64(120) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		align := []int64{1, 512, 2048, 4096, 64 << 10}[seed%5]
		d := &strict{t: t, data: make([]byte, (1+rnd.Int64N(48))*64<<10), align: align, bad: map[int64]bool{}}
		if align == 1 {
			d.data = d.data[:len(d.data)-rnd.IntN(5000)]
		}
		for i := range d.data {
			d.data[i] = byte(rnd.Uint32())
		}
		for range seed / 5 % 4 {
			d.bad[rnd.Int64N(int64(len(d.data))/d.block()+1)] = true
		}
		m := &volume.Medium{Volumes: make([]volume.Volume, 1)}
		at := int64(0)
		for i := range 1 + rnd.IntN(60) {
			e := volume.Entry{Path: fmt.Sprint("f", i)}
			for range rnd.IntN(4) {
				n := 1 + rnd.Int64N(1<<(1+rnd.IntN(20)))
				if at = min(at+rnd.Int64N(3)*rnd.Int64N(30_000), int64(len(d.data))-1); rnd.IntN(6) == 0 {
					at = rnd.Int64N(int64(len(d.data)))
				}
				n = min(n, int64(len(d.data))-at)
				x := volume.Extent{Off: at, Len: n}
				if at += n; rnd.IntN(8) == 0 {
					x.Off = volume.Zeros
				}
				e.Extents = append(e.Extents, x)
				e.Size += n
			}
			m.Volumes[0].Entries = append(m.Volumes[0].Entries, e)
		}
		checkSent(t, seed, d, m, ring)
		if t.Failed() {
			return
		}
	}
}

// checkSent has everything on the medium sent and compares it.
func checkSent(t *testing.T, seed uint64, d *strict, m *volume.Medium, ring []byte) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "parent"), os.NewFile(uintptr(fds[1]), "child")
	defer ours.Close()
	defer theirs.Close()
	s := &server{in: wire.NewReader(theirs), out: newWriter(theirs), medium: m, dev: blocks{dev: d, size: int64(len(d.data)), align: d.align}}
	s.ring = ringWriter{server: s, mem: ring, free: wire.Slots - 1}
	s.total = uint32(len(m.Volumes[0].Entries))
	p := &parent{t: t, conn: ours, in: wire.NewReader(ours), ring: ring}
	for i, e := range m.Volumes[0].Entries {
		s.asked = append(s.asked, uint32(i))
		p.list = append(p.list, wire.Entry{Path: e.Path})
	}
	go func() {
		s.send()
		_ = s.out.flush() // a loss is noticed at the other end
	}()
	got, failed, _ := p.receive()
	for _, e := range m.Volumes[0].Entries {
		var want []byte
		place := ""
		for _, x := range e.Extents {
			n := d.until(x)
			if x.Off < 0 {
				want = append(want, make([]byte, n)...)
			} else {
				want = append(want, d.data[x.Off:][:n]...)
			}
			if n < x.Len {
				place = fmt.Sprintf("byte %d of the medium", x.Off+n)
				break
			}
		}
		if f := failed[e.Path]; (f == nil) != (place == "") || f != nil && (f.Reason != verdict.Unreadable || !strings.Contains(f.Where, place)) {
			t.Errorf("seed %d: %s with %v: %v, want %q", seed, e.Path, e.Extents, f, place)
		}
		if !bytes.Equal(got[e.Path], want) {
			t.Errorf("seed %d: %s with %v: %d bytes came, want %d", seed, e.Path, e.Extents, len(got[e.Path]), len(want))
		}
	}
}

// TestStructuresFromAnyBlocks: the parsers get the bytes that they ask for, or
// those before the first bad block of them.
func TestStructuresFromAnyBlocks(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		d := &strict{t: t, data: make([]byte, (1+rnd.Int64N(24))*64<<10), align: []int64{1, 512, 2048, 4096, 64 << 10}[seed%5], bad: map[int64]bool{}}
		if d.align == 1 {
			d.data = d.data[:len(d.data)-rnd.IntN(5000)]
		}
		for i := range d.data {
			d.data[i] = byte(rnd.Uint32())
		}
		for range seed / 5 % 4 {
			d.bad[rnd.Int64N(int64(len(d.data))/d.block()+1)] = true
		}
		s, err := newStructures(blocks{dev: d, size: int64(len(d.data)), align: d.align}, newWriter(io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			off := rnd.Int64N(int64(len(d.data)))
			n := min(1+rnd.Int64N(1<<(1+rnd.IntN(20))), int64(len(d.data))-off)
			want := d.until(volume.Extent{Off: off, Len: n})
			p := make([]byte, n)
			got, err := s.ReadAt(p, off)
			if int64(got) != want || !bytes.Equal(p[:got], d.data[off:][:got]) || (err == nil) != (want == n) {
				t.Fatalf("seed %d: %d bytes at %d gave %d, want %d (%v)", seed, n, off, got, want, err)
			}
		}
		s.close()
	}
}

// TestMemoryOfStructures is that of a reader with little of it.
func TestMemoryOfStructures(t *testing.T) {
	for align, most := range map[int64]int{1: 2 << 20, 4096: 2 << 20, wire.MaxAlign: 5 << 20} {
		s, err := newStructures(blocks{dev: bytes.NewReader(nil), align: align}, newWriter(io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		if len(s.mem) > most {
			t.Errorf("blocks of %d: %d bytes", align, len(s.mem))
		}
		if n, err := s.ReadAt(make([]byte, 5), 3); n != 0 || err == nil {
			t.Errorf("an empty device gave %d bytes (%v)", n, err)
		}
		s.close()
	}
}
