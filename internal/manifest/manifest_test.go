package manifest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

func TestWhatIsSealedVerifies(t *testing.T) {
	p := base()
	envelope, err := manifest.Seal(t.Context(), p, key(keyWitness), key(keyPrecinct))
	if err != nil {
		t.Fatal(err)
	}
	v, err := manifest.Verify(envelope, packageID, newPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, v.Payload()); d != "" {
		t.Errorf("the payload changed on the way:\n%s", d)
	}
	if v.Digest() != sha256.Sum256(encode(t, p)) {
		t.Error("the digest is not that of the payload")
	}
	if v.EnvelopeDigest() != sha256.Sum256(envelope) {
		t.Error("the envelope digest is not that of the envelope")
	}
	if want := []string{key(keyPrecinct).KeyID(), key(keyWitness).KeyID()}; !slices.Equal(v.KeyIDs(), want) {
		t.Errorf("key ids are %v, want the payload's own signer first", v.KeyIDs())
	}
}

func TestTheZeroVerifiedIsUnusable(t *testing.T) {
	for name, v := range map[string]*manifest.Verified{"zero": {}, "nil": nil} {
		if v.Valid() || v.Payload() != nil || v.KeyIDs() != nil {
			t.Errorf("%s: looks valid", name)
		}
		for what, digest := range map[string]func() [32]byte{"Digest": v.Digest, "EnvelopeDigest": v.EnvelopeDigest} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: %s gave an identity", name, what)
					}
				}()
				digest()
			}()
		}
	}
}

type failingSigner struct {
	testKey
	err error
}

func (f failingSigner) Sign(context.Context, [32]byte) ([]byte, error) { return nil, f.err }

func TestSealRefusesWhatVerifyWouldRefuse(t *testing.T) {
	reason := func(p *manifest.Payload, signers ...manifest.Signer) (verdict.Reason, error) {
		envelope, err := manifest.Seal(t.Context(), p, signers...)
		if err == nil || envelope != nil {
			t.Fatalf("sealed %+v", p)
		}
		f, ok := verdict.Find(err)
		if !ok {
			return "", err
		}
		return f.Reason, err
	}
	if r, err := reason(base(paths("../x")), key(keyPrecinct)); r != verdict.ManifestMalformed {
		t.Errorf("a path with ..: %v", err)
	}
	if r, err := reason(base(numbered(manifest.MaxFiles+1)), key(keyPrecinct)); r != verdict.OverLimit {
		t.Errorf("too many files: %v", err)
	}
	long := make([]string, manifest.MaxFiles)
	for i, p := range base(numbered(manifest.MaxFiles)).Files {
		long[i] = strings.Repeat("a", 60) + "/" + strings.Repeat("b", 60) + "/" + strings.Repeat("c", 50) + "/" + p.Path[:11] + p.Path[19:25]
	}
	if r, err := reason(base(paths(long...)), key(keyPrecinct)); r != verdict.OverLimit || !strings.Contains(err.Error(), "41943040") {
		t.Errorf("an envelope over 40 MiB: %v", err)
	}
	if _, err := reason(base(), key(keyWitness)); !strings.Contains(err.Error(), "signer.key_id") {
		t.Errorf("signed by somebody else: %v", err)
	}
	if _, err := reason(base()); !strings.Contains(err.Error(), "signer.key_id") {
		t.Errorf("signed by nobody: %v", err)
	}
	gone := errors.New("the TPM is gone")
	if _, err := reason(base(), failingSigner{key(keyPrecinct), gone}); !errors.Is(err, gone) {
		t.Errorf("the signer's error is lost: %v", err)
	}
}

// brokenPolicy gives another key than the one it was asked for.
type brokenPolicy struct{ *testPolicy }

func (b brokenPolicy) Key(string) (manifest.Key, error) {
	return b.testPolicy.Key(key(keyWitness).KeyID())
}

func TestAPolicyThatGivesAnotherKeyIsNotBelieved(t *testing.T) {
	// Signed by the witness, but under the name of the precinct's key.
	good := enclose(t, encode(t, base()), keyWitness)
	forged := replace(t, good, key(keyWitness).KeyID(), key(keyPrecinct).KeyID())
	v, err := manifest.Verify(forged, packageID, brokenPolicy{newPolicy(t)})
	if err == nil || v != nil || !strings.Contains(err.Error(), "another key") {
		t.Fatalf("got %v, %v", v, err)
	}
	if _, isFinding := verdict.Find(err); isFinding {
		t.Fatal("a fault of this station was blamed on the medium")
	}
}

// TestALongListCostsNoMemoryPerFile notices when lists of files no longer take
// the short way through the decoder.
func TestALongListCostsNoMemoryPerFile(t *testing.T) {
	envelope := enclose(t, encode(t, base(numbered(5000))), keyPrecinct)
	n := testing.AllocsPerRun(1, func() {
		if _, err := manifest.Verify(envelope, packageID, newPolicy(t)); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1000 {
		t.Fatalf("%v allocations for 5,000 files", n)
	}
}

func BenchmarkVerify20000Files(b *testing.B) {
	envelope := enclose(b, encode(b, base(numbered(20_000))), keyPrecinct)
	b.SetBytes(int64(len(envelope)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.Verify(envelope, packageID, newPolicy(b)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify100000Files(b *testing.B) {
	envelope := enclose(b, encode(b, base(numbered(100_000))), keyPrecinct)
	b.SetBytes(int64(len(envelope)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.Verify(envelope, packageID, newPolicy(b)); err != nil {
			b.Fatal(err)
		}
	}
}
