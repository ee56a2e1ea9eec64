// Package intake is the sequencer of the sally port: it alone decides what
// happens to a medium, in which order, and writes the audit entries. It takes
// the open medium through the confined reader, the manifest verifier, the
// vault and the EMS core, and turns every error on that way into a verdict
// with reasons. It parses nothing itself: listings come checked from package
// reader, manifests from package manifest; names and contents stay foreign
// until a Verified manifest has vouched for them.
//
// An error from [Intake.Run] is not a verdict: it means that the record or the
// store of this station cannot be relied on any more, and the daemon stops.
package intake

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sallyport/internal/audit"
	"sallyport/internal/durable"
	"sallyport/internal/ems"
	"sallyport/internal/manifest"
	"sallyport/internal/medium"
	"sallyport/internal/reader"
	"sallyport/internal/tpm"
	"sallyport/internal/translog"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// TPM is the part of the TPM that intake asks whether it still answers.
type TPM interface {
	Clock(ctx context.Context) (tpm.Clock, error)
}

// Policy is what a station trusts: in whose packages, and in which evidence.
type Policy interface {
	manifest.Policy
	// Evidence judges evidence.json of a verified package, nil when there is none,
	// and returns the checkpoint of the sender's log that is in it, if any.
	Evidence(v *manifest.Verified, evidence []byte) (*translog.Sighting, error)
	// Version is that of the trust bundle which is asked, 0 without one.
	Version() int64
}

// Config is what an Intake works with. All fields are needed, but Core, which
// stations without an EMS leave nil, and Register.
type Config struct {
	Reader reader.Config
	// Policy returns what this station trusts now, or a trust-missing finding.
	Policy func() (Policy, error)
	// Peers is told each checkpoint of another station's log, with the sequence
	// number of the package that brought it; a finding says that it contradicts what
	// that log showed before. Nil forgets them.
	Peers func(ctx context.Context, seen *translog.Sighting, seq int64) error
	// Trust takes the content of a trust bundle that was verified and stored. All
	// of it is in force afterwards, or nothing is and a finding says why.
	Trust func(ctx context.Context, content fs.FS) error
	TPM   TPM
	Audit *audit.Recorder
	// Seal has the TPM sign the log, after each verdict.
	Seal func(ctx context.Context) error
	// Journal is the log that Audit writes to, for reading.
	Journal *translog.Log
	Vault   *vault.Vault
	Core    *ems.Core
	// Register is asked about each medium; nil when the station goes by none.
	Register Register
	// QuarantineMax is the most bytes that held items may have together. What was
	// found wanting only after it was stored is kept all the same, and counted.
	QuarantineMax int64
	// Store is the folder whose free space decides whether media are taken, and
	// Reserve the bytes that must stay free there.
	Store   string
	Reserve int64
	Now     func() time.Time
	Log     zerolog.Logger
}

// Intake takes media, one at a time.
type Intake struct {
	cfg    Config
	ledger *ledger

	mu     sync.Mutex // one medium at a time
	held   int64      // bytes of all held items
	failed error      // after it nothing more is taken
}

// tpmTime bounds the question whether the TPM still answers.
const tpmTime = 10 * time.Second

// oldestClock is a time before which no honest clock of this software stands.
var oldestClock = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Medium is a medium and what the caller says of it: open already, or behind a
// door.
type Medium struct {
	File   *os.File // read-only; the caller closes it; nil with a Door
	Source string   // "image", "device" or "usb"
	Name   string
	Caller int64 // uid, or Nobody
	// Device and Door are those of a medium that was inserted.
	Device *Device
	Door   Door
	// Own is the time that the station took between the kernel's announcement of
	// the device and the call of Run, less the waiting for other media.
	Own time.Duration
	// Progress may be nil; it is told bytes stored and bytes expected.
	Progress func(phase string, done, total int64)
}

