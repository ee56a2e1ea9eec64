package intake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/ems"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// settle admits the package or holds it.
func (r *run) settle(ctx context.Context, p *pack) error {
	if ctx.Err() != nil {
		p.findings.add(*stopped(ctx))
	}
	// From here on the work is short and ends even when the daemon is told to stop.
	r.progress(Deciding)
	r.confirm(ctx, &p.findings)
	ctx = context.WithoutCancel(ctx)
	if p.findings.none() {
		if f := r.askAgain(ctx, p); f != nil {
			p.findings.add(*f)
		}
	}
	if p.findings.none() {
		if err := r.admit(ctx, p); err != nil {
			return err
		}
	}
	if !p.findings.none() {
		if err := r.hold(ctx, p); err != nil {
			return err
		}
	}
	p.report.Findings = append(p.report.Findings, p.findings.all()...)
	r.report.Packages = append(r.report.Packages, p.report)
	return nil
}

// askAgain asks at the last moment what was asked at the first: reading may
// have taken hours, in which the TPM can fail and a signer can be revoked.
func (r *run) askAgain(ctx context.Context, p *pack) *verdict.Finding {
	if f := r.askTPM(ctx); f != nil {
		return f
	}
	policy, err := r.cfg.Policy()
	if err == nil {
		err = p.verified.Recheck(policy)
	}
	if err != nil {
		return asFinding(err, verdict.TrustMissing)
	}
	return nil
}

// admit hands the package to the core and moves it to admitted. When the core
// refuses its content, that is a finding and nothing has changed.
func (r *run) admit(ctx context.Context, p *pack) error {
	intent, err := r.cfg.Audit.Intent(ctx, audit.Event{ID: audit.PackageAdmit, Subject: r.packSubject(p), Fields: map[string]string{"item": p.report.Item, "kind": p.report.Kind}})
	if err != nil {
		return err
	}
	receipt, refusal, err := r.deliver(ctx, p)
	if err != nil {
		return err
	}
	if refusal != nil {
		p.findings.add(*refusal)
		return intent.Outcome(ctx, audit.Held, map[string]string{"item": p.report.Item, "reason": string(refusal.Reason), "detail": refusal.Error()})
	}
	payload := p.verified.Payload()
	o := Outcome{Verdict: verdict.Accepted, PackageID: payload.PackageID, Digest: p.digest, Kind: string(payload.Kind), Station: payload.Signer.StationID,
		KeyID: payload.Signer.KeyID, Stream: payload.Stream, Seq: payload.Seq, Supersedes: payload.Supersedes, Intent: intent.Seq(), Receipt: receipt}
	body, err := strictjson.Encode(o)
	if err != nil {
		return err
	}
	item, err := r.cfg.Vault.Admit(p.staged, body)
	if err != nil {
		return err
	}
	item.Close()
	r.ledger.advance(o)
	p.report.Verdict, p.report.Receipt = verdict.Accepted, receipt
	return intent.Outcome(ctx, audit.Accepted, map[string]string{"item": p.report.Item})
}

// deliver hands the content to whom it is for: a trust bundle to what this
// station trusts, everything else to the EMS core.
func (r *run) deliver(ctx context.Context, p *pack) (*ems.Receipt, *verdict.Finding, error) {
	if p.verified.Payload().Kind != manifest.TrustBundle {
		return r.importPackage(ctx, p)
	}
	data, err := p.content()
	if err != nil {
		return nil, nil, err
	}
	if err := r.cfg.Trust(ctx, data); err != nil {
		f, ok := verdict.Find(err)
		if !ok {
			return nil, nil, fmt.Errorf("the trust store failed: %w", err)
		}
		return nil, f, nil
	}
	return nil, nil, nil
}

// content is what is stored below data/.
func (p *pack) content() (fs.FS, error) {
	whole, err := p.staged.FS()
	if err != nil {
		return nil, err
	}
	return fs.Sub(whole, strings.TrimSuffix(dataFolder, "/"))
}

// importPackage imports what is for the EMS core. It returns no receipt for
// other kinds and a finding when the core refuses the content.
func (r *run) importPackage(ctx context.Context, p *pack) (*ems.Receipt, *verdict.Finding, error) {
	if r.cfg.Core == nil {
		return nil, nil, nil
	}
	payload := p.verified.Payload()
	data, err := p.content()
	if err != nil {
		return nil, nil, err
	}
	in := ems.Package{Digest: p.verified.Digest(), ID: payload.PackageID, Kind: string(payload.Kind), ElectionID: payload.ElectionID, ElectionSHA256: payload.ElectionSHA256, FS: data}
	for _, f := range payload.Files {
		in.Files = append(in.Files, ems.File{Path: f.Path, Size: f.Size, SHA256: f.SHA256, MediaType: f.MediaType})
	}
	intent, err := r.cfg.Audit.Intent(ctx, audit.Event{ID: audit.EMSImport, Subject: r.packSubject(p), Fields: map[string]string{"kind": p.report.Kind, "election_id": payload.ElectionID}})
	if err != nil {
		return nil, nil, err
	}
	receipt, err := r.cfg.Core.Import(ctx, in)
	if errors.Is(err, ems.ErrNotForCore) {
		return nil, nil, intent.Outcome(ctx, audit.Success, map[string]string{"detail": "this kind of package is kept in the store and not imported"})
	}
	if err != nil {
		f, ok := verdict.Find(err)
		if !ok {
			return nil, nil, fmt.Errorf("the EMS core failed: %w", err)
		}
		return nil, f, intent.Outcome(ctx, audit.Refused, map[string]string{"reason": string(f.Reason), "detail": f.Error()})
	}
	return &receipt, nil, intent.Outcome(ctx, audit.Success, map[string]string{"state_digest": receipt.StateDigest, "ballots": strconv.FormatInt(receipt.Ballots, 10)})
}

// hold moves what was staged to quarantine.
func (r *run) hold(ctx context.Context, p *pack) error {
	if p.staged == nil {
		return nil // no room for a single byte; the stage's outcome said so
	}
	intent, err := r.cfg.Audit.Intent(ctx, audit.Event{ID: audit.PackageHold, Subject: r.packSubject(p), Fields: map[string]string{"item": p.report.Item, "reasons": reasonsOf(p.findings.all()), "detail": p.findings.all()[0].Error()}})
	if err != nil {
		return err
	}
	item, err := holdItem(r.cfg.Vault, p.staged, p.findings.all(), Outcome{Verdict: verdict.Held, Intent: intent.Seq()})
	if err != nil {
		return err
	}
	item.Close()
	r.held += item.Bytes()
	return intent.Outcome(ctx, audit.Held, map[string]string{"item": p.report.Item})
}

func holdItem(v *vault.Vault, st *vault.Staged, reasons []verdict.Finding, o Outcome) (*vault.Item, error) {
	body, err := strictjson.Encode(o)
	if err != nil {
		return nil, err
	}
	return v.Hold(st, reasons, body)
}

func (r *run) itemFacts(p *pack) ItemFacts {
	f := ItemFacts{Medium: r.report.Medium, Package: p.report.Package}
	if p.verified.Valid() {
		payload := p.verified.Payload()
		f.Digest, f.Kind, f.Station, f.KeyID, f.Stream, f.Seq = p.digest, string(payload.Kind), payload.Signer.StationID, payload.Signer.KeyID, payload.Stream, payload.Seq
	}
	return f
}

func (r *run) packSubject(p *pack) audit.Subject {
	s := r.subject()
	s.Package, s.Manifest, s.Station = p.report.Package, p.digest, p.report.Signer
	return s
}
