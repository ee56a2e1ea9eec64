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
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

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
	declared := int64(len(p.envelope) + len(p.torn) + len(p.evidence))
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
		stage, err = r.cfg.Vault.Stage(id, int64(len(p.envelope)+len(p.torn)+len(p.evidence)), facts)
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
	if p.evidence != nil {
		var content io.Reader = bytes.NewReader(p.evidence)
		if !p.whole {
			content = io.MultiReader(content, tornReader{})
		}
		if _, err := stage.AddFile(evidenceName, content); err != nil && !errors.Is(err, errTorn) {
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
		e := r.entry(id)
		_, err = stage.AddFile(p.name(e), meter)
		switch {
		case err == nil:
		case meter.err != nil: // of the medium or its reader, not of the store
			p.findings.add(r.fileTrouble(ctx, e, meter.err))
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

// errTorn ends a small file that could not be read whole, so that the vault
// keeps it as partial.
var errTorn = errors.New("the file was not read to its end")

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
		m.run.medium.Progress(Reading, m.run.done, m.run.total)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}
