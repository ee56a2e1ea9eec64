package station

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/evidence"
	"sallyport/internal/limit"
	"sallyport/internal/manifest"
	"sallyport/internal/translog"
	"sallyport/internal/trust"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// bundlePart is the most bytes of a [BundlePart]: encoded it stays below
// control.MaxFrame.
const bundlePart = 4 << 20

// opBundle hands out the evidence about one medium. Everything that is recorded is
// sealed first; the file is held against the check that its receiver will make, and
// one that would be called damaged is not handed out.
func (s *Station) opBundle(ctx context.Context, c *control.Call, a BundleArgs) (any, error) {
	medium, err := s.findMedium(a.Medium)
	if err != nil {
		return nil, err
	}
	if s.trust.Pinned() == nil {
		return nil, control.Failf(control.CodeUnavailable, "this authority has no root yet, and without one nobody can check its evidence: 'sallyport authority init' makes it")
	}
	file, err := s.bundle(ctx, medium)
	if err != nil {
		return nil, err
	}
	rep := evidence.Check(file, evidence.Options{Root: s.trust.Pinned(), Identity: &s.identity.TPM})
	if rep.Result == evidence.Damaged {
		return nil, control.Failf(control.CodeInternal, "this station cannot prove what it knows of medium %s (%s): run 'sallyport-verify log', and 'sallyport quarantine show --verify' on its items", medium, rep.Why)
	}
	sum := sha256.Sum256(file)
	end := &BundleEnd{Bytes: int64(len(file)), SHA256: hex.EncodeToString(sum[:]), Report: rep}
	for len(file) > bundlePart {
		if err := c.Update(BundlePart{Data: file[:bundlePart]}); err != nil {
			return NoArgs{}, nil // he has gone
		}
		file = file[bundlePart:]
	}
	_ = c.Update(BundlePart{Data: file, End: end}) // likewise
	return NoArgs{}, nil
}

// findMedium completes an unambiguous beginning of a medium's id.
func (s *Station) findMedium(start string) (string, error) {
	if id, n, ok := strings.Cut(start, "-"); ok && len(id) == mediumID {
		if _, err := strconv.Atoi(n); err == nil {
			start = id
		}
	}
	if len(start) == mediumID {
		return start, nil
	}
	var found []string
	for e, err := range audit.Query(s.journal, audit.Filter{Event: string(audit.MediumInserted)}) {
		if err != nil {
			return "", logDamaged(err)
		}
		if id := e.Subject.Medium; start != "" && strings.HasPrefix(id, start) && !slices.Contains(found, id) && len(found) < 100 {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", noMedium(start)
	}
	return "", control.Failf(control.CodeUsage, "%d media begin with %q: give more of the id", len(found), verdict.Escape(start))
}

func noMedium(start string) error {
	return control.Failf(control.CodeNotFound, "no medium begins with %q; 'sallyport log show --event medium.inserted' shows them", verdict.Escape(start))
}

// mediumID is the length of a medium's id.
const mediumID = 12

func logDamaged(err error) error {
	return control.Failf(control.CodeUnavailable, "the log is damaged: %v; run 'sallyport-verify log'", err)
}

// bundle makes the evidence about a medium.
func (s *Station) bundle(ctx context.Context, medium string) ([]byte, error) {
	picked, judged, err := s.entriesAbout(medium)
	if err != nil {
		return nil, err
	}
	src := &evidence.Source{Medium: medium}
	if src.Root, err = s.trust.Pinned().Encode(); err != nil {
		return nil, err
	}
	if src.Identity, err = s.identity.TPM.Encode(); err != nil {
		return nil, err
	}
	deliveries, err := s.trustOf(judged)
	if err != nil {
		return nil, err
	}
	if err := s.sealedNow(ctx, src, picked); err != nil {
		return nil, err
	}
	if src.Items, err = s.itemsOf(medium); err != nil {
		return nil, err
	}
	var best []byte
	result := evidence.Damaged
	for _, src.Delivery = range deliveries {
		file, err := evidence.Make(src)
		var over *limit.Exceeded
		switch {
		case errors.As(err, &over):
			return nil, control.Failf(control.CodeOverLimit, "%v", err)
		case err != nil:
			return nil, control.Failf(control.CodeUnavailable, "%v", err)
		}
		if len(deliveries) == 1 {
			return file, nil
		}
		got := evidence.Check(file, evidence.Options{Root: s.trust.Pinned()}).Result
		if best == nil || got == evidence.Intact || got == evidence.Unchecked && result == evidence.Damaged {
			best, result = file, got
		}
		if result == evidence.Intact {
			break
		}
	}
	return best, nil
}

// entriesAbout picks the entries about a medium, and finds the version of the trust
// bundle that judged it; -1 when no manifest was judged.
func (s *Station) entriesAbout(medium string) (picked []int64, judged int64, err error) {
	sel, judged := evidence.NewSelector(medium), int64(-1)
	for e, err := range audit.Query(s.journal, audit.Filter{}) {
		if err == nil {
			err = sel.Take(&e)
		}
		if errors.Is(err, translog.ErrTampered) {
			return nil, 0, logDamaged(err)
		}
		if err != nil {
			return nil, 0, err
		}
		if e.Event == audit.PackageVerify && e.Subject.Medium == medium {
			if n, err := strconv.ParseInt(e.Fields["trust_version"], 10, 64); err == nil {
				judged = n
			}
		}
	}
	picked, err = sel.Picked()
	if errors.Is(err, evidence.ErrNoMedium) {
		return nil, 0, noMedium(medium)
	}
	if err != nil {
		return nil, 0, control.Failf(control.CodeUnavailable, "there is no evidence about medium %s yet: %v", medium, err)
	}
	return picked, judged, nil
}

// sealedNow seals the log and proves the entries under that checkpoint. Another
// checkpoint may come between it and its anchor; then it begins again.
func (s *Station) sealedNow(ctx context.Context, src *evidence.Source, picked []int64) error {
	const tries = 5
	for range tries {
		if err := s.checkpoint(ctx); err != nil {
			return refused(err)
		}
		c, note, _ := s.journal.LastCheckpoint()
		anchor, ok, err := s.journal.LastAnchor()
		if err != nil {
			return err
		}
		if _, err := s.identity.TPM.CheckAnchor(sha256.Sum256(note), anchor); !ok || err != nil {
			continue
		}
		src.Checkpoint, src.Anchor, src.Entries = note, anchor, nil
		for _, i := range picked {
			e, err := s.proven(c.Size, i)
			if err != nil {
				return err
			}
			src.Entries = append(src.Entries, e)
		}
		return nil
	}
	return control.Failf(control.CodeUnavailable, "the log is sealed again and again by other work: try once more")
}

// proven is an entry with its proof in the tree of the first size entries.
func (s *Station) proven(size, i int64) (evidence.Entry, error) {
	raw, err := s.journal.Entry(i)
	if err != nil {
		return evidence.Entry{}, logDamaged(err)
	}
	proof, err := s.journal.ProveEntry(size, i)
	if err != nil {
		return evidence.Entry{}, err
	}
	e := evidence.Entry{Index: i, Entry: bytes.Clone(raw.Data), Proof: []byte{}}
	for _, h := range proof {
		e.Proof = append(e.Proof, h[:]...)
	}
	return e, nil
}

// trustOf finds the trust bundle of a version, -1 for any: the installed one, or
// one from before. The installed one comes after that, for a station which was not
// enrolled then; the check says that it is not the one of then.
func (s *Station) trustOf(version int64) ([]trust.Delivery, error) {
	rotations := trust.Delivery{Rotations: s.trust.Rotations()}
	if version == 0 {
		return []trust.Delivery{rotations}, nil
	}
	installed, err := s.trust.Installed()
	if f, ok := verdict.Find(err); ok && f.Reason == verdict.TrustMissing {
		return []trust.Delivery{rotations}, nil
	}
	if err != nil || version < 0 || version == s.trustVersion() {
		return []trust.Delivery{installed}, err
	}
	past, err := s.trust.Past(version)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return []trust.Delivery{installed}, nil
	case err != nil:
		return nil, control.Failf(control.CodeUnavailable, "the trust bundle of then is damaged: %v; move it away, and the evidence has the installed one, which may show less", err)
	}
	return []trust.Delivery{past, installed}, nil
}

