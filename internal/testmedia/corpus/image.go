package corpus

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Image is a copy of a base image that is being damaged. Whatever goes wrong
// ends the test.
type Image struct {
	testing.TB
	Path string
	// Plan is what the family's Survey returned.
	Plan any

	f      *os.File
	family *Family
}

// Build copies the base image and does the case's damage to it.
func (c *Case) Build(t testing.TB, base Base) string {
	t.Helper()
	img := &Image{TB: t, Path: filepath.Join(t.TempDir(), "image"), family: c.family}
	if err := clone(img.Path, base.Path); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(img.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img.f = f
	if c.family.Survey != nil && len(c.Damage) > 0 {
		img.Plan = c.family.Survey(img)
	}
	for _, s := range c.Damage {
		s.do(img, s.args)
	}
	return img.Path
}

// clone copies the data of a file and leaves its holes.
func clone(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := dst.Truncate(st.Size()); err != nil {
		return err
	}
	for at := int64(0); at < st.Size(); {
		begin, err := unix.Seek(int(src.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // only a hole is left
			return nil
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(src.Fd()), begin, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(dst, begin), io.NewSectionReader(src, begin, end-begin)); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// Size returns the bytes of the image.
func (m *Image) Size() int64 {
	m.Helper()
	st, err := m.f.Stat()
	if err != nil {
		m.Fatal(err)
	}
	return st.Size()
}

// Read returns n bytes at off.
func (m *Image) Read(off int64, n int) []byte {
	m.Helper()
	p := make([]byte, n)
	if _, err := m.f.ReadAt(p, off); err != nil {
		m.Fatalf("cannot read %d bytes at byte %d: %v", n, off, err)
	}
	return p
}

// Write puts p at off; it does not make the image longer.
func (m *Image) Write(off int64, p ...byte) {
	m.Helper()
	if off < 0 || off+int64(len(p)) > m.Size() {
		m.Fatalf("cannot write %d bytes at byte %d of an image of %d", len(p), off, m.Size())
	}
	if _, err := m.f.WriteAt(p, off); err != nil {
		m.Fatal(err)
	}
}

// Truncate gives the image another size; what is new is a hole.
func (m *Image) Truncate(size int64) {
	m.Helper()
	if err := m.f.Truncate(size); err != nil {
		m.Fatal(err)
	}
}

// Number reads a little-endian number of width bytes.
func (m *Image) Number(off int64, width int) uint64 {
	m.Helper()
	var p [8]byte
	copy(p[:], m.Read(off, width))
	return binary.LittleEndian.Uint64(p[:])
}

// SetNumber writes a little-endian number of width bytes.
func (m *Image) SetNumber(off int64, width int, n uint64) {
	m.Helper()
	m.Write(off, binary.LittleEndian.AppendUint64(nil, n)[:width]...)
}

// At resolves the place that an argument names.
func (m *Image) At(a Arg) int64 {
	m.Helper()
	return m.resolve(a.place)
}

func (m *Image) resolve(p place) int64 {
	m.Helper()
	switch {
	case p.fixed:
		return p.delta
	case p.end:
		return m.Size() + p.delta
	}
	return p.at.At(m, p.arg) + p.delta
}

func (m *Image) setField(f fieldAt, v value) {
	m.Helper()
	off := m.resolve(f.where)
	p := m.Read(off, f.Width)
	if f.Big {
		reverse(p)
	}
	n, err := v.of(f.Width, binary.LittleEndian.Uint64(append(p, make([]byte, 8)...)))
	if err != nil {
		m.Fatalf("field %s: %v", f.Name, err)
	}
	p = binary.LittleEndian.AppendUint64(nil, n)[:f.Width]
	if f.Big {
		reverse(p)
	}
	m.Write(off, p...)
}

func reverse(p []byte) {
	for i, j := 0, len(p)-1; i < j; i, j = i+1, j-1 {
		p[i], p[j] = p[j], p[i]
	}
}
