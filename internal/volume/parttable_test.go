package volume_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// disk is a medium of zeros that a case writes into.
type disk []byte

// entry writes an entry of an MBR, or of an extended boot record in a sector.
func (d disk) entry(at, n int, status, kind byte, start, count uint32) {
	e := d[at*sector+446+16*n:]
	e[0], e[4] = status, kind
	binary.LittleEndian.PutUint32(e[8:], start)
	binary.LittleEndian.PutUint32(e[12:], count)
	d[at*sector+510], d[at*sector+511] = 0x55, 0xAA
}

func (d disk) open(t *testing.T) *volume.Medium {
	t.Helper()
	m, err := volume.Open(bytes.NewReader(d), int64(len(d)), options)
	if err != nil {
		t.Fatal(err)
	}
	sane(t, m)
	return m
}

// asGPT returns the disk with a GPT whose entries are first and last sectors.
func asGPT(size int, parts ...[2]uint64) disk {
	d := make(disk, size)
	le, last := binary.LittleEndian, size/sector-1
	d.entry(0, 0, 0, 0xEE, 1, 0xFFFFFFFF)
	for i, h := range []disk{d[sector:], d[last*sector:]} {
		copy(h, "EFI PART\x00\x00\x01\x00\x5C\x00\x00\x00")
		self, other, entries := 1, last, 2
		if i == 1 {
			self, other, entries = last, 1, last-32
		}
		for j, v := range []int{self, other, 34, last - 33} {
			le.PutUint64(h[24+8*j:], uint64(v))
		}
		le.PutUint64(h[72:], uint64(entries))
		le.PutUint32(h[80:], 128)
		le.PutUint32(h[84:], 128)
		for k, p := range parts {
			e := d[entries*sector+128*k:]
			copy(e, "a type of a parta partition's id")
			le.PutUint64(e[32:], p[0])
			le.PutUint64(e[40:], p[1])
		}
	}
	sealGPT(d)
	return d
}

