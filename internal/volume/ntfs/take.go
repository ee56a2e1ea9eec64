package ntfs

import (
	"bytes"
	"fmt"

	"sallyport/internal/verdict"
)

// indexName is "$I30": the attributes of a folder's index have it.
var indexName = []byte("$\x00I\x003\x000\x00")

// take looks at one attribute of the file n, which stands in the record r.
func (v *volume) take(n *node, r *record, a *attribute) error {
	if !a.resident {
		switch a.kind {
		case attrStandard, attrFileName, attrVolumeName, attrVolumeInfo, attrIndexRoot:
			n.damaged(v, "its attribute of type %#x is in clusters; it has to be in the record", a.kind)
			return nil
		}
		return v.takeOutside(n, a)
	}
	if err := v.finish(n); err != nil || n.problem != nil {
		return err
	}
	if n.second(a) {
		n.damaged(v, "it has its attribute of type %#x twice", a.kind)
		return nil
	}
	switch a.kind {
	case attrStandard:
		if len(a.value) < 48 {
			n.damaged(v, "its standard information has %d bytes", len(a.value))
			return nil
		}
		n.modified, n.attrs, n.hasStandard = le.Uint64(a.value[8:]), le.Uint32(a.value[32:]), true
	case attrFileName:
		f, why := parseName(a.value)
		if why != "" {
			n.damaged(v, "%s", why)
			return nil
		}
		f.name = n.keep(f.name)
		n.names = append(n.names, f)
	case attrVolumeName:
		if r.number == recordVolume {
			v.label = append(v.label[:0], a.value...)
		}
	case attrVolumeInfo:
		if r.number == recordVolume && len(a.value) >= 12 {
			v.major, v.minor = a.value[8], a.value[9]
		}
	case attrIndexRoot:
		if bytes.Equal(a.name, indexName) {
			n.root, n.hasRoot = append(n.root[:0], a.value...), true
			n.rootAt = r.number*v.record + int64(a.at)
		}
	case attrReparse:
		if len(a.value) < 8 {
			n.damaged(v, "its reparse point has %d bytes", len(a.value))
			return nil
		}
		n.reparse, n.tag = true, le.Uint32(a.value)
	case attrBitmap:
		if !ofIndex(a) {
			return nil // $Secure has one for each of its own indexes
		}
		n.inBitmap, n.hasBitmap = append(n.inBitmap[:0], a.value...), true
	case attrData:
		return v.takeInside(n, r, a)
	}
	return nil
}

// second says whether n had an attribute already of which there is only one.
func (n *node) second(a *attribute) bool {
	switch a.kind {
	case attrStandard:
		return n.hasStandard
	case attrIndexRoot:
		return n.hasRoot && bytes.Equal(a.name, indexName)
	case attrReparse:
		return n.reparse
	case attrBitmap:
		return ofIndex(a) && (n.hasBitmap || n.bitmap.kind != 0)
	}
	return false
}

// ofIndex says whether a bitmap is that of a folder's index, or of the master
// file table.
func ofIndex(a *attribute) bool { return len(a.name) == 0 || bytes.Equal(a.name, indexName) }

// takeInside takes data that is in the record.
func (v *volume) takeInside(n *node, r *record, a *attribute) error {
	if len(a.name) > 0 {
		n.streams = append(n.streams, altStream{name: n.keep(a.name), size: int64(len(a.value))})
		return nil
	}
	if n.hasData {
		n.damaged(v, "it has its content twice")
		return nil
	}
	c := &n.data
	n.hasData = true
	c.kind, c.flags, c.inside = a.kind, a.flags, true
	c.size = int64(len(a.value))
	c.initialised, c.allocated = c.size, c.size
	copy(c.head[:], a.value)
	if c.encrypted() {
		return nil
	}
	return v.inRecord(c, r, a.at, len(a.value))
}

