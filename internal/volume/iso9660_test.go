package volume_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/medium"
	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// isoTree is tree with what ISO 9660 makes hard: many folders, names that fill a
// record, files of exactly one block.
func isoTree(files int) testmedia.Files {
	f := tree(files)
	for i := range 40 {
		f[fmt.Sprintf("names/%d %s", i, strings.Repeat("n", 60+4*i))] = noise(uint64(i), 40*i)
		f[fmt.Sprintf("folders/%d/%d/x", i%9, i)] = noise(uint64(i), 2048)
	}
	f["two blocks"], f["block and one"] = noise(1, 4096), noise(2, 2049)
	return f
}

// shortNames leaves out what Joliet cannot keep whole.
func shortNames(f testmedia.Files, most int) testmedia.Files {
	f = maps.Clone(f)
	maps.DeleteFunc(f, func(name string, _ []byte) bool {
		for _, part := range strings.Split(name, "/") {
			if len([]rune(part)) > most {
				return true
			}
		}
		return false
	})
	return f
}

func TestISOAsItsToolsReadIt(t *testing.T) {
	all, some := isoTree(1200), isoTree(150)
	for _, c := range []struct {
		name   string
		make   func(t testing.TB, dir string, args ...string) string
		args   []string
		files  testmedia.Files
		view   string // of isoinfo
		joliet bool   // is what is shown, so that 7z and it are alike
	}{
		{"genisoimage-rock", testmedia.Genisoimage, []string{"-R"}, some, "-R", false},
		{"genisoimage-rock-joliet", testmedia.Genisoimage, []string{"-R", "-J", "-V", "POLL 12"}, all, "-R", false},
		{"genisoimage-rational", testmedia.Genisoimage, []string{"-r", "-J", "-joliet-long"}, some, "-R", false},
		{"genisoimage-joliet", testmedia.Genisoimage, []string{"-J"}, shortNames(all, 62), "-J", true},
		{"genisoimage-joliet-long", testmedia.Genisoimage, []string{"-J", "-joliet-long"}, shortNames(some, 100), "-J", true},
		{"genisoimage-joliet-1", testmedia.Genisoimage, []string{"-J", "-ucs-level", "1"}, shortNames(some, 62), "-J", true},
		{"xorriso-rock", testmedia.Xorriso, []string{"-R"}, some, "-R", false},
		{"xorriso-rock-joliet", testmedia.Xorriso, []string{"-R", "-J"}, all, "-R", false},
		{"xorriso-no-pad", testmedia.Xorriso, []string{"-R", "-J", "-joliet-long", "-no-pad"}, some, "-R", false},
		{"xorriso-1999", testmedia.Xorriso, []string{"-R", "-J", "-iso-level", "4"}, some, "-R", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := testmedia.Folder(t, c.files)
			img := c.make(t, dir, c.args...)
			m := open(t, img)
			mustBeClean(t, m)
			v := m.Volumes[0]
			if m.Table != "none" || v.FS != "iso9660" {
				t.Fatalf("table %q, file system %q", m.Table, v.FS)
			}
			sameTree(t, img, v, dir)
			asIsoinfo(t, img, v, c.view)
			out := t.TempDir()
			if c.joliet {
				testtool.Run(t, "7z", "x", "-y", "-bd", "-tiso", "-o"+out, img)
			} else {
				testtool.Run(t, "xorriso", "-osirrox", "on", "-indev", img, "-extract", "/", out)
			}
			sameTree(t, img, v, out)
		})
	}
}

// asIsoinfo compares paths, sizes and first blocks with a listing of isoinfo.
func asIsoinfo(t *testing.T, img string, v volume.Volume, view string) {
	t.Helper()
	args := []string{"-l", "-i", img}
	if view != "" {
		args = append(args, view)
	}
	line := regexp.MustCompile(`^([-dlcbps])\S+ +\d+ +\d+ +\d+ +(\d+) .{11,12} ?\[ *(\d+) \d\d\] +(.*?) *$`)
	want, dir := map[string]string{}, ""
	for s := bufio.NewScanner(bytes.NewReader(testtool.Run(t, "isoinfo", args...))); s.Scan(); {
		if d, ok := strings.CutPrefix(s.Text(), "Directory listing of /"); ok {
			dir = d
			continue
		}
		p := line.FindStringSubmatch(s.Text())
		if p == nil || p[4] == "." || p[4] == ".." {
			continue
		}
		name := p[4]
		if view != "-R" {
			name = strings.TrimRight(strings.TrimSuffix(name, ";1"), ".")
		}
		if want[dir+name] = "folder"; p[1] != "d" {
			if want[dir+name] = p[2]; p[2] != "0" {
				want[dir+name] += " bytes in block " + p[3]
			}
		}
	}
	for _, e := range v.Entries {
		got := "folder"
		if e.Type == medium.File {
			if got = strconv.FormatInt(e.Size, 10); e.Size > 0 {
				got += fmt.Sprintf(" bytes in block %d", (e.Extents[0].Off-v.Offset)/2048)
			}
		}
		// isoinfo has no Unicode for Joliet.
		if foreign := strings.ContainsFunc(e.Path, func(r rune) bool { return r > 0x7F }); want[e.Path] != got && !(view == "-J" && foreign) {
			t.Errorf("%q is %q, and isoinfo says %q", e.Path, got, want[e.Path])
		}
	}
	if len(want) != len(v.Entries) {
		t.Errorf("%d entries, and isoinfo has %d", len(v.Entries), len(want))
	}
}

