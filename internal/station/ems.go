package station

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"sallyport/internal/audit"
	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/verdict"
)

// emsOps begins the names of all operations and events of the EMS core.
const emsOps = "ems."

// electionDesk is what people decide about the elections in the EMS core, and
// what they are told of them. What admitted packages bring into it is the
// intake's business.
type electionDesk struct {
	*Station
	mu sync.Mutex // one decision at a time, from its intent to its outcome
}

// openElections settles what a stop left open.
func (s *Station) openElections(ctx context.Context) (*electionDesk, error) {
	d := &electionDesk{Station: s}
	return d, d.settle(ctx)
}

// handle carries out the operations of the EMS core.
func (d *electionDesk) handle(ctx context.Context, c *control.Call) (any, error) {
	switch c.Op {
	case OpElections:
		list, err := d.core.Elections(ctx)
		return Elections{Elections: list}, err
	case OpTally:
		return with(c, func(a TallyArgs) (any, error) { return d.tally(ctx, a) })
	case OpBreakdown:
		return with(c, func(a BreakdownArgs) (any, error) {
			return about(ctx, d, a.ElectionArgs, func(ctx context.Context, id string) (Breakdown, error) {
				groups, err := d.core.Breakdown(ctx, id, a.By)
				return Breakdown{By: a.By, Groups: groups}, err
			})
		})
	case OpEMSStatus:
		return with(c, func(a ElectionArgs) (any, error) {
			return about(ctx, d, a, d.core.Standing)
		})
	case OpWriteIns:
		return with(c, func(a WriteInsArgs) (any, error) { return d.writeIns(ctx, a) })
	case OpResults:
		return with(c, func(a ResultsArgs) (any, error) { return d.giveOut(ctx, c.Peer.UID, a) })
	}
	return d.handleDecision(ctx, c)
}

// handleDecision carries out what changes the core.
func (d *electionDesk) handleDecision(ctx context.Context, c *control.Call) (any, error) {
	uid := c.Peer.UID
	switch c.Op {
	case OpClosePolls:
		return with(c, func(a Decides) (any, error) { return d.closePolls(ctx, uid, a) })
	case OpSetStatus:
		return with(c, func(a SetStatusArgs) (any, error) { return d.setStatus(ctx, uid, a) })
	case OpAdjudicate:
		return with(c, func(a AdjudicateArgs) (any, error) { return d.adjudicate(ctx, uid, a) })
	case OpManualTally:
		return with(c, func(a ManualArgs) (any, error) { return d.addManual(ctx, uid, a) })
	case OpSetRules:
		return with(c, func(a RulesArgs) (any, error) { return d.setRules(ctx, uid, a) })
	}
	return nil, control.Failf(control.CodeUsage, "there is no operation %q", verdict.Escape(c.Op))
}

// about asks the core about the election that is named, or the only one.
func about[R any](ctx context.Context, d *electionDesk, a ElectionArgs, ask func(context.Context, string) (R, error)) (any, error) {
	list, err := d.core.Elections(ctx)
	if err != nil {
		return nil, err
	}
	id, err := ems.Only(list, a.ElectionID)
	if err != nil {
		return nil, emsFailure(err)
	}
	r, err := ask(ctx, id)
	if err != nil {
		return nil, emsFailure(err)
	}
	return r, nil
}

// emsFailure turns what the core does not do into what the caller sees.
func emsFailure(err error) error {
	if f, ok := verdict.Find(err); ok {
		return control.Failf(string(f.Reason), "%v", f)
	}
	if f := EMSRefusal(err); f != nil {
		return f
	}
	return err
}

func (d *electionDesk) tally(ctx context.Context, a TallyArgs) (any, error) {
	count := d.core.Tally
	if a.Quick {
		count = d.core.Totals
	}
	return about(ctx, d, a.ElectionArgs, count)
}

