package station

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"sallyport/internal/audit"
	"sallyport/internal/authority"
	"sallyport/internal/control"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/strictjson"
	"sallyport/internal/tpm/attest"
	"sallyport/internal/trust"
	"sallyport/internal/vault"
	"sallyport/internal/verdict"
)

// Handle carries out one request of the control socket.
func (s *Station) Handle(ctx context.Context, c *control.Call) (any, error) {
	if s.locked != nil && !readsOnly(c.Op) {
		return nil, control.Failf(control.CodeUnavailable, "%v", s.locked)
	}
	switch c.Op {
	case OpStatus:
		return s.status(ctx)
	case OpWatch:
		return nil, s.watch(ctx, c)
	case OpIntake:
		return with(c, func(a IntakeArgs) (any, error) { return s.opIntake(ctx, c, a) })
	case OpSeal:
		return with(c, func(a SealArgs) (any, error) { return s.opSeal(ctx, a) })
	case OpSealAgain:
		return with(c, s.opSealAgain)
	case OpQuarantineList:
		return s.quarantine()
	case OpQuarantineShow:
		return with(c, s.showItem)
	case OpLogShow:
		return with(c, s.showLog)
	case OpLogProve:
		return with(c, s.prove)
	case OpTrustShow:
		return s.showTrust()
	case OpTrustInstall:
		return with(c, func(d trust.Delivery) (any, error) { return s.opInstallTrust(ctx, d) })
	case OpTrustDelivery:
		d, err := s.trust.Installed()
		return d, refused(err)
	case OpTrustRoot:
		return s.rootDocument()
	case OpTrustIdentity:
		body, err := s.identity.TPM.Encode()
		return Document{Body: body, Fingerprint: s.identity.TPM.KeyID}, err
	case OpLogExported:
		return with(c, func(a ExportedArgs) (any, error) { return s.exported(ctx, c.Peer.UID, a) })
	case OpLogPeers:
		list, err := s.peers.Peers()
		return Peers{list}, err
	case OpLogBundle:
		return with(c, func(a BundleArgs) (any, error) { return s.opBundle(ctx, c, a) })
	case OpLogAttest:
		return with(c, func(a AttestArgs) (any, error) { return s.attest(ctx, a) })
	case OpTrustKey:
		return with(c, s.keyPEM)
	case OpEnrolRequest:
		return s.request(ctx)
	case OpEnrolActivate:
		return with(c, func(a ActivateArgs) (any, error) { return s.activate(ctx, a) })
	case OpEnrolHandover:
		return with(c, func(a HandoverArgs) (any, error) { return s.handOver(ctx, a) })
	case OpBootMeasure:
		return s.measure(ctx)
	}
	if strings.HasPrefix(c.Op, emsOps) {
		return s.elections.handle(ctx, c)
	}
	if strings.HasPrefix(c.Op, mediaOps) {
		return s.media.handle(ctx, c)
	}
	return s.handleAuthority(ctx, c)
}

// readsOnly says whether an operation needs nothing but what is stored, and
// leaves it as it is: a locked station still answers it.
func readsOnly(op string) bool {
	switch op {
	case OpStatus, OpLogPeers, OpQuarantineList, OpQuarantineShow, OpLogShow, OpLogProve, OpTrustShow, OpTrustDelivery, OpTrustRoot, OpTrustIdentity, OpTrustKey:
		return true
	}
	return false
}

// handleAuthority carries out what only an authority can.
func (s *Station) handleAuthority(ctx context.Context, c *control.Call) (any, error) {
	switch c.Op {
	case OpAuthorityKey:
		return s.signerRecord(ctx)
	case OpAuthorityFound:
		return with(c, func(a FoundArgs) (any, error) { return s.foundAuthority(ctx, a) })
	case OpAuthorityAdopt:
		return with(c, func(a AdoptArgs) (any, error) { return s.adoptRoot(ctx, a) })
	case OpAuthorityChallenge:
		return with(c, func(a ChallengeArgs) (any, error) { return s.challenge(ctx, a) })
	case OpAuthorityDraft:
		return with(c, func(a DraftArgs) (any, error) { return s.draft(ctx, a) })
	case OpAuthorityRotate:
		return with(c, func(a FoundArgs) (any, error) { return s.rotate(ctx, a) })
	case OpAuthoritySign:
		return with(c, func(a SignArgs) (any, error) { return s.signDraft(ctx, a) })
	case OpAuthorityDiscard:
		return s.discardDraft(ctx)
	case OpAuthorityStatus:
		return s.atDesk(func(d *authority.Desk) (any, error) { return d.Status() })
	}
	return nil, control.Failf(control.CodeUsage, "there is no operation %q", verdict.Escape(c.Op))
}

