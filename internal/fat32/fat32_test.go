package fat32_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/fat32"
	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// content is one file of a test; late is its room when it comes late.
type content struct {
	path string
	data []byte
	late int64
}

func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

func listed(files []content) (list []fat32.File) {
	for _, f := range files {
		list = append(list, fat32.File{Path: f.path, Size: max(int64(len(f.data)), f.late), Late: f.late > 0})
	}
	return list
}

func layoutOf(t *testing.T, o fat32.Options, files []content) *fat32.Layout {
	t.Helper()
	o.Time = time.Date(2026, 11, 3, 20, 15, 7, 0, time.UTC)
	l, err := fat32.Plan(o, listed(files))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// burn carries out all steps.
func burn(l *fat32.Layout, m fat32.Medium, files []content) error {
	w := fat32.NewWriter(l, m, func(int) error { return nil })
	if err := w.Erase(); err != nil {
		return err
	}
	for _, f := range files {
		if f.late > 0 {
			continue
		}
		sum, err := w.Copy(bytes.NewReader(f.data))
		if err != nil {
			return err
		}
		if sum != sha256.Sum256(f.data) {
			return errors.New("another sum than that of the source")
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := w.Check(); err != nil {
		return err
	}
	for _, f := range files {
		if f.late > 0 && f.data != nil {
			if err := w.Late(f.path, f.data); err != nil {
				return err
			}
		}
	}
	if err := w.Finish(); err != nil {
		return err
	}
	return w.CheckAll()
}

// image is a medium in a file.
type image struct{ *os.File }

func (i image) Flush() error { return nil }

// burned writes the files to a new image, or to the one at path.
func burned(t *testing.T, o fat32.Options, files []content) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "medium.img")
	l := layoutOf(t, o, files)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(l.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := burn(l, image{f}, files); err != nil {
		t.Fatal(err)
	}
	return path
}

// read lists a medium with the station's own reader; the error is the first
// problem that it has.
func read(m io.ReaderAt, size int64) (map[string][]byte, error) {
	v, err := volume.Open(m, size, volume.Options{Limits: limit.Default()})
	if err != nil {
		return nil, err
	}
	if len(v.Problems) > 0 {
		return nil, &v.Problems[0]
	}
	if v.Table != "mbr" || len(v.Volumes) != 1 {
		return nil, fmt.Errorf("table %q, %d volumes", v.Table, len(v.Volumes))
	}
	one := v.Volumes[0]
	if len(one.Problems) > 0 {
		return nil, &one.Problems[0]
	}
	if one.FS != "fat32" {
		return nil, fmt.Errorf("it has the file system %q", one.FS)
	}
	got := map[string][]byte{}
	for _, e := range one.Entries {
		switch {
		case e.Problem != nil:
			return nil, e.Problem
		case e.Type == medium.Folder:
			continue
		case len(e.Extents) > 1:
			return nil, fmt.Errorf("%s lies in %d pieces", e.Path, len(e.Extents))
		}
		p := make([]byte, e.Size)
		if len(e.Extents) > 0 {
			if _, err := m.ReadAt(p, e.Extents[0].Off); err != nil {
				return nil, err
			}
		}
		got[e.Path] = p
	}
	return got, nil
}

// same says how what was read differs from what was written.
func same(got map[string][]byte, files []content) error {
	n := 0
	for _, f := range files {
		if f.data == nil && f.late > 0 {
			continue
		}
		n++
		p, ok := got[f.path]
		if !ok || !bytes.Equal(p, f.data) {
			return fmt.Errorf("%s: read back %d bytes (there: %v), want %d", f.path, len(p), ok, len(f.data))
		}
	}
	if len(got) != n {
		return fmt.Errorf("%d files, want %d", len(got), n)
	}
	return nil
}

func readImage(t *testing.T, path string) (map[string][]byte, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return read(f, st.Size())
}

// judged has the tools of Linux look at the image: the checker finds nothing,
// and mtools copies what was written.
func judged(t *testing.T, img string, files []content) {
	t.Helper()
	all, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(t.TempDir(), "partition")
	if err := os.WriteFile(part, all[1<<20:], 0o600); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "fsck.fat", "-n", part)
	out := t.TempDir()
	testmedia.Mtool(t, "mdir", "-/", "-b", "-i", part, "::/")
	testmedia.Mtool(t, "mcopy", "-s", "-Q", "-m", "-i", part, "::/*", out)
	got := map[string][]byte{}
	err = filepath.WalkDir(out, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(out, p)
		if err == nil {
			got[filepath.ToSlash(rel)], err = os.ReadFile(p)
		}
		return err
	})
	if err == nil {
		err = same(got, files)
	}
	if err != nil {
		t.Errorf("mcopy: %v", err)
	}
}

