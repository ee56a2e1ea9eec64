// Package ext reads ext2, ext3 and ext4 from an untrusted volume: superblock,
// group descriptors, inodes, extent trees and block maps, folders and their
// hash trees, data inside inodes. It reads no content and no journal. The rules
// are those of the Linux kernel's Documentation/filesystems/ext4; where systems
// read one structure in different ways, it reports the structure rather than
// choose a reading.
//
// Checksums (CRC-32C or CRC-16, where the volume has them) are verified of all
// that is read: superblock, descriptors, bitmaps, inodes, extent blocks, blocks
// of folders and of their hash trees.
//
// Damage of the volume (its files may not be used): a superblock that
// contradicts itself, its first backup or the partition; descriptors that point
// outside the volume or over each other; a journal that waits to be replayed,
// since then newer versions of the structures are in the journal (the medium
// was pulled; the journal of a foreign medium is never replayed), or a journal
// that is not empty although the superblock says so; a block of two owners, or
// of a file and the file system's own; a folder that is damaged in any way, has
// two parents or a "." or ".." that is wrong, has two entries of one name, or
// whose hash tree leads elsewhere than its blocks; an entry that says another
// type than the inode; a number of names other than the inode's link count.
// Damage of one file: its inode, extents, size or name, a block or inode marked
// as free, initialised blocks behind the end of its content.
//
// No damage: the states "not cleanly unmounted" and "errors were found" (media
// are pulled; what is read is checked here, and contents are verified by their
// hashes), counts of free and used blocks and inodes, lost inodes that no entry
// points at, preallocated blocks behind the end of a file, group descriptors
// and superblocks other than the first and its first backup, flags such as
// immutable, and extended attributes, which are not read.
//
// Features that are not read are refused by name: bigalloc, compression,
// shared blocks, external journals, dirdata, GNU Hurd, and incompatible ones
// that are not known; of those that only a writer needs to know, none matters.
// Encrypted and compressed files are listed without extents; what is in an
// encrypted folder is not listed, which the volume's problems say.
//
// Preallocated blocks inside a file read as zeros and make it no sparse file;
// holes do. Names in the slack of folders count as deleted when they are whole
// and lead to an inode that is free now.
package ext

