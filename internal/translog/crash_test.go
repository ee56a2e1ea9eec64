package translog_test

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/translog"
)

var errInjected = errors.New("injected")

// failAt makes the n-th durable step fail, before or after its effect; every
// later step fails without effect, as after a loss of power.
func failAt(n int, after bool) (durable.FS, *[]string) {
	var seen []string
	dead := false
	return durable.FS{Hook: func(step string, done bool) error {
		if dead {
			return errInjected
		}
		if !done {
			seen = append(seen, step)
		}
		if len(seen)-1 == n && done == after {
			dead = true
			return errInjected
		}
		return nil
	}}, &seen
}

// acked is what a run was told to be durable.
type acked struct {
	entries, tried int64
	sealed         int64
	checkpoints    int64
}

// work appends, rotates, seals and anchors until a step fails; ok means that none
// did.
func work(t *testing.T, dir string, key softKey, opt translog.Options) (a acked, ok bool) {
	t.Helper()
	l, err := translog.Open(dir, opt)
	if err != nil {
		return a, false
	}
	defer l.Close()
	a.entries = l.Size()
	a.tried = a.entries
	for round := range 9 {
		batch := [][]byte{entry(a.tried)}
		if round%2 == 1 {
			batch = append(batch, entry(a.tried+1), entry(a.tried+2))
		}
		a.tried += int64(len(batch))
		if _, err := l.Append(batch...); err != nil {
			if _, err := l.Append([]byte("more")); !errors.Is(err, errInjected) {
				t.Errorf("an append after a failed one: %v", err)
			}
			return a, false
		}
		a.entries = a.tried
		if round%3 == 2 {
			if _, err := l.Checkpoint(t.Context(), key); err != nil {
				return a, false
			}
			a.sealed, a.checkpoints = a.entries, a.checkpoints+1
		}
	}
	return a, true
}

