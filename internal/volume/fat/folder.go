package fat

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// Attributes and marks of a folder record (FAT specification section 6).
const (
	attrVolume = 0x08
	attrFolder = 0x10
	attrMask   = 0x3F

	endRecord     = 0x00
	deletedRecord = 0xE5
	kanjiE5       = 0x05 // stands for 0xE5 as the first byte of a name

	lowerBase = 0x08
	lowerExt  = 0x10
)

var (
	dotName    = []byte(".          ")
	dotDotName = []byte("..         ")
)

// record is one that is neither free nor a part of a long name.
type record struct {
	rec []byte
	off int64
	dir *folder
	// where is layout.Folder of dir
	where string
	n     int // number of the record in its folder
}

func (r record) attr() byte          { return r.rec[11] & attrMask }
func (r record) size() int64         { return int64(le.Uint32(r.rec[28:])) }
func (r record) place() layout.Place { return layout.Place{What: r.where, Off: r.off} }

func (v *volume) firstCluster(rec []byte) uint32 {
	n := uint32(le.Uint16(rec[26:]))
	if v.bits == 32 {
		n |= uint32(le.Uint16(rec[20:])) << 16
	}
	return n
}

// readFolder lists one folder and puts its folders on the list of those to read.
func (v *volume) readFolder(dir folder) error {
	where := layout.Folder(dir.path)
	if dir.path == "" && v.bits != 32 {
		v.heap.Chain = append(v.heap.Chain[:0], layout.Extent{Off: v.rootOff, Len: v.rootBytes})
	} else if err := v.folder(dir.first, layout.Place{What: where, Off: -1}); err != nil {
		return err
	}
	if err := v.w.Recs.Reset(v.w, where, v.heap.Chain); err != nil {
		return err
	}
	v.w.Names.Reset()
	v.long.reset()
	v.gone.reset()
	ended, told := false, false
	for n := 0; ; n++ {
		rec, off, err := v.w.Recs.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case ended:
			// Windows stops at the end mark and Linux does not.
			if rec[0] != endRecord && rec[0] != deletedRecord && !told {
				told = true
				err = v.w.Inconsistent(layout.At(where, off), "there is an entry behind the end mark: some systems show it and others do not")
			}
		case n < 2 && dir.path != "": // one that is deleted or unused as well
			ended = rec[0] == endRecord
			err = v.dot(record{rec, off, &dir, where, n})
		case rec[0] == endRecord:
			ended = true
			err = v.orphan(where, off)
		case rec[0] == deletedRecord:
			if err = v.orphan(where, off); err == nil {
				err = v.deleted(dir.path, rec)
			}
		case rec[11]&attrMask == attrLong:
			v.gone.reset()
			v.long.add(rec)
		default:
			v.gone.reset()
			err = v.short(record{rec, off, &dir, where, n})
		}
		if err != nil {
			return err
		}
	}
	if err := v.orphan(where, 0); err != nil {
		return err
	}
	if a, b, twice := v.w.Names.Twice(); twice {
		return v.w.Inconsistent(layout.At(where, a), "the entries there and at byte %d have the same name", b)
	}
	return nil
}

// deleted takes a record of which a deletion has overwritten the first byte.
func (v *volume) deleted(dir string, rec []byte) error {
	attr := rec[11] & attrMask
	if attr == attrLong {
		v.gone.add(rec)
		return nil
	}
	units := v.gone.take(rec)
	switch {
	case attr&attrVolume != 0: // a label was no file
		return nil
	case units != nil:
		v.name, _ = layout.AppendName(v.name[:0], units)
	default:
		v.name, _ = shortName(v.name[:0], rec)
	}
	return v.w.Deleted(dir, v.name)
}

// orphan notes parts of a long name that no file followed.
func (v *volume) orphan(where string, off int64) error {
	if !v.long.pending() {
		return nil
	}
	v.long.reset()
	if off != 0 {
		where = layout.At(where, off)
	}
	return v.w.Inconsistent(where, "a long name before this place belongs to no file")
}

