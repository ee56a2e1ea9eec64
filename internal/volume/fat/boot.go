package fat

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

var le = binary.LittleEndian

// Offsets in the boot sector (FAT specification 1.03, section 3).
const (
	atSectorBytes    = 11
	atClusterSectors = 13
	atReserved       = 14
	atCopies         = 16
	atRootEntries    = 17
	atTotal16        = 19
	atMedia          = 21
	atFATSectors16   = 22
	atTotal32        = 32
	atFATSectors32   = 36
	atFlags32        = 40
	atVersion32      = 42
	atRootCluster    = 44
	atBackup         = 50
	atExtended16     = 36 // drive, reserved, signature, serial, label, type
	atExtended32     = 64

	bootBytes = 512
)

// boot is the geometry of a volume; offsets are absolute on the device, all
// lengths in bytes. newBoot has checked that none of them overflows and that
// the regions follow each other inside total.
type boot struct {
	bits        int
	sectorBytes int64
	heap        layout.Clusters
	reserved    int64
	tableOff    int64 // first copy of the FAT
	tableBytes  int64 // one copy
	copies      int64
	rootOff     int64 // FAT12 and FAT16
	rootBytes   int64
	rootCluster uint32 // FAT32
	active      byte   // which copy counts when the copies are not mirrored
	media       byte
	backup      int64 // of the boot sector, relative to the volume; 0 for none
	total       int64
	label, id   string
}

// Recognise says whether a sector of 512 bytes claims to be the boot sector of
// a FAT volume. Whether the claim holds is for [Walk] to find out.
func Recognise(b []byte) bool {
	if len(b) < bootBytes || b[510] != 0x55 || b[511] != 0xAA {
		return false
	}
	if bytes.HasPrefix(b[54:], []byte("FAT1")) || bytes.HasPrefix(b[82:], []byte("FAT32")) {
		return true
	}
	return powerOfTwo(int64(le.Uint16(b[atSectorBytes:])), 512, 4096) && powerOfTwo(int64(b[atClusterSectors]), 1, 128) &&
		le.Uint16(b[atReserved:]) != 0 && (b[atCopies] == 1 || b[atCopies] == 2) && goodMedia(b[atMedia]) &&
		(b[0] == 0xEB || b[0] == 0xE9)
}

func powerOfTwo(n, least, most int64) bool { return n >= least && n <= most && n&(n-1) == 0 }

func goodMedia(m byte) bool { return m == 0xF0 || m >= 0xF8 }

func bad(what, detail string, args ...any) error {
	return verdict.New(verdict.FilesystemInconsistent, "boot sector, "+what, detail, args...)
}

