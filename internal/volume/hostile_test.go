package volume_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// wantProblem finds text in the problems of the named level.
func wantProblem(t *testing.T, m *volume.Medium, level, text string) {
	t.Helper()
	a, b, c := problems(m)
	got := map[string][]string{"medium": a, "volume": b, "entry": c}[level]
	for _, p := range got {
		if strings.Contains(p, text) {
			return
		}
	}
	t.Errorf("no problem of the %s says %q:\nmedium %q\nvolume %q\nentry %q", level, text, a, b, c)
}

// untouched checks that damage to one file did not cost the others.
func untouched(t *testing.T, img string, m *volume.Medium, files testmedia.Files, damaged ...string) {
	t.Helper()
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
next:
	for _, e := range m.Volumes[0].Entries {
		for _, d := range damaged {
			if e.Path == d {
				if e.Problem == nil {
					t.Errorf("%s is damaged and has no problem", e.Path)
				}
				continue next
			}
		}
		if e.Problem != nil || !bytes.Equal(content(t, f, e), files[e.Path]) {
			t.Errorf("%s: problem %v", e.Path, e.Problem)
		}
		seen++
	}
	if seen != len(files)-len(damaged) {
		t.Errorf("%d of %d good files are listed", seen, len(files)-len(damaged))
	}
}

func TestDamagedFAT(t *testing.T) {
	files := testmedia.Files{"a.bin": noise(1, 30_000), "b.bin": noise(2, 30_000), "c.bin": noise(3, 30_000), "d.txt": []byte("d")}
	for _, bits := range []int{12, 16, 32} {
		good := testmedia.FAT(t, testmedia.Options{Bits: bits, SizeMiB: map[int]int{12: 4, 16: 20, 32: 40}[bits], ClusterSectors: map[int]int{12: 4, 16: 2, 32: 1}[bits]}, files)
		mustBeClean(t, open(t, good))
		for _, c := range []struct {
			name, level, want string
			damage            func(img string)
			damaged           []string
		}{
			{"circle", "entry", "runs in a circle", func(img string) { testmedia.LoopChain(t, img, "b.bin") }, []string{"b.bin"}},
			{"cross link", "volume", "belongs to another file", func(img string) { testmedia.CrossLink(t, img, "a.bin", "b.bin") }, []string{"b.bin"}},
			{"short chain", "entry", "reaches the end mark after 1 of", func(img string) { testmedia.ShortenChain(t, img, "b.bin") }, []string{"b.bin"}},
			{"long chain", "entry", "goes on at cluster", func(img string) {
				testmedia.LengthenChain(t, img, "d.txt")
			}, []string{"d.txt"}},
			{"two FATs", "volume", "the two file allocation tables differ", func(img string) { testmedia.DifferFATs(t, img, "b.bin") }, nil},
			{"cut", "entry", "truncated", func(img string) { testmedia.CutInside(t, img, "d.txt") }, []string{"d.txt"}},
			{"cut says so", "volume", "truncated", func(img string) { testmedia.CutInside(t, img, "d.txt") }, []string{"d.txt"}},
		} {
			t.Run(fmt.Sprintf("fat%d %s", bits, c.name), func(t *testing.T) {
				img := testmedia.Copy(t, good)
				c.damage(img)
				m := open(t, img)
				wantProblem(t, m, c.level, c.want)
				untouched(t, img, m, files, c.damaged...)
			})
		}
	}
}

// edit finds the record of a short name in an image and lets a case change it.
func edit(t *testing.T, img, short string, change func(rec []byte)) {
	t.Helper()
	all, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(all, []byte(short))
	if at < 0 || at%32 != 0 {
		t.Fatalf("no record %q", short)
	}
	change(all[at-64 : at+96])
	testmedia.Poke(t, img, int64(at-64), all[at-64:at+96]...)
}

