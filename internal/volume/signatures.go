package volume

import (
	"encoding/binary"

	"sallyport/internal/volume/layout"
)

// signature is a mark at a place from the volume's beginning.
type signature struct {
	name  string
	off   int64
	magic string
}

// find returns the name of the first mark that is there.
func find(p *layout.Probe, list []signature) string {
	for _, s := range list {
		if string(p.At(s.off, len(s.magic))) == s.magic {
			return s.name
		}
	}
	return ""
}

const (
	mdMember = "a member of a Linux RAID"
	mdMagic  = "\xFC\x4E\x2B\xA9" // 0xA92B4EFC as x86 writes it
	mdSwaped = "\xA9\x2B\x4E\xFC"
	luks     = "LUKS (encrypted)"
)

// containers stand at the beginning of what hides its content. Sources:
// cryptsetup's "LUKS2 on-disk format specification" sections 2.1 and 2.2 (the
// second header, which formatting over the first leaves); lvm2's
// lib/format_text; md(4) and the kernel's md_p.h (versions 1.1 and 1.2);
// bcache-tools' bcache.h; cryptsetup's verity and integrity headers; libldm's
// and Windows' private header; libvslvm.
var containers = []signature{
	{luks, 0, "LUKS\xBA\xBE"},
	{luks, 0x4000, "SKUL\xBA\xBE"},
	{luks, 0x8000, "SKUL\xBA\xBE"},
	{luks, 0x10000, "SKUL\xBA\xBE"},
	{"an LVM physical volume", 512, "LABELONE"},
	{"an LVM physical volume", 0, "LABELONE"},
	{"an LVM physical volume", 1024, "LABELONE"},
	{"an LVM physical volume", 1536, "LABELONE"},
	{mdMember, 0, mdMagic},
	{mdMember, 0, mdSwaped},
	{mdMember, 4096, mdMagic},
	{mdMember, 4096, mdSwaped},
	{"a bcache or bcachefs device", 4096 + 24, "\xC6\x85\x73\xF6\x4E\x1A\x45\xCA\x82\x65\xF5\x7F\x48\xBA\x6D\x81"},
	{"a bcache or bcachefs device", 4096 + 24, "\xC6\x85\x73\xF6\x66\xCE\x90\xA9\xD9\x6A\x60\xCF\x80\x3D\xF7\xEF"},
	{"a dm-verity hash device", 0, "verity\x00\x00"},
	{"a dm-integrity device", 0, "integrt\x00"},
	{"a dynamic disk of Windows", 3072, "PRIVHEAD"},
	{"a disk of Windows Storage Spaces", 4096, "SPACEDB "},
}

// hidden names a container by the beginning of a volume.
func hidden(p *layout.Probe) string {
	if bitLocker(p.At(0, sectorBytes)) {
		return encrypted
	}
	return find(p, containers)
}

// member names a member of a RAID by the end of a volume. There stand the
// superblocks of Linux RAID 1.0 and 0.90 (md_p.h), the metadata of Intel's RAID
// in the last sector but one (mdadm's super-intel.c) and the anchor of DDF in
// the last one (SNIA "Common RAID Disk Data Format Specification" 2.0 section
// 4.1), for sectors of 512 and of 4096 bytes.
func member(p *layout.Probe) string {
	size := p.Size()
	const intel, ddf, ddfSwaped = "Intel Raid ISM Cfg Sig. ", "\xDE\x11\xDE\x11", "\x11\xDE\x11\xDE"
	return find(p, []signature{
		{mdMember, (size - 8192) &^ 4095, mdMagic},
		{mdMember, (size - 8192) &^ 4095, mdSwaped},
		{mdMember, size&^65535 - 65536, mdMagic},
		{mdMember, size&^65535 - 65536, mdSwaped},
		{"a member of an Intel RAID", size - 1024, intel},
		{"a member of an Intel RAID", size - 8192, intel},
		{"a member of a DDF RAID", size - 512, ddf},
		{"a member of a DDF RAID", size - 512, ddfSwaped},
		{"a member of a DDF RAID", size - 4096, ddf},
		{"a member of a DDF RAID", size - 4096, ddfSwaped},
	})
}

