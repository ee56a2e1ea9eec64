package volume_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// bridge makes an image with both trees.
func bridge(t *testing.T, dir string, args ...string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "bridge.iso")
	testtool.Run(t, "genisoimage", append(append([]string{"-quiet", "-udf", "-V", "BRIDGE", "-o", img}, args...), dir)...)
	return img
}

func TestBridgeOfISOAndUDF(t *testing.T) {
	files := udfFiles()
	for p := range files {
		if len(filepath.Base(p)) > 64 { // genisoimage cuts those off, in UDF as well
			delete(files, p)
		}
	}
	for p := range files {
		if strings.Count(p, "/") > 5 { // too deep for ISO 9660
			delete(files, p)
		}
	}
	dir := testmedia.Folder(t, files)
	for _, args := range [][]string{{"-J", "-R"}, {"-R"}, {"-J"}, {}, {"-iso-level", "3", "-r", "-J"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			img := bridge(t, dir, args...)
			m := open(t, img)
			mustBeClean(t, m)
			if v := m.Volumes[0]; v.FS != "udf" || v.Label != "BRIDGE" {
				t.Errorf("%q, label %q", v.FS, v.Label)
			}
			sameTree(t, img, m.Volumes[0], dir)
			same7z(t, img, m.Volumes[0])
		})
	}
}

// Links and things that are no files: genisoimage writes them into UDF as files
// of their own, without bytes.
func TestBridgeWithLinks(t *testing.T) {
	dir := testmedia.Folder(t, testmedia.Files{"a.txt": udfNoise(1, 3000), "d/b.txt": udfNoise(2, 5000), "empty": {}})
	for from, to := range map[string]string{"a.txt": "z.txt", "d/b.txt": "0.txt"} {
		if err := os.Link(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a.txt", filepath.Join(dir, "sym")); err != nil {
		t.Fatal(err)
	}
	m := open(t, bridge(t, dir, "-J", "-R"))
	mustBeClean(t, m)
	kinds := map[medium.Type]int{}
	for _, e := range m.Volumes[0].Entries {
		kinds[e.Type]++
	}
	if kinds[medium.HardLink] != 2 || kinds[medium.File] != 4 || kinds[medium.Folder] != 1 {
		t.Errorf("types %v", kinds)
	}
}

// runOut is a disc whose last two sectors cannot be read, as those of a CD that
// was written track at once.
type runOut []byte

func (r runOut) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(r))-2*2048 {
		return 0, syscall.EIO
	}
	return copy(p, r[off:]), nil
}

func TestBridgeWithRunOutBlocks(t *testing.T) {
	image, err := os.ReadFile(bridge(t, testmedia.Folder(t, testmedia.Files{"a.txt": udfNoise(1, 3000)}), "-R"))
	if err != nil {
		t.Fatal(err)
	}
	image = append(image, make([]byte, 2*2048)...)
	m, err := volume.Open(runOut(image), int64(len(image)), options)
	if err != nil {
		t.Fatal(err)
	}
	mustBeClean(t, m)
	copy(image[256*2048:], make([]byte, 512)) // now the unreadable ones may be all there are
	if m, err = volume.Open(runOut(image), int64(len(image)), options); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, m, "volume", "unreadable")
}

// Folders too deep for ISO 9660 are relocated there and not in UDF.
func TestDeepBridge(t *testing.T) {
	dir := testmedia.Folder(t, testmedia.Files{"1/2/3/4/5/6/7/8/9/far.txt": udfNoise(1, 10), "1/empty": {}, "b/2/3/4/5/6/7/8/9/10/far.txt": udfNoise(2, 10)})
	for _, args := range [][]string{{"-R"}, {"-R", "-J"}, {"-R", "-hide-rr-moved"}, {"-R", "-J", "-hide-rr-moved"}, {"-D"}} {
		img := bridge(t, dir, args...)
		m := open(t, img)
		mustBeClean(t, m)
		sameTree(t, img, m.Volumes[0], dir)
	}
}

