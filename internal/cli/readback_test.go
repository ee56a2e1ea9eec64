package cli

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/manifest"
	"sallyport/internal/testmedia"
)

func kept(t *testing.T, dir, name string, data []byte) manifest.File {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return manifest.File{Path: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

func TestReadBackFindsWhatWasNotKept(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"a byte":     func(p string) error { return os.WriteFile(p, []byte("one twO"), 0o644) },
		"the end":    func(p string) error { return os.Truncate(p, 3) },
		"all of it":  os.Remove,
		"more":       func(p string) error { return os.WriteFile(p, []byte("one two three"), 0o644) },
		"its folder": func(p string) error { return os.Rename(filepath.Dir(p), filepath.Dir(p)+".away") },
		"the same":   func(string) error { return nil },
	} {
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		files := []manifest.File{kept(t, dir, "a.txt", []byte("zero")), kept(t, dir, "b.txt", []byte("one two"))}
		if err := change(filepath.Join(dir, "b.txt")); err != nil {
			t.Fatal(err)
		}
		err := readBack(dir, files)
		if (err == nil) != (name == "the same") || err != nil && !strings.Contains(err.Error(), "use another medium") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is compared comes from the medium, not from the memory of the kernel that
// wrote it: here the medium changes under a mounted file system.
func TestReadBackAsksTheMedium(t *testing.T) {
	img := testmedia.EmptyExt(t, testmedia.ExtOptions{})
	testmedia.MountedExt(t, img, func(mnt string) {
		data := make([]byte, 1<<20)
		rand.Read(data)
		files := []manifest.File{kept(t, mnt, "results.bin", data)}
		if err := syncFolder(mnt); err != nil {
			t.Fatal(err)
		}
		if err := readBack(mnt, files); err != nil {
			t.Fatalf("a good medium: %v", err)
		}
		image, err := os.ReadFile(img)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(image, data[4096:8192])
		if at < 0 {
			t.Fatal("the file is not on the medium")
		}
		testmedia.Poke(t, img, int64(at), image[at]^1)
		if err := readBack(mnt, files); err == nil || !strings.Contains(err.Error(), "did not keep what was written") {
			t.Errorf("a medium that lost a bit: %v", err)
		}
	})
}
