package tpm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"fmt"

	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// maxSealed is the most bytes of a sealed secret: a public area of about 80
// bytes and a private one of about 150, as one TPM or another encrypts it.
const maxSealed = 1024

// SealSecret encrypts a secret so that only this TPM opens it, under the same
// condition under which it lets the signing key be used. The blob is no secret;
// it dies with the TPM's owner hierarchy.
func (t *TPM) SealSecret(ctx context.Context, secret [32]byte) (blob []byte, err error) {
	return with(ctx, t, "seal the secret", func(tr transport.TPM, id *loaded) ([]byte, error) {
		template, err := attest.SecretTemplate(id.boot)
		if err != nil {
			return nil, err
		}
		rsp, err := tpm2.Create{
			ParentHandle: at(HandleSRK, id.SRKPublic),
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret[:]}),
			}},
			InPublic: tpm2.New2B(template),
		}.Execute(tr)
		if err != nil {
			return nil, err
		}
		blob := append(tpm2.Marshal(rsp.OutPublic), tpm2.Marshal(rsp.OutPrivate)...)
		if _, _, err := parseSealed(blob, id.boot); err != nil {
			return nil, fmt.Errorf("the TPM made something else: %w", err)
		}
		return blob, nil
	})
}

// UnsealSecret opens what [TPM.SealSecret] made. When the secret is bound and no
// approval is of the present boot state, the error is a boot-state-mismatch
// finding. [ErrSecret] means that the blob is not this TPM's.
func (t *TPM) UnsealSecret(ctx context.Context, blob []byte) ([32]byte, error) {
	return with(ctx, t, "open the sealed secret", func(tr transport.TPM, id *loaded) ([32]byte, error) {
		public, private, err := parseSealed(blob, id.boot)
		if err != nil {
			return [32]byte{}, fmt.Errorf("%w: %w", ErrSecret, err)
		}
		return scoped(tr, func() ([32]byte, error) { return unseal(tr, id, public, private) })
	})
}

func unseal(tr transport.TPM, id *loaded, public, private []byte) (secret [32]byte, err error) {
	item, err := tpm2.Load{
		ParentHandle: at(HandleSRK, id.SRKPublic),
		InPrivate:    tpm2.TPM2BPrivate{Buffer: private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](public),
	}.Execute(tr)
	if isRefusal(err) {
		return secret, fmt.Errorf("%w (%v)", ErrSecret, err)
	}
	if err != nil {
		return secret, err
	}
	data, err := authorised(tr, id, func(s tpm2.Session) ([]byte, error) {
		rsp, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: item.ObjectHandle, Name: item.Name, Auth: s}}.Execute(tr)
		if err != nil {
			return nil, err
		}
		return rsp.OutData.Buffer, nil
	})
	if err != nil {
		return secret, err
	}
	if len(data) != len(secret) {
		return secret, fmt.Errorf("%w: it has %d bytes, want %d", ErrSecret, len(data), len(secret))
	}
	return [32]byte(data), flush(tr, item.ObjectHandle)
}

// parseSealed splits a blob into a TPMT_PUBLIC, which must be that of a sealed
// secret, and the private part, which only the TPM can judge.
func parseSealed(blob []byte, boot *ecdsa.PublicKey) (public, private []byte, err error) {
	if len(blob) > maxSealed {
		return nil, nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(blob), maxSealed)
	}
	public, rest, ok := sized(blob)
	if !ok {
		return nil, nil, errors.New("it ends within its public part")
	}
	private, rest, ok = sized(rest)
	if !ok || len(private) == 0 {
		return nil, nil, errors.New("it ends within its private part")
	}
	if len(rest) > 0 {
		return nil, nil, fmt.Errorf("%d bytes follow its private part", len(rest))
	}
	template, err := attest.SecretTemplate(boot)
	if err != nil {
		return nil, nil, err
	}
	const unique = 32
	head := bytes.TrimSuffix(tpm2.Marshal(template), []byte{0, 0})
	digest, ok := bytes.CutPrefix(public, head)
	if !ok || len(digest) != 2+unique || binary.BigEndian.Uint16(digest) != unique {
		return nil, nil, errors.New("its public part is not that of a sealed secret of this station")
	}
	return public, private, nil
}

// sized takes off a part with its length, 2 bytes, in front.
func sized(data []byte) (part, rest []byte, ok bool) {
	if len(data) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(data))
	if data = data[2:]; n > len(data) {
		return nil, nil, false
	}
	return data[:n], data[n:], true
}
