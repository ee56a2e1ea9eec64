package volume_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// blkid returns what libblkid takes an image for.
func blkid(t *testing.T, img string) string {
	t.Helper()
	out, err := exec.Command(testtool.Need(t, "blkid"), "-p", "-o", "value", "-s", "TYPE", img).Output()
	if err != nil {
		return "nothing (" + err.Error() + ")"
	}
	return strings.TrimSpace(string(out))
}

// mustBeNamed checks that nothing is said of a medium but what it is.
func mustBeNamed(t *testing.T, m *volume.Medium, name string) {
	t.Helper()
	a, b, c := problems(m)
	if len(a)+len(c) > 0 || len(b) != 1 || !strings.Contains(b[0], "filesystem-unsupported") || !strings.Contains(b[0], "this is "+name+";") {
		t.Errorf("problems %q %q %q, want one that says %q", a, b, c, name)
	}
}

// luksFormat makes a container with a cheap key derivation.
func luksFormat(t *testing.T, img, version string) {
	t.Helper()
	cmd := exec.Command(testtool.Need(t, "cryptsetup"), "luksFormat", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--type", version, img, "-")
	cmd.Stdin = strings.NewReader("no secret")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cryptsetup: %v\n%s", err, out)
	}
}

// What the real tools make is named as libblkid names it.
func TestRealForeignVolumesAreNamed(t *testing.T) {
	dir := testmedia.Folder(t, testmedia.Files{"x": []byte("x")})
	run := func(name string, args ...string) func(*testing.T, string) {
		return func(t *testing.T, img string) {
			all := append([]string(nil), args...)
			for i, a := range all {
				if a == "IMG" {
					all[i] = img
				}
			}
			testtool.Run(t, name, all...)
		}
	}
	for _, c := range []struct {
		name, blkid string
		mib         int64
		make        func(t *testing.T, img string)
	}{
		{"LUKS (encrypted)", "crypto_LUKS", 32, func(t *testing.T, img string) { luksFormat(t, img, "luks1") }},
		{"LUKS (encrypted)", "crypto_LUKS", 32, func(t *testing.T, img string) { luksFormat(t, img, "luks2") }},
		{"Btrfs", "btrfs", 128, run("mkfs.btrfs", "-q", "IMG")},
		{"XFS", "xfs", 400, run("mkfs.xfs", "-q", "IMG")},
		{"F2FS", "f2fs", 64, run("mkfs.f2fs", "-q", "IMG")},
		{"HFS", "hfs", 32, run("hformat", "IMG")},
		{"APFS", "apfs", 600, run("mkapfs", "IMG")},
		{"SquashFS", "squashfs", 0, run("mksquashfs", dir, "IMG", "-noappend", "-quiet")},
		{"EROFS", "erofs", 0, run("mkfs.erofs", "IMG", dir)},
		{"Linux swap", "swap", 32, run("mkswap", "IMG")},
		{"Linux swap", "swap", 32, run("mkswap", "--pagesize", "65536", "IMG")},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := testmedia.Blank(t, "x.img", c.mib<<20)
			c.make(t, img)
			mustBeNamed(t, open(t, img), c.name)
			if got := blkid(t, img); got != c.blkid {
				t.Errorf("blkid says %s", got)
			}
			// In a partition it is the same, and the one beside it is unharmed.
			fat := testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, testmedia.Files{"a.txt": []byte("a")})
			for _, scheme := range []string{"mbr", "gpt"} {
				m := open(t, testmedia.Partitioned(t, scheme, fat, img))
				if a, b, _ := problems(m); len(a) > 0 || len(b) != 1 || !strings.HasPrefix(b[0], "volume 1:") || !strings.Contains(b[0], c.name+";") || len(m.Volumes[0].Entries) != 1 {
					t.Errorf("%s: %q %q", scheme, a, b)
				}
			}
		})
	}
}

// mark is bytes at a place; at a negative one from the end.
type mark struct {
	off  int64
	data string
}

func (d disk) put(marks ...mark) disk {
	for _, m := range marks {
		if m.off < 0 {
			m.off += int64(len(d))
		}
		copy(d[m.off:], m.data)
	}
	return d
}

