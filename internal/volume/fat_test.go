package volume_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/bench/fatimage"
	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// same compares a file of any size, by its extents, with what another program
// reads of it.
func same(t *testing.T, dev io.ReaderAt, e volume.Entry, theirs io.Reader) {
	t.Helper()
	ours, other := make([]byte, 1<<20), make([]byte, 1<<20)
	at := int64(0)
	for _, x := range e.Extents {
		for x.Len > 0 {
			n := min(x.Len, int64(len(ours)))
			if x.Off == volume.Zeros {
				clear(ours[:n])
			} else {
				if _, err := dev.ReadAt(ours[:n], x.Off); err != nil {
					t.Fatalf("%s: %v", e.Path, err)
				}
				x.Off += n
			}
			if _, err := io.ReadFull(theirs, other[:n]); err != nil || !bytes.Equal(ours[:n], other[:n]) {
				t.Fatalf("%s: the %d bytes at %d are not those of the other program, or it says %v", e.Path, n, at, err)
			}
			x.Len, at = x.Len-n, at+n
		}
	}
	if n, err := theirs.Read(other); n > 0 || err != io.EOF {
		t.Errorf("%s: the other program goes on after %d bytes: %v", e.Path, at, err)
	}
}

// crowd is files in folders of at most 400, and a deep tree.
func crowd(files int) testmedia.Files {
	f := testmedia.Files{
		strings.Repeat("n", 251) + ".bin": []byte("255 characters"),
		"Żółć/ελληνικά/кириллица/日本語/한국어/עברית/العربية": []byte("scripts"),
		"a/.hidden": []byte("dot"), "a/no extension": nil, "a/..two dots": []byte("2"), "a/#%&'()-@^_`{}~!$+,;=[]": []byte("marks"),
	}
	for i := range files {
		f[fmt.Sprintf("precinct %d/ballot-%05d of the precinct.json", i/400, i)] = noise(uint64(i), i%37*29)
	}
	deep := ""
	for i := range 30 {
		deep += fmt.Sprintf("level %02d/", i)
		f[deep+"file"] = noise(uint64(i), 5*i)
	}
	return f
}

func TestCrowdedFATAsMtoolsReadsIt(t *testing.T) {
	thousands, hundreds := testmedia.Folder(t, crowd(2400)), testmedia.Folder(t, crowd(300))
	for _, c := range []struct {
		testmedia.Options
		dir string
	}{
		{testmedia.Options{Bits: 16, SizeMiB: 60, ClusterSectors: 4}, thousands},
		{testmedia.Options{Bits: 12, SizeMiB: 15, ClusterSectors: 1, SectorBytes: 4096}, thousands},
		{testmedia.Options{Bits: 16, SizeMiB: 100, SectorBytes: 1024}, hundreds},
		{testmedia.Options{Bits: 32, SizeMiB: 80, ClusterSectors: 1, SectorBytes: 1024}, hundreds},
		{testmedia.Options{Bits: 32, SizeMiB: 160, ClusterSectors: 1, SectorBytes: 2048}, hundreds},
	} {
		o, dir := c.Options, c.dir
		t.Run(fmt.Sprintf("fat%d sectors of %d", o.Bits, o.SectorBytes), func(t *testing.T) {
			img := testmedia.FATFrom(t, o, dir)
			m := open(t, img)
			mustBeClean(t, m)
			v := m.Volumes[0]
			if v.FS != fmt.Sprintf("fat%d", o.Bits) {
				t.Errorf("file system %q", v.FS)
			}
			var ours []string
			for _, e := range v.Entries {
				name := e.Path
				if e.Type == medium.Folder {
					name += "/"
				}
				ours = append(ours, name)
			}
			slices.Sort(ours)
			var theirs []string
			for line := range strings.Lines(string(testmedia.Mtool(t, "mdir", "-/", "-b", "-a", "-i", img, "::/"))) {
				theirs = append(theirs, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "::/"))
			}
			slices.Sort(theirs)
			if !slices.Equal(ours, theirs) {
				t.Errorf("%d entries, mdir lists %d", len(ours), len(theirs))
			}
			out := t.TempDir()
			testmedia.Mtool(t, "mcopy", "-s", "-Q", "-n", "-i", img, "::/*", out)
			sameTree(t, img, v, out)
			sameTree(t, img, v, dir)
		})
	}
}

