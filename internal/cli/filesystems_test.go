package cli_test

import (
	"path/filepath"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testoffice"
	"sallyport/internal/testtool"
)

// TestAPackageIsTakenFromEveryFileSystem: what the formatter itself puts on a
// fresh medium (lost+found, system files, a second tree of names) is no reason
// to hold a sealed package.
func TestAPackageIsTakenFromEveryFileSystem(t *testing.T) {
	o := office(t)
	testtool.Root(t)
	disc := func(args ...string) func(string) string {
		return func(dir string) string {
			img := filepath.Join(t.TempDir(), "disc.iso")
			testtool.Run(t, args[0], append(args[1:], "-o", img, dir)...)
			return img
		}
	}
	ext := func(kind string) func(string) string {
		return func(dir string) string { return testmedia.ExtFrom(t, testmedia.ExtOptions{Type: kind}, dir) }
	}
	media := map[string]func(dir string) string{
		"FAT16": func(dir string) string {
			return testmedia.FATFrom(t, testmedia.Options{Bits: 16, SizeMiB: 32}, dir)
		},
		"FAT32": func(dir string) string { return testmedia.FATFrom(t, testmedia.Options{}, dir) },
		"exFAT": func(dir string) string { return testmedia.ExFATFrom(t, testmedia.Options{}, dir) },
		"NTFS": func(dir string) string {
			img := testmedia.EmptyNTFS(t, testmedia.Options{})
			testmedia.MountedNTFS(t, img, "", func(mnt string) { testtool.Run(t, "cp", "-r", dir+"/.", mnt) })
			return img
		},
		"ext2": ext("ext2"), "ext3": ext("ext3"), "ext4": ext("ext4"),
		"ISO 9660 with Rock Ridge":           disc("genisoimage", "-quiet", "-R"),
		"ISO 9660 with Joliet":               disc("genisoimage", "-quiet", "-J"),
		"ISO 9660 with both":                 disc("genisoimage", "-quiet", "-R", "-J"),
		"ISO 9660 with both, another burner": disc("xorriso", "-as", "mkisofs", "-quiet", "-R", "-J"),
		"UDF with ISO 9660 (bridge)":         disc("genisoimage", "-quiet", "-R", "-J", "-udf"),
		"FAT32 in a partition of a GPT": func(dir string) string {
			return testmedia.Partitioned(t, "gpt", testmedia.FATFrom(t, testmedia.Options{}, dir))
		},
		"ext4 in a logical partition, by MBR": func(dir string) string { return testmedia.Partitioned(t, "mbr-logical", ext("ext4")(dir)) },
	}
	for name, build := range media {
		t.Run(name, func(t *testing.T) {
			files := t.TempDir()
			write(t, filepath.Join(files, "Results-of-the-count.v1.json"), noise(7, 100_000))
			write(t, filepath.Join(files, "empty.txt"), nil)
			p, err := o.Source.Seal("--kind", "media-set", "--stream", "every", files)
			if err != nil {
				t.Fatal(err)
			}
			take(t, o, build(p.Dir))
		})
	}
}

// take gives a medium to the EMS station, which has to accept it.
func take(t *testing.T, o *testoffice.Office, img string) {
	t.Helper()
	if r := at(t, o.EMS, "intake", img); r.status != 0 {
		t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
}
