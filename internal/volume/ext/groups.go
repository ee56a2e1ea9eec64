package ext

import (
	"cmp"
	"slices"

	"sallyport/internal/volume/layout"
)

// Offsets in a group descriptor (group_descr.rst); the upper halves exist in
// descriptors of 64 bytes.
const (
	atBlockBitmap   = 0x00
	atInodeBitmap   = 0x04
	atInodeTable    = 0x08
	atDescFlags     = 0x12
	atBlockBitsSum  = 0x18
	atInodeBitsSum  = 0x1A
	atUnusedInodes  = 0x1C
	atDescSum       = 0x1E
	highHalf        = 0x20 // from the lower half of a block number to the upper
	atUnusedHigh    = 0x32
	atBlockBitsHigh = 0x38
	atInodeBitsHigh = 0x3A

	flagInodesUnused = 0x1 // no inode of the group is in use, its bitmap is not there
	flagBlocksUnused = 0x2 // as above for blocks

	groupCost = 40
	rangeCost = 8
)

// group is what a descriptor says, within the volume.
type group struct {
	blockBits, inodeBits, table uint32 // block numbers
	blockSum, inodeSum          uint32
	usedInodes                  uint32 // the first of the group; those behind were never used
	flags                       uint16
	toldBlocks, toldInodes      bool // that a bitmap's checksum is wrong
}

// ranges are blocks of the file system's own, sorted.
type ranges []struct{ first, end uint32 }

// overlaps returns the first of n blocks from first that is in a range.
func (r ranges) overlaps(first, n int64) (int64, bool) {
	i, _ := slices.BinarySearchFunc(r, first, func(x struct{ first, end uint32 }, at int64) int {
		if int64(x.end) <= at {
			return -1
		}
		return 1
	})
	if i < len(r) && int64(r[i].first) < first+n {
		return max(first, int64(r[i].first)), true
	}
	return 0, false
}

// readGroups reads all descriptors and finds where the file system's own
// structures are.
func (v *volume) readGroups() error {
	perBlock := v.descPerBlock()
	blocks := (int64(v.groupCount) + perBlock - 1) / perBlock
	if err := v.w.Memory("the groups of blocks", int64(v.groupCount)*(groupCost+4*rangeCost)); err != nil {
		return err
	}
	v.groups = make([]group, 0, v.groupCount)
	v.own = make(ranges, 0, 4*int(v.groupCount))
	buf := make([]byte, v.block)
	sumTold := false
	for i := range blocks {
		at := v.descBlock(i)
		if at >= v.blocks {
			return v.bad(atBlocks, "blocks", "the group descriptors go on at block %d, behind the end", at)
		}
		if err := v.w.Dev.Read(buf, v.off+at*v.block, "group descriptors"); err != nil {
			return err
		}
		for n := range min(perBlock, int64(v.groupCount)-i*perBlock) {
			g := uint32(i*perBlock + n)
			d := buf[n*v.descBytes:][:v.descBytes]
			off := v.off + at*v.block + n*v.descBytes
			if v.groupSums() && !sumTold && v.descSum(g, d) != le.Uint16(d[atDescSum:]) {
				sumTold = true
				if err := v.w.Inconsistent(layout.At("descriptor of group "+decimal(g), off), "its checksum %#04x is not that of its bytes, %#04x",
					le.Uint16(d[atDescSum:]), v.descSum(g, d)); err != nil {
					return err
				}
			}
			if err := v.addGroup(g, d, off); err != nil {
				return err
			}
		}
	}
	return v.sortOwn()
}

// descBlock returns the block of the i-th block of descriptors (blockgroup.rst,
// "meta block groups").
func (v *volume) descBlock(i int64) int64 {
	if v.incompat&incompatMetaBG == 0 || i < int64(v.firstMeta) {
		return v.firstBlock + 1 + i
	}
	g := uint32(i * v.descPerBlock())
	if v.hasSuper(g) {
		return v.groupStart(g) + 1
	}
	return v.groupStart(g)
}

