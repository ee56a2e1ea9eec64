package intake

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// pack is one package, or the stray files of a medium, on its way to the vault.
type pack struct {
	report   PackageReport
	folder   *folder // nil for stray files
	findings findings
	envelope []byte
	torn     []byte // what could be read of an envelope that cannot be read whole
	evidence []byte // what was read of it; whole says whether that is all
	whole    bool
	verified *manifest.Verified
	digest   string
	files    []uint32 // entries to be read, by number in the listing
	staged   *vault.Staged
}

// takePackage brings one package folder to its verdict.
func (r *run) takePackage(ctx context.Context, f *folder, policy Policy) error {
	p := &pack{folder: f, report: PackageReport{Package: f.id, Verdict: verdict.Held, Findings: []verdict.Finding{}}}
	p.findings.merge(&f.findings)
	p.findings.merge(&r.layout.findings)
	if err := r.verify(ctx, p, policy); err != nil {
		return err
	}
	// In a package without a finding these are just the listed files and the
	// evidence; else they are, for review, all that stands in the folder.
	for _, id := range f.entries {
		e := r.entry(id)
		taken := f.envelope != nil && e.ID == f.envelope.ID && (p.envelope != nil || p.torn != nil) ||
			f.evidence != nil && e.ID == f.evidence.ID && p.evidence != nil
		if e.Type == medium.File && !taken {
			p.files = append(p.files, id)
		}
	}
	if err := r.stage(ctx, p); err != nil {
		return err
	}
	// A replay is compared as well: an altered copy of what was accepted is no
	// mere repetition.
	if p.verified.Valid() && p.staged != nil && (p.findings.none() || reasonsOf(p.findings.list) == string(verdict.Replayed)) {
		p.checkContents()
	}
	return r.settle(ctx, p)
}

// keepStray holds what belongs to no package: all of an unknown medium, or the
// extra files of another.
func (r *run) keepStray(ctx context.Context) error {
	p := &pack{report: PackageReport{Verdict: verdict.Held, Findings: []verdict.Finding{}}}
	p.findings.add(r.report.Findings...)
	if r.layout != nil {
		p.files = r.layout.stray
	}
	if err := r.stage(ctx, p); err != nil {
		return err
	}
	return r.settle(ctx, p)
}

// name is what a file is called in the pack: its path below the package folder,
// or, for stray files, its path on its volume.
func (p *pack) name(e *reader.Entry) string {
	if p.folder != nil {
		return p.folder.name(e)
	}
	return fmt.Sprintf("volume%d/%s", e.Volume, e.Path)
}

// entry returns an entry of the listing; its number is its place there.
func (r *run) entry(id uint32) *reader.Entry { return &r.layout.listing.Entries[id] }

// verify reads the envelope and, when its signatures stand, compares its list
// with the folder and its place with what was admitted before. Findings go to
// p; the error is fatal.
func (r *run) verify(ctx context.Context, p *pack, policy Policy) error {
	r.readEnvelope(ctx, p)
	if p.envelope == nil {
		return nil
	}
	var payload *manifest.Payload
	verified, err := manifest.Verify(p.envelope, p.folder.id, policy)
	if err != nil {
		f, ok := verdict.Find(err)
		if !ok {
			return fmt.Errorf("the verifier itself failed: %w", err)
		}
		p.findings.add(*f)
	} else {
		payload = verified.Payload()
		digest := verified.Digest()
		p.verified, p.digest = verified, hex.EncodeToString(digest[:])
		p.report.Kind, p.report.Signer = string(payload.Kind), payload.Signer.StationID
		p.folder.findings = findings{}
		p.folder.compare(payload)
		p.findings.merge(&p.folder.findings)
		if err := r.checkEvidence(ctx, p, policy); err != nil {
			return err
		}
		if f := unsupported(payload); f != nil {
			p.findings.add(*f)
		}
		if f := r.ledger.check(payload, p.digest); f != nil {
			p.findings.add(*f)
		}
	}
	outcome, fields := audit.Success, map[string]string{"after_ms": millis(r.cfg.Now().Sub(r.reading)), "trust_version": strconv.FormatInt(policy.Version(), 10)}
	if payload != nil {
		fields["kind"], fields["election_id"], fields["audience"] = p.report.Kind, payload.ElectionID, payload.Audience
		fields["stream"], fields["package_seq"] = payload.Stream, strconv.FormatInt(payload.Seq, 10)
		fields["key_ids"] = strings.Join(verified.KeyIDs(), ",")
	}
	if !p.findings.none() {
		outcome, fields["reason"] = audit.Failure, reasonsOf(p.findings.all())
		fields["detail"] = p.findings.list[0].Error()
	}
	return r.cfg.Audit.Event(context.WithoutCancel(ctx), audit.Event{ID: audit.PackageVerify, Subject: r.packSubject(p), Outcome: outcome, Fields: fields})
}

