package child

import (
	"errors"
	"fmt"

	"sallyport/internal/reader/wire"
)

// alignment of what is read into a slot: a page, so that copying is cheap.
const alignment = 4096

// ringWriter hands out room in the memory shared with the parent, slot after
// slot. A slot that is full is given to the parent; it comes back with a free
// frame.
type ringWriter struct {
	*server
	mem     []byte
	current int  // slot
	used    int  // bytes of the current slot
	told    bool // the parent knows of bytes in the current slot
	free    int  // slots besides the current one that the parent does not hold
}

// reserve returns room for n bytes, at most [wire.SlotBytes], in the current
// slot, and its place there. It may wait for the parent. An error is the loss
// of the connection, or the parent's departure from the protocol; the writer
// keeps it.
func (r *ringWriter) reserve(n int) ([]byte, uint32, error) {
	if r.left() < n {
		if err := r.turn(); err != nil {
			if r.out.err == nil {
				r.out.err = fmt.Errorf("cannot get a free slot: %w", err)
			}
			return nil, 0, r.out.err
		}
	}
	off := r.used
	r.used = min(wire.SlotBytes, (off+n+alignment-1)&^(alignment-1))
	return r.mem[r.current*wire.SlotBytes+off:][:n], uint32(off), nil
}

// left returns how many bytes of the current slot are unused.
func (r *ringWriter) left() int { return wire.SlotBytes - r.used }

// data says that the next bytes of the file are n bytes at off of the current slot.
func (r *ringWriter) data(off uint32, n int) {
	wire.PutChunk(r.out.frame(wire.TypeData, 8), wire.Chunk{Off: off, Len: uint32(n)})
	r.told = true
}

// turn goes on to the next slot. A slot of which the parent was told nothing
// is used again.
func (r *ringWriter) turn() error {
	r.used = 0
	if !r.told {
		return nil
	}
	r.out.message(wire.TypeTurn, nil)
	if err := r.out.flush(); err != nil {
		return err
	}
	for r.free == 0 {
		t, payload, err := r.in.Next()
		if err != nil {
			return err
		}
		if t != wire.TypeFree {
			return errOrder
		}
		if err := r.freed(payload); err != nil {
			return err
		}
	}
	r.free--
	r.current = (r.current + 1) % wire.Slots
	r.told = false
	return nil
}

// freed takes a slot back.
func (r *ringWriter) freed(payload []byte) error {
	if r.free >= wire.Slots-1 {
		return errors.New("more slots were freed than filled")
	}
	r.free++
	return wire.ParseEmpty(payload)
}
