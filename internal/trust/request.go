package trust

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// MaxRequest is the most bytes of an encoded [Request].
const MaxRequest = 64 << 10

// Request is what a station says of itself when it asks to be enrolled: a wish,
// not a right. Its TPM's attestation key signs all of it; whether that key is in
// the TPM that it seems to be in is found out by a [Challenge].
type Request struct {
	V            int    `json:"v"` // 2
	ID           string `json:"id"`
	Name         string `json:"name"`
	Role         Role   `json:"role"`
	Jurisdiction string `json:"jurisdiction"`
	// Maker, Firmware and SoftwareTPM are the TPM's own account of itself.
	Maker       string `json:"maker"`
	Firmware    string `json:"firmware"`
	SoftwareTPM bool   `json:"software_tpm"`
	Version     string `json:"version"` // of Sallyport, by its own account
	// EKCertificate is the maker's certificate of the endorsement key, DER, when
	// the TPM holds one.
	EKCertificate []byte          `json:"ek_certificate,omitzero"`
	TPM           attest.Identity `json:"tpm"`
	// MLDSA is an ML-DSA-65 key whose seed is sealed to the TPM, by the station's
	// account, and MLDSASig its signature over [Possession].
	MLDSA    []byte      `json:"ml_dsa,omitzero"` // SubjectPublicKeyInfo, DER
	MLDSASig []byte      `json:"ml_dsa_sig,omitzero"`
	PCRs     attest.PCRs `json:"pcrs"`
	Quote    []byte      `json:"quote"`
	QuoteSig []byte      `json:"quote_sig"`
}

// Quoted is SHA-256 of the request without the members that are made for it:
// the extra data of its quote.
func (r Request) Quoted() ([32]byte, error) {
	r.PCRs, r.Quote, r.QuoteSig = attest.PCRs{}, []byte{}, []byte{}
	data, err := strictjson.Encode(&r)
	if err != nil {
		return [32]byte{}, fmt.Errorf("cannot encode the request: %w", err)
	}
	return sha256.Sum256(data), nil
}

// Encode checks the request and returns its one encoding.
func (r *Request) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("cannot encode the enrolment request: %w", err)
	}
	return strictjson.Encode(r)
}

// DecodeRequest reads the one encoding of a request and checks all that can be
// checked without asking the TPM. Errors are findings.
func DecodeRequest(data []byte) (*Request, error) {
	if len(data) > MaxRequest {
		return nil, verdict.New(verdict.OverLimit, "enrolment request", "has %d bytes, at most %d are allowed", len(data), MaxRequest)
	}
	var r Request
	if err := strictjson.DecodeCanonical(data, &r, MaxRequest); err != nil {
		return nil, malformed("enrolment request", "%v", err)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return &r, nil
}

func (r *Request) check() error {
	if r.V != 2 {
		return malformed("enrolment request: v", "is %d, this version of Sallyport reads only 2", r.V)
	}
	for _, x := range []struct{ name, value string }{{"maker", r.Maker}, {"firmware", r.Firmware}, {"version", r.Version}} {
		if err := checkName("enrolment request: "+x.name, x.value); err != nil {
			return err
		}
	}
	s, err := r.Station(nil, nil, "")
	if err != nil {
		return err
	}
	keys, err := s.check("enrolment request")
	if err != nil {
		return err
	}
	quoted, err := r.Quoted()
	if err != nil {
		return malformed("enrolment request", "%v", err)
	}
	if err := attest.CheckQuote(r.TPM.AKPublic, r.Quote, r.QuoteSig, r.PCRs, quoted); err != nil {
		return verdict.New(verdict.SignatureInvalid, "enrolment request: quote", "%v", err)
	}
	if len(r.MLDSA) == 0 {
		if len(r.MLDSASig) > 0 {
			return malformed("enrolment request: ml_dsa_sig", "stands there without a key")
		}
		return nil
	}
	said, err := Possession(r.TPM)
	if err != nil {
		return malformed("enrolment request", "%v", err)
	}
	for _, pub := range keys {
		if pub.Alg() != dsse.AlgMLDSA65 {
			continue
		}
		if err := dsse.Verify(pub, said.Message(), r.MLDSASig); err != nil {
			return verdict.New(verdict.SignatureInvalid, "enrolment request: ml_dsa_sig", "%v", err)
		}
	}
	return nil
}

// Possession is what a station's second key signs, once, when both are made:
// who holds it holds the TPM with this identity too. It is the message of an
// envelope that is never sent.
func Possession(id attest.Identity) (*dsse.Envelope, error) {
	data, err := id.Encode()
	if err != nil {
		return nil, err
	}
	return &dsse.Envelope{PayloadType: "application/vnd.sallyport.possession.v1+json", Payload: data}, nil
}

// Digest returns SHA-256 of the encoded request: what a challenge names.
func (r *Request) Digest() ([32]byte, error) {
	data, err := strictjson.Encode(r)
	return sha256.Sum256(data), err
}

// Station returns the entry by which a bundle enrols the station for these
// kinds and elections.
func (r *Request) Station(kinds []manifest.Kind, elections []string, proof Proof) (Station, error) {
	pub, err := r.TPM.Check()
	if err != nil {
		return Station{}, malformed("enrolment request: tpm", "%v", err)
	}
	own, err := dsse.NewP256Key(pub)
	if err != nil {
		return Station{}, malformed("enrolment request: tpm", "%v", err)
	}
	s := Station{
		ID: r.ID, Name: r.Name, Role: r.Role, Jurisdiction: r.Jurisdiction,
		Kinds: slices.Sorted(slices.Values(kinds)), Elections: slices.Sorted(slices.Values(elections)),
		Keys: []Key{{ID: own.KeyID(), Alg: own.Alg(), Public: own.SPKI(), TPM: r.TPM, Proof: proof, SoftwareTPM: r.SoftwareTPM}},
	}
	if len(r.MLDSA) > 0 {
		second, err := dsse.ParsePublicKey(dsse.AlgMLDSA65, r.MLDSA)
		if err != nil {
			return Station{}, malformed("enrolment request: ml_dsa", "%v", err)
		}
		s.Keys = append(s.Keys, Key{ID: second.KeyID(), Alg: second.Alg(), Public: second.SPKI(), Beside: own.KeyID()})
		slices.SortFunc(s.Keys, func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
	}
	return s, nil
}
