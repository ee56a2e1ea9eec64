package translog_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"testing"

	"sallyport/internal/durable"
	"sallyport/internal/translog"
)

// softKey signs like a station's TPM would.
type softKey struct{ key *ecdsa.PrivateKey }

func newSoftKey(t testing.TB) softKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return softKey{k}
}

func (s softKey) KeyID() string {
	id, err := translog.KeyID(s.Public())
	if err != nil {
		panic(err)
	}
	return id
}
func (s softKey) Public() *ecdsa.PublicKey { return &s.key.PublicKey }
func (s softKey) Sign(ctx context.Context, digest [32]byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.key.Sign(nil, digest[:], crypto.SHA256) // deterministic, RFC 6979
}

// counter anchors like a station would: it writes a record, counts up and says at
// which value. What it counted outlives the log.
type counter struct {
	fs durable.FS
	n  uint64
}

func (c *counter) Anchor(_ context.Context, note [32]byte) (data []byte, err error) {
	if err := c.fs.Step("test.floor.write", func() error { return nil }); err != nil {
		return nil, err
	}
	err = c.fs.Step("test.tpm.count", func() error {
		c.n++
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = c.fs.Step("test.tpm.certify", func() error {
		data = append(note[:len(note):len(note)], binary.BigEndian.AppendUint64(nil, c.n)...)
		return nil
	})
	return data, err
}

// checkAnchor is what a verifier does with such an anchor.
func checkAnchor(note [32]byte, data []byte) (uint64, error) {
	if len(data) != 40 || !bytes.Equal(data[:32], note[:]) {
		return 0, errors.New("made for something else")
	}
	return binary.BigEndian.Uint64(data[32:]), nil
}
