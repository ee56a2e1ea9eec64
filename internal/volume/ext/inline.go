package ext

import "sallyport/internal/medium"

// Data inside the inode (inlinedata.rst): the first 60 bytes stand in the place
// of the block map, more of them in the extended attribute "system.data", which
// must be in the inode as well. Linux takes the 60 bytes for data only where that
// attribute is, empty or not, and for a map of blocks where it is not.
const (
	xattrMagic      = 0xEA020000
	xattrEntryBytes = 16
	xattrSystem     = 7
	xattrData       = "data"
)

// findInline finds the second part of an inode's data; attributes begin at
// byte from of the inode.
func (v *volume) findInline(n *inode, raw []byte, from int64) {
	if int64(len(raw)) < from+4 || le.Uint32(raw[from:]) != xattrMagic {
		return
	}
	area := raw[from+4:]
	// Entries take at least 16 bytes each, so that the loop ends with the area.
	for e := area; len(e) >= xattrEntryBytes && le.Uint32(e) != 0; {
		name, at, size := int(e[0]), int(le.Uint16(e[2:])), int64(le.Uint32(e[8:]))
		if xattrEntryBytes+name > len(e) {
			return
		}
		if e[1] == xattrSystem && string(e[xattrEntryBytes:][:name]) == xattrData {
			if le.Uint32(e[4:]) == 0 && at <= len(area) && size <= int64(len(area)-at) {
				n.inlineAt, n.inlineBytes = uint16(from+4+int64(at)), uint16(size)
			}
			return
		}
		step := (xattrEntryBytes + name + 3) &^ 3
		if step > len(e) {
			return
		}
		e = e[step:]
	}
}

// inline puts the parts of an inode's data into the mapping, or says why there
// are none.
func (v *volume) inline(n *inode) string {
	if v.incompat&incompatInlineData == 0 {
		return "it is marked as having its data inside, which this file system does not have"
	}
	if n.inlineAt == 0 {
		return "its data are said to be inside the inode, and the attribute that goes with them is missing: systems would read different contents"
	}
	if n.size > bodyBytes+int64(n.inlineBytes) {
		return "its data are said to be inside the inode, which has no room for them"
	}
	if kind, _ := n.kind(); kind != medium.File && kind != medium.Folder && kind != medium.Symlink {
		return "it has data inside although it is no file"
	}
	if first := min(n.size, bodyBytes); first > 0 {
		v.mapping.extents = append(v.mapping.extents, extentAt(n.off+atBody, first))
	}
	if rest := n.size - bodyBytes; rest > 0 {
		v.mapping.extents = append(v.mapping.extents, extentAt(n.off+int64(n.inlineAt), rest))
	}
	return ""
}
