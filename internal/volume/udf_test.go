package volume_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// udfNoise is content that repeats nowhere.
func udfNoise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(b)
	return b
}

// udfFiles is a tree with names that udfclient can write.
func udfFiles() testmedia.Files {
	f := testmedia.Files{
		"README.TXT": []byte("hello\n"), "empty.bin": {}, "empty folder/": nil,
		"a name of more than eight letters, and then some more of them.txt": udfNoise(1, 5000),
		"big.bin": udfNoise(2, 3<<20), strings.Repeat("n", 120) + ".dat": udfNoise(3, 100),
	}
	deep := ""
	for i := range 12 {
		deep += fmt.Sprintf("level %02d/", i)
		f[deep+"file.bin"] = udfNoise(uint64(100+i), 1000*i)
	}
	for i := range 300 {
		f[fmt.Sprintf("many/ballot-%04d.json", i)] = udfNoise(uint64(1000+i), 10+i*7)
	}
	return f
}

// Media formatted by mkudffs and filled by udfclient, both of which know nothing
// of each other; what the reader says of them is compared with the source, and
// with what udfclient reads back.
func TestUDFAsOtherProgramsWriteIt(t *testing.T) {
	for _, o := range []testmedia.UDFOptions{
		{Revision: "1.02"}, {Revision: "2.01"},
		{Revision: "1.50", Block: 2048}, {Revision: "2.01", Block: 4096},
		{Media: "dvdrw", Revision: "1.50", Block: 2048}, {Media: "cdrw", Revision: "2.01", Block: 2048},
	} {
		t.Run(fmt.Sprintf("%s %s %d", o.Media, o.Revision, o.Block), func(t *testing.T) {
			t.Parallel() // udfclient sleeps more than it works
			dir := testmedia.Folder(t, udfFiles())
			img := testmedia.UDFFrom(t, o, dir)
			m := open(t, img)
			mustBeClean(t, m)
			v := m.Volumes[0]
			if v.FS != "udf" || v.Label != "L" || v.ID != "0123456789abcdef" {
				t.Errorf("%q, label %q, ID %q", v.FS, v.Label, v.ID)
			}
			sameTree(t, img, v, dir)
			back := testmedia.UDFCopy(t, img, max(o.Block, 512), "big.bin", "level 00", "README.TXT")
			for _, name := range []string{"big.bin", "README.TXT", "level 00/level 01/level 02/level 03/file.bin"} {
				got, err := os.ReadFile(filepath.Join(back, name))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, udfFiles()[name]) {
					t.Errorf("udfclient reads %s differently", name)
				}
			}
			if o.Media == "" && (o.Block == 0 || o.Block == 2048) { // all that 7z knows
				same7z(t, img, v)
			}
		})
	}
}