func TestDamagedFATFolders(t *testing.T) {
	files := testmedia.Files{"a long name.bin": noise(1, 3000), "B.BIN": []byte("b"), "DIR/INNER.TXT": []byte("c"), "Z.BIN": []byte("z")}
	good := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, files)
	// rec[64:] is the record found; before it stand its long name, behind it the next record.
	for _, c := range []struct {
		name, short, level, want string
		change                   func(rec []byte)
	}{
		{"checksum of a long name", "ALONGN~1BIN", "volume", "checksum of another file", func(r []byte) { r[64] = 'X' }},
		{"parts of a long name out of order", "ALONGN~1BIN", "volume", "not in order", func(r []byte) { r[32]++ }},
		{"first part of a long name deleted", "ALONGN~1BIN", "volume", "first parts of a long name are missing", func(r []byte) { copy(r[32:64], r[64:96]) }},
		{"file of a long name deleted", "ALONGN~1BIN", "volume", "belongs to no file", func(r []byte) { r[64] = 0xE5 }},
		{"forbidden character in a long name", "ALONGN~1BIN", "entry", "may not be used", func(r []byte) { r[33] = '/' }},
		{"half a surrogate pair", "ALONGN~1BIN", "entry", "may not be used", func(r []byte) { r[34] = 0xD8 }},
		{"code page", "B       BIN", "entry", "cannot be shown", func(r []byte) { r[65] = 0x84 }},
		{"two of one name", "Z       BIN", "volume", "same name", func(r []byte) { r[64] = 'B' }},
		{"size without clusters", "B       BIN", "entry", "starts at a cluster marked as free", func(r []byte) { r[64+26], r[64+27] = 0, 0 }},
		{"cluster that does not exist", "B       BIN", "entry", "which does not exist", func(r []byte) { r[64+26], r[64+27] = 0xF0, 0xFF }},
		{"clusters without size", "B       BIN", "entry", "no bytes but a first cluster", func(r []byte) { r[64+28] = 0 }},
		{"more than the volume", "B       BIN", "entry", "more than the volume has", func(r []byte) { r[64+31] = 0xFF }},
		{"two labels in a folder", "INNER   TXT", "volume", "marked as the label", func(r []byte) { r[64+11] |= 8 }},
		{"folder with a size", "DIR        ", "volume", "a folder has a size", func(r []byte) { r[64+28] = 1 }},
		{"folder without clusters", "DIR        ", "volume", "reaches a cluster marked as free", func(r []byte) { r[64+26], r[64+27] = 0, 0 }},
		{"entry behind the end", "B       BIN", "volume", "behind the end mark", func(r []byte) { r[64] = 0 }},
		{"dot", "INNER   TXT", "volume", `not a "." that`, func(r []byte) { r[26] ^= 1 }},
		{"dot dot", "INNER   TXT", "volume", `not a ".." that`, func(r []byte) { r[32+26] ^= 1 }},
		{"dot in the wrong place", "INNER   TXT", "volume", "where none belongs", func(r []byte) { copy(r[64:], ".          ") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := testmedia.Copy(t, good)
			edit(t, img, c.short, c.change)
			wantProblem(t, open(t, img), c.level, c.want)
		})
	}
}

func TestFolderLoop(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, testmedia.Files{"OUTER/INNER/X": []byte("x")})
	var first [2]byte
	edit(t, img, "OUTER      ", func(r []byte) { copy(first[:], r[64+26:]) })
	edit(t, img, "INNER      ", func(r []byte) { copy(r[64+26:], first[:]) })
	m := open(t, img)
	wantProblem(t, m, "volume", "belongs to another file or folder")
}

