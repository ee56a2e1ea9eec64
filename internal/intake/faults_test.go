package intake_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/manifest"
	"sallyport/internal/testtool"
	"sallyport/internal/tpm"
	"sallyport/internal/tpm/tpmtest"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// large is a package that is still being read when the first progress comes.
func (r *rig) large() *parcel {
	data := make([]byte, 40<<20)
	rand.Read(data)
	return r.parcel(manifest.MediaSet, map[string][]byte{"large.bin": data})
}

// readerProcess finds the confined child of this process.
func readerProcess(t testing.TB) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(stat), "(")
		name, rest, _ := strings.Cut(rest, ") ")
		fields := strings.Fields(rest)
		if strings.HasPrefix("sallyport-reader", name) && len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("no reader runs")
	return 0
}

// interrupted checks a large package that was cut off in the middle: nothing is
// admitted and the bytes that came are the beginning of the file.
func (r *rig) interrupted(rep *intake.Report, p *parcel) {
	r.t.Helper()
	r.nothingAdmitted()
	r.holds(rep, p.held(r.t, contents{"data/large.bin": nil}))
	got := r.stored(rep.Packages[0].Item)["data/large.bin"]
	if len(got) == 0 || len(got) >= len(p.contents["large.bin"]) || !bytes.HasPrefix(p.contents["large.bin"], got) {
		r.t.Errorf("%d bytes of the file are held, want a true beginning of its %d", len(got), len(p.contents["large.bin"]))
	}
}

func TestTroubleInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason verdict.Reason
		exit   int
		do     func(r *rig, cancel context.CancelFunc)
	}{
		{"reader killed", verdict.SandboxUnavailable, 5, func(r *rig, _ context.CancelFunc) {
			r.must(syscall.Kill(readerProcess(r.t), syscall.SIGKILL))
		}},
		{"reader hangs", verdict.Unreadable, 3, func(r *rig, _ context.CancelFunc) {
			r.must(syscall.Kill(readerProcess(r.t), syscall.SIGSTOP))
		}},
		{"station stopped", verdict.Interrupted, 5, func(_ *rig, cancel context.CancelFunc) { cancel() }},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			r := newRig(t, func(r *rig) { r.cfg.Reader.Limits.Stall = time.Second })
			p := r.large()
			img := r.medium(nil, p)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := false
			r.progress = func() {
				if !done {
					done = true
					c.do(r, cancel)
				}
			}
			rep, err := r.tryInsert(ctx, img)
			r.must(err)
			if !done {
				t.Fatal("the medium was read before anything could happen")
			}
			r.wants(rep, verdict.Held, c.exit, c.reason)
			r.interrupted(rep, p)
			if !rep.Sealed {
				t.Error("the verdict is not sealed")
			}
			r.wants(r.insert(img), verdict.Accepted, 0)
		})
	}
}

func TestAStopBeforeTheFirstByte(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	img := r.medium(nil, r.definition())
	rep, err := r.tryInsert(ctx, img)
	r.must(err)
	r.wants(rep, verdict.Refused, 5, verdict.Interrupted)
	r.nothingAdmitted()
	r.wants(r.insert(img), verdict.Accepted, 0)
}