// checkRecovered opens a log after a crash and holds it against what was acknowledged.
func checkRecovered(t *testing.T, dir string, key softKey, a acked, opt translog.Options) {
	t.Helper()
	r := verifyOK(t, dir, key)
	if r.Sealed < a.sealed || r.Entries < a.entries || r.Entries > a.tried || r.Anchored < a.checkpoints || r.Anchored < r.Checkpoints-1 || len(r.Notes) > 1 {
		t.Errorf("verify before the restart: %+v; acknowledged %+v", r, a)
	}
	l, err := translog.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := l.Size()
	if n < a.entries || n > a.tried {
		t.Errorf("%d entries after the restart, acknowledged %d, tried %d", n, a.entries, a.tried)
	}
	checkLog(t, l, n)
	c, _, sealed := l.LastCheckpoint()
	if c.Size < a.sealed {
		t.Errorf("the last checkpoint seals %d, acknowledged %d", c.Size, a.sealed)
	}
	if sealed && c.Size == n { // nothing to seal: what is missing is anchored all the same
		if _, err := l.Checkpoint(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if r := verifyOK(t, dir, key); opt.Anchor != nil && (r.Anchored != r.Checkpoints || len(r.Notes) > 0) {
			t.Errorf("the last checkpoint was not anchored: %+v", r)
		}
	}
	mustAppend(t, l, 2)
	if _, err := l.Checkpoint(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	checkLog(t, l, n+2)
	r = verifyOK(t, dir, key)
	if r.Sealed != n+2 || len(r.Torn) > 0 || opt.Anchor != nil && (r.Anchored != r.Checkpoints || len(r.Notes) > 0) {
		t.Errorf("verify after the restart: %+v", r)
	}
	if _, ok, err := l.LastAnchor(); err != nil || ok != (opt.Anchor != nil) {
		t.Errorf("the last checkpoint has an anchor: %v, %v", ok, err)
	}
}

// verifyOK finds no damage. A log that was never anchored is not checked for it.
func verifyOK(t *testing.T, dir string, key softKey) *translog.Report {
	t.Helper()
	opt := translog.VerifyOptions{Keys: []*ecdsa.PublicKey{key.Public()}}
	if st, err := os.Stat(filepath.Join(dir, "anchors")); err == nil && st.Size() > headerSize {
		opt.Anchor = checkAnchor
	}
	r, err := translog.Verify(t.Context(), dir, opt)
	if err != nil || len(r.Damage) > 0 {
		t.Fatalf("verify: %+v, %v", r, err)
	}
	return r
}

// TestEveryStepFailedOrFailedButPersisted is the crash table of Append,
// rotation, Checkpoint and its anchor.
func TestEveryStepFailedOrFailedButPersisted(t *testing.T) {
	key := newSoftKey(t)
	steps := map[string]int{}
	tried := 0
	for n, finished := 0, false; !finished; n++ {
		for _, after := range []bool{false, true} {
			dir := mustCreate(t, translog.Options{})
			fs, seen := failAt(n, after)
			tpm := &counter{fs: fs}
			a, ok := work(t, dir, key, translog.Options{SegmentBytes: 250, FS: fs, Anchor: tpm})
			if finished = ok; !ok {
				steps[(*seen)[n]]++
				tried++
			}
			tpm.fs = durable.FS{}
			checkRecovered(t, dir, key, a, translog.Options{SegmentBytes: 250, Anchor: tpm})
		}
	}
	for _, want := range []string{"translog.segment.write", "translog.segment.sync", "translog.hashes.write", "translog.hashes.sync",
		"translog.checkpoint.write", "translog.checkpoint.sync", "translog.rotate.write", "translog.rotate.rename", "translog.rotate.syncdir",
		"translog.anchor.write", "translog.anchor.sync", "test.floor.write", "test.tpm.count", "test.tpm.certify"} {
		if steps[want] < 2*3 {
			t.Errorf("%s failed %d times, want it before and after its effect in three places; the table has %v", want, steps[want], steps)
		}
	}
	t.Logf("%d failures", tried)
}

func TestCreateIsAllOrNothing(t *testing.T) {
	for n, finished := 0, false; !finished; n++ {
		for _, after := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "log")
			fs, seen := failAt(n, after)
			err := translog.Create(dir, origin, translog.Options{FS: fs})
			finished = err == nil
			if finished && n < 15 {
				t.Fatalf("Create has only the steps %v", *seen)
			}
			l, operr := translog.Open(dir, translog.Options{})
			if operr != nil {
				if !errors.Is(operr, os.ErrNotExist) {
					t.Fatalf("step %d after=%v left half a log: %v", n, after, operr)
				}
				if err := translog.Create(dir, origin, translog.Options{}); err != nil {
					t.Fatalf("step %d after=%v: the next try: %v", n, after, err)
				}
				l = mustOpen(t, dir, translog.Options{})
			}
			mustAppend(t, l, 1)
			l.Close()
		}
	}
}

// tails are what may follow the first k bytes of a write that power cut off:
// nothing, or zeros where the file was made longer and the data never came.
func tails(k, full int) map[string][]byte {
	return map[string][]byte{"short": nil, "zeros": make([]byte, full-k)}
}

