package gossip_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/durable"
	"sallyport/internal/gossip"
	"sallyport/internal/translog"
	"sallyport/internal/verdict"
)

func sighting(t *testing.T, key *ecdsa.PrivateKey, size int64, root byte) *translog.Sighting {
	t.Helper()
	id, err := translog.KeyID(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &translog.Sighting{Checkpoint: translog.Checkpoint{Origin: "sallyport/us/p-7", Size: size, Root: tlog.Hash{root}}, KeyID: id, Note: []byte("note")}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func book(t *testing.T, dir string) *gossip.Book {
	t.Helper()
	b, err := gossip.Open(dir, durable.FS{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What a log shows in the order of its sequence numbers never shrinks and never
// changes; packages may come late, and come again.
func TestTheHighestIsKeptAndContradictionsAreFound(t *testing.T) {
	dir, key, other := filepath.Join(t.TempDir(), "peers"), newKey(t), newKey(t)
	if err := gossip.Create(dir, durable.FS{}); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		key   *ecdsa.PrivateKey
		size  int64
		root  byte
		seq   int64
		fork  bool
		keeps int64 // size of the kept checkpoint of key afterwards
	}{
		{key, 10, 1, 5, false, 10},
		{key, 10, 1, 6, false, 10},  // nothing was recorded in between
		{key, 8, 9, 4, false, 10},   // a late package
		{key, 20, 2, 9, false, 20},  //
		{other, 3, 7, 1, false, 3},  // another key is another log
		{key, 20, 3, 10, true, 20},  // the same size with another root
		{key, 15, 4, 10, true, 20},  // shorter than at an earlier number: put back
		{key, 30, 5, 8, true, 20},   // longer than at a later number
		{key, 30, 5, 11, false, 30}, //
	} {
		b := book(t, dir) // every time from disk
		before, err := b.See(context.Background(), sighting(t, c.key, c.size, c.root), c.seq)
		f, found := verdict.Find(err)
		if found != c.fork || (before != nil) != c.fork || found && f.Reason != verdict.Fork || err != nil && !found {
			t.Errorf("step %d: %+v, %v", i, before, err)
		}
		list, err := b.Peers()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := translog.KeyID(&c.key.PublicKey)
		for _, p := range list {
			if p.KeyID == id && p.Size != c.keeps {
				t.Errorf("step %d: %d entries are kept, want %d", i, p.Size, c.keeps)
			}
		}
	}
}

// A write that fails, before its effect or after it, is an error and loses
// nothing that was kept.
func TestSeeCrashTable(t *testing.T) {
	crash := errors.New("crash")
	for _, after := range []bool{false, true} {
		for at := 0; ; at++ {
			dir, key := filepath.Join(t.TempDir(), "peers"), newKey(t)
			if err := gossip.Create(dir, durable.FS{}); err != nil {
				t.Fatal(err)
			}
			if _, err := book(t, dir).See(t.Context(), sighting(t, key, 10, 1), 5); err != nil {
				t.Fatal(err)
			}
			n := 0
			b, err := gossip.Open(dir, durable.FS{Hook: func(_ string, done bool) error {
				if done != after {
					return nil
				}
				if n++; n-1 == at {
					return crash
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			n = 0
			_, err = b.See(t.Context(), sighting(t, key, 20, 2), 6)
			if n <= at {
				if err != nil || at < 3 {
					t.Fatalf("%d steps, %v", n, err)
				}
				break
			}
			if !errors.Is(err, crash) {
				t.Fatalf("step %d: %v", at, err)
			}
			list, err := book(t, dir).Peers()
			if err != nil || len(list) != 1 || list[0].Size != 10 && list[0].Size != 20 {
				t.Errorf("step %d, after %v: %+v, %v", at, after, list, err)
			}
		}
	}
}

// A file that is not what it says is an error, never forgotten.
func TestForeignFiles(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "peers"), newKey(t)
	if err := gossip.Create(dir, durable.FS{}); err != nil {
		t.Fatal(err)
	}
	b := book(t, dir)
	s := sighting(t, key, 10, 1)
	if _, err := b.See(t.Context(), s, 5); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, s.KeyID+".json")
	for _, body := range []string{"", "{}", `{"v":2}`} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := b.See(t.Context(), s, 6); err == nil {
			t.Errorf("%q was taken for a peer", body)
		}
	}
}
