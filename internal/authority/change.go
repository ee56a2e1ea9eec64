package authority

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sallyport/internal/trust"
)

// admit enrols the station of an answer and returns its request's digest.
func (d *Desk) admit(ctx context.Context, root *trust.Root, b *trust.Bundle, a Admission) (request string, err error) {
	answer, err := trust.DecodeAnswer(a.Answer)
	if err != nil {
		return "", err
	}
	p, err := d.pending(answer)
	if err != nil {
		return "", err
	}
	r, err := p.Admit(answer)
	if err != nil {
		return "", err
	}
	s, err := r.Station(a.Kinds, a.Elections, p.Proof)
	if err != nil {
		return "", err
	}
	s.Attested = a.Attested
	if err := a.follow(b, &s, r); err != nil {
		return "", err
	}
	state := trust.NewBootState(label(a.Label, r.Version), r.PCRs, a.PCRs...)
	if len(s.BootKeys()) > 0 || s.Attested {
		if err := d.addState(ctx, root, &s, state); err != nil {
			return "", err
		}
	}
	b.Stations = slices.DeleteFunc(b.Stations, func(old trust.Station) bool { return old.ID == s.ID })
	b.Stations = append(b.Stations, s)
	return answer.Request, nil
}

func label(given, version string) string {
	if given != "" {
		return given
	}
	return "enrolled with Sallyport " + version
}

// follow settles what becomes of the keys that a station of this id has already.
func (a *Admission) follow(b *trust.Bundle, s *trust.Station, r *trust.Request) error {
	old, err := at(b, s.ID)
	if err != nil {
		if a.Handover != nil || a.Replace {
			return refusef("cannot admit station %s as the follower of another: %w", s.ID, err)
		}
		return nil
	}
	if old.Role != s.Role || old.Jurisdiction != s.Jurisdiction {
		return refusef("cannot admit station %s: one of that id is enrolled as %s of %s, and a key never changes that", s.ID, old.Role, old.Jurisdiction)
	}
	if slices.ContainsFunc(old.Keys, func(k trust.Key) bool { return k.ID == r.TPM.KeyID }) {
		s.Keys, s.Boot = old.Keys, old.Boot // the same keys, with another entry
		return nil
	}
	switch {
	case a.Handover != nil:
		next, err := old.Accept(a.Handover, r, s.Keys)
		if err != nil {
			return err
		}
		s.Keys, s.Boot = next.Keys, next.Boot
	case a.Replace:
		if err := revoke(b, Revocation{Station: s.ID, After: a.RevokeAfter}); err != nil {
			return err
		}
		s.Keys, s.Boot = append(slices.Clone(old.Keys), s.Keys...), old.Boot
	default:
		return refusef("cannot admit station %s: it is enrolled with another key; give the old station's hand-over (--handover), or, when that station is lost, --replace with the last sequence number that counts", s.ID)
	}
	return nil
}

// addState adds an approved boot state, or approves an equal one anew. What another
// boot key has approved of an equal one stays: it may not be able to do so again.
func (d *Desk) addState(ctx context.Context, root *trust.Root, s *trust.Station, state trust.BootState) error {
	equal := func(old trust.BootState) bool { return slices.Equal(old.PCRs, state.PCRs) }
	var before []trust.BootApproval
	if at := slices.IndexFunc(s.Boot, equal); at >= 0 {
		before = s.Boot[at].Approvals
	}
	var cannot *Refusal
	if err := d.sign(ctx, root, s, &state); err != nil && (!errors.As(err, &cannot) || len(before) == 0) {
		return err
	}
	for _, a := range before {
		if !slices.ContainsFunc(state.Approvals, func(b trust.BootApproval) bool { return b.KeyID == a.KeyID }) {
			state.Approvals = append(state.Approvals, a)
		}
	}
	slices.SortFunc(state.Approvals, func(a, b trust.BootApproval) int { return strings.Compare(a.KeyID, b.KeyID) })
	s.Boot = slices.DeleteFunc(slices.Clone(s.Boot), equal)
	if slices.ContainsFunc(s.Boot, func(old trust.BootState) bool { return old.Label == state.Label }) {
		return refusef("cannot approve a boot state: station %s has another one that is called %q; give it another label", s.ID, state.Label)
	}
	s.Boot = append(s.Boot, state)
	if len(s.Boot) > trust.MaxBoot {
		return refusef("cannot approve a boot state: station %s has %d already; drop one (--drop LABEL)", s.ID, trust.MaxBoot)
	}
	return nil
}

// approve adds the boot state of a measurement.
func (d *Desk) approve(ctx context.Context, root *trust.Root, b *trust.Bundle, a BootApproval) error {
	id, err := trust.StationOf(a.Measurement)
	if err != nil {
		return err
	}
	s, err := at(b, id)
	if err != nil {
		return refusef("cannot approve a boot state: %w", err)
	}
	m, err := s.Measured(a.Measurement)
	if err != nil {
		return err
	}
	for _, drop := range a.Drop {
		n := len(s.Boot)
		s.Boot = slices.DeleteFunc(slices.Clone(s.Boot), func(have trust.BootState) bool { return have.Label == drop })
		if len(s.Boot) == n {
			return refusef("cannot drop a boot state: station %s has none that is called %q", s.ID, drop)
		}
	}
	return d.addState(ctx, root, s, trust.NewBootState(label(a.Label, m.Version), m.PCRs, a.PCRs...))
}

// revoke bounds the keys of a station. A bound never moves up: what was revoked
// stays revoked.
func revoke(b *trust.Bundle, r Revocation) error {
	s, err := at(b, r.Station)
	if err != nil {
		return refusef("cannot revoke: %w", err)
	}
	if r.After < 0 {
		return refusef("cannot revoke: %d is no sequence number", r.After)
	}
	found := false
	keys := slices.Clone(s.Keys)
	for i := range keys {
		k := &keys[i]
		if !strings.HasPrefix(k.ID, r.Key) && (k.Beside == "" || !strings.HasPrefix(k.Beside, r.Key)) {
			continue
		}
		found = true
		if k.RevokedAfterSeq != nil && *k.RevokedAfterSeq <= r.After {
			continue
		}
		after := r.After
		k.RevokedAfterSeq = &after
	}
	if !found {
		return refusef("cannot revoke: station %s has no key %.64q", r.Station, r.Key)
	}
	s.Keys = keys
	return nil
}

func alter(b *trust.Bundle, a Alteration) error {
	s, err := at(b, a.Station)
	if err != nil {
		return refusef("cannot change an enrolment: %w", err)
	}
	if a.Kinds != nil {
		s.Kinds = *a.Kinds
	}
	if a.Elections != nil {
		s.Elections = *a.Elections
	}
	if a.Attested != nil {
		s.Attested = *a.Attested
	}
	return nil
}