// short takes the record of a file, a folder, a label or a dot.
func (v *volume) short(r record) error {
	switch {
	case bytes.Equal(r.rec[:11], dotName) || bytes.Equal(r.rec[:11], dotDotName):
		if err := v.orphan(r.where, r.off); err != nil {
			return err
		}
		return v.w.Inconsistent(r.place().String(), `an entry "." or ".." stands where none belongs`)
	case r.attr()&attrVolume != 0:
		return v.label(r)
	}
	units, why := v.long.take(r.rec)
	if why != "" {
		if err := v.w.Inconsistent(r.place().String(), "%s", why); err != nil {
			return err
		}
	}
	var good bool
	v.name, good = shortName(v.name[:0], r.rec)
	shortHash := v.w.Names.Hash(v.name)
	if !good { // code pages differ; the bytes as they stand do not
		shortHash = v.w.Names.Hash(r.rec[:11])
	}
	v.w.Names.Add(shortHash, r.off)
	if units != nil {
		v.name, good = layout.AppendName(v.name[:0], units)
		if h := v.w.Names.Hash(v.name); h != shortHash {
			v.w.Names.Add(h, r.off)
		}
	}
	e := layout.Entry{Modified: v.w.DOSTime(le.Uint16(r.rec[24:]), le.Uint16(r.rec[22:]), 0)}
	if r.attr()&attrFolder != 0 {
		e.Type = medium.Folder
	}
	if !good {
		e.Problem = inconsistent(r.place(), "the name has characters that cannot be shown or may not be used")
	}
	if e.Type == medium.Folder {
		return v.addFolder(r, e)
	}
	return v.addFile(r, e)
}

func (v *volume) addFile(r record, e layout.Entry) error {
	e.Size = r.size()
	f, err := v.file(v.firstCluster(r.rec), e.Size, r.place())
	if err != nil {
		return err
	}
	if e.Extents = v.heap.Chain; f != nil && e.Problem == nil {
		e.Problem = f
	}
	_, err = v.w.Add(r.dir.path, v.name, e)
	return err
}

func (v *volume) addFolder(r record, e layout.Entry) error {
	if r.size() != 0 {
		if err := v.w.Inconsistent(r.place().String(), "a folder has a size, %d bytes", r.size()); err != nil {
			return err
		}
	}
	path, err := v.w.Add(r.dir.path, v.name, e)
	if err != nil {
		return err
	}
	parent := r.dir.first
	if r.dir.path == "" {
		parent = 0
	}
	v.pending = append(v.pending, folder{path, v.firstCluster(r.rec), parent})
	return nil
}

// dot checks the two records that each folder but the root begins with.
func (v *volume) dot(r record) error {
	first := v.firstCluster(r.rec)
	switch {
	case r.n == 0 && (!bytes.Equal(r.rec[:11], dotName) || r.attr()&attrFolder == 0 || first != r.dir.first):
		return v.w.Inconsistent(r.place().String(), `the first entry is not a "." that points at the folder itself`)
	case r.n == 1 && (!bytes.Equal(r.rec[:11], dotDotName) || r.attr()&attrFolder == 0 || !v.isParent(first, r.dir)):
		return v.w.Inconsistent(r.place().String(), `the second entry is not a ".." that points at the folder above`)
	}
	return nil
}

// isParent accepts both ways in which systems write the root of a FAT32.
func (v *volume) isParent(first uint32, dir *folder) bool {
	return first == dir.parent || v.bits == 32 && dir.parent == 0 && first == v.rootCluster
}

// label takes the record of the volume's label, which only the root may have.
func (v *volume) label(r record) error {
	if err := v.orphan(r.where, r.off); err != nil {
		return err
	}
	if r.dir.path != "" || r.attr()&attrFolder != 0 {
		return v.w.Problem(verdict.New(verdict.FilesystemInconsistent, r.place().String(), "an entry is marked as the label of the volume where none belongs"))
	}
	v.w.Vol.Label = labelText(r.rec[:11])
	return nil
}

// shortName appends the 8.3 name in UTF-8, with the case that Windows NT and
// Linux keep in a reserved byte, and says whether it can be used.
func shortName(dst, rec []byte) ([]byte, bool) {
	start, ok := len(dst), true
	part := func(b []byte, lower bool) {
		for i, c := range b {
			if i == 0 && len(dst) == start && c == kanjiE5 {
				c = deletedRecord
			}
			if lower && 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			if !shortChar(c) && !(c == ' ' && i > 0) {
				dst, ok = utf8.AppendRune(dst, utf8.RuneError), false
				continue
			}
			dst = append(dst, c)
		}
	}
	base, ext := bytes.TrimRight(rec[:8], " "), bytes.TrimRight(rec[8:11], " ")
	part(base, rec[12]&lowerBase != 0)
	if len(base) == 0 {
		dst, ok = utf8.AppendRune(dst, utf8.RuneError), false
	}
	if len(ext) > 0 {
		dst = append(dst, '.')
		part(ext, rec[12]&lowerExt != 0)
	}
	return dst, ok
}

// shortChar says whether a byte other than a space may stand in a short name.
// Those from 0x80 may as well, but mean different characters on each system.
func shortChar(c byte) bool {
	return c > 0x20 && c < 0x7F && strings.IndexByte(`"*+,./:;<=>?[\]|`, c) < 0
}