// realTPM is a station's identity in swtpm.
func realTPM(t testing.TB, p *tpmtest.Process) *tpm.TPM {
	t.Helper()
	tp, err := tpm.Open(t.Context(), p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tp.Close() })
	id, err := tp.CreateIdentity(t.Context(), nil)
	if err == nil {
		err = tp.LoadIdentity(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tp
}

func TestTheTPMStops(t *testing.T) {
	t.Run("before reading", func(t *testing.T) {
		swtpm := tpmtest.New(t)
		r := newRig(t, func(r *rig) { r.tpm = realTPM(t, swtpm) })
		img := r.medium(nil, r.definition())
		swtpm.Kill()
		rep := r.insert(img)
		r.wants(rep, verdict.Refused, 5, verdict.TPMUnavailable)
		if rep.Sealed || len(rep.Packages) > 0 {
			t.Errorf("sealed %v, packages %v", rep.Sealed, rep.Packages)
		}
		r.nothingAdmitted()
		swtpm.Restart()
		r.wants(r.insert(img), verdict.Accepted, 0)
	})
	t.Run("in the middle", func(t *testing.T) {
		swtpm := tpmtest.New(t)
		r := newRig(t, func(r *rig) { r.tpm = realTPM(t, swtpm) })
		p := r.large()
		img := r.medium(nil, p)
		r.progress = swtpm.Kill
		rep := r.insert(img)
		r.wants(rep, verdict.Held, 5, verdict.TPMUnavailable)
		if rep.Sealed {
			t.Error("a verdict is called sealed that no TPM signed")
		}
		r.nothingAdmitted()
		r.holds(rep, p.held(t, nil))
		r.progress = nil
		swtpm.Restart()
		rep = r.insert(img)
		r.wants(rep, verdict.Accepted, 0)
		if !rep.Sealed {
			t.Error("the next verdict is not sealed")
		}
	})
}

// noRoom is a small file system for the vault.
func noRoom(t *testing.T, mib int) string {
	t.Helper()
	testtool.Root(t)
	at := t.TempDir()
	if out, err := exec.Command(testtool.Need(t, "mount"), "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tmpfs", at).CombinedOutput(); err != nil {
		testtool.Unmet(t, "cannot mount a small file system here: "+string(out))
	}
	t.Cleanup(func() { testtool.Run(t, "umount", at) })
	return filepath.Join(at, "vault")
}

func TestAPackageThatDoesNotFit(t *testing.T) {
	small := noRoom(t, 24)
	r := newRig(t, func(r *rig) { r.cfg.Store = small })
	p := r.large()
	rep := r.insert(r.medium(nil, p))
	r.wants(rep, verdict.Held, 5, verdict.StoreFull)
	r.nothingAdmitted()
	r.holds(rep, contents{"manifest.dsse.json": p.seal(t)})
	r.wants(r.insert(r.medium(nil, r.definition())), verdict.Accepted, 0)
}

// failing returns a file system whose writes to packs give err from the nth on.
func failing(n int32, err error, broken *atomic.Bool) durable.FS {
	var writes atomic.Int32
	return durable.FS{Hook: func(step string, done bool) error {
		if broken.Load() && !done && step == "vault.pack.write" && writes.Add(1) >= n {
			return err
		}
		return nil
	}}
}

func TestTheStoreFillsUpInTheMiddle(t *testing.T) {
	r := newRig(t)
	var broken atomic.Bool
	r.close()
	r.open(failing(4, syscall.ENOSPC, &broken))
	p := r.large()
	img := r.medium(nil, p)
	broken.Store(true)
	rep := r.insert(img)
	r.wants(rep, verdict.Held, 5, verdict.StoreFull)
	r.nothingAdmitted()
	for _, have := range rep.Packages {
		if have.Package != p.PackageID || have.Item == "" {
			continue
		}
		if got := r.stored(have.Item)["data/large.bin"]; !bytes.HasPrefix(p.contents["large.bin"], got) {
			t.Error("what is held is not the beginning of the file")
		}
	}
	broken.Store(false)
	r.wants(r.insert(r.medium(nil, r.definition())), verdict.Accepted, 0)
}

func TestAStoreThatFailsEndsTheIntake(t *testing.T) {
	r := newRig(t)
	var broken atomic.Bool
	r.close()
	r.open(failing(4, syscall.EIO, &broken))
	p := r.large()
	img := r.medium(nil, p)
	broken.Store(true)
	if _, err := r.tryInsert(t.Context(), img); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the intake ends with %v, want the error of the disk", err)
	}
	if _, err := r.tryInsert(t.Context(), img); !errors.Is(err, syscall.EIO) {
		t.Errorf("the next medium ends with %v, want the first error", err)
	}
	if got := len(r.entries("medium.inserted")); got != 1 {
		t.Errorf("%d media came in, the second must not", got)
	}
	r.close()
	r.open(durable.FS{})
	r.nothingAdmitted()
	if got := r.items(vault.Held); len(got) != 1 {
		t.Errorf("held are %v, want what was staged", got)
	}
	if e := r.entries("medium.verdict"); len(e) != 1 || e[0].Outcome != audit.Held || e[0].Fields["reasons"] != string(verdict.Interrupted) {
		t.Errorf("the medium's verdict is %+v", e)
	}
	r.wants(r.insert(img), verdict.Accepted, 0)
}
