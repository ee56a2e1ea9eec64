package volume_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
)

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

// tree is what people and programs put on media.
func tree(files int) testmedia.Files {
	f := testmedia.Files{
		"empty.txt": nil, "one": {1}, "UPPER.TXT": []byte("u"), "lower.txt": []byte("l"), "MiXed.TxT": []byte("m"),
		"exactly one sector": noise(1, 512), "exactly 32 KiB.bin": noise(2, 32768), "one more.bin": noise(3, 32769),
		"Ärger über große Öfen – 選挙結果 é.txt":          []byte("unicode"),
		strings.Repeat("long name ", 24) + "end.json": []byte("long"),
		"thirteen char":               []byte("13"),
		"twenty-six characters here":  []byte("26"),
		"several.dots.in.a.name.tar":  []byte("dots"),
		"empty folder/":               nil,
		"a b/c d/e f/g h/i j/k l/x.y": noise(4, 5000),
		"SALLYPORT/00112233445566778899aabbccddeeff/manifest.dsse.json": noise(5, 4000),
	}
	for i := range files {
		f[fmt.Sprintf("many/some file with a number %05d.dat", i)] = noise(uint64(i), i%3000)
		f[fmt.Sprintf("deep/%d/%d/%d", i%7, i%5, i)] = noise(uint64(i), i%700)
	}
	return f
}

func TestFATAsMtoolsReadsIt(t *testing.T) {
	for _, o := range []testmedia.Options{
		{Bits: 12, SizeMiB: 2, Label: "FLOPPY"},
		{Bits: 12, SizeMiB: 4, ClusterSectors: 4},
		{Bits: 16, SizeMiB: 16},
		{Bits: 16, SizeMiB: 64, ClusterSectors: 16, Label: "POLL 12"},
		{Bits: 32, SizeMiB: 64, Label: "CARD"},
		{Bits: 32, SizeMiB: 64, ClusterSectors: 1},
		{Bits: 32, SizeMiB: 300, ClusterSectors: 8, SectorBytes: 512},
		{Bits: 32, SizeMiB: 300, ClusterSectors: 1, SectorBytes: 4096},
	} {
		t.Run(fmt.Sprintf("fat%d-%dMiB-%d-%d", o.Bits, o.SizeMiB, o.ClusterSectors, o.SectorBytes), func(t *testing.T) {
			files := tree(150)
			if o.SizeMiB < 8 {
				files = tree(20)
			}
			img := testmedia.FAT(t, o, files)
			m := open(t, img)
			mustBeClean(t, m)
			v := m.Volumes[0]
			if m.Table != "none" || v.FS != fmt.Sprintf("fat%d", o.Bits) || v.Label != o.Label {
				t.Errorf("table %q, file system %q, label %q", m.Table, v.FS, v.Label)
			}
			serial := regexp.MustCompile(`Serial Number is ([0-9A-F]{4}-[0-9A-F]{4})`).FindSubmatch(testmedia.Mtool(t, "mdir", "-i", img, "::/"))
			if serial == nil || string(serial[1]) != v.ID {
				t.Errorf("serial number %q, mdir says %q", v.ID, serial)
			}
			out := t.TempDir()
			testmedia.Mtool(t, "mcopy", "-s", "-Q", "-n", "-i", img, "::/*", out)
			sameTree(t, img, v, out)
			sameTree(t, img, v, testmedia.Folder(t, files))
		})
	}
}

func TestFragmentedFAT(t *testing.T) {
	files := testmedia.Files{}
	for i := range 300 {
		files[fmt.Sprintf("f%03d.bin", i)] = noise(uint64(i), 3000)
	}
	img := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 9, ClusterSectors: 1}, files)
	// Fill the rest, make holes, and fill the holes with one file.
	testmedia.PopulateFAT(t, img, testmedia.Folder(t, testmedia.Files{"rest.bin": noise(9, 7<<20)}))
	args := []string{"-i", img}
	for i := 0; i < 300; i += 2 {
		args = append(args, fmt.Sprintf("::/f%03d.bin", i))
	}
	testmedia.Mtool(t, "mdel", args...)
	testmedia.Mtool(t, "mdel", "-i", img, "::/rest.bin")
	testmedia.PopulateFAT(t, img, testmedia.Folder(t, testmedia.Files{"in pieces.bin": noise(10, 8_000_000)}))
	m := open(t, img)
	mustBeClean(t, m)
	out := t.TempDir()
	testmedia.Mtool(t, "mcopy", "-s", "-Q", "-n", "-i", img, "::/*", out)
	sameTree(t, img, m.Volumes[0], out)
	if n := len(testmedia.Find(t, img, "in pieces.bin").Extents); n < 50 {
		t.Errorf("the file is in %d pieces: the test no longer tests fragmentation", n)
	}
}

func TestExFATAsExfatFuseReadsIt(t *testing.T) {
	for _, o := range []testmedia.Options{
		{SizeMiB: 64, Label: "exlabel"},
		{SizeMiB: 32, ClusterSectors: 1},
		{SizeMiB: 300, ClusterSectors: 256},
	} {
		t.Run(fmt.Sprintf("%dMiB-%d", o.SizeMiB, o.ClusterSectors), func(t *testing.T) {
			files := tree(150)
			files["outside the first plane 🗳.txt"] = []byte("mtools cannot write this one")
			img := testmedia.ExFAT(t, o, files)
			m := open(t, img)
			mustBeClean(t, m)
			v := m.Volumes[0]
			if v.FS != "exfat" || v.Label != o.Label {
				t.Errorf("file system %q, label %q", v.FS, v.Label)
			}
			dump := string(testtool.Run(t, "dump.exfat", img))
			serial := strings.ToLower(strings.ReplaceAll(v.ID, "-", ""))
			if !strings.Contains(strings.ToLower(dump), serial) {
				t.Errorf("dump.exfat does not know the serial number %s:\n%s", v.ID, dump)
			}
			sameTree(t, img, v, testmedia.Folder(t, files))
			testmedia.MountedExFAT(t, img, func(mnt string) { sameTree(t, img, v, mnt) })
		})
	}
}

