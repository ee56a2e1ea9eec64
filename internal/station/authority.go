package station

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/authority"
	"sallyport/internal/control"
	"sallyport/internal/manifest"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// atDesk runs an operation that only an authority has.
func (s *Station) atDesk(do func(*authority.Desk) (any, error)) (any, error) {
	if s.desk == nil {
		return nil, control.Failf(control.CodeUsage, "this station is a %s; only an authority does that", s.identity.Role)
	}
	return do(s.desk)
}

// signerRecord is what this authority gives to whoever makes the root.
func (s *Station) signerRecord(ctx context.Context) (any, error) {
	return s.atDesk(func(*authority.Desk) (any, error) {
		k, err := trust.TPMRootKey(s.identity.ID, s.identity.TPM)
		if err != nil {
			return nil, err
		}
		body, err := trust.NewSignerRecord(ctx, k, s.tpm)
		return Document{Body: body, Fingerprint: k.ID}, refused(err)
	})
}

// foundAuthority makes the root from this station's key and those of others.
func (s *Station) foundAuthority(ctx context.Context, a FoundArgs) (any, error) {
	return s.atDesk(func(d *authority.Desk) (any, error) {
		own, err := trust.TPMRootKey(s.identity.ID, s.identity.TPM)
		if err != nil {
			return nil, err
		}
		keys, boot, err := a.keys(own, nil)
		if err != nil {
			return nil, refused(err)
		}
		return s.action(ctx, audit.Event{ID: audit.AuthorityRoot}, func() (any, map[string]string, error) {
			root, err := d.Found(a.Threshold, boot, keys)
			return rootResult(root, err)
		})
	})
}

// keys are those of a root: own, and those of the signer records. The next root
// keeps the boot key of the present one, unless people name another.
func (a *FoundArgs) keys(own trust.RootKey, now *trust.Root) (keys []trust.RootKey, boot string, err error) {
	if !a.Leave {
		keys = append(keys, own)
	}
	for _, record := range a.Signers {
		k, err := trust.DecodeSignerRecord(record)
		if err != nil {
			return nil, "", err
		}
		if k.ID != own.ID {
			keys = append(keys, k)
		}
	}
	boot = own.ID
	if now != nil {
		boot = now.BootKey
	}
	at := slices.IndexFunc(keys, func(k trust.RootKey) bool {
		return a.BootHolder == "" && k.ID == boot || k.Holder == a.BootHolder
	})
	switch {
	case a.BootHolder == NoBootKey || a.BootHolder == "" && boot == "":
		return keys, "", nil
	case at < 0 && a.BootHolder == "":
		return nil, "", control.Failf(control.CodeUsage, "whoever approves boot states now is none of these holders: say with --boot-holder who does from then on, or '%s'", NoBootKey)
	case at < 0:
		return nil, "", control.Failf(control.CodeUsage, "%q holds none of these keys, so it cannot approve boot states", verdict.Escape(a.BootHolder))
	case keys[at].Custody != trust.InTPM: // approvals are made while a draft is, at a desk
		return nil, "", control.Failf(control.CodeUsage, "%s is no authority station, and only one of those approves boot states: name it with --boot-holder, or say '%s'", keys[at].Holder, NoBootKey)
	}
	return keys, keys[at].ID, nil
}

func (s *Station) adoptRoot(ctx context.Context, a AdoptArgs) (any, error) {
	return s.atDesk(func(d *authority.Desk) (any, error) {
		return s.action(ctx, audit.Event{ID: audit.AuthorityRoot}, func() (any, map[string]string, error) {
			root, err := d.Adopt(a.Root)
			return rootResult(root, err)
		})
	})
}

func rootResult(root *trust.Root, err error) (any, map[string]string, error) {
	if err != nil {
		return nil, nil, err
	}
	body, err := root.Encode()
	if err != nil {
		return nil, nil, err
	}
	return Document{Body: body, Fingerprint: trust.Fingerprint(body)}, map[string]string{
		"sha256": hexSum(body), "threshold": strconv.Itoa(root.Threshold), "keys": strconv.Itoa(len(root.Keys)),
	}, nil
}

func (s *Station) challenge(ctx context.Context, a ChallengeArgs) (any, error) {
	return s.atDesk(func(d *authority.Desk) (any, error) {
		ek := trust.EK{SHA256: a.EKSHA256}
		for _, der := range a.Vendors {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, control.Failf(control.CodeUsage, "one of the vendors' certificates cannot be read: %v", err)
			}
			ek.Vendors = append(ek.Vendors, c)
		}
		return s.action(ctx, audit.Event{ID: audit.AuthorityChallenge, Fields: map[string]string{"request": hexSum(a.Request)}}, func() (any, map[string]string, error) {
			c, r, err := d.Challenge(a.Request, ek)
			if err != nil {
				return nil, nil, err
			}
			body, err := c.Encode()
			proof := string(trust.ByCertificate)
			if a.EKSHA256 != "" {
				proof = string(trust.ByComparison)
			}
			return Challenged{Document: Document{Body: body}, StationID: r.ID, Name: r.Name, Role: string(r.Role), Jurisdiction: r.Jurisdiction,
					KeyID: r.TPM.KeyID, EKSHA256: trust.EKSHA256(r.TPM.EKPublic), Maker: r.Maker, SoftwareTPM: r.SoftwareTPM, Proof: proof},
				map[string]string{"station_id": r.ID, "key_id": r.TPM.KeyID, "proof": proof}, err
		})
	})
}

