package station

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/manifest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

func (s *Station) showTrust() (any, error) {
	t, err := s.trust.Current()
	if err != nil {
		return nil, refused(err)
	}
	return s.shown(t), nil
}

func (s *Station) shown(t *trust.Trusted) Trust {
	return Trust{Version: t.Version(), RootVersion: t.RootVersion(), Issued: t.Issued(), Hybrid: t.Hybrid(), Stations: t.Stations(), Root: s.trust.Root()}
}

// refused turns a finding into what the caller sees. The words of the reasons
// speak of sealed media; a document of the enrolment is named instead.
func refused(err error) error {
	f, ok := verdict.Find(err)
	switch {
	case !ok:
		return err
	case f.Reason.Family() == verdict.NotTrusted && f.Where != "" && f.Detail != "":
		return control.Failf(string(f.Reason), "%s: %s (%s)", verdict.Escape(f.Where), verdict.Escape(f.Detail), f.Reason)
	}
	return control.Failf(string(f.Reason), "%s: %s", f.Error(), f.Reason.NextStep())
}

// installTrust installs what the authority gave out. Every attempt is in the
// log, before and after. The error is a finding when the delivery is refused.
func (s *Station) installTrust(ctx context.Context, d trust.Delivery) (*trust.Trusted, error) {
	sum := sha256.Sum256(d.Bundle)
	intent, err := s.audit.Intent(ctx, audit.Event{ID: audit.TrustInstall, Fields: map[string]string{
		"previous": strconv.FormatInt(s.trustVersion(), 10), "sha256": hex.EncodeToString(sum[:]),
	}})
	if err != nil {
		return nil, s.die(err)
	}
	t, err := s.trust.Install(d)
	if f, ok := verdict.Find(err); ok {
		if err := intent.Outcome(ctx, audit.Refused, map[string]string{"reason": string(f.Reason), "detail": f.Error()}); err != nil {
			return nil, s.die(err)
		}
		return nil, f
	}
	if err != nil {
		return nil, s.die(errors.Join(err, intent.Outcome(ctx, audit.Failure, map[string]string{"detail": err.Error()})))
	}
	if err := s.approve(); err != nil { // cannot be: the bundle was checked
		return nil, s.die(errors.Join(err, intent.Outcome(ctx, audit.Failure, map[string]string{"detail": err.Error()})))
	}
	if err := intent.Outcome(ctx, audit.Success, map[string]string{
		"version": strconv.FormatInt(t.Version(), 10), "stations": strconv.Itoa(len(t.Stations())), "root_version": strconv.FormatInt(s.trust.Root().Version, 10),
	}); err != nil {
		return nil, s.die(err)
	}
	return t, nil
}

// opInstallTrust is for an administrator who brings the authority's documents
// himself; media bring them as packages.
func (s *Station) opInstallTrust(ctx context.Context, d trust.Delivery) (any, error) {
	t, err := s.installTrust(ctx, d)
	if f, ok := verdict.Find(err); ok {
		return nil, control.Failf(string(f.Reason), "the trust bundle was not installed (%s): %s: %s; ask the election authority for its current bundle", f.Reason, verdict.Escape(f.Where), verdict.Escape(f.Detail))
	}
	if err != nil {
		return nil, err
	}
	return s.shown(t), s.sealLog(ctx)
}

// takeTrust installs the content of a package of the kind trust-bundle: the
// bundle, and the rotations of the root that lead to it.
func (s *Station) takeTrust(ctx context.Context, content fs.FS) error {
	d, err := trust.ReadDelivery(content)
	if err != nil {
		return err
	}
	_, err = s.installTrust(ctx, d)
	return err
}

// see keeps the checkpoint of another station's log, and records when it
// contradicts what that log showed before.
func (s *Station) see(ctx context.Context, seen *translog.Sighting, seq int64) error {
	before, err := s.peers.See(ctx, seen, seq)
	f, ok := verdict.Find(err)
	if !ok || before == nil {
		return err
	}
	if err := s.audit.Event(ctx, audit.Event{ID: audit.LogPeer, Outcome: audit.Failure, Fields: map[string]string{
		"origin": seen.Origin, "key_id": seen.KeyID, "detail": f.Detail, "entries": strconv.FormatInt(seen.Size, 10), "root": seen.Root.String(),
		"kept_entries": strconv.FormatInt(before.Size, 10), "kept_root": before.Root,
	}}); err != nil {
		return err
	}
	return f
}

func (s *Station) rootDocument() (any, error) {
	root := s.trust.Root()
	if root == nil {
		return nil, control.Failf(control.CodeNotFound, "this authority has no root yet: 'sallyport authority init' makes it")
	}
	body, err := root.Encode()
	if err != nil {
		return nil, err
	}
	print, err := root.Fingerprint()
	return Document{Body: body, Fingerprint: print}, err
}

// keyPEM is one of the station's public keys, for sallyport-verify and openssl.
func (s *Station) keyPEM(a KeyArgs) (any, error) {
	log := s.tpm.LogSigner()
	public, id := log.Public(), log.KeyID()
	switch a.For {
	case KeyForLog:
	case KeyForPackages:
		public, id = s.tpm.Public(), s.tpm.KeyID()
	default:
		return nil, control.Failf(control.CodeUsage, "there is no key for %q, only for %q and %q", verdict.Escape(a.For), KeyForLog, KeyForPackages)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	return Document{Body: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), Fingerprint: id}, err
}

// KindNames lists the kinds of package, for people.
func KindNames() string {
	var names []string
	for _, k := range manifest.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
