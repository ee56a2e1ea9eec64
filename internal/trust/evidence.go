package trust

import (
	"reflect"

	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// Evidence is what a sealing station's TPM says at the moment of sealing: in
// which state it was started, and how far its counter has come. Both statements
// are made for the digest of one payload. It stands beside the manifest, whose
// payload it names and so cannot stand in.
type Evidence struct {
	V          int         `json:"v"`     // 1
	PCRs       attest.PCRs `json:"pcrs"`  // base64, of the registers 0 to 7 and 11
	Quote      []byte      `json:"quote"` // TPMS_ATTEST of TPM2_Quote over these PCRs
	QuoteSig   []byte      `json:"quote_sig"`
	Counter    []byte      `json:"counter"` // TPMS_ATTEST of TPM2_NV_Certify
	CounterSig []byte      `json:"counter_sig"`
}

// Encode returns the one encoding of evidence.
func (e *Evidence) Encode() ([]byte, error) { return strictjson.Encode(e) }

// Evidence judges the evidence that came with a package which [manifest.Verify]
// accepted under this policy; data is nil when there was none. Evidence that is
// there must hold whether it is demanded or not: nothing on a medium is carried
// along unchecked. Errors are findings.
func (p Policy) Evidence(v *manifest.Verified, data []byte) error {
	const where = "evidence.json"
	m := v.Payload()
	e, ok := p.enrolled(m.Signer.KeyID)
	if !ok { // the authority's own key; its bundles are judged by what is in them
		e.station, e.key = &Station{}, &Key{}
		if k, ok := p.root.Key(m.Signer.KeyID); ok {
			e.key.TPM = k.TPM
		}
	}
	if data == nil {
		if e.station.Attested {
			return verdict.New(verdict.BootStateMismatch, where, "is missing; station %s must show in which state it was started", e.station.ID)
		}
		return nil
	}
	if err := limit.Check("bytes of the evidence", int64(len(data)), limit.EvidenceBytes); err != nil {
		return verdict.New(verdict.OverLimit, where, "%v", err)
	}
	if reflect.ValueOf(e.key.TPM).IsZero() {
		return verdict.New(verdict.SignatureInvalid, where, "the signer's key is not in a TPM, so nothing can speak for it")
	}
	var ev Evidence
	if err := strictjson.DecodeCanonical(data, &ev, limit.EvidenceBytes); err != nil {
		return malformed(where, "%v", err)
	}
	if ev.V != 1 {
		return malformed(where, "has version %d, this version of Sallyport reads only 1", ev.V)
	}
	if err := attest.CheckQuote(e.key.TPM.AKPublic, ev.Quote, ev.QuoteSig, ev.PCRs, v.Digest()); err != nil {
		return verdict.New(verdict.SignatureInvalid, where+": quote", "%v", err)
	}
	counter, err := attest.CheckCounter(e.key.TPM.AKPublic, e.key.TPM.CounterPublic, ev.Counter, ev.CounterSig, v.Digest())
	if err != nil {
		return verdict.New(verdict.SignatureInvalid, where+": counter", "%v", err)
	}
	if uint64(m.Seq) > counter {
		return verdict.New(verdict.SignerNotPermitted, where+": counter", "stands at %d; sequence number %d did not come from it", counter, m.Seq)
	}
	if e.station.Attested {
		return e.station.approved(ev.PCRs)
	}
	return nil
}
