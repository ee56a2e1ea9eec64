package volume_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/limit"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// extSeeds are small volumes of mke2fs that have between them everything that
// is read: block maps of all levels, extent trees, a hash tree, data in inodes,
// two groups, and checksums of both kinds.
func extSeeds(t testing.TB) map[string][]byte {
	t.Helper()
	small := testmedia.Files{
		"a": noise(1, 700), "long name of a file, ä.json": noise(2, 3000), "empty": nil, "of 40 blocks": noise(3, 40_000),
		"dir/inner": noise(4, 500), "dir/deep/er": noise(5, 100),
	}
	many := testmedia.Files{"dir/sub/x": noise(1, 2000)}
	for i := range 60 {
		many[fmt.Sprintf("dir/a file with number %02d.json", i)] = nil
	}
	seeds := map[string][]byte{}
	for name, c := range map[string]struct {
		o       testmedia.ExtOptions
		files   testmedia.Files
		reindex bool
	}{
		"ext2":        {testmedia.ExtOptions{Type: "ext2", SizeKiB: 160, Block: 1024, Inode: 128, Inodes: 32, Features: "^resize_inode"}, small, false},
		"ext4":        {testmedia.ExtOptions{SizeKiB: 160, Block: 1024, Inode: 128, Inodes: 32, Features: "^has_journal,^resize_inode"}, small, false},
		"ext4 index":  {testmedia.ExtOptions{SizeKiB: 100, Block: 1024, Inode: 128, Inodes: 80, Features: "^has_journal,^resize_inode"}, many, true},
		"ext4 inline": {testmedia.ExtOptions{SizeKiB: 160, Block: 1024, Inode: 256, Inodes: 32, Features: "^has_journal,^resize_inode,inline_data"}, small, false},
		"ext4 CRC-16": {testmedia.ExtOptions{SizeKiB: 300, Block: 1024, Inode: 128, Inodes: 64, Features: "^has_journal,^resize_inode,^metadata_csum,^64bit,^extents,uninit_bg", More: []string{"-g", "256"}}, small, false},
	} {
		dir := testmedia.Folder(t, c.files)
		if err := os.Symlink(strings.Repeat("far/", 30), dir+"/symlink"); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(dir+"/"+slices.Min(slices.Collect(maps.Keys(c.files))), dir+"/link"); err != nil {
			t.Fatal(err)
		}
		img := testmedia.ExtFrom(t, c.o, dir)
		if c.reindex {
			// It ends with 1 because it has changed something.
			if out, err := exec.Command(testtool.Need(t, "e2fsck"), "-fyD", img).CombinedOutput(); err != nil && !strings.Contains(string(out), "MODIFIED") {
				t.Fatalf("e2fsck: %v\n%s", err, out)
			}
		}
		data, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		seeds[name] = data
	}
	return seeds
}

func TestExtSeedsAreGoodMedia(t *testing.T) {
	for name, data := range extSeeds(t) {
		m, err := volume.Open(bytes.NewReader(data), int64(len(data)), volume.Options{Limits: limit.Default()})
		if err != nil {
			t.Fatal(err)
		}
		mustBeClean(t, m)
		if v := m.Volumes[0]; v.FS != strings.Fields(name)[0] || len(v.Entries) < 8 {
			t.Errorf("%s: %q with %d entries", name, v.FS, len(v.Entries))
		}
		sealed := bytes.Clone(data)
		testmedia.SealExt(sealed)
		for i := range data {
			if sealed[i] != data[i] {
				t.Errorf("%s: sealing a good image changes byte %d", name, i)
				break
			}
		}
	}
}

// structure returns the offsets of the bytes of an image that are neither a
// file's content nor in an empty row of 16.
func structure(t testing.TB, data []byte) (at []int) {
	t.Helper()
	m, err := volume.Open(bytes.NewReader(data), int64(len(data)), volume.Options{Limits: limit.Default()})
	if err != nil {
		t.Fatal(err)
	}
	content := make([]bool, len(data))
	for _, e := range m.Volumes[0].Entries {
		for _, x := range e.Extents {
			for i := range x.Len {
				content[x.Off+i] = x.Off != volume.Zeros
			}
		}
	}
	for i := range data {
		row := data[i&^15 : min(len(data), i&^15+16)]
		if !content[i] && bytes.Count(row, []byte{0}) < len(row) {
			at = append(at, i)
		}
	}
	return at
}

// edited writes numbers over the structures of an image: each six bytes of edits
// are the place (two of them), the width and the number.
func edited(data []byte, at []int, edits []byte) []byte {
	data = bytes.Clone(data)
	for ; len(edits) >= 6; edits = edits[6:] {
		off := at[int(binary.LittleEndian.Uint16(edits))%len(at)]
		if edits[2]&8 != 0 {
			off &^= 3
		}
		n := []int{1, 2, 3, 4}[edits[2]&3]
		if edits[2]&4 != 0 { // further bits of the number are those of its last byte
			copy(data[off:min(len(data), off+n)], bytes.Repeat(edits[5:6], n))
			continue
		}
		copy(data[off:min(len(data), off+n)], edits[3:6])
	}
	return data
}

// FuzzExt edits the structures of a small volume. Fuzzing the bytes of a whole
// image would mostly change contents and bitmaps of nothing.
func FuzzExt(f *testing.F) {
	seeds := extSeeds(f)
	names := slices.Sorted(maps.Keys(seeds))
	places := make([][]int, len(names))
	for i, name := range names {
		places[i] = structure(f, seeds[name])
		for n := range 24 { // one field of the superblock or of a descriptor each
			f.Add(byte(i), []byte{byte(n * 11), 0, 8, byte(n), 1, 0}, uint32(0), uint32(0), true)
		}
		f.Add(byte(i), []byte{}, uint32(40_000), uint32(40_000), false)
	}
	f.Fuzz(func(t *testing.T, seed byte, edits []byte, less, pad uint32, seal bool) {
		i := int(seed) % len(names)
		data := edited(seeds[names[i]], places[i], edits)
		data = data[:len(data)-int(less)%len(data)]
		if seal {
			testmedia.SealExt(data)
		}
		hostile(t, data, pad)
	})
}
