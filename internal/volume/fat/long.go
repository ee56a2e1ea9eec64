package fat

// A long name stands in up to 20 records before the record of its file, last
// part first, each with 13 UTF-16 units and the checksum of the short name
// (FAT specification section 7).

const (
	longUnits   = 13
	longRecords = 20
	lastPart    = 0x40
	attrLong    = 0x0F
)

// longName collects the parts of one name.
type longName struct {
	units [longUnits * longRecords]uint16
	n     int    // units of the whole name; 0 when no part was seen
	next  int    // number of the part expected next; 0 when complete
	sum   byte   // checksum of the short name
	why   string // what is wrong with the parts, or ""
}

func (l *longName) reset() { l.n, l.next, l.why = 0, 0, "" }

// pending says whether parts were seen that belong to no file yet.
func (l *longName) pending() bool { return l.n > 0 || l.why != "" }

// add takes one record of a long name.
func (l *longName) add(rec []byte) {
	number := int(rec[0] &^ lastPart)
	if rec[0]&lastPart != 0 {
		if l.pending() {
			l.why = "a long name begins before the one before it has ended"
			return
		}
		if number == 0 || number > longRecords {
			l.why = "a long name has a part with a number that does not exist"
			return
		}
		l.n, l.next, l.sum = number*longUnits, number, rec[13]
	}
	switch {
	case l.why != "":
		return
	case l.n == 0 || number != l.next:
		l.why = "the parts of a long name are not in order"
		return
	case rec[13] != l.sum:
		l.why = "the parts of a long name have different checksums"
		return
	case rec[11] != attrLong: // Windows looks at six bits, Linux at all eight
		l.why = "a part of a long name has reserved attributes: some systems use the name and others do not"
		return
	case rec[12] != 0 || rec[26] != 0 || rec[27] != 0:
		l.why = "a part of a long name has a type or a cluster"
		return
	}
	n := readPart(l.units[(number-1)*longUnits:][:longUnits], rec)
	switch {
	case n == longUnits:
	case rec[0]&lastPart == 0 || n == 0:
		l.why = "a long name ends before its last part"
		return
	default:
		l.n = (number-1)*longUnits + n
	}
	l.next = number - 1
}

// readPart fills part with the units of one record and returns how many there
// are before the end of the name.
func readPart(part []uint16, rec []byte) int {
	for i := range part {
		at := 1 + 2*i
		switch {
		case i >= 11:
			at = 28 + 2*(i-11)
		case i >= 5:
			at = 14 + 2*(i-5)
		}
		if part[i] = le.Uint16(rec[at:]); part[i] == 0 {
			return i
		}
	}
	return longUnits
}

// take returns the name when it belongs to the short name, or says what is
// wrong; with neither there is no long name.
func (l *longName) take(short []byte) (name []uint16, why string) {
	defer l.reset()
	switch {
	case !l.pending():
		return nil, ""
	case l.why != "":
		return nil, l.why
	case l.next != 0:
		return nil, "the first parts of a long name are missing"
	case l.sum != checksum(short):
		return nil, "a long name has the checksum of another file"
	case l.n > 255:
		return nil, "a long name has more than 255 characters"
	}
	return l.units[:l.n], ""
}

// checksum of the 11 bytes of a short name.
func checksum(short []byte) (sum byte) {
	for _, c := range short[:11] {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// deletedName collects the parts of a long name that was deleted: their numbers
// are overwritten, so that only their order and checksums tell what belongs
// together.
type deletedName struct {
	units [longUnits * longRecords]uint16 // filled from the end, as the last part comes first
	parts int
	last  int // units of the last part
	sum   byte
}

func (d *deletedName) reset() { d.parts = 0 }

// add takes one deleted record of a long name. One with another checksum than
// the name at hand begins another.
func (d *deletedName) add(rec []byte) {
	var part [longUnits]uint16
	n := readPart(part[:], rec)
	if rec[13] != d.sum {
		d.reset()
	}
	switch {
	case d.parts == 0:
		d.last, d.sum = n, rec[13]
	case d.parts == longRecords || n < longUnits:
		d.last = 0 // no name is so long, or ends twice
		return
	}
	d.parts++
	copy(d.units[len(d.units)-d.parts*longUnits:], part[:])
}

// take returns the name when it may belong to the deleted short record. The
// first byte of the short name is lost: the checksum tells which it must have
// been, and that has to be one that short names have.
func (d *deletedName) take(short []byte) []uint16 {
	defer d.reset()
	from := len(d.units) - d.parts*longUnits
	if d.parts == 0 || d.last == 0 {
		return nil
	}
	var whole [11]byte
	copy(whole[:], short)
	for c := byte('!'); c < 0x7F; c++ {
		if whole[0] = c; checksum(whole[:]) == d.sum && !('a' <= c && c <= 'z') && shortChar(c) {
			return d.units[from : len(d.units)-longUnits+d.last]
		}
	}
	return nil
}
