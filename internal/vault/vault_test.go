package vault_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"sallyport/internal/durable"
	"sallyport/internal/limit"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

const facts = `{"medium":"test"}`

// open makes a vault in a fresh folder.
func open(t testing.TB, opt vault.Options) *vault.Vault {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "vault"), opt)
}

func openAt(t testing.TB, dir string, opt vault.Options) *vault.Vault {
	t.Helper()
	if err := vault.Create(dir, durable.FS{}); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	v, err := vault.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// random gives n bytes that are the same for the same seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

type content struct {
	name string
	data []byte
}

func total(files []content) (n int64) {
	for _, f := range files {
		n += int64(len(f.data))
	}
	return n
}

// stage stores files and commits.
func stage(t testing.TB, v *vault.Vault, id string, files ...content) *vault.Staged {
	t.Helper()
	s, err := v.Stage(id, total(files), []byte(facts))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if n, err := s.AddFile(f.name, bytes.NewReader(f.data)); err != nil || n != int64(len(f.data)) {
			t.Fatalf("AddFile(%q) = %d, %v", f.name, n, err)
		}
	}
	st, err := s.Commit(vault.Record{Data: []byte(`{"note":"r"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// check reads every file of the item back and compares.
func check(t testing.TB, it *vault.Item, want ...content) {
	t.Helper()
	files, err := it.Files()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(want) || it.Count() != len(want) || it.Bytes() != total(want) {
		t.Fatalf("%d files of %d bytes, want %d of %d", len(files), it.Bytes(), len(want), total(want))
	}
	off := int64(4096)
	for i, w := range want {
		f := files[i]
		if f.Name != w.name || f.Off != off || f.Size != int64(len(w.data)) || f.SHA256 != sha256.Sum256(w.data) || f.Partial {
			t.Errorf("file %d is %q at %d, %d bytes, partial=%v; want %q at %d, %d bytes", i, f.Name, f.Off, f.Size, f.Partial, w.name, off, len(w.data))
		}
		r, err := it.OpenEntry(i)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, w.data) {
			t.Errorf("file %d reads back as %d other bytes (%v)", i, len(got), err)
		}
		off += f.Size
	}
	if err := it.Verify(); err != nil {
		t.Error(err)
	}
}

// edges has sizes on both sides of every boundary of the pipeline: block,
// buffer (2 MiB, of which the head takes 4096 in the first), all buffers.
func edges() []content {
	const buf = 2 << 20
	var files []content
	for i, n := range []int{0, 1, 4095, 4096, 4097, buf - 4096*4, 0, buf - 1, 1, buf, buf + 1, 0, 3*buf + 17, 17*buf + 5, 0} {
		files = append(files, content{fmt.Sprintf("dir%d/f%02d", i%3, i), random(uint64(i), n)})
	}
	return files
}

func TestWhatIsStoredComesBack(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "vault")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(shm) })
	for name, dir := range map[string]string{"disk": t.TempDir(), "tmpfs": shm} {
		t.Run(name, func(t *testing.T) {
			v := openAt(t, filepath.Join(dir, "vault"), vault.Options{})
			st := stage(t, v, "one", edges()...)
			check(t, st.Item, edges()...)
			it, err := v.Admit(st, []byte(`{"ok":1}`))
			if err != nil {
				t.Fatal(err)
			}
			check(t, it, edges()...)

			// And once more from the disk alone.
			if it, err = v.Get("one"); err != nil {
				t.Fatal(err)
			}
			defer it.Close()
			check(t, it, edges()...)
			if it.ID() != "one" || it.State() != vault.Admitted || it.Digest() != st.Digest() {
				t.Errorf("id %s, state %s, digest %x want %x", it.ID(), it.State(), it.Digest(), st.Digest())
			}
			for want, get := range map[string]func() ([]byte, error){facts: it.Facts, `{"note":"r"}`: it.Record, `{"ok":1}`: it.Outcome} {
				if got, err := get(); err != nil || string(got) != want {
					t.Errorf("record %q, %v; want %q", got, err, want)
				}
			}
			pack := filepath.Join(dir, "vault", "admitted", "one", "pack")
			if info, err := os.Stat(pack); err != nil || info.Mode() != 0o400 || info.Size() != 4096+total(edges()) {
				t.Errorf("pack: %v, %v", info, err)
			}
		})
	}
}

// dribble gives few bytes at a time and its end together with the last ones.
func dribble(b []byte) io.Reader { return iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(b))) }

func TestSourcesThatReadInPieces(t *testing.T) {
	v := open(t, vault.Options{})
	data := random(1, 5<<20)
	s, err := v.Stage("a", 1<<30, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.AddFile("x", dribble(data)); err != nil || n != int64(len(data)) {
		t.Fatal(n, err)
	}
	st, err := s.Commit(vault.Record{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, st.Item, content{"x", data})
}

func TestHeldItemKeepsReasonsAndAnyNames(t *testing.T) {
	v := open(t, vault.Options{})
	files := []content{{"../../etc/passwd", []byte("a")}, {"same", []byte("b")}, {"same", []byte("c")}, {"/\x00\u202e", []byte("d")}, {strings.Repeat("n", vault.MaxName), nil},
		{"volume1000/" + strings.Repeat("p", limit.Default().PathBytes), []byte("e")}} // the longest path of a medium, of which all is kept
	st := stage(t, v, "h", files...)
	if _, err := st.FS(); err == nil {
		t.Error("FS serves names that are no paths")
	}
	if _, err := v.Hold(st, nil, nil); err == nil {
		t.Error("held without a reason")
	}
	if _, err := v.Hold(st, []verdict.Finding{{Reason: "made-up"}}, nil); err == nil {
		t.Error("held with a reason outside the closed list")
	}
	reasons := []verdict.Finding{*verdict.New(verdict.NoManifest, "", ""), *verdict.New(verdict.FileExtra, "x\xff", "d")}
	it, err := v.Hold(st, reasons, []byte("o"))
	if err != nil {
		t.Fatal(err)
	}
	check(t, it, files...)
	if it, err = v.Get("h"); err != nil {
		t.Fatal(err)
	}
	want := []verdict.Finding{{Reason: verdict.NoManifest}, {Reason: verdict.FileExtra, Where: "x\uFFFD", Detail: "d"}}
	if it.State() != vault.Held || !slices.Equal(it.Reasons(), want) {
		t.Errorf("%s for %v", it.State(), it.Reasons())
	}
	if _, err := v.Admit(st, nil); err == nil {
		t.Error("admitted after it was held")
	}
	if _, err := v.Hold(st, reasons, nil); err == nil {
		t.Error("held twice")
	}
	// What foreign bytes called a path stays inside the pack.
	left, err := os.ReadDir(filepath.Dir(filepath.Join(v.Dir(), "held", "h", "pack")))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if want := []string{"decision.json", "facts.json", "index", "outcome.json", "pack", "record.json"}; !slices.Equal(names, want) {
		t.Errorf("the folder holds %v, want %v", names, want)
	}
}

func TestFailedSourceLeavesAPartialFileThatIsNeverAdmitted(t *testing.T) {
	v := open(t, vault.Options{})
	whole, cut := random(1, 3<<20), random(2, 2<<20+77)
	s, err := v.Stage("p", 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	unreadable := verdict.New(verdict.Unreadable, "sector 9", "")
	n, err := s.AddFile("cut", io.MultiReader(bytes.NewReader(cut), iotest.ErrReader(unreadable)))
	if f, ok := verdict.Find(err); !ok || f != unreadable || n != int64(len(cut)) {
		t.Fatalf("AddFile = %d, %v", n, err)
	}
	if n, err := s.AddFile("hang", emptyReader{}); err == nil || n != 0 {
		t.Fatalf("a source without progress: %d, %v", n, err)
	}
	if _, err := s.AddFile("whole", bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	st, err := s.Commit(vault.Record{})
	if err != nil {
		t.Fatal(err)
	}
	files, _ := st.Files()
	for i, w := range []struct {
		data    []byte
		partial bool
	}{{cut, true}, {nil, true}, {whole, false}} {
		if f := files[i]; f.Size != int64(len(w.data)) || f.SHA256 != sha256.Sum256(w.data) || f.Partial != w.partial {
			t.Errorf("file %d: %+v", i, f)
		}
	}
	if _, err := v.Admit(st, nil); !errors.Is(err, vault.ErrPartial) {
		t.Errorf("Admit: %v", err)
	}
	if _, err := st.FS(); !errors.Is(err, vault.ErrPartial) {
		t.Errorf("FS: %v", err)
	}
	it, err := v.Hold(st, []verdict.Finding{*unreadable}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := it.Verify(); err != nil {
		t.Error(err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// A disk that fails is not a full one: no Finding, so that the daemon stops.
func TestFailedWriteIsNoFinding(t *testing.T) {
	writes := 0
	v := open(t, vault.Options{FS: durable.FS{Hook: func(step string, done bool) error {
		if step == "vault.pack.write" && !done {
			if writes++; writes == 3 {
				return syscall.EIO
			}
		}
		return nil
	}}})
	s, err := v.Stage("e", 64<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	data := random(1, 40<<20)
	if _, err := s.AddFile("f", bytes.NewReader(data)); !errors.Is(err, syscall.EIO) {
		t.Errorf("AddFile: %v", err)
	} else if f, ok := verdict.Find(err); ok {
		t.Errorf("AddFile gives the finding %v", f)
	}
	st, err := s.Commit(vault.Record{})
	if err != nil {
		t.Fatal(err)
	}
	const stored = 2*2<<20 - 4096
	files, err := st.Files()
	if err != nil || len(files) != 1 || files[0].Size != stored || !files[0].Partial || files[0].SHA256 != sha256.Sum256(data[:stored]) {
		t.Errorf("%+v, %v; want the first %d bytes", files, err, stored)
	}
	if !errors.Is(st.Problem(), syscall.EIO) || writes != 3 {
		t.Errorf("problem %v after %d writes", st.Problem(), writes)
	}
}

// Stages of several media may be open together.
func TestConcurrentStages(t *testing.T) {
	v := open(t, vault.Options{})
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			files := []content{{"a", random(uint64(i), 5<<20)}, {"b", random(uint64(i+10), 100)}}
			st := stage(t, v, fmt.Sprintf("c%d", i), files...)
			it, err := v.Admit(st, nil)
			if err != nil {
				t.Fatal(err)
			}
			check(t, it, files...)
			it.Close()
		})
	}
}

func TestClosedVaultTakesNothing(t *testing.T) {
	v := open(t, vault.Options{})
	st := stage(t, v, "a")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Stage": second(v.Stage("b", 0, nil)), "Admit": second(v.Admit(st, nil)),
		"Hold": second(v.Hold(st, []verdict.Finding{{Reason: verdict.Replayed}}, nil)), "Recover": second(v.Recover("a", vault.Record{})),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := v.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestLimits(t *testing.T) {
	v := open(t, vault.Options{})
	s, err := v.Stage("l", 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantLimit := func(what string, err error) {
		t.Helper()
		if f, ok := verdict.Find(err); !ok || f.Reason != verdict.OverLimit {
			t.Errorf("%s: %v, want over-limit", what, err)
		}
	}
	_, err = s.AddFile(strings.Repeat("n", vault.MaxName+1), strings.NewReader(""))
	wantLimit("long name", err)
	for _, name := range []string{"", "a\xff"} {
		if _, err := s.AddFile(name, strings.NewReader("")); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
	if _, err := s.AddFile("exact", strings.NewReader("0123456789")); err != nil {
		t.Errorf("all that was declared: %v", err)
	}
	_, err = s.AddFile("more", strings.NewReader("x"))
	wantLimit("more than declared", err)
	for i := 2; i < vault.MaxFiles; i++ {
		if _, err := s.AddFile("f", strings.NewReader("")); err != nil {
			t.Fatal(i, err)
		}
	}
	_, err = s.AddFile("f", strings.NewReader(""))
	wantLimit("too many files", err)
	st, err := s.Commit(vault.Record{})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Verify(); err != nil || st.Count() != vault.MaxFiles {
		t.Errorf("%d files: %v", st.Count(), err)
	}
	if _, err := v.Stage("big", 1, make([]byte, vault.MaxRecord+1)); err == nil {
		t.Error("facts over the limit")
	}
	if _, err := v.Stage("neg", -1, nil); err == nil {
		t.Error("negative size")
	}
}

func TestIDs(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "0-_z": true, strings.Repeat("a", 128): true,
		"": false, ".": false, "..": false, "a/b": false, "A": false, "-a": false, "_a": false, "a.tmp": false, "ä": false, "a\x00": false, strings.Repeat("a", 129): false,
	} {
		if err := vault.CheckID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
	v := open(t, vault.Options{})
	admitted, held := stage(t, v, "adm"), stage(t, v, "held")
	stage(t, v, "staged")
	if _, err := v.Admit(admitted, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Hold(held, []verdict.Finding{{Reason: verdict.Replayed}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"adm", "held", "staged"} {
		if _, err := v.Stage(id, 0, nil); !errors.Is(err, vault.ErrExists) {
			t.Errorf("Stage(%s): %v", id, err)
		}
	}
	for s, want := range map[vault.State]string{vault.Admitted: "adm", vault.Held: "held"} {
		if got, err := v.List(s); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("List(%s) = %v, %v", s, got, err)
		}
	}
	for _, id := range []string{"staged", "nobody"} {
		if _, err := v.Get(id); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("Get(%s): %v", id, err)
		}
	}
	if _, err := v.Get("../admitted/adm"); err == nil {
		t.Error("Get took a path")
	}
	if _, err := v.Admit(&vault.Staged{}, nil); err == nil {
		t.Error("the zero Staged was admitted")
	}
	other := open(t, vault.Options{})
	if _, err := other.Admit(stage(t, v, "foreign"), nil); err == nil {
		t.Error("another vault's item was admitted")
	}
}

func TestCreateAndOpenAreDistinct(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v")
	if _, err := vault.Open(dir, vault.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of nothing: %v", err)
	}
	v := openAt(t, dir, vault.Options{})
	if err := vault.Create(dir, durable.FS{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
	if _, err := vault.Open(dir, vault.Options{}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second Open: %v", err)
	}
	s, err := v.Stage("s", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err == nil {
		t.Error("closed under an open stage")
	}
	if err := s.Abandon(); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vault.json"), []byte(`{"v":2,"format":"sallyport-vault"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(dir, vault.Options{}); err == nil {
		t.Error("a later version was opened")
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := vault.Create(foreign, durable.FS{}); err == nil {
		t.Error("a vault was made in a folder that holds something else")
	}
}

func TestAbandonLeavesNothing(t *testing.T) {
	v := open(t, vault.Options{})
	s, err := v.Stage("x", 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddFile("f", strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	if err := s.Abandon(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"Abandon": s.Abandon(), "Commit": second(s.Commit(vault.Record{})), "AddFile": second(s.AddFile("g", strings.NewReader("")))} {
		if err == nil {
			t.Errorf("%s worked after Abandon", what)
		}
	}
	if left, err := os.ReadDir(filepath.Join(v.Dir(), "staged")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	stage(t, v, "x") // the id is free again
}

func second[T any](_ T, err error) error { return err }

func TestFS(t *testing.T) {
	v := open(t, vault.Options{})
	files := []content{{"b/c/deep", random(1, 5000)}, {"a", []byte("A")}, {"b/x", nil}, {"b/c.d", []byte("q")}}
	st := stage(t, v, "fs", files...)
	fsys, err := st.FS()
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(fsys, "a", "b/x", "b/c/deep", "b/c.d"); err != nil {
		t.Error(err)
	}
	f, err := fsys.Open("b/c/deep")
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(f.(io.Reader), files[0].data); err != nil {
		t.Error(err)
	}
	got := make([]byte, 100)
	if n, err := f.(io.ReaderAt).ReadAt(got, 4950); n != 50 || err != io.EOF || !bytes.Equal(got[:50], files[0].data[4950:]) {
		t.Errorf("ReadAt over the end gives %d bytes, %v: the next file must not show", n, err)
	}
	// The same view goes on to work while the item moves.
	it, err := v.Admit(st, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(fsys, "a"); err != nil || string(b) != "A" {
		t.Errorf("after Admit: %q, %v", b, err)
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.(io.ReaderAt).ReadAt(got, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if err := fstest.TestFS(must(stage(t, v, "empty").FS())); err != nil {
		t.Error(err)
	}
	for i, names := range [][]string{{"a", "a"}, {"a", "a/b"}, {"a/b", "a"}, {"/a"}, {"a//b"}, {"../a"}, {"."}, {"a/"}} {
		var files []content
		for _, n := range names {
			files = append(files, content{n, nil})
		}
		if _, err := stage(t, v, fmt.Sprintf("bad%d", i), files...).FS(); err == nil {
			t.Errorf("FS serves %q", names)
		}
	}
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}