// Each damage changes one of the two trees only.
func TestBridgeWhoseTreesDiffer(t *testing.T) {
	dir := testmedia.Folder(t, testmedia.Files{
		"first.txt": udfNoise(1, 3000), "second.txt": udfNoise(2, 3000), "folder/inner.txt": udfNoise(3, 100), "X.TXT": udfNoise(4, 3000),
		"nothing": {}, "folder/void/keep": {},
	})
	if err := os.Link(filepath.Join(dir, "first.txt"), filepath.Join(dir, "zzz.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "folder/void/keep")); err != nil {
		t.Fatal(err)
	}
	good := bridge(t, dir, "-R")
	image, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	udfName := func(img []byte, name string) int { // the identifier's first byte
		at := bytes.Index(img, append([]byte{8}, name...)) - 38
		if at < 0 || le.Uint16(img[at:]) != 257 {
			t.Fatalf("no file identifier of %s", name)
		}
		return at
	}
	entry := func(img []byte, name string) int {
		start := 257 // of the partition
		return (start + int(le.Uint32(img[udfName(img, name)+24:]))) * 2048
	}
	record := func(img []byte, name string) int { // of ISO 9660, by its Rock Ridge name
		at := bytes.Index(img, append([]byte{'N', 'M', byte(5 + len(name)), 1, 0}, name...))
		if at < 0 {
			t.Fatalf("no record of %s", name)
		}
		for n := at; ; n-- {
			if n+int(img[n]) > at && img[n] > 33 && img[n+1] == 0 && le.Uint32(img[n+2:]) == binary.BigEndian.Uint32(img[n+6:]) && le.Uint32(img[n+10:]) == binary.BigEndian.Uint32(img[n+14:]) {
				return n
			}
		}
	}
	for _, c := range []struct {
		name, want string
		damage     func(img []byte)
	}{
		{"two names swapped in UDF", "systems would see different contents", func(img []byte) {
			a, b := udfName(img, "first.txt"), udfName(img, "second.txt")
			for _, at := range []int{a, b} {
				le.PutUint32(img[at+24:], le.Uint32(img[at+24:])^le.Uint32(image[a+24:])^le.Uint32(image[b+24:]))
				testmedia.ResealUDFTag(img[at : at+2048])
			}
		}},
		{"a file renamed in UDF", "is in UDF and not in ISO 9660", func(img []byte) {
			at := udfName(img, "X.TXT")
			img[at+39] = 'Y'
			testmedia.ResealUDFTag(img[at : at+2048])
		}},
		{"a file deleted in UDF", "ISO 9660 has files that are not in UDF", func(img []byte) {
			at := udfName(img, "second.txt")
			img[at+18] |= 4
			testmedia.ResealUDFTag(img[at : at+2048])
		}},
		{"an empty file deleted in UDF", "ISO 9660 has files that are not in UDF", func(img []byte) {
			at := udfName(img, "nothing")
			img[at+18] |= 4
			testmedia.ResealUDFTag(img[at : at+2048])
		}},
		{"an empty folder deleted in UDF", "ISO 9660 has 2 folders and UDF 1", func(img []byte) {
			at := udfName(img, "void")
			img[at+18] |= 4
			testmedia.ResealUDFTag(img[at : at+2048])
		}},
		{"a further name deleted in UDF", "ISO 9660 has files that are not in UDF", func(img []byte) {
			at := udfName(img, "zzz.txt")
			img[at+18] |= 4
			testmedia.ResealUDFTag(img[at : at+2048])
		}},
		{"a further name of another file in UDF", "zzz.txt is", func(img []byte) {
			ads := func(name string) int { at := entry(img, name); return at + 176 + int(le.Uint32(img[at+168:])) }
			le.PutUint32(img[ads("zzz.txt")+4:], le.Uint32(img[ads("second.txt")+4:]))
			at := entry(img, "zzz.txt")
			testmedia.ResealUDFTag(img[at : at+2048])
		}},
		{"a second name of one file entry in UDF", "zzz.txt is", func(img []byte) {
			at := udfName(img, "zzz.txt")
			copy(img[at+20:at+36], img[udfName(img, "second.txt")+20:][:16])
			testmedia.ResealUDFTag(img[at : at+2048])
		}},
		{"a file that is elsewhere in UDF", "which belongs to another file", func(img []byte) {
			at := entry(img, "first.txt")
			le.PutUint32(img[at+176+4+int(le.Uint32(img[at+168:])):], 5)
			testmedia.ResealUDFTag(img[at : at+2048])
		}},
		{"a shorter file in ISO 9660", "systems would see different contents", func(img []byte) {
			at := record(img, "second.txt")
			le.PutUint32(img[at+10:], 2900)
			binary.BigEndian.PutUint32(img[at+14:], 2900)
		}},
		{"a broken folder in UDF", "checksum of the descriptor", func(img []byte) { img[udfName(img, "first.txt")+8] ^= 1 }},
		{"a broken record in ISO 9660", "", func(img []byte) { img[record(img, "second.txt")+2] ^= 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := bytes.Clone(image)
			c.damage(img)
			file := filepath.Join(t.TempDir(), "damaged.iso")
			if err := os.WriteFile(file, img, 0o644); err != nil {
				t.Fatal(err)
			}
			_, vols, _ := problems(open(t, file))
			if len(vols) == 0 || !strings.Contains(fmt.Sprint(vols), c.want) {
				t.Errorf("problems %q", vols)
			}
		})
	}
}
