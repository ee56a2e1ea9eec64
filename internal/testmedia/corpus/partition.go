package corpus

import (
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"sallyport/internal/testmedia"
)

const sector = 512

// partitionFamily is MBR with logical partitions, and GPT.
func partitionFamily() *Family {
	scheme := func(name string) func(t testing.TB, o *Options) Base {
		return func(t testing.TB, o *Options) Base { return partitionBase(t, o, name) }
	}
	return &Family{
		Name: "partition",
		Bases: map[string]func(t testing.TB, o *Options) Base{
			"mbr": scheme("mbr"), "mbr-logical": scheme("mbr-logical"), "gpt": scheme("gpt"),
			// zeros is a medium that was never formatted.
			"zeros": func(t testing.TB, o *Options) Base {
				img := filepath.Join(t.TempDir(), "zeros.img")
				if err := os.WriteFile(img, make([]byte, o.Number("size", "1M")), 0o644); err != nil {
					t.Fatal(err)
				}
				return Base{Path: img, Volumes: []testmedia.Files{{}}}
			},
		},
		Survey:  func(img *Image) any { return surveyTable(img) },
		Places:  partitionPlaces(),
		Fields:  partitionFields(),
		Damages: partitionDamages(),
		Seals: map[string]Seal{
			// gpt and backup-gpt make the checksums of a header and its entries good.
			"gpt":        {Do: func(img *Image, _ string) { sealGPT(img, sector) }},
			"backup-gpt": {Do: func(img *Image, _ string) { sealGPT(img, table(img).backup) }},
			// backup-entries makes the entries of the backup equal to the first ones.
			"backup-entries": {Do: func(img *Image, _ string) {
				img.Write(table(img).backup-32*sector, img.Read(2*sector, 32*sector)...)
			}},
		},
	}
}

// partitionBase puts FAT16 volumes behind a table. Each has the tree and one
// file that tells it from the others, PART0.TXT, PART1.TXT and so on.
func partitionBase(t testing.TB, o *Options, scheme string) Base {
	t.Helper()
	tree := o.Tree()
	var b Base
	var parts []string
	for i := range o.Number("parts", "2") {
		files := maps.Clone(tree)
		files[fmt.Sprintf("PART%d.TXT", i)] = noise(uint32(100+i), 100)
		b.Volumes = append(b.Volumes, files)
		parts = append(parts, testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 5, ClusterSectors: 2}, files))
	}
	b.Path = testmedia.Partitioned(t, scheme, parts...)
	return b
}

// tablePlan is where things are on an undamaged medium with partitions.
type tablePlan struct {
	backup  int64   // the header of the backup GPT
	records []int64 // extended boot records
	parts   []int64 // partitions, in the order of the reader's list
}

func table(img *Image) *tablePlan { return img.Plan.(*tablePlan) }

func surveyTable(img *Image) *tablePlan {
	p := &tablePlan{backup: img.Size() - sector}
	if string(img.Read(sector, 8)) == "EFI PART" {
		p.backup = int64(img.Number(sector+32, 8)) * sector
		for at := int64(2 * sector); img.Number(at, 8) != 0; at += 128 {
			p.parts = append(p.parts, int64(img.Number(at+32, 8))*sector)
		}
		return p
	}
	for i := int64(0); i < 4; i++ {
		kind, start := img.Number(446+16*i+4, 1), int64(img.Number(446+16*i+8, 4))*sector
		switch kind {
		case 0:
		case 5:
			for at := start; ; {
				p.records = append(p.records, at)
				p.parts = append(p.parts, at+int64(img.Number(at+446+8, 4))*sector)
				if img.Number(at+446+16+4, 1) == 0 {
					break
				}
				at = start + int64(img.Number(at+446+16+8, 4))*sector
			}
		default:
			p.parts = append(p.parts, start)
		}
	}
	return p
}

// sealGPT makes the checksums of the header at a place, and that of the
// entries it points at, good where both are on the image.
func sealGPT(img *Image, at int64) {
	img.Helper()
	from, n := img.Number(at+72, 8), img.Number(at+80, 4)*img.Number(at+84, 4)
	if size := uint64(img.Size()); from < size/sector && n <= size-from*sector {
		img.SetNumber(at+88, 4, uint64(crc32.ChecksumIEEE(img.Read(int64(from)*sector, int(n)))))
	}
	img.SetNumber(at+16, 4, 0)
	size := int(img.Number(at+12, 4))
	if size > sector {
		size = sector
	}
	img.SetNumber(at+16, 4, uint64(crc32.ChecksumIEEE(img.Read(at, size))))
}

func partitionPlaces() map[string]Place {
	nth := func(of func(img *Image, n int64) int64) Place {
		return Place{true, func(img *Image, arg string) int64 {
			img.Helper()
			n, err := strconv.ParseInt(arg, 10, 64)
			if err != nil || n < 0 {
				img.Fatalf("%q is not a number", arg)
			}
			return of(img, n)
		}}
	}
	pick := func(img *Image, list []int64, n int64) int64 {
		img.Helper()
		if n >= int64(len(list)) {
			img.Fatalf("there are only %d", len(list))
		}
		return list[n]
	}
	fixed := func(at func(img *Image) int64) Place {
		return Place{At: func(img *Image, _ string) int64 { return at(img) }}
	}
	return map[string]Place{
		"mbr":            fixed(func(*Image) int64 { return 0 }),
		"gpt":            fixed(func(*Image) int64 { return sector }),
		"gpt-entries":    fixed(func(*Image) int64 { return 2 * sector }),
		"backup-gpt":     fixed(func(img *Image) int64 { return table(img).backup }),
		"backup-entries": fixed(func(img *Image) int64 { return table(img).backup - 32*sector }),
		// All of these count from 0.
		"mbr-entry": nth(func(_ *Image, n int64) int64 { return 446 + 16*n }),
		"gpt-entry": nth(func(_ *Image, n int64) int64 { return 2*sector + 128*n }),
		"backup-entry": nth(func(img *Image, n int64) int64 {
			return table(img).backup - 32*sector + 128*n
		}),
		"record":    nth(func(img *Image, n int64) int64 { return pick(img, table(img).records, n) }),
		"partition": nth(func(img *Image, n int64) int64 { return pick(img, table(img).parts, n) }),
	}
}

