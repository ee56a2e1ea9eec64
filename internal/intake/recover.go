package intake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/ems"
	"sallyport/internal/manifest"
	"sallyport/internal/strictjson"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// maxNote bounds facts and outcomes, in bytes.
const maxNote = 1 << 20

// New returns an Intake after it has finished or undone what a stop of the
// station left open:
//
//   - A staged item whose package the EMS core has already imported is
//     admitted: the import was its point of no return, and every file of it was
//     verified and durable before.
//   - Every other staged item is held as interrupted, with the bytes it has.
//   - Every open intent gets its outcome. The medium without a verdict, of which
//     there is at most one, gets "held", or "refused" when its reading had not
//     begun.
func New(ctx context.Context, cfg Config) (*Intake, error) {
	in := &Intake{cfg: cfg, ledger: newLedger()}
	if err := in.loadLedger(); err != nil {
		return nil, err
	}
	if err := in.recoverItems(ctx); err != nil {
		return nil, fmt.Errorf("cannot recover what the last stop left open: %w", err)
	}
	if err := in.lastVerdict(ctx); err != nil {
		return nil, fmt.Errorf("cannot recover what the last stop left open: %w", err)
	}
	if err := in.closeIntents(ctx); err != nil {
		return nil, fmt.Errorf("cannot recover what the last stop left open: %w", err)
	}
	return in, in.countHeld()
}

// countHeld adds up what the quarantine has. An item that cannot be read is
// left to its reviewer and counts nothing.
func (in *Intake) countHeld() error {
	ids, err := in.cfg.Vault.List(vault.Held)
	if err != nil {
		return err
	}
	for _, id := range ids {
		item, err := in.cfg.Vault.Get(id)
		if err != nil {
			in.cfg.Log.Error().Err(err).Str("item", id).Msg("held item cannot be read")
			continue
		}
		in.held += item.Bytes()
		item.Close()
	}
	return nil
}

// loadLedger reads the outcomes of all admitted items.
func (in *Intake) loadLedger() error {
	ids, err := in.cfg.Vault.List(vault.Admitted)
	if err != nil {
		return err
	}
	outcomes := make([]Outcome, 0, len(ids))
	for _, id := range ids {
		o, err := ReadOutcome(in.cfg.Vault, id)
		if err != nil {
			return err
		}
		if err := in.hasReceipt(o); err != nil {
			return err
		}
		outcomes = append(outcomes, o)
	}
	slices.SortFunc(outcomes, func(a, b Outcome) int {
		if c := strings.Compare(streamKey(a.Station, a.KeyID, a.Stream), streamKey(b.Station, b.KeyID, b.Stream)); c != 0 {
			return c
		}
		return int(a.Seq - b.Seq)
	})
	for _, o := range outcomes {
		in.ledger.advance(o)
	}
	return nil
}

// ErrCoreWentBack means that the EMS core lacks a package that it had imported.
var ErrCoreWentBack = errors.New("the EMS core went back")

// hasReceipt holds an admitted item that was imported against the EMS core.
func (in *Intake) hasReceipt(o Outcome) error {
	if o.Receipt == nil || in.cfg.Core == nil {
		return nil
	}
	receipt, err := in.receipt(o.Digest)
	if err != nil {
		return err
	}
	if receipt == nil {
		return fmt.Errorf("%w: it does not have the package %s, which was imported", ErrCoreWentBack, o.PackageID)
	}
	return nil
}

// ReadOutcome returns the outcome of a decided item.
func ReadOutcome(v *vault.Vault, id string) (Outcome, error) {
	var o Outcome
	item, err := v.Get(id)
	if err != nil {
		return o, err
	}
	defer item.Close()
	body, err := item.Outcome()
	if err == nil {
		err = strictjson.DecodeCanonical(body, &o, maxNote)
	}
	if err != nil {
		return o, fmt.Errorf("cannot read the outcome of item %s: %w", id, err)
	}
	return o, nil
}

