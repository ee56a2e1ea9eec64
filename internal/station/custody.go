package station

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/custody"
	"sallyport/internal/durable"
	"sallyport/internal/intake"
	"sallyport/internal/verdict"
)

// mediaOps begins the names of all operations and events of the register of media.
const mediaOps = "media."

// MediaArgs select media of the register, by label.
type MediaArgs struct {
	State string `json:"state,omitzero"` // only those in this state
	// Find is looked for in label, serial number, file-system id, seal and names.
	Find string `json:"find,omitzero"`
	// After is the label behind which the answer begins, which has at most
	// MaxMediaAnswer media.
	After string `json:"after,omitzero"`
}

// MaxMediaAnswer bounds the media of one answer; a caller asks again from where
// it stopped.
const MaxMediaAnswer = 10_000

// Media is a stretch of the register.
type Media struct {
	Count int               `json:"count"` // in the whole register
	Media []custody.Summary `json:"media"`
}

// MediumArgs name a medium by its id, an unambiguous beginning of it, or its label.
type MediumArgs struct {
	Medium string `json:"medium"`
}

// MediaChangeArgs say what is done with a medium.
type MediaChangeArgs struct {
	MediumArgs
	custody.Change
}

// MediaImportArgs carry a list of media (see custody.ParseList).
type MediaImportArgs struct {
	List []byte `json:"list"`
}

// MediaImported is what came of a list.
type MediaImported struct {
	Count int `json:"count"`
}

// mediaDesk keeps the register of media, and answers the intake when the station
// goes by it.
type mediaDesk struct {
	*Station
	register *custody.Register
	policy   custody.Policy

	mu sync.Mutex // one change at a time, from its intent to its outcome
	// reading is the intent for the medium that the intake is reading.
	reading   string // the intake's id of it
	consuming audit.Intent
}

// openMedia opens the register and settles what a stop left open in it.
func (s *Station) openMedia(ctx context.Context) (*mediaDesk, error) {
	c := &s.cfg.Media
	d := &mediaDesk{Station: s, policy: custody.Policy{Mode: custody.Mode(c.Register), SingleUse: c.SingleUse, TwoCustodians: c.TwoCustodians}}
	var err error
	if d.register, err = custody.Open(filepath.Join(s.cfg.StateDir, mediaDir), s.opt.FS); err != nil {
		return nil, err
	}
	return d, d.settle(ctx)
}

// forIntake is the register as the intake asks it; nil when it does not.
func (d *mediaDesk) forIntake() intake.Register {
	if d.policy.Mode != custody.Known && d.policy.Mode != custody.Required {
		return nil
	}
	return d
}

// handle carries out the operations of the register.
func (d *mediaDesk) handle(ctx context.Context, c *control.Call) (any, error) {
	uid := int64(c.Peer.UID)
	switch c.Op {
	case OpMediaList:
		return with(c, d.list)
	case OpMediaShow:
		return with(c, d.show)
	case OpMediaRegister:
		return with(c, func(a custody.Description) (any, error) { return d.add(ctx, uid, a) })
	case OpMediaChange:
		return with(c, func(a MediaChangeArgs) (any, error) { return d.change(ctx, uid, a) })
	case OpMediaImport:
		return with(c, func(a MediaImportArgs) (any, error) { return d.importList(ctx, uid, a) })
	}
	return nil, control.Failf(control.CodeUsage, "there is no operation %q", verdict.Escape(c.Op))
}

func (d *mediaDesk) list(a MediaArgs) (any, error) {
	if a.State != "" && !slices.Contains(custody.States(), custody.State(a.State)) {
		return nil, control.Failf(control.CodeUsage, "there is no state %q; there are %v", verdict.Escape(a.State), custody.States())
	}
	find := strings.ToUpper(a.Find)
	return Media{Count: d.register.Len(), Media: d.register.List(func(s *custody.Summary) bool {
		if a.State != "" && string(s.State) != a.State || a.After != "" && !custody.After(s.Label, a.After) {
			return false
		}
		return find == "" || slices.ContainsFunc(append([]string{s.ID, s.Label, s.Serial, s.FSID, s.Seal}, s.Holders...), func(text string) bool {
			return strings.Contains(strings.ToUpper(text), find)
		})
	}, MaxMediaAnswer)}, nil
}

