package manifest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	own := base(func(p *manifest.Payload) { p.Signer.KeyID = ml(mlPrecinct).KeyID() })
	if _, err := reason(own, key(keyPrecinct), ml(mlPrecinct)); !strings.Contains(err.Error(), "signer.key_id") {
		t.Errorf("the payload names an ML-DSA key: %v", err)
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

// nonePolicy gives the zero key.
type nonePolicy struct{ *testPolicy }

func (nonePolicy) Key(string) (manifest.Key, error) { return manifest.Key{}, nil }

func TestAPolicyThatGivesNoKeyIsNotBelieved(t *testing.T) {
	v, err := manifest.Verify(enclose(t, encode(t, base()), keyPrecinct), packageID, nonePolicy{newPolicy(t)})
	if _, isFinding := verdict.Find(err); err == nil || v != nil || isFinding {
		t.Fatalf("got %v, %v; want a fault of this station", v, err)
	}
}

// TestAllSignersOfAHybridAreNamed: whoever asks the policy again later asks for
// the same keys.
func TestAllSignersOfAHybridAreNamed(t *testing.T) {
	envelope, err := manifest.Seal(t.Context(), base(), ml(mlPrecinct), key(keyPrecinct))
	if err != nil {
		t.Fatal(err)
	}
	v, err := manifest.Verify(envelope, packageID, newPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{key(keyPrecinct).KeyID(), ml(mlPrecinct).KeyID()}; !slices.Equal(v.KeyIDs(), want) {
		t.Errorf("key ids are %v, want %v", v.KeyIDs(), want)
	}
	if err := v.Recheck(newPolicy(t)); err != nil {
		t.Errorf("the same policy refuses it the second time: %v", err)
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

// heldPolicy holds its keys parsed, as a station does.
type heldPolicy map[string]manifest.Key

func (p heldPolicy) Key(id string) (manifest.Key, error)            { return p[id], nil }
func (p heldPolicy) Permit(*manifest.Payload, []manifest.Key) error { return nil }

// BenchmarkVerify is what a package costs beside reading its files.
func BenchmarkVerify(b *testing.B) {
	held := heldPolicy{}
	for _, n := range []byte{keyPrecinct, mlPrecinct} {
		k := signer(n).public()
		held[k.KeyID()] = manifest.Key{Public: k, StationID: "precinct-1", Role: "source"}
	}
	for _, files := range []int{100, 20_000, 100_000} {
		for name, keys := range map[string][]byte{"ecdsa": {keyPrecinct}, "hybrid": {keyPrecinct, mlPrecinct}} {
			b.Run(fmt.Sprintf("%d-files/%s", files, name), func(b *testing.B) {
				envelope := enclose(b, encode(b, base(numbered(files))), keys...)
				b.SetBytes(int64(len(envelope)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := manifest.Verify(envelope, packageID, held); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