// unsupported names what a manifest may ask for and this version does not do.
func unsupported(p *manifest.Payload) *verdict.Finding {
	switch {
	case p.Set.Parts > 1:
		return verdict.New(verdict.ContentInvalid, "set", "the package is part %d of %d, and this version of Sallyport takes only whole packages", p.Set.Part, p.Set.Parts)
	}
	return nil
}

// readEnvelope reads the manifest file into memory; it is small by then.
func (r *run) readEnvelope(ctx context.Context, p *pack) {
	e := p.folder.envelope
	if e == nil || e.Size > manifest.MaxEnvelope {
		return
	}
	body, whole := r.readSmall(ctx, p, e, manifest.MaxEnvelope)
	if whole {
		p.envelope = body
	} else {
		p.torn = body
	}
}

// checkEvidence reads the evidence of a verified package and has the policy
// judge it. The error is fatal.
func (r *run) checkEvidence(ctx context.Context, p *pack, policy Policy) error {
	if e := p.folder.evidence; e != nil {
		if e.Size > limit.EvidenceBytes {
			return nil // found already
		}
		if p.evidence, p.whole = r.readSmall(ctx, p, e, limit.EvidenceBytes); !p.whole {
			return nil
		}
	}
	seen, err := policy.Evidence(p.verified, p.evidence)
	if err == nil && seen != nil && r.cfg.Peers != nil {
		err = r.cfg.Peers(context.WithoutCancel(ctx), seen, p.verified.Payload().Seq)
	}
	if err != nil {
		f, ok := verdict.Find(err)
		if !ok {
			return fmt.Errorf("the verifier itself failed: %w", err)
		}
		p.findings.add(*f)
	}
	return nil
}

// readSmall reads one file into memory. When it cannot be read whole, that is a
// finding, and body what could be read of it, nil when the reader gave nothing.
func (r *run) readSmall(ctx context.Context, p *pack, e *reader.Entry, most int64) (body []byte, whole bool) {
	if r.lost != nil {
		p.findings.add(*r.lost)
		return nil, false
	}
	stream, err := r.session.Read([]uint32{e.ID})
	if err == nil {
		_, _, err = stream.Next()
	}
	if err != nil {
		r.loseReader(ctx, p, err)
		return nil, false
	}
	buf, whole := bytes.NewBuffer(make([]byte, 0, e.Size+bytes.MinRead)), true
	if _, err := buf.ReadFrom(io.LimitReader(stream, most+1)); err != nil {
		p.findings.add(r.fileTrouble(ctx, e, err))
		whole = false
	}
	if _, _, err := stream.Next(); !errors.Is(err, io.EOF) {
		r.loseReader(ctx, p, err)
		whole = false
	}
	return buf.Bytes(), whole
}

// loseReader notes that the reader can give nothing more.
func (r *run) loseReader(ctx context.Context, p *pack, err error) {
	r.lost = r.trouble(ctx, err, verdict.SandboxUnavailable)
	p.findings.add(*r.lost)
}

// trouble is the finding for an error of the reader: every error that comes
// after the station was told to stop may be a consequence of that.
func (r *run) trouble(ctx context.Context, err error, otherwise verdict.Reason) *verdict.Finding {
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	return asFinding(err, otherwise)
}

// fileTrouble is trouble with the content of one file, which it names.
func (r *run) fileTrouble(ctx context.Context, e *reader.Entry, err error) verdict.Finding {
	if ctx.Err() != nil {
		return *stopped(ctx)
	}
	return e.About(*asFinding(err, verdict.Unreadable))
}

// stopped is the finding when ctx has ended: the station stops, or what it needs
// has gone.
func stopped(ctx context.Context) *verdict.Finding {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return verdict.New(verdict.Interrupted, "", "%v", cause)
	}
	return verdict.New(verdict.Interrupted, "", "the station was stopped")
}

func asFinding(err error, otherwise verdict.Reason) *verdict.Finding {
	if f, ok := verdict.Find(err); ok {
		return f
	}
	return verdict.New(otherwise, "", "%v", err)
}

func isReason(err error, r verdict.Reason) bool {
	f, ok := verdict.Find(err)
	return ok && f.Reason == r
}

func reasonsOf(list []verdict.Finding) string {
	set := map[verdict.Reason]bool{}
	for _, f := range list {
		set[f.Reason] = true
	}
	return joinReasons(set)
}

func joinReasons(set map[verdict.Reason]bool) string {
	var out []string
	for r := range set {
		out = append(out, string(r))
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}
