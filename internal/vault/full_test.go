package vault_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/testtool"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// disks are small file systems of our own: one that knows O_DIRECT and
// allocation (ext4 on a loop device), one in memory.
var disks = map[string]func(t *testing.T) string{
	"ext4": func(t *testing.T) string {
		image := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(image, diskSize); err != nil {
			t.Fatal(err)
		}
		testtool.Run(t, "mkfs.ext4", "-q", "-F", "-m", "0", image)
		return mount(t, "-o", "loop", image)
	},
	"tmpfs": func(t *testing.T) string {
		return mount(t, "-t", "tmpfs", "-o", "size=48m", "tmpfs")
	},
}

const diskSize = 48 << 20

func mount(t *testing.T, args ...string) string {
	t.Helper()
	testtool.Root(t)
	at := t.TempDir()
	if out, err := exec.Command(testtool.Need(t, "mount"), append(args, at)...).CombinedOutput(); err != nil {
		testtool.Unmet(t, "cannot mount a small file system here: "+string(out))
	}
	t.Cleanup(func() { testtool.Run(t, "umount", at) })
	return at
}

func wantFull(t *testing.T, what string, err error) {
	t.Helper()
	if f, ok := verdict.Find(err); !ok || f.Reason != verdict.StoreFull {
		t.Errorf("%s: %v, want store-full", what, err)
	}
}

// ballast fills the disk to the last byte; the result makes room again.
func ballast(t *testing.T, dir string) (remove func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, n))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func onEachDisk(t *testing.T, test func(t *testing.T, dir string)) {
	for name, make := range disks {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
}

var fullReasons = []verdict.Finding{{Reason: verdict.StoreFull}}

func TestStageTakesOnlyWhatFits(t *testing.T) {
	onEachDisk(t, func(t *testing.T, dir string) {
		for _, way := range []struct {
			name string
			fs   durable.FS
		}{
			{"allocated", durable.FS{}},
			{"counted", durable.FS{Hook: failStep("vault.pack.allocate", syscall.EOPNOTSUPP)}},
		} {
			t.Run(way.name, func(t *testing.T) {
				v := openAt(t, filepath.Join(dir, way.name), vault.Options{FS: way.fs, Reserve: 8 << 20})
				_, err := v.Stage("huge", 1<<40, nil)
				wantFull(t, "a package larger than the disk", err)
				_, err = v.Stage("reserve", diskSize-9<<20, nil)
				wantFull(t, "a package that needs the reserve", err)
				first, err := v.Stage("first", 20<<20, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = v.Stage("second", 20<<20, nil)
				wantFull(t, "a second package beside an open one", err)
				if err := first.Abandon(); err != nil {
					t.Fatal(err)
				}
				second, err := v.Stage("second", 20<<20, nil)
				if err != nil {
					t.Fatalf("after the first was abandoned: %v", err)
				}
				if err := second.Abandon(); err != nil {
					t.Fatal(err)
				}
				if left, err := v.Leftovers(); err != nil || len(left) > 0 {
					t.Errorf("refused packages left %v, %v", left, err)
				}
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

// Once Stage has said yes, a disk that others fill takes nothing away: not the
// contents, and not the records that are written at the end.
func TestAllocatedRoomIsKept(t *testing.T) {
	onEachDisk(t, func(t *testing.T, dir string) {
		v := openAt(t, filepath.Join(dir, "v"), vault.Options{})
		s, err := v.Stage("a", 10<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		remove := ballast(t, dir)
		defer remove()
		data := random(1, 10<<20)
		if _, err := s.AddFile("f", bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		st, err := s.Commit(vault.Record{Data: make([]byte, 100_000)})
		if err != nil {
			t.Fatal(err)
		}
		it, err := v.Admit(st, []byte("out"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, it, content{"f", data})
		it.Close()
	})
}

// The disk fills up in the middle of a pack whose room could not be allocated.
func TestDiskFullInTheMiddle(t *testing.T) {
	counted := durable.FS{Hook: failStep("vault.pack.allocate", syscall.EOPNOTSUPP)}
	files := []content{{"one", random(1, 3<<20)}, {"two", random(2, 9<<20)}, {"three", random(3, 24<<20)}}
	begin := func(t *testing.T, dir string) (v *vault.Vault, s *vault.Stage, remove func()) {
		v = openAt(t, filepath.Join(dir, "v"), vault.Options{FS: counted})
		before, err := v.Admit(stage(t, v, "before", content{"b", []byte("b")}), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer before.Close()
		if s, err = v.Stage("a", total(files), []byte(facts)); err != nil {
			t.Fatal(err)
		}
		add := func(f content) error { return second(s.AddFile(f.name, bytes.NewReader(f.data))) }
		if err := add(files[0]); err != nil {
			t.Fatal(err)
		}
		// Room for a part of the second file is left.
		remove = ballast(t, dir)
		if err := os.Truncate(filepath.Join(dir, "ballast"), mustSize(t, filepath.Join(dir, "ballast"))-5<<20); err != nil {
			t.Fatal(err)
		}
		syscall.Sync()
		var full error
		for _, f := range files[1:] {
			if full = add(f); full != nil {
				break
			}
		}
		// More was asked for than the buffers hold, so it shows here.
		wantFull(t, "AddFile", full)
		wantFull(t, "AddFile afterwards", add(files[0]))
		return v, s, remove
	}
	verify := func(t *testing.T, v *vault.Vault) {
		it, err := v.Get("a")
		if err != nil {
			t.Fatal(err)
		}
		defer it.Close()
		if err := it.Verify(); err != nil {
			t.Error(err)
		}
		if it.Bytes() < 2<<20 {
			t.Errorf("only %d bytes are kept", it.Bytes())
		}
		if before, err := v.Get("before"); err != nil || before.Verify() != nil {
			t.Errorf("an older item suffered: %v", err)
		}
	}
	t.Run("room again before Commit", func(t *testing.T) {
		onEachDisk(t, func(t *testing.T, dir string) {
			v, s, remove := begin(t, dir)
			defer v.Close()
			remove()
			st, err := s.Commit(vault.Record{})
			if err != nil {
				t.Fatal(err)
			}
			wantFull(t, "Problem", st.Problem())
			if _, err := v.Admit(st, nil); !errors.Is(err, vault.ErrPartial) {
				t.Errorf("Admit: %v", err)
			}
			got, err := st.Files()
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Partial || got[0].Size != 3<<20 || !got[1].Partial || got[1].Size >= 9<<20 {
				t.Errorf("files: %+v", got)
			}
			it, err := v.Hold(st, fullReasons, nil)
			if err != nil {
				t.Fatal(err)
			}
			it.Close()
			verify(t, v)
		})
	})
	t.Run("full until after Commit", func(t *testing.T) {
		onEachDisk(t, func(t *testing.T, dir string) {
			v, s, remove := begin(t, dir)
			defer v.Close()
			more := filepath.Join(dir, "more")
			fill(t, more)
			_, err := s.Commit(vault.Record{Data: make([]byte, 5<<20)})
			wantFull(t, "Commit of a record for which there is no room", err)
			remove()
			left, err := v.Leftovers()
			if err != nil || len(left) != 1 || left[0].Complete {
				t.Fatalf("leftovers %+v, %v", left, err)
			}
			st, err := v.Recover("a", vault.Record{})
			if err != nil {
				t.Fatal(err)
			}
			it, err := v.Hold(st, fullReasons, nil)
			if err != nil {
				t.Fatal(err)
			}
			it.Close()
			verify(t, v)
		})
	})
}

func mustSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