// The largest file that FAT can hold, beside one without bytes.
func TestFATFileOf4GiBLess1(t *testing.T) {
	const size = 1<<32 - 1
	img := filepath.Join(t.TempDir(), "fat32.img")
	m := fatimage.Image{Cluster: 32 << 10, Files: []fatimage.File{{Name: "largest.bin", Size: size}, {Name: "empty.bin"}, {Name: "next.bin", Size: 5}}}
	if err := m.WriteFAT32(img); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 1 << 31, size - 6} {
		testmedia.Poke(t, img, testmedia.Where(t, img, "largest.bin", at), []byte(fmt.Sprintf("<%#x>", at))[:6]...)
	}
	list := open(t, img)
	mustBeClean(t, list)
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, want := range []int64{size, 0, 5} {
		if e := list.Volumes[0].Entries[i]; e.Size != want {
			t.Errorf("%s has %d bytes", e.Path, e.Size)
		}
	}
	cmd := exec.Command(testtool.Need(t, "mcopy"), "-i", img, "::/largest.bin", "-")
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1")
	theirs, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	same(t, f, list.Volumes[0].Entries[0], theirs)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// deletedOn returns what a listing says of deleted entries.
func deletedOn(m *volume.Medium) (int64, []string) {
	v := m.Volumes[0]
	names := slices.Clone(v.DeletedNames)
	slices.Sort(names)
	return v.Deleted, names
}

func TestDeletedOnFAT(t *testing.T) {
	files := testmedia.Files{
		"SHORT.TXT": []byte("8.3"), "kept long name.txt": []byte("k"), "Stimmzettel für Ärztinnen 選挙.pdf": []byte("long"),
		"thirteen char": []byte("13"), strings.Repeat("x", 250): []byte("x"), "sub/inner file.txt": []byte("i"), "sub/KEPT": []byte("k"),
		"gone/not counted.txt": []byte("in a deleted folder"),
	}
	img := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 20}, files)
	if n, names := deletedOn(open(t, img)); n != 0 || len(names) > 0 {
		t.Fatalf("%d deleted on a new medium: %q", n, names)
	}
	testmedia.Mtool(t, "mdel", "-i", img, "::/SHORT.TXT", "::/Stimmzettel für Ärztinnen 選挙.pdf", "::/thirteen char", "::/"+strings.Repeat("x", 250), "::/sub/inner file.txt")
	testmedia.Mtool(t, "mdeltree", "-i", img, "::/gone")
	m := open(t, img)
	mustBeClean(t, m)
	n, names := deletedOn(m)
	want := []string{"Stimmzettel für Ärztinnen 選挙.pdf", "sub/inner file.txt", "thirteen char", strings.Repeat("x", 250), "\uFFFDHORT.TXT", "\uFFFDone"}
	slices.Sort(want)
	if n != 6 || !slices.Equal(names, want) {
		t.Errorf("%d deleted: %q, want %q", n, names, want)
	}
	if len(m.Volumes[0].Entries) != 3 {
		t.Errorf("listed %+v", m.Volumes[0].Entries)
	}

	// With a part of its long name overwritten, or a checksum that no first
	// letter fits, a file has only what is left of its short name.
	edit(t, img, "\xE5TIMMZ~1PDF", func(r []byte) { r[32+28] = 0 })
	edit(t, img, "\xE5HIRTE~1   ", func(r []byte) { r[32+13] = sumOf("aHIRTE~1   ") })
	if n, names := deletedOn(open(t, img)); n != 6 || !slices.Contains(names, "\uFFFDTIMMZ~1.PDF") || slices.Contains(names, "thirteen char") {
		t.Errorf("%d deleted: %q", n, names)
	}
}

