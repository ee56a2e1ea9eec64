package manifest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/limit"
	"sallyport/internal/verdict"
)

// AlgP256 is [dsse.AlgP256].
const AlgP256 = dsse.AlgP256

// Key is one enrolled key, as a [Policy] knows it. Its id and its algorithm are
// those of the public key; neither is ever taken from an envelope.
type Key struct {
	Public    dsse.PublicKey
	StationID string
	Role      string
}

// Policy is what a station trusts. Its errors reach the operator, so they are
// findings.
type Policy interface {
	// Key returns an enrolled key, or a finding signer-unknown or signer-revoked.
	// The id is foreign but has the form of a key id.
	Key(keyID string) (Key, error)
	// Permit says whether these signers may send this package to this station now:
	// role and kind, jurisdiction, election, audience, trust epoch, and whether an
	// ML-DSA key must have signed too. It is asked last; each key has verified and
	// the first is the payload's own signer, an ECDSA key.
	Permit(p *Payload, keys []Key) error
}

// Verified is a manifest that [Verify] accepted. Nothing else makes one: the
// zero value is not [Verified.Valid], holds no payload and lists no file.
type Verified struct {
	payload  *Payload
	digest   [32]byte
	envelope [32]byte
	keyIDs   []string
}

// Valid says that v comes from [Verify]. Whoever acts on a manifest that he did
// not verify himself asks first.
func (v *Verified) Valid() bool { return v != nil && v.payload != nil }

// Payload returns the verified payload, which must not be changed, or nil when
// v is not valid.
func (v *Verified) Payload() *Payload {
	if !v.Valid() {
		return nil
	}
	return v.payload
}

// Digest returns SHA-256 of the payload's bytes. It is the identity of the
// package: prev_sha256 and supersedes name it. It panics when v is not valid,
// because zeros would be taken for an identity.
func (v *Verified) Digest() [32]byte {
	v.mustBeValid()
	return v.digest
}

// EnvelopeDigest returns SHA-256 of the envelope's bytes, as evidence of what
// was on the medium. It is no identity: one payload can be signed again. It
// panics when v is not valid.
func (v *Verified) EnvelopeDigest() [32]byte {
	v.mustBeValid()
	return v.envelope
}

// KeyIDs returns the ids of the keys that signed, the payload's own signer
// first; none when v is not valid.
func (v *Verified) KeyIDs() []string {
	if !v.Valid() {
		return nil
	}
	return slices.Clone(v.keyIDs)
}

func (v *Verified) mustBeValid() {
	if !v.Valid() {
		panic("manifest: a Verified was used that does not come from Verify")
	}
}

// ParseEnvelope reads an envelope without looking into its payload. Errors are
// findings: over-limit for the size, manifest-malformed for all else.
func ParseEnvelope(data []byte) (*Envelope, error) {
	e, err := dsse.Parse(data, PayloadType, MaxEnvelope)
	return e, envelopeFinding(err)
}

// scanEnvelope is [ParseEnvelope] without decoding the payload.
func scanEnvelope(data []byte) (*dsse.Sealed, error) {
	s, err := dsse.Scan(data, PayloadType, MaxEnvelope)
	return s, envelopeFinding(err)
}

func envelopeFinding(err error) error {
	var over *limit.Exceeded
	if errors.As(err, &over) {
		return overEnvelope(over.Asked)
	}
	var bad *dsse.Error
	if errors.As(err, &bad) {
		return malformed("manifest.dsse.json", "%s: %s", bad.Where, bad.Problem)
	}
	return err
}

// Verify is the only way to a [Verified]. The envelope lay in a folder of this
// name on the medium. The order is that of FORMAT.md; above all, the payload is
// decoded only after every signature verified with an enrolled key, and memory
// is taken for it only then. Errors are findings, wrapped or not, unless the
// policy itself is broken.
func Verify(envelope []byte, folder string, pol Policy) (*Verified, error) {
	e, err := scanEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	keys, digest, err := verifySignatures(e, pol)
	if err != nil {
		return nil, err
	}
	p, err := parsePayload(e.Payload())
	if err != nil {
		return nil, err
	}
	if p.PackageID != folder {
		return nil, malformed("package_id", "is %s, but the package lies in the folder %q", p.PackageID, folder)
	}
	if keys, err = ownSignerFirst(p, keys); err != nil {
		return nil, err
	}
	if err := pol.Permit(p, keys); err != nil {
		return nil, err
	}
	v := &Verified{payload: p, digest: digest, envelope: sha256.Sum256(envelope)}
	for _, k := range keys {
		v.keyIDs = append(v.keyIDs, k.Public.KeyID())
	}
	return v, nil
}

