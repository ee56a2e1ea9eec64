// Package audit writes and reads the station's audit log: what happened, in
// entries of a closed catalogue, over the Merkle log of package translog. An
// intent is durable before an action begins and its outcome after it ended, so
// that a start after a crash knows what was under way. It does not decide
// anything and never carries votes or secrets; foreign text in a field is
// escaped and cut, an event or field outside the catalogue is an error of the
// caller. An error of the [Recorder] means that the log can no longer be
// relied on: the daemon must stop. Entries that are read back are as untrusted
// as the log they come from; [Verify] checks both.
package audit

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/translog"
)

// Reading is one look at the clocks.
type Reading struct {
	Wall time.Time
	// Mono is the time since boot, suspend included.
	Mono time.Duration
	// Trusted says that the station vouches for Wall.
	Trusted bool
}

// Options of [Open]. The zero value is what production uses.
type Options struct {
	// Clock replaces the system's clocks; nil reads them.
	Clock func() Reading
	// Boot replaces the kernel's boot id; "" reads it.
	Boot string
	// OldKeys are keys of this station, besides the signer's, that may have
	// signed the last checkpoint.
	OldKeys []*ecdsa.PublicKey
}

// Event is what a caller wants recorded.
type Event struct {
	ID      EventID
	Subject Subject
	Outcome Outcome // empty for intents and for plain facts
	Fields  map[string]string
}

// Recorder is the only writer of an audit log. It is safe for concurrent use.
// Every error it returns, but for a misuse of the catalogue, is final.
type Recorder struct {
	log    *translog.Log
	signer translog.Signer
	clock  func() Reading
	boot   string

	mu     sync.Mutex
	failed error
	state  state
}

// Open begins a run of the recorder: it checks that the last checkpoint was
// signed by this station, finds the intents without outcome, records that the
// log was opened and what was cut off as an interrupted write, and seals all
// of it with a checkpoint. The log stays the caller's to close.
func Open(ctx context.Context, log *translog.Log, signer translog.Signer, opt Options) (*Recorder, error) {
	r := &Recorder{log: log, signer: signer, clock: opt.Clock, boot: opt.Boot}
	if r.clock == nil {
		r.clock = systemClock
	}
	if r.boot == "" {
		b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return nil, fmt.Errorf("cannot open the audit log: %w", err)
		}
		r.boot = strings.TrimSpace(string(b))
	}
	if err := checkLast(log, append([]*ecdsa.PublicKey{signer.Public()}, opt.OldKeys...)); err != nil {
		return nil, fmt.Errorf("cannot open the audit log: %w", err)
	}
	var err error
	if r.state, err = readState(log); err != nil {
		return nil, fmt.Errorf("cannot open the audit log: %w", err)
	}
	if err := r.recordOpening(); err != nil {
		return nil, fmt.Errorf("cannot open the audit log: %w", err)
	}
	if err := r.Checkpoint(ctx); err != nil {
		return nil, fmt.Errorf("cannot open the audit log: %w", err)
	}
	return r, nil
}

// Boot is the boot id that the entries of this run carry.
func (r *Recorder) Boot() string { return r.boot }

// Latest is the latest time that an entry carries and the station vouches for,
// UTC; the zero time when there is none. A clock that stands before it went back.
func (r *Recorder) Latest() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, err := time.Parse(wallFormat, r.state.floor)
	if err != nil {
		return time.Time{}
	}
	return t
}

// checkLast refuses a log whose last checkpoint is not this station's: sealing
// on top of it would vouch for what somebody else wrote.
func checkLast(log *translog.Log, pubs []*ecdsa.PublicKey) error {
	_, signed, ok := log.LastCheckpoint()
	if !ok {
		return nil
	}
	keys, err := translog.NewKeys(log.Origin(), pubs...)
	if err != nil {
		return err
	}
	if _, err := keys.Open(signed); err != nil {
		return &translog.Damage{File: "checkpoints", Entry: -1, Until: -1, Detail: "the last checkpoint: " + err.Error()}
	}
	return nil
}

func systemClock() Reading {
	var ts unix.Timespec
	now := Reading{Wall: time.Now(), Trusted: true}
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err == nil {
		now.Mono = time.Duration(ts.Nano())
	}
	return now
}

// recordOpening writes log.opened and one log.recovered for each torn tail, in
// one append, and only then lets the log forget the tails.
func (r *Recorder) recordOpening() error {
	size := r.log.Size()
	fields := map[string]string{"entries": strconv.FormatInt(size, 10), "sealed": "0"}
	if c, _, ok := r.log.LastCheckpoint(); ok {
		fields["sealed"] = strconv.FormatInt(c.Size, 10)
	}
	rec := r.log.Recovery()
	if rec.HashesRebuilt {
		fields["hashes_rebuilt"] = "yes"
	}
	r.state.summary(fields)
	events := []Event{{ID: LogOpened, Fields: fields}}
	for _, c := range rec.Cuts {
		events = append(events, Event{ID: LogRecovered, Fields: map[string]string{
			"file":   c.File,
			"offset": strconv.FormatInt(c.Offset, 10),
			"bytes":  strconv.FormatInt(c.Bytes, 10),
			"entry":  strconv.FormatInt(c.Entry, 10),
			"intact": strconv.FormatInt(c.Intact, 10),
			"kept":   c.Kept,
			"detail": c.Detail,
		}})
	}
	entries := make([]Entry, len(events))
	for i, ev := range events {
		entries[i] = Entry{Event: ev.ID, Phase: PhaseEvent, Fields: ev.Fields}
	}
	r.mu.Lock()
	_, err := r.write(entries...)
	r.mu.Unlock()
	if err != nil || len(rec.Cuts) == 0 {
		return err
	}
	return r.log.AcknowledgeRecovery()
}

