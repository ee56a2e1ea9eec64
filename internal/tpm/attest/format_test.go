package attest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
)

// FORMAT.md is enough to write a second implementation: the values in it are
// those of this one, and of others' TPMs and tools in the tests of package tpm.
func TestFormatHoldsTheValues(t *testing.T) {
	format, err := os.ReadFile("../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(format), "` *boot policy* `", "7dbdcde8e2713e811fb2cab6f85b3e8047ba4d8ebc5956d7b5b7b789f9ef4bde")
	has := func(what string, value []byte) {
		t.Helper()
		if !strings.Contains(text, hex.EncodeToString(value)) {
			t.Errorf("FORMAT.md does not hold the %s %x", what, value)
		}
	}
	// template is an area without its unique part, whose empty length fields
	// have so many bytes.
	template := func(what string, area tpm2.TPMTPublic, unique int) {
		t.Helper()
		b := tpm2.Marshal(area)
		has(what, b[:len(b)-unique])
	}
	x, y := elliptic.P256().Params().Gx.FillBytes(make([]byte, 32)), elliptic.P256().Params().Gy.FillBytes(make([]byte, 32))
	base, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	free, err := attest.SigningTemplate(nil)
	if err != nil {
		t.Fatal(err)
	}
	bound, err := attest.SigningTemplate(base)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := attest.SecretTemplate(nil)
	if err != nil {
		t.Fatal(err)
	}
	boundSecret, err := attest.SecretTemplate(base)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := attest.BootKeyPublic(base)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := attest.BootPolicy(base)
	if err != nil {
		t.Fatal(err)
	}
	template("attestation key", attest.AKTemplate(), 4)
	template("log key", attest.LogTemplate(), 4)
	template("signing key", free, 4)
	template("bound signing key", bound, 4)
	template("sealed secret", secret, 2)
	template("bound sealed secret", boundSecret, 2)
	template("boot key", boot, 68)
	template("storage root", tpm2.ECCSRKTemplate, 68)
	template("endorsement key L-2", tpm2.ECCEKTemplate, 68)
	template("endorsement key L-1", tpm2.RSAEKTemplate, 258)
	has("counter", tpm2.Marshal(attest.CounterTemplate(0, true))[4:])
	has("boot policy", policy[:])
	ref, pcrs := attest.PolicyRef(), attest.PCRPolicy(attest.PCRs{})
	approved := attest.ApprovalDigest(pcrs)
	has("policy reference", ref[:])
	has("PCR policy", pcrs[:])
	has("digest that is signed", approved[:])
}
