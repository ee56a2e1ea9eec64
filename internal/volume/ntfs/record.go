package ntfs

import "fmt"

// Types of attributes ($AttrDef; ntfs-3g layout.h, ATTR_TYPES).
const (
	attrStandard    = 0x10
	attrList        = 0x20
	attrFileName    = 0x30
	attrVolumeName  = 0x60
	attrVolumeInfo  = 0x70
	attrData        = 0x80
	attrIndexRoot   = 0x90
	attrIndexBlocks = 0xA0
	attrBitmap      = 0xB0
	attrReparse     = 0xC0
	attrEnd         = 0xFFFFFFFF

	flagCompressed = 0x00FF // of an attribute: the method; 1 is the only one
	flagEncrypted  = 0x4000
	flagSparse     = 0x8000

	recordInUse  = 1
	recordFolder = 2
)

// ref is a file reference: the number of a record and the sequence number that
// says which of the files that had this record is meant.
type ref uint64

func (r ref) number() int64 { return int64(r & (1<<48 - 1)) }
func (r ref) seq() uint16   { return uint16(r >> 48) }

// mend puts the words back that the last two bytes of each 512 bytes are
// replaced by on the device (the update sequence, ntfs-3g mst.c). A word that
// does not carry the sequence number was not written together with the rest.
// at is the offset of the update sequence in the block.
func mend(b []byte, headBytes int) (at int, why string) {
	at, count := int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))
	strides := len(b) / strideBytes
	switch {
	case count != strides+1:
		return 0, fmt.Sprintf("its update sequence has %d words and its %d bytes need %d", count, len(b), strides+1)
	case at < headBytes || at%2 != 0 || at+2*count > strideBytes-2:
		return 0, fmt.Sprintf("its update sequence stands at byte %d of it", at)
	}
	number := le.Uint16(b[at:])
	for i := range strides {
		end := b[(i+1)*strideBytes-2:]
		if got := le.Uint16(end); got != number {
			return 0, fmt.Sprintf("its part %d of %d has the update number %04x and should have %04x: it was not written as a whole", i+1, strides, got, number)
		}
		copy(end[:2], b[at+2+2*i:])
	}
	return at, ""
}

// record is one file record, mended and with a checked header.
type record struct {
	number int64
	buf    []byte
	fixups int // offset of the update sequence
	first  int // offset of the first attribute
	used   int
	seq    uint16
	flags  uint16
	base   ref // of the file that this record extends; 0 when it is one itself
}

func (r *record) inUse() bool  { return r.flags&recordInUse != 0 }
func (r *record) folder() bool { return r.flags&recordFolder != 0 }
func (r *record) ref() ref     { return ref(r.number) | ref(r.seq)<<48 }

// parse mends buf and checks the header (MFT_RECORD in layout.h).
func (r *record) parse() (why string) {
	const headBytes = 42
	b := r.buf
	switch string(b[:4]) {
	case "FILE":
	case "BAAD":
		return "a system marked it as damaged (BAAD)"
	default:
		return "it does not begin with FILE"
	}
	if r.fixups, why = mend(b, headBytes); why != "" {
		return why
	}
	r.seq, r.first, r.flags = le.Uint16(b[16:]), int(le.Uint16(b[20:])), le.Uint16(b[22:])
	used, allocated := le.Uint32(b[24:]), le.Uint32(b[28:])
	r.base = ref(le.Uint64(b[32:]))
	switch {
	case int64(allocated) != int64(len(b)):
		return fmt.Sprintf("it claims a size of %d bytes; file records here have %d", allocated, len(b))
	case used > allocated || used%8 != 0:
		return fmt.Sprintf("it claims %d used bytes of %d", used, allocated)
	case r.first < r.fixups+2*(len(b)/strideBytes+1) || r.first%8 != 0 || r.first+8 > int(used):
		return fmt.Sprintf("its first attribute is said to stand at byte %d of it", r.first)
	case r.fixups >= 48 && r.inUse() && le.Uint32(b[44:]) != uint32(r.number):
		return fmt.Sprintf("it says that it is record %d", le.Uint32(b[44:]))
	}
	r.used = int(used)
	return ""
}

