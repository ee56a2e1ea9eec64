package ext

import (
	"bytes"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// Entries of a folder (directory.rst, "linear directories"): inode, length of
// the record, length and type of the name, name.
const (
	entryHead    = 8
	minEntry     = 12
	dotEntry     = 12 // both "." and ".." when nothing follows closely
	tailBytes    = 12
	startCost    = 8
	tailType     = 0xDE
	folderChunk  = 64 << 10
	inlineParent = 4 // bytes of the number of the folder above, in an inline folder
)

// open folder: the one whose entries are being read.
type reading struct {
	folder
	n       inode
	s       subject
	where   string // s.brief()
	index   *index // nil when it has none
	inline  bool
	started bool  // an entry was seen
	dots    int   // "." and ".." seen
	kids    int64 // folders found in it
	damaged bool
}

// problem writes a contradiction of the folder down: nobody knows which of its
// entries others see.
func (v *volume) problem(d *reading, off int64, detail string, args ...any) error {
	d.damaged, v.partial = true, true
	where := d.where
	if off > 0 {
		where = layout.At(where, off)
	}
	return v.w.Inconsistent(where, detail, args...)
}

// readFolder lists one folder and puts its folders on the list of those to read.
func (v *volume) readFolder(f folder) error {
	d := &reading{folder: f, s: subject{ino: f.ino, typ: medium.Folder, what: layout.Folder(f.path) + " (inode " + decimal(f.ino) + ")"}}
	d.where = d.s.brief()
	if err := v.readInode(f.ino, &d.n); err != nil {
		return err
	}
	d.s.off = d.n.off
	if d.n.problem != nil {
		d.n.problem.Where, v.partial = d.s.String(), true
		if err := v.w.Problem(d.n.problem); err != nil {
			return err
		}
	}
	if kind, _ := d.n.kind(); kind != medium.Folder {
		return v.problem(d, d.n.off, "it is no folder (mode %#o)", d.n.mode)
	}
	why, err := v.content(&d.n, d.s)
	if err != nil {
		return err
	}
	if why != nil {
		d.damaged, v.partial = true, true
		if why != v.told {
			if err := v.w.Problem(why); err != nil {
				return err
			}
		}
	}
	v.w.Names.Reset()
	if d.inline = d.n.flags&flagInline != 0; d.inline {
		err = v.readInline(d)
	} else {
		err = v.readBlocks(d)
	}
	if err != nil {
		return err
	}
	if err := v.flush(d); err != nil {
		return err
	}
	return v.endFolder(d)
}

// endFolder checks what can be told only of the whole folder.
func (v *volume) endFolder(d *reading) error {
	if a, b, twice := v.w.Names.Twice(); twice {
		if err := v.problem(d, a, "the entries there and at byte %d have the same name", b); err != nil {
			return err
		}
	}
	if d.damaged {
		return nil
	}
	if d.dots < 2 && !d.inline {
		return v.problem(d, d.n.off, `it has no "." and ".."`)
	}
	if links := int64(d.n.links); links != d.kids+2 && !(links == 1 && v.readOnly&readOnlyDirNlink != 0) {
		return v.problem(d, d.n.off, "it counts %d links and has %d folders, which make %d: some are hidden or lost", links, d.kids, d.kids+2)
	}
	return nil
}

// readBlocks goes through the blocks of a folder, several at once.
func (v *volume) readBlocks(d *reading) error {
	m := &v.mapping
	if d.n.size == 0 || d.n.size%v.block != 0 {
		if err := v.problem(d, d.n.off, "its size of %d bytes is not a number of blocks", d.n.size); err != nil {
			return err
		}
	}
	if m.zeros {
		if err := v.problem(d, d.n.off, "a part of it is not on the medium"); err != nil {
			return err
		}
	}
	if err := v.holdExtents(); err != nil {
		return err
	}
	if d.n.flags&flagIndex != 0 && v.compat&compatDirIndex != 0 && !d.damaged {
		if err := v.readIndex(d); err != nil {
			return err
		}
	}
	if v.dirBuf == nil {
		var err error
		if v.dirBuf, err = v.buffer(folderChunk); err != nil {
			return err
		}
	}
	logical := int64(0)
	for _, x := range v.dirExtents {
		if x.Off == layout.Zeros {
			logical += x.Len / v.block
			continue
		}
		for x.Len >= v.block {
			p := v.dirBuf[:min(int64(len(v.dirBuf)), x.Len/v.block*v.block)]
			if err := v.w.Dev.Read(p, x.Off, d.where); err != nil {
				return err
			}
			for at := int64(0); at < int64(len(p)); at += v.block {
				if err := v.readBlock(d, p[at:][:v.block], x.Off+at, logical); err != nil {
					return err
				}
				logical++
			}
			x.Off, x.Len = x.Off+int64(len(p)), x.Len-int64(len(p))
		}
	}
	return nil
}

// holdExtents keeps the folder's extents while those of its files are mapped.
func (v *volume) holdExtents() error {
	if n := len(v.mapping.extents); n > max(freeExtents, v.dirRoom) {
		if err := v.w.Memory("the pieces of a folder", int64(n-v.dirRoom)*(extentCost+startCost)); err != nil {
			return err
		}
		v.dirRoom = n
	}
	v.dirExtents = append(v.dirExtents[:0], v.mapping.extents...)
	return nil
}

// readInline goes through the entries that stand in the folder's inode.
func (v *volume) readInline(d *reading) error {
	if d.damaged {
		return nil
	}
	raw, _, err := v.rawInode(d.ino)
	if err != nil {
		return err
	}
	if d.n.size < inlineParent {
		return v.problem(d, d.n.off, "it has no room for the number of the folder above")
	}
	raw = bytes.Clone(raw) // what the cache holds changes while the entries are listed
	if above := le.Uint32(raw[atBody:]); above != d.above {
		if err := v.problem(d, d.n.off+atBody, "it says that inode %d is the folder above, which is %d", above, d.above); err != nil {
			return err
		}
	}
	d.started = true
	first := min(d.n.size, bodyBytes)
	if err := v.entries(d, raw[atBody+inlineParent:atBody+first], d.n.off+atBody+inlineParent, false); err != nil {
		return err
	}
	if rest := d.n.size - bodyBytes; rest > 0 {
		return v.entries(d, raw[d.n.inlineAt:][:rest], d.n.off+int64(d.n.inlineAt), false)
	}
	return nil
}

// readBlock checks a block of a folder and takes its entries.
func (v *volume) readBlock(d *reading, p []byte, off, logical int64) error {
	if d.index != nil {
		d.index.at = logical
	}
	if v.indexBlock(d, p, logical) {
		if logical > 0 {
			return nil
		}
		return v.entries(d, p, off, true)
	}
	if v.metaSum() {
		tail := p[len(p)-tailBytes:]
		if le.Uint32(tail) != 0 || le.Uint16(tail[4:]) != tailBytes || tail[6] != 0 || tail[7] != tailType {
			return v.problem(d, off+int64(len(p)-tailBytes), "the block has no checksum at its end")
		}
		p = p[:len(p)-tailBytes]
		if got, want := le.Uint32(tail[8:]), crc32c(d.n.seed, p); got != want {
			if err := v.problem(d, off, "the checksum of the block, %#08x, is not that of its bytes, %#08x", got, want); err != nil {
				return err
			}
		}
	}
	return v.entries(d, p, off, false)
}

// recordBytes decodes the length of a record; blocks of 64 KiB need more than
// 16 bits for theirs (directory.rst).
func (v *volume) recordBytes(n uint16) int {
	if v.block < 65536 {
		return int(n)
	}
	if n == 0 || n == 65535 {
		return 65536
	}
	return int(n)&^3 | int(n)&3<<16
}

// entries takes those of one block. In the root of an index, only the first two
// are entries.
func (v *volume) entries(d *reading, p []byte, off int64, root bool) error {
	for pos := 0; pos < len(p); {
		if len(p)-pos < entryHead {
			return v.problem(d, off+int64(pos), "its last %d bytes are too few for an entry", len(p)-pos)
		}
		e := p[pos:]
		size, nameLen, kind := v.recordBytes(le.Uint16(e[4:])), int(e[6]), e[7]
		if v.incompat&incompatFileType == 0 {
			nameLen, kind = int(le.Uint16(e[6:])), 0
		}
		need := (entryHead + nameLen + 3) &^ 3
		if size < minEntry || size%4 != 0 || size > len(e) || need > size || nameLen > 255 {
			return v.problem(d, off+int64(pos), "an entry claims %d bytes, with a name of %d, and there are %d", size, nameLen, len(e))
		}
		e = e[:size]
		at := off + int64(pos)
		pos += size
		if err := v.entry(d, e, entryHead+nameLen, kind, at, root); err != nil {
			return err
		}
		if root && d.dots == 2 {
			return nil
		}
	}
	return nil
}

// entry takes one record whose name ends at byte end.
func (v *volume) entry(d *reading, e []byte, end int, kind byte, at int64, root bool) error {
	ino, name := le.Uint32(e), e[entryHead:end]
	first := !d.started
	d.started = true
	if ino == 0 {
		if err := v.leftEntry(d, name); err != nil {
			return err
		}
		return v.leftovers(d, e[(end+3)&^3:])
	}
	if !d.inline && (first || d.dots == 1) {
		return v.dot(d, e, name, at, root)
	}
	if string(name) == "." || string(name) == ".." {
		return v.problem(d, at, `an entry "." or ".." stands where none belongs`)
	}
	if d.index != nil {
		if err := v.checkHash(d, name, at); err != nil {
			return err
		}
	}
	if err := v.collect(ino, name, kind, at); err != nil {
		return err
	}
	if err := v.leftovers(d, e[(end+3)&^3:]); err != nil {
		return err
	}
	if v.batch.full() {
		return v.flush(d)
	}
	return nil
}

// dot checks the two entries that each folder begins with.
func (v *volume) dot(d *reading, e, name []byte, at int64, root bool) error {
	want, ino := ".", d.ino
	if d.dots == 1 {
		want, ino = "..", d.above
	}
	d.dots++
	if string(name) != want || le.Uint32(e) != ino {
		return v.problem(d, at, `its entry number %d is not a %q that leads to inode %d`, d.dots, want, ino)
	}
	if d.dots == 2 && !root {
		return v.leftovers(d, e[dotEntry:])
	}
	return nil
}

// unsupported is the problem of an entry with a feature that is not read.
func unsupported(where, detail string) *verdict.Finding {
	return verdict.New(verdict.FilesystemUnsupported, where, "%s", detail)
}
