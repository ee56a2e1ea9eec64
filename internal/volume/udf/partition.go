package udf

import (
	"bytes"
	"fmt"
	"sort"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	oldestRevision = 0x0100
	newestRevision = 0x0260

	// Access types of a partition (ECMA-167 section 3/10.5.7; 0 is that of UDF
	// 2.60 for discs that are overwritten in appearance).
	accessPseudo    = 0
	accessReadOnly  = 1
	accessWriteOnce = 2
)

// partition is what one partition map describes. Its kinds may be combined: a
// virtual partition and one of metadata lie in a plain or sparable one.
type partition struct {
	number   uint16 // of the partition descriptor
	start    int64  // sectors from the volume's beginning
	length   int64  // sectors
	readOnly bool

	spared []spare // of a sparable partition, by block
	packet int64   // its blocks that are spared together

	virtual bool
	table   []byte // of a virtual partition: the numbers of blocks

	metadata bool
	runs     []run // of a partition of metadata, by block
}

// spare says that a packet of blocks stands elsewhere.
type spare struct {
	block  uint32 // in the partition
	sector uint32 // of the volume
}

// run says where n blocks of a partition of metadata are.
type run struct {
	block  int64
	sector int64 // or -1 where nothing is recorded
	n      int64
}

// locate returns the sector of a block, and for how many blocks from there on
// the sectors follow each other; or why there is none.
func (v *volume) locate(a addr) (sector, n int64, why string) {
	if int(a.ref) >= len(v.parts) {
		return 0, 0, fmt.Sprintf("partition %d does not exist; there are %d", a.ref, len(v.parts))
	}
	p, block := &v.parts[a.ref], int64(a.block)
	switch {
	case p.virtual:
		if block >= int64(len(p.table)/4) {
			return 0, 0, fmt.Sprintf("block %d is not in the table of virtual blocks, which has %d", block, len(p.table)/4)
		}
		to := le.Uint32(p.table[block*4:])
		if int64(to) >= p.length {
			return 0, 0, fmt.Sprintf("virtual block %d is unused or at block %d, outside its partition", block, to)
		}
		return p.start + int64(to), 1, ""
	case p.metadata:
		i := sort.Search(len(p.runs), func(i int) bool { return p.runs[i].block+p.runs[i].n > block })
		if i == len(p.runs) || p.runs[i].sector < 0 {
			return 0, 0, fmt.Sprintf("block %d is outside the metadata file", block)
		}
		r := p.runs[i]
		return r.sector + block - r.block, r.n - (block - r.block), ""
	case block >= p.length:
		return 0, 0, fmt.Sprintf("block %d is outside its partition of %d blocks", block, p.length)
	case len(p.spared) > 0:
		sector, n = p.sparedAt(block)
		return sector, n, ""
	}
	return p.start + block, p.length - block, ""
}

// sparedAt is locate for a sparable partition.
func (p *partition) sparedAt(block int64) (sector, n int64) {
	i := sort.Search(len(p.spared), func(i int) bool { return int64(p.spared[i].block)+p.packet > block })
	end := p.length
	if i < len(p.spared) {
		s := p.spared[i]
		if in := block - int64(s.block); in >= 0 {
			return int64(s.sector) + in, min(p.packet, p.length-int64(s.block)) - in
		}
		end = int64(s.block)
	}
	return p.start + block, end - block
}

