package ext

import (
	"math"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	// freeExtents are kept of one file without asking for memory.
	freeExtents = 4096
	extentCost  = 16
	// pageBytes may be allocated up to the end of the page that a file ends in,
	// where blocks are smaller (as e2fsck allows).
	pageBytes = 4096
	noBlock   = -1
)

// mapping is where the content of one inode is.
type mapping struct {
	extents []layout.Extent
	room    int   // extents that memory was taken for
	size    int64 // bytes of the content
	need    int64 // blocks of the content
	pos     int64 // blocks that extents cover
	hole    bool  // some blocks are not on the medium
	zeros   bool  // some blocks read as zeros, on the medium or not
	beyond  int64 // the first initialised block behind the content, or noBlock
	free    int64 // a block that the bitmap calls free, or noBlock
}

func extentAt(off, n int64) layout.Extent { return layout.Extent{Off: off, Len: n} }

// add puts n bytes behind the content so far.
func (v *volume) add(off, n int64) error {
	m := &v.mapping
	if k := len(m.extents); k > 0 {
		last := &m.extents[k-1]
		if off == layout.Zeros && last.Off == layout.Zeros || off != layout.Zeros && last.Off != layout.Zeros && last.Off+last.Len == off {
			last.Len += n
			return nil
		}
	}
	if len(m.extents) >= m.room {
		if err := v.w.Memory("the pieces of a file", int64(m.room)*extentCost); err != nil {
			return err
		}
		m.room *= 2
	}
	m.extents = append(m.extents, extentAt(off, n))
	return nil
}

// put maps n blocks from logical on to those from first on, or to zeros.
func (v *volume) put(logical, first, n int64, zeros bool) error {
	m := &v.mapping
	if logical+n > m.need && !zeros && m.beyond == noBlock {
		m.beyond = max(logical, m.need)
	}
	if n = min(n, m.need-logical); n <= 0 {
		return nil
	}
	if err := v.skipTo(logical); err != nil {
		return err
	}
	off := layout.Zeros
	if zeros {
		m.zeros = true
	} else {
		off = v.off + first*v.block
	}
	m.pos = logical + n
	return v.add(off, n*v.block)
}

// skipTo makes a hole up to the logical block.
func (v *volume) skipTo(logical int64) error {
	m := &v.mapping
	if logical <= m.pos {
		return nil
	}
	m.hole, m.zeros = true, true
	n := (logical - m.pos) * v.block
	m.pos = logical
	return v.add(layout.Zeros, n)
}

// content maps an inode's content into v.mapping.extents. The finding says why
// they are not all of it.
func (v *volume) content(n *inode, s subject) (*verdict.Finding, error) {
	m := &v.mapping
	*m = mapping{extents: m.extents[:0], room: m.room, size: n.size, need: n.size / v.block, beyond: noBlock, free: noBlock}
	if n.size%v.block != 0 {
		m.need++
	}
	if n.flags&flagInline != 0 {
		if why := v.inline(n); why != "" {
			return inconsistent(s.String(), "%s", why), nil
		}
		return nil, nil
	}
	var f *verdict.Finding
	var err error
	most := int64(1) << 32
	if n.flags&flagExtents != 0 {
		if v.incompat&incompatExtents == 0 {
			return inconsistent(s.String(), "it is marked as having extents, which this file system does not have"), nil
		}
		if m.need <= most {
			f, err = v.extentTree(n, s)
		}
	} else {
		p := v.pointerBits()
		if most = directBlocks + 1<<p + 1<<(2*p) + 1<<(3*p); m.need <= most {
			f, err = v.blockMap(n, s)
		}
	}
	if err != nil || f != nil {
		v.trim()
		return f, err
	}
	if m.need > most {
		return inconsistent(s.String(), "its size of %d bytes is more than its map of blocks can reach", n.size), nil
	}
	if err := v.skipTo(m.need); err != nil {
		return nil, err
	}
	v.trim()
	page := max(1, pageBytes/v.block)
	if behind := (m.need + page - 1) / page * page; m.beyond >= behind && n.flags&flagVerity == 0 && n.size != math.MaxInt64 {
		return inconsistent(s.String(), "it has blocks behind its %d bytes, from its block %d on", n.size, m.beyond), nil
	}
	return v.markedFree(s), nil
}

// markedFree is the finding of a block that the bitmap calls free. It is the
// last to be told, so that what is there is listed all the same.
func (v *volume) markedFree(s subject) *verdict.Finding {
	if v.mapping.free == noBlock {
		return nil
	}
	return inconsistent(s.String(), "its block %d is marked as free in the block bitmap", v.mapping.free)
}

// trim ends the last extent where the content ends.
func (v *volume) trim() {
	m := &v.mapping
	if over := m.pos*v.block - m.size; over > 0 && len(m.extents) > 0 {
		m.extents[len(m.extents)-1].Len -= over
	}
}

// take claims n blocks from first on for an inode. The finding says why it
// cannot have them; that another file has them, or the file system itself, is
// a problem of the volume as well.
func (v *volume) take(first, n int64, s subject) (*verdict.Finding, error) {
	if first < v.firstBlock || first >= v.blocks {
		return inconsistent(s.String(), "it points at block %d, which does not exist", first), nil
	}
	if n > v.blocks-first {
		return inconsistent(s.String(), "it points at %d blocks from block %d on, behind the end of the file system", n, first), nil
	}
	if at, is := v.own.overlaps(first, n); is {
		f := inconsistent(s.String(), "it points at block %d, which holds structures of the file system", at)
		return f, v.tell(f)
	}
	if m := &v.mapping; m.free == noBlock {
		at, is, err := v.firstFree(first, n)
		if err != nil {
			return nil, err
		}
		if is {
			m.free = at
		}
	}
	for i := range n {
		fresh, err := v.w.Claim(uint32(first + i))
		if err != nil {
			return nil, err
		}
		if !fresh {
			if v.mine(first + i) {
				return inconsistent(s.String(), "it uses block %d twice", first+i), nil
			}
			f := inconsistent(s.String(), "it points at block %d, which is in use already, by itself or by another file", first+i)
			return f, v.tell(f)
		}
	}
	return nil, nil
}

// mine says whether a block is in the content mapped so far.
func (v *volume) mine(block int64) bool {
	off := v.off + block*v.block
	for _, x := range v.mapping.extents {
		if x.Off != layout.Zeros && off >= x.Off && off < x.Off+x.Len {
			return true
		}
	}
	return false
}

// tell writes a finding down as the volume's.
func (v *volume) tell(f *verdict.Finding) error {
	v.told = f
	return v.w.Problem(f)
}
