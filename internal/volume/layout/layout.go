// Package layout holds what the parsers of file systems share: the entries and
// extents they produce, the bounded reader they read structures with, the map
// of clusters that are already owned, the rules for names, and the budgets of
// one medium. It knows no file system. Everything that passes through it comes
// from an untrusted medium; a length is checked against a budget before memory
// is taken for it, and what cannot be read is a finding, never zeros.
package layout

import (
	"sallyport/internal/medium"
	"sallyport/internal/verdict"
)

// Zeros is the offset of an extent that is not on the device: its bytes are
// zeros by the file system's rule (exFAT and NTFS beyond the valid length, holes
// of sparse files).
const Zeros int64 = -1

// Extent is a run of bytes. Off is absolute on the device, or [Zeros].
type Extent struct {
	Off, Len int64
}

// Entry is what has a name: a file, a folder, or something that is neither and
// is only listed.
type Entry struct {
	// Path is '/'-separated valid UTF-8 without a leading slash. A name that
	// cannot be shown as recorded carries U+FFFD in the place of each bad
	// character, and then Problem is set.
	Path   string
	Type   medium.Type
	Traits medium.Traits
	// Size in bytes as recorded, of a file, a stream or a hard link; 0 for all
	// others.
	Size int64
	// Modified is the time as recorded, RFC 3339 without a zone, or "".
	Modified string
	// Extents of the content in file order. Their lengths sum to Size when
	// Problem is nil, and to no more than Size when it is not: then they are
	// the part before the damage. What is not a file has none.
	Extents []Extent
	// Problem says why the file cannot be used; nil when it can.
	Problem *verdict.Finding
}

// Volume is one partition, or a whole medium without a partition table.
type Volume struct {
	Index int
	// Offset and Size of the partition in bytes, as the table claims them. The
	// partition may reach beyond the device; then Problems says so.
	Offset, Size int64
	// FS is a word of package medium, or "" when Problems holds a
	// filesystem-unsupported that names what was recognised.
	FS        string
	Label, ID string
	Entries   []Entry
	// Deleted entries that the folders still show, and the paths of the first
	// limit.DeletedNames of them, as far as they can be told.
	Deleted      int64
	DeletedNames []string
	// Problems poison the whole volume: no file of it may be accepted.
	Problems []verdict.Finding
}
