package volume_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/bench/fatimage"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// largeSectors makes an exFAT with sectors of 4096 bytes: mkfs.exfat takes the
// size from a device.
func largeSectors(t *testing.T) string {
	t.Helper()
	testtool.Root(t)
	img := filepath.Join(t.TempDir(), "exfat4096.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 128<<20); err != nil {
		t.Fatal(err)
	}
	loop := strings.TrimSpace(string(testtool.Run(t, "losetup", "--sector-size", "4096", "--find", "--show", img)))
	defer testtool.Run(t, "losetup", "--detach", loop)
	testtool.Run(t, "mkfs.exfat", "-c", "4096", loop)
	return img
}

func TestCrowdedExFATAsExfatFuseReadsIt(t *testing.T) {
	files := crowd(2400)
	files["outside the first plane 🗳/🗳🗳🗳.txt"] = []byte("astral")
	dir := testmedia.Folder(t, files)
	for name, img := range map[string]string{
		"sectors of 512":  testmedia.EmptyExFAT(t, testmedia.Options{SizeMiB: 100, ClusterSectors: 2}),
		"sectors of 4096": largeSectors(t),
	} {
		t.Run(name, func(t *testing.T) {
			testmedia.PopulateExFAT(t, img, dir)
			m := open(t, img)
			mustBeClean(t, m)
			v := m.Volumes[0]
			shift := testmedia.Bytes(t, img, 108, 1)[0]
			if v.FS != "exfat" || fmt.Sprintf("sectors of %d", 1<<shift) != name {
				t.Errorf("file system %q with sectors of %d", v.FS, 1<<shift)
			}
			sameTree(t, img, v, dir)
			testmedia.MountedExFAT(t, img, func(mnt string) { sameTree(t, img, v, mnt) })
		})
	}
}

// A file beyond 4 GiB, of which less was written than its size says. The rest
// are zeros, whatever stands in the clusters.
func TestExFATFileBeyond4GiB(t *testing.T) {
	const size, valid = 1<<32 + 5<<20 + 7, 1<<32 + 1<<20 + 3
	img := filepath.Join(t.TempDir(), "exfat.img")
	m := fatimage.Image{Cluster: 32 << 10, Files: []fatimage.File{{Name: "beyond.bin", Size: size}, {Name: "empty.bin"}, {Name: "next.bin", Size: 5}}}
	if err := m.WriteExFAT(img); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 1 << 31, 1<<32 - 2, valid - 3, valid + 8, size - 5} {
		testmedia.Poke(t, img, testmedia.Where(t, img, "beyond.bin", at), []byte("<mark>")[:5]...)
	}
	off := smallEntrySet(t, img, "beyond.bin")
	set := testmedia.Bytes(t, img, off, 96)
	binary.LittleEndian.PutUint64(set[32+8:], valid)
	sealSet(set)
	testmedia.Poke(t, img, off, set...)
	list := open(t, img)
	mustBeClean(t, list)
	e := list.Volumes[0].Entries[0]
	if last := e.Extents[len(e.Extents)-1]; e.Size != size || last.Off != volume.Zeros || last.Len != size-valid {
		t.Errorf("%d bytes, the last extent is %+v", e.Size, last)
	}
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	testmedia.MountedExFAT(t, img, func(mnt string) {
		theirs, err := os.Open(filepath.Join(mnt, "beyond.bin"))
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		const n = 2 << 20
		for _, at := range []int64{0, 1<<31 - n/2, 1<<32 - n/2} {
			same(t, f, window(e, at, n), io.NewSectionReader(theirs, at, n))
		}
		// exfat-fuse takes no notice of what is valid.
		same(t, f, window(e, valid-9, 9), io.NewSectionReader(theirs, valid-9, 9))
	})
}

// window is a part of a file.
func window(e volume.Entry, at, n int64) volume.Entry {
	var part []volume.Extent
	for _, x := range e.Extents {
		from, to := max(at, 0), min(at+n, x.Len)
		if from < to && x.Off != volume.Zeros {
			part = append(part, volume.Extent{Off: x.Off + from, Len: to - from})
		}
		at -= x.Len
	}
	e.Extents = part
	return e
}

