package volume_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// ntfsls lists an image as ntfsprogs does: paths, folders with a slash behind.
func ntfsls(t *testing.T, img string) (list []string) {
	t.Helper()
	dir := ""
	out, err := exec.Command(testtool.Need(t, "ntfsls"), "-R", "-F", img).Output() // it talks on the other channel
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(out), "\n") {
		switch {
		case line == "", line == "./", line == "../":
		case strings.HasSuffix(line, ":") && strings.HasPrefix(line, "/"):
			dir = strings.TrimPrefix(strings.TrimSuffix(line, ":"), "/")
			if dir != "" && !strings.HasSuffix(dir, "/") {
				dir += "/"
			}
		default:
			list = append(list, dir+line)
		}
	}
	slices.Sort(list)
	return list
}

// asNtfsprogsListsIt compares a volume with ntfsls, and the content of some
// files with ntfscat.
func asNtfsprogsListsIt(t *testing.T, img string, v volume.Volume) {
	t.Helper()
	var got []string
	for _, e := range v.Entries {
		p := e.Path
		switch e.Type {
		case medium.Stream:
			continue
		case medium.Folder:
			p += "/"
		}
		got = append(got, p)
	}
	slices.Sort(got)
	want := ntfsls(t, img)
	if !slices.Equal(got, want) {
		t.Errorf("%d entries are listed and ntfsls lists %d", len(got), len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("entry %d is %q, ntfsls has %q", i, got[i], want[i])
			}
		}
	}
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, e := range v.Entries {
		if e.Type == medium.File && i%(len(v.Entries)/25+1) == 0 {
			if want := testtool.Run(t, "ntfscat", img, e.Path); !bytes.Equal(content(t, f, e), want) {
				t.Errorf("ntfscat reads another %q", e.Path)
			}
		}
	}
}

