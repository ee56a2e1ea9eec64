package cli

import (
	"context"
	"errors"
	"os"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/results"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// core is an election core as the commands see it: that of a station, through its
// control socket, or a database that is opened here. The methods are those of
// [ems.Core].
type core interface {
	Elections(ctx context.Context) ([]ems.Election, error)
	Standing(ctx context.Context, electionID string) (*ems.Standing, error)
	Tally(ctx context.Context, electionID string) (*ems.Tally, error)
	Totals(ctx context.Context, electionID string) (*ems.Tally, error)
	Breakdown(ctx context.Context, electionID, by string) ([]ems.Group, error)
	WriteIns(ctx context.Context, electionID string, open bool) ([]ems.WriteIn, error)
	ClosePolls(ctx context.Context, electionID string, by ems.By) error
	SetStatus(ctx context.Context, electionID string, to results.Status, by ems.By, approver string) (ems.StatusChange, error)
	Adjudicate(ctx context.Context, electionID string, list []ems.Decision, by ems.By) error
	AddManual(ctx context.Context, electionID string, m ems.ManualTally, by ems.By) error
	SetRules(ctx context.Context, electionID, contestID string, config []byte, by ems.By) error
	// GiveOut returns the results; form says what is made of them, for the log of
	// a station.
	GiveOut(ctx context.Context, electionID, form string) (*results.Results, error)
	Close() error
}

// access is what a command does with a core.
type access bool

const (
	reading  access = false
	changing access = true
)

// emsCore reaches the core that the command line names.
func (a *app) emsCore(u access) (core, error) {
	if db := a.cmd.EMS.DB; db != "" {
		return a.openDatabase(db, u)
	}
	s, err := a.connect()
	if err != nil {
		return nil, err
	}
	return &stationCore{s}, nil
}

// withCore reaches the core, asks it, and lets it go.
func withCore[R any](a *app, u access, ask func(core) (R, error)) (R, error) {
	c, err := a.emsCore(u)
	if err != nil {
		var none R
		return none, err
	}
	r, err := ask(c)
	return r, errors.Join(err, c.Close())
}

// aboutElection is withCore about the election that is named, or the only one.
func aboutElection[R any](a *app, named string, ask func(core, string) (R, error)) (R, error) {
	return withCore(a, reading, func(c core) (none R, err error) {
		id := named
		if id == "" {
			list, err := c.Elections(a.ctx)
			if err != nil {
				return none, err
			}
			if id, err = ems.Only(list, ""); err != nil {
				return none, err
			}
		}
		return ask(c, id)
	})
}

// databaseCore is a database that was opened here.
type databaseCore struct{ *ems.Core }

// openDatabase opens a database. That of a station is only read: what changes it
// has to stand in the station's log.
func (a *app) openDatabase(path string, u access) (core, error) {
	c, err := ems.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, control.Failf(control.CodeUsage, "there is no database %s: 'sallyport ems create' makes one", verdict.Escape(path))
	case errors.Is(err, os.ErrPermission):
		return nil, control.Failf(control.CodeDenied, "%v", err)
	case err != nil:
		return nil, control.Failf(codeFailed, "%v", err)
	}
	desk, err := c.Desk(a.ctx)
	if err == nil && u == changing && !desk {
		err = control.Failf(control.CodeDenied, "%s is the database of a station: it is changed there alone, where the log says so. Leave --db out, at the station", verdict.Escape(path))
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return databaseCore{c}, nil
}

func (d databaseCore) GiveOut(ctx context.Context, electionID, _ string) (*results.Results, error) {
	return d.Results(ctx, electionID)
}

// stationCore is the core of a station.
type stationCore struct{ s *session }

func (c *stationCore) Close() error { return c.s.close() }

// asked carries out an operation that returns something.
func asked[R any](c *stationCore, op string, args any) (r R, err error) {
	err = c.s.do(op, args, nil, &r)
	return r, err
}

// done carries out an operation that returns nothing.
func (c *stationCore) done(op string, args any) error {
	return c.s.do(op, args, nil, &station.NoArgs{})
}

func decidesAbout(electionID string, by ems.By) station.Decides {
	return station.Decides{ElectionID: electionID, Who: by.Who, Why: by.Why}
}

func (c *stationCore) Elections(context.Context) ([]ems.Election, error) {
	e, err := asked[station.Elections](c, station.OpElections, station.NoArgs{})
	return e.Elections, err
}

func (c *stationCore) Standing(_ context.Context, id string) (*ems.Standing, error) {
	return asked[*ems.Standing](c, station.OpEMSStatus, station.ElectionArgs{ElectionID: id})
}

func (c *stationCore) Tally(_ context.Context, id string) (*ems.Tally, error) {
	return asked[*ems.Tally](c, station.OpTally, station.TallyArgs{ElectionArgs: station.ElectionArgs{ElectionID: id}})
}

func (c *stationCore) Totals(_ context.Context, id string) (*ems.Tally, error) {
	return asked[*ems.Tally](c, station.OpTally, station.TallyArgs{ElectionArgs: station.ElectionArgs{ElectionID: id}, Quick: true})
}

func (c *stationCore) Breakdown(_ context.Context, id, by string) ([]ems.Group, error) {
	b, err := asked[station.Breakdown](c, station.OpBreakdown, station.BreakdownArgs{ElectionArgs: station.ElectionArgs{ElectionID: id}, By: by})
	return b.Groups, err
}

// WriteIns collects the answer, which comes in parts.
func (c *stationCore) WriteIns(_ context.Context, id string, open bool) ([]ems.WriteIn, error) {
	all := []ems.WriteIn{}
	for {
		part, err := asked[station.WriteIns](c, station.OpWriteIns, station.WriteInsArgs{ElectionArgs: station.ElectionArgs{ElectionID: id}, Open: open, From: len(all)})
		if err != nil {
			return nil, err
		}
		all = append(all, part.WriteIns...)
		if len(part.WriteIns) == 0 || len(all) >= part.Count {
			return all, nil
		}
	}
}

func (c *stationCore) ClosePolls(_ context.Context, id string, by ems.By) error {
	return c.done(station.OpClosePolls, decidesAbout(id, by))
}

func (c *stationCore) SetStatus(_ context.Context, id string, to results.Status, by ems.By, approver string) (ems.StatusChange, error) {
	return asked[ems.StatusChange](c, station.OpSetStatus, station.SetStatusArgs{Decides: decidesAbout(id, by), Status: to, Approver: approver})
}

func (c *stationCore) Adjudicate(_ context.Context, id string, list []ems.Decision, by ems.By) error {
	return c.done(station.OpAdjudicate, station.AdjudicateArgs{Decides: decidesAbout(id, by), Decisions: list})
}

func (c *stationCore) AddManual(_ context.Context, id string, m ems.ManualTally, by ems.By) error {
	return c.done(station.OpManualTally, station.ManualArgs{Decides: decidesAbout(id, by), Tally: m})
}

func (c *stationCore) SetRules(_ context.Context, id, contest string, config []byte, by ems.By) error {
	return c.done(station.OpSetRules, station.RulesArgs{Decides: decidesAbout(id, by), Contest: contest, Config: config})
}

func (c *stationCore) GiveOut(_ context.Context, id, form string) (*results.Results, error) {
	return asked[*results.Results](c, station.OpResults, station.ResultsArgs{ElectionArgs: station.ElectionArgs{ElectionID: id}, Form: form})
}