// itemsOf reads what the vault has of a medium.
func (s *Station) itemsOf(medium string) ([]evidence.Item, error) {
	var out []evidence.Item
	room := limit.NewBudget("bytes of a file of evidence", evidence.MaxFile)
	for _, state := range []vault.State{vault.Held, vault.Admitted} {
		ids, err := s.vault.List(state)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if !strings.HasPrefix(id, medium+"-") {
				continue
			}
			it, err := s.itemOf(id, room)
			if err != nil {
				return nil, err
			}
			out = append(out, *it)
		}
	}
	return out, nil
}

// itemOf reads one item: everything but the contents of its files.
func (s *Station) itemOf(id string, room *limit.Budget) (*evidence.Item, error) {
	damaged := func(err error) error {
		return control.Failf(control.CodeUnavailable, "item %s cannot be read: %v; 'sallyport quarantine show --verify' says more", id, err)
	}
	item, err := s.vault.Get(id)
	if err != nil {
		return nil, damaged(err)
	}
	defer item.Close()
	out := &evidence.Item{ID: id, Findings: slices.Clone(item.Reasons())}
	if out.Facts, err = item.Facts(); err != nil {
		return nil, damaged(err)
	}
	record, err := item.Record()
	if err != nil {
		return nil, damaged(err)
	}
	files, err := item.Files()
	if err != nil {
		return nil, damaged(err)
	}
	sum := sha256.Sum256(record)
	out.Listing = evidence.Listing{Cut: item.Cut(), Record: hex.EncodeToString(sum[:]), Files: make([]evidence.Stored, len(files))}
	for i, f := range files {
		out.Listing.Files[i] = evidence.Stored{Name: f.Name, Size: f.Size, SHA256: hex.EncodeToString(f.SHA256[:]), Partial: f.Partial}
	}
	for _, want := range []struct {
		name string
		most int64
		to   *[]byte
	}{{"manifest.dsse.json", manifest.MaxEnvelope, &out.Manifest}, {"evidence.json", limit.EvidenceBytes, &out.Evidence}} {
		i := slices.IndexFunc(files, func(f vault.Stored) bool { return f.Name == want.name })
		if i < 0 || files[i].Partial || files[i].Size > want.most {
			continue
		}
		if err := room.Take(files[i].Size); err != nil {
			return nil, err
		}
		if *want.to, err = readStored(item, i, &files[i]); err != nil {
			return nil, damaged(err)
		}
	}
	return out, nil
}

// readStored reads a small stored file and compares its hash.
func readStored(item *vault.Item, i int, f *vault.Stored) ([]byte, error) {
	r, err := item.OpenEntry(i)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, f.Size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != f.SHA256 {
		return nil, fmt.Errorf("%s does not match its SHA-256", f.Name)
	}
	return data, nil
}
