package udf

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"sallyport/internal/volume/layout"
)

var le = binary.LittleEndian

// Tag identifiers (ECMA-167 sections 3/7.2.1 and 4/7.2.1).
const (
	tagPrimary     = 1
	tagAnchor      = 2
	tagPointer     = 3
	tagImplUse     = 4
	tagPartition   = 5
	tagLogical     = 6
	tagUnallocated = 7
	tagTerminating = 8
	tagFileSet     = 256
	tagFileID      = 257
	tagMoreADs     = 258
	tagFile        = 261
	tagExtFile     = 266

	tagBytes = 16
)

func tagID(d []byte) uint16 { return le.Uint16(d) }

// blank says whether there is no descriptor at all.
func blank(d []byte) bool { return len(bytes.Trim(d[:tagBytes], "\x00")) == 0 }

// checkTag says what is wrong with the descriptor d, which should be of the
// type id and say that it was recorded at location (ECMA-167 section 3/7.2); ""
// when nothing is.
func checkTag(d []byte, id uint16, location uint32) string {
	if why := checkSum(d, id); why != "" {
		return why
	}
	if got := le.Uint32(d[12:]); got != location {
		return fmt.Sprintf("its descriptor says that it belongs into block %d and stands in block %d", got, location)
	}
	return ""
}

// checkSum is checkTag without the location.
func checkSum(d []byte, id uint16) string {
	var sum byte
	for i, c := range d[:tagBytes] {
		if i != 4 {
			sum += c
		}
	}
	n := int(le.Uint16(d[10:]))
	switch {
	case sum != d[4]:
		return fmt.Sprintf("the checksum of the descriptor's tag is %02x and should be %02x", sum, d[4])
	case tagID(d) != id:
		return fmt.Sprintf("there is a descriptor of type %d in place of type %d", tagID(d), id)
	case le.Uint16(d[2:]) != 2 && le.Uint16(d[2:]) != 3:
		return fmt.Sprintf("a descriptor of version %d", le.Uint16(d[2:]))
	case n > len(d)-tagBytes:
		return fmt.Sprintf("the checksum of the descriptor covers %d bytes and there are %d", n, len(d)-tagBytes)
	}
	if got, want := crc(d[tagBytes:tagBytes+n]), le.Uint16(d[8:]); got != want {
		return fmt.Sprintf("the checksum of the descriptor is %04x and should be %04x", got, want)
	}
	return ""
}

// crcTable is that of the polynomial x¹⁶ + x¹² + x⁵ + 1 (ECMA-167 section 3/7.2.6).
var crcTable = func() (table [256]uint16) {
	for i := range table {
		c := uint16(i) << 8
		for range 8 {
			c = c<<1 ^ c>>15*0x1021
		}
		table[i] = c
	}
	return table
}()

func crc(p []byte) (c uint16) {
	for _, b := range p {
		c = c<<8 ^ crcTable[byte(c>>8)^b]
	}
	return c
}

// extent is a run of bytes from a sector on (extent_ad, ECMA-167 section 3/7.1).
type extent struct{ bytes, sector uint32 }

func extentAt(d []byte) extent { return extent{le.Uint32(d), le.Uint32(d[4:])} }

// addr is a logical block of the partition with the map number ref (lb_addr,
// ECMA-167 section 4/7.1).
type addr struct {
	block uint32
	ref   uint16
}

// longAD is a long allocation descriptor without what implementations put into
// it (ECMA-167 section 4/14.14.2).
type longAD struct {
	bytes uint32
	kind  uint8 // recorded, allocated or neither
	addr
}

const longBytes = 16

func longAt(d []byte) longAD {
	n := le.Uint32(d)
	return longAD{n & lengthMask, uint8(n >> 30), addr{le.Uint32(d[4:]), le.Uint16(d[8:])}}
}

// appendUnits appends a text in OSTA compressed Unicode as UTF-16 (UDF 2.60
// section 2.1.1) and says whether it is one.
func appendUnits(dst []uint16, p []byte) ([]uint16, bool) {
	if len(p) == 0 {
		return dst, true
	}
	width, p := p[0], p[1:]
	switch width {
	case 8, 254: // the second of each pair marks a deleted name
		for _, c := range p {
			dst = append(dst, uint16(c))
		}
		return dst, true
	case 16, 255:
		for ; len(p) > 1; p = p[2:] {
			dst = append(dst, binary.BigEndian.Uint16(p))
		}
		return dst, len(p) == 0
	}
	return dst, false
}

// dstring returns a text in a field of fixed size (ECMA-167 section 1/7.2.12).
func dstring(field []byte) string {
	n := int(field[len(field)-1])
	if n < 2 || n >= len(field) {
		return ""
	}
	units, _ := appendUnits(nil, field[:n])
	text, _ := layout.AppendName(nil, units)
	return string(text)
}

// isEntity says whether a field begins with the entity identifier name
// (ECMA-167 section 1/7.4).
func isEntity(d []byte, name string) bool {
	return string(bytes.TrimRight(d[1:24], "\x00")) == name
}

// time renders a timestamp (ECMA-167 section 1/7.3), or returns "" when it is
// none of the years 1980 to 2107.
func (v *volume) time(d []byte) string {
	year, month, day := int(le.Uint16(d[2:])), d[4], d[5]
	hour, minute, second := d[6], d[7], d[8]
	if year < 1980 || year > 2107 || month > 12 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return ""
	}
	date := uint16(year-1980)<<9 | uint16(month)<<5 | uint16(day)
	clock := uint16(hour)<<11 | uint16(minute)<<5 | uint16(second/2)
	return v.w.DOSTime(date, clock, int(second&1))
}
