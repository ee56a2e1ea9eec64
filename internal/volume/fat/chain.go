package fat

import (
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// maxFolderBytes is the largest folder the specification allows: 65,536 records.
const maxFolderBytes = 65536 * layout.RecordBytes

func (v *volume) offset(cluster uint32) int64 {
	return v.dataOff + int64(cluster-firstData)*v.cluster
}

// append puts a cluster behind the chain at hand.
func (v *volume) append(cluster uint32) {
	off := v.offset(cluster)
	if n := len(v.extents); n > 0 && v.extents[n-1].Off+v.extents[n-1].Len == off {
		v.extents[n-1].Len += v.cluster
		return
	}
	v.extents = append(v.extents, layout.Extent{Off: off, Len: v.cluster})
}

// own says whether the chain at hand already went over a cluster.
func (v *volume) own(cluster uint32) bool {
	off := v.offset(cluster)
	for _, x := range v.extents {
		if off >= x.Off && off < x.Off+x.Len {
			return true
		}
	}
	return false
}

// claim takes a cluster for the chain at hand. The finding says that the chain
// met itself; that it met another one is a problem of the volume as well,
// since nobody knows whose cluster it is.
func (v *volume) claim(cluster uint32, where layout.Place) (*verdict.Finding, error) {
	fresh, err := v.w.Claim(cluster - firstData)
	if fresh || err != nil {
		return nil, err
	}
	if v.own(cluster) {
		return inconsistent(where, "its chain of clusters runs in a circle at cluster %d", cluster), nil
	}
	f := inconsistent(where, "its chain runs into cluster %d, which belongs to another file or folder", cluster)
	return f, v.w.Problem(f)
}

func inconsistent(where layout.Place, detail string, args ...any) *verdict.Finding {
	return verdict.New(verdict.FilesystemInconsistent, where.String(), detail, args...)
}

// file follows the chain of a file into v.extents. The finding says why the
// extents are not the whole file.
func (v *volume) file(first uint32, size int64, where layout.Place) (*verdict.Finding, error) {
	v.extents = v.extents[:0]
	if size == 0 {
		if first != 0 {
			return inconsistent(where, "it has no bytes but a first cluster, %d", first), nil
		}
		return nil, nil
	}
	need := (size + v.cluster - 1) / v.cluster
	if need > int64(v.clusters) {
		return inconsistent(where, "its %d bytes are more than the volume has", size), nil
	}
	next := first
	for n := int64(0); n < need; n++ {
		if !v.exists(next) {
			if n == 0 {
				return inconsistent(where, "it has %d bytes and starts at %s", size, v.link(next)), nil
			}
			return inconsistent(where, "its chain reaches %s after %d of %d clusters", v.link(next), n, need), nil
		}
		f, err := v.claim(next, where)
		if f != nil || err != nil {
			return f, err
		}
		v.append(next)
		if next, err = v.entry(next); err != nil {
			return nil, err
		}
	}
	v.extents[len(v.extents)-1].Len -= need*v.cluster - size
	switch {
	case next >= endMark:
		return nil, nil
	case !v.exists(next):
		return inconsistent(where, "its chain reaches %s after its last cluster, in place of the end mark", v.link(next)), nil
	case v.own(next):
		return inconsistent(where, "its chain of clusters runs in a circle at cluster %d", next), nil
	default:
		return inconsistent(where, "its chain goes on at cluster %d after its %d bytes", next, size), nil
	}
}

// folder follows the chain of a folder into v.extents. A broken chain is a
// problem of the volume: nobody knows which files are missing.
func (v *volume) folder(first uint32, where layout.Place) error {
	v.extents = v.extents[:0]
	for next, n := first, int64(0); next < endMark || n == 0; n++ {
		if !v.exists(next) {
			return v.w.Inconsistent(where.String(), "its chain reaches %s after %d clusters", v.link(next), n)
		}
		if n*v.cluster >= maxFolderBytes {
			return v.w.Inconsistent(where.String(), "it is larger than %d bytes, the most a folder may have", maxFolderBytes)
		}
		f, err := v.claim(next, where)
		if err != nil {
			return err
		}
		if f != nil {
			if v.own(next) { // the other case is written down already
				return v.w.Problem(f)
			}
			return nil
		}
		v.append(next)
		if next, err = v.entry(next); err != nil {
			return err
		}
	}
	return nil
}
