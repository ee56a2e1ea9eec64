package attest

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// MaxSecret is the most bytes of the secret of a credential.
const MaxSecret = 32

// MakeCredential encrypts secret so that only the TPM that holds the
// endorsement key ekPublic can open it, and only when it also holds the
// attestation key whose [Name] is akName (Part 1, 24; TPM2_MakeCredential
// without a TPM). blob is a TPMS_ID_OBJECT, encSecret the content of a
// TPM2B_ENCRYPTED_SECRET: the two inputs of TPM2_ActivateCredential.
func MakeCredential(ekPublic, akName, secret []byte) (blob, encSecret []byte, err error) {
	if _, err := endorsementKey(ekPublic); err != nil {
		return nil, nil, fmt.Errorf("cannot make the credential: %w", err)
	}
	if len(akName) != len(Name(nil)) || akName[0] != 0x00 || akName[1] != 0x0b {
		return nil, nil, errors.New("cannot make the credential: the attestation key's name is not a SHA-256 name of 34 bytes")
	}
	if len(secret) == 0 || len(secret) > MaxSecret {
		return nil, nil, fmt.Errorf("cannot make the credential: the secret has %d bytes, want 1 to %d", len(secret), MaxSecret)
	}
	public, err := parse[tpm2.TPMTPublic]("endorsement key", ekPublic)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the credential: %w", err)
	}
	key, err := tpm2.ImportEncapsulationKey(public)
	if err == nil {
		blob, encSecret, err = tpm2.CreateCredential(rand.Reader, key, akName, secret)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the credential: %w", err)
	}
	return blob, encSecret, nil
}
