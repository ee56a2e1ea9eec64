package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// bag is a folder of files of all kinds that a package may have.
func bag(t *testing.T) string {
	t.Helper()
	deep := strings.Repeat("d", 40) + "/" + strings.Repeat("E", 64) + "/f/g/h/last.bin"
	return testmedia.Folder(t, testmedia.Files{
		"empty.txt": nil, "cluster.bin": noise(1, 512), "page.bin": noise(2, 4096), "Results-of-the-count.v1.json": noise(3, 100_000),
		"large.bin": noise(4, 3<<20+1), deep: []byte("deep"), "SHORT.TXT": []byte("short"), "lower.txt": []byte("lower"),
	})
}

// loop attaches an image to a loop device until the test ends.
func loop(t *testing.T, img string, args ...string) string {
	t.Helper()
	testtool.Root(t)
	dev := strings.TrimSpace(string(testtool.Run(t, "losetup", append(args, "--find", "--show", img)...)))
	t.Cleanup(func() { testtool.Run(t, "losetup", "--detach", dev) })
	return dev
}

// used is an image full of what an earlier user left.
func used(t *testing.T, mib int) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "disk.img"), bytes.Repeat([]byte("\xFC\x4E\x2B\xA9 left over ."), mib<<16))
}

// checked has the checker of Linux look at the partition of an image.
func checked(t *testing.T, img string) {
	t.Helper()
	all, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "fsck.fat", "-n", write(t, filepath.Join(t.TempDir(), "partition"), all[1<<20:]))
}

var sealing = []string{"seal", "--kind", "media-set", "--audience", "ems-1"}

func sealTo(args ...string) []string { return append(append([]string{}, sealing...), args...) }

func TestSealToAnImage(t *testing.T) {
	o := office(t)
	files := bag(t)
	for name, args := range map[string][]string{"small": nil, "of a size": {"--size", "80M"}} {
		t.Run(name, func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "stick.img")
			doc := document(t, must(t, o.Source, append(append([]string{"--json"}, sealTo("--stream", "image-"+strings.ReplaceAll(name, " ", "-"), "--image", img)...), append(args, files)...)...))
			if doc["image"] != img || doc["files"] != 8.0 || doc["folder"] != nil {
				t.Errorf("the report says %v", doc)
			}
			st, err := os.Stat(img)
			if err != nil || args != nil && st.Size() != 80<<20 || st.Size() > 80<<20 {
				t.Errorf("the image has %d bytes, %v", st.Size(), err)
			}
			checked(t, img)
			take(t, o, img)
			before, err := os.ReadFile(img)
			if err != nil {
				t.Fatal(err)
			}
			if r := at(t, o.Source, sealTo("--image", img, files)...); r.status != 2 || !strings.Contains(r.err, "exists already, and nothing is overwritten") {
				t.Errorf("an image that is there: exit status %d: %s", r.status, r.err)
			}
			if now, err := os.ReadFile(img); err != nil || !bytes.Equal(now, before) {
				t.Errorf("the image that was there has changed (%v)", err)
			}
		})
	}
}

func TestSealManyFilesToAnImage(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	for i := range 20_000 {
		write(t, filepath.Join(dir, fmt.Sprintf("b%06d.json", i)), []byte("{}\n"))
	}
	img := filepath.Join(t.TempDir(), "stick.img")
	must(t, o.Source, sealTo("--stream", "many", "--image", img, dir)...)
	take(t, o, img)
}

