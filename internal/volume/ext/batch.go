package ext

import (
	"slices"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// Folders with a hash tree have their entries in an order of their own. So that
// the inode tables are still read from front to back, a batch of entries is
// collected, its inodes are read in their order, and then the entries are
// listed in the folder's.
const (
	batchItems = 16384
	batchNames = 1 << 20 // bytes
	itemBytes  = 160     // of memory, with its place in the order
)

// item is an entry of the folder at hand.
type item struct {
	n       inode
	at      int64 // of the entry on the device
	name    uint32
	nameLen uint8
	kind    byte
}

// batch is some entries, and the text of their names.
type batch struct {
	items []item
	names []byte
	order []uint64
}

// collect puts an entry into the batch; the error is a limit that was met.
func (v *volume) collect(ino uint32, name []byte, kind byte, at int64) error {
	b := &v.batch
	cost := 0
	if len(b.items) == cap(b.items) {
		more := max(256, cap(b.items))
		b.items, b.order = slices.Grow(b.items, more), slices.Grow(b.order, len(b.items)+more)
		cost = more * itemBytes
	}
	if cap(b.names)-len(b.names) < len(name) {
		more := max(16<<10, cap(b.names))
		b.names, cost = slices.Grow(b.names, more), cost+more
	}
	if cost > 0 {
		if err := v.w.Memory("the names of a folder", int64(cost)); err != nil {
			return err
		}
	}
	b.items = b.items[:len(b.items)+1]
	x := &b.items[len(b.items)-1]
	x.n.ino, x.at, x.kind, x.name, x.nameLen = ino, at, kind, uint32(len(b.names)), uint8(len(name))
	b.names = append(b.names, name...)
	return nil
}

func (b *batch) full() bool { return len(b.items) >= batchItems || len(b.names) >= batchNames }

// nameable says whether an entry may lead to an inode with this number.
func (v *volume) nameable(ino uint32) bool { return ino >= v.firstInode && ino <= v.inodeCount }

// flush lists what was collected.
func (v *volume) flush(d *reading) error {
	b := &v.batch
	b.order = b.order[:0]
	for i := range b.items {
		b.order = append(b.order, uint64(b.items[i].n.ino)<<32|uint64(i))
	}
	slices.Sort(b.order)
	for _, o := range b.order {
		x := &b.items[uint32(o)]
		if ino := uint32(o >> 32); v.nameable(ino) {
			if err := v.readInode(ino, &x.n); err != nil {
				return err
			}
		}
	}
	for i := range b.items {
		if err := v.list(d, &b.items[i]); err != nil {
			return err
		}
	}
	b.items, b.names = b.items[:0], b.names[:0]
	return nil
}

// list adds one entry.
func (v *volume) list(d *reading, x *item) error {
	n := &x.n
	raw := v.batch.names[x.name:][:x.nameLen]
	name, good := layout.AppendText(v.name[:0], raw)
	v.name = name
	s := subject{ino: n.ino, folder: d.path, name: name}
	if good {
		v.w.Names.Add(v.w.Names.Hash(name), x.at)
	} else {
		v.w.Names.Add(v.w.Names.Hash(raw), x.at)
	}
	e := layout.Entry{Type: medium.Other}
	if !good {
		e.Problem = inconsistent(layout.At(d.where, x.at), "the name has characters that cannot be shown or may not be used")
	}
	if !v.nameable(n.ino) {
		detail := "it leads to inode %d, and there are %d"
		if n.ino <= v.inodeCount {
			detail = "it leads to inode %d, which the file system keeps for itself (those below %d)"
		}
		most := v.inodeCount
		if n.ino <= v.inodeCount {
			most = v.firstInode
		}
		e.Problem = inconsistent(layout.At("entry of "+s.brief(), x.at), detail, n.ino, most)
		return v.addBad(d, e)
	}
	s.off = n.off
	var known bool
	e.Type, known = n.kind()
	s.typ = e.Type
	e.Modified = v.clock.format(n.modified)
	if n.problem != nil && e.Problem == nil {
		n.problem.Where, e.Problem = s.String(), n.problem
	}
	if n.problem == nil && (!known || n.links == 0 || n.flags&flagEAInode != 0) {
		e.Type = medium.Other
		e.Problem = inconsistent(s.String(), "an entry leads to it although it is not a file in use (mode %#o, %d links)", n.mode, n.links)
		return v.addBad(d, e)
	}
	if says, has := entryKind(x.kind); x.kind != 0 && (!has || says != e.Type) {
		f := inconsistent(layout.At("entry of "+s.brief(), x.at), "it says that the inode is of type %d, and the inode is %s", x.kind, e.Type)
		if err := v.w.Problem(f); err != nil {
			return err
		}
	}
	first, err := v.claimInode(n.ino)
	if err != nil {
		return err
	}
	if e.Type == medium.Folder {
		return v.listFolder(d, n, s, e, first)
	}
	left := true
	if n.problem == nil { // else its count of names is not to be relied on
		if left, err = v.countName(n.ino, n.links, first); err != nil {
			return err
		}
	}
	if !first {
		return v.listLink(d, n, s, e, left)
	}
	return v.listFile(d, n, s, e)
}

// addBad adds an entry whose problem is the volume's as well.
func (v *volume) addBad(d *reading, e layout.Entry) error {
	v.partial = true
	if err := v.w.Problem(e.Problem); err != nil {
		return err
	}
	_, err := v.w.Add(d.path, v.name, e)
	return err
}

// listLink adds a further name of a file.
func (v *volume) listLink(d *reading, n *inode, s subject, e layout.Entry, left bool) error {
	if e.Type == medium.File {
		e.Size = n.size
	}
	e.Type = medium.HardLink
	if !left {
		e.Problem = inconsistent(s.String(), "it has more names than the %d it counts, or belongs to the file system", n.links)
		return v.addBad(d, e)
	}
	_, err := v.w.Add(d.path, v.name, e)
	return err
}

// listFolder adds a folder and puts it on the list of those to read.
func (v *volume) listFolder(d *reading, n *inode, s subject, e layout.Entry, first bool) error {
	d.kids++
	if !first {
		e.Problem = inconsistent(s.String(), "the folder has two names")
		return v.addBad(d, e)
	}
	if n.flags&flagEncrypted != 0 {
		e.Traits |= medium.Encrypted
		e.Problem = unsupported(s.String(), "the folder is encrypted: what is in it cannot be listed")
		return v.addBad(d, e)
	}
	path, err := v.w.Add(d.path, v.name, e)
	if err != nil {
		return err
	}
	v.pending = append(v.pending, folder{path, n.ino, d.ino})
	return nil
}

// listFile adds a file, or what is none, under its first name.
func (v *volume) listFile(d *reading, n *inode, s subject, e layout.Entry) error {
	m := &v.mapping
	var f *verdict.Finding
	mapped := e.Type == medium.File || e.Type == medium.Symlink && (n.flags&(flagExtents|flagInline) != 0 || n.size >= bodyBytes)
	if mapped && n.problem == nil {
		var err error
		if f, err = v.content(n, s); err != nil {
			return err
		}
		e.Extents = m.extents
	}
	if f == nil && e.Type == medium.Symlink && (n.size == 0 || n.size > v.block) {
		f = inconsistent(s.String(), "a symbolic link of %d bytes does not exist", n.size)
	}
	if e.Problem == nil {
		e.Problem = f
	}
	if e.Type == medium.File {
		e.Size = n.size
		if mapped && m.hole {
			e.Traits |= medium.Sparse
		}
		for _, c := range []struct {
			flag  uint32
			trait medium.Traits
			text  string
		}{
			{flagEncrypted, medium.Encrypted, "the file is encrypted"},
			{flagCompressed, medium.Compressed, "the file is compressed"},
		} {
			if n.flags&c.flag == 0 {
				continue
			}
			e.Traits, e.Extents = e.Traits|c.trait, nil
			if e.Problem == nil {
				e.Problem = unsupported(s.String(), c.text)
			}
		}
	}
	_, err := v.w.Add(d.path, v.name, e)
	return err
}
