// Package attest reads what a TPM says of itself: public areas, certified keys,
// counters and boot states, and checks those statements in Go with nothing but
// the public part of the attestation key. It also makes what an authority sends
// back: the challenge of a credential ([MakeCredential]) and the digest that
// approves a boot state ([ApprovalDigest]). It talks to no TPM and opens
// nothing; package trust uses it on bytes that came by medium, which are
// foreign until [Identity.Check], [CheckQuote], [CheckCounter], [CheckApproval]
// or [CheckEK] returns nil. FORMAT.md in package tpm is the specification.
//
// What a check proves: that one chip (or whatever holds the attestation key)
// vouches for the keys and the counter. That the attestation key itself lives
// in a genuine TPM is proven by enrolment: the TPM's maker vouches for the
// endorsement key ([CheckEK]), and only the TPM that holds both keys can open
// the challenge.
package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"sallyport/internal/dsse"

	"github.com/google/go-tpm/tpm2"
)

// maxArea is more than any structure read here can have; the public area of a
// P-256 key has 90 bytes, that of an RSA key 314, an attestation about 170.
const maxArea = 1024

// parse decodes one TPM structure and refuses anything that is not exactly
// what the TPM would write again: go-tpm by itself ignores bytes at the end
// and reserved bits.
func parse[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](what string, data []byte) (*T, error) {
	if len(data) == 0 || len(data) > maxArea {
		return nil, fmt.Errorf("the %s has %d bytes, want 1 to %d", what, len(data), maxArea)
	}
	v, err := tpm2.Unmarshal[T, P](data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s: %w", what, err)
	}
	if !bytes.Equal(tpm2.Marshal(*v), data) {
		return nil, fmt.Errorf("the %s is not in its one encoding", what)
	}
	return v, nil
}

// point returns the P-256 point of a public area that is template, byte for
// byte, but for the point at its end. That one comparison covers every
// attribute, the scheme, the hash and the policy.
func point(what string, area []byte, template tpm2.TPMTPublic) (*ecdsa.PublicKey, error) {
	const size = 2 + 32 // a coordinate with its length
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	head, empty := tpm2.Marshal(template), []byte{0, 0, 0, 0}
	head = bytes.TrimSuffix(head, empty)
	xy, ok := bytes.CutPrefix(area, head)
	if !ok {
		return nil, otherTemplate(what, area)
	}
	if len(xy) != 2*size || xy[1] != 32 || xy[size+1] != 32 || xy[0] != 0 || xy[size] != 0 {
		return nil, fmt.Errorf("the %s does not end in a point of two coordinates of 32 bytes", what)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, xy[2:size], xy[size+2:]))
	if err != nil {
		return nil, fmt.Errorf("the point of the %s is not on P-256: %w", what, err)
	}
	return key, nil
}

// otherTemplate says what a public area that is not the expected one is.
func otherTemplate(what string, area []byte) error {
	pub, err := parse[tpm2.TPMTPublic](what, area)
	if err != nil {
		return err
	}
	return fmt.Errorf("the %s does not have the type, attributes and policy that Sallyport gives such a key (type %#04x, attributes %s, policy %x)",
		what, uint16(pub.Type), attributes(pub.ObjectAttributes), pub.AuthPolicy.Buffer)
}

func attributes(a tpm2.TPMAObject) string {
	s := ""
	for _, x := range []struct {
		name string
		set  bool
	}{
		{"fixedTPM", a.FixedTPM}, {"fixedParent", a.FixedParent}, {"sensitiveDataOrigin", a.SensitiveDataOrigin},
		{"userWithAuth", a.UserWithAuth}, {"noDA", a.NoDA}, {"restricted", a.Restricted},
		{"decrypt", a.Decrypt}, {"sign", a.SignEncrypt}, {"encryptedDuplication", a.EncryptedDuplication},
		{"adminWithPolicy", a.AdminWithPolicy}, {"stClear", a.STClear},
	} {
		if x.set {
			s += " " + x.name
		}
	}
	if s == "" {
		return "none"
	}
	return s[1:]
}

