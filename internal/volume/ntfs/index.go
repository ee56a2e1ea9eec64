package ntfs

import (
	"bytes"
	"fmt"
	"math/bits"

	"sallyport/internal/volume/layout"
)

const (
	rootHeadBytes  = 16
	blockHeadBytes = 24
	indexHeadBytes = 16
	entryHeadBytes = 16
	entryHasBlock  = 1
	entryLast      = 2
	indexHasBlocks = 1
	// maxIndexDepth is far above the five levels that 200,000 of the longest
	// names need.
	maxIndexDepth = 24
	vcnBytes      = 512 // what index blocks are counted in where clusters are larger
)

// frame is one node of an index on the way from its root to the entry at hand.
type frame struct {
	buf     []byte
	pos     int // of the entry at hand
	end     int
	at      int64 // of buf on the device
	root    bool
	inner   bool // its entries have blocks below them
	entered bool // the block below the entry at hand was gone through
}

// open reads the index header at head of f.buf (INDEX_HEADER in layout.h).
func (f *frame) open(head int) (why string) {
	if len(f.buf) < head+indexHeadBytes {
		return fmt.Sprintf("a node of %d bytes", len(f.buf))
	}
	h, room := f.buf[head:], int64(len(f.buf)-head)
	first, used, allocated := int64(le.Uint32(h)), int64(le.Uint32(h[4:])), int64(le.Uint32(h[8:]))
	if first < indexHeadBytes || first%8 != 0 || first+entryHeadBytes > used || used > allocated || allocated > room {
		return fmt.Sprintf("a node whose entries take the bytes %d to %d of %d, and there are %d", first, used, allocated, room)
	}
	f.pos, f.end, f.inner, f.entered = head+int(first), head+int(used), h[12]&indexHasBlocks != 0, false
	return ""
}

// entry returns the entry at hand.
func (f *frame) entry() (e []byte, flags uint16, why string) {
	e = f.buf[f.pos:f.end]
	if len(e) < entryHeadBytes {
		return nil, 0, "a node has no last entry"
	}
	length, key := int(le.Uint16(e[8:])), int(le.Uint16(e[10:]))
	flags = le.Uint16(e[12:])
	need := entryHeadBytes
	if flags&entryHasBlock != 0 {
		need += 8
	}
	if flags&entryLast == 0 {
		need += key
	}
	switch {
	case length < need || length%8 != 0 || length > len(e):
		return nil, 0, fmt.Sprintf("an entry with a key of %d bytes has a length of %d", key, length)
	case flags&entryHasBlock != 0 && !f.inner, flags&entryHasBlock == 0 && f.inner && !f.root:
		// A root that once had blocks may say so when it needs none any more.
		return nil, 0, "an entry of a leaf has a block below it, or one of an inner node has none"
	}
	return e[:length], flags, ""
}

// place of the entry at hand.
func (f *frame) place() int64 { return f.at + int64(f.pos) }

// openIndex prepares to go through the index of v.dir.
func (v *volume) openIndex(what string) (blockBytes int64, why string) {
	n := &v.dir
	if !n.hasRoot || len(n.root) < rootHeadBytes+indexHeadBytes {
		return 0, "it has no index"
	}
	blockBytes = int64(le.Uint32(n.root[8:]))
	switch {
	case le.Uint32(n.root) != attrFileName || le.Uint32(n.root[4:]) != 1:
		return 0, "its index is not one of names"
	case !isPower(blockBytes) || blockBytes < 512 || blockBytes > maxIndexBlock:
		return 0, fmt.Sprintf("its index has blocks of %d bytes", blockBytes)
	case n.root[rootHeadBytes+12]&indexHasBlocks != 0 && n.blocks.kind == 0:
		return 0, "its index says that it has blocks, and has none"
	case !n.blocks.plain() || !n.bitmap.plain():
		return 0, "its index or the bitmap of it has holes, or is compressed or encrypted"
	}
	v.index.reset(v.w, what, n.blocks.ext, n.blocks.initialised)
	v.index.windows(max(blockBits, bits.TrailingZeros64(uint64(blockBytes))))
	return blockBytes, ""
}