// TestSealToADevice: what an earlier user left on the disk is gone, and both
// sizes of sectors are taken from the device itself.
func TestSealToADevice(t *testing.T) {
	o := office(t)
	files := bag(t)
	for _, c := range []struct {
		sector string
		mib    int
	}{{"512", 64}, {"4096", 300}} {
		t.Run(c.sector, func(t *testing.T) {
			img := used(t, c.mib)
			dev := loop(t, img, "--sector-size", c.sector)
			r := at(t, o.Source, sealTo("--device", dev, files)...)
			for _, words := range []string{"everything on " + dev + " would be lost", img, fmt.Sprintf("%d.0 MiB", c.mib), "without partitions", "--erase"} {
				if r.status != 2 || !strings.Contains(r.err, words) {
					t.Errorf("without --erase: exit status %d, %q is not in %q", r.status, words, r.err)
				}
			}
			if b, err := os.ReadFile(img); err != nil || !bytes.HasPrefix(b, []byte("\xFC\x4E\x2B\xA9 left")) {
				t.Errorf("the disk was written to without --erase (%v)", err)
			}
			r = at(t, o.Source, sealTo("--stream", "device-"+c.sector, "--device", dev, "--erase", files)...)
			if r.status != 0 || !strings.Contains(r.out, "Take the medium out") || !strings.Contains(r.err, "erasing "+dev+": ") {
				t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
			}
			if c.sector == "512" {
				checked(t, img)
			}
			if r := call(t, "inspect", "--hash", dev); r.status != 0 || !strings.Contains(r.out, "Results-of-the-count.v1.json") {
				t.Errorf("inspect: exit status %d\n%s%s", r.status, r.out, r.err)
			}
			take(t, o, dev)
		})
	}
}

// Devices that are no whole disk, that somebody uses or that cannot be written
// to are refused, and stay as they are.
func TestSealToNoDevice(t *testing.T) {
	o := office(t)
	file := write(t, filepath.Join(t.TempDir(), "a.txt"), []byte("a"))
	refused := func(name, dev string, says ...string) {
		t.Helper()
		r := at(t, o.Source, sealTo("--device", dev, "--erase", file)...)
		for _, words := range says {
			if r.status != 2 || !strings.Contains(r.err, words) {
				t.Errorf("%s: exit status %d, %q is not in %q", name, r.status, words, r.err)
			}
		}
	}
	refused("a file", file, "is no block device", "--image")
	refused("a character device", "/dev/null", "is no block device")
	refused("nothing", "/dev/none", "no such file")

	img := testmedia.EmptyExt(t, testmedia.ExtOptions{})
	whole := testmedia.Partitioned(t, "gpt", img)
	dev := loop(t, whole)
	before, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	testtool.Run(t, "partx", "--add", dev) // this kernel need not know any partition table
	t.Cleanup(func() {
		until(t, "the partition's end", func() bool { return exec.Command("partx", "--delete", dev).Run() == nil })
	})
	part := dev + "p1"
	if r := at(t, o.Source, sealTo("--device", dev, file)...); r.status != 2 || !strings.Contains(r.err, "with 1 partition: "+filepath.Base(part)+" (64.0 MiB)") {
		t.Errorf("without --erase: exit status %d, %s", r.status, r.err)
	}
	refused("a partition", part, "is one partition of the disk "+filepath.Base(dev))
	mnt := t.TempDir()
	testtool.Run(t, "mount", "-o", "ro", part, mnt)
	refused("a mounted partition", dev, "is mounted at "+mnt+": unmount it first")
	testtool.Run(t, "umount", mnt)
	// A confined reader of another test may have our mount in its namespace still.
	var busy *os.File
	until(t, "the partition to be free", func() bool {
		busy, err = os.OpenFile(part, os.O_RDONLY|unix.O_EXCL, 0)
		return err == nil
	})
	refused("a partition in use", dev, "is in use")
	if err := busy.Close(); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(whole); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the disk has changed (%v)", err)
	}

	direct := loop(t, img)
	testtool.Run(t, "mount", "-o", "ro", direct, mnt)
	refused("a mounted disk", direct, "is mounted at "+mnt+": unmount it first")
	testtool.Run(t, "umount", mnt)
	refused("a disk for reading only", loop(t, used(t, 64), "--read-only"), "is write-protected")
	refused("a small disk", loop(t, used(t, 8)), "use a larger one", "does not fit")
	refused("odd sectors", loop(t, used(t, 64), "--sector-size", "2048"), "sectors of 2048 bytes", "--out")
}

// seals counts what a station has signed.
func seals(t *testing.T, s *testoffice.Station) int {
	t.Helper()
	return strings.Count(must(t, s, "--json", "log", "show", "--event", "package.seal"), `"success"`)
}

