package ntfs

import (
	"sort"

	"sallyport/internal/volume/layout"
)

const (
	windowBits  = 16
	windowSlots = 16
	windowBytes = 1 << windowBits
)

// stream reads the value of an attribute that stands in clusters (the master
// file table, a bitmap, the blocks of an index) in windows of 64 KiB and keeps
// 16 of them.
type stream struct {
	w      *layout.Walker
	what   string
	ext    []layout.Extent
	starts []int64 // where each extent begins in the value
	size   int64   // bytes that may be read
	last   int     // the extent that answered last
	slots  [windowSlots]struct {
		block int64 // number of the window held, plus one
		data  []byte
	}
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
	for i := range s.slots {
		s.slots[i].block = 0
	}
}

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
	block := off >> windowBits
	slot := &s.slots[block%windowSlots]
	if slot.block != block+1 {
		n := min(windowBytes, s.size-block<<windowBits)
		if int64(cap(slot.data)) < n {
			if err := s.w.Memory("the buffers of an NTFS reader", n); err != nil {
				return nil, err
			}
			slot.data = make([]byte, n)
		}
		slot.data = slot.data[:n]
		slot.block = 0 // a window half read is not to be found again
		if err := s.read(slot.data, block<<windowBits); err != nil {
			return nil, err
		}
		slot.block = block + 1
	}
	return slot.data[off-block<<windowBits:], nil
}

// holds says whether the window of off was read already.
func (s *stream) holds(off int64) bool {
	block := off >> windowBits
	return s.slots[block%windowSlots].block == block+1
}
