package ext

import (
	"fmt"
	"slices"
)

// Hash trees of folders (directory.rst, "hash tree directories"). Linux lists
// and finds entries through the tree, other readers go through the blocks; both
// see the same only if the tree leads to every block once, and if each entry is
// in the block where the hash of its name leads.
const (
	atRootInfo    = 24 // behind "." and ".."
	rootInfoBytes = 8
	rootEntries   = atRootInfo + rootInfoBytes
	nodeEntries   = 8 // behind an entry without inode
	indexBytes    = 8 // of an entry of the tree
	indexTail     = 8
	blockMask     = 0x0FFFFFFF
	mostHash      = 0xFFFFFFFE
	leafCost      = 12
)

// leafBlock is what the tree says of a block of the folder: which hashes it
// has, from low to high, both included.
type leafBlock struct {
	low, high uint32
	seen      bool
	node      bool
}

// index is the tree of one folder.
type index struct {
	blocks  []leafBlock
	version byte
	check   bool // whether hashes can be computed
	at      int64
}

// indexNode is a node that is being read.
type indexNode struct {
	entries []byte // counted ones
	i       int
	high    uint32 // the largest hash below it
}

// indexBlock says whether a block of a folder is a node of its tree.
func (v *volume) indexBlock(d *reading, p []byte, logical int64) bool {
	switch {
	case d.n.flags&flagIndex == 0 || v.compat&compatDirIndex == 0:
		return false
	case d.index != nil:
		return d.index.blocks[logical].node
	default: // the tree is damaged, and the folder's problems say so
		return logical == 0 || le.Uint32(p) == 0 && v.recordBytes(le.Uint16(p[4:])) == len(p)
	}
}

// indexWalk is a walk through the tree of a folder, in the order of the hashes.
type indexWalk struct {
	d     *reading
	x     *index
	path  [3]indexNode
	level int
	depth int    // of the nodes that lead to leaves
	next  uint32 // no block that comes has lower hashes
	off   int64  // of the node that was read last
}

// readIndex goes through the tree and notes what it says of each block. Each
// block is met once, so that the walk is no longer than the folder.
func (v *volume) readIndex(d *reading) error {
	blocks := d.n.size / v.block
	if blocks > int64(v.leafRoom) {
		if err := v.w.Memory("the hash tree of a folder", (blocks-int64(v.leafRoom))*leafCost); err != nil {
			return err
		}
		v.leafRoom = int(blocks)
	}
	v.starts = v.starts[:0]
	at := int64(0)
	for _, e := range v.dirExtents {
		v.starts = append(v.starts, at)
		at += e.Len / v.block
	}
	w := &indexWalk{d: d, x: &index{blocks: make([]leafBlock, blocks)}}
	for logical := int64(0); logical >= 0; {
		why, err := v.enterNode(w, logical)
		if err == nil && why == "" {
			logical, why = v.nextNode(w)
		}
		if err != nil {
			return err
		}
		if why != "" {
			return v.problem(d, w.off, "its hash tree is damaged: %s", why)
		}
	}
	for i, b := range w.x.blocks {
		if !b.seen {
			return v.problem(d, d.n.off, "its hash tree does not lead to its block %d: some systems show what is there and others do not", i)
		}
	}
	w.x.check = d.n.flags&flagCasefold == 0
	d.index = w.x
	return nil
}

// enterNode reads the node in a block of the folder, or says what is wrong with it.
func (v *volume) enterNode(w *indexWalk, logical int64) (why string, err error) {
	p, off, err := v.indexNode(logical, w.level, w.d)
	if err != nil {
		return "", err
	}
	w.off = off
	high := uint32(mostHash)
	if w.level == 0 {
		most := 2
		if v.incompat&incompatLargeDir != 0 {
			most = 3
		}
		info := p[atRootInfo:][:rootInfoBytes]
		w.x.version, w.depth = info[4], int(info[6])
		if le.Uint32(info) != 0 || w.x.version >= hashes || info[5] != rootInfoBytes || w.depth >= most || info[7]&1 != 0 {
			return fmt.Sprintf("% x is no root of a tree that systems know", info), nil
		}
	} else {
		high = w.x.blocks[logical].high
	}
	w.x.blocks[logical].seen, w.x.blocks[logical].node = true, true
	entries, why := v.nodeEntries(w.d, p, w.level == 0)
	w.path[w.level] = indexNode{entries, 0, high}
	return why, nil
}

