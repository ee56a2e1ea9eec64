package parttable

import (
	"fmt"

	"sallyport/internal/limit"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// The MBR has four entries of 16 bytes at byte 446 and the signature 55 AA at
// byte 510 (UEFI specification section 5.2.1), whatever the size of a sector.

type mbrEntry struct {
	status, kind byte
	start, count uint32 // sectors
}

type mbr struct {
	entries [4]mbrEntry
	signed  bool // 55 AA
	// valid means that the sector can be a table: signature, and every status
	// byte one of the two that exist.
	valid bool
}

func parseMBR(sector []byte) mbr {
	m := mbr{signed: sector[510] == 0x55 && sector[511] == 0xAA}
	m.valid = m.signed
	for i := range m.entries {
		e := sector[446+16*i:][:16]
		m.entries[i] = mbrEntry{e[0], e[4], le.Uint32(e[8:]), le.Uint32(e[12:])}
		m.valid = m.valid && e[0]&0x7F == 0
	}
	return m
}

// used counts the entries that at least one system takes for a partition:
// Linux goes by the size, Windows by the type.
func (m *mbr) used() (n int) {
	for _, e := range m.entries {
		if e.kind != 0 || e.count != 0 {
			n++
		}
	}
	return n
}

func (m *mbr) protective() bool {
	for _, e := range m.entries {
		if m.valid && e.kind == protectiveType {
			return true
		}
	}
	return false
}

// reachesInto says whether an entry is a partition that lies behind the first
// sector and begins on the medium. The table that mkfs.vfat writes into a boot
// sector, so that firmware finds a partition, starts at the sector itself.
func (m *mbr) reachesInto(size int64) bool {
	for _, e := range m.entries {
		if m.valid && e.start != 0 && e.count != 0 && int64(e.start) < size/sector512 {
			return true
		}
	}
	return false
}

// whole says whether the only entry is the whole medium, from its first sector
// on: mkudffs writes it so that Windows finds the volume. It has the same bytes
// as the medium without a table.
func (m *mbr) whole(size int64) bool {
	for _, e := range m.entries {
		if e.start == 0 && e.kind != 0 && !extended(e.kind) && int64(e.count) == size/sector512 {
			return m.valid && m.used() == 1
		}
	}
	return false
}

// damaged says whether a sector that is no table was meant to be one: all of
// its used entries stand on the medium, as no boot code does by chance.
func (m *mbr) damaged(size int64) bool {
	used := 0
	for _, e := range m.entries {
		if e == (mbrEntry{}) {
			continue
		}
		if e.kind == 0 || e.start == 0 || e.count == 0 || int64(e.start)+int64(e.count) > size/sector512 {
			return false
		}
		used++
	}
	return m.signed && used > 0
}

func (m *mbr) statuses() string {
	var s [4]byte
	for i, e := range m.entries {
		s[i] = e.status
	}
	return hexBytes(s[:])
}

// extended are the types of the partition that holds logical ones: with CHS
// addresses, with LBA addresses, and Linux's own.
func extended(kind byte) bool { return kind == 0x05 || kind == 0x0F || kind == 0x85 }

// mbr decides how large the sectors are (see [Read]) and keeps the table of
// that size. A place that cannot be read is told by the volume that begins
// there; where the table that is not kept has one, it is told here.
func (r *reader) mbr(m mbr) {
	kept := r.mbrOf(m, sector512)
	if r.dev.Size()%sector4096 == 0 {
		large := r.mbrOf(m, sector4096)
		forSmall, smallErr := r.held(kept, large, false)
		forLarge, largeErr := r.held(large, kept, false)
		forBoth, _ := r.held(kept, large, true)
		if forLarge && !forSmall {
			kept, largeErr = large, smallErr
		}
		r.failed(largeErr)
		switch {
		case forSmall && forLarge:
			r.problem("partition table", "something begins where it puts partitions for sectors of 512 bytes, and also where it puts them for sectors of 4096 bytes: systems would see different contents")
		case !forSmall && !forLarge && forBoth:
			r.problem("partition table", "it cannot be told whether it counts sectors of 512 or of 4096 bytes: systems would see different contents")
		}
	}
	for i := range kept.Problems {
		r.finding(&kept.Problems[i])
	}
	r.Kind, r.Partitions, r.spans = "mbr", kept.Partitions, kept.spans
}

// held says whether something known begins at a partition of a, of those that
// begin where b has one too or of those that do not. The error is one that may
// have hidden it.
func (r *reader) held(a, b *reader, both bool) (bool, error) {
	starts := make(map[int64]bool)
	for _, p := range b.Partitions {
		starts[p.Offset] = true
	}
	var failed error
	for _, p := range a.Partitions {
		if starts[p.Offset] != both || p.Offset >= r.dev.Size() {
			continue
		}
		yes, err := r.holds(p.Offset)
		if yes {
			return true, nil
		}
		if failed == nil {
			failed = err
		}
	}
	return false, failed
}

// mbrOf reads the table for one size of sectors.
func (r *reader) mbrOf(m mbr, sectorBytes int64) *reader {
	t := &reader{dev: r.dev}
	t.span("the partition table", 0, sector512, false)
	containers := 0
	for i, e := range m.entries {
		where := fmt.Sprintf("partition table, entry %d", i+1)
		if !t.usable(where, e) {
			continue
		}
		if !extended(e.kind) {
			if e.kind == 0x42 {
				t.finding(verdict.New(verdict.FilesystemUnsupported, where, "this is a dynamic disk of Windows, whose partitions stand in a database of their own; MBR and GPT can be read"))
			}
			t.add(where, uint64(e.start), uint64(e.count), sectorBytes, false)
			continue
		}
		if containers++; containers > 1 {
			t.problem(where, "a second extended partition: systems would see different contents")
			continue
		}
		t.span(where, int64(e.start)*sectorBytes, int64(e.count)*sectorBytes, false)
		t.failed(t.logical(e, sectorBytes))
	}
	return t
}

// usable says whether an entry is a partition, and notes it when systems differ.
func (r *reader) usable(where string, e mbrEntry) bool {
	switch {
	case e.kind == 0 && e.count == 0:
		return false
	case e.kind == 0:
		r.problem(where, "it has %d sectors but no type: some systems use it and others do not", e.count)
		return false
	case e.count == 0:
		return false
	case e.start == 0:
		r.problem(where, "it starts at the partition table itself")
		return false
	}
	return true
}

// logical follows the chain of extended boot records. Each holds one partition
// relative to itself and the next record relative to the container.
func (r *reader) logical(box mbrEntry, sectorBytes int64) error {
	boxStart, boxEnd := uint64(box.start), uint64(box.start)+uint64(box.count)
	sector := make([]byte, sector512)
	seen := make(map[uint64]bool)
	for at := boxStart; ; {
		where := layout.At("extended boot record", int64(at)*sectorBytes)
		if len(seen) > limit.Volumes {
			r.finding(verdict.New(verdict.OverLimit, where, "there are more than %d logical partitions", limit.Volumes))
			return nil
		}
		if seen[at] {
			r.problem(where, "the chain of logical partitions runs in a circle")
			return nil
		}
		seen[at] = true
		if err := r.dev.Read(sector, int64(at)*sectorBytes, "extended boot record"); err != nil {
			return err
		}
		m := parseMBR(sector)
		if !m.valid {
			r.problem(where, "it is not a partition table, and logical partitions may be lost")
			return nil
		}
		r.span(where, int64(at)*sectorBytes, sectorBytes, true)
		if m.entries[2].count != 0 || m.entries[3].count != 0 {
			r.problem(where, "it has more than two entries: systems would see different partitions")
		}
		if e := m.entries[0]; extended(e.kind) {
			r.problem(where, "its first entry leads to further records, which belongs into the second one: systems would see different partitions")
		} else if r.usable(where, e) {
			start := at + uint64(e.start)
			if start+uint64(e.count) > boxEnd {
				r.problem(where, "the logical partition ends in sector %d, behind the extended one, which ends in sector %d", start+uint64(e.count), boxEnd)
			}
			if !r.add(where, start, uint64(e.count), sectorBytes, true) {
				return nil
			}
		}
		next := m.entries[1]
		switch {
		case next.count == 0 && (next.kind == 0 || next.start == 0):
			return nil
		case !extended(next.kind) || next.count == 0:
			r.problem(where, "its second entry, of type %02X and %d sectors, does not lead to the next record: systems would see different partitions", next.kind, next.count)
			return nil
		}
		if at = boxStart + uint64(next.start); at >= boxEnd {
			r.problem(where, "the next record is in sector %d, behind the extended partition, which ends in sector %d", at, boxEnd)
			return nil
		}
	}
}
