package intake

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/ems"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// pack is one package, or the stray files of a medium, on its way to the vault.
type pack struct {
	report   PackageReport
	folder   *folder // nil for stray files
	findings findings
	envelope []byte
	verified *manifest.Verified
	digest   string
	files    []wanted
	staged   *vault.Staged
}

// wanted is one file to be read from the medium and its name in the pack.
type wanted struct {
	id   uint32
	name string
	size int64
}

// takePackage brings one package folder to its verdict.
func (r *run) takePackage(ctx context.Context, f *folder, policy manifest.Policy) error {
	p := &pack{folder: f, report: PackageReport{Package: f.id, Verdict: verdict.Held, Findings: []verdict.Finding{}}}
	p.findings.add(f.findings.all()...)
	p.findings.add(r.report.Findings...)
	if err := r.verify(ctx, p, policy); err != nil {
		return err
	}
	if p.findings.none() {
		for _, file := range p.verified.Payload().Files {
			p.files = append(p.files, wanted{f.data[file.Path].ID, dataFolder + file.Path, file.Size})
		}
		if f.evidence != nil {
			p.files = append(p.files, wanted{f.evidence.ID, evidenceName, f.evidence.Size})
		}
	} else {
		for _, e := range f.all { // for review: all that stands in the folder
			if f.envelope == nil || e.ID != f.envelope.ID {
				p.files = append(p.files, wanted{e.ID, f.names[e.ID], e.Size})
			}
		}
	}
	if err := r.stage(ctx, p); err != nil {
		return err
	}
	if p.findings.none() {
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
		for _, e := range r.layout.stray {
			p.files = append(p.files, wanted{e.ID, fmt.Sprintf("volume%d/%s", e.Volume, e.Path), e.Size})
		}
	}
	if err := r.stage(ctx, p); err != nil {
		return err
	}
	return r.settle(ctx, p)
}

// verify reads the envelope and, when its signatures stand, compares its list
// with the folder and its place with what was admitted before. Findings go to
// p; the error is fatal.
func (r *run) verify(ctx context.Context, p *pack, policy manifest.Policy) error {
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
		p.findings.add(p.folder.findings.all()...)
		if f := unsupported(payload); f != nil {
			p.findings.add(*f)
		}
		if f := r.ledger.check(payload, p.digest); f != nil {
			p.findings.add(*f)
		}
	}
	outcome, fields := audit.Success, map[string]string{}
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
	case p.Supersedes != "":
		return verdict.New(verdict.ContentInvalid, "supersedes", "the package replaces an accepted one, which this version of Sallyport cannot take back")
	case p.Set.Parts > 1:
		return verdict.New(verdict.ContentInvalid, "set", "the package is part %d of %d, and this version of Sallyport takes only whole packages", p.Set.Part, p.Set.Parts)
	case p.Kind == manifest.TrustBundle:
		return verdict.New(verdict.SignerNotPermitted, "kind", "trust bundles are installed with 'sallyport trust install'")
	}
	return nil
}

// readEnvelope reads the manifest file into memory; it is small by then.
func (r *run) readEnvelope(ctx context.Context, p *pack) {
	e := p.folder.envelope
	if e == nil || e.Size > manifest.MaxEnvelope {
		return
	}
	if r.lost != nil {
		p.findings.add(*r.lost)
		return
	}
	stream, err := r.session.Read([]uint32{e.ID})
	if err == nil {
		_, _, err = stream.Next()
	}
	if err != nil {
		r.loseReader(ctx, p, err)
		return
	}
	body := make([]byte, 0, e.Size+bytes.MinRead)
	buf := bytes.NewBuffer(body)
	if _, err := buf.ReadFrom(io.LimitReader(stream, manifest.MaxEnvelope+1)); err != nil {
		p.findings.add(*asFinding(err, verdict.Unreadable))
		return
	}
	if _, _, err := stream.Next(); !errors.Is(err, io.EOF) {
		r.loseReader(ctx, p, err)
		return
	}
	p.envelope = buf.Bytes()
}

// loseReader notes that the reader can give nothing more.
func (r *run) loseReader(ctx context.Context, p *pack, err error) {
	f := asFinding(err, verdict.SandboxUnavailable)
	if ctx.Err() != nil {
		f = verdict.New(verdict.Interrupted, "", "the station was stopped")
	}
	r.lost = f
	p.findings.add(*f)
}

