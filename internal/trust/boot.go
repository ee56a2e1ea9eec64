package trust

import (
	"encoding/hex"
	"fmt"
	"slices"

	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// BootState is one state of firmware and system in which a station may seal.
type BootState struct {
	Label string `json:"label"` // for people, such as the release
	// PCRs are the values that evidence must show; 7 and 11 are always among them.
	PCRs []PCR `json:"pcrs"` // sorted by number
	// Approvals let the station's TPM use its signing key in this state: one for
	// each boot key to which a key of the station is bound.
	Approvals []BootApproval `json:"approvals,omitzero"`
}

// PCR is the value of one register of the SHA-256 bank.
type PCR struct {
	PCR    int    `json:"pcr"`
	SHA256 string `json:"sha256"` // 64 lower-case hexadecimal digits
}

// BootApproval is a boot key's signature over [attest.ApprovalDigest].
type BootApproval struct {
	KeyID string `json:"key_id"` // of the boot key
	Sig   []byte `json:"sig"`
}

// NewBootState approves what a quote showed, register by register: those of
// these numbers, and in any case those that the TPM itself holds against the
// signing key.
func NewBootState(label string, have attest.PCRs, numbers ...uint) BootState {
	b := BootState{Label: label}
	for i, n := range attest.Numbers() {
		if slices.Contains(numbers, n) || slices.Contains(attest.PolicyNumbers(), n) {
			b.PCRs = append(b.PCRs, PCR{int(n), hex.EncodeToString(have[i][:])})
		}
	}
	return b
}

// Policy is the digest that a TPM computes in this state: what a boot key
// approves. It fails for a state that FORMAT.md does not allow.
func (b *BootState) Policy() ([32]byte, error) {
	var values attest.PCRs
	numbers := attest.Numbers()
	last := -1
	for _, p := range b.PCRs {
		at := slices.Index(numbers, uint(max(p.PCR, 0)))
		if at < 0 || p.PCR <= last {
			return [32]byte{}, fmt.Errorf("PCR %d: only 0 to 7 and 11 can stand there, in this order", p.PCR)
		}
		last = p.PCR
		if !isDigest(p.SHA256) {
			return [32]byte{}, fmt.Errorf("PCR %d: %.80q is no SHA-256", p.PCR, p.SHA256)
		}
		value, err := hex.DecodeString(p.SHA256)
		if err != nil {
			return [32]byte{}, err
		}
		values[at] = [32]byte(value)
	}
	for _, n := range attest.PolicyNumbers() {
		if !slices.ContainsFunc(b.PCRs, func(p PCR) bool { return p.PCR == int(n) }) {
			return [32]byte{}, fmt.Errorf("the value of PCR %d is missing", n)
		}
	}
	return attest.PCRPolicy(values), nil
}

// differs returns the number of the first register in which have is not b, or -1.
func (b *BootState) differs(have attest.PCRs) int {
	numbers := attest.Numbers()
	for _, p := range b.PCRs {
		if at := slices.Index(numbers, uint(p.PCR)); at < 0 || hex.EncodeToString(have[at][:]) != p.SHA256 {
			return p.PCR
		}
	}
	return -1
}

// approved asks whether one of the enrolled boot states has these values.
func (s *Station) approved(have attest.PCRs) error {
	why := ""
	for i := range s.Boot {
		n := s.Boot[i].differs(have)
		if n < 0 {
			return nil
		}
		why += fmt.Sprintf("; %s has another PCR %d", s.Boot[i].Label, n)
	}
	return verdict.New(verdict.BootStateMismatch, "evidence.json: pcrs", "station %s was started in a state that is none of its %d approved ones%s", s.ID, len(s.Boot), why)
}

// BootKeys returns the keys that must approve a boot state of s, by id.
func (s *Station) BootKeys() []string {
	var ids []string
	for i := range s.Keys {
		if id := s.Keys[i].bootKeyID(); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Matching returns the labels of the approved boot states of a station that
// have these values.
func (t *Trusted) Matching(stationID string, have attest.PCRs) []string {
	var labels []string
	for _, s := range t.Stations() {
		for i := range s.Boot {
			if s.ID == stationID && s.Boot[i].differs(have) < 0 {
				labels = append(labels, s.Boot[i].Label)
			}
		}
	}
	return labels
}