// Phases of a medium, as its Progress is told.
const (
	Opening   = "opening"   // its device is authorised and its disk opened
	Listing   = "listing"   // its file systems are read
	Reading   = "reading"   // its files are stored
	Deciding  = "deciding"  // what is stored is judged and moved
	Releasing = "releasing" // its device is denied again
)

// Run takes one medium from insertion to verdict. After an error every later
// call fails too: what the medium left open is settled by the next [New].
func (in *Intake) Run(ctx context.Context, m Medium) (*Report, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.failed != nil {
		return nil, fmt.Errorf("cannot take a medium after an earlier failure: %w", in.failed)
	}
	r := &run{Intake: in, medium: m, report: &Report{Findings: []verdict.Finding{}, Packages: []PackageReport{}, Litter: []string{}}}
	if r.medium.Progress == nil {
		r.medium.Progress = func(string, int64, int64) {}
	}
	id := make([]byte, 6)
	rand.Read(id) // never fails (crypto/rand)
	r.began = in.cfg.Now()
	r.report.Medium = Facts{ID: hex.EncodeToString(id), Source: m.Source, Name: m.Name, Caller: m.Caller, Device: m.Device,
		Inserted: r.began.UTC().Format(time.RFC3339), Volumes: []VolumeFact{}}
	if m.File != nil {
		if st, err := m.File.Stat(); err == nil {
			r.report.Medium.Size = st.Size()
		}
	}
	if err := r.whole(ctx); err != nil {
		in.failed = err
		return nil, fmt.Errorf("cannot finish medium %s: %w", r.report.Medium.ID, err)
	}
	return r.report, nil
}

// run is one medium on its way.
type run struct {
	*Intake
	medium  Medium
	report  *Report
	waiting *reader.Waiting
	session *reader.Session
	layout  *layout
	done    int64 // bytes stored so far
	total   int64
	items   int // vault items made so far
	// looked is set when the register of media has nothing against the medium.
	looked bool
	// lost is set when the reader can give nothing more.
	lost *verdict.Finding
	// opened is set while the door's disk is open, away when it is no longer the
	// one that was opened.
	opened bool
	away   *verdict.Finding
	// began is when Run took the medium, kernel what of the time since then the
	// kernel and the device took, reading when the reader was ready.
	began, reading time.Time
	kernel         time.Duration
}

func (r *run) subject() audit.Subject {
	s := audit.Subject{Medium: r.report.Medium.ID}
	if caller := r.report.Medium.Caller; caller != Nobody {
		s.Person = "uid " + strconv.FormatInt(caller, 10)
	}
	return s
}

// whole is the order of things; each step is a method below.
func (r *run) whole(ctx context.Context) error {
	f := r.report.Medium
	fields := map[string]string{"source": f.Source, "path": f.Name, "size": strconv.FormatInt(f.Size, 10)}
	if d := f.Device; d != nil {
		delete(fields, "size") // not known yet
		fields["port"], fields["insertion"], fields["vendor"], fields["product"], fields["serial"] = d.Port, d.Insertion, d.Vendor, d.Product, d.Serial
	}
	if err := r.cfg.Audit.Event(ctx, audit.Event{ID: audit.MediumInserted, Subject: r.subject(), Fields: fields}); err != nil {
		return err
	}
	policy, refusal := r.ready(ctx)
	if refusal == nil {
		// Before a device is authorised, so that one is only when a reader is there,
		// and so that both make themselves ready at the same time.
		waiting, err := reader.Prepare(ctx, r.cfg.Reader)
		if err != nil {
			refusal = r.trouble(ctx, err, verdict.SandboxUnavailable)
		} else {
			r.waiting = waiting
			defer waiting.Close() // which does nothing to a session that was closed
		}
	}
	if refusal == nil && r.medium.Door != nil {
		var err error
		if refusal, err = r.pass(ctx); err != nil {
			return err
		}
	}
	if refusal != nil {
		r.report.Removable = r.medium.Door != nil // it was not authorised, or is no longer
		return r.refuse(ctx, refusal, nil)
	}
	if err := r.take(ctx, policy); err != nil {
		return err
	}
	return r.release(ctx)
}

