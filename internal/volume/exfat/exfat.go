// Package exfat reads exFAT 1.00 from an untrusted volume: both boot regions,
// the file allocation table, the allocation bitmap, the up-case table, folders
// and the clusters of each file. It reads no content. The rules are those of
// Microsoft's exFAT specification; TexFAT, with its second table and bitmap, is
// named and not read.
//
// Damage of the volume (its files may not be used): boot regions with a bad
// checksum or that differ; a missing, short or second bitmap or up-case table;
// an up-case table that systems read in two ways; clusters that belong to two; a
// folder whose clusters do not fit its size or that holds entry sets with a bad
// checksum or in bad order, critical entries nobody knows, entries behind its
// end, names with a wrong hash, or two of one name. A set that cannot be read
// hides a name, and a name with a wrong hash is found by some systems only: that
// is why they count against the volume. Damage of one file: its clusters do not
// fit its size, are not marked as used, run in a circle or off the medium, or
// its name cannot be shown.
//
// Bytes of a file beyond its ValidDataLength are zeros by the specification,
// whatever stands in its clusters: they become an extent at [layout.Zeros].
//
// Deleted entry sets are counted and named; nothing they point at is read.
// Benign entries, such as the volume's GUID and the extensions of vendors in the
// sets of files, are passed over, and clusters of their own are not looked at:
// every system sees the same files with and without them.
//
// No damage: the flags "volume dirty" and "media failure" (media are pulled;
// contents are verified by their hashes), the percentage in use, clusters
// marked as used that no entry points at.
package exfat

import (
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// volume is one walk.
type volume struct {
	boot
	w      *layout.Walker
	table  *layout.Cache
	bitmap *layout.Cache // nil until the root folder's entry is found

	set      []byte // the entry set at hand
	name     []byte
	capitals []byte // the name in the volume's own
	units    []uint16
	upcase   bool     // the up-case table was seen
	upper    []uint16 // what it says; nil while nothing is known of it
	pending  []folder
}

// folder is one that was found and is still to be read.
type folder struct {
	path  string
	first uint32
	size  int64 // 0 for the root, whose size nothing records
	plain bool  // NoFatChain
}

// Walk reads the volume that w.Vol describes. Its error is the finding that
// ended the walk.
func Walk(w *layout.Walker) error {
	v, err := open(w)
	if err != nil {
		return err
	}
	for i := 0; i < len(v.pending); i++ {
		if err := v.readFolder(&v.pending[i]); err != nil {
			return err
		}
	}
	return nil
}

// open checks what comes before the first folder, and finds the bitmap.
func open(w *layout.Walker) (*volume, error) {
	sector := make([]byte, bootBytes)
	off := w.Vol.Offset
	w.Vol.FS = "exfat"
	if err := w.Dev.Read(sector, off, "boot sector"); err != nil {
		return nil, err
	}
	b, err := newBoot(sector, off)
	if err != nil {
		return nil, err
	}
	w.Vol.ID = b.id
	v := &volume{boot: *b, w: w}
	if err := v.checkSize(); err != nil {
		return nil, err
	}
	if err := checkRegions(w, b.sectorBytes); err != nil {
		return nil, err
	}
	v.table = layout.NewCache(w.Dev, "file allocation table", b.tableOff, b.tableBytes)
	head, err := v.table.From(0)
	if err != nil {
		return nil, err
	}
	if le.Uint32(head) != 0xFFFFFFF8 || le.Uint32(head[4:]) != 0xFFFFFFFF {
		if err := w.Inconsistent(layout.At("file allocation table", b.tableOff), "it does not begin with the two marks it has to: this is not the table"); err != nil {
			return nil, err
		}
	}
	if err := w.Clusters(b.heap.Count); err != nil {
		return nil, err
	}
	return v, v.readRoot()
}

// checkSize compares the size that the boot sector claims with the room there is.
func (v *volume) checkSize() error {
	vol, end := v.w.Vol, v.w.Vol.Offset+v.total
	switch {
	case end > v.w.Dev.Size():
		return v.w.Problem(verdict.New(verdict.Truncated, "boot sector, volume length",
			"the file system ends at byte %d and the medium at byte %d", end, v.w.Dev.Size()))
	case v.total > vol.Size:
		return v.w.Inconsistent("boot sector, volume length", "the file system claims %d bytes and its partition has %d", v.total, vol.Size)
	}
	return nil
}
