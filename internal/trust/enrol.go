package trust

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/naming"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// MaxExchange is the most bytes of an encoded challenge, answer or hand-over.
const MaxExchange = 16 << 10

// Challenge is the authority's answer to a request: a secret that only the TPM
// with the request's endorsement key can read, and only when the attestation
// key of the request is in it too (TPM 2.0 Library Part 1, 24: credentials).
type Challenge struct {
	V          int    `json:"v"` // 1
	StationID  string `json:"station_id"`
	Request    string `json:"request_sha256"`
	Credential []byte `json:"credential"` // TPM2B_ID_OBJECT without its size
	Secret     []byte `json:"secret"`     // TPM2B_ENCRYPTED_SECRET without its size
}

// Pending is what the authority keeps until the answer comes.
type Pending struct {
	V       int    `json:"v"` // 1
	Request []byte `json:"request"`
	Proof   Proof  `json:"proof"`
	// SecretSHA256 is of the secret, which the authority itself does not keep.
	SecretSHA256 string `json:"secret_sha256"`
}

// Answer is what the station's TPM read out of the challenge.
type Answer struct {
	V         int    `json:"v"` // 1
	StationID string `json:"station_id"`
	Request   string `json:"request_sha256"`
	Secret    []byte `json:"secret"`
}

// EK says how the authority knows the endorsement key of a request: by vendor
// certificates, or, for a TPM without one, by a digest that people compared.
type EK struct {
	Vendors []*x509.Certificate
	SHA256  string // of the endorsement key's TPMT_PUBLIC, in hexadecimal digits
}

// EKSHA256 is the digest by which people compare a TPM's endorsement key.
func EKSHA256(ekPublic []byte) string {
	sum := sha256.Sum256(ekPublic)
	return hex.EncodeToString(sum[:])
}

// NewChallenge checks where the request's endorsement key comes from and makes
// the challenge. Errors about the request are findings.
func NewChallenge(request []byte, ek EK) (*Challenge, *Pending, error) {
	r, err := DecodeRequest(request)
	if err != nil {
		return nil, nil, err
	}
	proof, err := ek.check(r)
	if err != nil {
		return nil, nil, err
	}
	secret := make([]byte, sha256.Size)
	rand.Read(secret) // never fails (crypto/rand)
	credential, encrypted, err := attest.MakeCredential(r.TPM.EKPublic, attest.Name(r.TPM.AKPublic), secret)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the challenge: %w", err)
	}
	sum, digest := sha256.Sum256(secret), sha256.Sum256(request)
	return &Challenge{V: 1, StationID: r.ID, Request: hex.EncodeToString(digest[:]), Credential: credential, Secret: encrypted},
		&Pending{V: 1, Request: request, Proof: proof, SecretSHA256: hex.EncodeToString(sum[:])}, nil
}

func (ek EK) check(r *Request) (Proof, error) {
	have := EKSHA256(r.TPM.EKPublic)
	if ek.SHA256 != "" {
		if want := strings.ToLower(strings.Join(strings.Fields(ek.SHA256), "")); want != have {
			return "", verdict.New(verdict.SignerUnknown, "enrolment request: ek_public", "its SHA-256 is %s, the machine's was given as %.64s", have, want)
		}
		return ByComparison, nil
	}
	if len(r.EKCertificate) == 0 {
		return "", verdict.New(verdict.SignerUnknown, "enrolment request: ek_certificate", "the TPM holds none; compare the endorsement key's SHA-256 with the machine's ('sallyport station request' shows it) and give it with --ek-sha256: %s", have)
	}
	if err := attest.CheckEK(r.EKCertificate, r.TPM.EKPublic, ek.Vendors); err != nil {
		return "", verdict.New(verdict.SignerUnknown, "enrolment request: ek_certificate", "%v", err)
	}
	return ByCertificate, nil
}

// Admit checks an answer against what was kept, and returns the request, which
// is proven by it.
func (p *Pending) Admit(a *Answer) (*Request, error) {
	r, err := DecodeRequest(p.Request)
	if err != nil {
		return nil, err
	}
	digest, sum := sha256.Sum256(p.Request), sha256.Sum256(a.Secret)
	if a.Request != hex.EncodeToString(digest[:]) || a.StationID != r.ID {
		return nil, verdict.New(verdict.SignerUnknown, "enrolment answer", "it answers for station %.64s and request %.16s…, not for station %s and request %x…", a.StationID, a.Request, r.ID, digest[:8])
	}
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(p.SecretSHA256)) != 1 {
		return nil, verdict.New(verdict.SignatureInvalid, "enrolment answer", "it does not hold the secret of the challenge: the TPM that answered is not the one of the request")
	}
	return r, nil
}

// HandoverType is the payload type of a hand-over's envelope.
const HandoverType = "application/vnd.sallyport.handover.v1+json"

// Handover is a station's word, signed with its old key, that a new key takes
// over and that the old one seals nothing after LastSeq.
type Handover struct {
	V         int    `json:"v"` // 1
	StationID string `json:"station_id"`
	OldKey    string `json:"old_key"`
	NewKey    string `json:"new_key"`
	Request   string `json:"request_sha256"` // of the new key's enrolment request
	LastSeq   int64  `json:"last_seq"`
}

var handover = signed{"hand-over", HandoverType, MaxExchange}