// with decodes a request's arguments.
func with[A any](c *control.Call, do func(A) (any, error)) (any, error) {
	var a A
	if err := strictjson.Decode(jsontext.Value(c.Args), &a, control.MaxFrame); err != nil {
		return nil, control.Failf(control.CodeUsage, "the arguments of %s are malformed: %v", c.Op, err)
	}
	return do(a)
}

// clockNote says that the clock stands before what the log has seen. That only
// warns: the entries are marked, and counters decide about packages.
func (s *Station) clockNote() string {
	now, latest := s.opt.Now().UTC(), s.audit.Latest()
	if !now.Before(latest) {
		return ""
	}
	return fmt.Sprintf("the clock went back: it shows %s, the log has seen %s; entries are marked until it is right again", now.Format(time.RFC3339), latest.Format(time.RFC3339))
}

// exported records that somebody wrote the log to a file.
func (s *Station) exported(ctx context.Context, uid uint32, a ExportedArgs) (any, error) {
	err := s.audit.Event(ctx, audit.Event{ID: audit.LogExported, Subject: audit.Subject{Person: "uid " + strconv.FormatUint(uint64(uid), 10)}, Fields: map[string]string{
		"format": verdict.Escape(a.Format), "entries": strconv.FormatInt(a.Entries, 10), "log_entries": strconv.FormatInt(a.LogEntries, 10),
	}})
	if err != nil {
		return nil, s.die(err)
	}
	return NoArgs{}, nil
}

// attest answers a live challenge about the log. Everything that is recorded is
// sealed and anchored first, so that the counter's value is the last anchor's.
func (s *Station) attest(ctx context.Context, a AttestArgs) (any, error) {
	s.sealing.Lock() // no number is taken in between
	defer s.sealing.Unlock()
	answer := &attest.Attestation{V: 1, Nonce: a.Nonce}
	if _, err := answer.Qualifying(); err != nil {
		return nil, control.Failf(control.CodeUsage, "%v", err)
	}
	if err := s.checkpoint(ctx); err != nil {
		return nil, refused(err)
	}
	answer.Checkpoint = string(s.audit.LastCheckpoint())
	q, err := answer.Qualifying()
	if err != nil {
		return nil, err
	}
	if answer.Counter, answer.CounterSig, err = s.tpm.CounterCertify(ctx, q); err != nil {
		return nil, refused(err)
	}
	body, err := answer.Encode()
	return Document{Body: body}, err
}

