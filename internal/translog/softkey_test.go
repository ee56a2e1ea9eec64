package translog_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

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
