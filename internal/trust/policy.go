package trust

import (
	"slices"
	"strings"

	"sallyport/internal/dsse"
	"sallyport/internal/manifest"
	"sallyport/internal/verdict"
)

// Self is the station that asks.
type Self struct {
	StationID    string
	Jurisdiction string
	Elections    []string // whose packages it takes; none means none
}

// Policy is what one station takes from others. It is a manifest.Policy.
type Policy struct {
	t    *Trusted
	root *Root
	self Self
}

// Policy returns what the bundle allows others to send to self. root is the
// station's present root, whose keys in TPMs may send the next bundle even to a
// station that has none yet; nil is allowed.
func (t *Trusted) Policy(root *Root, self Self) Policy {
	self.Elections = slices.Clone(self.Elections)
	return Policy{t, root, self}
}

// Version is that of the bundle which is asked, 0 without one.
func (p Policy) Version() int64 { return p.t.Version() }

// Key implements manifest.Policy. A key that is revoked for all sequence
// numbers is refused here, before any arithmetic. What the bundle says of a key
// goes before what the root says of it: a revoked one stays revoked.
func (p Policy) Key(id string) (manifest.Key, error) {
	if e, ok := p.enrolled(id); ok {
		if r := e.key.RevokedAfterSeq; r != nil && *r == 0 {
			return manifest.Key{}, verdict.New(verdict.SignerRevoked, "key "+id, "of station %s is revoked", e.station.ID)
		}
		return e.parsed, nil
	}
	if k, ok := p.root.Key(id); ok && k.Custody == InTPM {
		pub, err := k.check("trust root")
		return manifest.Key{Public: pub, StationID: k.Holder, Role: string(Authority)}, err
	}
	if !p.t.Valid() {
		return manifest.Key{}, missing()
	}
	return manifest.Key{}, verdict.New(verdict.SignerUnknown, "key "+id, "is not in trust bundle %d", p.t.Version())
}

func (p Policy) enrolled(id string) (enrolled, bool) {
	if !p.t.Valid() {
		return enrolled{}, false
	}
	e, ok := p.t.keys[id]
	return e, ok
}

func missing() error { return verdict.New(verdict.TrustMissing, "", "") }

// Permit implements manifest.Policy: everything is denied that is not allowed
// by each rule of FORMAT.md, for every station that signed. The order decides
// only which reason is given; a newer bundle may change all the other answers,
// so it is asked for first.
func (p Policy) Permit(m *manifest.Payload, keys []manifest.Key) error {
	if m.Kind != manifest.TrustBundle { // which is what mends the two
		if !p.t.Valid() {
			return missing()
		}
		if m.TrustEpoch > p.t.Version() {
			return verdict.New(verdict.TrustOutdated, "trust_epoch", "the package was sealed under trust bundle %d, this station has %d", m.TrustEpoch, p.t.Version())
		}
	}
	if len(keys) == 0 {
		return verdict.New(verdict.SignerUnknown, "", "no enrolled key signed")
	}
	for _, k := range keys {
		e, ok := p.enrolled(k.Public.KeyID())
		if !ok {
			if err := p.rootMaySend(m, k); err != nil {
				return err
			}
			continue
		}
		if err := inSequence(m, e, keys); err != nil {
			return err
		}
		if err := maySend(m, e.station); err != nil {
			return err
		}
	}
	if err := p.hybrid(m, keys); err != nil {
		return err
	}
	return p.forSelf(m)
}

// rootMaySend: a key of the authority that is in no bundle seals bundles alone.
// What the bundle inside is worth is decided by its own signatures.
func (p Policy) rootMaySend(m *manifest.Payload, k manifest.Key) error {
	id := k.Public.KeyID()
	if _, ok := p.root.Key(id); !ok {
		return verdict.New(verdict.SignerUnknown, "key "+id, "is not in trust bundle %d", p.t.Version())
	}
	if m.Kind != manifest.TrustBundle {
		return verdict.New(verdict.SignerNotPermitted, "kind", "the key of %s is one of the authority's root keys, which seal the kind %s alone", k.StationID, manifest.TrustBundle)
	}
	return nil
}

// hybrid asks for the second signature where the bundle demands one.
func (p Policy) hybrid(m *manifest.Payload, keys []manifest.Key) error {
	if !p.t.Valid() || !slices.Contains(p.t.bundle.Hybrid, m.Kind) {
		return nil
	}
	for _, k := range keys {
		if e, ok := p.enrolled(k.Public.KeyID()); ok && e.key.Alg == dsse.AlgMLDSA65 && e.key.Beside == keys[0].Public.KeyID() {
			return nil
		}
	}
	return verdict.New(verdict.SignerNotPermitted, "signatures", "a package of the kind %s must be signed with %s too, by the key that stands beside %.16s…", m.Kind, dsse.AlgMLDSA65, keys[0].Public.KeyID())
}

// inSequence applies the bounds of a key. The sequence number is that of the
// payload's own signer, the first of keys, and of the key that stands beside
// it; no other signer's bound can be compared with it.
func inSequence(m *manifest.Payload, e enrolled, keys []manifest.Key) error {
	first := keys[0].Public.KeyID()
	own := e.key.ID == first || e.key.Beside == first
	if b := e.key.Beside; b != "" && !slices.ContainsFunc(keys, func(k manifest.Key) bool { return k.Public.KeyID() == b }) {
		return verdict.New(verdict.SignerNotPermitted, "signatures", "the key %s signed without the key beside which it stands", e.key.ID)
	}
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
func (p Policy) forSelf(m *manifest.Payload) error {
	// The authority of a state issues bundles for its counties.
	above := m.Kind == manifest.TrustBundle && within(p.self.Jurisdiction, m.Jurisdiction)
	switch {
	case !above && !within(m.Jurisdiction, p.self.Jurisdiction):
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