// Names without any extension are in capitals, cut, and of few characters.
func TestPlainISO(t *testing.T) {
	files := testmedia.Files{
		"A.TXT": noise(1, 700), "NOEXT": noise(2, 3000), "EMPTY.DAT": {}, "DIR/INNER.BIN": noise(3, 5000), "DIR/SUB/X.Y": noise(4, 1),
	}
	for i := range 300 {
		files[fmt.Sprintf("MANY/FILE%04d.DAT", i)] = noise(uint64(i), i*7)
	}
	for name, img := range map[string]string{
		"genisoimage": testmedia.Genisoimage(t, testmedia.Folder(t, files)),
		"level 4":     testmedia.Genisoimage(t, testmedia.Folder(t, files), "-iso-level", "4", "-input-charset", "iso8859-1"),
		"xorriso":     testmedia.Xorriso(t, testmedia.Folder(t, files), "--norock"),
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t, img)
			mustBeClean(t, m)
			sameTree(t, img, m.Volumes[0], testmedia.Folder(t, files))
			asIsoinfo(t, img, m.Volumes[0], "")
			out := t.TempDir()
			testtool.Run(t, "7z", "x", "-y", "-bd", "-tiso", "-o"+out, img)
			sameTree(t, img, m.Volumes[0], out)
		})
	}
}

func TestISOWithSmallBlocks(t *testing.T) {
	files := shortNames(isoTree(60), 62)
	for _, block := range []int{512, 1024} {
		img := testmedia.Genisoimage(t, testmedia.Folder(t, files), "-J")
		testmedia.SmallBlocks(t, img, block)
		m := open(t, img)
		mustBeClean(t, m)
		sameTree(t, img, m.Volumes[0], testmedia.Folder(t, files))
	}
}