// TestTablesThatAreRefused: each has one thing wrong, and its sentence says it.
func TestTablesThatAreRefused(t *testing.T) {
	const size = 4 << 20
	fat12, fatSize := buildFAT(12, 64, 20, smallTree)
	fat12 = append(fat12, make([]byte, int(fatSize)-len(fat12))...)
	fatSectors := uint32(len(fat12) / sector)
	good := func() disk {
		d := make(disk, size)
		d.entry(0, 0, 0x80, 0x0C, 64, fatSectors)
		copy(d[64*sector:], fat12)
		return d
	}
	goodGPT := func() disk {
		d := asGPT(size, [2]uint64{64, 63 + uint64(fatSectors)})
		copy(d[64*sector:], fat12)
		return d
	}
	mustBeClean(t, good().open(t))
	mustBeClean(t, goodGPT().open(t))
	chain := func() disk {
		d := good()
		d.entry(0, 1, 0, 0x0F, 1000, 2000)
		d.entry(1000, 0, 0, 6, 1, fatSectors)
		d.entry(1000, 1, 0, 5, 1000, 1000)
		d.entry(2000, 0, 0, 6, 1, fatSectors)
		copy(d[1001*sector:], fat12)
		copy(d[2001*sector:], fat12)
		return d
	}
	mustBeClean(t, chain().open(t))
	le := binary.LittleEndian
	for _, c := range []struct {
		name, table, level, want string
		make                     func() disk
		damage                   func(d disk)
	}{
		{"overlap", "mbr", "medium", "entry 1 (bytes 32768 to", good, func(d disk) { d.entry(0, 1, 0, 6, 65, 10) }},
		{"overlap behind an empty entry", "mbr", "medium", "overlap", good, func(d disk) { d.entry(0, 1, 0, 6, 65, 0); d.entry(0, 2, 0, 6, 70, 10) }},
		{"overlap with the extended one", "mbr", "medium", "entry 2 (bytes 512000 to", chain, func(d disk) { d.entry(0, 2, 0, 6, 2999, 10) }},
		{"overlap of logical ones", "mbr", "medium", "extended boot record, byte 1024000", chain, func(d disk) { d.entry(1000, 0, 0, 6, 1, 1001) }},
		{"over a record", "mbr", "medium", "overlap", chain, func(d disk) { d.entry(1000, 0, 0, 6, 1, 1000) }},
		{"beyond the medium", "mbr", "volume", "claims bytes 32768 to", good, func(d disk) { d.entry(0, 0, 0, 6, 64, 1<<31) }},
		{"behind the medium", "mbr", "volume", "the medium ends at byte", good, func(d disk) { d.entry(0, 1, 0, 6, 1<<31, 1) }},
		{"at the table", "mbr", "medium", "starts at the partition table itself", good, func(d disk) { d.entry(0, 1, 0, 6, 0, 8) }},
		{"no type", "mbr", "medium", "no type", good, func(d disk) { d.entry(0, 1, 0, 0, 2000, 8) }},
		{"status", "none", "medium", "status bytes of its entries are 80 01 00 00", good, func(d disk) { d.entry(0, 1, 1, 6, 2000, 8) }},
		{"two extended ones", "mbr", "medium", "a second extended", chain, func(d disk) { d.entry(0, 2, 0, 5, 4000, 8) }},
		{"no record", "mbr", "medium", "not a partition table", chain, func(d disk) { d[2000*sector+510] = 0 }},
		{"record behind the extended one", "mbr", "medium", "behind the extended partition, which ends in sector 3000", chain, func(d disk) { d.entry(1000, 1, 0, 5, 2000, 1000) }},
		{"record behind the medium", "mbr", "medium", "medium ends at byte", chain, func(d disk) {
			d.entry(0, 1, 0, 5, 1000, 1<<31)
			d.entry(1000, 1, 0, 5, 1<<30, 1000)
		}},
		{"a circle of one", "mbr", "medium", "runs in a circle", chain, func(d disk) { d.entry(1000, 1, 0, 5, 0, 1000) }},
		{"a circle of two", "mbr", "medium", "runs in a circle", chain, func(d disk) { d.entry(2000, 1, 0, 5, 0, 1000) }},
		{"a link that is a partition", "mbr", "medium", "of type 06", chain, func(d disk) { d.entry(1000, 1, 0, 6, 1000, 1000) }},
		{"a link without sectors", "mbr", "medium", "0 sectors, does not lead", chain, func(d disk) { d.entry(1000, 1, 0, 5, 1000, 0) }},
		{"a branch", "mbr", "medium", "more than two entries", chain, func(d disk) { d.entry(1000, 2, 0, 5, 1500, 10) }},
		{"a link in the first place", "mbr", "medium", "belongs into the second", chain, func(d disk) { d.entry(2000, 0, 0, 5, 1500, 10) }},
		{"logical one reaches out", "mbr", "medium", "behind the extended one", chain, func(d disk) { d.entry(2000, 0, 0, 6, 1, 1100) }},
		{"dynamic disk", "mbr", "medium", "dynamic disk", good, func(d disk) { d.entry(0, 0, 0, 0x42, 64, fatSectors) }},
		{"boot sector and table", "none", "medium", "boot sector of a file system and a partition table", good, func(d disk) { copy(d, fat12[:446]) }},
		{"boot sector and protective entry", "none", "medium", "boot sector of a file system and a partition table", good, func(d disk) {
			copy(d, fat12)
			d.entry(0, 0, 0, 0xEE, 1, 0)
		}},
		{"GPT header without protective MBR", "mbr", "medium", "no protective MBR", good, func(d disk) { copy(d[512:], "EFI PART") }},
		{"GPT header of large sectors without it", "none", "medium", "no protective MBR", good, func(d disk) { clear(d[:512]); copy(d[4096:], "EFI PART") }},
		{"table in a partition", "mbr", "volume", "begins with an MBR partition table", good, func(d disk) {
			d.entry(0, 1, 0, 6, 2000, 100)
			d.entry(2000, 0, 0, 6, 10, 10)
		}},
		{"table at the start of a partition", "mbr", "volume", "begins with an MBR partition table", good, func(d disk) {
			d.entry(0, 1, 0, 6, 2000, 100)
			d.entry(2000, 0, 0, 6, 0, 10)
		}},
		{"table in a boot sector in a partition", "mbr", "volume", "claims to be FAT and begins with an MBR", good, func(d disk) { d.entry(64, 0, 0, 6, 10, 10) }},
		{"GPT in a partition", "mbr", "volume", "begins with a GUID partition table", good, func(d disk) {
			d.entry(0, 1, 0, 6, 2000, 2000)
			copy(d[2000*sector:], asGPT(2000*sector, [2]uint64{64, 100}))
		}},
		{"GPT in a partition, large sectors", "mbr", "volume", "begins with a GUID partition table", good, func(d disk) {
			d.entry(0, 1, 0, 6, 2000, 2000)
			copy(d[2000*sector+4096:], "EFI PART")
		}},
		{"BSD label in a partition", "mbr", "volume", "begins with a BSD disk label", good, func(d disk) {
			d.entry(0, 1, 0, 0xA5, 2000, 100)
			le.PutUint32(d[2001*sector:], 0x82564557)
			le.PutUint32(d[2001*sector+132:], 0x82564557)
		}},
		{"BSD label as well", "mbr", "medium", "a BSD disk label is on the medium as well", good, func(d disk) {
			le.PutUint32(d[sector:], 0x82564557)
			le.PutUint32(d[sector+132:], 0x82564557)
		}},

		{"hybrid", "gpt", "medium", "a hybrid of MBR and GPT, with 1 entries", goodGPT, func(d disk) { d.entry(0, 1, 0, 6, 64, 10) }},
		{"protective entry in the second place", "gpt", "medium", "is entry 2", goodGPT, func(d disk) { clear(d[446:462]); d.entry(0, 1, 0, 0xEE, 1, 1<<31) }},
		{"protective entry elsewhere", "gpt", "medium", "begins in sector 2", goodGPT, func(d disk) { d.entry(0, 0, 0, 0xEE, 2, 1<<31) }},
		{"no header", "gpt", "medium", "there is no GPT header in sector 1", goodGPT, func(d disk) { clear(d[512:1024]) }},
		{"no header at either end", "gpt", "medium", "there is no GPT header in sector 1", goodGPT, func(d disk) { clear(d[512:1024]); clear(d[len(d)-512:]) }},
		{"two sizes of sectors", "gpt", "medium", "one for sectors of 512 bytes and one for sectors of 4096", goodGPT, func(d disk) { copy(d[4096:], "EFI PART") }},
		{"header altered", "gpt", "medium", "the header's checksum", goodGPT, func(d disk) { d[512+60] ^= 1 }},
		{"entries altered", "gpt", "medium", "the checksum of the entries", goodGPT, func(d disk) { d[1024+60] ^= 1 }},
		{"entries altered twice", "gpt", "medium", "backup GPT header", goodGPT, func(d disk) { d[len(d)-33*512+60] ^= 1 }},
		{"another backup", "gpt", "medium", "differs from the first", goodGPT, func(d disk) { d[len(d)-33*512+60] ^= 1; sealGPT(d) }},
		{"revision", "gpt", "medium", "revision is 00020000", goodGPT, func(d disk) { d[512+10] = 2; sealGPT(d) }},
		{"header of 91 bytes", "gpt", "medium", "header of 91 bytes", goodGPT, func(d disk) { d[512+12] = 91 }},
		{"header of 2^32-1 bytes", "gpt", "medium", "header of 4294967295 bytes", goodGPT, func(d disk) { le.PutUint32(d[512+12:], 1<<32-1) }},
		{"header elsewhere", "gpt", "medium", "says it stands in sector 7", goodGPT, func(d disk) { d[512+24] = 7; sealGPT(d) }},
		{"its own backup", "gpt", "medium", "its own backup", goodGPT, func(d disk) { le.PutUint64(d[512+32:], 1); sealGPT(d) }},
		{"backup behind the medium", "gpt", "medium", "truncated", goodGPT, func(d disk) { le.PutUint64(d[512+32:], 1<<62); sealGPT(d) }},
		{"another header at the end", "gpt", "medium", "another GPT header stands at the end", goodGPT, func(d disk) {
			copy(d[4000*sector:], d[len(d)-sector:])
			h := d[4000*sector:]
			le.PutUint64(h[24:], 4000)
			le.PutUint64(d[512+32:], 4000)
			sealGPT(d)
			sealGPT(d[:4001*sector])
		}},
		{"entries of 100 bytes", "gpt", "medium", "entries of 100 bytes", goodGPT, func(d disk) { le.PutUint32(d[512+84:], 100); sealGPT(d) }},
		{"entries of 2^31 bytes", "gpt", "medium", "entries of 2147483648 bytes", goodGPT, func(d disk) { le.PutUint32(d[512+84:], 1<<31); sealGPT(d) }},
		{"2^32-1 entries", "gpt", "medium", "4294967295 entries", goodGPT, func(d disk) { le.PutUint32(d[512+80:], 1<<32-1); sealGPT(d) }},
		{"no entries", "gpt", "medium", "0 entries", goodGPT, func(d disk) { le.PutUint32(d[512+80:], 0); sealGPT(d) }},
		{"entries at 2^63", "gpt", "medium", "not on the medium", goodGPT, func(d disk) { le.PutUint64(d[512+72:], 1<<63); sealGPT(d) }},
		{"entries over the MBR", "gpt", "medium", "overlap", goodGPT, func(d disk) {
			clear(d[:446])
			le.PutUint64(d[512+72:], 0)
			le.PutUint32(d[512+80:], 4)
			sealGPT(d)
		}},
		{"usable sectors the wrong way round", "gpt", "medium", "which is none", goodGPT, func(d disk) { le.PutUint64(d[512+40:], 1<<40); sealGPT(d) }},
		{"ends before it begins", "gpt", "medium", "ends in sector 63", goodGPT, func(d disk) { both(d, 40, 63) }},
		{"over the entries", "gpt", "medium", "overlap", goodGPT, func(d disk) { both(d, 32, 2) }},
		{"outside the usable sectors", "gpt", "medium", "outside the sectors 34 to", goodGPT, func(d disk) { both(d, 32, 33) }},
		{"over the backup", "gpt", "medium", "the entries of the backup GPT", goodGPT, func(d disk) { both(d, 40, uint64(len(d)/sector-20)) }},
		{"ends at 2^63", "gpt", "volume", "truncated", goodGPT, func(d disk) { both(d, 40, 1<<63) }},
		{"ends at 2^64-1", "gpt", "volume", "truncated", goodGPT, func(d disk) { both(d, 40, 1<<64-1) }},
		{"begins at 2^63", "gpt", "volume", "truncated", goodGPT, func(d disk) { both(d, 32, 1<<63); both(d, 40, 1<<63) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.make()
			c.damage(d)
			m := d.open(t)
			wantProblem(t, m, c.level, c.want)
			if m.Table != c.table {
				t.Errorf("the table is %q, want %q", m.Table, c.table)
			}
		})
	}
}