// write stamps and appends entries; r.mu is held. It returns the first seq.
func (r *Recorder) write(entries ...Entry) (int64, error) {
	if r.failed != nil {
		return 0, fmt.Errorf("cannot write the audit log: it failed before: %w", r.failed)
	}
	first := r.log.Size()
	next := r.state
	data := make([][]byte, len(entries))
	for i := range entries {
		e := &entries[i]
		e.Seq, e.Boot = first+int64(i), r.boot
		e.Subject, e.Fields = e.Subject.cleaned(), cleanFields(e.Fields)
		next.stamp(e, r.clock())
		var err error
		if data[i], err = e.Encode(); err != nil {
			return 0, fmt.Errorf("cannot record %s: %w", e.Event, err)
		}
	}
	at, err := r.log.Append(data...)
	if err == nil && at != first {
		err = fmt.Errorf("entry %d was stored as %d: somebody else writes to the log", first, at)
	}
	if err != nil {
		r.failed = err
		return 0, fmt.Errorf("cannot write the audit log: %w", err)
	}
	r.state = next
	return first, nil
}

// Event records a single fact, durably. It takes no notice of ctx: an entry
// that is due at shutdown is written all the same.
func (r *Recorder) Event(ctx context.Context, ev Event) error {
	_, err := r.Record(ctx, ev)
	return err
}

// Record is [Recorder.Event] and returns the entry's seq.
func (r *Recorder) Record(_ context.Context, ev Event) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.write(Entry{Event: ev.ID, Phase: PhaseEvent, Subject: ev.Subject, Outcome: ev.Outcome, Fields: ev.Fields})
}

// Intent is an action that was announced. Only the recorder makes one; the
// zero value is refused.
type Intent struct {
	r       *Recorder
	seq     int64
	id      EventID
	subject Subject
}

// Seq is the entry that announced the action.
func (in Intent) Seq() int64 { return in.seq }

// Intent records, durably, that an action is about to begin.
func (r *Recorder) Intent(_ context.Context, ev Event) (Intent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := Entry{Event: ev.ID, Phase: PhaseIntent, Subject: ev.Subject, Outcome: ev.Outcome, Fields: ev.Fields}
	seq, err := r.write(e)
	if err != nil {
		return Intent{}, err
	}
	r.state.open[seq] = Entry{Seq: seq, Event: ev.ID}
	return Intent{r, seq, ev.ID, ev.Subject.cleaned()}, nil
}

// Outcome records, durably, how the action ended. An intent has one outcome.
func (in Intent) Outcome(_ context.Context, outcome Outcome, fields map[string]string) error {
	if in.r == nil {
		return errors.New("cannot record an outcome: nothing was announced")
	}
	r := in.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.state.open[in.seq]; !ok {
		return fmt.Errorf("cannot record an outcome of %s: entry %d has one already", in.id, in.seq)
	}
	_, err := r.write(Entry{Event: in.id, Phase: PhaseOutcome, Ref: in.seq, Subject: in.subject, Outcome: outcome, Fields: fields})
	if err == nil {
		delete(r.state.open, in.seq)
	}
	return err
}

// OpenIntents returns the intents without outcome, oldest first, those of
// earlier runs included.
func (r *Recorder) OpenIntents() ([]Entry, error) {
	r.mu.Lock()
	seqs := slices.Sorted(maps.Keys(r.state.open))
	r.mu.Unlock()
	var out []Entry
	for _, seq := range seqs {
		e, err := read(r.log, seq)
		if err != nil {
			return nil, fmt.Errorf("cannot read an open intent: %w", err)
		}
		out = append(out, *e)
	}
	return out, nil
}

// Resume returns the handle of an intent that [Recorder.OpenIntents] gave, so
// that its outcome can be recorded.
func (r *Recorder) Resume(e Entry) (Intent, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o, ok := r.state.open[e.Seq]; !ok || o.Event != e.Event {
		return Intent{}, fmt.Errorf("cannot resume entry %d: it is no open intent", e.Seq)
	}
	return Intent{r, e.Seq, e.Event, e.Subject}, nil
}

// Checkpoint seals everything recorded so far with the station's signature.
func (r *Recorder) Checkpoint(ctx context.Context) error {
	if _, err := r.log.Checkpoint(ctx, r.signer); err != nil {
		return fmt.Errorf("cannot seal the audit log: %w", err)
	}
	return nil
}

// LastCheckpoint returns the last signed checkpoint, for receipts and slips:
// each copy kept elsewhere is a witness.
func (r *Recorder) LastCheckpoint() []byte {
	_, signed, _ := r.log.LastCheckpoint()
	return signed
}
