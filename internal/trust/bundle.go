// Package trust says whom a station believes: the root (the authority's public
// keys, pinned when a station is initialised and rotated since), the versioned
// bundle of enrolled stations that enough of those keys signed, the policy made
// from it, which denies what it does not allow, and the documents of the
// enrolment by which a station comes into a bundle. FORMAT.md beside this file is
// the specification, CEREMONY.md the guide for the people who do it. The package
// verifies no sealed package by itself (that is package manifest, which asks the
// policy), and enrols nobody by itself: the authority's people decide what goes
// into a bundle. Everything it reads is hostile until the function that reads it
// has returned without an error.
package trust

import (
	"sallyport/internal/manifest"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// PayloadType is the payload type of a bundle's envelope.
const PayloadType = "application/vnd.sallyport.trust-bundle.v2+json"

// Limits of a bundle. Each is the highest value allowed.
const (
	MaxEnvelope  = 24 << 20 // bytes; one of the larger stations takes 8,000 and a third for base64
	MaxStations  = 2000
	MaxKeys      = 8   // of one station
	MaxBoot      = 8   // approved boot states of one station
	MaxElections = 256 // of one station
	maxName      = 100 // characters of a station's name for people
	maxNumber    = 1<<53 - 1
)

// Role says what a station is for. It decides which kinds of packages it may
// seal: see [Allowed].
type Role string

// The closed list of roles.
const (
	Source    Role = "source"
	EMS       Role = "ems"
	Kiosk     Role = "kiosk"
	Authority Role = "authority"
)

// Roles returns the closed list of roles.
func Roles() []Role { return []Role{Source, EMS, Kiosk, Authority} }

// Allowed says whether a station of this role may seal packages of this kind
// at all. The bundle narrows it further, station by station; nothing widens it.
func Allowed(r Role, k manifest.Kind) bool {
	switch r {
	case Source:
		switch k {
		case manifest.ElectionDefinition, manifest.BallotPackage, manifest.CVRExport,
			manifest.ResultsReport, manifest.UOCAVAExport, manifest.MediaSet:
			return true
		}
	case EMS:
		switch k {
		case manifest.ElectionDefinition, manifest.BallotPackage, manifest.ResultsReport, manifest.LogExport:
			return true
		}
	case Kiosk:
		return k == manifest.MediaSet || k == manifest.LogExport
	case Authority:
		return k == manifest.TrustBundle
	}
	return false
}

// Bundle is the signed list of enrolled stations. Its version is the trust
// epoch: packages name the version under which they were sealed.
type Bundle struct {
	V           int    `json:"v"`
	Version     int64  `json:"version"`      // from 1; the next bundle has a greater one
	RootVersion int64  `json:"root_version"` // of the root whose keys sign
	Issued      string `json:"issued"`       // RFC 3339, UTC, whole seconds; shown, never decides
	// Hybrid are the kinds whose packages must be signed with ML-DSA-65 too, by a
	// key that stands beside the signer's own; sorted.
	Hybrid   []manifest.Kind `json:"hybrid"`
	Stations []Station       `json:"stations"` // sorted by id
}

// Station is one enrolled station.
type Station struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"` // for people
	Role         Role            `json:"role"`
	Jurisdiction string          `json:"jurisdiction"`
	Kinds        []manifest.Kind `json:"kinds"`     // it may seal; sorted
	Elections    []string        `json:"elections"` // it may seal for; sorted, none means none
	// Attested demands evidence of an approved boot state with each package.
	Attested bool `json:"attested,omitzero"`
	// Boot are the approved boot states.
	Boot []BootState `json:"boot,omitzero"`
	Keys []Key       `json:"keys"` // sorted by id
}

// Proof says how the authority came to know that a key is in that station's TPM.
type Proof string

// The proofs. With each of them the TPM that holds the endorsement key answered
// the authority's challenge.
const (
	// ByCertificate: a maker's certificate, which the authority verified, names
	// the endorsement key.
	ByCertificate Proof = "ek-certificate"
	// ByComparison: people compared the endorsement key's digest with the machine.
	ByComparison Proof = "ek-compared"
)

// Key is one key of a station. Sequence numbers come from a counter in the same
// TPM as the key, so their bounds belong to the key.
type Key struct {
	ID     string `json:"id"`     // see dsse.PublicKey.KeyID
	Alg    string `json:"alg"`    // dsse.AlgP256 or dsse.AlgMLDSA65
	Public []byte `json:"public"` // SubjectPublicKeyInfo, DER
	// TPM is what the station's TPM says of the key, with the attestation key
	// and its certificate; left out for a key outside a TPM.
	TPM attest.Identity `json:"tpm,omitzero"`
	// Proof is left out when nothing but the station's own word says that TPM is
	// a TPM.
	Proof Proof `json:"proof,omitzero"`
	// SoftwareTPM is by the station's own account.
	SoftwareTPM bool `json:"software_tpm,omitzero"`
	// Beside is the id of the ECDSA key of the same station with which an ML-DSA
	// key signs; its seed is sealed to the same TPM.
	Beside string `json:"beside,omitzero"`
	// ValidFromSeq refuses packages with a lower sequence number.
	ValidFromSeq int64 `json:"valid_from_seq,omitzero"`
	// RevokedAfterSeq refuses packages with a greater sequence number; 0 refuses
	// all, nil (left out) means that the key is not revoked.
	RevokedAfterSeq *int64 `json:"revoked_after_seq,omitzero"`
}

// malformed is the finding for bundles, roots and records that break FORMAT.md.
func malformed(where, detail string, args ...any) error {
	return verdict.New(verdict.ManifestMalformed, where, detail, args...)
}
