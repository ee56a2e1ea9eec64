package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"sallyport/internal/dsse"
	"sallyport/internal/strictjson"

	"github.com/google/go-tpm/tpm2"
)

// MaxIdentity is the most bytes of an encoded [Identity].
const MaxIdentity = 8 << 10

// Version is that of an [Identity]; no other is read.
const Version = 2

// Identity is the public description of a station's TPM identity, as the TPM
// made it: FORMAT.md in package tpm. Public areas are in the TPM's own
// encoding (TPMT_PUBLIC, TPMS_NV_PUBLIC), without a length in front. Nothing
// in it is secret. It is worth nothing until [Identity.Check] returns nil.
type Identity struct {
	V             int    `json:"v"`      // Version
	KeyID         string `json:"key_id"` // of the signing key
	EKPublic      []byte `json:"ek_public"`
	AKPublic      []byte `json:"ak_public"`
	SigningPublic []byte `json:"signing_public"` // signs packages
	LogPublic     []byte `json:"log_public"`     // signs the audit log
	// BootKey is the SubjectPublicKeyInfo, DER, of the key that approves boot
	// states; nil (left out) means that the signing key is not bound to any.
	BootKey           []byte `json:"boot_key,omitzero"`
	SRKPublic         []byte `json:"srk_public"`
	Counter           uint32 `json:"counter"` // NV index
	CounterPublic     []byte `json:"counter_public"`
	CounterStart      int64  `json:"counter_start"`    // value when the identity was made
	SigningCreation   []byte `json:"signing_creation"` // TPMS_CREATION_DATA
	SigningCertify    []byte `json:"signing_certify"`  // TPM2_CertifyCreation
	SigningCertifySig []byte `json:"signing_certify_sig"`
	LogCertify        []byte `json:"log_certify"` // TPM2_Certify
	LogCertifySig     []byte `json:"log_certify_sig"`
}

// Qualifying is the extra data of both certificates: it binds all parts of the
// identity to each, so that none can be exchanged for that of another.
func (id *Identity) Qualifying() [32]byte {
	h := sha256.New()
	h.Write([]byte("sallyport tpm identity v2\x00"))
	for _, part := range [][]byte{id.EKPublic, id.AKPublic, id.SigningPublic, id.LogPublic, id.BootKey, id.SRKPublic, id.CounterPublic} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write(part)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(id.CounterStart)))
	return [32]byte(h.Sum(nil))
}

// Boot returns the key that approves boot states, or nil when the signing key
// is not bound to any.
func (id *Identity) Boot() (*ecdsa.PublicKey, error) {
	if id.BootKey == nil {
		return nil, nil
	}
	return BootKey(id.BootKey)
}

// BootKey reads the one encoding (SubjectPublicKeyInfo, DER) of a boot key.
func BootKey(spki []byte) (*ecdsa.PublicKey, error) {
	const most = 200 // a P-256 key has 91 bytes
	if len(spki) > most {
		return nil, fmt.Errorf("the boot key has %d bytes, at most %d are allowed", len(spki), most)
	}
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("cannot read the boot key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the boot key is not an ECDSA key")
	}
	if err := dsse.CheckP256(key); err != nil {
		return nil, fmt.Errorf("cannot use the boot key: %w", err)
	}
	if again, err := x509.MarshalPKIXPublicKey(key); err != nil || !bytes.Equal(again, spki) {
		return nil, errors.New("the boot key is not in its one encoding")
	}
	return key, nil
}

// LogKey returns the key that signs the station's audit log.
func (id *Identity) LogKey() (*ecdsa.PublicKey, error) { return LogKey(id.LogPublic) }

// Check verifies the whole identity and returns the key that signs the
// station's packages.
func (id *Identity) Check() (*ecdsa.PublicKey, error) {
	if id.V != Version {
		return nil, fmt.Errorf("the TPM identity has version %d, this program knows %d", id.V, Version)
	}
	key, err := id.checkKeys()
	if err != nil {
		return nil, err
	}
	index, err := counter(id.CounterPublic)
	if err != nil {
		return nil, err
	}
	if index != id.Counter {
		return nil, fmt.Errorf("counter is %#08x, but its public area names %#08x", id.Counter, index)
	}
	if id.CounterStart < 1 {
		return nil, errors.New("counter_start is not positive")
	}
	if err := id.checkSigning(); err != nil {
		return nil, fmt.Errorf("signing_certify: %w", err)
	}
	if err := id.checkLog(); err != nil {
		return nil, fmt.Errorf("log_certify: %w", err)
	}
	return key, nil
}

