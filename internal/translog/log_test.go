package translog_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/durable"
	"sallyport/internal/translog"
)

const origin = "sallyport.example/ems-1"

func entry(i int64) []byte { return fmt.Appendf(nil, `{"entry":%d,"pad":"%0*d"}`, i, int(i%40), 0) }

func mustCreate(t testing.TB, opt translog.Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	if err := translog.Create(dir, origin, opt); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustOpen(t testing.TB, dir string, opt translog.Options) *translog.Log {
	t.Helper()
	l, err := translog.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func mustAppend(t testing.TB, l *translog.Log, n int) {
	t.Helper()
	for range n {
		if _, err := l.Append(entry(l.Size())); err != nil {
			t.Fatal(err)
		}
	}
}

// wantRoot computes the root over the first n test entries by the recursive
// definition of RFC 6962, section 2.1.
func wantRoot(lo, n int64) tlog.Hash {
	switch n {
	case 0:
		h, _ := tlog.TreeHash(0, nil)
		return h
	case 1:
		return tlog.RecordHash(entry(lo))
	}
	k := int64(1)
	for k*2 < n {
		k *= 2
	}
	return tlog.NodeHash(wantRoot(lo, k), wantRoot(lo+k, n-k))
}

// checkLog reads everything back through every reader.
func checkLog(t *testing.T, l *translog.Log, n int64) {
	t.Helper()
	if l.Size() != n {
		t.Fatalf("size %d, want %d", l.Size(), n)
	}
	if root, err := l.Root(); err != nil || root != wantRoot(0, n) {
		t.Fatalf("root of %d entries: %v, %v", n, root, err)
	}
	next := int64(0)
	for e, err := range l.Entries(0) {
		if err != nil || e.Index != next || string(e.Data) != string(entry(next)) {
			t.Fatalf("entry %d: %v %q %v", next, e.Index, e.Data, err)
		}
		next++
	}
	if next != n {
		t.Fatalf("the walk gave %d entries, want %d", next, n)
	}
	for _, i := range []int64{0, n / 2, n - 1} {
		if n == 0 {
			break
		}
		e, err := l.Entry(i)
		if err != nil || string(e.Data) != string(entry(i)) {
			t.Fatalf("Entry(%d) = %q, %v", i, e.Data, err)
		}
		proof, err := l.ProveEntry(n, i)
		if err != nil || tlog.CheckRecord(proof, n, wantRoot(0, n), i, tlog.RecordHash(entry(i))) != nil {
			t.Fatalf("ProveEntry(%d): %v", i, err)
		}
	}
	if _, err := l.Entry(n); err == nil {
		t.Fatal("an entry after the end was found")
	}
}

func TestAppendReopenAndRotate(t *testing.T) {
	opt := translog.Options{SegmentBytes: 500}
	dir, key := mustCreate(t, opt), newSoftKey(t)
	total := int64(0)
	for round := range 12 {
		l, err := translog.Open(dir, opt)
		if err != nil {
			t.Fatal(err)
		}
		if r := l.Recovery(); r.HashesRebuilt || len(r.Cuts) > 0 {
			t.Fatalf("round %d: a clean log was repaired: %+v", round, r)
		}
		checkLog(t, l, total)
		mustAppend(t, l, round)
		batch := [][]byte{entry(l.Size()), entry(l.Size() + 1), entry(l.Size() + 2)}
		first, err := l.Append(batch...)
		if err != nil || first != total+int64(round) {
			t.Fatalf("batch: first %d, %v", first, err)
		}
		total += int64(round) + 3
		if round%3 == 1 {
			if _, err := l.Checkpoint(context.Background(), key); err != nil {
				t.Fatal(err)
			}
		}
		checkLog(t, l, total)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	segs, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	if len(segs) < 5 {
		t.Errorf("%d segments after %d entries: rotation did not happen", len(segs), total)
	}
	ro := mustOpen(t, dir, translog.Options{ReadOnly: true})
	checkLog(t, ro, total)
	if _, err := ro.Append([]byte("x")); !errors.Is(err, translog.ErrReadOnly) {
		t.Errorf("append to a log opened for reading: %v", err)
	}
}

func TestCreateNeverReplacesAndOpenIsAlone(t *testing.T) {
	dir := mustCreate(t, translog.Options{})
	if err := translog.Create(dir, origin, translog.Options{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("second create: %v", err)
	}
	l := mustOpen(t, dir, translog.Options{})
	if _, err := translog.Open(dir, translog.Options{}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	ro := mustOpen(t, dir, translog.Options{ReadOnly: true})
	mustAppend(t, l, 3)
	if ro.Size() != 0 {
		t.Errorf("a reader's view changed to %d entries", ro.Size())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if _, err := translog.Open(filepath.Join(dir, "none"), translog.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open of a log that does not exist: %v", err)
	}
	for _, bad := range []string{"", "two words", "plus+", "ä", string(make([]byte, 300))} {
		if err := translog.Create(filepath.Join(t.TempDir(), "l"), bad, translog.Options{}); err == nil {
			t.Errorf("origin %q was taken", bad)
		}
	}
}

func TestEntrySizesAreBounded(t *testing.T) {
	l := mustOpen(t, mustCreate(t, translog.Options{}), translog.Options{})
	for _, n := range []int{0, translog.MaxEntry + 1} {
		if _, err := l.Append([]byte("fits"), make([]byte, n)); err == nil {
			t.Errorf("an entry of %d bytes was taken", n)
		}
	}
	if l.Size() != 0 {
		t.Errorf("a refused batch left %d entries", l.Size())
	}
	for _, n := range []int{1, translog.MaxEntry} {
		if _, err := l.Append(make([]byte, n)); err != nil {
			t.Errorf("an entry of %d bytes was refused: %v", n, err)
		}
	}
}

func TestConcurrentAppendsAndCheckpoints(t *testing.T) {
	dir, key := mustCreate(t, translog.Options{SegmentBytes: 2000}), newSoftKey(t)
	l := mustOpen(t, dir, translog.Options{SegmentBytes: 2000})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := l.Append([]byte("one"), []byte("two")); err != nil {
					t.Error(err)
				}
				if _, err := l.Checkpoint(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if c, _, ok := l.LastCheckpoint(); !ok || c.Size != 400 {
		t.Errorf("last checkpoint %+v, want one over 400 entries", c)
	}
	r, err := translog.Verify(t.Context(), dir, translog.VerifyOptions{Keys: []*ecdsa.PublicKey{key.Public()}})
	if err != nil || len(r.Damage) > 0 || r.Entries != 400 || r.Sealed != 400 {
		t.Errorf("verify beside the writer: %+v, %v", r, err)
	}
}