// cases are volumes with something special in each.
func cases() map[string][]content {
	const id = "SALLYPORT/0827f516cd13c56f86ac17871f513aec/"
	long := strings.Repeat("N", 60)
	deep := strings.Repeat("d", 64) + "/" + strings.Repeat("E", 64) + "/f/g/h/" + long + ".bin"
	odd := []content{
		{path: id + "data/empty.txt"},
		{path: id + "data/cluster.bin", data: noise(1, 512)}, {path: id + "data/cluster4.bin", data: noise(2, 4096)},
		{path: id + "data/cluster32.bin", data: noise(3, 32768)}, {path: id + "data/one-more.bin", data: noise(4, 32769)},
		{path: id + "data/block.bin", data: noise(5, 1<<20)}, {path: id + "data/large.bin", data: noise(6, 3<<20+17)},
		{path: id + "data/UPPER.TXT", data: []byte("short")}, {path: id + "data/NOEXT", data: []byte("1")},
		{path: id + "data/lower.txt", data: []byte("2")}, {path: id + "data/Results-of-the-count.v1.json", data: []byte("3")},
		{path: id + "data/Results-of-the-count.v2.json", data: []byte("4")}, {path: id + "data/thirteen.char", data: []byte("5")},
		{path: id + "data/a.b.c", data: []byte("6")}, {path: id + "data/a..b-_", data: []byte("7")},
		{path: id + "data/" + strings.Repeat("a", 26), data: []byte("8")}, {path: id + "data/12345678.123", data: []byte("9")},
		{path: id + "data/123456789", data: []byte("10")}, {path: id + "data/x.html", data: []byte("11")},
		{path: id + "data/" + deep, data: []byte("deep")},
	}
	var many []content
	for i := range 20_000 {
		many = append(many, content{path: fmt.Sprintf("%sdata/ballot-%05d.json", id, i), data: []byte(strings.Repeat("b", i%700))})
	}
	late := []content{
		{path: id + "data/a.txt", data: []byte("a")},
		{path: id + "manifest.dsse.json", data: noise(7, 9000), late: 3 << 20},
		{path: id + "evidence.json", data: noise(8, 2_500_000), late: 2_500_000},
	}
	return map[string][]content{
		"odd sizes and names": odd, "20,000 files": many, "late": late,
		"late, left out": append(slices.Clone(late[:2]), content{path: id + "evidence.json", late: 1 << 20}),
		"late, empty":    append(slices.Clone(late[:1]), content{path: id + "manifest.dsse.json", late: 1 << 20, data: []byte{}}),
		"late alone":     late[1:], "nothing": nil,
	}
}

func TestEveryReaderTakesIt(t *testing.T) {
	for name, files := range cases() {
		for _, o := range []fat32.Options{
			{Sector: 512}, {Sector: 4096}, {Sector: 512, Bytes: 64<<20 + 512, Serial: 0x12345678}, {Sector: 512, Bytes: 1 << 30}, {Sector: 4096, Bytes: 5<<30 + 4096},
		} {
			t.Run(fmt.Sprintf("%s, sectors of %d on %d MiB", name, o.Sector, o.Bytes>>20), func(t *testing.T) {
				if o.Sector == 512 && o.Bytes == 64<<20+512 && len(files) > 1000 {
					o.Bytes = 128 << 20
				}
				img := burned(t, o, files)
				got, err := readImage(t, img)
				if err == nil {
					err = same(got, files)
				}
				if err != nil {
					t.Errorf("our reader: %v", err)
				}
				if o.Bytes < 1<<30 && (o.Sector == 512 && o.Bytes == 0 || strings.HasPrefix(name, "odd")) && len(files) > 0 {
					judged(t, img, files)
				}
			})
		}
	}
}

// Volumes are as small as FAT32 allows, and clusters grow with the content.
func TestSizesOfMedia(t *testing.T) {
	for _, c := range []struct {
		size        int64
		files       int
		least, most int64
	}{
		{1, 1, 32 << 20, 44 << 20},
		{100 << 20, 1, 110 << 20, 115 << 20},
		{fat32.MaxFile, 1, 4 << 30, 4<<30 + 20<<20},
		{fat32.MaxFile, 60, 240 << 30, 240<<30 + 128<<20},
	} {
		var files []fat32.File
		for i := range c.files {
			files = append(files, fat32.File{Path: fmt.Sprint("f", i), Size: c.size})
		}
		l, err := fat32.Plan(fat32.Options{Sector: 512}, files)
		if err != nil || l.Bytes() < c.least || l.Bytes() > c.most {
			t.Errorf("%d files of %d bytes: %d bytes, %v", c.files, c.size, l.Bytes(), err)
		}
	}
}

