// Package audits makes the inputs of risk-limiting audits of what a core holds:
// ballot manifests, candidate totals by batch, and cast vote records in the forms
// that the audit tool Arlo takes. It judges nothing and reads no files; package
// rla knows the forms.
package audits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"sallyport/internal/ems"
	"sallyport/internal/ems/model"
	"sallyport/internal/ems/rla"
	"sallyport/internal/ems/tally"
)

// ErrContest means that the election has no such contest, or one that cannot be
// audited in this form.
var ErrContest = errors.New("the contest cannot be audited in this form")

// Manifest returns the ballot manifest of an election: its batches, by the
// device that scanned them, with their number of ballots.
func Manifest(list []ems.BatchCount, audit rla.Audit) *rla.Manifest {
	m := &rla.Manifest{Audit: audit, Tabulators: true}
	for _, b := range list {
		m.Batches = append(m.Batches, rla.Batch{Tabulator: tabulator(b.Device), Name: name(b), Ballots: int(b.Ballots), CVR: audit == rla.Hybrid})
	}
	return m
}

func tabulator(device string) string {
	if device == "" {
		return "not known"
	}
	return device
}

// name is a batch as manifests call it: with its voting method, where one batch
// has several.
func name(b ems.BatchCount) string {
	n := b.Batch
	if n == "" {
		n = "not known"
	}
	if b.Method != "" {
		n += " " + b.Method
	}
	return n
}

// Totals returns the candidate totals by batch of some contests.
func Totals(d *model.Definition, list []ems.BatchCount, contests []string) (*rla.BatchTotals, error) {
	t := &rla.BatchTotals{}
	var numbers []int
	for _, id := range contests {
		n := slices.IndexFunc(d.Contests, func(c model.Contest) bool { return c.ID == id })
		if n < 0 {
			return nil, fmt.Errorf("%w: the election has no contest %q", ErrContest, id)
		}
		numbers = append(numbers, n)
		for _, o := range d.Contests[n].Options {
			t.Columns = append(t.Columns, rla.ColumnName(d.Contests[n].Name, o.Name, len(contests) > 1))
		}
	}
	for _, b := range list {
		row := rla.BatchRow{Batch: name(b)}
		for _, n := range numbers {
			i := slices.IndexFunc(b.Contests, func(r tally.Row) bool { return r.Contest == n })
			for k := range d.Contests[n].Options {
				votes := 0
				if i >= 0 {
					votes = int(b.Contests[i].Votes[k])
				}
				row.Votes = append(row.Votes, votes)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

// Form is a form of cast vote records.
type Form string

// The forms: one file, and folders of two files.
const (
	Dominion    Form = "dominion"
	ClearBallot Form = "clearballot"
	ESS         Form = "ess"
	Hart        Form = "hart"
)

// WriteCVRs writes the cast vote records of an election in one of the forms of a
// single file that Arlo takes, sorted by their identifiers. Ranked and cumulative
// contests are refused: none of the forms can say them.
func WriteCVRs(ctx context.Context, w io.Writer, form Form, c *ems.Core, electionID string) error {
	e, d, err := export(ctx, c, electionID)
	if err != nil {
		return err
	}
	forms := map[Form]rla.Form{Dominion: rla.Dominion, ClearBallot: rla.ClearBallot}
	f, ok := forms[form]
	if !ok {
		return fmt.Errorf("no form of one file is called %q", form)
	}
	return rla.WriteCVRs(w, f, e, records(ctx, c, electionID, d))
}

// WriteFolder writes them in one of the forms of two files ([ESS], [Hart]),
// which create makes.
func WriteFolder(ctx context.Context, create func(path string) (io.WriteCloser, error), form Form, c *ems.Core, electionID string) error {
	e, d, err := export(ctx, c, electionID)
	if err != nil {
		return err
	}
	write, names := rla.WriteESS, [2]string{"cvr.csv", "ballots.csv"}
	switch form {
	case ESS:
	case Hart:
		write, names = rla.WriteHart, [2]string{"cvrs.zip", "scanned-ballot-information.csv"}
	default:
		return fmt.Errorf("no form of two files is called %q", form)
	}
	first, err := create(names[0])
	if err != nil {
		return err
	}
	second, err := create(names[1])
	if err != nil {
		return errors.Join(err, first.Close())
	}
	err = write(first, second, e, records(ctx, c, electionID, d))
	return errors.Join(err, first.Close(), second.Close())
}

// export says what an export is of.
func export(ctx context.Context, c *ems.Core, electionID string) (rla.Export, *model.Definition, error) {
	d, err := c.Compiled(ctx, electionID)
	if err != nil {
		return rla.Export{}, nil, err
	}
	e := rla.Export{Election: d.Name}
	for _, x := range d.Contests {
		if x.Ranks > 0 || x.Cumulative {
			return rla.Export{}, nil, fmt.Errorf("%w: %q is ranked or cumulative", ErrContest, x.ID)
		}
		k := rla.Contest{Name: x.Name, VoteFor: x.VotesAllowed}
		for _, o := range x.Options {
			k.Choices = append(k.Choices, rla.Choice{Name: o.Name})
		}
		e.Contests = append(e.Contests, k)
	}
	return e, d, nil
}

// records gives the ballots as the forms have them.
func records(ctx context.Context, c *ems.Core, electionID string, d *model.Definition) rla.CVRs {
	return func(yield func(rla.CVR, error) bool) {
		stop := errors.New("no more are wanted")
		var covers []int
		err := c.Ballots(ctx, electionID, func(b *model.Ballot) error {
			x := rla.CVR{ID: b.ID, Tabulator: tabulator(b.Device), Batch: name(ems.BatchCount{Batch: b.Batch, Method: b.Method}),
				Group: b.Method, Precinct: d.Precincts[b.Precinct].Name, Style: d.Styles[b.Style].IDs[0]}
			covers = d.Covers(b, covers)
			for _, n := range covers {
				x.Contests = append(x.Contests, selection(d, b, n))
			}
			if !yield(x, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(rla.CVR{}, err)
		}
	}
}

// selection is what a ballot marks in one contest.
func selection(d *model.Definition, b *model.Ballot, contest int) rla.Selection {
	s := rla.Selection{Contest: d.Contests[contest].Name}
	for _, m := range b.Snapshots[b.Current].Contests {
		if m.Contest != contest {
			continue
		}
		for _, p := range m.Positions {
			name := d.Contests[contest].Options[p.Option].Name
			// An overvote's marks are all shown, also those a device took out.
			counts := p.Indicated == model.Yes && (p.Allocable != model.No || m.Overvoted)
			if counts && !slices.Contains(s.Choices, name) {
				s.Choices = append(s.Choices, name)
			}
		}
	}
	return s
}