// strong are file systems whose marks nobody writes by chance. Sources: the
// kernel's headers of each, and libblkid's superblocks folder.
var strong = []signature{
	{"XFS", 0, "XFSB"},
	{"SquashFS", 0, "hsqs"},
	{"SquashFS", 0, "sqsh"},
	{"cramfs", 0, "\x45\x3D\xCD\x28"},
	{"romfs", 0, "-rom1fs-"},
	{"APFS", 32, "NXSB"},
	{"BeFS", 32, "1SFB"},
	{"BeFS", 544, "1SFB"},
	{"F2FS", 1024, "\x10\x20\xF5\xF2"},
	{"EROFS", 1024, "\xE2\xE1\xF5\xE0"},
	{"OCFS2", 1024, "OCFSV2"},
	{"OCFS2", 2048, "OCFSV2"},
	{"OCFS2", 4096, "OCFSV2"},
	{"Linux swap", 4086, "SWAPSPACE2"},
	{"Linux swap", 4086, "SWAP-SPACE"},
	{"Linux swap", 8182, "SWAPSPACE2"},
	{"Linux swap", 16374, "SWAPSPACE2"},
	{"Linux swap", 32758, "SWAPSPACE2"},
	{"Linux swap", 65526, "SWAPSPACE2"},
	{"a suspended Linux system", 4086, "S1SUSPEND"},
	{"a suspended Linux system", 4086, "S2SUSPEND"},
	{"a suspended Linux system", 4086, "LINHIB0001"},
	{"HPFS", 8192, "\x49\xE8\x95\xF9"},
	{"ReiserFS", 8192 + 52, "ReIsErFs"},
	{"UFS", 8192 + 1372, "\x54\x19\x01\x00"},
	{"UFS", 8192 + 1372, "\x00\x01\x19\x54"},
	{"ZFS", 16384 + 24, "version\x00"},
	{"JFS", 32768, "JFS1"},
	{"ReiserFS", 0x10034, "ReIsEr"},
	{"Reiser4", 0x10000, "ReIsEr4"},
	{"Btrfs", 0x10040, "_BHRfS_M"},
	{"GFS2", 0x10000, "\x01\x16\x19\x70"},
	{"UFS", 65536 + 1372, "\x19\x01\x54\x19"},
	{"UFS", 65536 + 1372, "\x19\x54\x01\x19"},
}

// foreign names the file systems that a volume claims to be and that are not
// read here.
func foreign(p *layout.Probe) (names []string) {
	for _, name := range []string{
		foreignBoot(p.At(0, sectorBytes)), find(p, strong), apple(p.At(1024, 512)),
	} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// files are kinds of files that somebody wrote to the medium itself, and other
// marks that mean nothing beside a file system.
var files = []signature{
	{"a raw copy of a CD, with sectors of 2352 bytes", 0, "\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00"},
	{"a ZIP archive, written to the medium itself and not into a file system", 0, "PK\x03\x04"},
	{"a gzip archive, written to the medium itself and not into a file system", 0, "\x1F\x8B\x08"},
	{"an xz archive, written to the medium itself and not into a file system", 0, "\xFD7zXZ\x00"},
	{"a 7z archive, written to the medium itself and not into a file system", 0, "7z\xBC\xAF\x27\x1C"},
	{"a tar archive, written to the medium itself and not into a file system", 257, "ustar"},
	{"a PDF document, written to the medium itself and not into a file system", 0, "%PDF-"},
	{"a virtual disk (QCOW), written to the medium itself", 0, "QFI\xFB"},
	{"a virtual disk (VMDK), written to the medium itself", 0, "KDMV"},
	{"a virtual disk (VHDX), written to the medium itself", 0, "vhdxfile"},
	{"a virtual disk (VHD), written to the medium itself", 0, "conectix"},
}

// loose names what is said only of a volume that is nothing else.
func loose(p *layout.Probe) string { return find(p, files) }

// apple recognises HFS and HFS+ by the block at byte 1024 (Inside Macintosh:
// Files, chapter 2; Apple Technical Note TN1150). Two bytes of magic are few, so
// that the size of the blocks has to be one as well.
func apple(b []byte) string {
	plus, version, block := string(b[:2]), binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[40:])
	switch {
	case (plus == "H+" && version == 4 || plus == "HX" && version == 5) && block >= 512 && block&(block-1) == 0:
		return "HFS+"
	case plus == "BD" && binary.BigEndian.Uint32(b[20:])%512 == 0 && binary.BigEndian.Uint32(b[20:]) != 0:
		if string(b[124:126]) == "H+" {
			return "HFS+"
		}
		return "HFS"
	}
	return ""
}