// sealNote says why this station cannot seal now; "" when it can.
func (s *Station) sealNote(ctx context.Context) string {
	if r, err := s.retired(); err != nil {
		return err.Error()
	} else if r != nil {
		return "this station has handed over to another key and seals nothing any more"
	}
	t, err := s.trust.Current()
	if err == nil {
		err = s.revoked(ctx, t)
	}
	if err == nil {
		err = s.released(ctx, t)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// released is a finding when the TPM will not let the signing key be used in the
// state in which this system was started. It is the TPM that decides, whenever the
// key is used; this is told before anything else is done.
func (s *Station) released(ctx context.Context, t *trust.Trusted) error {
	if !s.tpm.Bound() {
		return nil
	}
	pcrs, err := s.tpm.PCRs(ctx)
	if err != nil {
		return err
	}
	policy := attest.PCRPolicy(pcrs)
	if slices.ContainsFunc(t.Approvals(s.tpm.KeyID()), func(a attest.Approval) bool { return a.Policy == policy }) {
		return nil
	}
	return verdict.New(verdict.BootStateMismatch, "", "the state in which this system was started is not approved: 'sallyport station measure' shows it, the authority approves it")
}

// maxMediumName bounds what a caller calls a medium, in bytes: a file name.
const maxMediumName = 255

func (s *Station) opIntake(ctx context.Context, c *control.Call, a IntakeArgs) (any, error) {
	if c.Medium == nil {
		return nil, control.Failf(control.CodeUsage, "no medium came with the request")
	}
	if len(a.Name) > maxMediumName {
		return nil, control.Failf(control.CodeUsage, "the medium's name has %d bytes, at most %d are allowed", len(a.Name), maxMediumName)
	}
	flags, err := unix.FcntlInt(c.Medium.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDONLY {
		return nil, control.Failf(control.CodeUsage, "the medium was not opened for reading only")
	}
	st, err := c.Medium.Stat()
	if err != nil || !(st.Mode().IsRegular() || st.Mode().Type() == deviceMode) {
		return nil, control.Failf(control.CodeUsage, "%s is neither an image file nor a block device", verdict.Escape(a.Name))
	}
	source := "image"
	if !st.Mode().IsRegular() {
		source = "device"
	}
	report, err := s.intake.Run(ctx, intake.Medium{File: c.Medium, Source: source, Name: a.Name, Caller: int64(c.Peer.UID),
		Progress: func(phase string, done, total int64) {
			c.Progress(control.Progress{Phase: phase, Done: done, Total: total})
		}})
	if err != nil {
		return nil, s.die(err)
	}
	return report, nil
}

func (s *Station) status(ctx context.Context) (any, error) {
	st := Status{Station: s.identity.ID, Name: s.cfg.Station.Name, Role: s.identity.Role, Jurisdiction: s.identity.Jurisdiction,
		Daemon: s.opt.Daemon, Production: s.cfg.Production, KeyID: s.tpm.KeyID(), TPM: strings.TrimSpace(s.tpm.Info().Manufacturer + " " + s.tpm.Info().Firmware),
		SoftwareTPM: s.tpm.Info().Software, LogEntries: s.journal.Size(), NotReady: []string{}}
	if _, err := s.tpm.Clock(ctx); err != nil {
		st.NotReady = append(st.NotReady, err.Error())
		st.SealNote = err.Error()
	} else {
		st.TPMReady = true
		st.SealNote = s.sealNote(ctx)
	}
	if s.locked != nil {
		st.NotReady, st.SealNote = append(st.NotReady, s.locked.Error()), "the station is locked"
	} else {
		st.ClockNote = s.clockNote()
	}
	st.CanSeal = st.SealNote == ""
	if s.sandbox != nil {
		st.NotReady = append(st.NotReady, s.sandbox.Error())
	}
	if t, err := s.trust.Current(); err != nil {
		st.NotReady = append(st.NotReady, err.Error())
	} else {
		st.TrustVersion = t.Version()
	}
	var err error
	if st.FreeBytes, err = durable.Free(s.cfg.StateDir); err != nil {
		return nil, err
	}
	if st.FreeBytes <= s.cfg.Limits.ReserveBytes {
		st.NotReady = append(st.NotReady, verdict.New(verdict.StoreFull, "", "%d bytes are free, %d must stay free", st.FreeBytes, s.cfg.Limits.ReserveBytes).Error())
	}
	if st.Process, err = thisProcess(); err != nil {
		return nil, err
	}
	if s.liveUSB() {
		v, _ := s.usb.View()
		st.USB = &v
		for _, why := range v.Problems {
			st.NotReady = append(st.NotReady, "USB: "+why)
		}
	}
	held, err := s.vault.List(vault.Held)
	if err != nil {
		return nil, err
	}
	admitted, err := s.vault.List(vault.Admitted)
	st.Held, st.Admitted = len(held), len(admitted)
	return st, err
}

func (s *Station) quarantine() (any, error) {
	ids, err := s.vault.List(vault.Held)
	if err != nil {
		return nil, err
	}
	out := Quarantine{Items: []HeldSummary{}}
	for _, id := range ids {
		out.Items = append(out.Items, s.summarise(id))
	}
	slices.SortStableFunc(out.Items, func(a, b HeldSummary) int { return strings.Compare(b.Inserted, a.Inserted) })
	return out, nil
}

// summarise never fails: an item that cannot be read is the one that a
// reviewer must see.
func (s *Station) summarise(id string) HeldSummary {
	h := HeldSummary{Item: id, Reasons: []string{}}
	item, err := s.vault.Get(id)
	if err != nil {
		h.Problem = err.Error()
		return h
	}
	defer item.Close()
	h.Bytes, h.Files = item.Bytes(), item.Count()
	for _, f := range item.Reasons() {
		if !slices.Contains(h.Reasons, string(f.Reason)) {
			h.Reasons = append(h.Reasons, string(f.Reason))
		}
	}
	facts, err := intake.ReadFacts(item)
	if err != nil {
		h.Problem = err.Error()
		return h
	}
	h.Inserted, h.Medium, h.Package = facts.Medium.Inserted, verdict.Escape(facts.Medium.Name), facts.Package
	return h
}

// MaxFilesAnswer bounds the files of one answer about an item; a caller asks
// again from where it stopped.
const MaxFilesAnswer = 5000

func (s *Station) showItem(a ItemArgs) (any, error) {
	id, err := s.findItem(a.Item)
	if err != nil {
		return nil, err
	}
	item, err := s.vault.Get(id)
	if err != nil {
		return nil, control.Failf(control.CodeNotFound, "item %s cannot be read: %v", id, err)
	}
	defer item.Close()
	out := Held{Item: id, Findings: item.Reasons(), Files: []HeldFile{}}
	if out.Facts, err = intake.ReadFacts(item); err != nil {
		return nil, control.Failf(control.CodeNotFound, "%v", err)
	}
	files, err := item.Files()
	if err != nil {
		return nil, control.Failf(control.CodeNotFound, "item %s cannot be read: %v", id, err)
	}
	out.Count = len(files)
	from := min(max(a.From, 0), len(files))
	for _, f := range files[from:min(from+MaxFilesAnswer, len(files))] {
		out.Files = append(out.Files, HeldFile{Name: verdict.Escape(f.Name), Size: f.Size, SHA256: hex.EncodeToString(f.SHA256[:]), Partial: f.Partial})
	}
	if a.Verify {
		out.Intact = "yes"
		if err := item.Verify(); err != nil {
			out.Intact = err.Error()
		}
	}
	return out, nil
}

// findItem completes an unambiguous beginning of a held item's id.
func (s *Station) findItem(start string) (string, error) {
	ids, err := s.vault.List(vault.Held)
	if err != nil {
		return "", err
	}
	if slices.Contains(ids, start) {
		return start, nil
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return start == "" || !strings.HasPrefix(id, start) })
	switch len(ids) {
	case 1:
		return ids[0], nil
	case 0:
		return "", control.Failf(control.CodeNotFound, "no held item begins with %q; 'sallyport quarantine list' shows them", verdict.Escape(start))
	}
	return "", control.Failf(control.CodeUsage, "%d held items begin with %q: give more of the id", len(ids), verdict.Escape(start))
}

// MaxLogAnswer bounds the entries of one answer; a caller asks again from where
// it stopped.
const MaxLogAnswer = 10_000

// maxExportBytes bounds the texts of one answer to an export: escaped, they
// stay below control.MaxFrame.
const maxExportBytes = 16 << 20

func (s *Station) showLog(a LogArgs) (any, error) {
	var out Log
	most := 0
	if a.Export {
		_, signed, _ := s.journal.LastCheckpoint()
		out.Checkpoint, most = string(signed), maxExportBytes
	}
	// The size is read after the checkpoint, which therefore seals no more.
	out.Size = s.journal.Size()
	if a.Export && (a.To == 0 || a.To > out.Size) {
		a.To = out.Size
	}
	p, err := audit.ReadPage(s.journal, a.Filter, MaxLogAnswer, most)
	if err == nil && !a.Export && len(p.Damage) > 0 {
		err = &p.Damage[0]
	}
	if err != nil {
		return nil, control.Failf(control.CodeUnavailable, "the log is damaged: %v; run 'sallyport-verify log'", err)
	}
	out.Entries = p.Entries
	if a.Export {
		out.Damage, out.Next = p.Damage, p.Next
	}
	return out, nil
}

// prove shows under which checkpoint an entry is sealed.
func (s *Station) prove(a ProveArgs) (any, error) {
	if size := s.journal.Size(); a.Entry < 0 || a.Entry >= size {
		return nil, control.Failf(control.CodeNotFound, "the log has no entry %d: it has %d, from 0 on", a.Entry, size)
	}
	out := Proof{Hashes: [][]byte{}}
	c, signed, ok, err := s.journal.SealedBy(a.Entry)
	if err == nil && ok {
		out.Checkpoint = string(signed)
		var path tlog.RecordProof
		path, err = s.journal.ProveEntry(c.Size, a.Entry)
		for _, h := range path {
			out.Hashes = append(out.Hashes, h[:])
		}
	}
	if err != nil {
		return nil, control.Failf(control.CodeUnavailable, "cannot prove entry %d: %v; run 'sallyport-verify log'", a.Entry, err)
	}
	return out, nil
}