// both sets a field of the first entry of both tables.
func both(d disk, field int, value uint64) {
	for _, at := range []int{2 * sector, len(d) - 33*sector} {
		binary.LittleEndian.PutUint64(d[at+field:], value)
	}
	sealGPT(d)
}

// What only looks odd costs nothing.
func TestTablesThatAreOnlyOdd(t *testing.T) {
	fat12, fatSize := buildFAT(12, 64, 20, smallTree)
	fat12 = append(fat12, make([]byte, int(fatSize)-len(fat12))...)
	n := uint32(len(fat12) / sector)
	for _, c := range []struct {
		name    string
		volumes int
		make    func() disk
	}{
		{"a type without sectors", 1, func() disk {
			d := make(disk, 4<<20)
			d.entry(0, 0, 0, 6, 64, n)
			d.entry(0, 1, 0, 6, 7, 0)
			copy(d[64*sector:], fat12)
			return d
		}},
		{"hidden, in the last entry", 1, func() disk {
			d := make(disk, 4<<20)
			d.entry(0, 3, 0, 0x1B, 64, n)
			copy(d[64*sector:], fat12)
			return d
		}},
		{"an old backup GPT behind a file system", 1, func() disk {
			d := asGPT(4<<20, [2]uint64{64, 100})
			clear(d[:2*sector])
			copy(d, fat12)
			return d
		}},
		{"an old backup GPT behind an MBR", 1, func() disk {
			d := asGPT(4<<20, [2]uint64{64, 100})
			clear(d[:34*sector])
			d.entry(0, 0, 0, 6, 64, n)
			copy(d[64*sector:], fat12)
			return d
		}},
		{"GPT on a larger medium", 1, func() disk {
			d := asGPT(4<<20, [2]uint64{64, 63 + uint64(n)})
			copy(d[64*sector:], fat12)
			return append(d, make(disk, 1<<20)...)
		}},
		{"GPT with every attribute", 1, func() disk {
			d := asGPT(4<<20, [2]uint64{64, 63 + uint64(n)})
			both(d, 48, 1<<64-1)
			copy(d[64*sector:], fat12)
			return d
		}},
		{"protective entry without a length", 1, func() disk {
			d := asGPT(4<<20, [2]uint64{64, 63 + uint64(n)})
			d.entry(0, 0, 0x80, 0xEE, 1, 0)
			copy(d[64*sector:], fat12)
			return d
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.make().open(t)
			mustBeClean(t, m)
			if len(m.Volumes) != c.volumes || len(m.Volumes[0].Entries) < 5 {
				t.Errorf("%d volumes", len(m.Volumes))
			}
		})
	}
}

