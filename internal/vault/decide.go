package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

// Staged is a durable item without a decision. It can be read like an Item.
type Staged struct {
	*Item
	v       *Vault
	problem error
}

// Problem returns why the stage ended before its sources did: the store-full
// Finding, the failed write, or ErrPartial when the process that staged it is
// gone; nil otherwise.
func (st *Staged) Problem() error { return st.problem }

// decision is the content of decision.json. It ties the outcome and the item
// together, so that neither can be exchanged, and Check (the SHA-256 of the
// encoding without it) shows damage.
type decision struct {
	V       int64             `json:"v"`
	ID      string            `json:"id"`
	State   State             `json:"state"`
	Item    string            `json:"item_sha256"`
	Outcome string            `json:"outcome_sha256"`
	Reasons []verdict.Finding `json:"reasons"`
	Check   string            `json:"check,omitzero"`
}

func (d *decision) encode() ([]byte, error) {
	d.Check = ""
	b, err := strictjson.Encode(d)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	d.Check = hex.EncodeToString(sum[:])
	return strictjson.Encode(d)
}

func decodeDecision(b []byte) (*decision, error) {
	var d decision
	if err := strictjson.DecodeCanonical(b, &d, MaxRecord); err != nil {
		return nil, err
	}
	again := d
	want, err := again.encode()
	switch {
	case err != nil:
		return nil, err
	case string(want) != string(b):
		return nil, errors.New("it does not match its check")
	case d.V != 1:
		return nil, fmt.Errorf("version %d, want 1", d.V)
	}
	return &d, d.validate()
}

func (d *decision) validate() error {
	if d.State != Held && d.State != Admitted {
		return fmt.Errorf("no state %q", d.State)
	}
	if (d.State == Held) != (len(d.Reasons) > 0) {
		return fmt.Errorf("%d reasons for an item that is %s", len(d.Reasons), d.State)
	}
	for _, r := range d.Reasons {
		if !r.Reason.Valid() {
			return fmt.Errorf("no reason %q", r.Reason)
		}
	}
	return nil
}

// Admit moves a whole item to admitted; one with contents missing is refused
// with ErrPartial, and only Hold takes it.
//
// After an error that is not ErrPartial the item may stand in either place:
// Get says which, and a further Admit or Hold of an item that has not moved is
// allowed.
//
//	write(outcome.json) write(decision.json) rename(staged/ID, admitted/ID)
//	fsync(admitted) fsync(staged), each durable before the next
func (v *Vault) Admit(st *Staged, outcome []byte) (*Item, error) {
	if err := v.decidable(st); err != nil {
		return nil, fmt.Errorf("cannot admit: %w", err)
	}
	files, err := st.Files()
	if err != nil {
		return nil, err
	}
	if st.problem != nil {
		return nil, fmt.Errorf("cannot admit item %s: %w: %w", st.id, ErrPartial, st.problem)
	}
	for i := range files {
		if files[i].Partial {
			return nil, fmt.Errorf("cannot admit item %s: %w: file %d, %s", st.id, ErrPartial, i, verdict.Escape(files[i].Name))
		}
	}
	return v.decide(st, &decision{State: Admitted, Reasons: []verdict.Finding{}}, outcome)
}

// Hold moves an item to held, with at least one reason. Reasons and outcome
// are durable in its folder before it moves. Errors as for Admit.
func (v *Vault) Hold(st *Staged, reasons []verdict.Finding, outcome []byte) (*Item, error) {
	if err := v.decidable(st); err != nil {
		return nil, fmt.Errorf("cannot hold: %w", err)
	}
	d := &decision{State: Held}
	for _, r := range reasons { // foreign text may be quoted in them
		d.Reasons = append(d.Reasons, verdict.Finding{
			Reason: r.Reason,
			Where:  strings.ToValidUTF8(r.Where, "\uFFFD"),
			Detail: strings.ToValidUTF8(r.Detail, "\uFFFD"),
		})
	}
	return v.decide(st, d, outcome)
}

func (v *Vault) decidable(st *Staged) error {
	if st == nil || st.Item == nil || st.v != v {
		return errors.New("not an item that this vault staged")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return os.ErrClosed
	}
	if !v.owned[st.id] {
		return fmt.Errorf("item %s is decided already", st.id)
	}
	return nil
}

func (v *Vault) decide(st *Staged, d *decision, outcome []byte) (*Item, error) {
	if err := v.record(st, d, outcome); err != nil {
		return nil, fmt.Errorf("cannot make item %s %s: %w", st.id, d.State, full(err))
	}
	st.moved(d)
	v.disown(st.id)
	return st.Item, nil
}

func (v *Vault) record(st *Staged, d *decision, outcome []byte) error {
	if len(outcome) > MaxRecord {
		return tooLong("an outcome", len(outcome))
	}
	sum := sha256.Sum256(outcome)
	d.V, d.ID = 1, st.id
	d.Item, d.Outcome = hex.EncodeToString(st.head.sum[:]), hex.EncodeToString(sum[:])
	if err := d.validate(); err != nil {
		return err
	}
	b, err := d.encode()
	if err != nil {
		return err
	}
	if len(b) > MaxRecord {
		return tooLong("reasons", len(b))
	}
	from := filepath.Join(v.dir, stagedDir, st.id)
	if err := v.fs.WriteFile("vault.outcome", filepath.Join(from, outcomeFile), outcome, 0o600); err != nil {
		return err
	}
	if err := v.fs.WriteFile("vault.decision", filepath.Join(from, decisionFile), b, 0o600); err != nil {
		return err
	}
	label := "vault.hold"
	if d.State == Admitted {
		label = "vault.admit"
	}
	return v.fs.Rename(label, from, filepath.Join(v.dir, string(d.State), st.id))
}