// NewHandover signs a hand-over to the station of an enrolment request.
func NewHandover(ctx context.Context, request []byte, lastSeq int64, stationID string, old manifest.Signer) ([]byte, error) {
	r, err := DecodeRequest(request)
	if err != nil {
		return nil, fmt.Errorf("cannot hand over: %w", err)
	}
	digest := sha256.Sum256(request)
	h := &Handover{V: 1, StationID: stationID, OldKey: old.KeyID(), NewKey: r.TPM.KeyID, Request: hex.EncodeToString(digest[:]), LastSeq: lastSeq}
	if err := h.check(); err != nil {
		return nil, err
	}
	if r.ID != stationID || h.OldKey == h.NewKey {
		return nil, fmt.Errorf("cannot hand over: the request is of station %s with the key %.16s…; a hand-over goes to another key of the same station (%s)", r.ID, h.NewKey, stationID)
	}
	payload, err := strictjson.Encode(h)
	if err != nil {
		return nil, fmt.Errorf("cannot hand over: %w", err)
	}
	e := &dsse.Envelope{Payload: payload, PayloadType: HandoverType}
	if err := e.Sign(ctx, old); err != nil {
		return nil, fmt.Errorf("cannot hand over: %w", err)
	}
	return e.Encode()
}

func (h *Handover) check() error {
	if h.V != 1 || !naming.IsName(h.StationID) || h.LastSeq < 0 || h.LastSeq > maxNumber {
		return malformed("hand-over", "version %d, station %.64q, last_seq %d: not as FORMAT.md has it", h.V, h.StationID, h.LastSeq)
	}
	return nil
}

// Accept verifies a hand-over with the old key of an enrolled station and
// returns the station with the old key and what stands beside it revoked after
// the last number that it gave out, and the new keys added.
func (s Station) Accept(envelope []byte, r *Request, added []Key) (Station, error) {
	known := map[string]dsse.PublicKey{}
	for i := range s.Keys {
		if s.Keys[i].Alg != dsse.AlgP256 { // what stands beside a key never speaks for the TPM
			continue
		}
		pub, err := s.Keys[i].check("station " + s.ID)
		if err != nil {
			return Station{}, err
		}
		known[s.Keys[i].ID] = pub
	}
	e, err := handover.verify(envelope, known)
	if err != nil {
		return Station{}, err
	}
	var h Handover
	if err := strictjson.DecodeCanonical(e.Payload, &h, MaxExchange); err != nil {
		return Station{}, malformed("hand-over", "%v", err)
	}
	if err := h.check(); err != nil {
		return Station{}, err
	}
	digest, err := r.Digest()
	if err != nil {
		return Station{}, err
	}
	if h.StationID != s.ID || h.NewKey != r.TPM.KeyID || h.Request != hex.EncodeToString(digest[:]) || len(e.Signatures) != 1 || e.Signatures[0].KeyID != h.OldKey {
		return Station{}, verdict.New(verdict.SignerNotPermitted, "hand-over", "it is of station %s from key %.16s… to key %.16s…, and not what was asked for", h.StationID, h.OldKey, h.NewKey)
	}
	out := cloneStations([]Station{s})[0]
	for i := range out.Keys {
		k := &out.Keys[i]
		if k.ID != h.OldKey && k.Beside != h.OldKey {
			continue
		}
		if r := k.RevokedAfterSeq; r != nil && *r <= h.LastSeq {
			return Station{}, verdict.New(verdict.SignerRevoked, "hand-over", "the old key is revoked after %d already", *r)
		}
		last := h.LastSeq
		k.RevokedAfterSeq = &last
	}
	out.Keys = append(out.Keys, added...)
	return out, nil
}

// Encode returns the one encoding of a challenge.
func (c *Challenge) Encode() ([]byte, error) { return strictjson.Encode(c) }

// Encode returns the one encoding of an answer.
func (a *Answer) Encode() ([]byte, error) { return strictjson.Encode(a) }

// DecodeChallenge reads a challenge. Errors are findings.
func DecodeChallenge(data []byte) (*Challenge, error) {
	var c Challenge
	return &c, decodeExchange("enrolment challenge", data, &c, func() bool {
		return c.V == 1 && naming.IsName(c.StationID) && isDigest(c.Request) && len(c.Credential) > 0 && len(c.Secret) > 0
	})
}

// DecodeAnswer reads an answer. Errors are findings.
func DecodeAnswer(data []byte) (*Answer, error) {
	var a Answer
	return &a, decodeExchange("enrolment answer", data, &a, func() bool {
		return a.V == 1 && naming.IsName(a.StationID) && isDigest(a.Request) && len(a.Secret) == sha256.Size
	})
}

// Encode returns the one encoding of a pending enrolment.
func (p *Pending) Encode() ([]byte, error) { return strictjson.Encode(p) }

// DecodePending reads what the authority kept.
func DecodePending(data []byte) (*Pending, error) {
	var p Pending
	if err := strictjson.DecodeCanonical(data, &p, 2*MaxRequest); err != nil {
		return nil, fmt.Errorf("cannot read a pending enrolment: %w", err)
	}
	if p.V != 1 {
		return nil, fmt.Errorf("cannot read a pending enrolment: it has version %d, this version of Sallyport reads only 1", p.V)
	}
	return &p, nil
}

func decodeExchange(what string, data []byte, v any, ok func() bool) error {
	if len(data) > MaxExchange {
		return verdict.New(verdict.OverLimit, what, "has %d bytes, at most %d are allowed", len(data), MaxExchange)
	}
	if err := strictjson.DecodeCanonical(data, v, MaxExchange); err != nil {
		return malformed(what, "%v", err)
	}
	if !ok() {
		return malformed(what, "a member does not keep its rule in FORMAT.md")
	}
	return nil
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && strings.ToLower(s) == s
}
