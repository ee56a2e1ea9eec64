package exfat

import (
	"fmt"
	"io"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// Types of folder entries (sections 6.2 and 7).
const (
	endRecord   = 0x00
	inUse       = 0x80
	secondary   = 0x40
	benign      = 0x20
	bitmapEntry = 0x81
	upcaseEntry = 0x82
	labelEntry  = 0x83
	fileEntry   = 0x85
	streamEntry = 0xC0
	nameEntry   = 0xC1

	// A deletion clears the bit "in use" of each entry of a set.
	deletedFile   = fileEntry &^ inUse
	deletedStream = streamEntry &^ inUse
	deletedName   = nameEntry &^ inUse

	attrFolder = 0x10
	noChain    = 0x02 // of a stream's flags
	allocated  = 0x01

	nameUnits = 15
)

// readFolder lists one folder and puts its folders on the list of those to
// read. The clusters of the root are in v.heap.Chain already.
func (v *volume) readFolder(dir *folder) error {
	path := dir.path
	where := layout.Folder(path)
	if path != "" {
		f, err := v.follow(dir.first, dir.size, dir.plain, layout.Place{What: where, Off: -1})
		if err != nil {
			return err
		}
		if f != nil {
			if err := v.w.Problem(f); err != nil {
				return err
			}
		}
	}
	if err := v.w.Recs.Reset(v.w, where, v.heap.Chain); err != nil {
		return err
	}
	v.w.Names.Reset()
	ended, told := false, false
	broken := false // the set at hand cannot be read, and that is written down
	for {
		rec, off, err := v.w.Recs.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		kind := rec[0]
		broken = broken && kind&(inUse|secondary) == inUse|secondary
		switch {
		case ended:
			if kind&inUse != 0 && !told {
				told = true
				err = v.w.Inconsistent(layout.At(where, off), "there is an entry behind the end of the folder")
			}
		case kind == endRecord:
			ended = true
		case kind == deletedFile:
			err = v.deletedSet(path, rec)
		case kind&inUse == 0: // another deleted entry
		case kind == fileEntry:
			broken, err = v.fileSet(path, where, rec, off)
		case kind == bitmapEntry || kind == upcaseEntry || kind == labelEntry:
			if path != "" {
				err = v.w.Inconsistent(layout.At(where, off), "it has an entry that only the root folder may have")
			}
		case kind&secondary != 0:
			// Those of a file were read with it; benign ones may follow a
			// benign primary.
			if kind&benign == 0 && !broken {
				err = v.w.Inconsistent(layout.At(where, off), "an entry of type %#02x belongs to no file", kind)
			}
		case kind&benign == 0:
			err = v.w.Inconsistent(layout.At(where, off), "nobody knows the critical entry of type %#02x", kind)
		}
		if err != nil {
			return err
		}
	}
	if a, b, twice := v.w.Names.Twice(); twice {
		return v.w.Inconsistent(layout.At(where, a), "the entries there and at byte %d have the same name", b)
	}
	return nil
}

// fileSet reads the secondary entries of a file entry and lists the file, or
// notes that the set is broken.
func (v *volume) fileSet(dir, where string, rec []byte, off int64) (broken bool, err error) {
	place := layout.Place{What: where, Off: off}
	why, err := v.readSet(rec)
	if err != nil {
		return false, err
	}
	if why != "" {
		return true, v.w.Inconsistent(place.String(), "%s", why)
	}
	stream := v.set[layout.RecordBytes:][:layout.RecordBytes]
	var good bool
	v.name, good = layout.AppendName(v.name[:0], v.units)
	if err := v.checkHash(stream, place); err != nil {
		return false, err
	}
	v.noteName(off)
	extra := 0
	if v.set[21] >= 100 {
		extra = 1
	}
	e := layout.Entry{Modified: v.w.DOSTime(le.Uint16(v.set[14:]), le.Uint16(v.set[12:]), extra)}
	if le.Uint16(v.set[4:])&attrFolder != 0 {
		e.Type = medium.Folder
	}
	if !good {
		e.Problem = inconsistent(place, "the name has characters that cannot be shown or may not be used")
	}
	if e.Type == medium.Folder {
		return false, v.addFolder(dir, place, stream, e)
	}
	return false, v.addFile(dir, place, stream, e)
}

// deletedSet counts a file entry that was deleted and takes its name out of the
// deleted entries behind it, if they are all still there.
func (v *volume) deletedSet(dir string, rec []byte) error {
	count, length := int(rec[1]), 0
	v.units = v.units[:0]
	for n := 0; n < count && (n == 0 || len(v.units) < length); n++ {
		rec, _, err := v.w.Recs.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case n == 0 && rec[0] == deletedStream:
			length = int(rec[3])
		case n > 0 && rec[0] == deletedName:
			v.addUnits(rec, length)
		default:
			v.w.Recs.Back()
			count = 0
		}
	}
	v.name = v.name[:0]
	if length > 0 && len(v.units) == length {
		v.name, _ = layout.AppendName(v.name, v.units)
	}
	return v.w.Deleted(dir, v.name)
}