// push opens the block of the index at the virtual cluster vcn.
func (v *volume) push(depth int, vcn uint64, blockBytes int64) (why string, err error) {
	unit := v.cluster
	if unit > blockBytes {
		unit = vcnBytes
	}
	if depth >= maxIndexDepth {
		return fmt.Sprintf("its index has more than %d levels", maxIndexDepth), nil
	}
	if vcn > uint64(v.index.size) || int64(vcn)*unit%blockBytes != 0 || int64(vcn)*unit > v.index.size-blockBytes {
		return fmt.Sprintf("its index leads to block %d, and has %d bytes of blocks", vcn, v.index.size), nil
	}
	off := int64(vcn) * unit
	if fresh, err := v.visit(off / blockBytes); err != nil || !fresh {
		return fmt.Sprintf("its index comes to block %d twice", vcn), err
	}
	if set, err := v.inIndex.get(off / blockBytes); err != nil || !set {
		return fmt.Sprintf("its index leads to block %d, which its bitmap says is not in use", vcn), err
	}
	if depth == len(v.frames) {
		if err := v.w.Memory("the index of a folder", blockBytes); err != nil {
			return "", err
		}
		v.frames = append(v.frames, frame{})
	}
	f := &v.frames[depth]
	p, err := v.index.from(off)
	if err != nil {
		return "", err
	}
	f.buf = append(f.buf[:0], p[:blockBytes]...)
	f.at, _ = v.index.place(off)
	if string(f.buf[:4]) != "INDX" {
		return fmt.Sprintf("block %d of its index does not begin with INDX", vcn), nil
	}
	at, why := mend(f.buf, blockHeadBytes+indexHeadBytes)
	if why != "" {
		return fmt.Sprintf("block %d of its index: %s", vcn, why), nil
	}
	if got := le.Uint64(f.buf[16:]); got != vcn {
		return fmt.Sprintf("block %d of its index says that it is block %d", vcn, got), nil
	}
	if why := f.open(blockHeadBytes); why != "" {
		return why, nil
	}
	if f.pos < at+2*(len(f.buf)/strideBytes+1) {
		return fmt.Sprintf("the entries in block %d of its index overlap its update sequence", vcn), nil
	}
	return "", nil
}

// visit marks a block of the index and says whether it was not marked before.
func (v *volume) visit(block int64) (bool, error) {
	word := int(block / 64)
	if word >= len(v.visited) {
		if word >= cap(v.visited) {
			if err := v.w.Memory("the map of index blocks", int64(word)*16+64); err != nil {
				return false, err
			}
			grown := make([]uint64, len(v.visited), 2*word+8)
			copy(grown, v.visited)
			v.visited = grown
		}
		old := len(v.visited)
		v.visited = v.visited[:word+1]
		clear(v.visited[old:])
	}
	bit := uint64(1) << (block % 64)
	fresh := v.visited[word]&bit == 0
	v.visited[word] |= bit
	return fresh, nil
}

// walkIndex goes through the index of the folder in v.dir in the order of its
// names, as Windows does, and collects its entries. at is where the damage
// that why names stands on the device, or negative.
func (v *volume) walkIndex(dir *folder, what string) (why string, at int64, err error) {
	blockBytes, why := v.openIndex(what)
	if why != "" {
		return why, -1, nil
	}
	if err := v.openIndexBitmap(); err != nil {
		return "", -1, err
	}
	if len(v.frames) == 0 {
		v.frames = append(v.frames, frame{})
	}
	f := &v.frames[0]
	f.buf = append(f.buf[:0], v.dir.root...)
	f.at, _ = v.mft.place(v.dir.rootAt)
	f.root = true
	if why := f.open(rootHeadBytes); why != "" {
		return why, f.at, nil
	}
	v.before = v.before[:0]
	for depth := 0; depth >= 0; {
		f := &v.frames[depth]
		e, flags, why := f.entry()
		if why != "" {
			return why, f.place(), nil
		}
		if flags&entryHasBlock != 0 && !f.entered {
			f.entered = true
			if why, err := v.push(depth+1, le.Uint64(e[len(e)-8:]), blockBytes); why != "" || err != nil {
				return why, f.place(), err
			}
			depth++
			continue
		}
		f.entered = false
		if flags&entryLast != 0 {
			depth--
			continue
		}
		if why, err := v.collect(dir, e, f.place()); why != "" || err != nil {
			return why, f.place(), err
		}
		f.pos += len(e)
	}
	why, err = v.unvisited(blockBytes)
	return why, -1, err
}