func (d *mediaDesk) find(name string) (string, error) {
	id, err := d.register.Find(name)
	return id, mediaRefusal(err, name)
}

// mediaRefusal turns what the register does not do into what the caller sees.
func mediaRefusal(err error, name string) error {
	var no *custody.Refusal
	switch {
	case errors.As(err, &no):
		return control.Failf(control.CodeUsage, "%v", no)
	case errors.Is(err, custody.ErrUnknown):
		return control.Failf(control.CodeNotFound, "no medium in the register begins with %q or has this label; 'sallyport media list' shows them", verdict.Escape(name))
	}
	return err
}

func (d *mediaDesk) show(a MediumArgs) (any, error) {
	id, err := d.find(a.Medium)
	if err != nil {
		return nil, err
	}
	m, err := d.register.Get(id)
	if err != nil {
		return nil, control.Failf(control.CodeUnavailable, "%v", err)
	}
	return m, nil
}

// mediaEvents are the events of what people do with a registered medium.
var mediaEvents = map[custody.Act]audit.EventID{
	custody.Prepare: audit.MediaPrepare, custody.Seal: audit.MediaSeal, custody.HandOver: audit.MediaHandOver,
	custody.Receive: audit.MediaReceive, custody.Sanitise: audit.MediaSanitise, custody.Retire: audit.MediaRetire,
}

// record is one change: what the log says of it, and what makes it.
type record struct {
	event   audit.EventID
	medium  string
	uid     int64
	fields  map[string]string
	do      func(custody.By) (any, error)
	outcome func(result any) map[string]string
}

// carryOut runs a change between its intent and its outcome. What the register does
// not do is a refusal. Any other error leaves the intent open, since nobody knows
// whether the change is on the disk: the station stops, and the next start looks.
func (d *mediaDesk) carryOut(ctx context.Context, r record) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	intent, err := d.audit.Intent(ctx, audit.Event{ID: r.event, Subject: audit.Subject{Medium: r.medium, Person: "uid " + strconv.FormatInt(r.uid, 10)}, Fields: nonEmpty(r.fields)})
	if err != nil {
		return nil, d.die(err)
	}
	result, err := r.do(custody.By{Seq: intent.Seq(), At: d.opt.Now(), UID: r.uid})
	if no := mediaRefusal(err, r.medium); err != nil && no != err {
		if err := intent.Outcome(ctx, audit.Refused, map[string]string{"detail": no.Error()}); err != nil {
			return nil, d.die(err)
		}
		return nil, no
	}
	if err != nil {
		return nil, d.die(err)
	}
	if err := intent.Outcome(ctx, audit.Success, r.outcome(result)); err != nil {
		return nil, d.die(err)
	}
	return result, d.sealLog(ctx)
}

