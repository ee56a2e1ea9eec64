// Package volume says what is on a medium: partition table, file systems,
// files and where their bytes are. It works over an io.ReaderAt, reads
// structures and never content, changes nothing, opens nothing and starts
// nothing. The medium is hostile: every number on it is checked before it
// becomes an offset, a length or a loop, so that [Open] ends within its limits
// (see package limit) whatever the medium says, with no more memory than a
// confined reader of 64 MiB has. It proves nothing about content; that is the
// manifest's task.
//
// # What is read
//
// Tables: MBR with extended partitions, GPT with both headers, or none, for
// sectors of 512 and 4096 bytes. File systems: FAT12, FAT16, FAT32 with long
// names, exFAT 1.00, NTFS, ext2, ext3, ext4, ISO 9660 and UDF. Other tables and
// file systems, and what hides its content (encryption, RAID, LVM), are named
// (filesystem-unsupported), not read.
//
// # What is checked
//
// Each subpackage lists its checks, and what is damage and what is not. All of
// them keep these rules:
//
//   - Offsets are computed in 64 bits from fields of 32 bits or less, or from
//     fields checked against a bound first, and each read is checked against
//     the size of the medium.
//   - A file takes each of its clusters or blocks out of a map with one bit
//     for each. One met twice ends the file, so that no loop is walked twice
//     and none has two owners; all together take at most as many steps as the
//     volume has of them.
//   - A read that fails or comes back short is unreadable or truncated, at its
//     byte offset, and ends the walk of its volume. It is never zeros.
//   - Entries, depth, name, path, file sizes, bytes of structures and memory
//     have limits; beyond one the volume is over-limit, never silently cut.
//   - What two operating systems would read in two ways is a contradiction
//     of the medium, even where each of them would be content.
//
// # What damage costs
//
// A problem of the [Medium] (its table contradicts itself) and a problem of a
// [Volume] poison all files there: the damage shows that somebody else may
// see other files, or that some may be hidden. A problem of an [Entry] costs
// that file alone: its own chain, size or name is damaged, and nothing else
// depends on it. Where it is open which of the two it is, as with clusters
// that two files claim, it is the volume's. Nothing is repaired, and what
// could be listed is listed as evidence.
package volume

import (
	"io"
	"unicode/utf8"

	"sallyport/internal/limit"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/exfat"
	"sallyport/internal/volume/ext"
	"sallyport/internal/volume/fat"
	"sallyport/internal/volume/iso9660"
	"sallyport/internal/volume/layout"
	"sallyport/internal/volume/ntfs"
	"sallyport/internal/volume/parttable"
	"sallyport/internal/volume/udf"
)

// Zeros is the offset of an extent that is not on the device: its bytes are
// zeros by the file system's rule; see package layout.
const Zeros = layout.Zeros

// The shapes of a listing; see package layout for their fields.
type (
	Volume = layout.Volume
	Entry  = layout.Entry
	Extent = layout.Extent
)

// Options of [Open].
type Options struct {
	Limits limit.Limits
}

// Medium is everything that a medium says about itself.
type Medium struct {
	Size    int64
	Table   string // a word of package medium
	Volumes []Volume
	// Problems poison the whole medium: its partition table contradicts itself
	// or can be read in two ways.
	Problems []verdict.Finding
}

const sectorBytes = 512

// Open recognises the partition table and every volume and walks all of them.
// An error, always a [*verdict.Finding], means that nothing can be said of the
// medium at all: it has no bytes, or its first sector cannot be read.
func Open(dev io.ReaderAt, size int64, opt Options) (*Medium, error) {
	if size <= 0 {
		return nil, verdict.New(verdict.Truncated, "byte 0", "the medium has no bytes")
	}
	d := layout.NewDevice(dev, size, opt.Limits.MetaBytes)
	d.Head(0, size)
	first := make([]byte, min(size, sectorBytes))
	if err := d.Read(first, 0, "first sector"); err != nil {
		return nil, err
	}
	table, err := parttable.Read(d, bootSector(first), func(off int64) (bool, error) { return begins(d, off) })
	if err != nil {
		return nil, err
	}
	m := &Medium{Size: size, Table: table.Kind, Problems: table.Problems}
	budget := layout.NewBudget(opt.Limits)
	if table.Kind == "none" {
		m.Volumes = make([]Volume, 1)
		v := &m.Volumes[0]
		v.Size = size
		walk(d, v, budget, false)
		return m, nil
	}
	if f := alsoVolume(d); f != nil {
		m.Problems = append(m.Problems, *f)
	}
	if len(table.Partitions) == 0 && len(m.Problems) == 0 {
		m.Problems = append(m.Problems, *verdict.New(verdict.FilesystemUnsupported, "partition table", "it has no partitions: the medium was prepared for use and never formatted"))
	}
	walkAll(d, m, table.Partitions, budget)
	return m, nil
}

// mostProblems of all volumes are enough to refuse a medium; further volumes
// are then not examined, so that a listing stays within the reader's protocol.
const mostProblems = 1024

// walkAll fills the volumes of m from the partitions of its table.
func walkAll(d *layout.Device, m *Medium, parts []parttable.Partition, budget *layout.Budget) {
	m.Volumes = make([]Volume, len(parts))
	problems := 0
	for i, p := range parts {
		v := &m.Volumes[i]
		v.Index, v.Offset, v.Size = i, p.Offset, p.Size
		if p.Problem != nil {
			v.Problems = append(v.Problems, *p.Problem)
		}
		switch {
		case problems > mostProblems:
			v.Problems = append(v.Problems, *verdict.New(verdict.OverLimit, layout.At("volume", v.Offset),
				"it was not examined: the volumes before it have more than %d problems", mostProblems))
		case p.Offset < m.Size:
			walk(d, v, budget, true)
		}
		problems += len(v.Problems)
	}
}

// driver is a file system that is read.
type driver struct {
	name   string
	claims func(*layout.Probe) bool
	walk   func(*layout.Walker) error
}

// drivers returns all of them. A volume that two of them claim is nobody's.
func drivers() []driver {
	return []driver{
		{"exFAT", func(p *layout.Probe) bool { return exfat.Recognise(p.At(0, sectorBytes)) }, exfat.Walk},
		{"FAT", func(p *layout.Probe) bool { return fat.Recognise(p.At(0, sectorBytes)) }, fat.Walk},
		{"NTFS", ntfs.Recognise, ntfs.Walk},
		{extName, ext.Recognise, ext.Walk},
		{isoName, iso9660.Recognise, iso9660.Walk},
		{udfName, udf.Recognise, udf.Walk},
	}
}

// claimants returns the file systems that a volume claims to be.
func claimants(p *layout.Probe) (list []driver) {
	for _, d := range drivers() {
		if d.claims(p) {
			list = append(list, d)
		}
	}
	return bridged(list)
}

// walk fills v, which is a partition or the whole medium. What ends the walk
// becomes its last problem.
func walk(d *layout.Device, v *Volume, budget *layout.Budget, partition bool) {
	drv, err := choose(d, v, partition)
	if err == nil {
		err = drv.walk(layout.NewWalker(d, v, budget))
	}
	if f, ok := verdict.Find(err); ok {
		v.Problems = append(v.Problems, *f)
	}
	for len(v.Label) > limit.LabelBytes { // only of characters that no label has
		_, n := utf8.DecodeLastRuneInString(v.Label)
		v.Label = v.Label[:len(v.Label)-n]
	}
}
