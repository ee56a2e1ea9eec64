package translog_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sallyport/internal/translog"
)

// Each entry is sealed by the first checkpoint that came after it, and by none
// before there is one; a damaged file of checkpoints is named.
func TestTheFirstCheckpointOverAnEntry(t *testing.T) {
	key, dir := newSoftKey(t), mustCreate(t, translog.Options{})
	l := mustOpen(t, dir, translog.Options{})
	mustAppend(t, l, 3)
	if _, _, ok, err := l.SealedBy(0); ok || err != nil {
		t.Errorf("nothing is sealed yet: %v, %v", ok, err)
	}
	first, err := l.Checkpoint(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, 2)
	second, err := l.Checkpoint(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, 1)
	for i, want := range map[int64][]byte{-1: nil, 0: first, 2: first, 3: second, 4: second, 5: nil, 99: nil} {
		c, signed, ok, err := l.SealedBy(i)
		if err != nil || ok != (want != nil) || !bytes.Equal(signed, want) || ok && c.Size <= i {
			t.Errorf("entry %d: %+v, %q, %v, %v", i, c, signed, ok, err)
		}
	}
	// A byte of the first note changes under the open log.
	path := filepath.Join(dir, "checkpoints")
	b := readFile(t, path)
	b[64+16+5] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := l.SealedBy(0); !errors.Is(err, translog.ErrTampered) {
		t.Errorf("a damaged checkpoint: %v", err)
	}
}
