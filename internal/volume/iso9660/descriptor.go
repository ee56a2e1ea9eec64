package iso9660

import (
	"bytes"
	"fmt"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// kind of a tree.
type kind int

const (
	primary       kind = iota
	supplementary      // in a character set that nobody agreed on
	enhanced           // ISO 9660:1999
	joliet
)

func (k kind) String() string {
	return [...]string{"primary", "supplementary", "ISO 9660:1999", "Joliet"}[k]
}

// Types of volume descriptors (ECMA-119 section 8.1.1).
const (
	primaryType       = 1
	supplementaryType = 2
	terminatorType    = 255

	// maxDescriptors of one volume are read.
	maxDescriptors = 64
)

// descriptor is a primary, supplementary or enhanced volume descriptor
// (sections 8.4 and 8.5).
type descriptor struct {
	kind   kind
	at     int64 // on the device
	block  int64 // bytes of a logical block
	space  uint32
	seq    uint16
	root   record
	tables [4]uint32 // L, optional L, M, optional M
	// tableBytes is the length of each of them.
	tableBytes uint32
	label      string
}

func (d *descriptor) place(field string) layout.Place {
	return layout.Place{What: fmt.Sprintf("%s volume descriptor, %s", d.kind, field), Off: d.at}
}

// offset of a logical block from the volume's beginning.
func (d *descriptor) offset(block uint32) int64 { return int64(block) * d.block }

// blocks that n bytes take.
func (d *descriptor) blocks(n uint32) int64 { return (int64(n) + d.block - 1) / d.block }

// both reads a number recorded in both byte orders (section 7.3.3).
func both(p []byte) (n uint32, agree bool) {
	n = le.Uint32(p)
	return n, n == be.Uint32(p[4:])
}

// both16 is both for 16 bits (section 7.2.3).
func both16(p []byte) (n uint16, agree bool) {
	n = le.Uint16(p)
	return n, n == be.Uint16(p[2:])
}

// descriptors reads the set of volume descriptors and returns those that have a
// tree, the primary one first.
func (v *volume) descriptors() ([]*descriptor, error) {
	const what = "volume descriptor"
	var list []*descriptor
	var first []byte
	for n := int64(0); ; n++ {
		at := v.w.Vol.Offset + (firstSector+n)*sectorBytes
		if n >= maxDescriptors {
			return nil, verdict.New(verdict.FilesystemInconsistent, layout.At(what, at), "after %d descriptors there is still no end of the set", n)
		}
		b := make([]byte, sectorBytes)
		if err := v.w.Dev.Read(b, at, what); err != nil {
			return nil, err
		}
		if string(b[1:6]) != identifier {
			return nil, verdict.New(verdict.FilesystemInconsistent, layout.At(what, at), "the set of descriptors stops there without its end mark")
		}
		if b[0] == terminatorType {
			break
		}
		switch b[0] {
		case primaryType:
			if first != nil {
				if !bytes.Equal(first, b) {
					if err := v.w.Inconsistent(layout.At(what, at), "a second primary descriptor that differs from the first one: systems would see different contents"); err != nil {
						return nil, err
					}
				}
				continue
			}
			first = b
		case supplementaryType:
		default:
			continue // boot records, partitions and types to come (section 8.1.1)
		}
		d, err := v.newDescriptor(b, at)
		if err != nil {
			return nil, err
		}
		if list = append(list, d); d.kind == primary {
			list[0], list[len(list)-1] = d, list[0]
		}
	}
	if first == nil {
		return nil, verdict.New(verdict.FilesystemInconsistent, layout.At(what, v.w.Vol.Offset+firstSector*sectorBytes), "there is no primary descriptor")
	}
	for _, d := range list[1:] {
		if d.block != list[0].block {
			return nil, inconsistent(d.place("logical block size"), "%d bytes, and %d in the primary one", d.block, list[0].block)
		}
	}
	return list, nil
}

// newDescriptor checks a descriptor. Its error ends the walk: nothing else can
// be located by it.
func (v *volume) newDescriptor(b []byte, at int64) (*descriptor, error) {
	d := &descriptor{at: at}
	if b[0] == supplementaryType {
		d.kind = supplementary
		if escape := string(b[88:91]); b[6] == 2 {
			d.kind = enhanced
		} else if escape == "%/@" || escape == "%/C" || escape == "%/E" {
			d.kind = joliet
		}
	}
	version := byte(1)
	if d.kind == enhanced {
		version = 2
	}
	if b[6] != version || b[881] != version {
		return nil, unsupported(d.place("version"), "version %d with file structure version %d", b[6], b[881])
	}
	var ok [6]bool
	var block, set uint16
	d.space, ok[0] = both(b[80:])
	set, ok[1] = both16(b[120:])
	d.seq, ok[2] = both16(b[124:])
	block, ok[3] = both16(b[128:])
	d.tableBytes, ok[4] = both(b[132:])
	ok[5] = true
	for i, field := range []string{"volume space size", "volume set size", "volume sequence number", "logical block size", "path table size"} {
		if !ok[i] {
			return nil, inconsistent(d.place(field), "it is another number in each of its two byte orders: systems would see different contents")
		}
	}
	d.block = int64(block)
	if block != 512 && block != 1024 && block != 2048 {
		return nil, inconsistent(d.place("logical block size"), "%d bytes; it has to be 512, 1024 or 2048", block)
	}
	if d.seq > max(set, 1) {
		return nil, inconsistent(d.place("volume sequence number"), "volume %d of %d", d.seq, set)
	}
	d.tables = [4]uint32{le.Uint32(b[140:]), le.Uint32(b[144:]), be.Uint32(b[148:]), be.Uint32(b[152:])}
	root, why := parseRecord(b[156:190], at+156)
	d.root = root
	d.root.b, d.root.id, d.root.use = nil, nil, nil
	switch {
	case why != "":
		return nil, inconsistent(d.place("root folder"), "%s", why)
	case b[156] != 34 || b[188] != 1 || b[189] != 0 || root.flags&(flagFolder|flagMulti|flagAssociated) != flagFolder || root.unit|root.gap != 0:
		return nil, inconsistent(d.place("root folder"), "it is not the record of a folder in one piece")
	}
	if f := v.misplaced(d, &root, d.place("root folder")); f != nil {
		return nil, f
	}
	v.label(d, b)
	return d, v.checkSize(d)
}

// checkSize compares the size that a descriptor claims with the room there is.
func (v *volume) checkSize(d *descriptor) error {
	total := int64(d.space) * d.block
	end, place := v.w.Vol.Offset+total, d.place("volume space size")
	switch {
	case end > v.w.Dev.Size():
		return v.w.Problem(verdict.New(verdict.Truncated, place.String(), "the file system ends at byte %d and the medium at byte %d", end, v.w.Dev.Size()))
	case total > v.w.Vol.Size:
		return v.w.Problem(inconsistent(place, "the file system claims %d bytes and its partition has %d", total, v.w.Vol.Size))
	}
	return nil
}

// label takes the volume identifier (section 8.4.6) and, of the primary
// descriptor, the time that other systems use as the volume's identity
// (sections 8.4.26 and 8.4.27).
func (v *volume) label(d *descriptor, b []byte) {
	id := bytes.TrimRight(b[40:72], " \x00")
	if d.kind == joliet {
		v.decode(b[40:72])
		for n := len(v.units); n > 0 && (v.units[n-1] == ' ' || v.units[n-1] == 0); n-- {
			v.units = v.units[:n-1]
		}
		id, _ = layout.AppendName(nil, v.units)
		if len(v.units) == 0 {
			id = nil
		}
	} else if len(id) > 0 {
		id, _ = layout.AppendText(nil, id)
	}
	d.label = string(id)
	if d.kind != primary {
		return
	}
	for _, t := range [][]byte{b[830:846], b[813:829]} {
		if digits(t) && !bytes.Equal(t, []byte("0000000000000000")) {
			v.w.Vol.ID = fmt.Sprintf("%s-%s-%s-%s-%s-%s-%s", t[:4], t[4:6], t[6:8], t[8:10], t[10:12], t[12:14], t[14:16])
			return
		}
	}
}

func digits(p []byte) bool {
	for _, c := range p {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
