package volume_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// nodes is what a tree has, in one line for each path. Contents of files over
// most bytes are left out.
type nodes map[string]string

const mostHashed = 64 << 20

// listed returns the nodes of a volume. With types, a further name of a file is
// the file once more.
func listed(t *testing.T, img string, v volume.Volume) nodes {
	t.Helper()
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := nodes{}
	for _, e := range v.Entries {
		what := e.Type.Word()
		switch {
		case e.Type == medium.File && e.Size <= mostHashed:
			what = fmt.Sprintf("file %d %x", e.Size, sha256.Sum256(content(t, f, e)))
		case e.Type == medium.File || e.Type == medium.HardLink:
			what = fmt.Sprintf("%s %d", what, e.Size)
		}
		if out[e.Path] != "" {
			t.Errorf("%q is listed twice", e.Path)
		}
		out[e.Path] = what
	}
	return out
}

// sourced returns the nodes of a folder of the host.
func sourced(t *testing.T, dir string) nodes {
	t.Helper()
	out := nodes{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		what := map[os.FileMode]string{
			os.ModeDir: "folder", os.ModeSymlink: "symlink", os.ModeNamedPipe: "fifo", os.ModeSocket: "socket",
			os.ModeDevice: "blockdevice", os.ModeDevice | os.ModeCharDevice: "chardevice",
		}[info.Mode().Type()]
		if info.Mode().IsRegular() {
			what = fmt.Sprintf("file %d", info.Size())
			if info.Size() <= mostHashed {
				data, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				what = fmt.Sprintf("file %d %x", len(data), sha256.Sum256(data))
			}
		}
		out[rel] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// debugged returns the nodes of an image as debugfs reads it, without contents.
func debugged(t *testing.T, img string) nodes {
	t.Helper()
	line := regexp.MustCompile(`^/(\d+)/(\d+)/\d+/\d+/([^/]*)/(\d*)/$`)
	kinds := map[string]string{"04": "folder", "12": "symlink", "10": "file", "01": "fifo", "14": "socket", "02": "chardevice", "06": "blockdevice"}
	out := nodes{}
	level := map[string]string{"": "2"} // folders by path, and their inodes
	for len(level) > 0 {
		var commands, order []string
		for dir, ino := range level {
			commands, order = append(commands, "ls -p <"+ino+">"), append(order, dir)
		}
		level = map[string]string{}
		dir, n := "", 0
		for _, l := range strings.Split(testmedia.DebugFS(t, img, false, commands...), "\n") {
			if strings.HasPrefix(l, "debugfs:") {
				if n < len(order) {
					dir = order[n]
				}
				n++
				continue
			}
			m := line.FindStringSubmatch(l)
			if m == nil || m[3] == "." || m[3] == ".." || m[1] == "0" {
				continue
			}
			p := path.Join(dir, m[3])
			out[p] = kinds[m[2][:2]]
			switch out[p] {
			case "file":
				out[p] += " " + m[4]
			case "folder":
				level[p] = m[1]
			}
		}
	}
	return out
}

// sameNodes compares nodes; plain leaves contents out and takes a further name of a
// file for a file.
func sameNodes(t *testing.T, what string, got, want nodes, plain bool) {
	t.Helper()
	simple := func(s string) string {
		if w := strings.Fields(s); plain || w[0] == "hardlink" {
			s = strings.Join(w[:min(2, len(w))], " ")
		}
		return strings.Replace(s, "hardlink", "file", 1)
	}
	bad := 0
	for p, w := range want {
		g := got[p]
		if g == "" {
			g = "nothing"
		}
		if strings.HasPrefix(g, "hardlink") {
			w = strings.Join(strings.Fields(w)[:2], " ")
		}
		if plain {
			w = simple(w)
		}
		if simple(g) != w {
			if bad++; bad < 10 {
				t.Errorf("%q is %s, and %s in %s", p, simple(g), w, what)
			}
		}
	}
	for p := range got {
		if want[p] == "" && p != "lost+found" {
			t.Errorf("%q is not in %s", p, what)
		}
	}
}

// sevenZip compares the names and sizes of files and folders with those of 7z.
func sevenZip(t *testing.T, img string, got nodes) {
	t.Helper()
	want := nodes{}
	name := ""
	folder := false
	for _, l := range strings.Split(string(testtool.Run(t, "7z", "l", "-slt", "-ba", "-text", img)), "\n") {
		key, val, _ := strings.Cut(l, " = ")
		switch key {
		case "Path":
			name = val
		case "Folder":
			folder = val == "+"
		case "Size":
			if want[name] = "file " + val; folder {
				want[name] = "folder"
			}
		}
	}
	for p, w := range want {
		g := got[p]
		if strings.HasPrefix(g, "hardlink") {
			g = strings.Replace(g, "hardlink", "file", 1)
		}
		if strings.HasPrefix(g, "file") || g == "folder" || g == "" {
			if g = strings.Join(strings.Fields(g)[:min(2, len(strings.Fields(g)))], " "); g != w && !strings.HasPrefix(p, "[") {
				t.Errorf("%q is %q here and %q for 7z", p, g, w)
			}
		}
	}
	if len(want) < len(got)/2 {
		t.Errorf("7z lists %d of %d", len(want), len(got))
	}
}

// extTree is tree with what only Unix has; names that 7z or mke2fs would change
// are in it as well.
func extTree(t *testing.T, files int) string {
	t.Helper()
	all := tree(files)
	maps.Copy(all, testmedia.Files{
		"outside the first plane 🗳.txt": []byte("x"), strings.Repeat("n", 255): []byte("255"), "inline": noise(7, 60), "inline and more": noise(8, 100),
		"of several blocks.bin": noise(9, 1_300_000),
	})
	dir := testmedia.Folder(t, all)
	testmedia.Specials(t, dir, "of several blocks.bin")
	f, err := os.Create(filepath.Join(dir, "sparse.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{100_000, 5_000_000, 40_000_000} {
		if _, err := f.WriteAt(noise(uint64(off), 10_000), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(50_000_000); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExtAsDebugFSReadsIt(t *testing.T) {
	dir := extTree(t, 700)
	want := sourced(t, dir)
	for name, o := range map[string]testmedia.ExtOptions{
		"ext2":                {Type: "ext2", Label: "ÄÖÜ card"},
		"ext2 1k":             {Type: "ext2", Block: 1024},
		"ext2 rev 0":          {Type: "ext2", Block: 1024, Inode: 128, More: []string{"-r", "0"}},
		"ext2 old groups":     {Type: "ext2", Block: 1024, Features: "^sparse_super,^resize_inode,^dir_index", More: []string{"-g", "2048"}},
		"ext2 no types":       {Type: "ext2", Features: "^filetype"},
		"ext3":                {Type: "ext3", Label: "card"},
		"ext4":                {Label: "sixteen letters!"},
		"ext4 1k":             {Block: 1024},
		"ext4 2k":             {Block: 2048, Inode: 1024},
		"ext4 64k":            {Block: 65536, SizeMiB: 600},
		"ext4 no checksums":   {Features: "^metadata_csum"},
		"ext4 CRC-16":         {Features: "^metadata_csum,^64bit,uninit_bg"},
		"ext4 CRC-16 64 bit":  {Features: "^metadata_csum,uninit_bg"},
		"ext4 32 bit":         {Features: "^64bit"},
		"ext4 no extents":     {Features: "^extents,^64bit"},
		"ext4 no flex":        {Features: "^flex_bg"},
		"ext4 meta groups":    {Block: 1024, SizeMiB: 300, Features: "meta_bg,^resize_inode"},
		"ext4 sparse_super2":  {Block: 1024, Features: "sparse_super2"},
		"ext4 own seed":       {Features: "metadata_csum_seed,orphan_file,quota,project"},
		"ext4 mmp and others": {Features: "mmp,casefold,encrypt,verity,large_dir,ea_inode"},
		"ext4 inline":         {Features: "inline_data", Inode: 256},
	} {
		t.Run(name, func(t *testing.T) {
			o.Inodes = 4000
			img := testmedia.ExtFrom(t, o, dir)
			m := open(t, img)
			mustBeClean(t, m)
			v := m.Volumes[0]
			if wantFS := strings.Fields(name)[0]; m.Table != "none" || v.FS != wantFS || v.Label != o.Label || v.ID != "5a11704e-7000-4000-8000-0000000000e4" {
				t.Errorf("table %q, file system %q, label %q, ID %q", m.Table, v.FS, v.Label, v.ID)
			}
			got := listed(t, img, v)
			source := maps.Clone(want)
			if _, has := got["socket"]; !has {
				delete(source, "socket") // this mke2fs leaves it out
			}
			if o.Features == "inline_data" {
				delete(source, "sparse.bin") // mke2fs 1.47.0 forgets the hole at its end
				delete(got, "sparse.bin")
			}
			sameNodes(t, "the source", got, source, false)
			ref := debugged(t, img)
			if o.Features == "inline_data" {
				delete(ref, "sparse.bin")
			}
			sameNodes(t, "debugfs", got, ref, true)
			if name == "ext4" || name == "ext2" || name == "ext3" {
				sevenZip(t, img, got)
				out := t.TempDir()
				testmedia.DebugFS(t, img, false, "rdump / "+out)
				dumped := sourced(t, out)
				for p, w := range dumped {
					if g := got[p]; strings.HasPrefix(g, "file") && g != w {
						t.Errorf("%q is %s, and debugfs dumps %s", p, g, w)
					}
				}
			}
			for _, e := range v.Entries {
				if sparse := e.Traits&medium.Sparse != 0; sparse != (e.Path == "sparse.bin") {
					t.Errorf("%q: sparse %v", e.Path, sparse)
				}
			}
		})
	}
}

// Sizes on both sides of 2³² bytes, and a file for which three levels of
// indirect blocks are needed.
func TestLargeFilesOnExt(t *testing.T) {
	dir := t.TempDir()
	sizes := map[string]int64{"one less.bin": 1<<32 - 1, "beyond.bin": 1<<32 + 5000, "far.bin": 1 << 34}
	for name, size := range sizes {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, off := range []int64{0, 1 << 20, 1 << 30, size - 5000} {
			if _, err := f.WriteAt(noise(uint64(off), 5000), off); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, o := range map[string]testmedia.ExtOptions{"ext4": {}, "ext3": {Type: "ext3"}, "ext2 2k": {Type: "ext2", Block: 2048}} {
		t.Run(name, func(t *testing.T) {
			img := testmedia.ExtFrom(t, o, dir)
			m := open(t, img)
			mustBeClean(t, m)
			f, err := os.Open(img)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, e := range m.Volumes[0].Entries {
				if want, is := sizes[e.Path]; is {
					if e.Size != want || e.Traits != medium.Sparse {
						t.Errorf("%q has %d bytes, traits %q", e.Path, e.Size, e.Traits.Words())
					}
					samePieces(t, f, e, filepath.Join(dir, e.Path))
					delete(sizes, e.Path)
				}
			}
			if len(sizes) > 0 {
				t.Errorf("not listed: %v", sizes)
			}
			sizes = map[string]int64{"one less.bin": 1<<32 - 1, "beyond.bin": 1<<32 + 5000, "far.bin": 1 << 34}
		})
	}
}

// samePieces compares a sparse file with its source, hole by hole.
func samePieces(t *testing.T, dev io.ReaderAt, e volume.Entry, source string) {
	t.Helper()
	src, err := os.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	read := func(r io.ReaderAt, off, n int64) string {
		p := make([]byte, n)
		if _, err := r.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
		return string(p)
	}
	at := int64(0)
	for _, x := range e.Extents {
		end := at + x.Len
		if x.Off != volume.Zeros {
			if read(src, at, x.Len) != read(dev, x.Off, x.Len) {
				t.Errorf("%q differs at byte %d", e.Path, at)
			}
			at = end
			continue
		}
		for at < end {
			begin, err := unix.Seek(int(src.Fd()), at, unix.SEEK_DATA)
			if err != nil || begin >= end {
				break
			}
			stop, err := unix.Seek(int(src.Fd()), begin, unix.SEEK_HOLE)
			if err != nil {
				t.Fatal(err)
			}
			if stop = min(stop, end); strings.Trim(read(src, begin, stop-begin), "\x00") != "" {
				t.Errorf("%q is a hole at byte %d, and its source is not", e.Path, begin)
			}
			at = stop
		}
		at = end
	}
}

// The magic number alone may stand in the table of a FAT, between the numbers
// of other clusters or with free ones around it.
func TestMagicOfExtInAFAT(t *testing.T) {
	img := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20, ClusterSectors: 1}, testmedia.Files{"a": noise(1, 700)})
	chain := make([]byte, 512)
	for i := range 256 {
		binary.LittleEndian.PutUint16(chain[2*i:], uint16(257+i))
	}
	for what, table := range map[string][]byte{"noise": noise(2, 512), "a chain": chain, "free clusters": make([]byte, 512)} {
		testmedia.Poke(t, img, 1024, table...)
		testmedia.Poke(t, img, 1080, 0x53, 0xEF)
		_, vols, _ := problems(open(t, img))
		for _, p := range vols {
			if strings.Contains(p, "claims to be") {
				t.Errorf("%s: %s", what, p)
			}
		}
	}
}

// Media that were resized and converted are as good as new ones.
func TestExtThatWasChangedByItsTools(t *testing.T) {
	files := tree(100)
	dir := testmedia.Folder(t, files)
	for _, o := range []testmedia.ExtOptions{{Type: "ext2"}, {Type: "ext3", Block: 1024}, {Features: "^64bit,^flex_bg"}, {Block: 1024, Features: "meta_bg,^resize_inode,^64bit,^flex_bg"}} {
		o.SizeMiB, o.Inode = 32, 128
		img := testmedia.ExtFrom(t, o, dir)
		for _, step := range []string{
			"truncate -s 200M IMG", "resize2fs -f IMG", "e2fsck -fyD IMG", "resize2fs -f IMG 60M", "tune2fs -U random IMG", "tune2fs -I 256 IMG",
			"tune2fs -O extents,metadata_csum IMG", "e2fsck -fy IMG", "resize2fs -b IMG",
		} {
			w := strings.Fields(strings.ReplaceAll(step, "IMG", img))
			cmd := exec.Command(testtool.Need(t, w[0]), w[1:]...)
			if out, err := cmd.CombinedOutput(); err != nil && w[0] != "e2fsck" { // it ends with 1 when it has changed something
				t.Fatalf("%s: %v\n%s", step, err, out)
			}
			m := open(t, img)
			mustBeClean(t, m)
			if n := len(m.Volumes[0].Entries); n < len(files) {
				t.Errorf("%s: %d entries", step, n)
			}
		}
		v := open(t, img).Volumes[0]
		sameNodes(t, "the source", listed(t, img, v), sourced(t, dir), false)
	}
}