// stage copies the wanted files into the vault, once, and commits them. Every
// trouble with the medium or with room becomes a finding; the error is fatal.
func (r *run) stage(ctx context.Context, p *pack) error {
	r.dropWhatIsTooMuch(p)
	r.items++
	id := fmt.Sprintf("%s-%d", r.report.Medium.ID, r.items)
	facts, err := strictjson.Encode(r.itemFacts(p))
	if err != nil {
		return err
	}
	declared := int64(len(p.envelope))
	for _, w := range p.files {
		declared += w.size
	}
	intent, err := r.cfg.Audit.Intent(context.WithoutCancel(ctx), audit.Event{ID: audit.PackageStage, Subject: r.packSubject(p), Fields: map[string]string{
		"item": id, "files": strconv.Itoa(len(p.files)), "bytes": strconv.FormatInt(declared, 10),
	}})
	if err != nil {
		return err
	}
	stage, err := r.cfg.Vault.Stage(id, declared, facts)
	if isReason(err, verdict.StoreFull) && len(p.files) > 0 {
		// Keep at least the manifest: the medium itself still has the rest.
		p.findings.add(*asFinding(err, verdict.StoreFull))
		p.files = nil
		stage, err = r.cfg.Vault.Stage(id, int64(len(p.envelope)), facts)
	}
	if isReason(err, verdict.StoreFull) {
		p.findings.add(*asFinding(err, verdict.StoreFull))
		return intent.Outcome(context.WithoutCancel(ctx), audit.Failure, map[string]string{"item": id, "reason": string(verdict.StoreFull)})
	}
	if err != nil {
		return err
	}
	p.report.Item = id
	if err := r.fill(ctx, p, stage); err != nil {
		return err
	}
	p.staged, err = stage.Commit(vault.Record{Data: []byte("{}")})
	if err != nil {
		return err
	}
	if err := p.staged.Problem(); err != nil {
		p.findings.add(*asFinding(err, verdict.StoreFull))
	}
	p.report.Files, p.report.Bytes = int64(p.staged.Count()), p.staged.Bytes()
	r.report.Files += p.report.Files
	r.report.Bytes += p.report.Bytes
	return intent.Outcome(context.WithoutCancel(ctx), audit.Success, map[string]string{
		"item": id, "files": strconv.FormatInt(p.report.Files, 10), "bytes": strconv.FormatInt(p.report.Bytes, 10),
	})
}

// fill writes the envelope and the wanted files into the stage. The manifest
// goes first, from memory: the medium is read once.
func (r *run) fill(ctx context.Context, p *pack, stage *vault.Stage) error {
	if p.envelope != nil {
		if _, err := stage.AddFile(envelopeName, bytes.NewReader(p.envelope)); err != nil {
			return r.stageTrouble(p, err)
		}
	}
	if len(p.files) == 0 {
		return nil
	}
	if r.lost != nil {
		p.findings.add(*r.lost)
		return nil
	}
	names := make(map[uint32]string, len(p.files))
	ids := make([]uint32, 0, len(p.files))
	for _, w := range p.files {
		names[w.id] = w.name
		ids = append(ids, w.id)
	}
	stream, err := r.session.Read(ids)
	if err != nil {
		r.loseReader(ctx, p, err)
		return nil
	}
	meter := &meter{r: stream, run: r}
	for {
		id, _, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			r.loseReader(ctx, p, err)
			return nil
		}
		if _, err := stage.AddFile(names[id], meter); err != nil {
			if fatal := r.stageTrouble(p, err); fatal != nil {
				return fatal
			}
			if isReason(err, verdict.StoreFull) || isReason(err, verdict.OverLimit) {
				r.lost = verdict.New(verdict.StoreFull, "", "reading was ended because the store had no room")
				return nil
			}
		}
	}
}

// stageTrouble turns an error of a stage into a finding, or returns it when it
// is none: then the store itself is in doubt.
func (r *run) stageTrouble(p *pack, err error) error {
	f, ok := verdict.Find(err)
	if !ok {
		return err
	}
	p.findings.add(*f)
	return nil
}