// TestAppendTornAtEveryByte cuts a write of three entries at every byte.
func TestAppendTornAtEveryByte(t *testing.T) {
	key := newSoftKey(t)
	base := mustCreate(t, translog.Options{})
	l := mustOpen(t, base, translog.Options{})
	mustAppend(t, l, 5)
	if _, err := l.Checkpoint(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, 1)
	seg := filepath.Join(base, "00000000000000000000.seg")
	before := readFile(t, seg)
	if _, err := l.Append(entry(6), entry(7), entry(8)); err != nil {
		t.Fatal(err)
	}
	after := readFile(t, seg)
	l.Close()
	ends := []int{0}
	for i := range int64(3) {
		ends = append(ends, ends[i]+frameSize+len(entry(6+i)))
	}
	written := after[len(before):]
	for k := 0; k <= len(written); k++ {
		for name, tail := range tails(k, len(written)) {
			t.Run(fmt.Sprintf("%d %s", k, name), func(t *testing.T) {
				dir := copyLog(t, base)
				now := slices.Concat(before, written[:k], tail)
				writeFile(t, filepath.Join(dir, filepath.Base(seg)), now)
				// A zero that belongs to the data looks the same as one that does not.
				kept := 0
				for kept < 3 && bytes.Equal(now[len(before):][:min(ends[kept+1], len(now)-len(before))], written[:ends[kept+1]]) {
					kept++
				}
				clean := len(now) == len(before)+ends[kept]
				if r := verifyOK(t, dir, key); clean != (len(r.Torn) == 0) {
					t.Errorf("verify before the restart: torn %+v", r.Torn)
				}
				l := mustOpen(t, dir, translog.Options{})
				checkLog(t, l, int64(6+kept))
				r := l.Recovery()
				if clean != (len(r.Cuts) == 0) {
					t.Fatalf("cuts %+v, want none: %v", r.Cuts, clean)
				}
				if clean {
					return
				}
				c := r.Cuts[0]
				lost := now[len(before)+ends[kept]:]
				if c.Offset != int64(len(before)+ends[kept]) || c.Bytes != int64(len(lost)) || c.Entry != int64(6+kept) || c.Intact != 0 {
					t.Errorf("cut %+v", c)
				}
				if got := readFile(t, filepath.Join(dir, c.Kept)); !bytes.Equal(got, lost) {
					t.Errorf("kept %d bytes, lost %d", len(got), len(lost))
				}
				l.Close()
				if k%16 != 0 {
					return // the rest is the same for every byte
				}
				// Reported until acknowledged, then never again.
				l = mustOpen(t, dir, translog.Options{})
				if r := l.Recovery(); len(r.Cuts) != 1 || r.Cuts[0] != c {
					t.Errorf("not reported again: %+v", r)
				}
				if err := l.AcknowledgeRecovery(); err != nil {
					t.Fatal(err)
				}
				l.Close()
				l = mustOpen(t, dir, translog.Options{})
				if r := l.Recovery(); len(r.Cuts) != 0 {
					t.Errorf("reported after it was acknowledged: %+v", r)
				}
				l.Close()
				checkRecovered(t, dir, key, acked{int64(6 + kept), int64(6 + kept), 5, 0}, translog.Options{})
			})
		}
	}
}

