package volume_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/verdict"
	"sallyport/internal/volume"
)

var farFuture = time.Date(2200, 1, 2, 3, 4, 5, 0, time.UTC)

// kernelWork is what the kernel's own driver is made to do: folders with hash
// trees, files in pieces, holes, preallocated room, deletions, renames, links.
func kernelWork(t *testing.T, mnt string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string, args ...any) string { return filepath.Join(mnt, fmt.Sprintf(name, args...)) }
	must(os.Mkdir(at("many"), 0o755))
	name := func(i int) string {
		return at("many/Wahlbezirk ä %d – 選挙 %s.json", i, strings.Repeat("x", i%90))
	}
	for i := range 6000 {
		must(os.WriteFile(name(i), noise(uint64(i), i%50), 0o644))
	}
	for i := 0; i < 6000; i += 3 {
		must(os.Remove(name(i)))
	}
	for i := range 200 {
		must(os.MkdirAll(at("folders/%d/%d/%d", i%11, i%7, i), 0o755))
	}
	must(os.Rename(at("folders/1"), at("moved")))
	must(os.Rename(at("folders/3/1"), at("folders/2/from 3")))
	var files [4]*os.File
	for i := range files {
		f, err := os.Create(at("in pieces %d.bin", i))
		must(err)
		files[i] = f
	}
	for i := range 600 { // in turn and against the order, so that no piece joins the next
		for k, f := range files {
			_, err := f.WriteAt(noise(uint64(i*4+k), 4096), int64(599-i)*8192)
			must(err)
			if i%200 == k {
				must(f.Sync())
			}
		}
	}
	for _, f := range files {
		must(f.Close())
	}
	f, err := os.Create(at("grown.bin"))
	must(err)
	must(f.Truncate(5 << 20))
	if err := unix.Fallocate(int(f.Fd()), 0, 1<<20, 1<<20); !errors.Is(err, unix.EOPNOTSUPP) {
		must(err)
		must(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 5<<20, 3<<20))
		must(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1<<20, 4096))
	}
	_, err = f.WriteAt(noise(5, 70_000), 3<<20)
	must(err)
	must(f.Close())
	testmedia.Specials(t, mnt, "grown.bin")
	must(unix.Setxattr(at("grown.bin"), "user.long", noise(3, 900), 0))
	must(unix.Setxattr(at("in pieces 1.bin"), "user.short", []byte("x"), 0))
	must(os.WriteFile(at("tiny"), []byte("tiny"), 0o644))
	must(os.WriteFile(at("appended"), noise(1, 100), 0o644))
	must(os.Chtimes(at("tiny"), farFuture, farFuture))
}

func TestExtAsTheKernelWritesIt(t *testing.T) {
	for name, o := range map[string]testmedia.ExtOptions{
		"ext2":              {Type: "ext2"},
		"ext2 1k":           {Type: "ext2", Block: 1024},
		"ext3":              {Type: "ext3"},
		"ext4":              {},
		"ext4 1k":           {Block: 1024},
		"ext4 inline":       {Features: "inline_data", Inode: 512},
		"ext4 no checksums": {Features: "^metadata_csum"},
		"ext4 no extents":   {Features: "^extents,^64bit"},
		"ext4 orphan_file":  {Block: 2048, Features: "orphan_file,large_dir"},
	} {
		t.Run(name, func(t *testing.T) {
			o.SizeMiB, o.Inodes = 128, 16384
			img := testmedia.EmptyExt(t, o)
			testmedia.MountedExt(t, img, func(mnt string) { kernelWork(t, mnt) })
			m := open(t, img)
			mustBeClean(t, m)
			got := listed(t, img, m.Volumes[0])
			testmedia.MountedExt(t, img, func(mnt string) { sameNodes(t, "the mounted volume", got, sourced(t, mnt), false) })
			sameNodes(t, "debugfs", got, debugged(t, img), true)
			count := map[medium.Type]int{}
			for _, e := range m.Volumes[0].Entries {
				count[e.Type]++
				if e.Path == "tiny" && e.Modified != "2200-01-02T03:04:05" && o.Type == "" {
					t.Errorf("modified %q", e.Modified)
				}
			}
			for _, typ := range []medium.Type{medium.Symlink, medium.HardLink, medium.CharDevice, medium.BlockDevice, medium.FIFO, medium.Socket} {
				want := 1
				if typ == medium.Symlink {
					want = 2
				}
				if count[typ] != want {
					t.Errorf("%d of %s are listed", count[typ], typ)
				}
			}
			if n := len(testmedia.Find(t, img, "in pieces 2.bin").Extents); n < 500 {
				t.Errorf("the file is in %d pieces: the test no longer tests fragmentation", n)
			}
			if e := testmedia.Find(t, img, "grown.bin"); e.Traits != medium.Sparse {
				t.Errorf("grown.bin: %q", e.Traits.Words())
			}
		})
	}
}