func (s *Station) draft(ctx context.Context, a DraftArgs) (any, error) {
	return s.atDesk(func(d *authority.Desk) (any, error) {
		changes, err := a.changes()
		if err != nil {
			return nil, err
		}
		out, err := s.action(ctx, audit.Event{ID: audit.AuthorityDraft, Fields: map[string]string{
			"admitted": strconv.Itoa(len(a.Admit)), "revoked": strconv.Itoa(len(a.Revoke)), "altered": strconv.Itoa(len(a.Alter)), "approved": strconv.Itoa(len(a.Approve)),
		}}, func() (any, map[string]string, error) {
			envelope, complete, err := d.Draft(ctx, changes)
			if err != nil {
				return nil, nil, err
			}
			return Draft{Document: Document{Body: envelope}, Complete: complete}, map[string]string{"sha256": hexSum(envelope), "complete": strconv.FormatBool(complete)}, nil
		})
		if r, ok := out.(Draft); ok && err == nil && r.Complete {
			_, err = s.installTrust(ctx, trust.Delivery{Rotations: s.trust.Rotations(), Bundle: r.Body})
			err = refused(err)
		}
		return out, err
	})
}

func (a *DraftArgs) changes() (authority.Changes, error) {
	var c authority.Changes
	var err error
	kinds := func(names []string) []manifest.Kind {
		out := []manifest.Kind{}
		for _, k := range names {
			if !slices.Contains(manifest.Kinds(), manifest.Kind(k)) && err == nil {
				err = control.Failf(control.CodeUsage, "%q is no kind of package; there are %s", verdict.Escape(k), KindNames())
			}
			out = append(out, manifest.Kind(k))
		}
		return out
	}
	for _, x := range a.Admit {
		c.Admit = append(c.Admit, authority.Admission{Answer: x.Answer, Kinds: kinds(x.Kinds), Elections: x.Elections, Attested: x.Attested,
			Handover: x.Handover, Replace: x.Replace, RevokeAfter: x.RevokeAfter, Label: x.Label, PCRs: x.PCRs})
	}
	for _, x := range a.Revoke {
		c.Revoke = append(c.Revoke, authority.Revocation{Station: x.Station, Key: x.Key, After: x.After})
	}
	for _, x := range a.Alter {
		alter := authority.Alteration{Station: x.Station, Elections: x.Elections, Attested: x.Attested}
		if x.Kinds != nil {
			list := kinds(*x.Kinds)
			alter.Kinds = &list
		}
		c.Alter = append(c.Alter, alter)
	}
	for _, x := range a.Approve {
		c.Approve = append(c.Approve, authority.BootApproval{Measurement: x.Measurement, Label: x.Label, PCRs: x.PCRs, Drop: x.Drop})
	}
	if a.Hybrid != nil {
		list := kinds(*a.Hybrid)
		c.Hybrid = &list
	}
	return c, err
}

func (s *Station) rotate(ctx context.Context, a FoundArgs) (any, error) {
	return s.atDesk(func(d *authority.Desk) (any, error) {
		own, err := trust.TPMRootKey(s.identity.ID, s.identity.TPM)
		if err != nil {
			return nil, err
		}
		keys, boot, err := a.keys(own, s.trust.Root())
		if err != nil {
			return nil, refused(err)
		}
		return s.action(ctx, audit.Event{ID: audit.AuthorityRotate, Fields: map[string]string{"threshold": strconv.Itoa(a.Threshold), "keys": strconv.Itoa(len(keys))}}, func() (any, map[string]string, error) {
			envelope, err := d.Rotate(ctx, a.Threshold, boot, keys)
			if err != nil {
				return nil, nil, err
			}
			_, err = trust.OpenRotation(envelope, s.trust.Root())
			return Draft{Document: Document{Body: envelope}, Complete: err == nil}, map[string]string{"sha256": hexSum(envelope), "complete": strconv.FormatBool(err == nil)}, nil
		})
	})
}

func (s *Station) signDraft(ctx context.Context, a SignArgs) (any, error) {
	return s.atDesk(func(d *authority.Desk) (any, error) {
		return s.action(ctx, audit.Event{ID: audit.AuthoritySign, Fields: map[string]string{"sha256": hexSum(a.Draft)}}, func() (any, map[string]string, error) {
			envelope, complete, err := d.Sign(ctx, a.Draft, a.Root)
			return Draft{Document: Document{Body: envelope}, Complete: complete}, map[string]string{"sha256": hexSum(envelope), "complete": strconv.FormatBool(complete)}, err
		})
	})
}

// discardDraft forgets the last draft.
func (s *Station) discardDraft(ctx context.Context) (any, error) {
	return s.atDesk(func(d *authority.Desk) (any, error) {
		return s.action(ctx, audit.Event{ID: audit.AuthorityDiscard}, func() (any, map[string]string, error) {
			return NoArgs{}, nil, d.Discard()
		})
	})
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
