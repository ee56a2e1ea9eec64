package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"sallyport/internal/control"
	"sallyport/internal/ems"
	"sallyport/internal/ems/define"
	"sallyport/internal/ems/election"
	"sallyport/internal/verdict"
)

type emsDraftsCmd struct {
	Election string `arg:"" optional:"" help:"The election's id; without it, which elections have drafts."`
}

// draftList is what 'ems drafts' prints.
type draftList struct {
	Election string     `json:"election"`
	Drafts   []draftRow `json:"drafts"`
}

type draftRow struct {
	Revision int    `json:"revision"`
	SHA256   string `json:"sha256"`
	Who      string `json:"who"`
	Why      string `json:"why"`
	At       string `json:"at"`
	Errors   int    `json:"errors"`
}

// draftElections is what 'ems drafts' prints without an election.
type draftElections struct {
	Elections []string `json:"elections"`
}

func (c *emsDraftsCmd) Run(a *app) error {
	if c.Election == "" {
		list, err := withDesk(a, reading, func(k *ems.Core) ([]string, error) { return k.DraftElections(a.ctx) })
		if err != nil {
			return err
		}
		return a.print(draftElections{append([]string{}, list...)}, func(w io.Writer) {
			for _, id := range list {
				fmt.Fprintln(w, verdict.Escape(id))
			}
		})
	}
	list, err := withDesk(a, reading, func(k *ems.Core) ([]ems.Draft, error) { return k.Drafts(a.ctx, c.Election) })
	if err != nil {
		return err
	}
	out := draftList{Election: c.Election}
	for _, d := range list {
		_, bad := d.Definition.Check()
		out.Drafts = append(out.Drafts, draftRow{d.Revision, d.SHA256, d.Who, d.Why, d.At, len(bad)})
	}
	return a.print(out, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(tw, "DRAFT\tSHA-256\tERRORS\tAT\tWHO\tWHY")
		for _, d := range out.Drafts {
			fmt.Fprintf(tw, "%d\t%s\t%d\t%s\t%s\t%s\n", d.Revision, d.SHA256[:16], d.Errors, d.At, verdict.Escape(d.Who), verdict.Escape(d.Why))
		}
		tw.Flush()
	})
}

type emsDiffCmd struct {
	Of   []string `arg:"" help:"An election with drafts, or two files: ballot definitions or CSV sets." placeholder:"ELECTION|FILE"`
	From int      `help:"Compare from this draft; default: the one before the newest." placeholder:"REVISION"`
	To   int      `help:"Compare to this draft; default: the newest." placeholder:"REVISION"`
}

// differences is what 'ems diff' prints.
type differences struct {
	From    string         `json:"from"`
	To      string         `json:"to"`
	Changes define.Changes `json:"changes"`
}

func (c *emsDiffCmd) Run(a *app) error {
	var d *differences
	var err error
	switch len(c.Of) {
	case 1:
		d, err = withDesk(a, reading, func(k *ems.Core) (*differences, error) { return c.drafts(a, k) })
	case 2:
		d, err = c.files(a)
	default:
		err = control.Failf(control.CodeUsage, "name one election, or two files")
	}
	if err != nil {
		return err
	}
	return a.print(d, func(w io.Writer) {
		fmt.Fprintf(w, "%s from %s to %s\n", count(len(d.Changes), "change"), verdict.Escape(d.From), verdict.Escape(d.To))
		fmt.Fprint(w, printable(d.Changes.Text()))
	})
}

func (c *emsDiffCmd) drafts(a *app, k *ems.Core) (*differences, error) {
	list, err := k.Drafts(a.ctx, c.Of[0])
	if err != nil {
		return nil, err
	}
	from, to := c.From, c.To
	if to == 0 {
		to = len(list)
	}
	if from == 0 {
		from = max(to-1, 1)
	}
	was, err := revisionOf(list, c.Of[0], from)
	if err != nil {
		return nil, err
	}
	now, err := revisionOf(list, c.Of[0], to)
	if err != nil {
		return nil, err
	}
	return a.compare(fmt.Sprintf("draft %d", from), was.Definition, fmt.Sprintf("draft %d", to), now.Definition)
}

func (c *emsDiffCmd) files(a *app) (*differences, error) {
	if c.From != 0 || c.To != 0 {
		return nil, control.Failf(control.CodeUsage, "--from and --to are about the drafts of one election")
	}
	was, err := a.readEither(c.Of[0])
	if err != nil {
		return nil, err
	}
	now, err := a.readEither(c.Of[1])
	if err != nil {
		return nil, err
	}
	return a.compare(c.Of[0], was, c.Of[1], now)
}

// readEither reads a folder of tables or a document.
func (a *app) readEither(path string) (*election.Definition, error) {
	if _, err := tables(path); err == nil {
		return a.readSet(path)
	}
	return a.readDefinition(path)
}

// compare compares two definitions, which must keep all rules.
func (a *app) compare(from string, was *election.Definition, to string, now *election.Definition) (*differences, error) {
	x, bad := was.Check()
	if x == nil {
		return nil, a.refuse(fromCheck(bad), "%s cannot be compared: it has %s", verdict.Escape(from), count(len(bad), "error"))
	}
	y, bad := now.Check()
	if y == nil {
		return nil, a.refuse(fromCheck(bad), "%s cannot be compared: it has %s", verdict.Escape(to), count(len(bad), "error"))
	}
	changes, err := define.Diff(x, y)
	if err != nil {
		return nil, err
	}
	return &differences{from, to, append(define.Changes{}, changes...)}, nil
}
