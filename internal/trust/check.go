package trust

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"time"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/naming"
	"sallyport/internal/tpm/attest"
)

// check refuses a bundle that FORMAT.md does not allow, and returns its keys.
func (b *Bundle) check() (map[string]enrolled, error) {
	if b.V != 2 {
		return nil, malformed("trust bundle: v", "is %d, this version of Sallyport reads only 2", b.V)
	}
	if b.Version < 1 || b.Version > maxNumber {
		return nil, malformed("trust bundle: version", "is %d, must be 1 to 2^53-1", b.Version)
	}
	if b.RootVersion < 1 || b.RootVersion > maxNumber {
		return nil, malformed("trust bundle: root_version", "is %d, must be 1 to 2^53-1", b.RootVersion)
	}
	if t, err := time.Parse(time.RFC3339, b.Issued); err != nil || t.UTC().Format(time.RFC3339) != b.Issued {
		return nil, malformed("trust bundle: issued", "is %.40q, must be a time in UTC and whole seconds such as 2026-11-03T20:15:00Z", b.Issued)
	}
	if err := checkKinds("trust bundle: hybrid", b.Hybrid); err != nil {
		return nil, err
	}
	if slices.Contains(b.Hybrid, manifest.TrustBundle) {
		return nil, malformed("trust bundle: hybrid", "holds %s, which the authority's keys sign alone", manifest.TrustBundle)
	}
	if n := len(b.Stations); n < 1 || n > MaxStations {
		return nil, malformed("trust bundle: stations", "lists %d stations, must list 1 to %d", n, MaxStations)
	}
	keys := map[string]enrolled{}
	for i := range b.Stations {
		s := &b.Stations[i]
		where := "trust bundle: station " + strconv.Itoa(i+1)
		if i > 0 && s.ID <= b.Stations[i-1].ID {
			return nil, malformed(where, "%q must come before %q, and once: stations are sorted by id", s.ID, b.Stations[i-1].ID)
		}
		own, err := s.check(where)
		if err != nil {
			return nil, err
		}
		for j := range s.Keys {
			k := &s.Keys[j]
			if other, taken := keys[k.ID]; taken {
				return nil, malformed(where+" ("+s.ID+")", "has the key %s of station %s", k.ID, other.station.ID)
			}
			keys[k.ID] = enrolled{s, k, manifest.Key{Public: own[k.ID], StationID: s.ID, Role: string(s.Role)}}
		}
	}
	return keys, nil
}