// sumOf is the checksum of a short name.
func sumOf(short string) (sum byte) {
	for i := range 11 {
		sum = sum>>1 + sum<<7 + short[i]
	}
	return sum
}

// More deleted entries are counted than are named, in every folder.
func TestManyDeletedOnFAT(t *testing.T) {
	files := testmedia.Files{}
	args := []string{"-i", ""}
	for i := range 300 {
		name := fmt.Sprintf("%c/file to be deleted %03d", 'a'+i%3, i)
		files[name] = noise(uint64(i), 900)
		if i%2 == 0 {
			args = append(args, "::/"+name)
		}
	}
	img := testmedia.FAT(t, testmedia.Options{Bits: 32, SizeMiB: 40}, files)
	args[1] = img
	testmedia.Mtool(t, "mdel", args...)
	m := open(t, img)
	mustBeClean(t, m)
	n, names := deletedOn(m)
	if n != 150 || len(names) != 64 || !strings.HasPrefix(names[0], "a/file to be deleted ") {
		t.Errorf("%d deleted, %d named: %q", n, len(names), names)
	}
	if len(m.Volumes[0].Entries) != 153 {
		t.Errorf("%d entries", len(m.Volumes[0].Entries))
	}
	out := t.TempDir()
	testmedia.Mtool(t, "mcopy", "-s", "-Q", "-n", "-i", img, "::/*", out)
	sameTree(t, img, m.Volumes[0], out)
}

// named writes a FAT32 and an exFAT whose root has files of these names.
func named(t *testing.T, names ...string) map[string]*volume.Medium {
	t.Helper()
	m := fatimage.Image{Cluster: 512}
	for _, n := range names {
		m.Files = append(m.Files, fatimage.File{Name: n, Size: 3})
	}
	out := map[string]*volume.Medium{}
	for fs, write := range map[string]func(string) error{"fat32": m.WriteFAT32, "exfat": m.WriteExFAT} {
		img := filepath.Join(t.TempDir(), fs)
		if err := write(img); err != nil {
			t.Fatal(err)
		}
		out[fs] = open(t, img)
	}
	return out
}

// Names come out as they are recorded, whatever a terminal would make of them;
// only those that cannot be a part of a path cost their file.
func TestNamesOnFATAndExFAT(t *testing.T) {
	for _, c := range []struct {
		name, listed string
		usable       bool
	}{
		{"ballot.json", "ballot.json", true},
		{"dots at the end...", "dots at the end...", true},
		{"space at the end ", "space at the end ", true},
		{" space at the front", " space at the front", true},
		{"...", "...", true},
		{"gnp.\u202Etxt.exe", "gnp.\u202Etxt.exe", true}, // right-to-left override
		{"zero\u200Bwidth\uFEFF", "zero\u200Bwidth\uFEFF", true},
		{"delete\x7F and next line\u0085", "delete\x7F and next line\u0085", true}, // escaped where shown
		{"combining e\u0301", "combining e\u0301", true},
		{"🗳 outside the first plane", "🗳 outside the first plane", true},
		{"CON", "CON", true},
		{"a\nb", "a\uFFFDb", false},
		{"\x1B[2Jclear", "\uFFFD[2Jclear", false},
		{"a/b", "a\uFFFDb", false},
		{`a\b`, "a\uFFFDb", false},
		{"what?*<>|:\"", "what\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD", false},
		{".", "\uFFFD", false},
		{"..", "\uFFFD", false},
	} {
		for fs, m := range named(t, c.name) {
			e := m.Volumes[0].Entries
			if len(e) != 1 || e[0].Path != c.listed || (e[0].Problem == nil) != c.usable {
				t.Errorf("%s: %q is listed as %+v", fs, c.name, e)
			}
			if _, vols, _ := problems(m); len(vols) > 0 {
				t.Errorf("%s: %q: %q", fs, c.name, vols)
			}
		}
	}
}

