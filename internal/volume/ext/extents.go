package ext

import (
	"fmt"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// Extent trees (ifork.rst, "extent tree"): a header of 12 bytes and entries of
// as many, the root in the inode.
const (
	treeMagic      = 0xF30A
	treeEntryBytes = 12
	maxTreeDepth   = 5
	maxLength      = 32768 // blocks of an initialised extent
)

// treeNode is one that is being read, and what is left of it.
type treeNode struct {
	data []byte
	i, n int
	end  int64 // logical block behind all that it may map
}

// treeHeader checks a node with room bytes that should have depth levels below.
func treeHeader(p []byte, depth int) (n int, why string) {
	magic, entries, most, got := le.Uint16(p), int(le.Uint16(p[2:])), int(le.Uint16(p[4:])), int(le.Uint16(p[6:]))
	switch {
	case magic != treeMagic:
		return 0, fmt.Sprintf("the node begins with %#04x in place of %#04x", magic, treeMagic)
	case got != depth:
		return 0, fmt.Sprintf("the node says it is %d levels above the leaves and not %d", got, depth)
	case most == 0 || most > len(p)/treeEntryBytes-1:
		return 0, fmt.Sprintf("the node claims room for %d entries", most)
	case entries > most:
		return 0, fmt.Sprintf("the node has %d entries and room for %d", entries, most)
	case entries == 0 && depth > 0:
		return 0, "a node above the leaves has no entries"
	}
	return entries, ""
}

// extentTree maps an inode by its extents, in the order of the file. Logical
// blocks only grow, so that no two extents overlap; each node is a block that
// only one owner can have, so that no walk is longer than the volume.
func (v *volume) extentTree(n *inode, s subject) (*verdict.Finding, error) {
	root := n.body[:]
	depth := int(le.Uint16(root[6:]))
	if depth > maxTreeDepth {
		return inconsistent(s.String(), "its extent tree claims a depth of %d; %d is the most", depth, maxTreeDepth), nil
	}
	entries, why := treeHeader(root, depth)
	if why != "" {
		return inconsistent(s.String(), "its extent tree is damaged: %s", why), nil
	}
	var path [maxTreeDepth + 1]treeNode
	path[0] = treeNode{root, 0, entries, 1 << 32}
	next := int64(0) // the first logical block not mapped yet
	for level := 0; level >= 0; {
		node := &path[level]
		if node.i == node.n {
			level--
			continue
		}
		e := node.data[treeEntryBytes*(1+node.i):][:treeEntryBytes]
		node.i++
		logical := int64(le.Uint32(e))
		if logical < next || logical >= node.end {
			return inconsistent(s.String(), "its extents are not in order: block %d comes after block %d", logical, next), nil
		}
		if level == depth {
			length, f, err := v.leaf(e, logical, node.end, s)
			if f != nil || err != nil {
				return f, err
			}
			next = logical + length
			continue
		}
		end := node.end
		if node.i < node.n {
			end = int64(le.Uint32(node.data[treeEntryBytes*(1+node.i):]))
		}
		child, entries, f, err := v.treeBlock(e, level+1, depth, n, s)
		if f != nil || err != nil {
			return f, err
		}
		if entries > 0 && int64(le.Uint32(child[treeEntryBytes:])) != logical {
			return inconsistent(s.String(), "a node of its extent tree begins at its block %d and not at %d", le.Uint32(child[treeEntryBytes:]), logical), nil
		}
		level++
		path[level] = treeNode{child, 0, entries, end}
	}
	return nil, nil
}

// leaf takes one extent.
func (v *volume) leaf(e []byte, logical, end int64, s subject) (int64, *verdict.Finding, error) {
	length, zeros := int64(le.Uint16(e[4:])), false
	if length > maxLength {
		length, zeros = length-maxLength, true
	}
	if length == 0 || logical+length > end {
		return 0, inconsistent(s.String(), "an extent at its block %d has %d blocks, which is not possible there", logical, length), nil
	}
	first := int64(le.Uint16(e[6:]))<<32 | int64(le.Uint32(e[8:]))
	f, err := v.take(first, length, s)
	if f != nil || err != nil {
		return 0, f, err
	}
	return length, nil, v.put(logical, first, length, zeros)
}

// treeBlock reads the node that e points at, at a level below the root.
func (v *volume) treeBlock(e []byte, level, depth int, n *inode, s subject) ([]byte, int, *verdict.Finding, error) {
	at := int64(le.Uint16(e[8:]))<<32 | int64(le.Uint32(e[4:]))
	p, f, err := v.mapBlock(at, level, s)
	if f != nil || err != nil {
		return nil, 0, f, err
	}
	s.off, s.what = v.off+at*v.block, "block of the extent tree of "+s.brief()
	entries, why := treeHeader(p, depth-level)
	if why != "" {
		return nil, 0, inconsistent(s.String(), "%s", why), nil
	}
	if v.metaSum() {
		end := treeEntryBytes * (1 + int(le.Uint16(p[4:])))
		if got, want := le.Uint32(p[end:]), crc32c(n.seed, p[:end]); got != want {
			return nil, 0, inconsistent(s.String(), "its checksum %#08x is not that of its bytes, %#08x", got, want), nil
		}
	}
	return p, entries, nil, nil
}

// mapBlock claims and reads a block of a tree or a block map. It is valid until
// another one of the same level is read.
func (v *volume) mapBlock(at int64, level int, s subject) ([]byte, *verdict.Finding, error) {
	f, err := v.take(at, 1, s)
	if f != nil || err != nil {
		return nil, f, err
	}
	for len(v.levels) <= level {
		v.levels = append(v.levels, nil)
	}
	if v.levels[level] == nil {
		if v.levels[level], err = v.buffer(v.block); err != nil {
			return nil, nil, err
		}
	}
	off := v.off + at*v.block
	if off+v.block > v.w.Dev.Size() {
		return nil, verdict.New(verdict.Truncated, layout.At("map of blocks of "+s.brief(), off), "the medium ends at byte %d", v.w.Dev.Size()), nil
	}
	return v.levels[level], nil, v.w.Dev.Read(v.levels[level], off, "map of blocks of "+s.brief())
}
