package parttable

import (
	"encoding/binary"
	"slices"

	"sallyport/internal/volume/layout"
)

var be = binary.BigEndian

// other recognises a table that is not read, at the beginning of a medium or of
// a volume: its word and what it is called, or "" twice.
func other(p *layout.Probe) (kind, name string) {
	first := [sector512]byte(p.At(0, sector512))
	switch {
	// Inside Macintosh: Devices, chapter 3: the driver descriptor with the
	// size of a block, and the map itself in block 1.
	case string(first[:2]) == "ER" && apple(p, int64(be.Uint16(first[2:]))):
		return "apm", "an Apple partition map"
	// Linux, block/partitions/sgi.c and fdisk's sgi.c: magic, and a checksum
	// that makes all words add up to zero.
	case be.Uint32(first[:]) == 0x0BE5A941 && wordSum(first[:]) == 0:
		return "sgi", "an SGI disk label"
	// Linux, block/partitions/sun.c: magic, and an exclusive or of zero.
	case be.Uint16(first[508:]) == 0xDABE && halfXor(first[:]) == 0:
		return "sun", "a Sun disk label"
	case bsd(p.At(sector512, sector512)) || bsd(first[64:]):
		return "bsd", "a BSD disk label"
	case amiga(p):
		return "amiga", "an Amiga partition table"
	case atari(first[:], p.Size()):
		return "atari", "an Atari partition table"
	}
	return "", ""
}

// apple looks for the map's signature in block 1. The size of a block is what
// the driver descriptor says; boot code for PCs may stand in its place.
func apple(p *layout.Probe, block int64) bool {
	for _, at := range []int64{block, 512, 2048} {
		if at >= 512 && at <= 4096 && string(p.At(at, 4)) == "PM\x00\x00" {
			return true
		}
	}
	return false
}

// bsd checks both magics of a label (FreeBSD, sys/disk/bsd.h).
func bsd(b []byte) bool {
	for _, order := range []binary.ByteOrder{le, be} {
		if order.Uint32(b) == 0x82564557 && order.Uint32(b[132:]) == 0x82564557 {
			return true
		}
	}
	return false
}

// amiga looks for a rigid disk block, which may stand in one of the first 16
// sectors and whose words add up to zero (Linux, block/partitions/amiga.c).
func amiga(p *layout.Probe) bool {
	for at := range int64(16) {
		if b := p.At(at*sector512, sector512); string(b[:4]) == "RDSK" && wordSum(b[:min(4*uint64(be.Uint32(b[4:])), sector512)]) == 0 {
			return true
		}
	}
	return false
}

// atari has no magic: one entry has to be of a known kind and on the medium
// (Linux, block/partitions/atari.c; libblkid, atari.c).
func atari(first []byte, size int64) bool {
	known := []string{"GEM", "BGM", "XGM", "RAW", "LNX", "SWP"}
	for at := 0x1C6; at < 0x1F6; at += 12 {
		e := first[at:][:12]
		start, count := int64(be.Uint32(e[4:])), int64(be.Uint32(e[8:]))
		if e[0]&1 != 0 && slices.Contains(known, string(e[1:4])) && start > 0 && count > 0 && start+count <= size/sector512 {
			return true
		}
	}
	return false
}

// wordSum adds the words of a sector up.
func wordSum(b []byte) (sum uint32) {
	for ; len(b) >= 4; b = b[4:] {
		sum += be.Uint32(b)
	}
	return sum
}

func halfXor(b []byte) (sum uint16) {
	for ; len(b) >= 2; b = b[2:] {
		sum ^= be.Uint16(b)
	}
	return sum
}

// Inside names the partition table that stands at the beginning of a partition,
// where none belongs, or returns "". A boot sector may carry boot code in its
// place; see [Read] on bootSector.
func Inside(p *layout.Probe, bootSector bool) string {
	for _, size := range []int64{sector512, sector4096} {
		if string(p.At(size, len(gptMagic))) == gptMagic {
			return "a GUID partition table (GPT)"
		}
	}
	m := parseMBR(p.At(0, sector512))
	if m.reachesInto(p.Size()) || m.protective() || !bootSector && m.valid && m.used() > 0 {
		return "an MBR partition table"
	}
	_, name := other(p)
	return name
}