// same7z compares names and sizes with those that 7-Zip lists.
func same7z(t *testing.T, img string, v volume.Volume) {
	t.Helper()
	var want []string
	cur := ""
	for line := range strings.Lines(string(testtool.Run(t, "7z", "l", "-slt", "-tudf", img))) {
		key, val, _ := strings.Cut(strings.TrimRight(line, "\n"), " = ")
		switch {
		case key == "Path" && val != img:
			cur = val
		case key == "Size" && cur != "":
			want = append(want, cur+" "+val)
			cur = ""
		case key == "Folder" && val == "+" && cur != "":
			cur = ""
		}
	}
	var got []string
	for _, e := range v.Entries {
		if e.Type == medium.File {
			got = append(got, fmt.Sprintf("%s %d", e.Path, e.Size))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("7z lists %d files, the reader %d: %.300q and %.300q", len(want), len(got), want, got)
	}
}

// mkudffs can write a table whose only partition is the whole medium.
func TestUDFWithTableOfItself(t *testing.T) {
	img := testmedia.Blank(t, "stick.img", 8<<20)
	testtool.Run(t, "mkudffs", "--media-type=hd", "--blocksize=512", "--bootarea=mbr", "--label=STICK", img)
	m := open(t, img)
	mustBeClean(t, m)
	if v := m.Volumes[0]; m.Table != "none" || len(m.Volumes) != 1 || v.FS != "udf" || v.Label != "STICK" || v.Size != 8<<20 {
		t.Errorf("table %q, %d volumes, %q", m.Table, len(m.Volumes), v.FS)
	}
	testmedia.Poke(t, img, 446+12, 0xFF, 0x3F) // one sector less
	wantProblem(t, open(t, img), "medium", "at the partition table itself")
}

// Every kind of medium that mkudffs knows, empty.
func TestUDFEmptyMedia(t *testing.T) {
	for _, c := range []struct {
		media     string
		revisions string
		blocks    string
	}{
		{"hd", "1.01 1.02 1.50 2.00 2.01", "512 1024 2048 4096"}, {"dvd", "1.02 2.01", "2048"}, {"dvdram", "1.02 2.01", "2048"},
		{"dvdrw", "1.50 2.01", "2048"}, {"cdrw", "1.50 2.01", "2048"}, {"dvdr", "1.50 2.00 2.60", "2048"},
		{"cdr", "1.50 2.01 2.60", "2048"}, {"bdr", "2.50 2.60", "2048"},
	} {
		for _, rev := range strings.Fields(c.revisions) {
			for _, block := range strings.Fields(c.blocks) {
				t.Run(c.media+" "+rev+" "+block, func(t *testing.T) {
					var n int
					fmt.Sscan(block, &n)
					m := open(t, testmedia.EmptyUDF(t, testmedia.UDFOptions{Media: c.media, Revision: rev, Block: n, Blocks: 8000}))
					mustBeClean(t, m)
					if v := m.Volumes[0]; v.FS != "udf" || len(v.Entries) != 0 {
						t.Errorf("%q, %d entries", v.FS, len(v.Entries))
					}
				})
			}
		}
	}
}

// odd is a tree with one of everything that UDF can hold.
func odd() []testmedia.UDFNode {
	return []testmedia.UDFNode{
		{Name: "plain.txt", Data: []byte("plain")},
		{Name: "Wähler ä.txt", Data: udfNoise(1, 3000)}, {Name: "選挙.txt", Data: udfNoise(2, 700)}, {Name: "\U0001F5F3.bin", Data: udfNoise(3, 10)},
		{Name: "empty"},
		{Name: "pieces.bin", Data: udfNoise(4, 150_000), Pieces: 1},
		{Name: "sparse.bin", Data: udfNoise(5, 8192), Hole: 1 << 20, Unwritten: 10_000},
		{Name: "folder", Folder: true, Kids: []testmedia.UDFNode{
			{Name: "inner", Data: udfNoise(6, 2000)},
			{Name: "again", Link: "0"},
			{Name: "empty folder", Folder: true},
		}},
		{Name: "streams.bin", Data: []byte("main"), Streams: []testmedia.UDFNode{{Name: "one", Data: udfNoise(7, 5000)}, {Name: "two", Data: []byte("2")}}},
		{Name: "gone.txt", Deleted: true},
		{Name: "hidden.txt", Hidden: true, Data: []byte("hidden")},
		{Name: "sym", Type: 12, Data: []byte{5, 2, 0, 0, 8, 'a'}},
		{Name: "fifo", Type: 9}, {Name: "socket", Type: 10}, {Name: "char", Type: 7}, {Name: "block", Type: 6},
		{Name: "realtime", Type: 249, Data: udfNoise(8, 600)}, {Name: "strange", Type: 251},
	}
}

// collect puts the files of a tree into want, by path.
func collect(want map[string][]byte, dir string, kids []testmedia.UDFNode) {
	for _, k := range kids {
		path := strings.TrimPrefix(dir+"/"+k.Name, "/")
		switch {
		case len(k.Kids) > 0:
			collect(want, path, k.Kids)
		case !k.Folder && !k.Deleted && k.Link == "" && (k.Type == 0 || k.Type == 249):
			want[path] = append(bytes.Clone(k.Data), make([]byte, k.Hole+k.Unwritten)...)
		}
	}
}

// The shapes that no program here can fill, written by the tests' own writer.
func TestUDFInEveryShape(t *testing.T) {
	for _, block := range []int{512, 1024, 2048, 4096} {
		for _, kind := range []string{"", "vat", "sparable", "metadata", "duplicate"} {
			for _, s := range []testmedia.UDFShape{
				{Revision: 0x102}, {Revision: 0x150, LongADs: true}, {Revision: 0x200, Embed: true}, {Revision: 0x201, Plain: true},
				{Revision: 0x250, LongADs: true, Embed: true}, {Revision: 0x260},
			} {
				s.Block, s.Kind = block, kind
				tree := odd()
				if s.Revision < 0x200 { // no named streams in those
					tree[8].Streams = nil
				}
				t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
					everyShape(t, testmedia.UDFImage(s, tree), tree, s)
				})
			}
		}
	}
}

