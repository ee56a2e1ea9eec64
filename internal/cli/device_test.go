package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// A device that fails is told in a sentence for the person who holds it, with
// the file and the byte for whoever examines it, and with what to do.
func TestInspectFailingDevices(t *testing.T) {
	testtool.Root(t)
	files := testmedia.Files{"one.bin": noise(1, 100_000), "two.bin": noise(2, 100_000), "three.txt": []byte("three\n")}
	img := testmedia.FAT(t, testmedia.Options{}, files)
	at := testmedia.Where(t, img, "one.bin", 50_000)
	bad := at / 4096 * 4096
	for name, tc := range map[string]struct {
		plan  testmedia.Plan
		lines []string // each in the answer
		rest  bool     // the other files have their sums
	}{
		"a bad place in a file": {testmedia.Bad(at, 1, unix.EIO), []string{
			"damaged: unreadable: the medium could not be read: ", "one.bin",
			fmt.Sprintf("content of the file, byte %d of the medium: input/output error", bad),
			"→ Try the medium once more in another port; if it fails again, ask for a fresh copy on a new medium.",
		}, true},
		"a bad place in the root folder": {testmedia.Bad(testmedia.Where(t, img, "one.bin", 0)-512, 512, unix.EIO), []string{
			"damaged: unreadable: the medium could not be read: root folder, byte ", "input/output error",
			"→ Try the medium once more in another port",
		}, false},
		"pulled from a file": {pulledAt(at), []string{
			"damaged: removed-during-read: the medium was pulled before it was read to the end: ", "one.bin",
			"→ Insert the medium again and wait for the verdict.",
		}, false},
		"pulled from the root folder": {pulledAt(4096), []string{
			"damaged: removed-during-read: the medium was pulled before it was read to the end: ",
			"→ Insert the medium again and wait for the verdict.",
		}, false},
		"nothing can be read": {testmedia.Bad(0, 1<<40, unix.EIO), []string{
			"damaged: unreadable: the medium could not be read: first sector, byte 0: input/output error",
			"→ Try the medium once more in another port",
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
			d.Set(tc.plan)
			r := call(t, "inspect", "--hash", d.Path)
			if r.status != 3 || r.err != "" {
				t.Errorf("exit status %d, %s", r.status, r.err)
			}
			for _, line := range tc.lines {
				if !strings.Contains(r.out, line) {
					t.Errorf("%q is not in\n%s", line, r.out)
				}
			}
			if tc.rest != strings.Contains(r.out, inspected(t, img)["two.bin"]) {
				t.Errorf("the other file: \n%s", r.out)
			}
		})
	}
}

// pulledAt is a plan by which the medium is pulled when the byte at is read:
// from then on there is no device.
func pulledAt(at int64) testmedia.Plan {
	var gone atomic.Bool
	return func(r testmedia.Read, p []byte) (int, error) {
		if r.Over(p, at, 1) {
			gone.Store(true)
		}
		if gone.Load() {
			return 0, unix.ENODEV
		}
		return len(p), nil
	}
}

// A device that lies, fails or vanishes under a sealed package is held for what
// it did, and the same package is accepted when it comes whole: also from a
// device that would give other bytes if it were asked a second time.
func TestIntakeFailingDevices(t *testing.T) {
	o := office(t)
	testtool.Root(t)
	s, err := o.Join("failing-devices", "ems", testoffice.ElectionID)
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Source.Seal("--audience", s.ID, "--kind", "election-definition", "--election", testoffice.ElectionID, o.Small("definition.json"))
	if err != nil {
		t.Fatal(err)
	}
	img := fatOf(t, p)
	file := dataFile(t, img)
	first := testmedia.Where(t, img, file, 0)
	envelope := testmedia.Where(t, img, strings.Split(file, "/data/")[0]+"/manifest.dsse.json", 0)
	d := testmedia.NewDevice(t, img, testmedia.DeviceOptions{})
	for _, tc := range []struct {
		name   string
		plan   testmedia.Plan
		status int
		lines  []string
	}{
		{"a bad place", testmedia.Bad(first, 1, unix.EIO), 3, []string{"HELD: ", "unreadable: the medium could not be read", "input/output error",
			"→ Try the medium once more in another port; if it fails again, ask for a fresh copy on a new medium."}},
		{"pulled", pulledAt(first), 3, []string{"HELD: ", "removed-during-read: the medium was pulled before it was read to the end",
			"→ Insert the medium again and wait for the verdict."}},
		{"another byte than was signed", altered(first, 0), 3, []string{"HELD: ", "file-altered: a file differs from what was signed", file,
			"→ Do not use the medium. Ask the sender for a fresh copy and report this."}},
		{"another medium once the manifest is read", swappedAt(envelope, first), 3, []string{"HELD: ", "file-altered: a file differs from what was signed", file}},
		// Looking at its folder has already touched the sector, and used nothing of it.
		{"other bytes the next time", altered(first, 2), 0, []string{"ACCEPTED: "}},
	} {
		d.Reads()
		d.Set(tc.plan)
		r := at(t, s, "intake", d.Path)
		if r.status != tc.status {
			t.Errorf("%s: exit status %d\n%s%s", tc.name, r.status, r.out, r.err)
		}
		for _, line := range tc.lines {
			if !strings.Contains(r.out, line) {
				t.Errorf("%s: %q is not in\n%s", tc.name, line, r.out)
			}
		}
	}
}

// altered is a plan by which the byte at is another one from the nth read on.
func altered(at int64, nth int) testmedia.Plan {
	return func(r testmedia.Read, p []byte) (int, error) {
		if r.Over(p, at, 1) && r.Nth >= nth {
			p[at-r.Off] ^= 1
		}
		return len(p), nil
	}
}

// swappedAt is a plan by which the byte at is another one once the byte trigger
// was read.
func swappedAt(trigger, at int64) testmedia.Plan {
	var swapped atomic.Bool
	return func(r testmedia.Read, p []byte) (int, error) {
		if r.Over(p, at, 1) && swapped.Load() {
			p[at-r.Off] ^= 1
		}
		if r.Over(p, trigger, 1) {
			swapped.Store(true)
		}
		return len(p), nil
	}
}

// dataFile returns the path of a file of a sealed package.
func dataFile(t *testing.T, img string) string {
	t.Helper()
	for path := range inspected(t, img) {
		if strings.Contains(path, "/data/") {
			return path
		}
	}
	t.Fatal("no package on the image")
	return ""
}

// TestNoMediumInTheDevice: the device of a card reader without a card.
func TestNoMediumInTheDevice(t *testing.T) {
	testtool.Root(t)
	dir, err := os.MkdirTemp("/var/tmp", "sallyport-test-") // devices are switched off below /dev/shm
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dev := filepath.Join(dir, "empty")
	if err := unix.Mknod(dev, unix.S_IFBLK|0o600, int(unix.Mkdev(240, 0))); err != nil { // a number for experiments
		testtool.Unmet(t, err.Error())
	}
	for _, command := range []string{"inspect", "intake"} {
		if r := call(t, command, dev); r.status != 2 || !strings.Contains(r.err, "there is no medium in "+dev+": insert it") {
			t.Errorf("%s: exit status %d\n%s%s", command, r.status, r.out, r.err)
		}
	}
}
