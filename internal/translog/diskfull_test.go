package translog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/durable"
	"sallyport/internal/testtool"
	"sallyport/internal/translog"
)

// fullAt makes the n-th durable step find the disk full, and only that one: there
// is space again afterwards, so whatever still refuses does so by itself.
func fullAt(n int) (durable.FS, *string) {
	seen, at := 0, ""
	return durable.FS{Hook: func(step string, done bool) error {
		if done {
			return nil
		}
		seen++
		if seen-1 == n {
			at = step
			return &os.PathError{Op: "write", Path: step, Err: unix.ENOSPC}
		}
		return nil
	}}, &at
}

// TestAFullDiskStopsTheLogAndLosesNothing fills the disk at each durable step.
func TestAFullDiskStopsTheLogAndLosesNothing(t *testing.T) {
	key := newSoftKey(t)
	steps := map[string]bool{}
	for n, finished := 0, false; !finished; n++ {
		dir := mustCreate(t, translog.Options{})
		fs, at := fullAt(n)
		tpm := &counter{fs: fs}
		opt := translog.Options{SegmentBytes: 250, FS: fs, Anchor: tpm}
		l := mustOpen(t, dir, opt)
		var a acked
		var failed error
		for round := range int64(12) {
			a.tried = a.entries + 1
			if _, failed = l.Append(entry(a.entries)); failed != nil {
				break
			}
			a.entries++
			if round%3 != 2 {
				continue
			}
			if _, failed = l.Checkpoint(t.Context(), key); failed != nil {
				break
			}
			a.sealed, a.checkpoints = a.entries, a.checkpoints+1
		}
		if finished = failed == nil; finished {
			continue
		}
		steps[*at] = true
		if !errors.Is(failed, unix.ENOSPC) {
			t.Fatalf("%s: the disk is full, and the caller is told %v", *at, failed)
		}
		_, more := l.Append([]byte("more"))
		if strings.HasPrefix(*at, "translog.") {
			if !errors.Is(more, unix.ENOSPC) || !strings.Contains(more.Error(), "earlier failure") {
				t.Errorf("%s: the next entry: %v", *at, more)
			}
			if _, err := l.Checkpoint(t.Context(), key); !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%s: the next checkpoint: %v", *at, err)
			}
			if err := l.AcknowledgeRecovery(); !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%s: acknowledging: %v", *at, err)
			}
		} else if more != nil { // what the station writes, not the log
			t.Errorf("%s: the log stopped: %v", *at, more)
		}
		if got := l.Size(); got < a.entries {
			t.Errorf("%s: %d entries can be read, acknowledged %d", *at, got, a.entries)
		}
		l.Close()
		if more == nil {
			continue
		}
		checkRecovered(t, dir, key, a, translog.Options{SegmentBytes: 250, Anchor: tpm})
	}
	for _, want := range []string{"translog.segment.write", "translog.hashes.write", "translog.rotate.write", "translog.checkpoint.write", "translog.anchor.write", "test.floor.write"} {
		if !steps[want] {
			t.Errorf("the disk was never full at %s; it was at %v", want, steps)
		}
	}
}

// TestADiskThatIsReallyFull fills a small file system. A write then comes through
// in part, which no hook does.
func TestADiskThatIsReallyFull(t *testing.T) {
	testtool.Root(t)
	mount := t.TempDir()
	testtool.Run(t, "mount", "-t", "tmpfs", "-o", "size=256k", "none", mount)
	t.Cleanup(func() { testtool.Run(t, "umount", mount) })
	key, opt := newSoftKey(t), translog.Options{SegmentBytes: 16 << 10, Anchor: &counter{}}
	dir, ballast := filepath.Join(mount, "log"), filepath.Join(mount, "ballast")
	if err := translog.Create(dir, origin, opt); err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		l, err := translog.Open(dir, opt)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		before := l.Size()
		var full error
		for full == nil {
			if _, full = l.Append(entry(l.Size())); full == nil && l.Size()%7 == int64(round) {
				_, full = l.Checkpoint(t.Context(), key)
			}
			if full == nil && l.Size() == before+20 { // the rest of the space goes at once
				full = fill(t, ballast)
			}
		}
		a := acked{entries: l.Size(), tried: l.Size() + 1}
		if !errors.Is(full, unix.ENOSPC) || a.entries <= before {
			t.Fatalf("round %d: %d entries, then %v", round, a.entries, full)
		}
		if _, err := l.Append([]byte("more")); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("round %d: an append after a failed one: %v", round, err)
		}
		l.Close()
		verifyOK(t, dir, key)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		checkRecovered(t, dir, key, a, opt)
	}
}

// fill takes what is left of a file system, but for an odd number of bytes.
func fill(t *testing.T, name string) error {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return nil
}