func TestWhatNoFAT32Holds(t *testing.T) {
	var longNames, twins []fat32.File
	for i := range 11_000 {
		longNames = append(longNames, fat32.File{Path: fmt.Sprintf("folder/%064d", i)})
	}
	for i := range 600 {
		twins = append(twins, fat32.File{Path: fmt.Sprintf("f%d", i), Size: fat32.MaxFile})
	}
	one := []fat32.File{{Path: "a.txt", Size: 1}}
	for name, c := range map[string]struct {
		o     fat32.Options
		files []fat32.File
		is    error
		says  string
	}{
		"a file of 4 GiB":            {fat32.Options{Sector: 512}, []fat32.File{{Path: "big.bin", Size: 1 << 32}}, fat32.ErrCannotHold, "big.bin"},
		"a folder with too much":     {fat32.Options{Sector: 512}, longNames, fat32.ErrCannotHold, "folder has 11000"},
		"more than 2 TiB of files":   {fat32.Options{Sector: 512}, twins, fat32.ErrCannotHold, "at most 4294967295 sectors"},
		"a medium of more than 2 TB": {fat32.Options{Sector: 512, Bytes: 2<<40 + 1<<20}, one, fat32.ErrCannotHold, "at most 4294967295 sectors"},
		"odd sectors":                {fat32.Options{Sector: 2048}, one, fat32.ErrCannotHold, "2048"},
		"a small medium":             {fat32.Options{Sector: 512, Bytes: 32 << 20}, one, fat32.ErrNoRoom, "needs 4"},
		"a full medium":              {fat32.Options{Sector: 512, Bytes: 64 << 20}, []fat32.File{{Path: "big.bin", Size: 60 << 20}}, fat32.ErrNoRoom, "67108864"},
		"a small one of 4096":        {fat32.Options{Sector: 4096, Bytes: 256 << 20}, one, fat32.ErrNoRoom, "needs"},
		"the same but for case":      {fat32.Options{Sector: 512}, []fat32.File{{Path: "a/B"}, {Path: "A/c"}}, nil, "a and A"},
		"a name with a space":        {fat32.Options{Sector: 512}, []fat32.File{{Path: "two words"}}, nil, "two words"},
		"a path to above":            {fat32.Options{Sector: 512}, []fat32.File{{Path: "../x"}}, nil, "../x"},
		"an empty name":              {fat32.Options{Sector: 512}, []fat32.File{{Path: "a//x"}}, nil, "a//x"},
		"no path":                    {fat32.Options{Sector: 512}, []fat32.File{{}}, nil, "characters"},
		"a file that is a folder":    {fat32.Options{Sector: 512}, []fat32.File{{Path: "a"}, {Path: "a/b"}}, nil, "a and a"},
		"a late file in the middle":  {fat32.Options{Sector: 512}, []fat32.File{{Path: "a", Late: true}, {Path: "b"}}, nil, "the late file a"},
		"a size below zero":          {fat32.Options{Sector: 512}, []fat32.File{{Path: "a", Size: -1}}, fat32.ErrCannotHold, "-1"},
	} {
		l, err := fat32.Plan(c.o, c.files)
		if err == nil || l != nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Random trees, so that records, clusters and blocks end at every place.
func TestRandomTrees(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{42}))
	const letters = "abcXYZ019._-"
	for round := range 20 {
		var files []content
		taken := map[string]bool{}
		folder := ""
		for range r.IntN(300) {
			name := []byte{letters[r.IntN(9)]}
			for range r.IntN(64) {
				name = append(name, letters[r.IntN(len(letters))])
			}
			name = append(name, 'z')
			if r.IntN(10) == 0 && strings.Count(folder, "/") < 6 {
				folder += string(name) + "x/"
			}
			path := folder + string(name)
			if taken[strings.ToLower(path)] {
				continue
			}
			taken[strings.ToLower(path)] = true
			files = append(files, content{path: path, data: noise(byte(r.IntN(256)), []int{0, 1, 511, 512, 513, 4096, r.IntN(200_000)}[r.IntN(7)])})
		}
		o := fat32.Options{Sector: []int64{512, 4096}[round%2]}
		img := burned(t, o, files)
		got, err := readImage(t, img)
		if err == nil {
			err = same(got, files)
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if round < 4 {
			judged(t, img, files)
		}
	}
}

// Files that look like file systems, partition tables and members of RAIDs,
// and a medium that was full of such things, are no second content.
func TestContentIsNoSecondFileSystem(t *testing.T) {
	boot := make([]byte, 512)
	copy(boot, "\xEB\x58\x90MSWIN4.1\x00\x02\x01\x20\x00\x02\x00\x00\x00\x00\xF8")
	copy(boot[82:], "FAT32   ")
	boot[510], boot[511] = 0x55, 0xAA
	raid := append([]byte("\xFC\x4E\x2B\xA9"), make([]byte, 508)...)
	gpt := append([]byte("EFI PART"), make([]byte, 504)...)
	for name, block := range map[string][]byte{"boot sectors": boot, "marks of RAIDs": raid, "headers of GPTs": gpt} {
		for _, sector := range []int64{512, 4096} {
			size := 40 << 20
			if sector == 4096 {
				if name != "boot sectors" { // its media are large
					continue
				}
				size = 290 << 20
			}
			files := []content{{path: "disk.img", data: bytes.Repeat(block, size/512)}}
			l := layoutOf(t, fat32.Options{Sector: sector}, files)
			path := filepath.Join(t.TempDir(), "medium.img")
			if err := os.WriteFile(path, bytes.Repeat(block, int(l.Bytes()/512)), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := burn(l, image{f}, files); err != nil {
				t.Fatal(err)
			}
			got, err := read(f, l.Bytes())
			if err == nil {
				err = same(got, files)
			}
			if err != nil {
				t.Errorf("%s, sectors of %d: %v", name, sector, err)
			}
			f.Close()
		}
	}
}
