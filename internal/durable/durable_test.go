package durable_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sallyport/internal/durable"
)

var errInjected = errors.New("injected")

// failAt makes the n-th step (counted from 0) fail, before or after its effect.
func failAt(n int, after bool) (durable.FS, *[]string) {
	var seen []string
	return durable.FS{Hook: func(step string, done bool) error {
		if !done {
			seen = append(seen, step)
		}
		if len(seen)-1 == n && done == after {
			return errInjected
		}
		return nil
	}}, &seen
}

func TestWriteFileLeavesOldOrNewAtEveryStep(t *testing.T) {
	steps := 0
	for n := 0; ; n++ {
		for _, after := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			fs, seen := failAt(n, after)
			err := fs.WriteFile("x", path, []byte("new"), 0o600)
			got, rerr := os.ReadFile(path)
			if rerr != nil {
				t.Fatal(rerr)
			}
			if err == nil {
				if string(got) != "new" || n != len(*seen) {
					t.Fatalf("no failure at step %d of %v, content %q", n, *seen, got)
				}
				steps = n
				break
			}
			if !errors.Is(err, errInjected) || (string(got) != "old" && string(got) != "new") {
				t.Fatalf("step %d after=%v: %v, content %q", n, after, err, got)
			}
			if err := (durable.FS{}).Sweep("x", filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(path + "*"); !slices.Equal(left, []string{path}) {
				t.Fatalf("step %d: left behind after the sweep: %v", n, left)
			}
		}
		if steps > 0 {
			break
		}
	}
	if steps != 3 {
		t.Errorf("WriteFile has %d durable steps, want 3 (write, rename, syncdir)", steps)
	}
}

func TestCreateAndRenameNeverReplace(t *testing.T) {
	dir := t.TempDir()
	var fs durable.FS
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, p := range []string{a, b} {
		if err := fs.CreateFile("x", p, []byte(p), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	if err := fs.CreateFile("x", a, []byte("other"), 0o400); !errors.Is(err, os.ErrExist) {
		t.Errorf("CreateFile over a file: %v", err)
	}
	if err := fs.Rename("x", a, b); !errors.Is(err, os.ErrExist) {
		t.Errorf("Rename over a file: %v", err)
	}
	for _, p := range []string{a, b} {
		if got, _ := os.ReadFile(p); string(got) != p {
			t.Errorf("%s now holds %q", p, got)
		}
	}
}

func TestLockIsExclusive(t *testing.T) {
	dir := t.TempDir()
	l, err := durable.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.LockDir(dir); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = durable.LockDir(dir)
	if err != nil {
		t.Fatal(fmt.Errorf("after release: %w", err))
	}
	l.Close()
}