// verifySignatures demands that every signature belongs to an enrolled key and
// verifies. One that cannot be checked would be carried along as if it said
// something, so it refuses the envelope. All keys are asked for first: no
// arithmetic is done for a sender who is not enrolled, and none for ML-DSA keys
// alone, so that the payload is copied for them only after an ECDSA signature
// stood. It returns the digest of the payload too, which comes with the work.
func verifySignatures(e *dsse.Sealed, pol Policy) (_ []Key, payload [32]byte, _ error) {
	keys := make([]Key, len(e.Signatures))
	public := make([]dsse.PublicKey, len(e.Signatures))
	for i, s := range e.Signatures {
		k, err := pol.Key(s.KeyID)
		if err != nil {
			return nil, payload, err
		}
		if !k.Public.Valid() || k.Public.KeyID() != s.KeyID {
			return nil, payload, fmt.Errorf("cannot use the enrolled key %s: the trust policy gave another key", s.KeyID)
		}
		keys[i], public[i] = k, k.Public
	}
	if !slices.ContainsFunc(public, isP256) {
		return nil, payload, verdict.New(verdict.SignerNotPermitted, "signatures", "none is by a key of %s; %s only stands beside one", dsse.AlgP256, dsse.AlgMLDSA65)
	}
	m := e.Message()
	err := dsse.VerifyAll(m, e.Signatures, public)
	var bad *dsse.SignatureError
	if errors.As(err, &bad) {
		return nil, payload, verdict.New(verdict.SignatureInvalid, fmt.Sprintf("signature %d of %d", bad.Index+1, len(keys)), "%s, key %s (%s): %v", keys[bad.Index].StationID, bad.KeyID, public[bad.Index].Alg(), bad.Err)
	}
	if err != nil {
		return nil, payload, err
	}
	return keys, m.PayloadDigest(), nil
}

func isP256(k dsse.PublicKey) bool { return k.Alg() == dsse.AlgP256 }

// parsePayload decodes and checks the bytes that enrolled keys signed. They are
// still not trusted to be small: objects are counted before any are made.
func parsePayload(text string) (*Payload, error) {
	files := strings.Count(text, `{"path":`)
	if err := checkCount(files); err != nil {
		return nil, err
	}
	const others = 8 // objects of a payload that are not files
	if n := strings.Count(text, "{"); n > MaxFiles+others {
		return nil, malformed("payload", "holds %d objects, which no manifest does", n)
	}
	p, err := decode(text, files)
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// ownSignerFirst binds the station that the payload names to a key that signed.
// It is the ECDSA key in the station's TPM, with whose counter seq belongs; an
// ML-DSA key signs beside it and never stands for the station.
func ownSignerFirst(p *Payload, keys []Key) ([]Key, error) {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Public.KeyID() == p.Signer.KeyID })
	if i < 0 {
		return nil, verdict.New(verdict.SignerNotPermitted, "signer.key_id", "names the key %s, which did not sign", p.Signer.KeyID)
	}
	if alg := keys[i].Public.Alg(); alg != dsse.AlgP256 {
		return nil, verdict.New(verdict.SignerNotPermitted, "signer.key_id", "names a key of %s; it must be the station's key of %s", alg, dsse.AlgP256)
	}
	if k := keys[i]; k.StationID != p.Signer.StationID || k.Role != p.Signer.Role {
		return nil, verdict.New(verdict.SignerNotPermitted, "signer", "says station %s in the role %s; the key is enrolled for station %s in the role %s", p.Signer.StationID, p.Signer.Role, k.StationID, k.Role)
	}
	keys[0], keys[i] = keys[i], keys[0]
	return keys, nil
}
