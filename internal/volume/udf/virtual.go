package udf

import (
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	// lastSectors are searched for the table of virtual blocks: it is the last
	// thing that was recorded, and images end a little later.
	lastSectors = 512

	oldTail = 36  // what follows the table in UDF 1.50
	newHead = 152 // what precedes it in UDF 2.00 and later, at least
)

// openVirtual finds the virtual allocation table (UDF 2.60 section 2.2.11, UDF
// 1.50 section 2.2.10) of the partition with the map number i, and loads it.
func (v *volume) openVirtual(i int) error {
	const what = "virtual allocation table"
	p := &v.parts[i]
	under, ok := v.under(i)
	if !ok {
		return verdict.New(verdict.FilesystemInconsistent, "partition map", "the virtual partition lies in no other")
	}
	for sector := v.sectors - 1; sector >= max(p.start, v.sectors-lastSectors); sector-- {
		a := addr{uint32(sector - p.start), under}
		if err := v.readSector(v.icb, sector, what); err != nil {
			return err
		}
		if id := tagID(v.icb); id != tagFile && id != tagExtFile {
			continue
		}
		node, f := v.parseICB(a, sector, layout.Place{What: what, Off: v.offset(sector)})
		if f != nil || node.fileType != typeVAT && node.fileType != typeNone {
			continue
		}
		table, f, err := v.loadVirtual(node)
		if err != nil {
			return err
		}
		if f != nil && node.fileType == typeNone {
			continue // a file of nobody's business
		}
		if f != nil {
			return f
		}
		p.table = table
		if _, err := v.takeICB(sector); err != nil {
			return err
		}
		return nil
	}
	return verdict.New(verdict.FilesystemInconsistent, what, "it is not among the last %d sectors: the disc was not finished, or the image is not complete", lastSectors)
}

// loadVirtual reads the table whose file entry is at hand.
func (v *volume) loadVirtual(n *node) (table []byte, f *verdict.Finding, err error) {
	if f, err = v.content(n, false); f != nil || err != nil {
		return nil, f, err
	}
	if v.zeros || n.size < oldTail {
		return nil, inconsistent(n.where, "a table of %d bytes, or with holes", n.size), nil
	}
	if err := v.w.Memory("the table of virtual blocks", n.size); err != nil {
		return nil, nil, err
	}
	table = make([]byte, 0, n.size)
	for _, x := range v.extents {
		at := len(table)
		table = table[:at+int(x.Len)]
		if x.Off < v.w.Vol.Offset || x.Off+x.Len > v.offset(v.sectors) {
			return nil, verdict.New(verdict.Truncated, n.where.String(), "it reaches beyond the volume"), nil
		}
		if err := v.readAt(table[at:], x.Off, "virtual allocation table"); err != nil {
			return nil, nil, err
		}
	}
	if n.fileType == typeNone {
		end := len(table) - oldTail
		if !isEntity(table[end:], "*UDF Virtual Alloc Tbl") {
			return nil, inconsistent(n.where, "the table does not end with its name"), nil
		}
		return table[:end&^3], nil, nil
	}
	if head := int(le.Uint16(table)); len(table) >= newHead && head >= newHead && head <= len(table) {
		return table[head:], nil, nil
	}
	return nil, inconsistent(n.where, "the table has no header of %d bytes or more", newHead), nil
}
