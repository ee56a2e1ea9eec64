package volume_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/limit"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// isoSeeds are small images by the real writers: a fuzzer starts at their trees,
// fields and tables, not at descriptors of its own.
func isoSeeds(t testing.TB) map[string][]byte {
	t.Helper()
	dir := testmedia.Folder(t, testmedia.Files{
		"a.txt": noise(1, 700), "copy.txt": noise(2, 3000), "empty": nil, "d/e/f/g/h/i/j/k/deep.txt": noise(3, 100),
		strings.Repeat("a long name ", 12): noise(4, 10),
	})
	for name, target := range map[string]string{"link": "a.txt", "far": strings.Repeat("up/", 60) + "away"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "copy.txt"), filepath.Join(dir, "second")); err != nil {
		t.Fatal(err)
	}
	plain := testmedia.Folder(t, testmedia.Files{"A.TXT": noise(1, 700), "DIR/B.BIN": noise(2, 5000), "C": nil, "DIR/SUB/D": noise(3, 1), "E": noise(4, 1)})
	small := testmedia.Genisoimage(t, plain, "-no-pad", "-J")
	testmedia.SmallBlocks(t, small, 512)
	seeds := map[string][]byte{}
	for name, img := range map[string]string{
		"rock":   testmedia.Genisoimage(t, dir, "-no-pad", "-R", "-J"),
		"deep":   testmedia.Genisoimage(t, dir, "-no-pad", "-R", "-J", "-hide-rr-moved"),
		"plain":  testmedia.Genisoimage(t, plain, "-no-pad"),
		"joliet": testmedia.Genisoimage(t, plain, "-no-pad", "-J"),
		"1999":   testmedia.Xorriso(t, dir, "-no-pad", "-R", "-J", "-iso-level", "4"),
		"small":  small,
	} {
		p, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		seeds[name] = p
	}
	return seeds
}

func TestISOSeedsAreGoodMedia(t *testing.T) {
	for name, p := range isoSeeds(t) {
		m, err := volume.Open(bytes.NewReader(p), int64(len(p)), volume.Options{Limits: limit.Default()})
		if err != nil {
			t.Fatal(err)
		}
		mustBeClean(t, m)
		if v := m.Volumes[0]; v.FS != "iso9660" || len(v.Entries) < 5 || len(p) > 300<<10 {
			t.Errorf("%s: %q, %d entries, %d bytes", name, v.FS, len(v.Entries), len(p))
		}
	}
}

// sealISO makes the numbers that are recorded in both byte orders agree, so that
// they do not stop the fuzzer at the door: in descriptors, and in each sector
// that begins as a folder does.
func sealISO(p []byte) {
	le, be := binary.LittleEndian, binary.BigEndian
	both := func(b []byte) { be.PutUint32(b[4:], le.Uint32(b)) }
	both16 := func(b []byte) { be.PutUint16(b[2:], le.Uint16(b)) }
	record := func(r []byte) {
		both(r[2:])
		both(r[10:])
		both16(r[28:])
	}
	for at := 16 * 2048; at+2048 <= len(p); at += 512 {
		s := p[at:][:2048]
		switch {
		case string(s[1:6]) == "CD001":
			both(s[80:])
			both(s[132:])
			both16(s[120:])
			both16(s[124:])
			both16(s[128:])
			record(s[156:])
		case s[0] >= 34 && s[32] == 1 && s[33] == 0:
			for pos := 0; pos < 2048-34 && s[pos] >= 34; pos += int(s[pos]) {
				record(s[pos:])
			}
		}
	}
}

func FuzzISO9660(f *testing.F) {
	testtool.Need(f, "genisoimage")
	testtool.Need(f, "xorriso")
	for _, p := range isoSeeds(f) {
		f.Add(p, uint32(0), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, pad uint32, seal bool) {
		if seal {
			data = bytes.Clone(data)
			sealISO(data)
		}
		hostile(t, data, pad)
	})
}
