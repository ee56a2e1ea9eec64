// Package udf reads UDF 1.02 to 2.60 (ECMA-167 as the OSTA specification
// narrows it) from an untrusted volume: recognition sequence, anchors, both
// volume descriptor sequences, partitions with their maps, the file set,
// folders, and the extents of each file. It reads no content. Partitions may
// be plain, virtual (write-once discs), sparable (rewritable discs) or of
// metadata with its mirror. It is no reader of multisession discs, of sets of
// several volumes, and of the strategy 4096 of write-once ICBs: those are named
// as not supported.
//
// Damage of the volume (its files may not be used): a recognition sequence that
// only some systems accept; anchors, volume descriptor sequences, sparing
// tables or metadata mirrors that are damaged or contradict each other; two
// sector sizes that both fit; partitions that reach beyond the volume; a folder
// whose extents do not hold its size, with damaged descriptors, two entries of
// one name, a wrong parent, or that is in two places; blocks that belong to
// two. Damage of one file: its entry cannot be read, its extents do not fit its
// size or leave the partition, or its name cannot be shown.
//
// Two file entries with the very same extents are one file with two names when
// the partition says that it is read-only: mastering programs do that.
//
// No damage: an open integrity descriptor (media are pulled; contents are
// verified by their hashes), and what is not read because it changes nothing of
// what is listed: the integrity sequence, space bitmaps and tables, permissions,
// extended attributes, unique IDs, link counts above zero, and the block numbers
// in the tags of file identifiers, which real drivers get wrong.
//
// Extents that are allocated and not recorded, or not allocated at all, are
// zeros by the standard: they become extents at [layout.Zeros].
package udf

import (
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// volume is one walk.
type volume struct {
	w       *layout.Walker
	sector  int64 // bytes of a sector, which is a logical block as well
	sectors int64 // of the volume, as far as they are on the medium
	source
	parts []partition // by map number
	icbs  *layout.Claims

	extents  []layout.Extent // of the file at hand
	zeros    bool            // some of the file at hand are not on the medium
	icb      []byte          // the file entry at hand
	node     node            // the same, taken apart
	more     []byte          // the block of further allocation descriptors at hand
	ids      identifiers
	units    []uint16
	name     []byte
	mine     int64           // a sector that was claimed for the file at hand, or -1
	index    map[int64]int32 // see sameFile
	indexed  int
	pending  []folder
	readOnly bool // the partition of the files is
}

// folder is one that was found and is still to be read, or the folder of the
// named streams of a file.
type folder struct {
	path    string // of the file when streams
	icb     addr
	parent  int64 // sector of the parent's file entry
	streams bool
	system  bool // the streams are those of the volume
}

// Walk reads the volume that w.Vol describes. Its error is the finding that
// ended the walk.
func Walk(w *layout.Walker) error {
	w.Vol.FS = "udf"
	v := &volume{w: w, mine: -1}
	if err := v.open(); err != nil {
		return err
	}
	for i := 0; i < len(v.pending); i++ {
		if err := v.readFolder(&v.pending[i]); err != nil {
			return err
		}
	}
	return nil
}

// open checks what comes before the root folder.
func (v *volume) open() error {
	if err := v.checkRecognition(); err != nil {
		return err
	}
	anchor, err := v.findAnchors()
	if err != nil {
		return err
	}
	v.icb, v.more = make([]byte, v.sector), make([]byte, v.sector)
	// Addresses have 32 bits, so sectors behind them cannot be named.
	n := uint32(min(v.sectors, 1<<32-1))
	if err := v.w.Clusters(n); err != nil {
		return err
	}
	if v.icbs, err = v.w.NewClaims("the map of file entries", n); err != nil {
		return err
	}
	set, err := v.readSequences(anchor)
	if err != nil {
		return err
	}
	if err := v.openPartitions(set); err != nil {
		return err
	}
	return v.openFileSet(longAt(set.logical[248:]))
}

// openFileSet reads the file set descriptor (ECMA-167 section 4/14.1) and puts
// the root folder, and the folder of the volume's own streams, on the list.
func (v *volume) openFileSet(at longAD) error {
	const what = "file set descriptor"
	var root longAD
	for n := uint32(0); n == 0 || n < at.bytes/uint32(v.sector) && n < 16; n++ {
		a := addr{at.block + n, at.ref}
		sector, _, why := v.locate(a)
		if at.kind != recorded || at.bytes == 0 {
			why = "the logical volume does not say where it is"
		}
		if why != "" {
			return verdict.New(verdict.FilesystemInconsistent, what, "%s", why)
		}
		d := v.icb
		if err := v.readSector(d, sector, what); err != nil {
			return err
		}
		if n > 0 && (blank(d) || tagID(d) == tagTerminating) {
			break
		}
		place := layout.At(what, v.offset(sector))
		if why := checkTag(d, tagFileSet, a.block); why != "" {
			return verdict.New(verdict.FilesystemInconsistent, place, "%s", why)
		}
		if next := longAt(d[448:]); next.bytes != 0 {
			return verdict.New(verdict.FilesystemUnsupported, place, "UDF with a chain of file set descriptors")
		}
		here := longAt(d[400:])
		if n > 0 && here != root {
			return verdict.New(verdict.FilesystemInconsistent, place, "it has another root folder than the descriptor before: systems would see different contents")
		}
		if root = here; n > 0 {
			continue
		}
		if _, err := v.claim(sector, 1); err != nil {
			return err
		}
		if streams := longAt(d[464:]); streams.bytes != 0 {
			v.pending = append(v.pending, folder{icb: streams.addr, streams: true, system: true, parent: -1})
		}
	}
	return v.openRoot(root)
}

func (v *volume) openRoot(root longAD) error {
	sector, _, why := v.locate(root.addr)
	if root.kind != recorded || root.bytes == 0 {
		why = "the file set does not say where it is"
	}
	if why != "" {
		return verdict.New(verdict.FilesystemInconsistent, layout.Folder(""), "%s", why)
	}
	if _, err := v.takeICB(sector); err != nil {
		return err
	}
	if int(root.ref) < len(v.parts) {
		v.readOnly = v.parts[root.ref].readOnly
	}
	v.pending = append([]folder{{icb: root.addr, parent: sector}}, v.pending...)
	return nil
}
