package ntfs

import (
	"sort"

	"sallyport/internal/volume/layout"
)

const (
	// windowBits is the size of a window, as a power of two: what is read in
	// order is read in pieces of 64 KiB.
	windowBits = 16
	// blockBits is the least size of a window over the blocks of an index, which
	// are read in the order of names; windows of 64 KiB would be read again and
	// again for 4 KiB each.
	blockBits = 14
	// keptBits is what a stream keeps in its windows.
	keptBits = 20
)

// stream reads the value of an attribute that stands in clusters (the master
// file table, a bitmap, the blocks of an index) in windows, and keeps 1 MiB.
type stream struct {
	w      *layout.Walker
	what   string
	ext    []layout.Extent
	starts []int64 // where each extent begins in the value
	size   int64   // bytes that may be read
	last   int     // the extent that answered last
	bits   int     // size of a window
	slots  []window
}

// window is a part of a value that was read.
type window struct {
	block int64 // its number, plus one
	data  []byte
}

// reset starts over with another value.
func (s *stream) reset(w *layout.Walker, what string, ext []layout.Extent, size int64) {
	s.w, s.what, s.last = w, what, 0
	s.ext = append(s.ext[:0], ext...)
	s.starts = s.starts[:0]
	at := int64(0)
	for _, x := range ext {
		s.starts = append(s.starts, at)
		at += x.Len
	}
	s.size = min(size, at)
	s.windows(windowBits)
}

// windows forgets what was read and makes windows of 2^bits bytes.
func (s *stream) windows(bits int) {
	s.bits = bits
	if n := 1 << (keptBits - bits); len(s.slots) < n {
		s.slots = append(s.slots, make([]window, n-len(s.slots))...)
	}
	for i := range s.slots {
		s.slots[i].block = 0
	}
}

func (s *stream) slot(block int64) *window { return &s.slots[block&(1<<(keptBits-s.bits)-1)] }

// place returns where byte off, which must be below size, is on the device and
// how many bytes follow it there without a gap.
func (s *stream) place(off int64) (at, n int64) {
	i := s.last
	if off < s.starts[i] || off >= s.starts[i]+s.ext[i].Len {
		i = sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > off }) - 1
		s.last = i
	}
	in := off - s.starts[i]
	if s.ext[i].Off == layout.Zeros {
		return layout.Zeros, s.ext[i].Len - in
	}
	return s.ext[i].Off + in, s.ext[i].Len - in
}

// where names a byte of the value for a finding by its place on the device.
func (s *stream) where(off int64) string {
	if off < 0 || off >= s.size {
		return s.what
	}
	at, _ := s.place(off)
	return layout.At(s.what, at)
}

// read fills p from off; the bytes must be below size.
func (s *stream) read(p []byte, off int64) error {
	for len(p) > 0 {
		at, n := s.place(off)
		n = min(n, int64(len(p)))
		if at == layout.Zeros {
			clear(p[:n])
		} else if err := s.w.Dev.Read(p[:n], at, s.what); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// from returns the bytes from off to the end of their window: at least one. It
// is an error of the caller to ask behind size.
func (s *stream) from(off int64) ([]byte, error) {
	block := off >> s.bits
	slot := s.slot(block)
	if slot.block != block+1 {
		n := min(1<<s.bits, s.size-block<<s.bits)
		if int64(cap(slot.data)) < n {
			if err := s.w.Memory("the buffers of an NTFS reader", n); err != nil {
				return nil, err
			}
			slot.data = make([]byte, n)
		}
		slot.data = slot.data[:n]
		slot.block = 0 // a window half read is not to be found again
		if err := s.read(slot.data, block<<s.bits); err != nil {
			return nil, err
		}
		slot.block = block + 1
	}
	return slot.data[off-block<<s.bits:], nil
}

// holds says whether the window of off was read already.
func (s *stream) holds(off int64) bool {
	block := off >> s.bits
	return s.slot(block).block == block+1
}