func partitionFields() []Field {
	list := []Field{
		{Name: "mbr-signature", Place: "mbr", Off: 510, Width: 2},
		{Name: "mbr-status", Place: "mbr-entry", Off: 0, Width: 1}, {Name: "mbr-type", Place: "mbr-entry", Off: 4, Width: 1},
		{Name: "mbr-start", Place: "mbr-entry", Off: 8, Width: 4}, {Name: "mbr-sectors", Place: "mbr-entry", Off: 12, Width: 4},
		{Name: "record-signature", Place: "record", Off: 510, Width: 2},
		{Name: "record-status", Place: "record", Off: 446, Width: 1}, {Name: "record-type", Place: "record", Off: 446 + 4, Width: 1},
		{Name: "record-start", Place: "record", Off: 446 + 8, Width: 4}, {Name: "record-sectors", Place: "record", Off: 446 + 12, Width: 4},
		{Name: "next-type", Place: "record", Off: 462 + 4, Width: 1},
		{Name: "next-start", Place: "record", Off: 462 + 8, Width: 4}, {Name: "next-sectors", Place: "record", Off: 462 + 12, Width: 4},
		{Name: "third-sectors", Place: "record", Off: 478 + 12, Width: 4},
	}
	for _, header := range []string{"gpt", "backup-gpt"} {
		for _, f := range []Field{
			{Name: "signature", Off: 0, Width: 8}, {Name: "revision", Off: 8, Width: 4}, {Name: "header-size", Off: 12, Width: 4},
			{Name: "header-crc", Off: 16, Width: 4}, {Name: "reserved", Off: 20, Width: 4}, {Name: "self", Off: 24, Width: 8},
			{Name: "other", Off: 32, Width: 8}, {Name: "first-usable", Off: 40, Width: 8}, {Name: "last-usable", Off: 48, Width: 8},
			{Name: "disk-id", Off: 56, Width: 8}, {Name: "entries", Off: 72, Width: 8}, {Name: "entry-count", Off: 80, Width: 4},
			{Name: "entry-size", Off: 84, Width: 4}, {Name: "entries-crc", Off: 88, Width: 4},
		} {
			f.Name, f.Place = header+"-"+f.Name, header
			list = append(list, f)
		}
	}
	return append(list,
		Field{Name: "entry-type", Place: "gpt-entry", Off: 0, Width: 8}, Field{Name: "entry-id", Place: "gpt-entry", Off: 16, Width: 8},
		Field{Name: "entry-first", Place: "gpt-entry", Off: 32, Width: 8}, Field{Name: "entry-last", Place: "gpt-entry", Off: 40, Width: 8},
		Field{Name: "entry-attributes", Place: "gpt-entry", Off: 48, Width: 8})
}

func partitionDamages() map[string]Damage {
	return map[string]Damage{
		// entry PLACE TYPE START SECTORS writes an entry of an MBR or of an extended
		// boot record; it takes that of a place.
		"entry": {[]Kind{PlaceK, Number, Number, Number}, func(img *Image, a []Arg) {
			e := make([]byte, 16)
			e[4] = byte(a[1].N)
			img.Write(img.At(a[0]), e...)
			img.SetNumber(img.At(a[0])+8, 4, uint64(a[2].N))
			img.SetNumber(img.At(a[0])+12, 4, uint64(a[3].N))
		}},
		// records N puts a chain of N logical partitions of one sector into the
		// extended partition, in place of what it held.
		"records": {[]Kind{Number}, func(img *Image, a []Arg) {
			box := table(img).records[0]
			for i := range a[0].N {
				at := box + 2*i*sector
				img.Write(at, make([]byte, 2*sector)...)
				img.SetNumber(at+446+4, 1, 0x0C)
				img.SetNumber(at+446+8, 4, 1)
				img.SetNumber(at+446+12, 4, 1)
				img.SetNumber(at+510, 2, 0xAA55)
				if i+1 < a[0].N {
					img.SetNumber(at+462+4, 1, 0x05)
					img.SetNumber(at+462+8, 4, uint64(2*(i+1)))
					img.SetNumber(at+462+12, 4, 2)
				}
			}
		}},
		// entries N puts N partitions of one sector into the first GPT.
		"entries": {[]Kind{Number}, func(img *Image, a []Arg) {
			first := img.Number(sector+40, 8)
			for i := range a[0].N {
				at := int64(2*sector) + 128*i
				img.Write(at, img.Read(2*sector, 32)...)
				img.SetNumber(at+16, 8, uint64(i+1))
				img.SetNumber(at+32, 8, first+uint64(i))
				img.SetNumber(at+40, 8, first+uint64(i))
			}
		}},
	}
}