// checkKeys checks each key for itself, and that none does another's work.
func (id *Identity) checkKeys() (*ecdsa.PublicKey, error) {
	boot, err := id.Boot()
	if err != nil {
		return nil, err
	}
	key, err := SigningKey(id.SigningPublic, boot)
	if err != nil {
		return nil, err
	}
	keyID, err := dsse.KeyID(key)
	if err != nil {
		return nil, err
	}
	if keyID != id.KeyID {
		return nil, fmt.Errorf("key_id is %q, but the signing key's is %s", id.KeyID, keyID)
	}
	log, err := id.LogKey()
	if err != nil {
		return nil, err
	}
	ak, err := AttestationKey(id.AKPublic)
	if err != nil {
		return nil, err
	}
	if key.Equal(log) || key.Equal(ak) || log.Equal(ak) {
		return nil, errors.New("two of the signing, log and attestation keys are the same key")
	}
	if boot != nil && (boot.Equal(key) || boot.Equal(log) || boot.Equal(ak)) {
		return nil, errors.New("the boot key is a key of the station itself")
	}
	if _, err := endorsementKey(id.EKPublic); err != nil {
		return nil, err
	}
	return key, storageRoot(id.SRKPublic)
}

// root is the qualified name of the storage root.
func (id *Identity) root() []byte { return QualifiedName(ownerHierarchy(), Name(id.SRKPublic)) }

// statement verifies one of the two certificates, and that the attestation key
// that signed it lies below this storage root.
func (id *Identity) statement(data, sig []byte, kind tpm2.TPMST) (*tpm2.TPMSAttest, error) {
	att, err := statement(id.AKPublic, data, sig, kind, id.Qualifying())
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(att.QualifiedSigner.Buffer, QualifiedName(id.root(), Name(id.AKPublic))) {
		return nil, errors.New("the attestation key does not lie below this storage root")
	}
	return att, nil
}

// checkSigning verifies TPM2_CertifyCreation of the signing key (Part 3, 18.3):
// this TPM itself made the key, below this storage root.
func (id *Identity) checkSigning() error {
	att, err := id.statement(id.SigningCertify, id.SigningCertifySig, tpm2.TPMSTAttestCreation)
	if err != nil {
		return err
	}
	info, err := att.Attested.Creation()
	if err != nil {
		return fmt.Errorf("cannot read the certified creation: %w", err)
	}
	if !bytes.Equal(info.ObjectName.Buffer, Name(id.SigningPublic)) {
		return errors.New("the attestation key certified the creation of another key than the signing key")
	}
	if sum := sha256.Sum256(id.SigningCreation); !bytes.Equal(info.CreationHash.Buffer, sum[:]) {
		return errors.New("the attestation key certified another creation than signing_creation")
	}
	return id.checkCreation()
}

// checkCreation holds the creation data against what Sallyport asks a TPM for.
func (id *Identity) checkCreation() error {
	made, err := parse[tpm2.TPMSCreationData]("creation data", id.SigningCreation)
	if err != nil {
		return err
	}
	// The library specification gives an empty selection an empty digest, its
	// reference code the digest of nothing.
	nothing := sha256.Sum256(nil)
	if len(made.PCRSelect.PCRSelections) != 0 || len(made.PCRDigest.Buffer) != 0 && !bytes.Equal(made.PCRDigest.Buffer, nothing[:]) {
		return errors.New("the signing key was created with PCRs, want none")
	}
	if l := tpm2.Marshal(made.Locality); len(l) != 1 || l[0] != 1 {
		return fmt.Errorf("the signing key was created at the locality %#x, want locality 0 (0x01)", l)
	}
	if made.ParentNameAlg != tpm2.TPMAlgSHA256 || !bytes.Equal(made.ParentName.Buffer, Name(id.SRKPublic)) {
		return errors.New("the signing key was created below another key than the storage root")
	}
	if !bytes.Equal(made.ParentQualifiedName.Buffer, id.root()) {
		return errors.New("the signing key's storage root is not a primary key of the owner hierarchy")
	}
	if len(made.OutsideInfo.Buffer) != 0 {
		return errors.New("the signing key was created with outside information, want none")
	}
	return nil
}

// checkLog verifies TPM2_Certify of the log key (Part 3, 18.2).
func (id *Identity) checkLog() error {
	att, err := id.statement(id.LogCertify, id.LogCertifySig, tpm2.TPMSTAttestCertify)
	if err != nil {
		return err
	}
	info, err := att.Attested.Certify()
	if err != nil {
		return fmt.Errorf("cannot read the certified name: %w", err)
	}
	if !bytes.Equal(info.Name.Buffer, Name(id.LogPublic)) {
		return errors.New("the attestation key certified another key than the log key")
	}
	if !bytes.Equal(info.QualifiedName.Buffer, QualifiedName(id.root(), Name(id.LogPublic))) {
		return errors.New("the log key does not lie below this storage root")
	}
	return nil
}

// Encode checks the identity and returns its one encoding.
func (id *Identity) Encode() ([]byte, error) {
	if _, err := id.Check(); err != nil {
		return nil, fmt.Errorf("cannot encode the TPM identity: %w", err)
	}
	return strictjson.Encode(id)
}

// DecodeIdentity reads and checks the one encoding of an identity.
func DecodeIdentity(data []byte) (*Identity, error) {
	var id Identity
	if err := strictjson.DecodeCanonical(data, &id, MaxIdentity); err != nil {
		return nil, fmt.Errorf("cannot read the TPM identity: %w", err)
	}
	if _, err := id.Check(); err != nil {
		return nil, fmt.Errorf("cannot accept the TPM identity: %w", err)
	}
	return &id, nil
}