// TestSealToBadDevices: a disk that fails or lies never makes a package. What it
// shows before the signature costs no sequence number; afterwards 'seal-again'
// writes the very package to another medium.
func TestSealToBadDevices(t *testing.T) {
	o := office(t)
	testtool.Root(t)
	files := bag(t)
	const size, head = 64 << 20, 12 << 20        // files begin before head
	const tables, tablesEnd = 19 << 19, 10 << 20 // in the middle of the tables
	within := func(off int64, p []byte, from, to int64) bool { return off < to && off+int64(len(p)) > from }
	var data atomic.Bool
	for name, c := range map[string]struct {
		writes testmedia.WritePlan
		reads  testmedia.Plan
		room   int64
		signed bool
		says   []string
	}{
		"it cannot be erased": {writes: func(off int64, p []byte) (bool, error) { return false, syscall.EIO },
			says: []string{"cannot erase the medium: cannot write to byte 0 of the medium: input/output error", "is not known"}},
		"it fails in the middle": {writes: func(off int64, p []byte) (bool, error) {
			if within(off, p, head, size-2<<20) {
				return false, syscall.EIO
			}
			return false, nil
		}, says: []string{"cannot seal ", "cannot write to byte", "input/output error; use another medium", "is left without a file system"}},
		"it loses what is written": {writes: func(off int64, p []byte) (bool, error) { return within(off, p, head, size-2<<20), nil },
			says: []string{"the medium did not keep what was written", "use another medium, and throw this one away", "is left without a file system"}},
		"it keeps a wrong bit": {writes: func(off int64, p []byte) (bool, error) {
			if within(off, p, head+4096, head+4097) {
				p[head+4096-off] ^= 1
			}
			return false, nil
		}, says: []string{"the medium did not keep what was written", "is left without a file system"}},
		"it cannot read": {reads: func(r testmedia.Read, p []byte) (int, error) {
			if data.Load() && r.Over(p, head, 1<<20) {
				return 0, syscall.EIO
			}
			return len(p), nil
		}, writes: func(off int64, p []byte) (bool, error) {
			data.Store(data.Load() || within(off, p, head, size-2<<20))
			return false, nil
		}, says: []string{"cannot read back byte", "input/output error; use another medium", "is left without a file system"}},
		"it has less room than it says": {room: 11 << 20,
			says: []string{"the medium did not keep what was written", "throw this one away"}},
		"it fails when the tables are written": {writes: func(off int64, p []byte) (bool, error) {
			if within(off, p, tables, tablesEnd) {
				return false, syscall.EIO
			}
			return false, nil
		}, signed: true, says: []string{"is signed, but it is not on a good medium", "cannot write to byte", "is left without a file system", "seal-again", "--device DEVICE --erase FILE..."}},
		"it loses the tables": {writes: func(off int64, p []byte) (bool, error) {
			return within(off, p, tables, tablesEnd), nil
		}, signed: true, says: []string{"is signed, but it is not on a good medium", "did not keep", "table", "seal-again"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := seals(t, o.Source)
			d := testmedia.NewDevice(t, used(t, size>>20), testmedia.DeviceOptions{Writable: true})
			if c.room > 0 {
				c.writes, c.reads = testmedia.AliasWrites(d, c.room), testmedia.Alias(d, c.room)
			}
			d.SetWrites(c.writes)
			d.Set(c.reads)
			r := at(t, o.Source, sealTo("--stream", "bad-"+strings.ReplaceAll(name, " ", "-"), "--device", d.Path, "--erase", files)...)
			d.SetWrites(nil)
			d.Set(nil)
			if r.status != 1 || r.out != "" {
				t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
			}
			for _, words := range c.says {
				if !strings.Contains(r.err, words) {
					t.Errorf("%q is not in %q", words, r.err)
				}
			}
			if got := seals(t, o.Source) - before; got != map[bool]int{true: 1}[c.signed] {
				t.Errorf("%d packages were signed", got)
			}
			if r := call(t, "inspect", d.Path); strings.Contains(r.out, "SALLYPORT") {
				t.Errorf("the medium shows a package:\n%s", r.out)
			}
			if !c.signed {
				return
			}
			_, id, _ := strings.Cut(r.err, "seal-again ")
			id, _, _ = strings.Cut(id, " ")
			must(t, o.Source, "seal-again", id, "--device", d.Path, "--erase", files)
			take(t, o, d.Path)
		})
	}
}