// attribute is one of a record. Slices point into the record.
type attribute struct {
	kind     uint32
	name     []byte // UTF-16
	flags    uint16
	instance uint16
	resident bool
	// of a resident one
	value []byte
	at    int // where value stands in the record
	// of one in clusters
	lowest, highest   int64 // virtual clusters, counted from 0
	pairs             []byte
	allocated         int64
	size, initialised int64
}

// next reads the attribute at pos, which is r.first or what next returned
// before; done is the end mark.
func (r *record) next(pos int, a *attribute) (after int, done bool, why string) {
	b := r.buf[:r.used]
	if pos < 0 || pos > len(b)-4 {
		return 0, true, "its attributes have no end mark"
	}
	kind := le.Uint32(b[pos:])
	if kind == attrEnd {
		return pos, true, ""
	}
	b = b[pos:]
	if len(b) < 24 {
		return 0, true, "an attribute reaches beyond the end"
	}
	length := int64(le.Uint32(b[4:]))
	nameLen, nameAt := int(b[9])*2, int(le.Uint16(b[10:]))
	switch {
	case length < 24 || length%8 != 0 || length > int64(len(b)):
		return 0, true, fmt.Sprintf("the attribute of type %#x has a length of %d bytes", kind, length)
	case kind == 0 || kind%16 != 0 || kind < a.kind:
		return 0, true, fmt.Sprintf("an attribute of type %#x follows one of type %#x", kind, a.kind)
	case kind == a.kind && nameLen == 0 && len(a.name) > 0:
		// Some systems look for an attribute no further than to here.
		return 0, true, fmt.Sprintf("an attribute of type %#x without a name follows one that has a name", kind)
	case b[8] > 1:
		return 0, true, fmt.Sprintf("the attribute of type %#x is neither inside nor outside of the record", kind)
	case nameLen > 0 && (nameAt < 24 || nameAt+nameLen > int(length)):
		return 0, true, fmt.Sprintf("the name of the attribute of type %#x stands outside of it", kind)
	}
	b = b[:length]
	*a = attribute{kind: kind, flags: le.Uint16(b[12:]), instance: le.Uint16(b[14:]), resident: b[8] == 0}
	if nameLen > 0 {
		a.name = b[nameAt : nameAt+nameLen]
	}
	if a.resident {
		n, at := int64(le.Uint32(b[16:])), int64(le.Uint16(b[20:]))
		if n > length-at || at < 24 {
			return 0, true, fmt.Sprintf("the value of the attribute of type %#x, %d bytes, stands outside of it", kind, n)
		}
		a.value, a.at = b[at:at+n], pos+int(at)
	} else if why = a.outside(b); why != "" {
		return 0, true, why
	}
	return pos + int(length), false, ""
}

// outside reads the header of an attribute in clusters.
func (a *attribute) outside(b []byte) (why string) {
	if len(b) < 64 {
		return fmt.Sprintf("the attribute of type %#x has a length of %d bytes", a.kind, len(b))
	}
	pairs := int(le.Uint16(b[32:]))
	lowest, highest := int64(le.Uint64(b[16:])), int64(le.Uint64(b[24:]))
	if pairs < 64 || pairs >= len(b) {
		return fmt.Sprintf("the list of clusters of the attribute of type %#x stands outside of it", a.kind)
	}
	// An empty one ends at -1. The bound keeps all sums in 64 bits.
	if lowest < 0 || highest < lowest-1 || highest > maxVCN {
		return fmt.Sprintf("the attribute of type %#x claims its clusters %d to %d", a.kind, lowest, highest)
	}
	a.lowest, a.highest, a.pairs = lowest, highest, b[pairs:]
	if lowest > 0 { // sizes are in the first piece alone
		return ""
	}
	allocated, size, initialised := le.Uint64(b[40:]), le.Uint64(b[48:]), le.Uint64(b[56:])
	if allocated > maxValue || size > allocated || initialised > size {
		return fmt.Sprintf("the attribute of type %#x claims %d bytes, %d of them written, in %d", a.kind, size, initialised, allocated)
	}
	a.allocated, a.size, a.initialised = int64(allocated), int64(size), int64(initialised)
	return ""
}