// as7zipExtractsIt compares a volume with what 7-Zip, which goes by the names
// in the file records, takes out of it.
func as7zipExtractsIt(t *testing.T, img string, v volume.Volume) {
	t.Helper()
	out := t.TempDir()
	testtool.Run(t, "7z", "x", "-y", "-bd", "-tntfs", "-o"+out, img)
	// It shows the files of the system too.
	for _, name := range []string{"[SYSTEM]", "[UNKNOWN]", "[LOST]"} {
		if err := os.RemoveAll(filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	sameTree(t, img, v, out)
}

func TestNTFSAsItsToolsReadIt(t *testing.T) {
	for _, o := range []testmedia.Options{
		{SizeMiB: 64, Label: "Wahl é 選挙"},
		{SizeMiB: 40, ClusterSectors: 1},
		{SizeMiB: 64, ClusterSectors: 2},
		{SizeMiB: 400, ClusterSectors: 128},
		{SizeMiB: 120, SectorBytes: 4096},
		{SizeMiB: 64, SectorBytes: 1024, ClusterSectors: 4},
	} {
		t.Run(fmt.Sprintf("%dMiB-%d-%d", o.SizeMiB, o.SectorBytes, o.ClusterSectors), func(t *testing.T) {
			files := tree(150)
			files["outside the first plane 🗳.txt"] = []byte("surrogates")
			img := testmedia.NTFS(t, o, files)
			m := open(t, img)
			mustBeClean(t, m)
			v := m.Volumes[0]
			if v.FS != "ntfs" || v.Label != o.Label || v.Deleted != 0 {
				t.Errorf("file system %q, label %q, %d deleted", v.FS, v.Label, v.Deleted)
			}
			info := string(testtool.Run(t, "ntfsinfo", "-m", img))
			serial := regexp.MustCompile(`(?i)serial number: *([0-9A-F]+)`).FindStringSubmatch(info)
			if serial != nil && !strings.EqualFold(serial[1], v.ID) {
				t.Errorf("serial number %s, ntfsinfo says %s", v.ID, serial[1])
			}
			sameTree(t, img, v, testmedia.Folder(t, files))
			asNtfsprogsListsIt(t, img, v)
			if o.SectorBytes == 0 { // it knows no other sectors
				as7zipExtractsIt(t, img, v)
			}
			testmedia.MountedNTFS(t, img, "ro", func(mnt string) { sameTree(t, img, v, mnt) })
		})
	}
}

func TestThousandsOfFilesOnNTFS(t *testing.T) {
	files := tree(1500)
	files["Żółć/ελληνικά/кириллица/日本語/한국어/עברית/العربية"] = []byte("scripts")
	files[strings.Repeat("選", 85)] = []byte("255 bytes")
	files["a/#%&'()-@^_`{}~!$+,;=[]"] = []byte("marks")
	deep := ""
	for i := range 30 {
		deep += fmt.Sprintf("level %02d/", i)
		files[deep+"file"] = noise(uint64(i), 50*i)
	}
	img := testmedia.NTFS(t, testmedia.Options{SizeMiB: 100}, files)
	m := open(t, img)
	mustBeClean(t, m)
	sameTree(t, img, m.Volumes[0], testmedia.Folder(t, files))
	asNtfsprogsListsIt(t, img, m.Volumes[0])
	as7zipExtractsIt(t, img, m.Volumes[0])
}

// writeTo and removeFrom are what a program does on a mounted volume.
func writeTo(t *testing.T, p []byte, name ...string) {
	t.Helper()
	file := filepath.Join(name...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, p, 0o644); err != nil {
		t.Fatal(err)
	}
}

func removeFrom(t *testing.T, name ...string) {
	t.Helper()
	if err := os.Remove(filepath.Join(name...)); err != nil {
		t.Fatal(err)
	}
}

// An index that has grown in no order, shrunk and grown again has nodes that
// were split, merged, freed and used again.
func TestNTFSIndexThatGrewAndShrank(t *testing.T) {
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 64})
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		r := rand.New(rand.NewPCG(3, 4))
		name := func(i int) string {
			return fmt.Sprintf("%x %d %s", i*2654435761%(1<<32), i, strings.Repeat("x", i%60))
		}
		for _, i := range r.Perm(4000) {
			writeTo(t, []byte(name(i)), mnt, "busy", name(i))
		}
		for _, i := range r.Perm(4000) {
			if i%4 != 0 {
				removeFrom(t, mnt, "busy", name(i))
			}
		}
		for _, i := range r.Perm(1500) {
			writeTo(t, []byte("again"), mnt, "busy", "again "+name(i))
		}
		for i := range 300 {
			writeTo(t, []byte("gone"), mnt, "emptied", name(i))
		}
		for i := range 300 {
			removeFrom(t, mnt, "emptied", name(i))
		}
	})
	m := open(t, img)
	mustBeClean(t, m)
	v := m.Volumes[0]
	if len(v.Entries) != 2502 || v.Deleted < 1000 || len(v.DeletedNames) != 64 {
		t.Errorf("%d entries, %d deleted, %d of them named", len(v.Entries), v.Deleted, len(v.DeletedNames))
	}
	asNtfsprogsListsIt(t, img, v)
	testmedia.MountedNTFS(t, img, "ro", func(mnt string) { sameTree(t, img, v, mnt) })
}

func TestDeletedFilesOfNTFS(t *testing.T) {
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 32})
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		for _, f := range []string{"a", "kept", "dir/b", "dir/c", "dir/kept", "gone/d"} {
			writeTo(t, []byte(f), mnt, f)
		}
		for _, f := range []string{"a", "dir/b", "dir/c", "gone/d", "gone"} {
			removeFrom(t, mnt, f)
		}
	})
	m := open(t, img)
	mustBeClean(t, m)
	v := m.Volumes[0]
	slices.Sort(v.DeletedNames)
	if want := []string{"a", "d", "dir/b", "dir/c", "gone"}; v.Deleted != 5 || !slices.Equal(v.DeletedNames, want) {
		t.Errorf("%d deleted, %q, want %q", v.Deleted, v.DeletedNames, want)
	}
}

