package parttable

import (
	"fmt"

	"sallyport/internal/volume/layout"
)

// The MBR has four entries of 16 bytes at byte 446 and the signature 55 AA at
// byte 510 (UEFI specification section 5.2.1).

type mbrEntry struct {
	status, kind byte
	start, count uint32 // sectors
}

type mbr struct {
	entries [4]mbrEntry
	// valid means that the sector can be a table: signature, and every status
	// byte one of the two that exist.
	valid bool
}

func parseMBR(sector []byte) mbr {
	m := mbr{valid: sector[510] == 0x55 && sector[511] == 0xAA}
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
		if m.valid && e.kind == 0xEE {
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

func extended(kind byte) bool { return kind == 0x05 || kind == 0x0F || kind == 0x85 }

func (r *reader) mbr(m mbr) error {
	r.Kind = "mbr"
	containers := 0
	for i, e := range m.entries {
		where := fmt.Sprintf("partition table, entry %d", i+1)
		if !r.usable(where, e) {
			continue
		}
		if !extended(e.kind) {
			r.add(where, uint64(e.start), uint64(e.count), sector512)
			continue
		}
		if containers++; containers > 1 {
			r.problem(where, "a second extended partition")
			continue
		}
		if err := r.logical(e); err != nil {
			return err
		}
	}
	return nil
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
func (r *reader) logical(box mbrEntry) error {
	boxStart, boxEnd := uint64(box.start), uint64(box.start)+uint64(box.count)
	sector := make([]byte, sector512)
	seen := make(map[uint64]bool)
	for at := boxStart; ; {
		where := layout.At("extended boot record", int64(at)*sector512)
		if len(seen) >= maxPartitions {
			r.problem(where, "there are more than %d logical partitions", maxPartitions)
			return nil
		}
		if seen[at] {
			r.problem(where, "the chain of logical partitions runs in a circle")
			return nil
		}
		seen[at] = true
		if err := r.dev.Read(sector, int64(at)*sector512, "extended boot record"); err != nil {
			return err
		}
		m := parseMBR(sector)
		if !m.valid {
			r.problem(where, "it is not a partition table")
			return nil
		}
		if m.entries[2].count != 0 || m.entries[3].count != 0 {
			r.problem(where, "it has more than two entries")
		}
		if e := m.entries[0]; r.usable(where, e) {
			start := at + uint64(e.start)
			if start+uint64(e.count) > boxEnd {
				r.problem(where, "the logical partition reaches out of the extended one")
			}
			r.add(where, start, uint64(e.count), sector512)
		}
		next := m.entries[1]
		if next.kind == 0 || next.count == 0 {
			return nil
		}
		if at = boxStart + uint64(next.start); !extended(next.kind) || at >= boxEnd {
			r.problem(where, "the next record is outside the extended partition")
			return nil
		}
	}
}
