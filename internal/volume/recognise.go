package volume

import (
	"bytes"
	"slices"
	"strings"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/exfat"
	"sallyport/internal/volume/fat"
	"sallyport/internal/volume/layout"
	"sallyport/internal/volume/parttable"
)

// What a volume claims to be is settled before anything of it is read, in this
// order:
//
//   - What hides its content (encryption, RAID, LVM and their like) is named and
//     not read, even when a file system seems to begin there: a member of a
//     mirror begins like the file system on the mirror. An old mark of a
//     container on a medium that is used for itself now does the same harm.
//   - Two file systems, or one and a partition table inside, are a
//     contradiction, whether they are read here or only known: some systems
//     would show the one and some the other. The old one has to be erased.
//   - One file system that is read is walked; one that is only known is named.

// bootSector says whether the first sector of a medium belongs to a file system,
// so that what looks like a partition table there is boot code.
func bootSector(b []byte) bool {
	if len(b) < sectorBytes {
		return false
	}
	return exfat.Recognise(b) || fat.Recognise(b) || string(b[3:11]) == "NTFS    " || foreignBoot(b) != "" || bitLocker(b)
}

// foreignBoot names what is known by its boot sector and not read.
func foreignBoot(b []byte) string {
	if string(b[3:11]) == "ReFS\x00\x00\x00\x00" {
		return "ReFS"
	}
	return ""
}

// encrypted is what BitLocker is called; the FAT in front of To Go is its own.
const encrypted = "BitLocker (encrypted)"

// bitLocker recognises a boot sector of BitLocker; To Go puts a FAT in front,
// with one of two GUIDs in its boot sector (libbde, "BitLocker Drive Encryption
// format specification", section 2).
func bitLocker(b []byte) bool {
	const (
		all      = "\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01"
		usedOnly = "\x3B\x4D\xA8\x92\x80\xDD\x0E\x4D\x9E\x4E\xB1\xE3\x28\x4E\xAE\xD8"
	)
	return string(b[3:11]) == "-FVE-FS-" || string(b[424:440]) == all || string(b[424:440]) == usedOnly
}

// choose returns the file system that reads the volume, or the finding that
// none may. An end that cannot be read may hide that the volume is a member of a
// RAID, and is a problem of it; its files are listed all the same, for they may
// be all that is left of a medium which has less room than it claims.
func choose(d *layout.Device, v *Volume, partition bool) (driver, error) {
	p := layout.NewProbe(d, v)
	claims := claimants(p)
	var names []string
	for _, c := range claims {
		names = append(names, c.name)
	}
	for _, n := range foreign(p) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	table := ""
	if partition {
		table = parttable.Inside(p, bootSector(bytes.Clone(p.At(0, sectorBytes))))
	}
	box := hidden(p)
	if err := p.Err(); err != nil {
		return driver{}, err
	}
	if box == "" && !disc(names) {
		box = member(p)
		if f, ok := verdict.Find(p.Err()); ok {
			v.Problems = append(v.Problems, *f)
			p = layout.NewProbe(d, v)
		}
	}
	place := layout.At("volume", v.Offset)
	const erase = "; if one of them is left over from an earlier use, erase the medium (wipefs --all) and format it again"
	switch {
	case box != "" && len(names) > 0 && box != encrypted:
		return driver{}, verdict.New(verdict.FilesystemUnsupported, place,
			"this is %s, although it also claims to be %s: what its beginning shows need not be what it holds"+erase, box, names[0])
	case box != "":
		return driver{}, unsupported(v, box)
	case len(names) > 1:
		return driver{}, verdict.New(verdict.FilesystemInconsistent, place,
			"it claims to be %s and %s at once: systems would see different contents"+erase, names[0], names[1])
	case len(names) == 1 && table != "":
		return driver{}, verdict.New(verdict.FilesystemInconsistent, place,
			"it claims to be %s and begins with %s: systems would see different contents"+erase, names[0], table)
	case len(claims) == 1:
		return claims[0], nil
	case len(names) == 1:
		return driver{}, unsupported(v, names[0])
	case table != "":
		return driver{}, verdict.New(verdict.FilesystemUnsupported, place,
			"the partition begins with %s in the place of a file system: partitions inside a partition are not read", table)
	}
	return driver{}, unknown(p, v, partition)
}

// disc says whether a volume claims to be what discs hold. Those are not looked
// at from the end: no disc is a member of a RAID, and the last two sectors of a
// CD that was written track at once are run-out blocks, which cannot be read.
func disc(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, isoName) || n == udfName })
}

// begins says whether a file system or a container begins at a byte of the
// medium. A file may begin there instead, so that marks of files say nothing.
func begins(d *layout.Device, off int64) (bool, error) {
	p := layout.NewProbe(d, &Volume{Offset: off, Size: d.Size() - off})
	found := len(foreign(p)) > 0 || hidden(p) != "" || len(claimants(p)) > 0
	return found && p.Err() == nil, p.Err()
}

// unsupported is the problem of a volume that is not read.
func unsupported(v *Volume, name string) error {
	detail := "it has no file system that this station knows"
	if name != "" {
		detail = "this is " + name
	}
	return verdict.New(verdict.FilesystemUnsupported, layout.At("volume", v.Offset), "%s; FAT12, FAT16, FAT32, exFAT, NTFS, ext2, ext3, ext4, ISO 9660 and UDF can be read", detail)
}

// unknown is the problem of a volume that nothing is known of.
func unknown(p *layout.Probe, v *Volume, partition bool) error {
	name := loose(p)
	if name == "" && !partition && string(p.At(510, 2)) == "\x55\xAA" && len(bytes.Trim(p.At(446, 64), "\x00")) == 0 {
		name = "a medium with an empty partition table (MBR): it was prepared for use and never formatted"
	}
	zeros, erased, at := true, true, int64(0)
	for ; at < min(p.Size(), 64<<10) && (zeros || erased); at += 4096 {
		b := p.At(at, int(min(4096, p.Size()-at)))
		zeros = zeros && len(bytes.TrimLeft(b, "\x00")) == 0
		erased = erased && len(bytes.TrimLeft(b, "\xFF")) == 0
	}
	if err := p.Err(); err != nil {
		return err
	}
	if zeros || erased {
		what := "medium"
		if partition {
			what = "partition"
		}
		return verdict.New(verdict.FilesystemUnsupported, layout.At("volume", v.Offset),
			"the %s is blank: nothing was ever written to its beginning, or it was erased", what)
	}
	return unsupported(v, name)
}

// alsoVolume finds what the whole medium claims to be beside its partition
// table: the medium then has two contents, as a bootable disc image has.
func alsoVolume(d *layout.Device) *verdict.Finding {
	p := layout.NewProbe(d, &Volume{Size: d.Size()})
	names := foreign(p)
	for _, c := range claimants(p) {
		names = append(names, c.name)
	}
	box := hidden(p)
	if box == "" && !disc(names) {
		box = member(p)
	}
	place := layout.At("medium", 0)
	if f, ok := verdict.Find(p.Err()); ok {
		return f
	}
	const erase = "if it is left over from an earlier use, erase the medium (wipefs --all) and format it again"
	switch {
	case box != "":
		return verdict.New(verdict.FilesystemUnsupported, place, "the whole medium is %s: what its partitions show need not be what it holds; "+erase, box)
	case len(names) > 0:
		return verdict.New(verdict.FilesystemInconsistent, place, "a whole %s volume and a partition table at once, as on a bootable disc image: systems would see different contents; "+erase, names[len(names)-1])
	}
	return nil
}
