package fat32

// Numbers of sectors from the beginning of the partition.
const (
	infoSector   = 1
	backupSector = 6
	bootSectors  = backupSector + 2
)

// piece is something that is written at one place.
type piece struct {
	off int64
	p   []byte
}

// boot returns the boot sector (FAT specification section 3).
func (l *Layout) boot() piece {
	b := make([]byte, l.sector)
	copy(b, "\xEB\x58\x90MSWIN4.1") // the name that the specification recommends
	le.PutUint16(b[11:], uint16(l.sector))
	b[13] = byte(l.cluster / l.sector)
	le.PutUint16(b[14:], uint16((l.tableOff-partAt)/l.sector))
	b[16], b[21] = 2, 0xF8
	le.PutUint16(b[24:], 63) // sectors of a track and heads, which nobody has any more
	le.PutUint16(b[26:], 255)
	le.PutUint32(b[28:], uint32(partAt/l.sector))
	le.PutUint32(b[32:], uint32((l.end-partAt)/l.sector))
	le.PutUint32(b[36:], uint32(l.table/l.sector))
	le.PutUint32(b[44:], first)
	le.PutUint16(b[48:], infoSector)
	le.PutUint16(b[50:], backupSector)
	b[64], b[66] = 0x80, 0x29
	le.PutUint32(b[67:], l.serial)
	copy(b[71:], "NO NAME    FAT32   ")
	copy(b[90:], "\xF4\xEB\xFD") // hlt; again: nothing starts from this medium
	b[510], b[511] = 0x55, 0xAA
	return piece{partAt, b}
}

// info returns the sector that counts free clusters (section 5).
func (l *Layout) info() []byte {
	used, last := int64(0), int64(first)
	for _, list := range [][]*node{l.folders, l.files} {
		for _, n := range list {
			if u := l.used(n); u > 0 {
				used, last = used+u, n.first+u-1
			}
		}
	}
	b := make([]byte, l.sector)
	copy(b, "RRaA")
	copy(b[484:], "rrAa")
	le.PutUint32(b[488:], uint32(l.clusters-used))
	le.PutUint32(b[492:], uint32(last))
	b[510], b[511] = 0x55, 0xAA
	return b
}

// mbr returns the partition table, with one partition.
func (l *Layout) mbr() []byte {
	b := make([]byte, l.sector)
	le.PutUint32(b[440:], l.serial)
	e := b[446:]
	copy(e[1:], "\xFE\xFF\xFF\x0C\xFE\xFF\xFF") // FAT32 by LBA; addresses that are no cylinder, head and sector
	le.PutUint32(e[8:], uint32(partAt/l.sector))
	le.PutUint32(e[12:], uint32((l.end-partAt)/l.sector))
	b[510], b[511] = 0x55, 0xAA
	return b
}

// heads returns all sectors before the first FAT that are not empty, but for the
// boot sector.
func (l *Layout) heads() []piece {
	info, at := l.info(), func(n int64) int64 { return partAt + n*l.sector }
	return []piece{{at(infoSector), info}, {at(backupSector), l.boot().p}, {at(backupSector + infoSector), info}, {0, l.mbr()}}
}

// used returns how many of the clusters that are kept for it a node has.
func (l *Layout) used(n *node) int64 {
	if n.absent {
		return 0
	}
	return (n.size + l.cluster - 1) / l.cluster
}

// records returns the records of a folder, in whole clusters.
func (l *Layout) records(f *node) []byte {
	dir := make([]byte, 0, f.count*l.cluster)
	if f.parent != nil {
		above := f.parent.first
		if f.parent.parent == nil {
			above = 0 // what stands for the root
		}
		dir = l.appendShort(dir, [11]byte([]byte(".          ")), 0x10, f.first, 0)
		dir = l.appendShort(dir, [11]byte([]byte("..         ")), 0x10, above, 0)
	}
	for _, n := range f.nodes {
		if !n.absent {
			dir = l.appendRecords(dir, n)
		}
	}
	return dir[:cap(dir)]
}

// chains fills p with the entries of a FAT from byte off on; both are multiples
// of four. Clusters of a node follow each other, and nodes lie in the order of
// their clusters.
func (l *Layout) chains(p []byte, off int64) {
	clear(p)
	from, to := off/4, (off+int64(len(p)))/4
	put := func(cluster int64, v uint32) {
		if cluster >= from && cluster < to {
			le.PutUint32(p[(cluster-from)*4:], v)
		}
	}
	const end = 0x0FFFFFFF
	put(0, 0x0FFFFFF8)
	put(1, end)
	for _, list := range [][]*node{l.folders, l.files} {
		for _, n := range list {
			last := n.first + l.used(n) - 1
			if last < max(from, n.first) || n.first >= to {
				continue
			}
			for c := max(from, n.first); c < min(to, last); c++ {
				put(c, uint32(c+1))
			}
			put(last, end)
		}
	}
}

// structures calls put with every folder and every part of both FATs. The bytes
// are valid until put returns.
func (l *Layout) structures(buf []byte, put func(what string, off int64, p []byte) error) error {
	for _, f := range l.folders {
		if err := put("the folder /"+f.path, l.at(f.first), l.records(f)); err != nil {
			return err
		}
	}
	for n, name := range []string{"the first file allocation table", "the second file allocation table"} {
		for off := int64(0); off < l.table; off += int64(len(buf)) {
			p := buf[:min(int64(len(buf)), l.table-off)]
			l.chains(p, off)
			if err := put(name, l.tableOff+int64(n)*l.table+off, p); err != nil {
				return err
			}
		}
	}
	return nil
}
