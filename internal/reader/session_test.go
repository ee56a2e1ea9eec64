package reader_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"sallyport/internal/limit"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/testmedia"
	"sallyport/internal/verdict"
)

// programs builds, once for all tests, the real reader and the one that
// misbehaves, where every user can reach them.
type programs struct {
	once sync.Once
	dir  string
	err  error
}

var built programs

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

func (p *programs) build() {
	if p.dir, p.err = os.MkdirTemp("", "reader-test"); p.err != nil {
		return
	}
	if p.err = os.Chmod(p.dir, 0o755); p.err != nil {
		return
	}
	for name, pkg := range map[string]string{"sallyport-reader": "sallyport/cmd/sallyport-reader", "badreader": "./testdata/badreader"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(p.dir, name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			p.err = errors.New(string(out))
			return
		}
	}
}

// program returns the path of the real reader, or of the bad one under a name
// that tells it what to do.
func program(t testing.TB, name string) string {
	t.Helper()
	built.once.Do(built.build)
	if built.err != nil {
		t.Fatal(built.err)
	}
	path := filepath.Join(built.dir, name)
	if name != "sallyport-reader" {
		if err := os.Symlink("badreader", path); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	return path
}

// ourGoroutines counts the goroutines of this process but those of the FUSE
// server behind a test's device, which keeps more of them after a busy moment.
func ourGoroutines() (n int) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if !strings.Contains(g, "hanwen/go-fuse") {
			n++
		}
	}
	return n
}

// noLeaks fails the test when it leaves a goroutine, descriptor or child.
func noLeaks(t *testing.T) {
	t.Helper()
	count := func() (goroutines, fds int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return ourGoroutines(), len(list)
	}
	g0, f0 := count()
	t.Cleanup(func() {
		var g, f int
		// Goroutines end a moment after what they did is seen.
		for range 200 {
			if g, f = count(); g <= g0 && f <= f0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if g > g0 || f > f0 {
			t.Errorf("left behind: %d goroutines, %d descriptors", g-g0, f-f0)
		}
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
			t.Errorf("left behind: a child process (%d, %v)", pid, err)
		}
	})
}

func config(t testing.TB, binary string) reader.Config {
	l := limit.Default()
	l.Stall = 20 * time.Second
	return reader.Config{Binary: program(t, binary), Limits: l, Log: zerolog.New(zerolog.NewTestWriter(t))}
}

