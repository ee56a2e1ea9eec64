package volume_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/verdict"
	"sallyport/internal/volume"
)

var options = volume.Options{Limits: limit.Default()}

// open lists an image file.
func open(t *testing.T, img string) *volume.Medium {
	t.Helper()
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := volume.Open(f, st.Size(), options)
	if err != nil {
		t.Fatalf("cannot list %s: %v", filepath.Base(img), err)
	}
	sane(t, m)
	return m
}

// content reads a file by its extents.
func content(t *testing.T, dev io.ReaderAt, e volume.Entry) []byte {
	t.Helper()
	out := make([]byte, 0, e.Size)
	for _, x := range e.Extents {
		p := make([]byte, x.Len)
		if x.Off != volume.Zeros {
			if _, err := dev.ReadAt(p, x.Off); err != nil {
				t.Fatalf("%s: %v", e.Path, err)
			}
		}
		out = append(out, p...)
	}
	return out
}

// problems returns every problem of a medium as text: of the medium, of its
// volumes and of its entries.
func problems(m *volume.Medium) (medium, volumes, entries []string) {
	for _, p := range m.Problems {
		medium = append(medium, p.Error())
	}
	for _, v := range m.Volumes {
		for _, p := range v.Problems {
			volumes = append(volumes, fmt.Sprintf("volume %d: %s", v.Index, p.Error()))
		}
		for _, e := range v.Entries {
			if e.Problem != nil {
				entries = append(entries, e.Path+": "+e.Problem.Error())
			}
		}
	}
	return medium, volumes, entries
}

func mustBeClean(t *testing.T, m *volume.Medium) {
	t.Helper()
	a, b, c := problems(m)
	if len(a)+len(b)+len(c) > 0 {
		t.Fatalf("a good medium has problems:\n%s", strings.Join(append(append(a, b...), c...), "\n"))
	}
}

// sameTree compares one volume of an image with a folder, contents and all.
func sameTree(t *testing.T, img string, v volume.Volume, dir string) {
	t.Helper()
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]string{}
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			want[rel] = "folder"
			return nil
		}
		data, err := os.ReadFile(p)
		want[rel] = fmt.Sprintf("%d bytes, %x", len(data), sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range v.Entries {
		got := "folder"
		if e.Type == medium.File {
			got = fmt.Sprintf("%d bytes, %x", e.Size, sha256.Sum256(content(t, f, e)))
		}
		if want[e.Path] != got {
			t.Errorf("%q is %s, want %s", e.Path, got, want[e.Path])
		}
		delete(want, e.Path)
	}
	for p := range want {
		t.Errorf("%q is not listed", p)
	}
}

// sane checks what must hold for any medium, good or hostile.
func sane(t *testing.T, m *volume.Medium) {
	t.Helper()
	check := func(f verdict.Finding) {
		if fam := f.Reason.Family(); fam != verdict.Damaged && fam != verdict.Unchecked {
			t.Errorf("a reason of the family %q: %v", fam, f.Error())
		}
	}
	saneTable(t, m)
	for _, p := range m.Problems {
		check(p)
	}
	for _, v := range m.Volumes {
		if v.FS == "" && len(v.Problems) == 0 {
			t.Errorf("volume %d has neither a file system nor a problem", v.Index)
		}
		for _, p := range v.Problems {
			check(p)
		}
		apart(t, v)
		for _, e := range v.Entries {
			saneEntry(t, m, e)
			if e.Problem != nil {
				check(*e.Problem)
			}
		}
	}
}

func saneEntry(t *testing.T, m *volume.Medium, e volume.Entry) {
	t.Helper()
	for _, part := range strings.Split(e.Path, "/") {
		if part == "" || part == "." || part == ".." || part != strings.ToValidUTF8(part, "?") || strings.ContainsAny(part, "\\\x00") {
			t.Errorf("the path %q is not safe", e.Path)
		}
	}
	sum := int64(0)
	for _, x := range e.Extents {
		if x.Len <= 0 || x.Off != volume.Zeros && (x.Off < 0 || x.Off > m.Size-x.Len) {
			t.Errorf("%q has an extent %+v on a medium of %d bytes", e.Path, x, m.Size)
		}
		sum += x.Len
	}
	if sum > e.Size || e.Problem == nil && e.Type == medium.File && sum != e.Size {
		t.Errorf("%q has %d bytes in its extents and %d in its size, problem %v", e.Path, sum, e.Size, e.Problem)
	}
}

// apart checks that no two files of a volume without problems share a byte.
func apart(t *testing.T, v volume.Volume) {
	t.Helper()
	var all []volume.Extent
	for _, e := range v.Entries {
		for _, x := range e.Extents {
			if x.Off != volume.Zeros {
				all = append(all, x)
			}
		}
	}
	slices.SortFunc(all, func(a, b volume.Extent) int { return cmp.Compare(a.Off, b.Off) })
	for i := 1; i < len(all); i++ {
		if all[i-1].Off+all[i-1].Len > all[i].Off {
			t.Errorf("volume %d: two files share byte %d", v.Index, all[i].Off)
			return
		}
	}
}
