// Package trust says whom a station believes: the root (the authority's public
// keys, pinned when a station is initialised), the versioned bundle of enrolled
// stations that enough of those keys signed, and the policy made from it, which
// denies what it does not allow. FORMAT.md beside this file is the
// specification. It verifies no package by itself (that is package manifest,
// which asks the policy), and enrols nobody by itself: the authority's people
// decide what goes into a bundle. Bundles, roots and station records are
// hostile bytes until [Open], [ParseRoot] or [DecodeRecord] returns.
package trust

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/x509"
	"reflect"
	"slices"
	"strconv"
	"time"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/naming"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/verdict"
)

// PayloadType is the payload type of a bundle's envelope.
const PayloadType = "application/vnd.sallyport.trust-bundle.v1+json"

// Limits of a bundle. Each is the highest value allowed.
const (
	MaxEnvelope  = 16 << 20 // bytes; a station with one TPM key takes about 2,400
	MaxStations  = 5000
	MaxKeys      = 4   // of one station
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
	V           int       `json:"v"`
	Version     int64     `json:"version"`      // from 1; the next bundle has a greater one
	RootVersion int64     `json:"root_version"` // of the root whose keys sign
	Issued      string    `json:"issued"`       // RFC 3339, UTC, whole seconds; shown, never decides
	Stations    []Station `json:"stations"`     // sorted by id
}

// Station is one enrolled station.
type Station struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"` // for people
	Role         Role            `json:"role"`
	Jurisdiction string          `json:"jurisdiction"`
	Kinds        []manifest.Kind `json:"kinds"`     // it may seal; sorted
	Elections    []string        `json:"elections"` // it may seal for; sorted, none means none
	Keys         []Key           `json:"keys"`      // sorted by id
}

