package ntfs

import (
	"fmt"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	// maxVCN bounds the clusters of one value and maxValue its bytes, far above
	// what NTFS has (2³² clusters, 8 PiB): sums of them stay below 2⁶³.
	maxVCN   = 1 << 40
	maxValue = 1 << 61
	// freeExtents of one value cost nothing; beyond, memory is taken for them.
	freeExtents = 4096
)

// content is the value of one attribute, as far as it was gathered.
type content struct {
	kind  uint32
	name  []byte // UTF-16
	flags uint16
	// ext covers the value from its first byte; once it is cut it sums to size.
	ext         []layout.Extent
	inside      bool // in the file record
	head        [8]byte
	size        int64
	initialised int64
	allocated   int64
	next        int64 // the virtual cluster that the next piece begins with
	holes       bool
	problem     *verdict.Finding
}

func (c *content) compressed() bool { return !c.inside && c.flags&flagCompressed != 0 }
func (c *content) encrypted() bool  { return c.flags&flagEncrypted != 0 }

// plain says whether its clusters are its bytes.
func (c *content) plain() bool { return !c.holes && !c.compressed() && !c.encrypted() }

// add appends an extent and joins neighbours.
func (v *volume) add(c *content, off, n int64) error {
	if k := len(c.ext); k > 0 {
		last := &c.ext[k-1]
		if off == layout.Zeros && last.Off == layout.Zeros || off != layout.Zeros && last.Off+last.Len == off && last.Off != layout.Zeros {
			last.Len += n
			return nil
		}
		if k == cap(c.ext) && k >= freeExtents {
			if err := v.w.Memory("the extents of a file", int64(k)*16); err != nil {
				return err
			}
		}
	}
	c.ext = append(c.ext, layout.Extent{Off: off, Len: n})
	return nil
}

// signed reads n bytes, at most 8, as a little-endian number with a sign.
func signed(p []byte) (x int64) {
	for i, c := range p {
		x |= int64(c) << (8 * i)
	}
	if shift := 64 - 8*len(p); len(p) > 0 {
		x = x << shift >> shift
	}
	return x
}

// pieces appends the clusters that one attribute lists (mapping pairs: a byte
// with the two lengths, how many clusters, and how far the first one is from
// the first of the run before; without the latter it is a hole). why says what
// is wrong with them; what comes before it was appended.
func (v *volume) pieces(c *content, a *attribute) (why string, err error) {
	p, vcn, lcn := a.pairs, a.lowest, int64(0)
	for {
		if len(p) == 0 {
			return "its list of clusters has no end", nil
		}
		nLen, nOff := int(p[0]&15), int(p[0]>>4)
		if p[0] == 0 {
			break
		}
		if nLen == 0 || nLen > 8 || nOff > 8 || len(p) < 1+nLen+nOff {
			return fmt.Sprintf("its list of clusters is damaged after cluster %d of it", vcn), nil
		}
		n, delta := signed(p[1:1+nLen]), signed(p[1+nLen:1+nLen+nOff])
		p = p[1+nLen+nOff:]
		if n <= 0 || n > a.highest+1-vcn {
			return fmt.Sprintf("its list of clusters has a run of %d after cluster %d of %d", n, vcn, a.highest+1), nil
		}
		vcn += n
		if nOff == 0 {
			c.holes = true
			if err := v.add(c, layout.Zeros, n*v.cluster); err != nil {
				return "", err
			}
			continue
		}
		if delta < -maxClusters || delta > maxClusters || lcn+delta < 0 || lcn+delta > v.clusters-n {
			return fmt.Sprintf("its list of clusters leads out of the volume: %d clusters, %d away from cluster %d", n, delta, lcn), nil
		}
		lcn += delta
		if why, err := v.claim(lcn, n); why != "" || err != nil {
			return why, err
		}
		if err := v.add(c, v.off+lcn*v.cluster, n*v.cluster); err != nil {
			return "", err
		}
	}
	if vcn != a.highest+1 {
		return fmt.Sprintf("its list of clusters ends after %d of %d", vcn, a.highest+1), nil
	}
	return "", nil
}

// claim takes n clusters, which exist, for the value at hand. A cluster that
// has an owner already is a problem of the volume too.
func (v *volume) claim(lcn, n int64) (why string, err error) {
	if !v.claiming {
		return "", nil
	}
	// What the medium does not have cannot be read and needs no owner. Without
	// this a volume that claims to be huge would cost the time of a huge one.
	for i := lcn; i < min(lcn+n, v.present); i++ {
		fresh, err := v.w.Claim(uint32(i))
		if err != nil {
			return "", err
		}
		if !fresh {
			why = fmt.Sprintf("its cluster %d belongs to another file, folder or structure, or twice to it", i)
			return why, v.w.Inconsistent(layout.At("cluster", v.off+i*v.cluster), "record %d: %s", v.at, why)
		}
	}
	free, err := v.free(lcn, n)
	if err != nil || free < 0 {
		return "", err
	}
	return fmt.Sprintf("its cluster %d is marked as free in the allocation bitmap", free), nil
}

// free returns the first of n clusters that $Bitmap does not mark as used, or -1.
func (v *volume) free(lcn, n int64) (int64, error) {
	for i, end := lcn, lcn+n; i < end; {
		p, err := v.bitmap.from(i / 8)
		if err != nil {
			return -1, err
		}
		for len(p) > 0 && i < end {
			switch {
			case i%8 == 0 && end-i >= 8 && p[0] == 0xFF:
				i, p = i+8, p[1:]
			case p[0]&(1<<(i%8)) == 0:
				return i, nil
			default:
				if i++; i%8 == 0 {
					p = p[1:]
				}
			}
		}
	}
	return -1, nil
}

// cut leaves of the gathered clusters what is the value: up to initialised
// what is recorded, zeros from there to size.
func (v *volume) cut(c *content) error {
	left := c.initialised
	for i := range c.ext {
		if left < c.ext[i].Len {
			c.ext[i].Len = left
			if left > 0 {
				i++
			}
			c.ext = c.ext[:i]
			break
		}
		left -= c.ext[i].Len
	}
	if c.size > c.initialised {
		return v.add(c, layout.Zeros, c.size-c.initialised)
	}
	return nil
}

// inRecord makes the extents of a value inside a file record. The last two
// bytes of each 512 of the record stand in its update sequence on the device
// (see mend), so the value is split there: each of its bytes has a place.
func (v *volume) inRecord(c *content, r *record, at int, n int) error {
	for pos := at; pos < at+n; {
		stride := pos / strideBytes
		tail := (stride+1)*strideBytes - 2
		from, end := pos, min(at+n, tail)
		if pos >= tail {
			from, end = r.fixups+2+2*stride+pos-tail, min(at+n, tail+2)
		}
		for k := end - pos; k > 0; {
			dev, room := v.mft.place(r.number*v.record + int64(from))
			m := int(min(room, int64(k)))
			if err := v.add(c, dev, int64(m)); err != nil {
				return err
			}
			from, k = from+m, k-m
		}
		pos = end
	}
	return nil
}