func TestBootSectorAgainstTheDevice(t *testing.T) {
	good := testmedia.FAT(t, testmedia.Options{Bits: 32, SizeMiB: 40}, testmedia.Files{"a": noise(1, 2000)})
	le := binary.LittleEndian
	for _, c := range []struct {
		name, want string
		off        int64
		bytes      []byte
	}{
		{"no clusters a sector", "sectors per cluster", 13, []byte{0}},
		{"three sectors a cluster", "sectors per cluster", 13, []byte{3}},
		{"odd sector", "bytes per sector", 11, []byte{1, 2}},
		{"no reserved sectors", "reserved sectors", 14, []byte{0, 0}},
		{"seventeen FATs", "number of FATs", 16, []byte{17}},
		{"media byte", "media byte", 21, []byte{7}},
		{"huge FAT", "total sectors", 36, []byte{0xFF, 0xFF, 0xFF, 0xFF}},
		{"small FAT", "FAT size", 36, []byte{1, 0, 0, 0}},
		{"larger than the medium", "the file system ends at byte", 32, le.AppendUint32(nil, 40<<11+1)},
		{"root cluster", "root cluster", 44, []byte{0xFF, 0xFF, 0xFF, 0x0F}},
		{"version", "version", 42, []byte{1}},
		{"active FAT", "active FAT", 40, []byte{0x85}},
		{"backup", "describes another file system", 6*512 + 14, []byte{9}},
		{"not the FAT", "this is not the FAT", 32 * 512, []byte{0xF0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := testmedia.Copy(t, good)
			testmedia.Poke(t, img, c.off, c.bytes...)
			wantProblem(t, open(t, img), "volume", c.want)
		})
	}
	part := testmedia.Partitioned(t, "mbr", good)
	testmedia.Poke(t, part, 446+12, le.AppendUint32(nil, 40<<11-1)...)
	wantProblem(t, open(t, part), "volume", "its partition has")
}

func TestDamagedExFAT(t *testing.T) {
	files := testmedia.Files{"alpha.bin": noise(1, 30_000), "beta.bin": noise(2, 30_000), "gamma.txt": []byte("g")}
	good := testmedia.ExFAT(t, testmedia.Options{SizeMiB: 8}, files)
	mustBeClean(t, open(t, good))
	// set changes an entry set and makes its checksum good again.
	set := func(img, file string, change func(set []byte)) {
		off := testmedia.EntrySet(t, img, file)
		p := testmedia.Bytes(t, img, off, 32)
		p = testmedia.Bytes(t, img, off, 32*(1+int(p[1])))
		change(p)
		sealSet(p)
		testmedia.Poke(t, img, off, p...)
	}
	for _, c := range []struct {
		name, level, want string
		damage            func(img string)
	}{
		{"entry set", "volume", "the checksum of the entry set", func(img string) { testmedia.BreakEntrySet(t, img, "beta.bin") }},
		{"boot region", "volume", "the checksum of the boot region", func(img string) { testmedia.Poke(t, img, 300, 0x5A) }},
		{"backup boot region", "volume", "backup boot region", func(img string) { testmedia.Poke(t, img, 12*512+300, 0x5A) }},
		{"cross link", "volume", "belongs to another file", func(img string) {
			first := uint32(0)
			set(img, "alpha.bin", func(p []byte) { first = binary.LittleEndian.Uint32(p[32+20:]) })
			set(img, "beta.bin", func(p []byte) { binary.LittleEndian.PutUint32(p[32+20:], first) })
		}},
		{"cluster that does not exist", "entry", "which does not exist", func(img string) {
			set(img, "beta.bin", func(p []byte) { binary.LittleEndian.PutUint32(p[32+20:], 1<<31) })
		}},
		{"free in the bitmap", "entry", "marked as free in the allocation bitmap", func(img string) {
			set(img, "beta.bin", func(p []byte) { binary.LittleEndian.PutUint32(p[32+20:], 1000) })
		}},
		{"more than the volume", "entry", "more than the volume has", func(img string) {
			set(img, "beta.bin", func(p []byte) { p[32+24+3] = 1 })
		}},
		{"huge size", "volume", "a file of", func(img string) {
			set(img, "beta.bin", func(p []byte) { p[32+24+7] = 0xFF })
		}},
		{"valid bytes beyond the size", "entry", "bytes are valid of a file of", func(img string) {
			set(img, "beta.bin", func(p []byte) { p[32+8+3] = 1 })
		}},
		{"chain too short for the size", "entry", "its clusters reach", func(img string) {
			set(img, "beta.bin", func(p []byte) { p[33] &^= 2; p[32+24+1]++ })
		}},
		{"two of one name", "volume", "same name", func(img string) {
			set(img, "beta.bin", func(p []byte) {
				for i, c := range "ALPHA.BIN" {
					p[64+2+2*i] = byte(c)
				}
				p[32+3] = 9
			})
		}},
		{"name with a slash", "entry", "may not be used", func(img string) { set(img, "beta.bin", func(p []byte) { p[66] = '/' }) }},
		{"no name", "volume", "no room for its name", func(img string) { set(img, "beta.bin", func(p []byte) { p[32+3] = 0 }) }},
		{"no stream entry", "volume", "no stream entry", func(img string) { set(img, "beta.bin", func(p []byte) { p[32] = 0xC1 }) }},
		{"cut", "entry", "truncated", func(img string) { testmedia.CutInside(t, img, "beta.bin") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := testmedia.Copy(t, good)
			c.damage(img)
			m := open(t, img)
			wantProblem(t, m, c.level, c.want)
			for _, v := range m.Volumes {
				for _, e := range v.Entries {
					if e.Path == "gamma.txt" && c.name == "entry set" && e.Problem != nil {
						t.Errorf("an undamaged file has a problem: %v", e.Problem)
					}
				}
			}
		})
	}
}