// Where no tool is at hand the documented marks have to do; sources stand with
// the tables of marks.
func TestForeignMarksAreNamed(t *testing.T) {
	const md, mdBig = "\xFC\x4E\x2B\xA9", "\xA9\x2B\x4E\xFC"
	hfsPlus := "H+\x00\x04" + strings.Repeat("\x00", 36) + "\x00\x00\x10\x00"
	for _, c := range []struct {
		name string
		mark
	}{
		{"LUKS (encrypted)", mark{0, "LUKS\xBA\xBE\x00\x02"}}, {"LUKS (encrypted)", mark{16384, "SKUL\xBA\xBE\x00\x02"}},
		{"BitLocker (encrypted)", mark{0, "\xEB\x58\x90-FVE-FS-"}},
		{"BitLocker (encrypted)", mark{424, "\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01"}},
		{"BitLocker (encrypted)", mark{424, "\x3B\x4D\xA8\x92\x80\xDD\x0E\x4D\x9E\x4E\xB1\xE3\x28\x4E\xAE\xD8"}},
		{"an LVM physical volume", mark{0, "LABELONE"}}, {"an LVM physical volume", mark{512, "LABELONE"}},
		{"an LVM physical volume", mark{1024, "LABELONE"}}, {"an LVM physical volume", mark{1536, "LABELONE"}},
		{"a member of a Linux RAID", mark{0, md}}, {"a member of a Linux RAID", mark{4096, md}}, {"a member of a Linux RAID", mark{-8192, md}},
		{"a member of a Linux RAID", mark{-65536, md}}, {"a member of a Linux RAID", mark{-65536, mdBig}},
		{"a member of an Intel RAID", mark{-1024, "Intel Raid ISM Cfg Sig. "}}, {"a member of an Intel RAID", mark{-8192, "Intel Raid ISM Cfg Sig. "}},
		{"a member of a DDF RAID", mark{-512, "\xDE\x11\xDE\x11"}}, {"a member of a DDF RAID", mark{-4096, "\x11\xDE\x11\xDE"}},
		{"a bcache or bcachefs device", mark{4120, "\xC6\x85\x73\xF6\x4E\x1A\x45\xCA\x82\x65\xF5\x7F\x48\xBA\x6D\x81"}},
		{"a dm-verity hash device", mark{0, "verity\x00\x00"}}, {"a dm-integrity device", mark{0, "integrt\x00"}},
		{"a disk of Windows Storage Spaces", mark{4096, "SPACEDB "}}, {"a dynamic disk of Windows", mark{3072, "PRIVHEAD"}},
		{"HFS+", mark{1024, hfsPlus}}, {"HFS+", mark{1024, "HX\x00\x05" + hfsPlus[4:]}},
		{"HFS+", mark{1024, "BD" + strings.Repeat("\x00", 18) + "\x00\x00\x10\x00" + strings.Repeat("\x00", 100) + "H+"}},
		{"ReFS", mark{0, "\x00\x00\x00ReFS\x00\x00\x00\x00"}}, {"ZFS", mark{16384 + 24, "version\x00"}},
		{"JFS", mark{32768, "JFS1"}}, {"ReiserFS", mark{65588, "ReIsEr2Fs"}}, {"ReiserFS", mark{8244, "ReIsErFs"}}, {"Reiser4", mark{65536, "ReIsEr4"}},
		{"UFS", mark{9564, "\x54\x19\x01\x00"}}, {"UFS", mark{66908, "\x19\x01\x54\x19"}}, {"GFS2", mark{65536, "\x01\x16\x19\x70"}},
		{"OCFS2", mark{1024, "OCFSV2"}}, {"cramfs", mark{0, "\x45\x3D\xCD\x28"}}, {"romfs", mark{0, "-rom1fs-"}}, {"BeFS", mark{32, "1SFB"}}, {"HPFS", mark{8192, "\x49\xE8\x95\xF9"}},
		{"XFS", mark{0, "XFSB"}}, {"SquashFS", mark{0, "hsqs"}}, {"APFS", mark{32, "NXSB"}}, {"Btrfs", mark{65600, "_BHRfS_M"}},
		{"a suspended Linux system", mark{4086, "S1SUSPEND"}},
		{"a raw copy of a CD, with sectors of 2352 bytes", mark{0, "\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00\x00\x02\x00\x01"}},
		{"a ZIP archive, written to the medium itself and not into a file system", mark{0, "PK\x03\x04"}},
		{"a tar archive, written to the medium itself and not into a file system", mark{0, "x" + strings.Repeat("\x00", 256) + "ustar"}},
		{"a virtual disk (VMDK), written to the medium itself", mark{0, "KDMV"}},
	} {
		t.Run(fmt.Sprintf("%s at %d", c.name, c.off), func(t *testing.T) {
			mustBeNamed(t, make(disk, 4<<20).put(c.mark).open(t), c.name)
		})
	}
}

