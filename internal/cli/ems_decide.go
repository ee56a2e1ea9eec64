package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/results"
	"sallyport/internal/strictjson"
	"sallyport/internal/verdict"
)

type closePollsCmd struct {
	theElection
	decides
}

func (c *closePollsCmd) Run(a *app) error {
	return a.decide(c.Election, func(k core) error { return k.ClosePolls(a.ctx, c.Election, c.by()) })
}

type setStatusCmd struct {
	theElection
	Status string `arg:"" enum:"unofficial-partial,unofficial-complete,certified,correction,recount" help:"The next step: unofficial-partial, unofficial-complete, certified, correction or recount."`
	decides
	Approver string `help:"The second person, whom certified, correction and recount need." placeholder:"NAME"`
}

func (c *setStatusCmd) Run(a *app) error {
	return a.decide(c.Election, func(k core) error {
		_, err := k.SetStatus(a.ctx, c.Election, results.Status(c.Status), c.by(), c.Approver)
		return err
	})
}

type writeInsCmd struct {
	theElection
	Open bool `help:"Only names that wait for a decision."`
}

// writtenNames is what 'ems write-ins' prints.
type writtenNames struct {
	WriteIns []ems.WriteIn `json:"write_ins"`
}

func (c *writeInsCmd) Run(a *app) error {
	list, err := withCore(a, reading, func(k core) ([]ems.WriteIn, error) { return k.WriteIns(a.ctx, c.Election, c.Open) })
	if err != nil {
		return err
	}
	return a.print(writtenNames{list}, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(tw, "BALLOT\tCONTEST\tPOSITION\tDECIDED\tNAME")
		for _, x := range list {
			decided := "no"
			if x.Decided {
				decided = "yes"
			}
			fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", verdict.Escape(x.Ballot), verdict.Escape(x.Contest), x.Position, decided, orDash(verdict.Escape(x.Text)))
		}
		tw.Flush()
	})
}

type adjudicateCmd struct {
	theElection
	File string `arg:"" help:"The decisions: a JSON list."`
	decides
}

func (c *adjudicateCmd) Run(a *app) error {
	data, err := readDocument("list of decisions", c.File)
	if err != nil {
		return err
	}
	list, err := parseDecisions(data)
	if err != nil {
		return control.Failf(control.CodeUsage, "%s is no list of decisions: %v", verdict.Escape(c.File), err)
	}
	return a.decide(c.Election, func(k core) error { return k.Adjudicate(a.ctx, c.Election, list, c.by()) })
}

// parseDecisions reads a list of decisions strictly. Each says on which position
// of which ballot it is: one that is left out is not the first.
func parseDecisions(data []byte) ([]ems.Decision, error) {
	var file []struct {
		Ballot    string `json:"ballot"`
		Contest   string `json:"contest"`
		Position  *int   `json:"position"`
		Candidate string `json:"candidate"`
		Name      string `json:"name"`
		Reject    bool   `json:"reject"`
	}
	if err := strictjson.Decode(data, &file, maxDocument); err != nil {
		return nil, err
	}
	list := make([]ems.Decision, 0, len(file))
	for i, x := range file {
		if x.Ballot == "" || x.Contest == "" || x.Position == nil {
			return nil, fmt.Errorf("/%d has to say ballot, contest and position", i)
		}
		list = append(list, ems.Decision{Ballot: x.Ballot, Contest: x.Contest, Position: *x.Position, Candidate: x.Candidate, Name: x.Name, Reject: x.Reject})
	}
	return list, nil
}

type manualCmd struct {
	theElection
	File string `arg:"" help:"The tally: a JSON document."`
	decides
}

func (c *manualCmd) Run(a *app) error {
	data, err := readDocument("manual tally", c.File)
	if err != nil {
		return err
	}
	var m ems.ManualTally
	if err := strictjson.Decode(data, &m, maxDocument); err != nil {
		return control.Failf(control.CodeUsage, "%s is no manual tally: %v", verdict.Escape(c.File), err)
	}
	return a.decide(c.Election, func(k core) error { return k.AddManual(a.ctx, c.Election, m, c.by()) })
}

type rulesCmd struct {
	theElection
	Contest string `arg:"" help:"The ranked contest."`
	File    string `arg:"" help:"A contest configuration of RCTab (JSON), whose rules are used."`
	decides
}

func (c *rulesCmd) Run(a *app) error {
	config, err := readDocument("contest configuration", c.File)
	if err != nil {
		return err
	}
	return a.decide(c.Election, func(k core) error { return k.SetRules(a.ctx, c.Election, c.Contest, config, c.by()) })
}