// smallEntrySet finds an entry set in the first 64 MiB of an image that is too
// large to be read.
func smallEntrySet(t *testing.T, img, file string) int64 {
	t.Helper()
	part := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(part, testmedia.Bytes(t, img, 0, 64<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	return testmedia.EntrySet(t, part, file)
}

func TestDeletedOnExFAT(t *testing.T) {
	long := strings.Repeat("a long name, ", 19)
	img := testmedia.ExFAT(t, testmedia.Options{SizeMiB: 16}, testmedia.Files{
		"a.txt": []byte("a"), "kept.txt": []byte("k"), "Stimmzettel für Ärztinnen 選挙 🗳.pdf": []byte("u"), long: []byte("l"),
		"sub/inner.txt": []byte("i"), "sub/kept": []byte("k"), "gone/not counted.txt": []byte("in a deleted folder"),
	})
	if n, names := deletedOn(open(t, img)); n != 0 || len(names) > 0 {
		t.Fatalf("%d deleted on a new medium: %q", n, names)
	}
	testmedia.MountedExFAT(t, img, func(mnt string) {
		for _, name := range []string{"a.txt", "Stimmzettel für Ärztinnen 選挙 🗳.pdf", long, "sub/inner.txt", "gone"} {
			if err := os.RemoveAll(filepath.Join(mnt, name)); err != nil {
				t.Fatal(err)
			}
		}
	})
	m := open(t, img)
	mustBeClean(t, m)
	want := []string{"Stimmzettel für Ärztinnen 選挙 🗳.pdf", long, "a.txt", "gone", "sub/inner.txt"}
	n, names := deletedOn(m)
	if n != 5 || !slices.Equal(names, want) {
		t.Errorf("%d deleted: %q, want %q", n, names, want)
	}
	if len(m.Volumes[0].Entries) != 3 {
		t.Errorf("listed %+v", m.Volumes[0].Entries)
	}
}

// What is left of a deleted set is counted, and named only when it is whole.
func TestPartsOfDeletedSets(t *testing.T) {
	gone := func(set []byte) []byte {
		for i := 0; i < len(set); i += 32 {
			set[i] &^= 0x80
		}
		return set
	}
	whole := gone(exfatSet("a deleted name in two entries", false, 0, 0, false))
	for _, c := range []struct {
		name  string
		set   []byte
		names []string
	}{
		{"whole", whole, []string{"folder/a deleted name in two entries"}},
		{"without its last entry", whole[:96], nil},
		{"without its names", whole[:64], nil},
		{"the file entry alone", whole[:32], nil},
		{"without the file entry", whole[32:], nil},
		{"no characters", gone(exfatSet("", false, 0, 0, false)), nil},
		{"a path of its own", gone(exfatSet("../x", false, 0, 0, false)), []string{"folder/..\uFFFDx"}},
	} {
		img := buildExFAT()
		dir := img[(26+5-2)*sector:][:sector]
		copy(dir[128+copy(dir[128:], c.set):], exfatSet("behind", false, 0, 0, false))
		m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
		if err != nil {
			t.Fatal(err)
		}
		mustBeClean(t, m)
		count := int64(1)
		if c.name == "without the file entry" {
			count = 0
		}
		if n, names := deletedOn(m); n != count || !slices.Equal(names, c.names) {
			t.Errorf("%s: %d deleted: %q", c.name, n, names)
		}
		if e := m.Volumes[0].Entries; e[len(e)-1].Path != "folder/behind" {
			t.Errorf("%s: the last file is %q", c.name, e[len(e)-1].Path)
		}
	}
}

// TestExFATBitmapInPieces moves one cluster of the bitmap elsewhere.
func TestExFATBitmapInPieces(t *testing.T) {
	m := fatimage.Image{Cluster: 512, Files: []fatimage.File{{Name: "large.bin", Size: 20_000 * 512}, {Name: "small.bin", Size: 512}}}
	img := filepath.Join(t.TempDir(), "exfat")
	if err := m.WriteExFAT(img); err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	table, heap, clusters := p[24*sector:], int(le.Uint32(p[88:]))*sector, int(le.Uint32(p[92:]))
	at := func(c int) []byte { return p[heap+(c-2)*512:][:512] }
	const moved = 4 // of the bitmap, which begins with cluster 2
	free := clusters + 1
	copy(at(free), at(moved))
	for i, v := range map[int]uint32{moved - 1: uint32(free), free: moved + 1, moved: 0} {
		le.PutUint32(table[4*i:], v)
	}
	at(2)[(moved-2)/8] &^= 1 << ((moved - 2) % 8)
	bit := free - 2
	last := at(2 + bit/8/512)
	last[bit/8%512] |= 1 << (bit % 8)
	if err := os.WriteFile(img, p, 0o644); err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "fsck.exfat", "-n", img)
	list := open(t, img)
	mustBeClean(t, list)
	if n := len(list.Volumes[0].Entries); n != 2 {
		t.Errorf("%d entries", n)
	}
	// The piece that was moved counts, and the place where it was does not.
	used := at(free)[100]
	at(free)[100] = 0
	at(moved)[100] = 0xFF
	list, err = volume.Open(bytes.NewReader(p), int64(len(p)), options)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, list, "entry", fmt.Sprintf("its cluster %d is marked as free", 2+(moved-2)*4096+800))
	at(free)[100] = used
	p[heap+(moved-2)*512] = 0
	le.PutUint32(table[4*free:], 3) // a circle
	list, err = volume.Open(bytes.NewReader(p), int64(len(p)), options)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, list, "volume", "circle")
}

