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
	"sallyport/internal/medium"
	"sallyport/internal/reader"
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
	torn     []byte // what could be read of an envelope that cannot be read whole
	verified *manifest.Verified
	digest   string
	files    []uint32 // entries to be read, by number in the listing
	staged   *vault.Staged
}

// takePackage brings one package folder to its verdict.
func (r *run) takePackage(ctx context.Context, f *folder, policy manifest.Policy) error {
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
		if e.Type == medium.File && (f.envelope == nil || e.ID != f.envelope.ID || (p.envelope == nil && p.torn == nil)) {
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
		p.findings.merge(&p.folder.findings)
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
		p.findings.add(*r.trouble(ctx, err, verdict.Unreadable))
		p.torn = buf.Bytes()
	}
	if _, _, err := stream.Next(); !errors.Is(err, io.EOF) {
		r.loseReader(ctx, p, err)
		p.torn = buf.Bytes()
	}
	if p.torn == nil {
		p.envelope = buf.Bytes()
	}
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
		return stopped()
	}
	return asFinding(err, otherwise)
}

func stopped() *verdict.Finding {
	return verdict.New(verdict.Interrupted, "", "the station was stopped")
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
	declared := int64(len(p.envelope) + len(p.torn))
	for _, id := range p.files {
		declared += r.entry(id).Size
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
		stage, err = r.cfg.Vault.Stage(id, int64(len(p.envelope)+len(p.torn)), facts)
	}
	if isReason(err, verdict.StoreFull) {
		p.findings.add(*asFinding(err, verdict.StoreFull))
		return intent.Outcome(context.WithoutCancel(ctx), audit.Failure, map[string]string{"item": id, "reason": string(verdict.StoreFull)})
	}
	if err != nil {
		return err
	}
	p.report.Item = id
	ferr := r.fill(ctx, p, stage)
	// Committed in any case: what was read is evidence, and a stage that is left
	// open keeps the vault from closing.
	p.staged, err = stage.Commit(vault.Record{Data: []byte("{}")})
	if ferr != nil {
		return errors.Join(ferr, err)
	}
	if isReason(err, verdict.StoreFull) {
		// The bytes stand in the vault without an index; the next start holds them.
		p.findings.add(*asFinding(err, verdict.StoreFull))
		return intent.Outcome(context.WithoutCancel(ctx), audit.Failure, map[string]string{"item": id, "reason": string(verdict.StoreFull), "detail": err.Error()})
	}
	if err != nil {
		return err
	}
	if err := p.staged.Problem(); err != nil {
		if !isReason(err, verdict.StoreFull) {
			return fmt.Errorf("the store failed: %w", err)
		}
		p.findings.add(*asFinding(err, verdict.StoreFull))
	}
	digest := p.staged.Digest()
	p.report.Files, p.report.Bytes = int64(p.staged.Count()), p.staged.Bytes()
	r.report.Files += p.report.Files
	r.report.Bytes += p.report.Bytes
	return intent.Outcome(context.WithoutCancel(ctx), audit.Success, map[string]string{
		"item": id, "files": strconv.FormatInt(p.report.Files, 10), "bytes": strconv.FormatInt(p.report.Bytes, 10),
		"digest": hex.EncodeToString(digest[:]),
	})
}

// fill writes the envelope and the wanted files into the stage. The manifest
// goes first, from memory: the medium is read once.
func (r *run) fill(ctx context.Context, p *pack, stage *vault.Stage) error {
	if p.envelope != nil {
		if _, err := stage.AddFile(envelopeName, bytes.NewReader(p.envelope)); err != nil {
			return stageTrouble(p, err)
		}
		p.envelope = nil // up to 40 MiB, and in the pack by now
	}
	if p.torn != nil {
		if _, err := stage.AddFile(envelopeName, io.MultiReader(bytes.NewReader(p.torn), tornReader{})); err != nil && !errors.Is(err, errTorn) {
			return stageTrouble(p, err)
		}
	}
	if len(p.files) == 0 {
		return nil
	}
	if r.lost != nil {
		p.findings.add(*r.lost)
		return nil
	}
	stream, err := r.session.Read(p.files)
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
		meter.err = nil
		_, err = stage.AddFile(p.name(r.entry(id)), meter)
		switch {
		case err == nil:
		case meter.err != nil: // of the medium or its reader, not of the store
			p.findings.add(*r.trouble(ctx, meter.err, verdict.Unreadable))
		case isReason(err, verdict.StoreFull):
			p.findings.add(*asFinding(err, verdict.StoreFull))
			r.lost = verdict.New(verdict.StoreFull, "", "reading was ended because the store had no room")
			return nil
		default:
			if fatal := stageTrouble(p, err); fatal != nil {
				return fatal
			}
		}
	}
}

