package ext

import (
	"bytes"

	"sallyport/internal/volume/layout"
)

// Deleting an entry makes the record before it longer, or sets its inode to 0
// where it is the first of its block (directory.rst). Linux wipes the rest since
// 5.13; older ones and other systems leave it.

// leftEntry notes a record without an inode that still has a name.
func (v *volume) leftEntry(d *reading, name []byte) error {
	if len(name) == 0 || !plausible(name) {
		return nil
	}
	return v.deleted(d, name)
}

// leftovers looks for deleted entries in the room behind a record. What looks
// like one and leads to an inode in use is not counted: splitting the blocks of
// a folder leaves copies of entries that are still there.
func (v *volume) leftovers(d *reading, room []byte) error {
	for len(room) >= minEntry {
		size, nameLen := v.recordBytes(le.Uint16(room[4:])), int(room[6])
		ino, end := le.Uint32(room), entryHead+nameLen
		if v.incompat&incompatFileType == 0 && room[7] != 0 || !v.nameable(ino) || room[7] > 7 || nameLen == 0 ||
			end > len(room) || size < (end+3)&^3 || size%4 != 0 || !plausible(room[entryHead:end]) {
			room = room[4:]
			continue
		}
		used, err := v.inUse(ino)
		if err != nil {
			return err
		}
		if !used {
			if err := v.deleted(d, room[entryHead:end]); err != nil {
				return err
			}
		}
		room = room[(end+3)&^3:]
	}
	return nil
}

// plausible says whether bytes may have been a name.
func plausible(name []byte) bool {
	return bytes.IndexByte(name, 0) < 0 && bytes.IndexByte(name, '/') < 0
}

func (v *volume) deleted(d *reading, name []byte) error {
	text, good := layout.AppendText(v.name[:0], name)
	v.name = text
	if !good {
		text = nil
	}
	return v.w.Deleted(d.path, text)
}
