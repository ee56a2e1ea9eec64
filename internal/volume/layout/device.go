package layout

import (
	"errors"
	"fmt"
	"io"
	"sort"

	"sallyport/internal/limit"
	"sallyport/internal/verdict"
)

// Device reads file-system structures from a medium of known size, within a
// budget of bytes.
type Device struct {
	r    io.ReaderAt
	size int64
	meta *limit.Budget
	ends ends
}

// NewDevice returns a Device over size bytes of r that gives at most metaBytes.
func NewDevice(r io.ReaderAt, size, metaBytes int64) *Device {
	return &Device{r: r, size: size, meta: limit.NewBudget("bytes of file-system structures", metaBytes)}
}

// Size returns the size of the medium in bytes.
func (d *Device) Size() int64 { return d.size }

// Read fills p from the absolute offset off; what names the structure. Its
// error is a [*verdict.Finding]: truncated where the medium ends, unreadable
// where it does not answer or for the reason that the medium's reader gives as a
// finding, over-limit when the budget is used up. Bytes of p are not to be used
// then.
func (d *Device) Read(p []byte, off int64, what string) error {
	if off < 0 || off > d.size || int64(len(p)) > d.size-off {
		return verdict.New(verdict.Truncated, At(what, off),
			"%d bytes are needed there and the medium ends at byte %d", len(p), d.size)
	}
	if err := d.meta.Take(int64(len(p))); err != nil {
		return verdict.New(verdict.OverLimit, At(what, off), "%s", err.Error())
	}
	if d.ends.fill(p, off) {
		return nil
	}
	n, err := d.r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case n < 0 || n > len(p) || err == nil:
		return verdict.New(verdict.Unreadable, At(what, off), "the reader answered with %d bytes for %d", n, len(p))
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return verdict.New(verdict.Truncated, At(what, off+int64(n)),
			"the medium ends there although it claims to have %d bytes", d.size)
	}
	if f, ok := verdict.Find(err); ok { // the reader knows more of its device
		return verdict.New(f.Reason, At(what, off+int64(n)), "%s", f.Detail)
	}
	return verdict.New(verdict.Unreadable, At(what, off+int64(n)), "%s", err.Error())
}

// At names a structure and its place for [verdict.Finding.Where].
func At(what string, off int64) string { return fmt.Sprintf("%s, byte %d", what, off) }

// Place is what [At] names, put into words only when something is wrong there.
type Place struct {
	What string
	Off  int64 // negative for none
}

func (p Place) String() string {
	if p.Off < 0 {
		return p.What
	}
	return At(p.What, p.Off)
}

const (
	blockBits  = 15
	blockSlots = 64
)

// Cache reads one on-disk table (a FAT, an allocation bitmap) in blocks of
// 32 KiB and keeps 64 of them.
type Cache struct {
	dev    *Device
	what   string
	pieces []Extent // Len is the end of the piece in the table, not its length
	size   int64
	slots  [blockSlots]struct {
		block int64 // number of the block held, plus one
		data  []byte
	}
}

// NewCache returns a Cache of the size bytes at the absolute offset base.
func NewCache(dev *Device, what string, base, size int64) *Cache {
	return NewCacheOf(dev, what, []Extent{{base, size}})
}

// NewCacheOf returns a Cache of a table that lies in pieces, none of them empty.
func NewCacheOf(dev *Device, what string, pieces []Extent) *Cache {
	c := &Cache{dev: dev, what: what, pieces: append([]Extent(nil), pieces...)}
	for i := range c.pieces {
		c.size += c.pieces[i].Len
		c.pieces[i].Len = c.size
	}
	return c
}

// From returns the bytes of the table from off to the end of their block: at
// least one. It is an error of the caller to ask behind the table.
func (c *Cache) From(off int64) ([]byte, error) {
	block := off >> blockBits
	s := &c.slots[block%blockSlots]
	if s.block != block+1 {
		n := min(1<<blockBits, c.size-block<<blockBits)
		if s.data == nil {
			s.data = make([]byte, 1<<blockBits)
		}
		s.data = s.data[:n]
		s.block = 0 // a block half read is not to be found again
		if err := c.read(s.data, block<<blockBits); err != nil {
			return nil, err
		}
		s.block = block + 1
	}
	return s.data[off-block<<blockBits:], nil
}

// read fills p from the offset off of the table, piece by piece.
func (c *Cache) read(p []byte, off int64) error {
	i := sort.Search(len(c.pieces), func(i int) bool { return c.pieces[i].Len > off })
	for ; len(p) > 0; i++ {
		x := c.pieces[i]
		start := int64(0)
		if i > 0 {
			start = c.pieces[i-1].Len
		}
		n := min(int64(len(p)), x.Len-off)
		if err := c.dev.Read(p[:n], x.Off+off-start, c.what); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// RecordBytes is the size of a directory record in FAT and exFAT alike.
const RecordBytes = 32

// Records goes through the 32-byte records of a folder, reading large blocks.
type Records struct {
	dev      *Device
	what     string
	extents  []Extent
	done     int // of the extents
	buf      []byte
	pos, end int   // unread part of buf
	at       int64 // offset of buf[0] on the device
}

// Reset starts over with another folder of w's volume, whose extents hold whole
// records. The error is a limit that was met.
func (r *Records) Reset(w *Walker, what string, extents []Extent) error {
	if r.buf == nil {
		r.buf = make([]byte, 64<<10)
	}
	if more := len(extents) - cap(r.extents); more > 0 {
		if err := w.Memory(what, int64(more)*extentCost); err != nil {
			return err
		}
		r.extents = make([]Extent, 0, len(extents))
	}
	r.dev, r.what, r.extents = w.Dev, what, append(r.extents[:0], extents...)
	r.done, r.pos, r.end = 0, 0, 0
	return nil
}

// Next returns the next record, which is valid until the next call, and its
// offset on the device; the error is io.EOF behind the last one.
func (r *Records) Next() ([]byte, int64, error) {
	if r.end-r.pos < RecordBytes {
		if r.done == len(r.extents) {
			return nil, 0, io.EOF
		}
		x := &r.extents[r.done]
		n := min(x.Len, int64(len(r.buf)))
		if err := r.dev.Read(r.buf[:n], x.Off, r.what); err != nil {
			return nil, 0, err
		}
		r.pos, r.end, r.at = 0, int(n), x.Off
		if x.Off, x.Len = x.Off+n, x.Len-n; x.Len < RecordBytes {
			r.done++
		}
	}
	rec, at := r.buf[r.pos:][:RecordBytes], r.at+int64(r.pos)
	r.pos += RecordBytes
	return rec, at, nil
}

// Back makes Next return once more the record it returned last.
func (r *Records) Back() { r.pos -= RecordBytes }
