package ext

import (
	"sallyport/internal/volume/layout"
)

// Deleting an entry makes the record before it longer, or sets its inode to 0
// where it is the first of its block (directory.rst). Linux wipes the rest since
// 5.13; older ones and other systems leave it.

// leftEntry notes a record without an inode that still has a name.
func (v *volume) leftEntry(d *reading, name []byte) error {
	if len(name) == 0 || !v.plausible(name) {
		return nil
	}
	return v.w.Deleted(d.path, v.name)
}

// leftovers looks for deleted entries in the room behind a record. What looks
// like one and leads to an inode in use is not counted: splitting the blocks of
// a folder leaves copies of entries that are still there.
func (v *volume) leftovers(d *reading, room []byte) error {
	types := v.incompat&incompatFileType != 0
	for len(room) >= minEntry {
		ino, size, nameLen, kind := le.Uint32(room), v.recordBytes(le.Uint16(room[4:])), int(room[6]), room[7]
		need := (entryHead + nameLen + 3) &^ 3
		if !v.nameable(ino) || nameLen == 0 || size < need || size%4 != 0 || size > len(room) ||
			types && (kind == 0 || kind > 7) || !types && kind != 0 || !v.plausible(room[entryHead:][:nameLen]) {
			room = room[4:]
			continue
		}
		used, err := v.inUse(ino)
		if err != nil {
			return err
		}
		if !used {
			if err := v.w.Deleted(d.path, v.name); err != nil {
				return err
			}
		}
		room = room[need:]
	}
	return nil
}

// plausible says whether bytes may have been a name, which v.name then is.
func (v *volume) plausible(name []byte) bool {
	text, good := layout.AppendText(v.name[:0], name)
	v.name = text
	return good
}
