package tpm

import (
	"context"
	"crypto/ecdsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"sallyport/internal/tpm/attest"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// The clearing up after a call that failed has its own time: after any call, it
// must end before Close gives up; after a CreateIdentity, it removes all there is.
const (
	sweepTime = closeWait / 2
	undoTime  = 5 * time.Second
)

// fresh returns the channel of a call for its clearing up, which must happen
// also when the call's own context has ended.
func fresh(tr transport.TPM, limit time.Duration) (transport.TPM, context.CancelFunc) {
	l := tr.(*link)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), limit)
	return &link{ctx: ctx, ch: l.ch}, cancel
}

// scoped runs fn, which opens sessions or loads objects. fn flushes them itself
// when all goes well; when it fails, whatever it left is flushed here: a command
// whose answer was lost may have taken effect. (A TPM has room for three
// objects and three sessions.)
func scoped[T any](tr transport.TPM, fn func() (T, error)) (T, error) {
	v, err := fn()
	if err == nil {
		return v, nil
	}
	undo, cancel := fresh(tr, sweepTime)
	defer cancel()
	if undoErr := sweep(undo); undoErr != nil {
		err = fmt.Errorf("%w; what was left in the TPM could not be flushed: %v", err, undoErr)
	}
	var zero T
	return zero, err
}

// sweep flushes the transient objects and policy sessions that a killed or
// interrupted call left in the TPM. Behind a resource manager it sees only its
// own connection's; swtpm and /dev/tpm0 belong to the station alone. Sessions
// of other kinds are the kernel's.
func sweep(tr transport.TPM) error {
	const transient, loadedSession, policySession, most = 0x80000000, 0x02000000, 0x03, 32
	for _, kind := range []uint32{transient, loadedSession} {
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: kind, PropertyCount: most}.Execute(tr)
		if err != nil {
			return fmt.Errorf("cannot look for leftovers: %w", err)
		}
		left, err := rsp.CapabilityData.Data.Handles()
		if err != nil {
			return fmt.Errorf("cannot look for leftovers: %w", err)
		}
		for _, h := range left.Handle {
			if kind == loadedSession && h>>24 != policySession {
				continue
			}
			if err := flush(tr, h); err != nil {
				return fmt.Errorf("cannot flush a leftover: %w", err)
			}
		}
	}
	return nil
}

// policySession opens a policy session for fn and flushes it afterwards. To be
// called within scoped.
func policySession[T any](tr transport.TPM, fn func(tpm2.Session) (T, error)) (T, error) {
	const nonce = 16
	var zero T
	s, end, err := tpm2.PolicySession(tr, tpm2.TPMAlgSHA256, nonce)
	if err != nil {
		return zero, err
	}
	v, err := fn(s)
	if err != nil {
		return zero, err
	}
	return v, end()
}

// authorised calls fn with what lets the TPM use the signing key or a sealed
// secret: an empty password when they are unbound, else a session in which the
// present boot state was shown to be an approved one.
func authorised[T any](tr transport.TPM, id *loaded, fn func(tpm2.Session) (T, error)) (T, error) {
	if id.boot == nil {
		return fn(tpm2.PasswordAuth(nil))
	}
	return scoped(tr, func() (T, error) {
		return policySession(tr, func(s tpm2.Session) (T, error) {
			var zero T
			if err := approve(tr, id, s); err != nil {
				return zero, err
			}
			v, err := fn(s)
			if errors.Is(err, tpm2.TPMRCPCRChanged) {
				return zero, unapproved("it changed just now")
			}
			return v, err
		})
	})
}

// approve satisfies the boot policy in session s: TPM2_PolicyPCR takes the boot
// state as it is, the boot key's signature over its digest becomes a ticket, and
// TPM2_PolicyAuthorize exchanges the digest for the policy of the boot key.
func approve(tr transport.TPM, id *loaded, s tpm2.Session) error {
	if _, err := (tpm2.PolicyPCR{PolicySession: s.Handle(), Pcrs: attest.Selection(attest.PolicyNumbers()...)}).Execute(tr); err != nil {
		return err
	}
	now, err := tpm2.PolicyGetDigest{PolicySession: s.Handle()}.Execute(tr)
	if err != nil {
		return err
	}
	if len(now.PolicyDigest.Buffer) != 32 {
		return fmt.Errorf("the TPM's policy digest has %d bytes, want 32", len(now.PolicyDigest.Buffer))
	}
	policy := [32]byte(now.PolicyDigest.Buffer)
	var sig []byte
	if approved := id.approved.Load(); approved != nil {
		sig = (*approved)[policy]
	}
	if sig == nil {
		return unapproved(fmt.Sprintf("there is no approval of its digest %x", policy[:8]))
	}
	ticket, key, err := verify(tr, id.boot, attest.ApprovalDigest(policy), sig)
	if err != nil {
		return fmt.Errorf("cannot verify the approval of the boot state: %w", err)
	}
	ref := attest.PolicyRef()
	_, err = tpm2.PolicyAuthorize{
		PolicySession:  s.Handle(),
		ApprovedPolicy: now.PolicyDigest,
		PolicyRef:      tpm2.TPM2BDigest{Buffer: ref[:]},
		KeySign:        key,
		CheckTicket:    ticket,
	}.Execute(tr)
	if errors.Is(err, tpm2.TPMRCPCRChanged) {
		return unapproved("it changed just now")
	}
	return err
}

// verify lets the TPM itself verify a signature of the boot key. Only a key of
// the owner hierarchy, not of none, gets a ticket.
func verify(tr transport.TPM, boot *ecdsa.PublicKey, digest [32]byte, der []byte) (tpm2.TPMTTKVerified, tpm2.TPM2BName, error) {
	none := tpm2.TPMTTKVerified{}
	public, err := attest.BootKeyPublic(boot)
	if err != nil {
		return none, tpm2.TPM2BName{}, err
	}
	sig, err := tpmSignature(der)
	if err != nil {
		return none, tpm2.TPM2BName{}, err
	}
	key, err := tpm2.LoadExternal{InPublic: tpm2.New2B(public), Hierarchy: tpm2.TPMRHOwner}.Execute(tr)
	if err != nil {
		return none, tpm2.TPM2BName{}, err
	}
	rsp, err := tpm2.VerifySignature{
		KeyHandle: tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name},
		Digest:    tpm2.TPM2BDigest{Buffer: digest[:]},
		Signature: sig,
	}.Execute(tr)
	if err != nil {
		return none, tpm2.TPM2BName{}, err
	}
	return rsp.Validation, key.Name, flush(tr, key.ObjectHandle)
}

// tpmSignature is the reverse of attest.DER.
func tpmSignature(der []byte) (tpm2.TPMTSignature, error) {
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) > 0 {
		return tpm2.TPMTSignature{}, errors.New("the signature is not ASN.1 DER")
	}
	if rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 256 || rs.S.BitLen() > 256 {
		return tpm2.TPMTSignature{}, errors.New("the signature is not one of P-256")
	}
	return tpm2.TPMTSignature{
		SigAlg: tpm2.TPMAlgECDSA,
		Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
			Hash:       tpm2.TPMAlgSHA256,
			SignatureR: tpm2.TPM2BECCParameter{Buffer: rs.R.FillBytes(make([]byte, 32))},
			SignatureS: tpm2.TPM2BECCParameter{Buffer: rs.S.FillBytes(make([]byte, 32))},
		}),
	}, nil
}
