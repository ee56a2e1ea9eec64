package tpm

import (
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"fmt"

	"sallyport/internal/dsse"
	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Public returns the station's public key, or nil before [TPM.LoadIdentity].
func (t *TPM) Public() *ecdsa.PublicKey {
	if l := t.identity.Load(); l != nil {
		return l.public
	}
	return nil
}

// KeyID returns the id of the station's key, or "" before [TPM.LoadIdentity].
func (t *TPM) KeyID() string {
	if l := t.identity.Load(); l != nil {
		return l.KeyID
	}
	return ""
}

// Sign signs a SHA-256 digest with the station's signing key and returns an
// ASN.1 DER ECDSA signature that was verified: one TPM command.
func (t *TPM) Sign(ctx context.Context, digest [32]byte) ([]byte, error) {
	return with(ctx, t, "sign", func(tr transport.TPM, id *loaded) ([]byte, error) {
		rsp, err := tpm2.Sign{
			KeyHandle: at(HandleSigning, id.SigningPublic),
			Digest:    tpm2.TPM2BDigest{Buffer: digest[:]},
			InScheme:  noScheme(),
			Validation: tpm2.TPMTTKHashCheck{
				Tag:       tpm2.TPMSTHashCheck,
				Hierarchy: tpm2.TPMRHNull,
			},
		}.Execute(tr)
		if err != nil {
			return nil, err
		}
		der, err := attest.DER(rsp.Signature)
		if err != nil {
			return nil, err
		}
		if err := dsse.VerifyP256(id.public, digest, der); err != nil {
			return nil, fmt.Errorf("the TPM gave a signature that does not verify: %w", err)
		}
		return der, nil
	})
}

// CounterRead returns the counter's value.
func (t *TPM) CounterRead(ctx context.Context) (uint64, error) {
	return with(ctx, t, "read the counter", func(tr transport.TPM, id *loaded) (uint64, error) {
		return readCounter(tr, id.CounterPublic)
	})
}

// CounterIncrement adds one and returns the new value, which no other call
// ever returned or will return. When it fails the value may be used up: the
// next one is then greater by two.
func (t *TPM) CounterIncrement(ctx context.Context) (uint64, error) {
	return with(ctx, t, "increment the counter", func(tr transport.TPM, id *loaded) (uint64, error) {
		if err := increment(tr, id.CounterPublic); err != nil {
			return 0, err
		}
		return readCounter(tr, id.CounterPublic)
	})
}

// CounterCertify lets the attestation key vouch for the counter's present
// value together with qualifying (usually the hash of what the value stands
// for). The statement is a TPMS_ATTEST, the signature ASN.1 DER; both were
// verified. [attest.CheckCounter] reads them.
func (t *TPM) CounterCertify(ctx context.Context, qualifying [32]byte) (statement, sig []byte, err error) {
	type certified struct{ statement, sig []byte }
	c, err := with(ctx, t, "certify the counter", func(tr transport.TPM, id *loaded) (certified, error) {
		rsp, err := tpm2.NVCertify{
			SignHandle:     at(HandleAK, id.AKPublic),
			AuthHandle:     at(IndexCounter, id.CounterPublic),
			NVIndex:        tpm2.NamedHandle{Handle: tpm2.TPMHandle(IndexCounter), Name: name(id.CounterPublic)},
			QualifyingData: tpm2.TPM2BData{Buffer: qualifying[:]},
			InScheme:       noScheme(),
			Size:           8,
		}.Execute(tr)
		if err != nil {
			return certified{}, err
		}
		c := certified{statement: rsp.CertifyInfo.Bytes()}
		if c.sig, err = attest.DER(rsp.Signature); err != nil {
			return certified{}, err
		}
		_, err = attest.CheckCounter(id.AKPublic, id.CounterPublic, c.statement, c.sig, qualifying)
		return c, err
	})
	return c.statement, c.sig, err
}

// with is call for what needs the loaded identity.
func with[T any](ctx context.Context, t *TPM, what string, fn func(transport.TPM, *loaded) (T, error)) (T, error) {
	id := t.identity.Load()
	if id == nil {
		var zero T
		return zero, unavailable(t.addr, what, errState)
	}
	return call(ctx, t, what, func(tr transport.TPM) (T, error) { return fn(tr, id) })
}

func increment(tr transport.TPM, public []byte) error {
	_, err := tpm2.NVIncrement{
		AuthHandle: at(IndexCounter, public),
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(IndexCounter), Name: name(public)},
	}.Execute(tr)
	return err
}

func readCounter(tr transport.TPM, public []byte) (uint64, error) {
	rsp, err := tpm2.NVRead{
		AuthHandle: at(IndexCounter, public),
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(IndexCounter), Name: name(public)},
		Size:       8,
	}.Execute(tr)
	if err != nil {
		return 0, err
	}
	if len(rsp.Data.Buffer) != 8 {
		return 0, fmt.Errorf("the counter has %d bytes, want 8", len(rsp.Data.Buffer))
	}
	return binary.BigEndian.Uint64(rsp.Data.Buffer), nil
}
