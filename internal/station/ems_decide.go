package station

import (
	"context"
	"encoding/hex"
	"strconv"

	"sallyport/internal/audit"
	"sallyport/internal/ems"
	"sallyport/internal/ems/results"
)

func (d *electionDesk) closePolls(ctx context.Context, uid uint32, a Decides) (any, error) {
	return NoArgs{}, d.carryOut(ctx, decision{audit.EMSPolls, uid, a, nil, func(by ems.By) (map[string]string, error) {
		return nil, d.core.ClosePolls(ctx, a.ElectionID, by)
	}})
}

func (d *electionDesk) setStatus(ctx context.Context, uid uint32, a SetStatusArgs) (any, error) {
	var s ems.StatusChange
	fields := map[string]string{"status": string(a.Status), "approver": a.Approver}
	err := d.carryOut(ctx, decision{audit.EMSStatus, uid, a.Decides, fields, func(by ems.By) (_ map[string]string, err error) {
		s, err = d.core.SetStatus(ctx, a.ElectionID, a.Status, by, a.Approver)
		return map[string]string{"status": string(s.Status), "sequence": strconv.FormatInt(s.Sequence, 10), "counted_digest": s.StateDigest}, err
	}})
	return s, err
}

// adjudicate records how much was decided: never what, of whom, or on which ballot.
func (d *electionDesk) adjudicate(ctx context.Context, uid uint32, a AdjudicateArgs) (any, error) {
	ballots, contests := map[string]bool{}, map[string]bool{}
	for _, x := range a.Decisions {
		ballots[x.Ballot], contests[x.Contest] = true, true
	}
	fields := map[string]string{"decisions": strconv.Itoa(len(a.Decisions)), "ballots": strconv.Itoa(len(ballots)), "contests": strconv.Itoa(len(contests))}
	return NoArgs{}, d.carryOut(ctx, decision{audit.EMSAdjudicate, uid, a.Decides, fields, func(by ems.By) (map[string]string, error) {
		return nil, d.core.Adjudicate(ctx, a.ElectionID, a.Decisions, by)
	}})
}

func (d *electionDesk) addManual(ctx context.Context, uid uint32, a ManualArgs) (any, error) {
	fields := map[string]string{"name": a.Tally.Name, "contests": strconv.Itoa(len(a.Tally.Contests)), "ballots": strconv.FormatInt(a.Tally.Ballots(), 10)}
	return NoArgs{}, d.carryOut(ctx, decision{audit.EMSManual, uid, a.Decides, fields, func(by ems.By) (map[string]string, error) {
		return nil, d.core.AddManual(ctx, a.ElectionID, a.Tally, by)
	}})
}

func (d *electionDesk) setRules(ctx context.Context, uid uint32, a RulesArgs) (any, error) {
	fields := map[string]string{"contest": a.Contest, "sha256": hexSum(a.Config)}
	return NoArgs{}, d.carryOut(ctx, decision{audit.EMSRules, uid, a.Decides, fields, func(by ems.By) (map[string]string, error) {
		return nil, d.core.SetRules(ctx, a.ElectionID, a.Contest, a.Config, by)
	}})
}

// giveOut gives out the results, which changes nothing and is recorded: before,
// that they are asked for, and after, which ones went out.
func (d *electionDesk) giveOut(ctx context.Context, uid uint32, a ResultsArgs) (any, error) {
	return about(ctx, d, a.ElectionArgs, func(ctx context.Context, id string) (*results.Results, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		intent, err := d.audit.Intent(ctx, audit.Event{ID: audit.EMSResults, Subject: person(uid), Fields: nonEmpty(map[string]string{"election_id": id, "form": a.Form})})
		if err != nil {
			return nil, d.die(err)
		}
		r, err := d.core.Results(ctx, id)
		if err != nil {
			return nil, d.refuse(ctx, intent, err)
		}
		// The root covers the intent: whoever has the log finds this report in it.
		root, err := d.journal.RootAt(intent.Seq() + 1)
		if err != nil {
			return nil, d.die(err)
		}
		r.LogHead = hex.EncodeToString(root[:])
		if err := intent.Outcome(context.WithoutCancel(ctx), audit.Success, map[string]string{
			"status": string(r.Status), "sequence": strconv.FormatInt(r.Sequence, 10), "state_digest": r.StateDigest,
		}); err != nil {
			return nil, d.die(err)
		}
		return r, d.sealLog(ctx)
	})
}
