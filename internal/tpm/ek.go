package tpm

import (
	"bytes"
	"context"
	"encoding/asn1"
	"errors"
	"fmt"

	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Where a TPM's maker puts the endorsement certificates (TCG EK Credential
// Profile 2.5, 2.2.1.4).
const (
	indexRSACert uint32 = 0x01c00002 // RSA-2048, template L-1
	indexECCCert uint32 = 0x01c0000a // ECC P-256, template L-2
)

// endorsement makes the endorsement key for which the TPM holds a certificate,
// ECC first, or the ECC one when there is none, and returns its public area.
// The same key comes out every time until the TPM's owner changes the
// endorsement seed, so it takes no room in the TPM.
func endorsement(tr transport.TPM) ([]byte, error) {
	template := tpm2.ECCEKTemplate
	ecc, err := ekCertificate(tr, indexECCCert)
	if err != nil {
		return nil, err
	}
	if ecc == nil {
		certificate, err := ekCertificate(tr, indexRSACert)
		if err != nil {
			return nil, err
		}
		if certificate != nil {
			template = tpm2.RSAEKTemplate
		}
	}
	return primary(tr, tpm2.TPMRHEndorsement, template, 0)
}

// EKCertificate returns the certificate, DER, by which the TPM's maker vouches
// for the identity's endorsement key, or nil when the TPM holds none. It is as
// untrusted as the TPM until [attest.CheckEK] has read it.
func (t *TPM) EKCertificate(ctx context.Context) ([]byte, error) {
	return with(ctx, t, "read the endorsement certificate", func(tr transport.TPM, id *loaded) ([]byte, error) {
		index := indexECCCert
		if template, err := attest.EKTemplate(id.EKPublic); err != nil {
			return nil, err
		} else if template.Type == tpm2.TPMAlgRSA {
			index = indexRSACert
		}
		return ekCertificate(tr, index)
	})
}

// ekCertificate reads a certificate out of an NV index; nil means that there is
// none. Makers leave padding behind it: it ends where its DER does.
func ekCertificate(tr transport.TPM, index uint32) ([]byte, error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(tr)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for the endorsement certificate at %#08x: %w", index, err)
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("cannot look for the endorsement certificate at %#08x: %w", index, err)
	}
	a := public.Attributes
	if !a.Written || public.NVIndex != tpm2.TPMHandle(index) {
		return nil, nil
	}
	named := tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: rsp.NVName}
	reader := tpm2.AuthHandle{Handle: named.Handle, Name: named.Name, Auth: tpm2.PasswordAuth(nil)}
	if !a.AuthRead {
		reader = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	}
	// The smallest buffer that a TPM may have for one answer is 512 bytes.
	const chunk = 256
	size := min(int(public.DataSize), attest.MaxEKCertificate)
	data := make([]byte, 0, size)
	for len(data) < size {
		n := min(chunk, size-len(data))
		got, err := tpm2.NVRead{AuthHandle: reader, NVIndex: named, Size: uint16(n), Offset: uint16(len(data))}.Execute(tr)
		if err != nil {
			return nil, fmt.Errorf("cannot read the endorsement certificate at %#08x: %w", index, err)
		}
		if len(got.Data.Buffer) != n {
			return nil, fmt.Errorf("the TPM gave %d bytes of its endorsement certificate, want %d", len(got.Data.Buffer), n)
		}
		data = append(data, got.Data.Buffer...)
	}
	return cutDER(data), nil
}

// cutDER returns the one ASN.1 SEQUENCE at the beginning of data, or nil when
// there is none: an index that was filled with zeros holds no certificate.
func cutDER(data []byte) []byte {
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(data, &outer); err != nil || outer.Tag != asn1.TagSequence || outer.Class != asn1.ClassUniversal || !outer.IsCompound {
		return nil
	}
	return outer.FullBytes
}

// Most bytes of the two parts of a credential: HMAC, encrypted secret and their
// lengths; an RSA-2048 ciphertext.
const (
	maxCredential = 2 + 32 + 2 + attest.MaxSecret
	maxEncSecret  = 2048 / 8
)

// ActivateCredential opens a credential that [attest.MakeCredential] made for
// this TPM's endorsement and attestation keys, and returns its secret: the proof
// to whoever made it that one TPM holds both. [ErrCredential] means that it was
// made for others, or changed.
func (t *TPM) ActivateCredential(ctx context.Context, credentialBlob, secret []byte) ([]byte, error) {
	if len(credentialBlob) > maxCredential || len(secret) > maxEncSecret {
		return nil, fmt.Errorf("cannot open the credential: it has %d and %d bytes, at most %d and %d are allowed", len(credentialBlob), len(secret), maxCredential, maxEncSecret)
	}
	return with(ctx, t, "open the credential", func(tr transport.TPM, id *loaded) ([]byte, error) {
		return scoped(tr, func() ([]byte, error) { return activate(tr, id, credentialBlob, secret) })
	})
}

func activate(tr transport.TPM, id *loaded, blob, secret []byte) ([]byte, error) {
	template, err := attest.EKTemplate(id.EKPublic)
	if err != nil {
		return nil, err
	}
	ek, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(tr)
	if err != nil {
		return nil, fmt.Errorf("cannot make the endorsement key: %w", err)
	}
	if !bytes.Equal(ek.OutPublic.Bytes(), id.EKPublic) {
		return nil, fmt.Errorf("%w: its endorsement key is another one", ErrChanged)
	}
	opened, err := policySession(tr, func(s tpm2.Session) ([]byte, error) {
		_, err := tpm2.PolicySecret{
			AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
			PolicySession: s.Handle(),
			NonceTPM:      s.NonceTPM(),
		}.Execute(tr)
		if err != nil {
			return nil, fmt.Errorf("cannot use the endorsement hierarchy: %w", err)
		}
		rsp, err := tpm2.ActivateCredential{
			ActivateHandle: at(HandleAK, id.AKPublic),
			KeyHandle:      tpm2.AuthHandle{Handle: ek.ObjectHandle, Name: ek.Name, Auth: s},
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: blob},
			Secret:         tpm2.TPM2BEncryptedSecret{Buffer: secret},
		}.Execute(tr)
		if isRefusal(err) || errors.Is(err, tpm2.TPMRCFailure) && answers(tr) {
			return nil, fmt.Errorf("%w (%v)", ErrCredential, err)
		}
		if err != nil {
			return nil, err
		}
		return rsp.CertInfo.Buffer, nil
	})
	if err != nil {
		return nil, err
	}
	return opened, flush(tr, ek.ObjectHandle)
}

// answers says whether the TPM works. libtpms 0.9 answers TPM_RC_FAILURE to an
// RSA ciphertext that it cannot decrypt, but has not failed: a TPM that has
// answers nothing else until it is reset.
func answers(tr transport.TPM) bool {
	_, err := tpm2.ReadClock{}.Execute(tr)
	return err == nil
}

// isRefusal says whether the TPM refused a parameter of the command: response
// codes of format one that speak of a parameter (Part 2, 6.6.2).
func isRefusal(err error) bool {
	const formatOne, ofParameter = 0x80, 0x40
	var rc tpm2.TPMRC
	return errors.As(err, &rc) && rc&formatOne != 0 && rc&ofParameter != 0
}