// TestSealAgainToAMedium: only the files that were signed make the package again.
func TestSealAgainToAMedium(t *testing.T) {
	o := office(t)
	files := testmedia.Folder(t, testmedia.Files{"a.txt": []byte("one\n"), "sub/b.txt": []byte("two\n")})
	first := document(t, must(t, o.Source, append([]string{"--json"}, sealTo("--stream", "once-more", "--image", filepath.Join(t.TempDir(), "lost.img"), files)...)...))
	id := first["package_id"].(string)
	second := filepath.Join(t.TempDir(), "second.img")
	out := must(t, o.Source, sealTo("--stream", "once-more", "--image", second, files)...)
	for _, words := range []string{"WARNING: the same files were sealed before as package " + id + ", sequence ", "this is a new package with sequence ", "seal-again " + id} {
		if !strings.Contains(out, words) {
			t.Errorf("%q is not in\n%s", words, out)
		}
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no files":        {nil, 2, "name the files that were sealed"},
		"one is missing":  {[]string{filepath.Join(files, "a.txt")}, 2, "has a file sub/b.txt, which is not among these"},
		"another size":    {[]string{testmedia.Folder(t, testmedia.Files{"a.txt": []byte("one"), "sub/b.txt": []byte("two\n")})}, 2, "it has 3 bytes, signed were 4"},
		"another content": {[]string{testmedia.Folder(t, testmedia.Files{"a.txt": []byte("eno\n"), "sub/b.txt": []byte("two\n")})}, 1, "a.txt is not the file of package"},
		"one too many":    {[]string{testmedia.Folder(t, testmedia.Files{"a.txt": []byte("one\n"), "c": nil, "sub/b.txt": []byte("two\n")})}, 2, "has no file c"},
		"to a folder too": {[]string{"--out", t.TempDir(), files}, 2, "only one of"},
	} {
		img := filepath.Join(t.TempDir(), "again.img")
		r := at(t, o.Source, append([]string{"seal-again", id, "--image", img}, c.args...)...)
		if r.status != c.status || !strings.Contains(r.err, c.says) {
			t.Errorf("%s: exit status %d, %q is not in %q", name, r.status, c.says, r.err)
		}
		nothingLeft(t, filepath.Dir(img))
	}
	if r := at(t, o.Source, "seal-again", id, "--out", t.TempDir(), files); r.status != 2 || !strings.Contains(r.err, "name none") {
		t.Errorf("files for a folder: exit status %d: %s", r.status, r.err)
	}
	again := filepath.Join(t.TempDir(), "again.img")
	must(t, o.Source, "seal-again", id, "--image", again, files)
	checked(t, again)
	take(t, o, again) // the second waits for it
	take(t, o, second)
}

