package fatimage_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/bench/fatimage"
	"sallyport/internal/limit"
	"sallyport/internal/testtool"
	"sallyport/internal/volume"
)

// Images are good for the checkers of Linux and for package volume, and have
// what was asked for.
func TestImagesAreGood(t *testing.T) {
	many := fatimage.Image{Cluster: 4096}
	for d := range 3 {
		var files []fatimage.File
		for i := range 200 {
			files = append(files, fatimage.File{Name: fmt.Sprintf("a ballot of folder %d, number %d.json", d, i), Size: int64(i * 100)})
		}
		many.Folders = append(many.Folders, fatimage.Folder{Name: fmt.Sprintf("folder %d", d), Files: files})
	}
	pieces := fatimage.Image{Cluster: 512, Interleaved: true, Content: rand.NewChaCha8([32]byte{1}),
		Files: []fatimage.File{{Name: "one.bin", Size: 100_000}, {Name: "two.bin", Size: 90_000}, {Name: "three.bin", Size: 1}}}
	for _, c := range []struct {
		name    string
		image   fatimage.Image
		entries int
		extents int // of the largest file
	}{{"many", many, 603, 1}, {"pieces", pieces, 3, 196}} {
		for _, fs := range []string{"fat32", "exfat"} {
			t.Run(c.name+" "+fs, func(t *testing.T) {
				img := filepath.Join(t.TempDir(), fs)
				write, check := c.image.WriteFAT32, []string{"fsck.vfat", "-n", img}
				if fs == "exfat" {
					write, check = c.image.WriteExFAT, []string{"fsck.exfat", "-n", img}
				}
				if err := write(img); err != nil {
					t.Fatal(err)
				}
				testtool.Run(t, check[0], check[1:]...)
				f, err := os.Open(img)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				st, err := f.Stat()
				if err != nil {
					t.Fatal(err)
				}
				m, err := volume.Open(f, st.Size(), volume.Options{Limits: limit.Default()})
				if err != nil {
					t.Fatal(err)
				}
				v := m.Volumes[0]
				extents := 0
				for _, e := range v.Entries {
					extents = max(extents, len(e.Extents))
					if e.Problem != nil {
						t.Errorf("%s: %v", e.Path, e.Problem)
					}
				}
				if v.FS != fs || len(m.Problems)+len(v.Problems) > 0 || len(v.Entries) != c.entries || extents != c.extents {
					t.Errorf("%s, %d entries, a file in %d pieces, problems %v, %v", v.FS, len(v.Entries), extents, m.Problems, v.Problems)
				}
			})
		}
	}
}