// dropWhatIsTooMuch bounds what is kept of media that are held.
func (r *run) dropWhatIsTooMuch(p *pack) {
	if p.verified != nil && p.findings.none() {
		return
	}
	var sum int64
	for _, w := range p.files {
		if w.size < 0 || w.size > r.cfg.QuarantineMax-sum {
			p.findings.add(*verdict.New(verdict.OverLimit, "", "the files have more than %d bytes, the most that is kept of a held medium; they stay on the medium", r.cfg.QuarantineMax))
			p.files = nil
			return
		}
		sum += w.size
	}
}

// checkContents compares what is stored with what was signed.
func (p *pack) checkContents() {
	files, err := p.staged.Files()
	if err != nil {
		p.findings.add(*verdict.New(verdict.Unreadable, "", "%v", err))
		return
	}
	stored := make(map[string]vault.Stored, len(files))
	for _, f := range files {
		stored[f.Name] = f
	}
	for _, want := range p.verified.Payload().Files {
		have, ok := stored[dataFolder+want.Path]
		where := p.folder.where(dataFolder + want.Path)
		switch {
		case !ok || have.Partial:
			p.findings.add(*verdict.New(verdict.Unreadable, where, "it was not read to its end"))
		case have.Size != want.Size:
			p.findings.add(*verdict.New(verdict.FileAltered, where, "%d bytes came from the medium, signed were %d", have.Size, want.Size))
		case hex.EncodeToString(have.SHA256[:]) != want.SHA256:
			p.findings.add(*verdict.New(verdict.FileAltered, where, "its SHA-256 is %x, signed was %s", have.SHA256, want.SHA256))
		}
	}
}

// settle admits the package or holds it.
func (r *run) settle(ctx context.Context, p *pack) error {
	if ctx.Err() != nil {
		p.findings.add(*verdict.New(verdict.Interrupted, "", "the station was stopped"))
	}
	// From here on the work is short and ends even when the daemon is told to stop.
	ctx = context.WithoutCancel(ctx)
	if p.findings.none() {
		if f := r.askTPM(ctx); f != nil {
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

// admit hands the package to the core and moves it to admitted. When the core
// refuses its content, that is a finding and nothing has changed.
func (r *run) admit(ctx context.Context, p *pack) error {
	intent, err := r.cfg.Audit.Intent(ctx, audit.Event{ID: audit.PackageAdmit, Subject: r.packSubject(p), Fields: map[string]string{"item": p.report.Item, "kind": p.report.Kind}})
	if err != nil {
		return err
	}
	receipt, refusal, err := r.importPackage(ctx, p)
	if err != nil {
		return err
	}
	if refusal != nil {
		p.findings.add(*refusal)
		return intent.Outcome(ctx, audit.Held, map[string]string{"item": p.report.Item, "reason": string(refusal.Reason), "detail": refusal.Error()})
	}
	payload := p.verified.Payload()
	o := Outcome{Verdict: verdict.Accepted, PackageID: payload.PackageID, Digest: p.digest, Kind: string(payload.Kind), Station: payload.Signer.StationID,
		Stream: payload.Stream, Seq: payload.Seq, Intent: intent.Seq(), Receipt: receipt}
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

// importPackage imports what is for the EMS core. It returns no receipt for
// other kinds and a finding when the core refuses the content.
func (r *run) importPackage(ctx context.Context, p *pack) (*ems.Receipt, *verdict.Finding, error) {
	if r.cfg.Core == nil {
		return nil, nil, nil
	}
	payload := p.verified.Payload()
	whole, err := p.staged.FS()
	if err != nil {
		return nil, nil, err
	}
	data, err := fs.Sub(whole, strings.TrimSuffix(dataFolder, "/"))
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
		f.Digest, f.Kind, f.Station, f.Stream, f.Seq = p.digest, string(payload.Kind), payload.Signer.StationID, payload.Stream, payload.Seq
	}
	return f
}

func (r *run) packSubject(p *pack) audit.Subject {
	s := r.subject()
	s.Package, s.Manifest, s.Station = p.report.Package, p.digest, p.report.Signer
	return s
}

// meter counts what is read for the progress display.
type meter struct {
	r    io.Reader
	run  *run
	last time.Time
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.run.done += int64(n)
	if now := time.Now(); now.Sub(m.last) > 200*time.Millisecond {
		m.last = now
		m.run.medium.Progress("reading", m.run.done, m.run.total)
	}
	return n, err
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