// Two names that some system takes for one may not stand side by side; names
// that only look alike to people may.
func TestDuplicateNamesOnFATAndExFAT(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"Ballot.json", "BALLOT.JSON", true},
		{"straße", "STRASSE", false}, // no system folds one letter to two
		{"Ärger", "ärger", true},
		{"caf\u00E9", "cafe\u0301", true}, // NFC and NFD
		{"CAF\u00C9", "cafe\u0301", true}, // and case
		{"Ωmega", "\u2126mega", true},     // the sign for ohm
		{"report", "report.", true}, {"report", "report ", true}, {"report.txt", "report.txt . .", true},
		{"report", " report", false}, {"report", "report\u200B", false}, {"a", "а", false}, // Latin and Cyrillic
	} {
		for fs, m := range named(t, c.a, c.b) {
			_, vols, _ := problems(m)
			if got := slices.ContainsFunc(vols, func(p string) bool { return strings.Contains(p, "have the same name") }); got != c.same || !got && len(vols) > 0 {
				t.Errorf("%s: %q and %q: %q", fs, c.a, c.b, vols)
			}
			if len(m.Volumes[0].Entries) != 2 {
				t.Errorf("%s: %q and %q: %d entries", fs, c.a, c.b, len(m.Volumes[0].Entries))
			}
		}
	}
	// The made-up short name of the second file is the long name of the first.
	_, vols, _ := problems(named(t, "f0000001.bin", "another")["fat32"])
	if len(vols) != 1 || !strings.Contains(vols[0], "have the same name") {
		t.Errorf("an 8.3 alias: %q", vols)
	}
	// In different folders the same names are fine.
	img := filepath.Join(t.TempDir(), "two")
	same := []fatimage.File{{Name: "same.txt", Size: 1}}
	m := fatimage.Image{Cluster: 512, Folders: []fatimage.Folder{{Name: "a", Files: same}, {Name: "b", Files: same}}, Files: same}
	for _, write := range []func(string) error{m.WriteFAT32, m.WriteExFAT} {
		if err := write(img); err != nil {
			t.Fatal(err)
		}
		mustBeClean(t, open(t, img))
	}
}

// Files that are written and deleted in turn leave everything in pieces.
func TestChurnedFAT(t *testing.T) {
	img := testmedia.EmptyFAT(t, testmedia.Options{Bits: 16, SizeMiB: 8, ClusterSectors: 1})
	for round := range 4 {
		files := testmedia.Files{}
		for i := range 400 {
			files[fmt.Sprintf("round %d/f%03d.bin", round, i)] = noise(uint64(round*1000+i), 500*(1+i%9*(round+1)))
		}
		testmedia.PopulateFAT(t, img, testmedia.Folder(t, files))
		args := []string{"-i", img}
		for i := round % 2; i < 400; i += 2 {
			args = append(args, fmt.Sprintf("::/round %d/f%03d.bin", round, i))
		}
		testmedia.Mtool(t, "mdel", args...)
	}
	m := open(t, img)
	mustBeClean(t, m)
	if n, _ := deletedOn(m); n == 0 {
		t.Error("no deleted entries")
	}
	pieces := 0
	for _, e := range m.Volumes[0].Entries {
		pieces = max(pieces, len(e.Extents))
	}
	if pieces < 3 {
		t.Errorf("files are in %d pieces at most: the test no longer tests fragmentation", pieces)
	}
	out := t.TempDir()
	testmedia.Mtool(t, "mcopy", "-s", "-Q", "-n", "-i", img, "::/*", out)
	sameTree(t, img, m.Volumes[0], out)
}

// A file in very many pieces takes memory from the listing's budget before it
// is there.
func TestFileInTooManyPieces(t *testing.T) {
	m := fatimage.Image{Cluster: 512, Interleaved: true}
	for i := range 2 {
		m.Files = append(m.Files, fatimage.File{Name: fmt.Sprintf("f%d", i), Size: 1 << 30})
	}
	img := filepath.Join(t.TempDir(), "fat32")
	if err := m.WriteFAT32(img); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, open(t, img), "volume", "over the limit of 1048576 pieces of a file")
	if !bytes.Contains(testtool.Run(t, "fsck.vfat", "-n", img), []byte("2 files")) {
		t.Error("fsck.vfat does not see the two files")
	}
}