// ReadFacts returns what was known of an item when it was staged.
func ReadFacts(item *vault.Item) (ItemFacts, error) {
	var f ItemFacts
	body, err := item.Facts()
	if err == nil {
		err = strictjson.DecodeCanonical(body, &f, maxNote)
	}
	if err != nil {
		return f, fmt.Errorf("cannot read the facts of item %s: %w", item.ID(), err)
	}
	return f, nil
}

func (in *Intake) recoverItems(ctx context.Context) error {
	left, err := in.cfg.Vault.Leftovers()
	if err != nil {
		return err
	}
	for _, l := range left {
		staged, err := in.cfg.Vault.Recover(l.ID, vault.Record{Data: []byte("{}")})
		if err != nil {
			return err
		}
		if err := in.recoverItem(ctx, l, staged); err != nil {
			return err
		}
	}
	return nil
}

func (in *Intake) recoverItem(ctx context.Context, l vault.Leftover, staged *vault.Staged) error {
	facts, ferr := ReadFacts(staged.Item)
	if ferr != nil { // the stop came before the facts were durable
		in.cfg.Log.Warn().Err(ferr).Str("item", l.ID).Msg("leftover without facts")
	}
	subject := audit.Subject{Medium: facts.Medium.ID, Package: facts.Package, Manifest: facts.Digest, Station: facts.Station}
	o, err := in.imported(l, facts, staged)
	if err != nil {
		return err
	}
	action := audit.PackageHold
	fields := map[string]string{"item": l.ID}
	if o != nil {
		action = audit.PackageAdmit
	} else {
		fields["reasons"] = string(verdict.Interrupted)
	}
	digest := staged.Digest()
	if err := in.cfg.Audit.Event(ctx, audit.Event{ID: audit.PackageRecovered, Subject: subject, Fields: map[string]string{
		"item": l.ID, "digest": hex.EncodeToString(digest[:]), "complete": strconv.FormatBool(l.Complete), "action": string(action), "bytes": strconv.FormatInt(l.Bytes, 10),
	}}); err != nil {
		return err
	}
	intent, err := in.cfg.Audit.Intent(ctx, audit.Event{ID: action, Subject: subject, Fields: fields})
	if err != nil {
		return err
	}
	if o == nil {
		reason := *verdict.New(verdict.Interrupted, "", "the station stopped before the package was decided")
		item, err := holdItem(in.cfg.Vault, staged, []verdict.Finding{reason}, Outcome{Verdict: verdict.Held, Intent: intent.Seq(), Recovered: true})
		if err != nil {
			return err
		}
		item.Close()
		return intent.Outcome(ctx, audit.Held, map[string]string{"item": l.ID})
	}
	o.Intent = intent.Seq()
	body, err := strictjson.Encode(*o)
	if err != nil {
		return err
	}
	item, err := in.cfg.Vault.Admit(staged, body)
	if err != nil {
		return err
	}
	item.Close()
	in.ledger.advance(*o)
	return intent.Outcome(ctx, audit.Accepted, map[string]string{"item": l.ID})
}

// imported returns the outcome to complete when the EMS core holds a receipt
// for a leftover that was not admitted yet, else nil. The receipt says that the
// core has the package, not that this item is it: the item is compared with its
// manifest once more.
func (in *Intake) imported(l vault.Leftover, f ItemFacts, staged *vault.Staged) (*Outcome, error) {
	if in.cfg.Core == nil || !l.Complete || l.Damage != nil || f.Digest == "" {
		return nil, nil
	}
	if in.ledger.packages[f.Package] == f.Digest {
		return nil, nil // a copy of what was admitted before
	}
	receipt, err := in.receipt(f.Digest)
	if err != nil || receipt == nil {
		return nil, err
	}
	if err := whole(f, staged); err != nil {
		in.cfg.Log.Warn().Err(err).Str("item", l.ID).Msg("leftover is not the package that was imported")
		return nil, nil
	}
	return &Outcome{Verdict: verdict.Accepted, PackageID: f.Package, Digest: f.Digest, Kind: f.Kind, Station: f.Station, KeyID: f.KeyID, Stream: f.Stream, Seq: f.Seq, Receipt: receipt, Recovered: true}, nil
}