// DER returns a TPM's ECDSA signature as the ASN.1 SEQUENCE of r and s that
// openssl and crypto/ecdsa read.
func DER(sig tpm2.TPMTSignature) ([]byte, error) {
	if sig.SigAlg != tpm2.TPMAlgECDSA {
		return nil, fmt.Errorf("the TPM answered with signature algorithm %#04x, want ECDSA", uint16(sig.SigAlg))
	}
	ecc, err := sig.Signature.ECDSA()
	if err != nil {
		return nil, fmt.Errorf("cannot read the TPM's signature: %w", err)
	}
	if ecc.Hash != tpm2.TPMAlgSHA256 {
		return nil, fmt.Errorf("the TPM signed with hash %#04x, want SHA-256", uint16(ecc.Hash))
	}
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(ecc.SignatureR.Buffer),
		new(big.Int).SetBytes(ecc.SignatureS.Buffer),
	})
}

// statement verifies the attestation key's signature over a TPMS_ATTEST and
// returns it parsed. Only a restricted key makes the magic value meaningful.
func statement(akPublic, data, sig []byte, kind tpm2.TPMST, qualifying [32]byte) (*tpm2.TPMSAttest, error) {
	ak, err := AttestationKey(akPublic)
	if err != nil {
		return nil, err
	}
	if err := dsse.VerifyP256(ak, sha256.Sum256(data), sig); err != nil {
		return nil, fmt.Errorf("cannot accept the attestation key's signature over the statement: %w", err)
	}
	att, err := parse[tpm2.TPMSAttest]("statement", data)
	if err != nil {
		return nil, err
	}
	if err := att.Magic.Check(); err != nil {
		return nil, fmt.Errorf("the statement was not made by a TPM: %w", err)
	}
	if att.Type != kind {
		return nil, fmt.Errorf("the statement is of type %#04x, want %#04x", uint16(att.Type), uint16(kind))
	}
	if subtle.ConstantTimeCompare(att.ExtraData.Buffer, qualifying[:]) != 1 {
		return nil, errors.New("the statement was made for something else (its extra data differ)")
	}
	return att, nil
}

// CheckCounter verifies that the attestation key akPublic certified, with
// TPM2_NV_Certify, the whole content of the counter whose TPMS_NV_PUBLIC is
// counterPublic, for qualifying, and returns the counter's value.
func CheckCounter(akPublic, counterPublic, certify, sig []byte, qualifying [32]byte) (uint64, error) {
	if _, err := counter(counterPublic); err != nil {
		return 0, err
	}
	att, err := statement(akPublic, certify, sig, tpm2.TPMSTAttestNV, qualifying)
	if err != nil {
		return 0, err
	}
	info, err := att.Attested.NV()
	if err != nil {
		return 0, fmt.Errorf("cannot read the certified counter: %w", err)
	}
	if !bytes.Equal(info.IndexName.Buffer, Name(counterPublic)) {
		return 0, errors.New("the attestation key certified another counter than the enrolled one")
	}
	if info.Offset != 0 || len(info.NVContents.Buffer) != 8 {
		return 0, fmt.Errorf("the certified counter has %d bytes from byte %d, want 8 from 0", len(info.NVContents.Buffer), info.Offset)
	}
	return new(big.Int).SetBytes(info.NVContents.Buffer).Uint64(), nil
}

// counter returns the NV index of a TPMS_NV_PUBLIC that is exactly a
// Sallyport counter that was written.
func counter(public []byte) (uint32, error) {
	nv, err := parse[tpm2.TPMSNVPublic]("counter's public area", public)
	if err != nil {
		return 0, err
	}
	index := uint32(nv.NVIndex)
	if !bytes.Equal(tpm2.Marshal(CounterTemplate(index, true)), public) {
		return 0, fmt.Errorf("the NV index %#08x is not a plain 8-byte counter with the attributes that Sallyport gives it", index)
	}
	return index, nil
}

// Name returns the TPM name of a public area (key or NV index) whose name
// algorithm is SHA-256: the algorithm's id and the digest (Part 1, 16).
func Name(area []byte) []byte {
	sum := sha256.Sum256(area)
	return append([]byte{0x00, 0x0b}, sum[:]...)
}

// QualifiedName returns the qualified name of an object below a parent whose
// qualified name is parent (Part 1, 26.5): it names the whole way to the root.
func QualifiedName(parent, name []byte) []byte { return Name(slices.Concat(parent, name)) }

// ownerHierarchy is the name of TPM_RH_OWNER, which is its handle.
func ownerHierarchy() []byte { return []byte{0x40, 0x00, 0x00, 0x01} }