// check verifies all that a station's entry says and returns its keys by id.
func (s *Station) check(where string) (map[string]dsse.PublicKey, error) {
	if !naming.IsName(s.ID) {
		return nil, malformed(where+": id", "is %.100q; it must have 1 to 64 letters, digits or . _ -", s.ID)
	}
	where += " (" + s.ID + ")"
	if err := checkName(where, s.Name); err != nil {
		return nil, err
	}
	if !slices.Contains(Roles(), s.Role) {
		return nil, malformed(where+": role", "is %.40q, must be one of %v", s.Role, Roles())
	}
	if !naming.IsScope(s.Jurisdiction) {
		return nil, malformed(where+": jurisdiction", "is %.140q; it must have 1 to 128 letters, digits or . _ ~ : / -", s.Jurisdiction)
	}
	if err := checkKinds(where+": kinds", s.Kinds); err != nil {
		return nil, err
	}
	if err := sorted(where+": elections", s.Elections, MaxElections); err != nil {
		return nil, err
	}
	for _, e := range s.Elections {
		if !naming.IsScope(e) {
			return nil, malformed(where+": elections", "holds %.140q, which is no election id (there is no wildcard)", e)
		}
	}
	keys, err := s.checkKeys(where)
	if err != nil {
		return nil, err
	}
	if len(s.Boot) > MaxBoot {
		return nil, malformed(where+": boot", "holds %d states, at most %d are allowed", len(s.Boot), MaxBoot)
	}
	if s.Attested && len(s.Boot) == 0 {
		return nil, malformed(where+": attested", "demands evidence of a boot state, and none is approved")
	}
	for i := range s.Boot {
		if err := s.checkBoot(where+": boot "+strconv.Itoa(i+1), &s.Boot[i]); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (s *Station) checkKeys(where string) (map[string]dsse.PublicKey, error) {
	if len(s.Keys) < 1 || len(s.Keys) > MaxKeys {
		return nil, malformed(where+": keys", "holds %d keys, must hold 1 to %d", len(s.Keys), MaxKeys)
	}
	keys := make(map[string]dsse.PublicKey, len(s.Keys))
	for i := range s.Keys {
		k := &s.Keys[i]
		if i > 0 && k.ID <= s.Keys[i-1].ID {
			return nil, malformed(where+": keys", "%s must come before %s, and once: keys are sorted by id", k.ID, s.Keys[i-1].ID)
		}
		pub, err := k.check(where + ": key " + strconv.Itoa(i+1))
		if err != nil {
			return nil, err
		}
		keys[k.ID] = pub
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		if k.Beside == "" {
			continue
		}
		if at := slices.IndexFunc(s.Keys, func(o Key) bool { return o.ID == k.Beside }); at < 0 || s.Keys[at].Alg != dsse.AlgP256 {
			return nil, malformed(where+": key "+strconv.Itoa(i+1)+": beside", "names no %s key of this station", dsse.AlgP256)
		}
	}
	return keys, nil
}

// checkBoot verifies one approved boot state and its approvals.
func (s *Station) checkBoot(where string, b *BootState) error {
	if err := checkName(where+": label", b.Label); err != nil {
		return err
	}
	policy, err := b.Policy()
	if err != nil {
		return malformed(where+": pcrs", "%v", err)
	}
	if len(b.Approvals) > MaxKeys {
		return malformed(where+": approvals", "holds %d, at most %d are allowed", len(b.Approvals), MaxKeys)
	}
	for i, a := range b.Approvals {
		if i > 0 && a.KeyID <= b.Approvals[i-1].KeyID {
			return malformed(where+": approvals", "must be sorted by key_id and hold none twice")
		}
		at := slices.IndexFunc(s.Keys, func(k Key) bool { return k.bootKeyID() == a.KeyID })
		if at < 0 {
			return malformed(where+": approvals", "%.64s is the boot key of none of the station's keys", a.KeyID)
		}
		boot, err := s.Keys[at].TPM.Boot()
		if err != nil {
			return malformed(where+": approvals", "%v", err)
		}
		if err := attest.CheckApproval(boot, attest.Approval{Policy: policy, Sig: a.Sig}); err != nil {
			return malformed(where+": approvals", "key %s: %v", a.KeyID, err)
		}
	}
	return nil
}

// bootKeyID is the id of the key that approves boot states for k, "" without one.
func (k *Key) bootKeyID() string {
	if len(k.TPM.BootKey) == 0 {
		return ""
	}
	pub, err := dsse.ParsePublicKey(dsse.AlgP256, k.TPM.BootKey)
	if err != nil {
		return ""
	}
	return pub.KeyID()
}

// check verifies all that a key record says of itself and returns the key.
func (k *Key) check(where string) (dsse.PublicKey, error) {
	pub, err := parseKey(where, k.ID, k.Alg, k.Public)
	if err != nil {
		return pub, err
	}
	inTPM := !reflect.ValueOf(k.TPM).IsZero()
	own, ecdsa := pub.ECDSA()
	switch {
	case ecdsa && k.Beside != "":
		return pub, malformed(where+": beside", "stands at a key of %s", k.Alg)
	case !ecdsa && (inTPM || k.Beside == ""):
		return pub, malformed(where, "a key of %s stands beside another and holds no TPM identity of its own", k.Alg)
	case !inTPM && (k.Proof != "" || k.SoftwareTPM):
		return pub, malformed(where+": proof", "speaks of a TPM, and there is no TPM identity")
	case k.Proof != "" && k.Proof != ByCertificate && k.Proof != ByComparison:
		return pub, malformed(where+": proof", "is %.40q, must be %s or %s", k.Proof, ByCertificate, ByComparison)
	}
	if inTPM {
		said, err := k.TPM.Check()
		if err != nil {
			return pub, malformed(where+": tpm", "%v", err)
		}
		if !said.Equal(own) {
			return pub, malformed(where+": tpm", "speaks of the key %s", k.TPM.KeyID)
		}
	}
	if k.ValidFromSeq < 0 || k.ValidFromSeq > maxNumber {
		return pub, malformed(where+": valid_from_seq", "is %d, must be 1 to 2^53-1 or left out", k.ValidFromSeq)
	}
	if r := k.RevokedAfterSeq; r != nil && (*r < 0 || *r > maxNumber) {
		return pub, malformed(where+": revoked_after_seq", "is %d, must be 0 to 2^53-1 or left out", *r)
	}
	return pub, nil
}

// parseKey reads a SubjectPublicKeyInfo of a known algorithm, in its one
// encoding, and compares the id.
func parseKey(where, id, alg string, spki []byte) (dsse.PublicKey, error) {
	pub, err := dsse.ParsePublicKey(alg, spki)
	if err != nil {
		return pub, malformed(where+": public", "%v", err)
	}
	if pub.KeyID() != id {
		return dsse.PublicKey{}, malformed(where+": id", "is %.80q, but the key's is %s", id, pub.KeyID())
	}
	return pub, nil
}

func checkKinds(where string, kinds []manifest.Kind) error {
	if err := sorted(where, kinds, len(manifest.Kinds())); err != nil {
		return err
	}
	for _, k := range kinds {
		if !slices.Contains(manifest.Kinds(), k) {
			return malformed(where, "holds %.40q, which is no kind", k)
		}
	}
	return nil
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