// The reserved partition of Windows is no volume, unless somebody hides
// something in it.
func TestReservedPartitionThatHoldsSomething(t *testing.T) {
	img := testmedia.Blank(t, "gpt.img", 64<<20)
	testtool.Run(t, "sgdisk", "-n", "1:2048:+16M", "-t", "1:0c01", "-n", "2:0:+20M", "-t", "2:0700", img)
	if m := open(t, img); len(m.Volumes) != 1 {
		t.Fatalf("volumes %v", ranges(m))
	}
	testmedia.Paste(t, img, 1<<20, testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, testmedia.Files{"hidden": nil}))
	if m := open(t, img); len(m.Volumes) != 2 || len(m.Volumes[0].Entries) != 1 {
		t.Errorf("volumes %v", ranges(m))
	}
}

// Tables beyond the limits are refused, in memory that a small reader has and
// with no more than the protocol of the reader carries.
func TestTablesBeyondTheLimits(t *testing.T) {
	t.Run("200 partitions in a GPT", func(t *testing.T) {
		img := testmedia.Blank(t, "gpt.img", 64<<20)
		script := "label: gpt\ntable-length: 256\n"
		for i := range 200 {
			script += fmt.Sprintf("%d: start=%d, size=8\n", i+1, 2048+16*i)
		}
		testmedia.Sfdisk(t, img, 512, script)
		m := open(t, img)
		wantProblem(t, m, "medium", "over-limit")
		if len(m.Volumes) != 128 {
			t.Errorf("%d volumes", len(m.Volumes))
		}
	})
	t.Run("200 logical partitions", func(t *testing.T) {
		d := make(disk, 4<<20)
		d.entry(0, 0, 0, 6, 8000, 1)
		d.entry(0, 1, 0, 6, 8001, 1)
		d.entry(0, 2, 0, 5, 100, 5000)
		for i := range 200 {
			d.entry(100+4*i, 0, 0, 6, 1, 1)
			d.entry(100+4*i, 1, 0, 5, uint32(4*i+4), 4)
		}
		m := d.open(t)
		wantProblem(t, m, "medium", "over-limit")
		if len(m.Volumes) != 128 {
			t.Errorf("%d volumes", len(m.Volumes))
		}
	})
	t.Run("volumes full of problems", func(t *testing.T) {
		kids := make([]node, 80)
		for i := range kids {
			kids[i].short = fmt.Sprintf("BAD%05d   ", i)
		}
		img, size := buildFAT(12, 64, 20, []node{{short: "DIR        ", kids: kids}})
		for at := range len(img) / 32 {
			if bytes.HasPrefix(img[32*at:], []byte("BAD")) {
				img[32*at+11] = 8 // a label, which belongs into the root
			}
		}
		n := int(size) / sector
		d := asGPT((100+100*n)*sector, make([][2]uint64, 100)...)
		for i := range 100 {
			at := 34 + n*i
			copy(d[at*sector:], img)
			for _, entries := range []int{2 * sector, len(d) - 33*sector} {
				binary.LittleEndian.PutUint64(d[entries+128*i+32:], uint64(at))
				binary.LittleEndian.PutUint64(d[entries+128*i+40:], uint64(at+n-1))
			}
		}
		sealGPT(d)
		m := d.open(t)
		all := len(m.Problems)
		for _, v := range m.Volumes {
			all += len(v.Problems)
		}
		wantProblem(t, m, "volume", "the volumes before it have more than 1024 problems")
		if all > 2048 || len(m.Problems) > 0 || len(m.Volumes) != 100 {
			t.Errorf("%d problems, %d of them of the medium, %d volumes", all, len(m.Problems), len(m.Volumes))
		}
	})
	t.Run("8192 bad entries", func(t *testing.T) {
		d := asGPT(4<<20, [2]uint64{})
		h := d[sector:]
		binary.LittleEndian.PutUint64(h[72:], 2048)
		binary.LittleEndian.PutUint32(h[80:], 8192)
		for i := range 8192 {
			copy(d[2048*sector+128*i:], "a type of a part")
			binary.LittleEndian.PutUint64(d[2048*sector+128*i+32:], 99)
		}
		sealGPT(d)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m := d.open(t)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
			t.Errorf("%d KiB of memory for a table", used>>10)
		}
		wantProblem(t, m, "medium", "more than 64 problems")
		if len(m.Problems) > 70 {
			t.Errorf("%d problems", len(m.Problems))
		}
	})
}

