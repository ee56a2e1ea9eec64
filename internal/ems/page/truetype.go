package page

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/image/font/sfnt"
)

// trueType is a font file with TrueType outlines. The library maps characters to
// glyphs; the outlines themselves are only moved, so the tables are read here.
type trueType struct {
	font                  *sfnt.Font
	buf                   sfnt.Buffer
	tables                map[string][]byte
	upem, glyphs          int
	metrics               int // entries of hmtx with a width
	longLoca              bool
	ascent, descent, caps int // in units of the font; caps is the height of capitals
	box                   [4]int
}

var errDamaged = errors.New("the file is damaged")

// openTrueType reads what a font file says of itself.
func openTrueType(data []byte) (*trueType, error) {
	t := &trueType{}
	var err error
	if t.tables, err = tablesOf(data); err != nil {
		return nil, err
	}
	if t.tables["CFF "] != nil || t.tables["CFF2"] != nil {
		return nil, errors.New("its outlines are CFF (PostScript), which is not supported: give a font file with TrueType outlines (often .ttf instead of .otf)")
	}
	for _, name := range []string{"glyf", "head", "hhea", "hmtx", "loca", "maxp", "cmap"} {
		if t.tables[name] == nil {
			return nil, fmt.Errorf("the table %q is missing: give a font file with TrueType outlines", name)
		}
	}
	collection, err := sfnt.ParseCollection(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if t.font, err = collection.Font(0); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return t, t.header()
}

// tablesOf is the table directory (OpenType 1.9, "Organization of an OpenType
// Font"), of a collection that of its first font.
func tablesOf(data []byte) (map[string][]byte, error) {
	var dir uint32
	if len(data) >= 16 && string(data[:4]) == "ttcf" {
		dir = binary.BigEndian.Uint32(data[12:])
	}
	if uint64(dir)+12 > uint64(len(data)) {
		return nil, errDamaged
	}
	n := uint64(binary.BigEndian.Uint16(data[dir+4:]))
	if uint64(dir)+12+16*n > uint64(len(data)) {
		return nil, errDamaged
	}
	tables := make(map[string][]byte, n)
	for i := range n {
		e := data[uint64(dir)+12+16*i:]
		offset, length := uint64(binary.BigEndian.Uint32(e[8:])), uint64(binary.BigEndian.Uint32(e[12:]))
		if offset+length > uint64(len(data)) {
			return nil, errDamaged
		}
		tables[string(e[:4])] = data[offset : offset+length : offset+length]
	}
	return tables, nil
}

// header reads the numbers that the layout needs, and whether the font may be
// embedded at all (OS/2, fsType).
func (t *trueType) header() error {
	head, hhea, maxp := t.tables["head"], t.tables["hhea"], t.tables["maxp"]
	if len(head) < 54 || len(hhea) < 36 || len(maxp) < 6 {
		return errDamaged
	}
	t.upem, t.longLoca = int(be16(head, 18)), be16(head, 50) != 0
	for i := range t.box {
		t.box[i] = int(int16(be16(head, 36+2*i)))
	}
	t.ascent, t.descent = int(int16(be16(hhea, 4))), int(int16(be16(hhea, 6)))
	t.metrics, t.glyphs = int(be16(hhea, 34)), int(be16(maxp, 4))
	if t.upem < 16 || t.upem > 16384 || t.metrics == 0 || t.metrics > t.glyphs || len(t.tables["hmtx"]) < 4*t.metrics {
		return errDamaged
	}
	t.caps = t.ascent * 3 / 4
	if os2 := t.tables["OS/2"]; len(os2) >= 10 && be16(os2, 8)&0xf == 2 {
		return errors.New("its licence forbids to embed it (OS/2 table, fsType): give another font")
	} else if len(os2) >= 90 && be16(os2, 0) >= 2 {
		t.caps = int(int16(be16(os2, 88)))
	}
	return nil
}

func be16(b []byte, at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }

// index is the glyph of a character, 0 when there is none.
func (t *trueType) index(r rune) (uint16, error) {
	i, err := t.font.GlyphIndex(&t.buf, r)
	if err != nil || int(i) >= t.glyphs {
		return 0, errDamaged
	}
	return uint16(i), nil
}

// advance is the width of a glyph (table hmtx).
func (t *trueType) advance(index uint16) int32 {
	return int32(be16(t.tables["hmtx"], 4*min(int(index), t.metrics-1)))
}

// outline is the bytes of a glyph (tables loca and glyf).
func (t *trueType) outline(index uint16) ([]byte, error) {
	loca, glyf := t.tables["loca"], t.tables["glyf"]
	var from, to uint32
	i := int(index)
	switch {
	case t.longLoca && len(loca) >= 4*i+8:
		from, to = binary.BigEndian.Uint32(loca[4*i:]), binary.BigEndian.Uint32(loca[4*i+4:])
	case !t.longLoca && len(loca) >= 2*i+4:
		from, to = 2*uint32(be16(loca, 2*i)), 2*uint32(be16(loca, 2*i+2))
	default:
		return nil, errDamaged
	}
	if from > to || uint64(to) > uint64(len(glyf)) {
		return nil, errDamaged
	}
	return glyf[from:to], nil
}