// What a FAT32 cannot hold is refused with a way out, and nothing is written.
func TestSealToAnImageRefuses(t *testing.T) {
	o := office(t)
	dir := t.TempDir()
	huge := write(t, filepath.Join(dir, "huge.bin"), nil)
	if err := os.Truncate(huge, 4<<30); err != nil {
		t.Fatal(err)
	}
	crowd := t.TempDir()
	for i := range 11_000 {
		write(t, filepath.Join(crowd, fmt.Sprintf("%064d", i)), nil)
	}
	small := write(t, filepath.Join(dir, "small.txt"), []byte("small\n"))
	before := seals(t, o.Source)
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"a file of 4 GiB":      {[]string{huge}, []string{"huge.bin has 4294967296 bytes", "exFAT", "--out"}},
		"a crowded folder":     {[]string{crowd}, []string{"data has 11000 files", "exFAT", "--out"}},
		"a size too small":     {[]string{"--size", "16M", small}, []string{"does not fit", "a larger --size"}},
		"a size that is none":  {[]string{"--size", "large", small}, []string{"is no size", "512M"}},
		"a size of no sectors": {[]string{"--size", "1000", small}, []string{"is no size"}},
		"a size of too much":   {[]string{"--size", "3T", small}, []string{"at most 4294967295 sectors", "--out"}},
		"two places":           {[]string{"--out", dir, small}, []string{"only one of --out, --image and --device"}},
		"erase without a disk": {[]string{"--erase", small}, []string{"--erase is for the disk"}},
	} {
		img := filepath.Join(t.TempDir(), "stick.img")
		r := at(t, o.Source, sealTo(append([]string{"--image", img}, c.args...)...)...)
		for _, words := range c.says {
			if r.status != 2 || !strings.Contains(r.err, words) {
				t.Errorf("%s: exit status %d, %q is not in %q", name, r.status, words, r.err)
			}
		}
		nothingLeft(t, filepath.Dir(img))
	}
	if r := at(t, o.Source, sealTo("--size", "64M", "--out", dir, small)...); r.status != 2 || !strings.Contains(r.err, "--size is the size of the image") {
		t.Errorf("a size of a folder: exit status %d: %s", r.status, r.err)
	}
	if r := at(t, o.Source, sealTo("--image", filepath.Join(dir, "none", "x.img"), small)...); r.status != 2 || !strings.Contains(r.err, "there is no folder") {
		t.Errorf("a folder that is not there: exit status %d: %s", r.status, r.err)
	}
	if now := seals(t, o.Source); now != before {
		t.Errorf("%d packages were signed", now-before)
	}
}

// TestImageWithoutRoom: the image's file system is full before anything is signed.
func TestImageWithoutRoom(t *testing.T) {
	o := office(t)
	testtool.Root(t)
	before := seals(t, o.Source)
	for name, mib := range map[string]int{"for the tables": 1, "for the files": 12} {
		mnt := t.TempDir()
		testtool.Run(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dM", mib), "tmpfs", mnt)
		t.Cleanup(func() { testtool.Run(t, "umount", mnt) })
		files := write(t, filepath.Join(t.TempDir(), "large.bin"), noise(1, 40<<20))
		if r := at(t, o.Source, sealTo("--image", filepath.Join(mnt, "stick.img"), files)...); r.status != 1 || !strings.Contains(r.err, "no space left on device; the image was removed") {
			t.Errorf("no room %s: exit status %d: %s", name, r.status, r.err)
		}
		nothingLeft(t, mnt)
	}
	if now := seals(t, o.Source); now != before {
		t.Errorf("%d packages were signed", now-before)
	}
}

// Ctrl-C in the middle leaves no image, and a disk without a file system.
func TestSealToAMediumInterrupted(t *testing.T) {
	o := office(t)
	testtool.Root(t)
	d := testmedia.NewDevice(t, used(t, 64), testmedia.DeviceOptions{Writable: true})
	started, held := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	d.SetWrites(func(off int64, p []byte) (bool, error) {
		if off >= 12<<20 && off < 60<<20 && once.CompareAndSwap(false, true) {
			close(started)
			<-held
		}
		return false, nil
	})
	big := write(t, filepath.Join(t.TempDir(), "big.bin"), noise(1, 30<<20))
	cmd := command(append([]string{"--config", o.Source.File("sallyport.toml")}, sealTo("--device", d.Path, "--erase", big)...)...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	close(held)
	if status := wait(t, cmd); status != 5 || !strings.Contains(said.String(), "interrupted; nothing was signed; "+d.Path+" is left without a file system") {
		t.Errorf("exit status %d: %s", status, said.String())
	}
	if err := os.Truncate(big, 3<<30); err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(t.TempDir(), "stick.img")
	cmd = command(append([]string{"--config", o.Source.File("sallyport.toml")}, sealTo("--image", img, big)...)...)
	said.Reset()
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the copying", func() bool { _, err := os.Stat(img); return err == nil })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status := wait(t, cmd); status != 5 || !strings.Contains(said.String(), "interrupted; nothing was signed; the image was removed") {
		t.Errorf("exit status %d: %s", status, said.String())
	}
	nothingLeft(t, filepath.Dir(img))
}