// take reads an open medium, from the intent to do so to the verdict.
func (r *run) take(ctx context.Context, policy Policy) error {
	intent, err := r.cfg.Audit.Intent(ctx, audit.Event{ID: audit.MediumRead, Subject: r.subject()})
	if err != nil {
		return err
	}
	session, err := r.waiting.Start(ctx, r.medium.File)
	if err != nil {
		var why findings
		why.add(*r.trouble(ctx, err, verdict.SandboxUnavailable))
		r.confirm(context.WithoutCancel(ctx), &why)
		return r.refuse(ctx, &why.list[0], &intent)
	}
	r.session, r.reading = session, r.cfg.Now()
	r.progress(Listing)
	err = r.read(ctx, policy)
	if cerr := session.Close(); cerr != nil {
		r.cfg.Log.Warn().Err(cerr).Msg("reader did not end cleanly")
	}
	if err != nil {
		return err
	}
	return r.conclude(ctx, intent)
}

// ready says whether this station may read a medium at all; a finding when not.
func (r *run) ready(ctx context.Context) (Policy, *verdict.Finding) {
	if ctx.Err() != nil {
		return nil, stopped(ctx)
	}
	if now := r.cfg.Now(); now.Before(oldestClock) {
		return nil, verdict.New(verdict.ClockUnusable, "", "the clock says %s", now.UTC().Format(time.RFC3339))
	}
	if f := r.askTPM(ctx); f != nil {
		return nil, f
	}
	free, err := durable.Free(r.cfg.Store)
	if err != nil {
		return nil, verdict.New(verdict.StoreFull, "", "the free space is not known: %v", err)
	}
	if free <= r.cfg.Reserve {
		return nil, verdict.New(verdict.StoreFull, "", "%d bytes are free, %d must stay free", free, r.cfg.Reserve)
	}
	policy, err := r.cfg.Policy()
	if err != nil {
		return nil, asFinding(err, verdict.TrustMissing)
	}
	return policy, nil
}

func (r *run) askTPM(ctx context.Context) *verdict.Finding {
	bounded, cancel := context.WithTimeout(ctx, tpmTime)
	defer cancel()
	if _, err := r.cfg.TPM.Clock(bounded); err != nil {
		return r.trouble(ctx, err, verdict.TPMUnavailable)
	}
	return nil
}

// read lists the medium, judges each package and keeps what it must.
func (r *run) read(ctx context.Context, policy Policy) error {
	listing, err := r.session.List()
	if err != nil {
		r.report.Findings = append(r.report.Findings, *r.trouble(ctx, err, verdict.Unreadable))
		return r.keepStray(ctx)
	}
	facts := &r.report.Medium
	facts.Size, facts.Table = listing.Size, listing.Table
	facts.Volumes = volumeFacts(listing)
	r.layout = sortListing(listing)
	if err := r.look(ctx); err != nil {
		return err
	}
	for _, name := range r.layout.litter {
		r.report.Litter = append(r.report.Litter, verdict.Escape(name))
	}
	r.layout.findings.sort()
	r.report.Findings = append(r.report.Findings, r.layout.findings.all()...)
	for _, e := range listing.Entries {
		if e.Type == medium.File && e.Size > 0 && r.total+e.Size > 0 {
			r.total += e.Size
		}
	}
	for _, f := range r.layout.packages {
		if err := r.takePackage(ctx, f, policy); err != nil {
			return err
		}
	}
	if len(r.layout.stray) > 0 || len(r.layout.packages) == 0 {
		return r.keepStray(ctx)
	}
	return nil
}

