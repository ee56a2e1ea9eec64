package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
)

// TestALostManifestIsGivenOutAgain: the medium was pulled after the signature.
// The package that follows in its stream is not stopped for ever.
func TestALostManifestIsGivenOutAgain(t *testing.T) {
	o := office(t)
	file := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(file, []byte("one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	seal := []string{"--kind", "media-set", "--stream", "again", file}
	first, err := o.Source.Seal(seal...)
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(first.Dir, "SALLYPORT", first.PackageID, "manifest.dsse.json")
	signed, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Source.Sallyport("seal-again", first.PackageID, "--out", first.Dir); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(manifest); err != nil || !bytes.Equal(again, signed) {
		t.Fatalf("the manifest is not the one that was signed (%v)", err)
	}
	second, err := o.Source.Seal(seal...)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{first.Dir, second.Dir} {
		img := testmedia.FATFrom(t, testmedia.Options{Bits: 16, SizeMiB: 16}, dir)
		if r, status, err := o.EMS.Intake(img); err != nil || r.Verdict != verdict.Accepted || status != 0 {
			t.Fatalf("verdict %+v, exit status %d, %v", r, status, err)
		}
	}

	for _, c := range []struct{ id, dir, says string }{
		{strings.Repeat("0", 32), "", "has sealed no package"},
		{"../../station", "", "is no package id"},
		{first.PackageID, t.TempDir(), "copy the package's files there first"},
	} {
		dir := c.dir
		if dir == "" {
			dir = t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "SALLYPORT", c.id, "data"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		_, said, status, err := o.Source.Run("seal-again", c.id, "--out", dir)
		if err != nil || status != 2 || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit status %d, %q, %v; want 2 and %q", c.id, status, said, err, c.says)
		}
	}
}
