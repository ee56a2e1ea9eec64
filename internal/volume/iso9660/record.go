package iso9660

import (
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// Flags of a file (ECMA-119 section 9.1.6). Hidden and protected files are
// listed as any other.
const (
	flagFolder     = 0x02
	flagAssociated = 0x04
	flagReserved   = 0x60
	flagMulti      = 0x80 // the next record goes on with this file

	recordHead = 33 // bytes before the identifier
)

// record is one directory record (section 9.1).
type record struct {
	b      []byte
	at     int64 // on the device
	xar    uint8 // blocks of the extended attribute record
	extent uint32
	size   uint32
	flags  byte
	unit   byte // of interleaving
	gap    byte
	seq    uint16
	id     []byte
	use    []byte // system use area
	// torn says which number is another one in each byte order, or is "".
	torn string
}

// parseRecord splits b, which is exactly the record; why says what is wrong
// with its shape.
func parseRecord(b []byte, at int64) (r record, why string) {
	if len(b) < recordHead+1 {
		return r, "the record is too short for its fields"
	}
	n := int(b[32])
	pad := (n + 1) & 1 // so that the system use area begins at an even place
	switch {
	case n == 0:
		return r, "the record has no name"
	case recordHead+n > len(b):
		return r, "the record is too short for its name"
	}
	r = record{b: b, at: at, xar: b[1], flags: b[25], unit: b[26], gap: b[27], id: b[recordHead : recordHead+n]}
	var a, c, d bool
	r.extent, a = both(b[2:])
	r.size, c = both(b[10:])
	r.seq, d = both16(b[28:])
	switch {
	case !a:
		r.torn = "the place"
	case !c:
		r.torn = "the length"
	case !d:
		r.torn = "the volume sequence number"
	}
	if end := recordHead + n + pad; end < len(b) {
		r.use = b[end:]
	}
	return r, ""
}

func (r *record) folder() bool { return r.flags&flagFolder != 0 }

// dot and dotDot are the names of the first two records of each folder
// (section 7.6.2).
func (r *record) dot() bool    { return len(r.id) == 1 && r.id[0] == 0 }
func (r *record) dotDot() bool { return len(r.id) == 1 && r.id[0] == 1 }

// misplaced says why the extent of r cannot be used.
func (v *volume) misplaced(d *descriptor, r *record, where layout.Place) *verdict.Finding {
	const differ = "%s of it is another number in each of its two byte orders: systems would see different contents"
	end := int64(r.extent) + int64(r.xar) + d.blocks(r.size)
	switch {
	case r.torn != "":
		return inconsistent(where, differ, r.torn)
	case r.size > 0 && end > int64(d.space):
		return inconsistent(where, "its blocks %d to %d are outside the volume, which has %d", r.extent, end-1, d.space)
	case r.seq > 1 && r.seq != d.seq:
		return unsupported(where, "it is on volume %d of a set, and this is volume %d", r.seq, d.seq)
	case r.folder() && (r.size == 0 || r.size%sectorBytes != 0):
		return inconsistent(where, "a folder of %d bytes; it has to be whole sectors of %d", r.size, sectorBytes)
	}
	return nil
}
