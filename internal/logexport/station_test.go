package logexport_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/internal/audit"
	"sallyport/internal/translog"
)

// softKey signs like a station's TPM would.
type softKey struct{ key *ecdsa.PrivateKey }

func (s softKey) KeyID() string            { return "unused" }
func (s softKey) Public() *ecdsa.PublicKey { return &s.key.PublicKey }
func (s softKey) Sign(_ context.Context, digest [32]byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, s.key, digest[:])
}

// station is a real audit log with its recorder.
type station struct {
	t   *testing.T
	dir string
	key softKey
	log *translog.Log
	rec *audit.Recorder
}

const origin = "sallyport/us/maple-county/ems-1"

func newStation(t *testing.T) *station {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &station{t: t, dir: filepath.Join(t.TempDir(), "log"), key: softKey{k}}
	if err := translog.Create(s.dir, origin, translog.Options{}); err != nil {
		t.Fatal(err)
	}
	if s.log, err = translog.Open(s.dir, translog.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.log.Close() })
	if s.rec, err = audit.Open(t.Context(), s.log, s.key, audit.Options{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *station) entries() []audit.Entry {
	s.t.Helper()
	var out []audit.Entry
	for e, err := range audit.Query(s.log, audit.Filter{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// check makes the tree of what an export says, and compares it with the signed
// checkpoint that stands in it.
func (s *station) check(f found) error {
	var d struct {
		Entries    int64
		Checkpoint string
	}
	if err := json.Unmarshal([]byte(f.log.Details), &d); err != nil {
		return err
	}
	keys, err := translog.NewKeys(origin, s.key.Public())
	if err != nil {
		return err
	}
	c, err := keys.Open([]byte(d.Checkpoint))
	if err != nil {
		return err
	}
	if d.Entries != int64(len(f.entries)) || c.Size >= d.Entries || c.Size < 10 {
		return fmt.Errorf("%d entries of %d, the checkpoint seals %d", len(f.entries), d.Entries, c.Size)
	}
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, i := range at {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i := range c.Size {
		logged, err := f.entries[i].Encode()
		if err != nil {
			return err
		}
		more, err := tlog.StoredHashesForRecordHash(i, tlog.RecordHash(logged), read)
		if err != nil {
			return err
		}
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(c.Size, read)
	if err != nil {
		return err
	}
	if root != c.Root {
		return fmt.Errorf("the entries lead to %v, the checkpoint says %v", root, c.Root)
	}
	return nil
}
