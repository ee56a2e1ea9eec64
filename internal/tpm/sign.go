package tpm

import (
	"context"
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"fmt"

	"sallyport/internal/dsse"
	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Public returns the key that signs the station's packages, or nil before [TPM.LoadIdentity].
func (t *TPM) Public() *ecdsa.PublicKey {
	if l := t.identity.Load(); l != nil {
		return l.public
	}
	return nil
}

// KeyID returns the id of the key that signs the station's packages, or "" before [TPM.LoadIdentity].
func (t *TPM) KeyID() string {
	if l := t.identity.Load(); l != nil {
		return l.KeyID
	}
	return ""
}

// Approve gives the approvals of boot states that the authority sent, in place
// of those given before; with none, a bound signing key cannot be used. One that
// this station's boot key did not sign is an error and nothing changes. It asks
// the TPM for nothing: which of them fits is seen when the key is used.
func (t *TPM) Approve(list []attest.Approval) error {
	id := t.identity.Load()
	if id == nil {
		return unavailable(t.addr, "take the approvals of boot states", errState)
	}
	if id.boot == nil {
		return errors.New("cannot take approvals of boot states: this station's signing key is not bound to any")
	}
	approved := map[[32]byte][]byte{}
	for _, a := range list {
		if err := attest.CheckApproval(id.boot, a); err != nil {
			return err
		}
		approved[a.Policy] = a.Sig
	}
	id.approved.Store(&approved)
	return nil
}

// Bound says whether the loaded signing key is bound to approved boot states.
func (t *TPM) Bound() bool {
	l := t.identity.Load()
	return l != nil && l.boot != nil
}

// Sign signs a SHA-256 digest with the station's signing key, which signs
// packages alone, and returns an ASN.1 DER ECDSA signature that was verified.
// When the key is bound and no approval is of the present boot state, the error
// is a boot-state-mismatch finding.
func (t *TPM) Sign(ctx context.Context, digest [32]byte) ([]byte, error) {
	return with(ctx, t, "sign", func(tr transport.TPM, id *loaded) ([]byte, error) {
		return authorised(tr, id, func(s tpm2.Session) ([]byte, error) {
			key := at(HandleSigning, id.SigningPublic)
			key.Auth = s
			return sign(tr, key, id.public, digest)
		})
	})
}

// sign is one TPM command; the signature was verified.
func sign(tr transport.TPM, key tpm2.AuthHandle, public *ecdsa.PublicKey, digest [32]byte) ([]byte, error) {
	rsp, err := tpm2.Sign{
		KeyHandle: key,
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
	if err := dsse.VerifyP256(public, digest, der); err != nil {
		return nil, fmt.Errorf("the TPM gave a signature that does not verify: %w", err)
	}
	return der, nil
}

// LogSigner is the station's log key, which signs the audit log's checkpoints
// in every boot state.
type LogSigner struct{ t *TPM }

// LogSigner returns the log key's signer. It works after [TPM.LoadIdentity].
func (t *TPM) LogSigner() LogSigner { return LogSigner{t} }

// Public returns the log key, or nil before [TPM.LoadIdentity].
func (s LogSigner) Public() *ecdsa.PublicKey {
	if l := s.t.identity.Load(); l != nil {
		return l.log
	}
	return nil
}

// KeyID returns the id of the log key, or "" before [TPM.LoadIdentity].
func (s LogSigner) KeyID() string {
	if id, err := dsse.KeyID(s.Public()); err == nil {
		return id
	}
	return ""
}

// Sign signs a SHA-256 digest with the log key and returns an ASN.1 DER ECDSA
// signature that was verified: one TPM command.
func (s LogSigner) Sign(ctx context.Context, digest [32]byte) ([]byte, error) {
	return with(ctx, s.t, "sign for the log", func(tr transport.TPM, id *loaded) ([]byte, error) {
		return sign(tr, at(HandleLog, id.LogPublic), id.log, digest)
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