// Key is one key of a station. Sequence numbers come from a counter in the same
// TPM as the key, so their bounds belong to the key.
type Key struct {
	ID     string `json:"id"`     // see dsse.KeyID
	Alg    string `json:"alg"`    // manifest.AlgP256
	Public []byte `json:"public"` // SubjectPublicKeyInfo, DER
	// TPM is what the station's TPM says of the key, with the attestation key
	// and its certificate; left out for a key outside a TPM.
	TPM attest.Identity `json:"tpm,omitzero"`
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

// check refuses a bundle that FORMAT.md does not allow.
func (b *Bundle) check() error {
	if b.V != 1 {
		return malformed("trust bundle: v", "is %d, this version of Sallyport reads only 1", b.V)
	}
	if b.Version < 1 || b.Version > maxNumber {
		return malformed("trust bundle: version", "is %d, must be 1 to 2^53-1", b.Version)
	}
	if b.RootVersion < 1 || b.RootVersion > maxNumber {
		return malformed("trust bundle: root_version", "is %d, must be 1 to 2^53-1", b.RootVersion)
	}
	if t, err := time.Parse(time.RFC3339, b.Issued); err != nil || t.UTC().Format(time.RFC3339) != b.Issued {
		return malformed("trust bundle: issued", "is %.40q, must be a time in UTC and whole seconds such as 2026-11-03T20:15:00Z", b.Issued)
	}
	if n := len(b.Stations); n < 1 || n > MaxStations {
		return malformed("trust bundle: stations", "lists %d stations, must list 1 to %d", n, MaxStations)
	}
	owner := map[string]string{}
	for i := range b.Stations {
		s := &b.Stations[i]
		where := "trust bundle: station " + strconv.Itoa(i+1)
		if i > 0 && s.ID <= b.Stations[i-1].ID {
			return malformed(where, "%q must come before %q, and once: stations are sorted by id", s.ID, b.Stations[i-1].ID)
		}
		if err := s.check(where); err != nil {
			return err
		}
		for _, k := range s.Keys {
			if other, taken := owner[k.ID]; taken {
				return malformed(where+" ("+s.ID+")", "has the key %s of station %s", k.ID, other)
			}
			owner[k.ID] = s.ID
		}
	}
	return nil
}

func (s *Station) check(where string) error {
	if !naming.IsName(s.ID) {
		return malformed(where+": id", "is %.100q; it must have 1 to 64 letters, digits or . _ -", s.ID)
	}
	where += " (" + s.ID + ")"
	if err := checkName(where, s.Name); err != nil {
		return err
	}
	if !slices.Contains(Roles(), s.Role) {
		return malformed(where+": role", "is %.40q, must be one of %v", s.Role, Roles())
	}
	if !naming.IsScope(s.Jurisdiction) {
		return malformed(where+": jurisdiction", "is %.140q; it must have 1 to 128 letters, digits or . _ ~ : / -", s.Jurisdiction)
	}
	if err := sorted(where+": kinds", s.Kinds, len(manifest.Kinds())); err != nil {
		return err
	}
	for _, k := range s.Kinds {
		if !slices.Contains(manifest.Kinds(), k) {
			return malformed(where+": kinds", "holds %.40q, which is no kind", k)
		}
	}
	if err := sorted(where+": elections", s.Elections, MaxElections); err != nil {
		return err
	}
	for _, e := range s.Elections {
		if !naming.IsScope(e) {
			return malformed(where+": elections", "holds %.140q, which is no election id (there is no wildcard)", e)
		}
	}
	if len(s.Keys) < 1 || len(s.Keys) > MaxKeys {
		return malformed(where+": keys", "holds %d keys, must hold 1 to %d", len(s.Keys), MaxKeys)
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		if i > 0 && k.ID <= s.Keys[i-1].ID {
			return malformed(where+": keys", "%s must come before %s, and once: keys are sorted by id", k.ID, s.Keys[i-1].ID)
		}
		if _, err := k.check(where + ": key " + strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	return nil
}

// check verifies all that a key record says of itself and returns the key.
func (k *Key) check(where string) (*ecdsa.PublicKey, error) {
	pub, err := parseKey(where, k.ID, k.Alg, k.Public)
	if err != nil {
		return nil, err
	}
	if !reflect.ValueOf(k.TPM).IsZero() {
		own, err := k.TPM.Check()
		if err != nil {
			return nil, malformed(where+": tpm", "%v", err)
		}
		if !own.Equal(pub) {
			return nil, malformed(where+": tpm", "speaks of the key %s", k.TPM.KeyID)
		}
	}
	if k.ValidFromSeq < 0 || k.ValidFromSeq > maxNumber {
		return nil, malformed(where+": valid_from_seq", "is %d, must be 1 to 2^53-1 or left out", k.ValidFromSeq)
	}
	if r := k.RevokedAfterSeq; r != nil && (*r < 0 || *r > maxNumber) {
		return nil, malformed(where+": revoked_after_seq", "is %d, must be 0 to 2^53-1 or left out", *r)
	}
	return pub, nil
}

// parseKey reads a SubjectPublicKeyInfo of the one algorithm that there is, in
// its one encoding, and compares the id.
func parseKey(where, id, alg string, spki []byte) (*ecdsa.PublicKey, error) {
	if alg != manifest.AlgP256 {
		return nil, malformed(where+": alg", "is %.40q, this version of Sallyport knows only %s", alg, manifest.AlgP256)
	}
	const most = 200 // a P-256 key has 91 bytes
	if len(spki) > most {
		return nil, malformed(where+": public", "has %d bytes, at most %d are allowed", len(spki), most)
	}
	any, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, malformed(where+": public", "is no public key: %v", err)
	}
	pub, ok := any.(*ecdsa.PublicKey)
	if !ok {
		return nil, malformed(where+": public", "is not an ECDSA key")
	}
	// The id is computed from the key, not from the bytes: another encoding of
	// the same key gives another SHA-256 and is refused with it.
	got, err := dsse.KeyID(pub)
	if err != nil {
		return nil, malformed(where+": public", "%v", err)
	}
	if again, err := x509.MarshalPKIXPublicKey(pub); err != nil || !slices.Equal(again, spki) {
		return nil, malformed(where+": public", "is not in its one encoding")
	}
	if got != id {
		return nil, malformed(where+": id", "is %.80q, but the key's is %s", id, got)
	}
	return pub, nil
}

// checkName keeps names for people to what every screen and printer shows.
func checkName(where, name string) error {
	if name == "" || len(name) > maxName {
		return malformed(where+": name", "has %d characters, must have 1 to %d", len(name), maxName)
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' {
			return malformed(where+": name", "holds the byte 0x%02x; a name is plain ASCII", c)
		}
	}
	return nil
}

// sorted refuses lists that are too long, out of order or with repetitions.
func sorted[T cmp.Ordered](where string, list []T, most int) error {
	if len(list) > most {
		return malformed(where, "holds %d, at most %d are allowed", len(list), most)
	}
	for i := 1; i < len(list); i++ {
		if list[i] <= list[i-1] {
			return malformed(where, "must be sorted and hold nothing twice")
		}
	}
	return nil
}
