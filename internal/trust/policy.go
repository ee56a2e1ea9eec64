package trust

import (
	"slices"
	"strings"

	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

// Self is the station that asks.
type Self struct {
	StationID    string
	Jurisdiction string
	Elections    []string // whose packages it takes; none means none
}

// policy is the manifest.Policy of one station under one bundle.
type policy struct {
	t    *Trusted
	self Self
}

// Policy returns what the bundle allows others to send to self.
func (t *Trusted) Policy(self Self) manifest.Policy {
	self.Elections = slices.Clone(self.Elections)
	return policy{t, self}
}

// Key implements manifest.Policy. A key that is revoked for all sequence
// numbers is refused here, before any arithmetic.
func (p policy) Key(id string) (manifest.Key, error) {
	if !p.t.Valid() {
		return manifest.Key{}, missing()
	}
	e, ok := p.t.keys[id]
	if !ok {
		return manifest.Key{}, verdict.New(verdict.SignerUnknown, "key "+id, "is not in trust bundle %d", p.t.Version())
	}
	if r := e.key.RevokedAfterSeq; r != nil && *r == 0 {
		return manifest.Key{}, verdict.New(verdict.SignerRevoked, "key "+id, "of station %s is revoked", e.station.ID)
	}
	return e.parsed, nil
}

func missing() error { return verdict.New(verdict.TrustMissing, "", "") }

// Permit implements manifest.Policy: everything is denied that is not allowed
// by each rule of FORMAT.md, for every station that signed. The order decides
// only which reason is given; a newer bundle may change all the other answers,
// so it is asked for first.
func (p policy) Permit(m *manifest.Payload, keys []manifest.Key) error {
	if !p.t.Valid() {
		return missing()
	}
	if m.TrustEpoch > p.t.Version() {
		return verdict.New(verdict.TrustOutdated, "trust_epoch", "the package was sealed under trust bundle %d, this station has %d", m.TrustEpoch, p.t.Version())
	}
	if len(keys) == 0 {
		return verdict.New(verdict.SignerUnknown, "", "no enrolled key signed")
	}
	for i, k := range keys {
		id := k.Public.KeyID()
		e, ok := p.t.keys[id]
		if !ok {
			return verdict.New(verdict.SignerUnknown, "key "+id, "is not in trust bundle %d", p.t.Version())
		}
		if err := inSequence(m, e, i == 0); err != nil {
			return err
		}
		if err := maySend(m, e.station); err != nil {
			return err
		}
	}
	return p.forSelf(m)
}

// inSequence applies the bounds of a key. The sequence number is that of the
// payload's own signer, so no other signer's bound can be compared with it.
func inSequence(m *manifest.Payload, e enrolled, own bool) error {
	if r := e.key.RevokedAfterSeq; r != nil && (!own || m.Seq > *r) {
		return verdict.New(verdict.SignerRevoked, "seq", "is %d; the key %s of station %s is revoked after %d", m.Seq, e.key.ID, e.station.ID, *r)
	}
	if own && m.Seq < e.key.ValidFromSeq {
		return verdict.New(verdict.SignerNotPermitted, "seq", "is %d; the key %s of station %s is enrolled from %d on", m.Seq, e.key.ID, e.station.ID, e.key.ValidFromSeq)
	}
	return nil
}

// maySend asks whether the station may seal such a package at all.
func maySend(m *manifest.Payload, s *Station) error {
	switch {
	case !Allowed(s.Role, m.Kind):
		return verdict.New(verdict.SignerNotPermitted, "kind", "station %s has the role %s, which never seals the kind %s", s.ID, s.Role, m.Kind)
	case !slices.Contains(s.Kinds, m.Kind):
		return verdict.New(verdict.SignerNotPermitted, "kind", "station %s is not enrolled for the kind %s", s.ID, m.Kind)
	case !within(m.Jurisdiction, s.Jurisdiction):
		return verdict.New(verdict.SignerNotPermitted, "jurisdiction", "station %s is enrolled for %s, not for %s", s.ID, s.Jurisdiction, m.Jurisdiction)
	case m.ElectionID != "" && !slices.Contains(s.Elections, m.ElectionID):
		return verdict.New(verdict.SignerNotPermitted, "election_id", "station %s is not enrolled for the election %s", s.ID, m.ElectionID)
	}
	return nil
}

// forSelf asks whether this station is the one to receive it.
func (p policy) forSelf(m *manifest.Payload) error {
	switch {
	case !within(m.Jurisdiction, p.self.Jurisdiction):
		return verdict.New(verdict.WrongJurisdiction, "jurisdiction", "is %s, this station belongs to %s", m.Jurisdiction, p.self.Jurisdiction)
	case m.ElectionID != "" && !slices.Contains(p.self.Elections, m.ElectionID):
		return verdict.New(verdict.WrongElection, "election_id", "is %s, this station takes %s", m.ElectionID, list(p.self.Elections))
	case m.Audience != manifest.AudienceAll && m.Audience != p.self.StationID:
		return verdict.New(verdict.WrongAudience, "audience", "is %s, this is %s", m.Audience, p.self.StationID)
	}
	return nil
}

// within says whether jurisdiction a is b or lies in it: identifiers go from
// the large to the small, divided by slashes, as Open Civic Data identifiers do.
func within(a, b string) bool {
	return b != "" && (a == b || strings.HasPrefix(a, b+"/"))
}

func list(elections []string) string {
	if len(elections) == 0 {
		return "no election"
	}
	return strings.Join(elections, ", ")
}
