// Package parttable reads the partition table of an untrusted medium: MBR with
// extended partitions, GPT with both of its headers, or none; for sectors of
// 512 and of 4096 bytes. It trusts nothing: every sector number is checked
// against the medium before it becomes an offset, chains of extended partitions
// are bounded, at most 128 partitions and 64 problems are kept, and a table
// that two systems could read in two ways is a problem, not a guess. What
// partitions hold it asks its caller.
//
// Problems of the medium (two systems may see other partitions, so nothing on
// it may be used): partitions that overlap each other or the structures of the
// table; a hybrid of MBR and GPT; a GPT without protective MBR, or with one
// that only some systems accept; headers or entries of a GPT with wrong
// checksums, or two headers that differ; a protective MBR without GPT; a chain
// of logical partitions that is broken, runs in a circle or branches; an entry
// with sectors and no type; a boot sector and a table, or two kinds of tables,
// at once; a table whose sector size is open (see [Read]). Apple, BSD, Sun, SGI,
// Atari and Amiga tables are named, not read.
//
// Problem of one partition: it reaches beyond the medium.
//
// No problem: partition types and attributes (hidden, read-only, boot: every
// partition is listed, whatever it is for), CHS addresses, names and
// identifiers, gaps, the order of entries, an entry with a type and no sectors
// (no system makes a partition of it), a single entry that is the whole medium
// from its first sector on (the same bytes as without a table), a protective entry of another length
// than the medium (an image written to a larger one), and an old backup GPT at
// the end of a medium that has neither a primary one nor a protective MBR:
// repair tools offer to restore it, but no system shows partitions by it.
package parttable

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"sallyport/internal/limit"
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
	Kind       string // a word of package medium
	Partitions []Partition
	Problems   []verdict.Finding
}

const (
	sector512  = 512
	sector4096 = 4096
)

var le = binary.LittleEndian

// Holds says whether something that is known begins at a byte of the medium.
type Holds func(off int64) (bool, error)

type reader struct {
	dev   *layout.Device
	holds Holds
	Table
	spans []span
}

func (r *reader) problem(where, detail string, args ...any) {
	r.finding(verdict.New(verdict.FilesystemInconsistent, where, detail, args...))
}

func (r *reader) finding(f *verdict.Finding) {
	switch n := len(r.Problems); {
	case n < limit.Problems:
		r.Problems = append(r.Problems, *f)
	case n == limit.Problems:
		r.Problems = append(r.Problems, *verdict.New(verdict.OverLimit, "partition table", "it has more than %d problems; the rest was not examined", limit.Problems))
	}
}

// failed notes an error of the device.
func (r *reader) failed(err error) {
	if f, ok := verdict.Find(err); ok {
		r.finding(f)
	}
}

// Read reads the table. bootSector says that a file system starts at byte 0,
// whose boot sector stands where a table would. The error is a finding of the
// first sector; whatever is unreadable further on becomes a problem.
//
// A GPT says itself how large the sectors of its medium are. An MBR does not,
// and nothing else on a medium does: there both sizes are tried, and holds
// decides. A size is possible when something known begins where it puts a
// partition and the other size puts none. One possible size is taken; two are a
// contradiction, and so is a place where both sizes put a partition when
// nothing else speaks for either; when nothing begins anywhere, it is 512.
func Read(dev *layout.Device, bootSector bool, holds Holds) (*Table, error) {
	r := &reader{dev: dev, holds: holds}
	r.Kind = "none"
	if dev.Size() < sector512 {
		return &r.Table, nil
	}
	first := make([]byte, sector512)
	if err := dev.Read(first, 0, "first sector"); err != nil {
		return nil, err
	}
	m := parseMBR(first)
	gpts, err := r.primaries()
	r.failed(err)
	probe := layout.NewProbe(dev, &layout.Volume{Size: dev.Size()})
	kind, name := other(probe)
	r.failed(probe.Err())
	switch {
	case bootSector:
		if m.reachesInto(dev.Size()) || m.protective() {
			r.problem("first sector", "it is the boot sector of a file system and a partition table at once: systems would see different contents")
		}
	case m.protective():
		r.protection(m)
		r.failed(r.gpt(gpts))
	case m.whole(dev.Size()): // no table, in effect
	case m.valid && m.used() > 0:
		r.mbr(m)
	case kind != "":
		r.Kind = kind
		r.finding(verdict.New(verdict.FilesystemUnsupported, "partition table", "this is %s; MBR and GPT can be read", name))
	case m.damaged(dev.Size()):
		r.problem("first sector", "it looks like a partition table, but the status bytes of its entries are %s, and only 00 and 80 exist: some systems use such a table and others do not", m.statuses())
	}
	if len(gpts) > 0 && r.Kind != "gpt" {
		r.problem(layout.At("GPT header", gpts[0]), "there is no protective MBR for it in the first sector: some systems use it and others do not; if it is left over from an earlier use, erase the medium (wipefs --all) and format it again")
	}
	if kind != "" && r.Kind != kind {
		r.problem("partition table", "%s is on the medium as well: systems would see different contents", name)
	}
	r.overlaps()
	return &r.Table, nil
}

// primaries returns the sizes of sectors for which a GPT header stands in
// sector 1.
func (r *reader) primaries() (sizes []int64, err error) {
	var magic [len(gptMagic)]byte
	for _, size := range []int64{sector512, sector4096} {
		if r.dev.Size() < 2*size {
			break
		}
		if err := r.dev.Read(magic[:], size, "GPT header"); err != nil {
			return sizes, err
		}
		if string(magic[:]) == gptMagic {
			sizes = append(sizes, size)
		}
	}
	return sizes, nil
}

// add appends the partition of a used entry, given in sectors; inner ones are
// logical partitions, which stand inside another one. It returns false when
// there are too many.
func (r *reader) add(where string, start, count uint64, sectorBytes int64, inner bool) bool {
	if len(r.Partitions) >= limit.Volumes {
		r.finding(verdict.New(verdict.OverLimit, where, "there are more than %d partitions", limit.Volumes))
		return false
	}
	const most = 1 << 49 // sectors; two of them times 4096 are below 2⁶³
	size := r.dev.Size()
	if start > most || count > most {
		r.Partitions = append(r.Partitions, Partition{Offset: size, Problem: verdict.New(verdict.Truncated, where,
			"it claims %d sectors from sector %d on, and the medium ends at byte %d", count, start, size)})
		return true
	}
	p := Partition{Offset: int64(start) * sectorBytes, Size: int64(count) * sectorBytes}
	if p.Offset > size || p.Size > size-p.Offset {
		p.Problem = verdict.New(verdict.Truncated, where,
			"it claims bytes %d to %d, and the medium ends at byte %d", p.Offset, p.Offset+p.Size, size)
	}
	r.Partitions = append(r.Partitions, p)
	r.span(where, p.Offset, p.Size, inner)
	return true
}

func isZero(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }

// hexBytes shows bytes as two digits each.
func hexBytes(p []byte) string { return fmt.Sprintf("% X", p) }