// newBoot reads the geometry from the boot sector of a volume at off.
func newBoot(b []byte, off int64) (*boot, error) {
	v := &boot{
		sectorBytes: int64(le.Uint16(b[atSectorBytes:])), copies: int64(b[atCopies]), media: b[atMedia],
		reserved: int64(le.Uint16(b[atReserved:])),
	}
	clusterSectors := int64(b[atClusterSectors])
	rootEntries, fatSectors := int64(le.Uint16(b[atRootEntries:])), int64(le.Uint16(b[atFATSectors16:]))
	total := int64(le.Uint16(b[atTotal16:]))
	switch {
	case !powerOfTwo(v.sectorBytes, 512, 4096):
		return nil, bad("bytes per sector", "%d is not 512, 1024, 2048 or 4096", v.sectorBytes)
	case !powerOfTwo(clusterSectors, 1, 128):
		return nil, bad("sectors per cluster", "%d is not a power of two up to 128", clusterSectors)
	case v.reserved == 0:
		return nil, bad("reserved sectors", "there are none, although this sector is one")
	case v.copies != 1 && v.copies != 2:
		return nil, bad("number of FATs", "%d is not 1 or 2", v.copies)
	case !goodMedia(v.media):
		return nil, bad("media byte", "%#02x does not exist", v.media)
	}
	if total == 0 {
		total = int64(le.Uint32(b[atTotal32:]))
	}
	// Linux, Windows and mtools go by this field, and so do we; the
	// specification counts clusters, which only decides between 12 and 16 bits.
	wide := fatSectors == 0
	ext := b[atExtended16:]
	if wide {
		fatSectors, ext = int64(le.Uint32(b[atFATSectors32:])), b[atExtended32:]
		if err := v.wide(b, rootEntries); err != nil {
			return nil, err
		}
	} else if rootEntries == 0 {
		return nil, bad("root entries", "a FAT12 or FAT16 volume needs some")
	} else if rootEntries*layout.RecordBytes%v.sectorBytes != 0 {
		// Linux refuses it; others would look for the data in another place.
		return nil, bad("root entries", "%d do not fill whole sectors", rootEntries)
	}
	rootSectors := rootEntries * layout.RecordBytes / v.sectorBytes
	head := v.reserved + v.copies*fatSectors + rootSectors
	if fatSectors == 0 || head >= total || (total-head)/clusterSectors == 0 {
		return nil, bad("total sectors", "%d do not hold the %d sectors before the data and one cluster", total, head)
	}
	clusters := (total - head) / clusterSectors
	if err := v.width(wide, clusters, fatSectors*v.sectorBytes); err != nil {
		return nil, err
	}
	v.heap = layout.Clusters{Off: off + head*v.sectorBytes, Bytes: clusterSectors * v.sectorBytes, Count: uint32(clusters)}
	v.reserved *= v.sectorBytes
	v.tableBytes, v.tableOff = fatSectors*v.sectorBytes, off+v.reserved
	v.rootOff, v.rootBytes = v.tableOff+v.copies*v.tableBytes, rootEntries*layout.RecordBytes
	v.total = total * v.sectorBytes
	if ext[2] == 0x28 || ext[2] == 0x29 {
		id := le.Uint32(ext[3:])
		v.id = fmt.Sprintf("%04X-%04X", id>>16, id&0xFFFF)
	}
	if ext[2] == 0x29 {
		if v.label = labelText(ext[7:18]); v.label == "NO NAME" {
			v.label = ""
		}
	}
	if wide && !v.heap.Exists(v.rootCluster) {
		return nil, bad("root cluster", "%d does not exist; there are %d clusters", v.rootCluster, v.heap.Count)
	}
	return v, nil
}

// wide reads what only FAT32 has.
func (v *boot) wide(b []byte, rootEntries int64) error {
	flags, version := le.Uint16(b[atFlags32:]), le.Uint16(b[atVersion32:])
	v.rootCluster = le.Uint32(b[atRootCluster:])
	if n := le.Uint16(b[atBackup:]); n != 0xFFFF && int64(n) < v.reserved {
		v.backup = int64(n) * v.sectorBytes
	}
	switch {
	case version != 0:
		return bad("version", "%#04x is not version 0 of FAT32", version)
	case rootEntries != 0:
		return bad("root entries", "a FAT32 volume has none here, not %d", rootEntries)
	case v.rootCluster < 2:
		return bad("root cluster", "%d does not exist", v.rootCluster)
	}
	if flags&0x80 != 0 {
		if v.active = byte(flags & 0xF); int64(v.active) >= v.copies {
			return bad("active FAT", "FAT %d of %d", v.active+1, v.copies)
		}
	}
	return nil
}

// width decides how many bits an entry of the FAT has, and whether the FAT has
// room for all clusters.
func (v *boot) width(wide bool, clusters, tableBytes int64) error {
	const most12, most16, most32 = 4084, 65524, 0x0FFFFFF5
	v.bits = 12
	most := int64(most12)
	switch {
	case wide:
		v.bits, most = 32, most32
	case clusters > most12:
		v.bits, most = 16, most16
	}
	if clusters > most {
		return bad("total sectors", "%d clusters are too many for FAT%d", clusters, v.bits)
	}
	if need := ((clusters+2)*int64(v.bits) + 7) / 8; need > tableBytes {
		return bad("FAT size", "%d bytes do not hold the entries of %d clusters", tableBytes, clusters)
	}
	return nil
}

// labelText renders the 11 bytes of a volume label.
func labelText(b []byte) string {
	text := make([]rune, 0, 11)
	for _, c := range bytes.TrimRight(b, " \x00") {
		if c < 0x20 || c >= 0x7F {
			text = append(text, '\uFFFD')
			continue
		}
		text = append(text, rune(c))
	}
	return string(text)
}

// sameGeometry compares what two boot sectors say about where things are. The
// rest may differ in peace: boot code, labels, dirty flags, hidden sectors.
func sameGeometry(a, b []byte) bool {
	return bytes.Equal(a[atSectorBytes:24], b[atSectorBytes:24]) && bytes.Equal(a[atTotal32:48], b[atTotal32:48])
}
