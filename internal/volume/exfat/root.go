package exfat

import (
	"io"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// extentBytes of memory for each piece of what is kept while the volume is read.
const extentBytes = 16

// readRoot follows the root folder and reads the three entries that only it
// has: bitmap, up-case table and label. They come first, because the files'
// clusters are checked against the bitmap.
func (v *volume) readRoot() error {
	where := layout.Folder("")
	if err := v.rootChain(layout.Place{What: where, Off: -1}); err != nil {
		return err
	}
	root := folder{first: v.root}
	for _, x := range v.heap.Chain {
		root.size += x.Len
	}
	if err := v.w.Memory(where, int64(len(v.heap.Chain))*extentBytes); err != nil {
		return err
	}
	rootExtents := append([]layout.Extent(nil), v.heap.Chain...)
	if err := v.w.Recs.Reset(v.w, where, rootExtents); err != nil {
		return err
	}
	labelled := false
	for {
		rec, off, err := v.w.Recs.Next()
		if err == io.EOF || err == nil && rec[0] == endRecord {
			break
		}
		if err != nil {
			return err
		}
		place := layout.At(where, off)
		switch rec[0] {
		case bitmapEntry:
			err = v.readBitmap(rec, place)
		case upcaseEntry:
			err = v.readUpcase(rec, place)
		case labelEntry:
			if labelled {
				err = v.w.Inconsistent(place, "there is a second label")
			}
			labelled = true
			n := min(int(rec[1]), 11)
			v.units = v.units[:0]
			for i := range n {
				v.units = append(v.units, le.Uint16(rec[2+2*i:]))
			}
			if n > 0 {
				v.name, _ = layout.AppendName(v.name[:0], v.units)
				v.w.Vol.Label = string(v.name)
			}
		}
		if err != nil {
			return err
		}
	}
	if v.bitmap == nil {
		return verdict.New(verdict.FilesystemInconsistent, where, "it has no allocation bitmap")
	}
	if !v.upcase {
		if err := v.w.Inconsistent(where, "it has no up-case table"); err != nil {
			return err
		}
	}
	if err := v.mustBeUsed(where, rootExtents); err != nil {
		return err
	}
	v.heap.Chain = append(v.heap.Chain[:0], rootExtents...)
	v.pending = append(v.pending, root)
	return nil
}

// mustBeUsed checks in the bitmap the clusters of what was read before it or is
// the bitmap itself.
func (v *volume) mustBeUsed(where string, extents []layout.Extent) error {
	for _, x := range extents {
		for at := x.Off; at < x.Off+x.Len; at += v.heap.Bytes {
			cluster := uint32((at-v.heap.Off)/v.heap.Bytes) + layout.FirstCluster
			ok, err := v.used(cluster)
			if err != nil {
				return err
			}
			if !ok {
				return v.w.Inconsistent(where, "its cluster %d is marked as free in the allocation bitmap", cluster)
			}
		}
	}
	return nil
}

// readBitmap locates the bitmap. Formatters write it in one piece, but nobody
// has to.
func (v *volume) readBitmap(rec []byte, place string) error {
	first, size := le.Uint32(rec[20:]), le.Uint64(rec[24:])
	switch {
	case v.bitmap != nil || rec[1]&1 != 0:
		return v.w.Inconsistent(place, "there is a second allocation bitmap")
	case size < (uint64(v.heap.Count)+7)/8 || size > 1<<32:
		return v.w.Inconsistent(place, "an allocation bitmap of %d bytes for %d clusters", size, v.heap.Count)
	}
	f, err := v.follow(first, int64(size), false, layout.Place{What: "allocation bitmap", Off: -1})
	if err != nil {
		return err
	}
	if f != nil {
		return v.w.Problem(f)
	}
	if err := v.w.Memory("pieces of the allocation bitmap", int64(len(v.heap.Chain))*extentBytes); err != nil {
		return err
	}
	v.bitmap = layout.NewCacheOf(v.w.Dev, "allocation bitmap", v.heap.Chain)
	return v.mustBeUsed("allocation bitmap", v.heap.Chain)
}
