package udf

import (
	"fmt"
	"io"
	"strings"

	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// File characteristics of an identifier (ECMA-167 section 4/14.4.3).
const (
	isHidden   = 0x01
	isFolder   = 0x02
	isDeleted  = 0x04
	isParent   = 0x08
	isMetadata = 0x10

	idBytes = 38 // of a file identifier without its texts

	// ownFile holds the blocks that a rewritable disc cannot use (UDF 1.50
	// section 2.3.13). It has no bytes and belongs to the file system.
	ownFile = "Non-Allocatable Space"
)

// identifiers goes through the file identifiers of a folder, which stand without
// gaps and across blocks.
type identifiers struct {
	v       *volume
	what    string
	extents []layout.Extent
	buf     []byte
	pos     int
	done    int // of the extents
	ends    []mark
}

// mark says that the bytes of buf from pos on come from another place.
type mark struct {
	pos int
	off int64
}

// reset starts over with the folder whose extents are in v.extents.
func (r *identifiers) reset(v *volume, what string) error {
	if more := len(v.extents) - cap(r.extents); more > 0 {
		if err := v.w.Memory(what, int64(more)*extentBytes); err != nil {
			return err
		}
		r.extents = make([]layout.Extent, 0, len(v.extents))
	}
	if r.buf == nil {
		r.buf = make([]byte, 0, 64<<10)
	}
	r.v, r.what, r.extents = v, what, append(r.extents[:0], v.extents...)
	r.buf, r.pos, r.done, r.ends = r.buf[:0], 0, 0, r.ends[:0]
	return nil
}

// need makes sure that n bytes, no more than a block, are at hand, or says that
// there are fewer.
func (r *identifiers) need(n int) (bool, error) {
	for len(r.buf)-r.pos < n {
		if r.done == len(r.extents) {
			return false, nil
		}
		if r.pos > 0 {
			r.shift()
		}
		x := &r.extents[r.done]
		have := len(r.buf)
		take := int(min(x.Len, int64(cap(r.buf)-have)))
		r.buf = r.buf[:have+take]
		if err := r.v.readAt(r.buf[have:], x.Off, r.what); err != nil {
			return false, err
		}
		r.ends = append(r.ends, mark{have, x.Off})
		if x.Off, x.Len = x.Off+int64(take), x.Len-int64(take); x.Len == 0 {
			r.done++
		}
	}
	return true, nil
}

// shift drops what was used from the buffer.
func (r *identifiers) shift() {
	off := r.offset()
	kept := r.ends[:0]
	for _, m := range r.ends {
		if m.pos > r.pos {
			kept = append(kept, mark{m.pos - r.pos, m.off})
		}
	}
	n := copy(r.buf, r.buf[r.pos:])
	r.buf, r.pos = r.buf[:n], 0
	if r.ends = kept; n > 0 {
		r.ends = append([]mark{{0, off}}, kept...)
	}
}

// offset returns where the byte at pos is on the medium.
func (r *identifiers) offset() (off int64) {
	for _, m := range r.ends {
		if m.pos <= r.pos {
			off = m.off + int64(r.pos-m.pos)
		}
	}
	return off
}

// next returns the next identifier, valid until the next call, and its offset.
// The error is io.EOF behind the last one; why says that the folder cannot be
// read on.
func (r *identifiers) next() (d []byte, off int64, why string, err error) {
	if ok, err := r.need(1); err != nil || !ok {
		return nil, 0, "", orEOF(err)
	}
	off = r.offset()
	ok, err := r.need(idBytes)
	if err != nil {
		return nil, off, "", err
	}
	if !ok {
		return nil, off, fmt.Sprintf("it ends with %d bytes that are no file identifier", len(r.buf)-r.pos), nil
	}
	h := r.buf[r.pos:]
	size := (idBytes + int(h[19]) + int(le.Uint16(h[36:])) + 3) &^ 3
	if tagID(h) != tagFileID {
		return nil, off, fmt.Sprintf("there is a descriptor of type %d in place of a file identifier", tagID(h)), nil
	}
	if int64(size) > r.v.sector {
		return nil, off, fmt.Sprintf("a file identifier of %d bytes", size), nil
	}
	if ok, err = r.need(size); err != nil {
		return nil, off, "", err
	}
	if !ok {
		return nil, off, "its last file identifier is cut off", nil
	}
	d = r.buf[r.pos:][:size]
	r.pos += size
	return d, off, checkSum(d, tagFileID), nil
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// readFolder lists one folder and puts its folders on the list of those to
// read.
func (v *volume) readFolder(dir *folder) error {
	where := layout.Folder(dir.path)
	switch {
	case dir.system:
		where = "named streams of the volume"
	case dir.streams:
		where = "named streams of " + dir.path
	}
	n, err := v.openFolder(dir, where)
	if n == nil || err != nil {
		return err
	}
	self := n.sector
	if err := v.ids.reset(v, where); err != nil {
		return err
	}
	v.w.Names.Reset()
	parents := 0
	for {
		d, off, why, err := v.ids.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		place := layout.Place{What: where, Off: off}
		if why != "" {
			// Where the next one begins is not known for sure.
			return v.w.Inconsistent(place.String(), "%s", why)
		}
		switch flags := d[18]; {
		case flags&isParent != 0:
			parents++
			err = v.checkParent(dir, place, longAt(d[20:]))
		case flags&isDeleted != 0:
			err = v.deleted(dir, d)
		case dir.streams:
			err = v.addStream(dir, place, d)
		default:
			err = v.addChild(dir, place, d, self)
		}
		if err != nil {
			return err
		}
	}
	if parents != 1 && !dir.streams {
		if err := v.w.Inconsistent(where, "it has %d entries for the folder above it in place of one", parents); err != nil {
			return err
		}
	}
	if a, b, twice := v.w.Names.Twice(); twice {
		return v.w.Inconsistent(layout.At(where, a), "the entries there and at byte %d have the same name", b)
	}
	return nil
}

// openFolder puts the extents of a folder into v.extents; nil when that is not
// possible, which is written down then.
func (v *volume) openFolder(dir *folder, where string) (*node, error) {
	n, f, err := v.readICB(dir.icb, where)
	if err != nil {
		return nil, err
	}
	if f == nil && dir.streams {
		fresh, err := v.takeICB(n.sector)
		if err != nil {
			return nil, err
		}
		if !fresh {
			f = inconsistent(n.where, "its block belongs to something else as well")
		}
	}
	want := uint8(typeFolder)
	if dir.streams {
		want = typeStreams
	}
	if f == nil && n.fileType != want {
		f = inconsistent(n.where, "its file entry is of type %d and not %d", n.fileType, want)
	}
	if f == nil {
		f, err = v.content(n, true)
	}
	if f == nil && err == nil && v.zeros {
		f = inconsistent(n.where, "parts of the folder are not recorded")
	}
	if f == nil || err != nil {
		return n, err
	}
	return nil, v.problemOnce(f)
}

// problemOnce writes a problem down that may be the volume's last one already.
func (v *volume) problemOnce(f *verdict.Finding) error {
	if p := v.w.Vol.Problems; len(p) > 0 && p[len(p)-1] == *f {
		return nil
	}
	return v.w.Problem(f)
}

func (v *volume) checkParent(dir *folder, place layout.Place, to longAD) error {
	sector, _, why := v.locate(to.addr)
	if dir.parent < 0 || why == "" && sector == dir.parent {
		return nil
	}
	if why == "" {
		why = fmt.Sprintf("it leads to byte %d and should lead to byte %d", v.offset(sector), v.offset(dir.parent))
	}
	return v.w.Inconsistent(place.String(), "the entry for the folder above is wrong: %s", why)
}

// readName puts the name of an identifier into v.name and says whether it can be
// used.
func (v *volume) readName(d []byte) bool {
	start := idBytes + int(le.Uint16(d[36:]))
	var known, fit bool
	v.units, known = appendUnits(v.units[:0], d[start:start+int(d[19])])
	v.name, fit = layout.AppendName(v.name[:0], v.units)
	return known && fit
}

func (v *volume) deleted(dir *folder, d []byte) error {
	if dir.streams {
		return nil
	}
	v.readName(d)
	return v.w.Deleted(dir.path, v.name)
}

// addChild lists what an identifier of a folder points at.
func (v *volume) addChild(dir *folder, place layout.Place, d []byte, self int64) error {
	var e layout.Entry
	if !v.readName(d) {
		e.Problem = inconsistent(place, "the name has characters that cannot be shown or may not be used")
	}
	v.w.Names.Add(v.w.Names.Hash(v.name), place.Off)
	n, fresh, f, err := v.readEntry(place, longAt(d[20:]))
	if err != nil {
		return err
	}
	folderBit := d[18]&isFolder != 0
	if f != nil || n.kind() == medium.Folder != folderBit {
		if f == nil {
			said := map[bool]string{true: "a folder", false: "a file"}
			f = inconsistent(place, "the entry says that it is %s and its file entry that it is %s", said[folderBit], said[!folderBit])
			folderBit = true
		}
		if folderBit { // what it holds is not known
			e.Type = medium.Folder
			if err := v.problemOnce(f); err != nil {
				return err
			}
		} else if e.Problem == nil {
			e.Problem = f
		}
		_, err = v.w.Add(dir.path, v.name, e)
		return err
	}
	e.Type, e.Modified = n.kind(), n.modified
	switch {
	case e.Type == medium.Folder && !fresh:
		return v.w.Inconsistent(place.String(), "the folder it names is in another place already: it would be listed twice or for ever")
	case !fresh:
		if e.Type, e.Size = medium.HardLink, n.size; v.plainExtents(n) {
			e.Extents = v.extents
		}
	case e.Type == medium.File:
		if err := v.readFile(n, &e); err != nil {
			return err
		}
	}
	if dir.path == "" && d[18]&isHidden != 0 && e.Type == medium.File && n.size == 0 && string(v.name) == ownFile {
		return nil
	}
	if n.links == 0 && e.Type != medium.Folder && e.Problem == nil {
		e.Problem = inconsistent(place, "its file entry counts no name at all: the file was deleted")
	}
	icb, streams := n.addr, n.streams
	sector := n.sector
	path, err := v.w.Add(dir.path, v.name, e)
	if err != nil {
		return err
	}
	if e.Type == medium.Folder {
		v.pending = append(v.pending, folder{path: path, icb: icb, parent: self})
	}
	if streams.bytes != 0 && fresh {
		if err := v.w.Memory("named streams", 64); err != nil {
			return err
		}
		v.pending = append(v.pending, folder{path: path, icb: streams.addr, parent: sector, streams: true})
	}
	return nil
}

// readEntry reads and claims the file entry that an identifier points at; fresh
// says that it was not listed before.
func (v *volume) readEntry(place layout.Place, to longAD) (n *node, fresh bool, f *verdict.Finding, err error) {
	if to.bytes == 0 || to.kind != recorded {
		return nil, false, inconsistent(place, "it points at no file entry"), nil
	}
	n, f, err = v.readICB(to.addr, place.What)
	if f != nil || err != nil {
		return nil, false, f, err
	}
	// Findings about it name the entry of the folder.
	n.where = place
	listed, err := v.icbs.Claim(uint32(n.sector))
	if err != nil {
		return nil, false, nil, verdict.New(verdict.OverLimit, place.What, "%s", err.Error())
	}
	if !listed {
		return n, false, nil, nil
	}
	taken, err := v.claim(n.sector, 1)
	if taken >= 0 && err == nil {
		_, err = v.shared(n, taken)
	}
	return n, true, nil, err
}

// readFile puts size and extents of a file into e.
func (v *volume) readFile(n *node, e *layout.Entry) error {
	e.Size = n.size
	if sector := v.firstSector(n); sector >= 0 && v.readOnly {
		taken, err := v.claim(sector, 1)
		if err != nil {
			return err
		}
		if taken < 0 {
			v.mine = sector
		} else if same, err := v.sameFile(n, sector); same || err != nil {
			e.Type, e.Extents = medium.HardLink, v.extents
			return err
		}
	}
	f, err := v.content(n, true)
	if err != nil {
		return err
	}
	if e.Extents = v.extents; v.zeros {
		e.Traits |= medium.Sparse
	}
	if e.Problem == nil {
		e.Problem = f
	}
	return nil
}

// addStream lists a named stream (UDF 2.60 section 3.3.5). Those of the volume
// that are marked as metadata are its own.
func (v *volume) addStream(dir *folder, place layout.Place, d []byte) error {
	if dir.system && d[18]&isMetadata != 0 {
		return nil
	}
	e := layout.Entry{Type: medium.Stream}
	if !v.readName(d) {
		e.Problem = inconsistent(place, "the name has characters that cannot be shown or may not be used")
	}
	v.w.Names.Add(v.w.Names.Hash(v.name), place.Off)
	n, fresh, f, err := v.readEntry(place, longAt(d[20:]))
	switch {
	case err != nil:
		return err
	case f == nil && !fresh:
		f = inconsistent(place, "its file entry belongs to something else as well")
	case f == nil:
		e.Modified, e.Size = n.modified, n.size
		f, err = v.content(n, true)
	}
	if err != nil {
		return err
	}
	if e.Problem == nil {
		e.Problem = f
	}
	parent, file := "", dir.path
	if i := strings.LastIndexByte(file, '/'); i >= 0 {
		parent, file = file[:i], file[i+1:]
	}
	_, err = v.w.Add(parent, append([]byte(file+":"), v.name...), e)
	return err
}