// headBlocks returns how many blocks of a group's beginning hold copies of the
// superblock and of descriptors, or are kept free for more of them.
func (v *volume) headBlocks(g uint32) int64 {
	n, perBlock := int64(0), v.descPerBlock()
	super := v.hasSuper(g)
	if super {
		n = 1
	}
	meta := v.incompat&incompatMetaBG != 0
	if !meta || int64(g)/perBlock < int64(v.firstMeta) {
		if !super {
			return 0
		}
		if meta {
			return n + int64(v.firstMeta)
		}
		return n + (int64(v.groupCount)+perBlock-1)/perBlock + v.reservedGDT
	}
	if in := int64(g) % perBlock; in == 0 || in == 1 || in == perBlock-1 {
		n++
	}
	return n
}

// addGroup checks and keeps one descriptor.
func (v *volume) addGroup(g uint32, d []byte, off int64) error {
	number := func(at int) int64 {
		n := int64(le.Uint32(d[at:]))
		if v.descBytes > oldDescBytes {
			n |= int64(le.Uint32(d[at+highHalf:])&0x7FFFFFFF) << 32
		}
		return n
	}
	x := group{flags: le.Uint16(d[atDescFlags:]), blockSum: uint32(le.Uint16(d[atBlockBitsSum:])), inodeSum: uint32(le.Uint16(d[atInodeBitsSum:]))}
	unused := uint32(le.Uint16(d[atUnusedInodes:]))
	if v.descBytes > oldDescBytes {
		unused |= uint32(le.Uint16(d[atUnusedHigh:])) << 16
		x.blockSum |= uint32(le.Uint16(d[atBlockBitsHigh:])) << 16
		x.inodeSum |= uint32(le.Uint16(d[atInodeBitsHigh:])) << 16
	}
	where := func() string { return layout.At("descriptor of group "+decimal(g), off) }
	x.usedInodes = v.groupInodes
	if v.groupSums() {
		if unused > v.groupInodes {
			return inconsistent(where(), "%d unused inodes are more than its %d", unused, v.groupInodes)
		}
		x.usedInodes -= unused
	} else {
		x.flags = 0
	}
	least, most := v.firstBlock, v.blocks
	if v.incompat&incompatFlexBG == 0 {
		least, most = v.groupStart(g), v.groupEnd(g)
	}
	for _, c := range []struct {
		what string
		at   int
		n    int64
		to   *uint32
	}{
		{"block bitmap", atBlockBitmap, 1, &x.blockBits},
		{"inode bitmap", atInodeBitmap, 1, &x.inodeBits},
		{"inode table", atInodeTable, int64(v.groupInodes) * v.inodeBytes / v.block, &x.table},
	} {
		first := number(c.at)
		if first < least || first > most-c.n {
			return inconsistent(where(), "its %s is said to be in block %d, outside the blocks %d to %d", c.what, first, least, most-1)
		}
		*c.to = uint32(first)
		v.addOwn(first, c.n)
	}
	if n := v.headBlocks(g); n > 0 {
		if n > v.groupEnd(g)-v.groupStart(g) {
			return inconsistent(where(), "the copies of superblock and descriptors, %d blocks, do not fit into the group", n)
		}
		v.addOwn(v.groupStart(g), n)
	}
	v.groups = append(v.groups, x)
	return nil
}

func (v *volume) addOwn(first, n int64) {
	v.own = append(v.own, struct{ first, end uint32 }{uint32(first), uint32(first + n)})
}

// sortOwn puts the ranges in order and joins neighbours; two that overlap are
// structures in each other's place.
func (v *volume) sortOwn() error {
	if v.firstBlock == 1 {
		v.addOwn(0, 1)
	}
	if v.incompat&incompatMMP != 0 && v.mmpBlock != 0 {
		if v.mmpBlock >= uint64(v.blocks) {
			return v.bad(atMMPBlock, "mount protection", "block %d does not exist", v.mmpBlock)
		}
		v.addOwn(int64(v.mmpBlock), 1)
	}
	slices.SortFunc(v.own, func(a, b struct{ first, end uint32 }) int { return cmp.Compare(a.first, b.first) })
	joined := v.own[:1]
	for _, x := range v.own[1:] {
		last := &joined[len(joined)-1]
		switch {
		case x.first < last.end:
			return inconsistent("group descriptors", "block %d is said to hold two structures at once (bitmaps, inode tables, copies of the superblock)", x.first)
		case x.first == last.end:
			last.end = x.end
		default:
			joined = append(joined, x)
		}
	}
	v.own = joined
	return nil
}