// BitLocker To Go puts a FAT in front of what it hides, for its own reader.
func TestBitLockerToGoIsNoFAT(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 32}, testmedia.Files{"BitLockerToGo.exe": nil})
	testmedia.Poke(t, img, 424, []byte("\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01")...)
	mustBeNamed(t, open(t, img), "BitLocker (encrypted)")
	mustBeNamed(t, open(t, testmedia.Partitioned(t, "mbr", img)), "BitLocker (encrypted)")
}

// mdVersion1 is the superblock of a RAID 1 that stands in a sector, with its
// checksum (the kernel's md_p.h and md.c).
func mdVersion1(at int64) string {
	le := binary.LittleEndian
	sb := make([]byte, 512)
	le.PutUint32(sb, 0xA92B4EFC)
	le.PutUint32(sb[4:], 1)
	copy(sb[16:], "set of the test.")
	le.PutUint32(sb[72:], 1)   // level
	le.PutUint64(sb[80:], 999) // sectors of each member
	le.PutUint32(sb[92:], 2)   // members
	le.PutUint64(sb[144:], uint64(at/512))
	le.PutUint32(sb[220:], 128) // roles
	sum := uint64(0)
	for i := 0; i < 512; i += 4 {
		sum += uint64(le.Uint32(sb[i:]))
	}
	le.PutUint32(sb[216:], uint32(sum)+uint32(sum>>32))
	return string(sb)
}

// mdVersion0 is a superblock of version 0.90 (md_p.h: mdp_superblock_t).
func mdVersion0() string {
	le := binary.LittleEndian
	sb := make([]byte, 4096)
	le.PutUint32(sb, 0xA92B4EFC)
	le.PutUint32(sb[8:], 90)
	le.PutUint32(sb[4*7:], 1)  // level
	le.PutUint32(sb[4*10:], 2) // members
	return string(sb)
}

// A member of a mirror begins like the file system on the mirror, and so does a
// stick that was a member once: both are refused, and the advice helps.
func TestMembersOfMirrorsAreNotRead(t *testing.T) {
	const size = 20 << 20
	for name, m := range map[string]mark{
		"version 1.0":  {size - 8192, mdVersion1(size - 8192)},
		"version 0.90": {size - 65536, mdVersion0()},
		"version 1.2":  {4096, mdVersion1(4096)},
	} {
		t.Run(name, func(t *testing.T) {
			img := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, testmedia.Files{"a.txt": []byte("a")})
			testmedia.Poke(t, img, m.off, []byte(m.data)...)
			med := open(t, img)
			wantProblem(t, med, "volume", "this is a member of a Linux RAID, although it also claims to be FAT")
			wantProblem(t, med, "volume", "wipefs --all")
			if len(med.Volumes[0].Entries) != 0 {
				t.Error("its files are listed")
			}
			// The whole medium can be the member, with the table on the mirror.
			whole := testmedia.Partitioned(t, "mbr", testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, nil))
			if name == "version 0.90" {
				testmedia.Poke(t, whole, 5<<20-65536, []byte(m.data)...)
				wantProblem(t, open(t, whole), "medium", "the whole medium is a member of a Linux RAID")
			}
			testtool.Run(t, "wipefs", "--all", "--quiet", img)
			testtool.Run(t, "mkfs.vfat", "-F", "16", img)
			mustBeClean(t, open(t, img))
			// What is written here is what libblkid takes for one.
			bare := testmedia.Blank(t, "bare.img", size)
			testmedia.Poke(t, bare, m.off, []byte(m.data)...)
			if got := blkid(t, bare); got != "linux_raid_member" {
				t.Errorf("blkid says %s", got)
			}
			mustBeNamed(t, open(t, bare), "a member of a Linux RAID")
		})
	}
}