// Tables that other systems write are named; the images are by the real tools.
func TestForeignTablesAreNamed(t *testing.T) {
	for kind, want := range map[string]string{"sun": "a Sun disk label", "sgi": "an SGI disk label"} {
		t.Run(kind, func(t *testing.T) {
			img := testmedia.Blank(t, "x.img", 64<<20)
			testmedia.Sfdisk(t, img, 512, "label: "+kind+"\n")
			m := open(t, img)
			wantProblem(t, m, "medium", "this is "+want)
			if m.Table != kind || len(m.Volumes) != 0 {
				t.Errorf("table %q, %d volumes", m.Table, len(m.Volumes))
			}
		})
	}
	for label, c := range map[string]struct{ kind, name, part string }{
		"mac":   {"apm", "an Apple partition map", "mkpart primary ext2 1MiB 20MiB"},
		"bsd":   {"bsd", "a BSD disk label", "mkpart ext2 1MiB 20MiB"},
		"sun":   {"sun", "a Sun disk label", "mkpart ext2 1MiB 20MiB"},
		"amiga": {"amiga", "an Amiga partition table", "mkpart primary ext2 1MiB 20MiB"},
		"atari": {"atari", "an Atari partition table", "mkpart primary ext2 1MiB 20MiB"},
	} {
		t.Run(label+" by parted", func(t *testing.T) {
			img := testmedia.Blank(t, "x.img", 64<<20)
			testtool.Run(t, "parted", append([]string{"-s", img, "mklabel", label}, strings.Fields(c.part)...)...)
			m := open(t, img)
			wantProblem(t, m, "medium", "this is "+c.name)
			if m.Table != c.kind || len(m.Volumes) != 0 {
				t.Errorf("table %q", m.Table)
			}
		})
	}
}

