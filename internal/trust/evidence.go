package trust

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"

	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/translog"
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
	// Checkpoint is the last checkpoint of the sender's audit log, a signed note;
	// it is bound to the counter's statement.
	Checkpoint string `json:"checkpoint,omitzero"`
}

// MaxCheckpoint is the most bytes of a checkpoint in evidence.
const MaxCheckpoint = 4 << 10

// ForCounter is the extra data of the counter's statement: the payload's digest,
// and the checkpoint when there is one, so that nobody takes it away or puts
// another in its place.
func (e *Evidence) ForCounter(payload [32]byte) [32]byte {
	if e.Checkpoint == "" {
		return payload
	}
	return sha256.Sum256(slices.Concat([]byte("sallyport evidence v1\x00"), payload[:], []byte(e.Checkpoint)))
}

// LogOrigin is the origin of a station's audit log.
func LogOrigin(jurisdiction, stationID string) string {
	return "sallyport/" + jurisdiction + "/" + stationID
}

// Encode returns the one encoding of evidence.
func (e *Evidence) Encode() ([]byte, error) { return strictjson.Encode(e) }

// Evidence judges the evidence that came with a package which [manifest.Verify]
// accepted under this policy; data is nil when there was none. Evidence that is
// there must hold whether it is demanded or not: nothing on a medium is carried
// along unchecked. Errors are findings. It returns the checkpoint of the sender's
// log, nil when the evidence has none.
func (p Policy) Evidence(v *manifest.Verified, data []byte) (*translog.Sighting, error) {
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
			return nil, verdict.New(verdict.BootStateMismatch, where, "is missing; station %s must show in which state it was started", e.station.ID)
		}
		return nil, nil
	}
	if err := limit.Check("bytes of the evidence", int64(len(data)), limit.EvidenceBytes); err != nil {
		return nil, verdict.New(verdict.OverLimit, where, "%v", err)
	}
	if reflect.ValueOf(e.key.TPM).IsZero() {
		return nil, verdict.New(verdict.SignatureInvalid, where, "the signer's key is not in a TPM, so nothing can speak for it")
	}
	var ev Evidence
	if err := strictjson.DecodeCanonical(data, &ev, limit.EvidenceBytes); err != nil {
		return nil, malformed(where, "%v", err)
	}
	if ev.V != 1 {
		return nil, malformed(where, "has version %d, this version of Sallyport reads only 1", ev.V)
	}
	if err := attest.CheckQuote(e.key.TPM.AKPublic, ev.Quote, ev.QuoteSig, ev.PCRs, v.Digest()); err != nil {
		return nil, verdict.New(verdict.SignatureInvalid, where+": quote", "%v", err)
	}
	counter, err := attest.CheckCounter(e.key.TPM.AKPublic, e.key.TPM.CounterPublic, ev.Counter, ev.CounterSig, ev.ForCounter(v.Digest()))
	if err != nil {
		return nil, verdict.New(verdict.SignatureInvalid, where+": counter", "%v", err)
	}
	if uint64(m.Seq) > counter {
		return nil, verdict.New(verdict.SignerNotPermitted, where+": counter", "stands at %d; sequence number %d did not come from it", counter, m.Seq)
	}
	if e.station.Attested {
		if err := e.station.approved(ev.PCRs); err != nil {
			return nil, err
		}
	}
	if ev.Checkpoint == "" {
		return nil, nil
	}
	seen, err := sighting(&e.key.TPM, LogOrigin(m.Jurisdiction, m.Signer.StationID), ev.Checkpoint)
	if err != nil {
		return nil, verdict.New(verdict.SignatureInvalid, where+": checkpoint", "%v", err)
	}
	return seen, nil
}

// sighting verifies a checkpoint of the station with this TPM.
func sighting(id *attest.Identity, origin, note string) (*translog.Sighting, error) {
	if len(note) > MaxCheckpoint {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(note), MaxCheckpoint)
	}
	pub, err := id.LogKey()
	if err != nil {
		return nil, err
	}
	return translog.See(origin, pub, []byte(note))
}