func TestFragmentedExFAT(t *testing.T) {
	img := testmedia.EmptyExFAT(t, testmedia.Options{SizeMiB: 8, ClusterSectors: 8})
	testmedia.MountedExFAT(t, img, func(mnt string) {
		write := func(name string, p []byte) {
			if err := os.WriteFile(filepath.Join(mnt, name), p, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 1000 {
			write(fmt.Sprintf("f%04d.bin", i), noise(uint64(i), 4096))
		}
		for i := 0; i < 1000; i += 2 {
			if err := os.Remove(filepath.Join(mnt, fmt.Sprintf("f%04d.bin", i))); err != nil {
				t.Fatal(err)
			}
		}
		write("in pieces.bin", noise(10, 4_000_000))
		// A hole: bytes that were never written read as zeros.
		f, err := os.Create(filepath.Join(mnt, "grown.bin"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(20_000); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	})
	m := open(t, img)
	mustBeClean(t, m)
	testmedia.MountedExFAT(t, img, func(mnt string) { sameTree(t, img, m.Volumes[0], mnt) })
	if n := len(testmedia.Find(t, img, "in pieces.bin").Extents); n < 50 {
		t.Errorf("the file is in %d pieces: the test no longer tests fragmentation", n)
	}
}

func TestPartitionedMedia(t *testing.T) {
	a := testmedia.FAT(t, testmedia.Options{Bits: 32, SizeMiB: 40}, testmedia.Files{"a.txt": []byte("first")})
	b := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, testmedia.Files{"b.txt": []byte("second")})
	c := testmedia.EmptyExFAT(t, testmedia.Options{SizeMiB: 16})
	for _, scheme := range []string{"mbr", "gpt", "mbr-logical"} {
		t.Run(scheme, func(t *testing.T) {
			img := testmedia.Partitioned(t, scheme, a, b, c)
			m := open(t, img)
			mustBeClean(t, m)
			if m.Table != strings.TrimSuffix(scheme, "-logical") || len(m.Volumes) != 3 {
				t.Fatalf("table %q with %d volumes", m.Table, len(m.Volumes))
			}
			for i, want := range []struct{ fs, file, text string }{{"fat32", "a.txt", "first"}, {"fat16", "b.txt", "second"}, {"exfat", "", ""}} {
				v := m.Volumes[i]
				if v.FS != want.fs || v.Index != i || v.Offset%(1<<20) != 0 {
					t.Errorf("volume %d: %q at %d", i, v.FS, v.Offset)
				}
				if want.file == "" {
					continue
				}
				f, err := os.Open(img)
				if err != nil {
					t.Fatal(err)
				}
				if len(v.Entries) != 1 || v.Entries[0].Path != want.file || string(content(t, f, v.Entries[0])) != want.text {
					t.Errorf("volume %d: %+v", i, v.Entries)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Windows sets room aside on a GPT disk; it is no volume.
func TestGPTOfWindowsWithReservedPartition(t *testing.T) {
	img := filepath.Join(t.TempDir(), "gpt.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 64<<20); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "sgdisk", "-n", "1:34:+16M", "-t", "1:0c01", "-n", "2:0:+20M", "-t", "2:0700", img)
	m := open(t, img)
	if m.Table != "gpt" || len(m.Volumes) != 1 {
		t.Fatalf("table %q, volumes %+v", m.Table, m.Volumes)
	}
	part, err := os.ReadFile(testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, testmedia.Files{"x": []byte("x")}))
	if err != nil {
		t.Fatal(err)
	}
	testmedia.Poke(t, img, m.Volumes[0].Offset, part...)
	m = open(t, img)
	mustBeClean(t, m)
	if v := m.Volumes[0]; v.FS != "fat16" || len(v.Entries) != 1 {
		t.Errorf("%+v", v)
	}
}

func TestTimesAsRecorded(t *testing.T) {
	img := testmedia.EmptyFAT(t, testmedia.Options{Bits: 16, SizeMiB: 16})
	src := filepath.Join(testmedia.Folder(t, testmedia.Files{"x": []byte("x")}), "x")
	testtool.Run(t, "touch", "-d", "2026-11-03T19:58:42Z", src)
	testmedia.Mtool(t, "mcopy", "-m", "-i", img, src, "::/")
	if e := testmedia.Find(t, img, "x"); e.Modified != "2026-11-03T19:58:42" {
		t.Errorf("modified %q", e.Modified)
	}
}

// Flags that systems leave behind are no damage: media are pulled, and what
// counts is what the hashes say.
func TestFlagsOfPulledMediaAreNoDamage(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 32, SizeMiB: 40}, tree(3))
	le4 := testmedia.Bytes(t, img, 32*512+4, 4)
	testmedia.Poke(t, img, 32*512+7, le4[3]&^0x0C) // Windows: entry 1 of the first FAT only
	testmedia.Poke(t, img, 65, 1)                  // Linux: state in the boot sector only
	mustBeClean(t, open(t, img))
	ex := testmedia.EmptyExFAT(t, testmedia.Options{SizeMiB: 16})
	testmedia.Poke(t, ex, 106, 2)
	testmedia.Poke(t, ex, 112, 77)
	mustBeClean(t, open(t, ex))
}