// takeOutside takes a piece of a value that is in clusters.
func (v *volume) takeOutside(n *node, a *attribute) error {
	c := n.current
	switch {
	case a.lowest == 0:
		if err := v.finish(n); err != nil || n.problem != nil {
			return err
		}
		if c = n.begin(a); c == nil {
			what := "content"
			if a.kind != attrData {
				what = fmt.Sprintf("attribute of type %#x", a.kind)
			}
			n.damaged(v, "it has its %s twice", what)
			return nil
		}
		n.current = c
		if c.flags&flagCompressed > 1 {
			c.problem = verdict.New(verdict.FilesystemUnsupported, v.recordAt(n.rec.number), "compressed by method %d, which no version of NTFS has", c.flags&flagCompressed)
		}
	case c == nil || c.kind != a.kind || !bytes.Equal(c.name, a.name) || c.next != a.lowest:
		n.damaged(v, "clusters of its attribute of type %#x before number %d are missing", a.kind, a.lowest)
		return nil
	}
	why, err := v.pieces(c, a)
	if err != nil {
		return err
	}
	if why != "" {
		n.damagedContent(v, c, why)
	}
	c.next = a.highest + 1
	if v.booting && c == &n.data {
		v.setMFT(c)
	}
	return nil
}

// damagedContent costs a stream alone, or the file.
func (n *node) damagedContent(v *volume, c *content, why string) {
	if c.problem == nil {
		c.problem = verdict.New(verdict.FilesystemInconsistent, v.recordAt(n.rec.number), "%s", why)
	}
	if n.problem == nil && !(c.kind == attrData && len(c.name) > 0) {
		n.problem = c.problem
	}
}

// begin chooses where the clusters of a value are gathered; nil means that the
// place is taken.
func (n *node) begin(a *attribute) *content {
	c := &n.other
	switch {
	case a.kind == attrData && len(a.name) == 0:
		if n.hasData {
			return nil
		}
		c, n.hasData = &n.data, true
	case a.kind == attrIndexBlocks && bytes.Equal(a.name, indexName):
		c = &n.blocks
	case a.kind == attrBitmap && ofIndex(a):
		if n.hasBitmap {
			return nil
		}
		c = &n.bitmap
	}
	if c != &n.other && c != &n.data && c.kind != 0 {
		return nil
	}
	*c = content{
		kind: a.kind, name: n.keep(a.name), flags: a.flags, ext: c.ext[:0],
		size: a.size, initialised: a.initialised, allocated: a.allocated,
	}
	return c
}

// finish closes the value that was gathered last.
func (v *volume) finish(n *node) error {
	c := n.current
	if n.current = nil; c == nil {
		return nil
	}
	switch {
	case c.problem != nil:
	case c.next*v.cluster != c.allocated:
		n.damagedContent(v, c, fmt.Sprintf("its %d clusters do not make the %d bytes that it claims to take", c.next, c.allocated))
	case c.holes && c.flags&(flagSparse|flagCompressed) == 0 && n.rec.number != recordBadClusters:
		n.damagedContent(v, c, "it has holes and is not marked as sparse")
	}
	switch {
	case c.kind == attrData && len(c.name) > 0:
		n.streams = append(n.streams, altStream{name: c.name, size: c.size, flags: c.flags, problem: c.problem})
		return nil
	case c.problem != nil || c.compressed() || c.encrypted():
		return nil
	case c.kind == attrReparse:
		return v.outsideTag(n, c)
	}
	return v.cut(c)
}

// outsideTag reads the tag of a reparse point that is too large for the record.
func (v *volume) outsideTag(n *node, c *content) error {
	if c.initialised < 8 || c.holes || len(c.ext) == 0 {
		n.damaged(v, "its reparse point has %d bytes", c.initialised)
		return nil
	}
	p := make([]byte, 8)
	if err := v.w.Dev.Read(p, c.ext[0].Off, "reparse point"); err != nil {
		return err
	}
	n.reparse, n.tag = true, le.Uint32(p)
	return nil
}

const nameHeadBytes = 66

// parseName reads the value of a name attribute, which is also the key of an
// index entry (FILE_NAME_ATTR in layout.h). The name points into p.
func parseName(p []byte) (f fileName, why string) {
	if len(p) < nameHeadBytes {
		return f, fmt.Sprintf("a name attribute of %d bytes", len(p))
	}
	n := 2 * int(p[64])
	switch {
	case n == 0 || nameHeadBytes+n != len(p):
		return f, fmt.Sprintf("a name of %d characters in an attribute of %d bytes", n/2, len(p))
	case p[65] > spaceBoth:
		return f, fmt.Sprintf("a name of the namespace %d, which nobody knows", p[65])
	}
	return fileName{parent: ref(le.Uint64(p)), space: p[65], name: p[nameHeadBytes:]}, ""
}
