package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"sallyport/internal/ems"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

type electionsCmd struct{}

func (electionsCmd) Run(a *app) error {
	list, err := withCore(a, reading, func(c core) ([]ems.Election, error) { return c.Elections(a.ctx) })
	if err != nil {
		return err
	}
	return a.print(station.Elections{Elections: list}, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(tw, "ELECTION\tDATE\tCONTESTS\tPRECINCTS\tBALLOTS\tNAME")
		for _, x := range list {
			fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%s\n", verdict.Escape(x.ID), x.Date, x.Contests, x.Precincts, x.Ballots, verdict.Escape(x.Name))
		}
		tw.Flush()
	})
}

type tallyCmd struct {
	anElection
	Quick bool   `help:"Add up the subtotals that were made when the ballots came in, instead of counting all ballots anew."`
	By    string `enum:"precinct,split,style,batch,device,method,party," default:"" help:"Break it down by precinct, split, style, batch, device, method or party."`
}

func (c *tallyCmd) Run(a *app) error {
	if c.By != "" {
		return c.breakdown(a)
	}
	t, err := aboutElection(a, c.Election, func(k core, id string) (*ems.Tally, error) {
		if c.Quick {
			return k.Totals(a.ctx, id)
		}
		return k.Tally(a.ctx, id)
	})
	if err != nil {
		return err
	}
	return a.print(t, func(w io.Writer) {
		if err := t.WriteTable(w); err != nil {
			fmt.Fprintln(a.err, "sallyport:", err)
		}
	})
}

func (c *tallyCmd) breakdown(a *app) error {
	groups, err := aboutElection(a, c.Election, func(k core, id string) ([]ems.Group, error) { return k.Breakdown(a.ctx, id, c.By) })
	if err != nil {
		return err
	}
	return a.print(station.Breakdown{By: c.By, Groups: groups}, func(w io.Writer) {
		for _, g := range groups {
			fmt.Fprintf(w, "%s %s: %s\n", c.By, orDash(verdict.Escape(g.Name)), count(int(g.Ballots), "ballot"))
			tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
			for _, x := range g.Contests {
				fmt.Fprintf(tw, "  %s\t\t\n", verdict.Escape(x.Title))
				for i, o := range x.Options {
					fmt.Fprintf(tw, "    %s\t%d\t\n", verdict.Escape(o), x.Votes[i])
				}
				fmt.Fprintf(tw, "    overvotes\t%d\t\n    undervotes\t%d\t\n", x.Overvotes, x.Undervotes)
			}
			tw.Flush()
		}
	})
}

type emsStatusCmd struct{ anElection }

func (c *emsStatusCmd) Run(a *app) error {
	s, err := aboutElection(a, c.Election, func(k core, id string) (*ems.Standing, error) { return k.Standing(a.ctx, id) })
	if err != nil {
		return err
	}
	return a.print(s, func(w io.Writer) { showStanding(w, s) })
}

// showStanding says in plain words where an election stands.
func showStanding(w io.Writer, s *ems.Standing) {
	e := &s.Election
	fmt.Fprintf(w, "election %s, %s, %s\n", verdict.Escape(e.ID), e.Date, verdict.Escape(e.Name))
	if e.Test {
		fmt.Fprintln(w, "  THIS IS A TEST: its votes are no results")
	}
	status := string(s.Status)
	if s.Sequence > 0 {
		status = fmt.Sprintf("%s (step %d)", s.Status, s.Sequence)
	}
	polls := "not closed: no totals are given"
	if s.PollsClosed {
		polls = "closed"
	}
	fmt.Fprintf(w, "  results: %s\n  polls: %s\n", status, polls)
	fmt.Fprintf(w, "  %s, %s\n", count(int(e.Ballots), "ballot"), count(int(e.Packages), "package"))
	for _, u := range s.Unresolved {
		fmt.Fprintf(w, "  contest %s: %s for a decision\n", verdict.Escape(u.Contest), waiting(u.Marks))
	}
	for _, m := range s.Manual {
		fmt.Fprintf(w, "  manual tally %q: %s in %s\n", verdict.Escape(m.Name), count(int(m.Ballots), "ballot"), count(m.Contests, "contest"))
	}
	for _, id := range s.WithoutRules {
		fmt.Fprintf(w, "  ranked contest %s has no rules\n", verdict.Escape(id))
	}
	for i := range s.History {
		fmt.Fprintf(w, "  %s\n", tellStep(&s.History[i]))
	}
	switch {
	case len(s.Missing) > 0:
		fmt.Fprintln(w, "missing to certified results:")
		for _, m := range s.Missing {
			fmt.Fprintf(w, "  %s\n", verdict.Escape(m))
		}
	case s.Status.Official():
		fmt.Fprintln(w, "the results are official")
	default:
		fmt.Fprintln(w, "nothing is missing: two people can certify the results")
	}
}

func waiting(n int64) string {
	if n == 1 {
		return "1 mark waits"
	}
	return fmt.Sprintf("%d marks wait", n)
}

func tellStep(s *ems.StatusChange) string {
	who := verdict.Escape(s.Who)
	if s.Approver != "" {
		who += ", approved by " + verdict.Escape(s.Approver)
	}
	return fmt.Sprintf("%s  step %d: %s, by %s (%s)", s.At, s.Sequence, s.Status, who, verdict.Escape(s.Why))
}
