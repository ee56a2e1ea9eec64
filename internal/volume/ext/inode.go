package ext

import (
	"math"
	"time"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
)

// Offsets in an inode (inodes.rst).
const (
	atMode         = 0x00
	atSize         = 0x04
	atModified     = 0x10
	atLinks        = 0x1A
	atSectors      = 0x1C
	atInodeFlags   = 0x20
	atBody         = 0x28
	atGeneration   = 0x64
	atXattrLow     = 0x68
	atSizeHigh     = 0x6C
	atInodeSumLow  = 0x7C
	atExtraBytes   = 0x80
	atInodeSumHigh = 0x82
	atModifiedMore = 0x88

	bodyBytes = 60
)

// Flags of an inode (inodes.rst).
const (
	flagCompressed = 0x200 // compressed blocks; the wish for compression alone, 0x4, changes nothing
	flagEncrypted  = 0x800
	flagIndex      = 0x1000
	flagExtents    = 0x80000
	flagVerity     = 0x100000
	flagEAInode    = 0x200000
	flagInline     = 0x10000000
	flagCasefold   = 0x40000000
)

// inode is what is kept of one while its folder is read.
type inode struct {
	off      int64 // on the device
	size     int64 // bytes; the largest number when more are recorded than fit
	modified int64 // seconds since 1970
	ino      uint32
	flags    uint32
	seed     uint32 // of the checksums of what belongs to it
	sectors  uint32 // lower half of the count
	mode     uint16
	links    uint16
	// inlineAt and inlineBytes are where data go on in the inode behind body.
	inlineAt, inlineBytes uint16
	hasXattrBlock         bool
	body                  [bodyBytes]byte
	problem               *verdict.Finding
}

// kind returns the type that the mode names; 0 is no type.
func (n *inode) kind() (medium.Type, bool) {
	switch n.mode >> 12 {
	case 0x8:
		return medium.File, true
	case 0x4:
		return medium.Folder, true
	case 0xA:
		return medium.Symlink, true
	case 0x2:
		return medium.CharDevice, true
	case 0x6:
		return medium.BlockDevice, true
	case 0x1:
		return medium.FIFO, true
	case 0xC:
		return medium.Socket, true
	}
	return medium.Other, false
}

// entryKind returns the type that a byte of a folder's entry names
// (directory.rst, "file type"); 0 names none.
func entryKind(b byte) (medium.Type, bool) {
	kinds := [...]medium.Type{1: medium.File, 2: medium.Folder, 3: medium.CharDevice, 4: medium.BlockDevice, 5: medium.FIFO, 6: medium.Socket, 7: medium.Symlink}
	if b == 0 || int(b) >= len(kinds) {
		return medium.Other, false
	}
	return kinds[b], true
}

const (
	windowBits  = 15
	windowSlots = 32
)

// inodeCache reads inode tables in windows of 32 KiB and keeps some of them.
type inodeCache struct {
	slots []struct {
		key  int64 // group and number of the window in its table, plus one
		data []byte
	}
}

func (c *inodeCache) init() {
	c.slots = make([]struct {
		key  int64
		data []byte
	}, windowSlots)
}

// rawInode returns the bytes of an inode that exists, valid until the next
// call, and where they are.
func (v *volume) rawInode(ino uint32) ([]byte, int64, error) {
	g, in := (ino-1)/v.groupInodes, int64((ino-1)%v.groupInodes)*v.inodeBytes
	tableOff, tableBytes := v.off+int64(v.groups[g].table)*v.block, int64(v.groupInodes)*v.inodeBytes
	window := in >> windowBits
	key := int64(g)*(tableBytes>>windowBits+1) + window + 1
	s := &v.inodes.slots[key%windowSlots]
	if s.key != key {
		n := min(1<<windowBits, tableBytes-window<<windowBits)
		if s.data == nil {
			var err error
			if s.data, err = v.buffer(1 << windowBits); err != nil {
				return nil, 0, err
			}
		}
		s.data = s.data[:n]
		s.key = 0
		if err := v.w.Dev.Read(s.data, tableOff+window<<windowBits, "inode table"); err != nil {
			return nil, 0, err
		}
		s.key = key
	}
	in -= window << windowBits
	return s.data[in:][:v.inodeBytes], tableOff + window<<windowBits + in, nil
}

// readInode fills n from an inode that exists. What is wrong with the inode
// alone is n.problem.
func (v *volume) readInode(ino uint32, n *inode) error {
	raw, off, err := v.rawInode(ino)
	if err != nil {
		return err
	}
	*n = inode{
		off: off, ino: ino, mode: le.Uint16(raw[atMode:]), links: le.Uint16(raw[atLinks:]), flags: le.Uint32(raw[atInodeFlags:]),
		sectors: le.Uint32(raw[atSectors:]), size: int64(le.Uint32(raw[atSize:])), modified: int64(int32(le.Uint32(raw[atModified:]))),
		hasXattrBlock: le.Uint32(raw[atXattrLow:]) != 0,
	}
	copy(n.body[:], raw[atBody:])
	kind, _ := n.kind()
	if kind == medium.File || kind == medium.Folder && v.incompat&incompatLargeDir != 0 {
		if n.size |= int64(le.Uint32(raw[atSizeHigh:])) << 32; n.size < 0 {
			n.size = math.MaxInt64
		}
	}
	extra := int64(0)
	if v.inodeBytes > oldInodeBytes {
		extra = int64(le.Uint16(raw[atExtraBytes:]))
	}
	where := subject{ino: ino, off: off}
	if extra > v.inodeBytes-oldInodeBytes || extra%4 != 0 {
		n.problem = inconsistent(where.String(), "it claims %d bytes more than the old 128, and there are %d", extra, v.inodeBytes-oldInodeBytes)
		return nil
	}
	if v.metaSum() {
		sum, seed, wide := v.inodeSum(ino, raw)
		n.seed = seed
		got := uint32(le.Uint16(raw[atInodeSumLow:]))
		if wide {
			got |= uint32(le.Uint16(raw[atInodeSumHigh:])) << 16
		} else {
			sum &= 0xFFFF
		}
		if got != sum {
			n.problem = inconsistent(where.String(), "its checksum %#x is not that of its bytes, %#x", got, sum)
			return nil
		}
	}
	if extra >= atModifiedMore+4-oldInodeBytes {
		n.modified += int64(le.Uint32(raw[atModifiedMore:])&3) << 32
	}
	used, err := v.inUse(ino)
	if err != nil {
		return err
	}
	if !used {
		n.problem = inconsistent(where.String(), "it is marked as free in the inode bitmap")
	}
	if n.flags&flagInline != 0 && extra > 0 { // without these bytes Linux looks for no attributes
		v.findInline(n, raw, oldInodeBytes+extra)
	}
	return nil
}

// clock puts times into words; files written together often share one.
type clock struct {
	last int64
	text string
}

func (c *clock) format(sec int64) string {
	if c.text == "" || c.last != sec {
		c.last, c.text = sec, time.Unix(sec, 0).UTC().Format("2006-01-02T15:04:05")
	}
	return c.text
}
