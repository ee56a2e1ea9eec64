package reader_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
)

// outcome is all that a session said and gave.
type outcome struct {
	whole    map[string]string // contents of the files that came without an error
	findings []*verdict.Finding
	failed   map[string]*verdict.Finding // of files
	end      error                       // of the session
}

// all returns every finding.
func (o *outcome) all() []*verdict.Finding {
	list := slices.Clone(o.findings)
	for _, f := range o.failed {
		list = append(list, f)
	}
	if f, ok := verdict.Find(o.end); ok {
		list = append(list, f)
	}
	return list
}

// examine lists and reads everything; between is called before the reading.
func examine(t *testing.T, cfg reader.Config, path string, between func()) *outcome {
	t.Helper()
	dev, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	s, err := reader.Start(t.Context(), cfg, dev)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o := &outcome{whole: map[string]string{}, failed: map[string]*verdict.Finding{}}
	list, err := s.List()
	if err != nil {
		o.end = err
		return o
	}
	note := func(list []verdict.Finding) {
		for i := range list {
			o.findings = append(o.findings, &list[i])
		}
	}
	note(list.Problems)
	for _, v := range list.Volumes {
		note(v.Problems)
	}
	var ids []uint32
	for _, e := range list.Entries {
		if e.Type == medium.File {
			ids = append(ids, e.ID)
		}
	}
	if between != nil {
		between()
	}
	st, err := s.Read(ids)
	for err == nil {
		var id uint32
		var size int64
		if id, size, err = st.Next(); err != nil {
			break
		}
		b, rerr := io.ReadAll(st)
		path := list.Entries[id].Path
		if f, ok := verdict.Find(rerr); ok {
			o.failed[path] = f
		} else if rerr != nil {
			t.Fatal(rerr)
		} else if int64(len(b)) != size {
			t.Errorf("%s: %d bytes without an error, listed with %d", path, len(b), size)
		} else {
			o.whole[path] = string(b)
		}
	}
	if err != io.EOF {
		o.end = err
	}
	return o
}

func quiet(t *testing.T) reader.Config {
	cfg := config(t, "sallyport-reader")
	cfg.Log = zerolog.Nop()
	return cfg
}

// someFiles lie on more than one block each, in folders and in none.
func someFiles() testmedia.Files {
	return testmedia.Files{
		"first.bin": pattern(1, 9000), "a folder/second file.bin": pattern(2, 30_000), "empty": {},
		"a folder/deeper/third.bin": pattern(3, 1), "fourth.bin": pattern(4, 70_001),
	}
}

// smallMedia are good media of every kind.
func smallMedia(t *testing.T) map[string]string {
	t.Helper()
	udf := filepath.Join(t.TempDir(), "udf.img")
	if err := os.WriteFile(udf, testmedia.UDFImage(testmedia.UDFShape{}, testmedia.UDFTree(someFiles())), 0o600); err != nil {
		t.Fatal(err)
	}
	iso := filepath.Join(t.TempDir(), "iso.img")
	testtool.Run(t, "genisoimage", "-quiet", "-J", "-R", "-o", iso, testmedia.Folder(t, someFiles()))
	fat12 := testmedia.FAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}, someFiles())
	return map[string]string{
		"FAT12":     fat12,
		"FAT16":     testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 8, ClusterSectors: 2}, someFiles()),
		"FAT32":     testmedia.FAT(t, testmedia.Options{Bits: 32, SizeMiB: 34, ClusterSectors: 1}, someFiles()),
		"exFAT":     testmedia.ExFAT(t, testmedia.Options{SizeMiB: 4}, someFiles()),
		"ext2":      testmedia.Ext(t, testmedia.ExtOptions{Type: "ext2", SizeMiB: 1, Inodes: 32}, someFiles()),
		"ext4":      testmedia.Ext(t, testmedia.ExtOptions{SizeMiB: 2, Inodes: 32, Features: "inline_data"}, someFiles()),
		"NTFS":      testmedia.NTFS(t, testmedia.Options{SizeMiB: 4}, someFiles()),
		"ISO 9660":  iso,
		"UDF":       udf,
		"FAT12/MBR": testmedia.Partitioned(t, "mbr", fat12),
		"FAT12/GPT": testmedia.Partitioned(t, "gpt", fat12),
	}
}

func same(t *testing.T, got map[string]string, want testmedia.Files) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for path, b := range want {
		if got[path] != string(b) {
			t.Errorf("%s differs", path)
		}
	}
}

var byteOffset = regexp.MustCompile(`byte (\d+)`)

