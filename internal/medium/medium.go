// Package medium is the closed vocabulary of what a removable medium can hold:
// partition tables, file systems, the types of what has a name, and the traits
// of files. Both sides of the confined reader use it, so that a word which is
// not in these lists is recognised as a lie. It parses nothing, decides nothing
// and imports nothing.
package medium

import "slices"

// tables are the words for a medium's partition table: the two that are read,
// and those that are only named.
var tables = []string{"none", "mbr", "gpt", "apm", "bsd", "sun", "sgi", "atari", "amiga"}

// fileSystems are those that are read.
var fileSystems = []string{"fat12", "fat16", "fat32", "exfat", "iso9660", "udf", "ext2", "ext3", "ext4", "ntfs"}

// KnownTable says whether word names a partition table.
func KnownTable(word string) bool { return slices.Contains(tables, word) }

// KnownFileSystem says whether word names a file system that is read.
func KnownFileSystem(word string) bool { return slices.Contains(fileSystems, word) }

// Type is what an entry of a file system is (POSIX.1-2024 section 3.141, with
// what NTFS adds). Only a [File] has content that is read, only a [Folder] is
// entered; every other type is listed by name and never followed.
type Type uint8

// The types. There is no other.
const (
	File Type = iota
	Folder
	// Symlink is a symbolic link, a junction or another reparse point that
	// leads elsewhere.
	Symlink
	// HardLink is a further name of a file that is listed under another one.
	HardLink
	CharDevice
	BlockDevice
	FIFO
	Socket
	// Stream is an alternate data stream (NTFS) or an extended attribute with
	// content of its own (UDF named streams).
	Stream
	// Other is everything that has a name and no type above.
	Other
	types // the number of types
)

// Valid says whether t is in the list.
func (t Type) Valid() bool { return t < types }

// String names the type with its article, as a sentence needs it.
func (t Type) String() string {
	if !t.Valid() {
		return "a thing of no known type"
	}
	return [types]string{
		"a file", "a folder", "a symbolic link", "a hard link", "a character device", "a block device",
		"a FIFO", "a socket", "an alternate data stream", "a special file",
	}[t]
}

// Word is the type as one word of a machine-readable listing.
func (t Type) Word() string {
	if !t.Valid() {
		return "unknown"
	}
	return [types]string{
		"file", "folder", "symlink", "hardlink", "chardevice", "blockdevice", "fifo", "socket", "stream", "other",
	}[t]
}

// Traits of a file's content, or-ed together.
type Traits uint8

const (
	// Sparse content has places that are not on the medium and read as zeros.
	Sparse Traits = 1 << iota
	// Compressed content is stored in another form; it is not read.
	Compressed
	// Encrypted content is not read.
	Encrypted
	allTraits = Sparse | Compressed | Encrypted
)

// Valid says whether all of t is in the list.
func (t Traits) Valid() bool { return t&^allTraits == 0 }

// Words lists the traits.
func (t Traits) Words() []string {
	var out []string
	for i, w := range []string{"sparse", "compressed", "encrypted"} {
		if t&(1<<i) != 0 {
			out = append(out, w)
		}
	}
	return out
}