// openPartitions reads the partition maps (ECMA-167 section 3/10.7, UDF 2.60
// section 2.2.8 to 2.2.10).
func (v *volume) openPartitions(set *sequence) error {
	d := set.logical
	const what = "logical volume descriptor"
	size, count := int64(le.Uint32(d[264:])), le.Uint32(d[268:])
	switch revision := le.Uint16(d[240:]); {
	case int64(le.Uint32(d[212:])) != v.sector:
		return verdict.New(verdict.FilesystemUnsupported, what, "UDF with blocks of %d bytes in sectors of %d", le.Uint32(d[212:]), v.sector)
	case !isEntity(d[216:], "*OSTA UDF Compliant"):
		return verdict.New(verdict.FilesystemUnsupported, what, "a volume of ECMA-167 that is not UDF")
	case revision < oldestRevision || revision > newestRevision:
		return verdict.New(verdict.FilesystemUnsupported, what, "UDF revision %x.%02x; this station reads 1.02 to 2.60", revision>>8, revision&0xFF)
	case size > v.sector-440:
		return verdict.New(verdict.FilesystemInconsistent, what, "its partition maps of %d bytes do not fit into it", size)
	case count == 0 || count > maxPartitions:
		return verdict.New(verdict.FilesystemInconsistent, what, "it has %d partition maps", count)
	}
	maps := d[440 : 440+size]
	var all [][]byte
	for range count {
		if len(maps) < 6 || len(maps) < int(maps[1]) || maps[0] == 1 && maps[1] != 6 || maps[0] == 2 && maps[1] != 64 || maps[0] < 1 || maps[0] > 2 {
			return verdict.New(verdict.FilesystemInconsistent, what, "its partition maps are not as long as they say")
		}
		all = append(all, maps[:maps[1]])
		maps = maps[maps[1]:]
	}
	v.parts = make([]partition, len(all))
	for i, m := range all {
		if err := v.openMap(&v.parts[i], m, set); err != nil {
			return err
		}
	}
	// Those of metadata and of virtual blocks are in files of the others.
	for i, m := range all {
		var err error
		switch p := &v.parts[i]; {
		case p.virtual:
			err = v.openVirtual(i)
		case p.metadata:
			err = v.openMetadata(i, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// openMap fills in what a map and its partition descriptor say themselves.
func (v *volume) openMap(p *partition, m []byte, set *sequence) error {
	const what = "partition map"
	volume, number := le.Uint16(m[2:]), le.Uint16(m[4:])
	if m[0] == 2 {
		volume, number = le.Uint16(m[36:]), le.Uint16(m[38:])
	}
	d := set.partition(number)
	switch {
	case volume != le.Uint16(set.primary[56:]):
		return verdict.New(verdict.FilesystemUnsupported, what, "UDF over several volumes: a part of it is on volume %d and this is volume %d", volume, le.Uint16(set.primary[56:]))
	case d == nil:
		return verdict.New(verdict.FilesystemInconsistent, what, "partition %d has no descriptor", number)
	}
	if err := v.openDescriptor(p, d); err != nil || m[0] == 1 {
		return err
	}
	switch {
	case isEntity(m[4:], "*UDF Virtual Partition"):
		p.virtual = true
	case isEntity(m[4:], "*UDF Sparable Partition"):
		return v.openSparable(p, m)
	case isEntity(m[4:], "*UDF Metadata Partition"):
		p.metadata = true
	default:
		return verdict.New(verdict.FilesystemUnsupported, what, "UDF with a partition of the type %q", bytes.TrimRight(m[5:28], "\x00"))
	}
	return nil
}

// openDescriptor takes place and size from a partition descriptor (ECMA-167
// section 3/10.5) and compares them with the room there is.
func (v *volume) openDescriptor(p *partition, d []byte) error {
	const what = "partition descriptor"
	access := le.Uint32(d[184:])
	p.number = le.Uint16(d[22:])
	p.start, p.length = int64(le.Uint32(d[188:])), int64(le.Uint32(d[192:]))
	p.readOnly = access == accessReadOnly
	end := p.start + p.length
	switch {
	case !isEntity(d[24:], "+NSR02") && !isEntity(d[24:], "+NSR03"):
		return verdict.New(verdict.FilesystemUnsupported, what, "its content is not that of ECMA-167")
	case p.length == 0 || end >= 1<<32:
		return verdict.New(verdict.FilesystemInconsistent, what, "sectors %d to %d are no partition", p.start, end)
	case access == accessWriteOnce || access == accessPseudo:
		// It has the size of the disc, also while that is not yet full.
	case end*v.sector > v.w.Vol.Size && v.w.Vol.Offset+end*v.sector <= v.w.Dev.Size():
		return v.w.Inconsistent(what, "it ends at byte %d of the volume, which has %d", end*v.sector, v.w.Vol.Size)
	case end > v.sectors:
		return v.w.Problem(verdict.New(verdict.Truncated, what, "it ends at byte %d and the medium at byte %d",
			v.w.Vol.Offset+end*v.sector, v.w.Dev.Size()))
	}
	return nil
}

// under returns the map number of the plain or sparable partition in which
// another one lies.
func (v *volume) under(of int) (uint16, bool) {
	found, ok := 0, false
	for i := range v.parts {
		p := &v.parts[i]
		if p.number == v.parts[of].number && !p.virtual && !p.metadata && (!ok || p.packet > 0) {
			found, ok = i, true
		}
	}
	return uint16(found), ok
}

// openSparable reads the sparing tables (UDF 2.60 section 2.2.12), which have to
// be equal.
func (v *volume) openSparable(p *partition, m []byte) error {
	packet, tables, size := int64(le.Uint16(m[40:])), int(m[42]), int64(le.Uint32(m[44:]))
	const what, head, most = "sparing table", 56, 56 + 8*65535
	switch {
	case packet == 0 || tables == 0 || tables > 4:
		return verdict.New(verdict.FilesystemInconsistent, "partition map", "%d sparing tables for packets of %d blocks", tables, packet)
	case size < head || size > most:
		return verdict.New(verdict.FilesystemInconsistent, "partition map", "sparing tables of %d bytes", size)
	}
	var first []byte
	for i := range tables {
		sector := le.Uint32(m[48+4*i:])
		place := layout.At(what, v.offset(int64(sector)))
		d := make([]byte, size)
		if int64(sector)*v.sector > v.sectors*v.sector-size {
			return verdict.New(verdict.Truncated, place, "it does not fit into the volume")
		}
		if err := v.readAt(d, v.offset(int64(sector)), what); err != nil {
			return err
		}
		why := checkTag(d, 0, sector)
		n := int64(le.Uint16(d[48:]))
		switch {
		case why == "" && !isEntity(d[16:], "*UDF Sparing Table"):
			why = "it is something else"
		case why == "" && head+8*n > size:
			why = fmt.Sprintf("its %d entries do not fit into %d bytes", n, size)
		}
		if why != "" {
			if err := v.w.Inconsistent(place, "%s", why); err != nil {
				return err
			}
			continue
		}
		d = d[48 : head+8*n]
		if first == nil {
			first = d
		} else if !bytes.Equal(first, d) {
			return v.w.Inconsistent(place, "it differs from the one before: systems would see different contents")
		}
	}
	if first == nil {
		return verdict.New(verdict.FilesystemInconsistent, what, "none of them can be used")
	}
	p.packet = packet
	return v.useSpares(p, first[8:])
}

// useSpares takes over the entries of a sparing table.
func (v *volume) useSpares(p *partition, entries []byte) error {
	const what, firstUnused = "sparing table", 0xFFFFFFF0
	if err := v.w.Memory(what, int64(len(entries))); err != nil {
		return err
	}
	for i := 0; len(entries) > 0; i, entries = i+1, entries[8:] {
		s := spare{le.Uint32(entries), le.Uint32(entries[4:])}
		if s.block >= firstUnused {
			continue
		}
		if n := len(p.spared); n > 0 && int64(p.spared[n-1].block)+p.packet > int64(s.block) {
			return v.w.Inconsistent(what, "its entry %d is not in order behind the one before", i)
		}
		if int64(s.block) >= p.length || int64(s.sector)+p.packet > v.sectors {
			return v.w.Inconsistent(what, "its entry %d moves block %d of %d to sector %d of %d", i, s.block, p.length, s.sector, v.sectors)
		}
		p.spared = append(p.spared, s)
	}
	return nil
}