func everyShape(t *testing.T, img []byte, tree []testmedia.UDFNode, s testmedia.UDFShape) {
	m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
	if err != nil {
		t.Fatal(err)
	}
	sane(t, m)
	mustBeClean(t, m)
	want := map[string][]byte{}
	collect(want, "", tree)
	v := m.Volumes[0]
	kinds := map[medium.Type]int{}
	for _, e := range v.Entries {
		kinds[e.Type]++
		if e.Type != medium.File {
			continue
		}
		w, ok := want[e.Path]
		if got := content(t, bytes.NewReader(img), e); !ok || !bytes.Equal(got, w) {
			t.Errorf("%q: %d bytes, wanted %d, %t", e.Path, len(got), len(w), ok)
		}
		if sparse := e.Traits&medium.Sparse != 0; sparse != (e.Path == "sparse.bin") {
			t.Errorf("%q: traits %v", e.Path, e.Traits.Words())
		}
		delete(want, e.Path)
	}
	if len(want) > 0 {
		t.Errorf("%d files are not listed", len(want))
	}
	streams := 2
	if s.Revision < 0x200 || s.Plain {
		streams = 0
	}
	for kind, n := range map[medium.Type]int{
		medium.Folder: 2, medium.HardLink: 1, medium.Stream: streams, medium.Symlink: 1,
		medium.FIFO: 1, medium.Socket: 1, medium.CharDevice: 1, medium.BlockDevice: 1, medium.Other: 1,
	} {
		if kinds[kind] != n {
			t.Errorf("%d of the type %s, want %d", kinds[kind], kind.Word(), n)
		}
	}
	if v.Deleted != 1 || !slices.Equal(v.DeletedNames, []string{"gone.txt"}) {
		t.Errorf("%d deleted: %q", v.Deleted, v.DeletedNames)
	}
}

// The tests' own writer has to convince others as well.
func TestUDFMadeHereIsReadBy7z(t *testing.T) {
	files := udfFiles()
	files["Wähler/Stimmzettel ä ö ü.txt"], files["選挙/票.txt"] = udfNoise(7, 4000), udfNoise(8, 10)
	for _, s := range []testmedia.UDFShape{
		{Block: 2048, Revision: 0x102}, {Block: 512, Revision: 0x201}, {Block: 2048, Revision: 0x200, Embed: true},
		{Block: 2048, Revision: 0x150, LongADs: true}, {Block: 512, Revision: 0x201, Plain: true, Embed: true},
		{Block: 2048, Revision: 0x250, Kind: "metadata"},
	} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "made.udf")
			if err := os.WriteFile(img, testmedia.UDFImage(s, testmedia.UDFTree(files)), 0o644); err != nil {
				t.Fatal(err)
			}
			testtool.Run(t, "udfinfo", img)
			m := open(t, img)
			mustBeClean(t, m)
			dir := t.TempDir()
			testtool.Run(t, "7z", "x", "-y", "-o"+dir, "-tudf", img)
			sameTree(t, img, m.Volumes[0], dir)
			sameTree(t, img, m.Volumes[0], testmedia.Folder(t, files))
		})
	}
}