import (
	"encoding/binary"
	"math"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

var le = binary.LittleEndian

// Inode numbers with a meaning of their own (special_inodes.rst).
const (
	rootInode   = 2
	resizeInode = 7
)

// volume is one walk.
type volume struct {
	super
	w      *layout.Walker
	groups []group
	own    ranges // blocks of the file system's own structures

	blockBits, inodeBits bitmaps
	inodes               inodeCache
	listed               *layout.Claims // inodes that have a name or a purpose
	links                map[uint32]int // names still to be found
	partial              bool           // a folder could not be read, so that names are missing

	mapping mapping
	levels  [][]byte         // blocks of a tree or a block map, by their level
	told    *verdict.Finding // the last that is written down as the volume's
	dirBuf  []byte
	// Of the folder at hand: its extents, the number of the first block of each,
	// and nodes of its hash tree by their level.
	dirExtents []layout.Extent
	dirRoom    int
	starts     []int64
	nodes      [3][]byte
	leafRoom   int
	batch      batch
	name       []byte
	clock      clock
	pending    []folder
}

// folder is one that was found and is still to be read.
type folder struct {
	path       string
	ino, above uint32
}

// Recognise says whether a volume claims to have the superblock of an ext2, ext3
// or ext4. Two bytes of magic are few (a FAT may have them in its table, between
// numbers or between zeros), so that two thirds of some other fields have to be
// possible as well; which of them is not is for [Walk] to say.
func Recognise(p *layout.Probe) bool {
	b := p.At(superOff, 128)
	if le.Uint16(b[atMagic:]) != superMagic {
		return false
	}
	within := func(at int, least, most uint32) bool { n := le.Uint32(b[at:]); return n >= least && n <= most }
	possible := 0
	for _, fits := range []bool{
		within(atLogBlock, 0, maxLogBlock),
		le.Uint32(b[atLogCluster:]) == le.Uint32(b[atLogBlock:]),
		within(atRevision, 0, 1),
		within(atCreator, 0, lastCreator),
		within(atFirstBlock, 0, 1),
		within(atInodes, oldFirstInode, math.MaxUint32),
		within(atBlocks, 1, math.MaxUint32),
		within(atGroupBlocks, 8, 8*minBlock<<maxLogBlock) && b[atGroupBlocks]%8 == 0,
		within(atGroupInodes, 8, 8*minBlock<<maxLogBlock) && b[atGroupInodes]%8 == 0,
	} {
		if fits {
			possible++
		}
	}
	return possible >= 6
}

// Walk reads the volume that w.Vol describes. Its error is the finding that
// ended the walk.
func Walk(w *layout.Walker) error {
	v, err := open(w)
	if err != nil {
		return err
	}
	if err := v.claimSpecial(); err != nil {
		return err
	}
	if _, err := v.claimInode(rootInode); err != nil {
		return err
	}
	v.pending = append(v.pending, folder{ino: rootInode, above: rootInode})
	for i := 0; i < len(v.pending); i++ {
		if err := v.readFolder(v.pending[i]); err != nil {
			return err
		}
	}
	return v.missingNames()
}

// open checks everything but the inodes.
func open(w *layout.Walker) (*volume, error) {
	raw := make([]byte, superBytes)
	off := w.Vol.Offset
	if err := w.Dev.Read(raw, off+superOff, "superblock"); err != nil {
		return nil, err
	}
	s, err := newSuper(raw, off)
	if err != nil {
		return nil, err
	}
	w.Vol.FS, w.Vol.Label, w.Vol.ID = s.word(), s.label, s.id
	v := &volume{super: *s, w: w}
	if err := v.checkSize(); err != nil {
		return nil, err
	}
	if f := s.checkSum(raw); f != nil {
		if err := w.Problem(f); err != nil {
			return nil, err
		}
	}
	if s.incompat&incompatRecover != 0 {
		if err := w.Inconsistent(layout.At("superblock, needs recovery", off+superOff),
			"the medium was pulled before it was unmounted: its latest changes are still in the journal, which is not replayed; have it written again and ejected properly"); err != nil {
			return nil, err
		}
	}
	if err := v.checkBackup(raw); err != nil {
		return nil, err
	}
	if err := v.readGroups(); err != nil {
		return nil, err
	}
	v.inodes.init()
	v.blockBits.init(v, "block bitmap", false)
	v.inodeBits.init(v, "inode bitmap", true)
	v.mapping.room = freeExtents
	v.links = map[uint32]int{}
	if v.listed, err = w.NewClaims("the map of inodes", v.inodeCount); err != nil {
		return nil, err
	}
	return v, w.Clusters(uint32(v.blocks))
}

// checkSize compares the size that the superblock claims with the room there is.
func (v *volume) checkSize() error {
	vol, total := v.w.Vol, v.blocks*v.block
	end := vol.Offset + total
	switch {
	case end > v.w.Dev.Size():
		return v.w.Problem(verdict.New(verdict.Truncated, layout.At("superblock, blocks", v.off+superOff+atBlocks),
			"the file system ends at byte %d and the medium at byte %d", end, v.w.Dev.Size()))
	case total > vol.Size:
		return v.w.Inconsistent(layout.At("superblock, blocks", v.off+superOff+atBlocks),
			"the file system claims %d bytes and its partition has %d", total, vol.Size)
	}
	return nil
}

// buffer makes n bytes of room for what is read, which the walk keeps.
func (v *volume) buffer(n int64) ([]byte, error) {
	if err := v.w.Memory("the buffers of a reader of ext", n); err != nil {
		return nil, err
	}
	return make([]byte, n), nil
}

// claimInode notes that an inode has an owner and says whether it is the first.
func (v *volume) claimInode(ino uint32) (bool, error) {
	fresh, err := v.listed.Claim(ino - 1)
	if err != nil {
		return false, verdict.New(verdict.OverLimit, "the map of inodes", "%s", err.Error())
	}
	return fresh, nil
}

// countName takes one name off those that an inode must have, and says whether
// there were any left.
func (v *volume) countName(ino uint32, links uint16, first bool) (bool, error) {
	const linkCost = 48 // of a map's entry, with its free room
	if first {
		if links > 1 {
			if err := v.w.Memory("the files with several names", linkCost); err != nil {
				return false, err
			}
			v.links[ino] = int(links) - 1
		}
		return true, nil
	}
	left := v.links[ino]
	if left > 0 {
		v.links[ino] = left - 1
	}
	return left > 0, nil
}

// missingNames compares the link counts with the names that were found.
func (v *volume) missingNames() error {
	if v.partial {
		return nil
	}
	worst := uint32(0)
	for ino, left := range v.links {
		if left > 0 && (worst == 0 || ino < worst) {
			worst = ino
		}
	}
	if worst == 0 {
		return nil
	}
	return v.w.Inconsistent(subject{ino: worst}.String(), "it counts %d more names than the folders have: some are hidden or lost", v.links[worst])
}

// subject is what a finding is about, put into words only when it is needed.
type subject struct {
	ino    uint32
	off    int64 // of the inode on the device, 0 when it is not known
	typ    medium.Type
	folder string
	name   []byte
	what   string // in place of a name
}

func (s subject) String() string {
	if s.off > 0 {
		return layout.At(s.brief(), s.off)
	}
	return s.brief()
}

// brief leaves the place on the device out.
func (s subject) brief() string {
	number := "inode " + decimal(s.ino)
	switch {
	case s.what != "":
		return s.what
	case s.ino == rootInode:
		return "root folder"
	case s.name == nil:
		return number
	}
	kind, path := "file ", string(s.name)
	if s.typ == medium.Folder {
		kind = "folder "
	}
	if s.folder != "" {
		path = s.folder + "/" + path
	}
	return kind + path + " (" + number + ")"
}

func inconsistent(where, detail string, args ...any) *verdict.Finding {
	return verdict.New(verdict.FilesystemInconsistent, where, detail, args...)
}
