// Package parttable reads the partition table of an untrusted medium: MBR with
// extended partitions, GPT with both of its headers, or none. It trusts
// nothing: every sector number is checked against the medium before it becomes
// an offset, chains of extended partitions are bounded, and a table that two
// systems could read in two ways is a problem, not a guess. It does not look
// into partitions.
package parttable

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// Partition is one used entry of a table.
type Partition struct {
	Offset, Size int64 // bytes; Offset+Size does not overflow
	// Problem says why the partition cannot be read as it stands: it reaches
	// beyond the medium. When Offset is on the medium its beginning is there.
	Problem *verdict.Finding
}

// Table is the partition table of a medium.
type Table struct {
	Kind       string // "none", "mbr", "gpt"
	Partitions []Partition
	Problems   []verdict.Finding
}

const (
	sector512 = 512
	// maxPartitions bounds the tables and chains that are followed. GPT
	// writers reserve 128 entries; nobody needs more on a data medium.
	maxPartitions = 128
)

var le = binary.LittleEndian

type reader struct {
	dev *layout.Device
	Table
}

func (r *reader) problem(where, detail string, args ...any) {
	r.Problems = append(r.Problems, *verdict.New(verdict.FilesystemInconsistent, where, detail, args...))
}

// Read reads the table; bootSector says that a file system starts at byte 0,
// whose boot sector stands where a table would. The error is a finding of the
// first sector; whatever is unreadable further on becomes a problem.
func Read(dev *layout.Device, bootSector bool) (*Table, error) {
	r := &reader{dev: dev}
	r.Kind = "none"
	if dev.Size() < sector512 {
		return &r.Table, nil
	}
	first := make([]byte, sector512)
	if err := dev.Read(first, 0, "first sector"); err != nil {
		return nil, err
	}
	m := parseMBR(first)
	header, sectorBytes, err := r.primaryGPT()
	r.failed(err)
	switch {
	case bootSector:
		if m.reachesInto(dev.Size()) {
			r.problem("first sector", "it is the boot sector of a file system and a partition table at once")
		}
	case m.protective():
		r.failed(r.gpt(m, header, sectorBytes))
	case m.valid && m.used() > 0:
		r.failed(r.mbr(m))
	}
	if header != nil && r.Kind != "gpt" {
		r.problem(layout.At("GPT header", sectorBytes), "there is no protective MBR for it: some systems use it and others do not")
	}
	r.overlaps()
	return &r.Table, nil
}

// failed notes an error of the device.
func (r *reader) failed(err error) {
	if f, ok := verdict.Find(err); ok {
		r.Problems = append(r.Problems, *f)
	}
}

// add appends a partition given in sectors and says whether it stands on the
// medium at least in part.
func (r *reader) add(where string, start, count uint64, sectorBytes int64) {
	const most = 1 << 50 // sectors; times 4096 this is far below 2⁶³
	size := r.dev.Size()
	if start > most || count > most {
		r.Partitions = append(r.Partitions, Partition{Offset: size, Problem: verdict.New(verdict.Truncated, where,
			"it claims sector %d and %d sectors, and the medium has only %d bytes", start, count, size)})
		return
	}
	p := Partition{Offset: int64(start) * sectorBytes, Size: int64(count) * sectorBytes}
	if p.Offset > size || p.Size > size-p.Offset {
		p.Problem = verdict.New(verdict.Truncated, where,
			"it claims bytes %d to %d, and the medium ends at byte %d", p.Offset, p.Offset+p.Size, size)
	}
	r.Partitions = append(r.Partitions, p)
}

// overlaps notes the first two partitions that share bytes.
func (r *reader) overlaps() {
	list := slices.Clone(r.Partitions)
	slices.SortFunc(list, func(a, b Partition) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if a.Offset+a.Size > b.Offset && b.Size > 0 {
			r.problem("partition table", "the partitions at byte %d (%d bytes) and at byte %d overlap", a.Offset, a.Size, b.Offset)
			return
		}
	}
}

func isZero(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }
