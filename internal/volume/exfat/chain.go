package exfat

import (
	"fmt"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

const (
	badMark = 0xFFFFFFF7
	endMark = 0xFFFFFFFF
	// maxFolderBytes is the largest folder (section 7.4.8.2).
	maxFolderBytes = 256 << 20
)

func inconsistent(where layout.Place, detail string, args ...any) *verdict.Finding {
	return verdict.New(verdict.FilesystemInconsistent, where.String(), detail, args...)
}

func link(n uint32) string {
	switch n {
	case 0:
		return "a cluster marked as free"
	case badMark:
		return "a cluster marked as bad"
	case endMark:
		return "the end mark"
	default:
		return fmt.Sprintf("cluster %d, which does not exist", n)
	}
}

// entry returns the FAT entry of a cluster that exists.
func (v *volume) entry(cluster uint32) (uint32, error) {
	p, err := v.table.From(int64(cluster) * 4)
	if err != nil {
		return 0, err
	}
	return le.Uint32(p), nil
}

// used asks the allocation bitmap.
func (v *volume) used(cluster uint32) (bool, error) {
	i := int64(cluster - layout.FirstCluster)
	p, err := v.bitmap.From(i / 8)
	if err != nil {
		return false, err
	}
	return p[0]&(1<<(i%8)) != 0, nil
}

// follow goes over size bytes from the cluster first into v.heap.Chain, by the
// table or, when plain, one after another. The finding says why they are not
// all there; what could be followed is kept.
func (v *volume) follow(first uint32, size int64, plain bool, where layout.Place) (*verdict.Finding, error) {
	v.heap.Restart()
	if size == 0 {
		if first != 0 {
			return inconsistent(where, "it has no bytes but a first cluster, %d", first), nil
		}
		return nil, nil
	}
	if size < 0 || (size-1)/v.heap.Bytes >= int64(v.heap.Count) {
		return inconsistent(where, "its %d bytes are more than the volume has", uint64(size)), nil
	}
	need := (size-1)/v.heap.Bytes + 1
	next, unused := first, uint32(0)
	for n := int64(0); n < need; n++ {
		if !v.heap.Exists(next) {
			return inconsistent(where, "its clusters reach %s after %d of %d", link(next), n, need), nil
		}
		f, err := v.heap.Follow(v.w, next, where)
		if f != nil || err != nil {
			return f, err
		}
		if v.bitmap != nil && unused == 0 {
			ok, err := v.used(next)
			if err != nil {
				return nil, err
			}
			if !ok {
				unused = next
			}
		}
		if plain {
			next++
		} else if next, err = v.entry(next); err != nil {
			return nil, err
		}
	}
	v.heap.Trim(size)
	switch {
	case !plain && next != endMark && v.heap.Exists(next) && v.heap.InChain(next):
		return inconsistent(where, "its chain of clusters runs in a circle at cluster %d", next), nil
	case !plain && next != endMark && v.heap.Exists(next):
		return inconsistent(where, "its chain goes on at cluster %d after its %d bytes", next, size), nil
	case !plain && next != endMark:
		return inconsistent(where, "its chain reaches %s after its last cluster, in place of the end mark", link(next)), nil
	case unused != 0:
		return inconsistent(where, "its cluster %d is marked as free in the allocation bitmap", unused), nil
	}
	return nil, nil
}

// rootChain follows the chain of the root folder, whose size nothing records.
func (v *volume) rootChain(where layout.Place) error {
	v.heap.Restart()
	for next, n := v.root, int64(0); next != endMark; n++ {
		if !v.heap.Exists(next) {
			return v.w.Inconsistent(where.String(), "its chain reaches %s after %d clusters", link(next), n)
		}
		if n*v.heap.Bytes >= maxFolderBytes {
			return v.w.Inconsistent(where.String(), "it is larger than %d bytes, the most a folder may have", maxFolderBytes)
		}
		f, err := v.heap.Follow(v.w, next, where)
		if err != nil {
			return err
		}
		if f != nil {
			return v.w.Problem(f)
		}
		if next, err = v.entry(next); err != nil {
			return err
		}
	}
	return nil
}