// So many pieces need file records that extend the first one, and a list of them.
func TestFragmentedNTFS(t *testing.T) {
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 16, ClusterSectors: 2})
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		files := 0
		for ; ; files++ { // until the volume is full
			err := os.WriteFile(filepath.Join(mnt, fmt.Sprintf("f%05d.bin", files)), noise(uint64(files), 1000), 0o644)
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i < files; i += 2 {
			removeFrom(t, mnt, fmt.Sprintf("f%05d.bin", i))
		}
		f, err := os.Create(filepath.Join(mnt, "in pieces.bin"))
		for i := 0; err == nil; i++ { // until it is full once more
			_, err = f.Write(noise(uint64(i), 4096))
		}
		if !errors.Is(err, syscall.ENOSPC) || f.Close() != nil {
			t.Fatal(err)
		}
	})
	m := open(t, img)
	mustBeClean(t, m)
	v := m.Volumes[0]
	info := string(testtool.Run(t, "ntfsinfo", "-f", "-F", "in pieces.bin", img))
	if n := len(testmedia.Find(t, img, "in pieces.bin").Extents); n < 200 || !strings.Contains(info, "$ATTRIBUTE_LIST") {
		t.Errorf("the file is in %d pieces: the test no longer tests fragmentation\n%s", n, info)
	}
	asNtfsprogsListsIt(t, img, v)
	testmedia.MountedNTFS(t, img, "ro", func(mnt string) { sameTree(t, img, v, mnt) })
}

// Content in a file record crosses the words of the update sequence at every
// length; at some length it leaves the record.
func TestContentInsideTheRecordsOfNTFS(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		files := testmedia.Files{}
		for n := range 5 {
			for i := range 800 {
				size := 5*i + n
				if sector == 512 && n > 0 {
					break
				}
				if sector == 512 {
					size = i
				}
				files[fmt.Sprintf("%d/%d of any length %s", n, size, strings.Repeat("y", i%30))] = noise(uint64(size), size)
			}
		}
		img := testmedia.NTFS(t, testmedia.Options{SizeMiB: 60, SectorBytes: sector}, files)
		m := open(t, img)
		mustBeClean(t, m)
		split := 0
		for _, e := range m.Volumes[0].Entries {
			if len(e.Extents) > 1 {
				split++
			}
		}
		if split < 100 {
			t.Errorf("%d files in pieces", split)
		}
		sameTree(t, img, m.Volumes[0], testmedia.Folder(t, files))
	}
}