func nonEmpty(fields map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range fields {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// mediumState is what an outcome says of a medium.
func mediumState(result any) map[string]string {
	if m, ok := result.(*custody.Medium); ok {
		return map[string]string{"label": m.Label, "state": string(m.State)}
	}
	return nil
}

func (d *mediaDesk) add(ctx context.Context, uid int64, a custody.Description) (any, error) {
	id := custody.NewID()
	return d.carryOut(ctx, record{audit.MediaRegister, id, uid, map[string]string{
		"label": a.Label, "serial": custody.JoinSerial(a.Vendor, a.Product, a.Serial), "fs_id": a.FSID, "seal": a.Seal,
		"direction": string(a.Direction), "single_use": strconv.FormatBool(a.SingleUse), "note": a.Note,
	}, func(by custody.By) (any, error) { return d.register.Add(id, a, by) }, mediumState})
}

func (d *mediaDesk) change(ctx context.Context, uid int64, a MediaChangeArgs) (any, error) {
	event, ok := mediaEvents[a.Act]
	if !ok {
		return nil, control.Failf(control.CodeUsage, "'%s' is nothing that people do with a registered medium", verdict.Escape(string(a.Act)))
	}
	id, err := d.find(a.Medium)
	if err != nil {
		return nil, err
	}
	if a.Package != "" {
		if _, err := d.sealedEnvelope(a.Package); err != nil {
			return nil, err
		}
	}
	fields := map[string]string{"seal": a.Seal, "fs_id": a.FSID, "note": a.Note}
	switch event {
	case audit.MediaSeal:
		fields["package"] = a.Package
	case audit.MediaHandOver, audit.MediaReceive:
		fields["from"], fields["to"], fields["place"] = strings.Join(a.From, ", "), strings.Join(a.To, ", "), a.Place
	}
	if a.SealBroken {
		fields["seal_broken"] = "yes"
	}
	return d.carryOut(ctx, record{event, id, uid, fields, func(by custody.By) (any, error) { return d.register.Change(id, a.Change, by, d.policy) }, func(result any) map[string]string {
		out := mediumState(result)
		if m, ok := result.(*custody.Medium); ok && event != audit.MediaSeal {
			if s := m.History[len(m.History)-1]; len(s.From) > 0 && len(a.From) == 0 {
				out["from"] = strings.Join(s.From, ", ") // as the register had it
			}
		}
		return out
	}})
}

// importRoom is what a record takes on the disk, in bytes: a block, and its part
// of the list that is written first.
const importRoom = 8 << 10

func (d *mediaDesk) importList(ctx context.Context, uid int64, a MediaImportArgs) (any, error) {
	rows, err := custody.ParseList(a.List)
	if err != nil {
		return nil, mediaRefusal(err, "")
	}
	free, err := durable.Free(d.cfg.StateDir)
	if err != nil {
		return nil, err
	}
	// A list is written whole or not at all, also over a restart: there has to be
	// room for all of it before it begins.
	if need := int64(len(rows)) * importRoom; free-d.cfg.Limits.ReserveBytes < need {
		return nil, refused(verdict.New(verdict.StoreFull, "", "%d media need %d bytes, %d are free and %d must stay free", len(rows), need, free, d.cfg.Limits.ReserveBytes))
	}
	count := strconv.Itoa(len(rows))
	return d.carryOut(ctx, record{audit.MediaImport, "", uid, map[string]string{"sha256": hexSum(a.List), "count": count},
		func(by custody.By) (any, error) { return MediaImported{len(rows)}, d.register.Import(rows, by) },
		func(any) map[string]string { return map[string]string{"count": count} }})
}

// Look is part of [intake.Register]. The intent to read a medium that counts is
// written now: a stop behind the first package that is admitted must not let the
// medium be fresh again.
func (d *mediaDesk) Look(ctx context.Context, m intake.Facts) (string, []verdict.Finding, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := seenOf(m)
	found := d.register.Look(seen, d.policy)
	subject := audit.Subject{Medium: found.ID}
	if m.Caller != intake.Nobody {
		subject.Person = "uid " + strconv.FormatInt(m.Caller, 10)
	}
	fields := map[string]string{"reading": m.ID, "label": found.Label, "state": string(found.State), "serial": seen.Serial, "fs_ids": strings.Join(seen.FSIDs, ", ")}
	outcome := audit.Success
	if len(found.Against) > 0 {
		outcome, fields["reason"], fields["detail"] = audit.Refused, string(found.Against[0].Reason), found.Against[0].Error()
	} else if found.ID == "" {
		fields["detail"] = "it is not in the register"
	}
	if err := d.audit.Event(ctx, audit.Event{ID: audit.MediaCheck, Subject: subject, Outcome: outcome, Fields: nonEmpty(fields)}); err != nil {
		return "", nil, err
	}
	if found.ID == "" || len(found.Against) > 0 {
		return found.ID, found.Against, nil
	}
	intent, err := d.audit.Intent(ctx, audit.Event{ID: audit.MediaConsume, Subject: subject, Fields: map[string]string{"reading": m.ID, "label": found.Label, "state": string(found.State)}})
	d.reading, d.consuming = m.ID, intent
	return found.ID, nil, err
}

// seenOf is what a medium shows of itself. The texts are escaped, which changes
// none that a register has.
func seenOf(m intake.Facts) custody.Seen {
	var seen custody.Seen
	if u := m.Device; u != nil {
		seen.Device, seen.Vendor, seen.Product, seen.Serial = true, u.Vendor, u.Product, u.Serial
	}
	for _, v := range m.Volumes {
		if v.ID != "" {
			seen.FSIDs = append(seen.FSIDs, v.ID)
		}
	}
	return seen
}

// Used is part of [intake.Register].
func (d *mediaDesk) Used(ctx context.Context, m intake.Facts, v verdict.Verdict, reasons []verdict.Reason, entry int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reading != m.ID {
		return errors.New("the intake read a medium about which it did not ask")
	}
	intent := d.consuming
	d.reading, d.consuming = "", audit.Intent{}
	return d.consume(ctx, intent, m.Registered, custody.Reading{Medium: m.ID, Verdict: v, Entry: entry}, reasons)
}

// consume records a reading, when it came to its end.
func (d *mediaDesk) consume(ctx context.Context, intent audit.Intent, id string, reading custody.Reading, reasons []verdict.Reason) error {
	fields := map[string]string{"verdict": string(reading.Verdict), "entry": strconv.FormatInt(reading.Entry, 10)}
	if !custody.Final(reasons) {
		fields["detail"] = "the medium may come again"
		return intent.Outcome(ctx, audit.Interrupted, fields)
	}
	m, err := d.register.Use(id, reading, custody.By{Seq: intent.Seq(), At: d.opt.Now(), UID: custody.Station})
	if err != nil {
		return err
	}
	fields["state"] = string(m.State)
	return intent.Outcome(ctx, audit.Success, fields)
}

// settle gives every intent of the register that a stop left open its outcome, as
// the records show it. A reading that had its verdict is recorded now.
func (d *mediaDesk) settle(ctx context.Context) error {
	open, err := d.audit.OpenIntents()
	if err != nil {
		return err
	}
	for _, e := range open {
		if !strings.HasPrefix(string(e.Event), mediaOps) {
			continue
		}
		intent, err := d.audit.Resume(e)
		if err != nil {
			return err
		}
		if err := d.settleOne(ctx, e, intent); err != nil {
			return err
		}
	}
	return nil
}

func (d *mediaDesk) settleOne(ctx context.Context, e audit.Entry, intent audit.Intent) error {
	done := d.register.HoldsImport(e.Seq)
	if e.Event != audit.MediaImport {
		var err error
		if done, err = d.register.Holds(e.Subject.Medium, e.Seq); err != nil {
			return err
		}
	}
	if e.Event == audit.MediaConsume && !done {
		v, err := d.verdictOf(e.Fields["reading"], e.Seq)
		if err != nil {
			return err
		}
		if v != nil {
			var reasons []verdict.Reason
			for _, r := range strings.Split(v.Fields["reasons"], ",") {
				reasons = append(reasons, verdict.Reason(r))
			}
			return d.consume(ctx, intent, e.Subject.Medium, custody.Reading{Medium: v.Subject.Medium, Verdict: verdict.Verdict(v.Outcome), Entry: v.Seq}, reasons)
		}
	}
	outcome := audit.Interrupted
	if done {
		outcome = audit.Success
	}
	return intent.Outcome(ctx, outcome, map[string]string{"detail": "the station stopped before the outcome was written"})
}

// verdictOf finds the verdict over a medium behind an entry of the log; nil when
// there is none.
func (d *mediaDesk) verdictOf(reading string, from int64) (*audit.Entry, error) {
	for e, err := range audit.Query(d.journal, audit.Filter{From: from, Event: string(audit.MediumVerdict), About: reading}) {
		if err != nil {
			return nil, err
		}
		return &e, nil
	}
	return nil, nil
}