// refuse ends a medium that was not read; read is the intent to do so, if there
// was one already.
func (r *run) refuse(ctx context.Context, f *verdict.Finding, read *audit.Intent) error {
	r.report.Verdict = verdict.Refused
	r.report.Findings = append(r.report.Findings, *f)
	if err := r.writeVerdict(ctx); err != nil {
		return err
	}
	if read != nil {
		if err := read.Outcome(ctx, audit.Refused, map[string]string{"reason": string(f.Reason), "detail": f.Error()}); err != nil {
			return err
		}
	}
	return r.seal(ctx)
}

// conclude sums the packages up: accepted only when there is a package, every
// one was accepted and the medium itself gave no reason against it.
func (r *run) conclude(ctx context.Context, read audit.Intent) error {
	r.report.Verdict = verdict.Accepted
	if len(r.report.Packages) == 0 || len(r.report.Findings) > 0 {
		r.report.Verdict = verdict.Held
	}
	for _, p := range r.report.Packages {
		if p.Verdict != verdict.Accepted {
			r.report.Verdict = verdict.Held
		}
	}
	// The verdict comes before the end of the reading, so that a stop between
	// the two leaves an open intent and no medium stays without a verdict.
	if err := r.writeVerdict(ctx); err != nil {
		return err
	}
	if err := r.used(ctx); err != nil {
		return err
	}
	if err := read.Outcome(ctx, audit.Success, r.readFields()); err != nil {
		return err
	}
	return r.seal(ctx)
}

// readFields is what the log keeps of a reading that came to its end.
func (r *run) readFields() map[string]string {
	f := r.report.Medium
	var kinds []string
	for _, v := range f.Volumes {
		kinds = append(kinds, v.FS)
	}
	proof := r.session.Proof()
	out := map[string]string{
		"size": strconv.FormatInt(f.Size, 10), "bytes": strconv.FormatInt(r.report.Bytes, 10), "files": strconv.FormatInt(r.report.Files, 10),
		"volumes": strconv.Itoa(len(f.Volumes)), "landlock": strconv.Itoa(proof.Landlock), "namespaces": strings.Join(proof.Namespaces, ","),
	}
	if f.Table != "" {
		out["table"], out["filesystems"] = f.Table, strings.Join(kinds, ",")
	}
	if f.Device != nil {
		out["own_ms"] = millis(r.medium.Own + r.reading.Sub(r.began) - r.kernel)
	}
	if len(r.report.Litter) > 0 {
		out["detail"] = "not read: " + strings.Join(r.report.Litter, ", ")
	}
	return out
}

// writeVerdict logs the verdict.
func (r *run) writeVerdict(ctx context.Context) error {
	fields := map[string]string{"reasons": joinReasons(r.report.reasons()), "packages": strconv.Itoa(len(r.report.Packages)), "bytes": strconv.FormatInt(r.report.Bytes, 10)}
	if len(r.report.Findings) > 0 {
		fields["detail"] = r.report.Findings[0].Error()
	}
	seq, err := r.cfg.Audit.Record(ctx, audit.Event{ID: audit.MediumVerdict, Subject: r.subject(), Outcome: audit.Outcome(r.report.Verdict), Fields: fields})
	if err != nil {
		return err
	}
	r.report.Entry = seq
	return nil
}

// seal has the TPM sign a checkpoint over the verdict. A TPM that has gone away
// leaves the verdict unsealed, which the report says: the entries are durable
// and the next checkpoint covers them.
func (r *run) seal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tpmTime)
	defer cancel()
	switch err := r.cfg.Seal(ctx); {
	case err == nil:
		r.report.Sealed, r.report.Checkpoint = true, string(r.cfg.Audit.LastCheckpoint())
	case isReason(err, verdict.TPMUnavailable) || errors.Is(err, context.DeadlineExceeded):
		r.cfg.Log.Error().Err(err).Msg("verdict not sealed")
	default:
		return err
	}
	return nil
}
