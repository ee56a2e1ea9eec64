package udf

import (
	"bytes"
	"sort"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	chunkBits = 15 // that of [layout.Cache]
	touched   = 1024
)

// source reads structures. File entries stand beside each other on some media
// and far apart on others: a chunk of 32 KiB is read as a whole only when it is
// needed for the second time. It is not wanted as a whole, so that an error
// counts only where needed bytes cannot be read.
type source struct {
	cache *layout.Cache
	seen  [touched]int64 // numbers of chunks, plus one
	bad   int64          // number of a chunk that cannot be read as a whole, plus one
	twins []twin
}

// twin is a run of bytes that stands in a second place as well.
type twin struct{ off, bytes, second int64 }

// offset returns where a sector is on the medium.
func (v *volume) offset(sector int64) int64 { return v.w.Vol.Offset + sector*v.sector }

// readSector fills p, which is as long as a sector or shorter.
func (v *volume) readSector(p []byte, sector int64, what string) error {
	if sector < 0 || sector >= v.sectors {
		return verdict.New(verdict.Truncated, layout.At(what, v.offset(sector)),
			"the volume ends at byte %d, before it", v.offset(v.sectors))
	}
	return v.readAt(p, v.offset(sector), what)
}

// readAt fills p from the absolute offset off and compares it with its second
// place if it has one.
func (v *volume) readAt(p []byte, off int64, what string) error {
	if err := v.readPlain(p, off, what); err != nil {
		return err
	}
	i := sort.Search(len(v.twins), func(i int) bool { return v.twins[i].off+v.twins[i].bytes > off })
	for ; i < len(v.twins) && v.twins[i].off < off+int64(len(p)); i++ {
		t := v.twins[i]
		from, to := max(t.off, off), min(t.off+t.bytes, off+int64(len(p)))
		second := make([]byte, to-from)
		if err := v.readPlain(second, t.second+from-t.off, "metadata mirror"); err != nil {
			return err
		}
		if !bytes.Equal(second, p[from-off:to-off]) {
			if err := v.w.Inconsistent(layout.At(what, from), "it differs from its copy in the metadata mirror at byte %d", t.second+from-t.off); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *volume) readPlain(p []byte, off int64, what string) error {
	at := off - v.w.Vol.Offset
	if end := v.sectors * v.sector; at < 0 || at > end-int64(len(p)) {
		return verdict.New(verdict.Truncated, layout.At(what, off), "the volume ends at byte %d", v.w.Vol.Offset+end)
	}
	for len(p) > 0 {
		chunk := at >> chunkBits
		n := int(min(int64(len(p)), (chunk+1)<<chunkBits-at))
		if slot := &v.seen[chunk%touched]; *slot == chunk+1 && v.bad != chunk+1 {
			if data, err := v.cache.From(at); err == nil && len(data) >= n {
				copy(p[:n], data)
				p, at = p[n:], at+int64(n)
				continue
			}
			v.bad = chunk + 1
		} else {
			*slot = chunk + 1
		}
		if err := v.w.Dev.Read(p[:n], v.w.Vol.Offset+at, what); err != nil {
			return err
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}

// claim takes n sectors, as far as they are on the medium, and returns the
// first that belongs to something else already, or -1.
func (v *volume) claim(sector, n int64) (taken int64, err error) {
	for end := min(sector+n, v.sectors); sector < end; sector++ {
		if fresh, err := v.w.Claim(uint32(sector)); !fresh || err != nil {
			return sector, err
		}
	}
	return -1, nil
}
