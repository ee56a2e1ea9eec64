package trust

import (
	"crypto/sha256"
	"fmt"

	"sallyport/internal/naming"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// Measurement is the boot state of an enrolled station, signed by its TPM: what
// the authority needs to approve a state after an update. Old measurements are
// as good as new ones, since whoever approves one approves the state and not
// the moment.
type Measurement struct {
	V         int         `json:"v"` // 1
	StationID string      `json:"station_id"`
	KeyID     string      `json:"key_id"` // of the signing key
	Version   string      `json:"version"`
	PCRs      attest.PCRs `json:"pcrs"`
	Quote     []byte      `json:"quote"`
	QuoteSig  []byte      `json:"quote_sig"`
}

// Quoted is the extra data of the measurement's quote: SHA-256 of its encoding
// without the members that are made for it.
func (m Measurement) Quoted() ([32]byte, error) {
	m.PCRs, m.Quote, m.QuoteSig = attest.PCRs{}, []byte{}, []byte{}
	data, err := strictjson.Encode(&m)
	if err != nil {
		return [32]byte{}, fmt.Errorf("cannot encode the measurement: %w", err)
	}
	return sha256.Sum256(data), nil
}

// Encode returns the one encoding of a measurement.
func (m *Measurement) Encode() ([]byte, error) { return strictjson.Encode(m) }

// Measured verifies a measurement of this station. Errors are findings.
func (s *Station) Measured(data []byte) (*Measurement, error) {
	const what = "measurement"
	var m Measurement
	if err := decodeExchange(what, data, &m, func() bool { return m.V == 1 && naming.IsName(m.StationID) }); err != nil {
		return nil, err
	}
	if m.StationID != s.ID {
		return nil, verdict.New(verdict.SignerNotPermitted, what, "it is of station %s, not of %s", m.StationID, s.ID)
	}
	quoted, err := m.Quoted()
	if err != nil {
		return nil, malformed(what, "%v", err)
	}
	for i := range s.Keys {
		if k := &s.Keys[i]; k.ID == m.KeyID && len(k.TPM.AKPublic) > 0 {
			if err := attest.CheckQuote(k.TPM.AKPublic, m.Quote, m.QuoteSig, m.PCRs, quoted); err != nil {
				return nil, verdict.New(verdict.SignatureInvalid, what, "%v", err)
			}
			return &m, nil
		}
	}
	return nil, verdict.New(verdict.SignerUnknown, what, "it is by the TPM of key %.64s, which is not enrolled for station %s", m.KeyID, s.ID)
}

// StationOf reads which station a measurement says that it is of.
func StationOf(measurement []byte) (string, error) {
	var m Measurement
	err := decodeExchange("measurement", measurement, &m, func() bool { return m.V == 1 && naming.IsName(m.StationID) })
	return m.StationID, err
}