// TestEveryBlockThatFails makes each block that is read fail, one after the
// other: the bad place is named or nobody needed it, and no byte is made up.
func TestEveryBlockThatFails(t *testing.T) {
	const block = 4096
	for name, img := range smallMedia(t) {
		t.Run(strings.ReplaceAll(name, "/", "-"), func(t *testing.T) {
			t.Parallel()
			d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
			cfg := quiet(t)
			good := examine(t, cfg, d.Path, nil)
			same(t, good.whole, someFiles())
			if list := good.all(); len(list) > 0 {
				t.Fatalf("a good medium has findings: %v", list)
			}
			reads := d.Reads()
			content := contentBlocks(t, img, block)
			blocks, unneeded := 0, 0
			for b := range int64(len(reads) * testmedia.SectorBytes / block) {
				if slices.Max(reads[b*block/testmedia.SectorBytes:][:block/testmedia.SectorBytes]) == 0 {
					continue
				}
				blocks++
				d.Set(testmedia.Bad(b*block, block, unix.EIO))
				got := examine(t, cfg, d.Path, nil)
				placed := false
				for _, f := range got.all() {
					if f.Reason != verdict.Unreadable {
						t.Errorf("block %d: %v", b, f)
					}
					at := byteOffset.FindStringSubmatch(f.Where)
					if at == nil {
						t.Errorf("block %d: no place in %v", b, f)
						continue
					}
					n, err := strconv.ParseInt(at[1], 10, 64)
					placed = placed || err == nil && n/block == b
				}
				for path, bytes := range got.whole {
					if bytes != string(someFiles()[path]) {
						t.Errorf("block %d: %s came with other bytes", b, path)
					}
				}
				victims := content[b]
				for _, path := range victims {
					if got.failed[path] == nil && len(got.findings) == 0 && got.end == nil {
						t.Errorf("block %d: %s lies there and did not fail", b, path)
					}
				}
				switch {
				case len(got.all()) == 0 && len(victims) == 0:
					unneeded++
					same(t, got.whole, someFiles())
				case !placed:
					t.Errorf("block %d: its place is in none of %v", b, got.all())
				}
			}
			d.Set(nil)
			same(t, examine(t, cfg, d.Path, nil).whole, someFiles())
			t.Logf("%d blocks failed, one after the other; %d of them were looked at and not needed", blocks, unneeded)
		})
	}
}

// contentBlocks says which files have content in which blocks.
func contentBlocks(t *testing.T, img string, block int64) map[int64][]string {
	t.Helper()
	where := map[int64][]string{}
	for path := range someFiles() {
		for _, x := range testmedia.Find(t, img, path).Extents {
			for b := x.Off / block; b <= (x.Off+x.Len-1)/block; b++ {
				where[b] = append(where[b], path)
			}
		}
	}
	return where
}

// TestEachSectorOfContentIsReadOnce: from devices with sectors of every size.
// What else is read, and how often, is logged.
func TestEachSectorOfContentIsReadOnce(t *testing.T) {
	many := testmedia.Files{"large": pattern(3, 7<<20+99), "medium": pattern(4, 65<<10)}
	for i := range 400 {
		many[fmt.Sprintf("d%d/file%d", i%3, i)] = pattern(i, 1+i*11%5000)
	}
	iso := filepath.Join(t.TempDir(), "iso.img")
	testtool.Run(t, "genisoimage", "-quiet", "-J", "-R", "-o", iso, testmedia.Folder(t, many))
	inline := testmedia.ExtOptions{Inode: 256, Features: "inline_data"} // small files beside each other in one sector
	for name, tc := range map[string]struct {
		img    string
		sector int
	}{
		"FAT32, clusters of 512":            {testmedia.FAT(t, testmedia.Options{Bits: 32, ClusterSectors: 1}, many), 512},
		"exFAT":                             {testmedia.ExFAT(t, testmedia.Options{}, many), 512},
		"FAT16, sectors of 4096":            {testmedia.FAT(t, testmedia.Options{Bits: 16, SectorBytes: 4096, SizeMiB: 128}, many), 4096},
		"exFAT on sectors of 4096":          {testmedia.ExFAT(t, testmedia.Options{}, many), 4096},
		"ext4, small files in inodes":       {testmedia.Ext(t, inline, many), 512},
		"ext4 on sectors of 4096":           {testmedia.Ext(t, inline, many), 4096},
		"NTFS, small files in records":      {testmedia.NTFS(t, testmedia.Options{}, many), 512},
		"ISO 9660":                          {iso, 512},
		"ISO 9660 on sectors of 2048":       {iso, 2048},
		"FAT32, 512 on a device with 4096s": {testmedia.FAT(t, testmedia.Options{Bits: 32, ClusterSectors: 8, SizeMiB: 300}, many), 4096},
	} {
		t.Run(name, func(t *testing.T) {
			d := testmedia.NewDevice(t, tc.img, testmedia.DeviceOptions{SectorBytes: tc.sector})
			var structures []uint16
			o := examine(t, quiet(t), d.Path, func() { structures = d.Reads() })
			reads := d.Reads()
			if list := o.all(); len(list) > 0 {
				t.Fatalf("findings: %v", list)
			}
			same(t, o.whole, many)
			for i, n := range reads {
				if n > 1 {
					t.Fatalf("sector %d of the content was read %d times", i, n)
				}
			}
			twice := 0
			for _, n := range structures {
				if n > 1 {
					twice++
				}
			}
			t.Logf("structures: %d sectors read, %d more than once, at most %d times", count(structures), twice, slices.Max(structures))
			if most := slices.Max(structures); most > 4 {
				t.Errorf("a sector of the structures was read %d times", most)
			}
		})
	}
}