// bitmaps keeps a few of the bitmaps of blocks or of inodes.
type bitmaps struct {
	v      *volume
	what   string
	inodes bool
	slots  []struct {
		group int64 // number of the group held, plus one
		data  []byte
	}
}

func (b *bitmaps) init(v *volume, what string, inodes bool) {
	const most = 64
	b.v, b.what, b.inodes = v, what, inodes
	b.slots = make([]struct {
		group int64
		data  []byte
	}, min(most, (1<<19)/v.block))
}

// of returns the bitmap of a group, or nil when the group has nothing in use.
func (b *bitmaps) of(g uint32) ([]byte, error) {
	v, x := b.v, &b.v.groups[g]
	at, n, sum, flag, told := x.blockBits, v.groupBlocks/8, x.blockSum, uint16(flagBlocksUnused), &x.toldBlocks
	if b.inodes {
		at, n, sum, flag, told = x.inodeBits, int64(v.groupInodes/8), x.inodeSum, flagInodesUnused, &x.toldInodes
	}
	if x.flags&flag != 0 {
		return nil, nil
	}
	s := &b.slots[int(g)%len(b.slots)]
	if s.group == int64(g)+1 {
		return s.data, nil
	}
	if s.data == nil {
		var err error
		if s.data, err = v.buffer(n); err != nil {
			return nil, err
		}
	}
	s.group = 0 // a bitmap half read is not to be found again
	off := v.off + int64(at)*v.block
	if err := v.w.Dev.Read(s.data, off, b.what); err != nil {
		return nil, err
	}
	s.group = int64(g) + 1
	if v.metaSum() && !*told {
		got := crc32c(v.sumSeed, s.data)
		if v.descBytes == oldDescBytes {
			got &= 0xFFFF
		}
		if got != sum {
			*told = true
			if err := v.w.Inconsistent(layout.At(b.what+" of group "+decimal(g), off), "its checksum %#x is not the recorded %#x", got, sum); err != nil {
				return nil, err
			}
		}
	}
	return s.data, nil
}

// firstClear returns the first of the bits [from, to) that is not set, or to.
func firstClear(p []byte, from, to int64) int64 {
	for from < to {
		switch {
		case from&7 == 0 && to-from >= 64 && le.Uint64(p[from/8:]) == 1<<64-1:
			from += 64
		case p[from/8]>>(from&7)&1 == 0:
			return from
		default:
			from++
		}
	}
	return to
}

// firstFree returns the first of n blocks that is marked as free; all of them exist.
func (v *volume) firstFree(first, n int64) (int64, bool, error) {
	for n > 0 {
		g := (first - v.firstBlock) / v.groupBlocks
		in := (first - v.firstBlock) % v.groupBlocks
		here := min(n, v.groupBlocks-in)
		p, err := v.blockBits.of(uint32(g))
		if err != nil {
			return 0, false, err
		}
		if p == nil {
			return first, true, nil
		}
		if at := firstClear(p, in, in+here); at < in+here {
			return first + at - in, true, nil
		}
		first, n = first+here, n-here
	}
	return 0, false, nil
}

// inUse asks the bitmap about an inode that exists.
func (v *volume) inUse(ino uint32) (bool, error) {
	g, in := (ino-1)/v.groupInodes, (ino-1)%v.groupInodes
	p, err := v.inodeBits.of(g)
	if err != nil || p == nil || in >= v.groups[g].usedInodes {
		return false, err
	}
	return p[in/8]>>(in&7)&1 != 0, nil
}
