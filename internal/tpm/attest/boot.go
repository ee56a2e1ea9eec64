package attest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"sallyport/internal/dsse"

	"github.com/google/go-tpm/tpm2"
)

// PCRs are the values of the SHA-256 bank's PCRs 0 to 7 and 11, in this order:
// what a quote of a station shows. 0 to 6 are the firmware and its settings, 7
// is the state of Secure Boot, 11 the unified kernel image.
type PCRs [9][32]byte

// Numbers returns the number of the PCR at each place of [PCRs].
func Numbers() []uint { return []uint{0, 1, 2, 3, 4, 5, 6, 7, 11} }

// places of the two PCRs that decide whether a station may seal.
const place7, place11 = 7, 8

// PolicyNumbers returns the PCRs that decide whether a station may seal: 7 and 11.
func PolicyNumbers() []uint { return []uint{7, 11} }

// Selection selects PCRs, whose numbers are below 24, in the SHA-256 bank.
func Selection(numbers ...uint) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash:      tpm2.TPMAlgSHA256,
		PCRSelect: tpm2.PCClientCompatible.PCRs(numbers...),
	}}}
}

// PCRPolicy is the digest that TPM2_PolicyPCR over the PCRs 7 and 11 gives a
// new policy session when they have these values (Part 3, 23.7): the name of a
// boot state.
func PCRPolicy(pcrs PCRs) [32]byte {
	values := sha256.Sum256(slices.Concat(pcrs[place7][:], pcrs[place11][:]))
	return extend([32]byte{}, uint32(tpm2.TPMCCPolicyPCR), slices.Concat(tpm2.Marshal(Selection(PolicyNumbers()...)), values[:]))
}

// PolicyRef is the fixed qualifier of all approvals of boot states, so that
// what else the boot key may sign approves nothing.
func PolicyRef() [32]byte { return sha256.Sum256([]byte("sallyport boot approval v1")) }

// BootPolicy is the policy of a key that is bound to the boot states that the
// boot key approves: that of TPM2_PolicyAuthorize (Part 3, 23.16).
func BootPolicy(boot *ecdsa.PublicKey) ([32]byte, error) {
	public, err := BootKeyPublic(boot)
	if err != nil {
		return [32]byte{}, err
	}
	first := extend([32]byte{}, uint32(tpm2.TPMCCPolicyAuthorize), Name(tpm2.Marshal(public)))
	ref := PolicyRef()
	return sha256.Sum256(slices.Concat(first[:], ref[:])), nil
}

// extend is PolicyUpdate's first half (Part 3, 23.2.3).
func extend(old [32]byte, command uint32, data []byte) [32]byte {
	return sha256.Sum256(slices.Concat(old[:], binary.BigEndian.AppendUint32(nil, command), data))
}

// Approval is the boot key's word that a station may seal in one boot state.
type Approval struct {
	Policy [32]byte `json:"policy"` // [PCRPolicy] of the boot state
	Sig    []byte   `json:"sig"`    // ASN.1 DER ECDSA signature of the boot key over [ApprovalDigest]
}

// ApprovalDigest is what the boot key signs to approve a boot state.
func ApprovalDigest(policy [32]byte) [32]byte {
	ref := PolicyRef()
	return sha256.Sum256(slices.Concat(policy[:], ref[:]))
}

// CheckApproval verifies that the boot key signed the approval.
func CheckApproval(boot *ecdsa.PublicKey, a Approval) error {
	if err := dsse.VerifyP256(boot, ApprovalDigest(a.Policy), a.Sig); err != nil {
		return fmt.Errorf("cannot accept the approval of the boot state %x: it is not signed by this station's boot key: %w", a.Policy[:4], err)
	}
	return nil
}

// CheckQuote verifies that the attestation key akPublic quoted, with TPM2_Quote
// (Part 3, 18.4), exactly the PCRs of [Numbers] with these values, for
// qualifying. statement is a TPMS_ATTEST, sig an ASN.1 DER ECDSA signature over
// its SHA-256.
func CheckQuote(akPublic, quoted, sig []byte, pcrs PCRs, qualifying [32]byte) error {
	att, err := statement(akPublic, quoted, sig, tpm2.TPMSTAttestQuote, qualifying)
	if err != nil {
		return err
	}
	info, err := att.Attested.Quote()
	if err != nil {
		return fmt.Errorf("cannot read the quote: %w", err)
	}
	if want := Selection(Numbers()...); string(tpm2.Marshal(info.PCRSelect)) != string(tpm2.Marshal(want)) {
		return fmt.Errorf("the quote is of the PCRs %x, want those of SHA-256 0 to 7 and 11 (%x)", tpm2.Marshal(info.PCRSelect), tpm2.Marshal(want))
	}
	if got := QuoteDigest(pcrs); string(info.PCRDigest.Buffer) != string(got[:]) {
		return fmt.Errorf("the quote is of other PCR values than these: its digest is %x, theirs is %x", info.PCRDigest.Buffer, got)
	}
	return nil
}

// QuoteDigest is the digest of PCR values in a quote.
func QuoteDigest(pcrs PCRs) [32]byte {
	h := sha256.New()
	for _, v := range pcrs {
		h.Write(v[:])
	}
	return [32]byte(h.Sum(nil))
}
