package ext

import (
	"fmt"
	"math/bits"
	"strconv"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// The superblock stands 1024 bytes behind the volume's beginning (super.rst).
const (
	superOff   = 1024
	superBytes = 1024
	superMagic = 0xEF53
)

// Offsets in the superblock (super.rst).
const (
	atInodes       = 0x00
	atBlocks       = 0x04
	atFirstBlock   = 0x14
	atLogBlock     = 0x18
	atLogCluster   = 0x1C
	atGroupBlocks  = 0x20
	atGroupCluster = 0x24
	atGroupInodes  = 0x28
	atMagic        = 0x38
	atCreator      = 0x48
	atRevision     = 0x4C
	atFirstInode   = 0x54
	atInodeSize    = 0x58
	atCompat       = 0x5C
	atIncompat     = 0x60
	atReadOnly     = 0x64
	atUUID         = 0x68
	atLabel        = 0x78
	atReservedGDT  = 0xCE
	atJournalInode = 0xE0
	atHashSeed     = 0xEC
	atDescBytes    = 0xFE
	atFirstMeta    = 0x104
	atBlocksHigh   = 0x150
	atFlags        = 0x160
	atMMPBlock     = 0x168
	atSumType      = 0x175
	atUserQuota    = 0x240
	atGroupQuota   = 0x244
	atBackups      = 0x24C
	atProjectQuota = 0x26C
	atSumSeed      = 0x270
	atOrphanFile   = 0x280
	atSum          = 0x3FC
)

// Features (super.rst, "feature compatibility flags").
const (
	compatJournal      = 0x4
	compatResizeInode  = 0x10
	compatDirIndex     = 0x20
	compatSparseSuper2 = 0x200
	compatOrphanFile   = 0x1000

	incompatCompression = 0x1
	incompatFileType    = 0x2
	incompatRecover     = 0x4
	incompatJournalDev  = 0x8
	incompatMetaBG      = 0x10
	incompatExtents     = 0x40
	incompat64Bit       = 0x80
	incompatMMP         = 0x100
	incompatFlexBG      = 0x200
	incompatEAInode     = 0x400
	incompatDirData     = 0x1000
	incompatSumSeed     = 0x2000
	incompatLargeDir    = 0x4000
	incompatInlineData  = 0x8000
	incompatEncrypt     = 0x10000
	incompatCasefold    = 0x20000
	// incompatRead are those that need nothing more than is done here. An inode
	// for an extended attribute has no name; a folder that folds case has
	// entries as any other, and names that differ by case alone are refused in
	// every folder.
	incompatRead = incompatFileType | incompatRecover | incompatMetaBG | incompatExtents | incompat64Bit | incompatMMP |
		incompatFlexBG | incompatEAInode | incompatSumSeed | incompatLargeDir | incompatInlineData | incompatEncrypt | incompatCasefold

	// Features of the third kind may be ignored by who only reads, as far as
	// the format goes; those that change what a block is may not be here.
	readOnlySparseSuper  = 0x1
	readOnlyGDTSum       = 0x10
	readOnlyDirNlink     = 0x20
	readOnlyQuota        = 0x100
	readOnlyBigalloc     = 0x200
	readOnlyMetaSum      = 0x400
	readOnlySharedBlocks = 0x4000
)

const (
	ext3Incompatible, ext3ReadOnly = 0x2 | 0x4 | 0x10, 0x1 | 0x2 | 0x4

	minBlock, maxLogBlock = 1024, 6
	oldInodeBytes         = 128
	oldFirstInode         = 11
	oldDescBytes          = 32
	creatorHurd           = 1
	lastCreator           = 4 // Lites
	sumTypeCRC32C         = 1
)

// super is the geometry of a volume, checked by newSuper: no product of two of
// its fields overflows, and every group has its blocks and inodes.
type super struct {
	off         int64 // of the volume on the device
	block       int64 // bytes
	blocks      int64 // below 2³²
	firstBlock  int64
	groupBlocks int64
	groupInodes uint32
	groupCount  uint32
	inodeCount  uint32
	inodeBytes  int64
	firstInode  uint32
	descBytes   int64

	compat, incompat, readOnly uint32

	firstMeta   uint32 // first block of descriptors that meta_bg spreads
	reservedGDT int64  // blocks
	backups     [2]uint32
	mmpBlock    uint64
	special     [5]uint32 // inodes of the journal, the quotas and the orphan file
	hashSeed    [4]uint32
	hashSigned  bool
	hashKnown   bool // whether it is recorded if characters have a sign
	uuid        []byte
	sumSeed     uint32
	label, id   string
}

func (s *super) bad(at int64, what, detail string, args ...any) error {
	return verdict.New(verdict.FilesystemInconsistent, layout.At("superblock, "+what, s.off+superOff+at), detail, args...)
}

func unread(name string) error {
	return verdict.New(verdict.FilesystemUnsupported, "superblock, features", "this is %s, which this station does not read", name)
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func powerOfTwo(n int64) bool { return n > 0 && n&(n-1) == 0 }

// word tells ext2, ext3 and ext4 apart by their features, as blkid does.
func (s *super) word() string {
	switch {
	case s.incompat&^ext3Incompatible != 0 || s.readOnly&^ext3ReadOnly != 0:
		return "ext4"
	case s.compat&compatJournal != 0:
		return "ext3"
	default:
		return "ext2"
	}
}

// newSuper reads the geometry from the superblock of a volume at off.
func newSuper(b []byte, off int64) (*super, error) {
	s := &super{off: off, inodeBytes: oldInodeBytes, firstInode: oldFirstInode, descBytes: oldDescBytes}
	if le.Uint16(b[atMagic:]) != superMagic {
		return nil, s.bad(atMagic, "magic number", "%#04x is not %#04x", le.Uint16(b[atMagic:]), superMagic)
	}
	switch revision := le.Uint32(b[atRevision:]); {
	case revision > 1:
		return nil, s.bad(atRevision, "revision", "%d is not 0 or 1", revision)
	case revision == 1:
		s.inodeBytes, s.firstInode = int64(le.Uint16(b[atInodeSize:])), le.Uint32(b[atFirstInode:])
		s.compat, s.incompat, s.readOnly = le.Uint32(b[atCompat:]), le.Uint32(b[atIncompat:]), le.Uint32(b[atReadOnly:])
	case le.Uint32(b[atCompat:])|le.Uint32(b[atIncompat:])|le.Uint32(b[atReadOnly:]) != 0:
		return nil, s.bad(atRevision, "revision", "it is 0, which has no features, and there are some: systems would read it in two ways")
	}
	if err := s.checkFeatures(b); err != nil {
		return nil, err
	}
	if err := s.sizes(b); err != nil {
		return nil, err
	}
	if err := s.division(b); err != nil {
		return nil, err
	}
	s.firstMeta, s.mmpBlock = le.Uint32(b[atFirstMeta:]), le.Uint64(b[atMMPBlock:])
	if s.compat&compatResizeInode != 0 {
		s.reservedGDT = int64(le.Uint16(b[atReservedGDT:]))
	}
	s.backups = [2]uint32{le.Uint32(b[atBackups:]), le.Uint32(b[atBackups+4:])}
	s.findSpecial(b)
	flags := le.Uint32(b[atFlags:])
	s.hashSigned, s.hashKnown = flags&1 != 0, flags&3 == 1 || flags&3 == 2
	for i := range s.hashSeed {
		s.hashSeed[i] = le.Uint32(b[atHashSeed+4*i:])
	}
	s.uuid = append([]byte(nil), b[atUUID:atUUID+16]...)
	s.sumSeed = crc32c(^uint32(0), s.uuid)
	if s.incompat&incompatSumSeed != 0 {
		s.sumSeed = le.Uint32(b[atSumSeed:])
	}
	s.id = fmt.Sprintf("%x-%x-%x-%x-%x", s.uuid[:4], s.uuid[4:6], s.uuid[6:8], s.uuid[8:10], s.uuid[10:])
	label := b[atLabel : atLabel+16]
	for i, c := range label {
		if c == 0 {
			label = label[:i]
			break
		}
	}
	if len(label) > 0 {
		text, _ := layout.AppendText(nil, label)
		s.label = string(text)
	}
	return s, nil
}

// findSpecial notes the inodes that hold the file system's own data.
func (s *super) findSpecial(b []byte) {
	for i, c := range []struct {
		has bool
		at  int
	}{
		{s.compat&compatJournal != 0, atJournalInode},
		{s.readOnly&readOnlyQuota != 0, atUserQuota},
		{s.readOnly&readOnlyQuota != 0, atGroupQuota},
		{s.readOnly&readOnlyQuota != 0, atProjectQuota},
		{s.compat&compatOrphanFile != 0, atOrphanFile},
	} {
		if c.has {
			s.special[i] = le.Uint32(b[c.at:])
		}
	}
}

// checkFeatures refuses what is not read, by name.
func (s *super) checkFeatures(b []byte) error {
	for _, c := range []struct {
		has  bool
		name string
	}{
		{s.incompat&incompatJournalDev != 0, "the external journal of another volume"},
		{s.incompat&incompatCompression != 0, "an ext2 with compression"},
		{s.incompat&incompatDirData != 0, "an ext4 of Lustre (dirdata)"},
		{s.readOnly&readOnlyBigalloc != 0, "an ext4 with bigalloc (clusters of blocks)"},
		{s.readOnly&readOnlySharedBlocks != 0, "an ext4 whose files share blocks (shared_blocks)"},
		{le.Uint32(b[atCreator:]) == creatorHurd, "an ext2 of GNU Hurd"},
	} {
		if c.has {
			return unread(c.name)
		}
	}
	if more := s.incompat &^ incompatRead; more != 0 {
		return unread(fmt.Sprintf("an ext4 with a feature that is not known (INCOMPAT %#x)", more))
	}
	if s.metaSum() && b[atSumType] != sumTypeCRC32C {
		return unread(fmt.Sprintf("an ext4 with checksums of a type that is not known (%d)", b[atSumType]))
	}
	return nil
}

func (s *super) metaSum() bool { return s.readOnly&readOnlyMetaSum != 0 }

// groupSums says whether descriptors have checksums; only then their flags count.
func (s *super) groupSums() bool { return s.readOnly&(readOnlyMetaSum|readOnlyGDTSum) != 0 }

// sizes reads the sizes of blocks, inodes and descriptors.
func (s *super) sizes(b []byte) error {
	log := le.Uint32(b[atLogBlock:])
	if log > maxLogBlock {
		return s.bad(atLogBlock, "block size", "2 to the power of %d kilobytes is more than 64", log)
	}
	s.block = minBlock << log
	if n := le.Uint32(b[atLogCluster:]); n != log {
		return s.bad(atLogCluster, "cluster size", "%d is not that of the block size, %d", n, log)
	}
	if !powerOfTwo(s.inodeBytes) || s.inodeBytes < oldInodeBytes || s.inodeBytes > s.block {
		return s.bad(atInodeSize, "inode size", "%d is not a power of two from 128 to the block size of %d", s.inodeBytes, s.block)
	}
	if s.firstInode < oldFirstInode {
		return s.bad(atFirstInode, "first inode", "%d is below %d", s.firstInode, oldFirstInode)
	}
	if s.incompat&incompat64Bit != 0 {
		s.descBytes = int64(le.Uint16(b[atDescBytes:]))
		if !powerOfTwo(s.descBytes) || s.descBytes < 64 || s.descBytes > 1024 {
			return s.bad(atDescBytes, "descriptor size", "%d is not a power of two from 64 to 1024", s.descBytes)
		}
	}
	return nil
}

// division reads how the volume is divided into groups.
func (s *super) division(b []byte) error {
	total := uint64(le.Uint32(b[atBlocks:]))
	if s.incompat&incompat64Bit != 0 {
		total |= uint64(le.Uint32(b[atBlocksHigh:])) << 32
	}
	first, perGroup := int64(le.Uint32(b[atFirstBlock:])), int64(le.Uint32(b[atGroupBlocks:]))
	wantFirst := int64(0)
	if s.block == minBlock {
		wantFirst = 1
	}
	switch {
	case first != wantFirst:
		return s.bad(atFirstBlock, "first block", "%d is not %d, as blocks of %d bytes need it", first, wantFirst, s.block)
	case total > 1<<32-1:
		return verdict.New(verdict.OverLimit, layout.At("superblock, blocks", s.off+superOff+atBlocks), "%d blocks are more than 2³²-1, the most that is read", total)
	case int64(total) <= first:
		return s.bad(atBlocks, "blocks", "%d blocks hold nothing", total)
	case perGroup < 8 || perGroup%8 != 0 || perGroup > 8*s.block:
		return s.bad(atGroupBlocks, "blocks per group", "%d is not a multiple of 8 up to %d", perGroup, 8*s.block)
	case int64(le.Uint32(b[atGroupCluster:])) != perGroup:
		return s.bad(atGroupCluster, "clusters per group", "%d is not the number of blocks per group, %d", le.Uint32(b[atGroupCluster:]), perGroup)
	}
	s.blocks, s.firstBlock, s.groupBlocks = int64(total), first, perGroup
	s.groupInodes, s.inodeCount = le.Uint32(b[atGroupInodes:]), le.Uint32(b[atInodes:])
	perBlock := s.block / s.inodeBytes
	if n := int64(s.groupInodes); n < perBlock || n%8 != 0 || n > 8*s.block || n%perBlock != 0 {
		return s.bad(atGroupInodes, "inodes per group", "%d is not a multiple of 8 that fills blocks, up to %d", n, 8*s.block)
	}
	groups := (s.blocks - first + perGroup - 1) / perGroup
	if want := groups * int64(s.groupInodes); want != int64(s.inodeCount) {
		return s.bad(atInodes, "inodes", "%d are not the %d of %d groups", s.inodeCount, want, groups)
	}
	if s.inodeCount < s.firstInode {
		return s.bad(atInodes, "inodes", "%d are fewer than the reserved ones", s.inodeCount)
	}
	s.groupCount = uint32(groups)
	return nil
}

// groupStart returns the first block of a group.
func (s *super) groupStart(g uint32) int64 { return s.firstBlock + int64(g)*s.groupBlocks }

// groupEnd returns the block behind the last one of a group.
func (s *super) groupEnd(g uint32) int64 { return min(s.blocks, s.groupStart(g)+s.groupBlocks) }

// hasSuper says whether a group begins with a copy of the superblock
// (blockgroup.rst, "sparse_super").
func (s *super) hasSuper(g uint32) bool {
	switch {
	case g == 0:
		return true
	case s.compat&compatSparseSuper2 != 0:
		return g == s.backups[0] || g == s.backups[1]
	case g == 1 || s.readOnly&readOnlySparseSuper == 0:
		return true
	case g&1 == 0:
		return false
	}
	return powerOf(g, 3) || powerOf(g, 5) || powerOf(g, 7)
}

func powerOf(n, base uint32) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}

// checkSum verifies the checksum of the superblock.
func (s *super) checkSum(b []byte) *verdict.Finding {
	if got, want := le.Uint32(b[atSum:]), crc32c(^uint32(0), b[:atSum]); s.metaSum() && got != want {
		return inconsistent(layout.At("superblock, checksum", s.off+superOff+atSum), "%#08x is not that of its bytes, %#08x", got, want)
	}
	return nil
}

// checkBackup compares the geometry with the first backup. The rest may differ
// in peace: systems write states, features and labels to the first one only.
func (v *volume) checkBackup(first []byte) error {
	g := uint32(1)
	if v.compat&compatSparseSuper2 != 0 {
		if g = v.backups[0]; g == 0 {
			return nil
		}
	}
	if g >= v.groupCount {
		return nil
	}
	off := v.off + v.groupStart(g)*v.block
	if off+superBytes > v.w.Dev.Size() {
		return nil // that the medium is too short is written down already
	}
	b := make([]byte, superBytes)
	if err := v.w.Dev.Read(b, off, "backup superblock"); err != nil {
		return err
	}
	if le.Uint16(b[atMagic:]) != superMagic {
		return nil
	}
	for _, c := range []struct {
		what    string
		at, end int
	}{
		{"inodes", atInodes, atBlocks}, {"blocks", atBlocks, atBlocks + 4}, {"division into groups", atFirstBlock, atGroupInodes + 4},
		{"revision", atRevision, atRevision + 4}, {"inode size", atInodeSize, atInodeSize + 2},
	} {
		if string(first[c.at:c.end]) != string(b[c.at:c.end]) {
			return v.w.Inconsistent(layout.At("backup superblock, "+c.what, off+int64(c.at)), "it describes another file system than the first superblock")
		}
	}
	return nil
}

// descPerBlock returns how many group descriptors a block holds, as a power of two.
func (s *super) descPerBlock() int64 { return s.block / s.descBytes }

// pointerBits is the binary logarithm of the pointers in a block of a block map.
func (s *super) pointerBits() uint { return uint(bits.TrailingZeros64(uint64(s.block / 4))) }
