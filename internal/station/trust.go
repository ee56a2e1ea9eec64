package station

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/manifest"
	"sallyport/internal/tpm"
	"sallyport/internal/trust"
	"sallyport/internal/verdict"
)

// ownRoot is the root of a new authority: its own key, alone.
func ownRoot(t *tpm.TPM) ([]byte, error) {
	root, err := trust.NewRoot(1, 1, t.Public())
	if err != nil {
		return nil, err
	}
	return root.Encode()
}

func (s *Station) showTrust() (any, error) {
	t, err := s.trust.Current()
	if err != nil {
		return nil, refused(err)
	}
	return Trust{Version: t.Version(), Stations: t.Stations()}, nil
}

// refused turns a finding into what the caller sees.
func refused(err error) error {
	if f, ok := verdict.Find(err); ok {
		return control.Failf(string(f.Reason), "%s: %s", f.Error(), f.Reason.NextStep())
	}
	return err
}

// installTrust installs a bundle that the authority signed. Every attempt is
// in the log, before and after.
func (s *Station) installTrust(ctx context.Context, a InstallArgs) (any, error) {
	sum := sha256.Sum256(a.Bundle)
	intent, err := s.audit.Intent(ctx, audit.Event{ID: audit.TrustInstall, Fields: map[string]string{
		"previous": strconv.FormatInt(s.trustVersion(), 10), "sha256": hex.EncodeToString(sum[:]),
	}})
	if err != nil {
		return nil, s.die(err)
	}
	t, err := s.trust.Install(a.Bundle)
	if f, ok := verdict.Find(err); ok {
		if err := intent.Outcome(ctx, audit.Refused, map[string]string{"reason": string(f.Reason), "detail": f.Error()}); err != nil {
			return nil, s.die(err)
		}
		return nil, control.Failf(string(f.Reason), "the trust bundle was not installed (%s): %s: %s; ask the election authority for its current bundle", f.Reason, verdict.Escape(f.Where), verdict.Escape(f.Detail))
	}
	if err != nil {
		return nil, s.die(errors.Join(err, intent.Outcome(ctx, audit.Failure, map[string]string{"detail": err.Error()})))
	}
	if err := intent.Outcome(ctx, audit.Success, map[string]string{
		"version": strconv.FormatInt(t.Version(), 10), "stations": strconv.Itoa(len(t.Stations())),
	}); err != nil {
		return nil, s.die(err)
	}
	return Trust{Version: t.Version(), Stations: t.Stations()}, s.sealLog(ctx)
}

// record is what this station shows its authority to be enrolled.
func (s *Station) record() (any, error) {
	r := &trust.StationRecord{V: 1, ID: s.identity.ID, Name: s.cfg.Station.Name, Role: trust.Role(s.identity.Role),
		Jurisdiction: s.identity.Jurisdiction, SoftwareTPM: s.tpm.Info().Software, TPM: s.identity.TPM}
	body, err := r.Encode()
	return Document{Body: body}, err
}

func (s *Station) rootDocument() (any, error) {
	root := s.trust.Root()
	body, err := root.Encode()
	if err != nil {
		return nil, err
	}
	print, err := root.Fingerprint()
	return Document{Body: body, Fingerprint: print}, err
}

// keyPEM is the station's public key, for openssl and sallyport-verify.
func (s *Station) keyPEM() (any, error) {
	der, err := x509.MarshalPKIXPublicKey(s.tpm.Public())
	return Document{Body: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), Fingerprint: s.tpm.KeyID()}, err
}

// issueTrust makes the next bundle from the installed one, signs it with this
// authority's key and, when that is enough, installs it here too.
func (s *Station) issueTrust(ctx context.Context, a IssueArgs) (any, error) {
	s.sealing.Lock() // one next bundle at a time
	defer s.sealing.Unlock()
	if s.identity.Role != string(trust.Authority) {
		return nil, control.Failf(control.CodeUsage, "this station is a %s; only an authority issues trust bundles", s.identity.Role)
	}
	next := trust.Bundle{Version: 1, Issued: s.opt.Now().UTC().Format(time.RFC3339)}
	if t, err := s.trust.Current(); err == nil {
		next.Version, next.Stations = t.Version()+1, t.Stations()
	}
	for _, in := range a.Stations {
		st, err := admitted(in)
		if err != nil {
			return nil, err
		}
		next.Stations = slices.DeleteFunc(next.Stations, func(old trust.Station) bool { return old.ID == st.ID })
		next.Stations = append(next.Stations, st)
	}
	envelope, err := trust.Issue(ctx, s.trust.Root(), next, s.tpm)
	if err != nil {
		return nil, refused(err)
	}
	if s.trust.Root().Threshold == 1 {
		if _, err := s.installTrust(ctx, InstallArgs{Bundle: envelope}); err != nil {
			return nil, err
		}
	}
	return Document{Body: envelope}, nil
}

func admitted(in IssueStation) (trust.Station, error) {
	record, err := trust.DecodeRecord(in.Record)
	if err != nil {
		return trust.Station{}, refused(err)
	}
	var kinds []manifest.Kind
	for _, k := range in.Kinds {
		if !slices.Contains(manifest.Kinds(), manifest.Kind(k)) {
			return trust.Station{}, control.Failf(control.CodeUsage, "%q is no kind of package; there are %s", verdict.Escape(k), KindNames())
		}
		kinds = append(kinds, manifest.Kind(k))
	}
	st, err := record.Station(kinds, in.Elections)
	if err != nil {
		return st, control.Failf(control.CodeUsage, "station %s cannot be enrolled: %v", record.ID, err)
	}
	return st, nil
}

// KindNames lists the kinds of package, for people.
func KindNames() string {
	var names []string
	for _, k := range manifest.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
