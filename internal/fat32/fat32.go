// Package fat32 makes new FAT32 file systems, each in one partition of a medium
// of its own: first the whole layout, from the list of files and their sizes,
// then the bytes. Files lie in one piece each, in the order in which they are
// given, so that the medium is written from front to back. Package volume, which
// reads foreign media inside the confined reader, shares no code with it.
//
// It opens nothing: a [Writer] works on a [Medium], which is an image or a
// device that its caller opened. What it reads from the medium it compares with
// what it wrote, and uses for nothing else. Its caller's list is trusted to be
// the caller's own; what a FAT32 cannot hold is refused before anything is
// written.
//
// A medium is never halfway valid: the first thing that happens to it is that
// its partition table and boot sector are erased ([Writer.Erase]), and the boot
// sector of the new file system is the last thing that is written
// ([Writer.Finish]). Whoever reads it in between finds no file system.
//
// The formats are those of the Microsoft FAT specification 1.03 and of the MBR
// in the UEFI specification 2.10, section 5.2.
package fat32

import (
	"encoding/binary"
	"errors"
)

var (
	// ErrCannotHold is part of errors about what no FAT32 holds, however large.
	ErrCannotHold = errors.New("a FAT32 file system cannot hold it")
	// ErrNoRoom is part of errors about a medium that is too small.
	ErrNoRoom = errors.New("it does not fit")
	// ErrDiffers is part of errors about a medium that did not keep what was
	// written.
	ErrDiffers = errors.New("the medium did not keep what was written")
)

// MaxFile is the size of the largest file in bytes: its folder's record has 32
// bits for it.
const MaxFile = 1<<32 - 1

const (
	mib     = 1 << 20
	record  = 32 // bytes of a folder's record
	maxDir  = 65_536 * record
	first   = 2 // number of the first cluster
	maxName = 255

	// A volume with fewer clusters is a FAT16 to many systems. The specification
	// asks makers to stay 16 away from the limits.
	leastClusters = 65_525 + 16
	mostClusters  = 0x0FFFFFF5 - 16
	mostCluster   = 32 << 10 // bytes; larger ones are not read everywhere
	mostSectors   = 1<<32 - 1
)

// Where things are. The partition begins at 1 MiB, as partitioning tools have
// it. A reader that cannot ask a medium for the size of its sectors, such as one
// of an image, also looks where the partition would begin if the sectors had the
// other usual size: at 8 MiB when they have 512 bytes, at 128 KiB when they have
// 4096. No content may stand there, or a file that looks like a file system
// would make two media of one. So the first MiB from there is kept empty, by
// reserved sectors as many as that takes. Marks of RAIDs and the second header
// of a GPT stand at the end; so the last MiB is kept empty, too.
const (
	partAt = mib
	tailOf = mib
)

// headOf returns how many bytes of a medium come before its first FAT at least.
func headOf(sector int64) int64 {
	if sector == 512 {
		return 9 * mib
	}
	return 2 * mib
}

var le = binary.LittleEndian

func up(n, to int64) int64 { return (n + to - 1) / to * to }