func TestTexFATIsNamed(t *testing.T) {
	img := buildExFAT()
	img[110] = 2
	sealRegions(img)
	m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, m, "volume", "filesystem-unsupported")
	wantProblem(t, m, "volume", "this is TexFAT")
	if n := len(m.Volumes[0].Entries); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// Entries that a system need not know change nothing; those that it has to know
// make the volume unreadable for it.
func TestEntriesOfVendorsOnExFAT(t *testing.T) {
	entry := func(kind byte) []byte { return append([]byte{kind}, make([]byte, 31)...) }
	extended := func(kind byte) []byte {
		set := append(exfatSet("extended", false, 0, 0, false), entry(kind)...)
		set[1]++
		sealSet(set)
		return set
	}
	for _, c := range []struct {
		name string
		set  []byte
		want string
	}{
		{"volume GUID", entry(0xA0), ""},
		{"padding of TexFAT", entry(0xA1), ""},
		{"access rights of Windows CE", entry(0xA2), ""},
		{"benign entry with a secondary one", append(entry(0xA5), entry(0xE5)...), ""},
		{"vendor extension", extended(0xE0), ""},
		{"vendor allocation", extended(0xE1), ""},
		{"critical secondary entry too many", extended(0xC2), "a critical entry too many"},
		{"critical entry", entry(0x86), "nobody knows the critical entry"},
		{"critical secondary entry alone", entry(0xC2), "belongs to no file"},
	} {
		img := buildExFAT()
		dir := img[(26+5-2)*sector:][:sector]
		copy(dir[128+copy(dir[128:], c.set):], exfatSet("behind", false, 0, 0, false))
		m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			mustBeClean(t, m)
		} else {
			wantProblem(t, m, "volume", c.want)
		}
		if e := m.Volumes[0].Entries; e[len(e)-1].Path != "folder/behind" {
			t.Errorf("%s: the last file is %q", c.name, e[len(e)-1].Path)
		}
	}
}

// Files that are written and deleted in turn leave everything in pieces.
func TestChurnedExFAT(t *testing.T) {
	img := testmedia.EmptyExFAT(t, testmedia.Options{SizeMiB: 16, ClusterSectors: 1})
	testmedia.MountedExFAT(t, img, func(mnt string) {
		for round := range 4 {
			for i := range 400 {
				dir := filepath.Join(mnt, fmt.Sprintf("round %d", round))
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%03d.bin", i)), noise(uint64(round*1000+i), 700*(1+i%9*(round+1))), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for i := round % 2; i < 400; i += 2 {
				if err := os.Remove(filepath.Join(mnt, fmt.Sprintf("round %d/f%03d.bin", round, i))); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	m := open(t, img)
	mustBeClean(t, m)
	n, names := deletedOn(m)
	if n == 0 || len(names) != 64 {
		t.Errorf("%d deleted, %d named", n, len(names))
	}
	pieces := 0
	for _, e := range m.Volumes[0].Entries {
		pieces = max(pieces, len(e.Extents))
	}
	if pieces < 5 {
		t.Errorf("files are in %d pieces at most: the test no longer tests fragmentation", pieces)
	}
	testmedia.MountedExFAT(t, img, func(mnt string) { sameTree(t, img, m.Volumes[0], mnt) })
	testtool.Run(t, "fsck.exfat", "-n", img)
}