// A bootable disc image has a table and is a file system: systems differ.
func TestHybridDiscImages(t *testing.T) {
	dir := testmedia.Folder(t, testmedia.Files{"x": []byte("x")})
	part := testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, testmedia.Files{"y": []byte("y")})
	for name, args := range map[string][]string{
		"mbr":  {"-partition_offset", "16", "-append_partition", "2", "0xef", part},
		"gpt":  {"-appended_part_as_gpt", "-append_partition", "2", "0xef", part},
		"apm":  {"-appended_part_as_apm", "-append_partition", "2", "0xef", part},
		"none": {"--protective-msdos-label"},
	} {
		t.Run(name, func(t *testing.T) {
			img := testmedia.Blank(t, "x.iso", 0)
			testtool.Run(t, "xorriso", append(append([]string{"-as", "mkisofs", "-quiet", "-o", img}, args...), dir)...)
			wantProblem(t, open(t, img), "medium", "a whole ISO 9660 volume and a partition table at once")
		})
	}
}

// reads counts the calls of a device.
type reads struct {
	*padded
	calls int
}

func (d *reads) ReadAt(p []byte, off int64) (int, error) {
	d.calls++
	return d.padded.ReadAt(p, off)
}

// Recognition is a few reads, however much there is to recognise.
func TestFewReads(t *testing.T) {
	const size = 1 << 30
	fat16 := make([]byte, 1<<20)
	copy(fat16, "\xEB\x3C\x90")
	mbr := make(disk, sector)
	mbr.entry(0, 0, 0, 6, 2048, 1<<20)
	for _, c := range []struct {
		name string
		data []byte
		most int
	}{
		{"blank", nil, 2},
		{"MBR and a blank partition", mbr, 5},
		{"GPT and a blank partition", asGPT(size, [2]uint64{2048, 1 << 20}), 4},
	} {
		dev := &reads{padded: &padded{data: c.data, size: size}}
		m, err := volume.Open(dev, size, options)
		if err != nil {
			t.Fatal(err)
		}
		wantProblem(t, m, "volume", "is blank")
		if dev.calls > c.most {
			t.Errorf("%s: %d reads, want %d at most", c.name, dev.calls, c.most)
		}
		t.Logf("%s: %d reads of %d KiB", c.name, dev.calls, dev.read>>10)
	}
}
