package fatimage

import "fmt"

// WriteFAT32 writes a new image file. All names get a long name and a short one
// that is made up.
func (m *Image) WriteFAT32(path string) error {
	const own = 2 * record // "." and ".."
	p := &plan{Image: m, next: first}
	p.place(record, own, func(name string) int64 { return int64(len(longRecords(name, "")) + record) })
	clusters := max(int64(p.next)-first, leastFAT32)
	tableBytes := roundUp((clusters+first)*4, sector)
	tableOff := int64(reservedFAT * sector)
	heapOff := tableOff + 2*tableBytes
	size := heapOff + clusters*m.Cluster
	w, err := create(path, size)
	if err != nil {
		return err
	}
	boot := make([]byte, sector)
	copy(boot, "\xEB\x58\x90SALLYPRT\x00\x02")
	boot[13], boot[14], boot[16], boot[21] = byte(m.Cluster/sector), reservedFAT, 2, 0xF8
	le.PutUint32(boot[32:], uint32(size/sector))
	le.PutUint32(boot[36:], uint32(tableBytes/sector))
	le.PutUint32(boot[44:], first)
	boot[48], boot[50], boot[64], boot[66] = 1, 6, 0x80, 0x29
	copy(boot[67:], "\x78\x56\x34\x12NO NAME    FAT32   ")
	boot[510], boot[511] = 0x55, 0xAA
	info := make([]byte, sector)
	copy(info, "RRaA")
	copy(info[484:], "rrAa\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")
	info[510], info[511] = 0x55, 0xAA
	for _, at := range []int64{0, 6 * sector} {
		w.at(at, boot)
		w.at(at+sector, info)
	}
	table := make([]byte, tableBytes)
	p.chains(table, false)
	for i := 3; i < len(table); i += 4 {
		table[i] &= 0x0F
	}
	le.PutUint32(table, 0x0FFFFFF8)
	le.PutUint32(table[4:], 0x0FFFFFFF)
	w.at(tableOff, table)
	w.at(tableOff+tableBytes, table)

	at := func(r run) int64 { return heapOff + int64(r.at-first)*m.Cluster }
	root := make([]byte, 0, int64(p.root.n)*m.Cluster)
	for i, d := range m.Folders {
		root = appendShort(root, i, d.Name, 0x10, p.folders[i].at, 0)
		dir := appendRecord(nil, ".          ", 0x10, p.folders[i].at, 0)
		dir = appendRecord(dir, "..         ", 0x10, 0, 0)
		w.at(at(p.folders[i]), p.fatFiles(dir, d.Files, p.files[i]))
	}
	for i, f := range m.Files {
		root = appendShort(root, len(m.Folders)+i, f.Name, 0x20, p.files[len(m.Folders)][i].at, f.Size)
	}
	w.at(at(p.root), root)
	if w.err == nil {
		w.err = p.content(w.f, heapOff)
	}
	return w.close()
}

func (p *plan) fatFiles(dir []byte, files []File, places []run) []byte {
	for i, f := range files {
		dir = appendShort(dir, i, f.Name, 0x20, places[i].at, f.Size)
	}
	return dir
}

// appendShort appends the records of one name.
func appendShort(dir []byte, number int, name string, attr byte, cluster uint32, size int64) []byte {
	short := fmt.Sprintf("F%07dBIN", number)
	return appendRecord(append(dir, longRecords(name, short)...), short, attr, cluster, size)
}

func appendRecord(dir []byte, short string, attr byte, cluster uint32, size int64) []byte {
	rec := make([]byte, record)
	copy(rec, short)
	rec[11] = attr
	le.PutUint16(rec[16:], dosDate)
	le.PutUint16(rec[18:], dosDate)
	le.PutUint16(rec[20:], uint16(cluster>>16))
	le.PutUint16(rec[24:], dosDate)
	le.PutUint16(rec[26:], uint16(cluster))
	le.PutUint32(rec[28:], uint32(size))
	return append(dir, rec...)
}

// longRecords returns the parts of a long name, the last one first.
func longRecords(name, short string) []byte {
	u := units(name)
	sum := byte(0)
	for i := range len(short) {
		sum = sum>>1 + sum<<7 + short[i]
	}
	parts := (len(u) + 12) / 13
	var out []byte
	for n := parts; n > 0; n-- {
		rec := make([]byte, record)
		rec[0], rec[11], rec[13] = byte(n), 0x0F, sum
		if n == parts {
			rec[0] |= 0x40
		}
		for i, to := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
			v := uint16(0xFFFF)
			switch at := (n-1)*13 + i; {
			case at < len(u):
				v = u[at]
			case at == len(u):
				v = 0
			}
			le.PutUint16(rec[to:], v)
		}
		out = append(out, rec...)
	}
	return out
}