func TestSparseFilesOfNTFS(t *testing.T) {
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 64})
	sizes := map[string]int64{"4 GiB-1": 1<<32 - 1, "4 GiB": 1 << 32, "beyond": 1<<32 + 12345, "20 GiB": 20 << 30, "short hole": 1 << 20}
	tail := noise(7, 100_001)
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		for name, size := range sizes {
			f, err := os.Create(filepath.Join(mnt, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []int64{0, size / 2, size - int64(len(tail))} {
				if _, err := f.WriteAt(tail, at); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	m := open(t, img)
	mustBeClean(t, m)
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, size := range sizes {
		e := testmedia.Find(t, img, name)
		if e.Size != size || e.Type != medium.File || e.Traits != medium.Sparse {
			t.Errorf("%s: %d bytes, %s, traits %v", name, e.Size, e.Type, e.Traits.Words())
		}
		for _, at := range []int64{0, size / 2, size - int64(len(tail))} {
			got := make([]byte, len(tail))
			readAt(t, f, e, got, at)
			if !bytes.Equal(got, tail) {
				t.Errorf("%s has other bytes at %d", name, at)
			}
		}
		written := int64(0)
		for _, x := range e.Extents {
			if x.Off != volume.Zeros {
				written += x.Len
			}
		}
		if written > 1<<20 {
			t.Errorf("%s: %d bytes are not a hole", name, written)
		}
	}
}

// A file beyond 2³² bytes has its content, byte for byte. The hash is the one that
// ntfs-3g gave when the file was read from the mounted volume, which takes longer.
func TestWholeFileBeyond4GiBOnNTFS(t *testing.T) {
	const (
		size = 1<<32 + 12345
		want = "8b56394b2400993ee3ffee28bb085d3b667709b62e964fa5ddddeaa8d2b9d39e"
	)
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 40})
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		f, err := os.Create(filepath.Join(mnt, "beyond"))
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range []int64{0, 1<<31 - 50_000, 1<<32 - 50_000, size - 5000} {
			if _, err := f.WriteAt(noise(uint64(i), 100_000)[:min(100_000, size-at)], at); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	})
	mustBeClean(t, open(t, img))
	e := testmedia.Find(t, img, "beyond")
	dev, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	got := sha256.New()
	zeros := make([]byte, 1<<20)
	for _, x := range e.Extents {
		if x.Off != volume.Zeros {
			if _, err := io.Copy(got, io.NewSectionReader(dev, x.Off, x.Len)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for left := x.Len; left > 0; left -= min(left, int64(len(zeros))) {
			got.Write(zeros[:min(left, int64(len(zeros)))])
		}
	}
	if sum := fmt.Sprintf("%x", got.Sum(nil)); e.Size != size || sum != want {
		t.Errorf("%d bytes of the hash %s, want %d of %s", e.Size, sum, int64(size), want)
	}
}

// readAt reads bytes of a file by its extents.
func readAt(t *testing.T, dev *os.File, e volume.Entry, p []byte, off int64) {
	t.Helper()
	for _, x := range e.Extents {
		if off >= x.Len {
			off -= x.Len
			continue
		}
		n := min(int64(len(p)), x.Len-off)
		if x.Off == volume.Zeros {
			clear(p[:n])
		} else if _, err := dev.ReadAt(p[:n], x.Off+off); err != nil {
			t.Fatal(err)
		}
		if p, off = p[n:], 0; len(p) == 0 {
			return
		}
	}
	t.Fatalf("%s ends %d bytes early", e.Path, len(p))
}

// typesAndTraits counts the entries of a volume by type, and names the traits.
func typesAndTraits(v volume.Volume) (types map[medium.Type]int, traits map[string]string) {
	types, traits = map[medium.Type]int{}, map[string]string{}
	for _, e := range v.Entries {
		types[e.Type]++
		if e.Traits != 0 {
			traits[e.Path] = strings.Join(e.Traits.Words(), " ")
		}
	}
	return types, traits
}

// Things that are no files, in the two forms in which ntfs-3g makes them:
// system files of Interix, and reparse points of WSL.
func TestThingsOnNTFSThatAreNoFiles(t *testing.T) {
	for _, form := range []string{"interix", "wsl"} {
		img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 32})
		testmedia.MountedNTFS(t, img, "special_files="+form, func(mnt string) {
			writeTo(t, []byte("plain"), mnt, "plain")
			writeTo(t, nil, mnt, "folder/empty")
			in := func(name string) string { return filepath.Join(mnt, name) }
			for _, err := range []error{
				os.Symlink("plain", in("soft")), os.Symlink("/etc/passwd", in("folder/away")), os.Symlink(strings.Repeat("far/", 800), in("long link")),
				os.Link(in("plain"), in("hard")), os.Link(in("plain"), in("folder/hard")),
				unix.Mkfifo(in("fifo"), 0o644), unix.Mknod(in("tty"), unix.S_IFCHR|0o600, int(unix.Mkdev(4, 64))), unix.Mknod(in("disk"), unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))),
				unix.Mknod(in("socket"), unix.S_IFSOCK|0o600, 0),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		})
		m := open(t, img)
		mustBeClean(t, m)
		types, _ := typesAndTraits(m.Volumes[0])
		want := map[medium.Type]int{
			medium.File: 2, medium.Folder: 1, medium.Symlink: 3, medium.HardLink: 2, medium.FIFO: 1,
			medium.CharDevice: 1, medium.BlockDevice: 1, medium.Socket: 1,
		}
		if !maps.Equal(types, want) {
			t.Errorf("%s: %v, want %v", form, types, want)
		}
	}
}

func setAttribute(t *testing.T, name, attr string, value []byte) {
	t.Helper()
	if err := unix.Setxattr(name, attr, value, 0); err != nil {
		t.Fatalf("%s of %s: %v", attr, name, err)
	}
}

func TestStreamsOfNTFS(t *testing.T) {
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 32})
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		writeTo(t, []byte("content"), mnt, "ballots.json")
		writeTo(t, []byte("content"), mnt, "folder/inner")
		setAttribute(t, filepath.Join(mnt, "ballots.json"), "user.Zone.Identifier", []byte("[ZoneTransfer]\r\nZoneId=3\r\n"))
		setAttribute(t, filepath.Join(mnt, "ballots.json"), "user.large", noise(1, 40_000))
		setAttribute(t, filepath.Join(mnt, "folder"), "user.of a folder", noise(2, 10))
		setAttribute(t, mnt, "user.of the root", noise(2, 10))
	})
	testtool.Run(t, "ntfscp", "-N", "by ntfscp", img, testmedia.Folder(t, testmedia.Files{"x": noise(3, 5000)})+"/x", "folder/inner")
	m := open(t, img)
	mustBeClean(t, m)
	got := map[string]int64{}
	for _, e := range m.Volumes[0].Entries {
		if e.Type == medium.Stream {
			got[e.Path] = e.Size
		}
	}
	want := map[string]int64{
		"ballots.json:Zone.Identifier": 26, "ballots.json:large": 40_000, "folder:of a folder": 10,
		":of the root": 10, "folder/inner:by ntfscp": 5000,
	}
	if !maps.Equal(got, want) {
		t.Errorf("streams %v, want %v", got, want)
	}
}

