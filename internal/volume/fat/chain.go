package fat

import (
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// maxFolderBytes is the largest folder the specification allows: 65,536 records.
const maxFolderBytes = 65536 * layout.RecordBytes

func inconsistent(where layout.Place, detail string, args ...any) *verdict.Finding {
	return verdict.New(verdict.FilesystemInconsistent, where.String(), detail, args...)
}

// file follows the chain of a file into v.heap.Chain. The finding says why the
// extents are not the whole file.
func (v *volume) file(first uint32, size int64, where layout.Place) (*verdict.Finding, error) {
	v.heap.Restart()
	if size == 0 {
		if first != 0 {
			return inconsistent(where, "it has no bytes but a first cluster, %d", first), nil
		}
		return nil, nil
	}
	need := (size + v.heap.Bytes - 1) / v.heap.Bytes
	if need > int64(v.heap.Count) {
		return inconsistent(where, "its %d bytes are more than the volume has", size), nil
	}
	next := first
	for n := int64(0); n < need; n++ {
		if !v.heap.Exists(next) {
			if n == 0 {
				return inconsistent(where, "it has %d bytes and starts at %s", size, v.link(next)), nil
			}
			return inconsistent(where, "its chain reaches %s after %d of %d clusters", v.link(next), n, need), nil
		}
		f, err := v.heap.Follow(v.w, next, where)
		if f != nil || err != nil {
			return f, err
		}
		if next, err = v.entry(next); err != nil {
			return nil, err
		}
	}
	v.heap.Trim(size)
	switch {
	case next >= endMark:
		return nil, nil
	case !v.heap.Exists(next):
		return inconsistent(where, "its chain reaches %s after its last cluster, in place of the end mark", v.link(next)), nil
	case v.heap.InChain(next):
		return inconsistent(where, "its chain of clusters runs in a circle at cluster %d", next), nil
	default:
		return inconsistent(where, "its chain goes on at cluster %d after its %d bytes", next, size), nil
	}
}

// folder follows the chain of a folder into v.heap.Chain. A broken chain is a
// problem of the volume: nobody knows which files are missing.
func (v *volume) folder(first uint32, where layout.Place) error {
	v.heap.Restart()
	for next, n := first, int64(0); next < endMark || n == 0; n++ {
		if !v.heap.Exists(next) {
			return v.w.Inconsistent(where.String(), "its chain reaches %s after %d clusters", v.link(next), n)
		}
		if n*v.heap.Bytes >= maxFolderBytes {
			return v.w.Inconsistent(where.String(), "it is larger than %d bytes, the most a folder may have", maxFolderBytes)
		}
		f, err := v.heap.Follow(v.w, next, where)
		if err != nil {
			return err
		}
		if f != nil {
			if v.heap.InChain(next) { // the other case is written down already
				return v.w.Problem(f)
			}
			return nil
		}
		if next, err = v.entry(next); err != nil {
			return err
		}
	}
	return nil
}
