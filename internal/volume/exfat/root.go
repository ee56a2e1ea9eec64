package exfat

import (
	"io"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// readRoot follows the root folder and reads the three entries that only it
// has: bitmap, up-case table and label. They come first, because the files'
// clusters are checked against the bitmap.
func (v *volume) readRoot() error {
	where := layout.Folder("")
	if err := v.rootChain(layout.Place{What: where, Off: -1}); err != nil {
		return err
	}
	root := folder{first: v.root}
	for _, x := range v.extents {
		root.size += x.Len
	}
	rootExtents := append([]layout.Extent(nil), v.extents...)
	v.w.Recs.Reset(v.w.Dev, where, rootExtents)
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
	for _, x := range rootExtents {
		for at := x.Off; at < x.Off+x.Len; at += v.cluster {
			if err := v.mustBeUsed(uint32((at-v.dataOff)/v.cluster)+firstData, where); err != nil {
				return err
			}
		}
	}
	v.extents = append(v.extents[:0], rootExtents...)
	v.pending = append(v.pending, root)
	return nil
}

func (v *volume) mustBeUsed(cluster uint32, where string) error {
	ok, err := v.used(cluster)
	if err != nil || ok {
		return err
	}
	return v.w.Inconsistent(where, "its cluster %d is marked as free in the allocation bitmap", cluster)
}

// readBitmap locates the bitmap. It has to stand in one piece for the reader's
// cache; formatters write it first, so it does.
func (v *volume) readBitmap(rec []byte, place string) error {
	first, size := le.Uint32(rec[20:]), le.Uint64(rec[24:])
	switch {
	case v.bitmap != nil || rec[1]&1 != 0:
		return v.w.Inconsistent(place, "there is a second allocation bitmap")
	case size < (uint64(v.clusters)+7)/8 || size > 1<<32:
		return v.w.Inconsistent(place, "an allocation bitmap of %d bytes for %d clusters", size, v.clusters)
	}
	f, err := v.follow(first, int64(size), false, layout.Place{What: "allocation bitmap", Off: -1})
	if err != nil {
		return err
	}
	if f != nil {
		return v.w.Problem(f)
	}
	if len(v.extents) != 1 {
		return verdict.New(verdict.FilesystemUnsupported, place, "an exFAT whose allocation bitmap is in %d pieces", len(v.extents))
	}
	v.bitmap = layout.NewCache(v.w.Dev, "allocation bitmap", v.extents[0].Off, int64(size))
	for n := (int64(size) + v.cluster - 1) / v.cluster; n > 0; n-- {
		if err := v.mustBeUsed(first+uint32(n)-1, "allocation bitmap"); err != nil {
			return err
		}
	}
	return nil
}

// readUpcase checks the checksum of the up-case table (section 7.2.2). The
// table itself is not used: names are compared more strictly than by it.
func (v *volume) readUpcase(rec []byte, place string) error {
	first, size, want := le.Uint32(rec[20:]), le.Uint64(rec[24:]), le.Uint32(rec[4:])
	const most = 128 << 10 // one entry for each UTF-16 unit
	switch {
	case v.upcase:
		return v.w.Inconsistent(place, "there is a second up-case table")
	case size == 0 || size > most:
		return v.w.Inconsistent(place, "an up-case table of %d bytes", size)
	}
	v.upcase = true
	f, err := v.follow(first, int64(size), false, layout.Place{What: "up-case table", Off: -1})
	if err != nil {
		return err
	}
	if f != nil {
		return v.w.Problem(f)
	}
	var sum uint32
	for _, x := range v.extents {
		p := make([]byte, x.Len)
		if err := v.w.Dev.Read(p, x.Off, "up-case table"); err != nil {
			return err
		}
		for _, c := range p {
			sum = (sum<<31 | sum>>1) + uint32(c)
		}
	}
	if sum != want {
		return v.w.Inconsistent(place, "the checksum of the up-case table is %08x and should be %08x", sum, want)
	}
	return nil
}