// errTorn ends an envelope that could not be read whole, so that the vault
// keeps it as partial.
var errTorn = errors.New("the manifest was not read to its end")

type tornReader struct{}

func (tornReader) Read([]byte) (int, error) { return 0, errTorn }

// stageTrouble turns an error of a stage into a finding, or returns it when it
// is none: then the store itself is in doubt.
func stageTrouble(p *pack, err error) error {
	f, ok := verdict.Find(err)
	if !ok {
		return err
	}
	p.findings.add(*f)
	return nil
}

// dropWhatIsTooMuch bounds what is kept in quarantine.
func (r *run) dropWhatIsTooMuch(p *pack) {
	if p.verified != nil && p.findings.none() {
		return
	}
	var sum int64
	room := max(0, r.cfg.QuarantineMax-r.held)
	for _, id := range p.files {
		size := r.entry(id).Size
		if size < 0 || size > room-sum {
			p.findings.add(*verdict.New(verdict.OverLimit, "", "the quarantine may have %d bytes and has room for %d: the files stay on the medium", r.cfg.QuarantineMax, room))
			p.files = nil
			return
		}
		sum += size
	}
}

// checkContents compares what is stored with what was signed.
func (p *pack) checkContents() {
	files, err := p.staged.Files()
	if err != nil {
		p.findings.add(*verdict.New(verdict.Unreadable, "", "%v", err))
		return
	}
	compareStored(&p.findings, files, p.verified.Payload().Files, p.folder.where)
}

// compareStored compares what the vault hashed while it stored it with what was
// signed: all of it, no more and no other bytes. Both lists name a file by its
// path, the stored one below data/.
func compareStored(fs *findings, stored []vault.Stored, signed []manifest.File, where func(string) string) {
	checked := make([]bool, len(signed))
	for _, have := range stored {
		path, ok := strings.CutPrefix(have.Name, dataFolder)
		if !ok || have.Partial {
			continue
		}
		i, ok := slices.BinarySearchFunc(signed, path, func(f manifest.File, path string) int { return strings.Compare(f.Path, path) })
		if !ok || checked[i] {
			fs.add(*verdict.New(verdict.FileExtra, where(have.Name), "it was stored although the manifest does not list it"))
			continue
		}
		checked[i] = true
		switch want := signed[i]; {
		case have.Size != want.Size:
			fs.add(*verdict.New(verdict.FileAltered, where(have.Name), "%d bytes came from the medium, signed were %d", have.Size, want.Size))
		case hex.EncodeToString(have.SHA256[:]) != want.SHA256:
			fs.add(*verdict.New(verdict.FileAltered, where(have.Name), "its SHA-256 is %x, signed was %s", have.SHA256, want.SHA256))
		}
	}
	for i, ok := range checked {
		if !ok {
			fs.add(*verdict.New(verdict.Unreadable, where(dataFolder+signed[i].Path), "it was not read to its end"))
		}
	}
}

// settle admits the package or holds it.
func (r *run) settle(ctx context.Context, p *pack) error {
	if ctx.Err() != nil {
		p.findings.add(*stopped())
	}
	// From here on the work is short and ends even when the daemon is told to stop.
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
		KeyID: payload.Signer.KeyID, Stream: payload.Stream, Seq: payload.Seq, Intent: intent.Seq(), Receipt: receipt}
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

// meter counts what is read for the progress display.
type meter struct {
	r    io.Reader
	run  *run
	last time.Time
	err  error // what ended the file, when that was not its end
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.run.done += int64(n)
	if now := time.Now(); now.Sub(m.last) > 200*time.Millisecond {
		m.last = now
		m.run.medium.Progress("reading", m.run.done, m.run.total)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
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