// TestSealTornAtEveryByte cuts the write of a checkpoint, and of an anchor, at
// every byte.
func TestSealTornAtEveryByte(t *testing.T) {
	for name, c := range map[string]struct{ sealed, anchored int64 }{
		"checkpoints": {5, 1}, // the torn checkpoint was never acknowledged
		"anchors":     {9, 1}, // its checkpoint is there
	} {
		t.Run(name, func(t *testing.T) {
			key, tpm := newSoftKey(t), &counter{}
			opt := translog.Options{Anchor: tpm}
			base := mustCreate(t, opt)
			l := mustOpen(t, base, opt)
			mustAppend(t, l, 5)
			if _, err := l.Checkpoint(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, l, 4)
			before := map[string][]byte{}
			for _, f := range []string{"checkpoints", "anchors"} {
				before[f] = readFile(t, filepath.Join(base, f))
			}
			if _, err := l.Checkpoint(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			written := readFile(t, filepath.Join(base, name))[len(before[name]):]
			l.Close()
			for k := 0; k < len(written); k++ {
				for tail, bytes := range tails(k, len(written)) {
					dir := copyLog(t, base)
					writeFile(t, filepath.Join(dir, "anchors"), before["anchors"]) // it follows its checkpoint
					writeFile(t, filepath.Join(dir, name), slices.Concat(before[name], written[:k], bytes))
					if r := verifyOK(t, dir, key); r.Anchored != c.anchored || r.Sealed != c.sealed || len(r.Notes) > 1 {
						t.Fatalf("%s of %d bytes %s: verify says %+v", name, k, tail, r)
					}
					l := mustOpen(t, dir, opt)
					last, _, _ := l.LastCheckpoint()
					r := l.Recovery()
					if last.Size != c.sealed || l.Size() != 9 || (k == 0 && tail == "short") != (len(r.Cuts) == 0) {
						t.Fatalf("cut at %d %s: last checkpoint over %d of %d entries, %+v", k, tail, last.Size, l.Size(), r)
					}
					l.Close()
					if k%16 == 0 {
						checkRecovered(t, dir, key, acked{9, 9, 5, 1}, opt)
					}
				}
			}
		})
	}
}

// TestCuttingTheTailIsInterrupted is the crash table of the recovery itself, for
// each file that can end in a torn write.
func TestCuttingTheTailIsInterrupted(t *testing.T) {
	for _, name := range []string{"00000000000000000000.seg", "checkpoints", "anchors"} {
		t.Run(name, func(t *testing.T) { cutInterrupted(t, name) })
	}
}

func cutInterrupted(t *testing.T, name string) {
	key, opt := newSoftKey(t), translog.Options{Anchor: &counter{}}
	base := mustCreate(t, opt)
	l := mustOpen(t, base, opt)
	mustAppend(t, l, 3)
	if _, err := l.Checkpoint(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	l.Close()
	file := filepath.Join(base, name)
	torn := []byte("\x00\x00\x00\x20torn tail")
	writeFile(t, file, append(readFile(t, file), torn...))
	for n, finished := 0, false; !finished; n++ {
		for _, after := range []bool{false, true} {
			dir := copyLog(t, base)
			fs, seen := failAt(n, after)
			l, err := translog.Open(dir, translog.Options{FS: fs})
			if err == nil {
				err = l.AcknowledgeRecovery()
				l.Close()
			}
			if finished = err == nil; finished && n < 8 {
				t.Fatalf("the recovery has only the steps %v", *seen)
			}
			l = mustOpen(t, dir, translog.Options{})
			checkLog(t, l, 3)
			r := l.Recovery()
			done, _ := filepath.Glob(filepath.Join(dir, "cut-*.json"))
			if len(r.Cuts)+len(done) != 1 {
				t.Fatalf("step %d after=%v: the cut is reported %d times and acknowledged %d times", n, after, len(r.Cuts), len(done))
			}
			kept, _ := filepath.Glob(filepath.Join(dir, "cut-*.bytes"))
			if len(kept) != 1 || !bytes.Equal(readFile(t, kept[0]), torn) {
				t.Fatalf("step %d after=%v: the torn bytes are not kept once: %v", n, after, kept)
			}
			l.Close()
			checkRecovered(t, dir, key, acked{3, 3, 3, 1}, opt)
		}
	}
}

func TestWhatNoInterruptedWriteLeavesIsTampering(t *testing.T) {
	s := newSample(t)
	// Damage after the last checkpoint, but in a segment that was closed: the
	// next one was begun only after this one was durable.
	l := mustOpen(t, s.dir, translog.Options{SegmentBytes: 700})
	mustAppend(t, l, 40)
	var place translog.Entry
	for e := range l.Entries(sampleSealed) {
		if strings.HasPrefix(e.File, "0000000000000000005") {
			place = e
			break
		}
	}
	l.Close()
	s.flip(place.File, place.Offset+frameSize)
	var d *translog.Damage
	if _, err := translog.Open(s.dir, translog.Options{}); !errors.As(err, &d) || d.Entry != place.Index {
		t.Errorf("Open = %v, want damage of entry %d", err, place.Index)
	}
	// A damaged entry with intact ones after it, all in the last write, may be
	// torn; the cut says that whole entries followed, and keeps them.
	s = newSample(t)
	s.flip(s.at[36].File, s.at[36].Offset+frameSize)
	if r := s.verify(); len(r.Damage) != 1 || r.Damage[0].Entry != 36 {
		t.Errorf("verify: %+v", r.Damage)
	}
	l = mustOpen(t, s.dir, translog.Options{SegmentBytes: 700})
	r := l.Recovery()
	if l.Size() != 36 || len(r.Cuts) != 1 || r.Cuts[0].Entry != 36 || r.Cuts[0].Intact != 3 {
		t.Errorf("size %d, %+v", l.Size(), r)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyLog(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}