func sealSet(p []byte) {
	sum := uint16(0)
	for i, c := range p {
		if i != 2 && i != 3 {
			sum = (sum<<15 | sum>>1) + uint16(c)
		}
	}
	binary.LittleEndian.PutUint16(p[2:], sum)
}

func TestValidDataLengthReadsAsZeros(t *testing.T) {
	img := testmedia.ExFAT(t, testmedia.Options{SizeMiB: 8}, testmedia.Files{"x.bin": bytes.Repeat([]byte("x"), 20_000)})
	off := testmedia.EntrySet(t, img, "x.bin")
	p := testmedia.Bytes(t, img, off, 96)
	binary.LittleEndian.PutUint64(p[32+8:], 5000)
	sealSet(p)
	testmedia.Poke(t, img, off, p...)
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mustBeClean(t, open(t, img))
	want := append(bytes.Repeat([]byte("x"), 5000), make([]byte, 15_000)...)
	if got := content(t, f, testmedia.Find(t, img, "x.bin")); !bytes.Equal(got, want) {
		t.Error("bytes beyond ValidDataLength are not zeros")
	}
}

func TestTablesThatCannotBeTrusted(t *testing.T) {
	part := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, testmedia.Files{"a": noise(1, 2000)})
	mbr, gpt := testmedia.Partitioned(t, "mbr", part, part), testmedia.Partitioned(t, "gpt", part, part)
	logical := testmedia.Partitioned(t, "mbr-logical", part, part)
	iso := append([]byte{1}, "CD001"...)
	for _, c := range []struct {
		name, from, level, want string
		off                     int64
		bytes                   []byte
	}{
		{"partition beyond the medium", mbr, "volume", "the medium ends at byte", 446 + 16 + 11, []byte{0x40}},
		{"partition ends beyond the medium", mbr, "volume", "the medium ends at byte", 446 + 16 + 15, []byte{0x40}},
		{"overlap", mbr, "medium", "overlap", 446 + 12, []byte{0, 0, 1}},
		{"size without type", mbr, "medium", "but no type", 446 + 4, []byte{0}},
		{"starts at the table", mbr, "medium", "at the partition table itself", 446 + 8, []byte{0, 0, 0, 0}},
		{"ISO hybrid", mbr, "medium", "ISO 9660 volume and a partition table", 32768, iso},
		{"circle of logical partitions", logical, "medium", "runs in a circle", 2048*512 + 446 + 16 + 8, []byte{0, 0, 0, 0}},
		{"hybrid of MBR and GPT", gpt, "medium", "hybrid", 446 + 16 + 4, []byte{0x0C, 0, 0, 0, 0, 8, 0, 0, 0, 8}},
		{"GPT header", gpt, "medium", "header's checksum", 512 + 60, []byte{9}},
		{"GPT entries", gpt, "medium", "checksum of the entries", 1024 + 5, []byte{9}},
		{"GPT without MBR", gpt, "medium", "no protective MBR", 446 + 4, []byte{0x0C}},
		{"backup GPT header", gpt, "medium", "backup GPT header", -500, []byte{9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := testmedia.Copy(t, c.from)
			off := c.off
			if off < 0 {
				st, err := os.Stat(img)
				if err != nil {
					t.Fatal(err)
				}
				off += st.Size()
			}
			testmedia.Poke(t, img, off, c.bytes...)
			wantProblem(t, open(t, img), c.level, c.want)
		})
	}
	t.Run("boot sector and table at once", func(t *testing.T) {
		img := testmedia.Copy(t, part)
		testmedia.Poke(t, img, 446, 0, 0, 0, 0, 0x0C, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0)
		wantProblem(t, open(t, img), "medium", "at once")
	})
	t.Run("fake table of mkfs", func(t *testing.T) {
		img := testmedia.Copy(t, part)
		testtool.Run(t, "mkfs.vfat", "-F", "16", "--mbr=y", img)
		mustBeClean(t, open(t, img))
	})
}