// A medium that was pulled while it was mounted has its latest changes in the
// journal. After a repair it is as good as any.
func TestPulledExt(t *testing.T) {
	for _, typ := range []string{"ext3", "ext4", "ext2"} {
		t.Run(typ, func(t *testing.T) {
			img := testmedia.EmptyExt(t, testmedia.ExtOptions{Type: typ})
			pulled := ""
			testmedia.MountedExt(t, img, func(mnt string) {
				for i := range 300 {
					if err := os.WriteFile(filepath.Join(mnt, strconv.Itoa(i)), noise(uint64(i), 5000), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				testtool.Run(t, "sync")
				pulled = testmedia.Copy(t, img)
			})
			mustBeClean(t, open(t, img))
			m := open(t, pulled)
			if typ == "ext2" {
				mustBeClean(t, m) // it has no journal, and what was synced is there
				return
			}
			wantProblem(t, m, "volume", "pulled before it was unmounted")
			// The same medium when something took the flag away: e2fsck would replay
			// the journal, the kernel would not.
			lie := testmedia.Copy(t, pulled)
			testmedia.DebugFS(t, lie, true, "feature -needs_recovery")
			wantProblem(t, open(t, lie), "volume", "the superblock says that there are none")
			// It ends with 1 when it has mended something.
			if out, err := exec.Command(testtool.Need(t, "e2fsck"), "-fy", pulled).CombinedOutput(); err != nil && !strings.Contains(string(out), "MODIFIED") {
				t.Fatalf("%v\n%s", err, out)
			}
			m = open(t, pulled)
			mustBeClean(t, m)
			sameNodes(t, "the unmounted volume", listed(t, pulled, m.Volumes[0]), listed(t, img, open(t, img).Volumes[0]), false)
		})
	}
}

// Linux wipes deleted names; debugfs, and Linux before 5.13, do not.
func TestDeletedOnExt(t *testing.T) {
	for _, typ := range []string{"ext2", "ext4"} {
		files := testmedia.Files{"keep": {1}, "dir/keep": {1}}
		var commands, want []string
		for i := range 9 {
			files[fmt.Sprintf("dir/gone %d", i)] = noise(uint64(i), 3000)
			commands, want = append(commands, fmt.Sprintf(`rm "dir/gone %d"`, i)), append(want, fmt.Sprintf("dir/gone %d", i))
		}
		img := testmedia.Ext(t, testmedia.ExtOptions{Type: typ}, files)
		testmedia.DebugFS(t, img, true, commands...)
		m := open(t, img)
		mustBeClean(t, m)
		if v := m.Volumes[0]; v.Deleted != 9 || fmt.Sprint(v.DeletedNames) != fmt.Sprint(want) && len(v.DeletedNames) != 9 {
			t.Errorf("%s: %d deleted, %q", typ, v.Deleted, v.DeletedNames)
		}
	}
}

func TestExtThatIsNotRead(t *testing.T) {
	for _, c := range []struct {
		want string
		o    testmedia.ExtOptions
	}{
		{"bigalloc", testmedia.ExtOptions{Features: "bigalloc"}},
		{"external journal", testmedia.ExtOptions{Features: "journal_dev"}},
	} {
		_, vols, _ := problems(open(t, testmedia.EmptyExt(t, c.o)))
		if len(vols) != 1 || !strings.Contains(vols[0], "filesystem-unsupported") || !strings.Contains(vols[0], c.want) {
			t.Errorf("%s: %q", c.want, vols)
		}
	}
}

// The hash of each kind that folders may have, with characters that have a sign
// and that have none.
func TestHashTreesOfExt(t *testing.T) {
	for _, alg := range []string{"legacy", "half_md4", "tea"} {
		for flags, sign := range map[string]string{"1": "signed", "2": "unsigned", "0": "not recorded"} {
			t.Run(alg+" "+sign, func(t *testing.T) {
				img := testmedia.EmptyExt(t, testmedia.ExtOptions{SizeMiB: 16, Block: 1024, Inodes: 1024, Features: "^has_journal"})
				testtool.Run(t, "tune2fs", "-E", "hash_alg="+alg, img)
				testmedia.DebugFS(t, img, true, "ssv flags "+flags)
				testmedia.MountedExt(t, img, func(mnt string) {
					for i := range 500 {
						name := fmt.Sprintf("%s ä選挙🗳 %d %s", strings.Repeat("ÿ", i%9), i, strings.Repeat("long ", i%40))
						if err := os.WriteFile(filepath.Join(mnt, name), nil, 0o644); err != nil {
							t.Fatal(err)
						}
					}
				})
				m := open(t, img)
				mustBeClean(t, m)
				if v := m.Volumes[0]; len(v.Entries) != 501 {
					t.Errorf("%d entries", len(v.Entries))
				}
				if index := testmedia.DebugFS(t, img, false, "htree_dump /"); !strings.Contains(index, "Number of entries") {
					t.Errorf("the folder has no hash tree: the test no longer tests it\n%s", index)
				}
			})
		}
	}
}

// badBlock answers with an error for one kilobyte.
type badBlock struct {
	data []byte
	bad  int64
}

func (d *badBlock) ReadAt(p []byte, off int64) (int, error) {
	if off < d.bad+1024 && off+int64(len(p)) > d.bad {
		return 0, errors.New("input/output error")
	}
	return bytes.NewReader(d.data).ReadAt(p, off)
}

// Wherever a structure cannot be read, that is said, or the listing is what it
// would have been: never zeros, never less.
func TestUnreadableStructuresOfExt(t *testing.T) {
	for name, data := range extSeeds(t) {
		good, err := volume.Open(bytes.NewReader(data), int64(len(data)), options)
		if err != nil {
			t.Fatal(err)
		}
		said := 0
		for at := int64(0); at < int64(len(data)); at += 1024 {
			dev := &badBlock{data: data, bad: at}
			m, err := volume.Open(dev, int64(len(data)), options)
			if f, is := verdict.Find(err); is && f.Reason == verdict.Unreadable {
				said++
				continue
			}
			if err != nil {
				t.Fatalf("%s: byte %d: %v", name, at, err)
			}
			if reflect.DeepEqual(m, good) { // looked at, perhaps, and not needed
				continue
			}
			said++
			wantProblem(t, m, "volume", "unreadable")
		}
		if said < 10 {
			t.Errorf("%s: %d blocks could not be read", name, said)
		}
	}
}

func TestExtInPartitions(t *testing.T) {
	a := testmedia.Ext(t, testmedia.ExtOptions{Type: "ext2", SizeMiB: 8}, testmedia.Files{"a.txt": []byte("first"), "d/e": noise(1, 40_000)})
	b := testmedia.Ext(t, testmedia.ExtOptions{SizeMiB: 16, Features: "inline_data"}, testmedia.Files{"b.txt": []byte("second"), "d/e": noise(2, 40_000)})
	for _, scheme := range []string{"mbr", "gpt"} {
		img := testmedia.Partitioned(t, scheme, a, b)
		m := open(t, img)
		mustBeClean(t, m)
		for i, part := range []string{a, b} {
			sameNodes(t, "the image of its own", listed(t, img, m.Volumes[i]), listed(t, part, open(t, part).Volumes[0]), false)
		}
	}
}

// Listing a folder in the order of its hash tree does not read the inode tables
// once for each entry.
func TestExtReadsInodesInTheirOrder(t *testing.T) {
	img := testmedia.EmptyExt(t, testmedia.ExtOptions{SizeMiB: 64, Inodes: 16384})
	testmedia.MountedExt(t, img, func(mnt string) {
		for i := range 12_000 {
			if err := os.WriteFile(filepath.Join(mnt, fmt.Sprintf("ballot-%06d.json", i)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
	data, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	dev := &padded{data: data, size: int64(len(data))}
	m, err := volume.Open(dev, dev.size, options)
	if err != nil {
		t.Fatal(err)
	}
	mustBeClean(t, m)
	if dev.read > 8<<20 {
		t.Errorf("%d bytes were read for 12,000 entries", dev.read)
	}
}
