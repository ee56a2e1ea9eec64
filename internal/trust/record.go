package trust

import (
	"crypto/x509"
	"fmt"
	"slices"

	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// MaxRecord is the most bytes of an encoded [StationRecord].
const MaxRecord = 16 << 10

// StationRecord is what a station says of itself when it asks to be enrolled:
// a wish, not a right. The authority compares the key id with the station's
// screen and decides about everything else.
type StationRecord struct {
	V            int             `json:"v"` // 1
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Role         Role            `json:"role"`
	Jurisdiction string          `json:"jurisdiction"`
	SoftwareTPM  bool            `json:"software_tpm"` // by the station's own account
	TPM          attest.Identity `json:"tpm"`
}

// Encode checks the record and returns its one encoding.
func (r *StationRecord) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("cannot encode the station record: %w", err)
	}
	return strictjson.Encode(r)
}

// DecodeRecord reads the one encoding of a record and checks all of it, the
// certificate of its key included. Errors are findings.
func DecodeRecord(data []byte) (*StationRecord, error) {
	if len(data) > MaxRecord {
		return nil, verdict.New(verdict.OverLimit, "station record", "has %d bytes, at most %d are allowed", len(data), MaxRecord)
	}
	var r StationRecord
	if err := strictjson.DecodeCanonical(data, &r, MaxRecord); err != nil {
		return nil, malformed("station record", "%v", err)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return &r, nil
}

func (r *StationRecord) check() error {
	if r.V != 1 {
		return malformed("station record: v", "is %d, this version of Sallyport reads only 1", r.V)
	}
	s, err := r.Station(nil, nil)
	if err != nil {
		return err
	}
	return s.check("station record")
}

// Station returns the entry by which a bundle enrols the station for these
// kinds and elections.
func (r *StationRecord) Station(kinds []manifest.Kind, elections []string) (Station, error) {
	pub, err := r.TPM.Check()
	if err != nil {
		return Station{}, malformed("station record: tpm", "%v", err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return Station{}, malformed("station record: tpm", "%v", err)
	}
	return Station{
		ID: r.ID, Name: r.Name, Role: r.Role, Jurisdiction: r.Jurisdiction,
		Kinds: slices.Sorted(slices.Values(kinds)), Elections: slices.Sorted(slices.Values(elections)),
		Keys: []Key{{ID: r.TPM.KeyID, Alg: manifest.AlgP256, Public: der, TPM: r.TPM}},
	}, nil
}