// addUnits appends what a name entry holds of a name of length units.
func (v *volume) addUnits(rec []byte, length int) {
	for i := 0; i < nameUnits && len(v.units) < length; i++ {
		v.units = append(v.units, le.Uint16(rec[2+2*i:]))
	}
}

// readSet collects the entries of a set in v.set and its name in v.units; why
// says what is wrong with it.
func (v *volume) readSet(rec []byte) (why string, err error) {
	v.set = append(v.set[:0], rec...)
	count := int(rec[1])
	if count < 2 || count > 18 {
		return fmt.Sprintf("an entry set with %d secondary entries", count), nil
	}
	for n := range count {
		rec, _, err := v.w.Recs.Next()
		if err == nil && rec[0]&(inUse|secondary) != inUse|secondary {
			v.w.Recs.Back()
			err = io.EOF
		}
		if err == io.EOF {
			return fmt.Sprintf("the entry set ends after %d of %d secondary entries", n, count), nil
		}
		if err != nil {
			return "", err
		}
		v.set = append(v.set, rec...)
	}
	if got, want := setChecksum(v.set), le.Uint16(v.set[2:]); got != want {
		return fmt.Sprintf("the checksum of the entry set is %04x and should be %04x", got, want), nil
	}
	return v.readName(), nil
}

// readName collects the name from the entries behind the stream entry.
func (v *volume) readName() (why string) {
	stream := v.set[layout.RecordBytes:]
	length := int(stream[3])
	rest := v.set[2*layout.RecordBytes:]
	names := (length + nameUnits - 1) / nameUnits
	switch {
	case stream[0] != streamEntry:
		return "the entry set has no stream entry"
	case length == 0 || names > len(rest)/layout.RecordBytes:
		return "the entry set has no room for its name"
	}
	v.units = v.units[:0]
	for ; len(rest) > 0; rest = rest[layout.RecordBytes:] {
		switch {
		case names > 0:
			if rest[0] != nameEntry {
				return "a part of the name is missing in the entry set"
			}
			v.addUnits(rest, length)
			names--
		case rest[0]&benign == 0:
			return "the entry set has a critical entry too many"
		}
	}
	return ""
}

func (v *volume) addFile(dir string, place layout.Place, stream []byte, e layout.Entry) error {
	size, valid := le.Uint64(stream[24:]), le.Uint64(stream[8:])
	first, flags := le.Uint32(stream[20:]), stream[1]
	if size > 1<<62 {
		return v.w.Inconsistent(place.String(), "a file of %d bytes", size)
	}
	e.Size = int64(size)
	f, err := v.follow(first, e.Size, flags&noChain != 0, place)
	if err != nil {
		return err
	}
	switch {
	case f == nil && valid > size:
		f = inconsistent(place, "%d bytes are valid of a file of %d", valid, size)
	case f == nil && size > 0 && flags&allocated == 0:
		f = inconsistent(place, "a file of %d bytes is marked as having no clusters", size)
	case f == nil:
		v.zeros(int64(valid), e.Size)
	}
	if e.Extents = v.heap.Chain; f != nil && e.Problem == nil {
		e.Problem = f
	}
	_, err = v.w.Add(dir, v.name, e)
	return err
}

// zeros replaces the bytes from valid to size in v.heap.Chain.
func (v *volume) zeros(valid, size int64) {
	if valid >= size {
		return
	}
	v.heap.Trim(valid)
	v.heap.Chain = append(v.heap.Chain, layout.Extent{Off: layout.Zeros, Len: size - valid})
}

func (v *volume) addFolder(dir string, place layout.Place, stream []byte, e layout.Entry) error {
	size, valid := le.Uint64(stream[24:]), le.Uint64(stream[8:])
	if size == 0 || size > maxFolderBytes || size%uint64(v.heap.Bytes) != 0 || valid != size {
		return v.w.Problem(verdict.New(verdict.FilesystemInconsistent, place.String(), "a folder of %d bytes, of which %d are valid", size, valid))
	}
	path, err := v.w.Add(dir, v.name, e)
	if err != nil {
		return err
	}
	v.pending = append(v.pending, folder{path, le.Uint32(stream[20:]), int64(size), stream[1]&noChain != 0})
	return nil
}

// setChecksum is that of section 6.3.3, which leaves out its own two bytes.
func setChecksum(set []byte) (sum uint16) {
	for _, part := range [][]byte{set[:2], set[4:]} {
		for _, c := range part {
			sum = (sum<<15 | sum>>1) + uint16(c)
		}
	}
	return sum
}