// ISO 9660 has eight levels of folders; Rock Ridge relocates what is deeper.
func TestDeepISO(t *testing.T) {
	files := testmedia.Files{"top.txt": noise(1, 10)}
	path := ""
	for i := range 22 {
		path += fmt.Sprintf("l%d/", i) // xorriso leaves longer paths than 240 bytes out of Joliet
		files[path+"file"] = noise(uint64(i), 100+i)
		files[path+"side/other"] = noise(uint64(i), 50)
	}
	for _, c := range []struct {
		name  string
		make  func(t testing.TB, dir string, args ...string) string
		args  []string
		extra string // the folder that holds the relocated ones
	}{
		{"genisoimage", testmedia.Genisoimage, []string{"-R"}, "rr_moved"},
		{"genisoimage-joliet", testmedia.Genisoimage, []string{"-R", "-J"}, "rr_moved"},
		{"genisoimage-hidden", testmedia.Genisoimage, []string{"-R", "-J", "-hide-rr-moved"}, ".rr_moved"},
		{"genisoimage-deep", testmedia.Genisoimage, []string{"-R", "-J", "-D"}, ""},
		{"xorriso-deep", testmedia.Xorriso, []string{"-R", "-J"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := testmedia.Folder(t, files)
			img := c.make(t, dir, c.args...)
			m := open(t, img)
			mustBeClean(t, m)
			if c.extra != "" {
				if err := os.Mkdir(filepath.Join(dir, c.extra), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			sameTree(t, img, m.Volumes[0], dir)
		})
	}
	t.Run("xorriso-relocated", func(t *testing.T) {
		dir, img := testmedia.Folder(t, files), filepath.Join(t.TempDir(), "x.iso")
		testtool.Run(t, "xorriso", "-outdev", img, "-rr_reloc_dir", "rr_moved", "-compliance", "deep_paths_off", "-joliet", "on", "-map", dir, "/")
		m := open(t, img)
		mustBeClean(t, m)
		sameTree(t, img, m.Volumes[0], dir)
	})
}

// What is not plain is counted, by either writer, with and without Joliet.
func TestThingsOnISOThatAreNotPlain(t *testing.T) {
	testtool.Root(t)
	dir := testmedia.Folder(t, testmedia.Files{"one": noise(1, 5000), "other": noise(2, 5000), "empty": {}, "sub/x": noise(3, 10)})
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.Link(at("one"), at("two")), os.Link(at("one"), at("sub/three")), os.Link(at("empty"), at("empty too")),
		os.Symlink("one", at("link")), os.Symlink("/"+strings.Repeat("far/", 50)+"away", at("long link")), os.Symlink("sub", at("folder link")),
		unix.Mkfifo(at("fifo"), 0o644), unix.Mknod(at("null"), unix.S_IFCHR|0o644, 1<<8|3), unix.Mknod(at("disk"), unix.S_IFBLK|0o644, 7<<8),
		unix.Mknod(at("socket"), unix.S_IFSOCK|0o644, 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, img := range map[string]string{
		"genisoimage":        testmedia.Genisoimage(t, dir, "-R"),
		"genisoimage-joliet": testmedia.Genisoimage(t, dir, "-R", "-J"),
		"genisoimage-1999":   testmedia.Genisoimage(t, dir, "-R", "-J", "-iso-level", "4", "-input-charset", "iso8859-1"),
		"xorriso-joliet":     testmedia.Xorriso(t, dir, "-R", "-J", "-iso-level", "4"),
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t, img)
			mustBeClean(t, m)
			got := map[medium.Type]int{}
			for _, e := range m.Volumes[0].Entries {
				got[e.Type]++
			}
			want := map[medium.Type]int{medium.File: 5, medium.Folder: 1, medium.HardLink: 2, medium.Symlink: 3, medium.FIFO: 1, medium.CharDevice: 1, medium.BlockDevice: 1, medium.Socket: 1}
			if !maps.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			for path, size := range map[string]int64{"one": 5000, "two": 5000} {
				i := slices.IndexFunc(m.Volumes[0].Entries, func(e volume.Entry) bool { return e.Path == path })
				if e := m.Volumes[0].Entries[i]; e.Size != size {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

func TestISOOfOtherExtensions(t *testing.T) {
	dir := testmedia.Folder(t, testmedia.Files{"zeros": make([]byte, 300_000), "noise": noise(1, 5000), "sub/zeros2": make([]byte, 200_000)})
	img := filepath.Join(t.TempDir(), "z.iso")
	testtool.Run(t, "xorriso", "-outdev", img, "-joliet", "on", "-map", dir, "/", "-set_filter_r", "--zisofs", "/", "--")
	m := open(t, img)
	_, vols, files := problems(m)
	if len(vols) != 0 || len(files) != 2 || !strings.Contains(files[0], "filesystem-unsupported") || !strings.Contains(files[0], "zisofs") {
		t.Errorf("volume %q, files %q", vols, files)
	}
	for _, e := range m.Volumes[0].Entries {
		if (e.Traits == medium.Compressed) != strings.Contains(e.Path, "zeros") {
			t.Errorf("%+v", e)
		}
	}
	// Boot images of El Torito, and padding behind the volume.
	dir = testmedia.Folder(t, testmedia.Files{"boot/image.bin": noise(2, 2048), "readme.txt": []byte("x")})
	img = testmedia.Genisoimage(t, dir, "-R", "-J", "-b", "boot/image.bin", "-no-emul-boot", "-c", "boot/catalog")
	f, err := os.OpenFile(img, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(noise(3, 300*2048+17)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	mustBeClean(t, open(t, img))
	mustBeClean(t, open(t, testmedia.Xorriso(t, dir, "-R", "-J", "-b", "boot/image.bin", "-no-emul-boot", "-c", "boot/catalog")))
}

func TestISOLabelAndTimes(t *testing.T) {
	dir := testmedia.Folder(t, testmedia.Files{"x": []byte("x")})
	testtool.Run(t, "touch", "-d", "2026-11-03T19:58:42Z", filepath.Join(dir, "x"))
	for name, img := range map[string]string{
		"rock":   testmedia.Genisoimage(t, dir, "-R", "-V", "POLL_12"),
		"joliet": testmedia.Genisoimage(t, dir, "-J", "-V", "POLL_12"),
		"plain":  testmedia.Genisoimage(t, dir, "-V", "POLL_12"),
		"both":   testmedia.Xorriso(t, dir, "-R", "-J", "-V", "POLL_12"),
	} {
		v := open(t, img).Volumes[0]
		uuid := strings.TrimSpace(string(testtool.Run(t, "blkid", "-p", "-o", "value", "-s", "UUID", img)))
		if v.Label != "POLL_12" || v.ID != uuid {
			t.Errorf("%s: label %q, identity %q, blkid says %q", name, v.Label, v.ID, uuid)
		}
		if e := v.Entries[0]; e.Modified != "2026-11-03T19:58:42" {
			t.Errorf("%s: modified %q", name, e.Modified)
		}
	}
}

// sparsely runs a program that writes an image to its output, and keeps the
// image with holes where there are zeros.
func sparsely(t *testing.T, program string, args ...string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "large.iso")
	out, err := os.Create(img)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testtool.Need(t, program), args...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf, zeros, at := make([]byte, 1<<20), make([]byte, 1<<20), int64(0)
	for {
		n, err := io.ReadFull(pipe, buf)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				t.Fatal(err)
			}
		}
		at += int64(n)
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := out.Truncate(at); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return img
}

// A file of more than 4 GiB has several records, one of 4 GiB - 1 has one.
func TestISOFilesOf4GiB(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 4 GiB")
	}
	dir := testmedia.Folder(t, testmedia.Files{"before": noise(1, 3000), "z/after": noise(2, 3000)})
	const size = 4<<30 + 5
	big := filepath.Join(dir, "large.bin")
	if err := os.WriteFile(big, []byte("begin"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, size); err != nil {
		t.Fatal(err)
	}
	testmedia.Poke(t, big, 4<<30-2048-3, []byte("seam of two sections")...)
	testmedia.Poke(t, big, size-3, []byte("end")...)
	img := sparsely(t, "xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-R", "-J", "-o", "-", dir)
	m := open(t, img)
	mustBeClean(t, m)
	i := slices.IndexFunc(m.Volumes[0].Entries, func(e volume.Entry) bool { return e.Path == "large.bin" })
	e := m.Volumes[0].Entries[i]
	if e.Size != size || len(e.Extents) != 1 {
		t.Fatalf("%d bytes in %v", e.Size, e.Extents)
	}
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	src, err := os.Open(big)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for _, at := range []int64{0, 1 << 30, 4<<30 - 4096, size - 4096} {
		p, q := make([]byte, 4096), make([]byte, 4096)
		for _, r := range []struct {
			f   *os.File
			off int64
			p   []byte
		}{{f, e.Extents[0].Off + at, p}, {src, at, q}} {
			if _, err := r.f.ReadAt(r.p, r.off); err != nil {
				t.Fatal(err)
			}
		}
		if sha256.Sum256(p) != sha256.Sum256(q) {
			t.Errorf("other bytes at %d", at)
		}
	}
	list := string(testtool.Run(t, "7z", "l", "-slt", "-tiso", img))
	if !strings.Contains(list, fmt.Sprintf("Path = large.bin\nFolder = -\nSize = %d", int64(size))) {
		t.Errorf("7z lists another size:\n%s", list)
	}
}

// Trees that show different files are the attack that this format invites.
func TestISOTreesThatDiffer(t *testing.T) {
	files := testmedia.Files{"ballots.json": noise(1, 3000), "other.json": noise(2, 3000), "sub/third": noise(3, 100), "more/": nil}
	dir := testmedia.Folder(t, files)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct{ name, img, want string }{
		{"not in Joliet", testmedia.Genisoimage(t, dir, "-R", "-J", "-hide-joliet", at("ballots.json")), "ballots.jso is in the primary tree with Rock Ridge and not in the Joliet tree"},
		{"only in Joliet", testmedia.Genisoimage(t, dir, "-R", "-J", "-hide", at("ballots.json")), "ballots.json is in the Joliet tree and not in the primary tree with Rock Ridge"},
		{"folder not in Joliet", testmedia.Genisoimage(t, dir, "-R", "-J", "-hide-joliet", at("more")), "has 2 folders and the Joliet tree 1"},
		{"Joliet alone against plain names", testmedia.Genisoimage(t, dir, "-J", "-hide", at("other.json")), "other.json is in the Joliet tree and not in the primary tree"},
	} {
		_, vols, _ := problems(open(t, c.img))
		if len(vols) == 0 || !strings.Contains(strings.ToLower(vols[0]), strings.ToLower(c.want)) || !strings.Contains(vols[0], "systems would see different contents") {
			t.Errorf("%s: %q", c.name, vols)
		}
	}
	// Two files of one size change places in Joliet: as many files, the same
	// extents, and yet each name is something else on Windows.
	img := testmedia.Genisoimage(t, dir, "-R", "-J")
	wide := func(s string) string { return "\x00" + strings.Join(strings.Split(s, ""), "\x00") }
	a, b := testmedia.ISORecord(t, img, wide("ballots.json"), 0), testmedia.ISORecord(t, img, wide("other.json"), 0)
	p, q := testmedia.Bytes(t, img, a+2, 8), testmedia.Bytes(t, img, b+2, 8)
	testmedia.Poke(t, img, a+2, q...)
	testmedia.Poke(t, img, b+2, p...)
	_, vols, _ := problems(open(t, img))
	if len(vols) != 1 || !strings.Contains(vols[0], "has another content in the Joliet tree than in the primary tree with Rock Ridge") {
		t.Errorf("swapped: %q", vols)
	}
}
