package iso9660

import (
	"sallyport/internal/volume/layout"
)

const windowBytes = 64 << 10

// window holds a piece of the device with sectors of folders. Writers put the
// folders of a level one behind the other, so that one read brings many.
type window struct {
	dev   *layout.Device
	buf   []byte
	begin int64 // on the device
	data  []byte
}

// sector returns the sector at off. When it has to be read, what follows up to
// the offset until is read with it, as far as there is room.
func (w *window) sector(off, until int64, what string) ([]byte, error) {
	if at := off - w.begin; at >= 0 && at <= int64(len(w.data))-sectorBytes {
		return w.data[at:][:sectorBytes], nil
	}
	if w.buf == nil {
		w.buf = make([]byte, windowBytes)
	}
	n := min(until-off, windowBytes)
	if off > w.dev.Size()-n {
		n = sectorBytes // the part that is on the medium is still evidence
	}
	w.data = nil // a piece half read is not to be found again
	if err := w.dev.Read(w.buf[:n], off, what); err != nil {
		return nil, err
	}
	w.begin, w.data = off, w.buf[:n]
	return w.data[:sectorBytes], nil
}

// continuation holds the block with the continuation areas read last: those of
// neighbouring records stand in one.
type continuation struct {
	dev *layout.Device
	at  int64
	buf []byte
}

func (c *continuation) block(at, n int64) ([]byte, error) {
	if c.buf != nil && c.at == at && int64(len(c.buf)) == n {
		return c.buf, nil
	}
	p := c.buf
	if int64(cap(p)) < n {
		p = make([]byte, n)
	}
	c.buf = nil
	if err := c.dev.Read(p[:n], at, "continuation area"); err != nil {
		return nil, err
	}
	c.at, c.buf = at, p[:n]
	return c.buf, nil
}
