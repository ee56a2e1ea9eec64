package volume

import (
	"encoding/binary"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// foreignBoot names what has a boot sector that must not be taken for FAT.
func foreignBoot(b []byte) string {
	// BitLocker To Go puts a FAT in front, with this GUID in the boot sector.
	const toGo = "\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01"
	switch {
	case len(b) < sectorBytes:
		return ""
	case string(b[3:11]) == "NTFS    ":
		return "NTFS"
	case string(b[3:11]) == "-FVE-FS-" || string(b[424:440]) == toGo:
		return "BitLocker (encrypted)"
	case string(b[3:11]) == "ReFS\x00\x00\x00\x00":
		return "ReFS"
	case string(b[:6]) == "LUKS\xBA\xBE":
		return "LUKS (encrypted)"
	}
	return ""
}

// signatures of file systems and containers, at a place from the volume's
// beginning. The first that fits names it.
var signatures = []struct {
	name  string
	off   int64
	magic string
}{
	{"XFS", 0, "XFSB"},
	{"SquashFS", 0, "hsqs"},
	{"a member of a Linux RAID", 0, "\xFC\x4E\x2B\xA9"},
	{"a member of a Linux RAID", 4096, "\xFC\x4E\x2B\xA9"},
	{"APFS", 32, "NXSB"},
	{"an LVM physical volume", 512, "LABELONE"},
	{"an LVM physical volume", 0, "LABELONE"},
	{"HFS+", 1024, "H+"},
	{"HFS+", 1024, "HX"},
	{"HFS", 1024, "BD"},
	{"F2FS", 1024, "\x10\x20\xF5\xF2"},
	{"Linux swap", 4086, "SWAPSPACE2"},
	{"Btrfs", 0x10040, "_BHRfS_M"},
	{"ReiserFS", 0x10034, "ReIsEr"},
	{"JFS", 32768, "JFS1"},
}

// recognise names the file system of a volume that this package does not read,
// or returns "" when it knows none.
func recognise(p *layout.Probe) string {
	for _, s := range signatures {
		if string(p.At(s.off, len(s.magic))) == s.magic {
			return s.name
		}
	}
	if name := ext(p.At(1024, 128)); name != "" {
		return name
	}
	if name := optical(p); name != "" {
		return name
	}
	// RAID superblocks of versions 1.0 and 0.90 stand near the end.
	for _, off := range []int64{(p.Size() - 8192) &^ 4095, p.Size()&^65535 - 65536} {
		if string(p.At(off, 4)) == "\xFC\x4E\x2B\xA9" {
			return "a member of a Linux RAID"
		}
	}
	return ""
}

// ext tells ext2, ext3 and ext4 apart by their features, as blkid does.
func ext(super []byte) string {
	le := binary.LittleEndian
	const hasJournal, ext3Incompatible, ext3ReadOnly = 0x4, 0x2 | 0x4 | 0x10, 0x1 | 0x2 | 0x4
	switch {
	case le.Uint16(super[56:]) != 0xEF53:
		return ""
	case le.Uint32(super[96:])&^ext3Incompatible != 0 || le.Uint32(super[100:])&^ext3ReadOnly != 0:
		return "ext4"
	case le.Uint32(super[92:])&hasJournal != 0:
		return "ext3"
	default:
		return "ext2"
	}
}

// optical looks through the volume recognition sequence of ISO 9660 and UDF
// (ECMA-167 part 2), which both use.
func optical(p *layout.Probe) string {
	name := ""
	for off := int64(32768); off < 32768+16*2048; off += 2048 {
		switch string(p.At(off+1, 5)) {
		case "NSR02", "NSR03":
			return "UDF"
		case "CD001":
			name = "ISO 9660"
		}
	}
	return name
}

// unsupported is the problem of a volume that is not read.
func unsupported(v *Volume, name string) error {
	detail := "it has no file system that this station knows"
	if name != "" {
		detail = "this is " + name
	}
	return verdict.New(verdict.FilesystemUnsupported, layout.At("volume", v.Offset), "%s; FAT12, FAT16, FAT32 and exFAT can be read", detail)
}

// alsoVolume finds the file system that a bootable image has beside its
// partition table: the medium then has two contents.
func alsoVolume(d *layout.Device) *verdict.Finding {
	p := layout.NewProbe(d, &Volume{Size: d.Size()})
	name := optical(p)
	for _, c := range claimants(p) {
		name = c.name
	}
	if f, ok := verdict.Find(p.Err()); ok {
		return f
	}
	if name == "" {
		return nil
	}
	return verdict.New(verdict.FilesystemInconsistent, layout.At("medium", 0), "an %s volume and a partition table at once: systems would see different contents", name)
}