func (d *electionDesk) writeIns(ctx context.Context, a WriteInsArgs) (any, error) {
	return about(ctx, d, a.ElectionArgs, func(ctx context.Context, id string) (WriteIns, error) {
		list, err := d.core.WriteIns(ctx, id, a.Open)
		from := min(max(a.From, 0), len(list))
		return WriteIns{Count: len(list), WriteIns: list[from:min(from+MaxWriteInsAnswer, len(list))]}, err
	})
}

// decision is one thing that people decide: what the log says of it before and
// after, and what carries it out. No field has a name that a voter wrote, a
// choice, or the identifier of a ballot.
type decision struct {
	event  audit.EventID
	uid    uint32
	by     Decides
	fields map[string]string
	// do returns fields of the outcome.
	do func(ems.By) (map[string]string, error)
}

// carryOut runs a decision between its intent and its outcome. The intent says how
// far the core had come, so that the next start knows whether it was done when a
// stop comes in between.
func (d *electionDesk) carryOut(ctx context.Context, x decision) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, err := d.core.Mark(ctx)
	if err != nil {
		return err
	}
	fields := nonEmpty(x.fields)
	fields["election_id"], fields["who"] = x.by.ElectionID, x.by.Who
	fields["facts"], fields["state_digest"] = strconv.FormatInt(before.Facts, 10), before.StateDigest
	intent, err := d.audit.Intent(ctx, audit.Event{ID: x.event, Subject: person(x.uid), Fields: nonEmpty(fields)})
	if err != nil {
		return d.die(err)
	}
	out, err := x.do(x.by.by())
	after, lost := d.core.Mark(context.WithoutCancel(ctx))
	if err != nil && lost == nil && after != before {
		lost = errors.New("the EMS core reports that a decision failed, and has changed all the same")
	}
	if lost != nil { // the next start looks what is in the core
		return d.die(lost)
	}
	if err != nil {
		return d.refuse(ctx, intent, err)
	}
	fields = nonEmpty(out)
	fields["facts"], fields["state_digest"] = strconv.FormatInt(after.Facts, 10), after.StateDigest
	if err := intent.Outcome(context.WithoutCancel(ctx), audit.Success, fields); err != nil {
		return d.die(err)
	}
	return d.sealLog(ctx)
}

// refuse writes the outcome of what was not done.
func (d *electionDesk) refuse(ctx context.Context, intent audit.Intent, err error) error {
	outcome, fields := audit.Refused, loggedRefusal(err)
	if fields == nil {
		outcome, fields = audit.Failure, map[string]string{"detail": "the core could not do it; nothing was changed"}
	}
	if lost := intent.Outcome(context.WithoutCancel(ctx), outcome, fields); lost != nil {
		return d.die(lost)
	}
	return emsFailure(err)
}

// person is the caller, as the kernel knows him.
func person(uid uint32) audit.Subject {
	return audit.Subject{Person: "uid " + strconv.FormatUint(uint64(uid), 10)}
}

// settle gives every intent about the core that a stop left open its outcome:
// decisions come one at a time, so that the last one was carried out if and only
// if the core has come further than its intent says. What was to be given out may
// have gone out.
func (d *electionDesk) settle(ctx context.Context) error {
	open, err := d.audit.OpenIntents()
	if err != nil {
		return err
	}
	for _, e := range open {
		if !strings.HasPrefix(string(e.Event), emsOps) || e.Event == audit.EMSImport {
			continue
		}
		intent, err := d.audit.Resume(e)
		if err != nil {
			return err
		}
		now, err := d.core.Mark(ctx)
		if err != nil {
			return err
		}
		outcome, fields := audit.Interrupted, map[string]string{"detail": "the station stopped before the outcome was written"}
		if had, err := strconv.ParseInt(e.Fields["facts"], 10, 64); err == nil && now.Facts > had {
			outcome = audit.Success
			fields["facts"], fields["state_digest"] = strconv.FormatInt(now.Facts, 10), now.StateDigest
		}
		if err := intent.Outcome(ctx, outcome, fields); err != nil {
			return err
		}
	}
	return nil
}
