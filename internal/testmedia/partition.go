package testmedia

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/testtool"
)

// Partitioned makes an image with a partition table written by sfdisk and one
// partition, aligned to 1 MiB, for each image in parts. The scheme is "mbr",
// "gpt" or "mbr-logical", where the parts stand in an extended partition; with
// "-4096" behind it the medium has sectors of 4096 bytes, which needs root.
func Partitioned(t testing.TB, scheme string, parts ...string) string {
	t.Helper()
	const mib = 1 << 20
	name, sector := scheme, int64(512)
	if strings.HasSuffix(scheme, "-4096") {
		scheme, sector = strings.TrimSuffix(scheme, "-4096"), 4096
	}
	label, kind := "dos", "type=c"
	if scheme == "gpt" {
		label, kind = "gpt", "type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
	}
	script := "label: " + label + "\nunit: sectors\n"
	at := int64(mib)
	if scheme == "mbr-logical" {
		script += fmt.Sprintf("1 : start=%d, type=5\n", mib/sector) // the rest of the medium
		at += mib
	}
	offs := make([]int64, len(parts))
	for i, p := range parts {
		st, err := os.Stat(p)
		must(t, err)
		offs[i] = at
		n := i + 1
		if scheme == "mbr-logical" {
			n = i + 5
		}
		script += fmt.Sprintf("%d : start=%d, size=%d, %s\n", n, at/sector, (st.Size()+sector-1)/sector, kind)
		at += (st.Size() + 2*mib - 1) / mib * mib
	}
	img := Blank(t, name+".img", at+mib)
	Sfdisk(t, img, sector, script)
	for i, p := range parts {
		paste(t, img, offs[i], p)
	}
	return img
}

// Blank makes an image of zeros.
func Blank(t testing.TB, name string, size int64) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(img, nil, 0o644))
	must(t, os.Truncate(img, size))
	return img
}

// Paste writes what is not zero of the file part into the image at off.
func Paste(t testing.TB, img string, off int64, part string) {
	t.Helper()
	paste(t, img, off, part)
}

// Sfdisk writes the partition table that the script describes.
func Sfdisk(t testing.TB, img string, sectorBytes int64, script string) {
	t.Helper()
	WithSectors(t, img, sectorBytes, func(dev string) {
		cmd := exec.Command(testtool.Need(t, "sfdisk"), "--quiet", "--no-reread", "--no-tell-kernel", dev)
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("sfdisk: %v\n%s\n%s", err, out, script)
		}
	})
}

// WithSectors runs do with a path under which programs see the image as a
// medium with sectors of so many bytes: the image itself for 512, a loop device
// for any other, which needs root.
func WithSectors(t testing.TB, img string, sectorBytes int64, do func(dev string)) {
	t.Helper()
	if sectorBytes == 512 {
		do(img)
		return
	}
	testtool.Root(t)
	dev := strings.TrimSpace(string(testtool.Run(t, "losetup", "--find", "--show", "--sector-size", strconv.FormatInt(sectorBytes, 10), img)))
	defer release(t, dev, img)
	do(dev)
}

// Range is a part of a medium in bytes.
type Range struct{ Off, Size int64 }

// SfdiskList returns the partitions of an image as sfdisk reads its table,
// without the extended one, which holds no file system.
func SfdiskList(t testing.TB, img string, sectorBytes int64) (list []Range) {
	t.Helper()
	WithSectors(t, img, sectorBytes, func(dev string) {
		out, err := exec.Command(testtool.Need(t, "sfdisk"), "--json", dev).Output()
		must(t, err)
		var doc struct {
			Table struct {
				Partitions []struct {
					Start, Size int64
					Type        string
				}
			} `json:"partitiontable"`
		}
		must(t, json.Unmarshal(out, &doc))
		for _, p := range doc.Table.Partitions {
			if p.Type != "5" && p.Type != "f" && p.Type != "85" {
				list = append(list, Range{p.Start * sectorBytes, p.Size * sectorBytes})
			}
		}
	})
	return list
}
