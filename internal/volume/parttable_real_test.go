package volume_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// ranges returns where the volumes of a medium are, in the order of the medium.
func ranges(m *volume.Medium) (list []testmedia.Range) {
	for _, v := range m.Volumes {
		list = append(list, testmedia.Range{Off: v.Offset, Size: v.Size})
	}
	return sorted(list)
}

func sorted(list []testmedia.Range) []testmedia.Range {
	slices.SortFunc(list, func(a, b testmedia.Range) int { return cmp.Compare(a.Off, b.Off) })
	return list
}

// sgdiskList returns the partitions of a GPT as sgdisk prints them.
func sgdiskList(t *testing.T, img string, sectorBytes int64) (list []testmedia.Range) {
	t.Helper()
	testmedia.WithSectors(t, img, sectorBytes, func(dev string) {
		for _, m := range regexp.MustCompile(`(?m)^ +\d+ +(\d+) +(\d+) `).FindAllSubmatch(testtool.Run(t, "sgdisk", "-p", dev), -1) {
			first, err := strconv.ParseInt(string(m[1]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			last, err := strconv.ParseInt(string(m[2]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, testmedia.Range{Off: first * sectorBytes, Size: (last - first + 1) * sectorBytes})
		}
	})
	return list
}

// tableShape is a table as a script for sfdisk.
type tableShape struct {
	name   string
	sector int64
	script string
}

// tableShapes are healthy tables of many kinds, with partitions in random places.
func tableShapes() (list []tableShape) {
	r := rand.New(rand.NewPCG(3, 1))
	// lay returns n places in sectors, apart from each other and in random order.
	lay := func(n int, first, gap int64) []testmedia.Range {
		out := make([]testmedia.Range, n)
		for i := range out {
			first += 1 + r.Int64N(gap)
			out[i] = testmedia.Range{Off: first, Size: 1 + r.Int64N(4*gap)}
			first += out[i].Size + 2 // room for an extended boot record
		}
		return out
	}
	types := []string{"c", "7", "83", "82", "ef", "17", "1", "a5", "da", "4e"}
	for n := range 5 {
		for i := range 3 {
			script := "label: dos\n"
			places := lay(n, 1, 1<<(4*i+2))
			r.Shuffle(n, func(a, b int) { places[a], places[b] = places[b], places[a] })
			for j, p := range places {
				script += fmt.Sprintf("%d: start=%d, size=%d, type=%s%s\n", j+1, p.Off, p.Size, types[r.IntN(len(types))], []string{"", ", bootable"}[r.IntN(2)])
			}
			list = append(list, tableShape{fmt.Sprintf("%d primary %d", n, i), 512, script})
		}
	}
	for _, n := range []int{1, 2, 5, 20, 56} {
		for _, kind := range []string{"5", "f", "85"} {
			places := lay(n, 3000, 100)
			end := places[n-1].Off + places[n-1].Size
			script := fmt.Sprintf("label: dos\n1: start=2048, size=500, type=c\n2: start=2600, size=%d, type=%s\n3: start=%d, size=77, type=83\n", end-2600, kind, end+5)
			for j, p := range places {
				script += fmt.Sprintf("%d: start=%d, size=%d, type=83\n", j+5, p.Off, p.Size)
			}
			list = append(list, tableShape{fmt.Sprintf("%d logical in type %s", n, kind), 512, script})
		}
	}
	for _, n := range []int{0, 1, 2, 7, 40, 128} {
		for _, sector := range []int64{512, 4096} {
			script := "label: gpt\nfirst-lba: 34\n"
			for j, p := range lay(n, 34, 60) {
				script += fmt.Sprintf("%d: start=%d, size=%d, type=%s%s\n", j+1, p.Off, p.Size,
					[]string{"EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"}[r.IntN(4)],
					[]string{"", ", attrs=RequiredPartition", ", attrs=LegacyBIOSBootable", `, attrs="GUID:62,63"`}[r.IntN(4)])
			}
			list = append(list, tableShape{fmt.Sprintf("gpt with %d of %d", n, sector), sector, script})
		}
	}
	return list
}

// Partitions are where sfdisk and sgdisk say they are.
func TestTablesAsSfdiskReadsThem(t *testing.T) {
	for _, s := range tableShapes() {
		t.Run(s.name, func(t *testing.T) {
			img := testmedia.Blank(t, "table.img", 96<<20)
			testmedia.Sfdisk(t, img, s.sector, s.script)
			want := sorted(testmedia.SfdiskList(t, img, s.sector))
			m := open(t, img)
			if m.Table == "none" && len(want) == 0 {
				wantProblem(t, m, "volume", "empty partition table")
				return
			}
			if len(want) == 0 {
				wantProblem(t, m, "medium", "it has no partitions")
				return
			}
			if got := ranges(m); len(m.Problems) > 0 || !slices.Equal(got, want) {
				t.Errorf("problems %v\ngot  %v\nwant %v", m.Problems, got, want)
			}
			if m.Table == "gpt" {
				if list := sorted(sgdiskList(t, img, s.sector)); !slices.Equal(list, want) {
					t.Errorf("sgdisk lists %v, sfdisk %v", list, want)
				}
			}
		})
	}
}

// An MBR counts sectors of 512 or 4096 bytes and does not say so; what begins
// where it points does.
func TestSectorsOfAnMBR(t *testing.T) {
	fat := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, testmedia.Files{"a.txt": []byte("a")})
	for _, scheme := range []string{"mbr-4096", "mbr-logical-4096", "gpt-4096"} {
		img := testmedia.Partitioned(t, scheme, fat, fat)
		m := open(t, img)
		mustBeClean(t, m)
		if got, want := ranges(m), sorted(testmedia.SfdiskList(t, img, 4096)); !slices.Equal(got, want) || len(want) != 2 {
			t.Errorf("%s: %v, sfdisk says %v", scheme, got, want)
		}
	}
	// Entries at sectors 2048 and 16384: 1 and 8 MiB, or 8 and 64 MiB.
	const script = "label: dos\n1: start=2048, size=5120, type=6\n2: start=16384, size=5120, type=6\n"
	small := testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, testmedia.Files{"a.txt": []byte("a")})
	for _, c := range []struct {
		at     []int64 // MiB, where file systems are
		first  int64   // MiB, of the first volume
		report string
	}{
		{nil, 1, ""},
		{[]int64{1}, 1, ""},
		{[]int64{1, 8}, 1, ""},
		{[]int64{64}, 8, ""},
		{[]int64{8, 64}, 8, ""},
		{[]int64{8}, 1, "it cannot be told"},
		{[]int64{1, 64}, 1, "and also where it puts them for sectors of 4096"},
		{[]int64{1, 8, 64}, 1, "and also where it puts them for sectors of 4096"},
	} {
		img := testmedia.Blank(t, "open.img", 100<<20)
		testmedia.Sfdisk(t, img, 512, script)
		for _, at := range c.at {
			testmedia.Paste(t, img, at<<20, small)
		}
		m := open(t, img)
		if len(m.Volumes) != 2 || m.Volumes[0].Offset != c.first<<20 {
			t.Errorf("%v: %v", c.at, ranges(m))
		}
		if a, _, _ := problems(m); c.report == "" && len(a) > 0 || c.report != "" && (len(a) != 1 || !strings.Contains(a[0], c.report)) {
			t.Errorf("%v: problems %q", c.at, a)
		}
	}
}

// What a file holds is no file system, even where the other size of sectors
// would put a partition.
func TestContentIsNoPartition(t *testing.T) {
	const from, at = 1 << 20, 8 << 20
	for _, magic := range []string{"PK\x03\x04", "\x1F\x8B\x08", "%PDF-", strings.Repeat("\xAA", 1080) + "\x53\xEF", strings.Repeat("\xFE", 4096)} {
		fat := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, testmedia.Files{"a.bin": noise(1, 15<<20)})
		testmedia.Poke(t, fat, at-from, []byte(magic)...)
		img := testmedia.Partitioned(t, "mbr", fat)
		m := open(t, img)
		mustBeClean(t, m)
		if m.Volumes[0].Offset != from || len(m.Volumes[0].Entries) != 1 {
			t.Errorf("volumes %v", ranges(m))
		}
	}
}