// A file in pieces of one block, with more allocation descriptors than fit into
// its entry, and one beyond 4 GiB that is mostly a hole.
func TestUDFLargeAndFragmentedFiles(t *testing.T) {
	tree := []testmedia.UDFNode{
		{Name: "pieces.bin", Data: udfNoise(1, 3<<20), Pieces: 1},
		{Name: "4 GiB less one.bin", Data: udfNoise(2, 4096), Hole: 4<<30 - 4096 - 1},
		{Name: "beyond.bin", Data: udfNoise(3, 1<<20), Hole: 5 << 30, Unwritten: 1<<20 + 7},
		{Name: "folder in pieces", Pieces: 1},
	}
	for i := range 5000 {
		tree[3].Kids = append(tree[3].Kids, testmedia.UDFNode{Name: strings.Repeat("x", i%60) + fmt.Sprint(i)})
	}
	for _, s := range []testmedia.UDFShape{{Block: 512}, {Block: 2048, LongADs: true}, {Block: 512, Kind: "vat"}, {Block: 2048, Kind: "sparable"}, {Block: 2048, Kind: "metadata"}} {
		img := testmedia.UDFImage(s, tree)
		m, err := volume.Open(bytes.NewReader(img), int64(len(img)), options)
		if err != nil {
			t.Fatal(err)
		}
		sane(t, m)
		mustBeClean(t, m)
		if n := len(m.Volumes[0].Entries); n != 5004 {
			t.Errorf("%+v: %d entries", s, n)
		}
		for i, e := range m.Volumes[0].Entries {
			if i >= 3 { // the folder
				continue
			}
			n := tree[i]
			if want := int64(len(n.Data)) + n.Hole + n.Unwritten; e.Size != want {
				t.Errorf("%s has %d bytes, want %d", e.Path, e.Size, want)
			}
			got, at := []byte{}, 0
			for at < len(e.Extents) && e.Extents[at].Off != volume.Zeros {
				x := e.Extents[at]
				got = append(got, img[x.Off:x.Off+x.Len]...)
				at++
			}
			if !bytes.Equal(got, n.Data) || at < len(e.Extents)-1 {
				t.Errorf("%+v: %s: %d bytes in %d extents", s, e.Path, len(got), len(e.Extents))
			}
			if i == 0 && len(e.Extents) < 3<<20/s.Block-8 {
				t.Errorf("%d extents are not fragmented", len(e.Extents))
			}
		}
	}
}

// crowd is a medium with n files in folders of 20,000.
func udfCrowd(n int) []byte {
	var root []testmedia.UDFNode
	for d := 0; d*20_000 < n; d++ {
		dir := testmedia.UDFNode{Name: fmt.Sprintf("dir %05d", d)}
		for i := range min(20_000, n-d*20_000) {
			dir.Kids = append(dir.Kids, testmedia.UDFNode{Name: fmt.Sprintf("ballot-%02d-%06d.json", d, i), Data: make([]byte, 1+i%600)})
		}
		root = append(root, dir)
	}
	return testmedia.UDFImage(testmedia.UDFShape{}, root)
}

func TestUDFOfManyFilesIsReadInFewReads(t *testing.T) {
	img := udfCrowd(100_000)
	dev := &padded{data: img, size: int64(len(img))}
	before := live()
	start := time.Now()
	m, err := volume.Open(dev, dev.size, options)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	used := int64(live()-before) >> 20
	mustBeClean(t, m)
	if n := len(m.Volumes[0].Entries); n != 100_005 {
		t.Errorf("%d entries", n)
	}
	if dev.read > 2*dev.size || used > 40 {
		t.Errorf("%d MiB were read of %d; the listing keeps %d MiB", dev.read>>20, dev.size>>20, used)
	}
	t.Logf("100,005 entries in %v; they keep %d MiB; %.1f of %.1f MiB were read", took, used, float64(dev.read)/(1<<20), float64(dev.size)/(1<<20))
}
