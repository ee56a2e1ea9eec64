package page

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// subset collects the glyphs of a font under new numbers.
type subset struct {
	font  *trueType
	order []uint16          // old index by new
	parts map[uint16]uint16 // components: new index by old
}

// subset is a font file with only the glyphs that are used, each under its
// number in the PDF (ISO 32000-1, section 9.9, lists the tables that it needs).
func (f *face) subset() ([]byte, error) {
	s := &subset{font: f.trueType, order: []uint16{0}, parts: map[uint16]uint16{}}
	for _, u := range f.used {
		s.order = append(s.order, u.index)
	}
	glyf, loca, err := s.outlines()
	if f.full {
		err = errManyGlyphs
	}
	if err != nil {
		return nil, fmt.Errorf("cannot embed the font %q: %w", f.name, err)
	}
	n := len(s.order)
	head, hhea, maxp := slices.Clone(f.tables["head"]), slices.Clone(f.tables["hhea"]), slices.Clone(f.tables["maxp"])
	binary.BigEndian.PutUint32(head[8:], 0)  // checkSumAdjustment, below
	binary.BigEndian.PutUint16(head[50:], 1) // long offsets
	binary.BigEndian.PutUint16(hhea[34:], uint16(n))
	binary.BigEndian.PutUint16(maxp[4:], uint16(n))
	return fontFile(map[string][]byte{
		"head": head, "hhea": hhea, "maxp": maxp, "hmtx": s.metrics(), "glyf": glyf, "loca": loca,
		"cvt ": f.tables["cvt "], "fpgm": f.tables["fpgm"], "prep": f.tables["prep"],
	}), nil
}

// metrics is the table hmtx with a width for every glyph.
func (s *subset) metrics() []byte {
	old, out := s.font.tables["hmtx"], make([]byte, 0, 4*len(s.order))
	for _, index := range s.order {
		i := int(index)
		out = binary.BigEndian.AppendUint16(out, uint16(s.font.advance(index)))
		bearing := 4*i + 2
		if i >= s.font.metrics {
			bearing = 4*s.font.metrics + 2*(i-s.font.metrics)
		}
		if bearing+2 > len(old) {
			out = append(out, 0, 0)
			continue
		}
		out = append(out, old[bearing:bearing+2]...)
	}
	return out
}

// outlines is the tables glyf and loca. Components that composite glyphs need
// are added behind the glyphs that are used.
func (s *subset) outlines() (glyf, loca []byte, err error) {
	for i := 0; i < len(s.order); i++ {
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		old, err := s.font.outline(s.order[i])
		if err != nil {
			return nil, nil, err
		}
		start := len(glyf)
		glyf = append(glyf, old...)
		if len(old) >= 10 && int16(be16(old, 0)) < 0 {
			if err := s.renumber(glyf[start:]); err != nil {
				return nil, nil, err
			}
		}
		for len(glyf)%4 != 0 {
			glyf = append(glyf, 0)
		}
	}
	return glyf, binary.BigEndian.AppendUint32(loca, uint32(len(glyf))), nil
}

// Flags of a component (OpenType 1.9, "glyf", composite glyphs).
const (
	wordArguments  = 0x0001
	oneScale       = 0x0008
	moreComponents = 0x0020
	twoScales      = 0x0040
	twoByTwo       = 0x0080
)

// renumber gives the components of a composite glyph their new numbers.
func (s *subset) renumber(g []byte) error {
	for at := 10; ; {
		if at+4 > len(g) {
			return errDamaged
		}
		flags := be16(g, at)
		part, err := s.component(be16(g, at+2))
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint16(g[at+2:], part)
		at += 6
		if flags&wordArguments != 0 {
			at += 2
		}
		switch {
		case flags&oneScale != 0:
			at += 2
		case flags&twoScales != 0:
			at += 4
		case flags&twoByTwo != 0:
			at += 8
		}
		if flags&moreComponents == 0 {
			return nil
		}
	}
}

// component is the new number of a component, once for each.
func (s *subset) component(old uint16) (uint16, error) {
	if int(old) >= s.font.glyphs {
		return 0, errDamaged
	}
	if n, ok := s.parts[old]; ok {
		return n, nil
	}
	if len(s.order) > maxCodes {
		return 0, errManyGlyphs
	}
	n := uint16(len(s.order))
	s.order = append(s.order, old)
	s.parts[old] = n
	return n, nil
}

// maxCodes is how many glyphs are numbered; 0 is the one for nothing.
const maxCodes = 0xfffe

var errManyGlyphs = fmt.Errorf("the document uses more than %d glyphs of it", maxCodes)

// fontFile puts tables together, sorted and with their checksums.
func fontFile(tables map[string][]byte) []byte {
	var names []string
	for name, data := range tables {
		if data != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	n, power, log := len(names), 1, 0
	for power*2 <= n {
		power, log = power*2, log+1
	}
	out := []byte{0, 1, 0, 0}
	for _, v := range []int{n, 16 * power, log, 16 * (n - power)} {
		out = binary.BigEndian.AppendUint16(out, uint16(v))
	}
	offset, head := 12+16*n, 0
	for _, name := range names {
		if name == "head" {
			head = offset
		}
		out = append(out, name...)
		for _, v := range []uint32{checksum(tables[name]), uint32(offset), uint32(len(tables[name]))} {
			out = binary.BigEndian.AppendUint32(out, v)
		}
		offset += (len(tables[name]) + 3) &^ 3
	}
	for _, name := range names {
		out = append(out, tables[name]...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	binary.BigEndian.PutUint32(out[head+8:], 0xb1b0afba-checksum(out))
	return out
}

// checksum is the sum of big-endian words, the last one filled with zeros.
func checksum(b []byte) (sum uint32) {
	for ; len(b) >= 4; b = b[4:] {
		sum += binary.BigEndian.Uint32(b)
	}
	var last [4]byte
	copy(last[:], b)
	return sum + binary.BigEndian.Uint32(last[:])
}
