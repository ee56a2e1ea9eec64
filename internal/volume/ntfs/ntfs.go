// Package ntfs reads NTFS 3.0 and 3.1 from an untrusted volume: boot sector and
// its backup, master file table (MFT) and its mirror, file records and those
// that extend them, attribute lists, lists of clusters, the indexes of folders,
// the bitmaps of clusters, of records and of index blocks, and the restart
// pages of the log. It reads no content but the first eight bytes of files
// that could be special files of Interix. The structures are those of ntfs-3g's
// layout.h and of Russon and Fledel's NTFS documentation. It is no forensic
// reader: where those skip over an error, this one names it.
//
// There are two ways to the names of a volume: the indexes of the folders,
// which systems list, and the names that each file record gives itself, which
// repair tools and archivers use. Both are gone through and have to agree.
//
// Damage of the volume (its files may not be used): a boot sector or mirror
// that differs from its copy; damaged records or structures of the system; an
// index that is damaged, out of order, larger or smaller than its bitmap says,
// or that leads to a record which is not in use, was used again since, gives
// itself no such name or is a folder where a file should be; a folder reached
// twice; names in records that no folder leads to; two names that a system
// takes for one; clusters that belong to two; records in use that the MFT's
// bitmap says are free; and a log that was not closed. Windows completes or
// undoes what such a log holds before it shows anything, ntfs-3g throws the log
// away, and this reader does neither: what is on the medium then depends on who
// looks. Damage of one file: its record, its attributes or its clusters do not
// fit together, or its clusters are marked as free.
//
// No damage: the flag "volume dirty" (it asks Windows for a check; what could be
// wrong is checked here), clusters and records that are marked as used and
// belong to nobody, sizes and times repeated in an index (systems let them grow
// old), slack behind the used part of records and blocks.
//
// Content inside a file record has extents there. The last two bytes of each
// 512 bytes of a record stand elsewhere in the same record on the device, so
// such content is split around them. Bytes beyond a value's initialised size
// and holes are zeros: extents at [layout.Zeros]. Compressed and encrypted
// content is not read. Files of the system (records 0 to 15, and what is in
// $Extend under names that begin with "$") are checked and not listed.
//
// Entries of one folder come in the order of their file records, in portions
// of 32,768, which lets the MFT be read in one direction.
package ntfs

import (
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// Numbers of the system's records.
const (
	recordMFT         = 0
	recordMirror      = 1
	recordLog         = 2
	recordVolume      = 3
	recordRoot        = 5
	recordBitmap      = 6
	recordBoot        = 7
	recordBadClusters = 8
	recordUpcase      = 10
	recordExtend      = 11
	// firstUser is the first record that a file of a user may have.
	firstUser = 16

	mftName = "master file table"
)

// volume is one walk.
type volume struct {
	boot
	w       *layout.Walker
	mft     stream
	records int64
	used    bitmap // of the records
	bitmap  stream // of the clusters
	upcase  []uint16
	label   []byte // UTF-16
	major   byte
	minor   byte

	booting  bool  // record 0 is gathered: the MFT grows with it
	claiming bool  // clusters become the property of the file at hand
	at       int64 // the record at hand
	ext      record
	list     []byte // the attribute list at hand
	again    int64  // entries of attribute lists that were gone through again

	seen   *layout.Claims // records that belong to a file that was reached
	listed *layout.Claims // records that were reached by a name

	dir      node // the folder at hand
	n        node // the file at hand
	index    stream
	inIndex  bitmap   // the folder's bitmap of index blocks
	inBlocks *stream  // reads it where it is in clusters
	visited  []uint64 // blocks of the index, one bit each
	frames   []frame
	before   []byte // the name before the one at hand, UTF-16
	batch    []item
	text     []byte // the names of the batch, UTF-16
	name     []byte
	units    []uint16
	pending  []folder
	times    [64]timeText
	named    int64          // names in indexes that lead to records of users
	unsure   bool           // damage was met: counts need not agree
	hurt     map[int64]bool // records of files that are damaged
	broken   tally
	orphans  tally
	freeUsed tally
}

// folder is one that was found and is still to be read.
type folder struct {
	path   string
	ref    ref
	hidden bool // in $Extend: checked, not listed
}

// Walk reads the volume that w.Vol describes. Its error is the finding that
// ended the walk.
func Walk(w *layout.Walker) error {
	v := &volume{w: w}
	if err := v.open(); err != nil {
		return err
	}
	for i := 0; i < len(v.pending); i++ {
		if err := v.readFolder(v.pending[i]); err != nil {
			return err
		}
	}
	return v.sweep()
}

// open checks what comes before the first folder.
func (v *volume) open() error {
	w := v.w
	w.Vol.FS = "ntfs"
	sector := make([]byte, bootBytes)
	if err := w.Dev.Read(sector, w.Vol.Offset, "boot sector"); err != nil {
		return err
	}
	b, err := newBoot(sector, w.Vol.Offset)
	if err != nil {
		return err
	}
	v.boot, w.Vol.ID = *b, b.id()
	v.present = min(v.clusters, (w.Dev.Size()-v.off+v.cluster-1)/v.cluster)
	for _, step := range []func() error{
		func() error { return v.checkBackup(sector) },
		func() error { return w.Clusters(uint32(v.clusters)) },
		v.openMFT, v.checkVersion, v.openBitmap, v.checkMirror, v.checkSystem,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// mark sets the bit of a record and says whether it was clear.
func (v *volume) mark(c *layout.Claims, number int64) (bool, error) {
	fresh, err := c.Claim(uint32(number))
	if err != nil {
		return false, verdict.New(verdict.OverLimit, "the map of file records", "%s", err.Error())
	}
	return fresh, nil
}