func TestNoBytes(t *testing.T) {
	for _, size := range []int64{0, -1} {
		if m, err := volume.Open(bytes.NewReader(nil), size, options); m != nil || err == nil || !strings.Contains(err.Error(), "truncated") {
			t.Errorf("size %d: %v, %v", size, m, err)
		}
	}
	if _, err := volume.Open(bytes.NewReader(nil), 1<<20, options); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("a device without its bytes: %v", err)
	}
	m, err := volume.Open(bytes.NewReader(make([]byte, 100)), 100, options)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, m, "volume", "filesystem-unsupported")
}

// trouble fails reads that touch one byte.
type trouble struct {
	io.ReaderAt
	at  int64
	err error
}

func (f *trouble) ReadAt(p []byte, off int64) (int, error) {
	if off <= f.at && f.at < off+int64(len(p)) {
		n, err := f.ReaderAt.ReadAt(p[:f.at-off], off)
		if err == nil {
			err = f.err
		}
		return n, err
	}
	return f.ReaderAt.ReadAt(p, off)
}

var errDevice = errors.New("input/output error")

// Each byte that the listing depends on, cut off or unreadable, has to show:
// either something is said of it, or the listing is as it was.
func TestEveryByteThatCannotBeRead(t *testing.T) {
	for name, img := range tinyImages() {
		whole, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
		if err != nil {
			t.Fatal(err)
		}
		mustBeClean(t, whole)
		step := int64(32)
		if whole.Table != "none" {
			step = 160 // its volumes are among the others
		}
		for at := int64(0); at < int64(len(img)); at += step {
			m, err := volume.Open(&trouble{bytes.NewReader(img), at, errDevice}, int64(len(img)), options)
			if at < 512 {
				if err == nil {
					t.Errorf("%s: byte %d unreadable: no error", name, at)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: byte %d unreadable: %v", name, at, err)
			}
			sane(t, m)
			told(t, fmt.Sprintf("%s: byte %d unreadable", name, at), whole, m, fmt.Sprintf("byte %d: input/output error", at))
			m, err = volume.Open(bytes.NewReader(img[:at]), at, options)
			if err != nil {
				t.Fatalf("%s: cut at byte %d: %v", name, at, err)
			}
			sane(t, m)
			if a, b, _ := problems(m); len(a)+len(b) == 0 {
				t.Errorf("%s: cut at byte %d: no problem", name, at)
			}
		}
	}
}

// told checks that m has a problem with the given text or lists all of whole.
func told(t *testing.T, what string, whole, m *volume.Medium, text string) {
	t.Helper()
	a, b, c := problems(m)
	for _, p := range append(append(a, b...), c...) {
		if strings.Contains(p, text) && strings.Contains(p, "unreadable") {
			return
		}
	}
	if len(a)+len(b)+len(c) > 0 || fmt.Sprint(whole.Volumes) != fmt.Sprint(m.Volumes) {
		t.Errorf("%s: %q", what, append(append(a, b...), c...))
	}
}
