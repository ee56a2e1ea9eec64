package iso9660

import (
	"encoding/binary"
	"hash/maphash"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	pathRecordHead = 8
	// maxPathFolders can be the parent of another in a path table, whose
	// numbers of folders have 16 bits (ECMA-119 section 9.4.4).
	maxPathFolders = 65535
)

// tableSum collects, in any order, what the path tables have to say of the
// folders: equal sums are equal sets, but for a chance of 2⁻⁶⁴ that nobody
// outside can aim at.
type tableSum struct {
	sum   uint64
	count int64
	bytes int64
}

// add takes a folder, the extent of the folder above it and its recorded name.
func (s *tableSum) add(seed maphash.Seed, extent uint32, xar uint8, parent uint32, id []byte) {
	var b [9 + 255]byte
	le.PutUint32(b[:], extent)
	le.PutUint32(b[4:], parent)
	b[8] = xar
	n := 9 + copy(b[9:], id)
	s.sum += maphash.Bytes(seed, b[:n])
	s.count++
	s.bytes += pathRecordHead + int64(len(id)+len(id)&1)
}

// checkTables compares the path tables of a descriptor (section 6.9) with the
// tree. Windows opens folders by them.
func (t *tree) checkTables(d *descriptor) error {
	if t.broken {
		return nil // the tables would be found to differ, and why is known
	}
	if t.tables.count > maxPathFolders {
		return t.w.Problem(verdict.New(verdict.OverLimit, d.place("path table size").String(),
			"%d folders; a path table can tell at most %d apart", t.tables.count, maxPathFolders))
	}
	if int64(d.tableBytes) != t.tables.bytes {
		return t.w.Problem(inconsistent(d.place("path table size"),
			"%d bytes, and the %d folders of the %s need %d: systems would see different contents", d.tableBytes, t.tables.count, t, t.tables.bytes))
	}
	for i, what := range [4]string{"path table L", "optional path table L", "path table M", "optional path table M"} {
		order := binary.ByteOrder(le)
		if i >= 2 {
			order = be
		}
		if d.tables[i] == 0 && i&1 == 1 {
			continue
		}
		f, err := t.checkTable(d, d.tables[i], order, what)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		if err := t.w.Problem(f); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) checkTable(d *descriptor, block uint32, order binary.ByteOrder, what string) (*verdict.Finding, error) {
	at := t.w.Vol.Offset + d.offset(block)
	if int64(block)+d.blocks(d.tableBytes) > int64(d.space) {
		return inconsistent(layout.Place{What: what, Off: at}, "it begins at block %d and is outside the volume, which has %d", block, d.space), nil
	}
	if t.extentOf == nil {
		if err := t.w.Memory("the path tables", (maxPathFolders+1)*4); err != nil {
			return nil, err
		}
		t.extentOf = make([]uint32, 0, t.tables.count)
	}
	t.extentOf = t.extentOf[:0]
	var got tableSum
	p := pieces{dev: t.w.Dev, what: what, at: at, left: int64(d.tableBytes)}
	for last := uint16(1); ; {
		b, off, err := p.next(pathRecordHead)
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			break
		}
		place := layout.Place{What: what, Off: off}
		if len(b) < pathRecordHead || b[0] == 0 {
			return inconsistent(place, "a record that is cut off or has no name"), nil
		}
		n := int(b[0])
		extent, parent := order.Uint32(b[2:]), order.Uint16(b[6:])
		xar := b[1]
		if b, _, err = p.next(n + n&1); err != nil {
			return nil, err
		}
		if len(b) < n {
			return inconsistent(place, "a record is cut off"), nil
		}
		t.extentOf = append(t.extentOf, extent)
		// The records of a level follow those of the level above it, in the order
		// of their parents (section 6.9.1): that is how systems search in it.
		if int(parent) > len(t.extentOf) || parent < last || len(t.extentOf) > 1 && int(parent) == len(t.extentOf) {
			return inconsistent(place, "folder %d of the table has folder %d as its parent, after %d: this order cannot be searched", len(t.extentOf), parent, last), nil
		}
		last = parent
		got.add(t.seed, extent, xar, t.extentOf[parent-1], b[:n])
		if got.count > t.tables.count {
			break
		}
	}
	if got != t.tables {
		return inconsistent(layout.Place{What: what, Off: at}, "it names other folders than the %s: systems would see different contents", t), nil
	}
	return nil, nil
}

// pieces goes through a table of records of any length.
type pieces struct {
	dev  *layout.Device
	what string
	at   int64 // of what is still to be read from the device
	left int64
	buf  []byte
	rest []byte // of buf
}

// next returns the next n bytes, or as many as there are, and their offset on
// the device. They are valid until the next call.
func (p *pieces) next(n int) ([]byte, int64, error) {
	if len(p.rest) < n && p.left > 0 {
		if p.buf == nil {
			p.buf = make([]byte, min(p.left, windowBytes))
		}
		kept := copy(p.buf, p.rest)
		more := int(min(p.left, int64(len(p.buf)-kept)))
		if err := p.dev.Read(p.buf[kept:kept+more], p.at, p.what); err != nil {
			return nil, 0, err
		}
		p.at, p.left, p.rest = p.at+int64(more), p.left-int64(more), p.buf[:kept+more]
	}
	n = min(n, len(p.rest))
	off := p.at - int64(len(p.rest))
	out := p.rest[:n]
	p.rest = p.rest[n:]
	return out, off, nil
}