func TestCompressedAndEncryptedNTFS(t *testing.T) {
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 64})
	testmedia.MountedNTFS(t, img, "compression", func(mnt string) {
		if err := os.Mkdir(filepath.Join(mnt, "packed"), 0o755); err != nil {
			t.Fatal(err)
		}
		setAttribute(t, filepath.Join(mnt, "packed"), "system.ntfs_attrib_be", []byte{0, 0, 8, 0})
		writeTo(t, bytes.Repeat([]byte("all the same "), 50_000), mnt, "packed/large")
		writeTo(t, []byte("small enough for the record"), mnt, "packed/small")
		writeTo(t, nil, mnt, "packed/empty")
		writeTo(t, noise(1, 100_000), mnt, "plain")
	})
	m := open(t, img)
	_, vols, entries := problems(m)
	if len(vols) > 0 || len(entries) != 1 || !strings.Contains(entries[0], "packed/large: filesystem-unsupported") || !strings.Contains(entries[0], "LZNT1") {
		t.Errorf("volume %q, entries %q", vols, entries)
	}
	if _, traits := typesAndTraits(m.Volumes[0]); !maps.Equal(traits, map[string]string{"packed/large": "compressed"}) {
		t.Errorf("traits %v", traits)
	}
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if e := testmedia.Find(t, img, "packed/small"); string(content(t, f, e)) != "small enough for the record" {
		t.Errorf("%+v", e)
	}
}

// Windows gives a file with a long name a second, short one. It is no file.
func TestShortNamesOfNTFS(t *testing.T) {
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 32})
	files := testmedia.Files{"folder/": nil}
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		for i := range 300 {
			name := fmt.Sprintf("folder/a long name %03d.json", i)
			files[name] = noise(uint64(i), i)
			writeTo(t, files[name], mnt, name)
			setAttribute(t, filepath.Join(mnt, name), "system.ntfs_dos_name", fmt.Appendf(nil, "ALONG%03d.JSO", i))
		}
		setAttribute(t, filepath.Join(mnt, "folder"), "system.ntfs_dos_name", []byte("FOLDER"))
	})
	m := open(t, img)
	mustBeClean(t, m)
	sameTree(t, img, m.Volumes[0], testmedia.Folder(t, files))
}

func TestTimesAndNamesOfNTFS(t *testing.T) {
	img := testmedia.EmptyNTFS(t, testmedia.Options{SizeMiB: 32})
	testmedia.MountedNTFS(t, img, "", func(mnt string) {
		writeTo(t, []byte("x"), mnt, "x")
		testtool.Run(t, "touch", "-d", "2026-11-03T19:58:43.9Z", filepath.Join(mnt, "x"))
		writeTo(t, []byte("colon"), mnt, "a:b")
		writeTo(t, []byte("1"), mnt, "same")
		writeTo(t, []byte("2"), mnt, "SAME")
	})
	if e := testmedia.Find(t, img, "x"); e.Modified != "2026-11-03T19:58:43" {
		t.Errorf("modified %q", e.Modified)
	}
	_, vols, entries := problems(open(t, img))
	if len(vols) != 1 || !strings.Contains(vols[0], "have the same name") {
		t.Errorf("volume %q", vols)
	}
	if len(entries) != 1 || !strings.Contains(entries[0], "a\uFFFDb: ") {
		t.Errorf("entries %q", entries)
	}
}

// On NTFS of a partitioned medium the offsets count from the partition.
func TestPartitionOfNTFS(t *testing.T) {
	files := tree(5)
	img := testmedia.Partitioned(t, "gpt", testmedia.NTFS(t, testmedia.Options{SizeMiB: 32}, files))
	m := open(t, img)
	mustBeClean(t, m)
	sameTree(t, img, m.Volumes[0], testmedia.Folder(t, files))
}
