// Package fat reads FAT12, FAT16 and FAT32 with long names from an untrusted
// volume: geometry, both file allocation tables, folders and the chain of each
// file. It reads no content. The rules are those of the Microsoft FAT
// specification 1.03; where systems read one structure in different ways, it
// reports the structure rather than choose a reading.
//
// Damage of the volume (its files may not be used): a boot sector that
// contradicts itself, its backup or the partition; file allocation tables that
// differ; clusters that belong to two; a folder whose chain is broken, whose
// "." or ".." is wrong, that has records behind its end, long names without
// their file, or two entries of one name. Damage of one file: its chain does
// not fit its size, it runs in a circle, over free or bad clusters or off the
// medium, or its name cannot be shown.
//
// Deleted records are counted and named; nothing they point at is read.
//
// No damage: the flags "not cleanly unmounted" and "hard error" (media are
// pulled; contents are verified by their hashes), free-space counts, lost
// clusters that no entry points at, and labels.
package fat

import (
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// volume is one walk.
type volume struct {
	boot
	w     *layout.Walker
	table *layout.Cache

	name    []byte // of the record at hand
	long    longName
	gone    deletedName
	pending []folder
}

// folder is one that was found and is still to be read.
type folder struct {
	path          string
	first, parent uint32 // clusters; parent is 0 for children of the root
}

// Walk reads the volume that w.Vol describes. Its error is the finding that
// ended the walk.
func Walk(w *layout.Walker) error {
	v, err := open(w)
	if err != nil {
		return err
	}
	v.pending = append(v.pending, folder{first: v.rootCluster})
	for i := 0; i < len(v.pending); i++ {
		if err := v.readFolder(v.pending[i]); err != nil {
			return err
		}
	}
	return nil
}

// open checks everything but the folders.
func open(w *layout.Walker) (*volume, error) {
	sector := make([]byte, bootBytes)
	off := w.Vol.Offset
	if err := w.Dev.Read(sector, off, "boot sector"); err != nil {
		return nil, err
	}
	b, err := newBoot(sector, off)
	if err != nil {
		return nil, err
	}
	w.Vol.FS = map[int]string{12: "fat12", 16: "fat16", 32: "fat32"}[b.bits]
	w.Vol.Label, w.Vol.ID = b.label, b.id
	v := &volume{boot: *b, w: w}
	if err := v.checkSize(); err != nil {
		return nil, err
	}
	if b.backup != 0 {
		second := make([]byte, bootBytes)
		if err := w.Dev.Read(second, off+b.backup, "backup boot sector"); err != nil {
			return nil, err
		}
		if second[510] == 0x55 && second[511] == 0xAA && !sameGeometry(sector, second) {
			if err := w.Inconsistent(layout.At("backup boot sector", off+b.backup), "it describes another file system than the first one"); err != nil {
				return nil, err
			}
		}
	}
	if err := v.checkTable(); err != nil {
		return nil, err
	}
	v.table = layout.NewCache(w.Dev, "file allocation table", b.tableOff+int64(b.active)*b.tableBytes, b.tableBytes)
	return v, w.Clusters(b.heap.Count)
}

// checkSize compares the size that the boot sector claims with the room there is.
func (v *volume) checkSize() error {
	vol, end := v.w.Vol, v.w.Vol.Offset+v.total
	switch {
	case end > v.w.Dev.Size():
		return v.w.Problem(verdict.New(verdict.Truncated, "boot sector, total sectors",
			"the file system ends at byte %d and the medium at byte %d", end, v.w.Dev.Size()))
	case v.total > vol.Size:
		return v.w.Inconsistent("boot sector, total sectors", "the file system claims %d bytes and its partition has %d", v.total, vol.Size)
	}
	return nil
}