func device(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func start(t testing.TB, cfg reader.Config, path string) *reader.Session {
	t.Helper()
	s, err := reader.Start(t.Context(), cfg, device(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func wantReason(t *testing.T, err error, want verdict.Reason) {
	t.Helper()
	if f, ok := verdict.Find(err); !ok || f.Reason != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// pattern is n bytes that repeat nowhere at a block's distance.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// readAll lists and reads every file, and returns contents and errors by path.
func readAll(t *testing.T, s *reader.Session) (map[string]string, map[string]error) {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var ids []uint32
	for _, e := range list.Entries {
		if e.Type == medium.File {
			ids = append(ids, e.ID)
		}
	}
	st, err := s.Read(ids)
	if err != nil {
		t.Fatal(err)
	}
	contents, failures := map[string]string{}, map[string]error{}
	for {
		id, size, err := st.Next()
		if err == io.EOF {
			return contents, failures
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(st)
		path := list.Entries[id].Path
		if contents[path] = string(b); err != nil {
			failures[path] = err
		} else if int64(len(b)) != size {
			t.Errorf("%s: %d bytes without an error, listed with %d", path, len(b), size)
		}
	}
}

func files() testmedia.Files {
	f := testmedia.Files{
		"large.bin": pattern(1, 5<<20+777),
		"empty":     {},
		"folder/":   nil,
		"one":       {1},
	}
	for i := range 300 {
		f["SALLYPORT/small/file number "+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = pattern(i, i*37)
	}
	return f
}

func TestRealMediaComeThroughWhole(t *testing.T) {
	for name, image := range map[string]func() string{
		"fat16": func() string { return testmedia.FAT(t, testmedia.Options{Bits: 16}, files()) },
		"fat32": func() string { return testmedia.FAT(t, testmedia.Options{Bits: 32}, files()) },
		"exfat": func() string { return testmedia.ExFAT(t, testmedia.Options{}, files()) },
	} {
		t.Run(name, func(t *testing.T) {
			path := image()
			noLeaks(t)
			s := start(t, config(t, "sallyport-reader"), path)
			got, failed := readAll(t, s)
			if len(failed) > 0 {
				t.Errorf("failures: %v", failed)
			}
			want := files()
			delete(want, "folder/")
			for p, b := range want {
				if got[p] != string(b) {
					t.Errorf("%s differs: %d bytes, want %d", p, len(got[p]), len(b))
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d files, want %d", len(got), len(want))
			}
			s.Close()
		})
	}
}

func TestLockdownIsProvenToTheParent(t *testing.T) {
	noLeaks(t)
	s := start(t, config(t, "sallyport-reader"), testmedia.EmptyFAT(t, testmedia.Options{Bits: 12, SizeMiB: 2}))
	p := s.Proof()
	if err := p.Complete(); err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 && len(p.Namespaces) == 0 {
		t.Log("this kernel gave no namespaces, even to root")
	}
	s.Close()
}

// TestWithoutProvenLockdownNothingIsServed: each of these children skips or
// denies a measure.
func TestWithoutProvenLockdownNothingIsServed(t *testing.T) {
	image := testmedia.EmptyFAT(t, testmedia.Options{Bits: 12, SizeMiB: 2})
	for name, why := range map[string]string{
		"unconfined":            "the kernel shows",
		"no-filter":             "the kernel shows",
		"no-landlock":           "without Landlock",
		"no-denials":            "without denial of openat",
		"says-nothing-and-ends": "ended with exit status 0",
		"crash-at-start":        "ended with exit status 2",
		"refuse":                "no Landlock",
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			dev := device(t, image)
			s, err := reader.Start(t.Context(), config(t, name), dev)
			if err == nil {
				s.Close()
				t.Fatal("it was served")
			}
			wantReason(t, err, verdict.SandboxUnavailable)
			if !strings.Contains(err.Error(), why) {
				t.Errorf("the reason is another: %v", err)
			}
			dev.Close()
		})
	}
	t.Run("no such program", func(t *testing.T) {
		noLeaks(t)
		cfg := config(t, "sallyport-reader")
		cfg.Binary += "-missing"
		dev := device(t, image)
		_, err := reader.Start(t.Context(), cfg, dev)
		wantReason(t, err, verdict.SandboxUnavailable)
		dev.Close()
	})
}

// TestMisbehaviourCostsOnlyTheMedium: these children lock themselves down as
// they should and then go wrong.
func TestMisbehaviourCostsOnlyTheMedium(t *testing.T) {
	image := testmedia.FAT(t, testmedia.Options{Bits: 16, SizeMiB: 16}, testmedia.Files{"a": pattern(1, 3<<20), "b": pattern(2, 5)})
	for name, want := range map[string]verdict.Reason{
		"ends-in-listing":      verdict.SandboxUnavailable,
		"hangs-in-listing":     verdict.Unreadable,
		"endless-entries":      verdict.SandboxUnavailable,
		"huge-frame":           verdict.SandboxUnavailable,
		"crash":                verdict.SandboxUnavailable,
		"forbidden":            verdict.SandboxUnavailable,
		"closes-and-lives":     verdict.SandboxUnavailable,
		"ends-in-file":         verdict.SandboxUnavailable,
		"hangs-in-file":        verdict.Unreadable,
		"too-much":             verdict.SandboxUnavailable,
		"floods-stderr":        verdict.Unreadable,
		"dribbles-for-ever":    verdict.OverLimit,
		"unknown-file":         verdict.SandboxUnavailable,
		"another-size":         verdict.SandboxUnavailable,
		"reason-not-a-readers": verdict.SandboxUnavailable,
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			cfg := config(t, name)
			if want == verdict.Unreadable {
				cfg.Limits.Stall = 300 * time.Millisecond
			}
			if want == verdict.OverLimit {
				cfg.Limits.Total = time.Second
			}
			s := start(t, cfg, image)
			wantReason(t, untilError(s), want)
			s.Close()
		})
	}
	s := start(t, config(t, "sallyport-reader"), image)
	if got, failed := readAll(t, s); len(failed) > 0 || got["b"] != string(pattern(2, 5)) {
		t.Error("the next session does not work")
	}
}

// untilError reads everything and returns the error that ended the session.
func untilError(s *reader.Session) error {
	list, err := s.List()
	if err != nil {
		return err
	}
	var ids []uint32
	for _, e := range list.Entries {
		if e.Type == medium.File {
			ids = append(ids, e.ID)
		}
	}
	st, err := s.Read(ids)
	if err != nil {
		return err
	}
	for {
		if _, _, err := st.Next(); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{st}); err != nil {
			return err
		}
	}
}

// inTheMiddle starts the real reader on a file larger than all buffers and
// stops after its first bytes.
func inTheMiddle(t *testing.T, ctx context.Context, cfg reader.Config) (*reader.Session, *reader.Stream, int) {
	t.Helper()
	image := testmedia.FAT(t, testmedia.Options{Bits: 32}, testmedia.Files{"large": pattern(9, 24<<20)})
	s, err := reader.Start(ctx, cfg, device(t, image))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Read([]uint32{list.Entries[0].ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(st, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return s, st, reader.PID(s)
}

func drain(st *reader.Stream) error {
	_, err := io.Copy(io.Discard, struct{ io.Reader }{st})
	return err
}

func TestKilledReader(t *testing.T) {
	_, st, pid := inTheMiddle(t, t.Context(), config(t, "sallyport-reader"))
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := drain(st)
	wantReason(t, err, verdict.SandboxUnavailable)
	if !strings.Contains(err.Error(), "killed") {
		t.Errorf("the error does not say how it ended: %v", err)
	}
}

func TestStoppedReader(t *testing.T) {
	cfg := config(t, "sallyport-reader")
	cfg.Limits.Stall = 300 * time.Millisecond
	s, st, pid := inTheMiddle(t, t.Context(), cfg)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	err := drain(st)
	wantReason(t, err, verdict.Unreadable)
	if !strings.Contains(err.Error(), "no byte for 300ms") {
		t.Errorf("the error does not name the time: %v", err)
	}
	s.Close()
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("the stopped reader is still there: %v", err)
	}
}

func TestPausedReaderGoesOn(t *testing.T) {
	_, st, pid := inTheMiddle(t, t.Context(), config(t, "sallyport-reader"))
	if err := errors.Join(syscall.Kill(pid, syscall.SIGSTOP), syscall.Kill(pid, syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
	if err := drain(st); err != nil {
		t.Error(err)
	}
}

func TestCancelledSession(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, st, _ := inTheMiddle(t, ctx, config(t, "sallyport-reader"))
	cancel()
	if err := drain(st); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestClosedWhileReading(t *testing.T) {
	s, st, _ := inTheMiddle(t, t.Context(), config(t, "sallyport-reader"))
	s.Close()
	if err := drain(st); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestDamagedMedia(t *testing.T) {
	good := testmedia.FAT(t, testmedia.Options{Bits: 32}, testmedia.Files{
		"first": pattern(1, 100<<10), "second": pattern(2, 2<<20), "third": pattern(3, 100<<10)})
	for name, tc := range map[string]struct {
		damage func(img string)
		path   string
		want   verdict.Reason
	}{
		"cut inside a file":         {func(img string) { testmedia.CutInside(t, img, "second") }, "second", verdict.Truncated},
		"a chain that is too short": {func(img string) { testmedia.ShortenChain(t, img, "second") }, "second", verdict.FilesystemInconsistent},
	} {
		t.Run(name, func(t *testing.T) {
			img := testmedia.Copy(t, good)
			tc.damage(img)
			got, failed := readAll(t, start(t, config(t, "sallyport-reader"), img))
			wantReason(t, failed[tc.path], tc.want)
			if failed["first"] != nil || got["first"] != string(pattern(1, 100<<10)) {
				t.Errorf("a file that is whole was lost: %v", failed["first"])
			}
			if !strings.HasPrefix(string(pattern(2, 2<<20)), got["second"]) {
				t.Error("the damaged file gave bytes that are not its own")
			}
		})
	}
	t.Run("zero bytes", func(t *testing.T) {
		img := filepath.Join(t.TempDir(), "zero.img")
		if err := os.WriteFile(img, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := start(t, config(t, "sallyport-reader"), img).List()
		wantReason(t, err, verdict.Truncated)
	})
	t.Run("shortened while it is read", func(t *testing.T) {
		img := testmedia.Copy(t, good)
		s := start(t, config(t, "sallyport-reader"), img)
		list, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		testmedia.CutInside(t, img, "second")
		ids := map[string]uint32{}
		for _, e := range list.Entries {
			ids[e.Path] = e.ID
		}
		st, err := s.Read([]uint32{ids["second"]})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := st.Next(); err != nil {
			t.Fatal(err)
		}
		wantReason(t, drain(st), verdict.Truncated)
	})
}

func TestOnlyReadOnlyDevicesArePassedOn(t *testing.T) {
	img := testmedia.EmptyFAT(t, testmedia.Options{Bits: 12, SizeMiB: 2})
	f, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := device(t, t.TempDir())
	null := device(t, "/dev/null")
	for _, dev := range []*os.File{f, dir, null} {
		if s, err := reader.Start(t.Context(), config(t, "sallyport-reader"), dev); err == nil {
			s.Close()
			t.Errorf("%s was accepted", dev.Name())
		}
	}
}
