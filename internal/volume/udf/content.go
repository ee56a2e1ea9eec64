package udf

import (
	"slices"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const extentBytes = 16

// content puts the extents of the file n into v.extents, as far as they can be
// followed; the finding says why they are not all there, or too many. With own
// set, each block is claimed for the file.
func (v *volume) content(n *node, own bool) (*verdict.Finding, error) {
	v.extents, v.zeros = v.extents[:0], false
	switch {
	case n.adKind == embedded:
		if int64(len(n.ads)) != n.size {
			return inconsistent(n.where, "it has %d bytes and its file entry holds %d", n.size, len(n.ads)), nil
		}
		return nil, v.append(n.adsOff, n.size)
	case n.adKind > embedded:
		return inconsistent(n.where, "allocation descriptors of the unknown type %d", n.adKind), nil
	}
	c := chain{v: v, n: n, left: n.ads}
	at, even := int64(0), true
	for {
		x, f, err := c.next()
		if f != nil || err != nil {
			return f, err
		}
		length := int64(x.bytes)
		switch {
		case length == 0:
			if at < n.size {
				return inconsistent(n.where, "its extents hold %d of its %d bytes", at, n.size), nil
			}
			return nil, nil
		case at < n.size && !even:
			return inconsistent(n.where, "one of its extents ends inside a block, and there are more"), nil
		case x.kind == recorded && length-(n.size-at) >= v.sector:
			return inconsistent(n.where, "its extents go on after its %d bytes", n.size), nil
		}
		even = length%v.sector == 0
		take := max(0, min(length, n.size-at))
		if x.kind == notAllocated {
			v.zeros = v.zeros || take > 0
			err = v.append(layout.Zeros, take)
		} else {
			f, err = v.extend(n, x, take, own)
		}
		if f != nil || err != nil {
			return f, err
		}
		at += take
	}
}

// extend puts take bytes of an allocated extent behind v.extents.
func (v *volume) extend(n *node, x longAD, take int64, own bool) (*verdict.Finding, error) {
	left := (int64(x.bytes) + v.sector - 1) / v.sector
	for a := x.addr; left > 0; {
		sector, run, why := v.locate(a)
		if why != "" {
			return inconsistent(n.where, "one of its extents cannot be: %s", why), nil
		}
		run = min(run, left)
		if vol := v.w.Vol; (sector+run)*v.sector > vol.Size && vol.Offset+vol.Size < v.w.Dev.Size() {
			return inconsistent(n.where, "one of its extents ends at byte %d of the volume, which has %d", (sector+run)*v.sector, vol.Size), nil
		}
		if own {
			mine := int64(0)
			if sector == v.mine {
				mine, v.mine = 1, -1
			}
			if taken, err := v.claim(sector+mine, run-mine); err != nil {
				return nil, err
			} else if taken >= 0 {
				return v.shared(n, taken)
			}
		}
		off, length := v.offset(sector), min(take, run*v.sector)
		if x.kind == notRecorded {
			off, v.zeros = layout.Zeros, v.zeros || length > 0
		}
		if err := v.append(off, length); err != nil {
			return nil, err
		}
		take, left = take-length, left-run
		if a.block += uint32(run); left > 0 && int64(a.block) < run {
			return inconsistent(n.where, "one of its extents goes beyond the last block there can be"), nil
		}
	}
	return nil, nil
}

// append puts n bytes behind v.extents. The memory for a file in many pieces is
// kept for the files after it.
func (v *volume) append(off, n int64) error {
	if n == 0 {
		return nil
	}
	if i := len(v.extents) - 1; i >= 0 {
		last := &v.extents[i]
		if off == layout.Zeros && last.Off == off || off != layout.Zeros && last.Off != layout.Zeros && last.Off+last.Len == off {
			last.Len += n
			return nil
		}
	}
	if len(v.extents) == cap(v.extents) {
		more := max(512, len(v.extents))
		if err := v.w.Memory("the extents of a file", int64(more)*extentBytes); err != nil {
			return err
		}
		v.extents = slices.Grow(v.extents, more)
	}
	v.extents = append(v.extents, layout.Extent{Off: off, Len: n})
	return nil
}

// firstSector returns where the first recorded extent of a file begins if that
// can be told from its file entry alone and it is in a plain partition, or -1.
func (v *volume) firstSector(n *node) int64 {
	if n.size == 0 || n.adKind >= embedded {
		return -1
	}
	first := chain{v: v, n: n, left: n.ads}
	x, f := first.parse()
	if f != nil || x.kind != recorded || x.bytes == 0 {
		return -1
	}
	sector, _, why := v.locate(x.addr)
	if why != "" || sector >= v.sectors {
		return -1
	}
	if !v.plain(x.ref) {
		return -1
	}
	return sector
}

// sameFile says whether the file entry at hand, whose first extent begins at a
// sector that is taken, has the very extents of a file that is listed already:
// on a read-only volume they are one file with two names. It looks no further
// than the other file goes.
func (v *volume) sameFile(n *node, sector int64) (bool, error) {
	if v.index == nil {
		v.index = map[int64]int32{}
	}
	const indexCost = 48
	for ; v.indexed < len(v.w.Vol.Entries); v.indexed++ {
		if e := &v.w.Vol.Entries[v.indexed]; e.Type == medium.File && len(e.Extents) > 0 && e.Problem == nil {
			if err := v.w.Memory("the places of files", indexCost); err != nil {
				return false, err
			}
			v.index[e.Extents[0].Off] = int32(v.indexed)
		}
	}
	i, ok := v.index[v.offset(sector)]
	if !ok || v.w.Vol.Entries[i].Size != n.size {
		return false, nil
	}
	return v.plainExtents(n) && slices.Equal(v.extents, v.w.Vol.Entries[i].Extents), nil
}

// plainExtents puts the extents of a file into v.extents without claiming them,
// and says whether it could: its file entry has to hold them all, each recorded
// in one piece in a plain partition, so that it costs little however often the
// same is asked.
func (v *volume) plainExtents(n *node) bool {
	v.extents, v.zeros = v.extents[:0], false
	if n.adKind >= embedded {
		return false
	}
	c := chain{v: v, n: n, left: n.ads}
	for at := int64(0); at < n.size; {
		x, f := c.parse()
		if f != nil || x.kind != recorded || x.bytes == 0 {
			return false
		}
		sector, run, why := v.locate(x.addr)
		if why != "" || !v.plain(x.ref) || run*v.sector < int64(x.bytes) {
			return false
		}
		take := min(int64(x.bytes), n.size-at)
		if v.append(v.offset(sector), take) != nil {
			return false
		}
		at += take
	}
	return true
}

// plain says whether the blocks of a partition follow each other on the medium.
func (v *volume) plain(ref uint16) bool {
	p := &v.parts[ref]
	return !p.virtual && !p.metadata && len(p.spared) == 0
}
