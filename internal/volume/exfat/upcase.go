package exfat

import (
	"fmt"

	"sallyport/internal/volume/layout"
)

// The up-case table (section 7.2) says for each of the 65,536 UTF-16 units what
// it is in capitals. Systems look for a file by the hash of its name in
// capitals, so that a file whose hash is wrong is shown by them and not found;
// and two names with the same capitals are one name.

const (
	upcaseUnits = 1 << 16
	upcaseBytes = 2 * upcaseUnits
	// runMark stands before the number of units that stand for themselves.
	runMark = 0xFFFF
)

// readUpcase checks the up-case table and keeps it.
func (v *volume) readUpcase(rec []byte, place string) error {
	const what = "up-case table"
	first, size, want := le.Uint32(rec[20:]), le.Uint64(rec[24:]), le.Uint32(rec[4:])
	switch {
	case v.upcase:
		return v.w.Inconsistent(place, "there is a second up-case table")
	case size == 0 || size > upcaseBytes || size%2 != 0:
		return v.w.Inconsistent(place, "an up-case table of %d bytes", size)
	}
	v.upcase = true
	f, err := v.follow(first, int64(size), false, layout.Place{What: what, Off: -1})
	if err != nil {
		return err
	}
	if f != nil {
		return v.w.Problem(f)
	}
	if err := v.w.Memory(what, int64(size)+upcaseBytes); err != nil {
		return err
	}
	raw, done := make([]byte, size), int64(0)
	for _, x := range v.heap.Chain {
		if err := v.w.Dev.Read(raw[done:][:x.Len], x.Off, what); err != nil {
			return err
		}
		done += x.Len
	}
	var sum uint32
	for _, c := range raw {
		sum = (sum<<31 | sum>>1) + uint32(c)
	}
	if sum != want {
		return v.w.Inconsistent(place, "the checksum of the up-case table is %08x and should be %08x", sum, want)
	}
	table, why := expandUpcase(raw)
	if why != "" {
		return v.w.Inconsistent(place, "%s: systems would take other names for the same", why)
	}
	v.upper = table
	return nil
}

// expandUpcase returns the table without its compression, or why it is none.
// Linux uses a table of its own in the place of one that does not reach the
// last unit, and has no capital of zero. The last unit may stand as the mark of
// a run without a number, which is the same.
func expandUpcase(raw []byte) (table []uint16, why string) {
	table = make([]uint16, upcaseUnits)
	for i := range table {
		table[i] = uint16(i)
	}
	at, run := 0, false
	for ; len(raw) > 0; raw = raw[2:] {
		unit := le.Uint16(raw)
		switch {
		case run:
			at, run = at+int(unit), false
		case at >= upcaseUnits:
			return nil, fmt.Sprintf("the up-case table goes on behind its %d characters", upcaseUnits)
		case unit == runMark && at < upcaseUnits-1:
			run = true
		case unit == 0 && at > 0:
			return nil, fmt.Sprintf("the up-case table has no capital for the character %04X", at)
		default:
			table[at] = unit
			at++
		}
	}
	if run || at < upcaseUnits-1 || at > upcaseUnits {
		return nil, fmt.Sprintf("the up-case table is for %d characters and not for %d", at, upcaseUnits)
	}
	for c := range 128 { // section 7.2.5 lets nobody change these
		want := c
		if 'a' <= c && c <= 'z' {
			want -= 'a' - 'A'
		}
		if int(table[c]) != want {
			return nil, fmt.Sprintf("the up-case table has %04X for the character %04X, which every exFAT has to write as %04X", table[c], c, want)
		}
	}
	return table, ""
}

// checkHash compares the hash of the name at hand with the one recorded
// (section 7.6.4).
func (v *volume) checkHash(stream []byte, place layout.Place) error {
	if v.upper == nil {
		return nil // that there is no table is written down already
	}
	var sum uint16
	for _, u := range v.units {
		c := v.upper[u]
		sum = (sum<<15 | sum>>1) + c&0xFF
		sum = (sum<<15 | sum>>1) + c>>8
	}
	if got := le.Uint16(stream[4:]); got != sum {
		return v.w.Inconsistent(place.String(), "the hash of the name is %04x and should be %04x: some systems find what it names and others do not", got, sum)
	}
	return nil
}

// noteName adds the name at hand to those of the folder: folded as on every
// system, and in the capitals of this volume, which may be any beyond ASCII.
func (v *volume) noteName(off int64) {
	hash := v.w.Names.Hash(v.name)
	v.w.Names.Add(hash, off)
	if v.upper == nil || len(v.name) == len(v.units) { // all ASCII
		return
	}
	for i, u := range v.units {
		v.units[i] = v.upper[u]
	}
	v.capitals, _ = layout.AppendName(v.capitals[:0], v.units)
	if h := v.w.Names.Hash(v.capitals); h != hash {
		v.w.Names.Add(h, off)
	}
}