// openIndexBitmap reads the bitmap of index blocks.
func (v *volume) openIndexBitmap() error {
	v.visited = v.visited[:0]
	if v.dir.bitmap.kind == 0 {
		v.inIndex = bitmap{mem: append(v.inIndex.mem[:0], v.dir.inBitmap...)}
		return nil
	}
	if v.inBlocks == nil {
		v.inBlocks = new(stream)
	}
	v.inIndex.set(v, &v.dir, "bitmap of index blocks", v.inBlocks)
	return nil
}

// unvisited finds a block that the bitmap says is in use and that no entry
// leads to: systems that list a folder block after block would show it.
func (v *volume) unvisited(blockBytes int64) (why string, err error) {
	if v.dir.root[rootHeadBytes+12]&indexHasBlocks == 0 {
		return "", nil
	}
	reached := 0
	for _, word := range v.visited {
		reached += bits.OnesCount64(word)
	}
	used := 0
	for block := int64(0); block < min(v.index.size/blockBytes, v.inIndex.bits()); block++ {
		set, err := v.inIndex.get(block)
		if err != nil {
			return "", err
		}
		if set {
			used++
		}
	}
	if used != reached {
		return fmt.Sprintf("its bitmap says that %d blocks of its index are in use, and its entries lead to %d", used, reached), nil
	}
	return "", nil
}

// collect puts an index entry into the batch, which is worked off when full.
func (v *volume) collect(dir *folder, e []byte, at int64) (why string, err error) {
	const folderFlag = 0x10000000
	to := ref(le.Uint64(e))
	key, why := parseName(e[entryHeadBytes:][:le.Uint16(e[10:])])
	switch {
	case why != "":
		return why, nil
	case key.parent != dir.ref:
		return fmt.Sprintf("an entry says that it belongs to the folder in record %d", key.parent.number()), nil
	case bytes.Equal(v.before, key.name):
		return "two entries one after another have the same name", nil
	case len(v.before) > 0 && v.collate(v.before, key.name) > 0:
		return "the entries are not in the order of their names, so that systems do not find all of them", nil
	}
	v.before = append(v.before[:0], key.name...)
	if to.number() < firstUser {
		return v.systemEntry(dir, to, key.name)
	}
	if len(v.batch) >= batchItems || len(v.text)+len(key.name) > batchText {
		if err := v.flush(dir); err != nil {
			return "", err
		}
	}
	if err := v.room(len(key.name)); err != nil {
		return "", err
	}
	v.batch = append(v.batch, item{
		ref: to, at: at, name: uint32(len(v.text)), length: uint16(len(key.name)), space: key.space,
		folder: le.Uint32(e[entryHeadBytes+56:])&folderFlag != 0,
	})
	v.text = append(v.text, key.name...)
	return "", nil
}

// systemEntry checks an entry that leads to a file of the system.
func (v *volume) systemEntry(dir *folder, to ref, name []byte) (why string, err error) {
	v.units = units(v.units[:0], name)
	v.name, _ = layout.AppendName(v.name[:0], v.units)
	number := to.number()
	want := systemNames()[number]
	if number == recordRoot {
		want = "\uFFFD" // what AppendName makes of "."
	}
	if dir.ref.number() != recordRoot || want == "" || string(v.name) != want {
		return fmt.Sprintf("the name %q leads to record %d, which belongs to the system", v.name, number), nil
	}
	if number == recordExtend {
		v.pending = append(v.pending, folder{path: want, ref: to, hidden: true})
	}
	return "", nil
}

// units appends little-endian UTF-16.
func units(dst []uint16, p []byte) []uint16 {
	for ; len(p) >= 2; p = p[2:] {
		dst = append(dst, le.Uint16(p))
	}
	return dst
}
