package testmedia

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/testtool"
)

// NTFS makes an image without a partition table that holds files. Needs root,
// a free loop device and FUSE.
func NTFS(t testing.TB, o Options, files Files) string {
	t.Helper()
	img := EmptyNTFS(t, o)
	dir := Folder(t, files)
	MountedNTFS(t, img, "", func(mnt string) { testtool.Run(t, "cp", "-r", dir+"/.", mnt) })
	return img
}

// EmptyNTFS makes an image without a partition table and without files; it
// needs no privileges. Clusters are counted in the options' sectors.
func EmptyNTFS(t testing.TB, o Options) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "ntfs.img")
	must(t, os.WriteFile(img, nil, 0o644))
	must(t, os.Truncate(img, int64(o.size())<<20))
	// Without a place on a disk mkntfs complains that Windows cannot boot from it.
	args := []string{"-F", "-Q", "-q", "-p", "0", "-H", "255", "-S", "63"}
	sector := 512
	if o.SectorBytes != 0 {
		sector = o.SectorBytes
	}
	args = append(args, "-s", strconv.Itoa(sector))
	if o.Label != "" {
		args = append(args, "-L", o.Label)
	}
	if o.ClusterSectors != 0 {
		args = append(args, "-c", strconv.Itoa(o.ClusterSectors*sector))
	}
	testtool.Run(t, "mkfs.ntfs", append(args, img)...)
	return img
}

// MountedNTFS mounts the image with ntfs-3g and its options, separated by
// commas, on a loop device while do runs. Without options alternate data
// streams are extended attributes "user.NAME" there.
func MountedNTFS(t testing.TB, img, options string, do func(mnt string)) {
	t.Helper()
	program := testtool.Need(t, "ntfs-3g")
	if options != "" {
		// Mounted calls a program with device and folder.
		script := fmt.Sprintf("#!/bin/sh\nexec '%s' -o '%s' \"$@\"\n", program, strings.ReplaceAll(options, "'", ""))
		program = filepath.Join(t.TempDir(), "ntfs-3g")
		must(t, os.WriteFile(program, []byte(script), 0o755))
	}
	Mounted(t, img, program, do)
}