// What an earlier use left behind a new file system is found, and the advice
// helps: the same file system on an erased medium is clean.
func TestOldFileSystemsBehindNewOnes(t *testing.T) {
	dir := testmedia.Folder(t, testmedia.Files{"x": []byte("x")})
	for _, c := range []struct {
		name, want string
		mib        int64
		before     func(img string)
	}{
		{"ISO 9660", "exFAT and ISO 9660 at once", 64, func(img string) {
			testtool.Run(t, "genisoimage", "-quiet", "-J", "-R", "-o", img, dir)
			testtool.Run(t, "truncate", "-s", "64M", img)
		}},
		{"Btrfs", "exFAT and Btrfs at once", 128, func(img string) { testtool.Run(t, "mkfs.btrfs", "-q", img) }},
		{"LUKS", "this is LUKS (encrypted), although it also claims to be exFAT", 64, func(img string) { luksFormat(t, img, "luks2") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := testmedia.Blank(t, "x.img", c.mib<<20)
			c.before(img)
			// The quick format of Windows writes boot regions, FAT, bitmap,
			// up-case table and root, and leaves what is between them.
			fresh := testmedia.EmptyExFAT(t, testmedia.Options{SizeMiB: int(c.mib)})
			testmedia.Poke(t, img, 0, testmedia.Bytes(t, fresh, 0, 24*512)...)
			testmedia.Poke(t, img, 1<<20, testmedia.Bytes(t, fresh, 1<<20, 8<<20)...)
			wantProblem(t, open(t, img), "volume", c.want)
			wantProblem(t, open(t, img), "volume", "wipefs --all")
			testtool.Run(t, "wipefs", "--all", "--quiet", img)
			testtool.Run(t, "mkfs.exfat", img)
			mustBeClean(t, open(t, img))
		})
	}
	t.Run("behind a partition table", func(t *testing.T) {
		fat := testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, testmedia.Files{"a.txt": []byte("a")})
		img := testmedia.Partitioned(t, "mbr", fat)
		testmedia.Poke(t, img, 65600, []byte("_BHRfS_M")...)
		wantProblem(t, open(t, img), "medium", "a whole Btrfs volume and a partition table at once")
	})
	t.Run("HFS+ and ISO 9660", func(t *testing.T) {
		img := filepath.Join(t.TempDir(), "x.iso")
		testtool.Run(t, "xorriso", "-as", "mkisofs", "-quiet", "-hfsplus", "-o", img, dir)
		a, b, _ := problems(open(t, img))
		if all := fmt.Sprint(a, b); !strings.Contains(all, "at once") {
			t.Errorf("%q %q", a, b)
		}
	})
}

// What is empty, erased or random is no file system, and each is told apart.
func TestMediaWithoutAnything(t *testing.T) {
	random := noise(1, 4<<20)
	random[0], random[510] = 'x', 0
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"blank", "the medium is blank", make([]byte, 4<<20)},
		{"blank and tiny", "the medium is blank", make([]byte, 100)},
		{"erased flash", "the medium is blank", bytes.Repeat([]byte{0xFF}, 4<<20)},
		{"random", "no file system that this station knows", random},
		{"text", "no file system that this station knows", []byte(strings.Repeat("no file system\n", 5000))},
		{"empty MBR", "empty partition table (MBR)", make(disk, 4<<20).put(mark{440, "ID  "}, mark{510, "\x55\xAA"})},
	} {
		m := disk(c.data).open(t)
		if a, b, _ := problems(m); m.Table != "none" || len(a) > 0 || len(b) != 1 || !strings.Contains(b[0], "filesystem-unsupported") || !strings.Contains(b[0], c.want) {
			t.Errorf("%s: table %q, %q %q", c.name, m.Table, a, b)
		}
	}
	d := make(disk, 4<<20)
	d.entry(0, 0, 0, 6, 64, 2000)
	wantProblem(t, d.open(t), "volume", "the partition is blank")
}

// An end that cannot be read may hide that the medium is a member of a RAID.
func TestEndThatCannotBeRead(t *testing.T) {
	img, size := buildFAT(16, 64, 5000, smallTree)
	data := append(img, make([]byte, int(size)-len(img))...)
	m, err := volume.Open(&trouble{bytes.NewReader(data), size - 1024, errDevice}, size, options)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, m, "volume", fmt.Sprintf("byte %d: input/output error", size-1024))
	if len(m.Volumes[0].Entries) < 5 {
		t.Error("its files are not listed")
	}
	// The run-out blocks of a disc are no reason to refuse it.
	disc := filepath.Join(t.TempDir(), "x.iso")
	testtool.Run(t, "genisoimage", "-quiet", "-J", "-R", "-o", disc, testmedia.Folder(t, testmedia.Files{"x": noise(1, 500_000)}))
	iso, err := os.ReadFile(disc)
	if err != nil {
		t.Fatal(err)
	}
	iso = append(iso, make([]byte, 4096)...)
	m, err = volume.Open(&trouble{bytes.NewReader(iso), int64(len(iso)) - 4096, errDevice}, int64(len(iso)), options)
	if err != nil {
		t.Fatal(err)
	}
	mustBeClean(t, m)
}