// whole says why a staged item is not, byte for byte, what its manifest lists.
func whole(f ItemFacts, staged *vault.Staged) error {
	if err := staged.Verify(); err != nil {
		return err
	}
	tree, err := staged.FS()
	if err != nil {
		return err
	}
	envelope, err := fs.ReadFile(tree, envelopeName)
	if err != nil {
		return err
	}
	digest, err := hexDigest(f.Digest)
	if err != nil {
		return err
	}
	payload, err := manifest.Recall(envelope, digest)
	if err != nil {
		return err
	}
	files, err := staged.Files()
	if err != nil {
		return err
	}
	var found findings
	compareStored(&found, files, payload.Files, func(name string) string { return name })
	if !found.none() {
		return &found.list[0]
	}
	return nil
}

func hexDigest(s string) (sum [32]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || copy(sum[:], b) != len(sum) || len(b) != len(sum) {
		return sum, fmt.Errorf("%q is no SHA-256", s)
	}
	return sum, nil
}

// receipt is the EMS core's receipt for a payload's digest in hex, nil without one.
func (in *Intake) receipt(digest string) (*ems.Receipt, error) {
	sum, err := hexDigest(digest)
	if in.cfg.Core == nil || err != nil {
		return nil, nil
	}
	receipt, ok, err := in.cfg.Core.Receipt(sum)
	if err != nil || !ok {
		return nil, err
	}
	return &receipt, nil
}

// closeIntents gives every intent that a stop left open its outcome, as the
// vault and the EMS core show it.
func (in *Intake) closeIntents(ctx context.Context) error {
	open, err := in.cfg.Audit.OpenIntents()
	if err != nil {
		return err
	}
	for _, e := range open {
		intent, err := in.cfg.Audit.Resume(e)
		if err != nil {
			return err
		}
		outcome, err := in.outcomeOf(e)
		if err != nil {
			return err
		}
		if err := intent.Outcome(ctx, outcome, map[string]string{"detail": "the station stopped before the outcome was written"}); err != nil {
			return err
		}
	}
	return nil
}

// outcomeOf finds how an action ended whose outcome was not written.
func (in *Intake) outcomeOf(e audit.Entry) (audit.Outcome, error) {
	switch e.Event {
	case audit.PackageAdmit, audit.PackageHold:
		item, err := in.cfg.Vault.Get(e.Fields["item"])
		if err != nil { // there was no room to stage it, or it is damaged
			return audit.Interrupted, nil
		}
		defer item.Close()
		if item.State() == vault.Admitted {
			return audit.Accepted, nil
		}
		return audit.Held, nil
	case audit.EMSImport:
		receipt, err := in.receipt(e.Subject.Manifest)
		if err != nil || receipt != nil {
			return audit.Success, err
		}
	}
	return audit.Interrupted, nil
}

// lastVerdict gives the last medium its verdict when a stop came before it.
// Media come one at a time, and every start does this before it takes one, so
// only the last can lack it; a start of the station that was logged has settled
// everything before.
func (in *Intake) lastVerdict(ctx context.Context) error {
	state := audit.Refused
	for i := in.cfg.Journal.Size() - 1; i >= 0; i-- {
		e, err := in.entry(i)
		if err != nil {
			return err
		}
		switch e.Event {
		case audit.StationStart, audit.MediumVerdict:
			return nil
		case audit.MediumRead:
			state = audit.Held
		case audit.MediumInserted:
			return in.cfg.Audit.Event(ctx, audit.Event{ID: audit.MediumVerdict, Subject: e.Subject, Outcome: state, Fields: map[string]string{
				"reasons": string(verdict.Interrupted),
			}})
		}
	}
	return nil
}