// nextNode goes on to the next node, over leaves and out of nodes that are done,
// and returns its block, or -1 behind the last.
func (v *volume) nextNode(w *indexWalk) (logical int64, why string) {
	blocks := w.x.blocks
	for w.level >= 0 {
		node := &w.path[w.level]
		if node.i == len(node.entries) {
			w.level--
			continue
		}
		e := node.entries[node.i:]
		block, low, high := int64(le.Uint32(e[4:])&blockMask), w.next, node.high
		if node.i > 0 {
			low = le.Uint32(e) &^ 1
		}
		if node.i += indexBytes; node.i < len(node.entries) {
			after := le.Uint32(node.entries[node.i:])
			if after&^1 < low {
				return 0, fmt.Sprintf("the hash %#x comes after %#x", after, low)
			}
			// A hash with the lowest bit set says that the names with this hash
			// begin in the block before.
			if high = after &^ 1; after&1 == 0 && high > 0 {
				high -= 2
			}
		}
		if block >= int64(len(blocks)) || blocks[block].seen {
			return 0, fmt.Sprintf("it leads to block %d twice or behind its %d blocks", block, len(blocks))
		}
		if low < w.next {
			return 0, fmt.Sprintf("the hash %#x comes after %#x", low, w.next)
		}
		w.next = low
		blocks[block] = leafBlock{low, high, true, w.level < w.depth}
		if w.level < w.depth {
			w.level++
			return block, ""
		}
	}
	return -1, ""
}

// indexNode reads the block of a folder that is a node at a level of its tree.
func (v *volume) indexNode(logical int64, level int, d *reading) ([]byte, int64, error) {
	i, found := slices.BinarySearch(v.starts, logical)
	if !found {
		i--
	}
	off := v.dirExtents[i].Off + (logical-v.starts[i])*v.block
	if v.nodes[level] == nil {
		var err error
		if v.nodes[level], err = v.buffer(v.block); err != nil {
			return nil, 0, err
		}
	}
	return v.nodes[level], off, v.w.Dev.Read(v.nodes[level], off, d.where)
}

// nodeEntries returns the entries of a node of the tree, or says what is wrong
// with it.
func (v *volume) nodeEntries(d *reading, p []byte, root bool) ([]byte, string) {
	from := nodeEntries
	if root {
		from = rootEntries
		if le.Uint16(p[4:]) != dotEntry || v.recordBytes(le.Uint16(p[dotEntry+4:])) != len(p)-dotEntry {
			return nil, `"." and ".." do not fill its first block`
		}
	} else if le.Uint32(p) != 0 || v.recordBytes(le.Uint16(p[4:])) != len(p) {
		return nil, "a node does not begin with an empty entry"
	}
	room := len(p) - from
	if v.metaSum() {
		room -= indexTail
	}
	limit, count := int(le.Uint16(p[from:])), int(le.Uint16(p[from+2:]))
	if limit != room/indexBytes || count == 0 || count > limit {
		return nil, "a node has " + decimal(uint32(count)) + " entries and claims room for " + decimal(uint32(limit))
	}
	if v.metaSum() {
		tail := p[from+limit*indexBytes:][:indexTail]
		sum := crc32c(d.n.seed, p[:from+count*indexBytes])
		sum = crc32c(crc32c(sum, tail[:4]), noSum)
		if sum != le.Uint32(tail[4:]) {
			return nil, "the checksum of a node is not that of its bytes"
		}
	}
	return p[from:][:count*indexBytes], ""
}

// checkHash checks that the name is in a block where its hash leads.
func (v *volume) checkHash(d *reading, name []byte, at int64) error {
	x := d.index
	if !x.check {
		return nil
	}
	if !v.hashKnown && !ascii(name) {
		return nil
	}
	h := v.nameHash(x.version, name)
	if b := x.blocks[x.at]; h < b.low || h > b.high {
		x.check = false // one of them is enough
		return v.problem(d, at, "the entry is not where the hash of its name, %#x, leads: some systems show it and others do not", h)
	}
	return nil
}

func ascii(name []byte) bool {
	return !slices.ContainsFunc(name, func(c byte) bool { return c >= 0x80 })
}
