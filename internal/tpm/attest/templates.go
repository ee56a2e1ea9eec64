package attest

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"math/big"

	"sallyport/internal/dsse"

	"github.com/google/go-tpm/tpm2"
)

// AKTemplate is the public area of an attestation key but for its point: a
// restricted P-256 signing key made inside the TPM, which signs only what the
// TPM itself produced.
func AKTemplate() tpm2.TPMTPublic { return signingTemplate(true) }

// LogTemplate is the public area of a station's log key but for its point: an
// unrestricted P-256 key made inside the TPM that never leaves it. It is not
// bound to a boot state: whatever was booted can write its log.
func LogTemplate() tpm2.TPMTPublic { return signingTemplate(false) }

// SigningTemplate is the public area of a station's signing key but for its
// point: like the log key, but when boot is not nil it can be used in no other
// way than after [BootPolicy].
func SigningTemplate(boot *ecdsa.PublicKey) (tpm2.TPMTPublic, error) {
	return bound(signingTemplate(false), boot)
}

// SecretTemplate is the public area of a sealed secret but for its unique part:
// a data object below the storage root, usable when the signing key is.
func SecretTemplate(boot *ecdsa.PublicKey) (tpm2.TPMTPublic, error) {
	return bound(tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgKeyedHash,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true, NoDA: true},
		Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{Scheme: tpm2.TPMTKeyedHashScheme{Scheme: tpm2.TPMAlgNull}}),
		Unique:           tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{}),
	}, boot)
}

// bound exchanges the empty password of a template for the policy of boot.
func bound(template tpm2.TPMTPublic, boot *ecdsa.PublicKey) (tpm2.TPMTPublic, error) {
	if boot == nil {
		return template, nil
	}
	policy, err := BootPolicy(boot)
	if err != nil {
		return tpm2.TPMTPublic{}, err
	}
	template.ObjectAttributes.UserWithAuth = false
	template.AuthPolicy = tpm2.TPM2BDigest{Buffer: policy[:]}
	return template, nil
}

func signingTemplate(restricted bool) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM:            true,
			FixedParent:         true,
			SensitiveDataOrigin: true,
			UserWithAuth:        true,
			NoDA:                true,
			Restricted:          restricted,
			SignEncrypt:         true,
		},
		Parameters: p256ECDSA(),
		Unique:     tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
	}
}

// p256ECDSA are the parameters of all keys here that sign.
func p256ECDSA() tpm2.TPMUPublicParms {
	return tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
		Scheme: tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
		},
		CurveID: tpm2.TPMECCNistP256,
	})
}

// BootKeyPublic is the public area under which a TPM loads the key that
// approves boot states, to verify its signatures. The policy holds its name.
func BootKeyPublic(boot *ecdsa.PublicKey) (tpm2.TPMTPublic, error) {
	if err := dsse.CheckP256(boot); err != nil {
		return tpm2.TPMTPublic{}, fmt.Errorf("cannot use the boot key: %w", err)
	}
	raw, err := boot.Bytes()
	if err != nil {
		return tpm2.TPMTPublic{}, fmt.Errorf("cannot use the boot key: %w", err)
	}
	return tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgECC,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{SignEncrypt: true},
		Parameters:       p256ECDSA(),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: raw[1:33]},
			Y: tpm2.TPM2BECCParameter{Buffer: raw[33:]},
		}),
	}, nil
}

// SigningKey returns the public key of a TPMT_PUBLIC that has exactly the
// attributes, and the policy, of the signing key of a station whose boot key is
// boot; nil means that the key is not bound to a boot state.
func SigningKey(area []byte, boot *ecdsa.PublicKey) (*ecdsa.PublicKey, error) {
	template, err := SigningTemplate(boot)
	if err != nil {
		return nil, err
	}
	return point("signing key", area, template)
}

// LogKey returns the public key of a TPMT_PUBLIC that has exactly the
// attributes of a station's log key.
func LogKey(area []byte) (*ecdsa.PublicKey, error) { return point("log key", area, LogTemplate()) }

// AttestationKey returns the public key of a TPMT_PUBLIC that has exactly the
// attributes of an attestation key.
func AttestationKey(area []byte) (*ecdsa.PublicKey, error) {
	return point("attestation key", area, AKTemplate())
}

// EKTemplate is the template of the endorsement key in area: L-1 (RSA-2048) or
// L-2 (ECC P-256) of the TCG EK Credential Profile 2.5, B.3; both can only
// decrypt, and only for who can use the endorsement hierarchy.
func EKTemplate(area []byte) (tpm2.TPMTPublic, error) {
	if _, err := endorsementKey(area); err != nil {
		return tpm2.TPMTPublic{}, err
	}
	if binary.BigEndian.Uint16(area) == uint16(tpm2.TPMAlgRSA) {
		return tpm2.RSAEKTemplate, nil
	}
	return tpm2.ECCEKTemplate, nil
}

// endorsementKey returns the public key of a TPMT_PUBLIC that is one of the two
// endorsement keys but for its unique part: *rsa.PublicKey or *ecdsa.PublicKey.
func endorsementKey(area []byte) (any, error) {
	const what, size = "endorsement key", 2048 / 8
	if len(area) < 2 || binary.BigEndian.Uint16(area) != uint16(tpm2.TPMAlgRSA) {
		return point(what, area, tpm2.ECCEKTemplate)
	}
	template := tpm2.RSAEKTemplate
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	head := tpm2.Marshal(template)
	head = head[:len(head)-2] // the length of the empty modulus
	if len(area) < len(head) || string(area[:len(head)]) != string(head) {
		return nil, otherTemplate(what, area)
	}
	n := area[len(head):]
	if len(n) != 2+size || binary.BigEndian.Uint16(n) != size {
		return nil, fmt.Errorf("the %s does not end in a modulus of %d bytes", what, size)
	}
	n = n[2:]
	if n[0]&0x80 == 0 || n[size-1]&1 == 0 {
		return nil, fmt.Errorf("the modulus of the %s is no RSA modulus of 2048 bits", what)
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}, nil
}

// storageRoot checks that area is the storage root, an ECC P-256 key of the TCG
// TPM v2.0 Provisioning Guidance, 7.5.1.
func storageRoot(area []byte) error {
	_, err := point("storage root", area, tpm2.ECCSRKTemplate)
	return err
}

// CounterTemplate is the public area of a station's counter: a plain (never
// orderly) 8-byte NV counter. written is how it reads after its first increment.
func CounterTemplate(index uint32, written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(index),
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{
			AuthWrite: true,
			AuthRead:  true,
			NoDA:      true,
			NT:        tpm2.TPMNTCounter,
			Written:   written,
		},
		DataSize: 8,
	}
}
