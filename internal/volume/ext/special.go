package ext

import (
	"encoding/binary"

	"sallyport/internal/medium"
	"sallyport/internal/volume/layout"
)

// The journal's superblock (journal.rst) has its numbers in big-endian order.
const (
	journalMagic   = 0xC03B3998
	atJournalType  = 4
	atJournalStart = 28
	journalHead    = 32
)

// claimSpecial takes the blocks of the inodes that hold the file system's own
// data, so that a file that points into them is found.
func (v *volume) claimSpecial() error {
	names := [...]string{"journal", "quota of users", "quota of groups", "quota of projects", "orphan file"}
	for i, ino := range v.special {
		if ino == 0 {
			continue
		}
		s := subject{ino: ino, what: names[i] + " (inode " + decimal(ino) + ")"}
		if ino > v.inodeCount || ino == rootInode || ino == resizeInode {
			return inconsistent(s.String(), "this inode does not exist or has another purpose; there are %d", v.inodeCount)
		}
		if err := v.claimFile(s, i == 0); err != nil {
			return err
		}
	}
	return v.claimResize()
}

// claimFile takes the blocks of one special inode.
func (v *volume) claimFile(s subject, journal bool) error {
	if first, err := v.claimInode(s.ino); err != nil || !first {
		if err == nil {
			err = v.w.Inconsistent(s.String(), "this inode has two purposes")
		}
		return err
	}
	var n inode
	if err := v.readInode(s.ino, &n); err != nil {
		return err
	}
	s.off = n.off
	if n.problem != nil {
		n.problem.Where = s.String()
		return v.w.Problem(n.problem)
	}
	if kind, _ := n.kind(); kind != medium.File {
		return v.w.Inconsistent(s.String(), "it is no file (mode %#o)", n.mode)
	}
	f, err := v.content(&n, s)
	if err != nil {
		return err
	}
	if f != nil {
		if f == v.told {
			return nil
		}
		return v.w.Problem(f)
	}
	if journal {
		return v.checkJournal(s)
	}
	return nil
}

// checkJournal finds a journal that still holds changes although the superblock
// says that there are none: some systems replay it and others do not.
func (v *volume) checkJournal(s subject) error {
	list := v.mapping.extents
	if len(list) == 0 || list[0].Off == layout.Zeros || list[0].Len < journalHead {
		return v.w.Inconsistent(s.String(), "it has no beginning")
	}
	off := list[0].Off
	b := make([]byte, journalHead)
	if err := v.w.Dev.Read(b, off, "journal"); err != nil {
		return err
	}
	be := binary.BigEndian
	if kind := be.Uint32(b[atJournalType:]); be.Uint32(b) != journalMagic || kind != 3 && kind != 4 {
		return v.w.Inconsistent(layout.At("journal", off), "it does not begin as a journal does")
	}
	if start := be.Uint32(b[atJournalStart:]); start != 0 && v.incompat&incompatRecover == 0 {
		return v.w.Inconsistent(layout.At("journal", off+atJournalStart), "it holds changes from its block %d on, and the superblock says that there are none: systems would see different contents", start)
	}
	return nil
}

// claimResize takes the one block of the resize inode that does not stand
// behind the group descriptors.
func (v *volume) claimResize() error {
	if v.compat&compatResizeInode == 0 {
		return nil
	}
	var n inode
	if err := v.readInode(resizeInode, &n); err != nil {
		return err
	}
	s := subject{ino: resizeInode, off: n.off, what: "room for descriptors (inode 7)"}
	at := int64(le.Uint32(n.body[4*(directBlocks+1):]))
	if at == 0 || n.problem != nil {
		return nil
	}
	v.mapping.free = noBlock
	f, err := v.take(at, 1, s)
	if err != nil || f == v.told && f != nil {
		return err
	}
	if f == nil {
		f = v.markedFree(s)
	}
	if f == nil {
		return nil
	}
	return v.w.Problem(f)
}
