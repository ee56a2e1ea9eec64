package fat

import (
	"bytes"
	"fmt"

	"sallyport/internal/volume/layout"
)

// The values of a FAT entry (FAT specification section 4), widened to 28 bits.
const (
	free      = 0
	badMark   = 0x0FFFFFF7
	endMark   = 0x0FFFFFF8 // and above
	entryMask = 0x0FFFFFFF // the upper four bits of FAT32 belong to nobody
)

// entry returns the FAT entry of a cluster below clusters+2. Marks of FAT12
// and FAT16 are widened to those of FAT32.
func (v *volume) entry(cluster uint32) (uint32, error) {
	switch v.bits {
	case 32:
		p, err := v.table.From(int64(cluster) * 4)
		if err != nil {
			return 0, err
		}
		return le.Uint32(p) & entryMask, nil
	case 16:
		p, err := v.table.From(int64(cluster) * 2)
		if err != nil {
			return 0, err
		}
		return widen(uint32(le.Uint16(p)), 16), nil
	default:
		// A FAT12 has at most 6129 bytes in use, so no entry crosses a block.
		p, err := v.table.From(int64(cluster) * 3 / 2)
		if err != nil {
			return 0, err
		}
		n := uint32(le.Uint16(p))
		if cluster&1 != 0 {
			n >>= 4
		}
		return widen(n&0xFFF, 12), nil
	}
}

func widen(n uint32, bits uint) uint32 {
	if top := uint32(1)<<bits - 1; n >= top-8 {
		return n | entryMask&^top
	}
	return n
}

// link says in words what an entry is that should have been a cluster.
func (v *volume) link(n uint32) string {
	switch {
	case n == free:
		return "a cluster marked as free"
	case n == badMark:
		return "a cluster marked as bad"
	case n >= endMark:
		return "the end mark"
	default:
		return fmt.Sprintf("cluster %d, which does not exist", n)
	}
}

// checkTable reads every copy of the FAT once: they must agree on each cluster,
// and the first entry must repeat the media byte.
func (v *volume) checkTable() error {
	used := (int64(v.heap.Count+layout.FirstCluster)*int64(v.bits) + 7) / 8
	const block = 252 << 10 // a multiple of the sizes of two FAT12 entries and of one of the others
	a, b := make([]byte, min(block, used)), make([]byte, min(block, used))
	for off := int64(0); off < used; off += block {
		a, b = a[:min(block, used-off)], b[:min(block, used-off)]
		if err := v.w.Dev.Read(a, v.tableOff+off, "FAT 1"); err != nil {
			return err
		}
		if off == 0 && a[0] != v.media {
			if err := v.w.Inconsistent(layout.At("FAT 1", v.tableOff), "it begins with %#02x and not with the media byte %#02x: this is not the FAT", a[0], v.media); err != nil {
				return err
			}
		}
		if v.copies == 1 {
			return nil
		}
		if err := v.w.Dev.Read(b, v.tableOff+v.tableBytes+off, "FAT 2"); err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			if off == 0 {
				v.maskFlags(a)
				v.maskFlags(b)
			}
			if at, differ := v.firstDifference(a, b); differ {
				return v.w.Inconsistent(layout.At("FAT 2", v.tableOff+v.tableBytes+off+at), "the two file allocation tables differ there")
			}
		}
	}
	return nil
}

// maskFlags clears the flags "clean" and "no error" in entry 1, which systems
// write to one copy only.
func (v *volume) maskFlags(p []byte) {
	switch v.bits {
	case 32:
		p[7] &^= 0x0C
	case 16:
		p[3] &^= 0xC0
	}
}

// firstDifference compares entries, leaving out what is not part of any: the
// upper bits of FAT32 and the half byte behind the last entry of FAT12.
func (v *volume) firstDifference(a, b []byte) (int64, bool) {
	for i := range a {
		mask := byte(0xFF)
		switch {
		case v.bits == 32 && i%4 == 3:
			mask = 0x0F
		case v.bits == 12 && i == len(a)-1 && v.heap.Count&1 != 0: // all of a FAT12 is one block
			mask = 0x0F
		}
		if (a[i]^b[i])&mask != 0 {
			return int64(i), true
		}
	}
	return 0, false
}