func count(reads []uint16) (n int) {
	for _, r := range reads {
		if r > 0 {
			n++
		}
	}
	return n
}

// TestFalseCapacity: half of the medium is not there. Where the device says so
// the file is unreadable; where it gives other bytes in their place, no reader
// can see it without writing, and the hash of the content is another.
func TestFalseCapacity(t *testing.T) {
	files := testmedia.Files{}
	for i := range 20 {
		files[fmt.Sprintf("file%02d", i)] = pattern(i, 1<<20)
	}
	img := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 24}, files)
	const real = 12 << 20
	missing := func(path string) bool { return testmedia.Where(t, img, path, 1<<20-1) >= real }
	for name, tc := range map[string]struct {
		plan func(d *testmedia.Device) testmedia.Plan
		told bool
	}{
		"errors":      {func(*testmedia.Device) testmedia.Plan { return testmedia.Bad(real, real, unix.EIO) }, true},
		"early end":   {func(*testmedia.Device) testmedia.Plan { return testmedia.Ends(real) }, true},
		"wraps round": {func(d *testmedia.Device) testmedia.Plan { return testmedia.Alias(d, real) }, false},
		"gives zeros": {func(*testmedia.Device) testmedia.Plan { return zerosFrom(real) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
			d.Set(tc.plan(d))
			o := examine(t, quiet(t), d.Path, nil)
			n := 0
			for path, want := range files {
				switch got, whole := o.whole[path]; {
				case !missing(path):
					if got != string(want) {
						t.Errorf("%s is there and differs: %v", path, o.failed[path])
					}
				case tc.told:
					n++
					if f := o.failed[path]; f == nil || f.Reason != verdict.Unreadable && f.Reason != verdict.Truncated {
						t.Errorf("%s is not there: %v", path, f)
					}
				default:
					n++
					if !whole || got == string(want) {
						t.Errorf("%s: whole is %v, and its hash the same: %v", path, whole, got == string(want))
					}
				}
			}
			if n == 0 {
				t.Fatal("no file lies behind the end")
			}
		})
	}
}

func zerosFrom(size int64) testmedia.Plan {
	return func(r testmedia.Read, p []byte) (int, error) {
		clear(p[min(int64(len(p)), max(0, size-r.Off)):])
		return len(p), nil
	}
}

// TestSecondReadGivesOtherBytes: content is read once, so that a device which
// answers otherwise the second time never gets to do so.
func TestSecondReadGivesOtherBytes(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 16}, someFiles())
	d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
	o := examine(t, quiet(t), d.Path, func() {
		d.Reads()
		d.Set(func(r testmedia.Read, p []byte) (int, error) {
			if r.Nth > 0 {
				p[0] ^= 1
			}
			return len(p), nil
		})
	})
	if list := o.all(); len(list) > 0 {
		t.Errorf("findings: %v", list)
	}
	same(t, o.whole, someFiles())
}

// TestPastThePageCache: a device is read directly where that can be, and says
// in the log where not.
func TestPastThePageCache(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 16}, someFiles())
	odd := filepath.Join(t.TempDir(), "odd.img")
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(odd, append(b, make([]byte, 512)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		img    string
		sector int
		direct bool
	}{
		"sectors of 512":              {img, 512, true},
		"sectors of 4096":             {img, 4096, true},
		"half a sector at the end":    {odd, 4096, false},
		"an odd number of small ones": {odd, 512, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := testmedia.NewDevice(t, tc.img, testmedia.DeviceOptions{SectorBytes: tc.sector})
			var log bytes.Buffer
			cfg := quiet(t)
			cfg.Log = zerolog.New(&log)
			dev := device(t, d.Path)
			s, err := reader.Start(t.Context(), cfg, dev)
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			flags, err := unix.FcntlInt(dev.Fd(), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_DIRECT != 0 != tc.direct {
				t.Errorf("direct is %v (%v)", flags&unix.O_DIRECT != 0, err)
			}
			if strings.Contains(log.String(), "through the page cache") == tc.direct {
				t.Errorf("the log: %s", log.String())
			}
			same(t, examine(t, quiet(t), d.Path, nil).whole, someFiles())
		})
	}
	t.Run("an image that was opened directly", func(t *testing.T) {
		dev, err := os.OpenFile(img, os.O_RDONLY|unix.O_DIRECT, 0)
		if err != nil {
			t.Skip(err) // this file system cannot
		}
		defer dev.Close()
		s, err := reader.Start(t.Context(), quiet(t), dev)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		got, _ := readAll(t, s)
		same(t, got, someFiles())
	})
}
